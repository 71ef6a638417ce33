/* Rotary positions: pairs of a query's or key's numbers turned by an angle for each position.
 * Source: Su et al. 2021, arXiv:2104.09864; YaRN: Peng et al. 2023, arXiv:2309.00071, section 3. */
#ifndef FEDMOE_MODEL_ROTARY_H
#define FEDMOE_MODEL_ROTARY_H

#include "fedmoe/model/carve.h"
#include "fedmoe/model/decoder_config.h"

typedef struct {
    size_t pairs, positions;
    bool interleaved;
    float *cosine, *sine; /* [positions, pairs], the attention factor in them */
} fm_rotary;

void fm_rotary_carve(fm_carver *c, size_t positions, size_t rotary, fm_rotary *r);
void fm_rotary_fill(fm_rotary *r, const fm_decoder_rope *rope);
/** y[2 pairs] = x turned; y may be x. */
void fm_rotary_turn(const fm_rotary *r, size_t position, const float *x, float *y);
/* From the gradient of y that of x; gx may be gy. */
void fm_rotary_back(const fm_rotary *r, size_t position, const float *gy, float *gx);

#endif
