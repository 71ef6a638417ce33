#include <stdio.h>

#include "commands.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/certs/succession.h"

/** ca.crt first: a list of a CA that is not pinned could not be read. */
static fm_status bring(const char *dir, const fm_trust *t)
{
    fm_status st = fm_trust_save_cas(t, dir);

    return st == FM_OK ? fm_cmd_bring_lists(dir, t) : st;
}

/** Interrupted anywhere, the same command again does the rest. */
static fm_status rotate(const char *dir, const char *ca, fm_key_type type, unsigned days,
                        fm_trust **out)
{
    fm_trust *t = NULL;
    fm_status st;

    if ((st = fm_cmd_check_ca(dir, ca)) != FM_OK)
        return st;
    st = fm_ca_rotate(ca, type, days); /* FM_EEXIST: made, and perhaps not brought yet */
    if (st != FM_OK && st != FM_EEXIST)
        return st;
    if ((st = fm_trust_load(ca, &t)) != FM_OK || (st = bring(dir, t)) != FM_OK) {
        fm_trust_free(&t);
        return st;
    }
    *out = t;
    return FM_OK;
}

static void say(const char *dir, const char *ca, const fm_trust *t)
{
    const fm_cert_info *next = fm_trust_ca_info(t, fm_trust_ca_count(t) - 1);
    char hex[2 * FM_HASH_BYTES + 1], end[32];

    fm_hash_hex(&next->fingerprint, hex);
    fm_clock_format(next->not_after_s, end, sizeof end);
    printf("the CA has a successor, until %s\nfingerprint %s\n"
           "Both count from now on. Nodes pin it before their next round and renew by themselves\n"
           "if the aggregator runs with --ca. Once all have:\n"
           "  fedmoe-certs renew --ca %s --directory %s\n"
           "  fedmoe-certs ca drop --directory %s      (here and at every member)\n"
           "and start the aggregator again\n",
           end, hex, ca, dir, dir);
}

int fm_cmd_rotate(int argc, char **argv)
{
    const char *dir = ".", *ca = NULL, *type = "ed25519";
    uint64_t days = 3650;
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &dir, "DIR", "made by init; default: here", false, 0, 0 },
        { "ca", FM_CLI_STRING, &ca, "DIR", "the CA's directory", true, 0, 0 },
        { "key-type", FM_CLI_STRING, &type, "TYPE", "ed25519 (default) or p256", false, 0, 0 },
        { "days", FM_CLI_U64, &days, "N", "days until the new CA ends (default 3650)", false, 1,
          36500 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-aggregator rotate",
        .summary =
            "Give the federation's CA a successor while the federation runs: a new key and CA "
            "that the old one signs. Every node takes it over from there, and from nobody "
            "else; certificates of both count until the older one is dropped or ends.",
        .examples = "fedmoe-aggregator rotate --ca ca --directory agg",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    fm_trust *t = NULL;
    fm_key_type key_type;
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (fm_key_type_parse(type, &key_type) != FM_OK ||
        rotate(dir, ca, key_type, (unsigned)days, &t) != FM_OK)
        return fm_cli_failed(spec.program);
    say(dir, ca, t);
    fm_trust_free(&t);
    return 0;
}
