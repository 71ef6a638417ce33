/*
 * Bytes that come a token at a time, as valid UTF-8: a character whose end is not there yet is held
 * back, and each ill-formed sequence (a maximal subpart, Unicode 15.0, section 3.9, table 3-8)
 * becomes U+FFFD.
 */
#ifndef FEDMOE_EDGE_UTF8_H
#define FEDMOE_EDGE_UTF8_H

#include "fedmoe/base/memory.h"

/** Zero-initialise. */
typedef struct {
    uint8_t held[4];
    size_t count, want; /* bytes held, and of the character that they begin */
    uint8_t low, high;  /* what the next byte may be */
} fm_utf8;

/** Append to `out` what is whole by now. @return FM_OK; FM_ENOMEM. */
FM_NODISCARD fm_status fm_utf8_take(fm_utf8 *u, const uint8_t *bytes, size_t n, fm_buf *out);
/** Nothing more comes: what is held becomes U+FFFD. */
FM_NODISCARD fm_status fm_utf8_end(fm_utf8 *u, fm_buf *out);

#endif
