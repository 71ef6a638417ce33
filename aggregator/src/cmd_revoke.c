#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "fedmoe/aggregator/invitations.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/file.h"

#define COPY_TRIES 20

/** An old list that lies there is replaced: fm_trust_save_crl looks whose it is. */
static fm_status check_ca(const char *dir, const char *ca)
{
    char *key = NULL;
    fm_status st = fm_cmd_check_ca(dir, ca);

    if (st != FM_OK && st != FM_EREPLAY)
        return st;
    /* A member's folder has the CA's certificate, too. */
    if ((st = fm_path_join(ca, "ca.key", &key)) == FM_OK && !fm_file_exists(key))
        st = fm_fail(FM_ENOTFOUND,
                     "%s is not there: %s is no folder of a CA; give the one that fedmoe-certs ca "
                     "made, or of a CA of your own see docs/pki.md",
                     key, ca);
    free(key);
    return st;
}

static fm_status withdraw(const char *dir, const char *name, uint32_t *count)
{
    fm_invitations *store = NULL;
    fm_status st = fm_invitations_open(dir, false, &store);

    if (st == FM_OK)
        st = fm_invitations_withdraw(store, name, count);
    else if (st == FM_ENOTFOUND)
        st = FM_OK; /* nobody was ever invited */
    fm_invitations_close(&store);
    return st;
}

/** The CA's lists in place of its older ones; beside those of others. */
static fm_status bring_lists(const char *dir, const fm_trust *from)
{
    const fm_status st = fm_cmd_bring_lists(dir, from);

    /* An older one was put there, which this replaces; or a newer one came, which it does not. */
    return st == FM_EREPLAY ? fm_trust_save_crl(from, dir) : st;
}

/** Another command may bring a newer list meanwhile, which has all that this one has. */
static fm_status copy_list(const char *dir, const char *ca, uint64_t *number)
{
    fm_trust *t = NULL;
    fm_status st = FM_OK;

    for (int i = 0; i < COPY_TRIES; i++) {
        const uint64_t before = *number;

        if ((st = fm_trust_load(ca, &t)) == FM_OK) {
            *number = fm_trust_crl_number(t);
            st = bring_lists(dir, t);
        }
        fm_trust_free(&t);
        if (st != FM_EREPLAY || *number == before)
            break;
    }
    return st;
}

/**
 * Interrupted anywhere, the same command again does the rest. The code goes first: nobody joins
 * with it after the revocation. But nothing about codes stands in the way of that.
 */
static fm_status revoke(const char *dir, const char *ca, const char *name, uint64_t *number)
{
    char why[1024] = "";
    uint32_t withdrawn = 0;
    fm_status st, codes;

    if ((st = fm_name_check(name)) != FM_OK || (st = check_ca(dir, ca)) != FM_OK)
        return st;
    if ((codes = withdraw(dir, name, &withdrawn)) != FM_OK)
        (void)snprintf(why, sizeof why, "%s", fm_error_text());
    st = fm_ca_revoke(ca, name);
    if (st == FM_ENOTFOUND && withdrawn > 0)
        st = FM_OK; /* it never came: its code was all there was */
    if (st == FM_OK)
        st = copy_list(dir, ca, number);
    if (st == FM_ENOTFOUND && codes != FM_OK)
        return fm_fail(codes, "%s", why);
    if (st != FM_OK || codes == FM_OK)
        return st;
    return fm_fail(codes,
                   "'%s' is revoked (list %llu is in %s), but a join code of it may still be open: "
                   "%s",
                   name, (unsigned long long)*number, dir, why);
}

int fm_cmd_revoke(int argc, char **argv)
{
    const char *dir = ".", *ca = NULL;
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &dir, "DIR", "made by init; default: here", false, 0, 0 },
        { "ca", FM_CLI_STRING, &ca, "DIR", "the CA's directory", true, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-aggregator revoke",
        .summary = "Take a node out of the federation: every certificate of that name is revoked, "
                   "open join codes of it are withdrawn. The CA's new list is in force at this "
                   "aggregator before its next round, and at every node, too.",
        .examples = "fedmoe-aggregator revoke hospital-a --ca ca --directory agg",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .operands = "NAME",
        .operands_min = 1,
        .operands_max = 1,
    };
    uint64_t number = 0;
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (revoke(dir, ca, argv[first], &number) != FM_OK)
        return fm_cli_failed(spec.program);
    printf("'%s' is revoked; revocation list %llu is in %s\n", argv[first],
           (unsigned long long)number, dir);
    return 0;
}
