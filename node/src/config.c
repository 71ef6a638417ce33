#include "fedmoe/node/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sodium.h>

#include "config_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/text.h"
#include "fedmoe/base/threads.h"
#include "fedmoe/base/yaml.h"

#define MAX_ROWS_DEFAULT 100000u
#define DELTA_NEVER 0.1
#define MAX_ROWS_LIMIT ((uint64_t)1 << 24)
#define MEMORY_MIB 256u
#define MEMORY_MIB_MOST (1u << 20)
#define QUERY_S 600u /* a row of a query over millions of records comes sooner */
#define QUERY_S_MOST 86400u
#define QUERY_MOST ((size_t)1 << 20) /* bytes of a query */

/** Copy text of printable bytes into a fixed field. */
static fm_status copy_text(const fm_yaml_node *map, const char *key, char *out, size_t cap)
{
    const char *s = NULL;
    fm_status st = fm_yaml_get_string(map, key, &s);

    if (st != FM_OK)
        return st;
    if (strlen(s) >= cap)
        return fm_yaml_fail(fm_yaml_find(map, key), "%s is longer than %zu bytes", key, cap - 1);
    if (fm_text_has_control(s))
        return fm_yaml_fail(fm_yaml_find(map, key), "%s holds a control character", key);
    memcpy(out, s, strlen(s) + 1);
    return FM_OK;
}

/** A path, relative to the directory of node.yaml. */
static fm_status read_path(const fm_yaml_node *map, const char *key, const char *dir, char **out)
{
    const char *s = NULL;
    fm_status st = fm_yaml_get_string(map, key, &s);

    if (st != FM_OK ||
        (st = fm_node_config_check_expanded(fm_yaml_find(map, key), s, dir)) != FM_OK)
        return st;
    return fm_path_join(dir, s, out);
}

static fm_status read_u32(const fm_yaml_node *map, const char *key, uint32_t lo, uint32_t hi,
                          uint32_t otherwise, uint32_t *out)
{
    uint64_t v = 0;
    fm_status st = fm_yaml_get_u64_or(map, key, lo, hi, otherwise, &v);

    if (st == FM_OK)
        *out = (uint32_t)v;
    return st;
}

static fm_status read_aggregator(const fm_yaml_node *root, fm_node_config *c)
{
    static const char *const keys[] = { "door", "door_key", NULL };
    const fm_yaml_node *m = NULL;
    const char *door = NULL, *key = NULL;
    uint64_t port = 0;
    fm_status st;

    if ((st = fm_yaml_get_map(root, "aggregator", &m)) != FM_OK ||
        (st = fm_yaml_check_keys(m, keys)) != FM_OK ||
        (st = fm_yaml_get_string(m, "door", &door)) != FM_OK ||
        (st = fm_yaml_get_string(m, "door_key", &key)) != FM_OK)
        return st;
    if (strncmp(door, "tcp://", 6) != 0 || !strchr(door + 6, ':') || strpbrk(door, " \t"))
        return fm_yaml_fail(fm_yaml_find(m, "door"), "door must read tcp://HOST:PORT, not '%s'",
                            door);
    if (!fm_text_u64(strrchr(door, ':') + 1, &port) || port < 1 || port > 65535)
        return fm_yaml_fail(fm_yaml_find(m, "door"),
                            "door: the port must be between 1 and 65535, not '%s'",
                            strrchr(door, ':') + 1);
    if (fm_curve_parse(key, c->door_public) != FM_OK)
        return fm_yaml_fail(
            fm_yaml_find(m, "door_key"),
            "door_key must be the door's public key, 40 characters in quotes, as the "
            "coordinator gave it (fedmoe-aggregator new, init and rotate print it); "
            "this has %zu%s",
            fm_text_length(key), fm_text_length(key) == 40 ? ", and is none" : "");
    return fm_strdup(door, &c->door);
}

static fm_status read_file_of(const fm_yaml_node *item, fm_node_config *c, char **out)
{
    const char *files[FM_NODE_MAX_FILES], *s = NULL;
    const size_t count = c->records ? fm_node_config_files(c, files) : 0;
    char *path = NULL;
    fm_status st;

    if ((st = fm_yaml_scalar(item, &s)) != FM_OK ||
        (st = fm_node_config_check_expanded(item, s, c->dir)) != FM_OK ||
        (st = fm_path_join(c->dir, s, &path)) != FM_OK)
        return st;
    for (size_t i = 0; i < count; i++)
        if (strcmp(files[i], path) == 0) {
            free(path);
            return fm_yaml_fail(item, "records has '%.200s' twice: each text would count twice", s);
        }
    *out = path;
    return FM_OK;
}

static fm_status copy_string(const fm_yaml_node *m, const char *key, char **out)
{
    const char *s = NULL;
    const fm_status st = fm_yaml_get_string(m, key, &s);

    return st != FM_OK ? st : fm_strdup(s, out);
}

static fm_status read_query(const fm_yaml_node *m, fm_node_config *c)
{
    fm_buf text = { 0 };
    char *path = NULL;
    fm_status st;

    if (fm_yaml_find(m, "query"))
        return copy_string(m, "query", &c->database.query);
    if ((st = read_path(m, "query_file", c->dir, &path)) == FM_OK &&
        (st = fm_file_read(path, QUERY_MOST, &text)) != FM_OK && st != FM_ENOMEM)
        st = fm_status_known(
            fm_yaml_error(fm_yaml_find(m, "query_file"), "query_file: %.600s", fm_error_text()),
            st);
    else if (st == FM_OK)
        st = fm_strdup(text.data ? (const char *)text.data : "", &c->database.query);
    fm_buf_fini(&text);
    free(path);
    return st;
}

/** {sqlite, query}, or {odbc or connection_file, query}; query_file in the place of query. */
static fm_status read_database(const fm_yaml_node *m, fm_node_config *c)
{
    static const char *const keys[] = { "sqlite", "odbc",       "connection_file", "fhir",
                                        "query",  "query_file", "shifted_dates",   NULL };
    fm_node_database *d = &c->database;
    int places = 0;
    fm_status st;

    if ((st = fm_yaml_check_keys(m, keys)) != FM_OK)
        return st;
    for (int i = 0; i < 4; i++)
        places += fm_yaml_find(m, keys[i]) != NULL;
    if (places != 1)
        return fm_yaml_fail(
            m, "records of a database have one of sqlite, odbc, connection_file, fhir");
    if (!fm_yaml_find(m, "query") == !fm_yaml_find(m, "query_file"))
        return fm_yaml_fail(
            m, "records of a database have a query or a query_file, one of the two: query: "
               "SELECT ...");
    if (fm_yaml_find(m, "shifted_dates") && !fm_yaml_find(m, "fhir"))
        return fm_yaml_fail(
            fm_yaml_find(m, "shifted_dates"),
            "shifted_dates is for records: {fhir: ...}; of others the schema's range "
            "says which dates there are");
    if ((st = fm_yaml_get_bool_or(m, "shifted_dates", false, &d->shifted_dates)) != FM_OK)
        return st;
    st = fm_yaml_find(m, "sqlite") ? read_path(m, "sqlite", c->dir, &d->sqlite)
         : fm_yaml_find(m, "fhir") ? read_path(m, "fhir", c->dir, &d->fhir)
         : fm_yaml_find(m, "odbc") ? copy_string(m, "odbc", &d->odbc)
                                   : read_path(m, "connection_file", c->dir, &d->connection_file);
    return st != FM_OK ? st : read_query(m, c);
}

/** One path, a list of them, or a database. */
static fm_status read_records(const fm_yaml_node *data, fm_node_config *c)
{
    const fm_yaml_node *node = fm_yaml_find(data, "records");
    fm_status st;

    if (node && fm_yaml_node_kind(node) == FM_YAML_MAP)
        return read_database(node, c);
    c->records_commented = node && fm_yaml_is_commented(node);
    if (!node || fm_yaml_size(node) == 0)
        return read_path(data, "records", c->dir, &c->records);
    if ((st = fm_yaml_get_list(data, "records", &node)) != FM_OK)
        return st;
    if (fm_yaml_size(node) > FM_NODE_MAX_FILES)
        return fm_yaml_fail(node, "records may list at most %u files", FM_NODE_MAX_FILES);
    if ((st = read_file_of(fm_yaml_item(node, 0), c, &c->records)) != FM_OK)
        return st;
    for (size_t i = 1; i < fm_yaml_size(node); i++) {
        if ((st = read_file_of(fm_yaml_item(node, i), c, &c->more_records[i - 1])) != FM_OK)
            return st;
        c->more_count = i;
    }
    return FM_OK;
}

static fm_status read_data(const fm_yaml_node *root, fm_node_config *c)
{
    static const char *const keys[] = { "name",    "records", "schema",  "memory_mib",
                                        "scratch", "csv",     "query_s", NULL };
    const fm_yaml_node *m = NULL;
    uint64_t mib = 0;
    fm_status st;

    if ((st = fm_yaml_get_map(root, "data", &m)) != FM_OK ||
        (st = fm_yaml_check_keys(m, keys)) != FM_OK ||
        (st = copy_text(m, "name", c->data_set, sizeof c->data_set)) != FM_OK ||
        (st = fm_yaml_get_u64_or(m, "memory_mib", 1, MEMORY_MIB_MOST, MEMORY_MIB, &mib)) != FM_OK ||
        (fm_yaml_find(m, "scratch") &&
         (st = read_path(m, "scratch", c->dir, &c->scratch)) != FM_OK))
        return st;
    c->memory = mib << 20;
    if ((st = read_u32(m, "query_s", 1, QUERY_S_MOST, QUERY_S, &c->query_s)) != FM_OK)
        return st;
    if (fm_yaml_find(m, "schema") && (st = read_path(m, "schema", c->dir, &c->schema)) != FM_OK)
        return st;
    if (fm_yaml_find(m, "csv") &&
        (st = fm_dialect_read(fm_yaml_find(m, "csv"), &c->dialect)) != FM_OK)
        return st;
    c->has_dialect = fm_yaml_find(m, "csv") != NULL;
    if ((st = read_records(m, c)) != FM_OK)
        return st;
    if (fm_yaml_find(m, "query_s") && !c->database.query)
        return fm_yaml_fail(fm_yaml_find(m, "query_s"),
                            "query_s is of a query, and records names files");
    if (!c->has_dialect)
        return FM_OK;
    if (c->database.query || c->more_count > 0)
        return fm_yaml_fail(fm_yaml_find(m, "csv"),
                            "csv says how one file of records is written; records is %s",
                            c->database.query ? "a query" : "a list of texts");
    return FM_OK;
}

static fm_status read_purposes(const fm_yaml_node *m, fm_node_policy *p)
{
    const fm_yaml_node *list = NULL;
    const char *s = NULL;
    fm_status st;

    if ((st = fm_yaml_get_list(m, "purposes", &list)) != FM_OK)
        return st;
    if (fm_yaml_size(list) == 0 || fm_yaml_size(list) > FM_NODE_MAX_PURPOSES)
        return fm_yaml_fail(list, "purposes must list 1 to %u purposes", FM_NODE_MAX_PURPOSES);
    for (size_t i = 0; i < fm_yaml_size(list); i++) {
        if ((st = fm_yaml_scalar(fm_yaml_item(list, i), &s)) != FM_OK)
            return st;
        if (strlen(s) == 0 || strlen(s) > FM_PURPOSE_MAX)
            return fm_yaml_fail(fm_yaml_item(list, i), "a purpose has 1 to %d bytes",
                                FM_PURPOSE_MAX);
        if ((st = fm_strdup(s, &p->purposes[i])) != FM_OK)
            return st;
        p->purpose_count = i + 1;
    }
    return FM_OK;
}

/** "record", or the name of a column, as long as a plan's may be. */
static fm_status read_unit(const fm_yaml_node *m, fm_node_policy *p)
{
    fm_status st;

    (void)snprintf(p->unit, sizeof p->unit, "%s", FM_UNIT_RECORD);
    if (!fm_yaml_find(m, "unit"))
        return FM_OK;
    st = copy_text(m, "unit", p->unit, sizeof p->unit);
    if (st == FM_OK && !p->unit[0])
        st = fm_yaml_fail(fm_yaml_find(m, "unit"),
                          "unit must be record, or the name of the column that says whose record a "
                          "row is");
    return st;
}

/* Training alone unless it is said: who agreed to a policy before there were queries did not agree
 * to them. */
static fm_status read_tasks(const fm_yaml_node *m, fm_node_policy *p)
{
    static const char *const names[] = { [FM_TASK_TRAINING] = "training",
                                         [FM_TASK_STATISTICS] = "statistics",
                                         [FM_TASK_EVALUATION] = "evaluation" };
    const fm_yaml_node *list = NULL;
    const char *s = NULL;
    fm_status st;

    p->tasks = FM_NODE_TASK(FM_TASK_TRAINING);
    if (!fm_yaml_find(m, "tasks"))
        return FM_OK;
    if ((st = fm_yaml_get_list(m, "tasks", &list)) != FM_OK)
        return st;
    if (fm_yaml_size(list) == 0)
        return fm_yaml_fail(list, "tasks must list training, statistics, evaluation, or some of "
                                  "them");
    p->tasks = 0;
    for (size_t i = 0; i < fm_yaml_size(list); i++) {
        int task = FM_TASK_TRAINING;

        if ((st = fm_yaml_scalar(fm_yaml_item(list, i), &s)) != FM_OK)
            return st;
        while (task <= FM_TASK_EVALUATION && strcmp(s, names[task]) != 0)
            task++;
        if (task > FM_TASK_EVALUATION)
            return fm_yaml_fail(fm_yaml_item(list, i),
                                "task '%.100s' is not known; it can be training, statistics or "
                                "evaluation",
                                s);
        p->tasks |= FM_NODE_TASK(task);
    }
    return FM_OK;
}

static fm_status read_delta(const fm_yaml_node *m, double *out)
{
    fm_status st = fm_yaml_get_double(m, "delta", 1e-15, DELTA_NEVER, out);

    if (st != FM_OK || *out < DELTA_NEVER)
        return st;
    return fm_yaml_fail(
        fm_yaml_find(m, "delta"),
        "delta must be below %g, and should be well below 1/n of n units: with this "
        "probability the promise may fail altogether",
        DELTA_NEVER);
}

static fm_status read_masks(const fm_yaml_node *m, fm_node_policy *p)
{
    const char *masks = NULL;
    fm_status st = fm_yaml_get_string_or(m, "masks", "sparse", &masks);

    if (st != FM_OK)
        return st;
    p->all_masks = strcmp(masks, "all") == 0;
    if (p->all_masks || strcmp(masks, "sparse") == 0)
        return FM_OK;
    return fm_yaml_fail(fm_yaml_find(m, "masks"),
                        "masks '%.100s' is not known; it can be sparse (as many as are enough) or "
                        "all (every two nodes must share a mask)",
                        masks);
}

static fm_status read_approval(const fm_yaml_node *m, fm_node_policy *p)
{
    static const char *const names[] = { [FM_APPROVAL_CHANGES] = "changes",
                                         [FM_APPROVAL_ASKED] = "asked",
                                         [FM_APPROVAL_POLICY] = "policy" };
    const char *s = NULL;
    fm_status st = fm_yaml_get_string_or(
        m, "approval", names[p->approver_count > 0 ? FM_APPROVAL_ASKED : FM_APPROVAL_CHANGES], &s);

    if (st != FM_OK)
        return st;
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
        if (strcmp(s, names[i]) == 0) {
            p->approval = (fm_node_approval)i;
            if (p->approver_count == 0 || i == FM_APPROVAL_ASKED)
                return FM_OK;
            return fm_yaml_fail(fm_yaml_find(m, "approval"),
                                "approval must be asked where approvers are listed: what this "
                                "node decides by itself they have not signed");
        }
    return fm_yaml_fail(fm_yaml_find(m, "approval"),
                        "approval '%.100s' is not known; it can be changes (people are asked of "
                        "every plan but the first), asked (of every plan) or policy (of none)",
                        s);
}

static fm_status read_approvers(const fm_yaml_node *m, const char *dir, fm_node_policy *p)
{
    const fm_yaml_node *list = NULL;
    const char *s = NULL;
    fm_status st;

    if (!fm_yaml_find(m, "approvers"))
        return FM_OK;
    if ((st = fm_yaml_get_list(m, "approvers", &list)) != FM_OK)
        return st;
    if (fm_yaml_size(list) == 0 || fm_yaml_size(list) > FM_NODE_MAX_APPROVERS)
        return fm_yaml_fail(list, "approvers must list 1 to %u files of public keys",
                            FM_NODE_MAX_APPROVERS);
    for (size_t i = 0; i < fm_yaml_size(list); i++) {
        if ((st = fm_yaml_scalar(fm_yaml_item(list, i), &s)) != FM_OK ||
            (st = fm_path_join(dir, s, &p->approvers[p->approver_count])) != FM_OK)
            return st;
        p->approver_count++;
    }
    return FM_OK;
}

static fm_status read_policy(const fm_yaml_node *root, const char *dir, fm_node_policy *p)
{
    static const char *const keys[] = { "epsilon",    "delta",         "purposes", "unit",
                                        "min_cohort", "min_colluders", "max_rows", "tasks",
                                        "masks",      "approvers",     "approval", NULL };
    const fm_yaml_node *m = NULL;
    fm_status st;

    if ((st = fm_yaml_get_map(root, "policy", &m)) != FM_OK ||
        (st = fm_yaml_check_keys(m, keys)) != FM_OK ||
        (st = fm_yaml_get_double(m, "epsilon", 1e-6, 1000.0, &p->epsilon)) != FM_OK ||
        (st = read_delta(m, &p->delta)) != FM_OK || (st = read_purposes(m, p)) != FM_OK ||
        (st = read_unit(m, p)) != FM_OK || (st = read_tasks(m, p)) != FM_OK ||
        (st = read_masks(m, p)) != FM_OK || (st = read_approvers(m, dir, p)) != FM_OK ||
        (st = read_approval(m, p)) != FM_OK ||
        (st = read_u32(m, "min_cohort", 2, FM_MAX_NODES, 3, &p->min_cohort)) != FM_OK ||
        (st = read_u32(m, "min_colluders", 0, FM_MAX_NODES, 1, &p->min_colluders)) != FM_OK)
        return st;
    return fm_yaml_get_u64_or(m, "max_rows", 1, MAX_ROWS_LIMIT, MAX_ROWS_DEFAULT, &p->max_rows);
}

/** "127.0.0.1:7391" or "[::1]:7391": an address that no other machine can reach, and a port. */
static bool is_local(const char *address)
{
    char host[64];
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : 0;
    struct in_addr v4;
    uint64_t port = 0;

    if (len == 0 || len >= sizeof host || !fm_text_u64(colon + 1, &port) || port > UINT16_MAX)
        return false;
    memcpy(host, address, len);
    host[len] = '\0';
    if (strcmp(host, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
}

static fm_status read_page(const fm_yaml_node *root, fm_node_config *c)
{
    static const char *const keys[] = { "listen", NULL };
    const fm_yaml_node *m = NULL;
    const char *listen = NULL;
    fm_status st;

    if (!fm_yaml_find(root, "page"))
        return FM_OK;
    if ((st = fm_yaml_get_map(root, "page", &m)) != FM_OK ||
        (st = fm_yaml_check_keys(m, keys)) != FM_OK ||
        (st = fm_yaml_get_string(m, "listen", &listen)) != FM_OK)
        return st;
    if (!is_local(listen))
        return fm_yaml_fail(fm_yaml_find(m, "listen"),
                            "page.listen must be an address of this machine alone and a port, such "
                            "as 127.0.0.1:7391, not '%.100s'; from another machine, come through "
                            "ssh -L 7391:127.0.0.1:7391",
                            listen);
    return fm_strdup(listen, &c->page);
}

static const fm_yaml_node *of_data(const fm_yaml_node *root, const char *key)
{
    return fm_yaml_find(fm_yaml_find(root, "data"), key);
}

static fm_status read_root(const fm_yaml_node *root, fm_node_config *c)
{
    static const char *const keys[] = { "name",   "aggregator", "identity", "data", "ledger",
                                        "policy", "threads",    "model",    "page", NULL };
    uint32_t threads = 0;
    fm_status st;

    if ((st = fm_yaml_check_keys(root, keys)) != FM_OK ||
        (st = copy_text(root, "name", c->name, sizeof c->name)) != FM_OK)
        return st;
    if (fm_name_check(c->name) != FM_OK)
        return fm_yaml_fail(fm_yaml_find(root, "name"),
                            "name '%s' is not a member's name: small letters, digits and '-'",
                            c->name);
    if ((st = read_aggregator(root, c)) != FM_OK ||
        (st = read_path(root, "identity", c->dir, &c->identity_dir)) != FM_OK ||
        (st = read_data(root, c)) != FM_OK ||
        (st = read_path(root, "ledger", c->dir, &c->ledger)) != FM_OK ||
        (fm_yaml_find(root, "model") &&
         (st = read_path(root, "model", c->dir, &c->model)) != FM_OK) ||
        (st = read_u32(root, "threads", 1, FM_THREADS_MAX, 0, &threads)) != FM_OK)
        return st;
    c->threads = threads;
    if ((st = read_page(root, c)) != FM_OK)
        return st;
    if (c->has_dialect && c->model)
        return fm_yaml_fail(of_data(root, "csv"),
                            "data.csv is of records; how texts are written their schema says");
    if (c->database.query && c->model)
        return fm_yaml_fail(of_data(root, "records"),
                            "data.records must be files where a language model reads texts");
    if (c->more_count > 0 && !c->model)
        return fm_yaml_fail(of_data(root, "records"),
                            "data.records may be a list of texts only, and no model is named "
                            "to read them with");
    st = read_policy(root, c->dir, &c->policy);
    return st != FM_OK ? st : fm_node_config_check_places(root, c);
}

fm_status fm_node_config_load(const char *path, fm_node_config *out)
{
    fm_node_config c = { 0 };
    fm_yaml *doc = NULL;
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "fm_node_config_load: NULL argument");
    if ((st = fm_yaml_load(path, &doc)) != FM_OK)
        goto done;
    if ((st = fm_path_dir(path, &c.dir)) != FM_OK ||
        (st = read_root(fm_yaml_root(doc), &c)) != FM_OK)
        goto done;
    *out = c; /* ownership moves to the caller */
    c = (fm_node_config){ 0 };
done:
    fm_node_config_fini(&c);
    fm_yaml_free(&doc);
    return st;
}

size_t fm_node_config_files(const fm_node_config *c, const char *out[FM_NODE_MAX_FILES])
{
    if (!c->records)
        return 0;
    out[0] = c->records;
    for (size_t i = 0; i < c->more_count; i++)
        out[i + 1] = c->more_records[i];
    return c->more_count + 1;
}

const char *fm_node_config_records_name(const fm_node_config *c)
{
    if (c->records)
        return c->records;
    return c->database.sqlite ? c->database.sqlite
           : c->database.fhir ? c->database.fhir
                              : "the database over ODBC";
}

fm_status fm_node_config_one_file(const fm_node_config *c)
{
    return c->more_count == 0 ? FM_OK
                              : fm_fail(FM_EINVAL,
                                        "data.records lists %zu files of texts; the "
                                        "records of a table are one file",
                                        c->more_count + 1);
}

void fm_node_config_fini(fm_node_config *c)
{
    if (!c)
        return;
    free(c->door);
    free(c->schema);
    free(c->model);
    free(c->page);
    free(c->identity_dir);
    free(c->records);
    fm_dialect_fini(&c->dialect);
    free(c->database.fhir);
    free(c->scratch);
    free(c->database.sqlite);
    if (c->database.odbc) /* it may hold a password */
        sodium_memzero(c->database.odbc, strlen(c->database.odbc));
    free(c->database.odbc);
    free(c->database.connection_file);
    free(c->database.query);
    for (size_t i = 0; i < c->more_count; i++)
        free(c->more_records[i]);
    free(c->ledger);
    free(c->dir);
    for (size_t i = 0; i < c->policy.purpose_count; i++)
        free(c->policy.purposes[i]);
    for (size_t i = 0; i < c->policy.approver_count; i++)
        free(c->policy.approvers[i]);
    *c = (fm_node_config){ 0 };
}
