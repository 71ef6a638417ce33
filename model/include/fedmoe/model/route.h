/*
 * Which experts one row goes to, and with what weights, from what the router gives each.
 *
 * Source: the families' own (decoder_config.h); softmax or sigmoid, groups, correction.
 */
#ifndef FEDMOE_MODEL_ROUTE_H
#define FEDMOE_MODEL_ROUTE_H

#include "fedmoe/model/decoder_config.h"

/** Room for one row; what lies there is overwritten. */
typedef struct {
    float *choice;    /* [E] */
    float *group;     /* [group_count] */
    uint32_t *chosen; /* [group_count] */
} fm_route_room;

/**
 * @param correction float32[E], or NULL.
 * @param chances    float32[E]: the router's scores; becomes each expert's chance.
 * @param routes     out, [top_k] experts in increasing order; of equal chances the lower index.
 * @param weights    out, [top_k] float32 of those.
 * @thread pure; never allocates.
 */
void fm_route(const fm_decoder_config *f, const float *correction, const fm_route_room *r,
              float *chances, uint32_t *routes, float *weights);
/** What the chosen chances are divided by. */
float fm_route_divisor(const fm_decoder_config *f, const float *chances, const uint32_t *routes);

#endif
