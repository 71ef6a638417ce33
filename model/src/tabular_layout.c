/* Which tensors a configuration has, and where each lies in the flat vector. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tabular_internal.h"

static void tensor(fm_layout *l, size_t dims, size_t rows, size_t columns, const char *prefix,
                   const char *name, size_t *offset)
{
    fm_tensor_entry *t = &l->tensors[l->tensor_count++];

    /* The longest name fits: two numbers and 40 letters. */
    (void)snprintf(t->name, sizeof t->name, "%s%s", prefix, name);
    t->dims = dims;
    t->shape[0] = rows;
    t->shape[1] = columns;
    t->elements = rows * columns;
    t->offset = *offset = l->parameters;
    l->parameters += t->elements;
}

typedef struct {
    const char *weight, *bias; /* names; NULL: none */
    double weight_scale, bias_scale, spread;
} map_spec;

/* A weight or bias whose multiplier is 0 is left out. @return the new map. */
static fm_linear *map(fm_layout *l, size_t out, size_t in, const char *prefix, const map_spec *s)
{
    fm_linear *m = &l->linears[l->linear_count++];

    *m = (fm_linear){ .in = in,
                      .out = out,
                      .weight = FM_ABSENT,
                      .bias = FM_ABSENT,
                      .weight_scale = s->weight_scale,
                      .bias_scale = s->bias_scale,
                      .spread = s->spread };
    if (s->weight_scale > 0.0)
        tensor(l, 2, out, in, prefix, s->weight, &m->weight);
    if (s->bias && s->bias_scale > 0.0)
        tensor(l, 1, out, 1, prefix, s->bias, &m->bias);
    return m;
}

static fm_expert_maps expert(fm_layout *l, const fm_tabular_config *c, size_t hidden,
                             const char *prefix)
{
    const fm_tabular_multipliers *k = &c->multipliers;
    const map_spec in = { "w1", "b1", k->hidden, k->hidden_bias, c->spread.hidden };
    const map_spec out = { "w2", "b2", k->output, k->output_bias, c->spread.output };
    fm_expert_maps e;

    e.hidden = map(l, hidden, c->width, prefix, &in);
    e.output = map(l, c->width, hidden, prefix, &out);
    return e;
}

static void block(fm_layout *l, const fm_tabular_config *c, size_t i)
{
    const fm_tabular_multipliers *k = &c->multipliers;
    const map_spec router = { "router.weight", "router.bias", k->router, k->router_bias,
                              c->spread.router };
    fm_block_maps *b = &l->blocks[i];
    char prefix[FM_TABULAR_MAX_NAME - 16];

    b->experts = l->expert_maps + i * c->experts;
    (void)snprintf(prefix, sizeof prefix, "blocks.%zu.", i);
    b->router = map(l, c->experts, c->width, prefix, &router);
    b->shared_present = c->shared_hidden > 0;
    if (b->shared_present) {
        (void)snprintf(prefix, sizeof prefix, "blocks.%zu.shared.", i);
        b->shared = expert(l, c, c->shared_hidden, prefix);
    }
    for (size_t e = 0; e < c->experts; e++) {
        (void)snprintf(prefix, sizeof prefix, "blocks.%zu.experts.%zu.", i, e);
        b->experts[e] = expert(l, c, c->expert_hidden, prefix);
    }
}

fm_status fm_layout_make(const fm_tabular_config *c, fm_layout *out)
{
    const fm_tabular_multipliers *k = &c->multipliers;
    const map_spec skip = { "linear.weight", "linear.bias", k->linear, k->bias, 0.0 };
    const map_spec embed = { "embed.weight", NULL, k->embed, 0.0, c->spread.embed };
    const map_spec head = { "head.weight", NULL, k->head, 0.0, c->spread.head };
    const size_t blocks = c->width ? c->blocks : 0;
    const size_t most = 3 + blocks * (1 + 2 * (c->experts + 1));
    fm_layout l = { .center = FM_ABSENT };
    fm_status st = fm_alloc(most, sizeof *l.linears, (void **)&l.linears);

    if (!st)
        st = fm_alloc(2 * most + 1, sizeof *l.tensors, (void **)&l.tensors);
    if (!st && blocks)
        st = fm_alloc(blocks, sizeof *l.blocks, (void **)&l.blocks);
    if (!st && blocks)
        st = fm_alloc(blocks * c->experts, sizeof *l.expert_maps, (void **)&l.expert_maps);
    if (st) {
        fm_layout_fini(&l);
        return st;
    }

    l.skip = map(&l, c->outputs, c->features, "", &skip);
    if (c->width) {
        l.embed = map(&l, c->width, c->features, "", &embed);
        for (size_t i = 0; i < blocks; i++)
            block(&l, c, i);
        l.head = map(&l, c->outputs, c->width, "", &head);
    }
    if (c->center)
        tensor(&l, 1, c->features, 1, "", "features.center", &l.center);
    *out = l;
    return FM_OK;
}

void fm_layout_fini(fm_layout *l)
{
    free(l->linears);
    free(l->tensors);
    free(l->blocks);
    free(l->expert_maps);
    *l = (fm_layout){ 0 };
}

fm_status fm_tabular_parameters(const fm_tabular_config *c, size_t *out)
{
    fm_layout l;
    fm_status st;

    if (!c || !out)
        return fm_fail(FM_EINVAL, "model: an argument is missing");
    if ((st = fm_tabular_config_check(c)) || (st = fm_layout_make(c, &l)))
        return st;
    *out = l.parameters;
    fm_layout_fini(&l);
    return FM_OK;
}

fm_status fm_tabular_start_of(const fm_tabular_config *c, fm_tabular_start *out)
{
    fm_layout l;
    fm_status st;

    if (!c || !out)
        return fm_fail(FM_EINVAL, "model: an argument is missing");
    if ((st = fm_tabular_config_check(c)) || (st = fm_layout_make(c, &l)))
        return st;
    *out = (fm_tabular_start){ 0 };
    if (c->center)
        *out = (fm_tabular_start){ .center = l.center,
                                   .count = c->features,
                                   .bias = l.skip->bias,
                                   .bias_scale = c->multipliers.bias };
    fm_layout_fini(&l);
    return FM_OK;
}

fm_status fm_tabular_active_parameters(const fm_tabular_config *c, size_t *out)
{
    fm_tabular_config active;

    if (!c || !out)
        return fm_fail(FM_EINVAL, "model: an argument is missing");
    fm_status st = fm_tabular_config_check(c);
    size_t parameters;

    if (st)
        return st;
    /* The router scores every expert; of the experts themselves only k are touched. */
    active = *c;
    active.experts = c->top_k;
    if ((st = fm_tabular_parameters(&active, &parameters)))
        return st;
    if (c->width)
        parameters += c->blocks * (c->experts - c->top_k) *
                      (c->width + (c->multipliers.router_bias > 0.0 ? 1 : 0));
    *out = parameters;
    return FM_OK;
}
