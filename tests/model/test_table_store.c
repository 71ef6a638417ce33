/* Records in a scratch file: the same rows, bit by bit, as in memory. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fedmoe/model/table.h"
#include "fm_test.h"
#include "suites.h"

#define ROWS 3000u

static const char yaml[] =
    "name: t\ncsv: {missing: [\"\"]}\n"
    "columns:\n"
    "  - {name: who, kind: ignore}\n"
    "  - {name: age, kind: numeric, range: [0, 100], outside: clip}\n"
    "  - {name: age2, from: age, kind: numeric, range: [0, 100], outside: clip, center: 50,\n"
    "     scale: 10, knots: [30]}\n"
    "  - {name: day, kind: date, range: [2000-01-01, 2020-12-31], outside: missing}\n"
    "  - {name: sex, kind: categorical, values: [m, f], required: true}\n"
    "  - {name: stage, kind: categorical, values: [I, II, III], ordered: true}\n"
    "  - {name: code, kind: categorical, values: [x], unknown: missing,\n"
    "     groups: {a: \"100-199\", b: \"200-399\"}}\n"
    "  - {name: many, kind: categorical, unknown: missing, values: [";
static const char label[] = "]}\n  - {name: y, kind: label, negative: [0], positive: [1]}\n";

static fm_schema *schema(void)
{
    fm_schema *s = NULL;
    fm_buf text = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_buf_printf(&text, "%s", yaml), FM_OK);
    for (int i = 0; i < 700; i++) /* more than one byte holds */
        CU_ASSERT_EQUAL_FATAL(fm_buf_printf(&text, "%sv%d", i ? ", " : "", i), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_buf_printf(&text, "%s", label), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s.yaml", text.data, text.len, &s), FM_OK);
    fm_buf_fini(&text);
    return s;
}

static fm_buf records(void)
{
    static const char *const stages[] = { "I", "II", "III", "" };
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 9);
    fm_buf b = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_buf_printf(&b, "who,age,day,sex,stage,code,many,y\n"), FM_OK);
    for (unsigned i = 0; i < ROWS; i++) {
        const unsigned r = (unsigned)fm_rng_below(&rng, 1000);

        CU_ASSERT_EQUAL_FATAL(fm_buf_printf(&b, "p%u,%.3f,20%02u-0%u-11,%s,%s,%u,v%u,%u\n", r % 400,
                                            (double)r / 7.0, r % 25, 1 + r % 9, r % 3 ? "m" : "f",
                                            stages[r % 4], r % 500, r % 800, r % 2),
                              FM_OK);
    }
    return b;
}

static fm_table load(const fm_buf *csv, const fm_schema *s, fm_table_options o)
{
    fm_table t = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_table_parse("d.csv", csv->data, csv->len, s, &o, &t), FM_OK);
    return t;
}

/* Rows in some order, with repetitions, through readers of both. */
static void same_rows(const fm_table *a, const fm_table *b, const uint32_t *rows, size_t n)
{
    fm_table_reader *r = NULL, *q = NULL;
    float *x = calloc(n * a->features, sizeof *x), *z = calloc(n * a->features, sizeof *z);
    float *y = calloc(n, sizeof *y), *w = calloc(n, sizeof *w);

    CU_ASSERT_EQUAL_FATAL(fm_table_reader_new(a, &r), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_table_reader_new(b, &q), FM_OK);
    CU_ASSERT_EQUAL(fm_table_reader_take(r, rows, n, x, y), FM_OK);
    CU_ASSERT_EQUAL(fm_table_reader_take(q, rows, n, z, w), FM_OK);
    CU_ASSERT(memcmp(x, z, n * a->features * sizeof *x) == 0);
    CU_ASSERT(memcmp(y, w, n * sizeof *y) == 0);
    CU_ASSERT_EQUAL(fm_table_reader_take(q, (const uint32_t[]){ ROWS }, 1, z, w), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_table_reader_take_raw(q, rows, 1, &(double){ 0 }), FM_EINVAL);
    fm_table_reader_free(&r);
    fm_table_reader_free(&q);
    free(x);
    free(z);
    free(y);
    free(w);
}

static void rows_are_those_of_memory(void)
{
    static const uint64_t limits[] = { 1, 2000000, 4000000 }; /* spilled at once, and on the way */
    fm_schema *s = schema();
    fm_buf csv = records();
    fm_table whole = load(&csv, s, (fm_table_options){ .labels = true, .unit = "who" });
    uint32_t rows[ROWS];
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 4);

    for (size_t k = 0; k < 3; k++) {
        fm_table t =
            load(&csv, s, (fm_table_options){ .labels = true, .unit = "who", .memory = limits[k] });

        CU_ASSERT_PTR_NOT_NULL_FATAL(t.store);
        CU_ASSERT(!t.x && !t.y && !t.lines && fm_table_labelled(&t));
        CU_ASSERT(t.rows == ROWS && t.features == whole.features && t.units == whole.units);
        CU_ASSERT_EQUAL(t.positives, whole.positives);
        CU_ASSERT(memcmp(t.unit_start, whole.unit_start, (t.units + 1) * sizeof *t.unit_start) ==
                  0);
        CU_ASSERT(memcmp(t.unit_rows, whole.unit_rows, t.rows * sizeof *t.unit_rows) == 0);
        for (uint32_t i = 0; i < ROWS; i++)
            rows[i] = i;
        same_rows(&whole, &t, rows, ROWS);
        for (uint32_t i = 0; i < ROWS; i++)
            rows[i] = (uint32_t)fm_rng_below(&rng, ROWS);
        same_rows(&whole, &t, rows, ROWS);
        for (uint32_t i = 0; i < ROWS / 40; i++)
            rows[i] = 40 * i;
        same_rows(&whole, &t, rows, ROWS / 40);
        fm_table_fini(&t);
    }
    fm_table_fini(&whole);
    fm_buf_fini(&csv);
    fm_schema_free(&s);
}

static void raw_cells_are_those_of_memory(void)
{
    static const char *const stages[] = { "I", "III" };
    const fm_raw_column columns[] = { { "age", NULL, 0, false }, { "stage", stages, 2, false } };
    fm_schema *s = schema();
    fm_buf csv = records();
    fm_table whole = load(&csv, s, (fm_table_options){ .raw = columns, .raw_count = 2 }),
             t = load(&csv, s, (fm_table_options){ .raw = columns, .raw_count = 2, .memory = 1 });
    fm_table_reader *r = NULL, *q = NULL;
    double a[2], b[2];

    CU_ASSERT(!t.raw && whole.raw && !fm_table_labelled(&t));
    CU_ASSERT_EQUAL_FATAL(fm_table_reader_new(&t, &r), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_table_reader_new(&whole, &q), FM_OK);
    for (uint32_t i = ROWS; i-- > 0;) {
        CU_ASSERT_EQUAL(fm_table_reader_take_raw(r, &i, 1, a), FM_OK);
        CU_ASSERT_EQUAL(fm_table_reader_take_raw(q, &i, 1, b), FM_OK);
        CU_ASSERT(memcmp(a, b, sizeof a) == 0);
        CU_ASSERT(memcmp(a, whole.raw + i * 2, sizeof a) == 0);
    }
    fm_table_reader_free(&r);
    fm_table_reader_free(&q);
    fm_table_fini(&t);
    fm_table_fini(&whole);
    fm_buf_fini(&csv);
    fm_schema_free(&s);
}

static void a_table_that_fits_stays_in_memory(void)
{
    fm_schema *s = schema();
    fm_buf csv = records();
    fm_table t = load(&csv, s, (fm_table_options){ .labels = true, .memory = 1u << 30 });

    CU_ASSERT(!t.store && t.x && t.y && t.lines);
    fm_table_fini(&t);
    fm_buf_fini(&csv);
    fm_schema_free(&s);
}

static void counting_keeps_nothing(void)
{
    fm_schema *s = schema();
    fm_buf csv = records();
    const fm_table_options o = { .labels = true, .count_only = true };
    fm_table t = load(&csv, s, o);

    CU_ASSERT(t.rows == ROWS && t.positives > 0 && !t.x && !t.y && !t.lines && !t.store);
    fm_table_fini(&t);
    CU_ASSERT_EQUAL(fm_buf_printf(&csv, "p1,old,2001-01-01,m,I,100,v1,0\n"), FM_OK);
    CU_ASSERT_EQUAL(fm_table_parse("d.csv", csv.data, csv.len, s, &o, &t), FM_EPARSE);
    CU_ASSERT_STRING_EQUAL(fm_error_text(), "d.csv:3002, column age: \"old\" is not a number");
    fm_buf_fini(&csv);
    fm_schema_free(&s);
}

static void what_goes_wrong_is_said(void)
{
    fm_schema *s = schema();
    fm_buf csv = records();
    fm_table_options o = { .labels = true, .memory = 1, .scratch = "/nowhere" };
    fm_table t = { 0 }, empty = { 0 };

    CU_ASSERT_EQUAL(fm_table_parse("d.csv", csv.data, csv.len, s, &o, &t), FM_EIO);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "/nowhere: a scratch file"));
    o.scratch = NULL;
    t = load(&csv, s, o);
    CU_ASSERT_EQUAL(fm_table_append(&empty, &t), FM_EINVAL);
    fm_table_fini(&t);
    CU_ASSERT_EQUAL(fm_buf_printf(&csv, "p1,old,2001-01-01,m,I,100,v1,0\n"), FM_OK);
    CU_ASSERT_EQUAL(fm_table_parse("d.csv", csv.data, csv.len, s, &o, &t), FM_EPARSE);
    CU_ASSERT_STRING_EQUAL(fm_error_text(), "d.csv:3002, column age: \"old\" is not a number");
    fm_buf_fini(&csv);
    fm_schema_free(&s);
}

static const fm_test tests[] = {
    { "rows are those of memory", rows_are_those_of_memory },
    { "raw cells are those of memory", raw_cells_are_those_of_memory },
    { "a table that fits stays in memory", a_table_that_fits_stays_in_memory },
    { "counting keeps nothing", counting_keeps_nothing },
    { "what goes wrong is said", what_goes_wrong_is_said },
};

const fm_test_suite suite_table_store = { "model.table_store", tests, FM_TEST_COUNT(tests) };
