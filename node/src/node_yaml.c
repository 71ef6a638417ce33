/* A commented node.yaml, checked by reading it back. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/yaml.h"
#include "fedmoe/node/config.h"
#include "node_yaml.h"

fm_node_yaml fm_node_yaml_defaults(void)
{
    return (fm_node_yaml){
        .unit = FM_UNIT_RECORD, .epsilon = 1.0, .delta = 1e-5, .min_cohort = 3, .min_colluders = 1
    };
}

/** `target` as node.yaml in `directory` should name it: relative if within, else absolute. */
static fm_status put_path(fm_buf *b, const fm_node_yaml *o, const char *option, const char *target)
{
    char base[PATH_MAX], real[PATH_MAX];
    size_t n;

    if (!realpath(target, real))
        return fm_fail(FM_ENOTFOUND, "%s %s: is not there", option, target);
    if (!realpath(o->directory, base))
        return fm_fail(FM_ENOTFOUND, "--directory %s: is not there", o->directory);
    n = strlen(base);
    if (strcmp(base, real) == 0)
        return fm_yaml_quote(b, ".");
    if (strncmp(real, base, n) == 0 && real[n] == '/')
        return fm_yaml_quote(b, real + n + 1);
    return fm_yaml_quote(b, real);
}

static fm_status put_head(fm_buf *b, const fm_node_yaml *o)
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
        (st = fm_yaml_quote(b, o->door)) != FM_OK ||
        (st = fm_buf_printf(b, "\n  door_key: ")) != FM_OK ||
        (st = fm_yaml_quote(b, o->door_key)) != FM_OK)
        return st;
    return FM_OK;
}

static fm_status put_places(fm_buf *b, const fm_node_yaml *o)
{
    fm_status st;

    if ((st = fm_buf_printf(b, "\n\n# Folder of identity.key (mode 0600), identity.crt, ca.crt "
                               "and, when there is one, crl.pem.\n"
                               "identity: ")) != FM_OK ||
        (st = put_path(b, o, "--identity", o->identity)) != FM_OK ||
        (st = fm_buf_printf(b, "\n\n# The records never leave. The ledger adds up what is spent "
                               "under the data set's name:\n"
                               "# never give the same records a second name.\n"
                               "data:\n  name: ")) != FM_OK ||
        (st = fm_yaml_quote(b, o->data_name ? o->data_name : o->name)) != FM_OK ||
        (st = fm_buf_printf(b, "\n  records: ")) != FM_OK ||
        (st = (o->draft ? fm_yaml_quote(b, o->records)
                        : put_path(b, o, "--records", o->records))) != FM_OK)
        return st;
    if (o->schema && ((st = fm_buf_printf(b, "\n  # A plan with any other schema is refused.\n"
                                             "  schema: ")) != FM_OK ||
                      (st = put_path(b, o, "--schema", o->schema)) != FM_OK))
        return st;
    if (!o->schema &&
        (st = fm_buf_printf(b, "\n  # Once agreed on: a plan with any other schema is "
                               "refused.\n"
                               "  # schema: schema.yaml")) != FM_OK)
        return st;
    return FM_OK;
}

static fm_status put_model(fm_buf *b, const fm_node_yaml *o)
{
    fm_status st;

    if (!o->model)
        return fm_buf_printf(b,
                             "\n\n# To train on texts, the folder of the language model that all "
                             "members have; records and\n"
                             "# schema are then of texts.\n"
                             "# model: base");
    if ((st = fm_buf_printf(b, "\n\n# The language model that all members have; records and schema "
                               "are of texts.\n"
                               "model: ")) != FM_OK)
        return st;
    return put_path(b, o, "--model", o->model);
}

static fm_status put_ledger(fm_buf *b)
{
    return fm_buf_printf(b,
                         "\n\n# The book of what was spent; several federations may share it. "
                         "Keep it, back it up.\n"
                         "ledger: ledger.db\n\n"
                         "# What left, what it cost, and a button to pause, for browsers of this "
                         "machine:\n"
                         "# 'fedmoe-node status --link' opens it.\n"
                         "# page: {listen: \"127.0.0.1:7391\"}\n\n");
}

/** The shortest text that reads back as the same number. */
static void shortest(double v, char *out, size_t cap)
{
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(out, cap, "%.*g", digits, v);
        if (strtod(out, NULL) == v) /* NOLINT: the same bits are what is wanted */
            return;
    }
}

static fm_status put_policy(fm_buf *b, const fm_node_yaml *o)
{
    char epsilon[32], delta[32];
    fm_status st;

    shortest(o->epsilon, epsilon, sizeof epsilon);
    shortest(o->delta, delta, sizeof delta);

    if ((st = fm_buf_printf(b,
                            "# Set by the data-protection officer.\n"
                            "policy:\n"
                            "  epsilon: %s   # budget of the data set, over everything\n"
                            "  delta: %s\n"
                            "  purposes:       # a plan's purpose must be one of these\n",
                            epsilon, delta)) != FM_OK)
        return st;
    for (size_t i = 0; i < o->purposes.count; i++)
        if ((st = fm_buf_printf(b, "    - ")) != FM_OK ||
            (st = fm_yaml_quote(b, o->purposes.items[i])) != FM_OK ||
            (st = fm_buf_printf(b, "\n")) != FM_OK)
            return st;
    if ((st = fm_buf_printf(b, "  # Whose influence is bounded: record, or the column that says "
                               "whose record a row is.\n"
                               "  # Never changed once the data set has been used.\n"
                               "  unit: ")) != FM_OK ||
        (st = fm_yaml_quote(b, o->unit)) != FM_OK)
        return st;
    return fm_buf_printf(b,
                         "\n  tasks: [training]  # also: statistics, evaluation "
                         "(docs/queries.md)\n"
                         "  min_cohort: %llu     # fewest nodes over which a sum may be read\n"
                         "  min_colluders: %llu  # a plan must withstand so many colluding nodes\n"
                         "  masks: sparse     # or all: every two nodes must share a mask\n"
                         "  approval: changes # people are asked of each plan but the first; or asked: of "
                         "all\n"
                         "  max_rows: 100000  # more records in the file are an error\n",
                         (unsigned long long)o->min_cohort, (unsigned long long)o->min_colluders);
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
        { "model: ", "--model" },
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

fm_status fm_node_yaml_write(const fm_node_yaml *o)
{
    fm_node_config c = { 0 };
    char *path = NULL;
    fm_buf b = { 0 };
    fm_status st;

    if ((st = fm_dir_make(o->directory, 0700)) != FM_OK || (st = put_head(&b, o)) != FM_OK ||
        (st = put_places(&b, o)) != FM_OK || (st = put_model(&b, o)) != FM_OK ||
        (st = put_ledger(&b)) != FM_OK || (st = put_policy(&b, o)) != FM_OK ||
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
done:
    fm_node_config_fini(&c);
    fm_buf_fini(&b);
    free(path);
    return st;
}
