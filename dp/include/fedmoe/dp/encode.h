/*
 * From one privacy unit's gradient to bounded integers: clip to L2 norm C, scale by a power of
 * two, round, re-check in integers, add. No floating-point sum touches the guarantee: what one unit
 * moves the integer sum by is at most fm_dp_lattice.sensitivity, exactly (docs/privacy.md,
 * section 2).
 */
#ifndef FEDMOE_DP_ENCODE_H
#define FEDMOE_DP_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/status.h"

/**
 * Least noise multiplier of a plan with privacy: below, docs/privacy.md, section 3, does not show
 * that the lattice is as good as the continuum, and a unit that is sampled is hardly hidden at all,
 * whatever a small sampling rate makes of epsilon.
 */
#define FM_DP_MIN_NOISE_MULTIPLIER 0.1

/**
 * How units become integers. EXACT: each unit's whole gradient is rounded by itself, here. FAST: the
 * caller multiplies integers and adds them into fm_dp_sum_batch, on a lattice that may be finer than
 * that of the wire: a release adds the noise that always stays on the finer one, and rounds that
 * once, which costs nothing (docs/privacy.md, section 3).
 */
typedef enum { FM_DP_EXACT, FM_DP_FAST } fm_dp_encoding;

/** The integer lattice that all nodes of a plan share. A function of the plan alone. */
typedef struct {
    double clip_norm;   /* C, in gradient units */
    int scale_log2;     /* lattice steps per gradient unit: 2^scale_log2 */
    double scale;       /* 2^scale_log2 */
    double sensitivity; /* unit_sensitivity / 2^shift: L2 bound of what one unit moves the sum by */
    unsigned word_bits; /* of a word on the wire: sums are modulo 2^word_bits */
    fm_dp_encoding encoding;
    unsigned shift; /* the units' lattice has 2^shift steps to one of the wire; 0: the same */
    int64_t unit_sensitivity; /* floor(C * unit_scale), >= 64: L2 bound of one unit's integers; in
                                 FAST at most FM_DP_FAST_STEPS */
    double unit_scale;        /* scale * 2^shift: steps of the units' lattice per gradient unit */
    double sigma_share;       /* most std of one node's noise, lattice steps, >= 10 */
    double sigma_counted;     /* std that the accountant may rely on: z * sensitivity */
    uint32_t max_units;       /* most units that one round may sum */
    uint32_t nodes;           /* these four as in the spec: shares.h splits the noise by them */
    uint32_t quorum;
    uint32_t colluders;
    bool local;
    uint32_t
        steps; /* noised sums that a node adds up for one update: more than 1 as local.h says */
} fm_dp_lattice;

typedef struct {
    double clip_norm;        /* finite, >= 1e-6 */
    double noise_multiplier; /* z: std of the counted noise over the clip norm, >= 0 */
    uint32_t max_units;      /* most units that one round may sum, over all nodes, >= 1 */
    uint32_t nodes;          /* most nodes in a round */
    uint32_t quorum;         /* fewest survivors t */
    uint32_t colluders;      /* tolerated colluding nodes c < t */
    bool local;              /* each node's noise is the counted one by itself */
    fm_dp_encoding encoding;
    unsigned word_bits; /* 16, 24 or 32; 0, where nothing travels, is 32 */
    uint32_t steps; /* 0 is 1; at most FM_DP_LOCAL_STEPS_MAX; more than 1 of local noise alone */
} fm_dp_lattice_spec;

/** Most steps of one update: far more than are of use (docs/guide-coordinator.md). */
#define FM_DP_LOCAL_STEPS_MAX 64u

/** Most steps of a unit in FAST; finer ones would buy nothing (docs/privacy.md, section 2). */
#define FM_DP_FAST_STEPS ((int64_t)1 << 20)

/**
 * The units' lattice. EXACT: unit_scale is the largest power of two at which no honest sum wraps in
 * 32 bits. FAST: the largest that leaves a unit at most FM_DP_FAST_STEPS and a node's noise at most T
 * units' steps wide; T is the first of 2^11, 2^16, 2^21, 2^26 (up to the first three the sampler
 * takes 2, 3 and 4 draws for a number) that leaves a unit 2^11 steps and makes sigma_counted at
 * least 4 max_units of them.
 *
 * The wire's: scale is that, or the largest smaller power of two at which no honest sum wraps in
 * word_bits; shift is between the two. No honest sum wraps when
 *   max_units units + 14 sigma of the sum of all nodes' noise + 1/2 for the rounding of each,
 * units and roundings once and the noise's variance once for each of the steps, in absolute value, stay below 2^(word_bits - 1); the noise is beyond with probability below 2^-139
 * in a coordinate, and a sum that wraps costs the round, not privacy (docs/privacy.md, section 2).
 * Each share's variance is sigma_counted^2 / (quorum - colluders).
 * noise_multiplier 0 (no privacy; tests) gives sigma_share 0.
 *
 * Words of 16 and 24 bits are for noise, beside which the rounding is nothing, and only where hardly
 * a level of the shares (shares.h) is too narrow: sigma_counted is 12 sqrt(nodes - colluders) or
 * more, or there is one level only.
 *
 * @return FM_OK; FM_EINVAL naming the field: also when a unit would have less than 64 steps (without
 *         noise: of the wire) or, with noise, sigma_share less than 10, or noise_multiplier *
 *         sigma_counted less than 27 (docs/privacy.md, section 3), or words are too short.
 * @thread pure.
 */
FM_NODISCARD fm_status fm_dp_lattice_make(const fm_dp_lattice_spec *spec, fm_dp_lattice *out);
/** The shortest words that serve a spec, whatever its own are; 32 when none do. Pure. */
unsigned fm_dp_least_word_bits(const fm_dp_lattice_spec *spec);

/** Adds units. Opaque: its sum can leave only through fm_dp_release_make. */
typedef struct fm_dp_sum fm_dp_sum;

/** @param n  coordinates, 1..2^30. */
FM_NODISCARD fm_status fm_dp_sum_new(const fm_dp_lattice *lattice, size_t n, fm_dp_sum **out);
void fm_dp_sum_free(fm_dp_sum **s); /* wipes */
void fm_dp_sum_reset(fm_dp_sum *s);

/**
 * Clip, scale, round to nearest, re-check the norm in integers (truncating toward zero where
 * rounding went over), add. A unit with NaN or infinity is dropped and counted, never summed.
 *
 * @param gradient  float32[n] of one unit, unclipped, borrowed.
 * @return FM_OK (also for a dropped unit); FM_ENOMEM when max_units are in already.
 * @thread one caller; never allocates, but for the first unit of a sum in FAST.
 * @source clipping: Abadi et al. 2016, arXiv:1607.00133, Algorithm 1.
 */
FM_NODISCARD fm_status fm_dp_sum_add_unit(fm_dp_sum *s, const float *gradient);

/**
 * FAST: where the integers of some more units are to be added, int32[n], on the units' lattice. It
 * may hold those of earlier units: add to it, and read nothing out of it.
 * Between this and fm_dp_sum_batch_done nothing else may be asked of the sum.
 * @param units  how many at most; with them no coordinate can leave 32 bits (FM_EINVAL when it
 *               could: ask for fewer, at most fm_dp_sum_batch_units).
 * @return FM_OK; FM_EINVAL; FM_ENOMEM when max_units would be passed.
 */
FM_NODISCARD fm_status fm_dp_sum_batch(fm_dp_sum *s, size_t units, int32_t **out);
/** Most units of one batch: floor((2^31 - 1) / unit_sensitivity). */
size_t fm_dp_sum_batch_units(const fm_dp_lattice *lattice);
/**
 * The batch is in.
 * @param squares  [units] exact squared L2 norm of each unit's integers, those of the tail
 *                 included. One above unit_sensitivity^2 is FM_EINTERNAL, and the whole sum is
 *                 wiped.
 * @param units    of the batch, at most as many as were asked for.
 * @param dropped  how many of them were left out because they were not finite: they added nothing.
 * @return FM_OK; FM_EINTERNAL as above; FM_EINVAL without an open batch or for more units than
 *         asked for: the sum is wiped then, too.
 */
FM_NODISCARD fm_status fm_dp_sum_batch_done(fm_dp_sum *s, const uint64_t *squares, size_t units,
                                            size_t dropped);
/** into += from, which is reset: for sums that several threads made on one lattice. FM_EINVAL,
 *  FM_ENOMEM as above. */
FM_NODISCARD fm_status fm_dp_sum_merge(fm_dp_sum *into, fm_dp_sum *from);

size_t fm_dp_sum_units(const fm_dp_sum *s);         /* added */
size_t fm_dp_sum_units_dropped(const fm_dp_sum *s); /* non-finite */

/**
 * The integers of one unit as fm_dp_sum_add_unit would add them: for tests. out: int32[n].
 * FM_ENONFINITE for a unit that would be dropped.
 */
FM_NODISCARD fm_status fm_dp_encode_unit(const fm_dp_lattice *lattice, const float *gradient,
                                         size_t n, int32_t *out);

/* ---- the parts of one unit's sensitivity, and the tail ---- */

/**
 * What a unit's L2 bound is divided among: its gradient, its load counts, its vote on the clip
 * norm. In steps of the units' lattice; gradient^2 + loads^2 + vote^2 <= unit_sensitivity^2.
 */
typedef struct {
    int64_t gradient; /* the root of what the other two leave, rounded down */
    int64_t loads;    /* floor(load_share * unit_sensitivity) */
    int64_t vote;     /* floor(clip_share * unit_sensitivity): a unit adds it, or subtracts it */
} fm_dp_parts;

/** @param load_share, clip_share  each 0 (there is no such part) .. 0.5; FM_EINVAL. */
FM_NODISCARD fm_status fm_dp_parts_make(const fm_dp_lattice *lattice, double load_share,
                                        double clip_share, fm_dp_parts *out);

/** The bound of each of two parts alike: the largest h with 2 h^2 <= unit_sensitivity^2. */
int64_t fm_dp_half_bound(const fm_dp_lattice *lattice);

/**
 * Steps of the units' lattice per gradient unit for a unit whose gradient has this squared norm:
 * unit_scale / relative_clip, or less where it takes that to stay within `limit`. So the sum of
 * gradients, decoded, times relative_clip is in gradient units, whatever the clip norm in use.
 *
 * @param limit          fm_dp_parts.gradient.
 * @param relative_clip  clip norm in use over the plan's; 1 when it is fixed.
 * @return 0, which leaves the unit out, when an argument is not finite or relative_clip not > 0.
 *         With a floating-point error of 2^-50, relative: the integers must be checked.
 * @thread pure.
 */
double fm_dp_unit_factor(const fm_dp_lattice *lattice, int64_t limit, double squared_norm,
                         double relative_clip);
/** Whether that was less than unit_scale / relative_clip: the unit's vote is then for a larger clip
 *  norm, -parts.vote; otherwise +parts.vote. True when something is not finite. */
bool fm_dp_unit_clipped(const fm_dp_lattice *lattice, int64_t limit, double squared_norm,
                        double relative_clip);

/**
 * A unit's tail as integers: sum[i] += v[i] * limit / bound, rounded toward zero.
 * @param v      float32[n]; of L2 norm at most `bound`: a longer one is shortened to it, one with
 *               NaN or infinity adds nothing.
 * @param limit  fm_dp_parts.loads, 0..2^24.
 * @return the exact squared L2 norm of what was added, at most limit^2.
 * @thread pure; never allocates.
 */
uint64_t fm_dp_encode_tail(const float *v, size_t n, double bound, int64_t limit, int32_t *sum);

/* ---- sums of words, modulo 2^word_bits ---- */

/** Bytes of a word on the wire. */
static inline size_t fm_dp_word_bytes(unsigned word_bits)
{
    return word_bits / 8;
}
/** Bytes of a word in a sum: uint16_t of 16 bits, else uint32_t (of 24 the lower three bytes). */
static inline size_t fm_dp_sum_word_bytes(unsigned word_bits)
{
    return word_bits == 16 ? sizeof(uint16_t) : sizeof(uint32_t);
}
/** The i-th word of a sum, in two's complement. */
static inline int32_t fm_dp_sum_word(unsigned word_bits, const void *sum, size_t i)
{
    const uint32_t half = (uint32_t)1 << (word_bits - 1), mask = 2 * (half - 1) + 1;
    const uint32_t w = (word_bits == 16 ? ((const uint16_t *)sum)[i] : ((const uint32_t *)sum)[i]);

    return (int32_t)((int64_t)((w & mask) ^ half) - (int64_t)half);
}

/**
 * Server side: the unmasked sum, in two's complement, as gradient units: out[i] = sum[i] / scale.
 * @param sum  uint16_t[n] or uint32_t[n]: words as in fm_dp_sum_word_bytes.
 */
void fm_dp_decode_sum(const fm_dp_lattice *lattice, const void *sum, size_t n, float *out);

#endif
