#include <stdio.h>

#include "commands.h"
#include "fedmoe/aggregator/enrol.h"
#include "fedmoe/base/cli.h"

static fm_status show_waiting(void *ctx, const uint8_t key[FM_INVITATION_KEY_BYTES],
                              const fm_invited *i)
{
    char member[2 * FM_HASH_BYTES + 1];
    unsigned *count = ctx;

    (void)key;
    if (!i->bound || i->issued || i->withdrawn)
        return FM_OK;
    fm_hash_hex(&i->key, member);
    printf("%-24s key %s\n", i->name, member);
    (*count)++;
    return FM_OK;
}

static fm_status list_waiting(const char *dir)
{
    fm_invitations *store = NULL;
    unsigned count = 0;
    fm_status st = fm_invitations_open(dir, false, &store);

    if (st == FM_OK)
        st = fm_invitations_each(store, show_waiting, &count);
    else if (st == FM_ENOTFOUND)
        st = FM_OK; /* nobody was ever invited */
    fm_invitations_close(&store);
    if (st == FM_OK && count == 0)
        printf("no request waits\n");
    else if (st == FM_OK)
        printf("Let the hospital read its key to you, and give what you hear, not what is above:\n"
               "  fedmoe-aggregator enrol NAME --key KEY --ca DIR --directory %s\n",
               dir);
    return st;
}

static fm_status sign(const char *dir, const char *ca, const fm_desk_order *o)
{
    char key[2 * FM_HASH_BYTES + 1];
    fm_hash signed_key;
    fm_status st = fm_enroller_sign(dir, ca, o, &signed_key);

    if (st != FM_OK)
        return st;
    fm_hash_hex(&signed_key, key);
    printf("'%s' has its certificate, for the key\n  %s\nIts node fetches it within a minute\n",
           o->name, key);
    return FM_OK;
}

int fm_cmd_enrol(int argc, char **argv)
{
    const char *dir = ".", *ca = NULL;
    fm_desk_order o = { 0 };
    uint64_t days = 365;
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &dir, "DIR", "made by init; default: here", false, 0, 0 },
        { "ca", FM_CLI_STRING, &ca, "DIR", "the CA's directory", false, 0, 0 },
        { "key", FM_CLI_STRING, &o.key, "HEX",
          "the key as the hospital read it out: all of it, or its first 32 digits or more", false,
          0, 0 },
        { "days", FM_CLI_U64, &days, "N",
          "the certificate's validity at most, whatever the invitation says (default 365)", false,
          1, 36500 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-aggregator enrol",
        .summary = "Show the requests of invited nodes that wait for a certificate, with the "
                   "fingerprints of their keys; or sign the one that is for the key in --key. Only "
                   "for an aggregator that was started without --ca.",
        .examples = "fedmoe-aggregator enrol --directory agg\n"
                    "fedmoe-aggregator enrol hospital-a --key 4f1c... --ca /media/stick/ca "
                    "--directory agg",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .operands = "[NAME]",
        .operands_max = 1,
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    o.name = first < argc ? argv[first] : NULL;
    o.days = (uint32_t)days;
    if ((o.name == NULL) != (ca == NULL) || (o.name == NULL) != (o.key == NULL)) {
        fprintf(stderr, "%s: give NAME, --key and --ca, or none of them\nTry '%s --help'.\n",
                spec.program, spec.program);
        return 2;
    }
    if (!o.name)
        return list_waiting(dir) == FM_OK ? 0 : fm_cli_failed(spec.program);
    return sign(dir, ca, &o) == FM_OK ? 0 : fm_cli_failed(spec.program);
}
