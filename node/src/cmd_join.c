/* join: from a join code to an identity and a node.yaml. The key is made here and stays here. */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "commands.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/certs/enrol.h"
#include "fedmoe/proto/link/enrol.h"
#include "node_yaml.h"

#define ASK_FIRST_MS 1000
#define ASK_LAST_MS 15000

typedef struct {
    const char *output;
    const char *key_uri; /* NULL: a file */
    uint64_t wait_s;
    fm_key_type type;
    fm_invitation code;
    fm_buf request;
    fm_node_yaml yaml; /* what was said of records and policy; NULL and 0: nothing */
} join;

static void wait_ms(uint64_t ms)
{
    struct timespec t = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000L };

    (void)nanosleep(&t, NULL);
}

/** By telephone, so that the coordinator signs this key and no other. */
static fm_status say_waiting(const join *j)
{
    char key[2 * FM_HASH_BYTES + 1];
    fm_request_info info;
    fm_status st = fm_request_check(j->request.data, j->request.len, &info);

    if (st != FM_OK)
        return st;
    fm_hash_hex(&info.key, key);
    fprintf(stderr,
            "The request is with the coordinator, who signs it by hand. Read them this key:\n"
            "  %s\n"
            "Waiting; to go on later, stop here and give the same command again.\n",
            key);
    return FM_OK;
}

static fm_status install(const join *j, const fm_msg_enrolled *a)
{
    const fm_enrolment e = {
        .cert = a->certificate.data,
        .cert_len = a->certificate.len,
        .ca = a->authority.data,
        .ca_len = a->authority.len,
        .crl = a->revocations.data,
        .crl_len = a->revocations.len,
        .next = a->successor.authority.data,
        .next_len = a->successor.authority.len,
        .next_signature = a->successor.signature.data,
        .next_signature_len = a->successor.signature.len,
        .next_crl = a->successor_revocations.data,
        .next_crl_len = a->successor_revocations.len,
    };

    return fm_identity_install(j->output, &j->code.ca, j->code.federation, j->code.name, &e,
                               fm_clock_wall_s());
}

/** Ask until there is a certificate, a refusal, or no more patience. */
static fm_status ask(const join *j)
{
    const fm_link_enrol_config c = { .invitation = &j->code,
                                     .request = { j->request.data, j->request.len } };
    const uint64_t end_ms = fm_clock_now_ms() + j->wait_s * 1000;
    uint64_t pause_ms = ASK_FIRST_MS;
    bool told = false;

    for (;;) {
        fm_message *m = NULL;
        fm_status st = fm_link_enrol(&c, &m);
        bool waits = st == FM_OK && m->enrolled.certificate.len == 0;

        if (st == FM_OK && !waits)
            st = install(j, &m->enrolled);
        fm_message_free(&m);
        if (waits && !told && (st = say_waiting(j)) != FM_OK)
            return st;
        told = told || waits;
        if (!waits && st != FM_ETIMEOUT)
            return st;
        if (fm_clock_now_ms() + pause_ms >= end_ms)
            return waits ? fm_fail(FM_ETIMEOUT,
                                   "the coordinator has not signed the request yet; give the same "
                                   "command again later, it goes on with the same key")
                         : st;
        wait_ms(pause_ms);
        pause_ms = pause_ms * 2 < ASK_LAST_MS ? pause_ms * 2 : ASK_LAST_MS;
    }
}

static bool says_anything(const fm_node_yaml *o)
{
    return o->records || o->schema || o->unit || o->purposes.count > 0 || o->epsilon > 0.0 ||
           o->delta > 0.0;
}

static void fill_in(fm_node_yaml *o)
{
    const fm_node_yaml usual = fm_node_yaml_defaults();

    o->unit = o->unit ? o->unit : usual.unit;
    o->epsilon = o->epsilon > 0.0 ? o->epsilon : usual.epsilon;
    o->delta = o->delta > 0.0 ? o->delta : usual.delta;
}

/** One that is there is somebody's work, and stays. */
static fm_status write_config(const join *j)
{
    const char *const purpose[] = { FM_NODE_PURPOSE_TO_COME };
    fm_node_yaml o = j->yaml;
    char door_key[41];
    char *path = NULL;
    fm_status st;

    if ((st = fm_path_join(j->output, "node.yaml", &path)) != FM_OK)
        return st;
    if (!fm_file_exists(path)) {
        fill_in(&o);
        fm_curve_text(j->code.door_public, door_key);
        o.directory = o.identity = j->output;
        o.name = j->code.name;
        o.door = j->code.door;
        o.door_key = door_key;
        o.draft = !o.records;
        if (o.draft)
            o.records = "records.csv";
        if (o.purposes.count == 0)
            o.purposes = (fm_cli_list){ (const char **)(uintptr_t)purpose, 1 };
        st = fm_node_yaml_write(&o);
    } else if (says_anything(&j->yaml)) {
        st = fm_fail(FM_EEXIST,
                     "%s is there already and was not changed; edit it, or give no --records, "
                     "--schema, --purpose, --epsilon, --delta or --unit",
                     path);
    }
    free(path);
    return st;
}

/* ---- what the folder has already ---- */

/** What recognises the code, and is no secret: the aggregator keeps the same. */
static fm_status code_mark(const join *j, char out[2 * FM_INVITATION_KEY_BYTES + 2])
{
    uint8_t key[FM_INVITATION_KEY_BYTES];
    fm_status st = fm_enrol_public(j->code.token, key);

    if (st == FM_OK)
        (void)sodium_bin2hex(out, 2 * FM_INVITATION_KEY_BYTES + 1, key, sizeof key);
    return st;
}

static fm_status write_mark(const join *j)
{
    char mark[2 * FM_INVITATION_KEY_BYTES + 2];
    char *path = NULL;
    fm_status st;

    if ((st = code_mark(j, mark)) == FM_OK &&
        (st = fm_path_join(j->output, "identity.code", &path)) == FM_OK)
        st = fm_file_replace(path, mark, strlen(mark), 0600);
    free(path);
    return st;
}

static fm_status came_with_this_code(const join *j, bool *out)
{
    char mark[2 * FM_INVITATION_KEY_BYTES + 2];
    char *path = NULL;
    fm_buf has = { 0 };
    fm_status st;

    if ((st = code_mark(j, mark)) == FM_OK &&
        (st = fm_path_join(j->output, "identity.code", &path)) == FM_OK)
        st = fm_file_read(path, sizeof mark, &has);
    *out = st == FM_OK && has.len == strlen(mark) && memcmp(has.data, mark, has.len) == 0;
    fm_buf_fini(&has);
    free(path);
    return st == FM_ENOTFOUND || st == FM_EPROTO ? FM_OK : st;
}

/** Under the CA that the code names, which is pinned here, the certificate counts now. */
static fm_status check_standing(const join *j, const fm_identity *id)
{
    fm_trust *t = NULL;
    fm_peer *self = NULL;
    fm_hash ca;
    fm_status st;

    if ((st = fm_trust_load(j->output, &t)) != FM_OK)
        return st;
    ca = fm_trust_fingerprint(t);
    if (!fm_hash_equal(&ca, &j->code.ca))
        st = fm_fail(FM_EEXIST, "it is of another CA than the join code's");
    else
        st = fm_peer_verify_self(t, id, FM_ROLE_NODE, fm_clock_wall_s(), &self);
    fm_peer_free(&self);
    fm_trust_free(&t);
    return st;
}

static fm_status check_identity(const join *j, const fm_identity *id)
{
    const fm_cert_info *info = fm_identity_info(id);
    bool same = false;
    fm_status st;

    if (info->role != FM_ROLE_NODE || strcmp(info->name, j->code.name) != 0 ||
        strcmp(info->federation, j->code.federation) != 0)
        return fm_fail(FM_EEXIST,
                       "%s holds the identity of %s '%s' already; name another folder with "
                       "--output",
                       j->output, fm_role_name(info->role), info->name);
    if ((st = came_with_this_code(j, &same)) != FM_OK)
        return st;
    if (!same)
        return fm_fail(FM_EEXIST,
                       "%s holds an identity of '%s' already, which this code did not bring: to "
                       "replace it by a new one, move identity.* away first",
                       j->output, info->name);
    if ((st = check_standing(j, id)) != FM_OK)
        st = fm_fail_context(st,
                             "%s holds an identity of '%s' that counts no more (ask for a new "
                             "code, and move identity.*, ca.crt and crl.pem away first): ",
                             j->output, info->name);
    return st;
}

/** An identity that came with this very code before: only node.yaml may be missing. */
static fm_status is_done(const join *j, bool *done)
{
    fm_identity *id = NULL;
    char *path = NULL;
    fm_status st;

    *done = false;
    if ((st = fm_path_join(j->output, "identity.crt", &path)) != FM_OK)
        return st;
    if (fm_file_exists(path) && (st = fm_identity_load(j->output, &id)) == FM_OK &&
        (st = check_identity(j, id)) == FM_OK)
        *done = true;
    fm_identity_free(&id);
    free(path);
    return st;
}

/** Before the code is used. */
static fm_status check_files(const join *j)
{
    const char *const files[] = { j->yaml.records, j->yaml.schema };

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (files[i] && !fm_file_exists(files[i]))
            return fm_fail(FM_ENOTFOUND, "%s is not there; the join code was not used", files[i]);
    return FM_OK;
}

static fm_status run(join *j)
{
    const fm_request_plan plan = { FM_ROLE_NODE, j->code.federation, j->code.name, j->type,
                                   j->key_uri };
    bool done = false;
    fm_status st;

    if ((st = check_files(j)) != FM_OK || (st = is_done(j, &done)) != FM_OK)
        return st;
    if (!done && ((st = fm_request_begin(j->output, &plan, &j->request)) != FM_OK ||
                  (st = write_mark(j)) != FM_OK))
        return st;
    if (!done && (st = ask(j)) != FM_OK)
        return st == FM_EPERM
                   ? fm_fail_context(st,
                                     "%s keeps the key that was made (remove it, unless a new "
                                     "code is to go on with it): ",
                                     j->output)
                   : st;
    if ((st = write_config(j)) != FM_OK)
        return st;
    printf("%s '%s' of federation '%s'; identity and node.yaml are in %s\n",
           done ? "this is node" : "joined as node", j->code.name, j->code.federation, j->output);
    if (j->yaml.records && j->yaml.purposes.count > 0)
        printf("Next:\n  fedmoe-node check --config %s/node.yaml\n"
               "  fedmoe-node start --config %s/node.yaml\n",
               j->output, j->output);
    else
        printf("Next: put records, purpose and budget into %s/node.yaml, then\n"
               "  fedmoe-node check --config %s/node.yaml\n",
               j->output, j->output);
    return FM_OK;
}

/* ---- the code ---- */

#define CODE_START "fedmoe1"
#define PASTE_MS 300 /* lines of one paste come without a pause */

typedef struct {
    char text[FM_INVITATION_TEXT_MAX + 2]; /* one more than a code has: too long is no code */
    size_t len;
} found_code;

/** The code begins with its first seven characters, whatever stood before; a mail may have broken
 *  it into lines, quoted it or put it in capitals. */
static void take_character(found_code *f, char c)
{
    const size_t start = strlen(CODE_START);

    if ((unsigned char)c < 0x80 && !isalnum((unsigned char)c))
        return; /* a break, or what a mail puts around or before a line */
    c = (char)tolower((unsigned char)c);
    if (f->len < start && c != CODE_START[f->len])
        f->len = 0;
    if (f->len >= start ? f->len < sizeof f->text - 1 : c == CODE_START[f->len])
        f->text[f->len++] = c;
    f->text[f->len] = '\0';
}

static bool more_comes(void)
{
    struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };

    return !isatty(STDIN_FILENO) || poll(&in, 1, PASTE_MS) > 0;
}

/** From a pipe or a terminal, without a copy in a library's buffer, to the line that makes the code
 *  whole. */
static fm_status read_code(found_code *f, fm_invitation *out)
{
    fm_status st = FM_EPARSE;
    char c = 0;
    ssize_t n;

    for (;;) {
        n = read(STDIN_FILENO, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fm_fail(FM_EIO, "standard input cannot be read: %s", strerror(errno));
        if (n == 1)
            take_character(f, c);
        if (n == 1 && c != '\n')
            continue;
        if ((st = fm_invitation_decode(f->text, out)) == FM_OK || n == 0 || !more_comes())
            return st;
    }
}

/** The operand is wiped: any account of this machine could read it, for as long as this waits. */
static fm_status take_code(char *operand, fm_invitation *out)
{
    found_code f = { .len = 0 };
    fm_status st;

    if (strcmp(operand, "-") != 0) {
        st = fm_invitation_decode(operand, out);
        sodium_memzero(operand, strlen(operand));
        return st;
    }
    st = read_code(&f, out);
    sodium_memzero(&f, sizeof f);
    return st;
}

int fm_cmd_join(int argc, char **argv)
{
    join j = { .wait_s = 60, .yaml = fm_node_yaml_defaults() };
    const char *type = "ed25519";
    const fm_cli_option options[] = {
        { "output", FM_CLI_STRING, &j.output, "DIR",
          "folder of the new identity (default: the node's name)", false, 0, 0 },
        { "key-type", FM_CLI_STRING, &type, "TYPE", "ed25519 (default) or p256", false, 0, 0 },
        { "key", FM_CLI_STRING, &j.key_uri, "URI",
          "keep the key in a token: pkcs11:token=...;object=...?module-path=... (docs/pki.md)",
          false, 0, 0 },
        { "records", FM_CLI_STRING, &j.yaml.records, "FILE", "for node.yaml: CSV file of records",
          false, 0, 0 },
        { "schema", FM_CLI_STRING, &j.yaml.schema, "FILE",
          "the same: a plan with any other schema is refused", false, 0, 0 },
        { "purpose", FM_CLI_LIST, &j.yaml.purposes, "TEXT", "the same: allowed purpose of a plan",
          false, 0, 0 },
        { "epsilon", FM_CLI_DOUBLE, &j.yaml.epsilon, "E", "the same: budget (default 1)", false,
          1e-6, 1000 },
        { "delta", FM_CLI_DOUBLE, &j.yaml.delta, "D", "the same (default 1e-5)", false, 1e-15,
          0.1 },
        { "unit", FM_CLI_STRING, &j.yaml.unit, "COLUMN",
          "the same: whose rows are one person's (default: record)", false, 0, 0 },
        { "wait-s", FM_CLI_U64, &j.wait_s, "SECONDS", "keep asking for so long (default 60)", false,
          1, 31536000 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node join",
        .summary =
            "Join a federation with the code that its coordinator sent: makes a key, which "
            "never leaves this machine, has it certified, and writes a commented node.yaml. "
            "Interrupted, the same command goes on with the same key. With - as CODE it is "
            "read from standard input, where it may stand in a mail's text and be broken into "
            "lines, and stands in no history and no list of processes.",
        .examples = "fedmoe-node join - --output /srv/fedmoe    # asks for the code\n"
                    "fedmoe-node join - --records cleveland.csv --purpose 'heart disease risk' "
                    "--delta 1e-4",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .operands = "CODE",
        .operands_min = 1,
        .operands_max = 1,
    };
    int first = 0, code = 0;

    j.yaml.epsilon = j.yaml.delta = 0.0;
    j.yaml.unit = NULL;
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    if (fm_key_type_parse(type, &j.type) != FM_OK || take_code(argv[first], &j.code) != FM_OK) {
        code = fm_cli_failed(spec.program);
    } else {
        if (!j.output)
            j.output = j.code.name;
        code = run(&j) == FM_OK ? 0 : fm_cli_failed(spec.program);
    }
    free(j.yaml.purposes.items);
    fm_buf_fini(&j.request);
    sodium_memzero(&j.code, sizeof j.code);
    return code;
}
