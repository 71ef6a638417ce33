/* Rounds of local steps between three nodes: what the server makes of them, and what they depend on. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/node/step.h"
#include "fedmoe/optim/local.h"
#include "fedmoe/replay/replay.h"
#include "run_correction.h"
#include "suites.h"
#include "world.h"

#define PARTIES 3u
#define STEPS 4u
#define RATE 0.5

static char g_schema[] = "name: tiny\n"
                         "csv: {header: false, delimiter: \",\", missing: [\"?\", \"\"]}\n"
                         "columns:\n"
                         "  - {name: a, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
                         "  - {name: b, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
                         "  - {name: y, kind: label, negative: [\"0\"], positive: [\"1\"]}\n";
static char g_model[] = "width: 4\nblocks: 1\nexperts: 3\ntop_k: 1\nexpert_hidden: 3\n"
                        "shared_hidden: 2\n";
static const uint32_t g_everyone[PARTIES] = { 0, 1, 2 };

typedef struct {
    fm_schema *schema;
    fm_table tables[PARTIES];
    fm_plan plan;
    fm_dp_keypair *keys[PARTIES];
    fm_dp_pairs *pairs[PARTIES];
    fm_node_step *steps[PARTIES];
    fm_optimizer *optimizer;
    float *before; /* [parameters] the server's model of the last round */
    size_t n;
} rig;

/* Nodes of different size, share of positives and place: their gradients differ. */
static void make_tables(rig *r, size_t rows)
{
    const fm_table_options o = { .labels = true };

    for (uint32_t u = 0; u < PARTIES; u++) {
        fm_buf csv = { 0 };

        for (size_t i = 0; i < rows * (u + 1); i++)
            need(fm_buf_printf(&csv, "%.3f,%.3f,%u\n", 4.0 * sin((double)i) + u,
                               4.0 * cos(2.5 * (double)i) - u,
                               (unsigned)(i % (2 + u) == 0)) == FM_OK,
                 "records");
        need(fm_table_parse("records", csv.data, csv.len, r->schema, &o, &r->tables[u]) == FM_OK,
             "a table");
        fm_buf_fini(&csv);
    }
}

static void make_plan(rig *r, size_t parameters)
{
    r->plan = (fm_plan){ .federation = FEDERATION,
                         .purpose = "test",
                         .privacy_unit = FM_UNIT_RECORD,
                         .max_unit_rows = 1,
                         .epsilon = 1000.0,
                         .delta = 1e-4,
                         .clip_norm = 1.0,
                         .sampling_rate = 1.0,
                         .rounds = 10,
                         .max_units = 1000,
                         .expected_units = 120,
                         .min_cohort = PARTIES,
                         .quorum = PARTIES,
                         .max_nodes = PARTIES,
                         .word_bits = 32,
                         .mask_density = 256,
                         .task = FM_TASK_TRAINING,
                         .noise = FM_NOISE_LOCAL,
                         .parameters = (uint32_t)parameters,
                         .model_text = g_model,
                         .schema_text = g_schema,
                         .optimizer = FM_OPTIMIZER_SGD,
                         .learning_rate = RATE * STEPS,
                         .adam_epsilon = 1e-3,
                         .encoding = FM_ENCODING_EXACT,
                         .schedule = FM_SCHEDULE_CONSTANT,
                         .local_steps = STEPS,
                         .local_rate = RATE };
}

static void make_pairs(rig *r)
{
    uint8_t keys[PARTIES][FM_DP_KEY_BYTES];
    fm_dp_roster roster = { .federation = FEDERATION,
                            .members = PARTIES,
                            .public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])keys };

    for (uint32_t u = 0; u < PARTIES; u++) {
        need(fm_dp_keypair_new(&r->keys[u]) == FM_OK, "keys");
        memcpy(keys[u], fm_dp_keypair_public(r->keys[u]), sizeof keys[u]);
    }
    for (uint32_t u = 0; u < PARTIES; u++) {
        roster.self = u;
        need(fm_dp_pairs_new(r->keys[u], &roster, &r->pairs[u]) == FM_OK, "pairs");
    }
}

static void open_rig(rig *r, size_t rows)
{
    fm_tabular_config config;
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 11);
    fm_tabular *t = NULL;

    memset(r, 0, sizeof *r);
    need(fm_schema_parse("schema", g_schema, strlen(g_schema), &r->schema) == FM_OK &&
             fm_tabular_config_parse("model", g_model, strlen(g_model), r->schema, &config) ==
                 FM_OK &&
             fm_tabular_parameters(&config, &r->n) == FM_OK &&
             fm_tabular_new(&config, 1, &t) == FM_OK,
         "a model");
    need((r->before = calloc(r->n, sizeof *r->before)) != NULL, "memory");
    fm_tabular_init(t, &rng);
    fm_tabular_get(t, r->before);
    fm_tabular_free(&t);
    make_tables(r, rows);
    make_plan(r, r->n);
    make_pairs(r);
}

/* After the test has changed the plan. */
static void begin(rig *r)
{
    CU_ASSERT_EQUAL_FATAL(fm_plan_check(&r->plan), FM_OK);
    for (uint32_t u = 0; u < PARTIES; u++)
        CU_ASSERT_EQUAL_FATAL(fm_node_step_new(&r->plan, &r->tables[u], 1, &r->steps[u]), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_replay_optimizer_new(&r->plan, r->before, r->n, &r->optimizer), FM_OK);
}

static void close_rig(rig *r)
{
    for (uint32_t u = 0; u < PARTIES; u++) {
        fm_node_step_free(&r->steps[u]);
        fm_dp_pairs_free(&r->pairs[u]);
        fm_dp_keypair_free(&r->keys[u]);
        fm_table_fini(&r->tables[u]);
    }
    fm_optimizer_free(&r->optimizer);
    fm_schema_free(&r->schema);
    free(r->before);
}

/* One node's steps; its update into the sum. */
static void run_node(rig *r, uint32_t u, const fm_dp_round *round, const float *correction,
                     uint32_t *sum)
{
    fm_rng rng = fm_rng_system();
    const fm_node_step_input in = { .model = r->optimizer->weights,
                                    .pairs = r->pairs[u],
                                    .round = round,
                                    .rng = &rng,
                                    .correction = correction };
    const uint8_t *bytes = NULL;
    size_t len = 0;
    fm_dp_release *release = NULL;
    fm_dp_unmask *unmask = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_node_step_run(r->steps[u], &in, &release), FM_OK);
    fm_dp_release_bytes(release, &bytes, &len);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_words(32, sum, r->n, bytes, len), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_release_unmask(release, g_everyone, PARTIES, &unmask), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_mask_apply(32, sum, r->n, unmask->self_seed, -1), FM_OK);
    fm_dp_unmask_free(&unmask);
    fm_dp_release_free(&release);
}

/* @param corrections [PARTIES], each float32[n] or NULL. */
static void run_round(rig *r, uint64_t number, float *const *corrections)
{
    const fm_dp_round round = { .round = number,
                                .participants = g_everyone,
                                .participant_count = PARTIES,
                                .mask_density = FM_DP_DENSITY_ALL };
    uint32_t *sum = calloc(r->n, sizeof *sum);
    fm_dp_shares *shares = NULL;
    fm_replay_sum s = { .lattice = fm_node_step_lattice(r->steps[0]),
                        .round = number,
                        .survivors = PARTIES,
                        .mask_density = FM_DP_DENSITY_ALL,
                        .words = r->n };

    CU_ASSERT_PTR_NOT_NULL_FATAL(sum);
    CU_ASSERT_EQUAL_FATAL(fm_dp_shares_new(s.lattice, PARTIES, &shares), FM_OK);
    memcpy(r->before, r->optimizer->weights, r->n * sizeof *r->before);
    for (uint32_t u = 0; u < PARTIES; u++)
        run_node(r, u, &round, corrections ? corrections[u] : NULL, sum);
    s.sum = sum;
    s.shares = shares;
    CU_ASSERT_EQUAL(fm_replay_step(&s, r->optimizer), FM_OK);
    fm_dp_shares_free(&shares);
    free(sum);
}

static double distance(const float *a, const float *b, size_t n)
{
    double square = 0.0;

    for (size_t i = 0; i < n; i++)
        square += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(square);
}

static double mean_of_moved(const rig *r, size_t i)
{
    double mean = 0.0;

    for (uint32_t u = 0; u < PARTIES; u++)
        mean += (double)fm_node_step_moved_for_tests(r->steps[u])[i] / PARTIES;
    return mean;
}

/* SGD at K times the local rate puts the server where the mean of the nodes' own models is. */
static void sgd_at_k_times_the_rate_is_federated_averaging(void)
{
    rig r;

    open_rig(&r, 20);
    begin(&r);
    for (uint64_t round = 1; round <= 3; round++) {
        run_round(&r, round, NULL);
        for (size_t i = 0; i < r.n; i++)
            CU_ASSERT_DOUBLE_EQUAL_FATAL((double)r.optimizer->weights[i], mean_of_moved(&r, i),
                                         2e-6);
        CU_ASSERT(distance(r.before, r.optimizer->weights, r.n) > 0.01);
        /* And they are models of their own. */
        CU_ASSERT(distance(fm_node_step_moved_for_tests(r.steps[0]),
                           fm_node_step_moved_for_tests(r.steps[2]), r.n) > 0.01);
    }
    close_rig(&r);
}

/* The same number of steps, without the moves between them, is one long step: another model. */
static void the_steps_move_between(void)
{
    float *moved;
    rig r, still;

    open_rig(&r, 20);
    open_rig(&still, 20);
    still.plan.local_rate = 1e-9; /* gradients all at the server's model */
    begin(&r);
    begin(&still);
    run_round(&r, 1, NULL);
    run_round(&still, 1, NULL);
    moved = r.optimizer->weights;
    CU_ASSERT(distance(moved, still.optimizer->weights, r.n) > 0.01);
    close_rig(&r);
    close_rig(&still);
}

/* Two runs over the same records, neither of which draws anything: the same bits. */
static void without_noise_and_sampling_the_bits_are_the_same(void)
{
    rig a, b;

    open_rig(&a, 20);
    open_rig(&b, 20);
    begin(&a);
    begin(&b);
    for (uint64_t round = 1; round <= 2; round++) {
        run_round(&a, round, NULL);
        run_round(&b, round, NULL);
    }
    CU_ASSERT_EQUAL(memcmp(a.optimizer->weights, b.optimizer->weights, a.n * sizeof(float)), 0);
    close_rig(&a);
    close_rig(&b);
}

/* The encoded sum of one step at the server's model. */
static void sum_of_one_step(rig *r, uint32_t u, double *out)
{
    fm_plan once = r->plan;
    fm_rng rng = fm_rng_system();
    const fm_dp_round round = { .round = 1,
                                .participants = g_everyone,
                                .participant_count = PARTIES,
                                .mask_density = FM_DP_DENSITY_ALL };
    const fm_node_step_input in = {
        .model = r->before, .pairs = r->pairs[u], .round = &round, .rng = &rng
    };
    fm_node_step *s = NULL;
    fm_dp_release *release = NULL;

    once.local_steps = 0;
    once.local_rate = 0.0;
    CU_ASSERT_EQUAL_FATAL(fm_node_step_new(&once, &r->tables[u], 1, &s), FM_OK);
    fm_node_step_keep_sum_for_tests(s);
    CU_ASSERT_EQUAL_FATAL(fm_node_step_run(s, &in, &release), FM_OK);
    for (size_t i = 0; i < r->n; i++)
        out[i] = (double)fm_node_step_sum_for_tests(s)[i] / fm_node_step_lattice(s)->unit_scale;
    fm_dp_release_free(&release);
    fm_node_step_free(&s);
}

/*
 * How far a node moves for a noised sum is public: with the number of its own records in it the noise
 * of the first step would not cover the second. So it is the sum over q N / n, however many there are.
 */
static void a_move_does_not_depend_on_how_many_records_there_are(void)
{
    double *sum;
    rig r;

    open_rig(&r, 20); /* nodes of 20, 40 and 60 */
    r.plan.local_rate = 1e-9;
    begin(&r);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sum = calloc(r.n, sizeof *sum));
    run_round(&r, 1, NULL); /* all gradients at r.before */
    for (uint32_t u = 0; u < PARTIES; u++) {
        sum_of_one_step(&r, u, sum);
        for (size_t i = 0; i < r.n; i++)
            CU_ASSERT_DOUBLE_EQUAL_FATAL((double)fm_node_step_mean(r.steps[u])[i],
                                         sum[i] / (120.0 / PARTIES), 1e-5);
    }
    free(sum);
    close_rig(&r);
}

static void the_pull_keeps_models_together(void)
{
    double away[2];

    for (int pulled = 0; pulled < 2; pulled++) {
        rig r;

        open_rig(&r, 20);
        r.plan.proximal = pulled ? 1.0 : 0.0;
        begin(&r);
        run_round(&r, 1, NULL);
        away[pulled] = distance(fm_node_step_moved_for_tests(r.steps[2]), r.before, r.n);
        close_rig(&r);
    }
    CU_ASSERT(away[1] < 0.8 * away[0]);
}

/* ---- SCAFFOLD ---- */

static void what_two_models_tell_is_the_mean_of_the_nodes(void)
{
    rig r;

    open_rig(&r, 20);
    r.plan.correction = FM_CORRECTION_SCAFFOLD;
    begin(&r);
    run_round(&r, 1, NULL);
    for (size_t i = 0; i < r.n; i++) {
        double c = 0.0;

        for (uint32_t u = 0; u < PARTIES; u++)
            c += (double)fm_node_step_mean(r.steps[u])[i] / PARTIES;
        CU_ASSERT_DOUBLE_EQUAL_FATAL(
            (double)(r.before[i] - r.optimizer->weights[i]) / r.plan.learning_rate, c, 2e-6);
    }
    close_rig(&r);
}

/* So that the corrections, of all nodes together, change nothing but where each of them goes. */
static void corrections_bring_models_together(void)
{
    double apart[2];

    for (int corrected = 0; corrected < 2; corrected++) {
        float *c[PARTIES];
        rig r;

        open_rig(&r, 20);
        begin(&r);
        run_round(&r, 1, NULL);
        for (uint32_t u = 0; u < PARTIES; u++) {
            c[u] = calloc(r.n, sizeof *c[u]);
            CU_ASSERT_PTR_NOT_NULL_FATAL(c[u]);
            fm_local_correction(r.plan.learning_rate, r.before, r.optimizer->weights,
                                fm_node_step_mean(r.steps[u]), r.n, c[u]);
        }
        run_round(&r, 2, corrected ? c : NULL);
        apart[corrected] = distance(fm_node_step_moved_for_tests(r.steps[0]),
                                    fm_node_step_moved_for_tests(r.steps[2]), r.n);
        for (uint32_t u = 0; u < PARTIES; u++)
            free(c[u]);
        close_rig(&r);
    }
    CU_ASSERT(apart[1] < 0.5 * apart[0]);
}

/* Kept from the charge on, in this process and the next; of this very round, or not at all. */
static void a_correction_is_of_a_round_that_was_charged(void)
{
    const fm_plan plan = { .parameters = 2, .learning_rate = 0.5 };
    const fm_hash hash = fm_hash_of("plan", "p", 1), other = fm_hash_of("plan", "q", 1);
    const float before[] = { 1, 1 }, after[] = { 0, 2 }, mean[] = { 1, 1 };
    fm_node_correction *c = NULL;
    float in_use[2];
    const float *got;
    char dir[PATH_CAP], path[PATH_CAP];

    fm_test_tmpdir(dir, sizeof dir);
    make_path(path, dir, FM_NODE_CORRECTION_FILE);
    CU_ASSERT_EQUAL_FATAL(fm_node_correction_new(&plan, &hash, dir, &c), FM_OK);
    CU_ASSERT_PTR_NULL(fm_node_correction_of(c, 0, after));
    fm_node_correction_made(c, 4, before, mean);
    CU_ASSERT_PTR_NULL(fm_node_correction_of(c, 4, after)); /* not charged */
    CU_ASSERT_EQUAL(fm_file_exists(path), false);
    fm_node_correction_charged(c, 3);
    CU_ASSERT_EQUAL(fm_file_exists(path), false);
    fm_node_correction_charged(c, 4);
    CU_ASSERT_EQUAL(fm_file_check_private(path), FM_OK);
    CU_ASSERT_PTR_NULL(fm_node_correction_of(c, 3, after)); /* of another round */
    CU_ASSERT_PTR_NULL(fm_node_correction_of(c, 5, after));
    fm_node_correction_free(&c);

    CU_ASSERT_EQUAL_FATAL(fm_node_correction_new(&plan, &hash, dir, &c), FM_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(got = fm_node_correction_of(c, 4, after));
    CU_ASSERT_EQUAL(got[0], 1.0f); /* (1 - 0) / 0.5 - 1 */
    CU_ASSERT_EQUAL(got[1], -3.0f);
    fm_node_correction_made(c, 5, after, mean); /* and round 5 came to nothing */
    CU_ASSERT_PTR_EQUAL(fm_node_correction_of(c, 4, after), got);
    memcpy(in_use, got, sizeof in_use);
    fm_node_correction_made(c, 6, after, mean); /* nor did round 6, after its charge: killed */
    fm_node_correction_charged(c, 6);
    fm_node_correction_free(&c);
    CU_ASSERT_EQUAL_FATAL(fm_node_correction_new(&plan, &hash, dir, &c), FM_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(got = fm_node_correction_of(c, 4, after));
    CU_ASSERT_EQUAL(memcmp(in_use, got, sizeof in_use), 0);
    fm_node_correction_free(&c);

    CU_ASSERT_EQUAL_FATAL(fm_node_correction_new(&plan, &other, dir, &c), FM_OK);
    CU_ASSERT_PTR_NULL(fm_node_correction_of(c, 4, after)); /* of another plan */
    fm_node_correction_free(&c);
}

/* Whatever is in the file: no correction, and no failure. */
static void a_damaged_file_is_no_correction(void)
{
    const fm_plan plan = { .parameters = 2, .learning_rate = 0.5 };
    const fm_hash hash = fm_hash_of("plan", "p", 1);
    const float model[] = { 1, 1 };
    fm_node_correction *c = NULL;
    char dir[PATH_CAP], path[PATH_CAP];
    fm_buf file = { 0 };

    fm_test_tmpdir(dir, sizeof dir);
    make_path(path, dir, FM_NODE_CORRECTION_FILE);
    need(fm_node_correction_new(&plan, &hash, dir, &c) == FM_OK, "a correction");
    fm_node_correction_made(c, 4, model, model);
    fm_node_correction_charged(c, 4);
    fm_node_correction_free(&c);
    fm_log_set_level(FM_LOG_ERROR);
    need(fm_file_read(path, 4096, &file) == FM_OK, "its file");
    for (size_t i = 0; i <= file.len; i++) {
        fm_buf bad = { 0 };

        need(fm_buf_append(&bad, file.data, file.len) == FM_OK, "bytes");
        if (i < file.len)
            bad.data[i] ^= 1;
        else
            bad.len--;
        need(fm_file_replace(path, bad.data, bad.len, 0600) == FM_OK, "a damaged file");
        CU_ASSERT_EQUAL_FATAL(fm_node_correction_new(&plan, &hash, dir, &c), FM_OK);
        CU_ASSERT_PTR_NULL(fm_node_correction_of(c, 4, model));
        fm_node_correction_free(&c);
        fm_buf_fini(&bad);
    }
    fm_buf_fini(&file);
    fm_log_set_level(FM_LOG_WARN);
}

static const fm_test tests[] = {
    { "SGD at K times the rate is federated averaging",
      sgd_at_k_times_the_rate_is_federated_averaging },
    { "the steps move between", the_steps_move_between },
    { "without noise and sampling the bits are the same",
      without_noise_and_sampling_the_bits_are_the_same },
    { "a move does not depend on how many records there are",
      a_move_does_not_depend_on_how_many_records_there_are },
    { "the pull keeps models together", the_pull_keeps_models_together },
    { "what two models tell is the mean of the nodes",
      what_two_models_tell_is_the_mean_of_the_nodes },
    { "corrections bring models together", corrections_bring_models_together },
    { "a correction is of a round that was charged", a_correction_is_of_a_round_that_was_charged },
    { "a damaged file is no correction", a_damaged_file_is_no_correction },
};
const fm_test_suite suite_local = { "node.local", tests, FM_TEST_COUNT(tests) };
