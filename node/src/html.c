#include "html.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The longest text that is formatted at once: a few paragraphs with a purpose in them. */
#define TEXT_LIMIT ((size_t)1 << 20)

static void append(fm_html *h, const char *data, size_t len)
{
    if (h->st == FM_OK)
        h->st = fm_buf_append(h->out, data, len);
}

void fm_html_raw(fm_html *h, const char *markup)
{
    append(h, markup, strlen(markup));
}

/**
 * One character of UTF-8 at `s` (RFC 3629: shortest form, no surrogates, up to U+10FFFF).
 * @return its bytes, 0 when there is none.
 */
static size_t character(const unsigned char *s, uint32_t *code)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t len = s[0] < 0x80             ? 1
                 : (s[0] & 0xe0) == 0xc0 ? 2
                 : (s[0] & 0xf0) == 0xe0 ? 3
                 : (s[0] & 0xf8) == 0xf0 ? 4
                                         : 0;
    uint32_t c = len == 1 ? s[0] : s[0] & (0x7fu >> len);

    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) /* the final zero too */
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (len == 0 || c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *code = c;
    return len;
}

/** Not for display: controls, and what could show a text in another order than it is written. */
static bool hidden(uint32_t c)
{
    return (c < 0x20 && c != '\n') || (c >= 0x7f && c < 0xa0) || c == 0x061c ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0xfffe || c == 0xffff;
}

static const char *reference(uint32_t c)
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

void fm_html_text(fm_html *h, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    while (*s) {
        uint32_t code = 0;
        size_t len = character(s, &code);
        const char *ref = len ? reference(code) : NULL;

        if (len == 0 || hidden(code))
            fm_html_raw(h, "\xef\xbf\xbd");
        else if (ref)
            fm_html_raw(h, ref);
        else
            append(h, (const char *)s, len);
        s += len ? len : 1;
    }
}

static void vformat(fm_html *h, bool escape, const char *format, va_list arguments)
{
    fm_buf text = { .limit = TEXT_LIMIT };
    uint8_t *place = NULL;
    va_list again;
    int len;

    if (h->st != FM_OK)
        return;
    va_copy(again, arguments);
    len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (len < 0)
        h->st = fm_fail(FM_EINTERNAL, "the report: a text that cannot be formatted");
    else if ((h->st = fm_buf_extend(&text, (size_t)len + 1, &place)) == FM_OK) {
        (void)vsnprintf((char *)place, (size_t)len + 1, format, arguments);
        if (escape)
            fm_html_text(h, (const char *)text.data);
        else
            fm_html_raw(h, (const char *)text.data);
    }
    fm_buf_fini(&text);
}

void fm_html_rawf(fm_html *h, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vformat(h, false, format, arguments);
    va_end(arguments);
}

void fm_html_textf(fm_html *h, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vformat(h, true, format, arguments);
    va_end(arguments);
}

void fm_html_element(fm_html *h, const char *name, const char *class, const char *format, ...)
{
    va_list arguments;

    fm_html_raw(h, "<");
    fm_html_raw(h, name);
    if (class) {
        fm_html_raw(h, " class=\"");
        fm_html_raw(h, class);
        fm_html_raw(h, "\"");
    }
    fm_html_raw(h, ">");
    va_start(arguments, format);
    vformat(h, true, format, arguments);
    va_end(arguments);
    fm_html_raw(h, "</");
    fm_html_raw(h, name);
    fm_html_raw(h, ">\n");
}
