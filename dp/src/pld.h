/* The engine behind the accountant: an incremental composition of privacy loss distributions. */
#ifndef FEDMOE_DP_PLD_H
#define FEDMOE_DP_PLD_H

#include <stdbool.h>

#include "fedmoe/dp/accountant.h"

typedef struct fm_pld fm_pld;

/** @param keep  more questions will follow: plan with some room, and keep the transforms. */
FM_NODISCARD fm_status fm_pld_new(bool keep, fm_pld **out);
void fm_pld_free(fm_pld **e);
/** Releases of one kind are counted together. The mechanism was checked. */
FM_NODISCARD fm_status fm_pld_add(fm_pld *e, const fm_dp_mechanism *m);

typedef struct {
    double value; /* an upper bound; infinite (epsilon) or 1 (delta) when there is nothing to say */
    bool tight;   /* the bound is as near as the accountant promises */
} fm_pld_answer;

/**
 * Epsilon at delta, or delta at epsilon (whichever is NaN), with `more` added unless NULL.
 * @param hint  for a delta: an upper bound of it, from elsewhere.
 */
FM_NODISCARD fm_status fm_pld_ask(fm_pld *e, const fm_dp_mechanism *more, double epsilon,
                                  double delta, double hint, fm_pld_answer *out);

#endif
