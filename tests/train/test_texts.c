/* The private step on texts: what one person can do to a sum, and what is left of a run. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_fixture.h"
#include "decoder_internal.h"
#include "learner_decoder.h"
#include "step_internal.h"
#include "suites.h"
#include "text_rig.h"

static bool same(const text_rig *r, const int64_t *a, const int64_t *b)
{
    return memcmp(a, b, r->length * sizeof *a) == 0;
}

static double norm(const int64_t *v, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return sqrt(sum);
}

static void threads_agree(const text_rig_plan *p)
{
    fm_train_step *one, *many;
    text_rig r;

    text_rig_open(&r, p);
    r.spec.sampling_rate = 0.7;
    one = text_rig_step(&r, 1);
    many = text_rig_step(&r, 3);
    CU_ASSERT_EQUAL(fm_train_step_threads(many), 3);
    for (uint64_t seed = 1; seed <= 2; seed++) {
        int64_t *a = text_rig_sum(&r, one, seed, NULL), *b = text_rig_sum(&r, many, seed, NULL);

        CU_ASSERT(same(&r, a, b));
        CU_ASSERT(norm(a, r.length) > 0.0);
        free(a);
        free(b);
    }
    fm_train_step_free(&one);
    fm_train_step_free(&many);
    text_rig_close(&r);
}

static void any_number_of_threads_gives_the_same_bits(void)
{
    for (size_t which = 0; which < DECODER_SMALL; which++) {
        threads_agree(&(text_rig_plan){ which, 40, which % 2 ? 5 : 1, .encoding = FM_DP_FAST });
        threads_agree(&(text_rig_plan){ which, 60, 2, .tail = true, .encoding = FM_DP_EXACT });
    }
    threads_agree(&(text_rig_plan){ 4, 60, 2, .all = true, .encoding = FM_DP_EXACT });
}

/* Sum with everybody = sum without a person + that person's alone, to the last integer, and the
 * person's is no longer than the sensitivity, however many sequences there are of it. */
static void leave_one_out(const text_rig_plan *p, float clip)
{
    const size_t who = p->people - 1;
    int64_t *all, *rest, *mine;
    fm_train_step *s;
    text_rig r;

    text_rig_open(&r, p);
    r.state[r.length - 1] = p->tail ? clip : r.state[r.length - 1];
    s = text_rig_step(&r, 2);
    all = text_rig_sum(&r, s, 1, NULL);
    fm_train_step_free(&s);
    text_rig_drop(&r, who);
    s = text_rig_step(&r, 2);
    rest = text_rig_sum(&r, s, 1, NULL);
    fm_train_step_free(&s);
    text_rig_close(&r);

    text_rig_open(&r, p);
    r.state[r.length - 1] = p->tail ? clip : r.state[r.length - 1];
    CU_ASSERT(p->most == 1 || r.corpus.unit_start[who + 1] - r.corpus.unit_start[who] == p->most);
    text_rig_keep(&r, who, who + 1);
    s = text_rig_step(&r, 1);
    mine = text_rig_sum(&r, s, 1, NULL);
    for (size_t i = 0; i < r.length; i++)
        all[i] -= rest[i];
    CU_ASSERT(same(&r, all, mine));
    CU_ASSERT(norm(mine, r.length) <= (double)r.lattice.unit_sensitivity);
    CU_ASSERT(norm(mine, r.length) > 0.5 * (double)r.lattice.unit_sensitivity); /* it is clipped */
    fm_train_step_free(&s);
    free(all);
    free(rest);
    free(mine);
    text_rig_close(&r);
}

static void a_person_moves_the_sum_by_the_sensitivity_and_nobody_else(void)
{
    for (size_t which = 0; which < DECODER_SMALL; which++) {
        leave_one_out(&(text_rig_plan){ which, 10, 10, .encoding = FM_DP_FAST }, 0.0f);
        leave_one_out(&(text_rig_plan){ which, 10, 10, .square = true, .encoding = FM_DP_FAST },
                      0.0f);
        leave_one_out(&(text_rig_plan){ which, 10, 10, .tail = true, .encoding = FM_DP_EXACT },
                      -2.0f);
    }
    leave_one_out(&(text_rig_plan){ 3, 6, 1, .tail = true, .encoding = FM_DP_FAST }, -2.0f);
    leave_one_out(&(text_rig_plan){ 5, 7, 7, .all = true, .encoding = FM_DP_EXACT }, 0.0f);
}

/* A gradient that takes all of the sensitivity leaves no room for a vote; one that is not clipped
 * at all is told in its integers' length: no such sum gets out. */
static void without_the_clip_nothing_gets_out(void)
{
    const text_rig_plan p = { 2, 10, 4, .tail = true, .encoding = FM_DP_FAST };
    fm_rng rng = fm_rng_system();
    fm_train_step_input in = { .rng = &rng };
    fm_dp_sum *sum = NULL;
    fm_train_step *s;
    text_rig r;

    text_rig_open(&r, &p);
    r.state[r.length - 1] = -4.0f; /* all are clipped */
    in.state = r.state;
    s = text_rig_step(&r, 2);
    CU_ASSERT_EQUAL(fm_train_step_run(s, &in, &sum), FM_OK);
    s->parts.gradient = r.lattice.unit_sensitivity;
    CU_ASSERT_EQUAL(fm_train_step_run(s, &in, &sum), FM_EINTERNAL);
    for (unsigned i = 0; i < fm_train_step_threads(s); i++)
        CU_ASSERT_EQUAL(fm_dp_sum_units(s->workers[i].sum), 0);
    fm_train_step_free(&s);
    text_rig_close(&r);
}

/* Its person goes, the others' bits stay. */
static void a_person_without_a_finite_gradient_is_left_out(void)
{
    for (int encoding = FM_DP_EXACT; encoding <= FM_DP_FAST; encoding++) {
        const text_rig_plan p = { 2, 12, 3, .tail = true, .encoding = (fm_dp_encoding)encoding };
        size_t dropped = 0, token;
        int64_t *got, *want;
        fm_train_step *s;
        text_rig r;

        text_rig_open(&r, &p);
        token = r.corpus.tokens[0];
        for (uint64_t i = 1; i < r.corpus.starts[r.corpus.sequences]; i++)
            if (r.corpus.tokens[i] == token) /* nobody else says it */
                r.corpus.tokens[i] = (uint32_t)((token + 1) % r.config.vocabulary);
        for (size_t i = 0; i < r.config.width; i++)
            fm_decoder_weights(
                r.d)[fm_decoder_get_layout(r.d)->embedding + token * r.config.width + i] =
                NAN; /* as what has left the numbers */
        s = text_rig_step(&r, 2);
        got = text_rig_sum(&r, s, 1, &dropped);
        CU_ASSERT_EQUAL(dropped, 1);
        fm_train_step_free(&s);
        text_rig_drop(&r, 0);
        s = text_rig_step(&r, 1);
        want = text_rig_sum(&r, s, 1, &dropped);
        CU_ASSERT_EQUAL(dropped, 0);
        CU_ASSERT(same(&r, got, want));
        fm_train_step_free(&s);
        free(got);
        free(want);
        text_rig_close(&r);
    }
}

/* By the decoder alone, person by person, clipped in double. */
static void expect(const text_rig *r, double *want)
{
    const fm_corpus *c = &r->corpus;
    const size_t n = fm_decoder_gradient_parameters(r->d);
    float *one = calloc(n, sizeof *one);
    fm_decoder *d = NULL;

    need(one && fm_decoder_new_worker(r->d, 24, &d) == FM_OK &&
             fm_decoder_adapters_set_trained(r->d, r->state, r->parameters) == FM_OK,
         "a decoder");
    for (size_t u = 0; u < c->units; u++) {
        double length = 0.0;

        memset(one, 0, n * sizeof *one);
        for (size_t i = c->unit_start[u]; i < c->unit_start[u + 1]; i++) {
            const uint32_t end = (uint32_t)(c->starts[i + 1] - c->starts[i]);
            const fm_decoder_batch b = { c->tokens + c->starts[i], &end, 1, NULL };

            need(fm_decoder_backward(d, &b, NULL) == FM_OK, "a sequence");
            fm_decoder_add_unit_gradient(d, NULL, 0, one);
        }
        for (size_t k = 0; k < n; k++)
            length += (double)one[k] * (double)one[k];
        for (size_t k = 0; k < n; k++)
            want[k] += (double)one[k] / fmax(1.0, sqrt(length));
    }
    fm_decoder_free(&d);
    free(one);
}

static void the_sum_is_that_of_clipped_gradients(void)
{
    for (int encoding = FM_DP_EXACT; encoding <= FM_DP_FAST; encoding++)
        for (size_t which = 0; which < DECODER_SMALL; which += 2) {
            const text_rig_plan p = { which, 30, 3, .square = which == 4,
                                      .encoding = (fm_dp_encoding)encoding };
            double *want, square = 0.0, off = 0.0;
            fm_train_step *s;
            int64_t *sum;
            text_rig r;

            text_rig_open(&r, &p);
            want = calloc(r.length, sizeof *want);
            s = text_rig_step(&r, 2);
            sum = text_rig_sum(&r, s, 1, NULL);
            expect(&r, want);
            for (size_t k = 0; k < r.length; k++) {
                const double d = (double)sum[k] / r.lattice.unit_scale - want[k];

                square += want[k] * want[k];
                off += d * d;
            }
            CU_ASSERT(sqrt(off / square) < (encoding == FM_DP_FAST ? 1e-2 : 1e-4));
            free(sum);
            free(want);
            fm_train_step_free(&s);
            text_rig_close(&r);
        }
}

/* Never more of a person's sequences than count; which, is drawn anew. */
static void of_a_long_person_a_few_sequences_count(void)
{
    const text_rig_plan p = { 4, 9, 9, .encoding = FM_DP_FAST };
    int64_t *a, *b;
    fm_train_step *s;
    text_rig r;

    text_rig_open(&r, &p);
    text_rig_keep(&r, 8, 9);
    r.spec.unit_rows = 2;
    s = text_rig_step(&r, 1);
    CU_ASSERT(s->facts.batch <= 2 * r.corpus.longest || s->facts.batch == s->facts.all);
    a = text_rig_sum(&r, s, 1, NULL);
    CU_ASSERT_EQUAL(s->sample.units, 0); /* forgotten */
    b = text_rig_sum(&r, s, 2, NULL);
    CU_ASSERT(!same(&r, a, b));
    CU_ASSERT(norm(a, r.length) <= (double)r.lattice.unit_sensitivity);
    fm_train_step_free(&s);
    free(a);
    free(b);
    text_rig_close(&r);
}

static void refused(text_rig *r, const char *words)
{
    fm_train_step *s = NULL;

    CU_ASSERT_EQUAL(fm_train_step_new(&r->spec, &s), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), words));
    CU_ASSERT_PTR_NULL(s);
}

static void what_cannot_be_is_refused(void)
{
    text_rig_plan p = { 4, 5, 1, .encoding = FM_DP_FAST };
    fm_decoder *worker = NULL;
    size_t kept;
    text_rig r;

    text_rig_open(&r, &p);
    r.spec.tail.start = true;
    refused(&r, "statistics round");
    r.spec.tail = (fm_train_tail){ .load_groups = 1, .load_experts = 6 };
    refused(&r, "loads");
    r.spec.tail = (fm_train_tail){ 0 };
    r.corpus.tokens[3] = 987654321; /* and what a text holds is not told */
    refused(&r, "vocabulary");
    CU_ASSERT_PTR_NULL(strstr(fm_error_text(), "987654321"));
    r.corpus.tokens[3] = (uint32_t)r.config.vocabulary;
    refused(&r, "vocabulary");
    r.corpus.tokens[3] = 0;
    kept = r.corpus.longest;
    r.corpus.longest = r.config.context + 1;
    refused(&r, "context");
    r.corpus.longest = kept;
    kept = r.corpus.sequences;
    r.corpus.sequences = 0;
    refused(&r, "no texts");
    r.corpus.sequences = kept;
    need(fm_decoder_new_worker(r.d, 8, &worker) == FM_OK, "a worker");
    r.spec.learner.decoder = worker;
    refused(&r, "of its own weights");
    fm_decoder_free(&worker);
    text_rig_close(&r);

    p.all = true;
    p.encoding = FM_DP_EXACT;
    text_rig_open(&r, &p);
    r.lattice.encoding = FM_DP_FAST;
    refused(&r, "exact");
    text_rig_close(&r);
}

static bool is_zero(const void *p, size_t bytes)
{
    const unsigned char *at = p;
    unsigned any = 0;

    for (size_t i = 0; i < bytes; i++)
        any |= at[i];
    return any == 0;
}

static void texts_are_wiped(void)
{
    for (int all = 0; all < 2; all++) {
        const text_rig_plan p = {
            4, 30, 3, .all = all, .tail = true, .encoding = all ? FM_DP_EXACT : FM_DP_FAST
        };
        fm_train_step *s;
        text_rig r;

        text_rig_open(&r, &p);
        s = text_rig_step(&r, 2);
        free(text_rig_sum(&r, s, 1, NULL));
        for (unsigned i = 0; i < fm_train_step_threads(s); i++) {
            const fm_train_texts *t = s->workers[i].model;

            CU_ASSERT(is_zero(t->tokens, t->batch * sizeof *t->tokens));
            CU_ASSERT(is_zero(t->ends, t->batch * sizeof *t->ends));
            CU_ASSERT(!all == !t->whole);
            CU_ASSERT(!all || is_zero(t->whole, t->whole_length * sizeof *t->whole));
            CU_ASSERT(is_zero(t->d->tokens, t->batch * sizeof *t->d->tokens));
            CU_ASSERT(is_zero(t->d->ends, sizeof *t->d->ends));
            CU_ASSERT(is_zero(fm_rows_at(&t->d->last, 0), r.config.width * sizeof(float)));
            CU_ASSERT(is_zero(s->workers[i].squares, s->batch_units * sizeof(double)));
            CU_ASSERT(!all || is_zero(s->workers[i].gradient, r.length * sizeof(float)));
        }
        CU_ASSERT(is_zero(s->sample.rows, r.corpus.sequences * sizeof *s->sample.rows));
        fm_train_step_free(&s);
        text_rig_close(&r);
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

static void nothing_of_texts_stays_on_a_stack(void)
{
    for (size_t which = 0; which < DECODER_SMALL; which += 4) {
        const text_rig_plan p = { which, 20, 3, .tail = true, .encoding = FM_DP_FAST };
        fm_rng rng = fm_rng_system();
        unsigned char *stack = aligned_alloc(4096, STACK);
        stack_run t = { .in.rng = &rng, .st = FM_EINTERNAL };
        pthread_attr_t attr;
        pthread_t thread;
        text_rig r;

        text_rig_open(&r, &p);
        t.s = text_rig_step(&r, 1);
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
        text_rig_close(&r);
        free(stack);
    }
}

static const fm_test tests[] = {
    { "any number of threads gives the same bits", any_number_of_threads_gives_the_same_bits },
    { "a person moves the sum by the sensitivity, and nobody else",
      a_person_moves_the_sum_by_the_sensitivity_and_nobody_else },
    { "without the clip nothing gets out", without_the_clip_nothing_gets_out },
    { "a person without a finite gradient is left out",
      a_person_without_a_finite_gradient_is_left_out },
    { "the sum is that of clipped gradients", the_sum_is_that_of_clipped_gradients },
    { "of a long person a few sequences count", of_a_long_person_a_few_sequences_count },
    { "what cannot be is refused", what_cannot_be_is_refused },
    { "texts are wiped", texts_are_wiped },
    { "nothing of texts stays on a stack", nothing_of_texts_stays_on_a_stack },
};

const fm_test_suite suite_texts = { "train.texts", tests, FM_TEST_COUNT(tests) };
