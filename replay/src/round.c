#include "fedmoe/replay/round.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/dp/mask.h"
#include "fedmoe/optim/robust.h"
#include "sum_internal.h"

typedef struct {
    fm_replay_sum sum;    /* sum.sum owned */
    fm_dp_shares *shares; /* owned: of its number of participants */
} group;

struct fm_replay_round {
    const fm_plan *plan;
    fm_dp_lattice lattice;
    fm_groups drawn;
    group of[FM_MAX_GROUPS];
    uint32_t participants[FM_MAX_NODES], survivors[FM_MAX_NODES];
    uint32_t participant_count, survivor_count;
};

static group *group_of(fm_replay_round *r, uint32_t index)
{
    return index < FM_MAX_NODES && r->drawn.of[index] < r->drawn.count ? &r->of[r->drawn.of[index]]
                                                                       : NULL;
}

static size_t sum_bytes(const fm_replay_round *r)
{
    return fm_plan_update_words(r->plan) * fm_dp_sum_word_bytes(r->lattice.word_bits);
}

fm_status fm_replay_round_new(const fm_plan *plan, fm_replay_round **out)
{
    fm_replay_round *r = NULL;
    fm_dp_lattice_spec spec;
    void *p = NULL;
    fm_status st;

    if (!plan || !out)
        return fm_fail(FM_EINVAL, "round: no plan");
    spec = fm_replay_lattice_spec(plan);
    if ((st = fm_alloc(1, sizeof *r, &p)) != FM_OK)
        return st;
    r = p;
    r->plan = plan;
    if ((st = fm_dp_lattice_make(&spec, &r->lattice)) != FM_OK)
        goto done;
    for (uint32_t i = 0; i < fm_plan_groups(plan); i++) {
        if ((st = fm_alloc(sum_bytes(r), 1, &p)) != FM_OK)
            goto done;
        r->of[i].sum = (fm_replay_sum){ .lattice = &r->lattice,
                                        .mask_density = plan->mask_density,
                                        .sum = p,
                                        .words = fm_plan_update_words(plan) };
    }
    *out = r;
    r = NULL;
done:
    fm_replay_round_free(&r);
    return st;
}

void fm_replay_round_free(fm_replay_round **r)
{
    if (!r || !*r)
        return;
    for (uint32_t i = 0; i < FM_MAX_GROUPS; i++) {
        free((*r)->of[i].sum.sum);
        fm_dp_shares_free(&(*r)->of[i].shares);
    }
    free(*r);
    *r = NULL;
}

const fm_dp_lattice *fm_replay_round_lattice(const fm_replay_round *r)
{
    return &r->lattice;
}

const fm_groups *fm_replay_round_groups(const fm_replay_round *r)
{
    return &r->drawn;
}

fm_status fm_replay_round_begin(fm_replay_round *r, const fm_round_view *view)
{
    fm_status st = fm_groups_draw(r->plan, view, &r->drawn);

    for (uint32_t i = 0; st == FM_OK && i < r->drawn.count; i++) {
        st = fm_dp_shares_fit(&r->of[i].shares, &r->lattice, r->drawn.sizes[i]);
        r->of[i].sum.shares = r->of[i].shares;
        r->of[i].sum.round = view->round;
    }
    if (st != FM_OK)
        return st;
    memcpy(r->participants, view->participants,
           view->participant_count * sizeof *view->participants);
    r->participant_count = view->participant_count;
    r->survivor_count = 0;
    return FM_OK;
}

void fm_replay_round_clear(fm_replay_round *r)
{
    for (uint32_t i = 0; i < fm_plan_groups(r->plan); i++)
        memset(r->of[i].sum.sum, 0, sum_bytes(r));
}

fm_status fm_replay_round_add(fm_replay_round *r, uint32_t index, size_t at, const uint8_t *bytes,
                              size_t len)
{
    const group *g = group_of(r, index);
    const unsigned bits = r->lattice.word_bits;

    if (!g)
        return fm_fail(FM_EINVAL, "round: an update of %u, who is no participant", index);
    return fm_dp_sum_piece(bits, g->sum.sum, g->sum.words, at, bytes, len);
}

fm_status fm_replay_round_survive(fm_replay_round *r, const uint32_t *survivors, uint32_t count)
{
    if (count < r->plan->quorum || count > r->participant_count)
        return fm_fail(FM_EPERM, "%u survivors; the plan demands %u", count, r->plan->quorum);
    for (uint32_t i = 0; i < fm_plan_groups(r->plan); i++)
        r->of[i].sum.survivors = 0;
    for (uint32_t i = 0; i < count; i++) {
        group *g = group_of(r, survivors[i]);

        if (!g)
            return fm_fail(FM_EINVAL, "round: survivor %u is no participant", survivors[i]);
        g->sum.survivors++;
    }
    memcpy(r->survivors, survivors, count * sizeof *survivors);
    r->survivor_count = count;
    return fm_groups_check(&r->drawn, r->plan, survivors, count);
}

uint32_t fm_replay_round_lost(const fm_replay_round *r, uint32_t index, uint32_t *lost)
{
    const uint32_t own = index < FM_MAX_NODES ? r->drawn.of[index] : FM_NO_GROUP;
    uint32_t count = 0, s = 0;

    for (uint32_t i = 0; i < r->participant_count; i++) {
        const uint32_t at = r->participants[i];

        if (s < r->survivor_count && r->survivors[s] == at)
            s++;
        else if (r->drawn.of[at] == own)
            lost[count++] = at;
    }
    return count;
}

uint32_t fm_replay_round_surplus(const fm_replay_round *r, uint32_t index)
{
    const group *g = &r->of[r->drawn.of[index]];

    return fm_dp_shares_surplus(g->shares, g->sum.survivors);
}

fm_status fm_replay_round_unmask(fm_replay_round *r, uint32_t index, const fm_msg_release *release)
{
    const group *g = group_of(r, index);

    if (!g)
        return fm_fail(FM_EINVAL, "round: a release of %u, who is no participant", index);
    return fm_replay_unmask(&g->sum, index, release);
}

/* ---- the step ---- */

/* What noise alone is long on average; without noise, a unit. */
static double noise_length(const fm_replay_sum *s)
{
    const double sigma = sqrt((double)s->survivors) * fm_dp_shares_sigma(s->shares, s->survivors);

    return (sigma > 0.0 ? sigma * sqrt((double)s->words) : s->lattice->sensitivity) /
           s->lattice->scale;
}

static double middle(const double *x, uint32_t n)
{
    double sorted[FM_MAX_GROUPS];

    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = i;

        for (; j > 0 && sorted[j - 1] > x[i]; j--)
            sorted[j] = sorted[j - 1];
        sorted[j] = x[i];
    }
    return sorted[(n - 1) / 2];
}

static void tell_outliers(const fm_replay_round *r, const fm_robust *mean, const bool *too_long,
                          fm_replay_outliers *out)
{
    double between;

    *out = (fm_replay_outliers){ .groups = r->drawn.count };
    for (uint32_t i = 0; i < out->groups; i++)
        out->distance[i] = mean->distances[i] / noise_length(&r->of[i].sum);
    between = middle(out->distance, out->groups);
    for (uint32_t i = 0; i < out->groups; i++) {
        out->too_long[i] = too_long[i];
        out->outlying[i] = too_long[i] || out->distance[i] > FM_REPLAY_OUTLYING * between;
    }
}

/* A group that is too long holds something that no honest node sends. It is left where it is, one of
 * those that the mean is there to bear; more than that are refused, as one sum is. */
static fm_status check_lengths(const fm_replay_round *r, bool *too_long)
{
    const uint32_t most = fm_plan_groups_spoiled(r->plan);
    uint32_t count = 0;
    fm_status st = FM_OK;

    for (uint32_t i = 0; i < r->drawn.count; i++) {
        too_long[i] = fm_replay_check_length(&r->of[i].sum) != FM_OK;
        count += too_long[i];
    }
    if (count > most)
        st = fm_fail_context(FM_EPROTO, "%u of %u groups, and the plan bears %u: ", count,
                             r->drawn.count, most);
    return st;
}

static fm_status step_groups(fm_replay_round *r, fm_optimizer *o, fm_replay_outliers *out)
{
    fm_optim_source sums[FM_MAX_GROUPS], center = { fm_robust_read, NULL };
    fm_robust mean = { .rule = (fm_robust_rule)r->plan->robust_mean,
                       .sums = r->drawn.count,
                       .trim = r->plan->robust_trim,
                       .of = sums,
                       .n = fm_plan_update_words(r->plan) };
    bool too_long[FM_MAX_GROUPS];
    fm_status st = check_lengths(r, too_long);

    if (st != FM_OK)
        return st;
    for (uint32_t i = 0; i < r->drawn.count; i++)
        sums[i] = fm_replay_source(&r->of[i].sum);
    if ((st = fm_robust_prepare(&mean)) != FM_OK)
        return st;
    center.ctx = &mean;
    if ((st = fm_optimizer_step_from(o, &center, mean.n)) != FM_OK)
        return fm_fail_context(st, "round %llu: ", (unsigned long long)r->of[0].sum.round);
    if (out)
        tell_outliers(r, &mean, too_long, out);
    return FM_OK;
}

fm_status fm_replay_round_step(fm_replay_round *r, fm_optimizer *o, fm_replay_outliers *out)
{
    if (r->plan->robust_groups > 0)
        return step_groups(r, o, out);
    if (out)
        *out = (fm_replay_outliers){ .groups = 0 };
    return fm_replay_step(&r->of[0].sum, o);
}
