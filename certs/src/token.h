/*
 * A private key behind PKCS#11 (OASIS, version 2.40; EdDSA from 3.0): the vendor's module is loaded
 * into this process, and signs. Ed25519 by CKM_EDDSA, P-256 by CKM_ECDSA over our SHA-256.
 *
 * The PIN is read from the URI's file (0600 or narrower; a relative name is in the identity's
 * folder), else from the environment variable FEDMOE_PIN; no copy of it is kept here.
 */
#ifndef FEDMOE_CERTS_TOKEN_H
#define FEDMOE_CERTS_TOKEN_H

#include "certs_internal.h"

typedef struct fm_token fm_token;

/**
 * Load the module, log in, find the key and its public half, and try them on each other.
 * @param dir  the identity's folder.
 * @return FM_OK; FM_EPARSE the URI; FM_EIO the module or the token; FM_ENOTFOUND no such token or
 *         key; FM_EAUTH the PIN; FM_EPERM its file; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_token_open(const char *dir, const char *uri, fm_token **out);
void fm_token_close(fm_token **t);
/** The public half; borrowed. */
EVP_PKEY *fm_token_public(const fm_token *t);
/** As fm_signer_sign. A session that the token has ended is opened again, once. */
FM_NODISCARD fm_status fm_token_sign(fm_token *t, const uint8_t *data, size_t len,
                                     uint8_t sig[FM_SIGNATURE_MAX], size_t *sig_len);
/** Make the pair of the URI in the token: it never leaves. @return as fm_token_open. */
FM_NODISCARD fm_status fm_token_generate(const char *dir, const char *uri, fm_key_type type);

#endif
