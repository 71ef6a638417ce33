/* The whole of schema.yaml but for the single columns. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema_internal.h"

static fm_status read_csv(const fm_yaml_node *root, fm_schema *s)
{
    static const char *const known[] = { "header", "delimiter", "missing", NULL };
    const fm_yaml_node *map = fm_yaml_find(root, "csv");
    const char *delimiter = ",";
    fm_status st;

    s->header = true;
    s->delimiter = ',';
    if (map) {
        if ((st = fm_yaml_get_map(root, "csv", &map)) || (st = fm_yaml_check_keys(map, known)) ||
            (st = fm_yaml_get_bool_or(map, "header", true, &s->header)) ||
            (st = fm_yaml_get_string_or(map, "delimiter", ",", &delimiter)))
            return st;
        if (strlen(delimiter) != 1 || !strchr(",;|:\t", *delimiter))
            return fm_yaml_fail(fm_yaml_find(map, "delimiter"),
                                "delimiter must be one of , ; | : or \"\\t\"");
        s->delimiter = *delimiter;
        if (fm_yaml_find(map, "missing"))
            return fm_cells_read(map, "missing", &s->missing);
    }
    /* By default an empty cell is a missing one. */
    if ((st = fm_alloc(1, sizeof *s->missing.at, (void **)&s->missing.at)) ||
        (st = fm_cell_make("", &s->missing.at[0])))
        return st;
    s->missing.count = 1;
    return FM_OK;
}

static fm_status read_numeric(const fm_yaml_node *map, fm_encoding *e)
{
    const char *text;
    fm_status st;

    if ((st = fm_yaml_get_u64_or(map, "bins", 1, FM_SCHEMA_MAX_BINS, e->bins, &e->bins)) ||
        (st = fm_spacing_read(map, e->spacing, &e->spacing)) || !fm_yaml_find(map, "numeric"))
        return st;
    if ((st = fm_yaml_get_string(map, "numeric", &text)))
        return st;
    if (strcmp(text, "plain") != 0 && strcmp(text, "piecewise") != 0)
        return fm_yaml_fail(fm_yaml_find(map, "numeric"),
                            "numeric is \"%s\"; it can be plain or piecewise", text);
    e->numeric = strcmp(text, "plain") == 0 ? FM_NUMERIC_PLAIN : FM_NUMERIC_PIECEWISE;
    return FM_OK;
}

static fm_status read_norm(const fm_yaml_node *map, fm_encoding *e)
{
    const fm_yaml_node *node = fm_yaml_find(map, "norm");
    const char *text;
    fm_status st;

    if (!node)
        return FM_OK;
    if ((st = fm_yaml_scalar(node, &text)))
        return st;
    if (strcmp(text, "none") == 0) {
        e->norm = 0.0;
        return FM_OK;
    }
    return fm_yaml_get_double(map, "norm", 1e-6, 1000.0, &e->norm);
}

/* sqrt 2: a balanced two-valued column then varies as much as a standardised numeric one. */
static fm_status read_encoding(const fm_yaml_node *root, fm_encoding *e)
{
    static const char *const known[] = { "weight",  "missing_weight", "centered", "numeric", "bins",
                                         "spacing", "bin_weight",     "linear",   "norm",    NULL };
    const fm_yaml_node *map;
    fm_status st;

    *e = (fm_encoding){ .weight = sqrt(2.0),
                        .missing_weight = sqrt(2.0),
                        .bin_weight = 1.0,
                        .linear = 0.5,
                        .norm = -1.0,
                        .centered = true,
                        .bins = 16 };
    if (!fm_yaml_find(root, "encoding"))
        return FM_OK;
    if ((st = fm_yaml_get_map(root, "encoding", &map)) || (st = fm_yaml_check_keys(map, known)) ||
        (st = fm_yaml_get_double_or(map, "weight", 1e-6, 1000.0, e->weight, &e->weight)) ||
        (st = fm_yaml_get_double_or(map, "missing_weight", 1e-6, 1000.0, e->missing_weight,
                                    &e->missing_weight)) ||
        (st = fm_yaml_get_double_or(map, "bin_weight", 1e-6, 1000.0, e->bin_weight,
                                    &e->bin_weight)) ||
        (st = fm_yaml_get_double_or(map, "linear", 0.0, 1000.0, e->linear, &e->linear)) ||
        (st = fm_yaml_get_bool_or(map, "centered", true, &e->centered)) || (st = read_norm(map, e)))
        return st;
    e->missing_declared = fm_yaml_find(map, "missing_weight") != NULL;
    return read_numeric(map, e);
}

static fm_status check_column(const fm_yaml_node *node, fm_schema *s, size_t i)
{
    fm_column *c = &s->columns[i];

    for (size_t j = 0; j < i; j++)
        if (strcmp(s->columns[j].name, c->name) == 0)
            return fm_yaml_fail(node, "column \"%s\" is there twice", c->name);
    if (c->kind == FM_COLUMN_LABEL) {
        if (s->label != SIZE_MAX)
            return fm_yaml_fail(node, "\"%s\" and \"%s\" are both labels; there can be one",
                                s->columns[s->label].name, c->name);
        s->label = i;
    }
    c->first = s->features;
    s->features += c->features;
    if (s->features > FM_SCHEMA_MAX_FEATURES)
        return fm_yaml_fail(node, "more than %u features", FM_SCHEMA_MAX_FEATURES);
    return FM_OK;
}

/* All features by one factor, so that a record's norm is about what was asked for. A schema that
 * says itself how large a number's feature is keeps what it says. */
static void apply_norm(fm_schema *s, const fm_encoding *e)
{
    double norm = e->norm < 0.0 ? 1.0 : e->norm, square = 0.0;

    for (size_t i = 0; i < s->column_count; i++) {
        const fm_column *c = &s->columns[i];
        const bool number = c->kind == FM_COLUMN_NUMERIC || c->kind == FM_COLUMN_DATE;

        square += fm_column_square(c);
        if (e->norm < 0.0 && number && !c->piecewise)
            norm = 0.0;
    }
    for (size_t i = 0; norm > 0.0 && i < s->column_count; i++) {
        if (e->norm < 0.0 && s->columns[i].missing_default)
            s->columns[i].missing_weight = 1.0; /* as the bins' */
        fm_column_multiply(&s->columns[i], norm / sqrt(square));
    }
    s->norm = norm > 0.0 ? norm : sqrt(square);
}

/* The field that a column reads is one of the file's, not one that reads another itself; and not the
 * label's, which would be its own prediction, and is absent from records to be predicted. */
static fm_status check_from(const fm_yaml_node *list, const fm_schema *s)
{
    for (size_t i = 0; i < s->column_count; i++) {
        size_t at = 0;

        if (!s->columns[i].from)
            continue;
        if (s->label != SIZE_MAX && strcmp(s->columns[s->label].name, s->columns[i].from) == 0)
            return fm_yaml_fail(fm_yaml_find(fm_yaml_item(list, i), "from"),
                                "\"%s\" is the label: no feature may be made of it",
                                s->columns[i].from);
        while (at < s->column_count &&
               (s->columns[at].from || strcmp(s->columns[at].name, s->columns[i].from) != 0))
            at++;
        if (!s->header && at == s->column_count)
            return fm_yaml_fail(fm_yaml_find(fm_yaml_item(list, i), "from"),
                                "there is no column \"%s\" to read", s->columns[i].from);
    }
    return FM_OK;
}

static fm_status read_columns(const fm_yaml_node *root, fm_schema *s)
{
    const fm_yaml_node *list;
    fm_encoding defaults;
    fm_status st = read_encoding(root, &defaults);

    if (st || (st = fm_yaml_get_list(root, "columns", &list)))
        return st;
    if (fm_yaml_size(list) < 1 || fm_yaml_size(list) > FM_SCHEMA_MAX_COLUMNS)
        return fm_yaml_fail(list, "columns has %zu entries; it must have 1 to %u",
                            fm_yaml_size(list), FM_SCHEMA_MAX_COLUMNS);
    if ((st = fm_alloc(fm_yaml_size(list), sizeof *s->columns, (void **)&s->columns)))
        return st;
    for (size_t i = 0; !st && i < fm_yaml_size(list); i++) {
        /* Counted first, so that a column read by half is freed with the others. */
        s->column_count = i + 1;
        if (!(st = fm_column_read(fm_yaml_item(list, i), s, &defaults, &s->columns[i])))
            st = check_column(fm_yaml_item(list, i), s, i);
    }
    if (!st && !s->features)
        st = fm_yaml_fail(list, "no column gives a feature; at least one must be numeric, "
                                "date or categorical");
    if (!st && !(st = check_from(list, s)))
        apply_norm(s, &defaults);
    return st;
}

fm_status fm_schema_read(const fm_yaml_node *root, fm_schema *s)
{
    static const char *const known[] = {
        "name", "description", "csv", "encoding", "columns", NULL
    };
    const char *name, *description;
    fm_status st;

    if (fm_yaml_find(root, "source"))
        return fm_yaml_fail(fm_yaml_find(root, "source"),
                            "this is a schema of texts, and a schema of a table is needed; texts "
                            "are for corpus, finetune and evaluate with a language model");
    if ((st = fm_yaml_check_keys(root, known)) || (st = fm_yaml_get_string(root, "name", &name)) ||
        (st = fm_yaml_get_string_or(root, "description", "", &description)) ||
        (st = fm_strdup(name, &s->name)) || (st = read_csv(root, s)))
        return st;
    return read_columns(root, s);
}
