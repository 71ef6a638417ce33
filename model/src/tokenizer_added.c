/*
 * Added tokens: looked for in the text itself, the longest at the first place. A match that may not
 * count (special tokens in plain text, parts of words) is passed over as a whole, as in the library.
 */
#include <stdlib.h>

#include "tokenizer_internal.h"

static fm_status node_new(fm_tk_tree *tree, uint8_t byte, uint32_t *out)
{
    if (tree->count == tree->cap) {
        const size_t cap = tree->cap ? 2 * tree->cap : 256;
        fm_tk_node *more = realloc(tree->nodes, cap * sizeof *more);

        if (!more)
            return fm_fail(FM_ENOMEM, "no memory for the added tokens");
        tree->nodes = more;
        tree->cap = cap;
        tree->count += tree->count == 0;
    }
    *out = (uint32_t)tree->count++;
    tree->nodes[*out] = (fm_tk_node){ .byte = byte, .added = FM_TK_NONE };
    return FM_OK;
}

/* The node of `byte` in a list of siblings, 0. */
static uint32_t among(const fm_tk_tree *tree, uint32_t node, uint8_t byte)
{
    while (node && tree->nodes[node].byte != byte)
        node = tree->nodes[node].sibling;
    return node;
}

fm_status fm_tk_tree_add(fm_tk_tree *tree, const uint8_t *text, size_t len, uint32_t added,
                         bool *repeated)
{
    uint32_t node = tree->first[text[0]];
    fm_status st;

    if (!node && (st = node_new(tree, text[0], &node)) != FM_OK)
        return st;
    tree->first[text[0]] = node;
    for (size_t i = 1; i < len; i++) {
        uint32_t child = among(tree, tree->nodes[node].child, text[i]);

        if (!child) {
            if ((st = node_new(tree, text[i], &child)) != FM_OK)
                return st;
            tree->nodes[child].sibling = tree->nodes[node].child;
            tree->nodes[node].child = child;
        }
        node = child;
    }
    *repeated = tree->nodes[node].added != FM_TK_NONE;
    tree->nodes[node].added = added;
    return FM_OK;
}

/* The longest content at p; its length, 0. */
static size_t longest(const fm_tk_tree *tree, const uint8_t *p, size_t n, uint32_t *added)
{
    uint32_t node = tree->first[p[0]];
    size_t found = 0;

    for (size_t len = 1; node; len++) {
        if (tree->nodes[node].added != FM_TK_NONE) {
            found = len;
            *added = tree->nodes[node].added;
        }
        if (len == n)
            break;
        node = among(tree, tree->nodes[node].child, p[len]);
    }
    return found;
}

/* Where the character before text[at] begins. */
static size_t before(const uint8_t *text, size_t at)
{
    do
        at--;
    while (at && (text[at] & 0xc0) == 0x80);
    return at;
}

static bool is_whole_word(const fm_tk_classes *c, const uint8_t *text, size_t n, size_t begin,
                          size_t end)
{
    size_t len;

    if (begin && fm_tk_class_at(c, text + before(text, begin), &len) & FM_TK_WORD)
        return false;
    return end == n || !(fm_tk_class_at(c, text + end, &len) & FM_TK_WORD);
}

static size_t strip_left(const fm_tk_classes *c, const uint8_t *text, size_t begin, size_t taken)
{
    size_t len, previous;

    while (begin > taken &&
           fm_tk_class_at(c, text + (previous = before(text, begin)), &len) & FM_TK_SPACE)
        begin = previous;
    return begin > taken ? begin : taken;
}

static size_t strip_right(const fm_tk_classes *c, const uint8_t *text, size_t n, size_t end)
{
    size_t len;

    while (end < n && fm_tk_class_at(c, text + end, &len) & FM_TK_SPACE)
        end += len;
    return end;
}

fm_tk_found fm_tk_added_next(const fm_tokenizer *t, const fm_tk_tree *tree, const uint8_t *text,
                             size_t n, size_t search, size_t taken, bool plain)
{
    const fm_tk_classes *c = t->classes;

    for (size_t len; search < n; search += len) {
        uint32_t which = 0;
        const fm_tk_added *a;
        fm_tk_found f;

        while (search < n && !tree->first[text[search]])
            search++;
        if (search == n)
            break;
        len = longest(tree, text + search, n - search, &which);
        if (!len) {
            len = 1;
            continue;
        }
        a = &t->added[which];
        f = (fm_tk_found){ .begin = search, .end = search + len, .search = search + len, .a = a };
        if ((plain && a->special) || (a->single_word && !is_whole_word(c, text, n, f.begin, f.end)))
            continue;
        if (a->lstrip)
            f.begin = strip_left(c, text, f.begin, taken);
        if (a->rstrip)
            f.end = strip_right(c, text, n, f.end);
        return f;
    }
    return (fm_tk_found){ .begin = n, .end = n, .search = n, .a = NULL };
}
