/* Every length that may come from outside has its ceiling here. */
#ifndef FEDMOE_PROTO_LIMITS_H
#define FEDMOE_PROTO_LIMITS_H

#define FM_PROTO_VERSION 5u
#define FM_MAX_NODES 1024u
#define FM_MAX_LEVELS 128u               /* seeds of surplus noise in one release */
#define FM_MAX_PARAMETERS (1u << 30)     /* flat model vector: 4 GiB of float32 */
#define FM_MAX_MESSAGE_BYTES (8u << 20)  /* one message in a session */
#define FM_MAX_PIECE_BYTES (1u << 20)    /* of a model or an update, in one message */
#define FM_FIRST_PIECE_BYTES (64u << 10) /* of an update, before more is asked for */
/* One message to the aggregator: the longest is a piece of an update. */
#define FM_MAX_NODE_MESSAGE_BYTES (FM_MAX_PIECE_BYTES + 4096u)
#define FM_MAX_DOOR_BYTES 32768u     /* one message at the door */
#define FM_MAX_DOOR_CRL_BYTES 12288u /* a longer list is left to the session */
#define FM_MAX_PLAN_BYTES (1u << 20)
#define FM_MAX_TEXT_BYTES (512u << 10) /* model and schema text within a plan */
#define FM_MAX_UNIT_ROWS 4096u
#define FM_MAX_QUERY_BYTES (64u << 10)
#define FM_MAX_REASON_BYTES 512u
#define FM_MAX_ENTRIES 16384u /* transcript entries in one message */
#define FM_MAX_ROUNDS 1000000u
#define FM_SESSION_BYTES 16u
#define FM_SEED_BYTES 32u
#define FM_INVITATION_KEY_BYTES 32u /* Ed25519 */
#define FM_INVITATION_PROOF_BYTES 64u

#endif
