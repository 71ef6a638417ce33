/* The attacker's gain against what is known in closed form. */
#include <math.h>

#include "fedmoe/dp/tradeoff.h"
#include "fm_test.h"

static double normal(double x)
{
    return 0.5 * erfc(-x / sqrt(2.0));
}

/** Inverse by halving: slow and plain. */
static double quantile(double p)
{
    double low = -40.0, high = 40.0;

    for (int i = 0; i < 200; i++) {
        double mid = (low + high) / 2.0;

        if (normal(mid) < p)
            low = mid;
        else
            high = mid;
    }
    return (low + high) / 2.0;
}

/** Dong, Roth, Su: k Gaussians at z are one at mu = sqrt(k) / z, and power = N(N^-1(alpha) + mu). */
static void gaussians_have_the_power_of_gaussian_dp(void)
{
    static const struct {
        double z;
        uint64_t count;
    } runs[] = { { 1.0, 1 }, { 2.0, 1 }, { 10.0, 60 }, { 0.7, 2 }, { 50.0, 10 } };

    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        const fm_dp_mechanism m = { .noise_multiplier = runs[i].z,
                                    .sampling_rate = 1.0,
                                    .count = runs[i].count };
        const double mu = sqrt((double)runs[i].count) / runs[i].z;
        fm_dp_test tests[] = { { 0.01, 0 }, { 0.001, 0 }, { 0.2, 0 }, { 0.7, 0 } };
        double guess = 0.0;

        CU_ASSERT_EQUAL_FATAL(fm_dp_tradeoff(&m, 1, tests, 4, &guess), FM_OK);
        CU_ASSERT_DOUBLE_EQUAL(guess, normal(mu / 2.0), 2e-5);
        for (int j = 0; j < 4; j++) {
            const double exact = normal(quantile(tests[j].alpha) + mu);

            CU_ASSERT(tests[j].power >= exact - 1e-9); /* an upper bound */
            CU_ASSERT(tests[j].power <= exact + 2e-5 + 5e-4 * exact);
        }
    }
}

/** Where the closed form ends the search begins: sampled with all but certainty, nothing changes. */
static void the_search_meets_the_closed_form(void)
{
    static const struct {
        double z;
        uint64_t count;
    } runs[] = { { 2.0, 1 }, { 12.0, 60 }, { 0.8, 1 } };

    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        fm_dp_mechanism m = { .noise_multiplier = runs[i].z,
                              .sampling_rate = 1.0,
                              .count = runs[i].count };
        fm_dp_test exact[] = { { 0.01, 0 }, { 0.001, 0 } }, found[] = { { 0.01, 0 }, { 0.001, 0 } };
        double guess = 0.0, other = 0.0;

        CU_ASSERT_EQUAL_FATAL(fm_dp_tradeoff(&m, 1, exact, 2, &guess), FM_OK);
        m.sampling_rate = 1.0 - 1e-9;
        CU_ASSERT_EQUAL_FATAL(fm_dp_tradeoff(&m, 1, found, 2, &other), FM_OK);
        CU_ASSERT_DOUBLE_EQUAL(guess, other, 1e-4);
        for (int j = 0; j < 2; j++) {
            CU_ASSERT(found[j].power >= exact[j].power * (1.0 - 1e-6));
            CU_ASSERT(found[j].power <= exact[j].power * 1.005 + 5e-4);
        }
    }
}

/** Of one Laplace release at alpha <= e^-v / 2: slope e^v, exactly (Dong, Roth, Su, lemma A.6). */
static void a_laplace_release_is_pure(void)
{
    const fm_dp_mechanism m = {
        .noise_multiplier = 1.0, .sampling_rate = 1.0, .count = 1, .kind = FM_DP_LAPLACE
    };
    fm_dp_test t = { 0.01, 0 };
    double guess = 0.0;

    CU_ASSERT_EQUAL_FATAL(fm_dp_tradeoff(&m, 1, &t, 1, &guess), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(t.power, 0.01 * M_E, 1e-5);
    CU_ASSERT_DOUBLE_EQUAL(guess, 1.0 - 0.5 * exp(-0.5), 1e-5);
}

/** One release of a unit that is drawn with probability q: the better of the two likelihood-ratio
 *  tests, in for out and out for in, bounds ours from below; and ours is not far above. */
static void a_sampled_gaussian_is_bounded_by_both_directions(void)
{
    const double q = 0.1, mu = 1.0, alpha = 0.01;
    const fm_dp_mechanism m = { .noise_multiplier = 1.0 / mu, .sampling_rate = q, .count = 1 };
    double forth = (1.0 - q) * alpha + q * normal(quantile(alpha) + mu), guess = 0.0;
    double low = -40.0, high = 40.0, best;
    fm_dp_test t = { alpha, 0 };

    for (int i = 0; i < 200; i++) {
        double c = (low + high) / 2.0;

        if ((1.0 - q) * normal(c) + q * normal(c - mu) < alpha)
            low = c;
        else
            high = c;
    }
    best = fmax(forth, normal(low));
    CU_ASSERT_EQUAL_FATAL(fm_dp_tradeoff(&m, 1, &t, 1, &guess), FM_OK);
    CU_ASSERT(t.power >= best - 1e-9);
    CU_ASSERT(t.power <= 1.02 * best);
    CU_ASSERT_DOUBLE_EQUAL(guess, 0.5 + q * (normal(mu / 2.0) - 0.5), 1e-5);
}

static void no_point_of_the_curve_says_less(void)
{
    const fm_dp_mechanism m = { .noise_multiplier = 1.1, .sampling_rate = 0.05, .count = 200 };
    fm_dp_test t = { 0.01, 0 };
    double guess = 0.0, delta = 0.0;

    CU_ASSERT_EQUAL_FATAL(fm_dp_tradeoff(&m, 1, &t, 1, &guess), FM_OK);
    for (double e = 0.0; e < 4.0; e += 0.25) {
        CU_ASSERT_EQUAL_FATAL(fm_dp_delta(&m, 1, e, &delta), FM_OK);
        CU_ASSERT(t.power <= delta + exp(e) * 0.01 + 1e-7);
        CU_ASSERT(t.power <= 1.0 - exp(-e) * (1.0 - delta - 0.01) + 1e-7);
    }
    CU_ASSERT(t.power > 0.01);
}

static void nothing_released_and_nothing_hidden(void)
{
    const fm_dp_mechanism bare = { .noise_multiplier = 1e-6, .sampling_rate = 1.0, .count = 5 };
    fm_dp_test t = { 0.01, 0 };
    double guess = 0.0;

    CU_ASSERT_EQUAL_FATAL(fm_dp_tradeoff(NULL, 0, &t, 1, &guess), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(t.power, 0.01, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(guess, 0.5, 1e-12);
    CU_ASSERT_EQUAL_FATAL(fm_dp_tradeoff(&bare, 1, &t, 1, &guess), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(t.power, 1.0, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(guess, 1.0, 1e-6);
}

static const fm_test g_tests[] = {
    { "Gaussians have the power of Gaussian DP", gaussians_have_the_power_of_gaussian_dp },
    { "the search meets the closed form", the_search_meets_the_closed_form },
    { "a Laplace release is pure", a_laplace_release_is_pure },
    { "a sampled Gaussian is bounded by both directions",
      a_sampled_gaussian_is_bounded_by_both_directions },
    { "no point of the curve says less", no_point_of_the_curve_says_less },
    { "nothing released, and nothing hidden", nothing_released_and_nothing_hidden },
};

const fm_test_suite fm_suite_dp_tradeoff = { "dp.tradeoff", g_tests, FM_TEST_COUNT(g_tests) };
