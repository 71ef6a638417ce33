#include "valley.h"

#include <stddef.h>

typedef struct {
    fm_valley_function f;
    const void *ctx;
    double best, at;
} valley;

static double look(valley *v, double x)
{
    double y = v->f(v->ctx, x);

    if (y < v->best) {
        v->best = y;
        v->at = x;
    }
    return y;
}

double fm_valley(fm_valley_function f, const void *ctx, double first, double last, double step,
                 double precision, double *at)
{
    const double golden = 0.61803398874989485;
    valley v = { .f = f, .ctx = ctx, .best = f(ctx, first), .at = first };
    double lo = first, mid = first, hi, x1, x2, f1, f2;

    for (hi = mid + step; hi < last; hi += step) {
        double before = v.best;

        if (look(&v, hi) >= before)
            break;
        lo = mid;
        mid = hi;
    }
    x1 = hi - golden * (hi - lo);
    x2 = lo + golden * (hi - lo);
    f1 = look(&v, x1);
    f2 = look(&v, x2);
    while (hi - lo > precision) {
        if (f1 <= f2) {
            hi = x2;
            x2 = x1;
            f2 = f1;
            x1 = hi - golden * (hi - lo);
            f1 = look(&v, x1);
        } else {
            lo = x1;
            x1 = x2;
            f1 = f2;
            x2 = lo + golden * (hi - lo);
            f2 = look(&v, x2);
        }
    }
    if (at)
        *at = v.at;
    return v.best;
}
