/* What PEFT calls the linear maps of these families. */
#include <stdio.h>
#include <string.h>

#include "decoder_adapter_internal.h"

#define PREFIX "base_model.model."

static const struct {
    unsigned map;
    const char *name;
} attention[] = {
    { FM_ADAPT_QUERY, "q_proj" },       { FM_ADAPT_QUERY, "q_b_proj" },
    { FM_ADAPT_KEY, "k_proj" },         { FM_ADAPT_VALUE, "v_proj" },
    { FM_ADAPT_QUERY_A, "q_a_proj" },   { FM_ADAPT_LATENT, "kv_a_proj_with_mqa" },
    { FM_ADAPT_LATENT_B, "kv_b_proj" }, { FM_ADAPT_OUTPUT, "o_proj" },
};
#define ATTENTION (sizeof attention / sizeof attention[0])

static const char *const parts[FM_ADAPTER_PARTS] = { "gate_proj", "up_proj", "down_proj" };

static bool queries_have_a_rank(const fm_decoder_config *c)
{
    return c->attention == FM_ATTENTION_LATENT && c->query_rank > 0;
}

/* Whether the i-th name is what this model calls the map. */
static bool called(const fm_decoder_config *c, size_t i)
{
    return attention[i].map != FM_ADAPT_QUERY ||
           (strcmp(attention[i].name, "q_b_proj") == 0) == queries_have_a_rank(c);
}

/* ---- the adapters of a decoder ---- */

typedef struct {
    const fm_decoder *d;
    fm_adapter_visit *visit;
    void *context;
    fm_adapter_module m;
} walk;

static fm_status give(walk *w, size_t layer, unsigned map, size_t part, size_t expert)
{
    if (!fm_decoder_adapter_at(w->d, layer, map, part, expert, &w->m.at))
        return FM_OK;
    return w->visit(w->context, &w->m);
}

static fm_status give_attention(walk *w, size_t layer)
{
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < ATTENTION; i++) {
        if (!called(fm_decoder_get_config(w->d), i))
            continue;
        (void)snprintf(w->m.name, sizeof w->m.name, "model.layers.%zu.self_attn.%s", layer,
                       attention[i].name);
        st = give(w, layer, attention[i].map, 0, 0);
    }
    return st;
}

static fm_status give_feed(walk *w, size_t layer, unsigned map, const char *within)
{
    fm_status st = FM_OK;

    for (size_t p = 0; st == FM_OK && p < FM_ADAPTER_PARTS; p++) {
        (void)snprintf(w->m.name, sizeof w->m.name, "model.layers.%zu.mlp.%s%s", layer, within,
                       parts[p]);
        st = give(w, layer, map, p, 0);
    }
    return st;
}

static fm_status give_experts(walk *w, size_t layer)
{
    const size_t experts = fm_decoder_get_config(w->d)->experts;
    fm_status st = FM_OK;

    for (size_t e = 0; st == FM_OK && e < experts; e++)
        for (size_t p = 0; st == FM_OK && p < FM_ADAPTER_PARTS; p++) {
            (void)snprintf(w->m.name, sizeof w->m.name, "model.layers.%zu.mlp.experts.%zu.%s",
                           layer, e, parts[p]);
            st = give(w, layer, FM_ADAPT_EXPERTS, p, e);
        }
    return st;
}

fm_status fm_adapter_each(const fm_decoder *d, fm_adapter_visit *visit, void *context)
{
    walk w = { .d = d, .visit = visit, .context = context };
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < fm_decoder_get_config(d)->layers; i++)
        if ((st = give_attention(&w, i)) == FM_OK &&
            (st = give_feed(&w, i, FM_ADAPT_DENSE, "")) == FM_OK &&
            (st = give_feed(&w, i, FM_ADAPT_SHARED, "shared_experts.")) == FM_OK)
            st = give_experts(&w, i);
    return st;
}

/* ---- names of tensors ---- */

void fm_adapter_tensor_name(const char *module, char which, char out[FM_ADAPTER_NAME + 40])
{
    (void)snprintf(out, FM_ADAPTER_NAME + 40, PREFIX "%s.lora_%c.weight", module, which);
}

/* ---- target_modules ---- */

fm_status fm_adapter_targets(const fm_decoder_config *c, unsigned maps,
                             fm_status (*visit)(void *context, const char *target), void *context)
{
    const size_t experts = maps & FM_ADAPT_EXPERTS ? c->experts : 0;
    char name[FM_ADAPTER_NAME];
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < ATTENTION; i++)
        if ((maps & attention[i].map) && called(c, i))
            st = visit(context, attention[i].name);
    for (size_t p = 0; st == FM_OK && p < FM_ADAPTER_PARTS; p++) {
        (void)snprintf(name, sizeof name, "mlp.%s", parts[p]);
        if (maps & FM_ADAPT_DENSE)
            st = visit(context, name);
        (void)snprintf(name, sizeof name, "shared_experts.%s", parts[p]);
        if (st == FM_OK && (maps & FM_ADAPT_SHARED))
            st = visit(context, name);
        for (size_t e = 0; st == FM_OK && e < experts; e++) {
            (void)snprintf(name, sizeof name, "experts.%zu.%s", e, parts[p]);
            st = visit(context, name);
        }
    }
    return st;
}
