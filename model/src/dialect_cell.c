/* Numbers, dates and missing cells of a dialect. */
#include <stdio.h>
#include <string.h>

#include "dialect_internal.h"
#include "fedmoe/base/text.h"

#define LONGEST 48 /* bytes of a number or date */

/* Bytes of a thousands mark at p, 0 for none. A space may be U+00A0 or U+202F. */
static size_t mark_at(const fm_dialect *d, const char *p)
{
    if (!d->thousands)
        return 0;
    if (*p == d->thousands)
        return 1;
    if (d->thousands != ' ')
        return 0;
    return strncmp(p, "\xc2\xa0", 2) == 0 ? 2 : strncmp(p, "\xe2\x80\xaf", 3) == 0 ? 3 : 0;
}

static size_t digits_at(const char *p)
{
    return strspn(p, "0123456789");
}

/* Digits, with marks or without: 1234567, or 1.234.567 and not 12.34. @return false: neither. */
static bool take_whole(const fm_dialect *d, const char **p, char **to)
{
    size_t n = digits_at(*p), mark;
    const bool groups = n > 0 && mark_at(d, *p + n) > 0;
    const bool odd = groups && (**p == '0' || n > 3); /* 0.999 is no 999 */

    memcpy(*to, *p, n);
    *to += n;
    *p += n;
    if (odd)
        return false;
    while (groups && (mark = mark_at(d, *p)) > 0) {
        if (digits_at(*p + mark) != 3)
            return false;
        memcpy(*to, *p + mark, 3);
        *to += 3;
        *p += mark + 3;
    }
    return true;
}

/* A number as the dialect writes it, to the usual form. @return false: it is none. */
static bool number(const fm_dialect *d, const char *p, char *to)
{
    const char *const begin = to;
    size_t n;

    if (*p == '+' || *p == '-')
        *to++ = *p++;
    if (!take_whole(d, &p, &to))
        return false;
    if (*p == (d->decimal ? d->decimal : '.')) {
        n = digits_at(++p);
        *to++ = '.';
        memcpy(to, p, n);
        to += n;
        p += n;
    }
    if ((*p == 'e' || *p == 'E') && to > begin) {
        *to++ = *p++;
        if (*p == '+' || *p == '-')
            *to++ = *p++;
        n = digits_at(p);
        memcpy(to, p, n);
        to += n;
        p += n;
    }
    *to = '\0';
    return *p == '\0';
}

/* `least` to `most` digits; 0: there are not. */
static unsigned part(const char **p, size_t least, size_t most)
{
    const size_t n = digits_at(*p);
    unsigned v = 0;

    if (n < least || n > most)
        return 0;
    for (size_t i = 0; i < n; i++)
        v = 10 * v + (unsigned)((*p)[i] - '0');
    *p += n;
    return v;
}

/* Three numbers with one mark between them: "31.12.2024", "1/2/2024", "2024-12-31". */
static bool three(const char **p, bool year_first, unsigned out[3])
{
    char mark = 0;

    for (int i = 0; i < 3; i++) {
        const bool year = i == (year_first ? 0 : 2);

        if (i > 0 && (!strchr("./-", **p) || !**p || (mark && **p != mark)))
            return false;
        if (i > 0)
            mark = *(*p)++;
        if (!(out[i] = part(p, year ? 4 : 1, year ? 4 : 2)))
            return false;
    }
    return true;
}

/* A day as the dialect writes it, with its time or without. @return false: it is none. */
static bool date(const fm_dialect *d, const char *p, char *to)
{
    static const unsigned char at[][3] = {
        [FM_DATES_YMD] = { 0, 1, 2 }, [FM_DATES_DMY] = { 2, 1, 0 }, [FM_DATES_MDY] = { 2, 0, 1 }
    };
    unsigned n[3];

    if (!three(&p, d->dates == FM_DATES_YMD, n))
        return false;
    if (*p == ' ' || *p == 'T') {
        p++;
        p += strspn(p, "0123456789:.+Z");
    }
    if (*p)
        return false;
    (void)snprintf(to, FM_DIALECT_CELL, "%04u-%02u-%02u", n[at[d->dates][0]], n[at[d->dates][1]],
                   n[at[d->dates][2]]);
    return true;
}

static const char *missing_as(const fm_dialect *d, const fm_schema *s, const fm_column *c,
                              const char *text)
{
    for (size_t i = 0; i < d->missing_count; i++)
        if (strcmp(d->missing[i], text) == 0)
            return c->missing.count   ? c->missing.at[0].text
                   : s->missing.count ? s->missing.at[0].text
                                      : NULL;
    return NULL;
}

/* It is one by the plain rule. What the dialect has no such reading of must not pass for one. */
static bool would_be(const char *text, bool is_date)
{
    double v;

    return is_date ? fm_cell_date(text, &v) : fm_text_double(text, &v);
}

static bool rewrite(const fm_dialect *d, const char *text, bool is_date, char *room)
{
    static const char *const orders[] = { "", "YMD", "DMY", "MDY" };

    if (is_date ? !d->dates : !d->decimal && !d->thousands)
        return false;
    if (strlen(text) >= LONGEST) {
        (void)snprintf(room, FM_DIALECT_CELL, "%.20s... [too long]", text);
        return true;
    }
    if (is_date ? date(d, text, room) && would_be(room, true) : number(d, text, room))
        return true;
    if (!would_be(text, is_date) && !(is_date && date(d, text, room)))
        return false;
    if (is_date)
        (void)snprintf(room, FM_DIALECT_CELL, "%s [dates are %s]", text, orders[d->dates]);
    else
        (void)snprintf(room, FM_DIALECT_CELL, "%s [decimal is '%c']", text,
                       d->decimal ? d->decimal : '.');
    return true;
}

void fm_dialect_cell(const fm_dialect *d, const fm_schema *s, const fm_column *c, fm_slice *cell,
                     char room[FM_DIALECT_CELL])
{
    const bool is_date = c->kind == FM_COLUMN_DATE,
               is_number = c->kind == FM_COLUMN_NUMERIC ||
                           (c->kind == FM_COLUMN_LABEL && c->target == FM_TARGET_NUMBER);
    const char *missing;

    if (!cell->at || c->kind == FM_COLUMN_IGNORE)
        return;
    /* A label is never missing. */
    missing = c->kind == FM_COLUMN_LABEL ? NULL : missing_as(d, s, c, cell->at);
    if (missing)
        *cell = (fm_slice){ missing, strlen(missing) };
    else if ((is_date || is_number) && fm_cells_find(&s->missing, cell->at) == SIZE_MAX &&
             fm_cells_find(&c->missing, cell->at) == SIZE_MAX &&
             rewrite(d, cell->at, is_date, room))
        *cell = (fm_slice){ room, strlen(room) };
}
