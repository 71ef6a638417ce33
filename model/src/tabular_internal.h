/* The insides of fm_tabular, shared by its files. Shapes: N rows of a batch, F, D, E, H, k as in
 * tabular.h, K outputs; all matrices row-major. */
#ifndef FEDMOE_MODEL_TABULAR_INTERNAL_H
#define FEDMOE_MODEL_TABULAR_INTERNAL_H

#include "experts.h"
#include "fedmoe/model/tabular.h"

#define FM_TABULAR_MAX_NAME 96

typedef struct {
    char name[FM_TABULAR_MAX_NAME];
    size_t dims, shape[2], offset, elements;
} fm_tensor_entry;

/* What the configuration alone decides. */
typedef struct {
    fm_linear *linears;
    size_t linear_count;
    fm_tensor_entry *tensors;
    size_t tensor_count;
    fm_block_maps *blocks;
    fm_expert_maps *expert_maps;    /* [blocks * E], what blocks[].experts point into */
    fm_linear *skip, *embed, *head; /* embed and head only when D > 0 */
    size_t center;                  /* offset of the center; FM_ABSENT: there is none */
    size_t parameters;
} fm_layout;

/* What the workers of a model share; written by fm_tabular_set and its like alone. */
typedef struct {
    fm_tabular_config config;
    fm_layout layout;
    fm_arena *arena;
    float *theta;     /* [P] */
    float *load_bias; /* [blocks, E] */
    double clip_norm; /* of the training; 0: unknown, or nothing was clipped */
} fm_tabular_weights;

struct fm_tabular {
    fm_tabular_weights *weights;
    bool worker; /* the weights are another's */
    size_t max_rows;
    fm_arena *arena;
    float *panels;           /* room for any map's packed weights */
    fm_rows phi;             /* [N, F] */
    fm_rows last;            /* [N, D] input of the head */
    fm_rows glast;           /* [N, D] gradient of the embedding's output */
    fm_rows logits, glogits; /* [N, K] */
    fm_block *blocks;
    fm_tape tape;
};

/* tabular_config.c */
FM_NODISCARD fm_status fm_tabular_config_check(const fm_tabular_config *c);

/* tabular_layout.c */
FM_NODISCARD fm_status fm_layout_make(const fm_tabular_config *c, fm_layout *out);
void fm_layout_fini(fm_layout *l);

/* tabular_forward.c: rows of x, float32[, F], less the center, to phi[rows, F]; index NULL: the first
 * ones. */
void fm_tabular_gather(fm_tabular *m, const float *x, const uint32_t *index, size_t rows);
/* phi[rows, F] to logits[rows, K]. */
void fm_tabular_forward(fm_tabular *m, size_t rows);

/* tabular_odds.c: logits[rows] of a forward pass to log odds. */
void fm_tabular_correct(fm_tabular *m, size_t rows);

#endif
