/*
 * How near a federated query comes (docs/queries.md has the tables): AUC from flat score
 * histograms and from trees of several shapes. Noise is drawn at exactly the counted standard
 * deviation, without rounds or masks.
 *
 *   bench-query [--draws N]
 *                       shapes and numbers of bins against each other
 *   bench-query --accept [FILE] [--delta D] [--draws N]
 *                       as built, with the noise as counted and as it is in the sum of 4 and of 3
 *                       of 4 nodes, quorum 3, 1 colluder; of records drawn with three seeds, or of
 *                       FILE's first 10,000 lines "logit class" (adult_scores.sh makes such)
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fedmoe/dp/accountant.h"
#include "query_internal.h"
#include "shares_internal.h"

#define RECORDS 10000u
#define MAX_BINS 1024u
#define WORST 0.95

typedef struct {
    double logit;
    bool positive;
} scored;

static int by_logit(const void *a, const void *b)
{
    double u = ((const scored *)a)->logit, v = ((const scored *)b)->logit;

    return (u > v) - (u < v);
}

static int by_size(const void *a, const void *b)
{
    double u = *(const double *)a, v = *(const double *)b;

    return (u > v) - (u < v);
}

/* Logits of a calibrated classifier of two normal classes, a fixed distance apart. */
static void draw_records(fm_rng *r, double positives, double distance, scored *s)
{
    for (size_t i = 0; i < RECORDS; i++) {
        double x;

        s[i].positive = fm_rng_unit(r) < positives;
        x = fm_rng_normal(r) + (s[i].positive ? distance : 0.0);
        s[i].logit = distance * (x - distance / 2.0) + log(positives / (1.0 - positives));
    }
}

/* Pairs of equal scores are half right. */
static double exact_auc(scored *s)
{
    double right = 0.0, below = 0.0, positives = 0.0;

    qsort(s, RECORDS, sizeof *s, by_logit);
    for (size_t i = 0, end = 0; i < RECORDS; i = end) {
        double p = 0.0, n = 0.0;

        for (; end < RECORDS && s[end].logit <= s[i].logit; end++) {
            p += s[end].positive ? 1.0 : 0.0;
            n += s[end].positive ? 0.0 : 1.0;
        }
        right += p * (below + n / 2.0);
        below += n;
        positives += p;
    }
    return right / (positives * below);
}

static double binned_auc(const double *n, const double *p, size_t bins)
{
    double right = 0.0, below = 0.0, positives = 0.0;

    for (size_t j = 0; j < bins; j++) {
        right += p[j] * (below + n[j] / 2.0);
        below += n[j];
        positives += p[j];
    }
    return right / (positives * below);
}

/* Each class by itself; decay 0: a flat histogram, else a tree. */
static double by_class(const scored *s, size_t bins, double decay, double z, fm_rng *r)
{
    static float block[2][MAX_BINS];
    static double nodes[2][2 * MAX_BINS];
    const fm_query_item it = { .kind = FM_QUERY_SCORES, .bins = bins };
    const fm_query_shape shape = { 1.0, 1.0, decay };
    fm_query_tree t;

    memset(block, 0, sizeof block);
    fm_query_trees_make(bins, &shape, 1, &t);
    for (size_t i = 0; i < RECORDS; i++) {
        size_t j = fm_query_score_bin(&it, s[i].logit);

        if (decay > 0.0)
            fm_query_tree_add(&t, j, 1.0, block[s[i].positive]);
        else
            block[s[i].positive][j] += 1.0f;
    }
    for (size_t c = 0; c < 2; c++) {
        for (size_t j = 0; j < bins; j++)
            block[c][j] += (float)(z * fm_rng_normal(r));
        if (decay > 0.0)
            fm_query_tree_nodes(&t, block[c], 1.0, nodes[c]);
        else
            for (size_t j = 0; j < bins; j++)
                nodes[c][bins + j] = (double)block[c][j];
    }
    return binned_auc(nodes[0] + bins, nodes[1] + bins, bins);
}

/* What the federation does: fm_query_add_score, the sum, fm_query_read. */
static double as_built(const scored *s, size_t bins, double z, fm_rng *r)
{
    static float sum[2 * MAX_BINS];
    const fm_query_report report = { "bench", "bench", "", 0.5, 1e-5, 1.0, z };
    char text[64];
    fm_query *q = NULL;
    json_t *answer = NULL;
    double auc;

    (void)snprintf(text, sizeof text, "scores: {bins: %zu}", bins);
    if (fm_query_parse(FM_QUERY_EVALUATION, "bench", text, strlen(text), &q) != FM_OK)
        exit(1);
    memset(sum, 0, sizeof sum);
    for (size_t i = 0; i < RECORDS; i++)
        fm_query_add_score(q, s[i].logit, s[i].positive, 1.0f, sum);
    for (size_t j = 0; j < fm_query_width(q); j++)
        sum[j] += (float)(z * fm_query_clip_norm(q) * fm_rng_normal(r));
    if (fm_query_read(q, sum, &report, &answer) != FM_OK)
        exit(1);
    auc = json_real_value(json_object_get(
        json_object_get(json_array_get(json_object_get(answer, "results"), 0), "auc"), "estimate"));
    json_decref(answer);
    fm_query_free(&q);
    return auc;
}

enum { FLAT, TREES, DECAYING, BUILT, METHODS };
static const char *const method_names[] = { "flat", "trees", "decaying", "as built" };

static double estimate(const scored *s, int method, size_t bins, double z, fm_rng *r)
{
    static const double decays[] = { [FLAT] = 0.0, [TREES] = 1.0, [DECAYING] = 0.84 };

    return method == BUILT ? as_built(s, bins, z, r) : by_class(s, bins, decays[method], z, r);
}

static double worst_error(const scored *s, double auc, int method, size_t bins, double z,
                          size_t draws, fm_rng *r)
{
    double *error = calloc(draws, sizeof *error), at;

    if (!error)
        exit(1);
    for (size_t i = 0; i < draws; i++)
        error[i] = fabs(estimate(s, method, bins, z, r) - auc);
    qsort(error, draws, sizeof *error, by_size);
    at = error[(size_t)(WORST * (double)(draws - 1))];
    free(error);
    return at;
}

static void auc_table(size_t draws, double positives, double distance, double delta, fm_rng *r)
{
    static const size_t bins[] = { 8, 16, 32, 64, 128, 256 };
    scored *s = calloc(RECORDS, sizeof *s);
    double z = 0.0, auc;

    if (!s || fm_dp_calibrate(0.5, delta, 1.0, 1, &z) != FM_OK)
        exit(1);
    draw_records(r, positives, distance, s);
    auc = exact_auc(s);
    printf("\nAUC %.4f, %g %% of %u records positive, epsilon 0.5, delta %g (z %.3f):\n"
           "error that %g %% of %zu draws stay below\n  bins ",
           auc, 100.0 * positives, RECORDS, delta, z, 100.0 * WORST, draws);
    for (int m = 0; m < METHODS; m++)
        printf("%11s", method_names[m]);
    for (size_t b = 0; b < sizeof bins / sizeof bins[0]; b++) {
        printf("\n  %4zu ", bins[b]);
        for (int m = 0; m < METHODS; m++)
            printf("    %.5f", worst_error(s, auc, m, bins[b], z, draws, r));
    }
    printf("\n");
    free(s);
}

/* ---- the acceptance: within 0.005 at epsilon 0.5 and 10,000 records ---- */

#define NEAR 0.005
#define ACCEPT_BINS 64u /* the default */

/* Over the clip norm: of the sum of so many of 4 nodes, quorum 3, 1 colluder. 0: as counted. */
static double noise_of(uint32_t survivors, double z)
{
    fm_dp_lattice_spec spec = { .clip_norm = 1.0,
                                .noise_multiplier = z,
                                .max_units = 2 * RECORDS,
                                .nodes = 4,
                                .quorum = 3,
                                .colluders = 1 };
    fm_dp_levels levels;
    fm_dp_lattice l;
    double square = 0.0;
    uint32_t kept;

    if (fm_dp_lattice_make(&spec, &l) != FM_OK)
        exit(1);
    if (survivors == 0)
        return z;
    levels = fm_dp_levels_of(&l, spec.nodes);
    kept = fm_dp_levels_kept(&levels, survivors);
    for (uint32_t i = 0; i < kept; i++)
        square += levels.sigma[i] * levels.sigma[i] * survivors;
    return sqrt(square) / (double)l.sensitivity;
}

typedef struct {
    double delta;
    size_t draws;
} trial;

static void accept_line(const char *name, scored *s, trial t, fm_rng *r)
{
    static const uint32_t survivors[] = { 0, 4, 3 };
    double z = 0.0, auc = exact_auc(s), positives = 0.0;
    double *error = calloc(t.draws, sizeof *error);

    if (!error || fm_dp_calibrate(0.5, t.delta, 1.0, 1, &z) != FM_OK)
        exit(1);
    for (size_t i = 0; i < RECORDS; i++)
        positives += s[i].positive ? 1.0 : 0.0;
    printf("%-10s %5.1f %%  %.4f", name, 100.0 * positives / RECORDS, auc);
    for (size_t k = 0; k < sizeof survivors / sizeof survivors[0]; k++) {
        double noise = noise_of(survivors[k], z);
        size_t near = 0;

        for (size_t i = 0; i < t.draws; i++) {
            error[i] = fabs(as_built(s, ACCEPT_BINS, noise, r) - auc);
            near += error[i] < NEAR;
        }
        qsort(error, t.draws, sizeof *error, by_size);
        printf("   %.5f  %5.1f %%", error[(size_t)(WORST * (double)(t.draws - 1))],
               100.0 * (double)near / (double)t.draws);
    }
    printf("\n");
    free(error);
}

static void read_scores(const char *path, scored *s)
{
    FILE *f = fopen(path, "r");
    size_t n = 0;
    int positive = 0;

    while (f && n < RECORDS && fscanf(f, "%lf %d", &s[n].logit, &positive) == 2)
        s[n++].positive = positive != 0;
    if (f)
        (void)fclose(f);
    if (n < RECORDS) {
        fprintf(stderr, "bench-query: %s: not %u lines of a score and a class\n", path, RECORDS);
        exit(1);
    }
}

static void accept_table(const char *path, trial t)
{
    static const double positives[] = { 0.5, 0.25 };
    scored *s = calloc(RECORDS, sizeof *s);
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 2);
    char name[16];

    if (!s)
        exit(1);
    printf("\n%zu draws, delta %g; error that %g %% stay below, and share within %g\n"
           "           positive AUC       noise as counted    4 of 4 nodes        3 of 4\n",
           t.draws, t.delta, 100.0 * WORST, NEAR);
    if (path) {
        read_scores(path, s);
        accept_line("file", s, t, &r);
    }
    for (size_t p = 0; !path && p < sizeof positives / sizeof positives[0]; p++)
        for (uint64_t k = 2; k <= 4; k++) {
            r = fm_rng_seeded(&seed, k);
            draw_records(&r, positives[p], 1.5, s);
            (void)snprintf(name, sizeof name, "seed %d", (int)k);
            accept_line(name, s, t, &r);
        }
    free(s);
}

int main(int argc, char **argv)
{
    trial t = { 1e-5, 400 };
    bool accept = false;
    const char *path = NULL;
    fm_rng_seed seed;
    fm_rng r = fm_rng_seeded(&seed, 1);

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--draws") == 0 && i + 1 < argc)
            t.draws = (size_t)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--delta") == 0 && i + 1 < argc)
            t.delta = strtod(argv[++i], NULL);
        else if (strcmp(argv[i], "--accept") == 0)
            accept = true;
        else
            path = argv[i];
    }
    if (fm_random_init() != FM_OK || t.draws < 1)
        return 1;
    if (accept) {
        accept_table(path, t);
        return 0;
    }
    auc_table(t.draws, 0.5, 1.5, 1e-5, &r);
    auc_table(t.draws, 0.5, 1.5, 1e-4, &r);
    auc_table(t.draws, 0.25, 1.5, 1e-5, &r);
    auc_table(t.draws, 0.1, 1.5, 1e-5, &r);
    auc_table(t.draws, 0.5, 0.7, 1e-5, &r);
    return 0;
}
