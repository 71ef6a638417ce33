/* Exports of a ledger, JSON and CSV; what is accepted must be whole and within its fields. */
#include <string.h>

#include "fedmoe/dp/ledger_text.h"
#include "fuzz.h"

#define TEXT_OK(field) (memchr((field), 0, sizeof(field)) != NULL && (field)[0] != 0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fm_ledger_row *rows = NULL;
    size_t count = 0;

    if (fm_ledger_parse("fuzz", data, len, &rows, &count) != FM_OK) {
        FUZZ_REQUIRE(!rows && count == 0);
        return 0;
    }
    FUZZ_REQUIRE((rows != NULL) == (count > 0));
    for (size_t i = 0; i < count; i++) {
        const fm_ledger_row *r = &rows[i];

        FUZZ_REQUIRE(TEXT_OK(r->data_set) && TEXT_OK(r->federation));
        FUZZ_REQUIRE(TEXT_OK(r->purpose) && TEXT_OK(r->unit));
        FUZZ_REQUIRE(r->mechanism.kind <= FM_DP_DISCRETE_GAUSSIAN);
    }
    free(rows);
    return 0;
}
