/* What units add to a sum: clipped gradient, loads, vote; in integers. */
#include <math.h>
#include <string.h>

#include "step_internal.h"

/* A row chooses top_k experts of a block, each with 1 / top_k of its load: of norm top_k^-1/2 at
 * most, also the mean over a unit's rows. */
static double loads_bound(const fm_train_step *s)
{
    return sqrt((double)s->tail.load_groups / (double)s->facts.choices);
}

/* ---- FAST ---- */

static uint64_t add_tail(const fm_train_step *s, fm_train_worker *w, const uint32_t *ends,
                         size_t unit, bool clipped, int32_t *sum)
{
    const size_t biases = s->tail.load_groups * s->tail.load_experts;
    uint64_t square = 0;

    if (biases > 0) {
        s->learner.ops->loads(w->model, ends, unit, w->loads);
        square +=
            fm_dp_encode_tail(w->loads, biases, loads_bound(s), s->parts.loads, sum + s->weights);
    }
    if (s->tail.clip_norm) {
        sum[s->weights + biases] += (int32_t)(clipped ? -s->parts.vote : s->parts.vote);
        square += (uint64_t)(s->parts.vote * s->parts.vote);
    }
    return square;
}

static fm_status add_fast(const fm_train_step *s, fm_train_worker *w, const uint32_t *ends,
                          size_t units)
{
    const int64_t limit = s->parts.gradient;
    double *factors = w->squares;
    size_t dropped = 0;
    int32_t *sum = NULL;
    fm_status st = fm_dp_sum_batch(w->sum, units, &sum);

    if (st != FM_OK)
        return st;
    s->learner.ops->squares(w->model, ends, units, w->squares);
    for (size_t u = 0; u < units; u++) {
        w->clipped[u] = fm_dp_unit_clipped(&s->lattice, limit, w->squares[u], s->relative_clip);
        factors[u] = fm_dp_unit_factor(&s->lattice, limit, w->squares[u], s->relative_clip);
        dropped += !(factors[u] > 0.0);
    }
    if ((st = s->learner.ops->add_units(w->model, ends, units, factors, limit, sum, w->lengths)) !=
        FM_OK)
        return st;
    for (size_t u = 0; u < units; u++)
        if (factors[u] > 0.0)
            w->lengths[u] += add_tail(s, w, ends, u, w->clipped[u], sum);
    return fm_dp_sum_batch_done(w->sum, w->lengths, units, dropped);
}

/* ---- EXACT ---- */

static double square_of(const float *g, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += (double)g[i] * (double)g[i];
    return sum;
}

/* In gradient units as the lattice has them; dp/ rounds and checks the whole. A gradient that is
 * not finite is left as it is, for dp/ to drop. */
static void finish_exact(const fm_train_step *s, fm_train_worker *w, const uint32_t *ends,
                         size_t unit)
{
    const size_t biases = s->tail.load_groups * s->tail.load_experts;
    const int64_t limit = s->parts.gradient;
    const double step = 1.0 / s->lattice.unit_scale;
    const double square = square_of(w->gradient, s->weights);
    const double factor = fm_dp_unit_factor(&s->lattice, limit, square, s->relative_clip) * step;

    if (!isfinite(square))
        return;
    for (size_t i = 0; i < s->weights; i++)
        w->gradient[i] = (float)((double)w->gradient[i] * factor);
    if (biases > 0) {
        const double per = (double)s->parts.loads * step / loads_bound(s);

        s->learner.ops->loads(w->model, ends, unit, w->loads);
        for (size_t i = 0; i < biases; i++)
            w->gradient[s->weights + i] = (float)((double)w->loads[i] * per);
    }
    if (s->tail.clip_norm) {
        const double vote = (double)s->parts.vote * step;

        w->gradient[s->weights + biases] =
            (float)(fm_dp_unit_clipped(&s->lattice, limit, square, s->relative_clip) ? -vote
                                                                                     : vote);
    }
    if (s->tail.start)
        w->gradient[s->length - 1] = 0.0f;
}

static fm_status add_exact(const fm_train_step *s, fm_train_worker *w, const uint32_t *ends,
                           size_t units)
{
    fm_status st = FM_OK;

    for (size_t u = 0; st == FM_OK && u < units; u++) {
        s->learner.ops->gradient(w->model, ends, u, w->gradient);
        if (s->length > s->weights)
            finish_exact(s, w, ends, u);
        st = fm_dp_sum_add_unit(w->sum, w->gradient);
    }
    return st;
}

fm_status fm_train_add_batch(const fm_train_step *s, fm_train_worker *w, const uint32_t *ends,
                             size_t units)
{
    return s->lattice.encoding == FM_DP_FAST ? add_fast(s, w, ends, units)
                                             : add_exact(s, w, ends, units);
}
