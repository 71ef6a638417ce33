#include "fedmoe/optim/auc.h"

#include <math.h>

#include "tail.h"

/* ---- what a unit adds ---- */

bool fm_auc_bins_ok(size_t bins)
{
    return bins >= 4 && bins <= FM_AUC_BINS_MAX && (bins & (bins - 1)) == 0;
}

size_t fm_auc_kind(size_t k)
{
    size_t kind = 0;

    for (; k > 0; k /= 2)
        kind++;
    return kind;
}

static size_t kinds_of(size_t bins)
{
    return fm_auc_kind(bins / 2) + 1; /* the last level has half as many words as there are bins */
}

/* The square of the share of a kind, before they add up to 1: 1, and 2^(-l/2). */
static double weight(size_t kind)
{
    return kind == 0 ? 1.0 : sqrt(ldexp(1.0, 1 - (int)kind));
}

static double all_weights(size_t bins)
{
    double sum = 0.0;

    for (size_t kind = 0; kind < kinds_of(bins); kind++)
        sum += weight(kind);
    return sum;
}

void fm_auc_parts(int64_t half, size_t bins, int64_t parts[FM_AUC_KINDS])
{
    const double all = all_weights(bins);
    int64_t rest = half * half;

    for (size_t kind = FM_AUC_KINDS; kind-- > 0;) {
        parts[kind] =
            kind < kinds_of(bins) ? (int64_t)((double)half * sqrt(weight(kind) / all)) : 0;
        if (kind > 0)
            rest -= parts[kind] * parts[kind];
    }
    while (parts[0] * parts[0] > rest) /* by a rounding, of very many steps */
        parts[0]--;
}

double fm_auc_expected_deviation(size_t bins, double noise, const double of_class[2])
{
    return noise * all_weights(bins) / 4.0 * hypot(1.0 / of_class[0], 1.0 / of_class[1]);
}

/* ---- what comes of it ---- */

typedef struct {
    size_t bins;
    double all;                     /* units */
    double in[FM_AUC_BINS_MAX];     /* each bin */
    double below[FM_AUC_BINS_MAX];  /* and half of itself: shares */
    double weight[FM_AUC_BINS_MAX]; /* by which a unit more in it moves the AUC */
} histogram;

static void open_tree(const float *words, size_t bins, histogram *h)
{
    double count[2 * FM_AUC_BINS_MAX], below = 0.0;

    h->bins = bins;
    h->all = count[1] = (double)words[0];
    for (size_t k = 1; k < bins; k++) {
        count[2 * k] = (count[k] + (double)words[k]) / 2.0;
        count[2 * k + 1] = (count[k] - (double)words[k]) / 2.0;
    }
    for (size_t b = 0; b < bins; b++) {
        h->in[b] = count[bins + b];
        h->below[b] = (below + 0.5 * h->in[b]) / h->all;
        below += h->in[b];
    }
}

/* Of the sum of the weights times the bins. */
static double variance(const histogram *h, const double noise[FM_AUC_KINDS])
{
    double sum[2 * FM_AUC_BINS_MAX], square = 0.0;

    for (size_t b = 0; b < h->bins; b++)
        sum[h->bins + b] = h->weight[b];
    for (size_t k = h->bins - 1; k > 0; k--) {
        const size_t kind = fm_auc_kind(k);
        const double below = (double)h->bins / ldexp(1.0, (int)kind - 1); /* bins */

        sum[k] = sum[2 * k] + sum[2 * k + 1];
        square += pow((sum[2 * k] - sum[2 * k + 1]) / below * noise[kind], 2.0);
    }
    return square + pow(sum[1] / (double)h->bins * noise[0], 2.0);
}

bool fm_auc_of_trees(const float *words, size_t bins, const double noise[FM_AUC_KINDS], fm_auc *out)
{
    histogram n, p;
    double auc = 0.0;

    open_tree(words, bins, &n);
    open_tree(words + bins, bins, &p);
    if (!(n.all > FM_AUC_LEAST * noise[0]) || !(p.all > FM_AUC_LEAST * noise[0]))
        return false;
    for (size_t b = 0; b < bins; b++)
        auc += p.in[b] / p.all * n.below[b];
    for (size_t b = 0; b < bins; b++) {
        p.weight[b] = (n.below[b] - auc) / p.all;
        n.weight[b] = (1.0 - p.below[b] - auc) / n.all;
    }
    *out = (fm_auc){ .value = fmin(fmax(auc, 0.0), 1.0),
                     .deviation = sqrt(variance(&n, noise) + variance(&p, noise)) };
    return true;
}

bool fm_optimizer_held_auc(const fm_optimizer *o, fm_auc *out)
{
    const fm_optimizer_spec *s = &o->spec;
    const uint64_t steps = fm_optim_ordinary(o);
    double noise[FM_AUC_KINDS] = { 0 };

    if (s->patience == 0 || s->held_bins == 0 || steps == 0)
        return false;
    for (size_t kind = 0; kind < kinds_of(s->held_bins); kind++)
        noise[kind] =
            s->held_noise / s->held_parts[kind] / sqrt((double)((steps - 1) % s->patience + 1));
    return fm_auc_of_trees(o->weights + (o->n - o->tail) + fm_optim_tail_held(s) + FM_OPTIM_HELD,
                           s->held_bins, noise, out);
}
