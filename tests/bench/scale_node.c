/* One node of the swarm: what it hears, and what it says to it. */
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/random.h"
#include "fedmoe/replay/replay.h"
#include "scale.h"

bool scale_is_lost(const swarm *s, uint32_t id, uint64_t round)
{
    return s->lost > 0 && (id + round * s->lost) % s->count < s->lost;
}

static fm_status say(scale_node *n, const fm_message *m)
{
    return fm_link_client_send(n->link, m);
}

static fm_round_view view_of(const scale_node *n)
{
    return (fm_round_view){ .federation = n->swarm->plan.federation,
                            .session = n->session,
                            .roster = n->roster,
                            .plan = n->swarm->plan_hash,
                            .model = n->model,
                            .head = n->head,
                            .round = n->round,
                            .participants = n->participants,
                            .participant_count = n->participant_count };
}

static fm_status sign(const scale_node *n, const char *label, const fm_hash *digest,
                      uint8_t room[FM_SIGNATURE_MAX], fm_bytes *out)
{
    size_t len = 0;
    fm_status st = fm_identity_sign(n->identity, label, digest->bytes, FM_HASH_BYTES, room, &len);

    *out = (fm_bytes){ room, len };
    return st;
}

/* ---- plan and roster ---- */

static fm_status take_plan(scale_node *n, const fm_msg_plan_offer *m)
{
    fm_message join = { .type = FM_MSG_JOIN }, answer = { .type = FM_MSG_PLAN_ANSWER };
    swarm *s = n->swarm;
    fm_dp_lattice_spec spec;
    fm_status st = FM_OK;

    if (!s->planned) {
        if ((st = fm_plan_decode(m->plan.data, m->plan.len, &s->plan)) != FM_OK)
            return st;
        s->plan_hash = fm_plan_hash(m->plan.data, m->plan.len);
        spec = fm_replay_lattice_spec(&s->plan);
        if ((st = fm_dp_lattice_make(&spec, &s->lattice)) != FM_OK)
            return st;
        s->planned = true;
    }
    join.join.finished_round = n->known;
    join.join.head = n->head;
    answer.plan_answer.plan_hash = s->plan_hash;
    answer.plan_answer.approved = true;
    st = say(n, &join);
    return st == FM_OK ? say(n, &answer) : st;
}

static uint32_t id_of(const swarm *s, const fm_credential *c)
{
    const uint8_t *der = NULL;
    uint32_t id = 0;
    size_t len = 0;

    for (; id < s->count; id++) {
        fm_identity_der(s->node[id].identity, &der, &len);
        if (len == c->cert_len && memcmp(der, c->cert, len) == 0)
            break;
    }
    return id;
}

static fm_status take_roster(scale_node *n, const fm_msg_roster *r)
{
    fm_message answer = { .type = FM_MSG_ROSTER_ANSWER };

    if (r->count > SCALE_NODES_MAX)
        return fm_fail(FM_EPROTO, "a roster of %u", r->count);
    n->session = r->session;
    n->roster = answer.roster_answer.roster_hash = fm_roster_digest(r);
    n->count = r->count;
    for (uint32_t i = 0; i < r->count; i++) {
        n->ids[i] = id_of(n->swarm, &r->members[i]);
        if (n->ids[i] == n->id)
            n->self = i;
    }
    n->round = 0;
    return say(n, &answer);
}

/* ---- the update ---- */

/* Of two nodes: the same from both ends. */
static void pair_seed(const swarm *s, uint32_t a, uint32_t b, uint8_t out[FM_SEED_BYTES])
{
    const uint32_t pair[2] = { a < b ? a : b, a < b ? b : a };
    fm_hasher h;
    fm_hash seed;

    fm_hasher_begin(&h, "fedmoe bench pair");
    fm_hasher_add(&h, s->seed, sizeof s->seed);
    fm_hasher_add(&h, pair, sizeof pair);
    seed = fm_hasher_end(&h);
    memcpy(out, seed.bytes, FM_SEED_BYTES);
}

double scale_mean_masks(const swarm *s)
{
    uint8_t seed[FM_SEED_BYTES];
    uint64_t edges = 0;

    for (uint32_t a = 0; a < s->count; a++)
        for (uint32_t b = 0; b < a; b++) {
            pair_seed(s, a, b, seed);
            edges += fm_dp_mask_edge(seed, s->plan.mask_density);
        }
    return 2.0 * (double)edges / s->count;
}

/* From words as dp has them to words as they travel: only those of 24 bits differ. */
static void pack(const swarm *s, uint8_t *vector)
{
    const size_t words = fm_plan_update_words(&s->plan);

    for (size_t i = 0; i < words && s->lattice.word_bits == 24; i++)
        memmove(vector + 3 * i, vector + 4 * i, 3);
}

static size_t room_of(const swarm *s)
{
    return fm_plan_update_words(&s->plan) * fm_dp_sum_word_bytes(s->lattice.word_bits);
}

static fm_status make_vector(scale_node *n)
{
    const swarm *s = n->swarm;
    const size_t words = fm_plan_update_words(&s->plan), bytes = fm_plan_update_bytes(&s->plan);
    uint8_t seed[FM_SEED_BYTES];
    fm_status st;

    if (!n->vector && !(n->vector = malloc(room_of(s))))
        return fm_fail(FM_ENOMEM, "an update");
    memset(n->vector, 0, room_of(s));
    st = fm_dp_mask_apply(s->lattice.word_bits, n->vector, words, s->seed, 1);
    for (uint32_t i = 0; st == FM_OK && i < n->participant_count; i++) {
        const uint32_t v = n->participants[i];

        if (!scale_is_lost(s, n->ids[v], s->rounds))
            continue;
        pair_seed(s, n->id, n->ids[v], seed);
        if (fm_dp_mask_edge(seed, s->plan.mask_density))
            st = fm_dp_mask_apply(s->lattice.word_bits, n->vector, words, seed,
                                  fm_dp_mask_sign(n->self, v));
    }
    pack(s, n->vector);
    n->vector[0]++; /* so that each round changes the model */
    n->update = fm_update_bytes_digest(n->vector, bytes);
    return st;
}

static fm_status share_vector(scale_node *n)
{
    swarm *s = n->swarm;
    const size_t words = fm_plan_update_words(&s->plan), bytes = fm_plan_update_bytes(&s->plan);
    fm_status st = FM_OK;

    if (!s->vector) {
        if (!(s->vector = calloc(room_of(s), 1)))
            return fm_fail(FM_ENOMEM, "an update");
        st = fm_dp_mask_apply(s->lattice.word_bits, s->vector, words, s->seed, 1);
        pack(s, s->vector);
        s->vector[0]++; /* so that each round changes the model */
        s->update = fm_update_bytes_digest(s->vector, bytes);
    }
    n->update = s->update;
    return st;
}

static fm_status send_update(scale_node *n)
{
    const swarm *s = n->swarm;
    const size_t bytes = fm_plan_update_bytes(&s->plan), most = fm_plan_piece_bytes(&s->plan);
    const uint8_t *vector = s->vector ? s->vector : n->vector;
    fm_message m = { .type = FM_MSG_UPDATE_PIECE };
    uint8_t signature[FM_SIGNATURE_MAX];
    fm_round_view view = view_of(n);
    fm_hash digest;
    fm_status st = FM_OK;

    while (st == FM_OK && n->sent < bytes && n->sent < n->until) {
        size_t len = (n->until < bytes ? (size_t)n->until : bytes) - (size_t)n->sent;

        len = len < most ? len : most;
        m.update_piece = (fm_msg_update_piece){ n->round, n->sent, { vector + n->sent, len } };
        st = say(n, &m);
        n->sent += len;
    }
    if (st != FM_OK || n->sent < bytes || n->told)
        return st;
    n->told = true;
    digest = fm_update_digest(&view, n->self, &n->update);
    m = (fm_message){ .type = FM_MSG_MASKED_UPDATE };
    m.masked_update.round = n->round;
    st = sign(n, FM_LABEL_UPDATE, &digest, signature, &m.masked_update.signature);
    return st == FM_OK ? say(n, &m) : st;
}

static fm_status begin_update(scale_node *n)
{
    swarm *s = n->swarm;
    fm_status st = s->lost > 0 ? make_vector(n) : share_vector(n);

    n->sent = 0;
    n->told = false;
    n->until = FM_FIRST_PIECE_BYTES;
    n->waits = true;
    if (st != FM_OK || ++s->ready < s->count - s->lost)
        return st;
    s->ready = 0;
    s->updating = true;
    s->mark(s, true);
    for (uint32_t i = 0; st == FM_OK && i < s->count; i++)
        if (s->node[i].waits) {
            s->node[i].waits = false;
            st = send_update(&s->node[i]);
        }
    return st;
}

static void end_updates(swarm *s)
{
    if (s->updating)
        s->mark(s, false);
    s->updating = false;
}

/* ---- the model: what is asked for is only counted ---- */

static fm_status want(scale_node *n)
{
    fm_message m = { .type = FM_MSG_MODEL_WANT };

    m.model_want = (fm_msg_model_want){ n->wants, n->at };
    return say(n, &m);
}

static fm_status go_on(scale_node *n)
{
    const fm_msg_type after = n->after;

    n->after = 0;
    if (after == FM_MSG_FINISH) {
        n->finished = true;
        n->swarm->finished++;
    }
    return after == FM_MSG_ROUND_START ? begin_update(n) : FM_OK;
}

static fm_status await_model(scale_node *n, const fm_hash *hash, fm_msg_type after)
{
    fm_status st;

    n->after = after;
    n->wants = *hash;
    n->at = fm_hash_equal(&n->has, hash) ? (uint64_t)n->swarm->plan.parameters * 4 : 0;
    st = want(n);
    return st == FM_OK && n->at > 0 ? go_on(n) : st;
}

static fm_status take_piece(scale_node *n, const fm_msg_model_piece *p)
{
    const uint64_t size = (uint64_t)n->swarm->plan.parameters * 4;
    fm_status st;

    if (!n->after || !fm_hash_equal(&p->model_hash, &n->wants) || p->at != n->at)
        return FM_OK;
    n->at += p->piece.len;
    if ((st = want(n)) != FM_OK || n->at < size)
        return st;
    n->has = n->wants;
    return go_on(n);
}

/* ---- the round ---- */

static void follow(scale_node *n, const fm_transcript_entry *entries, uint32_t count,
                   const fm_hash *head)
{
    n->head = *head;
    if (count > 0)
        n->known = entries[count - 1].round;
}

static fm_status take_start(scale_node *n, const fm_msg_round_start *m)
{
    swarm *s = n->swarm;

    if (n->round == m->round)
        return FM_OK;
    if (s->rounds == 0 || m->round > s->started_ms[0]) { /* [0]: the newest round's number */
        s->started_ms[0] = m->round;
        end_updates(s);
        if (++s->rounds < SCALE_ROUNDS_MAX)
            s->started_ms[s->rounds] = fm_clock_now_ms();
    }
    n->round = m->round;
    n->model = m->model_hash;
    n->participant_count = m->participant_count;
    memcpy(n->participants, m->participants, m->participant_count * sizeof *m->participants);
    follow(n, m->entries, m->entry_count, &m->head);
    if (scale_is_lost(s, n->id, s->rounds)) {
        fm_link_client_free(&n->link); /* and is back at its next turn */
        return FM_OK;
    }
    return await_model(n, &m->model_hash, FM_MSG_ROUND_START);
}

static fm_status take_survivors(scale_node *n, const fm_msg_survivors *m)
{
    fm_message answer = { .type = FM_MSG_COMMIT };
    uint8_t signature[FM_SIGNATURE_MAX];
    fm_round_view view = view_of(n);
    fm_status st;

    n->commit = fm_commit_digest(&view, m->survivors, m->update_hashes, m->count);
    answer.commit.round = n->round;
    /* For the release: who is not in it is lost. */
    n->participant_count = m->count;
    memcpy(n->participants, m->survivors, m->count * sizeof *m->survivors);
    st = sign(n, FM_LABEL_COMMIT, &n->commit, signature, &answer.commit.signature);
    return st == FM_OK ? say(n, &answer) : st;
}

static uint32_t fill_lost(const scale_node *n, uint32_t *lost, uint8_t (*seeds)[FM_SEED_BYTES])
{
    uint32_t count = 0, at = 0;

    for (uint32_t i = 0; i < n->count; i++) {
        if (at < n->participant_count && n->participants[at] == i) {
            at++;
            continue;
        }
        lost[count] = i;
        pair_seed(n->swarm, n->id, n->ids[i], seeds[count++]);
    }
    return count;
}

static fm_status release(scale_node *n)
{
    static uint32_t lost[SCALE_NODES_MAX];
    static uint8_t seeds[SCALE_NODES_MAX][FM_SEED_BYTES];
    static uint8_t surplus[FM_MAX_LEVELS][FM_SEED_BYTES];
    fm_message m = { .type = FM_MSG_RELEASE };
    fm_msg_release *r = &m.release;
    uint8_t signature[FM_SIGNATURE_MAX];
    swarm *s = n->swarm;
    fm_hash mark;
    fm_status st = fm_dp_shares_fit(&s->shares, &s->lattice, n->count);

    if (st != FM_OK)
        return st;
    r->round = n->round;
    memcpy(r->self_seed, s->seed, FM_SEED_BYTES);
    r->lost = lost;
    r->pair_seeds = (const uint8_t(*)[FM_SEED_BYTES])seeds;
    r->lost_count = fill_lost(n, lost, seeds);
    r->surplus_seeds = (const uint8_t(*)[FM_SEED_BYTES])surplus;
    r->surplus_count = fm_dp_shares_surplus(s->shares, n->participant_count);
    fm_random_bytes(surplus, sizeof surplus);
    r->ledger_head = fm_hash_of("a ledger", &n->round, sizeof n->round);
    mark = fm_ledger_mark_digest(s->plan.federation, &s->plan_hash, n->round, &r->ledger_head);
    st = sign(n, FM_LABEL_LEDGER_MARK, &mark, signature, &r->ledger_signature);
    return st == FM_OK ? say(n, &m) : st;
}

static fm_status take(scale_node *n, const fm_message *m)
{
    switch (m->type) {
    case FM_MSG_PLAN_OFFER:
        return take_plan(n, &m->plan_offer);
    case FM_MSG_ROSTER:
        return take_roster(n, &m->roster);
    case FM_MSG_ROUND_START:
        return take_start(n, &m->round_start);
    case FM_MSG_MODEL_PIECE:
        return take_piece(n, &m->model_piece);
    case FM_MSG_UPDATE_WANT:
        n->until = m->update_want.until;
        return m->update_want.round == n->round ? send_update(n) : FM_OK;
    case FM_MSG_SURVIVORS:
        return take_survivors(n, &m->survivors);
    case FM_MSG_COMMITS:
        return release(n);
    case FM_MSG_FINISH:
        end_updates(n->swarm);
        follow(n, m->finish.entries, m->finish.entry_count, &m->finish.head);
        return await_model(n, &m->finish.model_hash, FM_MSG_FINISH);
    default:
        return FM_OK;
    }
}

/* ---- the line ---- */

static fm_status connect_node(scale_node *n)
{
    uint8_t public_key[FM_SESSION_KEY_BYTES];
    fm_dp_keypair *keys = NULL;
    fm_link_client_config c = { .door = n->swarm->door,
                                .door_public = n->swarm->door_public,
                                .identity = n->identity,
                                .trust = n->swarm->trust,
                                .limits = { .connect_ms = 30000, .peer_timeout_ms = 600000 } };
    fm_status st = fm_dp_keypair_new(&keys);

    if (st != FM_OK)
        return st;
    memcpy(public_key, fm_dp_keypair_public(keys), sizeof public_key);
    fm_dp_keypair_free(&keys); /* no pair secrets are needed here */
    c.x25519_public = public_key;
    n->after = 0;
    n->has = (fm_hash){ { 0 } };
    return fm_link_client_connect(&c, &n->link);
}

fm_status scale_node_turn(scale_node *n, int wait_ms)
{
    fm_link_event e = { 0 };
    fm_status st;

    if (n->finished && n->link)
        fm_link_client_free(&n->link);
    if (n->finished)
        return FM_OK;
    if (!n->link && (st = connect_node(n)) != FM_OK)
        return st;
    if ((st = fm_link_client_poll(n->link, wait_ms, &e)) != FM_OK)
        return st;
    if (e.kind == FM_LINK_MESSAGE)
        st = take(n, e.message);
    else if (e.kind == FM_LINK_GONE)
        fm_link_client_free(&n->link);
    fm_message_free(&e.message);
    return st == FM_ENOTFOUND ? FM_OK : st; /* the line broke: it is made anew */
}
