/*
 * The issuer behind the door: which request for a certificate is answered with what. The order in
 * which things become durable: the code is bound to the one key that used it, the CA's record, the
 * certificate beside the invitation, the answer. Killed anywhere in between, the same request is
 * answered with the same certificate, and another key with a refusal.
 */
#ifndef FEDMOE_AGGREGATOR_ENROL_H
#define FEDMOE_AGGREGATOR_ENROL_H

#include "fedmoe/aggregator/invitations.h"
#include "fedmoe/proto/link/enrol.h"

typedef struct fm_enroller fm_enroller;

/** @param ca  the CA's directory; NULL: requests wait for fm_enroller_sign elsewhere. */
FM_NODISCARD fm_status fm_enroller_new(const char *dir, const char *ca, fm_enroller **out);
void fm_enroller_free(fm_enroller **e);

/**
 * One request whose proof was checked (the sender holds the key m->invitation).
 *
 * @param out  borrowed from the enroller until the next call; empty: it waits.
 * @return FM_OK; else the error text is for the sender, and names no file of this house.
 */
FM_NODISCARD fm_status fm_enroller_take(fm_enroller *e, const fm_msg_enrol *m, int64_t now_s,
                                        fm_msg_enrolled *out);
/** The next certificate of a member whose credential was verified. Only with the CA at hand. */
FM_NODISCARD fm_status fm_enroller_renew(fm_enroller *e, const char *name, fm_bytes request,
                                         fm_msg_enrolled *out);
/** The same as the link wants it, at the wall clock's time. */
fm_link_issuer fm_enroller_issuer(fm_enroller *e);

/** What the people at the desk have decided, who trust nothing in the aggregator's folder. */
typedef struct {
    const char *name;
    const char *key; /* what the hospital read out: FM_DESK_KEY_MIN or more hex digits, from the
                        beginning of the fingerprint (fm_request_info.key) */
    uint32_t days;   /* the certificate's at most */
} fm_desk_order;
#define FM_DESK_KEY_MIN 32u

/**
 * Sign the waiting request of that name, at a desk that has the CA, if it is for that key.
 *
 * @param signed_key  out: the key that was signed.
 * @return FM_OK; FM_ENOTFOUND none waits; FM_EAUTH it is for another key: nothing is signed;
 *         FM_EINVAL `key` is too short or no hex; else as fm_ca_sign_request.
 */
FM_NODISCARD fm_status fm_enroller_sign(const char *dir, const char *ca, const fm_desk_order *order,
                                        fm_hash *signed_key);

#endif
