/*
 * Steps never allocate, and every allocation that fails is survived. The linker sends this
 * program's allocations, the libraries' of fedmoe included, through the counters below.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corpus_fixture.h"
#include "decoder_fixture.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/model/metrics.h"
#include "fedmoe/model/mlp.h"
#include "fedmoe/model/predict.h"
#include "fedmoe/model/tabular.h"
#include "fm_test.h"
#include "model_fixture.h"
#include "suites.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
int __real_posix_memalign(void **out, size_t alignment, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
int __wrap_posix_memalign(void **out, size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

/* The fail_at-th from now on fails; 0: none. Atomic: predicting allocates in threads. */
static _Atomic size_t allocations, fail_at;

static bool fails(void)
{
    allocations++;
    return fail_at && allocations == fail_at;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t size)
{
    return fails() ? 12 : __real_posix_memalign(out, alignment, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

/* What stands in memory that is given back: with `armed`, `mark` is looked for in it. */
static float mark;
static bool armed;
static size_t marks_freed;

void __real_free(void *p);
void __wrap_free(void *p);

void __wrap_free(void *p)
{
    const size_t bytes = armed && p ? malloc_usable_size(p) : 0;

    for (size_t i = 0; i + sizeof mark <= bytes; i += sizeof mark)
        marks_freed += memcmp((const char *)p + i, &mark, sizeof mark) == 0;
    __real_free(p);
}

static void steps_never_allocate(void)
{
    for (size_t n = 0; n < fixture_config_count; n++) {
        fixture f = fixture_make(&fixture_configs[n].config, 40, 9);
        float *out = calloc(f.parameters, sizeof *out), logits[40 * 4], losses[40];
        int32_t *sum = calloc(f.parameters, sizeof *sum);
        const uint32_t ends[] = { 1, 3, 20, 40 };
        double norms[40], factors[4] = { 1e3, 1e300, 1e4, 1e9 };
        float loads[16 * 8], bias[16 * 8] = { 0 };
        uint64_t squares[4];

        for (size_t i = 0; i < 40; i++)
            logits[i] = 1.0f;
        allocations = 0;
        CU_ASSERT_EQUAL(fm_tabular_backward(f.model, f.x, f.y, f.index, 40, losses), FM_OK);
        fm_tabular_square_norms(f.model, norms);
        fm_tabular_weighted_sum(f.model, logits, out);
        fm_tabular_unit_squares(f.model, ends, 4, norms);
        fm_tabular_add_units(f.model, ends, 4, factors, 1 << 20, sum, squares);
        fm_tabular_unit_loads(f.model, ends, 2, loads);
        fm_tabular_unit_gradient(f.model, 3, out);
        fm_tabular_add_row_gradient(f.model, 4, out);
        CU_ASSERT_EQUAL(fm_tabular_set(f.model, f.theta, f.parameters), FM_OK);
        CU_ASSERT_EQUAL(fm_tabular_set_load_bias(f.model, bias, f.config.blocks * f.config.experts),
                        FM_OK);
        CU_ASSERT_EQUAL(fm_tabular_predict(f.model, f.x, 40, logits), FM_OK);
        CU_ASSERT_EQUAL(allocations, 0);
        free(sum);
        free(out);
        fixture_free(&f);
    }
}

static void a_decoder_step_never_allocates(void)
{
    static const uint32_t tokens[] = { 5, 9, 2, 5, 5, 1, 200, 3, 9 }, ends[] = { 4, 9 };
    const fm_decoder_batch batch = { .tokens = tokens, .ends = ends, .sequences = 2 };

    for (size_t n = 0; n < 2 * DECODER_SMALL; n++) {
        const fm_decoder_config c = decoder_small(n / 2);
        const fm_decoder_options o = { .max_tokens = 9,
                                       .train = n % 2 ? FM_TRAIN_NONE : FM_TRAIN_ALL,
                                       .adapters = { .rank = n % 2 ? 3 : 0,
                                                     .alpha = 6.0,
                                                     .maps = FM_ADAPT_ALL,
                                                     .train_a = true } };
        const double factors[] = { 1e3, 1e9 };
        const float weights[] = { 1.0f, 0.5f };
        float *theta = decoder_random(&c, 4), *out, logits[2 * 211];
        double losses[2], squares[2];
        uint64_t exact[2];
        int32_t *sum;
        fm_decoder *d = NULL;

        CU_ASSERT_EQUAL_FATAL(fm_decoder_new(&c, &o, &d), FM_OK);
        out = calloc(fm_decoder_gradient_parameters(d), sizeof *out);
        sum = calloc(fm_decoder_gradient_parameters(d), sizeof *sum);
        allocations = 0;
        CU_ASSERT_EQUAL(fm_decoder_set(d, theta, fm_decoder_get_layout(d)->parameters), FM_OK);
        CU_ASSERT_EQUAL(fm_decoder_last_logits(d, &batch, logits), FM_OK);
        CU_ASSERT_EQUAL(fm_decoder_backward(d, &batch, losses), FM_OK);
        fm_decoder_unit_squares(d, NULL, 2, squares);
        fm_decoder_weighted_sum(d, NULL, 2, weights, out);
        fm_decoder_add_unit_gradient(d, NULL, 1, out);
        if (n % 2)
            CU_ASSERT_EQUAL(fm_decoder_add_units(d, NULL, 2, factors, 1 << 20, sum, exact), FM_OK);
        fm_decoder_forget(d);
        CU_ASSERT_EQUAL(allocations, 0);
        fm_decoder_free(&d);
        free(theta);
        free(out);
        free(sum);
    }
}

#define SCHEMA                                                                       \
    "name: t\ncsv: {header: true, missing: [\"?\", \"\"]}\ncolumns:\n"               \
    "  - {name: x, kind: numeric, range: [0, 8], knots: [1, 2], missing: [\"7\"]}\n" \
    "  - {name: c, kind: categorical, values: [a, b]}\n"                             \
    "  - {name: y, kind: label, negative: [0], positive: [1]}\n"

/* All that is made from files: schema, table, configuration, model, and back from its bytes. */
static fm_status whole_life(void)
{
    static const char csv[] = "x,c,y\n1,a,0\n?,b,1\n";
    static const char units[] = "x,c,y\n1,a,0\n2,b,1\n1,b,0\n";
    static const char yaml[] = "width: 4\nmultipliers: {head: 0.5}\n";
    const fm_table_options options = { .labels = true };
    fm_schema *s = NULL, *again = NULL;
    const fm_mlp_config layers = { .layers = 2, .sizes = { 3, 4, 2 } };
    fm_tabular *m = NULL, *back = NULL, *worker = NULL;
    fm_tabular_config c;
    fm_mlp *mlp = NULL;
    const fm_table_options by_unit = { .labels = true, .unit = "x" };
    fm_table t = { 0 }, all = { 0 }, grouped = { 0 };
    fm_buf file = { 0 };
    fm_status st;

    if (!(st = fm_schema_parse("s", SCHEMA, strlen(SCHEMA), &s)) &&
        !(st = fm_table_parse("d", csv, strlen(csv), s, &options, &t)) &&
        !(st = fm_table_parse("d", units, strlen(units), s, &by_unit, &grouped)) &&
        !(st = fm_table_append(&all, &t)) && !(st = fm_table_append(&all, &t)) &&
        !(st = fm_tabular_config_parse("m", yaml, strlen(yaml), s, &c)) &&
        !(st = fm_tabular_new(&c, 3, &m)) && !(st = fm_tabular_encode(m, s, NULL, 0, &file)))
        st = fm_tabular_decode("f", file.data, file.len, 2, &again, &back);
    if (!st && !(st = fm_tabular_new_worker(m, 5, &worker)))
        st = fm_mlp_new(&layers, 5, &mlp);
    fm_mlp_free(&mlp);
    fm_tabular_free(&worker);
    fm_tabular_free(&m);
    fm_tabular_free(&back);
    fm_schema_free(&s);
    fm_schema_free(&again);
    fm_table_fini(&t);
    fm_table_fini(&all);
    fm_table_fini(&grouped);
    fm_buf_fini(&file);
    return st;
}

/* Decoders of all kinds, and workers. */
static fm_status decoders(void)
{
    fm_status st = FM_OK;

    for (size_t n = 0; !st && n < DECODER_SMALL; n++) {
        const fm_decoder_config c = decoder_small(n);
        const fm_decoder_options o = {
            .max_tokens = 9,
            .train = n % 2 ? FM_TRAIN_NONE : FM_TRAIN_ALL,
            .adapters = { .rank = n % 2 ? 3 : 0, .alpha = 6.0, .maps = FM_ADAPT_ALL }
        };
        fm_decoder *d = NULL, *worker = NULL;

        if (!(st = fm_decoder_new(&c, &o, &d)))
            st = fm_decoder_new_worker(d, 4, &worker);
        fm_decoder_free(&worker);
        fm_decoder_free(&d);
    }
    return st;
}

static char model_path[300], input_path[300], output_path[300];

static fm_status predict_file(void)
{
    const fm_predict_options o = { .model = model_path,
                                   .input = input_path,
                                   .output = output_path,
                                   .id = "c",
                                   .threads = 1,
                                   .force = true };

    return fm_predict_file(&o, NULL);
}

/* Figures and what is made of them. */
static fm_status figures(void)
{
    static const float outputs[] = { -1.0f, 2.0f, 0.5f, 0.0f }, labels[] = { 0.0f, 1.0f };
    fm_metrics m;
    fm_buf text = { 0 };
    fm_status st;

    if (!(st = fm_metrics_classes(outputs, labels, 2, 2, &m)) &&
        !(st = fm_metrics_compute(outputs, labels, 2, &m)) && !(st = fm_metrics_text(&m, &text)))
        st = fm_metrics_svg(&m, "t", &text);
    fm_buf_fini(&text);
    return st;
}

static fm_status all_of_it(void)
{
    fm_status st;

    return (st = whole_life()) || (st = decoders()) || (st = figures()) ? st : predict_file();
}

/* A model file and records for it in a fresh folder. */
static void prepare(void)
{
    static const char csv[] = "x,c\n1,a\n?,\"b\"\n";
    fm_schema *s = NULL;
    fm_tabular_config c;
    fm_tabular *m = NULL;
    fm_buf file = { 0 };
    char dir[256];

    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(model_path, sizeof model_path, "%s/m", dir);
    (void)snprintf(input_path, sizeof input_path, "%s/in.csv", dir);
    (void)snprintf(output_path, sizeof output_path, "%s/out.csv", dir);
    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s", SCHEMA, strlen(SCHEMA), &s), FM_OK);
    fm_tabular_config_default(s, &c);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_new(&c, 1, &m), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_encode(m, s, NULL, 0, &file), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(model_path, file.data, file.len, 0600), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(input_path, csv, strlen(csv), 0600), FM_OK);
    fm_buf_fini(&file);
    fm_tabular_free(&m);
    fm_schema_free(&s);
}

static void every_allocation_that_fails_is_survived(void)
{
    size_t count, other = 0;

    prepare();
    allocations = 0;
    CU_ASSERT_EQUAL_FATAL(all_of_it(), FM_OK);
    count = allocations;
    CU_ASSERT_TRUE(count > 50);
    for (size_t n = 1; n <= count; n++) {
        allocations = 0;
        fail_at = n;
        other += all_of_it() != FM_ENOMEM;
        fail_at = 0;
    }
    printf("    %zu allocations failed in turn\n", count);
    CU_ASSERT_EQUAL(other, 0);
}

#define WIPE_SCHEMA                                                         \
    "name: t\ncsv: {header: false}\ncolumns:\n"                             \
    "  - {name: x, kind: numeric, range: [0, 1000], center: 0, scale: 1}\n" \
    "  - {name: who, kind: ignore}\n"                                       \
    "  - {name: y, kind: label, range: [0, 1000]}\n"

/* So many records with one figure; the last one is `last`. */
static void make_csv(size_t rows, const char *last, fm_buf *csv)
{
    for (size_t i = 0; i < rows; i++)
        CU_ASSERT_EQUAL_FATAL(fm_buf_printf(csv, "712.3457,%zu,712.3457\n", i / 3), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_buf_printf(csv, "%s", last), FM_OK);
}

static void read_armed(const fm_schema *s, const char *last, const char *unit, fm_status want)
{
    const fm_table_options o = { .labels = true, .unit = unit };
    fm_table t = { 0 }, all = { 0 };
    fm_buf csv = { 0 };

    make_csv(2000, last, &csv); /* tables grow three times */
    armed = true;
    CU_ASSERT_EQUAL(fm_table_parse("d", csv.data, csv.len, s, &o, &t), want);
    if (want == FM_OK && !unit)
        for (int i = 0; i < 3; i++)
            CU_ASSERT_EQUAL(fm_table_append(&all, &t), FM_OK);
    fm_table_fini(&t);
    fm_table_fini(&all);
    armed = false;
    fm_buf_fini(&csv);
}

static void what_tables_give_back_holds_no_records(void)
{
    const fm_table_options o = { .labels = true };
    const char *const one = "712.3457,1,712.3457\n";
    volatile float *seen;
    fm_schema *s = NULL;
    fm_table t = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_schema_parse("s", WIPE_SCHEMA, strlen(WIPE_SCHEMA), &s), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_table_parse("d", one, strlen(one), s, &o, &t), FM_OK);
    for (int label = 0; label < 2; label++) {
        mark = label ? t.y[0] : t.x[0];
        CU_ASSERT_FATAL(mark != 0.0f && mark != 1.0f);
        marks_freed = 0;
        read_armed(s, one, NULL, FM_OK);
        read_armed(s, one, "who", FM_OK);
        read_armed(s, "712.3457,4,x\n", NULL, FM_EPARSE);
        CU_ASSERT_EQUAL(marks_freed, 0);
    }
    armed = true;
    seen = malloc(sizeof *seen);
    CU_ASSERT_PTR_NOT_NULL_FATAL(seen);
    *seen = mark;
    free((void *)seen);
    armed = false;
    CU_ASSERT(marks_freed > 0);
    fm_table_fini(&t);
    fm_schema_free(&s);
}

/* A source of each kind, with texts of the letter Z (base64: Wlpa) and one of them wrong. */
static const struct {
    const char *schema, *before, *text, *behind, *bad;
} sources[] = {
    { "name: t\nsource: csv\ntext: note\nunit: who\n", "a,\"Z\"\"", "ZZZZ", "\"\n", "b,Z \"\n" },
    { "name: t\nsource: ndjson\ntemplate: \"{who}:{note}\"\nunit: who\n",
      "{\"who\": \"a\", \"note\": \"\\u005a", "ZZZZ", "\"}\n",
      "{\"who\": \"b\", \"note\": \"ZZZZ" },
    { "name: t\nsource: fhir\nunit: patient\n",
      "{\"resourceType\": \"DiagnosticReport\", \"subject\": {\"reference\": \"Patient/a\"}, "
      "\"presentedForm\": [{\"contentType\": \"text/plain\", \"data\": \"",
      "Wlpa", "\"}]}\n", "{\"resourceType\": \"DiagnosticReport\", \"presentedForm\": [\"ZZZZ" },
};

static void make_texts(size_t source, size_t records, bool bad, fm_buf *data)
{
    if (source == 0)
        CU_ASSERT_EQUAL_FATAL(fm_buf_printf(data, "who,note\n"), FM_OK);
    for (size_t r = 0; r < records; r++) {
        CU_ASSERT_EQUAL_FATAL(fm_buf_printf(data, "%s", sources[source].before), FM_OK);
        for (size_t i = 0; i < 300; i++)
            CU_ASSERT_EQUAL_FATAL(fm_buf_printf(data, "%s", sources[source].text), FM_OK);
        CU_ASSERT_EQUAL_FATAL(fm_buf_printf(data, "%s", sources[source].behind), FM_OK);
    }
    if (bad)
        CU_ASSERT_EQUAL_FATAL(fm_buf_printf(data, "%s", sources[source].bad), FM_OK);
}

static fm_status corpus_life(size_t source, const fm_tokenizer *t, const fm_buf *data)
{
    const fm_corpus_options o = { .context = 100 };
    const char *yaml = sources[source].schema;
    fm_text_schema *s = NULL;
    fm_corpus *c = NULL;
    fm_status st = fm_text_schema_parse("s", yaml, strlen(yaml), &s);

    if (!st)
        st = fm_corpus_parse(s, t, &o, "d", data->data, data->len, &c);
    fm_corpus_free(&c);
    fm_text_schema_free(&s);
    return st;
}

static void corpora_survive_what_fails(void)
{
    fm_tokenizer *t = corpus_tokenizer(NULL, true);

    fm_json_guard(); /* through this program's counters, too */
    for (size_t source = 0; source < FM_TEST_COUNT(sources); source++) {
        fm_buf data = { 0 };
        size_t count, other = 0;

        make_texts(source, 3, false, &data);
        allocations = 0;
        CU_ASSERT_EQUAL(corpus_life(source, t, &data), FM_OK);
        count = allocations;
        CU_ASSERT_TRUE(count > 20);
        for (size_t n = 1; n <= count; n++) {
            allocations = 0;
            fail_at = n;
            other += corpus_life(source, t, &data) != FM_ENOMEM;
            fail_at = 0;
        }
        CU_ASSERT_EQUAL(other, 0);
        fm_buf_fini(&data);
    }
    json_set_alloc_funcs(malloc, free);
    fm_tokenizer_free(&t);
}

/* As letters, in base64, and as ids. */
static void what_corpora_give_back_holds_no_texts(void)
{
    static const char marks[][5] = { "ZZZZ", "Wlpa", "Z\0\0" };
    fm_tokenizer *t = corpus_tokenizer(NULL, true);

    fm_json_guard();
    for (size_t i = 0; i < FM_TEST_COUNT(marks); i++) {
        memcpy(&mark, marks[i], sizeof mark);
        for (size_t source = 0; source < FM_TEST_COUNT(sources); source++) {
            for (int bad = 0; bad < 2; bad++) {
                fm_buf data = { 0 };

                make_texts(source, 20, bad, &data);
                marks_freed = 0;
                armed = true;
                CU_ASSERT_EQUAL(corpus_life(source, t, &data), bad ? FM_EPARSE : FM_OK);
                armed = false;
                CU_ASSERT_EQUAL(marks_freed, 0);
                fm_buf_fini(&data);
            }
        }
    }
    json_set_alloc_funcs(malloc, free);
    fm_tokenizer_free(&t);
}

static const fm_test tests[] = {
    { "steps never allocate", steps_never_allocate },
    { "a decoder's step never allocates", a_decoder_step_never_allocates },
    { "every allocation that fails is survived", every_allocation_that_fails_is_survived },
    { "what tables give back holds no records", what_tables_give_back_holds_no_records },
    { "corpora survive what fails", corpora_survive_what_fails },
    { "what corpora give back holds no texts", what_corpora_give_back_holds_no_texts },
};
const fm_test_suite suite_memory = { "model.memory", tests, FM_TEST_COUNT(tests) };
