/* Models made here: as large and as sparse as they say, the same from the same seed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "folder_fixture.h"
#include "suites.h"

static void at_most_15_percent_are_active(void)
{
    static const size_t vocabularies[] = { 0, 300, 4096, 50257 };

    CU_ASSERT_EQUAL(fm_decoder_presets(), 4);
    for (size_t i = 0; i < fm_decoder_presets(); i++)
        for (size_t k = 0; k < FM_TEST_COUNT(vocabularies); k++) {
            const fm_decoder_plan p = { .preset = fm_decoder_preset_at(i).name,
                                        .vocabulary = vocabularies[k] };
            fm_decoder_config c;
            fm_decoder_layout l;
            fm_buf text;

            fm_buf_init(&text, 0);
            CU_ASSERT_EQUAL_FATAL(fm_decoder_plan_config(&p, &text, &c), FM_OK);
            CU_ASSERT_EQUAL_FATAL(fm_decoder_layout_make(&c, &l), FM_OK);
            CU_ASSERT_TRUE(strcmp(p.preset, "lite-nano") == 0 ||
                           (double)fm_decoder_active_parameters(&c, &l) <=
                               0.15 * (double)l.parameters);
            CU_ASSERT_TRUE(vocabularies[k] == 0 || c.vocabulary == vocabularies[k]);
            CU_ASSERT_TRUE(c.family == FM_DECODER_DEEPSEEK_V3 && c.router == FM_ROUTER_SIGMOID &&
                           c.correction_bias && c.shared_hidden > 0 &&
                           c.attention == FM_ATTENTION_LATENT);
            fm_decoder_layout_free(&l);
            fm_buf_fini(&text);
        }
}

static void write_tiny(uint64_t seed, char dir[DECODER_PATH])
{
    const fm_decoder_plan p = { .preset = "lite-tiny", .vocabulary = 40, .seed = seed };
    char root[DECODER_PATH];

    fm_log_set_level(FM_LOG_ERROR);
    fm_test_tmpdir(root, sizeof root);
    decoder_path(root, "m", dir);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_plan_write(&p, dir), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_plan_write(&p, dir), FM_EEXIST);
}

/* Mean and deviation of n values; what follows allows five standard errors. */
static void check_normal(const float *v, size_t n, double deviation)
{
    double sum = 0.0, squares = 0.0;

    for (size_t i = 0; i < n; i++) {
        sum += (double)v[i];
        squares += (double)v[i] * (double)v[i];
    }
    CU_ASSERT_TRUE(fabs(sum / (double)n) < 5.0 * deviation / sqrt((double)n));
    CU_ASSERT_TRUE(fabs(sqrt(squares / (double)n) - deviation) <
                   5.0 * deviation / sqrt(2.0 * (double)n));
}

static void first_weights_are_as_transformers_begins(void)
{
    char dir[DECODER_PATH];
    fm_decoder_folder *f = NULL;
    const fm_decoder_layout *l;
    const fm_decoder_config *c;
    float *flat;

    write_tiny(3, dir);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(dir, &f), FM_OK);
    l = fm_decoder_folder_layout(f);
    c = fm_decoder_folder_config(f);
    flat = calloc(l->parameters, sizeof *flat);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_read(f, flat), FM_OK);
    check_normal(flat + l->embedding, c->vocabulary * c->width, 0.02);
    check_normal(flat + l->layer[1].expert_down, c->expert_hidden * c->width, 0.02);
    check_normal(flat + l->layer[2].router, c->experts * c->width, 0.02);
    CU_ASSERT_NOT_EQUAL(flat[l->embedding], flat[l->head]);
    for (size_t i = 0; i < c->width; i++)
        CU_ASSERT_TRUE(flat[l->norm + i] == 1.0f && flat[l->layer[1].post_norm + i] == 1.0f);
    for (size_t i = 0; i < c->key_value_rank; i++)
        CU_ASSERT_EQUAL(flat[l->layer[0].latent_norm + i], 1.0f);
    for (size_t i = 0; i < c->experts; i++)
        CU_ASSERT_EQUAL(flat[l->layer[1].correction + i], 0.0f);
    free(flat);
    fm_decoder_folder_free(&f);
}

static void the_same_seed_gives_the_same_bytes(void)
{
    char a[DECODER_PATH], b[DECODER_PATH], c[DECODER_PATH], path[DECODER_PATH];
    fm_buf x, y;

    write_tiny(3, a);
    write_tiny(3, b);
    write_tiny(4, c);
    CU_ASSERT_EQUAL(decoder_same_files(a, b), 2);
    decoder_path(a, FM_FOLDER_SINGLE, path);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(path, 1 << 24, &x), FM_OK);
    decoder_path(c, FM_FOLDER_SINGLE, path);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(path, 1 << 24, &y), FM_OK);
    CU_ASSERT_TRUE(x.len == y.len && memcmp(x.data, y.data, x.len) != 0);
    fm_buf_fini(&x);
    fm_buf_fini(&y);
}

/* Names, shapes and keys against a folder of the same class that transformers wrote. */
static void names_and_keys_are_those_of_transformers(void)
{
    char dir[DECODER_PATH], theirs[DECODER_PATH], path[DECODER_PATH];
    fm_safetensors *ours = NULL, *them = NULL;
    json_t *our_keys, *their_keys, *value;
    const char *key;

    if (!fm_test_shared("fixtures/transformers/deepseek_v3", theirs, sizeof theirs)) {
        fm_test_skip("no shared fixtures");
        return;
    }
    write_tiny(0, dir);
    decoder_path(dir, FM_FOLDER_SINGLE, path);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_open(path, &ours), FM_OK);
    decoder_path(theirs, FM_FOLDER_SINGLE, path);
    CU_ASSERT_EQUAL_FATAL(fm_safetensors_open(path, &them), FM_OK);
    for (size_t i = 0; i < fm_safetensors_count(them); i++)
        CU_ASSERT_PTR_NOT_NULL(fm_safetensors_find(ours, fm_safetensors_at(them, i)->name));
    for (size_t i = 1; i < fm_safetensors_count(ours); i++)
        CU_ASSERT_TRUE(
            strcmp(fm_safetensors_at(ours, i - 1)->name, fm_safetensors_at(ours, i)->name) < 0);
    CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(ours, "format"), "pt");
    decoder_path(dir, FM_FOLDER_CONFIG, path);
    our_keys = json_load_file(path, 0, NULL);
    decoder_path(theirs, FM_FOLDER_CONFIG, path);
    their_keys = json_load_file(path, 0, NULL);
    json_object_foreach(their_keys, key, value)
        CU_ASSERT_PTR_NOT_NULL(json_object_get(our_keys, key));
    json_decref(our_keys);
    json_decref(their_keys);
    fm_safetensors_free(&ours);
    fm_safetensors_free(&them);
}

static void a_tokenizer_says_how_many_tokens(void)
{
    char dir[DECODER_PATH], path[DECODER_PATH], out[DECODER_PATH];
    fm_decoder_plan p = { .preset = "lite-tiny" };
    fm_decoder_folder *f = NULL;
    fm_decoder_folder_facts facts;

    fm_log_set_level(FM_LOG_ERROR);
    fm_test_tmpdir(dir, sizeof dir);
    decoder_put(dir, "t.json",
                "{\"model\":{\"vocab\":{\"a\":0,\"b\":7}},\"added_tokens\":[{\"id\":9}]}");
    decoder_path(dir, "t.json", path);
    decoder_path(dir, "m", out);
    p.tokenizer = path;
    CU_ASSERT_EQUAL_FATAL(fm_decoder_plan_write(&p, out), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(out, &f), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_folder_config(f)->vocabulary, 10);
    fm_decoder_folder_describe(f, &facts);
    CU_ASSERT_TRUE(facts.tokenizer);
    fm_decoder_folder_free(&f);
    decoder_path(dir, "n", out);
    p.vocabulary = 9;
    CU_ASSERT_EQUAL(fm_decoder_plan_write(&p, out), FM_EINVAL);
    decoder_error_has("less than the tokenizer's 10");
    decoder_put(dir, "t.json", "{\"model\":{}}");
    CU_ASSERT_EQUAL(fm_decoder_plan_write(&p, out), FM_EPROTO);
    decoder_put(dir, "t.json", "{\"model\":");
    CU_ASSERT_EQUAL(fm_decoder_plan_write(&p, out), FM_EPARSE);
    p = (fm_decoder_plan){ .preset = "heavy" };
    CU_ASSERT_EQUAL(fm_decoder_plan_write(&p, out), FM_EINVAL);
    decoder_error_has("lite-tiny, lite-small and lite");
    p = (fm_decoder_plan){ .preset = "lite-tiny", .vocabulary = 1000000 };
    CU_ASSERT_EQUAL(fm_decoder_plan_write(&p, out), FM_EINVAL);
    decoder_error_has("take a larger preset");
    CU_ASSERT_FALSE(fm_file_exists(out));
}

/* A folder's permissions, in octal. */
static unsigned mode_of(const char *dir)
{
    struct stat info;

    CU_ASSERT_EQUAL_FATAL(stat(dir, &info), 0);
    return info.st_mode & 0777u;
}

/* First weights in memory, written with what is said of them; and written once more as a folder's,
 * where a new word takes the place of an old one and the values' bytes are as they were. */
static void what_is_said_of_weights_stands_beside_them(void)
{
    const fm_decoder_plan p = { .preset = "lite-nano", .vocabulary = 40, .seed = 3 };
    const fm_safetensors_meta first = { "fedmoe.epsilon", "3.25" };
    const fm_safetensors_meta more[] = { { "fedmoe.epsilon", "none" }, { "note", "\"ä\"" } };
    const fm_decoder_about about = { .meta = &first, .meta_count = 1 };
    const fm_decoder_about again = { .meta = more, .meta_count = 2, .owner_only = true };
    char root[DECODER_PATH], plain[DECODER_PATH], one[DECODER_PATH], two[DECODER_PATH];
    fm_decoder_folder *a = NULL, *b = NULL, *c = NULL;
    float *flat[3];
    size_t n;

    fm_test_tmpdir(root, sizeof root);
    decoder_path(root, "plain", plain);
    decoder_path(root, "one", one);
    decoder_path(root, "two", two);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_plan_write(&p, plain), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(plain, &a), FM_OK);
    n = fm_decoder_folder_layout(a)->parameters;
    for (size_t i = 0; i < 3; i++)
        flat[i] = calloc(n, sizeof **flat);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_read(a, flat[0]), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_plan_draw(&p, flat[1]), FM_OK);
    CU_ASSERT_EQUAL(memcmp(flat[0], flat[1], n * sizeof **flat), 0);
    CU_ASSERT_PTR_NULL(fm_decoder_folder_meta(a, "fedmoe.epsilon"));

    CU_ASSERT_EQUAL_FATAL(fm_decoder_plan_write_about(&p, flat[1], &about, one), FM_OK);
    CU_ASSERT_EQUAL(mode_of(one), 0755);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(one, &b), FM_OK);
    CU_ASSERT_STRING_EQUAL(fm_decoder_folder_meta(b, "fedmoe.epsilon"), "3.25");
    CU_ASSERT_STRING_EQUAL(fm_decoder_folder_meta(b, "format"), "pt");
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_write_about(b, flat[1], &again, two), FM_OK);
    CU_ASSERT_EQUAL(mode_of(two), 0700);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(two, &c), FM_OK);
    CU_ASSERT_STRING_EQUAL(fm_decoder_folder_meta(c, "fedmoe.epsilon"), "none");
    CU_ASSERT_STRING_EQUAL(fm_decoder_folder_meta(c, "note"), "\"ä\"");
    CU_ASSERT_STRING_EQUAL(fm_decoder_folder_meta(c, "format"), "pt");
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_read(c, flat[2]), FM_OK);
    CU_ASSERT_EQUAL(memcmp(flat[0], flat[2], n * sizeof **flat), 0);
    for (size_t i = 0; i < 3; i++)
        free(flat[i]);
    fm_decoder_folder_free(&a);
    fm_decoder_folder_free(&b);
    fm_decoder_folder_free(&c);
}

static const fm_test tests[] = {
    { "at most 15 % are active", at_most_15_percent_are_active },
    { "first weights are as transformers begins", first_weights_are_as_transformers_begins },
    { "the same seed gives the same bytes", the_same_seed_gives_the_same_bytes },
    { "names and keys are those of transformers", names_and_keys_are_those_of_transformers },
    { "a tokenizer says how many tokens", a_tokenizer_says_how_many_tokens },
    { "what is said of weights stands beside them", what_is_said_of_weights_stands_beside_them },
};

const fm_test_suite suite_decoder_plan = { "model.decoder_plan", tests, FM_TEST_COUNT(tests) };
