#include "fedmoe/model/kernel.h"

#include <stdatomic.h>
#include <string.h>

#include "kernel_levels.h"

#define UNKNOWN (-1)

static _Atomic int g_level = UNKNOWN;

/* What the processor offers and the system saves; never its name. */
static fm_level best_level(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return FM_LEVEL_PORTABLE;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return FM_LEVEL_AVX2;
    return __builtin_cpu_supports("avx512vnni") ? FM_LEVEL_VNNI : FM_LEVEL_AVX512;
#else
    return FM_LEVEL_PORTABLE;
#endif
}

fm_level fm_kernel_level(void)
{
    int level = atomic_load_explicit(&g_level, memory_order_relaxed);

    if (level == UNKNOWN) {
        level = (int)best_level();
        atomic_store_explicit(&g_level, level, memory_order_relaxed);
    }
    return (fm_level)level;
}

const char *fm_kernel_level_name(fm_level level)
{
    static const char *const names[] = { "portable", "AVX2", "AVX-512", "AVX-512 VNNI" };

    return (unsigned)level < sizeof names / sizeof *names ? names[level] : "unknown";
}

void fm_kernel_limit(fm_level most)
{
    const fm_level best = best_level();

    atomic_store_explicit(&g_level, (int)(most < best ? most : best), memory_order_relaxed);
}

const fm_kernels *fm_kernels_now(void)
{
    switch (fm_kernel_level()) {
#if defined(__x86_64__)
    case FM_LEVEL_VNNI:
    case FM_LEVEL_AVX512:
        return &fm_kernels_avx512;
    case FM_LEVEL_AVX2:
        return &fm_kernels_avx2;
#endif
    default:
        return &fm_kernels_portable;
    }
}

size_t fm_row_stride(size_t n)
{
    const size_t whole = (n + 15) / 16 * 16;

    return whole && whole % 1024 == 0 ? whole + 16 : whole;
}

size_t fm_panels_floats(size_t in, size_t out)
{
    return (out + FM_PANEL - 1) / FM_PANEL * FM_PANEL * in;
}

void fm_panels_transposed(float *panels, const float *w, size_t in, size_t out, float scale)
{
    /* The lanes of a level may end before the panel does. */
    if (out % FM_PANEL)
        memset(panels + out / FM_PANEL * FM_PANEL * in, 0, FM_PANEL * in * sizeof *panels);
    fm_kernels_now()->transposed(panels, w, in, out, scale);
}

void fm_panels_straight(float *panels, const float *w, size_t in, size_t out, float scale)
{
    fm_kernels_now()->straight(panels, w, in, out, scale);
}

void fm_kernel_rows(const float *a, size_t rows, size_t in, const float *panels, size_t out,
                    fm_start start, const float *bias, float *c)
{
    fm_kernels_now()->rows(a, rows, in, panels, out, start, bias, c);
}

void fm_kernel_quantise(const float *a, size_t rows, size_t n, const float *scale, uint32_t *pairs,
                        uint64_t *squares)
{
    fm_kernels_now()->quantise(a, rows, n, scale, pairs, squares);
}

void fm_kernel_outer(const uint32_t *g, const uint32_t *a, size_t pairs, size_t out, size_t in,
                     int32_t *sum)
{
#if defined(__x86_64__)
    if (fm_kernel_level() == FM_LEVEL_VNNI) {
        fm_kernel_outer_vnni(g, a, pairs, out, in, sum);
        return;
    }
#endif
    fm_kernels_now()->outer(g, a, pairs, out, in, sum);
}

void fm_kernel_outer_float(const float *g, const float *a, size_t rows, size_t out, size_t in,
                           float scale, float *sum)
{
    fm_kernels_now()->outer_float(g, a, NULL, rows, out, in, scale, FM_START_SUM, sum);
}

void fm_kernel_outer_weighted(const float *g, const float *a, const float *weights, size_t rows,
                              size_t out, size_t in, float scale, fm_start start, float *sum)
{
    fm_kernels_now()->outer_float(g, a, weights, rows, out, in, scale, start, sum);
}

void fm_kernel_squares(const float *a, size_t rows, size_t n, double *squares)
{
    fm_kernels_now()->squares(a, rows, n, squares);
}

float fm_kernel_dot(const float *a, const float *b, size_t n)
{
    return fm_kernels_now()->dot(a, b, n);
}

void fm_kernel_add_scaled(float *y, float scale, const float *x, size_t n)
{
    fm_kernels_now()->add_scaled(y, scale, x, n);
}

void fm_kernel_exp(float *v, size_t n)
{
    fm_kernels_now()->exp(v, n);
}

void fm_kernel_activate(fm_act kind, float *h, float *slope, size_t n)
{
    fm_kernels_now()->activate(kind, h, slope, n);
}
