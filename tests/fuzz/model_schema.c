/* schema.yaml, and a record encoded by whatever came out of it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/model/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every feature of a record that is accepted must be a number. */
static void encode(const fm_schema *s, const char *cell)
{
    const size_t columns = fm_schema_columns(s);
    const char **cells = calloc(columns, sizeof *cells);
    float *features = calloc(fm_schema_features(s), sizeof *features), label;
    size_t column;

    if (!cells || !features)
        abort();
    for (size_t i = 0; i < columns; i++)
        cells[i] = cell;
    if (!fm_schema_encode(s, cells, features, fm_schema_has_label(s) ? &label : NULL, &column)) {
        for (size_t i = 0; i < fm_schema_features(s); i++)
            if (!(features[i] >= -1e10f && features[i] <= 1e10f))
                abort();
    } else if (column >= columns) {
        abort();
    }
    free(cells);
    free(features);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fm_schema *s = NULL;

    if (fm_schema_parse("fuzz", data, size, &s))
        return 0;
    for (size_t i = 0; i < fm_schema_features(s); i++)
        if (!fm_schema_feature_name(s, i))
            abort();
    encode(s, "1");
    encode(s, "");
    encode(s, "-3.5e2");
    encode(s, "2001-02-03");
    encode(s, "a");
    encode(s, "V12.5");
    if (fm_schema_outputs(s) < 1 || !(fm_schema_norm(s) > 0.0))
        abort();
    for (size_t i = 0; fm_schema_target(s) != FM_TARGET_NUMBER && i < 2; i++)
        if (!fm_schema_class_name(s, i) || !(fm_schema_class_weight(s, i) > 0.0))
            abort();
    fm_schema_free(&s);
    return 0;
}
