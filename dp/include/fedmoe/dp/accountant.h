/*
 * The reckoning: what compositions of noisy releases cost, as (epsilon, delta), and the noise that a
 * budget asks for. Adjacency: add or remove one unit; every answer covers both directions.
 *
 * Two accountants. PLD composes privacy loss distributions and is exact to 1e-4, from above. RDP
 * bounds by Renyi moments, a few to some tens of percent above; it checks PLD, and answers where
 * PLD cannot (noise multipliers below 0.005, more than some millions of releases).
 */
#ifndef FEDMOE_DP_ACCOUNTANT_H
#define FEDMOE_DP_ACCOUNTANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/status.h"

/**
 * How far above the true epsilon an answer by PLD may lie, relative. Two reckonings of one
 * composition may differ by so much: whoever makes a plan for others' budgets leaves this room.
 */
#define FM_DP_TIGHTNESS 1e-4

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
    uint32_t sensitivity; /* discrete Gaussian: lattice steps, >= 1 (std is z * sensitivity, at most
                             1500 steps); otherwise 0 */
} fm_dp_mechanism;

/** Whether they differ in nothing but their counts, to the bit. */
bool fm_dp_same_kind(const fm_dp_mechanism *a, const fm_dp_mechanism *b);

typedef enum { FM_DP_PLD, FM_DP_RDP } fm_dp_accountant_kind;

/** An answer. */
typedef struct {
    double epsilon, delta;
    fm_dp_accountant_kind
        accountant; /* whose figure it is: RDP's where PLD has none or it is less */
} fm_dp_cost;

/**
 * Smallest epsilon at `delta` of the composition. An upper bound, never below the true value.
 *
 * @param delta  in (0, 1).
 * @return FM_OK; FM_EINVAL naming the argument; FM_ENOMEM; FM_EINTERNAL when the two accountants
 *         contradict each other. No mechanisms: epsilon 0.
 * @thread pure.
 * @source PLD: Sommer, Meiser, Mohammadi 2019; connect the dots: Doroshenko, Ghazi, Kamath, Kumar,
 *         Manurangsi 2022, arXiv:2207.04380; pairs and directions: Zhu, Dong, Wang 2022,
 *         arXiv:2106.08567. RDP of the sampled Gaussian: Mironov, Talwar, Zhang 2019,
 *         arXiv:1908.10530, section 3.3; conversion: Canonne, Kamath, Steinke 2020,
 *         arXiv:2004.00010, proposition 12; discrete Gaussian: the same, theorem 4 and proposition 5.
 */
FM_NODISCARD fm_status fm_dp_epsilon(const fm_dp_mechanism *m, size_t count, double delta,
                                     double *epsilon);
/** Smallest delta at `epsilon`. */
FM_NODISCARD fm_status fm_dp_delta(const fm_dp_mechanism *m, size_t count, double epsilon,
                                   double *delta);

/** The same by one accountant. By PLD is what fm_dp_epsilon and fm_dp_delta say. */
FM_NODISCARD fm_status fm_dp_epsilon_by(fm_dp_accountant_kind by, const fm_dp_mechanism *m,
                                        size_t count, double delta, fm_dp_cost *out);
FM_NODISCARD fm_status fm_dp_delta_by(fm_dp_accountant_kind by, const fm_dp_mechanism *m,
                                      size_t count, double epsilon, fm_dp_cost *out);

/**
 * Smallest z (to 1e-4 relative, from above) with which `rounds` releases at rate q cost at most
 * (epsilon, delta).
 */
FM_NODISCARD fm_status fm_dp_calibrate(double epsilon, double delta, double sampling_rate,
                                       uint64_t rounds, double *noise_multiplier);
/**
 * The same for any mechanism: its kind, rate, count and sensitivity are read, its noise multiplier is
 * the answer.
 */
FM_NODISCARD fm_status fm_dp_calibrate_mechanism(fm_dp_accountant_kind by, double epsilon,
                                                 double delta, fm_dp_mechanism *m);

/**
 * A composition that grows: what a ledger adds up to. Answers are fm_dp_epsilon's, but the work for
 * what was there before is kept, so that a further answer costs some milliseconds.
 * One caller at a time.
 */
typedef struct fm_dp_account fm_dp_account;

FM_NODISCARD fm_status fm_dp_account_new(fm_dp_account **out);
void fm_dp_account_free(fm_dp_account **a);
/** Releases of equal kind, noise and rate are counted together. FM_EINVAL, FM_ENOMEM: unchanged. */
FM_NODISCARD fm_status fm_dp_account_add(fm_dp_account *a, const fm_dp_mechanism *m);
/** With `more` added unless NULL; the account stays as it is. */
FM_NODISCARD fm_status fm_dp_account_epsilon(fm_dp_account *a, const fm_dp_mechanism *more,
                                             double delta, fm_dp_cost *out);
FM_NODISCARD fm_status fm_dp_account_delta(fm_dp_account *a, const fm_dp_mechanism *more,
                                           double epsilon, fm_dp_cost *out);
/**
 * Whether the account with `more` (or NULL) stays within (epsilon, delta). The largest composition
 * that was found within them is remembered, and one that it dominates is answered without
 * computation; so that this happens, more releases than asked for are tried now and then.
 */
FM_NODISCARD fm_status fm_dp_account_within(fm_dp_account *a, const fm_dp_mechanism *more,
                                            double epsilon, double delta, bool *within);

#endif
