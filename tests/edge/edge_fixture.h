/* Models of ../shared/fixtures/transformers, and small ones of random weights, as they run. */
#ifndef FEDMOE_TESTS_EDGE_FIXTURE_H
#define FEDMOE_TESTS_EDGE_FIXTURE_H

#include "decoder_fixture.h"
#include "fedmoe/edge/session.h"
#include "folder_fixture.h"

#define EDGE_SEQUENCES 4
#define EDGE_LENGTH 32
#define EDGE_ROWS (EDGE_SEQUENCES * EDGE_LENGTH)

/* false: it is not there, and the test was said to be skipped. In 8 bits: through fm_edge_write. */
bool edge_fixture_open(const char *name, bool int8, fm_edge_model **out);
/* The sequences of f->ref, one after the other. */
void edge_fixture_tokens(const decoder_fixture *f, const char *name, uint32_t *out, size_t count);

/* A folder of random weights. */
void edge_random_open(const char *config, bool int8, fm_edge_model **out);
/* The same folder as a decoder of model/, for `rows` tokens at once. */
void edge_random_decoder(const char *config, size_t rows, fm_decoder **out);

/* Configurations of the four families with odd sizes and a context of 16,384. */
extern const char *const edge_configs[];
extern const size_t edge_config_count;
/* Their tokens: below 24. */
void edge_tokens(uint32_t *out, size_t count, uint64_t seed);

fm_edge_session *edge_session(const fm_edge_model *m, size_t context, size_t tile,
                              fm_edge_cache cache, bool float_inputs);
double edge_farthest(const float *a, const float *b, size_t n);

/** A random model of that kind in 8 bits, in a fresh folder: where both are, of DECODER_PATH bytes. */
void edge_int8_make(const decoder_folder_spec *spec, char *dir, char *file);

#endif
