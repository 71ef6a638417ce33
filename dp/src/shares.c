#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "fedmoe/base/memory.h"
#include "mask_internal.h"
#include "shares_internal.h"

/* docs/privacy.md, section 3: of the level that is below the rounding, and of all others. */
#define MIN_FIRST 10.0
#define MIN_FURTHER FM_DP_MIN_SIGMA
/*
 * More than the roundings in level_sigma can lose: no level is narrower than it should be. They
 * are single operations of IEEE 754, none to be fused: nodes and aggregator get the same bits.
 */
#define NOT_BELOW (1.0 + 0x1p-50)
#define NOBODY 0u
#define PIECE 2048u /* coordinates; whole groups of the sampler */

_Static_assert(PIECE % FM_GAUSS_GROUP == 0, "only the last piece may end within a group");

struct fm_dp_shares {
    fm_dp_lattice lattice;
    fm_dp_levels levels;
    fm_dp_gaussian *noise[FM_DP_LEVELS_MAX]; /* [levels.count] */
};

/*
 * Std of what turns a share that is made for `before` honest survivors into one for `after`,
 * after < before: sigma^2 / after - sigma^2 / before. All of it with before = NOBODY.
 */
static double level_sigma(double sigma, uint32_t before, uint32_t after)
{
    double part = before == NOBODY ? 1.0 / (double)after
                                   : (double)(before - after) / ((double)before * (double)after);

    return sigma * sqrt(part) * NOT_BELOW;
}

/* The honest nodes among the survivors when so many are lost: at least this many. */
static uint32_t honest(const fm_dp_lattice *lattice, uint32_t participants, uint32_t lost)
{
    return participants - lost - lattice->colluders;
}

/* The first losses >= from, up to last, with a level that will do; last + 1 when there are none. */
static uint32_t first_wide_enough(const fm_dp_lattice *lattice, uint32_t participants,
                                  uint32_t before, uint32_t from, uint32_t last)
{
    const double least = before == NOBODY ? MIN_FIRST : MIN_FURTHER;

    while (from <= last &&
           level_sigma(lattice->sigma_counted, before, honest(lattice, participants, from)) < least)
        from++;
    return from;
}

static void put_level(const fm_dp_lattice *lattice, fm_dp_levels *l, uint32_t at, uint32_t losses)
{
    uint32_t n = l->participants;
    uint32_t before = at > 0 ? honest(lattice, n, l->losses[at - 1]) : NOBODY;

    l->losses[at] = losses;
    l->sigma[at] = level_sigma(lattice->sigma_counted, before, honest(lattice, n, losses));
    l->count = at + 1;
}

static void add_levels(const fm_dp_lattice *lattice, fm_dp_levels *l)
{
    uint32_t n = l->participants, last = n - l->quorum, before = NOBODY, next = 0;

    for (;;) {
        uint32_t losses = first_wide_enough(lattice, n, before, next, last);

        if (losses > last) { /* what is left would be too narrow: the level before takes it in.
                                There is one: sigma_share is wide enough */
            put_level(lattice, l, l->count - 1, last);
            return;
        }
        put_level(lattice, l, l->count, losses);
        if (losses == last)
            return;
        before = honest(lattice, n, losses);
        next = losses + (before + FM_DP_EXACT_NODES - 1) / FM_DP_EXACT_NODES;
        next = next < last ? next : last;
    }
}

/* Each node's noise is the counted one, whoever else is lost. */
static void put_local(const fm_dp_lattice *lattice, fm_dp_levels *l)
{
    l->losses[0] = l->participants - l->quorum;
    l->sigma[0] = level_sigma(lattice->sigma_counted, NOBODY, 1);
    l->count = 1;
}

fm_dp_levels fm_dp_levels_of(const fm_dp_lattice *lattice, uint32_t participants)
{
    fm_dp_levels l = { .participants = participants, .quorum = lattice->quorum };

    if (lattice->sigma_counted == 0.0)
        return l;
    if (lattice->local)
        put_local(lattice, &l);
    else
        add_levels(lattice, &l);
    return l;
}

uint32_t fm_dp_levels_kept(const fm_dp_levels *l, uint32_t survivors)
{
    uint32_t lost = l->participants - survivors, kept = 0;

    if (l->count == 0)
        return 0;
    while (l->losses[kept] < lost) /* the last one's are participants - quorum */
        kept++;
    return kept + 1;
}

fm_status fm_dp_shares_new(const fm_dp_lattice *lattice, uint32_t participants, fm_dp_shares **out)
{
    fm_dp_shares *s = NULL;
    void *mem = NULL;
    fm_status st;

    if (!lattice || !out)
        return fm_fail(FM_EINVAL, "noise shares: missing argument");
    if (participants < lattice->quorum || participants > lattice->nodes ||
        participants > FM_DP_MAX_MEMBERS)
        return fm_fail(FM_EINVAL,
                       "noise shares: a round of %u participants; the plan has a quorum of %u and "
                       "at most %u nodes",
                       (unsigned)participants, (unsigned)lattice->quorum, (unsigned)lattice->nodes);
    if ((st = fm_alloc(1, sizeof *s, &mem)) != FM_OK)
        return st;
    s = mem;
    s->lattice = *lattice;
    s->levels = fm_dp_levels_of(lattice, participants);
    for (uint32_t i = 0; st == FM_OK && i < s->levels.count; i++)
        st = fm_dp_gaussian_new(i == 0 ? ldexp(s->levels.sigma[0], (int)lattice->shift)
                                       : s->levels.sigma[i],
                                &s->noise[i]);
    if (st != FM_OK)
        fm_dp_shares_free(&s);
    else
        *out = s;
    return st;
}

void fm_dp_shares_free(fm_dp_shares **s)
{
    if (!s || !*s)
        return;
    for (uint32_t i = 0; i < (*s)->levels.count; i++)
        fm_dp_gaussian_free(&(*s)->noise[i]);
    free(*s);
    *s = NULL;
}

bool fm_dp_shares_serve(const fm_dp_shares *s, const fm_dp_lattice *lattice, uint32_t participants)
{
    const fm_dp_lattice *own = &s->lattice;

    return own->sigma_counted == lattice->sigma_counted && own->quorum == lattice->quorum &&
           own->nodes == lattice->nodes && own->colluders == lattice->colluders &&
           own->local == lattice->local && own->shift == lattice->shift &&
           own->word_bits == lattice->word_bits && s->levels.participants == participants;
}

fm_status fm_dp_shares_fit(fm_dp_shares **s, const fm_dp_lattice *lattice, uint32_t participants)
{
    if (!s || !lattice)
        return fm_fail(FM_EINVAL, "noise shares: missing argument");
    if (*s && fm_dp_shares_serve(*s, lattice, participants))
        return FM_OK;
    fm_dp_shares_free(s);
    return fm_dp_shares_new(lattice, participants, s);
}

uint32_t fm_dp_shares_levels(const fm_dp_shares *s)
{
    return s->levels.count;
}

uint32_t fm_dp_shares_surplus(const fm_dp_shares *s, uint32_t survivors)
{
    return s->levels.count - fm_dp_levels_kept(&s->levels, survivors);
}

double fm_dp_shares_sigma(const fm_dp_shares *s, uint32_t survivors)
{
    uint32_t kept = fm_dp_levels_kept(&s->levels, survivors);
    double square = 0.0;

    for (uint32_t i = 0; i < kept; i++)
        square += s->levels.sigma[i] * s->levels.sigma[i];
    return sqrt(square);
}

const fm_dp_levels *fm_dp_shares_get_levels(const fm_dp_shares *s)
{
    return &s->levels;
}

fm_status fm_dp_shares_expand(const fm_dp_shares *s, uint32_t level,
                              const uint8_t seed[FM_DP_NOISE_SEED_BYTES], int32_t *out, size_t n)
{
    return fm_dp_gaussian_expand(s->noise[level], seed, out, n);
}

fm_status fm_dp_shares_begin(const fm_dp_shares *s, uint32_t level,
                             const uint8_t seed[FM_DP_NOISE_SEED_BYTES], fm_gauss_run *out)
{
    return fm_gauss_run_begin(out, s->noise[level], fm_gauss_best_path(), seed);
}

static void subtract_piece(unsigned word_bits, void *sum, size_t at, const int32_t *noise, size_t n)
{
    uint32_t *wide = sum;
    uint16_t *narrow = sum;

    if (word_bits == 16)
        for (size_t i = 0; i < n; i++)
            narrow[at + i] = (uint16_t)(narrow[at + i] - (uint32_t)noise[i]);
    else
        for (size_t i = 0; i < n; i++)
            wide[at + i] -= (uint32_t)noise[i];
}

/* In pieces that stay in the first-level cache. */
static fm_status subtract_level(const fm_dp_shares *s, uint32_t level,
                                const uint8_t seed[FM_DP_NOISE_SEED_BYTES], void *sum, size_t n)
{
    int32_t noise[PIECE];
    fm_gauss_run run;
    fm_status st = fm_dp_shares_begin(s, level, seed, &run);

    for (size_t at = 0; st == FM_OK && at < n; at += PIECE) {
        size_t count = n - at < PIECE ? n - at : PIECE;

        if ((st = fm_gauss_run_next(&run, noise, NULL, count)) == FM_OK)
            subtract_piece(s->lattice.word_bits, sum, at, noise, count);
    }
    fm_gauss_run_end(&run);
    return st;
}

fm_status fm_dp_shares_subtract(const fm_dp_shares *s, uint32_t survivors,
                                const uint8_t (*seeds)[FM_DP_NOISE_SEED_BYTES], uint32_t count,
                                void *sum, size_t n)
{
    uint32_t kept;
    fm_status st = FM_OK;

    if (!s || (!seeds && count > 0) || !sum)
        return fm_fail(FM_EINVAL, "surplus noise: missing argument");
    if (survivors < s->levels.quorum || survivors > s->levels.participants)
        return fm_fail(FM_EINVAL, "surplus noise: %u survivors of %u participants",
                       (unsigned)survivors, (unsigned)s->levels.participants);
    kept = fm_dp_levels_kept(&s->levels, survivors);
    if (count != s->levels.count - kept)
        return fm_fail(FM_EPROTO, "surplus noise: %u seeds, and %u were expected", (unsigned)count,
                       (unsigned)(s->levels.count - kept));
    for (uint32_t i = 0; st == FM_OK && i < count; i++)
        st = subtract_level(s, kept + i, seeds[i], sum, n);
    return st;
}
