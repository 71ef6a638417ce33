#include "unit_rig.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static char g_schema[] = "name: visits\n"
                         "csv: {header: false, delimiter: \",\", missing: [\"?\", \"\"]}\n"
                         "columns:\n"
                         "  - {name: who, kind: ignore}\n"
                         "  - {name: a, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
                         "  - {name: b, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
                         "  - {name: y, kind: label, negative: [\"0\"], positive: [\"1\"]}\n";
static char g_model[] = "width: 4\nblocks: 1\nexperts: 3\ntop_k: 1\nexpert_hidden: 3\n"
                        "shared_hidden: 2\n";
static uint32_t g_alone = 0;

fm_encoding unit_rig_encoding = FM_ENCODING_EXACT;

void unit_rig_visit(unit_rig *r, unsigned who, unsigned seed)
{
    need(fm_buf_printf(&r->csv, "p%u,%.3f,%.3f,%u\n", who, 4.0 * sin((double)seed),
                       4.0 * cos(2.5 * (double)seed), seed % 3 == 0) == FM_OK,
         "records");
}

static void make_keys(unit_rig *r)
{
    uint8_t keys[1][FM_DP_KEY_BYTES];
    fm_dp_roster roster = { .federation = FEDERATION, .members = 1, .self = 0 };

    need(fm_dp_keypair_new(&r->keypair) == FM_OK, "keys");
    memcpy(keys[0], fm_dp_keypair_public(r->keypair), sizeof keys[0]);
    roster.public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])keys;
    need(fm_dp_pairs_new(r->keypair, &roster, &r->pairs) == FM_OK, "pairs");
    r->round = (fm_dp_round){ .round = 1,
                              .participants = &g_alone,
                              .participant_count = 1,
                              .mask_density = FM_DP_DENSITY_ALL };
}

/** A model of which no weight is zero, so that every coordinate moves. */
static void make_model(unit_rig *r)
{
    fm_tabular_config config;
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 11);
    size_t parameters = 0;

    need(fm_tabular_config_parse("model", g_model, strlen(g_model), r->schema, &config) == FM_OK &&
             fm_tabular_parameters(&config, &parameters) == FM_OK,
         "a model");
    r->plan.parameters = (uint32_t)parameters;
    need((r->model = calloc(parameters, sizeof *r->model)) != NULL, "memory");
    for (size_t i = 0; i < parameters; i++)
        r->model[i] = (float)(0.5 * fm_rng_normal(&rng));
}

void unit_rig_open(unit_rig *r)
{
    *r = (unit_rig){ .plan = { .clip_norm = 1.0,
                               .sampling_rate = 1.0,
                               .privacy_unit = "who",
                               .max_unit_rows = FM_MAX_UNIT_ROWS,
                               .max_units = 4000,
                               .quorum = 1,
                               .max_nodes = 4,
                               .word_bits = 32,
                               .mask_density = 256,
                               .encoding = unit_rig_encoding,
                               .model_text = g_model,
                               .schema_text = g_schema } };
    need(fm_schema_parse("schema", g_schema, strlen(g_schema), &r->schema) == FM_OK, "a schema");
    make_model(r);
    make_keys(r);
}

void unit_rig_start(unit_rig *r)
{
    static char model[] = "width: 0\ncenter: true\n";
    fm_tabular_config config;
    fm_tabular_start s;
    size_t parameters = 0;

    need(fm_tabular_config_parse("model", model, strlen(model), r->schema, &config) == FM_OK &&
             fm_tabular_parameters(&config, &parameters) == FM_OK &&
             fm_tabular_start_of(&config, &s) == FM_OK,
         "a center");
    r->plan.model_text = model;
    r->plan.parameters = (uint32_t)parameters + 1;
    r->plan.start_center = (uint32_t)s.center;
    r->plan.start_count = (uint32_t)s.count;
    r->plan.start_bias = (uint32_t)s.bias;
    r->plan.start_scale = s.bias_scale;
    free(r->model);
    need((r->model = calloc(r->plan.parameters, sizeof *r->model)) != NULL, "memory");
}

void unit_rig_load(unit_rig *r, const char *unit)
{
    const fm_table_options o = { .labels = true, .unit = unit };

    fm_table_fini(&r->table);
    need(fm_table_parse("visits", r->csv.data, r->csv.len, r->schema, &o, &r->table) == FM_OK,
         "a table");
}

void unit_rig_close(unit_rig *r)
{
    fm_dp_pairs_free(&r->pairs);
    fm_dp_keypair_free(&r->keypair);
    fm_table_fini(&r->table);
    fm_schema_free(&r->schema);
    fm_buf_fini(&r->csv);
    free(r->model);
}

fm_node_step *unit_rig_step(const unit_rig *r)
{
    fm_node_step *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_node_step_new(&r->plan, &r->table, 1, &s), FM_OK);
    fm_node_step_keep_sum_for_tests(s);
    return s;
}

const int32_t *unit_rig_run(const unit_rig *r, fm_node_step *s, fm_rng *rng)
{
    const fm_node_step_input in = {
        .model = r->model, .pairs = r->pairs, .round = &r->round, .rng = rng
    };
    fm_dp_release *release = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_node_step_run(s, &in, &release), FM_OK);
    fm_dp_release_free(&release);
    return fm_node_step_sum_for_tests(s);
}

int32_t *unit_rig_integers(const unit_rig *r)
{
    int32_t *p = calloc(r->plan.parameters, sizeof *p);

    need(p != NULL, "memory");
    return p;
}

int32_t *unit_rig_sum(const unit_rig *r, size_t *dropped)
{
    fm_rng rng = fm_rng_system();
    fm_node_step *s = unit_rig_step(r);
    int32_t *out = unit_rig_integers(r);

    memcpy(out, unit_rig_run(r, s, &rng), r->plan.parameters * sizeof *out);
    if (dropped)
        *dropped = fm_node_step_dropped_for_tests(s);
    fm_node_step_free(&s);
    return out;
}

/* The gradient of rows, each alone through the model. out: float32[parameters]. */
static void gradient_of(const unit_rig *r, const uint32_t *rows, size_t count, float *out)
{
    const size_t n = r->plan.parameters;
    float *one = calloc(n, sizeof *one);
    fm_tabular_config config;
    fm_tabular *t = NULL;

    need(one &&
             fm_tabular_config_parse("model", g_model, strlen(g_model), r->schema, &config) ==
                 FM_OK &&
             fm_tabular_new(&config, 1, &t) == FM_OK && fm_tabular_set(t, r->model, n) == FM_OK,
         "a model");
    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < count; i++) {
        need(fm_tabular_backward(t, r->table.x, r->table.y, rows + i, 1, NULL) == FM_OK, "a row");
        fm_tabular_unit_gradient(t, 0, one);
        for (size_t k = 0; k < n; k++)
            out[k] += one[k];
    }
    fm_tabular_free(&t);
    free(one);
}

void unit_rig_clipped(const unit_rig *r, const uint32_t *rows, size_t count, double *out)
{
    const size_t n = r->plan.parameters;
    float *sum = calloc(n, sizeof *sum);
    double square = 0.0;

    need(sum != NULL, "memory");
    gradient_of(r, rows, count, sum);
    for (size_t k = 0; k < n; k++)
        square += (double)sum[k] * (double)sum[k];
    for (size_t k = 0; k < n; k++)
        out[k] = (double)sum[k] * fmin(1.0, r->plan.clip_norm / sqrt(square));
    free(sum);
}

/* A step whose table has one unit. */
static void alone_in_a_step(const unit_rig *r, const uint32_t *rows, size_t count, int32_t *out)
{
    const size_t f = r->table.features;
    size_t start[2] = { 0, count };
    uint32_t *order = calloc(count, sizeof *order);
    float *x = calloc(count * f, sizeof *x), *y = calloc(count, sizeof *y);
    unit_rig alone = *r;
    int32_t *sum;

    need(order && x && y, "memory");
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint32_t)i;
        memcpy(x + i * f, r->table.x + rows[i] * f, f * sizeof *x);
        y[i] = r->table.y[rows[i]];
    }
    alone.table = (fm_table){ .rows = count,
                              .features = f,
                              .x = x,
                              .y = y,
                              .units = 1,
                              .unit_start = start,
                              .unit_rows = order };
    alone.plan.max_unit_rows = FM_MAX_UNIT_ROWS;
    sum = unit_rig_sum(&alone, NULL);
    for (size_t k = 0; k < r->plan.parameters; k++)
        out[k] += sum[k];
    free(sum);
    free(order);
    free(x);
    free(y);
}

void unit_rig_reference(const unit_rig *r, const uint32_t *rows, size_t count, int32_t *out)
{
    const fm_dp_lattice_spec spec = fm_node_lattice_spec(&r->plan);
    const size_t n = r->plan.parameters;
    float *sum = calloc(n, sizeof *sum);
    int32_t *q = unit_rig_integers(r);
    fm_dp_lattice lattice;

    if (r->plan.encoding == FM_ENCODING_FAST) {
        alone_in_a_step(r, rows, count, out);
    } else {
        need(sum && fm_dp_lattice_make(&spec, &lattice) == FM_OK, "a lattice");
        gradient_of(r, rows, count, sum);
        if (fm_dp_encode_unit(&lattice, sum, n, q) == FM_OK)
            for (size_t k = 0; k < n; k++)
                out[k] += q[k];
    }
    free(sum);
    free(q);
}

void unit_rig_unit(const unit_rig *r, size_t unit, int32_t *out)
{
    const fm_table *t = &r->table;

    unit_rig_reference(r, t->unit_rows + t->unit_start[unit],
                       t->unit_start[unit + 1] - t->unit_start[unit], out);
}

bool unit_rig_same(const unit_rig *r, const int32_t *a, const int32_t *b)
{
    return memcmp(a, b, r->plan.parameters * sizeof *a) == 0;
}

double unit_rig_square_distance(const unit_rig *r, const int32_t *a, const int32_t *b)
{
    double square = 0.0;

    for (uint32_t k = 0; k < r->plan.parameters; k++) {
        double d = (double)a[k] - (b ? (double)b[k] : 0.0);

        square += d * d;
    }
    return square;
}

double unit_rig_square_sensitivity(const unit_rig *r)
{
    fm_dp_lattice_spec spec = fm_node_lattice_spec(&r->plan);
    fm_dp_lattice lattice;

    need(fm_dp_lattice_make(&spec, &lattice) == FM_OK, "a lattice");
    return (double)lattice.unit_sensitivity * (double)lattice.unit_sensitivity;
}
