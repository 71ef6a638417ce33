#include "edge_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fedmoe/base/random.h"
#include "fedmoe/edge/file.h"
#include "fedmoe/model/decoder_adapter.h"
#include "fm_test.h"
#include "folder_fixture.h"

#define COMMON                                                                              \
    "\"vocab_size\":24,\"hidden_size\":24,\"num_hidden_layers\":2,\"hidden_act\":\"silu\"," \
    "\"num_attention_heads\":4,\"max_position_embeddings\":16384"

const char *const edge_configs[] = {
    "{\"architectures\":[\"OlmoeForCausalLM\"],\"model_type\":\"olmoe\"," COMMON
    ",\"num_key_value_heads\":2,\"intermediate_size\":7,\"num_experts\":5,\"clip_qkv\":1.5,"
    "\"num_experts_per_tok\":2}",
    "{\"architectures\":[\"GraniteMoeForCausalLM\"],\"model_type\":\"granitemoe\",\"vocab_size\":"
    "24,\"hidden_size\":48,\"num_hidden_layers\":2,\"hidden_act\":\"silu\",\"num_attention_heads\":"
    "2,\"max_position_embeddings\":16384,\"num_key_value_heads\":1,\"intermediate_size\":7,"
    "\"num_local_experts\":5,\"num_experts_per_tok\":2,\"tie_word_embeddings\":true,"
    "\"attention_multiplier\":0.1,\"embedding_multiplier\":3,\"residual_multiplier\":0.7,"
    "\"logits_scaling\":2}",
    "{\"architectures\":[\"DeepseekV2ForCausalLM\"],\"model_type\":\"deepseek_v2\"," COMMON
    ",\"num_key_value_heads\":4,\"intermediate_size\":21,\"moe_intermediate_size\":7,"
    "\"n_routed_experts\":5,\"n_shared_experts\":2,\"num_experts_per_tok\":2,"
    "\"first_k_dense_replace\":1,\"q_lora_rank\":null,\"kv_lora_rank\":19,\"qk_nope_head_dim\":7,"
    "\"qk_rope_head_dim\":4,\"v_head_dim\":5}",
    "{\"architectures\":[\"DeepseekV3ForCausalLM\"],\"model_type\":\"deepseek_v3\"," COMMON
    ",\"num_key_value_heads\":4,\"intermediate_size\":21,\"moe_intermediate_size\":7,"
    "\"n_routed_experts\":6,\"n_shared_experts\":1,\"num_experts_per_tok\":2,"
    "\"first_k_dense_replace\":1,\"q_lora_rank\":9,\"kv_lora_rank\":35,\"qk_nope_head_dim\":7,"
    "\"qk_rope_head_dim\":4,\"v_head_dim\":5,\"n_group\":2,\"topk_group\":1}",
};
const size_t edge_config_count = FM_TEST_COUNT(edge_configs);

static void open_path(const char *folder, bool int8, fm_edge_model **out)
{
    char dir[DECODER_PATH - 32], path[DECODER_PATH];
    fm_edge_facts facts;

    if (!int8) {
        CU_ASSERT_EQUAL_FATAL(fm_edge_model_open(folder, out), FM_OK);
        return;
    }
    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(path, sizeof path, "%s/int8.safetensors", dir);
    CU_ASSERT_EQUAL_FATAL(fm_edge_write(folder, path, &facts), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_edge_model_open(path, out), FM_OK);
}

bool edge_fixture_open(const char *name, bool int8, fm_edge_model **out)
{
    char rel[128], folder[DECODER_PATH];

    (void)snprintf(rel, sizeof rel, "fixtures/transformers/%s", name);
    if (!fm_test_shared(rel, folder, sizeof folder)) {
        fm_test_skip("no ../shared/fixtures/transformers");
        return false;
    }
    open_path(folder, int8, out);
    return true;
}

void edge_fixture_tokens(const decoder_fixture *f, const char *name, uint32_t *out, size_t count)
{
    const fm_tensor_view *t = fm_safetensors_find(f->ref, name);

    CU_ASSERT_FATAL(t && t->bytes == count * sizeof(int64_t));
    for (size_t i = 0; i < count; i++)
        out[i] = (uint32_t)fm_get_u64le(t->data + 8 * i);
}

static void make_folder(const char *config, char dir[DECODER_PATH])
{
    const decoder_folder_spec spec = { .config = config, .dtype = "F32", .spread = 0.6 };
    float *flat = NULL;
    size_t n = 0;

    fm_test_tmpdir(dir, DECODER_PATH);
    decoder_folder_make(dir, &spec, &flat, &n);
    free(flat);
}

void edge_random_open(const char *config, bool int8, fm_edge_model **out)
{
    char dir[DECODER_PATH];

    make_folder(config, dir);
    open_path(dir, int8, out);
}

void edge_random_decoder(const char *config, size_t rows, fm_decoder **out)
{
    const fm_decoder_options o = { .max_tokens = rows };
    fm_decoder_folder *f = NULL;
    char dir[DECODER_PATH];

    make_folder(config, dir);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(dir, &f), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_load(f, &o, out), FM_OK);
    fm_decoder_folder_free(&f);
}

void edge_tokens(uint32_t *out, size_t count, uint64_t seed)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_public(&state, seed);

    for (size_t i = 0; i < count; i++)
        out[i] = (uint32_t)fm_rng_below(&rng, 24);
}

fm_edge_session *edge_session(const fm_edge_model *m, size_t context, size_t tile,
                              fm_edge_cache cache, bool float_inputs)
{
    const fm_edge_options o = {
        .context = context, .tile = tile, .cache = cache, .float_inputs = float_inputs
    };
    fm_edge_session *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_edge_session_new(m, &o, &s), FM_OK);
    return s;
}

double edge_farthest(const float *a, const float *b, size_t n)
{
    double most = 0.0;

    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= most))
            most = fabs((double)a[i] - (double)b[i]);
    return most;
}

void edge_int8_make(const decoder_folder_spec *spec, char *dir, char *file)
{
    float *flat;
    size_t n;

    fm_test_tmpdir(dir, DECODER_PATH);
    decoder_path(dir, "int8.safetensors", file);
    decoder_folder_make(dir, spec, &flat, &n);
    CU_ASSERT_EQUAL_FATAL(fm_edge_write(dir, file, NULL), FM_OK);
    free(flat);
}
