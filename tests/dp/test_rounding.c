/* Releases whose units' lattice is finer than the wire's: what is rounded, when, and why then. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fm_test.h"
#include "mask_fixture.h"
#include "stats.h"

/* 2^24 units a round leave the wire few steps: shift 14, 64 steps to a unit. */
static fm_dp_lattice_spec many_units(uint32_t members, double noise_multiplier)
{
    fm_dp_lattice_spec s = fix_spec(members, noise_multiplier);

    s.max_units = 1u << 24;
    s.encoding = FM_DP_FAST;
    return s;
}

static int64_t rounded(int64_t x, unsigned shift, bool down)
{
    const double words = ldexp((double)x, -(int)shift);

    return (int64_t)(down ? ceil(words - 0.5) : floor(words + 0.5));
}

static void a_release_without_noise_is_the_rounded_total(void)
{
    enum { WORDS = 2001 };
    const uint32_t all[] = { 0, 1, 2 };
    fm_dp_lattice_spec s = many_units(3, 0.0);
    static uint32_t sum[WORDS];
    fixture f;
    size_t wrong = 0;

    fix_init_noise(&f, 3, WORDS, &s);
    CU_ASSERT(f.lattice.shift > 8);
    fix_release_all(&f, 41);
    fix_unmask(&f, all, 3, sum);
    for (size_t i = 0; i < WORDS; i++) {
        int64_t w = 0;

        for (uint32_t u = 0; u < 3; u++)
            w += rounded(fix_encoded64(u)[i], f.lattice.shift,
                         fm_dp_release_ties_down_for_tests(f.releases[u]));
        wrong += sum[i] != (uint32_t)w;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(fix_wrong_words(&f, sum), 0);
    fix_fini(&f);
}

/* With several levels, and two of five lost: level 0 before the rounding, the others after. */
static void only_the_noise_that_stays_is_below_the_rounding(void)
{
    enum { WORDS = 5003 };
    const uint32_t some[] = { 0, 1, 3, 4 };
    fm_dp_lattice_spec s = many_units(6, 3.0);
    static uint32_t sum[WORDS];
    double wide = 0.0, scale;
    fixture f;

    fix_init_noise(&f, 6, WORDS, &s);
    fix_release_all(&f, 42);
    CU_ASSERT(fm_dp_shares_levels(f.shares) > 1);
    fix_unmask(&f, some, 4, sum);
    CU_ASSERT_EQUAL(fix_wrong_words(&f, sum), 0);
    for (size_t i = 0; i < WORDS; i++)
        wide += pow(fm_dp_release_noise_for_tests(f.releases[0], 0)[i], 2.0) / WORDS;
    scale = ldexp(f.lattice.sigma_counted / sqrt(6.0), (int)f.lattice.shift);
    CU_ASSERT(fabs(wide / (scale * scale) - 1.0) < FM_STATS_Z * sqrt(2.0 / WORDS));
    fix_fini(&f);
}

/* ---- the attack that rounding before the noise would allow ---- */

#define MANY (1u << 19)
#define BASE_UNITS 6

typedef struct {
    fm_dp_lattice lattice;
    fm_dp_shares *shares;
    fm_dp_pairs *pairs;
    fm_dp_keypair *key;
} alone;

static void open_alone(alone *a)
{
    const fm_dp_lattice_spec s = { .clip_norm = 1.0,
                                   .noise_multiplier = 0.75,
                                   .max_units = 1u << 24,
                                   .nodes = 1,
                                   .quorum = 1,
                                   .encoding = FM_DP_FAST };
    uint8_t keys[1][FM_DP_KEY_BYTES];
    fm_dp_roster roster = { .federation = "alone", .members = 1 };

    memset(a, 0, sizeof *a);
    CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&s, &a->lattice), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_shares_new(&a->lattice, 1, &a->shares), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_keypair_new(&a->key), FM_OK);
    memcpy(keys[0], fm_dp_keypair_public(a->key), sizeof keys[0]);
    roster.public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])keys;
    CU_ASSERT_EQUAL_FATAL(fm_dp_pairs_new(a->key, &roster, &a->pairs), FM_OK);
}

static void close_alone(alone *a)
{
    fm_dp_shares_free(&a->shares);
    fm_dp_pairs_free(&a->pairs);
    fm_dp_keypair_free(&a->key);
}

/*
 * One below where the total would round up, in every coordinate; and the victim, one step in each:
 * short (sqrt(d) of 2^20 steps), yet with it every coordinate is rounded up.
 */
static void fill(const alone *a, fm_dp_sum *s, bool victim)
{
    const int32_t edge = (int32_t)((1 << a->lattice.shift) / 2 - 1);
    int32_t *sum = NULL, left = edge;

    for (int u = 0; u < BASE_UNITS + victim; u++) {
        int32_t part = u == BASE_UNITS ? 1 : left / (BASE_UNITS - u);
        uint64_t square = (uint64_t)MANY * (uint64_t)part * (uint64_t)part;

        CU_ASSERT_EQUAL_FATAL(fm_dp_sum_batch(s, 1, &sum), FM_OK);
        for (size_t i = 0; i < MANY; i++)
            sum[i] += part;
        CU_ASSERT_EQUAL_FATAL(fm_dp_sum_batch_done(s, &square, 1, 0), FM_OK);
        left -= part;
    }
    CU_ASSERT_EQUAL(left + victim, 0);
}

static double mean_of(const uint32_t *words)
{
    double sum = 0.0;

    for (size_t i = 0; i < MANY; i++)
        sum += (int32_t)words[i];
    return sum / MANY;
}

/*
 * What the aggregator reads, added up over all coordinates, in units of the noise.
 * @param variance  out, or NULL: of a coordinate, in units of the noise's.
 */
static double statistic(const alone *a, bool victim, double *variance)
{
    const uint32_t self = 0;
    const fm_dp_round round = {
        .round = 1, .participants = &self, .participant_count = 1, .mask_density = FM_DP_DENSITY_ALL
    };
    fm_rng rng = fm_rng_system();
    uint32_t *words = calloc(MANY, sizeof *words);
    fm_dp_release *r = NULL;
    fm_dp_unmask *m = NULL;
    fm_dp_sum *s = NULL;
    const uint8_t *bytes;
    double mean, squares = 0.0;
    size_t len;

    CU_ASSERT_PTR_NOT_NULL_FATAL(words);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&a->lattice, MANY, &s), FM_OK);
    fill(a, s, victim);
    CU_ASSERT_EQUAL_FATAL(fm_dp_release_make(s, a->shares, a->pairs, &round, &rng, &r), FM_OK);
    fm_dp_release_bytes(r, &bytes, &len);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_words(32, words, MANY, bytes, len), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_release_unmask(r, &self, 1, &m), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_mask_apply(32, words, MANY, m->self_seed, -1), FM_OK);
    mean = mean_of(words);
    for (size_t i = 0; i < MANY; i++)
        squares += ((int32_t)words[i] - mean) * ((int32_t)words[i] - mean);
    if (variance)
        *variance = squares / MANY / (a->lattice.sigma_counted * a->lattice.sigma_counted);
    fm_dp_unmask_free(&m);
    fm_dp_release_free(&r);
    fm_dp_sum_free(&s);
    free(words);
    return sqrt(MANY) * mean / a->lattice.sigma_counted;
}

/*
 * Sensitivity promises a distance of at most 1 / z < 2 deviations. Rounding first would make it
 * sqrt(d) / sigma, more than 15. False alarm: 2e-7 (FM_STATS_Z).
 */
static void a_victim_on_the_edge_of_rounding_is_not_seen(void)
{
    double rounding_first, with, without;
    alone a;

    open_alone(&a);
    CU_ASSERT(MANY <= (uint64_t)(a.lattice.unit_sensitivity * a.lattice.unit_sensitivity));
    rounding_first = sqrt(MANY) / a.lattice.sigma_counted; /* one step in each coordinate */
    CU_ASSERT(rounding_first > 15.0);
    CU_ASSERT(sqrt(MANY) > 5.0 * (double)a.lattice.sensitivity); /* far above what is promised */
    with = statistic(&a, true, NULL);
    without = statistic(&a, false, NULL);
    CU_ASSERT(fabs(with - without) < 2.0 + FM_STATS_Z * sqrt(2.0));
    close_alone(&a);
}

/* Mean and variance are those of the unrounded total and the noise, at the edge of rounding up.
 * (Rounding itself adds 1/12 to a variance of 2304: less than is seen.) */
static void the_rounded_sum_has_the_law_of_the_unrounded(void)
{
    double edge, at, variance = 0.0;
    alone a;

    open_alone(&a);
    edge = ((1 << a.lattice.shift) / 2 - 1) / ldexp(1.0, (int)a.lattice.shift);
    at = statistic(&a, false, &variance);
    CU_ASSERT(fabs(at - edge * sqrt(MANY) / a.lattice.sigma_counted) < FM_STATS_Z);
    CU_ASSERT(fabs(variance - 1.0) < FM_STATS_Z * sqrt(2.0 / MANY));
    close_alone(&a);
}

/* ---- alone ---- */

/* With the same seeds, what a release says once its mask is off. */
static void alone_the_sum_opens_as_its_release_would(void)
{
    enum { WORDS = 5003 };
    const uint32_t self = 0;
    const fm_dp_round round = {
        .round = 1, .participants = &self, .participant_count = 1, .mask_density = FM_DP_DENSITY_ALL
    };
    static float g[WORDS], opened[WORDS], read[WORDS];
    static uint32_t words[WORDS];
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 50);
    fm_dp_release *release = NULL;
    fm_dp_unmask *m = NULL;
    fm_dp_sum *s = NULL;
    const uint8_t *bytes;
    size_t len;
    alone a;

    open_alone(&a);
    for (size_t i = 0; i < WORDS; i++)
        g[i] = (float)fm_rng_normal(&r);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&a.lattice, WORDS, &s), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_add_unit(s, g), FM_OK);
    r = fm_rng_seeded(&seed, 51);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_open_alone(s, a.shares, &r, opened), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_units(s), 0);
    CU_ASSERT_EQUAL(fm_dp_sum_add_unit(s, g), FM_OK);
    r = fm_rng_seeded(&seed, 51);
    CU_ASSERT_EQUAL_FATAL(fm_dp_release_make(s, a.shares, a.pairs, &round, &r, &release), FM_OK);
    fm_dp_release_bytes(release, &bytes, &len);
    CU_ASSERT_EQUAL(fm_dp_sum_words(32, words, WORDS, bytes, len), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_release_unmask(release, &self, 1, &m), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_mask_apply(32, words, WORDS, m->self_seed, -1), FM_OK);
    fm_dp_decode_sum(&a.lattice, words, WORDS, read);
    CU_ASSERT_EQUAL(memcmp(read, opened, sizeof read), 0);
    fm_dp_unmask_free(&m);
    fm_dp_release_free(&release);
    fm_dp_sum_free(&s);
    close_alone(&a);
}

/* Nobody's sum of a federation is read before it is added to the others'. */
static void a_federations_sum_does_not_open(void)
{
    fm_dp_lattice_spec spec = many_units(2, 1.0);
    fm_rng rng = fm_rng_system();
    const float g[4] = { 0.5f };
    float out[4] = { 77.0f };
    fm_dp_shares *shares = NULL;
    fm_dp_lattice l;
    fm_dp_sum *s = NULL;
    int64_t left[4];
    alone a;

    open_alone(&a);
    spec.nodes = 2;
    spec.quorum = 1;
    for (int i = 0; i < 3; i++) {
        spec.local = i == 1; /* with all of the noise in it, either */
        CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&spec, &l), FM_OK);
        l = i == 2 ? a.lattice : l;
        CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&l, 4, &s), FM_OK);
        CU_ASSERT_EQUAL(fm_dp_sum_add_unit(s, g), FM_OK);
        CU_ASSERT_EQUAL_FATAL(fm_dp_shares_new(&l, 1, &shares), FM_OK);
        /* The last: noise is not optional. */
        CU_ASSERT_EQUAL(fm_dp_sum_open_alone(s, i == 2 ? NULL : shares, &rng, out), FM_EINVAL);
        CU_ASSERT_EQUAL(out[0], 77.0f);
        fm_dp_sum_peek64_for_tests(s, left);
        CU_ASSERT_EQUAL(left[0], 0);
        fm_dp_sum_free(&s);
        fm_dp_shares_free(&shares);
    }
    close_alone(&a);
}

static void an_open_batch_makes_no_release(void)
{
    const uint32_t self = 0;
    const fm_dp_round round = {
        .round = 1, .participants = &self, .participant_count = 1, .mask_density = FM_DP_DENSITY_ALL
    };
    fm_rng rng = fm_rng_system();
    fm_dp_release *r = NULL;
    fm_dp_sum *s = NULL;
    int64_t left[8];
    int32_t *sum = NULL;
    alone a;

    open_alone(&a);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&a.lattice, 8, &s), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_batch(s, 1, &sum), FM_OK);
    sum[0] = 1 << 30;
    CU_ASSERT_EQUAL(fm_dp_release_make(s, a.shares, a.pairs, &round, &rng, &r), FM_EINVAL);
    CU_ASSERT_PTR_NULL(r);
    fm_dp_sum_peek64_for_tests(s, left);
    CU_ASSERT_EQUAL(left[0], 0);
    fm_dp_sum_free(&s);
    close_alone(&a);
}

/* Noise made for the wire's lattice would be 2^shift times too narrow. */
static void noise_of_another_shift_is_refused(void)
{
    const uint32_t self = 0;
    const fm_dp_round round = {
        .round = 1, .participants = &self, .participant_count = 1, .mask_density = FM_DP_DENSITY_ALL
    };
    fm_rng rng = fm_rng_system();
    fm_dp_shares *narrow = NULL;
    fm_dp_release *r = NULL;
    fm_dp_lattice l;
    fm_dp_sum *s = NULL;
    alone a;

    open_alone(&a);
    l = a.lattice;
    l.shift = 0;
    CU_ASSERT_EQUAL_FATAL(fm_dp_shares_new(&l, 1, &narrow), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&a.lattice, 8, &s), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_release_make(s, narrow, a.pairs, &round, &rng, &r), FM_EINVAL);
    CU_ASSERT_PTR_NULL(r);
    fm_dp_sum_free(&s);
    fm_dp_shares_free(&narrow);
    close_alone(&a);
}

static const fm_test g_tests[] = {
    { "a release without noise is the rounded total",
      a_release_without_noise_is_the_rounded_total },
    { "only the noise that stays is below the rounding (false alarm: 2e-7)",
      only_the_noise_that_stays_is_below_the_rounding },
    { "a victim on the edge of rounding is not seen (false alarm: 2e-7)",
      a_victim_on_the_edge_of_rounding_is_not_seen },
    { "the rounded sum has the law of the unrounded (false alarm: 4e-7)",
      the_rounded_sum_has_the_law_of_the_unrounded },
    { "alone, the sum opens as its release would", alone_the_sum_opens_as_its_release_would },
    { "a federation's sum does not open", a_federations_sum_does_not_open },
    { "an open batch makes no release", an_open_batch_makes_no_release },
    { "noise of another shift is refused", noise_of_another_shift_is_refused },
};

const fm_test_suite fm_suite_dp_rounding = { "dp.rounding", g_tests, FM_TEST_COUNT(g_tests) };
