/* A member holds the bundle against its own journal: what an aggregator left out shows. */
#include <stdio.h>
#include <string.h>

#include "desk.h"
#include "fedmoe/node/journal.h"

typedef struct {
    desk d;
    char path[PATH_CAP];
    uint64_t unreleased;     /* this round's release is not in the journal */
    const uint64_t *vouched; /* [vouched_count] --released */
    size_t vouched_count;
} member;

/* The journal of node 1, as a real node would have written it in this run; with one round more that
 * it released when `extra` is not 0. */
static void write_journal(member *m, uint64_t extra)
{
    const fm_hash plan = fm_plan_hash(m->d.f->plan_bytes.data, m->d.f->plan_bytes.len);
    const fm_hash other = { { 1 } };
    fm_journal *j = NULL;
    uint64_t last = 0;

    (void)snprintf(m->path, sizeof m->path, "%s/state.db", m->d.dir);
    need(fm_journal_open(m->path, "heart", &plan, &j) == FM_OK, "journal");
    for (uint32_t i = 0; i < m->d.f->entry_count; i++) {
        const fm_transcript_entry *e = &m->d.f->entries[i];

        if (extra > last && extra < e->round)
            need(fm_journal_use(j, extra) == FM_OK &&
                     fm_journal_commit(j, extra, &other) == FM_OK &&
                     fm_journal_release(j, extra, &other) == FM_OK,
                 "extra");
        last = e->round;
        need(fm_journal_use(j, e->round) == FM_OK &&
                 fm_journal_commit(j, e->round, &e->commit_digest) == FM_OK &&
                 (e->round == m->unreleased ||
                  fm_journal_release(j, e->round, &e->commit_digest) == FM_OK),
             "round");
    }
    if (extra > last)
        need(fm_journal_use(j, extra) == FM_OK && fm_journal_commit(j, extra, &other) == FM_OK &&
                 fm_journal_release(j, extra, &other) == FM_OK,
             "extra");
    need(fm_journal_head(j, last, &m->d.f->head) == FM_OK, "head");
    fm_journal_close(&j);
}

/* Rounds 1, 3 and 4 in the bundle; `extra` in the journal, too, unless it is 0. */
static void make(member *m, uint64_t extra)
{
    desk_make_skipping(&m->d, 3, 1);
    desk_write(&m->d, &m->d.all);
    write_journal(m, extra);
}

static fm_status check(const member *m, const uint64_t *abandoned, size_t count,
                       fm_verify_report *r)
{
    const fm_verify_options o = { .bundle = m->d.bundle,
                                  .trust = fed_ca(),
                                  .journal = m->path,
                                  .name = m->d.f->nodes[1].name,
                                  .abandoned = abandoned,
                                  .abandoned_count = count,
                                  .released = m->vouched,
                                  .released_count = m->vouched_count };

    return fm_verify_bundle(&o, r);
}

static void an_honest_bundle_has_every_released_round(void)
{
    fm_verify_report r;
    member m = { 0 };

    make(&m, 0);
    CU_ASSERT_EQUAL_FATAL(check(&m, NULL, 0, &r), FM_OK);
    CU_ASSERT(r.journal && r.released == 3 && r.missing_count == 0 && r.later == 0);
    fm_verify_report_fini(&r);
    desk_end(&m.d);
}

/* The node gave its update, the aggregator had its sum, and shows no such round. */
static void a_released_round_that_is_left_out_is_named(void)
{
    const uint64_t there[] = { 2, 1 }, never[] = { 2, 9 }, right[] = { 2 };
    fm_verify_report r;
    member m = { 0 };

    make(&m, 2);
    CU_ASSERT_EQUAL(check(&m, NULL, 0, &r), FM_ESTATE);
    CU_ASSERT(says("it has no entry of round 2, which this node released its update for"));
    /* What is named must be a round that is missing. */
    CU_ASSERT_EQUAL(check(&m, there, 2, &r), FM_EINVAL);
    CU_ASSERT(says("--abandoned 1: the round is in the bundle"));
    CU_ASSERT_EQUAL(check(&m, never, 2, &r), FM_EINVAL);
    CU_ASSERT(says("--abandoned 9: by its journal this node released no such round"));
    /* The node's own log says that it was abandoned. */
    CU_ASSERT_EQUAL_FATAL(check(&m, right, 1, &r), FM_OK);
    CU_ASSERT(r.released == 3 && r.missing_count == 1 && r.missing[0] == 2 && r.waived == 1);
    fm_verify_report_fini(&r);
    desk_end(&m.d);
}

/* Its log is not needed: the node saw the transcript go on without the round, and wrote that down. */
static void an_abandoned_round_of_the_journal_is_listed(void)
{
    fm_verify_report r;
    member m = { 0 };
    fm_hash plan;
    fm_journal *j = NULL;
    bool fresh = false;

    make(&m, 2);
    plan = fm_plan_hash(m.d.f->plan_bytes.data, m.d.f->plan_bytes.len);
    need(fm_journal_open(m.path, "heart", &plan, &j) == FM_OK &&
             fm_journal_abandon(j, 2, &fresh) == FM_OK && fresh,
         "abandon");
    fm_journal_close(&j);
    CU_ASSERT_EQUAL_FATAL(check(&m, NULL, 0, &r), FM_OK);
    CU_ASSERT(r.released == 3 && r.missing_count == 1 && r.missing[0] == 2 && r.waived == 0);
    fm_verify_report_fini(&r);
    desk_end(&m.d);
}

/* 1 and 4 in the bundle, 2 and 3 released: both are named in one text. */
static void all_missing_rounds_are_named_at_once(void)
{
    const uint64_t one[] = { 3 }, both[] = { 3, 2 };
    fm_verify_report r;
    member m = { 0 };
    fm_journal *j = NULL;
    fm_hash plan;

    desk_make_skipping(&m.d, 2, 2); /* rounds 1 and 4 */
    desk_write(&m.d, &m.d.all);
    plan = fm_plan_hash(m.d.f->plan_bytes.data, m.d.f->plan_bytes.len);
    (void)snprintf(m.path, sizeof m.path, "%s/state.db", m.d.dir);
    need(fm_journal_open(m.path, "heart", &plan, &j) == FM_OK, "journal");
    for (uint64_t i = 1; i <= 4; i++) {
        const fm_hash *digest = i == 1   ? &m.d.f->entries[0].commit_digest
                                : i == 4 ? &m.d.f->entries[1].commit_digest
                                         : &plan;

        need(fm_journal_use(j, i) == FM_OK && fm_journal_commit(j, i, digest) == FM_OK &&
                 fm_journal_release(j, i, digest) == FM_OK,
             "round");
    }
    fm_journal_close(&j);
    CU_ASSERT_EQUAL(check(&m, one, 1, &r), FM_ESTATE);
    CU_ASSERT(says("no entry of round 2,"));
    CU_ASSERT_EQUAL(check(&m, NULL, 0, &r), FM_ESTATE);
    CU_ASSERT(says("no entry of rounds 2, 3, which"));
    CU_ASSERT(says("give --abandoned 2 --abandoned 3 then"));
    CU_ASSERT_EQUAL_FATAL(check(&m, both, 2, &r), FM_OK);
    CU_ASSERT(r.missing_count == 2 && r.missing[0] == 2 && r.missing[1] == 3 && r.waived == 2);
    fm_verify_report_fini(&r);
    desk_end(&m.d);
}

static void a_round_after_the_last_one_is_only_counted(void)
{
    fm_verify_report r;
    member m = { 0 };

    make(&m, 5);
    CU_ASSERT_EQUAL_FATAL(check(&m, NULL, 0, &r), FM_OK);
    CU_ASSERT(r.released == 3 && r.later == 1);
    fm_verify_report_fini(&r);
    desk_end(&m.d);
}

/* A bundle that ends before what the node knows: sealed as if there were no more. */
static void a_bundle_that_is_too_short_for_the_journal_is_named(void)
{
    fm_verify_report r;
    member m = { 0 };

    make(&m, 0);
    piece_remove(&m.d.all, piece_at(&m.d.all, FM_BUNDLE_ENTRY, 2));
    forge_seal(&m.d.all);
    desk_write(&m.d, &m.d.all);
    CU_ASSERT_EQUAL(check(&m, NULL, 0, &r), FM_ESTATE);
    CU_ASSERT(says("it has no entry of round 4, which this node knows to be finished"));
    CU_ASSERT_EQUAL(desk_verify(&m.d, NULL), FM_OK); /* an outsider cannot know */
    desk_end(&m.d);
}

/* What the journal holds is what counts, not the signature in the bundle. */
static void another_commit_than_the_journals_is_named(void)
{
    fm_verify_report r;
    member m = { 0 };

    desk_make(&m.d, 2, UINT32_MAX, false);
    desk_write(&m.d, &m.d.all);
    m.d.f->entries[1].commit_digest.bytes[3] ^= 1;
    write_journal(&m, 0);
    CU_ASSERT_EQUAL(check(&m, NULL, 0, &r), FM_ESTATE);
    CU_ASSERT(says("(entry of round 2), commit digest: it is not the one that this node signed"));
    desk_end(&m.d);
}

static void another_history_than_the_journals_is_named(void)
{
    fm_verify_report r;
    member m = { 0 };

    desk_make(&m.d, 2, UINT32_MAX, false);
    desk_write(&m.d, &m.d.all);
    m.d.f->head.bytes[0] ^= 1;
    write_journal(&m, 0);
    CU_ASSERT_EQUAL(check(&m, NULL, 0, &r), FM_ESTATE);
    CU_ASSERT(says("head after: it is not the one that this node was shown"));
    desk_end(&m.d);
}

/* The key signed in a round that this journal never saw: another run's journal, or a stolen key. */
static void a_commit_that_the_journal_does_not_know_is_named(void)
{
    fm_verify_report r;
    member m = { 0 };

    desk_make(&m.d, 2, UINT32_MAX, false);
    desk_write(&m.d, &m.d.all);
    m.d.f->entry_count = 1;
    m.d.f->head = fm_transcript_next(&(fm_hash){ { 0 } }, &m.d.f->entries[0]);
    write_journal(&m, 0);
    CU_ASSERT_EQUAL(check(&m, NULL, 0, &r), FM_ESTATE);
    CU_ASSERT(says("(entry of round 2), survivors: this node is among them, and its journal knows "
                   "of no commit"));
    desk_end(&m.d);
}

/*
 * The aggregator has all commits, gives none of them on, so that nobody releases, and puts the
 * round into the transcript with a model of its own. Nobody but the member can know.
 */
static void a_round_that_was_never_released_has_not_finished(void)
{
    const uint64_t others[] = { 1, 3 }, right[] = { 2 };
    fm_verify_report r;
    member m = { 0 };

    desk_make(&m.d, 2, UINT32_MAX, false);
    desk_write(&m.d, &m.d.all);
    m.unreleased = 2;
    write_journal(&m, 0);
    CU_ASSERT_EQUAL(check(&m, NULL, 0, &r), FM_ESTATE);
    CU_ASSERT(says("(entry of round 2), survivors: this node committed to the round and never "
                   "released its update"));
    m.vouched = others;
    m.vouched_count = 2;
    CU_ASSERT_EQUAL(check(&m, NULL, 0, &r), FM_ESTATE);
    /* A power cut took the line out of the journal: the log has it. */
    m.vouched = right;
    m.vouched_count = 1;
    CU_ASSERT_EQUAL_FATAL(check(&m, NULL, 0, &r), FM_OK);
    CU_ASSERT(r.released == 2 && r.vouched == 1);
    fm_verify_report_fini(&r);
    CU_ASSERT_EQUAL(desk_verify(&m.d, NULL), FM_OK); /* an outsider cannot know */
    desk_end(&m.d);
}

static const fm_test tests[] = {
    { "a round that was never released has not finished",
      a_round_that_was_never_released_has_not_finished },
    { "an honest bundle has every released round", an_honest_bundle_has_every_released_round },
    { "a released round that is left out is named", a_released_round_that_is_left_out_is_named },
    { "an abandoned round of the journal is listed", an_abandoned_round_of_the_journal_is_listed },
    { "all missing rounds are named at once", all_missing_rounds_are_named_at_once },
    { "a round after the last one is only counted", a_round_after_the_last_one_is_only_counted },
    { "a bundle that is too short for the journal is named",
      a_bundle_that_is_too_short_for_the_journal_is_named },
    { "another commit than the journal's is named", another_commit_than_the_journals_is_named },
    { "another history than the journal's is named", another_history_than_the_journals_is_named },
    { "a commit that the journal does not know is named",
      a_commit_that_the_journal_does_not_know_is_named },
};
const fm_test_suite suite_journal = { "verify.journal", tests, FM_TEST_COUNT(tests) };
