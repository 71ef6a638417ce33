/*
 * Would noise that is correlated over the rounds (DP-FTRL, matrix factorisation) serve better than
 * independent noise at the same (epsilon, delta)? For a linear optimizer the noise in the weights is
 * a . f . z: z independent with the noise multiplier z times the sensitivity of C = f^-1, f the
 * filter that makes the noise correlated, a the weights' response to a gradient so many rounds ago.
 *
 * Filters: f = 1 - beta x (for every beta on a grid), and the banded square root, C the first bands
 * of (1 - x)^(-1/2) (Fichtenberger, Henzinger, Upadhyay 2023, arXiv:2202.11205; Kalinin, Lampert
 * 2024, arXiv:2405.13763). All C here have no negative entry and fall along their diagonals, so what
 * one unit moves is most when all its rounds pull the same way, from the first round on
 * (Choquette-Choo et al. 2023, arXiv:2211.06530, section 3): sensitivity |C u|, u = 1 in its rounds.
 *
 * Participation: every round; or one round in `period`, fixed batches in a cycle, which is where
 * correlated noise has most to give. Independent noise has Poisson sampling at rate 1 / period
 * there, with the amplification that fixed batches do not have. Both are also held against
 * independent noise with every unit in every round, which costs more computing and no accuracy.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fedmoe/dp/accountant.h"

#define MAX_ROUNDS 512
#define DELTA 1e-5

typedef struct {
    const char *name;
    double contraction; /* 1 - rate * curvature: what is left of a step after one round */
    double momentum;
    double averaged; /* share of the rounds whose weights are averaged */
} workload;

static const workload workloads[] = {
    { "last weights, no curvature", 1.0, 0.0, 0.0 },
    { "mean of the last half, no curvature", 1.0, 0.0, 0.5 },
    { "mean of the last half, momentum 0.9", 1.0, 0.9, 0.5 },
    { "last weights, rate x curvature 0.02", 0.98, 0.0, 0.0 },
    { "mean of the last half, 0.02", 0.98, 0.0, 0.5 },
    { "last weights, rate x curvature 0.1", 0.9, 0.0, 0.0 },
    { "mean of the last half, 0.1", 0.9, 0.0, 0.5 },
    { "mean of the last half, 0.1, momentum 0.9", 0.9, 0.9, 0.5 },
};

/* a[k]: how much of a gradient of k rounds before the end is in the result. */
static void response(const workload *w, size_t rounds, double *a)
{
    const size_t last = w->averaged > 0.0 ? (size_t)(w->averaged * (double)rounds) : 1;
    double step[MAX_ROUNDS], x = 0.0, m = 1.0;

    for (size_t k = 0; k < rounds; k++) { /* a heavy ball, hit once */
        x = w->contraction * x + m;
        m *= w->momentum;
        step[k] = x;
    }
    for (size_t k = 0; k < rounds; k++) {
        a[k] = 0.0;
        for (size_t back = 0; back < last && back <= k; back++)
            a[k] += step[k - back];
        a[k] /= (double)last;
    }
}

static double convolved_norm(const double *a, const double *f, size_t n)
{
    double square = 0.0;

    for (size_t t = 0; t < n; t++) {
        double v = 0.0;

        for (size_t k = 0; k <= t; k++)
            v += a[t - k] * f[k];
        square += v * v;
    }
    return sqrt(square);
}

static double sensitivity(const double *c, size_t n, size_t period)
{
    double square = 0.0;

    for (size_t t = 0; t < n; t++) {
        double v = 0.0;

        for (size_t k = 0; k <= t; k += period)
            v += c[t - k];
        square += v * v;
    }
    return sqrt(square);
}

/* f with c * f = 1, c[0] = 1. */
static void invert(const double *c, size_t n, double *f)
{
    f[0] = 1.0;
    for (size_t t = 1; t < n; t++) {
        f[t] = 0.0;
        for (size_t k = 1; k <= t; k++)
            f[t] -= c[k] * f[t - k];
    }
}

typedef struct {
    double error;
    char name[48];
} choice;

static void keep_better(choice *best, double error, const char *kind, double parameter)
{
    if (error >= best->error)
        return;
    best->error = error;
    snprintf(best->name, sizeof best->name, "%s %g", kind, parameter);
}

/* The least |C u| |a . f| of both families, to be multiplied by the noise multiplier of one release. */
static choice best_correlated(const double *a, size_t rounds, size_t period)
{
    double c[MAX_ROUNDS], f[MAX_ROUNDS];
    choice best = { .error = INFINITY };

    for (double beta = 0.0; beta < 0.996; beta += beta < 0.9 ? 0.02 : 0.005) {
        memset(f, 0, sizeof f);
        f[0] = 1.0;
        f[1] = -beta;
        c[0] = 1.0;
        for (size_t k = 1; k < rounds; k++)
            c[k] = c[k - 1] * beta;
        keep_better(&best, sensitivity(c, rounds, period) * convolved_norm(a, f, rounds), "beta",
                    beta);
    }
    for (size_t bands = 2; bands <= rounds; bands *= 2) {
        memset(c, 0, sizeof c);
        c[0] = 1.0;
        for (size_t k = 1; k < bands; k++)
            c[k] = c[k - 1] * ((double)k - 0.5) / (double)k;
        invert(c, rounds, f);
        keep_better(&best, sensitivity(c, rounds, period) * convolved_norm(a, f, rounds), "bands",
                    (double)bands);
    }
    return best;
}

static fm_status compare(double epsilon, size_t rounds, size_t period)
{
    static const double one[MAX_ROUNDS] = { 1.0 };
    double a[MAX_ROUNDS], once, sampled, full;
    fm_status st = fm_dp_calibrate(epsilon, DELTA, 1.0, 1, &once);

    if (st == FM_OK)
        st = fm_dp_calibrate(epsilon, DELTA, 1.0 / (double)period, rounds, &sampled);
    if (st == FM_OK)
        st = fm_dp_calibrate(epsilon, DELTA, 1.0, rounds, &full);
    if (st != FM_OK)
        return st;
    printf("\nepsilon %g, %zu rounds, each unit in one of %zu: noise multiplier %.4g; in every "
           "round %.4g; one release %.4g\n",
           epsilon, rounds, period, sampled, full, once);
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        double plain, correlated;
        choice best;

        response(&workloads[i], rounds, a);
        best = best_correlated(a, rounds, period);
        plain = convolved_norm(a, one, rounds);
        correlated = once * best.error;
        /* Noise is on a sum over 1 / period of the units: the mean has it times period. */
        printf("  %-42s %-12s %12.3f %12.3f\n", workloads[i].name, best.name,
               correlated / (sampled * plain), correlated * (double)period / (full * plain));
    }
    return FM_OK;
}

int main(void)
{
    static const double epsilons[] = { 1.0, 4.0, 8.0 };
    static const struct {
        size_t rounds, period;
    } runs[] = { { 40, 1 }, { 128, 1 }, { 512, 1 }, { 128, 4 }, { 512, 16 }, { 512, 128 } };

    printf(
        "Standard deviation of the noise in the result with the best correlated noise, over "
        "that with\nindependent noise at the same epsilon and delta %g: below 1 correlated noise "
        "wins.\n  %-42s %-12s %12s %12s\n",
        DELTA, "", "best filter", "sampled", "every round");
    for (size_t e = 0; e < sizeof epsilons / sizeof *epsilons; e++)
        for (size_t r = 0; r < sizeof runs / sizeof *runs; r++)
            if (compare(epsilons[e], runs[r].rounds, runs[r].period) != FM_OK) {
                fprintf(stderr, "bench-correlated: %s\n", fm_error_text());
                return 1;
            }
    return 0;
}
