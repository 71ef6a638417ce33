/* federation.yaml: training.start, the statistics round before the first gradient. */
#include <string.h>

#include "config_internal.h"

/* By the naming of fedmoe-model: what a statistics round sets, and the configuration's key of what
 * the bias is multiplied by. */
#define CENTER "features.center"
#define BIAS "linear.bias"

/* The tensor, and its place among the state's values; NULL: there is none. */
static const fm_tensor_view *find(const fm_safetensors *s, const char *name, uint32_t *offset)
{
    size_t at = 0;

    for (size_t i = 0; i < fm_safetensors_count(s); i++) {
        const fm_tensor_view *t = fm_safetensors_at(s, i);

        if (strcmp(t->name, name) == 0) {
            *offset = (uint32_t)at;
            return t;
        }
        at += t->bytes / sizeof(float);
    }
    return NULL;
}

static bool is_zero(const fm_tensor_view *t)
{
    for (size_t k = 0; k < t->bytes / sizeof(float); k++) {
        float v;

        memcpy(&v, t->data + k * sizeof v, sizeof v);
        if (v != 0.0f)
            return false;
    }
    return true;
}

/* multipliers.bias of the model's configuration; 0: it has none. */
static double bias_scale(const char *model_text)
{
    const fm_yaml_node *map = NULL;
    fm_yaml *doc = NULL;
    double scale = 0.0;

    if (fm_yaml_parse("the model's configuration", model_text, strlen(model_text), &doc) != FM_OK ||
        fm_yaml_get_map(fm_yaml_root(doc), "multipliers", &map) != FM_OK ||
        fm_yaml_get_double_or(map, "bias", 1e-6, 1000.0, 0.0, &scale) != FM_OK)
        fm_error_clear();
    fm_yaml_free(&doc);
    return scale;
}

/* The center, which no gradient moves. */
static void find_center(fm_aggregator_config *c)
{
    uint32_t at = 0;
    const fm_tensor_view *t = find(c->model, CENTER, &at);

    if (!t || t->bytes < sizeof(float))
        return;
    c->plan.start_center = at;
    c->plan.start_count = (uint32_t)(t->bytes / sizeof(float));
}

/* What a statistics round sets. A model that was trained has a center and a bias already, and keeps
 * them. */
static bool plan_statistics(const fm_safetensors *model, fm_plan *p)
{
    uint32_t center = 0, bias = 0;
    const fm_tensor_view *c = find(model, CENTER, &center), *b = find(model, BIAS, &bias);

    if (p->start_count == 0 || !c || !b || b->bytes != sizeof(float) || !is_zero(c) || !is_zero(b))
        return false;
    p->start_scale = bias_scale(p->model_text);
    p->start_bias = p->start_scale > 0.0 ? bias : 0;
    return p->start_scale > 0.0;
}

fm_status fm_config_read_start(const fm_yaml_node *training, fm_aggregator_config *c)
{
    const fm_yaml_node *at = training ? fm_yaml_find(training, "start") : NULL;
    const char *word = "";
    uint64_t rounds = 2;
    fm_status st;

    if (at && (st = fm_yaml_get_string(training, "start", &word)) != FM_OK)
        return st;
    if (at && strcmp(word, "none") != 0 && strcmp(word, "statistics") != 0)
        return fm_yaml_fail(at, "start '%.100s' is not known; use statistics or none", word);
    if (training &&
        (st = fm_yaml_get_u64_or(training, "rounds", 1, FM_MAX_ENTRIES, 2, &rounds)) != FM_OK)
        return st;
    find_center(c);
    if (strcmp(word, "none") == 0 || (rounds >= 2 && plan_statistics(c->model, &c->plan)))
        return FM_OK;
    return !at ? FM_OK
               : fm_yaml_fail(at, "a statistics round needs a model with a center and a first bias "
                                  "that are both still zero, and 2 rounds or more");
}
