/*
 * Box-Muller in single precision (Box and Muller 1958) over sixteen xorshift generators (Marsaglia
 * 2003), in vectors of the compiler (GNU C): what noise costs that is neither exact nor private
 * nor the same on two machines. A kernel: exempt from the size rule.
 */
#include "noise_peer.h"

#include <math.h>
#include <string.h>

#define LANES 16

typedef float floats __attribute__((vector_size(4 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));

#if defined(__x86_64__)
#include <immintrin.h>
#define WIDEST __attribute__((target("avx512f,avx512dq,fma")))
#define ROOT(v) ((floats)_mm512_sqrt_ps((__m512)(v)))
#endif

bool bench_box_muller_available(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
#else
    return false;
#endif
}

#if defined(__x86_64__)
WIDEST __attribute__((always_inline)) static inline words next(words *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

WIDEST __attribute__((always_inline)) static inline floats uniform(words w)
{
    return __builtin_convertvector((ints)(w >> 8), floats) * 0x1p-24f;
}

/* ln u, u in (0, 1]: e ln 2 + 2 atanh((m - 1)/(m + 1)), m in [1, 2). */
WIDEST __attribute__((always_inline)) static inline floats natural_log(floats u)
{
    floats m = (floats)(((words)u & 0x7fffff) | 0x3f800000);
    floats e = __builtin_convertvector((ints)((words)u >> 23) - 127, floats);
    floats t = (m - 1.0f) / (m + 1.0f), t2 = t * t;

    return e * 0.693147181f +
           2.0f * t * (1.0f + t2 * (1.0f / 3 + t2 * (1.0f / 5 + t2 * (1.0f / 7 + t2 / 9.0f))));
}

WIDEST void bench_box_muller(uint64_t seed, float sigma, float *out, size_t n)
{
    words s;

    for (uint32_t i = 0; i < LANES; i++)
        s[i] = (uint32_t)(seed + i) * 2654435761u | 1;
    for (; n >= 2 * LANES; n -= 2 * LANES, out += 2 * LANES) {
        floats radius = natural_log(uniform(next(&s)) + 0x1p-24f);
        words w = next(&s);
        /* A quarter turn around 0; the two low bits choose the quadrant. */
        floats a = (uniform(w) - 0.5f) * 1.57079633f, a2 = a * a;
        floats sine = a * (1.0f + a2 * (-1.0f / 6 + a2 * (1.0f / 120 - a2 / 5040.0f)));
        floats cosine = 1.0f + a2 * (-0.5f + a2 * (1.0f / 24 + a2 * (-1.0f / 720 + a2 / 40320.0f)));
        words swap = (words) - (ints)(w >> 1 & 1), sign = w << 31;
        floats x, y;

        radius = sigma * ROOT(-2.0f * radius + 1e-12f);
        x = (floats)((((words)sine & swap) | ((words)cosine & ~swap)) ^ sign) * radius;
        y = (floats)((((words)cosine & swap) | ((words)sine & ~swap)) ^ sign ^ (~swap << 31)) *
            radius;
        memcpy(out, &x, sizeof x);
        memcpy(out + LANES, &y, sizeof y);
    }
}
#else
void bench_box_muller(uint64_t seed, float sigma, float *out, size_t n)
{
    (void)seed;
    (void)sigma;
    (void)out;
    (void)n;
}
#endif
