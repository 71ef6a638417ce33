/* Documents with needles, and a small model that is trained to find them. */
#ifndef FEDMOE_TESTS_BENCH_NEEDLE_TRAIN_H
#define FEDMOE_TESTS_BENCH_NEEDLE_TRAIN_H

#include "fedmoe/base/random.h"
#include "fedmoe/model/decoder.h"

#define NEEDLE_BEGIN 0u
#define NEEDLE_ASK 1u
#define NEEDLE_FILLERS 62u
#define NEEDLE_KEYS 64u
#define NEEDLE_VALUES 64u
#define NEEDLE_FIRST_FILLER 2u
#define NEEDLE_FIRST_KEY (NEEDLE_FIRST_FILLER + NEEDLE_FILLERS)
#define NEEDLE_FIRST_VALUE (NEEDLE_FIRST_KEY + NEEDLE_KEYS)
#define NEEDLE_VOCABULARY (NEEDLE_FIRST_VALUE + NEEDLE_VALUES)

extern const char needle_config[]; /* config.json */

void needle_need(fm_status st);

/** Where needles are, from the first token to the last: token 1 + 2 slot is the key. */
typedef struct {
    uint32_t slot[NEEDLE_KEYS], key[NEEDLE_KEYS], value[NEEDLE_KEYS]; /* tokens, of key and value */
} needle_places;

/**
 * A document: random filler, in it `needles` pairs of a key and a value, and questions at its end, each
 * ASK, a key of those and its value.
 * @param even    needles lie at equal distances from the beginning to the end; else by chance.
 * @param tokens  out, [length]. @param weights out, [length]: of the answers, sum 1; or NULL.
 */
void needle_document(fm_rng *rng, size_t length, size_t needles, size_t questions, bool even,
                     uint32_t *tokens, float *weights, needle_places *places);

typedef struct {
    size_t length, needles, questions, sequences; /* of a step */
    size_t steps;
    double rate;
} needle_stage;

/* Trains all stages with `threads` threads; prints how it goes. */
void needle_train(const fm_decoder_config *c, const needle_stage *stages, size_t count,
                  unsigned threads, uint64_t seed, float *weights);

#endif
