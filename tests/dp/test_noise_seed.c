/* Noise from a seed: the same integers whatever computes them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/memory.h"
#include "fedmoe/dp/mask.h"
#include "fm_test.h"
#include "noise_emulated.h"

#define N ((size_t)3000)

static const uint8_t g_seed[FM_DP_NOISE_SEED_BYTES] = "a seed of thirty-two bytes, yes";

static bool always(void)
{
    return true;
}

static const fm_gauss_path g_emulated = { "emulated", always, fm_gauss_scan_portable,
                                          fm_gauss_groups_emulated, false };

/* --- Another client, written from docs/protocol.md: one number at a time, no care for speed. --- */

typedef struct {
    uint8_t *bytes;
    size_t at;
} client_stream;

/* AES-256-CTR from zero: what a mask adds to zeros. */
static client_stream client_stream_of(size_t bytes)
{
    client_stream s = { .bytes = malloc(bytes) };
    uint32_t *words = calloc(bytes / 4, 4);

    CU_ASSERT_FATAL(s.bytes && words);
    CU_ASSERT_EQUAL_FATAL(fm_dp_mask_apply(32, words, bytes / 4, g_seed, 1), FM_OK);
    for (size_t i = 0; i < bytes / 4; i++)
        fm_put_u32le(s.bytes + 4 * i, words[i]);
    free(words);
    return s;
}

static int32_t client_residual(const fm_gauss_table *t, const uint8_t *words)
{
    int32_t x = 0;

    for (size_t j = 0; j < t->entries; j++) {
        int less = 0; /* of the limbs so far: -1, 0, 1 */

        for (size_t k = 0; k < 3 && less == 0; k++) {
            int32_t limb = (int32_t)(fm_get_u32le(words + 64 * k) & FM_GAUSS_LIMB_MASK);

            less = limb < t->limb[k][j] ? -1 : limb > t->limb[k][j] ? 1 : 0;
        }
        x += less < 0;
    }
    return x;
}

static void client_block(const fm_dp_gaussian *g, client_stream *s, int64_t *out, size_t groups)
{
    int32_t residual[FM_GAUSS_SLOTS];
    size_t used = 0;

    for (size_t i = 0; i < FM_GAUSS_SLOTS; i++)
        residual[i] = client_residual(&g->residual, s->bytes + s->at + i / 16 * 192 + i % 16 * 4);
    s->at += 768;
    for (size_t group = 0; group < groups; group++) {
        int64_t weight = 1;

        memset(out + 64 * group, 0, 64 * sizeof *out);
        for (uint32_t i = 0; i < g->stages; i++) {
            const uint8_t *b = s->bytes + s->at;

            for (size_t j = 0; j < 64; j++) {
                unsigned column = b[j], fraction = (b[64 + j] & 0x7fu) * 256u + b[128 + j];
                bool own = fraction < g->alias.high[column] * 256u + g->alias.low[column];
                int64_t x = own ? (int64_t)column : (int64_t)g->alias.other[column];

                if (x == FM_GAUSS_ESCAPE)
                    x = residual[used++ % 64];
                out[64 * group + 16 * (j / 4 % 4) + 4 * (j / 16) + j % 4] +=
                    weight * (b[64 + j] >= 128 ? -x : x);
            }
            s->at += 192;
            weight *= i + 1 < g->stages ? g->multiplier[i] : 1;
        }
    }
}

static void client(const fm_dp_gaussian *g, int64_t *out, size_t n)
{
    size_t groups = n / 64, block = 2048 / g->stages;
    client_stream s =
        client_stream_of(groups * g->stages * 192 + (groups + block - 1) / block * 768);

    for (size_t done = 0; done < groups; done += block)
        client_block(g, &s, out + 64 * done, groups - done < block ? groups - done : block);
    free(s.bytes);
}

static bool path_agrees(const fm_dp_gaussian *g, const fm_gauss_path *path, const int64_t *expected,
                        size_t n)
{
    int32_t *x = malloc(n * sizeof *x);
    int64_t *wide = malloc(n * sizeof *wide);
    bool ok = x && wide && fm_gauss_expand(g, path, g_seed, x, NULL, n) == FM_OK &&
              fm_gauss_expand(g, path, g_seed, NULL, wide, n) == FM_OK;

    for (size_t i = 0; ok && i < n; i++)
        ok = wide[i] == expected[i] && x[i] == (int32_t)(uint32_t)(uint64_t)expected[i];
    if (!ok)
        printf("\npath %s, sigma %g: other integers\n", path->name, fm_dp_gaussian_sigma(g));
    free(x);
    free(wide);
    return ok;
}

/* bits: see fm_gauss_alias_make. n: a multiple of 64. */
static void check_paths(double sigma, unsigned bits, size_t n)
{
    fm_dp_gaussian *g = NULL;
    int64_t *expected = malloc(n * sizeof *expected);

    CU_ASSERT_FATAL(expected != NULL);
    CU_ASSERT_EQUAL_FATAL(fm_gauss_new(sigma, bits, &g), FM_OK);
    client(g, expected, n);
    for (size_t p = 0; p < fm_gauss_path_count; p++) {
        if (!fm_gauss_paths[p].available())
            fm_test_skip("an instruction set that this machine lacks");
        else
            CU_ASSERT(path_agrees(g, &fm_gauss_paths[p], expected, n));
    }
    CU_ASSERT(path_agrees(g, &g_emulated, expected, n < 4096 ? n : 4096));
    fm_dp_gaussian_free(&g);
    free(expected);
}

static void every_instruction_set_equals_a_client_from_the_protocol(void)
{
    const double sigmas[] = {
        10.0, 61.5, 500.0, 0x1p14, 0x1p20, 3e6, 0x1p26, 0x1p30, 0x1p40, 0x1p50
    };

    for (size_t s = 0; s < FM_TEST_COUNT(sigmas); s++)
        check_paths(sigmas[s], 23, 8192);
}

/*
 * Computed apart, by a program in Python written from the text of docs/protocol.md, section 14,
 * tables and all: seed 0, 1, .. 31; SHA-256 of the n samples as i64le. Among them are escapes.
 */
typedef struct {
    double sigma;
    size_t n;
    int64_t first[2];
    const char *sha256;
} known;

static const known g_known[] = {
    { 10.0, 20000, { 20, 23 }, "c69b55714b30f93984bc5f8cad9b0c34943c88936f8aa9e3da3244d14d3bbbc8" },
    { 1234.5,
      20000,
      { 600, -16 },
      "de1fc60ce829a6dcf96316abd9d70dd2b30a1bf30f35ee0d2b1ff6ee35035658" },
    { 0x1p20,
      70000,
      { -913854, -1623780 },
      "5970e46e5c1877ca6a05caaa5f8ea16cf52ec6fcf6a20161e7bf804f2aaf5dce" },
    { 0x1p26,
      20000,
      { 117411512, 33437702 },
      "691db11e9214484e97c31da84e8c63e7f5733f71f323fd705ef24e57024bb14e" },
    { 0x1p44 + 0.5,
      1000,
      { -18298931049680, 22630793479527 },
      "280e5eaffb0f7aba10c4af725aa164e061fe47a4e5df3f6cdd92533e005c054e" },
};

static void the_integers_are_those_of_another_program(void)
{
    static int64_t x[70000];
    static uint8_t bytes[8 * 70000];
    uint8_t seed[FM_DP_NOISE_SEED_BYTES], hash[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof hash + 1];

    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)i;
    for (size_t k = 0; k < FM_TEST_COUNT(g_known); k++) {
        fm_dp_gaussian *g = NULL;

        CU_ASSERT_EQUAL_FATAL(fm_dp_gaussian_new(g_known[k].sigma, &g), FM_OK);
        CU_ASSERT_EQUAL_FATAL(fm_dp_gaussian_expand64(g, seed, x, g_known[k].n), FM_OK);
        CU_ASSERT_EQUAL(x[0], g_known[k].first[0]);
        CU_ASSERT_EQUAL(x[1], g_known[k].first[1]);
        for (size_t i = 0; i < g_known[k].n; i++)
            fm_put_u64le(bytes + 8 * i, (uint64_t)x[i]);
        crypto_hash_sha256(hash, bytes, 8 * g_known[k].n);
        sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
        CU_ASSERT_STRING_EQUAL(hex, g_known[k].sha256);
        fm_dp_gaussian_free(&g);
    }
}

static void blocks_follow_each_other(void)
{
    check_paths(0x1p20, 23, 2 * 512 * 64 + 640); /* m = 4: 512 groups a block */
    check_paths(0x1p26, 23, 2 * 409 * 64 + 128); /* m = 5: 409 groups */
}

/* Escapes everywhere, up to more of them than there are slots. */
static void frequent_escapes_change_nothing_of_that(void)
{
    const unsigned bits[] = { 8, 10, 12, 16 };

    for (size_t b = 0; b < FM_TEST_COUNT(bits); b++) {
        check_paths(33.3, bits[b], 4096);
        check_paths(0x1p20, bits[b], 4096);
        check_paths(0x1p31, bits[b], 4096);
    }
}

static void fewer_samples_are_the_first_ones_of_more(void)
{
    const size_t counts[] = { 1, 63, 64, 65, 1000, 2999 };
    static int32_t all[N], some[N];
    fm_dp_gaussian *g = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_dp_gaussian_new(0x1p18, &g), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_gaussian_expand(g, g_seed, all, N), FM_OK);
    for (size_t c = 0; c < FM_TEST_COUNT(counts); c++) {
        CU_ASSERT_EQUAL(fm_dp_gaussian_expand(g, g_seed, some, counts[c]), FM_OK);
        CU_ASSERT_EQUAL(memcmp(some, all, counts[c] * sizeof *all), 0);
    }
    fm_dp_gaussian_free(&g);
}

static void sample_is_expand_with_a_seed_from_the_generator(void)
{
    uint8_t seed[FM_DP_NOISE_SEED_BYTES];
    int64_t a[100], b[100];
    fm_dp_gaussian *g = NULL;
    fm_rng_seed state;
    fm_rng r = fm_rng_seeded(&state, 9);

    CU_ASSERT_EQUAL_FATAL(fm_dp_gaussian_new(0x1p45, &g), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_gaussian_sample64(g, &r, a, 100), FM_OK);
    r = fm_rng_seeded(&state, 9);
    r.fill(r.state, seed, sizeof seed);
    CU_ASSERT_EQUAL(fm_dp_gaussian_expand64(g, seed, b, 100), FM_OK);
    CU_ASSERT_EQUAL(memcmp(a, b, sizeof a), 0);
    fm_dp_gaussian_free(&g);
}

static void thirty_two_bits_refuse_a_wide_sigma(void)
{
    int32_t x[1] = { 7 };
    fm_dp_gaussian *g = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_dp_gaussian_new(0x1.1p26, &g), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_gaussian_expand(g, g_seed, x, 1), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_gaussian_expand(NULL, g_seed, x, 1), FM_EINVAL);
    CU_ASSERT_EQUAL(x[0], 7);
    fm_dp_gaussian_free(&g);
}

/* AES-256-CTR as a mask makes it. */
static void expect_stream(const uint8_t *bytes, size_t n)
{
    client_stream s = client_stream_of(n);

    CU_ASSERT_EQUAL(memcmp(bytes, s.bytes, n), 0);
    free(s.bytes);
}

static void the_own_key_stream_is_aes_256_ctr(void)
{
    static uint8_t own[4096];
    fm_gauss_stream s;

    if (!fm_gauss_paths[fm_gauss_path_count - 1].own_stream ||
        !fm_gauss_paths[fm_gauss_path_count - 1].available()) {
        fm_test_skip("no vector AES here");
        return;
    }
    for (size_t piece = 64; piece <= 1024; piece += 64) {
        size_t n = sizeof own / piece * piece;

        CU_ASSERT_EQUAL_FATAL(fm_gauss_stream_init(&s, true, g_seed), FM_OK);
        for (size_t at = 0; at < n; at += piece)
            CU_ASSERT_EQUAL(fm_gauss_stream_next(&s, own + at, piece), FM_OK);
        fm_gauss_stream_fini(&s);
        expect_stream(own, n);
    }
}

static void so_it_is_with_its_instructions_written_out(void)
{
#if defined(__x86_64__)
    static uint8_t out[1024 + 192];
    uint8_t round_key[15][16];

    if (__builtin_cpu_supports("aes")) {
        fm_gauss_aes_expand_key_emulated(g_seed, round_key);
        fm_gauss_aes_stream_emulated((const uint8_t(*)[16])round_key, 0, out, sizeof out);
        expect_stream(out, sizeof out);
        return;
    }
#endif
    fm_test_skip("no AES-NI here");
}

static const fm_test g_tests[] = {
    { "every instruction set equals a client from the protocol",
      every_instruction_set_equals_a_client_from_the_protocol },
    { "the integers are those of another program", the_integers_are_those_of_another_program },
    { "blocks follow each other", blocks_follow_each_other },
    { "frequent escapes change nothing of that", frequent_escapes_change_nothing_of_that },
    { "fewer samples are the first ones of more", fewer_samples_are_the_first_ones_of_more },
    { "sample is expand with a seed from the generator",
      sample_is_expand_with_a_seed_from_the_generator },
    { "thirty-two bits refuse a wide sigma", thirty_two_bits_refuse_a_wide_sigma },
    { "the own key stream is AES-256-CTR", the_own_key_stream_is_aes_256_ctr },
    { "so it is with its instructions written out", so_it_is_with_its_instructions_written_out },
};

const fm_test_suite fm_suite_dp_noise_seed = { "dp.noise_seed", g_tests, FM_TEST_COUNT(g_tests) };
