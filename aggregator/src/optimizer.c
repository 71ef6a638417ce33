#include "fedmoe/aggregator/optimizer.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static fm_status take_floats(size_t n, float **out)
{
    void *p = NULL;
    fm_status st = fm_alloc(n, sizeof(float), &p);

    if (st == FM_OK)
        *out = p;
    return st;
}

fm_status fm_optimizer_new(const fm_plan *plan, const float *weights, size_t n, fm_optimizer **out)
{
    fm_optimizer *o = NULL;
    void *p = NULL;
    fm_status st;

    if (!plan || !weights || !out || n == 0 || plan->frozen >= n)
        return fm_fail(FM_EINVAL, "optimizer: no plan, no weights or no room for the result");
    if ((st = fm_alloc(1, sizeof *o, &p)) != FM_OK)
        return st;
    o = p;
    o->kind = plan->optimizer;
    o->learning_rate = plan->learning_rate;
    o->momentum = plan->momentum;
    o->beta2 = plan->beta2;
    o->adam_epsilon = plan->adam_epsilon;
    o->divisor = plan->sampling_rate * plan->expected_units;
    o->n = n;
    o->frozen = plan->frozen;
    o->average_from = plan->rounds - (uint64_t)llround(plan->averaging * (double)plan->rounds);
    if ((st = take_floats(n, &o->weights)) != FM_OK || (st = take_floats(n, &o->m)) != FM_OK)
        goto done;
    if (o->kind == FM_OPTIMIZER_ADAM && (st = take_floats(n, &o->v)) != FM_OK)
        goto done;
    if (plan->averaging > 0.0 && o->kind != FM_OPTIMIZER_SUM) {
        if ((st = fm_alloc(n, sizeof(double), &p)) != FM_OK)
            goto done;
        o->average = p;
    }
    memcpy(o->weights, weights, n * sizeof(float));
    *out = o;
    o = NULL;
done:
    fm_optimizer_free(&o);
    return st;
}

void fm_optimizer_free(fm_optimizer **o)
{
    if (!o || !*o)
        return;
    free((*o)->weights);
    free((*o)->m);
    free((*o)->v);
    free((*o)->average);
    free(*o);
    *o = NULL;
}

/* One coordinate after the step. */
typedef struct {
    float w, m, v;
} moved;

static moved move_sgd(const fm_optimizer *o, double g, size_t i)
{
    double m = o->momentum * (double)o->m[i] + g;

    return (moved){ (float)((double)o->weights[i] - o->learning_rate * m), (float)m, 0.0f };
}

typedef struct {
    double m, v;
} correction;

static moved move_adam(const fm_optimizer *o, correction c, double g, size_t i)
{
    double m = o->momentum * (double)o->m[i] + (1.0 - o->momentum) * g;
    double v = o->beta2 * (double)o->v[i] + (1.0 - o->beta2) * g * g;
    double step = (m / c.m) / (sqrt(v / c.v) + o->adam_epsilon);

    return (moved){ (float)((double)o->weights[i] - o->learning_rate * step), (float)m, (float)v };
}

static bool is_finite(moved to)
{
    return isfinite(to.w) && isfinite(to.m) && isfinite(to.v);
}

/* Twice over the coordinates: all of them can take the step before the first one does. */
static bool step_sgd(fm_optimizer *o, const float *gradient)
{
    bool finite = true;

    for (size_t i = 0; i < o->n; i++)
        finite &= is_finite(move_sgd(o, (double)gradient[i] / o->divisor, i));
    for (size_t i = 0; finite && i < o->n; i++) {
        moved to = move_sgd(o, (double)gradient[i] / o->divisor, i);

        o->weights[i] = to.w;
        o->m[i] = to.m;
    }
    return finite;
}

static bool step_adam(fm_optimizer *o, const float *gradient)
{
    double t = (double)(o->steps + 1);
    correction c = { 1.0 - pow(o->momentum, t), 1.0 - pow(o->beta2, t) };
    bool finite = true;

    for (size_t i = 0; i < o->n; i++)
        finite &= is_finite(move_adam(o, c, (double)gradient[i] / o->divisor, i));
    for (size_t i = 0; finite && i < o->n; i++) {
        moved to = move_adam(o, c, (double)gradient[i] / o->divisor, i);

        o->weights[i] = to.w;
        o->m[i] = to.m;
        o->v[i] = to.v;
    }
    return finite;
}

static bool step_sum(fm_optimizer *o, const float *sum)
{
    float *w = o->weights + o->frozen;
    bool finite = true;

    for (size_t i = 0; i < o->n - o->frozen; i++)
        finite &= isfinite((float)((double)w[i] + (double)sum[i]));
    for (size_t i = 0; finite && i < o->n - o->frozen; i++)
        w[i] = (float)((double)w[i] + (double)sum[i]);
    return finite;
}

static bool take_step(fm_optimizer *o, const float *gradient)
{
    switch (o->kind) {
    case FM_OPTIMIZER_ADAM:
        return step_adam(o, gradient);
    case FM_OPTIMIZER_SUM:
        return step_sum(o, gradient);
    default:
        return step_sgd(o, gradient);
    }
}

fm_status fm_optimizer_step(fm_optimizer *o, const float *gradient, size_t n)
{
    if (!o || !gradient || n != o->n - o->frozen)
        return fm_fail(FM_EINVAL, "optimizer: the gradient has %zu values, the model %zu", n,
                       o ? o->n - o->frozen : 0);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(gradient[i]))
            return fm_fail(FM_ENONFINITE, "optimizer: gradient value %zu is not finite", i);
    if (!take_step(o, gradient))
        return fm_fail(FM_ENONFINITE,
                       "optimizer: the step leaves the range of float32; lower learning_rate");
    o->steps++;
    if (o->average && o->steps > o->average_from) {
        for (size_t i = 0; i < n; i++)
            o->average[i] += (double)o->weights[i];
        o->averaged++;
    }
    return FM_OK;
}

void fm_optimizer_result(const fm_optimizer *o, float *out)
{
    if (!o->average || o->averaged == 0) {
        memcpy(out, o->weights, o->n * sizeof(float));
        return;
    }
    for (size_t i = 0; i < o->n; i++)
        out[i] = (float)(o->average[i] / (double)o->averaged);
}
