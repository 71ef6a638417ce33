/* Experts in memory under a limit: as few as it says, and always the same values. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge_fixture.h"
#include "fedmoe/base/random.h"
#include "folder_fixture.h"
#include "model_internal.h"
#include "suites.h"

#define KB 1024u

static const char large[] =
    "{\"architectures\":[\"OlmoeForCausalLM\"],\"model_type\":\"olmoe\",\"vocab_size\":64,"
    "\"hidden_size\":256,\"num_hidden_layers\":2,\"hidden_act\":\"silu\",\"num_attention_heads\":4,"
    "\"max_position_embeddings\":64,\"num_key_value_heads\":2,\"intermediate_size\":512,"
    "\"num_experts\":8,\"num_experts_per_tok\":2}";

/* Bytes of the mapping of `path` that are in memory, as the system counts them. */
static size_t in_memory(const char *path)
{
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[1024];
    size_t sum = 0, kb = 0;
    bool mine = false;

    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    while (fgets(line, sizeof line, f)) {
        if (strchr(line, '-') && strchr(line, ':') && strchr(line, ' ') < strchr(line, ':'))
            mine = strstr(line, path) != NULL;
        else if (mine && sscanf(line, "Rss: %zu kB", &kb) == 1)
            sum += kb * KB;
    }
    (void)fclose(f);
    return sum;
}

/* Every byte of an expert. */
static uint64_t look(const fm_edge_model *m, size_t layer, size_t expert)
{
    const fm_edge_expert e = fm_edge_model_expert(m, layer, expert);
    const fm_int8_matrix *const maps[] = { &e.gate.i8, &e.up.i8, &e.down.i8 };
    uint64_t sum = 0;

    fm_edge_model_touch(m, layer, expert);
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < maps[k]->rows * maps[k]->columns; i++)
            sum = sum * 31 + (uint8_t)maps[k]->q[i];
    return sum;
}

typedef struct {
    char dir[DECODER_PATH], file[DECODER_PATH];
    fm_edge_model *m;
    uint64_t sums[16];
} world;

static world make(void)
{
    const decoder_folder_spec spec = { .config = large, .dtype = "BF16" };
    world w = { 0 };

    edge_int8_make(&spec, w.dir, w.file);
    CU_ASSERT_EQUAL_FATAL(fm_edge_model_open(w.file, &w.m), FM_OK);
    for (size_t i = 0; i < 16; i++)
        w.sums[i] = look(w.m, i / 8, i % 8);
    return w;
}

static void no_more_than_the_limit_is_in_memory(void)
{
    enum { LIMIT = 2200 * KB }; /* an expert has 384 KB, all of them 6 MB */
    world w = make();
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 91);
    size_t most = 0;

    CU_ASSERT_TRUE(in_memory(w.file) > 6000 * KB);
    CU_ASSERT_EQUAL_FATAL(fm_edge_model_limit(w.m, LIMIT), FM_OK);
    CU_ASSERT_TRUE(in_memory(w.file) < 1000 * KB);
    for (size_t i = 0; i < 200; i++) {
        const size_t e = (size_t)fm_rng_below(&rng, 16);
        size_t now;

        CU_ASSERT_EQUAL(look(w.m, e / 8, e % 8), w.sums[e]);
        now = in_memory(w.file);
        most = now > most ? now : most;
    }
    CU_ASSERT_TRUE(most <= LIMIT);
    CU_ASSERT_TRUE(most > LIMIT - 900 * KB); /* and the room is used */
    CU_ASSERT_EQUAL(fm_edge_model_limit(w.m, 0), FM_OK);
    for (size_t i = 0; i < 16; i++)
        CU_ASSERT_EQUAL(look(w.m, i / 8, i % 8), w.sums[i]);
    CU_ASSERT_TRUE(in_memory(w.file) > 6000 * KB);
    fm_edge_model_free(&w.m);
}

static void a_limit_that_no_expert_fits_is_refused(void)
{
    world w = make();
    fm_edge_model *plain = NULL;

    CU_ASSERT_EQUAL(fm_edge_model_limit(w.m, 300 * KB), FM_EINVAL);
    decoder_error_has("one expert take");
    CU_ASSERT_EQUAL_FATAL(fm_edge_model_open(w.dir, &plain), FM_OK);
    CU_ASSERT_EQUAL(fm_edge_model_limit(plain, 300 * KB), FM_EINVAL);
    decoder_error_has("float32");
    fm_edge_model_touch(plain, 1, 7); /* nothing to do */
    fm_edge_model_free(&plain);
    fm_edge_model_free(&w.m);
}

static const fm_test tests[] = {
    { "no more than the limit is in memory", no_more_than_the_limit_is_in_memory },
    { "a limit that no expert fits is refused", a_limit_that_no_expert_fits_is_refused },
};
const fm_test_suite suite_resident = { "edge.resident", tests, FM_TEST_COUNT(tests) };
