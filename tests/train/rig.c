#include "rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/train/sample.h"

static const char schema[] = "name: made up\n"
                             "csv: {header: false}\n"
                             "columns:\n"
                             "  - {name: who, kind: ignore}\n"
                             "  - {name: a, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
                             "  - {name: b, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
                             "  - {name: y, kind: label, negative: [\"0\"], positive: [\"1\"]}\n";
static const char model[] =
    "width: 6\nblocks: 2\nexperts: 4\ntop_k: 2\nexpert_hidden: 5\n"
    "shared_hidden: 3\nresidual: 1\n"
    "multipliers: {linear: 1, bias: 1, embed: 0.3, router: 0.3,\n"
    "  router_bias: 1, hidden: 0.3, hidden_bias: 0.3, output: 0.3, head: 0.3}\n"
    "spread: {embed: 0.32, router: 2, hidden: 1, output: 1, head: 1}\n";

void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "cannot prepare %s: %s\n", what, fm_error_text());
    exit(1);
}

static void make_table(rig *r, size_t rows, size_t unit, uint64_t memory)
{
    const fm_table_options o = { .labels = true,
                                 .unit = unit > 1 ? "who" : NULL,
                                 .memory = memory };
    fm_buf csv = { 0 };
    size_t who = 0, left = 1;

    for (size_t i = 0; i < rows; i++) {
        double a = 4.0 * sin((double)i), b = 4.0 * cos(2.5 * (double)i);

        if (left-- == 0) {
            who++;
            left = who % unit;
        }
        need(fm_buf_printf(&csv, "p%zu,%.3f,%.3f,%d\n", who, a, b, a + 0.3 * b > 1.0) == FM_OK,
             "records");
    }
    need(fm_table_parse("records", csv.data, csv.len, r->schema, &o, &r->table) == FM_OK,
         "a table");
    fm_buf_fini(&csv);
}

void rig_open(rig *r, size_t rows, size_t unit, fm_dp_encoding encoding, bool tail)
{
    const fm_dp_lattice_spec lattice = { .clip_norm = 1.0,
                                         .noise_multiplier = 0.0,
                                         .max_units = 4000,
                                         .nodes = 1,
                                         .quorum = 1,
                                         .encoding = encoding };
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 11);

    memset(r, 0, sizeof *r);
    need(fm_schema_parse("schema", schema, strlen(schema), &r->schema) == FM_OK &&
             fm_tabular_config_parse("model", model, strlen(model), r->schema, &r->model) ==
                 FM_OK &&
             fm_tabular_parameters(&r->model, &r->parameters) == FM_OK &&
             fm_dp_lattice_make(&lattice, &r->lattice) == FM_OK,
         "a model");
    make_table(r, rows, unit, 0);
    r->spec = (fm_train_step_spec){ .learner = fm_learner_tabular(&r->model, &r->table),
                                    .lattice = &r->lattice,
                                    .sampling_rate = 1.0,
                                    .unit_rows = unit };
    if (tail) {
        r->spec.tail = (fm_train_tail){ .load_groups = RIG_BLOCKS,
                                        .load_experts = RIG_EXPERTS,
                                        .clip_norm = true };
        r->spec.load_share = 0.2;
        r->spec.clip_share = 0.1;
    }
    r->length = r->parameters + fm_train_tail_length(&r->spec.tail);
    need((r->state = calloc(r->length, sizeof *r->state)) != NULL, "memory");
    for (size_t i = 0; i < r->parameters; i++)
        r->state[i] = (float)(0.5 * fm_rng_normal(&rng));
}

void rig_start(rig *r)
{
    float *old = r->state;
    const size_t before = r->parameters, tail = r->length - before;

    r->model.center = true;
    r->spec.tail.start = true;
    need(fm_tabular_parameters(&r->model, &r->parameters) == FM_OK, "a center");
    r->length = r->parameters + tail + 1;
    need((r->state = calloc(r->length, sizeof *r->state)) != NULL, "memory");
    memcpy(r->state, old, before * sizeof *old);
    memcpy(r->state + r->parameters, old + before, tail * sizeof *old);
    free(old);
}

void rig_spill(rig *r, size_t rows, size_t unit)
{
    fm_table_fini(&r->table);
    make_table(r, rows, unit, 1);
    need(r->table.store && !r->table.x, "a scratch file");
}

void rig_close(rig *r)
{
    fm_table_fini(&r->table);
    fm_schema_free(&r->schema);
    free(r->state);
}

fm_train_step *rig_step(const rig *r, unsigned threads)
{
    fm_train_step_spec spec = r->spec;
    fm_train_step *s = NULL;

    spec.threads = threads;
    need(fm_train_step_new(&spec, &s) == FM_OK, "a step");
    return s;
}

int64_t *rig_sum(const rig *r, fm_train_step *s, uint64_t seed, size_t *dropped)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);
    const fm_train_step_input in = { .state = r->state, .rng = &rng };
    int64_t *out = calloc(r->length, sizeof *out);
    fm_dp_sum *sum = NULL;

    need(out != NULL, "memory");
    need(fm_train_step_run(s, &in, &sum) == FM_OK, "a run");
    fm_dp_sum_peek64_for_tests(sum, out);
    if (dropped)
        *dropped = fm_dp_sum_units_dropped(sum);
    return out;
}

size_t rig_units(const rig *r)
{
    return fm_train_units_of_table(&r->table).units;
}
