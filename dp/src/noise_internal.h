/* The inside of the discrete Gaussian sampler: noise.c and its tables, key stream and kernels. */
#ifndef FEDMOE_DP_NOISE_INTERNAL_H
#define FEDMOE_DP_NOISE_INTERNAL_H

#include <stdbool.h>

#include "fedmoe/dp/noise.h"

#define FM_GAUSS_ENTRIES 800 /* ceiling of the table of tail probabilities */
#define FM_GAUSS_STAGES 10   /* ceiling of base samples in one sample */
#define FM_GAUSS_QUADS 3     /* stages are made four at a time */
#define FM_GAUSS_LANES 16    /* numbers that the scan looks up at once */
#define FM_GAUSS_WORDS 3     /* random 32-bit words of each */
#define FM_GAUSS_LIMB_MASK 0x7fffffff

#define FM_GAUSS_GROUP 64                         /* samples that a kernel makes at once */
#define FM_GAUSS_STAGE_BYTES (3 * FM_GAUSS_GROUP) /* key stream of one stage of a group */
#define FM_GAUSS_SLOTS 64                         /* residual samples of a block */
#define FM_GAUSS_BLOCK_STAGES 2048                /* stages of groups in a block, at most */
#define FM_GAUSS_ESCAPE 255                       /* the symbol that takes a residual sample */

/*
 * P(|X| > j), cut to 93 bits: three limbs of 31 bits, high first, so that a signed comparison of
 * 32-bit lanes orders them. Rows [0, high_end) have a high limb, rows [high_end, mid_end) only a
 * middle one, rows [mid_end, entries) only a low one.
 */
typedef struct {
    int32_t limb[FM_GAUSS_WORDS][FM_GAUSS_ENTRIES];
    size_t high_end, mid_end, entries;
} fm_gauss_table;

/*
 * The alias table: column j, drawn uniformly, gives symbol j when a 15-bit number is below its
 * threshold (256 high + low), and symbol other[j] when not. Symbols are magnitudes, or ESCAPE.
 */
typedef struct {
    _Alignas(64) uint8_t high[256];
    _Alignas(64) uint8_t low[256];
    _Alignas(64) uint8_t other[256];
} fm_gauss_alias;

/* x1 + k1 x2 + k1 k2 (x3 + k3 x4), the first `stages` of them; 1 for what is not there. */
typedef struct {
    uint32_t stages;
    int16_t near, far, both; /* k1, k3, k1 k2 */
    uint64_t weight;         /* of the whole in the sample: product of the k before it */
} fm_gauss_quad;

/* Residual magnitudes of a block, in two planes of bytes, and how many are used. Secret. */
typedef struct {
    _Alignas(64) uint8_t low[FM_GAUSS_SLOTS];
    _Alignas(64) uint8_t high[FM_GAUSS_SLOTS];
    uint32_t used;
} fm_gauss_escapes;

struct fm_dp_gaussian {
    double sigma;                         /* as asked for */
    double y;                             /* the base distribution is exp(-y x^2) */
    uint32_t stages;                      /* base samples in one sample, m */
    uint32_t multiplier[FM_GAUSS_STAGES]; /* k_1 .. k_{m-1}, outermost first */
    uint32_t quads;
    fm_gauss_quad quad[FM_GAUSS_QUADS];
    uint32_t escape_weight; /* of ESCAPE, in 2^-23 */
    fm_gauss_alias alias;
    fm_gauss_table residual;
};

/** The table of exp(-y x^2), y in [2^-13, 1/8). FM_EINTERNAL when it does not fit. */
FM_NODISCARD fm_status fm_gauss_table_make(double y, fm_gauss_table *out);

/**
 * Split a distribution of |X| into the alias table of its multiples of 2^-`bits`, at least 12 and
 * at most 23 (rounds use 23; fewer bits make escapes frequent, for tests), and the residual.
 * @param escape_weight  out: probability of ESCAPE, in 2^-23.
 */
FM_NODISCARD fm_status fm_gauss_alias_make(const fm_gauss_table *t, unsigned bits,
                                           fm_gauss_alias *alias, uint32_t *escape_weight,
                                           fm_gauss_table *residual);

/** As fm_dp_gaussian_new, with `bits` for fm_gauss_alias_make; no refusal of frequent escapes. */
FM_NODISCARD fm_status fm_gauss_new(double sigma, unsigned bits, fm_dp_gaussian **out);

/**
 * Magnitudes from random words: groups of FM_GAUSS_LANES; each group reads 3 * LANES words.
 * No branch and no address depends on the words.
 */
typedef void fm_gauss_scan(const fm_gauss_table *t, const uint32_t *words, size_t groups,
                           int32_t *out);

/**
 * One quad of `groups` groups of samples.
 * @param words   key stream of the first group's quad; the next group's is `stride` bytes on.
 * @param out     int32[groups * FM_GAUSS_GROUP].
 * No branch and no address depends on words or escapes. Reads alias tables in registers, or whole.
 */
typedef void fm_gauss_groups(const fm_gauss_alias *t, const fm_gauss_quad *quad,
                             const uint8_t *words, size_t stride, size_t groups,
                             fm_gauss_escapes *escapes, int32_t *out);

/** A way to compute the same integers. */
typedef struct {
    const char *name;
    bool (*available)(void);
    fm_gauss_scan *scan;
    fm_gauss_groups *groups;
    bool own_stream; /* AES by vector instructions; else OpenSSL's */
} fm_gauss_path;

fm_gauss_scan fm_gauss_scan_portable;
fm_gauss_groups fm_gauss_groups_portable;
#if defined(__x86_64__)
fm_gauss_scan fm_gauss_scan_avx2, fm_gauss_scan_avx512;
fm_gauss_groups fm_gauss_groups_avx2, fm_gauss_groups_avx512;
#endif

/** Slowest first; the first is always available. */
extern const fm_gauss_path fm_gauss_paths[];
extern const size_t fm_gauss_path_count;

/** The best that this machine can run. */
const fm_gauss_path *fm_gauss_best_path(void);

/** fm_dp_gaussian_expand and _expand64 (one of out32, out64 is NULL) by a certain path. */
FM_NODISCARD fm_status fm_gauss_expand(const fm_dp_gaussian *g, const fm_gauss_path *path,
                                       const uint8_t seed[FM_DP_NOISE_SEED_BYTES], int32_t *out32,
                                       int64_t *out64, size_t n);

/* AES-256-CTR from a zero counter block. Secret; wipe by _fini. */
typedef struct {
    _Alignas(64) uint8_t round_key[15][16]; /* own */
    uint64_t counter;                       /* own: the next block */
    void *openssl;                          /* EVP_CIPHER_CTX; NULL: own */
} fm_gauss_stream;

FM_NODISCARD fm_status fm_gauss_stream_init(fm_gauss_stream *s, bool own,
                                            const uint8_t key[FM_DP_NOISE_SEED_BYTES]);
/** The next len bytes; len is a multiple of 64. */
FM_NODISCARD fm_status fm_gauss_stream_next(fm_gauss_stream *s, uint8_t *out, size_t len);
void fm_gauss_stream_fini(fm_gauss_stream *s);

#define FM_GAUSS_CHUNK_STAGES 64 /* stages of groups whose key stream is made at once: 12 KiB */
#define FM_GAUSS_RESIDUAL_WORDS (FM_GAUSS_SLOTS * FM_GAUSS_WORDS)

/* What a seed stands for, piece by piece. All of it secret; _end wipes it. */
typedef struct {
    const fm_dp_gaussian *g;
    const fm_gauss_path *path;
    size_t left; /* samples of the block */
    fm_gauss_stream stream;
    fm_gauss_escapes escapes;
    uint8_t residual[4 * FM_GAUSS_RESIDUAL_WORDS];
    uint32_t words[FM_GAUSS_RESIDUAL_WORDS];
    int32_t magnitude[FM_GAUSS_SLOTS];
    uint8_t chunk[FM_GAUSS_CHUNK_STAGES * FM_GAUSS_STAGE_BYTES];
    int32_t quad[FM_GAUSS_QUADS][FM_GAUSS_GROUP];
} fm_gauss_run;

/** @param g  must outlive the run. End it also after an error. */
FM_NODISCARD fm_status fm_gauss_run_begin(fm_gauss_run *r, const fm_dp_gaussian *g,
                                          const fm_gauss_path *path,
                                          const uint8_t seed[FM_DP_NOISE_SEED_BYTES]);
/** The next n samples; one of the outputs is NULL. n is a multiple of FM_GAUSS_GROUP, but for the
 *  last piece. */
FM_NODISCARD fm_status fm_gauss_run_next(fm_gauss_run *r, int32_t *out32, int64_t *out64, size_t n);
void fm_gauss_run_end(fm_gauss_run *r);

#if defined(__x86_64__)
/** AES-NI and VAES, of whatever width; the caller asks for the registers. */
bool fm_gauss_has_vaes(void);

/** The two halves of the own stream; the first needs AES-NI, the second VAES and AVX-512. */
void fm_gauss_aes_expand_key(const uint8_t key[FM_DP_NOISE_SEED_BYTES], uint8_t round_key[15][16]);
void fm_gauss_aes_stream(const uint8_t round_key[15][16], uint64_t counter, uint8_t *out,
                         size_t len);
#endif

#endif
