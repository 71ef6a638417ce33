/* federation.yaml: every key's range, every unknown key, with file, line and column. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "federation.h"
#include "fedmoe/aggregator/config.h"
#include "fedmoe/base/file.h"
#include "fedmoe/dp/accountant.h"
#include "fedmoe/optim/defaults.h"
#include "suites.h"
#include "yaml.h"

static char dir[PATH_CAP - 64], path[PATH_CAP];

static void prepare(void)
{
    if (dir[0])
        return;
    fm_test_tmpdir(dir, sizeof dir);
    yaml_path(path, dir, "federation.yaml");
    yaml_write_model(dir, "model.safetensors");
}

static fm_status load(const char *from, const char *to, fm_aggregator_config *c)
{
    prepare();
    yaml_write(dir, from, to);
    memset(c, 0, sizeof *c);
    return fm_aggregator_config_load(path, c);
}

static void everything_given_is_read(void)
{
    fm_aggregator_config c;
    double epsilon = 0.0;

    CU_ASSERT_EQUAL_FATAL(load(NULL, NULL, &c), FM_OK);
    CU_ASSERT_STRING_EQUAL(c.door, "tcp://127.0.0.1:7300");
    CU_ASSERT_STRING_EQUAL(c.model_file, "model.safetensors");
    CU_ASSERT_STRING_EQUAL(c.plan.federation, "heart");
    CU_ASSERT_STRING_EQUAL(c.plan.purpose, "heart disease risk");
    CU_ASSERT_STRING_EQUAL(c.plan.privacy_unit, "record");
    CU_ASSERT_STRING_EQUAL(c.plan.model_text, "kind: test\n");
    CU_ASSERT_STRING_EQUAL(c.plan.schema_text, "columns: none\n");
    CU_ASSERT_EQUAL(c.plan.epsilon, 1.0);
    CU_ASSERT_EQUAL(c.plan.delta, 1e-4);
    CU_ASSERT_EQUAL(c.plan.clip_norm, 1.0);
    CU_ASSERT_EQUAL(c.plan.sampling_rate, 1.0);
    CU_ASSERT_EQUAL(c.plan.expected_units, 600.0);
    CU_ASSERT_EQUAL(c.plan.max_units, 2000);
    CU_ASSERT_EQUAL(c.plan.max_nodes, 4);
    CU_ASSERT_EQUAL(c.plan.min_cohort, 3);
    CU_ASSERT_EQUAL(c.plan.quorum, 3);
    CU_ASSERT_EQUAL(c.plan.colluders, 1);
    CU_ASSERT_EQUAL(c.plan.rounds, 40);
    CU_ASSERT_EQUAL(c.plan.parameters, YAML_PARAMETERS);
    CU_ASSERT_FALSE(fm_hash_is_zero(&c.plan.initial_model));
    CU_ASSERT_EQUAL(c.join_s, 60);
    CU_ASSERT_EQUAL(c.round_s, 30);
    CU_ASSERT_EQUAL(
        fm_dp_epsilon(&(fm_dp_mechanism){ c.plan.noise_multiplier, 1.0, 40, FM_DP_GAUSSIAN, 0 }, 1,
                      1e-4, &epsilon),
        FM_OK);
    CU_ASSERT(epsilon <= 1.0 && epsilon > 0.999);
    fm_aggregator_config_fini(&c);
}

/* What is left out is what optim/ says for this case. */
static void compare_defaults(const fm_aggregator_config *c)
{
    const fm_plan *p = &c->plan;
    const fm_training_case given = {
        .units = 600.0, .delta = 1e-4, .outputs = 3 /* rows of the model's linear.weight */
    };
    fm_training t;

    fm_training_defaults(&given, &t);
    CU_ASSERT(c->chosen);
    CU_ASSERT_EQUAL(p->rounds, t.rounds);
    CU_ASSERT_EQUAL((int)p->optimizer, (int)t.rule);
    CU_ASSERT_EQUAL((int)p->schedule, (int)t.schedule);
    CU_ASSERT_EQUAL(p->learning_rate, t.learning_rate);
    CU_ASSERT_EQUAL(p->momentum, t.momentum);
    CU_ASSERT_EQUAL(p->beta2, t.beta2);
    CU_ASSERT_EQUAL(p->adam_epsilon, t.adam_epsilon);
    CU_ASSERT_EQUAL(p->averaging, t.averaging);
    CU_ASSERT_EQUAL(p->warmup, t.warmup);
    CU_ASSERT_EQUAL(p->final_rate, t.final_rate);
    CU_ASSERT_EQUAL(p->encoding, FM_ENCODING_FAST);
}

static void what_is_left_out_follows_from_the_case(void)
{
    static const char stated[] =
        "training: {rounds: 40, optimizer: adam, learning_rate: 0.05, momentum: 0.9, "
        "beta2: 0.999,\n           adam_epsilon: 1.0e-3, averaging: 0.5}\ntimeouts: {join_s: "
        "60, round_s: 30}\n";
    fm_aggregator_config c;

    CU_ASSERT_EQUAL_FATAL(load(stated, "training: {}\n", &c), FM_OK);
    compare_defaults(&c);
    CU_ASSERT_EQUAL(c.join_s, 60);
    CU_ASSERT_EQUAL(c.round_s, 30);
    fm_aggregator_config_fini(&c);
    CU_ASSERT_EQUAL_FATAL(load(stated, "", &c), FM_OK);
    compare_defaults(&c);
    fm_aggregator_config_fini(&c);
    CU_ASSERT_EQUAL_FATAL(
        load("optimizer: adam, learning_rate: 0.05, momentum: 0.9, beta2: 0.999,\n"
             "           adam_epsilon: 1.0e-3,",
             "optimizer: sgd, learning_rate: 0.05,", &c),
        FM_OK);
    CU_ASSERT_EQUAL(c.plan.optimizer, FM_OPTIMIZER_SGD);
    CU_ASSERT_EQUAL(c.plan.learning_rate, 0.05);
    fm_aggregator_config_fini(&c);
}

#define ADAM_LINE                                                                      \
    "rounds: 40, optimizer: adam, learning_rate: 0.05, momentum: 0.9, beta2: 0.999,\n" \
    "           adam_epsilon: 1.0e-3, averaging: 0.5}"

/* Local noise by itself, and a noise that pays for every step. */
static void local_steps_are_read_and_paid_for(void)
{
    fm_aggregator_config c;
    double epsilon = 0.0;

    CU_ASSERT_EQUAL_FATAL(load(ADAM_LINE,
                               "rounds: 10, optimizer: sgd, local_steps: 4, local_rate: 0.25, "
                               "correction: scaffold, proximal: 0.5}",
                               &c),
                          FM_OK);
    CU_ASSERT_EQUAL(c.plan.local_steps, 4);
    CU_ASSERT_EQUAL(c.plan.local_rate, 0.25);
    CU_ASSERT_EQUAL(c.plan.proximal, 0.5);
    CU_ASSERT_EQUAL(c.plan.correction, FM_CORRECTION_SCAFFOLD);
    CU_ASSERT_EQUAL(c.plan.noise, FM_NOISE_LOCAL);
    CU_ASSERT_EQUAL(c.plan.learning_rate, 1.0); /* with which SGD is FedAvg */
    CU_ASSERT_EQUAL(c.plan.momentum, 0.0);
    CU_ASSERT_EQUAL(
        fm_dp_epsilon(&(fm_dp_mechanism){ c.plan.noise_multiplier, 1.0, 40, FM_DP_GAUSSIAN, 0 }, 1,
                      1e-4, &epsilon),
        FM_OK);
    CU_ASSERT(epsilon <= 1.0 && epsilon > 0.999);
    fm_aggregator_config_fini(&c);

    CU_ASSERT_EQUAL_FATAL(load("optimizer: adam", "optimizer: yogi, local_steps: 2", &c), FM_OK);
    CU_ASSERT_EQUAL(c.plan.optimizer, FM_OPTIMIZER_YOGI);
    CU_ASSERT_EQUAL(c.plan.learning_rate, 0.05);
    CU_ASSERT_EQUAL(c.plan.local_rate, 8.0);
    fm_aggregator_config_fini(&c);
    CU_ASSERT_EQUAL_FATAL(load("rounds: 40", "rounds: 100, local_steps: 16", &c), FM_OK);
    CU_ASSERT_EQUAL(c.plan.local_rate, 0.4);
    fm_aggregator_config_fini(&c);
    CU_ASSERT_EQUAL_FATAL(load("rounds: 40", "rounds: 40, local_steps: 1", &c), FM_OK);
    CU_ASSERT_EQUAL(c.plan.local_steps, 0);
    CU_ASSERT_EQUAL(c.plan.noise, FM_NOISE_DISTRIBUTED);
    fm_aggregator_config_fini(&c);
    /* Who asked for shares of noise is told; who did not gets what there must be. */
    CU_ASSERT_EQUAL(load("  max_units: 2000\ncohort: {nodes: 4, min: 3, quorum: 3, colluders: 1}\n"
                         "training: {rounds: 40,",
                         "  max_units: 2000\n  noise: distributed\n"
                         "cohort: {nodes: 4, min: 3, quorum: 3, colluders: 1}\n"
                         "training: {rounds: 40, local_steps: 4,",
                         &c),
                    FM_EPARSE);
    CU_ASSERT(says("local_steps need privacy: noise: local"));
    CU_ASSERT_EQUAL(load("rounds: 40", "rounds: 40, local_steps: 4, correction: scaffold", &c),
                    FM_EPARSE);
    CU_ASSERT(says(": scaffold reads the mean gradient"));
}

static void schedule_encoding_and_counts_are_read(void)
{
    fm_aggregator_config c;

    CU_ASSERT_EQUAL_FATAL(load("averaging: 0.5}",
                               "averaging: 0.5,\n           schedule: cosine, warmup: 0.1, "
                               "final_rate: 0.2, balance: {share: 0.3, rate: 0.04}}",
                               &c),
                          FM_EPARSE); /* this model has no experts */
    CU_ASSERT(says("no experts"));
    CU_ASSERT_EQUAL_FATAL(load("averaging: 0.5}",
                               "averaging: 0.5,\n           schedule: linear, warmup: 0.1, "
                               "final_rate: 0.2, balance: {share: 0}}",
                               &c),
                          FM_OK);
    CU_ASSERT_EQUAL(c.plan.schedule, FM_SCHEDULE_LINEAR);
    CU_ASSERT_EQUAL(c.plan.warmup, 0.1);
    CU_ASSERT_EQUAL(c.plan.final_rate, 0.2);
    CU_ASSERT_EQUAL(c.plan.load_groups, 0);
    CU_ASSERT_EQUAL(c.plan.parameters, YAML_PARAMETERS);
    fm_aggregator_config_fini(&c);
    CU_ASSERT_EQUAL_FATAL(load("  unit: record\n",
                               "  unit: record\n  encoding: exact\n  adaptive_clip: {quantile: "
                               "0.6, rate: 0.1, share: 0.02}\n",
                               &c),
                          FM_OK);
    CU_ASSERT_EQUAL(c.plan.encoding, FM_ENCODING_EXACT);
    CU_ASSERT_EQUAL(c.plan.clip_quantile, 0.6);
    CU_ASSERT_EQUAL(c.plan.clip_rate, 0.1);
    CU_ASSERT_EQUAL(c.plan.clip_share, 0.02);
    CU_ASSERT_EQUAL(c.plan.parameters, YAML_PARAMETERS + 1); /* the state has a place for it */
    fm_aggregator_config_fini(&c);
}

#define TRAINING                                                                   \
    "training: {rounds: 40, optimizer: adam, learning_rate: 0.05, momentum: 0.9, " \
    "beta2: 0.999,\n           adam_epsilon: 1.0e-3, averaging: 0.5}\n"

/* Where the model can take one, there is a statistics round, unless the file says otherwise. */
static void a_statistics_round_is_planned_where_the_model_can_take_one(void)
{
    static const struct {
        const char *training;
        float value;
        bool planned;
        uint32_t rounds;
    } cases[] = {
        { "", 0.0f, true, 161 },
        { "training: {start: statistics}\n", 0.0f, true, 161 },
        { "training: {start: none}\n", 0.0f, false, 160 },
        { "training: {rounds: 1}\n", 0.0f, false, 1 },
        { "training: {rounds: 2}\n", 0.0f, true, 2 },
        { "", 0.5f, false, 160 }, /* it was trained before */
    };
    fm_aggregator_config c;

    prepare();
    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        yaml_write_center_model(dir, "model.safetensors", cases[i].value);
        CU_ASSERT_EQUAL_FATAL(load(TRAINING, cases[i].training, &c), FM_OK);
        CU_ASSERT_EQUAL(c.plan.rounds, cases[i].rounds);
        CU_ASSERT_EQUAL(c.plan.start_count, 2); /* what no gradient moves, in any case */
        CU_ASSERT_EQUAL(c.plan.start_center, 3);
        CU_ASSERT_EQUAL(c.plan.start_bias, cases[i].planned ? 2 : 0);
        CU_ASSERT_EQUAL(c.plan.start_scale, cases[i].planned ? 0.25 : 0.0);
        CU_ASSERT_EQUAL(c.plan.learning_rate, 0.1);
        CU_ASSERT_EQUAL(c.plan.parameters, cases[i].planned ? 6 : 5); /* the phase */
        CU_ASSERT_EQUAL(fm_plan_check(&c.plan), FM_OK);
        fm_aggregator_config_fini(&c);
    }
    CU_ASSERT_EQUAL(load(TRAINING, "training: {start: mean}\n", &c), FM_EPARSE);
    CU_ASSERT(says("start 'mean' is not known"));
    CU_ASSERT_EQUAL(load(TRAINING, "training: {start: statistics}\n", &c), FM_EPARSE);
    CU_ASSERT(says("still zero"));
    yaml_write_center_model(dir, "model.safetensors", 0.0f);
    CU_ASSERT_EQUAL(load(TRAINING, "training: {start: statistics, rounds: 1}\n", &c), FM_EPARSE);
    CU_ASSERT(says("2 rounds or more"));
    yaml_write_model(dir, "model.safetensors");
    CU_ASSERT_EQUAL(load(TRAINING, "training: {start: statistics}\n", &c), FM_EPARSE);
    CU_ASSERT(says("a center"));
}

static void two_loads_are_two_runs(void)
{
    fm_aggregator_config a, b;

    CU_ASSERT_EQUAL_FATAL(load(NULL, NULL, &a), FM_OK);
    CU_ASSERT_EQUAL_FATAL(load(NULL, NULL, &b), FM_OK);
    CU_ASSERT(memcmp(a.plan.run, b.plan.run, sizeof a.plan.run) != 0);
    memcpy(b.plan.run, a.plan.run, sizeof a.plan.run);
    CU_ASSERT_EQUAL(a.plan.noise_multiplier, b.plan.noise_multiplier);
    CU_ASSERT(fm_hash_equal(&a.plan.initial_model, &b.plan.initial_model));
    fm_aggregator_config_fini(&a);
    fm_aggregator_config_fini(&b);
}

typedef struct {
    const char *from, *to;
    const char *where; /* line:column */
    const char *words;
} bad;

static void refuse_all(const bad *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fm_aggregator_config c;
        char place[PATH_CAP + 32];

        CU_ASSERT_EQUAL(load(cases[i].from, cases[i].to, &c), FM_EPARSE);
        (void)snprintf(place, sizeof place, "%s:%s: ", path, cases[i].where);
        CU_ASSERT(says(place));
        CU_ASSERT(says(cases[i].words));
        CU_ASSERT_PTR_NULL(c.door);
    }
}

static void unknown_keys_are_refused_with_their_place(void)
{
    static const bad cases[] = {
        { "purpose: heart", "purpos: heart", "2:1", "did you mean 'purpose'" },
        { "purpose: heart disease risk", "purpose: \"heart\\ndisease\"", "2:10",
          "purpose holds a control character" },
        { "listen: {door:", "listen: {dor:", "3:10", "did you mean 'door'" },
        { "  epsilon:", "  epsilom:", "7:3", "did you mean 'epsilon'" },
        { "  delta: 1", "  noise_multiplier: 3\n  delta: 1", "8:3", "unknown key" },
        { "quorum: 3", "quorom: 3", "13:28", "did you mean 'quorum'" },
        { "averaging: 0.5}", "weight_decay: 0.5}", "15:34", "unknown key 'weight_decay'" },
        { "round_s: 30", "rounds_s: 30", "16:24", "did you mean 'round_s'" },
    };

    refuse_all(cases, FM_TEST_COUNT(cases));
}

static void values_out_of_range_are_refused_with_their_place(void)
{
    static const bad cases[] = {
        { "name: heart\n", "name: Heart\n", "1:7", "a-z, 0-9 and -" },
        { "name: heart\n", "name: \"\"\n", "1:7", "empty" },
        { "name: heart\n",
          "name: a123456789b123456789c123456789d123456789e123456789f123456789g123\n", "1:7",
          "longer than 63" },
        { "unit: record", "unit: record\n  max_unit_rows: 4", "7:18", "a record is one row" },
        { "epsilon: 1.0", "epsilon: 0", "7:12", "between 0.001 and 1000" },
        { "epsilon: 1.0", "epsilon: 1001", "7:12", "between 0.001 and 1000" },
        { "epsilon: 1.0", "epsilon: one", "7:12", "must be a number" },
        { "delta: 1.0e-4", "delta: 0", "8:10", "between 1e-12 and 0.1" },
        { "delta: 1.0e-4", "delta: 0.5", "8:10", "between 1e-12 and 0.1" },
        { "delta: 1.0e-4", "delta: 0.1", "8:10", "must be below 0.1" },
        { "clip_norm: 1.0", "clip_norm: 0", "9:14", "between 1e-06 and 1000000" },
        { "sampling_rate: 1.0", "sampling_rate: 1.5", "10:18", "between 1e-06 and 1" },
        { "expected_units: 600", "expected_units: 0", "11:19", "between 1 and" },
        { "max_units: 2000", "max_units: 0", "12:14", "between 1 and 16777216" },
        { "max_units: 2000", "max_units: 1.5", "12:14", "whole number" },
        { "max_units: 2000", "max_units: 599", "12:14", "below expected_units 600" },
        { "nodes: 4", "nodes: 1", "13:17", "between 2 and 1024" },
        { "min: 3", "min: 5", "13:25", "between 2 and 4" },
        { "quorum: 3", "quorum: 5", "13:36", "between 2 and 4" },
        { "quorum: 3", "quorum: 2", "13:36", "at least 3" },
        { "colluders: 1", "colluders: 4", "13:50", "between 0 and 3" },
        { "colluders: 1", "colluders: 2", "13:36", "at least 4" },
        { "rounds: 40", "rounds: 0", "14:20", "between 1 and 16384" },
        { "rounds: 40", "local_steps: 65", "14:25", "between 1 and 64" },
        { "rounds: 40", "local_rate: 1", "14:24", "local_rate is of local steps" },
        { "rounds: 40", "proximal: 1", "14:22", "give local_steps" },
        { "rounds: 40", "correction: scaffold", "14:24", "a round has one step" },
        { "rounds: 40", "local_steps: 2, correction: saga", "14:40", "use scaffold or none" },
        { "rounds: 40", "local_steps: 2, local_rate: 0.5, proximal: 3", "14:55",
          "lower proximal to 2, or" },
        { "rounds: 40", "rounds: 40, local_steps: 2, early_stop: {patience: 3}", "14:52",
          "leave one of the two out" },
        { "rounds: 40", "rounds: 40, early_stop: {patience: 3, auc: true}", "14:55",
          "schema has none; leave auc out" },
        { "rounds: 40", "rounds: 16385", "14:20", "between 1 and 16384" },
        { "optimizer: adam", "optimizer: lion", "14:35", "use adam, sgd or yogi" },
        { "learning_rate: 0.05", "learning_rate: 0", "14:56", "between 1e-09" },
        { "momentum: 0.9", "momentum: 1", "14:72", "between 0 and 0.999999" },
        { "beta2: 0.999", "beta2: 1", "14:84", "between 0 and 0.999999" },
        { "adam_epsilon: 1.0e-3", "adam_epsilon: 0", "15:26", "between 1e-12 and 1" },
        { "averaging: 0.5", "averaging: 1", "15:45", "between 0 and 0.999999" },
        { "join_s: 60", "join_s: 86401", "16:20", "between 0 and 86400" },
        { "round_s: 30", "round_s: 0", "16:33", "between 1 and 86400" },
        { "name: heart\n", "name: heart\nstatus: {listen: \"http://0.0.0.0:7390\"}\n", "2:18",
          "write https://" },
        { "name: heart\n", "name: heart\nstatus: {listen: \"https://127.0.0.1:99999\"}\n", "2:18",
          "a number up to 65535" },
        { "name: heart\n", "name: heart\nstatus: {listen: \"https://127.0.0.1:7300\"}\n", "2:18",
          "is the door's" },
    };

    refuse_all(cases, FM_TEST_COUNT(cases));
}

/* Said, but without effect: what its writer meant is something else. */
static void figures_without_use_are_refused_with_their_place(void)
{
    static const bad cases[] = {
        { "optimizer: adam", "optimizer: sgd", "14:83", "optimizer: sgd has no use for it" },
        { "optimizer: adam, learning_rate: 0.05, momentum: 0.9, beta2: 0.999,",
          "optimizer: sgd, learning_rate: 0.05,", "15:26", "adam_epsilon is a figure of adam" },
        { "averaging: 0.5", "schedule: constant, final_rate: 0.5", "15:66",
          "leave it out, or say schedule: linear" },
        { "averaging: 0.5}", "balance: {share: 0, rate: 0.1}}", "15:60",
          "rate has no use with share: 0" },
        { "unit: record", "unit: record\n  adaptive_clip: {quantile: 0, rate: 0.1}", "7:38",
          "rate has no use with quantile: 0" },
        { "unit: record", "unit: record\n  adaptive_clip: {quantile: 0, share: 0.1}", "7:39",
          "share has no use with quantile: 0" },
    };

    refuse_all(cases, FM_TEST_COUNT(cases));
}

#define DOOR "\"tcp://127.0.0.1:7300\""

static void endpoints_that_cannot_be_bound_are_refused_with_their_place(void)
{
    static const bad cases[] = {
        { DOOR, "\"127.0.0.1:7300\"", "3:16", "door must read tcp://HOST:PORT" },
        { DOOR, "\"udp://127.0.0.1:7300\"", "3:16", "door must read tcp://HOST:PORT" },
        { DOOR, "\"tcp://127.0.0.1\"", "3:16", "door must read tcp://HOST:PORT" },
        { DOOR, "\"tcp://:7300\"", "3:16", "door must read tcp://HOST:PORT" },
        { DOOR, "\"tcp://a b:7300\"", "3:16", "door must read tcp://HOST:PORT" },
        { DOOR, "\"tcp://::1:7300\"", "3:16", "door must read tcp://HOST:PORT" },
        { DOOR, "\"tcp://127.0.0.1:\"", "3:16", "between 1 and 65535" },
        { DOOR, "\"tcp://127.0.0.1:65536\"", "3:16", "between 1 and 65535" },
        { DOOR, "\"tcp://127.0.0.1:-1\"", "3:16", "between 1 and 65535" },
        { DOOR, "\"tcp://127.0.0.1:http\"", "3:16", "between 1 and 65535" },
        /* of a release that had two ports */
        { DOOR, DOOR ", session: \"tcp://127.0.0.1:7301\"", "3:49", "remove 'session'" },
    };
    static const char *const good[] = { "\"tcp://*:7301\"",
                                        "\"tcp://[::1]:7301\"",
                                        "\"tcp://127.0.0.1:*\"",
                                        "\"tcp://127.0.0.1:0\"",
                                        "\"tcp://hub.example:65535\"",
                                        "\"tcp://eth0:1\"",
                                        "\"tcp://[fe80::1%eth0]:7300\"" };
    fm_aggregator_config c;

    refuse_all(cases, FM_TEST_COUNT(cases));
    for (size_t i = 0; i < FM_TEST_COUNT(good); i++) {
        CU_ASSERT_EQUAL(load(DOOR, good[i], &c), FM_OK);
        fm_aggregator_config_fini(&c);
    }
}

static void missing_keys_are_named(void)
{
    static const bad cases[] = {
        { "name: heart\n", "", "1:1", "'name' is missing" },
        { "purpose: heart disease risk\n", "", "1:1", "'purpose' is missing" },
        { "  epsilon: 1.0\n", "", "6:3", "'epsilon' is missing" },
        { "  delta: 1.0e-4\n", "", "6:3", "'delta' is missing" },
        { "  expected_units: 600\n", "", "6:3", "'expected_units' is missing" },
        { "  max_units: 2000\n", "", "6:3", "'max_units' is missing" },
        { "  unit: record\n", "", "6:3", "'unit' is missing" },
        { "model: model.safetensors\n", "", "1:1", "'model' is missing" },
        { "min: 3, ", "", "13:9", "'min' is missing" },
        { "cohort: {nodes: 4, min: 3, quorum: 3, colluders: 1}\n", "", "1:1",
          "'cohort' is missing" },
    };

    refuse_all(cases, FM_TEST_COUNT(cases));
}

static void noise_by_hand_needs_the_epsilon_that_says_so(void)
{
    static const bad cases[] = {
        { "  delta: 1.0e-4", "  delta: 1.0e-4\n  insecure_noise_multiplier: 0.5", "9:30",
          "setting it by hand needs epsilon: 1000" },
        { "epsilon: 1.0", "epsilon: 999.9\n  insecure_noise_multiplier: 0", "8:30",
          "setting it by hand needs epsilon: 1000" },
        { "epsilon: 1.0", "epsilon: 1000\n  insecure_noise_multiplier: -1", "8:30",
          "between 0 and" },
    };
    fm_aggregator_config c;

    refuse_all(cases, FM_TEST_COUNT(cases));
    CU_ASSERT_EQUAL(load("epsilon: 1.0", "epsilon: 1000\n  insecure_noise_multiplier: 0", &c),
                    FM_OK);
    CU_ASSERT_EQUAL(c.plan.noise_multiplier, 0.0);
    fm_aggregator_config_fini(&c);
    CU_ASSERT_EQUAL(load("epsilon: 1.0", "epsilon: 1000\n  insecure_noise_multiplier: 2.5", &c),
                    FM_OK);
    CU_ASSERT_EQUAL(c.plan.noise_multiplier, 2.5);
    fm_aggregator_config_fini(&c);
}

static void the_model_is_a_plain_name_beside_the_file(void)
{
    static const bad cases[] = {
        { "model: model.safetensors", "model: ../model.safetensors", "4:8", "has a folder in it" },
        { "model: model.safetensors", "model: /tmp/model.safetensors", "4:8",
          "has a folder in it" },
        { "model: model.safetensors", "model: ..", "4:8", "has a folder in it" },
        { "model: model.safetensors", "model: result.safetensors", "4:8", "something else" },
        { "model: model.safetensors", "model: checkpoint.safetensors", "4:8", "something else" },
        { "model: model.safetensors", "model: door.key", "4:8", "something else" },
    };
    fm_aggregator_config c;

    refuse_all(cases, FM_TEST_COUNT(cases));
    CU_ASSERT_EQUAL(load("model: model.safetensors", "model: other.safetensors", &c), FM_EPARSE);
    CU_ASSERT(says("other.safetensors"));
}

/** @param kind NULL: it has no metadata at all. */
static void write_bad_model(const char *name, const char *tensor, float last, const char *kind)
{
    const fm_safetensors_meta meta[] = { { "fedmoe.model", "x" },
                                         { "fedmoe.schema", "y" },
                                         { "fedmoe.kind", kind } };
    const float values[2] = { 0.0f, last };
    const fm_tensor_view t = { tensor, "F32", 1, { 2 }, (const uint8_t *)values, sizeof values };
    char file[PATH_CAP];
    fm_buf bytes = { 0 };

    need(fm_safetensors_encode(&t, 1, meta, kind ? 3 : 0, &bytes) == FM_OK, "model");
    yaml_path(file, dir, name);
    need(fm_file_replace(file, bytes.data, bytes.len, 0644) == FM_OK, file);
    fm_buf_fini(&bytes);
}

static void a_model_that_cannot_be_trained_is_refused(void)
{
    static const char *const from = "model: model.safetensors", *const to =
                                                                    "model: bad.safetensors";
    fm_aggregator_config c;

    prepare();
    write_bad_model("bad.safetensors", "w", 1.0f, NULL);
    CU_ASSERT_EQUAL(load(from, to, &c), FM_EPROTO);
    CU_ASSERT(says("make it with fedmoe-model new"));
    write_bad_model("bad.safetensors", "w", NAN, "tabular-moe");
    CU_ASSERT_EQUAL(load(from, to, &c), FM_ENONFINITE);
    CU_ASSERT(says("weight 1 is not a finite number"));
    write_bad_model("bad.safetensors", "optimizer.m", 1.0f, "tabular-moe");
    CU_ASSERT_EQUAL(load(from, to, &c), FM_EPROTO);
    CU_ASSERT(says("are the aggregator's"));
    write_bad_model("bad.safetensors", "w", 1.0f, "tabular-mo?");
    CU_ASSERT_EQUAL(load(from, to, &c), FM_EPROTO);
    CU_ASSERT(says("its fedmoe.kind is 'tabular-mo?'"));
    for (int i = 0; i < 2; i++) {
        write_bad_model("bad.safetensors", "w", 1.0f, i ? "tabular-moe" : "decoder-adapter");
        CU_ASSERT_EQUAL(load(from, to, &c), FM_OK);
        fm_aggregator_config_fini(&c);
    }
}

/* So little noise is narrower than the proof asks for, on the finest lattice of 32-bit words. */
static void a_plan_without_a_lattice_is_refused(void)
{
    fm_aggregator_config c;

    CU_ASSERT_EQUAL(load("epsilon: 1.0", "epsilon: 1000\n  insecure_noise_multiplier: 1.0e-3", &c),
                    FM_EINVAL);
    CU_ASSERT(says("federation.yaml: "));
}

/* Kept or not, members approve the same plan. */
static void that_updates_are_kept_is_no_part_of_the_plan(void)
{
    static const char *const from = "timeouts: {join_s: 60, round_s: 30}";
    fm_aggregator_config with, without;
    fm_buf a = { 0 }, b = { 0 };

    CU_ASSERT_EQUAL_FATAL(load(NULL, NULL, &without), FM_OK);
    CU_ASSERT_EQUAL_FATAL(load(from, "keep_updates: true", &with), FM_OK);
    CU_ASSERT(with.keep_updates && !without.keep_updates);
    memcpy(with.plan.run, without.plan.run, sizeof with.plan.run);
    CU_ASSERT(fm_plan_encode(&with.plan, &a) == FM_OK &&
              fm_plan_encode(&without.plan, &b) == FM_OK);
    CU_ASSERT(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
    fm_aggregator_config_fini(&with);
    fm_aggregator_config_fini(&without);
    CU_ASSERT_EQUAL(load(from, "keep_updates: often", &with), FM_EPARSE);
    CU_ASSERT(says("keep_updates"));
    fm_buf_fini(&a);
    fm_buf_fini(&b);
}

static const fm_test tests[] = {
    { "everything given is read", everything_given_is_read },
    { "what is left out follows from the case", what_is_left_out_follows_from_the_case },
    { "schedule, encoding and counts are read", schedule_encoding_and_counts_are_read },
    { "local steps are read and paid for", local_steps_are_read_and_paid_for },
    { "a statistics round is planned where the model can take one",
      a_statistics_round_is_planned_where_the_model_can_take_one },
    { "two loads are two runs", two_loads_are_two_runs },
    { "unknown keys are refused with their place", unknown_keys_are_refused_with_their_place },
    { "figures without use are refused with their place",
      figures_without_use_are_refused_with_their_place },
    { "values out of range are refused with their place",
      values_out_of_range_are_refused_with_their_place },
    { "endpoints that cannot be bound are refused with their place",
      endpoints_that_cannot_be_bound_are_refused_with_their_place },
    { "missing keys are named", missing_keys_are_named },
    { "noise by hand needs the epsilon that says so",
      noise_by_hand_needs_the_epsilon_that_says_so },
    { "the model is a plain name beside the file", the_model_is_a_plain_name_beside_the_file },
    { "a model that cannot be trained is refused", a_model_that_cannot_be_trained_is_refused },
    { "a plan without a lattice is refused", a_plan_without_a_lattice_is_refused },
    { "that updates are kept is no part of the plan",
      that_updates_are_kept_is_no_part_of_the_plan },
};
const fm_test_suite suite_config = { "aggregator.config", tests, FM_TEST_COUNT(tests) };
