#include "fedmoe/base/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t fm_clock_now_ns(void)
{
    struct timespec t;

    /* Cannot fail: the clock exists on every Linux and the pointer is ours. */
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t fm_clock_now_ms(void)
{
    return fm_clock_now_ns() / 1000000u;
}

int64_t fm_clock_wall_s(void)
{
    return (int64_t)time(NULL);
}

#define STEP_MIN_S 3

int64_t fm_clock_step_s(fm_clock_seen *seen, int64_t wall_s, uint64_t now_ms)
{
    const fm_clock_seen before = *seen;
    int64_t step;

    *seen = (fm_clock_seen){ wall_s, now_ms, true };
    if (!before.known)
        return 0;
    step = wall_s - before.wall_s - (int64_t)((now_ms - before.now_ms) / 1000);
    return step >= STEP_MIN_S || step <= -STEP_MIN_S ? step : 0;
}

void fm_clock_format(int64_t wall_s, char *out, size_t cap)
{
    time_t t = (time_t)wall_s;
    struct tm tm;

    if (cap == 0)
        return;
    /* strftime's %Y has four digits or more only for years 1000 to 9999. */
    if (!gmtime_r(&t, &tm) || tm.tm_year < 1000 - 1900 || tm.tm_year > 9999 - 1900 ||
        strftime(out, cap, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        (void)snprintf(out, cap, "invalid time");
}
