#include "fedmoe/base/random.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/hash.h"
#include "fedmoe/base/log.h"
#include "fedmoe/base/memory.h"

fm_status fm_random_init(void)
{
    if (sodium_init() < 0)
        return fm_fail(FM_EINTERNAL, "libsodium found no source of random bytes");
    return FM_OK;
}

void fm_random_bytes(void *out, size_t len)
{
    randombytes_buf(out, len);
}

static void fill_system(void *state, void *out, size_t len)
{
    (void)state;
    randombytes_buf(out, len);
}

fm_rng fm_rng_system(void)
{
    return (fm_rng){ .fill = fill_system };
}

static void refill(fm_rng_seed *s)
{
    uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];

    fm_put_u64le(nonce, s->block++);
    (void)crypto_stream_chacha20(s->buf, sizeof s->buf, nonce, s->key);
    s->left = sizeof s->buf;
}

static void fill_seeded(void *state, void *out, size_t len)
{
    fm_rng_seed *s = state;
    uint8_t *p = out;

    while (len > 0) {
        size_t n;

        if (s->left == 0)
            refill(s);
        n = len < s->left ? len : s->left;
        memcpy(p, s->buf + sizeof s->buf - s->left, n);
        s->left -= n;
        p += n;
        len -= n;
    }
}

fm_rng fm_rng_seeded(fm_rng_seed *s, uint64_t seed)
{
    static atomic_flag warned = ATOMIC_FLAG_INIT;

    if (!atomic_flag_test_and_set(&warned))
        fm_log(FM_LOG_WARN,
               "SEEDED RANDOMNESS: for tests and simulations only; nothing is private");
    return fm_rng_public(s, seed);
}

fm_rng fm_rng_public(fm_rng_seed *s, uint64_t seed)
{
    uint8_t text[8];
    fm_hash key;

    memset(s, 0, sizeof *s);
    fm_put_u64le(text, seed);
    key = fm_hash_of("fedmoe seeded rng v1", text, sizeof text);
    memcpy(s->key, key.bytes, sizeof s->key);
    return (fm_rng){ .fill = fill_seeded, .state = s };
}

static uint64_t next_u64(fm_rng *r)
{
    uint8_t b[8];

    r->fill(r->state, b, sizeof b);
    return fm_get_u64le(b);
}

double fm_rng_unit(fm_rng *r)
{
    return (double)(next_u64(r) >> 11) * 0x1p-53;
}

uint64_t fm_rng_below(fm_rng *r, uint64_t n)
{
    uint64_t skip, v;

    if (n <= 1)
        return 0;
    /* 2^64 mod n values are left out, so that each remainder is hit equally often. */
    skip = (0 - n) % n;
    do
        v = next_u64(r);
    while (v < skip);
    return v % n;
}

double fm_rng_normal(fm_rng *r)
{
    /* Box and Muller 1958; 1 - u is in (0, 1], so the logarithm is finite. */
    double radius = sqrt(-2.0 * log(1.0 - fm_rng_unit(r)));

    return radius * cos(6.283185307179586476925286766559 * fm_rng_unit(r));
}
