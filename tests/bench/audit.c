/*
 * What an audit shows of a real local run on a hospital's records: the claimed epsilon, and the
 * lower bound for 100, 1000 and 10,000 canaries, with the time that it takes. For tampered builds:
 * tests/audit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/demo/hospitals.h"
#include "fedmoe/model/tabular.h"
#include "fedmoe/node/audit.h"

/* Wide enough for 10,000 canaries in coordinates of their own. */
static char g_model[] = "width: 32\nexperts: 8\nexpert_hidden: 32\n";

typedef struct {
    const char *shared;
    double epsilon, delta, sampling_rate, confidence;
    uint64_t rounds;
} bench_options;

static fm_status load(const char *shared, fm_demo_hospital out[FM_DEMO_HOSPITALS])
{
    char data[4096];
    struct stat s;

    snprintf(data, sizeof data, "%s/data/heart_disease", shared);
    if (stat(data, &s) == 0)
        return fm_demo_hospitals_load(data, 1, out);
    printf("%s is not there (the UCI heart-disease files): synthetic hospitals\n", data);
    return fm_demo_hospitals_make(1, out);
}

static fm_status make_plan(const bench_options *o, const fm_schema *schema, char *schema_text,
                           fm_plan *out)
{
    fm_tabular_config config;
    size_t parameters = 0;
    fm_status st;

    if ((st = fm_tabular_config_parse("model", g_model, strlen(g_model), schema, &config)) !=
            FM_OK ||
        (st = fm_tabular_parameters(&config, &parameters)) != FM_OK)
        return st;
    *out = (fm_plan){ .clip_norm = 1.0,
                      .sampling_rate = o->sampling_rate,
                      .rounds = (uint32_t)o->rounds,
                      .delta = o->delta,
                      .max_unit_rows = 1,
                      .parameters = (uint32_t)parameters,
                      .model_text = g_model,
                      .schema_text = schema_text };
    memcpy(out->privacy_unit, FM_UNIT_RECORD, sizeof FM_UNIT_RECORD);
    return fm_dp_calibrate(o->epsilon, o->delta, o->sampling_rate, o->rounds,
                           &out->noise_multiplier);
}

static fm_status one(const bench_options *o, const fm_plan *plan, const fm_table *table,
                     uint32_t canaries)
{
    fm_rng rng = fm_rng_system();
    const fm_node_audit a = {
        .plan = plan, .table = table, .canaries = canaries, .learning_rate = 0.1, .rng = &rng
    };
    uint64_t started = fm_clock_now_ms();
    fm_dp_observations seen = { 0 };
    fm_dp_audit_verdict v;
    fm_status st;

    if ((st = fm_node_audit_run(&a, &seen)) != FM_OK)
        return st;
    if ((st = fm_dp_audit_judge(&seen, o->delta, o->confidence, &rng, &v)) == FM_OK)
        printf("%-9u %-8.3f %-12.3f %-14s %-16.2f %-8.2f %.2f s\n", canaries, v.claimed,
               v.bound.epsilon, v.violated ? "VIOLATED" : "consistent", v.honest, v.ceiling,
               (double)(fm_clock_now_ms() - started) / 1000.0);
    fm_dp_observations_fini(&seen);
    return st;
}

static fm_status all(const bench_options *o, const fm_plan *plan, const fm_table *table)
{
    static const uint32_t counts[] = { 100, 1000, 10000 };
    fm_status st = FM_OK;

    printf("%zu records, %u parameters, %u rounds at sampling rate %g, noise multiplier %.3f; "
           "delta %g, confidence %g\n%-9s %-8s %-12s %-14s %-16s %-8s %s\n",
           table->rows, plan->parameters, plan->rounds, plan->sampling_rate, plan->noise_multiplier,
           o->delta, o->confidence, "canaries", "claimed", "lower bound", "", "honest, about",
           "at most", "time");
    for (size_t i = 0; st == FM_OK && i < sizeof counts / sizeof counts[0]; i++)
        st = one(o, plan, table, counts[i]);
    return st;
}

static fm_status run(const bench_options *o)
{
    const fm_table_options labels = { .labels = true };
    fm_demo_hospital h[FM_DEMO_HOSPITALS];
    fm_schema *schema = NULL;
    fm_table table = { 0 };
    char *text = NULL;
    fm_plan plan;
    fm_status st;

    if ((st = load(o->shared, h)) != FM_OK)
        return st;
    if ((st = fm_strdup(fm_demo_schema_text, &text)) == FM_OK &&
        (st = fm_schema_parse("schema", text, strlen(text), &schema)) == FM_OK &&
        (st = fm_table_parse(h[0].name, h[0].train.data, h[0].train.len, schema, &labels,
                             &table)) == FM_OK &&
        (st = make_plan(o, schema, text, &plan)) == FM_OK)
        st = all(o, &plan, &table);
    fm_table_fini(&table);
    fm_schema_free(&schema);
    fm_demo_hospitals_fini(h);
    free(text);
    return st;
}

int main(int argc, char **argv)
{
    bench_options o = { .shared = "../shared",
                        .epsilon = 1.0,
                        .delta = 1e-5,
                        .sampling_rate = 0.5,
                        .confidence = 0.95,
                        .rounds = 40 };
    const fm_cli_option options[] = {
        { "shared", FM_CLI_STRING, &o.shared, "DIR",
          "where data/ lies (default ../shared, or FEDMOE_SHARED)", false, 0, 0 },
        { "epsilon", FM_CLI_DOUBLE, &o.epsilon, "E", "default 1", false, 0.01, 100 },
        { "delta", FM_CLI_DOUBLE, &o.delta, "D", "default 1e-5", false, 1e-12, 0.1 },
        { "sampling-rate", FM_CLI_DOUBLE, &o.sampling_rate, "Q", "default 0.5", false, 1e-3, 1 },
        { "rounds", FM_CLI_U64, &o.rounds, "N", "default 40", false, 1, 10000 },
        { "confidence", FM_CLI_DOUBLE, &o.confidence, "P", "default 0.95", false, 0.5, 0.999999 },
    };
    const fm_cli_spec spec = { .program = "bench-audit",
                               .summary = "What an audit of a real local run shows.",
                               .examples = "./dev bench audit --epsilon 4",
                               .options = options,
                               .option_count = sizeof options / sizeof options[0] };
    int first = 0, code;

    if (getenv("FEDMOE_SHARED"))
        o.shared = getenv("FEDMOE_SHARED");
    if (fm_random_init() != FM_OK)
        return fm_cli_failed(spec.program);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    setvbuf(stdout, NULL, _IOLBF, 0);
    return run(&o) == FM_OK ? 0 : fm_cli_failed(spec.program);
}
