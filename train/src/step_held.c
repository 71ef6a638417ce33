/* What units add that are held out: a vote on their loss; in integers. */
#include <math.h>
#include <string.h>

#include "step_internal.h"

/* Where in the sum. */
static size_t place(const fm_train_step *s)
{
    return s->weights + s->tail.load_groups * s->tail.load_experts + (s->tail.clip_norm ? 1 : 0);
}

/* -1 for no loss, 1 for the largest that counts. @return false: the loss is not finite. */
static bool vote_of(const fm_train_step *s, const fm_train_worker *w, size_t from, size_t end,
                    double *out)
{
    double loss = 0.0;

    for (size_t i = from; i < end; i++)
        loss += (double)w->row_losses[i];
    loss /= (double)(end - from) * s->held_bound;
    *out = 2.0 * fmin(fmax(loss, 0.0), 1.0) - 1.0;
    return isfinite(loss);
}

static uint64_t add_fast(const fm_train_step *s, double vote, int32_t *sum)
{
    /* Rounded toward zero: of no larger norm than the bound. */
    const int64_t steps = (int64_t)(vote * (double)s->lattice.unit_sensitivity);

    sum[place(s)] += (int32_t)steps;
    return (uint64_t)(steps * steps);
}

static fm_status add_exact(const fm_train_step *s, fm_train_worker *w, bool finite, double vote)
{
    memset(w->gradient, 0, s->length * sizeof *w->gradient);
    w->gradient[place(s)] = finite ? (float)(vote * s->lattice.clip_norm) : NAN;
    return fm_dp_sum_add_unit(w->sum, w->gradient); /* drops what is not finite */
}

fm_status fm_train_add_held(const fm_train_step *s, fm_train_worker *w, const uint32_t *rows,
                            size_t count, const uint32_t *ends, size_t units)
{
    const bool fast = s->lattice.encoding == FM_DP_FAST;
    int32_t *sum = NULL;
    size_t dropped = 0, row = 0;
    fm_status st = s->learner.ops->losses(&s->learner, w->model, rows, count, w->row_losses);

    if (st == FM_OK && fast)
        st = fm_dp_sum_batch(w->sum, units, &sum);
    for (size_t u = 0; st == FM_OK && u < units; u++) {
        const size_t end = ends ? ends[u] : row + 1;
        double vote = 0.0;
        const bool finite = vote_of(s, w, row, end, &vote);

        row = end;
        if (!fast) {
            st = add_exact(s, w, finite, vote);
            continue;
        }
        w->lengths[u] = finite ? add_fast(s, vote, sum) : 0;
        dropped += !finite;
    }
    return fast && st == FM_OK ? fm_dp_sum_batch_done(w->sum, w->lengths, units, dropped) : st;
}
