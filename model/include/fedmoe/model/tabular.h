/*
 * The tabular mixture of experts: a linear skip, an embedding, residual MoE blocks of a shared
 * expert and top-k routed experts, a head. One logit and binary cross-entropy, K logits and
 * cross-entropy, or a number and half its squared error, as the schema's label asks.
 *
 *   phi   = features - center                                   [F]
 *   x     = W_e phi                                             [D]
 *   r     = W_r x + b_r; T = top-k of r; gate = softmax over T (or sigmoid of each)   [E]
 *   x     = residual * x + shared(x) + sum over e in T of gate_e expert_e(x)   per block
 *   z     = b + W_lin phi + W_head x_last                       [K]
 *   expert(x), shared(x) = W_2 act(W_1 x + b_1) + b_2
 *
 * Each record's gradient depends on that record alone, bit for bit: no capacity limits, no
 * dropping, no batch statistics, every reduction over one record's own values in a fixed order. The
 * center is a constant of the model, with no gradient: a statistics round sets it (train/step.h).
 *
 * Parameters live in one flat vector float32[P]; tensors in a fixed order (fm_tabular_tensor).
 * A parameter theta enters the model as multiplier * theta, a constant of its group: so that
 * gradients, and the noise on them, have like sizes in all groups.
 */
#ifndef FEDMOE_MODEL_TABULAR_H
#define FEDMOE_MODEL_TABULAR_H

#include "fedmoe/base/random.h"
#include "fedmoe/base/safetensors.h"
#include "fedmoe/model/schema.h"
#include "fedmoe/model/table.h"

typedef enum { FM_ACTIVATION_RELU, FM_ACTIVATION_SILU, FM_ACTIVATION_GELU } fm_activation;
typedef enum { FM_GATE_SOFTMAX, FM_GATE_SIGMOID } fm_gate;

/** The constant of each group of parameters. 1e-6..1000; those marked may be 0: no such tensor. */
typedef struct {
    double linear;      /* W_lin; may be 0 */
    double bias;        /* b; may be 0 */
    double embed;       /* W_e */
    double router;      /* W_r */
    double router_bias; /* b_r; may be 0 */
    double hidden;      /* W_1 */
    double hidden_bias; /* b_1; may be 0 */
    double output;      /* W_2 */
    double output_bias; /* b_2; may be 0 */
    double head;        /* W_head */
} fm_tabular_multipliers;

/** Standard deviation of the first multiplier * theta, times sqrt(fan-in). 0, or 1e-6..100. */
typedef struct {
    double embed, router, hidden, output, head;
} fm_tabular_spread;

#define FM_TABULAR_MAX_EXPERTS 256u
#define FM_TABULAR_MAX_OUTPUTS 256u

/** model.yaml; see docs/model.md for keys, defaults and bounds. */
typedef struct {
    size_t features;      /* F, from the schema; not in the file */
    size_t width;         /* D, 0..1024; 0 leaves only the linear skip */
    size_t blocks;        /* 1..16 */
    size_t experts;       /* E, 1..256 */
    size_t top_k;         /* 1..E */
    size_t expert_hidden; /* H, 1..4096 */
    size_t shared_hidden; /* 0..4096; 0 has no shared expert */
    fm_activation activation;
    fm_gate gate;
    double residual;       /* [0, 1] */
    double router_entropy; /* 0..100; each record's loss gets -router_entropy * the entropy of the
                              softmax of its scores, block by block: spreads a record over experts
                              and couples no records */
    bool center;           /* there is a center; for binary targets with linear skip and bias */
    fm_tabular_multipliers multipliers;
    fm_tabular_spread spread;
    /* From the schema; not in the file. */
    fm_target target;
    size_t outputs;                              /* K: 2..256 classes, else 1 */
    float class_weights[FM_TABULAR_MAX_OUTPUTS]; /* of each class (binary: two); times the loss */
} fm_tabular_config;

#define FM_TABULAR_MAX_PARAMETERS ((size_t)1 << 28)
#define FM_TABULAR_MAX_ROWS ((size_t)1 << 24) /* of one batch */

/** The default model for a schema: with a center where there can be one. */
void fm_tabular_config_default(const fm_schema *s, fm_tabular_config *out);
/** Read YAML text; absent keys keep the default; unknown keys are refused with the line. Without
 *  `center` there is none: texts in files and plans from before it do not say so. */
FM_NODISCARD fm_status fm_tabular_config_parse(const char *name, const void *text, size_t len,
                                               const fm_schema *s, fm_tabular_config *out);
/** The same for a new model: without `center` there is one where there can be. */
FM_NODISCARD fm_status fm_tabular_config_parse_new(const char *name, const void *text, size_t len,
                                                   const fm_schema *s, fm_tabular_config *out);
/** All keys with their values, as YAML. */
FM_NODISCARD fm_status fm_tabular_config_write(const fm_tabular_config *c, fm_buf *out);

typedef struct fm_tabular fm_tabular; /* weights and all buffers for up to max_rows records */

/**
 * Weights start at zero (fm_tabular_init, fm_tabular_set).
 * @param max_rows  most records of one batch, 1..FM_TABULAR_MAX_ROWS; all buffers are taken here,
 *                  steps never allocate.
 * @return FM_OK; FM_EINVAL; FM_ENOMEM.
 * @thread an object belongs to one thread at a time.
 */
FM_NODISCARD fm_status fm_tabular_new(const fm_tabular_config *c, size_t max_rows,
                                      fm_tabular **out);
void fm_tabular_free(fm_tabular **m);

/** K. */
size_t fm_tabular_outputs(const fm_tabular *m);

/** P; FM_EINVAL when the configuration is out of bounds, the text naming the key. */
FM_NODISCARD fm_status fm_tabular_parameters(const fm_tabular_config *c, size_t *out);
/** What a statistics round sets: coordinates of the flat vector. */
typedef struct {
    size_t center, count; /* count 0: the model has no center, and nothing is set */
    size_t bias;
    double bias_scale; /* its multiplier */
} fm_tabular_start;
/** FM_EINVAL as fm_tabular_parameters. */
FM_NODISCARD fm_status fm_tabular_start_of(const fm_tabular_config *c, fm_tabular_start *out);
/** Parameters that one record touches (linear skip, embedding, router, shared, k experts, head). */
FM_NODISCARD fm_status fm_tabular_active_parameters(const fm_tabular_config *c, size_t *out);

typedef struct {
    const char *name; /* "linear.weight", "blocks.0.experts.3.w1", ... */
    size_t dims, shape[2];
    size_t offset, elements; /* within the flat vector */
} fm_tabular_tensor_info;
size_t fm_tabular_tensors(const fm_tabular *m);
/** @param i below fm_tabular_tensors. */
fm_tabular_tensor_info fm_tabular_tensor(const fm_tabular *m, size_t i);

/** First weights: linear skip and biases zero; the rest normal from `rng` (public seed), drawn in
 *  the order of the flat vector. */
void fm_tabular_init(fm_tabular *m, fm_rng *rng);
/** Copy the flat vector in / out, float32[P]. FM_EINVAL when n is not P; FM_ENONFINITE when a
 *  weight, or multiplier * weight, is no finite number. On error the weights are unchanged. */
FM_NODISCARD fm_status fm_tabular_set(fm_tabular *m, const float *flat, size_t n);
void fm_tabular_get(const fm_tabular *m, float *flat);

/**
 * Forward for rows of x, float32[rows, F]; rows of any number (in batches of max_rows).
 * What fm_tabular_backward kept is gone afterwards. A record that is not finite gets outputs that
 * are not finite.
 * @param outputs out, float32[rows, K]: logits, or the number on the label's scale.
 * @return FM_OK; FM_EINVAL when an argument is NULL.
 */
FM_NODISCARD fm_status fm_tabular_predict(fm_tabular *m, const float *x, size_t rows,
                                          float *outputs);

/**
 * One forward and one backward over a batch; keeps activations and output gradients for the
 * calls below. loss_i = w log(1 + exp(-s_i z_i)), s_i = 2 y_i - 1 (binary, y 0 or 1);
 * w (log sum exp z_i - z_i[y_i]) (classes, y the class); (z_i - y_i)^2 / 2 (a number); w the weight
 * of the class; plus the entropy term.
 *
 * @param index  rows of x and y that form the batch, [rows] <= max_rows; each its own unit; not
 *               checked against the table. rows may be 0 (a Poisson sample can be empty).
 * @param losses out, float32[rows], or NULL.
 * @return FM_OK; FM_EINVAL.
 */
FM_NODISCARD fm_status fm_tabular_backward(fm_tabular *m, const float *x, const float *y,
                                           const uint32_t *index, size_t rows, float *losses);

/** Whether records have a score: the label is binary, or one of two classes. */
bool fm_tabular_has_scores(const fm_tabular_config *c);
/** Scores of the last backward's records: the log odds of class 1 against class 0, as the outputs are
 *  trained, without the bias, which is the same for all of them: so they lie about 0, however rare a
 *  class is. Not finite for a record that is not. @param out float32[rows]. */
void fm_tabular_scores(const fm_tabular *m, size_t rows, float *out);

/**
 * Squared L2 norm of each record's gradient, from activations and output gradients; never a
 * per-record gradient in memory. out: double[rows].
 * @source Goodfellow 2015, arXiv:1510.01799; book-keeping: Bu et al. 2023, arXiv:2210.00038.
 */
void fm_tabular_square_norms(fm_tabular *m, double *out);
/** Sum over records of weight_i * gradient_i, one weighted product per layer and expert. Records of
 *  weight 0 are left out, whatever their gradient. weights: [rows]; out: float32[P]. */
void fm_tabular_weighted_sum(fm_tabular *m, const float *weights, float *out);
/** The gradient of the batch's i-th record, from the same backward: float32[P], every entry
 *  written. Bit-identical whatever the other records of the batch are. */
void fm_tabular_unit_gradient(const fm_tabular *m, size_t i, float *out);
/** Add it to out, float32[P], which is another row's or a sum of such: rows added one after the
 *  other in a fixed order give the same bits whatever stands in the batches between them. */
void fm_tabular_add_row_gradient(const fm_tabular *m, size_t i, float *out);
/* ---- units of one or more rows, and their sums in integers (docs/privacy.md, section 2) ---- */

/**
 * Squared L2 norm of each unit's gradient, the sum of its rows'. Unit u has the batch's rows
 * ends[u - 1] (0 for the first) to ends[u] - 1. For rows s, t of a unit and a linear map it is
 * sum over s, t of (a_s . a_t)(g_s . g_t).
 * @param ends  [units], increasing, the last is the batch's rows; NULL: each row is a unit.
 * @param out   [units]; not finite for a unit with a row that is not, or that leaves float32.
 */
void fm_tabular_unit_squares(fm_tabular *m, const uint32_t *ends, size_t units, double *out);

/**
 * Add each unit's gradient, times its factor, as integers: activations and output gradients are
 * rounded to 16 bits, row by row and map by map, and their products are added exactly. A unit's
 * integers are a function of its own rows, the weights and its factor alone: docs/model.md, "How a
 * unit becomes integers". A unit that is not finite is left out, whatever its factor.
 *
 * @param factors  [units] steps of the lattice per gradient unit; 0 leaves the unit out.
 * @param limit    most L2 norm of one unit's integers, 1..2^24: where rounding went over, the
 *                 unit's factor is lowered until it holds, or the unit is left out.
 * @param sum      int32[P], added to, mod 2^32.
 * @param squares  out, [units]: exact squared L2 norm of what the unit added, at most limit^2.
 */
void fm_tabular_add_units(fm_tabular *m, const uint32_t *ends, size_t units, const double *factors,
                          int64_t limit, int32_t *sum, uint64_t *squares);

/** Another set of buffers over the same weights, for another thread; `m` must outlive it, and is
 *  the one to set weights on (not while a worker computes). */
FM_NODISCARD fm_status fm_tabular_new_worker(const fm_tabular *m, size_t max_rows,
                                             fm_tabular **out);

/** Wipe what backward and predict left of records: activations, gradients, integers, routes. The
 *  weights stay; the next batch finds the object as if it were new. */
void fm_tabular_forget(fm_tabular *m);

/** How often the unit's rows chose each expert, over all its choices in that block: out
 *  float32[blocks, E], each block's sum is 1; in [0, 1]. */
void fm_tabular_unit_loads(const fm_tabular *m, const uint32_t *ends, size_t unit, float *out);
/** Added to the router's scores for the choice of experts alone, not in gates nor gradients: float32
 *  [blocks, E]; all zero at first. FM_EINVAL for another n; FM_ENONFINITE.
 *  @source auxiliary-loss-free balancing: Wang et al. 2024, arXiv:2408.15664. */
FM_NODISCARD fm_status fm_tabular_set_load_bias(fm_tabular *m, const float *bias, size_t n);

/** Experts chosen for the batch's i-th record in a block: out uint32[top_k], increasing. */
void fm_tabular_routes(const fm_tabular *m, size_t block, size_t i, uint32_t *out);

/**
 * Clipped gradients do not lead to the likelihood's fit. A binary record's gradient is (p - y) times
 * that of the output, of norm v, and clipped at C it is as if |p - y| were at most c = C / v: where
 * the records of one kind are positive with probability q, the training rests at
 * q min(1 - p, c) = (1 - q) min(p, c). So q = min(p, c) / (min(p, c) + min(1 - p, c)), which uses
 * nothing of the data: fm_tabular_predict then gives log(q / (1 - q)) in the place of the output.
 * v is taken of the linear part and the bias, c is taken to be a half at least.
 * @param clip_norm  C of the training in the end; 0: the outputs as they are (also of other targets).
 * @return FM_OK; FM_EINVAL not finite, negative, or for a worker.
 */
FM_NODISCARD fm_status fm_tabular_set_clip_norm(fm_tabular *m, double clip_norm);
double fm_tabular_clip_norm(const fm_tabular *m);

/* ---- files: weights with schema and configuration in the metadata ---- */

#define FM_META_KIND "fedmoe.kind"
#define FM_META_KIND_TABULAR "tabular-moe"
#define FM_META_MODEL "fedmoe.model"
#define FM_META_SCHEMA "fedmoe.schema"
#define FM_META_CLIP_NORM "fedmoe.clip_norm" /* optional: fm_tabular_set_clip_norm */

/** Encode as safetensors; `extra` metadata is added. */
FM_NODISCARD fm_status fm_tabular_encode(const fm_tabular *m, const fm_schema *s,
                                         const fm_safetensors_meta *extra, size_t extra_count,
                                         fm_buf *out);
/**
 * Schema, configuration and weights of a model file; both out are owned by the caller.
 * @return FM_OK; FM_EPROTO not such a file; FM_EPARSE its schema or configuration; FM_ENONFINITE;
 *         FM_ENOTFOUND; FM_EIO; FM_ENOMEM; FM_EINVAL. The text names the file.
 */
FM_NODISCARD fm_status fm_tabular_load(const char *path, size_t max_rows, fm_schema **schema,
                                       fm_tabular **out);
/** As fm_tabular_load, from memory; `name` is for error texts. */
FM_NODISCARD fm_status fm_tabular_decode(const char *name, const void *data, size_t len,
                                         size_t max_rows, fm_schema **schema, fm_tabular **out);
const fm_tabular_config *fm_tabular_get_config(const fm_tabular *m);

#endif
