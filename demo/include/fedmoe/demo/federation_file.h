/* Writes the federation.yaml that the demonstration and the benchmarks run. */
#ifndef FEDMOE_DEMO_FEDERATION_FILE_H
#define FEDMOE_DEMO_FEDERATION_FILE_H

#include "fedmoe/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define FM_DEMO_PURPOSE "heart disease risk"

typedef struct {
    const char *name; /* federation */
    const char *door; /* endpoint */
    double epsilon, delta;
    uint64_t rounds;
    uint32_t nodes, quorum, colluders;
    size_t records; /* all nodes' training records; rounded to tens for the plan */
} fm_demo_federation;

/** Training defaults are the aggregator's own; only what a coordinator must say is written. */
FM_NODISCARD fm_status fm_demo_federation_write(const fm_demo_federation *f, const char *path);

#endif
