#ifndef FEDMOE_TESTS_DP_CTGRIND_H
#define FEDMOE_TESTS_DP_CTGRIND_H

#include <stdbool.h>
#include <stddef.h>

#include <valgrind/memcheck.h>

/** Whether the first byte is secret: it must have reached the output, or nothing was tested. Always
 *  true outside of valgrind. */
static inline bool ct_is_secret(const void *p)
{
    unsigned char vbits = 0;

    return VALGRIND_GET_VBITS(p, &vbits, 1) != 1 || vbits != 0;
}

/** Mask kernels, seeds, pair secrets, a whole release, comparison; not 0 when one failed. */
int ct_masks(void);

#endif
