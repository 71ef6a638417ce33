/*
 * A CA's successor. The old CA's key signs the new CA's certificate under the label "fedmoe
 * succession v1": the old one's fingerprint[32], then the new one's DER. Whoever has pinned the old
 * CA then pins both, and nobody can name a successor but the CA itself. The overlap ends when the
 * older one is dropped, or has ended.
 */
#ifndef FEDMOE_CERTS_SUCCESSION_H
#define FEDMOE_CERTS_SUCCESSION_H

#include "fedmoe/certs/enrol.h"

#define FM_SUCCESSOR_MAX_BYTES 2048u /* DER of a CA that comes by succession */

/** A successor as it travels; borrowed. */
typedef struct {
    const uint8_t *ca; /* DER */
    size_t ca_len;     /* 0: none */
    const uint8_t *signature;
    size_t signature_len;
} fm_succession;

/** The one that came with the second pinned CA; ca_len 0: there is none. */
fm_succession fm_trust_succession(const fm_trust *t);

/**
 * The same trust with the successor pinned beside the CA that named it. Of two that are pinned an
 * older one that has ended gives way.
 *
 * @param out  owned by the caller; NULL when the successor is pinned already.
 * @return FM_OK; FM_EAUTH no CA of this federation, not valid now, does not outlive the pinned one,
 *         not signed by a pinned CA that is valid now, or two are pinned already; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_trust_succeed(const fm_trust *t, const fm_succession *s, int64_t now_s,
                                        fm_trust **out);

/** Whether the identity's certificate is not of the newer CA, where there are two by succession. */
bool fm_trust_is_superseded(const fm_trust *t, const fm_identity *id);

/**
 * In the CA's folder: a new key (next.key) and CA that the old one names its successor: ca.crt holds
 * both from then on, crl.pem a list of each, and what is issued is of the new one. Interrupted, the
 * same call does the rest.
 *
 * @return FM_OK; FM_EEXIST when a successor is there already, whole; as fm_ca_new.
 */
FM_NODISCARD fm_status fm_ca_rotate(const char *ca_dir, fm_key_type type, unsigned days);

/**
 * In a CA's or an identity's folder with two pinned CAs: forget the older one, its list and, in a
 * CA's folder, its key. Interrupted, the same call does the rest.
 *
 * @return FM_OK; FM_ENOTFOUND when only one is pinned; FM_ESTATE when the folder's own certificate
 *         is of the older one; FM_EIO.
 */
FM_NODISCARD fm_status fm_ca_drop(const char *dir);

/** The next certificate of the identity in `dir`, of the same key, by the CA in `ca_dir`. */
FM_NODISCARD fm_status fm_ca_renew_identity(const char *ca_dir, const char *dir, int64_t now_s);

#endif
