/* Each reason for which a node refuses a plan, one at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/node/config.h"
#include "policy_internal.h"
#include "run_internal.h"
#include "suites.h"
#include "world.h"

#define DATA_SET "records"

typedef struct {
    fm_node_policy policy;
    fm_plan plan;
    fm_hash hash;
    fm_ledger *ledger;
} desk;

static char g_purpose[] = "heart disease risk";
static char g_model[] = "width: 0\n", g_schema[] = "name: x\n";

/** A plan of epsilon 1 at 1e-4 that the policy just allows. */
static void open_desk(desk *d)
{
    char dir[PATH_CAP], path[PATH_CAP];

    memset(d, 0, sizeof *d);
    d->policy = (fm_node_policy){ .epsilon = 1.0,
                                  .delta = 1e-4,
                                  .purposes = { g_purpose },
                                  .purpose_count = 1,
                                  .min_cohort = 3,
                                  .min_colluders = 1,
                                  .max_rows = 1000 };
    d->plan = (fm_plan){ .epsilon = 1.0,
                         .delta = 1e-4,
                         .clip_norm = 1.0,
                         .sampling_rate = 0.5,
                         .rounds = 20,
                         .max_units = 1000,
                         .expected_units = 500,
                         .min_cohort = 3,
                         .quorum = 3,
                         .colluders = 1,
                         .max_nodes = 4,
                         .word_bits = 32,
                         .mask_density = 256,
                         .parameters = 16,
                         .model_text = g_model,
                         .schema_text = g_schema,
                         .optimizer = FM_OPTIMIZER_ADAM,
                         .learning_rate = 0.1,
                         .adam_epsilon = 1e-3,
                         .encoding = FM_ENCODING_EXACT,
                         .schedule = FM_SCHEDULE_CONSTANT };
    (void)snprintf(d->plan.federation, sizeof d->plan.federation, FEDERATION);
    (void)snprintf(d->plan.purpose, sizeof d->plan.purpose, "%s", g_purpose);
    (void)snprintf(d->plan.privacy_unit, sizeof d->plan.privacy_unit, "record");
    d->plan.max_unit_rows = 1;
    d->plan.task = FM_TASK_TRAINING;
    d->plan.noise = FM_NOISE_DISTRIBUTED;
    need(fm_dp_calibrate(1.0, 1e-4, 0.5, 20, &d->plan.noise_multiplier) == FM_OK, "the noise");
    fm_test_tmpdir(dir, sizeof dir);
    make_path(path, dir, "ledger.db");
    need(fm_ledger_open(path, &d->ledger) == FM_OK, "a ledger");
}

/** The plan as it would be for this task, at the same noise. */
static void set_task(desk *d, fm_task task)
{
    static char query[] = "a: 1\n";

    d->plan.task = task;
    d->plan.optimizer = task == FM_TASK_TRAINING ? FM_OPTIMIZER_ADAM : FM_OPTIMIZER_SUM;
    d->plan.query_text = task == FM_TASK_TRAINING ? NULL : query;
    d->plan.model_text = task == FM_TASK_STATISTICS ? NULL : g_model;
    d->plan.frozen = task == FM_TASK_EVALUATION ? 4 : 0;
}

static fm_status check(const desk *d)
{
    return fm_node_policy_check(&d->policy, &d->plan, d->ledger, DATA_SET);
}

/** The plan as it is is allowed; as `change` makes it, refused with this status and word. */
static void check_refusal(void (*change)(desk *d), fm_status expected, const char *word)
{
    desk d;

    open_desk(&d);
    CU_ASSERT_EQUAL(check(&d), FM_OK);
    change(&d);
    CU_ASSERT_EQUAL(check(&d), expected);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), word));
    fm_ledger_close(&d.ledger);
}

#define REFUSAL(name, status, word, ...)            \
    static void name##_change(desk *d)              \
    {                                               \
        __VA_ARGS__                                 \
    }                                               \
    static void name(void)                          \
    {                                               \
        check_refusal(name##_change, status, word); \
    }

/** Rounds of some plan are in the book. */
static void spend(desk *d, uint64_t rounds, const char *data_set, unsigned char plan)
{
    const fm_ledger_budget wide = { 1e6, 1e-4 };
    fm_ledger_entry e = { .data_set = data_set,
                          .federation = FEDERATION,
                          .purpose = g_purpose,
                          .plan = d->hash,
                          .mechanism = { d->plan.noise_multiplier, d->plan.sampling_rate, 1,
                                         FM_DP_GAUSSIAN, 0 } };

    e.plan.bytes[0] ^= plan;
    for (e.round = 1; e.round <= rounds; e.round++)
        need(fm_ledger_charge(d->ledger, &e, &wide) == FM_OK, "an entry");
}

static void take_hash(desk *d)
{
    fm_buf b = { 0 };

    need(fm_plan_encode(&d->plan, &b) == FM_OK, "an encoding");
    d->hash = fm_plan_hash(b.data, b.len);
    fm_buf_fini(&b);
}

REFUSAL(another_purpose, FM_EPERM, "purpose", { memcpy(d->plan.purpose, "marketing", 10); })
REFUSAL(a_purpose_that_only_begins_alike, FM_EPERM, "purpose", { strcat(d->plan.purpose, "s"); })
REFUSAL(another_privacy_unit, FM_EPERM, "unit", {
    memcpy(d->plan.privacy_unit, "visit", 6);
    d->plan.max_unit_rows = 16;
})
REFUSAL(a_plan_per_record_of_data_per_patient, FM_EPERM, "protected less",
        { memcpy(d->policy.unit, "patient_nbr", 12); })
REFUSAL(a_plan_per_visit_of_data_per_patient, FM_EPERM, "policy.unit", {
    memcpy(d->policy.unit, "patient_nbr", 12);
    memcpy(d->plan.privacy_unit, "visit", 6);
    d->plan.max_unit_rows = 16;
})
REFUSAL(a_question_of_a_policy_that_says_nothing_of_tasks, FM_EPERM, "for statistics",
        { set_task(d, FM_TASK_STATISTICS); })
REFUSAL(an_evaluation_where_statistics_are_allowed, FM_EPERM, "for evaluation", {
    d->policy.tasks = FM_NODE_TASK(FM_TASK_TRAINING) | FM_NODE_TASK(FM_TASK_STATISTICS);
    set_task(d, FM_TASK_EVALUATION);
})
REFUSAL(training_where_only_questions_are_allowed, FM_EPERM, "policy.tasks",
        { d->policy.tasks = FM_NODE_TASK(FM_TASK_STATISTICS) | FM_NODE_TASK(FM_TASK_EVALUATION); })
REFUSAL(hardly_any_noise_behind_a_tiny_rate, FM_EPERM, "noise multiplier", {
    d->plan.sampling_rate = 1e-6;
    d->plan.noise_multiplier = 0.09;
})
REFUSAL(a_wider_delta, FM_EPERM, "delta", { d->plan.delta = 2e-4; })
REFUSAL(a_smaller_cohort, FM_EPERM, "participants", { d->plan.min_cohort = 2; })
REFUSAL(fewer_colluders, FM_EPERM, "colluding", { d->plan.colluders = 0; })
REFUSAL(an_unsafe_quorum, FM_EPERM, "too small", {
    d->policy.min_cohort = 2;
    d->plan.quorum = 2;
})
/* A group of three may be read with two. */
REFUSAL(groups_below_the_cohort, FM_EPERM, "sums by groups, of 2 participants at least", {
    d->plan.max_nodes = d->plan.min_cohort = d->plan.quorum = 9;
    d->plan.colluders = 0;
    d->policy.min_colluders = 0;
    d->policy.min_cohort = 3;
    d->plan.robust_groups = 3;
    d->plan.robust_quorum = 2;
    d->plan.robust_mean = FM_ROBUST_MEDIAN;
})
REFUSAL(a_quorum_below_the_cohort, FM_EPERM, "fewer than 4", { /* 3 of 4 may be read */
                                                               d->policy.min_cohort = 4;
                                                               d->plan.min_cohort = 4;
})
REFUSAL(less_noise_than_stated, FM_EPERM, "costs", { d->plan.noise_multiplier *= 0.99; })
REFUSAL(more_rounds_than_calibrated, FM_EPERM, "costs", { d->plan.rounds = 21; })
REFUSAL(no_noise, FM_EPERM, "no noise", {
    d->plan.noise_multiplier = 0.0;
    d->plan.epsilon = 1000.0;
})
REFUSAL(words_in_which_a_sum_could_wrap, FM_EPERM, "word_bits 16", {
    d->plan.word_bits = 16;
    d->plan.max_units = 100000;
})

static void set_local(desk *d, uint32_t steps)
{
    d->plan.noise = FM_NOISE_LOCAL;
    d->plan.local_steps = steps;
    d->plan.local_rate = 0.1;
}

REFUSAL(local_steps_that_the_noise_was_not_calibrated_for, FM_EPERM, "over 40 steps",
        { set_local(d, 2); })

/** A round of K local steps is K releases, to the plan, to the ledger, and to what is left. */
static void a_round_of_local_steps_costs_each_of_them(void)
{
    fm_dp_mechanism round;
    double whole = 0.0;
    desk d;

    open_desk(&d);
    set_local(&d, 4);
    d.plan.rounds = 5; /* 20 steps, for which the noise is */
    CU_ASSERT_EQUAL(check(&d), FM_OK);
    round = fm_node_policy_mechanism(&d.plan, 1);
    CU_ASSERT_EQUAL(round.count, 4);
    round = fm_node_policy_mechanism(&d.plan, 5);
    CU_ASSERT_EQUAL(fm_dp_epsilon(&round, 1, 1e-4, &whole), FM_OK);
    CU_ASSERT(whole <= 1.0 && whole > 0.999);
    /* Three rounds are paid: the other two still fit, to the last of their steps. */
    take_hash(&d);
    {
        const fm_ledger_budget wide = { 1e6, 1e-4 };
        fm_ledger_entry e = { .data_set = DATA_SET,
                              .federation = FEDERATION,
                              .purpose = g_purpose,
                              .plan = d.hash,
                              .mechanism = fm_node_policy_mechanism(&d.plan, 1) };

        for (e.round = 1; e.round <= 3; e.round++)
            CU_ASSERT_EQUAL(fm_ledger_charge(d.ledger, &e, &wide), FM_OK);
        CU_ASSERT_EQUAL(check(&d), FM_OK);
        e.plan.bytes[0] ^= 1; /* of another plan: one step more, and they do not */
        e.mechanism.count = 1;
        CU_ASSERT_EQUAL(fm_ledger_charge(d.ledger, &e, &wide), FM_OK);
        CU_ASSERT_EQUAL(check(&d), FM_EBUDGET);
    }
    fm_ledger_close(&d.ledger);
}

static void the_budget_is_weighed_in_rounds_of_all_their_steps(void)
{
    char dir[PATH_CAP], path[PATH_CAP];
    fm_ledger *empty = NULL;
    fm_node_driver d;
    desk k;

    open_desk(&k);
    set_local(&k, 4);
    k.plan.rounds = 5; /* for which the noise is */
    fm_test_tmpdir(dir, sizeof dir);
    make_path(path, dir, "ledger.db");
    need(fm_ledger_open(path, &empty) == FM_OK, "a ledger");
    d = (fm_node_driver){ .config.policy = k.policy, .plan.rounds = k.plan.rounds };
    d.config.ledger = path;
    (void)snprintf(d.config.data_set, sizeof d.config.data_set, DATA_SET);
    d.plan.mechanism = fm_node_policy_mechanism(&k.plan, 1);
    fm_node_driver_weigh_plan(&d);
    CU_ASSERT(d.history.affordable_known);
    CU_ASSERT_EQUAL(d.history.affordable, 5);
    fm_ledger_close(&empty);
    fm_ledger_close(&k.ledger);
}

/** Of 40 nodes, half and two of whom are enough for a sum. */
static void set_many(desk *d, uint32_t density)
{
    d->plan.max_nodes = 40;
    d->plan.min_cohort = d->plan.quorum = 22;
    d->plan.mask_density = density;
}

/* tests/dp/test_mask_graph_attacks.c reads single updates with so few. */
REFUSAL(masks_too_few_to_hold_together, FM_EPERM, "too sparse", { set_many(d, 12); })
REFUSAL(masks_that_are_nearly_enough, FM_EPERM, "2^-54.8", { set_many(d, 242); })
REFUSAL(some_masks_where_all_are_wanted, FM_EPERM, "policy.masks", {
    set_many(d, 255);
    d->policy.all_masks = true;
})

REFUSAL(some_masks_for_more_rounds_than_they_hold, FM_EPERM, "for more than 16384", {
    set_many(d, 255);
    d->plan.rounds = 16385;
})
/* Of which the promise's delta would have to take account. */
REFUSAL(some_masks_beside_a_tiny_delta, FM_EPERM, "2^-61.5 is allowed at delta 1e-12", {
    set_many(d, 243);
    d->plan.delta = 1e-12;
})

/** Books that hold so many releases of the plan, and a plan of such masks. */
static void open_books(fm_node_driver *d, desk *k, uint32_t density, uint64_t released)
{
    static char path[PATH_CAP], dir[PATH_CAP];
    fm_ledger_entry e;

    *d = (fm_node_driver){ .config.policy = { .epsilon = 1000.0, .delta = 1e-4 },
                           .ledger = k->ledger };
    fm_test_tmpdir(dir, sizeof dir);
    make_path(path, dir, "state.db");
    d->config.ledger = path;
    d->config.dir = dir;
    (void)snprintf(d->config.data_set, sizeof d->config.data_set, DATA_SET);
    (void)snprintf(d->plan.federation, sizeof d->plan.federation, FEDERATION);
    (void)snprintf(d->plan.purpose, sizeof d->plan.purpose, "%s", g_purpose);
    (void)snprintf(d->plan.unit, sizeof d->plan.unit, "record");
    d->plan.hash = k->hash;
    d->plan.mask_density = density;
    d->plan.mechanism = (fm_dp_mechanism){ 100.0, 0.01, released, FM_DP_GAUSSIAN, 0 };
    e = fm_node_driver_entry(d, 1);
    need(fm_ledger_charge(k->ledger, &e, &(fm_ledger_budget){ 1e6, 1e-4 }) == FM_OK, "an entry");
    d->plan.mechanism.count = 1;
    need(fm_journal_open(path, FEDERATION, &k->hash, &d->plan.journal) == FM_OK, "a journal");
    need(fm_journal_use(d->plan.journal, 1) == FM_OK, "a round");
    need(fm_node_books_check(d, &d->plan) == FM_OK, "the books");
}

/** The ledger's count is what counts, over all starts of the process. */
static void more_releases_than_masks_hold_are_refused(uint32_t density, fm_status expected)
{
    fm_hash head = { 0 }, before;
    fm_node_driver d;
    fm_node_ports ports;
    desk k;

    open_desk(&k);
    take_hash(&k);
    open_books(&d, &k, density, 16383);
    ports = fm_node_driver_ports(&d);
    CU_ASSERT_EQUAL(ports.can_afford(ports.ctx, 2), FM_OK);
    CU_ASSERT_EQUAL(ports.charge(ports.ctx, 2, &head), FM_OK);
    before = head;
    CU_ASSERT_EQUAL(ports.can_afford(ports.ctx, 3), expected);
    CU_ASSERT_EQUAL(ports.charge(ports.ctx, 3, &head), expected);
    CU_ASSERT_EQUAL(fm_hash_equal(&head, &before), expected != FM_OK);
    fm_journal_close(&d.plan.journal);
    fm_ledger_close(&k.ledger);
}

static void the_16385th_release_of_some_masks_is_refused(void)
{
    more_releases_than_masks_hold_are_refused(255, FM_EBUDGET);
}

static void the_16385th_release_of_all_masks_is_a_release(void)
{
    more_releases_than_masks_hold_are_refused(256, FM_OK);
}

static void a_restart_counts_releases_alike(void)
{
    fm_hash head = { 0 };
    fm_node_driver d;
    fm_node_ports ports;
    uint64_t seen;
    desk k;

    open_desk(&k);
    take_hash(&k);
    open_books(&d, &k, 256, 10);
    d.plan.mechanism.count = 4; /* local steps */
    CU_ASSERT_EQUAL(fm_node_driver_read_history(&d), FM_OK);
    CU_ASSERT_EQUAL(d.history.releases, 10);
    ports = fm_node_driver_ports(&d);
    CU_ASSERT_EQUAL(ports.charge(ports.ctx, 2, &head), FM_OK);
    seen = d.history.releases;
    CU_ASSERT_EQUAL(fm_node_driver_read_history(&d), FM_OK);
    CU_ASSERT_EQUAL(d.history.releases, seen);
    fm_journal_close(&d.plan.journal);
    fm_ledger_close(&k.ledger);
}

static void a_plan_of_enough_masks_is_allowed(void)
{
    desk d;

    open_desk(&d);
    set_many(&d, 243);
    CU_ASSERT_EQUAL(check(&d), FM_OK);
    set_many(&d, 256);
    d.policy.all_masks = true;
    CU_ASSERT_EQUAL(check(&d), FM_OK);
    fm_ledger_close(&d.ledger);
}

REFUSAL(a_lattice_that_cannot_be, FM_EPERM, "lattice", {
    d->plan.max_units = 1u << 24;
    d->plan.noise_multiplier = 1e6;
})
REFUSAL(a_price_above_the_budget, FM_EBUDGET, "budget", { d->policy.epsilon = 0.9; })
REFUSAL(a_price_above_what_is_left, FM_EBUDGET, "spent", { spend(d, 1, DATA_SET, 1); })
REFUSAL(a_stricter_delta_of_the_budget, FM_EPERM, "delta", { d->policy.delta = 1e-5; })

static void a_plan_per_patient_is_allowed_for_data_per_patient(void)
{
    desk d;

    open_desk(&d);
    memcpy(d.policy.unit, "patient_nbr", 12);
    memcpy(d.plan.privacy_unit, "patient_nbr", 12);
    d.plan.max_unit_rows = 16;
    CU_ASSERT_EQUAL(check(&d), FM_OK);
    memcpy(d.policy.unit, "record", 7); /* as written, not only as left out */
    CU_ASSERT_EQUAL(check(&d), FM_EPERM);
    memcpy(d.plan.privacy_unit, "record", 7);
    d.plan.max_unit_rows = 1;
    CU_ASSERT_EQUAL(check(&d), FM_OK);
    fm_ledger_close(&d.ledger);
}

/** Every set of tasks against every task; none listed is training alone. */
static void a_task_is_allowed_exactly_if_it_is_listed(void)
{
    desk d;

    open_desk(&d);
    for (uint32_t set = 0; set < 8; set++) {
        d.policy.tasks = 0;
        for (int task = FM_TASK_TRAINING; task <= FM_TASK_EVALUATION; task++)
            if (set >> (task - FM_TASK_TRAINING) & 1u)
                d.policy.tasks |= FM_NODE_TASK(task);
        for (int task = FM_TASK_TRAINING; task <= FM_TASK_EVALUATION; task++) {
            bool listed =
                set ? set >> (task - FM_TASK_TRAINING) & 1u : task == (int)FM_TASK_TRAINING;

            set_task(&d, (fm_task)task);
            CU_ASSERT_EQUAL(check(&d), listed ? FM_OK : FM_EPERM);
        }
    }
    fm_ledger_close(&d.ledger);
}

/** A question costs what a round of training with that noise costs, from the same budget. */
static void a_question_is_paid_from_the_same_budget(void)
{
    desk d;

    open_desk(&d);
    d.policy.tasks = FM_NODE_TASK(FM_TASK_STATISTICS);
    set_task(&d, FM_TASK_STATISTICS);
    CU_ASSERT_EQUAL(check(&d), FM_OK);
    spend(&d, 1, DATA_SET, 1);
    CU_ASSERT_EQUAL(check(&d), FM_EBUDGET);
    fm_ledger_close(&d.ledger);
}

static void what_another_data_set_spent_does_not_count(void)
{
    desk d;

    open_desk(&d);
    spend(&d, 20, "other-records", 1);
    CU_ASSERT_EQUAL(check(&d), FM_OK);
    fm_ledger_close(&d.ledger);
}

static void a_restart_in_the_middle_of_a_run_does_not_pay_twice(void)
{
    for (uint64_t done = 0; done <= 20; done += 10) {
        desk d;

        open_desk(&d);
        take_hash(&d);
        spend(&d, done, DATA_SET, 0);
        CU_ASSERT_EQUAL(check(&d), FM_OK);
        fm_ledger_close(&d.ledger);
    }
}

static void an_open_budget_allows_a_plan_without_noise(void)
{
    desk d;

    open_desk(&d);
    d.policy.epsilon = 1000.0;
    d.plan.noise_multiplier = 0.0;
    d.plan.epsilon = 1000.0;
    CU_ASSERT_EQUAL(check(&d), FM_OK);
    fm_ledger_close(&d.ledger);
}

static const fm_test tests[] = {
    { "another purpose is refused", another_purpose },
    { "a purpose that only begins alike is refused", a_purpose_that_only_begins_alike },
    { "another privacy unit is refused", another_privacy_unit },
    { "a plan per record is refused for data per patient (else: epsilon times the records of one)",
      a_plan_per_record_of_data_per_patient },
    { "a plan per visit is refused for data per patient", a_plan_per_visit_of_data_per_patient },
    { "a plan per patient is allowed for data per patient",
      a_plan_per_patient_is_allowed_for_data_per_patient },
    { "a question is refused by a policy that says nothing of tasks (else: who agreed to training "
      "alone is asked)",
      a_question_of_a_policy_that_says_nothing_of_tasks },
    { "an evaluation is refused where statistics are allowed",
      an_evaluation_where_statistics_are_allowed },
    { "training is refused where only questions are allowed",
      training_where_only_questions_are_allowed },
    { "a task is allowed exactly if it is listed", a_task_is_allowed_exactly_if_it_is_listed },
    { "a question is paid from the same budget", a_question_is_paid_from_the_same_budget },
    { "hardly any noise is refused, however seldom a unit is drawn (else: epsilon 0 and no noise)",
      hardly_any_noise_behind_a_tiny_rate },
    { "a wider delta is refused", a_wider_delta },
    { "a stricter delta of the budget is kept", a_stricter_delta_of_the_budget },
    { "a smaller cohort is refused", a_smaller_cohort },
    { "fewer colluders are refused (else: colluders take the noise off)", fewer_colluders },
    { "an unsafe quorum is refused (else: two disjoint sets, both released)", an_unsafe_quorum },
    { "groups below the policy's cohort are refused (else: a sum of fewer is read)",
      groups_below_the_cohort },
    { "a quorum below the policy's cohort is refused (else: a sum of fewer is read)",
      a_quorum_below_the_cohort },
    { "less noise than the stated epsilon needs is refused", less_noise_than_stated },
    { "more rounds than the noise was calibrated for are refused", more_rounds_than_calibrated },
    { "local steps that the noise was not calibrated for are refused",
      local_steps_that_the_noise_was_not_calibrated_for },
    { "a round of local steps costs each of them", a_round_of_local_steps_costs_each_of_them },
    { "the budget is weighed in rounds of all their steps",
      the_budget_is_weighed_in_rounds_of_all_their_steps },
    { "no noise is refused", no_noise },
    { "masks too few to hold together are refused", masks_too_few_to_hold_together },
    { "masks that are nearly enough are refused", masks_that_are_nearly_enough },
    { "some masks where all are wanted are refused", some_masks_where_all_are_wanted },
    { "some masks for more rounds than they hold are refused",
      some_masks_for_more_rounds_than_they_hold },
    { "some masks are refused beside a tiny delta", some_masks_beside_a_tiny_delta },
    { "the 16385th release of some masks is refused",
      the_16385th_release_of_some_masks_is_refused },
    { "the 16385th release of all masks is a release",
      the_16385th_release_of_all_masks_is_a_release },
    { "a restart counts releases alike", a_restart_counts_releases_alike },
    { "a plan of enough masks is allowed", a_plan_of_enough_masks_is_allowed },
    { "words in which a sum could wrap are refused", words_in_which_a_sum_could_wrap },
    { "a lattice that cannot be is refused", a_lattice_that_cannot_be },
    { "a price above the budget is refused", a_price_above_the_budget },
    { "a price above what is left is refused", a_price_above_what_is_left },
    { "what another data set spent does not count", what_another_data_set_spent_does_not_count },
    { "a restart in the middle of a run does not pay twice",
      a_restart_in_the_middle_of_a_run_does_not_pay_twice },
    { "an open budget allows a plan without noise", an_open_budget_allows_a_plan_without_noise },
};

const fm_test_suite suite_policy = { "node.policy", tests, FM_TEST_COUNT(tests) };
