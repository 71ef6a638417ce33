/* A CSV file against fixed schemas; the first byte says which, and whether labels are wanted; and
 * through the scanner alone. tests/model/test_csv.c compares that with libcsv. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/model/table.h"
#include "table_csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COLUMNS                                                                      \
    "columns:\n"                                                                     \
    "  - {name: a, kind: numeric, range: [-5, 5], outside: clip, knots: [1]}\n"      \
    "  - {name: b, kind: categorical, values: [x, \"1\"], unknown: missing, "        \
    "groups: {g: \"2-9, V1*\"}}\n"                                                   \
    "  - {name: c, kind: date, range: [2000-01-01, 2020-01-01], outside: missing}\n" \
    "  - {name: d, kind: ignore}\n"                                                  \
    "  - {name: y, kind: label, negative: [\"0\"], positive: [\"1\"]}\n"

static const char *const texts[] = {
    "name: t\ncsv: {header: false}\n" COLUMNS,
    "name: t\n" COLUMNS,
    "name: t\ncsv: {header: false, delimiter: \";\", missing: [\"?\"]}\n" COLUMNS,
};
static fm_schema *schemas[3];

/*
 * The same blocks, scanned in another way: every record again by walking over its cells. Whatever
 * the bytes, cells are in the block, in order and terminated, and lines increase.
 */
static void scan(const char *text, size_t len, char delimiter)
{
    fm_csv_source source = { 0 };
    fm_csv_scan s = { 0 };
    fm_csv_block block;
    fm_csv_record r;
    size_t line = 0;
    bool got = true, more = true;

    if (fm_csv_memory("fuzz", text, len, &source) || fm_csv_block_new(&source, &block))
        abort();
    while (more && !fm_csv_take(&source, &block, &more) && more) {
        const char *last = block.text;

        fm_csv_begin(&s, "fuzz", delimiter, &block);
        while ((more = !fm_csv_next(&s, &r, &got)) && got) {
            if (r.line <= line || !r.count)
                abort();
            line = r.line;
            for (size_t i = 0; i < r.count; last = r.cells[i].at + r.cells[i].len, i++)
                if (r.cells[i].at < last ||
                    r.cells[i].at + r.cells[i].len > block.text + block.len ||
                    r.cells[i].at[r.cells[i].len] != '\0')
                    abort();
        }
    }
    fm_csv_scan_fini(&s);
    fm_csv_close(&source);
    fm_csv_block_free(&block);
}

/* Lines increase, labels are 0 or 1, features are numbers. */
static void examine(const fm_table *t, bool labels)
{
    for (size_t i = 0; i < t->rows; i++)
        if ((i && t->lines[i] <= t->lines[i - 1]) || (labels && t->y[i] != 0.0f && t->y[i] != 1.0f))
            abort();
    for (size_t u = 0; u < t->units; u++)
        for (size_t i = t->unit_start[u]; i < t->unit_start[u + 1]; i++)
            if (t->unit_start[t->units] != t->rows || t->unit_rows[i] >= t->rows ||
                (i > t->unit_start[u] && t->unit_rows[i] <= t->unit_rows[i - 1]))
                abort();
    for (size_t i = 0; i < t->rows * t->features; i++)
        if (!(t->x[i] >= -1e6f && t->x[i] <= 1e6f))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fm_table t = { 0 };

    if (size < 1)
        return 0;
    const size_t which = data[0] % 3;
    const fm_table_options options = { .labels = data[0] & 0x80,
                                       .max_problems = 5,
                                       .unit = data[0] & 0x40 ? "d" : NULL };
    char *text = malloc(size); /* NUL-terminated, as a fm_buf is */

    if (!text)
        abort();
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    if (!schemas[which] &&
        fm_schema_parse("s", texts[which], strlen(texts[which]), &schemas[which]))
        abort();
    scan(text, size - 1, ",;\t|"[data[0] >> 4 & 3]);
    if (!fm_table_parse("fuzz", text, size - 1, schemas[which], &options, &t))
        examine(&t, options.labels);
    fm_table_fini(&t);
    free(text);
    return 0;
}
