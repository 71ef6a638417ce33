/* What was good when it was signed: for those who check a record long after. */
#include <string.h>

#include "certs_internal.h"
#include "fedmoe/certs/past.h"

#define LABEL "fedmoe statement v1"

static fm_status check_statement(const fm_peer *p, const fm_credential *c, fm_statement *out)
{
    const fm_cert_info *info = fm_peer_info(p);
    fm_statement s;
    fm_status st;

    /* The signature before the content: nothing unsigned is ever parsed. */
    if ((st = fm_peer_check_signature(p, LABEL, c->statement, c->statement_len, c->signature,
                                      c->signature_len)) != FM_OK)
        return st;
    if ((st = fm_statement_decode(c->statement, c->statement_len, &s)) != FM_OK)
        return fm_fail_context(st == FM_ENOMEM ? st : FM_EAUTH, "from '%s': ", info->name);
    if (s.role != info->role || strcmp(s.name, info->name) != 0 ||
        strcmp(s.federation, info->federation) != 0)
        return fm_fail(FM_EAUTH, "'%s' signed a statement for %s '%s' of '%s'", info->name,
                       fm_role_name(s.role), s.name, s.federation);
    *out = s;
    return FM_OK;
}

fm_status fm_credential_verify_past(const fm_trust *t, const fm_credential *c, fm_role role,
                                    fm_past_credential *out)
{
    fm_past_credential past = { 0 };
    fm_peer *signer = NULL;
    fm_ca_path path;
    fm_status st;

    if (!t || !c || !out)
        return fm_fail(FM_EINVAL, "fm_credential_verify_past: NULL argument");
    if ((st = fm_credential_check_lengths(c)) != FM_OK)
        return st;
    path = fm_credential_path(c);
    /* At any time first: whose key it is that has signed the time. */
    if ((st = fm_peer_verify_past(t, c->cert, c->cert_len, &path, role, FM_PAST_ANY, &signer,
                                  NULL)) != FM_OK ||
        (st = check_statement(signer, c, &past.statement)) != FM_OK)
        goto done;
    past.made_s = past.statement.not_after_s - FM_STATEMENT_VALID_S;
    if (past.made_s < fm_peer_info(signer)->not_before_s)
        past.made_s = fm_peer_info(signer)->not_before_s;
    st = fm_peer_verify_past(t, c->cert, c->cert_len, &path, role, past.made_s, &past.peer,
                             &past.revoked_s);
    if (st == FM_OK)
        *out = past;
done:
    fm_peer_free(&signer);
    return st;
}
