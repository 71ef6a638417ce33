/*
 * What the signatures of a round cover, and the transcript chain. Each digest is a labelled
 * BLAKE2b-256 over length-prefixed fields (base/hash.h); the signature is over the 32 bytes under
 * the label given here.
 */
#ifndef FEDMOE_PROTO_DIGEST_H
#define FEDMOE_PROTO_DIGEST_H

#include "fedmoe/proto/message.h"

#define FM_LABEL_WELCOME "fedmoe welcome v1"
#define FM_LABEL_ROUND_START "fedmoe round start v1"
#define FM_LABEL_UPDATE "fedmoe update v1"
#define FM_LABEL_COMMIT "fedmoe commit v1"
#define FM_LABEL_FINISH "fedmoe finish v1"
#define FM_LABEL_LEDGER_MARK "fedmoe ledger mark v1"

/** What Welcome proves: this aggregator, at this door, to this connection.
 *  @param client,door  the CURVE public keys of both ends. */
fm_hash fm_welcome_digest(const char *federation, const uint8_t client[FM_SESSION_KEY_BYTES],
                          const uint8_t door[FM_SESSION_KEY_BYTES]);
/** Of the session and every member's certificate, statement and signature, in order. */
fm_hash fm_roster_digest(const fm_msg_roster *r);
/** The two digests below, of `len` bytes that are still to come: add them, in any pieces, then end.
 *  *out is the caller's (fm_hasher_free). */
FM_NODISCARD fm_status fm_model_digest_begin(size_t len, fm_hasher **out);
FM_NODISCARD fm_status fm_update_bytes_digest_begin(size_t len, fm_hasher **out);
/** Of flat float32 little-endian bytes, label "fedmoe model v1". */
fm_hash fm_model_digest(const void *bytes, size_t len);
/** Of strictly increasing roster indices, label "fedmoe participants v1". */
fm_hash fm_participants_digest(const uint32_t *p, uint32_t count);
/** Of masked words, label "fedmoe update v1"; equals dp's fm_dp_release_hash. */
fm_hash fm_update_bytes_digest(const void *bytes, size_t len);

/** Everything but the signature, the entries and the model's bytes (its hash is in). */
fm_hash fm_round_start_digest(const char *federation, const fm_msg_round_start *m);

/** The round as both sides see it; what updates and commits are about. */
typedef struct {
    const char *federation;
    fm_session session;
    fm_hash roster, plan, model;
    fm_hash head; /* transcript head before the round */
    uint64_t round;
    const uint32_t *participants;
    uint32_t participant_count;
} fm_round_view;

fm_hash fm_update_digest(const fm_round_view *r, uint32_t node, const fm_hash *update);
/** Survivors and the hashes of their updates, same order. */
fm_hash fm_commit_digest(const fm_round_view *r, const uint32_t *survivors, const fm_hash *updates,
                         uint32_t survivor_count);
fm_hash fm_finish_digest(const char *federation, const fm_msg_finish *m);

/** Where the ledger of a node ended when it released this round. */
fm_hash fm_ledger_mark_digest(const char *federation, const fm_hash *plan, uint64_t round,
                              const fm_hash *ledger_head);

/** head' = H("fedmoe transcript v1", head, round, commit digest, model after). */
fm_hash fm_transcript_next(const fm_hash *head, const fm_transcript_entry *e);
/**
 * Follow `entries` from (round, head); entries no newer than `round` are passed over (the sender
 * may not know how far the receiver is). FM_EPROTO unless rounds strictly grow and the result
 * equals `want`; with nothing to follow, head itself must equal want.
 */
FM_NODISCARD fm_status fm_transcript_follow(uint64_t round, const fm_hash *head,
                                            const fm_transcript_entry *entries, uint32_t count,
                                            const fm_hash *want);

#endif
