/* The AUC out of noised histograms, and how much of it is noise. */
#include <math.h>

#include "fedmoe/base/random.h"
#include "fedmoe/optim/auc.h"
#include "suites.h"

#define BINS 16u
#define DRAWS 4000

/* As optim/auc.h says, word by word. */
static void grow(const float *counts, size_t bins, float *words)
{
    float in[2 * FM_AUC_BINS_MAX];

    for (size_t c = 0; c < 2; c++, counts += bins, words += bins) {
        for (size_t b = 0; b < bins; b++)
            in[bins + b] = counts[b];
        for (size_t k = bins - 1; k > 0; k--) {
            in[k] = in[2 * k] + in[2 * k + 1];
            words[k] = in[2 * k] - in[2 * k + 1];
        }
        words[0] = in[1];
    }
}

static bool of_bins(const float *counts, size_t bins, double noise, fm_auc *out)
{
    double each[FM_AUC_KINDS];
    float words[2 * FM_AUC_BINS_MAX];

    for (size_t kind = 0; kind < FM_AUC_KINDS; kind++)
        each[kind] = noise;
    grow(counts, bins, words);
    return fm_auc_of_trees(words, bins, each, out);
}

static void ties_within_a_bin_count_half(void)
{
    /* 2 and 2 of class 0 in bins 0 and 2; 1 and 3 of class 1 in bins 1 and 2: of 16 pairs 2 + 6 are right,
     * 6 are ties. */
    const float counts[8] = { 2, 0, 2, 0, 0, 1, 3, 0 };
    const float apart[8] = { 5, 0, 0, 0, 0, 0, 0, 7 }, turned[8] = { 0, 0, 0, 5, 7, 0, 0, 0 };
    const float same[8] = { 0, 5, 0, 0, 0, 7, 0, 0 };
    fm_auc a;

    CU_ASSERT_TRUE(of_bins(counts, 4, 0.0, &a));
    CU_ASSERT_DOUBLE_EQUAL(a.value, (2.0 + 6.0 + 3.0) / 16.0, 1e-12);
    CU_ASSERT_EQUAL(a.deviation, 0.0);
    CU_ASSERT_TRUE(of_bins(apart, 4, 0.0, &a) && a.value == 1.0);
    CU_ASSERT_TRUE(of_bins(turned, 4, 0.0, &a) && a.value == 0.0);
    CU_ASSERT_TRUE(of_bins(same, 4, 0.0, &a) && a.value == 0.5);
}

static void a_class_that_noise_hides_gives_no_figure(void)
{
    const float none[8] = { 2, 0, 2, 0, 0, 0, 0, 0 }, less[8] = { 2, 0, 2, 0, 1, -2, 0, 0 };
    const float some[8] = { 2, 0, 2, 0, 1, 2, 3, 0 };
    fm_auc a;

    CU_ASSERT_FALSE(of_bins(none, 4, 0.0, &a));
    CU_ASSERT_FALSE(of_bins(less, 4, 0.0, &a));
    /* The totals are 4 and 6. */
    CU_ASSERT_TRUE(of_bins(some, 4, 1.33, &a));
    CU_ASSERT_FALSE(of_bins(some, 4, 1.34, &a));
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

/* Noise on a word of each kind, in units, when it is `noise` on one that has all of the bound. */
static void noises(double noise, double out[FM_AUC_KINDS])
{
    const int64_t half = 1 << 20;
    int64_t parts[FM_AUC_KINDS];

    fm_auc_parts(half, BINS, parts);
    for (size_t kind = 0; kind < FM_AUC_KINDS; kind++)
        out[kind] = parts[kind] > 0 ? noise * (double)half / (double)parts[kind] : 0.0;
}

typedef struct {
    double mean, deviation,
        said; /* of the draws; and what they said of themselves, root mean square */
} drawn;

static drawn draw(const float counts[2 * BINS], double noise, uint64_t seed)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);
    double sum = 0.0, squares = 0.0, said = 0.0, each[FM_AUC_KINDS];
    float words[2 * BINS], noised[2 * BINS];

    noises(noise, each);
    grow(counts, BINS, words);
    for (size_t t = 0; t < DRAWS; t++) {
        fm_auc a = { 0 };

        for (size_t j = 0; j < 2 * BINS; j++)
            noised[j] =
                (float)((double)words[j] + each[fm_auc_kind(j % BINS)] * fm_rng_normal(&rng));
        CU_ASSERT_TRUE(fm_auc_of_trees(noised, BINS, each, &a));
        sum += a.value;
        squares += a.value * a.value;
        said += a.deviation * a.deviation;
    }
    sum /= DRAWS;
    return (drawn){ sum, sqrt(squares / DRAWS - sum * sum), sqrt(said / DRAWS) };
}

static const struct {
    double n, p, noise;
} cases[] = { { 1000, 1000, 10 }, { 1000, 1000, 2 }, { 1800, 200, 3 }, { 200, 1800, 3 } };

/* Off by no more than 5 deviations of the mean of the draws and a twentieth of the noise for what is not
 * linear; with 0 in the place of negative counts it would be off by more than half of the noise. */
static void noise_is_as_large_as_is_said_and_draws_nowhere(void)
{
    for (size_t k = 0; k < FM_TEST_COUNT(cases); k++) {
        double each[FM_AUC_KINDS];
        float counts[2 * BINS], words[2 * BINS];
        fm_auc a = { 0 };
        drawn d;

        fill(cases[k].n, cases[k].p, counts);
        grow(counts, BINS, words);
        noises(cases[k].noise, each);
        CU_ASSERT_TRUE(fm_auc_of_trees(words, BINS, each, &a));
        CU_ASSERT_DOUBLE_EQUAL(a.value, below(1.0 / sqrt(2.0)), 0.004);
        d = draw(counts, cases[k].noise, 90 + k);
        CU_ASSERT_DOUBLE_EQUAL(d.mean, a.value, d.deviation * (5.0 / sqrt(DRAWS) + 0.05));
        CU_ASSERT_DOUBLE_EQUAL(d.deviation / a.deviation, 1.0, 0.07);
        CU_ASSERT_DOUBLE_EQUAL(d.said / a.deviation, 1.0, 0.07);
    }
}

/* One word for each bin, without trees: the weights of the delta method, each with the same noise. */
static double flat(const float counts[2 * BINS], double noise, double auc)
{
    double all[2] = { 0 }, under[2] = { 0 }, square = 0.0;

    for (size_t j = 0; j < 2 * BINS; j++)
        all[j / BINS] += (double)counts[j];
    for (size_t b = 0; b < BINS; b++) {
        const double f = (under[0] + 0.5 * (double)counts[b]) / all[0];
        const double g = (under[1] + 0.5 * (double)counts[BINS + b]) / all[1];

        square += pow((f - auc) / all[1], 2.0) + pow((1.0 - g - auc) / all[0], 2.0);
        under[0] += (double)counts[b];
        under[1] += (double)counts[BINS + b];
    }
    return noise * sqrt(square);
}

static void what_is_expected_of_the_noise_comes(void)
{
    const double shares[] = { 0.5, 0.1, 0.9 };

    for (size_t k = 0; k < FM_TEST_COUNT(shares); k++) {
        const double of_class[2] = { 2000.0 * (1.0 - shares[k]), 2000.0 * shares[k] };
        double each[FM_AUC_KINDS];
        float counts[2 * BINS], words[2 * BINS];
        fm_auc a = { 0 };

        fill(of_class[0], of_class[1], counts);
        grow(counts, BINS, words);
        noises(5.0, each);
        CU_ASSERT_TRUE(fm_auc_of_trees(words, BINS, each, &a));
        CU_ASSERT_DOUBLE_EQUAL(fm_auc_expected_deviation(BINS, 5.0, of_class) / a.deviation, 1.0,
                               0.15);
        CU_ASSERT_DOUBLE_EQUAL(a.deviation / flat(counts, 5.0, a.value), 0.63, 0.03);
    }
}

/* The squares of what a unit adds on the way to any bin are the bound's, less roundings, and never more. */
static void parts_keep_the_bound(void)
{
    const int64_t halves[] = { 45, 46, 47, 100, 741455, 741454, (int64_t)1 << 30, 1518500249 };

    for (size_t i = 0; i < FM_TEST_COUNT(halves); i++)
        for (size_t bins = 4; bins <= FM_AUC_BINS_MAX; bins *= 2) {
            int64_t parts[FM_AUC_KINDS], square = 0;
            size_t kinds = 0;

            CU_ASSERT_TRUE(fm_auc_bins_ok(bins));
            fm_auc_parts(halves[i], bins, parts);
            for (size_t kind = 0; kind < FM_AUC_KINDS; kind++) {
                square += parts[kind] * parts[kind];
                kinds += parts[kind] > 0;
            }
            CU_ASSERT(square <= halves[i] * halves[i]);
            CU_ASSERT((double)square >= 0.85 * (double)halves[i] * (double)halves[i]);
            CU_ASSERT_EQUAL((size_t)1 << (kinds - 1), bins);
            CU_ASSERT_EQUAL(fm_auc_kind(bins / 2), kinds - 1);
            CU_ASSERT_EQUAL(fm_auc_kind(bins - 1), kinds - 1);
        }
    CU_ASSERT_FALSE(fm_auc_bins_ok(2) || fm_auc_bins_ok(24) || fm_auc_bins_ok(128));
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
                                .held_parts = { 0.5, 0.25, 0.125 },
                                .held_noise = 0.02 };
}

/* Windows of two steps: the mean of a window is of units. */
static void a_window_has_its_own_scores(void)
{
    const double parts[] = { 0.5, 0.25, 0.125, 0.125 };
    const float first[N] = { 1.0f };
    const fm_optimizer_spec s = spec_of();
    fm_optimizer *o = NULL;
    fm_auc a = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_optimizer_new(&s, first, N, &o), FM_OK);
    CU_ASSERT_EQUAL(o->tail, 10);
    CU_ASSERT_FALSE(fm_optimizer_held_auc(o, &a));
    for (size_t t = 0; t < 4; t++) {
        /* Class 0 all in bin 1; class 1 in bin 2 in even steps, in bin 0 in odd ones. */
        float counts[8] = { 0, 4 }, sum[N] = { 0 };

        counts[4 + (t % 2 == 0 ? 2 : 0)] = 2.0f + 2.0f * (float)t;
        grow(counts, 4, sum + 3);
        for (size_t j = 0; j < 8; j++)
            sum[3 + j] *= (float)parts[j % 4];
        CU_ASSERT_EQUAL(fm_optimizer_step(o, sum, N), FM_OK);
        CU_ASSERT_EQUAL(o->weights[3], 4.0f);
        CU_ASSERT_EQUAL(o->weights[4], 4.0f); /* all of it in the lower half */
        CU_ASSERT_EQUAL(o->weights[5], -4.0f);
        CU_ASSERT_TRUE(fm_optimizer_held_auc(o, &a));
        CU_ASSERT_DOUBLE_EQUAL(a.value,
                               t == 0 || t == 2 ? 1.0
                               : t == 1         ? 1.0 / 3.0
                                                : 3.0 / 7.0,
                               1e-6);
        CU_ASSERT_TRUE(a.deviation > 0.0);
    }
    CU_ASSERT_EQUAL(o->weights[7], 7.0f); /* (6 + 8) / 2 */
    CU_ASSERT_EQUAL(o->weights[8], 1.0f); /* (8 - 6) / 2 */
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
    s.held_bins = 3;
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
    { "parts keep the bound", parts_keep_the_bound },
    { "a window has its own scores", a_window_has_its_own_scores },
    { "scores are of units held out", scores_are_of_units_held_out },
};

const fm_test_suite suite_auc = { "optim.auc", tests, FM_TEST_COUNT(tests) };
