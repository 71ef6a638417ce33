/*
 * config.json of the four classes into one configuration. Absent keys have the defaults of
 * transformers 5: OlmoeConfig, GraniteMoeConfig, DeepseekV2Config and DeepseekV3Config in
 * src/transformers/models/.../configuration_....py; what the values mean follows modeling_....py there.
 */
#include "decoder_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/model/decoder_folder.h"

#define NEEDED SIZE_MAX /* no default */
#define VALUE_SHOWN 80

static const struct {
    const char *class_name, *type;
    size_t vocabulary, width, hidden, layers, heads, context, experts, top_k;
    double epsilon;
} families[] = {
    [FM_DECODER_OLMOE] = { "OlmoeForCausalLM", "olmoe", 50304, 2048, 2048, 16, 16, 4096, 64, 8,
                           1e-5 },
    [FM_DECODER_GRANITEMOE] = { "GraniteMoeForCausalLM", "granitemoe", 32000, 4096, 11008, 32, 32,
                                2048, 8, 2, 1e-6 },
    [FM_DECODER_DEEPSEEK_V2] = { "DeepseekV2ForCausalLM", "deepseek_v2", 32000, 4096, 11008, 32, 32,
                                 2048, 64, NEEDED, 1e-6 },
    [FM_DECODER_DEEPSEEK_V3] = { "DeepseekV3ForCausalLM", "deepseek_v3", 129280, 7168, 18432, 61,
                                 128, 4096, 256, 8, 1e-6 },
};

#define FAMILIES (sizeof families / sizeof families[0])

const char *fm_decoder_class_name(fm_decoder_family family)
{
    return families[family].class_name;
}

fm_status fm_json_fail(const fm_json_reader *r, const char *key, const json_t *value,
                       const char *why)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    const bool cut = text && strlen(text) > VALUE_SHOWN;

    if (text)
        (void)fm_error_record(FM_EINVAL, "%s: %.100s is %.*s%s: %s", r->name, key, VALUE_SHOWN,
                              text, cut ? "..." : "", why);
    else
        (void)fm_error_record(FM_EINVAL, "%s: %.100s: %s", r->name, key, why);
    free(text);
    return FM_EINVAL;
}

static fm_status read_size(const fm_json_reader *r, const char *key, const json_t *value,
                           size_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > INT32_MAX)
        return fm_json_fail(r, key, value, "must be a whole number below 2^31");
    *out = (size_t)json_integer_value(value);
    return FM_OK;
}

fm_status fm_json_size(const fm_json_reader *r, const char *key, size_t *out)
{
    const json_t *value = json_object_get(r->root, key);

    if (!value && *out == NEEDED)
        return fm_json_fail(r, key, NULL, "is needed: this class has no default for it");
    return value ? read_size(r, key, value, out) : FM_OK;
}

fm_status fm_json_maybe_size(const fm_json_reader *r, const char *key, size_t null, size_t *out)
{
    const json_t *value = json_object_get(r->root, key);

    if (!value)
        return FM_OK;
    if (!json_is_null(value))
        return read_size(r, key, value, out);
    *out = null;
    return FM_OK;
}

fm_status fm_json_bool(const fm_json_reader *r, const char *key, bool *out)
{
    const json_t *value = json_object_get(r->root, key);

    if (!value)
        return FM_OK;
    if (!json_is_boolean(value))
        return fm_json_fail(r, key, value, "must be true or false");
    *out = json_is_true(value);
    return FM_OK;
}

fm_status fm_json_number(const fm_json_reader *r, const json_t *object, const char *key,
                         double *out)
{
    const json_t *value = json_object_get(object, key);

    if (!value)
        return FM_OK;
    if (!json_is_number(value) || !isfinite(json_number_value(value)))
        return fm_json_fail(r, key, value, "must be a number");
    *out = json_number_value(value);
    return FM_OK;
}

fm_status fm_json_maybe_number(const fm_json_reader *r, const json_t *object, const char *key,
                               double null, double *out)
{
    if (!json_is_null(json_object_get(object, key)))
        return fm_json_number(r, object, key, out);
    *out = null;
    return FM_OK;
}

/* The same thing by its other name: alone it counts, beside the first it says the same. */
static fm_status read_alias(const fm_json_reader *r, const char *key, const char *other,
                            size_t *out)
{
    const json_t *value = json_object_get(r->root, key), *second = json_object_get(r->root, other);

    if (value && second && !json_equal(value, second))
        return fm_json_fail(r, other, second, "another name for a key that has another value");
    return fm_json_size(r, value ? key : other, out);
}

/* What transformers works out itself may stand in the file, too. */
static fm_status check_derived(const fm_json_reader *r, const char *key, size_t is, const char *why)
{
    size_t said = is;
    const fm_status st = fm_json_maybe_size(r, key, is, &said);

    if (st == FM_OK && said != is)
        return fm_json_fail(r, key, json_object_get(r->root, key), why);
    return st;
}

static fm_status read_common(const fm_json_reader *r, fm_decoder_config *c)
{
    fm_status st;

    c->family = r->family;
    c->vocabulary = families[r->family].vocabulary;
    c->width = families[r->family].width;
    c->layers = families[r->family].layers;
    c->heads = families[r->family].heads;
    c->context = families[r->family].context;
    c->norm_epsilon = families[r->family].epsilon;
    c->experts = families[r->family].experts;
    c->top_k = families[r->family].top_k;
    c->embedding_multiplier = c->residual_multiplier = c->logits_divisor = c->routed_scale = 1.0;
    c->group_count = c->groups_chosen = 1;
    if ((st = fm_json_size(r, "vocab_size", &c->vocabulary)) != FM_OK ||
        (st = fm_json_size(r, "hidden_size", &c->width)) != FM_OK ||
        (st = fm_json_size(r, "num_hidden_layers", &c->layers)) != FM_OK ||
        (st = fm_json_size(r, "num_attention_heads", &c->heads)) != FM_OK ||
        (st = fm_json_size(r, "max_position_embeddings", &c->context)) != FM_OK ||
        (st = fm_json_number(r, r->root, "rms_norm_eps", &c->norm_epsilon)) != FM_OK ||
        (st = fm_json_bool(r, "tie_word_embeddings", &c->tied)) != FM_OK ||
        (st = fm_json_bool(r, "attention_bias", &c->attention_bias)) != FM_OK ||
        (st = fm_json_size(r, "num_experts_per_tok", &c->top_k)) != FM_OK)
        return st;
    return c->heads > 0 ? FM_OK
                        : fm_json_fail(r, "num_attention_heads",
                                       json_object_get(r->root, "num_attention_heads"),
                                       "must be at least 1");
}

static fm_status read_grouped(const fm_json_reader *r, fm_decoder_config *c)
{
    const size_t even = c->width / c->heads;
    const json_t *head = json_object_get(r->root, "head_dim");
    fm_status st;

    if ((!head || json_is_null(head)) && c->width % c->heads != 0)
        return fm_json_fail(r, "hidden_size", json_object_get(r->root, "hidden_size"),
                            "must be a multiple of num_attention_heads where there is no head_dim");
    c->attention = FM_ATTENTION_GROUPED;
    c->key_heads = c->heads;
    c->query_head = even;
    c->expert_hidden = families[r->family].hidden;
    if ((st = fm_json_maybe_size(r, "num_key_value_heads", c->heads, &c->key_heads)) != FM_OK ||
        (st = fm_json_maybe_size(r, "head_dim", even, &c->query_head)) != FM_OK ||
        (st = fm_json_size(r, "intermediate_size", &c->expert_hidden)) != FM_OK)
        return st;
    c->value_head = c->rotary = c->query_head;
    c->attention_scale = c->query_head ? 1.0 / sqrt((double)c->query_head) : 0.0;
    return FM_OK;
}

static fm_status read_olmoe(const fm_json_reader *r, fm_decoder_config *c)
{
    fm_status st = read_grouped(r, c);

    if (st != FM_OK)
        return st;
    c->query_key_norm = true;
    c->router = FM_ROUTER_SOFTMAX;
    if (c->query_head * c->heads != c->width) /* the norms of its class are made for no other */
        return fm_json_fail(r, "head_dim", json_object_get(r->root, "head_dim"),
                            "must be hidden_size / num_attention_heads");
    if ((st = read_alias(r, "num_experts", "num_local_experts", &c->experts)) != FM_OK ||
        (st = fm_json_bool(r, "norm_topk_prob", &c->normalise_weights)) != FM_OK ||
        (st = fm_json_maybe_number(r, r->root, "clip_qkv", 0.0, &c->clip_query_key_value)) != FM_OK)
        return st;
    if (json_is_number(json_object_get(r->root, "clip_qkv")) && !(c->clip_query_key_value > 0.0))
        return fm_json_fail(r, "clip_qkv", json_object_get(r->root, "clip_qkv"),
                            "must be above 0, or null");
    return FM_OK;
}

static fm_status read_granite(const fm_json_reader *r, fm_decoder_config *c)
{
    fm_status st = read_grouped(r, c);

    if (st != FM_OK)
        return st;
    c->router = FM_ROUTER_SOFTMAX_TOP_K;
    c->attention_scale = 1.0;
    if ((st = fm_json_size(r, "num_local_experts", &c->experts)) != FM_OK ||
        (st = fm_json_number(r, r->root, "attention_multiplier", &c->attention_scale)) != FM_OK ||
        (st = fm_json_number(r, r->root, "embedding_multiplier", &c->embedding_multiplier)) !=
            FM_OK ||
        (st = fm_json_number(r, r->root, "residual_multiplier", &c->residual_multiplier)) != FM_OK)
        return st;
    return fm_json_number(r, r->root, "logits_scaling", &c->logits_divisor);
}

static fm_status read_latent(const fm_json_reader *r, fm_decoder_config *c)
{
    size_t plain = 128, key_heads = r->family == FM_DECODER_DEEPSEEK_V3 ? 128 : c->heads;
    fm_status st;

    c->attention = FM_ATTENTION_LATENT;
    c->query_rank = 1536;
    c->key_value_rank = 512;
    c->rotary = 64;
    c->value_head = 128;
    c->key_heads = c->heads;
    if ((st = fm_json_maybe_size(r, "q_lora_rank", 0, &c->query_rank)) != FM_OK ||
        (st = fm_json_size(r, "kv_lora_rank", &c->key_value_rank)) != FM_OK ||
        (st = fm_json_size(r, "qk_nope_head_dim", &plain)) != FM_OK ||
        (st = fm_json_size(r, "qk_rope_head_dim", &c->rotary)) != FM_OK ||
        (st = fm_json_size(r, "v_head_dim", &c->value_head)) != FM_OK ||
        (st = fm_json_maybe_size(r, "num_key_value_heads", c->heads, &key_heads)) != FM_OK)
        return st;
    if (key_heads != c->heads)
        return fm_json_fail(r, "num_key_value_heads",
                            json_object_get(r->root, "num_key_value_heads"),
                            "must be num_attention_heads in latent attention");
    if (json_is_integer(json_object_get(r->root, "q_lora_rank")) && c->query_rank == 0)
        return fm_json_fail(r, "q_lora_rank", json_object_get(r->root, "q_lora_rank"),
                            "must be above 0, or null");
    c->query_head = plain + c->rotary;
    c->attention_scale = c->query_head ? 1.0 / sqrt((double)c->query_head) : 0.0;
    if ((st = check_derived(r, "head_dim", c->rotary, "must be qk_rope_head_dim")) != FM_OK)
        return st;
    return check_derived(r, "qk_head_dim", c->query_head,
                         "must be qk_nope_head_dim + qk_rope_head_dim");
}

static fm_status read_feed(const fm_json_reader *r, size_t expert, size_t shared, size_t dense,
                           fm_decoder_config *c)
{
    const char *alias = r->family == FM_DECODER_DEEPSEEK_V3 ? "num_local_experts" : "num_experts";
    fm_status st;

    c->dense_hidden = families[r->family].hidden;
    if ((st = read_alias(r, "n_routed_experts", alias, &c->experts)) != FM_OK ||
        (st = fm_json_size(r, "intermediate_size", &c->dense_hidden)) != FM_OK ||
        (st = fm_json_size(r, "moe_intermediate_size", &expert)) != FM_OK ||
        (st = fm_json_size(r, "n_shared_experts", &shared)) != FM_OK ||
        (st = fm_json_size(r, "first_k_dense_replace", &dense)) != FM_OK ||
        (st = fm_json_number(r, r->root, "routed_scaling_factor", &c->routed_scale)) != FM_OK)
        return st;
    c->expert_hidden = expert;
    c->shared_hidden = expert * shared; /* both below 2^31 */
    c->dense_layers = dense < c->layers ? dense : c->layers;
    return FM_OK;
}

/* Among one group there is nothing to choose. */
static void set_groups(fm_router_groups groups, fm_decoder_config *c)
{
    c->groups = c->group_count == 1 && c->groups_chosen == 1 ? FM_GROUPS_NONE : groups;
}

static fm_status read_v2(const fm_json_reader *r, fm_decoder_config *c)
{
    const json_t *method = json_object_get(r->root, "topk_method");
    const char *name = method ? json_string_value(method) : "greedy";
    bool unused = false;
    fm_status st = read_latent(r, c);

    if (st != FM_OK || (st = read_feed(r, 1407, 2, 0, c)) != FM_OK ||
        (st = fm_json_bool(r, "norm_topk_prob", &unused)) != FM_OK)
        return st;
    c->rope.interleaved = true;
    c->router = FM_ROUTER_SOFTMAX;
    if (name && strcmp(name, "greedy") == 0)
        return FM_OK;
    if (!name || strcmp(name, "group_limited_greedy") != 0)
        return fm_json_fail(r, "topk_method", method,
                            "only \"greedy\" and \"group_limited_greedy\" are supported");
    c->group_count = c->groups_chosen = NEEDED;
    if ((st = fm_json_size(r, "n_group", &c->group_count)) != FM_OK ||
        (st = fm_json_size(r, "topk_group", &c->groups_chosen)) != FM_OK)
        return st;
    set_groups(FM_GROUPS_MAX, c);
    return FM_OK;
}

static fm_status read_v3(const fm_json_reader *r, fm_decoder_config *c, size_t *passed)
{
    const json_t *method = json_object_get(r->root, "topk_method");
    fm_status st = read_latent(r, c);

    c->routed_scale = 2.5;
    c->group_count = 8;
    c->groups_chosen = 4;
    c->normalise_weights = c->rope.interleaved = c->correction_bias = true;
    c->router = FM_ROUTER_SIGMOID;
    *passed = 1;
    if (st != FM_OK || (st = read_feed(r, 2048, 1, 3, c)) != FM_OK ||
        (st = fm_json_size(r, "n_group", &c->group_count)) != FM_OK ||
        (st = fm_json_size(r, "topk_group", &c->groups_chosen)) != FM_OK ||
        (st = fm_json_bool(r, "norm_topk_prob", &c->normalise_weights)) != FM_OK ||
        (st = fm_json_bool(r, "rope_interleave", &c->rope.interleaved)) != FM_OK ||
        (st = read_alias(r, "num_nextn_predict_layers", "num_mtp_layers", passed)) != FM_OK)
        return st;
    if (method && (!json_is_string(method) || strcmp(json_string_value(method), "noaux_tc") != 0))
        return fm_json_fail(r, "topk_method", method, "only \"noaux_tc\" is supported");
    set_groups(FM_GROUPS_TOP2, c);
    return FM_OK;
}

static fm_status find_family(fm_json_reader *r)
{
    const json_t *list = json_object_get(r->root, "architectures");
    const json_t *type = json_object_get(r->root, "model_type"), *shown = list;
    const char *name = json_string_value(json_array_get(list, 0));
    const char *kind = json_string_value(type);

    if ((list && !json_is_null(list) && (!name || json_array_size(list) != 1)) || (type && !kind))
        name = kind = "";
    if (!name)
        shown = type;
    for (size_t i = 0; (name || kind) && i < FAMILIES; i++) {
        if (name ? strcmp(families[i].class_name, name) != 0 : strcmp(families[i].type, kind) != 0)
            continue;
        if (kind && strcmp(families[i].type, kind) != 0)
            return fm_json_fail(r, "model_type", type, "not that of the class in architectures");
        r->family = (fm_decoder_family)i;
        return FM_OK;
    }
    return fm_json_fail(r, name ? "architectures" : "model_type", shown,
                        "supported are OlmoeForCausalLM, GraniteMoeForCausalLM, "
                        "DeepseekV2ForCausalLM and DeepseekV3ForCausalLM");
}

static fm_status read_family(const fm_json_reader *r, fm_decoder_json *j)
{
    fm_decoder_config *c = &j->config;

    switch (r->family) {
    case FM_DECODER_OLMOE:
        return read_olmoe(r, c);
    case FM_DECODER_GRANITEMOE:
        return read_granite(r, c);
    case FM_DECODER_DEEPSEEK_V2:
        return read_v2(r, c);
    default:
        return read_v3(r, c, &j->passed_layers);
    }
}

static fm_status read_all(fm_json_reader *r, fm_decoder_json *j)
{
    fm_status st;

    j->initializer_range = 0.02;
    if ((st = find_family(r)) != FM_OK || (st = fm_json_check_keys(r)) != FM_OK ||
        (st = read_common(r, &j->config)) != FM_OK || (st = read_family(r, j)) != FM_OK ||
        (st = fm_json_rope(r, &j->config)) != FM_OK ||
        (st = fm_json_number(r, r->root, "initializer_range", &j->initializer_range)) != FM_OK)
        return st;
    if ((st = fm_decoder_config_check(&j->config)) != FM_OK)
        return fm_fail_context(st, "%s: ", r->name);
    return FM_OK;
}

fm_status fm_decoder_json_parse(const char *name, const void *data, size_t len,
                                fm_decoder_json *out)
{
    fm_decoder_json j = { 0 };
    json_error_t error;
    fm_json_reader r = { .name = name };
    fm_status st;

    r.root = json_loadb(data ? data : "", len, JSON_REJECT_DUPLICATES, &error);
    if (!r.root && json_error_code(&error) == json_error_out_of_memory)
        return fm_fail(FM_ENOMEM, "%s: no memory to parse it", name);
    if (!r.root)
        return fm_fail(FM_EPARSE, "%s:%d:%d: %s", name, error.line, error.column, error.text);
    if (!json_is_object(r.root))
        st = fm_fail(FM_EPARSE, "%s: not a JSON object", name);
    else
        st = read_all(&r, &j);
    json_decref(r.root);
    if (st == FM_OK)
        *out = j;
    return st;
}

fm_status fm_decoder_config_parse(const char *name, const void *data, size_t len,
                                  fm_decoder_config *out)
{
    fm_decoder_json j;
    fm_status st;

    if (!name || (!data && len > 0) || !out)
        return fm_fail(FM_EINVAL, "fm_decoder_config_parse: an argument is missing");
    if ((st = fm_decoder_json_parse(name, data, len, &j)) == FM_OK)
        *out = j.config;
    return st;
}
