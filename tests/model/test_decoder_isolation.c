/* One sequence's logits, loss, gradient, norm and integers are that sequence's alone, bit for bit:
 * whatever else is in the batch, its place there, and whatever other threads compute. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_fixture.h"
#include "fedmoe/base/random.h"
#include "fedmoe/base/threads.h"
#include "fm_test.h"
#include "suites.h"

#define POOL 12
#define LONGEST 70 /* more than a tile */
#define MOST 500
#define TRIALS 4
#define LIMIT ((int64_t)1 << 24)
#define FACTOR 3e5

typedef struct {
    float *gradient, *logits;
    int32_t *integers;
    double loss, square;
    uint64_t integer_square;
} result;

typedef struct {
    fm_decoder_config config;
    fm_decoder *d;
    size_t parameters;
    uint32_t tokens[POOL][LONGEST], lengths[POOL];
    result alone[POOL];
} pool;

static void compute(const pool *p, fm_decoder *d, const uint32_t *tokens, const uint32_t *ends,
                    size_t sequences, size_t s, result *r)
{
    const fm_decoder_batch b = { .tokens = tokens, .ends = ends, .sequences = sequences };
    const size_t v = p->config.vocabulary;
    double losses[MOST], squares[MOST];
    float *logits = calloc(sequences * v, sizeof *logits);

    r->gradient = calloc(p->parameters, sizeof *r->gradient);
    r->logits = calloc(v, sizeof *r->logits);
    CU_ASSERT_EQUAL(fm_decoder_last_logits(d, &b, logits), FM_OK);
    memcpy(r->logits, logits + s * v, v * sizeof *logits);
    CU_ASSERT_EQUAL(fm_decoder_backward(d, &b, losses), FM_OK);
    fm_decoder_unit_squares(d, NULL, 0, squares);
    fm_decoder_add_unit_gradient(d, NULL, s, r->gradient);
    r->loss = losses[s];
    r->square = squares[s];
    free(logits);
}

/* Those of one sequence: the others' factors are 0. */
static void compute_integers(const pool *p, fm_decoder *d, size_t sequences, size_t s, result *r)
{
    double factors[MOST] = { 0.0 };
    uint64_t squares[MOST];

    r->integers = calloc(p->parameters, sizeof *r->integers);
    factors[s] = FACTOR;
    CU_ASSERT_EQUAL(fm_decoder_add_units(d, NULL, sequences, factors, LIMIT, r->integers, squares),
                    FM_OK);
    r->integer_square = squares[s];
}

static void release(result *r)
{
    free(r->gradient);
    free(r->logits);
    free(r->integers);
    memset(r, 0, sizeof *r);
}

static bool same(const pool *p, const result *a, const result *b)
{
    return memcmp(a->gradient, b->gradient, p->parameters * sizeof *a->gradient) == 0 &&
           memcmp(a->logits, b->logits, p->config.vocabulary * sizeof *a->logits) == 0 &&
           a->loss == b->loss && a->square == b->square &&
           (!a->integers ||
            (a->integer_square == b->integer_square &&
             memcmp(a->integers, b->integers, p->parameters * sizeof *a->integers) == 0));
}

static void begin(pool *p, size_t which, unsigned train, size_t rank, bool square, bool integers)
{
    const fm_decoder_options o = {
        .max_tokens = MOST,
        .train = train,
        .adapters = { .rank = rank, .alpha = 3.0, .maps = FM_ADAPT_ALL, .square = square }
    };
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 31 + which);
    float *theta, *adapter;
    size_t n;

    memset(p, 0, sizeof *p);
    p->config = decoder_small(which);
    theta = decoder_random(&p->config, 9 + which);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_new(&p->config, &o, &p->d), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_set(p->d, theta, fm_decoder_get_layout(p->d)->parameters), FM_OK);
    free(theta);
    p->parameters = fm_decoder_gradient_parameters(p->d);
    n = fm_decoder_adapter_parameters(p->d);
    adapter = calloc(n + 1, sizeof *adapter);
    for (size_t i = 0; i < n; i++)
        adapter[i] = (float)(0.3 * fm_rng_normal(&rng));
    if (rank)
        CU_ASSERT_EQUAL(fm_decoder_adapters_set(p->d, adapter, n), FM_OK);
    free(adapter);
    for (size_t s = 0; s < POOL; s++) {
        p->lengths[s] = 2 + (uint32_t)fm_rng_below(&rng, LONGEST - 1);
        for (size_t i = 0; i < LONGEST; i++)
            p->tokens[s][i] = (uint32_t)fm_rng_below(&rng, p->config.vocabulary);
        compute(p, p->d, p->tokens[s], &p->lengths[s], 1, 0, &p->alone[s]);
        if (integers)
            compute_integers(p, p->d, 1, 0, &p->alone[s]);
    }
}

static void finish(pool *p)
{
    for (size_t s = 0; s < POOL; s++)
        release(&p->alone[s]);
    fm_decoder_free(&p->d);
}

/* Sequences of the pool, any of them, one after the other. @return how many. */
static size_t draw(const pool *p, fm_rng *rng, uint32_t *tokens, uint32_t *ends, size_t *drawn)
{
    size_t n = 0;

    for (uint32_t rows = 0;; n++) {
        const size_t s = (size_t)fm_rng_below(rng, POOL);

        if (rows + p->lengths[s] > MOST || (n && fm_rng_below(rng, 12) == 0))
            return n;
        memcpy(tokens + rows, p->tokens[s], p->lengths[s] * sizeof *tokens);
        rows += p->lengths[s];
        ends[n] = rows;
        drawn[n] = s;
    }
}

static size_t differing(const pool *p, fm_decoder *d, fm_rng *rng, bool integers)
{
    uint32_t tokens[MOST], ends[MOST];
    size_t drawn[MOST], bad = 0;
    const size_t n = draw(p, rng, tokens, ends, drawn);

    for (size_t k = 0; k < 3; k++) {
        const size_t s = (size_t)fm_rng_below(rng, n);
        result r = { 0 };

        compute(p, d, tokens, ends, n, s, &r);
        if (integers)
            compute_integers(p, d, n, s, &r);
        bad += !same(p, &r, &p->alone[drawn[s]]);
        release(&r);
    }
    return bad;
}

static void other_sequences_leave_everything_bit_identical(void)
{
    for (size_t n = 0; n < DECODER_SMALL; n++)
        for (size_t kind = 0; kind < 4; kind++) { /* all, linear maps, adapters, square */
            static const unsigned maps = FM_TRAIN_ATTENTION | FM_TRAIN_ROUTER | FM_TRAIN_EXPERTS |
                                         FM_TRAIN_SHARED | FM_TRAIN_DENSE;
            fm_rng_seed state;
            fm_rng rng = fm_rng_seeded(&state, 400 + n);
            size_t bad = 0;
            pool p;

            begin(&p, n,
                  kind == 0   ? FM_TRAIN_ALL
                  : kind == 1 ? maps
                              : FM_TRAIN_NONE,
                  kind == 2   ? 4
                  : kind == 3 ? 3
                              : 0,
                  kind == 3, kind > 0);
            for (int t = 0; t < TRIALS; t++)
                bad += differing(&p, p.d, &rng, kind > 0);
            CU_ASSERT_EQUAL(bad, 0);
            finish(&p);
        }
}

typedef struct {
    const pool *p;
    fm_decoder *worker[2];
    size_t bad[2];
} crew;

static fm_status job(void *ctx, unsigned thread, size_t number)
{
    crew *c = ctx;
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 900 + number);

    c->bad[thread] += differing(c->p, c->worker[thread], &rng, true);
    return FM_OK;
}

static void workers_in_threads_compute_the_same(void)
{
    pool p;
    crew c = { .p = &p };
    fm_threads *threads = NULL;

    begin(&p, 5, FM_TRAIN_NONE, 4, false, true);
    for (size_t i = 0; i < 2; i++)
        CU_ASSERT_EQUAL_FATAL(fm_decoder_new_worker(p.d, MOST, &c.worker[i]), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_set(c.worker[0], NULL, 0), FM_EINVAL);
    CU_ASSERT_PTR_NULL(fm_decoder_weights(c.worker[0]));
    CU_ASSERT_EQUAL_FATAL(fm_threads_new(2, &threads), FM_OK);
    CU_ASSERT_EQUAL(fm_threads_run(threads, 12, job, &c), FM_OK);
    CU_ASSERT_EQUAL(c.bad[0] + c.bad[1], 0);
    fm_threads_free(&threads);
    fm_decoder_free(&c.worker[0]);
    fm_decoder_free(&c.worker[1]);
    finish(&p);
}

/* Integers over their factor are the gradient, but for the rounding; their squares are exact. */
static void integers_are_the_gradient(void)
{
    for (size_t n = 0; n < DECODER_SMALL; n++) {
        pool p;

        begin(&p, n, FM_TRAIN_NONE, 4, false, true);
        for (size_t s = 0; s < POOL; s++) {
            const result *r = &p.alone[s];
            double off = 0.0, size = 0.0;
            uint64_t square = 0;

            for (size_t i = 0; i < p.parameters; i++) {
                const double g = (double)r->gradient[i];

                off += pow((double)r->integers[i] / FACTOR - g, 2.0);
                size += g * g;
                square += (uint64_t)((int64_t)r->integers[i] * r->integers[i]);
            }
            CU_ASSERT(sqrt(off) < 0.03 * sqrt(size));
            CU_ASSERT_EQUAL(square, r->integer_square);
            CU_ASSERT(square > 0 && square <= (uint64_t)(LIMIT * LIMIT));
        }
        finish(&p);
    }
}

static void what_has_no_integers_says_so(void)
{
    pool p;
    double factor = 1.0;
    uint64_t square;

    begin(&p, 0, FM_TRAIN_ALL, 0, false, false);
    CU_ASSERT_EQUAL(fm_decoder_add_units(p.d, NULL, 1, &factor, LIMIT, NULL, &square), FM_EINVAL);
    finish(&p);
}

static const fm_test tests[] = {
    { "other sequences leave everything bit-identical",
      other_sequences_leave_everything_bit_identical },
    { "workers in threads compute the same", workers_in_threads_compute_the_same },
    { "integers are the gradient", integers_are_the_gradient },
    { "what has no integers says so", what_has_no_integers_says_so },
};
const fm_test_suite suite_decoder_isolation = { "model.decoder_isolation", tests,
                                                FM_TEST_COUNT(tests) };
