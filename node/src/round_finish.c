/* Finish: the result, signed by the aggregator, on the transcript that this node knows. */
#include "round_internal.h"

fm_status fm_node_take_finish(fm_node_round *m, const fm_msg_finish *msg)
{
    fm_hash digest = fm_finish_digest(m->federation, msg);
    const fm_node_ports *ports = &m->c.ports;
    fm_node_transcript known = { 0 };
    const uint8_t *model = NULL;
    fm_status st;

    if ((st = fm_peer_check_signature(m->c.aggregator, FM_LABEL_FINISH, digest.bytes, FM_HASH_BYTES,
                                      msg->signature.data, msg->signature.len)) != FM_OK ||
        (st = fm_node_transcript_check(m, msg->entries, msg->entry_count, &msg->head, &known)) !=
            FM_OK ||
        (st = fm_node_model_check(m, msg->model, &msg->model_hash, &model)) != FM_OK)
        return st;

    fm_node_round_close(m);
    if ((st = fm_node_model_hold(m, model, &msg->model_hash)) != FM_OK ||
        (st = fm_node_transcript_record(m, &known)) != FM_OK)
        return st;
    m->phase = FM_NODE_FINISHED;
    fm_node_progress(m, msg->rounds, "finished");
    if (ports->finished)
        ports->finished(ports->ctx, m->model, 4u * (size_t)m->plan.parameters, msg->rounds);
    return FM_OK;
}
