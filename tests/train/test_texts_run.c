/* Trainings on texts: against PEFT's norms and clipped sums, and whole runs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_adapter_internal.h"
#include "decoder_fixture.h"
#include "fedmoe/train/measure.h"
#include "fedmoe/train/run.h"
#include "suites.h"
#include "text_rig.h"

#define SEQUENCES 4
#define LENGTH 32

/* ---- against the fixtures ---- */

typedef struct {
    decoder_fixture f;
    fm_decoder *d;
    fm_corpus corpus;
    uint32_t tokens[SEQUENCES * LENGTH];
    uint64_t starts[SEQUENCES + 1];
    fm_learner learner;
    size_t parameters;
    float *state;
} peft;

static void load_decoder(peft *p, const char *name)
{
    char rel[128], folder[4096], path[4400];
    fm_decoder_options o = { .max_tokens = 1 };
    fm_adapter_file *a = NULL;

    (void)snprintf(rel, sizeof rel, "fixtures/transformers/%s", name);
    need(fm_test_shared(rel, folder, sizeof folder), "the fixtures");
    (void)snprintf(path, sizeof path, "%s/adapter.safetensors", folder);
    need(fm_adapter_file_open(path, &p->f.config, &a) == FM_OK, "adapters");
    o.adapters = fm_adapter_file_adapters(a);
    o.adapters.train_a = false;
    need(fm_decoder_new(&p->f.config, &o, &p->d) == FM_OK &&
             fm_decoder_set(p->d, p->f.theta, p->f.layout.parameters) == FM_OK &&
             fm_adapter_file_read(a, p->d) == FM_OK,
         "a decoder");
    fm_adapter_file_free(&a);
}

static bool open_peft(peft *p, const char *name)
{
    const fm_tensor_view *ids;
    fm_learner_facts facts;

    memset(p, 0, sizeof *p);
    if (!decoder_fixture_load(name, &p->f))
        return false;
    load_decoder(p, name);
    ids = fm_safetensors_find(p->f.ref, "input_ids");
    need(ids && ids->bytes == sizeof(int64_t) * SEQUENCES * LENGTH, "tokens");
    for (size_t i = 0; i < SEQUENCES * LENGTH; i++)
        p->tokens[i] = (uint32_t)fm_get_u64le(ids->data + 8 * i);
    for (size_t s = 0; s <= SEQUENCES; s++)
        p->starts[s] = s * LENGTH;
    p->corpus = (fm_corpus){
        .tokens = p->tokens, .starts = p->starts, .sequences = SEQUENCES, .longest = LENGTH
    };
    p->learner = fm_learner_decoder(p->d, &p->corpus);
    need(fm_learner_describe(&p->learner, 1, &facts) == FM_OK, "facts");
    p->parameters = facts.parameters;
    p->state = calloc(p->parameters, sizeof *p->state);
    need(p->state && fm_learner_decoder_get(&p->learner, p->state, p->parameters) == FM_OK,
         "the state");
    return true;
}

static void close_peft(peft *p)
{
    fm_decoder_free(&p->d);
    decoder_fixture_free(&p->f);
    free(p->state);
}

static void compare_norms(const peft *p)
{
    static const uint32_t rows[SEQUENCES] = { 0, 1, 2, 3 };
    const float *norms = decoder_fixture_floats(&p->f, "dp.norms", SEQUENCES);
    const fm_learner_ops *ops = p->learner.ops;
    double squares[SEQUENCES];
    void *object = NULL;

    need(ops->open(&p->learner, NULL, SEQUENCES * LENGTH, &object) == FM_OK &&
             ops->backward(&p->learner, object, rows, SEQUENCES) == FM_OK,
         "a batch");
    ops->squares(object, NULL, SEQUENCES, squares);
    for (size_t s = 0; s < SEQUENCES; s++)
        CU_ASSERT(fabs(sqrt(squares[s]) / (double)norms[s] - 1.0) < 1e-4);
    ops->close(object);
}

typedef struct {
    const peft *p;
    const int64_t *sum;
    double scale, off, square;
    size_t found;
} comparison;

/* One map's B, against a tensor of the fixture if there is one. */
static void compare_map(comparison *c, size_t layer, const fm_peft_map *m, size_t expert)
{
    const bool routed = m->map == FM_ADAPT_EXPERTS;
    char name[200];
    const fm_tensor_view *t;
    fm_decoder_adapter at;

    if (!fm_decoder_adapter_at(c->p->d, layer, m->map, m->part, expert, &at))
        return;
    if (routed)
        (void)snprintf(name, sizeof name, "dp.clipped_sum.model.layers.%zu.%s%zu.%s.weight", layer,
                       FM_PEFT_EXPERTS, expert, m->module + strlen(FM_PEFT_EXPERTS));
    else
        (void)snprintf(name, sizeof name, "dp.clipped_sum.model.layers.%zu.%s.weight", layer,
                       m->module);
    if (!(t = fm_safetensors_find(c->p->f.ref, name)))
        return;
    c->found++;
    for (size_t i = 0; i < t->bytes / sizeof(float); i++) {
        const double want = (double)((const float *)(const void *)t->data)[i];
        const double d = (double)c->sum[at.b + i] / c->scale - want;

        c->off += d * d;
        c->square += want * want;
    }
}

static void compare_maps(comparison *c)
{
    const fm_decoder_config *config = &c->p->f.config;

    for (size_t layer = 0; layer < config->layers; layer++)
        for (size_t i = 0; i < FM_PEFT_MAPS; i++)
            for (size_t e = 0; fm_peft_has(config, &fm_peft_maps[i]) && e < config->experts; e++)
                if (e == 0 || fm_peft_maps[i].map == FM_ADAPT_EXPERTS)
                    compare_map(c, layer, &fm_peft_maps[i], e);
}

static double clipped_sum_off(const peft *p, fm_dp_encoding encoding)
{
    const fm_dp_lattice_spec spec = { .clip_norm = *decoder_fixture_floats(&p->f, "dp.clip", 1),
                                      .max_units = SEQUENCES,
                                      .nodes = 1,
                                      .quorum = 1,
                                      .encoding = encoding };
    fm_rng rng = fm_rng_system();
    const fm_train_step_input in = { .state = p->state, .rng = &rng };
    fm_train_step_spec step = { .learner = p->learner, .sampling_rate = 1.0, .unit_rows = 1 };
    fm_dp_lattice lattice;
    fm_train_step *s = NULL;
    fm_dp_sum *sum = NULL;
    int64_t *integers = calloc(p->parameters, sizeof *integers);
    comparison c = { .p = p, .sum = integers };

    need(integers && fm_dp_lattice_make(&spec, &lattice) == FM_OK, "a lattice");
    step.lattice = &lattice;
    need(fm_train_step_new(&step, &s) == FM_OK && fm_train_step_run(s, &in, &sum) == FM_OK,
         "a run");
    fm_dp_sum_peek64_for_tests(sum, integers);
    c.scale = lattice.unit_scale;
    compare_maps(&c);
    CU_ASSERT(c.found > 8);
    fm_train_step_free(&s);
    free(integers);
    return sqrt(c.off / c.square);
}

static void norms_and_clipped_sums_are_those_of_peft(void)
{
    for (size_t i = 0; i < decoder_fixture_count; i++) {
        double exact, fast;
        peft p;

        if (!open_peft(&p, decoder_fixture_names[i]))
            return;
        compare_norms(&p);
        exact = clipped_sum_off(&p, FM_DP_EXACT);
        fast = clipped_sum_off(&p, FM_DP_FAST);
        printf("    %s: sums off by %.1e, fast %.1e\n", decoder_fixture_names[i], exact, fast);
        CU_ASSERT(exact < 1e-4);
        CU_ASSERT(fast < 1e-2);
        close_peft(&p);
    }
}

/* ---- whole runs ---- */

static fm_status run_by(text_rig *r, fm_optim_rule rule, double noise, uint64_t rounds,
                        unsigned threads, float *out)
{
    const fm_training t = { .clip_norm = 1.0,
                            .sampling_rate = 0.5,
                            .rounds = rounds,
                            .rule = rule,
                            .learning_rate = 0.02,
                            .momentum = 0.9,
                            .beta2 = 0.99,
                            .adam_epsilon = 1e-8,
                            .schedule = FM_OPTIM_CONSTANT,
                            .clip_quantile = 0.5,
                            .clip_rate = 0.2,
                            .clip_share = 0.1 };
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 21);
    const fm_train_run_spec spec = { .learner = r->spec.learner,
                                     .training = &t,
                                     .noise_multiplier = noise,
                                     .units = 40.0,
                                     .max_units = 400,
                                     .unit_rows = r->spec.unit_rows,
                                     .encoding = r->lattice.encoding,
                                     .threads = threads,
                                     .weights = r->state,
                                     .rng = &rng };

    return fm_train_run(&spec, out, r->parameters, NULL);
}

static fm_status run(text_rig *r, double noise, uint64_t rounds, unsigned threads, float *out)
{
    return run_by(r, FM_OPTIM_ADAM, noise, rounds, threads, out);
}

/* All say the same few words: easily learnt. */
static void make_texts_alike(fm_corpus *c)
{
    for (size_t i = 0; i < c->sequences; i++)
        for (uint64_t k = c->starts[i]; k < c->starts[i + 1]; k++)
            c->tokens[k] = (uint32_t)(7 + (k - c->starts[i]) % 5);
}

static void learns(const text_rig_plan *p, double noise)
{
    fm_text_loss before, after, again;
    float *out, *flat;
    text_rig r;

    text_rig_open(&r, p);
    make_texts_alike(&r.corpus);
    out = calloc(r.parameters, sizeof *out);
    flat = calloc(fm_decoder_get_layout(r.d)->parameters, sizeof *flat);
    need(out && flat && fm_learner_decoder_set(&r.spec.learner, r.state, r.parameters) == FM_OK,
         "the state");
    fm_decoder_get(r.d, flat);
    CU_ASSERT_EQUAL(fm_train_measure(r.d, &r.corpus, 1, &before), FM_OK);
    CU_ASSERT_EQUAL(run(&r, noise, 40, 2, out), FM_OK);
    CU_ASSERT_EQUAL(fm_learner_decoder_set(&r.spec.learner, out, r.parameters), FM_OK);
    CU_ASSERT_EQUAL(fm_train_measure(r.d, &r.corpus, 1, &after), FM_OK);
    CU_ASSERT_EQUAL(fm_train_measure(r.d, &r.corpus, 3, &again), FM_OK);
    CU_ASSERT(after.loss == again.loss && after.predictions == again.predictions);
    CU_ASSERT(after.loss < 0.8 * before.loss);
    for (size_t i = 0; i < r.config.layers && p->all; i++) {
        const size_t gap = fm_decoder_get_layout(r.d)->layer[i].correction;

        CU_ASSERT(gap == FM_DECODER_ABSENT || memcmp(flat + gap, fm_decoder_weights(r.d) + gap,
                                                     r.config.experts * sizeof *flat) == 0);
    }
    CU_ASSERT(p->all || memcmp(flat, fm_decoder_weights(r.d),
                               fm_decoder_get_layout(r.d)->parameters * sizeof *flat) == 0);
    printf("    loss %.2f, then %.2f\n", before.loss, after.loss);
    free(out);
    free(flat);
    text_rig_close(&r);
}

/* The base's weights do not move, nor what has no gradient: noise would take them anywhere. */
static void a_training_learns_and_moves_nothing_else(void)
{
    learns(&(text_rig_plan){ 4, 40, 3, .encoding = FM_DP_FAST }, 0.0);
    learns(&(text_rig_plan){ 2, 40, 3, .encoding = FM_DP_FAST }, 0.2);
    learns(&(text_rig_plan){ 4, 40, 3, .all = true, .encoding = FM_DP_EXACT }, 0.2);
    learns(&(text_rig_plan){ 1, 40, 3, .all = true, .encoding = FM_DP_EXACT }, 0.0);
}

static void the_same_coins_give_the_same_weights(void)
{
    const text_rig_plan p = { 5, 40, 3, .encoding = FM_DP_FAST };
    float *one, *other;
    text_rig r;

    text_rig_open(&r, &p);
    one = calloc(2 * r.parameters, sizeof *one);
    other = one + r.parameters;
    CU_ASSERT_EQUAL(run(&r, 0.5, 5, 1, one), FM_OK);
    CU_ASSERT_EQUAL(run(&r, 0.5, 5, 3, other), FM_OK);
    CU_ASSERT(memcmp(one, other, r.parameters * sizeof *one) == 0);
    free(one);
    text_rig_close(&r);
}

/* How far the encodings' trainings are apart, of how far they went. */
static double encodings_off(fm_optim_rule rule)
{
    text_rig_plan p = { 4, 40, 3, .encoding = FM_DP_FAST };
    double off = 0.0, square = 0.0;
    float *out[2], *first = NULL;
    size_t n = 0;

    for (size_t k = 0; k < 2; k++) {
        text_rig r;

        p.encoding = k ? FM_DP_EXACT : FM_DP_FAST;
        text_rig_open(&r, &p);
        n = r.parameters;
        out[k] = calloc(n, sizeof *out[k]);
        need(out[k] && run_by(&r, rule, 0.0, 5, 2, out[k]) == FM_OK, "a training");
        if (k == 0 && (first = calloc(n, sizeof *first)))
            memcpy(first, r.state, n * sizeof *first);
        text_rig_close(&r);
    }
    for (size_t i = 0; i < n; i++) {
        const double d = (double)out[0][i] - (double)out[1][i];
        const double went = (double)out[1][i] - (double)first[i];

        off += d * d;
        square += went * went;
    }
    free(out[0]);
    free(out[1]);
    free(first);
    return sqrt(off / square);
}

/* Their roundings are far below the gradient as a whole. Adam makes a whole step of whatever a
 * coordinate has, roundings too where there is no noise to drown them: it is no measure of them. */
static void both_encodings_train_the_same(void)
{
    const double plain = encodings_off(FM_OPTIM_SGD);

    printf("    off by %.1e of the way; with Adam %.1e\n", plain, encodings_off(FM_OPTIM_ADAM));
    CU_ASSERT(plain < 1e-2);
}

static const fm_test tests[] = {
    { "norms and clipped sums are those of PEFT", norms_and_clipped_sums_are_those_of_peft },
    { "a training learns, and moves nothing else", a_training_learns_and_moves_nothing_else },
    { "the same coins give the same weights", the_same_coins_give_the_same_weights },
    { "both encodings train the same", both_encodings_train_the_same },
};

const fm_test_suite suite_texts_run = { "train.texts_run", tests, FM_TEST_COUNT(tests) };
