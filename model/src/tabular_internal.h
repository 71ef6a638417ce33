/* The insides of fm_tabular, shared by its files. Shapes: N rows of a batch, F, D, E, H, k as in
 * tabular.h; all matrices row-major. */
#ifndef FEDMOE_MODEL_TABULAR_INTERNAL_H
#define FEDMOE_MODEL_TABULAR_INTERNAL_H

#include "fedmoe/model/tabular.h"

#define FM_ABSENT SIZE_MAX /* offset of a tensor that the configuration leaves out */
#define FM_TABULAR_MAX_NAME 96

/* One linear map: where its parameters lie in the flat vector, and their effective values. */
typedef struct {
    size_t in, out;
    size_t weight, bias;             /* offsets into theta, or FM_ABSENT */
    double weight_scale, bias_scale; /* the group's multiplier */
    double spread;                   /* see fm_tabular_spread */
    float *w;                        /* [out, in] scale * theta */
    float *wt;                       /* [in, out] its transpose; the same memory when out is 1 */
    float *b;                        /* [out], or NULL */
} fm_linear;

typedef struct {
    char name[FM_TABULAR_MAX_NAME];
    size_t dims, shape[2], offset, elements;
} fm_tensor_entry;

/* Of one expert: hidden [H, D], output [D, H]. */
typedef struct {
    size_t hidden, output; /* indices into layout.linears */
} fm_expert_maps;

typedef struct {
    size_t router; /* [E, D] */
    bool shared_present;
    fm_expert_maps shared;
    fm_expert_maps *experts; /* [E] */
} fm_block_maps;

/* What the configuration alone decides. */
typedef struct {
    fm_linear *linears;
    size_t linear_count;
    fm_tensor_entry *tensors;
    size_t tensor_count;
    fm_block_maps *blocks;
    fm_expert_maps *expert_maps; /* [blocks * E], what blocks[].experts point into */
    size_t skip, embed, head;    /* indices into linears; embed and head only when D > 0 */
    size_t parameters;
} fm_layout;

/* Activations and output gradients of one block. */
typedef struct {
    float *x;         /* [N, D] input */
    float *gradient;  /* [N, D] of the block's output */
    float *scores;    /* [N, E] r */
    float *gscores;   /* [N, E] its gradient, 0 off the top k */
    uint32_t *routes; /* [N, k] experts, increasing */
    uint32_t *places; /* [N, k] where that pair lies in the sorted order */
    float *gates;     /* [N, k] */
    size_t *starts;   /* [E + 1] ranges of the sorted order */
    uint32_t *order;  /* [N * k] row of each pair, by expert, then by row */
    float *sorted;    /* [N * k, D] x of each pair */
    float *hidden;    /* [N * k, H] act */
    float *slope;     /* [N * k, H] its derivative */
    float *ghidden;   /* [N * k, H] gradient before act */
    float *result;    /* [N * k, D] expert(x), then the gradient of sorted */
    float *gresult;   /* [N * k, D] gradient of expert(x) */
    float *shared_hidden, *shared_slope, *shared_ghidden; /* [N, shared H] */
} fm_block;

/* One linear map's part in the gradient: rows [first, last) of a and g belong to records. */
typedef struct {
    const fm_linear *map;
    const float *a;        /* [., in] */
    const float *g;        /* [., out] */
    const fm_block *block; /* NULL: row i is record i; else sorted order */
    size_t expert;
} fm_use;

struct fm_tabular {
    fm_tabular_config config;
    fm_layout layout;
    size_t max_rows, rows; /* rows of the batch that is kept */
    fm_arena *arena;
    float *theta;   /* [P] */
    float *phi;     /* [N, F] */
    float *last;    /* [N, D] input of the head */
    float *glast;   /* [N, D] gradient of the embedding's output */
    float *logits;  /* [N] */
    float *glogits; /* [N] */
    float *scaled;  /* [N, widest out] weighted output gradients */
    fm_block *blocks;
    fm_use *uses;
    size_t use_count;
};

/* tabular_config.c */
FM_NODISCARD fm_status fm_tabular_config_check(const fm_tabular_config *c);

/* tabular_layout.c */
FM_NODISCARD fm_status fm_layout_make(const fm_tabular_config *c, fm_layout *out);
void fm_layout_fini(fm_layout *l);

/* activation.c: h = act(h) in place, slope = act'(h). */
void fm_activate(fm_activation kind, float *h, float *slope, size_t n);

/* tabular_route.c */
void fm_tabular_route(const fm_tabular *m, fm_block *b, size_t rows);

/* tabular_forward.c: phi[rows, F] to logits[rows]. */
void fm_tabular_forward(fm_tabular *m, size_t rows);

#endif
