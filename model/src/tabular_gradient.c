/* What a batch's gradients come to: tape.h, for this model. */
#include <string.h>

#include "tabular_internal.h"

void fm_tabular_square_norms(fm_tabular *m, double *out)
{
    fm_tape_unit_squares(&m->tape, NULL, m->tape.rows, out);
}

void fm_tabular_unit_squares(fm_tabular *m, const uint32_t *ends, size_t units, double *out)
{
    fm_tape_unit_squares(&m->tape, ends, units, out);
}

void fm_tabular_weighted_sum(fm_tabular *m, const float *weights, float *out)
{
    fm_tape_weighted_sum(&m->tape, weights, out);
}

void fm_tabular_add_units(fm_tabular *m, const uint32_t *ends, size_t units, const double *factors,
                          int64_t limit, int32_t *sum, uint64_t *squares)
{
    fm_tape_add_units(&m->tape, ends, units, factors, limit, sum, squares);
}

void fm_tabular_unit_gradient(const fm_tabular *m, size_t i, float *out)
{
    memset(out, 0, m->tape.parameters * sizeof *out);
    fm_tape_add_row_gradient(&m->tape, i, out);
}

void fm_tabular_add_row_gradient(const fm_tabular *m, size_t i, float *out)
{
    fm_tape_add_row_gradient(&m->tape, i, out);
}

void fm_tabular_routes(const fm_tabular *m, size_t block, size_t i, uint32_t *out)
{
    const fm_dispatch *d = &m->blocks[block].dispatch;

    memcpy(out, d->routes + i * d->k, d->k * sizeof *out);
}

void fm_tabular_unit_loads(const fm_tabular *m, const uint32_t *ends, size_t unit, float *out)
{
    const fm_tabular_config *c = &m->weights->config;
    const size_t first = !ends ? unit : unit ? ends[unit - 1] : 0;
    const size_t last = ends ? ends[unit] : unit + 1;

    memset(out, 0, c->blocks * c->experts * sizeof *out);
    for (size_t b = 0; c->width && b < c->blocks; b++) {
        const uint32_t *routes = m->blocks[b].dispatch.routes;
        float *to = out + b * c->experts;

        for (size_t p = first * c->top_k; p < last * c->top_k; p++)
            to[routes[p]] += 1.0f;
        for (size_t e = 0; e < c->experts; e++)
            to[e] /= (float)((last - first) * c->top_k);
    }
}
