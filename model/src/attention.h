/*
 * Causal attention of the rows of one sequence, in tiles: scores are never in memory but for a tile
 * of them, so memory grows with the length, not with its square. The backward pass computes the
 * tiles' probabilities again, from the logarithm of each row's sum.
 * A sequence's results depend on that sequence alone: tiles begin where it does.
 *
 * Source: Milakov and Gimelshein 2018, arXiv:1805.02867 (the running maximum); Dao 2023,
 * arXiv:2307.08691, algorithms 1 and 2.
 */
#ifndef FEDMOE_MODEL_ATTENTION_H
#define FEDMOE_MODEL_ATTENTION_H

#include "linear.h"

/* float32[heads, rows, stride], stride = fm_row_stride(n): zeros past n. */
typedef struct {
    float *v;
    size_t heads, rows, n, stride;
} fm_heads;

typedef struct {
    size_t heads, key_heads; /* heads / key_heads of them share keys and values */
    size_t query, value;     /* of a head */
    float scale;
    /* room for one head of one sequence */
    float *keys, *values;                 /* panels: all keys; values, tile by tile */
    float *keys_straight, *values_across; /* for the backward pass */
    float *scores, *gscores, *sum;        /* a tile */
    float *most, *total;                  /* of a tile's rows */
} fm_attend;

void fm_heads_carve(fm_carver *c, size_t heads, size_t rows, size_t n, fm_heads *h);
static inline float *fm_heads_at(const fm_heads *h, size_t head, size_t row)
{
    return h->v + (head * h->rows + row) * h->stride;
}

/* @param back there will be a backward pass. */
void fm_attend_carve(fm_carver *c, size_t max_rows, bool back, fm_attend *a);

/* Rows [first, first + rows) are one sequence. out: [., heads * value]; logs: [heads, max_rows], the
 * logarithm of each row's sum of exponentials. */
void fm_attend_forward(const fm_attend *a, const fm_heads *q, const fm_heads *k, const fm_heads *v,
                       size_t first, size_t rows, const fm_rows *out, float *logs);
/* From gout those of q, k and v; what is in their rows is written over. */
void fm_attend_backward(const fm_attend *a, const fm_heads *q, const fm_heads *k, const fm_heads *v,
                        size_t first, size_t rows, const fm_rows *out, const float *logs,
                        const fm_rows *gout, const fm_heads *gq, const fm_heads *gk,
                        const fm_heads *gv);

#endif
