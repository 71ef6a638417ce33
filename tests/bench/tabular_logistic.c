#include "tabular_logistic.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 25
#define CLOSE 1e-6    /* of the largest change of a weight */
#define PIECE 1024u   /* rows at a time */
#define LEAST_P 1e-10 /* variance of a label, so that weights stay finite */

static void *room(size_t n, size_t size)
{
    void *p = calloc(n, size);

    if (!p) {
        fprintf(stderr, "bench-tabular: no memory for logistic regression\n");
        exit(1);
    }
    return p;
}

static double score(const float *x, const double *w, size_t features)
{
    double s = w[features];

    for (size_t k = 0; k < features; k++)
        s += w[k] * (double)x[k];
    return s;
}

/* A = L L^T in place (lower part), and x = A^-1 x. */
static void solve(double *a, size_t n, double *x)
{
    for (size_t j = 0; j < n; j++) {
        a[j * n + j] = sqrt(a[j * n + j] - cblas_ddot((int)j, a + j * n, 1, a + j * n, 1));
        for (size_t i = j + 1; i < n; i++)
            a[i * n + j] =
                (a[i * n + j] - cblas_ddot((int)j, a + i * n, 1, a + j * n, 1)) / a[j * n + j];
    }
    cblas_dtrsv(CblasRowMajor, CblasLower, CblasNoTrans, CblasNonUnit, (int)n, a, (int)n, x, 1);
    cblas_dtrsv(CblasRowMajor, CblasLower, CblasTrans, CblasNonUnit, (int)n, a, (int)n, x, 1);
}

/* Gradient and Hessian of some rows' losses, added. scaled: [PIECE, n]. */
static void add_rows(const fm_table *t, size_t first, size_t count, const double *w, double *scaled,
                     double *gradient, double *hessian)
{
    const size_t features = t->features, n = features + 1;

    for (size_t i = 0; i < count; i++) {
        const float *x = t->x + (first + i) * features;
        const double p = 1.0 / (1.0 + exp(-score(x, w, features)));
        const double off = p - (double)t->y[first + i], root = sqrt(fmax(p * (1.0 - p), LEAST_P));

        for (size_t k = 0; k < n; k++) {
            const double v = k < features ? (double)x[k] : 1.0;

            gradient[k] += off * v;
            scaled[i * n + k] = root * v;
        }
    }
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)n, (int)count, 1.0, scaled, (int)n, 1.0,
                hessian, (int)n);
}

void tabular_logistic_fit(const fm_table *t, double ridge, double *weights)
{
    const size_t n = t->features + 1;
    double *gradient = room(n, sizeof *gradient), *hessian = room(n * n, sizeof *hessian);
    double *scaled = room(PIECE * n, sizeof *scaled), largest = HUGE_VAL;

    memset(weights, 0, n * sizeof *weights);
    for (int step = 0; step < STEPS && largest > CLOSE; step++) {
        memset(gradient, 0, n * sizeof *gradient);
        memset(hessian, 0, n * n * sizeof *hessian);
        for (size_t at = 0; at < t->rows; at += PIECE)
            add_rows(t, at, t->rows - at < PIECE ? t->rows - at : PIECE, weights, scaled, gradient,
                     hessian);
        for (size_t k = 0; k < n; k++) {
            gradient[k] += k + 1 < n ? ridge * weights[k] : 0.0;
            hessian[k * n + k] += k + 1 < n ? ridge : 1e-9;
        }
        solve(hessian, n, gradient);
        largest = 0.0;
        for (size_t k = 0; k < n; k++) {
            weights[k] -= gradient[k];
            largest = fmax(largest, fabs(gradient[k]));
        }
    }
    free(gradient);
    free(hessian);
    free(scaled);
}

void tabular_logistic_predict(const fm_table *t, const double *weights, float *logits)
{
    for (size_t i = 0; i < t->rows; i++)
        logits[i] = (float)score(t->x + i * t->features, weights, t->features);
}
