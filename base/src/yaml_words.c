/* What the YAML parser objects to, in the words of who wrote the file. */
#include <string.h>

#include <yaml.h>

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
      "the [ that is opened here is not closed, or a comma is missing in it" },
    { "did not find expected ',' or '}'", "flow mapping", true,
      "the { that is opened here is not closed, or a comma is missing in it" },
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
    { "found unknown escape character", "", false,
      "no such escape in double quotes; write \\\\ for a backslash, or use single quotes" },
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
    const size_t stop = y->problem_offset < len ? y->problem_offset : len;
    size_t line = 1, column = 1;

    for (size_t i = 0; i < stop; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    return fm_fail(FM_EPARSE, "%s:%zu:%zu: not UTF-8 text: %s; save the file as UTF-8", name, line,
                   column, y->problem ? y->problem : "bad bytes");
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
