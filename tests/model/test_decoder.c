/* The decoder against one written plainly in double, its norms against written-down gradients, and
 * what it refuses. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_fixture.h"
#include "decoder_internal.h"
#include "decoder_reference.h"
#include "fedmoe/base/random.h"
#include "fm_test.h"
#include "suites.h"

#define TOKENS 41
#define SEQUENCES 4

/* A small model with weights, and a batch of four sequences, one of a single token. */
typedef struct {
    fm_decoder_config config;
    float *theta;
    fm_decoder *d;
    uint32_t tokens[TOKENS], ends[SEQUENCES];
    fm_decoder_batch batch;
    size_t parameters;
} small;

static void begin(small *s, size_t which, unsigned train, size_t rank)
{
    const fm_decoder_options o = {
        .max_tokens = TOKENS,
        .train = train,
        .adapters = { .rank = rank, .alpha = 3.0, .maps = FM_ADAPT_ALL, .train_a = rank % 2 }
    };
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 77 + which);

    *s = (small){ .config = decoder_small(which), .ends = { 9, 10, 27, TOKENS } };
    s->theta = decoder_random(&s->config, 5 + which);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_new(&s->config, &o, &s->d), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_set(s->d, s->theta, fm_decoder_get_layout(s->d)->parameters), FM_OK);
    for (size_t i = 0; i < TOKENS; i++) /* some of them again and again */
        s->tokens[i] = (uint32_t)fm_rng_below(&rng, i % 2 ? 7 : s->config.vocabulary);
    s->batch = (fm_decoder_batch){ .tokens = s->tokens, .ends = s->ends, .sequences = SEQUENCES };
    s->parameters = fm_decoder_gradient_parameters(s->d);
    if (rank) {
        const size_t n = fm_decoder_adapter_parameters(s->d);
        float *adapter = calloc(n, sizeof *adapter);

        for (size_t i = 0; i < n; i++)
            adapter[i] = (float)(0.3 * fm_rng_normal(&rng));
        CU_ASSERT_EQUAL(fm_decoder_adapters_set(s->d, adapter, n), FM_OK);
        free(adapter);
    }
}

static void end(small *s)
{
    fm_decoder_free(&s->d);
    free(s->theta);
}

static double *in_double(const small *s)
{
    const size_t n = fm_decoder_get_layout(s->d)->parameters;
    double *out = calloc(n, sizeof *out);

    for (size_t i = 0; i < n; i++)
        out[i] = (double)s->theta[i];
    return out;
}

static void losses_are_those_of_the_plain_decoder(void)
{
    for (size_t n = 0; n < DECODER_SMALL; n++) {
        small s;
        double losses[SEQUENCES], *theta;

        begin(&s, n, FM_TRAIN_NONE, 0);
        theta = in_double(&s);
        CU_ASSERT_EQUAL(fm_decoder_losses(s.d, &s.batch, losses), FM_OK);
        for (size_t q = 0; q < SEQUENCES; q++) {
            const size_t from = q ? s.ends[q - 1] : 0;

            CU_ASSERT_DOUBLE_EQUAL(losses[q],
                                   decoder_reference_loss(&s.config, fm_decoder_get_layout(s.d),
                                                          theta, s.tokens + from, s.ends[q] - from),
                                   1e-5);
        }
        free(theta);
        end(&s);
    }
}

/* The slope of the plain decoder's loss in one weight. */
static double slope(const small *s, double *theta, size_t at, size_t from, size_t length)
{
    const double h = 1e-5, was = theta[at];
    double up, down;

    theta[at] = was + h;
    up = decoder_reference_loss(&s->config, fm_decoder_get_layout(s->d), theta, s->tokens + from,
                                length);
    theta[at] = was - h;
    down = decoder_reference_loss(&s->config, fm_decoder_get_layout(s->d), theta, s->tokens + from,
                                  length);
    theta[at] = was;
    return (up - down) / (2.0 * h);
}

#define STEP 101 /* every so many weights */

static void gradients_are_the_slopes_of_the_plain_decoder(void)
{
    for (size_t n = 0; n < DECODER_SMALL; n++) {
        small s;
        double *theta, most = 0.0, worst = 0.0;
        float *g;

        begin(&s, n, FM_TRAIN_ALL, 0);
        theta = in_double(&s);
        g = calloc(s.parameters, sizeof *g);
        CU_ASSERT_EQUAL(fm_decoder_backward(s.d, &s.batch, NULL), FM_OK);
        fm_decoder_add_unit_gradient(s.d, NULL, 2, g);
        for (size_t i = 0; i < s.parameters; i++)
            most = fmax(most, fabs((double)g[i]));
        for (size_t i = n; i < s.parameters; i += STEP)
            worst = fmax(
                worst, fabs((double)g[i] - slope(&s, theta, i, s.ends[1], s.ends[2] - s.ends[1])));
        CU_ASSERT(worst < 2e-5 * most);
        if (!(worst < 2e-5 * most))
            printf("\nfamily %zu: %g off, of %g", n, worst, most);
        free(theta);
        free(g);
        end(&s);
    }
}

/* Squares of units' gradients that were written down. */
static void written_squares(const small *s, const uint32_t *units, size_t count, double *out)
{
    float *g = calloc(s->parameters, sizeof *g);

    for (size_t u = 0; u < count; u++) {
        memset(g, 0, s->parameters * sizeof *g);
        fm_decoder_add_unit_gradient(s->d, units, u, g);
        out[u] = 0.0;
        for (size_t i = 0; i < s->parameters; i++)
            out[u] += (double)g[i] * (double)g[i];
    }
    free(g);
}

static void check_norms(const small *s, const uint32_t *units, size_t count)
{
    double want[SEQUENCES], squares[SEQUENCES];
    float weights[SEQUENCES], *sum = calloc(s->parameters, sizeof *sum);
    float *apart = calloc(s->parameters, sizeof *apart);
    double off = 0.0, most = 0.0;

    written_squares(s, units, count, want);
    fm_decoder_unit_squares(s->d, units, count, squares);
    for (size_t u = 0; u < count; u++) {
        CU_ASSERT_DOUBLE_EQUAL(sqrt(squares[u]), sqrt(want[u]), 1e-5 * sqrt(want[u]));
        weights[u] = u == 1 ? 0.0f : 1.0f;
        if (u != 1)
            fm_decoder_add_unit_gradient(s->d, units, u, apart);
    }
    fm_decoder_weighted_sum(s->d, units, count, weights, sum);
    for (size_t i = 0; i < s->parameters; i++) {
        off = fmax(off, fabs((double)sum[i] - (double)apart[i]));
        most = fmax(most, fabs((double)sum[i]));
    }
    CU_ASSERT(most > 0.0 && off < 1e-5 * most);
    free(sum);
    free(apart);
}

static void norms_are_those_of_written_gradients(void)
{
    static const unsigned trained[] = { FM_TRAIN_ALL,       FM_TRAIN_EMBEDDING,
                                        FM_TRAIN_HEAD,      FM_TRAIN_NORMS,
                                        FM_TRAIN_ATTENTION, FM_TRAIN_EXPERTS | FM_TRAIN_ROUTER,
                                        FM_TRAIN_NONE,      FM_TRAIN_NONE };
    const uint32_t units[] = { 2, 3, 4 };

    for (size_t n = 0; n < DECODER_SMALL; n++)
        for (size_t t = 0; t < FM_TEST_COUNT(trained); t++) {
            small s;

            begin(&s, n, trained[t], trained[t] ? 0 : t - 4);
            CU_ASSERT_EQUAL(fm_decoder_backward(s.d, &s.batch, NULL), FM_OK);
            check_norms(&s, NULL, SEQUENCES);
            check_norms(&s, units, FM_TEST_COUNT(units));
            end(&s);
        }
}

/* With few rows in memory at once the head's gradients are computed again: to the same numbers. */
static void chunks_of_logits_change_nothing(void)
{
    for (size_t n = 0; n < DECODER_SMALL; n++) {
        small s;
        double losses[2][SEQUENCES], squares[2][SEQUENCES];
        float *g[2];

        begin(&s, n, FM_TRAIN_ALL, 0);
        for (size_t i = 0; i < 2; i++) {
            s.d->head.chunk = i ? 7 : TOKENS;
            g[i] = calloc(s.parameters, sizeof **g);
            CU_ASSERT_EQUAL(fm_decoder_backward(s.d, &s.batch, losses[i]), FM_OK);
            fm_decoder_unit_squares(s.d, NULL, 0, squares[i]);
            fm_decoder_add_unit_gradient(s.d, NULL, 3, g[i]);
        }
        CU_ASSERT_EQUAL(memcmp(losses[0], losses[1], sizeof losses[0]), 0);
        CU_ASSERT_EQUAL(memcmp(squares[0], squares[1], sizeof squares[0]), 0);
        CU_ASSERT_EQUAL(memcmp(g[0], g[1], s.parameters * sizeof **g), 0);
        free(g[0]);
        free(g[1]);
        end(&s);
    }
}

/* Weights of 1 / (length - 1) are the mean; a weight of 0 leaves its token out. */
static void tokens_have_weights(void)
{
    small s;
    double mean[SEQUENCES], losses[SEQUENCES], apart[SEQUENCES];
    float weights[TOKENS];

    begin(&s, 0, FM_TRAIN_NONE, 0);
    CU_ASSERT_EQUAL(fm_decoder_losses(s.d, &s.batch, mean), FM_OK);
    s.batch.weights = weights;
    for (size_t i = 0; i < TOKENS; i++)
        weights[i] = 1.0f;
    CU_ASSERT_EQUAL(fm_decoder_losses(s.d, &s.batch, losses), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(losses[0] / 8.0, mean[0], 1e-5);
    CU_ASSERT_EQUAL(losses[1], 0.0);
    weights[12] = 0.0f; /* in the third sequence */
    CU_ASSERT_EQUAL(fm_decoder_losses(s.d, &s.batch, apart), FM_OK);
    CU_ASSERT_EQUAL(apart[0], losses[0]);
    CU_ASSERT(apart[2] < losses[2]);
    for (size_t i = 0; i < TOKENS; i++)
        weights[i] = i == 12 ? 1.0f : 0.0f;
    CU_ASSERT_EQUAL(fm_decoder_losses(s.d, &s.batch, losses), FM_OK);
    CU_ASSERT_EQUAL(losses[0], 0.0);
    CU_ASSERT(losses[2] > 0.0);
    end(&s);
}

static void batches_that_do_not_fit_are_refused(void)
{
    small s;
    double losses[SEQUENCES];
    uint32_t tokens[400] = { 0 }, ends[] = { TOKENS + 1, 0 };
    const fm_decoder_options o = { .max_tokens = 400 };
    fm_decoder_batch b = { .tokens = tokens, .ends = ends, .sequences = 1 };
    fm_decoder *wide = NULL;

    begin(&s, 3, FM_TRAIN_NONE, 0);
    CU_ASSERT_EQUAL(fm_decoder_losses(s.d, &b, losses), FM_EINVAL); /* more than max_tokens */
    ends[0] = UINT32_MAX;
    CU_ASSERT_EQUAL(fm_decoder_losses(s.d, &b, losses), FM_EINVAL);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_new(&s.config, &o, &wide), FM_OK);
    ends[0] = (uint32_t)s.config.context + 1; /* longer than the context */
    CU_ASSERT_EQUAL(fm_decoder_losses(wide, &b, losses), FM_EINVAL);
    ends[0]--;
    CU_ASSERT_EQUAL(fm_decoder_losses(wide, &b, losses), FM_OK);
    b.sequences = 2; /* the second ends before it begins */
    CU_ASSERT_EQUAL(fm_decoder_losses(wide, &b, losses), FM_EINVAL);
    b.sequences = 1;
    tokens[3] = (uint32_t)s.config.vocabulary;
    CU_ASSERT_EQUAL(fm_decoder_losses(wide, &b, losses), FM_EINVAL);
    tokens[3] = 0;
    CU_ASSERT_EQUAL(fm_decoder_backward(wide, &b, losses), FM_EINVAL); /* forward only */
    b.sequences = 0;                                                   /* a sample can be empty */
    CU_ASSERT_EQUAL(fm_decoder_losses(wide, &b, losses), FM_OK);
    fm_decoder_free(&wide);
    end(&s);
}

static void an_empty_batch_has_no_gradient(void)
{
    small s;
    const fm_decoder_batch none = { 0 };
    float *g;

    begin(&s, 4, FM_TRAIN_ALL, 0);
    g = calloc(s.parameters, sizeof *g);
    g[0] = 1.0f;
    CU_ASSERT_EQUAL(fm_decoder_backward(s.d, &none, NULL), FM_OK);
    fm_decoder_unit_squares(s.d, NULL, 0, NULL);
    fm_decoder_weighted_sum(s.d, NULL, 0, NULL, g);
    for (size_t i = 0; i < s.parameters; i++)
        CU_ASSERT_EQUAL_FATAL(g[i], 0.0f);
    free(g);
    end(&s);
}

static void weights_that_are_no_numbers_are_refused(void)
{
    small s;
    float *back;
    const size_t last = TOKENS;

    begin(&s, 2, FM_TRAIN_NONE, 0);
    back = calloc(s.parameters, sizeof *back);
    s.theta[last] = NAN;
    CU_ASSERT_EQUAL(fm_decoder_set(s.d, s.theta, s.parameters), FM_ENONFINITE);
    CU_ASSERT_EQUAL(fm_decoder_set(s.d, s.theta, s.parameters - 1), FM_EINVAL);
    fm_decoder_get(s.d, back);
    CU_ASSERT(isfinite(back[last]));
    fm_decoder_weights(s.d)[last] = INFINITY;
    CU_ASSERT_EQUAL(fm_decoder_refresh(s.d), FM_ENONFINITE);
    free(back);
    end(&s);
}

static void configurations_that_cannot_be_are_refused(void)
{
    fm_decoder_config c;
    fm_decoder_layout l;

#define REFUSED(which, change)                                      \
    do {                                                            \
        c = decoder_small(which);                                   \
        CU_ASSERT_EQUAL(fm_decoder_config_check(&c), FM_OK);        \
        change;                                                     \
        CU_ASSERT_EQUAL(fm_decoder_config_check(&c), FM_EINVAL);    \
        CU_ASSERT_EQUAL(fm_decoder_layout_make(&c, &l), FM_EINVAL); \
    } while (0)
    REFUSED(0, c.vocabulary = 0);
    REFUSED(0, c.key_heads = 3);
    REFUSED(0, c.rotary = 4);
    REFUSED(0, c.norm_epsilon = NAN);
    REFUSED(0, c.top_k = 7);
    REFUSED(0, c.correction_bias = true);
    REFUSED(2, c.rotary = 3);
    REFUSED(2, c.key_value_rank = 0);
    REFUSED(2, c.group_count = 4);
    REFUSED(2, c.groups_chosen = 4);
    REFUSED(2, c.dense_hidden = 0);
    REFUSED(4, (c.group_count = 6, c.groups_chosen = 6)); /* groups of one have no best two */
    REFUSED(4, (c.top_k = 5));
    REFUSED(3, c.rope.factor = 0.5);
    REFUSED(3, c.rope.original_context = 0.0);
}

/* Nothing of a batch stays; the weights do. */
static void a_forgotten_batch_leaves_nothing(void)
{
    small s;
    double before[SEQUENCES], after[SEQUENCES], squares[SEQUENCES];
    size_t left = 0;

    begin(&s, 3, FM_TRAIN_ALL, 0);
    CU_ASSERT_EQUAL(fm_decoder_backward(s.d, &s.batch, before), FM_OK);
    fm_decoder_unit_squares(s.d, NULL, 0, squares);
    fm_decoder_forget(s.d);
    for (size_t i = 0; i < TOKENS; i++)
        left += s.d->tokens[i] || s.d->head_in.v[i] != 0.0f || s.d->layers[1].q.v[i] != 0.0f;
    CU_ASSERT_EQUAL(left, 0);
    CU_ASSERT_EQUAL(fm_decoder_backward(s.d, &s.batch, after), FM_OK);
    CU_ASSERT_EQUAL(memcmp(before, after, sizeof before), 0);
    end(&s);
}

/* All layers dense: a model without experts. */
static void a_decoder_may_have_no_experts(void)
{
    const fm_decoder_options o = { .max_tokens = 12, .train = FM_TRAIN_ALL };
    fm_decoder_config c = decoder_small(2);
    const uint32_t tokens[12] = { 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8 }, length = 12;
    const fm_decoder_batch b = { .tokens = tokens, .ends = &length, .sequences = 1 };
    fm_decoder *d = NULL;
    float *theta, *g;
    double *wide, loss, square, up;
    size_t p;

    c.dense_layers = c.layers;
    c.experts = c.top_k = c.expert_hidden = c.shared_hidden = 0;
    theta = decoder_random(&c, 8);
    CU_ASSERT_EQUAL_FATAL(fm_decoder_new(&c, &o, &d), FM_OK);
    p = fm_decoder_get_layout(d)->parameters;
    wide = calloc(p, sizeof *wide);
    g = calloc(p, sizeof *g);
    for (size_t i = 0; i < p; i++)
        wide[i] = (double)theta[i];
    CU_ASSERT_EQUAL(fm_decoder_set(d, theta, p), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_backward(d, &b, &loss), FM_OK);
    CU_ASSERT_DOUBLE_EQUAL(
        loss, decoder_reference_loss(&c, fm_decoder_get_layout(d), wide, tokens, length), 1e-5);
    fm_decoder_unit_squares(d, NULL, 1, &square);
    fm_decoder_add_unit_gradient(d, NULL, 0, g);
    loss = decoder_reference_loss(&c, fm_decoder_get_layout(d), wide, tokens, length);
    for (size_t i = 0; i < p; i++) /* a step along the gradient: its slope is the square */
        wide[i] += 1e-6 * (double)g[i];
    up = decoder_reference_loss(&c, fm_decoder_get_layout(d), wide, tokens, length);
    CU_ASSERT_DOUBLE_EQUAL((up - loss) / 1e-6, square, 1e-3 * square);
    CU_ASSERT_EQUAL(fm_decoder_active_parameters(&c, fm_decoder_get_layout(d)),
                    p - (c.vocabulary - 1) * c.width);
    free(theta);
    free(wide);
    free(g);
    fm_decoder_free(&d);
}

static const fm_test tests[] = {
    { "losses are those of the plain decoder", losses_are_those_of_the_plain_decoder },
    { "gradients are the slopes of the plain decoder",
      gradients_are_the_slopes_of_the_plain_decoder },
    { "norms are those of written gradients", norms_are_those_of_written_gradients },
    { "chunks of logits change nothing", chunks_of_logits_change_nothing },
    { "tokens have weights", tokens_have_weights },
    { "batches that do not fit are refused", batches_that_do_not_fit_are_refused },
    { "an empty batch has no gradient", an_empty_batch_has_no_gradient },
    { "weights that are no numbers are refused", weights_that_are_no_numbers_are_refused },
    { "configurations that cannot be are refused", configurations_that_cannot_be_are_refused },
    { "a forgotten batch leaves nothing", a_forgotten_batch_leaves_nothing },
    { "a decoder may have no experts", a_decoder_may_have_no_experts },
};
const fm_test_suite suite_decoder = { "model.decoder", tests, FM_TEST_COUNT(tests) };
