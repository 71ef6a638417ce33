/* Start everyone, watch until the federation has finished, and measure what came of it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "demo_internal.h"
#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"

#define MAX_SECONDS 600u
#define LOOK_MS 100

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

static fm_status start_party(demo *d, size_t i)
{
    party *p = &d->parties[i];
    char *config = NULL, *log = NULL, *trace = NULL;
    fm_status st;

    if ((st = fm_path_join(p->dir, "node.yaml", &config)) == FM_OK &&
        (st = fm_path_join(p->dir, "trace.jsonl", &trace)) == FM_OK &&
        (st = fm_path_join(p->dir, "log", &log)) == FM_OK) {
        const char *option = d->o.trace ? "--trace" : NULL;
        const char *node[] = { "start", "--config", config, option, trace, NULL };
        const char *aggregator[] = { "start", "--directory", p->dir, "--linger",
                                     "10",    option,        trace,  NULL };
        bool is_node = i != PARTY_AGGREGATOR;

        st = demo_start(d, is_node ? "fedmoe-node" : "fedmoe-aggregator",
                        is_node ? node : aggregator, log, &p->pid);
    }
    free(config);
    free(log);
    free(trace);
    return st;
}

static fm_status watch(demo *d)
{
    uint64_t started = fm_clock_now_ms();
    const struct timespec pause = { 0, LOOK_MS * 1000000L };
    bool any = true;
    fm_status st = FM_OK;

    while (st == FM_OK && any) {
        any = false;
        for (size_t i = 0; st == FM_OK && i < PARTIES; i++) {
            bool running = false;

            st = demo_poll(&d->parties[i], &running);
            any = any || running;
        }
        demo_show(d);
        if (interrupted)
            return fm_fail(FM_EIO, "interrupted; what there is lies in %s", d->root);
        if (fm_clock_now_ms() - started > MAX_SECONDS * 1000u)
            return fm_fail(FM_ETIMEOUT, "the federation did not finish in %u s; see the logs in %s",
                           MAX_SECONDS, d->root);
        if (any)
            nanosleep(&pause, NULL);
    }
    return st;
}

fm_status demo_federate(demo *d)
{
    static const int stops[] = { SIGINT, SIGTERM, SIGHUP };
    const struct sigaction on_stop = { .sa_handler = on_interrupt };
    struct sigaction before[sizeof stops / sizeof stops[0]];
    uint64_t started = fm_clock_now_ms();
    fm_status st;

    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        sigaction(stops[i], &on_stop, &before[i]);
        if (stops[i] == SIGHUP && before[i].sa_handler == SIG_IGN) /* nohup */
            sigaction(SIGHUP, &before[i], NULL);
    }
    st = start_party(d, PARTY_AGGREGATOR);
    for (size_t i = 0; st == FM_OK && i < FM_DEMO_HOSPITALS; i++)
        st = start_party(d, i);
    if (st == FM_OK)
        st = watch(d);
    for (size_t i = 0; i < PARTIES; i++)
        demo_stop(&d->parties[i]);
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        sigaction(stops[i], &before[i], NULL);
    d->seconds = (double)(fm_clock_now_ms() - started) / 1000.0;
    return st;
}

/* ---- measuring ---- */

static fm_status run_json(demo *d, const char *program, const char *const *args, json_t **out)
{
    json_error_t error;
    fm_buf text = { 0 };
    fm_status st = demo_run(d, program, args, &text);

    if (st == FM_OK && !(*out = json_loadb((const char *)text.data, text.len, 0, &error)))
        st = fm_fail(FM_EPROTO, "%s %s printed no JSON: %s", program, args[0], error.text);
    fm_buf_fini(&text);
    return st;
}

/* What the node itself says: its ledger's epsilon, its link's bytes, its model on its own test. */
static fm_status measure_node(demo *d, size_t i)
{
    const party *p = &d->parties[i];
    hospital_result *r = &d->results[i];
    char *config = NULL, *test = NULL, *status = NULL;
    json_t *evaluated = NULL, *said = NULL;
    fm_status st;

    if ((st = fm_path_join(p->dir, "node.yaml", &config)) != FM_OK ||
        (st = fm_path_join(p->dir, "test.csv", &test)) != FM_OK ||
        (st = fm_path_join(p->dir, "status.json", &status)) != FM_OK)
        goto done;
    const char *args[] = { "evaluate", "--config", config, "--json", "--data", test, NULL };
    if ((st = run_json(d, "fedmoe-node", args, &evaluated)) != FM_OK ||
        (st = fm_json_read(status, &said)) != FM_OK)
        goto done;
    r->auc_federated = json_number_value(json_object_get(evaluated, "auc"));
    r->epsilon_spent = json_number_value(json_object_get(said, "epsilon_spent"));
    r->bytes_sent = (uint64_t)json_integer_value(json_object_get(said, "bytes_sent"));
    r->train_records = d->hospitals[i].train_records;
    r->test_records = d->hospitals[i].test_records;
done:
    json_decref(evaluated);
    json_decref(said);
    free(config);
    free(test);
    free(status);
    return st;
}

static fm_status load_table(const fm_schema *schema, const char *name, const fm_buf *csv,
                            fm_table *out)
{
    const fm_table_options o = { .labels = true };

    return fm_table_parse(name, csv->data, csv->len, schema, &o, out);
}

/* The comparison column: the same model, epsilon and delta, this hospital's records only. */
static fm_status measure_alone(demo *d, size_t i)
{
    const fm_plan *plan = &d->config.plan;
    fm_schema *schema = NULL;
    fm_table train = { 0 }, test = { 0 };
    float *weights = NULL;
    fm_metrics metrics;
    fm_status st;

    if ((st = fm_schema_parse("schema", plan->schema_text, strlen(plan->schema_text), &schema)) !=
            FM_OK ||
        (st = load_table(schema, "records.csv", &d->hospitals[i].train, &train)) != FM_OK ||
        (st = load_table(schema, "test.csv", &d->hospitals[i].test, &test)) != FM_OK ||
        (st = fm_alloc(2 * (size_t)plan->parameters, sizeof *weights, (void **)&weights)) !=
            FM_OK ||
        (st = fm_safetensors_flat_read(d->config.model, weights, plan->parameters)) != FM_OK ||
        (st = fm_simulate_alone(plan, weights, &train, fm_rng_system(),
                                weights + plan->parameters)) != FM_OK ||
        (st = fm_simulation_evaluate(plan, weights + plan->parameters, &test, &metrics)) != FM_OK)
        goto done;
    d->results[i].auc_alone = metrics.auc;
done:
    free(weights);
    fm_table_fini(&train);
    fm_table_fini(&test);
    fm_schema_free(&schema);
    return st;
}

/* Only a demonstration can do this: the test records of all hospitals on one machine. */
static fm_status measure_together(demo *d)
{
    char *tests[FM_DEMO_HOSPITALS] = { 0 }, *model = NULL;
    json_t *said = NULL, *all;
    fm_status st = demo_path(d, d->parties[0].name, "model.safetensors", &model);

    for (size_t i = 0; st == FM_OK && i < FM_DEMO_HOSPITALS; i++)
        st = fm_path_join(d->parties[i].dir, "test.csv", &tests[i]);
    if (st == FM_OK) {
        const char *args[] = { "evaluate", "--model", model,    "--json", tests[0],
                               tests[1],   tests[2],  tests[3], NULL };

        st = run_json(d, "fedmoe-model", args, &said);
    }
    if (st == FM_OK) {
        all = json_object_get(said, "all");
        if (json_is_object(all)) {
            d->auc = json_number_value(json_object_get(all, "auc"));
            d->accuracy = json_number_value(json_object_get(all, "accuracy"));
        } else {
            st = fm_fail(FM_EPROTO, "fedmoe-model evaluate printed no figures for all files");
        }
    }
    json_decref(said);
    for (size_t i = 0; i < FM_DEMO_HOSPITALS; i++)
        free(tests[i]);
    free(model);
    return st;
}

fm_status demo_measure(demo *d)
{
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < FM_DEMO_HOSPITALS; i++)
        if ((st = measure_node(d, i)) == FM_OK)
            st = measure_alone(d, i);
    return st == FM_OK ? measure_together(d) : st;
}
