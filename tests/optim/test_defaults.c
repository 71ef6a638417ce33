/* Whatever the case, the defaults are settings that a plan can have. */
#include <math.h>

#include "fedmoe/optim/defaults.h"
#include "suites.h"

static void any_case_has_settings_within_their_ranges(void)
{
    static const double units[] = { 1, 30, 600, 5e3, 3e4, 1e6, 1.6e7 };
    static const double deltas[] = { 0.1, 1e-3, 1e-6, 1e-12 }; /* those of a plan */

    for (size_t i = 0; i < FM_TEST_COUNT(units); i++)
        for (size_t j = 0; j < FM_TEST_COUNT(deltas); j++)
            for (size_t outputs = 0; outputs <= 5; outputs += 5) {
                const fm_training_case c = { .units = units[i],
                                             .delta = deltas[j],
                                             .outputs = outputs };
                fm_training t;

                fm_training_defaults(&c, &t);
                CU_ASSERT(t.clip_norm >= 1e-6 && t.clip_norm <= 1e6);
                CU_ASSERT(t.sampling_rate >= 1e-6 && t.sampling_rate <= 1.0);
                CU_ASSERT(t.rounds >= 1 && t.rounds <= 16384);
                CU_ASSERT(t.learning_rate >= 1e-9 && t.learning_rate <= 1e6);
                CU_ASSERT(t.momentum >= 0.0 && t.momentum < 1.0);
                CU_ASSERT(t.beta2 >= 0.0 && t.beta2 < 1.0);
                CU_ASSERT(t.adam_epsilon >= 1e-12 && t.adam_epsilon <= 1.0);
                CU_ASSERT(t.averaging >= 0.0 && t.averaging < 1.0);
                CU_ASSERT(t.warmup >= 0.0 && t.warmup < 1.0);
                CU_ASSERT(t.final_rate >= 0.0 && t.final_rate <= 1.0);
                CU_ASSERT(t.load_share >= 0.0 && t.load_share <= 0.5);
                CU_ASSERT(t.clip_quantile >= 0.0 && t.clip_quantile < 1.0);
                CU_ASSERT((t.clip_quantile > 0.0) == (t.clip_share > 0.0));
                CU_ASSERT_FALSE(t.start);
            }
}

/* docs/model.md: sqrt(T) C / (2 mu n), and mu is that of epsilon 8 at delta 1e-4 (delta of
 * mu: Balle and Wang 2018, theorem 8, solved elsewhere). */
static void adams_divisor_is_half_of_the_noise_at_epsilon_8(void)
{
    const fm_training_case c = { .units = 1000.0, .delta = 1e-4 };
    const double mu = 1.84136627;
    fm_training t;

    fm_training_defaults(&c, &t);
    CU_ASSERT_DOUBLE_EQUAL(t.adam_epsilon, sqrt(160.0) * 0.5 / (2.0 * mu * 1000.0), 1e-9);
}

/* The statistics round is a round more: the others are not fewer for it. */
static void a_statistics_round_is_one_round_more(void)
{
    fm_training_case c = { .units = 600.0, .delta = 1e-4 };
    fm_training without, with;

    fm_training_defaults(&c, &without);
    c.start = true;
    fm_training_defaults(&c, &with);
    CU_ASSERT(with.start);
    CU_ASSERT_EQUAL(with.rounds, without.rounds + 1);
    CU_ASSERT_EQUAL(with.adam_epsilon, without.adam_epsilon);
}

/* Among several classes a record's gradient is longer: p - y has more than one part. */
static void classes_are_clipped_later(void)
{
    fm_training_case c = { .units = 5e3, .delta = 1e-4 };
    fm_training one, several;

    fm_training_defaults(&c, &one);
    c.outputs = 1;
    fm_training_defaults(&c, &several);
    CU_ASSERT_EQUAL(several.clip_norm, one.clip_norm);
    c.outputs = 5;
    fm_training_defaults(&c, &several);
    CU_ASSERT(several.clip_norm > one.clip_norm);
    CU_ASSERT_DOUBLE_EQUAL(several.adam_epsilon / several.clip_norm,
                           one.adam_epsilon / one.clip_norm, 1e-12);
}

/* A number's learning rate is half of the others', whatever else. */
static void a_number_is_learned_more_slowly(void)
{
    fm_training_case c = { .units = 5e3, .delta = 1e-4 };
    fm_training binary, number;

    fm_training_defaults(&c, &binary);
    c.number = true;
    c.outputs = 1;
    fm_training_defaults(&c, &number);
    CU_ASSERT_EQUAL(number.learning_rate, binary.learning_rate / 2.0);
    CU_ASSERT_EQUAL(number.clip_norm, binary.clip_norm);
}

/* Of few texts more in a round; what is not theirs is not asked for. */
static void texts_are_trained_without_tuning_too(void)
{
    static const double units[] = { 1.0, 100.0, 1e3, 1e6 };

    for (size_t i = 0; i < FM_TEST_COUNT(units); i++) {
        fm_training_case c = { .units = units[i], .delta = 1e-4, .start = true };
        fm_training t, open;

        fm_training_text_defaults(&c, &t);
        c.no_privacy = true;
        fm_training_text_defaults(&c, &open);
        CU_ASSERT(open.sampling_rate <= t.sampling_rate);
        CU_ASSERT(open.rounds > t.rounds);
        CU_ASSERT(t.sampling_rate > 0.0 && t.sampling_rate <= 1.0);
        CU_ASSERT(t.sampling_rate * units[i] >= fmin(units[i], 1000.0));
        CU_ASSERT(t.rounds > 1 && t.learning_rate > 0.0 && t.clip_norm > 0.0);
        CU_ASSERT(t.clip_quantile > 0.0 && t.clip_rate > 0.0);
        CU_ASSERT(t.clip_share > 0.0 && t.clip_share <= 0.5);
        CU_ASSERT(t.load_share == 0.0 && !t.start);
    }
}

static const fm_test tests[] = {
    { "a statistics round is one round more", a_statistics_round_is_one_round_more },
    { "any case has settings within their ranges", any_case_has_settings_within_their_ranges },
    { "Adam's divisor is half of the noise at epsilon 8",
      adams_divisor_is_half_of_the_noise_at_epsilon_8 },
    { "classes are clipped later", classes_are_clipped_later },
    { "a number is learned more slowly", a_number_is_learned_more_slowly },
    { "texts are trained without tuning, too", texts_are_trained_without_tuning_too },
};

const fm_test_suite suite_defaults = { "optim.defaults", tests, FM_TEST_COUNT(tests) };
