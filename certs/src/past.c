/* What was good when it was signed: for those who check a record long after. */
#include "fedmoe/certs/past.h"
#include "certs_internal.h"

fm_status fm_credential_verify_past(const fm_trust *t, const fm_credential *c, fm_role role,
                                    fm_past_credential *out)
{
    fm_past_credential past = { 0 };
    fm_peer *signer = NULL;
    fm_ca_path path;
    int64_t since_s = 0;
    fm_status st;

    if (!t || !c || !out)
        return fm_fail(FM_EINVAL, "fm_credential_verify_past: NULL argument");
    if ((st = fm_credential_check_lengths(c)) != FM_OK)
        return st;
    path = fm_credential_path(c);
    /* At any time first: whose key it is that has signed the time. */
    if ((st = fm_peer_verify_past(t, c->cert, c->cert_len, &path, role, FM_PAST_ANY, &signer,
                                  NULL)) != FM_OK ||
        (st = fm_credential_statement(signer, c, &past.statement)) != FM_OK ||
        (st = fm_peer_since(t, signer, &since_s)) != FM_OK)
        goto done;
    past.made_s = past.statement.not_after_s - FM_STATEMENT_VALID_S;
    if (past.made_s < since_s)
        past.made_s = since_s;
    st = fm_peer_verify_past(t, c->cert, c->cert_len, &path, role, past.made_s, &past.peer,
                             &past.revoked_s);
    if (st == FM_OK)
        *out = past;
done:
    fm_peer_free(&signer);
    return st;
}
