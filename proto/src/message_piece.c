/* Models and updates in pieces (docs/protocol.md, "Pieces"). */
#include "codec_internal.h"

/* What both pieces share: a place, and bytes that end within a vector. */
static fm_status check_piece(const fm_codec *c, uint64_t at, fm_bytes piece)
{
    fm_status st;

    if ((st = fm_codec_check_place(c, "at", at)) != FM_OK ||
        (st = fm_codec_check_bytes(c, "piece", piece, 1, FM_MAX_PIECE_BYTES)) != FM_OK)
        return st;
    return fm_codec_check_place(c, "piece", at + piece.len);
}

/* ---- ModelWant ---- */

static fm_status model_want_check(const fm_codec *c, const fm_message *m)
{
    return fm_codec_check_place(c, "at", m->model_want.at);
}

static fm_status model_want_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->model_want, &p);

    if (st != FM_OK)
        return st;
    w->model_want = p;
    fedmoe__v1__model_want__init(w->model_want);
    w->model_want->model_hash = fm_codec_put_bytes(m->model_want.model_hash.bytes, FM_HASH_BYTES);
    w->model_want->at = m->model_want.at;
    return FM_OK;
}

static fm_status model_want_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    m->model_want.at = w->model_want->at;
    return fm_codec_get_hash(c, "model_hash", w->model_want->model_hash, &m->model_want.model_hash);
}

/* ---- ModelPiece ---- */

static fm_status model_piece_check(const fm_codec *c, const fm_message *m)
{
    return check_piece(c, m->model_piece.at, m->model_piece.piece);
}

static fm_status model_piece_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    const fm_msg_model_piece *from = &m->model_piece;
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->model_piece, &p);

    if (st != FM_OK)
        return st;
    w->model_piece = p;
    fedmoe__v1__model_piece__init(w->model_piece);
    w->model_piece->model_hash = fm_codec_put_bytes(from->model_hash.bytes, FM_HASH_BYTES);
    w->model_piece->at = from->at;
    w->model_piece->piece = fm_codec_put_bytes(from->piece.data, from->piece.len);
    return FM_OK;
}

static fm_status model_piece_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    m->model_piece.at = w->model_piece->at;
    m->model_piece.piece = fm_codec_get_bytes(w->model_piece->piece);
    return fm_codec_get_hash(c, "model_hash", w->model_piece->model_hash,
                             &m->model_piece.model_hash);
}

/* ---- UpdatePiece ---- */

static fm_status update_piece_check(const fm_codec *c, const fm_message *m)
{
    fm_status st = fm_codec_check_round(c, m->update_piece.round);

    return st == FM_OK ? check_piece(c, m->update_piece.at, m->update_piece.piece) : st;
}

static fm_status update_piece_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    const fm_msg_update_piece *from = &m->update_piece;
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->update_piece, &p);

    if (st != FM_OK)
        return st;
    w->update_piece = p;
    fedmoe__v1__update_piece__init(w->update_piece);
    w->update_piece->round = from->round;
    w->update_piece->at = from->at;
    w->update_piece->piece = fm_codec_put_bytes(from->piece.data, from->piece.len);
    return FM_OK;
}

static fm_status update_piece_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    (void)c;
    m->update_piece.round = w->update_piece->round;
    m->update_piece.at = w->update_piece->at;
    m->update_piece.piece = fm_codec_get_bytes(w->update_piece->piece);
    return FM_OK;
}

/* ---- UpdateWant ---- */

static fm_status update_want_check(const fm_codec *c, const fm_message *m)
{
    fm_status st = fm_codec_check_round(c, m->update_want.round);

    return st == FM_OK ? fm_codec_check_place(c, "until", m->update_want.until) : st;
}

static fm_status update_want_put(const fm_codec *c, const fm_message *m, fm_wire *w)
{
    void *p;
    fm_status st = fm_codec_take(c, 1, sizeof *w->update_want, &p);

    if (st != FM_OK)
        return st;
    w->update_want = p;
    fedmoe__v1__update_want__init(w->update_want);
    w->update_want->round = m->update_want.round;
    w->update_want->until = m->update_want.until;
    return FM_OK;
}

static fm_status update_want_get(const fm_codec *c, const fm_wire *w, fm_message *m)
{
    (void)c;
    m->update_want.round = w->update_want->round;
    m->update_want.until = w->update_want->until;
    return FM_OK;
}

const fm_codec_message fm_codec_piece[] = {
    { "ModelWant", FEDMOE__V1__ENVELOPE__BODY_MODEL_WANT, model_want_check, model_want_put,
      model_want_get },
    { "ModelPiece", FEDMOE__V1__ENVELOPE__BODY_MODEL_PIECE, model_piece_check, model_piece_put,
      model_piece_get },
    { "UpdatePiece", FEDMOE__V1__ENVELOPE__BODY_UPDATE_PIECE, update_piece_check, update_piece_put,
      update_piece_get },
    { "UpdateWant", FEDMOE__V1__ENVELOPE__BODY_UPDATE_WANT, update_want_check, update_want_put,
      update_want_get },
};
