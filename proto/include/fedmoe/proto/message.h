/*
 * Messages as plain structs, and their codec (protobuf-c within). The codec checks every length,
 * count and order that can be checked without keys; who may say what when is the round's affair.
 */
#ifndef FEDMOE_PROTO_MESSAGE_H
#define FEDMOE_PROTO_MESSAGE_H

#include <stdbool.h>

#include "fedmoe/base/hash.h"
#include "fedmoe/base/memory.h"
#include "fedmoe/certs/enrol.h"
#include "fedmoe/certs/statement.h"
#include "fedmoe/certs/succession.h"
#include "fedmoe/proto/limits.h"

typedef enum {
    FM_MSG_HELLO = 1,
    FM_MSG_WELCOME,
    FM_MSG_REFUSAL,
    FM_MSG_JOIN,
    FM_MSG_PLAN_OFFER,
    FM_MSG_PLAN_ANSWER,
    FM_MSG_ROSTER,
    FM_MSG_ROSTER_ANSWER,
    FM_MSG_ROUND_START,
    FM_MSG_MASKED_UPDATE,
    FM_MSG_SURVIVORS,
    FM_MSG_COMMIT,
    FM_MSG_COMMITS,
    FM_MSG_RELEASE,
    FM_MSG_ABANDON,
    FM_MSG_FINISH,
    FM_MSG_PING,
    FM_MSG_ENROL,
    FM_MSG_ENROLLED,
    FM_MSG_REVOCATIONS,
    FM_MSG_RENEW,
    FM_MSG_MODEL_WANT,
    FM_MSG_MODEL_PIECE,
    FM_MSG_UPDATE_PIECE,
    FM_MSG_UPDATE_WANT,
} fm_msg_type;
#define FM_MSG_LAST FM_MSG_UPDATE_WANT

const char *fm_msg_name(fm_msg_type t); /* "RoundStart" */
bool fm_msg_is_of_door(fm_msg_type t);  /* else it belongs to a session */

/** Bytes borrowed from the message's owner (or, when encoding, from the caller). */
typedef struct {
    const uint8_t *data;
    size_t len;
} fm_bytes;

typedef struct {
    fm_bytes data; /* 1..FM_SIGNATURE_MAX */
} fm_signature_view;

typedef struct {
    uint64_t round;
    fm_hash commit_digest;
    fm_hash model_after;
} fm_transcript_entry;

typedef struct {
    uint8_t bytes[FM_SESSION_BYTES];
} fm_session;

/** A CA's successor: fedmoe/certs/succession.h. */
typedef struct {
    fm_bytes authority; /* 1..FM_SUCCESSOR_MAX_BYTES; empty: there is none */
    fm_bytes signature;
} fm_successor;

typedef struct {
    uint32_t version;
    fm_credential credential;
} fm_msg_hello;
typedef struct {
    uint32_t version;
    fm_credential credential;
    fm_bytes proof; /* a signature: 1..FM_SIGNATURE_MAX */
} fm_msg_welcome;
typedef struct {
    char reason[FM_MAX_REASON_BYTES + 1]; /* UTF-8 without control characters */
} fm_msg_refusal;
typedef struct {
    uint64_t finished_round;
    fm_hash head;
} fm_msg_join;
/** What a node signed of its ledger when it released a round: where the chain of entries ended. */
typedef struct {
    uint64_t round; /* 0: no mark, and nothing else is set */
    fm_hash head;
    fm_bytes signature;
} fm_ledger_mark;
typedef struct {
    fm_bytes plan; /* 1..FM_MAX_PLAN_BYTES */
    fm_ledger_mark mark;
} fm_msg_plan_offer;
typedef struct {
    fm_hash plan_hash;
    bool approved;
    char reason[FM_MAX_REASON_BYTES + 1];
} fm_msg_plan_answer;
typedef struct {
    fm_session session;
    const fm_credential *members; /* [count] */
    uint32_t count;               /* 1..FM_MAX_NODES */
} fm_msg_roster;
typedef struct {
    fm_hash roster_hash;
} fm_msg_roster_answer;
typedef struct {
    uint64_t round; /* >= 1 */
    fm_session session;
    fm_hash roster_hash, plan_hash, model_hash;
    const uint32_t *participants; /* strictly increasing, each < FM_MAX_NODES */
    uint32_t participant_count;   /* 1..FM_MAX_NODES */
    fm_hash head;
    const fm_transcript_entry *entries; /* rounds strictly increasing */
    uint32_t entry_count;
    fm_bytes signature;
} fm_msg_round_start;
typedef struct {
    fm_hash model_hash;
    uint64_t at; /* at most 4 * FM_MAX_PARAMETERS, as every place below */
} fm_msg_model_want;
typedef struct {
    fm_hash model_hash;
    uint64_t at;
    fm_bytes piece; /* 1..FM_MAX_PIECE_BYTES */
} fm_msg_model_piece;
typedef struct {
    uint64_t round;
    uint64_t at;
    fm_bytes piece; /* 1..FM_MAX_PIECE_BYTES */
} fm_msg_update_piece;
typedef struct {
    uint64_t round;
    uint64_t until;
} fm_msg_update_want;
typedef struct {
    uint64_t round;
    fm_bytes signature;
} fm_msg_masked_update;
typedef struct {
    uint64_t round;
    const uint32_t *survivors; /* strictly increasing */
    const fm_hash *update_hashes;
    const fm_bytes *update_signatures;
    uint32_t count; /* 1..FM_MAX_NODES, the same for all three */
} fm_msg_survivors;
typedef struct {
    uint64_t round;
    fm_bytes signature;
} fm_msg_commit;
typedef struct {
    uint64_t round;
    const fm_bytes *signatures;
    uint32_t count;
} fm_msg_commits;
typedef struct {
    uint64_t round;
    uint8_t self_seed[FM_SEED_BYTES];
    const uint32_t *lost; /* strictly increasing */
    const uint8_t (*pair_seeds)[FM_SEED_BYTES];
    uint32_t lost_count; /* 0..FM_MAX_NODES */
    const uint8_t (*surplus_seeds)[FM_SEED_BYTES];
    uint32_t surplus_count; /* 0..FM_MAX_LEVELS */
    fm_hash ledger_head;
    fm_bytes ledger_signature;
} fm_msg_release;
/** The reason of a node that refuses a round because of another member. Text for people, which any
 *  node may send: it may change the words of a log, and nothing else (docs/protocol.md, 8.3). */
#define FM_ABANDON_REVOKED "a member's certificate counts no more"
/** Likewise, of a node that its owner has paused. */
#define FM_ABANDON_PAUSED "paused by its owner"
/** Of nodes that take part in no further round (final): no figure, no name, no condition. */
#define FM_ABANDON_BUDGET "the privacy budget of this node does not allow the round"
#define FM_ABANDON_DECIDED "those who decide for this node allow no further round of this plan"
typedef struct {
    uint64_t round;
    char reason[FM_MAX_REASON_BYTES + 1];
    bool final; /* from a node: it takes part in no further round of this plan */
} fm_msg_abandon;
typedef struct {
    uint64_t rounds;
    fm_hash model_hash;
    fm_hash head;
    const fm_transcript_entry *entries;
    uint32_t entry_count;
    fm_bytes signature;
} fm_msg_finish;
typedef struct {
    uint64_t sequence;
} fm_msg_ping;
typedef struct {
    uint32_t version;
    uint8_t invitation[FM_INVITATION_KEY_BYTES];
    fm_bytes request; /* 1..FM_REQUEST_MAX_BYTES */
    uint8_t proof[FM_INVITATION_PROOF_BYTES];
} fm_msg_enrol;
/** All empty: the request was taken down and waits. */
typedef struct {
    fm_bytes certificate, authority; /* both or neither; at most FM_CERT_MAX_BYTES */
    fm_bytes revocations;            /* 0..FM_MAX_DOOR_CRL_BYTES; empty where the others are */
    fm_successor successor;          /* authority empty: none */
    fm_bytes successor_revocations;  /* both lists together 0..FM_MAX_DOOR_CRL_BYTES */
} fm_msg_enrolled;
typedef struct {
    fm_bytes list;          /* 1..FM_CRL_MAX_BYTES */
    fm_ca_path path;        /* intermediate CAs from its signer to a pinned CA; borrowed */
    fm_successor successor; /* authority empty: none */
} fm_msg_revocations;
typedef struct {
    uint32_t version;
    fm_credential credential;
    fm_bytes request; /* 1..FM_REQUEST_MAX_BYTES */
} fm_msg_renew;

typedef struct {
    fm_msg_type type;
    union {
        fm_msg_hello hello;
        fm_msg_welcome welcome;
        fm_msg_refusal refusal;
        fm_msg_join join;
        fm_msg_plan_offer plan_offer;
        fm_msg_plan_answer plan_answer;
        fm_msg_roster roster;
        fm_msg_roster_answer roster_answer;
        fm_msg_round_start round_start;
        fm_msg_masked_update masked_update;
        fm_msg_survivors survivors;
        fm_msg_commit commit;
        fm_msg_commits commits;
        fm_msg_release release;
        fm_msg_abandon abandon;
        fm_msg_finish finish;
        fm_msg_ping ping;
        fm_msg_enrol enrol;
        fm_msg_enrolled enrolled;
        fm_msg_revocations revocations;
        fm_msg_renew renew;
        fm_msg_model_want model_want;
        fm_msg_model_piece model_piece;
        fm_msg_update_piece update_piece;
        fm_msg_update_want update_want;
    };
} fm_message;

/** Append the encoding of `m` (all borrowed) to `out`. FM_EINVAL when a limit is passed. */
FM_NODISCARD fm_status fm_message_encode(const fm_message *m, fm_buf *out);

/**
 * Decode. All memory that the message needs is bounded by a small multiple of `len`; unknown
 * fields, wrong lengths, unordered lists and control characters in text are refused.
 *
 * @param out  owned by the caller: fm_message_free.
 * @return FM_OK; FM_EPROTO naming the message and field; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_message_decode(const uint8_t *data, size_t len, fm_message **out);
void fm_message_free(fm_message **m); /* wipes */

/** Copy text into a reason field: cut at the limit on a character boundary, controls as '?'. */
void fm_reason_set(char reason[FM_MAX_REASON_BYTES + 1], const char *text);

#endif
