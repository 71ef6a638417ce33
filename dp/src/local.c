/* The steps of a round: noised sums, added up in words as they go over the wire. */
#include "fedmoe/dp/local.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/memory.h"
#include "release_internal.h"
#include "shares_internal.h"
#include "sum_internal.h"
#include "words_internal.h"

struct fm_dp_local {
    fm_dp_lattice lattice;
    size_t n;
    uint32_t made;
    uint8_t *bytes;     /* [n] words of the step under way, as they would go over the wire */
    void *step, *total; /* [n] words as fm_dp_sum_word_bytes has them: of that step; of all */
};

static size_t bytes_of(const fm_dp_local *l)
{
    return l->n * fm_dp_word_bytes(l->lattice.word_bits);
}

static size_t words_of(const fm_dp_local *l)
{
    return l->n * fm_dp_sum_word_bytes(l->lattice.word_bits);
}

fm_status fm_dp_local_new(const fm_dp_lattice *lattice, size_t n, fm_dp_local **out)
{
    fm_dp_local *l = NULL;
    void *mem = NULL;
    fm_status st;

    if (!lattice || !out || n < 1 || n > FM_DP_COORDINATES_MAX || !fm_dp_lattice_ok(lattice) ||
        !lattice->local || lattice->steps < 2)
        return fm_fail(FM_EINVAL,
                       "local steps: no lattice of local noise and several steps, or a "
                       "bad size %zu",
                       n);
    if ((st = fm_alloc(1, sizeof *l, &mem)) != FM_OK)
        return st;
    l = mem;
    l->lattice = *lattice;
    l->n = n;
    if ((st = fm_alloc(n, fm_dp_word_bytes(lattice->word_bits), (void **)&l->bytes)) != FM_OK ||
        (st = fm_alloc(n, fm_dp_sum_word_bytes(lattice->word_bits), &l->step)) != FM_OK ||
        (st = fm_alloc(n, fm_dp_sum_word_bytes(lattice->word_bits), &l->total)) != FM_OK)
        fm_dp_local_free(&l);
    else
        *out = l;
    return st;
}

void fm_dp_local_reset(fm_dp_local *l)
{
    if (!l)
        return;
    if (l->bytes)
        sodium_memzero(l->bytes, bytes_of(l));
    if (l->step)
        sodium_memzero(l->step, words_of(l));
    if (l->total)
        sodium_memzero(l->total, words_of(l));
    l->made = 0;
}

void fm_dp_local_free(fm_dp_local **l)
{
    if (!l || !*l)
        return;
    fm_dp_local_reset(*l);
    free((*l)->bytes);
    free((*l)->step);
    free((*l)->total);
    free(*l);
    *l = NULL;
}

static fm_status check_step(const fm_dp_local *l, const fm_dp_sum *sum, const fm_dp_shares *shares)
{
    const fm_dp_lattice *a = &l->lattice, *b = &sum->lattice;

    if (sum->n != l->n || a->unit_sensitivity != b->unit_sensitivity || a->shift != b->shift ||
        a->word_bits != b->word_bits || a->sigma_counted != b->sigma_counted ||
        a->steps != b->steps || a->local != b->local)
        return fm_fail(FM_EINVAL, "local steps: a sum of another lattice or size");
    if (l->made >= a->steps)
        return fm_fail(FM_ESTATE, "local steps: all %u of the round are made", (unsigned)a->steps);
    return fm_dp_release_check_noise(sum, shares,
                                     shares ? fm_dp_shares_get_levels(shares)->participants : 0);
}

/* The words that a release of this sum alone would have before its masks. */
static fm_status noise_sum(fm_dp_local *l, fm_dp_sum *sum, const fm_dp_shares *shares, fm_rng *rng)
{
    uint8_t seed[1][FM_DP_NOISE_SEED_BYTES];
    fm_dp_words w = { .sum = sum,
                      .shares = shares,
                      .levels = shares ? fm_dp_shares_levels(shares) : 0, /* local noise: one */
                      .level_seeds = (const void *)seed };
    fm_status st;

    rng->fill(rng->state, seed[0], sizeof seed[0]);
    w.ties_down = fm_dp_release_coin(&l->lattice, rng);
    st = fm_dp_words_make(&w, l->bytes);
    sodium_memzero(seed, sizeof seed);
    return st;
}

fm_status fm_dp_local_step(fm_dp_local *l, fm_dp_sum *sum, const fm_dp_shares *shares, fm_rng *rng,
                           float *noised)
{
    fm_status st;

    if (!l || !sum || !rng || !noised)
        st = fm_fail(FM_EINVAL, "local steps: missing argument");
    else if ((st = check_step(l, sum, shares)) == FM_OK &&
             (st = noise_sum(l, sum, shares, rng)) == FM_OK) {
        const unsigned bits = l->lattice.word_bits;

        memset(l->step, 0, words_of(l));
        if ((st = fm_dp_sum_words(bits, l->step, l->n, l->bytes, bytes_of(l))) == FM_OK &&
            (st = fm_dp_sum_words(bits, l->total, l->n, l->bytes, bytes_of(l))) == FM_OK) {
            fm_dp_decode_sum(&l->lattice, l->step, l->n, noised);
            l->made++;
        }
    }
    fm_dp_sum_reset(sum);
    return st;
}

fm_status fm_dp_local_release(fm_dp_local *l, const fm_dp_pairs *pairs, const fm_dp_round *round,
                              fm_rng *rng, fm_dp_release **out)
{
    fm_status st;

    if (!l || !pairs || !round || !rng || !out)
        st = fm_fail(FM_EINVAL, "local steps: missing argument");
    else if (l->made != l->lattice.steps)
        st = fm_fail(FM_ESTATE, "local steps: %u of %u are made: an update has all of them",
                     (unsigned)l->made, (unsigned)l->lattice.steps);
    else
        st = fm_dp_release_of_words(&l->lattice, l->total, l->n, pairs, round, rng, out);
    fm_dp_local_reset(l);
    return st;
}
