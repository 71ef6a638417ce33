/* What a plan says of adapters: it comes from a stranger. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/model/adapter_terms.h"
#include "fedmoe/model/corpus.h"
#include "fedmoe/model/tabular.h"
#include "folder_fixture.h"
#include "suites.h"

#define HEX_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX_B "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static const char *const lines[] = {
    "kind: decoder-adapter\n",
    "base: " HEX_A "\n",
    "tokenizer: " HEX_B "\n",
    "modules: \"attention,shared\"\n",
    "rank: 8\n",
    "alpha: 16\n",
    "seed: 5\n",
    "context: 512\n",
};
#define LINES (sizeof lines / sizeof lines[0])

/* All lines but `without` (LINES: none), with `with` in its place. */
static void compose(size_t without, const char *with, char out[8192])
{
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < LINES && n < 8192; i++)
        n += (size_t)snprintf(out + n, 8192 - n, "%s", i == without ? with : lines[i]);
}

static bool same(const fm_adapter_terms *a, const fm_adapter_terms *b)
{
    return strcmp(a->base, b->base) == 0 && strcmp(a->tokenizer, b->tokenizer) == 0 &&
           strcmp(a->modules, b->modules) == 0 && strcmp(a->end_token, b->end_token) == 0 &&
           a->maps == b->maps && a->rank == b->rank && a->context == b->context &&
           a->alpha == b->alpha && a->seed == b->seed;
}

static fm_status parse(const char *text, fm_adapter_terms *out)
{
    fm_status st;

    *out = (fm_adapter_terms){ .rank = 77 };
    st = fm_adapter_terms_parse("plan", text, out);
    CU_ASSERT(st == FM_OK || out->rank == 77);
    return st;
}

static void what_terms_say(void)
{
    char text[8192];
    fm_adapter_terms t, again;
    fm_buf out = { 0 };

    compose(LINES, "", text);
    CU_ASSERT_EQUAL_FATAL(parse(text, &t), FM_OK);
    CU_ASSERT_STRING_EQUAL(t.base, HEX_A);
    CU_ASSERT_STRING_EQUAL(t.tokenizer, HEX_B);
    CU_ASSERT_STRING_EQUAL(t.modules, "attention,shared");
    CU_ASSERT((t.maps & FM_ADAPT_QUERY) && (t.maps & FM_ADAPT_SHARED) &&
              !(t.maps & (FM_ADAPT_DENSE | FM_ADAPT_EXPERTS)));
    CU_ASSERT(t.rank == 8 && t.alpha == 16.0 && t.seed == 5 && t.context == 512);
    CU_ASSERT_STRING_EQUAL(t.end_token, "");
    t.alpha = 1.0 / 3.0;
    (void)snprintf(t.end_token, sizeof t.end_token, "%s", "<\xef\xbd\x9c end of it \xef\xbd\x9c>");
    CU_ASSERT_EQUAL(fm_adapter_terms_write(&t, &out), FM_OK);
    CU_ASSERT_EQUAL_FATAL(parse((const char *)out.data, &again), FM_OK);
    CU_ASSERT(same(&t, &again));
    fm_buf_fini(&out);
}

static void every_key_is_needed_once_and_no_other(void)
{
    char text[8192], twice[8192];
    fm_adapter_terms t;

    for (size_t i = 1; i < LINES; i++) {
        char key[32];

        (void)snprintf(key, sizeof key, "%.*s", (int)strcspn(lines[i], ":"), lines[i]);
        compose(i, "", text);
        CU_ASSERT_EQUAL(parse(text, &t), FM_EPARSE);
        decoder_error_has(key);
        (void)snprintf(twice, sizeof twice, "%s%s", lines[i], lines[i]);
        compose(i, twice, text);
        CU_ASSERT_EQUAL(parse(text, &t), FM_EPARSE);
        decoder_error_has(key);
    }
    compose(0, "", text);
    CU_ASSERT_EQUAL(parse(text, &t), FM_EPARSE);
    compose(7, "context: 512\nrnak: 8\n", text);
    CU_ASSERT_EQUAL(parse(text, &t), FM_EPARSE);
    decoder_error_has("plan:9:1: unknown key");
    CU_ASSERT_FALSE(fm_adapter_terms_is(NULL));
    CU_ASSERT_FALSE(fm_adapter_terms_is("width: 4\n"));
    CU_ASSERT_EQUAL(fm_adapter_terms_parse("plan", NULL, &t), FM_EINVAL);
}

static void values_have_bounds(void)
{
    static const struct {
        size_t line;
        const char *with;
    } bad[] = {
        { 1, "base: 0123\n" },
        { 1, "base: " HEX_A "0\n" },
        { 1, "base: 0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\n" },
        { 1, "base: [" HEX_A "]\n" },
        { 2, "tokenizer: g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n" },
        { 3, "modules: \"\"\n" },
        { 3, "modules: router\n" },
        { 3, "modules: \"attention,\"\n" },
        { 3, "modules: \"attention, shared\"\n" },
        { 3, "modules: \"dense,dense,dense,dense,dense,dense,dense,dense,dense,dense,dense\"\n" },
        { 3, "modules: {attention: 1}\n" },
        { 4, "rank: 0\n" },
        { 4, "rank: -1\n" },
        { 4, "rank: 1025\n" },
        { 4, "rank: 18446744073709551617\n" },
        { 4, "rank: 8.5\n" },
        { 5, "alpha: 0\n" },
        { 5, "alpha: -16\n" },
        { 5, "alpha: nan\n" },
        { 5, "alpha: 1e300\n" },
        { 6, "seed: 9007199254740993\n" },
        { 6, "seed: -1\n" },
        { 7, "context: 1\n" },
        { 7, "context: 16777217\n" },
        { 7, "context: 99999999999999999999\n" },
        { 7, "context: 8\nend_token: "
             "\"<aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa>\"\n" },
        { 7, "context: 8\nend_token: 'a\"b'\n" },
        { 7, "context: 8\nend_token: \"a\\nb\"\n" },
        { 7, "context: 8\nend_token: \"\\x9f\"\n" },
        { 7, "context: 8\nend_token: \"\\u2028\"\n" },
    };
    char text[8192];
    fm_adapter_terms t;

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        compose(bad[i].line, bad[i].with, text);
        if (parse(text, &t) == FM_OK)
            CU_FAIL(bad[i].with);
    }
    compose(4, "rank: 1024\n", text);
    CU_ASSERT_EQUAL(parse(text, &t), FM_OK);
    compose(6, "seed: 9007199254740992\n", text);
    CU_ASSERT_EQUAL(parse(text, &t), FM_OK);
}

static void what_cannot_be_read_is_not_written(void)
{
    fm_adapter_terms t = { .rank = 1, .context = 2, .alpha = 1.0, .end_token = "a\"\nseed: 7" };
    fm_buf out = { 0 };

    CU_ASSERT_EQUAL(fm_adapter_terms_write(&t, &out), FM_EINVAL);
    CU_ASSERT_EQUAL(out.len, 0);
    fm_buf_fini(&out);
}

static void flip_last(const char *dir, const char *name)
{
    char path[DECODER_PATH];
    FILE *f;
    int c;

    decoder_path(dir, name, path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f = fopen(path, "r+b"));
    CU_ASSERT_EQUAL(fseek(f, -1, SEEK_END), 0);
    c = fgetc(f);
    CU_ASSERT_EQUAL(fseek(f, -1, SEEK_END), 0);
    CU_ASSERT_EQUAL(fputc(c ^ 1, f), c ^ 1);
    CU_ASSERT_EQUAL(fclose(f), 0);
}

/* Terms of a folder; then each of its files is another one. */
static void one_bit_of_a_folder_makes_it_another(void)
{
    const decoder_folder_spec spec = { .config = decoder_olmoe, .dtype = "F32", .shards = 2 };
    fm_adapter_terms t = { .rank = 2, .alpha = 4.0, .context = 8, .seed = 3 };
    static const char *const files[] = { "tokenizer.json", "config.json",
                                         "model-00002-of-00002.safetensors" };
    char dir[DECODER_PATH];
    fm_decoder_folder *f = NULL;
    fm_decoder *d = NULL;
    float *flat;
    size_t n;

    fm_test_tmpdir(dir, sizeof dir);
    decoder_folder_make(dir, &spec, &flat, &n);
    free(flat);
    decoder_put(dir, "tokenizer.json", "{} ");
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(dir, &f), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_adapter_terms_of(f, &t), FM_OK);
    CU_ASSERT_EQUAL(fm_adapter_terms_check(&t, f), FM_OK);
    for (size_t i = 0; i < FM_TEST_COUNT(files); i++) {
        flip_last(dir, files[i]);
        CU_ASSERT_EQUAL(fm_adapter_terms_check(&t, f), FM_EINVAL);
        decoder_error_has("is not the");
        flip_last(dir, files[i]);
    }
    CU_ASSERT_EQUAL(fm_adapter_terms_check(&t, f), FM_OK);
    t.context = (size_t)1 << 24;
    CU_ASSERT_EQUAL(fm_adapter_terms_check(&t, f), FM_EINVAL);
    decoder_error_has("context");
    CU_ASSERT_EQUAL(fm_adapter_modules("dense", &t.maps), FM_OK);
    (void)snprintf(t.modules, sizeof t.modules, "dense");
    CU_ASSERT_EQUAL(fm_adapter_terms_load(&t, f, 0, &d), FM_EINVAL);
    CU_ASSERT_PTR_NULL(d);
    decoder_error_has("none of the modules dense");
    fm_decoder_folder_free(&f);
}

/* B out and in again; and files that say another size, or hold what is no number. */
static void the_small_file_holds_b(void)
{
    const decoder_folder_spec spec = { .config = decoder_olmoe, .dtype = "F32" };
    fm_adapter_terms t = {
        .rank = 2, .alpha = 4.0, .context = 8, .seed = 3, .modules = "attention"
    };
    fm_decoder_folder *f = NULL;
    fm_safetensors *file = NULL;
    fm_decoder *d = NULL;
    char dir[DECODER_PATH];
    float *flat, *b, *all;
    size_t n;

    fm_test_tmpdir(dir, sizeof dir);
    decoder_folder_make(dir, &spec, &flat, &n);
    free(flat);
    CU_ASSERT_EQUAL(fm_adapter_modules(t.modules, &t.maps), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_folder_open(dir, &f), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_adapter_terms_load(&t, f, 0, &d), FM_OK);
    n = fm_decoder_gradient_parameters(d);
    fm_decoder_free(&d);
    CU_ASSERT_EQUAL(fm_adapter_terms_load(&t, f, n - 1, &d), FM_EINVAL);
    CU_ASSERT_PTR_NULL(d);
    CU_ASSERT_EQUAL_FATAL(fm_adapter_terms_load(&t, f, n, &d), FM_OK);
    b = calloc(n + 1, sizeof *b);
    all = calloc(fm_decoder_adapter_parameters(d), sizeof *all);
    for (size_t i = 0; i <= n; i++)
        b[i] = (float)i + 1.0f;
    for (size_t extra = 0; extra < 3; extra++) {
        fm_buf out = { 0 };

        fm_buf_init(&out, 0);
        if (extra == 2)
            b[n / 2] = NAN;
        CU_ASSERT_EQUAL_FATAL(
            fm_adapter_terms_encode(&t, "name: x\n", b, n + extra % 2, NULL, 0, &out), FM_OK);
        CU_ASSERT_EQUAL_FATAL(fm_safetensors_parse("small", out.data, out.len, &file), FM_OK);
        CU_ASSERT_STRING_EQUAL(fm_safetensors_meta_get(file, FM_META_KIND), FM_META_KIND_ADAPTER);
        CU_ASSERT_EQUAL(fm_adapter_terms_read(file, d), extra == 0   ? FM_OK
                                                        : extra == 1 ? FM_EPROTO
                                                                     : FM_ENONFINITE);
        fm_decoder_adapters_get(d, all);
        CU_ASSERT_EQUAL(all[0], 1.0f);
        CU_ASSERT_EQUAL(all[n - 1], (float)n);
        fm_safetensors_free(&file);
        fm_buf_fini(&out);
    }
    free(all);
    free(b);
    fm_decoder_free(&d);
    fm_decoder_folder_free(&f);
}

static const fm_test tests[] = {
    { "what terms say", what_terms_say },
    { "every key is needed once, and no other", every_key_is_needed_once_and_no_other },
    { "values have bounds", values_have_bounds },
    { "what cannot be read is not written", what_cannot_be_read_is_not_written },
    { "one bit of a folder makes it another", one_bit_of_a_folder_makes_it_another },
    { "the small file holds B", the_small_file_holds_b },
};

const fm_test_suite suite_adapter_terms = { "model.adapter_terms", tests, FM_TEST_COUNT(tests) };
