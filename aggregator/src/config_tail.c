/* federation.yaml: what is counted beside the gradient, and the tail of the state that it moves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_internal.h"

#define BELOW_ONE 0.999999
/* When something is counted but nobody says how. */
#define LOAD_SHARE 0.1
#define BALANCE_RATE 0.02
#define CLIP_SHARE 0.05
#define CLIP_QUANTILE 0.5
#define CLIP_RATE 0.2

/* By the naming of fedmoe-model: the router of a group of experts, whose first dimension they are,
 * and what the group's load biases are called in a result. */
#define ROUTER ".router.weight"
#define LOAD_BIAS ".router.load_bias"

#define MAX_GROUPS 16
#define MAX_EXPERTS 256

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), k = strlen(end);

    return n >= k && strcmp(name + n - k, end) == 0;
}

/* Groups of experts in the model's file. */
static fm_status count_experts(const fm_yaml_node *at, const fm_safetensors *s, fm_plan *p)
{
    size_t groups = 0, experts = 0;

    for (size_t i = 0; i < fm_safetensors_count(s); i++) {
        const fm_tensor_view *t = fm_safetensors_at(s, i);

        if (!ends_with(t->name, ROUTER) || t->dims < 1)
            continue;
        if (groups > 0 && t->shape[0] != experts)
            return fm_yaml_fail(at, "the model's blocks have different numbers of experts");
        experts = t->shape[0];
        groups++;
    }
    if (groups < 1 || groups > MAX_GROUPS || experts < 2 || experts > MAX_EXPERTS)
        return fm_yaml_fail(at,
                            "the model has no experts to balance, or more than %d blocks of "
                            "%d",
                            MAX_GROUPS, MAX_EXPERTS);
    p->load_groups = (uint32_t)groups;
    p->load_experts = (uint32_t)experts;
    return FM_OK;
}

static fm_status read_balance(const fm_yaml_node *training, const fm_training *d,
                              const fm_safetensors *model, fm_plan *p)
{
    static const char *const keys[] = { "share", "rate", NULL };
    const fm_yaml_node *m = NULL;
    const double share = d->load_share > 0.0 ? d->load_share : LOAD_SHARE;
    const double rate = d->load_share > 0.0 ? d->balance_rate : BALANCE_RATE;
    fm_status st;

    if (!fm_yaml_find(training, "balance")) {
        if (!(d->load_share > 0.0))
            return FM_OK;
        if (count_experts(training, model, p) != FM_OK) {
            fm_error_clear(); /* a model without experts needs no balance */
            return FM_OK;
        }
        p->load_share = share;
        p->balance_rate = rate;
        return FM_OK;
    }
    if ((st = fm_yaml_get_map(training, "balance", &m)) != FM_OK ||
        (st = fm_yaml_check_keys(m, keys)) != FM_OK ||
        (st = fm_yaml_get_double_or(m, "share", 0.0, 0.5, share, &p->load_share)) != FM_OK ||
        (st = fm_yaml_get_double_or(m, "rate", 0.0, 1.0, rate, &p->balance_rate)) != FM_OK)
        return st;
    if (p->load_share > 0.0)
        return count_experts(m, model, p);
    if (fm_yaml_find(m, "rate"))
        return fm_yaml_fail(fm_yaml_find(m, "rate"),
                            "rate has no use with share: 0, by which nothing is counted; leave it "
                            "out, or give share above 0");
    p->balance_rate = 0.0;
    return FM_OK;
}

static fm_status read_adaptive(const fm_yaml_node *privacy, const fm_training *d, fm_plan *p)
{
    static const char *const keys[] = { "quantile", "rate", "share", NULL };
    const bool usual = d->clip_quantile > 0.0;
    const fm_yaml_node *m = NULL;
    fm_status st;

    if (!fm_yaml_find(privacy, "adaptive_clip")) {
        p->clip_quantile = d->clip_quantile;
        p->clip_rate = d->clip_rate;
        p->clip_share = d->clip_share;
        return FM_OK;
    }
    if ((st = fm_yaml_get_map(privacy, "adaptive_clip", &m)) != FM_OK ||
        (st = fm_yaml_check_keys(m, keys)) != FM_OK ||
        (st = fm_yaml_get_double_or(m, "quantile", 0.0, BELOW_ONE,
                                    usual ? d->clip_quantile : CLIP_QUANTILE, &p->clip_quantile)) !=
            FM_OK ||
        (st = fm_yaml_get_double_or(m, "rate", 0.0, 2.0, usual ? d->clip_rate : CLIP_RATE,
                                    &p->clip_rate)) != FM_OK ||
        (st = fm_yaml_get_double_or(m, "share", 1e-3, 0.5, usual ? d->clip_share : CLIP_SHARE,
                                    &p->clip_share)) != FM_OK)
        return st;
    if (p->clip_quantile > 0.0)
        return FM_OK;
    p->clip_rate = p->clip_share = 0.0; /* a fixed clip norm, said so */
    for (size_t i = 1; i < 3; i++)
        if (fm_yaml_find(m, keys[i]))
            return fm_yaml_fail(fm_yaml_find(m, keys[i]),
                                "%s has no use with quantile: 0, which is a fixed clip norm "
                                "without votes; leave it out, or give quantile above 0",
                                keys[i]);
    return FM_OK;
}

/* ---- the state vector: behind the weights ---- */

/* Load biases that the model's file has already: all behind its weights. */
static fm_status count_biases(const fm_safetensors *s, size_t *out)
{
    size_t found = 0;

    for (size_t i = 0; i < fm_safetensors_count(s); i++) {
        if (ends_with(fm_safetensors_at(s, i)->name, LOAD_BIAS))
            found++;
        else if (found > 0)
            return fm_fail(FM_EPROTO, "the model's load biases are not its last tensors");
    }
    *out = found;
    return FM_OK;
}

static fm_status name_biases(const fm_safetensors *s, char *names[MAX_GROUPS])
{
    size_t group = 0;

    for (size_t i = 0; i < fm_safetensors_count(s) && group < MAX_GROUPS; i++) {
        const char *name = fm_safetensors_at(s, i)->name;

        if (!ends_with(name, ROUTER))
            continue;
        if (asprintf(&names[group], "%.*s" LOAD_BIAS, (int)(strlen(name) - strlen(ROUTER)), name) <
            0) {
            names[group] = NULL; /* asprintf leaves it undefined */
            return fm_fail(FM_ENOMEM, "no memory for the names of load biases");
        }
        group++;
    }
    return FM_OK;
}

/* The tail starts at zero. */
static fm_tensor_view zero_view(const char *name, size_t n)
{
    static const float zeros[MAX_EXPERTS];

    return (fm_tensor_view){ .name = name,
                             .dtype = "F32",
                             .dims = 1,
                             .shape = { n },
                             .data = (const uint8_t *)zeros,
                             .bytes = n * sizeof(float) };
}

static fm_status add_tail(fm_aggregator_config *c, size_t groups)
{
    fm_tensor_view tail[MAX_GROUPS + 4];
    char *names[MAX_GROUPS] = { 0 };
    const fm_plan *p = &c->plan;
    size_t count = 0;
    fm_status st = groups > 0 ? name_biases(c->model, names) : FM_OK;

    for (; count < groups; count++)
        tail[count] = zero_view(names[count], p->load_experts);
    if (p->clip_quantile > 0.0)
        tail[count++] = zero_view(FM_CONFIG_CLIP_TENSOR, 1);
    if (p->patience > 0)
        tail[count++] = zero_view(FM_CONFIG_HELD_TENSOR, 2);
    if (p->held_bins > 0)
        tail[count++] = zero_view(FM_CONFIG_SCORES_TENSOR, 2 * (size_t)p->held_bins);
    if (p->start_scale > 0.0)
        tail[count++] = zero_view(FM_CONFIG_PHASE_TENSOR, 1);
    if (st == FM_OK && count > 0)
        st = fm_config_extend_model(c, tail, count);
    for (size_t i = 0; i < MAX_GROUPS; i++)
        free(names[i]);
    return st;
}

static fm_status make_tail(const fm_yaml_node *training, fm_aggregator_config *c)
{
    const fm_plan *p = &c->plan;
    size_t there = 0;
    fm_status st = count_biases(c->model, &there);

    if (st != FM_OK)
        return st;
    if (there > 0 && there != p->load_groups)
        return fm_yaml_fail(training,
                            "the model has load biases of its experts: say in training.balance how "
                            "they are to go on (rate: 0 keeps them)");
    return add_tail(c, there > 0 ? 0 : p->load_groups);
}

fm_status fm_config_read_tail(const fm_yaml_node *root, const fm_training *defaults, size_t outputs,
                              fm_aggregator_config *c)
{
    const fm_yaml_node *training = fm_yaml_find(root, "training");
    fm_plan *p = &c->plan;
    fm_status st;

    if (!training)
        training = root;
    if ((st = read_balance(training, defaults, c->model, p)) != FM_OK ||
        (st = read_adaptive(fm_yaml_find(root, "privacy"), defaults, p)) != FM_OK ||
        (st = fm_config_read_early_stop(training, outputs, p)) != FM_OK ||
        (st = make_tail(training, c)) != FM_OK)
        return st;
    return fm_config_plan_weights(c);
}
