/*
 * What a decoder language model is: one configuration for the families OLMoE, GraniteMoE,
 * DeepSeek-V2 and DeepSeek-V3, and where each of their tensors lies in one flat vector.
 *
 *   x_0 = embedding_multiplier * E[token]                                          [D]
 *   x   = x + residual_multiplier * attention(norm(x))       per layer
 *   x   = x + residual_multiplier * feed_forward(norm(x))    dense, or experts
 *   z   = W_head norm(x) / logits_divisor                                          [V]
 *
 * Sources: OLMoE (Muennighoff et al. 2024, arXiv:2409.02060), Granite 3.0 (IBM 2024), DeepSeek-V2
 * (2024, arXiv:2405.04434, sections 2.1 and 2.2), DeepSeek-V3 (2024, arXiv:2412.19437, section 2.1),
 * YaRN (Peng et al. 2023, arXiv:2309.00071). What the fields are called in config.json: docs/text.md.
 */
#ifndef FEDMOE_MODEL_DECODER_CONFIG_H
#define FEDMOE_MODEL_DECODER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/memory.h"

typedef enum {
    FM_DECODER_OLMOE,
    FM_DECODER_GRANITEMOE,
    FM_DECODER_DEEPSEEK_V2,
    FM_DECODER_DEEPSEEK_V3,
} fm_decoder_family;

typedef enum {
    FM_ATTENTION_GROUPED, /* queries, keys, values each a projection; groups of heads share keys */
    FM_ATTENTION_LATENT, /* MLA: keys and values from one latent, positions in a part of their own */
} fm_attention;

typedef enum {
    FM_ROUTER_SOFTMAX,       /* weights are of the softmax over all experts */
    FM_ROUTER_SOFTMAX_TOP_K, /* of the softmax over the chosen ones (GraniteMoE) */
    FM_ROUTER_SIGMOID,       /* of each expert's sigmoid; chosen with a correction bias (V3) */
} fm_router;

typedef enum {
    FM_GROUPS_NONE,
    FM_GROUPS_MAX,  /* a group counts as much as its best expert (V2, group_limited_greedy) */
    FM_GROUPS_TOP2, /* as its best two together (V3) */
} fm_router_groups;

/** Rotary positions. factor 1: as they are; above 1: YaRN. */
typedef struct {
    double theta;
    bool interleaved; /* pairs are (2i, 2i + 1), else (i, i + n/2) */
    double factor;    /* >= 1 */
    double beta_fast, beta_slow;
    double original_context;
    double attention_factor; /* times cos and sin; 1 without YaRN */
    bool truncate;           /* bounds of the ramp are whole numbers */
} fm_decoder_rope;

typedef struct {
    fm_decoder_family family;
    size_t vocabulary, width, layers, context;
    double norm_epsilon;
    bool tied; /* the head is the embedding */

    fm_attention attention;
    size_t heads;
    size_t key_heads;      /* GROUPED: divides heads */
    size_t query_head;     /* size of a head's query and key: with LATENT plain + rotary */
    size_t value_head;     /* of its value */
    size_t rotary;         /* last so many of a query, with GROUPED all of them; even */
    size_t query_rank;     /* LATENT: 0 is one projection, else two with a norm between them */
    size_t key_value_rank; /* LATENT */
    bool attention_bias;   /* GROUPED: on all four projections; LATENT: on q_a, kv_a and o */
    bool query_key_norm;   /* OLMoE: over the whole projections, before they are cut into heads */
    double clip_query_key_value; /* 0: none */
    double attention_scale;      /* of the scores, YaRN's part in it */
    fm_decoder_rope rope;

    size_t dense_layers; /* the first so many have no experts */
    size_t dense_hidden;
    size_t experts, top_k, expert_hidden;
    size_t shared_hidden; /* all shared experts together; 0: none */
    fm_router router;
    fm_router_groups groups;
    size_t group_count, groups_chosen; /* divide experts; of NONE 1 and 1 */
    bool normalise_weights;            /* to a sum of 1, before the scale */
    double routed_scale;
    bool correction_bias; /* there is one for each expert (V3) */

    double embedding_multiplier, residual_multiplier, logits_divisor; /* 1 but for GraniteMoE */
} fm_decoder_config;

/** Bounds, divisibility, what the families have in common: FM_EINVAL naming the field. Pure. */
FM_NODISCARD fm_status fm_decoder_config_check(const fm_decoder_config *c);

/* ---- tensors in the flat vector ---- */

#define FM_DECODER_ABSENT SIZE_MAX

/** Offsets of one layer's tensors, FM_DECODER_ABSENT where the configuration has none. All maps are
 *  [out, in] row-major. */
typedef struct {
    size_t input_norm, post_norm; /* [D] */
    size_t query, key, value;     /* GROUPED; query also LATENT with rank 0 */
    size_t query_bias, key_bias, value_bias;
    size_t query_norm, key_norm;                         /* [heads * head], [key_heads * head] */
    size_t query_a, query_a_bias, query_a_norm, query_b; /* LATENT with a rank */
    size_t latent, latent_bias, latent_norm, latent_b;   /* kv_a_proj_with_mqa, kv_b_proj */
    size_t output, output_bias;
    size_t gate, up, down; /* dense */
    size_t router;         /* [E, D] */
    size_t correction;     /* [E] */
    size_t shared_gate, shared_up, shared_down;
    size_t expert_gate, expert_up, expert_down; /* of the first expert; the next one's lie
                                                   expert_stride further on */
    size_t expert_stride;
} fm_decoder_layer;

typedef struct {
    size_t embedding;        /* [V, D] */
    size_t norm;             /* [D] */
    size_t head;             /* [V, D]; the embedding's offset when tied */
    fm_decoder_layer *layer; /* [layers] */
    size_t parameters;       /* floats of the flat vector */
} fm_decoder_layout;

/** @return FM_OK; FM_EINVAL as fm_decoder_config_check, or more than 2^40 parameters; FM_ENOMEM. */
FM_NODISCARD fm_status fm_decoder_layout_make(const fm_decoder_config *c, fm_decoder_layout *out);
void fm_decoder_layout_free(fm_decoder_layout *l);

/** Parameters that one token uses: all but the experts that are not chosen, and of the embedding one
 *  row (the head counts whole). */
size_t fm_decoder_active_parameters(const fm_decoder_config *c, const fm_decoder_layout *l);

#endif
