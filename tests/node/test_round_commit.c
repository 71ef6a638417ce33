/* Lies about whose updates arrived, and about who committed to what. */
#include <stdlib.h>
#include <string.h>

#include "lie.h"
#include "suites.h"

#define OTHER 2u
#define SURVIVORS o->m.survivors
#define COMMITS o->m.commits

/** Sign as a node would, but not what it should. */
static void forge(bench_message *o, unsigned at, const fm_identity *by, const char *label,
                  const fm_hash *digest)
{
    size_t len = 0;

    need(fm_identity_sign(by, label, digest->bytes, FM_HASH_BYTES, o->signatures[at], &len) ==
             FM_OK,
         "a signature");
    o->views[at] = (fm_bytes){ o->signatures[at], len };
}

/** The survivors [from, from + count) with what belongs to them. */
static void only(bench *b, bench_message *o, uint32_t from, uint32_t count)
{
    (void)b;
    memmove(o->indices, o->indices + from, count * sizeof o->indices[0]);
    memmove(o->hashes, o->hashes + from, count * sizeof o->hashes[0]);
    memmove(o->views, o->views + from, count * sizeof o->views[0]);
    SURVIVORS.count = count;
}

LIE(survivors_without_self, FM_MSG_SURVIVORS, "came late",
    { /* 0, 2, 3 */
      memmove(o->indices + 1, o->indices + 2, 2 * sizeof o->indices[0]);
      memmove(o->hashes + 1, o->hashes + 2, 2 * sizeof o->hashes[0]);
      memmove(o->views + 1, o->views + 2, 2 * sizeof o->views[0]);
      SURVIVORS.count = 3;
    })
LIE(survivors_below_the_quorum, FM_MSG_SURVIVORS, "at least 3", { only(b, o, 0, 2); })
LIE(survivors_unsorted, FM_MSG_SURVIVORS, "increasing", {
    o->indices[2] = 3;
    o->indices[3] = 2;
})
LIE(a_survivor_twice, FM_MSG_SURVIVORS, "increasing", { o->indices[2] = 1; })
LIE(own_hash_altered, FM_MSG_SURVIVORS, "not that of what was sent",
    { o->hashes[VICTIM].bytes[0] ^= 1; })
LIE(another_hash_altered, FM_MSG_SURVIVORS, "'gamma'", { o->hashes[OTHER].bytes[0] ^= 1; })
LIE(a_signature_of_another_node, FM_MSG_SURVIVORS, "'gamma'", { o->views[OTHER] = o->views[3]; })
LIE(an_update_of_another_node, FM_MSG_SURVIVORS, "'gamma'", {
    o->hashes[OTHER] = o->hashes[3];
    o->views[OTHER] = o->views[3];
})
LIE(an_update_signed_for_another_round, FM_MSG_SURVIVORS, "'gamma'", {
    fm_round_view view = bench_view(b);
    fm_hash digest;
    view.round++;
    digest = fm_update_digest(&view, OTHER, &o->hashes[OTHER]);
    forge(o, OTHER, the_world()->node[OTHER], FM_LABEL_UPDATE, &digest);
})
LIE(an_update_signed_for_another_model, FM_MSG_SURVIVORS, "'gamma'", {
    fm_round_view view = bench_view(b);
    fm_hash digest;
    view.model.bytes[0] ^= 1;
    digest = fm_update_digest(&view, OTHER, &o->hashes[OTHER]);
    forge(o, OTHER, the_world()->node[OTHER], FM_LABEL_UPDATE, &digest);
})
LIE(an_update_without_a_signature, FM_MSG_SURVIVORS, "'gamma'", { o->views[OTHER].len = 0; })
LIE(survivors_of_another_round, FM_MSG_SURVIVORS, "is open", { SURVIVORS.round++; })

static void add_a_bystander(bench *b, bench_message *o)
{
    (void)b;
    o->indices[3] = 3;
    o->hashes[3] = o->hashes[OTHER];
    o->views[3] = o->views[OTHER];
    SURVIVORS.count = 4;
}

/** Node 3 is in the roster, not in the round. */
static void a_survivor_who_did_not_take_part(void)
{
    bench b;

    bench_init(&b);
    b.participant_count = b.survivor_count = 3;
    reach(&b, FM_NODE_WAIT_START);
    tell(&b, FM_MSG_ROUND_START, false);
    check_lie_on(&b, FM_MSG_SURVIVORS, "not a participant", add_a_bystander);
    bench_fini(&b);
}

static void other_survivors_after_a_commit(void)
{
    bench_message *o = calloc(1, sizeof *o);
    bench b;

    need(o != NULL, "memory");
    bench_init(&b);
    reach(&b, FM_NODE_WAIT_COMMITS);
    say_survivors(&b, o);
    only(&b, o, 0, 3);
    CU_ASSERT_EQUAL(hear(&b, VICTIM, o), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 1);
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_COMMIT], 1);
    CU_ASSERT_EQUAL(times(victim_ports(&b), DID_COMMIT), 1);
    tell(&b, FM_MSG_COMMITS, false); /* the first set goes on */
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_RELEASE], 1);
    bench_fini(&b);
    free(o);
}

LIE(a_commit_missing, FM_MSG_COMMITS, "3 commits", { COMMITS.count--; })
LIE(a_commit_too_many, FM_MSG_COMMITS, "5 commits", {
    o->views[NODES] = o->views[0];
    COMMITS.count++;
})
LIE(a_commit_with_one_bit_changed, FM_MSG_COMMITS, "'delta' has not committed",
    { o->signatures[3][10] ^= 1; })
LIE(an_empty_commit, FM_MSG_COMMITS, "'alpha' has not", { o->views[0].len = 0; })
LIE(a_commit_twice, FM_MSG_COMMITS, "'alpha' has not", { o->views[0] = o->views[3]; })
LIE(commits_in_another_order, FM_MSG_COMMITS, "'alpha' has not", {
    fm_bytes first = o->views[0];
    o->views[0] = o->views[1];
    o->views[1] = first;
})
LIE(a_commit_of_other_survivors, FM_MSG_COMMITS, "'alpha' has not", {
    fm_hash digest;
    b->survivor_count = 3;
    digest = bench_commit_digest(b);
    b->survivor_count = NODES;
    forge(o, 0, the_world()->node[0], FM_LABEL_COMMIT, &digest);
})
LIE(a_commit_to_another_model, FM_MSG_COMMITS, "'alpha' has not", {
    fm_hash kept = b->model_hash;
    fm_hash digest;
    b->model_hash.bytes[0] ^= 1;
    digest = bench_commit_digest(b);
    b->model_hash = kept;
    forge(o, 0, the_world()->node[0], FM_LABEL_COMMIT, &digest);
})
LIE(a_signature_for_another_use, FM_MSG_COMMITS, "'alpha' has not", {
    fm_hash digest = bench_commit_digest(b);
    forge(o, 0, the_world()->node[0], FM_LABEL_UPDATE, &digest);
})
LIE(a_commit_of_another_certificate, FM_MSG_COMMITS, "'alpha' has not", {
    fm_hash digest = bench_commit_digest(b);
    forge(o, 0, the_world()->stranger, FM_LABEL_COMMIT, &digest);
})
LIE(commits_of_another_round, FM_MSG_COMMITS, "is open", { COMMITS.round++; })

static void a_second_release(void)
{
    bench_message *o = calloc(1, sizeof *o);
    bench b;

    need(o != NULL, "memory");
    bench_init(&b);
    reach(&b, FM_NODE_WAIT_COMMITS);
    say_commits(&b, o);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(hear(&b, VICTIM, o), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(&b)->sent_count[FM_MSG_RELEASE], 1);
    CU_ASSERT_EQUAL(times(victim_ports(&b), DID_CHARGE), 1);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 2);
    bench_fini(&b);
    free(o);
}

static void check_no_release_after(fm_msg_type what)
{
    bench_message *commits = calloc(1, sizeof *commits);
    bench b;

    need(commits != NULL, "memory");
    bench_init(&b);
    reach(&b, FM_NODE_WAIT_COMMITS);
    say_commits(&b, commits);
    if (what == FM_MSG_ROUND_START)
        next_round(&b);
    tell(&b, what, false);
    CU_ASSERT_EQUAL(hear(&b, VICTIM, commits), FM_OK);
    CU_ASSERT_FALSE(did(victim_ports(&b), DID_SEND + FM_MSG_RELEASE));
    CU_ASSERT_FALSE(did(victim_ports(&b), DID_CHARGE));
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 1);
    bench_fini(&b);
    free(commits);
}

static void a_release_after_abandon(void)
{
    check_no_release_after(FM_MSG_ABANDON);
}

static void a_release_after_a_new_round(void)
{
    check_no_release_after(FM_MSG_ROUND_START);
}

static void a_release_after_a_new_roster(void)
{
    check_no_release_after(FM_MSG_ROSTER);
}

static void an_abandon_of_another_round(void)
{
    bench_message o = { 0 };
    bench b;

    bench_init(&b);
    reach(&b, FM_NODE_WAIT_COMMITS);
    say_abandon(&b, &o);
    o.m.abandon.round++;
    CU_ASSERT_EQUAL(hear(&b, VICTIM, &o), FM_OK);
    CU_ASSERT_EQUAL(victim_ports(&b)->refusals, 1);
    CU_ASSERT_EQUAL(victim_phase(&b), FM_NODE_WAIT_COMMITS);
    bench_fini(&b);
}

static const fm_test tests[] = {
    { "survivors without oneself are refused", survivors_without_self },
    { "survivors below the quorum are refused (else: two disjoint sets, both released)",
      survivors_below_the_quorum },
    { "unsorted survivors are refused", survivors_unsorted },
    { "a survivor that stands twice is refused (else: a quorum of fewer)", a_survivor_twice },
    { "a survivor who did not take part is refused", a_survivor_who_did_not_take_part },
    { "an altered hash of the own update is refused (else: an update swapped in transit)",
      own_hash_altered },
    { "an altered hash of another update is refused", another_hash_altered },
    { "a signature of another node is refused", a_signature_of_another_node },
    { "an update of another node is refused (else: one update counted twice)",
      an_update_of_another_node },
    { "an update signed for another round is refused (else: replay)",
      an_update_signed_for_another_round },
    { "an update signed for another model is refused (else: two models)",
      an_update_signed_for_another_model },
    { "an update without a signature is refused", an_update_without_a_signature },
    { "survivors of another round are refused", survivors_of_another_round },
    { "other survivors after a commit get no second commit (else: both sets are released)",
      other_survivors_after_a_commit },
    { "a commit missing: no release (else: a node that saw otherwise is passed over)",
      a_commit_missing },
    { "a commit too many: no release", a_commit_too_many },
    { "a commit with one bit changed: no release", a_commit_with_one_bit_changed },
    { "an empty commit: no release", an_empty_commit },
    { "one node's commit in two places: no release", a_commit_twice },
    { "commits in another order: no release", commits_in_another_order },
    { "a commit of other survivors: no release (else: split views)", a_commit_of_other_survivors },
    { "a commit to another model: no release", a_commit_to_another_model },
    { "a signature for another use: no release", a_signature_for_another_use },
    { "a commit of another certificate: no release", a_commit_of_another_certificate },
    { "commits of another round: no release", commits_of_another_round },
    { "the same commits again get no second release (else: one round, twice charged)",
      a_second_release },
    { "no release after abandon", a_release_after_abandon },
    { "no release of a round after the next has begun", a_release_after_a_new_round },
    { "no release of a round after a new roster", a_release_after_a_new_roster },
    { "an abandon of another round does not end this one", an_abandon_of_another_round },
};

const fm_test_suite suite_round_commit = { "node.round-commit", tests, FM_TEST_COUNT(tests) };
