/* check: everything that can be wrong before a node is started, each with what to do about it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check_texts.h"
#include "commands.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fedmoe/model/compute.h"
#include "fedmoe/model/table.h"
#include "fedmoe/node/config.h"
#include "node_yaml.h"
#include "policy_internal.h"
#include "records.h"
#include "run_internal.h"
#include "words.h"

#define SOON_S (30 * 24 * 3600)

typedef struct {
    const char *config_path, *schema_path;
    uint64_t max_unit_rows; /* 0: not given */
    fm_node_config config;
    fm_check_texts texts; /* no schema in it: the records are of a table */
    unsigned failures;
} checkup;

/** One line a check; problems may have several. */
static void report_text(checkup *c, const char *what, fm_status st, const char *text)
{
    printf("%-8s %-14s ", st == FM_OK ? "ok" : "PROBLEM", what);
    for (; *text; text++) {
        if (*text == '\n')
            printf("\n%24s", "");
        else
            putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
    }
    putchar('\n');
    c->failures += st != FM_OK;
}

static void report(checkup *c, const char *what, fm_status st, const char *detail)
{
    report_text(c, what, st, st == FM_OK ? detail : fm_error_text());
}

static void check_identity(checkup *c)
{
    fm_identity *id = NULL;
    fm_trust *trust = NULL;
    fm_peer *self = NULL;
    const fm_cert_info *info;
    int64_t now = fm_clock_wall_s();
    char detail[256] = "", until[32];
    fm_status st;

    if ((st = fm_identity_load(c->config.identity_dir, &id)) != FM_OK ||
        (st = fm_trust_load(c->config.identity_dir, &trust)) != FM_OK)
        goto done;
    info = fm_identity_info(id);
    fm_clock_format(info->not_after_s, until, sizeof until);
    if (strcmp(info->name, c->config.name) != 0) {
        st = fm_fail(FM_EINVAL, "name is '%s' in %s, '%s' in the certificate", c->config.name,
                     c->config_path, info->name);
        goto done;
    }
    if ((st = fm_peer_verify_self(trust, id, FM_ROLE_NODE, now, &self)) != FM_OK)
        goto done;
    (void)snprintf(detail, sizeof detail, "node '%s' of federation '%s', valid until %s%s",
                   info->name, info->federation, until,
                   info->not_after_s - now < SOON_S ? "; ask the coordinator for a new one SOON"
                                                    : "");
done:
    report(c, "identity", st, detail);
    fm_peer_free(&self);
    fm_trust_free(&trust);
    fm_identity_free(&id);
}

static void check_ledger(checkup *c)
{
    const fm_node_policy *p = &c->config.policy;
    fm_ledger *l = NULL;
    uint64_t entries = 0;
    double spent = 0.0;
    char detail[160] = "not there yet; the first start makes it";
    fm_status st = FM_OK;

    if (fm_file_exists(c->config.ledger)) {
        if ((st = fm_ledger_open_readonly(c->config.ledger, &l)) == FM_OK &&
            (st = fm_ledger_verify(l, &entries)) == FM_OK &&
            (st = fm_node_books_compare(&c->config, l)) == FM_OK &&
            (st = fm_ledger_epsilon(l, c->config.data_set, NULL, p->delta, &spent)) == FM_OK)
            (void)snprintf(detail, sizeof detail,
                           "%llu entries, chain whole; epsilon %.4f of %.4f is spent at delta %g",
                           (unsigned long long)entries, fm_words_up(spent), p->epsilon, p->delta);
        if (st == FM_OK && spent > p->epsilon && !fm_node_policy_is_open(p))
            st = fm_fail(FM_EPERM,
                         "epsilon %.4f is spent at delta %g, and policy.epsilon is %.4f: every "
                         "plan will be refused",
                         fm_words_up(spent), p->delta, p->epsilon);
        fm_ledger_close(&l);
    } else {
        st = fm_node_books_none_yet(&c->config);
    }
    report(c, "ledger", st, detail);
}

static void check_journal(checkup *c)
{
    uint64_t released = 0;
    char *path = NULL;
    char detail[96] = "not there yet; the first start makes it";
    fm_status st = fm_path_join(c->config.dir, "state.db", &path);

    if (st == FM_OK && fm_file_exists(path)) {
        if ((st = fm_journal_read_released(path, &released)) == FM_OK)
            (void)snprintf(detail, sizeof detail, "mode is 0600; %llu rounds released",
                           (unsigned long long)released);
    }
    report(c, "journal", st, detail);
    free(path);
}

/** The plan's bound on the rows of one unit, unless one was given or none was offered. */
static fm_status find_bound(checkup *c)
{
    json_t *plan = NULL;
    fm_status st;

    if (c->max_unit_rows || !fm_node_policy_unit_column(&c->config.policy))
        return FM_OK;
    st = fm_cmd_read_json(c->config_path, "plan.json", &plan);
    if (st == FM_OK && strcmp(fm_cmd_text(plan, "privacy_unit"), c->config.policy.unit) == 0)
        c->max_unit_rows = (uint64_t)fm_cmd_whole(plan, "max_unit_rows");
    json_decref(plan);
    return st == FM_ENOTFOUND ? FM_OK : st;
}

/** The schema given, else the one that is pinned, else that of the plan last offered, else none. */
static fm_status find_schema(const checkup *c, fm_schema **out)
{
    json_t *plan = NULL;
    const char *text;
    fm_status st;

    if (c->schema_path || c->config.schema)
        return fm_schema_load(c->schema_path ? c->schema_path : c->config.schema, out);
    st = fm_cmd_read_json(c->config_path, "plan.json", &plan);
    if (st == FM_OK) {
        text = fm_cmd_text(plan, "schema");
        st = fm_schema_parse("the schema of plan.json", text, strlen(text), out);
    } else if (st == FM_ENOTFOUND) {
        st = FM_OK;
    }
    json_decref(plan);
    return st;
}

/** How many rows the units have: for the operator's own screen, and for nobody else. */
static void tell_units(const checkup *c, const fm_table *t, char *detail, size_t cap)
{
    size_t most = 0, over = 0, lost = 0, used = strlen(detail);

    for (size_t u = 0; u < t->units; u++) {
        size_t n = t->unit_start[u + 1] - t->unit_start[u];

        most = n > most ? n : most;
        if (c->max_unit_rows && n > c->max_unit_rows) {
            over++;
            lost += n - c->max_unit_rows;
        }
    }
    (void)snprintf(detail + used, cap - used, "; %zu units by column %s, at most %zu records each",
                   t->units, c->config.policy.unit, most);
    used = strlen(detail);
    if (c->max_unit_rows)
        (void)snprintf(detail + used, cap - used,
                       "; %zu units have more than %llu, a round leaves out up to %zu records of "
                       "theirs",
                       over, (unsigned long long)c->max_unit_rows, lost);
}

static fm_status read_records(const checkup *c, const fm_schema *s, char *detail, size_t cap)
{
    const fm_table_options o = { .labels = true,
                                 .count_only = true,
                                 .unit = fm_node_policy_unit_column(&c->config.policy) };
    fm_table t = { 0 };
    fm_status st = fm_node_records_load(&c->config, s, &o, &t);

    if (st == FM_OK) {
        if (t.rows > c->config.policy.max_rows)
            st = fm_fail(FM_EPERM, "%zu records; policy.max_rows allows %llu", t.rows,
                         (unsigned long long)c->config.policy.max_rows);
        else
            (void)snprintf(detail, cap, "%zu records fit the schema '%s' (%zu features)", t.rows,
                           fm_schema_name(s), t.features);
        if (st == FM_OK && t.unit_start)
            tell_units(c, &t, detail, cap);
    }
    fm_table_fini(&t);
    return st;
}

/** Names the first file of records that anybody may read. */
static void tell_readers(const checkup *c, char *detail, size_t cap)
{
    const char *files[FM_NODE_MAX_FILES];
    const size_t count = fm_node_config_files(&c->config, files);
    struct stat info;

    for (size_t i = 0; i < count; i++)
        if (stat(files[i], &info) == 0 && (info.st_mode & 0007)) {
            (void)snprintf(detail + strlen(detail), cap - strlen(detail),
                           "; every user of this machine may read them: chmod o= %s", files[i]);
            return;
        }
}

/* The last line end of a list of problems is none of the text's. */
static const char *problem_text(const fm_buf *problems)
{
    char *text = (char *)problems->data;

    if (problems->len == 0)
        return fm_error_text();
    if (text[problems->len - 1] == '\n')
        text[problems->len - 1] = '\0';
    return text;
}

static void check_texts(checkup *c)
{
    char base[512] = "", texts[512] = "";
    fm_buf problems = { 0 };
    fm_status st = fm_check_texts_base(&c->config, &c->texts, base, sizeof base);

    report(c, "base model", st, base);
    st = fm_check_texts_records(&c->config, &c->texts, c->max_unit_rows, &problems, texts,
                                sizeof texts);
    if (st == FM_OK)
        tell_readers(c, texts, sizeof texts);
    report_text(c, "records", st, st == FM_OK ? texts : problem_text(&problems));
    fm_buf_fini(&problems);
}

static void check_records(checkup *c)
{
    fm_schema *s = NULL;
    char detail[512] = "there; give --schema to check every cell";
    fm_status st = fm_node_records_find(&c->config);

    if (st == FM_ENOTFOUND)
        st = fm_fail(st, "%s is not there; see data.records in %s",
                     fm_node_config_records_name(&c->config), c->config_path);
    else if (st == FM_OK && (st = find_bound(c)) == FM_OK && (st = find_schema(c, &s)) == FM_OK &&
             s)
        st = read_records(c, s, detail, sizeof detail);
    if (st == FM_OK)
        tell_readers(c, detail, sizeof detail);
    report(c, "records", st, detail);
    fm_schema_free(&s);
}

static void check_compute(checkup *c)
{
    fm_compute_report r;
    char detail[320] = "";
    fm_status st = fm_compute_measure(&r);

    if (st == FM_OK)
        fm_compute_format(&r, detail, sizeof detail);
    report(c, "compute", st, detail);
}

/** Only a problem is worth a line. */
static void check_purposes(checkup *c)
{
    const fm_node_policy *p = &c->config.policy;

    for (size_t i = 0; i < p->purpose_count; i++)
        if (strcmp(p->purposes[i], FM_NODE_PURPOSE_TO_COME) == 0)
            report(c, "purpose",
                   fm_fail(FM_EINVAL,
                           "policy.purposes in %s still reads '%s': put the purpose there that the "
                           "coordinator and your data-protection officer have agreed on",
                           c->config_path, p->purposes[i]),
                   "");
}

static void check_all(checkup *c)
{
    fm_status st = fm_node_config_load(c->config_path, &c->config);

    report(c, "configuration", st, c->config_path);
    if (st != FM_OK)
        return;
    check_purposes(c);
    check_identity(c);
    check_ledger(c);
    check_journal(c);
    if ((st = fm_check_texts_find(c->config_path, &c->config, c->schema_path, &c->texts)) != FM_OK)
        report(c, "schema", st, "");
    else if (c->texts.schema)
        check_texts(c);
    else
        check_records(c);
    check_compute(c);
}

int fm_cmd_check(int argc, char **argv)
{
    checkup c = { .config_path = "node.yaml" };
    const fm_cli_option options[] = {
        FM_CMD_CONFIG_OPTION(c.config_path),
        { "schema", FM_CLI_STRING, &c.schema_path, "FILE",
          "schema.yaml to check the records by (default: the pinned one, else "
          "that of the plan last offered)",
          false, 0, 0 },
        { "max-unit-rows", FM_CLI_U64, &c.max_unit_rows, "N",
          "tell how many units have more records (default: as the plan last offered)", false, 1,
          FM_MAX_UNIT_ROWS },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node check",
        .summary = "Check node.yaml, the identity and its dates, the files' modes, the ledger's "
                   "chain and every record; measure how fast this machine computes.",
        .examples = "fedmoe-node check --config node.yaml --schema schema.yaml",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    check_all(&c);
    fm_check_texts_fini(&c.texts);
    fm_node_config_fini(&c.config);
    if (c.failures)
        fprintf(stderr, "%s: %u problem%s\n", spec.program, c.failures, c.failures == 1 ? "" : "s");
    return c.failures ? 1 : 0;
}
