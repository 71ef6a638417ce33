/* fedmoe-certs show: what a certificate says, for people and for scripts. */
#include <stdio.h>

#include "commands.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/json.h"
#include "fedmoe/certs/identity.h"

#define PROGRAM "fedmoe-certs show"
#define FILES_MAX 1000

typedef struct {
    const char *path;
    fm_cert_info info;
    fm_key_type type;
    bool is_ca;
    char from[32], to[32], fingerprint[2 * FM_HASH_BYTES + 1];
} shown;

static fm_status read_one(const char *path, size_t n, shown *s, size_t *count)
{
    fm_status st;

    *s = (shown){ .path = path };
    if ((st = fm_cert_describe_nth(path, n, &s->info, &s->type, &s->is_ca, count)) != FM_OK)
        return st;
    fm_clock_format(s->info.not_before_s, s->from, sizeof s->from);
    fm_clock_format(s->info.not_after_s, s->to, sizeof s->to);
    fm_hash_hex(&s->info.fingerprint, s->fingerprint);
    return FM_OK;
}

static const char *role_of(const shown *s)
{
    return s->is_ca ? "ca" : fm_role_name(s->info.role);
}

static const char *validity_word(const shown *s)
{
    int64_t now_s = fm_clock_wall_s();

    if (now_s < s->info.not_before_s)
        return "not yet valid";
    return now_s >= s->info.not_after_s ? "expired" : "valid now";
}

static void print_text(const shown *s)
{
    printf("%s\n  role         %s\n", s->path, role_of(s));
    if (!s->is_ca)
        printf("  name         %s\n", s->info.name);
    if (s->info.federation[0])
        printf("  federation   %s\n", s->info.federation);
    printf("  valid        %s to %s (%s)\n  key type     %s\n"
           "  fingerprint  %s\n",
           s->from, s->to, validity_word(s), fm_key_type_name(s->type), s->fingerprint);
}

static fm_status append_json(json_t *list, const shown *s)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "file", s->path, "role",
                          role_of(s), "name", s->info.name, "federation", s->info.federation,
                          "not_before", s->from, "not_after", s->to, "key_type",
                          fm_key_type_name(s->type), "fingerprint", s->fingerprint);

    /* Also fails for a path that is not UTF-8, which JSON cannot hold. */
    if (!o || json_array_append_new(list, o) != 0)
        return fm_fail(FM_EINVAL, "%s: cannot be written as JSON", s->path);
    return FM_OK;
}

/** Every certificate of the file. @param list  where they go as JSON; NULL: text. */
static fm_status show_file(const char *path, json_t *list)
{
    size_t count = 1;
    fm_status st = FM_OK;

    for (size_t n = 0; st == FM_OK && n < count; n++) {
        shown s;

        if ((st = read_one(path, n, &s, &count)) == FM_OK && list)
            st = append_json(list, &s);
        else if (st == FM_OK)
            print_text(&s);
    }
    return st;
}

int fm_certs_show(int argc, char **argv)
{
    bool as_json = false;
    const fm_cli_option options[] = {
        { .name = "json", .kind = FM_CLI_FLAG, .out = &as_json, .help = "print JSON" },
    };
    const fm_cli_spec spec = {
        .program = PROGRAM,
        .summary = "Say whom certificates name, until when, and their fingerprints (BLAKE2b-256). "
                   "Nothing is verified: compare fingerprints by telephone.",
        .examples = "fedmoe-certs show hospital-a/identity.crt\n"
                    "fedmoe-certs show --json hospital-a/ca.crt",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .operands = "FILE...",
        .operands_min = 1,
        .operands_max = FILES_MAX,
    };
    json_t *list = NULL;
    fm_status st = FM_OK;
    int first = 0, code;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (as_json && !(list = json_array()))
        st = fm_fail(FM_ENOMEM, "no memory for JSON");
    for (int i = first; st == FM_OK && i < argc; i++)
        st = show_file(argv[i], list);
    if (st == FM_OK && as_json)
        st = fm_json_print(list);
    json_decref(list);
    if (st == FM_OK && fflush(stdout) != 0)
        st = fm_fail(FM_EIO, "standard output cannot be written");
    return st == FM_OK ? 0 : fm_cli_failed(PROGRAM);
}
