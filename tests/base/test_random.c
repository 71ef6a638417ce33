#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "fedmoe/base/random.h"
#include "suites.h"

#define SEED UINT64_C(20261124)

static void starts_more_than_once(void)
{
    CU_ASSERT_EQUAL(fm_random_init(), FM_OK);
    CU_ASSERT_EQUAL(fm_random_init(), FM_OK);
}

static void the_system_source_does_not_repeat(void)
{
    uint8_t a[32] = { 0 }, b[32] = { 0 }, c[32] = { 0 };
    fm_rng r = fm_rng_system();

    fm_random_bytes(a, sizeof a);
    fm_random_bytes(b, sizeof b);
    r.fill(r.state, c, sizeof c);
    CU_ASSERT(memcmp(a, b, sizeof a) != 0); /* false alarm: 2^-256 */
    CU_ASSERT(memcmp(b, c, sizeof b) != 0);
    fm_random_bytes(a, 0);
}

static void the_same_seed_gives_the_same_bytes_however_they_are_drawn(void)
{
    static uint8_t whole[5000], parts[5000];
    fm_rng_seed s, t, other;
    fm_rng r = fm_rng_seeded(&s, SEED), q = fm_rng_seeded(&t, SEED),
           o = fm_rng_seeded(&other, SEED + 1);
    size_t at = 0;

    r.fill(r.state, whole, sizeof whole);
    for (size_t n = 1; at < sizeof parts; n = n * 3 % 701) {
        size_t step = n < sizeof parts - at ? n : sizeof parts - at;

        q.fill(q.state, parts + at, step);
        at += step;
    }
    CU_ASSERT_EQUAL(memcmp(whole, parts, sizeof whole), 0);
    o.fill(o.state, parts, sizeof parts);
    CU_ASSERT(memcmp(whole, parts, sizeof whole) != 0);
    CU_ASSERT(memcmp(whole, whole + 1024, 1024) != 0);
}

/* The stream is part of "the same run again from the same seed": it may not change unnoticed. */
static void the_stream_of_a_seed_is_fixed(void)
{
    uint8_t b[8];
    char hex[17];
    fm_rng_seed s;
    fm_rng r = fm_rng_seeded(&s, 1);

    r.fill(r.state, b, sizeof b);
    for (size_t i = 0; i < sizeof b; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", b[i]);
    CU_ASSERT_STRING_EQUAL(hex, "aa2c7061408743c4");
}

static void warns_loudly_when_seeded_and_only_once(void)
{
    char command[64], out[2000];
    const char *first;
    FILE *pipe;
    size_t n;

    /* A fresh process: tests before this one have used up the warning of this one. */
    (void)snprintf(command, sizeof command, "/proc/%d/exe --seed-child 2>&1", (int)getpid());
    fflush(NULL);
    pipe = popen(command, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(pipe);
    n = fread(out, 1, sizeof out - 1, pipe);
    out[n] = '\0';
    CU_ASSERT_EQUAL(pclose(pipe), 0);
    assert_has(out, "warn  SEEDED RANDOMNESS: for tests and simulations only; nothing is private");
    first = strstr(out, "SEEDED");
    CU_ASSERT(first && !strstr(first + 1, "SEEDED"));
}

int seed_child(void)
{
    fm_rng_seed s;

    (void)fm_rng_seeded(&s, SEED);
    (void)fm_rng_seeded(&s, SEED);
    return 0;
}

static void units_are_below_one_and_uniform(void)
{
    fm_rng_seed s;
    fm_rng r = fm_rng_seeded(&s, SEED);
    size_t bins[10] = { 0 };
    const size_t n = 100000;
    double chi2 = 0.0;

    for (size_t i = 0; i < n; i++) {
        double u = fm_rng_unit(&r);

        CU_ASSERT_FATAL(u >= 0.0 && u < 1.0);
        bins[(size_t)(u * 10.0)]++;
    }
    for (size_t i = 0; i < 10; i++) {
        double d = (double)bins[i] - (double)n / 10.0;

        chi2 += d * d / ((double)n / 10.0);
    }
    /* 9 degrees of freedom: 39.3 is passed with probability 1e-5; the seed is fixed. */
    CU_ASSERT(chi2 < 39.3);
}

static void integers_below_a_bound_are_uniform(void)
{
    fm_rng_seed s;
    fm_rng r = fm_rng_seeded(&s, SEED);
    size_t bins[7] = { 0 };
    const size_t n = 70000;
    double chi2 = 0.0;

    CU_ASSERT_EQUAL(fm_rng_below(&r, 1), 0);
    CU_ASSERT_EQUAL(fm_rng_below(&r, 0), 0);
    for (size_t i = 0; i < n; i++) {
        uint64_t v = fm_rng_below(&r, 7);

        CU_ASSERT_FATAL(v < 7);
        bins[v]++;
    }
    for (size_t i = 0; i < 7; i++) {
        double d = (double)bins[i] - (double)n / 7.0;

        chi2 += d * d / ((double)n / 7.0);
    }
    CU_ASSERT(chi2 < 33.1); /* 6 degrees of freedom, 1e-5 */
    for (int i = 0; i < 1000; i++)
        CU_ASSERT(fm_rng_below(&r, UINT64_C(1) << 63 | 1) <= UINT64_C(1) << 63);
}

/* A source whose words are given: to reach the corners. */
typedef struct {
    uint64_t words[4];
    size_t next;
} script;

static void fill_script(void *state, void *out, size_t len)
{
    script *s = state;

    CU_ASSERT_EQUAL_FATAL(len, 8);
    CU_ASSERT_FATAL(s->next < 4);
    memcpy(out, &s->words[s->next++], 8);
}

static void unit_of_the_largest_word_is_below_one(void)
{
    script s = { .words = { UINT64_MAX, 0, UINT64_MAX, 0 } };
    fm_rng r = { fill_script, &s };

    CU_ASSERT_EQUAL(fm_rng_unit(&r), 1.0 - 0x1p-53);
    CU_ASSERT_EQUAL(fm_rng_unit(&r), 0.0);
    CU_ASSERT(isfinite(fm_rng_normal(&r))); /* the far tail: sqrt(2 * 53 * log 2) = 8.57 */
}

static void leaves_out_the_words_that_would_bias(void)
{
    /* 2^64 mod 3 = 1: exactly the word 0 is drawn again. */
    script s = { .words = { 0, 0, 4, 9 } };
    fm_rng r = { fill_script, &s };

    CU_ASSERT_EQUAL(fm_rng_below(&r, 3), 1);
    CU_ASSERT_EQUAL(s.next, 3);
}

static void normals_have_the_moments_of_a_normal(void)
{
    fm_rng_seed s;
    fm_rng r = fm_rng_seeded(&s, SEED);
    const size_t n = 100000;
    double sum = 0.0, square = 0.0, fourth = 0.0;

    for (size_t i = 0; i < n; i++) {
        double z = fm_rng_normal(&r);

        CU_ASSERT_FATAL(isfinite(z));
        sum += z;
        square += z * z;
        fourth += z * z * z * z;
    }
    /* Five standard errors each (6e-7, two-sided): 1, sqrt 2 and sqrt 96 over sqrt n. */
    CU_ASSERT(fabs(sum / (double)n) < 5.0 / sqrt((double)n));
    CU_ASSERT(fabs(square / (double)n - 1.0) < 5.0 * sqrt(2.0 / (double)n));
    CU_ASSERT(fabs(fourth / (double)n - 3.0) < 5.0 * sqrt(96.0 / (double)n));
}

static const fm_test tests[] = {
    { "starts more than once", starts_more_than_once },
    { "the system source does not repeat", the_system_source_does_not_repeat },
    { "the same seed gives the same bytes however they are drawn",
      the_same_seed_gives_the_same_bytes_however_they_are_drawn },
    { "the stream of a seed is fixed", the_stream_of_a_seed_is_fixed },
    { "warns loudly when seeded and only once", warns_loudly_when_seeded_and_only_once },
    { "units are below one and uniform", units_are_below_one_and_uniform },
    { "the unit of the largest word is below one", unit_of_the_largest_word_is_below_one },
    { "integers below a bound are uniform", integers_below_a_bound_are_uniform },
    { "leaves out the words that would bias", leaves_out_the_words_that_would_bias },
    { "normals have the moments of a normal", normals_have_the_moments_of_a_normal },
};
const fm_test_suite suite_random = { "base.random", tests, FM_TEST_COUNT(tests) };
