/* Weights as they lie on disk: IEEE 754 binary16, and bfloat16, the upper half of binary32. */
#include <math.h>
#include <string.h>

#include "decoder_folder_internal.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors are little-endian");

static uint32_t bits_of(float v)
{
    uint32_t b;

    memcpy(&b, &v, sizeof b);
    return b;
}

static float float_of(uint32_t b)
{
    float v;

    memcpy(&v, &b, sizeof v);
    return v;
}

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

void fm_floats_from_bf16(const uint8_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = float_of((uint32_t)get16(in + 2 * i) << 16);
}

/* A subnormal half is mantissa * 2^-24, which float32 holds as a normal number. */
static float from_half(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31;
    const uint32_t mantissa = h & 0x3ff;

    if (exponent == 0)
        return copysignf((float)mantissa * 0x1p-24f, float_of(sign | 0x3f800000));
    if (exponent == 31)
        return float_of(sign | 0x7f800000 | mantissa << 13);
    return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
}

void fm_floats_from_f16(const uint8_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = from_half(get16(in + 2 * i));
}

/* Of finite values; the carry may run into the exponent, which is then right. */
void fm_floats_to_bf16(const float *in, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t b = bits_of(in[i]);

        put16(out + 2 * i, (b + 0x7fff + (b >> 16 & 1)) >> 16);
    }
}

/* Below the smallest normal half, 2^-14, adding 0.5 rounds to its grid of 2^-24: the sum's last bit
 * is worth that, and the addition rounds to nearest even. */
static uint32_t to_half(float v)
{
    const uint32_t b = bits_of(v), sign = b >> 16 & 0x8000, magnitude = b & 0x7fffffff;

    if (magnitude >= 0x477ff000) /* 65520, from which on it rounds to infinity */
        return sign | 0x7c00;
    if (magnitude < 0x38800000)
        return sign | (bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f));
    return sign | (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13;
}

void fm_floats_to_f16(const float *in, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++)
        put16(out + 2 * i, to_half(in[i]));
}

size_t fm_floats_element(const char *kind)
{
    if (strcmp(kind, "F32") == 0)
        return 4;
    return strcmp(kind, "F16") == 0 || strcmp(kind, "BF16") == 0 ? 2 : 0;
}

bool fm_floats_decode(const char *kind, const uint8_t *bytes, size_t n, float *out)
{
    if (strcmp(kind, "F32") == 0)
        memcpy(out, bytes, n * sizeof *out);
    else if (strcmp(kind, "BF16") == 0)
        fm_floats_from_bf16(bytes, n, out);
    else if (strcmp(kind, "F16") == 0)
        fm_floats_from_f16(bytes, n, out);
    else
        return false;
    return true;
}

/* bfloat16 rounds the last step below 2^128 up to infinity. */
static bool fits(const float *in, size_t n, float most)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(in[i]) < most))
            return false;
    return true;
}

bool fm_floats_encode(const char *kind, const float *in, size_t n, uint8_t *bytes)
{
    if (strcmp(kind, "F32") == 0) {
        memcpy(bytes, in, n * sizeof *in);
        return true;
    }
    if (strcmp(kind, "BF16") == 0) {
        fm_floats_to_bf16(in, n, bytes);
        return fits(in, n, 0x1.ffp127f);
    }
    fm_floats_to_f16(in, n, bytes);
    return strcmp(kind, "F16") == 0 && fits(in, n, 65520.0f);
}

/* Infinity and NaN have all bits of the exponent set. */
bool fm_floats_finite(const float *v, size_t n)
{
    uint32_t bad = 0;

    for (size_t i = 0; i < n; i++)
        bad |= (uint32_t)((bits_of(v[i]) & 0x7f800000) == 0x7f800000);
    return bad == 0;
}
