/*
 * What an aggregator holds before it is released anything, and after a release of which it has one
 * side only: words that nobody can tell from uniform ones, whatever the records are. The controls
 * are the same words without their masks.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mask_fixture.h"
#include "stats.h"
#include "uniform.h"

#define WORDS ((size_t)1 << 17)
#define NODES 4u

static uint32_t g_update[NODES][WORDS], g_mixed[WORDS];
static int32_t g_plain[NODES][WORDS];
static float g_gradient[WORDS];

/* Node 0 has nothing to say; 1 the same large number everywhere; 2 a pattern; 3 one coordinate. */
static void fill_gradient(unsigned node)
{
    memset(g_gradient, 0, sizeof g_gradient);
    for (size_t i = 0; i < WORDS; i++) {
        if (node == 1)
            g_gradient[i] = 1e30f;
        else if (node == 2)
            g_gradient[i] = i % 2 ? -1.0f : 1.0f;
    }
    if (node == 3)
        g_gradient[7] = 1e30f;
}

static void make_updates(fixture *f)
{
    fm_rng rng = fm_rng_system();
    const uint8_t *bytes = NULL;
    fm_dp_sum *sum = NULL;
    size_t len = 0;

    fix_init(f, NODES, WORDS, 1.0);
    CU_ASSERT_EQUAL_FATAL(fm_dp_shares_fit(&f->shares, &f->lattice, NODES), FM_OK);
    for (unsigned u = 0; u < NODES; u++) {
        CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&f->lattice, WORDS, &sum), FM_OK);
        fill_gradient(u);
        for (unsigned unit = 0; unit < 150; unit++)
            CU_ASSERT_EQUAL_FATAL(fm_dp_sum_add_unit(sum, g_gradient), FM_OK);
        fm_dp_sum_peek_for_tests(sum, g_plain[u]);
        CU_ASSERT_EQUAL_FATAL(
            fm_dp_release_make(sum, f->shares, f->pairs[u], &f->rounds[u], &rng, &f->releases[u]),
            FM_OK);
        fm_dp_release_bytes(f->releases[u], &bytes, &len);
        memset(g_update[u], 0, sizeof g_update[u]);
        CU_ASSERT_EQUAL_FATAL(fm_dp_sum_words(32, g_update[u], WORDS, bytes, len), FM_OK);
        fm_dp_sum_free(&sum);
    }
}

static void check_uniform(const uint32_t *w, bool expected)
{
    const char *why = NULL;
    bool uniform = fm_uniform_words(w, WORDS, &why);

    CU_ASSERT_EQUAL(uniform, expected);
    if (uniform != expected)
        fprintf(stderr, "not as expected: %s\n", why ? why : "no test failed");
}

static void every_update_is_uniform_whatever_the_records_are(void)
{
    fixture f;

    make_updates(&f);
    for (unsigned u = 0; u < NODES; u++) {
        check_uniform(g_update[u], true);
        CU_ASSERT(fabs(fm_uniform_correlation(g_update[u], (const uint32_t *)g_plain[u], WORDS)) <
                  FM_STATS_Z);
    }
    fix_fini(&f);
}

static void no_two_updates_can_be_told_apart(void)
{
    fixture f;

    make_updates(&f);
    for (unsigned u = 0; u < NODES; u++) {
        for (unsigned v = u + 1; v < NODES; v++) {
            CU_ASSERT(fm_uniform_alike(g_update[u], g_update[v], WORDS));
            CU_ASSERT(fabs(fm_uniform_correlation(g_update[u], g_update[v], WORDS)) < FM_STATS_Z);
        }
    }
    /* The control: what is below the masks can be told apart at a glance. */
    CU_ASSERT_FALSE(
        fm_uniform_alike((const uint32_t *)g_plain[0], (const uint32_t *)g_plain[2], WORDS));
    fix_fini(&f);
}

static void sums_and_differences_of_updates_are_uniform(void)
{
    fixture f;

    make_updates(&f);
    for (unsigned set = 1; set < 1u << NODES; set++) { /* all of them, too: own masks stay */
        memset(g_mixed, 0, sizeof g_mixed);
        for (unsigned u = 0; u < NODES; u++)
            for (size_t i = 0; set >> u & 1 && i < WORDS; i++)
                g_mixed[i] += g_update[u][i];
        check_uniform(g_mixed, true);
    }
    for (size_t i = 0; i < WORDS; i++)
        g_mixed[i] = g_update[1][i] - g_update[0][i];
    check_uniform(g_mixed, true);
    fix_fini(&f);
}

/* What node u discloses when only `u` and `w` survive. */
static void strip(fixture *f, uint32_t u, uint32_t w)
{
    const uint32_t survivors[] = { u < w ? u : w, u < w ? w : u };
    fm_dp_unmask *seeds = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_dp_release_unmask(f->releases[u], survivors, 2, &seeds), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_mask_apply(32, g_update[u], WORDS, seeds->self_seed, -1), FM_OK);
    for (uint32_t i = 0; i < seeds->lost_count; i++)
        CU_ASSERT_EQUAL(fm_dp_mask_apply(32, g_update[u], WORDS, seeds->pair_seeds[i],
                                         -fm_dp_mask_sign(u, seeds->lost[i])),
                        FM_OK);
    fm_dp_unmask_free(&seeds);
}

/* Two views of the survivors: {0, 1} was released by 0, {1, 2} by 2. Neither helps the other. */
static void two_sets_of_survivors_leave_uniform_words(void)
{
    fixture f;

    make_updates(&f);
    strip(&f, 0, 1);
    strip(&f, 2, 1);
    check_uniform(g_update[0], true);
    check_uniform(g_update[2], true);
    for (size_t i = 0; i < WORDS; i++)
        g_mixed[i] = g_update[0][i] + g_update[2][i];
    check_uniform(g_mixed, true);
    fix_fini(&f);
}

static void without_masks_the_same_tests_fail(void)
{
    fixture f;

    make_updates(&f);
    strip(&f, 0, 1);
    strip(&f, 1, 0);
    for (size_t i = 0; i < WORDS; i++)
        g_mixed[i] = g_update[0][i] + g_update[1][i];
    check_uniform(g_mixed, false);
    fix_fini(&f);
}

/* Words of 16 bits, two of them as one of the tests' words: halves of the same key stream. */
static void narrow_updates_are_uniform_too(void)
{
    fm_dp_lattice_spec spec = fix_spec(NODES, 1.0);
    fm_rng rng = fm_rng_system();
    const uint8_t *bytes = NULL;
    const char *why = NULL;
    fm_dp_sum *sum = NULL;
    size_t len = 0;
    fixture f;

    spec.word_bits = 16;
    fix_init_noise(&f, NODES, WORDS, &spec);
    CU_ASSERT_EQUAL_FATAL(fm_dp_shares_fit(&f.shares, &f.lattice, NODES), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&f.lattice, WORDS, &sum), FM_OK);
    for (unsigned u = 0; u < NODES; u++) {
        fill_gradient(u);
        for (unsigned unit = 0; unit < 50; unit++)
            CU_ASSERT_EQUAL_FATAL(fm_dp_sum_add_unit(sum, g_gradient), FM_OK);
        CU_ASSERT_EQUAL_FATAL(
            fm_dp_release_make(sum, f.shares, f.pairs[u], &f.rounds[u], &rng, &f.releases[u]),
            FM_OK);
        fm_dp_release_bytes(f.releases[u], &bytes, &len);
        CU_ASSERT_EQUAL_FATAL(len, WORDS * sizeof(uint16_t));
        memcpy(g_update[u], bytes, len);
        CU_ASSERT(fm_uniform_words(g_update[u], WORDS / 2, &why));
        for (unsigned v = 0; v < u; v++)
            CU_ASSERT(fabs(fm_uniform_correlation(g_update[u], g_update[v], WORDS / 2)) <
                      FM_STATS_Z);
    }
    fm_dp_sum_free(&sum);
    fix_fini(&f);
}

static const fm_test tests[] = {
    { "every update is uniform, and has nothing to do with what is in it",
      every_update_is_uniform_whatever_the_records_are },
    { "no two updates can be told apart: nothing, much, a pattern, one coordinate",
      no_two_updates_can_be_told_apart },
    { "sums and differences of updates are uniform", sums_and_differences_of_updates_are_uniform },
    { "released for two sets of survivors, each part is uniform all the same",
      two_sets_of_survivors_leave_uniform_words },
    { "narrow updates are uniform, too", narrow_updates_are_uniform_too },
    { "without masks the same tests fail", without_masks_the_same_tests_fail },
};

const fm_test_suite fm_suite_dp_uniform = { "dp.uniform", tests, FM_TEST_COUNT(tests) };
