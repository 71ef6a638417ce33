/* The inside of fm_dp_sum, shared by sum.c, encode.c, release.c and audit_canary.c. */
#ifndef FEDMOE_DP_SUM_INTERNAL_H
#define FEDMOE_DP_SUM_INTERNAL_H

#include "fedmoe/dp/encode.h"

#define FM_DP_COORDINATES_MAX ((size_t)1 << 30)
#define FM_DP_SHIFT_MAX 30u

/*
 * The sum is total[i], and wide[i] more where max_units * unit_sensitivity does not fit 32 bits:
 * then total is the batch of `pending` units that was not added to wide yet.
 */
struct fm_dp_sum {
    fm_dp_lattice lattice;
    size_t n;
    size_t units;
    size_t dropped;
    size_t pending;
    size_t asked;   /* most units of the open batch */
    bool touched;   /* since it was wiped */
    bool open;      /* between fm_dp_sum_batch and fm_dp_sum_batch_done */
    int32_t *total; /* [n]; |total| < 2^31 */
    int64_t *wide;  /* [n], or NULL */
    int32_t *unit;  /* [n], scratch: the unit that is being checked; in FAST NULL until needed */
};

/** On the units' lattice. */
static inline int64_t fm_dp_sum_at(const fm_dp_sum *s, size_t i)
{
    return (s->wide ? s->wide[i] : 0) + s->total[i];
}

/** What one unit adds, int32[n]; FM_ENONFINITE, without an error text. */
FM_NODISCARD fm_status fm_dp_encode_into(const fm_dp_lattice *l, const float *g, size_t n,
                                         int32_t *out);
/** All zeros by now, and of no unit. */
void fm_dp_sum_wiped(fm_dp_sum *s);
bool fm_dp_lattice_ok(const fm_dp_lattice *l);

#endif
