/* Adapters of PEFT: the same logits as there, from a file or a folder; what else is refused by name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_fixture.h"
#include "fedmoe/base/file.h"
#include "fedmoe/model/decoder_adapter.h"
#include "folder_fixture.h"
#include "suites.h"

/* Logits of `rows` tokens into out[rows * V]; the folder's model with the adapters of a path. */
static fm_status adapted(const char *model, const char *path, const uint32_t *tokens, uint32_t rows,
                         float *out)
{
    const fm_decoder_batch batch = { .tokens = tokens, .ends = &rows, .sequences = 1 };
    fm_decoder_options o = { .max_tokens = rows, .train = FM_TRAIN_NONE };
    fm_decoder_folder *f = NULL;
    fm_adapter_file *a = NULL;
    fm_decoder *d = NULL;
    fm_status st;

    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(model, &f), FM_OK);
    if ((st = fm_adapter_file_open(path, fm_decoder_folder_config(f), &a)) == FM_OK) {
        o.adapters = fm_adapter_file_adapters(a);
        CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_load(f, &o, &d), FM_OK);
        if ((st = fm_adapter_file_read(a, d)) == FM_OK)
            st = fm_decoder_logits(d, &batch, out);
    }
    fm_decoder_free(&d);
    fm_adapter_file_free(&a);
    fm_decoder_folder_free(&f);
    return st;
}

static double farthest(const float *a, const uint8_t *b, size_t n)
{
    double most = 0.0;

    for (size_t i = 0; i < n; i++) {
        float v;

        memcpy(&v, b + i * sizeof v, sizeof v);
        most = fmax(most, fabs((double)a[i] - (double)v));
    }
    return most;
}

static void check_model(const char *model, const fm_safetensors *ref, const char *path)
{
    const fm_tensor_view *ids = fm_safetensors_find(ref, "input_ids");
    const fm_tensor_view *logits = fm_safetensors_find(ref, "lora.logits");
    const uint32_t rows = (uint32_t)logits->shape[1];
    const size_t values = rows * logits->shape[2];
    uint32_t *tokens = calloc(rows, sizeof *tokens);
    float *out = calloc(values, sizeof *out);

    for (size_t i = 0; i < rows; i++)
        tokens[i] = fm_get_u32le(ids->data + 8 * i);
    CU_ASSERT_EQUAL(adapted(model, path, tokens, rows, out), FM_OK);
    CU_ASSERT_TRUE(farthest(out, logits->data, values) < 1e-4);
    free(tokens);
    free(out);
}

/* adapter.safetensors as PEFT has it: a folder, r and lora_alpha in adapter_config.json. */
static void make_peft(const char *adapter, char dir[DECODER_PATH])
{
    const fm_safetensors_meta meta = { "format", "pt" };
    fm_tensor_view *views;
    fm_safetensors *s = NULL;
    char path[DECODER_PATH];

    fm_test_tmpdir(dir, DECODER_PATH);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_load(adapter, 1 << 24, &s), FM_OK);
    views = calloc(fm_safetensors_count(s), sizeof *views);
    for (size_t i = 0; i < fm_safetensors_count(s); i++)
        views[i] = *fm_safetensors_at(s, i);
    decoder_path(dir, "adapter_model.safetensors", path);
    CU_ASSERT_EQUAL(fm_safetensors_replace(path, 0644, views, fm_safetensors_count(s), &meta, 1),
                    FM_OK);
    decoder_put(dir, "adapter_config.json",
                "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"bias\":\"none\","
                "\"use_rslora\":false,\"target_modules\":[\"q_proj\"],\"lora_dropout\":0.1}");
    free(views);
    fm_safetensors_free(&s);
}

static void logits_are_those_of_peft(void)
{
    for (size_t i = 0; i < decoder_fixture_count; i++) {
        char model[DECODER_PATH], path[DECODER_PATH], dir[DECODER_PATH], rel[128];
        fm_safetensors *ref = NULL;

        (void)snprintf(rel, sizeof rel, "fixtures/transformers/%s", decoder_fixture_names[i]);
        if (!fm_test_shared(rel, model, sizeof model)) {
            fm_test_skip("no shared fixtures");
            return;
        }
        decoder_path(model, "ref.safetensors", path);
        CU_ASSERT_EQUAL_FATAL(fm_safetensors_load(path, 1 << 24, &ref), FM_OK);
        decoder_path(model, "adapter.safetensors", path);
        check_model(model, ref, path);
        make_peft(path, dir);
        check_model(model, ref, dir);
        fm_safetensors_free(&ref);
    }
}

/* Made for a small V3: two halves of rank 2, of a map with so many inputs and outputs. */
typedef struct {
    const char *module;
    size_t in, out;
    const char *r, *alpha; /* metadata; NULL: none */
    const char *config;    /* adapter_config.json; NULL: none */
    bool single;           /* without B */
    float value;
    fm_status st;
    const char *says;
} peft_case;

static void make_case(const char *dir, const peft_case *c)
{
    fm_safetensors_meta meta[2] = { { "r", c->r }, { "lora_alpha", c->alpha } };
    float *values = calloc(2 * (c->in + c->out), sizeof *values);
    char names[2][200], path[DECODER_PATH];
    fm_tensor_view v[2];

    values[0] = c->value;
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(names[i], sizeof names[i], "base_model.model.%s.lora_%c.weight", c->module,
                       "AB"[i]);
        v[i] = (fm_tensor_view){ .name = names[i],
                                 .dtype = "F32",
                                 .dims = 2,
                                 .shape = { i ? c->out : 2, i ? 2 : c->in },
                                 .data = (const uint8_t *)values,
                                 .bytes = 2 * (i ? c->out : c->in) * sizeof *values };
    }
    decoder_path(dir, "adapter_model.safetensors", path);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_replace(path, 0644, v, c->single ? 1 : 2, meta,
                                                 c->r && c->alpha ? 2
                                                 : c->r           ? 1
                                                                  : 0),
                          FM_OK);
    if (c->config)
        decoder_put(dir, "adapter_config.json", c->config);
    free(values);
}

#define Q_A "model.layers.1.self_attn.q_a_proj", 16, 8
#define R2 "2", "4.0", NULL

static void what_is_no_adapter_of_the_model_is_refused_by_name(void)
{
    static const peft_case cases[] = {
        { Q_A, R2, false, 0, FM_OK, "" },
        { Q_A, NULL, NULL, "{\"r\":2,\"lora_alpha\":4}", false, 0, FM_OK, "" },
        { "model.layers.1.mlp.experts.3.up_proj", 16, 6, R2, false, 0, FM_OK, "" },
        { Q_A, R2, true, 0, FM_EPROTO, "q_a_proj.lora_A.weight' is without its other half" },
        { Q_A, R2, false, NAN, FM_ENONFINITE, "q_a_proj.lora_A.weight' holds a value" },
        { "model.layers.1.self_attn.q_a_proj", 15, 8, R2, false, 0, FM_EPROTO,
          "lora_A.weight' does not have the shape" },
        { Q_A, "3", "4.0", NULL, false, 0, FM_EPROTO, "does not have the shape" },
        { Q_A, "0", "4.0", NULL, false, 0, FM_EPROTO, "r is 0" },
        { Q_A, "x", "4.0", NULL, false, 0, FM_EPROTO, "metadata r is 'x'" },
        { Q_A, NULL, NULL, NULL, false, 0, FM_EPROTO, "says no r" },
        { Q_A, "2", NULL, NULL, false, 0, FM_EPROTO, "says no lora_alpha" },
        { "model.layers.2.self_attn.q_a_proj", 16, 8, R2, false, 0, FM_EPROTO,
          "of a layer or expert that the model does not have" },
        { "model.layers.1.mlp.experts.4.up_proj", 16, 6, R2, false, 0, FM_EPROTO,
          "of a layer or expert" },
        { "model.layers.1.mlp.experts.up_proj", 16, 6, R2, false, 0, FM_EPROTO,
          "is not an adapter of a map" },
        { "model.layers.1.self_attn.q_proj", 16, 40, R2, false, 0, FM_EPROTO,
          "is not an adapter of a map" },
        { "model.layers.1.mlp.gate", 16, 4, R2, false, 0, FM_EPROTO, "is not an adapter of a map" },
        { "lm_head", 16, 24, R2, false, 0, FM_EPROTO, "is not an adapter of a map" },
        { Q_A, "2", "4.0", "{\"use_rslora\":true}", false, 0, FM_EINVAL, "use_rslora is true" },
        { Q_A, "2", "4.0", "{\"use_dora\":true}", false, 0, FM_EINVAL, "use_dora is true" },
        { Q_A, "2", "4.0", "{\"bias\":\"all\"}", false, 0, FM_EINVAL, "bias is \"all\"" },
        { Q_A, "2", "4.0", "{\"peft_type\":\"IA3\"}", false, 0, FM_EINVAL, "peft_type is \"IA3\"" },
        { Q_A, "2", "4.0", "{\"rank_pattern\":{\"q\":3}}", false, 0, FM_EINVAL,
          "rank_pattern is {\"q\":3}" },
        { Q_A, "2", "4.0", "{\"modules_to_save\":[\"lm_head\"]}", false, 0, FM_EINVAL,
          "modules_to_save is [\"lm_head\"]" },
        { Q_A, "2", "4.0", "{\"r\":2,\"lora_alpha\":4,\"use_qalora\":false,\"unheard_of\":[]}",
          false, 0, FM_OK, "" },
        { Q_A, "2", "4.0", "{\"lora_alpha\":16}", false, 0, FM_EPROTO,
          "lora_alpha is 4 in its metadata, 16 in adapter_config.json" },
        { Q_A, "2", "4.0", "{\"r\":\"2\"}", false, 0, FM_EPROTO,
          "r of adapter_config.json is not a number" },
        { Q_A, "2", "4.0", "{\"use_qalora\":true}", false, 0, FM_EINVAL, "use_qalora is true" },
        { Q_A, "2", "4.0", "{\"unheard_of\":1}", false, 0, FM_EINVAL, "unheard_of is 1" },
        { Q_A, "2", "4.0", "{\"init_lora_weights\":\"gaussian\"}", false, 0, FM_OK, "" },
        { Q_A, "2", "4.0", "{\"init_lora_weights\":\"pissa\"}", false, 0, FM_EINVAL,
          "init_lora_weights is \"pissa\"" },
        { Q_A, "2", "4.0", "{\"r\":", false, 0, FM_EPARSE, "adapter_config.json" },
    };
    const decoder_folder_spec s = { .config = decoder_v3, .dtype = "F32" };
    const uint32_t tokens[2] = { 1, 2 };
    float logits[2 * 24], *flat;
    char model[DECODER_PATH];
    size_t n;

    fm_test_tmpdir(model, sizeof model);
    decoder_folder_make(model, &s, &flat, &n);
    free(flat);
    for (size_t i = 0; i < FM_TEST_COUNT(cases); i++) {
        char dir[DECODER_PATH];

        fm_test_tmpdir(dir, sizeof dir);
        make_case(dir, &cases[i]);
        CU_ASSERT_EQUAL(adapted(model, dir, tokens, 2, logits), cases[i].st);
        if (cases[i].st != FM_OK)
            decoder_error_has(cases[i].says);
    }
}

/* A decoder with every adapter that the family can have, all different, and what is read of them. */
static void check_written(const char *config, unsigned maps)
{
    const fm_adapter_about about = { .base = "base" };
    const decoder_folder_spec s = { .config = config, .dtype = "F32" };
    fm_decoder_options o = { .max_tokens = 2,
                             .adapters = { .rank = 2, .alpha = 10.0 / 3.0, .maps = maps } };
    char model[DECODER_PATH], root[DECODER_PATH], out[DECODER_PATH];
    fm_decoder *d = NULL, *e = NULL;
    fm_decoder_folder *f = NULL;
    fm_adapter_file *a = NULL;
    float *flat, *back;
    size_t n;

    fm_test_tmpdir(model, sizeof model);
    fm_test_tmpdir(root, sizeof root);
    decoder_path(root, "adapter", out);
    decoder_folder_make(model, &s, &flat, &n);
    free(flat);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(model, &f), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_load(f, &o, &d), FM_OK);
    n = fm_decoder_adapter_parameters(d);
    flat = calloc(n, sizeof *flat);
    back = calloc(n, sizeof *back);
    for (size_t i = 0; i < n; i++)
        flat[i] = (float)(i + 1);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_adapters_set(d, flat, n), FM_OK);
    if (fm_decoder_folder_config(f)->family == FM_DECODER_GRANITEMOE) {
        o.adapters.maps = FM_ADAPT_ALL;
        CU_ASSERT_EQUAL(fm_adapter_write(d, &o.adapters, &about, out), FM_EINVAL);
        decoder_error_has("have no names in PEFT");
        o.adapters.maps = maps;
    }
    CU_ASSERT_EQUAL_FATAL(fm_adapter_write(d, &o.adapters, &about, out), FM_OK);
    CU_ASSERT_EQUAL(fm_adapter_write(d, &o.adapters, &about, out), FM_EEXIST);
    CU_ASSERT_EQUAL_FATAL(fm_adapter_file_open(out, fm_decoder_folder_config(f), &a), FM_OK);
    o.adapters = fm_adapter_file_adapters(a);
    CU_ASSERT_EQUAL(o.adapters.rank, 2);
    CU_ASSERT_EQUAL(o.adapters.alpha, 10.0 / 3.0);
    o.adapters.maps = maps; /* also those that this family does not have */
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_load(f, &o, &e), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_adapter_parameters(e), n);
    CU_ASSERT_EQUAL(fm_adapter_file_read(a, e), FM_OK);
    fm_decoder_adapters_get(e, back);
    CU_ASSERT_EQUAL(memcmp(flat, back, n * sizeof *flat), 0);
    fm_adapter_file_free(&a);
    fm_decoder_free(&d);
    fm_decoder_free(&e);
    fm_decoder_folder_free(&f);
    free(flat);
    free(back);
}

static void what_is_written_is_read(void)
{
    check_written(decoder_olmoe, FM_ADAPT_ALL);
    check_written(decoder_granite, FM_ADAPT_ALL & ~FM_ADAPT_EXPERTS);
    check_written(decoder_v2, FM_ADAPT_ALL);
    check_written(decoder_v3, FM_ADAPT_ALL);
}

static const fm_test tests[] = {
    { "what is written is read", what_is_written_is_read },
    { "logits are those of PEFT", logits_are_those_of_peft },
    { "what is no adapter of the model is refused by name",
      what_is_no_adapter_of_the_model_is_refused_by_name },
};

const fm_test_suite suite_decoder_peft = { "model.decoder_peft", tests, FM_TEST_COUNT(tests) };
