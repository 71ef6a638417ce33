/*
 * Everything that this node says in a session is made here, and nowhere else. What depends on
 * records enters only as an fm_dp_release, or as the seeds that such a release discloses.
 */
#include "round_internal.h"

#include <string.h>

#include <sodium.h>

_Static_assert(FM_DP_LEVELS_MAX <= FM_MAX_LEVELS, "every release fits into its message");

static fm_status send(fm_node_round *m, const fm_message *msg)
{
    return m->c.ports.send(m->c.ports.ctx, msg);
}

fm_status fm_node_send_join(fm_node_round *m, uint64_t finished_round, const fm_hash *head)
{
    fm_message msg = { .type = FM_MSG_JOIN };

    msg.join.finished_round = finished_round;
    msg.join.head = *head;
    return send(m, &msg);
}

fm_status fm_node_send_plan_answer(fm_node_round *m, const fm_hash *plan, const char *why)
{
    fm_message msg = { .type = FM_MSG_PLAN_ANSWER };

    msg.plan_answer.plan_hash = *plan;
    msg.plan_answer.approved = why == NULL;
    if (why)
        fm_reason_set(msg.plan_answer.reason, why);
    return send(m, &msg);
}

fm_status fm_node_send_roster_answer(fm_node_round *m, const fm_hash *roster)
{
    fm_message msg = { .type = FM_MSG_ROSTER_ANSWER };

    msg.roster_answer.roster_hash = *roster;
    return send(m, &msg);
}

/* For what was sent in pieces. */
static fm_status sign_update(fm_node_round *m)
{
    fm_message msg = { .type = FM_MSG_MASKED_UPDATE };
    fm_round_view view = fm_node_round_view(m);
    fm_hash digest = fm_update_digest(&view, m->roster.self, &m->open.update);
    uint8_t signature[FM_SIGNATURE_MAX];
    size_t len = 0;
    fm_status st;

    if ((st = fm_identity_sign(m->c.identity, FM_LABEL_UPDATE, digest.bytes, FM_HASH_BYTES,
                               signature, &len)) != FM_OK)
        return st;
    msg.masked_update.round = m->open.number;
    msg.masked_update.signature = (fm_bytes){ signature, len };
    return send(m, &msg);
}

fm_status fm_node_send_update(fm_node_round *m)
{
    const size_t piece = fm_plan_piece_bytes(&m->plan);
    fm_node_open_round *o = &m->open;
    const uint8_t *bytes = NULL;
    size_t len = 0;
    fm_status st = FM_OK;

    fm_dp_release_bytes(o->release, &bytes, &len);
    if (o->sent == 0 && m->c.ports.note_sent) /* of what may have left there is a line */
        st = m->c.ports.note_sent(m->c.ports.ctx, o->number, &o->update, len);
    while (st == FM_OK && o->sent < len && o->sent < o->until) {
        fm_message msg = { .type = FM_MSG_UPDATE_PIECE };
        size_t n = (o->until < len ? (size_t)o->until : len) - (size_t)o->sent;

        n = n < piece ? n : piece;
        msg.update_piece = (fm_msg_update_piece){ o->number, o->sent, { bytes + o->sent, n } };
        if ((st = send(m, &msg)) == FM_OK)
            o->sent += n;
    }
    if (st != FM_OK || o->sent < len || o->told)
        return st;
    if ((st = sign_update(m)) == FM_OK) {
        o->told = true;
        fm_node_progress(m, o->number, "update sent");
    }
    return st;
}

fm_status fm_node_send_model_want(fm_node_round *m, uint64_t at)
{
    fm_message msg = { .type = FM_MSG_MODEL_WANT };

    msg.model_want = (fm_msg_model_want){ m->model.hash, at };
    return send(m, &msg);
}

fm_status fm_node_send_commit(fm_node_round *m)
{
    fm_message msg = { .type = FM_MSG_COMMIT };
    uint8_t signature[FM_SIGNATURE_MAX];
    size_t len = 0;
    fm_status st;

    if ((st = fm_identity_sign(m->c.identity, FM_LABEL_COMMIT, m->open.commit.bytes, FM_HASH_BYTES,
                               signature, &len)) != FM_OK)
        return st;
    msg.commit.round = m->open.number;
    msg.commit.signature = (fm_bytes){ signature, len };
    return send(m, &msg);
}

fm_status fm_node_send_release(fm_node_round *m, const fm_dp_unmask *unmask,
                               const fm_hash *ledger_head)
{
    fm_message msg = { .type = FM_MSG_RELEASE };
    fm_hash mark = fm_ledger_mark_digest(m->federation, &m->plan_hash, m->open.number, ledger_head);
    uint8_t signature[FM_SIGNATURE_MAX];
    size_t len = 0;
    fm_status st;

    if ((st = fm_identity_sign(m->c.identity, FM_LABEL_LEDGER_MARK, mark.bytes, FM_HASH_BYTES,
                               signature, &len)) != FM_OK)
        return st;
    msg.release.ledger_head = *ledger_head;
    msg.release.ledger_signature = (fm_bytes){ signature, len };
    msg.release.round = m->open.number;
    memcpy(msg.release.self_seed, unmask->self_seed, FM_SEED_BYTES);
    msg.release.lost = unmask->lost;
    msg.release.pair_seeds = unmask->pair_seeds;
    msg.release.lost_count = unmask->lost_count;
    msg.release.surplus_seeds = unmask->surplus_seeds;
    msg.release.surplus_count = unmask->surplus_count;
    st = send(m, &msg);
    sodium_memzero(&msg, sizeof msg);
    return st;
}

fm_status fm_node_send_abandon(fm_node_round *m, uint64_t round, const char *why, bool final)
{
    fm_message msg = { .type = FM_MSG_ABANDON };

    msg.abandon.round = round;
    msg.abandon.final = final;
    fm_reason_set(msg.abandon.reason, why);
    return send(m, &msg);
}
