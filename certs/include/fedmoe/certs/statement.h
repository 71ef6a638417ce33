/*
 * The signed statement that binds a session's fresh keys to a certificate (docs/protocol.md,
 * section 2). One credential, the certificate, stands for everything. For any thread.
 */
#ifndef FEDMOE_CERTS_STATEMENT_H
#define FEDMOE_CERTS_STATEMENT_H

#include "fedmoe/certs/identity.h"

#define FM_SESSION_KEY_BYTES 32u
#define FM_STATEMENT_VALID_S (7 * 24 * 3600)

typedef struct {
    fm_role role;
    char federation[FM_NAME_MAX + 1];
    char name[FM_NAME_MAX + 1];
    uint8_t curve_public[FM_SESSION_KEY_BYTES];  /* ZeroMQ CURVE, raw */
    uint8_t x25519_public[FM_SESSION_KEY_BYTES]; /* masks; zero for an aggregator only */
    int64_t not_after_s;
} fm_statement;

/*
 * STATEMENT v1: version u8 | role u8 | not_after i64le | curve[32] | x25519[32] |
 *               federation length u8 | federation | name length u8 | name
 */
#define FM_STATEMENT_MAX_BYTES (1u + 1u + 8u + 32u + 32u + 2u * (1u + FM_NAME_MAX))

FM_NODISCARD fm_status fm_statement_encode(const fm_statement *s, uint8_t *buf, size_t cap,
                                           size_t *len);
/** Exact length; names checked; FM_ETRUNC or FM_EPROTO. */
FM_NODISCARD fm_status fm_statement_decode(const uint8_t *buf, size_t len, fm_statement *out);

/** A statement as it travels: certificate, statement bytes, signature over them, intermediate CAs. */
typedef struct {
    uint8_t cert[FM_CERT_MAX_BYTES];
    size_t cert_len;
    uint8_t statement[FM_STATEMENT_MAX_BYTES];
    size_t statement_len;
    uint8_t signature[FM_SIGNATURE_MAX];
    size_t signature_len;
    uint8_t intermediates[FM_INTERMEDIATES_MAX][FM_INTERMEDIATE_MAX_BYTES]; /* the issuer first */
    size_t intermediate_len[FM_INTERMEDIATES_MAX];
    size_t intermediate_count;
} fm_credential;

/** The intermediate CAs of the credential, borrowed from it. */
fm_ca_path fm_credential_path(const fm_credential *c);
/** Whether both are the same, byte for byte. */
bool fm_credential_equal(const fm_credential *a, const fm_credential *b);
/** A credential in as many bytes as it has: about a twentieth of the struct, which has room for the
 *  largest. */
typedef struct fm_packed_credential fm_packed_credential;
/** @return FM_OK; FM_EINVAL lengths beyond the struct's; FM_ENOMEM. */
FM_NODISCARD fm_status fm_credential_pack(const fm_credential *c, fm_packed_credential **out);
/** What lies behind the lengths is zero. */
void fm_credential_unpack(const fm_packed_credential *p, fm_credential *out);
void fm_credential_pack_free(fm_packed_credential **p);
/** The credential's certificate alone, with its intermediate CAs: as fm_peer_verify_path. */
FM_NODISCARD fm_status fm_credential_peer(const fm_trust *t, const fm_credential *c, fm_role role,
                                          int64_t now_s, fm_peer **out);

/** Encode and sign with `id`, whose role, name and federation must be the statement's. */
FM_NODISCARD fm_status fm_credential_make(const fm_identity *id, const fm_statement *s,
                                          fm_credential *out);

/**
 * fm_peer_verify, the signature, statement fields equal to the certificate's, not_after in the
 * future and at most FM_STATEMENT_VALID_S (plus an hour of clock difference) ahead.
 * @param peer       out, owned by the caller; may be NULL when not wanted.
 * @param statement  out.
 * @return FM_OK; FM_EAUTH; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_credential_verify(const fm_trust *t, const fm_credential *c, fm_role role,
                                            int64_t now_s, fm_statement *statement, fm_peer **peer);

#endif
