/* What the coordinator gives away for those who were not there: checked, and told to the keeper. */
#include <stdlib.h>

#include "federation.h"
#include "fedmoe/proto/entry.h"

/* The record leads to the same entry, follows the head, and is signed. */
void fed_check_record(const federation *f, const fm_transcript_entry *e, fm_bytes bytes)
{
    const fm_hash head = fm_transcript_next(&f->head, e);
    fm_entry *entry = NULL;
    fm_transcript_entry again;
    fm_peer *hub = NULL;
    fm_hash digest;

    CU_ASSERT_EQUAL_FATAL(fm_entry_decode(bytes.data, bytes.len, &entry), FM_OK);
    again = fm_entry_transcript("heart", entry);
    CU_ASSERT_EQUAL(again.round, e->round);
    CU_ASSERT(fm_hash_equal(&again.commit_digest, &e->commit_digest));
    CU_ASSERT(fm_hash_equal(&again.model_after, &e->model_after));
    CU_ASSERT(fm_hash_equal(&entry->head_before, &f->head));
    CU_ASSERT(fm_hash_equal(&entry->roster, &f->roster));
    digest = fm_entry_digest("heart", &head, bytes.data, fm_entry_body_len(entry, bytes.len));
    if (!f->trusting) {
        need(fm_peer_verify(fed_trust, entry->certificate.data, entry->certificate.len,
                            FM_ROLE_AGGREGATOR, f->now_s, &hub) == FM_OK,
             "hub's certificate");
        CU_ASSERT_EQUAL(fm_peer_check_signature(hub, FM_LABEL_ENTRY, digest.bytes, FM_HASH_BYTES,
                                                entry->signature.data, entry->signature.len),
                        FM_OK);
    }
    fm_peer_free(&hub);
    free(entry);
}

fm_status fed_keep_roster(void *ctx, const fm_msg_roster *r)
{
    federation *f = ctx;

    f->roster = fm_roster_digest(r);
    if (f->keeper)
        f->keeper->roster(f->keeper->ctx, r);
    return FM_OK;
}

fm_status fed_keep_update(void *ctx, uint32_t index, size_t size, uint64_t at, fm_bytes piece)
{
    federation *f = ctx;

    need(at == 0 && piece.len == size, "an update that is one block");
    if (f->keeper)
        f->keeper->update(f->keeper->ctx, f->last_given, index, piece);
    return FM_OK;
}

fm_status fed_keep_release(void *ctx, uint32_t index, const fm_msg_release *r)
{
    federation *f = ctx;

    if (f->keeper)
        f->keeper->release(f->keeper->ctx, index, r);
    return FM_OK;
}
