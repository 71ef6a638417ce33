/* From masked words to a step: masks and surplus off, the length checked, decoded. */
#include <math.h>

#include "fedmoe/dp/mask.h"
#include "fedmoe/replay/replay.h"
#include "sum_internal.h"

/* By which noise is longer than it is on average at most, in its deviations: longest says why. */
#define NOISE_SIGMAS 12.0
/* Far more than the doubles of fm_replay_check_length can be wrong by. */
#define SLACK 1e-9

fm_status fm_replay_unmask(const fm_replay_sum *s, uint32_t index, const fm_msg_release *r)
{
    const unsigned bits = s->lattice->word_bits;
    fm_status st;

    if (s->mask_density < 1 || s->mask_density > FM_DP_DENSITY_ALL)
        return fm_fail(FM_EINVAL, "unmasking: a mask density of %u, must be 1 to %u",
                       s->mask_density, FM_DP_DENSITY_ALL);
    st = fm_dp_mask_apply(bits, s->sum, s->words, r->self_seed, -1);

    for (uint32_t i = 0; st == FM_OK && i < r->lost_count; i++)
        if (fm_dp_mask_edge(r->pair_seeds[i], s->mask_density))
            st = fm_dp_mask_apply(bits, s->sum, s->words, r->pair_seeds[i],
                                  -fm_dp_mask_sign(index, r->lost[i]));
    if (st == FM_OK)
        st = fm_dp_shares_subtract(s->shares, s->survivors, r->surplus_seeds, r->surplus_count,
                                   s->sum, s->words);
    return st;
}

/*
 * Longer than this is no honest sum: max_units clipped units; the noise that the survivors did not
 * give back, in n words of standard deviation S together, which is longer than S (sqrt(n) + 12) with
 * probability below e^-72; and half a step of rounding in every word, of every survivor. Of local
 * steps: all of it so many times, the noise's variance that is.
 */
static double longest(const fm_replay_sum *s)
{
    const double root = sqrt((double)s->words), steps = (double)s->lattice->steps;
    const double sums = (double)s->survivors * steps;
    const double noise = sqrt(sums) * fm_dp_shares_sigma(s->shares, s->survivors);

    return (double)s->lattice->max_units * steps * s->lattice->sensitivity +
           noise * (root + NOISE_SIGMAS) + sums * 0.5 * root;
}

/*
 * A mask that did not cancel leaves uniform words. What is longer than honest sums must not reach
 * the model, and another try would only cost the nodes more of their budgets.
 */
fm_status fm_replay_check_length(const fm_replay_sum *s)
{
    const fm_dp_lattice *l = s->lattice;
    double square = 0.0;

    for (size_t i = 0; i < s->words; i++) {
        double v = (double)fm_dp_sum_word(l->word_bits, s->sum, i);

        square += v * v;
    }
    if (sqrt(square) <= longest(s) * (1.0 + SLACK))
        return FM_OK;
    return fm_fail(FM_EPROTO,
                   "round %llu: the unmasked sum is longer than max_units records and the noise "
                   "can make it: a node released wrong seeds, or the nodes sum more than "
                   "max_units (%u) records; the model is unchanged",
                   (unsigned long long)s->round, l->max_units);
}

static void read_sum(const void *ctx, size_t at, size_t n, float *out)
{
    const fm_replay_sum *s = ctx;
    const size_t word = fm_dp_sum_word_bytes(s->lattice->word_bits);

    fm_dp_decode_sum(s->lattice, (const uint8_t *)s->sum + at * word, n, out);
}

fm_optim_source fm_replay_source(const fm_replay_sum *s)
{
    return (fm_optim_source){ read_sum, s };
}

fm_status fm_replay_step(const fm_replay_sum *s, fm_optimizer *o)
{
    const fm_optim_source g = fm_replay_source(s);
    fm_status st = fm_replay_check_length(s);

    if (st != FM_OK)
        return st;
    st = fm_optimizer_step_from(o, &g, s->words);
    return st == FM_OK ? st : fm_fail_context(st, "round %llu: ", (unsigned long long)s->round);
}
