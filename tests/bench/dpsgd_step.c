#include "dpsgd_step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/dp/encode.h"
#include "fedmoe/dp/mask.h"
#include "fedmoe/model/mlp.h"
#include "fedmoe/model/tabular.h"

#define RATE 0.05
#define CLIP 1.0
#define NOISE 1.0
#define LINE 16 /* floats of a line of the cache */

static const size_t g_sizes[] = { 784, 256, 256, 10 };
enum { LAYERS = 3, FEATURES = 64, WIDTH = 128, HIDDEN = 256, TOP = 2 };

struct dpsgd_learner {
    dpsgd_kind kind;
    fm_mlp *mlp;
    fm_tabular *moe;
    size_t features, parameters;
    float *x, *y;    /* [RECORDS, features], [RECORDS] */
    uint32_t *index; /* [BATCH] */
    float *weights;  /* [P] */
    float *gradient; /* [P] */
    fm_dp_sum *sum;
    float *ones;      /* [BATCH] */
    double *factors;  /* [BATCH]: squared norms, then factors */
    uint64_t *square; /* [BATCH] of integers */
    size_t clipped;
    fm_dp_lattice lattice;
    fm_dp_parts share;
    fm_dp_shares *shares;
    fm_rng_seed state;
    fm_rng rng;
};

fm_tabular_config dpsgd_moe(size_t experts)
{
    return (fm_tabular_config){
        .features = FEATURES,
        .width = WIDTH,
        .blocks = 1,
        .experts = experts,
        .top_k = TOP,
        .expert_hidden = HIDDEN,
        .activation = FM_ACTIVATION_RELU,
        .gate = FM_GATE_SOFTMAX,
        .residual = 1.0,
        .multipliers = { 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0 },
        .spread = { 1.0, 1.0, 1.0, 1.0, 1.0 },
        .target = FM_TARGET_BINARY,
        .outputs = 1,
        .class_weights = { 1.0f, 1.0f },
    };
}

static fm_status make_moe(dpsgd_learner *l, size_t experts)
{
    const fm_tabular_config c = dpsgd_moe(experts);
    fm_status st = fm_tabular_parameters(&c, &l->parameters);

    l->features = FEATURES;
    if (st == FM_OK && (st = fm_tabular_new(&c, DPSGD_BATCH, &l->moe)) == FM_OK)
        fm_tabular_init(l->moe, &l->rng);
    return st;
}

static fm_status make_mlp(dpsgd_learner *l)
{
    fm_mlp_config c = { .layers = LAYERS, .activation = FM_ACTIVATION_RELU };
    fm_status st;

    memcpy(c.sizes, g_sizes, sizeof g_sizes);
    l->features = g_sizes[0];
    if ((st = fm_mlp_parameters(&c, &l->parameters)) == FM_OK)
        st = fm_mlp_new(&c, DPSGD_BATCH, &l->mlp);
    return st;
}

static fm_status make_buffers(dpsgd_learner *l)
{
    const size_t p = l->parameters;
    fm_status st;

    if ((st = fm_alloc(DPSGD_RECORDS * l->features, sizeof(float), (void **)&l->x)) != FM_OK ||
        (st = fm_alloc(DPSGD_RECORDS, sizeof(float), (void **)&l->y)) != FM_OK ||
        (st = fm_alloc(DPSGD_BATCH, sizeof(uint32_t), (void **)&l->index)) != FM_OK ||
        (st = fm_alloc(p, sizeof(float), (void **)&l->weights)) != FM_OK ||
        (st = fm_alloc(p, sizeof(float), (void **)&l->gradient)) != FM_OK ||
        (st = fm_alloc(DPSGD_BATCH, sizeof(float), (void **)&l->ones)) != FM_OK ||
        (st = fm_alloc(DPSGD_BATCH, sizeof(double), (void **)&l->factors)) != FM_OK)
        return st;
    return fm_alloc(DPSGD_BATCH, sizeof(uint64_t), (void **)&l->square);
}

/* Training alone: one node, all noise its own. */
static fm_status make_privacy(dpsgd_learner *l)
{
    const fm_dp_lattice_spec spec = { .clip_norm = CLIP,
                                      .noise_multiplier = NOISE,
                                      .max_units = 2 * DPSGD_BATCH,
                                      .nodes = 1,
                                      .quorum = 1,
                                      .local = true,
                                      .encoding = FM_DP_FAST };
    fm_status st = fm_dp_lattice_make(&spec, &l->lattice);

    if (st == FM_OK && (st = fm_dp_parts_make(&l->lattice, 0.0, 0.0, &l->share)) == FM_OK &&
        (st = fm_dp_sum_new(&l->lattice, l->parameters, &l->sum)) == FM_OK)
        st = fm_dp_shares_new(&l->lattice, 1, &l->shares);
    return st;
}

/* Evenly in +-sqrt(3), so of variance 1; by a generator that takes no time. */
static float any_value(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return 1.7320508f * ((float)(*state >> 8) * 0x1p-23f - 1.0f);
}

static void fill(dpsgd_learner *l)
{
    const size_t classes = l->kind == DPSGD_MLP ? g_sizes[LAYERS] : 2;
    uint32_t state = 1;
    size_t at = 0;

    for (size_t i = 0; i < DPSGD_RECORDS * l->features; i++)
        l->x[i] = any_value(&state);
    for (size_t i = 0; i < DPSGD_RECORDS; i++)
        l->y[i] = (float)fm_rng_below(&l->rng, classes);
    for (size_t i = 0; i < DPSGD_BATCH; i++)
        l->ones[i] = 1.0f;
    if (l->moe) {
        fm_tabular_get(l->moe, l->weights);
        return;
    }
    for (size_t k = 0; k < LAYERS; k++) {
        for (size_t i = 0; i < g_sizes[k] * g_sizes[k + 1]; i++)
            l->weights[at++] = (float)(fm_rng_normal(&l->rng) / sqrt((double)g_sizes[k]));
        at += g_sizes[k + 1];
    }
}

static fm_status set_weights(dpsgd_learner *l)
{
    return l->mlp ? fm_mlp_set(l->mlp, l->weights, l->parameters)
                  : fm_tabular_set(l->moe, l->weights, l->parameters);
}

fm_status dpsgd_new(dpsgd_kind kind, size_t experts, dpsgd_learner **out)
{
    dpsgd_learner *l = NULL;
    fm_status st = fm_alloc(1, sizeof *l, (void **)&l);

    if (st != FM_OK)
        return st;
    l->kind = kind;
    l->rng = fm_rng_seeded(&l->state, 1);
    if ((st = kind == DPSGD_MLP ? make_mlp(l) : make_moe(l, experts)) == FM_OK &&
        (st = make_buffers(l)) == FM_OK && (st = make_privacy(l)) == FM_OK) {
        fill(l);
        st = set_weights(l);
    }
    if (st == FM_OK)
        *out = l;
    else
        dpsgd_free(&l);
    return st;
}

void dpsgd_free(dpsgd_learner **l)
{
    dpsgd_learner *p = *l;

    if (!p)
        return;
    fm_mlp_free(&p->mlp);
    fm_tabular_free(&p->moe);
    fm_dp_shares_free(&p->shares);
    fm_dp_sum_free(&p->sum);
    free(p->x);
    free(p->y);
    free(p->index);
    free(p->weights);
    free(p->gradient);
    free(p->ones);
    free(p->factors);
    free(p->square);
    free(p);
    *l = NULL;
}

size_t dpsgd_parameters(const dpsgd_learner *l)
{
    return l->parameters;
}

fm_table dpsgd_records(const dpsgd_learner *l)
{
    return (fm_table){ .rows = DPSGD_RECORDS, .features = l->features, .x = l->x, .y = l->y };
}

double dpsgd_clipped(const dpsgd_learner *l)
{
    return (double)l->clipped / DPSGD_BATCH;
}

static fm_status backward(dpsgd_learner *l)
{
    return l->mlp ? fm_mlp_backward(l->mlp, l->x, l->y, l->index, DPSGD_BATCH, NULL)
                  : fm_tabular_backward(l->moe, l->x, l->y, l->index, DPSGD_BATCH, NULL);
}

static void factors(dpsgd_learner *l)
{
    if (l->mlp)
        fm_mlp_unit_squares(l->mlp, NULL, DPSGD_BATCH, l->factors);
    else
        fm_tabular_unit_squares(l->moe, NULL, DPSGD_BATCH, l->factors);
    l->clipped = 0;
    for (size_t i = 0; i < DPSGD_BATCH; i++) {
        const double square = l->factors[i];

        l->clipped += fm_dp_unit_clipped(&l->lattice, l->share.gradient, square, 1.0);
        l->factors[i] = fm_dp_unit_factor(&l->lattice, l->share.gradient, square, 1.0);
    }
}

static fm_status sum_units(dpsgd_learner *l)
{
    int32_t *sum = NULL;
    fm_status st = fm_dp_sum_batch(l->sum, DPSGD_BATCH, &sum);

    if (st != FM_OK)
        return st;
    if (l->mlp)
        fm_mlp_add_units(l->mlp, NULL, DPSGD_BATCH, l->factors, l->share.gradient, sum, l->square);
    else
        fm_tabular_add_units(l->moe, NULL, DPSGD_BATCH, l->factors, l->share.gradient, sum,
                             l->square);
    return fm_dp_sum_batch_done(l->sum, l->square, DPSGD_BATCH, 0);
}

static void descend(float *w, const float *g, size_t n)
{
    const float rate = (float)(RATE / DPSGD_BATCH);

    for (size_t i = 0; i < n; i++)
        w[i] -= rate * g[i];
}

static void descend_piece(void *ctx, size_t at, const float *piece, size_t n)
{
    const dpsgd_learner *l = ctx;

    /* The next ones, which come while their noise is made. */
    for (size_t i = at + n; i < at + 2 * n && i < l->parameters; i += LINE)
        __builtin_prefetch(l->weights + i, 1, 3);
    descend(l->weights + at, piece, n);
}

static fm_status noised_update(dpsgd_learner *l)
{
    return fm_dp_sum_open_pieces(l->sum, l->shares, &l->rng, descend_piece, l);
}

static fm_status sum_plain(dpsgd_learner *l)
{
    if (l->mlp)
        fm_mlp_weighted_sum(l->mlp, l->ones, l->gradient);
    else
        fm_tabular_weighted_sum(l->moe, l->ones, l->gradient);
    return FM_OK;
}

static fm_status plain_update(dpsgd_learner *l)
{
    descend(l->weights, l->gradient, l->parameters);
    return FM_OK;
}

static double lap(uint64_t *since)
{
    const uint64_t now = fm_clock_now_ns();
    const double s = (double)(now - *since) * 1e-9;

    *since = now;
    return s;
}

fm_status dpsgd_step(dpsgd_learner *l, bool private_step, double parts_s[DPSGD_PARTS])
{
    uint64_t since;
    fm_status st;

    for (size_t i = 0; i < DPSGD_BATCH; i++)
        l->index[i] = (uint32_t)fm_rng_below(&l->rng, DPSGD_RECORDS);
    since = fm_clock_now_ns();
    st = backward(l);
    parts_s[DPSGD_BACKWARD] = lap(&since);
    if (private_step)
        factors(l);
    parts_s[DPSGD_SQUARES] = lap(&since);
    if (st == FM_OK)
        st = private_step ? sum_units(l) : sum_plain(l);
    parts_s[DPSGD_SUM] = lap(&since);
    if (st == FM_OK)
        st = private_step ? noised_update(l) : plain_update(l);
    parts_s[DPSGD_UPDATE] = lap(&since);
    if (st == FM_OK)
        st = set_weights(l);
    parts_s[DPSGD_WEIGHTS] = lap(&since);
    return st;
}

static void add(dpsgd_product *out, size_t *count, dpsgd_product p)
{
    out[(*count)++] = p;
}

/* A layer of so many rows: forward x W^T, for the layer below g W, sum over rows g^T x. */
static void add_layer(dpsgd_product *out, size_t *count, size_t rows, size_t in, size_t width,
                      bool below, size_t times)
{
    add(out, count, (dpsgd_product){ rows, width, in, false, true, times });
    if (below)
        add(out, count, (dpsgd_product){ rows, in, width, false, false, times });
    add(out, count, (dpsgd_product){ width, in, rows, true, false, times });
}

size_t dpsgd_products(dpsgd_kind kind, size_t experts, dpsgd_product out[DPSGD_PRODUCTS])
{
    size_t count = 0, rows;

    if (kind == DPSGD_MLP) {
        for (size_t i = 0; i < LAYERS; i++)
            add_layer(out, &count, DPSGD_BATCH, g_sizes[i], g_sizes[i + 1], i > 0, 1);
        return count;
    }
    rows = DPSGD_BATCH * TOP / experts;
    add_layer(out, &count, DPSGD_BATCH, FEATURES, WIDTH, false, 1);
    add_layer(out, &count, DPSGD_BATCH, WIDTH, experts, true, 1);
    add_layer(out, &count, rows, WIDTH, HIDDEN, true, experts);
    add_layer(out, &count, rows, HIDDEN, WIDTH, true, experts);
    add_layer(out, &count, DPSGD_BATCH, WIDTH, 1, true, 1);
    return count;
}
