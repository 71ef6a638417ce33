/*
 * Certificates and credentials as of the time when something was signed with them: for records that
 * are checked later, when certificates have ended, or were revoked for reasons that came later.
 * Never for a peer that is here now: that is fm_peer_verify and fm_credential_verify.
 */
#ifndef FEDMOE_CERTS_PAST_H
#define FEDMOE_CERTS_PAST_H

#include "fedmoe/certs/statement.h"

/** Instead of a time: when the certificate, and every CA above it, had begun; whether or not it was
 *  revoked. */
#define FM_PAST_ANY INT64_MIN

/**
 * As fm_peer_verify at the time `at_s`, but that a revocation counts from its own date on: the CA's
 * lists are of today, and say when they revoked whom. Whether they are current is not checked.
 *
 * @param revoked_s  out: when the certificate was revoked, after at_s; 0: it is not. May be NULL.
 * @return FM_OK; FM_EAUTH; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_peer_verify_past(const fm_trust *t, const uint8_t *der, size_t len,
                                           const fm_ca_path *path, fm_role role, int64_t at_s,
                                           fm_peer **out, int64_t *revoked_s);

typedef struct {
    fm_statement statement;
    int64_t made_s;    /* the earliest time at which anyone can have accepted the statement */
    int64_t revoked_s; /* as above */
    fm_peer *peer;     /* owned by the caller: fm_peer_free */
} fm_past_credential;

/**
 * As fm_credential_verify at the time of its own statement: FM_STATEMENT_VALID_S before the end
 * that it names, or the beginning of the certificate (and of the CAs above it) if that is later. The member signed that time
 * itself; nobody accepted the statement earlier, and whoever holds the key later cannot make it
 * older than the certificate.
 */
FM_NODISCARD fm_status fm_credential_verify_past(const fm_trust *t, const fm_credential *c,
                                                 fm_role role, fm_past_credential *out);

#endif
