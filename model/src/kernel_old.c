/* Compiled with -O3 in every build type (CMakeLists.txt); see kernel_internal.h for the rules. */
#include "kernel_internal.h"

#include <string.h>

/* Elementwise vectors of the compiler: the same roundings whatever registers they end up in. */
typedef float v16 __attribute__((vector_size(64)));
typedef float v4 __attribute__((vector_size(16)));

#define ROWS_BLOCK 4

/* R rows by one vector of columns, all sums in registers. */
#define TILE(V, R)                                           \
    do {                                                     \
        V acc[R], w;                                         \
        for (size_t r = 0; r < (R); r++) {                   \
            if (add)                                         \
                memcpy(&acc[r], c + r * out + j, sizeof(V)); \
            else if (bias)                                   \
                memcpy(&acc[r], bias + j, sizeof(V));        \
            else                                             \
                acc[r] = (V){ 0 };                           \
        }                                                    \
        for (size_t k = 0; k < in; k++) {                    \
            memcpy(&w, b + k * out + j, sizeof(V));          \
            for (size_t r = 0; r < (R); r++)                 \
                acc[r] += w * a[r * in + k];                 \
        }                                                    \
        for (size_t r = 0; r < (R); r++)                     \
            memcpy(c + r * out + j, &acc[r], sizeof(V));     \
        j += sizeof(V) / sizeof(float);                      \
    } while (0)

static inline __attribute__((always_inline)) void block(const float *a, size_t in, const float *b,
                                                        size_t out, const float *bias, bool add,
                                                        float *c, bool full)
{
    size_t j = 0;

    if (full) {
        while (out - j >= 16)
            TILE(v16, ROWS_BLOCK);
        while (out - j >= 4)
            TILE(v4, ROWS_BLOCK);
    } else {
        while (out - j >= 16)
            TILE(v16, 1);
        while (out - j >= 4)
            TILE(v4, 1);
    }
    for (size_t r = 0; r < (full ? ROWS_BLOCK : 1); r++)
        for (size_t i = j; i < out; i++) {
            float acc = add ? c[r * out + i] : bias ? bias[i] : 0.0f;

            for (size_t k = 0; k < in; k++)
                acc += b[k * out + i] * a[r * in + k];
            c[r * out + i] = acc;
        }
}

static inline __attribute__((always_inline)) void all_rows(const float *a, size_t rows, size_t in,
                                                           const float *b, size_t out,
                                                           const float *bias, bool add, float *c)
{
    size_t i = 0;

    for (; rows - i >= ROWS_BLOCK; i += ROWS_BLOCK)
        block(a + i * in, in, b, out, bias, add, c + i * out, true);
    for (; i < rows; i++)
        block(a + i * in, in, b, out, bias, add, c + i * out, false);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void rows_avx2(const float *a, size_t rows, size_t in,
                                                      const float *b, size_t out, const float *bias,
                                                      bool add, float *c)
{
    all_rows(a, rows, in, b, out, bias, add, c);
}

__attribute__((target("avx512f"))) static void rows_avx512(const float *a, size_t rows, size_t in,
                                                           const float *b, size_t out,
                                                           const float *bias, bool add, float *c)
{
    all_rows(a, rows, in, b, out, bias, add, c);
}
#endif

void fm_old_kernel_rows_at(unsigned level, const float *a, size_t rows, size_t in, const float *b,
                           size_t out, const float *bias, bool add, float *c)
{
#if defined(__x86_64__)
    if (level >= 2 && __builtin_cpu_supports("avx512f")) {
        rows_avx512(a, rows, in, b, out, bias, add, c);
        return;
    }
    if (level >= 1 && __builtin_cpu_supports("avx2")) {
        rows_avx2(a, rows, in, b, out, bias, add, c);
        return;
    }
#else
    (void)level;
#endif
    all_rows(a, rows, in, b, out, bias, add, c);
}

void fm_old_kernel_rows(const float *a, size_t rows, size_t in, const float *b, size_t out,
                        const float *bias, bool add, float *c)
{
    fm_old_kernel_rows_at(2, a, rows, in, b, out, bias, add, c);
}

float fm_old_kernel_dot(const float *a, const float *b, size_t n)
{
    float lane[8] = { 0 };
    size_t k = 0;

    for (; n - k >= 8; k += 8)
        for (size_t l = 0; l < 8; l++)
            lane[l] += a[k + l] * b[k + l];
    for (size_t l = 0; k + l < n; l++)
        lane[l] += a[k + l] * b[k + l];
    for (size_t half = 4; half; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

double fm_old_kernel_square(const float *a, size_t n)
{
    double lane[8] = { 0 };
    size_t k = 0;

    for (; n - k >= 8; k += 8)
        for (size_t l = 0; l < 8; l++)
            lane[l] += (double)a[k + l] * (double)a[k + l];
    for (size_t l = 0; k + l < n; l++)
        lane[l] += (double)a[k + l] * (double)a[k + l];
    for (size_t half = 4; half; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

void fm_old_kernel_add_scaled(float *y, float scale, const float *x, size_t n)
{
    for (size_t k = 0; k < n; k++)
        y[k] += scale * x[k];
}
