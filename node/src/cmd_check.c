/* check: everything that can be wrong before a node is started, each with what to do about it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_records.h"
#include "check_texts.h"
#include "commands.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/model/compute.h"
#include "fedmoe/node/config.h"
#include "house.h"
#include "node_yaml.h"
#include "policy_internal.h"
#include "run_internal.h"
#include "words.h"

#define SOON_S (30 * 24 * 3600)

typedef struct {
    fm_check_records records; /* what was asked for */
    fm_node_config config;
    fm_check_texts texts; /* no schema in it: the records are of a table */
    bool no_model;        /* it was said */
    fm_say say;
} checkup;

static void report(checkup *c, const char *what, fm_status st, const char *detail)
{
    fm_say_status(&c->say, what, st, detail);
}

static void check_trust(checkup *c, const fm_identity *id)
{
    fm_trust *trust = NULL;
    const fm_cert_info *info;
    int64_t now = fm_clock_wall_s();
    char detail[256] = "", until[32];
    fm_status st = fm_trust_load(c->config.identity_dir, &trust);

    if (st == FM_ENOTFOUND)
        st = fm_fail(st, "%s; see identity in %s", fm_error_text(), c->records.config_path);
    if (st != FM_OK || !id) { /* of the identity something was said */
        if (st != FM_OK)
            report(c, "CA", st, "");
    } else if ((st = fm_house_self(&c->config, id, trust)) == FM_OK) {
        info = fm_identity_info(id);
        fm_clock_format(info->not_after_s, until, sizeof until);
        (void)snprintf(detail, sizeof detail, "node '%s' of federation '%s', valid until %s%s",
                       info->name, info->federation, until,
                       info->not_after_s - now < SOON_S ? "; ask the coordinator for a new one SOON"
                                                        : "");
        report(c, "identity", FM_OK, detail);
    } else {
        report(c, "identity", st, "");
    }
    fm_trust_free(&trust);
}

static void check_identity(checkup *c)
{
    fm_identity *id = NULL;
    const fm_status st = fm_house_identity(&c->config, c->records.config_path, &id);

    if (st != FM_OK)
        report(c, "identity", st, "");
    check_trust(c, id);
    fm_identity_free(&id);
}

static fm_status say_of_house(void *ctx, const char *what, fm_status st)
{
    checkup *c = ctx;

    if (st != FM_OK)
        report(c, what, st, "");
    c->no_model = c->no_model || (st != FM_OK && strcmp(what, "base model") == 0);
    return FM_OK;
}

static void check_house(checkup *c)
{
    const uint64_t before = c->say.problems;
    char text[512];

    (void)fm_house_look(&c->config, c->records.config_path, say_of_house, c);
    if (fm_house_is_foreign(&c->config, c->records.config_path, text, sizeof text))
        fm_say_line(&c->say, "modes", FM_SAY_WARNING, text);
    else if (c->say.problems == before)
        report(c, "folders", FM_OK,
               "node.yaml, keys and folders are for nobody else to change, and can be written to");
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

/** Of a damaged one fm_house_look has told. */
static void check_journal(checkup *c)
{
    uint64_t released = 0;
    char *path = NULL;
    char detail[96] = "not there yet; the first start makes it";

    if (fm_house_journal(&c->config, &released) != FM_OK ||
        fm_path_join(c->config.dir, "state.db", &path) != FM_OK)
        return;
    if (fm_file_exists(path))
        (void)snprintf(detail, sizeof detail, "mode is 0600; %llu rounds released",
                       (unsigned long long)released);
    report(c, "journal", FM_OK, detail);
    free(path);
}

static void check_texts(checkup *c)
{
    char base[512] = "", texts[512] = "";
    fm_buf problems = { 0 };
    fm_status st = fm_check_texts_base(&c->config, &c->texts, base, sizeof base);

    if (st == FM_OK || !c->no_model)
        report(c, "base model", st, base);
    st = fm_check_texts_records(&c->config, &c->texts, c->records.max_unit_rows, &problems, texts,
                                sizeof texts);
    if (st == FM_OK)
        fm_check_readers(&c->config, texts, sizeof texts);
    if (problems.len)
        fm_say_lines(&c->say, "records", (const char *)problems.data);
    else
        report(c, "records", st, texts);
    fm_buf_fini(&problems);
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
                           c->records.config_path, p->purposes[i]),
                   "");
}

static void check_all(checkup *c)
{
    fm_status st = fm_node_config_load(c->records.config_path, &c->config);

    report(c, "configuration", st, c->records.config_path);
    if (st != FM_OK)
        return;
    check_purposes(c);
    check_house(c);
    check_identity(c);
    check_ledger(c);
    check_journal(c);
    if ((st = fm_check_texts_find(c->records.config_path, &c->config, c->records.schema_path,
                                  &c->texts)) != FM_OK) {
        report(c, "schema", st, "");
        fm_check_records_without(&c->say, &c->records, &c->config);
    } else if (c->texts.schema)
        check_texts(c);
    else
        fm_check_records_run(&c->say, &c->records, &c->config);
    check_compute(c);
}

int fm_cmd_check(int argc, char **argv)
{
    checkup c = { .records = { .config_path = "node.yaml" } };
    const fm_cli_option options[] = {
        FM_CMD_CONFIG_OPTION(c.records.config_path),
        { "schema", FM_CLI_STRING, &c.records.schema_path, "FILE",
          "schema.yaml to check the records by (default: the pinned one, else "
          "that of the plan last offered)",
          false, 0, 0 },
        { "max-unit-rows", FM_CLI_U64, &c.records.max_unit_rows, "N",
          "tell how many units have more records (default: as the plan last offered)", false, 1,
          FM_MAX_UNIT_ROWS },
        { "all", FM_CLI_FLAG, &c.say.all, NULL,
          "list every problem, not only the first 20 of each kind", false, 0, 0 },
        { "columns", FM_CLI_FLAG, &c.records.columns, NULL,
          "a table of all columns: values, missing, outside, unknown, part of the range used",
          false, 0, 0 },
        { "keep", FM_CLI_FLAG, &c.records.keep, NULL,
          "keep counts of the columns in check.json beside node.yaml; later checks say what has "
          "drifted since",
          false, 0, 0 },
        { "json", FM_CLI_FLAG, &c.say.json, NULL, "print JSON, an object a line", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node check",
        .summary = "Check node.yaml, who may read and write the node's files, its folders, the "
                   "approvers' keys, the identity and its dates, the ledger's chain and every "
                   "record, and list all that is wrong; measure how fast this machine computes. "
                   "Exit 1: the node could not start or train. Warnings are no failure.",
        .examples = "fedmoe-node check --config node.yaml --schema schema.yaml\n"
                    "fedmoe-node check --all --json >problems.jsonl",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    check_all(&c);
    fm_say_end(&c.say);
    fm_check_texts_fini(&c.texts);
    fm_node_config_fini(&c.config);
    (void)fflush(stdout); /* the sum stands behind what it is of, also in one file with it */
    if (c.say.problems)
        fprintf(stderr, "%s: %llu problem%s\n", spec.program, (unsigned long long)c.say.problems,
                c.say.problems == 1 ? "" : "s");
    return c.say.problems ? 1 : 0;
}
