/* Adapters with PEFT's names: out, in again, and merged. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "decoder_adapter_internal.h"
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
static fm_decoder *adapted(const world *w, const fm_adapter_file *a)
{
    const fm_decoder_options o = { .max_tokens = ROWS, .adapters = fm_adapter_file_adapters(a) };
    fm_decoder *d = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_decoder_new(&w->f.config, &o, &d), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_set(d, w->f.theta, w->f.layout.parameters), FM_OK);
    CU_ASSERT_EQUAL(fm_adapter_file_read(a, d), FM_OK);
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
    fm_adapter_file *a = NULL, *again = NULL;
    fm_decoder_adapters shape;
    fm_decoder *d;
    world w = { 0 };

    if (!world_begin(&w, name, FM_TRAIN_NONE, false, false))
        return;
    fixture_adapter(name, path);
    CU_ASSERT_EQUAL_FATAL(fm_adapter_file_open(path, &w.f.config, &a), FM_OK);
    CU_ASSERT(fm_adapter_file_adapters(a).rank == 4 && fm_adapter_file_adapters(a).alpha == 8.0);
    shape = fm_adapter_file_adapters(a);
    d = adapted(&w, a);
    CU_ASSERT(off_by(d, &w) < 1e-4);
    CU_ASSERT(merged_off_by(d, &w) < 1e-4);
    fm_test_tmpdir(root, sizeof root);
    decoder_path(root, "out", folder);
    CU_ASSERT_EQUAL(fm_adapter_write(d, &shape, &about, folder), FM_OK);
    CU_ASSERT_EQUAL(fm_adapter_write(d, &shape, &about, folder), FM_EEXIST);
    decoder_path(folder, FM_PEFT_FILE, weights);
    same_tensors(path, weights);
    fm_decoder_free(&d);
    CU_ASSERT_EQUAL_FATAL(fm_adapter_file_open(folder, &w.f.config, &again), FM_OK);
    CU_ASSERT_EQUAL(fm_adapter_file_adapters(again).maps, fm_adapter_file_adapters(a).maps);
    d = adapted(&w, again);
    CU_ASSERT(off_by(d, &w) < 1e-4);
    fm_adapter_file_free(&again);
    CU_ASSERT_EQUAL_FATAL(fm_adapter_file_open(weights, &w.f.config, &again),
                          FM_OK); /* the file is enough */
    CU_ASSERT_EQUAL(fm_adapter_file_adapters(again).alpha, 8.0);
    fm_decoder_free(&d);
    fm_adapter_file_free(&again);
    fm_adapter_file_free(&a);
    world_end(&w);
}

static void adapters_of_peft_are_read_written_and_merged(void)
{
    for (size_t n = 0; n < decoder_fixture_count; n++)
        check_fixture(decoder_fixture_names[n]);
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
    CU_ASSERT_EQUAL(
        fm_adapter_write(d, &o.adapters, &(fm_adapter_about){ .owner_only = true }, path), FM_OK);
    CU_ASSERT(stat(path, &info) == 0 && (info.st_mode & 0777) == 0700);
    decoder_path(root, "ours", path);
    CU_ASSERT_EQUAL(fm_adapter_write(d, &o.adapters, &(fm_adapter_about){ 0 }, path), FM_OK);
    CU_ASSERT(stat(path, &info) == 0 && (info.st_mode & 0777) == 0755);
    fm_decoder_free(&d);
}

static const fm_test tests[] = {
    { "adapters of PEFT are read, written and merged",
      adapters_of_peft_are_read_written_and_merged },
    { "what is for its owner alone is closed to others",
      what_is_for_its_owner_alone_is_closed_to_others },
};
const fm_test_suite suite_adapter_write = { "model.adapter_write", tests, FM_TEST_COUNT(tests) };
