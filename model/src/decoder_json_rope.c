/*
 * Rotary positions, as transformers 5 reads them (modeling_rope_utils.py, standardize_rope_params and
 * _compute_yarn_parameters; modeling_deepseek_v3.py, DeepseekV3Attention) for both ways of writing.
 */
#include <math.h>
#include <string.h>

#include "decoder_json.h"

static const char *const rope_keys[] = {
    "rope_type",
    "type",
    "rope_theta",
    "factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "attention_factor",
    "original_max_position_embeddings",
};

static bool is_given(const json_t *object)
{
    return object && !json_is_null(object) && json_object_size(object) > 0;
}

static fm_status check_rope_keys(const fm_json_reader *r, json_t *p)
{
    const char *key;
    json_t *value;

    json_object_foreach(p, key, value)
    {
        bool known = false;

        for (size_t i = 0; i < sizeof rope_keys / sizeof rope_keys[0]; i++)
            known = known || strcmp(rope_keys[i], key) == 0;
        if (strcmp(key, "partial_rotary_factor") == 0)
            known = json_is_null(value) || json_number_value(value) == 1.0;
        if (!known)
            return fm_json_fail(r, key, value, "not supported among the rotary parameters");
    }
    return FM_OK;
}

/* rope_scaling goes before rope_parameters there; here they may not disagree. */
static fm_status find(const fm_json_reader *r, json_t **out)
{
    static const char *const names[] = { "rope_scaling", "rope_parameters" };
    json_t *found[2];

    for (size_t i = 0; i < 2; i++) {
        found[i] = json_object_get(r->root, names[i]);
        if (found[i] && !json_is_null(found[i]) && !json_is_object(found[i]))
            return fm_json_fail(r, names[i], found[i], "must be an object or null");
    }
    if (is_given(found[0]) && is_given(found[1]) && !json_equal(found[0], found[1]))
        return fm_json_fail(r, "rope_scaling", found[0], "rope_parameters says something else");
    *out = is_given(found[0]) ? found[0] : is_given(found[1]) ? found[1] : NULL;
    return *out ? check_rope_keys(r, *out) : FM_OK;
}

static fm_status read_type(const fm_json_reader *r, const json_t *p, bool *yarn)
{
    const json_t *type = json_object_get(p, "rope_type"), *old = json_object_get(p, "type");
    const char *name;

    if (type && old && !json_equal(type, old))
        return fm_json_fail(r, "type", old, "rope_type says something else");
    type = type ? type : old;
    *yarn = false;
    if (!type)
        return FM_OK;
    name = json_string_value(type);
    *yarn = name && strcmp(name, "yarn") == 0;
    return *yarn || (name && strcmp(name, "default") == 0)
               ? FM_OK
               : fm_json_fail(r, "rope_type", type, "only \"default\" and \"yarn\" are supported");
}

static fm_status read_original(const fm_json_reader *r, const json_t *p, fm_decoder_config *c)
{
    static const char key[] = "original_max_position_embeddings";
    const json_t *object = json_object_get(r->root, key) ? r->root : p;

    c->rope.original_context = (double)c->context;
    return fm_json_number(r, object, key, &c->rope.original_context);
}

static fm_status read_truncate(const fm_json_reader *r, const json_t *p, fm_decoder_config *c)
{
    const json_t *value = json_object_get(p, "truncate");

    if (value && !json_is_boolean(value))
        return fm_json_fail(r, "truncate", value, "must be true or false");
    c->rope.truncate = !value || json_is_true(value);
    return FM_OK;
}

static fm_status read_factor(const fm_json_reader *r, const json_t *p, fm_decoder_config *c)
{
    const json_t *value = json_object_get(p, "factor");

    if (!value)
        return fm_json_fail(r, "factor", NULL, "YaRN needs it among the rotary parameters");
    if (json_is_null(value)) {
        if (!(c->rope.original_context >= 1.0))
            return fm_json_fail(r, "original_max_position_embeddings", NULL, "must be at least 1");
        c->rope.factor = (double)c->context / c->rope.original_context;
    } else if (fm_json_number(r, p, "factor", &c->rope.factor) != FM_OK) {
        return FM_EINVAL;
    }
    return c->rope.factor >= 1.0 ? FM_OK : fm_json_fail(r, "factor", value, "must be at least 1");
}

/* How much longer contexts sharpen the softmax: YaRN, equation 22. */
static double mscale(double factor, double weight)
{
    return factor <= 1.0 ? 1.0 : 0.1 * weight * log(factor) + 1.0;
}

static fm_status read_yarn(const fm_json_reader *r, const json_t *p, fm_decoder_config *c)
{
    double one = 0.0, all = 0.0, attention = -1.0;
    fm_status st;

    if ((st = read_original(r, p, c)) != FM_OK || (st = read_factor(r, p, c)) != FM_OK ||
        (st = read_truncate(r, p, c)) != FM_OK ||
        (st = fm_json_maybe_number(r, p, "beta_fast", 0.0, &c->rope.beta_fast)) != FM_OK ||
        (st = fm_json_maybe_number(r, p, "beta_slow", 0.0, &c->rope.beta_slow)) != FM_OK ||
        (st = fm_json_maybe_number(r, p, "mscale", 0.0, &one)) != FM_OK ||
        (st = fm_json_maybe_number(r, p, "mscale_all_dim", 0.0, &all)) != FM_OK ||
        (st = fm_json_maybe_number(r, p, "attention_factor", -1.0, &attention)) != FM_OK)
        return st;
    if (c->rope.beta_fast == 0.0)
        c->rope.beta_fast = 32.0;
    if (c->rope.beta_slow == 0.0)
        c->rope.beta_slow = 1.0;
    if (attention == -1.0 && one != 0.0 && all != 0.0)
        attention = mscale(c->rope.factor, one) / mscale(c->rope.factor, all);
    else if (attention == -1.0)
        attention = mscale(c->rope.factor, 1.0);
    if (!(attention > 0.0))
        return fm_json_fail(r, "attention_factor", json_object_get(p, "attention_factor"),
                            "must be above 0");
    c->rope.attention_factor = attention;
    /* Only the DeepSeek classes: both sides of a score grow by it, also where nothing turns. */
    if (c->attention == FM_ATTENTION_LATENT && all != 0.0)
        c->attention_scale *= mscale(c->rope.factor, all) * mscale(c->rope.factor, all);
    return FM_OK;
}

fm_status fm_json_rope(const fm_json_reader *r, fm_decoder_config *c)
{
    json_t *p = NULL;
    bool yarn = false;
    fm_status st;

    c->rope.theta = 10000.0;
    c->rope.factor = 1.0;
    c->rope.beta_fast = 32.0;
    c->rope.beta_slow = 1.0;
    c->rope.original_context = (double)c->context;
    c->rope.attention_factor = 1.0;
    c->rope.truncate = true;
    if ((st = find(r, &p)) != FM_OK || (st = read_type(r, p, &yarn)) != FM_OK ||
        (st = fm_json_number(r, json_object_get(p, "rope_theta") ? p : r->root, "rope_theta",
                             &c->rope.theta)) != FM_OK)
        return st;
    return yarn ? read_yarn(r, p, c) : FM_OK;
}
