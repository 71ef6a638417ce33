/* Squared norms of units' gradients: for rows s, t of a unit and one map the sum over s, t of
 * (a_s . a_t)(g_s . g_t), or the squares of the sum of g_s (x) a_s where that is cheaper. */
#include <string.h>

#include "tape.h"

/* Of a map's weights and of its bias, each times its scale squared. */
static double scaled(const fm_linear *l, double weight, double bias)
{
    return (l->w ? l->weight_scale * l->weight_scale * weight : 0.0) +
           (l->b ? l->bias_scale * l->bias_scale * bias : 0.0);
}

static double by_pairs(const fm_use *u, size_t first, size_t last)
{
    double weight = 0.0, bias = 0.0;

    for (size_t s = first; s < last; s++) {
        weight += u->a->squares[s] * u->g->squares[s];
        bias += u->g->squares[s];
        for (size_t t = first; t < s; t++) {
            const double g = fm_dot_double(fm_rows_at(u->g, s), fm_rows_at(u->g, t), u->g->n);
            const double a = fm_dot_double(fm_rows_at(u->a, s), fm_rows_at(u->a, t), u->a->n);

            weight += 2.0 * a * g;
            bias += 2.0 * g;
        }
    }
    return scaled(u->map, weight, bias);
}

static double sum_of_squares(const float *v, size_t n)
{
    double sum = 0.0;

    fm_kernel_squares(v, 1, n, &sum);
    return sum;
}

/* Columns [at, at + FM_STRIPE) of the output, written down. */
static double stripe(const fm_tape *t, const fm_use *u, size_t first, size_t last, size_t at)
{
    const fm_linear *l = u->map;
    const size_t columns = l->out - at < FM_STRIPE ? l->out - at : FM_STRIPE;
    float *g = t->scratch, *sum = g + FM_PAIRED_ROWS * FM_STRIPE;
    _Alignas(64) float bias[FM_STRIPE] = { 0 };

    memset(sum, 0, FM_STRIPE * l->in * sizeof *sum);
    for (size_t p = first; p < last; p += FM_PAIRED_ROWS) {
        const size_t rows = last - p < FM_PAIRED_ROWS ? last - p : FM_PAIRED_ROWS;

        for (size_t i = 0; i < rows; i++) {
            memcpy(g + i * FM_STRIPE, fm_rows_at(u->g, p + i) + at, columns * sizeof *g);
            fm_kernel_add_scaled(bias, 1.0f, g + i * FM_STRIPE, columns);
        }
        fm_kernel_outer_float(g, fm_rows_at(u->a, p), rows, columns, l->in, 1.0f, sum);
    }
    return scaled(l, sum_of_squares(sum, columns * l->in), sum_of_squares(bias, columns));
}

static double run_square(const fm_tape *t, const fm_use *u, size_t first, size_t last)
{
    double sum = 0.0;

    if (fm_tape_by_pairs(u->map, last - first))
        return by_pairs(u, first, last);
    for (size_t at = 0; at < u->map->out; at += FM_STRIPE)
        sum += stripe(t, u, first, last, at);
    return sum;
}

void fm_tape_unit_squares(fm_tape *t, const uint32_t *ends, size_t units, double *out)
{
    fm_tape_prepare(t, ends, units);
    for (size_t i = 0; i < units; i++)
        out[i] = 0.0;
    for (size_t i = 0; i < t->use_count; i++) {
        const fm_use *u = &t->uses[i];
        size_t first, last;

        fm_use_range(t, u, &first, &last);
        for (size_t p = first, end; p < last; p = end) {
            end = fm_use_run(t, u, p, last);
            out[fm_use_unit(t, u, p)] += run_square(t, u, p, end);
        }
    }
}
