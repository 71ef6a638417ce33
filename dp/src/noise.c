/*
 * Discrete Gaussian noise by convolution: the plan of stages and the proof.
 *
 * A sample is x_1 + k_1 (x_2 + k_2 (x_3 + ...)), m independent samples x_i of one base
 * distribution D: P(x) ~ exp(-y x^2), that is, std parameter s = 1/sqrt(2y). Its std parameter is
 * s sqrt(S), S = sum of c_i^2, c_i = k_1 ... k_{i-1}, an integer; y, the m and the k are chosen so
 * that s sqrt(S) is sigma, or larger by less than 2^-47, relative.
 *
 * A base sample takes 24 random bits: a sign, and 23 bits that choose a magnitude by an alias
 * table (Walker 1977). Of each probability P(|X| = i), i < 255, the table holds the multiple of
 * 2^-23 below it; what is missing, e < 2^-14 in all, is one more symbol, the escape. An escape is
 * replaced by a sample of the residual distribution, what is left of the probabilities divided
 * by e, with 93 bits. So that time and addresses tell nothing, each block of at most 2^17 base
 * samples has 64 residual samples ready, used or not, and its t-th escape takes the t-th.
 *
 * Distance (total variation) from the exact discrete Gaussian of parameter s sqrt(S):
 *
 * (a) One level. Let X ~ D of parameter s and Y discrete Gaussian of parameter q >= s. Then
 *     P(X + kY = t) ~ sum_b exp(-(t - kb)^2/2s^2 - b^2/2q^2)
 *                   = exp(-t^2 / 2(s^2 + k^2 q^2)) sum_b exp(-(b - c_t)^2 / 2w^2),
 *     w = sq / sqrt(s^2 + k^2 q^2) >= s / sqrt(k^2 + 1). By Poisson summation the last sum is
 *     w sqrt(2 pi) (1 + e_t), |e_t| <= e' = 2 sum_{j>=1} exp(-2 pi^2 j^2 w^2), whatever t is. So
 *     the law of X + kY is within (1 +- e')/(1 -+ e') of the exact one, pointwise, and within
 *     e'/(1 - e') in distance. We demand s >= 1.75 sqrt(k^2 + 1): w >= 1.75, e' < 2^-86.1.
 *     (Peikert 2010, eprint 2010/088, theorem 3.1; Micciancio and Walter 2017, eprint 2017/259,
 *     section 4.)
 * (b) The base. The integers T_j / 2^93 of noise_table.c are below P(|X| > j) by less than
 *     1.016 * 2^-93, or above it by less than 2^-99. The alias table gives symbol i < 255 with
 *     probability a_i / 2^23 exactly (its columns are filled in integers), the escape with
 *     e = 1 - sum of a_i / 2^23. The residual's P(> j) are those of T and a, exactly, cut to 93
 *     bits: e times that is 2^-107. Together each probability of |X| is off by less than
 *     1.04 * 2^-93, and D, with all beyond the last row, by (rows + 2) * 0.52 * 2^-93, which is
 *     less than (rows + 2) 2^-93.9.
 * (c) The slots. Were there a residual sample for every escape, all base samples would be
 *     independent and as in (b). It is so unless a block has more than 64 escapes, and that
 *     happens with probability at most C(2^17, 65) e^65 < 8^65 / 65! < 2^-107. (The 65th would
 *     take the first residual sample again.)
 * (d) All. Replacing the inexact parts one after the other adds their distances: below
 *     (m - 1) 2^-86 + m (rows + 2) 2^-93.9 + 2^-107 for a sample; for n samples n times that, where
 *     the last term counts once for each block. fm_dp_gaussian_new refuses unless it is < 2^-80
 *     (at m = 10 and 689 rows it is 2^-80.7; at m <= 4 below 2^-82), and unless e <= 2^-14.
 *
 * Random words: one seed from the caller's generator for each call, expanded by AES-256 in counter
 * mode. (a) to (d) hold for uniform words; that nobody tells the cipher's from those is what the
 * masks rest on, too.
 */
#include "fedmoe/dp/noise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/memory.h"
#include "noise_internal.h"

__extension__ typedef unsigned __int128 u128;

#define SIGMA_MAX 0x1p50
#define BASE_MIN_WIDTH 1.7501 /* 1.75, with room for the rounding of the doubles below */
#define BASE_MAX 62.0         /* P(|X| >= 255) < 4e-5 is left to the escapes */
#define MULTIPLIER_MAX 35     /* what 62 / 1.7501 allows */
#define ALIAS_BITS 23
#define ESCAPE_MAX 512 /* of 2^23: 2^-14 */
#define DISTANCE_MAX 0x1p-80
#define LEVEL_DISTANCE 0x1p-86
#define ROW_DISTANCE 0x1.2p-94 /* > 2^-93.9 */
#define OVERFLOW_DISTANCE 0x1p-107

/* The multipliers of m stages, the first `larger` of them k + 1 and the others k. */
static void fill_plan(fm_dp_gaussian *g, uint32_t stages, uint32_t k, uint32_t larger,
                      u128 *squares)
{
    u128 c = 1;

    g->stages = stages;
    *squares = 1;
    for (uint32_t i = 0; i + 1 < stages; i++) {
        g->multiplier[i] = i < larger ? k + 1 : k;
        c *= g->multiplier[i]; /* at most 35^9 < 2^47 */
        *squares += c * c;
    }
}

/* The first plan of m stages whose base is narrow enough; false when that is too narrow. */
static bool plan_stages(fm_dp_gaussian *g, uint32_t stages)
{
    for (uint32_t k = 1; k <= MULTIPLIER_MAX; k++) {
        for (uint32_t larger = 0; larger == 0 || larger + 1 < stages; larger++) {
            double k_max = stages == 1 ? 0.0 : larger > 0 ? k + 1 : k, s2, base;
            u128 squares;

            fill_plan(g, stages, k, larger, &squares);
            s2 = (double)squares;
            base = g->sigma / sqrt(s2);
            if (base > BASE_MAX)
                continue;
            /* The realised sigma^2 is squares / 2y; 2^-48 outweighs the roundings. */
            g->y = s2 / (2.0 * (g->sigma * g->sigma)) * (1.0 - 0x1p-48);
            return base >= BASE_MIN_WIDTH * sqrt(k_max * k_max + 1.0);
        }
    }
    return false;
}

static bool plan(fm_dp_gaussian *g)
{
    for (uint32_t stages = 1; stages <= FM_GAUSS_STAGES; stages++)
        if (plan_stages(g, stages))
            return true;
    return false;
}

/* Stages 4i .. 4i + 3 as one step of the kernels. */
static void make_quads(fm_dp_gaussian *g)
{
    uint64_t weight = 1;

    g->quads = (g->stages + 3) / 4;
    for (uint32_t i = 0; i < g->quads; i++) {
        uint32_t k[4];

        for (uint32_t j = 0; j < 4; j++)
            k[j] = 4 * i + j + 1 < g->stages ? g->multiplier[4 * i + j] : 1;
        g->quad[i] = (fm_gauss_quad){
            .stages = g->stages - 4 * i < 4 ? g->stages - 4 * i : 4,
            .near = (int16_t)k[0],
            .far = (int16_t)k[2],
            .both = (int16_t)(k[0] * k[1]),
            .weight = weight,
        };
        weight *= (uint64_t)k[0] * k[1] * k[2] * k[3];
    }
}

fm_status fm_gauss_new(double sigma, unsigned bits, fm_dp_gaussian **out)
{
    fm_dp_gaussian *g = aligned_alloc(64, (sizeof *g + 63) / 64 * 64);
    fm_gauss_table table;
    fm_status st;

    if (!g)
        return fm_fail(FM_ENOMEM, "noise: no memory left");
    memset(g, 0, sizeof *g);
    g->sigma = sigma;
    if (!plan(g)) {
        st = fm_fail(FM_EINTERNAL, "noise: no plan for this sigma");
        goto done;
    }
    make_quads(g);
    if ((st = fm_gauss_table_make(g->y, &table)) != FM_OK ||
        (st = fm_gauss_alias_make(&table, bits, &g->alias, &g->escape_weight, &g->residual)) !=
            FM_OK)
        goto done;
    *out = g;
    g = NULL;
done:
    fm_dp_gaussian_free(&g);
    return st;
}

fm_status fm_dp_gaussian_new(double sigma, fm_dp_gaussian **out)
{
    fm_dp_gaussian *g = NULL;
    double distance;
    fm_status st;

    if (!out || !(sigma >= FM_DP_MIN_SIGMA && sigma <= SIGMA_MAX))
        return fm_fail(FM_EINVAL, "noise: sigma must be %g to 2^50 lattice steps", FM_DP_MIN_SIGMA);
    if ((st = fm_gauss_new(sigma, ALIAS_BITS, &g)) != FM_OK)
        return st;
    distance = (g->stages - 1) * LEVEL_DISTANCE + OVERFLOW_DISTANCE +
               g->stages * (double)(g->residual.entries + 2) * ROW_DISTANCE;
    if (!(distance < DISTANCE_MAX) || g->escape_weight > ESCAPE_MAX) {
        fm_dp_gaussian_free(&g);
        return fm_fail(FM_EINTERNAL, "noise: distance from the exact distribution too large");
    }
    *out = g;
    return FM_OK;
}

void fm_dp_gaussian_free(fm_dp_gaussian **g)
{
    if (!g)
        return;
    free(*g);
    *g = NULL;
}

double fm_dp_gaussian_sigma(const fm_dp_gaussian *g)
{
    return g->sigma;
}
