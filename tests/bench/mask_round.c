/* Masks within a round: a node's whole step, and what is left to the aggregator. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fedmoe/base/memory.h"
#include "fedmoe/dp/mask.h"
#include "mask_bench.h"

#define MEMBERS_MAX (BENCH_MASK_NEIGHBOURS_MAX + 1)

/* ---- a node ---- */

typedef struct {
    fm_dp_keypair *keys[MEMBERS_MAX];
    uint8_t public_keys[MEMBERS_MAX][FM_DP_KEY_BYTES];
    uint32_t all[MEMBERS_MAX];
    fm_dp_pairs *pairs;
    fm_dp_round round;
    fm_dp_shares *shares; /* NULL: without noise */
    fm_dp_sum *sum;
    size_t update_bytes; /* of the last release */
    double cpu_ms;       /* of the cheapest release */
} node;

static double cpu_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* In the middle of the roster: half of the masks are subtracted. */
static fm_status open_node(node *v, uint32_t members)
{
    fm_dp_roster roster = { .federation = "bench",
                            .public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])v->public_keys,
                            .members = members,
                            .self = members / 2 };
    fm_status st = FM_OK;

    for (uint32_t u = 0; st == FM_OK && u < members; u++) {
        if ((st = fm_dp_keypair_new(&v->keys[u])) == FM_OK)
            memcpy(v->public_keys[u], fm_dp_keypair_public(v->keys[u]), FM_DP_KEY_BYTES);
        v->all[u] = u;
    }
    v->round = (fm_dp_round){ .round = 1,
                              .participants = v->all,
                              .participant_count = members,
                              .mask_density = FM_DP_DENSITY_ALL };
    return st == FM_OK ? fm_dp_pairs_new(v->keys[roster.self], &roster, &v->pairs) : st;
}

static void close_node(node *v)
{
    for (uint32_t u = 0; u < MEMBERS_MAX; u++)
        fm_dp_keypair_free(&v->keys[u]);
    fm_dp_pairs_free(&v->pairs);
    fm_dp_shares_free(&v->shares);
    fm_dp_sum_free(&v->sum);
}

static fm_status open_sum(node *v, size_t n, double noise_multiplier, unsigned word_bits)
{
    const fm_dp_lattice_spec spec = { .clip_norm = 1.0,
                                      .noise_multiplier = noise_multiplier,
                                      .max_units = 400, /* 16 bits hold them with 11 nodes */
                                      .nodes = v->round.participant_count,
                                      .quorum = v->round.participant_count,
                                      .encoding = FM_DP_FAST,
                                      .word_bits = word_bits };
    fm_dp_lattice lattice;
    fm_status st = fm_dp_lattice_make(&spec, &lattice);

    fm_dp_sum_free(&v->sum);
    fm_dp_shares_free(&v->shares);
    if (st == FM_OK && noise_multiplier > 0.0)
        st = fm_dp_shares_new(&lattice, v->round.participant_count, &v->shares);
    return st == FM_OK ? fm_dp_sum_new(&lattice, n, &v->sum) : st;
}

static fm_status make_release(void *ctx)
{
    node *v = ctx;
    fm_rng rng = fm_rng_system();
    fm_dp_release *release = NULL;
    const uint8_t *bytes;
    double start = cpu_s();
    fm_status st = fm_dp_release_make(v->sum, v->shares, v->pairs, &v->round, &rng, &release);

    v->cpu_ms = fmin(v->cpu_ms, 1e3 * (cpu_s() - start));
    if (st == FM_OK)
        fm_dp_release_bytes(release, &bytes, &v->update_bytes);
    fm_dp_release_free(&release);
    return st;
}

/* The wall clock has the wiping of the release in it. */
static fm_status time_node(node *v, size_t n, double noise_multiplier, unsigned word_bits,
                           int tries)
{
    fm_status st = open_sum(v, n, noise_multiplier, word_bits);
    double wall;

    v->cpu_ms = HUGE_VAL;
    wall = bench_mask_ms(make_release, v, tries, &st);
    if (st == FM_OK)
        printf(
            "  %2u bits, %-14s CPU %5.1f, on the wall clock with the release's end %5.1f; update "
            "%.1f MB, %.2f times float32\n",
            word_bits, noise_multiplier > 0.0 ? "with noise" : "without noise", v->cpu_ms, wall,
            1e-6 * (double)v->update_bytes, (double)v->update_bytes / (double)(4 * n));
    return st;
}

fm_status bench_mask_node(size_t n, uint32_t neighbours, int tries)
{
    node v = { .pairs = NULL };
    fm_status st = open_node(&v, neighbours + 1);

    printf(
        "a node's release of %zu words, %u neighbours, one thread, milliseconds (at least 150, aim "
        "50)\n",
        n, (unsigned)neighbours);
    if (st == FM_OK)
        st = time_node(&v, n, 0.0, 32, tries);
    for (unsigned bits = 32; st == FM_OK && bits >= 16; bits -= 8)
        st = time_node(&v, n, 1.0, bits, tries);
    if (st == FM_OK)
        printf("  (update: at least 40 MB and 1.02 times float32, aim 20 MB and 0.5 times)\n");
    close_node(&v);
    return st;
}

/* ---- the aggregator ---- */

static fm_status sum_updates(unsigned word_bits, uint32_t *sum, size_t n, uint32_t updates)
{
    const size_t len = n * fm_dp_word_bytes(word_bits);
    const uint8_t seed[FM_DP_KEY_BYTES] = { 7 };
    uint8_t *bytes = NULL;
    double start, added, unmasked;
    void *mem = NULL;
    fm_status st = fm_alloc(n, 4, &mem);

    if (st != FM_OK)
        return st;
    bytes = mem;
    memset(bytes, 3, len); /* pages of its own */
    start = cpu_s();
    for (uint32_t u = 0; st == FM_OK && u < updates; u++)
        st = fm_dp_sum_words(word_bits, sum, n, bytes, len);
    added = cpu_s();
    for (uint32_t u = 0; st == FM_OK && u < updates; u++)
        st = fm_dp_mask_apply(word_bits, sum, n, seed, -1);
    unmasked = cpu_s();
    if (st == FM_OK)
        printf("  %2u bits: their sum %.3f, their self masks off %.3f\n", word_bits, added - start,
               unmasked - added);
    free(mem);
    return st;
}

fm_status bench_mask_aggregator(uint32_t *sum, size_t n, uint32_t updates)
{
    fm_status st = FM_OK;

    printf("the aggregator with %u updates of %zu words, CPU seconds (limits of 100 updates of 10 "
           "million of 32 bits: 0.35 and 0.24)\n",
           (unsigned)updates, n);
    for (unsigned bits = 16; st == FM_OK && bits <= 32; bits += 8)
        st = sum_updates(bits, sum, n, updates);
    return st;
}
