/* A few hundred nodes of a pair: enough to choose tilt, window and grid by. */
#include <math.h>
#include <stdlib.h>

#include "fedmoe/base/memory.h"
#include "pld_internal.h"

#define GAUSSIAN_STEP 0.1
#define MAX_NODES 60000.0

static void set_node(fm_pld_sketch *s, const fm_pld_pair *p, double log_mass, double v)
{
    s->loss[s->n] = fm_pld_loss(p, v);
    s->log_mass[s->n] = log_mass + s->loss[s->n];
    s->n++;
}

/* Trapezoid rule over v: exact but for e^-(2 pi^2 / step^2), within the strip where L is analytic. */
static void add_gaussian(fm_pld_sketch *s, const fm_pld_pair *p, size_t nodes)
{
    double step = (p->v_hi - p->v_lo) / (double)nodes;

    for (size_t i = 0; i < nodes; i++) {
        double v = p->v_lo + ((double)i + 0.5) * step;

        set_node(s, p, log(step) + fm_pld_log_density(p, v), v);
    }
}

static void add_panels(fm_pld_sketch *s, const fm_pld_pair *p, size_t panels)
{
    double width = (p->v_hi - p->v_lo) / (double)panels;
    const fm_pld_rule *rule = fm_pld_rule_for(1.0);

    for (size_t i = 0; i < panels; i++)
        for (int k = 0; k < rule->n; k++) {
            double v = p->v_lo + ((double)i + rule->x[k]) * width;

            set_node(s, p, log(width * rule->w[k]) + fm_pld_log_density(p, v), v);
        }
}

static size_t node_count(const fm_pld_pair *p)
{
    double range = p->v_hi - p->v_lo;

    if (p->kind == FM_DP_GAUSSIAN) /* over v; the strip is pi high there */
        return (size_t)fmin(MAX_NODES, ceil(range / fmin(GAUSSIAN_STEP / p->z, 0.4)));
    return p->kind == FM_DP_LAPLACE ? (size_t)fmin(MAX_NODES / 5.0, ceil(range / 0.25)) : 0;
}

fm_status fm_pld_sketch_init(fm_pld_sketch *s, const fm_pld_pair *p)
{
    size_t nodes = node_count(p), atoms = fm_pld_atoms(p), places = 5 * nodes + atoms + 1;
    void *data = NULL;
    fm_status st = fm_alloc(3 * places, sizeof *s->loss, &data);

    if (st != FM_OK)
        return st;
    *s = (fm_pld_sketch){ .log_mass = data };
    s->loss = s->log_mass + places;
    s->gap = s->loss + places;
    if (p->kind == FM_DP_GAUSSIAN)
        add_gaussian(s, p, nodes);
    else if (p->kind == FM_DP_LAPLACE)
        add_panels(s, p, nodes);
    for (size_t i = 0; i + 1 < s->n; i++)
        s->gap[i] = s->loss[i + 1] - s->loss[i];
    for (size_t i = 0; i < atoms; i++) {
        double log_mass, v;

        fm_pld_atom(p, i, &log_mass, &v);
        set_node(s, p, log_mass, v);
    }
    return FM_OK;
}

void fm_pld_sketch_fini(fm_pld_sketch *s)
{
    free(s->log_mass);
    *s = (fm_pld_sketch){ 0 };
}

static double top_of(const fm_pld_sketch *s, double e)
{
    double top = -INFINITY;

    for (size_t i = 0; i < s->n; i++)
        top = fmax(top, s->log_mass[i] + e * s->loss[i]);
    return top;
}

double fm_pld_sketch_moment(const fm_pld_sketch *s, double e, double *mean, double *variance)
{
    double top = top_of(s, e), sum = 0.0, first = 0.0, second = 0.0;

    for (size_t i = 0; i < s->n; i++) {
        double w = s->log_mass[i] + e * s->loss[i] - top;

        if (w < -45.0)
            continue;
        w = exp(w);
        sum += w;
        first += w * s->loss[i];
        second += w * s->loss[i] * s->loss[i];
    }
    if (mean)
        *mean = first / sum;
    if (variance)
        *variance = fmax(0.0, second / sum - first / sum * (first / sum));
    return top + log(sum);
}

/* A node's share of the rise: its two grid points' mean of e^(e loss), over its own, less 1. */
static double node_rise(double loss, double gap, double e, double h)
{
    double f = loss - floor(loss / h) * h, hi;

    if (gap > 0.25 * h) /* it stands for losses all over a cell */
        f = 0.5 * h;
    hi = expm1(-f) / expm1(-h);
    hi = expm1(-e * f) + hi * (expm1(e * (h - f)) - expm1(-e * f));
    return gap > 0.25 * h ? hi * 2.0 / 3.0 : hi;
}

double fm_pld_sketch_error(const fm_pld_sketch *s, double e, double h)
{
    double top = top_of(s, e), sum = 0.0, rise = 0.0;

    for (size_t i = 0; i < s->n; i++) {
        double w = s->log_mass[i] + e * s->loss[i] - top;

        if (w < -30.0)
            continue;
        w = exp(w);
        sum += w;
        rise += w * node_rise(s->loss[i], s->gap[i], e, h);
    }
    return log1p(rise / sum);
}
