#include <math.h>
#include <stdbool.h>

#include "fedmoe/dp/encode.h"

#define MIN_SENSITIVITY 64
#define MIN_SIGMA 10.0
/* fm_dp_gaussian_expand's ceiling for 32 bits, less than it by more than shares.c rounds up. */
#define MAX_SIGMA (0x1p26 * (1.0 - 0x1p-40))
#define NOISE_SIGMAS 12.0
/* One step below 2^31, far more than the doubles below can be wrong by. */
#define WORD_LIMIT (0x1p31 - 1.0)
#define WORD_BITS 31
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
    return FM_OK;
}

/* The lattice of the wire; the units' is the same. */
static fm_dp_lattice lattice_at(const fm_dp_lattice_spec *s, int scale_log2)
{
    double steps = floor(ldexp(s->clip_norm, scale_log2)); /* exact: a power of two */
    double counted = s->noise_multiplier * steps;
    double shared_by = s->local ? 1.0 : (double)(s->quorum - s->colluders);

    return (fm_dp_lattice){
        .clip_norm = s->clip_norm,
        .scale_log2 = scale_log2,
        .scale = ldexp(1.0, scale_log2),
        .sensitivity = (int64_t)steps,
        .encoding = s->encoding,
        .unit_sensitivity = (int64_t)steps,
        .unit_scale = ldexp(1.0, scale_log2),
        .sigma_share = counted / sqrt(shared_by),
        .sigma_counted = counted,
        .max_units = s->max_units,
        .nodes = s->nodes,
        .quorum = s->quorum,
        .colluders = s->colluders,
        .local = s->local,
    };
}

static bool sums_cannot_wrap(const fm_dp_lattice_spec *s, const fm_dp_lattice *l)
{
    double units = (double)s->max_units * (double)l->sensitivity;
    double noise = (double)s->nodes * NOISE_SIGMAS * l->sigma_share;

    return units + noise < WORD_LIMIT && l->sigma_share <= MAX_SIGMA;
}

/* The finest that wraps no sum, no finer than `from`; sensitivity < MIN_SENSITIVITY: there is none. */
static fm_dp_lattice wire_lattice(const fm_dp_lattice_spec *spec, int from)
{
    fm_dp_lattice l = lattice_at(spec, from);

    while (l.sensitivity >= MIN_SENSITIVITY && !sums_cannot_wrap(spec, &l))
        l = lattice_at(spec, --from);
    return l;
}

/* The finest whose units and noise are no larger than these; the spec is of FAST. */
static int finest(const fm_dp_lattice_spec *spec, int from, double sigma)
{
    fm_dp_lattice l = lattice_at(spec, from);

    while (l.sensitivity >= MIN_SENSITIVITY &&
           (l.sensitivity > FM_DP_FAST_STEPS || l.sigma_share > sigma))
        l = lattice_at(spec, --from);
    return from;
}

/* log2 of unit_scale in FAST: docs/privacy.md, section 2, says why these bounds. */
static int unit_scale_log2(const fm_dp_lattice_spec *spec, int from)
{
    static const double sigmas[] = { 0x1p11, 0x1p16, 0x1p21, MAX_SIGMA };
    int at = from;

    for (size_t i = 0; i < sizeof sigmas / sizeof *sigmas; i++) {
        fm_dp_lattice l = lattice_at(spec, at = finest(spec, from, sigmas[i]));

        if (l.sensitivity >= FAST_LEAST_STEPS &&
            l.sigma_counted >= FAST_SIGMA_OF_UNITS * (double)spec->max_units)
            break;
    }
    return at;
}

static fm_dp_lattice fast_lattice(const fm_dp_lattice_spec *spec, int from)
{
    int unit = unit_scale_log2(spec, from);
    fm_dp_lattice l = wire_lattice(spec, unit);

    l.shift = (unsigned)(unit - l.scale_log2);
    l.unit_sensitivity = l.sensitivity << l.shift; /* at most C * unit_scale */
    l.unit_scale = ldexp(1.0, unit);
    return l;
}

fm_status fm_dp_lattice_make(const fm_dp_lattice_spec *spec, fm_dp_lattice *out)
{
    fm_dp_lattice l;
    int exponent;
    fm_status st;

    if (!spec || !out)
        return fm_fail(FM_EINVAL, "lattice: missing argument");
    if ((st = check_spec(spec)) != FM_OK)
        return st;
    (void)frexp(spec->clip_norm, &exponent); /* clip_norm < 2^exponent */
    l = spec->encoding == FM_DP_FAST ? fast_lattice(spec, WORD_BITS - exponent)
                                     : wire_lattice(spec, WORD_BITS - exponent);
    if (l.sensitivity < MIN_SENSITIVITY)
        return fm_fail(FM_EINVAL,
                       "max_units (%u), nodes (%u) and noise_multiplier (%g) leave less than %d "
                       "lattice steps to a unit; lower one of them",
                       (unsigned)spec->max_units, (unsigned)spec->nodes, spec->noise_multiplier,
                       MIN_SENSITIVITY);
    if (spec->noise_multiplier > 0.0 && l.sigma_share < MIN_SIGMA)
        return fm_fail(FM_EINVAL,
                       "noise_multiplier (%g) makes a node's noise narrower than %g lattice "
                       "steps at the finest lattice that max_units (%u) allows; raise it or lower "
                       "max_units",
                       spec->noise_multiplier, MIN_SIGMA, (unsigned)spec->max_units);
    *out = l;
    return FM_OK;
}
