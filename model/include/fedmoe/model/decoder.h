/*
 * The decoder itself: forward, loss and backward over packed sequences. What it computes:
 * decoder_config.h.
 *
 * A batch is rows of tokens, several sequences one after the other: sequence s has the rows
 * ends[s - 1] (0 for the first) to ends[s] - 1, positions start at 0 in each, attention is causal
 * within it. A sequence's logits, loss and gradient depend on that sequence alone, bit for bit,
 * whatever else is in the batch: no capacity limits, no dropping, every sum in a fixed order.
 *
 * Units (of privacy) are one or more whole sequences, one after the other: unit u has the sequences
 * units[u - 1] (0 for the first) to units[u] - 1, the last of them ends with the batch; units NULL:
 * each sequence is one, whatever the count that is given.
 *
 * One object belongs to one thread at a time. Steps never allocate.
 */
#ifndef FEDMOE_MODEL_DECODER_H
#define FEDMOE_MODEL_DECODER_H

#include "fedmoe/base/random.h"
#include "fedmoe/model/decoder_config.h"

/** Kinds of tensors, as a mask: which of them have gradients. */
typedef enum {
    FM_TRAIN_NONE = 0,
    FM_TRAIN_ATTENTION = 1 << 0, /* its linear maps with their biases */
    FM_TRAIN_ROUTER = 1 << 1,
    FM_TRAIN_EXPERTS = 1 << 2,
    FM_TRAIN_SHARED = 1 << 3,
    FM_TRAIN_DENSE = 1 << 4,
    FM_TRAIN_NORMS = 1 << 5,     /* gains of every RMSNorm */
    FM_TRAIN_EMBEDDING = 1 << 6, /* of a tied model: with HEAD */
    FM_TRAIN_HEAD = 1 << 7,
    FM_TRAIN_ALL = (1 << 8) - 1,
} fm_decoder_train;

/** Linear maps, as a mask: which of them have an adapter. */
typedef enum {
    FM_ADAPT_QUERY = 1 << 0, /* or query_b */
    FM_ADAPT_KEY = 1 << 1,
    FM_ADAPT_VALUE = 1 << 2,
    FM_ADAPT_QUERY_A = 1 << 3,
    FM_ADAPT_LATENT = 1 << 4,
    FM_ADAPT_LATENT_B = 1 << 5,
    FM_ADAPT_OUTPUT = 1 << 6,
    FM_ADAPT_DENSE = 1 << 7, /* gate, up and down of dense layers */
    FM_ADAPT_SHARED = 1 << 8,
    FM_ADAPT_EXPERTS = 1 << 9,
    FM_ADAPT_ALL = (1 << 10) - 1,
} fm_decoder_adapt;

/**
 * Low-rank adapters: y += alpha / rank * B A x for each map of the mask.
 * Their parameters form a flat vector of their own: layer by layer the maps in the order of
 * fm_decoder_adapt (gate, up, down; the experts by index, each gate, up, down), A [rank, in], then
 * B [out, rank]. With train_a false A is a constant: all B come first, then all A, and gradients are
 * of the B alone (fm_decoder_gradient_parameters).
 * Square: y += alpha / rank * B R A x, where R [rank, rank] alone is trained: all R come first, then
 * all A, then all B. rank is then at most the inputs and the outputs of every map.
 * @source Hu et al. 2021, arXiv:2106.09685; A frozen: Sun et al. 2024, arXiv:2403.12313; square:
 *         Balazy et al. 2024, arXiv:2405.17604.
 */
typedef struct {
    size_t rank; /* 1..1024; 0: no adapters */
    double alpha;
    unsigned maps; /* fm_decoder_adapt */
    bool train_a;  /* not with square */
    bool square;
    size_t most; /* refuse more trained values than this before there is room for them; 0: any */
} fm_decoder_adapters;

typedef struct {
    size_t max_tokens; /* most rows of one batch, 1..2^24 */
    unsigned train; /* fm_decoder_train; NONE without adapters: forward only, with little memory */
    fm_decoder_adapters adapters; /* with a rank, train must be NONE */
} fm_decoder_options;

typedef struct fm_decoder fm_decoder;

/**
 * Weights start at 0, B as well, A too: fm_decoder_set, fm_decoder_adapters_set.
 * @return FM_OK; FM_EINVAL naming the field; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_decoder_new(const fm_decoder_config *c, const fm_decoder_options *o,
                                      fm_decoder **out);
/** Another object over the same weights and adapters, which must outlive it, for another thread. It
 *  only reads them; nobody may set them while it computes. */
FM_NODISCARD fm_status fm_decoder_new_worker(const fm_decoder *d, size_t max_tokens,
                                             fm_decoder **out);
void fm_decoder_free(fm_decoder **d);
/** Zeroes all that a batch left: nothing in the buffers outlives a batch. */
void fm_decoder_forget(fm_decoder *d);

const fm_decoder_config *fm_decoder_get_config(const fm_decoder *d);
const fm_decoder_options *fm_decoder_get_options(const fm_decoder *d);
const fm_decoder_layout *fm_decoder_get_layout(const fm_decoder *d);

/** Copy the flat vector in / out, float32[P]. FM_EINVAL when n is not P, or of a worker;
 *  FM_ENONFINITE. On error the weights are unchanged. */
FM_NODISCARD fm_status fm_decoder_set(fm_decoder *d, const float *flat, size_t n);
void fm_decoder_get(const fm_decoder *d, float *flat);
/** The flat vector itself, to be filled in place; then fm_decoder_refresh. NULL of a worker. */
float *fm_decoder_weights(fm_decoder *d);
/** What was filled in is in force; FM_ENONFINITE when it is not finite. */
FM_NODISCARD fm_status fm_decoder_refresh(fm_decoder *d);

/** Floats of the adapters' flat vector; 0 without. */
size_t fm_decoder_adapter_parameters(const fm_decoder *d);
/** As fm_decoder_set and fm_decoder_get. */
FM_NODISCARD fm_status fm_decoder_adapters_set(fm_decoder *d, const float *flat, size_t n);
void fm_decoder_adapters_get(const fm_decoder *d, float *flat);
/** What is trained of them alone: the first fm_decoder_gradient_parameters values. */
FM_NODISCARD fm_status fm_decoder_adapters_set_trained(fm_decoder *d, const float *flat, size_t n);
/** The same vector in which B R stands for B: what an ordinary adapter of that A and rank has. R is as
 *  it was. */
void fm_decoder_adapters_get_plain(const fm_decoder *d, float *flat);
/**
 * Where a training of adapters begins: A uniform in +-1 / sqrt(in), drawn in the order of the vector,
 * B 0. Square: R 0; A's rows and B's columns orthonormal, about the largest singular vectors of the
 * map's weights, which must be in place. The same seed gives the same bits everywhere.
 * @param rng seeded; public.
 * @source He et al. 2015, arXiv:1502.01852, as PEFT has it; square: the subspaces of Balazy et al.
 *         2024, arXiv:2405.17604, found by Halko, Martinsson and Tropp 2011, arXiv:0909.4061,
 *         algorithm 4.4.
 */
FM_NODISCARD fm_status fm_decoder_adapters_init(fm_decoder *d, fm_rng *rng);
/** Weights that compute the same without adapters: flat, float32[P] of the model, gets
 *  alpha / rank * B A (B R A) added to each map that has one. */
void fm_decoder_adapters_merge(const fm_decoder *d, float *flat);
/** One adapter's place in that vector. */
typedef struct {
    size_t a, b;    /* offsets of A [rank, in] and B [out, rank] */
    size_t in, out; /* of the map */
} fm_decoder_adapter;
/** @param map one bit of fm_decoder_adapt. @param part of a feed-forward map: 0 gate, 1 up, 2 down.
 *  @return false when there is none. */
bool fm_decoder_adapter_at(const fm_decoder *d, size_t layer, unsigned map, size_t part,
                           size_t expert, fm_decoder_adapter *out);

/** A batch of packed sequences; borrowed for the call. */
typedef struct {
    const uint32_t *tokens; /* [rows] below the vocabulary */
    const uint32_t *ends;   /* [sequences], increasing, the last is the rows */
    size_t sequences;       /* may be 0 */
    const float *weights;   /* [rows] of each token's own prediction (the first of a sequence has
                               none) in its sequence's loss; NULL: their mean */
} fm_decoder_batch;

/**
 * Logits of every row, or of the last of each sequence: float32[rows or sequences, V].
 * @return FM_OK; FM_EINVAL: more rows than max_tokens, a sequence that is empty or longer than the
 *         context, a token out of range.
 */
FM_NODISCARD fm_status fm_decoder_logits(fm_decoder *d, const fm_decoder_batch *b, float *out);
FM_NODISCARD fm_status fm_decoder_last_logits(fm_decoder *d, const fm_decoder_batch *b, float *out);
/** Sum over the tokens of each sequence of weight * -log p(token | those before): double[sequences].
 *  Logits of all rows are never in memory at once. */
FM_NODISCARD fm_status fm_decoder_losses(fm_decoder *d, const fm_decoder_batch *b, double *losses);

/** The same, and backward through everything that is trained; keeps what the calls below need.
 *  @param losses or NULL. @return as above; FM_EINVAL for an object that is forward only. */
FM_NODISCARD fm_status fm_decoder_backward(fm_decoder *d, const fm_decoder_batch *b,
                                           double *losses);

#define FM_SOFT_MOST ((size_t)256)
/**
 * What another model, the teacher, holds likely after each row: its most likely tokens with their
 * probabilities q, and the mass of all others. The loss of a row's prediction is then
 *
 *   (1 - share) (-log p(token)) + share T^2 KL(q || p_T),  KL = sum q_k log(q_k / p_k) + rest
 *
 * with p_T the softmax of logits / T, and all tokens that are not named as one: rest has
 * r log(r / p_rest). T^2 keeps the gradients' size.
 * @source Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2.
 */
typedef struct {
    double share;           /* 0 to 1: of the teacher in the loss */
    double temperature;     /* T, 0.1 to 100; q must be of the same */
    size_t most;            /* tokens named per row, 1 to FM_SOFT_MOST */
    const uint32_t *tokens; /* [rows, most] below the vocabulary, in a row all different */
    const float *chances;   /* [rows, most] q, of the token after the row, >= 0 */
    const float *rest;      /* [rows] r >= 0; 0 where all tokens are named */
} fm_decoder_soft;

/** A teacher's soft targets: `most` tokens of each row, the most likely first, of equals the lesser.
 *  Logits of all rows are never in memory at once.
 *  @return as fm_decoder_logits; FM_EINVAL for temperature or `most`, which is at most the vocabulary. */
FM_NODISCARD fm_status fm_decoder_soften(fm_decoder *d, const fm_decoder_batch *b,
                                         double temperature, size_t most, uint32_t *tokens,
                                         float *chances, float *rest);
/** fm_decoder_backward with that loss. What `soft` points to is read until the next pass. */
FM_NODISCARD fm_status fm_decoder_backward_soft(fm_decoder *d, const fm_decoder_batch *b,
                                                const fm_decoder_soft *soft, double *losses);

/* What follows is of the last backward pass, over what is trained of the adapters' flat vector where
 * there are such, else over the model's. */

/** Floats of that vector. */
size_t fm_decoder_gradient_parameters(const fm_decoder *d);
/**
 * Squared L2 norm of each unit's gradient, never a unit's gradient in memory. double[count].
 * @source Goodfellow 2015, arXiv:1510.01799; Bu et al. 2023, arXiv:2210.00038.
 */
void fm_decoder_unit_squares(fm_decoder *d, const uint32_t *units, size_t count, double *out);
/** Sum over units of weight * gradient; every entry is written. Units of weight 0 are left out,
 *  whatever their gradient. */
void fm_decoder_weighted_sum(fm_decoder *d, const uint32_t *units, size_t count,
                             const float *weights, float *out);
/** Add one unit's gradient to out; bit-identical whatever else was in the batch. */
void fm_decoder_add_unit_gradient(fm_decoder *d, const uint32_t *units, size_t unit, float *out);
/**
 * Add each unit's gradient, times its factor, as integers: as fm_tabular_add_units, docs/model.md,
 * "How a unit becomes integers".
 * @return FM_OK; FM_EINVAL where norms, the embedding or the head are trained: linear maps only.
 */
FM_NODISCARD fm_status fm_decoder_add_units(fm_decoder *d, const uint32_t *units, size_t count,
                                            const double *factors, int64_t limit, int32_t *sum,
                                            uint64_t *squares);

#endif
