/* The transcript and the model: what RoundStart and Finish have in common. */
#include "round_internal.h"

#include <string.h>

/** A round that this node released stands in the transcript as it was released. */
static fm_status check_released(const fm_node_round *m, const fm_transcript_entry *e)
{
    const fm_node_ports *ports = &m->c.ports;
    bool found = m->released && e->round == m->released;
    fm_hash digest = m->released_commit;
    fm_status st = FM_OK;

    if (!found && ports->released_commit)
        st = ports->released_commit(ports->ctx, e->round, &found, &digest);
    if (st != FM_OK || !found || fm_hash_equal(&e->commit_digest, &digest))
        return st;
    return fm_fail(FM_EPROTO,
                   "its transcript holds another round %llu than the one that this node released",
                   (unsigned long long)e->round);
}

fm_status fm_node_transcript_check(const fm_node_round *m, const fm_transcript_entry *entries,
                                   uint32_t count, const fm_hash *head, fm_node_transcript *out)
{
    const fm_node_transcript *known = &m->transcript;
    fm_status st = fm_transcript_follow(known->round, &known->head, entries, count, head);

    if (st != FM_OK)
        return fm_fail(st,
                       "its transcript does not continue the one that this node knows up to round "
                       "%llu (rolled back, or another history)",
                       (unsigned long long)known->round);
    for (uint32_t i = 0; i < count; i++)
        if ((st = check_released(m, &entries[i])) != FM_OK)
            return st;
    *out = *known;
    /* Entries that are known already may be told again; nothing is learnt from them. */
    if (count && entries[count - 1].round > known->round) {
        out->round = entries[count - 1].round;
        out->head = *head;
        out->model = entries[count - 1].model_after;
        out->model_known = true;
    }
    return FM_OK;
}

fm_status fm_node_transcript_record(fm_node_round *m, const fm_node_transcript *t)
{
    fm_status st = FM_OK;

    if (t->round != m->transcript.round)
        st = m->c.ports.record_head(m->c.ports.ctx, t->round, &t->head);
    if (st == FM_OK)
        m->transcript = *t;
    return st;
}

static bool all_finite(const uint8_t *model, size_t parameters)
{
    for (size_t i = 0; i < parameters; i++)
        if ((fm_get_u32le(model + 4 * i) & 0x7f800000u) == 0x7f800000u) /* IEEE 754: exponent */
            return false;
    return true;
}

fm_status fm_node_model_check(const fm_node_round *m, fm_bytes given, const fm_hash *hash,
                              const uint8_t **out)
{
    fm_hash digest;

    if (given.len == 0) {
        if (!m->model || !fm_hash_equal(&m->model_hash, hash))
            return fm_fail(FM_EPROTO, "it comes without a model, and this node does not hold the "
                                      "one that it names");
        *out = m->model;
        return FM_OK;
    }
    if (given.len != 4u * (size_t)m->plan.parameters)
        return fm_fail(FM_EPROTO, "its model has %zu bytes; %u parameters are 4 times as many",
                       given.len, m->plan.parameters);
    digest = fm_model_digest(given.data, given.len);
    if (!fm_hash_equal(&digest, hash))
        return fm_fail(FM_EPROTO, "its model is not the one that it names by hash");
    if (!all_finite(given.data, m->plan.parameters))
        return fm_fail(FM_ENONFINITE, "its model holds a weight that is not a finite number");
    *out = given.data;
    return FM_OK;
}

fm_status fm_node_model_hold(fm_node_round *m, const uint8_t *model, const fm_hash *hash)
{
    void *p = NULL;
    fm_status st;

    if (model == m->model)
        return FM_OK;
    if (!m->model) {
        if ((st = fm_alloc(m->plan.parameters, 4, &p)) != FM_OK)
            return st;
        m->model = p;
    }
    memcpy(m->model, model, 4u * (size_t)m->plan.parameters);
    m->model_hash = *hash;
    return FM_OK;
}
