/*
 * An aggregator that isolates a node: it declares all lost with whom its victim shares a mask, and
 * reads the victim's update alone. It works if the edges are known before the losses are named, as
 * with a graph that is public; and if there are too few of them.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mask_fixture.h"
#include "mask_internal.h"

#define MANY 40u
#define QUORUM 21u
#define WORDS ((size_t)64)
#define DENSITY 128u
#define LEAK_ROUNDS 200u

static const fm_dp_graph g_graph = {
    .nodes = MANY, .quorum = QUORUM, .rounds = 100, .delta = 1e-6
};

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

    CU_ASSERT_EQUAL(fm_dp_mask_density_check(&g_graph, SPARSE), FM_EINVAL);
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

    CU_ASSERT_EQUAL(fm_dp_mask_density_check(&g_graph, ENOUGH), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_mask_density_check(&g_graph, ENOUGH - 4), FM_EINVAL);
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

/* ---- the edges, on the stack of a thread that has made its update and gone ---- */

#define STACK_BYTES ((size_t)1 << 20)
#define LIST 8u /* of the seeds of edges, or of their signs, that are found */

typedef struct {
    fixture *f;
    fm_dp_sum *sum;
    fm_dp_shares *shares;
    fm_dp_release *release;
} job;

static void *release_in_thread(void *ctx)
{
    job *j = ctx;
    fm_rng rng = fm_rng_system();

    if (fm_dp_release_make(j->sum, j->shares, j->f->pairs[MANY / 2], &j->f->rounds[MANY / 2], &rng,
                           &j->release) != FM_OK)
        j->release = NULL;
    return NULL;
}

/* Addresses one after the other that lie seeds apart. */
static bool lists_seeds(const uint8_t *stack)
{
    size_t run = 0;

    for (size_t i = 8; i + 8 <= STACK_BYTES; i += 8) {
        uint64_t a, b;

        memcpy(&a, stack + i - 8, 8);
        memcpy(&b, stack + i, 8);
        run = b > a && b - a <= MANY * FM_DP_KEY_BYTES && (b - a) % FM_DP_KEY_BYTES == 0 ? run + 1
                                                                                         : 0;
        if (run == LIST)
            return true;
    }
    return false;
}

/* -1 for those before the own place, 1 from there on. */
static bool lists_signs(const uint8_t *stack)
{
    uint8_t signs[LIST];

    memset(signs, 0xff, LIST / 2);
    memset(signs + LIST / 2, 1, LIST / 2);
    for (size_t i = 0; i + LIST <= STACK_BYTES; i++)
        if (memcmp(stack + i, signs, LIST) == 0)
            return true;
    return false;
}

static void no_list_of_edges_stays_on_the_stack(void)
{
    uint8_t *stack = aligned_alloc(4096, STACK_BYTES);
    pthread_attr_t attr;
    pthread_t thread;
    fixture f;
    job j = { .f = &f };

    CU_ASSERT_FATAL(stack != NULL);
    memset(stack, 0xa5, STACK_BYTES);
    make(&f, DENSITY);
    CU_ASSERT_EQUAL_FATAL(fm_dp_shares_fit(&j.shares, &f.lattice, MANY), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&f.lattice, WORDS, &j.sum), FM_OK);
    CU_ASSERT_EQUAL_FATAL(pthread_attr_init(&attr), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_attr_setstack(&attr, stack, STACK_BYTES), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, &attr, release_in_thread, &j), 0);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    CU_ASSERT_PTR_NOT_NULL(j.release);
    CU_ASSERT_FALSE(lists_seeds(stack));
    CU_ASSERT_FALSE(lists_signs(stack));
    pthread_attr_destroy(&attr);
    fm_dp_release_free(&j.release);
    fm_dp_sum_free(&j.sum);
    fm_dp_shares_free(&j.shares);
    fix_fini(&f);
    free(stack);
}

static const fm_test g_tests[] = {
    { "who knows the edges reads one update", who_knows_the_edges_reads_one_update },
    { "who does not know them reads nothing", who_does_not_know_them_reads_nothing },
    { "what one round shows is of no use in the next",
      what_one_round_shows_is_of_no_use_in_the_next },
    { "too few edges leave nodes alone by themselves",
      too_few_edges_leave_nodes_alone_by_themselves },
    { "enough edges leave nobody alone", enough_edges_leave_nobody_alone },
    { "no list of edges stays on the stack", no_list_of_edges_stays_on_the_stack },
};

const fm_test_suite fm_suite_dp_mask_graph_attacks = { "dp.mask_graph_attacks", g_tests,
                                                       FM_TEST_COUNT(g_tests) };
