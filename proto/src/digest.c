#include "fedmoe/proto/digest.h"

#include <string.h>

#include "digest_internal.h"

/*
 * Byte by byte in docs/protocol.md, "Digests": texts and variable bytes as parts (u64le length,
 * bytes), hashes and sessions raw (their length is fixed), numbers u64le.
 */

#define LABEL_MODEL "fedmoe model v1"

static void add_text(fm_hasher *h, const char *s)
{
    fm_hasher_add_part(h, s, strlen(s));
}

static void add_hash(fm_hasher *h, const fm_hash *v)
{
    fm_hasher_add(h, v->bytes, FM_HASH_BYTES);
}

static void add_indices(fm_hasher *h, const uint32_t *p, uint32_t count)
{
    fm_hasher_add_u64(h, count);
    for (uint32_t i = 0; i < count; i++)
        fm_hasher_add_u64(h, p[i]);
}

static void add_path(fm_hasher *h, uint32_t place, const fm_credential *c)
{
    fm_hasher_add_u64(h, place);
    fm_hasher_add_u64(h, c->intermediate_count);
    for (size_t i = 0; i < c->intermediate_count; i++)
        fm_hasher_add_part(h, c->intermediates[i], c->intermediate_len[i]);
}

fm_hash fm_welcome_digest(const char *federation, const uint8_t client[FM_SESSION_KEY_BYTES],
                          const uint8_t door[FM_SESSION_KEY_BYTES])
{
    fm_hasher h;

    fm_hasher_begin(&h, FM_LABEL_WELCOME);
    fm_hasher_add(&h, client, FM_SESSION_KEY_BYTES);
    fm_hasher_add(&h, door, FM_SESSION_KEY_BYTES);
    add_text(&h, federation);
    return fm_hasher_end(&h);
}

fm_hash fm_roster_digest(const fm_msg_roster *r)
{
    fm_hasher h;

    fm_hasher_begin(&h, "fedmoe roster v1");
    fm_hasher_add(&h, r->session.bytes, FM_SESSION_BYTES);
    fm_hasher_add_u64(&h, r->count);
    for (uint32_t i = 0; i < r->count; i++) {
        const fm_credential *c = &r->members[i];

        fm_hasher_add_part(&h, c->cert, c->cert_len);
        fm_hasher_add_part(&h, c->statement, c->statement_len);
        fm_hasher_add_part(&h, c->signature, c->signature_len);
    }
    /* Behind them, each with its place: where nobody has any, there is nothing. */
    for (uint32_t i = 0; i < r->count; i++)
        if (r->members[i].intermediate_count > 0)
            add_path(&h, i, &r->members[i]);
    return fm_hasher_end(&h);
}

fm_hash fm_model_digest(const void *bytes, size_t len)
{
    return fm_hash_of(LABEL_MODEL, bytes, len);
}

static fm_status begin(const char *label, size_t len, fm_hasher **out)
{
    fm_status st = fm_hasher_new(label, out);

    if (st == FM_OK)
        fm_hasher_add_u64(*out, len);
    return st;
}

fm_status fm_model_digest_begin(size_t len, fm_hasher **out)
{
    return begin(LABEL_MODEL, len, out);
}

fm_status fm_update_bytes_digest_begin(size_t len, fm_hasher **out)
{
    return begin(FM_LABEL_UPDATE, len, out);
}

fm_hash fm_participants_digest(const uint32_t *p, uint32_t count)
{
    fm_hasher h;

    fm_hasher_begin(&h, "fedmoe participants v1");
    add_indices(&h, p, count);
    return fm_hasher_end(&h);
}

fm_hash fm_update_bytes_digest(const void *bytes, size_t len)
{
    return fm_hash_of(FM_LABEL_UPDATE, bytes, len);
}

fm_hash fm_round_start_digest(const char *federation, const fm_msg_round_start *m)
{
    fm_hash participants = fm_participants_digest(m->participants, m->participant_count);
    fm_hasher h;

    fm_hasher_begin(&h, FM_LABEL_ROUND_START);
    add_text(&h, federation);
    fm_hasher_add_u64(&h, m->round);
    fm_hasher_add(&h, m->session.bytes, FM_SESSION_BYTES);
    add_hash(&h, &m->roster_hash);
    add_hash(&h, &m->plan_hash);
    add_hash(&h, &m->model_hash);
    add_hash(&h, &participants);
    add_hash(&h, &m->head);
    return fm_hasher_end(&h);
}

void fm_digest_add_view(fm_hasher *h, const fm_round_view *r)
{
    fm_hash participants = fm_participants_digest(r->participants, r->participant_count);

    add_text(h, r->federation);
    fm_hasher_add_u64(h, r->round);
    fm_hasher_add(h, r->session.bytes, FM_SESSION_BYTES);
    add_hash(h, &r->roster);
    add_hash(h, &r->plan);
    add_hash(h, &r->model);
    add_hash(h, &participants);
    add_hash(h, &r->head);
}

fm_hash fm_update_digest(const fm_round_view *r, uint32_t node, const fm_hash *update)
{
    fm_hasher h;

    /* Not FM_LABEL_UPDATE: that one is taken by the hash of the masked bytes themselves. */
    fm_hasher_begin(&h, "fedmoe update digest v1");
    fm_digest_add_view(&h, r);
    fm_hasher_add_u64(&h, node);
    add_hash(&h, update);
    return fm_hasher_end(&h);
}

fm_hash fm_commit_digest(const fm_round_view *r, const uint32_t *survivors, const fm_hash *updates,
                         uint32_t survivor_count)
{
    fm_hasher h;

    fm_hasher_begin(&h, FM_LABEL_COMMIT);
    fm_digest_add_view(&h, r);
    add_indices(&h, survivors, survivor_count);
    for (uint32_t i = 0; i < survivor_count; i++)
        add_hash(&h, &updates[i]);
    return fm_hasher_end(&h);
}

fm_hash fm_finish_digest(const char *federation, const fm_msg_finish *m)
{
    fm_hasher h;

    fm_hasher_begin(&h, FM_LABEL_FINISH);
    add_text(&h, federation);
    fm_hasher_add_u64(&h, m->rounds);
    add_hash(&h, &m->model_hash);
    add_hash(&h, &m->head);
    return fm_hasher_end(&h);
}

fm_hash fm_ledger_mark_digest(const char *federation, const fm_hash *plan, uint64_t round,
                              const fm_hash *ledger_head)
{
    fm_hasher h;

    fm_hasher_begin(&h, FM_LABEL_LEDGER_MARK);
    add_text(&h, federation);
    add_hash(&h, plan);
    fm_hasher_add_u64(&h, round);
    add_hash(&h, ledger_head);
    return fm_hasher_end(&h);
}

fm_hash fm_transcript_next(const fm_hash *head, const fm_transcript_entry *e)
{
    fm_hasher h;

    fm_hasher_begin(&h, "fedmoe transcript v1");
    add_hash(&h, head);
    fm_hasher_add_u64(&h, e->round);
    add_hash(&h, &e->commit_digest);
    add_hash(&h, &e->model_after);
    return fm_hasher_end(&h);
}

fm_status fm_transcript_follow(uint64_t round, const fm_hash *head,
                               const fm_transcript_entry *entries, uint32_t count,
                               const fm_hash *want)
{
    fm_hash at = *head;
    uint64_t last = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].round <= last)
            return fm_fail(FM_EPROTO, "transcript: round %llu does not come after round %llu",
                           (unsigned long long)entries[i].round, (unsigned long long)last);
        last = entries[i].round;
        if (last > round)
            at = fm_transcript_next(&at, &entries[i]);
    }
    if (!fm_hash_equal(&at, want))
        return fm_fail(FM_EPROTO, "transcript: %u entries do not lead to the head that is claimed",
                       count);
    return FM_OK;
}
