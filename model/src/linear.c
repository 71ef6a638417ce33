#include "linear.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define FETCH_MOST ((size_t)1 << 17) /* words: half of a near cache */
#define LINE 16                      /* words */

void fm_rows_carve(fm_carver *c, size_t records, size_t per_record, size_t n, fm_rows *out)
{
    size_t rows = 0;

    if (!c->st)
        c->st = fm_mul_size(records, per_record, &rows);
    out->n = n;
    out->stride = fm_row_stride(n);
    out->per_record = per_record;
    out->v = fm_carve_floats(c, rows, out->stride);
    out->squares = fm_carve(c, rows, 1, sizeof *out->squares);
}

void fm_rows_gather(const fm_rows *to, const float *x, const uint32_t *index, size_t rows)
{
    for (size_t i = 0; i < rows; i++)
        memcpy(fm_rows_at(to, i), x + (index ? index[i] : i) * to->n, to->n * sizeof *x);
}

size_t fm_linear_panels(const fm_linear *l)
{
    const size_t forward = fm_panels_floats(l->in, l->out);
    const size_t backward = fm_panels_floats(l->out, l->in);

    if (l->weight == FM_ABSENT)
        return 0;
    return forward > backward ? forward : backward;
}

void fm_linear_carve(fm_carver *c, fm_linear *l)
{
    if (l->bias != FM_ABSENT)
        l->b = fm_carve_floats(c, l->out, 1);
}

/* Whether v and scale * v are. Of finite floats the sum of squares is finite in double, and shows
 * at once that none is near the largest; else one by one. */
static bool all_finite(const float *v, size_t n, float scale)
{
    double square = 0.0;

    fm_kernel_squares(v, 1, n, &square);
    if (sqrt(square) * fmax(1.0, (double)scale) < (double)FLT_MAX / 2.0)
        return true;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i]) || !isfinite(scale * v[i]))
            return false;
    return true;
}

fm_status fm_linear_check(const fm_linear *l, const float *theta)
{
    if ((l->weight != FM_ABSENT &&
         !all_finite(theta + l->weight, l->in * l->out, (float)l->weight_scale)) ||
        (l->bias != FM_ABSENT && !all_finite(theta + l->bias, l->out, (float)l->bias_scale)))
        return fm_fail(FM_ENONFINITE, "model: a weight is not a finite number");
    return FM_OK;
}

void fm_linear_refresh(fm_linear *l, const float *theta)
{
    l->w = l->weight != FM_ABSENT ? theta + l->weight : NULL;
    for (size_t o = 0; l->b && o < l->out; o++)
        l->b[o] = (float)l->bias_scale * theta[l->bias + o];
}

void fm_fetch_weights(const float *w, size_t n)
{
    for (size_t i = 0; n <= FETCH_MOST && i < n; i += LINE)
        __builtin_prefetch(w + i, 0, 2);
}

void fm_fetch_sum(const void *sum, size_t n)
{
    const int32_t *at = sum;

    for (size_t i = 0; n <= FETCH_MOST && i < n; i += LINE)
        __builtin_prefetch(at + i, 1, 2);
}

/* One output, or no weights at all. */
static void forward_narrow(const fm_linear *l, const fm_rows *x, size_t first, size_t rows,
                           bool add, const fm_rows *y)
{
    for (size_t i = first; i < first + rows; i++) {
        float *to = fm_rows_at(y, i);

        for (size_t o = 0; o < l->out; o++)
            to[o] = (add ? to[o] : 0.0f) + (l->b ? l->b[o] : 0.0f);
        if (l->w)
            to[0] += (float)l->weight_scale * fm_kernel_dot(fm_rows_at(x, i), l->w, l->in);
    }
}

void fm_linear_forward(const fm_linear *l, float *panels, const fm_rows *x, size_t first,
                       size_t rows, bool add, const fm_rows *y)
{
    if (!rows)
        return;
    if (!l->w || l->out == 1) {
        forward_narrow(l, x, first, rows, add, y);
        return;
    }
    fm_fetch_weights(l->w, l->in * l->out);
    fm_panels_transposed(panels, l->w, l->in, l->out, (float)l->weight_scale);
    fm_kernel_rows(fm_rows_at(x, first), rows, l->in, panels, l->out,
                   add ? FM_START_SUM : FM_START_BIAS, l->b, fm_rows_at(y, first));
    /* A product that adds starts from what is there, not from the bias. */
    for (size_t i = first; add && l->b && i < first + rows; i++)
        fm_kernel_add_scaled(fm_rows_at(y, i), 1.0f, l->b, l->out);
}

void fm_linear_backward(const fm_linear *l, float *panels, const fm_rows *gy, size_t first,
                        size_t rows, bool add, const fm_rows *gx)
{
    if (!rows)
        return;
    fm_fetch_weights(l->w, l->in * l->out);
    fm_panels_straight(panels, l->w, l->out, l->in, (float)l->weight_scale);
    fm_kernel_rows(fm_rows_at(gy, first), rows, l->out, panels, l->in,
                   add ? FM_START_SUM : FM_START_BIAS, NULL, fm_rows_at(gx, first));
}
