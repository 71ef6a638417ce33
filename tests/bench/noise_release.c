/*
 * What a release costs for each coordinate: the noise by itself, and all of fm_dp_release_make, with
 * the sum, rounding and masks. One node alone, and one of three that may lose one.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/dp/mask.h"
#include "noise_check.h"
#include "shares_internal.h"

#define MEMBERS 3u

typedef struct {
    fm_dp_lattice lattice;
    fm_dp_shares *shares;
    fm_dp_keypair *keys[MEMBERS];
    fm_dp_pairs *pairs;
    fm_dp_sum *sum;
    int32_t *x;    /* [n] */
    float *opened; /* [n] */
    size_t n;
} rig;

static fm_status open_rig(rig *r, uint32_t members, uint32_t max_units, size_t n)
{
    const fm_dp_lattice_spec spec = { .clip_norm = 1.0,
                                      .noise_multiplier = 1.0,
                                      .max_units = max_units,
                                      .nodes = members,
                                      .quorum = members > 1 ? members - 1 : 1,
                                      .colluders = members > 1 ? 1 : 0,
                                      .encoding = FM_DP_FAST };
    uint8_t keys[MEMBERS][FM_DP_KEY_BYTES];
    fm_dp_roster roster = { .federation = "bench", .members = members };
    fm_status st = FM_OK;

    *r = (rig){ .n = n };
    for (uint32_t u = 0; st == FM_OK && u < members; u++)
        if ((st = fm_dp_keypair_new(&r->keys[u])) == FM_OK)
            memcpy(keys[u], fm_dp_keypair_public(r->keys[u]), sizeof keys[u]);
    roster.public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])keys;
    if (st == FM_OK && (st = fm_dp_pairs_new(r->keys[0], &roster, &r->pairs)) == FM_OK &&
        (st = fm_dp_lattice_make(&spec, &r->lattice)) == FM_OK &&
        (st = fm_dp_shares_new(&r->lattice, members, &r->shares)) == FM_OK &&
        (st = fm_dp_sum_new(&r->lattice, n, &r->sum)) == FM_OK &&
        (!(r->x = malloc(n * sizeof *r->x)) || !(r->opened = malloc(n * sizeof *r->opened))))
        st = fm_fail(FM_ENOMEM, "no memory for %zu coordinates", n);
    return st;
}

static void close_rig(rig *r)
{
    for (uint32_t u = 0; u < MEMBERS; u++)
        fm_dp_keypair_free(&r->keys[u]);
    fm_dp_shares_free(&r->shares);
    fm_dp_pairs_free(&r->pairs);
    fm_dp_sum_free(&r->sum);
    free(r->x);
    free(r->opened);
}

/* Nanoseconds of the noise of all levels by itself. */
static fm_status time_noise(const rig *r, double *ns)
{
    static const uint8_t seed[FM_DP_NOISE_SEED_BYTES] = { 1 };
    uint64_t start = fm_clock_now_ns();
    fm_status st = FM_OK;

    for (uint32_t l = 0; st == FM_OK && l < fm_dp_shares_levels(r->shares); l++)
        st = fm_dp_shares_expand(r->shares, l, seed, r->x, r->n);
    *ns = (double)(fm_clock_now_ns() - start);
    return st;
}

static fm_status time_release(const rig *r, uint32_t members, double *ns)
{
    static const uint32_t all[MEMBERS] = { 0, 1, 2 };
    const fm_dp_round round = { .round = 1,
                                .participants = all,
                                .participant_count = members,
                                .mask_density = FM_DP_DENSITY_ALL };
    fm_rng rng = fm_rng_system();
    fm_dp_release *release = NULL;
    uint64_t start = fm_clock_now_ns();
    fm_status st = fm_dp_release_make(r->sum, r->shares, r->pairs, &round, &rng, &release);

    *ns = (double)(fm_clock_now_ns() - start);
    fm_dp_release_free(&release);
    return st;
}

/* The same without masks, where there is one node alone; 0 otherwise. */
static fm_status time_alone(const rig *r, double *ns)
{
    fm_rng rng = fm_rng_system();
    uint64_t start = fm_clock_now_ns();
    fm_status st;

    *ns = 0.0;
    if (r->lattice.nodes > 1)
        return FM_OK;
    st = fm_dp_sum_open_alone(r->sum, r->shares, &rng, r->opened);
    *ns = (double)(fm_clock_now_ns() - start);
    return st;
}

static fm_status time_rig(uint32_t members, uint32_t max_units, size_t n)
{
    const int tries = n > 1000000 ? 7 : 40;
    double noise = HUGE_VAL, all = HUGE_VAL, alone = HUGE_VAL, ns = 0.0;
    rig r;
    fm_status st = open_rig(&r, members, max_units, n);

    for (int i = 0; st == FM_OK && i < tries; i++) {
        if ((st = time_noise(&r, &ns)) == FM_OK)
            noise = fmin(noise, ns);
        if (st == FM_OK && (st = time_release(&r, members, &ns)) == FM_OK)
            all = fmin(all, ns);
        if (st == FM_OK && (st = time_alone(&r, &ns)) == FM_OK)
            alone = fmin(alone, ns);
    }
    if (st == FM_OK)
        printf("  %7zu coordinates, %u of %u nodes, most units %7u: noise 2^%.1f + shift %2u, %u "
               "level%s %.2f, all %.2f; read alone %.2f\n",
               n, members > 1 ? members - 1 : 1, members, (unsigned)max_units,
               log2(r.lattice.sigma_share), r.lattice.shift, fm_dp_shares_levels(r.shares),
               fm_dp_shares_levels(r.shares) > 1 ? "s" : " ", noise / (double)n, all / (double)n,
               alone / (double)n);
    close_rig(&r);
    return st;
}

fm_status bench_noise_release(bool quick)
{
    const size_t sizes[] = { 270000, 4200000 };
    const uint32_t units[] = { 400, 4000, 1u << 20 };
    fm_status st = FM_OK;

    printf("a release, nanoseconds a coordinate (noise multiplier 1)\n");
    for (size_t n = 0; n < (quick ? 1 : 2); n++)
        for (size_t u = 0; u < sizeof units / sizeof *units; u++)
            for (uint32_t members = 1; st == FM_OK && members <= MEMBERS; members += MEMBERS - 1)
                st = time_rig(members, units[u], sizes[n]);
    return st;
}
