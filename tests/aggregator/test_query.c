/* federation.yaml of a query, the state that is summed, and the answer, also after a restart. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directory_internal.h"
#include "federation.h"
#include "fedmoe/aggregator/config.h"
#include "fedmoe/aggregator/state.h"
#include "fedmoe/base/file.h"
#include "fedmoe/dp/accountant.h"
#include "fedmoe/proto/digest.h"
#include "suites.h"
#include "yaml.h"

#define BEGINNING                   \
    "name: heart\n"                 \
    "purpose: heart disease risk\n" \
    "listen: {door: \"tcp://127.0.0.1:7300\"}\n"
#define END                \
    "privacy:\n"           \
    "  unit: record\n"     \
    "  epsilon: 0.5\n"     \
    "  delta: 1.0e-5\n"    \
    "  max_units: 20000\n" \
    "cohort: {nodes: 4, min: 3, quorum: 3, colluders: 1}\n"

static const char statistics[] =
    BEGINNING "task: statistics\nquery: query.yaml\nschema: schema.yaml\n" END;
static const char evaluation[] =
    BEGINNING "task: evaluation\nquery: scores.yaml\nmodel: model.safetensors\n" END;

static const char columns[] = "columns:\n"
                              "  - {column: age, ask: count}\n"
                              "  - {column: cp, ask: values, values: [\"1\", \"2\"]}\n";
static const char scores[] = "scores: {bins: 8, groups: 4}\n";

enum { STATISTICS_WIDTH = 6, SCORES_WIDTH = 16 };

static char dir[PATH_CAP - 64], path[PATH_CAP];

static void put(const char *name, const void *data, size_t len)
{
    char file[PATH_CAP];

    yaml_path(file, dir, name);
    need(fm_file_replace(file, data, len, 0644) == FM_OK, file);
}

/** One tensor stands before "results" in the alphabet and one behind it. */
static void put_model(const char *name, const char *second, const char *clip_norm)
{
    const fm_safetensors_meta meta[] = { { "fedmoe.kind", "tabular-moe" },
                                         { "fedmoe.model", "kind: test\n" },
                                         { "fedmoe.schema", "columns: none\n" },
                                         { "fedmoe.clip_norm", clip_norm } };
    static const float values[5] = { 1.5f, -2.5f, 3.5f, 4.5f, -5.5f };
    const fm_tensor_view tensors[] = {
        { "a", "F32", 1, { 3 }, (const uint8_t *)values, 3 * sizeof(float) },
        { second, "F32", 1, { 2 }, (const uint8_t *)(values + 3), 2 * sizeof(float) },
    };
    fm_buf bytes = { 0 };

    need(fm_safetensors_encode(tensors, 2, meta, clip_norm ? 4 : 3, &bytes) == FM_OK, "model");
    put(name, bytes.data, bytes.len);
    fm_buf_fini(&bytes);
}

static void prepare(void)
{
    if (dir[0])
        return;
    fm_test_tmpdir(dir, sizeof dir);
    yaml_path(path, dir, "federation.yaml");
    put("query.yaml", columns, strlen(columns));
    put("scores.yaml", scores, strlen(scores));
    put("schema.yaml", "name: x\n", 8);
    put("empty.yaml", "", 0);
    put("binary.yaml", "colu\0mns", 8);
    put("wrong.yaml", "columns:\n  - {column: age, ask: median}\n", 40);
    put_model("model.safetensors", "z", NULL);
    put_model("results.safetensors", "results", NULL);
}

/** federation.yaml with the first `from` replaced by `to`; NULL: as it is. */
static fm_status load(const char *text, const char *from, const char *to, fm_aggregator_config *c)
{
    const char *at = from ? strstr(text, from) : text;
    char edited[2048];
    int n;

    prepare();
    need(at != NULL, from);
    n = snprintf(edited, sizeof edited, "%.*s%s%s", (int)(at - text), text, to ? to : "",
                 at + (from ? strlen(from) : 0));
    need(n > 0 && (size_t)n < sizeof edited, "a text");
    put("federation.yaml", edited, (size_t)n);
    memset(c, 0, sizeof *c);
    return fm_aggregator_config_load(path, c);
}

/** What each query's plan has, whatever it asks. */
static void check_plan(const fm_aggregator_config *c, fm_task task)
{
    const fm_plan *p = &c->plan;
    double epsilon = 0.0;

    CU_ASSERT_EQUAL(p->task, task);
    CU_ASSERT_EQUAL(p->optimizer, FM_OPTIMIZER_SUM);
    CU_ASSERT_EQUAL(p->rounds, 1);
    CU_ASSERT_EQUAL(p->sampling_rate, 1.0);
    CU_ASSERT_EQUAL(p->expected_units, 20000.0);
    CU_ASSERT_EQUAL(p->clip_norm, fm_query_clip_norm(c->query));
    CU_ASSERT_EQUAL(
        fm_dp_epsilon(&(fm_dp_mechanism){ p->noise_multiplier, 1.0, 1, FM_DP_GAUSSIAN, 0 }, 1, 1e-5,
                      &epsilon),
        FM_OK);
    CU_ASSERT(epsilon <= 0.5 && epsilon > 0.4995);
}

static void check_first_state(const fm_aggregator_config *c, const float *model, size_t frozen,
                              size_t width)
{
    const fm_hash want = c->plan.initial_model;
    float flat[64];
    fm_hash digest;

    CU_ASSERT_EQUAL_FATAL(c->plan.parameters, frozen + width);
    CU_ASSERT_EQUAL(c->plan.frozen, frozen);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_flat_read(c->model, flat, frozen + width), FM_OK);
    for (size_t i = 0; i < frozen; i++)
        CU_ASSERT_EQUAL(flat[i], model[i]);
    for (size_t i = 0; i < width; i++)
        CU_ASSERT_EQUAL(flat[frozen + i], 0.0f);
    digest = fm_model_digest(flat, (frozen + width) * sizeof *flat);
    CU_ASSERT(fm_hash_equal(&digest, &want));
}

static void statistics_are_planned(void)
{
    fm_aggregator_config c;

    CU_ASSERT_EQUAL_FATAL(load(statistics, NULL, NULL, &c), FM_OK);
    check_plan(&c, FM_TASK_STATISTICS);
    CU_ASSERT_STRING_EQUAL(c.plan.query_text, columns);
    CU_ASSERT_STRING_EQUAL(c.plan.schema_text, "name: x\n");
    CU_ASSERT(!c.plan.model_text || !*c.plan.model_text);
    CU_ASSERT_STRING_EQUAL(c.query_file, "query.yaml");
    CU_ASSERT_STRING_EQUAL(c.schema_file, "schema.yaml");
    CU_ASSERT_PTR_NULL(c.model_file);
    CU_ASSERT_DOUBLE_EQUAL(c.plan.clip_norm, sqrt(2.0), 1.0 / 1024.0);
    CU_ASSERT(c.plan.clip_norm > sqrt(2.0));
    check_first_state(&c, NULL, 0, STATISTICS_WIDTH);
    fm_aggregator_config_fini(&c);
}

/* The sums lie behind the model whatever its tensors are called, and the model is as it was. */
static void an_evaluation_is_planned(void)
{
    static const float model[] = { 1.5f, -2.5f, 3.5f, 4.5f, -5.5f };
    fm_aggregator_config c;

    CU_ASSERT_EQUAL_FATAL(load(evaluation, NULL, NULL, &c), FM_OK);
    check_plan(&c, FM_TASK_EVALUATION);
    CU_ASSERT_STRING_EQUAL(c.plan.query_text, scores);
    CU_ASSERT_STRING_EQUAL(c.plan.model_text, "kind: test\n");
    CU_ASSERT_STRING_EQUAL(c.plan.schema_text, "columns: none\n");
    CU_ASSERT_PTR_NULL(c.schema_file);
    check_first_state(&c, model, 5, SCORES_WIDTH);
    CU_ASSERT_EQUAL(c.plan.model_clip_norm, 0.0);
    fm_aggregator_config_fini(&c);
    put_model("model.safetensors", "z", "0.5");
    CU_ASSERT_EQUAL_FATAL(load(evaluation, NULL, NULL, &c), FM_OK);
    CU_ASSERT_EQUAL(c.plan.model_clip_norm, 0.5);
    fm_aggregator_config_fini(&c);
    put_model("model.safetensors", "z", "half");
    CU_ASSERT_EQUAL(load(evaluation, NULL, NULL, &c), FM_EPROTO);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "\"half\", no clip norm"));
    put_model("model.safetensors", "z", NULL);
}

static void training_is_the_default_and_has_no_query(void)
{
    fm_aggregator_config c;

    CU_ASSERT_EQUAL_FATAL(load(BEGINNING "model: model.safetensors\n" END "training: {}\n",
                               "  max_units", "  expected_units: 600\n  max_units", &c),
                          FM_OK);
    CU_ASSERT_EQUAL(c.plan.task, FM_TASK_TRAINING);
    CU_ASSERT_EQUAL(c.plan.frozen, 0);
    CU_ASSERT_EQUAL(c.plan.learning_rate, 0.05); /* one output, no center: perhaps a number */
    CU_ASSERT_PTR_NULL(c.query);
    CU_ASSERT_PTR_NULL(c.plan.query_text);
    fm_aggregator_config_fini(&c);
}

typedef struct {
    const char *text, *from, *to;
    fm_status why;
    const char *where; /* line:column of federation.yaml; NULL: of another file */
    const char *words;
} bad;

static void refuse_all(const bad *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fm_aggregator_config c;
        char place[PATH_CAP + 32];

        CU_ASSERT_EQUAL(load(cases[i].text, cases[i].from, cases[i].to, &c), cases[i].why);
        (void)snprintf(place, sizeof place, "%s:%s: ", path, cases[i].where);
        CU_ASSERT(!cases[i].where || says(place));
        CU_ASSERT(says(cases[i].words));
        CU_ASSERT_PTR_NULL(c.door);
        CU_ASSERT_PTR_NULL(c.query);
    }
}

static void keys_that_a_task_has_no_use_for_are_refused_with_their_place(void)
{
    static const bad cases[] = {
        { statistics, "task: statistics", "task: survey", FM_EPARSE, "4:7",
          "'survey' is not known" },
        { statistics, "task: statistics", "task: [statistics]", FM_EPARSE, "4:7", "task" },
        { statistics, "task: statistics", "tasks: statistics", FM_EPARSE, "4:1",
          "did you mean 'task'" },
        { statistics, "task: statistics", "task: evaluation", FM_EPARSE, "6:1", "schema" },
        { evaluation, "task: evaluation", "task: statistics", FM_EPARSE, "6:1", "model" },
        { evaluation, "task: evaluation", "task: training", FM_EPARSE, "5:8", "query" },
        { statistics, "privacy:", "training: {rounds: 2}\nprivacy:", FM_EPARSE, "7:1", "training" },
        { statistics, "  delta", "  clip_norm: 9\n  delta", FM_EPARSE, "10:3", "clip_norm" },
        { evaluation, "  delta", "  sampling_rate: 0.1\n  delta", FM_EPARSE, "10:3",
          "sampling_rate" },
        { statistics, "query: query.yaml\n", "", FM_EPARSE, "1:1", "'query' is missing" },
        { statistics, "schema: schema.yaml\n", "", FM_EPARSE, "1:1", "'schema' is missing" },
        { evaluation, "model: model.safetensors\n", "", FM_EPARSE, "1:1", "'model' is missing" },
    };

    refuse_all(cases, FM_TEST_COUNT(cases));
}

static void files_that_cannot_be_are_refused(void)
{
    static const bad cases[] = {
        { statistics, "query.yaml", "../query.yaml", FM_EPARSE, "5:8", "has a folder in it" },
        { statistics, "query.yaml", "result.json", FM_EPARSE, "5:8", "something else" },
        { statistics, "schema.yaml", "/etc/passwd", FM_EPARSE, "6:9", "has a folder in it" },
        { statistics, "schema.yaml", "plan.bin", FM_EPARSE, "6:9", "something else" },
        { statistics, "query.yaml", "absent.yaml", FM_ENOTFOUND, NULL, "absent.yaml" },
        { statistics, "schema.yaml", "absent.yaml", FM_ENOTFOUND, NULL, "absent.yaml" },
        { statistics, "query.yaml", "empty.yaml", FM_EPARSE, NULL, "empty.yaml: empty" },
        { statistics, "query.yaml", "binary.yaml", FM_EPARSE, NULL, "not a text" },
        { statistics, "query.yaml", "wrong.yaml", FM_EPARSE, NULL,
          "wrong.yaml:2:24: ask 'median'" },
        { statistics, "query.yaml", "scores.yaml", FM_EPARSE, NULL, "scores.yaml:1:" },
        { evaluation, "scores.yaml", "query.yaml", FM_EPARSE, NULL, "query.yaml:1:" },
        { evaluation, "model.safetensors", "results.safetensors", FM_EPARSE, "6:8",
          "which is the query's" },
        { evaluation, "model.safetensors", "query.yaml", FM_EPROTO, NULL, "query.yaml" },
    };

    refuse_all(cases, FM_TEST_COUNT(cases));
}

/* ---- the state ---- */

typedef struct {
    fm_aggregator_config c;
    fm_hash plan;
    fm_optimizer *o;
    fm_state *s;
} desk;

static void reopen(desk *d)
{
    fm_state_close(&d->s);
    fm_optimizer_free(&d->o);
    CU_ASSERT_EQUAL_FATAL(fm_directory_optimizer(&d->c, &d->o), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_state_open(dir, &d->plan, d->c.model, d->o, &d->s), FM_OK);
}

static void open_desk(desk *d, const char *text, unsigned char plan)
{
    memset(d, 0, sizeof *d);
    dir[0] = '\0'; /* a state belongs to one folder */
    CU_ASSERT_EQUAL_FATAL(
        load(text, "epsilon: 0.5", "epsilon: 1000\n  insecure_noise_multiplier: 0", &d->c), FM_OK);
    d->plan = fm_hash_of("a plan", &plan, 1);
    reopen(d);
}

static void close_desk(desk *d)
{
    fm_state_close(&d->s);
    fm_optimizer_free(&d->o);
    fm_aggregator_config_fini(&d->c);
}

static void finish_round(desk *d, const float *sum, size_t n)
{
    fm_transcript_entry e = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_state_next_round(d->s, &e.round), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_optimizer_step(d->o, sum, n), FM_OK);
    e.commit_digest = fm_hash_of("a commit", &e.round, sizeof e.round);
    e.model_after = fm_model_digest(d->o->weights, d->o->n * sizeof(float));
    CU_ASSERT_EQUAL_FATAL(fm_state_finish_round(d->s, &e, (fm_bytes){ NULL, 0 }, d->o), FM_OK);
}

static double figure(const json_t *answer, size_t item, const char *key)
{
    const json_t *one = json_array_get(json_object_get(answer, "results"), item);

    return json_number_value(json_object_get(json_object_get(one, key), "estimate"));
}

/** The answer twice: as result.json is made, and as people see it. */
static json_t *answer_of(desk *d, char *shown, size_t cap)
{
    json_t *out = NULL;
    FILE *f = fmemopen(shown, cap, "w");

    need(f != NULL, "a stream");
    CU_ASSERT_EQUAL_FATAL(fm_directory_answer(&d->c, d->o, fm_state_finished(d->s), &d->plan, &out),
                          FM_OK);
    fm_directory_show_answer(f, out);
    (void)fclose(f);
    return out;
}

/* A sum is not added twice, nor lost, nor is the second round's taken for the whole. */
static void a_query_goes_on_where_it_was_stopped(void)
{
    static const float sum[STATISTICS_WIDTH] = { 90.0f, 10.0f, 60.0f, 25.0f, 12.0f, 3.0f };
    static const float more[STATISTICS_WIDTH] = { 94.0f, 6.0f, 60.0f, 27.0f, 12.0f, 1.0f };
    char shown[4096];
    json_t *answer;
    desk d;

    open_desk(&d, statistics, 1);
    finish_round(&d, sum, STATISTICS_WIDTH);
    for (int i = 0; i < 3; i++) {
        reopen(&d);
        CU_ASSERT_EQUAL(fm_state_finished(d.s), 1);
        CU_ASSERT(memcmp(d.o->weights, sum, sizeof sum) == 0);
    }
    answer = answer_of(&d, shown, sizeof shown);
    CU_ASSERT_DOUBLE_EQUAL(figure(answer, 0, "present"), 90.0, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(figure(answer, 1, "another"), 12.0, 1e-6);
    CU_ASSERT_PTR_NOT_NULL(strstr(shown, "statistics of federation heart at epsilon 1000"));
    CU_ASSERT_PTR_NOT_NULL(strstr(shown, "age: count\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(shown, "\n  present "));
    CU_ASSERT_PTR_NOT_NULL(strstr(shown, "\n  2 "));
    json_decref(answer);
    finish_round(&d, more, STATISTICS_WIDTH);
    reopen(&d);
    answer = answer_of(&d, shown, sizeof shown);
    CU_ASSERT_DOUBLE_EQUAL(figure(answer, 0, "present"), 92.0, 1e-6); /* of a round */
    CU_ASSERT_DOUBLE_EQUAL(figure(answer, 1, "missing"), 2.0, 1e-6);
    json_decref(answer);
    close_desk(&d);
}

/* The model that is evaluated is the one that was approved, after the round and after a restart. */
static void an_evaluation_leaves_the_model_alone(void)
{
    static const float model[] = { 1.5f, -2.5f, 3.5f, 4.5f, -5.5f };
    float sum[SCORES_WIDTH] = { 0 };
    char shown[4096];
    json_t *answer;
    desk d;

    open_desk(&d, evaluation, 2);
    for (int k = 0; k < 20; k++)
        fm_query_add_score(d.c.query, k < 5 ? 3.0 : -3.0, k < 5, 1.0f, sum);
    finish_round(&d, sum, SCORES_WIDTH);
    reopen(&d);
    CU_ASSERT_EQUAL(fm_state_finished(d.s), 1);
    CU_ASSERT(memcmp(d.o->weights, model, sizeof model) == 0);
    CU_ASSERT(memcmp(d.o->weights + 5, sum, sizeof sum) == 0);
    answer = answer_of(&d, shown, sizeof shown);
    CU_ASSERT_DOUBLE_EQUAL(figure(answer, 0, "positives"), 5.0, 1e-4);
    CU_ASSERT_DOUBLE_EQUAL(figure(answer, 0, "negatives"), 15.0, 1e-4);
    CU_ASSERT_DOUBLE_EQUAL(figure(answer, 0, "auc"), 1.0, 1e-4);
    CU_ASSERT_PTR_NOT_NULL(strstr(shown, "accuracy at 0.5"));
    json_decref(answer);
    close_desk(&d);
}

static void nothing_is_answered_before_a_round(void)
{
    json_t *out = NULL;
    desk d;

    open_desk(&d, statistics, 3);
    CU_ASSERT_EQUAL(fm_directory_answer(&d.c, d.o, 0, &d.plan, &out), FM_EINVAL);
    CU_ASSERT_PTR_NULL(out);
    close_desk(&d);
}

static const fm_test tests[] = {
    { "statistics are planned", statistics_are_planned },
    { "an evaluation is planned, its sums behind the model", an_evaluation_is_planned },
    { "training is the default and has no query", training_is_the_default_and_has_no_query },
    { "keys that a task has no use for are refused with their place",
      keys_that_a_task_has_no_use_for_are_refused_with_their_place },
    { "files that cannot be are refused", files_that_cannot_be_are_refused },
    { "a query goes on where it was stopped", a_query_goes_on_where_it_was_stopped },
    { "an evaluation leaves the model alone", an_evaluation_leaves_the_model_alone },
    { "nothing is answered before a round", nothing_is_answered_before_a_round },
};
const fm_test_suite suite_query = { "aggregator.query", tests, FM_TEST_COUNT(tests) };
