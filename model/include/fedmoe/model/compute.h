/* How fast this machine trains: which kernels it can run, and their rate against the processor's
 * own. */
#ifndef FEDMOE_MODEL_COMPUTE_H
#define FEDMOE_MODEL_COMPUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "fedmoe/base/status.h"

typedef struct {
    const char *level;   /* of instructions, "AVX-512 VNNI"; static */
    bool portable;       /* see fm_compute_is_portable */
    double float_gflops; /* product of 256 rows and a matrix [256, 256], float32 */
    double integer_gops; /* sum of outer products of 256 rows, [256, 256], 16-bit integers */
    double peak_gflops;  /* measured: multiplications and additions in registers, one core */
} fm_compute_report;

/** The level alone, without measuring. Static text. */
const char *fm_compute_level(void);
/** No kernels made for this processor's instructions: training is several times slower. */
bool fm_compute_is_portable(void);

/**
 * Measure on the calling thread; 2 operations for each multiplication with its addition. The best
 * of many short runs, in less than 150 ms.
 * @return FM_OK; FM_ENOMEM.
 * @thread any; what else runs on the core shows in the figures.
 */
FM_NODISCARD fm_status fm_compute_measure(fm_compute_report *out);

/** One line of text, cut to cap: "AVX-512 VNNI kernels, 98 GFLOP/s float32 (91 % of this core's
 *  peak, 107), 201 GOP/s integers". */
void fm_compute_format(const fm_compute_report *r, char *out, size_t cap);

#endif
