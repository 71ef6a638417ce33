/*
 * The reckoning: Renyi differential privacy (RDP) of subsampled Gaussian mechanisms, its
 * conversion to (epsilon, delta), and calibration of the noise. Adjacency: add or remove one unit.
 */
#ifndef FEDMOE_DP_ACCOUNTANT_H
#define FEDMOE_DP_ACCOUNTANT_H

#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/status.h"

typedef enum {
    FM_DP_GAUSSIAN = 0, /* continuous, or discrete with so fine a lattice that it is the same */
    FM_DP_LAPLACE = 1,
    FM_DP_DISCRETE_GAUSSIAN = 2,
} fm_dp_mechanism_kind;

/** `count` releases of a Poisson-subsampled mechanism. */
typedef struct {
    double noise_multiplier; /* z: std over L2 sensitivity (Laplace: scale over sensitivity, b),
                                > 0; infinity costs nothing */
    double sampling_rate;    /* q in (0, 1] */
    uint64_t count;
    fm_dp_mechanism_kind kind;
    uint32_t sensitivity; /* discrete Gaussian: lattice steps, >= 1 (std is z * sensitivity);
                             otherwise 0 */
} fm_dp_mechanism;

/**
 * Smallest epsilon at `delta` of the composition. An upper bound, never below the true value.
 *
 * @param delta  in (0, 1).
 * @return FM_OK; FM_EINVAL naming the argument. No mechanisms: epsilon 0.
 * @thread pure.
 * @source RDP of the sampled Gaussian: Mironov, Talwar, Zhang 2019, arXiv:1908.10530, section 3.3;
 *         conversion: Canonne, Kamath, Steinke 2020, arXiv:2004.00010, proposition 12; the discrete
 *         Gaussian has the same RDP bound: the same, theorem 4 and proposition 5.
 */
FM_NODISCARD fm_status fm_dp_epsilon(const fm_dp_mechanism *m, size_t count, double delta,
                                     double *epsilon);
/** Smallest delta at `epsilon`. */
FM_NODISCARD fm_status fm_dp_delta(const fm_dp_mechanism *m, size_t count, double epsilon,
                                   double *delta);

/**
 * Smallest z (to 1e-4 relative, from above) with which `rounds` releases at rate q cost at most
 * (epsilon, delta).
 */
FM_NODISCARD fm_status fm_dp_calibrate(double epsilon, double delta, double sampling_rate,
                                       uint64_t rounds, double *noise_multiplier);

#endif
