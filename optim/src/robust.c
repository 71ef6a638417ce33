#include "fedmoe/optim/robust.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define FLOOR 1e-6  /* of the middle distance */
#define LEAST 1e-12 /* of the longest: sums may be alike */
/* sqrt(pi / 2): the deviation of a median of many normal numbers over that of their mean. */
#define MEDIAN_OVER_MEAN 1.2533141373155003

/* A few numbers, ascending. */
static void sort(float *x, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        const float v = x[i];
        uint32_t j = i;

        for (; j > 0 && x[j - 1] > v; j--)
            x[j] = x[j - 1];
        x[j] = v;
    }
}

/* Which of the sorted ones the mean is of: [*from, *to). */
static void span(const fm_robust *r, uint32_t *from, uint32_t *to)
{
    const uint32_t cut = r->rule == FM_ROBUST_RULE_TRIMMED ? r->trim : (r->sums - 1) / 2;

    *from = cut;
    *to = r->sums - cut;
}

static double sorted_center(const fm_robust *r, float *x)
{
    uint32_t from, to;
    double sum = 0.0;

    span(r, &from, &to);
    sort(x, r->sums);
    for (uint32_t i = from; i < to; i++)
        sum += (double)x[i];
    return sum / (double)(to - from);
}

static double weighted_center(const fm_robust *r, const float *x)
{
    double sum = 0.0;

    for (uint32_t i = 0; i < r->sums; i++)
        sum += r->weights[i] * (double)x[i];
    return sum;
}

static double center(const fm_robust *r, const float *x)
{
    float sorted[FM_ROBUST_SUMS_MAX];

    if (r->rule == FM_ROBUST_RULE_GEOMETRIC)
        return weighted_center(r, x);
    memcpy(sorted, x, r->sums * sizeof *x);
    return sorted_center(r, sorted);
}

/* Coordinates of all sums, few enough to stay near. */
#define PIECE ((size_t)64)
typedef struct {
    float of[FM_ROBUST_SUMS_MAX][PIECE];
} piece;

static void read_piece(const fm_robust *r, size_t at, size_t n, piece *p)
{
    for (uint32_t i = 0; i < r->sums; i++)
        r->of[i].read(r->of[i].ctx, at, n, p->of[i]);
}

static void column(const fm_robust *r, const piece *p, size_t at, float *out)
{
    for (uint32_t i = 0; i < r->sums; i++)
        out[i] = p->of[i][at];
}

void fm_robust_read(const void *ctx, size_t at, size_t n, float *out)
{
    const fm_robust *r = ctx;
    float x[FM_ROBUST_SUMS_MAX];
    piece p;

    for (size_t done = 0; done < n; done += PIECE) {
        const size_t count = n - done < PIECE ? n - done : PIECE;

        read_piece(r, at + done, count, &p);
        for (size_t i = 0; i < count; i++) {
            column(r, &p, i, x);
            out[done + i] = (float)((double)r->sums * center(r, x));
        }
    }
}

/* Squared distances between sums. */
typedef struct {
    double of[FM_ROBUST_SUMS_MAX][FM_ROBUST_SUMS_MAX];
} between;

static void measure(const fm_robust *r, between *b)
{
    piece p;

    memset(b, 0, sizeof *b);
    for (size_t at = 0; at < r->n; at += PIECE) {
        const size_t count = r->n - at < PIECE ? r->n - at : PIECE;

        read_piece(r, at, count, &p);
        for (uint32_t i = 1; i < r->sums; i++)
            for (uint32_t j = 0; j < i; j++)
                for (size_t k = 0; k < count; k++) {
                    const double d = (double)p.of[i][k] - (double)p.of[j][k];

                    b->of[i][j] += d * d;
                }
    }
    for (uint32_t i = 1; i < r->sums; i++)
        for (uint32_t j = 0; j < i; j++)
            b->of[j][i] = b->of[i][j];
}

/* Of each sum from the weighted mean: |z - v_i|^2 = sum_j w_j D_ij - (sum_jk w_j w_k D_jk) / 2. */
static void distances(const fm_robust *r, const between *b, double *out)
{
    double all = 0.0;

    for (uint32_t i = 0; i < r->sums; i++) {
        out[i] = 0.0;
        for (uint32_t j = 0; j < r->sums; j++)
            out[i] += r->weights[j] * b->of[i][j];
        all += r->weights[i] * out[i];
    }
    for (uint32_t i = 0; i < r->sums; i++)
        out[i] = sqrt(fmax(out[i] - 0.5 * all, 0.0));
}

static double middle_of(const double *d, uint32_t n)
{
    double sorted[FM_ROBUST_SUMS_MAX];

    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = i;

        for (; j > 0 && sorted[j - 1] > d[i]; j--)
            sorted[j] = sorted[j - 1];
        sorted[j] = d[i];
    }
    return sorted[n / 2];
}

static void weigh_by(fm_robust *r, const double *d, double least)
{
    double total = 0.0;

    for (uint32_t i = 0; i < r->sums; i++)
        total += r->weights[i] = 1.0 / fmax(d[i], least);
    for (uint32_t i = 0; i < r->sums; i++)
        r->weights[i] /= total;
}

/* The sum that is nearest to all: from there no step has far to go, whatever the others hold. Its own
 * weight is that of its nearest neighbour. */
static void begin(const fm_robust *r, const between *b, double *d)
{
    uint32_t best = 0;
    double shortest = INFINITY, nearest = INFINITY;

    for (uint32_t i = 0; i < r->sums; i++) {
        double all = 0.0;

        for (uint32_t j = 0; j < r->sums; j++)
            all += sqrt(b->of[i][j]);
        if (all < shortest) {
            shortest = all;
            best = i;
        }
    }
    for (uint32_t i = 0; i < r->sums; i++) {
        d[i] = sqrt(b->of[best][i]);
        if (i != best)
            nearest = fmin(nearest, d[i]);
    }
    d[best] = nearest;
}

static void weigh(fm_robust *r, const between *b)
{
    double d[FM_ROBUST_SUMS_MAX], most = 0.0;

    begin(r, b, d);
    for (uint32_t i = 0; i < r->sums; i++)
        for (uint32_t j = 0; j < i; j++)
            most = fmax(most, sqrt(b->of[i][j]));
    for (uint32_t i = 0; i < r->sums; i++)
        r->weights[i] = 1.0 / (double)r->sums;
    for (unsigned step = 0; step < FM_ROBUST_STEPS && most > 0.0; step++) {
        weigh_by(r, d, fmax(FLOOR * middle_of(d, r->sums), LEAST * most));
        distances(r, b, d);
    }
    distances(r, b, r->distances);
}

static void measure_from_center(fm_robust *r)
{
    float x[FM_ROBUST_SUMS_MAX];
    piece p;

    memset(r->distances, 0, sizeof r->distances);
    for (size_t at = 0; at < r->n; at += PIECE) {
        const size_t count = r->n - at < PIECE ? r->n - at : PIECE;

        read_piece(r, at, count, &p);
        for (size_t k = 0; k < count; k++) {
            double z;

            column(r, &p, k, x);
            z = center(r, x);
            for (uint32_t i = 0; i < r->sums; i++)
                r->distances[i] += ((double)x[i] - z) * ((double)x[i] - z);
        }
    }
    for (uint32_t i = 0; i < r->sums; i++)
        r->distances[i] = sqrt(r->distances[i]);
}

fm_status fm_robust_prepare(fm_robust *r)
{
    between b;

    if (!r || !r->of || r->sums < 1 || r->sums > FM_ROBUST_SUMS_MAX)
        return fm_fail(FM_EINVAL, "robust mean: no sums, or more than %u", FM_ROBUST_SUMS_MAX);
    if (r->rule < FM_ROBUST_RULE_MEDIAN || r->rule > FM_ROBUST_RULE_GEOMETRIC ||
        (r->rule == FM_ROBUST_RULE_TRIMMED && 2 * (uint64_t)r->trim >= r->sums))
        return fm_fail(FM_EINVAL, "robust mean: rule %d, %u of %u trimmed at each end",
                       (int)r->rule, r->trim, r->sums);
    if (r->rule == FM_ROBUST_RULE_GEOMETRIC) {
        measure(r, &b);
        weigh(r, &b);
    } else {
        measure_from_center(r);
    }
    return FM_OK;
}

double fm_robust_noise(fm_robust_rule rule, uint32_t sums)
{
    return sqrt((double)sums) * (rule == FM_ROBUST_RULE_MEDIAN ? MEDIAN_OVER_MEAN : 1.0);
}
