/* From masked words to a step: masks and surplus off, the length checked, decoded. */
#include <math.h>

#include "fedmoe/dp/mask.h"
#include "fedmoe/replay/replay.h"

/* As in dp/src/lattice.c, which chooses the scale with it. */
#define NOISE_SIGMAS 12.0
/* Far more than the doubles of check_length can be wrong by. */
#define ROUNDING 1e-9

fm_status fm_replay_unmask(const fm_replay_sum *s, uint32_t index, const fm_msg_release *r,
                           int32_t *scratch)
{
    fm_status st = fm_dp_mask_apply(s->sum, s->words, r->self_seed, -1);

    for (uint32_t i = 0; st == FM_OK && i < r->lost_count; i++)
        st = fm_dp_mask_apply(s->sum, s->words, r->pair_seeds[i],
                              -fm_dp_mask_sign(index, r->lost[i]));
    if (st == FM_OK)
        st = fm_dp_shares_subtract(s->shares, s->survivors, r->surplus_seeds, r->surplus_count,
                                   scratch, s->sum, s->words);
    return st;
}

/*
 * A mask that did not cancel leaves uniform words. Honest updates stay below max_units clipped
 * units and the noise that the survivors did not give back; what is longer must not reach the
 * model, and another try would only cost the nodes more of their budgets.
 */
static fm_status check_length(const fm_replay_sum *s)
{
    const fm_dp_lattice *l = s->lattice;
    double square = 0.0;
    double noise = (double)s->survivors * NOISE_SIGMAS *
                   fm_dp_shares_sigma(s->shares, s->survivors) * sqrt((double)s->words);
    double limit = (double)l->max_units * (double)l->sensitivity + noise;

    for (size_t i = 0; i < s->words; i++) {
        double v = (double)(int32_t)s->sum[i];

        square += v * v;
    }
    if (sqrt(square) <= limit * (1.0 + ROUNDING))
        return FM_OK;
    return fm_fail(FM_EPROTO,
                   "round %llu: the unmasked sum is longer than max_units records and the noise "
                   "can make it: a node released wrong seeds, or the nodes sum more than "
                   "max_units (%u) records; the model is unchanged",
                   (unsigned long long)s->round, l->max_units);
}

fm_status fm_replay_step(const fm_replay_sum *s, float *gradient, fm_optimizer *o)
{
    fm_status st = check_length(s);

    if (st != FM_OK)
        return st;
    fm_dp_decode_sum(s->lattice, s->sum, s->words, gradient);
    st = fm_optimizer_step(o, gradient, s->words);
    return st == FM_OK ? st : fm_fail_context(st, "round %llu: ", (unsigned long long)s->round);
}
