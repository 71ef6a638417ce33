/* The inside of fm_dp_sum, shared by encode.c and release.c. */
#ifndef FEDMOE_DP_SUM_INTERNAL_H
#define FEDMOE_DP_SUM_INTERNAL_H

#include "fedmoe/dp/encode.h"

struct fm_dp_sum {
    fm_dp_lattice lattice;
    size_t n;
    size_t units;
    size_t dropped;
    int32_t *total; /* [n]; |total| <= max_units * sensitivity < 2^31 */
    int32_t *unit;  /* [n], scratch: the unit that is being checked */
};

#endif
