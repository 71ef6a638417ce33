/* The program against an aggregator's end of the link: what it answers, what it leaves behind. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/model/schema.h"
#include "fedmoe/node/config.h"
#include "fedmoe/proto/link/link.h"
#include "suites.h"
#include "world.h"

#define PATIENCE_MS 20000u

static char g_schema[] = "name: tiny\n"
                         "csv: {header: false, delimiter: \",\", missing: [\"?\", \"\"]}\n"
                         "columns:\n"
                         "  - {name: a, kind: numeric, range: [-10, 10], center: 0, scale: 1}\n"
                         "  - {name: y, kind: label, negative: [\"0\"], positive: [\"1\"]}\n";
static char g_model[] = "width: 0\n";

typedef struct {
    char dir[PATH_CAP], config[PATH_CAP], log[PATH_CAP];
    fm_link_server *link;
    pid_t child;
    uint64_t peer;
    fm_message *answer; /* the PlanAnswer, owned */
} stage;

static void write_config(const stage *s, const char *records, const uint8_t *door_key)
{
    char path[PATH_CAP], key[41];
    fm_buf b = { 0 };

    make_path(path, s->dir, "records.csv");
    need(fm_file_create(path, records, strlen(records), 0600) == FM_OK, "records");
    fm_curve_text(door_key, key);
    need(fm_buf_printf(&b,
                       "name: alpha\naggregator: {door: \"%s\", door_key: \"%s\"}\nidentity: %s\n"
                       "data: {name: alpha-records, records: records.csv}\nledger: ledger.db\n"
                       "policy: {epsilon: 1, delta: 1.0e-4, purposes: [\"heart disease risk\"]}\n",
                       fm_link_server_door(s->link), key, world_node_dir()) == FM_OK,
         "node.yaml");
    need(fm_file_create(s->config, b.data, b.len, 0600) == FM_OK, "node.yaml");
    fm_buf_fini(&b);
}

static void open_stage(stage *s, const char *records)
{
    uint8_t door_public[FM_CURVE_KEY_BYTES], door_secret[FM_CURVE_KEY_BYTES];
    fm_link_server_config c = { .door = "tcp://127.0.0.1:0",
                                .door_secret = door_secret,
                                .identity = the_world()->aggregator,
                                .trust = the_world()->trust };

    memset(s, 0, sizeof *s);
    fm_test_tmpdir(s->dir, sizeof s->dir);
    make_path(s->config, s->dir, "node.yaml");
    make_path(s->log, s->dir, "log.txt");
    need(fm_curve_keypair(door_public, door_secret) == FM_OK, "door keys");
    need(fm_link_server_new(&c, &s->link) == FM_OK, "a link");
    write_config(s, records, door_public);
}

static void start_node(stage *s)
{
    int fd;

    need((s->child = fork()) >= 0, "a child");
    if (s->child)
        return;
    fd = open(s->log, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
        _exit(90);
    execl(FEDMOE_NODE, "fedmoe-node", "start", "--config", s->config, "--retry-s", "5",
          (char *)NULL);
    _exit(91);
}

static fm_plan make_plan(void)
{
    fm_plan p = { .epsilon = 1.0,
                  .delta = 1e-4,
                  .clip_norm = 1.0,
                  .sampling_rate = 0.5,
                  .rounds = 5,
                  .max_units = 1000,
                  .expected_units = 500,
                  .min_cohort = 3,
                  .quorum = 3,
                  .colluders = 1,
                  .max_nodes = 4,
                  .word_bits = 32,
                  .mask_density = 256,
                  .parameters = 3,
                  .model_text = g_model,
                  .schema_text = g_schema,
                  .optimizer = FM_OPTIMIZER_ADAM,
                  .learning_rate = 0.1,
                  .adam_epsilon = 1e-3,
                  .encoding = FM_ENCODING_EXACT,
                  .schedule = FM_SCHEDULE_CONSTANT };
    fm_schema *schema = NULL;

    need(fm_schema_parse("schema", g_schema, strlen(g_schema), &schema) == FM_OK, "a schema");
    p.parameters = (uint32_t)fm_schema_features(schema) + 1;
    fm_schema_free(&schema);
    (void)snprintf(p.federation, sizeof p.federation, FEDERATION);
    (void)snprintf(p.purpose, sizeof p.purpose, "heart disease risk");
    (void)snprintf(p.privacy_unit, sizeof p.privacy_unit, "record");
    p.max_unit_rows = 1;
    p.task = FM_TASK_TRAINING;
    p.noise = FM_NOISE_DISTRIBUTED;
    need(fm_dp_calibrate(1.0, 1e-4, 0.5, 5, &p.noise_multiplier) == FM_OK, "the noise");
    return p;
}

static void offer(stage *s, const fm_plan *plan)
{
    fm_message m = { .type = FM_MSG_PLAN_OFFER };
    fm_buf b = { 0 };

    need(fm_plan_encode(plan, &b) == FM_OK, "a plan");
    m.plan_offer.plan = (fm_bytes){ b.data, b.len };
    CU_ASSERT_EQUAL(fm_link_server_send(s->link, s->peer, &m), FM_OK);
    fm_buf_fini(&b);
}

/** Offer the plan to whoever joins, and wait for the answer. */
static void ask(stage *s, const fm_plan *plan)
{
    uint64_t until = fm_clock_now_ms() + PATIENCE_MS;

    start_node(s);
    while (!s->answer && fm_clock_now_ms() < until) {
        fm_link_event e = { 0 };

        need(fm_link_server_poll(s->link, 50, &e) == FM_OK, "a poll");
        if (e.kind == FM_LINK_JOINED) {
            s->peer = e.peer;
            offer(s, plan);
        } else if (e.kind == FM_LINK_MESSAGE && e.message->type == FM_MSG_PLAN_ANSWER) {
            s->answer = e.message;
            e.message = NULL;
        }
        fm_message_free(&e.message);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(s->answer);
}

/** Send the node away; its exit code. */
static int close_stage(stage *s)
{
    int status = 0;

    fm_link_server_drop(s->link, s->peer, "the test is over");
    for (int i = 0; i < 20; i++) {
        fm_link_event e = { 0 };

        need(fm_link_server_poll(s->link, 10, &e) == FM_OK, "a poll");
        fm_message_free(&e.message);
    }
    fm_link_server_free(&s->link); /* whoever comes back finds nobody */
    CU_ASSERT_EQUAL(waitpid(s->child, &status, 0), s->child);
    fm_message_free(&s->answer);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static json_t *read_left(const stage *s, const char *name)
{
    char path[PATH_CAP];
    json_t *j = NULL;

    make_path(path, s->dir, name);
    need(fm_json_read(path, &j) == FM_OK, name);
    return j;
}

static void a_plan_that_fits_is_approved_and_shown(void)
{
    fm_plan plan = make_plan();
    json_t *j;
    stage s;

    open_stage(&s, "1,0\n2,1\n");
    ask(&s, &plan);
    CU_ASSERT(s.answer->plan_answer.approved);
    j = read_left(&s, "plan.json");
    CU_ASSERT(json_is_true(json_object_get(j, "approved")));
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "purpose")), plan.purpose);
    json_decref(j);
    CU_ASSERT_EQUAL(close_stage(&s), 1); /* it was not finished */
}

static void a_purpose_that_is_not_allowed_ends_the_node_with_the_reason(void)
{
    fm_plan plan = make_plan();
    json_t *j;
    stage s;

    (void)snprintf(plan.purpose, sizeof plan.purpose, "advertising");
    open_stage(&s, "1,0\n2,1\n");
    ask(&s, &plan);
    CU_ASSERT_FALSE(s.answer->plan_answer.approved);
    CU_ASSERT_PTR_NOT_NULL(strstr(s.answer->plan_answer.reason, "advertising"));
    CU_ASSERT_EQUAL(close_stage(&s), 1);
    j = read_left(&s, "status.json");
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "state")), "failed");
    CU_ASSERT_PTR_NOT_NULL(
        strstr(json_string_value(json_object_get(j, "reason")), "refused the plan"));
    json_decref(j);
    j = read_left(&s, "plan.json");
    CU_ASSERT(json_is_false(json_object_get(j, "approved")));
    json_decref(j);
}

/** The cell's value is in neither the answer nor the log. */
static void a_record_that_does_not_fit_stays_in_the_house(void)
{
    fm_plan plan = make_plan();
    fm_buf log = { 0 };
    stage s;

    open_stage(&s, "1,0\n31415,1\n");
    ask(&s, &plan);
    CU_ASSERT_FALSE(s.answer->plan_answer.approved);
    CU_ASSERT_PTR_NULL(strstr(s.answer->plan_answer.reason, "fit"));
    CU_ASSERT_PTR_NULL(strstr(s.answer->plan_answer.reason, "31415"));
    CU_ASSERT_PTR_NULL(strstr(s.answer->plan_answer.reason, s.dir));
    CU_ASSERT_EQUAL(close_stage(&s), 1);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(s.log, 1 << 20, &log), FM_OK);
    CU_ASSERT_PTR_NULL(strstr((const char *)log.data, "31415"));
    CU_ASSERT_PTR_NOT_NULL(strstr((const char *)log.data, "fedmoe-node check"));
    fm_buf_fini(&log);
}

/** The reason that leaves when `plan` is offered to a node with these records. */
static void reason_of(const fm_plan *plan, const char *records, char out[FM_MAX_REASON_BYTES + 1])
{
    stage s;

    open_stage(&s, records);
    ask(&s, plan);
    CU_ASSERT_FALSE(s.answer->plan_answer.approved);
    memcpy(out, s.answer->plan_answer.reason, FM_MAX_REASON_BYTES + 1);
    CU_ASSERT_EQUAL(close_stage(&s), 1);
}

/** Plans with a second fault of their own must not tell whether the records had the first. */
static void refusals_do_not_tell_records_budget_and_plan_apart(void)
{
    char records[FM_MAX_REASON_BYTES + 1], rows[FM_MAX_REASON_BYTES + 1],
        model[FM_MAX_REASON_BYTES + 1], budget[FM_MAX_REASON_BYTES + 1];
    fm_plan plan = make_plan();

    reason_of(&plan, "1,0\n31415,1\n", records);
    plan.parameters++;
    reason_of(&plan, "1,0\n2,1\n", model);
    plan = make_plan();
    plan.max_units = 1;
    plan.expected_units = 1;
    reason_of(&plan, "1,0\n2,1\n", rows);
    plan = make_plan();
    plan.epsilon = 3.0;
    need(fm_dp_calibrate(3.0, 1e-4, 0.5, 5, &plan.noise_multiplier) == FM_OK, "the noise");
    reason_of(&plan, "1,0\n2,1\n", budget);
    CU_ASSERT_STRING_EQUAL(records, model);
    CU_ASSERT_STRING_EQUAL(records, rows);
    CU_ASSERT_STRING_EQUAL(records, budget);
}

/* The statistics round is for the center and the first bias of the plan's model, or for nothing. */
static void a_statistics_round_for_other_weights_is_refused(void)
{
    static char model[] = "width: 0\nmultipliers: {bias: 0.5}\ncenter: true\n";
    fm_plan right = make_plan();
    const uint32_t features = right.parameters - 1;

    right.model_text = model;
    right.parameters = 2 * features + 2;
    right.start_center = features + 1;
    right.start_count = features;
    right.start_bias = features;
    right.start_scale = 0.5;
    for (int i = 0; i < 6; i++) {
        fm_plan plan = right;
        stage s;

        plan.start_scale = i == 1 ? 0.25 : plan.start_scale;
        plan.start_bias -= i == 2;
        plan.start_count -= i == 3;
        if (i >= 4) { /* no such round: the center is then to stay as it is */
            plan.start_scale = 0.0;
            plan.start_bias = 0;
            plan.parameters--;
        }
        if (i == 5)
            plan.start_center = plan.start_count = 0;
        open_stage(&s, "1,0\n2,1\n");
        ask(&s, &plan);
        CU_ASSERT_EQUAL(s.answer->plan_answer.approved, i == 0 || i == 4);
        CU_ASSERT_EQUAL(close_stage(&s), 1);
    }
}

static void a_second_plan_is_not_tried_on_the_records(void)
{
    uint64_t until = fm_clock_now_ms() + 1000;
    fm_plan good = make_plan(), bad = make_plan();
    bool approved = false;
    stage s;

    bad.parameters++;
    open_stage(&s, "1,0\n2,1\n");
    ask(&s, &bad);
    offer(&s, &good);
    while (fm_clock_now_ms() < until) {
        fm_link_event e = { 0 };

        need(fm_link_server_poll(s.link, 50, &e) == FM_OK, "a poll");
        if (e.kind == FM_LINK_MESSAGE && e.message->type == FM_MSG_PLAN_ANSWER)
            approved = approved || e.message->plan_answer.approved;
        fm_message_free(&e.message);
    }
    CU_ASSERT_FALSE(approved);
    CU_ASSERT_EQUAL(close_stage(&s), 1);
}

static const fm_test tests[] = {
    { "a statistics round for other weights is refused",
      a_statistics_round_for_other_weights_is_refused },
    { "refusals do not tell records, budget and plan apart (else: plans read the records out)",
      refusals_do_not_tell_records_budget_and_plan_apart },
    { "a second plan is not tried on the records", a_second_plan_is_not_tried_on_the_records },
    { "a plan that fits is approved, and shown in plan.json",
      a_plan_that_fits_is_approved_and_shown },
    { "a purpose that is not allowed ends the node with the reason",
      a_purpose_that_is_not_allowed_ends_the_node_with_the_reason },
    { "a record that does not fit stays in the house (else: its value leaves with the refusal)",
      a_record_that_does_not_fit_stays_in_the_house },
};

const fm_test_suite suite_driver = { "node.driver", tests, FM_TEST_COUNT(tests) };
