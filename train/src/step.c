#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/optim/optimizer.h"
#include "step_internal.h"

/* More than what a batch's functions have on the stack, of which the kernels' packed rows (33 KiB)
 * are the most. */
#define BATCH_STACK ((size_t)64 << 10)

/* ---- buffers ---- */

/* A batch of less is not worth a thread, or is full. */
static size_t least_cost(const fm_learner_facts *f)
{
    return f->least < f->batch ? f->least : f->batch;
}

/* Two batches in a row cost more than one may, or the first has as many units as it may: no more
 * than this, whatever a sample is. */
static size_t batch_room(const fm_train_step *s)
{
    const fm_learner_facts *f = &s->facts;

    return 2 * (f->all / least_cost(f)) + f->units.units / s->batch_units + 3;
}

static fm_status plan_batches(fm_train_step *s)
{
    void *p = NULL;
    fm_status st;

    s->batch_units = s->facts.batch / s->facts.smallest;
    if (s->lattice.encoding == FM_DP_FAST && fm_dp_sum_batch_units(&s->lattice) < s->batch_units)
        s->batch_units = fm_dp_sum_batch_units(&s->lattice);
    if (s->batch_units == 0)
        return fm_fail(FM_EINVAL, "step: the lattice has no room for a unit");
    s->batch_room = batch_room(s);
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

    st = s->learner.ops->open(&s->learner, w == s->workers ? NULL : s->workers->model,
                              s->facts.batch, &w->model);
    if (st != FM_OK || (st = fm_dp_sum_new(&s->lattice, s->length, &w->sum)) != FM_OK ||
        (st = take(s->batch_units, sizeof *w->ends, &w->ends)) != FM_OK ||
        (st = take(s->batch_units, sizeof *w->squares, &w->squares)) != FM_OK ||
        (st = take(s->batch_units, sizeof *w->lengths, &w->lengths)) != FM_OK ||
        (st = take(s->batch_units, sizeof *w->clipped, &w->clipped)) != FM_OK ||
        (st = take(biases, sizeof *w->loads, &w->loads)) != FM_OK ||
        (s->tail.held &&
         (st = take(s->facts.batch, sizeof *w->row_losses, &w->row_losses)) != FM_OK) ||
        (s->tail.held_bins > 0 &&
         ((st = take(s->facts.batch, sizeof *w->scores, &w->scores)) != FM_OK ||
          (st = take(s->facts.batch, sizeof *w->positive, &w->positive)) != FM_OK)) ||
        (st = take(2 * s->tail.held_bins, sizeof *w->nodes, &w->nodes)) != FM_OK ||
        (s->tail.start && (st = take(s->facts.means + 1, sizeof *w->means, &w->means)) != FM_OK))
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
    wipe(w->row_losses, s->facts.batch, sizeof *w->row_losses);
    wipe(w->scores, s->facts.batch, sizeof *w->scores);
    wipe(w->positive, s->facts.batch, sizeof *w->positive);
    wipe(w->nodes, 2 * s->tail.held_bins, sizeof *w->nodes);
    wipe(w->means, s->facts.means + 1, sizeof *w->means);
    if (w->model)
        s->learner.ops->forget(w->model);
}

static void free_worker(const fm_train_step *s, fm_train_worker *w)
{
    wipe_worker(s, w);
    if (w->model)
        s->learner.ops->close(w->model);
    fm_dp_sum_free(&w->sum);
    free(w->ends);
    free(w->squares);
    free(w->lengths);
    free(w->clipped);
    free(w->loads);
    free(w->gradient);
    free(w->row_losses);
    free(w->scores);
    free(w->positive);
    free(w->nodes);
    free(w->means);
}

/* ---- the object ---- */

static fm_status check_spec(const fm_train_step_spec *spec)
{
    if (!spec || !spec->learner.ops || !spec->lattice || spec->unit_rows < 1 ||
        !(spec->sampling_rate > 0.0 && spec->sampling_rate <= 1.0))
        return fm_fail(FM_EINVAL, "step: an argument is missing or out of range");
    if (spec->tail.held && !(spec->held_share > 0.0 && spec->held_share <= 0.5 &&
                             spec->held_bound > 0.0 && isfinite(spec->held_bound)))
        return fm_fail(FM_EINVAL, "step: what is held out is a share of at most a half, and its "
                                  "largest loss above 0");
    return FM_OK;
}

static fm_status describe(fm_train_step *s, const fm_train_step_spec *spec)
{
    fm_status st = fm_learner_describe(&spec->learner, spec->unit_rows, &s->facts);

    if (st != FM_OK || (st = s->learner.ops->check_tail(&s->learner, &s->tail)) != FM_OK)
        return st;
    s->held_part =
        s->tail.held_bins > 0 ? fm_dp_half_bound(&s->lattice) : s->lattice.unit_sensitivity;
    if (s->lattice.encoding == FM_DP_FAST && !s->facts.fast)
        return fm_fail(FM_EINVAL, "step: not all that is trained here becomes integers map by map; "
                                  "use the exact encoding");
    if (s->tail.held_bins > 0)
        fm_auc_parts(s->held_part, s->tail.held_bins, s->tree_parts);
    s->weights = s->facts.parameters;
    s->length = s->weights + fm_train_tail_length(&s->tail);
    return FM_OK;
}

static fm_status make_threads(fm_train_step *s, unsigned count)
{
    const unsigned all = fm_threads_available();
    const size_t most = s->facts.all / least_cost(&s->facts) + 1;
    void *p = NULL;
    fm_status st;

    if (count == 0)
        count = all < FM_TRAIN_THREADS_DEFAULT ? all : FM_TRAIN_THREADS_DEFAULT;
    /* No more than a whole sample could ever occupy. */
    if (count > most)
        count = (unsigned)most;
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
    s->learner = spec->learner;
    s->lattice = *spec->lattice;
    s->tail = spec->tail;
    s->held.share = spec->tail.held ? spec->held_share : 0.0;
    s->held_bound = spec->held_bound;
    if ((st = describe(s, spec)) != FM_OK ||
        (st = fm_dp_parts_make(&s->lattice, spec->load_share, spec->clip_share, &s->parts)) !=
            FM_OK ||
        (st = plan_batches(s)) != FM_OK ||
        (st = fm_train_sample_init(&s->sample, &s->facts.units, spec->sampling_rate,
                                   spec->unit_rows)) != FM_OK ||
        (st = make_threads(s, spec->threads)) != FM_OK)
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
    wipe(&s->held, 1, sizeof s->held);
    free(s->workers);
    free(s->batches);
    free(s);
    *sp = NULL;
}

void fm_train_step_hold_out(fm_train_step *s, const uint8_t seed[16])
{
    memcpy(s->held.seed, seed, sizeof s->held.seed);
    s->coins = true;
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

static size_t cost_of(const fm_train_step *s, size_t from, size_t to)
{
    size_t sum = 0;

    if (!s->learner.ops->cost)
        return to - from;
    for (size_t i = from; i < to; i++)
        sum += s->learner.ops->cost(&s->learner, s->sample.rows[i]);
    return sum;
}

static size_t unit_cost(const fm_train_step *s, size_t u)
{
    return cost_of(s, fm_train_unit_start(&s->sample, u), fm_train_unit_start(&s->sample, u + 1));
}

/* So that every thread has some, units are never divided, no batch is too long, and none is of both
 * those trained on and those held out. */
static void cut_batches(fm_train_step *s)
{
    const fm_train_sample *d = &s->sample;
    const size_t threads = fm_threads_count(s->threads), least = least_cost(&s->facts);
    const size_t all = s->statistics ? d->trained : d->units; /* held out: no part in statistics */
    size_t most = (cost_of(s, 0, d->count) + threads - 1) / threads;

    most = most < least ? least : most;
    most = most > s->facts.batch ? s->facts.batch : most;
    s->batch_count = 0;
    for (size_t u = 0; u < all; s->batch_count++) {
        const size_t first = u, end = u < d->trained ? d->trained : all;
        size_t cost = unit_cost(s, u);

        s->batches[s->batch_count] = (uint32_t)u++;
        while (u < end && u - first < s->batch_units && cost + unit_cost(s, u) <= most)
            cost += unit_cost(s, u++);
    }
    s->batches[s->batch_count] = (uint32_t)all;
}

static fm_status sum_batch(const fm_train_step *s, fm_train_worker *w, size_t number)
{
    const fm_train_sample *d = &s->sample;
    const size_t first = s->batches[number], units = s->batches[number + 1] - first;
    const size_t from = fm_train_unit_start(d, first);
    const size_t rows = fm_train_unit_start(d, first + units) - from;
    const uint32_t *ends = d->ends ? w->ends : NULL;
    fm_status st;

    for (size_t u = 0; ends && u < units; u++)
        w->ends[u] = (uint32_t)(d->ends[first + u] - from);
    if (first >= d->trained)
        return fm_train_add_held(s, w, d->rows + from, rows, ends, units);
    if (s->statistics)
        return fm_train_add_statistics(s, w, d->rows + from, ends, units);
    if ((st = s->learner.ops->backward(&s->learner, w->model, d->rows + from, rows)) != FM_OK)
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
    return s->learner.ops->set(&s->learner, s->workers->model, &s->tail, state, s->length);
}

/* The coins of the whole training, when nobody has set them. */
static void toss(fm_train_step *s, fm_rng *rng)
{
    if (s->held.share > 0.0 && !s->coins)
        rng->fill(rng->state, s->held.seed, sizeof s->held.seed);
    s->coins = true;
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
    toss(s, in->rng);
    fm_train_sample_draw(&s->sample, &s->held, in->rng);
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
