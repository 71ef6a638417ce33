#include "tokenizer_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fm_test.h"

/* GPT-2's alphabet, counted out: what prints in Latin-1, the rest from 256 on. */
static void alphabet(uint32_t of[256])
{
    uint32_t next = 256;

    for (uint32_t b = 0; b < 256; b++) {
        const bool prints = (b > 0x20 && b < 0x7f) || (b > 0xa0 && b != 0xad);

        of[b] = prints ? b : next++;
    }
}

static void put_utf8(char out[3], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        out[1] = '\0';
        return;
    }
    out[0] = (char)(0xc0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3f));
    out[2] = '\0';
}

json_t *tok_small(void)
{
    static const char *const tokens[] = {
        "he", "ll", "hell", "hello", "\u0120hello", "aa", "aaaa"
    };
    json_t *root = json_pack(
        "{s:s, s:[], s:n, s:{s:s, s:b, s:b, s:b}, s:n, s:{s:s}, s:{s:s, s:n, s:{},"
        " s:[s, s, s, s, [s, s], s, s]}}",
        "version", "1.0", "added_tokens", "normalizer", "pre_tokenizer", "type", "ByteLevel",
        "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 1, "post_processor", "decoder",
        "type", "ByteLevel", "model", "type", "BPE", "unk_token", "vocab", "merges", "h e", "l l",
        "he ll", "hell o", "\u0120", "hello", "a a", "aa aa");
    json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab");
    uint32_t of[256];
    char text[3];

    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    alphabet(of);
    for (uint32_t b = 0; b < 256; b++) {
        put_utf8(text, of[b]);
        json_object_set_new(vocab, text, json_integer(b));
    }
    for (size_t i = 0; i < FM_TEST_COUNT(tokens); i++)
        json_object_set_new(vocab, tokens[i], json_integer((json_int_t)(256 + i)));
    tok_add(root, TOK_ADDED, "<s>", "special");
    return root;
}

void tok_put(json_t *root, const char *path, const char *text)
{
    json_t *at = root, *value = json_loads(text, JSON_DECODE_ANY, NULL);
    char copy[128], *rest = copy, *key = NULL;

    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    (void)snprintf(copy, sizeof copy, "%s", path);
    key = strtok_r(rest, ".", &rest);
    for (char *next; (next = strtok_r(NULL, ".", &rest)) != NULL; key = next)
        at = json_object_get(at, key);
    CU_ASSERT_EQUAL_FATAL(json_object_set_new(at, key, value), 0);
}

void tok_add(json_t *root, uint32_t id, const char *content, const char *flags)
{
    static const char *const names[] = { "single_word", "lstrip", "rstrip", "normalized",
                                         "special" };
    json_t *token = json_pack("{s:I, s:s}", "id", (json_int_t)id, "content", content);

    for (size_t i = 0; i < FM_TEST_COUNT(names); i++)
        json_object_set_new(token, names[i], json_boolean(strstr(flags, names[i]) != NULL));
    json_array_append_new(json_object_get(root, "added_tokens"), token);
}

static fm_status parse(json_t *root, fm_tokenizer **out)
{
    char *text = json_dumps(root, JSON_COMPACT);
    fm_status st;

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    st = fm_tokenizer_parse("small.json", text, strlen(text), out);
    free(text);
    json_decref(root);
    return st;
}

fm_tokenizer *tok_parse(json_t *root)
{
    fm_tokenizer *t = NULL;

    if (parse(root, &t))
        printf("    refused: %s\n", fm_error_text());
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    return t;
}

void tok_refused(json_t *root, const char *want)
{
    fm_tokenizer *t = NULL;
    const fm_status st = parse(root, &t);

    CU_ASSERT_EQUAL(st, FM_EPROTO);
    CU_ASSERT_PTR_NULL(t);
    if (!st || !strstr(fm_error_text(), want) ||
        strncmp(fm_error_text(), "small.json: ", 12) != 0) {
        printf("    not \"%s\": %s\n", want, st ? fm_error_text() : "taken");
        CU_FAIL("the text names the place");
    }
    fm_tokenizer_free(&t);
}

void tok_gives(const fm_tokenizer *t, const void *text, size_t len, unsigned flags,
               const uint32_t *ids, size_t count)
{
    fm_tokenizer_worker *w = NULL;
    fm_token_list l = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_tokenizer_worker_new(t, &w), FM_OK);
    for (int again = 0; again < 2; again++) { /* the second time from the cache */
        l.count = 0;
        CU_ASSERT_EQUAL_FATAL(fm_tokenizer_encode(w, text, len, flags, &l, NULL), FM_OK);
        if (l.count != count || (count && memcmp(l.ids, ids, count * sizeof *ids) != 0)) {
            printf("    %.*s:", len < 60 ? (int)len : 60, (const char *)text);
            for (size_t i = 0; i < l.count && i < 40; i++)
                printf(" %u", (unsigned)l.ids[i]);
            printf("\n");
            CU_FAIL("the ids are those");
        }
    }
    fm_token_list_fini(&l);
    fm_tokenizer_worker_free(&w);
}

void tok_round_trip(const fm_tokenizer *t, const void *text, size_t len)
{
    fm_tokenizer_worker *w = NULL;
    fm_token_list l = { 0 };
    fm_buf out = { 0 };
    size_t lost = 1;

    CU_ASSERT_EQUAL_FATAL(fm_tokenizer_worker_new(t, &w), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_tokenizer_encode(w, text, len, 0, &l, &lost), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_tokenizer_decode(t, l.ids, l.count, false, &out), FM_OK);
    CU_ASSERT_EQUAL(lost, 0);
    CU_ASSERT_EQUAL_FATAL(out.len, len);
    CU_ASSERT_TRUE(!len || memcmp(out.data, text, len) == 0);
    fm_buf_fini(&out);
    fm_token_list_fini(&l);
    fm_tokenizer_worker_free(&w);
}

static size_t random_char(fm_rng *rng, uint8_t *out)
{
    static const char *const common[] = { " ",        " ",   "\n",     "\t",     "\r\n", "'s",
                                          "'ll",      "'re", "e",      "the",    "42",   "\u0301",
                                          "\u00a0",   "!",   "\u3000", "\u4e2d", "A",    "z",
                                          "\xc2\x85", "'",   "\u180e" };
    uint32_t c;

    if (fm_rng_below(rng, 3)) {
        const char *s = common[fm_rng_below(rng, FM_TEST_COUNT(common))];

        memcpy(out, s, strlen(s));
        return strlen(s);
    }
    do
        c = (uint32_t)fm_rng_below(rng, fm_rng_below(rng, 2) ? 0x3100 : 0x110000);
    while (c >= 0xd800 && c <= 0xdfff);
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

size_t tok_random(fm_rng *rng, uint8_t *out, size_t cap, bool bad)
{
    const size_t want = (size_t)fm_rng_below(rng, cap - 8);
    size_t n = 0;

    while (n < want) {
        if (bad && fm_rng_below(rng, 4) == 0)
            out[n++] = (uint8_t)(0x80 + fm_rng_below(rng, 0x80));
        else
            n += random_char(rng, out + n);
    }
    return n;
}

double tok_seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
