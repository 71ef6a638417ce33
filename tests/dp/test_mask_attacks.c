/*
 * A server that shows nodes different things, and one that looks at what it has. Statistical
 * tests here use fresh keys and raise a false alarm with probability 1e-7 each.
 */
#include <stdlib.h>
#include <string.h>

#include "mask_fixture.h"
#include "mask_internal.h"
#include "stats.h"

#define WORDS ((size_t)20000)

static uint32_t g_sum[WORDS];
static const uint32_t g_all[] = { 0, 1, 2, 3 };

/* Nothing of the sum may be readable: at most a few of 20000 words fit by chance (2^-32 each). */
static void expect_rubbish(fixture *f)
{
    fix_release_all(f, 30);
    fix_unmask(f, g_all, 4, g_sum);
    CU_ASSERT(fix_wrong_words(f, g_sum) > WORDS - 3);
    CU_ASSERT(fm_stats_chi2_bytes((const uint8_t *)g_sum, sizeof g_sum) < fm_stats_chi2_limit(255));
    fix_fini(f);
}

static void nodes_that_agree_do_cancel(void)
{
    fixture f;

    fix_init(&f, 4, WORDS, 1.0);
    fix_release_all(&f, 31);
    fix_unmask(&f, g_all, 4, g_sum);
    CU_ASSERT_EQUAL(fix_wrong_words(&f, g_sum), 0);
    CU_ASSERT(fm_stats_chi2_bytes((const uint8_t *)g_sum, sizeof g_sum) > fm_stats_chi2_limit(255));
    fix_fini(&f);
}

static void another_round_number_does_not_cancel(void)
{
    fixture f;

    fix_init(&f, 4, WORDS, 1.0);
    f.rounds[2].round = 8;
    expect_rubbish(&f);
}

static void another_plan_does_not_cancel(void)
{
    fixture f;

    fix_init(&f, 4, WORDS, 1.0);
    f.rounds[2].plan.bytes[31] ^= 1;
    expect_rubbish(&f);
}

static void another_model_does_not_cancel(void)
{
    fixture f;

    fix_init(&f, 4, WORDS, 1.0);
    f.rounds[0].model.bytes[0] ^= 0x80;
    expect_rubbish(&f);
}

/* Node 1 is told that node 4 takes part, the others that node 5 does; both are then lost. */
static void other_participants_do_not_cancel(void)
{
    const uint32_t with_four[] = { 0, 1, 2, 3, 4 }, with_five[] = { 0, 1, 2, 3, 5 };
    fm_dp_unmask *m = NULL;
    fixture f;

    fix_init(&f, 6, WORDS, 1.0);
    for (uint32_t u = 0; u < 6; u++) {
        f.rounds[u].participants = u == 1 || u == 4 ? with_four : with_five;
        f.rounds[u].participant_count = 5;
    }
    fix_release_all(&f, 32);
    fix_unmask(&f, g_all, 4, g_sum);
    CU_ASSERT(fix_wrong_words(&f, g_sum) > WORDS - 3);
    /* Nor is a second survivor set to be had from node 1. */
    CU_ASSERT_EQUAL(fm_dp_release_unmask(f.releases[1], with_four, 5, &m), FM_EREPLAY);
    fix_fini(&f);
}

static void another_session_does_not_cancel(void)
{
    fixture f;

    fix_init(&f, 4, WORDS, 1.0);
    f.roster.session[15] ^= 1;
    fix_pair(&f, 3);
    expect_rubbish(&f);
}

static void another_roster_does_not_cancel(void)
{
    fixture f;

    fix_init(&f, 4, WORDS, 1.0);
    f.roster.roster.bytes[7] ^= 1;
    fix_pair(&f, 3);
    expect_rubbish(&f);
}

static void another_federation_does_not_cancel(void)
{
    fixture f;

    fix_init(&f, 4, WORDS, 1.0);
    f.roster.federation = "heartss";
    fix_pair(&f, 0);
    expect_rubbish(&f);
}

static void a_substituted_key_does_not_cancel(void)
{
    fm_dp_keypair *mallory = NULL;
    fixture f;

    fix_init(&f, 4, WORDS, 1.0);
    CU_ASSERT_EQUAL_FATAL(fm_dp_keypair_new(&mallory), FM_OK);
    memcpy(f.public_keys[2], fm_dp_keypair_public(mallory), FM_DP_KEY_BYTES);
    fix_pair(&f, 0);
    fm_dp_keypair_free(&mallory);
    expect_rubbish(&f);
}

static bool looks_uniform(const uint32_t *words)
{
    return fm_stats_chi2_bytes((const uint8_t *)words, 4 * WORDS) < fm_stats_chi2_limit(255);
}

/* All-zero input and no noise: whatever structure is left would be seen. */
static void release_of_nothing(fixture *f, uint32_t u)
{
    fm_rng system = fm_rng_system();
    fm_dp_sum *s = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&f->lattice, f->n, &s), FM_OK);
    CU_ASSERT_EQUAL_FATAL(
        fm_dp_release_make(s, NULL, f->pairs[u], &f->rounds[u], &system, &f->releases[u]), FM_OK);
    fm_dp_sum_free(&s);
}

static void take_words(const fixture *f, uint32_t u)
{
    const uint8_t *bytes;
    size_t len;

    memset(g_sum, 0, sizeof g_sum);
    fm_dp_release_bytes(f->releases[u], &bytes, &len);
    CU_ASSERT_EQUAL(fm_dp_sum_words(32, g_sum, WORDS, bytes, len), FM_OK);
}

static void peel_pair(const fixture *f, uint32_t u, uint32_t v)
{
    fm_hash context = fm_dp_round_context(&f->rounds[v]);
    uint8_t seed[FM_DP_KEY_BYTES];

    /* v's own copy of s_uv, as a colluder would use it */
    CU_ASSERT_EQUAL(fm_dp_mask_seed(fm_dp_pairs_secret(f->pairs[v], u), &context, seed), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_mask_apply(32, g_sum, WORDS, seed, -fm_dp_mask_sign(u, v)), FM_OK);
}

static void a_masked_vector_alone_is_uniform(void)
{
    fixture f;

    fix_init(&f, 4, WORDS, 0.0);
    release_of_nothing(&f, 1);
    take_words(&f, 1);
    CU_ASSERT(looks_uniform(g_sum));
    fix_fini(&f);
}

static void without_b_u_every_pair_seed_opens_nothing(void)
{
    fixture f;

    fix_init(&f, 4, WORDS, 0.0);
    release_of_nothing(&f, 1);
    take_words(&f, 1);
    for (uint32_t v = 0; v < 4; v++) {
        if (v == 1)
            continue;
        peel_pair(&f, 1, v);
        CU_ASSERT(looks_uniform(g_sum));
    }
    fix_fini(&f);
}

static void with_b_u_one_honest_neighbour_still_hides_it(void)
{
    fm_dp_unmask *m = NULL;
    size_t left = 0;
    fixture f;

    fix_init(&f, 4, WORDS, 0.0);
    release_of_nothing(&f, 1);
    take_words(&f, 1);
    CU_ASSERT_EQUAL_FATAL(fm_dp_release_unmask(f.releases[1], g_all, 4, &m), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_mask_apply(32, g_sum, WORDS, m->self_seed, -1), FM_OK);
    fm_dp_unmask_free(&m);
    peel_pair(&f, 1, 0);
    peel_pair(&f, 1, 2);
    CU_ASSERT(looks_uniform(g_sum)); /* node 3 is honest */
    peel_pair(&f, 1, 3);
    for (size_t i = 0; i < WORDS; i++)
        left += g_sum[i] != 0;
    CU_ASSERT_EQUAL(left, 0); /* nothing else was in it */
    fix_fini(&f);
}

static void two_releases_of_one_round_share_no_self_mask(void)
{
    uint32_t *first = malloc(sizeof g_sum);
    fixture f;

    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    fix_init(&f, 4, WORDS, 0.0);
    release_of_nothing(&f, 1);
    take_words(&f, 1);
    memcpy(first, g_sum, sizeof g_sum);
    fm_dp_release_free(&f.releases[1]);
    release_of_nothing(&f, 1);
    take_words(&f, 1);
    for (size_t i = 0; i < WORDS; i++)
        g_sum[i] -= first[i];
    CU_ASSERT(looks_uniform(g_sum));
    free(first);
    fix_fini(&f);
}

static const fm_test g_tests[] = {
    { "nodes that agree do cancel", nodes_that_agree_do_cancel },
    { "another round number does not cancel", another_round_number_does_not_cancel },
    { "another plan does not cancel", another_plan_does_not_cancel },
    { "another model does not cancel", another_model_does_not_cancel },
    { "other participants do not cancel", other_participants_do_not_cancel },
    { "another session does not cancel", another_session_does_not_cancel },
    { "another roster does not cancel", another_roster_does_not_cancel },
    { "another federation does not cancel", another_federation_does_not_cancel },
    { "a substituted key does not cancel", a_substituted_key_does_not_cancel },
    { "a masked vector alone is uniform", a_masked_vector_alone_is_uniform },
    { "without b_u every pair seed opens nothing", without_b_u_every_pair_seed_opens_nothing },
    { "with b_u one honest neighbour still hides it",
      with_b_u_one_honest_neighbour_still_hides_it },
    { "two releases of one round share no self mask",
      two_releases_of_one_round_share_no_self_mask },
};

const fm_test_suite fm_suite_dp_mask_attacks = { "dp.mask_attacks", g_tests,
                                                 FM_TEST_COUNT(g_tests) };
