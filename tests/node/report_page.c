#include "report_page.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define DEPTH 64
#define NAME 16

/* Nothing that loads, runs or submits anything is among them. */
static const char *const elements[] = {
    "html",   "head",    "meta",       "title", "style", "body",  "main", "header", "section",
    "p",      "h1",      "h2",         "h3",    "div",   "b",     "span", "dl",     "dt",
    "dd",     "code",    "pre",        "ul",    "li",    "table", "tr",   "th",     "td",
    "figure", "caption", "figcaption", "svg",   "desc",  "line",  "text", "path",   "circle",
};
static const char *const attributes[] = {
    "xmlns",   "lang", "charset",    "name", "content", "http-equiv",
    "class",   "role", "aria-label", "id",   "style",   "aria-labelledby",
    "viewBox", "x",    "y",          "x1",   "x2",      "y1",
    "y2",      "cx",   "cy",         "r",    "d",       "text-anchor",
};

typedef struct {
    const char *at;
    char open[DEPTH][NAME];
    size_t depth;
    page_facts facts;
} reader;

static void complain(reader *r, const char *what)
{
    if (!r->facts.why[0])
        (void)snprintf(r->facts.why, sizeof r->facts.why, "%s at: %.80s", what, r->at);
}

static bool among(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bool take_name(reader *r, char out[NAME])
{
    size_t len = 0;

    while (isalnum((unsigned char)r->at[len]) || r->at[len] == '-')
        len++;
    if (len == 0 || len >= NAME)
        return false;
    memcpy(out, r->at, len);
    out[len] = '\0';
    r->at += len;
    return true;
}

/** Text up to `end` (or the end of all), in which only references begin with '&'. */
static void take_text(reader *r, char end, const char *forbidden)
{
    static const char *const references[] = { "&amp;", "&lt;", "&gt;", "&quot;", "&#39;" };

    for (; *r->at && *r->at != end; r->at++) {
        bool good = *r->at != '&';

        for (size_t i = 0; i < 5; i++)
            good = good || strncmp(r->at, references[i], strlen(references[i])) == 0;
        if (!good || strchr(forbidden, *r->at))
            complain(r, "a character out of place");
    }
}

static void take_attributes(reader *r)
{
    char name[NAME];

    while (*r->at == ' ') {
        r->at++;
        if (!take_name(r, name) ||
            !among(attributes, sizeof attributes / sizeof attributes[0], name) ||
            strncmp(r->at, "=\"", 2) != 0) {
            complain(r, "an attribute");
            return;
        }
        r->at += 2;
        take_text(r, '"', "<>");
        r->at += *r->at == '"';
    }
}

static void take_open(reader *r)
{
    char name[NAME];

    if (!take_name(r, name) || !among(elements, sizeof elements / sizeof elements[0], name)) {
        complain(r, "an element");
        return;
    }
    r->facts.elements++;
    r->facts.circles += strcmp(name, "circle") == 0;
    r->facts.rows += strcmp(name, "tr") == 0;
    take_attributes(r);
    if (strncmp(r->at, "/>", 2) == 0)
        r->at += 2;
    else if (*r->at == '>' && r->depth < DEPTH) {
        r->at++;
        memcpy(r->open[r->depth++], name, NAME);
        if (strcmp(name, "style") == 0) { /* its quotes are no markup */
            const char *end = strstr(r->at, "</style>");

            r->at = end ? end : r->at;
        }
    } else
        complain(r, "a tag without an end");
}

static void take_close(reader *r)
{
    char name[NAME];

    if (!take_name(r, name) || *r->at != '>' || r->depth == 0 ||
        strcmp(r->open[r->depth - 1], name) != 0) {
        complain(r, "a closing tag");
        return;
    }
    r->depth--;
    r->at++;
}

page_facts page_read(const char *page)
{
    static const char doctype[] = "<!DOCTYPE html>\n";
    reader r = { .at = page };

    if (strncmp(page, doctype, sizeof doctype - 1) != 0)
        complain(&r, "no doctype");
    else
        r.at += sizeof doctype - 1;
    while (*r.at && !r.facts.why[0]) {
        if (*r.at != '<')
            take_text(&r, '<', ">\"'");
        else if (*++r.at == '/') {
            r.at++;
            take_close(&r);
        } else
            take_open(&r);
    }
    if (r.depth != 0)
        complain(&r, "an element is not closed");
    return r.facts;
}
