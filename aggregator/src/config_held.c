/* federation.yaml: training.early_stop, the units that only judge the model. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "config_internal.h"

/* When nobody says how. */
#define HELD_SHARE 0.1
#define PATIENCE 10
#define BINS 16

/* What a model that knows nothing loses, twice: of a text that is a token in 3,000. */
static double usual_bound(size_t outputs)
{
    if (outputs == 0)
        return 8.0;
    return 2.0 * log(outputs > 1 ? (double)outputs : 2.0);
}

/* ---- the label, by the schema of fedmoe-model ---- */

static const fm_yaml_node *label_of(const fm_yaml *schema)
{
    const fm_yaml_node *columns = NULL;
    const char *kind = NULL;

    if (fm_yaml_get_list(fm_yaml_root(schema), "columns", &columns) != FM_OK)
        return NULL;
    for (size_t i = 0; i < fm_yaml_size(columns); i++) {
        const fm_yaml_node *column = fm_yaml_item(columns, i);

        if (fm_yaml_get_string_or(column, "kind", "", &kind) == FM_OK && strcmp(kind, "label") == 0)
            return column;
    }
    return NULL;
}

/* What the label is, in words; two values are "". */
static void describe_label(const char *schema_text, char *out, size_t cap)
{
    const fm_yaml_node *label = NULL, *values = NULL;
    fm_yaml *doc = NULL;

    if (fm_yaml_parse("the model's schema", schema_text, strlen(schema_text), &doc) == FM_OK)
        label = label_of(doc);
    if (!label)
        (void)snprintf(out, cap, "has none");
    else if (fm_yaml_find(label, "range"))
        (void)snprintf(out, cap, "has a number");
    else if (fm_yaml_get_list(label, "values", &values) == FM_OK && fm_yaml_size(values) != 2)
        (void)snprintf(out, cap, "has one of %zu classes", fm_yaml_size(values));
    else
        *out = '\0';
    fm_error_clear(); /* of what was only tried */
    fm_yaml_free(&doc);
}

static fm_status read_auc(const fm_yaml_node *m, size_t outputs, fm_plan *p)
{
    bool wanted = false;
    char label[48];
    fm_status st = fm_yaml_get_bool_or(m, "auc", false, &wanted);

    if (st != FM_OK || !wanted)
        return st;
    if (outputs == 0) /* a language model */
        (void)snprintf(label, sizeof label, "has none, but texts");
    else
        describe_label(p->schema_text, label, sizeof label);
    if (*label)
        return fm_yaml_fail(fm_yaml_find(m, "auc"),
                            "an AUC is of a label of two values, and the model's schema %s; leave "
                            "auc out: the loss decides and is shown without it",
                            label);
    p->held_bins = BINS;
    return FM_OK;
}

fm_status fm_config_read_early_stop(const fm_yaml_node *training, size_t outputs, fm_plan *p)
{
    static const char *const keys[] = { "held_out", "patience", "largest_loss", "auc", NULL };
    const fm_yaml_node *m = NULL;
    uint64_t patience = 0;
    fm_status st;

    if (!fm_yaml_find(training, "early_stop"))
        return FM_OK;
    if ((st = fm_yaml_get_map(training, "early_stop", &m)) != FM_OK ||
        (st = fm_yaml_check_keys(m, keys)) != FM_OK ||
        (st = fm_yaml_get_double_or(m, "held_out", 0.01, 0.5, HELD_SHARE, &p->held_share)) !=
            FM_OK ||
        (st = fm_yaml_get_double_or(m, "largest_loss", 1e-3, 1e6, usual_bound(outputs),
                                    &p->held_bound)) != FM_OK ||
        (st = fm_yaml_get_u64_or(m, "patience", 1, p->rounds, PATIENCE, &patience)) != FM_OK)
        return st;
    if (2 * patience >= p->rounds)
        return fm_yaml_fail(m,
                            "early_stop compares two windows of %llu rounds, and there are %u "
                            "rounds; lower patience below %u, or leave early_stop out",
                            (unsigned long long)patience, p->rounds, (p->rounds + 1) / 2);
    p->patience = (uint32_t)patience;
    return read_auc(m, outputs, p);
}
