/* An institution's own head on a finished model. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "personal_internal.h"
#include "suites.h"

#define ROWS 400
#define SCHEMA                                                                            \
    "name: t\n"                                                                           \
    "columns:\n"                                                                          \
    "  - {name: a, kind: numeric, range: [-3, 3], center: 0, scale: 1, required: true}\n" \
    "  - {name: b, kind: numeric, range: [-3, 3], center: 0, scale: 1, required: true}\n"

typedef struct {
    fm_schema *schema;
    fm_tabular *model;
    fm_tabular_config config;
    fm_table table;
    size_t n;
    float *weights;
} world;

static double normal(fm_rng *r)
{
    double sum = 0.0;

    for (int i = 0; i < 12; i++)
        sum += (double)fm_rng_below(r, 1u << 20) / (1u << 20);
    return sum - 6.0;
}

/* A model of random weights, and records whose label follows it, moved by `shift` and by `own` times
 * the first feature. */
static void open_world(world *w, const char *label, double shift, double own, uint64_t seed)
{
    char text[1024];
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);
    float *z;

    *w = (world){ 0 };
    (void)snprintf(text, sizeof text, "%s%s", SCHEMA, label);
    if (fm_schema_parse("s", text, strlen(text), &w->schema) != FM_OK)
        printf("%s\n", fm_error_text());
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->schema);
    fm_tabular_config_default(w->schema, &w->config);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_parameters(&w->config, &w->n), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_new(&w->config, 64, &w->model), FM_OK);
    fm_tabular_init(w->model, &rng);
    w->weights = calloc(w->n, sizeof *w->weights);
    fm_tabular_get(w->model, w->weights);
    for (size_t i = 0; i < fm_tabular_tensor(w->model, 0).elements; i++)
        w->weights[fm_tabular_tensor(w->model, 0).offset + i] = (float)(1.5 * normal(&rng));
    CU_ASSERT_EQUAL_FATAL(fm_tabular_set(w->model, w->weights, w->n), FM_OK);
    w->table = (fm_table){ .rows = ROWS, .features = w->config.features };
    w->table.x = calloc(ROWS * w->config.features, sizeof *w->table.x);
    w->table.y = calloc(ROWS, sizeof *w->table.y);
    for (size_t i = 0; i < ROWS * w->config.features; i++)
        w->table.x[i] = (float)normal(&rng);
    z = calloc(ROWS * w->config.outputs, sizeof *z);
    CU_ASSERT_EQUAL_FATAL(fm_tabular_predict(w->model, w->table.x, ROWS, z), FM_OK);
    for (size_t i = 0; i < ROWS; i++) {
        const double at = (double)z[i * w->config.outputs] + shift +
                          own * (double)w->table.x[i * w->config.features];
        const double u = (double)(fm_rng_below(&rng, 1u << 20) + 1) / ((1u << 20) + 2);

        if (w->config.target == FM_TARGET_NUMBER)
            w->table.y[i] = (float)(at + 0.3 * normal(&rng));
        else if (w->config.target == FM_TARGET_CLASSES)
            w->table.y[i] = (float)(at > 1.0 ? 0 : 1 + fm_rng_below(&rng, w->config.outputs - 1));
        else
            w->table.y[i] = u < 1.0 / (1.0 + exp(-at)) ? 1.0f : 0.0f;
    }
    free(z);
}

static void close_world(world *w)
{
    free(w->table.x);
    free(w->table.y);
    free(w->weights);
    fm_tabular_free(&w->model);
    fm_schema_free(&w->schema);
}

#define BINARY "  - {name: y, kind: label, negative: [0], positive: [1]}\n"
#define CLASSES "  - {name: y, kind: label, values: [p, q, r]}\n"
#define NUMBER "  - {name: y, kind: label, range: [-20, 20]}\n"

static uint32_t all_rows[ROWS];

static fm_personal fit(const fm_personal_data *d, double pull)
{
    fm_personal p = { 0 };

    for (uint32_t i = 0; i < ROWS; i++)
        all_rows[i] = i;
    CU_ASSERT_EQUAL_FATAL(fm_personal_fit(d, all_rows, ROWS, pull, &p), FM_OK);
    return p;
}

/* f(x) = (x0 - 1)^2 + 50 (x1 - x0^2)^2 / 4, convex where it matters: a bent valley. */
static double valley(void *ctx, const double *x, double *g)
{
    const double a = x[0] - 1.0, b = x[1] - x[0] * x[0];

    ++*(unsigned *)ctx;
    g[0] = 2.0 * a - 50.0 * x[0] * b;
    g[1] = 25.0 * b;
    return a * a + 12.5 * b * b;
}

static void the_least_is_found(void)
{
    double x[2] = { -1.2, 1.0 };
    unsigned calls = 0;

    CU_ASSERT_EQUAL(fm_lbfgs(valley, &calls, 2, x), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(x[0], 1.0, 1e-4);
    CU_ASSERT_DOUBLE_EQUAL(x[1], 1.0, 1e-4);
    CU_ASSERT(calls < 200);
}

/* Slopes of the loss against differences, for each kind of label. */
static void slopes_are_those_of_the_loss(void)
{
    const char *const labels[] = { BINARY, CLASSES, NUMBER };

    for (size_t k = 0; k < 3; k++) {
        world w;
        double z[3] = { 0.7, -0.4, 1.9 }, slope[3], dummy[3];

        open_world(&w, labels[k], 0.0, 0.0, 1);
        w.config.class_weights[1] = 1.7f;
        for (float y = 0.0f; y < 2.0f; y += 1.0f)
            for (size_t i = 0; i < w.config.outputs; i++) {
                const double h = 1e-6, at = z[i];
                double up, down;

                (void)personal_loss(&w.config, z, y, slope);
                z[i] = at + h;
                up = personal_loss(&w.config, z, y, dummy);
                z[i] = at - h;
                down = personal_loss(&w.config, z, y, dummy);
                z[i] = at;
                CU_ASSERT_DOUBLE_EQUAL(slope[i], (up - down) / (2.0 * h), 1e-7);
            }
        close_world(&w);
    }
}

/* A hard pull is the federation's model; a soft one finds what is different here. */
static void the_pull_goes_from_the_federations_to_ones_own(void)
{
    world w;
    fm_personal_data *d = NULL;
    fm_personal hard, soft;
    double loss[2] = { 0.0, 0.0 };

    open_world(&w, NUMBER, 0.0, 0.8, 2);
    CU_ASSERT_EQUAL_FATAL(fm_personal_data_new(w.model, &w.table, &d), FM_OK);
    hard = fit(d, 1e9);
    soft = fit(d, 0.0);
    for (size_t f = 0; f < w.config.features; f++)
        CU_ASSERT_DOUBLE_EQUAL(hard.delta[f], 0.0, 1e-6);
    for (size_t i = 0; i < ROWS; i++) {
        const fm_personal *const heads[] = { &hard, &soft };

        for (size_t k = 0; k < 2; k++) {
            float out;
            double z, slope;

            fm_personal_predict(d, heads[k], i, &out);
            z = (double)out;
            loss[k] += personal_loss(&w.config, &z, w.table.y[i], &slope) / ROWS;
        }
    }
    /* What is left is the labels' own noise: half its variance. */
    CU_ASSERT(loss[1] < 0.3 * 0.3 / 2.0 * 1.2);
    CU_ASSERT(loss[0] > loss[1] + 0.1);
    fm_personal_fini(&hard);
    fm_personal_fini(&soft);
    hard = fit(d, (double)INFINITY);
    for (size_t f = 0; f < w.config.features; f++)
        CU_ASSERT_EQUAL(hard.delta[f], 0.0);
    fm_personal_fini(&hard);
    fm_personal_data_free(&d);
    close_world(&w);
}

/* The model with the head in its weights predicts what the head said. */
static void the_head_becomes_part_of_the_model(void)
{
    const char *const labels[] = { BINARY, CLASSES, NUMBER };

    for (size_t k = 0; k < 3; k++) {
        world w;
        fm_personal_data *d = NULL;
        fm_personal p;
        float *z, one[3];

        open_world(&w, labels[k], 0.5, 0.8, 3 + k);
        CU_ASSERT_EQUAL(fm_tabular_set_clip_norm(w.model, k == 0 ? 0.3 : 0.0), FM_OK);
        CU_ASSERT_EQUAL_FATAL(fm_personal_data_new(w.model, &w.table, &d), FM_OK);
        p = fit(d, 0.01);
        CU_ASSERT_EQUAL_FATAL(fm_personal_apply(d, &p, w.model), FM_OK);
        CU_ASSERT_EQUAL(fm_tabular_clip_norm(w.model), 0.0);
        z = calloc(ROWS * w.config.outputs, sizeof *z);
        CU_ASSERT_EQUAL(fm_tabular_predict(w.model, w.table.x, ROWS, z), FM_OK);
        for (size_t i = 0; i < ROWS; i++) {
            fm_personal_predict(d, &p, i, one);
            for (size_t c = 0; c < w.config.outputs; c++)
                CU_ASSERT_DOUBLE_EQUAL((double)z[i * w.config.outputs + c], (double)one[c],
                                       1e-4 * (1.0 + fabs((double)one[c])));
        }
        free(z);
        fm_personal_fini(&p);
        fm_personal_data_free(&d);
        close_world(&w);
    }
}

static unsigned chosen(double shift, double own)
{
    unsigned n = 0;

    for (uint64_t seed = 0; seed < 10; seed++) {
        world w;
        fm_personal_data *d = NULL;
        fm_personal_report r;

        open_world(&w, BINARY, shift, own, 20 + seed);
        CU_ASSERT_EQUAL_FATAL(fm_personal_data_new(w.model, &w.table, &d), FM_OK);
        CU_ASSERT_EQUAL_FATAL(fm_personal_choose(d, seed, &r), FM_OK);
        CU_ASSERT_EQUAL(r.units, ROWS);
        CU_ASSERT_EQUAL(r.kept, !(r.scores[r.best].gain > 2.0 * r.scores[r.best].gain_se));
        n += !r.kept;
        fm_personal_data_free(&d);
        close_world(&w);
    }
    return n;
}

/* Records of the federation's own kind: no head, but for luck. Others: always one. */
static void a_head_is_chosen_where_records_differ(void)
{
    CU_ASSERT(chosen(0.0, 0.0) <= 1);
    CU_ASSERT_EQUAL(chosen(1.5, 0.0), 10);
    CU_ASSERT_EQUAL(chosen(0.0, 3.0), 10);
}

/* Rows of a unit are left out together: else a unit's other rows would tell. */
static void units_are_left_out_whole(void)
{
    enum { UNITS = 50, EACH = ROWS / UNITS };
    world w;
    fm_personal_data *d = NULL;
    fm_personal_report whole, apart;
    size_t start[UNITS + 1];
    uint32_t rows[ROWS];
    char label[1024] = "  - {name: u, kind: categorical, required: true, values: [u0";

    for (size_t u = 1; u < UNITS; u++)
        (void)snprintf(label + strlen(label), sizeof label - strlen(label), ", u%zu", u);
    (void)snprintf(label + strlen(label), sizeof label - strlen(label), "]}\n%s", BINARY);
    open_world(&w, label, 0.0, 0.0, 7);
    CU_ASSERT_EQUAL_FATAL(w.config.features, 2 + UNITS);
    /* A feature for each unit, and a label that is a coin of the unit's. */
    memset(w.table.x, 0, ROWS * w.config.features * sizeof *w.table.x);
    for (uint32_t i = 0; i < ROWS; i++) {
        const size_t u = i / EACH;

        rows[i] = i;
        start[u] = u * EACH;
        w.table.x[i * w.config.features + 2 + u] = 1.0f;
        w.table.y[i] = (float)(u * 7 % 5 % 2);
    }
    start[UNITS] = ROWS;
    CU_ASSERT_EQUAL_FATAL(fm_personal_data_new(w.model, &w.table, &d), FM_OK);
    CU_ASSERT_EQUAL(fm_personal_choose(d, 0, &apart), FM_OK);
    w.table.units = UNITS;
    w.table.unit_start = start;
    w.table.unit_rows = rows;
    CU_ASSERT_EQUAL(fm_personal_choose(d, 0, &whole), FM_OK);
    CU_ASSERT_EQUAL(whole.units, UNITS);
    CU_ASSERT(apart.scores[apart.best].loss + 0.1 < whole.scores[whole.best].loss);
    fm_personal_data_free(&d);
    close_world(&w);
}

static void few_records_are_refused(void)
{
    world w;
    fm_personal_data *d = NULL;
    fm_personal_report r;

    open_world(&w, BINARY, 0.0, 0.0, 1);
    w.table.rows = FM_PERSONAL_MIN_UNITS - 1;
    CU_ASSERT_EQUAL_FATAL(fm_personal_data_new(w.model, &w.table, &d), FM_OK);
    CU_ASSERT_EQUAL(fm_personal_choose(d, 0, &r), FM_EINVAL);
    fm_personal_data_free(&d);
    w.table.y[3] = 0.0f;
    w.table.features++;
    CU_ASSERT_EQUAL(fm_personal_data_new(w.model, &w.table, &d), FM_EINVAL);
    CU_ASSERT_PTR_NULL(d);
    w.table.rows = ROWS;
    close_world(&w);
}

static const fm_test tests[] = {
    { "the least is found", the_least_is_found },
    { "slopes are those of the loss", slopes_are_those_of_the_loss },
    { "the pull goes from the federation's to one's own",
      the_pull_goes_from_the_federations_to_ones_own },
    { "the head becomes part of the model", the_head_becomes_part_of_the_model },
    { "a head is chosen where records differ", a_head_is_chosen_where_records_differ },
    { "units are left out whole", units_are_left_out_whole },
    { "few records are refused", few_records_are_refused },
};

const fm_test_suite suite_personal = { "train.personal", tests, FM_TEST_COUNT(tests) };
