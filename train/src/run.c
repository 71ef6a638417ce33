#include "fedmoe/train/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/dp/mask.h"
#include "fedmoe/train/sample.h"

typedef struct {
    const fm_train_run_spec *spec;
    fm_learner_facts facts;
    fm_dp_lattice lattice;
    fm_train_tail tail;
    fm_train_step *step;
    fm_optimizer *optimizer;
    fm_dp_shares *shares;
    size_t n;        /* values of the state */
    float *gradient; /* [n] decoded noised sum; before that, the state's first values */
} run;

fm_dp_mechanism fm_train_mechanism(const fm_training *t, double noise_multiplier)
{
    return (fm_dp_mechanism){ .noise_multiplier = noise_multiplier,
                              .sampling_rate = t->sampling_rate,
                              .count = t->rounds,
                              .kind = FM_DP_GAUSSIAN };
}

fm_status fm_train_calibrate(const fm_training *t, double epsilon, double delta,
                             double *noise_multiplier, double *spent)
{
    const double goal = epsilon * (1.0 - FM_DP_TIGHTNESS);
    fm_dp_mechanism m = fm_train_mechanism(t, FM_DP_MIN_NOISE_MULTIPLIER);
    double cost = INFINITY;
    fm_status st;

    if (epsilon >= FM_TRAINING_NO_PRIVACY) {
        *noise_multiplier = 0.0;
        *spent = INFINITY;
        return FM_OK;
    }
    if ((st = fm_dp_epsilon(&m, 1, delta, &cost)) != FM_OK)
        return st;
    if (cost > goal && ((st = fm_dp_calibrate(goal, delta, t->sampling_rate, t->rounds,
                                              &m.noise_multiplier)) != FM_OK ||
                        (st = fm_dp_epsilon(&m, 1, delta, &cost)) != FM_OK))
        return st;
    *noise_multiplier = m.noise_multiplier;
    *spent = cost;
    return FM_OK;
}

/* ---- what it takes ---- */

static fm_status make_step(run *r)
{
    const fm_train_run_spec *s = r->spec;
    const fm_training *t = s->training;
    const fm_dp_lattice_spec lattice = { .clip_norm = t->clip_norm,
                                         .noise_multiplier = s->noise_multiplier,
                                         .max_units = s->max_units,
                                         .nodes = 1,
                                         .quorum = 1,
                                         .encoding = s->encoding };
    const fm_train_step_spec step = { .learner = s->learner,
                                      .lattice = &r->lattice,
                                      .sampling_rate = t->sampling_rate,
                                      .unit_rows = s->unit_rows,
                                      .tail = r->tail,
                                      .load_share = t->load_share,
                                      .clip_share = t->clip_share,
                                      .threads = s->threads };
    fm_status st;

    if ((st = fm_dp_lattice_make(&lattice, &r->lattice)) != FM_OK ||
        (st = fm_train_step_new(&step, &r->step)) != FM_OK)
        return st;
    r->n = fm_train_step_length(r->step);
    return FM_OK;
}

static fm_status vote_of(const run *r, double *out)
{
    const fm_training *t = r->spec->training;
    fm_dp_parts parts;
    fm_status st = fm_dp_parts_make(&r->lattice, t->load_share, t->clip_share, &parts);

    if (st == FM_OK)
        *out = (double)parts.vote / r->lattice.unit_scale;
    return st;
}

/* The noise on a decoded coordinate is that of a plan's counted noise: there is one party. */
static void add_start(const run *r, fm_optimizer_spec *spec)
{
    const fm_tabular_start *start = &r->facts.start;

    spec->start_center = start->center;
    spec->start_count = start->count;
    if (!r->tail.start)
        return;
    spec->start_bias = start->bias;
    spec->start_scale = start->bias_scale;
    spec->start_norm = r->spec->training->clip_norm;
    spec->start_noise = r->spec->noise_multiplier * r->spec->training->clip_norm;
}

static fm_status make_optimizer(run *r)
{
    const fm_training *t = r->spec->training;
    fm_optimizer_spec spec = { .rule = t->rule,
                               .learning_rate = t->learning_rate,
                               .momentum = t->momentum,
                               .beta2 = t->beta2,
                               .adam_epsilon = t->adam_epsilon,
                               .schedule = t->schedule,
                               .warmup = t->warmup,
                               .final_rate = t->final_rate,
                               .averaging = t->averaging,
                               .rounds = t->rounds,
                               .divisor = t->sampling_rate * r->spec->units,
                               .load_groups = r->tail.load_groups,
                               .load_experts = r->tail.load_experts,
                               .balance_rate = t->balance_rate,
                               .clip_quantile = t->clip_quantile,
                               .clip_rate = t->clip_rate };
    fm_status st;

    add_start(r, &spec);
    if ((st = vote_of(r, &spec.clip_vote)) != FM_OK ||
        (st = fm_alloc(r->n, sizeof *r->gradient, (void **)&r->gradient)) != FM_OK)
        return st;
    /* The tail starts at zero. */
    memcpy(r->gradient, r->spec->weights,
           (r->n - fm_train_tail_length(&r->tail)) * sizeof *r->gradient);
    return fm_optimizer_new(&spec, r->gradient, r->n, &r->optimizer);
}

/* ---- a round ---- */

static fm_status run_round(run *r, uint64_t number)
{
    const fm_train_step_input in = { .state = r->optimizer->weights, .rng = r->spec->rng };
    fm_dp_sum *sum = NULL;
    fm_status st;

    if ((st = fm_train_step_run(r->step, &in, &sum)) == FM_OK &&
        (st = fm_dp_sum_open_alone(sum, r->shares, r->spec->rng, r->gradient)) == FM_OK)
        st = fm_optimizer_step(r->optimizer, r->gradient, r->n);
    return st == FM_OK ? st : fm_fail_context(st, "round %llu: ", (unsigned long long)number);
}

static void close_run(run *r)
{
    fm_train_step_free(&r->step);
    fm_optimizer_free(&r->optimizer);
    fm_dp_shares_free(&r->shares);
    if (r->gradient) /* without noise it is of records */
        sodium_memzero(r->gradient, r->n * sizeof *r->gradient);
    free(r->gradient);
}

/* A model whose records all go everywhere has no loads to count. */
static fm_train_tail tail_of(const fm_train_run_spec *s)
{
    const fm_tabular_config *m = s->learner.tabular;
    fm_train_tail tail = { .clip_norm = s->training->clip_quantile > 0.0,
                           .start = s->training->start };

    if (m && s->training->load_share > 0.0 && m->width > 0 && m->top_k < m->experts) {
        tail.load_groups = m->blocks;
        tail.load_experts = m->experts;
    }
    return tail;
}

static fm_status begin(run *r)
{
    const fm_train_run_spec *s = r->spec;
    fm_status st;

    if (!s || !s->training || !s->rng || !(s->units >= 1.0) || !(s->noise_multiplier >= 0.0))
        return fm_fail(FM_EINVAL, "training: an argument is missing or out of range");
    if ((st = fm_learner_describe(&s->learner, s->unit_rows, &r->facts)) != FM_OK)
        return st;
    if (r->facts.units.units > s->max_units)
        return fm_fail(FM_EINVAL,
                       "training: there are %zu privacy units, more than the %u that a "
                       "step may sum",
                       r->facts.units.units, s->max_units);
    r->tail = tail_of(s);
    return FM_OK;
}

static size_t length_of(const run *r)
{
    return r->facts.parameters + r->tail.load_groups * r->tail.load_experts;
}

fm_status fm_train_run_length(const fm_train_run_spec *spec, size_t *n)
{
    run r = { .spec = spec };
    fm_status st = begin(&r);

    if (st == FM_OK)
        *n = length_of(&r);
    return st;
}

/* The state up to the clip norm's place. */
static void give(const run *r, float *weights, double *clip_norm)
{
    fm_optimizer_result(r->optimizer, r->gradient);
    memcpy(weights, r->gradient, length_of(r) * sizeof *weights);
    if (clip_norm)
        *clip_norm = fm_train_clip_norm(&r->tail, r->spec->training->clip_norm, r->gradient, r->n);
}

fm_status fm_train_run(const fm_train_run_spec *spec, float *weights, size_t n, double *clip_norm)
{
    run r = { .spec = spec };
    fm_status st = begin(&r);

    if (st != FM_OK)
        return st;
    if (!weights || !spec->weights || n != length_of(&r))
        return fm_fail(FM_EINVAL, "training: no first weights, or no room for the last ones");
    if ((st = make_step(&r)) == FM_OK && (st = make_optimizer(&r)) == FM_OK)
        st = fm_dp_shares_new(&r.lattice, 1, &r.shares);
    for (uint64_t i = 1; st == FM_OK && i <= spec->training->rounds; i++) {
        st = run_round(&r, i);
        if (st == FM_OK && spec->progress)
            spec->progress(spec->progress_ctx, i);
    }
    if (st == FM_OK)
        give(&r, weights, clip_norm);
    close_run(&r);
    return st;
}

fm_status fm_train_run_tabular(const fm_train_run_spec *spec, fm_tabular *result)
{
    float *weights = NULL;
    double clip_norm = 0.0;
    size_t n = 0;
    fm_status st;

    if (!result)
        return fm_fail(FM_EINVAL, "training: no room for the result");
    if ((st = fm_train_run_length(spec, &n)) != FM_OK ||
        (st = fm_alloc(n, sizeof *weights, (void **)&weights)) != FM_OK)
        return st;
    if ((st = fm_train_run(spec, weights, n, &clip_norm)) == FM_OK &&
        (st = fm_train_weights_set(result, weights, n)) == FM_OK)
        st = fm_tabular_set_clip_norm(result, clip_norm);
    sodium_memzero(weights, n * sizeof *weights); /* without noise they are of records */
    free(weights);
    return st;
}
