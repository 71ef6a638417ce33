/* new: a federation from one command, with usual figures: CA, identity, federation.yaml, directory,
 * join codes. Each is what the single commands make, and can be gone on with by them. */
#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "fedmoe/aggregator/directory.h"
#include "fedmoe/base/cli.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/safetensors.h"
#include "fedmoe/base/yaml.h"
#include "fedmoe/proto/plan.h"

#define CA_DAYS 3650
#define IDENTITY_DAYS 365
#define AGGREGATOR_NAME "aggregator"
#define MOST_UNITS ((uint64_t)1 << 22) /* a quarter of what a plan may sum */
#define COLLUDERS_FROM 3               /* nodes: of two, both must be honest */
#define MODEL_FILE_MAX ((size_t)FM_MAX_PARAMETERS * 4 + FM_SAFETENSORS_MAX_HEADER)

typedef struct {
    const char *dir, *name, *purpose, *address, *model, *schema, *unit;
    double epsilon, delta; /* delta 0: by the units */
    uint64_t nodes, units;
    fm_cli_list invited;
} founding;

typedef struct {
    char *config, *model, *ca, *identity, *aggregator; /* paths within dir, owned */
} places;

static void places_fini(places *p)
{
    free(p->config);
    free(p->model);
    free(p->ca);
    free(p->identity);
    free(p->aggregator);
}

static fm_status find_places(const char *dir, places *p)
{
    fm_status st;

    if ((st = fm_path_join(dir, "federation.yaml", &p->config)) != FM_OK ||
        (st = fm_path_join(dir, "model.safetensors", &p->model)) != FM_OK ||
        (st = fm_path_join(dir, "ca", &p->ca)) != FM_OK ||
        (st = fm_path_join(dir, "identity", &p->identity)) != FM_OK)
        return st;
    return fm_path_join(dir, "aggregator", &p->aggregator);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

/* ---- federation.yaml ---- */

/** Well below one over the units: the power of ten that is a tenth of it or less. */
static double usual_delta(uint64_t units)
{
    return pow(10.0, floor(-log10((double)units)) - 1.0);
}

/** As many as two thirds, and more than half of nodes and colluders: no two groups can both be
 * read. */
static uint64_t usual_quorum(uint64_t nodes, uint64_t colluders)
{
    const uint64_t half = (nodes + colluders) / 2 + 1, most = (2 * nodes + 2) / 3;

    return half > most ? half : most;
}

static fm_status put_config(fm_buf *b, const founding *f, const char *port)
{
    const uint64_t colluders = f->nodes >= COLLUDERS_FROM ? 1 : 0;
    const uint64_t quorum = usual_quorum(f->nodes, colluders);
    fm_status st;

    if ((st = fm_buf_printf(b,
                            "# What the members approve. Every key is explained in "
                            "docs/guide-coordinator.md.\n"
                            "name: %s\n"
                            "purpose: ",
                            f->name)) != FM_OK ||
        (st = fm_yaml_quote(b, f->purpose)) != FM_OK ||
        (st = fm_buf_printf(b,
                            "\nlisten: {door: \"tcp://0.0.0.0:%s\"}\n"
                            "model: model.safetensors\n"
                            "privacy:\n"
                            "  unit: ",
                            port)) != FM_OK ||
        (st = fm_yaml_quote(b, f->unit)) != FM_OK)
        return st;
    return fm_buf_printf(
        b,
        "\n  epsilon: %.10g          # price of the whole run, for each unit\n"
        "  delta: %.10g\n"
        "  expected_units: %llu   # a public round figure, of all members together\n"
        "  max_units: %llu        # most that one round may sum\n"
        "cohort: {nodes: %llu, min: %llu, quorum: %llu, colluders: %llu}\n"
        "timeouts: {join_s: 60, round_s: 30}\n",
        f->epsilon, f->delta > 0.0 ? f->delta : usual_delta(f->units), (unsigned long long)f->units,
        (unsigned long long)(4 * f->units), (unsigned long long)f->nodes,
        (unsigned long long)quorum, (unsigned long long)quorum, (unsigned long long)colluders);
}

/* ---- the steps ---- */

static fm_status write_config(const founding *f, const places *p)
{
    const char *port = strrchr(f->address, ':');
    fm_buf text = { 0 };
    fm_status st;

    if (strncmp(f->address, "tcp://", 6) != 0 || !port || port < f->address + 6)
        return fm_fail(FM_EINVAL, "--address must read tcp://HOST:PORT, not '%s'", f->address);
    if ((st = put_config(&text, f, port + 1)) == FM_OK)
        st = fm_file_create(p->config, text.data, text.len, 0600);
    fm_buf_fini(&text);
    return st;
}

static fm_status copy_model(const founding *f, const places *p)
{
    fm_buf data = { 0 };
    fm_status st = fm_file_read(f->model, MODEL_FILE_MAX, &data);

    if (st == FM_OK)
        st = fm_file_create(p->model, data.data, data.len, 0600);
    fm_buf_fini(&data);
    return st;
}

static fm_status certify(const founding *f, const places *p)
{
    const fm_ca_request r = { .role = FM_ROLE_AGGREGATOR,
                              .name = AGGREGATOR_NAME,
                              .type = FM_KEY_ED25519,
                              .days = IDENTITY_DAYS };
    const fm_status st = fm_ca_new(p->ca, f->name, FM_KEY_ED25519, CA_DAYS);

    return st != FM_OK ? st : fm_ca_issue(p->ca, &r, p->identity);
}

static fm_status make(const founding *f, const places *p, fm_aggregator_init_report *report)
{
    const fm_aggregator_init_options o = { p->aggregator, p->config, p->identity };
    fm_status st;

    if ((st = write_config(f, p)) != FM_OK ||
        (st = f->model ? copy_model(f, p) : fm_cmd_new_model(f->schema, p->model)) != FM_OK ||
        (st = certify(f, p)) != FM_OK)
        return st;
    return fm_aggregator_init(&o, report);
}

/** The names of those invited, before anything is made. */
static fm_status check_names(const founding *f)
{
    fm_status st = fm_name_check(f->name);

    for (size_t i = 0; st == FM_OK && i < f->invited.count; i++) {
        st = fm_name_check(f->invited.items[i]);
        for (size_t k = 0; st == FM_OK && k < i; k++)
            if (strcmp(f->invited.items[k], f->invited.items[i]) == 0)
                st = fm_fail(FM_EINVAL, "--invite %s is given twice", f->invited.items[i]);
    }
    if (st == FM_OK && f->invited.count > f->nodes)
        st = fm_fail(FM_EINVAL, "%zu are invited to a federation of %llu", f->invited.count,
                     (unsigned long long)f->nodes);
    return st;
}

/** All, or nothing: what was made in a folder that this process made is taken away again. */
static fm_status found(const founding *f, fm_aggregator_init_report *report)
{
    places p = { 0 };
    fm_status st;

    if ((st = check_names(f)) != FM_OK)
        return st;
    if (!f->model == !f->schema)
        return fm_fail(FM_EINVAL, "either --schema, for a model of the usual shape, or --model");
    if (mkdir(f->dir, 0700) != 0)
        return fm_fail(errno == EEXIST ? FM_EEXIST : FM_EIO,
                       errno == EEXIST ? "%s is there already; a new federation needs a new folder"
                                       : "%s: cannot be made: %s",
                       f->dir, strerror(errno));
    if ((st = find_places(f->dir, &p)) == FM_OK && (st = make(f, &p, report)) == FM_OK) {
        fm_cmd_init_report("fedmoe-aggregator new", p.aggregator, report);
        for (size_t i = 0; st == FM_OK && i < f->invited.count; i++) {
            printf("\n");
            st = fm_cmd_invite_one(p.aggregator, f->address, f->invited.items[i]);
        }
        if (st == FM_OK)
            printf("\nNext, on this machine:\n"
                   "  fedmoe-aggregator start --directory %s --ca %s\n"
                   "%s is the consortium's certificate authority: copy it to a safe place\n",
                   p.aggregator, p.ca, p.ca);
    } else {
        (void)nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    places_fini(&p);
    return st;
}

int fm_cmd_new(int argc, char **argv)
{
    founding f = { .unit = FM_UNIT_RECORD, .epsilon = 1.0, .nodes = 3 };
    const fm_cli_option options[] = {
        { "directory", FM_CLI_STRING, &f.dir, "DIR", "to be made; keep it private", true, 0, 0 },
        { "name", FM_CLI_STRING, &f.name, "NAME", "of the federation", true, 0, 0 },
        { "purpose", FM_CLI_STRING, &f.purpose, "TEXT",
          "what records are used for; members allow it by these words", true, 0, 0 },
        { "address", FM_CLI_STRING, &f.address, "ADDR", "where nodes reach it, tcp://HOST:PORT",
          true, 0, 0 },
        { "schema", FM_CLI_STRING, &f.schema, "FILE",
          "what the records are; a model of the usual shape is made of it", false, 0, 0 },
        { "model", FM_CLI_STRING, &f.model, "FILE", "or any other, from fedmoe-model new", false, 0,
          0 },
        { "units", FM_CLI_U64, &f.units, "N",
          "a public round figure of all records (or patients) together", true, 1, MOST_UNITS },
        { "nodes", FM_CLI_U64, &f.nodes, "N", "most members (default 3)", false, 2, FM_MAX_NODES },
        { "invite", FM_CLI_LIST, &f.invited, "NAME", "print a join code for this member", false, 0,
          0 },
        { "unit", FM_CLI_STRING, &f.unit, "COLUMN", "whose rows are one person's (default: record)",
          false, 0, 0 },
        { "epsilon", FM_CLI_DOUBLE, &f.epsilon, "E", "of the whole run (default 1)", false, 0.001,
          1000 },
        { "delta", FM_CLI_DOUBLE, &f.delta, "D", "(default: a tenth of 1 / N, or less)", false,
          1e-12, 0.1 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-aggregator new",
        .summary = "Make a federation with usual figures in one folder: certificate authority, "
                   "identity, federation.yaml, the aggregator's directory, and join codes for its "
                   "members. What a CA of your own or other figures need is done by single "
                   "commands: fedmoe-certs, init, invite.",
        .examples = "fedmoe-aggregator new --directory heart --name heart \\\n"
                    "    --purpose 'heart disease risk' --address tcp://hub.example:7300 \\\n"
                    "    --schema schema.yaml --units 600 --nodes 3 \\\n"
                    "    --invite cleveland --invite hungarian --invite va",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    fm_aggregator_init_report report;
    int first = 0, code = 0;

    if (fm_cli_begin(&spec, argc, argv, &first, &code))
        code = found(&f, &report) == FM_OK ? 0 : fm_cli_failed(spec.program);
    free(f.invited.items);
    return code;
}
