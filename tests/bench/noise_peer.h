/* A floating-point peer for the noise benchmark. */
#ifndef FEDMOE_TESTS_BENCH_NOISE_PEER_H
#define FEDMOE_TESTS_BENCH_NOISE_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** AVX-512 is there, for which the peer is written. */
bool bench_box_muller_available(void);

/** n (a multiple of 32) normals by Box-Muller in floats; only where available. */
void bench_box_muller(uint64_t seed, float sigma, float *out, size_t n);

#endif
