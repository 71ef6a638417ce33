/*
 * X.509 identities: a consortium's CA, the certificates it issues, and the check that a peer's
 * certificate belongs to this consortium, has the right role and is valid now.
 *
 * A certificate's role and name stand in one subjectAltName URI, urn:fedmoe:ROLE:FEDERATION:NAME
 * (ROLE is node or aggregator); exactly one such URI must be there. Keys: Ed25519 or P-256.
 * All failures of authentication are FM_EAUTH; the text says which check failed, for our own log.
 * Identities, trusts and peers never change once made: several threads may use one at once.
 */
#ifndef FEDMOE_CERTS_IDENTITY_H
#define FEDMOE_CERTS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "fedmoe/base/hash.h"
#include "fedmoe/base/memory.h"

typedef enum { FM_ROLE_NODE = 1, FM_ROLE_AGGREGATOR = 2 } fm_role;
typedef enum {
    FM_KEY_ED25519,
    FM_KEY_P256,
    FM_KEY_OTHER /* of a CA of another PKI: no member has one */
} fm_key_type;

#define FM_NAME_MAX 63                  /* bytes of a member's or federation's name: [a-z0-9-]+ */
#define FM_CERT_MAX_BYTES 8192u         /* DER, one certificate */
#define FM_SIGNATURE_MAX 96u            /* Ed25519 64; P-256 DER at most 72 */
#define FM_CAS_MAX 2                    /* pinned at once: the CA, and its successor */
#define FM_LISTS_MAX 16u                /* revocation lists, one of each CA */
#define FM_INTERMEDIATES_MAX 2          /* CAs between a member's certificate and a pinned CA */
#define FM_INTERMEDIATE_MAX_BYTES 4096u /* DER, one of them */

/** Intermediate CAs in DER, the issuer first, as they come with a certificate or list; borrowed. */
typedef struct {
    const uint8_t *der[FM_INTERMEDIATES_MAX];
    size_t len[FM_INTERMEDIATES_MAX];
    size_t count;
} fm_ca_path;

const char *fm_role_name(fm_role r); /* "node", "aggregator" */
FM_NODISCARD fm_status fm_role_parse(const char *s, fm_role *out);
FM_NODISCARD fm_status fm_key_type_parse(const char *s, fm_key_type *out); /* ed25519, p256 */
const char *fm_key_type_name(fm_key_type t);
/** FM_EINVAL unless 1..FM_NAME_MAX of [a-z0-9-], neither first nor last a '-'. */
FM_NODISCARD fm_status fm_name_check(const char *name);

/* ---- the CA, a directory: ca.crt, ca.key (0600), issued/NAME-SERIAL.crt, crl.pem ---- */

/** New self-signed CA for `federation`; FM_EEXIST when the directory holds one already. */
FM_NODISCARD fm_status fm_ca_new(const char *dir, const char *federation, fm_key_type type,
                                 unsigned days);

/**
 * Make a key and certificate: out_dir/identity.key (0600), identity.crt, ca.crt, crl.pem.
 * A name has one key at any instant (renewal gives that key a second certificate before the first
 * ends): FM_EEXIST when an unrevoked certificate of it overlaps in time, or when out_dir holds an
 * identity or another CA; nothing is changed then.
 * @param not_before_s,not_after_s  wall times; 0 and 0 mean now (less five minutes) and `days`.
 */
typedef struct {
    fm_role role;
    const char *name;
    fm_key_type type;
    unsigned days;
    int64_t not_before_s, not_after_s;
} fm_ca_request;
FM_NODISCARD fm_status fm_ca_issue(const char *ca_dir, const fm_ca_request *req,
                                   const char *out_dir);

/** Add the named member's certificates to the CRL (crl.pem, atomically, number one higher). */
FM_NODISCARD fm_status fm_ca_revoke(const char *ca_dir, const char *name);
/** The same CRL one number higher and valid for a year from now. Past its end it stops everyone. */
FM_NODISCARD fm_status fm_ca_refresh(const char *ca_dir);

/* ---- what one holds of oneself ---- */

typedef struct fm_identity fm_identity; /* own certificate and private key */

/**
 * Read dir/identity.crt (the certificate, and behind it up to FM_INTERMEDIATES_MAX intermediate
 * CAs) and dir/identity.key (0600 or FM_EPERM); FM_EAUTH unless they match.
 */
FM_NODISCARD fm_status fm_identity_load(const char *dir, fm_identity **out);
void fm_identity_free(fm_identity **id);

typedef struct {
    fm_role role;
    char name[FM_NAME_MAX + 1];
    char federation[FM_NAME_MAX + 1];
    int64_t not_before_s, not_after_s;
    fm_hash fingerprint; /* BLAKE2b-256 of the DER, label "fedmoe certificate" */
} fm_cert_info;

const fm_cert_info *fm_identity_info(const fm_identity *id);
/** Own certificate as DER, borrowed. */
void fm_identity_der(const fm_identity *id, const uint8_t **der, size_t *len);
/** The intermediate CAs that stand behind it in identity.crt; borrowed. */
fm_ca_path fm_identity_path(const fm_identity *id);

/**
 * Sign message under a label that separates its uses ("fedmoe commit v1"): the signed bytes are
 * the label, a zero byte, the message.
 * @param sig  out, up to FM_SIGNATURE_MAX bytes.
 */
FM_NODISCARD fm_status fm_identity_sign(const fm_identity *id, const char *label,
                                        const void *message, size_t len,
                                        uint8_t sig[FM_SIGNATURE_MAX], size_t *sig_len);

/* ---- what one holds of others ---- */

typedef struct fm_trust fm_trust; /* the pinned CAs, and the revocation lists when there are any */

/**
 * Read dir/ca.crt (one or two CAs, the older first, and the succession if the second came by one)
 * and dir/crl.pem (when there: lists, each signed by a pinned CA or by an intermediate CA that
 * stands in the file, too). Only these CAs count; the system's store is never consulted. The
 * federation is the one that the CA names, or else stands in dir/federation.
 *
 * Where there is a list, there must be one of every CA that a certificate depends on. A list that is
 * older than what was in force in this folder (fm_trust_hold), or gone, is FM_EREPLAY.
 */
FM_NODISCARD fm_status fm_trust_load(const char *dir, fm_trust **out);
/**
 * The same of two files, for who checks something with nothing but them: what was in force earlier is
 * known to no folder, so an older list is not noticed.
 *
 * @param ca   like ca.crt; a CA that names no federation needs the file `federation` beside it.
 * @param crl  like crl.pem, FM_EPROTO without a list in it; NULL: nobody is looked for.
 */
FM_NODISCARD fm_status fm_trust_load_files(const char *ca, const char *crl, fm_trust **out);
void fm_trust_free(fm_trust **t);
/** The pinned CAs, 1 or 2, the older first: DER, borrowed; and what they say. */
size_t fm_trust_ca_count(const fm_trust *t);
void fm_trust_ca(const fm_trust *t, size_t i, const uint8_t **der, size_t *len);
const fm_cert_info *fm_trust_ca_info(const fm_trust *t, size_t i);
/** BLAKE2b-256 of the (older) CA's DER; and the federation. */
fm_hash fm_trust_fingerprint(const fm_trust *t);
const char *fm_trust_federation(const fm_trust *t);

/**
 * The (older) CA's own revocation list, DER; borrowed. NULL and 0 when there is none.
 */
void fm_trust_crl(const fm_trust *t, const uint8_t **der, size_t *len);
/** Its number (RFC 5280, 5.2.3); 0 when there is no list. A list of a higher number replaces it. */
uint64_t fm_trust_crl_number(const fm_trust *t);

/** All lists in use, each with the intermediate CAs that lead from its signer to a pinned CA. */
typedef struct {
    const uint8_t *der;
    size_t len;
    uint64_t number; /* 0: it has none */
    fm_ca_path path;
    bool of_successor; /* the second CA's, which the first has named: fm_trust_succession */
} fm_crl_view;
size_t fm_trust_list_count(const fm_trust *t);
void fm_trust_list(const fm_trust *t, size_t i, fm_crl_view *out);
/** FM_EREPLAY when `fresh` has an older list than `old` of a CA, another one of the same number, or
 *  none where it is pinned yet. */
FM_NODISCARD fm_status fm_trust_check_newer(const fm_trust *old, const fm_trust *fresh);

/**
 * The same CAs with a newer revocation list of one of them, as it came from outside.
 *
 * @param der   exactly one list, at most FM_CRL_MAX_BYTES.
 * @param path  intermediate CAs that lead from its signer to a pinned one; NULL: none are needed.
 * @param out   owned by the caller; NULL when it is the list that is in use already.
 * @return FM_OK; FM_EREPLAY of a lower number, or another list of the same number; FM_EAUTH not
 *         signed by these CAs; FM_EPROTO not a list, or without number or end; FM_ENOMEM.
 */
#define FM_CRL_MAX_BYTES (1u << 20)
FM_NODISCARD fm_status fm_trust_revise(const fm_trust *t, const uint8_t *der, size_t len,
                                       fm_trust **out);
FM_NODISCARD fm_status fm_trust_revise_path(const fm_trust *t, const uint8_t *der, size_t len,
                                            const fm_ca_path *path, fm_trust **out);
/** The pinned CAs, and the succession, to dir/ca.crt, whole and synced. FM_EIO. */
FM_NODISCARD fm_status fm_trust_save_cas(const fm_trust *t, const char *dir);
/**
 * The lists in use to dir/crl.pem, whole and synced, and to dir/crl.held, the floor under which
 * fm_trust_load takes nothing any more. Lists of the folder that `t` has none of stay if the folder
 * pins their CA; those of `t` whose CA it does not pin (any more) are left out. One process at a
 * time (dir/crl.lock).
 *
 * @return FM_OK; FM_EREPLAY when the folder has a newer list of one of the CAs, or another one of
 *         the same number: nothing is changed then; FM_EAUTH the folder pins none of the CAs;
 *         FM_ENOTFOUND there is no list; FM_ETIMEOUT another process holds the lock; FM_EIO.
 */
FM_NODISCARD fm_status fm_trust_save_crl(const fm_trust *t, const char *dir);
/** The lists, loaded from the folder, are in force: none older will be again. As above, but
 *  crl.pem stays as it is; FM_OK when there is no list. */
FM_NODISCARD fm_status fm_trust_hold(const fm_trust *t, const char *dir);

typedef struct fm_peer fm_peer; /* a verified certificate: its public key and info */

/**
 * Chain to a pinned CA, signatures, validity at `now_s`, revocation, key usage, key type, exactly
 * one fedmoe URI, federation equal to the trust's, and the role.
 *
 * @param der   the certificate, exactly; trailing bytes are refused.
 * @param path  the intermediate CAs that came with it; NULL: none. Those that crl.pem names are
 *              known anyway.
 * @return FM_OK; FM_EAUTH; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_peer_verify_path(const fm_trust *t, const uint8_t *der, size_t len,
                                           const fm_ca_path *path, fm_role role, int64_t now_s,
                                           fm_peer **out);
/** The same without any that came with it. */
FM_NODISCARD fm_status fm_peer_verify(const fm_trust *t, const uint8_t *der, size_t len,
                                      fm_role role, int64_t now_s, fm_peer **out);
void fm_peer_free(fm_peer **p);
/** The identity's own certificate, as its peers will see it. */
FM_NODISCARD fm_status fm_peer_verify_self(const fm_trust *t, const fm_identity *id, fm_role role,
                                           int64_t now_s, fm_peer **out);
/** The certificate of a verified peer again, under a newer list or at a later time. */
FM_NODISCARD fm_status fm_peer_recheck(const fm_trust *t, const fm_peer *p, int64_t now_s);
const fm_cert_info *fm_peer_info(const fm_peer *p);
/** FM_OK or FM_EAUTH. */
FM_NODISCARD fm_status fm_peer_check_signature(const fm_peer *p, const char *label,
                                               const void *message, size_t len, const uint8_t *sig,
                                               size_t sig_len);

/** Describe the first certificate of any file (for `show`), trusted or not; a CA has role 0 and no
 *  name, one of another PKI no federation.
 *  FM_EPARSE, also for a private key. */
FM_NODISCARD fm_status fm_cert_describe(const char *path, fm_cert_info *info, fm_key_type *type,
                                        bool *is_ca);
/** The same of the n-th certificate, from 0. @param count  out: how many the file holds. */
FM_NODISCARD fm_status fm_cert_describe_nth(const char *path, size_t n, fm_cert_info *info,
                                            fm_key_type *type, bool *is_ca, size_t *count);

#endif
