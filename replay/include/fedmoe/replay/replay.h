/*
 * From what arrives in a round to the next model: the one code for the aggregator, who does it, and
 * for whoever checks it afterwards (fedmoe-node verify). Pure; for any thread.
 */
#ifndef FEDMOE_REPLAY_REPLAY_H
#define FEDMOE_REPLAY_REPLAY_H

#include "fedmoe/dp/accountant.h"
#include "fedmoe/dp/encode.h"
#include "fedmoe/dp/mask_graph.h"
#include "fedmoe/dp/shares.h"
#include "fedmoe/optim/optimizer.h"
#include "fedmoe/proto/message.h"
#include "fedmoe/proto/plan.h"

/** The lattice that a plan implies; fm_dp_lattice_make says whether there is one. */
fm_dp_lattice_spec fm_replay_lattice_spec(const fm_plan *plan);
/** Those among whom a plan's masks are; fm_dp_mask_density_check says whether its density serves. */
fm_dp_graph fm_replay_graph(const fm_plan *plan);
/** What so many rounds of a plan are to the accountant: each of them fm_plan_steps releases. */
fm_dp_mechanism fm_replay_mechanism(const fm_plan *plan, uint64_t rounds);
/** Standard deviation of the noise on a coordinate of what a step is made of, in the gradient's unit. */
double fm_replay_noise(const fm_plan *plan);
/** The most that it can be, whoever survives: with that of the nodes, too, that are reckoned to collude
 *  and so do not count above. NaN without a lattice. */
double fm_replay_most_noise(const fm_plan *plan);
/** The optimizer that a plan asks for, at these first weights: FM_EINVAL, FM_ENOMEM. */
FM_NODISCARD fm_status fm_replay_optimizer_new(const fm_plan *plan, const float *weights, size_t n,
                                               fm_optimizer **out);

/** A sum of masked words on its way to a gradient; all borrowed. */
typedef struct {
    const fm_dp_lattice *lattice;
    const fm_dp_shares *shares; /* of the round's number of participants */
    uint64_t round;             /* for texts */
    uint32_t survivors;         /* how many */
    uint32_t mask_density;      /* the plan's */
    void *sum;                  /* [words], as dp has the lattice's: see fm_dp_sum_word_bytes */
    size_t words;
} fm_replay_sum;

/**
 * Take off what the survivor at this roster index has released: its self mask, its pair masks with
 * those of the lost ones that it shares an edge with, its surplus noise (docs/protocol.md, section 9).
 * @param r  self_seed, lost, pair_seeds and surplus_seeds are used.
 * @return FM_OK; FM_EPROTO another number of surplus seeds than the round's; FM_EINTERNAL.
 */
FM_NODISCARD fm_status fm_replay_unmask(const fm_replay_sum *s, uint32_t index,
                                        const fm_msg_release *r);
/**
 * A step of the optimizer on the unmasked sum.
 * @return FM_OK; FM_EPROTO the sum is longer than honest updates can make it (a mask that did not
 *         cancel leaves uniform words); FM_ENONFINITE as fm_optimizer_step. On error *o is
 *         unchanged.
 */
FM_NODISCARD fm_status fm_replay_step(const fm_replay_sum *s, fm_optimizer *o);

#endif
