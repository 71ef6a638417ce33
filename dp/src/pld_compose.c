/*
 * One kind on the grid, tilted and transformed; powers; and what a composed distribution says.
 *
 * Tilting by lambda (Esscher) turns masses p_j into p_j e^(lambda x_j) / M. The composition's
 * mass near epsilon, as small as delta itself, becomes the bulk, so the rounding of the transforms
 * is relative to delta however small delta is. Both ways share one complex transform.
 */
#include <math.h>
#include <stdlib.h>

#include "fedmoe/base/memory.h"
#include "pld_internal.h"

#define BLOCK 256

void fm_pld_kind_fini(fm_pld_kind *k)
{
    fm_pld_sketch_fini(&k->sketch);
    for (int way = 0; way < FM_PLD_WAYS; way++)
        free(k->spectrum[way]);
    *k = (fm_pld_kind){ 0 };
}

/* Tilted masses of one way at the grid points of the cells, n + 1 of them, over e^shift. */
static void tilt(const fm_pld_cells *c, const fm_pld_pair *p, int way, double lambda, double shift,
                 double *w)
{
    double e = fm_pld_exponent(way, lambda), step = exp(e * c->h);
    double low = (double)c->first * c->h, high = (double)(c->first + (int64_t)c->n) * c->h;

    for (size_t i = 0; i <= c->n; i++)
        w[i] = 0.0;
    for (size_t i = 0; i < c->n; i++) {
        double at = c->scale[i] + e * ((double)(c->first + (int64_t)i) * c->h) - shift, f;

        if (at < -800.0 || (c->lo[i] == 0.0 && c->hi[i] == 0.0))
            continue;
        f = exp(at);
        w[i] += f * c->lo[i];
        w[i + 1] += f * c->hi[i] * step;
    }
    /* The mass below the range moves up, to the first point that is not below the range's end; that
     * above is at infinity. */
    if (way == FM_PLD_REMOVE && p->p_left > 0.0)
        w[1] += exp(log(p->p_left) + lambda * (low + c->h) - shift);
    if (way == FM_PLD_ADD && p->q_right > 0.0)
        w[c->n - 1] += exp(log(p->q_right) - lambda * (high - c->h) - shift);
}

/* Sums over the tilted masses; scales them to a total of 1. */
static void measure(fm_pld_kind *k, const fm_pld_cells *c, int way, const fm_pld_plan *plan,
                    double shift, double *w)
{
    double sign = way == FM_PLD_REMOVE ? 1.0 : -1.0, sum = 0.0, squares = 0.0, top = 0.0;
    double more = plan->s_top[way] - plan->lambda[way];
    double top_shift =
        fm_pld_sketch_moment(&k->sketch, fm_pld_exponent(way, plan->s_top[way]), NULL, NULL);

    for (size_t i = 0; i <= c->n; i++) {
        double x = sign * (double)(c->first + (int64_t)i) * c->h;

        sum += w[i];
        squares += w[i] * w[i];
        if (w[i] > 0.0)
            top += exp(log(w[i]) + more * x + shift - top_shift);
    }
    for (size_t i = 0; i <= c->n; i++)
        w[i] /= sum;
    k->log_moment[way] = log(sum) + shift;
    k->log_top[way] = log(top) + top_shift + 1e-9;
    k->norm[way] = sqrt(squares) / sum;
    k->rise[way] = log(sum);
    k->highest[way] =
        (way == FM_PLD_REMOVE ? (double)(c->first + (int64_t)c->n) : -(double)c->first) * c->h;
    k->lost[way] = way == FM_PLD_REMOVE ? k->pair.p_right : k->pair.q_left;
}

/* How far, relative, a tilted mass may be off by rounding: its logarithm's size in units. */
static double rounding_of(const fm_pld_cells *c, const fm_pld_plan *plan)
{
    double reach = fmax(fabs((double)c->first), fabs((double)(c->first + (int64_t)c->n))) * c->h;
    double largest = 0.0, lambda = fmax(plan->lambda[0], plan->lambda[1]) + 1.0;

    for (size_t i = 0; i < c->n; i++)
        largest = fmax(largest, fabs(c->scale[i]));
    return 4.0 * FM_PLD_UNIT * (64.0 + largest + lambda * reach);
}

static void wrap(const fm_pld_cells *c, int way, const double *w, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = 0.0;
    for (size_t i = 0; i <= c->n; i++) {
        int64_t j = c->first + (int64_t)i;

        out[(uint64_t)(way == FM_PLD_REMOVE ? j : -j) & (n - 1)] += w[i];
    }
}

fm_status fm_pld_kind_build(fm_pld_kind *k, const fm_pld_plan *plan, const fm_fft *fft, double *re,
                            double *im)
{
    size_t n = fm_fft_length(fft);
    fm_pld_cells c = { 0 };
    double *way_of[FM_PLD_WAYS] = { re, im };
    void *w = NULL, *s = NULL;
    fm_status st = fm_pld_cells_init(&c, &k->pair, plan->h);

    if (st == FM_OK)
        st = fm_alloc(c.n + 1, sizeof(double), &w);
    for (int way = 0; st == FM_OK && way < FM_PLD_WAYS; way++) {
        double e = fm_pld_exponent(way, plan->lambda[way]);
        double shift = fm_pld_sketch_moment(&k->sketch, e, NULL, NULL);

        tilt(&c, &k->pair, way, plan->lambda[way], shift, w);
        measure(k, &c, way, plan, shift, w);
        wrap(&c, way, w, n, way_of[way]);
        if (!k->spectrum[way]) {
            if ((st = fm_alloc(2 * fm_pld_half(n), sizeof(double), &s)) != FM_OK)
                break;
            k->spectrum[way] = s;
        }
    }
    if (st == FM_OK) {
        k->slop = c.slop;
        k->rounding = rounding_of(&c, plan);
        fm_fft_forward(fft, re, im);
        fm_pld_unpack(re, im, n, k->spectrum[FM_PLD_REMOVE], k->spectrum[FM_PLD_ADD]);
        k->built = true;
    }
    free(w);
    fm_pld_cells_fini(&c);
    return st;
}

/*
 * In bit-reversed order the partner of frequency k, n - k, stands mirrored within the block
 * [m, 2m) that k's place is in: place p's partner is 3m - 1 - p. Places 0 and 1 are their own.
 */
void fm_pld_unpack(const double *re, const double *im, size_t n, double *a, double *b)
{
    size_t half = fm_pld_half(n), h = 2;

    for (size_t p = 0; p < 2 && p < n; p++) {
        a[p] = re[p];
        b[p] = im[p];
        a[half + p] = b[half + p] = 0.0;
    }
    for (size_t m = 2; m < n; m *= 2)
        for (size_t p = m; p < m + m / 2; p++, h++) {
            size_t q = 3 * m - 1 - p;

            a[h] = 0.5 * (re[p] + re[q]);
            a[half + h] = 0.5 * (im[p] - im[q]);
            b[h] = 0.5 * (im[p] + im[q]);
            b[half + h] = 0.5 * (re[q] - re[p]);
        }
}

void fm_pld_pack(const double *a, const double *b, size_t n, double *re, double *im)
{
    size_t half = fm_pld_half(n), h = 2;

    for (size_t p = 0; p < 2 && p < n; p++) {
        re[p] = a[p];
        im[p] = b[p];
    }
    for (size_t m = 2; m < n; m *= 2)
        for (size_t p = m; p < m + m / 2; p++, h++) {
            size_t q = 3 * m - 1 - p;

            re[p] = a[h] - b[half + h];
            im[p] = a[half + h] + b[h];
            re[q] = a[h] + b[half + h];
            im[q] = b[h] - a[half + h];
        }
}

/* (xr, xi) *= (yr, yi); what is too small to matter becomes zero before it slows the machine. */
static void times(double *restrict xr, double *restrict xi, const double *restrict yr,
                  const double *restrict yi, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double r = xr[i] * yr[i] - xi[i] * yi[i], j = xr[i] * yi[i] + xi[i] * yr[i];
        double keep = r * r + j * j > 1e-200 ? 1.0 : 0.0;

        xr[i] = r * keep;
        xi[i] = j * keep;
    }
}

static void square(double *restrict xr, double *restrict xi, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double r = xr[i] * xr[i] - xi[i] * xi[i], j = 2.0 * xr[i] * xi[i];
        double keep = r * r + j * j > 1e-200 ? 1.0 : 0.0;

        xr[i] = r * keep;
        xi[i] = j * keep;
    }
}

void fm_pld_multiply(double *product, const double *spectrum, size_t n, uint64_t count)
{
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t len = n - at < BLOCK ? n - at : BLOCK;
        double xr[BLOCK], xi[BLOCK];

        for (size_t i = 0; i < len; i++) {
            xr[i] = spectrum[at + i];
            xi[i] = spectrum[n + at + i];
        }
        for (uint64_t c = count; c > 0; c >>= 1) {
            if (c & 1)
                times(product + at, product + n + at, xr, xi, len);
            if (c > 1)
                square(xr, xi, len);
        }
    }
}
