/* The exact accountant against closed forms and a contour integral; never below, barely above. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "accountant_internal.h"
#include "fm_test.h"
#include "pld_internal.h"
#include "pld_truth.h"

extern const fm_test_suite fm_suite_dp_pld;

#define TIGHT 1e-4

static double epsilon_of(const fm_dp_mechanism *m, size_t n, double delta)
{
    fm_dp_cost cost = { .epsilon = NAN };

    CU_ASSERT_EQUAL(fm_dp_epsilon_by(FM_DP_PLD, m, n, delta, &cost), FM_OK);
    CU_ASSERT_EQUAL(cost.accountant, FM_DP_PLD);
    return cost.epsilon;
}

static void the_gaussian_is_just_above_its_closed_form(void)
{
    const double deltas[] = { 0.1, 1e-3, 1e-5, 1e-8, 1e-15 };
    double worst = 0.0;

    for (double mu = 0.05; mu < 30.0; mu *= 1.7)
        for (size_t i = 0; i < FM_TEST_COUNT(deltas); i++) {
            fm_dp_mechanism m = { 10.0 / mu, 1.0, 100, FM_DP_GAUSSIAN, 0 };
            double exact = pld_gaussian_epsilon(mu, deltas[i]), ours = epsilon_of(&m, 1, deltas[i]);

            CU_ASSERT(ours >= exact * (1.0 - 1e-11) - 1e-30);
            CU_ASSERT(ours <= exact * (1.0 + TIGHT) + 1e-4 * mu);
            if (exact > 0.1 * mu)
                worst = fmax(worst, ours / exact - 1.0);
        }
    printf("(at most %.1e above) ", worst);
    CU_ASSERT(worst <= TIGHT);
}

/* xorshift64*; uniform in [0, 1) */
static double draw(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (double)((*state * 0x2545f4914f6cdd1dull) >> 11) * 0x1p-53;
}

static double between(uint64_t *state, double lo, double hi)
{
    return lo * pow(hi / lo, draw(state));
}

/* Composition whose integral settles quickly: many steps, not too rare. */
static size_t random_mix(uint64_t *state, fm_dp_mechanism *m)
{
    size_t n = 1 + (size_t)(draw(state) * 2.0);

    for (size_t i = 0; i < n; i++)
        m[i] = (fm_dp_mechanism){ between(state, 0.7, 4.0), between(state, 0.02, 0.6),
                                  (uint64_t)between(state, 60.0, 3000.0), FM_DP_GAUSSIAN, 0 };
    if (draw(state) < 0.3)
        m[n++] = (fm_dp_mechanism){ between(state, 3.0, 20.0), between(state, 0.1, 1.0),
                                    (uint64_t)between(state, 5.0, 100.0), FM_DP_LAPLACE, 0 };
    if (draw(state) < 0.3)
        m[n++] = (fm_dp_mechanism){ between(state, 1.0, 4.0), between(state, 0.1, 1.0),
                                    (uint64_t)between(state, 5.0, 50.0), FM_DP_DISCRETE_GAUSSIAN,
                                    1 + (uint32_t)(draw(state) * 8.0) };
    return n;
}

static void any_mix_lies_between_the_truth_and_a_ten_thousandth_above(void)
{
    uint64_t seed = 20261125, state = seed;
    size_t checked = 0;

    for (int i = 0; i < 24; i++) {
        fm_dp_mechanism m[4];
        size_t n = random_mix(&state, m);
        double delta = between(&state, 1e-12, 1e-2), e = epsilon_of(m, n, delta);
        double at = pld_truth_delta(m, n, e), less = pld_truth_delta(m, n, e * (1.0 - TIGHT));

        if (isnan(at) || isnan(less))
            continue;
        CU_ASSERT(at <= delta * (1.0 + 1e-7));
        CU_ASSERT(less >= delta);
        checked++;
    }
    printf("(%zu mixes, seed %llu) ", checked, (unsigned long long)seed);
    CU_ASSERT(checked >= 18);
}

/* Both ways by hand: without composition delta has a closed form, and adding can cost less. */
static void both_directions_of_one_sampled_gaussian_are_counted(void)
{
    for (double q = 0.1; q < 1.0; q += 0.2)
        for (double e = 0.1; e < 2.0; e += 0.4) {
            double z = 0.8, mu = 1.0 / z, exact, add = 0.0;
            fm_dp_mechanism m = { z, q, 1, FM_DP_GAUSSIAN, 0 };
            fm_dp_cost cost = { 0 };

            /* amplification: delta'(log(1 + q (e^x - 1))) = q delta(x), and Gaussian's is symmetric */
            exact = q * pld_gaussian_delta(mu, log1p(expm1(e) / q));
            if (e < -log1p(-q)) /* adding: P = Q0 against the mixture */
                add = (1.0 - exp(e) * (1.0 - q)) *
                      pld_gaussian_delta(mu, log(exp(e) * q / (1.0 - exp(e) * (1.0 - q))));
            CU_ASSERT_EQUAL(fm_dp_delta_by(FM_DP_PLD, &m, 1, e, &cost), FM_OK);
            exact = fmax(exact, add);
            CU_ASSERT(cost.delta >= exact * (1.0 - 1e-10));
            CU_ASSERT(cost.delta <= exact * (1.0 + 1e-3) + 1e-9);
        }
}

static void a_coarse_grid_errs_upwards(void)
{
    fm_dp_mechanism m = { 0.9, 0.2, 1, FM_DP_GAUSSIAN, 0 };
    fm_pld_pair pair;

    CU_ASSERT_EQUAL_FATAL(fm_pld_pair_init(&pair, &m, 9.0), FM_OK);
    for (double h = 0.01; h < 3.0; h *= 2.3)
        for (double e = -0.15; e < 4.0; e += 0.17) {
            fm_pld_cells c;
            double sum = 0.0, exact = 0.0, mass = 0.0, other = 0.0, step = 1e-3;

            CU_ASSERT_EQUAL_FATAL(fm_pld_cells_init(&c, &pair, h), FM_OK);
            for (size_t i = 0; i < c.n; i++)
                for (int end = 0; end < 2; end++) {
                    double x = (double)(c.first + (int64_t)i + end) * h;
                    double p = exp(c.scale[i]) * (end ? c.hi[i] : c.lo[i]);

                    mass += p;
                    other += p * exp(-x);
                    sum += p * fmax(0.0, -expm1(e - x));
                }
            for (double u = -10.0; u < 12.0; u += step) {
                double a = exp(-u * u / 2.0) / sqrt(2.0 * acos(-1.0));
                double r = 0.8 + 0.2 * exp(u / 0.9 - 0.5 / 0.81);

                exact += step * a * fmax(0.0, r - exp(e));
            }
            CU_ASSERT_DOUBLE_EQUAL(mass, 1.0, 1e-13); /* both laws of conservation */
            CU_ASSERT_DOUBLE_EQUAL(other, 1.0, 1e-13);
            CU_ASSERT(sum >= exact - 2e-7); /* the sum's error at the kink */
            fm_pld_cells_fini(&c);
        }
}

static void the_transform_is_its_definition_and_comes_back(void)
{
    enum { N = 64 };
    fm_fft *f = NULL;
    double re[N], im[N], a[2 * (N / 2 + 1)], b[2 * (N / 2 + 1)], back_re[N], back_im[N];

    CU_ASSERT_EQUAL_FATAL(fm_fft_new(6, &f), FM_OK);
    for (int i = 0; i < N; i++) {
        re[i] = back_re[i] = sin(1.0 + i * i);
        im[i] = back_im[i] = cos(3.0 * i);
    }
    fm_fft_forward(f, re, im);
    for (unsigned k = 0; k < N; k++) {
        double r = 0.0, j = 0.0, turn = -2.0 * acos(-1.0) / N;
        unsigned at = 0;

        for (unsigned bit = 0; bit < 6; bit++)
            at |= (k >> bit & 1u) << (5 - bit);
        for (unsigned i = 0; i < N; i++) {
            double w = turn * (double)(i * k % N);

            r += back_re[i] * cos(w) - back_im[i] * sin(w);
            j += back_re[i] * sin(w) + back_im[i] * cos(w);
        }
        CU_ASSERT_DOUBLE_EQUAL(re[at], r, 1e-13);
        CU_ASSERT_DOUBLE_EQUAL(im[at], j, 1e-13);
    }
    fm_pld_unpack(re, im, N, a, b);
    fm_pld_pack(a, b, N, re, im);
    fm_fft_inverse(f, re, im);
    for (int i = 0; i < N; i++) {
        CU_ASSERT_DOUBLE_EQUAL(re[i] / N, back_re[i], 1e-14);
        CU_ASSERT_DOUBLE_EQUAL(im[i] / N, back_im[i], 1e-14);
    }
    fm_fft_free(&f);
}

static void pure_mechanisms_cost_their_sum_at_a_tiny_delta(void)
{
    fm_dp_mechanism two[] = { { 1.0, 1.0, 3, FM_DP_LAPLACE, 0 },
                              { 2.0, 1.0, 2, FM_DP_LAPLACE, 0 } };
    fm_dp_mechanism sampled = { 0.5, 0.2, 3, FM_DP_LAPLACE, 0 };

    CU_ASSERT_DOUBLE_EQUAL(epsilon_of(two, 2, 1e-14), 4.0, 4e-12);
    CU_ASSERT_DOUBLE_EQUAL(epsilon_of(&sampled, 1, 1e-14), 3.0 * log1p(0.2 * expm1(2.0)), 1e-9);
}

static void extreme_compositions_get_a_sane_answer(void)
{
    static const fm_dp_mechanism m[] = { { 0.1, 1.024e-5, 976563, FM_DP_GAUSSIAN, 0 },
                                         { 1e-6, 0.5, 10, FM_DP_GAUSSIAN, 0 },
                                         { 1.0, 0.5, UINT64_MAX, FM_DP_GAUSSIAN, 0 },
                                         { 1e-4, 1.0, 1, FM_DP_LAPLACE, 0 } };

    for (size_t i = 0; i < FM_TEST_COUNT(m); i++) {
        fm_dp_cost pld = { 0 }, rdp = { 0 };

        CU_ASSERT_EQUAL(fm_dp_epsilon_by(FM_DP_PLD, &m[i], 1, 1e-7, &pld), FM_OK);
        CU_ASSERT_EQUAL(fm_dp_epsilon_by(FM_DP_RDP, &m[i], 1, 1e-7, &rdp), FM_OK);
        CU_ASSERT(pld.epsilon > 0.0 && pld.epsilon <= rdp.epsilon);
    }
}

static void a_wrong_figure_on_either_side_is_an_internal_error(void)
{
    fm_dp_mechanism m = { 1.1, 0.01, 1000, FM_DP_GAUSSIAN, 0 };
    fm_dp_cost rdp = { 0 }, out = { 0 };
    fm_pld_answer answer = { 0 };

    CU_ASSERT_EQUAL(fm_dp_epsilon_by(FM_DP_RDP, &m, 1, 1e-5, &rdp), FM_OK);
    answer = (fm_pld_answer){ epsilon_of(&m, 1, 1e-5), true };
    CU_ASSERT_EQUAL(fm_dp_reconcile_epsilon(&answer, rdp.epsilon, 1e-5, &out), FM_OK);
    answer.value *= 1.2; /* sabotaged: too high */
    CU_ASSERT_EQUAL(fm_dp_reconcile_epsilon(&answer, rdp.epsilon, 1e-5, &out), FM_EINTERNAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "1.71"));
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "1.81"));
    answer.tight = false; /* it never claimed to be exact: RDP answers */
    CU_ASSERT_EQUAL(fm_dp_reconcile_epsilon(&answer, rdp.epsilon, 1e-5, &out), FM_OK);
    CU_ASSERT_EQUAL(out.accountant, FM_DP_RDP);
    answer = (fm_pld_answer){ 2e-5, true };
    CU_ASSERT_EQUAL(fm_dp_reconcile_delta(&answer, 1e-5, 1.1e-5, 2.0, &out), FM_EINTERNAL);
}

static void an_account_says_what_a_fresh_reckoning_says(void)
{
    static const fm_dp_mechanism kinds[] = { { 1.1, 0.01, 40, FM_DP_GAUSSIAN, 0 },
                                             { 12.0, 1.0, 2, FM_DP_GAUSSIAN, 0 },
                                             { 2.0, 0.1, 15, FM_DP_GAUSSIAN, 0 },
                                             { 9.0, 0.5, 3, FM_DP_LAPLACE, 0 } };
    fm_dp_mechanism sum[FM_TEST_COUNT(kinds) + 1] = { 0 };
    fm_dp_account *a = NULL;
    fm_dp_cost ours = { 0 };
    double last = 0.0;

    CU_ASSERT_EQUAL_FATAL(fm_dp_account_new(&a), FM_OK);
    for (size_t i = 0; i < 12; i++) {
        size_t k = i % FM_TEST_COUNT(kinds);
        double fresh;

        CU_ASSERT_EQUAL(fm_dp_account_add(a, &kinds[k]), FM_OK);
        sum[k] = kinds[k];
        sum[k].count = kinds[k].count * (i / FM_TEST_COUNT(kinds) + 1);
        for (size_t j = k + 1; j < FM_TEST_COUNT(kinds) && i < FM_TEST_COUNT(kinds); j++)
            sum[j] = (fm_dp_mechanism){ INFINITY, 1.0, 0, FM_DP_GAUSSIAN, 0 };
        fresh = epsilon_of(sum, FM_TEST_COUNT(kinds), 1e-5);
        CU_ASSERT_EQUAL(fm_dp_account_epsilon(a, NULL, 1e-5, &ours), FM_OK);
        CU_ASSERT_DOUBLE_EQUAL(ours.epsilon, fresh, TIGHT * fresh);
        CU_ASSERT(ours.epsilon >= last);
        last = ours.epsilon;
        sum[FM_TEST_COUNT(kinds)] = (fm_dp_mechanism){ 3.0, 0.2, 7, FM_DP_GAUSSIAN, 0 };
        fresh = epsilon_of(sum, FM_TEST_COUNT(sum), 1e-5);
        CU_ASSERT_EQUAL(fm_dp_account_epsilon(a, &sum[FM_TEST_COUNT(kinds)], 1e-5, &ours), FM_OK);
        CU_ASSERT_DOUBLE_EQUAL(ours.epsilon, fresh, TIGHT * fresh);
    }
    fm_dp_account_free(&a);
}

/* Charging one release at a time stops at exactly the release that a reckoning of the sum stops. */
/* The window is planned for a tiny delta; larger ones fall below it, some into its lowest cell. */
static void a_kept_window_never_answers_too_little(void)
{
    const fm_dp_mechanism m = { 1.0, 1.0, 100, FM_DP_GAUSSIAN, 0 };
    double below = 0.0;

    for (double delta = 1e-10; delta < 2e-10; delta *= 1.002) {
        double exact = pld_gaussian_epsilon(10.0, delta);
        fm_dp_account *a = NULL;
        fm_dp_cost cost = { 0 };

        CU_ASSERT_EQUAL_FATAL(fm_dp_account_new(&a), FM_OK);
        CU_ASSERT_EQUAL(fm_dp_account_add(a, &m), FM_OK);
        CU_ASSERT_EQUAL(fm_dp_account_epsilon(a, NULL, 1e-30, &cost), FM_OK);
        CU_ASSERT_EQUAL(fm_dp_account_epsilon(a, NULL, delta, &cost), FM_OK);
        below = fmax(below, exact / cost.epsilon - 1.0);
        fm_dp_account_free(&a);
    }
    CU_ASSERT(below < 1e-9); /* what the closed form's own bisection leaves */
}

static void what_no_grid_can_hold_is_left_to_rdp(void)
{
    const fm_dp_mechanism m = { 0.1, 1e-9, 100000, FM_DP_GAUSSIAN, 0 };
    fm_dp_cost pld = { 0 }, rdp = { 0 };

    CU_ASSERT_EQUAL(fm_dp_epsilon_by(FM_DP_RDP, &m, 1, 1e-300, &rdp), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_epsilon_by(FM_DP_PLD, &m, 1, 1e-300, &pld), FM_OK);
    CU_ASSERT_EQUAL(pld.accountant, FM_DP_RDP);
    CU_ASSERT_EQUAL(pld.epsilon, rdp.epsilon);
}

/* Near the pure epsilon of a mix of Laplace, delta falls off a cliff. */
static void delta_near_the_pure_epsilon_is_a_bound_and_no_error(void)
{
    const fm_dp_mechanism mix[] = {
        { 2.4813895270039743, 1.0, 8, FM_DP_LAPLACE, 0 },
        { 0.277507177899741, 0.07586292071220406, 2, FM_DP_LAPLACE, 0 },
    };
    double last = 1.0;

    for (double e = 5.0; e < 8.0; e += 0.0153) {
        double delta = NAN;

        CU_ASSERT_EQUAL(fm_dp_delta(mix, FM_TEST_COUNT(mix), e, &delta), FM_OK);
        CU_ASSERT(delta >= 0.0 && delta <= last * (1.0 + 1e-2));
        last = fmax(delta, 1e-300);
    }
}

static void the_shortcut_never_lets_a_release_too_many_pass(void)
{
    fm_dp_mechanism m = { 2.0, 0.1, 1, FM_DP_GAUSSIAN, 0 };
    fm_dp_account *a = NULL;
    bool within = true;
    uint64_t passed = 0;
    double budget = 1.0;

    CU_ASSERT_EQUAL_FATAL(fm_dp_account_new(&a), FM_OK);
    for (; within && passed < 100000; passed += within) {
        CU_ASSERT_EQUAL(fm_dp_account_within(a, &m, budget, 1e-5, &within), FM_OK);
        if (within)
            CU_ASSERT_EQUAL(fm_dp_account_add(a, &m), FM_OK);
    }
    m.count = passed;
    CU_ASSERT(pld_truth_delta(&m, 1, budget) <= 1e-5); /* not a hair above the budget */
    m.count = passed + 1;
    CU_ASSERT(epsilon_of(&m, 1, 1e-5) >= budget * (1.0 - TIGHT));
    m.count = 1;
    CU_ASSERT_EQUAL(fm_dp_account_within(a, &m, 2.0 * budget, 1e-5, &within), FM_OK);
    CU_ASSERT(within);
    CU_ASSERT_EQUAL(fm_dp_account_within(a, &m, budget, 1e-5, &within), FM_OK);
    CU_ASSERT(!within); /* what fitted the wider budget is not held against this one */
    CU_ASSERT_EQUAL(fm_dp_account_within(a, &m, 1.2 * budget, 1e-9, &within), FM_OK);
    CU_ASSERT_EQUAL(within, false);
    fm_dp_account_free(&a);
}

static const fm_test tests[] = {
    { "the Gaussian is just above its closed form", the_gaussian_is_just_above_its_closed_form },
    { "any mix lies between the truth and a ten-thousandth above",
      any_mix_lies_between_the_truth_and_a_ten_thousandth_above },
    { "both directions of one sampled Gaussian are counted",
      both_directions_of_one_sampled_gaussian_are_counted },
    { "a coarse grid errs upwards", a_coarse_grid_errs_upwards },
    { "the transform is its definition and comes back",
      the_transform_is_its_definition_and_comes_back },
    { "pure mechanisms cost their sum at a tiny delta",
      pure_mechanisms_cost_their_sum_at_a_tiny_delta },
    { "extreme compositions get a sane answer", extreme_compositions_get_a_sane_answer },
    { "a wrong figure on either side is an internal error",
      a_wrong_figure_on_either_side_is_an_internal_error },
    { "an account says what a fresh reckoning says", an_account_says_what_a_fresh_reckoning_says },
    { "a kept window never answers too little (else: a budget is passed)",
      a_kept_window_never_answers_too_little },
    { "what no grid can hold is left to RDP", what_no_grid_can_hold_is_left_to_rdp },
    { "delta near the pure epsilon is a bound and no error",
      delta_near_the_pure_epsilon_is_a_bound_and_no_error },
    { "the shortcut never lets a release too many pass",
      the_shortcut_never_lets_a_release_too_many_pass },
};

const fm_test_suite fm_suite_dp_pld = { "dp.pld", tests, FM_TEST_COUNT(tests) };
