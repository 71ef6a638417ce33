/* init: a commented node.yaml, checked by reading it back. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "fedmoe/base/file.h"
#include "fedmoe/node/config.h"

typedef struct {
    const char *directory, *name, *door, *door_key, *identity, *records, *schema, *data_name, *unit;
    double epsilon, delta;
    uint64_t min_cohort, min_colluders;
    fm_cli_list purposes;
} init_options;

/** A double-quoted YAML scalar. */
static fm_status put_quoted(fm_buf *b, const char *s)
{
    fm_status st = fm_buf_append(b, "\"", 1);

    for (; st == FM_OK && *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return fm_fail(FM_EINVAL, "a value given on the command line holds a control "
                                      "character");
        if (*s == '"' || *s == '\\')
            st = fm_buf_append(b, "\\", 1);
        if (st == FM_OK)
            st = fm_buf_append(b, s, 1);
    }
    return st == FM_OK ? fm_buf_append(b, "\"", 1) : st;
}

/** `target` as node.yaml in `directory` should name it: relative if within, else absolute. */
static fm_status put_path(fm_buf *b, const char *directory, const char *option, const char *target)
{
    char base[PATH_MAX], real[PATH_MAX];
    size_t n;

    if (!realpath(target, real))
        return fm_fail(FM_ENOTFOUND, "%s %s: is not there", option, target);
    if (!realpath(directory, base))
        return fm_fail(FM_ENOTFOUND, "--directory %s: is not there", directory);
    n = strlen(base);
    if (strcmp(base, real) == 0)
        return put_quoted(b, ".");
    if (strncmp(real, base, n) == 0 && real[n] == '/')
        return put_quoted(b, real + n + 1);
    return put_quoted(b, real);
}

static fm_status put_head(fm_buf *b, const init_options *o)
{
    fm_status st;

    /* The name is that of a certificate by now: it needs no quotes. */
    if ((st = fm_buf_printf(b,
                            "# Who this node is, where its records are, and what it allows. Every "
                            "key is explained in\n"
                            "# docs/guide-hospital.md. Relative paths are relative to this "
                            "file.\n\n"
                            "# As in the certificate.\n"
                            "name: %s\n\n"
                            "# What the coordinator told you; the key proves that the door is "
                            "theirs.\n"
                            "aggregator:\n  door: ",
                            o->name)) != FM_OK ||
        (st = put_quoted(b, o->door)) != FM_OK ||
        (st = fm_buf_printf(b, "\n  door_key: ")) != FM_OK ||
        (st = put_quoted(b, o->door_key)) != FM_OK)
        return st;
    return FM_OK;
}

static fm_status put_places(fm_buf *b, const init_options *o)
{
    fm_status st;

    if ((st = fm_buf_printf(b, "\n\n# Folder of identity.key (mode 0600), identity.crt, ca.crt "
                               "and, when there is one, crl.pem.\n"
                               "identity: ")) != FM_OK ||
        (st = put_path(b, o->directory, "--identity", o->identity)) != FM_OK ||
        (st = fm_buf_printf(b, "\n\n# The records never leave. The ledger adds up what is spent "
                               "under the data set's name:\n"
                               "# never give the same records a second name.\n"
                               "data:\n  name: ")) != FM_OK ||
        (st = put_quoted(b, o->data_name ? o->data_name : o->name)) != FM_OK ||
        (st = fm_buf_printf(b, "\n  records: ")) != FM_OK ||
        (st = put_path(b, o->directory, "--records", o->records)) != FM_OK)
        return st;
    if (o->schema && ((st = fm_buf_printf(b, "\n  # A plan with any other schema is refused.\n"
                                             "  schema: ")) != FM_OK ||
                      (st = put_path(b, o->directory, "--schema", o->schema)) != FM_OK))
        return st;
    return fm_buf_printf(b, "\n\n# The book of what was spent; several federations may share it. "
                            "Keep it, back it up.\n"
                            "ledger: ledger.db\n\n");
}

static fm_status put_policy(fm_buf *b, const init_options *o)
{
    fm_status st;

    if ((st = fm_buf_printf(b,
                            "# Set by the data-protection officer.\n"
                            "policy:\n"
                            "  epsilon: %.17g   # budget of the data set, over everything\n"
                            "  delta: %.17g\n"
                            "  purposes:       # a plan's purpose must be one of these\n",
                            o->epsilon, o->delta)) != FM_OK)
        return st;
    for (size_t i = 0; i < o->purposes.count; i++)
        if ((st = fm_buf_printf(b, "    - ")) != FM_OK ||
            (st = put_quoted(b, o->purposes.items[i])) != FM_OK ||
            (st = fm_buf_printf(b, "\n")) != FM_OK)
            return st;
    if ((st = fm_buf_printf(b, "  # Whose influence is bounded: record, or the column that says "
                               "whose record a row is.\n"
                               "  # Never changed once the data set has been used.\n"
                               "  unit: ")) != FM_OK ||
        (st = put_quoted(b, o->unit)) != FM_OK)
        return st;
    return fm_buf_printf(b,
                         "\n  tasks: [training]  # also: statistics, evaluation "
                         "(docs/queries.md)\n"
                         "  min_cohort: %llu     # fewest nodes over which a sum may be read\n"
                         "  min_colluders: %llu  # a plan must withstand so many colluding nodes\n"
                         "  max_rows: 100000  # more records in the file are an error\n",
                         (unsigned long long)o->min_cohort, (unsigned long long)o->min_colluders);
}

/** The certificate in --identity must be that of --name. */
static fm_status check_identity(const init_options *o)
{
    fm_identity *id = NULL;
    const fm_cert_info *info;
    fm_status st = fm_identity_load(o->identity, &id);

    if (st != FM_OK)
        return fm_fail_context(st, "--identity %s: ", o->identity);
    info = fm_identity_info(id);
    if (info->role != FM_ROLE_NODE || strcmp(info->name, o->name) != 0)
        st = fm_fail(FM_EINVAL,
                     "--identity %s: the certificate is that of %s '%s', not of node '%s' (--name)",
                     o->identity, fm_role_name(info->role), info->name, o->name);
    fm_identity_free(&id);
    return st;
}

/** The file is not kept, so that its place means nothing: name the option that stands there. */
static fm_status blame_option(const char *path, const char *yaml, fm_status st)
{
    static const struct {
        const char *line, *option;
    } places[] = {
        { "name: ", "--name" },
        { "  door: ", "--door" },
        { "  door_key: ", "--door-key" },
        { "identity: ", "--identity" },
        { "  name: ", "--data-name" },
        { "  records: ", "--records" },
        { "  schema: ", "--schema" },
        { "  epsilon: ", "--epsilon" },
        { "  delta: ", "--delta" },
        { "    - ", "--purpose" },
        { "  unit: ", "--unit" },
        { "  min_cohort: ", "--min-cohort" },
        { "  min_colluders: ", "--min-colluders" },
    };
    const char *text = fm_error_text();
    const size_t n = strlen(path);
    unsigned long line = 0;
    int used = 0;

    if (strncmp(text, path, n) != 0 || sscanf(text + n, ":%lu:%*u: %n", &line, &used) < 1 || !used)
        return st;
    while (line > 1 && *yaml) {
        yaml += strcspn(yaml, "\n");
        yaml += *yaml == '\n';
        line--;
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (strncmp(yaml, places[i].line, strlen(places[i].line)) == 0)
            return fm_fail(st, "%s: %s", places[i].option, text + n + used);
    return st;
}

static fm_status write_config(const init_options *o)
{
    fm_node_config c = { 0 };
    char *path = NULL;
    fm_buf b = { 0 };
    fm_status st;

    if ((st = fm_dir_make(o->directory, 0700)) != FM_OK || (st = check_identity(o)) != FM_OK ||
        (st = put_head(&b, o)) != FM_OK || (st = put_places(&b, o)) != FM_OK ||
        (st = put_policy(&b, o)) != FM_OK ||
        (st = fm_path_join(o->directory, "node.yaml", &path)) != FM_OK)
        goto done;
    if ((st = fm_file_create(path, b.data, b.len, 0600)) == FM_EEXIST) {
        st = fm_fail(st, "%s is there already; remove it, or edit it", path);
        goto done;
    }
    if (st != FM_OK)
        goto done;
    if ((st = fm_node_config_load(path, &c)) != FM_OK) { /* a wrong value: leave nothing behind */
        st = blame_option(path, (const char *)b.data, st);
        (void)remove(path);
        goto done;
    }
    printf("%s is written. Next: fedmoe-node check --config %s\n", path, path);
done:
    fm_node_config_fini(&c);
    fm_buf_fini(&b);
    free(path);
    return st;
}

int fm_cmd_init(int argc, char **argv)
{
    init_options o = {
        .unit = FM_UNIT_RECORD, .epsilon = 1.0, .delta = 1e-5, .min_cohort = 3, .min_colluders = 1
    };
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &o.directory, "DIR", "where node.yaml is to be", true, 0, 0 },
        { "name", FM_CLI_STRING, &o.name, "NAME", "as in the certificate", true, 0, 0 },
        { "door", FM_CLI_STRING, &o.door, "ADDR", "the aggregator's, tcp://HOST:PORT", true, 0, 0 },
        { "door-key", FM_CLI_STRING, &o.door_key, "KEY", "its 40 characters", true, 0, 0 },
        { "identity", FM_CLI_STRING, &o.identity, "DIR",
          "folder of identity.key, identity.crt, ca.crt; named, not copied", true, 0, 0 },
        { "records", FM_CLI_STRING, &o.records, "FILE", "CSV file of records", true, 0, 0 },
        { "schema", FM_CLI_STRING, &o.schema, "FILE",
          "pin this schema: a plan with any other is refused", false, 0, 0 },
        { "data-name", FM_CLI_STRING, &o.data_name, "NAME",
          "of the data set in the ledger (default: the node's name)", false, 0, 0 },
        { "epsilon", FM_CLI_DOUBLE, &o.epsilon, "E", "budget (default 1)", false, 1e-6, 1000 },
        { "delta", FM_CLI_DOUBLE, &o.delta, "D", "of the budget (default 1e-5)", false, 1e-15,
          0.1 },
        { "purpose", FM_CLI_LIST, &o.purposes, "TEXT", "allowed purpose of a plan", false, 0, 0 },
        { "unit", FM_CLI_STRING, &o.unit, "COLUMN",
          "whose rows are one person's, such as patient_nbr (default: record)", false, 0, 0 },
        { "min-cohort", FM_CLI_U64, &o.min_cohort, "N", "fewest participants (default 3)", false, 2,
          FM_MAX_NODES },
        { "min-colluders", FM_CLI_U64, &o.min_colluders, "N",
          "colluding nodes to withstand (default 1)", false, 0, FM_MAX_NODES },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-node init",
        .summary = "Write a commented node.yaml. Nothing that exists is overwritten.",
        .examples = "fedmoe-node init --directory node --name cleveland \\\n"
                    "    --door tcp://aggregator.example:7300 --door-key 'Z85KEY...' \\\n"
                    "    --identity node --records records.csv --purpose 'heart disease risk' \\\n"
                    "    --epsilon 1 --delta 1e-4",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;

    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        goto done;
    if (o.purposes.count == 0) {
        fprintf(stderr,
                "%s: --purpose TEXT is required; it may be given again for another purpose\n"
                "Try '%s --help'.\n",
                spec.program, spec.program);
        code = 2;
        goto done;
    }
    code = write_config(&o) == FM_OK ? 0 : fm_cli_failed(spec.program);
done:
    free(o.purposes.items);
    return code;
}
