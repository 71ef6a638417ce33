/* Finish: the result, signed by the aggregator, on the transcript that this node knows. */
#include "round_internal.h"

fm_status fm_node_take_finish(fm_node_round *m, const fm_msg_finish *msg)
{
    fm_hash digest = fm_finish_digest(m->federation, msg);
    fm_node_transcript known = { 0 };
    fm_status st;

    if ((st = fm_peer_check_signature(m->c.aggregator, FM_LABEL_FINISH, digest.bytes, FM_HASH_BYTES,
                                      msg->signature.data, msg->signature.len)) != FM_OK ||
        (st = fm_node_transcript_check(m, msg->entries, msg->entry_count, &msg->head, &known)) !=
            FM_OK)
        return st;

    fm_node_round_close(m);
    if ((st = fm_node_transcript_note(m, msg->entries, msg->entry_count)) != FM_OK)
        return st;
    m->pending = (fm_node_pending){ FM_MSG_FINISH, known, msg->rounds };
    m->phase = FM_NODE_WAIT_MODEL;
    if (fm_node_model_is_held(m, &msg->model_hash))
        return fm_node_end(m);
    return fm_node_model_fetch(m, &msg->model_hash);
}

fm_status fm_node_end(fm_node_round *m)
{
    const fm_node_ports *ports = &m->c.ports;
    const size_t size = (size_t)m->plan.parameters * 4;
    fm_status st;

    if ((st = fm_node_transcript_record(m, &m->pending.known)) != FM_OK)
        return st;
    m->phase = FM_NODE_FINISHED;
    fm_node_progress(m, m->pending.rounds, "finished");
    if (ports->finished)
        st = ports->finished(ports->ctx, m->model.bytes, size, m->pending.rounds);
    /* Said only now: the aggregator waits for it before it leaves. */
    return st == FM_OK ? fm_node_send_model_want(m, size) : FM_OK;
}
