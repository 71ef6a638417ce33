/* The chain check, for peer.c. */
#ifndef FEDMOE_CERTS_TRUST_INTERNAL_H
#define FEDMOE_CERTS_TRUST_INTERNAL_H

#include "certs_internal.h"

/** Whether it is a CA's own certificate, signed by its own key. @param where for the text. */
FM_NODISCARD fm_status fm_ca_cert_check(const char *where, X509 *ca, const fm_cert_facts *facts);

/** A trust in `ca` alone, without a list; takes a reference of its own. FM_ENOMEM. */
FM_NODISCARD fm_status fm_trust_new(X509 *ca, const fm_cert_info *info, fm_trust **out);

/**
 * Chain to the pinned CA, signature, validity at now_s, revocation.
 * @param info  of x, for the error text.
 * @return FM_OK; FM_EAUTH; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_trust_check_chain(const fm_trust *t, X509 *x, const fm_cert_info *info,
                                            int64_t now_s);

/** The same as of a time in the past, or FM_PAST_ANY: fedmoe/certs/past.h. */
FM_NODISCARD fm_status fm_trust_check_past(const fm_trust *t, X509 *x, const fm_cert_info *info,
                                           int64_t at_s, int64_t *revoked_s);

#endif
