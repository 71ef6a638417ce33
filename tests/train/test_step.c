/* The private step: the same bits by any number of threads, and what a unit can do to a sum. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "learner_tabular.h"
#include "rig.h"
#include "step_internal.h"
#include "suites.h"
#include "tabular_internal.h"

static bool same(const rig *r, const int64_t *a, const int64_t *b)
{
    return memcmp(a, b, r->length * sizeof *a) == 0;
}

static void threads_agree(fm_dp_encoding encoding, size_t unit, bool tail)
{
    static const unsigned counts[] = { 2, 3, 7 };
    fm_train_step *one;
    rig r;

    rig_open(&r, 1500, unit, encoding, tail);
    r.spec.sampling_rate = 0.7;
    one = rig_step(&r, 1);
    for (size_t k = 0; k < FM_TEST_COUNT(counts); k++) {
        fm_train_step *many = rig_step(&r, counts[k]);

        CU_ASSERT_EQUAL(fm_train_step_threads(many), counts[k]);
        for (uint64_t seed = 1; seed <= 3; seed++) {
            int64_t *a = rig_sum(&r, one, seed, NULL), *b = rig_sum(&r, many, seed, NULL);

            CU_ASSERT(same(&r, a, b));
            free(a);
            free(b);
        }
        fm_train_step_free(&many);
    }
    fm_train_step_free(&one);
    rig_close(&r);
}

static void any_number_of_threads_gives_the_same_bits(void)
{
    for (int tail = 0; tail < 2; tail++)
        for (size_t unit = 1; unit <= 30; unit += 29) {
            threads_agree(FM_DP_FAST, unit, tail);
            threads_agree(FM_DP_EXACT, unit, tail);
        }
}

static double norm(const int64_t *v, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return sqrt(sum);
}

/* One unit alone, whatever its rows and whatever clip norm and biases an aggregator may have sent. */
static void a_unit_alone_stays_within_the_sensitivity(void)
{
    static const float cells[] = { 0.0f, 1.0f, -10.0f, 1e6f, 1e30f };
    static const float clips[] = { -6.9f, -1.0f, 0.0f, 3.0f, 6.9f };

    for (int encoding = FM_DP_EXACT; encoding <= FM_DP_FAST; encoding++)
        for (size_t rows = 1; rows <= 400; rows += 399)
            for (size_t k = 0; k < FM_TEST_COUNT(cells) * FM_TEST_COUNT(clips); k++) {
                fm_train_step *s;
                int64_t *sum;
                rig r;

                rig_open(&r, rows, 1000, (fm_dp_encoding)encoding, true);
                for (size_t i = 0; i < r.table.rows; i++)
                    r.table.x[i * r.table.features] = cells[k % FM_TEST_COUNT(cells)];
                r.state[r.length - 1] = clips[k / FM_TEST_COUNT(cells)];
                r.state[r.parameters] = 100.0f;
                s = rig_step(&r, 1);
                if (rows > 1)
                    CU_ASSERT(rig_units(&r) < r.table.rows);
                sum = rig_sum(&r, s, 1, NULL);
                /* 1 row is one unit; 400 are few. */
                CU_ASSERT(norm(sum, r.length) <=
                          (double)r.lattice.unit_sensitivity * (double)rig_units(&r));
                free(sum);
                fm_train_step_free(&s);
                rig_close(&r);
            }
}

static void rows_that_are_not_finite_take_their_unit_out_and_nobody_else(void)
{
    static const float odd[] = { NAN, INFINITY, -INFINITY };

    for (int encoding = FM_DP_EXACT; encoding <= FM_DP_FAST; encoding++)
        for (size_t k = 0; k < FM_TEST_COUNT(odd); k++) {
            int64_t *all, *rest, *mine;
            size_t dropped = 0;
            fm_train_step *s;
            rig r;

            rig_open(&r, 300, 1, (fm_dp_encoding)encoding, true);
            s = rig_step(&r, 2);
            all = rig_sum(&r, s, 1, &dropped);
            CU_ASSERT_EQUAL(dropped, 0);
            r.table.x[123 * r.table.features] = odd[k];
            rest = rig_sum(&r, s, 1, &dropped);
            CU_ASSERT_EQUAL(dropped, 1);
            for (size_t i = 0; i < r.length; i++)
                all[i] -= rest[i];
            fm_train_step_free(&s);
            rig_close(&r);
            /* What went is what that record adds when it is alone. */
            rig_open(&r, 124, 1, (fm_dp_encoding)encoding, true);
            memmove(r.table.x, r.table.x + 123 * r.table.features,
                    r.table.features * sizeof *r.table.x);
            r.table.y[0] = r.table.y[123];
            r.table.rows = 1;
            s = rig_step(&r, 1);
            mine = rig_sum(&r, s, 1, NULL);
            CU_ASSERT(same(&r, all, mine));
            CU_ASSERT(norm(mine, r.length) > 0.0);
            fm_train_step_free(&s);
            free(all);
            free(rest);
            free(mine);
            rig_close(&r);
        }
}

/* How often each expert is chosen, by the model's own routes, over the loads' bound. */
static void count_loads(const rig *r, double *out)
{
    fm_tabular *m = NULL;
    uint32_t routes[2];

    need(fm_tabular_new(&r->model, 1, &m) == FM_OK &&
             fm_train_state_set(m, &r->spec.tail, r->state, r->length) == FM_OK,
         "a model");
    for (uint32_t i = 0; i < r->table.rows; i++) {
        need(fm_tabular_backward(m, r->table.x, r->table.y, &i, 1, NULL) == FM_OK, "a row");
        for (size_t b = 0; b < RIG_BLOCKS; b++) {
            fm_tabular_routes(m, b, 0, routes);
            for (size_t k = 0; k < 2; k++)
                out[b * RIG_EXPERTS + routes[k]] += 0.5;
        }
    }
    fm_tabular_free(&m);
}

/* Loads of norm at most 1: two blocks of two experts with a half each. */
static void without_noise_the_counts_are_the_loads(void)
{
    for (int encoding = FM_DP_EXACT; encoding <= FM_DP_FAST; encoding++) {
        double loads[RIG_BLOCKS * RIG_EXPERTS] = { 0 };
        fm_dp_parts parts;
        fm_train_step *s;
        int64_t *sum;
        rig r;

        rig_open(&r, 1000, 1, (fm_dp_encoding)encoding, true);
        need(fm_dp_parts_make(&r.lattice, 0.2, 0.1, &parts) == FM_OK, "parts");
        r.state[r.parameters + 1] = 0.3f; /* a bias counts as it routes */
        s = rig_step(&r, 1);
        sum = rig_sum(&r, s, 1, NULL);
        count_loads(&r, loads);
        for (size_t i = 0; i < RIG_BLOCKS * RIG_EXPERTS; i++) {
            /* Each unit's count is rounded once, by less than a step. */
            CU_ASSERT(fabs((double)sum[r.parameters + i] - loads[i] * (double)parts.loads) <=
                      1000.0);
            CU_ASSERT(loads[i] >= 0.0 && (double)parts.loads > 100.0);
        }
        free(sum);
        fm_train_step_free(&s);
        rig_close(&r);
    }
}

/* Votes for and against are what the norms of gradients say; gradients that are not clipped shrink
 * with the clip norm in use. */
static void follow_the_clip_norm(fm_dp_encoding encoding)
{
    static const double logs[] = { -6.0, 0.0, 6.0, 4.0 };
    double votes[4], vote, off = 0.0, size = 0.0;
    int64_t *sums[4];
    fm_dp_parts parts;
    rig r;

    rig_open(&r, 500, 1, encoding, true);
    need(fm_dp_parts_make(&r.lattice, 0.2, 0.1, &parts) == FM_OK, "parts");
    vote = (double)parts.vote;
    for (size_t k = 0; k < 4; k++) {
        fm_train_step *s = rig_step(&r, 1);

        r.state[r.length - 1] = (float)logs[k];
        sums[k] = rig_sum(&r, s, 1, NULL);
        votes[k] = (double)sums[k][r.length - 1];
        fm_train_step_free(&s);
    }
    CU_ASSERT_EQUAL(votes[0], -500.0 * vote); /* all are clipped at a four-hundredth */
    CU_ASSERT_EQUAL(votes[2], 500.0 * vote);
    CU_ASSERT_EQUAL(votes[3], 500.0 * vote);
    CU_ASSERT(votes[1] > votes[0] && votes[1] < votes[2]);
    for (size_t i = 0; i < r.parameters; i++) {
        const double a = (double)sums[2][i] * exp(logs[2]), b = (double)sums[3][i] * exp(logs[3]);

        off += (a - b) * (a - b);
        size += b * b;
    }
    CU_ASSERT(size > 0.0 && sqrt(off / size) < 0.1);
    for (size_t k = 0; k < 4; k++)
        free(sums[k]);
    rig_close(&r);
}

static void votes_and_units_follow_the_clip_norm(void)
{
    follow_the_clip_norm(FM_DP_FAST);
    follow_the_clip_norm(FM_DP_EXACT);
}

/* The sum, decoded, is the sum of gradients that are clipped in double. */
static void the_sum_is_that_of_clipped_gradients(void)
{
    double *want, square = 0.0, off = 0.0;
    float *one;
    fm_tabular *m = NULL;
    fm_train_step *s;
    int64_t *sum;
    rig r;

    rig_open(&r, 400, 1, FM_DP_FAST, false);
    want = calloc(r.parameters, sizeof *want);
    one = calloc(r.parameters, sizeof *one);
    need(want && one && fm_tabular_new(&r.model, 1, &m) == FM_OK &&
             fm_tabular_set(m, r.state, r.parameters) == FM_OK,
         "a model");
    for (uint32_t i = 0; i < r.table.rows; i++) {
        double length = 0.0;

        need(fm_tabular_backward(m, r.table.x, r.table.y, &i, 1, NULL) == FM_OK, "a row");
        fm_tabular_unit_gradient(m, 0, one);
        for (size_t k = 0; k < r.parameters; k++)
            length += (double)one[k] * (double)one[k];
        for (size_t k = 0; k < r.parameters; k++)
            want[k] += (double)one[k] / fmax(1.0, sqrt(length));
    }
    s = rig_step(&r, 2);
    sum = rig_sum(&r, s, 1, NULL);
    for (size_t k = 0; k < r.parameters; k++) {
        double d = (double)sum[k] / r.lattice.unit_scale - want[k];

        square += want[k] * want[k];
        off += d * d;
    }
    printf("    off by %.2g of its length\n", sqrt(off / square));
    CU_ASSERT(sqrt(off / square) < 1e-2);
    free(sum);
    free(want);
    free(one);
    fm_train_step_free(&s);
    fm_tabular_free(&m);
    rig_close(&r);
}

static void what_cannot_be_is_refused(void)
{
    fm_rng rng = fm_rng_system();
    fm_train_step *s = NULL;
    fm_dp_sum *sum = NULL;
    fm_train_step_input in = { .rng = &rng };
    float *y;
    rig r;

    rig_open(&r, 50, 1, FM_DP_FAST, true);
    s = rig_step(&r, 1);
    in.state = r.state;
    r.state[r.length - 1] = 8.0f;
    CU_ASSERT_EQUAL(fm_train_step_run(s, &in, &sum), FM_EINVAL);
    r.state[r.length - 1] = NAN;
    CU_ASSERT_EQUAL(fm_train_step_run(s, &in, &sum), FM_EINVAL);
    r.state[r.length - 1] = 0.0f;
    r.state[r.parameters] = INFINITY;
    CU_ASSERT_EQUAL(fm_train_step_run(s, &in, &sum), FM_ENONFINITE);
    fm_train_step_free(&s);
    r.spec.tail.load_experts = 5;
    CU_ASSERT_EQUAL(fm_train_step_new(&r.spec, &s), FM_EINVAL);
    r.spec.tail.load_experts = RIG_EXPERTS;
    r.model.top_k = RIG_EXPERTS;
    CU_ASSERT_EQUAL(fm_train_step_new(&r.spec, &s), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "every expert"));
    r.model.top_k = 2;
    r.spec.sampling_rate = 0.0;
    CU_ASSERT_EQUAL(fm_train_step_new(&r.spec, &s), FM_EINVAL);
    r.spec.sampling_rate = 1.0;
    r.spec.load_share = 0.9;
    CU_ASSERT_EQUAL(fm_train_step_new(&r.spec, &s), FM_EINVAL);
    r.spec.load_share = 0.2;
    r.spec.unit_rows = 0;
    CU_ASSERT_EQUAL(fm_train_step_new(&r.spec, &s), FM_EINVAL);
    r.spec.unit_rows = 1;
    r.table.features++;
    CU_ASSERT_EQUAL(fm_train_step_new(&r.spec, &s), FM_EINVAL);
    r.table.features--;
    y = r.table.y;
    r.table.y = NULL;
    CU_ASSERT_EQUAL(fm_train_step_new(&r.spec, &s), FM_EINVAL);
    r.table.y = y;
    CU_ASSERT_PTR_NULL(s);
    CU_ASSERT_EQUAL(fm_train_step_new(&r.spec, &s), FM_OK); /* all is as it was */
    fm_train_step_free(&s);
    rig_close(&r);
}

typedef struct {
    pthread_t caller;
    size_t calls, elsewhere;
} signs;

static void count_sign(void *ctx)
{
    signs *c = ctx;

    c->calls++;
    c->elsewhere += !pthread_equal(pthread_self(), c->caller);
}

static void signs_of_life_come_from_the_callers_thread(void)
{
    fm_rng rng = fm_rng_system();
    signs c = { .caller = pthread_self() };
    fm_train_step_input in = { .rng = &rng, .keepalive = count_sign, .keepalive_ctx = &c };
    fm_dp_sum *sum = NULL;
    rig r;

    rig_open(&r, 2000, 1, FM_DP_FAST, false);
    in.state = r.state;
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        fm_train_step *s = rig_step(&r, threads);

        CU_ASSERT_EQUAL(fm_train_step_run(s, &in, &sum), FM_OK);
        CU_ASSERT(threads > 1 || c.calls >= 2000 / 256); /* others may have left it nothing */
        CU_ASSERT_EQUAL(c.elsewhere, 0);
        fm_train_step_free(&s);
    }
    rig_close(&r);
}

/* One of the last two units is refused, whichever the model gets wrong, when others are in the sums of all threads. */
static void a_run_that_fails_leaves_no_sum(void)
{
    fm_rng rng = fm_rng_system();
    fm_train_step_input in = { .rng = &rng };
    fm_dp_sum *sum = NULL;
    fm_train_step *s;
    rig r;

    rig_open(&r, 3000, 1, FM_DP_FAST, true);
    for (size_t row = r.table.rows - 2; row < r.table.rows; row++) {
        r.table.y[row] = (float)(row % 2);
        for (size_t i = 0; i < r.table.features; i++)
            r.table.x[row * r.table.features + i] = 1e4f;
    }
    r.state[r.length - 1] = 6.0f; /* nobody else is clipped */
    in.state = r.state;
    s = rig_step(&r, 4);
    s->parts.gradient = r.lattice.unit_sensitivity;
    for (int k = 0; k < 20; k++) { /* which thread gets it is left to chance */
        CU_ASSERT_EQUAL(fm_train_step_run(s, &in, &sum), FM_EINTERNAL);
        for (unsigned i = 0; i < 4; i++)
            CU_ASSERT_EQUAL(fm_dp_sum_units(s->workers[i].sum), 0);
    }
    CU_ASSERT_PTR_NULL(sum);
    fm_train_step_free(&s);
    rig_close(&r);
}

/* A gradient that takes all of the sensitivity leaves none for loads and vote: they are part of the
 * length that dp/ is told, so that no such sum gets out. */
static void loads_and_votes_count_in_a_units_length(void)
{
    fm_rng rng = fm_rng_system();

    for (int votes = 0; votes < 2; votes++) {
        fm_train_step_input in = { .rng = &rng };
        fm_dp_sum *sum = NULL;
        fm_train_step *s;
        rig r;

        rig_open(&r, 200, 1, FM_DP_FAST, true);
        r.spec.tail =
            votes ? (fm_train_tail){ .clip_norm = true }
                  : (fm_train_tail){ .load_groups = RIG_BLOCKS, .load_experts = RIG_EXPERTS };
        r.spec.load_share = votes ? 0.0 : 0.2;
        r.spec.clip_share = votes ? 0.1 : 0.0;
        for (size_t i = 0; i < r.table.rows * r.table.features; i++)
            r.table.x[i] *= 1e3f; /* gradients far above the clip norm */
        in.state = r.state;
        s = rig_step(&r, 1);
        CU_ASSERT_EQUAL(fm_train_step_run(s, &in, &sum), FM_OK);
        s->parts.gradient = r.lattice.unit_sensitivity;
        CU_ASSERT_EQUAL(fm_train_step_run(s, &in, &sum), FM_EINTERNAL);
        CU_ASSERT_EQUAL(fm_dp_sum_units(s->workers->sum), 0);
        fm_train_step_free(&s);
        rig_close(&r);
    }
}

static bool is_zero(const void *p, size_t bytes)
{
    const unsigned char *at = p;
    unsigned any = 0;

    for (size_t i = 0; i < bytes; i++)
        any |= at[i];
    return any == 0;
}

static void means_are_wiped(void)
{
    fm_train_step *s;
    rig r;

    rig_open(&r, 300, 3, FM_DP_FAST, false);
    rig_start(&r);
    s = rig_step(&r, 1);
    free(rig_sum(&r, s, 1, NULL));
    CU_ASSERT(is_zero(s->workers->means, (r.table.features + 1) * sizeof(float)));
    fm_train_step_free(&s);
    rig_close(&r);
}

static void a_runs_figures_of_units_are_wiped(void)
{
    means_are_wiped();
    for (int encoding = FM_DP_EXACT; encoding <= FM_DP_FAST; encoding++) {
        fm_train_step *s;
        rig r;

        rig_open(&r, 300, 3, (fm_dp_encoding)encoding, true);
        s = rig_step(&r, 2);
        free(rig_sum(&r, s, 1, NULL));
        for (unsigned i = 0; i < fm_train_step_threads(s); i++) {
            const fm_train_worker *w = &s->workers[i];
            const fm_tabular *m = ((const fm_train_records *)w->model)->model;

            CU_ASSERT(is_zero(w->ends, s->batch_units * sizeof *w->ends));
            CU_ASSERT(is_zero(w->squares, s->batch_units * sizeof *w->squares));
            CU_ASSERT(is_zero(w->lengths, s->batch_units * sizeof *w->lengths));
            CU_ASSERT(is_zero(w->clipped, s->batch_units * sizeof *w->clipped));
            CU_ASSERT(is_zero(w->loads, (size_t)RIG_BLOCKS * RIG_EXPERTS * sizeof *w->loads));
            CU_ASSERT(encoding == FM_DP_FAST || is_zero(w->gradient, r.length * sizeof(float)));
            /* Activations, gradients, integers: from the first piece of the arena on. */
            CU_ASSERT(fm_arena_used(m->arena) > 100000);
            CU_ASSERT(is_zero(m->panels, fm_arena_used(m->arena)));
        }
        CU_ASSERT(is_zero(s->sample.rows, r.table.rows * sizeof *s->sample.rows));
        CU_ASSERT(is_zero(s->sample.ends, r.table.units * sizeof *s->sample.ends));
        CU_ASSERT(is_zero(s->batches, (s->batch_room + 1) * sizeof *s->batches));
        fm_train_step_free(&s);
        rig_close(&r);
    }
}

#define STACK ((size_t)1 << 20)
#define STACK_TOP ((size_t)16 << 10) /* of threads, and of what calls the kernels */

typedef struct {
    fm_train_step *s;
    fm_train_step_input in;
    fm_status st;
} stack_run;

static void *run_on_stack(void *arg)
{
    stack_run *t = arg;
    fm_dp_sum *sum = NULL;

    t->st = fm_train_step_run(t->s, &t->in, &sum);
    return NULL;
}

/* Words that are not zero, of those that only what is far down in calls reaches. */
static size_t left_over(const unsigned char *stack)
{
    uint64_t word;
    size_t found = 0;

    for (size_t at = 0; at < STACK - STACK_TOP; at += sizeof word) {
        memcpy(&word, stack + at, sizeof word);
        found += word != 0;
    }
    return found;
}

/* Kernels pack rows on the stack. A run on a stack that can be looked at afterwards: without the
 * wiping hundreds of words are left. */
static void nothing_of_records_stays_on_a_stack(void)
{
    fm_rng rng = fm_rng_system();
    unsigned char *stack = aligned_alloc(4096, STACK);
    stack_run t = { .in.rng = &rng, .st = FM_EINTERNAL };
    pthread_attr_t attr;
    pthread_t thread;
    rig r;

    rig_open(&r, 300, 7, FM_DP_FAST, true);
    t.s = rig_step(&r, 1);
    t.in.state = r.state;
    need(stack != NULL, "a stack");
    memset(stack, 0, STACK);
    need(pthread_attr_init(&attr) == 0 && pthread_attr_setstack(&attr, stack, STACK) == 0 &&
             pthread_create(&thread, &attr, run_on_stack, &t) == 0 &&
             pthread_join(thread, NULL) == 0,
         "a thread");
    CU_ASSERT_EQUAL(t.st, FM_OK);
    CU_ASSERT(left_over(stack) <= 32); /* return addresses of the wiping itself */
    (void)pthread_attr_destroy(&attr);
    fm_train_step_free(&t.s);
    rig_close(&r);
    free(stack);
}

static const fm_test tests[] = {
    { "any number of threads gives the same bits", any_number_of_threads_gives_the_same_bits },
    { "a unit alone stays within the sensitivity", a_unit_alone_stays_within_the_sensitivity },
    { "rows that are not finite take their unit out, and nobody else",
      rows_that_are_not_finite_take_their_unit_out_and_nobody_else },
    { "without noise the counts are the loads", without_noise_the_counts_are_the_loads },
    { "votes and units follow the clip norm", votes_and_units_follow_the_clip_norm },
    { "the sum is that of clipped gradients", the_sum_is_that_of_clipped_gradients },
    { "what cannot be is refused", what_cannot_be_is_refused },
    { "signs of life come from the caller's thread", signs_of_life_come_from_the_callers_thread },
    { "a run that fails leaves no sum", a_run_that_fails_leaves_no_sum },
    { "loads and votes count in a unit's length", loads_and_votes_count_in_a_units_length },
    { "a run's figures of units are wiped", a_runs_figures_of_units_are_wiped },
    { "nothing of records stays on a stack", nothing_of_records_stays_on_a_stack },
};

const fm_test_suite suite_step = { "train.step", tests, FM_TEST_COUNT(tests) };
