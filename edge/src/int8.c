#include "fedmoe/edge/int8.h"

#include <math.h>
#include <string.h>

static fm_status quantise_row(const float *x, size_t columns, int8_t *q, float *scale)
{
    float most = 0.0f;

    for (size_t c = 0; c < columns; c++) {
        if (!isfinite(x[c])) {
            return FM_ENONFINITE;
        }
        most = fmaxf(most, fabsf(x[c]));
    }
    *scale = most / 127.0f;
    for (size_t c = 0; c < columns; c++) {
        const float v = *scale > 0.0f ? nearbyintf(x[c] / *scale) : 0.0f;

        q[c] = (int8_t)fminf(fmaxf(v, -127.0f), 127.0f);
    }
    return FM_OK;
}

fm_status fm_int8_quantise(const float *x, size_t rows, size_t columns, int8_t *q, float *scale)
{
    if (columns == 0 || columns > FM_INT8_COLUMNS_MAX) {
        return fm_fail(FM_EINVAL, "a row of %zu values cannot be rounded to 8 bits: 1 to %zu",
                       columns, FM_INT8_COLUMNS_MAX);
    }
    for (size_t r = 0; r < rows; r++) {
        if (quantise_row(x + r * columns, columns, q + r * columns, &scale[r]) != FM_OK) {
            return fm_fail(FM_ENONFINITE, "row %zu: a value is no finite number", r);
        }
    }
    return FM_OK;
}

void fm_int8_row(const fm_int8_matrix *m, size_t row, float *out)
{
    for (size_t c = 0; c < m->columns; c++) {
        out[c] = m->scale[row] * (float)m->q[row * m->columns + c];
    }
}

static int32_t dot(const int8_t *a, const int8_t *b, size_t n)
{
    int32_t sum = 0;

    for (size_t c = 0; c < n; c++) {
        sum += (int32_t)a[c] * b[c];
    }
    return sum;
}

size_t fm_int8_room(size_t columns)
{
    return columns;
}

void fm_int8_sums(const fm_int8_matrix *m, const int8_t *q, size_t count, int32_t *sums, void *room)
{
    (void)room;
    for (size_t i = 0; i < count; i++) {
        for (size_t r = 0; r < m->rows; r++) {
            sums[i * m->rows + r] = dot(q + i * m->columns, m->q + r * m->columns, m->columns);
        }
    }
}

void fm_int8_product(const fm_int8_matrix *m, const int8_t *q, const float *scale, size_t count,
                     float *y, size_t stride, void *room)
{
    (void)room;
    for (size_t i = 0; i < count; i++) {
        for (size_t r = 0; r < m->rows; r++) {
            const int32_t sum = dot(q + i * m->columns, m->q + r * m->columns, m->columns);

            y[i * stride + r] = (float)sum * (scale[i] * m->scale[r]);
        }
    }
}

void fm_int8_product_float(const fm_int8_matrix *m, const float *x, size_t x_stride, size_t count,
                           float *y, size_t y_stride)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t r = 0; r < m->rows; r++) {
            float sum = 0.0f;

            for (size_t c = 0; c < m->columns; c++) {
                sum += x[i * x_stride + c] * (float)m->q[r * m->columns + c];
            }
            y[i * y_stride + r] = m->scale[r] * sum;
        }
    }
}
