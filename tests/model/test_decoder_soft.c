/* Soft targets: the loss and its gradient against the plain decoder, and where they come from. */
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

#define TOKENS 33
#define SEQUENCES 3
#define MOST 211 /* the vocabulary */

/* A student, a batch, and what a teacher of other weights says of it. */
typedef struct {
    fm_decoder_config config;
    float *theta;
    double *wide; /* theta */
    size_t parameters;
    fm_decoder *d, *teacher;
    uint32_t tokens[TOKENS], ends[SEQUENCES];
    fm_decoder_batch batch;
    uint32_t named[TOKENS * MOST];
    float chances[TOKENS * MOST], rest[TOKENS];
    fm_decoder_soft soft;
} pair;

static fm_decoder *decoder_of(const fm_decoder_config *c, const float *theta, unsigned train)
{
    const fm_decoder_options o = { .max_tokens = TOKENS, .train = train };
    fm_decoder *d = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_decoder_new(c, &o, &d), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_set(d, theta, fm_decoder_get_layout(d)->parameters), FM_OK);
    return d;
}

static pair *begin(size_t which, double share, double temperature, size_t most)
{
    pair *p = calloc(1, sizeof *p);
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, 40 + which);
    float *other;

    p->config = decoder_small(which);
    p->theta = decoder_random(&p->config, 5 + which);
    other = decoder_random(&p->config, 500 + which);
    p->d = decoder_of(&p->config, p->theta, FM_TRAIN_ALL);
    p->teacher = decoder_of(&p->config, other, FM_TRAIN_NONE);
    p->parameters = fm_decoder_get_layout(p->d)->parameters;
    p->wide = calloc(p->parameters, sizeof *p->wide);
    for (size_t i = 0; i < p->parameters; i++)
        p->wide[i] = (double)p->theta[i];
    memcpy(p->ends, (uint32_t[]){ 9, 22, TOKENS }, sizeof p->ends);
    for (size_t i = 0; i < TOKENS; i++)
        p->tokens[i] = (uint32_t)fm_rng_below(&rng, p->config.vocabulary);
    p->batch = (fm_decoder_batch){ .tokens = p->tokens, .ends = p->ends, .sequences = SEQUENCES };
    p->soft = (fm_decoder_soft){ share, temperature, most, p->named, p->chances, p->rest };
    CU_ASSERT_EQUAL(
        fm_decoder_soften(p->teacher, &p->batch, temperature, most, p->named, p->chances, p->rest),
        FM_OK);
    free(other);
    return p;
}

static void end(pair *p)
{
    fm_decoder_free(&p->d);
    fm_decoder_free(&p->teacher);
    free(p->theta);
    free(p->wide);
    free(p);
}

static double plain_loss(const pair *p, size_t sequence)
{
    const size_t from = sequence ? p->ends[sequence - 1] : 0;

    return decoder_reference_soft_loss(&p->config, fm_decoder_get_layout(p->d), p->wide,
                                       p->tokens + from, p->ends[sequence] - from, &p->soft, from);
}

/* Share, temperature and tokens named. */
static const struct {
    double share, temperature;
    size_t most;
} settings[] = { { 1.0, 1.0, 5 }, { 0.5, 2.0, 7 }, { 0.9, 4.0, 211 },
                 { 0.0, 2.0, 3 }, { 0.3, 0.5, 1 }, { 1.0, 3.0, 64 } };

static void losses_are_those_of_the_plain_decoder(void)
{
    for (size_t k = 0; k < FM_TEST_COUNT(settings); k++) {
        pair *p =
            begin(k % DECODER_SMALL, settings[k].share, settings[k].temperature, settings[k].most);
        double losses[SEQUENCES];

        CU_ASSERT_EQUAL(fm_decoder_backward_soft(p->d, &p->batch, &p->soft, losses), FM_OK);
        for (size_t s = 0; s < SEQUENCES; s++)
            CU_ASSERT_DOUBLE_EQUAL(losses[s], plain_loss(p, s), 2e-5 * (1.0 + losses[s]));
        end(p);
    }
}

#define STEP 103 /* every so many weights */

static double slope(pair *p, size_t at, size_t sequence)
{
    const double h = 1e-5, was = p->wide[at];
    double up, down;

    p->wide[at] = was + h;
    up = plain_loss(p, sequence);
    p->wide[at] = was - h;
    down = plain_loss(p, sequence);
    p->wide[at] = was;
    return (up - down) / (2.0 * h);
}

static void gradients_are_the_slopes_of_the_plain_decoder(void)
{
    for (size_t k = 0; k < FM_TEST_COUNT(settings); k++) {
        pair *p =
            begin(k % DECODER_SMALL, settings[k].share, settings[k].temperature, settings[k].most);
        float *g = calloc(p->parameters, sizeof *g);
        double most = 0.0, worst = 0.0;

        CU_ASSERT_EQUAL(fm_decoder_backward_soft(p->d, &p->batch, &p->soft, NULL), FM_OK);
        fm_decoder_add_unit_gradient(p->d, NULL, 1, g);
        for (size_t i = 0; i < p->parameters; i++)
            most = fmax(most, fabs((double)g[i]));
        for (size_t i = k; i < p->parameters; i += STEP)
            worst = fmax(worst, fabs((double)g[i] - slope(p, i, 1)));
        CU_ASSERT(most > 0.0 && worst < 3e-5 * most);
        if (!(worst < 3e-5 * most))
            printf("\nsetting %zu: %g off, of %g\n", k, worst, most);
        free(g);
        end(p);
    }
}

/* Norms and sums that are computed stripe by stripe see the same gradient. */
static void norms_and_sums_are_of_the_same_gradient(void)
{
    pair *p = begin(0, 0.7, 2.0, 9);
    const float weights[SEQUENCES] = { 1.0f, 0.0f, 1.0f };
    float *sum = calloc(p->parameters, sizeof *sum), *apart = calloc(p->parameters, sizeof *sum);
    double squares[SEQUENCES], off = 0.0, square = 0.0;

    CU_ASSERT_EQUAL(fm_decoder_backward_soft(p->d, &p->batch, &p->soft, NULL), FM_OK);
    fm_decoder_unit_squares(p->d, NULL, 0, squares);
    fm_decoder_weighted_sum(p->d, NULL, 0, weights, sum);
    fm_decoder_add_unit_gradient(p->d, NULL, 2, apart);
    for (size_t i = 0; i < p->parameters; i++)
        square += (double)apart[i] * (double)apart[i];
    CU_ASSERT_DOUBLE_EQUAL(squares[2], square, 1e-5 * square);
    fm_decoder_add_unit_gradient(p->d, NULL, 0, apart);
    for (size_t i = 0; i < p->parameters; i++)
        off = fmax(off, fabs((double)sum[i] - (double)apart[i]));
    CU_ASSERT(off < 1e-5 * sqrt(square));
    free(sum);
    free(apart);
    end(p);
}

static void chunks_of_logits_change_nothing(void)
{
    pair *p = begin(3, 0.6, 2.0, 20);
    double losses[2][SEQUENCES];
    float *g[2], *chances = calloc(TOKENS * MOST, sizeof *chances);

    for (size_t i = 0; i < 2; i++) {
        g[i] = calloc(p->parameters, sizeof **g);
        p->d->head.chunk = i ? 7 : TOKENS;
        CU_ASSERT_EQUAL(fm_decoder_backward_soft(p->d, &p->batch, &p->soft, losses[i]), FM_OK);
        fm_decoder_add_unit_gradient(p->d, NULL, 2, g[i]);
    }
    CU_ASSERT_EQUAL(memcmp(losses[0], losses[1], sizeof losses[0]), 0);
    CU_ASSERT_EQUAL(memcmp(g[0], g[1], p->parameters * sizeof **g), 0);
    memcpy(chances, p->chances, sizeof p->chances);
    p->teacher->head.chunk = 5;
    CU_ASSERT_EQUAL(
        fm_decoder_soften(p->teacher, &p->batch, 2.0, 20, p->named, p->chances, p->rest), FM_OK);
    CU_ASSERT_EQUAL(memcmp(chances, p->chances, sizeof p->chances), 0);
    free(chances);
    free(g[0]);
    free(g[1]);
    end(p);
}

/* The most likely first, all probabilities of the softmax, together with the rest 1. */
static void a_teacher_names_its_most_likely_tokens(void)
{
    pair *p = begin(4, 1.0, 3.0, 10);
    const size_t v = p->config.vocabulary;
    float *logits = calloc(TOKENS * v, sizeof *logits);

    CU_ASSERT_EQUAL(fm_decoder_logits(p->teacher, &p->batch, logits), FM_OK);
    for (size_t i = 0; i < TOKENS; i++) {
        double all = 0.0, mass = (double)p->rest[i];

        for (size_t t = 0; t < v; t++)
            all += exp((double)logits[i * v + t] / 3.0);
        for (size_t k = 0; k < 10; k++) {
            const float z = logits[i * v + p->named[i * 10 + k]];
            size_t above = 0;

            for (size_t t = 0; t < v; t++)
                above += logits[i * v + t] > z;
            CU_ASSERT_EQUAL(above, k);
            CU_ASSERT_DOUBLE_EQUAL((double)p->chances[i * 10 + k], exp((double)z / 3.0) / all,
                                   1e-6);
            mass += (double)p->chances[i * 10 + k];
        }
        CU_ASSERT_DOUBLE_EQUAL(mass, 1.0, 1e-5);
    }
    free(logits);
    end(p);
}

/* Nothing is left to learn, and with all tokens named nothing is left over. */
static void a_student_that_is_its_teacher_has_no_gradient(void)
{
    pair *p = begin(2, 1.0, 2.0, 211);
    double losses[SEQUENCES], squares[SEQUENCES];

    CU_ASSERT_EQUAL(fm_decoder_soften(p->d, &p->batch, 2.0, 211, p->named, p->chances, p->rest),
                    FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_backward_soft(p->d, &p->batch, &p->soft, losses), FM_OK);
    fm_decoder_unit_squares(p->d, NULL, 0, squares);
    for (size_t i = 0; i < TOKENS; i++)
        CU_ASSERT_EQUAL(p->rest[i], 0.0f);
    for (size_t s = 0; s < SEQUENCES; s++)
        CU_ASSERT(fabs(losses[s]) < 1e-5 && squares[s] < 1e-9);
    end(p);
}

/* Next to an ordinary pass nothing of the soft targets is left. */
static void the_next_pass_has_none(void)
{
    pair *p = begin(1, 1.0, 2.0, 4);
    double before[SEQUENCES], after[SEQUENCES];

    CU_ASSERT_EQUAL(fm_decoder_backward(p->d, &p->batch, before), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_backward_soft(p->d, &p->batch, &p->soft, after), FM_OK);
    CU_ASSERT(after[0] != before[0]);
    CU_ASSERT_EQUAL(fm_decoder_backward(p->d, &p->batch, after), FM_OK);
    CU_ASSERT_EQUAL(memcmp(before, after, sizeof before), 0);
    end(p);
}

/* A logit far below all others: the loss is large, not infinite, and the gradient is a number. */
static void what_a_student_holds_impossible_is_finite(void)
{
    pair *p = begin(0, 1.0, 1.0, 1);
    const size_t head = fm_decoder_get_layout(p->d)->head, n = p->config.width;
    double losses[SEQUENCES], squares[SEQUENCES];

    for (size_t i = 0; i < p->config.vocabulary * n; i++)
        p->theta[head + i] *= 1e4f;
    CU_ASSERT_EQUAL(fm_decoder_set(p->d, p->theta, p->parameters), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_backward_soft(p->d, &p->batch, &p->soft, losses), FM_OK);
    fm_decoder_unit_squares(p->d, NULL, 0, squares);
    for (size_t s = 0; s < SEQUENCES; s++)
        CU_ASSERT(isfinite(losses[s]) && isfinite(squares[s]) && losses[s] > 10.0);
    end(p);
}

static void targets_that_cannot_be_are_refused(void)
{
    pair *p = begin(0, 1.0, 1.0, 4);
    fm_decoder_soft s;

#define REFUSED(change)                                                                  \
    do {                                                                                 \
        s = p->soft;                                                                     \
        change;                                                                          \
        CU_ASSERT_EQUAL(fm_decoder_backward_soft(p->d, &p->batch, &s, NULL), FM_EINVAL); \
    } while (0)
    REFUSED(s.share = 1.5);
    REFUSED(s.share = NAN);
    REFUSED(s.temperature = 0.0);
    REFUSED(s.temperature = NAN);
    REFUSED(s.most = 0);
    REFUSED(s.most = 212);
    REFUSED(s.most = FM_SOFT_MOST + 1);
    REFUSED(s.chances = NULL);
    CU_ASSERT_EQUAL(fm_decoder_backward_soft(p->d, &p->batch, NULL, NULL), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_decoder_backward_soft(p->teacher, &p->batch, &p->soft, NULL), FM_EINVAL);
    CU_ASSERT_EQUAL(
        fm_decoder_soften(p->teacher, &p->batch, 1.0, 212, p->named, p->chances, p->rest),
        FM_EINVAL);
    CU_ASSERT_EQUAL(fm_decoder_soften(p->teacher, &p->batch, 1.0, 4, p->named, NULL, p->rest),
                    FM_EINVAL);
    p->named[17] = 211;
    CU_ASSERT_EQUAL(fm_decoder_backward_soft(p->d, &p->batch, &p->soft, NULL), FM_EINVAL);
    end(p);
}

static const fm_test tests[] = {
    { "losses are those of the plain decoder", losses_are_those_of_the_plain_decoder },
    { "gradients are the slopes of the plain decoder",
      gradients_are_the_slopes_of_the_plain_decoder },
    { "norms and sums are of the same gradient", norms_and_sums_are_of_the_same_gradient },
    { "chunks of logits change nothing", chunks_of_logits_change_nothing },
    { "a teacher names its most likely tokens", a_teacher_names_its_most_likely_tokens },
    { "a student that is its teacher has no gradient",
      a_student_that_is_its_teacher_has_no_gradient },
    { "the next pass has none", the_next_pass_has_none },
    { "what a student holds impossible is finite", what_a_student_holds_impossible_is_finite },
    { "targets that cannot be are refused", targets_that_cannot_be_are_refused },
};
const fm_test_suite suite_decoder_soft = { "model.decoder_soft", tests, FM_TEST_COUNT(tests) };
