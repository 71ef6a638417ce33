#include "fedmoe/train/state.h"

#include <math.h>

#include "fedmoe/optim/auc.h"

fm_status fm_train_tail_check(const fm_train_tail *t, const fm_tabular_config *model)
{
    if (t->start && !model->center)
        return fm_fail(FM_EINVAL, "a statistics round is asked for; the model has no center");
    if (t->held_bins > 0 && !fm_auc_bins_ok(t->held_bins))
        return fm_fail(FM_EINVAL, "scores of units held out in %zu bins: must be a power of two",
                       t->held_bins);
    if (t->held_bins > 0 && (!t->held || !fm_tabular_has_scores(model)))
        return fm_fail(FM_EINVAL, "scores of units that are held out are asked for: they are of "
                                  "models of two classes, where units are held out");
    if (t->load_groups == 0)
        return FM_OK;
    if (model->width == 0 || t->load_groups != model->blocks || t->load_experts != model->experts)
        return fm_fail(FM_EINVAL,
                       "loads of %zu blocks of %zu experts are to be counted; the model has %zu of "
                       "%zu",
                       t->load_groups, t->load_experts, model->width ? model->blocks : (size_t)0,
                       model->experts);
    if (model->top_k >= model->experts)
        return fm_fail(FM_EINVAL,
                       "the model sends every record to every expert: there are no loads "
                       "to count");
    return FM_OK;
}

fm_status fm_train_state_set(fm_tabular *m, const fm_train_tail *t, const float *state, size_t n)
{
    const size_t tail = fm_train_tail_length(t), biases = t->load_groups * t->load_experts;
    fm_status st;

    if (n < tail)
        return fm_fail(FM_EINVAL, "the state has %zu values, fewer than its tail", n);
    if ((st = fm_tabular_set(m, state, n - tail)) != FM_OK || biases == 0)
        return st;
    return fm_tabular_set_load_bias(m, state + (n - tail), biases);
}

double fm_train_clip_norm(const fm_train_tail *t, double clip_norm, const float *state, size_t n)
{
    const size_t behind = (t->held ? 2u : 0u) + 2u * t->held_bins + (t->start ? 1u : 0u);

    return t->clip_norm && n > behind ? clip_norm * exp((double)state[n - 1 - behind]) : clip_norm;
}

fm_status fm_train_weights_set(fm_tabular *m, const float *weights, size_t n)
{
    const fm_tabular_config *c = fm_tabular_get_config(m);
    fm_train_tail tail = { 0 };
    size_t parameters = 0;
    fm_status st = fm_tabular_parameters(c, &parameters);

    if (st != FM_OK)
        return st;
    if (n != parameters && c->width > 0)
        tail = (fm_train_tail){ .load_groups = c->blocks, .load_experts = c->experts };
    return fm_train_state_set(m, &tail, weights, n);
}
