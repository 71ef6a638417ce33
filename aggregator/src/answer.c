/* The answer of a query: result.json, and the same as a table for people. */
#include <stdlib.h>
#include <string.h>

#include "config_internal.h"
#include "directory_internal.h"
#include "fedmoe/aggregator/round.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"

fm_status fm_directory_answer(const fm_aggregator_config *c, const fm_optimizer *o, uint64_t rounds,
                              const fm_hash *plan, json_t **out)
{
    const fm_plan *p = &c->plan;
    const fm_dp_lattice_spec spec = fm_replay_lattice_spec(p);
    char hash[2 * FM_HASH_BYTES + 1];
    fm_query_report report = { .federation = p->federation,
                               .purpose = p->purpose,
                               .plan = hash,
                               .epsilon = p->epsilon,
                               .delta = p->delta,
                               .rounds = (double)rounds };
    fm_dp_lattice lattice;
    fm_status st = fm_dp_lattice_make(&spec, &lattice);

    if (st != FM_OK)
        return st;
    fm_hash_hex(plan, hash);
    report.noise_std = fm_query_noise_std(&lattice, rounds);
    return fm_query_read(c->query, o->weights + o->spec.frozen, &report, out);
}

/* ---- for people ---- */

static double real(const json_t *j, const char *key)
{
    return json_number_value(json_object_get(j, key));
}

/* "123.4  (120.1 to 126.7)" */
static void put_figure(FILE *f, const char *name, const json_t *figure)
{
    if (json_is_object(figure))
        (void)fprintf(f, "  %-26s %12.6g   %.6g to %.6g\n", name, real(figure, "estimate"),
                      real(figure, "low"), real(figure, "high"));
    else if (json_is_number(figure))
        (void)fprintf(f, "  %-26s %12.6g\n", name, json_number_value(figure));
    else
        (void)fprintf(f, "  %-26s %12s\n", name, "lost in noise");
}

static void put_bins(FILE *f, const json_t *bins)
{
    const json_t *bin;
    char name[64];
    size_t i;

    json_array_foreach(bins, i, bin)
    {
        (void)snprintf(name, sizeof name, "%.6g to %.6g", real(bin, "from"), real(bin, "to"));
        put_figure(f, name, bin);
    }
}

static void put_quantiles(FILE *f, const json_t *list)
{
    const json_t *q;
    char name[64];
    size_t i;

    json_array_foreach(list, i, q)
    {
        (void)snprintf(name, sizeof name, "quantile %.6g", real(q, "at"));
        put_figure(f, name, q);
    }
    if (!json_is_array(list))
        put_figure(f, "quantiles", NULL);
}

static void put_values(FILE *f, const json_t *list)
{
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        put_figure(f, json_string_value(json_object_get(one, "value")), one);
    }
}

static void put_thresholds(FILE *f, const json_t *list)
{
    static const char *const keys[] = { "accuracy", "sensitivity", "specificity" };
    const json_t *one;
    char name[64];
    size_t i;

    json_array_foreach(list, i, one)
    {
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            (void)snprintf(name, sizeof name, "%s at %.6g", keys[k], real(one, "threshold"));
            put_figure(f, name, json_object_get(one, keys[k]));
        }
    }
}

static void put_calibration(FILE *f, const json_t *list)
{
    const json_t *one;
    char name[64];
    size_t i;

    json_array_foreach(list, i, one)
    {
        if (json_is_null(json_object_get(one, "predicted")))
            continue;
        (void)snprintf(name, sizeof name, "positive where %.3g said", real(one, "predicted"));
        put_figure(f, name, json_object_get(one, "observed"));
    }
}

static void put_result(FILE *f, const json_t *r)
{
    static const char *const plain[] = { "mean",    "present",   "missing",   "below", "above",
                                         "another", "positives", "negatives", "auc" };
    const char *column = json_string_value(json_object_get(r, "column"));

    (void)fprintf(f, "%s%s%s\n", column ? column : "", column ? ": " : "",
                  json_string_value(json_object_get(r, "ask")));
    put_bins(f, json_object_get(r, "bins"));
    if (json_object_get(r, "quantiles"))
        put_quantiles(f, json_object_get(r, "quantiles"));
    put_values(f, json_object_get(r, "values"));
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (json_object_get(r, plain[i]))
            put_figure(f, plain[i], json_object_get(r, plain[i]));
    put_thresholds(f, json_object_get(r, "thresholds"));
    put_calibration(f, json_object_get(r, "calibration"));
}

void fm_directory_show_answer(FILE *f, const json_t *answer)
{
    const json_t *r;
    size_t i;

    (void)fprintf(f,
                  "%s of federation %s at epsilon %.6g, delta %.6g; figure, and its 95 %% interval "
                  "for the noise\n",
                  json_string_value(json_object_get(answer, "task")),
                  json_string_value(json_object_get(answer, "federation")), real(answer, "epsilon"),
                  real(answer, "delta"));
    json_array_foreach(json_object_get(answer, "results"), i, r)
    {
        put_result(f, r);
    }
}
