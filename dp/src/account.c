/*
 * A composition that grows. Whether a budget still holds is asked before every release, so the
 * largest composition that was found to hold is kept: one that is no larger in any kind holds too,
 * because a release never lessens delta (post-processing).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "accountant_internal.h"
#include "fedmoe/base/memory.h"

#define TRY_LO 8u /* releases more than asked for that a search tries, at first */
#define TRY_HI ((uint64_t)1 << 20)

struct fm_dp_account {
    fm_pld *engine;
    fm_dp_mechanism *kinds; /* count: how many were added */
    uint64_t *held;         /* of each kind, how many were found to fit (epsilon, delta) together */
    size_t count, cap;
    double held_epsilon, held_delta;
    uint64_t ahead; /* how many more to try next time */
};

fm_status fm_dp_account_new(fm_dp_account **out)
{
    fm_dp_account *a;
    void *p = NULL;
    fm_status st;

    if (!out)
        return fm_fail(FM_EINVAL, "accountant: no place for the account");
    if ((st = fm_alloc(1, sizeof *a, &p)) != FM_OK)
        return st;
    a = p;
    a->ahead = TRY_LO;
    if ((st = fm_pld_new(true, &a->engine)) != FM_OK) {
        free(a);
        return st;
    }
    *out = a;
    return FM_OK;
}

void fm_dp_account_free(fm_dp_account **a)
{
    if (!a || !*a)
        return;
    fm_pld_free(&(*a)->engine);
    free((*a)->kinds);
    free((*a)->held);
    free(*a);
    *a = NULL;
}

/* Where m's kind stands, or count. */
static size_t find(const fm_dp_account *a, const fm_dp_mechanism *m)
{
    size_t i = 0;

    while (i < a->count && !fm_dp_same_kind(&a->kinds[i], m))
        i++;
    return i;
}

/* Room for two kinds more: one to add, one to consider. */
static fm_status reserve(fm_dp_account *a)
{
    size_t cap = a->cap ? 2 * a->cap : 8, bytes;
    void *p;
    fm_status st;

    if (a->count + 2 <= a->cap)
        return FM_OK;
    if ((st = fm_mul_size(cap, sizeof *a->kinds, &bytes)) != FM_OK)
        return st;
    if (!(p = realloc(a->kinds, bytes)))
        return fm_fail(FM_ENOMEM, "accountant: no memory for %zu kinds of release", cap);
    a->kinds = p;
    if (!(p = realloc(a->held, cap * sizeof *a->held)))
        return fm_fail(FM_ENOMEM, "accountant: no memory for %zu kinds of release", cap);
    a->held = p;
    a->cap = cap;
    return FM_OK;
}

fm_status fm_dp_account_add(fm_dp_account *a, const fm_dp_mechanism *m)
{
    fm_status st;
    size_t i;

    if (!a || !m)
        return fm_fail(FM_EINVAL, "accountant: no account, or nothing to add");
    if ((st = fm_dp_check_mechanisms(m, 1)) != FM_OK || (st = reserve(a)) != FM_OK)
        return st;
    i = find(a, m);
    if (i < a->count && a->kinds[i].count + m->count < m->count)
        return fm_fail(FM_EINVAL, "accountant: more than 2^64 releases of one kind");
    if ((st = fm_pld_add(a->engine, m)) != FM_OK)
        return st;
    if (i == a->count) {
        a->kinds[i] = *m;
        a->kinds[i].count = 0;
        a->held[i] = 0;
        a->count++;
    }
    a->kinds[i].count += m->count;
    return FM_OK;
}

static fm_status check(const fm_dp_account *a, const fm_dp_mechanism *more, const void *out)
{
    if (!a || !out)
        return fm_fail(FM_EINVAL, "accountant: no account, or no place for the answer");
    return more ? fm_dp_check_mechanisms(more, 1) : FM_OK;
}

/* The kinds with `more` as one further: reserve keeps a place. */
static fm_status list(fm_dp_account *a, const fm_dp_mechanism *more, size_t *count)
{
    fm_status st = reserve(a);

    *count = a->count;
    if (st == FM_OK && more)
        a->kinds[(*count)++] = *more;
    return st;
}

fm_status fm_dp_account_epsilon(fm_dp_account *a, const fm_dp_mechanism *more, double delta,
                                fm_dp_cost *out)
{
    fm_pld_answer pld;
    double pure, rdp;
    size_t count = 0;
    fm_status st = check(a, more, out);

    if (st == FM_OK && !(delta > 0.0 && delta < 1.0))
        st = fm_fail(FM_EINVAL, "delta is %g, must be above 0 and below 1", delta);
    if (st != FM_OK || (st = list(a, more, &count)) != FM_OK)
        return st;
    pure = fm_dp_pure_epsilon(a->kinds, count);
    if (pure == 0.0) { /* nothing was released */
        *out = (fm_dp_cost){ 0.0, delta, FM_DP_PLD };
        return FM_OK;
    }
    rdp = fmin(pure, fm_dp_rdp_epsilon(a->kinds, count, delta));
    if ((st = fm_pld_ask(a->engine, more, NAN, delta, NAN, &pld)) != FM_OK)
        return st;
    pld.value = fmin(pld.value, pure);
    return fm_dp_reconcile_epsilon(&pld, rdp, delta, out);
}

fm_status fm_dp_account_delta(fm_dp_account *a, const fm_dp_mechanism *more, double epsilon,
                              fm_dp_cost *out)
{
    fm_pld_answer pld;
    double rdp, nearby;
    size_t count = 0;
    fm_status st = check(a, more, out);

    if (st == FM_OK && !(epsilon >= 0.0 && isfinite(epsilon)))
        st = fm_fail(FM_EINVAL, "epsilon is %g, must be a finite number of at least 0", epsilon);
    if (st != FM_OK || (st = list(a, more, &count)) != FM_OK)
        return st;
    if (epsilon >= fm_dp_pure_epsilon(a->kinds, count)) {
        *out = (fm_dp_cost){ epsilon, 0.0, FM_DP_PLD };
        return FM_OK;
    }
    rdp = fm_dp_rdp_delta(a->kinds, count, epsilon);
    nearby = fm_dp_rdp_delta(a->kinds, count, epsilon * (1.0 - 1e-4));
    if ((st = fm_pld_ask(a->engine, more, epsilon, NAN, rdp, &pld)) != FM_OK)
        return st;
    return fm_dp_reconcile_delta(&pld, rdp, nearby, epsilon, out);
}

/* Whether what is held already covers the account with `more`. */
static bool is_covered(const fm_dp_account *a, const fm_dp_mechanism *more, double epsilon,
                       double delta)
{
    size_t at = more ? find(a, more) : a->count;

    if (!(a->held_epsilon <= epsilon && a->held_delta <= delta) || a->held_delta == 0.0 ||
        (more && more->count > 0 && at == a->count))
        return false;
    for (size_t i = 0; i < a->count; i++) {
        uint64_t extra = i == at ? more->count : 0;

        if (a->kinds[i].count > a->held[i] || extra > a->held[i] - a->kinds[i].count)
            return false;
    }
    return true;
}

/* Try the account with `count` of `more`'s kind; hold it if it fits. */
static fm_status attempt(fm_dp_account *a, const fm_dp_mechanism *more, uint64_t count,
                         double epsilon, double delta, bool *within)
{
    fm_dp_mechanism m = more ? *more : (fm_dp_mechanism){ 0 };
    fm_dp_cost cost = { 0 };
    fm_status st;
    size_t at;

    m.count = count;
    if ((st = fm_dp_account_epsilon(a, more ? &m : NULL, delta, &cost)) != FM_OK)
        return st;
    *within = cost.epsilon <= epsilon;
    if (!*within)
        return FM_OK;
    if (more && find(a, more) == a->count) { /* its kind must stand in the list to be held */
        m.count = 0;
        if ((st = fm_dp_account_add(a, &m)) != FM_OK)
            return st;
    }
    at = more ? find(a, more) : a->count;
    for (size_t i = 0; i < a->count; i++)
        a->held[i] = a->kinds[i].count + (i == at ? count : 0);
    a->held_epsilon = epsilon;
    a->held_delta = delta;
    return FM_OK;
}

fm_status fm_dp_account_within(fm_dp_account *a, const fm_dp_mechanism *more, double epsilon,
                               double delta, bool *within)
{
    bool fits = false;
    fm_status st = check(a, more, within);

    if (st == FM_OK && (!(epsilon >= 0.0) || !(delta > 0.0 && delta < 1.0)))
        st = fm_fail(FM_EINVAL, "budget (%g, %g): epsilon must be at least 0, delta in (0, 1)",
                     epsilon, delta);
    if (st != FM_OK)
        return st;
    if (is_covered(a, more, epsilon, delta)) {
        *within = true;
        return FM_OK;
    }
    if (more && more->count > 0 && more->count <= TRY_HI && a->ahead > 0) {
        if ((st = attempt(a, more, more->count + a->ahead, epsilon, delta, &fits)) != FM_OK)
            return st;
        a->ahead = fits ? (a->ahead < TRY_HI ? 2 * a->ahead : TRY_HI) : a->ahead / 8;
    }
    if (!fits && (st = attempt(a, more, more ? more->count : 0, epsilon, delta, &fits)) != FM_OK)
        return st;
    *within = fits;
    return FM_OK;
}
