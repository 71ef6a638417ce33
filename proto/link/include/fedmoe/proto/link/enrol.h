/*
 * Enrolment at the door: who holds a join code shows that it does, and asks for a certificate.
 *
 * The code's token gives an Ed25519 key pair (seed: BLAKE2b-256 of the token, label
 * "fedmoe invitation seed v1"). The aggregator keeps the public half alone, so that what it stores
 * invites nobody. The proof is a signature over
 *
 *   hash, label "fedmoe enrol v1": CURVE public key of this connection [32] | door's public key
 *   [32] | invitation [32] | u64le length, request
 *
 * CURVE has shown by then that the connection's key is the sender's own: a proof that was seen
 * elsewhere, or is sent on another connection or with another request, is worth nothing.
 */
#ifndef FEDMOE_PROTO_LINK_ENROL_H
#define FEDMOE_PROTO_LINK_ENROL_H

#include "fedmoe/proto/invitation.h"
#include "fedmoe/proto/link/link.h"

/** The public half that belongs to a token. Pure. FM_EINVAL; FM_EINTERNAL; FM_ENOMEM. */
FM_NODISCARD fm_status fm_enrol_public(const uint8_t token[FM_TOKEN_BYTES],
                                       uint8_t invitation[FM_INVITATION_KEY_BYTES]);

/** A connection, as both ends see it. */
typedef struct {
    const uint8_t *client_public; /* [32] its CURVE key */
    const uint8_t *door_public;   /* [32] */
} fm_enrol_channel;

/** Fill `out` (version, invitation, request, proof); the request is borrowed. Pure. */
FM_NODISCARD fm_status fm_enrol_prove(const uint8_t token[FM_TOKEN_BYTES],
                                      const fm_enrol_channel *channel, fm_bytes request,
                                      fm_msg_enrol *out);
/** FM_EAUTH unless the proof is by the invitation's key, for this connection and request. Pure. */
FM_NODISCARD fm_status fm_enrol_check(const fm_msg_enrol *m, const fm_enrol_channel *channel);

typedef struct {
    const fm_invitation *invitation;
    fm_bytes request;      /* DER, of fm_request_make */
    fm_link_limits limits; /* zero fields mean the defaults */
} fm_link_enrol_config;

/**
 * Ask once at the invitation's door. Blocks for limits.connect_ms at most.
 *
 * @param answer  an Enrolled, owned by the caller (fm_message_free); not checked yet:
 *                fm_identity_install does. Empty: it waits for the coordinator, ask again.
 * @return FM_OK; FM_EPERM the aggregator refuses (text says why); FM_ETIMEOUT; FM_EAUTH; FM_EIO.
 */
FM_NODISCARD fm_status fm_link_enrol(const fm_link_enrol_config *c, fm_message **answer);

#endif
