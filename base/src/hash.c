#include "fedmoe/base/hash.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/memory.h"

_Static_assert(sizeof(crypto_generichash_state) <= sizeof((fm_hasher *)0)->state,
               "fm_hasher is too small for libsodium's state");

static crypto_generichash_state *state_of(fm_hasher *h)
{
    return (crypto_generichash_state *)(void *)h->state;
}

/* libsodium's BLAKE2b fails only for lengths out of range, and ours is constant. */
void fm_hasher_begin(fm_hasher *h, const char *label)
{
    memset(h, 0, sizeof *h);
    (void)crypto_generichash_init(state_of(h), NULL, 0, FM_HASH_BYTES);
    fm_hasher_add_part(h, label, strlen(label));
}

void fm_hasher_add(fm_hasher *h, const void *data, size_t len)
{
    if (len > 0)
        (void)crypto_generichash_update(state_of(h), data, len);
}

void fm_hasher_add_part(fm_hasher *h, const void *data, size_t len)
{
    fm_hasher_add_u64(h, len);
    fm_hasher_add(h, data, len);
}

void fm_hasher_add_u64(fm_hasher *h, uint64_t v)
{
    uint8_t b[8];

    fm_put_u64le(b, v);
    fm_hasher_add(h, b, sizeof b);
}

fm_hash fm_hasher_end(fm_hasher *h)
{
    fm_hash out;

    (void)crypto_generichash_final(state_of(h), out.bytes, sizeof out.bytes);
    sodium_memzero(h, sizeof *h);
    return out;
}

fm_status fm_hasher_new(const char *label, fm_hasher **out)
{
    fm_hasher *h = aligned_alloc(_Alignof(fm_hasher), sizeof *h);

    if (!h)
        return fm_fail(FM_ENOMEM, "no memory for a digest");
    fm_hasher_begin(h, label);
    *out = h;
    return FM_OK;
}

void fm_hasher_free(fm_hasher **h)
{
    if (!h || !*h)
        return;
    sodium_memzero(*h, sizeof **h);
    free(*h);
    *h = NULL;
}

fm_hash fm_hash_of(const char *label, const void *data, size_t len)
{
    fm_hasher h;

    fm_hasher_begin(&h, label);
    fm_hasher_add_part(&h, data, len);
    return fm_hasher_end(&h);
}

bool fm_hash_equal(const fm_hash *a, const fm_hash *b)
{
    return sodium_memcmp(a->bytes, b->bytes, FM_HASH_BYTES) == 0;
}

bool fm_hash_is_zero(const fm_hash *a)
{
    return sodium_is_zero(a->bytes, FM_HASH_BYTES) == 1;
}

void fm_hash_hex(const fm_hash *h, char out[2 * FM_HASH_BYTES + 1])
{
    (void)sodium_bin2hex(out, 2 * FM_HASH_BYTES + 1, h->bytes, FM_HASH_BYTES);
}
