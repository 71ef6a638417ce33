/*
 * Steps that a node makes by itself between two models of the server: FedAvg's, with FedProx's pull
 * and SCAFFOLD's correction. Pure arithmetic on flat vectors, in double, in a fixed order.
 *
 * All that a move reads is noised or public: divisor, rate and pull are the plan's. With the number of
 * a node's own units in the divisor the second step would no longer be covered by the first one's
 * noise: docs/privacy.md, "Local steps".
 */
#ifndef FEDMOE_OPTIM_LOCAL_H
#define FEDMOE_OPTIM_LOCAL_H

#include <stddef.h>

#include "fedmoe/base/status.h"

typedef struct {
    double rate;                 /* > 0 */
    double divisor;              /* units that a step of this node is taken to sum, > 0: public */
    double ratio;                /* clip norm in use over the lattice's; 1 when it is fixed */
    double proximal;             /* FedProx's mu, >= 0 */
    size_t weights;              /* the first ones: the tail of the state does not move */
    size_t center, center_count; /* nor does the center: optimizer.h, start_center */
} fm_local_rule;

/**
 * A step: with g = noised / divisor * ratio
 *
 *   w = w - rate (g + proximal (w - start) + correction)
 *
 * @param start       the server's model, float32[weights].
 * @param noised      the step's decoded noised sum, float32[weights].
 * @param correction  SCAFFOLD's c - c_u, float32[weights]; NULL: none.
 * @param w           in and out, float32[weights].
 * @return FM_OK; FM_ENONFINITE when w would leave the float32 numbers: it is then of no use.
 * @source McMahan et al. 2017, arXiv:1602.05629, Algorithm 1; proximal: Li et al. 2020,
 *         arXiv:1812.06127, Algorithm 2; correction: Karimireddy et al. 2020, arXiv:1910.06378,
 *         Algorithm 1.
 */
FM_NODISCARD fm_status fm_local_move(const fm_local_rule *r, const float *start,
                                     const float *noised, const float *correction, float *w);

/**
 * What a node has seen of the server's last step: the mean gradient c of all nodes, and its own c_u.
 * Server: SGD without momentum, so that c = (before - after) / server_rate.
 *
 * @param before, after  models around the step, float32[n].
 * @param own            c_u: mean of this node's noised gradients in that round, float32[n].
 * @param out            c - c_u, float32[n]; may be own.
 * @source Karimireddy et al. 2020, arXiv:1910.06378, Algorithm 1, option II.
 */
void fm_local_correction(double server_rate, const float *before, const float *after,
                         const float *own, size_t n, float *out);

#endif
