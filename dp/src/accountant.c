/* The two accountants behind one face, and each other's check. */
#include "fedmoe/dp/accountant.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "accountant_internal.h"

#define AGREE 1e-4 /* relative, how far PLD may lie above RDP where both are near exact */
#define MAX_DISCRETE_STD 1500.0

static fm_status check_one(const fm_dp_mechanism *m, size_t number)
{
    if (!(m->noise_multiplier > 0.0))
        return fm_fail(FM_EINVAL, "mechanism %zu: noise_multiplier is %g, must be above 0", number,
                       m->noise_multiplier);
    if (!(m->sampling_rate > 0.0 && m->sampling_rate <= 1.0))
        return fm_fail(FM_EINVAL,
                       "mechanism %zu: sampling_rate is %g, must be above 0 and at most 1", number,
                       m->sampling_rate);
    if (m->kind != FM_DP_GAUSSIAN && m->kind != FM_DP_LAPLACE && m->kind != FM_DP_DISCRETE_GAUSSIAN)
        return fm_fail(FM_EINVAL, "mechanism %zu: kind %d is not known", number, (int)m->kind);
    if (m->kind != FM_DP_DISCRETE_GAUSSIAN || isinf(m->noise_multiplier))
        return FM_OK;
    if (m->sensitivity == 0)
        return fm_fail(FM_EINVAL, "mechanism %zu: sensitivity of a discrete Gaussian is 0 steps",
                       number);
    if (m->noise_multiplier * m->sensitivity > MAX_DISCRETE_STD)
        return fm_fail(FM_EINVAL,
                       "mechanism %zu: a discrete Gaussian with a standard deviation of %g steps "
                       "(at most %g); reckon it as a Gaussian, which it equals to five digits",
                       number, m->noise_multiplier * m->sensitivity, MAX_DISCRETE_STD);
    return FM_OK;
}

bool fm_dp_same_kind(const fm_dp_mechanism *a, const fm_dp_mechanism *b)
{
    return a->kind == b->kind && a->sensitivity == b->sensitivity &&
           memcmp(&a->noise_multiplier, &b->noise_multiplier, sizeof a->noise_multiplier) == 0 &&
           memcmp(&a->sampling_rate, &b->sampling_rate, sizeof a->sampling_rate) == 0;
}

fm_status fm_dp_check_mechanisms(const fm_dp_mechanism *m, size_t count)
{
    fm_status st = FM_OK;

    if (!m && count > 0)
        return fm_fail(FM_EINVAL, "accountant: %zu mechanisms announced, none given", count);
    for (size_t i = 0; st == FM_OK && i < count; i++)
        st = check_one(&m[i], i + 1);
    return st;
}

static bool is_empty(const fm_dp_mechanism *m, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (m[i].count > 0 && !isinf(m[i].noise_multiplier))
            return false;
    return true;
}

double fm_dp_pure_epsilon(const fm_dp_mechanism *m, size_t count)
{
    double sum = 0.0;

    for (size_t i = 0; i < count; i++) {
        double v = 1.0 / m[i].noise_multiplier, q = m[i].sampling_rate, most;

        if (m[i].count == 0 || isinf(m[i].noise_multiplier))
            continue;
        if (m[i].kind != FM_DP_LAPLACE)
            return INFINITY;
        /* Removing costs more than adding: (1 - q + q e^v) (1 - q + q e^-v) >= 1. */
        most = q >= 1.0 ? v : v > 30.0 ? v + log(q + (1.0 - q) * exp(-v)) : log1p(q * expm1(v));
        sum += (double)m[i].count * most;
    }
    return sum * (1.0 + 1e-15);
}

fm_status fm_dp_reconcile_epsilon(const fm_pld_answer *pld, double rdp, double delta,
                                  fm_dp_cost *out)
{
    if (pld->tight && pld->value > rdp * (1.0 + AGREE) + 1e-9)
        return fm_fail(FM_EINTERNAL,
                       "accountant: at delta %g PLD says epsilon %.9g but RDP, an upper bound, "
                       "%.9g; one of them is wrong: trust neither and report this",
                       delta, pld->value, rdp);
    *out = pld->value <= rdp ? (fm_dp_cost){ pld->value, delta, FM_DP_PLD }
                             : (fm_dp_cost){ rdp, delta, pld->tight ? FM_DP_PLD : FM_DP_RDP };
    return FM_OK;
}

fm_status fm_dp_reconcile_delta(const fm_pld_answer *pld, double rdp, double rdp_nearby,
                                double epsilon, fm_dp_cost *out)
{
    if (pld->tight && pld->value > rdp_nearby * (1.0 + 1e-6))
        return fm_fail(FM_EINTERNAL,
                       "accountant: at epsilon %g PLD says delta %.9g but RDP, an upper bound, "
                       "%.9g; one of them is wrong: trust neither and report this",
                       epsilon, pld->value, rdp);
    *out = pld->value <= rdp ? (fm_dp_cost){ epsilon, pld->value, FM_DP_PLD }
                             : (fm_dp_cost){ epsilon, rdp, pld->tight ? FM_DP_PLD : FM_DP_RDP };
    if (out->delta == 0.0) /* too small for a double, not nothing: pure mechanisms never get here */
        out->delta = DBL_TRUE_MIN;
    return FM_OK;
}

static fm_status check_question(const fm_dp_mechanism *m, size_t count, const void *out)
{
    fm_status st = fm_dp_check_mechanisms(m, count);

    return st == FM_OK && !out ? fm_fail(FM_EINVAL, "accountant: no place for the answer") : st;
}

static fm_status engine_of(const fm_dp_mechanism *m, size_t count, fm_pld **out)
{
    fm_status st = fm_pld_new(false, out);

    for (size_t i = 0; st == FM_OK && i < count; i++)
        st = fm_pld_add(*out, &m[i]);
    return st;
}

fm_status fm_dp_epsilon_by(fm_dp_accountant_kind by, const fm_dp_mechanism *m, size_t count,
                           double delta, fm_dp_cost *out)
{
    fm_pld *e = NULL;
    fm_pld_answer pld;
    double rdp, pure;
    fm_status st = check_question(m, count, out);

    if (st == FM_OK && !(delta > 0.0 && delta < 1.0))
        st = fm_fail(FM_EINVAL, "delta is %g, must be above 0 and below 1", delta);
    if (st != FM_OK)
        return st;
    if (is_empty(m, count)) {
        *out = (fm_dp_cost){ 0.0, delta, by };
        return FM_OK;
    }
    pure = fm_dp_pure_epsilon(m, count);
    rdp = fmin(pure, fm_dp_rdp_epsilon(m, count, delta));
    if (by == FM_DP_RDP) {
        *out = (fm_dp_cost){ rdp, delta, FM_DP_RDP };
        return FM_OK;
    }
    if ((st = engine_of(m, count, &e)) == FM_OK &&
        (st = fm_pld_ask(e, NULL, NAN, delta, NAN, &pld)) == FM_OK) {
        pld.value = fmin(pld.value, pure);
        st = fm_dp_reconcile_epsilon(&pld, rdp, delta, out);
    }
    fm_pld_free(&e);
    return st;
}

fm_status fm_dp_delta_by(fm_dp_accountant_kind by, const fm_dp_mechanism *m, size_t count,
                         double epsilon, fm_dp_cost *out)
{
    fm_pld *e = NULL;
    fm_pld_answer pld;
    double rdp;
    fm_status st = check_question(m, count, out);

    if (st == FM_OK && !(epsilon >= 0.0 && isfinite(epsilon)))
        st = fm_fail(FM_EINVAL, "epsilon is %g, must be a finite number of at least 0", epsilon);
    if (st != FM_OK)
        return st;
    if (is_empty(m, count) || epsilon >= fm_dp_pure_epsilon(m, count)) {
        *out = (fm_dp_cost){ epsilon, 0.0, by };
        return FM_OK;
    }
    rdp = fm_dp_rdp_delta(m, count, epsilon);
    if (by == FM_DP_RDP) {
        *out = (fm_dp_cost){ epsilon, rdp, FM_DP_RDP };
        return FM_OK;
    }
    if ((st = engine_of(m, count, &e)) == FM_OK &&
        (st = fm_pld_ask(e, NULL, epsilon, NAN, rdp, &pld)) == FM_OK)
        st = fm_dp_reconcile_delta(&pld, rdp, fm_dp_rdp_delta(m, count, epsilon * (1.0 - AGREE)),
                                   epsilon, out);
    fm_pld_free(&e);
    return st;
}

fm_status fm_dp_epsilon(const fm_dp_mechanism *m, size_t count, double delta, double *epsilon)
{
    fm_dp_cost cost;
    fm_status st = epsilon ? fm_dp_epsilon_by(FM_DP_PLD, m, count, delta, &cost)
                           : fm_fail(FM_EINVAL, "accountant: no place for epsilon");

    if (st == FM_OK)
        *epsilon = cost.epsilon;
    return st;
}

fm_status fm_dp_delta(const fm_dp_mechanism *m, size_t count, double epsilon, double *delta)
{
    fm_dp_cost cost;
    fm_status st = delta ? fm_dp_delta_by(FM_DP_PLD, m, count, epsilon, &cost)
                         : fm_fail(FM_EINVAL, "accountant: no place for delta");

    if (st == FM_OK)
        *delta = cost.delta;
    return st;
}
