/*
 * The one digest: BLAKE2b-256 (RFC 7693), each use under its own label so that no two uses can
 * collide. A hasher belongs to one thread; the rest is pure.
 */
#ifndef FEDMOE_BASE_HASH_H
#define FEDMOE_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/status.h"

#define FM_HASH_BYTES 32

typedef struct {
    uint8_t bytes[FM_HASH_BYTES];
} fm_hash;

typedef struct {
    _Alignas(64) unsigned char state[512]; /* crypto_generichash_state */
} fm_hasher;

/** Begin with a label ("fedmoe model v1"), itself length-prefixed. */
void fm_hasher_begin(fm_hasher *h, const char *label);
/** Raw bytes. */
void fm_hasher_add(fm_hasher *h, const void *data, size_t len);
/** u64le length, then the bytes: for parts of variable length. */
void fm_hasher_add_part(fm_hasher *h, const void *data, size_t len);
void fm_hasher_add_u64(fm_hasher *h, uint64_t v);
fm_hash fm_hasher_end(fm_hasher *h);

/** One of its own, begun, for a digest that takes many calls; *out is the caller's. FM_ENOMEM. */
FM_NODISCARD fm_status fm_hasher_new(const char *label, fm_hasher **out);
void fm_hasher_free(fm_hasher **h);

/** Label and one part. */
fm_hash fm_hash_of(const char *label, const void *data, size_t len);
/** Constant time. */
bool fm_hash_equal(const fm_hash *a, const fm_hash *b);
bool fm_hash_is_zero(const fm_hash *a);
/** Lower-case hex; out holds 65 bytes. */
void fm_hash_hex(const fm_hash *h, char out[2 * FM_HASH_BYTES + 1]);

/**
 * SHA-256 (FIPS 180-4) of a file, in lower-case hex: what sha256sum prints, for people who compare.
 * Whatever this program binds itself to is an fm_hash.
 * @param bytes  out, the file's length; may be NULL.
 * @return FM_OK; FM_ENOTFOUND; FM_EIO, also for what is not a regular file.
 */
FM_NODISCARD fm_status fm_hash_file_sha256(const char *path, char out[2 * FM_HASH_BYTES + 1],
                                           uint64_t *bytes);

#endif
