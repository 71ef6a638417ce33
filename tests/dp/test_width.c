/*
 * Words of 16, 24 and 32 bits: which of them serve a plan, that no honest sum wraps in them (at worst
 * of the units, and as it is drawn of the noise), and that what comes out of a round is, bit for bit,
 * the sum that was put in.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/memory.h"
#include "fedmoe/base/random.h"
#include "mask_fixture.h"
#include "shares_internal.h"
#include "stats.h"

#define WORDS ((size_t)5003) /* ends within a piece, a group and a block */
#define NODES 6u

static const unsigned g_bits[] = { 16, 24, 32 };
static const fm_dp_encoding g_encodings[] = { FM_DP_EXACT, FM_DP_FAST };

static fm_dp_lattice_spec spec_at(unsigned bits, fm_dp_encoding encoding)
{
    fm_dp_lattice_spec s = fix_spec(NODES, 1.0);

    s.word_bits = bits;
    s.encoding = encoding;
    return s;
}

/* ---- which width ---- */

static fm_dp_lattice_spec random_spec(fm_rng *r)
{
    uint32_t nodes = 1 + (uint32_t)fm_rng_below(r, fm_rng_below(r, 8) == 0 ? 200 : 40);
    uint32_t quorum = 1 + (uint32_t)fm_rng_below(r, nodes);

    return (fm_dp_lattice_spec){ .clip_norm = exp(8.0 * fm_rng_unit(r) - 4.0),
                                 .noise_multiplier = exp(6.0 * fm_rng_unit(r) - 2.0),
                                 .max_units = 1 + (uint32_t)exp(12.0 * fm_rng_unit(r)),
                                 .nodes = nodes,
                                 .quorum = quorum,
                                 .colluders = (uint32_t)fm_rng_below(r, quorum),
                                 .local = fm_rng_below(r, 4) == 0,
                                 .encoding = g_encodings[fm_rng_below(r, 2)] };
}

static double reach(const fm_dp_lattice *l, double step)
{
    return step * (l->max_units * l->sensitivity + 14.0 * l->sigma_share * sqrt(l->nodes)) +
           0.5 * l->nodes;
}

/* What stays of the noise, in variance, over what is needed, with these levels; at most. */
static double most_excess(const fm_dp_lattice *l, const fm_dp_levels *levels)
{
    double most = 0.0;

    for (uint32_t m = l->quorum; m <= levels->participants; m++) {
        const uint32_t last = levels->losses[fm_dp_levels_kept(levels, m) - 1];
        const double excess =
            (double)(m - l->colluders) / (levels->participants - last - l->colluders);

        most = excess > most ? excess : most;
    }
    return most;
}

/*
 * The levels are those of noise that is as wide as one likes: up to 24 honest nodes all of them,
 * above perhaps with the last two in one, and then at most 12/11 of the variance stays.
 */
static bool has_its_levels(const fm_dp_lattice *l, size_t *merged)
{
    fm_dp_lattice wide = *l;

    wide.sigma_counted = 1e12;
    for (uint32_t n = l->quorum; n <= l->nodes; n++) {
        const fm_dp_levels have = fm_dp_levels_of(l, n), want = fm_dp_levels_of(&wide, n);
        const bool fewer = have.count != want.count;

        if (fewer && (n - l->colluders <= FM_DP_EXACT_NODES || have.count + 1 != want.count))
            return false;
        if (memcmp(have.losses, want.losses, (have.count - 1) * sizeof *have.losses) != 0 ||
            (!l->local && most_excess(l, &have) > (fewer ? 12.0 / 11.0 : 24.0 / 23.0) + 1e-12))
            return false;
        *merged += fewer;
    }
    return true;
}

static void short_words_keep_every_promise_of_long_ones(void)
{
    size_t made[3] = { 0 }, merged = 0;
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 71);

    for (int i = 0; i < 6000; i++) {
        fm_dp_lattice_spec s = random_spec(&r);
        fm_dp_lattice l;

        for (size_t b = 0; b < 3; b++) {
            s.word_bits = g_bits[b];
            if (fm_dp_lattice_make(&s, &l) != FM_OK)
                continue;
            made[b]++;
            CU_ASSERT_EQUAL(l.word_bits, g_bits[b]);
            CU_ASSERT(reach(&l, 1.0) < ldexp(1.0, (int)g_bits[b] - 1));
            CU_ASSERT(l.shift == 0 || reach(&l, 2.0) > ldexp(1.0, (int)g_bits[b] - 1) - 2.0);
            CU_ASSERT(l.sigma_share >= 10.0 && s.noise_multiplier * l.sigma_counted >= 27.0);
            CU_ASSERT(g_bits[b] == 32 || has_its_levels(&l, &merged));
            CU_ASSERT(fm_dp_lattice_make(&s, &l) == FM_OK &&
                      fm_dp_least_word_bits(&s) <= g_bits[b]);
        }
    }
    CU_ASSERT(made[0] > 500 && made[1] > made[0] + 500 && made[2] > made[1]);
    CU_ASSERT(merged > 0);
}

static void the_least_width_is_the_first_that_serves(void)
{
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 72);

    for (int i = 0; i < 3000; i++) {
        fm_dp_lattice_spec s = random_spec(&r);
        const unsigned least = fm_dp_least_word_bits(&s);
        fm_dp_lattice l;

        for (s.word_bits = 16; s.word_bits < least; s.word_bits += 8)
            CU_ASSERT_EQUAL(fm_dp_lattice_make(&s, &l), FM_EINVAL);
        CU_ASSERT(least == 32 || fm_dp_lattice_make(&s, &l) == FM_OK);
    }
}

static void a_width_that_does_not_serve_is_refused_and_named(void)
{
    fm_dp_lattice_spec s = spec_at(16, FM_DP_FAST);
    fm_dp_lattice l;

    s.max_units = 20000;
    CU_ASSERT_EQUAL(fm_dp_lattice_make(&s, &l), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "word_bits 16"));
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "24 would do"));
    s = spec_at(16, FM_DP_FAST);
    s.noise_multiplier = 0.0; /* the rounding would be all the noise there is */
    CU_ASSERT_EQUAL(fm_dp_lattice_make(&s, &l), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_least_word_bits(&s), 32);
    for (unsigned bits = 1; bits < 70; bits++) {
        s = spec_at(bits, FM_DP_FAST);
        CU_ASSERT_EQUAL(fm_dp_lattice_make(&s, &l),
                        bits == 16 || bits == 24 || bits == 32 ? FM_OK : FM_EINVAL);
    }
    s.nodes = 0;
    CU_ASSERT_EQUAL(fm_dp_least_word_bits(&s), 32);
    CU_ASSERT_EQUAL(fm_dp_least_word_bits(NULL), 32);
}

/* ---- no honest sum wraps ---- */

/* The most units that a lattice of this scale may sum. */
static uint32_t most_units(fm_dp_lattice_spec s, int scale_log2)
{
    uint32_t low = 1, high = 1u << 24; /* low fits, high does not */
    fm_dp_lattice l;

    while (high - low > 1) {
        s.max_units = low + (high - low) / 2;
        if (fm_dp_lattice_make(&s, &l) == FM_OK && l.scale_log2 >= scale_log2)
            low = s.max_units;
        else
            high = s.max_units;
    }
    return low;
}

/* What one node sends of so many units, every one of them clipped and all of it in one coordinate. */
static int64_t pushed(const fm_dp_lattice *l, uint32_t units)
{
    const float g[] = { FLT_MAX };
    fm_dp_sum *s = NULL;
    int64_t total = 0;

    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(l, 1, &s), FM_OK);
    for (uint32_t i = 0; i < units; i++)
        CU_ASSERT_EQUAL_FATAL(fm_dp_sum_add_unit(s, g), FM_OK);
    fm_dp_sum_peek64_for_tests(s, &total);
    fm_dp_sum_free(&s);
    return total;
}

/* The decoded sum, in words, of what all nodes send when the sum of their noise is at its bound and
 * each rounds up, and as it is. */
static double worst_sum(const fm_dp_lattice *l, int64_t per_unit, uint32_t units, double *exact)
{
    const double noise = 14.0 * l->sigma_share / sqrt(l->nodes) + 0.5;
    uint8_t sum[8] = { 0 }; /* one word of any width */
    float decoded = 0.0f;

    *exact = 0.0;
    for (uint32_t u = 0; u < l->nodes; u++) {
        const uint32_t own = units / l->nodes + (u < units % l->nodes);
        const double word = ceil(ldexp((double)(own * per_unit), -(int)l->shift) + noise);
        uint8_t bytes[8] = { 0 };

        fm_put_u64le(bytes, (uint64_t)(int64_t)word);
        CU_ASSERT_EQUAL(fm_dp_sum_words(l->word_bits, sum, 1, bytes, l->word_bits / 8), FM_OK);
        *exact += word;
    }
    fm_dp_decode_sum(l, sum, 1, &decoded);
    return decoded * l->scale;
}

static void the_worst_sum_does_not_wrap_and_one_unit_more_does(void)
{
    for (size_t i = 0; i < 6; i++) {
        fm_dp_lattice_spec s = spec_at(g_bits[i / 2], g_encodings[i % 2]);
        double exact = 0.0, sum;
        int64_t unit;
        fm_dp_lattice l;

        s.max_units =
            i / 2 == 0 ? 200 : 50000; /* in 32 bits FAST has no need to be coarser before */
        CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&s, &l), FM_OK);
        s.max_units = most_units(s, l.scale_log2);
        CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&s, &l), FM_OK);
        unit = pushed(&l, 3) / 3;
        CU_ASSERT_EQUAL(unit, l.unit_sensitivity); /* no longer, and clipped to all of it */
        sum = worst_sum(&l, unit, s.max_units, &exact);
        CU_ASSERT(exact > ldexp(1.0, (int)l.word_bits - 1) - l.sensitivity - 2.0);
        CU_ASSERT_DOUBLE_EQUAL(sum, exact, 1e-6 * exact);
        sum = worst_sum(&l, unit, s.max_units + 1, &exact);
        CU_ASSERT(exact >= ldexp(1.0, (int)l.word_bits - 1) && sum < 0.0);
        s.max_units++;
        CU_ASSERT(fm_dp_lattice_make(&s, &l) != FM_OK ||
                  ldexp(1.0, l.scale_log2) < l.scale * 0.75 ||
                  reach(&l, 1.0) < ldexp(1.0, (int)l.word_bits - 1));
    }
}

/* ---- the noise of all nodes together ---- */

enum { MANY_WORDS = 1 << 15 };

/* sum[i] += a node's noise, all levels of it: of the first, what the rounding makes of it. */
static void add_noise(const fm_dp_shares *s, const fm_dp_lattice *l, fm_rng *r, double *sum)
{
    static int32_t x[MANY_WORDS];

    for (uint32_t level = 0; level < fm_dp_shares_levels(s); level++) {
        const int shift = level == 0 ? (int)l->shift : 0;
        uint8_t seed[FM_DP_NOISE_SEED_BYTES];

        r->fill(r->state, seed, sizeof seed);
        CU_ASSERT_EQUAL_FATAL(fm_dp_shares_expand(s, level, seed, x, MANY_WORDS), FM_OK);
        for (size_t i = 0; i < MANY_WORDS; i++)
            sum[i] += rint(ldexp(x[i], -shift));
    }
}

/*
 * With nobody lost and nothing given back, which is the most that a sum can have: its deviation S is
 * sigma_share sqrt(nodes), and beyond k S are no more than a Gaussian has. False alarm: 1e-6 a plan
 * (FM_STATS_Z, thrice; 7 S in 2^15 words: 1e-7).
 */
static void check_noise(const fm_dp_lattice_spec *spec, uint64_t stream)
{
    static double sum[MANY_WORDS];
    double square = 0.0, beyond = 0.0, largest = 0.0, S, variance;
    fm_dp_shares *shares = NULL;
    fm_dp_lattice l;
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, stream);

    CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(spec, &l), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_shares_new(&l, l.nodes, &shares), FM_OK);
    memset(sum, 0, sizeof sum);
    for (uint32_t u = 0; u < l.nodes; u++)
        add_noise(shares, &l, &r, sum);
    fm_dp_shares_free(&shares);
    S = l.sigma_share * sqrt(l.nodes);
    variance = S * S + l.nodes / 12.0;
    for (size_t i = 0; i < MANY_WORDS; i++) {
        square += sum[i] * sum[i] / MANY_WORDS;
        beyond += fabs(sum[i]) > 3.0 * sqrt(variance);
        largest = fmax(largest, fabs(sum[i]));
    }
    CU_ASSERT(fabs(square / variance - 1.0) < FM_STATS_Z * sqrt(2.0 / MANY_WORDS));
    CU_ASSERT(beyond < 0.0027 * MANY_WORDS + FM_STATS_Z * sqrt(0.0027 * MANY_WORDS));
    CU_ASSERT(largest < 7.0 * S + 0.5 * l.nodes);
    CU_ASSERT(l.max_units * l.sensitivity + largest < ldexp(1.0, (int)l.word_bits - 1) - 1.0);
}

static void the_noise_of_all_nodes_adds_up_as_independent_noise_does(void)
{
    static const uint32_t nodes[] = { 2, 5, 100 };

    for (size_t i = 0; i < 6; i++) {
        fm_dp_lattice_spec s = spec_at(16, FM_DP_FAST);
        fm_dp_lattice l;

        s.nodes = nodes[i / 2];
        s.colluders = s.nodes / 10;
        s.quorum = (s.nodes + s.colluders) / 2 + 1;
        s.local = i % 2;
        s.max_units = 50;
        CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&s, &l), FM_OK);
        s.max_units = most_units(s, l.scale_log2);
        check_noise(&s, 74 + i);
    }
}

/* ---- a round ---- */

static void check_round(const fm_dp_lattice_spec *s, uint32_t lost)
{
    static const uint32_t survivors[3][NODES] = { { 0, 1, 2, 3, 4, 5 },
                                                  { 0, 1, 3, 4, 5 },
                                                  { 1, 2, 4, 5 } };
    static uint32_t sum[WORDS];
    const uint8_t *bytes = NULL;
    size_t len = 0;
    fixture f;

    fix_init_noise(&f, NODES, WORDS, s);
    fix_release_all(&f, 80 + lost);
    fm_dp_release_bytes(f.releases[0], &bytes, &len);
    CU_ASSERT_EQUAL(len, WORDS * s->word_bits / 8);
    fix_unmask(&f, survivors[lost], NODES - lost, sum);
    CU_ASSERT_EQUAL(fix_wrong_words(&f, sum), 0);
    CU_ASSERT(s->word_bits > 16 || f.lattice.shift > 0);
    fix_fini(&f);
}

static void the_unmasked_sum_is_the_plain_sum_whoever_is_lost(void)
{
    for (size_t i = 0; i < 6; i++) {
        const fm_dp_lattice_spec s = spec_at(g_bits[i / 2], g_encodings[i % 2]);

        for (uint32_t lost = 0; lost <= 2; lost++)
            check_round(&s, lost);
    }
}

/*
 * Of the sum that is read, less that of the units: no mean, and the variance of the noise that stays
 * plus a twelfth of a step for each survivor. False alarm: 4e-7 a width (FM_STATS_Z, twice).
 */
static void check_law(const fm_dp_lattice_spec *s, uint32_t lost)
{
    enum { MANY = 1 << 17 };
    static const uint32_t survivors[] = { 0, 1, 2, 3, 4, 5 };
    uint32_t *sum = calloc(MANY, sizeof *sum);
    double mean = 0.0, square = 0.0, variance, kept;
    fixture f;

    CU_ASSERT_PTR_NOT_NULL_FATAL(sum);
    fix_init_noise(&f, NODES, MANY, s);
    fix_release_all(&f, 90);
    fix_unmask(&f, survivors, NODES - lost, sum);
    for (size_t i = 0; i < MANY; i++) {
        double x = fm_dp_sum_word(s->word_bits, sum, i);

        for (uint32_t u = 0; u < NODES - lost; u++)
            x -= ldexp((double)fix_encoded64(u)[i], -(int)f.lattice.shift);
        mean += x / MANY;
        square += x * x / MANY;
    }
    kept = fm_dp_shares_sigma(f.shares, NODES - lost);
    variance = (NODES - lost) * (kept * kept + 1.0 / 12.0);
    CU_ASSERT(fabs(mean) <
              FM_STATS_Z * sqrt(variance / MANY) + ldexp(NODES, -(int)f.lattice.shift));
    CU_ASSERT(fabs(square / variance - 1.0) < FM_STATS_Z * sqrt(2.0 / MANY));
    CU_ASSERT(kept * kept * (NODES - lost) >=
              f.lattice.sigma_counted * f.lattice.sigma_counted * (1.0 - 1e-12));
    fix_fini(&f);
    free(sum);
}

static void what_is_read_has_the_mean_and_the_variance_that_were_promised(void)
{
    for (size_t i = 0; i < 2; i++) {
        const fm_dp_lattice_spec s = spec_at(g_bits[i], FM_DP_FAST);

        check_law(&s, 0);
        check_law(&s, 2);
    }
}

/* Of each coordinate at the edge, a fair coin of the round says where all of them go. */
static void ties_go_up_and_down_alike(void)
{
    unsigned down = 0;

    for (int i = 0; i < 40; i++) {
        const fm_dp_lattice_spec s = spec_at(16, FM_DP_FAST);
        fixture f;

        fix_init_noise(&f, NODES, 8, &s);
        fix_release_all(&f, 1);
        for (uint32_t u = 0; u < NODES; u++)
            down += fm_dp_release_ties_down_for_tests(f.releases[u]);
        fix_fini(&f);
    }
    CU_ASSERT(fabs(down - 120.0) < FM_STATS_Z * sqrt(60.0));
}

/* ---- pieces ---- */

static void pieces_of_an_update_add_up_to_it(void)
{
    enum { N = 1001 };
    static uint8_t update[4 * N];
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 73);

    r.fill(r.state, update, sizeof update);
    for (size_t b = 0; b < 3; b++) {
        const size_t word = fm_dp_word_bytes(g_bits[b]), len = N * word;
        static uint32_t whole[N], pieces[N];

        memset(whole, 0, sizeof whole);
        CU_ASSERT_EQUAL(fm_dp_sum_words(g_bits[b], whole, N, update, len), FM_OK);
        for (size_t piece = 64; piece < len; piece += 64) {
            memset(pieces, 0, sizeof pieces);
            for (size_t at = 0; at < len; at += piece)
                CU_ASSERT_EQUAL(fm_dp_sum_piece(g_bits[b], pieces, N, at, update + at,
                                                len - at < piece ? len - at : piece),
                                FM_OK);
            for (size_t i = 0; i < N; i++)
                CU_ASSERT_EQUAL(fm_dp_sum_word(g_bits[b], pieces, i),
                                fm_dp_sum_word(g_bits[b], whole, i));
        }
        CU_ASSERT_EQUAL(fm_dp_sum_piece(g_bits[b], pieces, N, len - 2, update, 4), FM_EPROTO);
        CU_ASSERT_EQUAL(fm_dp_sum_piece(g_bits[b], pieces, N, SIZE_MAX, update, 4), FM_EPROTO);
        CU_ASSERT_EQUAL(fm_dp_sum_piece(g_bits[b], pieces, N, len, update, 0), FM_OK);
        CU_ASSERT_EQUAL(fm_dp_sum_words(g_bits[b], pieces, N, update, len - 1), FM_EPROTO);
        CU_ASSERT_EQUAL(fm_dp_sum_words(g_bits[b], pieces, N, update, len + 1), FM_EPROTO);
    }
}

static void words_are_twos_complement_at_every_width(void)
{
    const uint16_t narrow[] = { 0, 1, 0x7fff, 0x8000, 0xffff };
    const uint32_t wide[] = { 0, 0x01000001, 0xff7fffff, 0x00800000, 0x12ffffff };
    const int32_t want[2][5] = { { 0, 1, 32767, -32768, -1 }, { 0, 1, 8388607, -8388608, -1 } };
    fm_dp_lattice l = { .scale_log2 = 3, .word_bits = 16 };
    float out[2][5];

    fm_dp_decode_sum(&l, narrow, 5, out[0]);
    l.word_bits = 24;
    fm_dp_decode_sum(&l, wide, 5, out[1]);
    for (size_t i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(fm_dp_sum_word(16, narrow, i), want[0][i]);
        CU_ASSERT_EQUAL(fm_dp_sum_word(24, wide, i), want[1][i]);
        CU_ASSERT_EQUAL(out[0][i], (float)want[0][i] / 8.0f);
        CU_ASSERT_EQUAL(out[1][i], (float)want[1][i] / 8.0f);
    }
    CU_ASSERT_EQUAL(fm_dp_sum_word(32, wide, 1), 0x01000001);
    CU_ASSERT_EQUAL(fm_dp_sum_word(32, wide, 2), -0x800001);
}

static const fm_test g_tests[] = {
    { "short words keep every promise of long ones", short_words_keep_every_promise_of_long_ones },
    { "the least width is the first that serves", the_least_width_is_the_first_that_serves },
    { "a width that does not serve is refused, and named",
      a_width_that_does_not_serve_is_refused_and_named },
    { "the worst sum of units does not wrap, and one unit more does",
      the_worst_sum_does_not_wrap_and_one_unit_more_does },
    { "the noise of all nodes adds up as independent noise does (false alarm: 6e-6)",
      the_noise_of_all_nodes_adds_up_as_independent_noise_does },
    { "the unmasked sum is the plain sum, whoever is lost",
      the_unmasked_sum_is_the_plain_sum_whoever_is_lost },
    { "what is read has the mean and the variance that were promised (false alarm: 2e-6)",
      what_is_read_has_the_mean_and_the_variance_that_were_promised },
    { "ties go up and down alike (false alarm: 2e-7)", ties_go_up_and_down_alike },
    { "pieces of an update add up to it", pieces_of_an_update_add_up_to_it },
    { "words are two's complement at every width", words_are_twos_complement_at_every_width },
};

const fm_test_suite fm_suite_dp_width = { "dp.width", g_tests, FM_TEST_COUNT(g_tests) };
