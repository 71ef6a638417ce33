/* What units add in the statistics round: means of features and of labels; in integers. */
#include <math.h>
#include <string.h>

#include "step_internal.h"

/* The label has what it needs of the bound, which is half of its square at most; the features have
 * the rest. Both are checked again, in integers. */
static uint64_t add_fast(const fm_train_step *s, const fm_train_worker *w, int32_t *sum)
{
    const size_t features = s->facts.means;
    const int64_t all = s->lattice.unit_sensitivity;
    const uint64_t label =
        fm_dp_encode_tail(w->means + features, 1, sqrt(2.0), all, sum + s->facts.start.bias);
    const uint64_t left = (uint64_t)(all * all) - label;
    int64_t limit = (int64_t)sqrt((double)left);

    while ((uint64_t)(limit * limit) > left)
        limit--;
    return label + fm_dp_encode_tail(w->means, features, sqrt(2.0) * (double)limit / (double)all,
                                     limit, sum + s->facts.start.center);
}

static fm_status add_exact(const fm_train_step *s, fm_train_worker *w, bool finite)
{
    const size_t features = s->facts.means;
    const double scale = s->lattice.clip_norm / sqrt(2.0);

    memset(w->gradient, 0, s->length * sizeof *w->gradient);
    for (size_t j = 0; j < features; j++)
        w->gradient[s->facts.start.center + j] = (float)(scale * (double)w->means[j]);
    w->gradient[s->facts.start.bias] = finite ? (float)(scale * (double)w->means[features]) : NAN;
    return fm_dp_sum_add_unit(w->sum, w->gradient); /* drops what is not finite */
}

fm_status fm_train_add_statistics(const fm_train_step *s, fm_train_worker *w, const uint32_t *rows,
                                  const uint32_t *ends, size_t units)
{
    const bool fast = s->lattice.encoding == FM_DP_FAST;
    int32_t *sum = NULL;
    size_t dropped = 0, row = 0;
    fm_status st = fast ? fm_dp_sum_batch(w->sum, units, &sum) : FM_OK;

    for (size_t u = 0; st == FM_OK && u < units; u++) {
        const size_t end = ends ? ends[u] : row + 1;
        bool finite = false;

        st = s->learner.ops->means(&s->learner, w->model, rows + row, end - row, w->means, &finite);
        row = end;
        if (st != FM_OK)
            break;
        if (!fast) {
            st = add_exact(s, w, finite);
            continue;
        }
        w->lengths[u] = finite ? add_fast(s, w, sum) : 0;
        dropped += !finite;
    }
    return fast && st == FM_OK ? fm_dp_sum_batch_done(w->sum, w->lengths, units, dropped) : st;
}
