/* Escapes and classes of characters in a file's expression. */
#include <stdarg.h>
#include <stdio.h>

#include "tokenizer_pattern.h"

fm_status fm_tk_re_refuse(fm_tk_reader *r, const char *fmt, ...)
{
    char what[160];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    if (!r->st)
        r->st = fm_fail(FM_EPROTO, "%s: at byte %zu of the expression: %s", r->where, r->at, what);
    return r->st;
}

void fm_tk_re_property(fm_tk_reader *r, bool negative)
{
    char name[4] = "", text[16];
    size_t n = 0;

    if (!accept(r, "{")) {
        (void)fm_tk_re_refuse(r, "\\p without {...}");
        return;
    }
    if (accept(r, "^"))
        negative = !negative;
    while (r->at < r->len && n < 3 && is_ascii_word(r->text[r->at]))
        name[n++] = (char)r->text[r->at++];
    if (!fm_tk_categories(name) || !accept(r, "}")) {
        (void)fm_tk_re_refuse(
            r, "only the general categories are known in \\p{...} (L, Lu, N, P, ...)");
        return;
    }
    if (r->fold)
        (void)fm_tk_re_refuse(r, "\\p is not known within (?i:...)");
    categories(r, name, negative);
    (void)snprintf(text, sizeof text, "\\%c{%s}", negative ? 'P' : 'p', name);
    put(r, text);
}

/* Hexadecimal digits, at most `most`; FM_TK_RE_END when there are none. */
static uint32_t hex(fm_tk_reader *r, size_t most)
{
    uint32_t v = 0;
    size_t n = 0;

    for (; n < most && r->at < r->len; n++, r->at++) {
        const uint8_t b = r->text[r->at];

        if (b >= '0' && b <= '9')
            v = v << 4 | (uint32_t)(b - '0');
        else if ((b | 32) >= 'a' && (b | 32) <= 'f')
            v = v << 4 | (uint32_t)((b | 32) - 'a' + 10);
        else
            break;
    }
    return n ? v : FM_TK_RE_END;
}

uint32_t fm_tk_re_escaped(fm_tk_reader *r, uint32_t letter)
{
    static const char from[] = "rnftvae", to[] = "\r\n\f\t\v\a\x1b";
    const char *known = letter < 0x80 && letter ? strchr(from, (int)letter) : NULL;
    uint32_t c;

    if (known)
        return (uint8_t)to[known - from];
    if (letter >= 0x80 || !is_ascii_word(letter))
        return letter;
    if (letter == 'x' && accept(r, "{")) {
        c = hex(r, 6);
        if (c == FM_TK_RE_END || !accept(r, "}") || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ||
            !c)
            (void)fm_tk_re_refuse(r, "not a character: \\x{...}");
        return c;
    }
    if (letter == 'x' || letter == 'u') {
        const size_t begin = r->at;

        c = hex(r, letter == 'x' ? 2 : 4);
        if (c == FM_TK_RE_END || !c || (letter == 'x' && c >= 0x80) ||
            (letter == 'u' && (r->at - begin != 4 || (c >= 0xd800 && c <= 0xdfff))))
            (void)fm_tk_re_refuse(r, "not a character: \\%c", (int)letter);
        return c;
    }
    return 0;
}

/* One member or end of a range; 0 when it was a set (\s, \p{...}), which is written at once. */
static uint32_t class_member(fm_tk_reader *r)
{
    uint32_t c = take(r);

    if (c == FM_TK_RE_END) {
        (void)fm_tk_re_refuse(r, "a class is not closed");
    } else if (c == '[') {
        (void)fm_tk_re_refuse(
            r, "a '[' in a class must be written \\[ (classes in classes are not known)");
    } else if (c == '&' && next_is(r, "&")) {
        (void)fm_tk_re_refuse(r, "intersections of classes (&&) are not known");
    } else if (c == '\\') {
        const uint32_t letter = take(r),
                       plain = letter == FM_TK_RE_END ? 0 : fm_tk_re_escaped(r, letter);

        if (plain >= 0x80 && r->fold)
            (void)fm_tk_re_refuse(r, "only ASCII is known within (?i:...)");
        if (plain)
            return plain;
        if (letter == 's') {
            put(r, FM_TK_SPACES);
            spaces(r);
        } else if (letter == 'd' || letter == 'D') {
            put(r, letter == 'd' ? "\\p{Nd}" : "\\P{Nd}");
            categories(r, "Nd", letter == 'D');
        } else if (letter == 'p' || letter == 'P') {
            fm_tk_re_property(r, letter == 'P');
        } else {
            (void)fm_tk_re_refuse(r, "this escape is not known in a class");
        }
        return 0;
    } else if (r->fold && c >= 0x80) {
        (void)fm_tk_re_refuse(r, "only ASCII is known within (?i:...)");
    }
    return c;
}

void fm_tk_re_class(fm_tk_reader *r)
{
    size_t members = 0;
    uint32_t lo, hi;

    r->set.negated = accept(r, "^");
    put(r, r->set.negated ? "[^" : "[");
    if (next_is(r, "]"))
        (void)fm_tk_re_refuse(r, "an empty class");
    while (!r->st && !accept(r, "]")) {
        if (next_is(r, "-") && members && !next_is(r, "-]")) {
            (void)fm_tk_re_refuse(r, "a '-' that is no range must be first, last or \\-");
            break;
        }
        lo = hi = class_member(r);
        members++;
        if (r->st || !lo)
            continue;
        if (next_is(r, "-") && !next_is(r, "-]")) {
            r->at++;
            if (!(hi = class_member(r)) || hi < lo) {
                (void)fm_tk_re_refuse(r, "a range in a class is not in order");
                break;
            }
        }
        member(r, lo, hi);
        put_char(r, lo);
        if (hi != lo) {
            put(r, "-");
            put_char(r, hi);
        }
    }
    put(r, "]");
}
