/* A model in 8 bits of random weights, written as it lies in the file: its float32 never is. */
#ifndef FEDMOE_TESTS_BENCH_EDGE_MODEL_H
#define FEDMOE_TESTS_BENCH_EDGE_MODEL_H

#include "fedmoe/model/decoder_folder.h"

extern const char edge_model_config[]; /* config.json: 1.3 billion parameters */

FM_NODISCARD fm_status edge_model_write(const char *config, const char *output);

#endif
