/* Decisions: their text, their chain, who may make them, and what their conditions say. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fedmoe/base/file.h"
#include "fedmoe/node/decision.h"
#include "fedmoe/node/journal.h"
#include "run_internal.h"
#include "suites.h"
#include "world.h"

static fm_hash hash_of(unsigned char c)
{
    fm_hash h;

    memset(h.bytes, c, sizeof h.bytes);
    return h;
}

static fm_decision a_decision(unsigned char plan)
{
    fm_decision d = { .plan = hash_of(plan),
                      .words = hash_of(9),
                      .plan_epsilon = 1.0,
                      .plan_delta = 1e-4,
                      .plan_rounds = 60,
                      .verdict = FM_VERDICT_APPROVE,
                      .at_s = 1764180000,
                      .epsilon = 0.5,
                      .rounds = 20,
                      .until_s = 1767225599,
                      .min_cohort = 3 };

    (void)snprintf(d.federation, sizeof d.federation, "heart");
    (void)snprintf(d.purpose, sizeof d.purpose, "heart disease risk");
    (void)snprintf(d.by, sizeof d.by, "Anna Muster");
    (void)snprintf(d.role, sizeof d.role, "dpo");
    need(fm_decision_set_members(&d, "northgate, lakeside") == FM_OK, "members");
    return d;
}

static void add(const char *path, const fm_identity *by, fm_decision d)
{
    const fm_decision_signer signer = { .identity = by };
    fm_decision_entry kept;

    CU_ASSERT_EQUAL_FATAL(fm_decisions_append(path, &signer, &d, &kept), FM_OK);
}

static void new_path(char out[PATH_CAP])
{
    char dir[PATH_CAP];

    fm_test_tmpdir(dir, sizeof dir);
    make_path(out, dir, "decisions");
}

/** Three, by two keys, on two plans. */
static void three(char path[PATH_CAP])
{
    fm_decision d = a_decision(1);

    new_path(path);
    add(path, the_world()->node[0], d);
    d.verdict = FM_VERDICT_REFUSE;
    (void)snprintf(d.note, sizeof d.note, "too much");
    add(path, the_world()->node[1], d);
    add(path, the_world()->node[0], a_decision(2));
}

static void a_decision_comes_back_as_it_was_made(void)
{
    char path[PATH_CAP];
    fm_decisions all = { 0 };
    fm_decision d = a_decision(1);
    const fm_decision *r;
    struct stat s;

    new_path(path);
    CU_ASSERT_EQUAL(fm_decisions_load(path, &all), FM_OK);
    CU_ASSERT_EQUAL(all.count, 0);
    add(path, the_world()->node[0], d);
    CU_ASSERT(stat(path, &s) == 0 && (s.st_mode & 0777) == 0600);
    CU_ASSERT_EQUAL_FATAL(fm_decisions_load(path, &all), FM_OK);
    CU_ASSERT_EQUAL_FATAL(all.count, 1);
    r = &all.entries[0].d;
    CU_ASSERT(r->number == 1 && fm_hash_is_zero(&r->before));
    CU_ASSERT(fm_hash_equal(&r->plan, &d.plan) && fm_hash_equal(&r->words, &d.words));
    CU_ASSERT_STRING_EQUAL(r->federation, "heart");
    CU_ASSERT_STRING_EQUAL(r->purpose, "heart disease risk");
    CU_ASSERT_STRING_EQUAL(r->by, "Anna Muster");
    CU_ASSERT_STRING_EQUAL(r->members, "lakeside,northgate");
    CU_ASSERT_STRING_EQUAL(r->note, "");
    CU_ASSERT(r->epsilon == 0.5 && r->rounds == 20 && r->min_cohort == 3);
    CU_ASSERT(r->until_s == d.until_s && r->at_s == d.at_s && r->plan_rounds == 60);
    CU_ASSERT(r->plan_epsilon == 1.0 && r->plan_delta == 1e-4);
    CU_ASSERT_EQUAL(r->verdict, FM_VERDICT_APPROVE);
    CU_ASSERT(fm_decisions_know(&all, "heart") && !fm_decisions_know(&all, "other"));
    fm_decisions_fini(&all);
}

static fm_status read(const fm_buf *b)
{
    fm_decisions all = { 0 };
    fm_status st = fm_decisions_read("decisions", b->data, b->len, &all);

    fm_decisions_fini(&all);
    return st;
}

/** Of every byte some bits: none may change without being noticed. */
static void a_changed_byte_is_noticed_wherever_it_is(void)
{
    static const uint8_t flips[] = { 0x01, 0x20, 0x80 };
    char path[PATH_CAP];
    fm_buf b = { 0 };
    size_t missed = 0;

    three(path);
    CU_ASSERT_EQUAL_FATAL(fm_file_read_private(path, 1 << 20, &b), FM_OK);
    CU_ASSERT_EQUAL(read(&b), FM_OK);
    for (size_t i = 0; i < b.len; i++) {
        const uint8_t flip = flips[i % 3];

        b.data[i] ^= flip;
        if (read(&b) != FM_EAUTH)
            missed++;
        b.data[i] ^= flip;
    }
    CU_ASSERT_EQUAL(missed, 0);
    fm_buf_fini(&b);
}

/** A text that ends anywhere but behind a decision is damaged; behind one, the journal must say. */
static void a_cut_is_noticed(void)
{
    char path[PATH_CAP], state[PATH_CAP];
    const fm_hash plan = hash_of(1);
    fm_decisions all = { 0 };
    fm_journal *j = NULL;
    fm_buf b = { 0 };
    uint64_t count = 0;
    fm_hash head;
    size_t whole = 0;

    three(path);
    CU_ASSERT_EQUAL_FATAL(fm_file_read_private(path, 1 << 20, &b), FM_OK);
    for (size_t len = 0; len < b.len; len++) {
        fm_buf part = b;

        part.len = len;
        whole += read(&part) == FM_OK;
    }
    CU_ASSERT_EQUAL(whole, 3); /* none, one, two */

    CU_ASSERT_EQUAL_FATAL(fm_decisions_load(path, &all), FM_OK);
    new_path(state);
    CU_ASSERT_EQUAL_FATAL(fm_journal_open(state, "heart", &plan, &j), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_decisions(j, &count, &head), FM_OK);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(fm_journal_note_decisions(j, 3, &all.entries[2].hash), FM_OK);
    CU_ASSERT_EQUAL(fm_journal_note_decisions(j, 2, &all.entries[1].hash), FM_EREPLAY);
    CU_ASSERT_EQUAL(fm_journal_note_decisions(j, 3, &all.entries[1].hash), FM_EREPLAY);
    fm_journal_close(&j);
    CU_ASSERT_EQUAL(fm_journal_read_decisions(state, &count, &head), FM_OK);
    CU_ASSERT_EQUAL(fm_decisions_check_known(&all, path, count, &head), FM_OK);
    all.count = 2;
    CU_ASSERT_EQUAL(fm_decisions_check_known(&all, path, count, &head), FM_EAUTH);
    head.bytes[0] ^= 1;
    all.count = 3;
    CU_ASSERT_EQUAL(fm_decisions_check_known(&all, path, count, &head), FM_EAUTH);
    fm_decisions_fini(&all);
    fm_buf_fini(&b);
}

static void decisions_have_their_places(void)
{
    char path[PATH_CAP];
    fm_buf b = { 0 }, other = { 0 };
    const char *second, *third;

    three(path);
    CU_ASSERT_EQUAL_FATAL(fm_file_read_private(path, 1 << 20, &b), FM_OK);
    second = strstr((const char *)b.data, "\n\n") + 2;
    third = strstr(second, "\n\n") + 2;
    /* the first, and the third behind it */
    need(fm_buf_append(&other, b.data, (size_t)(second - (const char *)b.data)) == FM_OK &&
             fm_buf_append(&other, third, strlen(third)) == FM_OK,
         "memory");
    CU_ASSERT_EQUAL(read(&other), FM_EAUTH);
    fm_buf_clear(&other); /* the first twice */
    for (int i = 0; i < 2; i++)
        need(fm_buf_append(&other, b.data, (size_t)(second - (const char *)b.data)) == FM_OK,
             "memory");
    CU_ASSERT_EQUAL(read(&other), FM_EAUTH);
    fm_buf_fini(&other);
    fm_buf_fini(&b);
}

/** Number and signature are right; the first is another one than it was made after. */
static void a_decision_stands_behind_the_one_that_it_was_made_after(void)
{
    char path[PATH_CAP], other[PATH_CAP];
    fm_buf a = { 0 }, b = { 0 };
    const char *second;

    three(path);
    new_path(other);
    add(other, the_world()->node[0], a_decision(3));
    CU_ASSERT_EQUAL_FATAL(fm_file_read_private(path, 1 << 20, &a), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_file_read_private(other, 1 << 20, &b), FM_OK);
    CU_ASSERT_EQUAL(read(&b), FM_OK);
    second = strstr((const char *)a.data, "\n\n") + 2;
    b.limit = 1 << 20;
    need(fm_buf_append(&b, second, (size_t)(strstr(second, "\n\n") + 2 - second)) == FM_OK,
         "memory");
    CU_ASSERT_EQUAL(read(&b), FM_EAUTH);
    fm_buf_fini(&a);
    fm_buf_fini(&b);
}

static void nothing_is_added_behind_what_is_not_in_order(void)
{
    const fm_decision_signer signer = { .identity = the_world()->node[0] };
    fm_decision d = a_decision(1);
    fm_decision_entry kept;
    char path[PATH_CAP];
    fm_buf b = { 0 };

    three(path);
    CU_ASSERT_EQUAL_FATAL(fm_file_read_private(path, 1 << 20, &b), FM_OK);
    b.data[b.len / 2] ^= 1;
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, b.data, b.len, 0600), FM_OK);
    CU_ASSERT_EQUAL(fm_decisions_append(path, &signer, &d, &kept), FM_EAUTH);
    b.data[b.len / 2] ^= 1;
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, b.data, b.len, 0644), FM_OK);
    CU_ASSERT_EQUAL(fm_decisions_append(path, &signer, &d, &kept), FM_EPERM); /* others may read */
    fm_buf_fini(&b);
}

static void only_the_keys_that_are_listed_decide(void)
{
    fm_decision_keys keys = { .count = 1 };
    const fm_decision_entry *e;
    const fm_hash plan = hash_of(1), none = hash_of(7);
    fm_decisions all = { 0 };
    char path[PATH_CAP];

    three(path);
    CU_ASSERT_EQUAL_FATAL(fm_decisions_load(path, &all), FM_OK);
    CU_ASSERT_EQUAL(fm_identity_public_key(the_world()->node[0], &keys.keys[0]), FM_OK);
    e = fm_decisions_on(&all, &plan, &keys);
    CU_ASSERT(e && e->d.number == 1); /* the refusal is somebody else's */
    CU_ASSERT_EQUAL(fm_identity_public_key(the_world()->node[1], &keys.keys[1]), FM_OK);
    keys.count = 2;
    e = fm_decisions_on(&all, &plan, &keys);
    CU_ASSERT(e && e->d.number == 2 && e->d.verdict == FM_VERDICT_REFUSE);
    CU_ASSERT_PTR_NULL(fm_decisions_on(&all, &none, &keys));
    fm_decisions_fini(&all);
}

static void what_does_not_fit_a_line_is_refused(void)
{
    const fm_decision_signer signer = { .identity = the_world()->node[0] };
    fm_decision d = a_decision(1);
    fm_decision_entry kept;
    char path[PATH_CAP];

    new_path(path);
    (void)snprintf(d.note, sizeof d.note, "a\nverdict approve");
    CU_ASSERT_EQUAL(fm_decisions_append(path, &signer, &d, &kept), FM_EINVAL);
    d = a_decision(1);
    d.by[0] = '\0';
    CU_ASSERT_EQUAL(fm_decisions_append(path, &signer, &d, &kept), FM_EINVAL);
    d = a_decision(1);
    (void)snprintf(d.role, sizeof d.role, "-"); /* which stands for none */
    CU_ASSERT_EQUAL(fm_decisions_append(path, &signer, &d, &kept), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "who made it"));
    CU_ASSERT(!fm_file_exists(path));
}

static void conditions_end_where_they_say(void)
{
    fm_decision d = a_decision(1);
    fm_decision_round r = { .now_s = d.until_s, .rounds = 20, .epsilon = 0.5 };

    CU_ASSERT_EQUAL(fm_decision_check(&d, &r), FM_OK);
    r.now_s++;
    CU_ASSERT_EQUAL(fm_decision_check(&d, &r), FM_EPERM);
    r.now_s--;
    r.rounds++;
    CU_ASSERT_EQUAL(fm_decision_check(&d, &r), FM_EPERM);
    r.rounds--;
    r.epsilon = 0.5000001;
    CU_ASSERT_EQUAL(fm_decision_check(&d, &r), FM_EPERM);
    r.epsilon = (double)NAN;
    CU_ASSERT_EQUAL(fm_decision_check(&d, &r), FM_EPERM);
    r.epsilon = 0.1;
    d.verdict = FM_VERDICT_REFUSE;
    CU_ASSERT_EQUAL(fm_decision_check(&d, &r), FM_EPERM);
    d = (fm_decision){ .verdict = FM_VERDICT_APPROVE }; /* none */
    r = (fm_decision_round){ INT64_MAX, UINT64_MAX, 1e300 };
    CU_ASSERT_EQUAL(fm_decision_check(&d, &r), FM_OK);
}

/** The port that the machine asks, with a plan of K steps a round of which three are charged. */
static fm_status ask_of_fourth_round(uint64_t steps, double most)
{
    static const char *const names[] = { "northgate", "lakeside", "riverside" };
    fm_decision one = a_decision(1);
    fm_node_driver d = { .config.policy = { .epsilon = 100.0, .delta = 1e-4 }, .plan.charged = 3 };
    char path[PATH_CAP], dir[PATH_CAP], journal[PATH_CAP];
    fm_status st;

    new_path(path);
    fm_test_tmpdir(dir, sizeof dir);
    make_path(journal, dir, "state.db");
    one.epsilon = most;
    one.until_s = 0;
    one.members[0] = '\0';
    add(path, the_world()->node[0], one);
    d.decisions = path;
    d.plan.hash = one.plan;
    d.plan.mechanism = (fm_dp_mechanism){ 2.0, 1.0, steps, FM_DP_GAUSSIAN, 0 };
    d.approvers.count = 1;
    need(fm_identity_public_key(the_world()->node[0], &d.approvers.keys[0]) == FM_OK &&
             fm_journal_open(journal, "heart", &one.plan, &d.plan.journal) == FM_OK,
         "a key and a journal");
    st = fm_node_driver_allow(&d, 4, names, 3);
    fm_journal_close(&d.plan.journal);
    return st;
}

static void a_condition_on_epsilon_counts_every_local_step(void)
{
    fm_dp_mechanism m = { 2.0, 1.0, 4 * 5, FM_DP_GAUSSIAN, 0 };
    double whole = 0.0;

    CU_ASSERT_EQUAL(fm_dp_epsilon(&m, 1, 1e-4, &whole), FM_OK);
    CU_ASSERT_EQUAL(ask_of_fourth_round(5, 1.001 * whole), FM_OK);
    CU_ASSERT_EQUAL(ask_of_fourth_round(5, 0.999 * whole), FM_EPERM);
    CU_ASSERT_EQUAL(ask_of_fourth_round(1, 0.999 * whole), FM_OK);
}

static void company_is_counted_and_named(void)
{
    static const char *const both[] = { "northgate", "lakeside" };
    static const char *const more[] = { "northgate", "lakeside", "riverside" };
    static const char *const part[] = { "north", "lakeside" };
    fm_decision d = a_decision(1);

    CU_ASSERT_EQUAL(fm_decision_check_company(&d, both, 2), FM_ESTATE); /* too few */
    d.min_cohort = 2;
    CU_ASSERT_EQUAL(fm_decision_check_company(&d, both, 2), FM_OK);
    CU_ASSERT_EQUAL(fm_decision_check_company(&d, more, 3), FM_EPERM);
    CU_ASSERT_EQUAL(fm_decision_check_company(&d, part, 2), FM_EPERM);
    d.members[0] = '\0';
    CU_ASSERT_EQUAL(fm_decision_check_company(&d, more, 3), FM_OK);
    CU_ASSERT_EQUAL(fm_decision_set_members(&d, "a,b,a"), FM_OK);
    CU_ASSERT_STRING_EQUAL(d.members, "a,b");
    CU_ASSERT_EQUAL(fm_decision_set_members(&d, "a,B"), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_decision_set_members(&d, ","), FM_EINVAL);
}

static void dates_are_days_or_seconds(void)
{
    int64_t at = 0;

    CU_ASSERT_EQUAL(fm_decision_date("2025-12-31", &at), FM_OK);
    CU_ASSERT_EQUAL(at, 1767225599);
    CU_ASSERT_EQUAL(fm_decision_date("2025-12-31T23:59:58Z", &at), FM_OK);
    CU_ASSERT_EQUAL(at, 1767225598);
    CU_ASSERT_EQUAL(fm_decision_date("2026-02-30", &at), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_decision_date("31.12.2025", &at), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_decision_date("2025-12-31T23:59:58", &at), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_decision_date("", &at), FM_EINVAL);
}

static const fm_test tests[] = {
    { "a decision comes back as it was made", a_decision_comes_back_as_it_was_made },
    { "a changed byte is noticed wherever it is", a_changed_byte_is_noticed_wherever_it_is },
    { "a cut is noticed", a_cut_is_noticed },
    { "decisions have their places", decisions_have_their_places },
    { "a decision stands behind the one that it was made after",
      a_decision_stands_behind_the_one_that_it_was_made_after },
    { "nothing is added behind what is not in order",
      nothing_is_added_behind_what_is_not_in_order },
    { "only the keys that are listed decide", only_the_keys_that_are_listed_decide },
    { "what does not fit a line is refused", what_does_not_fit_a_line_is_refused },
    { "conditions end where they say", conditions_end_where_they_say },
    { "a condition on epsilon counts every local step",
      a_condition_on_epsilon_counts_every_local_step },
    { "company is counted and named", company_is_counted_and_named },
    { "dates are days or seconds", dates_are_days_or_seconds },
};

const fm_test_suite suite_decision = { "node.decision", tests, FM_TEST_COUNT(tests) };
