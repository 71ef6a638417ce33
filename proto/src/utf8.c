#include "utf8_internal.h"

#include <string.h>

#include "fedmoe/proto/message.h"

static bool between(unsigned char c, unsigned char lo, unsigned char hi)
{
    return c >= lo && c <= hi;
}

/* RFC 3629, section 4: the second byte's range depends on the first, which excludes overlong
 * forms, surrogates and what lies beyond U+10FFFF. */
static size_t lead(const unsigned char *s, unsigned char *lo, unsigned char *hi)
{
    *lo = 0x80;
    *hi = 0xbf;
    if (s[0] < 0x80)
        return 1;
    if (between(s[0], 0xc2, 0xdf))
        return 2;
    if (between(s[0], 0xe0, 0xef)) {
        *lo = s[0] == 0xe0 ? 0xa0 : 0x80;
        *hi = s[0] == 0xed ? 0x9f : 0xbf;
        return 3;
    }
    if (between(s[0], 0xf0, 0xf4)) {
        *lo = s[0] == 0xf0 ? 0x90 : 0x80;
        *hi = s[0] == 0xf4 ? 0x8f : 0xbf;
        return 4;
    }
    return 0;
}

size_t fm_utf8_length(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned char lo, hi;
    size_t n;

    if (len == 0)
        return 0;
    n = lead(s, &lo, &hi);
    if (n == 0 || n > len || (n > 1 && !between(s[1], lo, hi)))
        return 0;
    for (size_t i = 2; i < n; i++)
        if (!between(s[i], 0x80, 0xbf))
            return 0;
    return n;
}

bool fm_utf8_is_control(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    return s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
}

bool fm_utf8_is_text(const char *s, size_t len, bool lines)
{
    size_t n;

    for (size_t i = 0; i < len; i += n) {
        if ((n = fm_utf8_length(s + i, len - i)) == 0)
            return false;
        if (fm_utf8_is_control(s + i) && !(lines && (s[i] == '\n' || s[i] == '\r' || s[i] == '\t')))
            return false;
    }
    return true;
}

void fm_reason_set(char reason[FM_MAX_REASON_BYTES + 1], const char *text)
{
    size_t len = text ? strlen(text) : 0;
    size_t used = 0, n;

    for (size_t i = 0; i < len; i += n) {
        bool good = (n = fm_utf8_length(text + i, len - i)) > 0 && !fm_utf8_is_control(text + i);

        if (n == 0)
            n = 1;
        if (used + (good ? n : 1) > FM_MAX_REASON_BYTES)
            break;
        if (good)
            memmove(reason + used, text + i, n);
        else
            reason[used] = '?';
        used += good ? n : 1;
    }
    reason[used] = '\0';
}
