/*
 * The graph of masks: that sums come out, that its edges are what they are said to be, and that the
 * bound on its falling apart is one, and close. Statistical tests use fresh keys and raise a false
 * alarm with probability 1e-6 each.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "mask_fixture.h"
#include "mask_internal.h"
#include "stats.h"

#define MANY 40u
#define WORDS ((size_t)64)

/* ---- sums ---- */

static fm_dp_lattice_spec spec_of(unsigned word_bits)
{
    return (fm_dp_lattice_spec){ .clip_norm = 1.0,
                                 .noise_multiplier = 2.0,
                                 .max_units = 120,
                                 .nodes = MANY,
                                 .quorum = 21,
                                 .encoding = FM_DP_FAST,
                                 .word_bits = word_bits };
}

/* The first `lost` nodes and the last one are gone. */
static void sum_comes_out(unsigned word_bits, uint32_t lost, uint32_t density)
{
    const fm_dp_lattice_spec spec = spec_of(word_bits);
    uint32_t survivors[MANY], count = 0, sum[WORDS];
    fixture f;

    fix_init_noise(&f, MANY, WORDS, &spec);
    fix_set_density(&f, density);
    fix_release_all(&f, 100 + lost);
    for (uint32_t u = lost; u < MANY - (lost > 0); u++)
        survivors[count++] = u;
    fix_unmask(&f, survivors, count, sum);
    CU_ASSERT_EQUAL(fix_wrong_words(&f, sum), 0);
    fix_fini(&f);
}

static void sums_come_out_whoever_is_lost(void)
{
    for (unsigned bits = 16; bits <= 32; bits += 8)
        for (uint32_t lost = 0; lost <= 18; lost += 6)
            sum_comes_out(bits, lost, 100);
    sum_comes_out(16, 5, 1);
    sum_comes_out(24, 5, 255);
    sum_comes_out(32, 5, FM_DP_DENSITY_ALL);
}

/* Else a node would mask with those that another one does not. */
static void nodes_of_two_densities_do_not_cancel(void)
{
    const fm_dp_lattice_spec spec = spec_of(32);
    uint32_t survivors[MANY], sum[WORDS];
    fixture f;

    fix_init_noise(&f, MANY, WORDS, &spec);
    fix_set_density(&f, 100);
    f.rounds[3].mask_density = 200;
    fix_release_all(&f, 99);
    for (uint32_t u = 0; u < MANY; u++)
        survivors[u] = u;
    fix_unmask(&f, survivors, MANY, sum);
    CU_ASSERT(fix_wrong_words(&f, sum) > WORDS - 3);
    fix_fini(&f);
}

static void a_density_that_is_none_is_refused(void)
{
    static const uint32_t bad[] = { 0, 257, UINT32_MAX };
    fm_rng rng = fm_rng_system();
    fm_dp_release *r = NULL;
    fixture f;

    fix_init(&f, 4, 10, 0.0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fm_dp_sum *s = NULL;

        fix_set_density(&f, bad[i]);
        CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&f.lattice, 10, &s), FM_OK);
        CU_ASSERT_EQUAL(fm_dp_release_make(s, NULL, f.pairs[0], f.rounds, &rng, &r), FM_EINVAL);
        fm_dp_sum_free(&s);
    }
    CU_ASSERT_PTR_NULL(r);
    fix_fini(&f);
}

/* ---- edges ---- */

/* As node u has it. */
static unsigned edge_of(const fixture *f, uint32_t u, uint32_t v, uint64_t round, uint32_t density)
{
    fm_dp_round r = f->rounds[u];
    uint8_t seed[FM_DP_KEY_BYTES];
    fm_hash context;

    r.round = round;
    context = fm_dp_round_context(&r);
    CU_ASSERT_EQUAL_FATAL(fm_dp_mask_seed(fm_dp_pairs_secret(f->pairs[u], v), &context, seed),
                          FM_OK);
    return fm_dp_mask_edge(seed, density);
}

static void both_ends_draw_the_same_edges(void)
{
    const fm_dp_lattice_spec spec = spec_of(32);
    fixture f;

    fix_init_noise(&f, 20, 1, &spec);
    for (uint32_t u = 0; u < 20; u++)
        for (uint32_t v = 0; v < u; v++)
            for (uint64_t round = 1; round <= 4; round++)
                CU_ASSERT_EQUAL(edge_of(&f, u, v, round, 100), edge_of(&f, v, u, round, 100));
    fix_fini(&f);
}

static bool likely(double count, double n, double p)
{
    const double z = (count - n * p) / sqrt(n * p * (1.0 - p));

    return fabs(z) < FM_STATS_Z;
}

/* Of all pairs, one round after the other: as many as the density says, and what a pair was in one
 * round, or what the pair beside it is, tells nothing of it. */
static void edges_are_fresh_and_independent(void)
{
    enum { ROUNDS = 40 };
    static unsigned was[MANY][MANY], is[MANY][MANY];
    const double p = 100.0 / 256.0, pairs = MANY * (MANY - 1) / 2.0;
    const fm_dp_lattice_spec spec = spec_of(32);
    double edges = 0, again = 0, beside = 0, triangles = 0;
    fixture f;

    fix_init_noise(&f, MANY, 1, &spec);
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        for (uint32_t u = 0; u < MANY; u++)
            for (uint32_t v = 0; v < u; v++)
                is[u][v] = is[v][u] = edge_of(&f, u, v, round, 100);
        for (uint32_t u = 0; u < MANY; u++)
            for (uint32_t v = 0; v < u; v++) {
                edges += is[u][v];
                again += round > 1 && is[u][v] && was[u][v];
            }
        for (uint32_t u = 2; u < MANY; u += 3) { /* of threes that share no pair */
            beside += is[u][u - 1] && is[u][u - 2];
            triangles += is[u][u - 1] && is[u][u - 2] && is[u - 1][u - 2];
        }
        memcpy(was, is, sizeof was);
    }
    CU_ASSERT(likely(edges, ROUNDS * pairs, p));
    CU_ASSERT(likely(again, (ROUNDS - 1) * pairs, p * p));
    CU_ASSERT(likely(beside, ROUNDS * (MANY / 3), p * p));
    CU_ASSERT(likely(triangles, ROUNDS * (MANY / 3), p * p * p));
    fix_fini(&f);
}

static void every_density_has_its_share_of_edges(void)
{
    enum { SEEDS = 20000 };
    static const uint32_t densities[] = { 1, 32, 128, 255 };
    uint8_t seed[FM_DP_KEY_BYTES];
    double count[4] = { 0 };

    for (int i = 0; i < SEEDS; i++) {
        unsigned before = 0;

        fm_random_bytes(seed, sizeof seed);
        for (int d = 0; d < 4; d++) {
            unsigned edge = fm_dp_mask_edge(seed, densities[d]);

            CU_ASSERT(edge >= before); /* what is one at a lower density */
            count[d] += before = edge;
        }
        CU_ASSERT_EQUAL(fm_dp_mask_edge(seed, FM_DP_DENSITY_ALL), 1);
    }
    for (int d = 0; d < 4; d++)
        CU_ASSERT(likely(count[d], SEEDS, densities[d] / 256.0));
}

/* Of many rounds with many numbers of edges: nearly all take as many masks, and none takes less. */
static void number_of_masks_says_hardly_anything_of_the_edges(void)
{
    enum { ROUNDS = 8 };
    const fm_dp_lattice_spec spec = spec_of(32);
    const uint32_t work = 1 + fm_dp_mask_work(MANY - 1, 100);
    uint32_t more = 0, fewest = MANY, most = 0;
    fixture f;

    fix_init_noise(&f, MANY, WORDS, &spec);
    fix_set_density(&f, 100);
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        for (uint32_t u = 0; u < MANY; u++)
            f.rounds[u].round = round;
        fix_release_all(&f, 90 + round);
        for (uint32_t u = 0; u < MANY; u++) {
            const uint32_t masks = fm_dp_release_masks_for_tests(f.releases[u]);
            uint32_t edges = 0;

            CU_ASSERT(masks >= work);
            more += masks > work;
            for (uint32_t v = 0; v < MANY; v++)
                edges += u != v && edge_of(&f, u, v, round, 100);
            fewest = edges < fewest ? edges : fewest;
            most = edges > most ? edges : most;
        }
    }
    CU_ASSERT(most > fewest + 10); /* there was something to hide */
    CU_ASSERT(more <= 8);          /* of 320, 0.4 on average */
    CU_ASSERT_EQUAL(fm_dp_mask_work(199, 120), 115);
    CU_ASSERT_EQUAL(fm_dp_mask_work(199, 256), 199);
    CU_ASSERT_EQUAL(fm_dp_mask_work(20, 250), 20);
    CU_ASSERT_EQUAL(fm_dp_mask_work(0, 100), 0);
    fix_fini(&f);
}

/* ---- the bound ---- */

static bool connected(unsigned (*edge)[MANY], uint32_t n)
{
    uint32_t queue[MANY] = { 0 }, found = 1;
    bool seen[MANY] = { true };

    for (uint32_t at = 0; at < found; at++)
        for (uint32_t v = 0; v < n; v++)
            if (!seen[v] && edge[queue[at]][v]) {
                seen[v] = true;
                queue[found++] = v;
            }
    return found == n;
}

/* All graphs on n nodes, each as likely as it is. */
static double exactly_apart(uint32_t n, double p)
{
    const uint32_t pairs = n * (n - 1) / 2;
    double sum = 0.0;

    for (uint32_t graph = 0; graph < 1u << pairs; graph++) {
        unsigned edge[MANY][MANY] = { { 0 } };
        uint32_t at = 0, count = 0;

        for (uint32_t u = 0; u < n; u++)
            for (uint32_t v = 0; v < u; v++) {
                edge[u][v] = edge[v][u] = graph >> at++ & 1;
                count += edge[u][v];
            }
        if (!connected(edge, n))
            sum += pow(p, count) * pow(1.0 - p, pairs - count);
    }
    return sum;
}

/* It is a sum over sets of nodes with no edge to the others, of which two halves are counted both. */
static void bound_lies_above_what_all_graphs_come_to(void)
{
    for (uint32_t n = 2; n <= 5; n++)
        for (uint32_t density = 32; density < 256; density += 16) {
            const double exact = exactly_apart(n, density / 256.0);
            const double bound = exp2(fm_dp_graph_log2_split(n, density));

            CU_ASSERT(bound >= exact * (1.0 - 1e-12));
            if (density >= 224 && n > 2)
                CU_ASSERT(bound <= exact * 1.3);
        }
    CU_ASSERT_EQUAL(fm_dp_graph_log2_split(5, 256), -INFINITY);
    CU_ASSERT_EQUAL(fm_dp_graph_log2_split(1, 1), -INFINITY);
    CU_ASSERT_DOUBLE_EQUAL(fm_dp_graph_log2_split(2, 192), -1.0, 1e-12);
}

/* With real edges: 40 nodes of which one is alone every tenth time or so. */
static void graphs_fall_apart_as_often_as_reckoned(void)
{
    enum { GRAPHS = 1500, DENSITY = 36 };
    static unsigned edge[MANY][MANY];
    const double bound = exp2(fm_dp_graph_log2_split(MANY, DENSITY));
    const double slack = FM_STATS_Z * sqrt(bound * GRAPHS);
    uint8_t seed[FM_DP_KEY_BYTES];
    double apart = 0.0;

    for (int i = 0; i < GRAPHS; i++) {
        for (uint32_t u = 0; u < MANY; u++)
            for (uint32_t v = 0; v < u; v++) {
                fm_random_bytes(seed, sizeof seed);
                edge[u][v] = edge[v][u] = fm_dp_mask_edge(seed, DENSITY);
            }
        apart += !connected(edge, MANY);
    }
    CU_ASSERT(bound > 0.08 && bound < 0.16);
    CU_ASSERT(apart < GRAPHS * bound + slack);
    CU_ASSERT(apart > GRAPHS * bound * 0.85 - slack);
}

/* ---- the choice ---- */

static fm_dp_graph among(uint32_t nodes, uint32_t quorum, uint32_t colluders)
{
    return (fm_dp_graph){
        .nodes = nodes, .quorum = quorum, .colluders = colluders, .rounds = 100, .delta = 1e-6
    };
}

static uint32_t least(uint32_t nodes, uint32_t quorum, uint32_t colluders)
{
    const fm_dp_graph g = among(nodes, quorum, colluders);

    return fm_dp_mask_density_least(&g);
}

static fm_status check(uint32_t nodes, uint32_t quorum, uint32_t colluders, uint32_t density)
{
    const fm_dp_graph g = among(nodes, quorum, colluders);

    return fm_dp_mask_density_check(&g, density);
}

static void least_density_is_the_least_with_a_bit_to_spare(void)
{
    static const uint32_t nodes[] = { 33, 60, 100, 200, 1000 };

    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        for (uint32_t c = 0; c < nodes[i]; c += nodes[i] / 3) {
            const uint32_t quorum = (nodes[i] + c) / 2 + 1;
            const fm_dp_graph g = among(nodes[i], quorum, c);
            const uint32_t honest = quorum - fm_dp_graph_coalition(&g);
            const uint32_t d = least(nodes[i], quorum, c);

            CU_ASSERT_EQUAL(check(nodes[i], quorum, c, d), FM_OK);
            if (d < FM_DP_DENSITY_ALL)
                CU_ASSERT(fm_dp_graph_log2_failure(nodes[i], honest, d) <= -56.0);
            if (d < FM_DP_DENSITY_ALL)
                CU_ASSERT(fm_dp_graph_log2_failure(nodes[i], honest, d - 1) > -56.0);
        }
    CU_ASSERT_EQUAL(least(200, 101, 0), 122);
    CU_ASSERT_EQUAL(least(1000, 501, 0), 33);
}

static void few_nodes_and_few_honest_ones_take_every_pair(void)
{
    CU_ASSERT_EQUAL(least(32, 17, 0), 256);
    CU_ASSERT_EQUAL(check(33, 17, 0, 251), FM_OK);
    CU_ASSERT_EQUAL(least(33, 17, 0), 256); /* 251 would save nothing */
    CU_ASSERT(least(61, 36, 4) < 256);
    CU_ASSERT_EQUAL(least(100, 100, 99), 256); /* one honest survivor */
    CU_ASSERT_EQUAL(least(100, 100, 96), 256); /* four */
    CU_ASSERT_EQUAL(check(32, 32, 0, 255), FM_EINVAL);
    CU_ASSERT_EQUAL(check(100, 100, 99, 255), FM_EINVAL);
    CU_ASSERT_EQUAL(check(100, 100, 99, 256), FM_OK);
}

/* A refusal says by how much. */
static void sparser_plans_are_refused_with_the_figure(void)
{
    CU_ASSERT_EQUAL(check(200, 101, 0, 120), FM_OK);
    CU_ASSERT_EQUAL(check(200, 101, 0, 119), FM_EINVAL); /* 2^-54.3: a bit is for the time */
    CU_ASSERT_EQUAL(check(200, 101, 0, 110), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "2^-48.2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "68 honest survivors"));
    CU_ASSERT_EQUAL(check(200, 101, 0, 0), FM_EINVAL);
    CU_ASSERT_EQUAL(check(200, 101, 0, 257), FM_EINVAL);
    CU_ASSERT_EQUAL(check(200, 101, 101, 200), FM_EINVAL);
    CU_ASSERT_EQUAL(check(1025, 600, 0, 256), FM_EINVAL);
    CU_ASSERT_EQUAL(check(200, 201, 0, 256), FM_EINVAL);
}

static uint32_t coalition(uint32_t nodes, uint32_t quorum, uint32_t colluders)
{
    const fm_dp_graph g = among(nodes, quorum, colluders);

    return fm_dp_graph_coalition(&g);
}

static uint32_t held(uint32_t nodes, uint32_t quorum)
{
    const fm_dp_graph g = among(nodes, quorum, 0);

    return fm_dp_graph_colluders(&g);
}

/* A high quorum, or many colluders, count; else a third of the quorum does. */
static void coalition_is_what_the_quorum_holds_or_a_third_of_it(void)
{
    CU_ASSERT_EQUAL(coalition(200, 101, 0), 33);
    CU_ASSERT_EQUAL(coalition(200, 121, 0), 41);
    CU_ASSERT_EQUAL(coalition(200, 121, 33), 41);
    CU_ASSERT_EQUAL(coalition(200, 160, 0), 119);
    CU_ASSERT_EQUAL(coalition(200, 126, 51), 51);
    CU_ASSERT_EQUAL(coalition(200, 200, 0), 199);
    CU_ASSERT_EQUAL(least(200, 200, 0), 256); /* who holds against 198 of 200 keeps that */
    CU_ASSERT_EQUAL(least(46, 44, 4), 256);
    CU_ASSERT(least(200, 160, 0) > least(200, 121, 0));
}

/* So that whoever gets one sum only, by the quorum, finds the graph in one piece. */
static void graph_is_never_what_gives_way_first(void)
{
    for (uint32_t n = 2; n <= 200; n++)
        for (uint32_t c = 0; c + 2 <= n; c++)
            for (uint32_t t = (n + c) / 2 + 1; t <= n; t++)
                CU_ASSERT_FATAL(coalition(n, t, c) >= held(n, t) && held(n, t) >= c &&
                                coalition(n, t, c) < t);
}

/* The attack: k colluders commit twice, the others are parted in two. One more than is held makes
 * two sets of survivors, both released. */
static void colluders_that_are_held_make_no_two_sets(void)
{
    for (uint32_t n = 2; n <= 200; n++)
        for (uint32_t t = n / 2 + 1; t <= n; t++)
            for (uint32_t k = 0; k + 2 <= n; k++) {
                const bool two_sets = (n - k) / 2 + k >= t && (n - k + 1) / 2 + k >= t;

                CU_ASSERT_EQUAL_FATAL(two_sets, k > held(n, t));
            }
    CU_ASSERT_EQUAL(held(200, 101), 1); /* two have two sums, whatever the graph is for */
}

static void a_graph_is_for_16384_rounds(void)
{
    fm_dp_graph g = among(200, 101, 0);

    g.rounds = 16384;
    CU_ASSERT_EQUAL(fm_dp_mask_density_check(&g, 120), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_mask_density_least(&g), 122);
    g.rounds = 16385;
    CU_ASSERT_EQUAL(fm_dp_mask_density_check(&g, 255), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "16385 rounds"));
    CU_ASSERT_EQUAL(fm_dp_mask_density_check(&g, 256), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_mask_density_least(&g), 256);
}

/* All rounds there may be together stay below a hundredth of it. */
static void what_falls_apart_is_nothing_beside_delta(void)
{
    fm_dp_graph g = among(200, 101, 0);
    uint32_t before = 122;

    for (double delta = 1e-6; delta > 1e-300; delta /= 10.0) {
        uint32_t d;

        g.delta = delta;
        d = fm_dp_mask_density_least(&g);
        CU_ASSERT(d >= before);
        CU_ASSERT_EQUAL(fm_dp_mask_density_check(&g, d), FM_OK);
        if (d < 256)
            CU_ASSERT(16384.0 * exp2(fm_dp_graph_log2_failure(200, 68, d)) <= delta / 100.0);
        before = d;
    }
    CU_ASSERT_EQUAL(before, 256);
    g.delta = 1e-11;
    CU_ASSERT_EQUAL(fm_dp_mask_density_check(&g, 120), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "at most 2^-58.2 is allowed at delta 1e-11"));
    g.delta = 0.0;
    CU_ASSERT_EQUAL(fm_dp_mask_density_check(&g, 255), FM_EINVAL);
    g.delta = NAN;
    CU_ASSERT_EQUAL(fm_dp_mask_density_check(&g, 255), FM_EINVAL);
}

static const fm_test g_tests[] = {
    { "sums come out whoever is lost", sums_come_out_whoever_is_lost },
    { "nodes of two densities do not cancel", nodes_of_two_densities_do_not_cancel },
    { "a density that is none is refused", a_density_that_is_none_is_refused },
    { "both ends draw the same edges", both_ends_draw_the_same_edges },
    { "edges are fresh and independent", edges_are_fresh_and_independent },
    { "every density has its share of edges", every_density_has_its_share_of_edges },
    { "the number of masks says hardly anything of the edges",
      number_of_masks_says_hardly_anything_of_the_edges },
    { "the bound lies above what all graphs come to", bound_lies_above_what_all_graphs_come_to },
    { "graphs fall apart as often as reckoned", graphs_fall_apart_as_often_as_reckoned },
    { "the least density is the least, with a bit to spare",
      least_density_is_the_least_with_a_bit_to_spare },
    { "few nodes and few honest ones take every pair",
      few_nodes_and_few_honest_ones_take_every_pair },
    { "sparser plans are refused with the figure", sparser_plans_are_refused_with_the_figure },
    { "the coalition is what the quorum holds against, or a third of it",
      coalition_is_what_the_quorum_holds_or_a_third_of_it },
    { "the graph is never what gives way first", graph_is_never_what_gives_way_first },
    { "colluders that are held against make no two sets of survivors",
      colluders_that_are_held_make_no_two_sets },
    { "a graph is for 16384 rounds", a_graph_is_for_16384_rounds },
    { "what falls apart is nothing beside delta", what_falls_apart_is_nothing_beside_delta },
};

const fm_test_suite fm_suite_dp_mask_graph = { "dp.mask_graph", g_tests, FM_TEST_COUNT(g_tests) };
