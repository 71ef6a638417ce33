/*
 * A join code: all that a new member needs to find the aggregator, to know it and its CA when it
 * sees them, and to prove that it was invited. Whoever holds the code can join under its name,
 * once: it is a secret until it has been used.
 *
 * Text: "fedmoe1" and base32 (RFC 4648, a-z2-7, no padding) of
 *
 *   door_public [32] | CA fingerprint [32] | token [16] | expires u64le, seconds since 1970 |
 *   u8 length, federation | u8 length, name | u8 length, door address | check [4]
 *
 * check: the first bytes of the hash, label "fedmoe join code v1", of all before it. Upper case,
 * spaces, line breaks and hyphens are forgiven when a code is read.
 */
#ifndef FEDMOE_PROTO_INVITATION_H
#define FEDMOE_PROTO_INVITATION_H

#include "fedmoe/base/hash.h"
#include "fedmoe/certs/identity.h"

#define FM_TOKEN_BYTES 16u
#define FM_DOOR_KEY_BYTES 32u
#define FM_DOOR_ADDRESS_MAX 255u
#define FM_INVITATION_TEXT_MAX 900u /* characters of a code */

typedef struct {
    char door[FM_DOOR_ADDRESS_MAX + 1]; /* "tcp://HOST:PORT" */
    uint8_t door_public[FM_DOOR_KEY_BYTES];
    fm_hash ca; /* fm_trust_fingerprint */
    char federation[FM_NAME_MAX + 1];
    char name[FM_NAME_MAX + 1];
    uint8_t token[FM_TOKEN_BYTES]; /* secret */
    int64_t expires_s;             /* > 0 */
} fm_invitation;

/** @param text  out, NUL-terminated. FM_EINVAL for a field that no code can hold. */
FM_NODISCARD fm_status fm_invitation_encode(const fm_invitation *i,
                                            char text[FM_INVITATION_TEXT_MAX + 1]);
/** FM_EPARSE with what is wrong: not a code, a newer form of it, mistyped or cut. */
FM_NODISCARD fm_status fm_invitation_decode(const char *text, fm_invitation *out);

#endif
