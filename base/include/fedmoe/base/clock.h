/* The two clocks, for any thread. State machines take the time as an argument instead. */
#ifndef FEDMOE_BASE_CLOCK_H
#define FEDMOE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/** Milliseconds of the monotonic clock; only differences mean anything. */
uint64_t fm_clock_now_ms(void);
/** Nanoseconds of the monotonic clock, for benchmarks. */
uint64_t fm_clock_now_ns(void);
/** Seconds since 1970 UTC. */
int64_t fm_clock_wall_s(void);
/** "2026-11-24T02:31:00Z" of a wall time; out holds at least 21 bytes. */
void fm_clock_format(int64_t wall_s, char *out, size_t cap);

#endif
