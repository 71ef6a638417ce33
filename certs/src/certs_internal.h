/* What the files of certs/src share; the only header of the folder that shows OpenSSL types. */
#ifndef FEDMOE_CERTS_INTERNAL_H
#define FEDMOE_CERTS_INTERNAL_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "fedmoe/certs/enrol.h"
#include "fedmoe/certs/statement.h"

#define FM_CERT_LABEL "fedmoe certificate"
#define FM_CERT_FILE_LIMIT ((size_t)64 * 1024)
#define FM_CRL_FILE_LIMIT ((size_t)4 * 1024 * 1024)
#define FM_CLOCK_SLACK_S 300 /* what is made now is valid this much earlier: clocks differ */
#define FM_CRL_VALID_S ((int64_t)366 * 24 * 3600)
#define FM_DAYS_MAX 36500u

/* ---- ssl.c ---- */

/** fm_fail with OpenSSL's reason behind the text; FM_ENOMEM when that was the reason. */
fm_status fm_ssl_fail(fm_status st, const char *fmt, ...) FM_PRINTF(2, 3);
/** Wall seconds of an ASN.1 time; FM_EPROTO. */
FM_NODISCARD fm_status fm_ssl_time(const ASN1_TIME *t, int64_t *out);
/** A wall time as ASN.1 time into `t`; FM_EINVAL past the year 9999 or before 1970. */
FM_NODISCARD fm_status fm_ssl_set_time(ASN1_TIME *t, int64_t wall_s);

/* ---- names.c ---- */

typedef struct {
    bool is_ca;
    fm_role role; /* 0 for a CA */
    char federation[FM_NAME_MAX + 1];
    char name[FM_NAME_MAX + 1]; /* "" for a CA */
} fm_cert_uri;

#define FM_URI_MAX (sizeof "urn:fedmoe:aggregator::" + 2u * FM_NAME_MAX)

void fm_cert_uri_format(const fm_cert_uri *u, char out[FM_URI_MAX]);
/** Exactly urn:fedmoe:ca:FEDERATION or urn:fedmoe:ROLE:FEDERATION:NAME; FM_EPROTO. */
FM_NODISCARD fm_status fm_cert_uri_parse(const uint8_t *s, size_t len, fm_cert_uri *out);

/* ---- pem.c ---- */

#define FM_PEM_BLOCKS_MAX 64u
#define FM_SUCCESSION_PEM "FEDMOE SUCCESSION"

typedef struct {
    size_t type; /* its place in the list of types that was asked for */
    fm_buf der;
} fm_pem_block;
typedef struct {
    fm_pem_block blocks[FM_PEM_BLOCKS_MAX];
    size_t count;
} fm_pem_list;

/**
 * Every block of a file, at least one, each of one of `types` (NULL at their end).
 * @param out  initialised here; fm_pem_list_fini.
 * @return as fm_pem_read.
 */
FM_NODISCARD fm_status fm_pem_read_list(const char *path, const char *const *types, size_t limit,
                                        fm_pem_list *out);
void fm_pem_list_fini(fm_pem_list *l);
/** The PEM text of a block, behind what `out` holds. */
FM_NODISCARD fm_status fm_pem_add(const char *type, const uint8_t *der, size_t len, fm_buf *out);

/**
 * The DER inside a file that holds exactly one PEM block of the given type.
 * @param out  initialised here; fm_buf_fini.
 * @return FM_EPARSE; FM_ENOTFOUND, FM_EIO, FM_EPROTO (too long) as fm_file_read.
 */
FM_NODISCARD fm_status fm_pem_read(const char *path, const char *type, size_t limit, fm_buf *out);
FM_NODISCARD fm_status fm_pem_read_in(const char *dir, const char *name, const char *type,
                                      size_t limit, fm_buf *out);
/** PEM text of a certificate or revocation list. @param out  initialised here. */
FM_NODISCARD fm_status fm_pem_cert(const X509 *x, fm_buf *out);
FM_NODISCARD fm_status fm_pem_crl(const X509_CRL *crl, fm_buf *out);

/* ---- key.c ---- */

FM_NODISCARD fm_status fm_key_new(fm_key_type type, EVP_PKEY **out);
/** FM_EPROTO for anything but Ed25519 and P-256 (as a named curve). */
FM_NODISCARD fm_status fm_key_type_of(const EVP_PKEY *k, fm_key_type *out);
/** NULL for Ed25519, which hashes by itself. */
const EVP_MD *fm_key_digest(const EVP_PKEY *k);
/** PEM PKCS#8 in a BIO that wipes its memory; BIO_free. */
FM_NODISCARD fm_status fm_key_pem(const EVP_PKEY *k, BIO **out);
/** dir/name, mode 0600 or narrower, not encrypted. */
FM_NODISCARD fm_status fm_key_load(const char *dir, const char *name, EVP_PKEY **out);

/* ---- request.c ---- */

/** BLAKE2b-256 of the SubjectPublicKeyInfo, label "fedmoe key". */
FM_NODISCARD fm_status fm_key_fingerprint(const EVP_PKEY *k, fm_hash *out);
struct fm_signer;
FM_NODISCARD fm_status fm_request_sign(const struct fm_signer *key, const fm_cert_uri *uri,
                                       fm_buf *out);
/** fm_request_check, and the key that asks (EVP_PKEY_free). */
FM_NODISCARD fm_status fm_request_open(const uint8_t *der, size_t len, fm_request_info *info,
                                       EVP_PKEY **key);

/* ---- identity.c ---- */

/** What a signature covers: label, zero byte, message. @param out  initialised here. */
FM_NODISCARD fm_status fm_signed_bytes(const char *label, const void *message, size_t len,
                                       fm_buf *out);

/* ---- credential.c ---- */

/** FM_EAUTH when a length is past its limit: nothing else may read the credential before. */
FM_NODISCARD fm_status fm_credential_check_lengths(const fm_credential *c);

/* ---- cert.c ---- */

typedef struct {
    fm_cert_info info;
    fm_key_type type;
    bool is_ca;
} fm_cert_facts;

/** The one urn:fedmoe: URI among the names (NULL: none); `what` they stand in. FM_EPROTO. */
FM_NODISCARD fm_status fm_cert_uri_among(const GENERAL_NAMES *names, const char *what,
                                         fm_cert_uri *out);
/** Exactly one certificate and nothing behind it; FM_EPROTO. */
FM_NODISCARD fm_status fm_cert_parse(const uint8_t *der, size_t len, X509 **out);
/** The facts, if the certificate has the form that fedmoe issues; FM_EPROTO. No signature check. */
FM_NODISCARD fm_status fm_cert_facts_of(X509 *x, fm_cert_facts *out);
/** fm_pem_read and both of the above; FM_EPARSE with the path. */
FM_NODISCARD fm_status fm_cert_load(const char *path, X509 **out, fm_cert_facts *facts);
/** The same of the first certificate in a file that may hold more. */
FM_NODISCARD fm_status fm_cert_load_first(const char *path, X509 **out, fm_cert_facts *facts);
FM_NODISCARD fm_status fm_cert_load_in(const char *dir, const char *name, X509 **out,
                                       fm_cert_facts *facts);
/** Whether the CA's key has signed the certificate. */
bool fm_cert_is_by(X509 *x, X509 *ca);
/** Exactly one list, DER, and nothing behind it; FM_EPROTO. */
FM_NODISCARD fm_status fm_crl_parse(const uint8_t *der, size_t len, X509_CRL **out);
bool fm_crl_is_signed_by(X509_CRL *crl, X509 *ca);

/* ---- sign.c: what the CA signs ---- */

typedef struct {
    fm_cert_uri uri;
    int64_t not_before_s, not_after_s;
    uint8_t serial[16];
} fm_cert_plan;

/** @param issuer  NULL: self-signed, and `issuer_key` is the key of the subject. */
FM_NODISCARD fm_status fm_cert_sign(const fm_cert_plan *plan, EVP_PKEY *subject_key, X509 *issuer,
                                    EVP_PKEY *issuer_key, X509 **out);
/**
 * A list one number higher than `old` (NULL: the first, empty), with the certificates `add`
 * (NULL: none) in addition, valid from now.
 */
FM_NODISCARD fm_status fm_crl_sign(X509 *ca, EVP_PKEY *key, const X509_CRL *old,
                                   STACK_OF(X509) * add, X509_CRL **out);
/** The list's number; 0 when it has none (or one that no list of ours can have). */
uint64_t fm_crl_number(const X509_CRL *crl);
/** Whether the list names the certificate. */
bool fm_crl_has(const X509_CRL *crl, X509 *x);

/* ---- ca.c ---- */

/** One CA of the folder; its parts are borrowed from the folder's trust, but the key. */
typedef struct {
    X509 *cert;
    EVP_PKEY *key;
    X509_CRL *crl;
} fm_ca_one;

typedef struct {
    char *dir;
    int lock; /* open directory under an exclusive flock: no two processes change a CA at once */
    struct fm_trust *trust;
    fm_ca_one all[FM_CAS_MAX]; /* the older first; the newest issues */
    size_t count;
    X509 *cert;    /* of the newest */
    EVP_PKEY *key; /* of the newest */
    fm_cert_info info;
} fm_ca;

FM_NODISCARD fm_status fm_ca_open(const char *dir, fm_ca **out);
/** The same of a folder in which a rotation may have been interrupted: the newest may have no list. */
FM_NODISCARD fm_status fm_ca_open_any(const char *dir, fm_ca **out);
/** The same for who cannot wait: FM_ETIMEOUT when another process holds the CA for so long. */
#define FM_CA_SOON_MS 200u
FM_NODISCARD fm_status fm_ca_open_within(const char *dir, uint32_t ms, fm_ca **out);
void fm_ca_close(fm_ca **ca);
/** Whether a recorded certificate counts for nothing: revoked, or of a CA that was dropped. */
bool fm_ca_voids(const fm_ca *ca, X509 *x);
/** crl.pem anew: each list one number higher, with those of `add` (NULL: none) that its CA signed. */
FM_NODISCARD fm_status fm_ca_write_lists(const fm_ca *ca, STACK_OF(X509) * add);
/** A certificate of the folder's federation that signs itself, for days from now. */
FM_NODISCARD fm_status fm_ca_make(const char *federation, EVP_PKEY *key, unsigned days, X509 **out);

/* ---- peer.c, credential.c ---- */

/** From when on the peer's certificate, and the CAs above it, were valid. FM_EAUTH; FM_ENOMEM. */
FM_NODISCARD fm_status fm_peer_since(const fm_trust *t, const fm_peer *p, int64_t *out);
#define FM_LABEL_STATEMENT "fedmoe statement v1"
/** The statement, if it is the peer's own: signature, form, names. Nothing of its time. */
FM_NODISCARD fm_status fm_credential_statement(const fm_peer *p, const fm_credential *c,
                                               fm_statement *out);

/* ---- lock.c ---- */

/** flock(LOCK_EX), waited for so long at most; then FM_ETIMEOUT. @param path  for the text. */
FM_NODISCARD fm_status fm_lock_within(int fd, const char *path, uint32_t ms);

/* ---- issue.c ---- */

/** What is to be signed, with times within the CA's and a fresh serial number. */
FM_NODISCARD fm_status fm_issue_plan(const fm_ca *ca, const fm_ca_request *req, fm_cert_plan *plan);
/** One certificate per name at any instant: two that are valid at once must not both stand
 *  (FM_EEXIST). */
FM_NODISCARD fm_status fm_issue_check_unique(const fm_ca *ca, const fm_cert_plan *plan);

/* ---- issued.c: the record of what the CA signed, issued/NAME-SERIAL.crt ---- */

/** All recorded certificates of that name. @param out  sk_X509_pop_free(.., X509_free). */
FM_NODISCARD fm_status fm_issued_find(const fm_ca *ca, const char *name, STACK_OF(X509) * *out);
/** File name of a record below the CA's directory. */
#define FM_ISSUED_MAX (sizeof "issued/-.crt" + FM_NAME_MAX + 32u)
void fm_issued_name(const char *name, const uint8_t serial[16], char out[FM_ISSUED_MAX]);

/* ---- created.c: files of one step, taken back together when the step fails ---- */

#define FM_CREATED_MAX 6
typedef struct {
    char *paths[FM_CREATED_MAX];
    size_t count;
} fm_created;

/** fm_file_create of dir/name. */
FM_NODISCARD fm_status fm_created_add(fm_created *c, const char *dir, const char *name,
                                      const void *data, size_t len, mode_t mode);
FM_NODISCARD fm_status fm_created_add_key(fm_created *c, const char *dir, const char *name,
                                          const EVP_PKEY *k);
/** Forget the list; remove the files unless `keep`. */
void fm_created_end(fm_created *c, bool keep);
/** Remove what a process that was killed left of temporary files: .NAME.*.tmp, for every name that
 *  begins with `prefix`. Only where nobody else can be at work in the folder. */
void fm_created_sweep(const char *dir, const char *prefix);
/** Whether dir/name is there. */
FM_NODISCARD fm_status fm_exists_in(const char *dir, const char *name, bool *out);

#endif
