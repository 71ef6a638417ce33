/* schema.yaml; a record encoded by whatever came out of it, and a CSV file read by it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/model/table.h"
#include "schema_internal.h"

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

static void put(fm_buf *csv, const void *bytes, size_t n)
{
    if (fm_buf_append(csv, bytes, n))
        abort();
}

static void put_quoted(fm_buf *csv, const char *cell)
{
    put(csv, "\"", 1);
    for (; *cell; cell++)
        put(csv, *cell == '"' ? "\"\"" : cell, *cell == '"' ? 2 : 1);
    put(csv, "\"", 1);
}

/* Columns that are not another's field once more. */
static size_t own_fields(const fm_schema *s)
{
    size_t n = 0;

    for (size_t c = 0; c < s->column_count; c++)
        n += !s->columns[c].from;
    return n;
}

static void make_csv(const fm_schema *s, const char *cell, size_t fields, fm_buf *csv)
{
    for (size_t c = 0, n = 0; s->header && c < s->column_count; c++) {
        if (s->columns[c].from)
            continue;
        if (n++)
            put(csv, &s->delimiter, 1);
        put_quoted(csv, s->columns[c].name);
    }
    if (s->header)
        put(csv, "\n", 1);
    for (int row = 0; row < 2; row++) {
        for (size_t i = 0; i < fields; i++) {
            if (i)
                put(csv, &s->delimiter, 1);
            put_quoted(csv, cell);
        }
        put(csv, "\n", 1);
    }
}

/* Two rows of so many fields. One too few is an error, but where the label may be absent: without a
 * header, in records to be predicted. */
static void read_rows(const fm_schema *s, const char *cell, size_t fields, bool labels, bool unit)
{
    const size_t own = own_fields(s);
    const bool may = fields == own || (!s->header && !labels && s->label != SIZE_MAX);
    const fm_table_options o = { .labels = labels, .unit = unit ? s->columns[0].name : NULL };
    fm_table t = { 0 };
    fm_buf csv = { 0 };

    make_csv(s, cell, fields, &csv);
    if (!fm_table_parse("fuzz", csv.data, csv.len, s, &o, &t)) {
        if (!may || t.rows != 2 || !t.y != !labels || (unit && t.unit_start[t.units] != 2))
            abort();
        for (size_t i = 0; i < t.rows * t.features; i++)
            if (!(t.x[i] >= -1e10f && t.x[i] <= 1e10f))
                abort();
    }
    fm_table_fini(&t);
    fm_buf_fini(&csv);
}

static void read_table(const fm_schema *s, const char *cell)
{
    const size_t own = own_fields(s);

    for (size_t fields = own > 1 ? own - 1 : own; fields <= own; fields++)
        for (int kind = 0; kind < 4; kind++)
            if (s->label != SIZE_MAX || kind < 2)
                read_rows(s, cell, fields, kind / 2, kind % 2);
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
    read_table(s, "1");
    read_table(s, "");
    read_table(s, "a");
    if (fm_schema_outputs(s) < 1 || !(fm_schema_norm(s) > 0.0))
        abort();
    for (size_t i = 0; fm_schema_target(s) != FM_TARGET_NUMBER && i < 2; i++)
        if (!fm_schema_class_name(s, i) || !(fm_schema_class_weight(s, i) > 0.0))
            abort();
    fm_schema_free(&s);
    return 0;
}
