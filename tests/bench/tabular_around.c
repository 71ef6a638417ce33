#include "tabular_around.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name;
    double rate, clip, rounds; /* times the default */
} neighbour;

static const neighbour neighbours[] = {
    { "defaults", 1, 1, 1 },   { "rate / 2", 0.5, 1, 1 }, { "rate x 2", 2, 1, 1 },
    { "clip / 2", 1, 0.5, 1 }, { "clip x 2", 1, 2, 1 },   { "rounds / 2", 1, 1, 0.5 },
    { "rounds x 2", 1, 1, 2 },
};
#define NEIGHBOURS (sizeof neighbours / sizeof *neighbours)

/* Mean difference to the defaults on the same seeds, and its standard error. */
static void print_one(const neighbour *n, const double *auc, const double *base, uint64_t seeds)
{
    double sum = 0.0, squares = 0.0, mean = 0.0, off;
    const double count = (double)seeds;

    for (uint64_t i = 0; i < seeds; i++) {
        sum += auc[i] - base[i];
        squares += (auc[i] - base[i]) * (auc[i] - base[i]);
        mean += auc[i] / count;
    }
    off = sum / count;
    printf("  %-12s %.4f", n->name, mean);
    if (n != neighbours)
        printf("  %+.4f +- %.4f", off,
               seeds > 1 ? sqrt(fmax(squares / count - off * off, 0.0) / (count - 1.0)) : 0.0);
    printf("\n");
}

#define SEEDS_MAX 20u

static fm_status at_epsilon(const tabular_set *s, const tabular_split *d, uint64_t seeds,
                            unsigned threads, double epsilon)
{
    double auc[NEIGHBOURS][SEEDS_MAX];

    printf("%s, %zu units, epsilon %g\n", s->name, tabular_units(&d->train), epsilon);
    for (size_t k = 0; k < NEIGHBOURS; k++) {
        for (uint64_t i = 0; i < seeds; i++) {
            const tabular_setting setting = { .epsilon = epsilon,
                                              .seed = i + 1,
                                              .balance = TABULAR_DEFAULT,
                                              .threads = threads,
                                              .rate_times = neighbours[k].rate,
                                              .clip_times = neighbours[k].clip,
                                              .rounds_times = neighbours[k].rounds };
            tabular_result r;
            fm_status st = tabular_train(s, &d[i], &setting, &r);

            if (st != FM_OK)
                return st;
            auc[k][i] = r.auc;
        }
        print_one(&neighbours[k], auc[k], auc[0], seeds);
    }
    return FM_OK;
}

static void keep_units(fm_table *t, size_t units)
{
    size_t *count = t->unit_start ? &t->units : &t->rows;

    *count = units > 0 && units < *count ? units : *count;
}

fm_status tabular_around(const tabular_set *s, uint64_t seeds, size_t units, unsigned threads,
                         double epsilon, bool *skipped)
{
    static const double epsilons[] = { 1.0, 8.0, FM_TRAINING_NO_PRIVACY };
    tabular_split d[SEEDS_MAX];
    const char *why = NULL;
    fm_status st = FM_OK;

    seeds = seeds < SEEDS_MAX ? seeds : SEEDS_MAX;
    for (uint64_t i = 0; i < seeds; i++)
        if (!tabular_load(s, i + 1, &d[i], &why)) {
            printf("%s: skipped: %s\n", s->name, why);
            *skipped = true;
            return FM_OK;
        } else {
            keep_units(&d[i].train, units);
        }
    for (size_t i = 0; st == FM_OK && i < sizeof epsilons / sizeof *epsilons; i++)
        if (epsilon == 0.0 || epsilon == epsilons[i])
            st = at_epsilon(s, d, seeds, threads, epsilons[i]);
    for (uint64_t i = 0; i < seeds; i++)
        tabular_fini(&d[i]);
    return st;
}
