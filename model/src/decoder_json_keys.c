/*
 * Which keys config.json may have. A key that is in none of these lists is refused: it may be the
 * one that makes the model compute something else.
 */
#include <stdio.h>
#include <string.h>

#include "decoder_json.h"

#define OF(family) (1u << (family))
#define OLMOE OF(FM_DECODER_OLMOE)
#define GRANITE OF(FM_DECODER_GRANITEMOE)
#define V2 OF(FM_DECODER_DEEPSEEK_V2)
#define V3 OF(FM_DECODER_DEEPSEEK_V3)
#define ALL (OLMOE | GRANITE | V2 | V3)

typedef struct {
    const char *key;
    unsigned families;
} known_key;

/* Read by decoder_json.c and decoder_json_rope.c. */
static const known_key used[] = {
    { "architectures", ALL },
    { "model_type", ALL },
    { "vocab_size", ALL },
    { "hidden_size", ALL },
    { "intermediate_size", ALL },
    { "num_hidden_layers", ALL },
    { "num_attention_heads", ALL },
    { "num_key_value_heads", ALL },
    { "head_dim", ALL },
    { "max_position_embeddings", ALL },
    { "original_max_position_embeddings", ALL },
    { "initializer_range", ALL },
    { "rms_norm_eps", ALL },
    { "tie_word_embeddings", ALL },
    { "rope_theta", ALL },
    { "rope_scaling", ALL },
    { "rope_parameters", ALL },
    { "attention_bias", ALL },
    { "num_experts_per_tok", ALL },
    { "clip_qkv", OLMOE },
    { "num_experts", OLMOE | V2 },
    { "num_local_experts", OLMOE | GRANITE | V3 },
    { "norm_topk_prob", OLMOE | V2 | V3 }, /* V2's class has it and does not use it */
    { "attention_multiplier", GRANITE },
    { "embedding_multiplier", GRANITE },
    { "logits_scaling", GRANITE },
    { "residual_multiplier", GRANITE },
    { "first_k_dense_replace", V2 | V3 },
    { "kv_lora_rank", V2 | V3 },
    { "q_lora_rank", V2 | V3 },
    { "qk_head_dim", V2 | V3 },
    { "qk_nope_head_dim", V2 | V3 },
    { "qk_rope_head_dim", V2 | V3 },
    { "v_head_dim", V2 | V3 },
    { "n_group", V2 | V3 },
    { "topk_group", V2 | V3 },
    { "topk_method", V2 | V3 },
    { "n_routed_experts", V2 | V3 },
    { "n_shared_experts", V2 | V3 },
    { "moe_intermediate_size", V2 | V3 },
    { "routed_scaling_factor", V2 | V3 },
    { "rope_interleave", V3 },
    { "num_nextn_predict_layers", V3 },
    { "num_mtp_layers", V3 },
};

/* What has a value here must have that one; it is what the computation is written for. */
static const struct {
    const char *key;
    unsigned families;
    const char *values[3]; /* JSON */
} fixed[] = {
    { "hidden_act", ALL, { "\"silu\"", "\"swish\"" } },
    { "pretraining_tp", ALL, { "1" } },
    { "mlp_bias", ALL, { "false" } },
    { "sliding_window", ALL, { "null" } },
    { "use_sliding_window", ALL, { "false" } },
    { "quantization_config", ALL, { "null" } },
    { "partial_rotary_factor", ALL, { "1.0", "1", "null" } },
    { "is_encoder_decoder", ALL, { "false" } },
    { "add_cross_attention", ALL, { "false" } },
    { "tie_encoder_decoder", ALL, { "false" } },
    { "pruned_heads", ALL, { "{}", "null" } },
    { "scoring_func", V2, { "\"softmax\"" } },
    { "scoring_func", V3, { "\"sigmoid\"" } },
    { "moe_layer_freq", V2 | V3, { "1" } },
    { "ep_size", V2 | V3, { "1" } },
    { "use_mla", V2 | V3, { "true" } },
};

/*
 * Of tokens, of training (attention_dropout, the balancing losses), of how weights are kept, of
 * generation and of other tasks: none of them changes a logit.
 */
static const char *const harmless[] = {
    "_attn_implementation",
    "_attn_implementation_internal",
    "_commit_hash",
    "_experts_implementation",
    "_name_or_path",
    "attention_dropout",
    "attn_implementation",
    "auto_map",
    "aux_loss_alpha",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "chunk_size_feed_forward",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "eos_token_id",
    "experts_implementation",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "id2label",
    "is_decoder",
    "label2id",
    "length_penalty",
    "max_length",
    "min_length",
    "name_or_path",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "output_scores",
    "pad_token_id",
    "prefix",
    "problem_type",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "router_aux_loss_coef",
    "sep_token_id",
    "seq_aux",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "typical_p",
    "unk_token_id",
    "use_bfloat16",
    "use_cache",
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool is_used(const fm_json_reader *r, const char *key)
{
    for (size_t i = 0; i < COUNT(used); i++)
        if (strcmp(used[i].key, key) == 0 && (used[i].families & OF(r->family)))
            return true;
    return false;
}

static bool is_harmless(const char *key)
{
    for (size_t i = 0; i < COUNT(harmless); i++)
        if (strcmp(harmless[i], key) == 0)
            return true;
    return false;
}

/* All layers look at all that came before. */
static bool is_full_attention(const json_t *types)
{
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));

        if (!type || strcmp(type, "full_attention") != 0)
            return false;
    }
    return json_is_array(types) || json_is_null(types);
}

/* FM_ENOTFOUND without a text: the key is not a fixed one. */
static fm_status check_fixed(const fm_json_reader *r, const char *key, const json_t *value)
{
    char why[80];

    for (size_t i = 0; i < COUNT(fixed); i++) {
        if (strcmp(fixed[i].key, key) != 0 || !(fixed[i].families & OF(r->family)))
            continue;
        for (size_t k = 0; k < COUNT(fixed[i].values) && fixed[i].values[k]; k++) {
            json_t *allowed = json_loads(fixed[i].values[k], JSON_DECODE_ANY, NULL);
            const bool same = allowed && json_equal(allowed, value);

            json_decref(allowed);
            if (same)
                return FM_OK;
        }
        (void)snprintf(why, sizeof why, "only %s is supported", fixed[i].values[0]);
        return fm_json_fail(r, key, value, why);
    }
    return FM_ENOTFOUND;
}

static fm_status check_key(const fm_json_reader *r, const char *key, const json_t *value)
{
    fm_status st;

    if (is_used(r, key) || is_harmless(key))
        return FM_OK;
    if (strcmp(key, "layer_types") == 0)
        return is_full_attention(value)
                   ? FM_OK
                   : fm_json_fail(r, key, value, "only full_attention is supported");
    st = check_fixed(r, key, value);
    return st != FM_ENOTFOUND ? st
                              : fm_json_fail(r, key, value,
                                             "this key is not known for such a model, and may "
                                             "change what it computes");
}

fm_status fm_json_check_keys(const fm_json_reader *r)
{
    const char *key;
    json_t *value;

    json_object_foreach(r->root, key, value)
    {
        const fm_status st = check_key(r, key, value);

        if (st != FM_OK)
            return st;
    }
    return FM_OK;
}
