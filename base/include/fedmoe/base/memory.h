/* Checked sizes, the arena that training buffers live in, and a bounded byte buffer. */
#ifndef FEDMOE_BASE_MEMORY_H
#define FEDMOE_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/status.h"

/** a * b and a + b; FM_ENOMEM when the result does not fit size_t (*out unchanged). */
FM_NODISCARD fm_status fm_mul_size(size_t a, size_t b, size_t *out);
FM_NODISCARD fm_status fm_add_size(size_t a, size_t b, size_t *out);

/** calloc and strdup with a status and an error text; *out is owned by the caller (free). */
FM_NODISCARD fm_status fm_alloc(size_t count, size_t size, void **out);
FM_NODISCARD fm_status fm_strdup(const char *s, char **out);

/**
 * A 64-byte-aligned block that is planned once and carved into pieces; reset per batch.
 * Not thread-safe.
 */
typedef struct fm_arena fm_arena;

FM_NODISCARD fm_status fm_arena_new(size_t bytes, fm_arena **out);
void fm_arena_free(fm_arena **a);
/** 64-byte-aligned, zeroed piece of count * size bytes; FM_ENOMEM when the plan was too small. */
FM_NODISCARD fm_status fm_arena_take(fm_arena *a, size_t count, size_t size, void **out);
void fm_arena_reset(fm_arena *a);
/** Zeroes every piece that was taken, as on the day it was: they stay taken. */
void fm_arena_wipe(fm_arena *a);
size_t fm_arena_used(const fm_arena *a);

/** Bytes an arena needs for one piece: the size rounded up to the alignment. */
FM_NODISCARD fm_status fm_arena_plan(size_t *total, size_t count, size_t size);

/** Growable bytes with a ceiling that never moves. Zero-initialise, or fm_buf_init. */
typedef struct {
    uint8_t *data; /* owned; NUL-terminated one past len, so that text can be read in place */
    size_t len;
    size_t cap;
    size_t limit; /* bytes; 0 means FM_BUF_DEFAULT_LIMIT */
} fm_buf;

#define FM_BUF_DEFAULT_LIMIT ((size_t)64 * 1024 * 1024)

void fm_buf_init(fm_buf *b, size_t limit);
/** Wipes and frees; safe on a zeroed buffer, and twice. */
void fm_buf_fini(fm_buf *b);
void fm_buf_clear(fm_buf *b);
/** Append; FM_ENOMEM past the limit (buffer unchanged). */
FM_NODISCARD fm_status fm_buf_append(fm_buf *b, const void *data, size_t len);
FM_NODISCARD fm_status fm_buf_printf(fm_buf *b, const char *fmt, ...) FM_PRINTF(2, 3);
/** Make room for len more bytes, and give the place where they go; len grows at once. */
FM_NODISCARD fm_status fm_buf_extend(fm_buf *b, size_t len, uint8_t **out);

/* Little-endian integers at unaligned places. */
static inline void fm_put_u32le(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}
static inline void fm_put_u64le(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}
static inline uint32_t fm_get_u32le(const uint8_t *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v |= (uint32_t)p[i] << (8 * i);
    return v;
}
static inline uint64_t fm_get_u64le(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

#endif
