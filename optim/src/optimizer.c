#include "fedmoe/optim/optimizer.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/memory.h"
#include "start.h"
#include "tail.h"

static const double PI = 3.14159265358979323846;

static fm_status take_floats(size_t n, float **out)
{
    void *p = NULL;
    fm_status st = fm_alloc(n, sizeof(float), &p);

    if (st == FM_OK)
        *out = p;
    return st;
}

size_t fm_optimizer_tail(const fm_optimizer_spec *spec)
{
    return spec->load_groups * spec->load_experts + (spec->clip_quantile > 0.0) +
           (spec->start_scale > 0.0);
}

static fm_status check_spec(const fm_optimizer_spec *s, size_t n)
{
    if (s->frozen >= n || fm_optimizer_tail(s) >= n - s->frozen)
        return fm_fail(FM_EINVAL, "optimizer: no room for the result");
    if (!(s->divisor > 0.0) || (s->clip_quantile > 0.0 && !(s->clip_vote > 0.0)))
        return fm_fail(FM_EINVAL, "optimizer: no expected units, or votes that count nothing");
    if ((s->start_count > 0 || s->start_scale > 0.0) &&
        !fm_optim_start_fits(s, n - fm_optimizer_tail(s)))
        return fm_fail(FM_EINVAL, "optimizer: the center has no place; or a statistics round lacks "
                                  "two rounds, a bias, a norm or a scale");
    return FM_OK;
}

static fm_status take_vectors(fm_optimizer *o)
{
    void *p = NULL;
    fm_status st;

    if ((st = take_floats(o->n, &o->weights)) != FM_OK || (st = take_floats(o->n, &o->m)) != FM_OK)
        return st;
    if (o->spec.rule == FM_OPTIM_ADAM && (st = take_floats(o->n, &o->v)) != FM_OK)
        return st;
    if (o->tail > 0 && (st = take_floats(o->tail, &o->next_tail)) != FM_OK)
        return st;
    if (o->spec.averaging > 0.0 && o->spec.rule != FM_OPTIM_SUM) {
        if ((st = fm_alloc(o->n, sizeof(double), &p)) != FM_OK)
            return st;
        o->average = p;
    }
    return FM_OK;
}

fm_status fm_optimizer_new(const fm_optimizer_spec *spec, const float *weights, size_t n,
                           fm_optimizer **out)
{
    fm_optimizer *o = NULL;
    void *p = NULL;
    fm_status st;

    if (!spec || !weights || !out)
        return fm_fail(FM_EINVAL, "optimizer: an argument is missing");
    if ((st = check_spec(spec, n)) != FM_OK || (st = fm_alloc(1, sizeof *o, &p)) != FM_OK)
        return st;
    o = p;
    o->spec = *spec;
    o->n = n;
    o->tail = fm_optimizer_tail(spec);
    o->spec.rounds -= spec->start_scale > 0.0;
    o->average_from = o->spec.rounds - (uint64_t)llround(spec->averaging * (double)o->spec.rounds);
    if ((st = take_vectors(o)) == FM_OK) {
        memcpy(o->weights, weights, n * sizeof(float));
        *out = o;
        o = NULL;
    }
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
    free((*o)->next_tail);
    free(*o);
    *o = NULL;
}

double fm_optimizer_rate(const fm_optimizer_spec *s, uint64_t t)
{
    uint64_t warm = (uint64_t)llround(s->warmup * (double)s->rounds);
    double x, left;

    if (t <= warm)
        return s->learning_rate * (double)t / (double)warm;
    if (s->schedule != FM_OPTIM_LINEAR && s->schedule != FM_OPTIM_COSINE)
        return s->learning_rate;
    x = t > s->rounds ? 1.0 : (double)(t - warm - 1) / (double)(s->rounds - warm);
    left = s->schedule == FM_OPTIM_COSINE ? 0.5 * (1.0 + cos(PI * x)) : 1.0 - x;
    return s->learning_rate * (s->final_rate + (1.0 - s->final_rate) * left);
}

double fm_optimizer_clip_ratio(const fm_optimizer *o)
{
    const size_t clip = o->n - 1 - (o->spec.start_scale > 0.0);

    return o->spec.clip_quantile > 0.0 ? exp((double)o->weights[clip]) : 1.0;
}

/* What a step does with every coordinate. */
typedef struct {
    double rate;
    double ratio;            /* of the clip norm */
    double m_share, v_share; /* Adam: 1 - momentum^t, 1 - beta2^t */
} stride;

/* One coordinate after the step. */
typedef struct {
    float w, m, v;
} moved;

static moved move_sgd(const fm_optimizer *o, const stride *s, double g, size_t i)
{
    double m = o->spec.momentum * (double)o->m[i] + g;

    return (moved){ (float)((double)o->weights[i] - s->rate * m), (float)m, 0.0f };
}

static moved move_adam(const fm_optimizer *o, const stride *s, double g, size_t i)
{
    const fm_optimizer_spec *p = &o->spec;
    double m = p->momentum * (double)o->m[i] + (1.0 - p->momentum) * g;
    double v = p->beta2 * (double)o->v[i] + (1.0 - p->beta2) * g * g;
    double step = (m / s->m_share) / (sqrt(v / s->v_share) + p->adam_epsilon);

    return (moved){ (float)((double)o->weights[i] - s->rate * step), (float)m, (float)v };
}

static bool is_finite(moved to)
{
    return isfinite(to.w) && isfinite(to.m) && isfinite(to.v);
}

/* Ordinary steps taken: those after the statistics round. */
static uint64_t ordinary(const fm_optimizer *o, uint64_t steps)
{
    return steps - (o->spec.start_scale > 0.0 && steps > 0);
}

/* The center has no gradient: what stands in its place is noise. */
static bool is_center(const fm_optimizer_spec *s, size_t i)
{
    return i >= s->start_center && i - s->start_center < s->start_count;
}

/* Twice over the coordinates: all of them can take the step before the first one does. */
static bool step_gradient(fm_optimizer *o, const float *gradient)
{
    moved (*const move)(const fm_optimizer *, const stride *, double, size_t) =
        o->v ? move_adam : move_sgd;
    const uint64_t t = ordinary(o, o->steps) + 1;
    const size_t n = o->n - o->tail;
    const stride s = { .rate = fm_optimizer_rate(&o->spec, t),
                       .ratio = fm_optimizer_clip_ratio(o),
                       .m_share = 1.0 - pow(o->spec.momentum, (double)t),
                       .v_share = 1.0 - pow(o->spec.beta2, (double)t) };
    bool finite = o->tail == 0 || fm_optim_tail_next(o, gradient + n);

    for (size_t i = 0; i < n; i++)
        finite &= is_finite(move(o, &s, (double)gradient[i] / o->spec.divisor * s.ratio, i));
    for (size_t i = 0; finite && i < n; i++) {
        moved to = move(o, &s, (double)gradient[i] / o->spec.divisor * s.ratio, i);

        if (is_center(&o->spec, i))
            continue;
        o->weights[i] = to.w;
        o->m[i] = to.m;
        if (o->v)
            o->v[i] = to.v;
    }
    if (finite && o->tail > 0)
        memcpy(o->weights + n, o->next_tail, o->tail * sizeof(float));
    return finite;
}

static bool step_sum(fm_optimizer *o, const float *sum)
{
    float *w = o->weights + o->spec.frozen;
    const size_t n = o->n - o->spec.frozen;
    bool finite = true;

    for (size_t i = 0; i < n; i++)
        finite &= (bool)isfinite((float)((double)w[i] + (double)sum[i]));
    for (size_t i = 0; finite && i < n; i++)
        w[i] = (float)((double)w[i] + (double)sum[i]);
    return finite;
}

fm_status fm_optimizer_step(fm_optimizer *o, const float *gradient, size_t n)
{
    if (!o || !gradient || n != o->n - o->spec.frozen)
        return fm_fail(FM_EINVAL, "optimizer: the gradient has %zu values, the model %zu", n,
                       o ? o->n - o->spec.frozen : 0);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(gradient[i]))
            return fm_fail(FM_ENONFINITE, "optimizer: gradient value %zu is not finite", i);
    if (!(o->spec.rule == FM_OPTIM_SUM ? step_sum(o, gradient)
          : fm_optim_start_due(o)      ? fm_optim_start(o, gradient)
                                       : step_gradient(o, gradient)))
        return fm_fail(FM_ENONFINITE,
                       "optimizer: the step leaves the range of float32; lower learning_rate");
    o->steps++;
    if (o->average && ordinary(o, o->steps) > o->average_from) {
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
