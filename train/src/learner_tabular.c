/* The tabular model as a learner. */
#include <math.h>
#include <stdlib.h>

#include <sodium.h>

#include "fedmoe/train/learner.h"
#include "learner_tabular.h"

#define BATCH_ROWS 256u /* enough for the products to be about as fast as they get */
#define EXPERT_ROWS 64u /* of each expert, so that its weights and sums are worth fetching */
#define BATCH_BYTES (32u << 20) /* of activations and gradients, if that is more than BATCH_ROWS */
#define BATCH_LEAST 64u         /* fewer are not worth a thread of their own */

/* ---- facts ---- */

static size_t longest_unit(const fm_table *t, size_t most)
{
    size_t longest = 1;

    for (size_t u = 0; t->unit_start && u < t->units; u++) {
        size_t n = t->unit_start[u + 1] - t->unit_start[u];

        longest = n > longest ? n : longest;
    }
    return longest < most ? longest : most;
}

/* Floats that a row takes in all layers, about. */
static size_t row_floats(const fm_tabular_config *m)
{
    const size_t block = 6 * m->width + 3 * m->shared_hidden + 2 * m->experts +
                         m->top_k * (3 * m->width + 3 * m->expert_hidden);

    return m->features + 2 * m->outputs + (m->width ? 2 * m->width + m->blocks * block : 0);
}

/* All that is done once for each parameter and batch is spread over more rows where there are many
 * experts. */
static size_t most_rows(const fm_tabular_config *m)
{
    const size_t fit = BATCH_BYTES / (row_floats(m) * sizeof(float));
    size_t rows = m->width && m->top_k ? EXPERT_ROWS * m->experts / m->top_k : 0;

    rows = rows < fit ? rows : fit;
    return rows > BATCH_ROWS ? rows : BATCH_ROWS;
}

static fm_status describe(const fm_learner *l, size_t unit_rows, fm_learner_facts *out)
{
    const fm_tabular_config *m = l->tabular;
    const fm_table *t = l->table;
    fm_learner_facts f = { .least = BATCH_LEAST, .smallest = 1, .fast = true };
    size_t longest, most;
    fm_status st;

    if (!m || !t)
        return fm_fail(FM_EINVAL, "learner: there is no model, or no table");
    if (t->rows == 0 || !fm_table_labelled(t))
        return fm_fail(FM_EINVAL, "there are no labelled records to train on");
    if (t->features != m->features)
        return fm_fail(FM_EINVAL, "the records have %zu features, the model %zu", t->features,
                       m->features);
    if ((st = fm_tabular_parameters(m, &f.parameters)) != FM_OK ||
        (st = fm_tabular_start_of(m, &f.start)) != FM_OK)
        return st;
    longest = longest_unit(t, unit_rows);
    most = most_rows(m);
    most = t->rows < most ? t->rows : most;
    f.units = fm_train_units_of_table(t);
    f.all = t->rows;
    f.batch = longest > most ? longest : most;
    f.choices = m->top_k;
    f.means = m->features;
    *out = f;
    return FM_OK;
}

static fm_status check_tail(const fm_learner *l, const fm_train_tail *tail)
{
    return fm_train_tail_check(tail, l->tabular);
}

/* ---- objects ---- */

static void forget(void *object)
{
    fm_train_records *o = object;

    fm_tabular_forget(o->model);
    fm_table_reader_forget(o->reader);
    if (o->x)
        sodium_memzero(o->x, o->batch * o->features * sizeof *o->x);
    if (o->y)
        sodium_memzero(o->y, o->batch * sizeof *o->y);
}

static void close_object(void *object)
{
    fm_train_records *o = object;

    if (o->model)
        forget(o);
    fm_tabular_free(&o->model);
    fm_table_reader_free(&o->reader);
    free(o->x);
    free(o->y);
    free(o->order);
    free(o);
}

static fm_status make_reader(const fm_table *t, fm_train_records *o)
{
    fm_status st;

    if ((st = fm_table_reader_new(t, &o->reader)) != FM_OK ||
        (st = fm_alloc(o->batch * o->features, sizeof *o->x, (void **)&o->x)) != FM_OK ||
        (st = fm_alloc(o->batch, sizeof *o->y, (void **)&o->y)) != FM_OK ||
        (st = fm_alloc(o->batch, sizeof *o->order, (void **)&o->order)) != FM_OK)
        return st;
    for (size_t i = 0; i < o->batch; i++)
        o->order[i] = (uint32_t)i;
    return FM_OK;
}

static fm_status open_object(const fm_learner *l, void *first, size_t batch, void **out)
{
    const fm_train_records *lender = first;
    fm_train_records *o = NULL;
    fm_status st = fm_alloc(1, sizeof *o, (void **)&o);

    if (st != FM_OK)
        return st;
    o->batch = batch;
    o->features = l->table->features;
    st = lender ? fm_tabular_new_worker(lender->model, batch, &o->model)
                : fm_tabular_new(l->tabular, batch, &o->model);
    if (st == FM_OK && l->table->store)
        st = make_reader(l->table, o);
    if (st == FM_OK)
        *out = o;
    else
        close_object(o);
    return st;
}

static fm_status set(const fm_learner *l, void *first, const fm_train_tail *tail,
                     const float *state, size_t n)
{
    const fm_train_records *o = first;

    (void)l;
    return fm_train_state_set(o->model, tail, state, n);
}

static fm_status losses(const fm_learner *l, void *object, const uint32_t *rows, size_t count,
                        float *out)
{
    fm_train_records *o = object;
    fm_status st;

    if (!o->reader)
        return fm_tabular_backward(o->model, l->table->x, l->table->y, rows, count, out);
    if (count > o->batch)
        return fm_fail(FM_EINVAL, "learner: a batch of %zu records does not fit", count);
    st = fm_table_reader_take(o->reader, rows, count, o->x, o->y);
    return st != FM_OK ? st : fm_tabular_backward(o->model, o->x, o->y, o->order, count, out);
}

static void scores(const fm_learner *l, void *object, const uint32_t *rows, size_t count,
                   float *out, bool *positive)
{
    const fm_train_records *o = object;

    fm_tabular_scores(o->model, count, out);
    for (size_t i = 0; i < count; i++)
        positive[i] = (o->reader ? o->y[i] : l->table->y[rows[i]]) > 0.5f;
}

static fm_status backward(const fm_learner *l, void *object, const uint32_t *rows, size_t count)
{
    return losses(l, object, rows, count, NULL);
}

static void squares(void *object, const uint32_t *ends, size_t units, double *out)
{
    const fm_train_records *o = object;

    fm_tabular_unit_squares(o->model, ends, units, out);
}

static fm_status add_units(void *object, const uint32_t *ends, size_t units, const double *factors,
                           int64_t limit, int32_t *sum, uint64_t *lengths)
{
    const fm_train_records *o = object;

    fm_tabular_add_units(o->model, ends, units, factors, limit, sum, lengths);
    return FM_OK;
}

static void gradient(void *object, const uint32_t *ends, size_t unit, float *out)
{
    const fm_train_records *o = object;
    size_t row = !ends ? unit : unit > 0 ? ends[unit - 1] : 0;
    const size_t end = ends ? ends[unit] : row + 1;

    fm_tabular_unit_gradient(o->model, row, out);
    while (++row < end)
        fm_tabular_add_row_gradient(o->model, row, out);
}

static void loads(void *object, const uint32_t *ends, size_t unit, float *out)
{
    const fm_train_records *o = object;

    fm_tabular_unit_loads(o->model, ends, unit, out);
}

/* The means of `n` rows of x, in their order; the features' shortened so that the whole is of norm
 * sqrt(2) at most. */
static bool take_means(const fm_table *t, const float *x, const float *y, const uint32_t *rows,
                       size_t n, float *out)
{
    const size_t features = t->features;
    double square = 0.0, label = 0.0, most, shorter;

    for (size_t i = 0; i < n; i++)
        label += (double)y[rows[i]];
    label /= (double)n;
    for (size_t j = 0; j < features; j++) {
        double mean = 0.0;

        for (size_t i = 0; i < n; i++)
            mean += (double)x[rows[i] * features + j];
        out[j] = (float)(mean / (double)n);
        square += (double)out[j] * (double)out[j];
    }
    most = sqrt(fmax(2.0 - label * label, 0.0));
    shorter = square > most * most ? most / sqrt(square) : 1.0;
    for (size_t j = 0; j < features && shorter < 1.0; j++)
        out[j] = (float)(shorter * (double)out[j]);
    out[features] = (float)label;
    return isfinite(square) && isfinite(label);
}

static fm_status means(const fm_learner *l, void *object, const uint32_t *rows, size_t n,
                       float *out, bool *finite)
{
    const fm_table *t = l->table;
    fm_train_records *o = object;
    fm_status st = FM_OK;

    if (o->reader &&
        (n > o->batch || (st = fm_table_reader_take(o->reader, rows, n, o->x, o->y)) != FM_OK))
        return st != FM_OK ? st : fm_fail(FM_EINVAL, "learner: %zu records do not fit", n);
    *finite = o->reader ? take_means(t, o->x, o->y, o->order, n, out)
                        : take_means(t, t->x, t->y, rows, n, out);
    return FM_OK;
}

static const fm_learner_ops ops = { .describe = describe,
                                    .check_tail = check_tail,
                                    .open = open_object,
                                    .close = close_object,
                                    .forget = forget,
                                    .set = set,
                                    .backward = backward,
                                    .losses = losses,
                                    .scores = scores,
                                    .squares = squares,
                                    .add_units = add_units,
                                    .gradient = gradient,
                                    .loads = loads,
                                    .means = means };

fm_learner fm_learner_tabular(const fm_tabular_config *model, const fm_table *table)
{
    return (fm_learner){ .ops = &ops, .tabular = model, .table = table };
}
