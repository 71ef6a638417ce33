/* The four hospitals as the benchmark runs them. */
#ifndef FEDMOE_BENCH_HEART_H
#define FEDMOE_BENCH_HEART_H

#include "fedmoe/aggregator/config.h"
#include "fedmoe/demo/hospitals.h"
#include "fedmoe/demo/simulate.h"
#include "fedmoe/model/tabular.h"

#define HOSPITALS FM_DEMO_HOSPITALS

typedef struct {
    double epsilon; /* 1000: no noise at all, the limit to compare with */
    double delta;
    uint32_t quorum, colluders;
    bool local_noise;   /* each node's is the counted one by itself */
    uint32_t word_bits; /* of an update; 0: the least that serve */
    uint64_t rounds;
    uint64_t seed;      /* of first weights and noise */
    const char *schema; /* text */
    size_t records;
} heart_setting;

typedef struct {
    fm_schema *schema;
    fm_aggregator_config config;
    float *first, *result; /* float32[parameters] */
    fm_table train[HOSPITALS], test[HOSPITALS];
} heart_run;

/** A temporary directory for the run's federation.yaml and model. */
FM_NODISCARD fm_status heart_open(const heart_setting *s, const fm_demo_hospital h[HOSPITALS],
                                  heart_run *out);
void heart_close(heart_run *r);

/** FLamby's rows and split; `schema` out: the text without slope, ca, thal. Owned by the caller. */
FM_NODISCARD fm_status heart_flamby_load(const char *data, const char *split,
                                         fm_demo_hospital out[HOSPITALS], char **schema);

#endif
