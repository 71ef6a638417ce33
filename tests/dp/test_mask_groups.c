/* Masks within groups: they cancel in each group's sum, and nowhere else. */
#include <math.h>
#include <string.h>

#include "mask_fixture.h"
#include "stats.h"

#define WORDS 4001

static uint32_t g_sum[WORDS];
static const uint32_t g_one[] = { 0, 2, 5 }, g_other[] = { 1, 3, 4 };

/* Two groups of three; of each at least two survive, one of whom may collude if `colluders`. */
static void init(fixture *f, uint32_t colluders)
{
    fm_dp_lattice_spec spec = fix_spec(6, 1.3);

    spec.nodes = 3;
    spec.quorum = 2;
    spec.colluders = colluders;
    fix_init_noise(f, 6, WORDS, &spec);
    for (uint32_t u = 0; u < 6; u++) {
        f->rounds[u].group = u == 0 || u == 2 || u == 5 ? g_one : g_other;
        f->rounds[u].group_count = 3;
    }
}

static void masks_cancel_in_each_group(void)
{
    const uint32_t left[] = { 0, 5 };
    fixture f;

    init(&f, 0);
    fix_release_all(&f, 31);
    fix_unmask(&f, left, 2, g_sum); /* one of this group is lost */
    CU_ASSERT_EQUAL(fix_wrong_words(&f, g_sum), 0);
    fix_unmask(&f, g_other, 3, g_sum);
    CU_ASSERT_EQUAL(fix_wrong_words(&f, g_sum), 0);
    fix_fini(&f);
}

/* An aggregator that adds up another set, whoever it is of: uniform words. */
static void masks_cancel_nowhere_else(void)
{
    const uint32_t sets[][3] = { { 0, 2, 1 }, { 0, 1, 3 }, { 0, 1, 4 }, { 2, 3, 5 } };

    for (int s = 0; s < 4; s++) {
        size_t wrong = 0;
        fixture f;

        init(&f, 0);
        fix_release_all(&f, 32);
        memset(g_sum, 0, sizeof g_sum);
        for (int i = 0; i < 3; i++) {
            const uint32_t u = sets[s][i];
            const uint32_t *own = f.rounds[u].group;
            fm_dp_unmask *m = NULL;
            const uint8_t *bytes;
            size_t len;

            fm_dp_release_bytes(f.releases[u], &bytes, &len);
            CU_ASSERT_EQUAL(fm_dp_sum_words(32, g_sum, WORDS, bytes, len), FM_OK);
            CU_ASSERT_EQUAL_FATAL(fm_dp_release_unmask(f.releases[u], own, 3, &m), FM_OK);
            CU_ASSERT_EQUAL(fm_dp_mask_apply(32, g_sum, WORDS, m->self_seed, -1), FM_OK);
            fm_dp_unmask_free(&m);
        }
        for (size_t i = 0; i < WORDS; i++) /* what honest sums stay below */
            wrong += (uint32_t)((int32_t)g_sum[i] < 0 ? -(int64_t)(int32_t)g_sum[i] : g_sum[i]) >
                     1u << 28;
        CU_ASSERT(wrong > WORDS / 2);
        fix_fini(&f);
    }
}

/* Only with whom it shares masks, and never for those of another group. */
static void seeds_are_for_the_own_group_only(void)
{
    const uint32_t left[] = { 0, 5 }, across[] = { 0, 1, 5 }, alone[] = { 0 };
    fm_dp_unmask *m = NULL;
    fixture f;

    init(&f, 0);
    fix_release_all(&f, 33);
    CU_ASSERT_EQUAL(fm_dp_release_unmask(f.releases[0], across, 3, &m), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_release_unmask(f.releases[0], alone, 1, &m), FM_EINVAL);
    CU_ASSERT_EQUAL_FATAL(fm_dp_release_unmask(f.releases[0], left, 2, &m), FM_OK);
    CU_ASSERT_EQUAL(m->lost_count, 1);
    CU_ASSERT_EQUAL(m->lost[0], 2);
    fm_dp_unmask_free(&m);
    fix_fini(&f);
}

/* What stays in a group's sum when its colluder takes its share off is the counted noise, and no part of
 * it. False alarm: 2e-7 (FM_STATS_Z). */
static void a_groups_honest_members_carry_all_of_the_noise(void)
{
    double square = 0.0, want;
    fixture f;

    init(&f, 1);
    fix_release_all(&f, 34);
    fix_unmask(&f, g_one, 3, g_sum);
    for (size_t i = 0; i < WORDS; i++) {
        double noise = 0.0;

        for (int k = 0; k < 2; k++) /* the third one colludes */
            for (uint32_t l = 0;
                 l < fm_dp_shares_levels(f.shares) - fm_dp_shares_surplus(f.shares, 3); l++)
                noise += fm_dp_release_noise_for_tests(f.releases[g_one[k]], l)[i];
        square += noise * noise;
    }
    want = ldexp(f.lattice.sigma_counted, (int)f.lattice.shift);
    square /= WORDS * want * want;
    CU_ASSERT(square > 1.0 - FM_STATS_Z * sqrt(2.0 / WORDS));
    fix_fini(&f);
}

static void what_is_no_group_is_refused(void)
{
    const uint32_t without[] = { 2, 5 }, unsorted[] = { 2, 0, 5 }, stranger[] = { 0, 7 };
    const uint32_t *const bad[] = { without, unsorted, stranger };
    const uint32_t counts[] = { 2, 3, 2 };

    for (int i = 0; i < 3; i++) {
        fm_rng rng = fm_rng_system();
        fm_dp_shares *shares = NULL;
        fm_dp_release *r = NULL;
        fm_dp_sum *sum = NULL;
        fixture f;

        init(&f, 0);
        f.rounds[0].group = bad[i];
        f.rounds[0].group_count = counts[i];
        CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&f.lattice, WORDS, &sum), FM_OK);
        CU_ASSERT_EQUAL_FATAL(fm_dp_shares_new(&f.lattice, counts[i], &shares), FM_OK);
        CU_ASSERT_EQUAL(fm_dp_release_make(sum, shares, f.pairs[0], &f.rounds[0], &rng, &r),
                        FM_EINVAL);
        fm_dp_shares_free(&shares);
        fm_dp_sum_free(&sum);
        fix_fini(&f);
    }
}

static const fm_test tests[] = {
    { "masks cancel in each group", masks_cancel_in_each_group },
    { "masks cancel nowhere else", masks_cancel_nowhere_else },
    { "seeds are for the own group only", seeds_are_for_the_own_group_only },
    { "a group's honest members carry all of the noise",
      a_groups_honest_members_carry_all_of_the_noise },
    { "what is no group is refused", what_is_no_group_is_refused },
};
const fm_test_suite fm_suite_dp_mask_groups = { "dp.mask_groups", tests, FM_TEST_COUNT(tests) };
