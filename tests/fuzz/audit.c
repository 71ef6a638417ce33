/* A file of fedmoe-node audit is refused, or can be judged. */
#include "fedmoe/dp/audit.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fm_dp_observations o = { 0 };
    fm_dp_audit_bound bound;

    if (fm_dp_observations_parse("audit.json", data, len, &o) != FM_OK)
        return 0;
    FUZZ_REQUIRE(fm_dp_audit_bound_of(&o, o.delta, 0.95, &bound) == FM_OK);
    FUZZ_REQUIRE(bound.epsilon >= 0.0 && bound.correct <= bound.guesses &&
                 bound.guesses <= o.canaries);
    fm_dp_observations_fini(&o);
    return 0;
}
