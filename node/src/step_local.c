#include "step_local.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/memory.h"
#include "fedmoe/dp/local.h"
#include "fedmoe/optim/local.h"

struct fm_node_local {
    fm_dp_local *steps;
    fm_local_rule rule;
    uint32_t count;   /* steps of a round */
    size_t n;         /* values of the state */
    size_t clip;      /* where the clip norm is in it; n: it is fixed */
    size_t phase;     /* likewise the phase; n: there is none */
    float *state;     /* [n] the node's own model */
    float *noised;    /* [n] of the step under way */
    float *mean;      /* [n] of the round's gradients */
    bool mean_is_one; /* it is of gradients, and of a whole round */
};

static fm_status take(size_t n, float **out)
{
    void *p = NULL;
    fm_status st = fm_alloc(n, sizeof **out, &p);

    if (st == FM_OK)
        *out = p;
    return st;
}

fm_status fm_node_local_new(const fm_plan *plan, const fm_dp_lattice *lattice, fm_node_local **out)
{
    const fm_train_tail tail = fm_node_plan_tail(plan);
    fm_node_local *l = NULL;
    void *p = NULL;
    fm_status st = fm_alloc(1, sizeof *l, &p);

    if (st != FM_OK)
        return st;
    l = p;
    l->count = fm_plan_steps(plan);
    l->n = plan->parameters;
    l->phase = tail.start ? l->n - 1 : l->n;
    l->clip = tail.clip_norm ? l->n - 1 - tail.start : l->n;
    l->rule = (fm_local_rule){ .rate = plan->local_rate,
                               .divisor = fm_plan_local_units(plan),
                               .ratio = 1.0,
                               .proximal = plan->proximal,
                               .weights = l->n - fm_plan_tail(plan),
                               .center = plan->start_center,
                               .center_count = plan->start_count };
    if ((st = fm_dp_local_new(lattice, l->n, &l->steps)) != FM_OK ||
        (st = take(l->n, &l->state)) != FM_OK || (st = take(l->n, &l->noised)) != FM_OK ||
        (st = take(l->n, &l->mean)) != FM_OK)
        fm_node_local_free(&l);
    else
        *out = l;
    return st;
}

static void wipe(float *v, size_t n)
{
    if (v)
        sodium_memzero(v, n * sizeof *v);
}

/* Noised or not: a round that was not released has not been paid for. */
static void forget(fm_node_local *l)
{
    fm_dp_local_reset(l->steps);
    wipe(l->state, l->n);
    wipe(l->noised, l->n);
    wipe(l->mean, l->n);
    l->mean_is_one = false;
}

void fm_node_local_free(fm_node_local **l)
{
    if (!l || !*l)
        return;
    forget(*l);
    fm_dp_local_free(&(*l)->steps);
    free((*l)->state);
    free((*l)->noised);
    free((*l)->mean);
    free(*l);
    *l = NULL;
}

/* One noised sum, and in a round of gradients the own model's move by it. */
static fm_status step(fm_node_local *l, fm_train_step *train, const fm_dp_shares *shares,
                      const fm_node_step_input *in, bool gradients, size_t *dropped)
{
    const fm_train_step_input input = { .state = l->state,
                                        .rng = in->rng,
                                        .keepalive = in->keepalive,
                                        .keepalive_ctx = in->keepalive_ctx };
    fm_dp_sum *sum = NULL;
    fm_status st = fm_train_step_run(train, &input, &sum);

    if (st != FM_OK)
        return st;
    *dropped += fm_dp_sum_units_dropped(sum);
    if ((st = fm_dp_local_step(l->steps, sum, shares, in->rng, l->noised)) != FM_OK || !gradients)
        return st;
    for (size_t i = 0; i < l->n; i++)
        l->mean[i] +=
            (float)((double)l->noised[i] / l->rule.divisor * l->rule.ratio / (double)l->count);
    return fm_local_move(&l->rule, in->model, l->noised, in->correction, l->state);
}

fm_status fm_node_local_run(fm_node_local *l, fm_train_step *train, const fm_dp_shares *shares,
                            const fm_node_step_input *in, size_t *dropped, fm_dp_release **out)
{
    const bool gradients = l->phase == l->n || in->model[l->phase] != 0.0f;
    fm_status st = FM_OK;

    if (in->canaries)
        return fm_fail(FM_EINVAL, "an audit has one step a round: each local step is one to it");
    forget(l);
    *dropped = 0;
    memcpy(l->state, in->model, l->n * sizeof *l->state);
    l->rule.ratio = l->clip < l->n ? exp((double)in->model[l->clip]) : 1.0;
    for (uint32_t i = 0; st == FM_OK && i < l->count; i++)
        st = step(l, train, shares, in, gradients, dropped);
    if (st == FM_OK)
        st = fm_dp_local_release(l->steps, in->pairs, in->round, in->rng, out);
    wipe(l->noised, l->n);
    if (st != FM_OK)
        forget(l);
    l->mean_is_one = st == FM_OK && gradients;
    return st;
}

const float *fm_node_local_mean(const fm_node_local *l)
{
    return l->mean_is_one ? l->mean : NULL;
}

const float *fm_node_local_moved(const fm_node_local *l)
{
    return l->state;
}
