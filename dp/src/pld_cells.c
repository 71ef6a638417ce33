/*
 * Connect the dots (Doroshenko, Ghazi, Kamath, Kumar, Manurangsi 2022, arXiv:2207.04380): a cell
 * [x, x+h] of losses with P mass a becomes masses at its two ends that keep a and the Q mass:
 *
 *   hi = integral (1 - e^(x-L)) dP / (1 - e^-h),   lo = integral (e^(x+h-L) - 1) dP / (e^h - 1).
 *
 * With dP = e^L dQ0 and r = e^v both integrands are differences of ratios times Q0's density, so
 * everything is positive and nothing cancels: e^L - e^x = q (r(v) - r(v_x)).
 */
#include <math.h>
#include <stdlib.h>

#include "fedmoe/base/memory.h"
#include "pld_internal.h"

#define PIECE 0.25 /* slope * width of a piece, at most */

/* expm1 without the call where the argument is small: the series to the sixth term. */
static double grow(double t)
{
    if (fabs(t) > 0.01)
        return expm1(t);
    return t *
           (1.0 + t / 2.0 * (1.0 + t / 3.0 * (1.0 + t / 4.0 * (1.0 + t / 5.0 * (1.0 + t / 6.0)))));
}

/* Where the loss is x; -infinity when it never falls so low. */
static double edge(const fm_pld_pair *p, double x)
{
    double r;

    if (p->omq == 0.0)
        return x;
    if (x > 1.0)
        return x + log1p(-p->omq * exp(-x)) - p->log_q;
    r = fm_pld_ratio(p, x);
    return r > 0.0 ? log(r) - p->log_q : -INFINITY;
}

/* One cell under way. */
typedef struct {
    const fm_pld_pair *p;
    double v_left, v_right; /* where the loss is x and x + h */
    double right;           /* q r(v_right) e^-x */
    double below;           /* (1 - q) e^-x - 1, when v_left is -infinity */
    double ref, lo, hi;     /* integrals over the density's value at ref */
} cell;

static double density_over_ref(const cell *c, double v)
{
    const fm_pld_pair *p = c->p;
    double d = v - c->ref;

    if (p->kind == FM_DP_LAPLACE)
        return 1.0 + grow(-d / 2.0);
    return 1.0 + grow(-p->z * d * (p->z * (v + c->ref) + 1.0 / p->z) / 2.0);
}

static void integrate(cell *c, double a, double b)
{
    double slope = fmax(fm_pld_slope(c->p, a), fm_pld_slope(c->p, b));
    double pieces = fmax(1.0, ceil(slope * (b - a) / PIECE)), w = (b - a) / pieces;
    const fm_pld_rule *rule = fm_pld_rule_for(slope * w);
    double at_left = isinf(c->v_left) ? 0.0 : c->right * (1.0 + grow(c->v_left - c->v_right));

    for (double k = 0.0; k < pieces; k += 1.0)
        for (int i = 0; i < rule->n; i++) {
            double v = a + (k + rule->x[i]) * w, f = w * rule->w[i] * density_over_ref(c, v);
            double down = grow(v - c->v_right); /* r(v) / r(right) - 1 */

            c->lo -= f * c->right * down;
            c->hi += f * (isinf(c->v_left) ? c->below + c->right * (1.0 + down)
                                           : at_left * grow(v - c->v_left));
        }
}

static void continuous_cell(fm_pld_cells *out, const fm_pld_pair *p, size_t i, double v_left,
                            double v_right)
{
    double x = (double)(out->first + (int64_t)i) * out->h;
    double above = (double)(out->first + (int64_t)i + 1) * out->h;
    double a = fmax(v_left, p->v_lo), b = fmin(v_right, p->v_hi);
    cell c = { .p = p, .v_left = v_left, .v_right = v_right };

    if (!(a < b))
        return;
    if (p->omq == 0.0)
        c.right = exp(out->h);
    else
        c.right = above > 1.0 ? exp(out->h) - p->omq * exp(-x) : fm_pld_ratio(p, above) * exp(-x);
    if (isinf(v_left))
        c.below = fmax(0.0, expm1(p->log_omq - x));
    c.ref = fm_pld_mode(p, a, b);
    integrate(&c, a, b);
    out->scale[i] = x + fm_pld_log_density(p, c.ref);
    out->lo[i] = c.lo / expm1(out->h);
    out->hi[i] = c.hi / -expm1(-out->h);
}

static void add_atom(fm_pld_cells *c, double log_mass, double loss)
{
    double at = loss / c->h - (double)c->first, i = fmin(fmax(floor(at), 0.0), (double)c->n - 1.0);
    double f = fmin(fmax(at - i, 0.0), 1.0) * c->h, width = -expm1(-c->h);
    double hi = -expm1(-f) / width, lo = exp(-f) * -expm1(f - c->h) / width;
    size_t k = (size_t)i;

    if (c->lo[k] == 0.0 && c->hi[k] == 0.0)
        c->scale[k] = log_mass;
    if (log_mass > c->scale[k]) {
        double shrink = exp(c->scale[k] - log_mass);

        c->lo[k] *= shrink;
        c->hi[k] *= shrink;
        c->scale[k] = log_mass;
    }
    c->lo[k] += lo * exp(log_mass - c->scale[k]);
    c->hi[k] += hi * exp(log_mass - c->scale[k]);
}

static void fill(fm_pld_cells *c, const fm_pld_pair *p)
{
    size_t atoms = fm_pld_atoms(p);

    if (fm_pld_is_continuous(p)) {
        double left = edge(p, (double)c->first * c->h);

        for (size_t i = 0; i < c->n; i++) {
            double right = edge(p, (double)(c->first + (int64_t)i + 1) * c->h);

            continuous_cell(c, p, i, left, right);
            left = right;
        }
    }
    for (size_t i = 0; i < atoms; i++) {
        double log_mass, v, loss;

        fm_pld_atom(p, i, &log_mass, &v);
        loss = fm_pld_loss(p, v);
        add_atom(c, log_mass + loss, loss);
    }
}

static void loss_range(const fm_pld_pair *p, double *lo, double *hi)
{
    double log_mass, v_lo = p->v_lo, v_hi = p->v_hi;

    if (!fm_pld_is_continuous(p)) {
        fm_pld_atom(p, 0, &log_mass, &v_lo);
        fm_pld_atom(p, fm_pld_atoms(p) - 1, &log_mass, &v_hi);
    }
    *lo = fm_pld_loss(p, v_lo);
    *hi = fm_pld_loss(p, v_hi);
}

fm_status fm_pld_cells_init(fm_pld_cells *c, const fm_pld_pair *p, double h)
{
    double lo, hi, n;
    void *data = NULL;
    fm_status st;

    loss_range(p, &lo, &hi);
    n = floor(hi / h) - floor(lo / h) + 1.0;
    if (!(n <= (double)FM_PLD_MAX_CELLS) || fabs(lo / h) > 1e15)
        return fm_fail(FM_EINVAL, "accountant: losses from %g to %g need more than %zu cells of %g",
                       lo, hi, FM_PLD_MAX_CELLS, h);
    *c = (fm_pld_cells){ .h = h, .first = (int64_t)floor(lo / h), .n = (size_t)n };
    /* L is known to some units of its own size, of v's, and of what v is made from. */
    c->slop = 8.0 * FM_PLD_UNIT * (1.0 + fmax(fabs(lo), fabs(hi)) + 1.0 / fmin(p->z, p->z * p->z));
    if ((st = fm_alloc(3 * c->n, sizeof *c->scale, &data)) != FM_OK)
        return st;
    c->scale = data;
    c->lo = c->scale + c->n;
    c->hi = c->lo + c->n;
    fill(c, p);
    return FM_OK;
}

void fm_pld_cells_fini(fm_pld_cells *c)
{
    free(c->scale);
    *c = (fm_pld_cells){ 0 };
}
