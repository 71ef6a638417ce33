#include "yaml_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fedmoe/base/text.h"

#define MESSAGE_BYTES 768

const fm_yaml_node *fm_yaml_root(const fm_yaml *doc)
{
    return doc->root;
}

fm_yaml_kind fm_yaml_node_kind(const fm_yaml_node *n)
{
    return n->kind;
}

bool fm_yaml_is_commented(const fm_yaml_node *n)
{
    return n->commented;
}

size_t fm_yaml_line(const fm_yaml_node *n)
{
    return n->line;
}

size_t fm_yaml_column(const fm_yaml_node *n)
{
    return n->column;
}

fm_status fm_yaml_error(const fm_yaml_node *n, const char *fmt, ...)
{
    char message[MESSAGE_BYTES], room[FM_TEXT_ODD];
    const char *odd, *end = "";
    va_list ap;

    va_start(ap, fmt);
    if (vsnprintf(message, sizeof message, fmt, ap) < 0)
        message[0] = '\0';
    va_end(ap);
    odd = n->kind == FM_YAML_SCALAR && !strstr(message, "U+") ? fm_text_odd(n->text, room) : NULL;
    if (n->commented)
        end = "; what stands behind the # is a comment: a text that holds ' #' needs quotes";
    else if (n->doc->cut && n == n->doc->nodes && n->kind == FM_YAML_SCALAR)
        end = "; the file ends in this line, without a line end: was it copied whole?";
    return fm_fail(FM_EPARSE, "%s:%zu:%zu: %s%s%s%s%s", n->doc->name, n->line, n->column, message,
                   odd ? "; " : "", odd ? odd : "", odd ? ": write it anew" : "", end);
}

size_t fm_yaml_size(const fm_yaml_node *n)
{
    return n->kind == FM_YAML_MAP ? n->count / 2 : n->count;
}

const fm_yaml_node *fm_yaml_item(const fm_yaml_node *list, size_t i)
{
    return list->kind == FM_YAML_LIST && i < list->count ? list->at[i] : NULL;
}

const char *fm_yaml_key(const fm_yaml_node *map, size_t i)
{
    return map->kind == FM_YAML_MAP && i < map->count / 2 ? map->at[2 * i]->text : NULL;
}

const fm_yaml_node *fm_yaml_value(const fm_yaml_node *map, size_t i)
{
    return map->kind == FM_YAML_MAP && i < map->count / 2 ? map->at[2 * i + 1] : NULL;
}

const fm_yaml_node *fm_yaml_find(const fm_yaml_node *map, const char *key)
{
    for (size_t i = 0; map->kind == FM_YAML_MAP && i < map->count; i += 2)
        if (strcmp(map->at[i]->text, key) == 0)
            return map->at[i + 1];
    return NULL;
}

static const char *kind_name(const fm_yaml_node *n)
{
    static const char *const names[] = { "a single value", "a list", "a map" };

    if (n->kind == FM_YAML_SCALAR && n->plain && !*n->text)
        return "nothing";
    return names[n->kind];
}

/* The key before `key` that has no value. */
static const fm_yaml_node *emptied(const fm_yaml_node *map, const fm_yaml_node *key)
{
    const fm_yaml_node *value;

    for (size_t i = 2; i < map->count; i += 2) {
        value = map->at[i - 1];
        if (map->at[i] == key && value->kind == FM_YAML_SCALAR && value->plain && !*value->text)
            return map->at[i - 2];
    }
    return NULL;
}

static fm_status fail_unknown(const fm_yaml_node *map, const fm_yaml_node *key,
                              const char *const *known)
{
    const char *nearest = NULL, *unseen, *other;
    const fm_yaml_node *by;
    size_t best = SIZE_MAX;
    char list[MESSAGE_BYTES / 2] = "";
    size_t used = 0;

    for (size_t i = 0; known[i]; i++) {
        size_t d = strcasecmp(key->text, known[i]) == 0 ? 0 : fm_text_distance(key->text, known[i]);
        int n = snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", known[i]);

        if (n > 0 && (size_t)n < sizeof list - used)
            used += (size_t)n;
        if (d < best) {
            best = d;
            nearest = known[i];
        }
    }
    list[used] = '\0'; /* a name that did not fit is left out whole */
    if ((unseen = fm_text_invisible(key->text)))
        return fm_yaml_fail(key,
                            "unknown key '%.100s': there is %s in it; write plain spaces, and "
                            "the key anew",
                            key->text, unseen);
    if (strchr(key->text, ')'))
        return fm_yaml_fail(key, "unknown key '%.100s'; a list is written in [ ]", key->text);
    if (*key->text && strspn(key->text, "0123456789") == strlen(key->text))
        return fm_yaml_fail(
            key, "unknown key '%.100s'; a number with decimals is written with a point", key->text);
    if (map == map->doc->root && (other = fm_yaml_other_file(map, known, &by)))
        return fm_yaml_fail(by,
                            "'%s' is a key of %s, and none of this file: name the right one in its "
                            "place",
                            by->text, other);
    if (nearest && fm_text_is_near(best, nearest))
        return fm_yaml_fail(key, "unknown key '%.100s'; did you mean '%s'?", key->text, nearest);
    if ((by = emptied(map, key)))
        return fm_yaml_fail(key,
                            "unknown key '%.100s' here; '%.60s' in line %zu has nothing in it: are "
                            "the lines that belong to it indented?",
                            key->text, by->text, by->line);
    return fm_yaml_fail(key, "unknown key '%.100s'; known here: %s", key->text, list);
}

/* A whole file that is one text is none of ours. */
static const char *other_file(const fm_yaml_node *n)
{
    return n->kind == FM_YAML_SCALAR && n->line == 1 && strchr(n->text, ',')
               ? "; the file looks like a table (CSV): are two files exchanged?"
               : "";
}

fm_status fm_yaml_check_keys(const fm_yaml_node *map, const char *const *known)
{
    if (map->kind != FM_YAML_MAP)
        return fm_yaml_fail(map, "expected a map (key: value), found %s%s", kind_name(map),
                            other_file(map));
    for (size_t i = 0; i < map->count; i += 2) {
        bool found = false;

        for (size_t k = 0; known[k] && !found; k++)
            found = strcmp(map->at[i]->text, known[k]) == 0;
        if (!found)
            return fail_unknown(map, map->at[i], known);
    }
    return FM_OK;
}

/* map[key], or NULL in *out when absent, also of no map; FM_EPARSE when `map` is something else. */
static fm_status look(const fm_yaml_node *map, const char *key, const fm_yaml_node **out)
{
    *out = NULL;
    if (!map)
        return FM_OK;
    if (map->kind != FM_YAML_MAP)
        return fm_yaml_fail(map, "expected a map with the key '%s', found %s", key, kind_name(map));
    *out = fm_yaml_find(map, key);
    return FM_OK;
}

/* Of a key that must be there: what may have been meant for it. */
static const fm_yaml_node *misspelt(const fm_yaml_node *map, const char *key)
{
    const size_t len = strlen(key), most = len < 8 ? 1 : len / 4;

    for (size_t i = 0; len > 2 && i < map->count; i += 2)
        if (strcasecmp(map->at[i]->text, key) == 0 ||
            fm_text_distance(map->at[i]->text, key) <= most)
            return map->at[i];
    return NULL;
}

static fm_status need(const fm_yaml_node *map, const char *key, const fm_yaml_node **out)
{
    const fm_yaml_node *n, *near;
    fm_status st = look(map, key, &n);

    if (st != FM_OK)
        return st;
    if (!n && (near = misspelt(map, key)))
        return fm_yaml_fail(near, "key '%s' is missing; is '%.100s' meant for it?", key,
                            near->text);
    if (!n)
        return fm_yaml_fail(map, "key '%s' is missing", key);
    *out = n;
    return FM_OK;
}

/* Around the whole, so not meant to be of the text. */
static bool has_printers_quotes(const fm_yaml_node *n)
{
    static const char *const left[] = { "\xe2\x80\x9c", "\xe2\x80\x9d", "\xe2\x80\x9e",
                                        "\xe2\x80\x98", "\xe2\x80\x99" };
    const size_t len = strlen(n->text);

    for (size_t i = 0; n->plain && len > 3 && i < sizeof left / sizeof *left; i++)
        if (strncmp(n->text, left[i], 3) == 0)
            return strncmp(n->text + len - 3, "\xe2\x80", 2) == 0 ||
                   strchr("\"'", n->text[len - 1]);
    return false;
}

static fm_status fail_quotes(const fm_yaml_node *n)
{
    return fm_yaml_fail(n,
                        "%.100s stands in the quotes of a word processor, which become part of it; "
                        "write \"straight\" ones",
                        n->text);
}

fm_status fm_yaml_scalar(const fm_yaml_node *n, const char **out)
{
    if (n->kind != FM_YAML_SCALAR)
        return fm_yaml_fail(n, "expected a single value, found %s%s", kind_name(n),
                            n->kind == FM_YAML_MAP ? "; a text that holds ': ' needs quotes" : "");
    if (has_printers_quotes(n))
        return fail_quotes(n);
    *out = n->text;
    return FM_OK;
}

/* The value as it is shown in error texts: whatever is there, cut. */
static const char *shown(const fm_yaml_node *n)
{
    return n->kind == FM_YAML_SCALAR ? n->text : kind_name(n);
}

/* What people write for a number. */
static const char *number_hint(const fm_yaml_node *n)
{
    const char *quote;
    double v;

    if (n->kind != FM_YAML_SCALAR)
        return "";
    if (!n->plain && fm_text_double(n->text, &v))
        return "; take the quotes away";
    if (strchr(n->text, ','))
        return "; write a point for decimals, and no marks between thousands";
    if (strchr(n->text, '%'))
        return "; 1% is 0.01";
    if (n->text[0] == '\0' || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0)
        return "; write it behind the colon, or take the key away";
    if (fm_text_is_too_large(n->text) || strstr(n->text, "inf") || strstr(n->text, "nan") ||
        strstr(n->text, "NaN"))
        return "; it must be finite";
    if (strchr(n->text, '^'))
        return "; write 10^-5 as 1e-5";
    if (strchr(n->text, '_') || strchr(n->text, '\''))
        return "; write its digits without marks between them";
    if ((quote = strstr(n->text, "\xe2\x80")) && (unsigned char)quote[2] >= 0x98 &&
        (unsigned char)quote[2] <= 0x9f)
        return "; the quotes are a word processor's: take them away";
    if (strchr("0123456789", n->text[0]) && strpbrk(n->text, "abcdfghijklmnopqrstuvwxyz"))
        return "; write the number alone, without its unit";
    return "";
}

fm_status fm_yaml_quote(fm_buf *b, const char *s)
{
    fm_status st = fm_buf_append(b, "\"", 1);

    for (; st == FM_OK && *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return fm_fail(FM_EINVAL, "a value given on the command line holds a control "
                                      "character");
        if (*s == '"' || *s == '\\')
            st = fm_buf_append(b, "\\", 1);
        if (st == FM_OK)
            st = fm_buf_append(b, s, 1);
    }
    return st == FM_OK ? fm_buf_append(b, "\"", 1) : st;
}

fm_status fm_yaml_number(const fm_yaml_node *n, double *out)
{
    if (n->kind != FM_YAML_SCALAR || !n->plain || !fm_text_double(n->text, out))
        return fm_yaml_fail(n, "expected a number, found '%.100s'%s", shown(n), number_hint(n));
    return FM_OK;
}

static fm_status read_string(const fm_yaml_node *n, const char *key, const char **out)
{
    if (n->kind != FM_YAML_SCALAR)
        return fm_yaml_fail(n, "'%s' must be a text, found %s%s", key, kind_name(n),
                            n->kind == FM_YAML_MAP ? "; one that holds ': ' needs quotes" : "");
    if (n->text[0] == '\0')
        return fm_yaml_fail(
            n, "'%s' is empty; a text that begins with # or is a comma needs quotes", key);
    if (has_printers_quotes(n))
        return fail_quotes(n);
    *out = n->text;
    return FM_OK;
}

static fm_status read_double(const fm_yaml_node *n, const char *key, double lo, double hi,
                             double *out)
{
    double v;

    if (n->kind != FM_YAML_SCALAR || !n->plain || !fm_text_double(n->text, &v))
        return fm_yaml_fail(n, "'%s' must be a number, found '%.100s'%s", key, shown(n),
                            number_hint(n));
    if (v < lo || v > hi)
        return fm_yaml_fail(n, "'%s' must be between %.10g and %.10g, found %.100s", key, lo, hi,
                            n->text);
    *out = v;
    return FM_OK;
}

/* "1e5", "4.0": a number, but not written as a whole one. */
static const char *whole_hint(const fm_yaml_node *n)
{
    double v;

    if (n->kind == FM_YAML_SCALAR && n->plain && fm_text_double(n->text, &v) && v >= 0.0 &&
        floor(v) == v)
        return "; write it in digits alone";
    return number_hint(n);
}

static fm_status read_u64(const fm_yaml_node *n, const char *key, uint64_t lo, uint64_t hi,
                          uint64_t *out)
{
    uint64_t v;

    if (n->kind != FM_YAML_SCALAR || !n->plain || !fm_text_u64(n->text, &v))
        return fm_yaml_fail(n, "'%s' must be a whole number from %llu to %llu, found '%.100s'%s",
                            key, (unsigned long long)lo, (unsigned long long)hi, shown(n),
                            whole_hint(n));
    if (v < lo || v > hi)
        return fm_yaml_fail(n, "'%s' must be between %llu and %llu, found %.100s", key,
                            (unsigned long long)lo, (unsigned long long)hi, n->text);
    *out = v;
    return FM_OK;
}

fm_status fm_yaml_get_string(const fm_yaml_node *map, const char *key, const char **out)
{
    const fm_yaml_node *n;
    fm_status st = need(map, key, &n);

    return st == FM_OK ? read_string(n, key, out) : st;
}

fm_status fm_yaml_get_string_or(const fm_yaml_node *map, const char *key, const char *otherwise,
                                const char **out)
{
    const fm_yaml_node *n;
    fm_status st = look(map, key, &n);

    if (st == FM_OK && n)
        return read_string(n, key, out);
    if (st == FM_OK)
        *out = otherwise;
    return st;
}

fm_status fm_yaml_get_double(const fm_yaml_node *map, const char *key, double lo, double hi,
                             double *out)
{
    const fm_yaml_node *n;
    fm_status st = need(map, key, &n);

    return st == FM_OK ? read_double(n, key, lo, hi, out) : st;
}

fm_status fm_yaml_get_double_or(const fm_yaml_node *map, const char *key, double lo, double hi,
                                double otherwise, double *out)
{
    const fm_yaml_node *n;
    fm_status st = look(map, key, &n);

    if (st == FM_OK && n)
        return read_double(n, key, lo, hi, out);
    if (st == FM_OK)
        *out = otherwise;
    return st;
}

fm_status fm_yaml_get_u64(const fm_yaml_node *map, const char *key, uint64_t lo, uint64_t hi,
                          uint64_t *out)
{
    const fm_yaml_node *n;
    fm_status st = need(map, key, &n);

    return st == FM_OK ? read_u64(n, key, lo, hi, out) : st;
}

fm_status fm_yaml_get_u64_or(const fm_yaml_node *map, const char *key, uint64_t lo, uint64_t hi,
                             uint64_t otherwise, uint64_t *out)
{
    const fm_yaml_node *n;
    fm_status st = look(map, key, &n);

    if (st == FM_OK && n)
        return read_u64(n, key, lo, hi, out);
    if (st == FM_OK)
        *out = otherwise;
    return st;
}

fm_status fm_yaml_get_bool_or(const fm_yaml_node *map, const char *key, bool otherwise, bool *out)
{
    const fm_yaml_node *n;
    fm_status st = look(map, key, &n);

    if (st != FM_OK)
        return st;
    if (!n)
        *out = otherwise;
    else if (n->kind == FM_YAML_SCALAR && n->plain && strcmp(n->text, "true") == 0)
        *out = true;
    else if (n->kind == FM_YAML_SCALAR && n->plain && strcmp(n->text, "false") == 0)
        *out = false;
    else
        return fm_yaml_fail(n, "'%s' must be true or false, found '%.100s'%s", key, shown(n),
                            n->kind == FM_YAML_SCALAR && !n->plain ? "; without quotes" : "");
    return FM_OK;
}

static fm_status get_kind(const fm_yaml_node *map, const char *key, fm_yaml_kind kind,
                          const fm_yaml_node **out)
{
    const fm_yaml_node *n;
    fm_status st = need(map, key, &n);

    if (st != FM_OK)
        return st;
    if (n->kind != kind)
        return fm_yaml_fail(n, "'%s' must be %s, found %s%s", key,
                            kind == FM_YAML_MAP ? "a map" : "a list", kind_name(n),
                            n->kind != FM_YAML_SCALAR ? ""
                            : kind == FM_YAML_LIST    ? "; write it in [ ]"
                                                   : "; it has keys of its own, in lines that are "
                                                     "indented below it or as {key: value, ...}");
    *out = n;
    return FM_OK;
}

fm_status fm_yaml_get_map(const fm_yaml_node *map, const char *key, const fm_yaml_node **out)
{
    return get_kind(map, key, FM_YAML_MAP, out);
}

fm_status fm_yaml_get_list(const fm_yaml_node *map, const char *key, const fm_yaml_node **out)
{
    return get_kind(map, key, FM_YAML_LIST, out);
}
