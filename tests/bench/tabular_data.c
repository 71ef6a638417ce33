#include "tabular_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/hash.h"
#include "fm_test.h"
#include "fm_test_xz.h"

#define FILE_MAX ((size_t)1 << 26)
#define SCHEMA_MAX ((size_t)1 << 20)
#define HELD_OUT_OF 3u /* one of so many */

const tabular_set tabular_sets[] = {
    { .name = "adult",
      .schema = "adult.yaml",
      .files = { "data/adult/adult.data.gz" },
      .test_file = "data/adult/adult.test.gz",
      .unit_rows = 1,
      .logistic = 0.910,
      .trees = 0.928,
      .least_1 = 0.905,
      .aim_1 = 0.912,
      .aim_4 = 0.918 },
    { .name = "credit_default",
      .schema = "credit_default.yaml",
      .files = { "data/credit_default/UCI_Credit_Card.csv.xz" },
      .unit_rows = 1,
      .logistic = 0.760,
      .trees = 0.779,
      .least_1 = 0.760,
      .aim_1 = 0.768,
      .aim_4 = 0.775 },
    { .name = "diabetes130",
      .schema = "diabetes130_groups.yaml",
      .files = { "data/diabetes130/diabetic_data.csv.xz" },
      .unit = "patient_nbr",
      .unit_field = 1,
      .unit_rows = 16,
      .logistic = 0.671,
      .trees = 0.676,
      .least_1 = 0.655,
      .aim_1 = 0.668,
      .aim_4 = 0.674 },
    { .name = "heart_disease",
      .schema = "heart_disease.yaml",
      .files = { "data/heart_disease/processed.cleveland.data",
                 "data/heart_disease/processed.hungarian.data",
                 "data/heart_disease/processed.switzerland.data",
                 "data/heart_disease/processed.va.data" },
      .unit_rows = 1 },
};
const size_t tabular_set_count = sizeof tabular_sets / sizeof *tabular_sets;

static _Noreturn void stop(void)
{
    fprintf(stderr, "bench-tabular: %s\n", fm_error_text());
    exit(1);
}

static bool ends_in(const char *name, const char *end)
{
    const size_t n = strlen(name), k = strlen(end);

    return n >= k && strcmp(name + n - k, end) == 0;
}

static bool read_file(const char *rel, fm_buf *out, const char **why)
{
    char path[4096];

    if (ends_in(rel, ".xz") || ends_in(rel, ".gz"))
        return fm_test_shared_xz(rel, FILE_MAX, out, why);
    *why = "the shared data is not there";
    if (!fm_test_shared(rel, path, sizeof path))
        return false;
    if (fm_file_read(path, FILE_MAX, out) != FM_OK)
        stop();
    return true;
}

/* The cell of a line that says which part it belongs to: the unit's, or the line's number. */
static bool held_out(const tabular_set *s, uint64_t seed, const char *line, size_t len,
                     size_t number)
{
    char key[256];
    const char *at = line;
    size_t cell = 0;
    fm_hash h;

    for (size_t i = 0; s->unit && i < s->unit_field; i++) {
        const char *comma = memchr(at, ',', len - (size_t)(at - line));

        at = comma ? comma + 1 : line + len;
    }
    while (s->unit && at + cell < line + len && at[cell] != ',')
        cell++;
    if (s->unit)
        (void)snprintf(key, sizeof key, "%llu %.*s", (unsigned long long)seed, (int)cell, at);
    else
        (void)snprintf(key, sizeof key, "%llu %zu", (unsigned long long)seed, number);
    h = fm_hash_of("bench tabular split", key, strlen(key));
    return ((unsigned)h.bytes[0] | (unsigned)h.bytes[1] << 8) % HELD_OUT_OF == 0;
}

static size_t line_length(const fm_buf *b, size_t at)
{
    const uint8_t *end = memchr(b->data + at, '\n', b->len - at);

    return end ? (size_t)(end - (b->data + at)) + 1 : b->len - at;
}

/* Lines to the part they belong to; the first one of a file with a header to both. */
static void deal(const tabular_set *s, uint64_t seed, const fm_buf *all, bool header,
                 fm_buf parts[2])
{
    size_t number = 0;

    for (size_t at = 0, n; at < all->len; at += n, number++) {
        const char *line = (const char *)all->data + at;
        const bool both = header && number == 0;

        n = line_length(all, at);
        for (int p = 0; p < 2; p++)
            if ((both || held_out(s, seed, line, n, number) == (p == 1)) &&
                fm_buf_append(&parts[p], line, n) != FM_OK)
                stop();
    }
}

/* adult.test begins with a line that is no record: "|1x3 Cross validator". */
static void append_records(fm_buf *to, const fm_buf *from)
{
    const size_t skip = from->len && from->data[0] == '|' ? line_length(from, 0) : 0;

    if (fm_buf_append(to, from->data + skip, from->len - skip) != FM_OK)
        stop();
}

static void load_schema(const tabular_set *s, tabular_split *out)
{
    char path[4096];

    (void)snprintf(path, sizeof path, "%s/%s", BENCH_SCHEMAS, s->schema);
    if (fm_schema_load(path, &out->schema) != FM_OK)
        stop();
}

static void parse(const tabular_set *s, const tabular_split *split, const fm_buf *text, bool train,
                  fm_table *out)
{
    const fm_table_options o = { .labels = true, .unit = train ? s->unit : NULL };

    if (fm_table_parse(s->name, text->data, text->len, split->schema, &o, out) != FM_OK)
        stop();
}

bool tabular_load(const tabular_set *s, uint64_t seed, tabular_split *out, const char **why)
{
    fm_buf all, parts[2], *train = &all, *test = &parts[1];
    bool there = true;

    memset(out, 0, sizeof *out);
    fm_buf_init(&all, 4 * FILE_MAX);
    for (int p = 0; p < 2; p++)
        fm_buf_init(&parts[p], 4 * FILE_MAX);
    for (size_t i = 0; there && i < sizeof s->files / sizeof *s->files && s->files[i]; i++) {
        fm_buf one = { 0 };

        if ((there = read_file(s->files[i], &one, why)))
            append_records(&all, &one);
        fm_buf_fini(&one);
    }
    if (there && s->test_file) {
        fm_buf one = { 0 };

        if ((there = read_file(s->test_file, &one, why)))
            append_records(&parts[1], &one);
        fm_buf_fini(&one);
    } else if (there) {
        deal(s, seed, &all, !ends_in(s->files[0], ".data"), parts);
        train = &parts[0];
    }
    if (there) {
        load_schema(s, out);
        parse(s, out, train, true, &out->train);
        parse(s, out, test, false, &out->test);
    }
    fm_buf_fini(&all);
    for (int p = 0; p < 2; p++)
        fm_buf_fini(&parts[p]);
    return there;
}

void tabular_fini(tabular_split *s)
{
    fm_table_fini(&s->train);
    fm_table_fini(&s->test);
    fm_schema_free(&s->schema);
}

size_t tabular_units(const fm_table *t)
{
    return t->unit_start ? t->units : t->rows;
}
