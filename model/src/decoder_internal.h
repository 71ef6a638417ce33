/*
 * The insides of fm_decoder, shared by its files. Shapes: N rows of a batch (at most max_tokens), D
 * width, V vocabulary, E experts, k of them chosen, Q = heads * query_head, K and U = key_heads *
 * query_head and value_head (LATENT: heads of them), O = heads * value_head, H a hidden width.
 *
 * Every linear map has a kind and, of experts, a number. Its input and output are rows of the
 * layer; what the backward pass or the tape needs of them each layer has for itself, the rest all
 * layers share (decoder_rows.c).
 */
#ifndef FEDMOE_MODEL_DECODER_INTERNAL_H
#define FEDMOE_MODEL_DECODER_INTERNAL_H

#include "attention.h"
#include "fedmoe/model/decoder.h"
#include "fedmoe/model/rotary.h"
#include "tape.h"

typedef enum {
    FM_MAP_QUERY, /* LATENT with a rank: query_b */
    FM_MAP_KEY,
    FM_MAP_VALUE,
    FM_MAP_QUERY_A,
    FM_MAP_LATENT,
    FM_MAP_LATENT_B,
    FM_MAP_OUTPUT,
    FM_MAP_ROUTER,
    FM_MAP_GATE, /* dense; then of the shared expert and of the others, each up and down after it */
    FM_MAP_SHARED = FM_MAP_GATE + 3,
    FM_MAP_EXPERT = FM_MAP_SHARED + 3,
    FM_MAP_COUNT = FM_MAP_EXPERT + 3,
} fm_map_kind;

enum { FM_PART_GATE, FM_PART_UP, FM_PART_DOWN, FM_PARTS };

typedef struct {
    fm_linear base;
    bool adapted;
    fm_linear a, r, b; /* its adapter, over the adapters' flat vector; r where it is square */
} fm_map;

typedef struct {
    fm_map fixed[FM_MAP_EXPERT]; /* by kind; in == 0: there is none */
    fm_map *experts;             /* [E, FM_PARTS] */
} fm_layer_maps;

/* What the workers of a model share. */
typedef struct {
    fm_decoder_config config;
    fm_decoder_options options;
    fm_decoder_layout layout;
    fm_layer_maps *layers; /* [layers] */
    fm_map *experts;       /* [layers, E, FM_PARTS] */
    fm_linear head;
    fm_arena *arena;
    float *theta;                               /* [P] */
    float *adapter;                             /* [adapter_parameters] */
    size_t adapter_parameters, adapter_trained; /* of which the first so many */
} fm_decoder_shared;

/* Rows of a feed-forward network: of the batch, or of the pairs of rows and experts. */
typedef struct {
    fm_rows gate, up; /* [., H] */
    fm_rows hidden;   /* [., H] silu(gate) * up, times the router's weight */
    fm_rows ggate, gup;
} fm_feed;

typedef struct {
    fm_rows x, g;  /* [., rank] A x and its gradient */
    fm_rows y, gy; /* [., rank] square: R A x and its gradient */
} fm_low;

/* A norm's rows: y = gain * x * scale. */
typedef struct {
    float *scale; /* [N] 1 / root mean square of x */
    fm_rows gy;   /* gradient of y */
} fm_norm;

/* One layer's rows in one object. */
typedef struct {
    fm_rows in, middle; /* [N, D] before attention, before the feed-forward network */
    fm_norm input_norm, post_norm;
    fm_rows attention_in, feed_in; /* [N, D] normalised */

    fm_rows query, gquery;            /* [N, Q] of the map */
    fm_rows key, gkey, value, gvalue; /* [N, K], [N, U]; GROUPED */
    fm_rows query_a, gquery_a;        /* [N, query_rank] */
    fm_rows query_in;                 /* [N, query_rank] normalised */
    fm_rows latent, glatent;          /* [N, key_value_rank + rotary] */
    fm_rows latent_in;                /* [N, key_value_rank] normalised */
    fm_rows latent_b, glatent_b;      /* [N, heads * (plain + value_head)] */
    fm_norm query_norm, key_norm;     /* GROUPED */
    fm_norm query_a_norm, latent_norm;
    fm_heads q, k, v; /* as attention takes them */
    float *logs;      /* [heads, N] */
    fm_rows mixed;    /* [N, O] attention's result */

    fm_rows scores, gscores, chances; /* [N, E] the router's, their softmax or sigmoids */
    float *weights;                   /* [N, k] of the chosen experts */
    float *sorted_weights;            /* [N * k] of the pairs in the sorted order */
    fm_dispatch dispatch;
    fm_rows sorted;  /* [N * k, D] feed_in of each pair */
    fm_rows gsorted; /* [N * k, D] gradient of each pair's output, unweighted */
    fm_feed dense, shared, experts;

    fm_rows gmiddle, gout; /* [N, D] gradients of middle, and of what the layer gives on */
    fm_low low[FM_MAP_COUNT];
} fm_layer;

/* A gain's part of the gradients. */
typedef struct {
    size_t offset;
    size_t n;
    const fm_rows *x;
    const fm_norm *norm;
} fm_gain;

#define FM_HEAD_STRIPE 192 /* of the vocabulary, at once: whole panels, whole tiles of rows */

/* Logits, later their gradients, lie in stripes of FM_HEAD_STRIPE tokens of the vocabulary: the
 * head's weights are packed, and summed up, stripe by stripe. */
typedef struct {
    size_t chunk;  /* rows whose logits are in memory at once */
    float *logits; /* [stripes, chunk, FM_HEAD_STRIPE] */
    float *target; /* [N] weight of the next token's prediction in its sequence's loss */
    float *most, *total, *others;  /* [N] of a row's logits: the largest; the sum of exponentials
                                     relative to it; the same without the target's */
    float *soft_total, *soft_rest; /* [N] the same with temperature: all, and those not named */
    float *soft_row;               /* [FM_HEAD_STRIPE] */
    fm_decoder_soft soft;          /* of the batch that is kept; most 0: none */
    float *stripe;                 /* [N, FM_HEAD_STRIPE] one stripe of all rows */
    float *sum;                    /* [FM_HEAD_STRIPE, D] */
} fm_head;

struct fm_decoder {
    fm_decoder_shared *own; /* NULL: a worker */
    const fm_decoder_shared *s;
    size_t max_tokens;
    bool learns; /* there may be a backward pass */
    fm_arena *arena;
    float *panels;
    fm_rotary rotary;
    fm_attend attend;
    fm_layer common; /* rows that all layers share */
    fm_layer *layers;
    fm_rows turned;  /* [N, Q] queries or keys, normalised */
    fm_rows passed;  /* [N * k, D] experts' outputs, or gradients of their inputs */
    fm_rows ghidden; /* [N, most H] of a dense or shared network */
    fm_rows gpassed; /* [N * k, H] of experts */
    fm_rows gmixed;  /* [N, O] */
    fm_heads gq, gk, gv;
    fm_rows last;    /* [N, D] after all layers */
    fm_rows head_in; /* [N, D] normalised */
    fm_norm last_norm;
    fm_rows gembedded; /* [N, D] gradient of the first layer's input */
    fm_head head;
    float *choice;       /* [E] of one row */
    float *group;        /* [E] */
    uint32_t *chosen;    /* [E] groups of one row */
    float *gweights;     /* [N * k] gradients of the router's weights, in the sorted order */
    uint32_t *tokens;    /* [N] of the batch that is kept */
    uint32_t *positions; /* [N] */
    uint32_t *ends;      /* [N] of its sequences */
    size_t rows, sequences;
    fm_tape tape;
    fm_gain *gains;
    size_t gain_count;
    uint32_t *unit_ends;  /* [N] rows */
    float *row_weights;   /* [N] */
    float *wide;          /* [Q or D, the greater] a sum of rows */
    uint32_t *next_same;  /* [N] the unit's next row with the same token, or N */
    uint32_t *first_same; /* [V] the first, while a unit is looked at; 0: none, else row + 1 */
};

/* ---- decoder_maps.c ---- */

FM_NODISCARD fm_status fm_decoder_maps_make(fm_decoder_shared *s);
void fm_decoder_maps_free(fm_decoder_shared *s);
/* The weights are new. */
void fm_decoder_maps_refresh(fm_decoder_shared *s);
/* Into `to`, of `want` floats: what fm_decoder_set does. */
FM_NODISCARD fm_status fm_decoder_copy_weights(fm_decoder *d, float *to, size_t want,
                                               const float *flat, size_t n);
static inline const fm_map *fm_map_of(const fm_decoder *d, size_t layer, size_t kind, size_t expert)
{
    const fm_layer_maps *l = &d->s->layers[layer];

    return kind < FM_MAP_EXPERT ? &l->fixed[kind]
                                : &l->experts[expert * FM_PARTS + (kind - FM_MAP_EXPERT)];
}
/* Whether a kind's own weights are trained, and whether it has an adapter. */
bool fm_map_trained(const fm_decoder_shared *s, size_t kind);
bool fm_map_adapted(const fm_decoder_shared *s, size_t kind);

/* One map at work: rows [first, first + rows) of x to those of y, or added to them. */
typedef struct {
    size_t layer, kind, expert;
} fm_map_id;
void fm_map_forward(const fm_decoder *d, fm_map_id id, const fm_rows *x, size_t first, size_t rows,
                    bool add, const fm_rows *y);
/* gx = or += what gy comes to. */
void fm_map_backward(const fm_decoder *d, fm_map_id id, const fm_rows *gy, size_t first,
                     size_t rows, bool add, const fm_rows *gx);

/* ---- decoder_square.c ---- */

/* A [rank, in], its rows, and B [out, rank], its columns, of a square adapter of the map w [out, in]:
 * orthonormal. */
FM_NODISCARD fm_status fm_square_begin(const float *w, size_t in, size_t out, size_t rank,
                                       fm_rng *rng, float *a, float *b);
/* B R. */
void fm_square_product(const float *b, const float *r, size_t out, size_t rank, float *to);

/* ---- decoder_rows.c: buffers ---- */

FM_NODISCARD fm_status fm_decoder_rows_make(fm_decoder *d);

/* ---- decoder_norm.c ---- */

/* The norms within attention have an epsilon of their own. */
#define FM_INNER_EPSILON 1e-6

void fm_norm_forward(fm_norm *n, const float *gain, double epsilon, const fm_rows *x, size_t rows,
                     const fm_rows *y);
/* gx += the gradient that n->gy comes to. */
void fm_norm_backward(const fm_norm *n, const float *gain, const fm_rows *x, size_t rows,
                      const fm_rows *gx);

/* ---- the passes over one layer; `next` gets what it gives on ---- */

void fm_layer_attend(fm_decoder *d, size_t layer);
void fm_layer_attend_back(fm_decoder *d, size_t layer);
void fm_layer_feed(fm_decoder *d, size_t layer, const fm_rows *next);
void fm_layer_feed_back(fm_decoder *d, size_t layer);
/* decoder_route.c: scores to chances, weights and sorted rows; and back from the weights' gradients
 * to those of the scores. */
void fm_layer_route(fm_decoder *d, size_t layer);
void fm_layer_route_back(const fm_decoder *d, size_t layer, size_t row);

/* ---- decoder_forward.c ---- */

FM_NODISCARD fm_status fm_decoder_take(fm_decoder *d, const fm_decoder_batch *b);
/* The batch that was taken, to head_in. */
void fm_decoder_forward(fm_decoder *d);

/* ---- decoder_head.c ---- */

void fm_head_carve(fm_carver *c, fm_decoder *d);
/* Of rows of head_in: float32[rows, V]. */
void fm_head_logits(const fm_decoder *d, size_t first, size_t rows, float *out);
/* Losses of the sequences (or NULL); with `back` the gradient of head_in to last_norm.gy. */
void fm_head_loss(fm_decoder *d, const fm_decoder_batch *b, bool back, double *losses);
/* The head's (of a tied model: and the embedding's) part of the units' squares; of row_weights'
 * weighted sum over rows [first, last). */
void fm_head_squares(fm_decoder *d, const uint32_t *ends, size_t units, double *out);
void fm_head_sum(fm_decoder *d, size_t first, size_t last, float *out);
/* Logits of `rows` rows from `first` on, at most head.chunk, to head.logits. */
void fm_head_chunk(const fm_decoder *d, size_t first, size_t rows);
/* Of the chunk's row `place` those of stripe s. @param n out, how many. */
float *fm_head_row(const fm_decoder *d, size_t s, size_t place, size_t *n);
size_t fm_head_stripes(const fm_decoder *d);

/* ---- decoder_soft.c: a teacher's part of the loss; with it a row's logits stay logits until
 * fm_soft_gradient ---- */

/* Whether they can be. */
bool fm_soft_settings(const fm_decoder *d, double temperature, size_t most);
/* T^2 KL of row i, the chunk's row `place`, whose largest logit is in head.most; keeps its sums. */
double fm_soft_loss(fm_decoder *d, size_t i, size_t place);
/* soft_row = by times the gradient of T^2 KL over the n logits z from token `from` on. */
void fm_soft_gradient(const fm_decoder *d, size_t i, size_t from, size_t n, const float *z,
                      float by);

/* ---- decoder_gradient.c ---- */

FM_NODISCARD fm_status fm_decoder_uses_make(fm_decoder *d);
static inline bool fm_decoder_trains(const fm_decoder *d, unsigned kinds)
{
    return d->s->options.train & kinds;
}

#endif
