/* The next token, and bytes as UTF-8. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/edge/sample.h"
#include "fedmoe/edge/utf8.h"
#include "suites.h"

#define V 9
#define DRAWS 40000
#define CHI_SQUARE 33.0 /* 8 degrees of freedom: one false alarm in 16,000 */

static const float logits[V] = { 0.3f, 2.0f, -1.0f, 2.0f, 0.0f, 1.1f, -3.0f, 0.7f, -0.2f };

typedef struct {
    fm_rng_seed state;
    fm_rng rng;
    fm_sampler *s;
} world;

static void begin(world *w, double temperature, size_t top_k, double top_p, uint64_t seed)
{
    const fm_sample_options o = { .temperature = temperature, .top_k = top_k, .top_p = top_p };

    w->rng = fm_rng_public(&w->state, seed);
    w->s = NULL;
    CU_ASSERT_EQUAL_FATAL(fm_sampler_new(V, &o, NULL, &w->rng, &w->s), FM_OK);
}

static uint32_t next(world *w)
{
    float z[V];
    uint32_t token = UINT32_MAX;

    memcpy(z, logits, sizeof z);
    CU_ASSERT_EQUAL(fm_sampler_next(w->s, NULL, 0, z, &token), FM_OK);
    CU_ASSERT_FATAL(token < V);
    return token;
}

/* Draws against chances p[V]: those of chance 0 never come. */
static void check_chances(world *w, const double *p)
{
    size_t seen[V] = { 0 };
    double sum = 0.0;

    for (size_t i = 0; i < DRAWS; i++)
        seen[next(w)]++;
    for (size_t i = 0; i < V; i++) {
        const double want = DRAWS * p[i], off = (double)seen[i] - want;

        if (want <= 0.0)
            CU_ASSERT_EQUAL(seen[i], 0);
        sum += want > 0.0 ? off * off / want : 0.0;
    }
    CU_ASSERT(sum < CHI_SQUARE);
    fm_sampler_free(&w->s);
}

/* Softmax at a temperature over those of `kept`. */
static void chances(double temperature, const bool *kept, double *p)
{
    double sum = 0.0;

    for (size_t i = 0; i < V; i++)
        sum += p[i] = kept[i] ? exp((double)logits[i] / temperature) : 0.0;
    for (size_t i = 0; i < V; i++)
        p[i] /= sum;
}

static void draws_have_the_chances_of_the_softmax(void)
{
    static const bool all[V] = { 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    static const double temperatures[] = { 0.5, 1.0, 3.0 };

    for (size_t t = 0; t < FM_TEST_COUNT(temperatures); t++) {
        world w;
        double p[V];

        chances(temperatures[t], all, p);
        begin(&w, temperatures[t], 0, 1.0, 11 + t);
        check_chances(&w, p);
    }
}

static void only_the_likeliest_are_drawn(void)
{
    static const bool three[V] = { [1] = 1, [3] = 1, [5] = 1 };
    world w;
    double p[V];

    chances(1.0, three, p);
    begin(&w, 1.0, 3, 1.0, 21);
    check_chances(&w, p);
    /* The three have a share of 0.77, two of them 0.62. */
    begin(&w, 1.0, 0, 0.7, 22);
    check_chances(&w, p);
    /* Both: of the best five the share is another. */
    begin(&w, 1.0, 5, 0.75, 23);
    check_chances(&w, p);
    /* Of equals the first. */
    begin(&w, 1.0, 1, 1.0, 24);
    CU_ASSERT_EQUAL(next(&w), 1);
    fm_sampler_free(&w.s);
    begin(&w, 1.0, 0, 1e-6, 25);
    CU_ASSERT_EQUAL(next(&w), 1);
    fm_sampler_free(&w.s);
    begin(&w, 0.0, 0, 1.0, 26);
    CU_ASSERT_EQUAL(next(&w), 1);
    fm_sampler_free(&w.s);
}

static void a_seed_repeats_its_draws(void)
{
    world a, b, c;
    size_t same = 0;

    begin(&a, 1.0, 0, 1.0, 31);
    begin(&b, 1.0, 0, 1.0, 31);
    begin(&c, 1.0, 0, 1.0, 32);
    for (size_t i = 0; i < 200; i++) {
        const uint32_t token = next(&a);

        CU_ASSERT_EQUAL(next(&b), token);
        same += next(&c) == token;
    }
    CU_ASSERT(same < 150);
    fm_sampler_free(&a.s);
    fm_sampler_free(&b.s);
    fm_sampler_free(&c.s);
}

static void what_makes_no_sense_is_refused(void)
{
    const fm_sample_options bad[] = {
        { .temperature = -1.0, .top_p = 1.0 }, { .temperature = NAN, .top_p = 1.0 },
        { .temperature = 1e-9, .top_p = 1.0 }, { .temperature = 1e9, .top_p = 1.0 },
        { .temperature = 1.0, .top_p = 0.0 },  { .temperature = 1.0, .top_p = 1.5 },
        { .temperature = 1.0, .top_p = NAN },
    };
    static const float worse[] = { NAN, INFINITY, -INFINITY };
    fm_rng rng = fm_rng_system();
    fm_sampler *s = NULL;
    world w;

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++)
        CU_ASSERT_EQUAL(fm_sampler_new(V, &bad[i], NULL, &rng, &s), FM_EINVAL);
    CU_ASSERT_PTR_NULL(s);
    begin(&w, 1.0, 0, 1.0, 41);
    for (size_t i = 0; i < FM_TEST_COUNT(worse); i++) {
        float z[V] = { 0 };
        uint32_t token = 77;

        z[i] = worse[i];
        CU_ASSERT_EQUAL(fm_sampler_next(w.s, NULL, 0, z, &token), FM_ENONFINITE);
        CU_ASSERT_EQUAL(token, 77);
    }
    fm_sampler_free(&w.s);
}

/* Logits as far apart as floats are. */
static void wide_logits_are_drawn_from(void)
{
    world w;

    begin(&w, 0.001, 0, 0.999, 51);
    for (size_t i = 0; i < 100; i++) {
        float z[V] = { 3e38f, -3e38f, 0.0f, 1.0f, 3e38f, -3e38f, -3e38f, -3e38f, -3e38f };
        uint32_t token = 77;

        CU_ASSERT_EQUAL(fm_sampler_next(w.s, NULL, 0, z, &token), FM_OK);
        CU_ASSERT(token == 0 || token == 4);
    }
    fm_sampler_free(&w.s);
}

/* ---- UTF-8 ---- */

/* Bytes in pieces of every size give the same text. */
static void check_utf8(const char *bytes, size_t n, const char *want)
{
    for (size_t step = 1; step <= n; step++) {
        fm_utf8 u = { 0 };
        fm_buf out = { 0 };

        for (size_t i = 0; i < n; i += step)
            CU_ASSERT_EQUAL(
                fm_utf8_take(&u, (const uint8_t *)bytes + i, n - i < step ? n - i : step, &out),
                FM_OK);
        CU_ASSERT_EQUAL(fm_utf8_end(&u, &out), FM_OK);
        CU_ASSERT(out.len == strlen(want) && memcmp(out.data, want, out.len) == 0);
        fm_buf_fini(&out);
    }
}

#define BAD "\xef\xbf\xbd"
#define CHECK(bytes, want) check_utf8(bytes, sizeof(bytes) - 1, want)

static void bytes_become_utf8(void)
{
    CHECK("ward \xc3\xa4 \xe2\x82\xac \xf0\x9f\x8f\xa5",
          "ward \xc3\xa4 \xe2\x82\xac \xf0\x9f\x8f\xa5");
    CHECK("a\xe2\x82", "a" BAD);         /* cut off */
    CHECK("\xe2\x82z\x80", BAD "z" BAD); /* a character within one */
    CHECK("\xc0\xaf", BAD BAD);          /* overlong */
    CHECK("\xed\xa0\x80", BAD BAD BAD);  /* a surrogate */
    CHECK("\xf4\x90\x80\x80", BAD BAD BAD BAD);
    CHECK("\xf0\x9f\xe2\x82\xac", BAD "\xe2\x82\xac");
    CHECK("\xff\xfe", BAD BAD);
}

static void what_is_not_whole_is_held_back(void)
{
    fm_utf8 u = { 0 };
    fm_buf out = { 0 };

    CU_ASSERT_EQUAL(fm_utf8_take(&u, (const uint8_t *)"x\xe2\x82", 3, &out), FM_OK);
    CU_ASSERT_EQUAL(out.len, 1);
    CU_ASSERT_EQUAL(fm_utf8_take(&u, (const uint8_t *)"\xac", 1, &out), FM_OK);
    CU_ASSERT_EQUAL(out.len, 4);
    CU_ASSERT_EQUAL(fm_utf8_end(&u, &out), FM_OK);
    CU_ASSERT_EQUAL(out.len, 4);
    fm_buf_fini(&out);
}

static const fm_test tests[] = {
    { "draws have the chances of the softmax", draws_have_the_chances_of_the_softmax },
    { "only the likeliest are drawn", only_the_likeliest_are_drawn },
    { "a seed repeats its draws", a_seed_repeats_its_draws },
    { "what makes no sense is refused", what_makes_no_sense_is_refused },
    { "wide logits are drawn from", wide_logits_are_drawn_from },
    { "bytes become UTF-8", bytes_become_utf8 },
    { "what is not whole is held back", what_is_not_whole_is_held_back },
};
const fm_test_suite suite_sample = { "edge.sample", tests, FM_TEST_COUNT(tests) };
