/*
 * One line per event on standard error: time, level, text. Never keys, records, gradients, norms.
 * For any thread; a line is written whole.
 */
#ifndef FEDMOE_BASE_LOG_H
#define FEDMOE_BASE_LOG_H

#include "fedmoe/base/clock.h"
#include "fedmoe/base/status.h"

typedef enum { FM_LOG_ERROR, FM_LOG_WARN, FM_LOG_INFO, FM_LOG_DEBUG } fm_log_level;

/** Lines above `level` are dropped; default FM_LOG_INFO. FEDMOE_LOG=error|warn|info|debug. */
void fm_log_set_level(fm_log_level level);
/** A short name put into each line ("node cleveland"); copied, at most 63 bytes. */
void fm_log_set_name(const char *name);
/** Control characters in the text are written as '?', so that a peer cannot forge a line. */
void fm_log(fm_log_level level, const char *fmt, ...) FM_PRINTF(2, 3);

/**
 * Warn when the wall clock was set since the last call with this `seen`: dates of certificates and
 * statements are judged by it. Deadlines are not; they follow the monotonic clock.
 */
void fm_log_clock_set(fm_clock_seen *seen);

#endif
