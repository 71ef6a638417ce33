#include "tail.h"

#include <math.h>

#include "fedmoe/optim/auc.h"

static double clamp(double x, double lo, double hi)
{
    return fmin(fmax(x, lo), hi);
}

static void balance(const fm_optimizer_spec *s, const float *bias, const float *load, float *out)
{
    double mean = 0.0;

    for (size_t e = 0; e < s->load_experts; e++)
        mean += (double)load[e];
    mean /= (double)s->load_experts;
    for (size_t e = 0; e < s->load_experts; e++) {
        double off = mean > 0.0 ? clamp((mean - (double)load[e]) / mean, -1.0, 1.0) : 0.0;

        out[e] = (float)((double)bias[e] + s->balance_rate * off);
    }
}

/* Votes are +1 of who was below the clip norm and -1 of the others, times clip_vote. */
static float adapt(const fm_optimizer_spec *s, float log_ratio, float votes)
{
    double below = 0.5 + (double)votes / (2.0 * s->divisor * s->clip_vote);
    double to = (double)log_ratio - s->clip_rate * (clamp(below, 0.0, 1.0) - s->clip_quantile);

    return (float)clamp(to, -FM_OPTIM_CLIP_RANGE, FM_OPTIM_CLIP_RANGE);
}

static double held_loss(const fm_optimizer_spec *s, float votes)
{
    return 0.5 + (double)votes / (2.0 * s->held_divisor * s->held_vote);
}

/* The mean of a window after its i-th step, i from 0. */
static float mean_with(uint64_t i, float mean, double value)
{
    return i == 0 ? (float)value : (float)((double)mean + (value - (double)mean) / (double)(i + 1));
}

/* Of the window under way; its first step makes the one before it. */
static void add_held(const fm_optimizer *o, const float *now, const float *sum, float *next)
{
    const fm_optimizer_spec *s = &o->spec;
    const uint64_t i = fm_optim_ordinary(o) % s->patience;

    next[0] = mean_with(i, now[0], held_loss(s, sum[0]));
    next[1] = i == 0 ? now[0] : now[1];
    for (size_t j = 0; j < 2 * s->held_bins; j++) {
        const double part = s->held_parts[fm_auc_kind(j % s->held_bins)];
        const size_t k = FM_OPTIM_HELD + j;

        next[k] = mean_with(i, now[k], (double)sum[k] / part);
    }
}

bool fm_optimizer_is_done(const fm_optimizer *o)
{
    const fm_optimizer_spec *s = &o->spec;
    const uint64_t steps = fm_optim_ordinary(o);
    const float *held = o->weights + (o->n - o->tail) + fm_optim_tail_held(s);

    return s->patience > 0 && steps >= 2 * s->patience && steps % s->patience == 0 &&
           held[0] >= held[1];
}

double fm_optimizer_held_loss(const fm_optimizer *o)
{
    if (o->spec.patience == 0 || fm_optim_ordinary(o) == 0)
        return NAN;
    return (double)o->weights[o->n - o->tail + fm_optim_tail_held(&o->spec)];
}

bool fm_optim_tail_next(fm_optimizer *o, const float *sum)
{
    const fm_optimizer_spec *s = &o->spec;
    const float *now = o->weights + (o->n - o->tail);
    bool finite = true;

    for (size_t g = 0; g < s->load_groups; g++)
        balance(s, now + g * s->load_experts, sum + g * s->load_experts,
                o->next_tail + g * s->load_experts);
    if (s->start_scale > 0.0)
        o->next_tail[o->tail - 1] = now[o->tail - 1];
    if (s->clip_quantile > 0.0) {
        const size_t clip = fm_optim_tail_clip(s);

        o->next_tail[clip] = adapt(s, now[clip], sum[clip]);
    }
    if (s->patience > 0) {
        const size_t held = fm_optim_tail_held(s);

        add_held(o, now + held, sum + held, o->next_tail + held);
    }
    for (size_t i = 0; i < o->tail; i++)
        finite &= (bool)isfinite(o->next_tail[i]);
    return finite;
}
