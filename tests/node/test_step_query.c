/* A step of a query: exactly the integers that the records say, and one unit is one vote. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "step_query.h"
#include "suites.h"
#include "unit_rig.h"
#include "world.h"

static char g_statistics[] = "columns:\n"
                             "  - {column: a, ask: count}\n"
                             "  - {column: a, ask: histogram, range: [-4, 4], bins: 8}\n"
                             "  - {column: b, ask: mean, range: [-4, 4], weight: 0.5}\n"
                             "  - {column: y, ask: values, values: [\"1\"]}\n";
static char g_histogram[] = "columns: [{column: a, ask: histogram, range: [-4, 4], bins: 8}]";
static char g_scores[] = "scores: {bins: 16, groups: 4}";

/* Where the blocks of g_statistics lie: there, missing; 8 bins, below, above, missing; sum, there,
 * missing; "1", another, missing. */
enum { COUNT = 0, HISTOGRAM = 2, MEAN = 13, VALUES = 16, WIDTH = 19 };

/** The rig's plan becomes a query. */
static fm_query *ask(unit_rig *r, fm_task task, char *text)
{
    const fm_query_task kind =
        task == FM_TASK_STATISTICS ? FM_QUERY_STATISTICS : FM_QUERY_EVALUATION;
    fm_query *q = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_query_parse(kind, "query", text, strlen(text), &q), FM_OK);
    r->plan.task = task;
    r->plan.query_text = text;
    r->plan.clip_norm = fm_query_clip_norm(q);
    if (task == FM_TASK_EVALUATION)
        r->plan.frozen = r->plan.parameters;
    r->plan.parameters = r->plan.frozen + (uint32_t)fm_query_width(q);
    return q;
}

/** The rows, read for the plan's query as a node reads them. */
static void read_raw(unit_rig *r, const fm_query *q, const char *unit)
{
    fm_table_options o = { .raw_count = fm_query_items(q), .unit = unit };
    fm_raw_column *columns = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_node_query_columns(q, &columns), FM_OK);
    o.raw = columns;
    fm_table_fini(&r->table);
    CU_ASSERT_EQUAL_FATAL(
        fm_table_parse("visits", r->csv.data, r->csv.len, r->schema, &o, &r->table), FM_OK);
    free(columns);
}

static void row(unit_rig *r, const char *text)
{
    need(fm_buf_printf(&r->csv, "%s\n", text) == FM_OK, "a row");
}

static void as_records(unit_rig *r)
{
    (void)snprintf(r->plan.privacy_unit, sizeof r->plan.privacy_unit, "%s", FM_UNIT_RECORD);
    r->plan.max_unit_rows = 1;
}

static double scale_of(const unit_rig *r)
{
    const fm_dp_lattice_spec spec = fm_node_lattice_spec(&r->plan);
    fm_dp_lattice lattice;

    CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&spec, &lattice), FM_OK);
    return lattice.scale;
}

/** The step's integers over the scale; owned by the caller. */
static double *answers(const unit_rig *r, size_t *dropped)
{
    const uint32_t n = fm_plan_update_words(&r->plan);
    double *out = calloc(n, sizeof *out), scale = scale_of(r);
    fm_rng rng = fm_rng_system();
    fm_node_step *s = unit_rig_step(r);
    const int32_t *sum = unit_rig_run(r, s, &rng);

    need(out != NULL && sum != NULL, "memory");
    for (uint32_t i = 0; i < n; i++)
        out[i] = (double)sum[i] / scale; /* exact: the scale is a power of two */
    if (dropped)
        *dropped = fm_node_step_dropped_for_tests(s);
    fm_node_step_free(&s);
    return out;
}

static void check_answers(const unit_rig *r, const double *want)
{
    double *got = answers(r, NULL);
    size_t wrong = 0;

    for (uint32_t i = 0; i < fm_plan_update_words(&r->plan); i++) {
        if (got[i] != want[i])
            printf("\n    figure %u: %.8f, not %.8f", i, got[i], want[i]);
        wrong += got[i] != want[i];
    }
    CU_ASSERT_EQUAL(wrong, 0);
    free(got);
}

/* For the mean a record adds 0.875 times the value moved to -1..1, and 0.46875 for being there;
 * times its weight of a half. */
static void a_statistics_step_adds_exactly_what_the_records_say(void)
{
    static const char *const rows[] = { "p,-4,0,1",  "p,-3.5,4,0", "p,3.99,-4,1", "p,4,?,0",
                                        "p,4.1,0,?", "p,-9,0,1",   "p,?,0,1",     "p,0,-77,0" };
    static const double
        want[WIDTH] = {
            [COUNT] = 7.0,         [COUNT + 1] = 1.0,      [HISTOGRAM] = 2.0,
            [HISTOGRAM + 4] = 1.0, [HISTOGRAM + 7] = 2.0,  [HISTOGRAM + 8] = 1.0,
            [HISTOGRAM + 9] = 1.0, [HISTOGRAM + 10] = 1.0, [MEAN] = -0.5 * 0.875,
            [MEAN + 1] = 1.640625, [MEAN + 2] = 0.5,       [VALUES] = 4.0,
            [VALUES + 1] = 3.0,    [VALUES + 2] = 1.0,
        };
    fm_query *q;
    unit_rig r;

    unit_rig_open(&r);
    q = ask(&r, FM_TASK_STATISTICS, g_statistics);
    CU_ASSERT_EQUAL_FATAL(fm_plan_update_words(&r.plan), WIDTH);
    as_records(&r);
    for (size_t i = 0; i < FM_TEST_COUNT(rows); i++)
        row(&r, rows[i]);
    read_raw(&r, q, NULL);
    check_answers(&r, want);
    fm_query_free(&q);
    unit_rig_close(&r);
}

/* Units of 1, 2 and 4 rows: each adds the mean of its rows' answers, and weighs one. */
static void a_unit_adds_the_mean_of_its_rows(void)
{
    static const char *const rows[] = { "p,0.5,4,1", "q,0.5,4,1", "r,?,4,0",  "q,1.5,-4,0",
                                        "r,0.5,?,0", "r,0.5,4,0", "r,2.5,4,?" };
    static const double want[WIDTH] = {
        [COUNT] = 2.75,         [COUNT + 1] = 0.25,           [HISTOGRAM + 4] = 2.0,
        [HISTOGRAM + 5] = 0.5,  [HISTOGRAM + 6] = 0.25,       [HISTOGRAM + 10] = 0.25,
        [MEAN] = 0.4375 * 1.75, [MEAN + 1] = 0.234375 * 2.75, [MEAN + 2] = 0.5 * 0.25,
        [VALUES] = 1.5,         [VALUES + 1] = 1.25,          [VALUES + 2] = 0.25,
    };
    fm_query *q;
    unit_rig r;

    unit_rig_open(&r);
    q = ask(&r, FM_TASK_STATISTICS, g_statistics);
    for (size_t i = 0; i < FM_TEST_COUNT(rows); i++)
        row(&r, rows[i]);
    read_raw(&r, q, "who");
    CU_ASSERT_EQUAL_FATAL(r.table.units, 3);
    check_answers(&r, want);
    fm_query_free(&q);
    unit_rig_close(&r);
}

/** 50 others, and, unless left out, one patient of 1000 rows with the same cell. */
static void fill_hospital(unit_rig *r, bool with_patient)
{
    fm_buf_clear(&r->csv);
    for (unsigned i = 0; i < 1000; i++) {
        if (i < 50)
            unit_rig_visit(r, i, i);
        if (with_patient)
            row(r, "rich,2.5,1,1");
    }
}

/** L2 distance of the answers with and without the patient, in units of the sensitivity. */
static double shift(unit_rig *r, const fm_query *q, const char *unit)
{
    double *with, *without, square = 0.0;

    fill_hospital(r, true);
    read_raw(r, q, unit);
    with = answers(r, NULL);
    fill_hospital(r, false);
    read_raw(r, q, unit);
    without = answers(r, NULL);
    for (uint32_t i = 0; i < fm_plan_update_words(&r->plan); i++)
        square += (with[i] - without[i]) * (with[i] - without[i]);
    free(with);
    free(without);
    return sqrt(square / unit_rig_square_sensitivity(r)) * scale_of(r);
}

/** The attack: whoever has a thousand records stands out of the histogram, unless one unit. */
static void a_patient_with_a_thousand_records_moves_a_histogram_as_far_as_one(void)
{
    static char *const texts[] = { g_histogram, g_statistics };

    for (size_t i = 0; i < FM_TEST_COUNT(texts); i++) {
        double as_one, as_rows;
        fm_query *q;
        unit_rig r;

        unit_rig_open(&r);
        q = ask(&r, FM_TASK_STATISTICS, texts[i]);
        r.plan.max_unit_rows = 1000;
        as_one = shift(&r, q, "who");
        r.plan.max_unit_rows = 3; /* of which a choice of three counts: the same cell */
        CU_ASSERT(shift(&r, q, "who") <= 1.0);
        as_records(&r);
        as_rows = shift(&r, q, NULL);
        printf("\n    moved by %.4f of the sensitivity; as records by %.0f ", as_one, as_rows);
        CU_ASSERT(as_one <= 1.0);
        CU_ASSERT(as_one > 0.9);    /* it does move */
        CU_ASSERT(as_rows > 900.0); /* what the unit prevents */
        fm_query_free(&q);
        unit_rig_close(&r);
    }
}

/* ---- evaluation ---- */

/** Each record alone through the model, its answer encoded alone. out: int32[words] is added to. */
static void score_alone(const unit_rig *r, const fm_query *q, size_t i, double share, float *out)
{
    fm_tabular_config config;
    fm_tabular *t = NULL;
    float logit = 0.0f;

    need(fm_tabular_config_parse("model", r->plan.model_text, strlen(r->plan.model_text), r->schema,
                                 &config) == FM_OK &&
             fm_tabular_new(&config, 1, &t) == FM_OK &&
             fm_tabular_set(t, r->model, r->plan.frozen) == FM_OK &&
             fm_tabular_set_clip_norm(t, r->plan.model_clip_norm) == FM_OK &&
             fm_tabular_predict(t, r->table.x + i * r->table.features, 1, &logit) == FM_OK,
         "a score");
    fm_query_add_score(q, (double)logit, r->table.y[i] > 0.5f, (float)share, out);
    fm_tabular_free(&t);
}

/** What all units ought to add: the mean over a unit's rows, on the lattice; owned by the caller. */
static double *scores_alone(const unit_rig *r, const fm_query *q)
{
    const fm_dp_lattice_spec spec = fm_node_lattice_spec(&r->plan);
    const fm_table *t = &r->table;
    const size_t n = fm_query_width(q), units = t->units ? t->units : t->rows;
    double *want = calloc(n, sizeof *want);
    float *one = calloc(n, sizeof *one);
    int32_t *steps = calloc(n, sizeof *steps);
    fm_dp_lattice l;

    need(want && one && steps && fm_dp_lattice_make(&spec, &l) == FM_OK, "a lattice");
    for (size_t u = 0; u < units; u++) {
        size_t from = t->units ? t->unit_start[u] : u, to = t->units ? t->unit_start[u + 1] : u + 1;

        memset(one, 0, n * sizeof *one);
        for (size_t k = from; k < to; k++)
            score_alone(r, q, t->units ? t->unit_rows[k] : k, 1.0 / (double)(to - from), one);
        need(fm_dp_encode_unit(&l, one, n, steps) == FM_OK, "a unit");
        for (size_t i = 0; i < n; i++)
            want[i] += (double)steps[i] / l.scale;
    }
    free(one);
    free(steps);
    return want;
}

static double estimate(const json_t *answered, const char *key)
{
    const json_t *all = json_array_get(json_object_get(answered, "results"), 0);

    return json_number_value(json_object_get(json_object_get(all, key), "estimate"));
}

/** The sum read as the coordinator reads it. */
static void check_classes(const unit_rig *r, const fm_query *q, const double *got)
{
    const fm_query_report report = { "f", "p", "00", 1000.0, 1e-5, 1.0, 0.0 };
    const size_t n = fm_query_width(q);
    float *sum = calloc(n, sizeof *sum);
    json_t *out = NULL;
    double positives = 0.0;

    need(sum != NULL, "memory");
    for (size_t i = 0; i < r->table.rows; i++)
        positives += r->table.y[i] > 0.5f;
    for (size_t i = 0; i < n; i++)
        sum[i] = (float)got[i];
    CU_ASSERT_EQUAL_FATAL(fm_query_read(q, sum, &report, &out), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(estimate(out, "positives"), positives, 1e-3);
    CU_ASSERT_DOUBLE_EQUAL(estimate(out, "negatives"), (double)r->table.rows - positives, 1e-3);
    json_decref(out);
    free(sum);
}

static void an_evaluation_step_adds_exactly_what_the_model_says(void)
{
    double *want, *got;
    fm_query *q;
    unit_rig r;

    unit_rig_open(&r);
    q = ask(&r, FM_TASK_EVALUATION, g_scores);
    for (unsigned i = 0; i < 300; i++)
        unit_rig_visit(&r, i % 100, i);
    unit_rig_load(&r, "who"); /* units of three rows */
    want = scores_alone(&r, q);
    check_answers(&r, want);
    free(want);
    as_records(&r);
    unit_rig_load(&r, NULL);
    want = scores_alone(&r, q);
    check_answers(&r, want);
    got = answers(&r, NULL);
    check_classes(&r, q, got);
    free(got);
    r.plan.model_clip_norm = 0.05; /* the scores are then those of the corrected model */
    got = scores_alone(&r, q);
    check_answers(&r, got);
    CU_ASSERT(memcmp(got, want, fm_query_width(q) * sizeof *got) != 0);
    free(want);
    free(got);
    fm_query_free(&q);
    unit_rig_close(&r);
}

/* A record that the model cannot score adds nothing, and takes nobody with it. */
static void a_score_that_is_no_number_adds_nothing(void)
{
    const float odd[] = { NAN, INFINITY, -INFINITY };
    fm_query *q;
    unit_rig r;

    unit_rig_open(&r);
    q = ask(&r, FM_TASK_EVALUATION, g_scores);
    as_records(&r);
    for (unsigned i = 0; i < 200; i++)
        unit_rig_visit(&r, i, i);
    unit_rig_load(&r, NULL);
    for (size_t k = 0; k < FM_TEST_COUNT(odd); k++) {
        size_t dropped = 77;
        double *got, *want, *mine;

        unit_rig_load(&r, NULL);
        want = answers(&r, NULL);
        for (size_t f = 0; f < r.table.features; f++)
            r.table.x[130 * r.table.features + f] = odd[k];
        got = answers(&r, &dropped);
        CU_ASSERT_EQUAL(dropped, 0);
        mine = scores_alone(&r, q);
        CU_ASSERT(memcmp(got, mine, fm_query_width(q) * sizeof *got) == 0);
        CU_ASSERT(memcmp(got, want, fm_query_width(q) * sizeof *got) != 0);
        free(got);
        free(want);
        free(mine);
    }
    fm_query_free(&q);
    unit_rig_close(&r);
}

/* ---- what does not go together ---- */

static void refuse(const unit_rig *r, fm_status why, const char *word)
{
    fm_node_step *s = NULL;

    CU_ASSERT_EQUAL(fm_node_step_new(&r->plan, &r->table, 1, &s), why);
    CU_ASSERT_PTR_NULL(s);
    if (!strstr(fm_error_text(), word))
        printf("\n    not '%s': %s", word, fm_error_text());
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), word));
}

static void a_query_that_does_not_fit_plan_or_records_is_refused(void)
{
    static char other[] = "columns: [{column: a, ask: count}, {column: b, ask: count}]";
    fm_query *q;
    unit_rig r;

    unit_rig_open(&r);
    q = ask(&r, FM_TASK_STATISTICS, g_histogram);
    as_records(&r);
    unit_rig_visit(&r, 1, 1);
    unit_rig_visit(&r, 2, 2);
    unit_rig_load(&r, NULL);
    refuse(&r, FM_EINVAL, "not read for the plan's query");
    read_raw(&r, q, NULL);
    free(answers(&r, NULL));
    r.plan.query_text = other;
    refuse(&r, FM_EINVAL, "has 4 figures; the plan says 11");
    r.plan.parameters = 4;
    refuse(&r, FM_EINVAL, "not read for the plan's query");
    r.plan.query_text = g_scores;
    refuse(&r, FM_EPARSE, "the plan's query");
    r.plan.query_text = g_histogram;
    r.plan.parameters = 11;
    read_raw(&r, q, "who");
    refuse(&r, FM_EINVAL, "not grouped");
    fm_query_free(&q);
    unit_rig_close(&r);
}

static void an_evaluation_of_another_model_is_refused(void)
{
    fm_query *q;
    unit_rig r;

    unit_rig_open(&r);
    q = ask(&r, FM_TASK_EVALUATION, g_scores);
    as_records(&r);
    unit_rig_visit(&r, 1, 1);
    unit_rig_load(&r, NULL);
    free(answers(&r, NULL));
    r.plan.frozen--;
    r.plan.parameters--;
    refuse(&r, FM_EINVAL, "the plan's model has");
    r.plan.frozen++;
    r.plan.parameters++;
    r.plan.model_text[0] = 'x';
    refuse(&r, FM_EPARSE, "the plan's model");
    r.plan.model_text[0] = 'w';
    free(r.table.y); /* as a table without labels */
    r.table.y = NULL;
    refuse(&r, FM_EINVAL, "not encoded by the plan's schema");
    fm_query_free(&q);
    unit_rig_close(&r);
}

static const fm_test tests[] = {
    { "a statistics step adds exactly what the records say",
      a_statistics_step_adds_exactly_what_the_records_say },
    { "a unit adds the mean of its rows", a_unit_adds_the_mean_of_its_rows },
    { "a patient with a thousand records moves a histogram as far as one (else: they stand out)",
      a_patient_with_a_thousand_records_moves_a_histogram_as_far_as_one },
    { "an evaluation step adds exactly what the model says",
      an_evaluation_step_adds_exactly_what_the_model_says },
    { "a score that is no number adds nothing", a_score_that_is_no_number_adds_nothing },
    { "a query that does not fit plan or records is refused",
      a_query_that_does_not_fit_plan_or_records_is_refused },
    { "an evaluation of another model is refused", an_evaluation_of_another_model_is_refused },
};

const fm_test_suite suite_step_query = { "node.step_query", tests, FM_TEST_COUNT(tests) };
