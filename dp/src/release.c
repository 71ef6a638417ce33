#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/memory.h"
#include "mask_internal.h"
#include "release_internal.h"
#include "shares_internal.h"
#include "sum_internal.h"
#include "words_internal.h"

#define UPDATE_LABEL "fedmoe update v1"

/* What unmasks: in guarded memory, wiped at the first disclosure. */
typedef struct {
    uint8_t self_seed[FM_DP_KEY_BYTES];
    uint8_t pair_seeds[FM_DP_MAX_MEMBERS][FM_DP_KEY_BYTES]; /* as participants; own is zero */
    uint8_t level_seeds[FM_DP_LEVELS_MAX][FM_DP_NOISE_SEED_BYTES];
} seeds;

struct fm_dp_release {
    size_t n;
    uint8_t *words; /* [bytes]; once made, the masked words */
    size_t bytes;
    int32_t *noise; /* [levels.count, n], tests only, else NULL */
    fm_dp_levels levels;
    seeds *secret;
    bool disclosed;
    bool ties_down;
    uint32_t masks; /* that were computed; tests only, else 0 */
    uint32_t self;
    uint32_t participant_count; /* those that share masks: with groups, the group */
    uint32_t participants[FM_DP_MAX_MEMBERS];
};

static atomic_int g_keep_noise;

void fm_dp_release_keep_noise_for_tests(int keep)
{
    atomic_store(&g_keep_noise, keep);
}

const int32_t *fm_dp_release_noise_for_tests(const fm_dp_release *r, uint32_t level)
{
    return r->noise && level < r->levels.count ? r->noise + level * r->n : NULL;
}

bool fm_dp_release_ties_down_for_tests(const fm_dp_release *r)
{
    return r->ties_down;
}

uint32_t fm_dp_release_masks_for_tests(const fm_dp_release *r)
{
    return r->masks;
}

/* Strictly increasing indices below `members`, `self` among them. */
static bool is_index_set(const uint32_t *set, uint32_t count, uint32_t members, uint32_t self)
{
    bool found = false;

    for (uint32_t i = 0; i < count; i++) {
        if (set[i] >= members || (i > 0 && set[i] <= set[i - 1]))
            return false;
        found = found || set[i] == self;
    }
    return found;
}

fm_status fm_dp_release_check_noise(const fm_dp_sum *sum, const fm_dp_shares *shares,
                                    uint32_t participants)
{
    if (sum->open)
        return fm_fail(FM_EINVAL, "release: a batch of the sum is open");
    /* Written so that a NaN is refused. */
    if (shares ? !fm_dp_shares_serve(shares, &sum->lattice, participants)
               : !(sum->lattice.sigma_counted == 0.0))
        return fm_fail(FM_EINVAL, "release: the noise is not that of the lattice and of the "
                                  "number of participants");
    return FM_OK;
}

/* Who shares masks. */
static const uint32_t *sharing(const fm_dp_round *round, uint32_t *count)
{
    *count = round->group ? round->group_count : round->participant_count;
    return round->group ? round->group : round->participants;
}

static bool is_within(const uint32_t *part, uint32_t count, const uint32_t *whole, uint32_t size)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < size && at < count; i++)
        at += part[at] == whole[i];
    return at == count;
}

static fm_status check_round(const fm_dp_pairs *pairs, const fm_dp_round *round)
{
    if (!round->participants || round->participant_count < 1 ||
        round->participant_count > FM_DP_MAX_MEMBERS ||
        !is_index_set(round->participants, round->participant_count, fm_dp_pairs_members(pairs),
                      fm_dp_pairs_self(pairs)))
        return fm_fail(FM_EINVAL, "release: participants must be increasing indices of the roster "
                                  "with the own one among them");
    if (round->mask_density < 1 || round->mask_density > FM_DP_DENSITY_ALL)
        return fm_fail(FM_EINVAL, "release: a mask density of %u, must be 1 to %u",
                       (unsigned)round->mask_density, FM_DP_DENSITY_ALL);
    if (round->group && (round->group_count < 1 || round->group_count > round->participant_count ||
                         !is_index_set(round->group, round->group_count, fm_dp_pairs_members(pairs),
                                       fm_dp_pairs_self(pairs)) ||
                         !is_within(round->group, round->group_count, round->participants,
                                    round->participant_count)))
        return fm_fail(FM_EINVAL, "release: the group must be increasing participants with the own "
                                  "index among them");
    return FM_OK;
}

static fm_status check_make(const fm_dp_sum *sum, const fm_dp_shares *shares,
                            const fm_dp_pairs *pairs, const fm_dp_round *round)
{
    fm_status st = check_round(pairs, round);

    if (st == FM_OK && sum->lattice.steps > 1)
        return fm_fail(FM_EINVAL, "release: an update of this plan is the sum of %u local steps",
                       (unsigned)sum->lattice.steps);
    if (st != FM_OK)
        return st;
    return fm_dp_release_check_noise(sum, shares,
                                     round->group ? round->group_count : round->participant_count);
}

static fm_status release_new(const fm_dp_lattice *lattice, size_t n, const fm_dp_levels *levels,
                             const fm_dp_pairs *pairs, const fm_dp_round *round,
                             fm_dp_release **out)
{
    fm_dp_release *r = NULL;
    const uint32_t *among;
    void *mem = NULL;
    fm_status st;

    if ((st = fm_alloc(1, sizeof *r, &mem)) != FM_OK)
        return st;
    r = mem;
    r->n = n;
    if (levels)
        r->levels = *levels;
    r->self = fm_dp_pairs_self(pairs);
    among = sharing(round, &r->participant_count);
    memcpy(r->participants, among, r->participant_count * sizeof *among);
    r->bytes = r->n * fm_dp_word_bytes(lattice->word_bits);
    if ((st = fm_alloc_whole(r->bytes, 1, &mem)) != FM_OK)
        goto done;
    r->words = mem;
    if (atomic_load(&g_keep_noise) && r->levels.count > 0) {
        if ((st = fm_alloc(r->n, r->levels.count * sizeof *r->noise, &mem)) != FM_OK)
            goto done;
        r->noise = mem;
    }
    if (!(r->secret = sodium_malloc(sizeof *r->secret))) {
        st = fm_fail(FM_ENOMEM, "release: no guarded memory left");
        goto done;
    }
    memset(r->secret, 0, sizeof *r->secret);
    *out = r;
    r = NULL;
done:
    fm_dp_release_free(&r);
    return st;
}

void fm_dp_release_free(fm_dp_release **r)
{
    if (!r || !*r)
        return;
    sodium_free((*r)->secret);
    if ((*r)->words) /* masked once made; after a failure perhaps not */
        sodium_memzero((*r)->words, (*r)->bytes);
    free((*r)->words);
    if ((*r)->noise)
        sodium_memzero((*r)->noise, (*r)->levels.count * (*r)->n * sizeof *(*r)->noise);
    free((*r)->noise);
    free(*r);
    *r = NULL;
}

bool fm_dp_release_coin(const fm_dp_lattice *lattice, fm_rng *rng)
{
    uint8_t byte = 0;

    if (lattice->shift == 0)
        return false;
    rng->fill(rng->state, &byte, sizeof byte);
    return byte & 1;
}

static void draw_levels(fm_dp_release *r, fm_rng *rng)
{
    for (uint32_t l = 0; l < r->levels.count; l++)
        rng->fill(rng->state, r->secret->level_seeds[l], FM_DP_NOISE_SEED_BYTES);
}

/* Fresh seeds: of the own mask, and of those with the others. */
static fm_status draw_masks(fm_dp_release *r, const fm_dp_pairs *pairs, const fm_dp_round *round,
                            fm_rng *rng)
{
    fm_hash context = fm_dp_round_context(round);
    fm_status st = FM_OK;

    rng->fill(rng->state, r->secret->self_seed, sizeof r->secret->self_seed);
    for (uint32_t i = 0; st == FM_OK && i < r->participant_count; i++)
        if (r->participants[i] != r->self)
            st = fm_dp_mask_seed(fm_dp_pairs_secret(pairs, r->participants[i]), &context,
                                 r->secret->pair_seeds[i]);
    return st;
}

/*
 * The self mask, one for each edge, and some that count for nothing, so that the time says hardly
 * anything of the number of edges. Which pairs are edges is a secret until the release; from here on it
 * is in this machine's addresses.
 */
static uint32_t list_masks(const fm_dp_release *r, uint32_t density, const uint8_t **masks,
                           int8_t *signs)
{
    const uint32_t work = 1 + fm_dp_mask_work(r->participant_count - 1, density);
    uint32_t count = 0;

    for (uint32_t i = 0; i < r->participant_count; i++) {
        bool own = r->participants[i] == r->self;

        masks[count] = own ? r->secret->self_seed : r->secret->pair_seeds[i];
        signs[count] = own ? 1 : (int8_t)fm_dp_mask_sign(r->self, r->participants[i]);
        count += own ? 1 : fm_dp_mask_edge(r->secret->pair_seeds[i], density);
    }
    for (; count < work; count++) {
        masks[count] = r->secret->self_seed;
        signs[count] = 0;
    }
    return count;
}

static fm_status fill_words(fm_dp_release *r, fm_dp_sum *sum, const fm_dp_shares *shares,
                            uint32_t density)
{
    const uint8_t *masks[FM_DP_MAX_MEMBERS];
    int8_t signs[FM_DP_MAX_MEMBERS];
    fm_dp_words w = { .sum = sum,
                      .shares = shares,
                      .levels = r->levels.count,
                      .level_seeds =
                          (const uint8_t(*)[FM_DP_NOISE_SEED_BYTES])r->secret->level_seeds,
                      .mask_seeds = masks,
                      .signs = signs,
                      .ties_down = r->ties_down,
                      .kept = r->noise };
    fm_status st;

    w.masks = list_masks(r, density, masks, signs);
    if (atomic_load(&g_keep_noise))
        r->masks = w.masks;
    st = fm_dp_words_make(&w, r->words);
    /* They tell who shares a mask, and how many do. */
    sodium_memzero(masks, sizeof masks);
    sodium_memzero(signs, sizeof signs);
    sodium_memzero(&w, sizeof w);
    return st;
}

fm_status fm_dp_release_make(fm_dp_sum *sum, const fm_dp_shares *shares, const fm_dp_pairs *pairs,
                             const fm_dp_round *round, fm_rng *rng, fm_dp_release **out)
{
    fm_dp_release *r = NULL;
    fm_status st;

    if (!sum || !pairs || !round || !rng || !out) {
        st = fm_fail(FM_EINVAL, "release: missing argument");
        goto done;
    }
    if ((st = check_make(sum, shares, pairs, round)) != FM_OK ||
        (st = release_new(&sum->lattice, sum->n, shares ? fm_dp_shares_get_levels(shares) : NULL,
                          pairs, round, &r)) != FM_OK)
        goto done;
    draw_levels(r, rng);
    if ((st = draw_masks(r, pairs, round, rng)) != FM_OK)
        goto done;
    r->ties_down = fm_dp_release_coin(&sum->lattice, rng);
    if ((st = fill_words(r, sum, shares, round->mask_density)) != FM_OK)
        goto done;
    *out = r;
    r = NULL;
done:
    fm_dp_release_free(&r);
    fm_dp_sum_reset(sum);
    return st;
}

/* Mask by mask; what counts for nothing is computed all the same, into `spare`. */
static fm_status mask_words(const fm_dp_release *r, unsigned bits, uint32_t density, void *words,
                            void *spare)
{
    const uint8_t *masks[FM_DP_MAX_MEMBERS];
    int8_t signs[FM_DP_MAX_MEMBERS];
    const uint32_t count = list_masks(r, density, masks, signs);
    fm_status st = FM_OK;

    for (uint32_t i = 0; st == FM_OK && i < count; i++)
        st = fm_dp_mask_apply(bits, signs[i] ? words : spare, r->n, masks[i],
                              signs[i] ? signs[i] : 1);
    sodium_memzero(masks, sizeof masks);
    sodium_memzero(signs, sizeof signs);
    return st;
}

static void words_to_bytes(unsigned bits, const void *words, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t w = (uint32_t)fm_dp_sum_word(bits, words, i);

        for (size_t b = 0; b < fm_dp_word_bytes(bits); b++)
            *out++ = (uint8_t)(w >> 8 * b);
    }
}

fm_status fm_dp_release_of_words(const fm_dp_lattice *lattice, void *words, size_t n,
                                 const fm_dp_pairs *pairs, const fm_dp_round *round, fm_rng *rng,
                                 fm_dp_release **out)
{
    const unsigned bits = lattice->word_bits;
    fm_dp_levels levels;
    fm_dp_release *r = NULL;
    void *spare = NULL;
    fm_status st = check_round(pairs, round);

    if (st != FM_OK)
        return st;
    if (round->participant_count < lattice->quorum || round->participant_count > lattice->nodes)
        return fm_fail(FM_EINVAL,
                       "release: a round of %u participants; the plan has a quorum of "
                       "%u and at most %u nodes",
                       (unsigned)round->participant_count, (unsigned)lattice->quorum,
                       (unsigned)lattice->nodes);
    levels = fm_dp_levels_of(lattice, round->participant_count);
    if ((st = release_new(lattice, n, &levels, pairs, round, &r)) != FM_OK ||
        (st = draw_masks(r, pairs, round, rng)) != FM_OK ||
        (st = fm_alloc(n, fm_dp_sum_word_bytes(bits), &spare)) != FM_OK ||
        (st = mask_words(r, bits, round->mask_density, words, spare)) != FM_OK)
        goto done;
    words_to_bytes(bits, words, n, r->words);
    *out = r;
    r = NULL;
done:
    free(spare);
    fm_dp_release_free(&r);
    return st;
}

fm_status fm_dp_sum_open_pieces(fm_dp_sum *sum, const fm_dp_shares *shares, fm_rng *rng,
                                fm_dp_take *take, void *ctx)
{
    uint8_t seed[1][FM_DP_NOISE_SEED_BYTES];
    fm_dp_words w = { .sum = sum,
                      .shares = shares,
                      .level_seeds = (const void *)seed,
                      .take = take,
                      .take_ctx = ctx };
    fm_status st;

    if (!sum || !rng || !take) {
        st = fm_fail(FM_EINVAL, "opening a sum: missing argument");
        goto done;
    }
    if (sum->lattice.nodes != 1) {
        st = fm_fail(FM_EINVAL,
                     "opening a sum: it is of a plan for %u nodes, and leaves as a "
                     "masked release only",
                     (unsigned)sum->lattice.nodes);
        goto done;
    }
    if ((st = fm_dp_release_check_noise(sum, shares, 1)) != FM_OK)
        goto done;
    w.levels = shares ? fm_dp_shares_levels(shares) : 0; /* of one node: one */
    rng->fill(rng->state, seed[0], sizeof seed[0]);
    w.ties_down = fm_dp_release_coin(&sum->lattice, rng);
    st = fm_dp_words_make(&w, NULL);
    sodium_memzero(seed, sizeof seed);
done:
    fm_dp_sum_reset(sum);
    return st;
}

typedef struct {
    float *out;
    size_t count; /* that were taken */
} kept;

static void keep_piece(void *ctx, size_t at, const float *piece, size_t n)
{
    kept *k = ctx;

    memcpy(k->out + at, piece, n * sizeof *piece);
    k->count = at + n;
}

fm_status fm_dp_sum_open_alone(fm_dp_sum *sum, const fm_dp_shares *shares, fm_rng *rng, float *out)
{
    kept k = { .out = out };
    fm_status st = fm_dp_sum_open_pieces(sum, shares, rng, out ? keep_piece : NULL, &k);

    if (st != FM_OK && k.count > 0)
        sodium_memzero(out, k.count * sizeof *out);
    return st;
}

void fm_dp_release_bytes(const fm_dp_release *r, const uint8_t **bytes, size_t *len)
{
    *bytes = r->words;
    *len = r->bytes;
}

fm_hash fm_dp_release_hash(const fm_dp_release *r)
{
    return fm_hash_of(UPDATE_LABEL, r->words, r->bytes);
}

/* The levels that are not needed with so many survivors. */
static void disclose_surplus(const fm_dp_release *r, uint32_t survivors, fm_dp_unmask *u)
{
    for (uint32_t l = fm_dp_levels_kept(&r->levels, survivors); l < r->levels.count; l++)
        memcpy(u->surplus_seeds[u->surplus_count++], r->secret->level_seeds[l],
               FM_DP_NOISE_SEED_BYTES);
}

/* Both sets are increasing, and the survivors were found to be a subset. */
static void disclose(const fm_dp_release *r, const uint32_t *survivors, uint32_t count,
                     fm_dp_unmask *u)
{
    uint32_t at = 0;

    memcpy(u->self_seed, r->secret->self_seed, sizeof u->self_seed);
    for (uint32_t i = 0; i < r->participant_count; i++) {
        if (at < count && survivors[at] == r->participants[i]) {
            at++;
            continue;
        }
        u->lost[u->lost_count] = r->participants[i];
        memcpy(u->pair_seeds[u->lost_count], r->secret->pair_seeds[i], FM_DP_KEY_BYTES);
        u->lost_count++;
    }
    disclose_surplus(r, count, u);
}

fm_status fm_dp_release_unmask(fm_dp_release *r, const uint32_t *survivors, uint32_t survivor_count,
                               fm_dp_unmask **out)
{
    fm_dp_unmask *u;

    if (!r || !survivors || !out)
        return fm_fail(FM_EINVAL, "unmask: missing argument");
    if (r->disclosed)
        return fm_fail(FM_EREPLAY, "unmask: this release was disclosed already");
    if (survivor_count > r->participant_count ||
        !is_index_set(survivors, survivor_count, FM_DP_MAX_MEMBERS, r->self) ||
        !is_within(survivors, survivor_count, r->participants, r->participant_count))
        return fm_fail(FM_EINVAL, "unmask: survivors must be increasing participants with the own "
                                  "index among them");
    if (r->levels.count > 0 && survivor_count < r->levels.quorum)
        return fm_fail(FM_EINVAL, "unmask: %u survivors; the noise is made for at least %u",
                       (unsigned)survivor_count, (unsigned)r->levels.quorum);
    if (!(u = sodium_malloc(sizeof *u)))
        return fm_fail(FM_ENOMEM, "unmask: no guarded memory left");
    memset(u, 0, sizeof *u);
    disclose(r, survivors, survivor_count, u);
    r->disclosed = true;
    sodium_memzero(r->secret, sizeof *r->secret);
    *out = u;
    return FM_OK;
}

void fm_dp_unmask_free(fm_dp_unmask **u)
{
    if (!u)
        return;
    sodium_free(*u); /* wipes */
    *u = NULL;
}
