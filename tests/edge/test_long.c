/* Texts of 16,384 tokens, against the arithmetic of transformers: that of a reference in double with its
 * angles in float32, and of model/, which is held against transformers itself. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_reference.h"
#include "edge_fixture.h"
#include "fedmoe/edge/session.h"
#include "folder_fixture.h"
#include "suites.h"

#define LENGTH 16384
#define AT 16000
#define VOCABULARY 24

/* One layer, of which the reference needs one row, and one head. */
#define COMMON                                                                              \
    "\"vocab_size\":24,\"hidden_size\":16,\"num_hidden_layers\":1,\"hidden_act\":\"silu\"," \
    "\"num_attention_heads\":1,\"num_key_value_heads\":1,\"max_position_embeddings\":16384"
static const char *const configs[] = {
    "{\"architectures\":[\"OlmoeForCausalLM\"],\"model_type\":\"olmoe\"," COMMON
    ",\"intermediate_size\":7,\"num_experts\":3,\"num_experts_per_tok\":1}",
    "{\"architectures\":[\"DeepseekV3ForCausalLM\"],\"model_type\":\"deepseek_v3\"," COMMON
    ",\"intermediate_size\":21,\"moe_intermediate_size\":7,\"n_routed_experts\":4,"
    "\"n_shared_experts\":1,\"num_experts_per_tok\":1,\"first_k_dense_replace\":0,"
    "\"q_lora_rank\":9,\"kv_lora_rank\":16,\"qk_nope_head_dim\":12,\"qk_rope_head_dim\":16,"
    "\"v_head_dim\":8,\"n_group\":2,\"topk_group\":1}",
};

static void reference(const char *config, const uint32_t *tokens, float *out)
{
    fm_decoder *d = NULL;
    const fm_decoder_layout *l;
    double *theta, z[VOCABULARY];
    float *flat;

    edge_random_decoder(config, 1, &d);
    l = fm_decoder_get_layout(d);
    flat = calloc(l->parameters, sizeof *flat);
    theta = calloc(l->parameters, sizeof *theta);
    fm_decoder_get(d, flat);
    for (size_t i = 0; i < l->parameters; i++)
        theta[i] = (double)flat[i];
    decoder_reference_last(fm_decoder_get_config(d), l, theta, tokens, AT + 1, z);
    for (size_t v = 0; v < VOCABULARY; v++)
        out[v] = (float)z[v];
    free(flat);
    free(theta);
    fm_decoder_free(&d);
}

static void position_16000_is_that_of_a_reference_in_double(void)
{
    uint32_t *tokens = calloc(LENGTH, sizeof *tokens);

    edge_tokens(tokens, LENGTH, 61);
    for (size_t n = 0; n < FM_TEST_COUNT(configs); n++) {
        float want[VOCABULARY], got[2][VOCABULARY];
        fm_edge_model *m = NULL;

        reference(configs[n], tokens, want);
        edge_random_open(configs[n], false, &m);
        for (int kind = 0; kind < 2; kind++) {
            fm_edge_session *s = edge_session(m, LENGTH, 0, (fm_edge_cache)kind, false);

            CU_ASSERT_EQUAL(fm_edge_read(s, tokens, AT + 1, got[kind]), FM_OK);
            fm_edge_session_free(&s);
        }
        printf("\n    %zu: float cache within %.1e, 8 bits within %.1e", n,
               edge_farthest(got[FM_CACHE_FLOAT], want, VOCABULARY),
               edge_farthest(got[FM_CACHE_INT8], want, VOCABULARY));
        CU_ASSERT(edge_farthest(got[FM_CACHE_FLOAT], want, VOCABULARY) < 1e-3);
        CU_ASSERT(edge_farthest(got[FM_CACHE_INT8], want, VOCABULARY) < 1e-1);
        fm_edge_model_free(&m);
    }
    free(tokens);
}

#ifdef __SANITIZE_ADDRESS__ /* where it takes five times as long */
#define FAR 4000
#else
#define FAR AT
#endif

/* Of the second layer all rows of the first are needed. */
static void two_layers_are_those_of_the_decoder(void)
{
    uint32_t *tokens = calloc(LENGTH, sizeof *tokens);
    const uint32_t end = FAR + 1;
    const fm_decoder_batch batch = { .tokens = tokens, .ends = &end, .sequences = 1 };

    edge_tokens(tokens, LENGTH, 62);
    for (size_t n = 0; n < FM_TEST_COUNT(configs); n++) {
        char *config = strdup(configs[n]);
        float want[VOCABULARY], got[VOCABULARY];
        fm_decoder *d = NULL;
        fm_edge_model *m = NULL;
        fm_edge_session *s;

        strstr(config, "layers\":1")[strlen("layers\":")] = '2';
        edge_random_decoder(config, end, &d);
        CU_ASSERT_EQUAL(fm_decoder_last_logits(d, &batch, want), FM_OK);
        edge_random_open(config, false, &m);
        s = edge_session(m, LENGTH, 0, FM_CACHE_FLOAT, false);
        CU_ASSERT_EQUAL(fm_edge_read(s, tokens, end, got), FM_OK);
        printf("\n    %zu: within %.1e", n, edge_farthest(got, want, VOCABULARY));
        CU_ASSERT(edge_farthest(got, want, VOCABULARY) < 1e-3);
        fm_edge_session_free(&s);
        fm_edge_model_free(&m);
        fm_decoder_free(&d);
        free(config);
    }
    free(tokens);
}

static const fm_test tests[] = {
    { "position 16000 is that of a reference in double",
      position_16000_is_that_of_a_reference_in_double },
    { "two layers are those of the decoder", two_layers_are_those_of_the_decoder },
};
const fm_test_suite suite_long = { "edge.long", tests, FM_TEST_COUNT(tests) };
