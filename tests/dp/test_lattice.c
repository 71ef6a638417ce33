#include <math.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fedmoe/dp/encode.h"
#include "fm_test.h"

static fm_dp_lattice_spec usual(void)
{
    return (fm_dp_lattice_spec){ .clip_norm = 1.0,
                                 .noise_multiplier = 1.1,
                                 .max_units = 1000,
                                 .nodes = 5,
                                 .quorum = 4,
                                 .colluders = 1 };
}

static double reach(const fm_dp_lattice_spec *s, const fm_dp_lattice *l)
{
    return (double)s->max_units * l->sensitivity + 14.0 * l->sigma_share * sqrt(s->nodes) +
           0.5 * s->nodes;
}

static fm_dp_lattice_spec random_spec(fm_rng *r)
{
    uint32_t nodes = 1 + (uint32_t)fm_rng_below(r, 64);
    uint32_t quorum = 1 + (uint32_t)fm_rng_below(r, nodes);

    return (fm_dp_lattice_spec){ .clip_norm = exp(20.0 * fm_rng_unit(r) - 10.0),
                                 .noise_multiplier = exp(4.0 * fm_rng_unit(r) - 1.5),
                                 .max_units = 1 + (uint32_t)fm_rng_below(r, 100000),
                                 .nodes = nodes,
                                 .quorum = quorum,
                                 .colluders = (uint32_t)fm_rng_below(r, quorum),
                                 .local = fm_rng_below(r, 2) == 1 };
}

static void takes_the_finest_lattice_whose_sums_cannot_wrap(void)
{
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 1);

    for (int i = 0; i < 2000; i++) {
        fm_dp_lattice_spec s = random_spec(&r);
        fm_dp_lattice l, twice;

        CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&s, &l), FM_OK);
        CU_ASSERT(l.sensitivity >= 64);
        CU_ASSERT_EQUAL(l.scale, ldexp(1.0, l.scale_log2));
        CU_ASSERT_EQUAL(l.sensitivity, floor(s.clip_norm * l.scale));
        CU_ASSERT_EQUAL(l.max_units, s.max_units);
        CU_ASSERT(l.nodes == s.nodes && l.quorum == s.quorum && l.colluders == s.colluders &&
                  l.local == s.local);
        CU_ASSERT_DOUBLE_EQUAL(l.sigma_counted, s.noise_multiplier * l.sensitivity, 0.0);
        CU_ASSERT_DOUBLE_EQUAL(
            l.sigma_share * l.sigma_share * (s.local ? 1 : s.quorum - s.colluders),
            l.sigma_counted * l.sigma_counted, 1e-12 * l.sigma_counted * l.sigma_counted);
        CU_ASSERT(l.sigma_share >= 10.0 && l.sigma_share <= 0x1p26);
        CU_ASSERT(reach(&s, &l) < 0x1p31);
        twice = l;
        twice.sensitivity = floor(s.clip_norm * l.scale * 2.0);
        twice.sigma_share *= twice.sensitivity / l.sensitivity;
        CU_ASSERT(reach(&s, &twice) > 0x1p31 - 2.0 || twice.sigma_share > 0x1p26);
    }
}

static void without_noise_has_no_sigma(void)
{
    fm_dp_lattice_spec s = usual();
    fm_dp_lattice l;

    s.noise_multiplier = 0.0;
    CU_ASSERT_EQUAL(fm_dp_lattice_make(&s, &l), FM_OK);
    CU_ASSERT_EQUAL(l.sigma_share, 0.0);
    CU_ASSERT_EQUAL(l.sigma_counted, 0.0);
}

/* Each share is all of sigma, so the same sum has coarser steps. */
static void local_noise_takes_more_room(void)
{
    fm_dp_lattice_spec s = usual();
    fm_dp_lattice distributed, local;

    s.max_units = 10;
    CU_ASSERT_EQUAL(fm_dp_lattice_make(&s, &distributed), FM_OK);
    s.local = true;
    CU_ASSERT_EQUAL(fm_dp_lattice_make(&s, &local), FM_OK);
    CU_ASSERT_EQUAL(local.sigma_share, local.sigma_counted);
    CU_ASSERT(reach(&s, &local) < 0x1p31);
    CU_ASSERT(local.scale_log2 < distributed.scale_log2);
}

static void refuses(fm_dp_lattice_spec s, const char *word)
{
    fm_dp_lattice l = { .max_units = 77 };

    CU_ASSERT_EQUAL(fm_dp_lattice_make(&s, &l), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), word));
    CU_ASSERT_EQUAL(l.max_units, 77);
}

static void names_the_field_that_is_out_of_range(void)
{
    const double bad[] = { NAN, INFINITY, -INFINITY, -1.0 };
    fm_dp_lattice_spec s;

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        s = usual();
        s.clip_norm = bad[i];
        refuses(s, "clip_norm");
        s = usual();
        s.noise_multiplier = bad[i];
        refuses(s, "noise_multiplier");
    }
    s = usual();
    s.clip_norm = 9e-7;
    refuses(s, "clip_norm");
    s = usual();
    s.max_units = 0;
    refuses(s, "max_units");
    s = usual();
    s.nodes = 0;
    refuses(s, "nodes");
    s = usual();
    s.quorum = 0;
    refuses(s, "quorum");
    s.quorum = 6;
    refuses(s, "quorum");
    s = usual();
    s.colluders = 4;
    refuses(s, "colluders");
}

static void refuses_a_plan_that_no_lattice_serves(void)
{
    fm_dp_lattice_spec s = usual();

    s.max_units = UINT32_MAX;
    refuses(s, "max_units");
    s = usual();
    s.noise_multiplier = 1e7;
    refuses(s, "noise_multiplier");
    s = usual();
    s.noise_multiplier = 1e-9;
    refuses(s, "noise_multiplier");
}

static void serves_extreme_clip_norms(void)
{
    const double norms[] = { 1e-6, 0x1p-10, 1e30, 1e300, 0x1.fffffffffffffp1023 };

    for (size_t i = 0; i < FM_TEST_COUNT(norms); i++) {
        fm_dp_lattice_spec s = usual();
        fm_dp_lattice l;

        s.clip_norm = norms[i];
        CU_ASSERT_EQUAL(fm_dp_lattice_make(&s, &l), FM_OK);
        CU_ASSERT_EQUAL(l.sensitivity, floor(norms[i] * l.scale));
        CU_ASSERT(reach(&s, &l) < 0x1p31);
    }
}

/* The rule of FAST, in the words of the header, from the spec alone. */
static double widest_noise(const fm_dp_lattice_spec *s, int unit_log2)
{
    double steps = floor(ldexp(s->clip_norm, unit_log2));

    return s->noise_multiplier * steps / sqrt(s->local ? 1.0 : s->quorum - s->colluders);
}

static bool serves(const fm_dp_lattice_spec *s, int unit_log2, double most)
{
    return floor(ldexp(s->clip_norm, unit_log2)) <= (double)FM_DP_FAST_STEPS &&
           widest_noise(s, unit_log2) <= most;
}

static bool is_enough(const fm_dp_lattice_spec *s, int unit_log2)
{
    double steps = floor(ldexp(s->clip_norm, unit_log2));

    return steps >= 2048.0 && s->noise_multiplier * steps >= 4.0 * s->max_units;
}

static int expected_unit_log2(const fm_dp_lattice_spec *s)
{
    const double most[] = { 0x1p11, 0x1p16, 0x1p21, 0x1p26 * (1.0 - 0x1p-40) };
    int at = 0;

    for (size_t i = 0; i < FM_TEST_COUNT(most); i++) {
        for (at = 60; !serves(s, at, most[i]); at--)
            ;
        if (is_enough(s, at))
            break;
    }
    return at;
}

static void check_fast(const fm_dp_lattice_spec *s, const fm_dp_lattice *l)
{
    fm_dp_lattice finer = *l;

    CU_ASSERT_EQUAL(l->encoding, FM_DP_FAST);
    CU_ASSERT_EQUAL(l->scale_log2 + (int)l->shift, expected_unit_log2(s));
    CU_ASSERT_EQUAL(l->scale, ldexp(1.0, l->scale_log2));
    CU_ASSERT_EQUAL(l->unit_scale, ldexp(l->scale, (int)l->shift));
    CU_ASSERT_EQUAL(l->unit_sensitivity, (int64_t)floor(s->clip_norm * l->unit_scale));
    CU_ASSERT_EQUAL(ldexp(l->sensitivity, (int)l->shift), (double)l->unit_sensitivity);
    CU_ASSERT(l->unit_sensitivity >= 64 && l->unit_sensitivity <= FM_DP_FAST_STEPS);
    CU_ASSERT(l->sigma_share >= 10.0 && ldexp(l->sigma_share, (int)l->shift) < 0x1p26);
    CU_ASSERT_EQUAL(l->sigma_counted, s->noise_multiplier * l->sensitivity);
    CU_ASSERT(reach(s, l) < 0x1p31);
    /* Where there is a shift, there had to be one. */
    finer.sensitivity *= 2.0;
    finer.sigma_share *= 2.0;
    CU_ASSERT(l->shift == 0 || reach(s, &finer) > 0x1p31 - 2.0);
}

static void fast_units_have_the_steps_that_noise_and_numbers_call_for(void)
{
    size_t with_shift = 0, refused = 0;
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 5);

    for (int i = 0; i < 4000; i++) {
        fm_dp_lattice_spec s = random_spec(&r);
        fm_dp_lattice l, again;

        s.max_units = 1 + (uint32_t)fm_rng_below(&r, 1u << (1 + i % 24));
        s.encoding = FM_DP_FAST;
        if (fm_dp_lattice_make(&s, &l) != FM_OK) { /* as in exact: no finer one fits */
            s.encoding = FM_DP_EXACT;
            CU_ASSERT_EQUAL(fm_dp_lattice_make(&s, &l), FM_EINVAL);
            refused++;
            continue;
        }
        check_fast(&s, &l);
        with_shift += l.shift > 0;
        /* Whoever knows the plan has the same. */
        CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&s, &again), FM_OK);
        CU_ASSERT(again.sensitivity == l.sensitivity && again.shift == l.shift &&
                  again.scale_log2 == l.scale_log2 && again.sigma_counted == l.sigma_counted);
    }
    CU_ASSERT(with_shift > 100 && with_shift < 3000 && refused < 400);
}

/* No square root of the number of coordinates, whatever the shift: the mechanism is that of EXACT
 * at the same scale. */
static void fast_costs_no_noise(void)
{
    fm_dp_lattice_spec s = usual();
    fm_dp_lattice fast, exact;

    s.max_units = 1u << 20;
    CU_ASSERT_EQUAL(fm_dp_lattice_make(&s, &exact), FM_OK);
    s.encoding = FM_DP_FAST;
    CU_ASSERT_EQUAL(fm_dp_lattice_make(&s, &fast), FM_OK);
    CU_ASSERT(fast.shift >= 8);
    CU_ASSERT_EQUAL(fast.sensitivity, exact.sensitivity);
    CU_ASSERT_EQUAL(fast.sigma_counted, exact.sigma_counted);
    CU_ASSERT_EQUAL((double)exact.unit_sensitivity, exact.sensitivity);
    CU_ASSERT(exact.shift == 0 && exact.unit_scale == exact.scale);
    s.encoding = (fm_dp_encoding)2;
    refuses(s, "encoding");
}

typedef struct {
    double clip_norm, z;
    uint32_t nodes, quorum, colluders, max_units;
    fm_dp_encoding encoding;
    unsigned word_bits;
    int scale_log2;
    unsigned shift;
    double sensitivity, sigma;
} known_lattice;

static fm_dp_lattice_spec spec_of(const known_lattice *k)
{
    return (fm_dp_lattice_spec){ .clip_norm = k->clip_norm,
                                 .noise_multiplier = k->z,
                                 .max_units = k->max_units,
                                 .nodes = k->nodes,
                                 .quorum = k->quorum,
                                 .colluders = k->colluders,
                                 .encoding = k->encoding };
}

/* docs/protocol.md, section 11; tests/client computes them from that text. */
static void gives_the_lattices_of_the_protocol(void)
{
    static const known_lattice known[] = {
        { 1, 1, 3, 3, 0, 400, FM_DP_EXACT, 16, 6, 16, 64, 64 },
        { 1, 1, 3, 3, 0, 400, FM_DP_EXACT, 24, 14, 8, 16384, 16384 },
        { 1, 1, 3, 3, 0, 400, FM_DP_EXACT, 32, 22, 0, 4194304, 4194304 },
        { 1, 1, 3, 3, 0, 400, FM_DP_FAST, 16, 6, 5, 64, 64 },
        { 1, 1, 3, 3, 0, 400, FM_DP_FAST, 24, 11, 0, 2048, 2048 },
        { 1, 1, 3, 3, 0, 400, FM_DP_FAST, 32, 11, 0, 2048, 2048 },
        { 1, 1, 3, 3, 0, 10000, FM_DP_EXACT, 24, 9, 8, 512, 512 },
        { 1, 1, 3, 3, 0, 10000, FM_DP_EXACT, 32, 17, 0, 131072, 131072 },
        { 1, 1, 3, 3, 0, 10000, FM_DP_FAST, 24, 9, 7, 512, 512 },
        { 1, 1, 3, 3, 0, 10000, FM_DP_FAST, 32, 16, 0, 65536, 65536 },
        { 1, 1, 3, 3, 0, 1048576, FM_DP_EXACT, 32, 10, 0, 1024, 1024 },
        { 1, 1, 3, 3, 0, 1048576, FM_DP_FAST, 32, 10, 10, 1024, 1024 },
        { 0.3, 2.5, 5, 5, 4, 50000, FM_DP_EXACT, 24, 9, 8, 153.59765625, 383.994140625 },
        { 0.3, 2.5, 5, 5, 4, 50000, FM_DP_EXACT, 32, 17, 0, 39321, 98302.5 },
        { 0.3, 2.5, 5, 5, 4, 50000, FM_DP_FAST, 24, 9, 12, 153.599853516, 383.999633789 },
        { 0.3, 2.5, 5, 5, 4, 50000, FM_DP_FAST, 32, 17, 4, 39321.5625, 98303.90625 },
        { 1, 1, 5, 4, 1, 400, FM_DP_EXACT, 16, 6, 16, 64, 64 },
        { 1, 1, 5, 4, 1, 400, FM_DP_EXACT, 24, 14, 8, 16384, 16384 },
        { 1, 1, 5, 4, 1, 400, FM_DP_EXACT, 32, 22, 0, 4194304, 4194304 },
        { 1, 1, 5, 4, 1, 400, FM_DP_FAST, 16, 6, 5, 64, 64 },
        { 1, 1, 5, 4, 1, 400, FM_DP_FAST, 24, 11, 0, 2048, 2048 },
        { 1, 1, 5, 4, 1, 400, FM_DP_FAST, 32, 11, 0, 2048, 2048 },
        { 1, 1, 5, 4, 1, 1200, FM_DP_EXACT, 24, 12, 8, 4096, 4096 },
        { 1, 1, 5, 4, 1, 1200, FM_DP_EXACT, 32, 20, 0, 1048576, 1048576 },
        { 1, 1, 5, 4, 1, 1200, FM_DP_FAST, 24, 12, 4, 4096, 4096 },
        { 1, 1, 5, 4, 1, 1200, FM_DP_FAST, 32, 16, 0, 65536, 65536 },
        { 0.7, 45, 4, 3, 1, 2000, FM_DP_EXACT, 16, 4, 16, 11.1999969482, 503.999862671 },
        { 0.7, 45, 4, 3, 1, 2000, FM_DP_EXACT, 24, 12, 8, 2867.19921875, 129023.964844 },
        { 0.7, 45, 4, 3, 1, 2000, FM_DP_EXACT, 32, 20, 0, 734003, 33030135 },
        { 0.7, 45, 4, 3, 1, 2000, FM_DP_FAST, 16, 4, 12, 11.1999511719, 503.997802734 },
        { 0.7, 45, 4, 3, 1, 2000, FM_DP_FAST, 24, 12, 4, 2867.1875, 129023.4375 },
        { 0.7, 45, 4, 3, 1, 2000, FM_DP_FAST, 32, 16, 0, 45875, 2064375 },
        { 1, 20, 100, 60, 10, 100000, FM_DP_EXACT, 24, 6, 8, 64, 1280 },
        { 1, 20, 100, 60, 10, 100000, FM_DP_EXACT, 32, 14, 0, 16384, 327680 },
        { 1, 20, 100, 60, 10, 100000, FM_DP_FAST, 24, 6, 13, 64, 1280 },
        { 1, 20, 100, 60, 10, 100000, FM_DP_FAST, 32, 14, 5, 16384, 327680 },
        { 1, 1, 100, 51, 0, 235, FM_DP_EXACT, 16, 7, 16, 128, 128 },
        { 1, 1, 100, 51, 0, 235, FM_DP_EXACT, 24, 15, 8, 32768, 32768 },
        { 1, 1, 100, 51, 0, 235, FM_DP_EXACT, 32, 23, 0, 8388608, 8388608 },
        { 1, 1, 100, 51, 0, 235, FM_DP_FAST, 16, 7, 6, 128, 128 },
        { 1, 1, 100, 51, 0, 235, FM_DP_FAST, 24, 13, 0, 8192, 8192 },
        { 1, 1, 100, 51, 0, 235, FM_DP_FAST, 32, 13, 0, 8192, 8192 },
        { 1, 1, 100, 51, 0, 236, FM_DP_EXACT, 24, 15, 8, 32768, 32768 },
        { 1, 1, 100, 51, 0, 236, FM_DP_EXACT, 32, 23, 0, 8388608, 8388608 },
        { 1, 1, 100, 51, 0, 236, FM_DP_FAST, 24, 13, 0, 8192, 8192 },
        { 1, 1, 100, 51, 0, 236, FM_DP_FAST, 32, 13, 0, 8192, 8192 },
    };
    size_t at = 0;

    /* Where a plan has no row for a width, the width is too short. */
    for (size_t plan = 0; at < FM_TEST_COUNT(known); plan++) {
        const known_lattice *first = &known[at];
        fm_dp_lattice_spec s = spec_of(first);

        CU_ASSERT_EQUAL(fm_dp_least_word_bits(&s), first->word_bits);
        for (s.word_bits = 16; s.word_bits <= 32; s.word_bits += 8) {
            fm_dp_lattice l;

            if (s.word_bits < first->word_bits) {
                CU_ASSERT_EQUAL(fm_dp_lattice_make(&s, &l), FM_EINVAL);
                continue;
            }
            CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&s, &l), FM_OK);
            CU_ASSERT_EQUAL_FATAL(known[at].word_bits, s.word_bits);
            CU_ASSERT_EQUAL(l.word_bits, s.word_bits);
            CU_ASSERT_EQUAL(l.scale_log2, known[at].scale_log2);
            CU_ASSERT_EQUAL(l.shift, known[at].shift);
            CU_ASSERT_DOUBLE_EQUAL(l.sensitivity, known[at].sensitivity, 1e-9 * l.sensitivity);
            CU_ASSERT_DOUBLE_EQUAL(l.sigma_counted, known[at].sigma, 1e-9 * l.sigma_counted);
            at++;
        }
    }
}

static const fm_test g_tests[] = {
    { "takes the finest lattice whose sums cannot wrap",
      takes_the_finest_lattice_whose_sums_cannot_wrap },
    { "without noise has no sigma", without_noise_has_no_sigma },
    { "local noise takes more room", local_noise_takes_more_room },
    { "names the field that is out of range", names_the_field_that_is_out_of_range },
    { "refuses a plan that no lattice serves", refuses_a_plan_that_no_lattice_serves },
    { "serves extreme clip norms", serves_extreme_clip_norms },
    { "fast units have the steps that noise and numbers call for",
      fast_units_have_the_steps_that_noise_and_numbers_call_for },
    { "fast costs no noise", fast_costs_no_noise },
    { "gives the lattices of the protocol", gives_the_lattices_of_the_protocol },
};

const fm_test_suite fm_suite_dp_lattice = { "dp.lattice", g_tests, FM_TEST_COUNT(g_tests) };
