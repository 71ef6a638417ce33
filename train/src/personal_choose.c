/* How hard to pull, by cross-validation over units. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/random.h"
#include "fedmoe/model/metrics.h"
#include "personal_internal.h"

static const double pulls[FM_PERSONAL_PULLS] = {
    (double)INFINITY, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003
};

typedef struct {
    const fm_personal_data *d;
    size_t units;
    uint8_t *fold;   /* [units] */
    uint32_t *rows;  /* [rows] of the fit at hand */
    float *outputs;  /* [rows, K] of all left-out rows */
    double *losses;  /* [units] of the head at hand */
    double *compare; /* [units] of the federation's model */
} trial;

static void trial_fini(trial *t)
{
    free(t->fold);
    free(t->rows);
    if (t->outputs)
        sodium_memzero(t->outputs, t->d->table->rows * t->d->config.outputs * sizeof *t->outputs);
    free(t->outputs);
    free(t->losses);
    free(t->compare);
}

static fm_status trial_open(trial *t)
{
    const fm_table *table = t->d->table;
    fm_status st;

    t->units = table->unit_start ? table->units : table->rows;
    if (t->units < FM_PERSONAL_MIN_UNITS)
        return fm_fail(FM_EINVAL,
                       "%zu records (or patients) cannot say what is better: %u are "
                       "needed; the federation's model serves you best",
                       t->units, FM_PERSONAL_MIN_UNITS);
    if ((st = fm_alloc(t->units, sizeof *t->fold, (void **)&t->fold)) ||
        (st = fm_alloc(table->rows, sizeof *t->rows, (void **)&t->rows)) ||
        (st = fm_alloc(table->rows * t->d->config.outputs, sizeof *t->outputs,
                       (void **)&t->outputs)) ||
        (st = fm_alloc(t->units, sizeof *t->losses, (void **)&t->losses)))
        return st;
    return fm_alloc(t->units, sizeof *t->compare, (void **)&t->compare);
}

/* Folds of like sizes, in an order that the seed and the repeat draw. */
static void draw_folds(trial *t, uint64_t seed, unsigned repeat)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed * FM_PERSONAL_REPEATS + repeat);

    for (size_t u = 0; u < t->units; u++) {
        const size_t other = (size_t)fm_rng_below(&rng, u + 1);

        t->fold[u] = t->fold[other];
        t->fold[other] = (uint8_t)(u % FM_PERSONAL_FOLDS);
    }
}

static size_t first_row(const fm_table *t, size_t u)
{
    return t->unit_start ? t->unit_start[u] : u;
}

static size_t row_at(const fm_table *t, size_t i)
{
    return t->unit_rows ? t->unit_rows[i] : i;
}

/* Adds `share` of the mean loss of each unit's rows. */
static void measure(const trial *t, const float *outputs, double share, double *losses)
{
    const size_t k = t->d->config.outputs;
    double z[FM_TABULAR_MAX_OUTPUTS];

    for (size_t u = 0; u < t->units; u++) {
        const size_t from = first_row(t->d->table, u), end = first_row(t->d->table, u + 1);
        double sum = 0.0;

        for (size_t i = from; i < end; i++) {
            const size_t row = row_at(t->d->table, i);

            for (size_t c = 0; c < k; c++)
                z[c] = (double)outputs[row * k + c];
            sum += personal_loss(&t->d->config, z, t->d->table->y[row], NULL);
        }
        losses[u] += share * sum / (double)(end - from);
    }
}

static void score(const trial *t, const double *losses, fm_personal_score *out)
{
    double gain = 0.0, square = 0.0;
    const double n = (double)t->units;

    out->loss = 0.0;
    for (size_t u = 0; u < t->units; u++) {
        const double g = t->compare[u] - losses[u];

        out->loss += losses[u] / n;
        gain += g / n;
        square += g * g;
    }
    out->gain = gain;
    out->gain_se = sqrt(fmax(square - n * gain * gain, 0.0) / (n - 1.0) / n);
}

static fm_status auc_of(const trial *t, const float *outputs, double *out)
{
    fm_metrics m;
    fm_status st;

    *out = (double)NAN;
    if (t->d->config.target != FM_TARGET_BINARY)
        return FM_OK;
    if ((st = fm_metrics_compute(outputs, t->d->table->y, t->d->table->rows, &m)) == FM_OK)
        *out = m.auc;
    return st;
}

/* Outputs of the rows that fold `f` leaves out. */
static fm_status try_fold(trial *t, unsigned f, double pull)
{
    const fm_table *table = t->d->table;
    fm_personal head = { 0 };
    size_t n = 0;
    fm_status st;

    for (size_t u = 0; u < t->units; u++)
        for (size_t i = first_row(table, u); t->fold[u] != f && i < first_row(table, u + 1); i++)
            t->rows[n++] = (uint32_t)row_at(table, i);
    if ((st = fm_personal_fit(t->d, t->rows, n, pull, &head)))
        return st;
    for (size_t u = 0; u < t->units; u++)
        for (size_t i = first_row(table, u); t->fold[u] == f && i < first_row(table, u + 1); i++)
            fm_personal_predict(t->d, &head, row_at(table, i),
                                t->outputs + row_at(table, i) * t->d->config.outputs);
    fm_personal_fini(&head);
    return FM_OK;
}

static fm_status try_pull(trial *t, double pull, uint64_t seed, fm_personal_score *out)
{
    fm_status st = FM_OK;

    out->pull = pull;
    memset(t->losses, 0, t->units * sizeof *t->losses);
    for (unsigned r = 0; !st && r < FM_PERSONAL_REPEATS; r++) {
        double auc = 0.0;

        draw_folds(t, seed, r);
        for (unsigned f = 0; !st && f < FM_PERSONAL_FOLDS; f++)
            st = try_fold(t, f, pull);
        if (st || (st = auc_of(t, t->outputs, &auc)))
            return st;
        measure(t, t->outputs, 1.0 / FM_PERSONAL_REPEATS, t->losses);
        out->auc += auc / FM_PERSONAL_REPEATS;
    }
    score(t, t->losses, out);
    return st;
}

/* The hardest pull within a standard error of the best. */
static size_t choice(const fm_personal_report *r)
{
    size_t best = 0, i = 0;

    for (size_t k = 1; k < FM_PERSONAL_PULLS; k++)
        best = r->scores[k].loss < r->scores[best].loss ? k : best;
    while (i < best && r->scores[i].loss > r->scores[best].loss + r->scores[best].gain_se)
        i++;
    return i;
}

fm_status fm_personal_choose(const fm_personal_data *d, uint64_t seed, fm_personal_report *out)
{
    trial t = { .d = d };
    fm_personal_report r = { .federated = { .pull = (double)NAN } };
    fm_status st = trial_open(&t);

    if (!st) {
        measure(&t, d->federated, 1.0, t.compare);
        score(&t, t.compare, &r.federated);
        st = auc_of(&t, d->federated, &r.federated.auc);
    }
    for (size_t i = 0; !st && i < FM_PERSONAL_PULLS; i++)
        st = try_pull(&t, pulls[i], seed, &r.scores[i]);
    if (!st) {
        r.units = t.units;
        r.best = choice(&r);
        r.kept = !(r.scores[r.best].gain > FM_PERSONAL_SURE * r.scores[r.best].gain_se);
        *out = r;
    }
    trial_fini(&t);
    return st;
}
