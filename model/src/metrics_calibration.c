/* Whether a probability of 0.3 comes true three times in ten. */
#include <math.h>

#include "metrics_internal.h"

#define STEPS 50
#define FLAT 1e-12   /* of a step, against the value */
#define FAR_AWAY 1e6 /* a slope that grows without end: the classes are separated */

void fm_calibration_add(fm_metrics *m, double probability, bool hit)
{
    size_t at = (size_t)(probability * FM_RELIABILITY_BINS);

    at = at < FM_RELIABILITY_BINS ? at : FM_RELIABILITY_BINS - 1;
    if (!m->bins[at].rows++)
        m->bins[at].predicted = m->bins[at].observed = 0.0;
    m->bins[at].predicted += probability;
    m->bins[at].observed += hit ? 1.0 : 0.0;
}

void fm_calibration_bins(fm_metrics *m)
{
    double error = 0.0;

    for (size_t i = 0; i < FM_RELIABILITY_BINS; i++) {
        fm_reliability_bin *b = &m->bins[i];
        const size_t hits = b->rows ? (size_t)b->observed : 0;

        if (!b->rows)
            continue;
        error += fabs(b->predicted - b->observed);
        b->predicted /= (double)b->rows;
        b->observed /= (double)b->rows;
        b->observed_ci = fm_wilson(hits, b->rows);
    }
    m->calibration_error = m->rows ? error / (double)m->rows : (double)NAN;
}

static double probability_of(double z)
{
    return z >= 0.0 ? 1.0 / (1.0 + exp(-z)) : exp(z) / (1.0 + exp(z));
}

/* Gradient of the log likelihood of logit(p) = a + b x, and the information matrix. */
static void derivatives(const float *x, const float *y, size_t n, const double ab[2], double g[2],
                        double info[3])
{
    g[0] = g[1] = info[0] = info[1] = info[2] = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double v = (double)x[i], p = probability_of(ab[0] + ab[1] * v), w = p * (1.0 - p),
                     r = (double)y[i] - p;

        g[0] += r;
        g[1] += r * v;
        info[0] += w;
        info[1] += w * v;
        info[2] += w * v * v;
    }
}

/* Newton's method; b stays at 1 unless it is free. @return the variance of what was asked: of b
 * when free, of a otherwise; NaN when there is no maximum. */
static double fit(const float *x, const float *y, size_t n, bool free_slope, double ab[2])
{
    double g[2], info[3];

    ab[0] = 0.0;
    ab[1] = 1.0;
    for (int i = 0; i < STEPS; i++) {
        double det, step[2];

        derivatives(x, y, n, ab, g, info);
        det = free_slope ? info[0] * info[2] - info[1] * info[1] : info[0];
        if (!(det > 1e-12 * (free_slope ? info[0] * info[2] : 1.0)))
            return (double)NAN;
        step[0] = free_slope ? (info[2] * g[0] - info[1] * g[1]) / det : g[0] / det;
        step[1] = free_slope ? (info[0] * g[1] - info[1] * g[0]) / det : 0.0;
        ab[0] += step[0];
        ab[1] += step[1];
        if (!(fabs(ab[0]) < FAR_AWAY) || !(fabs(ab[1]) < FAR_AWAY))
            return (double)NAN;
        if (fabs(step[0]) <= FLAT * (1.0 + fabs(ab[0])) &&
            fabs(step[1]) <= FLAT * (1.0 + fabs(ab[1])))
            return free_slope ? info[0] / det : 1.0 / det;
    }
    return (double)NAN;
}

static fm_range wald(double at, double variance)
{
    const double half = FM_Z95 * sqrt(variance);

    return (fm_range){ at - half, at + half };
}

void fm_calibration_fit(const float *logits, const float *labels, size_t n, fm_metrics *m)
{
    double ab[2], variance;

    if (!isnan(variance = fit(logits, labels, n, true, ab))) {
        m->slope = ab[1];
        m->slope_ci = wald(ab[1], variance);
    }
    if (!isnan(variance = fit(logits, labels, n, false, ab))) {
        m->intercept = ab[0];
        m->intercept_ci = wald(ab[0], variance);
    }
}
