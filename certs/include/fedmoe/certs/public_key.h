/*
 * Signatures that stand without a certificate: whoever decides for a member may have a key of their
 * own (PEM, PKCS #8, Ed25519 or P-256), known to it by nothing but its public half. For any thread.
 */
#ifndef FEDMOE_CERTS_PUBLIC_KEY_H
#define FEDMOE_CERTS_PUBLIC_KEY_H

#include "fedmoe/certs/identity.h"

#define FM_PUBLIC_KEY_MAX 128u /* bytes of a SubjectPublicKeyInfo, DER: Ed25519 44, P-256 91 */

typedef struct {
    uint8_t der[FM_PUBLIC_KEY_MAX];
    size_t len;
} fm_public_key;

/** Of an identity, wherever its private half is. */
FM_NODISCARD fm_status fm_identity_public_key(const fm_identity *id, fm_public_key *out);
/** Of the first certificate in a file: nothing is checked of who it is by. As fm_cert_describe. */
FM_NODISCARD fm_status fm_certificate_public_key(const char *path, fm_public_key *out);
/** Of a file with one PEM block "PUBLIC KEY", as openssl pkey -pubout writes it. FM_EPARSE with the
 *  path; FM_ENOTFOUND, FM_EIO. */
FM_NODISCARD fm_status fm_public_key_load(const char *path, fm_public_key *out);
bool fm_public_key_equal(const fm_public_key *a, const fm_public_key *b);
/** First bytes of SHA-256 in hex, for people who compare: 16 digits. */
void fm_public_key_name(const fm_public_key *k, char out[17]);

/** Of a private key's file, as below. */
FM_NODISCARD fm_status fm_key_file_public(const char *path, fm_public_key *out);
/** As fm_identity_sign, by a private key's file (mode 0600 or FM_EPERM, no passphrase). */
FM_NODISCARD fm_status fm_key_file_sign(const char *path, const char *label, const void *message,
                                        size_t len, uint8_t sig[FM_SIGNATURE_MAX], size_t *sig_len);
/** FM_OK; FM_EAUTH, also for what is no key; FM_ENOMEM. */
FM_NODISCARD fm_status fm_public_key_check(const fm_public_key *k, const char *label,
                                           const void *message, size_t len, const uint8_t *sig,
                                           size_t sig_len);

#endif
