/* A plan is refused, or within all its ranges and the one encoding of itself. */
#include <string.h>

#include "fedmoe/proto/plan.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fm_plan p = { .epsilon = 0 };
    fm_buf again;

    if (fm_plan_decode(data, len, &p) != FM_OK)
        return 0;
    FUZZ_REQUIRE(fm_plan_check(&p) == FM_OK);
    FUZZ_REQUIRE(p.quorum >= fm_plan_min_quorum(p.max_nodes, p.colluders));
    fm_buf_init(&again, FM_MAX_PLAN_BYTES);
    FUZZ_REQUIRE(fm_plan_encode(&p, &again) == FM_OK);
    FUZZ_REQUIRE(again.len == len && memcmp(again.data, data, len) == 0);
    fm_buf_fini(&again);
    fm_plan_fini(&p);
    return 0;
}
