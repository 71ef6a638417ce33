/* federation.yaml: training.start, the statistics round before the first gradient. */
#include <string.h>

#include "config_internal.h"

/* By the naming of fedmoe-model: what a statistics round sets, and the configuration's key of what
 * the bias is multiplied by. */
#define CENTER "features.center"
#define BIAS "linear.bias"

/* The tensor's place among the state's values; a tensor of float32 that is zero throughout. */
static const fm_tensor_view *find_zero(const fm_safetensors *s, const char *name, uint32_t *offset)
{
    size_t at = 0;

    for (size_t i = 0; i < fm_safetensors_count(s); i++) {
        const fm_tensor_view *t = fm_safetensors_at(s, i);

        if (strcmp(t->name, name) != 0) {
            at += t->bytes / sizeof(float);
            continue;
        }
        for (size_t k = 0; k < t->bytes / sizeof(float); k++) {
            float v;

            memcpy(&v, t->data + k * sizeof v, sizeof v);
            if (v != 0.0f)
                return NULL;
        }
        *offset = (uint32_t)at;
        return t;
    }
    return NULL;
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

/* A model that was trained has a center and a bias already, and keeps them. */
static bool find_places(const fm_safetensors *model, fm_plan *p)
{
    uint32_t center = 0, bias = 0;
    const fm_tensor_view *c = find_zero(model, CENTER, &center), *b = find_zero(model, BIAS, &bias);
    const double scale = c && b ? bias_scale(p->model_text) : 0.0;

    if (!(scale > 0.0) || c->bytes < sizeof(float) || b->bytes != sizeof(float))
        return false;
    p->start_center = center;
    p->start_count = (uint32_t)(c->bytes / sizeof(float));
    p->start_bias = bias;
    p->start_scale = scale;
    return true;
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
    if (strcmp(word, "none") == 0)
        return FM_OK;
    if (rounds >= 2 && find_places(c->model, &c->plan))
        return FM_OK;
    return !at ? FM_OK
               : fm_yaml_fail(at, "a statistics round needs a model with a center and a first bias "
                                  "that are both still zero, and 2 rounds or more");
}
