/* The audit's statistics, its canaries and its file. */
#include "fedmoe/dp/audit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "audit_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/dp/sample.h"
#include "fm_test.h"
#include "sum_internal.h"

extern const fm_test_suite fm_suite_dp_audit;

static double p_value(uint32_t m, uint32_t r, uint32_t v, double epsilon, double delta)
{
    double p = -1.0;

    CU_ASSERT_EQUAL_FATAL(fm_dp_audit_p_value(m, r, v, epsilon, delta, &p), FM_OK);
    return p;
}

/* Computed with 60 digits from the theorem's formula; the fifth is the paper's own example. */
static void p_values_are_those_of_the_theorem(void)
{
    static const struct {
        uint32_t m, r, v;
        double epsilon, delta, p;
    } known[] = {
        { 1000, 1000, 800, 1.0, 1e-5, 2.088228568679883e-04 },
        { 1000, 100, 75, 0.5, 1e-4, 1.458720765135130e-02 },
        { 1000, 500, 450, 1.5, 1e-5, 3.477418600634136e-04 },
        { 10000, 10000, 6000, 0.3, 1e-6, 5.681548502561927e-05 },
        { 100, 100, 75, 1.09861228866810969, 0.0, 5.534708238482482e-01 },
        { 1000, 1000, 1000, 5.0, 0.0, 1.212163512515791e-03 },
        { 1000, 1000, 600, 0.1, 1e-8, 1.264870069255498e-06 },
        { 500, 64, 64, 2.0, 1e-6, 3.829605544943149e-04 },
        { 1000, 1000, 900, 0.0, 0.0, 6.701717790006296e-162 },
    };

    for (size_t i = 0; i < FM_TEST_COUNT(known); i++) {
        double p = p_value(known[i].m, known[i].r, known[i].v, known[i].epsilon, known[i].delta);

        CU_ASSERT(p >= known[i].p * (1.0 - 1e-13)); /* rounded up, if at all */
        CU_ASSERT(p <= known[i].p * (1.0 + 1e-7));
    }
}

/* All 2^r outcomes of r coins that fall right with probability w each, and every i. */
static double p_by_enumeration(uint32_t m, uint32_t r, uint32_t v, double w, double delta)
{
    double mass[32] = { 0 }, tail = 0.0, alpha = 0.0;

    for (uint32_t outcome = 0; outcome < 1u << r; outcome++) {
        double p = 1.0;
        uint32_t right = 0;

        for (uint32_t i = 0; i < r; i++) {
            bool heads = outcome >> i & 1;

            right += heads;
            p *= heads ? w : 1.0 - w;
        }
        mass[right] += p;
    }
    for (uint32_t k = v; k <= r; k++)
        tail += mass[k];
    for (uint32_t i = 1; i <= v; i++) {
        double below = 0.0;

        for (uint32_t k = v - i; k < v; k++)
            below += mass[k];
        alpha = fmax(alpha, below / i);
    }
    return fmin(tail + 2.0 * m * delta * alpha, 1.0);
}

static void p_values_agree_with_counting_every_outcome(void)
{
    for (uint32_t r = 1; r <= 12; r++)
        for (uint32_t v = 0; v <= r; v++)
            for (int e = 0; e <= 6; e++)
                for (int d = 0; d <= 2; d++) {
                    double epsilon = 0.7 * e, delta = d == 0 ? 0.0 : pow(10.0, -2 * d);
                    double want = p_by_enumeration(20, r, v, 1.0 / (1.0 + exp(-epsilon)), delta);

                    CU_ASSERT_DOUBLE_EQUAL(p_value(20, r, v, epsilon, delta), want, 3e-8 * want);
                }
}

static void p_values_move_as_they_must(void)
{
    double last = 0.0;

    for (int e = 0; e <= 80; e++) { /* a larger epsilon explains more */
        double p = p_value(1000, 200, 170, 0.1 * e, 1e-6);

        CU_ASSERT(p >= last);
        last = p;
    }
    for (uint32_t v = 1; v <= 200; v++) /* more right guesses are harder to explain */
        CU_ASSERT(p_value(1000, 200, v, 1.0, 0.0) <= p_value(1000, 200, v - 1, 1.0, 0.0));
    CU_ASSERT(p_value(1000, 200, 190, 1.0, 1e-6) > p_value(1000, 200, 190, 1.0, 0.0));
    CU_ASSERT_EQUAL(p_value(1000, 200, 0, 1.0, 0.0), 1.0);
    CU_ASSERT_EQUAL(p_value(100000, 100000, 100000, 0.0, 0.0), 0.0); /* below any double */
    CU_ASSERT_EQUAL(p_value(100000, 100000, 100000, 1e6, 1.0), 1.0);
}

static void arguments_out_of_range_are_refused(void)
{
    double p = -1.0;

    CU_ASSERT_EQUAL(fm_dp_audit_p_value(10, 11, 1, 1.0, 0.0, &p), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_audit_p_value(10, 10, 11, 1.0, 0.0, &p), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_audit_p_value(10, 0, 0, 1.0, 0.0, &p), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_audit_p_value(FM_DP_AUDIT_MAX_CANARIES + 1, 1, 1, 1.0, 0.0, &p),
                    FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_audit_p_value(10, 10, 5, -0.1, 0.0, &p), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_audit_p_value(10, 10, 5, NAN, 0.0, &p), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_audit_p_value(10, 10, 5, 1.0, NAN, &p), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_audit_p_value(10, 10, 5, 1.0, 1.1, &p), FM_EINVAL);
    CU_ASSERT_EQUAL(p, -1.0);
}

static const fm_dp_mechanism g_claim = { .noise_multiplier = 4.0,
                                         .sampling_rate = 1.0,
                                         .count = 1 };

static fm_dp_observations observe_nothing(uint32_t m)
{
    fm_dp_observations o = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_dp_observations_new(m, &g_claim, 1e-5, &o), FM_OK);
    return o;
}

static double bound_of(const fm_dp_observations *o, double delta, double confidence)
{
    fm_dp_audit_bound b = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_dp_audit_bound_of(o, delta, confidence, &b), FM_OK);
    return b.epsilon;
}

/* Each coin is told with probability e^epsilon / (1 + e^epsilon): exactly epsilon-DP, and the
 * worst that is. */
static void respond(fm_dp_observations *o, double epsilon, fm_rng *rng)
{
    for (uint32_t i = 0; i < o->canaries; i++) {
        bool told = fm_rng_unit(rng) < 1.0 / (1.0 + exp(-epsilon));

        o->included[i] = (uint8_t)fm_rng_below(rng, 2);
        o->scores[i] = (o->included[i] == 1) == told ? 1.0 : 0.0;
        o->scores[i] += 1e-3 * fm_rng_unit(rng);
    }
}

/*
 * The bound must fail with probability 5 % at most. That more than 90 of 1000 runs fail has
 * probability 6e-8 at most, if it holds (binomial tail at 0.05); the seeds are fixed. Without the
 * correction for the several sets of guesses 12 % of the first two fail.
 */
static void the_bound_keeps_its_confidence(void)
{
    static const double truths[] = { 0.0, 1.0, 3.0 };

    for (size_t t = 0; t < FM_TEST_COUNT(truths); t++) {
        fm_dp_observations o = observe_nothing(200);
        fm_rng_seed seed;
        fm_rng rng = fm_rng_seeded(&seed, 900 + t);
        double total = 0.0;
        int failed = 0;

        for (int run = 0; run < 1000; run++) {
            double bound;

            respond(&o, truths[t], &rng);
            bound = bound_of(&o, 0.0, 0.95);
            failed += bound > truths[t];
            total += bound;
        }
        CU_ASSERT(failed <= 90);
        CU_ASSERT(truths[t] == 0.0 || total / 1000 > 0.4 * truths[t]); /* and is worth something */
        printf(
            "\n  seed %zu: true epsilon %.1f, bound above it in %d of 1000 runs, %.3f on average",
            900 + t, truths[t], failed, total / 1000);
        fm_dp_observations_fini(&o);
    }
}

static void right_guesses_raise_the_bound_and_caution_lowers_it(void)
{
    fm_dp_observations o = observe_nothing(1000);
    double all;

    for (uint32_t i = 0; i < 1000; i++) {
        o.included[i] = i % 2 == 0;
        o.scores[i] = o.included[i] ? 1.0 + i : -1.0 - i;
    }
    all = bound_of(&o, 1e-9, 0.95);
    CU_ASSERT(all > 4.5 && all < log(1000.0)); /* all of 1000 right */
    CU_ASSERT(bound_of(&o, 1e-9, 0.9999) < all);
    CU_ASSERT(bound_of(&o, 1e-4, 0.95) < all);
    for (uint32_t i = 0; i < 1000; i++)
        o.included[i] = (uint8_t)!o.included[i]; /* all wrong */
    CU_ASSERT_EQUAL(bound_of(&o, 1e-9, 0.95), 0.0);
    for (uint32_t i = 0; i < 1000; i++)
        o.scores[i] = 0.0; /* ties say nothing */
    CU_ASSERT(bound_of(&o, 1e-9, 0.95) < 0.5);
    fm_dp_observations_fini(&o);
}

static void scores_are_log_likelihood_ratios(void)
{
    for (int i = -40; i <= 40; i++)
        for (int k = 1; k <= 10; k++) {
            double x = 0.25 * i, z = 0.5 * k;
            double ratio = exp(-(x - 1) * (x - 1) / (2 * z * z) + x * x / (2 * z * z));

            CU_ASSERT_DOUBLE_EQUAL(fm_dp_canary_ratio(x, z, 0.3), log(0.7 + 0.3 * ratio), 1e-9);
            CU_ASSERT_DOUBLE_EQUAL(fm_dp_canary_ratio(x, z, 1.0), log(ratio), 1e-9);
        }
    CU_ASSERT(isfinite(fm_dp_canary_ratio(10.0, 1e-6, 0.5)));
    CU_ASSERT(isfinite(fm_dp_canary_ratio(-10.0, 1e-6, 0.5)));
}

#define COORDINATES 40u

static void canaries_are_clipped_units_in_coordinates_of_their_own(void)
{
    const fm_dp_lattice_spec spec = {
        .clip_norm = 2.0, .noise_multiplier = 1.0, .max_units = 100, .nodes = 1, .quorum = 1
    };
    float record[COORDINATES];
    uint32_t words[COORDINATES];
    fm_dp_canaries *c = NULL;
    fm_dp_sum *sum = NULL;
    fm_dp_lattice lattice;
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 77);
    uint32_t included = 0;

    for (uint32_t i = 0; i < COORDINATES; i++)
        record[i] = (float)i - 7.5f;
    CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&spec, &lattice), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&lattice, COORDINATES, &sum), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_canaries_new(COORDINATES, COORDINATES, 2.0, &g_claim, &rng, &c),
                          FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_add_unit(sum, record), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_canaries_add(c, 1.0, sum, &rng), FM_OK);
    for (uint32_t i = 0; i < COORDINATES; i++)
        words[i] = (uint32_t)sum->total[i];
    fm_dp_canaries_observe(c, &lattice, words);
    for (uint32_t i = 0; i < COORDINATES; i++) {
        bool in = fm_dp_canaries_included(c)[i];

        included += in;
        /* Exactly the sensitivity, where it is in: x = 1; else x = 0, whatever the record was. */
        CU_ASSERT_EQUAL(fm_dp_canaries_scores(c)[i], fm_dp_canary_ratio(in, 4.0, 1.0));
    }
    CU_ASSERT(included > 0 && included < COORDINATES);
    CU_ASSERT_EQUAL(fm_dp_sum_units(sum), 1 + included);
    fm_dp_sum_free(&sum);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&lattice, COORDINATES + 1, &sum), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_canaries_add(c, 1.0, sum, &rng), FM_EINVAL);
    fm_dp_sum_free(&sum);
    fm_dp_canaries_free(&c);
    CU_ASSERT_EQUAL(fm_dp_canaries_new(COORDINATES + 1, COORDINATES, 2.0, &g_claim, &rng, &c),
                    FM_EINVAL);
    CU_ASSERT_PTR_NULL(c);
}

/*
 * On a lattice whose units have more steps than the wire: what the audit sees is off by the one
 * rounding of the sum, half a step of 64, and nothing of the record is left in it.
 */
static void canaries_are_found_below_the_rounding_of_the_fast_encoding(void)
{
    const fm_dp_lattice_spec spec = { .clip_norm = 2.0,
                                      .noise_multiplier = 1.0,
                                      .max_units = 1u << 24,
                                      .nodes = 1,
                                      .quorum = 1,
                                      .encoding = FM_DP_FAST };
    float record[COORDINATES];
    uint32_t words[COORDINATES];
    int64_t total[COORDINATES];
    fm_dp_canaries *c = NULL;
    fm_dp_sum *sum = NULL;
    fm_dp_lattice lattice;
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 78);

    for (uint32_t i = 0; i < COORDINATES; i++)
        record[i] = (float)i - 17.5f;
    CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&spec, &lattice), FM_OK);
    CU_ASSERT_FATAL(lattice.shift > 8);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&lattice, COORDINATES, &sum), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_canaries_new(COORDINATES, COORDINATES, 2.0, &g_claim, &rng, &c),
                          FM_OK);
    CU_ASSERT_EQUAL(fm_dp_sum_add_unit(sum, record), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_canaries_add(c, 1.0, sum, &rng), FM_OK);
    fm_dp_sum_peek64_for_tests(sum, total);
    for (uint32_t i = 0; i < COORDINATES; i++)
        words[i] = (uint32_t)(int64_t)floor(ldexp((double)total[i], -(int)lattice.shift) + 0.5);
    fm_dp_canaries_observe(c, &lattice, words);
    for (uint32_t i = 0; i < COORDINATES; i++) {
        const double in = fm_dp_canaries_included(c)[i], off = 0.501 / (double)lattice.sensitivity;
        const double score = fm_dp_canaries_scores(c)[i];

        CU_ASSERT(score >= fm_dp_canary_ratio(in - off, 4.0, 1.0) &&
                  score <= fm_dp_canary_ratio(in + off, 4.0, 1.0));
    }
    fm_dp_sum_free(&sum);
    fm_dp_canaries_free(&c);
}

/* n = 100,000 at each rate: 6 deviations, false alarm below 2e-9 each; the ends exactly. */
static void sampling_is_at_its_rate(void)
{
    static const double rates[] = { 1e-3, 0.1, 0.5, 0.9 };
    const size_t n = 100000;
    uint32_t *out = calloc(n, sizeof *out);
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 5);

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    for (size_t i = 0; i < FM_TEST_COUNT(rates); i++) {
        size_t drawn = fm_dp_sample_units(rates[i], n, &rng, out);
        double mean = rates[i] * (double)n;

        CU_ASSERT_DOUBLE_EQUAL((double)drawn, mean, 6.0 * sqrt(mean * (1.0 - rates[i])));
        for (size_t k = 1; k < drawn; k++)
            CU_ASSERT(out[k] > out[k - 1] && out[k] < n);
    }
    CU_ASSERT_EQUAL(fm_dp_sample_units(1.0, n, &rng, out), n);
    CU_ASSERT_EQUAL(fm_dp_sample_units(0.0, n, &rng, out), 0);
    CU_ASSERT_EQUAL(fm_dp_sample_units(NAN, n, &rng, out), 0);
    CU_ASSERT_EQUAL(fm_dp_sample_units(-1.0, n, &rng, out), 0);
    CU_ASSERT_EQUAL(fm_dp_sample_units(0.5, 0, &rng, out), 0);
    free(out);
}

static void a_file_comes_back_as_it_was(void)
{
    fm_dp_observations o = observe_nothing(50), back = { 0 };
    char dir[512], path[600];
    struct stat info;

    fm_test_tmpdir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/audit.json", dir);
    for (uint32_t i = 0; i < 50; i++) {
        o.included[i] = i % 3 == 0;
        o.scores[i] = 1.0 / 3.0 * i - 4.0;
    }
    o.mechanism = (fm_dp_mechanism){ 1.0 / 3.0, 0.1, 77, FM_DP_GAUSSIAN, 0 };
    CU_ASSERT_EQUAL_FATAL(fm_dp_observations_write(path, &o), FM_OK);
    CU_ASSERT_EQUAL_FATAL(stat(path, &info), 0);
    CU_ASSERT_EQUAL(info.st_mode & 0777, 0600);
    CU_ASSERT_EQUAL_FATAL(fm_dp_observations_read(path, &back), FM_OK);
    CU_ASSERT_EQUAL_FATAL(back.canaries, 50);
    CU_ASSERT_EQUAL(back.mechanism.noise_multiplier, 1.0 / 3.0);
    CU_ASSERT_EQUAL(back.mechanism.sampling_rate, 0.1);
    CU_ASSERT_EQUAL(back.mechanism.count, 77);
    CU_ASSERT_EQUAL(back.delta, 1e-5);
    CU_ASSERT_EQUAL(memcmp(back.included, o.included, 50), 0);
    CU_ASSERT_EQUAL(memcmp(back.scores, o.scores, 50 * sizeof *o.scores), 0);
    fm_dp_observations_fini(&o);
    fm_dp_observations_fini(&back);
}

#define HEAD "{\"format\": \"fedmoe audit 1\", "
#define FIGURES "\"noise_multiplier\": 4, \"sampling_rate\": 0.5, \"rounds\": 3, \"delta\": 1e-5, "
#define COINS "\"included\": \"0110100110010110\", "
#define SCORES "\"scores\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16"

static void files_that_do_not_hold_are_refused_and_say_why(void)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        { "", "a.json" },
        { "[]", "not a file" },
        { "{\"format\": \"fedmoe audit 2\"}", "not a file" },
        { HEAD COINS SCORES "]}", "noise_multiplier" },
        { HEAD FIGURES SCORES "]}", "canaries" },
        { HEAD FIGURES COINS "\"scores\": []}", "as long" },
        { HEAD FIGURES COINS "\"scores\": 3}", "as long" },
        { HEAD FIGURES COINS SCORES ",17]}", "as long" },
        { HEAD FIGURES "\"included\": \"01101001100101x0\", " SCORES "]}", "0 and 1" },
        { HEAD FIGURES "\"included\": \"011010011001011\\u0000\", " SCORES "]}", "" },
        { HEAD FIGURES COINS "\"scores\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,null]}",
          "score 16" },
        { HEAD "\"noise_multiplier\": 0, \"sampling_rate\": 0.5, \"rounds\": 3, "
               "\"delta\": 1e-5, " COINS SCORES "]}",
          "noise multiplier" },
        { HEAD "\"noise_multiplier\": 4, \"sampling_rate\": 1.5, \"rounds\": 3, "
               "\"delta\": 1e-5, " COINS SCORES "]}",
          "sampling" },
        { HEAD "\"noise_multiplier\": 4, \"sampling_rate\": 0.5, \"rounds\": 2.5, "
               "\"delta\": 1e-5, " COINS SCORES "]}",
          "rounds" },
        { HEAD "\"noise_multiplier\": 4, \"sampling_rate\": 0.5, \"rounds\": 3, "
               "\"delta\": 0, " COINS SCORES "]}",
          "delta" },
    };
    static const char good[] = HEAD FIGURES COINS SCORES "]}";
    fm_dp_observations o = { 0 };

    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        CU_ASSERT_EQUAL(fm_dp_observations_parse("a.json", bad[i].text, strlen(bad[i].text), &o),
                        FM_EPROTO);
        CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), bad[i].says));
        CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "a.json"));
    }
    for (size_t len = 0; len < sizeof good - 1; len++)
        CU_ASSERT_EQUAL(fm_dp_observations_parse("a.json", good, len, &o), FM_EPROTO);
    CU_ASSERT_PTR_NULL(o.scores);
    CU_ASSERT_EQUAL(fm_dp_observations_parse("a.json", good, sizeof good - 1, &o), FM_OK);
    CU_ASSERT_EQUAL(o.canaries, 16);
    fm_dp_observations_fini(&o);
}

static const fm_test tests[] = {
    { "p-values are those of the theorem", p_values_are_those_of_the_theorem },
    { "p-values agree with counting every outcome", p_values_agree_with_counting_every_outcome },
    { "p-values move as they must", p_values_move_as_they_must },
    { "arguments out of range are refused", arguments_out_of_range_are_refused },
    { "the bound keeps its confidence (false alarm: 2e-7)", the_bound_keeps_its_confidence },
    { "right guesses raise the bound, and caution lowers it",
      right_guesses_raise_the_bound_and_caution_lowers_it },
    { "scores are log likelihood ratios", scores_are_log_likelihood_ratios },
    { "canaries are clipped units in coordinates of their own, the records taken off",
      canaries_are_clipped_units_in_coordinates_of_their_own },
    { "canaries are found below the rounding of the fast encoding",
      canaries_are_found_below_the_rounding_of_the_fast_encoding },
    { "sampling is at its rate (false alarm: 8e-9)", sampling_is_at_its_rate },
    { "a file comes back as it was", a_file_comes_back_as_it_was },
    { "files that do not hold are refused and say why",
      files_that_do_not_hold_are_refused_and_say_why },
};

const fm_test_suite fm_suite_dp_audit = { "dp.audit", tests, FM_TEST_COUNT(tests) };
