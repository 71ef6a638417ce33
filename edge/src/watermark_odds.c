#include <math.h>
#include <stdlib.h>

#include "watermark_internal.h"

/* What roundings of n coins' chances come to, relative, and more: logarithms of factorials are good
 * to 2^-52 of themselves, that is of n log n. */
#define ROUNDINGS(n) (1e-9 + 1e-14 * (double)(n))
/* A binomial is cut where less than 2 exp(-2 * 6^2) of it is left: Hoeffding's bound. */
#define CUT 6.0
#define CUT_MASS 1.2e-31
#define SURE 1e-20 /* nobody asks for more than that */

unsigned fm_watermark_weight(size_t layer)
{
    static const unsigned char weights[] = { 8, 8, 7, 7, 6, 6, 5, 5, 4, 4, 4, 3, 3, 3, 2, 2, 2 };

    return layer < sizeof weights ? weights[layer] : 1;
}

static double log_binomial(size_t n, double q, size_t k)
{
    int sign; /* always 1; lgamma itself writes a global */

    return lgamma_r((double)n + 1.0, &sign) - lgamma_r((double)k + 1.0, &sign) -
           lgamma_r((double)(n - k) + 1.0, &sign) + (double)k * log(q) +
           (double)(n - k) * log1p(-q);
}

static double upwards(double p, size_t n)
{
    p = p * (1.0 + ROUNDINGS(n)) + FM_WATERMARK_WEIGHT_MOST * CUT_MASS;
    return p < 1.0 ? p : 1.0;
}

double fm_watermark_binomial(size_t n, double q, size_t hits)
{
    double sum = 0.0;

    if (hits == 0)
        return 1.0;
    for (size_t k = n + 1; k-- > hits;)
        sum += exp(log_binomial(n, q, k));
    return upwards(sum, n);
}

/* ---- the tournament's sum ---- */

/* Masses of the values first, first + 1, ... */
typedef struct {
    double *mass; /* owned */
    size_t first, count;
} spread;

/* Coins [n] of weight w: only values that are `w` apart have a mass. */
typedef struct {
    size_t from, to; /* of the number of heads */
    unsigned weight;
} cut_coins;

static cut_coins cut(size_t n, unsigned weight)
{
    const double half = (double)n / 2.0, side = ceil(CUT * sqrt((double)n)) + 1.0;

    return (cut_coins){ .from = side < half ? (size_t)(half - side) : 0,
                        .to = side < half ? (size_t)(half + side) : n,
                        .weight = weight };
}

static fm_status convolve(spread *s, size_t n, unsigned weight)
{
    const cut_coins c = cut(n, weight);
    const size_t count = s->count + (c.to - c.from) * weight;
    void *block = NULL;
    double *mass;
    fm_status st = fm_alloc(count, sizeof *mass, &block);

    if (st)
        return st;
    mass = block;
    for (size_t k = c.from; k <= c.to; k++) {
        const double p = exp(log_binomial(n, 0.5, k));
        double *to = mass + (k - c.from) * weight;

        for (size_t i = 0; i < s->count; i++)
            to[i] += p * s->mass[i];
    }
    free(s->mass);
    *s = (spread){ .mass = mass, .first = s->first + c.from * weight, .count = count };
    return FM_OK;
}

static fm_status exact(size_t n, const size_t *layers_of, uint64_t sum, double *out)
{
    void *block = NULL;
    fm_status st = fm_alloc(1, sizeof(double), &block);
    spread s = { .mass = block, .count = 1 };
    double tail = 0.0;

    if (st)
        return st;
    s.mass[0] = 1.0;
    for (unsigned w = 1; w <= FM_WATERMARK_WEIGHT_MOST && !st; w++)
        if (layers_of[w])
            st = convolve(&s, n * layers_of[w], w);
    for (size_t i = s.count; !st && i-- > 0 && s.first + i >= sum;)
        tail += s.mass[i];
    free(s.mass);
    if (!st)
        *out = upwards(tail, n * FM_WATERMARK_LAYERS_MAX);
    return st;
}

/* log E exp(t (S - sum)) */
static double exponent(size_t n, const size_t *layers_of, double sum, double t)
{
    double all = 0.0;

    for (unsigned w = 1; w <= FM_WATERMARK_WEIGHT_MOST; w++)
        all += (double)layers_of[w] * log((1.0 + exp(t * w)) / 2.0);
    return (double)n * all - t * sum;
}

/* Any t >= 0 bounds the tail; the exponent is convex, its least is found by thirds. */
static double chernoff(size_t n, const size_t *layers_of, double sum)
{
    double low = 0.0, high = 4.0;

    for (int i = 0; i < 200; i++) {
        const double a = low + (high - low) / 3.0, b = high - (high - low) / 3.0;

        if (exponent(n, layers_of, sum, a) < exponent(n, layers_of, sum, b))
            high = b;
        else
            low = a;
    }
    return upwards(exp(exponent(n, layers_of, sum, low)), n);
}

fm_status fm_watermark_odds(size_t n, size_t layers, uint64_t sum, double *out)
{
    size_t layers_of[FM_WATERMARK_WEIGHT_MOST + 1] = { 0 };
    double bound;

    for (size_t l = 0; l < layers; l++)
        layers_of[fm_watermark_weight(l)]++;
    bound = chernoff(n, layers_of, (double)sum);
    if (n > FM_WATERMARK_EXACT || bound < SURE) {
        *out = bound;
        return FM_OK;
    }
    return exact(n, layers_of, sum, out);
}
