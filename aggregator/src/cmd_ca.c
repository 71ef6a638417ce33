/* What revoke and rotate share: the CA's folder and the aggregator's belong together. */
#include "commands.h"

static bool share_a_ca(const fm_trust *a, const fm_trust *b)
{
    for (size_t i = 0; i < fm_trust_ca_count(a); i++)
        for (size_t k = 0; k < fm_trust_ca_count(b); k++)
            if (fm_hash_equal(&fm_trust_ca_info(a, i)->fingerprint,
                              &fm_trust_ca_info(b, k)->fingerprint))
                return true;
    return false;
}

fm_status fm_cmd_check_ca(const char *dir, const char *ca)
{
    fm_trust *pinned = NULL, *given = NULL;
    fm_status st;

    if ((st = fm_trust_load(dir, &pinned)) == FM_OK && (st = fm_trust_load(ca, &given)) == FM_OK &&
        !share_a_ca(pinned, given))
        st = fm_fail(FM_EAUTH, "%s is not the CA of the federation in %s", ca, dir);
    fm_trust_free(&pinned);
    fm_trust_free(&given);
    return st;
}

/** A list that the folder has already, or of a CA that it has dropped, changes nothing. */
static fm_status take_list(fm_trust **t, const fm_trust *from, size_t i)
{
    fm_trust *fresh = NULL;
    fm_crl_view list;
    fm_status st;

    fm_trust_list(from, i, &list);
    st = fm_trust_revise_path(*t, list.der, list.len, &list.path, &fresh);
    if (st == FM_EAUTH)
        return FM_OK;
    if (fresh) {
        fm_trust_free(t);
        *t = fresh;
    }
    return st;
}

fm_status fm_cmd_bring_lists(const char *dir, const fm_trust *from)
{
    fm_trust *t = NULL;
    fm_status st = fm_trust_load(dir, &t);

    for (size_t i = 0; st == FM_OK && i < fm_trust_list_count(from); i++)
        st = take_list(&t, from, i);
    if (st == FM_OK)
        st = fm_trust_save_crl(t, dir);
    fm_trust_free(&t);
    return st;
}
