/* The accountant against closed forms, an independent formula and a 40-digit reference. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "accountant_internal.h"
#include "fm_test.h"

extern const fm_test_suite fm_suite_dp_accountant;

static double epsilon_of(double z, double q, uint64_t count, double delta)
{
    fm_dp_mechanism m = { z, q, count, FM_DP_GAUSSIAN, 0 };
    fm_dp_cost cost = { .epsilon = NAN };

    CU_ASSERT_EQUAL(fm_dp_epsilon_by(FM_DP_RDP, &m, 1, delta, &cost), FM_OK);
    return cost.epsilon;
}

static double pld_epsilon_of(double z, double q, uint64_t count, double delta)
{
    fm_dp_mechanism m = { z, q, count, FM_DP_GAUSSIAN, 0 };
    double e = NAN;

    CU_ASSERT_EQUAL(fm_dp_epsilon(&m, 1, delta, &e), FM_OK);
    return e;
}

static double delta_of(double z, double q, uint64_t count, double epsilon)
{
    fm_dp_mechanism m = { z, q, count, FM_DP_GAUSSIAN, 0 };
    fm_dp_cost cost = { .delta = NAN };

    CU_ASSERT_EQUAL(fm_dp_delta_by(FM_DP_RDP, &m, 1, epsilon, &cost), FM_OK);
    return cost.delta;
}

static double normal_cdf(double x)
{
    return 0.5 * erfc(-x / sqrt(2.0));
}

/* Exact delta of the Gaussian mechanism with mu = sqrt(count)/z: Balle, Wang 2018, theorem 8. */
static double exact_delta(double mu, double epsilon)
{
    return normal_cdf(mu / 2.0 - epsilon / mu) -
           exp(epsilon) * normal_cdf(-mu / 2.0 - epsilon / mu);
}

static double exact_epsilon(double mu, double delta)
{
    double lo = 0.0, hi = 500.0;

    for (int i = 0; i < 200; i++) {
        double mid = (lo + hi) / 2.0;

        if (exact_delta(mu, mid) > delta)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* Mironov, Talwar, Zhang 2019, section 3.3: the binomial sum for an integer order. */
static double moment_by_sum(double z, double q, int alpha)
{
    double top = -INFINITY, sum = 0.0, term[256];

    for (int k = 0; k <= alpha; k++) {
        term[k] = lgamma(alpha + 1.0) - lgamma(k + 1.0) - lgamma(alpha - k + 1.0) + k * log(q) +
                  (alpha - k) * log1p(-q) + k * (k - 1.0) / (2.0 * z * z);
        top = fmax(top, term[k]);
    }
    for (int k = 0; k <= alpha; k++)
        sum += exp(term[k] - top);
    return top + log(sum);
}

static void integer_orders_agree_with_the_binomial_sum(void)
{
    const double zs[] = { 0.3, 0.7, 1.0, 2.5, 8.0 }, qs[] = { 0.01, 0.2, 0.9 };
    const int orders[] = { 2, 3, 7, 32, 100, 255 };

    for (size_t i = 0; i < FM_TEST_COUNT(zs); i++)
        for (size_t j = 0; j < FM_TEST_COUNT(qs); j++)
            for (size_t k = 0; k < FM_TEST_COUNT(orders); k++) {
                double sum = moment_by_sum(zs[i], qs[j], orders[k]);
                double k_up = fm_dp_log_moment(zs[i], qs[j], orders[k]);

                CU_ASSERT(k_up >= sum - 1e-12 * (1.0 + fabs(sum)));
                CU_ASSERT(k_up <= sum + 1e-11 * (1.0 + fabs(sum)));
            }
}

/* 40-digit adaptive quadrature (mpmath) of E[r^alpha], rounded down to 17 digits. */
static void any_order_is_just_above_a_40_digit_reference(void)
{
    static const double row[][4] = {
        { 2.5, 0.01, 1.5, 6.5007089718803971e-6 },      { 2.5, 0.01, 2.5, 3.2562541707543728e-5 },
        { 1.0, 0.001, 1.0001, 8.5693215372180136e-11 }, { 0.5, 1e-5, 3.7, 2.7325449156354504e-8 },
        { 20., 1e-3, 150.3, 2.8095257752171547e-5 },    { 0.3, 0.9, 1.2, 1.2287328311792684 },
        { 1.1, 0.999999, 5.5, 10.227267360689192 },     { 5.0, 1e-6, 2.0, 4.0810774192387394e-14 },
        { 0.1, 1e-5, 1.3, 4.5438856929836333 },         { 50., 0.01, 1000.5, 0.020083537033139349 },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(row); i++) {
        double k = fm_dp_log_moment(row[i][0], row[i][1], row[i][2]);

        CU_ASSERT(k >= row[i][3]);
        CU_ASSERT(k <= row[i][3] * (1.0 + 1e-11));
    }
}

/* log E_{mu}[(mu0/mu)^(alpha)...] = log of the integral of mu0^alpha mu^(1-alpha). */
static double moment_other_way(double z, double q, double alpha)
{
    double sum = 0.0, h = 0.01;

    for (double u = -15.0; u <= 15.0 + 1.0 / z; u += h) {
        double r = 1.0 - q + q * exp(u / z - 1.0 / (2.0 * z * z));

        sum += h * exp(-u * u / 2.0 - 0.91893853320467274178 + (1.0 - alpha) * log(r));
    }
    return log(sum);
}

static void the_direction_that_is_counted_dominates_the_other(void)
{
    const double zs[] = { 0.5, 1.0, 3.0 }, qs[] = { 0.01, 0.3, 0.9 };
    const double orders[] = { 1.1, 2.0, 3.5, 20.0 };

    for (size_t i = 0; i < FM_TEST_COUNT(zs); i++)
        for (size_t j = 0; j < FM_TEST_COUNT(qs); j++)
            for (size_t k = 0; k < FM_TEST_COUNT(orders); k++)
                CU_ASSERT(fm_dp_log_moment(zs[i], qs[j], orders[k]) >=
                          moment_other_way(zs[i], qs[j], orders[k]) - 1e-12);
}

static void without_sampling_it_bounds_the_exact_gaussian_within_15_percent(void)
{
    const double deltas[] = { 1e-4, 1e-5, 1e-6, 1e-8, 1e-10 };
    double worst = 1.0;

    for (double mu = 0.1; mu < 12.0; mu *= 1.3)
        for (size_t i = 0; i < FM_TEST_COUNT(deltas); i++) {
            double exact = exact_epsilon(mu, deltas[i]);
            double rdp = epsilon_of(1.0 / mu, 1.0, 1, deltas[i]);

            CU_ASSERT(rdp >= exact);
            CU_ASSERT(rdp <= 1.15 * exact);
            CU_ASSERT(delta_of(1.0 / mu, 1.0, 1, exact) >= deltas[i] * (1.0 - 1e-6));
            worst = fmax(worst, rdp / exact);
        }
    printf("(worst ratio to exact %.3f) ", worst);
}

static void sampling_at_nearly_one_meets_the_closed_form_at_one(void)
{
    double at_one = epsilon_of(1.3, 1.0, 10, 1e-6);
    double near_one = epsilon_of(1.3, 1.0 - 1e-12, 10, 1e-6);

    CU_ASSERT_DOUBLE_EQUAL(near_one, at_one, 1e-8 * at_one);
}

static void the_order_found_is_the_best_of_a_dense_grid(void)
{
    static const fm_dp_mechanism m[] = {
        { 1.5, 0.04, 2250, FM_DP_GAUSSIAN, 0 },  { 0.6, 0.001, 1, FM_DP_GAUSSIAN, 0 },
        { 0.3, 0.5, 4, FM_DP_GAUSSIAN, 0 },      { 12.0, 0.2, 100000, FM_DP_GAUSSIAN, 0 },
        { 1.0, 0.0064, 782, FM_DP_GAUSSIAN, 0 },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(m); i++) {
        double best = INFINITY, delta = 1e-6,
               found = epsilon_of(m[i].noise_multiplier, m[i].sampling_rate, m[i].count, delta);

        for (double beta = 1e-3; beta < 200.0; beta *= 1.003) {
            double alpha = 1.0 + beta;
            double k = fm_dp_log_moment(m[i].noise_multiplier, m[i].sampling_rate, alpha);

            best = fmin(best, ((double)m[i].count * k - log(delta) + beta * log(beta / alpha) -
                               log(alpha)) /
                                  beta);
        }
        CU_ASSERT(found <= best * (1.0 + 1e-12));
        CU_ASSERT(found >= best * (1.0 - 1e-4));
    }
}

static void spending_is_monotone_in_noise_rate_count_and_delta(void)
{
    double last = INFINITY;

    for (double z = 0.01; z < 1e4; z *= 1.37) {
        double e = epsilon_of(z, 0.02, 500, 1e-6);

        CU_ASSERT(e <= last);
        last = e;
    }
    last = 0.0;
    for (double q = 1e-6; q < 1.0; q *= 1.7) {
        double e = epsilon_of(0.9, q, 500, 1e-6);

        CU_ASSERT(e >= last);
        last = e;
    }
    CU_ASSERT(epsilon_of(0.9, 1.0, 500, 1e-6) >= last);
    last = 0.0;
    for (uint64_t n = 1; n < 1000000; n = n * 2 + 1) {
        double e = epsilon_of(0.9, 0.01, n, 1e-6);

        CU_ASSERT(e >= last);
        last = e;
    }
    last = INFINITY;
    for (double delta = 1e-14; delta < 0.9; delta *= 3.0) {
        double e = epsilon_of(0.9, 0.01, 100, delta);

        CU_ASSERT(e <= last);
        last = e;
    }
    last = 1.0;
    for (double e = 0.0; e < 30.0; e += 0.5) {
        double d = delta_of(0.9, 0.01, 100, e);

        CU_ASSERT(d <= last);
        last = d;
    }
}

static void nothing_released_or_infinite_noise_costs_nothing(void)
{
    double e = -1.0, d = -1.0;

    CU_ASSERT_EQUAL(fm_dp_epsilon(NULL, 0, 1e-5, &e), FM_OK);
    CU_ASSERT_EQUAL(e, 0.0);
    CU_ASSERT_EQUAL(fm_dp_delta(NULL, 0, 0.0, &d), FM_OK);
    CU_ASSERT_EQUAL(d, 0.0);
    CU_ASSERT_EQUAL(epsilon_of(0.1, 1.0, 0, 1e-5), 0.0);
    CU_ASSERT_EQUAL(epsilon_of(INFINITY, 1.0, 1000, 1e-5), 0.0);
    CU_ASSERT(epsilon_of(1e8, 0.5, 1, 1e-5) < 1e-6);
    CU_ASSERT(epsilon_of(1e-300, 1.0, 1, 1e-5) > 1e300);
}

static void parts_of_a_composition_add_up_in_any_order(void)
{
    fm_dp_mechanism a[] = { { 1.0, 0.01, 300, FM_DP_GAUSSIAN, 0 },
                            { 5.0, 1.0, 3, FM_DP_GAUSSIAN, 0 },
                            { 2.0, 0.1, 40, FM_DP_GAUSSIAN, 0 } };
    fm_dp_mechanism b[] = { { 2.0, 0.1, 15, FM_DP_GAUSSIAN, 0 },
                            { 1.0, 0.01, 100, FM_DP_GAUSSIAN, 0 },
                            { 5.0, 1.0, 3, FM_DP_GAUSSIAN, 0 },
                            { 1.0, 0.01, 200, FM_DP_GAUSSIAN, 0 },
                            { 2.0, 0.1, 25, FM_DP_GAUSSIAN, 0 } };
    fm_dp_cost ca = { 0 }, cb = { 0 };
    double ea, largest = 0.0;

    CU_ASSERT_EQUAL(fm_dp_epsilon_by(FM_DP_RDP, a, 3, 1e-6, &ca), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_epsilon_by(FM_DP_RDP, b, 5, 1e-6, &cb), FM_OK);
    ea = ca.epsilon;
    CU_ASSERT_DOUBLE_EQUAL(ea, cb.epsilon, 1e-9 * ea);
    for (size_t i = 0; i < 3; i++)
        largest =
            fmax(largest, epsilon_of(a[i].noise_multiplier, a[i].sampling_rate, a[i].count, 1e-6));
    CU_ASSERT(ea > largest);
    CU_ASSERT_EQUAL(fm_dp_delta_by(FM_DP_RDP, a, 3, ea, &ca), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(ca.delta, 1e-6, 1e-14);
}

static void gaussians_of_two_widths_bound_their_exact_composition(void)
{
    fm_dp_mechanism m[] = { { 10.0, 1.0, 50, FM_DP_GAUSSIAN, 0 },
                            { 5.0, 1.0, 50, FM_DP_GAUSSIAN, 0 } };
    double mu = sqrt(50.0 / 100.0 + 50.0 / 25.0), d = 0.0, e = 0.0;

    CU_ASSERT_EQUAL(fm_dp_delta(m, 2, 4.0, &d), FM_OK);
    CU_ASSERT(d >= exact_delta(mu, 4.0));
    CU_ASSERT_EQUAL(fm_dp_epsilon(m, 2, exact_delta(mu, 4.0), &e), FM_OK);
    CU_ASSERT(e >= 4.0 && e <= 4.0 * (1.0 + 1e-4));
}

static void no_argument_in_range_gives_nan(void)
{
    const double zs[] = { 1e-6, 1e-3, 0.0199, 0.03, 0.1, 1.0, 1e3, 1e9 };
    const double qs[] = { 1e-18, 1e-9, 1e-3, 0.5, 1.0 - 1e-16, 1.0 };
    const uint64_t counts[] = { 1, 1000000, UINT64_MAX };
    const double deltas[] = { 1e-300, 1e-9, 0.999 };

    for (size_t i = 0; i < FM_TEST_COUNT(zs); i++)
        for (size_t j = 0; j < FM_TEST_COUNT(qs); j++)
            for (size_t k = 0; k < FM_TEST_COUNT(counts); k++)
                for (size_t l = 0; l < FM_TEST_COUNT(deltas); l++) {
                    double e = epsilon_of(zs[i], qs[j], counts[k], deltas[l]);

                    CU_ASSERT(e >= 0.0);
                }
}

static void bad_arguments_are_named_and_outputs_left_alone(void)
{
    static const struct {
        fm_dp_mechanism m;
        double delta;
        const char *word;
    } bad[] = {
        { { 0.0, 0.1, 1, FM_DP_GAUSSIAN, 0 }, 1e-5, "noise_multiplier" },
        { { NAN, 0.1, 1, FM_DP_GAUSSIAN, 0 }, 1e-5, "noise_multiplier" },
        { { -1., 0.1, 1, FM_DP_GAUSSIAN, 0 }, 1e-5, "noise_multiplier" },
        { { 1.0, 0.0, 1, FM_DP_GAUSSIAN, 0 }, 1e-5, "sampling_rate" },
        { { 1.0, 1.1, 1, FM_DP_GAUSSIAN, 0 }, 1e-5, "sampling_rate" },
        { { 1.0, NAN, 1, FM_DP_GAUSSIAN, 0 }, 1e-5, "sampling_rate" },
        { { 1.0, 0.1, 1, FM_DP_GAUSSIAN, 0 }, 0.0, "delta" },
        { { 1.0, 0.1, 1, FM_DP_GAUSSIAN, 0 }, 1.0, "delta" },
        { { 1.0, 0.1, 1, FM_DP_GAUSSIAN, 0 }, NAN, "delta" },
    };
    fm_dp_mechanism good = { 1.0, 0.1, 1, FM_DP_GAUSSIAN, 0 };
    double out = -7.0;

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        CU_ASSERT_EQUAL(fm_dp_epsilon(&bad[i].m, 1, bad[i].delta, &out), FM_EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), bad[i].word));
    }
    CU_ASSERT_EQUAL(fm_dp_epsilon(NULL, 1, 1e-5, &out), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_epsilon(&good, 1, 1e-5, NULL), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_delta(&good, 1, -0.1, &out), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_delta(&good, 1, INFINITY, &out), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_calibrate(0.0, 1e-5, 0.1, 1, &out), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_calibrate(1.0, 0.0, 0.1, 1, &out), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_calibrate(1.0, 1e-5, 0.0, 1, &out), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_calibrate(1.0, 1e-5, 0.1, 0, &out), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_calibrate(1e-300, 1e-300, 1.0, UINT64_MAX, &out), FM_EINVAL);
    CU_ASSERT_EQUAL(out, -7.0);
}

static void calibrated_noise_is_enough_and_no_more_than_needed(void)
{
    const double epsilons[] = { 0.3, 8.0 }, qs[] = { 0.02, 1.0 };
    const uint64_t rounds[] = { 1, 200 };

    for (size_t i = 0; i < FM_TEST_COUNT(epsilons); i++)
        for (size_t j = 0; j < FM_TEST_COUNT(qs); j++)
            for (size_t k = 0; k < FM_TEST_COUNT(rounds); k++) {
                double z = 0.0;

                CU_ASSERT_EQUAL(fm_dp_calibrate(epsilons[i], 1e-6, qs[j], rounds[k], &z), FM_OK);
                CU_ASSERT(pld_epsilon_of(z, qs[j], rounds[k], 1e-6) <= epsilons[i]);
                CU_ASSERT(pld_epsilon_of(z * (1.0 - 1e-4), qs[j], rounds[k], 1e-6) > epsilons[i]);
            }
}

static void more_budget_asks_for_less_noise(void)
{
    double last = INFINITY, z = 0.0;

    for (double e = 0.2; e < 20.0; e *= 3.0) {
        CU_ASSERT_EQUAL(fm_dp_calibrate(e, 1e-5, 0.01, 1000, &z), FM_OK);
        CU_ASSERT(z < last);
        last = z;
    }
}

static const fm_test tests[] = {
    { "integer orders agree with the binomial sum", integer_orders_agree_with_the_binomial_sum },
    { "any order is just above a 40-digit reference",
      any_order_is_just_above_a_40_digit_reference },
    { "the direction that is counted dominates the other",
      the_direction_that_is_counted_dominates_the_other },
    { "without sampling it bounds the exact Gaussian within 15 percent",
      without_sampling_it_bounds_the_exact_gaussian_within_15_percent },
    { "sampling at nearly one meets the closed form at one",
      sampling_at_nearly_one_meets_the_closed_form_at_one },
    { "the order found is the best of a dense grid", the_order_found_is_the_best_of_a_dense_grid },
    { "spending is monotone in noise, rate, count and delta",
      spending_is_monotone_in_noise_rate_count_and_delta },
    { "nothing released, or infinite noise, costs nothing",
      nothing_released_or_infinite_noise_costs_nothing },
    { "parts of a composition add up in any order", parts_of_a_composition_add_up_in_any_order },
    { "Gaussians of two widths bound their exact composition",
      gaussians_of_two_widths_bound_their_exact_composition },
    { "no argument in range gives NaN", no_argument_in_range_gives_nan },
    { "bad arguments are named and outputs left alone",
      bad_arguments_are_named_and_outputs_left_alone },
    { "calibrated noise is enough and no more than needed",
      calibrated_noise_is_enough_and_no_more_than_needed },
    { "more budget asks for less noise", more_budget_asks_for_less_noise },
};

const fm_test_suite fm_suite_dp_accountant = { "dp.accountant", tests, FM_TEST_COUNT(tests) };
