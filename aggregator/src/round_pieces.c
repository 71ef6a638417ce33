/* What is long, in pieces: models on their way out, updates on their way in. */
#include <string.h>

#include "round_internal.h"

/* ---- a model, to a node ---- */

/* What the newest RoundStart or Finish has named; NULL: there was none. */
static const uint8_t *model_of(const fm_coordinator *m, const fm_hash **hash)
{
    const bool finished = m->phase == FM_COORD_FINISHED;

    *hash = finished ? &m->result_hash : &m->model;
    return (const uint8_t *)(finished ? m->result : m->c.optimizer->weights);
}

/* As far as the window goes from what the node has. */
static fm_status serve(fm_coordinator *m, member *who, const uint8_t *model, uint64_t has)
{
    const uint64_t size = m->c.optimizer->n * sizeof(float);
    const uint64_t window = fm_plan_window_bytes(m->c.plan);
    const uint64_t until = size - has > window ? has + window : size;
    const uint64_t most = fm_plan_piece_bytes(m->c.plan);
    fm_message msg = { .type = FM_MSG_MODEL_PIECE };
    fm_status st = FM_OK;

    msg.model_piece.model_hash = who->served;
    while (st == FM_OK && who->served_to < until) {
        const uint64_t n = until - who->served_to;

        msg.model_piece.at = who->served_to;
        msg.model_piece.piece = (fm_bytes){ model + who->served_to, (size_t)(n < most ? n : most) };
        st = fm_coord_send(m, who, &msg);
        who->served_to += msg.model_piece.piece.len;
    }
    return st;
}

fm_status fm_coord_take_model_want(fm_coordinator *m, member *who, const fm_msg_model_want *w)
{
    const uint64_t size = m->c.optimizer->n * sizeof(float);
    const fm_hash *hash;
    const uint8_t *model = model_of(m, &hash);

    if (!who->ready && !who->exhausted) {
        fm_coord_offend(m, who, "it wants a model before it has approved the plan");
        return FM_OK;
    }
    if (!model || !fm_hash_equal(hash, &w->model_hash))
        return FM_OK; /* it crossed the message that names a newer one */
    if (!fm_hash_equal(&who->served, hash) || w->at == 0) {
        who->served = *hash;
        who->served_to = 0;
    }
    if (w->at == size) {
        if (m->phase == FM_COORD_FINISHED && m->c.ports.has_result)
            m->c.ports.has_result(m->c.ports.ctx, who->peer);
        return FM_OK;
    }
    if (w->at > who->served_to) {
        fm_coord_offend(m, who, "it says to have %llu bytes of the model; %llu were sent",
                        (unsigned long long)w->at, (unsigned long long)who->served_to);
        return FM_OK;
    }
    return serve(m, who, model, w->at);
}

/* ---- an update, from a node ---- */

static size_t size_of(const fm_coordinator *m)
{
    return fm_plan_update_bytes(m->c.plan);
}

void fm_coord_drop_pieces(fm_coordinator *m, uint32_t index)
{
    slot *s = &m->slots[index];

    fm_hasher_free(&s->hasher);
    if (s->at > 0 && !s->updated)
        m->c.ports.drop_pieces(m->c.ports.ctx, index);
    s->at = 0;
}

/* Whether the piece goes on where the last one ended, within what was asked for. */
static bool piece_fits(fm_coordinator *m, member *who, const slot *s, const fm_msg_update_piece *u)
{
    const uint64_t size = size_of(m);
    const uint64_t until = s->until ? s->until : FM_FIRST_PIECE_BYTES;

    if (u->at != s->at)
        fm_coord_offend(m, who, "a piece at byte %llu of its update; byte %llu is next",
                        (unsigned long long)u->at, (unsigned long long)s->at);
    else if (u->piece.len > size - s->at)
        fm_coord_offend(m, who, "its update has more than %llu bytes", (unsigned long long)size);
    else if (u->piece.len > until - s->at)
        fm_coord_offend(m, who, "it sends more of its update than was asked for");
    else
        return true;
    return false;
}

/* More, before it has nothing to send. */
static fm_status ask_on(fm_coordinator *m, const member *who, slot *s)
{
    const uint64_t size = size_of(m), window = fm_plan_window_bytes(m->c.plan);
    const uint64_t until = size - s->at > window ? s->at + window : size;
    fm_message msg = { .type = FM_MSG_UPDATE_WANT };

    if (s->until == size || (s->until > s->at + window / 2 && until < size))
        return FM_OK;
    s->until = until;
    msg.update_want = (fm_msg_update_want){ m->round, until };
    return fm_coord_send(m, who, &msg);
}

fm_status fm_coord_take_update_piece(fm_coordinator *m, member *who, const fm_msg_update_piece *u)
{
    slot *s = fm_coord_slot(m, who, u->round, FM_MSG_UPDATE_PIECE);
    const fm_coordinator_ports *ports = &m->c.ports;
    fm_status st = FM_OK;

    if (!s)
        return FM_OK;
    if (s->updated) {
        fm_coord_offend(m, who, "a piece after its update for round %llu",
                        (unsigned long long)u->round);
        return FM_OK;
    }
    if (m->phase != FM_COORD_WAIT_UPDATES || !piece_fits(m, who, s, u))
        return FM_OK; /* late: left out; or dropped for it */
    if (!s->hasher)
        st = fm_update_bytes_digest_begin(size_of(m), &s->hasher);
    if (st != FM_OK ||
        (st = ports->put_piece(ports->ctx, who->index, size_of(m), u->at, u->piece)) != FM_OK)
        return st;
    fm_hasher_add(s->hasher, u->piece.data, u->piece.len);
    s->at += u->piece.len;
    return s->at < size_of(m) ? ask_on(m, who, s) : FM_OK;
}

bool fm_coord_keep_signature(uint8_t to[FM_SIGNATURE_MAX], size_t *len, fm_bytes from)
{
    if (from.len > FM_SIGNATURE_MAX)
        return false;
    memcpy(to, from.data, from.len);
    *len = from.len;
    return true;
}

/* All of it, signed by the member, for this very round; s->update is its hash then. */
static bool update_counts(fm_coordinator *m, member *who, slot *s, const fm_msg_masked_update *u)
{
    const fm_round_view view = fm_coord_view(m);
    fm_hash digest;

    if (s->updated) {
        fm_coord_offend(m, who, "a second update for round %llu", (unsigned long long)u->round);
        return false;
    }
    if (m->phase != FM_COORD_WAIT_UPDATES)
        return false; /* late: left out */
    if (s->at != size_of(m)) {
        fm_coord_offend(m, who, "its update has %llu bytes, not %zu", (unsigned long long)s->at,
                        size_of(m));
        return false;
    }
    s->update = fm_hasher_end(s->hasher);
    fm_hasher_free(&s->hasher);
    digest = fm_update_digest(&view, who->index, &s->update);
    if (fm_peer_check_signature(who->certificate, FM_LABEL_UPDATE, digest.bytes, FM_HASH_BYTES,
                                u->signature.data, u->signature.len) == FM_OK &&
        fm_coord_keep_signature(s->update_signature, &s->update_signature_len, u->signature))
        return true;
    fm_coord_offend(m, who, "the signature of its update is wrong");
    return false;
}

/* Nothing of an update is in the sum before all of it is here: whoever is lost has left no trace. */
static fm_status add(fm_coordinator *m, uint32_t index)
{
    const size_t size = size_of(m);
    const fm_coordinator_ports *ports = &m->c.ports;
    fm_status st = FM_OK;

    for (size_t at = 0; st == FM_OK && at < size; at += FM_COORD_BLOCK) {
        const size_t n = size - at < FM_COORD_BLOCK ? size - at : FM_COORD_BLOCK;

        if ((st = ports->get_piece(ports->ctx, index, at, m->block, n)) == FM_OK &&
            (st = fm_replay_round_add(m->sums, index, at, m->block, n)) == FM_OK &&
            ports->keep_update)
            st = ports->keep_update(ports->ctx, index, size, at, (fm_bytes){ m->block, n });
    }
    return st;
}

fm_status fm_coord_take_update(fm_coordinator *m, member *who, const fm_msg_masked_update *u)
{
    slot *s = fm_coord_slot(m, who, u->round, FM_MSG_MASKED_UPDATE);
    fm_status st;

    if (!s || !update_counts(m, who, s, u))
        return FM_OK;
    if ((st = add(m, who->index)) != FM_OK)
        return st;
    fm_coord_drop_pieces(m, who->index);
    s->updated = true;
    who->known_round = m->c.last_round; /* it followed the transcript to send this */
    return FM_OK;
}
