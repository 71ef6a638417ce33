/*
 * The audit of a real local run, in the build that this file is linked into: AUDIT_BUILD names it,
 * AUDIT_TAMPERED says that it must be found out. Seeds are fixed and printed. Over random seeds an
 * honest build is called violated with probability 1 - CONFIDENCE at most, by the theorem that the
 * bound rests on; in truth far more rarely.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/model/tabular.h"
#include "fedmoe/node/audit.h"
#include "fm_test.h"

#define ROWS 300u
#define CANARIES 3000u
#define EPSILON 1.0
#define DELTA 1e-8
#define CONFIDENCE 0.9999
#define WELL_ABOVE 1.5 /* times the claim */

static char g_schema[] = "name: tiny\n"
                         "csv: {header: false, delimiter: \",\", missing: [\"?\", \"\"]}\n"
                         "columns:\n"
                         "  - {name: a, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
                         "  - {name: b, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
                         "  - {name: y, kind: label, negative: [\"0\"], positive: [\"1\"]}\n";
static char g_model[] = "width: 16\nblocks: 1\nexperts: 8\ntop_k: 2\nexpert_hidden: 16\n"
                        "shared_hidden: 8\n";

static fm_encoding g_encoding = FM_ENCODING_EXACT; /* of the plans that are made */

static void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "cannot prepare %s: %s\n", what, fm_error_text());
    exit(1);
}

typedef struct {
    fm_schema *schema;
    fm_table table;
    fm_plan plan;
} rig;

/* `other`: as many records, and none of them the same. */
static void make_table(rig *r, bool other)
{
    const fm_table_options o = { .labels = true };
    const double phase = other ? 1.0 : 0.0;
    fm_buf csv = { 0 };

    for (unsigned i = 0; i < ROWS; i++)
        need(fm_buf_printf(&csv, "%.3f,%.3f,%u\n", 4.0 * sin(i + phase), 4.0 * cos(2.5 * i + phase),
                           (i + other) % 3 == 0) == FM_OK,
             "records");
    need(fm_table_parse("records", csv.data, csv.len, r->schema, &o, &r->table) == FM_OK,
         "a table");
    fm_buf_fini(&csv);
}

static void open_rig(rig *r, double epsilon, double sampling_rate, uint32_t rounds, bool other)
{
    fm_tabular_config config;
    size_t parameters = 0;

    memset(r, 0, sizeof *r);
    need(fm_schema_parse("schema", g_schema, strlen(g_schema), &r->schema) == FM_OK &&
             fm_tabular_config_parse("model", g_model, strlen(g_model), r->schema, &config) ==
                 FM_OK &&
             fm_tabular_parameters(&config, &parameters) == FM_OK,
         "a model");
    r->plan = (fm_plan){ .clip_norm = 0.5,
                         .encoding = g_encoding,
                         .sampling_rate = sampling_rate,
                         .rounds = rounds,
                         .delta = DELTA,
                         .max_unit_rows = 1,
                         .parameters = (uint32_t)parameters,
                         .model_text = g_model,
                         .schema_text = g_schema };
    memcpy(r->plan.privacy_unit, FM_UNIT_RECORD, sizeof FM_UNIT_RECORD);
    need(fm_dp_calibrate(epsilon, DELTA, sampling_rate, rounds, &r->plan.noise_multiplier) == FM_OK,
         "the noise");
    make_table(r, other);
}

static void close_rig(rig *r)
{
    fm_table_fini(&r->table);
    fm_schema_free(&r->schema);
}

static fm_dp_observations run(const rig *r, uint64_t seed)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);
    const fm_node_audit a = { .plan = &r->plan,
                              .table = &r->table,
                              .canaries = CANARIES,
                              .learning_rate = 0.1,
                              .rng = &rng };
    fm_dp_observations o = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_node_audit_run(&a, &o), FM_OK);
    return o;
}

static void the_verdict_is_right(double epsilon, double sampling_rate, uint32_t rounds,
                                 uint64_t seed)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed + 1);
    fm_dp_audit_verdict v;
    fm_dp_observations o;
    rig r;

    open_rig(&r, epsilon, sampling_rate, rounds, false);
    o = run(&r, seed);
    CU_ASSERT_EQUAL_FATAL(fm_dp_audit_judge(&o, DELTA, CONFIDENCE, &rng, &v), FM_OK);
    printf(
        "\n  %s, %s, seed %llu: claimed %.3f, lower bound %.3f (%u of %u), honest about %.2f, at "
        "most %.2f",
        AUDIT_BUILD, g_encoding == FM_ENCODING_FAST ? "fast" : "exact", (unsigned long long)seed,
        v.claimed, v.bound.epsilon, v.bound.correct, v.bound.guesses, v.honest, v.ceiling);
    CU_ASSERT(v.claimed <= epsilon);
    CU_ASSERT(v.ceiling > v.claimed);
#ifdef AUDIT_TAMPERED
    CU_ASSERT(v.violated);
    CU_ASSERT(v.bound.epsilon > WELL_ABOVE * v.claimed);
#else
    CU_ASSERT_FALSE(v.violated);
    CU_ASSERT(v.bound.epsilon < v.claimed);
    CU_ASSERT(epsilon < 4.0 || v.bound.epsilon > 0.2); /* the canaries are there, and are read */
#endif
    fm_dp_observations_fini(&o);
    close_rig(&r);
}

/* Both ways in which units become integers. */
static void in_both(void (*test)(void))
{
    for (int e = FM_ENCODING_EXACT; e <= FM_ENCODING_FAST; e++) {
        g_encoding = (fm_encoding)e;
        test();
    }
    g_encoding = FM_ENCODING_EXACT;
}

static void rare_sampling(void)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
        the_verdict_is_right(EPSILON, 0.05, 40, 100 * seed);
}

static void rare_sampling_is_audited(void)
{
    in_both(rare_sampling);
}

#ifndef AUDIT_TAMPERED
static void full_batches(void)
{
    for (uint64_t seed = 4; seed <= 6; seed++)
        the_verdict_is_right(EPSILON, 1.0, 10, 100 * seed);
    the_verdict_is_right(4.0, 1.0, 10, 700);
}

static void full_batches_are_audited(void)
{
    in_both(full_batches);
}

static void nothing_of_the_records(void)
{
    fm_dp_observations a, b;
    rig r;

    open_rig(&r, EPSILON, 0.3, 5, false);
    a = run(&r, 7);
    close_rig(&r);
    open_rig(&r, EPSILON, 0.3, 5, true);
    b = run(&r, 7);
    CU_ASSERT_EQUAL(memcmp(a.included, b.included, CANARIES), 0);
    CU_ASSERT_EQUAL(memcmp(a.scores, b.scores, CANARIES * sizeof *a.scores), 0);
    fm_dp_observations_fini(&b);
    b = run(&r, 8); /* other coins and noise */
    CU_ASSERT_NOT_EQUAL(memcmp(a.scores, b.scores, CANARIES * sizeof *a.scores), 0);
    fm_dp_observations_fini(&a);
    fm_dp_observations_fini(&b);
    close_rig(&r);
}

static void what_the_audit_shows_holds_nothing_of_the_records(void)
{
    in_both(nothing_of_the_records);
}

static void what_cannot_be_audited_is_refused(void)
{
    fm_rng rng = fm_rng_system();
    fm_dp_observations o = { 0 };
    fm_node_audit a;
    rig r;

    open_rig(&r, EPSILON, 0.3, 2, false);
    a = (fm_node_audit){ .plan = &r.plan,
                         .table = &r.table,
                         .canaries = r.plan.parameters + 1,
                         .learning_rate = 0.1,
                         .rng = &rng };
    CU_ASSERT_EQUAL(fm_node_audit_run(&a, &o), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "parameters"));
    a.canaries = FM_DP_AUDIT_MIN_CANARIES - 1;
    CU_ASSERT_EQUAL(fm_node_audit_run(&a, &o), FM_EINVAL);
    a.canaries = CANARIES;
    r.plan.noise_multiplier = 0.0;
    CU_ASSERT_EQUAL(fm_node_audit_run(&a, &o), FM_EINVAL);
    r.plan.noise_multiplier = 1.0;
    a.learning_rate = 1e38;
    CU_ASSERT_EQUAL(fm_node_audit_run(&a, &o), FM_ENONFINITE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "learning rate"));
    CU_ASSERT_PTR_NULL(o.scores);
    close_rig(&r);
}
#endif

static const fm_test tests[] = {
#ifdef AUDIT_TAMPERED
    { "the tampered build is found out: its lower bound is well above the claim",
      rare_sampling_is_audited },
#else
    { "the lower bound is below the claim where sampling is rare (false alarm: below 6e-4)",
      rare_sampling_is_audited },
    { "and where everyone takes part in every round (false alarm: below 8e-4)",
      full_batches_are_audited },
    { "what the audit shows holds nothing of the records",
      what_the_audit_shows_holds_nothing_of_the_records },
    { "what cannot be audited is refused", what_cannot_be_audited_is_refused },
#endif
};

const fm_test_suite suite_audit_step = { "audit." AUDIT_BUILD, tests, FM_TEST_COUNT(tests) };
