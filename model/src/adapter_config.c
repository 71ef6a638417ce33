/*
 * adapter_config.json. A key that is in neither list is refused unless it is null, false, empty or
 * 0: it may be the one that makes the adapter compute something else.
 */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "adapter_internal.h"

#define RANK_MAX 1024

/* Read, or checked, below. */
static const char *const used[] = { "r",    "lora_alpha", "peft_type",     "use_rslora",
                                    "bias", "task_type",  "fan_in_fan_out" };

/* Of no effect on what is computed: where it comes from, how it began, how it was trained; and which
 * modules have an adapter, which the tensors say. */
static const char *const idle[] = {
    "auto_mapping",        "base_model_name_or_path",
    "corda_config",        "eva_config",
    "exclude_modules",     "inference_mode",
    "init_lora_weights",   "layers_pattern",
    "loftq_config",        "lora_dropout",
    "layers_to_transform", "megatron_config",
    "megatron_core",       "peft_version",
    "qalora_group_size",   "revision",
    "runtime_config",      "target_modules",
    "ensure_weight_tying", "alora_invocation_tokens",
    "arrow_config",
};

static bool listed(const char *const *list, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], key) == 0)
            return true;
    return false;
}
#define LISTED(list, key) listed(list, sizeof(list) / sizeof(list)[0], key)

static bool says_nothing(const json_t *v)
{
    return json_is_null(v) || json_is_false(v) || (json_is_array(v) && json_array_size(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0) ||
           (json_is_number(v) && json_number_value(v) == 0.0);
}

static fm_status check_keys(const char *name, json_t *root)
{
    const char *key;
    json_t *v;

    json_object_foreach(root, key,
                        v) if (!LISTED(used, key) && !LISTED(idle, key) &&
                               !says_nothing(v)) return fm_fail(FM_EINVAL,
                                                                "%s: '%.60s' is not supported",
                                                                name, key);
    return FM_OK;
}

/* Whether a text is as it must be, or not there. */
static fm_status check_text(const char *name, const json_t *root, const char *key, const char *want)
{
    const json_t *v = json_object_get(root, key);

    if (!v || json_is_null(v))
        return FM_OK;
    if (!json_is_string(v) || strcmp(json_string_value(v), want) != 0)
        return fm_fail(FM_EINVAL, "%s: '%s' is '%.60s', supported is %s", name, key,
                       json_is_string(v) ? json_string_value(v) : "no text", want);
    return FM_OK;
}

fm_status fm_adapter_config_check(const char *name, const fm_adapter_config *c)
{
    if (c->rank < 1 || c->rank > RANK_MAX)
        return fm_fail(FM_EINVAL, "%s: r is %zu, must be 1 to %d", name, c->rank, RANK_MAX);
    if (!isfinite(c->alpha) || fabs(c->alpha) > 1e9)
        return fm_fail(FM_EINVAL, "%s: lora_alpha is out of range", name);
    return FM_OK;
}

static fm_status read_numbers(const char *name, const json_t *root, fm_adapter_config *out)
{
    const json_t *r = json_object_get(root, "r"), *alpha = json_object_get(root, "lora_alpha");
    const json_int_t rank = json_integer_value(r);

    if (!json_is_integer(r) || rank < 1 || rank > RANK_MAX)
        return fm_fail(FM_EINVAL, "%s: 'r' must be a whole number, 1 to %d", name, RANK_MAX);
    if (!json_is_number(alpha))
        return fm_fail(FM_EINVAL, "%s: 'lora_alpha' must be a number", name);
    *out = (fm_adapter_config){ .rank = (size_t)rank, .alpha = json_number_value(alpha) };
    if (json_is_true(json_object_get(root, "use_rslora")))
        out->alpha *= sqrt((double)rank);
    return fm_adapter_config_check(name, out);
}

static fm_status read_root(const char *name, json_t *root, fm_adapter_config *out)
{
    fm_status st;

    if (!json_is_object(root))
        return fm_fail(FM_EPARSE, "%s: must be an object", name);
    if (!json_object_get(root, "peft_type"))
        return fm_fail(FM_EINVAL, "%s: no 'peft_type'", name);
    if ((st = check_text(name, root, "peft_type", "LORA")) != FM_OK ||
        (st = check_text(name, root, "bias", "none")) != FM_OK ||
        (st = check_text(name, root, "task_type", "CAUSAL_LM")) != FM_OK)
        return st;
    if (json_is_true(json_object_get(root, "fan_in_fan_out")))
        return fm_fail(FM_EINVAL, "%s: 'fan_in_fan_out' is not supported", name);
    return (st = check_keys(name, root)) != FM_OK ? st : read_numbers(name, root, out);
}

fm_status fm_adapter_config_parse(const char *name, const void *data, size_t len,
                                  fm_adapter_config *out)
{
    json_error_t error;
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, &error);
    fm_status st;

    if (!root)
        return fm_fail(FM_EPARSE, "%s:%d:%d: %s", name, error.line, error.column, error.text);
    st = read_root(name, root, out);
    json_decref(root);
    return st;
}
