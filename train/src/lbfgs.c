#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/memory.h"
#include "personal_internal.h"

#define PAIRS 8u
#define STEPS 200u
#define ENOUGH 1e-6 /* of the first gradient's norm */
#define HALVINGS 40u

typedef struct {
    size_t n, count, next; /* pairs that there are; where the next one goes */
    double *x, *g, *d;     /* the next point, its gradient, the direction */
    double *s[PAIRS], *y[PAIRS], rho[PAIRS];
    double *all; /* owned: the memory of all of these */
} state;

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void add(double *to, double factor, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += factor * x[i];
}

static fm_status open_state(state *s, size_t n)
{
    const fm_status st = fm_alloc((3 + 2 * PAIRS) * n, sizeof *s->all, (void **)&s->all);

    s->n = n;
    s->x = s->all;
    if (st)
        return st;
    s->g = s->x + n;
    s->d = s->g + n;
    for (unsigned i = 0; i < PAIRS; i++) {
        s->s[i] = s->d + n + 2 * i * n;
        s->y[i] = s->s[i] + n;
    }
    return FM_OK;
}

/* d = -H g, by the pairs (algorithm 7.4). */
static void direct(state *s, const double *gradient)
{
    double a[PAIRS];
    const size_t newest = (s->next + PAIRS - 1) % PAIRS;

    for (size_t i = 0; i < s->n; i++)
        s->d[i] = -gradient[i];
    for (size_t k = 0; k < s->count; k++) {
        const size_t i = (newest + PAIRS - k) % PAIRS;

        a[i] = s->rho[i] * dot(s->s[i], s->d, s->n);
        add(s->d, -a[i], s->y[i], s->n);
    }
    if (s->count)
        for (size_t i = 0; i < s->n; i++)
            s->d[i] /= s->rho[newest] * dot(s->y[newest], s->y[newest], s->n);
    for (size_t k = s->count; k-- > 0;) {
        const size_t i = (newest + PAIRS - k) % PAIRS;

        add(s->d, a[i] - s->rho[i] * dot(s->y[i], s->d, s->n), s->s[i], s->n);
    }
}

static void remember(state *s, const double *x, const double *gradient)
{
    double *const step = s->s[s->next], *const change = s->y[s->next];
    double curvature;

    for (size_t i = 0; i < s->n; i++) {
        step[i] = s->x[i] - x[i];
        change[i] = s->g[i] - gradient[i];
    }
    curvature = dot(step, change, s->n);
    if (!(curvature > 1e-300))
        return;
    s->rho[s->next] = 1.0 / curvature;
    s->next = (s->next + 1) % PAIRS;
    s->count += s->count < PAIRS;
}

/* Halves the step until it is worth it (algorithm 3.1). @return false: no step is. */
static bool search(state *s, fm_objective f, void *ctx, const double *x, double *value,
                   double slope)
{
    double step = s->count ? 1.0 : 1.0 / fmax(1.0, sqrt(-slope));

    for (unsigned i = 0; i < HALVINGS; i++, step /= 2.0) {
        double v;

        memcpy(s->x, x, s->n * sizeof *x);
        add(s->x, step, s->d, s->n);
        v = f(ctx, s->x, s->g);
        if (v <= *value + 1e-4 * step * slope) {
            *value = v;
            return true;
        }
    }
    return false;
}

fm_status fm_lbfgs(fm_objective f, void *ctx, size_t n, double *x)
{
    state s = { 0 };
    double *gradient = NULL, value, enough;
    fm_status st = fm_alloc(n, sizeof *gradient, (void **)&gradient);

    if (st || (st = open_state(&s, n)))
        goto done;
    value = f(ctx, x, gradient);
    enough = ENOUGH * sqrt(dot(gradient, gradient, n));
    for (unsigned i = 0; i < STEPS && sqrt(dot(gradient, gradient, n)) > enough; i++) {
        double slope;

        direct(&s, gradient);
        slope = dot(s.d, gradient, n);
        if (!(slope < 0.0) || !search(&s, f, ctx, x, &value, slope))
            break;
        remember(&s, x, gradient);
        memcpy(x, s.x, n * sizeof *x);
        memcpy(gradient, s.g, n * sizeof *gradient);
    }
done:
    if (s.all)
        sodium_memzero(s.all, (3 + 2 * PAIRS) * n * sizeof *s.all);
    if (gradient)
        sodium_memzero(gradient, n * sizeof *gradient);
    free(s.all);
    free(gradient);
    return st;
}
