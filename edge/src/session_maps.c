/* Products of a tile's rows with the model's maps, and norms. */
#include <math.h>

#include "fedmoe/model/kernel.h"
#include "floats.h"
#include "session_internal.h"

fm_edge_rows fm_edge_rows_of(const fm_edge_map *m, size_t first)
{
    if (m->f32)
        return (fm_edge_rows){ .f = m->f32 + first * m->columns, .n = m->columns };
    return (fm_edge_rows){ .q = m->i8.q + first * m->columns,
                           .scale = m->i8.scale + first,
                           .n = m->columns };
}

/* From so many rows on it pays to widen the bytes once for all of them. */
#define WIDEN 3

/* The sums of fm_floats_product and fm_int8_product_float have one order: the same bits. */
void fm_edge_rows_product(const fm_edge_rows *r, size_t rows, const float *x, size_t count,
                          float *y, size_t stride, float *room)
{
    const fm_int8_matrix m = { .q = r->q, .scale = r->scale, .rows = rows, .columns = r->n };

    if (r->f) {
        fm_floats_product(x, count, r->f, rows, r->n, y, stride);
        return;
    }
    if (count < WIDEN) {
        fm_int8_product_float(&m, x, r->n, count, y, stride);
        return;
    }
    for (size_t at = 0, n; at < rows; at += n) {
        n = rows - at < FM_WIDE_ROWS ? rows - at : FM_WIDE_ROWS;
        fm_floats_widen(r->q + at * r->n, room, n * r->n);
        fm_floats_product(x, count, room, n, r->n, y + at, stride);
        for (size_t i = 0; i < count; i++)
            for (size_t j = at; j < at + n; j++)
                y[i * stride + j] *= r->scale[j];
    }
}

void fm_edge_rows_mix(const fm_edge_rows *r, float *p, size_t stride, const size_t *counts,
                      size_t count, float *sum, float *room)
{
    size_t most = 0;

    for (size_t i = 0; i < count; i++) {
        most = counts[i] > most ? counts[i] : most;
        for (size_t j = 0; r->q && j < counts[i]; j++)
            p[i * stride + j] *= r->scale[j];
    }
    if (r->q && count >= WIDEN)
        fm_floats_widen(r->q, room, most * r->n);
    for (size_t i = 0; i < count; i++) {
        float *to = sum + i * r->n;

        if (r->q && count < WIDEN)
            fm_floats_mix_int8(to, p + i * stride, r->q, counts[i], r->n);
        else
            fm_floats_mix(to, p + i * stride, r->f ? r->f : room, counts[i], r->n);
    }
}

fm_status fm_edge_take(fm_edge_session *s, const float *x, size_t rows, size_t n, size_t place,
                       fm_edge_input *out)
{
    *out = (fm_edge_input){ .x = x, .rows = rows, .n = n };
    if (!s->int8)
        return FM_OK;
    out->q = s->q[place];
    out->scale = s->scale[place];
    return fm_int8_quantise(x, rows, n, out->q, out->scale);
}

void fm_edge_apply(const fm_edge_session *s, const fm_edge_map *m, const fm_edge_input *in,
                   const float *bias, float *y)
{
    const fm_edge_rows r = fm_edge_rows_of(m, 0);

    if (in->q && r.q)
        fm_int8_product(&m->i8, in->q, in->scale, in->rows, y, m->rows, s->room);
    else
        fm_edge_rows_product(&r, m->rows, in->x, in->rows, y, m->rows, s->wide);
    for (size_t i = 0; bias && i < in->rows; i++)
        fm_kernel_add_scaled(y + i * m->rows, 1.0f, bias, m->rows);
}

void fm_edge_norm(const float *gain, double epsilon, const float *x, size_t rows, size_t n,
                  float *y)
{
    for (size_t i = 0; i < rows; i++) {
        double square = 0.0;

        fm_kernel_squares(x + i * n, 1, n, &square);
        fm_kernel_gain(y + i * n, x + i * n, (float)(1.0 / sqrt(square / (double)n + epsilon)),
                       gain, n);
    }
}
