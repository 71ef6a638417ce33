/* Areas under the curve by placement values, and the intervals of proportions and means. */
#include <math.h>
#include <stdlib.h>

#include "metrics_internal.h"

fm_range fm_wilson(size_t hits, size_t n)
{
    const double z2 = FM_Z95 * FM_Z95, count = (double)n, p = (double)hits / count;
    const double middle = (p + z2 / (2.0 * count)) / (1.0 + z2 / count);
    const double half =
        FM_Z95 * sqrt(p * (1.0 - p) / count + z2 / (4.0 * count * count)) / (1.0 + z2 / count);

    if (!n)
        return (fm_range){ (double)NAN, (double)NAN };
    return (fm_range){ hits ? middle - half : 0.0, hits < n ? middle + half : 1.0 };
}

double fm_mean_of(const double *v, size_t n, fm_range *ci)
{
    double sum = 0.0, squares = 0.0, mean, half;

    for (size_t i = 0; i < n; i++)
        sum += v[i];
    mean = n ? sum / (double)n : (double)NAN;
    for (size_t i = 0; i < n; i++)
        squares += (v[i] - mean) * (v[i] - mean);
    half = n > 1 ? FM_Z95 * sqrt(squares / (double)(n - 1) / (double)n) : (double)NAN;
    *ci = (fm_range){ mean - half, mean + half };
    return mean;
}

static int by_score(const void *a, const void *b)
{
    const double u = ((const fm_scored *)a)->score, v = ((const fm_scored *)b)->score;

    return (u > v) - (u < v);
}

/* Counts, and halves of them, are exact in double up to 2^52. */
double fm_auc_placements(fm_scored *s, size_t n, size_t positives, double *placement)
{
    const double negatives = (double)(n - positives), all = (double)positives;
    double right = 0.0, below[2] = { 0.0, 0.0 }; /* negative, positive ones with a lower score */

    if (!positives || positives == n)
        return (double)NAN;
    qsort(s, n, sizeof *s, by_score);
    for (size_t i = 0, j; i < n; i = j) {
        double tied[2] = { 0.0, 0.0 };

        for (j = i; j < n && s[j].score == s[i].score; j++)
            tied[s[j].positive] += 1.0;
        for (size_t k = i; k < j; k++)
            placement[s[k].index] = s[k].positive ? (below[0] + tied[0] / 2.0) / negatives
                                                  : (all - below[1] - tied[1] / 2.0) / all;
        right += tied[1] * (below[0] + tied[0] / 2.0);
        below[0] += tied[0];
        below[1] += tied[1];
    }
    return right / (all * negatives);
}
