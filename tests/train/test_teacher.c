/* Lessons of a teacher, and the texts that a decoder writes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_fixture.h"
#include "fedmoe/train/author.h"
#include "fedmoe/train/run.h"
#include "suites.h"
#include "teacher.h"
#include "text_rig.h"

static const text_rig_plan plan = {
    .which = 4, .people = 12, .most = 3, .all = true, .tail = true, .encoding = FM_DP_EXACT
};

#define KEEP_ALL ((size_t)1 << 28)

static fm_decoder *other_decoder(const fm_decoder_config *c, uint64_t seed)
{
    const fm_decoder_options o = { .max_tokens = 1 };
    float *theta = decoder_random(c, seed);
    fm_decoder *d = NULL;

    need(fm_decoder_new(c, &o, &d) == FM_OK &&
             fm_decoder_set(d, theta, fm_decoder_get_layout(d)->parameters) == FM_OK,
         "a teacher");
    free(theta);
    return d;
}

static fm_teacher *teach(text_rig *r, const fm_decoder *model, size_t kept, double share)
{
    const fm_teaching t = { .share = share, .temperature = 2.0, .most = 16, .kept_bytes = kept };
    fm_teacher *out = NULL;

    need(fm_teacher_new(model, &r->corpus, &t, &out) == FM_OK, "a teacher");
    r->spec.learner = fm_learner_taught(r->d, &r->corpus, out);
    return out;
}

static int64_t *sum_of(text_rig *r, unsigned threads, size_t times)
{
    fm_train_step *s = text_rig_step(r, threads);
    int64_t *sum = NULL;

    for (size_t i = 0; i < times; i++) {
        free(sum);
        sum = text_rig_sum(r, s, 7, NULL);
    }
    fm_train_step_free(&s);
    return sum;
}

/* Kept or computed each time, the first time or a later one, by one thread or three. */
static void the_sum_does_not_depend_on_what_is_kept(void)
{
    text_rig r;
    fm_decoder *model;
    int64_t *sums[4], *plain;

    text_rig_open(&r, &plan);
    model = other_decoder(&r.config, 50);
    plain = sum_of(&r, 1, 1);
    for (size_t i = 0; i < 4; i++) {
        fm_teacher *t = teach(&r, model, i % 2 ? KEEP_ALL : 0, 0.8);

        sums[i] = sum_of(&r, i < 2 ? 1 : 3, 1 + i / 2);
        fm_teacher_free(&t);
        CU_ASSERT_EQUAL(memcmp(sums[0], sums[i], r.length * sizeof **sums), 0);
    }
    CU_ASSERT_NOT_EQUAL(memcmp(sums[0], plain, r.length * sizeof *plain), 0);
    for (size_t i = 0; i < 4; i++)
        free(sums[i]);
    free(plain);
    fm_decoder_free(&model);
    text_rig_close(&r);
}

/* What a charge rests on. */
static void a_persons_part_is_of_their_texts_alone(void)
{
    text_rig r;
    fm_decoder *model;
    fm_teacher *t;
    int64_t *all, *apart;

    text_rig_open(&r, &plan);
    model = other_decoder(&r.config, 51);
    t = teach(&r, model, KEEP_ALL, 1.0);
    all = sum_of(&r, 2, 1);
    fm_teacher_free(&t);
    text_rig_close(&r);
    apart = calloc(r.length, sizeof *apart);
    for (size_t i = 0; i < 2; i++) {
        int64_t *part;

        text_rig_open(&r, &plan);
        text_rig_keep(&r, i ? 5 : 0, i ? plan.people : 5);
        t = teach(&r, model, i ? KEEP_ALL : 0, 1.0);
        part = sum_of(&r, 1, 1);
        for (size_t k = 0; k < r.length; k++)
            apart[k] += part[k];
        free(part);
        fm_teacher_free(&t);
        text_rig_close(&r);
    }
    CU_ASSERT_EQUAL(memcmp(all, apart, r.length * sizeof *all), 0);
    free(all);
    free(apart);
    fm_decoder_free(&model);
}

/* Mean over the corpus of T^2 KL. */
static double divergence(const text_rig *r, const fm_decoder *d, fm_teacher *t)
{
    fm_lesson *l = NULL;
    fm_decoder *worker = NULL;
    double sum = 0.0;

    need(fm_lesson_new(t, r->corpus.longest, &l) == FM_OK &&
             fm_decoder_new_worker(d, r->corpus.longest, &worker) == FM_OK,
         "a lesson");
    for (uint32_t i = 0; i < r->corpus.sequences; i++) {
        const uint32_t n = (uint32_t)(r->corpus.starts[i + 1] - r->corpus.starts[i]);
        const fm_decoder_batch b = { r->corpus.tokens + r->corpus.starts[i], &n, 1, NULL };
        fm_decoder_soft soft;
        double loss = 0.0;

        need(fm_lesson_take(l, &i, &b, &soft) == FM_OK &&
                 fm_decoder_backward_soft(worker, &b, &soft, &loss) == FM_OK,
             "a loss");
        sum += loss / (double)r->corpus.sequences;
    }
    fm_lesson_free(&l);
    fm_decoder_free(&worker);
    return sum;
}

static void a_student_comes_nearer_to_its_teacher(void)
{
    const fm_training_case given = { .units = 12.0, .delta = 0.01 };
    text_rig r;
    fm_decoder *model;
    fm_teacher *t;
    fm_training training;
    fm_rng_seed state;
    fm_rng rng = fm_rng_public(&state, 3);
    fm_train_run_spec spec = { .training = &training,
                               .units = 12.0,
                               .max_units = 12,
                               .unit_rows = 3,
                               .encoding = FM_DP_EXACT,
                               .rng = &rng };
    double before, after;

    text_rig_open(&r, &plan);
    model = other_decoder(&r.config, 52);
    t = teach(&r, model, KEEP_ALL, 1.0);
    fm_training_student_defaults(&given, &training);
    training.rounds = 40;
    spec.learner = r.spec.learner;
    spec.weights = r.state;
    before = divergence(&r, r.d, t);
    CU_ASSERT_EQUAL(fm_train_run(&spec, r.state, r.parameters, NULL), FM_OK);
    CU_ASSERT_EQUAL(fm_learner_decoder_set(&spec.learner, r.state, r.parameters), FM_OK);
    after = divergence(&r, r.d, t);
    CU_ASSERT(after < 0.7 * before && after > 0.0);
    fm_teacher_free(&t);
    fm_decoder_free(&model);
    text_rig_close(&r);
}

static void what_does_not_fit_is_refused(void)
{
    const fm_teaching good = { .share = 1.0, .temperature = 1.0, .most = 8 };
    text_rig r;
    fm_decoder *model, *narrow;
    fm_decoder_config small;
    fm_teacher *t = NULL;
    fm_learner_facts facts;
    fm_corpus others = { 0 };

    text_rig_open(&r, &plan);
    model = other_decoder(&r.config, 53);
    small = r.config;
    small.vocabulary = 100;
    narrow = other_decoder(&small, 53);
#define REFUSED(decoder, change)                                                \
    do {                                                                        \
        fm_teaching s = good;                                                   \
        change;                                                                 \
        CU_ASSERT_EQUAL(fm_teacher_new(decoder, &r.corpus, &s, &t), FM_EINVAL); \
    } while (0)
    REFUSED(model, s.share = 2.0);
    REFUSED(model, s.temperature = 0.0);
    REFUSED(model, s.most = 0);
    REFUSED(model, s.most = FM_SOFT_MOST + 1);
    REFUSED(narrow, s.share = 1.0); /* the texts hold tokens that it does not know */
    CU_ASSERT_PTR_NULL(t);
    t = teach(&r, model, 0, 1.0);
    CU_ASSERT_EQUAL(fm_learner_describe(&r.spec.learner, 3, &facts), FM_OK);
    others = r.corpus;
    r.spec.learner.corpus = &others; /* not those that it teaches */
    CU_ASSERT_EQUAL(fm_learner_describe(&r.spec.learner, 3, &facts), FM_EINVAL);
    fm_teacher_free(&t);
    fm_decoder_free(&model);
    fm_decoder_free(&narrow);
    text_rig_close(&r);
}

/* ---- texts that are written ---- */

static fm_corpus *written(const text_rig *r, fm_authoring a)
{
    fm_corpus *out = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_train_compose(r->d, &r->corpus, &a, &out), FM_OK);
    return out;
}

static void texts_begin_as_they_are_told_and_end(void)
{
    const fm_authoring a = { .texts = 50,
                             .begin = 3,
                             .longest = 20,
                             .temperature = 1.0,
                             .end_token = 9,
                             .seed = 4,
                             .threads = 1 };
    fm_authoring three = a;
    text_rig r;
    fm_corpus *one, *again;
    size_t ended = 0;

    text_rig_open(&r, &plan);
    three.threads = 3;
    one = written(&r, a);
    again = written(&r, three);
    CU_ASSERT_EQUAL_FATAL(one->sequences, 50);
    CU_ASSERT_EQUAL(memcmp(one->starts, again->starts, 51 * sizeof *one->starts), 0);
    CU_ASSERT_EQUAL(memcmp(one->tokens, again->tokens, one->starts[50] * sizeof *one->tokens), 0);
    for (size_t i = 0; i < 50; i++) {
        const size_t from = i % r.corpus.sequences, n = one->starts[i + 1] - one->starts[i];
        const size_t has = r.corpus.starts[from + 1] - r.corpus.starts[from];
        const uint32_t *text = one->tokens + one->starts[i];

        CU_ASSERT_EQUAL(memcmp(text, r.corpus.tokens + r.corpus.starts[from],
                               (has < 3 ? has : 3) * sizeof *text),
                        0);
        CU_ASSERT(n == 20 || text[n - 1] == 9);
        ended += n < 20;
        for (size_t k = 3; k + 1 < n; k++)
            CU_ASSERT_NOT_EQUAL(text[k], 9);
    }
    CU_ASSERT(ended > 0);
    fm_corpus_free(&one);
    fm_corpus_free(&again);
    text_rig_close(&r);
}

/* Pearson's statistic of 6000 second tokens after the same first one; with 210 degrees of freedom it
 * is above 330 with probability 3e-7. The seed is fixed. */
static void tokens_are_drawn_from_what_the_decoder_gives(void)
{
    const fm_authoring a = {
        .texts = 6000, .begin = 1, .longest = 2, .temperature = 2.0, .end_token = 0, .seed = 11
    };
    uint32_t first[1] = { 5 }, end = 1;
    uint64_t starts[2] = { 0, 1 };
    const fm_decoder_batch b = { first, &end, 1, NULL };
    text_rig r;
    fm_corpus *out = NULL;
    fm_decoder *worker = NULL;
    float logits[211];
    double counts[211] = { 0 }, all = 0.0, statistic = 0.0;

    text_rig_open(&r, &plan);
    {
        const fm_corpus begin = { .tokens = first, .starts = starts, .sequences = 1, .longest = 1 };

        CU_ASSERT_EQUAL_FATAL(fm_train_compose(r.d, &begin, &a, &out), FM_OK);
    }
    CU_ASSERT_EQUAL(fm_decoder_new_worker(r.d, 1, &worker), FM_OK);
    CU_ASSERT_EQUAL(fm_decoder_logits(worker, &b, logits), FM_OK);
    for (size_t i = 0; i < 6000; i++)
        counts[out->tokens[out->starts[i] + 1]] += 1.0;
    for (size_t v = 0; v < 211; v++)
        all += exp((double)logits[v] / 2.0);
    for (size_t v = 0; v < 211; v++) {
        const double want = 6000.0 * exp((double)logits[v] / 2.0) / all;

        statistic += (counts[v] - want) * (counts[v] - want) / want;
    }
    CU_ASSERT(statistic < 330.0 && statistic > 110.0);
    fm_decoder_free(&worker);
    fm_corpus_free(&out);
    text_rig_close(&r);
}

static void texts_that_cannot_be_are_refused(void)
{
    const fm_authoring good = {
        .texts = 2, .begin = 1, .longest = 5, .temperature = 1.0, .end_token = 0
    };
    text_rig r;
    fm_corpus *out = NULL;

    text_rig_open(&r, &plan);
#define CANNOT(change)                                                          \
    do {                                                                        \
        fm_authoring a = good;                                                  \
        change;                                                                 \
        CU_ASSERT_EQUAL(fm_train_compose(r.d, &r.corpus, &a, &out), FM_EINVAL); \
    } while (0)
    CANNOT(a.texts = 0);
    CANNOT(a.begin = 0);
    CANNOT(a.longest = 1);
    CANNOT(a.longest = r.config.context + 1);
    CANNOT(a.temperature = 0.0);
    CANNOT(r.corpus.tokens[3] = 211);
    CU_ASSERT_PTR_NULL(out);
    text_rig_close(&r);
}

static const fm_test tests[] = {
    { "the sum does not depend on what is kept", the_sum_does_not_depend_on_what_is_kept },
    { "a person's part is of their texts alone", a_persons_part_is_of_their_texts_alone },
    { "a student comes nearer to its teacher", a_student_comes_nearer_to_its_teacher },
    { "what does not fit is refused", what_does_not_fit_is_refused },
    { "texts begin as they are told, and end", texts_begin_as_they_are_told_and_end },
    { "tokens are drawn from what the decoder gives",
      tokens_are_drawn_from_what_the_decoder_gives },
    { "texts that cannot be are refused", texts_that_cannot_be_are_refused },
};
const fm_test_suite suite_teacher = { "train.teacher", tests, FM_TEST_COUNT(tests) };
