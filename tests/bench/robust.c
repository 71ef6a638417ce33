/*
 * What poisoned updates do to a model, with one sum of all and with a robust mean over groups: AUC on
 * held-out records of the four UCI hospitals, dealt out to 15 nodes. Steps, clipping, groups' means and
 * optimizer are those of a federation; each group's sum carries all of the noise, drawn here by a seeded
 * generator, and masks are left out, as they cancel.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fedmoe/base/cli.h"
#include "fedmoe/base/log.h"
#include "fedmoe/node/step.h"
#include "fedmoe/optim/robust.h"
#include "fedmoe/proto/digest.h"
#include "fedmoe/replay/replay.h"
#include "heart.h"

#define NODES 15u
#define NO_PRIVACY 1000.0
#define LONG 10.0  /* how much a poisoner lengthens its update */
#define LITTLE 1.5 /* deviations from the honest nodes' mean that "a little is enough" goes */

typedef enum { HONEST, SIGN_FLIP, SCALING, LABEL_FLIP, LITTLE_IS_ENOUGH, ATTACKS } attack;
static const char *const attack_names[] = { "none", "sign flip x10", "scaled x10", "label flip",
                                            "ALIE, 1.5 s" };

typedef struct {
    const char *name;
    uint32_t groups; /* 1: one sum */
    fm_robust_mean mean;
    uint32_t trim;
} defence;

static const defence defences[] = {
    { "one sum", 1, FM_ROBUST_NONE, 0 },          { "3 median", 3, FM_ROBUST_MEDIAN, 0 },
    { "3 geometric", 3, FM_ROBUST_GEOMETRIC, 0 }, { "5 median", 5, FM_ROBUST_MEDIAN, 0 },
    { "5 trimmed 1", 5, FM_ROBUST_TRIMMED, 1 },   { "5 geometric", 5, FM_ROBUST_GEOMETRIC, 0 },
    { "7 median", 7, FM_ROBUST_MEDIAN, 0 },
};
#define DEFENCES (sizeof defences / sizeof defences[0])

typedef struct {
    const char *shared;
    uint64_t seeds, rounds, poisoners;
    double epsilon;
} bench_options;

typedef struct {
    const bench_options *o;
    heart_run heart;
    fm_table tables[2][NODES]; /* as they are, and with every label turned round */
    fm_table test;
    fm_dp_keypair *keys;
    fm_dp_pairs *pairs;
    size_t n;
    float *updates[NODES], *sums[NODES];
    float *estimate;
} world;

/* ---- records ---- */

/* Line i of all hospitals' goes to node i mod NODES; the last cell is the label. */
static fm_status deal(const fm_demo_hospital h[HOSPITALS], fm_buf out[NODES])
{
    size_t line = 0;
    fm_status st = FM_OK;

    for (size_t i = 0; i < HOSPITALS; i++) {
        const char *at = (const char *)h[i].train.data, *end = at + h[i].train.len;

        while (st == FM_OK && at < end) {
            const char *stop = memchr(at, '\n', (size_t)(end - at));

            stop = stop ? stop + 1 : end;
            st = fm_buf_append(&out[line++ % NODES], at, (size_t)(stop - at));
            at = stop;
        }
    }
    return st;
}

static fm_status load_tables(world *w, const fm_demo_hospital h[HOSPITALS])
{
    const fm_table_options o = { .labels = true };
    fm_buf text[NODES] = { { 0 } };
    fm_status st = deal(h, text);

    for (unsigned k = 0; st == FM_OK && k < 2 * NODES; k++) {
        fm_table *t = &w->tables[k / NODES][k % NODES];

        st = fm_table_parse("records", text[k % NODES].data, text[k % NODES].len, w->heart.schema,
                            &o, t);
        for (size_t r = 0; st == FM_OK && k >= NODES && r < t->rows; r++)
            t->y[r] = !t->y[r];
    }
    for (unsigned i = 0; i < NODES; i++)
        fm_buf_fini(&text[i]);
    for (unsigned i = 0; st == FM_OK && i < HOSPITALS; i++)
        st = fm_table_append(&w->test, &w->heart.test[i]);
    return st;
}

static fm_status open_world(world *w, const bench_options *o, const char *data, uint64_t seed)
{
    fm_demo_hospital h[HOSPITALS];
    heart_setting s = { .epsilon = o->epsilon,
                        .delta = 1e-4,
                        .quorum = 3,
                        .rounds = o->rounds,
                        .seed = seed,
                        .schema = fm_demo_schema_text };
    fm_dp_roster alone = { .federation = "bench", .members = 1 };
    uint8_t key[1][FM_DP_KEY_BYTES];
    fm_status st = fm_demo_hospitals_load(data, seed, h);

    if (st != FM_OK)
        return st;
    for (size_t i = 0; i < HOSPITALS; i++)
        s.records += h[i].train_records;
    w->o = o;
    if ((st = heart_open(&s, h, &w->heart)) == FM_OK)
        st = load_tables(w, h);
    fm_demo_hospitals_fini(h);
    w->n = w->heart.config.plan.parameters;
    for (unsigned i = 0; st == FM_OK && i < NODES; i++)
        if ((st = fm_alloc(w->n, sizeof(float), (void **)&w->updates[i])) == FM_OK)
            st = fm_alloc(w->n, sizeof(float), (void **)&w->sums[i]);
    if (st != FM_OK || (st = fm_alloc(w->n, sizeof(float), (void **)&w->estimate)) != FM_OK ||
        (st = fm_dp_keypair_new(&w->keys)) != FM_OK)
        return st;
    memcpy(key[0], fm_dp_keypair_public(w->keys), sizeof key[0]);
    alone.public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])key;
    return fm_dp_pairs_new(w->keys, &alone, &w->pairs);
}

static void close_world(world *w)
{
    for (unsigned i = 0; i < NODES; i++) {
        fm_table_fini(&w->tables[0][i]);
        fm_table_fini(&w->tables[1][i]);
        free(w->updates[i]);
        free(w->sums[i]);
    }
    free(w->estimate);
    fm_table_fini(&w->test);
    fm_dp_pairs_free(&w->pairs);
    fm_dp_keypair_free(&w->keys);
    heart_close(&w->heart);
}

/* ---- a round ---- */

/* A node's clipped sum: its own step, as a federation of one without noise, in gradient units. */
static fm_status make_update(const world *w, fm_node_step *step, const float *model, fm_rng *rng,
                             float *out)
{
    static const uint32_t self;
    const fm_dp_round round = {
        .round = 1, .participants = &self, .participant_count = 1, .mask_density = FM_DP_DENSITY_ALL
    };
    const fm_node_step_input in = {
        .model = model, .pairs = w->pairs, .round = &round, .rng = rng
    };
    fm_dp_release *release = NULL;
    fm_status st = fm_node_step_run(step, &in, &release);
    const int32_t *sum = fm_node_step_sum_for_tests(step);

    for (size_t i = 0; st == FM_OK && i < w->n; i++)
        out[i] = (float)((double)sum[i] / fm_node_step_lattice(step)->unit_scale);
    fm_dp_release_free(&release);
    return st;
}

/* The poisoners are the last nodes; they know all others' updates. */
static void poison(const world *w, attack a)
{
    const unsigned honest = NODES - (unsigned)w->o->poisoners;

    for (size_t i = 0; i < w->n; i++) {
        double mean = 0.0, square = 0.0;

        for (unsigned u = 0; u < honest; u++) {
            mean += (double)w->updates[u][i] / honest;
            square += (double)w->updates[u][i] * (double)w->updates[u][i] / honest;
        }
        for (unsigned u = honest; u < NODES; u++) {
            if (a == SIGN_FLIP)
                w->updates[u][i] *= (float)-LONG;
            else if (a == SCALING) /* of turned labels */
                w->updates[u][i] *= (float)LONG;
            else if (a == LITTLE_IS_ENOUGH)
                w->updates[u][i] = (float)(mean - LITTLE * sqrt(fmax(square - mean * mean, 0.0)) *
                                                      (mean < 0.0 ? -1.0 : 1.0));
        }
    }
}

static void read_one(const void *ctx, size_t at, size_t n, float *out)
{
    memcpy(out, (const float *)ctx + at, n * sizeof(float));
}

/* Drawn anew in each round; every group's sum with its noise. */
static void add_up(const world *w, const defence *d, double sigma, fm_rng *rng)
{
    unsigned order[NODES];

    for (unsigned i = 0; i < NODES; i++)
        order[i] = i;
    for (unsigned i = NODES - 1; i > 0; i--) {
        uint32_t r;
        unsigned j, kept = order[i];

        rng->fill(rng->state, &r, sizeof r);
        j = r % (i + 1);
        order[i] = order[j];
        order[j] = kept;
    }
    for (uint32_t g = 0; g < d->groups; g++) {
        for (size_t i = 0; i < w->n; i++)
            w->sums[g][i] = sigma > 0.0 ? (float)(sigma * fm_rng_normal(rng)) : 0.0f;
        for (unsigned k = g; k < NODES; k += d->groups)
            for (size_t i = 0; i < w->n; i++)
                w->sums[g][i] += w->updates[order[k]][i];
    }
}

static fm_status estimate(const world *w, const defence *d)
{
    fm_optim_source of[NODES];
    fm_robust r = {
        .rule = (fm_robust_rule)d->mean, .sums = d->groups, .trim = d->trim, .of = of, .n = w->n
    };
    fm_status st;

    for (uint32_t g = 0; g < d->groups; g++)
        of[g] = (fm_optim_source){ read_one, w->sums[g] };
    if (d->groups == 1) {
        memcpy(w->estimate, w->sums[0], w->n * sizeof(float));
        return FM_OK;
    }
    if ((st = fm_robust_prepare(&r)) != FM_OK)
        return st;
    for (size_t at = 0; at < w->n; at += FM_OPTIM_BLOCK)
        fm_robust_read(&r, at, w->n - at < FM_OPTIM_BLOCK ? w->n - at : FM_OPTIM_BLOCK,
                       w->estimate + at);
    return FM_OK;
}

static fm_status run_round(world *w, fm_node_step *steps[NODES], fm_optimizer *o, const defence *d,
                           attack a, fm_rng *rng)
{
    const fm_plan *p = &w->heart.config.plan;
    fm_status st = FM_OK;

    for (unsigned i = 0; st == FM_OK && i < NODES; i++)
        st = make_update(w, steps[i], o->weights, rng, w->updates[i]);
    if (st != FM_OK)
        return st;
    poison(w, a);
    add_up(w, d, p->noise_multiplier * p->clip_norm, rng);
    if ((st = estimate(w, d)) != FM_OK)
        return st;
    return fm_optimizer_step(o, w->estimate, w->n);
}

/* ---- a run ---- */

static fm_status make_steps(world *w, attack a, fm_node_step *steps[NODES])
{
    fm_plan alone = w->heart.config.plan;
    const bool turned = a == LABEL_FLIP || a == SCALING;
    fm_status st = FM_OK;

    alone.max_nodes = alone.min_cohort = alone.quorum = 1;
    alone.colluders = 0;
    alone.noise_multiplier = 0.0;
    alone.word_bits = 32;
    for (unsigned i = 0; st == FM_OK && i < NODES; i++) {
        const bool bad = turned && i >= NODES - w->o->poisoners;

        if ((st = fm_node_step_new(&alone, &w->tables[bad][i], 1, &steps[i])) == FM_OK)
            fm_node_step_keep_sum_for_tests(steps[i]);
    }
    return st;
}

static fm_status train(world *w, const defence *d, attack a, uint64_t seed, double *auc)
{
    fm_plan plan = w->heart.config.plan;
    fm_node_step *steps[NODES] = { NULL };
    fm_rng_seed state;
    fm_rng rng = fm_rng_seeded(&state, seed);
    fm_optimizer *o = NULL;
    fm_metrics m;
    fm_status st;

    plan.robust_groups = d->groups > 1 ? d->groups : 0;
    plan.robust_mean = d->mean;
    if ((st = make_steps(w, a, steps)) == FM_OK)
        st = fm_replay_optimizer_new(&plan, w->heart.first, w->n, &o);
    for (uint64_t r = 0; st == FM_OK && r < plan.rounds; r++)
        st = run_round(w, steps, o, d, a, &rng);
    if (st == FM_OK) {
        fm_optimizer_result(o, w->heart.result);
        if ((st = fm_simulation_evaluate(&plan, w->heart.result, &w->test, &m)) == FM_OK)
            *auc += m.auc;
    }
    fm_optimizer_free(&o);
    for (unsigned i = 0; i < NODES; i++)
        fm_node_step_free(&steps[i]);
    return st;
}

static fm_status table(const bench_options *o, const char *data)
{
    double auc[DEFENCES][ATTACKS] = { { 0.0 } };
    fm_status st = FM_OK;

    for (uint64_t seed = 1; st == FM_OK && seed <= o->seeds; seed++) {
        world w = { 0 };

        st = open_world(&w, o, data, seed);
        for (size_t d = 0; st == FM_OK && d < DEFENCES; d++)
            for (int a = 0; st == FM_OK && a < ATTACKS; a++)
                st = train(&w, &defences[d], (attack)a, seed, &auc[d][a]);
        close_world(&w);
    }
    if (st != FM_OK)
        return st;
    printf("%u nodes, %llu of them poison; epsilon %g, %llu rounds, %llu seeds: AUC\n%-14s", NODES,
           (unsigned long long)o->poisoners, o->epsilon, (unsigned long long)o->rounds,
           (unsigned long long)o->seeds, "");
    for (int a = 0; a < ATTACKS; a++)
        printf("%-15s", attack_names[a]);
    printf("noise\n");
    for (size_t d = 0; d < DEFENCES; d++) {
        printf("%-14s", defences[d].name);
        for (int a = 0; a < ATTACKS; a++)
            printf("%-15.3f", auc[d][a] / (double)o->seeds);
        printf("x %.2f\n",
               defences[d].groups == 1
                   ? 1.0
                   : fm_robust_noise((fm_robust_rule)defences[d].mean, defences[d].groups));
    }
    return FM_OK;
}

int main(int argc, char **argv)
{
    bench_options o = {
        .shared = "../shared", .seeds = 5, .rounds = 100, .poisoners = 1, .epsilon = 8.0
    };
    const fm_cli_option options[] = {
        { "shared", FM_CLI_STRING, &o.shared, "DIR",
          "where data/ lies (default ../shared, or FEDMOE_SHARED)", false, 0, 0 },
        { "seeds", FM_CLI_U64, &o.seeds, "N", "how many (default 5)", false, 1, 1000 },
        { "rounds", FM_CLI_U64, &o.rounds, "N", "default 100", false, 2, 10000 },
        { "poisoners", FM_CLI_U64, &o.poisoners, "N", "of 15 nodes (default 1)", false, 0, 14 },
        { "epsilon", FM_CLI_DOUBLE, &o.epsilon, "E", "default 8; 1000 is without noise", false,
          0.01, NO_PRIVACY },
    };
    const fm_cli_spec spec = { .program = "bench-robust",
                               .summary = "What poisoned updates do, with and without groups.",
                               .examples = "./dev bench robust --poisoners 2 --epsilon 1000",
                               .options = options,
                               .option_count = sizeof options / sizeof options[0] };
    char data[4096];
    struct stat s;
    int first = 0, code;

    if (getenv("FEDMOE_SHARED"))
        o.shared = getenv("FEDMOE_SHARED");
    if (fm_random_init() != FM_OK)
        return fm_cli_failed(spec.program);
    if (!fm_cli_begin(&spec, argc, argv, &first, &code))
        return code;
    snprintf(data, sizeof data, "%s/data/heart_disease", o.shared);
    if (stat(data, &s) != 0) {
        printf("skipped: %s is not there (the UCI heart-disease files)\n", data);
        return 77;
    }
    return table(&o, data) == FM_OK ? 0 : fm_cli_failed(spec.program);
}
