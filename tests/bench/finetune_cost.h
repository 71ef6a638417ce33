/* Costs of steps of bench-finetune. */
#ifndef FEDMOE_BENCH_FINETUNE_COST_H
#define FEDMOE_BENCH_FINETUNE_COST_H

#include <stdint.h>

typedef struct {
    const char *preset;
    uint64_t rank, tries, sequences;
} bench_cost;

/** Measures and prints time and memory of both steps. */
void bench_costs(const bench_cost *s);

#endif
