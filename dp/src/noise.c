/*
 * Discrete Gaussian noise by convolution.
 *
 * A sample is x_1 + k_1 (x_2 + k_2 (x_3 + ...)), m independent samples x_i of one base
 * distribution D: P(x) ~ exp(-y x^2), that is, std parameter s = 1/sqrt(2y). Its std parameter is
 * s sqrt(S), S = sum of c_i^2, c_i = k_1 ... k_{i-1}, an integer; y, the m and the k are chosen so
 * that s sqrt(S) is sigma, or larger by less than 2^-47, relative.
 *
 * Distance (total variation) from the exact discrete Gaussian of parameter s sqrt(S):
 *
 * (a) One level. Let X ~ D of parameter s and Y discrete Gaussian of parameter q >= s. Then
 *     P(X + kY = t) ~ sum_b exp(-(t - kb)^2/2s^2 - b^2/2q^2)
 *                   = exp(-t^2 / 2(s^2 + k^2 q^2)) sum_b exp(-(b - c_t)^2 / 2w^2),
 *     w = sq / sqrt(s^2 + k^2 q^2) >= s / sqrt(k^2 + 1). By Poisson summation the last sum is
 *     w sqrt(2 pi) (1 + e_t), |e_t| <= e = 2 sum_{j>=1} exp(-2 pi^2 j^2 w^2), whatever t is. So the
 *     law of X + kY is within (1 +- e)/(1 -+ e) of the exact one, pointwise, and within
 *     e/(1 - e) in distance. We demand s >= 1.75 sqrt(k^2 + 1): w >= 1.75, e < 2^-86.1.
 *     (Peikert 2010, eprint 2010/088, theorem 3.1; Micciancio and Walter 2017, eprint 2017/259,
 *     section 4.)
 * (b) The base. P(|X| > j) is off by less than 1.02 * 2^-93, always downwards (noise_table.c), so
 *     each probability of |X| is off by less than that, and D by (rows + 1) * 0.51 * 2^-93.
 * (c) All. Replacing the inexact parts one after the other adds their distances: below
 *     (m - 1) 2^-86 + m (rows + 1) 2^-93.9. fm_dp_gaussian_new refuses unless that is < 2^-80.
 *
 * Random words: one 32-byte key from the caller's generator for each call, expanded by ChaCha20.
 * (a) to (c) hold for uniform words; that ChaCha20's are as good is what the system's generator
 * itself rests on.
 */
#include "fedmoe/dp/noise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/memory.h"
#include "noise_internal.h"

#define SIGMA_MIN 10.0
#define SIGMA_MAX 0x1p26
#define BASE_MIN_WIDTH 1.7501 /* 1.75, with room for the rounding of the doubles below */
#define BASE_MAX 18.0
#define BASE_CUT 12.0 /* |x_i| < 12 s: P(|X| > 11.4 s) is cut to 0 at 93 bits */
#define MULTIPLIER_MAX 8
#define DISTANCE_MAX 0x1p-80
#define LEVEL_DISTANCE 0x1p-86
#define ROW_DISTANCE 0x1.2p-94 /* > 2^-93.9 */
/* Relative cost of a base sample: a table row against drawing the words. Measured. */
#define COST_PER_WIDTH 3.0
#define COST_FIXED 20.0

#define BLOCK 512 /* samples */

typedef struct {
    double y, cost;
    uint32_t stages, multiplier[FM_GAUSS_STAGES];
} plan;

/* m stages, the first `larger` multipliers k + 1 and the others k; keep it if it is cheaper. */
static void consider(double sigma, uint32_t stages, uint32_t k, uint32_t larger, plan *best)
{
    plan p = { .stages = stages };
    uint32_t k_max = stages == 1 ? 0 : larger > 0 ? k + 1 : k;
    double c = 1.0, reach = 1.0, squares = 1.0, base;

    for (uint32_t i = 0; i + 1 < stages; i++) {
        p.multiplier[i] = i < larger ? k + 1 : k;
        c *= p.multiplier[i];
        reach += c;
        squares += c * c; /* an integer below 2^53: exact, or far too large for sigma */
    }
    base = sigma / sqrt(squares);
    p.cost = stages * (COST_PER_WIDTH * base + COST_FIXED);
    if (reach * base * BASE_CUT > INT32_MAX || base > BASE_MAX ||
        base < BASE_MIN_WIDTH * sqrt(k_max * k_max + 1.0) || p.cost >= best->cost)
        return;
    /* The realised sigma^2 is squares / 2y; 2^-48 outweighs the three roundings. */
    p.y = squares / (2.0 * (sigma * sigma)) * (1.0 - 0x1p-48);
    *best = p;
}

static plan choose(double sigma)
{
    plan best = { .cost = INFINITY };

    consider(sigma, 1, 1, 0, &best);
    for (uint32_t stages = 2; stages <= FM_GAUSS_STAGES; stages++)
        for (uint32_t k = 1; k <= MULTIPLIER_MAX; k++)
            for (uint32_t larger = 0; larger + 1 < stages; larger++)
                consider(sigma, stages, k, larger, &best);
    return best;
}

fm_status fm_dp_gaussian_new(double sigma, fm_dp_gaussian **out)
{
    fm_dp_gaussian *g = NULL;
    void *mem = NULL;
    fm_status st;
    double distance;
    plan p;

    if (!out || !(sigma >= SIGMA_MIN && sigma <= SIGMA_MAX))
        return fm_fail(FM_EINVAL, "noise: sigma must be 10 to 2^26 lattice steps");
    p = choose(sigma);
    if (p.stages == 0)
        return fm_fail(FM_EINTERNAL, "noise: no plan for this sigma");
    if ((st = fm_alloc(1, sizeof *g, &mem)) != FM_OK)
        return st;
    g = mem;
    g->sigma = sigma;
    g->y = p.y;
    g->stages = p.stages;
    memcpy(g->multiplier, p.multiplier, sizeof g->multiplier);
    if ((st = fm_gauss_table_make(p.y, &g->table)) != FM_OK)
        goto done;
    distance =
        (p.stages - 1) * LEVEL_DISTANCE + p.stages * (double)(g->table.entries + 1) * ROW_DISTANCE;
    if (!(distance < DISTANCE_MAX)) {
        st = fm_fail(FM_EINTERNAL, "noise: distance from the exact distribution too large");
        goto done;
    }
    *out = g;
    g = NULL;
done:
    fm_dp_gaussian_free(&g);
    return st;
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

/* Everything secret of one block; wiped as a whole. */
typedef struct {
    uint8_t key[crypto_stream_chacha20_KEYBYTES];
    uint64_t counter; /* the next nonce */
    uint32_t words[FM_GAUSS_WORDS * BLOCK];
    int32_t base[BLOCK];
    uint32_t x[BLOCK];
} workspace;

static void draw_base(const fm_dp_gaussian *g, workspace *w, size_t groups)
{
    uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    size_t bytes = groups * FM_GAUSS_LANES * FM_GAUSS_WORDS * sizeof *w->words;

    fm_put_u64le(nonce, w->counter++);
    /* Cannot fail: it only refuses lengths that no size_t reaches. */
    (void)crypto_stream_chacha20((unsigned char *)w->words, bytes, nonce, w->key);
    fm_gauss_scan(&g->table, w->words, groups, w->base);
}

static void sample_block(const fm_dp_gaussian *g, workspace *w, size_t groups)
{
    memset(w->x, 0, sizeof w->x);
    for (uint32_t i = g->stages; i-- > 0;) {
        uint32_t k = i + 1 < g->stages ? g->multiplier[i] : 0;

        draw_base(g, w, groups);
        for (size_t j = 0; j < groups * FM_GAUSS_LANES; j++)
            w->x[j] = w->x[j] * k + (uint32_t)w->base[j];
    }
}

void fm_dp_gaussian_sample(const fm_dp_gaussian *g, fm_rng *rng, int32_t *out, size_t n)
{
    uint8_t seed[FM_DP_NOISE_SEED_BYTES];

    rng->fill(rng->state, seed, sizeof seed);
    fm_dp_gaussian_expand(g, seed, out, n);
    sodium_memzero(seed, sizeof seed);
}

void fm_dp_gaussian_expand(const fm_dp_gaussian *g, const uint8_t seed[FM_DP_NOISE_SEED_BYTES],
                           int32_t *out, size_t n)
{
    workspace w;

    w.counter = 0;
    memcpy(w.key, seed, sizeof w.key);
    while (n > 0) {
        size_t take = n < BLOCK ? n : BLOCK;

        sample_block(g, &w, (take + FM_GAUSS_LANES - 1) / FM_GAUSS_LANES);
        memcpy(out, w.x, take * sizeof *out);
        out += take;
        n -= take;
    }
    sodium_memzero(&w, sizeof w);
}
