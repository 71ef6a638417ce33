/*
 * The accountant against its limits: a single answer, a ledger of 10,000 entries of 20 kinds, one
 * entry more (both ways of adding and removing a unit are in each), and how far above the closed
 * form of the Gaussian the answers lie.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/dp/accountant.h"

#define KINDS 20u
#define ENTRIES 10000u
#define DELTA 1e-5

static bool report(const char *what, uint64_t began_ns, double limit_ms)
{
    double ms = (double)(fm_clock_now_ns() - began_ns) / 1e6;

    printf("%-50s %9.3f ms, limit %g ms%s\n", what, ms, limit_ms,
           ms <= limit_ms ? "" : "  EXCEEDED");
    return ms <= limit_ms;
}

static fm_status single(bool *good)
{
    static const fm_dp_mechanism m[] = { { 1.1, 0.01, 1000, FM_DP_GAUSSIAN, 0 },
                                         { 0.8, 0.05, 50000, FM_DP_GAUSSIAN, 0 },
                                         { 1.0, 0.001, 100000, FM_DP_GAUSSIAN, 0 },
                                         { 10.0, 0.5, 100, FM_DP_LAPLACE, 0 } };
    char what[80];
    double e;

    for (size_t i = 0; i < sizeof m / sizeof *m; i++) {
        uint64_t began = fm_clock_now_ns();
        fm_status st = fm_dp_epsilon(&m[i], 1, DELTA, &e);

        if (st != FM_OK)
            return st;
        snprintf(what, sizeof what, "answer: z=%g q=%g steps=%llu, epsilon %.5g",
                 m[i].noise_multiplier, m[i].sampling_rate, (unsigned long long)m[i].count, e);
        *good &= report(what, began, 500.0);
    }
    return FM_OK;
}

static fm_status grow(fm_dp_account *a, bool *good)
{
    fm_dp_mechanism m = { .count = 1 };
    fm_dp_cost cost;
    bool within;
    uint64_t began = fm_clock_now_ns();
    fm_status st = FM_OK;

    for (unsigned i = 0; st == FM_OK && i < ENTRIES; i++) {
        m.noise_multiplier = 0.9 + 0.1 * (i % KINDS);
        m.sampling_rate = 0.01;
        st = fm_dp_account_add(a, &m);
    }
    if (st != FM_OK || (st = fm_dp_account_epsilon(a, NULL, DELTA, &cost)) != FM_OK)
        return st;
    *good &= report("ledger: 10,000 entries of 20 kinds", began, 1000.0);
    for (int i = 0; i < 3; i++) {
        began = fm_clock_now_ns();
        if ((st = fm_dp_account_add(a, &m)) != FM_OK ||
            (st = fm_dp_account_epsilon(a, NULL, DELTA, &cost)) != FM_OK)
            return st;
        *good &= report("ledger: one entry more", began, 20.0);
    }
    if ((st = fm_dp_account_within(a, &m, 2.0 * cost.epsilon, DELTA, &within)) != FM_OK)
        return st;
    began = fm_clock_now_ns();
    st = fm_dp_account_within(a, &m, 2.0 * cost.epsilon, DELTA, &within);
    *good &= report("ledger: is a further entry within the budget", began, 1.0);
    return st;
}

/* delta of the Gaussian of shift mu: Balle, Wang 2018, theorem 8. */
static double exact_delta(double mu, double e)
{
    return 0.5 * erfc((e / mu - mu / 2.0) / sqrt(2.0)) -
           exp(e) * 0.5 * erfc((e / mu + mu / 2.0) / sqrt(2.0));
}

static fm_status sweep(bool *good)
{
    double worst = 0.0, least = INFINITY, ours;

    for (double mu = 0.05; mu < 8.0; mu *= 1.5)
        for (double e = 0.5 * mu; e < 5.0 * mu; e += mu) {
            fm_dp_mechanism m = { 10.0 / mu, 1.0, 100, FM_DP_GAUSSIAN, 0 };
            fm_status st = fm_dp_epsilon(&m, 1, exact_delta(mu, e), &ours);

            if (st != FM_OK)
                return st;
            worst = fmax(worst, ours / e - 1.0);
            least = fmin(least, ours / e - 1.0);
        }
    printf("distance from the exact epsilon: %.2e to %.2e, limit 0 to 1e-4\n", least, worst);
    *good &= least > -1e-11 && worst < 1e-4;
    return FM_OK;
}

int main(void)
{
    fm_dp_account *a = NULL;
    bool good = true;
    fm_status st = fm_dp_account_new(&a);

    if (st == FM_OK && (st = single(&good)) == FM_OK && (st = grow(a, &good)) == FM_OK)
        st = sweep(&good);
    if (st != FM_OK)
        fprintf(stderr, "bench-accounting: %s\n", fm_error_text());
    fm_dp_account_free(&a);
    return st == FM_OK && good ? 0 : 1;
}
