/* text.yaml, whatever stands in it. */
#include <string.h>

#include "fuzz.h"
#include "text_schema_internal.h"

static void examine(const fm_text_schema *s)
{
    FUZZ_REQUIRE(fm_text_schema_name(s) && fm_text_schema_text(s));
    FUZZ_REQUIRE(s->field_count <= FM_TEXT_MAX_FIELDS && s->part_count <= FM_TEXT_MAX_FIELDS);
    if (s->source == FM_TEXT_FHIR)
        FUZZ_REQUIRE(!s->field_count && (s->documents || s->reports));
    else
        FUZZ_REQUIRE(s->field_count);
    FUZZ_REQUIRE(s->source != FM_TEXT_CSV || s->header || s->column_count);
    for (size_t i = 0; i < s->part_count; i++)
        FUZZ_REQUIRE(s->parts[i].fixed &&
                     (s->parts[i].field < s->field_count ||
                      (s->parts[i].field == FM_TEXT_NO_FIELD && i + 1 == s->part_count)));
    for (size_t i = 0; i < s->field_count; i++) {
        const size_t len = strlen(s->fields[i]);

        FUZZ_REQUIRE(len >= 1 && len <= FM_TEXT_MAX_NAME);
        for (size_t j = 0; j < i; j++)
            FUZZ_REQUIRE(strcmp(s->fields[i], s->fields[j]) != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fm_text_schema *s = NULL;

    if (!fm_text_schema_parse("fuzz", data, size, &s))
        examine(s);
    fm_text_schema_free(&s);
    return 0;
}
