/* The model on its way here, in pieces (docs/protocol.md, "Pieces"). */
#include "round_internal.h"

#include <stdlib.h>
#include <string.h>

static size_t size_of(const fm_node_round *m)
{
    return (size_t)m->plan.parameters * 4;
}

bool fm_node_model_is_held(const fm_node_round *m, const fm_hash *hash)
{
    return m->model.held && fm_hash_equal(&m->model.hash, hash);
}

void fm_node_model_fini(fm_node_model *model)
{
    fm_hasher_free(&model->hasher);
    free(model->bytes);
    *model = (fm_node_model){ 0 };
}

fm_status fm_node_model_fetch(fm_node_round *m, const fm_hash *hash)
{
    fm_node_model *model = &m->model;
    void *p = NULL;
    fm_status st;

    if (model->coming && fm_hash_equal(&model->hash, hash))
        return FM_OK;
    fm_hasher_free(&model->hasher);
    model->held = model->coming = false;
    if (!model->bytes) {
        if ((st = fm_alloc_whole(m->plan.parameters, 4, &p)) != FM_OK)
            return st;
        model->bytes = p;
    }
    if ((st = fm_model_digest_begin(size_of(m), &model->hasher)) != FM_OK)
        return st;
    model->hash = *hash;
    model->coming = true;
    model->at = 0;
    return fm_node_send_model_want(m, 0);
}

/* ---- when it has come ---- */

static bool all_finite(const uint8_t *model, size_t parameters)
{
    for (size_t i = 0; i < parameters; i++)
        if ((fm_get_u32le(model + 4 * i) & 0x7f800000u) == 0x7f800000u) /* IEEE 754: exponent */
            return false;
    return true;
}

static fm_status check(fm_node_round *m)
{
    fm_hash digest = fm_hasher_end(m->model.hasher);

    if (!fm_hash_equal(&digest, &m->model.hash))
        return fm_fail(FM_EPROTO, "its model is not the one that it names by hash");
    if (!all_finite(m->model.bytes, m->plan.parameters))
        return fm_fail(FM_ENONFINITE, "its model holds a weight that is not a finite number");
    return FM_OK;
}

/* Nothing of it is of use, nor is the round that waits for it. */
static fm_status refuse(fm_node_round *m, fm_status st)
{
    m->model.coming = false;
    fm_hasher_free(&m->model.hasher);
    if (m->phase != FM_NODE_WAIT_MODEL)
        return st;
    if (m->pending.what == FM_MSG_ROUND_START)
        return fm_node_round_give_up(m, m->open.number, st);
    m->phase = FM_NODE_WAIT_START;
    return st;
}

static fm_status arrive(fm_node_round *m)
{
    fm_status st = check(m);

    if (st != FM_OK)
        return refuse(m, st);
    fm_hasher_free(&m->model.hasher);
    m->model.coming = false;
    m->model.held = true;
    if (m->phase == FM_NODE_WAIT_MODEL && m->pending.what == FM_MSG_FINISH)
        return fm_node_end(m);
    if ((st = fm_node_send_model_want(m, size_of(m))) != FM_OK)
        return st;
    return m->phase == FM_NODE_WAIT_MODEL ? fm_node_begin_round(m) : FM_OK;
}

fm_status fm_node_take_model_piece(fm_node_round *m, const fm_msg_model_piece *msg)
{
    fm_node_model *model = &m->model;
    const size_t size = size_of(m);

    if (!model->coming || !fm_hash_equal(&model->hash, &msg->model_hash))
        return FM_OK; /* asked for before another model was named */
    if (msg->at != model->at || msg->piece.len > size - model->at)
        return refuse(m, fm_fail(FM_EPROTO,
                                 "it is %zu bytes at byte %llu of the model; byte %llu of %zu is "
                                 "next",
                                 msg->piece.len, (unsigned long long)msg->at,
                                 (unsigned long long)model->at, size));
    memcpy(model->bytes + model->at, msg->piece.data, msg->piece.len);
    fm_hasher_add(model->hasher, msg->piece.data, msg->piece.len);
    model->at += msg->piece.len;
    return model->at < size ? fm_node_send_model_want(m, model->at) : arrive(m);
}
