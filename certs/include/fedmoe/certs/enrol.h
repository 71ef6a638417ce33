/*
 * Enrolment: a member makes its own key and a request for a certificate (PKCS #10, RFC 2986), the
 * CA signs it, and the member checks what comes back. The key never leaves the member's folder.
 *
 * A request names its member as a certificate does: exactly one URI urn:fedmoe:ROLE:FEDERATION:NAME
 * among its alternative names. Pure but for the files named; for any thread.
 */
#ifndef FEDMOE_CERTS_ENROL_H
#define FEDMOE_CERTS_ENROL_H

#include "fedmoe/certs/identity.h"

#define FM_REQUEST_MAX_BYTES 4096u /* DER */

typedef struct {
    fm_role role;
    char name[FM_NAME_MAX + 1];
    char federation[FM_NAME_MAX + 1];
    fm_key_type type;
    fm_hash key; /* of the public key (SubjectPublicKeyInfo), label "fedmoe key" */
} fm_request_info;

typedef struct {
    fm_role role;
    const char *federation, *name;
    fm_key_type type;    /* of a key that is made here */
    const char *key_uri; /* NULL: a file; else a key in a token (pkcs11:..., docs/pki.md) */
} fm_request_plan;

/**
 * A request by the key in dir/identity.key, or in the token that dir/identity.uri names. When neither
 * is there, the key is made: in identity.key (0600, synced), or in the token of key_uri unless it has
 * it already, and identity.uri. A second call asks for the same key.
 *
 * @param out  DER; initialised here (fm_buf_fini).
 * @return FM_OK; FM_EEXIST when dir holds identity.crt already; FM_EINVAL a name; FM_EPERM,
 *         FM_EPARSE the key's file; FM_EIO; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_request_begin(const char *dir, const fm_request_plan *plan, fm_buf *out);
/** The same for a node. */
FM_NODISCARD fm_status fm_request_make(const char *dir, fm_key_type type, const char *federation,
                                       const char *name, fm_buf *out);

/** Exactly one request, signed by its own key; FM_EPROTO, FM_EAUTH, FM_ENOMEM. */
FM_NODISCARD fm_status fm_request_check(const uint8_t *der, size_t len, fm_request_info *out);

/**
 * Sign the request with the CA in `ca_dir`. The CA's record is written first, and asked first: the
 * same key and name get the certificate that they had, as long as it is neither revoked nor over,
 * so that an answer that was lost can be given again.
 *
 * @param days  of validity; ends with the CA at the latest.
 * @param cert  DER; initialised here.
 * @return FM_OK; FM_EEXIST when the name has a certificate for another key; FM_EPROTO, FM_EAUTH
 *         the request; FM_ETIMEOUT another process holds the CA: it is not waited for, this is
 *         called between rounds; else as fm_ca_issue.
 */
FM_NODISCARD fm_status fm_ca_sign_request(const char *ca_dir, const uint8_t *der, size_t len,
                                          unsigned days, fm_buf *cert);

/**
 * The same for a certificate that nears its end: the next one of the same key, name and length of
 * life. One that was made already (its answer was lost) is given again until a third of its own
 * life is left. Old and new are both valid then; revoking the name covers both.
 *
 * @return FM_OK; FM_EAUTH when the key holds no certificate of that name that still stands;
 *         FM_ESTATE when it lasts as long as the CA itself: nothing is signed then.
 */
FM_NODISCARD fm_status fm_ca_renew_request(const char *ca_dir, const uint8_t *der, size_t len,
                                           fm_buf *cert);

/** Whether less than a third of a certificate's life is left. */
bool fm_cert_is_due(const fm_cert_info *info, int64_t now_s);
/** A request by the identity's own key, for its own name. @param out  DER; initialised here. */
FM_NODISCARD fm_status fm_identity_request(const fm_identity *id, fm_buf *out);
/**
 * Put the next certificate of this identity in place of dir/identity.crt, if it is one: under `t`,
 * for the same key, role, name, valid now and for longer. The identity itself stays as it is; load
 * it again. FM_EAUTH, FM_EPROTO, FM_EIO.
 */
FM_NODISCARD fm_status fm_identity_renew(const char *dir, const fm_identity *id, const fm_trust *t,
                                         const uint8_t *der, size_t len, int64_t now_s);

/* ---- certificates of another PKI: docs/pki.md ---- */

/** fm_request_begin, and the request in dir/identity.csr (PEM). @param path  out, free. */
FM_NODISCARD fm_status fm_request_write(const char *dir, const fm_request_plan *plan, char **path);

#define FM_ADOPT_FILES_MAX 16u
/** What the PKI gave back: PEM files; a file may hold several. */
typedef struct {
    const char *certificate;              /* the member's first; its CAs may stand behind it */
    const char *chain;                    /* intermediate CAs; NULL: none, or above */
    const char *ca;                       /* self-signed; NULL: dir/ca.crt is there already */
    const char *crls[FM_ADOPT_FILES_MAX]; /* lists, and intermediate CAs that sign them */
    size_t crl_count;
} fm_adoption;

/**
 * Check all of it and make it the identity in `dir`, whose key and identity.csr asked for it: the
 * certificate is for this key and for what was asked, of the form that members must have, and
 * verifies against the CA, its lists and the lists that the folder has. Writes ca.crt (never
 * over another), federation when the CA names none, crl.pem, and last identity.crt, with the
 * intermediate CAs that it needs behind it. For a next certificate, too.
 *
 * @return FM_OK; FM_EAUTH with what does not fit (nothing is written then); FM_EEXIST another CA or
 *         another name's identity is here; FM_EPARSE, FM_ENOTFOUND a file; FM_EREPLAY an older
 *         list; FM_EIO; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_identity_adopt(const char *dir, const fm_adoption *a, int64_t now_s);

/** What the CA's side answered to a request; all DER, borrowed. */
typedef struct {
    const uint8_t *cert, *ca, *crl;
    size_t cert_len, ca_len, crl_len; /* crl_len 0: no list */
    /* Of a CA with a successor (fedmoe/certs/succession.h): the CA, by which the certificate is then,
     * the signature that names it, its list. All 0: none. */
    const uint8_t *next, *next_signature, *next_crl;
    size_t next_len, next_signature_len, next_crl_len;
} fm_enrolment;

/**
 * Check the answer and make it the identity in `dir`, whose key made the request: the CA is the
 * one of `ca_fingerprint`, the list is its own, the certificate is for this key, role node, this
 * federation and name, and valid now, by the newest list that was sent or lies in the folder; a
 * successor was named by the CA. Writes ca.crt, crl.pem and, last, identity.crt.
 *
 * @return FM_OK; FM_EAUTH with what does not fit (nothing is written then); FM_EEXIST another CA is
 *         pinned in the folder; FM_EPROTO; FM_EIO.
 */
FM_NODISCARD fm_status fm_identity_install(const char *dir, const fm_hash *ca_fingerprint,
                                           const char *federation, const char *name,
                                           const fm_enrolment *e, int64_t now_s);

#endif
