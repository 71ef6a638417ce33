/* Marking: what is drawn is the model's own distribution, over keys; and the key's file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "fedmoe/edge/sample.h"
#include "fedmoe/model/kernel.h"
#include "suites.h"
#include "watermark_internal.h"

static fm_watermark *mark_of(fm_rng *rng, const fm_watermark_options *o)
{
    uint8_t key[FM_WATERMARK_KEY_BYTES];
    fm_watermark *w = NULL;

    rng->fill(rng->state, key, sizeof key);
    CU_ASSERT_EQUAL_FATAL(fm_watermark_new(key, o, &w), FM_OK);
    return w;
}

static size_t draw(fm_rng *rng, const double *p, size_t n)
{
    double left = fm_rng_unit(rng);
    size_t i = 0;

    for (; i + 1 < n && left >= p[i]; i++)
        left -= p[i];
    return i;
}

/* ---- one step, exactly ---- */

#define V 3
#define LAYERS 2
static const double three[V] = { 0.5, 0.3, 0.2 };

static void the_mean_over_all_functions_is_the_model(void)
{
    double mean[V] = { 0.0 };

    for (unsigned bits = 0; bits < 1U << (V * LAYERS); bits++) {
        double p[V];
        uint64_t g[V];

        memcpy(p, three, sizeof p);
        for (unsigned i = 0; i < V; i++)
            g[i] = bits >> (i * LAYERS) & 3;
        fm_watermark_play(p, g, V, LAYERS);
        for (size_t i = 0; i < V; i++)
            mean[i] += p[i] / (double)(1U << (V * LAYERS));
    }
    for (size_t i = 0; i < V; i++)
        CU_ASSERT_DOUBLE_EQUAL(mean[i], three[i], 1e-14);
}

/* Who wins between a and b in a round: the chance that it is a. */
static double wins(const uint64_t *g, size_t a, size_t b, unsigned layer)
{
    const uint64_t x = g[a] >> layer & 1, y = g[b] >> layer & 1;

    return x == y ? 0.5 : (double)x;
}

static void the_winner_has_the_chances_of_a_tournament_that_is_played(void)
{
    static const uint64_t g[V] = { 1, 2, 1 };
    double p[V], played[V] = { 0.0 };

    for (size_t k = 0; k < V * V * V * V; k++) {
        const size_t c[4] = { k % V, k / V % V, k / V / V % V, k / V / V / V };
        const double chance = three[c[0]] * three[c[1]] * three[c[2]] * three[c[3]];
        const double first = wins(g, c[0], c[1], 0), second = wins(g, c[2], c[3], 0);

        for (size_t i = 0; i < 2; i++)
            for (size_t j = 0; j < 2; j++) {
                const double meet = chance * (i ? 1 - first : first) * (j ? 1 - second : second);
                const double a = wins(g, c[i], c[2 + j], 1);

                played[c[i]] += meet * a;
                played[c[2 + j]] += meet * (1 - a);
            }
    }
    memcpy(p, three, sizeof p);
    fm_watermark_play(p, g, V, LAYERS);
    for (size_t i = 0; i < V; i++)
        CU_ASSERT_DOUBLE_EQUAL(p[i], played[i], 1e-14);
}

static void every_processor_plays_the_same_bits(void)
{
    enum { N = 203 };
    const fm_level best = fm_kernel_level();
    double first[N], p[N];
    uint64_t g[N];
    fm_rng_seed state;
    fm_rng rng = fm_rng_public(&state, 3);

    rng.fill(rng.state, g, sizeof g);
    for (int level = FM_LEVEL_PORTABLE; level <= (int)best; level++) {
        double sum = 0.0;

        fm_kernel_limit((fm_level)level);
        for (size_t i = 0; i < N; i++)
            p[i] = (double)(i + 1) * 2.0 / (N * (N + 1.0));
        fm_watermark_play(p, g, N, 64);
        for (size_t i = 0; i < N; i++)
            sum += p[i];
        CU_ASSERT_DOUBLE_EQUAL(sum, 1.0, 1e-12);
        if (level == FM_LEVEL_PORTABLE)
            memcpy(first, p, sizeof p);
        CU_ASSERT_EQUAL(memcmp(first, p, sizeof p), 0);
    }
    fm_kernel_limit(best);
}

/* ---- steps and texts, over keys ---- */

static double chi_square(const size_t *counts, const double *p, size_t n, size_t draws)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        const double e = p[i] * (double)draws, d = (double)counts[i] - e;

        sum += d * d / e;
    }
    return sum;
}

static void over_keys_a_token_has_the_models_chances(void)
{
    enum { N = 8, DRAWS = 6000 };
    static const double model[N] = { 0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.04, 0.01 };
    static const uint32_t ids[N] = { 5, 900, 2, 44, 7, 61, 399, 12 }, before[] = { 1, 2, 3, 4 };
    const fm_watermark_options o = fm_watermark_defaults(FM_WATERMARK_TOURNAMENT);
    size_t counts[N] = { 0 };
    fm_rng_seed state;
    fm_rng rng = fm_rng_public(&state, 11);

    for (size_t k = 0; k < DRAWS; k++) {
        fm_watermark *w = mark_of(&rng, &o);
        fm_watermark_text *t = NULL;
        double p[N];

        memcpy(p, model, sizeof p);
        CU_ASSERT_EQUAL_FATAL(fm_watermark_text_new(w, 1000, &t), FM_OK);
        CU_ASSERT_EQUAL(fm_watermark_apply(t, before, 4, ids, p, N), FM_OK);
        counts[draw(&rng, p, N)]++;
        fm_watermark_text_free(&t);
        fm_watermark_free(&w);
    }
    /* 7 degrees of freedom: one false alarm in 100,000. */
    CU_ASSERT(chi_square(counts, model, N, DRAWS) < 37.0);
}

/* Texts of 4 tokens of two, where the window is one token, so that contexts come again. */
static double chi_square_of_texts(bool forget, uint64_t seed)
{
    enum { TEXTS = 16, DRAWS = 4000 };
    static const uint32_t ids[2] = { 0, 1 };
    const double model[2] = { 0.6, 0.4 };
    const fm_watermark_options o = { .kind = FM_WATERMARK_TOURNAMENT, .window = 1, .layers = 8 };
    size_t counts[TEXTS] = { 0 };
    double chances[TEXTS];
    fm_rng_seed state;
    fm_rng rng = fm_rng_public(&state, seed);

    for (size_t k = 0; k < DRAWS; k++) {
        fm_watermark *w = mark_of(&rng, &o);
        fm_watermark_text *t = NULL;
        uint32_t text[5] = { 0 };
        size_t number = 0;

        CU_ASSERT_EQUAL_FATAL(fm_watermark_text_new(w, 2, &t), FM_OK);
        for (size_t i = 1; i < 5; i++) {
            double p[2] = { model[0], model[1] };

            CU_ASSERT_EQUAL(fm_watermark_apply(t, text, i, ids, p, 2), FM_OK);
            text[i] = (uint32_t)draw(&rng, p, 2);
            number = 2 * number + text[i];
            if (forget)
                fm_watermark_text_reset(t);
        }
        counts[number]++;
        fm_watermark_text_free(&t);
        fm_watermark_free(&w);
    }
    for (size_t k = 0; k < TEXTS; k++) {
        chances[k] = 1.0;
        for (size_t i = 0; i < 4; i++)
            chances[k] *= model[k >> i & 1];
    }
    return chi_square(counts, chances, TEXTS, DRAWS);
}

static void over_keys_a_text_has_the_models_chances(void)
{
    /* 15 degrees of freedom: one false alarm in 100,000. */
    CU_ASSERT(chi_square_of_texts(false, 5) < 52.0);
}

static void a_text_that_forgets_its_contexts_is_seen(void)
{
    CU_ASSERT(chi_square_of_texts(true, 5) > 400.0);
}

static void a_context_is_marked_once(void)
{
    static const uint32_t before[] = { 9, 1, 2, 1, 2 }, ids[] = { 0, 1, 2 };
    fm_watermark_options o = fm_watermark_defaults(FM_WATERMARK_TOURNAMENT);
    fm_rng_seed state;
    fm_rng rng = fm_rng_public(&state, 2);
    fm_watermark *w;
    fm_watermark_text *t = NULL;
    double p[V];

    o.window = 2;
    w = mark_of(&rng, &o);
    CU_ASSERT_EQUAL_FATAL(fm_watermark_text_new(w, 10, &t), FM_OK);
    memcpy(p, three, sizeof p);
    CU_ASSERT_EQUAL(fm_watermark_apply(t, before, 1, ids, p, V), FM_OK);
    CU_ASSERT_EQUAL(memcmp(p, three, sizeof p), 0); /* no whole window yet */
    CU_ASSERT_EQUAL(fm_watermark_apply(t, before, 3, ids, p, V), FM_OK);
    CU_ASSERT_NOT_EQUAL(memcmp(p, three, sizeof p), 0);
    memcpy(p, three, sizeof p);
    CU_ASSERT_EQUAL(fm_watermark_apply(t, before, 5, ids, p, V), FM_OK);
    CU_ASSERT_EQUAL(memcmp(p, three, sizeof p), 0); /* 1, 2 was there */
    fm_watermark_text_reset(t);
    CU_ASSERT_EQUAL(fm_watermark_apply(t, before, 5, ids, p, V), FM_OK);
    CU_ASSERT_NOT_EQUAL(memcmp(p, three, sizeof p), 0);
    fm_watermark_text_free(&t);
    fm_watermark_free(&w);
}

static void a_long_text_remembers_all_its_contexts(void)
{
    enum { N = 5000 };
    fm_watermark_seen s = { 0 };
    fm_rng_seed state;
    fm_rng rng = fm_rng_public(&state, 8);
    static uint64_t names[N];
    bool fresh;

    rng.fill(rng.state, names, sizeof names);
    for (size_t i = 0; i < N; i++) {
        CU_ASSERT_EQUAL(fm_watermark_seen_add(&s, names[i], &fresh), FM_OK);
        CU_ASSERT(fresh);
    }
    for (size_t i = 0; i < N; i++) {
        CU_ASSERT_EQUAL(fm_watermark_seen_add(&s, names[i], &fresh), FM_OK);
        CU_ASSERT_FALSE(fresh);
    }
    fm_watermark_seen_fini(&s);
}

static void many_words_at_once_are_the_same_words(void)
{
    enum { N = 700 };
    static const uint32_t before[] = { 7, 8, 9, 10 };
    const fm_watermark_options o = fm_watermark_defaults(FM_WATERMARK_TOURNAMENT);
    fm_rng_seed state;
    fm_rng rng = fm_rng_public(&state, 4);
    fm_watermark *w = mark_of(&rng, &o);
    fm_watermark_context c;
    uint32_t ids[N];
    uint64_t words[N];
    static uint64_t room[8 * N];

    fm_watermark_see(w, before, 4, &c);
    for (uint32_t step = 1; step <= 8; step += 7) {
        for (uint32_t i = 0; i < N; i++)
            ids[i] = i * step;
        fm_watermark_words(&c, ids, N, (N - 1) * step, room, words);
        for (uint32_t i = 0; i < N; i++)
            CU_ASSERT_EQUAL(words[i], fm_watermark_word(&c, ids[i]));
        ids[0] = 8 * N - 1;
        fm_watermark_words(&c, ids, 1, ids[0], room, words);
        CU_ASSERT_EQUAL(words[0], fm_watermark_word(&c, ids[0]));
    }
    fm_watermark_free(&w);
}

/* The construction of the header, from other functions of the library. */
static void the_functions_are_those_that_are_written_down(void)
{
    static const uint32_t before[] = { 99, 0x01020304, 5 };
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = { 0 };
    const fm_watermark_options o = { .kind = FM_WATERMARK_TOURNAMENT, .window = 2, .layers = 30 };
    uint8_t key[FM_WATERMARK_KEY_BYTES], digest[40], stream[800];
    const uint8_t message[] = "fedmoe watermark v1\0\4\3\2\1\5\0\0"; /* and its NUL */
    fm_watermark *w = NULL;
    fm_watermark_context c;

    memset(key, 6, sizeof key);
    CU_ASSERT_EQUAL_FATAL(fm_watermark_new(key, &o, &w), FM_OK);
    CU_ASSERT_EQUAL(crypto_generichash(digest, sizeof digest, message, sizeof message, key, 32), 0);
    CU_ASSERT_EQUAL(crypto_stream_chacha20(stream, sizeof stream, nonce, digest), 0);
    fm_watermark_see(w, before, 3, &c);
    CU_ASSERT_EQUAL(c.name, fm_get_u64le(digest + 32));
    CU_ASSERT_EQUAL(fm_watermark_word(&c, 0), fm_get_u64le(stream));
    CU_ASSERT_EQUAL(fm_watermark_word(&c, 99), fm_get_u64le(stream + 8 * 99));
    fm_watermark_free(&w);
}

/* ---- what makes no sense ---- */

static void what_makes_no_sense_is_refused(void)
{
    static const fm_watermark_options bad[] = {
        { .kind = FM_WATERMARK_TOURNAMENT, .window = 0, .layers = 30 },
        { .kind = FM_WATERMARK_TOURNAMENT, .window = 17, .layers = 30 },
        { .kind = FM_WATERMARK_TOURNAMENT, .window = 4, .layers = 0 },
        { .kind = FM_WATERMARK_TOURNAMENT, .window = 4, .layers = 65 },
        { .kind = FM_WATERMARK_RED_GREEN, .window = 4, .gamma = 0.0, .delta = 2 },
        { .kind = FM_WATERMARK_RED_GREEN, .window = 4, .gamma = NAN, .delta = 2 },
        { .kind = FM_WATERMARK_RED_GREEN, .window = 4, .gamma = 0.5, .delta = -1 },
    };
    static const uint8_t key[FM_WATERMARK_KEY_BYTES];
    static const uint32_t before[] = { 1, 2, 3, 4 }, ids[] = { 0, 1, 10 };
    const fm_watermark_options o = fm_watermark_defaults(FM_WATERMARK_TOURNAMENT);
    const fm_sample_options greedy = { .temperature = 0.0, .top_p = 1.0 };
    fm_rng rng = fm_rng_system();
    fm_watermark *w = NULL;
    fm_watermark_text *t = NULL;
    fm_sampler *s = NULL;
    double p[V];

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++)
        CU_ASSERT_EQUAL(fm_watermark_new(key, bad + i, &w), FM_EINVAL);
    CU_ASSERT_PTR_NULL(w);
    CU_ASSERT_EQUAL_FATAL(fm_watermark_new(key, &o, &w), FM_OK);
    CU_ASSERT_EQUAL(fm_sampler_new(10, &greedy, w, &rng, &s), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_watermark_text_new(w, 0, &t), FM_EINVAL);
    CU_ASSERT_EQUAL_FATAL(fm_watermark_text_new(w, 10, &t), FM_OK);
    memcpy(p, three, sizeof p);
    CU_ASSERT_EQUAL(fm_watermark_apply(t, before, 4, ids, p, V), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_watermark_apply(t, before, 4, ids, p, 0), FM_EINVAL);
    CU_ASSERT_EQUAL(memcmp(p, three, sizeof p), 0);
    fm_watermark_text_free(&t);
    fm_watermark_free(&w);
}

/* ---- the key's file ---- */

static void a_key_comes_back_from_its_file(void)
{
    char dir[256], path[300];
    struct stat about;

    fm_test_tmpdir(dir, sizeof dir);
    for (int kind = FM_WATERMARK_TOURNAMENT; kind <= FM_WATERMARK_RED_GREEN; kind++) {
        fm_watermark_options o = fm_watermark_defaults((fm_watermark_kind)kind), back;
        fm_watermark *w = NULL;

        o.window = 7;
        o.gamma = 0.3;
        (void)snprintf(path, sizeof path, "%s/key%d", dir, kind);
        CU_ASSERT_EQUAL_FATAL(fm_watermark_keygen(path, &o), FM_OK);
        CU_ASSERT_EQUAL(fm_watermark_keygen(path, &o), FM_EEXIST);
        CU_ASSERT(stat(path, &about) == 0 && (about.st_mode & 0777) == 0600);
        CU_ASSERT_EQUAL_FATAL(fm_watermark_load(path, &w), FM_OK);
        back = fm_watermark_get_options(w);
        CU_ASSERT(back.kind == o.kind && back.window == 7);
        if (kind == FM_WATERMARK_TOURNAMENT)
            CU_ASSERT_EQUAL(back.layers, o.layers);
        if (kind == FM_WATERMARK_RED_GREEN)
            CU_ASSERT(back.gamma == o.gamma && back.delta == o.delta);
        fm_watermark_free(&w);
        CU_ASSERT_EQUAL(chmod(path, 0640), 0);
        CU_ASSERT_EQUAL(fm_watermark_load(path, &w), FM_EPERM);
        CU_ASSERT_PTR_NULL(w);
    }
}

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY_FILE "fedmoe-watermark 1\nkind tournament\nwindow 2\nlayers 30\nkey " HEX "\n"

static void what_is_no_key_is_refused(void)
{
    static const char *const bad[] = {
        KEY_FILE "\n",
        "fedmoe-watermark 2\nkind tournament\nwindow 2\nlayers 30\nkey " HEX "\n",
        "fedmoe-watermark 1\nkind other\nwindow 2\nlayers 30\nkey " HEX "\n",
        "fedmoe-watermark 1\nkind tournament\nwindow 0\nlayers 30\nkey " HEX "\n",
        "fedmoe-watermark 1\nkind tournament\nwindow 2\nlayers 99\nkey " HEX "\n",
        "fedmoe-watermark 1\nkind tournament\nwindow -2\nlayers 30\nkey " HEX "\n",
        "fedmoe-watermark 1\nkind red-green\nwindow 2\nlayers 30\nkey " HEX "\n",
        "fedmoe-watermark 1\nkind red-green\nwindow 2\ngamma nan\ndelta 2\nkey " HEX "\n",
        "fedmoe-watermark 1\nkind tournament\nwindow 2\nlayers 30\nkey " HEX "00\n",
        "fedmoe-watermark 1\nkind tournament\nwindow 2\nlayers 30\nkey x" HEX "\n",
    };
    fm_watermark *w = NULL;

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++)
        CU_ASSERT_EQUAL(fm_watermark_parse("k", bad[i], strlen(bad[i]), &w), FM_EPROTO);
    for (size_t n = 0; n < strlen(KEY_FILE); n++)
        CU_ASSERT_EQUAL(fm_watermark_parse("k", KEY_FILE, n, &w), FM_EPROTO);
    CU_ASSERT_PTR_NULL(w);
    CU_ASSERT_EQUAL(fm_watermark_parse("k", KEY_FILE, strlen(KEY_FILE), &w), FM_OK);
    fm_watermark_free(&w);
}

static const fm_test tests[] = {
    { "the mean over all functions is the model", the_mean_over_all_functions_is_the_model },
    { "the winner has the chances of a tournament that is played",
      the_winner_has_the_chances_of_a_tournament_that_is_played },
    { "every processor plays the same bits", every_processor_plays_the_same_bits },
    { "over keys a token has the model's chances", over_keys_a_token_has_the_models_chances },
    { "over keys a text has the model's chances", over_keys_a_text_has_the_models_chances },
    { "a text that forgets its contexts is seen", a_text_that_forgets_its_contexts_is_seen },
    { "a context is marked once", a_context_is_marked_once },
    { "a long text remembers all its contexts", a_long_text_remembers_all_its_contexts },
    { "many words at once are the same words", many_words_at_once_are_the_same_words },
    { "the functions are those that are written down",
      the_functions_are_those_that_are_written_down },
    { "what makes no sense is refused", what_makes_no_sense_is_refused },
    { "a key comes back from its file", a_key_comes_back_from_its_file },
    { "what is no key is refused", what_is_no_key_is_refused },
};
const fm_test_suite suite_watermark = { "edge.watermark", tests, FM_TEST_COUNT(tests) };
