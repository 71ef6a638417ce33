/* A node of a large federation: a mask with every other node, and with as many as are needed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fedmoe/base/memory.h"
#include "fedmoe/dp/mask.h"
#include "mask_bench.h"
#include "mask_internal.h"

typedef struct {
    uint32_t members;
    fm_dp_keypair *key;
    uint8_t (*public_keys)[FM_DP_KEY_BYTES]; /* [members] */
    uint32_t *all;                           /* [members] */
    fm_dp_pairs *pairs;
    fm_dp_round round;
    fm_dp_lattice lattice;
    fm_dp_sum *sum;
} node;

static double cpu_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* In the middle of the roster; of the others the public keys are enough. */
static fm_status open_node(node *v, uint32_t members, size_t n)
{
    const fm_dp_lattice_spec spec = { .clip_norm = 1.0,
                                      .max_units = 400,
                                      .nodes = members,
                                      .quorum = members,
                                      .encoding = FM_DP_FAST,
                                      .word_bits = 32 };
    fm_dp_roster roster = { .federation = "bench", .members = members, .self = members / 2 };
    fm_status st;

    v->members = members;
    if ((st = fm_alloc(members, sizeof *v->all, (void **)&v->all)) != FM_OK ||
        (st = fm_alloc(members, FM_DP_KEY_BYTES, (void **)&v->public_keys)) != FM_OK)
        return st;
    for (uint32_t u = 0; u < members; u++) {
        fm_dp_keypair *k = NULL;

        if ((st = fm_dp_keypair_new(&k)) != FM_OK)
            return st;
        memcpy(v->public_keys[u], fm_dp_keypair_public(k), FM_DP_KEY_BYTES);
        v->all[u] = u;
        if (u == roster.self)
            v->key = k;
        else
            fm_dp_keypair_free(&k);
    }
    roster.public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])v->public_keys;
    v->round = (fm_dp_round){ .participants = v->all, .participant_count = members };
    if ((st = fm_dp_lattice_make(&spec, &v->lattice)) != FM_OK ||
        (st = fm_dp_sum_new(&v->lattice, n, &v->sum)) != FM_OK)
        return st;
    return fm_dp_pairs_new(v->key, &roster, &v->pairs);
}

static void close_node(node *v)
{
    fm_dp_keypair_free(&v->key);
    fm_dp_pairs_free(&v->pairs);
    fm_dp_sum_free(&v->sum);
    free(v->public_keys);
    free(v->all);
}

/* That it shares in this round. */
static fm_status count_masks(const node *v, uint32_t *out)
{
    const fm_hash context = fm_dp_round_context(&v->round);
    uint8_t seed[FM_DP_KEY_BYTES];
    fm_status st = FM_OK;

    *out = 0;
    for (uint32_t u = 0; st == FM_OK && u < v->members; u++)
        if (u != fm_dp_pairs_self(v->pairs) &&
            (st = fm_dp_mask_seed(fm_dp_pairs_secret(v->pairs, u), &context, seed)) == FM_OK)
            *out += fm_dp_mask_edge(seed, v->round.mask_density);
    return st;
}

/* Another graph each time, all of which count. */
static fm_status time_density(node *v, uint32_t density, int tries)
{
    double cpu = 0.0, edges = 0.0, masks = 0.0;
    fm_status st = FM_OK;

    v->round.mask_density = density;
    for (int i = 0; st == FM_OK && i < tries; i++) {
        fm_rng rng = fm_rng_system();
        fm_dp_release *release = NULL;
        uint32_t count = 0;
        double start;

        v->round.round++;
        if ((st = count_masks(v, &count)) != FM_OK)
            break;
        edges += count;
        start = cpu_s();
        st = fm_dp_release_make(v->sum, NULL, v->pairs, &v->round, &rng, &release);
        cpu += cpu_s() - start;
        if (st == FM_OK)
            masks += fm_dp_release_masks_for_tests(release);
        fm_dp_release_free(&release);
    }
    if (st == FM_OK)
        printf("  density %3u of 256: %6.1f edges, %6.1f masks computed, CPU %7.2f ms\n",
               (unsigned)density, edges / tries, masks / tries, 1e3 * cpu / tries);
    return st;
}

fm_status bench_mask_graph(size_t n, uint32_t nodes, int tries)
{
    const fm_dp_graph graph = {
        .nodes = nodes, .quorum = nodes / 2 + 1, .rounds = 100, .delta = 1e-6
    };
    const uint32_t least = fm_dp_mask_density_least(&graph);
    node v = { .members = 0 };
    fm_status st = open_node(&v, nodes, n);

    printf("a node's release of %zu words among %u nodes, quorum %u, one thread, mean of %d\n", n,
           (unsigned)nodes, (unsigned)graph.quorum, tries);
    fm_dp_release_keep_noise_for_tests(1); /* of which there is none: the masks are counted */
    if (st == FM_OK)
        st = time_density(&v, FM_DP_DENSITY_ALL, tries);
    if (st == FM_OK && least < FM_DP_DENSITY_ALL)
        st = time_density(&v, least, tries);
    close_node(&v);
    return st;
}
