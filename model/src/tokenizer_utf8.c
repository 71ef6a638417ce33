/* Well-formed UTF-8, and what is none: Unicode 15.0, section 3.9, tables 3-7 and 3-8. */
#include "tokenizer_internal.h"

/* Bytes of the character that a lead byte begins, and the range of its second byte. */
static size_t lead(uint8_t b, uint8_t *lo, uint8_t *hi)
{
    *lo = 0x80;
    *hi = 0xbf;
    if (b >= 0xc2 && b <= 0xdf)
        return 2;
    if (b >= 0xe0 && b <= 0xef) {
        if (b == 0xe0)
            *lo = 0xa0; /* no overlong forms */
        if (b == 0xed)
            *hi = 0x9f; /* no surrogates */
        return 3;
    }
    if (b >= 0xf0 && b <= 0xf4) {
        if (b == 0xf0)
            *lo = 0x90;
        if (b == 0xf4)
            *hi = 0x8f; /* nothing above U+10FFFF */
        return 4;
    }
    return 0;
}

size_t fm_tk_utf8_length(const uint8_t *p, size_t n, size_t *bad)
{
    uint8_t lo, hi;
    size_t want;

    if (p[0] < 0x80)
        return 1;
    *bad = 1;
    if (!(want = lead(p[0], &lo, &hi)) || n < 2 || p[1] < lo || p[1] > hi)
        return 0;
    for (*bad = 2; *bad < want; (*bad)++)
        if (*bad >= n || (p[*bad] & 0xc0) != 0x80)
            return 0;
    return want;
}

/* Not memmem, which some tools check over its whole length each time. */
const uint8_t *fm_tk_stand_in(const uint8_t *p, size_t n)
{
    while (n >= FM_TK_STAND_IN_LEN) {
        const uint8_t *at = memchr(p, FM_TK_STAND_IN[0] & 0xff, n - FM_TK_STAND_IN_LEN + 1);

        if (!at || memcmp(at, FM_TK_STAND_IN, FM_TK_STAND_IN_LEN) == 0)
            return at;
        n -= (size_t)(at + 1 - p);
        p = at + 1;
    }
    return NULL;
}

size_t fm_tk_utf8_valid(const uint8_t *p, size_t n)
{
    size_t at = 0, bad;

    while (at < n) {
        uint64_t eight;

        if (n - at >= 8) {
            memcpy(&eight, p + at, 8);
            if (!(eight & 0x8080808080808080u)) {
                at += 8;
                continue;
            }
        }
        const size_t len = fm_tk_utf8_length(p + at, n - at, &bad);

        if (!len)
            return at;
        at += len;
    }
    return n;
}

size_t fm_tk_encode(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}
