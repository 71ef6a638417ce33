/* Squared norms of units' gradients: for rows s, t of a unit and one map the sum over s, t of
 * (a_s . a_t)(g_s . g_t), or the squares of the sum of g_s (x) a_s where that is cheaper. */
#include <math.h>
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

/* Columns [at, at + columns) of the output, written down. */
static double stripe(const fm_tape *t, const fm_use *u, size_t first, size_t last, size_t at,
                     size_t columns)
{
    const fm_linear *l = u->map;
    const size_t stride = fm_row_stride(columns);
    float *g = t->scratch, *sum = g + FM_SUMMED_ROWS * FM_SUMMED_STRIPE;
    _Alignas(64) float bias[FM_SUMMED_STRIPE] = { 0 };

    memset(sum, 0, columns * l->in * sizeof *sum);
    for (size_t p = first; p < last; p += FM_SUMMED_ROWS) {
        const size_t rows = last - p < FM_SUMMED_ROWS ? last - p : FM_SUMMED_ROWS;

        for (size_t i = 0; i < rows; i++) {
            memcpy(g + i * stride, fm_rows_at(u->g, p + i) + at, columns * sizeof *g);
            fm_kernel_add_scaled(bias, 1.0f, g + i * stride, columns);
        }
        fm_kernel_outer_float(g, fm_rows_at(u->a, p), rows, columns, l->in, 1.0f, sum);
    }
    return scaled(l, sum_of_squares(sum, columns * l->in), sum_of_squares(bias, columns));
}

/* All products of two rows of r, [rows, rows], to out; room: the rows in a row, and their panels. */
static void cross(const fm_rows *r, size_t first, size_t rows, float *room, float *out)
{
    float *panels = room + (rows * r->n + 15) / 16 * 16;

    for (size_t i = 0; i < rows; i++)
        memcpy(room + i * r->n, fm_rows_at(r, first + i), r->n * sizeof *room);
    fm_panels_transposed(panels, room, r->n, rows, 1.0f);
    fm_kernel_rows(fm_rows_at(r, first), rows, r->n, panels, rows, FM_START_BIAS, NULL, out);
}

/*
 * by_pairs in float32. The products' rounding is relative to the sizes of rows: where rows cancel
 * each other it would be too much of the sum. @return -1 then.
 */
#define MOST_CANCELLED 128.0

static double by_products(const fm_tape *t, const fm_use *u, size_t first, size_t last)
{
    const size_t rows = last - first, stride = fm_row_stride(rows);
    float *aa = t->scratch, *gg = aa + rows * stride, *room = gg + rows * stride;
    double weight = 0.0, bias = 0.0, size = 0.0, bias_size = 0.0;

    cross(u->a, first, rows, room, aa);
    cross(u->g, first, rows, room, gg);
    for (size_t s = 0; s < rows; s++) {
        size += sqrt(u->a->squares[first + s] * u->g->squares[first + s]);
        bias_size += sqrt(u->g->squares[first + s]);
        for (size_t v = 0; v < rows; v++) {
            const double g = (double)gg[s * stride + v];

            weight += (double)aa[s * stride + v] * g;
            bias += g;
        }
    }
    if (!(size * size <= MOST_CANCELLED * weight) ||
        (u->map->b && !(bias_size * bias_size <= MOST_CANCELLED * bias)))
        return -1.0;
    return scaled(u->map, weight, bias);
}

static double run_square(const fm_tape *t, const fm_use *u, size_t first, size_t last)
{
    double sum = -1.0;

    if (fm_tape_by_pairs(u->map, last - first))
        return by_pairs(u, first, last);
    if (last - first <= fm_tape_crossed_rows(t, u->map))
        sum = by_products(t, u, first, last);
    if (sum >= 0.0)
        return sum;
    sum = 0.0;
    for (size_t at = 0; at < u->map->out; at += FM_SUMMED_STRIPE) {
        const size_t left = u->map->out - at;

        sum += stripe(t, u, first, last, at, left < FM_SUMMED_STRIPE ? left : FM_SUMMED_STRIPE);
    }
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
