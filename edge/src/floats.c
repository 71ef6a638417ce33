/* One body of each loop, compiled for each level of instructions. A kernel: exempt from the size
 * rule. */
#include "floats.h"

#include <string.h>

#include "fedmoe/model/kernel.h"

#define LANES 16
#define MOST 4 /* rows of either side at once */

typedef float vf __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t vi __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef int8_t vb __attribute__((vector_size(LANES)));

#define INLINE __attribute__((always_inline)) static inline

/* The first n <= LANES floats, then zeros. */
INLINE void load(vf *to, const float *from, size_t n)
{
    if (n < LANES)
        *to = (vf){ 0 };
    memcpy(to, from, n * sizeof *from);
}

INLINE void load_bytes(vf *to, const int8_t *from)
{
    vb bytes;

    memcpy(&bytes, from, sizeof bytes);
    *to = __builtin_convertvector(__builtin_convertvector(bytes, vi), vf);
}

INLINE float total(const vf *v)
{
    float lane[LANES];

    memcpy(lane, v, sizeof lane);
    for (size_t half = LANES / 2; half; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

/* ---- products ---- */

typedef struct {
    const float *x, *w;
    float *y;
    size_t columns, stride;
} product;

INLINE void step(const size_t count, const size_t rows, const product *p, size_t k, size_t n,
                 vf sum[MOST][MOST])
{
    vf a[MOST], b;

    for (size_t i = 0; i < count; i++)
        load(&a[i], p->x + i * p->columns + k, n);
    for (size_t r = 0; r < rows; r++) {
        load(&b, p->w + r * p->columns + k, n);
        for (size_t i = 0; i < count; i++)
            sum[i][r] += a[i] * b;
    }
}

/* count and rows are constants where this is expanded. */
INLINE void tile(const size_t count, const size_t rows, const product *p)
{
    vf sum[MOST][MOST] = { 0 };
    size_t k = 0;

    for (; p->columns - k >= LANES; k += LANES)
        step(count, rows, p, k, LANES, sum);
    if (k < p->columns)
        step(count, rows, p, k, p->columns - k, sum);
    for (size_t i = 0; i < count; i++)
        for (size_t r = 0; r < rows; r++)
            p->y[i * p->stride + r] = total(&sum[i][r]);
}

INLINE void row_tiles(const size_t rows, const size_t at_once, const product *from, size_t count)
{
    product p = *from;

    for (; count >= at_once; count -= at_once) {
        tile(at_once, rows, &p);
        p.x += at_once * p.columns;
        p.y += at_once * p.stride;
    }
    for (; at_once > 1 && count; count--) {
        tile(1, rows, &p);
        p.x += p.columns;
        p.y += p.stride;
    }
}

/* at_once rows of x, four of w: as many sums as the level has registers for. */
INLINE void all_products(const size_t at_once, const product *from, size_t count, size_t rows)
{
    product p = *from;

    for (; rows >= MOST; rows -= MOST) {
        row_tiles(MOST, at_once, &p, count);
        p.w += MOST * p.columns;
        p.y += MOST;
    }
    for (; rows; rows--) {
        row_tiles(1, at_once, &p, count);
        p.w += p.columns;
        p.y++;
    }
}

/* ---- mixtures ---- */

#define MIX 8 /* vectors of the sum at once */

INLINE void mix_some(const size_t vectors, float *sum, const float *p, const float *v,
                     const int8_t *bytes, size_t rows, size_t n)
{
    vf part[MIX], one;

    for (size_t i = 0; i < vectors; i++)
        load(&part[i], sum + i * LANES, LANES);
    for (size_t j = 0; j < rows; j++)
        for (size_t i = 0; i < vectors; i++) {
            if (bytes)
                load_bytes(&one, bytes + j * n + i * LANES);
            else
                load(&one, v + j * n + i * LANES, LANES);
            part[i] += p[j] * one;
        }
    for (size_t i = 0; i < vectors; i++)
        memcpy(sum + i * LANES, &part[i], sizeof part[i]);
}

/* One of v and bytes is NULL, as a constant. */
INLINE void mix(float *sum, const float *p, const float *v, const int8_t *bytes, size_t rows,
                size_t n)
{
    size_t c = 0;

    for (; n - c >= MIX * LANES; c += MIX * LANES)
        mix_some(MIX, sum + c, p, v ? v + c : NULL, bytes ? bytes + c : NULL, rows, n);
    for (; n - c >= LANES; c += LANES)
        mix_some(1, sum + c, p, v ? v + c : NULL, bytes ? bytes + c : NULL, rows, n);
    for (; c < n; c++)
        for (size_t j = 0; j < rows; j++)
            sum[c] += p[j] * (bytes ? (float)bytes[j * n + c] : v[j * n + c]);
}

INLINE void widen(const int8_t *v, float *out, size_t n)
{
    size_t c = 0;
    vf one;

    for (; n - c >= LANES; c += LANES) {
        load_bytes(&one, v + c);
        memcpy(out + c, &one, sizeof one);
    }
    for (; c < n; c++)
        out[c] = (float)v[c];
}

/* ---- levels ---- */

typedef struct {
    void (*product)(const product *p, size_t count, size_t rows);
    void (*mix)(float *sum, const float *p, const float *v, size_t rows, size_t n);
    void (*mix_int8)(float *sum, const float *p, const int8_t *v, size_t rows, size_t n);
    void (*widen)(const int8_t *v, float *out, size_t n);
} kernels;

#define LEVEL(name, target, at_once)                                                             \
    target static void name##_product(const product *p, size_t count, size_t rows)               \
    {                                                                                            \
        all_products(at_once, p, count, rows);                                                   \
    }                                                                                            \
    target static void name##_mix(float *sum, const float *p, const float *v, size_t rows,       \
                                  size_t n)                                                      \
    {                                                                                            \
        mix(sum, p, v, NULL, rows, n);                                                           \
    }                                                                                            \
    target static void name##_mix_int8(float *sum, const float *p, const int8_t *v, size_t rows, \
                                       size_t n)                                                 \
    {                                                                                            \
        mix(sum, p, NULL, v, rows, n);                                                           \
    }                                                                                            \
    target static void name##_widen(const int8_t *v, float *out, size_t n)                       \
    {                                                                                            \
        widen(v, out, n);                                                                        \
    }                                                                                            \
    static const kernels name = { name##_product, name##_mix, name##_mix_int8, name##_widen };

LEVEL(portable, , 1)
#if defined(__x86_64__)
LEVEL(avx2, __attribute__((target("avx2"))), 1)
LEVEL(avx512, __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq"))), 4)
#endif

static const kernels *now(void)
{
#if defined(__x86_64__)
    if (fm_kernel_level() >= FM_LEVEL_AVX512)
        return &avx512;
    if (fm_kernel_level() >= FM_LEVEL_AVX2)
        return &avx2;
#endif
    return &portable;
}

void fm_floats_product(const float *x, size_t count, const float *w, size_t rows, size_t columns,
                       float *y, size_t stride)
{
    const product p = { .x = x, .w = w, .y = y, .columns = columns, .stride = stride };

    now()->product(&p, count, rows);
}

void fm_floats_mix(float *sum, const float *p, const float *v, size_t rows, size_t n)
{
    now()->mix(sum, p, v, rows, n);
}

void fm_floats_mix_int8(float *sum, const float *p, const int8_t *v, size_t rows, size_t n)
{
    now()->mix_int8(sum, p, v, rows, n);
}

void fm_floats_widen(const int8_t *v, float *out, size_t n)
{
    now()->widen(v, out, n);
}
