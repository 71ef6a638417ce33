/* How a node's noise is split into levels: pure functions of lattice and number of participants. */
#include <math.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fm_test.h"
#include "mask_internal.h"
#include "shares_internal.h"

#define ROUNDING 1e-12

/* Of an imaginary sigma: fm_dp_lattice_make would choose one. */
static fm_dp_lattice lattice_of(uint32_t nodes, uint32_t quorum, uint32_t colluders, double sigma)
{
    return (fm_dp_lattice){ .clip_norm = 1.0,
                            .scale_log2 = 10,
                            .scale = 1024.0,
                            .sensitivity = 1024,
                            .word_bits = 32,
                            .sigma_share = sigma / sqrt((double)(quorum - colluders)),
                            .sigma_counted = sigma,
                            .max_units = 1,
                            .nodes = nodes,
                            .quorum = quorum,
                            .colluders = colluders };
}

/* Variance of the levels that stay, one by one. */
static double kept_variance(const fm_dp_levels *l, uint32_t survivors)
{
    double v = 0.0;

    for (uint32_t i = 0; i < fm_dp_levels_kept(l, survivors); i++)
        v += l->sigma[i] * l->sigma[i];
    return v;
}

/* Of the survivors less the colluders, over what is counted. */
static double excess(const fm_dp_lattice *lattice, const fm_dp_levels *l, uint32_t survivors)
{
    return (survivors - lattice->colluders) * kept_variance(l, survivors) /
           (lattice->sigma_counted * lattice->sigma_counted);
}

static void check_order(const fm_dp_lattice *lattice, const fm_dp_levels *l)
{
    CU_ASSERT_FATAL(l->count >= 1 && l->count <= FM_DP_LEVELS_MAX);
    CU_ASSERT_EQUAL(l->losses[l->count - 1], l->participants - lattice->quorum);
    for (uint32_t i = 0; i < l->count; i++) {
        CU_ASSERT(l->sigma[i] >= (i == 0 ? 10.0 : 2.5));
        CU_ASSERT(i == 0 || l->losses[i] > l->losses[i - 1]);
    }
    CU_ASSERT_EQUAL(fm_dp_levels_kept(l, lattice->quorum), l->count); /* nothing is surplus */
    CU_ASSERT_DOUBLE_EQUAL(kept_variance(l, lattice->quorum) /
                               (lattice->sigma_share * lattice->sigma_share),
                           1.0, ROUNDING);
}

static void what_stays_is_the_counted_noise_whoever_is_lost(void)
{
    size_t checked = 0;

    for (uint32_t n = 1; n <= FM_DP_EXACT_NODES; n++)
        for (uint32_t quorum = 1; quorum <= n; quorum++)
            for (uint32_t c = 0; c < quorum; c++) {
                fm_dp_lattice lattice = lattice_of(n + 3, quorum, c, 1e6);
                fm_dp_levels l = fm_dp_levels_of(&lattice, n);

                check_order(&lattice, &l);
                CU_ASSERT_EQUAL(l.count, n - quorum + 1);
                for (uint32_t survivors = quorum; survivors <= n; survivors++, checked++)
                    CU_ASSERT_DOUBLE_EQUAL(excess(&lattice, &l, survivors), 1.0, ROUNDING);
            }
    CU_ASSERT(checked > 5000);
}

/* Above that a bit more stays, never less. */
static void large_rounds_keep_at_most_a_twentythird_too_much(void)
{
    double most = 0.0;

    for (uint32_t n = 25; n <= 1024; n += 37)
        for (uint32_t c = 0; c <= n / 2; c += 1 + n / 5) {
            fm_dp_lattice lattice = lattice_of(n, (n + c) / 2 + 1, c, 1e6);
            fm_dp_levels l = fm_dp_levels_of(&lattice, n);

            check_order(&lattice, &l);
            CU_ASSERT(l.count < 20); /* the header says so */
            CU_ASSERT_EQUAL(l.losses[0], 0);
            CU_ASSERT_DOUBLE_EQUAL(excess(&lattice, &l, n), 1.0, ROUNDING);
            for (uint32_t survivors = lattice.quorum; survivors <= n; survivors++) {
                double e = excess(&lattice, &l, survivors);

                CU_ASSERT(e >= 1.0 - ROUNDING);
                most = e > most ? e : most;
            }
        }
    CU_ASSERT(most <= 1.0 + 1.0 / (FM_DP_EXACT_NODES - 1) + ROUNDING);
    CU_ASSERT(most > 1.03); /* merged levels were among them */
}

static void no_lattice_has_more_levels_than_there_is_room_for(void)
{
    uint32_t most = 0;

    for (uint32_t n = 1; n <= FM_DP_MAX_MEMBERS; n++) {
        fm_dp_lattice lattice = lattice_of(n, 1, 0, 0x1p25);
        fm_dp_levels l = fm_dp_levels_of(&lattice, n);

        most = l.count > most ? l.count : most;
    }
    CU_ASSERT(most > 100 && most <= FM_DP_LEVELS_MAX);
}

/* n = 22, t = 18, c = 1, sigma = 46: the first share is 46/sqrt(21) = 10.04, what makes it one for
 * a loss more 46/sqrt(420) = 2.24, for two 46 sqrt(2/399) = 3.26, and so on. */
static void a_level_that_would_be_too_narrow_is_merged_with_the_next(void)
{
    fm_dp_lattice lattice = lattice_of(22, 18, 1, 46.0);
    fm_dp_levels l = fm_dp_levels_of(&lattice, 22);

    check_order(&lattice, &l);
    CU_ASSERT_EQUAL_FATAL(l.count, 3);
    CU_ASSERT(l.losses[0] == 0 && l.losses[1] == 2 && l.losses[2] == 4);
    CU_ASSERT_DOUBLE_EQUAL(l.sigma[0], 46.0 / sqrt(21.0), 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(l.sigma[1], 46.0 * sqrt(1.0 / 19.0 - 1.0 / 21.0), 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(l.sigma[2], 46.0 * sqrt(1.0 / 17.0 - 1.0 / 19.0), 1e-9);
    CU_ASSERT_EQUAL(fm_dp_levels_kept(&l, 22), 1);
    CU_ASSERT_EQUAL(fm_dp_levels_kept(&l, 21), 2); /* as if two were lost */
    CU_ASSERT_EQUAL(fm_dp_levels_kept(&l, 20), 2);
    CU_ASSERT_EQUAL(fm_dp_levels_kept(&l, 19), 3);
}

/* t = 19: 46/sqrt(342) = 2.49, all that is left for the third loss, is too narrow. */
static void what_is_left_at_the_end_goes_to_the_level_before(void)
{
    fm_dp_lattice lattice = lattice_of(22, 19, 1, 46.0);
    fm_dp_levels l = fm_dp_levels_of(&lattice, 22);

    check_order(&lattice, &l);
    CU_ASSERT_EQUAL_FATAL(l.count, 2);
    CU_ASSERT(l.losses[0] == 0 && l.losses[1] == 3);
    CU_ASSERT_DOUBLE_EQUAL(l.sigma[1], 46.0 * sqrt(1.0 / 18.0 - 1.0 / 21.0), 1e-9);
}

/* sigma = 18: 18/sqrt(5) = 8.05 and 18/2 are below 10 already, 18/sqrt(3) = 10.4 is not. */
static void the_first_level_may_have_to_wait_too(void)
{
    fm_dp_lattice lattice = lattice_of(6, 4, 1, 18.0);
    fm_dp_levels l = fm_dp_levels_of(&lattice, 6);

    check_order(&lattice, &l);
    CU_ASSERT_EQUAL(l.count, 1);
    CU_ASSERT_EQUAL(l.losses[0], 2);
}

static void merged_levels_never_keep_too_little(void)
{
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 3);
    size_t merged = 0;

    for (int i = 0; i < 3000; i++) {
        uint32_t n = 2 + (uint32_t)fm_rng_below(&r, 40);
        uint32_t quorum = 1 + (uint32_t)fm_rng_below(&r, n);
        uint32_t c = (uint32_t)fm_rng_below(&r, quorum);
        double least = 10.0 * sqrt((double)(quorum - c));
        fm_dp_lattice lattice = lattice_of(n, quorum, c, least * exp(5.0 * fm_rng_unit(&r)));
        fm_dp_levels l = fm_dp_levels_of(&lattice, n);

        check_order(&lattice, &l);
        merged += l.count < n - quorum + 1;
        for (uint32_t survivors = quorum; survivors <= n; survivors++)
            CU_ASSERT(excess(&lattice, &l, survivors) >= 1.0 - ROUNDING);
    }
    CU_ASSERT(merged > 300);
}

static void with_as_many_nodes_as_the_quorum_there_is_one_level(void)
{
    fm_dp_lattice lattice = lattice_of(9, 5, 2, 1e5);
    fm_dp_levels l = fm_dp_levels_of(&lattice, 5);

    CU_ASSERT_EQUAL(l.count, 1);
    CU_ASSERT_DOUBLE_EQUAL(l.sigma[0], lattice.sigma_share, 1e-6);
    CU_ASSERT_EQUAL(fm_dp_levels_kept(&l, 5), 1);
}

static void local_noise_is_one_level_that_is_all_of_it(void)
{
    fm_dp_lattice lattice = lattice_of(9, 5, 2, 1e5);

    lattice.local = true;
    for (uint32_t n = 5; n <= 9; n++) {
        fm_dp_levels l = fm_dp_levels_of(&lattice, n);

        CU_ASSERT_EQUAL_FATAL(l.count, 1);
        CU_ASSERT_DOUBLE_EQUAL(l.sigma[0], 1e5, 1e-6);
        CU_ASSERT(l.sigma[0] >= 1e5);
        for (uint32_t survivors = 5; survivors <= n; survivors++)
            CU_ASSERT_EQUAL(fm_dp_levels_kept(&l, survivors), 1);
    }
}

static void without_noise_there_is_no_level(void)
{
    fm_dp_lattice lattice = lattice_of(9, 5, 2, 0.0);
    uint32_t sum[2] = { 7, 8 };
    fm_dp_shares *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_dp_shares_new(&lattice, 6, &s), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_shares_levels(s), 0);
    CU_ASSERT_EQUAL(fm_dp_shares_surplus(s, 6), 0);
    CU_ASSERT_EQUAL(fm_dp_shares_sigma(s, 5), 0.0);
    CU_ASSERT_EQUAL(fm_dp_shares_subtract(s, 6, NULL, 0, sum, 2), FM_OK);
    CU_ASSERT(sum[0] == 7 && sum[1] == 8);
    fm_dp_shares_free(&s);
}

static void a_round_that_the_plan_does_not_allow_has_no_shares(void)
{
    fm_dp_lattice lattice = lattice_of(9, 5, 2, 1e5);
    fm_dp_shares *s = NULL;

    CU_ASSERT_EQUAL(fm_dp_shares_new(&lattice, 4, &s), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "quorum"));
    CU_ASSERT_EQUAL(fm_dp_shares_new(&lattice, 10, &s), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_shares_new(&lattice, 0, &s), FM_EINVAL);
    lattice.nodes = UINT32_MAX;
    CU_ASSERT_EQUAL(fm_dp_shares_new(&lattice, FM_DP_MAX_MEMBERS + 1, &s), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_shares_new(NULL, 5, &s), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_shares_new(&lattice, 5, NULL), FM_EINVAL);
    CU_ASSERT_PTR_NULL(s);
}

static void shares_are_made_anew_only_for_another_round(void)
{
    fm_dp_lattice lattice = lattice_of(9, 5, 2, 1e5), local = lattice;
    fm_dp_shares *s = NULL, *first;

    local.local = true;
    CU_ASSERT_EQUAL_FATAL(fm_dp_shares_fit(&s, &lattice, 6), FM_OK);
    first = s;
    CU_ASSERT_EQUAL(fm_dp_shares_fit(&s, &lattice, 6), FM_OK);
    CU_ASSERT_PTR_EQUAL(s, first);
    CU_ASSERT_EQUAL(fm_dp_shares_levels(s), 2);
    CU_ASSERT_EQUAL(fm_dp_shares_fit(&s, &lattice, 8), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_shares_levels(s), 4);
    CU_ASSERT_EQUAL(fm_dp_shares_fit(&s, &local, 8), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_shares_levels(s), 1);
    CU_ASSERT_EQUAL(fm_dp_shares_fit(&s, &lattice, 3), FM_EINVAL);
    CU_ASSERT_PTR_NULL(s);
    fm_dp_shares_free(&s);
    fm_dp_shares_free(NULL);
}

static void exactly_the_surplus_is_taken_off(void)
{
    static const uint8_t seeds[3][FM_DP_NOISE_SEED_BYTES] = { { 1 }, { 2 }, { 3 } };
    fm_dp_lattice lattice = lattice_of(9, 5, 2, 1e5);
    uint32_t sum[5] = { 1, 2, 3, 4, 5 }, want[5];
    int32_t noise[5];
    fm_dp_shares *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_dp_shares_new(&lattice, 8, &s), FM_OK);
    for (uint32_t count = 0; count <= 3; count++)
        if (count != 2) {
            CU_ASSERT_EQUAL(fm_dp_shares_subtract(s, 7, seeds, count, sum, 5), FM_EPROTO);
        }
    CU_ASSERT_EQUAL(fm_dp_shares_subtract(s, 4, seeds, 0, sum, 5), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_shares_subtract(s, 9, seeds, 3, sum, 5), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_shares_subtract(s, 7, NULL, 2, sum, 5), FM_EINVAL);
    memcpy(want, sum, sizeof want);
    CU_ASSERT(want[0] == 1 && want[4] == 5); /* refused: unchanged */
    for (uint32_t i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(fm_dp_shares_expand(s, 2 + i, seeds[i], noise, 5),
                        FM_OK); /* levels 0 and 1 stay with one lost */
        for (int j = 0; j < 5; j++)
            want[j] -= (uint32_t)noise[j];
    }
    CU_ASSERT_EQUAL(fm_dp_shares_subtract(s, 7, seeds, 2, sum, 5), FM_OK);
    CU_ASSERT_EQUAL(memcmp(sum, want, sizeof sum), 0);
    fm_dp_shares_free(&s);
}

static const fm_test g_tests[] = {
    { "what stays is the counted noise, whoever is lost",
      what_stays_is_the_counted_noise_whoever_is_lost },
    { "large rounds keep at most a 23rd too much",
      large_rounds_keep_at_most_a_twentythird_too_much },
    { "no lattice has more levels than there is room for",
      no_lattice_has_more_levels_than_there_is_room_for },
    { "a level that would be too narrow is merged with the next",
      a_level_that_would_be_too_narrow_is_merged_with_the_next },
    { "what is left at the end goes to the level before",
      what_is_left_at_the_end_goes_to_the_level_before },
    { "the first level may have to wait too", the_first_level_may_have_to_wait_too },
    { "merged levels never keep too little (else: less noise than is counted)",
      merged_levels_never_keep_too_little },
    { "with as many nodes as the quorum there is one level",
      with_as_many_nodes_as_the_quorum_there_is_one_level },
    { "local noise is one level that is all of it", local_noise_is_one_level_that_is_all_of_it },
    { "without noise there is no level", without_noise_there_is_no_level },
    { "a round that the plan does not allow has no shares",
      a_round_that_the_plan_does_not_allow_has_no_shares },
    { "shares are made anew only for another round", shares_are_made_anew_only_for_another_round },
    { "exactly the surplus is taken off", exactly_the_surplus_is_taken_off },
};

const fm_test_suite fm_suite_dp_shares = { "dp.shares", g_tests, FM_TEST_COUNT(g_tests) };
