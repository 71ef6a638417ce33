/*
 * The noise that stays after the surplus was given back, as an aggregator sees it that has all that
 * ever leaves, with the tolerated colluders on its side. Noise and keys are fresh: each comparison
 * raises a false alarm with probability 2e-7 (FM_STATS_Z).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>

#include "mask_fixture.h"
#include "shares_internal.h"
#include "stats.h"

#define WORDS 8000
#define FEW 16u /* where the noise itself is not looked at */
#define NODES 6u
#define QUORUM 4u
#define COLLUDERS 1u

static uint32_t g_sum[WORDS];
static double g_left[WORDS], g_known[WORDS];
static int32_t g_noise[WORDS];

static void open_fixture_of(fixture *f, uint32_t members, size_t n, bool local)
{
    fm_dp_lattice_spec spec = fix_spec(members, 1.3);

    spec.quorum = QUORUM;
    spec.colluders = COLLUDERS;
    spec.local = local;
    fix_init_noise(f, members, n, &spec);
    fix_release_all(f, 40 + members);
}

static void open_fixture(fixture *f, uint32_t members, bool local)
{
    open_fixture_of(f, members, WORDS, local);
}

/* What the sum says beyond the encodings of the survivors 0 .. count-1: the noise that stays. */
static void noise_of_the_sum(const fixture *f, uint32_t count, double *out)
{
    for (size_t i = 0; i < f->n; i++) {
        uint32_t encoded = 0;

        for (uint32_t u = 0; u < count; u++)
            encoded += (uint32_t)fix_encoded(u)[i];
        out[i] = (double)(int32_t)(g_sum[i] - encoded);
    }
}

/* A colluder subtracts what of its own noise is in the sum. */
static void collude(const fixture *f, uint32_t u, uint32_t survivors, double *left)
{
    uint32_t kept = fm_dp_shares_levels(f->shares) - fm_dp_shares_surplus(f->shares, survivors);

    for (uint32_t l = 0; l < kept; l++)
        for (size_t i = 0; i < f->n; i++)
            left[i] -= (double)fm_dp_release_noise_for_tests(f->releases[u], l)[i];
}

static double mean_product(const double *a, const double *b)
{
    double sum = 0.0;

    for (size_t i = 0; i < WORDS; i++)
        sum += a[i] * b[i];
    return sum / WORDS;
}

static void check_variance(const double *left, double variance)
{
    CU_ASSERT_DOUBLE_EQUAL(mean_product(left, left) / variance, 1.0,
                           FM_STATS_Z * sqrt(2.0 / WORDS));
}

/*
 * The colluders among the survivors: 8 % more or less is seen; one level more or less makes 20 % at
 * least.
 */
static void the_noise_that_stays_is_the_counted_one_whoever_is_lost(void)
{
    static const uint32_t all[] = { 0, 1, 2, 3, 4, 5 };

    for (uint32_t members = QUORUM; members <= NODES; members++)
        for (uint32_t survivors = QUORUM; survivors <= members; survivors++) {
            fixture f;

            open_fixture(&f, members, false);
            fix_unmask(&f, all, survivors, g_sum);
            CU_ASSERT_EQUAL(fix_wrong_words(&f, g_sum), 0);
            noise_of_the_sum(&f, survivors, g_left);
            collude(&f, 0, survivors, g_left);
            check_variance(g_left, f.lattice.sigma_counted * f.lattice.sigma_counted);
            fix_fini(&f);
        }
}

/* And with nobody colluding there is the colluders' share more. */
static void without_colluders_theirs_is_there_too(void)
{
    static const uint32_t all[] = { 0, 1, 2, 3, 4, 5 };
    double sigma2;
    fixture f;

    open_fixture(&f, NODES, false);
    fix_unmask(&f, all, NODES, g_sum);
    noise_of_the_sum(&f, NODES, g_left);
    sigma2 = f.lattice.sigma_counted * f.lattice.sigma_counted;
    check_variance(g_left, sigma2 * NODES / (NODES - COLLUDERS));
    fix_fini(&f);
}

/*
 * The aggregator tries what it was given on what it wants: every disclosed seed, expanded at every
 * level, added or subtracted once more. Independent noise takes nothing off: it adds its own, and
 * its correlation with what is left is none. Were a seed of a level that stays disclosed, taking it
 * off would leave less than sigma.
 */
static void try_disclosed(const fixture *f, const fm_dp_unmask *m, double sigma2)
{
    const fm_dp_levels *levels = fm_dp_shares_get_levels(f->shares);

    for (uint32_t s = 0; s < m->surplus_count; s++)
        for (uint32_t l = 0; l < levels->count; l++) {
            double width = levels->sigma[l], with, after;

            CU_ASSERT_EQUAL(fm_dp_shares_expand(f->shares, l, m->surplus_seeds[s], g_noise, WORDS),
                            FM_OK);
            for (size_t i = 0; i < WORDS; i++)
                g_known[i] = (double)g_noise[i];
            with = mean_product(g_left, g_known);
            CU_ASSERT(fabs(with) < FM_STATS_Z * width * sqrt(sigma2 / WORDS));
            after = mean_product(g_left, g_left) + mean_product(g_known, g_known) - 2 * fabs(with);
            CU_ASSERT(after > sigma2 * (1.0 - FM_STATS_Z * sqrt(2.0 / WORDS)));
        }
}

static void every_disclosed_seed_takes_nothing_off_what_stays(void)
{
    static const uint32_t all[] = { 0, 1, 2, 3, 4, 5 };
    const uint32_t survivors = NODES - 1;
    fm_dp_unmask *disclosed[NODES] = { NULL };
    double sigma2;
    fixture f;

    open_fixture(&f, NODES, false);
    sigma2 = f.lattice.sigma_counted * f.lattice.sigma_counted;
    memset(g_left, 0, sizeof g_left);
    /* Without the colluder: the sum of the four honest ones' noise, less what they disclose. */
    for (uint32_t u = 1; u < survivors; u++) {
        memset(g_sum, 0, sizeof g_sum);
        CU_ASSERT_EQUAL_FATAL(fm_dp_release_unmask(f.releases[u], all, survivors, &disclosed[u]),
                              FM_OK);
        CU_ASSERT_EQUAL(disclosed[u]->surplus_count, 1);
        for (uint32_t l = 0; l < fm_dp_shares_levels(f.shares); l++)
            for (size_t i = 0; i < WORDS; i++)
                g_sum[i] += (uint32_t)fm_dp_release_noise_for_tests(f.releases[u], l)[i];
        CU_ASSERT_EQUAL(fm_dp_shares_subtract(
                            f.shares, survivors,
                            (const uint8_t(*)[FM_DP_NOISE_SEED_BYTES])disclosed[u]->surplus_seeds,
                            disclosed[u]->surplus_count, g_sum, WORDS),
                        FM_OK);
        for (size_t i = 0; i < WORDS; i++)
            g_left[i] += (double)(int32_t)g_sum[i];
    }
    check_variance(g_left, sigma2);
    for (uint32_t u = 1; u < survivors; u++)
        try_disclosed(&f, disclosed[u], sigma2);
    for (uint32_t u = 0; u < NODES; u++)
        fm_dp_unmask_free(&disclosed[u]);
    fix_fini(&f);
}

/*
 * Why a release is for one survivor set only: what is surplus to all six and what a round of four
 * keeps are the same levels. With both the aggregator would be left with less than it may have.
 */
static void a_second_survivor_set_gets_nothing(void)
{
    static const uint32_t all[] = { 0, 1, 2, 3, 4, 5 };
    fm_dp_unmask *first = NULL, *second = NULL;
    fixture f;

    open_fixture_of(&f, NODES, FEW, false);
    CU_ASSERT_EQUAL_FATAL(fm_dp_release_unmask(f.releases[1], all, QUORUM, &first), FM_OK);
    CU_ASSERT_EQUAL(first->surplus_count, 0);
    CU_ASSERT_EQUAL(fm_dp_release_unmask(f.releases[1], all, NODES, &second), FM_EREPLAY);
    CU_ASSERT_PTR_NULL(second);
    fm_dp_unmask_free(&first);
    fix_fini(&f);
}

static void fewer_survivors_than_the_quorum_get_nothing(void)
{
    static const uint32_t all[] = { 0, 1, 2, 3, 4, 5 };
    fm_dp_unmask *m = NULL;
    fixture f;

    open_fixture_of(&f, NODES, FEW, false);
    CU_ASSERT_EQUAL(fm_dp_release_unmask(f.releases[1], all, QUORUM - 1, &m), FM_EINVAL);
    CU_ASSERT_PTR_NULL(m);
    CU_ASSERT_EQUAL(fm_dp_release_unmask(f.releases[1], all, QUORUM, &m), FM_OK);
    fm_dp_unmask_free(&m);
    fix_fini(&f);
}

/* All others collude: what is left of one node's update is its own noise. */
static void check_alone(bool local, double shares)
{
    static const uint32_t all[] = { 0, 1, 2, 3, 4, 5 };
    double sigma2;
    fixture f;

    open_fixture(&f, NODES, local);
    fix_unmask(&f, all, NODES, g_sum);
    noise_of_the_sum(&f, NODES, g_left);
    for (uint32_t u = 1; u < NODES; u++)
        collude(&f, u, NODES, g_left);
    sigma2 = f.lattice.sigma_counted * f.lattice.sigma_counted;
    check_variance(g_left, sigma2 / shares);
    fix_fini(&f);
}

static void local_noise_is_the_counted_one_when_all_others_collude(void)
{
    check_alone(true, 1.0);
}

static void distributed_noise_is_then_a_share_of_it(void)
{
    check_alone(false, NODES - COLLUDERS);
}

/* ---- seeds in memory ---- */

#define RECORDS 16u

/* A generator that writes down what it gave, complemented: the search must not find its notes. */
typedef struct {
    uint8_t seed[RECORDS][FM_DP_NOISE_SEED_BYTES];
    uint32_t count;
} recorder;

static void record(void *state, void *out, size_t len)
{
    recorder *r = state;

    fm_rng_system().fill(NULL, out, len);
    if (len != FM_DP_NOISE_SEED_BYTES || r->count == RECORDS)
        return;
    for (size_t i = 0; i < len; i++)
        r->seed[r->count][i] = (uint8_t) ~((uint8_t *)out)[i];
    r->count++;
}

/* Without a copy of the seed, which the search would find. */
static bool is_there(const uint8_t *data, size_t len, const uint8_t *complement)
{
    const uint8_t *end = data + len, *at = data;

    while ((at = memchr(at, complement[0] ^ 0xff, (size_t)(end - at)))) {
        size_t same = 1;

        while (same < FM_DP_NOISE_SEED_BYTES && at + same < end &&
               (at[same] ^ complement[same]) == 0xff)
            same++;
        if (same == FM_DP_NOISE_SEED_BYTES)
            return true;
        at++;
    }
    return false;
}

#define CHUNK ((size_t)1 << 20)

/* Bytes that two chunks share, so that nothing is missed between them. */
static bool is_in_region(int mem, unsigned long from, unsigned long to, const uint8_t *complement,
                         uint8_t *chunk)
{
    bool found = false;

    for (unsigned long at = from; !found && at < to; at += CHUNK - FM_DP_NOISE_SEED_BYTES) {
        size_t want = to - at < CHUNK ? to - at : CHUNK;
        ssize_t got = pread(mem, chunk, want, (off_t)at);

        if (got <= 0)
            break; /* such a page may not be read */
        found = is_there(chunk, (size_t)got, complement);
        memset(chunk, 0, (size_t)got);
    }
    return found;
}

/* Whether the process holds the seed in any memory that it can write to. Regions of more than a
 * gigabyte are a sanitizer's own. */
static bool is_in_memory(const uint8_t *complement)
{
    uint8_t *chunk = malloc(CHUNK);
    FILE *maps = fopen("/proc/self/maps", "r");
    int mem = open("/proc/self/mem", O_RDONLY);
    unsigned long from, to;
    bool found = false;
    char line[512], mode[8];

    CU_ASSERT_FATAL(chunk && maps && mem >= 0);
    while (!found && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) == 3 && mode[0] == 'r' &&
            mode[1] == 'w' && to - from < (1ul << 30))
            found = is_in_region(mem, from, to, complement, chunk);
    (void)fclose(maps);
    (void)close(mem);
    free(chunk);
    return found;
}

/* Node 1's release of the fixture anew, with the generator that writes down. */
static void release_recorded(fixture *f, recorder *r)
{
    fm_rng rng = { .fill = record, .state = r };
    fm_dp_sum *s = NULL;

    memset(r, 0, sizeof *r);
    fm_dp_release_free(&f->releases[1]);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&f->lattice, f->n, &s), FM_OK);
    CU_ASSERT_EQUAL_FATAL(
        fm_dp_release_make(s, f->shares, f->pairs[1], &f->rounds[1], &rng, &f->releases[1]), FM_OK);
    fm_dp_sum_free(&s);
    CU_ASSERT_EQUAL_FATAL(r->count, fm_dp_shares_levels(f->shares) + 1); /* levels, then b_u */
}

static void seeds_of_noise_that_stays_never_leave_and_are_wiped(void)
{
    static const uint32_t all[] = { 0, 1, 2, 3, 4, 5 };

    for (uint32_t survivors = QUORUM; survivors <= NODES; survivors++) {
        uint32_t surplus = survivors - QUORUM;
        fm_dp_unmask *m = NULL;
        recorder r;
        fixture f;

        open_fixture_of(&f, NODES, FEW, false);
        release_recorded(&f, &r);
        for (uint32_t l = 0; l < 3; l++)
            CU_ASSERT(is_in_memory(r.seed[l])); /* the search finds what is there */
        CU_ASSERT_EQUAL_FATAL(fm_dp_release_unmask(f.releases[1], all, survivors, &m), FM_OK);
        CU_ASSERT_EQUAL(m->surplus_count, surplus);
        for (uint32_t l = 0; l < 3; l++) {
            bool leaves = l >= 3 - surplus;

            CU_ASSERT_EQUAL(is_there((const uint8_t *)m, sizeof *m, r.seed[l]), leaves);
            CU_ASSERT_EQUAL(is_in_memory(r.seed[l]), leaves);
        }
        fm_dp_unmask_free(&m);
        for (uint32_t l = 0; l < 3; l++)
            CU_ASSERT_FALSE(is_in_memory(r.seed[l]));
        fix_fini(&f);
    }
}

static void a_release_that_is_given_up_leaves_no_seed(void)
{
    recorder r;
    fixture f;

    open_fixture_of(&f, NODES, FEW, false);
    release_recorded(&f, &r);
    fm_dp_release_free(&f.releases[1]);
    for (uint32_t i = 0; i < r.count; i++)
        CU_ASSERT_FALSE(is_in_memory(r.seed[i]));
    fix_fini(&f);
}

static const fm_test g_tests[] = {
    { "the noise that stays is the counted one, whoever is lost (else: epsilon is wrong)",
      the_noise_that_stays_is_the_counted_one_whoever_is_lost },
    { "without colluders theirs is there too", without_colluders_theirs_is_there_too },
    { "every disclosed seed takes nothing off what stays",
      every_disclosed_seed_takes_nothing_off_what_stays },
    { "a second survivor set gets nothing", a_second_survivor_set_gets_nothing },
    { "fewer survivors than the quorum get nothing", fewer_survivors_than_the_quorum_get_nothing },
    { "local noise is the counted one when all others collude",
      local_noise_is_the_counted_one_when_all_others_collude },
    { "distributed noise is then a share of it", distributed_noise_is_then_a_share_of_it },
    { "seeds of noise that stays never leave, and are wiped",
      seeds_of_noise_that_stays_never_leave_and_are_wiped },
    { "a release that is given up leaves no seed", a_release_that_is_given_up_leaves_no_seed },
};

const fm_test_suite fm_suite_dp_surplus = { "dp.surplus", g_tests, FM_TEST_COUNT(g_tests) };
