/* The head itself: its loss, its fit, and its place in the model. */
#include "fedmoe/train/personal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "personal_internal.h"

/* ---- the records ---- */

static fm_status copy_center(fm_personal_data *d, const fm_tabular *m)
{
    fm_tabular_start start;
    float *flat = NULL;
    size_t n = 0;
    fm_status st;

    if ((st = fm_tabular_parameters(&d->config, &n)) ||
        (st = fm_tabular_start_of(&d->config, &start)) || !start.count ||
        (st = fm_alloc(n, sizeof *flat, (void **)&flat)))
        return st;
    fm_tabular_get(m, flat);
    if (!(st = fm_alloc(start.count, sizeof *d->center, (void **)&d->center)))
        memcpy(d->center, flat + start.center, start.count * sizeof *flat);
    free(flat);
    return st;
}

/* Outputs as the federation predicts, and before the correction for clipping. */
static fm_status predict(fm_personal_data *d, fm_tabular *m)
{
    const double clip_norm = fm_tabular_clip_norm(m);
    fm_status st = fm_tabular_predict(m, d->table->x, d->table->rows, d->federated);

    if (st || (st = fm_tabular_set_clip_norm(m, 0.0)))
        return st;
    st = fm_tabular_predict(m, d->table->x, d->table->rows, d->plain);
    if (fm_tabular_set_clip_norm(m, clip_norm))
        return FM_EINVAL;
    for (size_t i = 0; !st && i < d->table->rows * d->config.outputs; i++)
        if (!isfinite(d->plain[i]) || !isfinite(d->federated[i]))
            st = fm_fail(FM_ENONFINITE, "a prediction of the model is no finite number");
    return st;
}

fm_status fm_personal_data_new(fm_tabular *federated, const fm_table *t, fm_personal_data **out)
{
    fm_personal_data *d = NULL;
    fm_status st;

    if (!federated || !t || !out || !t->x || !t->y || !t->rows ||
        t->features != fm_tabular_get_config(federated)->features)
        return fm_fail(FM_EINVAL, "a head needs labelled records in memory, of the model's schema");
    if ((st = fm_alloc(1, sizeof *d, (void **)&d)))
        return st;
    d->table = t;
    d->config = *fm_tabular_get_config(federated);
    if ((st = fm_alloc(t->rows * d->config.outputs, sizeof *d->plain, (void **)&d->plain)) ||
        (st =
             fm_alloc(t->rows * d->config.outputs, sizeof *d->federated, (void **)&d->federated)) ||
        (st = copy_center(d, federated)) || (st = predict(d, federated)))
        fm_personal_data_free(&d);
    else
        *out = d;
    return st;
}

void fm_personal_data_free(fm_personal_data **d)
{
    if (!d || !*d)
        return;
    const size_t bytes = (*d)->table->rows * (*d)->config.outputs * sizeof(float);

    if ((*d)->plain)
        sodium_memzero((*d)->plain, bytes);
    if ((*d)->federated)
        sodium_memzero((*d)->federated, bytes);
    free((*d)->plain);
    free((*d)->federated);
    free((*d)->center);
    free(*d);
    *d = NULL;
}

/* ---- the loss ---- */

double personal_loss(const fm_tabular_config *c, const double *z, float label, double *slope)
{
    const size_t k = c->outputs;
    double most = z[0], sum = 0.0, w;

    if (c->target == FM_TARGET_NUMBER) {
        if (slope)
            slope[0] = z[0] - (double)label;
        return (z[0] - (double)label) * (z[0] - (double)label) / 2.0;
    }
    w = (double)c->class_weights[(size_t)label];
    if (c->target == FM_TARGET_BINARY) {
        const double s = label > 0.5f ? 1.0 : -1.0, m = s * z[0];

        if (slope)
            slope[0] = -w * s / (1.0 + exp(m));
        return w * (m > 0.0 ? log1p(exp(-m)) : log1p(exp(m)) - m);
    }
    for (size_t i = 1; i < k; i++)
        most = fmax(most, z[i]);
    for (size_t i = 0; i < k; i++)
        sum += exp(z[i] - most);
    for (size_t i = 0; slope && i < k; i++)
        slope[i] = w * (exp(z[i] - most) / sum - (i == (size_t)label ? 1.0 : 0.0));
    return w * (log(sum) + most - z[(size_t)label]);
}

/* ---- the fit: unknowns are alpha[K], beta, delta[K, F] ---- */

typedef struct {
    const fm_personal_data *d;
    const uint32_t *rows;
    size_t n;
    double pull;
    bool shift_only; /* delta is not among the unknowns */
} problem;

static double phi(const fm_personal_data *d, const float *x, size_t f)
{
    return (double)x[f] - (d->center ? (double)d->center[f] : 0.0);
}

static void outputs(const fm_personal_data *d, size_t row, const double *alpha, double beta,
                    const double *delta, double *z)
{
    const size_t k = d->config.outputs, features = d->config.features;
    const float *x = d->table->x + row * features, *plain = d->plain + row * k;

    for (size_t i = 0; i < k; i++) {
        z[i] = beta * (double)plain[i] + alpha[i];
        for (size_t f = 0; delta && f < features; f++)
            z[i] += delta[i * features + f] * phi(d, x, f);
    }
}

static void add_row(const problem *p, size_t row, const double *slope, double *gradient)
{
    const fm_personal_data *d = p->d;
    const size_t k = d->config.outputs, features = d->config.features;
    const float *x = d->table->x + row * features;

    for (size_t i = 0; i < k; i++) {
        gradient[i] += slope[i];
        gradient[k] += slope[i] * (double)d->plain[row * k + i];
        for (size_t f = 0; !p->shift_only && f < features; f++)
            gradient[k + 1 + i * features + f] += slope[i] * phi(d, x, f);
    }
}

static double objective(void *ctx, const double *v, double *gradient)
{
    const problem *p = ctx;
    const size_t k = p->d->config.outputs, deltas = p->shift_only ? 0 : k * p->d->config.features;
    double z[FM_TABULAR_MAX_OUTPUTS], slope[FM_TABULAR_MAX_OUTPUTS], sum = 0.0;

    memset(gradient, 0, (k + 1 + deltas) * sizeof *gradient);
    for (size_t i = 0; i < p->n; i++) {
        const size_t row = p->rows[i];

        outputs(p->d, row, v, v[k], deltas ? v + k + 1 : NULL, z);
        sum += personal_loss(&p->d->config, z, p->d->table->y[row], slope);
        add_row(p, row, slope, gradient);
    }
    sum /= (double)p->n;
    for (size_t i = 0; i < k + 1 + deltas; i++) {
        const double at = v[i] - (i == k ? 1.0 : 0.0), pull = i > k ? p->pull : FM_PERSONAL_EASY;

        sum += pull / 2.0 * at * at;
        gradient[i] = gradient[i] / (double)p->n + pull * at;
    }
    return sum;
}

fm_status fm_personal_fit(const fm_personal_data *d, const uint32_t *rows, size_t n, double pull,
                          fm_personal *out)
{
    const size_t k = d->config.outputs, deltas = k * d->config.features;
    problem p = { .d = d, .rows = rows, .n = n, .pull = pull, .shift_only = isinf(pull) };
    const size_t unknowns = k + 1 + (p.shift_only ? 0 : deltas);
    double *v = NULL;
    fm_status st;

    if (!n || !(pull >= 0.0))
        return fm_fail(FM_EINVAL, "a head needs records and a pull of 0 or more");
    if ((st = fm_alloc(unknowns, sizeof *v, (void **)&v)))
        return st;
    v[k] = 1.0;
    *out = (fm_personal){ .outputs = k, .features = d->config.features };
    if (!(st = fm_lbfgs(objective, &p, unknowns, v)) &&
        !(st = fm_alloc(k, sizeof *out->alpha, (void **)&out->alpha)) &&
        !(st = fm_alloc(deltas, sizeof *out->delta, (void **)&out->delta))) {
        memcpy(out->alpha, v, k * sizeof *v);
        out->beta = v[k];
        if (!p.shift_only)
            memcpy(out->delta, v + k + 1, deltas * sizeof *v);
    } else {
        fm_personal_fini(out);
    }
    sodium_memzero(v, unknowns * sizeof *v);
    free(v);
    return st;
}

void fm_personal_fini(fm_personal *p)
{
    if (p->alpha)
        sodium_memzero(p->alpha, p->outputs * sizeof *p->alpha);
    if (p->delta)
        sodium_memzero(p->delta, p->outputs * p->features * sizeof *p->delta);
    free(p->alpha);
    free(p->delta);
    *p = (fm_personal){ 0 };
}

void fm_personal_predict(const fm_personal_data *d, const fm_personal *p, size_t row, float *out)
{
    double z[FM_TABULAR_MAX_OUTPUTS];

    outputs(d, row, p->alpha, p->beta, p->delta, z);
    for (size_t i = 0; i < d->config.outputs; i++)
        out[i] = (float)z[i];
}

/* ---- into the model ---- */

static const fm_tabular_tensor_info *find(const fm_tabular *m, const char *name,
                                          fm_tabular_tensor_info *out)
{
    for (size_t i = 0; i < fm_tabular_tensors(m); i++) {
        *out = fm_tabular_tensor(m, i);
        if (strcmp(out->name, name) == 0)
            return out;
    }
    return NULL;
}

static void scale(float *flat, const fm_tabular_tensor_info *t, double by)
{
    for (size_t i = 0; t && i < t->elements; i++)
        flat[t->offset + i] = (float)((double)flat[t->offset + i] * by);
}

fm_status fm_personal_apply(const fm_personal_data *d, const fm_personal *p, fm_tabular *m)
{
    const fm_tabular_multipliers *by = &d->config.multipliers;
    const size_t k = d->config.outputs, deltas = k * d->config.features;
    fm_tabular_tensor_info at[3];
    const fm_tabular_tensor_info *linear = find(m, "linear.weight", &at[0]),
                                 *bias = find(m, "linear.bias", &at[1]),
                                 *head = find(m, "head.weight", &at[2]);
    float *flat = NULL;
    size_t n = 0;
    bool any = false;
    fm_status st;

    for (size_t i = 0; i < deltas; i++)
        any |= p->delta[i] != 0.0;
    if (!bias || (any && !linear))
        return fm_fail(FM_EINVAL, "the model has no %s, which a head would be a part of",
                       bias ? "linear part" : "bias");
    if ((st = fm_tabular_parameters(&d->config, &n)) ||
        (st = fm_alloc(n, sizeof *flat, (void **)&flat)))
        return st;
    fm_tabular_get(m, flat);
    scale(flat, linear, p->beta);
    scale(flat, bias, p->beta);
    scale(flat, head, p->beta);
    for (size_t i = 0; i < k; i++)
        flat[bias->offset + i] += (float)(p->alpha[i] / by->bias);
    for (size_t i = 0; any && i < deltas; i++)
        flat[linear->offset + i] += (float)(p->delta[i] / by->linear);
    if (!(st = fm_tabular_set(m, flat, n)))
        st = fm_tabular_set_clip_norm(m, 0.0);
    sodium_memzero(flat, n * sizeof *flat);
    free(flat);
    return st;
}
