/* The institutions that bench-local_steps trains with. */
#ifndef FEDMOE_BENCH_LOCAL_STEPS_H
#define FEDMOE_BENCH_LOCAL_STEPS_H

#include "fedmoe/model/schema.h"
#include "fedmoe/model/table.h"

#define NODES_MAX 8u

typedef struct {
    fm_schema *schema;
    char *schema_text;
    uint32_t nodes;
    fm_table train[NODES_MAX], test;
    double units; /* expected ones of all nodes: a round figure */
} split;

/**
 * heart_disease: the four hospitals. credit_default, adult, diabetes130: so many rows, dealt to six
 * institutions whose shares of positive labels go from few to many.
 * @return false, with the reason in *why, when the shared data is not there; stops the program when it
 *         is there and cannot be read.
 */
bool split_load(const char *set, uint64_t seed, size_t rows, split *out, const char **why);
void split_fini(split *s);

#endif
