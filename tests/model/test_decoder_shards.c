/* Folders that are not one model: each is refused, naming the tensor or file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fedmoe/base/file.h"
#include "folder_fixture.h"
#include "suites.h"

/* Makes a folder in `dir` (filled in). */
static void make(const decoder_folder_spec *s, char dir[DECODER_PATH])
{
    float *flat;
    size_t n;

    fm_test_tmpdir(dir, DECODER_PATH);
    decoder_folder_make(dir, s, &flat, &n);
    free(flat);
}

static void assert_refused(const char *dir, fm_status wanted, const char *says)
{
    fm_decoder_folder *f = NULL;

    CU_ASSERT_EQUAL(fm_decoder_folder_open(dir, &f), wanted);
    CU_ASSERT_PTR_NULL(f);
    decoder_error_has(says);
    fm_decoder_folder_free(&f);
}

static void tensors_must_be_those_of_the_configuration(void)
{
    const struct {
        decoder_folder_spec s;
        const char *says;
    } list[] = {
        { { .without = "model.norm.weight" }, "'model.norm.weight' is missing" },
        { { .without = "model.layers.1.mlp.experts.3.up_proj.weight" },
          "'model.layers.1.mlp.experts.3.up_proj.weight' is missing" },
        { { .extra = { { .name = "model.layers.0.mlp.bias", .rows = 3 } } },
          "'model.layers.0.mlp.bias' has no place" },
        { { .extra = { { .name = "model.layers.2.norm.weight", .rows = 3 } } },
          "'model.layers.2.norm.weight' has no place" },
        { { .without = "lm_head.weight",
            .extra = { { .name = "lm_head.weight", .rows = 24, .columns = 15 } } },
          "'lm_head.weight' is [24, 15]; config.json makes it [24, 16]" },
        { { .without = "model.norm.weight",
            .extra = { { .name = "model.norm.weight", .rows = 16, .columns = 1 } } },
          "'model.norm.weight' is [16, 1]; config.json makes it [16]" },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(list); i++) {
        decoder_folder_spec s = list[i].s;
        char dir[DECODER_PATH];

        s.config = decoder_olmoe;
        s.dtype = "F32";
        make(&s, dir);
        assert_refused(dir, FM_EPROTO, list[i].says);
    }
}

/* Only V3 has layers that predict further tokens, and only as many as it says. */
static void further_layers_end_where_the_configuration_says(void)
{
    char dir[DECODER_PATH], *none = decoder_config_with(decoder_v3, ",\"num_mtp_layers\":0");
    decoder_folder_spec s = { .config = decoder_v3,
                              .dtype = "F32",
                              .extra = { { .name = "model.layers.3.norm.weight", .rows = 3 } } };

    make(&s, dir);
    assert_refused(dir, FM_EPROTO, "'model.layers.3.norm.weight' has no place");
    s.config = none;
    s.extra[0].name = "model.layers.2.norm.weight";
    make(&s, dir);
    assert_refused(dir, FM_EPROTO, "'model.layers.2.norm.weight' has no place");
    s.config = decoder_v2;
    make(&s, dir);
    assert_refused(dir, FM_EPROTO, "'model.layers.2.norm.weight' has no place");
    free(none);
}

static void weights_must_be_finite_floats(void)
{
    static const char name[] = "model.layers.1.mlp.experts.2.down_proj.weight";
    const float bad[] = { NAN, INFINITY, -INFINITY };
    const char *const dtypes[] = { "F32", "BF16", "F16" };
    char dir[DECODER_PATH];

    for (size_t i = 0; i < 9; i++) {
        const decoder_folder_spec s = {
            .config = decoder_v3, .dtype = dtypes[i % 3], .spoilt = name, .spoil = bad[i / 3]
        };
        fm_decoder_folder *f = NULL;
        float *flat;

        make(&s, dir);
        CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(dir, &f), FM_OK);
        flat = calloc(fm_decoder_folder_layout(f)->parameters, sizeof *flat);
        CU_ASSERT_EQUAL(fm_decoder_folder_read(f, flat), FM_ENONFINITE);
        decoder_error_has("tensor 'model.layers.1.mlp.experts.2.down_proj.weight' holds a value");
        fm_decoder_folder_free(&f);
        free(flat);
    }
}

static void a_second_head_must_be_the_embedding(void)
{
    const decoder_folder_spec s = {
        .config = decoder_granite,
        .dtype = "F32",
        .extra = { { .name = "lm_head.weight", .rows = 24, .columns = 16, .value = 1.0f } }
    };
    char dir[DECODER_PATH];
    fm_decoder_folder *f = NULL;
    float *flat;

    make(&s, dir);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(dir, &f), FM_OK);
    flat = calloc(fm_decoder_folder_layout(f)->parameters, sizeof *flat);
    CU_ASSERT_EQUAL(fm_decoder_folder_read(f, flat), FM_EPROTO);
    decoder_error_has("'lm_head.weight' is not the embedding");
    fm_decoder_folder_free(&f);
    free(flat);
}

static void other_dtypes_are_refused(void)
{
    static const char *const kinds[] = { "F64", "I8", "F8_E4M3" };
    static const size_t elements[] = { 8, 1, 1 };

    for (size_t i = 0; i < 3; i++) {
        const decoder_folder_spec s = {
            .config = decoder_olmoe, .dtype = "F32", .shards = 2, .without = "lm_head.weight"
        };
        const size_t bytes = 24 * 16 * elements[i];
        uint8_t *zeros = calloc(bytes, 1);
        const fm_tensor_view head = { .name = "lm_head.weight",
                                      .dtype = kinds[i],
                                      .dims = 2,
                                      .shape = { 24, 16 },
                                      .data = zeros,
                                      .bytes = bytes };
        char dir[DECODER_PATH], path[DECODER_PATH];
        json_t *index = NULL;

        make(&s, dir);
        decoder_path(dir, "model-head.safetensors", path);
        CU_ASSERT_EQUAL(fm_safetensors_replace(path, 0644, &head, 1, NULL, 0), FM_OK);
        decoder_path(dir, FM_FOLDER_INDEX, path);
        index = json_load_file(path, 0, NULL);
        CU_ASSERT_EQUAL(json_object_set_new(json_object_get(index, "weight_map"), head.name,
                                            json_string("model-head.safetensors")),
                        0);
        CU_ASSERT_EQUAL(json_dump_file(index, path, 0), 0);
        assert_refused(dir, FM_EPROTO, kinds[i]);
        json_decref(index);
        free(zeros);
    }
}

/* The index of a good folder with one line changed. */
static void with_index(const char *tensor, const char *file, fm_status wanted, const char *says)
{
    const decoder_folder_spec s = { .config = decoder_olmoe, .dtype = "BF16", .shards = 3 };
    char dir[DECODER_PATH], path[DECODER_PATH];
    json_t *index, *map;

    make(&s, dir);
    decoder_path(dir, FM_FOLDER_INDEX, path);
    index = json_load_file(path, 0, NULL);
    map = json_object_get(index, "weight_map");
    CU_ASSERT_EQUAL(file ? json_object_set_new(map, tensor, json_string(file))
                         : json_object_del(map, tensor),
                    0);
    CU_ASSERT_EQUAL(json_dump_file(index, path, 0), 0);
    json_decref(index);
    assert_refused(dir, wanted, says);
}

static void the_index_cannot_lead_out_of_the_folder(void)
{
    static const char *const names[] = { "../model.safetensors",
                                         "/etc/model.safetensors",
                                         "a/model.safetensors",
                                         ".model.safetensors",
                                         "..",
                                         "",
                                         "model.bin",
                                         ".safetensors",
                                         "a\nb.safetensors",
                                         "..\\m.safetensors" };

    for (size_t i = 0; i < FM_TEST_COUNT(names); i++)
        with_index("model.norm.weight", names[i], FM_EPROTO, "is not the plain name");
}

static void each_tensor_is_where_the_index_says(void)
{
    with_index("model.norm.weight", "model-00001-of-00003.safetensors", FM_EPROTO,
               "tensor 'model.norm.weight': model.safetensors.index.json has it in "
               "model-00001-of-00003.safetensors");
    with_index("model.norm.weight", NULL, FM_EPROTO,
               "tensor 'model.norm.weight': model.safetensors.index.json does not have it");
    with_index("model.other", "model-00002-of-00003.safetensors", FM_EPROTO,
               "tensor 'model.other' is missing");
    with_index("model.other", "model-9.safetensors", FM_ENOTFOUND, "model-9.safetensors: cannot");
}

static void an_index_that_is_none(void)
{
    static const char *const texts[] = { "{}",
                                         "[]",
                                         "{\"weight_map\":[]}",
                                         "{\"weight_map\":{}}",
                                         "{\"weight_map\":{\"a\":1}}",
                                         "{\"weight_map\":" };
    const decoder_folder_spec s = { .config = decoder_olmoe, .dtype = "BF16", .shards = 2 };
    char dir[DECODER_PATH], path[DECODER_PATH];

    make(&s, dir);
    for (size_t i = 0; i < FM_TEST_COUNT(texts); i++) {
        fm_decoder_folder *f = NULL;

        decoder_put(dir, FM_FOLDER_INDEX, texts[i]);
        CU_ASSERT_NOT_EQUAL(fm_decoder_folder_open(dir, &f), FM_OK);
        decoder_error_has(FM_FOLDER_INDEX);
    }
    decoder_put(dir, FM_FOLDER_SINGLE, "");
    assert_refused(dir, FM_EPROTO, "has both");
    decoder_path(dir, FM_FOLDER_SINGLE, path);
    CU_ASSERT_EQUAL(unlink(path), 0);
    decoder_path(dir, FM_FOLDER_INDEX, path);
    CU_ASSERT_EQUAL(unlink(path), 0);
    assert_refused(dir, FM_ENOTFOUND, "has neither");
    assert_refused("/nowhere/at/all", FM_ENOTFOUND, "/nowhere/at/all/config.json");
}

/* What is opened is a file: a pipe would hang, a device has no end. */
static void only_regular_files_are_opened(void)
{
    const decoder_folder_spec s = { .config = decoder_olmoe, .dtype = "BF16" };
    char dir[DECODER_PATH], path[DECODER_PATH];

    make(&s, dir);
    decoder_path(dir, FM_FOLDER_SINGLE, path);
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL_FATAL(mkfifo(path, 0600), 0);
    assert_refused(dir, FM_EIO, "not a regular file");
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL_FATAL(symlink("/dev/zero", path), 0);
    assert_refused(dir, FM_EIO, "not a regular file");
}

static void a_file_that_is_cut_is_refused(void)
{
    const decoder_folder_spec s = { .config = decoder_olmoe, .dtype = "BF16" };
    char dir[DECODER_PATH], path[DECODER_PATH];
    fm_decoder_folder *f = NULL;
    struct stat info;
    float *flat;

    make(&s, dir);
    decoder_path(dir, FM_FOLDER_SINGLE, path);
    CU_ASSERT_EQUAL_FATAL(stat(path, &info), 0);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(dir, &f), FM_OK);
    flat = calloc(fm_decoder_folder_layout(f)->parameters, sizeof *flat);
    CU_ASSERT_EQUAL(truncate(path, info.st_size - 2), 0);
    CU_ASSERT_EQUAL(fm_decoder_folder_read(f, flat), FM_EIO); /* while it is open */
    decoder_error_has("was cut short");
    fm_decoder_folder_free(&f);
    assert_refused(dir, FM_EPROTO, FM_FOLDER_SINGLE);
    free(flat);
}

static const fm_test tests[] = {
    { "tensors must be those of the configuration", tensors_must_be_those_of_the_configuration },
    { "further layers end where the configuration says",
      further_layers_end_where_the_configuration_says },
    { "weights must be finite floats", weights_must_be_finite_floats },
    { "a second head must be the embedding", a_second_head_must_be_the_embedding },
    { "other dtypes are refused", other_dtypes_are_refused },
    { "the index cannot lead out of the folder", the_index_cannot_lead_out_of_the_folder },
    { "each tensor is where the index says", each_tensor_is_where_the_index_says },
    { "an index that is none", an_index_that_is_none },
    { "only regular files are opened", only_regular_files_are_opened },
    { "a file that is cut is refused", a_file_that_is_cut_is_refused },
};

const fm_test_suite suite_decoder_shards = { "model.decoder_shards", tests, FM_TEST_COUNT(tests) };
