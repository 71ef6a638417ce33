/* Square adapters: their bases, their gradients beside those of the ordinary adapter that they are,
 * and out to PEFT. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_internal.h"
#include "decoder_world.h"
#include "fedmoe/model/adapter_terms.h"
#include "fm_test.h"
#include "folder_fixture.h"
#include "suites.h"

#define RANK 3
#define UNITS 5
#define EACH 9 /* tokens of a unit */
#define TOKENS (UNITS * EACH)

typedef struct {
    fm_decoder_config config;
    fm_decoder *d, *plain; /* square, and the ordinary adapter that computes the same */
    fm_decoder_options options;
    float *theta, *flat; /* of the base; of d's adapters */
    size_t trained, all;
    uint32_t tokens[TOKENS], ends[UNITS];
    fm_decoder_batch batch;
} pair;

static fm_decoder *decoder_of(const pair *p, const fm_decoder_options *o)
{
    fm_decoder *d = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_decoder_new(&p->config, o, &d), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_set(d, p->theta, fm_decoder_get_layout(d)->parameters), FM_OK);
    return d;
}

static size_t maps_of(const fm_decoder *d, size_t layer)
{
    return layer < d->s->config.dense_layers ? FM_MAP_EXPERT : FM_MAP_COUNT;
}

/* Of experts the second one stands for all. */
static const fm_map *map_at(const fm_decoder *d, size_t layer, size_t kind)
{
    const fm_map *m = fm_map_of(d, layer, kind, 1);

    return m->adapted ? m : NULL;
}

/* A and B R as they are in d, for all maps. */
static void copy_plain(const pair *p)
{
    float *from = calloc(p->all, sizeof *from), *to;
    const size_t n = fm_decoder_adapter_parameters(p->plain);

    to = calloc(n, sizeof *to);
    fm_decoder_adapters_get_plain(p->d, from);
    for (size_t i = 0; i < p->config.layers; i++)
        for (size_t k = 0; k < maps_of(p->d, i); k++)
            for (size_t e = 0; e < (k < FM_MAP_EXPERT ? 1 : p->config.experts); e++) {
                const fm_map *m = fm_map_of(p->d, i, k, e), *o = fm_map_of(p->plain, i, k, e);

                if (!m->adapted)
                    continue;
                memcpy(to + o->a.weight, from + m->a.weight, RANK * m->base.in * sizeof *to);
                memcpy(to + o->b.weight, from + m->b.weight, RANK * m->base.out * sizeof *to);
            }
    CU_ASSERT_EQUAL(fm_decoder_adapters_set(p->plain, to, n), FM_OK);
    free(from);
    free(to);
}

static void open_pair(pair *p, size_t which, bool moved)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 50 + which);

    memset(p, 0, sizeof *p);
    p->config = decoder_small(which);
    p->theta = decoder_random(&p->config, 7 + which);
    p->options = (fm_decoder_options){
        .max_tokens = TOKENS,
        .adapters = { .rank = RANK, .alpha = 5.0, .maps = FM_ADAPT_ALL, .square = true }
    };
    p->d = decoder_of(p, &p->options);
    CU_ASSERT_EQUAL(fm_decoder_adapters_init(p->d, &rng), FM_OK);
    p->trained = fm_decoder_gradient_parameters(p->d);
    p->all = fm_decoder_adapter_parameters(p->d);
    p->flat = calloc(p->all, sizeof *p->flat);
    fm_decoder_adapters_get(p->d, p->flat);
    for (size_t i = 0; moved && i < p->trained; i++)
        p->flat[i] = (float)(0.5 * fm_rng_normal(&rng));
    CU_ASSERT_EQUAL(fm_decoder_adapters_set_trained(p->d, p->flat, p->trained), FM_OK);
    p->options.adapters.square = false;
    p->plain = decoder_of(p, &p->options);
    copy_plain(p);
    for (size_t i = 0; i < TOKENS; i++)
        p->tokens[i] = (uint32_t)fm_rng_below(&rng, p->config.vocabulary);
    for (size_t u = 0; u < UNITS; u++)
        p->ends[u] = (uint32_t)((u + 1) * EACH);
    p->batch = (fm_decoder_batch){ .tokens = p->tokens, .ends = p->ends, .sequences = UNITS };
}

static void close_pair(pair *p)
{
    fm_decoder_free(&p->d);
    fm_decoder_free(&p->plain);
    free(p->theta);
    free(p->flat);
}

/* Most that a logit of a differs from one of b. */
static double apart(const pair *p, fm_decoder *a, fm_decoder *b)
{
    const size_t n = TOKENS * p->config.vocabulary;
    float *one = calloc(n, sizeof *one), *two = calloc(n, sizeof *two);
    double most;

    CU_ASSERT_EQUAL(fm_decoder_logits(a, &p->batch, one), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_logits(b, &p->batch, two), FM_OK);
    most = world_farthest(one, two, n);
    free(one);
    free(two);
    return most;
}

/* ---- the bases ---- */

/* How far `rank` vectors, element i of k at v[k * by + i * step], are from orthonormal. */
static double skew(const float *v, size_t rank, size_t n, size_t by, size_t step)
{
    double worst = 0.0;

    for (size_t j = 0; j < rank; j++)
        for (size_t k = 0; k < rank; k++) {
            double sum = 0.0;

            for (size_t i = 0; i < n; i++)
                sum += (double)v[j * by + i * step] * (double)v[k * by + i * step];
            worst = fmax(worst, fabs(sum - (j == k ? 1.0 : 0.0)));
        }
    return worst;
}

static void a_training_begins_at_the_base_with_orthonormal_constants(void)
{
    for (size_t which = 0; which < DECODER_SMALL; which++) {
        const fm_decoder_options none = { .max_tokens = TOKENS };
        fm_decoder *base;
        size_t maps = 0;
        pair p, again;

        open_pair(&p, which, false);
        open_pair(&again, which, false);
        CU_ASSERT(memcmp(p.flat, again.flat, p.all * sizeof *p.flat) == 0);
        for (size_t i = 0; i < p.trained; i++)
            CU_ASSERT_EQUAL(p.flat[i], 0.0f);
        for (size_t i = 0; i < p.config.layers; i++)
            for (size_t k = 0; k < maps_of(p.d, i); k++) {
                const fm_map *m = map_at(p.d, i, k);

                if (!m)
                    continue;
                CU_ASSERT(skew(p.flat + m->a.weight, RANK, m->base.in, m->base.in, 1) < 1e-6);
                CU_ASSERT(skew(p.flat + m->b.weight, RANK, m->base.out, 1, RANK) < 1e-6);
                maps++;
            }
        CU_ASSERT(maps >= 5);
        base = decoder_of(&p, &none);
        CU_ASSERT_EQUAL(apart(&p, p.d, base), 0.0);
        fm_decoder_free(&base);
        close_pair(&p);
        close_pair(&again);
    }
}

/* Of weights w of rank 2 the bases hold all: w = B B^T w A^T A. Of no weights there are bases, too. */
static void the_bases_are_those_of_the_largest_singular_vectors(void)
{
    enum { IN = 11, OUT = 7 };
    float w[OUT * IN], a[RANK * IN], b[OUT * RANK];
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 4);

    for (size_t o = 0; o < OUT; o++)
        for (size_t i = 0; i < IN; i++)
            w[o * IN + i] = (float)(sin((double)(o + 1)) * cos((double)i) +
                                    2.0 * cos((double)(3 * o)) * sin((double)(2 * i + 1)));
    CU_ASSERT_EQUAL(fm_square_begin(w, IN, OUT, RANK, &rng, a, b), FM_OK);
    CU_ASSERT(skew(a, RANK, IN, IN, 1) < 1e-6 && skew(b, RANK, OUT, 1, RANK) < 1e-6);
    for (size_t o = 0; o < OUT; o++)
        for (size_t i = 0; i < IN; i++) {
            double sum = 0.0;

            for (size_t j = 0; j < RANK; j++)
                for (size_t k = 0; k < RANK; k++)
                    for (size_t x = 0; x < OUT * IN; x++)
                        sum += (double)b[o * RANK + j] * (double)b[x / IN * RANK + j] *
                               (double)w[x] * (double)a[k * IN + x % IN] * (double)a[k * IN + i];
            CU_ASSERT(fabs(sum - (double)w[o * IN + i]) < 1e-5);
        }
    memset(w, 0, sizeof w);
    CU_ASSERT_EQUAL(fm_square_begin(w, IN, OUT, RANK, &rng, a, b), FM_OK);
    CU_ASSERT(skew(a, RANK, IN, IN, 1) < 1e-6 && skew(b, RANK, OUT, 1, RANK) < 1e-6);
}

/* ---- gradients ---- */

/* That of R from that of the ordinary adapter's B: B' = B R, so dR = B^T dB'. */
static void from_plain(const pair *p, const float *plain, double *want)
{
    for (size_t i = 0; i < p->config.layers; i++)
        for (size_t k = 0; k < maps_of(p->d, i); k++)
            for (size_t e = 0; e < (k < FM_MAP_EXPERT ? 1 : p->config.experts); e++) {
                const fm_map *m = fm_map_of(p->d, i, k, e), *o = fm_map_of(p->plain, i, k, e);

                for (size_t x = 0; m->adapted && x < m->base.out * RANK * RANK; x++) {
                    const size_t row = x / (RANK * RANK), j = x / RANK % RANK, c = x % RANK;

                    want[m->r.weight + j * RANK + c] +=
                        (double)p->flat[m->b.weight + row * RANK + j] *
                        (double)plain[o->b.weight + row * RANK + c];
                }
            }
}

/* A unit's own, from the ordinary adapter. */
static double *wanted(pair *p, size_t unit)
{
    const size_t n = fm_decoder_gradient_parameters(p->plain);
    float *plain = calloc(n, sizeof *plain);
    double *want = calloc(p->trained, sizeof *want);

    fm_decoder_add_unit_gradient(p->plain, NULL, unit, plain);
    from_plain(p, plain, want);
    free(plain);
    return want;
}

static double square_of(const double *g, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += g[i] * g[i];
    return sum;
}

/* Length of a - scale * b, to that of scale * b. */
static double off_by(const double *a, const double *b, double scale, size_t n)
{
    double off = 0.0;

    for (size_t i = 0; i < n; i++)
        off += (a[i] - scale * b[i]) * (a[i] - scale * b[i]);
    return sqrt(off / square_of(b, n)) / scale;
}

static void check_unit(pair *p, size_t unit, double norm, double *sum, float weight)
{
    static const double factor = 1e6;
    float *g = calloc(p->trained, sizeof *g);
    int32_t *steps = calloc(p->trained, sizeof *steps);
    double *got = calloc(p->trained, sizeof *got), *want = wanted(p, unit);
    double factors[UNITS] = { 0 };
    uint64_t squares[UNITS];

    fm_decoder_add_unit_gradient(p->d, NULL, unit, g);
    for (size_t i = 0; i < p->trained; i++) {
        got[i] = (double)g[i];
        sum[i] += (double)weight * want[i];
    }
    CU_ASSERT(off_by(got, want, 1.0, p->trained) < 1e-4);
    CU_ASSERT(fabs(norm / square_of(want, p->trained) - 1.0) < 2e-4);
    factors[unit] = factor;
    CU_ASSERT_EQUAL(
        fm_decoder_add_units(p->d, NULL, UNITS, factors, (int64_t)1 << 30, steps, squares), FM_OK);
    for (size_t i = 0; i < p->trained; i++)
        got[i] = (double)steps[i];
    CU_ASSERT(off_by(got, want, factor, p->trained) < 1e-2);
    free(g);
    free(steps);
    free(got);
    free(want);
}

static void gradients_norms_sums_and_integers_are_those_of_the_ordinary_adapter(void)
{
    static const float weights[UNITS] = { 1.0f, 0.25f, 0.0f, 0.5f, 2.0f };

    for (size_t which = 0; which < DECODER_SMALL; which++) {
        double squares[UNITS], *sum, *got;
        float *g;
        pair p;

        open_pair(&p, which, true);
        sum = calloc(p.trained, sizeof *sum);
        got = calloc(p.trained, sizeof *got);
        g = calloc(p.trained, sizeof *g);
        CU_ASSERT(apart(&p, p.d, p.plain) < 1e-4);
        CU_ASSERT_EQUAL(fm_decoder_backward(p.d, &p.batch, NULL), FM_OK);
        CU_ASSERT_EQUAL(fm_decoder_backward(p.plain, &p.batch, NULL), FM_OK);
        fm_decoder_unit_squares(p.d, NULL, 0, squares);
        for (size_t u = 0; u < UNITS; u++)
            check_unit(&p, u, squares[u], sum, weights[u]);
        fm_decoder_weighted_sum(p.d, NULL, 0, weights, g);
        for (size_t i = 0; i < p.trained; i++)
            got[i] = (double)g[i];
        CU_ASSERT(off_by(got, sum, 1.0, p.trained) < 1e-4);
        free(sum);
        free(got);
        free(g);
        close_pair(&p);
    }
}

static double all_losses(pair *p, const float *flat)
{
    double losses[UNITS], sum = 0.0;

    CU_ASSERT_EQUAL(fm_decoder_adapters_set_trained(p->d, flat, p->trained), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_losses(p->d, &p->batch, losses), FM_OK);
    for (size_t u = 0; u < UNITS; u++)
        sum += losses[u];
    return sum;
}

/* A step along the gradient: its slope is the square. */
static void the_gradient_is_the_slope_of_the_loss(void)
{
    static const float ones[UNITS] = { 1, 1, 1, 1, 1 };

    for (size_t which = 0; which < DECODER_SMALL; which++) {
        float *g, *moved, step;
        double square = 0.0, up, down;
        pair p;

        open_pair(&p, which, true);
        g = calloc(p.trained, sizeof *g);
        moved = calloc(p.trained, sizeof *moved);
        CU_ASSERT_EQUAL(fm_decoder_backward(p.d, &p.batch, NULL), FM_OK);
        fm_decoder_weighted_sum(p.d, NULL, 0, ones, g);
        for (size_t i = 0; i < p.trained; i++)
            square += (double)g[i] * (double)g[i];
        step = (float)(1e-3 / sqrt(square));
        for (size_t i = 0; i < p.trained; i++)
            moved[i] = p.flat[i] + step * g[i];
        up = all_losses(&p, moved);
        for (size_t i = 0; i < p.trained; i++)
            moved[i] = p.flat[i] - step * g[i];
        down = all_losses(&p, moved);
        CU_ASSERT(fabs((up - down) / (2.0 * (double)step) / square - 1.0) < 2e-2);
        free(g);
        free(moved);
        close_pair(&p);
    }
}

/* ---- out ---- */

static double merged_apart(pair *p)
{
    const fm_decoder_options none = { .max_tokens = TOKENS };
    fm_decoder *merged;
    double off;

    fm_decoder_adapters_merge(p->d, p->theta);
    merged = decoder_of(p, &none);
    off = apart(p, p->d, merged);
    fm_decoder_free(&merged);
    return off;
}

static void out_to_peft_and_merged_they_compute_the_same(void)
{
    for (size_t which = 0; which < DECODER_SMALL; which++) {
        const fm_adapter_about about = { .base = "base" };
        char root[DECODER_PATH], folder[DECODER_PATH];
        fm_adapter_file *a = NULL;
        fm_decoder *ordinary;
        pair p;

        open_pair(&p, which, true);
        if (p.config.family != FM_DECODER_GRANITEMOE) {
            fm_test_tmpdir(root, sizeof root);
            decoder_path(root, "out", folder);
            CU_ASSERT_EQUAL(
                fm_adapter_write(p.d, &fm_decoder_get_options(p.d)->adapters, &about, folder),
                FM_OK);
            CU_ASSERT_EQUAL_FATAL(fm_adapter_file_open(folder, &p.config, &a), FM_OK);
            p.options.adapters = fm_adapter_file_adapters(a);
            CU_ASSERT(p.options.adapters.rank == RANK && !p.options.adapters.square);
            ordinary = decoder_of(&p, &p.options);
            CU_ASSERT_EQUAL(fm_adapter_file_read(a, ordinary), FM_OK);
            CU_ASSERT(apart(&p, p.d, ordinary) < 1e-4);
            fm_decoder_free(&ordinary);
            fm_adapter_file_free(&a);
        }
        CU_ASSERT(merged_apart(&p) < 1e-4);
        close_pair(&p);
    }
}

static void a_plan_says_that_they_are_square(void)
{
    static const bool squares[] = { true, false };

    for (size_t i = 0; i < 2; i++) {
        fm_adapter_terms t = { .modules = "attention",
                               .rank = RANK,
                               .context = 16,
                               .alpha = 5.0,
                               .square = squares[i],
                               .seed = 9 },
                         got = { .square = !squares[i] };
        fm_buf text = { 0 };

        fm_buf_init(&text, 0);
        memset(t.base, 'a', sizeof t.base - 1);
        memset(t.tokenizer, 'b', sizeof t.tokenizer - 1);
        CU_ASSERT_EQUAL(fm_adapter_terms_write(&t, &text), FM_OK);
        CU_ASSERT_EQUAL(fm_adapter_terms_parse("plan", (const char *)text.data, &got), FM_OK);
        CU_ASSERT_EQUAL(got.square, squares[i]);
        CU_ASSERT(got.rank == RANK && got.alpha == 5.0 && got.seed == 9 && got.context == 16);
        CU_ASSERT_EQUAL(strstr((const char *)text.data, "square") != NULL, squares[i]);
        fm_buf_fini(&text);
    }
}

static void what_is_no_square_adapter_is_refused(void)
{
    fm_decoder_config config = decoder_small(0);
    fm_decoder_options o = { .max_tokens = 1,
                             .adapters = { .rank = 2,
                                           .alpha = 5.0,
                                           .maps = FM_ADAPT_ALL,
                                           .train_a = true,
                                           .square = true } };
    fm_decoder *d = NULL;

    CU_ASSERT_EQUAL(fm_decoder_new(&config, &o, &d), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "is a constant"));
    o.adapters.train_a = false;
    o.adapters.rank = config.width + 1;
    CU_ASSERT_EQUAL(fm_decoder_new(&config, &o, &d), FM_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "at most the smaller"));
    CU_ASSERT_PTR_NULL(d);
}

static const fm_test tests[] = {
    { "a training begins at the base with orthonormal constants",
      a_training_begins_at_the_base_with_orthonormal_constants },
    { "the bases are those of the largest singular vectors",
      the_bases_are_those_of_the_largest_singular_vectors },
    { "gradients, norms, sums and integers are those of the ordinary adapter",
      gradients_norms_sums_and_integers_are_those_of_the_ordinary_adapter },
    { "the gradient is the slope of the loss", the_gradient_is_the_slope_of_the_loss },
    { "out to PEFT and merged they compute the same",
      out_to_peft_and_merged_they_compute_the_same },
    { "a plan says that they are square", a_plan_says_that_they_are_square },
    { "what is no square adapter is refused", what_is_no_square_adapter_is_refused },
};
const fm_test_suite suite_decoder_square = { "model.decoder_square", tests, FM_TEST_COUNT(tests) };
