/* The inside of a trust, for the files that fill, use and keep it. */
#ifndef FEDMOE_CERTS_TRUST_INTERNAL_H
#define FEDMOE_CERTS_TRUST_INTERNAL_H

#include "certs_internal.h"

#define FM_KNOWN_MAX 32

/** A list in use; one for each CA. */
typedef struct {
    X509_CRL *crl;
    X509 *issuer; /* who signed it: a pinned CA or a known intermediate */
    uint64_t number;
    int64_t ends_s;
    fm_buf der;
    fm_buf path[FM_INTERMEDIATES_MAX]; /* the issuer and those above it, DER; empty: it is pinned */
    size_t path_count;
} fm_trust_held;

struct fm_trust {
    X509_STORE *store; /* the pinned CAs and the lists; nothing else */
    X509 *cas[FM_CAS_MAX];
    fm_cert_info infos[FM_CAS_MAX];
    fm_buf ders[FM_CAS_MAX];
    size_t ca_count;
    STACK_OF(X509) * known; /* intermediate CAs: links of chains, never their ends */
    fm_trust_held lists[FM_LISTS_MAX];
    size_t list_count;
    char federation[FM_NAME_MAX + 1];
    uint8_t succession[FM_SIGNATURE_MAX]; /* of the second CA by the first, if it came so */
    size_t succession_len;
};

/* ---- trust.c: making one ---- */

/** Whether it is a CA's own certificate, signed by its own key. @param where for the text. */
FM_NODISCARD fm_status fm_ca_cert_check(const char *where, X509 *ca, const fm_cert_facts *facts);
/** A trust in nothing. FM_ENOMEM. */
FM_NODISCARD fm_status fm_trust_begin(fm_trust **out);
/** Pin a CA; takes a reference of its own. FM_EAUTH for one of another federation. */
FM_NODISCARD fm_status fm_trust_pin(fm_trust *t, X509 *ca, const fm_cert_info *info);
/** Both of the above. */
FM_NODISCARD fm_status fm_trust_new(X509 *ca, const fm_cert_info *info, fm_trust **out);
/** The CAs of a file like ca.crt; `federation` is that of CAs that name none. */
FM_NODISCARD fm_status fm_trust_load_file(const char *path, const char *federation, fm_trust **out);
/** dir/ca.crt alone. */
FM_NODISCARD fm_status fm_trust_load_cas(const char *dir, fm_trust **out);
/** The texts of ca.crt and crl.pem. @param pem  initialised here. */
FM_NODISCARD fm_status fm_trust_cas_pem(const fm_trust *t, fm_buf *pem);
FM_NODISCARD fm_status fm_trust_lists_pem(const fm_trust *t, fm_buf *pem);
/** The same CAs and intermediates, and all lists but that of `but` (NULL: all). */
FM_NODISCARD fm_status fm_trust_copy(const fm_trust *t, const X509 *but, fm_trust **out);
/** The same of one of the CAs alone, with the lists that lead to it. */
#define FM_TRUST_ALL SIZE_MAX
FM_NODISCARD fm_status fm_trust_copy_of(const fm_trust *t, size_t only, const X509 *but,
                                        fm_trust **out);

/* ---- trust_lists.c ---- */

/** A known intermediate CA, if it leads to a pinned one; twice does no harm. FM_EAUTH. */
FM_NODISCARD fm_status fm_trust_know(fm_trust *t, X509 *x);
/**
 * Use the list: its signer is looked for among the CAs that are pinned or known.
 * @param where  of the list, for the text.
 * @param crl    ownership moves, also on failure.
 */
FM_NODISCARD fm_status fm_trust_add_list(fm_trust *t, const char *where, X509_CRL *crl);
/** The list in use of that CA (the same name and key); NULL: none. */
const fm_trust_held *fm_trust_list_of(const fm_trust *t, const X509 *ca);
/** A file like crl.pem. @param only_ours  lists of other CAs are passed over; else FM_EAUTH. */
FM_NODISCARD fm_status fm_trust_read_lists(fm_trust *t, const char *path, bool only_ours);
/** dir/crl.pem, when it is there; FM_EREPLAY when it is older than what was held there. */
FM_NODISCARD fm_status fm_trust_load_lists(fm_trust *t, const char *dir);
void fm_trust_held_fini(fm_trust_held *l);

/* ---- trust_held.c: what was in force ---- */

/** The CAs with the lists that were in force in the folder. */
FM_NODISCARD fm_status fm_trust_floor(const fm_trust *cas, const char *dir, fm_trust **out);
/** FM_EREPLAY, with what to do, when t has an older list than the floor, or lacks one. */
FM_NODISCARD fm_status fm_trust_check_floor(const fm_trust *floor, const fm_trust *t,
                                            const char *dir);
/**
 * The folder's CAs become those of `rest`, some of its own, and its lists theirs. Interrupted
 * anywhere, the folder can be read, and the same again does the rest.
 */
FM_NODISCARD fm_status fm_trust_narrow(const fm_trust *rest, const char *dir);
/** The CAs with the newest list of each that lies in the folder; files that cannot be read, and
 *  lists of other CAs, are passed over. */
FM_NODISCARD fm_status fm_trust_newest(const fm_trust *cas, const char *dir, fm_trust **out);

/* ---- trust_chain.c: RFC 5280, 6.1 ---- */

/**
 * Chain to a pinned CA, signatures, validity at now_s, revocation.
 * @param sent  intermediate CAs that came with x, or NULL; those that are known count too.
 * @param info  of x, for the error text.
 * @return FM_OK; FM_EAUTH; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_trust_check_chain(const fm_trust *t, X509 *x, STACK_OF(X509) * sent,
                                            const fm_cert_info *info, int64_t now_s);
/** The same as of a time in the past, or FM_PAST_ANY: fedmoe/certs/past.h. */
FM_NODISCARD fm_status fm_trust_check_past(const fm_trust *t, X509 *x, STACK_OF(X509) * sent,
                                           const fm_cert_info *info, int64_t at_s,
                                           int64_t *revoked_s);
/** The first second in which the certificate and every CA above it were valid: a member's may have
 *  been dated before its CA's own beginning. */
FM_NODISCARD fm_status fm_trust_valid_since(const fm_trust *t, X509 *x, STACK_OF(X509) * sent,
                                            const fm_cert_info *info, int64_t *out);
/**
 * The chain of a CA to a pinned one by signatures and form alone: lists of CAs that have ended
 * are still read. @param chain  out, sk_X509_pop_free(.., X509_free); the CA first.
 */
FM_NODISCARD fm_status fm_trust_chain_of_ca(const fm_trust *t, X509 *ca, STACK_OF(X509) * *chain);

#endif
