/* A ledger's export, as JSON or CSV: what is read must be rows that a ledger can hold. */
#include <string.h>

#include "fedmoe/dp/ledger_text.h"
#include "fuzz.h"

static void require_text(const char *s, size_t cap)
{
    FUZZ_REQUIRE(memchr(s, 0, cap) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fm_ledger_row *rows = NULL;
    size_t count = 0;

    if (fm_ledger_parse("fuzz", data, len, &rows, &count) != FM_OK) {
        FUZZ_REQUIRE(!rows && count == 0);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        require_text(rows[i].data_set, sizeof rows[i].data_set);
        require_text(rows[i].federation, sizeof rows[i].federation);
        require_text(rows[i].purpose, sizeof rows[i].purpose);
        require_text(rows[i].unit, sizeof rows[i].unit);
    }
    free(rows);
    return 0;
}
