#include "fedmoe/optim/auc.h"

#include <math.h>

#include "tail.h"

static double sum_of(const float *counts, size_t bins)
{
    double sum = 0.0;

    for (size_t b = 0; b < bins; b++)
        sum += (double)counts[b];
    return sum;
}

static double area(const float *n, const float *p, size_t bins, double all_n, double all_p)
{
    double below = 0.0, sum = 0.0;

    for (size_t b = 0; b < bins; b++) {
        sum += (double)p[b] * (below + 0.5 * (double)n[b]);
        below += (double)n[b];
    }
    return sum / (all_n * all_p);
}

static double deviation(const float *n, const float *p, size_t bins, double noise, double auc)
{
    const double all_n = sum_of(n, bins), all_p = sum_of(p, bins);
    double below_n = 0.0, below_p = 0.0, square = 0.0;

    for (size_t b = 0; b < bins; b++) {
        const double f = (below_n + 0.5 * (double)n[b]) / all_n;
        const double g = (below_p + 0.5 * (double)p[b]) / all_p;
        const double by_p = (f - auc) / all_p, by_n = (1.0 - g - auc) / all_n;

        square += by_p * by_p + by_n * by_n;
        below_n += (double)n[b];
        below_p += (double)p[b];
    }
    return noise * sqrt(square);
}

bool fm_auc_of_bins(const float *counts, size_t bins, double noise, fm_auc *out)
{
    const float *n = counts, *p = counts + bins;
    const double all_n = sum_of(n, bins), all_p = sum_of(p, bins);
    const double least = FM_AUC_LEAST * noise * sqrt((double)bins);
    double auc;

    if (!(all_n > least) || !(all_p > least))
        return false;
    auc = area(n, p, bins, all_n, all_p);
    *out = (fm_auc){ .value = fmin(fmax(auc, 0.0), 1.0),
                     .deviation = deviation(n, p, bins, noise, auc) };
    return true;
}

double fm_auc_expected_deviation(size_t bins, double noise, const double of_class[2])
{
    const double each = (double)bins * (1.0 / 12.0 + 1.0 / 16.0);

    return noise * sqrt(each / (of_class[0] * of_class[0]) + each / (of_class[1] * of_class[1]));
}

bool fm_optimizer_held_auc(const fm_optimizer *o, fm_auc *out)
{
    const fm_optimizer_spec *s = &o->spec;
    const uint64_t steps = fm_optim_ordinary(o);
    const float *counts = o->weights + (o->n - o->tail) + fm_optim_tail_held(s) + FM_OPTIM_HELD;
    uint64_t mean_of;

    if (s->patience == 0 || s->held_bins == 0 || steps == 0)
        return false;
    mean_of = (steps - 1) % s->patience + 1;
    return fm_auc_of_bins(counts, s->held_bins, s->held_noise / sqrt((double)mean_of), out);
}
