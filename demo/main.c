/* fedmoe-demo: a whole federation on one machine, with the same programs that its users run. */
#include <stdio.h>
#include <stdlib.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "src/demo_internal.h"

#define DEFAULT_DIRECTORY "demo-run"

static fm_status prepare(demo *d)
{
    fm_status st;

    if ((st = d->o.data ? fm_demo_hospitals_load(d->o.data, d->o.seed, d->hospitals)
                        : fm_demo_hospitals_make(d->o.seed, d->hospitals)) != FM_OK ||
        (st = demo_bin_dir(&d->bin)) != FM_OK || (st = demo_make_root(d)) != FM_OK)
        return st;
    for (size_t i = 0; i < PARTIES; i++) {
        d->parties[i].name = i == PARTY_AGGREGATOR ? "aggregator" : d->hospitals[i].name;
        if ((st = demo_path(d, d->parties[i].name, NULL, &d->parties[i].dir)) != FM_OK)
            return st;
    }
    return FM_OK;
}

static fm_status run(demo *d)
{
    fm_status st;

    if ((st = prepare(d)) != FM_OK)
        return st;
    fprintf(stderr, "Setting up a consortium CA, an aggregator and %u hospitals in %s\n",
            FM_DEMO_HOSPITALS, d->root);
    if ((st = demo_set_up(d)) != FM_OK)
        return st;
    if (d->o.setup_only) {
        demo_print_start(d);
        return FM_OK;
    }
    fprintf(stderr, "Training %llu round%s\n", (unsigned long long)d->o.rounds,
            d->o.rounds == 1 ? "" : "s");
    if ((st = demo_federate(d)) != FM_OK || (st = demo_measure(d)) != FM_OK)
        return st;
    return demo_report(d);
}

static void fini(demo *d)
{
    fm_demo_hospitals_fini(d->hospitals);
    fm_aggregator_config_fini(&d->config);
    for (size_t i = 0; i < PARTIES; i++)
        free(d->parties[i].dir);
    free(d->bin);
    free(d->root);
    fm_dir_unlock(&d->lock);
}

int main(int argc, char **argv)
{
    static demo d = { .lock = -1,
                      .o = { .epsilon = 1.0,
                             .delta = 1e-4,
                             .rounds = 161,
                             .seed = 1,
                             .quorum = 3,
                             .colluders = 1,
                             .keep = DEFAULT_DIRECTORY } };
    const fm_cli_option options[] = {
        { "data", FM_CLI_STRING, &d.o.data, "DIR",
          "the four UCI files processed.*.data; default: synthetic hospitals", false, 0, 0 },
        { "epsilon", FM_CLI_DOUBLE, &d.o.epsilon, "E", "privacy budget (default 1)", false, 0.01,
          100 },
        { "delta", FM_CLI_DOUBLE, &d.o.delta, "D", "its delta (default 1e-4)", false, 1e-12, 0.1 },
        { "rounds", FM_CLI_U64, &d.o.rounds, "N", "rounds (default 161)", false, 1, 10000 },
        { "seed", FM_CLI_U64, &d.o.seed, "N",
          "of the split, the synthetic records and the first weights; never of the noise "
          "(default 1)",
          false, 0, 1e15 },
        { "quorum", FM_CLI_U64, &d.o.quorum, "N", "fewest nodes that end a round (default 3)",
          false, 3, FM_DEMO_HOSPITALS },
        { "colluders", FM_CLI_U64, &d.o.colluders, "N",
          "nodes that may collude without weakening epsilon (default 1)", false, 0, 2 },
        { "keep", FM_CLI_STRING, &d.o.keep, "DIR",
          "where the run lies (default " DEFAULT_DIRECTORY ", replaced each time)", false, 0, 0 },
        { "setup-only", FM_CLI_FLAG, &d.o.setup_only, NULL,
          "prepare every party's directory and stop: start them yourself", false, 0, 0 },
        { "trace", FM_CLI_FLAG, &d.o.trace, NULL,
          "let every party write its rounds' times to trace.jsonl", false, 0, 0 },
        { "json", FM_CLI_STRING, &d.o.json, "FILE", "write the figures there", false, 0, 0 },
    };
    const fm_cli_spec spec = {
        .program = "fedmoe-demo",
        .summary = "Four hospitals train one model under differential privacy, on this machine.",
        .examples = "./dev demo\n./dev demo --data heart_disease --epsilon 1 --json result.json",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
    };
    int first = 0, code = 0;

    if (fm_random_init() != FM_OK)
        return fm_cli_failed(spec.program);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return fm_cli_end(spec.program, code);
    if (!(d.root = realpath(d.o.keep, NULL)) && fm_strdup(d.o.keep, &d.root) != FM_OK)
        return fm_cli_failed(spec.program);
    if (run(&d) != FM_OK)
        code = fm_cli_failed(spec.program);
    fini(&d);
    return fm_cli_end(spec.program, code);
}
