/* Adapters with PEFT's names: in, out and merged, and what is refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "adapter_internal.h"
#include "decoder_world.h"
#include "fedmoe/base/file.h"
#include "fm_test.h"
#include "folder_fixture.h"
#include "suites.h"

static void fixture_adapter(const char *name, char path[4400])
{
    char rel[128], folder[4096];

    (void)snprintf(rel, sizeof rel, "fixtures/transformers/%s", name);
    CU_ASSERT_FATAL(fm_test_shared(rel, folder, sizeof folder));
    (void)snprintf(path, 4400, "%s/adapter.safetensors", folder);
}

/* A decoder of the world's model with the adapter's shape, and it in it. */
static fm_decoder *adapted(const world *w, const fm_adapter *a)
{
    const fm_decoder_options o = { .max_tokens = ROWS, .adapters = fm_adapter_shape(a) };
    fm_decoder *d = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_decoder_new(&w->f.config, &o, &d), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_set(d, w->f.theta, w->f.layout.parameters), FM_OK);
    CU_ASSERT_EQUAL(fm_adapter_load(a, d), FM_OK);
    return d;
}

static double off_by(fm_decoder *d, const world *w)
{
    const size_t values = ROWS * w->f.config.vocabulary;
    float *logits = calloc(values, sizeof *logits);
    double off;

    CU_ASSERT_EQUAL(fm_decoder_logits(d, &w->batch, logits), FM_OK);
    off = world_farthest(logits, decoder_fixture_floats(&w->f, "lora.logits", values), values);
    free(logits);
    return off;
}

/* The base's weights with the adapters in them, in a decoder without. */
static double merged_off_by(const fm_decoder *d, const world *w)
{
    const fm_decoder_options o = { .max_tokens = ROWS };
    float *flat = calloc(w->f.layout.parameters, sizeof *flat);
    fm_decoder *plain = NULL;
    double off;

    memcpy(flat, w->f.theta, w->f.layout.parameters * sizeof *flat);
    fm_decoder_adapters_merge(d, flat);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_new(&w->f.config, &o, &plain), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_set(plain, flat, w->f.layout.parameters), FM_OK);
    off = off_by(plain, w);
    fm_decoder_free(&plain);
    free(flat);
    return off;
}

/* Every tensor of the first with the same values in the second, whose others are 0. */
static void same_tensors(const char *first, const char *second)
{
    fm_safetensors *a = NULL, *b = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_safetensors_load(first, (size_t)64 << 20, &a), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_load(second, (size_t)64 << 20, &b), FM_OK);
    for (size_t i = 0; i < fm_safetensors_count(a); i++) {
        const fm_tensor_view *t = fm_safetensors_at(a, i), *u = fm_safetensors_find(b, t->name);

        CU_ASSERT_PTR_NOT_NULL_FATAL(u);
        CU_ASSERT_FATAL(t->bytes == u->bytes && t->shape[0] == u->shape[0]);
        CU_ASSERT(memcmp(t->data, u->data, t->bytes) == 0);
    }
    for (size_t i = 0; i < fm_safetensors_count(b); i++) {
        const fm_tensor_view *t = fm_safetensors_at(b, i);
        size_t any = 0;

        for (size_t k = 0; !fm_safetensors_find(a, t->name) && k < t->bytes; k++)
            any += t->data[k] != 0;
        CU_ASSERT_EQUAL(any, 0);
    }
    fm_safetensors_free(&a);
    fm_safetensors_free(&b);
}

static void check_fixture(const char *name)
{
    const fm_safetensors_meta meta = { "fedmoe.epsilon", "3" };
    const fm_adapter_about about = { .base = "base", .meta = &meta, .meta_count = 1 };
    char path[4400], root[DECODER_PATH], folder[DECODER_PATH], weights[DECODER_PATH];
    fm_adapter *a = NULL, *again = NULL;
    fm_decoder *d;
    world w = { 0 };

    if (!world_begin(&w, name, FM_TRAIN_NONE, false, false))
        return;
    fixture_adapter(name, path);
    CU_ASSERT_EQUAL_FATAL(fm_adapter_open(path, &a), FM_OK);
    CU_ASSERT(fm_adapter_shape(a).rank == 4 && fm_adapter_shape(a).alpha == 8.0);
    d = adapted(&w, a);
    CU_ASSERT(off_by(d, &w) < 1e-4);
    CU_ASSERT(merged_off_by(d, &w) < 1e-4);
    fm_test_tmpdir(root, sizeof root);
    decoder_path(root, "out", folder);
    CU_ASSERT_EQUAL(fm_adapter_write(d, &about, folder), FM_OK);
    CU_ASSERT_EQUAL(fm_adapter_write(d, &about, folder), FM_EEXIST);
    decoder_path(folder, FM_ADAPTER_WEIGHTS, weights);
    same_tensors(path, weights);
    fm_decoder_free(&d);
    CU_ASSERT_EQUAL_FATAL(fm_adapter_open(folder, &again), FM_OK);
    CU_ASSERT_EQUAL(fm_adapter_shape(again).maps, fm_adapter_shape(a).maps);
    d = adapted(&w, again);
    CU_ASSERT(off_by(d, &w) < 1e-4);
    fm_adapter_free(&again);
    CU_ASSERT_EQUAL_FATAL(fm_adapter_open(weights, &again), FM_OK); /* the file is enough */
    CU_ASSERT_EQUAL(fm_adapter_shape(again).alpha, 8.0);
    fm_decoder_free(&d);
    fm_adapter_free(&again);
    fm_adapter_free(&a);
    world_end(&w);
}

static void adapters_of_peft_are_read_written_and_merged(void)
{
    for (size_t n = 0; n < decoder_fixture_count; n++)
        check_fixture(decoder_fixture_names[n]);
}

/* ---- configurations ---- */

#define GOOD                                                                                \
    "\"peft_type\": \"LORA\", \"task_type\": \"CAUSAL_LM\", \"r\": 4, \"lora_alpha\": 16, " \
    "\"bias\": \"none\", \"target_modules\": [\"q_proj\"], \"lora_dropout\": 0.05, "        \
    "\"use_dora\": false, \"rank_pattern\": {}, \"modules_to_save\": null, "                \
    "\"fan_in_fan_out\": false, \"init_lora_weights\": \"pissa\", \"lora_bias\": false"

static fm_status parse(const char *more, fm_adapter_config *out)
{
    char text[1024];

    (void)snprintf(text, sizeof text, "{%s%s}", GOOD, more);
    return fm_adapter_config_parse("adapter_config.json", text, strlen(text), out);
}

static void configurations_are_read_or_refused_by_name(void)
{
    static const char *const refused[][2] = {
        { ", \"use_dora\": 1", "use_dora" }, /* a duplicate: the last would count */
        { ", \"alpha_pattern\": {\"q_proj\": 3}", "alpha_pattern" },
        { ", \"target_parameters\": [\"mlp.experts.down_proj\"]", "target_parameters" },
        { ", \"trainable_token_indices\": [5]", "trainable_token_indices" },
        { ", \"layer_replication\": [[0, 4]]", "layer_replication" },
        { ", \"use_qalora\": true", "use_qalora" },
        { ", \"some_new_thing\": 3", "some_new_thing" },
    };
    static const char *const wrong[][2] = {
        { "{\"r\": 4, \"lora_alpha\": 8}", "peft_type" },
        { "{\"peft_type\": \"LOHA\", \"r\": 4, \"lora_alpha\": 8}", "LOHA" },
        { "{\"peft_type\": \"LORA\", \"r\": 0, \"lora_alpha\": 8}", "'r'" },
        { "{\"peft_type\": \"LORA\", \"r\": 2000, \"lora_alpha\": 8}", "'r'" },
        { "{\"peft_type\": \"LORA\", \"r\": 4.5, \"lora_alpha\": 8}", "'r'" },
        { "{\"peft_type\": \"LORA\", \"r\": 4}", "lora_alpha" },
        { "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 1e300}", "lora_alpha" },
        { "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, \"bias\": \"all\"}", "bias" },
        { "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, \"fan_in_fan_out\": true}",
          "fan_in_fan_out" },
        { "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, \"use_dora\": true}",
          "use_dora" },
        { "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, \"modules_to_save\": "
          "[\"lm_head\"]}",
          "modules_to_save" },
        { "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, \"rank_pattern\": {\"a\": 1}}",
          "rank_pattern" },
        { "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, \"task_type\": \"SEQ_CLS\"}",
          "task_type" },
        { "[1]", "object" },
        { "{", "adapter_config.json:1" },
    };
    fm_adapter_config c;

    CU_ASSERT_EQUAL(parse("", &c), FM_OK);
    CU_ASSERT(c.rank == 4 && c.alpha == 16.0);
    CU_ASSERT_EQUAL(parse(", \"use_rslora\": true", &c), FM_OK);
    CU_ASSERT_EQUAL(c.alpha, 32.0);
    for (size_t i = 0; i < FM_TEST_COUNT(refused); i++) {
        CU_ASSERT(parse(refused[i][0], &c) != FM_OK);
        decoder_error_has(refused[i][1]);
    }
    for (size_t i = 0; i < FM_TEST_COUNT(wrong); i++) {
        CU_ASSERT(fm_adapter_config_parse("adapter_config.json", wrong[i][0], strlen(wrong[i][0]),
                                          &c) != FM_OK);
        decoder_error_has(wrong[i][1]);
    }
}

/* ---- tensors ---- */

#define MODULE "base_model.model.model.layers.0.self_attn.o_proj."

typedef struct {
    const char *name;
    size_t rows, columns;
    float value;
} made;

/* o_proj's adapter of decoder_small(0), [20, 24] of rank 2, or what the cases make of it. */
static fm_status load_made(const made *tensors, size_t n, const char *rank)
{
    const fm_decoder_config config = decoder_small(0);
    const fm_decoder_options o = {
        .max_tokens = 1, .adapters = { .rank = 2, .alpha = 3.0, .maps = FM_ADAPT_OUTPUT }
    };
    const fm_safetensors_meta meta[] = { { "r", rank }, { "lora_alpha", "3" } };
    char root[DECODER_PATH], path[DECODER_PATH];
    fm_tensor_view views[4];
    float values[4][64];
    fm_adapter *a = NULL;
    fm_decoder *d = NULL;
    fm_status st;

    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < 64; k++)
            values[i][k] = tensors[i].value;
        views[i] = (fm_tensor_view){ .name = tensors[i].name,
                                     .dtype = "F32",
                                     .dims = 2,
                                     .shape = { tensors[i].rows, tensors[i].columns },
                                     .data = (const uint8_t *)values[i],
                                     .bytes = tensors[i].rows * tensors[i].columns * 4 };
    }
    fm_test_tmpdir(root, sizeof root);
    decoder_path(root, "a.safetensors", path);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_replace(path, 0644, views, n, meta, 2), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_new(&config, &o, &d), FM_OK);
    if ((st = fm_adapter_open(path, &a)) == FM_OK)
        st = fm_adapter_load(a, d);
    fm_adapter_free(&a);
    fm_decoder_free(&d);
    return st;
}

static void tensors_that_do_not_fit_are_refused_by_name(void)
{
    static const made good[] = { { MODULE "lora_A.weight", 2, 24, 1.0f },
                                 { MODULE "lora_B.weight", 20, 2, 1.0f } };
    static const struct {
        made t;
        const char *words;
    } cases[] = {
        { { MODULE "lora_B.weight", 21, 2, 1.0f }, "the model's is [20, 2]" },
        { { MODULE "lora_B.weight", 16, 3, 1.0f }, "not of rank 2" },
        { { MODULE "lora_B.weight", 20, 2, NAN }, "not finite" },
        { { MODULE "lora_B.bias", 20, 2, 1.0f }, "lora_B.bias" },
        { { MODULE "lora_magnitude_vector", 20, 2, 1.0f }, "lora_magnitude_vector" },
        { { "base_model.model.lm_head.lora_B.weight", 20, 2, 1.0f }, "lm_head" },
        { { "base_model.model.model.layers.7.self_attn.o_proj.lora_B.weight", 20, 2, 1.0f },
          "layers.7.self_attn.o_proj" },
        { { "base_model.model.model.layers.00.self_attn.o_proj.lora_B.weight", 20, 2, 1.0f },
          "layers.00." },
        { { "base_model.model.model.layers.0.mlp.gate.lora_B.weight", 20, 2, 1.0f }, "mlp.gate" },
        { { "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", 20, 2, 1.0f },
          "not adapted here" },
    };

    CU_ASSERT_EQUAL(load_made(good, 2, "2"), FM_OK);
    CU_ASSERT_EQUAL(load_made(good, 1, "2"), FM_EPROTO);
    decoder_error_has("beside it");
    CU_ASSERT_EQUAL(load_made(good, 2, "3"), FM_EPROTO);
    decoder_error_has("not of rank 3");
    CU_ASSERT_EQUAL(load_made(good, 2, "two"), FM_EPROTO);
    decoder_error_has("must be numbers");
    CU_ASSERT_EQUAL(load_made(good, 0, "2"), FM_EPROTO);
    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        const made both[] = { good[0], cases[i].t };

        CU_ASSERT(load_made(both, 2, "2") != FM_OK);
        decoder_error_has(cases[i].words);
    }
}

static void what_is_for_its_owner_alone_is_closed_to_others(void)
{
    const fm_decoder_config config = decoder_small(0);
    const fm_decoder_options o = {
        .max_tokens = 1, .adapters = { .rank = 2, .alpha = 3.0, .maps = FM_ADAPT_OUTPUT }
    };
    char root[DECODER_PATH], path[DECODER_PATH];
    fm_decoder *d = NULL;
    struct stat info;

    CU_ASSERT_EQUAL_FATAL(fm_decoder_new(&config, &o, &d), FM_OK);
    fm_test_tmpdir(root, sizeof root);
    decoder_path(root, "mine", path);
    CU_ASSERT_EQUAL(fm_adapter_write(d, &(fm_adapter_about){ .owner_only = true }, path), FM_OK);
    CU_ASSERT(stat(path, &info) == 0 && (info.st_mode & 0777) == 0700);
    decoder_path(root, "ours", path);
    CU_ASSERT_EQUAL(fm_adapter_write(d, &(fm_adapter_about){ 0 }, path), FM_OK);
    CU_ASSERT(stat(path, &info) == 0 && (info.st_mode & 0777) == 0755);
    fm_decoder_free(&d);
}

static const fm_test tests[] = {
    { "adapters of PEFT are read, written and merged",
      adapters_of_peft_are_read_written_and_merged },
    { "configurations are read, or refused by name", configurations_are_read_or_refused_by_name },
    { "tensors that do not fit are refused by name", tensors_that_do_not_fit_are_refused_by_name },
    { "what is for its owner alone is closed to others",
      what_is_for_its_owner_alone_is_closed_to_others },
};
const fm_test_suite suite_adapter_folder = { "model.adapter_folder", tests, FM_TEST_COUNT(tests) };
