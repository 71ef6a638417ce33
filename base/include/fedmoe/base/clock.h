/* The two clocks, for any thread. State machines take the time as an argument instead. */
#ifndef FEDMOE_BASE_CLOCK_H
#define FEDMOE_BASE_CLOCK_H

#include <stdbool.h>
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

/** What both clocks said when they were last compared; zeroed before the first time. */
typedef struct {
    int64_t wall_s;
    uint64_t now_ms;
    bool known;
} fm_clock_seen;

/**
 * By how much the wall clock was set since the last call, beyond the time that went by: negative
 * when it was set back. 0 at the first call, and for the second or two by which rounding and a
 * clock that is slowly being corrected differ. A machine that slept is seen as set forward.
 *
 * @param wall_s,now_ms  fm_clock_wall_s and fm_clock_now_ms, taken together.
 */
int64_t fm_clock_step_s(fm_clock_seen *seen, int64_t wall_s, uint64_t now_ms);

#endif
