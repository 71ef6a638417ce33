/* One entry of `columns`, and what is declared in it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fedmoe/base/text.h"
#include "schema_internal.h"

#define WEIGHT_MAX 1000.0

/* No word has these letters; the records, which are right, would be blamed. */
static fm_status check_encoding(const fm_yaml_node *at, const char *text)
{
    if (!fm_text_is_encoded_twice(text))
        return FM_OK;
    return fm_yaml_fail(at,
                        "the letters of \"%.60s\" were encoded twice: the file was taken for "
                        "Latin-1 and saved as UTF-8; write them anew",
                        text);
}

fm_status fm_cells_read(const fm_yaml_node *map, const char *key, fm_cells *out)
{
    const fm_yaml_node *list = NULL;
    fm_cells cells = { 0 };
    fm_status st = fm_yaml_get_list(map, key, &list);
    size_t n = st ? 0 : fm_yaml_size(list);

    if (!st && n > FM_SCHEMA_MAX_VALUES)
        st = fm_yaml_fail(list, "%s has %zu entries; at most %u are possible", key, n,
                          FM_SCHEMA_MAX_VALUES);
    if (!st && n)
        st = fm_alloc(n, sizeof *cells.at, (void **)&cells.at);
    for (size_t i = 0; !st && i < n; i++) {
        const char *text = NULL;

        if ((st = fm_yaml_scalar(fm_yaml_item(list, i), &text)) ||
            (st = check_encoding(fm_yaml_item(list, i), text)))
            break;
        if (fm_cells_find(&cells, text) != SIZE_MAX)
            st = fm_yaml_fail(fm_yaml_item(list, i),
                              strcmp(cells.at[fm_cells_find(&cells, text)].text, text) == 0
                                  ? "%s has \"%s\" twice"
                                  : "%s has \"%s\" twice: it is the same number as one before it",
                              key, text);
        else if (!(st = fm_cell_make(text, &cells.at[i])))
            cells.count++;
    }
    if (st) {
        fm_cells_fini(&cells);
        return st;
    }
    *out = cells;
    return FM_OK;
}

/* Group names are values too: they must be none of the others. */
static fm_status check_groups(const fm_yaml_node *map, const fm_column *c)
{
    const fm_yaml_node *groups = fm_yaml_find(map, "groups");

    for (size_t i = 0; i < c->groups.names.count; i++)
        if (fm_cells_find(&c->values, c->groups.names.at[i].text) != SIZE_MAX)
            return fm_yaml_fail(fm_yaml_value(groups, i), "\"%s\" is a value and a group",
                                c->groups.names.at[i].text);
    return FM_OK;
}

static fm_status read_categorical(const fm_yaml_node *map, const fm_encoding *e, fm_column *c)
{
    bool centered = e->centered;
    fm_status st = fm_groups_read(map, &c->groups);

    if (st ||
        ((!c->groups.count || fm_yaml_find(map, "values")) &&
         (st = fm_cells_read(map, "values", &c->values))) ||
        (st = check_groups(map, c)))
        return st;
    const size_t count = c->values.count + c->groups.names.count;

    c->features = count;
    if (count < 2)
        return fm_yaml_fail(fm_yaml_find(map, c->groups.count ? "groups" : "values"),
                            "values%s must have two entries or more",
                            c->groups.count ? " and groups together" : "");
    if ((st = fm_yaml_get_double_or(map, "weight", 1e-6, WEIGHT_MAX, e->weight, &c->weight)) ||
        (st = fm_yaml_get_bool_or(map, "centered", centered, &centered)) ||
        (st = fm_yaml_get_bool_or(map, "ordered", false, &c->ordered)) ||
        (st = fm_column_odd(map, "unknown", FM_ODD_BIT(FM_ODD_ERROR) | FM_ODD_BIT(FM_ODD_MISSING),
                            &c->odd)))
        return st;
    if (c->ordered) {
        if (c->groups.count)
            return fm_yaml_fail(fm_yaml_find(map, "ordered"), "ordered does not go with groups");
        c->weight /= 2.0; /* the steps say most of it */
        c->step = (float)(e->bin_weight / sqrt((double)(c->values.count - 1)));
        c->features += c->values.count - 1;
    }
    c->value_center = centered ? 1.0 / (double)count : 0.0;
    c->on = (float)(c->weight * (1.0 - c->value_center));
    c->off = (float)(c->weight * (0.0 - c->value_center));
    return FM_OK;
}

/* What numeric, date and categorical columns have in common; last, as it adds the indicator. */
static fm_status read_missing(const fm_yaml_node *map, const fm_schema *s, const fm_encoding *e,
                              fm_column *c)
{
    fm_status st;

    if (fm_yaml_find(map, "missing") && (st = fm_cells_read(map, "missing", &c->missing)))
        return st;
    for (size_t i = 0; i < c->missing.count; i++)
        if (fm_cells_find(&c->values, c->missing.at[i].text) != SIZE_MAX)
            return fm_yaml_fail(fm_yaml_item(fm_yaml_find(map, "missing"), i),
                                "\"%s\" is a value and missing", c->missing.at[i].text);
    for (size_t i = 0; i < s->missing.count; i++)
        if (fm_cells_find(&c->values, s->missing.at[i].text) != SIZE_MAX)
            return fm_yaml_fail(map, "\"%s\" is a value here, and missing in csv.missing",
                                s->missing.at[i].text);
    if ((st = fm_yaml_get_bool_or(map, "required", false, &c->required)) ||
        (st = fm_yaml_get_double_or(map, "missing_weight", 1e-6, WEIGHT_MAX, e->missing_weight,
                                    &c->missing_weight)))
        return st;
    c->missing_default = !e->missing_declared && !fm_yaml_find(map, "missing_weight");
    if (c->required && c->odd == FM_ODD_MISSING)
        return fm_yaml_fail(map, "required, yet odd values are to count as missing");
    c->indicator =
        !c->required && (s->missing.count || c->missing.count || c->odd == FM_ODD_MISSING);
    c->features += c->indicator ? 1 : 0;
    return FM_OK;
}

static fm_status read_kind(const fm_yaml_node *map, fm_column_kind *out)
{
    static const char *const names[] = { "numeric", "date", "categorical", "label", "ignore" };
    static const struct {
        const char *word;
        fm_column_kind kind;
    } others[] = {
        { "number", FM_COLUMN_NUMERIC },
        { "integer", FM_COLUMN_NUMERIC },
        { "int", FM_COLUMN_NUMERIC },
        { "float", FM_COLUMN_NUMERIC },
        { "double", FM_COLUMN_NUMERIC },
        { "real", FM_COLUMN_NUMERIC },
        { "decimal", FM_COLUMN_NUMERIC },
        { "continuous", FM_COLUMN_NUMERIC },
        { "string", FM_COLUMN_CATEGORICAL },
        { "text", FM_COLUMN_CATEGORICAL },
        { "category", FM_COLUMN_CATEGORICAL },
        { "factor", FM_COLUMN_CATEGORICAL },
        { "enum", FM_COLUMN_CATEGORICAL },
        { "code", FM_COLUMN_CATEGORICAL },
        { "boolean", FM_COLUMN_CATEGORICAL },
        { "bool", FM_COLUMN_CATEGORICAL },
        { "datetime", FM_COLUMN_DATE },
        { "timestamp", FM_COLUMN_DATE },
        { "day", FM_COLUMN_DATE },
        { "target", FM_COLUMN_LABEL },
        { "outcome", FM_COLUMN_LABEL },
        { "class", FM_COLUMN_LABEL },
        { "id", FM_COLUMN_IGNORE },
        { "identifier", FM_COLUMN_IGNORE },
        { "skip", FM_COLUMN_IGNORE },
        { "none", FM_COLUMN_IGNORE },
    };
    const char *text, *meant = NULL;
    fm_status st = fm_yaml_get_string(map, "kind", &text);

    if (st)
        return st;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (fm_column_kind)i;
            return FM_OK;
        }
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
        if (strcasecmp(text, others[i].word) == 0)
            meant = names[others[i].kind];
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (!meant && (strcasecmp(text, names[i]) == 0 ||
                       fm_text_is_near(fm_text_distance(text, names[i]), names[i])))
            meant = names[i];
    if (meant)
        return fm_yaml_fail(fm_yaml_find(map, "kind"),
                            "kind is \"%s\"; did you mean %s? It can be numeric, date, "
                            "categorical, label or ignore",
                            text, meant);
    return fm_yaml_fail(fm_yaml_find(map, "kind"),
                        "kind is \"%s\"; it can be numeric, date, "
                        "categorical, label or ignore",
                        text);
}

static fm_status check_keys(const fm_yaml_node *map, fm_column_kind kind)
{
    static const char *const numeric[] = { "name",     "kind",           "source",   "range",
                                           "center",   "scale",          "knots",    "outside",
                                           "missing",  "required",       "encoding", "from",
                                           "linear",   "bins",           "spacing",  "weight",
                                           "centered", "missing_weight", NULL };
    static const char *const categorical[] = { "name",           "kind",    "source",  "values",
                                               "groups",         "from",    "ordered", "weight",
                                               "centered",       "unknown", "missing", "required",
                                               "missing_weight", NULL };
    static const char *const ignore[] = { "name", "kind", "source", NULL };

    switch (kind) {
    case FM_COLUMN_NUMERIC:
    case FM_COLUMN_DATE:
        return fm_yaml_check_keys(map, numeric);
    case FM_COLUMN_CATEGORICAL:
        return fm_yaml_check_keys(map, categorical);
    case FM_COLUMN_LABEL:
        return FM_OK; /* depends on what it is: schema_label.c */
    case FM_COLUMN_IGNORE:
        break;
    }
    return fm_yaml_check_keys(map, ignore);
}

static fm_status read_by_kind(const fm_yaml_node *map, const fm_schema *s, const fm_encoding *e,
                              fm_column *c)
{
    fm_status st = FM_OK;

    switch (c->kind) {
    case FM_COLUMN_NUMERIC:
    case FM_COLUMN_DATE:
        st = fm_column_numeric(map, e, c);
        break;
    case FM_COLUMN_CATEGORICAL:
        st = read_categorical(map, e, c);
        break;
    case FM_COLUMN_LABEL:
        return fm_column_label(map, c);
    case FM_COLUMN_IGNORE:
        return FM_OK;
    }
    return st ? st : read_missing(map, s, e, c);
}

static fm_status read_from(const fm_yaml_node *map, fm_column *c)
{
    const char *from;
    fm_status st;

    if (!fm_yaml_find(map, "from"))
        return FM_OK;
    return (st = fm_yaml_get_string(map, "from", &from)) ? st : fm_strdup(from, &c->from);
}

fm_status fm_column_read(const fm_yaml_node *map, const fm_schema *s, const fm_encoding *e,
                         fm_column *c)
{
    const char *name, *source;
    fm_status st;

    if (fm_yaml_node_kind(map) != FM_YAML_MAP)
        return fm_yaml_fail(map, "a column must be a map with name and kind");
    if ((st = read_kind(map, &c->kind)) || (st = check_keys(map, c->kind)) ||
        (st = fm_yaml_get_string(map, "name", &name)) ||
        (st = fm_yaml_get_string_or(map, "source", "", &source)) ||
        (st = fm_strdup(name, &c->name)) || (st = read_from(map, c)))
        return st;
    if (fm_text_has_control(name))
        return fm_yaml_fail(fm_yaml_find(map, "name"), "the name holds a control character");
    if ((st = check_encoding(fm_yaml_find(map, "name"), name)))
        return st;
    c->gain = 1.0;
    if ((st = read_by_kind(map, s, e, c)))
        return st;
    return fm_lookup_build(s, c);
}
