#include <math.h>
#include <stdbool.h>

#include "fedmoe/dp/encode.h"
#include "sum_internal.h"

#define MIN_SENSITIVITY 64
#define MIN_SIGMA 10.0
/* Of sigma, in units of the noise multiplier's inverse: docs/privacy.md, section 3, lemma. */
#define MIN_SIGMA_TIMES_Z 27.0
/* fm_dp_gaussian_expand's ceiling for 32 bits, less than it by more than shares.c rounds up. */
#define MAX_SIGMA (0x1p26 * (1.0 - 0x1p-40))
/* Of the sum of all nodes' noise, and of a short word's: docs/privacy.md, section 2, W1 and W2. */
#define NOISE_SIGMAS 14.0
#define SHORT_SIGMAS 12.0
#define ROUNDING 0.5
#define WIDEST_BITS 32u
#define FAST_LEAST_STEPS 2048
#define FAST_SIGMA_OF_UNITS 4.0

static fm_status check_spec(const fm_dp_lattice_spec *s)
{
    if (!isfinite(s->clip_norm) || s->clip_norm < 1e-6)
        return fm_fail(FM_EINVAL, "clip_norm must be finite and at least 1e-6");
    if (!isfinite(s->noise_multiplier) || s->noise_multiplier < 0.0)
        return fm_fail(FM_EINVAL, "noise_multiplier must be finite and not negative");
    if (s->max_units < 1)
        return fm_fail(FM_EINVAL, "max_units must be at least 1");
    if (s->nodes < 1)
        return fm_fail(FM_EINVAL, "nodes must be at least 1");
    if (s->quorum < 1 || s->quorum > s->nodes)
        return fm_fail(FM_EINVAL, "quorum must be 1 to nodes (%u), and is %u", (unsigned)s->nodes,
                       (unsigned)s->quorum);
    if (s->colluders >= s->quorum)
        return fm_fail(FM_EINVAL, "colluders must be below quorum (%u), and is %u",
                       (unsigned)s->quorum, (unsigned)s->colluders);
    if (s->encoding != FM_DP_EXACT && s->encoding != FM_DP_FAST)
        return fm_fail(FM_EINVAL, "encoding must be exact or fast");
    if (s->steps > FM_DP_LOCAL_STEPS_MAX || (s->steps > 1 && !s->local))
        return fm_fail(FM_EINVAL,
                       "local steps must be at most %u, and each of them has its node's own full "
                       "noise (noise: local)",
                       FM_DP_LOCAL_STEPS_MAX);
    if (s->word_bits != 0 && s->word_bits != 16 && s->word_bits != 24 && s->word_bits != 32)
        return fm_fail(FM_EINVAL, "word_bits must be 16, 24 or 32, and is %u", s->word_bits);
    return FM_OK;
}

/* The lattice whose units have 2^unit_log2 steps per gradient unit, 2^shift to one of the wire. */
static fm_dp_lattice lattice_at(const fm_dp_lattice_spec *s, unsigned word_bits, int unit_log2,
                                unsigned shift)
{
    double steps = floor(ldexp(s->clip_norm, unit_log2)); /* exact: a power of two */
    double sensitivity = ldexp(steps, -(int)shift);
    double counted = s->noise_multiplier * sensitivity;
    double shared_by = s->local ? 1.0 : (double)(s->quorum - s->colluders);

    return (fm_dp_lattice){
        .clip_norm = s->clip_norm,
        .scale_log2 = unit_log2 - (int)shift,
        .scale = ldexp(1.0, unit_log2 - (int)shift),
        .sensitivity = sensitivity,
        .word_bits = word_bits,
        .encoding = s->encoding,
        .shift = shift,
        .unit_sensitivity = (int64_t)steps,
        .unit_scale = ldexp(1.0, unit_log2),
        .sigma_share = counted / sqrt(shared_by),
        .sigma_counted = counted,
        .max_units = s->max_units,
        .nodes = s->nodes,
        .quorum = s->quorum,
        .colluders = s->colluders,
        .local = s->local,
        .steps = s->steps > 1 ? s->steps : 1,
    };
}

/* One step below half of the words, far more than the doubles can be wrong by. */
static bool sums_cannot_wrap(const fm_dp_lattice *l)
{
    double sums = (double)l->nodes * (double)l->steps;
    double units = (double)l->max_units * (double)l->steps * l->sensitivity;
    double noise = NOISE_SIGMAS * l->sigma_share * sqrt(sums) + ROUNDING * sums;

    return units + noise < ldexp(1.0, (int)l->word_bits - 1) - 1.0 && l->sigma_share <= MAX_SIGMA;
}

/* log2 of unit_scale in EXACT: the finest that wraps no sum of 32 bits. */
static int exact_unit_log2(const fm_dp_lattice_spec *spec, int from)
{
    fm_dp_lattice l = lattice_at(spec, WIDEST_BITS, from, 0);

    while (l.unit_sensitivity >= MIN_SENSITIVITY && !sums_cannot_wrap(&l))
        l = lattice_at(spec, WIDEST_BITS, --from, 0);
    return from;
}

/* The finest whose units and noise are no larger than these; the spec is of FAST. */
static int finest(const fm_dp_lattice_spec *spec, int from, double sigma)
{
    fm_dp_lattice l = lattice_at(spec, WIDEST_BITS, from, 0);

    while (l.unit_sensitivity >= MIN_SENSITIVITY &&
           (l.unit_sensitivity > FM_DP_FAST_STEPS || l.sigma_share > sigma))
        l = lattice_at(spec, WIDEST_BITS, --from, 0);
    return from;
}

/* log2 of unit_scale in FAST: docs/privacy.md, section 2, says why these bounds. */
static int fast_unit_log2(const fm_dp_lattice_spec *spec, int from)
{
    static const double sigmas[] = { 0x1p11, 0x1p16, 0x1p21, MAX_SIGMA };
    int at = from;

    for (size_t i = 0; i < sizeof sigmas / sizeof *sigmas; i++) {
        fm_dp_lattice l = lattice_at(spec, WIDEST_BITS, at = finest(spec, from, sigmas[i]), 0);

        if (l.unit_sensitivity >= FAST_LEAST_STEPS &&
            l.sigma_counted >= FAST_SIGMA_OF_UNITS * (double)spec->max_units)
            break;
    }
    return at;
}

/* What the spec leads to; whether it will do is another question. */
static fm_dp_lattice choose(const fm_dp_lattice_spec *spec, unsigned word_bits)
{
    fm_dp_lattice l;
    unsigned shift = 0;
    int exponent, unit;

    (void)frexp(spec->clip_norm, &exponent); /* clip_norm < 2^exponent */
    unit = (int)WIDEST_BITS - 1 - exponent;
    unit = spec->encoding == FM_DP_FAST ? fast_unit_log2(spec, unit) : exact_unit_log2(spec, unit);
    do
        l = lattice_at(spec, word_bits, unit, shift++);
    while (!sums_cannot_wrap(&l) && shift <= FM_DP_SHIFT_MAX);
    return l;
}

/*
 * Whether the levels of the noise, in a round of however many, are as wide as they must be, but for
 * the last one perhaps. Merged, they would leave more noise than is needed.
 */
static bool has_its_levels(const fm_dp_lattice *l)
{
    double honest = (double)(l->nodes - l->colluders);

    return l->local || l->nodes == l->quorum || l->sigma_counted >= SHORT_SIGMAS * sqrt(honest);
}

static bool is_wide_enough(const fm_dp_lattice *l, double noise_multiplier)
{
    return l->sigma_share >= MIN_SIGMA && noise_multiplier * l->sigma_counted >= MIN_SIGMA_TIMES_Z;
}

static bool is_fine_enough(const fm_dp_lattice *l)
{
    return sums_cannot_wrap(l) && l->unit_sensitivity >= MIN_SENSITIVITY &&
           (l->sigma_counted > 0.0 || l->sensitivity >= MIN_SENSITIVITY);
}

static bool short_words_serve(const fm_dp_lattice *l, double noise_multiplier)
{
    return l->sigma_counted > 0.0 && is_fine_enough(l) && is_wide_enough(l, noise_multiplier) &&
           has_its_levels(l);
}

unsigned fm_dp_least_word_bits(const fm_dp_lattice_spec *spec)
{
    if (!spec || check_spec(spec) != FM_OK)
        return WIDEST_BITS;
    for (unsigned bits = 16; bits < WIDEST_BITS; bits += 8) {
        const fm_dp_lattice l = choose(spec, bits);

        if (short_words_serve(&l, spec->noise_multiplier))
            return bits;
    }
    return WIDEST_BITS;
}

fm_status fm_dp_lattice_make(const fm_dp_lattice_spec *spec, fm_dp_lattice *out)
{
    fm_dp_lattice l;
    fm_status st;

    if (!spec || !out)
        return fm_fail(FM_EINVAL, "lattice: missing argument");
    if ((st = check_spec(spec)) != FM_OK)
        return st;
    l = choose(spec, spec->word_bits > 0 ? spec->word_bits : WIDEST_BITS);
    if (l.word_bits < WIDEST_BITS && !short_words_serve(&l, spec->noise_multiplier))
        return fm_fail(FM_EINVAL,
                       "word_bits %u is too short for max_units (%u), nodes (%u) and "
                       "noise_multiplier (%g): sums could wrap, or parts of the noise be too "
                       "narrow; %u would do",
                       l.word_bits, (unsigned)spec->max_units, (unsigned)spec->nodes,
                       spec->noise_multiplier, fm_dp_least_word_bits(spec));
    if (!is_fine_enough(&l))
        return fm_fail(FM_EINVAL,
                       "max_units (%u), nodes (%u) and noise_multiplier (%g) leave less than %d "
                       "lattice steps to a unit; lower one of them",
                       (unsigned)spec->max_units, (unsigned)spec->nodes, spec->noise_multiplier,
                       MIN_SENSITIVITY);
    if (spec->noise_multiplier > 0.0 && !is_wide_enough(&l, spec->noise_multiplier))
        return fm_fail(FM_EINVAL,
                       "noise_multiplier (%g) makes a node's noise narrower than %g lattice "
                       "steps, or than %g over itself, at the finest lattice that max_units (%u) "
                       "allows; raise it or lower max_units",
                       spec->noise_multiplier, MIN_SIGMA, MIN_SIGMA_TIMES_Z,
                       (unsigned)spec->max_units);
    *out = l;
    return FM_OK;
}
