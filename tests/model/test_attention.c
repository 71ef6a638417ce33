/* Attention in tiles against attention written plainly, in double; and the decoder's kernels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attention.h"
#include "fm_test.h"
#include "kernel_levels_each.h"
#include "suites.h"

#define HEADS 4
#define KEYS 2
#define BEFORE 3 /* rows of another sequence */
#define LONGEST 130

typedef struct {
    fm_attend a;
    fm_heads q, k, v, gq, gk, gv;
    fm_rows out, gout;
    float *logs;
    size_t rows;
} rig;

static void carve(fm_carver *c, void *object)
{
    rig *r = object;

    fm_attend_carve(c, r->rows, true, &r->a);
    fm_heads_carve(c, HEADS, r->rows, r->a.query, &r->q);
    fm_heads_carve(c, KEYS, r->rows, r->a.query, &r->k);
    fm_heads_carve(c, KEYS, r->rows, r->a.value, &r->v);
    fm_heads_carve(c, HEADS, r->rows, r->a.query, &r->gq);
    fm_heads_carve(c, KEYS, r->rows, r->a.query, &r->gk);
    fm_heads_carve(c, KEYS, r->rows, r->a.value, &r->gv);
    fm_rows_carve(c, r->rows, 1, HEADS * r->a.value, &r->out);
    fm_rows_carve(c, r->rows, 1, HEADS * r->a.value, &r->gout);
    r->logs = fm_carve_floats(c, HEADS, r->rows);
}

static void fill_heads(fm_rng *rng, const fm_heads *h)
{
    for (size_t i = 0; i < h->heads; i++)
        for (size_t r = 0; r < h->rows; r++)
            fill(rng, fm_heads_at(h, i, r), h->n);
}

/* Probabilities of one head's queries, [length, length]. */
static void plain_weights(const rig *r, size_t head, size_t length, double *p)
{
    for (size_t i = 0; i < length; i++) {
        double sum = 0.0;

        for (size_t j = 0; j <= i; j++) {
            const float *q = fm_heads_at(&r->q, head, BEFORE + i);
            const float *k = fm_heads_at(&r->k, head / 2, BEFORE + j);
            double s = 0.0;

            for (size_t n = 0; n < r->q.n; n++)
                s += (double)q[n] * (double)k[n];
            sum += p[i * length + j] = exp(s * (double)r->a.scale);
        }
        for (size_t j = 0; j < length; j++)
            p[i * length + j] = j <= i ? p[i * length + j] / sum : 0.0;
    }
}

static double output(const rig *r, size_t head, size_t length, const double *p, size_t i, size_t n)
{
    double sum = 0.0;

    for (size_t j = 0; j <= i; j++)
        sum += p[i * length + j] * (double)fm_heads_at(&r->v, head / 2, BEFORE + j)[n];
    return sum;
}

/* Gradient of one head's score (i, j); the output is right, which is checked by itself. */
static double score_gradient(const rig *r, size_t head, double p, size_t i, size_t j)
{
    const float *g = fm_rows_at(&r->gout, BEFORE + i) + head * r->v.n;
    const float *out = fm_rows_at(&r->out, BEFORE + i) + head * r->v.n;
    const float *v = fm_heads_at(&r->v, head / 2, BEFORE + j);
    double sum = 0.0;

    for (size_t n = 0; n < r->v.n; n++)
        sum += (double)g[n] * ((double)v[n] - (double)out[n]);
    return p * sum;
}

/* One head's part of the gradients, taken away from what the tiles gave. */
static void take_away(const rig *r, size_t head, size_t length, const double *p)
{
    for (size_t i = 0; i < length; i++)
        for (size_t j = 0; j <= i; j++) {
            const double s = (double)r->a.scale * score_gradient(r, head, p[i * length + j], i, j);
            const float *q = fm_heads_at(&r->q, head, BEFORE + i);
            const float *k = fm_heads_at(&r->k, head / 2, BEFORE + j);
            const float *g = fm_rows_at(&r->gout, BEFORE + i) + head * r->v.n;

            for (size_t n = 0; n < r->q.n; n++) {
                fm_heads_at(&r->gq, head, BEFORE + i)[n] -= (float)(s * (double)k[n]);
                fm_heads_at(&r->gk, head / 2, BEFORE + j)[n] -= (float)(s * (double)q[n]);
            }
            for (size_t n = 0; n < r->v.n; n++)
                fm_heads_at(&r->gv, head / 2, BEFORE + j)[n] -=
                    (float)(p[i * length + j] * (double)g[n]);
        }
}

static double largest(const fm_heads *h, size_t length)
{
    double most = 0.0;

    for (size_t i = 0; i < h->heads; i++)
        for (size_t r = BEFORE; r < BEFORE + length; r++)
            for (size_t n = 0; n < h->n; n++)
                most = fmax(most, fabs((double)fm_heads_at(h, i, r)[n]));
    return most;
}

static void check(size_t length, size_t query, size_t value)
{
    rig r = {
        .a = { .heads = HEADS, .key_heads = KEYS, .query = query, .value = value, .scale = 0.7f },
        .rows = BEFORE + length
    };
    double *p = calloc(length * length, sizeof *p), off = 0.0;
    fm_arena *arena = NULL;
    fm_rng_seed state;
    fm_rng rng = seeded(&state, length);

    CU_ASSERT_EQUAL_FATAL(fm_carve_all(carve, &r, &arena), FM_OK);
    fill_heads(&rng, &r.q);
    fill_heads(&rng, &r.k);
    fill_heads(&rng, &r.v);
    for (size_t i = 0; i < r.rows; i++)
        fill(&rng, fm_rows_at(&r.gout, i), r.gout.n);
    fm_attend_forward(&r.a, &r.q, &r.k, &r.v, BEFORE, length, &r.out, r.logs);
    fm_attend_backward(&r.a, &r.q, &r.k, &r.v, BEFORE, length, &r.out, r.logs, &r.gout, &r.gq,
                       &r.gk, &r.gv);
    for (size_t head = 0; head < HEADS; head++) {
        plain_weights(&r, head, length, p);
        for (size_t i = 0; i < length; i++)
            for (size_t n = 0; n < value; n++)
                off = fmax(off, fabs((double)fm_rows_at(&r.out, BEFORE + i)[head * value + n] -
                                     output(&r, head, length, p, i, n)));
        take_away(&r, head, length, p);
    }
    CU_ASSERT(off < 1e-5);
    CU_ASSERT(largest(&r.gq, length) < 1e-4 && largest(&r.gk, length) < 1e-4 &&
              largest(&r.gv, length) < 1e-4);
    CU_ASSERT_EQUAL(fm_heads_at(&r.gq, 0, 0)[0], 0.0f); /* another sequence's */
    fm_arena_free(&arena);
    free(p);
}

static void tiles_are_plain_attention_for_every_length(void)
{
    for (size_t length = 1; length <= LONGEST; length++)
        check(length, length % 3 ? 6 : 40, length % 2 ? 5 : 36);
}

/* Scores so far apart that only the running maximum keeps them finite. */
static void large_scores_stay_finite(void)
{
    rig r = { .a = { .heads = HEADS, .key_heads = KEYS, .query = 8, .value = 8, .scale = 1.0f },
              .rows = BEFORE + 100 };
    fm_arena *arena = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_carve_all(carve, &r, &arena), FM_OK);
    for (size_t i = 0; i < r.rows; i++)
        for (size_t h = 0; h < HEADS; h++) {
            fm_heads_at(&r.q, h, i)[0] = 1e3f;
            fm_heads_at(&r.k, h / 2, i)[0] = (float)(i % 70);
            fm_heads_at(&r.v, h / 2, i)[0] = (float)i;
        }
    fm_attend_forward(&r.a, &r.q, &r.k, &r.v, 0, r.rows, &r.out, r.logs);
    for (size_t i = 0; i < r.rows; i++)
        CU_ASSERT_EQUAL(fm_rows_at(&r.out, i)[0], (float)(i < 70 ? i : 69));
    fm_arena_free(&arena);
}

/* ---- kernels ---- */

#define MOST 70

typedef struct {
    float y[MOST], z[MOST], w[MOST], sum;
} results;

static void run_all(const float *a, const float *b, const float *c, size_t n, results *r)
{
    memset(r, 0, sizeof *r);
    memcpy(r->y, a, n * sizeof *a);
    r->sum = fm_kernel_exp_sum(r->y, n, 0.5f);
    fm_kernel_gain_back(r->y, b, c, 0.7f, a, -0.3f, n);
    fm_kernel_add_product(r->y, 1.5f, b, c, n);
    fm_kernel_scale(r->y, 1.25f, n);
    r->sum += fm_kernel_dot3(a, b, c, n) + fm_kernel_most(a, n);
    r->sum += fm_kernel_swiglu_back(a, b, c, 0.6f, r->z, r->w, n);
    fm_kernel_score_back(r->z, a, 0.2f, n);
}

static void all_levels_compute_the_same_bits(void)
{
    float a[MOST], b[MOST], c[MOST];
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 3);
    results first, here;

    for (size_t n = 1; n <= MOST; n++) {
        fill(&rng, a, n);
        fill(&rng, b, n);
        fill(&rng, c, n);
        EACH_LEVEL(level)
        {
            run_all(a, b, c, n, level == FM_LEVEL_PORTABLE ? &first : &here);
            if (level != FM_LEVEL_PORTABLE)
                CU_ASSERT_EQUAL(memcmp(&here, &first, sizeof first), 0);
        }
    }
}

static void kernels_are_what_they_say(void)
{
    float a[MOST], b[MOST], c[MOST], h[MOST], gate[MOST], up[MOST], y[MOST];
    double dot = 0.0, sum = 0.0, scale_gradient = 0.0;
    fm_rng_seed state;
    fm_rng rng = seeded(&state, 4);

    fill(&rng, a, MOST);
    fill(&rng, b, MOST);
    fill(&rng, c, MOST);
    fm_kernel_swiglu(h, b, c, 0.5f, MOST);
    (void)fm_kernel_swiglu_back(a, b, c, 0.5f, gate, up, MOST);
    for (size_t i = 0; i < MOST; i++) {
        const double x = (double)b[i], s = 1.0 / (1.0 + exp(-x)), g = (double)a[i];

        CU_ASSERT_DOUBLE_EQUAL((double)h[i], 0.5 * x * s * (double)c[i], 1e-6);
        CU_ASSERT_DOUBLE_EQUAL((double)gate[i], 0.5 * g * (double)c[i] * s * (1.0 + x * (1.0 - s)),
                               1e-5);
        CU_ASSERT_DOUBLE_EQUAL((double)up[i], 0.5 * g * x * s, 1e-5);
        scale_gradient += g * x * s * (double)c[i];
        dot += g * x * (double)c[i];
        sum += exp((double)a[i] - 0.25);
    }
    CU_ASSERT_DOUBLE_EQUAL((double)fm_kernel_swiglu_back(a, b, c, 0.5f, gate, up, MOST),
                           scale_gradient, 1e-4);
    CU_ASSERT_DOUBLE_EQUAL((double)fm_kernel_dot3(a, b, c, MOST), dot, 1e-4);
    memcpy(y, a, sizeof y);
    CU_ASSERT_DOUBLE_EQUAL((double)fm_kernel_exp_sum(y, MOST, 0.25f), sum, 1e-3);
    CU_ASSERT_DOUBLE_EQUAL((double)y[69], exp((double)a[69] - 0.25), 1e-5);
    fm_kernel_gain(y, a, 2.0f, b, MOST);
    CU_ASSERT_EQUAL(y[33], b[33] * (a[33] * 2.0f));
    CU_ASSERT_EQUAL(fm_kernel_most(a, 0), -INFINITY);
}

static const fm_test tests[] = {
    { "tiles are plain attention for every length", tiles_are_plain_attention_for_every_length },
    { "large scores stay finite", large_scores_stay_finite },
    { "all levels compute the same bits", all_levels_compute_the_same_bits },
    { "kernels are what they say", kernels_are_what_they_say },
};
const fm_test_suite suite_attention = { "model.attention", tests, FM_TEST_COUNT(tests) };
