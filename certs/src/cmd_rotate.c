/* fedmoe-certs ca rotate, ca drop, renew: the CA's succession. */
#include <stdio.h>

#include "commands.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/certs/succession.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int say_cas(const char *dir, const char *program)
{
    fm_trust *t = NULL;
    char hex[2 * FM_HASH_BYTES + 1], end[32];

    if (fm_trust_load(dir, &t) != FM_OK)
        return fm_cli_failed(program);
    for (size_t i = 0; i < fm_trust_ca_count(t); i++) {
        fm_hash_hex(&fm_trust_ca_info(t, i)->fingerprint, hex);
        fm_clock_format(fm_trust_ca_info(t, i)->not_after_s, end, sizeof end);
        printf("CA until %s, fingerprint %s\n", end, hex);
    }
    fm_trust_free(&t);
    return 0;
}

int fm_certs_ca_rotate(int argc, char **argv)
{
    const char *dir = NULL, *type_name = "ed25519";
    uint64_t days = 3650;
    const fm_cli_option options[] = {
        { "ca", FM_CLI_STRING, &dir, "DIR", "the CA's directory", true, 0, 0 },
        { "key-type", FM_CLI_STRING, &type_name, "TYPE", "ed25519 (default) or p256", false, 0, 0 },
        { "days", FM_CLI_U64, &days, "N", "days until the new CA ends (default 3650)", false, 1,
          36500 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-certs ca rotate",
        .summary =
            "Give a CA a successor, which it signs. Both count until the older one is dropped "
            "or ends. 'fedmoe-aggregator rotate' does it and brings it to the federation.",
        .examples = "fedmoe-certs ca rotate --ca ca",
        .options = options,
        .option_count = COUNT(options),
    };
    fm_key_type type;
    int first = 0, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (fm_key_type_parse(type_name, &type) != FM_OK)
        return fm_certs_bad_usage(spec.program);
    if (fm_ca_rotate(dir, type, (unsigned)days) != FM_OK)
        return fm_cli_failed(spec.program);
    return say_cas(dir, spec.program);
}

int fm_certs_ca_drop(int argc, char **argv)
{
    const char *dir = NULL;
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &dir, "DIR", "of a CA, an aggregator or an identity", true, 0,
          0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-certs ca drop",
        .summary =
            "End the overlap in a folder where two CAs are pinned: the older one, its "
            "revocation list and (in a CA's folder) its key are forgotten. Certificates of it "
            "count for nothing there any more.",
        .examples = "fedmoe-certs ca drop --directory agg",
        .options = options,
        .option_count = COUNT(options),
    };
    int first = 0, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    return fm_ca_drop(dir) == FM_OK ? say_cas(dir, spec.program) : fm_cli_failed(spec.program);
}

int fm_certs_renew(int argc, char **argv)
{
    const char *ca = NULL, *dir = NULL;
    const fm_cli_option options[] = {
        { "ca", FM_CLI_STRING, &ca, "DIR", "the CA's directory", true, 0, 0 },
        { "directory", FM_CLI_STRING, &dir, "DIR", "of the identity", true, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-certs renew",
        .summary =
            "Put the next certificate of the same key, name and length into an identity's "
            "folder: for the aggregator; nodes ask for theirs by themselves. Nothing changes "
            "before a third of its life is left, unless the CA has a successor.",
        .examples = "fedmoe-certs renew --ca ca --directory agg",
        .options = options,
        .option_count = COUNT(options),
    };
    fm_identity *id = NULL;
    char end[32];
    int first = 0, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (fm_ca_renew_identity(ca, dir, fm_clock_wall_s()) != FM_OK ||
        fm_identity_load(dir, &id) != FM_OK)
        return fm_cli_failed(spec.program);
    fm_clock_format(fm_identity_info(id)->not_after_s, end, sizeof end);
    printf(
        "the certificate of '%s' lasts until %s; a program that runs shows it from its next start "
        "on\n",
        fm_identity_info(id)->name, end);
    fm_identity_free(&id);
    return 0;
}
