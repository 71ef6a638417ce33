/* The rounds of an audit: one node alone, whose masks are taken off here. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "audit_internal.h"
#include "fedmoe/base/memory.h"

#define FEDERATION "fedmoe audit"
#define WORD_BITS 32u /* of the lattice: nothing travels */

static const uint32_t ALONE = 0; /* the only index of the roster */

typedef struct {
    const fm_dp_audit_setup *a;
    fm_dp_keypair *key;
    fm_dp_pairs *pairs;
    fm_dp_canaries *canaries;
    uint32_t *sum; /* [coordinates] */
} run;

static fm_status make_pairs(run *r)
{
    uint8_t keys[1][FM_DP_KEY_BYTES];
    fm_dp_roster roster = { .federation = FEDERATION, .members = 1, .self = ALONE };
    fm_status st = fm_dp_keypair_new(&r->key);

    if (st != FM_OK)
        return st;
    memcpy(keys[0], fm_dp_keypair_public(r->key), sizeof keys[0]);
    roster.public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])keys;
    return fm_dp_pairs_new(r->key, &roster, &r->pairs);
}

/* What the aggregator reads of an update once its seed is released. */
static fm_status open_release(run *r, fm_dp_release *release)
{
    size_t n = r->a->coordinates, len = 0;
    const uint8_t *bytes = NULL;
    fm_dp_unmask *unmask = NULL;
    fm_status st;

    memset(r->sum, 0, n * sizeof *r->sum);
    fm_dp_release_bytes(release, &bytes, &len);
    if ((st = fm_dp_sum_words(WORD_BITS, r->sum, n, bytes, len)) == FM_OK &&
        (st = fm_dp_release_unmask(release, &ALONE, 1, &unmask)) == FM_OK)
        st = fm_dp_mask_apply(WORD_BITS, r->sum, n, unmask->self_seed, -1);
    fm_dp_unmask_free(&unmask);
    return st;
}

static fm_status run_round(run *r, uint64_t number)
{
    const fm_dp_round round = { .round = number,
                                .participants = &ALONE,
                                .participant_count = 1,
                                .mask_density = FM_DP_DENSITY_ALL };
    const fm_dp_audit_turn turn = {
        .pairs = r->pairs, .round = &round, .canaries = r->canaries, .rng = r->a->rng
    };
    fm_dp_release *release = NULL;
    fm_status st;

    if ((st = r->a->step(r->a->ctx, &turn, &release)) == FM_OK &&
        (st = open_release(r, release)) == FM_OK) {
        fm_dp_canaries_observe(r->canaries, r->a->lattice, r->sum);
        if (r->a->opened)
            st = r->a->opened(r->a->ctx, number, r->sum);
    }
    fm_dp_release_free(&release);
    return st;
}

static fm_status keep(const run *r, fm_dp_observations *out)
{
    uint32_t m = r->a->canaries;
    fm_dp_observations o;
    fm_status st = fm_dp_observations_new(m, &r->a->claimed, r->a->delta, &o);

    if (st != FM_OK)
        return st;
    memcpy(o.included, fm_dp_canaries_included(r->canaries), m * sizeof *o.included);
    memcpy(o.scores, fm_dp_canaries_scores(r->canaries), m * sizeof *o.scores);
    *out = o;
    return FM_OK;
}

fm_status fm_dp_audit_run(const fm_dp_audit_setup *a, fm_dp_observations *out)
{
    run r = { .a = a };
    fm_status st;

    if (!a || !a->lattice || !a->rng || !a->step || !out)
        return fm_fail(FM_EINVAL, "audit: missing argument");
    if (a->lattice->word_bits != WORD_BITS)
        return fm_fail(FM_EINVAL, "audit: a lattice of %u-bit words; it must be of %u",
                       a->lattice->word_bits, WORD_BITS);
    if ((st = fm_dp_canaries_new(a->canaries, a->coordinates, a->lattice->clip_norm, &a->claimed,
                                 a->rng, &r.canaries)) == FM_OK &&
        (st = fm_alloc(a->coordinates, sizeof *r.sum, (void **)&r.sum)) == FM_OK)
        st = make_pairs(&r);
    for (uint64_t number = 1; st == FM_OK && number <= a->claimed.count; number++)
        st = run_round(&r, number);
    if (st == FM_OK)
        st = keep(&r, out);
    if (r.sum) /* records are in it */
        sodium_memzero(r.sum, a->coordinates * sizeof *r.sum);
    free(r.sum);
    fm_dp_canaries_free(&r.canaries);
    fm_dp_pairs_free(&r.pairs);
    fm_dp_keypair_free(&r.key);
    return st;
}

/* ---- canaries alone ---- */

typedef struct {
    fm_dp_lattice lattice;
    fm_dp_shares *shares;
    fm_dp_sum *sum;
    double sampling_rate;
    void (*progress)(void *ctx, uint64_t done);
    void *ctx;
} alone;

static fm_status step_alone(void *ctx, const fm_dp_audit_turn *turn, fm_dp_release **out)
{
    alone *a = ctx;
    fm_status st;

    fm_dp_sum_reset(a->sum);
    if ((st = fm_dp_canaries_add(turn->canaries, a->sampling_rate, a->sum, turn->rng)) != FM_OK)
        return st;
    return fm_dp_release_make(a->sum, a->shares, turn->pairs, turn->round, turn->rng, out);
}

static fm_status opened_alone(void *ctx, uint64_t round, const uint32_t *sum)
{
    alone *a = ctx;

    (void)sum;
    if (a->progress)
        a->progress(a->ctx, round);
    return FM_OK;
}

static fm_status prepare_alone(alone *a, uint32_t canaries, const fm_dp_mechanism *claimed)
{
    const fm_dp_lattice_spec spec = { .clip_norm = 1.0,
                                      .noise_multiplier = claimed->noise_multiplier,
                                      .max_units = canaries,
                                      .nodes = 1,
                                      .quorum = 1 };
    fm_status st;

    a->sampling_rate = claimed->sampling_rate;
    if ((st = fm_dp_lattice_make(&spec, &a->lattice)) != FM_OK ||
        (st = fm_dp_shares_new(&a->lattice, 1, &a->shares)) != FM_OK)
        return st;
    return fm_dp_sum_new(&a->lattice, canaries, &a->sum);
}

fm_status fm_dp_audit_run_alone(uint32_t canaries, const fm_dp_mechanism *claimed, double delta,
                                fm_rng *rng, void (*progress)(void *ctx, uint64_t done), void *ctx,
                                fm_dp_observations *out)
{
    alone a = { .progress = progress, .ctx = ctx };
    fm_dp_audit_setup setup = { .canaries = canaries,
                                .coordinates = canaries,
                                .lattice = &a.lattice,
                                .delta = delta,
                                .rng = rng,
                                .step = step_alone,
                                .opened = opened_alone,
                                .ctx = &a };
    fm_status st;

    if (!claimed || !rng || !out)
        return fm_fail(FM_EINVAL, "audit: missing argument");
    setup.claimed = *claimed;
    if ((st = fm_dp_observations_check(
             &(fm_dp_observations){ .canaries = canaries, .mechanism = *claimed })) == FM_OK &&
        (st = prepare_alone(&a, canaries, claimed)) == FM_OK)
        st = fm_dp_audit_run(&setup, out);
    fm_dp_sum_free(&a.sum);
    fm_dp_shares_free(&a.shares);
    return st;
}
