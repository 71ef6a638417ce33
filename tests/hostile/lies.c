/* The lies, and what each must come to: docs/privacy.md, section 6, has the attacks. */
#include <string.h>

#include "fedmoe/proto/groups.h"
#include "hostile.h"

static uint32_t place_of(const telling *t, unsigned party_index)
{
    uint32_t at = 0;

    while (at + 1 < t->member_count && t->who[at] != party_index)
        at++;
    return at;
}

/* ---- rosters ---- */

static void swap_a_key(hostile *h, moment at, unsigned to, telling *t)
{
    (void)h;
    /* A byte of another node's X25519 key, behind version, role, end and CURVE key. */
    if (at == AT_ROSTER)
        t->members[(place_of(t, to) + 1) % t->member_count].statement[42] ^= 1;
}

static void split_rosters(hostile *h, moment at, unsigned to, telling *t)
{
    const fm_credential first = t->members[0];
    const unsigned who = t->who[0];

    (void)h;
    if (at != AT_ROSTER || to < 2)
        return;
    t->members[0] = t->members[1];
    t->who[0] = t->who[1];
    t->members[1] = first;
    t->who[1] = who;
}

static void tell_the_old_roster(hostile *h, moment at, unsigned to, telling *t)
{
    if (at == AT_ROSTER && to + 1 == h->honest)
        t->members[place_of(t, to)] = h->parties[to].earlier;
}

/* The second colluder shows the first one's keys. */
static void share_a_key(hostile *h, moment at, unsigned to, telling *t)
{
    fm_statement one, two;
    uint32_t last = t->member_count - 1;

    (void)to;
    if (at != AT_ROSTER)
        return;
    need(fm_statement_decode(t->members[last - 1].statement, t->members[last - 1].statement_len,
                             &one) == FM_OK &&
             fm_statement_decode(t->members[last].statement, t->members[last].statement_len,
                                 &two) == FM_OK,
         "two statements");
    memcpy(two.x25519_public, one.x25519_public, sizeof two.x25519_public);
    need(fm_credential_make(h->parties[t->who[last]].borrowed, &two, &t->members[last]) == FM_OK,
         "a credential");
}

/* ---- the start of a round ---- */

/* Every node is told of three, itself among them, and no two of the same three. */
static uint32_t left_out(unsigned to)
{
    static const uint32_t places[] = { 3, 2, 0, 1 };

    return places[to % 4];
}

static void leave_out(uint32_t *list, uint32_t *count, uint32_t value)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < *count; i++)
        if (list[i] != value)
            list[kept++] = list[i];
    *count = kept;
}

static void split_participants(hostile *h, moment at, unsigned to, telling *t)
{
    (void)h;
    if (at == AT_START)
        leave_out(t->participants, &t->participant_count, left_out(to));
}

/* Itself and one more. */
static void shrink_participants(hostile *h, moment at, unsigned to, telling *t)
{
    (void)h;
    if (at != AT_START)
        return;
    t->participants[0] = to < 2 ? 0 : 2;
    t->participants[1] = to < 2 ? 1 : 3;
    t->participant_count = 2;
}

static void name_another_plan(hostile *h, moment at, unsigned to, telling *t)
{
    fm_plan plan = h->run.config.plan;
    fm_buf bytes = { .limit = FM_MAX_PLAN_BYTES };

    (void)to;
    if (at != AT_START)
        return;
    lie_plan(&plan, "noise");
    need(fm_plan_encode(&plan, &bytes) == FM_OK, "a plan");
    t->plan = fm_plan_hash(bytes.data, bytes.len);
    fm_buf_fini(&bytes);
}

static void name_the_old_session(hostile *h, moment at, unsigned to, telling *t)
{
    (void)to;
    if (at != AT_START)
        return;
    t->session = h->old_session;
    t->roster = h->old_roster;
}

static void sign_as_a_member(hostile *h, moment at, unsigned to, telling *t)
{
    (void)to;
    if (at == AT_START)
        t->signer = h->parties[h->honest].borrowed;
}

/* ---- models and transcripts ---- */

static void move_a_weight(telling *t)
{
    float first;

    memcpy(&first, t->model.data, sizeof first);
    first -= 3.0f;
    memcpy(t->model.data, &first, sizeof first);
}

static void send_other_weights(hostile *h, moment at, unsigned to, telling *t)
{
    (void)h;
    (void)to;
    if (at == AT_START)
        move_a_weight(t);
}

static void name_other_weights(hostile *h, moment at, unsigned to, telling *t)
{
    (void)h;
    (void)to;
    if (at != AT_START)
        return;
    move_a_weight(t);
    t->model_hash = fm_model_digest(t->model.data, t->model.len);
}

static void send_the_old_model(hostile *h, moment at, unsigned to, telling *t)
{
    (void)to;
    if (at != AT_START)
        return;
    memcpy(t->model.data, h->old_model.data, h->old_model.len);
    t->model_hash = fm_model_digest(t->model.data, t->model.len);
}

static void roll_back(hostile *h, moment at, unsigned to, telling *t)
{
    send_the_old_model(h, at, to, t);
    if (at != AT_START)
        return;
    t->head = h->old_head;
    t->entry_count--;
}

static void rewrite(hostile *h, telling *t)
{
    t->head = h->old_head;
    t->head = fm_transcript_next(&t->head, &t->entries[t->entry_count - 1]);
}

static void forge_the_transcript(hostile *h, moment at, unsigned to, telling *t)
{
    (void)to;
    if (at != AT_START)
        return;
    t->entries[t->entry_count - 1].commit_digest.bytes[0] ^= 1;
    rewrite(h, t);
}

/* Two histories, each sound in itself: half of the nodes learn another model from theirs. */
static void split_models(hostile *h, moment at, unsigned to, telling *t)
{
    if (at != AT_START || to < 2)
        return;
    move_a_weight(t);
    t->model_hash = fm_model_digest(t->model.data, t->model.len);
    t->entries[t->entry_count - 1].model_after = t->model_hash;
    rewrite(h, t);
}

/* ---- survivors ---- */

static void split_survivors(hostile *h, moment at, unsigned to, telling *t)
{
    if (at != AT_SURVIVORS)
        return;
    leave_out(t->survivors, &t->survivor_count, left_out(to));
    fill_updates(h, t);
}

/* Lost to the others, so that they give its pair seeds; alive to itself, for its own seed. */
static void list_alive_and_lost(hostile *h, moment at, unsigned to, telling *t)
{
    if (at != AT_SURVIVORS || to == 3)
        return;
    leave_out(t->survivors, &t->survivor_count, 3);
    fill_updates(h, t);
}

static void list_itself_as_lost(hostile *h, moment at, unsigned to, telling *t)
{
    if (at != AT_SURVIVORS)
        return;
    leave_out(t->survivors, &t->survivor_count, place_of(t, to));
    fill_updates(h, t);
}

static void shrink_survivors(hostile *h, moment at, unsigned to, telling *t)
{
    if (at != AT_SURVIVORS)
        return;
    t->survivors[0] = to < 2 ? 0 : 2;
    t->survivors[1] = to < 2 ? 1 : 3;
    t->survivor_count = 2;
    fill_updates(h, t);
}

static void swap_its_update(hostile *h, moment at, unsigned to, telling *t)
{
    (void)h;
    if (at == AT_SURVIVORS)
        t->update_hashes[place_of(t, to)].bytes[0] ^= 1;
}

static void replay_updates(hostile *h, moment at, unsigned to, telling *t)
{
    if (at != AT_SURVIVORS)
        return;
    for (uint32_t i = 0; i < t->survivor_count; i++) {
        const party *p = &h->parties[t->who[t->survivors[i]]];

        if (t->who[t->survivors[i]] == to)
            continue;
        t->update_hashes[i] = p->old_update;
        memcpy(t->signatures[i], p->old_update_signature, p->old_update_signature_len);
    }
}

static void replay_commits(hostile *h, moment at, unsigned to, telling *t)
{
    (void)to;
    if (at != AT_COMMITS)
        return;
    for (uint32_t i = 0; i < t->survivor_count; i++) {
        const party *p = &h->parties[t->who[t->survivors[i]]];

        memcpy(t->signatures[i], p->old_commit_signature, p->old_commit_signature_len);
    }
}

/* Each of three is told of itself, one more and the colluder, who commits to everything. */
static void commit_to_three_sets(hostile *h, moment at, unsigned to, telling *t)
{
    if (at != AT_SURVIVORS)
        return;
    leave_out(t->survivors, &t->survivor_count, (to + 2) % 3);
    fill_updates(h, t);
}

/* Two see one set and may release it; the third is to release another one. */
static void commit_to_two_sets(hostile *h, moment at, unsigned to, telling *t)
{
    if (at != AT_SURVIVORS)
        return;
    leave_out(t->survivors, &t->survivor_count, to < 2 ? 2 : 0);
    fill_updates(h, t);
}

/* ---- groups ---- */

/* All of node 0's group lost but itself, so that its sum would be its own: of the round enough are left. */
static void leave_it_alone_in_its_group(hostile *h, moment at, unsigned to, telling *t)
{
    const fm_round_view view = view_of(t, h->run.config.plan.federation);
    const uint32_t own = place_of(t, 0);
    fm_groups g;

    (void)to;
    if (at != AT_SURVIVORS)
        return;
    need(fm_groups_draw(&h->run.config.plan, &view, &g) == FM_OK, "groups");
    for (uint32_t i = 0; i < t->participant_count; i++)
        if (t->participants[i] != own && g.of[t->participants[i]] == g.of[own])
            leave_out(t->survivors, &t->survivor_count, t->participants[i]);
    fill_updates(h, t);
}

/* Half are shown a round without one node, so that they draw other groups: some are moved. */
static void move_nodes(hostile *h, moment at, unsigned to, telling *t)
{
    (void)h;
    if (at == AT_START && to >= 5)
        leave_out(t->participants, &t->participant_count, place_of(t, 0));
}

#define NINE EVERYBODY
#define NONE_OF_NINE "000000000"
#define ALL "1111"
#define NONE "0000"
#define SIGNED "does not bear its signature for this round"
#define COMMITTED "has not committed to the round as this node saw it"

static const lie lies[] = {
    { "honest", NULL, "0123", ALL, ALL, ALL, ALL, KEEP, NULL, NULL },
    /* docs/privacy.md: key substitution, split views, two models, one node in both lists */
    { "swapped-key", swap_a_key, "0123", NONE, NONE, NONE, NONE, KEEP, ALL,
      "refused Roster: member .*signature" },
    { "split-rosters", split_rosters, "0123", ALL, ALL, NONE, NONE, KEEP, ALL, SIGNED },
    { "split-participants", split_participants, "0123", ALL, ALL, NONE, NONE, KEEP, ALL, SIGNED },
    { "split-survivors", split_survivors, "0123", ALL, ALL, ALL, NONE, KEEP, ALL, COMMITTED },
    { "split-plans", NULL, "0123", ALL, ALL, NONE, NONE, KEEP, ALL, SIGNED },
    { "split-models", split_models, "0123", ALL, ALL, NONE, NONE, KEEP, ALL, SIGNED },
    { "alive-and-lost", list_alive_and_lost, "0123", ALL, ALL, ALL, "1110", KEEP, "0001",
      COMMITTED },
    { "itself-lost", list_itself_as_lost, "0123", ALL, ALL, NONE, NONE, KEEP, ALL,
      "this node is not among the survivors" },
    { "swapped-update", swap_its_update, "0123", ALL, ALL, NONE, NONE, KEEP, ALL,
      "hash of this node's update is not that of what was sent" },
    { "other-weights", send_other_weights, "0123", ALL, NONE, NONE, NONE, KEEP, ALL,
      "refused ModelPiece: its model is not the one that it names by hash" },
    { "other-model", name_other_weights, "0123", ALL, NONE, NONE, NONE, KEEP, ALL,
      "its model is not the one that the transcript ends with" },
    { "other-plan", name_another_plan, "0123", ALL, NONE, NONE, NONE, KEEP, ALL,
      "it is of another plan than the one that this node approved" },
    { "member-as-aggregator", sign_as_a_member, "0123", ALL, NONE, NONE, NONE, KEEP, ALL,
      "refused RoundStart .*signature" },
    /* shrunken cohort, colluders */
    { "two-members", NULL, "01", "00--", "00--", "00--", "00--", KEEP, "1100",
      "refused Roster: it has 2 members; the policy of this node wants at least 3" },
    { "two-participants", shrink_participants, "0123", ALL, NONE, NONE, NONE, KEEP, ALL,
      "it has 2 participants; this node takes part with at least 3" },
    { "two-survivors", shrink_survivors, "0123", ALL, ALL, NONE, NONE, KEEP, ALL,
      "2 updates arrived; this node releases with at least 3" },
    { "five-members", NULL, "01234", NONE, NONE, NONE, NONE, KEEP, ALL,
      "refused Roster: it has 5 members; the plan allows 4" },
    { "colluder-twice", NULL, "0145", "00--", "00--", "00--", "00--", KEEP, "1100",
      "refused Roster: .*stands in it twice" },
    { "colluders-with-one-key", share_a_key, "0146", "00--", "00--", "00--", "00--", KEEP, "1100",
      "refused Roster: .*have a key in common" },
    { "revoked-colluder", NULL, "0127", "000-", "000-", "000-", "000-", KEEP, "1110",
      "refused Roster: member 3: .*revoked" },
    { "strange-colluder", NULL, "0128", "000-", "000-", "000-", "000-", KEEP, "1110",
      "refused Roster: member 3: " },
    { "aggregator-as-member", NULL, "0129", "000-", "000-", "000-", "000-", KEEP, "1110",
      "refused Roster: member 3: .*aggregator" },
    { "colluder", NULL, "0124", "111-", "111-", "111-", "111-", KEEP, NULL, NULL },
    { "commits-to-three-sets", commit_to_three_sets, "0124", "111-", "111-", "111-", "000-", KEEP,
      "1110", COMMITTED },
    { "commits-to-two-sets", commit_to_two_sets, "0124", "111-", "111-", "111-", "110-", KEEP,
      "0010", COMMITTED },
    /* groups */
    { "honest-nine", NULL, "012345678", NINE, NINE, NINE, NINE, KEEP, NULL, NULL },
    { "alone-in-its-group", leave_it_alone_in_its_group, "012345678", NINE, NINE, NONE_OF_NINE,
      NONE_OF_NINE, KEEP, "100000000", "group [0-2] has 1 survivors; the plan demands 2 of each" },
    { "moved-nodes", move_nodes, "012345678", NINE, NINE, NONE_OF_NINE, NONE_OF_NINE, KEEP,
      "000001111", SIGNED },
    /* replay, rollback, a round opened again, two releases */
    { "old-start", NULL, "0123", ALL, ALL, ALL, ALL, REPLAY_START, ALL,
      "refused RoundStart .*is over: this node has used round" },
    { "old-session", name_the_old_session, "0123", ALL, NONE, NONE, NONE, KEEP, ALL,
      "it is of another session" },
    { "old-model", send_the_old_model, "0123", ALL, NONE, NONE, NONE, KEEP, ALL,
      "its model is not the one that the transcript ends with" },
    { "old-head", roll_back, "0123", ALL, NONE, NONE, NONE, KEEP, ALL, "rolled back" },
    { "forged-history", forge_the_transcript, "0123", ALL, NONE, NONE, NONE, KEEP, ALL,
      "its transcript holds another round [0-9]+ than the one that this node released" },
    { "old-updates", replay_updates, "0123", ALL, ALL, NONE, NONE, KEEP, ALL, SIGNED },
    { "old-commits", replay_commits, "0123", ALL, ALL, ALL, NONE, KEEP, ALL, COMMITTED },
    { "asked-again", NULL, "0123", ALL, ALL, ALL, ALL, ASK_AGAIN, ALL,
      "refused Commits .*it came while this node waits for the start of a round" },
    { "killed-after-update", NULL, "0123", ALL, ALL, NONE, NONE, KILL_AFTER_UPDATE, ALL,
      "refused RoundStart .*is over: this node has used round" },
    { "killed-after-commit", NULL, "0123", ALL, ALL, ALL, "1110", KILL_AFTER_COMMIT, ALL,
      "refused Survivors .*it came while this node waits for the start of a round" },
    { "killed-after-release", NULL, "0123", ALL, ALL, ALL, ALL, KILL_AFTER_RELEASE, ALL,
      "refused Commits .*it came while this node waits for the start of a round" },
    { "old-roster", tell_the_old_roster, "0123", "1110", "1110", "111-", "111-", KEEP, "0001",
      "refused Roster: this node's credential is not in it as it was sent" },
};

const lie *lie_find(const char *name)
{
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        if (strcmp(lies[i].name, name) == 0)
            return &lies[i];
    return NULL;
}

void lie_plan(fm_plan *plan, const char *name)
{
    if (strcmp(name, "noise") == 0)
        plan->noise_multiplier *= 0.9;
    else if (strcmp(name, "rate") == 0)
        plan->sampling_rate = plan->sampling_rate <= 0.5 ? 2.0 * plan->sampling_rate : 1.0;
    else if (strcmp(name, "rounds") == 0)
        plan->rounds *= 4;
    else if (strcmp(name, "clip") == 0)
        plan->clip_norm *= 2.0;
    else if (strcmp(name, "epsilon") == 0)
        plan->epsilon *= 4.0, plan->noise_multiplier *= 0.5;
    else
        need(strcmp(name, "same") == 0, "a figure of a plan");
}
