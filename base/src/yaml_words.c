/* What the YAML parser objects to, in the words of who wrote the file. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "fedmoe/base/input.h"
#include "fedmoe/base/text.h"
#include "yaml_internal.h"

/* Its own words, and ours. `begins`: the place that counts is where the construct begins. */
static const struct {
    const char *problem, *context;
    bool begins;
    const char *words;
} known[] = {
    { "could not find expected ':'", "simple key", true,
      "this is no 'key: value'; a colon and a space are missing" },
    { "found unexpected end of stream", "quoted scalar", true,
      "the quote that is opened here is not closed" },
    { "found unexpected document indicator", "quoted scalar", true,
      "the quote that is opened here is not closed" },
    { "did not find expected ',' or ']'", "flow sequence", true,
      "the [ that is opened here is not closed: its ] or a comma is missing, a quote in it is not "
      "closed or stands in a text, or a # in it begins a comment; a text that begins with [ needs "
      "quotes" },
    { "did not find expected ',' or '}'", "flow mapping", true,
      "the { that is opened here is not closed: its } or a comma is missing, a quote in it is not "
      "closed or stands in a text, or a # in it begins a comment; a text that begins with { needs "
      "quotes" },
    { "found a tab character", "", false, "a tab; indent with spaces" },
    { "mapping values are not allowed", "", false,
      "a ': ' where no key can stand; is the line indented more than the one before it, or does a "
      "text that holds ': ' lack its quotes?" },
    { "did not find expected key", "block mapping", false,
      "this fits no line above it: is its indent right, is a quote or a bracket above not closed, "
      "or is something behind a quote?" },
    { "did not find expected '-' indicator", "", false,
      "this is no entry of the list above it: is a '-' missing, or one too many above, or the "
      "indent wrong?" },
    { "did not find expected alphabetic or numeric character", "alias", false,
      "an entry of a list begins with '- ', and a text that begins with * needs quotes" },
    { "did not find expected node content", "flow node", false,
      "nothing stands where a value belongs: two commas, or one that is a text and needs quotes; "
      "or "
      "a bracket before it is not closed: did a # begin a comment?" },
    { "did not find expected hexdecimal number", "", false,
      "a backslash in double quotes begins an escape; write / in a path, or take single quotes" },
    { "found unknown escape character", "", false,
      "no such escape in double quotes; write \\\\ for a backslash, or use single quotes" },
    { "did not find expected node content", "block node", false,
      "nothing stands where a value belongs; a text that begins with one of these characters needs "
      "quotes" },
    { "block sequence entries are not allowed", "", false,
      "a '- ' where no list can begin: one begins in a line of its own, and a text with '- ' in "
      "its "
      "beginning needs quotes" },
    { "", "scanning a block scalar", true, "a text that begins with > or | needs quotes" },
    { "", "scanning a tag", true, "a text that begins with ! needs quotes" },
    { "", "parsing a tag", true, "a text that begins with ! needs quotes" },
    { "found undefined tag handle", "", true, "a text that begins with ! needs quotes" },
    { "did not find expected alphabetic or numeric character", "anchor", true,
      "a text that begins with & needs quotes" },
};

static const char *words_of(const yaml_parser_t *y, bool *begins)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(y->problem, known[i].problem, strlen(known[i].problem)) == 0 &&
            strstr(y->context ? y->context : "", known[i].context)) {
            *begins = known[i].begins;
            return known[i].words;
        }
    return NULL;
}

/* The byte at fault, by its place; text is what the parser reads from. */
static fm_status fail_bytes(const char *name, const yaml_parser_t *y, const char *text, size_t len)
{
    const bool control = y->problem && strstr(y->problem, "control characters");
    const size_t stop = y->problem_offset < len ? y->problem_offset : len;
    size_t line = 1, column = 1;

    for (size_t i = 0; i < stop; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    if (text[0] == '\0' && memcmp(text, text + 1, len - 1) == 0)
        return fm_fail(FM_EPARSE,
                       "%s:1:1: the file holds nothing but NUL bytes (0x00), as a crash or a full "
                       "disk leaves one behind; put it back from a backup, or write it anew",
                       name);
    if (control && y->problem_value >= 0 && y->problem_value < 0x20)
        return fm_fail(FM_EPARSE, "%s:%zu:%zu: %s (0x%02x) is not allowed; take it away", name,
                       line, column, y->problem_value ? "a control character" : "a NUL byte",
                       (unsigned)y->problem_value);
    return fm_fail(FM_EPARSE, "%s:%zu:%zu: not UTF-8 text: %s; save the file as UTF-8", name, line,
                   column, y->problem ? y->problem : "bad bytes");
}

/* ---- what the lines at and before the place look like ---- */

typedef struct {
    const char *at;
    size_t len, number; /* 1-based */
} text_line;

static bool is_blank(const text_line *l)
{
    size_t i = 0;

    while (i < l->len && strchr(" \t\r", l->at[i]) && l->at[i])
        i++;
    return i == l->len || l->at[i] == '#';
}

/* What the parser's place is among. */
typedef struct {
    text_line here, before,
        unmerged; /* the line itself; the last before it that has something in it; the
                                         first mark of an unfinished merge, up to the line behind it */
} surroundings;

/* One walk: a file of many lines takes no longer than its bytes. */
static void look_around(const char *text, size_t len, size_t number, surroundings *out)
{
    const char *at = text, *const end = text + len, *lf;

    memset(out, 0, sizeof *out);
    for (size_t n = 1; at < end && n <= number + 1; n++, at = lf + 1) {
        text_line l;

        lf = memchr(at, '\n', (size_t)(end - at));
        l = (text_line){ at, (size_t)((lf ? lf : end) - at), n };
        if (!out->unmerged.at && fm_text_is_conflict(l.at, l.len))
            out->unmerged = l;
        if (n == number)
            out->here = l;
        else if (n < number && !is_blank(&l))
            out->before = l;
        if (!lf)
            break;
    }
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* "- name age" */
static bool is_two_words(const text_line *l)
{
    size_t i = 0, letters = 0;

    while (i < l->len && (is_space(l->at[i]) || l->at[i] == '-'))
        i++;
    while (i < l->len && (isalpha((unsigned char)l->at[i]) || l->at[i] == '_')) {
        i++;
        letters++;
    }
    return letters > 0 && i + 1 < l->len && l->at[i] == ' ' && !is_space(l->at[i + 1]);
}

/* "- name:age" is an entry that was to be a key and its value, and "- name age" where keys of the same entry
 * follow; of other entries nobody knows. */
static bool has_key(const text_line *l, bool follow)
{
    const char *colon = l->len ? memchr(l->at, ':', l->len) : NULL;
    const bool entry = l->len > 0 && memchr(l->at, '-', l->len);

    for (size_t i = 0; i < l->len; i++)
        if (l->at[i] == ':' && (i + 1 == l->len || is_space(l->at[i + 1])))
            return true;
    return entry && !(follow && is_two_words(l)) &&
           !(colon && colon > l->at && isalpha((unsigned char)colon[-1]) &&
             isalpha((unsigned char)colon[1]));
}

/* ---- quotes and brackets that span lines ---- */

typedef struct {
    size_t line, column; /* 1-based; line 0: there is none */
} place;

typedef struct {
    place quote;   /* opened before the line, closed in it */
    place bracket; /* the innermost that is open where the text ends */
    char is;       /* that one */
} spans;

/* Where a value or a key can begin. */
static bool can_open(const char *text, size_t at)
{
    while (at > 0 && is_space(text[at - 1]))
        at--;
    return at == 0 || strchr("\n:-,[{?", text[at - 1]);
}

/* One walk, as YAML reads: a comment begins behind a space, and a quote or bracket opens where a value can
 * begin. @param number of the line that the parser stopped in. */
static void find_spans(const char *text, size_t len, size_t number, spans *out)
{
    place open[FM_YAML_MAX_DEPTH], here = { 1, 0 }, quote = { 0, 0 };
    char is[FM_YAML_MAX_DEPTH];
    size_t depth = 0;
    bool comment = false;
    char in = '\0';

    *out = (spans){ .is = '\0' };
    for (size_t i = 0; i < len; i++) {
        const char c = text[i];

        here.column++;
        if (c == '\n') {
            here = (place){ here.line + 1, 0 };
            comment = false;
        } else if (in && c == in && !(in == '"' && text[i - 1] == '\\')) {
            if (here.line == number && quote.line < number)
                out->quote = quote;
            in = '\0';
        } else if (comment || in) {
            continue;
        } else if (c == '#' && (i == 0 || is_space(text[i - 1]) || text[i - 1] == '\n')) {
            comment = true;
        } else if ((c == '"' || c == '\'') && can_open(text, i)) {
            in = c;
            quote = here;
        } else if ((c == '[' || c == '{') && depth < FM_YAML_MAX_DEPTH && can_open(text, i)) {
            is[depth] = c;
            open[depth++] = here;
        } else if (depth && c == (is[depth - 1] == '[' ? ']' : '}')) {
            depth--;
        }
    }
    if (depth) {
        out->bracket = open[depth - 1];
        out->is = is[depth - 1];
    }
}

/* Nothing stands behind this line, but perhaps comments. */
static bool is_last(const char *text, size_t len, size_t number)
{
    surroundings around;

    look_around(text, len, SIZE_MAX - 1, &around);
    return !around.before.at || around.before.number <= number;
}

static fm_status fail_span(const char *name, const char *problem, const char *text, size_t len,
                           size_t number)
{
    static const char *const flow[] = { "did not find expected node content",
                                        "did not find expected ','",
                                        "found unexpected end of stream" };
    bool within = false;
    spans found;

    find_spans(text, len, number, &found);
    if (found.quote.line)
        return fm_fail(FM_EPARSE,
                       "%s:%zu:%zu: the quote that is opened here is not closed in its "
                       "line",
                       name, found.quote.line, found.quote.column);
    for (size_t i = 0; i < sizeof flow / sizeof *flow; i++)
        within = within || strncmp(problem, flow[i], strlen(flow[i])) == 0;
    if (within && found.bracket.line &&
        is_last(text, len, found.bracket.line == number ? number : number - 1))
        return fm_fail(FM_EPARSE,
                       "%s:%zu:%zu: the file ends inside the %c that is opened here: was it copied "
                       "whole, or is its %c missing?",
                       name, found.bracket.line, found.bracket.column, found.is,
                       found.is == '[' ? ']' : '}');
    return FM_OK;
}

static size_t indent_of(const text_line *l)
{
    size_t i = 0;

    while (i < l->len && l->at[i] == ' ')
        i++;
    return i + 1;
}

/* A dash or a point of a word processor. */
static bool is_bullet(const text_line *l)
{
    const size_t i = indent_of(l) - 1;

    return l->len > i + 3 && (memcmp(l->at + i, "\xe2\x80\x93 ", 4) == 0 ||
                              memcmp(l->at + i, "\xe2\x80\x94 ", 4) == 0 ||
                              memcmp(l->at + i, "\xe2\x80\xa2 ", 4) == 0);
}

static fm_status fail_line(const char *name, const text_line *l, const char *words)
{
    return fm_fail(FM_EPARSE, "%s:%zu:%zu: %s", name, l->number, indent_of(l), words);
}

/* Where the parser stops is often behind the mistake. @return FM_OK: nothing better is known. */
static fm_status fail_earlier(const char *name, const char *problem, const char *text, size_t len,
                              size_t at)
{
    const bool nowhere = strncmp(problem, "mapping values are not allowed", 30) == 0,
               misfit = strncmp(problem, "did not find expected key", 25) == 0,
               keyless = strncmp(problem, "could not find expected ':'", 27) == 0;
    static const char key[] = "this is no 'key: value'; a colon and a space are missing";
    static const char dash[] = "a '- ' is missing before what opens here, or a ': ' before it";
    surroundings around;
    text_line here, before, l;
    char copy[512], words[160];
    const char *unseen;

    if (memchr(text, '\0', len)) /* UTF-16 */
        return FM_OK;
    look_around(text, len, at, &around);
    here = around.here;
    before = around.before;
    if (around.unmerged.at)
        return fail_line(name, &around.unmerged, FM_TEXT_CONFLICT);
    if (is_bullet(&here))
        return fail_line(name, &here, "an entry of a list begins with '- ', the keyboard's minus");
    for (int i = 0; i < 2 && (nowhere || misfit || keyless); i++) {
        l = i ? before : here;
        (void)snprintf(copy, sizeof copy, "%.*s", (int)(l.len < 500 ? l.len : 500),
                       l.at ? l.at : "");
        if (!(unseen = fm_text_invisible(copy)))
            continue;
        (void)snprintf(words, sizeof words,
                       "%s is in this line; take it away, or write a plain space", unseen);
        return fail_line(name, &l, words);
    }
    if (keyless && here.at && here.len >= indent_of(&here) &&
        strchr("{[", here.at[indent_of(&here) - 1]))
        return fail_line(name, &here, dash);
    if (fail_span(name, problem, text, len, at) != FM_OK)
        return FM_EPARSE;
    if ((nowhere || misfit) && before.at &&
        !has_key(&before, nowhere && indent_of(&here) > indent_of(&before)))
        return fail_line(name, &before, key);
    return FM_OK;
}

fm_status fm_yaml_fail_parser(const char *name, const void *parser, const char *text, size_t len)
{
    const yaml_parser_t *y = parser;
    yaml_mark_t mark = y->problem_mark;
    bool begins = false;
    const char *words;
    char at;

    if (y->error == YAML_MEMORY_ERROR)
        return fm_fail(FM_ENOMEM, "%s: no memory to parse it", name);
    if (y->error == YAML_READER_ERROR)
        return fail_bytes(name, y, text, len);
    if (fail_earlier(name, y->problem ? y->problem : "", text, len, mark.line + 1) != FM_OK)
        return FM_EPARSE;
    words = y->problem ? words_of(y, &begins) : NULL;
    if (begins)
        mark = y->context_mark;
    if (words)
        return fm_fail(FM_EPARSE, "%s:%zu:%zu: %s", name, mark.line + 1, mark.column + 1, words);
    at = y->buffer.pointer ? (char)*y->buffer.pointer : '\0';
    if (y->problem && strstr(y->problem, "cannot start any token") && at == '\t')
        return fm_fail(FM_EPARSE, "%s:%zu:%zu: a tab; indent with spaces", name, mark.line + 1,
                       mark.column + 1);
    if (y->problem && strstr(y->problem, "cannot start any token") && at > ' ' && at < 0x7f)
        return fm_fail(FM_EPARSE, "%s:%zu:%zu: a text that begins with %c needs quotes", name,
                       mark.line + 1, mark.column + 1, at);
    return fm_fail(FM_EPARSE, "%s:%zu:%zu: %s%s%s", name, mark.line + 1, mark.column + 1,
                   y->context ? y->context : "", y->context ? ", " : "",
                   y->problem ? y->problem : "not valid YAML");
}
