/*
 * The entry of a finished round: everything that a third party needs to recompute the commit digest
 * and the transcript head, with the signatures of the survivors and of the aggregator. The bytes
 * stand in docs/protocol.md, section 15.
 *
 *   version u8 = 1 | round u64 | finished i64 | session[16] | roster[32] | plan[32]
 *   | model before[32] | head before[32] | model after[32]
 *   | u32 count, count * u32 (participants)
 *   | u32 count, count * (u32 index | update hash[32] | u8 len, update signature
 *                         | u8 len, commit signature) (survivors)
 *   | u32 len, certificate of the aggregator | u8 len, signature of the aggregator
 */
#ifndef FEDMOE_PROTO_ENTRY_H
#define FEDMOE_PROTO_ENTRY_H

#include "fedmoe/proto/digest.h"

#define FM_LABEL_ENTRY "fedmoe entry v1"
/** More than the longest entry: 1024 participants and survivors with the longest signatures. */
#define FM_MAX_ENTRY_BYTES (1u << 18)

/** Everything borrowed, from the caller or from the entry's owner. */
typedef struct {
    uint64_t round;
    int64_t finished_s; /* by the aggregator's clock, seconds since 1970 */
    fm_session session;
    fm_hash roster, plan, model_before, head_before, model_after;
    const uint32_t *participants; /* roster indices, strictly increasing */
    uint32_t participant_count;   /* 1..FM_MAX_NODES */
    const uint32_t *survivors;    /* likewise, each of them a participant */
    const fm_hash *updates;       /* [survivor_count], and the two below */
    const fm_bytes *update_signatures, *commit_signatures;
    uint32_t survivor_count; /* 1..participant_count */
    fm_bytes certificate;    /* of the aggregator, DER */
    fm_bytes signature;      /* of the aggregator, over fm_entry_digest */
} fm_entry;

/** Append all but the signature: what fm_entry_digest covers. FM_EINVAL past a limit; FM_ENOMEM. */
FM_NODISCARD fm_status fm_entry_encode_body(const fm_entry *e, fm_buf *out);
/** Append the signature behind the body. FM_EINVAL; FM_ENOMEM. */
FM_NODISCARD fm_status fm_entry_encode_signature(fm_bytes signature, fm_buf *out);
/**
 * Exactly one entry, in the only encoding that it has.
 * @param out  owned by the caller: free(). It borrows from `data`.
 * @return FM_OK; FM_EPROTO naming the field; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_entry_decode(const uint8_t *data, size_t len, fm_entry **out);

fm_round_view fm_entry_view(const char *federation, const fm_entry *e);
/** What the chain holds of it: the commit digest is recomputed. */
fm_transcript_entry fm_entry_transcript(const char *federation, const fm_entry *e);
/** H("fedmoe entry v1"; part(federation) | head after the round | part(body)). */
fm_hash fm_entry_digest(const char *federation, const fm_hash *head_after, const uint8_t *body,
                        size_t body_len);
/** Bytes of the body of an entry that was decoded from `len` bytes. */
size_t fm_entry_body_len(const fm_entry *e, size_t len);

#endif
