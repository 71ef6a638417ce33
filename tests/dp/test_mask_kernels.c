/* Every way to add a mask gives the same words, and leaves no key behind. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <sodium.h>

#include "fedmoe/base/memory.h"
#include "fm_test.h"
#include "mask_emulated.h"

#define WORDS ((size_t)6000)
#define MARGIN ((size_t)8) /* words before and after, which must stay */
#define PATHS_MAX 6
#define STACK_BYTES ((size_t)1 << 20)

/* A sanitizer has the kernels' registers in memory: then only keys are looked for. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REGISTERS_ARE_MEMORY true
#else
#define REGISTERS_ARE_MEMORY false
#endif

static const uint8_t g_seed[FM_DP_KEY_BYTES] = "a seed of thirty-two bytes, too";
static uint32_t g_stream[WORDS], g_sum[MARGIN + WORDS + MARGIN];

static bool has_aes(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1");
#else
    return false;
#endif
}

/* Those of this machine, and VAES written out where there is AES-NI. */
static size_t all_paths(fm_dp_mask_path paths[PATHS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < fm_dp_mask_path_count; i++)
        if (fm_dp_mask_paths[i].available())
            paths[count++] = fm_dp_mask_paths[i];
#if defined(__x86_64__)
    if (has_aes()) {
        paths[count++] =
            (fm_dp_mask_path){ "VAES, AVX2, emulated", has_aes, fm_dp_mask_vaes256_emulated };
        paths[count++] =
            (fm_dp_mask_path){ "VAES, AVX-512, emulated", has_aes, fm_dp_mask_vaes512_emulated };
    }
#endif
    return count;
}

/* AES-256-CTR as docs/protocol.md has it, from the given block on: OpenSSL over a vector of zeros. */
static void stream_from(uint64_t block, uint32_t *out, size_t n)
{
    uint8_t counter[16] = { 0 }, *bytes = calloc(n + 1, 4);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len = 0;

    for (int i = 0; i < 8; i++)
        counter[15 - i] = (uint8_t)(block >> 8 * i);
    CU_ASSERT_FATAL(bytes && ctx);
    CU_ASSERT_FATAL(EVP_EncryptInit_ex(ctx, EVP_aes_256_ctr(), NULL, g_seed, counter) == 1 &&
                    EVP_EncryptUpdate(ctx, bytes, &len, bytes, (int)(4 * n)) == 1);
    for (size_t i = 0; i < n; i++)
        out[i] = fm_get_u32le(bytes + 4 * i);
    EVP_CIPHER_CTX_free(ctx);
    free(bytes);
}

static uint32_t before(size_t i)
{
    return 0x9e3779b9u * (uint32_t)i; /* all sizes: so that sums wrap, and differences too */
}

static uint32_t *fresh_sum(size_t offset)
{
    for (size_t i = 0; i < FM_TEST_COUNT(g_sum); i++)
        g_sum[i] = before(i);
    return g_sum + offset;
}

/* Words that are not as they must be after n of them were masked from `offset` on. */
static size_t wrong_words(size_t offset, size_t n, int sign)
{
    size_t wrong = 0;

    for (size_t i = 0; i < FM_TEST_COUNT(g_sum); i++) {
        uint32_t want = before(i);

        if (i >= offset && i < offset + n)
            want = sign > 0 ? want + g_stream[i - offset] : want - g_stream[i - offset];
        wrong += g_sum[i] != want;
    }
    return wrong;
}

static void mask(const fm_dp_mask_path *path, uint32_t *sum, size_t n, size_t piece, int sign)
{
    fm_dp_mask_stream s;

    CU_ASSERT_EQUAL_FATAL(fm_dp_mask_begin(&s, path, 32, g_seed), FM_OK);
    for (size_t at = 0; at < n; at += piece)
        CU_ASSERT_EQUAL(fm_dp_mask_next(&s, sum + at, n - at < piece ? n - at : piece, sign),
                        FM_OK);
    fm_dp_mask_end(&s);
}

static void every_path_adds_the_same_words_at_every_length(void)
{
    fm_dp_mask_path paths[PATHS_MAX];
    size_t count = all_paths(paths);

    stream_from(0, g_stream, WORDS);
    for (size_t p = 0; p < count; p++) {
        size_t wrong = 0;

        for (size_t n = 0; n <= WORDS; n += n < 300 ? 1 : n < 4090 ? 379 : n < 4100 ? 1 : 475)
            for (int sign = -1; sign <= 1; sign += 2) {
                mask(&paths[p], fresh_sum(MARGIN), n, WORDS, sign);
                wrong += wrong_words(MARGIN, n, sign);
            }
        if (wrong > 0)
            printf("%s: %zu words are wrong\n", paths[p].name, wrong);
        CU_ASSERT_EQUAL(wrong, 0);
    }
}

static void so_it_does_wherever_the_sum_begins(void)
{
    fm_dp_mask_path paths[PATHS_MAX];
    size_t count = all_paths(paths);

    stream_from(0, g_stream, WORDS);
    for (size_t p = 0; p < count; p++)
        for (size_t offset = 0; offset < 2 * MARGIN; offset++)
            for (int sign = -1; sign <= 1; sign += 2) {
                mask(&paths[p], fresh_sum(offset), 1000, 1000, sign);
                CU_ASSERT_EQUAL(wrong_words(offset, 1000, sign), 0);
            }
}

static void pieces_join(void)
{
    fm_dp_mask_path paths[PATHS_MAX];
    size_t count = all_paths(paths);

    stream_from(0, g_stream, WORDS);
    for (size_t p = 0; p < count; p++)
        for (size_t piece = FM_DP_MASK_GROUP; piece < WORDS; piece += FM_DP_MASK_GROUP) {
            mask(&paths[p], fresh_sum(MARGIN), WORDS - 3, piece, 1);
            CU_ASSERT_EQUAL(wrong_words(MARGIN, WORDS - 3, 1), 0);
        }
}

/* Where the next byte of the counter begins, up to more words than a sum can have. */
static void counters_carry(void)
{
    const uint64_t groups[] = { 7, 2047, 524287, 134217727, 34359738367 };
    fm_dp_mask_path paths[PATHS_MAX];
    size_t count = all_paths(paths);

    for (size_t g = 0; g < FM_TEST_COUNT(groups); g++) {
        stream_from(FM_DP_MASK_GROUP_BLOCKS * groups[g], g_stream, WORDS);
        for (size_t p = 0; p < count; p++) {
            fm_dp_mask_stream s;

            if (!paths[p].kernel)
                continue;
            CU_ASSERT_EQUAL_FATAL(fm_dp_mask_begin(&s, &paths[p], 32, g_seed), FM_OK);
            s.keys.counter = FM_DP_MASK_GROUP_BLOCKS * groups[g];
            CU_ASSERT_EQUAL(fm_dp_mask_next(&s, fresh_sum(MARGIN), 515, 1), FM_OK);
            CU_ASSERT_EQUAL(wrong_words(MARGIN, 515, 1), 0);
            fm_dp_mask_end(&s);
        }
    }
}

/* Of 16 bits: every path, length, place, sign and cut into pieces. */
static void narrow_words_take_the_same_stream_two_bytes_at_a_time(void)
{
    static uint16_t sum[MARGIN + 2 * WORDS + MARGIN];
    fm_dp_mask_path paths[PATHS_MAX];
    size_t count = all_paths(paths);

    stream_from(0, g_stream, WORDS);
    for (size_t p = 0; p < count; p++) {
        size_t wrong = 0;

        for (size_t n = 0; n <= 2 * WORDS - MARGIN; n += n < 600 ? 1 : 1129) {
            const size_t offset = n % (2 * MARGIN), piece = FM_DP_MASK_GROUP * (1 + n % 5);
            const int sign = n % 3 ? 1 : -1;
            fm_dp_mask_stream s;

            for (size_t i = 0; i < FM_TEST_COUNT(sum); i++)
                sum[i] = (uint16_t)before(i);
            CU_ASSERT_EQUAL_FATAL(fm_dp_mask_begin(&s, &paths[p], 16, g_seed), FM_OK);
            for (size_t at = 0; at < n; at += piece)
                CU_ASSERT_EQUAL(
                    fm_dp_mask_next(&s, sum + offset + at, n - at < piece ? n - at : piece, sign),
                    FM_OK);
            fm_dp_mask_end(&s);
            for (size_t i = 0; i < FM_TEST_COUNT(sum); i++) {
                size_t at = i - offset;
                uint32_t mask = i < offset || at >= n ? 0 : g_stream[at / 2] >> 16 * (at % 2);

                wrong += sum[i] != (uint16_t)(sign > 0 ? before(i) + mask : before(i) - mask);
            }
        }
        if (wrong > 0)
            printf("%s: %zu words are wrong\n", paths[p].name, wrong);
        CU_ASSERT_EQUAL(wrong, 0);
    }
}

static void the_best_path_is_one_that_runs_here(void)
{
    const fm_dp_mask_path *best = fm_dp_mask_best_path();

    CU_ASSERT(best->available());
    CU_ASSERT(best >= fm_dp_mask_paths && best < fm_dp_mask_paths + fm_dp_mask_path_count);
    for (const fm_dp_mask_path *p = best + 1; p < fm_dp_mask_paths + fm_dp_mask_path_count; p++)
        CU_ASSERT_FALSE(p->available());
    printf("%s\n", best->name);
}

/* --- The attack: what lies on the stack of a thread that has masked and gone. --- */

typedef struct {
    const fm_dp_mask_path *path;
    uint8_t seed[FM_DP_KEY_BYTES];
    uint32_t sum[1003];
} job;

static void *mask_in_thread(void *ctx)
{
    job *j = ctx;
    fm_dp_mask_stream s;

    if (fm_dp_mask_begin(&s, j->path, 32, j->seed) == FM_OK &&
        fm_dp_mask_next(&s, j->sum, FM_TEST_COUNT(j->sum), 1) == FM_OK)
        j->seed[0] ^= 1; /* it was done */
    fm_dp_mask_end(&s);
    return NULL;
}

static bool holds(const uint8_t *memory, size_t bytes, const void *what, size_t len)
{
    const uint8_t *first = what;

    for (size_t i = 0; i + len <= bytes; i++)
        if (memory[i] == *first && memcmp(memory + i, what, len) == 0)
            return true;
    return false;
}

static void leave_in_thread(job *j, uint8_t *stack)
{
    pthread_attr_t attr;
    pthread_t thread;

    memset(stack, 0xa5, STACK_BYTES);
    CU_ASSERT_EQUAL_FATAL(pthread_attr_init(&attr), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_attr_setstack(&attr, stack, STACK_BYTES), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, &attr, mask_in_thread, j), 0);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attr);
}

static void no_key_and_no_key_stream_stays_on_the_stack(void)
{
    uint8_t *stack = aligned_alloc(4096, STACK_BYTES), round_key[15][16] = { { 0 } };
    fm_dp_mask_path paths[PATHS_MAX];
    size_t count = all_paths(paths);

    CU_ASSERT_FATAL(stack != NULL);
    stream_from(0, g_stream, 1003);
#if defined(__x86_64__)
    if (has_aes())
        fm_gauss_aes_expand_key(g_seed, round_key);
#endif
    for (size_t p = 0; p < count; p++) {
        job j = { .path = &paths[p] };

        if (strstr(paths[p].name, "emulated"))
            continue; /* its registers are memory */
        memcpy(j.seed, g_seed, sizeof j.seed);
        leave_in_thread(&j, stack);
        CU_ASSERT_EQUAL(j.seed[0], g_seed[0] ^ 1);
        CU_ASSERT_EQUAL(memcmp(j.sum, g_stream, sizeof j.sum), 0);
        for (int r = 0; has_aes() && r < 15; r++)
            CU_ASSERT_FALSE(holds(stack, STACK_BYTES, round_key[r], 16));
        CU_ASSERT_FALSE(holds(stack, STACK_BYTES, g_seed, 16));
        for (size_t i = 0; !REGISTERS_ARE_MEMORY && i + 4 <= FM_TEST_COUNT(j.sum); i += 16)
            CU_ASSERT_FALSE(holds(stack, STACK_BYTES, g_stream + i, 16));
    }
    free(stack);
}

static const fm_test g_tests[] = {
    { "every path adds the same words at every length",
      every_path_adds_the_same_words_at_every_length },
    { "so it does wherever the sum begins", so_it_does_wherever_the_sum_begins },
    { "pieces join", pieces_join },
    { "counters carry", counters_carry },
    { "narrow words take the same stream, two bytes at a time",
      narrow_words_take_the_same_stream_two_bytes_at_a_time },
    { "the best path is one that runs here", the_best_path_is_one_that_runs_here },
    { "no key and no key stream stays on the stack", no_key_and_no_key_stream_stays_on_the_stack },
};

const fm_test_suite fm_suite_dp_mask_kernels = { "dp.mask_kernels", g_tests,
                                                 FM_TEST_COUNT(g_tests) };
