#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/optim/optimizer.h"
#include "step_internal.h"

#define BATCH_ROWS 256u /* enough for the products to be about as fast as they get */
#define EXPERT_ROWS 64u /* of each expert, so that its weights and sums are worth fetching */
#define BATCH_BYTES (32u << 20) /* of activations and gradients, if that is more than BATCH_ROWS */
#define BATCH_LEAST 64u         /* fewer are not worth a thread of their own */
/* More than what a batch's functions have on the stack, of which the kernels' packed rows (33 KiB)
 * are the most. */
#define BATCH_STACK ((size_t)64 << 10)

/* ---- buffers ---- */

static size_t longest_unit(const fm_table *t, size_t most)
{
    size_t longest = 1;

    for (size_t u = 0; t->unit_start && u < t->units; u++) {
        size_t n = t->unit_start[u + 1] - t->unit_start[u];

        longest = n > longest ? n : longest;
    }
    return longest < most ? longest : most;
}

/* Two batches in a row have more rows than one may have, or the first has as many units as it may:
 * no more than this, whatever a sample is. */
static size_t batch_room(const fm_train_step *s, const fm_table *t)
{
    return 2 * (t->rows / BATCH_LEAST) + fm_train_sample_units(t) / s->batch_units + 3;
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

static fm_status plan_batches(fm_train_step *s, const fm_table *t, size_t unit_rows)
{
    const size_t longest = longest_unit(t, unit_rows), most = most_rows(&s->model),
                 rows = t->rows < most ? t->rows : most;
    void *p = NULL;
    fm_status st;

    s->batch_rows = longest > rows ? longest : rows;
    s->batch_units = s->batch_rows;
    if (s->lattice.encoding == FM_DP_FAST && fm_dp_sum_batch_units(&s->lattice) < s->batch_units)
        s->batch_units = fm_dp_sum_batch_units(&s->lattice);
    if (s->batch_units == 0)
        return fm_fail(FM_EINVAL, "step: the lattice has no room for a unit");
    s->batch_room = batch_room(s, t);
    if ((st = fm_alloc(s->batch_room + 1, sizeof *s->batches, &p)) == FM_OK)
        s->batches = p;
    return st;
}

static fm_status take(size_t count, size_t size, void *out)
{
    void *p = NULL;
    fm_status st = fm_alloc(count ? count : 1, size, &p);

    if (st == FM_OK)
        memcpy(out, &p, sizeof p);
    return st;
}

static fm_status make_worker(const fm_train_step *s, fm_train_worker *w)
{
    const size_t biases = s->tail.load_groups * s->tail.load_experts;
    fm_status st;

    st = w == s->workers ? fm_tabular_new(&s->model, s->batch_rows, &w->model)
                         : fm_tabular_new_worker(s->workers->model, s->batch_rows, &w->model);
    if (st != FM_OK || (st = fm_dp_sum_new(&s->lattice, s->length, &w->sum)) != FM_OK ||
        (st = take(s->batch_units, sizeof *w->ends, &w->ends)) != FM_OK ||
        (st = take(s->batch_units, sizeof *w->squares, &w->squares)) != FM_OK ||
        (st = take(s->batch_units, sizeof *w->lengths, &w->lengths)) != FM_OK ||
        (st = take(s->batch_units, sizeof *w->clipped, &w->clipped)) != FM_OK ||
        (st = take(biases, sizeof *w->loads, &w->loads)) != FM_OK ||
        (s->tail.start && (st = take(s->model.features + 1, sizeof *w->means, &w->means)) != FM_OK))
        return st;
    return s->lattice.encoding == FM_DP_FAST ? FM_OK
                                             : take(s->length, sizeof *w->gradient, &w->gradient);
}

static void wipe(void *p, size_t count, size_t size)
{
    if (p)
        sodium_memzero(p, count * size);
}

static void wipe_worker(const fm_train_step *s, fm_train_worker *w)
{
    wipe(w->ends, s->batch_units, sizeof *w->ends);
    wipe(w->squares, s->batch_units, sizeof *w->squares);
    wipe(w->lengths, s->batch_units, sizeof *w->lengths);
    wipe(w->clipped, s->batch_units, sizeof *w->clipped);
    wipe(w->loads, s->tail.load_groups * s->tail.load_experts, sizeof *w->loads);
    wipe(w->gradient, s->length, sizeof *w->gradient);
    wipe(w->means, s->model.features + 1, sizeof *w->means);
    if (w->model)
        fm_tabular_forget(w->model);
}

static void free_worker(const fm_train_step *s, fm_train_worker *w)
{
    wipe_worker(s, w);
    fm_tabular_free(&w->model);
    fm_dp_sum_free(&w->sum);
    free(w->ends);
    free(w->squares);
    free(w->lengths);
    free(w->clipped);
    free(w->loads);
    free(w->gradient);
    free(w->means);
}

/* ---- the object ---- */

static fm_status check_spec(const fm_train_step_spec *spec)
{
    if (!spec || !spec->model || !spec->table || !spec->lattice || spec->unit_rows < 1 ||
        !(spec->sampling_rate > 0.0 && spec->sampling_rate <= 1.0))
        return fm_fail(FM_EINVAL, "step: an argument is missing or out of range");
    if (spec->table->rows == 0 || !spec->table->y)
        return fm_fail(FM_EINVAL, "there are no labelled records to train on");
    if (spec->table->features != spec->model->features)
        return fm_fail(FM_EINVAL, "the records have %zu features, the model %zu",
                       spec->table->features, spec->model->features);
    return fm_train_tail_check(&spec->tail, spec->model);
}

static fm_status make_threads(fm_train_step *s, size_t rows, unsigned count)
{
    const unsigned all = fm_threads_available();
    void *p = NULL;
    fm_status st;

    if (count == 0)
        count = all < FM_TRAIN_THREADS_DEFAULT ? all : FM_TRAIN_THREADS_DEFAULT;
    /* No more than a whole sample could ever occupy. */
    if (count > rows / BATCH_LEAST + 1)
        count = (unsigned)(rows / BATCH_LEAST + 1);
    if ((st = fm_threads_new(count, &s->threads)) != FM_OK ||
        (st = fm_alloc(count, sizeof *s->workers, &p)) != FM_OK)
        return st;
    s->workers = p;
    for (unsigned i = 0; st == FM_OK && i < count; i++)
        st = make_worker(s, &s->workers[i]);
    return st;
}

fm_status fm_train_step_new(const fm_train_step_spec *spec, fm_train_step **out)
{
    fm_train_step *s = NULL;
    void *p = NULL;
    fm_status st = check_spec(spec);

    if (st != FM_OK || (st = fm_alloc(1, sizeof *s, &p)) != FM_OK)
        return st;
    s = p;
    s->model = *spec->model;
    s->lattice = *spec->lattice;
    s->tail = spec->tail;
    if ((st = fm_tabular_parameters(&s->model, &s->weights)) != FM_OK ||
        (st = fm_tabular_start_of(&s->model, &s->start)) != FM_OK)
        goto done;
    s->length = s->weights + fm_train_tail_length(&s->tail);
    if ((st = fm_dp_parts_make(&s->lattice, spec->load_share, spec->clip_share, &s->parts)) !=
            FM_OK ||
        (st = plan_batches(s, spec->table, spec->unit_rows)) != FM_OK ||
        (st = fm_train_sample_init(&s->sample, spec->table, spec->sampling_rate,
                                   spec->unit_rows)) != FM_OK ||
        (st = make_threads(s, spec->table->rows, spec->threads)) != FM_OK)
        goto done;
    *out = s;
    s = NULL;
done:
    fm_train_step_free(&s);
    return st;
}

void fm_train_step_free(fm_train_step **sp)
{
    fm_train_step *s = sp ? *sp : NULL;

    if (!s)
        return;
    /* The first worker's model has the others' weights. */
    for (unsigned i = s->workers ? fm_threads_count(s->threads) : 0; i > 0; i--)
        free_worker(s, &s->workers[i - 1]);
    fm_threads_free(&s->threads);
    fm_train_sample_fini(&s->sample);
    wipe(s->batches, s->batch_room + 1, sizeof *s->batches);
    free(s->workers);
    free(s->batches);
    free(s);
    *sp = NULL;
}

size_t fm_train_step_length(const fm_train_step *s)
{
    return s->length;
}

unsigned fm_train_step_threads(const fm_train_step *s)
{
    return fm_threads_count(s->threads);
}

/* ---- a run ---- */

/* So that every thread has some, units are never divided, and no batch is too long. */
static void cut_batches(fm_train_step *s)
{
    const fm_train_sample *d = &s->sample;
    const size_t threads = fm_threads_count(s->threads);
    size_t rows = (d->count + threads - 1) / threads;

    rows = rows < BATCH_LEAST ? BATCH_LEAST : rows;
    rows = rows > s->batch_rows ? s->batch_rows : rows;
    s->batch_count = 0;
    for (size_t u = 0; u < d->units; s->batch_count++) {
        const size_t from = fm_train_unit_start(d, u), first = u;

        s->batches[s->batch_count] = (uint32_t)u++;
        while (u < d->units && u - first < s->batch_units &&
               fm_train_unit_start(d, u + 1) - from <= rows)
            u++;
    }
    s->batches[s->batch_count] = (uint32_t)d->units;
}

static fm_status sum_batch(const fm_train_step *s, fm_train_worker *w, size_t number)
{
    const fm_train_sample *d = &s->sample;
    const fm_table *t = d->table;
    const size_t first = s->batches[number], units = s->batches[number + 1] - first;
    const size_t from = fm_train_unit_start(d, first);
    const size_t rows = fm_train_unit_start(d, first + units) - from;
    const uint32_t *ends = d->ends ? w->ends : NULL;
    fm_status st;

    for (size_t u = 0; ends && u < units; u++)
        w->ends[u] = (uint32_t)(d->ends[first + u] - from);
    if (s->statistics)
        return fm_train_add_statistics(s, w, d->rows + from, ends, units);
    if ((st = fm_tabular_backward(w->model, t->x, t->y, d->rows + from, rows, NULL)) != FM_OK)
        return st;
    return fm_train_add_batch(s, w, ends, units);
}

static fm_status run_batch(void *ctx, unsigned thread, size_t number)
{
    const fm_train_step *s = ctx;
    const fm_status st = sum_batch(s, &s->workers[thread], number);

    sodium_stackzero(BATCH_STACK); /* rows that kernels packed, and sums of theirs */
    if (st != FM_OK)
        return st;
    if (thread == 0 && s->in->keepalive)
        s->in->keepalive(s->in->keepalive_ctx);
    return st;
}

/* The aggregator's word is not taken for it: whatever the clip norm, integers are checked. */
static fm_status set_state(fm_train_step *s, const float *state)
{
    const size_t clip = s->weights + s->tail.load_groups * s->tail.load_experts;
    const double log_clip = s->tail.clip_norm ? (double)state[clip] : 0.0;
    const float phase = s->tail.start ? state[s->length - 1] : 1.0f;

    if (!(fabs(log_clip) <= FM_OPTIM_CLIP_RANGE + 1e-6))
        return fm_fail(FM_EINVAL, "the clip norm in use is more than a thousand times that of the "
                                  "plan, or less than a thousandth");
    if (phase != 0.0f && phase != 1.0f)
        return fm_fail(FM_EINVAL, "the phase is %g, must be 0 (the statistics round) or 1",
                       (double)phase);
    s->statistics = phase == 0.0f;
    s->relative_clip = exp(log_clip);
    return fm_train_state_set(s->workers->model, &s->tail, state, s->length);
}

static fm_status forget_worker(void *ctx, unsigned thread, size_t number)
{
    fm_train_step *s = ctx;

    (void)thread;
    wipe_worker(s, &s->workers[number]);
    return FM_OK;
}

/* Who was sampled, and what was made of them but for the sum. Megabytes for each thread. */
static fm_status forget(fm_train_step *s)
{
    fm_train_sample_forget(&s->sample);
    wipe(s->batches, s->batch_room + 1, sizeof *s->batches);
    return fm_threads_run(s->threads, fm_threads_count(s->threads), forget_worker, s);
}

fm_status fm_train_step_run(fm_train_step *s, const fm_train_step_input *in, fm_dp_sum **sum)
{
    const unsigned threads = s ? fm_threads_count(s->threads) : 0;
    fm_status st, forgot;

    if (!s || !in || !in->state || !in->rng || !sum)
        return fm_fail(FM_EINVAL, "fm_train_step_run: NULL argument");
    for (unsigned i = 0; i < threads; i++)
        fm_dp_sum_reset(s->workers[i].sum);
    if ((st = set_state(s, in->state)) != FM_OK)
        return st;
    s->in = in;
    fm_train_sample_draw(&s->sample, in->rng);
    cut_batches(s);
    st = fm_threads_run(s->threads, s->batch_count, run_batch, s);
    for (unsigned i = 1; st == FM_OK && i < threads; i++)
        st = fm_dp_sum_merge(s->workers->sum, s->workers[i].sum);
    for (unsigned i = 0; st != FM_OK && i < threads; i++)
        fm_dp_sum_reset(s->workers[i].sum);
    forgot = forget(s);
    s->in = NULL;
    if (st == FM_OK && (st = forgot) == FM_OK)
        *sum = s->workers->sum;
    return st;
}
