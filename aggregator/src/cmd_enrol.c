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
    fm_status st = fm_invitations_open(dir, &store);

    if (st == FM_OK)
        st = fm_invitations_each(store, show_waiting, &count);
    fm_invitations_close(&store);
    if (st == FM_OK && count == 0)
        printf("no request waits\n");
    else if (st == FM_OK)
        printf("Compare each key with what the hospital reads to you, then sign it:\n"
               "  fedmoe-aggregator enrol NAME --ca DIR --directory %s\n",
               dir);
    return st;
}

int fm_cmd_enrol(int argc, char **argv)
{
    const char *dir = ".", *ca = NULL, *name;
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &dir, "DIR", "made by init; default: here", false, 0, 0 },
        { "ca", FM_CLI_STRING, &ca, "DIR", "the CA's directory", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-aggregator enrol",
        .summary = "Show the requests of invited nodes that wait for a certificate, with the "
                   "fingerprints of their keys; or sign one. Only for an aggregator that was "
                   "started without --ca.",
        .examples = "fedmoe-aggregator enrol --directory agg\n"
                    "fedmoe-aggregator enrol hospital-a --ca /media/stick/ca --directory agg",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .operands = "[NAME]",
        .operands_max = 1,
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    name = first < argc ? argv[first] : NULL;
    if ((name == NULL) != (ca == NULL)) {
        fprintf(stderr, "%s: give NAME and --ca, or neither\nTry '%s --help'.\n", spec.program,
                spec.program);
        return 2;
    }
    if (!name)
        return list_waiting(dir) == FM_OK ? 0 : fm_cli_failed(spec.program);
    if (fm_enroller_sign(dir, ca, name) != FM_OK)
        return fm_cli_failed(spec.program);
    printf("'%s' has its certificate; its node fetches it within a minute\n", name);
    return 0;
}
