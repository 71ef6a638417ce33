/* fedmoe-certs: the coordinator's tool for the consortium's CA. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/certs/identity.h"

#define DAYS_MAX 36500.0
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define EXIT_USAGE 2

int fm_certs_bad_usage(const char *program)
{
    (void)fm_cli_failed(program);
    fprintf(stderr, "Try '%s --help'.\n", program);
    return EXIT_USAGE;
}

/** "2026-11-24" or "2026-11-24T02:31:00Z". @param end_of_day  what a date alone means. */
static fm_status parse_time(const char *text, bool end_of_day, int64_t *out)
{
    struct tm tm = { 0 };
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    bool date_only = false;
    char again[32];

    if (!end) {
        memset(&tm, 0, sizeof tm);
        end = strptime(text, "%Y-%m-%d", &tm);
        date_only = true;
    }
    if (end && *end == '\0') {
        int64_t t = (int64_t)timegm(&tm) + (date_only && end_of_day ? 24 * 3600 - 1 : 0);

        fm_clock_format(t, again, sizeof again);
        /* timegm makes 3 March of 31 February; the day must come back as it was given. */
        if (t > 0 && strncmp(text, again, date_only ? 10 : 20) == 0) {
            *out = t;
            return FM_OK;
        }
    }
    return fm_fail(FM_EINVAL, "'%.40s' is not a time; write 2026-11-24 or 2026-11-24T02:31:00Z",
                   text);
}

static fm_status fingerprint_of(const char *dir, const char *file, char hex[65])
{
    char *path = NULL;
    fm_cert_info info;
    fm_key_type type;
    bool is_ca;
    fm_status st;

    if ((st = fm_path_join(dir, file, &path)) == FM_OK &&
        (st = fm_cert_describe(path, &info, &type, &is_ca)) == FM_OK)
        fm_hash_hex(&info.fingerprint, hex);
    free(path);
    return st;
}

static int ca_new(int argc, char **argv)
{
    static const char program[] = "fedmoe-certs ca new";
    const char *dir = NULL, *federation = NULL, *type_name = "ed25519";
    uint64_t days = 3650;
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &dir, "DIR", "where the CA will live; keep it private", true,
          0, 0 },
        { "federation", FM_CLI_STRING, &federation, "NAME", "the federation: a-z, 0-9 and -", true,
          0, 0 },
        { "key-type", FM_CLI_STRING, &type_name, "TYPE", "ed25519 (default) or p256", false, 0, 0 },
        { "days", FM_CLI_U64, &days, "N", "days until the CA ends (default 3650)", false, 1,
          DAYS_MAX },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Make a consortium's certificate authority.",
        .examples = "fedmoe-certs ca new --directory ca --federation heart-study",
        .options = options,
        .option_count = COUNT(options),
    };
    fm_key_type type;
    char hex[65];
    int first = 0, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (fm_name_check(federation) != FM_OK || fm_key_type_parse(type_name, &type) != FM_OK)
        return fm_certs_bad_usage(program);
    if (fm_ca_new(dir, federation, type, (unsigned)days) != FM_OK ||
        fingerprint_of(dir, "ca.crt", hex) != FM_OK)
        return fm_cli_failed(program);
    printf("CA of federation '%s' is in %s\nfingerprint %s\n"
           "Keep %s/ca.key off the network if you can; next: fedmoe-certs issue\n",
           federation, dir, hex, dir);
    return 0;
}

typedef struct {
    const char *ca_dir, *role, *type, *from, *to, *out_dir;
    uint64_t days;
    fm_ca_request request;
} issue_args;

static fm_status finish_request(issue_args *a)
{
    fm_status st;

    a->request.days = (unsigned)a->days;
    if ((st = fm_role_parse(a->role, &a->request.role)) != FM_OK ||
        (st = fm_name_check(a->request.name)) != FM_OK ||
        (st = fm_key_type_parse(a->type, &a->request.type)) != FM_OK)
        return st;
    if (a->from && (st = parse_time(a->from, false, &a->request.not_before_s)) != FM_OK)
        return fm_fail_context(st, "--not-before: ");
    if (a->to && (st = parse_time(a->to, true, &a->request.not_after_s)) != FM_OK)
        return fm_fail_context(st, "--not-after: ");
    return FM_OK;
}

static int run_issue(issue_args *a, const char *program)
{
    char hex[65];

    if (finish_request(a) != FM_OK)
        return fm_certs_bad_usage(program);
    if (fm_ca_issue(a->ca_dir, &a->request, a->out_dir) != FM_OK ||
        fingerprint_of(a->out_dir, "identity.crt", hex) != FM_OK)
        return fm_cli_failed(program);
    printf("identity of %s '%s' is in %s\nfingerprint %s\n"
           "Give that directory to the member over a private channel and keep no copy of "
           "identity.key\n",
           a->role, a->request.name, a->out_dir, hex);
    return 0;
}

static int issue(int argc, char **argv)
{
    static const char program[] = "fedmoe-certs issue";
    issue_args a = { .type = "ed25519", .days = 365 };
    const fm_cli_option options[] = {
        { "ca", FM_CLI_STRING, &a.ca_dir, "DIR", "the CA's directory", true, 0, 0 },
        { "role", FM_CLI_STRING, &a.role, "ROLE", "node or aggregator", true, 0, 0 },
        { "name", FM_CLI_STRING, &a.request.name, "NAME", "the member: a-z, 0-9 and -", true, 0,
          0 },
        { "output", FM_CLI_STRING, &a.out_dir, "DIR", "where the identity goes", true, 0, 0 },
        { "key-type", FM_CLI_STRING, &a.type, "TYPE", "ed25519 (default) or p256", false, 0, 0 },
        { "days", FM_CLI_U64, &a.days, "N", "days of validity (default 365), within the CA's",
          false, 1, DAYS_MAX },
        { "not-before", FM_CLI_STRING, &a.from, "TIME", "first valid instant, UTC (default now)",
          false, 0, 0 },
        { "not-after", FM_CLI_STRING, &a.to, "TIME", "last valid instant, UTC, instead of --days",
          false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Make a key and certificate for a member.",
        .examples =
            "fedmoe-certs issue --ca ca --role node --name hospital-a --output hospital-a\n"
            "fedmoe-certs issue --ca ca --role aggregator --name coordinator --output coordinator\n"
            "fedmoe-certs issue --ca ca --role node --name hospital-b --output hospital-b "
            "--not-before 2027-01-01 --not-after 2027-12-31",
        .options = options,
        .option_count = COUNT(options),
    };
    int first = 0, code;

    return fm_cli_begin(&spec, argc, argv, &first, &code) ? run_issue(&a, program) : code;
}

static int revoke(int argc, char **argv)
{
    static const char program[] = "fedmoe-certs revoke";
    const char *ca_dir = NULL, *name = NULL;
    const fm_cli_option options[] = {
        { "ca", FM_CLI_STRING, &ca_dir, "DIR", "the CA's directory", true, 0, 0 },
        { "name", FM_CLI_STRING, &name, "NAME", "the member", true, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Revoke every certificate of a member.",
        .examples = "fedmoe-certs revoke --ca ca --name hospital-a",
        .options = options,
        .option_count = COUNT(options),
    };
    int first = 0, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (fm_name_check(name) != FM_OK)
        return fm_certs_bad_usage(program);
    if (fm_ca_revoke(ca_dir, name) != FM_OK)
        return fm_cli_failed(program);
    printf(
        "'%s' is revoked\nCopy %s/crl.pem over the crl.pem of the aggregator, which brings it to "
        "every member\n",
        name, ca_dir);
    return 0;
}

static int refresh(int argc, char **argv)
{
    static const char program[] = "fedmoe-certs refresh";
    const char *ca_dir = NULL;
    const fm_cli_option options[] = {
        { "ca", FM_CLI_STRING, &ca_dir, "DIR", "the CA's directory", true, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = program,
        .summary = "Sign the revocation list again, for a year from now.",
        .examples = "fedmoe-certs refresh --ca ca",
        .options = options,
        .option_count = COUNT(options),
    };
    int first = 0, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (fm_ca_refresh(ca_dir) != FM_OK)
        return fm_cli_failed(program);
    printf("Copy %s/crl.pem over the crl.pem of the aggregator, which brings it to every member\n",
           ca_dir);
    return 0;
}

int main(int argc, char **argv)
{
    static const fm_cli_command commands[] = {
        { "ca new", "make a consortium's certificate authority", ca_new },
        { "ca rotate", "give a CA a successor", fm_certs_ca_rotate },
        { "ca drop", "forget the older of two CAs", fm_certs_ca_drop },
        { "issue", "make a key and certificate for a member", issue },
        { "revoke", "revoke every certificate of a member", revoke },
        { "refresh", "sign the revocation list again, for a year", refresh },
        { "renew", "put the next certificate into an identity's folder", fm_certs_renew },
        { "request", "make a key and a request for a PKI that is there already", fm_certs_request },
        { "install", "check and install what that PKI gave back", fm_certs_install },
        { "show", "say whom certificates name, and until when", fm_certs_show },
    };
    static const fm_cli_program program = {
        .program = "fedmoe-certs",
        .summary = "Identities of a federation: its CA, the members' certificates, revocation.",
        .examples = "fedmoe-certs ca new --directory ca --federation heart-study\n"
                    "fedmoe-certs issue --ca ca --role node --name hospital-a --output hospital-a\n"
                    "fedmoe-certs revoke --ca ca --name hospital-a\n"
                    "fedmoe-certs show hospital-a/identity.crt",
        .commands = commands,
        .group_examples = "fedmoe-certs ca new --directory ca --federation heart-study\n"
                          "fedmoe-certs ca rotate --ca ca\n"
                          "fedmoe-certs ca drop --directory agg",
        .command_count = COUNT(commands),
    };

    return fm_cli_main(&program, argc, argv);
}
