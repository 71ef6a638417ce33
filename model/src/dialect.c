#include "fedmoe/model/dialect.h"

#include <iconv.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/memory.h"

#define MISSING_MOST 64u
#define SKIP_MOST 10000u

/* One character of `allowed`; *out stays where there is none. */
static fm_status read_char(const fm_yaml_node *map, const char *key, const char *allowed,
                           const char *words, char *out)
{
    const char *text = NULL;
    fm_status st;

    if (!fm_yaml_find(map, key))
        return FM_OK;
    if ((st = fm_yaml_get_string(map, key, &text)))
        return st;
    if (strlen(text) != 1 || !strchr(allowed, *text))
        return fm_yaml_fail(fm_yaml_find(map, key), "%s must be one of %s", key, words);
    *out = *text;
    return FM_OK;
}

static fm_status read_dates(const fm_yaml_node *map, fm_date_order *out)
{
    static const char *const names[] = { "YMD", "DMY", "MDY" };
    const char *text = NULL;
    fm_status st;

    if (!fm_yaml_find(map, "dates"))
        return FM_OK;
    if ((st = fm_yaml_get_string(map, "dates", &text)))
        return st;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (fm_date_order)(FM_DATES_YMD + i);
            return FM_OK;
        }
    return fm_yaml_fail(fm_yaml_find(map, "dates"),
                        "dates is \"%s\"; it can be DMY (31.12.2024), MDY (12/31/2024) or YMD "
                        "(2024-12-31)",
                        text);
}

static fm_status read_header(const fm_yaml_node *map, fm_header_is *out)
{
    bool header = true;
    const fm_status st = fm_yaml_find(map, "header")
                             ? fm_yaml_get_bool_or(map, "header", true, &header)
                             : FM_ENOTFOUND;

    if (st == FM_OK)
        *out = header ? FM_HEADER_YES : FM_HEADER_NO;
    return st == FM_ENOTFOUND ? FM_OK : st;
}

static fm_status read_encoding(const fm_yaml_node *map, char **out)
{
    const char *text = NULL;
    iconv_t cd;
    fm_status st;

    if (!fm_yaml_find(map, "encoding"))
        return FM_OK;
    if ((st = fm_yaml_get_string(map, "encoding", &text)))
        return st;
    /* A '/' would ask iconv to leave out or replace what it cannot read. */
    cd = strchr(text, '/') ? (iconv_t)-1 : iconv_open("UTF-8", text);
    if (cd == (iconv_t)-1)
        return fm_yaml_fail(fm_yaml_find(map, "encoding"),
                            "encoding \"%.40s\" is not known here; usual ones are UTF-8, UTF-16, "
                            "windows-1252 and ISO-8859-1 (iconv -l lists all)",
                            text);
    (void)iconv_close(cd);
    return fm_strdup(text, out);
}

static fm_status read_missing(const fm_yaml_node *map, fm_dialect *d)
{
    const fm_yaml_node *list = NULL;
    fm_status st;
    size_t n;

    if (!fm_yaml_find(map, "missing"))
        return FM_OK;
    if ((st = fm_yaml_get_list(map, "missing", &list)))
        return st;
    n = fm_yaml_size(list);
    if (n > MISSING_MOST)
        return fm_yaml_fail(list, "missing may list at most %u texts", MISSING_MOST);
    if (n && (st = fm_alloc(n, sizeof *d->missing, (void **)&d->missing)))
        return st;
    for (; d->missing_count < n; d->missing_count++) {
        const char *text = NULL;

        if ((st = fm_yaml_scalar(fm_yaml_item(list, d->missing_count), &text)) ||
            (st = fm_strdup(text, &d->missing[d->missing_count])))
            return st;
    }
    return FM_OK;
}

static fm_status read_all(const fm_yaml_node *map, fm_dialect *d)
{
    static const char *const keys[] = { "delimiter", "header",   "decimal",    "thousands", "dates",
                                        "missing",   "encoding", "skip_lines", "comment",   NULL };
    uint64_t skip = 0;
    fm_status st;

    if (fm_yaml_node_kind(map) != FM_YAML_MAP)
        return fm_yaml_fail(map, "csv must be a mapping: csv: {delimiter: \";\", decimal: \",\"}");
    if ((st = fm_yaml_check_keys(map, keys)) ||
        (st = read_char(map, "delimiter", ",;|:\t", ", ; | : or \"\\t\"", &d->delimiter)) ||
        (st = read_header(map, &d->header)) ||
        (st = read_char(map, "decimal", ".,", "\".\" or \",\"", &d->decimal)) ||
        (st = read_char(map, "thousands", ".,' ", "\".\" \",\" \"'\" or \" \"", &d->thousands)) ||
        (st = read_dates(map, &d->dates)) || (st = read_missing(map, d)) ||
        (st = read_encoding(map, &d->encoding)) ||
        (st = fm_yaml_get_u64_or(map, "skip_lines", 0, SKIP_MOST, 0, &skip)) ||
        (st = read_char(map, "comment", "#%!/;*-", "# % ! / ; * or -", &d->comment)))
        return st;
    d->skip_lines = (size_t)skip;
    if (d->thousands && d->thousands == (d->decimal ? d->decimal : '.'))
        return fm_yaml_fail(fm_yaml_find(map, "thousands"),
                            "thousands and decimal cannot both be \"%c\"%s", d->thousands,
                            d->decimal ? "" : ", which decimal is unless it is given");
    return FM_OK;
}

fm_status fm_dialect_read(const fm_yaml_node *map, fm_dialect *out)
{
    fm_dialect d = { 0 };
    const fm_status st = read_all(map, &d);

    if (st)
        fm_dialect_fini(&d);
    else
        *out = d;
    return st;
}

void fm_dialect_fini(fm_dialect *d)
{
    for (size_t i = 0; i < d->missing_count; i++)
        free(d->missing[i]);
    free(d->missing);
    free(d->encoding);
    *d = (fm_dialect){ 0 };
}
