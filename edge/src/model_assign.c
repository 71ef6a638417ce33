/* Where each of a layer's tensors lies: from offsets of the flat vector to fields. */
#include <stddef.h>
#include <stdlib.h>

#include "model_internal.h"

#define FIELD(name)                                                     \
    {                                                                   \
        offsetof(fm_decoder_layer, name), offsetof(fm_edge_layer, name) \
    }

typedef struct {
    size_t from, to;
} field;

static const field maps[] = {
    FIELD(query),  FIELD(key),         FIELD(value),     FIELD(query_a),     FIELD(query_b),
    FIELD(latent), FIELD(latent_b),    FIELD(output),    FIELD(gate),        FIELD(up),
    FIELD(down),   FIELD(shared_gate), FIELD(shared_up), FIELD(shared_down),
};
static const field vectors[] = {
    FIELD(input_norm),   FIELD(post_norm),   FIELD(query_bias),  FIELD(key_bias),
    FIELD(value_bias),   FIELD(query_norm),  FIELD(key_norm),    FIELD(query_a_bias),
    FIELD(query_a_norm), FIELD(latent_bias), FIELD(latent_norm), FIELD(output_bias),
    FIELD(router),       FIELD(correction),
};

static int compare_offset(const void *key, const void *item)
{
    const size_t at = *(const size_t *)key;
    const fm_edge_slot *slot = item;

    return at < slot->offset ? -1 : at > slot->offset;
}

/* An absent tensor has no slot: the result is one without map and values. */
static fm_edge_slot slot_at(const fm_edge_model *m, size_t offset)
{
    const fm_edge_slot *found =
        bsearch(&offset, m->slots, m->count, sizeof *m->slots, compare_offset);

    return found ? *found : (fm_edge_slot){ 0 };
}

static void assign_layer(const fm_edge_model *m, const fm_decoder_layer *from, fm_edge_layer *to)
{
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        const size_t at = *(const size_t *)((const char *)from + maps[i].from);

        *(fm_edge_map *)((char *)to + maps[i].to) = slot_at(m, at).map;
    }
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const size_t at = *(const size_t *)((const char *)from + vectors[i].from);

        *(const float **)((char *)to + vectors[i].to) = slot_at(m, at).f32;
    }
}

static void assign_experts(const fm_edge_model *m, const fm_decoder_layer *from, fm_edge_expert *to)
{
    for (size_t e = 0; e < m->config.experts; e++) {
        const size_t at = e * from->expert_stride;

        to[e].gate = slot_at(m, from->expert_gate + at).map;
        to[e].up = slot_at(m, from->expert_up + at).map;
        to[e].down = slot_at(m, from->expert_down + at).map;
    }
}

fm_status fm_edge_assign(fm_edge_model *m)
{
    const fm_decoder_config *c = &m->config;
    void *fresh;
    fm_status st;

    if ((st = fm_alloc(c->layers, sizeof *m->layers, &fresh)) != FM_OK)
        return st;
    m->layers = fresh;
    if ((st = fm_alloc(c->layers * c->experts, sizeof *m->experts, &fresh)) != FM_OK)
        return st;
    m->experts = fresh;
    for (size_t i = 0; i < c->layers; i++) {
        assign_layer(m, &m->layout.layer[i], &m->layers[i]);
        if (i >= c->dense_layers)
            assign_experts(m, &m->layout.layer[i], &m->experts[i * c->experts]);
    }
    m->embedding = slot_at(m, m->layout.embedding).map;
    m->head = slot_at(m, m->layout.head).map;
    m->last_norm = slot_at(m, m->layout.norm).f32;
    return FM_OK;
}
