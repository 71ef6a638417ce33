/* The label column: two lists of values, a list of classes, or a range of numbers. */
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/text.h"
#include "schema_internal.h"

static fm_status read_binary(const fm_yaml_node *map, fm_column *c)
{
    fm_status st = fm_cells_read(map, "negative", &c->values);

    if (st || (st = fm_cells_read(map, "positive", &c->positive)))
        return st;
    if (!c->values.count || !c->positive.count)
        return fm_yaml_fail(map, "a label needs at least one negative and one positive value");
    for (size_t i = 0; i < c->positive.count; i++)
        if (fm_cells_find(&c->values, c->positive.at[i].text) != SIZE_MAX)
            return fm_yaml_fail(fm_yaml_item(fm_yaml_find(map, "positive"), i),
                                "\"%s\" is negative and positive", c->positive.at[i].text);
    return FM_OK;
}

static fm_status read_classes(const fm_yaml_node *map, fm_column *c)
{
    fm_status st = fm_cells_read(map, "values", &c->values);

    if (!st && c->values.count < 2)
        st = fm_yaml_fail(fm_yaml_find(map, "values"), "values must have two entries or more");
    return st;
}

static fm_status read_number(const fm_yaml_node *map, fm_column *c)
{
    fm_status st = fm_column_range(map, c);

    if (st || (st = fm_column_scale(map, c)))
        return st;
    return fm_column_odd(map, "outside", FM_ODD_BIT(FM_ODD_ERROR) | FM_ODD_BIT(FM_ODD_CLIP),
                         &c->odd);
}

static fm_status read_weights(const fm_yaml_node *map, fm_column *c)
{
    const size_t classes = c->target == FM_TARGET_BINARY ? 2 : c->values.count;
    const fm_yaml_node *list;
    fm_status st;

    if (!fm_yaml_find(map, "weights"))
        return FM_OK;
    if ((st = fm_yaml_get_list(map, "weights", &list)))
        return st;
    if (fm_yaml_size(list) != classes)
        return fm_yaml_fail(list, "weights has %zu entries; it must have %zu, one for each class%s",
                            fm_yaml_size(list), classes,
                            c->target == FM_TARGET_BINARY ? ", the negative one first" : "");
    if ((st = fm_alloc(classes, sizeof *c->class_weights, (void **)&c->class_weights)))
        return st;
    for (size_t i = 0; i < classes; i++) {
        if ((st = fm_yaml_number(fm_yaml_item(list, i), &c->class_weights[i])))
            return st;
        if (!(c->class_weights[i] >= 1e-6 && c->class_weights[i] <= 1000.0))
            return fm_yaml_fail(fm_yaml_item(list, i), "a class's weight must be 1e-06 to 1000");
    }
    return FM_OK;
}

fm_status fm_column_label(const fm_yaml_node *map, fm_column *c)
{
    static const char *const binary[] = { "name",     "kind",    "source", "negative",
                                          "positive", "weights", NULL };
    static const char *const classes[] = { "name", "kind", "source", "values", "weights", NULL };
    static const char *const number[] = { "name",    "kind",   "source", "range",
                                          "outside", "center", "scale",  NULL };
    fm_status st;

    c->target = fm_yaml_find(map, "values")  ? FM_TARGET_CLASSES
                : fm_yaml_find(map, "range") ? FM_TARGET_NUMBER
                                             : FM_TARGET_BINARY;
    if (c->target == FM_TARGET_NUMBER)
        return (st = fm_yaml_check_keys(map, number)) ? st : read_number(map, c);
    if (c->target == FM_TARGET_CLASSES)
        st = (st = fm_yaml_check_keys(map, classes)) ? st : read_classes(map, c);
    else
        st = (st = fm_yaml_check_keys(map, binary)) ? st : read_binary(map, c);
    return st ? st : read_weights(map, c);
}

static fm_status number_of(const fm_column *c, fm_slice cell, float *out)
{
    char shown[FM_CELL_SHOWN], hint[FM_HINT_MAX];
    double v;

    if (!fm_text_double(cell.at, &v))
        return fm_fail(FM_EPARSE, "column %s: \"%s\" is not a number%s", c->name,
                       fm_cell_show(cell.at, shown), fm_cell_hint(c, cell, hint));
    if (v < c->lo || v > c->hi) {
        if (c->odd == FM_ODD_ERROR)
            return fm_fail(FM_EPARSE, "column %s: %s is outside the declared range %.10g to %.10g",
                           c->name, fm_cell_show(cell.at, shown), c->lo, c->hi);
        v = v < c->lo ? c->lo : c->hi;
    }
    *out = (float)((v - c->center) / c->scale);
    return FM_OK;
}

fm_status fm_label_encode(const fm_column *c, fm_slice cell, float *out)
{
    char shown[FM_CELL_SHOWN], hint[FM_HINT_MAX];
    int32_t code;

    if (c->target == FM_TARGET_NUMBER)
        return number_of(c, cell, out);
    if ((code = fm_lookup_find(&c->lookup, cell)) >= 0) {
        *out = (float)code;
        return FM_OK;
    }
    if (c->target == FM_TARGET_CLASSES)
        return fm_fail(FM_EPARSE, "column %s: \"%s\" is none of the declared classes (%s, %s%s)%s",
                       c->name, fm_cell_show(cell.at, shown), c->values.at[0].text,
                       c->values.at[1].text, c->values.count > 2 ? ", ..." : "",
                       fm_cell_hint(c, cell, hint));
    return fm_fail(FM_EPARSE,
                   "column %s: \"%s\" is neither a negative (%s%s) nor a positive (%s%s) label%s",
                   c->name, fm_cell_show(cell.at, shown), c->values.at[0].text,
                   c->values.count > 1 ? ", ..." : "", c->positive.at[0].text,
                   c->positive.count > 1 ? ", ..." : "", fm_cell_hint(c, cell, hint));
}
