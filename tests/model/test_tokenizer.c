/* Whole texts: the reference ids, any bytes, special tokens, several threads. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/json.h"
#include "fm_test.h"
#include "suites.h"
#include "tokenizer_fixture.h"

#define SEED 61

static bool shared_tokenizer(const char *name, fm_tokenizer **out)
{
    char rel[128], path[512];

    (void)snprintf(rel, sizeof rel, "data/tokenizers/%s", name);
    if (!fm_test_shared(rel, path, sizeof path)) {
        fm_test_skip("no ../shared/data/tokenizers");
        return false;
    }
    CU_ASSERT_EQUAL_FATAL(fm_tokenizer_load(path, out), FM_OK);
    return true;
}

static void check_encoding(const fm_tokenizer *t, const json_t *e)
{
    const json_t *text = json_object_get(e, "text"), *ids = json_object_get(e, "ids"),
                 *decoded = json_object_get(e, "decoded");
    const size_t count = json_array_size(ids);
    uint32_t *want = malloc((count + 1) * sizeof *want);
    fm_buf out = { 0 };

    CU_ASSERT_PTR_NOT_NULL_FATAL(want);
    for (size_t i = 0; i < count; i++)
        want[i] = (uint32_t)json_integer_value(json_array_get(ids, i));
    tok_gives(t, json_string_value(text), json_string_length(text), 0, want, count);
    CU_ASSERT_EQUAL(fm_tokenizer_decode(t, want, count, false, &out), FM_OK);
    CU_ASSERT_EQUAL_FATAL(out.len, json_string_length(decoded));
    CU_ASSERT_TRUE(!out.len || memcmp(out.data, json_string_value(decoded), out.len) == 0);
    fm_buf_fini(&out);
    free(want);
}

static void the_reference_encodings_to_the_last_id(void)
{
    char path[512];
    fm_buf file = { 0 };
    json_t *root, *list, *e;
    const char *name;
    size_t i, strings = 0;

    if (!fm_test_shared("fixtures/tokenizers/encodings.json", path, sizeof path)) {
        fm_test_skip("no ../shared/fixtures/tokenizers");
        return;
    }
    CU_ASSERT_EQUAL_FATAL(fm_file_read(path, 1 << 24, &file), FM_OK);
    root = json_loadb((const char *)file.data, file.len, JSON_ALLOW_NUL, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    json_object_foreach(root, name, list)
    {
        fm_tokenizer *t = NULL;

        if (!shared_tokenizer(name, &t))
            break;
        json_array_foreach(list, i, e)
        {
            check_encoding(t, e);
            strings++;
        }
        fm_tokenizer_free(&t);
    }
    printf("    %zu strings\n", strings);
    CU_ASSERT_EQUAL(strings, 2 * 169);
    json_decref(root);
    fm_buf_fini(&file);
}

static void merges_go_by_rank(void)
{
    fm_tokenizer *t = tok_parse(tok_small());
    fm_tokenizer_token token;
    uint32_t id = 0;

    TOK_GIVES(t, "hello hello", 0, TOK_HELLO, TOK_SPACE_HELLO);
    TOK_GIVES(t, "hell help", 0, TOK_HELL, ' ', TOK_HE, 'l', 'p');
    TOK_GIVES(t, "aaa", 0, TOK_AA, 'a');
    TOK_GIVES(t, "aaaaaaa", 0, TOK_AAAA, TOK_AA, 'a');
    TOK_GIVES(t, "\xc3\xa9", 0, 0xc3, 0xa9);
    TOK_GIVES(t, "\0", 0, 0);
    tok_gives(t, NULL, 0, 0, NULL, 0);
    CU_ASSERT_EQUAL(fm_tokenizer_vocabulary(t), TOK_ADDED + 1);
    CU_ASSERT_TRUE(fm_tokenizer_has_bytes(t));
    CU_ASSERT_TRUE(fm_tokenizer_id(t, "\u0120hello", 7, &id) && id == TOK_SPACE_HELLO);
    CU_ASSERT_FALSE(fm_tokenizer_id(t, "hell!", 5, &id));
    CU_ASSERT_EQUAL(fm_tokenizer_get(t, TOK_SPACE_HELLO, &token), FM_OK);
    CU_ASSERT_TRUE(token.bytes_len == 6 && memcmp(token.bytes, " hello", 6) == 0);
    CU_ASSERT_TRUE(token.text_len == 7 && !token.added && !token.special);
    CU_ASSERT_EQUAL(fm_tokenizer_get(t, TOK_ADDED + 1, &token), FM_ENOTFOUND);
    fm_tokenizer_free(&t);
}

static void special_tokens_in_text_can_be_text(void)
{
    fm_tokenizer *t = tok_parse(tok_small());

    TOK_GIVES(t, "a<s>b", 0, 'a', TOK_ADDED, 'b');
    TOK_GIVES(t, "a<s>b", FM_TOKENIZER_PLAIN, 'a', '<', 's', '>', 'b');
    fm_tokenizer_free(&t);
}

static void decoding_knows_ids_and_special_ones(void)
{
    static const uint32_t ids[] = { TOK_ADDED, TOK_HELLO, 0xff, TOK_ADDED }, bad[] = { 0, 9999 };
    fm_tokenizer *t = tok_parse(tok_small());
    fm_buf out = { 0 };

    CU_ASSERT_EQUAL(fm_tokenizer_decode(t, ids, 4, false, &out), FM_OK);
    CU_ASSERT_TRUE(out.len == 12 && memcmp(out.data, "<s>hello\xff<s>", 12) == 0);
    CU_ASSERT_EQUAL(fm_tokenizer_decode(t, ids, 4, true, &out), FM_OK); /* appends */
    CU_ASSERT_TRUE(out.len == 18 && memcmp(out.data + 12, "hello\xff", 6) == 0);
    CU_ASSERT_EQUAL(fm_tokenizer_decode(t, bad, 2, false, &out), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "id 2 of the list is 9999"));
    CU_ASSERT_EQUAL(out.len, 18);
    fm_buf_fini(&out);
    fm_tokenizer_free(&t);
}

static void round_trips(const fm_tokenizer *t, size_t texts)
{
    uint8_t text[600];
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, SEED);

    for (size_t i = 0; i < texts; i++)
        tok_round_trip(t, text, tok_random(&rng, text, sizeof text, i & 1));
    for (size_t i = 0; i < texts; i++) {
        const size_t n = (size_t)fm_rng_below(&rng, sizeof text);

        rng.fill(rng.state, text, n);
        tok_round_trip(t, text, n);
    }
}

static void any_bytes_come_back(void)
{
    fm_tokenizer *t = tok_parse(tok_small());

    round_trips(t, 300);
    /* The character that stands for ill-formed sequences, real and beside some. */
    tok_round_trip(t, "\xf4\x8f\xbf\xbf", 4);
    tok_round_trip(t, "\xff\xf4\x8f\xbf\xbf\xf4\x8f\xbf\x80", 9);
    tok_round_trip(t, "\xf4\x8f\xbf\xbf\xf4\x8f\xbf", 7);
    fm_tokenizer_free(&t);
    if (!shared_tokenizer("gpt2.tokenizer.json", &t))
        return;
    round_trips(t, 300);
    fm_tokenizer_free(&t);
}

static void ill_formed_bytes_are_characters_of_no_category(void)
{
    fm_tokenizer *t = tok_parse(tok_small());

    /* " ?[^\s\p{L}\p{N}]+": the space goes with what is not UTF-8, and merges stop at it. */
    TOK_GIVES(t, "hel\xfflo", 0, TOK_HE, 'l', 0xff, 'l', 'o');
    TOK_GIVES(t, "\xed\xa0\x80", 0, 0xed, 0xa0, 0x80);
    fm_tokenizer_free(&t);
}

/* GPT-NeoX's vocabulary has only the bytes that well-formed text can have. */
static void bytes_without_a_token_are_told(void)
{
    json_t *root = tok_small();
    fm_tokenizer *t;
    fm_tokenizer_worker *w = NULL;
    fm_token_list l = { 0 };
    size_t lost = 0;

    CU_ASSERT_EQUAL_FATAL(
        json_object_del(json_object_get(json_object_get(root, "model"), "vocab"), "\u00ff"), 0);
    CU_ASSERT_EQUAL_FATAL(
        json_object_del(json_object_get(json_object_get(root, "model"), "vocab"), "!"), 0);
    json_array_clear(json_object_get(root, "added_tokens"));
    t = tok_parse(root);
    CU_ASSERT_FALSE(fm_tokenizer_has_bytes(t));
    TOK_GIVES(t, "a\xff", 0, 'a', 0xef, 0xbf, 0xbd);
    TOK_GIVES(t, "a!\xfe", 0, 'a', 0xfe);
    CU_ASSERT_EQUAL_FATAL(fm_tokenizer_worker_new(t, &w), FM_OK);
    for (int again = 0; again < 2; again++) { /* not forgotten by the cache */
        CU_ASSERT_EQUAL(fm_tokenizer_encode(w, "!! \xff", 4, 0, &l, &lost), FM_OK);
        CU_ASSERT_EQUAL(lost, 3);
    }
    fm_token_list_fini(&l);
    fm_tokenizer_worker_free(&w);
    fm_tokenizer_free(&t);
}

static void what_is_appended_and_what_is_too_long(void)
{
    fm_tokenizer *t = tok_parse(tok_small());
    fm_tokenizer_worker *w = NULL;
    fm_token_list l = { 0 };
    const size_t n = FM_TOKENIZER_MAX_WORD + 1;
    char *text = malloc(n);

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    memset(text, 'a', n);
    CU_ASSERT_EQUAL_FATAL(fm_tokenizer_worker_new(t, &w), FM_OK);
    CU_ASSERT_EQUAL(fm_tokenizer_encode(w, "a", 1, 0, &l, NULL), FM_OK);
    CU_ASSERT_EQUAL(fm_tokenizer_encode(w, "b b", 3, 0, &l, NULL), FM_OK);
    CU_ASSERT_EQUAL(l.count, 4);
    CU_ASSERT_EQUAL(fm_tokenizer_encode(w, text, n, 0, &l, NULL), FM_ENOMEM);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "nothing splits"));
    CU_ASSERT_EQUAL(fm_tokenizer_encode(w, text, FM_TOKENIZER_MAX_TEXT + 1, 0, &l, NULL),
                    FM_EINVAL);
    CU_ASSERT_EQUAL(l.count, 4);
    free(text);
    fm_token_list_fini(&l);
    fm_tokenizer_worker_free(&w);
    fm_tokenizer_free(&t);
}

typedef struct {
    const fm_tokenizer *t;
    const uint8_t *text;
    size_t len;
    fm_token_list ids;
    fm_status st;
} job;

static void *encode(void *state)
{
    job *j = state;
    fm_tokenizer_worker *w = NULL;

    for (int i = 0; i < 5 && !j->st; i++) {
        j->ids.count = 0;
        if ((j->st = fm_tokenizer_worker_new(j->t, &w)) == FM_OK)
            j->st = fm_tokenizer_encode(w, j->text, j->len, 0, &j->ids, NULL);
        fm_tokenizer_worker_free(&w);
    }
    return NULL;
}

static void several_threads_encode(void)
{
    enum { THREADS = 4, LEN = 20000 };
    json_t *root = tok_small();
    uint8_t *text = malloc(LEN);
    job jobs[THREADS] = { 0 };
    pthread_t threads[THREADS];
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, SEED);
    fm_tokenizer *t;
    size_t n;

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    tok_put(root, "normalizer", "{\"type\": \"NFC\"}");
    tok_put(
        root, "pre_tokenizer",
        "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
        "{\"Regex\": \"[a-z]+|\\\\s\"}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": "
        "\"ByteLevel\", \"add_prefix_space\": false}]}");
    t = tok_parse(root);
    n = tok_random(&rng, text, LEN, true);
    for (size_t i = 0; i < THREADS; i++) {
        jobs[i] = (job){ .t = t, .text = text, .len = n };
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, encode, &jobs[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
        CU_ASSERT_EQUAL(jobs[i].st, FM_OK);
        CU_ASSERT_EQUAL_FATAL(jobs[i].ids.count, jobs[0].ids.count);
        CU_ASSERT_EQUAL(memcmp(jobs[i].ids.ids, jobs[0].ids.ids, jobs[0].ids.count * 4), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        fm_token_list_fini(&jobs[i].ids);
    fm_tokenizer_free(&t);
    free(text);
}

static const fm_test tests[] = {
    { "the reference encodings to the last id", the_reference_encodings_to_the_last_id },
    { "merges go by rank", merges_go_by_rank },
    { "special tokens in text can be text", special_tokens_in_text_can_be_text },
    { "decoding knows ids and special ones", decoding_knows_ids_and_special_ones },
    { "any bytes come back", any_bytes_come_back },
    { "ill-formed bytes are characters of no category",
      ill_formed_bytes_are_characters_of_no_category },
    { "bytes without a token are told", bytes_without_a_token_are_told },
    { "what is appended, and what is too long", what_is_appended_and_what_is_too_long },
    { "several threads encode", several_threads_encode },
};
const fm_test_suite suite_tokenizer = { "model.tokenizer", tests, FM_TEST_COUNT(tests) };
