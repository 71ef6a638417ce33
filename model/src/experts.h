/*
 * One residual block: a shared expert and top-k routed ones.
 *   y = residual * x + shared(x) + sum over e in T of gate_e expert_e(x)
 * A real sparse dispatch: rows sorted by expert, each expert runs over its own rows only. Every
 * row's part depends on that row alone.
 */
#ifndef FEDMOE_MODEL_EXPERTS_H
#define FEDMOE_MODEL_EXPERTS_H

#include "fedmoe/model/tabular.h"
#include "tape.h"

/* hidden [H, D], output [D, H]. */
typedef struct {
    fm_linear *hidden, *output;
} fm_expert_maps;

typedef struct {
    fm_linear *router; /* [E, D] */
    bool shared_present;
    fm_expert_maps shared;
    fm_expert_maps *experts; /* [E] */
} fm_block_maps;

/* Activations and output gradients of one block. */
typedef struct {
    const fm_tabular_config *config;
    const fm_block_maps *maps;
    const float *load_bias; /* [E] */
    float *panels;          /* room for any map's packed weights */
    fm_rows x;              /* [N, D] input */
    fm_rows gradient;       /* [N, D] of the block's output */
    fm_rows scores;         /* [N, E] r */
    fm_rows gscores;        /* [N, E] its gradient */
    fm_dispatch dispatch;
    float *gates;                          /* [N, k] */
    fm_rows sorted;                        /* [N * k, D] x of each pair */
    fm_rows hidden, ghidden;               /* [N * k, H] act, and the gradient before it */
    float *slope;                          /* as hidden: act' */
    fm_rows result;                        /* [N * k, D] expert(x), then the gradient of sorted */
    fm_rows gresult;                       /* [N * k, D] gradient of expert(x) */
    fm_rows shared_hidden, shared_ghidden; /* [N, shared H] */
    float *shared_slope;
} fm_block;

/* activation.c: h = act(h) in place, slope = act'(h). */
void fm_activate(fm_activation kind, float *h, float *slope, size_t n);

void fm_block_carve(fm_carver *c, size_t max_rows, fm_block *b);
void fm_block_list_uses(const fm_block *b, fm_tape *t);
/* next[rows, D] = y. */
void fm_block_forward(fm_block *b, size_t rows, const fm_rows *next);
/* gx[rows, D]: gradient of x, from b->gradient. The entropy term is added to losses, float32[rows],
 * unless NULL. */
void fm_block_backward(fm_block *b, size_t rows, const fm_rows *gx, float *losses);

/* experts_route.c: scores to routes, gates and sorted rows. */
void fm_block_route(fm_block *b, size_t rows);
/* Adds -router_entropy * H(softmax of row i's scores) to the gradient of the scores; @return it. */
float fm_block_entropy(const fm_block *b, size_t i);

#endif
