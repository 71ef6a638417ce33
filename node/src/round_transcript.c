/* The transcript: what RoundStart and Finish have in common. */
#include "round_internal.h"

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

fm_status fm_node_transcript_note(const fm_node_round *m, const fm_transcript_entry *entries,
                                  uint32_t count)
{
    const fm_node_ports *ports = &m->c.ports;

    if (!count || !ports->note_abandoned)
        return FM_OK;
    return ports->note_abandoned(ports->ctx, m->transcript.round, entries, count);
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
