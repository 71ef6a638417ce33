/*
 * The sampler under valgrind with its random bytes marked uninitialised: memcheck reports every
 * branch and every address that depends on one of them. After Langley's ctgrind, 2010.
 */
#include <stdio.h>
#include <stdlib.h>

#include <valgrind/memcheck.h>

#include "fedmoe/base/random.h"
#include "fedmoe/dp/noise.h"

static void fill_secret(void *state, void *out, size_t len)
{
    (void)state;
    fm_random_bytes(out, len);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(out, len);
}

int main(void)
{
    const double sigmas[] = { 10.0, 33.3, 1000.3, 0x1p20, 0x1p26 };
    static int32_t x[1500];
    static uint8_t vbits[sizeof x];
    fm_rng rng = { .fill = fill_secret };

    if (fm_random_init() != FM_OK)
        return 1;
    for (size_t i = 0; i < sizeof sigmas / sizeof *sigmas; i++) {
        fm_dp_gaussian *g = NULL;

        if (fm_dp_gaussian_new(sigmas[i], &g) != FM_OK)
            return 1;
        fm_dp_gaussian_sample(g, &rng, x, 1500);
        /* The secret must have reached the output, or nothing was tested. */
        if (VALGRIND_GET_VBITS(x, vbits, sizeof x) == 1 && vbits[0] == 0) {
            fprintf(stderr, "ctgrind: the output does not depend on the secret\n");
            return 1;
        }
        fm_dp_gaussian_free(&g);
    }
    return 0;
}
