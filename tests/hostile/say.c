/* Messages out of what a node is told; signatures are made of exactly that. */
#include <string.h>

#include "hostile.h"

static const char *federation(const hostile *h)
{
    return h->run.config.plan.federation;
}

void say_message(hostile *h, unsigned to, const fm_message *m)
{
    const uint64_t peer = h->parties[to].peer;
    fm_status st = peer ? fm_link_server_send(h->run.link, peer, m) : FM_OK;

    need(st == FM_OK || st == FM_ENOTFOUND, fm_msg_name(m->type));
}

static void sign(const fm_identity *by, const char *label, const fm_hash *digest,
                 uint8_t out[FM_SIGNATURE_MAX], fm_bytes *view)
{
    size_t len = 0;

    need(fm_identity_sign(by, label, digest->bytes, FM_HASH_BYTES, out, &len) == FM_OK,
         "a signature");
    *view = (fm_bytes){ out, len };
}

fm_round_view view_of(const telling *t, const char *name)
{
    return (fm_round_view){ .federation = name,
                            .session = t->session,
                            .roster = t->roster,
                            .plan = t->plan,
                            .model = t->model_hash,
                            .head = t->head,
                            .round = t->round,
                            .participants = t->participants,
                            .participant_count = t->participant_count };
}

void say_roster(hostile *h, unsigned to, telling *t)
{
    fm_message m = { .type = FM_MSG_ROSTER };

    m.roster = (fm_msg_roster){ t->session, t->members, t->member_count };
    t->roster = h->parties[to].told = fm_roster_digest(&m.roster);
    say_message(h, to, &m);
}

void say_start(hostile *h, unsigned to, telling *t)
{
    fm_message m = { .type = FM_MSG_ROUND_START };
    fm_msg_round_start *s = &m.round_start;
    uint8_t signature[FM_SIGNATURE_MAX];
    fm_hash digest;

    *s = (fm_msg_round_start){
        .round = t->round,
        .session = t->session,
        .roster_hash = t->roster,
        .plan_hash = t->plan,
        .model_hash = t->model_hash,
        .participants = t->participants,
        .participant_count = t->participant_count,
        .head = t->head,
        .entries = t->entries,
        .entry_count = t->entry_count,
    };
    digest = fm_round_start_digest(federation(h), s);
    sign(t->signer, FM_LABEL_ROUND_START, &digest, signature, &s->signature);
    say_message(h, to, &m);
    if (to != 0)
        return;
    fm_buf_clear(&h->last_start);
    need(fm_message_encode(&m, &h->last_start) == FM_OK, "an encoding");
}

/* What the node was told that it is; else it can only be the result. */
void say_model(hostile *h, unsigned to, const fm_hash *hash)
{
    const telling *t = &h->told[to];
    const fm_buf *model = fm_hash_equal(hash, &t->model_hash) ? &t->model : &h->model;
    fm_message m = { .type = FM_MSG_MODEL_PIECE };

    m.model_piece.model_hash = *hash;
    for (size_t at = 0; at < model->len; at += m.model_piece.piece.len) {
        const size_t n = model->len - at;

        m.model_piece.at = at;
        m.model_piece.piece =
            (fm_bytes){ model->data + at, n < FM_MAX_PIECE_BYTES ? n : FM_MAX_PIECE_BYTES };
        say_message(h, to, &m);
    }
}

/* A colluder's update: nobody can tell it from another. */
static void collude_update(const hostile *h, telling *t, uint32_t i)
{
    const party *p = &h->parties[t->who[t->survivors[i]]];
    fm_round_view view = view_of(t, federation(h));
    fm_hash digest;

    t->update_hashes[i] = fm_update_bytes_digest(p->name, strlen(p->name));
    digest = fm_update_digest(&view, t->survivors[i], &t->update_hashes[i]);
    sign(p->borrowed, FM_LABEL_UPDATE, &digest, t->signatures[i], &t->signature_views[i]);
}

static void give(telling *t, uint32_t i, const uint8_t *signature, size_t len)
{
    memcpy(t->signatures[i], signature, len);
    /* One that never came: any bytes, for the node must be asked. */
    t->signature_views[i] = (fm_bytes){ t->signatures[i], len ? len : 64 };
}

void fill_updates(hostile *h, telling *t)
{
    for (uint32_t i = 0; i < t->survivor_count; i++) {
        const party *p = &h->parties[t->who[t->survivors[i]]];

        if (p->borrowed) {
            collude_update(h, t, i);
            continue;
        }
        t->update_hashes[i] = p->update;
        give(t, i, p->update_signature, p->update_signature_len);
    }
}

void fill_survivors(hostile *h, telling *t)
{
    t->survivor_count = 0;
    for (uint32_t i = 0; i < t->participant_count; i++) {
        const party *p = &h->parties[t->who[t->participants[i]]];

        if (p->borrowed || p->updated)
            t->survivors[t->survivor_count++] = t->participants[i];
    }
    fill_updates(h, t);
}

void say_survivors(hostile *h, unsigned to, telling *t)
{
    fm_message m = { .type = FM_MSG_SURVIVORS };

    if (t->survivor_count == 0)
        return; /* no message says that */
    m.survivors = (fm_msg_survivors){ t->round, t->survivors, t->update_hashes, t->signature_views,
                                      t->survivor_count };
    say_message(h, to, &m);
}

/* Honest commits as they came, whatever they sign; a colluder's is over what this node was told. */
void fill_commits(hostile *h, telling *t)
{
    fm_round_view view = view_of(t, federation(h));
    fm_hash digest = fm_commit_digest(&view, t->survivors, t->update_hashes, t->survivor_count);

    for (uint32_t i = 0; i < t->survivor_count; i++) {
        const party *p = &h->parties[t->who[t->survivors[i]]];

        if (p->borrowed)
            sign(p->borrowed, FM_LABEL_COMMIT, &digest, t->signatures[i], &t->signature_views[i]);
        else
            give(t, i, p->commit_signature, p->committed ? p->commit_signature_len : 0);
    }
}

void say_commits(hostile *h, unsigned to, telling *t)
{
    fm_message m = { .type = FM_MSG_COMMITS };

    if (t->survivor_count == 0)
        return;
    m.commits = (fm_msg_commits){ t->round, t->signature_views, t->survivor_count };
    say_message(h, to, &m);
}

void say_finish(hostile *h, unsigned to)
{
    fm_message m = { .type = FM_MSG_FINISH };
    uint8_t signature[FM_SIGNATURE_MAX];
    fm_hash digest;

    m.finish = (fm_msg_finish){ .rounds = h->finished,
                                .model_hash = fm_model_digest(h->model.data, h->model.len),
                                .head = h->head,
                                .entries = h->entries,
                                .entry_count = h->finished };
    digest = fm_finish_digest(federation(h), &m.finish);
    sign(h->run.identity, FM_LABEL_FINISH, &digest, signature, &m.finish.signature);
    say_message(h, to, &m);
}
