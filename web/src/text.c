/* Forms in, HTML out. */
#include <string.h>

#include "web_internal.h"

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

/* application/x-www-form-urlencoded, one value. A zero byte is no text. */
static bool decode(const uint8_t *s, size_t n, char *out, size_t cap)
{
    size_t used = 0;

    for (size_t i = 0; i < n; i++) {
        int c = s[i] == '+' ? ' ' : s[i];

        if (c == '%') {
            if (n - i < 3 || hex_value(s[i + 1]) < 0 || hex_value(s[i + 2]) < 0)
                return false;
            c = hex_value(s[i + 1]) * 16 + hex_value(s[i + 2]);
            i += 2;
        }
        if (c == 0 || used + 1 >= cap)
            return false;
        out[used++] = (char)c;
    }
    out[used] = '\0';
    return true;
}

bool fm_web_field(const uint8_t *body, size_t n, const char *name, char *out, size_t cap)
{
    const size_t name_len = strlen(name);
    size_t at = 0;

    if (!body || cap == 0)
        return false;
    while (at < n) {
        const uint8_t *field = body + at;
        const uint8_t *end = memchr(field, '&', n - at);
        const size_t len = end ? (size_t)(end - field) : n - at;

        if (len > name_len && memcmp(field, name, name_len) == 0 && field[name_len] == '=')
            return decode(field + name_len + 1, len - name_len - 1, out, cap);
        at += len + 1;
    }
    return false;
}

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

fm_status fm_web_escape(fm_buf *out, const char *text)
{
    fm_status st = FM_OK;

    while (st == FM_OK && *text != '\0') {
        const size_t plain = strcspn(text, "&<>\"'");

        st = fm_buf_append(out, text, plain);
        text += plain;
        if (st == FM_OK && *text != '\0') {
            const char *e = entity(*text++);

            st = fm_buf_append(out, e, strlen(e));
        }
    }
    return st;
}
