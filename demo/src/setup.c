/* From an empty directory to six parties ready to start: only what their users would type. */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/demo/federation_file.h"

#define FEDERATION "heart-demo"
#define MARK ".fedmoe-demo"
#define AGGREGATOR_IDENTITY "aggregator-identity"

fm_status demo_path(const demo *d, const char *a, const char *b, char **out)
{
    char name[512];

    snprintf(name, sizeof name, "%s%s%s", a, b ? "/" : "", b ? b : "");
    return fm_path_join(d->root, name, out);
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    (void)s, (void)type;
    /* The folder stays, and is ours; so does the mark that says so. */
    if (f->level == 0 || (f->level == 1 && strcmp(path + f->base, MARK) == 0))
        return 0;
    return remove(path);
}

static bool is_empty(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *e;
    bool empty = true;

    while (dir && (e = readdir(dir)))
        empty = empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
    if (dir)
        closedir(dir);
    return empty;
}

/* Parties that were started by hand, or that a killed demonstration has left, hold theirs. */
static fm_status check_unused(const char *root)
{
    DIR *dir = opendir(root);
    const struct dirent *e;
    fm_status st = FM_OK;

    while (dir && st == FM_OK && (e = readdir(dir))) {
        char *path = NULL;
        int lock = -1;

        if (e->d_name[0] != '.' && (st = fm_path_join(root, e->d_name, &path)) == FM_OK &&
            (st = fm_dir_lock(path, &lock)) != FM_EEXIST)
            st = FM_OK; /* a file, or nobody's */
        fm_dir_unlock(&lock);
        free(path);
    }
    if (dir)
        closedir(dir);
    return st;
}

/* A run of ours may be replaced; anything else in the way is never touched. */
static fm_status remove_old(demo *d, const char *mark)
{
    fm_status st;

    if (!fm_file_exists(mark)) {
        if (!is_empty(d->root))
            return fm_fail(FM_EEXIST,
                           "%s is not empty and was not made by fedmoe-demo; choose another "
                           "directory with --keep",
                           d->root);
        if ((st = demo_check_json(d)) != FM_OK)
            return st;
        return fm_file_create(mark, "", 0, 0644);
    }
    if ((st = check_unused(d->root)) != FM_OK || (st = demo_check_json(d)) != FM_OK)
        return st;
    if (nftw(d->root, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        return fm_fail(FM_EIO, "%s: the old run cannot be removed: %s", d->root, strerror(errno));
    return demo_check_json(d); /* its folder may have been one of them */
}

fm_status demo_make_root(demo *d)
{
    char *mark = NULL;
    fm_status st;

    if ((st = demo_path(d, MARK, NULL, &mark)) == FM_OK &&
        (st = fm_dir_make(d->root, 0700)) == FM_OK &&
        (st = fm_dir_lock(d->root, &d->lock)) == FM_OK)
        st = remove_old(d, mark);
    free(mark);
    return st;
}

static fm_status write_file(const demo *d, const char *a, const char *b, const void *data,
                            size_t len)
{
    char *path = NULL;
    fm_status st = demo_path(d, a, b, &path);

    if (st == FM_OK)
        st = fm_file_replace(path, data, len, 0600);
    free(path);
    return st;
}

static fm_status write_records(demo *d)
{
    fm_status st =
        write_file(d, "schema.yaml", NULL, fm_demo_schema_text, strlen(fm_demo_schema_text));

    for (size_t i = 0; st == FM_OK && i < FM_DEMO_HOSPITALS; i++) {
        const fm_demo_hospital *h = &d->hospitals[i];

        if ((st = fm_dir_make(d->parties[i].dir, 0700)) == FM_OK &&
            (st = write_file(d, h->name, "records.csv", h->train.data, h->train.len)) == FM_OK)
            st = write_file(d, h->name, "test.csv", h->test.data, h->test.len);
    }
    return st;
}

static fm_status issue(demo *d, const char *ca, const char *role, const char *name)
{
    bool node = strcmp(role, "node") == 0;
    char *dir = NULL;
    /* The aggregator's init copies it; a node's configuration points to it. */
    fm_status st =
        node ? demo_path(d, name, "identity", &dir) : demo_path(d, AGGREGATOR_IDENTITY, NULL, &dir);

    if (st == FM_OK) {
        const char *args[] = { "issue",  "--ca", ca,         "--role", role,
                               "--name", name,   "--output", dir,      NULL };

        st = demo_run(d, "fedmoe-certs", args, NULL);
    }
    free(dir);
    return st;
}

static fm_status make_identities(demo *d)
{
    char *ca = NULL;
    fm_status st = demo_path(d, "ca", NULL, &ca);

    if (st == FM_OK) {
        const char *args[] = { "ca", "new", "--directory", ca, "--federation", FEDERATION, NULL };

        st = demo_run(d, "fedmoe-certs", args, NULL);
    }
    for (size_t i = 0; st == FM_OK && i < PARTIES; i++)
        st = issue(d, ca, i == PARTY_AGGREGATOR ? "aggregator" : "node", d->parties[i].name);
    free(ca);
    return st;
}

static fm_status write_federation(demo *d, char **path)
{
    fm_demo_federation f = {
        .name = FEDERATION,
        .door = d->door,
        .epsilon = d->o.epsilon,
        .delta = d->o.delta,
        .rounds = d->o.rounds,
        .nodes = FM_DEMO_HOSPITALS,
        .quorum = (uint32_t)d->o.quorum,
        .colluders = (uint32_t)d->o.colluders,
    };
    fm_status st;

    for (size_t i = 0; i < FM_DEMO_HOSPITALS; i++)
        f.records += d->hospitals[i].train_records;
    if ((st = demo_free_endpoint(d->door)) != FM_OK ||
        (st = demo_path(d, "federation.yaml", NULL, path)) != FM_OK ||
        (st = fm_demo_federation_write(&f, *path)) != FM_OK)
        return st;
    return fm_aggregator_config_load(*path, &d->config);
}

static fm_status new_model(demo *d)
{
    char *schema = NULL, *model = NULL, seed[24];
    fm_status st;

    snprintf(seed, sizeof seed, "%llu", (unsigned long long)d->o.seed);
    if ((st = demo_path(d, "schema.yaml", NULL, &schema)) == FM_OK &&
        (st = demo_path(d, "model.safetensors", NULL, &model)) == FM_OK) {
        const char *args[] = { "new", "--schema", schema, "--seed", seed, "--output", model, NULL };

        st = demo_run(d, "fedmoe-model", args, NULL);
    }
    free(schema);
    free(model);
    return st;
}

/* fedmoe-aggregator init; its JSON says the door key that nodes need. */
static fm_status init_aggregator(demo *d, const char *config, json_t **said)
{
    char *identity = NULL;
    json_error_t error;
    fm_buf out = { 0 };
    fm_status st = demo_path(d, AGGREGATOR_IDENTITY, NULL, &identity);

    if (st == FM_OK) {
        const char *args[] = { "init",     "--directory", d->parties[PARTY_AGGREGATOR].dir,
                               "--config", config,        "--identity",
                               identity,   "--json",      NULL };

        st = demo_run(d, "fedmoe-aggregator", args, &out);
    }
    if (st == FM_OK && !(*said = json_loadb((const char *)out.data, out.len, 0, &error)))
        st = fm_fail(FM_EPROTO, "fedmoe-aggregator init printed no JSON: %s", error.text);
    fm_buf_fini(&out);
    free(identity);
    return st;
}

static fm_status init_node(demo *d, size_t i, const char *door_key)
{
    const party *p = &d->parties[i];
    char *identity = NULL, *records = NULL, *schema = NULL;
    char epsilon[32], delta[32], cohort[16], colluders[16];
    char key[64]; /* in one word: a key may begin with -- */
    fm_status st;

    snprintf(key, sizeof key, "--door-key=%s", door_key);
    snprintf(epsilon, sizeof epsilon, "%.10g", d->o.epsilon);
    snprintf(delta, sizeof delta, "%.10g", d->o.delta);
    snprintf(cohort, sizeof cohort, "%llu", (unsigned long long)d->o.quorum);
    snprintf(colluders, sizeof colluders, "%llu", (unsigned long long)d->o.colluders);
    if ((st = demo_path(d, p->name, "identity", &identity)) == FM_OK &&
        (st = demo_path(d, p->name, "records.csv", &records)) == FM_OK &&
        (st = demo_path(d, "schema.yaml", NULL, &schema)) == FM_OK) {
        const char *args[] = { "init",
                               "--directory",
                               p->dir,
                               "--name",
                               p->name,
                               "--door",
                               d->door,
                               key,
                               "--identity",
                               identity,
                               "--records",
                               records,
                               "--schema",
                               schema,
                               "--epsilon",
                               epsilon,
                               "--delta",
                               delta,
                               "--purpose",
                               FM_DEMO_PURPOSE,
                               "--min-cohort",
                               cohort,
                               "--min-colluders",
                               colluders,
                               NULL };

        st = demo_run(d, "fedmoe-node", args, NULL);
    }
    free(identity);
    free(records);
    free(schema);
    return st;
}

fm_status demo_set_up(demo *d)
{
    char *config = NULL;
    const char *door_key;
    json_t *said = NULL;
    fm_status st;

    if ((st = write_records(d)) != FM_OK || (st = make_identities(d)) != FM_OK ||
        (st = new_model(d)) != FM_OK || (st = write_federation(d, &config)) != FM_OK ||
        (st = init_aggregator(d, config, &said)) != FM_OK)
        goto done;
    if (!(door_key = json_string_value(json_object_get(said, "door_key")))) {
        st = fm_fail(FM_EPROTO, "fedmoe-aggregator init printed no door_key");
        goto done;
    }
    for (size_t i = 0; st == FM_OK && i < FM_DEMO_HOSPITALS; i++)
        st = init_node(d, i, door_key);
done:
    json_decref(said);
    free(config);
    return st;
}
