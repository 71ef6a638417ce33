/* Configurations, random records and weights that several suites share. */
#ifndef FEDMOE_TESTS_MODEL_FIXTURE_H
#define FEDMOE_TESTS_MODEL_FIXTURE_H

#include "fedmoe/model/tabular.h"

typedef struct {
    const char *name;
    fm_tabular_config config;
} fixture_config;

extern const fixture_config fixture_configs[];
extern const size_t fixture_config_count;

typedef struct {
    fm_tabular *model;
    fm_tabular_config config;
    size_t parameters, rows;
    float *theta, *x, *y;
    uint32_t *index; /* 0, 1, ..., rows - 1 */
    fm_rng_seed seed;
    fm_rng rng;
} fixture;

/* All from `seed`; records are normal, weights such that every part of the model matters. */
fixture fixture_make(const fm_tabular_config *c, size_t rows, uint64_t seed);
void fixture_free(fixture *f);
/* Backward over all rows in order; the test fails when it does. */
void fixture_backward(fixture *f);

#endif
