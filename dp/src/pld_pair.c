/* The three mechanisms as pairs on the line of v = log(Q1/Q0). */
#include <math.h>

#include "pld_internal.h"

static const double LOG_SQRT_2PI = 0.91893853320467274178;

/* Standard normal mass beyond t > 0; the addition keeps an underflow from being nothing. */
static double normal_tail(double t)
{
    return 0.5 * erfc(t / sqrt(2.0)) * (1.0 + 1e-12) + 1e-320;
}

static void init_gaussian(fm_pld_pair *p, double tail)
{
    double far = normal_tail(tail + 1.0 / p->z), near = normal_tail(tail);

    /* x / z from -tail to 1/z + tail; v = (2x - 1) / (2 z^2) */
    p->v_lo = -tail / p->z - 0.5 / (p->z * p->z);
    p->v_hi = tail / p->z + 0.5 / (p->z * p->z);
    p->q_left = near;
    p->p_left = p->omq * near + p->q * far;
    p->q_right = far;
    p->p_right = p->omq * far + p->q * near;
}

/* Sum of exp(-x^2 / (2 sigma^2)) over x >= m, m >= 1: a geometric series bounds it. */
static double lattice_tail(double sigma, double m)
{
    return exp(-m * m / (2.0 * sigma * sigma)) / -expm1(-m / (sigma * sigma));
}

static fm_status init_discrete(fm_pld_pair *p, const fm_dp_mechanism *m, double tail)
{
    double reach, near, far, norm;

    p->shift = m->sensitivity;
    p->sigma = p->z * p->shift;
    reach = ceil(tail * p->sigma) + 1.0;
    if (2.0 * reach + p->shift > (double)FM_PLD_MAX_ATOMS)
        return fm_fail(FM_ENOMEM,
                       "discrete Gaussian with a standard deviation of %g lattice steps: more "
                       "than %zu atoms; reckon it as gaussian, which it equals to five digits",
                       p->sigma, FM_PLD_MAX_ATOMS);
    p->x_lo = -(int64_t)reach;
    p->x_hi = (int64_t)(reach + p->shift);
    norm = 1.0; /* both sides, from the far end so that small terms are not lost */
    for (double x = ceil(40.0 * p->sigma); x >= 1.0; x -= 1.0)
        norm += 2.0 * exp(-x * x / (2.0 * p->sigma * p->sigma));
    p->log_norm = log(norm);
    near = lattice_tail(p->sigma, reach + 1.0) / norm + 1e-320;
    far = lattice_tail(p->sigma, reach + p->shift + 1.0) / norm + 1e-320;
    p->q_left = near;
    p->p_left = p->omq * near + p->q * far;
    p->q_right = far;
    p->p_right = p->omq * far + p->q * near;
    return FM_OK;
}

fm_status fm_pld_pair_init(fm_pld_pair *p, const fm_dp_mechanism *m, double tail)
{
    *p = (fm_pld_pair){ .kind = m->kind,
                        .z = m->noise_multiplier,
                        .q = m->sampling_rate,
                        .omq = 1.0 - m->sampling_rate,
                        .log_q = log(m->sampling_rate),
                        .log_omq = log1p(-m->sampling_rate) };
    if (m->kind == FM_DP_DISCRETE_GAUSSIAN)
        return init_discrete(p, m, tail);
    if (m->kind == FM_DP_GAUSSIAN) {
        init_gaussian(p, tail);
    } else {
        p->v_lo = -1.0 / p->z;
        p->v_hi = 1.0 / p->z;
    }
    return FM_OK;
}

double fm_pld_loss(const fm_pld_pair *p, double v)
{
    if (p->omq == 0.0)
        return v;
    return v > 30.0 ? v + p->log_q + log1p(p->omq / p->q * exp(-v)) : log1p(p->q * expm1(v));
}

double fm_pld_ratio(const fm_pld_pair *p, double x)
{
    if (p->omq == 0.0)
        return exp(x);
    return x < -0.5 ? exp(x) - p->omq : expm1(x) + p->q;
}

bool fm_pld_is_continuous(const fm_pld_pair *p)
{
    return p->kind != FM_DP_DISCRETE_GAUSSIAN;
}

double fm_pld_log_density(const fm_pld_pair *p, double v)
{
    double u;

    if (p->kind == FM_DP_LAPLACE) /* x = (1 + b v) / 2 in (0, 1), density e^(-x/b) / (2b) */
        return -log(4.0) - (v + 1.0 / p->z) / 2.0;
    u = p->z * v + 0.5 / p->z;
    return -u * u / 2.0 - LOG_SQRT_2PI + log(p->z);
}

double fm_pld_slope(const fm_pld_pair *p, double v)
{
    return p->kind == FM_DP_LAPLACE ? 1.5 : p->z * (fabs(p->z * v + 0.5 / p->z) + 8.0) + 1.0;
}

double fm_pld_mode(const fm_pld_pair *p, double a, double b)
{
    double mode = p->kind == FM_DP_LAPLACE ? a : -0.5 / (p->z * p->z);

    return fmin(fmax(mode, a), b);
}

size_t fm_pld_atoms(const fm_pld_pair *p)
{
    if (p->kind == FM_DP_DISCRETE_GAUSSIAN)
        return (size_t)(p->x_hi - p->x_lo) + 1;
    return p->kind == FM_DP_LAPLACE ? 2 : 0;
}

void fm_pld_atom(const fm_pld_pair *p, size_t i, double *log_mass, double *v)
{
    if (p->kind == FM_DP_LAPLACE) { /* all of x <= 0, all of x >= 1 */
        *v = i == 0 ? -1.0 / p->z : 1.0 / p->z;
        *log_mass = -log(2.0) - (i == 0 ? 0.0 : 1.0 / p->z);
    } else {
        double x = (double)(p->x_lo + (int64_t)i), var = p->sigma * p->sigma;

        *v = p->shift * (2.0 * x - p->shift) / (2.0 * var);
        *log_mass = -x * x / (2.0 * var) - p->log_norm;
    }
}

/*
 * Gauss-Legendre; the remainder of n nodes on a piece of width w, where the integrand turns no
 * faster than `slope`, is below 1e-15 of the integral when slope * w is at most 0.004 (n = 3),
 * 0.05 (n = 4), 0.25 (n = 5): Trefethen 2008, theorem 4.5, on an ellipse of radius 2n / slope.
 */
static const fm_pld_rule RULES[] = {
    { 3,
      { 0.11270166537925831, 0.5, 0.88729833462074169 },
      { 0.27777777777777778, 0.44444444444444444, 0.27777777777777778 } },
    { 4,
      { 0.069431844202973712, 0.33000947820757187, 0.66999052179242813, 0.93056815579702629 },
      { 0.17392742256872693, 0.32607257743127307, 0.32607257743127307, 0.17392742256872693 } },
    { 5,
      { 0.046910077030668004, 0.23076534494715845, 0.5, 0.76923465505284155, 0.953089922969332 },
      { 0.11846344252809454, 0.23931433524968324, 0.28444444444444444, 0.23931433524968324,
        0.11846344252809454 } },
};

const fm_pld_rule *fm_pld_rule_for(double slope_width)
{
    return &RULES[slope_width <= 0.004 ? 0 : slope_width <= 0.05 ? 1 : 2];
}
