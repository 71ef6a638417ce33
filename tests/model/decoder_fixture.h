/* Models of ../shared/fixtures/transformers, and small ones of random weights. */
#ifndef FEDMOE_TESTS_MODEL_DECODER_FIXTURE_H
#define FEDMOE_TESTS_MODEL_DECODER_FIXTURE_H

#include "fedmoe/base/safetensors.h"
#include "fedmoe/model/decoder.h"

extern const char *const decoder_fixture_names[];
extern const size_t decoder_fixture_count;

typedef struct {
    fm_decoder_config config;
    fm_decoder_layout layout;
    fm_safetensors *model, *ref, *adapter;
    float *theta;
} decoder_fixture;

/* false: it is not there, and the test was said to be skipped. */
bool decoder_fixture_load(const char *name, decoder_fixture *f);
void decoder_fixture_free(decoder_fixture *f);

/* Values of a tensor of f->ref, whose elements must be so many. */
const float *decoder_fixture_floats(const decoder_fixture *f, const char *name, size_t elements);

/* Each tensor's name and its pieces in the flat vector, a piece at a time. */
typedef void decoder_piece(void *ctx, const char *name, size_t from, size_t offset,
                           size_t elements);
void decoder_fixture_each(const decoder_fixture *f, decoder_piece *piece, void *ctx);

/* A small model of a family, 0 to 5: OLMoE, GraniteMoE, DeepSeek-V2 twice, DeepSeek-V3 twice. */
#define DECODER_SMALL 6
fm_decoder_config decoder_small(size_t which);
/* Its weights: gains about 1, the rest normal. float[P], to be freed. */
float *decoder_random(const fm_decoder_config *c, uint64_t seed);

#endif
