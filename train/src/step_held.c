/* What units add that are held out: a vote on their loss, and where their scores are; in integers. */
#include <math.h>
#include <string.h>

#include "step_internal.h"

/* Where in the sum: the vote; the other place of the loss; the bins of class 0, and of class 1. */
static size_t place(const fm_train_step *s)
{
    return s->weights + s->tail.load_groups * s->tail.load_experts + (s->tail.clip_norm ? 1 : 0);
}

size_t fm_train_score_bin(float score, size_t bins)
{
    const double t = (double)score / (1.0 + fabs((double)score));
    const size_t bin = (size_t)((double)bins * (1.0 + t) / 2.0);

    return bin < bins ? bin : bins - 1;
}

/* Rows of one unit, within the batch's. */
typedef struct {
    size_t from, end;
} span;

/* -1 for no loss, 1 for the largest that counts. @return false: the loss is not finite. */
static bool vote_of(const fm_train_step *s, const fm_train_worker *w, span rows, double *out)
{
    double loss = 0.0;

    for (size_t i = rows.from; i < rows.end; i++)
        loss += (double)w->row_losses[i];
    loss /= (double)(rows.end - rows.from) * s->held_bound;
    *out = 2.0 * fmin(fmax(loss, 0.0), 1.0) - 1.0;
    return isfinite(loss);
}

/* The unit's rows in each bin, into w->bins. @return false: a score is not finite. */
static bool count_scores(const fm_train_step *s, fm_train_worker *w, span rows)
{
    const size_t bins = s->tail.held_bins;

    memset(w->bins, 0, 2 * bins * sizeof *w->bins);
    for (size_t i = rows.from; bins > 0 && i < rows.end; i++) {
        if (!isfinite(w->scores[i]))
            return false;
        w->bins[(w->positive[i] ? bins : 0) + fm_train_score_bin(w->scores[i], bins)]++;
    }
    return true;
}

/* All is rounded toward zero: vote and bins are each of no larger norm than their part of the bound,
 * the bins being shares that add up to 1. */
static uint64_t add_fast(const fm_train_step *s, const fm_train_worker *w, span rows, double vote,
                         int32_t *sum)
{
    const int64_t steps = (int64_t)(vote * (double)s->held_part),
                  n = (int64_t)(rows.end - rows.from);
    int32_t *to = sum + place(s) + 2;
    uint64_t square = (uint64_t)(steps * steps);

    sum[place(s)] += (int32_t)steps;
    for (size_t k = 0; k < 2 * s->tail.held_bins; k++) {
        const int64_t share = s->held_part * (int64_t)w->bins[k] / n;

        to[k] += (int32_t)share;
        square += (uint64_t)(share * share);
    }
    return square;
}

static fm_status add_exact(const fm_train_step *s, fm_train_worker *w, span rows, bool finite,
                           double vote)
{
    const double part = (double)s->held_part / s->lattice.unit_scale;
    const double each = part / (double)(rows.end - rows.from);

    memset(w->gradient, 0, s->length * sizeof *w->gradient);
    w->gradient[place(s)] = finite ? (float)(vote * part) : NAN;
    for (size_t k = 0; k < 2 * s->tail.held_bins; k++)
        w->gradient[place(s) + 2 + k] = (float)(each * (double)w->bins[k]);
    return fm_dp_sum_add_unit(w->sum, w->gradient); /* drops what is not finite */
}

fm_status fm_train_add_held(const fm_train_step *s, fm_train_worker *w, const uint32_t *rows,
                            size_t count, const uint32_t *ends, size_t units)
{
    const bool fast = s->lattice.encoding == FM_DP_FAST;
    int32_t *sum = NULL;
    size_t dropped = 0, row = 0;
    fm_status st = s->learner.ops->losses(&s->learner, w->model, rows, count, w->row_losses);

    if (st == FM_OK && s->tail.held_bins > 0)
        s->learner.ops->scores(&s->learner, w->model, rows, count, w->scores, w->positive);
    if (st == FM_OK && fast)
        st = fm_dp_sum_batch(w->sum, units, &sum);
    for (size_t u = 0; st == FM_OK && u < units; u++) {
        const span own = { row, ends ? ends[u] : row + 1 };
        double vote = 0.0;
        const bool finite = vote_of(s, w, own, &vote) && count_scores(s, w, own);

        row = own.end;
        if (!fast) {
            st = add_exact(s, w, own, finite, vote);
            continue;
        }
        w->lengths[u] = finite ? add_fast(s, w, own, vote, sum) : 0;
        dropped += !finite;
    }
    return fast && st == FM_OK ? fm_dp_sum_batch_done(w->sum, w->lengths, units, dropped) : st;
}
