/* The honest node of these tests: real certificates, real masks, real signatures. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "federation.h"

int64_t fed_statement_s = 3600;

void node_fini(node *n)
{
    for (size_t i = 0; i < n->waiting; i++)
        fm_message_free(&n->inbox[i]);
    fm_dp_release_free(&n->release);
    fm_dp_pairs_free(&n->pairs);
    fm_dp_keypair_free(&n->keys);
    for (uint32_t i = 0; i < n->member_count; i++)
        fm_peer_free(&n->members[i]);
}

/* A fresh start: keys and session are new, what it knows of the transcript stays. */
void node_new(federation *f, node *n)
{
    node old = *n;

    node_fini(n);
    memset(n, 0, sizeof *n);
    memcpy(n->name, old.name, sizeof n->name);
    n->id = old.id;
    n->stop_at = old.stop_at;
    n->finished_round = old.finished_round;
    n->head = old.head;
    need(fm_dp_keypair_new(&n->keys) == FM_OK, "keypair");
    n->statement =
        (fm_statement){ .role = FM_ROLE_NODE, .not_after_s = f->now_s + fed_statement_s };
    memcpy(n->statement.federation, "heart", 6);
    memcpy(n->statement.name, n->name, sizeof n->name);
    fm_rng_system().fill(NULL, n->statement.curve_public, FM_SESSION_KEY_BYTES);
    memcpy(n->statement.x25519_public, fm_dp_keypair_public(n->keys), FM_SESSION_KEY_BYTES);
    need(fm_credential_make(n->id, &n->statement, &n->credential) == FM_OK, "credential");
}

fm_round_view node_view(const federation *f, const node *n)
{
    return (fm_round_view){
        .federation = "heart",
        .session = n->session,
        .roster = n->roster,
        .plan = fm_plan_hash(f->plan_bytes.data, f->plan_bytes.len),
        .model = n->model_hash,
        .head = n->head,
        .round = n->round,
        .participants = n->participants,
        .participant_count = n->participant_count,
    };
}

/* ---- what it says ---- */

/* Where the units' lattice is finer: what one word has of the units and of the noise that was rounded
 * with them. */
static void round_together(const fm_dp_lattice *l, const fm_dp_release *r, int32_t *plain,
                           int32_t *noise)
{
    for (size_t i = 0; i < PARAMETERS && l->shift > 0; i++) {
        const double x = ldexp((double)plain[i] + noise[i], -(int)l->shift);

        plain[i] = (int32_t)(fm_dp_release_ties_down_for_tests(r) ? ceil(x - 0.5) : floor(x + 0.5));
        noise[i] = 0;
    }
}

/* Before it is hashed and signed. */
static void poison(node *n)
{
    const uint8_t *bytes = NULL;
    size_t len = 0;

    fm_dp_release_bytes(n->release, &bytes, &len);
    for (size_t at = 0; n->poison && at + 4 <= len; at += 4) {
        uint8_t *word = (uint8_t *)(uintptr_t)bytes + at;

        fm_put_u32le(word, fm_get_u32le(word) + n->poison);
    }
}

static void make_release(federation *f, node *n)
{
    uint32_t group[PEOPLE];
    const uint32_t count = fm_groups_pick(&n->groups, n->groups.of[n->self], n->participants,
                                          n->participant_count, group);
    const fm_dp_round round = {
        .round = n->round,
        .plan = fm_plan_hash(f->plan_bytes.data, f->plan_bytes.len),
        .model = n->model_hash,
        .participants = n->participants,
        .participant_count = n->participant_count,
        .mask_density = f->plan.mask_density,
        .group = group,
        .group_count = count,
    };
    const uint64_t at = n->round % PLAIN_ROUNDS;
    const fm_dp_shares *shares = fed_shares(f, count);
    fm_dp_sum *sum = NULL;
    float unit[PARAMETERS];

    need(fm_dp_sum_new(&f->lattice, PARAMETERS, &sum) == FM_OK, "sum");
    for (int u = 0; u < 3; u++) {
        for (size_t i = 0; i < PARAMETERS; i++)
            unit[i] = (float)fm_rng_normal(&f->rng);
        need(fm_dp_sum_add_unit(sum, unit) == FM_OK, "add unit");
    }
    fm_dp_sum_peek_for_tests(sum, f->plain[at][n - f->nodes]);
    fm_dp_release_free(&n->release);
    fm_dp_release_keep_noise_for_tests(1);
    need(fm_dp_release_make(sum, shares, n->pairs, &round, &f->rng, &n->release) == FM_OK,
         "release");
    need(fm_dp_shares_levels(shares) <= LEVELS, "room for the levels");
    for (uint32_t l = 0; l < fm_dp_shares_levels(shares); l++)
        memcpy(f->noise[at][n - f->nodes][l], fm_dp_release_noise_for_tests(n->release, l),
               sizeof f->noise[at][0][l]);
    round_together(&f->lattice, n->release, f->plain[at][n - f->nodes],
                   f->noise[at][n - f->nodes][0]);
    f->participants[at] = count;
    fm_dp_sum_free(&sum);
    poison(n);
}

fm_message node_update_of(federation *f, node *n, uint8_t room[FM_SIGNATURE_MAX], fm_bytes *bytes)
{
    fm_message m = { .type = FM_MSG_MASKED_UPDATE };
    fm_round_view view = node_view(f, n);
    fm_hash update, digest;
    size_t len = 0;

    make_release(f, n);
    update = fm_dp_release_hash(n->release);
    digest = fm_update_digest(&view, n->self, &update);
    need(fm_identity_sign(n->id, FM_LABEL_UPDATE, digest.bytes, FM_HASH_BYTES, room, &len) == FM_OK,
         "sign");
    m.masked_update.round = n->round;
    fm_dp_release_bytes(n->release, &bytes->data, &bytes->len);
    m.masked_update.signature = (fm_bytes){ room, len };
    return m;
}

fm_message node_update(federation *f, node *n, uint8_t room[FM_SIGNATURE_MAX])
{
    fm_message piece = { .type = FM_MSG_UPDATE_PIECE };
    fm_message m = node_update_of(f, n, room, &piece.update_piece.piece);

    piece.update_piece.round = n->round;
    if (!n->quiet)
        need(fm_coordinator_take(f->c, n->peer, &piece, f->now_ms, f->now_s) == FM_OK, "a piece");
    return m;
}

fm_message node_commit(node *n, uint8_t room[FM_SIGNATURE_MAX])
{
    fm_message m = { .type = FM_MSG_COMMIT };
    size_t len = 0;

    need(fm_identity_sign(n->id, FM_LABEL_COMMIT, n->commit.bytes, FM_HASH_BYTES, room, &len) ==
             FM_OK,
         "sign");
    m.commit.round = n->round;
    m.commit.signature = (fm_bytes){ room, len };
    return m;
}

fm_message node_release(const federation *f, node *n, fm_dp_unmask **unmask,
                        uint8_t room[FM_SIGNATURE_MAX])
{
    fm_hash plan = fm_plan_hash(f->plan_bytes.data, f->plan_bytes.len), mark;
    fm_message m = { .type = FM_MSG_RELEASE };
    size_t len = 0;

    uint32_t with[PEOPLE];
    const uint32_t count =
        fm_groups_pick(&n->groups, n->groups.of[n->self], n->survivors, n->survivor_count, with);

    need(fm_dp_release_unmask(n->release, with, count, unmask) == FM_OK, "unmask");
    m.release.round = n->round;
    memcpy(m.release.self_seed, (*unmask)->self_seed, FM_SEED_BYTES);
    m.release.lost = (*unmask)->lost;
    m.release.lost_count = (*unmask)->lost_count;
    m.release.pair_seeds = (const uint8_t(*)[FM_SEED_BYTES])(*unmask)->pair_seeds;
    m.release.surplus_seeds = (const uint8_t(*)[FM_SEED_BYTES])(*unmask)->surplus_seeds;
    m.release.surplus_count = (*unmask)->surplus_count;
    m.release.ledger_head = fm_hash_of("a ledger", &n->round, sizeof n->round);
    mark = fm_ledger_mark_digest("heart", &plan, n->round, &m.release.ledger_head);
    need(fm_identity_sign(n->id, FM_LABEL_LEDGER_MARK, mark.bytes, FM_HASH_BYTES, room, &len) ==
             FM_OK,
         "sign");
    m.release.ledger_signature = (fm_bytes){ room, len };
    return m;
}

/* ---- what it reads ---- */

static void read_roster(federation *f, node *n, const fm_msg_roster *r)
{
    uint8_t keys[PEOPLE][FM_DP_KEY_BYTES];
    fm_dp_roster dp = { .federation = "heart", .members = r->count, .self = UINT32_MAX };

    CU_ASSERT_FATAL(r->count <= PEOPLE);
    for (uint32_t i = 0; i < n->member_count; i++)
        fm_peer_free(&n->members[i]);
    n->member_count = r->count;
    for (uint32_t i = 0; i < r->count; i++) {
        fm_statement s;

        CU_ASSERT_EQUAL_FATAL(fm_credential_verify(fed_trust, &r->members[i], FM_ROLE_NODE,
                                                   f->now_s, &s, &n->members[i]),
                              FM_OK);
        memcpy(keys[i], s.x25519_public, FM_DP_KEY_BYTES);
        if (memcmp(keys[i], n->statement.x25519_public, FM_DP_KEY_BYTES) == 0)
            dp.self = i;
    }
    CU_ASSERT_NOT_EQUAL_FATAL(dp.self, UINT32_MAX);
    n->self = dp.self;
    n->session = r->session;
    n->roster = fm_roster_digest(r);
    n->round = 0;
    memcpy(dp.session, r->session.bytes, sizeof dp.session);
    dp.roster = n->roster;
    dp.public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])keys;
    fm_dp_pairs_free(&n->pairs);
    CU_ASSERT_EQUAL_FATAL(fm_dp_pairs_new(n->keys, &dp, &n->pairs), FM_OK);
}

/* By a member of the roster. */
static void check_member_signed(const federation *f, const node *n, uint32_t member,
                                const char *label, const fm_hash *digest, fm_bytes signature)
{
    if (f->trusting)
        return;
    CU_ASSERT_EQUAL(fm_peer_check_signature(n->members[member], label, digest->bytes, FM_HASH_BYTES,
                                            signature.data, signature.len),
                    FM_OK);
}

/* As a real node: what is known already is passed over. */
static void follow(node *n, const fm_transcript_entry *entries, uint32_t count, const fm_hash *head)
{
    while (count && entries->round <= n->finished_round) {
        entries++;
        count--;
    }
    CU_ASSERT_EQUAL(fm_transcript_follow(n->finished_round, &n->head, entries, count, head), FM_OK);
    n->head = *head;
    if (count)
        n->finished_round = entries[count - 1].round;
}

static void check_hub_signed(const federation *f, const char *label, const fm_hash *digest,
                             fm_bytes signature)
{
    const uint8_t *der;
    size_t len;
    fm_peer *hub = NULL;

    if (f->trusting)
        return;
    fm_identity_der(fed_hub, &der, &len);
    need(fm_peer_verify(fed_trust, der, len, FM_ROLE_AGGREGATOR, f->now_s, &hub) == FM_OK,
         "hub's certificate");
    CU_ASSERT_EQUAL(fm_peer_check_signature(hub, label, digest->bytes, FM_HASH_BYTES,
                                            signature.data, signature.len),
                    FM_OK);
    fm_peer_free(&hub);
}

static void read_start(federation *f, node *n, const fm_msg_round_start *s)
{
    fm_hash plan = fm_plan_hash(f->plan_bytes.data, f->plan_bytes.len), digest;
    fm_round_view view;

    CU_ASSERT(s->round > n->round && s->round > n->finished_round);
    CU_ASSERT(fm_hash_equal(&s->plan_hash, &plan));
    CU_ASSERT(fm_hash_equal(&s->roster_hash, &n->roster));
    CU_ASSERT(memcmp(&s->session, &n->session, sizeof n->session) == 0);
    CU_ASSERT_FATAL(s->participant_count <= PEOPLE);
    CU_ASSERT(s->participant_count >= f->plan.min_cohort);
    digest = fm_round_start_digest("heart", s);
    check_hub_signed(f, FM_LABEL_ROUND_START, &digest, s->signature);
    follow(n, s->entries, s->entry_count, &s->head);
    n->entries = s->entry_count;
    memcpy(n->model, f->optimizer->weights, sizeof n->model);
    n->model_hash = fm_model_digest(n->model, sizeof n->model);
    /* Read late, of a round that is over, it names a model that is gone. */
    CU_ASSERT(fm_hash_equal(&n->model_hash, &s->model_hash) || s->round < f->last_given ||
              fed_phase(f) == FM_COORD_FINISHED);
    n->model_hash = s->model_hash;
    n->round = s->round;
    n->participant_count = s->participant_count;
    memcpy(n->participants, s->participants, s->participant_count * sizeof *n->participants);
    view = node_view(f, n);
    need(fm_groups_draw(&f->plan, &view, &n->groups) == FM_OK, "groups");
}

static void read_survivors(federation *f, node *n, const fm_msg_survivors *s)
{
    fm_round_view view = node_view(f, n);
    bool self = false;

    CU_ASSERT_EQUAL(s->round, n->round);
    CU_ASSERT_FATAL(s->count <= n->participant_count);
    CU_ASSERT(s->count >= f->plan.quorum);
    for (uint32_t i = 0; i < s->count; i++) {
        fm_hash digest = fm_update_digest(&view, s->survivors[i], &s->update_hashes[i]);

        check_member_signed(f, n, s->survivors[i], FM_LABEL_UPDATE, &digest,
                            s->update_signatures[i]);
        self |= s->survivors[i] == n->self;
    }
    CU_ASSERT(self);
    n->survivor_count = s->count;
    memcpy(n->survivors, s->survivors, s->count * sizeof *n->survivors);
    n->commit = fm_commit_digest(&view, s->survivors, s->update_hashes, s->count);
}

static void read_commits(federation *f, node *n, const fm_msg_commits *c)
{
    CU_ASSERT_EQUAL(c->round, n->round);
    CU_ASSERT_EQUAL_FATAL(c->count, n->survivor_count);
    for (uint32_t i = 0; i < c->count; i++)
        check_member_signed(f, n, n->survivors[i], FM_LABEL_COMMIT, &n->commit, c->signatures[i]);
}

static void read_finish(federation *f, node *n, const fm_msg_finish *m)
{
    fm_hash digest = fm_finish_digest("heart", m), model;

    check_hub_signed(f, FM_LABEL_FINISH, &digest, m->signature);
    follow(n, m->entries, m->entry_count, &m->head);
    fm_optimizer_result(f->optimizer, n->result);
    model = fm_model_digest(n->result, sizeof n->result);
    CU_ASSERT(fm_hash_equal(&model, &m->model_hash));
    n->finish_rounds = m->rounds;
}

static void say_joined(federation *f, node *n)
{
    fm_message join = { .type = FM_MSG_JOIN };

    join.join.finished_round = n->finished_round;
    join.join.head = n->head;
    need(fm_coordinator_take(f->c, n->peer, &join, f->now_ms, f->now_s + f->wrong_s) == FM_OK,
         "Join");
}

void node_read(federation *f, node *n, bool *answered, fm_message *out)
{
    static uint8_t room[FM_SIGNATURE_MAX];
    static fm_dp_unmask *unmask;
    fm_message *m = n->inbox[0];

    memmove(n->inbox, n->inbox + 1, --n->waiting * sizeof *n->inbox);
    *answered = true;
    memset(out, 0, sizeof *out);
    switch (m->type) {
    case FM_MSG_PLAN_OFFER:
        n->offered_mark = m->plan_offer.mark.round;
        n->offered_head = m->plan_offer.mark.head;
        say_joined(f, n);
        out->type = FM_MSG_PLAN_ANSWER;
        out->plan_answer.plan_hash = fm_plan_hash(m->plan_offer.plan.data, m->plan_offer.plan.len);
        out->plan_answer.approved = true;
        break;
    case FM_MSG_ROSTER:
        read_roster(f, n, &m->roster);
        out->type = FM_MSG_ROSTER_ANSWER;
        out->roster_answer.roster_hash = n->roster;
        break;
    case FM_MSG_ROUND_START:
        read_start(f, n, &m->round_start);
        *out = node_update(f, n, room);
        break;
    case FM_MSG_SURVIVORS:
        read_survivors(f, n, &m->survivors);
        *out = node_commit(n, room);
        break;
    case FM_MSG_COMMITS:
        read_commits(f, n, &m->commits);
        fm_dp_unmask_free(&unmask);
        *out = node_release(f, n, &unmask, room);
        break;
    case FM_MSG_FINISH:
        read_finish(f, n, &m->finish);
        *answered = false;
        break;
    default: /* Abandon; Revocations; a piece that a liar has asked for */
        CU_ASSERT(m->type == FM_MSG_ABANDON || m->type == FM_MSG_REVOCATIONS ||
                  m->type == FM_MSG_MODEL_PIECE);
        n->lists_heard += m->type == FM_MSG_REVOCATIONS;
        *answered = false;
        break;
    }
    fm_message_free(&m);
}
