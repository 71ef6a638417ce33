/* Folders of decoders: read exactly, written back to the same bytes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "folder_fixture.h"
#include "suites.h"

static const char *const fixtures[] = { "olmoe",       "olmoe_gqa_clip",   "granitemoe",
                                        "deepseek_v2", "deepseek_v2_yarn", "deepseek_v2_group",
                                        "deepseek_v3", "deepseek_v3_yarn" };

#define FIXTURES "fixtures/transformers"

/* config.json and model.safetensors alone, in a folder of the test's own. */
static bool borrow(const char *name, char dir[DECODER_PATH])
{
    static const char *const files[] = { FM_FOLDER_CONFIG, FM_FOLDER_SINGLE };
    char shared[DECODER_PATH], from[DECODER_PATH], to[DECODER_PATH], rel[128];

    (void)snprintf(rel, sizeof rel, FIXTURES "/%s", name);
    if (!fm_test_shared(rel, shared, sizeof shared))
        return false;
    fm_test_tmpdir(dir, DECODER_PATH);
    for (size_t i = 0; i < 2; i++) {
        decoder_path(shared, files[i], from);
        decoder_path(dir, files[i], to);
        CU_ASSERT_EQUAL_FATAL(symlink(from, to), 0); /* as in the hub's cache */
    }
    return true;
}

static void same_names_and_bytes_as_transformers_wrote(void)
{
    for (size_t i = 0; i < FM_TEST_COUNT(fixtures); i++) {
        char dir[DECODER_PATH], out[DECODER_PATH], root[DECODER_PATH];
        fm_decoder_folder *f = NULL;
        float *flat;

        if (!borrow(fixtures[i], dir)) {
            fm_test_skip("no shared fixtures");
            return;
        }
        CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(dir, &f), FM_OK);
        flat = calloc(fm_decoder_folder_layout(f)->parameters, sizeof *flat);
        CU_ASSERT_PTR_NOT_NULL_FATAL(flat);
        CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_read(f, flat), FM_OK);
        fm_test_tmpdir(root, sizeof root);
        decoder_path(root, "written", out);
        CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_write(f, flat, out), FM_OK);
        CU_ASSERT_EQUAL(decoder_same_files(dir, out), 2);
        free(flat);
        fm_decoder_folder_free(&f);
    }
}

static void check_fixture(const char *name, const json_t *known)
{
    const json_t *scale = json_array_get(json_object_get(known, "attn_scaling"), 0);
    char dir[DECODER_PATH];
    fm_decoder_folder *f = NULL;
    fm_decoder_folder_facts facts;

    CU_ASSERT_TRUE_FATAL(borrow(name, dir));
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(dir, &f), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(fm_decoder_folder_config(f)->attention_scale, json_number_value(scale),
                           1e-12);
    CU_ASSERT_EQUAL((json_int_t)fm_decoder_folder_layout(f)->parameters,
                    json_integer_value(json_object_get(known, "params")));
    fm_decoder_folder_describe(f, &facts);
    CU_ASSERT_STRING_EQUAL(facts.dtype, "F32");
    CU_ASSERT_EQUAL(facts.passed_tensors, 0);
    CU_ASSERT_EQUAL(facts.shards, 1);
    CU_ASSERT_FALSE(facts.tokenizer);
    fm_decoder_folder_free(&f);
}

static void scales_and_sizes_are_those_of_transformers(void)
{
    char path[DECODER_PATH];
    json_t *manifest = NULL;

    if (!fm_test_shared(FIXTURES "/manifest.json", path, sizeof path)) {
        fm_test_skip("no shared fixtures");
        return;
    }
    CU_ASSERT_EQUAL_FATAL(fm_json_read(path, &manifest), FM_OK);
    for (size_t i = 0; i < FM_TEST_COUNT(fixtures); i++)
        check_fixture(fixtures[i],
                      json_object_get(json_object_get(manifest, "models"), fixtures[i]));
    json_decref(manifest);
}

/* Reads what decoder_folder_make made, and writes it back. */
static void check_round(const decoder_folder_spec *spec, size_t files, size_t passed)
{
    char dir[DECODER_PATH], root[DECODER_PATH], out[DECODER_PATH];
    fm_decoder_folder *f = NULL;
    fm_decoder_folder_facts facts;
    float *expected, *flat;
    size_t n;

    fm_test_tmpdir(dir, sizeof dir);
    fm_test_tmpdir(root, sizeof root);
    decoder_folder_make(dir, spec, &expected, &n);
    decoder_put(dir, "tokenizer.json", "{ \"as\": \"it is\"}");
    decoder_put(dir, "generation_config.json", "{}\n");
    CU_ASSERT_EQUAL(fm_decoder_folder_open(dir, &f), FM_OK);
    if (!f) {
        printf("\n    %s\n", fm_error_text());
        CU_FAIL_FATAL("not opened");
    }
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_layout(f)->parameters, n);
    flat = calloc(n, sizeof *flat);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_read(f, flat), FM_OK);
    CU_ASSERT_EQUAL(memcmp(flat, expected, n * sizeof *flat), 0);
    fm_decoder_folder_describe(f, &facts);
    CU_ASSERT_EQUAL(facts.passed_tensors, passed);
    CU_ASSERT_TRUE(facts.tokenizer);
    decoder_path(root, "written", out);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_write(f, flat, out), FM_OK);
    CU_ASSERT_EQUAL(decoder_same_files(dir, out), files);
    fm_decoder_folder_free(&f);
    free(flat);
    free(expected);
}

static void every_family_and_dtype_in_one_file_or_three(void)
{
    const char *const configs[] = { decoder_olmoe, decoder_granite, decoder_v2, decoder_v3 };
    const char *const dtypes[] = { "F32", "BF16", "F16" };

    for (size_t i = 0; i < 4; i++)
        for (size_t d = 0; d < 3; d++) {
            const size_t shards = (i + d) % 2 ? 3 : 0; /* half of them: each file is synced twice */
            const decoder_folder_spec s = { .config = configs[i],
                                            .dtype = dtypes[d],
                                            .shards = shards };

            check_round(&s, shards ? 7 : 4, 0);
        }
}

static void dtypes_may_be_mixed(void)
{
    check_round(&(decoder_folder_spec){ .config = decoder_v3, .dtype = "BF16", .other = "F32" }, 4,
                0);
    check_round(
        &(decoder_folder_spec){
            .config = decoder_v2, .dtype = "F16", .other = "BF16", .shards = 2 },
        6, 0);
}

static void biases_have_a_place(void)
{
    const char *const configs[] = { decoder_olmoe, decoder_granite, decoder_v2, decoder_v3 };

    for (size_t i = 0; i < 4; i++) {
        char *config = decoder_config_with(configs[i], ",\"attention_bias\":true");

        check_round(&(decoder_folder_spec){ .config = config, .dtype = "F32" }, 4, 0);
        free(config);
    }
}

static void older_names_and_fused_experts(void)
{
    check_round(&(decoder_folder_spec){ .config = decoder_granite,
                                        .dtype = "BF16",
                                        .names = { "input_linear.weight", "output_linear.weight",
                                                   "router.layer.weight" } },
                4, 0);
    check_round(&(decoder_folder_spec){ .config = decoder_olmoe,
                                        .dtype = "F32",
                                        .names = { "experts.gate_up_proj" } },
                4, 0);
    check_round(&(decoder_folder_spec){ .config = decoder_v3,
                                        .dtype = "F16",
                                        .shards = 2,
                                        .names = { "experts.gate_up_proj" } },
                6, 0);
}

static void what_is_not_computed_is_kept(void)
{
    char *further = decoder_config_with(decoder_v3, ",\"num_nextn_predict_layers\":2");

    check_round(
        &(decoder_folder_spec){
            .config = further,
            .dtype = "BF16",
            .extra = { { .name = "model.layers.2.eh_proj.weight",
                         .rows = 16,
                         .columns = 32,
                         .value = NAN },
                       { .name = "model.layers.3.enorm.weight", .rows = 16, .value = 2 } } },
        4, 2);
    check_round(
        &(decoder_folder_spec){ .config = decoder_olmoe,
                                .dtype = "F32",
                                .extra = { { .name = "model.layers.0.self_attn.rotary_emb.inv_freq",
                                             .rows = 2,
                                             .value = 1 } } },
        4, 1);
    free(further);
}

static void a_tied_head_may_be_there_twice(void)
{
    check_round(
        &(decoder_folder_spec){ .config = decoder_granite,
                                .dtype = "BF16",
                                .extra = { { .name = "lm_head.weight", .embedding = true } } },
        4, 0);
}

static void new_weights_are_rounded_to_nearest_even(void)
{
    const decoder_folder_spec s = { .config = decoder_olmoe, .dtype = "BF16" };
    char dir[DECODER_PATH], root[DECODER_PATH], out[DECODER_PATH];
    fm_decoder_folder *f = NULL, *g = NULL;
    const float *back;
    float *flat, *read;
    size_t n;

    fm_test_tmpdir(dir, sizeof dir);
    fm_test_tmpdir(root, sizeof root);
    decoder_folder_make(dir, &s, &flat, &n);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(dir, &f), FM_OK);
    flat[0] = 1.0f + 0x1p-8f;            /* half way: to the even one below */
    flat[1] = 1.0f + 3 * 0x1p-8f;        /* half way: to the even one above */
    flat[2] = 1.0f + 0x1p-8f + 0x1p-20f; /* above half way */
    flat[3] = -0.0f;
    decoder_path(root, "written", out);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_write(f, flat, out), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(out, &g), FM_OK);
    read = calloc(n, sizeof *read);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_read(g, read), FM_OK);
    back = read;
    CU_ASSERT_EQUAL(back[0], 1.0f);
    CU_ASSERT_EQUAL(back[1], 1.0f + 0x1p-6f);
    CU_ASSERT_EQUAL(back[2], 1.0f + 0x1p-7f);
    CU_ASSERT_TRUE(signbit(back[3]) && back[3] == 0.0f);
    CU_ASSERT_EQUAL(memcmp(back + 4, flat + 4, (n - 4) * sizeof *back), 0);
    fm_decoder_folder_free(&f);
    fm_decoder_folder_free(&g);
    free(read);
    free(flat);
}

static void a_failed_write_leaves_nothing(void)
{
    const decoder_folder_spec s = { .config = decoder_olmoe, .dtype = "F16" };
    char dir[DECODER_PATH], root[DECODER_PATH], out[DECODER_PATH];
    fm_decoder_folder *f = NULL;
    struct stat info;
    float *flat;
    size_t n;

    fm_test_tmpdir(dir, sizeof dir);
    fm_test_tmpdir(root, sizeof root);
    decoder_folder_make(dir, &s, &flat, &n);
    decoder_path(root, "written", out);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(dir, &f), FM_OK);
    flat[n - 1] = 65520.0f; /* binary16 ends below it */
    CU_ASSERT_EQUAL(fm_decoder_folder_write(f, flat, out), FM_EINVAL);
    decoder_error_has("too large for F16");
    flat[n - 1] = INFINITY;
    CU_ASSERT_EQUAL(fm_decoder_folder_write(f, flat, out), FM_ENONFINITE);
    decoder_error_has("'lm_head.weight' holds a value that is not finite");
    CU_ASSERT_NOT_EQUAL(stat(out, &info), 0);
    CU_ASSERT_EQUAL(rmdir(root), 0); /* empty: no temporary folder, either */
    CU_ASSERT_EQUAL_FATAL(mkdir(root, 0700), 0);
    flat[n - 1] = 65504.0f;
    CU_ASSERT_EQUAL(fm_decoder_folder_write(f, flat, out), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_folder_write(f, flat, out), FM_EEXIST);
    CU_ASSERT_EQUAL(fm_decoder_folder_write(f, flat, dir), FM_EEXIST);
    fm_decoder_folder_free(&f);
    free(flat);
}

/* A folder that comes to be while ours is filled is somebody's: it stays, although it is empty. */
static void a_folder_that_came_meanwhile_is_not_replaced(void)
{
    char root[DECODER_PATH], out[DECODER_PATH];
    fm_new_folder n = { 0 };

    fm_test_tmpdir(root, sizeof root);
    decoder_path(root, "written", out);
    CU_ASSERT_EQUAL_FATAL(fm_new_folder_begin(out, &n), FM_OK);
    CU_ASSERT_EQUAL(fm_new_folder_put(&n, "a", "b", 1), FM_OK);
    CU_ASSERT_EQUAL_FATAL(mkdir(out, 0700), 0);
    CU_ASSERT_EQUAL(fm_new_folder_finish(&n), FM_EEXIST);
    fm_new_folder_abort(&n);
    CU_ASSERT_EQUAL(rmdir(out), 0);
    CU_ASSERT_EQUAL(rmdir(root), 0);
    CU_ASSERT_EQUAL(mkdir(root, 0700), 0);
    CU_ASSERT_EQUAL(fm_new_folder_begin("/nowhere/at/all", &n), FM_EIO);
    fm_new_folder_abort(&n);
}

/* Against the definition: the nearest of all halves, the even one of two. */
static void halves_are_exact_both_ways(void)
{
    uint8_t bytes[2], back[2];
    float v, next;

    for (unsigned h = 0; h < 0x10000; h++) {
        const double magnitude = (h & 0x3ff) + ((h >> 10 & 31) ? 1024 : 0);
        const double value = ldexp(magnitude, (int)(h >> 10 & 31 ? h >> 10 & 31 : 1) - 25);

        bytes[0] = (uint8_t)h;
        bytes[1] = (uint8_t)(h >> 8);
        fm_floats_from_f16(bytes, 1, &v);
        if ((h >> 10 & 31) == 31) {
            CU_ASSERT_FALSE(isfinite(v));
            continue;
        }
        if ((double)fabsf(v) != value || (signbit(v) != 0) != (h >> 15 != 0))
            CU_FAIL("a half is read wrong");
        fm_floats_to_f16(&v, 1, back);
        if (memcmp(bytes, back, 2) != 0)
            CU_FAIL("a half does not come back");
        if ((h & 0x7fff) >= 0x7bff)
            continue;
        bytes[0] = (uint8_t)(h + 1);
        bytes[1] = (uint8_t)((h + 1) >> 8);
        fm_floats_from_f16(bytes, 1, &next);
        v = (v + next) / 2; /* exact in float32 */
        fm_floats_to_f16(&v, 1, back);
        if ((back[0] | back[1] << 8) != (int)(h + (h & 1)))
            CU_FAIL("half way is not to even");
    }
}

typedef struct {
    const fm_decoder_folder *f;
    const float *flat;
    size_t values, experts;
} visit;

/* A tensor by itself; beside it other tensors' values begin. */
static fm_status check_tensor(void *context, const fm_decoder_tensor *t)
{
    visit *v = context;
    const size_t n = t->rows * (t->columns ? t->columns : 1);
    float *out = calloc(n + 1, sizeof *out);

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT_EQUAL(fm_decoder_folder_read_at(v->f, t->offset, n, out), FM_OK);
    CU_ASSERT_EQUAL(memcmp(out, v->flat + t->offset, n * sizeof *out), 0);
    CU_ASSERT_EQUAL(fm_decoder_folder_read_at(v->f, t->offset + n - 1, 1, out), FM_OK);
    CU_ASSERT_EQUAL(out[0], v->flat[t->offset + n - 1]);
    CU_ASSERT_EQUAL(fm_decoder_folder_read_at(v->f, t->offset, n + 1, out), FM_EINVAL);
    CU_ASSERT_EQUAL(t->layer == FM_DECODER_ABSENT, strstr(t->name, "layers.") == NULL);
    v->experts += strstr(t->name, "experts.3.up_proj.weight") != NULL;
    v->values += n;
    free(out);
    return FM_OK;
}

static void tensors_are_read_one_by_one_however_a_folder_has_them(void)
{
    const decoder_folder_spec specs[] = {
        { .config = decoder_granite, .dtype = "BF16", .shards = 2 },
        { .config = decoder_v3, .dtype = "F32", .names = { "experts.gate_up_proj" } },
        { .config = decoder_olmoe, .dtype = "F16", .other = "F32" },
    };
    static const size_t experts[] = { 2, 1, 2 }; /* layers that have some */

    for (size_t i = 0; i < FM_TEST_COUNT(specs); i++) {
        char dir[DECODER_PATH];
        fm_decoder_folder *f = NULL;
        float *flat;
        size_t n;

        fm_test_tmpdir(dir, sizeof dir);
        decoder_folder_make(dir, &specs[i], &flat, &n);
        CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(dir, &f), FM_OK);
        visit v = { .f = f, .flat = flat };
        CU_ASSERT_EQUAL(fm_decoder_tensors(fm_decoder_folder_config(f), fm_decoder_folder_layout(f),
                                           check_tensor, &v),
                        FM_OK);
        CU_ASSERT_EQUAL(v.values, n);
        CU_ASSERT_EQUAL(v.experts, experts[i]);
        CU_ASSERT_EQUAL(fm_decoder_folder_read_at(f, n, 1, flat), FM_EINVAL);
        fm_decoder_folder_free(&f);
        free(flat);
    }
}

static const fm_test tests[] = {
    { "same names and bytes as transformers wrote", same_names_and_bytes_as_transformers_wrote },
    { "scales and sizes are those of transformers", scales_and_sizes_are_those_of_transformers },
    { "every family and dtype, in one file or three", every_family_and_dtype_in_one_file_or_three },
    { "dtypes may be mixed", dtypes_may_be_mixed },
    { "biases have a place", biases_have_a_place },
    { "older names and fused experts", older_names_and_fused_experts },
    { "what is not computed is kept", what_is_not_computed_is_kept },
    { "a tied head may be there twice", a_tied_head_may_be_there_twice },
    { "new weights are rounded to nearest even", new_weights_are_rounded_to_nearest_even },
    { "a failed write leaves nothing", a_failed_write_leaves_nothing },
    { "a folder that came meanwhile is not replaced",
      a_folder_that_came_meanwhile_is_not_replaced },
    { "tensors are read one by one, however a folder has them",
      tensors_are_read_one_by_one_however_a_folder_has_them },
    { "halves are exact both ways", halves_are_exact_both_ways },
};

const fm_test_suite suite_decoder_folder = { "model.decoder_folder", tests, FM_TEST_COUNT(tests) };
