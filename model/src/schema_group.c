/* Groups of codes: "390-459, 785", "V01-V91", "250", "E10*". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema_internal.h"

#define ENTRIES_MAX 65536u
#define DIGITS_MAX 8u

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Letters, then digits up to the end or a point, as in V45.81. @return false when it is not so. */
static bool split(const char *text, size_t len, size_t *letters, uint32_t *number, bool *whole)
{
    size_t at = 0, digits = 0;

    while (at < len && !is_digit(text[at]) && text[at] != '.')
        at++;
    *letters = at;
    *number = 0;
    for (; at < len && is_digit(text[at]); at++, digits++) {
        if (digits == DIGITS_MAX)
            return false;
        *number = *number * 10 + (uint32_t)(text[at] - '0');
    }
    *whole = at == len;
    return digits && (*whole || text[at] == '.');
}

static bool read_range(const char *text, const char *dash, size_t len, fm_codes *out)
{
    const size_t first_len = (size_t)(dash - text), last_len = len - first_len - 1;
    size_t letters, again;
    bool whole, whole_too;

    if (!split(text, first_len, &letters, &out->first, &whole) ||
        !split(dash + 1, last_len, &again, &out->last, &whole_too) || !whole || !whole_too ||
        letters != again || memcmp(text, dash + 1, letters) != 0 || out->first > out->last)
        return false;
    out->kind = FM_CODES_RANGE;
    out->len = letters;
    return letters < sizeof out->text;
}

/* One entry, spaces around it gone. */
static bool read_entry(const char *text, size_t len, fm_codes *out)
{
    const char *dash = memchr(text, '-', len);

    if (!len)
        return false;
    if (dash) {
        if (!read_range(text, dash, len, out))
            return false;
    } else {
        out->kind = text[len - 1] == '*' ? FM_CODES_BEGIN : FM_CODES_ONE;
        out->len = len - (out->kind == FM_CODES_BEGIN ? 1 : 0);
        if (!out->len || out->len >= sizeof out->text || memchr(text, '*', out->len))
            return false;
    }
    memcpy(out->text, text, out->len);
    return true;
}

/* Dashes of a word processor, U+2010 to U+2015, and the minus of mathematics, where a range has its own. */
static bool has_odd_dash(const char *text, size_t len)
{
    static const char *const dashes[] = { "\xe2\x80\x90", "\xe2\x80\x91", "\xe2\x80\x92",
                                          "\xe2\x80\x93", "\xe2\x80\x94", "\xe2\x80\x95",
                                          "\xe2\x88\x92" };
    fm_codes range;

    for (size_t i = 0; i < sizeof dashes / sizeof *dashes; i++) {
        const char *at = memmem(text, len, dashes[i], 3);
        char plain[64];

        if (!at || len >= sizeof plain)
            continue;
        (void)snprintf(plain, sizeof plain, "%.*s-%.*s", (int)(at - text), text,
                       (int)(len - 3 - (size_t)(at - text)), at + 3);
        if (read_range(plain, plain + (at - text), strlen(plain), &range))
            return true;
    }
    return false;
}

/* "V91-V01" */
static bool is_turned_round(const char *text, size_t len)
{
    const char *dash = memchr(text, '-', len);
    char turned[64];
    fm_codes range;
    int n;

    if (!dash || len >= sizeof turned)
        return false;
    n = (int)(text + len - dash - 1);
    (void)snprintf(turned, sizeof turned, "%.*s-%.*s", n, dash + 1, (int)(dash - text), text);
    return read_range(turned, turned + n, len, &range);
}

static fm_status add_entry(const fm_yaml_node *node, const char *text, size_t len, size_t group,
                           fm_groups *g)
{
    fm_codes entry = { .group = group };
    void *p;

    while (len && *text == ' ') {
        text++;
        len--;
    }
    while (len && text[len - 1] == ' ')
        len--;
    if (has_odd_dash(text, len))
        return fm_yaml_fail(node,
                            "the dash in \"%.*s\" is a word processor's; write a range with the "
                            "keyboard's minus (U+002D)",
                            (int)len, text);
    if (is_turned_round(text, len) && !read_entry(text, len, &entry))
        return fm_yaml_fail(node, "\"%.*s\" is a range that ends before it begins; turn it round",
                            (int)len, text);
    if (!read_entry(text, len, &entry))
        return fm_yaml_fail(node,
                            "\"%.*s\" is no codes; write 390-459 or V01-V91 (a range), 250 (a code "
                            "and 250.*), or E10* (a beginning), of at most 15 bytes",
                            (int)(len < 40 ? len : 40), text);
    if (g->count == ENTRIES_MAX)
        return fm_yaml_fail(node, "groups have more than %u entries", ENTRIES_MAX);
    /* Doubled whenever the count is a power of two. */
    if ((g->count & (g->count - 1)) == 0) {
        if (!(p = realloc(g->entries, (g->count ? 2 * g->count : 1) * sizeof *g->entries)))
            return fm_fail(FM_ENOMEM, "out of memory");
        g->entries = p;
    }
    g->entries[g->count++] = entry;
    return FM_OK;
}

static fm_status read_group(const fm_yaml_node *node, const char *name, fm_groups *g)
{
    const char *text;
    fm_status st = fm_yaml_scalar(node, &text);

    if (st || (st = fm_cell_make(name, &g->names.at[g->names.count])))
        return st;
    g->names.count++;
    for (;;) {
        const size_t n = strcspn(text, ",");

        if ((st = add_entry(node, text, n, g->names.count - 1, g)))
            return st;
        if (!text[n])
            return FM_OK;
        text += n + 1;
    }
}

fm_status fm_groups_read(const fm_yaml_node *map, fm_groups *g)
{
    const fm_yaml_node *groups;
    size_t n;
    fm_status st;

    if (!fm_yaml_find(map, "groups"))
        return FM_OK;
    if ((st = fm_yaml_get_map(map, "groups", &groups)))
        return st;
    n = fm_yaml_size(groups);
    if (n < 1 || n > FM_SCHEMA_MAX_VALUES)
        return fm_yaml_fail(groups, "groups has %zu entries; it must have 1 to %u", n,
                            FM_SCHEMA_MAX_VALUES);
    if ((st = fm_alloc(n, sizeof *g->names.at, (void **)&g->names.at)))
        return st;
    for (size_t i = 0; !st && i < n; i++)
        st = read_group(fm_yaml_value(groups, i), fm_yaml_key(groups, i), g);
    return st;
}

size_t fm_groups_find(const fm_groups *g, fm_slice code)
{
    size_t letters = 0;
    uint32_t number = 0;
    bool whole, numbered;

    if (!g->count)
        return SIZE_MAX;
    numbered = split(code.at, code.len, &letters, &number, &whole);
    for (size_t i = 0; i < g->count; i++) {
        const fm_codes *e = &g->entries[i];

        if (e->kind == FM_CODES_RANGE) {
            if (numbered && letters == e->len && number >= e->first && number <= e->last &&
                memcmp(code.at, e->text, letters) == 0)
                return e->group;
        } else if (code.len >= e->len && memcmp(code.at, e->text, e->len) == 0 &&
                   (e->kind == FM_CODES_BEGIN || code.len == e->len || code.at[e->len] == '.')) {
            return e->group;
        }
    }
    return SIZE_MAX;
}

void fm_groups_fini(fm_groups *g)
{
    fm_cells_fini(&g->names);
    free(g->entries);
    *g = (fm_groups){ 0 };
}
