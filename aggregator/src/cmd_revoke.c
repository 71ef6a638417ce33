#include <stdio.h>

#include "commands.h"
#include "fedmoe/aggregator/invitations.h"
#include "fedmoe/base/cli.h"

static fm_status withdraw(const char *dir, const char *name, uint32_t *count)
{
    fm_invitations *store = NULL;
    fm_status st = fm_invitations_open(dir, &store);

    if (st == FM_OK)
        st = fm_invitations_withdraw(store, name, count);
    fm_invitations_close(&store);
    return st;
}

/** Interrupted anywhere, the same command again does the rest. */
static fm_status revoke(const char *dir, const char *ca, const char *name, uint64_t *number)
{
    fm_trust *t = NULL;
    uint32_t withdrawn = 0;
    fm_status st;

    if ((st = fm_name_check(name)) != FM_OK || (st = fm_cmd_check_ca(dir, ca)) != FM_OK ||
        (st = withdraw(dir, name, &withdrawn)) != FM_OK)
        return st;
    st = fm_ca_revoke(ca, name);
    if (st == FM_ENOTFOUND && withdrawn > 0)
        st = FM_OK; /* it never came: its code was all there was */
    if (st == FM_OK && (st = fm_trust_load(ca, &t)) == FM_OK &&
        (st = fm_cmd_bring_lists(dir, t)) == FM_OK)
        *number = fm_trust_crl_number(t);
    fm_trust_free(&t);
    return st;
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
                   "aggregator within a second, and at every node before its next round.",
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
