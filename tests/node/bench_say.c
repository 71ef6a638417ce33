/* The aggregator's messages, as the honest one would say them. */
#include <string.h>

#include "bench.h"

static void sign(const fm_identity *by, const char *label, const fm_hash *digest,
                 uint8_t out[FM_SIGNATURE_MAX], fm_bytes *view)
{
    size_t len = 0;

    need(fm_identity_sign(by, label, digest->bytes, FM_HASH_BYTES, out, &len) == FM_OK,
         "a signature");
    *view = (fm_bytes){ out, len };
}

void say_plan(bench *b, bench_message *o)
{
    o->m = (fm_message){ .type = FM_MSG_PLAN_OFFER };
    o->m.plan_offer.plan = (fm_bytes){ b->plan_bytes.data, b->plan_bytes.len };
}

void say_roster(bench *b, bench_message *o)
{
    o->m = (fm_message){ .type = FM_MSG_ROSTER };
    for (unsigned i = 0; i < NODES; i++)
        o->members[i] = b->node[i].credential;
    o->m.roster = (fm_msg_roster){ b->session, o->members, NODES };
    b->roster = fm_roster_digest(&o->m.roster);
}

void sign_start(bench_message *o, const fm_identity *by)
{
    fm_hash digest = fm_round_start_digest(FEDERATION, &o->m.round_start);

    sign(by, FM_LABEL_ROUND_START, &digest, o->own, &o->m.round_start.signature);
}

void say_start(bench *b, bench_message *o)
{
    fm_msg_round_start *s = &o->m.round_start;

    o->m = (fm_message){ .type = FM_MSG_ROUND_START };
    memcpy(o->indices, b->participants, sizeof b->participants);
    memcpy(o->model, b->model, sizeof b->model);
    memcpy(o->entries, b->entries, sizeof b->entries);
    s->round = b->round;
    s->session = b->session;
    s->roster_hash = b->roster;
    s->plan_hash = b->plan_hash;
    s->model_hash = b->model_hash;
    s->participants = o->indices;
    s->participant_count = b->participant_count;
    s->head = b->head;
    s->entries = o->entries;
    s->entry_count = b->entry_count;
    sign_start(o, the_world()->aggregator);
}

fm_round_view bench_view(const bench *b)
{
    return (fm_round_view){ .federation = FEDERATION,
                            .session = b->session,
                            .roster = b->roster,
                            .plan = b->plan_hash,
                            .model = b->model_hash,
                            .head = b->head,
                            .round = b->round,
                            .participants = b->participants,
                            .participant_count = b->participant_count };
}

/** Hash and signature of node i's last update; zeros when it sent none. */
static void update_of(const bench *b, unsigned i, fm_hash *hash, uint8_t *signature, fm_bytes *view)
{
    const fm_message *m = b->node[i].ports.sent[FM_MSG_MASKED_UPDATE];

    memset(signature, 0, FM_SIGNATURE_MAX);
    *hash = (fm_hash){ 0 };
    *view = (fm_bytes){ signature, 64 };
    if (!m)
        return;
    *hash = fm_update_bytes_digest(b->node[i].ports.update, sizeof b->node[i].ports.update);
    memcpy(signature, m->masked_update.signature.data, m->masked_update.signature.len);
    view->len = m->masked_update.signature.len;
}

void say_survivors(bench *b, bench_message *o)
{
    o->m = (fm_message){ .type = FM_MSG_SURVIVORS };
    for (uint32_t i = 0; i < b->survivor_count; i++) {
        o->indices[i] = b->survivors[i];
        update_of(b, b->survivors[i], &o->hashes[i], o->signatures[i], &o->views[i]);
    }
    o->m.survivors =
        (fm_msg_survivors){ b->round, o->indices, o->hashes, o->views, b->survivor_count };
}

fm_hash bench_commit_digest(const bench *b)
{
    fm_round_view view = bench_view(b);
    uint8_t signature[FM_SIGNATURE_MAX];
    fm_hash hashes[NODES];
    fm_bytes ignored;

    for (uint32_t i = 0; i < b->survivor_count; i++)
        update_of(b, b->survivors[i], &hashes[i], signature, &ignored);
    return fm_commit_digest(&view, b->survivors, hashes, b->survivor_count);
}

void say_commits(bench *b, bench_message *o)
{
    o->m = (fm_message){ .type = FM_MSG_COMMITS };
    for (uint32_t i = 0; i < b->survivor_count; i++) {
        const fm_message *c = b->node[b->survivors[i]].ports.sent[FM_MSG_COMMIT];

        o->views[i] = (fm_bytes){ o->signatures[i], 64 };
        if (!c)
            continue;
        memcpy(o->signatures[i], c->commit.signature.data, c->commit.signature.len);
        o->views[i].len = c->commit.signature.len;
    }
    o->m.commits = (fm_msg_commits){ b->round, o->views, b->survivor_count };
}

void say_abandon(bench *b, bench_message *o)
{
    o->m = (fm_message){ .type = FM_MSG_ABANDON };
    o->m.abandon.round = b->round;
    fm_reason_set(o->m.abandon.reason, "a node was lost");
}

void sign_finish(bench_message *o, const fm_identity *by)
{
    fm_hash digest = fm_finish_digest(FEDERATION, &o->m.finish);

    sign(by, FM_LABEL_FINISH, &digest, o->own, &o->m.finish.signature);
}

void say_finish(bench *b, bench_message *o)
{
    o->m = (fm_message){ .type = FM_MSG_FINISH };
    memcpy(o->model, b->model, sizeof b->model);
    memcpy(o->entries, b->entries, sizeof b->entries);
    o->m.finish = (fm_msg_finish){ .rounds = b->entry_count,
                                   .model_hash = b->model_hash,
                                   .head = b->head,
                                   .entries = o->entries,
                                   .entry_count = b->entry_count };
    sign_finish(o, the_world()->aggregator);
}

void say_piece(bench *b, bench_message *o)
{
    o->m = (fm_message){ .type = FM_MSG_MODEL_PIECE };
    memcpy(o->model, b->model, sizeof b->model);
    o->m.model_piece = (fm_msg_model_piece){ b->model_hash, 0, { o->model, sizeof b->model } };
}

void say(bench *b, fm_msg_type what, bench_message *o)
{
    switch (what) {
    case FM_MSG_PLAN_OFFER:
        say_plan(b, o);
        break;
    case FM_MSG_ROSTER:
        say_roster(b, o);
        break;
    case FM_MSG_ROUND_START:
        say_start(b, o);
        break;
    case FM_MSG_SURVIVORS:
        say_survivors(b, o);
        break;
    case FM_MSG_COMMITS:
        say_commits(b, o);
        break;
    case FM_MSG_ABANDON:
        say_abandon(b, o);
        break;
    case FM_MSG_FINISH:
        say_finish(b, o);
        break;
    case FM_MSG_MODEL_PIECE:
        say_piece(b, o);
        break;
    default: /* nothing that an aggregator says: an empty one of that type */
        o->m = (fm_message){ .type = what };
        break;
    }
}
