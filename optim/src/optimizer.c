#include "fedmoe/optim/optimizer.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/memory.h"
#include "fedmoe/optim/auc.h"
#include "start.h"
#include "tail.h"

#define BLOCK FM_OPTIM_BLOCK /* coordinates of a step that is being made */
#define SURE 0x1p120         /* whatever the roundings, below this is far below FLT_MAX */

#define ALWAYS __attribute__((always_inline))

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
           (spec->patience > 0 ? FM_OPTIM_HELD + 2 * spec->held_bins : 0) +
           (spec->start_scale > 0.0);
}

static fm_status check_spec(const fm_optimizer_spec *s, size_t n)
{
    if (s->frozen >= n || fm_optimizer_tail(s) >= n - s->frozen)
        return fm_fail(FM_EINVAL, "optimizer: no room for the result");
    if (s->frozen > 0 && s->rule != FM_OPTIM_SUM)
        return fm_fail(FM_EINVAL, "optimizer: only sums are added behind frozen weights");
    if (!(s->divisor > 0.0) || (s->clip_quantile > 0.0 && !(s->clip_vote > 0.0)))
        return fm_fail(FM_EINVAL, "optimizer: no expected units, or votes that count nothing");
    if (s->patience > 0 &&
        (s->rule == FM_OPTIM_SUM || !(s->held_divisor > 0.0) || !(s->held_vote > 0.0)))
        return fm_fail(FM_EINVAL, "optimizer: units are held out of a training alone, and some of "
                                  "them are expected to vote");
    if (s->held_bins > 0 && (s->patience == 0 || !fm_auc_bins_ok(s->held_bins) ||
                             !(s->held_parts[0] > 0.0) || !(s->held_noise >= 0.0)))
        return fm_fail(FM_EINVAL,
                       "optimizer: scores are of units held out, in bins of a number that "
                       "is a power of two, and what they add and its noise are known");
    if ((s->start_count > 0 || s->start_scale > 0.0) &&
        !fm_optim_start_fits(s, n - fm_optimizer_tail(s)))
        return fm_fail(FM_EINVAL, "optimizer: the center has no place; or a statistics round lacks "
                                  "two rounds, a bias, a norm or a scale");
    return FM_OK;
}

static bool has_squares(const fm_optimizer_spec *s)
{
    return s->rule == FM_OPTIM_ADAM || s->rule == FM_OPTIM_YOGI;
}

static bool has_momentum(const fm_optimizer_spec *s)
{
    return has_squares(s) || (s->rule == FM_OPTIM_SGD && s->momentum != 0.0);
}

static fm_status take_vectors(fm_optimizer *o)
{
    void *p = NULL;
    fm_status st;

    if ((st = take_floats(o->n, &o->weights)) != FM_OK)
        return st;
    if (has_momentum(&o->spec) && (st = take_floats(o->n, &o->m)) != FM_OK)
        return st;
    if (has_squares(&o->spec) && (st = take_floats(o->n, &o->v)) != FM_OK)
        return st;
    if (o->tail > 0 && ((st = take_floats(o->tail, &o->next_tail)) != FM_OK ||
                        (st = take_floats(o->tail, &o->tail_sum)) != FM_OK))
        return st;
    if (o->spec.start_scale > 0.0 &&
        (st = take_floats(o->spec.start_count, &o->start_sum)) != FM_OK)
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
    free((*o)->tail_sum);
    free((*o)->start_sum);
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

double fm_optimizer_clip_ratio(const fm_optimizer *o, const float *state)
{
    return o->spec.clip_quantile > 0.0
               ? exp((double)state[o->n - o->tail + fm_optim_tail_clip(&o->spec)])
               : 1.0;
}

/* The largest magnitude; a NaN when there is one. Magnitudes of floats are in the order of their
 * bits, NaN above infinity. */
static float largest(const float *x, size_t n)
{
    int32_t most = 0;
    float out;

    for (size_t i = 0; i < n; i++) {
        int32_t bits;

        memcpy(&bits, x + i, sizeof bits);
        bits &= INT32_MAX;
        most = bits > most ? bits : most;
    }
    memcpy(&out, &most, sizeof out);
    return out;
}

/* Of -0, too. */
static bool any_negative(const float *x, size_t n)
{
    uint32_t all = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, x + i, sizeof bits);
        all |= bits;
    }
    return all >> 31;
}

/* What a step does with every coordinate. */
typedef struct {
    double rate;
    double ratio;            /* of the clip norm */
    double m_share, v_share; /* Adam: 1 - momentum^t, 1 - beta2^t */
} stride;

/* Some coordinates after the step. */
typedef struct {
    float w[BLOCK], m[BLOCK], v[BLOCK];
} moved;

ALWAYS static inline void move_plain(const fm_optimizer *o, const stride *s, const float *gradient,
                                     size_t at, size_t n, moved *to)
{
    const double divisor = o->spec.divisor;
    const float *w = o->weights + at;

    for (size_t i = 0; i < n; i++) {
        const double g = (double)gradient[i] / divisor * s->ratio;

        to->w[i] = (float)((double)w[i] - s->rate * g);
        to->m[i] = (float)g;
    }
}

ALWAYS static inline void move_sgd(const fm_optimizer *o, const stride *s, const float *gradient,
                                   size_t at, size_t n, moved *to)
{
    const double momentum = o->spec.momentum, divisor = o->spec.divisor;
    const float *w = o->weights + at, *m = o->m + at;

    for (size_t i = 0; i < n; i++) {
        const double g = (double)gradient[i] / divisor * s->ratio;
        const double next = momentum * (double)m[i] + g;

        to->w[i] = (float)((double)w[i] - s->rate * next);
        to->m[i] = (float)next;
    }
}

/* Yogi's: never below 0, since v falls by less than a square that it is above. */
ALWAYS static inline double yogi_square(double v, double square, double share)
{
    return v < square ? v + share * square : v > square ? v - share * square : v;
}

ALWAYS static inline void move_adam(const fm_optimizer *o, const stride *s, bool yogi,
                                    const float *gradient, size_t at, size_t n, moved *to)
{
    const fm_optimizer_spec *p = &o->spec;
    const double momentum = p->momentum, beta2 = p->beta2, epsilon = p->adam_epsilon;
    const double divisor = p->divisor;
    const float *w = o->weights + at, *m = o->m + at, *v = o->v + at;

    for (size_t i = 0; i < n; i++) {
        const double g = (double)gradient[i] / divisor * s->ratio;
        const double next = momentum * (double)m[i] + (1.0 - momentum) * g;
        const double square = yogi ? yogi_square((double)v[i], g * g, 1.0 - beta2)
                                   : beta2 * (double)v[i] + (1.0 - beta2) * g * g;
        const double step = (next / s->m_share) / (sqrt(square / s->v_share) + epsilon);

        to->w[i] = (float)((double)w[i] - s->rate * step);
        to->m[i] = (float)next;
        to->v[i] = (float)square;
    }
}

ALWAYS static inline void move_any(const fm_optimizer *o, const stride *s, const float *gradient,
                                   size_t at, size_t n, moved *to)
{
    if (o->v && o->spec.rule == FM_OPTIM_YOGI)
        move_adam(o, s, true, gradient, at, n, to);
    else if (o->v)
        move_adam(o, s, false, gradient, at, n, to);
    else if (o->m)
        move_sgd(o, s, gradient, at, n, to);
    else
        move_plain(o, s, gradient, at, n, to);
}

#if defined(__x86_64__)
/* The same operations, more at once: the same bits. */
__attribute__((target("avx2"))) static void move_wide(const fm_optimizer *o, const stride *s,
                                                      const float *gradient, size_t at, size_t n,
                                                      moved *to)
{
    move_any(o, s, gradient, at, n, to);
}
#endif

/* Coordinates [at, at + n), n <= BLOCK; the gradient's first is that of at. */
static void move_block(const fm_optimizer *o, const stride *s, const float *gradient, size_t at,
                       size_t n, moved *to)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        move_wide(o, s, gradient, at, n, to);
        return;
    }
#endif
    move_any(o, s, gradient, at, n, to);
}

static bool block_finite(const fm_optimizer *o, const moved *to, size_t n)
{
    return isfinite(largest(to->w, n)) && isfinite(largest(to->m, n)) &&
           (!o->v || isfinite(largest(to->v, n)));
}

/* Those of [from, end) that are in the block at at. */
static void keep_part(fm_optimizer *o, size_t from, size_t end, size_t at, size_t n,
                      const moved *to)
{
    const size_t first = from > at ? from : at, last = end < at + n ? end : at + n;
    const size_t bytes = first < last ? (last - first) * sizeof(float) : 0;

    if (bytes == 0)
        return;
    memcpy(o->weights + first, to->w + (first - at), bytes);
    if (o->m)
        memcpy(o->m + first, to->m + (first - at), bytes);
    if (o->v)
        memcpy(o->v + first, to->v + (first - at), bytes);
}

/* The center has no gradient: what stands in its place is noise. */
static void keep_block(fm_optimizer *o, size_t at, size_t n, const moved *to)
{
    keep_part(o, 0, o->spec.start_center, at, n, to);
    keep_part(o, o->spec.start_center + o->spec.start_count, SIZE_MAX, at, n, to);
}

/* Whether the largest values there are leave no room for one that is not finite: nearly always, and
 * then no step has to be tried. */
static bool surely_finite(const fm_optimizer *o, const stride *s, float most, size_t n)
{
    const fm_optimizer_spec *p = &o->spec;
    const double g = (double)most / p->divisor * s->ratio;
    const double before = o->m ? (double)largest(o->m, n) : 0.0;
    const double m = fabs(p->momentum) * before + fabs(1.0 - p->momentum) * g + g;
    double step = m, v = 0.0;

    if (o->v) {
        if (!(p->adam_epsilon > 0.0) || !(p->beta2 >= 0.0 && p->beta2 < 1.0) ||
            any_negative(o->v, n))
            return false;
        step = m / s->m_share / p->adam_epsilon; /* a root is added to it */
        v = (double)largest(o->v, n) + g * g;
    }
    return (double)largest(o->weights, n) + fabs(s->rate) * step < SURE && m < SURE && v < SURE;
}

/* ---- the gradient, block by block ---- */

static void read_all(const fm_optim_source *g, size_t at, float *out, size_t n)
{
    for (size_t done = 0; done < n; done += BLOCK)
        g->read(g->ctx, at + done, n - done < BLOCK ? n - done : BLOCK, out + done);
}

/* As largest. */
static float largest_of(const fm_optim_source *g, size_t n)
{
    float most = 0.0f, block[BLOCK];

    for (size_t at = 0; at < n && !isnan(most); at += BLOCK) {
        const size_t count = n - at < BLOCK ? n - at : BLOCK;
        float here;

        g->read(g->ctx, at, count, block);
        here = largest(block, count);
        most = here > most || isnan(here) ? here : most;
    }
    return most;
}

static fm_status not_finite(const fm_optim_source *g)
{
    float value = 0.0f;
    size_t i = 0;

    while (g->read(g->ctx, i, 1, &value), isfinite(value))
        i++;
    return fm_fail(FM_ENONFINITE, "optimizer: gradient value %zu is not finite", i);
}

/* ---- a step ---- */

/* Coordinates [0, n) take it, or (keep false) are only tried. */
static bool move_all(fm_optimizer *o, const stride *s, const fm_optim_source *g, size_t n,
                     bool keep)
{
    float gradient[BLOCK];
    bool finite = true;
    moved to;

    for (size_t at = 0; at < n; at += BLOCK) {
        const size_t count = n - at < BLOCK ? n - at : BLOCK;

        g->read(g->ctx, at, count, gradient);
        move_block(o, s, gradient, at, count, &to);
        if (keep)
            keep_block(o, at, count, &to);
        else
            finite &= block_finite(o, &to, count);
    }
    return finite;
}

/* All of them can take the step before the first one does. */
static bool step_gradient(fm_optimizer *o, const fm_optim_source *g, float most)
{
    const uint64_t t = fm_optim_ordinary(o) + 1;
    const size_t n = o->n - o->tail;
    const stride s = { .rate = fm_optimizer_rate(&o->spec, t),
                       .ratio = fm_optimizer_clip_ratio(o, o->weights),
                       .m_share = 1.0 - pow(o->spec.momentum, (double)t),
                       .v_share = 1.0 - pow(o->spec.beta2, (double)t) };

    if (o->tail > 0) {
        read_all(g, n, o->tail_sum, o->tail);
        if (!fm_optim_tail_next(o, o->tail_sum))
            return false;
    }
    if (!surely_finite(o, &s, most, n) && !move_all(o, &s, g, n, false))
        return false;
    (void)move_all(o, &s, g, n, true);
    if (o->tail > 0)
        memcpy(o->weights + n, o->next_tail, o->tail * sizeof(float));
    return true;
}

static bool step_sum(fm_optimizer *o, const fm_optim_source *g)
{
    float *w = o->weights + o->spec.frozen, sum[BLOCK];
    const size_t n = o->n - o->spec.frozen;
    bool finite = true;

    for (int keep = 0; finite && keep < 2; keep++)
        for (size_t at = 0; at < n; at += BLOCK) {
            const size_t count = n - at < BLOCK ? n - at : BLOCK;

            g->read(g->ctx, at, count, sum);
            for (size_t i = 0; i < count; i++) {
                const float next = (float)((double)w[at + i] + (double)sum[i]);

                finite &= (bool)isfinite(next);
                w[at + i] = keep ? next : w[at + i];
            }
        }
    return finite;
}

static bool step_start(fm_optimizer *o, const fm_optim_source *g)
{
    float bias = 0.0f;

    read_all(g, o->spec.start_center, o->start_sum, o->spec.start_count);
    g->read(g->ctx, o->spec.start_bias, 1, &bias);
    return fm_optim_start(o, o->start_sum, bias);
}

static void add_to_average(fm_optimizer *o)
{
    if (!o->average || fm_optim_ordinary(o) <= o->average_from)
        return;
    for (size_t i = 0; i < o->n; i++)
        o->average[i] += (double)o->weights[i];
    o->averaged++;
}

fm_status fm_optimizer_step_from(fm_optimizer *o, const fm_optim_source *g, size_t n)
{
    float most;

    if (!o || !g || n != o->n - o->spec.frozen)
        return fm_fail(FM_EINVAL, "optimizer: the gradient has %zu values, the model %zu", n,
                       o ? o->n - o->spec.frozen : 0);
    most = largest_of(g, n);
    if (!isfinite(most))
        return not_finite(g);
    if (!(o->spec.rule == FM_OPTIM_SUM ? step_sum(o, g)
          : fm_optim_start_due(o)      ? step_start(o, g)
                                       : step_gradient(o, g, most)))
        return fm_fail(FM_ENONFINITE,
                       "optimizer: the step leaves the range of float32; lower learning_rate");
    o->steps++;
    add_to_average(o);
    return FM_OK;
}

static void read_memory(const void *ctx, size_t at, size_t n, float *out)
{
    memcpy(out, (const float *)ctx + at, n * sizeof(float));
}

fm_status fm_optimizer_step(fm_optimizer *o, const float *gradient, size_t n)
{
    const fm_optim_source g = { read_memory, gradient };

    if (!gradient)
        return fm_fail(FM_EINVAL, "optimizer: no gradient");
    return fm_optimizer_step_from(o, &g, n);
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
