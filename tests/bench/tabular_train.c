#include "tabular_train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/model/metrics.h"

#define BATCH 256u
#define MODEL_MAX ((size_t)1 << 20)

static fm_status choose_model(const tabular_split *data, const tabular_setting *s,
                              fm_tabular_config *out)
{
    fm_buf text = { 0 };
    fm_status st = FM_OK;

    if (!s->model)
        fm_tabular_config_default(data->schema, out);
    else if ((st = fm_file_read(s->model, MODEL_MAX, &text)) == FM_OK)
        st = fm_tabular_config_parse_new(s->model, text.data, text.len, data->schema, out);
    fm_buf_fini(&text);
    if (s->balance == TABULAR_ENTROPY)
        out->router_entropy = s->router_entropy;
    else if (s->balance != TABULAR_DEFAULT)
        out->router_entropy = 0.0;
    return st;
}

static double times(double v)
{
    return v > 0.0 ? v : 1.0;
}

static fm_status choose_training(const tabular_split *data, const tabular_setting *s, bool center,
                                 tabular_result *r)
{
    const double units = (double)tabular_units(&data->train);
    const fm_training_case given = { .units = units,
                                     .delta = pow(units, -1.1),
                                     .start = center && !s->no_start };

    r->delta = given.delta;
    fm_training_defaults(&given, &r->training);
    r->training.learning_rate *= times(s->rate_times);
    r->training.clip_norm *= times(s->clip_times);
    r->training.rounds = (uint64_t)((double)r->training.rounds * times(s->rounds_times));
    if (s->balance == TABULAR_COUNTS) {
        r->training.load_share = s->load_share;
        r->training.balance_rate = s->balance_rate;
    } else if (s->balance != TABULAR_DEFAULT) {
        r->training.load_share = 0.0;
    }
    return fm_train_calibrate(&r->training, s->epsilon, r->delta, &r->noise_multiplier, &r->spent);
}

/* Of one block's loads: the largest times their number. */
static double largest_times(const double *loads, size_t experts)
{
    double sum = 0.0, largest = 0.0;

    for (size_t e = 0; e < experts; e++) {
        sum += loads[e];
        largest = fmax(largest, loads[e]);
    }
    return largest * (double)experts / sum;
}

static fm_status measure_loads(fm_tabular *m, const fm_table *t, double *out)
{
    const fm_tabular_config *c = fm_tabular_get_config(m);
    const size_t places = c->width ? c->blocks * c->experts : 0;
    float *unit = NULL;
    double *loads = NULL;
    uint32_t index[BATCH];
    fm_status st = FM_OK;

    *out = NAN;
    if (places == 0)
        return FM_OK;
    if ((st = fm_alloc(places, sizeof *unit, (void **)&unit)) == FM_OK)
        st = fm_alloc(places, sizeof *loads, (void **)&loads);
    for (size_t at = 0; st == FM_OK && at < t->rows; at += BATCH) {
        const size_t n = t->rows - at < BATCH ? t->rows - at : BATCH;

        for (size_t i = 0; i < n; i++)
            index[i] = (uint32_t)(at + i);
        st = fm_tabular_backward(m, t->x, t->y, index, n, NULL);
        for (size_t i = 0; st == FM_OK && i < n; i++) {
            fm_tabular_unit_loads(m, NULL, i, unit);
            for (size_t k = 0; k < places; k++)
                loads[k] += (double)unit[k];
        }
    }
    if (st == FM_OK) {
        *out = 0.0;
        for (size_t b = 0; b < c->blocks; b++)
            *out += largest_times(loads + b * c->experts, c->experts) / (double)c->blocks;
    }
    free(unit);
    free(loads);
    return st;
}

static fm_status measure(fm_tabular *m, const fm_table *test, tabular_result *out)
{
    fm_metrics f;
    float *logits = NULL;
    fm_status st;

    if ((st = fm_alloc(test->rows, sizeof *logits, (void **)&logits)) == FM_OK &&
        (st = fm_tabular_predict(m, test->x, test->rows, logits)) == FM_OK &&
        (st = fm_metrics_compute(logits, test->y, test->rows, &f)) == FM_OK) {
        out->auc = f.auc;
        out->accuracy = f.accuracy;
        out->log_loss = f.log_loss;
        out->slope = f.slope;
    }
    free(logits);
    return st == FM_OK ? measure_loads(m, test, &out->imbalance) : st;
}

static fm_status run(const tabular_set *set, const tabular_split *data, const tabular_setting *s,
                     const fm_tabular_config *config, fm_tabular *m, tabular_result *out)
{
    fm_rng_seed first_state, state;
    fm_rng first = fm_rng_seeded(&first_state, s->seed), rng = fm_rng_seeded(&state, ~s->seed);
    fm_train_run_spec spec = { .learner = fm_learner_tabular(config, &data->train),
                               .training = &out->training,
                               .noise_multiplier = out->noise_multiplier,
                               .units = (double)tabular_units(&data->train),
                               .max_units = (uint32_t)tabular_units(&data->train),
                               .unit_rows = set->unit_rows,
                               .encoding = FM_DP_FAST,
                               .threads = s->threads,
                               .rng = &rng };
    float *weights = NULL;
    fm_status st = fm_alloc(out->parameters, sizeof *weights, (void **)&weights);
    uint64_t since;

    if (st == FM_OK) {
        fm_tabular_init(m, &first);
        fm_tabular_get(m, weights);
        spec.weights = weights;
        since = fm_clock_now_ns();
        st = fm_train_run_tabular(&spec, m);
        out->seconds = (double)(fm_clock_now_ns() - since) * 1e-9;
    }
    free(weights);
    return st;
}

fm_status tabular_train(const tabular_set *set, const tabular_split *data, const tabular_setting *s,
                        tabular_result *out)
{
    fm_tabular_config config;
    fm_tabular *m = NULL;
    fm_status st;

    if ((st = choose_model(data, s, &config)) == FM_OK &&
        (st = fm_tabular_parameters(&config, &out->parameters)) == FM_OK &&
        (st = choose_training(data, s, config.center, out)) == FM_OK &&
        (st = fm_tabular_new(&config, BATCH, &m)) == FM_OK &&
        (st = run(set, data, s, &config, m, out)) == FM_OK)
        st = measure(m, &data->test, out);
    fm_tabular_free(&m);
    return st;
}
