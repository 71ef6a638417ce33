/*
 * The private key of an identity, wherever it is: in the file identity.key, or in a token that
 * identity.uri names. Everything that a member signs goes through here.
 */
#ifndef FEDMOE_CERTS_SIGNER_H
#define FEDMOE_CERTS_SIGNER_H

#include "certs_internal.h"
#include "fedmoe/certs/token_uri.h"

typedef struct fm_signer fm_signer;

/** The one line of dir/identity.uri. FM_ENOTFOUND; FM_EPARSE; FM_EIO. */
FM_NODISCARD fm_status fm_signer_uri(const char *dir, char uri[FM_TOKEN_URI_MAX + 1]);
/** The key of the folder. @return FM_OK; FM_EEXIST both files; as fm_key_load, fm_token_open. */
FM_NODISCARD fm_status fm_signer_load(const char *dir, fm_signer **out);
/** Of a private key in memory; takes a reference of its own. FM_ENOMEM. */
FM_NODISCARD fm_status fm_signer_of(EVP_PKEY *key, fm_signer **out);
void fm_signer_free(fm_signer **s);
/** For comparing and verifying; of a key in a token there is no private half in it. */
EVP_PKEY *fm_signer_public(const fm_signer *s);
/** Ed25519, or ECDSA with SHA-256 in DER. FM_EINTERNAL; FM_EIO of a token. For any thread. */
FM_NODISCARD fm_status fm_signer_sign(const fm_signer *s, const uint8_t *data, size_t len,
                                      uint8_t sig[FM_SIGNATURE_MAX], size_t *sig_len);
/** Of an identity; borrowed. */
const fm_signer *fm_identity_signer(const fm_identity *id);

#endif
