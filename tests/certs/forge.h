/*
 * Certificates that the library would never make, made with OpenSSL directly, so that its
 * checks are not tested by its own code.
 */
#ifndef FEDMOE_TESTS_CERTS_FORGE_H
#define FEDMOE_TESTS_CERTS_FORGE_H

#include "world.h"

typedef enum {
    FORGE_ED25519,
    FORGE_P256,
    FORGE_P384,
    FORGE_RSA,
    FORGE_ED448,
    FORGE_P256_EXPLICIT
} forge_key;

typedef struct {
    const char *dir, *cert, *key; /* the signer's PEM files; NULL: self-signed */
    const char *issuer_dir;       /* NULL, or take the issuer's name and key id from ca.crt here */
    forge_key subject_key;
    const char *san, *basic, *usage; /* OpenSSL's syntax; NULL: leave the extension out */
    bool without_akid, unknown_critical, sha1, version1;
    int64_t from_s, to_s;
} forge_plan;

/** A plan that makes a good certificate of node "forged" of federation "heart". */
forge_plan forge_good(const world *w);
/** DER of the certificate. */
void forge(const forge_plan *p, uint8_t der[FM_CERT_MAX_BYTES], size_t *len);
/** The same as a PEM file. */
void forge_file(const forge_plan *p, const char *path);
/** DER of the certificate in a PEM file. */
void der_of(const char *dir, const char *name, uint8_t der[FM_CERT_MAX_BYTES], size_t *len);
/** A new Ed25519 key under a passphrase, mode 0600. */
void forge_encrypted_key(const char *path);
/** A self-signed CA certificate and its key as PEM files dir/ca.crt, dir/ca.key. */
void forge_ca(const char *dir, const char *san, const char *basic, const char *usage);

#endif
