/* The object: made from text, asked for its shape. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "schema_internal.h"

static fm_status name_feature(fm_schema *s, size_t at, const char *column, const char *sign,
                              const char *value)
{
    fm_buf b = { 0 };
    fm_status st = fm_buf_printf(&b, "%s%s%s", column, sign, value);

    if (!st)
        st = fm_strdup((const char *)b.data, &s->feature_names[at]);
    fm_buf_fini(&b);
    return st;
}

static fm_status name_knot(fm_schema *s, size_t at, const fm_column *c, double knot)
{
    fm_buf b = { 0 };
    /* A date's knot is named by its day's number. */
    fm_status st = fm_buf_printf(&b, "%.10g", knot);

    if (!st)
        st = name_feature(s, at, c->name, ">", (const char *)b.data);
    fm_buf_fini(&b);
    return st;
}

/* As in "age 30..40"; a date's edges are named by their days' numbers. */
static fm_status name_bins(fm_schema *s, size_t *at, const fm_column *c, const fm_bins *bins,
                           const char *sign)
{
    fm_buf b = { 0 };
    fm_status st = FM_OK;

    for (size_t i = 0; !st && i < bins->count; i++) {
        fm_buf_clear(&b);
        if (!(st = fm_buf_printf(&b, "%.6g..%.6g", bins->edges[i], bins->edges[i + 1])))
            st = name_feature(s, (*at)++, c->name, sign, (const char *)b.data);
    }
    fm_buf_fini(&b);
    return st;
}

static fm_status name_column(fm_schema *s, const fm_column *c)
{
    size_t at = c->first;
    fm_status st = FM_OK;

    if ((c->kind == FM_COLUMN_NUMERIC || c->kind == FM_COLUMN_DATE) && c->linear > 0.0)
        st = name_feature(s, at++, c->name, "", "");
    if (!st && !(st = name_bins(s, &at, c, &c->bins[0], " ")))
        st = name_bins(s, &at, c, &c->bins[1], " log ");
    for (size_t i = 1; !st && c->ordered && i < c->values.count; i++)
        st = name_feature(s, at++, c->name, ">=", c->values.at[i].text);
    for (size_t i = 0; !st && i < c->knot_count; i++)
        st = name_knot(s, at++, c, c->knots[i]);
    for (size_t i = 0; !st && c->kind == FM_COLUMN_CATEGORICAL && i < c->values.count; i++)
        st = name_feature(s, at++, c->name, "=", c->values.at[i].text);
    for (size_t i = 0; !st && i < c->groups.names.count; i++)
        st = name_feature(s, at++, c->name, "=", c->groups.names.at[i].text);
    if (!st && c->indicator)
        st = name_feature(s, at, c->name, " missing", "");
    return st;
}

static fm_status name_features(fm_schema *s)
{
    fm_status st = fm_alloc(s->features, sizeof *s->feature_names, (void **)&s->feature_names);

    for (size_t i = 0; !st && i < s->column_count; i++)
        st = name_column(s, &s->columns[i]);
    return st;
}

fm_status fm_schema_parse(const char *name, const void *text, size_t len, fm_schema **out)
{
    fm_schema *s = NULL;
    fm_yaml *doc = NULL;
    fm_status st;

    if (!name || (len && !text) || !out)
        return fm_fail(FM_EINVAL, "schema: an argument is missing");
    if ((st = fm_yaml_parse(name, text, len, &doc)) || (st = fm_alloc(1, sizeof *s, (void **)&s)))
        goto done;
    s->label = SIZE_MAX;
    if ((st = fm_alloc(len + 1, 1, (void **)&s->text)))
        goto done;
    memcpy(s->text, text, len);
    if ((st = fm_schema_read(fm_yaml_root(doc), s)) || (st = name_features(s)))
        goto done;

    *out = s; /* ownership moves to the caller */
    s = NULL;
done:
    fm_schema_free(&s);
    fm_yaml_free(&doc);
    return st;
}

fm_status fm_schema_load(const char *path, fm_schema **out)
{
    fm_buf text = { 0 };
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "schema: an argument is missing");
    if (!(st = fm_file_read(path, FM_YAML_MAX_BYTES, &text)))
        st = fm_schema_parse(path, text.data, text.len, out);
    fm_buf_fini(&text);
    return st;
}

void fm_schema_free(fm_schema **schema)
{
    fm_schema *s = schema ? *schema : NULL;

    if (!s)
        return;
    for (size_t i = 0; i < s->column_count; i++) {
        fm_column *c = &s->columns[i];

        free(c->name);
        free(c->knots);
        free(c->from);
        free(c->bins[0].edges);
        free(c->bins[1].edges);
        free(c->class_weights);
        fm_groups_fini(&c->groups);
        fm_lookup_fini(&c->lookup);
        fm_cells_fini(&c->missing);
        fm_cells_fini(&c->values);
        fm_cells_fini(&c->positive);
    }
    for (size_t i = 0; s->feature_names && i < s->features; i++)
        free(s->feature_names[i]);
    free(s->feature_names);
    free(s->columns);
    fm_cells_fini(&s->missing);
    free(s->name);
    free(s->text);
    free(s);
    *schema = NULL;
}

const char *fm_schema_name(const fm_schema *s)
{
    return s->name;
}

const char *fm_schema_text(const fm_schema *s)
{
    return s->text;
}

size_t fm_schema_columns(const fm_schema *s)
{
    return s->column_count;
}

fm_schema_csv fm_schema_csv_of(const fm_schema *s)
{
    return (fm_schema_csv){ .header = s->header,
                            .delimiter = s->delimiter,
                            .missing = s->missing.count ? s->missing.at[0].text : "" };
}

size_t fm_schema_features(const fm_schema *s)
{
    return s->features;
}

const char *fm_schema_feature_name(const fm_schema *s, size_t i)
{
    return s->feature_names[i];
}

bool fm_schema_has_label(const fm_schema *s)
{
    return s->label != SIZE_MAX;
}

double fm_schema_norm(const fm_schema *s)
{
    return s->norm;
}

fm_target fm_schema_target(const fm_schema *s)
{
    return s->label == SIZE_MAX ? FM_TARGET_BINARY : s->columns[s->label].target;
}

size_t fm_schema_outputs(const fm_schema *s)
{
    return fm_schema_target(s) == FM_TARGET_CLASSES ? s->columns[s->label].values.count : 1;
}

double fm_schema_class_weight(const fm_schema *s, size_t class)
{
    const double *weights = s->label == SIZE_MAX ? NULL : s->columns[s->label].class_weights;

    return weights ? weights[class] : 1.0;
}

const char *fm_schema_label_name(const fm_schema *s)
{
    return s->label == SIZE_MAX ? NULL : s->columns[s->label].name;
}

const char *fm_schema_class_name(const fm_schema *s, size_t class)
{
    const fm_column *c = s->label == SIZE_MAX ? NULL : &s->columns[s->label];

    if (!c)
        return class ? "1" : "0";
    if (c->target == FM_TARGET_BINARY)
        return (class ? c->positive : c->values).at[0].text;
    return c->values.at[class].text;
}

double fm_schema_number(const fm_schema *s, double output)
{
    const fm_column *c = s->label == SIZE_MAX ? NULL : &s->columns[s->label];

    double v;

    if (!c || c->target != FM_TARGET_NUMBER)
        return output;
    v = c->center + c->scale * output;
    /* The range is public and holds every label: outside of it no prediction can be right. */
    return v < c->lo ? c->lo : v > c->hi ? c->hi : v;
}

float fm_schema_bound(const fm_schema *s, float output)
{
    const fm_column *c = s->label == SIZE_MAX ? NULL : &s->columns[s->label];
    float lo, hi;

    if (!c || c->target != FM_TARGET_NUMBER || !isfinite(output))
        return output;
    lo = (float)((c->lo - c->center) / c->scale); /* as a label of that value is encoded */
    hi = (float)((c->hi - c->center) / c->scale);
    return output < lo ? lo : output > hi ? hi : output;
}

double fm_schema_number_scale(const fm_schema *s)
{
    const fm_column *c = s->label == SIZE_MAX ? NULL : &s->columns[s->label];

    return c && c->target == FM_TARGET_NUMBER ? c->scale : 1.0;
}
