/*
 * An aggregator that isolates a node: it declares all lost with whom its victim shares a mask, and
 * reads the victim's update alone. It works if the edges are known before the losses are named, as
 * with a graph that is public; and if there are too few of them.
 */
#include <string.h>

#include "mask_fixture.h"
#include "mask_internal.h"

#define MANY 40u
#define QUORUM 21u
#define WORDS ((size_t)64)
#define DENSITY 128u
#define LEAK_ROUNDS 200u

/* Where the edges were leaked: all pair secrets are. */
static unsigned edge_of(const fixture *f, uint32_t u, uint32_t v, uint64_t round)
{
    fm_dp_round r = f->rounds[u];
    uint8_t seed[FM_DP_KEY_BYTES];
    fm_hash context;

    r.round = round;
    context = fm_dp_round_context(&r);
    CU_ASSERT_EQUAL_FATAL(fm_dp_mask_seed(fm_dp_pairs_secret(f->pairs[u], v), &context, seed),
                          FM_OK);
    return fm_dp_mask_edge(seed, r.mask_density);
}

static void make(fixture *f, uint32_t density)
{
    const fm_dp_lattice_spec spec = { .clip_norm = 1.0,
                                      .noise_multiplier = 2.0,
                                      .max_units = 120,
                                      .nodes = MANY,
                                      .quorum = QUORUM,
                                      .encoding = FM_DP_FAST,
                                      .word_bits = 32 };

    fix_init_noise(f, MANY, WORDS, &spec);
    fix_set_density(f, density);
}

/* The victim and those with whom it shares no mask in that round: how many. */
static uint32_t strangers(const fixture *f, uint32_t victim, uint64_t round, uint32_t out[MANY])
{
    uint32_t count = 0;

    for (uint32_t v = 0; v < MANY; v++)
        if (v == victim || !edge_of(f, victim, v, round))
            out[count++] = v;
    return count;
}

/* A victim whom the quorum allows to isolate in this round: half of all nodes are one. */
static uint32_t find_victim(const fixture *f, uint64_t round, uint32_t survivors[MANY],
                            uint32_t *count)
{
    uint32_t victim = 0;

    while (victim < MANY && (*count = strangers(f, victim, round, survivors)) < QUORUM)
        victim++;
    CU_ASSERT_FATAL(victim < MANY); /* 2^-30, or so */
    return victim;
}

static void new_round(fixture *f, uint64_t round)
{
    for (uint32_t u = 0; u < MANY; u++)
        f->rounds[u].round = round;
}

static void who_knows_the_edges_reads_one_update(void)
{
    uint32_t survivors[MANY], count = 0, sum[WORDS], victim;
    fixture f;

    make(&f, DENSITY);
    fix_release_all(&f, 200);
    victim = find_victim(&f, f.rounds->round, survivors, &count);
    fix_unmask_one(&f, survivors, count, victim, sum);
    CU_ASSERT_EQUAL(fix_wrong_words(&f, sum), 0); /* in the clear, but for its own noise */
    fix_fini(&f);
}

/* The same victim and the same losses, in a round whose edges nobody has told. */
static void who_does_not_know_them_reads_nothing(void)
{
    uint32_t survivors[MANY], count = 0, sum[WORDS], victim;
    fixture f;

    make(&f, DENSITY);
    victim = find_victim(&f, 7, survivors, &count);
    new_round(&f, 8);
    fix_release_all(&f, 201);
    fix_unmask_one(&f, survivors, count, victim, sum);
    CU_ASSERT(fix_wrong_words(&f, sum) > WORDS - 3);
    fix_fini(&f);
}

/* Round after round with what was right once, as a graph that stays would have it. */
static void what_one_round_shows_is_of_no_use_in_the_next(void)
{
    uint32_t survivors[MANY], count = 0, alone = 0, victim;
    fixture f;

    make(&f, DENSITY);
    victim = find_victim(&f, 7, survivors, &count);
    for (uint64_t round = 8; round < 8 + LEAK_ROUNDS; round++) {
        uint32_t edges = 0;

        for (uint32_t i = 0; i < count; i++)
            edges += survivors[i] != victim && edge_of(&f, victim, survivors[i], round);
        alone += edges == 0;
    }
    CU_ASSERT_EQUAL(alone, 0); /* each time 2^-20 */
    fix_fini(&f);
}

/* With masks too few the losses need not be chosen; a plan that has so few is refused. */
static void too_few_edges_leave_nodes_alone_by_themselves(void)
{
    enum { SPARSE = 12 };
    uint32_t survivors[MANY], sum[WORDS], read = 0;
    fixture f;

    CU_ASSERT_EQUAL(fm_dp_mask_density_check(MANY, QUORUM, 0, SPARSE), FM_EINVAL);
    make(&f, SPARSE);
    fix_release_all(&f, 202);
    for (uint32_t i = 0; i < QUORUM; i++)
        survivors[i] = i;
    for (uint32_t i = 0; i < QUORUM; i++) {
        fix_unmask_one(&f, survivors, QUORUM, i, sum);
        read += fix_wrong_words(&f, sum) == 0;
    }
    CU_ASSERT(read > 0); /* 8 on average, none with probability below 1e-3 times 1e-3 */
    fix_fini(&f);
}

/* ... and with as many as are asked for nobody is, whoever is looked at. */
static void enough_edges_leave_nobody_alone(void)
{
    enum { ENOUGH = 245 };
    uint32_t survivors[MANY], sum[WORDS];
    fixture f;

    CU_ASSERT_EQUAL(fm_dp_mask_density_check(MANY, QUORUM, 0, ENOUGH), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_mask_density_check(MANY, QUORUM, 0, ENOUGH - 4), FM_EINVAL);
    make(&f, ENOUGH);
    fix_release_all(&f, 203);
    for (uint32_t i = 0; i < QUORUM; i++)
        survivors[i] = i;
    for (uint32_t i = 0; i < QUORUM; i++) {
        fix_unmask_one(&f, survivors, QUORUM, i, sum);
        CU_ASSERT(fix_wrong_words(&f, sum) > WORDS - 3);
    }
    fix_fini(&f);
}

static const fm_test g_tests[] = {
    { "who knows the edges reads one update", who_knows_the_edges_reads_one_update },
    { "who does not know them reads nothing", who_does_not_know_them_reads_nothing },
    { "what one round shows is of no use in the next",
      what_one_round_shows_is_of_no_use_in_the_next },
    { "too few edges leave nodes alone by themselves",
      too_few_edges_leave_nodes_alone_by_themselves },
    { "enough edges leave nobody alone", enough_edges_leave_nobody_alone },
};

const fm_test_suite fm_suite_dp_mask_graph_attacks = { "dp.mask_graph_attacks", g_tests,
                                                       FM_TEST_COUNT(g_tests) };
