#include "fedmoe/dp/mask.h"

#include <math.h>
#include <string.h>

#include "fedmoe/base/memory.h"
#include "mask_fixture.h"
#include "mask_internal.h"
#include "stats.h"

#define WORDS 5003 /* not a multiple of anything that the code uses */

static uint32_t g_sum[WORDS];

static void survivors_sum_bit_for_bit(uint32_t members, uint32_t lost_a, uint32_t lost_b)
{
    uint32_t survivors[FIX_NODES], count = 0;
    fixture f;

    fix_init(&f, members, WORDS, 1.3);
    fix_release_all(&f, 10 + members);
    for (uint32_t u = 0; u < members; u++)
        if (u != lost_a && u != lost_b)
            survivors[count++] = u;
    fix_unmask(&f, survivors, count, g_sum);
    CU_ASSERT_EQUAL(fix_wrong_words(&f, g_sum), 0);
    fix_fini(&f);
}

static void the_sum_is_the_encodings_and_the_noises_bit_for_bit(void)
{
    for (uint32_t members = 4; members <= 6; members++) {
        survivors_sum_bit_for_bit(members, FIX_NODES, FIX_NODES);
        for (uint32_t lost = 0; lost < members; lost++)
            survivors_sum_bit_for_bit(members, lost, FIX_NODES);
        survivors_sum_bit_for_bit(members, 0, members - 1);
        survivors_sum_bit_for_bit(members, 1, 2);
    }
}

/* All levels of node u's noise. */
static void whole_noise(const fixture *f, uint32_t u, double *out)
{
    memset(out, 0, f->n * sizeof *out);
    for (uint32_t l = 0; l < fm_dp_shares_levels(f->shares); l++)
        for (size_t i = 0; i < f->n; i++)
            out[i] += fm_dp_release_noise_for_tests(f->releases[u], l)[i];
}

/* Before anything is given back. False alarm: 2e-7 for each of the ten comparisons (FM_STATS_Z). */
static void every_release_carries_its_own_noise_of_the_lattice(void)
{
    static double mine[WORDS], next[WORDS];

    double deviation = sqrt(2.0 / WORDS);
    fixture f;

    fix_init(&f, 5, WORDS, 1.3);
    fix_release_all(&f, 25);
    for (uint32_t u = 0; u < 5; u++) {
        double square = 0.0, product = 0.0;

        whole_noise(&f, u, mine);
        whole_noise(&f, (u + 1) % 5, next);
        for (size_t i = 0; i < WORDS; i++) {
            square += mine[i] * mine[i];
            product += mine[i] * next[i];
        }
        square /= WORDS * f.lattice.sigma_share * f.lattice.sigma_share;
        product /= WORDS * f.lattice.sigma_share * f.lattice.sigma_share;
        CU_ASSERT(fabs(square - 1.0) < FM_STATS_Z * deviation);
        CU_ASSERT(fabs(product) < FM_STATS_Z * deviation);
    }
    fix_fini(&f);
}

static void training_alone_works(void)
{
    const uint32_t self = 0;
    fixture f;

    fix_init(&f, 1, WORDS, 1.0);
    fix_release_all(&f, 20);
    fix_unmask(&f, &self, 1, g_sum);
    CU_ASSERT_EQUAL(fix_wrong_words(&f, g_sum), 0);
    fix_fini(&f);
}

static void part_of_the_roster_may_take_part(void)
{
    const uint32_t some[] = { 1, 2, 4 }, survivors[] = { 1, 4 };
    fm_dp_lattice_spec spec = fix_spec(5, 1.0);
    fixture f;

    spec.quorum = 2;
    fix_init_noise(&f, 5, WORDS, &spec);
    for (uint32_t i = 0; i < 5; i++) {
        f.rounds[i].participants = some;
        f.rounds[i].participant_count = 3;
    }
    f.rounds[0].participants = f.rounds[3].participants = f.participants;
    f.rounds[0].participant_count = f.rounds[3].participant_count = 5;
    fix_release_all(&f, 21);
    fix_unmask(&f, survivors, 2, g_sum);
    CU_ASSERT_EQUAL(fix_wrong_words(&f, g_sum), 0);
    fix_fini(&f);
}

static void discloses_at_most_once(void)
{
    const uint32_t all[] = { 0, 1, 2, 3 }, fewer[] = { 0, 1, 2 };
    fm_dp_unmask *first = NULL, *second = NULL;
    fixture f;

    fix_init(&f, 4, 64, 0.0);
    fix_release_all(&f, 22);
    CU_ASSERT_EQUAL_FATAL(fm_dp_release_unmask(f.releases[0], fewer, 3, &first), FM_OK);
    CU_ASSERT_EQUAL(first->lost_count, 1);
    CU_ASSERT_EQUAL(first->lost[0], 3);
    CU_ASSERT_EQUAL(fm_dp_release_unmask(f.releases[0], fewer, 3, &second), FM_EREPLAY);
    CU_ASSERT_EQUAL(fm_dp_release_unmask(f.releases[0], all, 4, &second), FM_EREPLAY);
    CU_ASSERT_PTR_NULL(second);
    fm_dp_unmask_free(&first);
    fm_dp_unmask_free(&first);
    fix_fini(&f);
}

static void discloses_only_to_a_proper_survivor_set(void)
{
    static const struct {
        uint32_t count, set[6];
    } bad[] = {
        { 0, { 0 } },             /* empty */
        { 2, { 0, 1 } },          /* self (2) missing */
        { 3, { 0, 2, 2 } },       /* twice */
        { 3, { 2, 1, 0 } },       /* not increasing */
        { 3, { 0, 2, 3 } },       /* 3 is not a participant */
        { 3, { 0, 2, 99999 } },   /* no index at all */
        { 5, { 0, 1, 2, 3, 4 } }, /* more than participants */
        { UINT32_MAX, { 0, 1, 2, 4 } },
    };
    const uint32_t participants[] = { 0, 1, 2, 4 }, good[] = { 0, 2 };
    fm_dp_unmask *u = NULL;
    fixture f;

    fix_init(&f, 5, 64, 0.0);
    for (uint32_t i = 0; i < 5; i++)
        if (i != 3) {
            f.rounds[i].participants = participants;
            f.rounds[i].participant_count = 4;
        }
    fix_release_all(&f, 23);
    for (size_t i = 0; i < FM_TEST_COUNT(bad); i++) {
        CU_ASSERT_EQUAL(fm_dp_release_unmask(f.releases[2], bad[i].set, bad[i].count, &u),
                        FM_EINVAL);
        CU_ASSERT_PTR_NULL(u);
    }
    CU_ASSERT_EQUAL_FATAL(fm_dp_release_unmask(f.releases[2], good, 2, &u), FM_OK);
    CU_ASSERT(u->lost_count == 2 && u->lost[0] == 1 && u->lost[1] == 4);
    fm_dp_unmask_free(&u);
    fix_fini(&f);
}

static void refuses_to_make_what_would_not_be_private(void)
{
    const uint32_t unsorted[] = { 1, 0 }, without_self[] = { 1, 2 }, unknown[] = { 0, 9 };
    fm_rng system = fm_rng_system();
    fm_dp_release *r = NULL;
    fm_dp_shares *other = NULL, *more = NULL, *fewer = NULL;
    fm_dp_lattice lattice;
    fm_dp_sum *s = NULL;
    fm_dp_round round;
    float g[8] = { 0.5f };
    int32_t left[8];
    fixture f;

    fix_init(&f, 3, 8, 1.0);
    lattice = f.lattice;
    lattice.sigma_counted *= 0.999;
    CU_ASSERT_EQUAL_FATAL(fm_dp_shares_new(&lattice, 3, &other), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_shares_new(&f.lattice, 4, &more), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_shares_new(&f.lattice, 2, &fewer), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&f.lattice, 8, &s), FM_OK);
    for (int i = 0; i < 7; i++) {
        const fm_dp_shares *shares[] = { NULL, other, fewer, fewer, fewer, fewer, more };

        round = f.rounds[0];
        if (i >= 2 && i <= 4) {
            round.participants = i == 2 ? unsorted : i == 3 ? without_self : unknown;
            round.participant_count = 2;
        }
        if (i == 5)
            round.participant_count = 0;
        CU_ASSERT_EQUAL(fm_dp_sum_add_unit(s, g), FM_OK);
        CU_ASSERT_EQUAL(fm_dp_release_make(s, shares[i], f.pairs[0], &round, &system, &r),
                        FM_EINVAL);
        CU_ASSERT_PTR_NULL(r);
        CU_ASSERT_EQUAL(fm_dp_sum_units(s), 0); /* consumed all the same */
        fm_dp_sum_peek_for_tests(s, left);
        CU_ASSERT_EQUAL(left[0], 0);
    }
    fm_dp_sum_free(&s);
    fm_dp_shares_free(&other);
    fm_dp_shares_free(&more);
    fm_dp_shares_free(&fewer);
    fix_fini(&f);
}

static void the_hash_is_of_the_bytes_that_are_sent(void)
{
    const uint8_t *bytes;
    size_t len;
    fm_hash expected, got;
    fixture f;

    fix_init(&f, 2, 100, 0.0);
    fix_release_all(&f, 24);
    fm_dp_release_bytes(f.releases[0], &bytes, &len);
    CU_ASSERT_EQUAL(len, 400);
    expected = fm_hash_of("fedmoe update v1", bytes, len);
    got = fm_dp_release_hash(f.releases[0]);
    CU_ASSERT(fm_hash_equal(&expected, &got));
    got = fm_dp_release_hash(f.releases[1]);
    CU_ASSERT_FALSE(fm_hash_equal(&expected, &got));
    fix_fini(&f);
}

static void a_mask_comes_off_again_at_every_length(void)
{
    const size_t lengths[] = { 0, 1, 3, 4, 4095, 4096, 4097, 5003 };
    const uint8_t seed[FM_DP_KEY_BYTES] = { 9 };

    for (size_t i = 0; i < FM_TEST_COUNT(lengths); i++) {
        size_t wrong = 0;

        for (size_t j = 0; j < WORDS; j++)
            g_sum[j] = (uint32_t)j;
        CU_ASSERT_EQUAL(fm_dp_mask_apply(32, g_sum, lengths[i], seed, 1), FM_OK);
        for (size_t j = lengths[i]; j < WORDS; j++)
            wrong += g_sum[j] != j;
        CU_ASSERT_EQUAL(fm_dp_mask_apply(32, g_sum, lengths[i], seed, -1), FM_OK);
        for (size_t j = 0; j < WORDS; j++)
            wrong += g_sum[j] != j;
        CU_ASSERT_EQUAL(wrong, 0);
    }
    CU_ASSERT_EQUAL(fm_dp_mask_apply(32, g_sum, 1, seed, 0), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_mask_apply(32, g_sum, 1, seed, 2), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_dp_mask_apply(32, NULL, 1, seed, 1), FM_EINVAL);
    CU_ASSERT(fm_dp_mask_sign(1, 2) == 1 && fm_dp_mask_sign(2, 1) == -1);
}

static void words_are_little_endian_and_counted(void)
{
    const uint8_t bytes[9] = { 1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff };
    uint32_t sum[2] = { 10, 10 };

    CU_ASSERT_EQUAL(fm_dp_sum_words(32, sum, 2, bytes, 8), FM_OK);
    CU_ASSERT(sum[0] == 0x04030201u + 10 && sum[1] == 9);
    for (size_t len = 0; len <= 9; len++)
        if (len != 8)
            CU_ASSERT_EQUAL(fm_dp_sum_words(32, sum, 2, bytes, len), FM_EPROTO);
    CU_ASSERT(sum[0] == 0x04030201u + 10 && sum[1] == 9);
}

static const fm_test g_tests[] = {
    { "the sum is the encodings and the noises bit for bit",
      the_sum_is_the_encodings_and_the_noises_bit_for_bit },
    { "every release carries its own noise of the lattice",
      every_release_carries_its_own_noise_of_the_lattice },
    { "training alone works", training_alone_works },
    { "part of the roster may take part", part_of_the_roster_may_take_part },
    { "discloses at most once", discloses_at_most_once },
    { "discloses only to a proper survivor set", discloses_only_to_a_proper_survivor_set },
    { "refuses to make what would not be private", refuses_to_make_what_would_not_be_private },
    { "the hash is of the bytes that are sent", the_hash_is_of_the_bytes_that_are_sent },
    { "a mask comes off again at every length", a_mask_comes_off_again_at_every_length },
    { "words are little-endian and counted", words_are_little_endian_and_counted },
};

const fm_test_suite fm_suite_dp_mask = { "dp.mask", g_tests, FM_TEST_COUNT(g_tests) };
