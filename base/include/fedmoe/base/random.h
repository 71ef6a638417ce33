/* Secure random bytes, and the seeded stand-in that only tests and simulations may use. */
#ifndef FEDMOE_BASE_RANDOM_H
#define FEDMOE_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/status.h"

/** Once per program before anything else (sodium_init); FM_EINTERNAL when there is no source. */
FM_NODISCARD fm_status fm_random_init(void);

/** Bytes from the system's generator. Cannot fail after fm_random_init. */
void fm_random_bytes(void *out, size_t len);

/**
 * A source of bytes that functions take as an argument, so that tests can fix it.
 * fm_rng_system() is the only one that protects anything.
 */
typedef struct {
    void (*fill)(void *state, void *out, size_t len);
    void *state;
} fm_rng;

fm_rng fm_rng_system(void);

/** Deterministic ChaCha20 stream. Caller storage; not thread-safe. */
typedef struct {
    uint8_t key[32];
    uint64_t block;
    uint8_t buf[1024];
    size_t left;
} fm_rng_seed;

/** FOR TESTS AND SIMULATIONS: whoever knows the seed removes all noise and all masks. */
fm_rng fm_rng_seeded(fm_rng_seed *s, uint64_t seed);
/** The same numbers for what is public by its nature, as first weights: no warning. */
fm_rng fm_rng_public(fm_rng_seed *s, uint64_t seed);

/** Uniform in [0, 1) with 53 bits; uniform integer below n >= 1 without bias; standard normal. */
double fm_rng_unit(fm_rng *r);
uint64_t fm_rng_below(fm_rng *r, uint64_t n);
double fm_rng_normal(fm_rng *r);

#endif
