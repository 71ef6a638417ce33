/* Finding: marked texts are found, p-values are what they are called. */
#include <math.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "suites.h"
#include "watermark_internal.h"

#define VOCABULARY 5000
#define CANDIDATES 20
#define MOST 400

typedef struct {
    fm_rng_seed state;
    fm_rng rng;
    fm_watermark *w;
} world;

static void other_key(world *o, const fm_watermark_options *options)
{
    uint8_t key[FM_WATERMARK_KEY_BYTES];

    fm_watermark_free(&o->w);
    o->rng.fill(o->rng.state, key, sizeof key);
    CU_ASSERT_EQUAL_FATAL(fm_watermark_new(key, options, &o->w), FM_OK);
}

/* Twenty likely tokens each time, of 2.4 nats together. */
static void write_text(world *o, bool marked, uint32_t *text, size_t n)
{
    fm_watermark_text *t = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_watermark_text_new(o->w, VOCABULARY, &t), FM_OK);
    for (size_t i = 0; i < n; i++) {
        const uint32_t first = (uint32_t)fm_rng_below(&o->rng, VOCABULARY - CANDIDATES);
        uint32_t ids[CANDIDATES];
        double p[CANDIDATES], sum = 0.0, left;
        size_t k = 0;

        for (uint32_t j = 0; j < CANDIDATES; j++) {
            ids[j] = first + j;
            sum += p[j] = 1.0 / (j + 2.0);
        }
        for (size_t j = 0; j < CANDIDATES; j++)
            p[j] /= sum;
        if (marked)
            CU_ASSERT_EQUAL(fm_watermark_apply(t, text, i, ids, p, CANDIDATES), FM_OK);
        for (left = fm_rng_unit(&o->rng); k + 1 < CANDIDATES && left >= p[k]; k++)
            left -= p[k];
        text[i] = ids[k];
    }
    fm_watermark_text_free(&t);
}

static fm_watermark_found find(const world *o, const uint32_t *text, size_t n)
{
    fm_watermark_found f = { 0 };

    CU_ASSERT_EQUAL(fm_watermark_detect(o->w, text, n, &f), FM_OK);
    CU_ASSERT_EQUAL(f.tokens, n);
    return f;
}

static void begin(world *o, fm_watermark_kind kind, uint64_t seed)
{
    const fm_watermark_options options = fm_watermark_defaults(kind);

    *o = (world){ 0 };
    o->rng = fm_rng_public(&o->state, seed);
    other_key(o, &options);
}

static void marked_texts_are_found(void)
{
    for (int kind = FM_WATERMARK_TOURNAMENT; kind <= FM_WATERMARK_RED_GREEN; kind++) {
        const fm_watermark_options options = fm_watermark_defaults((fm_watermark_kind)kind);
        uint32_t text[MOST];
        world o;

        begin(&o, (fm_watermark_kind)kind, 21);
        write_text(&o, true, text, MOST);
        CU_ASSERT(find(&o, text, MOST).p_value < 1e-8);
        CU_ASSERT(find(&o, text, MOST).score > 5.0);
        CU_ASSERT_EQUAL(find(&o, text, MOST).scored, MOST - options.window);
        /* A tenth of the tokens, which is more of the windows, are others. */
        for (size_t i = 0; i < MOST; i += 10)
            text[i] = (uint32_t)fm_rng_below(&o.rng, VOCABULARY);
        CU_ASSERT(find(&o, text, MOST).p_value < 1e-4);
        write_text(&o, true, text, MOST);
        other_key(&o, &options);
        CU_ASSERT(find(&o, text, MOST).p_value > 1e-4);
        write_text(&o, false, text, MOST);
        CU_ASSERT(find(&o, text, MOST).p_value > 1e-4);
        fm_watermark_free(&o.w);
    }
}

/* At most as often as it says, with six standard deviations of room: texts of strangers, and one
 * marked text under other keys, of which p-values are spread evenly. */
static void p_values_are_not_too_small(void)
{
    enum { TRIALS = 10000, LENGTH = 60 };
    static const double levels[] = { 0.5, 0.1, 0.01, 0.001 };
    for (int kind = FM_WATERMARK_TOURNAMENT; kind <= FM_WATERMARK_RED_GREEN; kind++) {
        fm_watermark_options options = fm_watermark_defaults((fm_watermark_kind)kind);
        size_t strangers[4] = { 0 }, keys[4] = { 0 };
        uint32_t marked[LENGTH], text[LENGTH];
        world o;

        begin(&o, (fm_watermark_kind)kind, 33);
        options.layers = 6;
        write_text(&o, true, marked, LENGTH);
        for (size_t k = 0; k < TRIALS; k++) {
            double p, q;

            other_key(&o, &options);
            /* Of two tokens: contexts come again, and count once. */
            for (size_t i = 0; i < LENGTH; i++)
                text[i] = (uint32_t)fm_rng_below(&o.rng, 2);
            p = find(&o, text, LENGTH).p_value;
            q = find(&o, marked, LENGTH).p_value;
            for (size_t l = 0; l < FM_TEST_COUNT(levels); l++) {
                strangers[l] += p <= levels[l];
                keys[l] += q <= levels[l];
            }
        }
        for (size_t l = 0; l < FM_TEST_COUNT(levels); l++) {
            const double mean = TRIALS * levels[l], room = 6.0 * sqrt(mean);

            CU_ASSERT((double)strangers[l] < mean + room);
            CU_ASSERT((double)keys[l] < mean + room);
            /* A sum of coins has few values: its p-values are not quite even. */
            CU_ASSERT((double)keys[l] > 0.5 * mean - room);
        }
        fm_watermark_free(&o.w);
    }
}

static void text_that_comes_again_counts_once(void)
{
    uint32_t text[MOST];
    fm_watermark_found once, twice;
    world o;

    begin(&o, FM_WATERMARK_TOURNAMENT, 4);
    write_text(&o, false, text, MOST / 2);
    memcpy(text + MOST / 2, text, sizeof text / 2);
    once = find(&o, text, MOST / 2);
    twice = find(&o, text, MOST);
    CU_ASSERT(twice.scored <= once.scored + 2 * FM_WATERMARK_WINDOW_MAX);
    memset(text, 0, sizeof text); /* "the the the" */
    CU_ASSERT_EQUAL(find(&o, text, MOST).scored, 1);
    fm_watermark_free(&o.w);
}

static void of_short_texts_nothing_is_said(void)
{
    static const uint32_t text[] = { 3, 1, 4, 1, UINT32_MAX };
    fm_watermark_found f;
    world o;

    begin(&o, FM_WATERMARK_TOURNAMENT, 4);
    for (size_t n = 0; n <= fm_watermark_get_options(o.w).window; n++) {
        f = find(&o, n ? text : NULL, n);
        CU_ASSERT(f.scored == 0 && f.p_value == 1.0 && f.score == 0.0);
    }
    f = find(&o, text, 5); /* any number is a token */
    CU_ASSERT(f.scored > 0 && f.p_value > 1e-12 && f.p_value <= 1.0);
    fm_watermark_free(&o.w);
}

/* ---- the odds ---- */

static void odds_are_those_of_all_coins_counted(void)
{
    enum { TOKENS = 3, LAYERS = 5, ALL = 1 << (TOKENS * LAYERS) };
    static size_t counts[1000];
    size_t above = 0, most = 0;

    memset(counts, 0, sizeof counts);
    for (unsigned bits = 0; bits < ALL; bits++) {
        size_t sum = 0;

        for (unsigned i = 0; i < TOKENS * LAYERS; i++)
            sum += (bits >> i & 1) * fm_watermark_weight(i % LAYERS);
        counts[sum]++;
        most = sum > most ? sum : most;
    }
    for (size_t sum = most + 1; sum-- > 0;) {
        double p = 0.0;

        above += counts[sum];
        CU_ASSERT_EQUAL(fm_watermark_odds(TOKENS, LAYERS, sum, &p), FM_OK);
        CU_ASSERT_DOUBLE_EQUAL(p, (double)above / ALL, 1e-7);
        CU_ASSERT(p >= (double)above / ALL * (1.0 - 1e-12));
    }
}

static void binomial_odds_are_sums_of_chances(void)
{
    /* Of 10 coins that fall with chance 1/4, at least 9 do: (30 + 1) / 4^10. */
    CU_ASSERT_DOUBLE_EQUAL(fm_watermark_binomial(10, 0.25, 9), 31.0 / 1048576.0, 1e-11);
    CU_ASSERT_EQUAL(fm_watermark_binomial(10, 0.25, 0), 1.0);
    CU_ASSERT_DOUBLE_EQUAL(fm_watermark_binomial(1000001, 0.5, 500001), 0.5, 1e-6);
}

/* Of long texts there is a bound: above the normal tail, by less than a factor of forty at 4 sigma. */
static void long_texts_have_a_bound(void)
{
    for (size_t n = FM_WATERMARK_EXACT; n <= FM_WATERMARK_EXACT + 1; n++) {
        const size_t layers = 30;
        double all = 0.0, squares = 0.0, p = 0.0;

        for (size_t l = 0; l < layers; l++) {
            all += fm_watermark_weight(l);
            squares += (double)fm_watermark_weight(l) * fm_watermark_weight(l);
        }
        CU_ASSERT_EQUAL(
            fm_watermark_odds(
                n, layers,
                (uint64_t)((double)n * all / 2.0 + 4.0 * sqrt((double)n * squares) / 2.0), &p),
            FM_OK);
        CU_ASSERT(p > 3.1e-5 && p < (n > FM_WATERMARK_EXACT ? 1.2e-3 : 3.3e-5));
        CU_ASSERT_EQUAL(fm_watermark_odds(n, layers, 0, &p), FM_OK);
        CU_ASSERT(p > 0.999 && p <= 1.0);
    }
}

static const fm_test tests[] = {
    { "marked texts are found", marked_texts_are_found },
    { "p-values are not too small", p_values_are_not_too_small },
    { "text that comes again counts once", text_that_comes_again_counts_once },
    { "of short texts nothing is said", of_short_texts_nothing_is_said },
    { "odds are those of all coins counted", odds_are_those_of_all_coins_counted },
    { "binomial odds are sums of chances", binomial_odds_are_sums_of_chances },
    { "long texts have a bound", long_texts_have_a_bound },
};
const fm_test_suite suite_watermark_detect = { "edge.watermark_detect", tests,
                                               FM_TEST_COUNT(tests) };
