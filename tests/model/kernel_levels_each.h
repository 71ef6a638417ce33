/* What the tests of the kernels share. */
#ifndef FEDMOE_TESTS_MODEL_KERNEL_LEVELS_EACH_H
#define FEDMOE_TESTS_MODEL_KERNEL_LEVELS_EACH_H

#include "fedmoe/base/random.h"
#include "fedmoe/model/kernel.h"

static inline fm_rng seeded(fm_rng_seed *state, uint64_t seed)
{
    return fm_rng_seeded(state, seed);
}

static inline void fill(fm_rng *rng, float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (float)fm_rng_normal(rng);
}

/* Each level up to the machine's best, once. */
static inline bool next_level(fm_level *level)
{
    static fm_level best;

    if (*level == FM_LEVEL_PORTABLE) {
        fm_kernel_limit(FM_LEVEL_VNNI);
        best = fm_kernel_level();
    }
    fm_kernel_limit(*level);
    if (*level > best) {
        fm_kernel_limit(FM_LEVEL_VNNI);
        return false;
    }
    return true;
}
#define EACH_LEVEL(l) for (fm_level l = FM_LEVEL_PORTABLE; next_level(&l); l++)

#endif
