/* The two constants of a square adapter: bases of the subspaces in which a map does most. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_internal.h"

#define STEPS 3     /* of the power iteration */
#define LEAST 1e-12 /* of what was a vector's length: less of it left is rounding */
#define REDRAWS 100 /* a random vector within the others' span has probability 0 */

/* Vectors lie one after the other: v [rank, n]. */

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void draw(double *v, size_t n, fm_rng *rng)
{
    for (size_t i = 0; i < n; i++)
        v[i] = 2.0 * fm_rng_unit(rng) - 1.0; /* not normal: no logarithm, so the same everywhere */
}

/* v[k] less what it has of those before it, twice for rounding (Giraud et al. 2005), to length 1.
 * false: nothing is left. */
static bool orthogonal(double *v, size_t k, size_t n)
{
    double *at = v + k * n;
    const double before = sqrt(dot(at, at, n));
    double length;

    for (int twice = 0; twice < 2; twice++)
        for (size_t j = 0; j < k; j++) {
            const double share = dot(at, v + j * n, n);

            for (size_t i = 0; i < n; i++)
                at[i] -= share * v[j * n + i];
        }
    length = sqrt(dot(at, at, n));
    if (!(length > LEAST * before) || !isfinite(length))
        return false;
    for (size_t i = 0; i < n; i++)
        at[i] /= length;
    return true;
}

/* Gram and Schmidt; a vector that is none (weights of less rank, or 0) is drawn again. */
static fm_status orthonormal(double *v, size_t rank, size_t n, fm_rng *rng)
{
    for (size_t k = 0; k < rank; k++) {
        size_t tries = 0;

        while (!orthogonal(v, k, n)) {
            if (++tries > REDRAWS)
                return fm_fail(FM_EINTERNAL, "decoder: no basis of %zu vectors found", rank);
            draw(v + k * n, n, rng);
        }
    }
    return FM_OK;
}

/* left [rank, out] = right [rank, in] W^T. */
static void to_left(const float *w, size_t in, size_t out, size_t rank, const double *right,
                    double *left)
{
    for (size_t k = 0; k < rank; k++)
        for (size_t o = 0; o < out; o++) {
            double sum = 0.0;

            for (size_t i = 0; i < in; i++)
                sum += (double)w[o * in + i] * right[k * in + i];
            left[k * out + o] = sum;
        }
}

/* right = left W. */
static void to_right(const float *w, size_t in, size_t out, size_t rank, const double *left,
                     double *right)
{
    memset(right, 0, rank * in * sizeof *right);
    for (size_t k = 0; k < rank; k++)
        for (size_t o = 0; o < out; o++)
            for (size_t i = 0; i < in; i++)
                right[k * in + i] += left[k * out + o] * (double)w[o * in + i];
}

static fm_status iterate(const float *w, size_t in, size_t out, size_t rank, fm_rng *rng,
                         double *right, double *left)
{
    fm_status st;

    draw(right, rank * in, rng);
    st = orthonormal(right, rank, in, rng);
    for (int step = 0; !st && step < STEPS; step++) {
        to_left(w, in, out, rank, right, left);
        if ((st = orthonormal(left, rank, out, rng)))
            break;
        to_right(w, in, out, rank, left, right);
        st = orthonormal(right, rank, in, rng);
    }
    return st;
}

fm_status fm_square_begin(const float *w, size_t in, size_t out, size_t rank, fm_rng *rng, float *a,
                          float *b)
{
    double *right = NULL, *left = NULL;
    fm_status st;

    if (!(st = fm_alloc(rank * in, sizeof *right, (void **)&right)) &&
        !(st = fm_alloc(rank * out, sizeof *left, (void **)&left)) &&
        !(st = iterate(w, in, out, rank, rng, right, left)))
        for (size_t k = 0; k < rank; k++) {
            for (size_t i = 0; i < in; i++)
                a[k * in + i] = (float)right[k * in + i];
            for (size_t o = 0; o < out; o++)
                b[o * rank + k] = (float)left[k * out + o];
        }
    free(right);
    free(left);
    return st;
}

void fm_square_product(const float *b, const float *r, size_t out, size_t rank, float *to)
{
    for (size_t o = 0; o < out; o++)
        for (size_t k = 0; k < rank; k++) {
            double sum = 0.0;

            for (size_t j = 0; j < rank; j++)
                sum += (double)b[o * rank + j] * (double)r[j * rank + k];
            to[o * rank + k] = (float)sum;
        }
}
