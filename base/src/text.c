#include "fedmoe/base/text.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORD 64

static const char *skip_digits(const char *s)
{
    while (*s >= '0' && *s <= '9')
        s++;
    return s;
}

/* [+-] digits [. digits] [e [+-] digits], with a digit before or after the point. */
static bool is_decimal(const char *s)
{
    const char *start = *s == '+' || *s == '-' ? s + 1 : s;
    const char *end = skip_digits(start);
    size_t digits = (size_t)(end - start);

    if (*end == '.') {
        start = end + 1;
        end = skip_digits(start);
        digits += (size_t)(end - start);
    }
    if (digits == 0)
        return false;
    if (*end == 'e' || *end == 'E') {
        start = end + 1;
        if (*start == '+' || *start == '-')
            start++;
        end = skip_digits(start);
        if (end == start)
            return false;
    }
    return *end == '\0';
}

#define EXACT_DIGITS 15 /* any number of so many digits is a double */
#define EXACT_POWER 22  /* 10^22 = 2^22 5^22, and 5^22 < 2^53 */

/* A digit string with a point somewhere: adds to the mantissa; digits[1] are those after it. */
static const char *read_mantissa(const char *s, uint64_t *mantissa, int digits[2])
{
    for (int part = 0; part < 2; part++) {
        for (; *s >= '0' && *s <= '9' && digits[0] + digits[1] <= EXACT_DIGITS; s++) {
            *mantissa = *mantissa * 10 + (uint64_t)(*s - '0');
            digits[part]++;
        }
        if (part == 0 && *s != '.')
            break;
        s += part == 0;
    }
    return s;
}

/*
 * Up to 15 digits times or over a power of ten that is a double: one operation on two exact
 * numbers, so the result is the nearest double (Clinger 1990, PLDI). @return false: not so short.
 */
static bool read_short(const char *s, double *out)
{
    static const double powers[EXACT_POWER + 1] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    const bool minus = *s == '-';
    uint64_t mantissa = 0;
    int digits[2] = { 0, 0 }, power = 0;
    double v;

    s = read_mantissa(s + (minus || *s == '+'), &mantissa, digits);
    if (digits[0] + digits[1] < 1 || digits[0] + digits[1] > EXACT_DIGITS)
        return false;
    if (*s == 'e' || *s == 'E') {
        const bool below = *++s == '-';
        const char *first = s += below || *s == '+';

        for (; *s >= '0' && *s <= '9' && s - first < 4; s++)
            power = power * 10 + (*s - '0');
        if (s == first)
            return false;
        power = below ? -power : power;
    }
    power -= digits[1];
    if (*s || power > EXACT_POWER || power < -EXACT_POWER)
        return false;
    v = (double)mantissa;
    v = power < 0 ? v / powers[-power] : v * powers[power];
    *out = minus ? -v : v;
    return true;
}

bool fm_text_double(const char *s, double *out)
{
    char *end = NULL;
    double v;

#if FLT_EVAL_METHOD == 0 /* elsewhere one operation may round twice */
    if (read_short(s, out))
        return true;
#endif
    if (!is_decimal(s))
        return false;
    v = strtod(s, &end);
    if (*end != '\0' || !isfinite(v))
        return false;
    *out = v;
    return true;
}

bool fm_text_has_control(const char *s)
{
    for (const unsigned char *p = (const unsigned char *)s; *p; p++)
        if (*p < 0x20 || *p == 0x7f || (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
            return true;
    return false;
}

bool fm_text_u64(const char *s, uint64_t *out)
{
    char *end = NULL;
    unsigned long long v;

    if (*s == '\0' || *skip_digits(s) != '\0')
        return false;
    errno = 0;
    v = strtoull(s, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *out = v;
    return true;
}

size_t fm_text_distance(const char *a, const char *b)
{
    size_t rows[3][MAX_WORD + 1], *before = rows[0], *above = rows[1], *row = rows[2], *oldest;
    size_t la = strlen(a), lb = strlen(b);

    if (la > MAX_WORD || lb > MAX_WORD)
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        oldest = before;
        before = above;
        above = row;
        row = oldest;
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);

            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
    }
    return row[lb];
}

bool fm_text_is_near(size_t distance, const char *word)
{
    size_t len = strlen(word);

    return distance <= (len < 4 ? 1 : len / 3 + 1);
}

void fm_text_up(double v, char out[FM_TEXT_UP])
{
    const double step = pow(10.0, floor(log10(v)) - 8.0); /* of the ninth digit, or a tenth of it */

    (void)snprintf(out, FM_TEXT_UP, "%.9g", v);
    for (int i = 1; i <= 64 && strtod(out, NULL) < v; i++)
        (void)snprintf(out, FM_TEXT_UP, "%.9g", v + i * step / 2.0);
}

const char *fm_text_invisible(const char *s)
{
    static const struct {
        const char *bytes, *words;
    } all[] = {
        { "\xc2\xa0", "a no-break space (U+00A0)" },
        { "\xc2\xad", "a soft hyphen (U+00AD)" },
        { "\xe2\x80\x87", "a figure space (U+2007)" },
        { "\xe2\x80\x89", "a thin space (U+2009)" },
        { "\xe2\x80\x8b", "a zero-width space (U+200B)" },
        { "\xe2\x80\x8c", "a zero-width mark (U+200C)" },
        { "\xe2\x80\x8d", "a zero-width mark (U+200D)" },
        { "\xe2\x80\x8e", "a mark of direction (U+200E)" },
        { "\xe2\x80\x8f", "a mark of direction (U+200F)" },
        { "\xe2\x80\xaf", "a narrow no-break space (U+202F)" },
        { "\xe2\x81\xa0", "a word joiner (U+2060)" },
        { "\xe3\x80\x80", "an ideographic space (U+3000)" },
        { "\xef\xbb\xbf", "a byte order mark (U+FEFF)" },
    };
    const char *first = NULL, *words = NULL, *at;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if ((at = strstr(s, all[i].bytes)) && (!first || at < first)) {
            first = at;
            words = all[i].words;
        }
    return words;
}

/* The character at s, and how many bytes it has; a byte that begins none stands for itself. Source: RFC 3629,
 * section 3. */
static uint32_t character(const char *s, size_t *len)
{
    const unsigned char *b = (const unsigned char *)s;
    const size_t more = b[0] >= 0xf0 ? 3 : b[0] >= 0xe0 ? 2 : b[0] >= 0xc2 ? 1 : 0;
    uint32_t c = more ? b[0] & (0x3fu >> more) : b[0];

    *len = 1;
    for (size_t i = 1; i <= more; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return b[0];
        c = c << 6 | (b[i] & 0x3f);
    }
    *len += more;
    return c;
}

size_t fm_text_length(const char *s)
{
    size_t n = 0;

    for (size_t len; *s; s += len, n++)
        (void)character(s, &len);
    return n;
}

/* @param latin whether there are such letters in the word, too */
static const char *odd_words(uint32_t c, bool latin)
{
    if ((c >= 0x2010 && c <= 0x2015) || c == 0x2212 || c == 0xfe63 || c == 0xff0d)
        return "is not the keyboard's minus";
    if (c == 0x2026)
        return "stands where something was cut out";
    if (c >= 0xff01 && c <= 0xff5e)
        return "is not the keyboard's, but a wide one";
    if (latin && c >= 0x370 && c <= 0x3ff)
        return "is a Greek letter";
    return latin && c >= 0x400 && c <= 0x4ff ? "is a Cyrillic letter" : NULL;
}

const char *fm_text_odd(const char *s, char out[FM_TEXT_ODD])
{
    const bool latin = strpbrk(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL;
    size_t n = 1;

    if (strpbrk(s, " \t\r\n"))
        return NULL;
    for (size_t len; *s; s += len, n++) {
        const uint32_t c = character(s, &len);
        char alone[5] = "";
        const char *words;

        if (c < 0x80)
            continue;
        memcpy(alone, s, len);
        if ((words = fm_text_invisible(alone)))
            (void)snprintf(out, FM_TEXT_ODD, "character %zu is %s", n, words);
        else if ((words = odd_words(c, latin)))
            (void)snprintf(out, FM_TEXT_ODD, "character %zu, \"%s\" (U+%04X), %s", n, alone,
                           (unsigned)c, words);
        if (words)
            return out;
    }
    return NULL;
}

bool fm_text_is_too_large(const char *s)
{
    return is_decimal(s) && isinf(strtod(s, NULL));
}

void fm_text_clean(char *s)
{
    for (unsigned char *p = (unsigned char *)s; *p; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            *p = '?';
        } else if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) {
            p[0] = '?';
            p[1] = '?';
        }
    }
}

bool fm_text_is_conflict(const char *line, size_t len)
{
    return len >= 7 &&
           (memcmp(line, "<<<<<<<", 7) == 0 || memcmp(line, ">>>>>>>", 7) == 0 ||
            (memcmp(line, "=======", 7) == 0 && (len == 7 || line[7] == '\r' || line[7] == '\n')));
}

bool fm_text_is_encoded_twice(const char *s)
{
    for (; (s = strchr(s, 0xc3)); s++)
        if ((s[1] == '\x83' || s[1] == '\x82') && (unsigned char)s[2] >= 0xc2)
            return true;
    return false;
}
