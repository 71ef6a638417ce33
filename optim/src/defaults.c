#include "fedmoe/optim/defaults.h"

#include <math.h>

#define ROUNDS 160
#define CLIP_NORM 0.5    /* the least at which both classes are not clipped at once */
#define CLIP_CLASSES 0.8 /* about the root of the mean of |p - y|^2 over several classes */
#define RATE 0.1
#define FLOOR_EPSILON 8.0 /* whose noise Adam's divisor is held against */
#define FLOOR_SHARE 0.5   /* added to it, where the study took the larger of the two */
#define BISECTIONS 60
#define LOCAL_PATH 640.0 /* rate times steps, of all rounds */
#define LOCAL_RATE_MOST 8.0

/* Texts. Under noise few rounds of many units: of all, where there are no more than 1,024. */
#define TEXT_CLIP_NORM 0.3
#define TEXT_RATE 0.125 /* of the units in a round, and no fewer than ... */
#define TEXT_UNITS 1024.0
#define TEXT_ROUNDS 40
#define TEXT_LEARNING_RATE 0.01
#define OPEN_TEXT_UNITS 128.0 /* the same without privacy */
#define OPEN_TEXT_ROUNDS 200
#define OPEN_TEXT_LEARNING_RATE 0.02

/* A student. */
#define STUDENT_UNITS 64.0
#define STUDENT_PASSES 20.0
#define STUDENT_ROUNDS_LEAST 400.0
#define STUDENT_LEARNING_RATE 0.01

static double normal_below(double x)
{
    return 0.5 * erfc(-x / sqrt(2.0));
}

/* The mu of a Gaussian mechanism, sensitivity over deviation, at (epsilon, delta): Balle and Wang
 * 2018, arXiv:1805.06530, theorem 8. delta grows with mu. */
static double gaussian_mu(double epsilon, double delta)
{
    double lo = 1e-9, hi = 100.0;

    for (int i = 0; i < BISECTIONS; i++) {
        const double mu = 0.5 * (lo + hi);
        const double got = normal_below(mu / 2.0 - epsilon / mu) -
                           exp(epsilon) * normal_below(-mu / 2.0 - epsilon / mu);

        if (got > delta)
            hi = mu;
        else
            lo = mu;
    }
    return lo;
}

/* Deviation of the noise on the mean gradient that an epsilon of 8 would need: below it a divisor
 * would only make much of little. Without this, training without privacy overfits. */
static double adam_floor(const fm_training_case *c, double clip_norm)
{
    const double noise = sqrt((double)ROUNDS) / gaussian_mu(FLOOR_EPSILON, c->delta);

    return fmin(fmax(FLOOR_SHARE * noise * clip_norm / c->units, 1e-12), 1.0);
}

double fm_training_local_rate(uint64_t steps, uint64_t rounds)
{
    return fmin(LOCAL_RATE_MOST, LOCAL_PATH / ((double)steps * (double)rounds));
}

void fm_training_text_defaults(const fm_training_case *c, fm_training *out)
{
    const double units = c->no_privacy ? OPEN_TEXT_UNITS : TEXT_UNITS;

    *out = (fm_training){ .clip_norm = TEXT_CLIP_NORM,
                          .sampling_rate = fmin(1.0, fmax(TEXT_RATE, units / c->units)),
                          .rounds = c->no_privacy ? OPEN_TEXT_ROUNDS : TEXT_ROUNDS,
                          .rule = FM_OPTIM_ADAM,
                          .learning_rate =
                              c->no_privacy ? OPEN_TEXT_LEARNING_RATE : TEXT_LEARNING_RATE,
                          .momentum = 0.9,
                          .beta2 = 0.99,
                          .adam_epsilon = 1e-8,
                          .schedule = FM_OPTIM_COSINE,
                          .warmup = 0.05,
                          .final_rate = 0.1,
                          .clip_quantile = 0.5,
                          .clip_rate = 0.2,
                          .clip_share = 0.1 };
}

void fm_training_student_defaults(const fm_training_case *c, fm_training *out)
{
    const double passes = STUDENT_PASSES * c->units / STUDENT_UNITS;

    fm_training_text_defaults(c, out);
    out->sampling_rate = fmin(1.0, STUDENT_UNITS / c->units);
    out->rounds = (uint64_t)fmin(fmax(passes, STUDENT_ROUNDS_LEAST), 1e6);
    out->learning_rate = STUDENT_LEARNING_RATE;
    out->clip_norm = 1.0;
    out->clip_quantile = 0.9;
}

void fm_training_defaults(const fm_training_case *c, fm_training *out)
{
    /* A number's gradient is as long as it is far off, and clipped nearly always at first. */
    const double rate = c->number ? RATE / 2.0 : RATE;
    const double clip_norm = c->outputs > 1 ? CLIP_CLASSES : CLIP_NORM;

    *out = (fm_training){ .clip_norm = clip_norm,
                          .sampling_rate = 1.0,
                          .rounds = ROUNDS + (c->start ? 1 : 0),
                          .start = c->start,
                          .rule = FM_OPTIM_ADAM,
                          .learning_rate = rate,
                          .momentum = 0.9,
                          .beta2 = 0.9,
                          .adam_epsilon = adam_floor(c, clip_norm),
                          .averaging = 0.5,
                          .schedule = FM_OPTIM_CONSTANT,
                          .warmup = 0.0,
                          .final_rate = 0.0 };
}
