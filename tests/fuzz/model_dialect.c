/* A CSV file in a dialect that the first bytes choose: whatever the bytes, it is loaded or refused. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/model/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char schema_text[] =
    "name: t\n"
    "columns:\n"
    "  - {name: a, kind: numeric, range: [-5, 5], outside: clip}\n"
    "  - {name: b, kind: categorical, values: [x, \"1\"], unknown: missing}\n"
    "  - {name: c, kind: date, range: [2000-01-01, 2020-01-01], outside: missing}\n"
    "  - {name: y, kind: label, negative: [\"0\"], positive: [\"1\"]}\n";

static void choose(const uint8_t *b, fm_dialect *d)
{
    static char *encodings[] = { NULL,       "UTF-8", "UTF-16",      "windows-1252",
                                 "UTF-16LE", "UTF-7", "ISO-2022-JP", "GB18030" };
    static char *missing[] = { "NA", "" };

    *d = (fm_dialect){ .delimiter = "\0;\t|"[b[0] & 3],
                       .header = (fm_header_is)(b[0] >> 2 & 3) % 3,
                       .decimal = "\0,"[b[0] >> 4 & 1],
                       .dates = (fm_date_order)(b[0] >> 5 & 3),
                       .encoding = encodings[b[1] & 7],
                       .comment = "\0#"[b[1] >> 3 & 1],
                       .skip_lines = b[1] >> 4 & 3,
                       .missing = missing,
                       .missing_count = b[1] >> 6 };
    d->thousands = d->decimal ? "\0. '"[b[1] >> 5 & 3] : "\0, '"[b[1] >> 5 & 3];
    if (d->missing_count > 2)
        d->missing_count = 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fm_schema *schema;
    fm_dialect d;
    fm_table t = { 0 };
    fm_table_options options = { .labels = true, .max_problems = 5, .dialect = &d };

    if (size < 2)
        return 0;
    choose(data, &d);
    if (!schema && fm_schema_parse("s", schema_text, strlen(schema_text), &schema))
        abort();
    if (fm_table_parse("fuzz", data + 2, size - 2, schema, &options, &t))
        return 0;
    for (size_t i = 0; i < t.rows; i++)
        if ((i && t.lines[i] <= t.lines[i - 1]) || (t.y[i] != 0.0f && t.y[i] != 1.0f))
            abort();
    for (size_t i = 0; i < t.rows * t.features; i++)
        if (!(t.x[i] >= -1e6f && t.x[i] <= 1e6f))
            abort();
    fm_table_fini(&t);
    return 0;
}
