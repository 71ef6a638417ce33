#include "fedmoe/edge/utf8.h"

static fm_status replace(fm_utf8 *u, fm_buf *out)
{
    u->count = 0;
    return fm_buf_append(out, "\xef\xbf\xbd", 3);
}

/* No overlong forms, no surrogates, nothing above U+10FFFF: table 3-7. */
static fm_status begin(fm_utf8 *u, uint8_t b, fm_buf *out)
{
    if (b < 0x80)
        return fm_buf_append(out, &b, 1);
    if (b < 0xc2 || b > 0xf4)
        return replace(u, out);
    u->want = b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
    u->low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
    u->high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
    u->held[0] = b;
    u->count = 1;
    return FM_OK;
}

static fm_status take(fm_utf8 *u, uint8_t b, fm_buf *out)
{
    fm_status st;

    if (!u->count)
        return begin(u, b, out);
    if (b < u->low || b > u->high) {
        st = replace(u, out);
        return st ? st : begin(u, b, out);
    }
    u->low = 0x80;
    u->high = 0xbf;
    u->held[u->count++] = b;
    if (u->count < u->want)
        return FM_OK;
    u->count = 0;
    return fm_buf_append(out, u->held, u->want);
}

fm_status fm_utf8_take(fm_utf8 *u, const uint8_t *bytes, size_t n, fm_buf *out)
{
    fm_status st = FM_OK;

    for (size_t i = 0; !st && i < n; i++)
        st = take(u, bytes[i], out);
    return st;
}

fm_status fm_utf8_end(fm_utf8 *u, fm_buf *out)
{
    return u->count ? replace(u, out) : FM_OK;
}
