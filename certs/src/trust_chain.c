/* The chain check against the pinned CAs and their lists (RFC 5280, 6.1). */
#include <openssl/err.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/certs/past.h"
#include "trust_internal.h"

#define WHO_MAX 96

/** What people call a CA: its common name, or nothing better. */
static void name_of(const X509 *x, char out[WHO_MAX])
{
    if (!x || X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, out, WHO_MAX) < 1)
        (void)X509_NAME_oneline(x ? X509_get_subject_name(x) : NULL, out, WHO_MAX);
    for (char *c = out; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

static bool is_pinned(const fm_trust *t, const X509 *x)
{
    for (size_t i = 0; x && i < t->ca_count; i++)
        if (X509_cmp(x, t->cas[i]) == 0)
            return true;
    return false;
}

/** When the list ends that would have to tell about x. */
static int64_t list_end(const fm_trust *t, const X509 *x)
{
    for (size_t i = 0; x && i < t->list_count; i++)
        if (X509_NAME_cmp(X509_get_subject_name(t->lists[i].issuer), X509_get_issuer_name(x)) == 0)
            return t->lists[i].ends_s;
    return 0;
}

/** Of a CA on the way, not of the member. */
static fm_status ca_failed(const fm_trust *t, const X509 *x, int error)
{
    const bool pinned = is_pinned(t, x);
    int64_t from_s = 0;
    char who[WHO_MAX], from[32];

    name_of(x, who);
    if (x && fm_ssl_time(X509_get0_notBefore(x), &from_s) != FM_OK)
        from_s = 0;
    fm_clock_format(from_s, from, sizeof from);
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        if (pinned)
            return fm_fail(FM_EAUTH, "the CA itself has expired; the consortium needs a new one");
        return fm_fail(FM_EAUTH, "the intermediate CA '%s' has expired; its PKI must renew it",
                       who);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return fm_fail(FM_EAUTH,
                       "the CA '%s' is not valid before %s; check the clocks of both machines", who,
                       from);
    case X509_V_ERR_CERT_REVOKED:
        return fm_fail(FM_EAUTH, "the intermediate CA '%s' is revoked, and all that it issued",
                       who);
    case X509_V_ERR_INVALID_CA:
    case X509_V_ERR_INVALID_NON_CA:
    case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
    case X509_V_ERR_CA_CERT_MISSING_KEY_USAGE:
        return fm_fail(FM_EAUTH, "issued by '%s', which is no CA and may sign no certificates",
                       who);
    default:
        return fm_fail(FM_EAUTH, "refused: the CA '%s': %s", who,
                       X509_verify_cert_error_string(error));
    }
}

static fm_status list_failed(const fm_trust *t, const X509 *x, int error)
{
    char list[32], who[WHO_MAX] = "?";

    if (x)
        (void)X509_NAME_get_text_by_NID(X509_get_issuer_name(x), NID_commonName, who, sizeof who);
    fm_clock_format(list_end(t, x), list, sizeof list);
    switch (error) {
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return fm_fail(FM_EAUTH,
                       "cannot be checked: the revocation list crl.pem expired on %s; fetch the "
                       "CA's current one ('fedmoe-certs refresh' makes it), or, if that is not "
                       "over yet, set this machine's clock right",
                       list);
    case X509_V_ERR_CRL_NOT_YET_VALID:
        return fm_fail(FM_EAUTH, "cannot be checked: the revocation list crl.pem is from the "
                                 "future; check this machine's clock");
    default:
        return fm_fail(FM_EAUTH,
                       "cannot be checked: crl.pem holds no revocation list of the CA '%s'; put it "
                       "in there, too",
                       who);
    }
}

/** The texts of what goes wrong in practice. */
static fm_status chain_failed(const fm_trust *t, const fm_cert_info *info, X509_STORE_CTX *ctx)
{
    const int error = X509_STORE_CTX_get_error(ctx);
    const X509 *at = X509_STORE_CTX_get_current_cert(ctx);
    char from[32], to[32];

    ERR_clear_error();
    fm_clock_format(info->not_before_s, from, sizeof from);
    fm_clock_format(info->not_after_s, to, sizeof to);
    switch (error) {
    case X509_V_ERR_OUT_OF_MEM:
        return fm_fail(FM_ENOMEM, "no memory to check a certificate");
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return list_failed(t, at, error);
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
        return fm_fail(FM_EAUTH, "more intermediate CAs stand above it than are allowed");
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return fm_fail(FM_EAUTH,
                       "not issued by the pinned CA of federation '%s', nor by an intermediate CA "
                       "that came with it; compare the CA fingerprints of both sides "
                       "('fedmoe-certs show')",
                       t->federation);
    default:
        break;
    }
    if (X509_STORE_CTX_get_error_depth(ctx) > 0)
        return ca_failed(t, at, error);
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return fm_fail(FM_EAUTH, "expired on %s; the coordinator must issue a new one", to);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return fm_fail(FM_EAUTH, "not valid before %s; check the clocks of both machines", from);
    case X509_V_ERR_CERT_REVOKED:
        return fm_fail(FM_EAUTH, "revoked by the CA; the coordinator must issue a new one");
    default:
        return fm_fail(FM_EAUTH, "refused: %s", X509_verify_cert_error_string(error));
    }
}

/** @param links  what may stand between x and a pinned CA; freed by the caller, not its elements. */
static bool set_up(X509_STORE_CTX *ctx, const fm_trust *t, X509 *x, STACK_OF(X509) * links,
                   int64_t now_s)
{
    X509_VERIFY_PARAM *param;

    if (!ctx || !links || X509_STORE_CTX_init(ctx, t->store, x, links) != 1)
        return false;
    param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t)now_s);
    X509_VERIFY_PARAM_set_depth(param, FM_INTERMEDIATES_MAX);
    X509_VERIFY_PARAM_set_auth_level(param, 3); /* 128 bits, keys and digests */
    return X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_ANY) == 1;
}

/** Those that came with it first: OpenSSL takes the first that fits. */
static STACK_OF(X509) * links_of(const fm_trust *t, STACK_OF(X509) * sent)
{
    STACK_OF(X509) *links = sk_X509_new_null();
    bool ok = links != NULL;

    for (int i = 0; ok && i < sk_X509_num(sent); i++)
        ok = sk_X509_push(links, sk_X509_value(sent, i)) > 0;
    for (int i = 0; ok && i < sk_X509_num(t->known); i++)
        ok = sk_X509_push(links, sk_X509_value(t->known, i)) > 0;
    if (ok)
        return links;
    sk_X509_free(links);
    return NULL;
}

static fm_status no_memory(void)
{
    return fm_ssl_fail(FM_ENOMEM, "cannot set up the check of a certificate");
}

fm_status fm_trust_check_chain(const fm_trust *t, X509 *x, STACK_OF(X509) * sent,
                               const fm_cert_info *info, int64_t now_s)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *links = links_of(t, sent);
    fm_status st = FM_OK;

    if (!set_up(ctx, t, x, links, now_s))
        st = no_memory();
    else if (X509_verify_cert(ctx) != 1)
        st = chain_failed(t, info, ctx);
    X509_STORE_CTX_free(ctx);
    sk_X509_free(links);
    return st;
}

#define NO_LISTS (X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL)

/** By signatures and form alone. */
static fm_status chain_at_any_time(const fm_trust *t, X509 *x, STACK_OF(X509) * sent,
                                   const fm_cert_info *info, STACK_OF(X509) * *chain)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *links = links_of(t, sent);
    X509_VERIFY_PARAM *param;
    fm_status st = FM_OK;

    if (!set_up(ctx, t, x, links, 0)) {
        st = no_memory();
        goto done;
    }
    param = X509_STORE_CTX_get0_param(ctx);
    if (X509_VERIFY_PARAM_clear_flags(param, NO_LISTS | X509_V_FLAG_USE_CHECK_TIME) != 1 ||
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME) != 1)
        st = no_memory();
    else if (X509_verify_cert(ctx) != 1)
        st = chain_failed(t, info, ctx);
    else if (!(*chain = X509_STORE_CTX_get1_chain(ctx)))
        st = no_memory();
done:
    X509_STORE_CTX_free(ctx);
    sk_X509_free(links);
    return st;
}

fm_status fm_trust_chain_of_ca(const fm_trust *t, X509 *ca, STACK_OF(X509) * *chain)
{
    const fm_cert_info any = { 0 };

    return chain_at_any_time(t, ca, NULL, &any, chain);
}

fm_status fm_trust_valid_since(const fm_trust *t, X509 *x, STACK_OF(X509) * sent,
                               const fm_cert_info *info, int64_t *out)
{
    STACK_OF(X509) *chain = NULL;
    int64_t since = 0, from = 0;
    fm_status st = chain_at_any_time(t, x, sent, info, &chain);

    for (int i = 0; st == FM_OK && i < sk_X509_num(chain); i++)
        if ((st = fm_ssl_time(X509_get0_notBefore(sk_X509_value(chain, i)), &from)) == FM_OK &&
            from > since)
            since = from;
    sk_X509_pop_free(chain, X509_free);
    if (st == FM_OK)
        *out = since;
    return st;
}

/** When a list that this trust holds says that somebody of the chain was revoked first; 0: none. */
static fm_status revocation_of(const fm_trust *t, const STACK_OF(X509) * chain, int64_t *out)
{
    int64_t first = 0;

    for (int i = 0; i + 1 < sk_X509_num(chain); i++) {
        const fm_trust_held *l = fm_trust_list_of(t, sk_X509_value(chain, i + 1));
        X509_REVOKED *entry = NULL;
        int64_t when = 0;
        fm_status st;

        if (!l || X509_CRL_get0_by_cert(l->crl, &entry, sk_X509_value(chain, i)) != 1)
            continue;
        if ((st = fm_ssl_time(X509_REVOKED_get0_revocationDate(entry), &when)) != FM_OK)
            return st;
        if (first == 0 || when < first)
            first = when;
    }
    *out = first;
    return FM_OK;
}

fm_status fm_trust_check_past(const fm_trust *t, X509 *x, STACK_OF(X509) * sent,
                              const fm_cert_info *info, int64_t at_s, int64_t *revoked_s)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *links = links_of(t, sent);
    int64_t revoked = 0, then_s = at_s;
    char when[32];
    fm_status st = FM_OK;

    if (at_s == FM_PAST_ANY)
        st = fm_trust_valid_since(t, x, sent, info, &then_s);
    if (st != FM_OK)
        goto done;
    if (!set_up(ctx, t, x, links, then_s) ||
        X509_VERIFY_PARAM_clear_flags(X509_STORE_CTX_get0_param(ctx), NO_LISTS) != 1)
        st = no_memory();
    else if (X509_verify_cert(ctx) != 1)
        st = chain_failed(t, info, ctx);
    else
        st = revocation_of(t, X509_STORE_CTX_get0_chain(ctx), &revoked);
done:
    X509_STORE_CTX_free(ctx);
    sk_X509_free(links);
    if (st != FM_OK)
        return st;
    if (revoked != 0 && at_s != FM_PAST_ANY && revoked <= at_s) {
        fm_clock_format(revoked, when, sizeof when);
        return fm_fail(FM_EAUTH, "revoked by the CA on %s, before this was signed", when);
    }
    if (revoked_s)
        *revoked_s = revoked;
    return FM_OK;
}
