/* A fixture with a decoder of its weights and its batch; and how far apart numbers are. */
#ifndef FEDMOE_TESTS_MODEL_DECODER_WORLD_H
#define FEDMOE_TESTS_MODEL_DECODER_WORLD_H

#include "decoder_fixture.h"

#define SEQUENCES 4
#define LENGTH 32
#define ROWS (SEQUENCES * LENGTH)

typedef struct {
    decoder_fixture f;
    fm_decoder *d;
    uint32_t tokens[ROWS], ends[SEQUENCES];
    fm_decoder_batch batch;
} world;

/* false: the fixtures are not there. */
bool world_begin(world *w, const char *name, unsigned train, bool adapted, bool train_a);
void world_end(world *w);
double world_farthest(const float *a, const float *b, size_t n);
/* Relative: in norm, and element by element with a share of the largest added to each. */
double world_distance(const float *mine, const float *want, size_t n, double share);

#endif
