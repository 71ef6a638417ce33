#include "fedmoe/proto/entry.h"

#include <stdlib.h>
#include <string.h>

#define ENTRY_V1 1u

/* ---- writing ---- */

static fm_status put_u32(fm_buf *b, uint32_t v)
{
    uint8_t bytes[4];

    fm_put_u32le(bytes, v);
    return fm_buf_append(b, bytes, sizeof bytes);
}

static fm_status put_u64(fm_buf *b, uint64_t v)
{
    uint8_t bytes[8];

    fm_put_u64le(bytes, v);
    return fm_buf_append(b, bytes, sizeof bytes);
}

static fm_status put_hash(fm_buf *b, const fm_hash *h)
{
    return fm_buf_append(b, h->bytes, FM_HASH_BYTES);
}

fm_status fm_entry_encode_signature(fm_bytes signature, fm_buf *out)
{
    const uint8_t len = (uint8_t)signature.len;
    fm_status st;

    if (!signature.data || signature.len == 0 || signature.len > FM_SIGNATURE_MAX)
        return fm_fail(FM_EINVAL, "entry: a signature of %zu bytes; 1 to %u are allowed",
                       signature.len, FM_SIGNATURE_MAX);
    st = fm_buf_append(out, &len, 1);
    return st == FM_OK ? fm_buf_append(out, signature.data, signature.len) : st;
}

static fm_status put_head(fm_buf *b, const fm_entry *e)
{
    static const uint8_t version = ENTRY_V1;
    fm_status st;

    if ((st = fm_buf_append(b, &version, 1)) != FM_OK || (st = put_u64(b, e->round)) != FM_OK ||
        (st = put_u64(b, (uint64_t)e->finished_s)) != FM_OK ||
        (st = fm_buf_append(b, e->session.bytes, FM_SESSION_BYTES)) != FM_OK ||
        (st = put_hash(b, &e->roster)) != FM_OK || (st = put_hash(b, &e->plan)) != FM_OK ||
        (st = put_hash(b, &e->model_before)) != FM_OK ||
        (st = put_hash(b, &e->head_before)) != FM_OK)
        return st;
    return put_hash(b, &e->model_after);
}

static fm_status put_nodes(fm_buf *b, const fm_entry *e)
{
    fm_status st = put_u32(b, e->participant_count);

    for (uint32_t i = 0; st == FM_OK && i < e->participant_count; i++)
        st = put_u32(b, e->participants[i]);
    if (st == FM_OK)
        st = put_u32(b, e->survivor_count);
    for (uint32_t i = 0; st == FM_OK && i < e->survivor_count; i++) {
        if ((st = put_u32(b, e->survivors[i])) == FM_OK &&
            (st = put_hash(b, &e->updates[i])) == FM_OK &&
            (st = fm_entry_encode_signature(e->update_signatures[i], b)) == FM_OK)
            st = fm_entry_encode_signature(e->commit_signatures[i], b);
    }
    return st;
}

fm_status fm_entry_encode_body(const fm_entry *e, fm_buf *out)
{
    fm_status st;

    if (!e || !out || e->round == 0 || e->finished_s < 0 || e->participant_count == 0 ||
        e->participant_count > FM_MAX_NODES || e->survivor_count == 0 ||
        e->survivor_count > e->participant_count || e->certificate.len == 0 ||
        e->certificate.len > FM_CERT_MAX_BYTES)
        return fm_fail(FM_EINVAL, "entry: a count or length is out of its range");
    if ((st = put_head(out, e)) != FM_OK || (st = put_nodes(out, e)) != FM_OK ||
        (st = put_u32(out, (uint32_t)e->certificate.len)) != FM_OK)
        return st;
    return fm_buf_append(out, e->certificate.data, e->certificate.len);
}

/* ---- reading ---- */

typedef struct {
    const uint8_t *at;
    size_t left;
} cursor;

/* What an entry that was decoded lies in: one block, freed as one. */
typedef struct {
    fm_entry e;
    fm_hash updates[FM_MAX_NODES];
    fm_bytes update_signatures[FM_MAX_NODES], commit_signatures[FM_MAX_NODES];
    uint32_t participants[FM_MAX_NODES], survivors[FM_MAX_NODES];
} room;

static fm_status take(cursor *c, size_t len, const char *field, const uint8_t **out)
{
    if (c->left < len)
        return fm_fail(FM_EPROTO, "%s: cut off", field);
    *out = c->at;
    c->at += len;
    c->left -= len;
    return FM_OK;
}

static fm_status take_u32(cursor *c, const char *field, uint32_t *out)
{
    const uint8_t *p = NULL;
    fm_status st = take(c, 4, field, &p);

    if (st == FM_OK)
        *out = fm_get_u32le(p);
    return st;
}

static fm_status take_hash(cursor *c, const char *field, fm_hash *out)
{
    const uint8_t *p = NULL;
    fm_status st = take(c, FM_HASH_BYTES, field, &p);

    if (st == FM_OK)
        memcpy(out->bytes, p, FM_HASH_BYTES);
    return st;
}

static fm_status take_signature(cursor *c, const char *field, fm_bytes *out)
{
    const uint8_t *p = NULL;
    fm_status st = take(c, 1, field, &p);

    if (st != FM_OK)
        return st;
    out->len = *p;
    if (out->len == 0 || out->len > FM_SIGNATURE_MAX)
        return fm_fail(FM_EPROTO, "%s: a signature of %zu bytes; 1 to %u are allowed", field,
                       out->len, FM_SIGNATURE_MAX);
    return take(c, out->len, field, &out->data);
}

static fm_status take_head(cursor *c, fm_entry *e)
{
    const uint8_t *p = NULL;
    uint64_t finished;
    fm_status st;

    if ((st = take(c, 1 + 8 + 8, "version, round and time", &p)) != FM_OK)
        return st;
    if (p[0] != ENTRY_V1)
        return fm_fail(FM_EPROTO, "version: %u, not %u", p[0], ENTRY_V1);
    e->round = fm_get_u64le(p + 1);
    finished = fm_get_u64le(p + 9);
    if (e->round == 0 || e->round > INT64_MAX)
        return fm_fail(FM_EPROTO, "round: out of its range");
    if (finished > INT64_MAX)
        return fm_fail(FM_EPROTO, "time: out of its range");
    e->finished_s = (int64_t)finished;
    if ((st = take(c, FM_SESSION_BYTES, "session", &p)) != FM_OK)
        return st;
    memcpy(e->session.bytes, p, FM_SESSION_BYTES);
    if ((st = take_hash(c, "roster", &e->roster)) != FM_OK ||
        (st = take_hash(c, "plan", &e->plan)) != FM_OK ||
        (st = take_hash(c, "model before", &e->model_before)) != FM_OK ||
        (st = take_hash(c, "head before", &e->head_before)) != FM_OK)
        return st;
    return take_hash(c, "model after", &e->model_after);
}

static fm_status take_participants(cursor *c, room *r)
{
    fm_entry *e = &r->e;
    fm_status st = take_u32(c, "participants", &e->participant_count);

    if (st == FM_OK && (e->participant_count == 0 || e->participant_count > FM_MAX_NODES))
        st = fm_fail(FM_EPROTO, "participants: %u of them; 1 to %u are allowed",
                     e->participant_count, FM_MAX_NODES);
    for (uint32_t i = 0; st == FM_OK && i < e->participant_count; i++) {
        st = take_u32(c, "participants", &r->participants[i]);
        if (st == FM_OK && (r->participants[i] >= FM_MAX_NODES ||
                            (i > 0 && r->participants[i] <= r->participants[i - 1])))
            st = fm_fail(FM_EPROTO, "participants: not in order, or no place of a roster");
    }
    e->participants = r->participants;
    return st;
}

/* `*next` runs along the participants: both lists are in order. */
static fm_status take_survivor(cursor *c, room *r, uint32_t i, uint32_t *next)
{
    fm_status st = take_u32(c, "survivors", &r->survivors[i]);

    if (st != FM_OK)
        return st;
    while (*next < r->e.participant_count && r->participants[*next] < r->survivors[i])
        (*next)++;
    if (*next == r->e.participant_count || r->participants[*next] != r->survivors[i])
        return fm_fail(FM_EPROTO, "survivors: not in order, or not among the participants");
    (*next)++;
    if ((st = take_hash(c, "update hash", &r->updates[i])) != FM_OK ||
        (st = take_signature(c, "update signature", &r->update_signatures[i])) != FM_OK)
        return st;
    return take_signature(c, "commit signature", &r->commit_signatures[i]);
}

static fm_status take_survivors(cursor *c, room *r)
{
    fm_entry *e = &r->e;
    uint32_t next = 0;
    fm_status st = take_u32(c, "survivors", &e->survivor_count);

    if (st == FM_OK && (e->survivor_count == 0 || e->survivor_count > e->participant_count))
        st = fm_fail(FM_EPROTO, "survivors: %u of %u participants", e->survivor_count,
                     e->participant_count);
    for (uint32_t i = 0; st == FM_OK && i < e->survivor_count; i++)
        st = take_survivor(c, r, i, &next);
    e->survivors = r->survivors;
    e->updates = r->updates;
    e->update_signatures = r->update_signatures;
    e->commit_signatures = r->commit_signatures;
    return st;
}

static fm_status take_aggregator(cursor *c, fm_entry *e)
{
    uint32_t len = 0;
    fm_status st = take_u32(c, "aggregator's certificate", &len);

    if (st == FM_OK && (len == 0 || len > FM_CERT_MAX_BYTES))
        st = fm_fail(FM_EPROTO, "aggregator's certificate: %u bytes; 1 to %u are allowed", len,
                     FM_CERT_MAX_BYTES);
    if (st == FM_OK)
        st = take(c, len, "aggregator's certificate", &e->certificate.data);
    e->certificate.len = len;
    if (st == FM_OK)
        st = take_signature(c, "aggregator's signature", &e->signature);
    if (st == FM_OK && c->left > 0)
        st = fm_fail(FM_EPROTO, "%zu bytes behind the aggregator's signature", c->left);
    return st;
}

fm_status fm_entry_decode(const uint8_t *data, size_t len, fm_entry **out)
{
    cursor c = { data, len };
    void *p = NULL;
    room *r;
    fm_status st;

    if (!data || !out)
        return fm_fail(FM_EINVAL, "entry: NULL argument");
    if ((st = fm_alloc(1, sizeof *r, &p)) != FM_OK)
        return st;
    r = p;
    if ((st = take_head(&c, &r->e)) == FM_OK && (st = take_participants(&c, r)) == FM_OK &&
        (st = take_survivors(&c, r)) == FM_OK && (st = take_aggregator(&c, &r->e)) == FM_OK)
        *out = &r->e;
    else
        free(r);
    return st;
}

/* ---- what it stands for ---- */

fm_round_view fm_entry_view(const char *federation, const fm_entry *e)
{
    return (fm_round_view){
        .federation = federation,
        .session = e->session,
        .roster = e->roster,
        .plan = e->plan,
        .model = e->model_before,
        .head = e->head_before,
        .round = e->round,
        .participants = e->participants,
        .participant_count = e->participant_count,
    };
}

fm_transcript_entry fm_entry_transcript(const char *federation, const fm_entry *e)
{
    const fm_round_view view = fm_entry_view(federation, e);

    return (fm_transcript_entry){
        .round = e->round,
        .commit_digest = fm_commit_digest(&view, e->survivors, e->updates, e->survivor_count),
        .model_after = e->model_after,
    };
}

fm_hash fm_entry_digest(const char *federation, const fm_hash *head_after, const uint8_t *body,
                        size_t body_len)
{
    fm_hasher h;

    fm_hasher_begin(&h, FM_LABEL_ENTRY);
    fm_hasher_add_part(&h, federation, strlen(federation));
    fm_hasher_add(&h, head_after->bytes, FM_HASH_BYTES);
    fm_hasher_add_part(&h, body, body_len);
    return fm_hasher_end(&h);
}

size_t fm_entry_body_len(const fm_entry *e, size_t len)
{
    return len - 1 - e->signature.len;
}
