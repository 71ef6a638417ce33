#include "yaml_internal.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/input.h"

/* One parse under way: the collections that are open, outermost first. */
typedef struct {
    yaml_parser_t parser;
    const char *text; /* [len] */
    size_t len;
    fm_yaml *doc;
    fm_yaml_node *open[FM_YAML_MAX_DEPTH];
    size_t depth;
    bool ended;
    size_t line, line_at; /* of the last scalar's end, and where in the text that line begins */
} parse;

static fm_status fail_at(const parse *p, yaml_mark_t mark, const char *what)
{
    return fm_fail(FM_EPARSE, "%s:%zu:%zu: %s", p->doc->name, mark.line + 1, mark.column + 1, what);
}

static fm_status fail_parser(const parse *p)
{
    return fm_yaml_fail_parser(p->doc->name, &p->parser, p->text, p->len);
}

static fm_status node_new(parse *p, fm_yaml_kind kind, yaml_mark_t mark, fm_yaml_node **out)
{
    void *fresh;
    fm_yaml_node *n;
    fm_status st = fm_alloc(1, sizeof *n, &fresh);

    if (st != FM_OK)
        return st;
    n = fresh;
    n->doc = p->doc;
    n->kind = kind;
    n->line = mark.line + 1;
    n->column = mark.column + 1;
    n->next = p->doc->nodes;
    p->doc->nodes = n;
    *out = n;
    return FM_OK;
}

static fm_status push(fm_yaml_node *parent, fm_yaml_node *child)
{
    if (parent->count == parent->cap) {
        size_t cap = parent->cap ? parent->cap * 2 : 4;
        fm_yaml_node **at = reallocarray(parent->at, cap, sizeof *at);

        if (!at)
            return fm_fail(FM_ENOMEM, "%s: no memory to parse it", parent->doc->name);
        parent->at = at;
        parent->cap = cap;
    }
    parent->at[parent->count++] = child;
    return FM_OK;
}

/* Put a node where it belongs: root, element, key or value. */
static fm_status attach(parse *p, fm_yaml_node *n)
{
    fm_yaml_node *parent;

    if (p->depth == 0) {
        p->doc->root = n;
        return FM_OK;
    }
    parent = p->open[p->depth - 1];
    if (parent->kind == FM_YAML_MAP && parent->count % 2 == 0 && n->kind != FM_YAML_SCALAR)
        return fm_yaml_fail(n, "a key must be a plain text, not a list or a map");
    return push(parent, n);
}

static int compare_keys(const void *a, const void *b)
{
    const fm_yaml_node *x = *(fm_yaml_node *const *)a, *y = *(fm_yaml_node *const *)b;
    int order = strcmp(x->text, y->text);

    if (order != 0)
        return order;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->column < y->column ? -1 : x->column > y->column;
}

/* The first of its text that was there already. Sorted, not pairwise: a file of a million keys must not take a
 * million squared steps. @param first out: the same key, before it. */
static const fm_yaml_node *find_twice(fm_yaml_node **keys, size_t n, const fm_yaml_node **first)
{
    const fm_yaml_node *twice = NULL;

    qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 1; i < n; i++)
        if (strcmp(keys[i - 1]->text, keys[i]->text) == 0 &&
            (!twice || keys[i]->line < twice->line)) {
            twice = keys[i];
            *first = keys[i - 1];
        }
    return twice;
}

/* @param of  what the map stands in; NULL: nothing */
static fm_status check_duplicates(const fm_yaml_node *map, const fm_yaml_node *of)
{
    const fm_yaml_node *twice, *first = NULL;
    size_t n = map->count / 2;
    fm_yaml_node **keys;
    void *fresh;
    fm_status st = fm_alloc(n, sizeof *keys, &fresh);

    if (st != FM_OK)
        return st;
    keys = fresh;
    for (size_t i = 0; i < n; i++)
        keys[i] = map->at[2 * i];
    if ((twice = find_twice(keys, n, &first)))
        st = fm_yaml_fail(twice, "key '%s' is given twice, first in line %zu; %s", twice->text,
                          first->line,
                          of && of->kind == FM_YAML_LIST && first == map->at[0]
                              ? "is the '- ' missing with which a new entry of the list begins?"
                              : "take one of the two away");
    free(keys);
    return st;
}

static fm_status on_start(parse *p, fm_yaml_kind kind, const yaml_event_t *e)
{
    fm_yaml_node *n;
    fm_status st;

    if (p->depth == FM_YAML_MAX_DEPTH)
        return fm_fail(FM_EPARSE, "%s:%zu:%zu: nested deeper than %d levels", p->doc->name,
                       e->start_mark.line + 1, e->start_mark.column + 1, FM_YAML_MAX_DEPTH);
    if ((st = node_new(p, kind, e->start_mark, &n)) != FM_OK || (st = attach(p, n)) != FM_OK)
        return st;
    p->open[p->depth++] = n;
    return FM_OK;
}

/* Forward only: all marks together cost one walk. Columns count characters. */
static const char *text_at(parse *p, const yaml_mark_t *mark)
{
    const char *const end = p->text + p->len, *at, *lf;

    while (p->line < mark->line && (lf = memchr(p->text + p->line_at, '\n', p->len - p->line_at))) {
        p->line_at = (size_t)(lf - p->text) + 1;
        p->line++;
    }
    at = p->text + p->line_at;
    for (size_t n = 0; at < end && *at != '\n'; at++) {
        if (((unsigned char)*at & 0xc0) != 0x80 && n++ == mark->column)
            break;
    }
    return at;
}

static bool is_commented(parse *p, const yaml_event_t *e)
{
    const char *const end = p->text + p->len, *at = text_at(p, &e->end_mark), *mark = at;

    while (mark < end && (*mark == ' ' || *mark == '\t'))
        mark++;
    return mark > at && mark + 1 < end && *mark == '#' && !strchr("# \t\r\n", mark[1]);
}

static fm_status on_scalar(parse *p, const yaml_event_t *e)
{
    const char *text = (const char *)e->data.scalar.value;
    fm_yaml_node *n;
    fm_status st;

    if (memchr(text, 0, e->data.scalar.length))
        return fail_at(p, e->start_mark, "a text must not contain a NUL character");
    if ((st = node_new(p, FM_YAML_SCALAR, e->start_mark, &n)) != FM_OK ||
        (st = fm_strdup(text, &n->text)) != FM_OK)
        return st;
    n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->commented = n->plain && *text && is_commented(p, e);
    return attach(p, n);
}

static bool has_tag(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.tag != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.tag != NULL;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.tag != NULL;
    default:
        return false;
    }
}

static bool has_anchor(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        return true;
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor != NULL;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor != NULL;
    default:
        return false;
    }
}

static fm_status on_event(parse *p, const yaml_event_t *e)
{
    if (has_anchor(e))
        return fail_at(p, e->start_mark,
                       "anchors (&) and aliases (*) are not allowed here; a text "
                       "that begins with & or * needs quotes");
    if (has_tag(e))
        return fail_at(p, e->start_mark,
                       "tags (!) are not allowed here; a text that begins with "
                       "! needs quotes");
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (p->doc->root)
            return fail_at(p, e->start_mark, "a second document; one file holds one");
        if (e->data.document_start.version_directive ||
            e->data.document_start.tag_directives.start !=
                e->data.document_start.tag_directives.end)
            return fail_at(p, e->start_mark, "directives (%) are not allowed here");
        return FM_OK;
    case YAML_SCALAR_EVENT:
        return on_scalar(p, e);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(p, FM_YAML_LIST, e);
    case YAML_MAPPING_START_EVENT:
        return on_start(p, FM_YAML_MAP, e);
    case YAML_SEQUENCE_END_EVENT:
        p->depth--;
        return FM_OK;
    case YAML_MAPPING_END_EVENT:
        p->depth--;
        return check_duplicates(p->open[p->depth], p->depth ? p->open[p->depth - 1] : NULL);
    case YAML_STREAM_END_EVENT:
        p->ended = true;
        return p->doc->root ? FM_OK
                            : fail_at(p, e->start_mark,
                                      "the file is empty, but for comments perhaps; was it saved?");
    default:
        return FM_OK;
    }
}

static fm_status run(parse *p)
{
    fm_status st = FM_OK;

    while (st == FM_OK && !p->ended) {
        yaml_event_t event;

        if (!yaml_parser_parse(&p->parser, &event))
            return fail_parser(p);
        st = on_event(p, &event);
        yaml_event_delete(&event);
    }
    return st;
}

static fm_status doc_new(const char *name, fm_yaml **out)
{
    void *fresh;
    fm_yaml *doc;
    fm_status st = fm_alloc(1, sizeof *doc, &fresh);

    if (st != FM_OK)
        return st;
    doc = fresh;
    if ((st = fm_strdup(name, &doc->name)) != FM_OK)
        fm_yaml_free(&doc);
    else
        *out = doc;
    return st;
}

/* UTF-16 with its mark, and JSON, are YAML, too. */
static fm_status check_other(const char *name, const void *text, size_t len)
{
    const fm_input_other *other = text ? fm_input_other_of(text, len) : NULL;
    const uint8_t *first = text;

    if (!other || other->kind == FM_INPUT_JSON ||
        (other->kind == FM_INPUT_UTF16 && first[0] >= 0xfe &&
         strcmp(other->is, "UTF-16 text") == 0))
        return FM_OK;
    return fm_fail(FM_EPARSE, "%s:1:1: this is no YAML but %s; %s", name, other->is,
                   !other->advice ? "is it the right file?"
                   : strstr(other->advice, "CSV") || strstr(other->advice, "csv")
                       ? "name the file that was written in YAML, a plain text"
                       : other->advice);
}

fm_status fm_yaml_parse(const char *name, const void *text, size_t len, fm_yaml **out)
{
    parse p = { .text = text, .len = len };
    fm_status st;

    if (!name || (!text && len > 0) || !out)
        return fm_fail(FM_EINVAL, "fm_yaml_parse: an argument is missing");
    if (len > FM_YAML_MAX_BYTES)
        return fm_fail(FM_EPARSE, "%s:1:1: longer than the limit of %zu bytes", name,
                       FM_YAML_MAX_BYTES);
    if ((st = check_other(name, text, len)) != FM_OK || (st = doc_new(name, &p.doc)) != FM_OK)
        return st;
    p.doc->cut = len > 0 && p.text[len - 1] != '\n' && p.text[len - 1] != '\r';
    if (!yaml_parser_initialize(&p.parser)) {
        st = fm_fail(FM_ENOMEM, "%s: no memory to parse it", name);
    } else {
        yaml_parser_set_input_string(&p.parser, text ? text : (const unsigned char *)"", len);
        st = run(&p);
        yaml_parser_delete(&p.parser);
    }
    if (st == FM_OK)
        *out = p.doc;
    else
        fm_yaml_free(&p.doc);
    return st;
}

fm_status fm_yaml_load(const char *path, fm_yaml **out)
{
    fm_buf text;
    fm_status st = fm_file_read(path, FM_YAML_MAX_BYTES, &text);

    if (st != FM_OK)
        return st == FM_EPROTO ? FM_EPARSE : st;
    st = fm_yaml_parse(path, text.data, text.len, out);
    fm_buf_fini(&text);
    return st;
}

void fm_yaml_free(fm_yaml **doc)
{
    if (!doc || !*doc)
        return;
    for (fm_yaml_node *n = (*doc)->nodes, *next; n; n = next) {
        next = n->next;
        free(n->text);
        free(n->at);
        free(n);
    }
    free((*doc)->name);
    free(*doc);
    *doc = NULL;
}
