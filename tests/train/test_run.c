/* A whole training on one machine. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/model/metrics.h"
#include "fedmoe/train/run.h"
#include "rig.h"
#include "suites.h"

typedef struct {
    fm_training training;
    double noise;
    unsigned threads;
    fm_dp_encoding encoding;
    uint64_t done; /* by progress */
} plan;

static plan usual(void)
{
    return (plan){ .training = { .clip_norm = 1.0,
                                 .sampling_rate = 0.5,
                                 .rounds = 60,
                                 .rule = FM_OPTIM_ADAM,
                                 .learning_rate = 0.05,
                                 .momentum = 0.9,
                                 .beta2 = 0.999,
                                 .adam_epsilon = 1e-3,
                                 .averaging = 0.3,
                                 .schedule = FM_OPTIM_COSINE,
                                 .final_rate = 0.1 },
                   .threads = 2,
                   .encoding = FM_DP_FAST };
}

static void count(void *ctx, uint64_t done)
{
    plan *p = ctx;

    CU_ASSERT_EQUAL(done, p->done + 1);
    p->done = done;
}

/* @param seed  0: the system's randomness. */
static fm_status train(const rig *r, plan *p, uint64_t seed, fm_tabular *m)
{
    fm_rng_seed state;
    fm_rng rng = fm_rng_system();
    const fm_train_run_spec spec = { .learner = r->spec.learner,
                                     .training = &p->training,
                                     .noise_multiplier = p->noise,
                                     .units = (double)rig_units(r),
                                     .max_units = 4000,
                                     .unit_rows = r->spec.unit_rows,
                                     .encoding = p->encoding,
                                     .threads = p->threads,
                                     .weights = r->state,
                                     .rng = &rng,
                                     .progress = count,
                                     .progress_ctx = p };

    if (seed)
        rng = fm_rng_seeded(&state, seed);
    p->done = 0;
    return fm_train_run_tabular(&spec, m);
}

static fm_tabular *new_model(const rig *r)
{
    fm_tabular *m = NULL;

    need(fm_tabular_new(&r->model, 256, &m) == FM_OK, "a model");
    return m;
}

static double auc_of(const rig *r, fm_tabular *m)
{
    float *logits = calloc(r->table.rows, sizeof *logits);
    fm_metrics metrics;

    need(logits && fm_tabular_predict(m, r->table.x, r->table.rows, logits) == FM_OK &&
             fm_metrics_compute(logits, r->table.y, r->table.rows, &metrics) == FM_OK,
         "a measure");
    free(logits);
    return metrics.auc;
}

static void it_learns(void)
{
    fm_tabular *m;
    plan p = usual();
    double spent = 0.0, auc;
    rig r;

    rig_open(&r, 3000, 1, FM_DP_FAST, false);
    m = new_model(&r);
    need(fm_train_calibrate(&p.training, 3.0, 1e-5, &p.noise, &spent) == FM_OK, "noise");
    CU_ASSERT(spent <= 3.0 && spent > 2.9);
    CU_ASSERT_EQUAL(train(&r, &p, 0, m), FM_OK);
    CU_ASSERT_EQUAL(p.done, 60);
    auc = auc_of(&r, m);
    printf("    AUC %.3f at epsilon %.2f\n", auc, spent);
    CU_ASSERT(auc > 0.95);
    fm_tabular_free(&m);
    rig_close(&r);
}

static void noise_is_calibrated_and_none_is_said(void)
{
    const plan p = usual();
    double noise = -1.0, spent = 0.0, again = 0.0;
    fm_dp_mechanism m;

    CU_ASSERT_EQUAL(fm_train_calibrate(&p.training, 1.0, 1e-6, &noise, &spent), FM_OK);
    m = fm_train_mechanism(&p.training, noise);
    CU_ASSERT_EQUAL(m.count, 60);
    CU_ASSERT_EQUAL(fm_dp_epsilon(&m, 1, 1e-6, &again), FM_OK);
    CU_ASSERT_EQUAL(spent, again);
    CU_ASSERT(spent <= 1.0 && spent > 0.99);
    CU_ASSERT_EQUAL(fm_train_calibrate(&p.training, 1000.0, 1e-6, &noise, &spent), FM_OK);
    CU_ASSERT_EQUAL(noise, 0.0);
    CU_ASSERT(isinf(spent));
}

static void threads_and_seeds_give_the_same_model(void)
{
    float *a, *b;
    fm_tabular *m;
    plan p = usual();
    rig r;

    rig_open(&r, 900, 5, FM_DP_FAST, false);
    a = calloc(2 * r.parameters, sizeof *a);
    need(a != NULL, "memory");
    b = a + r.parameters;
    m = new_model(&r);
    p.training.rounds = 8;
    p.training.clip_quantile = 0.5;
    p.training.clip_rate = 0.2;
    p.training.clip_share = 0.05;
    p.training.load_share = 0.1;
    p.training.balance_rate = 0.05;
    p.threads = 1;
    CU_ASSERT_EQUAL(train(&r, &p, 5, m), FM_OK);
    fm_tabular_get(m, a);
    p.threads = 5;
    CU_ASSERT_EQUAL(train(&r, &p, 5, m), FM_OK);
    fm_tabular_get(m, b);
    CU_ASSERT(memcmp(a, b, r.parameters * sizeof *a) == 0);
    CU_ASSERT_EQUAL(train(&r, &p, 6, m), FM_OK);
    fm_tabular_get(m, b);
    CU_ASSERT(memcmp(a, b, r.parameters * sizeof *a) != 0);
    fm_tabular_free(&m);
    free(a);
    rig_close(&r);
}

/* The same training by its pieces, each setting passed on anew; by the same coins. */
static void by_hand(const rig *r, const plan *p, uint64_t seed, float *out)
{
    const fm_training *t = &p->training;
    const fm_dp_lattice_spec ls = { t->clip_norm, p->noise, 4000, 1, 1, .encoding = p->encoding };
    const fm_train_tail tail = {
        .load_groups = RIG_BLOCKS, .load_experts = RIG_EXPERTS, .clip_norm = true, .start = true
    };
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);
    fm_dp_shares *shares = NULL;
    fm_train_step *step = NULL;
    fm_optimizer *o = NULL;
    fm_tabular_start start;
    fm_dp_lattice lattice;
    fm_dp_parts parts;
    float *g;

    need(fm_dp_lattice_make(&ls, &lattice) == FM_OK &&
             fm_dp_parts_make(&lattice, t->load_share, t->clip_share, &parts) == FM_OK &&
             fm_tabular_start_of(&r->model, &start) == FM_OK,
         "a lattice");
    const fm_train_step_spec ss = { .learner = r->spec.learner,
                                    .lattice = &lattice,
                                    .sampling_rate = t->sampling_rate,
                                    .unit_rows = r->spec.unit_rows,
                                    .tail = tail,
                                    .load_share = t->load_share,
                                    .clip_share = t->clip_share,
                                    .threads = 1 };
    const fm_optimizer_spec os = { .rule = t->rule,
                                   .learning_rate = t->learning_rate,
                                   .momentum = t->momentum,
                                   .beta2 = t->beta2,
                                   .adam_epsilon = t->adam_epsilon,
                                   .schedule = t->schedule,
                                   .warmup = t->warmup,
                                   .final_rate = t->final_rate,
                                   .averaging = t->averaging,
                                   .rounds = t->rounds,
                                   .divisor = t->sampling_rate * (double)rig_units(r),
                                   .load_groups = RIG_BLOCKS,
                                   .load_experts = RIG_EXPERTS,
                                   .balance_rate = t->balance_rate,
                                   .clip_quantile = t->clip_quantile,
                                   .clip_rate = t->clip_rate,
                                   .clip_vote = (double)parts.vote / lattice.unit_scale,
                                   .start_center = start.center,
                                   .start_count = start.count,
                                   .start_bias = start.bias,
                                   .start_scale = start.bias_scale,
                                   .start_norm = t->clip_norm,
                                   .start_noise = p->noise * t->clip_norm };

    need((g = calloc(r->length, sizeof *g)) != NULL && fm_train_step_new(&ss, &step) == FM_OK &&
             fm_optimizer_new(&os, r->state, r->length, &o) == FM_OK &&
             fm_dp_shares_new(&lattice, 1, &shares) == FM_OK,
         "the pieces");
    for (uint64_t i = 0; i < t->rounds; i++) {
        const fm_train_step_input in = { .state = o->weights, .rng = &rng };
        fm_dp_sum *sum = NULL;

        need(fm_train_step_run(step, &in, &sum) == FM_OK &&
                 fm_dp_sum_open_alone(sum, shares, &rng, g) == FM_OK &&
                 fm_optimizer_step(o, g, r->length) == FM_OK,
             "a round");
    }
    fm_optimizer_result(o, out);
    free(g);
    fm_train_step_free(&step);
    fm_optimizer_free(&o);
    fm_dp_shares_free(&shares);
}

static void every_setting_of_a_training_is_used(void)
{
    fm_tabular *m;
    plan p = usual();
    float *got, *want;
    double ratio;
    rig r;

    rig_open(&r, 600, 4, FM_DP_FAST, true);
    rig_start(&r);
    r.spec.unit_rows = 2;
    p.training.rounds = 12;
    p.training.start = true;
    p.training.warmup = 0.2;
    p.training.clip_norm = 0.7;
    p.training.load_share = 0.1;
    p.training.balance_rate = 0.05;
    p.training.clip_quantile = 0.4;
    p.training.clip_rate = 0.3;
    p.training.clip_share = 0.15;
    p.training.averaging = 0.4;
    p.noise = 0.4;
    got = calloc(2 * r.length, sizeof *got);
    need(got != NULL, "memory");
    want = got + r.length;
    m = new_model(&r);
    CU_ASSERT_EQUAL(train(&r, &p, 21, m), FM_OK);
    fm_tabular_get(m, got);
    by_hand(&r, &p, 21, want);
    CU_ASSERT(memcmp(got, want, r.parameters * sizeof *got) == 0);
    ratio = exp((double)want[r.length - 2]); /* behind it: the phase */
    CU_ASSERT(fabs(ratio - 1.0) > 0.1);
    CU_ASSERT_DOUBLE_EQUAL(fm_tabular_clip_norm(m), 0.7 * ratio, 1e-12);
    fm_tabular_free(&m);
    free(got);
    rig_close(&r);
}

/* Share of the busiest expert of any block; a quarter would be even. */
static double busiest(const rig *r, fm_tabular *m)
{
    double loads[RIG_BLOCKS * RIG_EXPERTS] = { 0 }, most = 0.0;
    uint32_t routes[2];

    for (uint32_t i = 0; i < r->table.rows; i++) {
        need(fm_tabular_backward(m, r->table.x, r->table.y, &i, 1, NULL) == FM_OK, "a row");
        for (size_t b = 0; b < RIG_BLOCKS; b++) {
            fm_tabular_routes(m, b, 0, routes);
            for (size_t k = 0; k < 2; k++)
                loads[b * RIG_EXPERTS + routes[k]] += 0.5 / (double)r->table.rows;
        }
    }
    for (size_t i = 0; i < RIG_BLOCKS * RIG_EXPERTS; i++)
        most = fmax(most, loads[i]);
    return most;
}

/* Routers that send all to two experts at first; with noise, at the loads' tenth of the budget. */
static void balancing_evens_the_loads(void)
{
    double without, with;
    fm_tabular *m;
    plan p = usual();
    rig r;

    rig_open(&r, 2000, 1, FM_DP_FAST, false);
    m = new_model(&r);
    for (size_t i = 0; i < fm_tabular_tensors(m); i++) {
        fm_tabular_tensor_info t = fm_tabular_tensor(m, i);

        if (strstr(t.name, "router.weight"))
            for (size_t k = 0; k < t.elements; k++)
                r.state[t.offset + k] *= 0.01f;
        else if (strstr(t.name, "router.bias"))
            for (size_t k = 0; k < t.elements; k++)
                r.state[t.offset + k] = k < 2 ? 0.3f : 0.0f;
    }
    p.noise = 1.0;
    CU_ASSERT_EQUAL(train(&r, &p, 9, m), FM_OK);
    without = busiest(&r, m);
    p.training.load_share = 0.1;
    p.training.balance_rate = 0.05;
    CU_ASSERT_EQUAL(train(&r, &p, 9, m), FM_OK);
    with = busiest(&r, m);
    printf("    share of the busiest expert %.2f, balanced %.2f\n", without, with);
    CU_ASSERT(with < without);
    CU_ASSERT(with < 0.4);
    fm_tabular_free(&m);
    rig_close(&r);
}

static void what_cannot_be_is_refused(void)
{
    fm_tabular *m;
    plan p = usual();
    rig r;

    rig_open(&r, 60, 1, FM_DP_FAST, false);
    m = new_model(&r);
    r.state[3] = NAN;
    CU_ASSERT_EQUAL(train(&r, &p, 3, m), FM_ENONFINITE);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "round 1: "));
    r.state[3] = 0.0f;
    p = usual();
    p.noise = NAN;
    CU_ASSERT_EQUAL(train(&r, &p, 3, m), FM_EINVAL);
    p.noise = 0.0;
    r.table.rows = 0;
    CU_ASSERT_EQUAL(train(&r, &p, 3, m), FM_EINVAL);
    fm_tabular_free(&m);
    rig_close(&r);
}

static const fm_test tests[] = {
    { "it learns", it_learns },
    { "noise is calibrated, and none is said", noise_is_calibrated_and_none_is_said },
    { "threads and seeds give the same model", threads_and_seeds_give_the_same_model },
    { "every setting of a training is used", every_setting_of_a_training_is_used },
    { "balancing evens the loads", balancing_evens_the_loads },
    { "what cannot be is refused", what_cannot_be_is_refused },
};

const fm_test_suite suite_run = { "train.run", tests, FM_TEST_COUNT(tests) };
