/* The AUC out of noised histograms, and how much of it is noise. */
#include <math.h>

#include "fedmoe/base/random.h"
#include "fedmoe/optim/auc.h"
#include "suites.h"

#define BINS 16u
#define DRAWS 4000

static void ties_within_a_bin_count_half(void)
{
    /* 2 and 2 of class 0 in bins 0 and 2; 1 and 3 of class 1 in bins 1 and 2: of 16 pairs 2 + 6 are right,
     * 6 are ties. */
    const float counts[8] = { 2, 0, 2, 0, 0, 1, 3, 0 };
    const float apart[8] = { 5, 0, 0, 0, 0, 0, 0, 7 }, turned[8] = { 0, 0, 0, 5, 7, 0, 0, 0 };
    const float same[8] = { 0, 5, 0, 0, 0, 7, 0, 0 };
    fm_auc a;

    CU_ASSERT_TRUE(fm_auc_of_bins(counts, 4, 0.0, &a));
    CU_ASSERT_DOUBLE_EQUAL(a.value, (2.0 + 6.0 + 3.0) / 16.0, 1e-12);
    CU_ASSERT_EQUAL(a.deviation, 0.0);
    CU_ASSERT_TRUE(fm_auc_of_bins(apart, 4, 0.0, &a) && a.value == 1.0);
    CU_ASSERT_TRUE(fm_auc_of_bins(turned, 4, 0.0, &a) && a.value == 0.0);
    CU_ASSERT_TRUE(fm_auc_of_bins(same, 4, 0.0, &a) && a.value == 0.5);
}

static void a_class_that_noise_hides_gives_no_figure(void)
{
    const float none[8] = { 2, 0, 2, 0, 0, 0, 0, 0 }, less[8] = { 2, 0, 2, 0, 1, -2, 0, 0 };
    const float some[8] = { 2, 0, 2, 0, 1, 2, 3, 0 };
    fm_auc a;

    CU_ASSERT_FALSE(fm_auc_of_bins(none, 4, 0.0, &a));
    CU_ASSERT_FALSE(fm_auc_of_bins(less, 4, 0.0, &a));
    /* The sums 4 and 6 have noise of deviation 2 times that on a bin. */
    CU_ASSERT_TRUE(fm_auc_of_bins(some, 4, 0.66, &a));
    CU_ASSERT_FALSE(fm_auc_of_bins(some, 4, 0.67, &a));
}

static double below(double z)
{
    return 0.5 * erfc(-z / sqrt(2.0));
}

/* Two normal classes a deviation apart, in bins of equal width from -3 to 3. */
static void fill(double n, double p, float counts[2 * BINS])
{
    for (size_t b = 0; b < BINS; b++) {
        const double lo = b == 0 ? -HUGE_VAL : -3.0 + 6.0 * (double)b / BINS;
        const double hi = b + 1 == BINS ? HUGE_VAL : -3.0 + 6.0 * (double)(b + 1) / BINS;

        counts[b] = (float)(n * (below(hi + 0.5) - below(lo + 0.5)));
        counts[BINS + b] = (float)(p * (below(hi - 0.5) - below(lo - 0.5)));
    }
}

typedef struct {
    double mean, deviation,
        said; /* of the draws; and what they said of themselves, root mean square */
} drawn;

static drawn draw(const float counts[2 * BINS], double noise, uint64_t seed)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);
    double sum = 0.0, squares = 0.0, said = 0.0;

    for (size_t t = 0; t < DRAWS; t++) {
        float noised[2 * BINS];
        fm_auc a = { 0 };

        for (size_t b = 0; b < 2 * BINS; b++)
            noised[b] = (float)((double)counts[b] + noise * fm_rng_normal(&rng));
        CU_ASSERT_TRUE(fm_auc_of_bins(noised, BINS, noise, &a));
        sum += a.value;
        squares += a.value * a.value;
        said += a.deviation * a.deviation;
    }
    sum /= DRAWS;
    return (drawn){ sum, sqrt(squares / DRAWS - sum * sum), sqrt(said / DRAWS) };
}

/* Off by no more than 5 deviations of the mean of the draws and a hundredth of the noise for what is not
 * linear; with 0 in the place of negative counts it would be off by half of the noise. */
static void noise_is_as_large_as_is_said_and_draws_nowhere(void)
{
    const struct {
        double n, p, noise;
    } cases[] = { { 1000, 1000, 10 }, { 1000, 1000, 2 }, { 1800, 200, 3 }, { 200, 1800, 3 } };

    for (size_t k = 0; k < FM_TEST_COUNT(cases); k++) {
        float counts[2 * BINS];
        fm_auc a = { 0 };
        drawn d;

        fill(cases[k].n, cases[k].p, counts);
        CU_ASSERT_TRUE(fm_auc_of_bins(counts, BINS, cases[k].noise, &a));
        CU_ASSERT_DOUBLE_EQUAL(a.value, below(1.0 / sqrt(2.0)), 0.004);
        d = draw(counts, cases[k].noise, 90 + k);
        CU_ASSERT_DOUBLE_EQUAL(d.mean, a.value, d.deviation * (5.0 / sqrt(DRAWS) + 0.01));
        CU_ASSERT_DOUBLE_EQUAL(d.deviation / a.deviation, 1.0, 0.06);
        CU_ASSERT_DOUBLE_EQUAL(d.said / a.deviation, 1.0, 0.06);
    }
}

static void what_is_expected_of_the_noise_comes(void)
{
    const double shares[] = { 0.5, 0.1, 0.9 };

    for (size_t k = 0; k < FM_TEST_COUNT(shares); k++) {
        const double of_class[2] = { 2000.0 * (1.0 - shares[k]), 2000.0 * shares[k] };
        float counts[2 * BINS];
        fm_auc a = { 0 };

        fill(of_class[0], of_class[1], counts);
        CU_ASSERT_TRUE(fm_auc_of_bins(counts, BINS, 5.0, &a));
        CU_ASSERT_DOUBLE_EQUAL(fm_auc_expected_deviation(BINS, 5.0, of_class) / a.deviation, 1.0,
                               0.15);
    }
}

/* ---- in the state ---- */

#define N (1 + 2 + 8)

static fm_optimizer_spec spec_of(void)
{
    return (fm_optimizer_spec){ .rule = FM_OPTIM_SGD,
                                .learning_rate = 1.0,
                                .schedule = FM_OPTIM_CONSTANT,
                                .rounds = 100,
                                .divisor = 10.0,
                                .patience = 2,
                                .held_divisor = 4.0,
                                .held_vote = 0.5,
                                .held_bins = 4,
                                .held_noise = 0.1 };
}

/* Windows of two steps, and a unit adds a half: the mean of a window is of units. */
static void a_window_has_its_own_scores(void)
{
    const float first[N] = { 1.0f };
    const fm_optimizer_spec s = spec_of();
    fm_optimizer *o = NULL;
    fm_auc a = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&s, first, N, &o), FM_OK);
    CU_ASSERT_EQUAL(o->tail, 10);
    CU_ASSERT_FALSE(fm_optimizer_held_auc(o, &a));
    for (size_t t = 0; t < 4; t++) {
        /* Class 0 all in bin 1; class 1 in bin 2 in even steps, in bin 0 in odd ones. */
        float sum[N] = { 0 };

        sum[3 + 1] = 2.0f;
        sum[7 + (t % 2 == 0 ? 2 : 0)] = 1.0f + (float)t;
        CU_ASSERT_EQUAL(fm_optimizer_step(o, sum, N), FM_OK);
        CU_ASSERT_EQUAL(o->weights[3 + 1], 4.0f);
        CU_ASSERT_TRUE(fm_optimizer_held_auc(o, &a));
        CU_ASSERT_DOUBLE_EQUAL(a.value,
                               t == 0 || t == 2 ? 1.0
                               : t == 1         ? 1.0 / 3.0
                                                : 3.0 / 7.0,
                               1e-6);
        CU_ASSERT_TRUE(a.deviation > 0.0);
    }
    CU_ASSERT_EQUAL(o->weights[7], 4.0f); /* (0 + 8) / 2 */
    CU_ASSERT_EQUAL(o->weights[9], 3.0f); /* (6 + 0) / 2 */
    fm_optimizer_free(&o);
}

static void scores_are_of_units_held_out(void)
{
    const float first[N] = { 1.0f };
    fm_optimizer_spec s = spec_of();
    fm_optimizer *o = NULL;

    s.patience = 0;
    CU_ASSERT_EQUAL(fm_optimizer_new(&s, first, N, &o), FM_EINVAL);
    s = spec_of();
    s.held_noise = -1.0;
    CU_ASSERT_EQUAL(fm_optimizer_new(&s, first, N, &o), FM_EINVAL);
    s = spec_of();
    CU_ASSERT_EQUAL(fm_optimizer_new(&s, first, N - 1, &o), FM_EINVAL); /* no room */
    CU_ASSERT_PTR_NULL(o);
}

static const fm_test tests[] = {
    { "ties within a bin count half", ties_within_a_bin_count_half },
    { "a class that noise hides gives no figure", a_class_that_noise_hides_gives_no_figure },
    { "noise is as large as is said, and draws nowhere",
      noise_is_as_large_as_is_said_and_draws_nowhere },
    { "what is expected of the noise comes", what_is_expected_of_the_noise_comes },
    { "a window has its own scores", a_window_has_its_own_scores },
    { "scores are of units held out", scores_are_of_units_held_out },
};

const fm_test_suite suite_auc = { "optim.auc", tests, FM_TEST_COUNT(tests) };
