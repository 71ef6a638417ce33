#include <stdbool.h>
#include <string.h>

#include <sodium.h>

#include "mask_internal.h"

struct fm_dp_keypair {
    uint8_t secret[FM_DP_KEY_BYTES];
    uint8_t public_key[FM_DP_KEY_BYTES];
};

_Static_assert(crypto_box_PUBLICKEYBYTES == FM_DP_KEY_BYTES &&
                   crypto_box_SECRETKEYBYTES == FM_DP_KEY_BYTES &&
                   crypto_scalarmult_BYTES == FM_DP_KEY_BYTES,
               "X25519 sizes");

fm_status fm_dp_keypair_new(fm_dp_keypair **out)
{
    fm_dp_keypair *k;

    if (!out)
        return fm_fail(FM_EINVAL, "key pair: missing argument");
    if (!(k = sodium_malloc(sizeof *k)))
        return fm_fail(FM_ENOMEM, "key pair: no guarded memory left");
    if (crypto_box_keypair(k->public_key, k->secret) != 0) {
        fm_dp_keypair_free(&k);
        return fm_fail(FM_EINTERNAL, "key pair: X25519 failed");
    }
    *out = k;
    return FM_OK;
}

void fm_dp_keypair_free(fm_dp_keypair **k)
{
    if (!k)
        return;
    sodium_free(*k); /* wipes; accepts NULL */
    *k = NULL;
}

const uint8_t *fm_dp_keypair_public(const fm_dp_keypair *k)
{
    return k->public_key;
}

fm_status fm_dp_public_key_check(const uint8_t key[FM_DP_KEY_BYTES])
{
    bool ones = key[31] == 0x7f;

    /* RFC 7748 section 5 accepts u >= 2^255 - 19 and ignores bit 255: two encodings of one key
     * would pass as two members, so only the reduced one is a key here. */
    for (size_t i = 1; i < 31; i++)
        ones = ones && key[i] == 0xff;
    if ((key[31] & 0x80) != 0 || (ones && key[0] >= 0xed))
        return fm_fail(FM_EAUTH, "roster: a public key is not in canonical form");
    return FM_OK;
}

fm_status fm_dp_keypair_agree(const fm_dp_keypair *own, const uint8_t peer[FM_DP_KEY_BYTES],
                              uint8_t shared[FM_DP_KEY_BYTES])
{
    uint8_t q[FM_DP_KEY_BYTES];
    fm_status st = FM_OK;

    /* RFC 7748 section 6.1: an all-zero result means that the peer contributed nothing. */
    if (crypto_scalarmult(q, own->secret, peer) != 0 || sodium_is_zero(q, sizeof q))
        st = fm_fail(FM_EAUTH, "roster: a public key is of low order");
    else
        memcpy(shared, q, sizeof q);
    sodium_memzero(q, sizeof q);
    return st;
}
