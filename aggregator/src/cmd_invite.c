#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "commands.h"
#include "directory_internal.h"
#include "fedmoe/aggregator/invitations.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/base/random.h"
#include "fedmoe/proto/link/enrol.h"
#include "fedmoe/proto/plan.h"

#define VALID_HOURS 72
#define VALID_DAYS 365

typedef struct {
    const char *dir, *address, *withdraw, *name;
    uint64_t hours, days;
    bool list, json;
} invite_options;

/* ---- one code ---- */

/** A node cannot connect to "any address of this machine". */
static fm_status check_reachable(const char *address)
{
    static const char *const any[] = { "tcp://*:", "tcp://0.0.0.0:", "tcp://[::]:" };
    const char *port = strrchr(address, ':');

    for (size_t i = 0; i < sizeof any / sizeof any[0]; i++)
        if (strncmp(address, any[i], strlen(any[i])) == 0)
            return fm_fail(FM_EINVAL,
                           "the door listens at %s, which is no address that a node could call; "
                           "give the one that it is to use: --address tcp://HOST:PORT",
                           address);
    if (!port || strcmp(port, ":0") == 0 || strcmp(port, ":*") == 0)
        return fm_fail(FM_EINVAL, "%s names no port; give --address tcp://HOST:PORT", address);
    return FM_OK;
}

static fm_status choose_address(const invite_options *o, fm_invitation *i)
{
    char *address = NULL;
    fm_status st =
        o->address ? fm_strdup(o->address, &address) : fm_directory_door_address(o->dir, &address);

    if (st == FM_OK && strlen(address) > FM_DOOR_ADDRESS_MAX)
        st = fm_fail(FM_EINVAL, "the address is longer than %u bytes", FM_DOOR_ADDRESS_MAX);
    if (st == FM_OK && (st = check_reachable(address)) == FM_OK)
        memcpy(i->door, address, strlen(address) + 1);
    free(address);
    return st;
}

/** A CA that fedmoe made names its federation, one of another PKI does not. */
static fm_status check_own_ca(const invite_options *o, const fm_trust *trust)
{
    if (fm_trust_ca_info(trust, 0)->federation[0])
        return FM_OK;
    return fm_fail(FM_EINVAL,
                   "%s/ca.crt is a CA of your own PKI, and nobody here could sign the request that "
                   "a join code brings: '%s' is certified there, with 'fedmoe-certs request' and "
                   "'install' (docs/pki.md)",
                   o->dir, o->name);
}

static fm_status make_code(const invite_options *o, int64_t now_s, fm_invitation *i)
{
    fm_trust *trust = NULL;
    fm_status st;

    if ((st = fm_name_check(o->name)) != FM_OK || (st = fm_trust_load(o->dir, &trust)) != FM_OK)
        return st;
    if ((st = check_own_ca(o, trust)) == FM_OK) {
        i->ca = fm_trust_fingerprint(trust);
        memcpy(i->federation, fm_trust_federation(trust), strlen(fm_trust_federation(trust)) + 1);
    }
    fm_trust_free(&trust);
    if (st != FM_OK)
        return st;
    memcpy(i->name, o->name, strlen(o->name) + 1);
    i->expires_s = now_s + (int64_t)o->hours * 3600;
    fm_random_bytes(i->token, sizeof i->token);
    if ((st = fm_directory_door_public(o->dir, i->door_public)) != FM_OK)
        return st;
    return choose_address(o, i);
}

/** The text first: of a code that cannot be printed nothing is kept. */
static fm_status keep(const invite_options *o, int64_t now_s, const fm_invitation *i)
{
    fm_invited row = { .expires_s = i->expires_s, .days = (uint32_t)o->days };
    uint8_t key[FM_INVITATION_KEY_BYTES];
    fm_invitations *store = NULL;
    fm_status st;

    memcpy(row.name, i->name, sizeof row.name);
    if ((st = fm_enrol_public(i->token, key)) == FM_OK &&
        (st = fm_invitations_open(o->dir, true, &store)) == FM_OK)
        st = fm_invitations_add(store, key, &row, now_s);
    fm_invitations_close(&store);
    return st;
}

/** Past the buffers of standard output, which nobody wipes. */
static fm_status print_secret(const char *text)
{
    size_t at = 0, len = strlen(text);

    if (fflush(stdout) != 0)
        return fm_fail(FM_EIO, "cannot write to standard output: %s", strerror(errno));
    while (at < len) {
        const ssize_t n = write(STDOUT_FILENO, text + at, len - at);

        if (n < 0 && errno != EINTR)
            return fm_fail(FM_EIO, "cannot write to standard output: %s", strerror(errno));
        at += n > 0 ? (size_t)n : 0;
    }
    return FM_OK;
}

static fm_status print_code(const invite_options *o, const fm_invitation *i, const char *text)
{
    char end[32];
    json_t *j;
    fm_status st;

    fm_clock_format(i->expires_s, end, sizeof end);
    if (!o->json) {
        printf("join code of node '%s' in federation '%s', good once, until %s:\n\n", i->name,
               i->federation, end);
        if ((st = print_secret(text)) != FM_OK)
            return st;
        printf("\n\nIt is a secret: whoever uses it first is '%s'. Send it over a channel that you "
               "trust; the\nhospital types\n  fedmoe-node join -\nand pastes it.\n",
               i->name);
        return FM_OK;
    }
    (void)setvbuf(stdout, NULL, _IONBF, 0); /* no copy stays there */
    j = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", i->name, "federation", i->federation, "door",
                  i->door, "expires", end, "code", text);
    st = j ? fm_json_print(j) : fm_fail(FM_ENOMEM, "no memory for the code");
    if (j) {
        const char *code = json_string_value(json_object_get(j, "code"));

        sodium_memzero((char *)(uintptr_t)code, strlen(code)); /* the value's own, on its way out */
    }
    json_decref(j);
    return st;
}

/* ---- how many there are ---- */

typedef struct {
    const char *name; /* who is invited now */
    int64_t now_s;
    char (*names)[FM_NAME_MAX + 1]; /* [FM_MAX_NODES] of others, each once */
    uint32_t count;
} crowd;

static fm_status count_row(void *ctx, const uint8_t key[FM_INVITATION_KEY_BYTES],
                           const fm_invited *i)
{
    crowd *c = ctx;

    (void)key;
    if (i->withdrawn || strcmp(i->name, c->name) == 0 ||
        (!i->issued && !i->bound && c->now_s > i->expires_s))
        return FM_OK;
    for (uint32_t k = 0; k < c->count; k++)
        if (strcmp(c->names[k], i->name) == 0)
            return FM_OK;
    if (c->count < FM_MAX_NODES)
        memcpy(c->names[c->count++], i->name, sizeof i->name);
    return FM_OK;
}

static fm_status read_most(const char *dir, uint32_t *most)
{
    fm_buf bytes = { 0 };
    fm_plan plan = { 0 };
    char *path = NULL;
    fm_status st;

    if ((st = fm_path_join(dir, "plan.bin", &path)) == FM_OK &&
        (st = fm_file_read(path, FM_MAX_PLAN_BYTES, &bytes)) == FM_OK &&
        (st = fm_plan_decode(bytes.data, bytes.len, &plan)) == FM_OK)
        *most = plan.max_nodes;
    fm_plan_fini(&plan);
    fm_buf_fini(&bytes);
    free(path);
    return st;
}

/** One more than the plan is for: the first that come are taken. A warning, as some may stay away. */
static void warn_of_crowd(const invite_options *o, int64_t now_s)
{
    crowd c = { .name = o->name, .now_s = now_s };
    fm_invitations *store = NULL;
    uint32_t most = 0;
    void *room = NULL;

    if (read_most(o->dir, &most) == FM_OK &&
        fm_alloc(FM_MAX_NODES, sizeof *c.names, &room) == FM_OK) {
        c.names = room;
        if (fm_invitations_open(o->dir, false, &store) == FM_OK &&
            fm_invitations_each(store, count_row, &c) == FM_OK && c.count >= most)
            fprintf(stderr,
                    "the plan is for at most %u nodes, and %u others are invited or have joined: "
                    "'%s' will find no place unless one stays away, as a revoked one does "
                    "(withdraw a code with "
                    "--withdraw, or begin a run with a larger max_nodes)\n",
                    most, c.count, o->name);
    }
    fm_invitations_close(&store);
    free(room);
    fm_error_clear();
}

static fm_status invite(const invite_options *o)
{
    char text[FM_INVITATION_TEXT_MAX + 1];
    int64_t now_s = fm_clock_wall_s();
    fm_invitation i = { .expires_s = 0 };
    fm_status st;

    if ((st = make_code(o, now_s, &i)) == FM_OK && (st = fm_invitation_encode(&i, text)) == FM_OK &&
        (st = keep(o, now_s, &i)) == FM_OK)
        st = print_code(o, &i, text);
    if (st == FM_OK)
        warn_of_crowd(o, now_s);
    sodium_memzero(&i, sizeof i);
    sodium_memzero(text, sizeof text);
    return st;
}

fm_status fm_cmd_invite_one(const char *dir, const char *address, const char *name)
{
    const invite_options o = {
        .dir = dir, .address = address, .name = name, .hours = VALID_HOURS, .days = VALID_DAYS
    };

    return invite(&o);
}

/* ---- the list ---- */

static const char *state_of(const fm_invited *i, int64_t now_s)
{
    if (i->issued)
        return "used";
    if (i->withdrawn)
        return "withdrawn";
    if (i->bound)
        return "waiting";
    return now_s > i->expires_s ? "ended" : "open";
}

static fm_status show_row(void *ctx, const uint8_t key[FM_INVITATION_KEY_BYTES],
                          const fm_invited *i)
{
    char end[32], member[2 * FM_HASH_BYTES + 1] = "";
    json_t *list = ctx;
    const char *state = state_of(i, fm_clock_wall_s());

    (void)key;
    fm_clock_format(i->expires_s, end, sizeof end);
    if (i->bound)
        fm_hash_hex(&i->key, member);
    if (!list)
        printf("%-24s %-9s until %s%s%s\n", i->name, state, end, i->bound ? "  key " : "", member);
    else if (json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", i->name, "state",
                                                   state, "expires", end, "key", member)) != 0)
        return fm_fail(FM_ENOMEM, "no memory for the list");
    return FM_OK;
}

static fm_status list_all(const invite_options *o)
{
    fm_invitations *store = NULL;
    json_t *list = o->json ? json_array() : NULL;
    fm_status st = fm_invitations_open(o->dir, false, &store);

    if (st == FM_OK)
        st = fm_invitations_each(store, show_row, list);
    else if (st == FM_ENOTFOUND)
        st = FM_OK;
    if (st == FM_OK && list)
        st = fm_json_print(list);
    json_decref(list);
    fm_invitations_close(&store);
    return st;
}

static fm_status withdraw(const invite_options *o)
{
    fm_invitations *store = NULL;
    uint32_t count = 0;
    fm_status st = fm_invitations_open(o->dir, false, &store);

    if (st == FM_OK)
        st = fm_invitations_withdraw(store, o->withdraw, &count);
    else if (st == FM_ENOTFOUND)
        st = FM_OK;
    fm_invitations_close(&store);
    if (st == FM_OK && count == 0)
        st = fm_fail(FM_ENOTFOUND,
                     "'%s' has no invitation that could be withdrawn; one that has a certificate "
                     "is taken out with fedmoe-aggregator revoke",
                     o->withdraw);
    if (st == FM_OK)
        printf("the invitation of '%s' is withdrawn\n", o->withdraw);
    return st;
}

int fm_cmd_invite(int argc, char **argv)
{
    invite_options o = { .dir = ".", .hours = VALID_HOURS, .days = VALID_DAYS };
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &o.dir, "DIR", "made by init; default: here", false, 0, 0 },
        { "address", FM_CLI_STRING, &o.address, "ADDR",
          "where nodes reach the door, tcp://HOST:PORT (default: as in federation.yaml)", false, 0,
          0 },
        { "valid", FM_CLI_U64, &o.hours, "HOURS", "until the code ends (default 72)", false, 1,
          8760 },
        { "days", FM_CLI_U64, &o.days, "N", "of the certificate's validity (default 365)", false, 1,
          36500 },
        { "list", FM_CLI_FLAG, &o.list, NULL, "show all invitations and what became of them", false,
          0, 0 },
        { "withdraw", FM_CLI_STRING, &o.withdraw, "NAME", "the code of this node counts no more",
          false, 0, 0 },
        { "json", FM_CLI_FLAG, &o.json, NULL, "print JSON", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-aggregator invite",
        .summary = "Print a join code: all that a hospital needs to make its identity with "
                   "fedmoe-node join. It counts once and for some hours; this directory keeps only "
                   "what recognises it.",
        .examples = "fedmoe-aggregator invite hospital-a --directory agg --address "
                    "tcp://agg.example:7300\n"
                    "fedmoe-aggregator invite --list --directory agg\n"
                    "fedmoe-aggregator invite --withdraw hospital-a --directory agg",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .operands = "[NAME]",
        .operands_max = 1,
    };
    int first = 0, code = 0;
    fm_status st;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    o.name = first < argc ? argv[first] : NULL;
    if ((o.name != NULL) + o.list + (o.withdraw != NULL) != 1) {
        fprintf(stderr, "%s: give one of NAME, --list and --withdraw\nTry '%s --help'.\n",
                spec.program, spec.program);
        return 2;
    }
    st = o.list ? list_all(&o) : o.withdraw ? withdraw(&o) : invite(&o);
    return st == FM_OK ? 0 : fm_cli_failed(spec.program);
}
