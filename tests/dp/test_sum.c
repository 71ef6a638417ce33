/* Sums by batches of integers, on lattices with and without a shift. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fedmoe/dp/mask.h"
#include "fm_test.h"

#define N 67

/* Without a shift, 32 bits hold the whole; with 2^24 units a round they do not. */
static fm_dp_lattice lattice(uint32_t max_units)
{
    const fm_dp_lattice_spec s = { .clip_norm = 1.0,
                                   .noise_multiplier = 0.75,
                                   .max_units = max_units,
                                   .nodes = 1,
                                   .quorum = 1,
                                   .encoding = FM_DP_FAST };
    fm_dp_lattice l;

    CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&s, &l), FM_OK);
    return l;
}

#define NARROW 500u
#define WIDE (1u << 24)

static fm_dp_sum *new_sum(const fm_dp_lattice *l)
{
    fm_dp_sum *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(l, N, &s), FM_OK);
    return s;
}

static void the_two_lattices_are_what_the_tests_need(void)
{
    fm_dp_lattice narrow = lattice(NARROW), wide = lattice(WIDE);

    CU_ASSERT(narrow.shift == 0 && narrow.max_units * narrow.unit_sensitivity < INT32_MAX);
    CU_ASSERT(wide.shift > 0 && wide.max_units * wide.unit_sensitivity > UINT32_MAX);
    CU_ASSERT_EQUAL((int64_t)fm_dp_sum_batch_units(&wide), INT32_MAX / wide.unit_sensitivity);
}

/* Units of integers within the bound, kept so that they can be added in any way. */
static void draw_unit(fm_rng *r, const fm_dp_lattice *l, int32_t *q, uint64_t *square)
{
    int64_t most = (int64_t)((double)l->unit_sensitivity / sqrt(N));

    *square = 0;
    for (size_t i = 0; i < N; i++) {
        q[i] = (int32_t)((int64_t)fm_rng_below(r, (uint32_t)(2 * most + 1)) - most);
        *square += (uint64_t)((int64_t)q[i] * q[i]);
    }
}

/* A batch of `units` new units; what they add goes to `truth` as well. */
static void add_batch(fm_dp_sum *s, const fm_dp_lattice *l, fm_rng *r, size_t units, int64_t *truth)
{
    uint64_t *squares = calloc(units + 1, sizeof *squares);
    int32_t q[N], *sum = NULL;

    CU_ASSERT_PTR_NOT_NULL_FATAL(squares);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_batch(s, units, &sum), FM_OK);
    for (size_t u = 0; u < units; u++) {
        draw_unit(r, l, q, &squares[u]);
        for (size_t i = 0; i < N; i++) {
            sum[i] = (int32_t)((uint32_t)sum[i] + (uint32_t)q[i]);
            truth[i] += q[i];
        }
    }
    CU_ASSERT_EQUAL(fm_dp_sum_batch_done(s, squares, units, 0), FM_OK);
    free(squares);
}

static bool holds(const fm_dp_sum *s, const int64_t *truth)
{
    int64_t got[N];

    fm_dp_sum_peek64_for_tests(s, got);
    return memcmp(got, truth, sizeof got) == 0;
}

static void batches_add_up_whatever_their_sizes(void)
{
    const uint32_t most[] = { NARROW, WIDE };
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 31);

    for (size_t k = 0; k < FM_TEST_COUNT(most); k++) {
        fm_dp_lattice l = lattice(most[k]);
        int64_t truth[N] = { 0 };
        fm_dp_sum *s = new_sum(&l);
        size_t all = 0;

        for (int i = 0; i < 12; i++) {
            size_t units = fm_rng_below(&r, most[k] == NARROW ? 40 : 2000);

            add_batch(s, &l, &r, units, truth);
            all += units;
            CU_ASSERT(holds(s, truth));
        }
        CU_ASSERT_EQUAL(fm_dp_sum_units(s), all);
        fm_dp_sum_free(&s);
    }
}

/* All units pull one way with all that they have: far beyond 32 bits, and exact. */
static void the_largest_batches_are_exact_beyond_32_bits(void)
{
    fm_dp_lattice l = lattice(WIDE);
    size_t units = fm_dp_sum_batch_units(&l);
    uint64_t *squares = calloc(units, sizeof *squares);
    fm_dp_sum *s = new_sum(&l);
    int64_t got[N];
    int32_t *sum = NULL;

    CU_ASSERT_PTR_NOT_NULL_FATAL(squares);
    for (size_t u = 0; u < units; u++)
        squares[u] = (uint64_t)(l.unit_sensitivity * l.unit_sensitivity);
    for (int i = 0; i < 9; i++) {
        CU_ASSERT_EQUAL_FATAL(fm_dp_sum_batch(s, units, &sum), FM_OK);
        sum[0] += (int32_t)((int64_t)units * l.unit_sensitivity);
        sum[1] -= (int32_t)((int64_t)units * l.unit_sensitivity);
        CU_ASSERT_EQUAL(fm_dp_sum_batch_done(s, squares, units, 0), FM_OK);
    }
    fm_dp_sum_peek64_for_tests(s, got);
    CU_ASSERT_EQUAL(got[0], 9 * (int64_t)units * l.unit_sensitivity);
    CU_ASSERT_EQUAL(got[1], -got[0]);
    CU_ASSERT(got[0] > UINT32_MAX);
    fm_dp_sum_free(&s);
    free(squares);
}

static void a_batch_is_what_its_units_are_one_by_one(void)
{
    const uint32_t most[] = { NARROW, WIDE };
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 32);
    float g[N];

    for (size_t k = 0; k < FM_TEST_COUNT(most); k++) {
        fm_dp_lattice l = lattice(most[k]);
        fm_dp_sum *one = new_sum(&l), *batch = new_sum(&l);
        int64_t truth[N];
        int32_t q[N], *sum = NULL;

        for (int u = 0; u < 20; u++) {
            uint64_t square = 0;

            for (size_t i = 0; i < N; i++)
                g[i] = (float)(0.2 * fm_rng_normal(&r));
            CU_ASSERT_EQUAL_FATAL(fm_dp_encode_unit(&l, g, N, q), FM_OK);
            CU_ASSERT_EQUAL_FATAL(fm_dp_sum_batch(batch, 1, &sum), FM_OK);
            for (size_t i = 0; i < N; i++) {
                sum[i] += q[i];
                square += (uint64_t)((int64_t)q[i] * q[i]);
            }
            CU_ASSERT_EQUAL(fm_dp_sum_batch_done(batch, &square, 1, 0), FM_OK);
            CU_ASSERT_EQUAL(fm_dp_sum_add_unit(one, g), FM_OK);
            /* On the units' lattice: clipped to unit_sensitivity, to nearly all of it. */
            CU_ASSERT(square <= (uint64_t)(l.unit_sensitivity * l.unit_sensitivity));
            CU_ASSERT(sqrt((double)square) > (double)l.unit_sensitivity * 0.99);
        }
        fm_dp_sum_peek64_for_tests(batch, truth);
        CU_ASSERT(holds(one, truth));
        CU_ASSERT(fm_dp_sum_units(one) == 20 && fm_dp_sum_units(batch) == 20);
        g[3] = NAN;
        CU_ASSERT_EQUAL(fm_dp_sum_add_unit(one, g), FM_OK);
        CU_ASSERT(holds(one, truth) && fm_dp_sum_units_dropped(one) == 1);
        fm_dp_sum_free(&one);
        fm_dp_sum_free(&batch);
    }
}

static void sums_of_several_threads_are_merged(void)
{
    const uint32_t most[] = { NARROW, WIDE };
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 33);

    for (size_t k = 0; k < FM_TEST_COUNT(most); k++) {
        fm_dp_lattice l = lattice(most[k]);
        fm_dp_sum *a = new_sum(&l), *b = new_sum(&l);
        int64_t truth[N] = { 0 };
        const int64_t none[N] = { 0 };

        for (int i = 0; i < 3; i++) {
            add_batch(a, &l, &r, most[k] == NARROW ? 30 : 1500, truth);
            add_batch(b, &l, &r, most[k] == NARROW ? 50 : 1700, truth);
            CU_ASSERT_EQUAL(fm_dp_sum_merge(a, b), FM_OK);
            CU_ASSERT(holds(a, truth));
            CU_ASSERT(holds(b, none) && fm_dp_sum_units(b) == 0);
        }
        CU_ASSERT_EQUAL(fm_dp_sum_units(a), 3 * (most[k] == NARROW ? 80 : 3200));
        fm_dp_sum_free(&a);
        fm_dp_sum_free(&b);
    }
}

static void only_sums_that_belong_together_are_merged(void)
{
    fm_dp_lattice l = lattice(10), other = lattice(11);
    fm_dp_sum *a = new_sum(&l), *b = new_sum(&l), *c = new_sum(&other), *d = NULL;
    const uint64_t squares[10] = { 0 };
    int32_t *sum = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&l, N + 1, &d), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_merge(a, c), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_sum_merge(a, d), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_sum_merge(a, a), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_sum_merge(a, NULL), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_sum_batch(b, 6, &sum), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_merge(a, b), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_sum_batch_done(b, squares, 6, 0), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_batch(a, 5, &sum), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_batch_done(a, squares, 5, 0), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_merge(a, b), FM_ENOMEM); /* max_units is 10 */
    CU_ASSERT(fm_dp_sum_units(a) == 5 && fm_dp_sum_units(b) == 6);
    fm_dp_sum_free(&a);
    fm_dp_sum_free(&b);
    fm_dp_sum_free(&c);
    fm_dp_sum_free(&d);
}

/* The attack on the sensitivity: integers that are longer, by one step, in one unit of many. */
static void a_unit_above_the_sensitivity_wipes_the_sum(void)
{
    const uint32_t most[] = { NARROW, WIDE };
    const int64_t none[N] = { 0 };
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 34);

    for (size_t k = 0; k < FM_TEST_COUNT(most); k++) {
        fm_dp_lattice l = lattice(most[k]);
        uint64_t bound = (uint64_t)(l.unit_sensitivity * l.unit_sensitivity);
        uint64_t squares[3] = { 4, bound, bound + 1 };
        int64_t truth[N] = { 0 };
        fm_dp_sum *s = new_sum(&l);
        int32_t *sum = NULL;

        add_batch(s, &l, &r, 20, truth);
        CU_ASSERT_EQUAL_FATAL(fm_dp_sum_batch(s, 3, &sum), FM_OK);
        CU_ASSERT_EQUAL(fm_dp_sum_batch_done(s, squares, 2, 0), FM_OK);
        CU_ASSERT(holds(s, truth));
        for (int i = 0; i < 3; i++) {
            squares[2] = i == 0 ? bound + 1 : i == 1 ? UINT64_MAX : bound << 1;
            CU_ASSERT_EQUAL_FATAL(fm_dp_sum_batch(s, 3, &sum), FM_OK);
            sum[5] += (int32_t)l.unit_sensitivity + 1;
            CU_ASSERT_EQUAL(fm_dp_sum_batch_done(s, squares, 3, 0), FM_EINTERNAL);
            CU_ASSERT(holds(s, none));
            CU_ASSERT_EQUAL(fm_dp_sum_units(s), 0);
        }
        fm_dp_sum_free(&s);
    }
}

static void batches_are_asked_for_and_done_in_turn(void)
{
    fm_dp_lattice l = lattice(NARROW), wide = lattice(WIDE), exact = l;
    const int64_t none[N] = { 0 };
    const uint64_t squares[4] = { 1, 1, 0, 1 };
    const float g[N] = { 0.1f };
    fm_dp_sum *s = new_sum(&l), *w = new_sum(&wide), *e = NULL;
    int32_t *sum = NULL;

    exact.encoding = FM_DP_EXACT;
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&exact, N, &e), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_batch(e, 1, &sum), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_sum_batch(w, fm_dp_sum_batch_units(&wide) + 1, &sum), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_sum_batch(s, NARROW + 1, &sum), FM_ENOMEM);
    CU_ASSERT_PTR_NULL(sum);
    CU_ASSERT_EQUAL(fm_dp_sum_batch(s, NARROW, &sum), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_batch(s, 1, &sum), FM_EINVAL); /* one is open */
    CU_ASSERT_EQUAL(fm_dp_sum_add_unit(s, g), FM_EINVAL);
    sum[0] = 2;
    CU_ASSERT_EQUAL(fm_dp_sum_batch_done(s, squares, 4, 1), FM_OK);
    CU_ASSERT(fm_dp_sum_units(s) == 3 && fm_dp_sum_units_dropped(s) == 1);
    /* More than was asked for, more dropped than there are, none open: nobody knows what is in. */
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(fm_dp_sum_batch(s, 2, &sum), FM_OK);
        sum[0] += 7;
        if (i == 2)
            CU_ASSERT_EQUAL(fm_dp_sum_batch_done(s, squares, 2, 0), FM_OK);
        CU_ASSERT_EQUAL(fm_dp_sum_batch_done(s, squares, i == 0 ? 3 : 2, i == 1 ? 3 : 0),
                        FM_EINVAL);
        CU_ASSERT(holds(s, none) && fm_dp_sum_units(s) == 0);
    }
    fm_dp_sum_free(&s);
    fm_dp_sum_free(&w);
    fm_dp_sum_free(&e);
}

static void a_lattice_that_does_not_hold_is_refused(void)
{
    fm_dp_lattice good = lattice(WIDE), l;
    fm_dp_sum *s = NULL;

    for (int i = 0; i < 6; i++) {
        l = good;
        if (i == 0)
            l.unit_sensitivity++;
        else if (i == 1)
            l.shift++;
        else if (i == 2)
            l.unit_scale = NAN;
        else if (i == 3)
            l.word_bits = 20;
        else if (i == 4)
            l.max_units = UINT32_MAX;
        else
            l = (fm_dp_lattice){ .sensitivity = FM_DP_FAST_STEPS * 2,
                                 .word_bits = 32,
                                 .unit_sensitivity = FM_DP_FAST_STEPS * 2,
                                 .unit_scale = 1.0,
                                 .max_units = 1,
                                 .encoding = FM_DP_FAST };
        CU_ASSERT_EQUAL(fm_dp_sum_new(&l, N, &s), FM_EINVAL);
    }
    CU_ASSERT_PTR_NULL(s);
}

/* ---- parts and tail ---- */

static void the_parts_are_all_of_the_sensitivity_and_no_more(void)
{
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 35);

    for (int i = 0; i < 3000; i++) {
        fm_dp_lattice l = lattice(1u << (i % 25));
        double load = i % 7 ? 0.5 * fm_rng_unit(&r) : 0.0,
               clip = i % 5 ? 0.5 * fm_rng_unit(&r) : 0.0;
        int64_t all = l.unit_sensitivity * l.unit_sensitivity, rest;
        fm_dp_parts p;

        CU_ASSERT_EQUAL_FATAL(fm_dp_parts_make(&l, load, clip, &p), FM_OK);
        rest = all - p.loads * p.loads - p.vote * p.vote;
        CU_ASSERT(p.gradient * p.gradient <= rest);
        CU_ASSERT((p.gradient + 1) * (p.gradient + 1) > rest);
        CU_ASSERT(fabs((double)p.loads - load * (double)l.unit_sensitivity) <= 1.0);
        CU_ASSERT(fabs((double)p.vote - clip * (double)l.unit_sensitivity) <= 1.0);
        CU_ASSERT(load > 0.0 || clip > 0.0 || p.gradient == l.unit_sensitivity);
    }
}

static void bad_shares_are_refused(void)
{
    const double bad[] = { -0.01, 0.51, NAN, INFINITY };
    fm_dp_lattice l = lattice(NARROW);
    fm_dp_parts p = { .vote = 77 };

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        CU_ASSERT_EQUAL(fm_dp_parts_make(&l, bad[i], 0.0, &p), FM_EINVAL);
        CU_ASSERT_EQUAL(fm_dp_parts_make(&l, 0.0, bad[i], &p), FM_EINVAL);
    }
    CU_ASSERT_EQUAL(fm_dp_parts_make(NULL, 0.0, 0.0, &p), FM_EINVAL);
    CU_ASSERT_EQUAL(p.vote, 77);
}

static void the_factor_clips_to_the_norm_in_use(void)
{
    fm_dp_lattice l = lattice(NARROW);
    fm_dp_parts p;

    CU_ASSERT_EQUAL_FATAL(fm_dp_parts_make(&l, 0.3, 0.1, &p), FM_OK);
    for (double relative = 0x1p-6; relative <= 64.0; relative *= 2.0) {
        /* The norm that just fits, in gradient units. */
        double edge = (double)p.gradient * relative / l.unit_scale;

        for (double times = 0.25; times <= 4.0; times *= 2.0) {
            double norm = edge * times;
            double f = fm_dp_unit_factor(&l, p.gradient, norm * norm, relative);

            CU_ASSERT_DOUBLE_EQUAL(f * norm, (double)p.gradient * fmin(times, 1.0),
                                   1e-9 * (double)p.gradient);
            CU_ASSERT_EQUAL(fm_dp_unit_clipped(&l, p.gradient, norm * norm, relative), times > 1.0);
            if (times <= 1.0)
                CU_ASSERT_EQUAL(f, l.unit_scale / relative);
        }
    }
    CU_ASSERT_EQUAL(fm_dp_unit_factor(&l, p.gradient, 0.0, 1.0), l.unit_scale);
    CU_ASSERT_FALSE(fm_dp_unit_clipped(&l, p.gradient, 0.0, 1.0));
}

static void what_is_not_finite_has_no_factor(void)
{
    const double bad[] = { NAN, INFINITY, -1.0 }, clips[] = { NAN, INFINITY, 0.0, -1.0, 1e-320 };
    fm_dp_lattice l = lattice(NARROW);

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        CU_ASSERT_EQUAL(fm_dp_unit_factor(&l, 1000, bad[i], 1.0), 0.0);
        CU_ASSERT_TRUE(fm_dp_unit_clipped(&l, 1000, bad[i], 1.0));
    }
    for (size_t i = 0; i < FM_TEST_COUNT(clips); i++) {
        CU_ASSERT_EQUAL(fm_dp_unit_factor(&l, 1000, 1.0, clips[i]), 0.0);
        CU_ASSERT_TRUE(fm_dp_unit_clipped(&l, 1000, 1.0, clips[i]));
    }
}

static void the_tail_keeps_its_bound_and_says_what_it_added(void)
{
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 36);
    float v[N];

    for (int trial = 0; trial < 2000; trial++) {
        int64_t limit = 1 + (int64_t)fm_rng_below(&r, trial % 2 ? 1u << 24 : 300);
        double bound = exp(4.0 * fm_rng_unit(&r) - 2.0), norm = 0.0;
        size_t n = 1 + fm_rng_below(&r, N);
        int32_t sum[N];
        uint64_t square = 0, said;

        for (size_t i = 0; i < n; i++) {
            v[i] = (float)fm_rng_unit(&r);
            norm += (double)v[i] * (double)v[i];
        }
        /* Exactly the bound, or beyond it: where rounding could go over. */
        norm = sqrt(norm) * (trial % 3 ? 1.0 : 0.5);
        for (size_t i = 0; i < n; i++) {
            v[i] = (float)((double)v[i] * bound / norm);
            sum[i] = 1000 - (int32_t)i;
        }
        said = fm_dp_encode_tail(v, n, bound, limit, sum);
        for (size_t i = 0; i < n; i++) {
            int64_t q = sum[i] - (1000 - (int64_t)i);

            square += (uint64_t)(q * q);
            CU_ASSERT(q >= 0 && (double)q <= (double)v[i] * (double)limit / bound * (1 + 1e-9));
            /* Cut to a step; a norm above the bound by a float's rounding costs another. */
            CU_ASSERT(trial % 3 == 0 || (double)q > (double)v[i] * (double)limit / bound - 2.5);
        }
        CU_ASSERT_EQUAL(square, said);
        CU_ASSERT(said <= (uint64_t)(limit * limit));
    }
}

static void a_tail_that_is_no_number_adds_nothing(void)
{
    const float bad[] = { NAN, INFINITY, -INFINITY };
    int32_t sum[3] = { 5, 6, 7 };

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        const float v[3] = { 0.5f, bad[i], 0.1f };

        CU_ASSERT_EQUAL(fm_dp_encode_tail(v, 3, 1.0, 100, sum), 0);
    }
    CU_ASSERT_EQUAL(fm_dp_encode_tail((const float[3]){ 1.0f }, 3, NAN, 100, sum), 0);
    CU_ASSERT_EQUAL(fm_dp_encode_tail((const float[3]){ 1.0f }, 3, 1.0, -1, sum), 0);
    CU_ASSERT_EQUAL(fm_dp_encode_tail((const float[3]){ 1.0f }, 3, 1.0, INT64_MAX, sum), 0);
    CU_ASSERT_EQUAL(fm_dp_encode_tail((const float[3]){ 0.0f }, 3, 0.0, 100, sum), 0);
    CU_ASSERT(sum[0] == 5 && sum[1] == 6 && sum[2] == 7);
    CU_ASSERT_EQUAL(fm_dp_encode_tail((const float[3]){ 0.5f, 0.0f, -0.755f }, 3, 1.0, 100, sum),
                    50 * 50 + 75 * 75);
    CU_ASSERT(sum[0] == 55 && sum[1] == 6 && sum[2] == -68);
}

static const fm_test g_tests[] = {
    { "the two lattices are what the tests need", the_two_lattices_are_what_the_tests_need },
    { "batches add up, whatever their sizes", batches_add_up_whatever_their_sizes },
    { "the largest batches are exact beyond 32 bits",
      the_largest_batches_are_exact_beyond_32_bits },
    { "a batch is what its units are one by one", a_batch_is_what_its_units_are_one_by_one },
    { "sums of several threads are merged", sums_of_several_threads_are_merged },
    { "only sums that belong together are merged", only_sums_that_belong_together_are_merged },
    { "a unit above the sensitivity wipes the sum", a_unit_above_the_sensitivity_wipes_the_sum },
    { "batches are asked for and done in turn", batches_are_asked_for_and_done_in_turn },
    { "a lattice that does not hold is refused", a_lattice_that_does_not_hold_is_refused },
    { "the parts are all of the sensitivity and no more",
      the_parts_are_all_of_the_sensitivity_and_no_more },
    { "bad shares are refused", bad_shares_are_refused },
    { "the factor clips to the norm in use", the_factor_clips_to_the_norm_in_use },
    { "what is not finite has no factor", what_is_not_finite_has_no_factor },
    { "the tail keeps its bound and says what it added",
      the_tail_keeps_its_bound_and_says_what_it_added },
    { "a tail that is no number adds nothing", a_tail_that_is_no_number_adds_nothing },
};

const fm_test_suite fm_suite_dp_sum = { "dp.sum", g_tests, FM_TEST_COUNT(g_tests) };
