/* In plain C. */
#include <math.h>
#include <string.h>

#include "int8_levels.h"

static uint32_t dot(const int8_t *a, const int8_t *b, size_t n)
{
    int32_t sum = 0; /* 128 * 127 * FM_INT8_COLUMNS_MAX stays below 2^31 */

    for (size_t c = 0; c < n; c++)
        sum += (int32_t)a[c] * b[c];
    return (uint32_t)sum;
}

static void tile(const int8_t *const w[FM_INT8_TILE], const int8_t *const x[FM_INT8_TILE], size_t n,
                 uint32_t out[FM_INT8_TILE * FM_INT8_TILE])
{
    for (size_t i = 0; i < FM_INT8_TILE; i++)
        for (size_t r = 0; r < FM_INT8_TILE; r++)
            out[i * FM_INT8_TILE + r] = dot(w[r], x[i], n);
}

static void rows(const int8_t *const w[FM_INT8_ROWS], const int8_t *x, size_t n,
                 uint32_t out[FM_INT8_ROWS])
{
    for (size_t r = 0; r < FM_INT8_ROWS; r++)
        out[r] = dot(w[r], x, n);
}

static float float_dot(const int8_t *w, const float *x, size_t n)
{
    float lane[FM_INT8_LANES] = { 0 };
    size_t c = 0;

    for (; c + FM_INT8_LANES <= n; c += FM_INT8_LANES)
        for (size_t l = 0; l < FM_INT8_LANES; l++)
            lane[l] += x[c + l] * (float)w[c + l];
    for (size_t l = 0; c + l < n; l++)
        lane[l] += x[c + l] * (float)w[c + l];
    for (size_t half = FM_INT8_LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

static void floats(const int8_t *const w[FM_INT8_TILE], const float *x, size_t n,
                   float out[FM_INT8_TILE])
{
    for (size_t r = 0; r < FM_INT8_TILE; r++)
        out[r] = float_dot(w[r], x, n);
}

int8_t fm_int8_round(float x, float scale)
{
    return (int8_t)fminf(fmaxf(nearbyintf(x / scale), -127.0f), 127.0f);
}

static bool quantise(const float *x, size_t n, int8_t *q, float *scale)
{
    float most = 0.0f;

    for (size_t c = 0; c < n; c++) {
        if (!isfinite(x[c]))
            return false;
        most = fmaxf(most, fabsf(x[c]));
    }
    *scale = most / 127.0f;
    memset(q, 0, n);
    for (size_t c = 0; c<n && * scale> 0.0f; c++)
        q[c] = fm_int8_round(x[c], *scale);
    return true;
}

const fm_int8_kernels fm_int8_portable = { tile, rows, NULL, floats, quantise };
