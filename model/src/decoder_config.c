/* Whether a configuration is one that the decoder computes. */
#include <math.h>

#include "fedmoe/model/decoder_config.h"

#define MOST_WIDTH ((size_t)1 << 16)
#define MOST_TOKENS ((size_t)1 << 24) /* vocabulary, context */
#define MOST_LAYERS ((size_t)1024)
#define MOST_HEADS ((size_t)1024)
#define MOST_HEAD ((size_t)1024)
#define MOST_EXPERTS ((size_t)4096)

/* Names are the fields', with the keys of config.json that they come from. */
typedef struct {
    const char *name;
    size_t value, least, most;
} whole;

typedef struct {
    const char *name;
    double value, least, most;
} number;

static fm_status check_wholes(const whole *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].value < list[i].least || list[i].value > list[i].most)
            return fm_fail(FM_EINVAL, "decoder: %s is %zu; %zu to %zu are possible", list[i].name,
                           list[i].value, list[i].least, list[i].most);
    return FM_OK;
}

static fm_status check_numbers(const number *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(list[i].value >= list[i].least && list[i].value <= list[i].most))
            return fm_fail(FM_EINVAL, "decoder: %s is %g; %g to %g are possible", list[i].name,
                           list[i].value, list[i].least, list[i].most);
    return FM_OK;
}

#define COUNT(list) (sizeof(list) / sizeof *(list))

static fm_status check_whole(const fm_decoder_config *c)
{
    const whole list[] = {
        { "vocabulary (vocab_size)", c->vocabulary, 1, MOST_TOKENS },
        { "width (hidden_size)", c->width, 1, MOST_WIDTH },
        { "layers (num_hidden_layers)", c->layers, 1, MOST_LAYERS },
        { "context (max_position_embeddings)", c->context, 1, MOST_TOKENS },
        { "heads (num_attention_heads)", c->heads, 1, MOST_HEADS },
        { "query_head (head_dim, or qk_nope_head_dim + qk_rope_head_dim)", c->query_head, 2,
          MOST_HEAD },
        { "value_head (head_dim, or v_head_dim)", c->value_head, 1, MOST_HEAD },
        { "rotary (head_dim, or qk_rope_head_dim)", c->rotary, 2, c->query_head },
        { "dense_layers (first_k_dense_replace)", c->dense_layers, 0, c->layers },
    };

    return check_wholes(list, COUNT(list));
}

static fm_status check_all_numbers(const fm_decoder_config *c)
{
    const fm_decoder_rope *r = &c->rope;
    const bool yarn = r->factor > 1.0;
    const number list[] = {
        { "norm_epsilon (rms_norm_eps)", c->norm_epsilon, 0.0, 1.0 },
        { "clip_query_key_value (clip_qkv)", c->clip_query_key_value, 0.0, 1e6 },
        { "attention_scale (attention_multiplier)", c->attention_scale, 1e-6, 1e6 },
        { "rope.theta (rope_theta)", r->theta, 1.0 + 1e-6, 1e12 },
        { "rope.factor", r->factor, 1.0, 1e6 },
        { "rope.attention_factor", r->attention_factor, 1e-6, 1e6 },
        { "rope.original_context (original_max_position_embeddings)",
          yarn ? r->original_context : 1.0, 1.0, (double)MOST_TOKENS },
        { "rope.beta_fast", yarn ? r->beta_fast : 1.0, 1e-6, 1e6 },
        { "rope.beta_slow", yarn ? r->beta_slow : 1.0, 1e-6, 1e6 },
        { "routed_scale (routed_scaling_factor)",
          c->layers > c->dense_layers ? c->routed_scale : 1.0, 1e-6, 1e6 },
        { "embedding_multiplier", c->embedding_multiplier, 1e-6, 1e6 },
        { "residual_multiplier", c->residual_multiplier, 1e-6, 1e6 },
        { "logits_divisor (logits_scaling)", c->logits_divisor, 1e-6, 1e6 },
    };

    return check_numbers(list, COUNT(list));
}

static fm_status check_attention(const fm_decoder_config *c)
{
    const whole ranks[] = {
        { "query_rank (q_lora_rank)", c->query_rank, 0, MOST_WIDTH },
        { "key_value_rank (kv_lora_rank)", c->key_value_rank, 1, MOST_WIDTH },
    };

    if (c->rotary % 2)
        return fm_fail(
            FM_EINVAL,
            "decoder: rotary (head_dim, or qk_rope_head_dim) is %zu; an even number is possible",
            c->rotary);
    if (c->attention == FM_ATTENTION_LATENT) {
        if (c->query_key_norm || c->clip_query_key_value > 0.0)
            return fm_fail(FM_EINVAL, "decoder: query_key_norm and clip_query_key_value are for "
                                      "grouped attention");
        return check_wholes(ranks, COUNT(ranks));
    }
    if (c->rotary != c->query_head)
        return fm_fail(FM_EINVAL,
                       "decoder: rotary is %zu; with grouped attention it is query_head,"
                       " %zu",
                       c->rotary, c->query_head);
    if (!c->key_heads || c->heads % c->key_heads)
        return fm_fail(
            FM_EINVAL,
            "decoder: key_heads (num_key_value_heads) is %zu; a divisor of heads, %zu, is possible",
            c->key_heads, c->heads);
    return FM_OK;
}

static fm_status check_groups(const fm_decoder_config *c)
{
    size_t each;

    if (!c->group_count || c->experts % c->group_count)
        return fm_fail(
            FM_EINVAL,
            "decoder: group_count (n_group) is %zu; a divisor of experts, %zu, is possible",
            c->group_count, c->experts);
    each = c->experts / c->group_count;
    if (c->groups == FM_GROUPS_TOP2 && each < 2)
        return fm_fail(FM_EINVAL, "decoder: groups (n_group) of one expert have no best two");
    if (!c->groups_chosen || c->groups_chosen > c->group_count)
        return fm_fail(FM_EINVAL,
                       "decoder: groups_chosen (topk_group) is %zu; 1 to %zu are possible",
                       c->groups_chosen, c->group_count);
    if (c->top_k > c->groups_chosen * each)
        return fm_fail(
            FM_EINVAL,
            "decoder: top_k (num_experts_per_tok) is %zu; the chosen groups have %zu experts",
            c->top_k, c->groups_chosen * each);
    return FM_OK;
}

static fm_status check_feed(const fm_decoder_config *c)
{
    const whole dense = { "dense_hidden (intermediate_size)", c->dense_hidden, 1, MOST_WIDTH };
    const whole sparse[] = {
        { "experts (num_experts, num_local_experts or n_routed_experts)", c->experts, 1,
          MOST_EXPERTS },
        { "top_k (num_experts_per_tok)", c->top_k, 1, c->experts },
        { "expert_hidden (intermediate_size, or moe_intermediate_size)", c->expert_hidden, 1,
          MOST_WIDTH },
        { "shared_hidden (moe_intermediate_size times n_shared_experts)", c->shared_hidden, 0,
          MOST_WIDTH },
    };
    fm_status st;

    if (c->dense_layers && (st = check_wholes(&dense, 1)))
        return st;
    if (c->dense_layers == c->layers)
        return FM_OK;
    if ((st = check_wholes(sparse, COUNT(sparse))))
        return st;
    if (c->correction_bias && c->router != FM_ROUTER_SIGMOID)
        return fm_fail(FM_EINVAL, "decoder: correction_bias is for the sigmoid router");
    return c->groups == FM_GROUPS_NONE ? FM_OK : check_groups(c);
}

static bool known(const fm_decoder_config *c)
{
    return (unsigned)c->family <= FM_DECODER_DEEPSEEK_V3 &&
           (unsigned)c->attention <= FM_ATTENTION_LATENT &&
           (unsigned)c->router <= FM_ROUTER_SIGMOID && (unsigned)c->groups <= FM_GROUPS_TOP2;
}

fm_status fm_decoder_config_check(const fm_decoder_config *c)
{
    fm_status st;

    if (!c || !known(c))
        return fm_fail(FM_EINVAL, "decoder: no configuration, or one of an unknown kind");
    if ((st = check_whole(c)) || (st = check_all_numbers(c)) || (st = check_attention(c)))
        return st;
    return check_feed(c);
}
