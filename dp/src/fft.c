/*
 * Radix 2, depth first, so that every level but the outermost few runs in cache. No reordering:
 * composition only multiplies, and the other direction undoes the order.
 */
#include "fft.h"

#include <math.h>
#include <stdlib.h>

#include "fedmoe/base/memory.h"

#define MAX_LOG2N 24u
#define UNIT 1.1102230246251565e-16

static const double PI = 3.14159265358979323846;

struct fm_fft {
    unsigned log2n;
    double *cosine, *sine; /* of pi j / m at place m + j, for every power of two m, j < m */
};

/* The finest level by libm from angles below pi/4, the coarser ones are copied from it. */
static void fill(fm_fft *f)
{
    size_t half = (size_t)1 << (f->log2n - 1);
    double step = PI / (double)half;
    double *c = f->cosine + half, *s = f->sine + half;

    for (size_t j = 0; j < half; j++) {
        double a = step * (double)(j <= half / 2 ? j : half - j);
        double sign = j <= half / 2 ? 1.0 : -1.0;

        if (4.0 * a <= PI) {
            c[j] = sign * cos(a);
            s[j] = sin(a);
        } else {
            a = PI / 2.0 - a;
            c[j] = sign * sin(a);
            s[j] = cos(a);
        }
    }
    for (size_t m = half / 2; m > 0; m /= 2)
        for (size_t j = 0; j < m; j++) {
            f->cosine[m + j] = f->cosine[2 * m + 2 * j];
            f->sine[m + j] = f->sine[2 * m + 2 * j];
        }
}

fm_status fm_fft_new(unsigned log2n, fm_fft **out)
{
    fm_fft *f = NULL;
    void *p = NULL;
    fm_status st;

    if (!out || log2n < 1 || log2n > MAX_LOG2N)
        return fm_fail(FM_EINVAL, "transform: length 2^%u, must be 2^1 to 2^%u", log2n, MAX_LOG2N);
    if ((st = fm_alloc(1, sizeof *f, &p)) != FM_OK)
        return st;
    f = p;
    f->log2n = log2n;
    if ((st = fm_alloc((size_t)1 << (log2n + 1), sizeof *f->cosine, &p)) != FM_OK) {
        free(f);
        return st;
    }
    f->cosine = p;
    f->sine = f->cosine + ((size_t)1 << log2n);
    fill(f);
    *out = f;
    return FM_OK;
}

void fm_fft_free(fm_fft **f)
{
    if (!f || !*f)
        return;
    free((*f)->cosine);
    free(*f);
    *f = NULL;
}

size_t fm_fft_length(const fm_fft *f)
{
    return (size_t)1 << f->log2n;
}

double fm_fft_error(const fm_fft *f)
{
    double e = 8.0 * UNIT * f->log2n;

    return e / (1.0 - e);
}

static void forward_level(const fm_fft *f, double *restrict re, double *restrict im, size_t half)
{
    const double *restrict c = f->cosine + half, *restrict s = f->sine + half;
    double *restrict re2 = re + half, *restrict im2 = im + half;

    for (size_t j = 0; j < half; j++) {
        double dr = re[j] - re2[j], di = im[j] - im2[j];

        re[j] += re2[j];
        im[j] += im2[j];
        re2[j] = dr * c[j] + di * s[j];
        im2[j] = di * c[j] - dr * s[j];
    }
}

static void inverse_level(const fm_fft *f, double *restrict re, double *restrict im, size_t half)
{
    const double *restrict c = f->cosine + half, *restrict s = f->sine + half;
    double *restrict re2 = re + half, *restrict im2 = im + half;

    for (size_t j = 0; j < half; j++) {
        double tr = re2[j] * c[j] - im2[j] * s[j], ti = im2[j] * c[j] + re2[j] * s[j];

        re2[j] = re[j] - tr;
        im2[j] = im[j] - ti;
        re[j] += tr;
        im[j] += ti;
    }
}

static void forward(const fm_fft *f, double *re, double *im, size_t n)
{
    if (n < 2)
        return;
    forward_level(f, re, im, n / 2);
    forward(f, re, im, n / 2);
    forward(f, re + n / 2, im + n / 2, n / 2);
}

static void inverse(const fm_fft *f, double *re, double *im, size_t n)
{
    if (n < 2)
        return;
    inverse(f, re, im, n / 2);
    inverse(f, re + n / 2, im + n / 2, n / 2);
    inverse_level(f, re, im, n / 2);
}

void fm_fft_forward(const fm_fft *f, double *re, double *im)
{
    forward(f, re, im, fm_fft_length(f));
}

void fm_fft_inverse(const fm_fft *f, double *re, double *im)
{
    inverse(f, re, im, fm_fft_length(f));
}
