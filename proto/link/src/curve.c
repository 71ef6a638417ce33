#include <string.h>

#include <sodium.h>
#include <zmq.h>

#include "fedmoe/proto/link/link.h"

_Static_assert(FM_CURVE_KEY_BYTES == crypto_box_PUBLICKEYBYTES &&
                   FM_CURVE_KEY_BYTES == crypto_box_SECRETKEYBYTES,
               "CURVE's keys are those of crypto_box");

fm_status fm_curve_keypair(uint8_t public_key[FM_CURVE_KEY_BYTES],
                           uint8_t secret_key[FM_CURVE_KEY_BYTES])
{
    if (!public_key || !secret_key)
        return fm_fail(FM_EINVAL, "fm_curve_keypair: no place for the keys");
    if (crypto_box_keypair(public_key, secret_key) != 0)
        return fm_fail(FM_EINTERNAL, "no CURVE key pair");
    return FM_OK;
}

fm_status fm_curve_public(const uint8_t secret_key[FM_CURVE_KEY_BYTES],
                          uint8_t public_key[FM_CURVE_KEY_BYTES])
{
    if (!public_key || !secret_key)
        return fm_fail(FM_EINVAL, "fm_curve_public: no key");
    if (crypto_scalarmult_base(public_key, secret_key) != 0)
        return fm_fail(FM_EINVAL, "not a CURVE secret key");
    return FM_OK;
}

void fm_curve_text(const uint8_t key[FM_CURVE_KEY_BYTES], char out[41])
{
    if (!zmq_z85_encode(out, key, FM_CURVE_KEY_BYTES))
        memset(out, 0, 41); /* cannot be: 32 is a multiple of 4 */
}

fm_status fm_curve_parse(const char *text, uint8_t key[FM_CURVE_KEY_BYTES])
{
    char copy[41], again[41];
    uint8_t bytes[FM_CURVE_KEY_BYTES];

    if (!text || !key)
        return fm_fail(FM_EINVAL, "fm_curve_parse: no text or no key");
    if (strnlen(text, sizeof copy) != 40)
        return fm_fail(FM_EPARSE, "a CURVE key has 40 characters");
    memcpy(copy, text, sizeof copy);
    /* ZeroMQ's decoder lets some characters outside of Z85 pass: one key, one text. */
    if (!zmq_z85_decode(bytes, copy) || !zmq_z85_encode(again, bytes, sizeof bytes) ||
        memcmp(again, copy, sizeof again) != 0)
        return fm_fail(FM_EPARSE, "not a CURVE key: only the characters of Z85 (ZeroMQ RFC 32)");
    memcpy(key, bytes, sizeof bytes);
    return FM_OK;
}
