/* What units add that are held out: a vote on their loss, and where their scores are; in integers. */
#include <math.h>
#include <string.h>

#include "step_internal.h"

/* Where in the sum: the vote; the other place of the loss; the scores of class 0, and of class 1. */
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

/* The unit's rows on the way to their bins, with their signs, into w->nodes: optim/auc.h. @return false: a
 * score is not finite. */
static bool count_scores(const fm_train_step *s, fm_train_worker *w, span rows)
{
    const size_t bins = s->tail.held_bins;

    memset(w->nodes, 0, 2 * bins * sizeof *w->nodes);
    for (size_t i = rows.from; bins > 0 && i < rows.end; i++) {
        int32_t *tree = w->nodes + (w->positive[i] ? bins : 0);

        if (!isfinite(w->scores[i]))
            return false;
        tree[0]++;
        for (size_t k = bins + fm_train_score_bin(w->scores[i], bins); k > 1; k /= 2)
            tree[k / 2] += k % 2 == 0 ? 1 : -1;
    }
    return true;
}

/* All is rounded toward zero. Vote and trees are each of no larger norm than their part of the bound: of
 * one row's tree the squares add up to that at most, and of several there is the mean. */
static uint64_t add_fast(const fm_train_step *s, const fm_train_worker *w, span rows, double vote,
                         int32_t *sum)
{
    const int64_t steps = (int64_t)(vote * (double)s->held_part),
                  n = (int64_t)(rows.end - rows.from);
    const size_t bins = s->tail.held_bins;
    int32_t *to = sum + place(s) + 2;
    uint64_t square = (uint64_t)(steps * steps);

    sum[place(s)] += (int32_t)steps;
    for (size_t k = 0; k < 2 * bins; k++) {
        const int64_t share = s->tree_parts[fm_auc_kind(k % bins)] * w->nodes[k] / n;

        to[k] += (int32_t)share;
        square += (uint64_t)(share * share);
    }
    return square;
}

static fm_status add_exact(const fm_train_step *s, fm_train_worker *w, span rows, bool finite,
                           double vote)
{
    const double scale = s->lattice.unit_scale, n = (double)(rows.end - rows.from);
    const size_t bins = s->tail.held_bins;

    memset(w->gradient, 0, s->length * sizeof *w->gradient);
    w->gradient[place(s)] = finite ? (float)(vote * (double)s->held_part / scale) : NAN;
    for (size_t k = 0; k < 2 * bins; k++)
        w->gradient[place(s) + 2 + k] =
            (float)((double)s->tree_parts[fm_auc_kind(k % bins)] / scale * (double)w->nodes[k] / n);
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
