/*
 * Noise and masks under valgrind with what is secret marked uninitialised: memcheck reports every
 * branch and every address that depends on it. After Langley's ctgrind, 2010. Every way to compute
 * them that valgrind can run; for AVX-512 and VAES, which it cannot, the same source over
 * instructions written out in C. Masks and keys: ctgrind_masks.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include <valgrind/memcheck.h>

#include "ctgrind.h"
#include "fedmoe/base/random.h"
#include "noise_emulated.h"

#define N 1500

static bool always(void)
{
    return true;
}

static const fm_gauss_path g_emulated = { "avx512, emulated", always, fm_gauss_scan_portable,
                                          fm_gauss_groups_emulated, false };

static int watch(const fm_dp_gaussian *g, const fm_gauss_path *path)
{
    static int32_t x[N];
    static int64_t wide[N];
    uint8_t seed[FM_DP_NOISE_SEED_BYTES];

    fm_random_bytes(seed, sizeof seed);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(seed, sizeof seed);
    if (fm_dp_gaussian_sigma(g) <= 0x1p26 &&
        (fm_gauss_expand(g, path, seed, x, NULL, N) != FM_OK || !ct_is_secret(x)))
        return 1;
    if (fm_gauss_expand(g, path, seed, NULL, wide, N) != FM_OK || !ct_is_secret(wide))
        return 1;
    return 0;
}

static int watch_own_stream(void)
{
#if defined(__x86_64__)
    static uint8_t out[1024 + 192];
    uint8_t seed[FM_DP_NOISE_SEED_BYTES], round_key[15][16];

    if (!__builtin_cpu_supports("aes"))
        return 0;
    fm_random_bytes(seed, sizeof seed);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(seed, sizeof seed);
    fm_gauss_aes_expand_key_emulated(seed, round_key);
    fm_gauss_aes_stream_emulated((const uint8_t(*)[16])round_key, 0, out, sizeof out);
    return ct_is_secret(out) ? 0 : 1;
#else
    return 0;
#endif
}

int main(void)
{
    const double sigmas[] = { 10.0, 33.3, 1000.3, 0x1p14, 0x1p20, 0x1p26, 0x1p45 };

    if (fm_random_init() != FM_OK || watch_own_stream() != 0)
        return 1;
    if (ct_masks() != 0) {
        fprintf(stderr, "ctgrind: masks failed, or do not depend on the secret\n");
        return 1;
    }
    for (size_t i = 0; i < sizeof sigmas / sizeof *sigmas; i++) {
        fm_dp_gaussian *g = NULL;
        int bad;

        if (fm_dp_gaussian_new(sigmas[i], &g) != FM_OK)
            return 1;
        bad = watch(g, &g_emulated);
        for (size_t p = 0; p < fm_gauss_path_count && !bad; p++) {
            printf("%s%s", fm_gauss_paths[p].name,
                   fm_gauss_paths[p].available() ? "\n" : ": not here\n");
            if (fm_gauss_paths[p].available())
                bad = watch(g, &fm_gauss_paths[p]);
        }
        fm_dp_gaussian_free(&g);
        if (bad) {
            fprintf(stderr, "ctgrind: failed, or the output does not depend on the secret\n");
            return 1;
        }
    }
    return 0;
}
