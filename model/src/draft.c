#include "fedmoe/model/draft.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fedmoe/base/text.h"
#include "fedmoe/base/yaml.h"

void fm_draft_fini(fm_draft *d)
{
    for (size_t i = 0; i < d->count; i++) {
        fm_draft_column *c = &d->columns[i];

        for (size_t v = 0; v < c->value_count; v++)
            free(c->values[v]);
        free(c->values);
        free(c->name);
        free(c->lo);
        free(c->hi);
        free(c->about);
        free(c->source);
        free(c->doubt);
    }
    free(d->columns);
    *d = (fm_draft){ 0 };
}

fm_draft_column *fm_draft_find(const fm_draft *d, const char *name)
{
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->columns[i].name, name) == 0)
            return &d->columns[i];
    return NULL;
}

fm_status fm_draft_add(fm_draft *d, const char *name, fm_draft_column **out)
{
    fm_status st = FM_OK;

    if (d->count == FM_DRAFT_MAX_COLUMNS)
        return fm_fail(FM_EPARSE, "more than %u columns", FM_DRAFT_MAX_COLUMNS);
    if (!d->columns)
        st = fm_alloc(FM_DRAFT_MAX_COLUMNS, sizeof *d->columns, (void **)&d->columns);
    if (st || (st = fm_strdup(name, &d->columns[d->count].name)))
        return st;
    *out = &d->columns[d->count++];
    return FM_OK;
}

fm_status fm_draft_set(char **text, const char *fmt, ...)
{
    char *new = NULL;
    va_list args;
    int n;

    va_start(args, fmt);
    n = vasprintf(&new, fmt, args);
    va_end(args);
    if (n < 0)
        return fm_fail(FM_ENOMEM, "no memory for a draft");
    free(*text);
    *text = new;
    return FM_OK;
}

void fm_draft_round(double v, bool up, char out[32])
{
    double step, steps;

    if (v == 0.0) {
        (void)snprintf(out, 32, "0");
        return;
    }
    step = pow(10.0, floor(log10(fabs(v))) - 1.0);
    steps = up ? ceil(v / step - 1e-9) : floor(v / step + 1e-9);
    (void)snprintf(out, 32, "%.10g", steps * step);
}

/* ---- writing ---- */

static fm_status put_quoted(fm_buf *out, const char *text)
{
    char *clean = NULL;
    fm_status st = fm_strdup(text, &clean);

    if (st)
        return st;
    fm_text_clean(clean);
    st = fm_yaml_quote(out, clean);
    free(clean);
    return st;
}

static fm_status put_values(fm_buf *out, const char *key, char *const *values, size_t count)
{
    fm_status st = fm_buf_printf(out, "    %s: [", key);

    for (size_t i = 0; !st && i < count; i++)
        if (!(st = fm_buf_printf(out, "%s", i ? ", " : "")))
            st = put_quoted(out, values[i]);
    return st ? st : fm_buf_printf(out, "]\n");
}

static fm_status put_comment(fm_buf *out, const char *indent, const char *text)
{
    fm_status st = FM_OK;

    while (!st && *text) {
        const size_t len = strcspn(text, "\n\r");

        st = fm_buf_printf(out, "%s# %.*s\n", indent, (int)len, text);
        text += len + (text[len] != '\0');
    }
    return st;
}

static bool can_be_read(const fm_draft_column *c)
{
    if (c->kind == FM_DRAFT_NUMERIC || c->kind == FM_DRAFT_DATE)
        return c->lo && c->hi;
    return c->kind == FM_DRAFT_CATEGORICAL && c->value_count >= 2;
}

/* Of two values the one that says no; "0" is, else the first. */
static size_t negative_of(const fm_draft_column *c)
{
    return strcmp(c->values[1], "0") == 0 ? 1 : 0;
}

static fm_status put_label(fm_buf *out, const fm_draft_column *c)
{
    fm_status st = fm_buf_printf(out, "    kind: label\n");

    if (st)
        return st;
    if (c->kind == FM_DRAFT_NUMERIC)
        return fm_buf_printf(out, "    range: [%s, %s]%s\n", c->lo, c->hi,
                             c->estimated ? "\n    outside: clip" : "");
    if (c->value_count > 2)
        return put_values(out, "values", c->values, c->value_count);
    if ((st = put_comment(out, "    ", "is the positive one the one to be predicted?")) ||
        (st = put_values(out, "negative", c->values + negative_of(c), 1)))
        return st;
    return put_values(out, "positive", c->values + (1 - negative_of(c)), 1);
}

static fm_status put_feature(fm_buf *out, const fm_draft_column *c)
{
    fm_status st;

    if (c->kind == FM_DRAFT_CATEGORICAL)
        return (st = fm_buf_printf(out, "    kind: categorical\n"))
                   ? st
                   : put_values(out, "values", c->values, c->value_count);
    return fm_buf_printf(out, "    kind: %s\n    range: [%s, %s]\n%s",
                         c->kind == FM_DRAFT_DATE ? "date" : "numeric", c->lo, c->hi,
                         c->estimated ? "    outside: clip\n" : "");
}

static fm_status put_column(fm_buf *out, const fm_draft_column *c, bool label)
{
    const bool ready = can_be_read(c);
    fm_status st;

    if ((c->about && (st = put_comment(out, "  ", c->about))) ||
        (c->doubt && (st = put_comment(out, "  ", c->doubt))) ||
        (st = fm_buf_printf(out, "  - name: ")) || (st = put_quoted(out, c->name)) ||
        (st = fm_buf_printf(out, "\n")))
        return st;
    st = label   ? put_label(out, c)
         : ready ? put_feature(out, c)
                 : fm_buf_printf(out, "    kind: ignore\n");
    if (st || !c->source || !ready)
        return st;
    if ((st = fm_buf_printf(out, "    source: ")) || (st = put_quoted(out, c->source)))
        return st;
    return fm_buf_printf(out, "\n");
}

/* The one that is given, or that the dictionary calls so. @param label in, out; NULL: none */
static fm_status find_label(const fm_draft *d, const char **label)
{
    const char *first = *label;

    for (size_t i = 0; !*label && i < d->count; i++) {
        if (!d->columns[i].outcome)
            continue;
        if (first)
            return fm_fail(FM_EINVAL,
                           "both %s and %s (%s) are of type label; say by --label which of them is "
                           "to be predicted",
                           first, d->columns[i].name, d->columns[i].source);
        first = d->columns[i].name;
    }
    *label = first;
    return FM_OK;
}

const char *fm_draft_near(const fm_draft *d, const char *name)
{
    const char *near = NULL;
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < d->count; i++) {
        const char *has = d->columns[i].name;
        const size_t n = strcasecmp(has, name) == 0 ? 0 : fm_text_distance(has, name);

        if (strcmp(has, name) != 0 && n < best && n <= (strlen(name) < 8 ? 1 : strlen(name) / 4)) {
            best = n;
            near = has;
        }
    }
    return near;
}

static fm_status check_label(const fm_draft *d, const char *label)
{
    const fm_draft_column *c = fm_draft_find(d, label);
    const char *near = c ? NULL : fm_draft_near(d, label);

    if (!c)
        return fm_fail(FM_ENOTFOUND,
                       "--label: neither the dictionary, the answer nor the records' header has a "
                       "column %s%s%s%s",
                       label, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    if (!can_be_read(c) || c->kind == FM_DRAFT_DATE)
        return fm_fail(FM_EINVAL,
                       "--label: column %s%s%s%s has neither values nor a range; give its "
                       "categories in the dictionary",
                       label, c->source ? " (" : "", c->source ? c->source : "",
                       c->source ? ")" : "");
    return FM_OK;
}

static fm_status put_head(fm_buf *out, const fm_draft *d, const char *name, const char *origin)
{
    const char delimiter[] = { d->delimiter ? d->delimiter : ',', '\0' };
    fm_status st;

    if ((st = put_comment(out, "",
                          "A draft by fedmoe-node schema suggest. Read it whole: every member uses "
                          "the same schema,\nand what it says becomes public. Ranges must hold "
                          "what can be, not what is.")) ||
        (origin && (st = put_comment(out, "", origin))) || (st = fm_buf_printf(out, "name: ")) ||
        (st = put_quoted(out, name)))
        return st;
    if ((st = fm_buf_printf(out, "\ncsv: {header: %s, delimiter: \"%s\", missing: [\"\"",
                            d->header_known && !d->header ? "false" : "true",
                            *delimiter == '\t' ? "\\t" : delimiter)))
        return st;
    for (size_t i = 0; !st && i < d->missing_count; i++)
        if (!(st = fm_buf_printf(out, ", ")))
            st = put_quoted(out, d->missing[i]);
    return st ? st : fm_buf_printf(out, "]}\ncolumns:\n");
}

fm_status fm_draft_write(const fm_draft *d, const char *name, const char *label, const char *origin,
                         fm_buf *out)
{
    fm_status st = find_label(d, &label);

    if (st || (label && (st = check_label(d, label))))
        return st;
    st = put_head(out, d, name, origin);
    for (size_t i = 0; !st && i < d->count; i++)
        st = put_column(out, &d->columns[i], label && strcmp(d->columns[i].name, label) == 0);
    if (!st && !label)
        st = put_comment(out, "  ",
                         "No label: nothing can be trained yet. Draft again with --label NAME, or "
                         "make one column kind: label.");
    return st;
}
