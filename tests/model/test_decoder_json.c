/* config.json: what each key comes to, and what is refused by name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "folder_fixture.h"
#include "suites.h"

static fm_status parse(const char *text, fm_decoder_config *out)
{
    return fm_decoder_config_parse("config.json", text, strlen(text), out);
}

/* As the hub has DeepSeek-V2-Lite: rope_theta, rope_scaling, keys of older code. */
static const char v2_lite[] =
    "{\"architectures\":[\"DeepseekV2ForCausalLM\"],\"attention_bias\":false,"
    "\"attention_dropout\":0.0,\"auto_map\":{\"AutoConfig\":\"configuration_deepseek.X\"},"
    "\"aux_loss_alpha\":0.001,\"bos_token_id\":100000,\"eos_token_id\":100001,"
    "\"first_k_dense_replace\":1,\"hidden_act\":\"silu\",\"hidden_size\":2048,"
    "\"initializer_range\":0.02,\"intermediate_size\":10944,\"kv_lora_rank\":512,"
    "\"max_position_embeddings\":163840,\"model_type\":\"deepseek_v2\","
    "\"moe_intermediate_size\":1408,\"moe_layer_freq\":1,\"n_group\":1,\"n_routed_experts\":64,"
    "\"n_shared_experts\":2,\"norm_topk_prob\":false,\"num_attention_heads\":16,"
    "\"num_experts_per_tok\":6,\"num_hidden_layers\":27,\"num_key_value_heads\":16,"
    "\"pretraining_tp\":1,\"q_lora_rank\":null,\"qk_nope_head_dim\":128,\"qk_rope_head_dim\":64,"
    "\"rms_norm_eps\":1e-06,\"rope_scaling\":{\"beta_fast\":32,\"beta_slow\":1,\"factor\":40,"
    "\"mscale\":0.707,\"mscale_all_dim\":0.707,\"original_max_position_embeddings\":4096,"
    "\"type\":\"yarn\"},\"rope_theta\":10000,\"routed_scaling_factor\":1.0,"
    "\"scoring_func\":\"softmax\",\"seq_aux\":true,\"tie_word_embeddings\":false,"
    "\"topk_group\":1,\"topk_method\":\"greedy\",\"torch_dtype\":\"bfloat16\","
    "\"transformers_version\":\"4.33.1\",\"use_cache\":true,\"v_head_dim\":128,"
    "\"vocab_size\":102400}";

static void a_folder_of_the_older_kind(void)
{
    const double m = 0.1 * 0.707 * log(40.0) + 1.0;
    fm_decoder_config c;

    CU_ASSERT_EQUAL_FATAL(parse(v2_lite, &c), FM_OK);
    CU_ASSERT_EQUAL(c.family, FM_DECODER_DEEPSEEK_V2);
    CU_ASSERT_EQUAL(c.attention, FM_ATTENTION_LATENT);
    CU_ASSERT_EQUAL(c.query_rank, 0);
    CU_ASSERT_EQUAL(c.query_head, 192);
    CU_ASSERT_EQUAL(c.shared_hidden, 2816);
    CU_ASSERT_EQUAL(c.dense_hidden, 10944);
    CU_ASSERT_EQUAL(c.groups, FM_GROUPS_NONE);
    CU_ASSERT_EQUAL(c.rope.factor, 40.0);
    CU_ASSERT_EQUAL(c.rope.original_context, 4096.0);
    CU_ASSERT_EQUAL(c.rope.attention_factor, 1.0);
    CU_ASSERT_TRUE(c.rope.truncate && c.rope.interleaved);
    CU_ASSERT_DOUBLE_EQUAL(c.attention_scale, m * m / sqrt(192.0), 1e-15);
}

static void defaults_are_those_of_the_class(void)
{
    fm_decoder_config c;

    CU_ASSERT_EQUAL_FATAL(parse("{\"model_type\":\"olmoe\"}", &c), FM_OK);
    CU_ASSERT_EQUAL(c.vocabulary, 50304);
    CU_ASSERT_EQUAL(c.key_heads, 16);
    CU_ASSERT_EQUAL(c.experts, 64);
    CU_ASSERT_EQUAL(c.top_k, 8);
    CU_ASSERT_EQUAL(c.norm_epsilon, 1e-5);
    CU_ASSERT_FALSE(c.normalise_weights || c.tied || c.attention_bias);
    CU_ASSERT_TRUE(c.query_key_norm);
    CU_ASSERT_EQUAL_FATAL(parse("{\"architectures\":[\"DeepseekV3ForCausalLM\"]}", &c), FM_OK);
    CU_ASSERT_EQUAL(c.layers, 61);
    CU_ASSERT_EQUAL(c.dense_layers, 3);
    CU_ASSERT_EQUAL(c.query_rank, 1536);
    CU_ASSERT_EQUAL(c.groups, FM_GROUPS_TOP2);
    CU_ASSERT_EQUAL(c.group_count, 8);
    CU_ASSERT_EQUAL(c.groups_chosen, 4);
    CU_ASSERT_EQUAL(c.routed_scale, 2.5);
    CU_ASSERT_TRUE(c.normalise_weights && c.correction_bias && c.rope.interleaved);
    CU_ASSERT_EQUAL_FATAL(parse("{\"model_type\":\"granitemoe\"}", &c), FM_OK);
    CU_ASSERT_EQUAL(c.attention_scale, 1.0);
    CU_ASSERT_EQUAL(c.router, FM_ROUTER_SOFTMAX_TOP_K);
    CU_ASSERT_EQUAL(c.expert_hidden, 11008);
    CU_ASSERT_EQUAL(parse("{\"model_type\":\"deepseek_v2\"}", &c), FM_EINVAL);
    decoder_error_has("num_experts_per_tok: is needed");
}

/* `more` goes to the configuration of a small model of the family. */
static void with(const char *base, const char *more, fm_decoder_config *out)
{
    char *text = decoder_config_with(base, more);

    if (parse(text, out) != FM_OK) {
        printf("\n    %s\n", fm_error_text());
        CU_FAIL_FATAL("refused");
    }
    free(text);
}

static void keys_mean_what_they_mean_there(void)
{
    fm_decoder_config c;

    with(decoder_granite,
         ",\"embedding_multiplier\":12,\"residual_multiplier\":0.22,\"logits_scaling\":6.0", &c);
    CU_ASSERT_TRUE(c.tied);
    CU_ASSERT_EQUAL(c.attention_scale, 0.3);
    CU_ASSERT_EQUAL(c.embedding_multiplier, 12.0);
    CU_ASSERT_EQUAL(c.residual_multiplier, 0.22);
    CU_ASSERT_EQUAL(c.logits_divisor, 6.0);
    with(decoder_granite, ",\"head_dim\":8", &c);
    CU_ASSERT_EQUAL(c.query_head, 8);
    CU_ASSERT_EQUAL_FATAL(parse("{\"model_type\":\"deepseek_v3\",\"hidden_size\":7169}", &c),
                          FM_OK);
    CU_ASSERT_EQUAL(c.query_head, 192); /* the heads of latent attention have sizes of their own */
    CU_ASSERT_EQUAL_FATAL(
        parse("{\"model_type\":\"granitemoe\",\"hidden_size\":4100,\"head_dim\":64}", &c), FM_OK);
    with(decoder_olmoe, ",\"clip_qkv\":1.5,\"norm_topk_prob\":true", &c);
    CU_ASSERT_EQUAL(c.clip_query_key_value, 1.5);
    CU_ASSERT_TRUE(c.normalise_weights);
    with(decoder_olmoe, ",\"clip_qkv\":null", &c);
    CU_ASSERT_EQUAL(c.clip_query_key_value, 0.0);
    with(decoder_v2, ",\"norm_topk_prob\":true,\"routed_scaling_factor\":16", &c);
    CU_ASSERT_FALSE(c.normalise_weights); /* its class does not look at the key */
    CU_ASSERT_EQUAL(c.routed_scale, 16.0);
    with(decoder_v2, ",\"topk_method\":\"group_limited_greedy\",\"n_group\":2,\"topk_group\":1",
         &c);
    CU_ASSERT_EQUAL(c.groups, FM_GROUPS_MAX);
    CU_ASSERT_EQUAL(c.group_count, 2);
    with(decoder_v2, ",\"topk_method\":\"greedy\",\"n_group\":2,\"topk_group\":1", &c);
    CU_ASSERT_EQUAL(c.groups, FM_GROUPS_NONE);
    with(decoder_v3, ",\"rope_interleave\":false,\"norm_topk_prob\":false", &c);
    CU_ASSERT_FALSE(c.rope.interleaved || c.normalise_weights);
    with(decoder_v3,
         ",\"topk_method\":\"noaux_tc\",\"scoring_func\":\"sigmoid\",\"ep_size\":1,"
         "\"num_local_experts\":4,\"qk_head_dim\":10,\"head_dim\":4",
         &c);
    CU_ASSERT_EQUAL(c.experts, 4);
    CU_ASSERT_EQUAL(c.groups, FM_GROUPS_TOP2);
}

static void positions_both_ways_of_writing(void)
{
    fm_decoder_config c;

    with(decoder_olmoe, ",\"rope_theta\":500000", &c);
    CU_ASSERT_EQUAL(c.rope.theta, 500000.0);
    CU_ASSERT_EQUAL(c.rope.factor, 1.0);
    with(decoder_olmoe,
         ",\"rope_theta\":7,\"rope_parameters\":{\"rope_type\":\"default\","
         "\"rope_theta\":250.0}",
         &c);
    CU_ASSERT_EQUAL(c.rope.theta, 250.0);
    with(decoder_olmoe, ",\"rope_scaling\":null,\"rope_theta\":7", &c);
    CU_ASSERT_EQUAL(c.rope.theta, 7.0);
    with(decoder_olmoe,
         ",\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":4.0,"
         "\"truncate\":false,\"beta_fast\":null,\"beta_slow\":0}",
         &c);
    CU_ASSERT_FALSE(c.rope.truncate);
    CU_ASSERT_EQUAL(c.rope.beta_fast, 32.0);
    CU_ASSERT_EQUAL(c.rope.beta_slow, 1.0);
    CU_ASSERT_EQUAL(c.rope.original_context, 64.0);
    CU_ASSERT_DOUBLE_EQUAL(c.rope.attention_factor, 0.1 * log(4.0) + 1.0, 1e-15);
    CU_ASSERT_EQUAL(c.attention_scale, 0.5); /* only latent attention takes the factor in */
    with(decoder_v3,
         ",\"original_max_position_embeddings\":16,\"rope_scaling\":{\"type\":\"yarn\","
         "\"factor\":null,\"original_max_position_embeddings\":32,\"mscale\":1.0,"
         "\"mscale_all_dim\":0,\"attention_factor\":null}",
         &c);
    CU_ASSERT_EQUAL(c.rope.factor, 4.0);
    CU_ASSERT_EQUAL(c.rope.original_context, 16.0);
    CU_ASSERT_DOUBLE_EQUAL(c.rope.attention_factor, 0.1 * log(4.0) + 1.0, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(c.attention_scale, 1.0 / sqrt(10.0), 1e-15);
    with(decoder_v3,
         ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":8,\"mscale\":2,"
         "\"mscale_all_dim\":1}",
         &c);
    CU_ASSERT_DOUBLE_EQUAL(c.rope.attention_factor, (0.2 * log(8.0) + 1.0) / (0.1 * log(8.0) + 1.0),
                           1e-15);
    with(decoder_v3, ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":8,\"attention_factor\":1.25}",
         &c);
    CU_ASSERT_EQUAL(c.rope.attention_factor, 1.25);
}

/* What does not change a logit may stand there. */
static void keys_without_effect_are_accepted(void)
{
    fm_decoder_config c;

    with(decoder_olmoe,
         ",\"torch_dtype\":\"float16\",\"attention_dropout\":0.5,\"use_cache\":false,"
         "\"eos_token_id\":[1,2],\"pad_token_id\":1,\"output_router_logits\":true,"
         "\"router_aux_loss_coef\":0.3,\"_name_or_path\":\"x\",\"sliding_window\":null,"
         "\"quantization_config\":null,\"layer_types\":[\"full_attention\",\"full_attention\"]",
         &c);
}

typedef struct {
    const char *const *base;
    const char *more, *says;
} refusal;

static void check_refusals(const refusal *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *text = decoder_config_with(*list[i].base, list[i].more);
        fm_decoder_config c = { .width = 77 };

        CU_ASSERT_EQUAL(parse(text, &c), FM_EINVAL);
        CU_ASSERT_EQUAL(c.width, 77);
        decoder_error_has(list[i].says);
        decoder_error_has("config.json: ");
        free(text);
    }
}

static void keys_that_would_change_the_result_are_refused_by_name(void)
{
    const refusal list[] = {
        { &decoder_olmoe, ",\"quantization_config\":{\"quant_method\":\"fp8\"}",
          "quantization_config is {\"quant_method\":\"fp8\"}" },
        { &decoder_olmoe, ",\"sliding_window\":4096", "sliding_window is 4096" },
        { &decoder_olmoe, ",\"use_sliding_window\":true", "use_sliding_window is true" },
        { &decoder_olmoe, ",\"pretraining_tp\":2", "pretraining_tp is 2" },
        { &decoder_olmoe, ",\"partial_rotary_factor\":0.5", "partial_rotary_factor is 0.5" },
        { &decoder_olmoe, ",\"layer_types\":[\"full_attention\",\"sliding_attention\"]",
          "layer_types is [" },
        { &decoder_olmoe, ",\"head_dim\":8", "head_dim is 8" },
        { &decoder_olmoe, ",\"clip_qkv\":0", "clip_qkv is 0" },
        { &decoder_olmoe, ",\"clip_qkv\":\"no\"", "clip_qkv is \"no\"" },
        { &decoder_olmoe, ",\"num_local_experts\":8", "num_local_experts is 8" },
        { &decoder_olmoe, ",\"kv_lora_rank\":8", "kv_lora_rank is 8: this key is not known" },
        { &decoder_olmoe, ",\"a_new_key\":{\"a\":[1]}", "a_new_key is {\"a\":[1]}: this key" },
        { &decoder_olmoe, ",\"is_encoder_decoder\":true", "is_encoder_decoder is true" },
        { &decoder_granite, ",\"shared_intermediate_size\":5", "shared_intermediate_size is 5" },
        { &decoder_granite, ",\"mlp_bias\":true", "mlp_bias is true" },
        { &decoder_v2, ",\"mlp_bias\":true", "mlp_bias is true" },
        { &decoder_v2, ",\"topk_method\":\"noaux_tc\"", "topk_method is \"noaux_tc\"" },
        { &decoder_v2, ",\"topk_method\":null", "topk_method is null" },
        { &decoder_v2, ",\"topk_method\":\"group_limited_greedy\"", "n_group: is needed" },
        { &decoder_v2, ",\"scoring_func\":\"sigmoid\"", "scoring_func is \"sigmoid\"" },
        { &decoder_v2, ",\"moe_layer_freq\":2", "moe_layer_freq is 2" },
        { &decoder_v2, ",\"ep_size\":8", "ep_size is 8" },
        { &decoder_v2, ",\"use_mla\":false", "use_mla is false" },
        { &decoder_v2, ",\"rope_interleave\":false", "rope_interleave is false" },
        { &decoder_v2, ",\"head_dim\":16", "head_dim is 16" },
        { &decoder_v3, ",\"topk_method\":\"greedy\"", "topk_method is \"greedy\"" },
        { &decoder_v3, ",\"scoring_func\":\"softmax\"", "scoring_func is \"softmax\"" },
        { &decoder_v3, ",\"qk_head_dim\":12", "qk_head_dim is 12" },
        { &decoder_v3, ",\"num_local_experts\":8", "num_local_experts is 8" },
        { &decoder_v3, ",\"num_mtp_layers\":\"1\"", "num_mtp_layers is \"1\"" },
    };

    check_refusals(list, FM_TEST_COUNT(list));
}

static void other_positions_are_refused_by_name(void)
{
    const refusal list[] = {
        { &decoder_olmoe, ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}",
          "rope_type is \"linear\"" },
        { &decoder_olmoe, ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}",
          "rope_type is \"dynamic\"" },
        { &decoder_olmoe, ",\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":2}",
          "rope_type is \"llama3\"" },
        { &decoder_olmoe, ",\"rope_parameters\":{\"rope_type\":\"longrope\",\"factor\":2}",
          "rope_type is \"longrope\"" },
        { &decoder_olmoe, ",\"rope_parameters\":{\"rope_type\":\"yarn\"}", "factor: YaRN needs" },
        { &decoder_olmoe, ",\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":0.5}",
          "factor is 0.5" },
        { &decoder_olmoe,
          ",\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":2,"
          "\"truncate\":1}",
          "truncate is 1" },
        { &decoder_olmoe,
          ",\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":2,"
          "\"attention_factor\":0}",
          "attention_factor is 0" },
        { &decoder_olmoe, ",\"rope_parameters\":{\"mrope_section\":[1]}", "mrope_section is [1]" },
        { &decoder_olmoe, ",\"rope_parameters\":{\"partial_rotary_factor\":0.5}",
          "partial_rotary_factor is 0.5" },
        { &decoder_olmoe,
          ",\"rope_parameters\":{\"rope_theta\":2.0},\"rope_scaling\":"
          "{\"type\":\"default\"}",
          "rope_scaling is {\"type\":\"default\"}" },
        { &decoder_olmoe, ",\"rope_parameters\":[1]", "rope_parameters is [1]" },
        { &decoder_olmoe, ",\"rope_parameters\":{\"type\":\"yarn\",\"rope_type\":\"default\"}",
          "type is \"yarn\"" },
        { &decoder_olmoe, ",\"rope_theta\":null", "rope_theta is null" },
    };

    check_refusals(list, FM_TEST_COUNT(list));
}

/* Whole files: classes, and values of a base that "with" cannot give twice. */
static void other_classes_and_values_are_refused_by_name(void)
{
    static const struct {
        const char *text, *says;
        fm_status st;
    } list[] = {
        { "{}", "supported are OlmoeForCausalLM", FM_EINVAL },
        { "{\"architectures\":[\"LlamaForCausalLM\"]}", "architectures is [\"LlamaForCausalLM\"]",
          FM_EINVAL },
        { "{\"architectures\":[\"OlmoeModel\"],\"model_type\":\"olmoe\"}", "\"OlmoeModel\"",
          FM_EINVAL },
        { "{\"architectures\":[\"OlmoeForCausalLM\",\"X\"]}", "architectures is [", FM_EINVAL },
        { "{\"architectures\":7,\"model_type\":\"olmoe\"}", "architectures is 7", FM_EINVAL },
        { "{\"model_type\":\"mixtral\"}", "model_type is \"mixtral\"", FM_EINVAL },
        { "{\"architectures\":[\"OlmoeForCausalLM\"],\"model_type\":\"granitemoe\"}",
          "model_type is \"granitemoe\"", FM_EINVAL },
        { "{\"model_type\":\"olmoe\",\"hidden_act\":\"gelu\"}", "hidden_act is \"gelu\"",
          FM_EINVAL },
        { "{\"model_type\":\"olmoe\",\"hidden_size\":2047}", "hidden_size is 2047", FM_EINVAL },
        { "{\"model_type\":\"olmoe\",\"hidden_size\":-16}", "hidden_size is -16", FM_EINVAL },
        { "{\"model_type\":\"olmoe\",\"hidden_size\":1e3}", "must be a whole number", FM_EINVAL },
        { "{\"model_type\":\"olmoe\",\"hidden_size\":null}", "hidden_size is null", FM_EINVAL },
        { "{\"model_type\":\"olmoe\",\"vocab_size\":4294967296}", "vocab_size is 4294967296",
          FM_EINVAL },
        { "{\"model_type\":\"olmoe\",\"num_attention_heads\":0}", "num_attention_heads is 0",
          FM_EINVAL },
        { "{\"model_type\":\"olmoe\",\"tie_word_embeddings\":1}", "tie_word_embeddings is 1",
          FM_EINVAL },
        { "{\"model_type\":\"olmoe\",\"num_key_value_heads\":3}", "num_key_value_heads) is 3",
          FM_EINVAL },
        { "{\"model_type\":\"olmoe\",\"num_experts_per_tok\":65}", "num_experts_per_tok) is 65",
          FM_EINVAL },
        { "{\"model_type\":\"olmoe\",\"rms_norm_eps\":\"x\"}", "rms_norm_eps is \"x\"", FM_EINVAL },
        { "{\"model_type\":\"deepseek_v3\",\"num_attention_heads\":64}",
          "num_key_value_heads: must be num_attention_heads", FM_EINVAL },
        { "{\"model_type\":\"deepseek_v3\",\"n_group\":null}", "n_group is null", FM_EINVAL },
        { "{\"model_type\":\"deepseek_v3\",\"n_group\":7}", "(n_group) is 7", FM_EINVAL },
        { "{\"model_type\":\"deepseek_v3\",\"topk_group\":9}", "(topk_group) is 9", FM_EINVAL },
        { "{\"model_type\":\"deepseek_v3\",\"routed_scaling_factor\":-1}",
          "(routed_scaling_factor) is -1", FM_EINVAL },
        { "{\"model_type\":\"olmoe\",\"rms_norm_eps\":-1}", "(rms_norm_eps) is -1", FM_EINVAL },
        { "{\"model_type\":\"olmoe\",\"num_hidden_layers\":0}", "(num_hidden_layers) is 0",
          FM_EINVAL },
        { "{\"model_type\":\"granitemoe\",\"logits_scaling\":0}", "(logits_scaling) is 0",
          FM_EINVAL },
        { "{\"model_type\":\"deepseek_v3\",\"q_lora_rank\":0}", "q_lora_rank is 0", FM_EINVAL },
        { "{\"model_type\":\"deepseek_v3\",\"qk_rope_head_dim\":63}", "qk_rope_head_dim) is 63",
          FM_EINVAL },
        { "{\"model_type\":\"deepseek_v3\",\"n_shared_experts\":null}", "n_shared_experts is null",
          FM_EINVAL },
        { "{\"model_type\":\"olmoe\",\"model_type\":\"olmoe\"}", "config.json:1:", FM_EPARSE },
        { "{\"model_type\":\"olmoe\"", "config.json:1:", FM_EPARSE },
        { "[]", "not a JSON object", FM_EPARSE },
        { "", "config.json:1:", FM_EPARSE },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(list); i++) {
        fm_decoder_config c = { .width = 77 };

        CU_ASSERT_EQUAL(parse(list[i].text, &c), list[i].st);
        CU_ASSERT_EQUAL(c.width, 77);
        decoder_error_has(list[i].says);
    }
}

static void every_cut_is_refused(void)
{
    fm_decoder_config c;

    for (size_t n = 0; n < strlen(v2_lite); n++)
        CU_ASSERT_EQUAL(fm_decoder_config_parse("config.json", v2_lite, n, &c), FM_EPARSE);
    CU_ASSERT_EQUAL(fm_decoder_config_parse("config.json", v2_lite, sizeof v2_lite - 1, &c), FM_OK);
}

static const fm_test tests[] = {
    { "a folder of the older kind", a_folder_of_the_older_kind },
    { "defaults are those of the class", defaults_are_those_of_the_class },
    { "keys mean what they mean there", keys_mean_what_they_mean_there },
    { "positions both ways of writing", positions_both_ways_of_writing },
    { "keys without effect are accepted", keys_without_effect_are_accepted },
    { "keys that would change the result are refused by name",
      keys_that_would_change_the_result_are_refused_by_name },
    { "other positions are refused by name", other_positions_are_refused_by_name },
    { "other classes and values are refused by name",
      other_classes_and_values_are_refused_by_name },
    { "every cut is refused", every_cut_is_refused },
};

const fm_test_suite suite_decoder_json = { "model.decoder_json", tests, FM_TEST_COUNT(tests) };
