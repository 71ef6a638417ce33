/*
 * An audit of the noise, the clipping and the sampling, in one run: m canaries, units of our own
 * making, are each put in or left out by a fair coin; whoever reads the released sums guesses which
 * ones were in. Under (epsilon, delta)-DP the number of right guesses is bounded; more of them show
 * that epsilon is larger. docs/audit.md says what this can show and what it cannot.
 *
 * @source Steinke, Nasr, Jagielski 2023, Privacy auditing with one (1) training run,
 *         arXiv:2305.08846: theorem 5.2 (the bound), section 6 (canaries in gradient space).
 */
#ifndef FEDMOE_DP_AUDIT_H
#define FEDMOE_DP_AUDIT_H

#include <stdbool.h>

#include "fedmoe/dp/accountant.h"
#include "fedmoe/dp/mask.h"

#define FM_DP_AUDIT_MIN_CANARIES 16u
#define FM_DP_AUDIT_MAX_CANARIES 100000u
#define FM_DP_AUDIT_MAX_ROUNDS 1000000u

/** What an audit saw. Holds nothing of the records (docs/audit.md). */
typedef struct {
    uint32_t canaries;         /* m */
    fm_dp_mechanism mechanism; /* as claimed: z, q, and the rounds as count */
    double delta;              /* of the claim */
    uint8_t *included;         /* [canaries] 0 or 1: the coins; owned */
    double *scores;            /* [canaries] finite; high speaks for included; owned */
} fm_dp_observations;

void fm_dp_observations_fini(fm_dp_observations *o);

/* ---- the statistics ---- */

/**
 * Probability, at most, of v or more right guesses out of r about m fair coins, if what was seen
 * comes from an (epsilon, delta)-DP mechanism: with B ~ Binomial(r, 1 / (1 + e^-epsilon)),
 *   P[B >= v] + 2 m delta max over i in 1..v of P[v - i <= B < v] / i,
 * 1 where that is more.
 *
 * @param m        1..FM_DP_AUDIT_MAX_CANARIES; r in 1..m; v in 0..r.
 * @param epsilon  >= 0.
 * @param delta    in [0, 1].
 * @return FM_OK; FM_EINVAL; FM_ENOMEM.
 * @thread pure.
 * @source the paper, theorem 5.2.
 */
FM_NODISCARD fm_status fm_dp_audit_p_value(uint32_t m, uint32_t r, uint32_t v, double epsilon,
                                           double delta, double *p);

typedef struct {
    double epsilon; /* with the confidence asked for, the true epsilon is not below; 0: the
                                  guesses show nothing */
    uint32_t guesses, correct; /* of the set of guesses that showed most */
} fm_dp_audit_bound;

/**
 * Lower bound on epsilon at delta. Sets of guesses: for r = m, m/2, m/4 ... >= 16 the r/2 highest
 * scores as included and the r/2 lowest as left out; for r = m/2, m/4 ... >= 16 the r highest as
 * included. Each of the K sets is tested at (1 - confidence) / K, so that the best may be taken.
 *
 * @param confidence  in (0, 1); 0.95 is usual.
 * @return FM_OK; FM_EINVAL; FM_ENOMEM.
 * @thread pure.
 */
FM_NODISCARD fm_status fm_dp_audit_bound_of(const fm_dp_observations *o, double delta,
                                            double confidence, fm_dp_audit_bound *out);

typedef struct {
    double claimed; /* epsilon of the mechanism at delta, as the ledger reckons it */
    fm_dp_audit_bound bound;
    double honest;  /* what a build that does as it says shows, about: median of simulated runs */
    double ceiling; /* what the same canaries show when every guess is right: the most they can */
    bool violated;  /* the bound is above the claim */
} fm_dp_audit_verdict;

/**
 * Hold the observations against what their mechanism claims at `delta`.
 * A build that does as it says is called violated with probability 1 - confidence at most.
 * @param rng  for the simulated runs only.
 */
FM_NODISCARD fm_status fm_dp_audit_judge(const fm_dp_observations *o, double delta,
                                         double confidence, fm_rng *rng, fm_dp_audit_verdict *out);

/* ---- the canaries ---- */

/**
 * Canaries in gradient space: canary i is one coordinate of the update, of its own and drawn at
 * random, with a random sign. Its gradient is FM_DP_CANARY_NORM times the clip norm there and 0
 * elsewhere, so that it stands out ten times as far where clipping is missing.
 */
typedef struct fm_dp_canaries fm_dp_canaries;

#define FM_DP_CANARY_NORM 10.0

/**
 * Flip the coins, draw coordinates and signs.
 * @param m            FM_DP_AUDIT_MIN_CANARIES..FM_DP_AUDIT_MAX_CANARIES, and at most n: two
 *                     canaries in one coordinate would hide one another.
 * @param n            coordinates of an update.
 * @param clip_norm    of the lattice that the sums are made with.
 * @param claimed      z and q, in whose light the sums are read.
 */
FM_NODISCARD fm_status fm_dp_canaries_new(uint32_t m, uint32_t n, double clip_norm,
                                          const fm_dp_mechanism *claimed, fm_rng *rng,
                                          fm_dp_canaries **out);
void fm_dp_canaries_free(fm_dp_canaries **c);

/**
 * Put this round's canaries into a sum that holds the round's records already: each included canary
 * is one more unit, drawn by fm_dp_sample_units and added by fm_dp_sum_add_unit as they were.
 * Remembers the records' part of the sum, which fm_dp_canaries_observe takes off.
 * @return FM_OK; as fm_dp_sum_add_unit; FM_EINVAL when the sum has other than n coordinates.
 */
FM_NODISCARD fm_status fm_dp_canaries_add(fm_dp_canaries *c, double sampling_rate, fm_dp_sum *sum,
                                          fm_rng *rng);

/**
 * Score a round. In units of the sensitivity, a canary's coordinate of the sum without the records
 * is x ~ N(0, z^2) when it was left out and x ~ (1 - q) N(0, z^2) + q N(1, z^2) when it was in, if
 * the build does as it claims; the score is the log likelihood ratio, added over the rounds.
 * Taking the records off is the auditor's right: the guarantee for one unit holds against whoever
 * knows all the others and when they were drawn.
 * @param sum  uint32[n], unmasked.
 */
void fm_dp_canaries_observe(fm_dp_canaries *c, const fm_dp_lattice *lattice, const uint32_t *sum);

/* ---- a run ---- */

/** One round of a run, as the step is to make it. */
typedef struct {
    const fm_dp_pairs *pairs; /* of one node alone: the masks are its own only */
    const fm_dp_round *round;
    fm_dp_canaries *canaries; /* to be put in after the records */
    fm_rng *rng;
} fm_dp_audit_turn;

typedef struct {
    uint32_t canaries, coordinates;
    const fm_dp_lattice *lattice; /* of the step's sums, of 32-bit words; borrowed */
    fm_dp_mechanism claimed;      /* count: rounds, 1..FM_DP_AUDIT_MAX_ROUNDS */
    double delta;
    fm_rng *rng; /* fm_rng_system() outside of tests */
    /** Make the release of a round, the canaries in it. */
    fm_status (*step)(void *ctx, const fm_dp_audit_turn *turn, fm_dp_release **out);
    /** NULL, or what is done with the round's sum, uint32[coordinates]; rounds count from 1. */
    fm_status (*opened)(void *ctx, uint64_t round, const uint32_t *sum);
    void *ctx;
} fm_dp_audit_setup;

/**
 * Run the rounds and score the canaries. Nothing is sent and nothing charged.
 * @param out  fm_dp_observations_fini. On error unchanged.
 */
FM_NODISCARD fm_status fm_dp_audit_run(const fm_dp_audit_setup *a, fm_dp_observations *out);

/**
 * The same with canaries alone, no records and no model: encoding, sampling, noise and masks of
 * this program on this machine.
 * @param progress  NULL, or called with the rounds that are done.
 */
FM_NODISCARD fm_status fm_dp_audit_run_alone(uint32_t canaries, const fm_dp_mechanism *claimed,
                                             double delta, fm_rng *rng,
                                             void (*progress)(void *ctx, uint64_t done), void *ctx,
                                             fm_dp_observations *out);

/* ---- files ---- */

/** Write as JSON, mode 0600. */
FM_NODISCARD fm_status fm_dp_observations_write(const char *path, const fm_dp_observations *o);
/** @return FM_OK; FM_EPROTO, the text naming file and key; as fm_file_read. */
FM_NODISCARD fm_status fm_dp_observations_read(const char *path, fm_dp_observations *out);
/** The same from memory; `name` is for error texts. */
FM_NODISCARD fm_status fm_dp_observations_parse(const char *name, const void *text, size_t len,
                                                fm_dp_observations *out);

#endif
