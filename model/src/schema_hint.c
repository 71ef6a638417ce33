/* What a cell that the schema does not take may have been meant to be. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "fedmoe/base/text.h"
#include "schema_internal.h"
#include "tokenizer_internal.h"

#define HINTED 32u    /* bytes: what is longer is no number with its unit */
#define NEAR_MAX 256u /* declared values that are looked through */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool fm_cell_means_missing(const char *s)
{
    static const char *const words[] = { "",      "?",       "-",    "--",   ".",         "*",
                                         "na",    "n/a",     "#n/a", "nan",  "null",      "none",
                                         "nil",   "unknown", "miss", "n.a.", "n.d.",      "missing",
                                         "empty", "#value!", "k.a.", "\\n",  "unbekannt", "unk" };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(words[i], s) == 0)
            return true;
    return false;
}

/* Digits in groups of three, the groups apart by `mark`. */
static bool has_thousands(const char *s, char mark)
{
    size_t digits = 0, groups = 0;

    for (s += *s == '-' || *s == '+'; is_digit(*s); s++)
        digits++;
    while (*s == mark && is_digit(s[1]) && is_digit(s[2]) && is_digit(s[3]) && !is_digit(s[4])) {
        groups++;
        s += 4;
    }
    return digits >= 1 && digits <= 3 && groups && (*s == '\0' || *s == '.' || *s == ',');
}

static bool is_decimal_comma(const char *s)
{
    s += *s == '-' || *s == '+';
    s += strspn(s, "0123456789");
    return *s == ',' && is_digit(s[1]) && s[1 + strspn(s + 1, "0123456789")] == '\0';
}

/* "1.234,5": which mark is which can be told. */
static const char *both_marks_hint(const char *s)
{
    const char *dot = strrchr(s, '.'), *comma = strrchr(s, ',');

    if (dot && comma && has_thousands(s, dot < comma ? '.' : ','))
        return dot < comma
                   ? "; a decimal comma and points between thousands? write 1234.5, or for "
                     "a node's records say csv: {decimal: \",\", thousands: \".\"} in "
                     "node.yaml"
                   : "; commas between thousands? write 1234.5, or for a node's records say "
                     "csv: {thousands: \",\"} in node.yaml";
    return NULL;
}

/* "18-100", "18 - 100", "18 to 100". */
static bool is_two_numbers(const char *s)
{
    s += strspn(s, "+-");
    if (!is_digit(*s))
        return false;
    s += strspn(s, "0123456789.");
    s += strspn(s, " ");
    if (*s != '-' && strncmp(s, "to ", 3) != 0 && strncmp(s, "..", 2) != 0)
        return false;
    s += strcspn(s, "0123456789");
    return is_digit(*s) && s[strspn(s, "0123456789.")] == '\0';
}

/* 'x', or between quotes of a word processor. */
static bool is_quoted(const char *s, size_t len)
{
    return (len > 1 && *s == '\'' && s[len - 1] == '\'') || strncmp(s, "\xe2\x80\x9c", 3) == 0 ||
           strncmp(s, "\xe2\x80\x9e", 3) == 0 || strncmp(s, "\xe2\x80\x98", 3) == 0;
}

static const char *number_hint(const char *s, size_t len)
{
    const char *both = both_marks_hint(s);

    if (both)
        return both;
    if (fm_text_is_too_large(s))
        return "; it is too large: a typing error in the exponent? Numbers end at 1.8e308";
    if (strcasecmp(s, "inf") == 0 || strcasecmp(s, "-inf") == 0 || strcasecmp(s, "infinity") == 0)
        return "; infinity is none: write the largest value that there can be, or leave it empty";
    if (is_two_numbers(s))
        return "; two numbers in one cell? Each needs a cell of its own";
    if (strncasecmp(s, "0x", 2) == 0)
        return "; write it in decimal digits";
    if (has_thousands(s, ',') && strchr(s, ',') == strrchr(s, ',') && !strchr(s, '.'))
        return "; a decimal comma or a thousands mark? write 1.5, and 1234 without marks, or say "
               "csv: "
               "{decimal: \",\"} or {thousands: \",\"} in node.yaml";
    if (is_decimal_comma(s))
        return "; a decimal comma? write 1.5, or for a node's records say csv: {decimal: \",\"} in "
               "node.yaml";
    if (has_thousands(s, ',') || has_thousands(s, '.') || has_thousands(s, ' ') ||
        has_thousands(s, '\''))
        return "; thousands marks? write 1234 without them, or for a node's records say csv: "
               "{thousands: ...} in "
               "node.yaml";
    if (*s == '<' || *s == '>')
        return "; a bound is no number: write the limit of detection itself, or leave it empty";
    if (len && s[len - 1] == '%')
        return "; write the number without the percent sign";
    if (strspn(s, " \t") || (len && (s[len - 1] == ' ' || s[len - 1] == '\t')))
        return "; there are spaces inside the quotes";
    if (strncmp(s, "\xe2\x88\x92", 3) == 0 || strncmp(s, "\xe2\x80\x93", 3) == 0)
        return "; its minus is not the one of the keyboard (U+002D): write it anew";
    if (is_quoted(s, len))
        return "; the quotes belong to the cell: quote with \"...\", or not at all";
    if (len > 1 && strspn(s, "0123456789.OolI") == len && strcspn(s, "0123456789") < len &&
        strpbrk(s, "OolI"))
        return "; a letter (O, l, I) in the place of a digit?";
    if ((is_digit(*s) || ((*s == '-' || *s == '+') && is_digit(s[1]))) && len <= HINTED &&
        isalpha((unsigned char)s[len - 1]))
        return "; write the number alone, without its unit";
    return "";
}

static const char *date_hint(const char *s, size_t len)
{
    const size_t digits = strspn(s, "0123456789");

    if (len == 10 && s[4] == '-' && s[7] == '-' && digits == 4)
        return strncmp(s + 5, "13", 2) >= 0 && strncmp(s + 8, "12", 2) <= 0 && is_digit(s[5])
                   ? "; there is no such month: day and month in the wrong order?"
                   : "; there is no such day";
    if (digits == 4 && s[4] == '-' && len >= 8 && len < 10)
        return "; write month and day with two digits each: 2020-03-07";
    if (digits == len && len >= 9)
        return "; seconds since 1970? export dates as text, 2020-12-31";
    if (len > 10 && s[4] == '-' && s[7] == '-')
        return "; leave out the time of day, or for a node's records say csv: {dates: YMD} in "
               "node.yaml";
    if (digits == len && len >= 8)
        return "; write it with dashes";
    if (digits == len && len == 4 && (*s == '1' || *s == '2'))
        return "; a year alone? write the day, too: 2020-12-31";
    if (digits == len && len >= 4)
        return "; a spreadsheet's number of a day? export dates as text";
    if (len == 8 && s[2] == '-' && s[5] == '-')
        return "; write the year with four digits, first: 2020-12-31";
    if (strpbrk(s, "./") || (len >= 8 && s[2] == '-'))
        return "; write year, month and day in this order, with dashes, or for a node's records "
               "say csv: {dates: DMY} or {dates: MDY} in node.yaml";
    for (const char *p = s; *p; p++)
        if (isalpha((unsigned char)*p) && digits)
            return "; write the month as a number: 2020-12-31";
    return "";
}

static const char *nearest(const fm_cells *list, const char *s, size_t *best)
{
    const char *near = NULL;

    for (size_t i = 0; i < list->count && i < NEAR_MAX; i++) {
        const char *text = list->at[i].text;
        const size_t d = strcasecmp(text, s) == 0 ? 0 : fm_text_distance(text, s);

        if (d < *best && (d == 0 || (strlen(text) > 2 && fm_text_is_near(d, text)))) {
            *best = d;
            near = text;
        }
    }
    return near;
}

/* A number is near to every other one: only words are compared. */
static const char *value_hint(const fm_column *c, const char *s, char out[FM_HINT_MAX])
{
    const char *trimmed = s + strspn(s, " \t"), *near, *other;
    char copy[64], shown[FM_CELL_SHOWN];
    size_t best = SIZE_MAX, n;
    double v;

    (void)snprintf(copy, sizeof copy, "%s", trimmed);
    for (n = strlen(copy); n && (copy[n - 1] == ' ' || copy[n - 1] == '\t');)
        copy[--n] = '\0';
    if (fm_text_double(copy, &v) && strcmp(copy, s) == 0)
        return "";
    if (is_quoted(s, strlen(s)))
        return "; the quotes belong to the cell: quote with \"...\", or not at all";
    near = nearest(&c->values, copy, &best);
    if ((other = nearest(&c->positive, copy, &best)) ||
        (other = nearest(&c->groups.names, copy, &best)))
        near = other;
    if (!near)
        return "";
    n = strlen(near);
    other = fm_text_invisible(near);
    if (!other && n && (near[0] == ' ' || near[n - 1] == ' '))
        other = "a space at its beginning or end";
    (void)snprintf(out, FM_HINT_MAX, "; did you mean \"%s\"?%s%s%s", fm_cell_show(near, shown),
                   other ? " The schema has " : "", other ? other : "", other ? " in it" : "");
    return out;
}

/* "05. Mrz", "5-Mar", "Jan 72": a spreadsheet's idea of 5.3 and 1.72, or of 5-3. */
static bool is_month_and_number(const char *s)
{
    static const char months[] = "jan feb mar mrz apr may mai jun jul aug sep oct okt nov dec dez";
    static const char between[] = " .-/";
    const char *word = s + strspn(s, "0123456789"), *end;
    char three[4] = "";

    word += strspn(word, between);
    for (size_t i = 0; i < 3 && isalpha((unsigned char)word[i]); i++)
        three[i] = (char)tolower((unsigned char)word[i]);
    if (strlen(three) != 3 || !strstr(months, three))
        return false;
    end = word + 3 + strspn(word + 3, between);
    return (is_digit(*s) || is_digit(*end)) && end[strspn(end, "0123456789")] == '\0';
}

/* A date as the dialect has it, or not: @param order "DMY]", behind the cell's own text. */
static const char *dates_hint(const char *s, const char *order)
{
    const bool day_first = *order == 'D', month_first = *order == 'M';
    unsigned n[3] = { 0, 0, 0 }, day, month, year;
    const bool three = sscanf(s, "%4u%*1[./-]%2u%*1[./-]%4u", &n[0], &n[1], &n[2]) == 3;

    day = n[day_first ? 0 : month_first ? 1 : 2];
    month = n[month_first ? 0 : 1];
    year = n[day_first || month_first ? 2 : 0];
    if (three && year >= 1000 && month >= 1 && month <= 12 && day <= 31)
        return "; there is no such day";
    if (three && year >= 1000 && month > 12 && day <= 12 && (day_first || month_first))
        return day_first
                   ? "; day and month the other way round? Then say csv: {dates: MDY} in node.yaml"
                   : "; day and month the other way round? Then say csv: {dates: DMY} in node.yaml";
    return "; that is csv: {dates: ...} of node.yaml: if all of the file is written like this, "
           "correct it there, else the cell";
}

/* A cell that the dialect refused, with its reason behind it (dialect_cell.c). */
static const char *dialect_hint(const char *s)
{
    static const char dates[] = " [dates are ";
    const char *order = strstr(s, dates);

    if (strstr(s, " [decimal is '"))
        return "; that is csv: {decimal: ...} of node.yaml: if all of the file is written like "
               "this, "
               "take it out there, else correct the cell";
    return order ? dates_hint(s, order + sizeof dates - 1) : NULL;
}

const char *fm_cell_hint(const fm_column *c, fm_slice cell, char out[FM_HINT_MAX])
{
    const char *s = cell.at;
    const bool date = c->kind == FM_COLUMN_DATE,
               number = c->kind == FM_COLUMN_NUMERIC ||
                        (c->kind == FM_COLUMN_LABEL && c->target == FM_TARGET_NUMBER);
    const char *hint;

    if (fm_tk_utf8_valid((const uint8_t *)s, cell.len) != cell.len)
        return "; it is not UTF-8: save the file as UTF-8, or for a node's records say csv: "
               "{encoding: ...} in node.yaml";
    if (fm_text_is_encoded_twice(s))
        return "; its letters were encoded twice: the export took UTF-8 for Latin-1, or for a "
               "node's "
               "records csv: {encoding: ...} in node.yaml does";
    if ((hint = dialect_hint(s)))
        return hint;
    if (*s == '#' && s[strspn(s, "#")] == '\0')
        return "; a spreadsheet writes so what a column is too narrow for: widen it, and export "
               "again";
    if (!date && is_month_and_number(s))
        return "; a spreadsheet took it for a date: make the column one of text there, write it "
               "anew, and export again";
    if (fm_cell_means_missing(s))
        return c->kind == FM_COLUMN_LABEL
                   ? "; a label is never missing"
                   : "; if it means \"not measured\", list it under missing in the schema";
    if ((hint = fm_text_invisible(s)) && number && is_digit(s[0]) && is_digit(s[cell.len - 1])) {
        (void)snprintf(out, FM_HINT_MAX,
                       "; %s between thousands? write 1234, or for a node's records say csv: "
                       "{thousands: \" \"} in node.yaml",
                       hint);
        return out;
    }
    if (hint) {
        (void)snprintf(out, FM_HINT_MAX, "; there is %s in it: write it anew", hint);
        return out;
    }
    hint = date     ? date_hint(s, cell.len)
           : number ? number_hint(s, cell.len)
                    : value_hint(c, s, out);
    return hint;
}

const char *fm_cell_hint_alone(const fm_column *c, const char *text, char out[FM_HINT_MAX])
{
    char room[FM_HINT_MAX];
    const char *hint = fm_cell_hint(c, (fm_slice){ text, strlen(text) }, room),
               *node = strstr(hint, ", or for a node's"), *say = strstr(hint, ", or say csv");
    const size_t len = node ? (size_t)(node - hint) : say ? (size_t)(say - hint) : strlen(hint);

    (void)snprintf(out, FM_HINT_MAX, "%.*s", (int)len, hint);
    return out;
}

/* Codes by which other systems write "not measured". */
static bool is_code(double v)
{
    static const double codes[] = { -1, -9, -99, -999, -9999, 99, 999, 9999, 99999, 888, 8888 };

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (v == codes[i])
            return true;
    return false;
}

static bool fits(const fm_column *c, double v)
{
    return v >= c->lo && v <= c->hi;
}

double fm_this_year(void)
{
    return 1970.0 + floor((double)time(NULL) / 31556952.0);
}

const char *fm_range_hint(const fm_column *c, double v, char out[FM_HINT_MAX])
{
    const bool age = strncasecmp(c->name, "age", 3) == 0 || strcasestr(c->name, "_age") ||
                     strcasestr(c->name, "alter") || strcasestr(c->name, "years");
    const bool far = age && v > 1.5 * c->hi; /* 101 is an age, too */
    const double year = fm_this_year();

    if (is_code(v))
        (void)snprintf(out, FM_HINT_MAX,
                       "; if %.10g means \"not measured\", list it under missing in the schema", v);
    else if (age && v >= 1880.0 && v <= year && fits(c, year - v))
        (void)snprintf(out, FM_HINT_MAX, "; a year of birth? %.10g would be an age of %.10g", v,
                       year - v);
    else if (far && fits(c, v / 12.0))
        (void)snprintf(out, FM_HINT_MAX, "; months for years? %.10g / 12 = %.4g", v, v / 12.0);
    else if (far && fits(c, v / 365.25))
        (void)snprintf(out, FM_HINT_MAX, "; days for years? %.10g / 365.25 = %.4g", v, v / 365.25);
    else
        out[0] = '\0';
    return out;
}
