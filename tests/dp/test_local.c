/* Rounds of several local steps: each has its own full noise, and nothing else gets out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/random.h"
#include "fedmoe/dp/local.h"
#include "mask_fixture.h"

#define N 4096u
#define STEPS 3u
#define NODES 3u

static fm_dp_lattice_spec spec_of(double noise, unsigned word_bits)
{
    return (fm_dp_lattice_spec){ .clip_norm = 1.0,
                                 .noise_multiplier = noise,
                                 .max_units = 50,
                                 .nodes = NODES,
                                 .quorum = NODES,
                                 .local = true,
                                 .encoding = FM_DP_EXACT,
                                 .word_bits = word_bits,
                                 .steps = STEPS };
}

typedef struct {
    fixture f;
    fm_dp_local *local[NODES];
    fm_dp_sum *sum;
    fm_rng_seed seed;
    fm_rng rng;
    float *noised; /* [N] */
} rig;

static void open_rig(rig *r, const fm_dp_lattice_spec *spec)
{
    fix_init_noise(&r->f, NODES, N, spec);
    r->rng = fm_rng_seeded(&r->seed, 5);
    if (spec->noise_multiplier > 0.0)
        CU_ASSERT_EQUAL_FATAL(fm_dp_shares_new(&r->f.lattice, NODES, &r->f.shares), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_dp_sum_new(&r->f.lattice, N, &r->sum), FM_OK);
    for (uint32_t u = 0; u < NODES; u++)
        CU_ASSERT_EQUAL_FATAL(fm_dp_local_new(&r->f.lattice, N, &r->local[u]), FM_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->noised = calloc(N, sizeof *r->noised));
}

static void close_rig(rig *r)
{
    for (uint32_t u = 0; u < NODES; u++)
        fm_dp_local_free(&r->local[u]);
    fm_dp_sum_free(&r->sum);
    fm_dp_shares_free(&r->f.shares);
    fix_fini(&r->f);
    free(r->noised);
}

/* A step whose sum is so many units of (size, 0, 0, ...). */
static fm_status step(rig *r, uint32_t u, uint32_t units, float size)
{
    float *unit = calloc(N, sizeof *unit);

    CU_ASSERT_PTR_NOT_NULL_FATAL(unit);
    unit[0] = size;
    for (uint32_t i = 0; i < units; i++)
        CU_ASSERT_EQUAL(fm_dp_sum_add_unit(r->sum, unit), FM_OK);
    free(unit);
    return fm_dp_local_step(r->local[u], r->sum, r->f.shares, &r->rng, r->noised);
}

/* What the server decodes of all updates, the self masks off. */
static void server_sum(rig *r, float *out)
{
    const unsigned bits = r->f.lattice.word_bits;
    void *words = calloc(N, fm_dp_sum_word_bytes(bits));

    CU_ASSERT_PTR_NOT_NULL_FATAL(words);
    for (uint32_t u = 0; u < NODES; u++) {
        const uint8_t *bytes = NULL;
        size_t len = 0;
        fm_dp_unmask *unmask = NULL;

        CU_ASSERT_EQUAL_FATAL(fm_dp_local_release(r->local[u], r->f.pairs[u], &r->f.rounds[u],
                                                  &r->rng, &r->f.releases[u]),
                              FM_OK);
        fm_dp_release_bytes(r->f.releases[u], &bytes, &len);
        CU_ASSERT_EQUAL(len, N * bits / 8);
        CU_ASSERT_EQUAL(fm_dp_sum_words(bits, words, N, bytes, len), FM_OK);
        CU_ASSERT_EQUAL_FATAL(
            fm_dp_release_unmask(r->f.releases[u], r->f.participants, NODES, &unmask), FM_OK);
        CU_ASSERT_EQUAL(unmask->surplus_count, 0); /* no noise of a node is too much */
        CU_ASSERT_EQUAL(fm_dp_mask_apply(bits, words, N, unmask->self_seed, -1), FM_OK);
        fm_dp_unmask_free(&unmask);
    }
    fm_dp_decode_sum(&r->f.lattice, words, N, out);
    free(words);
}

static double deviation(const float *x, size_t n)
{
    double sum = 0.0;

    for (size_t i = 1; i < n; i++) /* the first has units in it */
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum / (double)(n - 1));
}

static void an_update_is_the_sum_of_the_noised_steps(void)
{
    const unsigned widths[] = { 16, 24, 32 };

    for (size_t k = 0; k < FM_TEST_COUNT(widths); k++) {
        const fm_dp_lattice_spec spec = spec_of(1.5, widths[k]);
        float *sum = calloc(N, sizeof *sum), *got = calloc(N, sizeof *got);
        rig r = { .sum = NULL };

        CU_ASSERT_FATAL(sum && got);
        open_rig(&r, &spec);
        for (uint32_t u = 0; u < NODES; u++)
            for (uint32_t j = 0; j < STEPS; j++) {
                CU_ASSERT_EQUAL(step(&r, u, 4, 1.0f), FM_OK);
                for (size_t i = 0; i < N; i++)
                    sum[i] += r.noised[i];
            }
        server_sum(&r, got);
        for (size_t i = 0; i < N; i++)
            CU_ASSERT_DOUBLE_EQUAL_FATAL((double)got[i], (double)sum[i], 1e-3);
        free(sum);
        free(got);
        close_rig(&r);
    }
}

/* Not a share of it, and not once for all steps: what nobody else's noise protects. */
static void every_step_has_the_nodes_own_full_noise(void)
{
    const fm_dp_lattice_spec spec = spec_of(1.5, 32);
    float last[N], got[N];
    double product = 0.0;
    rig r = { .sum = NULL };

    open_rig(&r, &spec);
    for (uint32_t u = 0; u < NODES; u++)
        for (uint32_t j = 0; j < STEPS; j++) {
            CU_ASSERT_EQUAL(step(&r, u, 0, 0.0f), FM_OK);
            CU_ASSERT_DOUBLE_EQUAL(deviation(r.noised, N), 1.5, 0.1);
            for (size_t i = 1; (u > 0 || j > 0) && i < N; i++)
                product += (double)r.noised[i] * (double)last[i];
            memcpy(last, r.noised, sizeof last);
        }
    CU_ASSERT(fabs(product) / N < 1.0); /* independent: 8 products of deviation 2.25 / 64 */
    server_sum(&r, got);
    CU_ASSERT_DOUBLE_EQUAL(deviation(got, N), 1.5 * sqrt(NODES * STEPS), 0.3);
    close_rig(&r);
}

static void only_local_noise_has_local_steps(void)
{
    fm_dp_lattice_spec spec = spec_of(1.5, 32);
    fm_dp_lattice l;
    fm_dp_local *local = NULL;

    spec.local = false;
    CU_ASSERT_EQUAL(fm_dp_lattice_make(&spec, &l), FM_EINVAL);
    spec.steps = 1;
    CU_ASSERT_EQUAL(fm_dp_lattice_make(&spec, &l), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_local_new(&l, N, &local), FM_EINVAL);
    l.steps = STEPS; /* whoever made that */
    CU_ASSERT_EQUAL(fm_dp_local_new(&l, N, &local), FM_EINVAL);
    spec.local = true;
    CU_ASSERT_EQUAL(fm_dp_lattice_make(&spec, &l), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_local_new(&l, N, &local), FM_EINVAL); /* a round of one step */
    spec.steps = FM_DP_LOCAL_STEPS_MAX + 1;
    CU_ASSERT_EQUAL(fm_dp_lattice_make(&spec, &l), FM_EINVAL);
    CU_ASSERT_PTR_NULL(local);
}

static void a_release_has_all_steps_and_no_more(void)
{
    const fm_dp_lattice_spec spec = spec_of(1.5, 32);
    rig r = { .sum = NULL };
    fm_dp_release *release = NULL;

    open_rig(&r, &spec);
    CU_ASSERT_EQUAL(step(&r, 0, 1, 1.0f), FM_OK);
    CU_ASSERT_EQUAL(fm_dp_local_release(r.local[0], r.f.pairs[0], &r.f.rounds[0], &r.rng, &release),
                    FM_ESTATE);
    for (uint32_t j = 0; j < STEPS; j++)
        CU_ASSERT_EQUAL(step(&r, 0, 1, 1.0f), FM_OK); /* that of before was wiped */
    CU_ASSERT_EQUAL(step(&r, 0, 1, 1.0f), FM_ESTATE);
    CU_ASSERT_EQUAL(fm_dp_local_release(r.local[0], r.f.pairs[0], &r.f.rounds[0], &r.rng, &release),
                    FM_OK);
    fm_dp_release_free(&release);
    CU_ASSERT_EQUAL(fm_dp_local_release(r.local[0], r.f.pairs[0], &r.f.rounds[0], &r.rng, &release),
                    FM_ESTATE);
    /* Nor is there another way out for a sum of such a plan, or one without noise. */
    CU_ASSERT_EQUAL(
        fm_dp_release_make(r.sum, r.f.shares, r.f.pairs[0], &r.f.rounds[0], &r.rng, &release),
        FM_EINVAL);
    fm_dp_shares_free(&r.f.shares);
    CU_ASSERT_EQUAL(step(&r, 0, 1, 1.0f), FM_EINVAL);
    CU_ASSERT_PTR_NULL(release);
    close_rig(&r);
}

/* As many units as can be, all of one direction, in every step of every node. */
static void no_sum_of_steps_wraps(void)
{
    const unsigned widths[] = { 16, 24, 32 };

    for (size_t k = 0; k < FM_TEST_COUNT(widths); k++) {
        fm_dp_lattice_spec spec = spec_of(2.0, widths[k]), one;
        fm_dp_lattice once;
        float got[N];
        rig r = { .sum = NULL };

        spec.max_units = 51;
        one = spec;
        one.steps = 1;
        CU_ASSERT_EQUAL_FATAL(fm_dp_lattice_make(&one, &once), FM_OK);
        open_rig(&r, &spec);
        for (uint32_t u = 0; u < NODES; u++)
            for (uint32_t j = 0; j < STEPS; j++)
                CU_ASSERT_EQUAL(step(&r, u, spec.max_units / NODES, 9.0f), FM_OK);
        server_sum(&r, got);
        CU_ASSERT_DOUBLE_EQUAL((double)got[0], (double)(spec.max_units * STEPS), 40.0);
        CU_ASSERT(r.f.lattice.scale < once.scale); /* on which they would */
        CU_ASSERT((double)(spec.max_units * STEPS) * once.sensitivity >
                  ldexp(1.0, (int)widths[k] - 1));
        close_rig(&r);
    }
}

static const fm_test tests[] = {
    { "an update is the sum of the noised steps", an_update_is_the_sum_of_the_noised_steps },
    { "every step has the node's own full noise", every_step_has_the_nodes_own_full_noise },
    { "only local noise has local steps", only_local_noise_has_local_steps },
    { "a release has all steps and no more", a_release_has_all_steps_and_no_more },
    { "no sum of steps wraps", no_sum_of_steps_wraps },
};
const fm_test_suite fm_suite_dp_local = { "dp.local", tests, FM_TEST_COUNT(tests) };
