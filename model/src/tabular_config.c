/* model.yaml: one table of keys for reading, checking and writing. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tabular_internal.h"

typedef struct {
    const char *key;
    size_t offset;
    uint64_t lo, hi;
} count_key;

typedef struct {
    const char *key;
    size_t offset;
    bool zero; /* 0 is allowed: the tensor is left out */
} real_key;

#define AT(member) offsetof(fm_tabular_config, member)

static const count_key counts[] = {
    { "width", AT(width), 0, 1024 },
    { "blocks", AT(blocks), 1, 16 },
    { "experts", AT(experts), 1, FM_TABULAR_MAX_EXPERTS },
    { "top_k", AT(top_k), 1, FM_TABULAR_MAX_EXPERTS },
    { "expert_hidden", AT(expert_hidden), 1, 4096 },
    { "shared_hidden", AT(shared_hidden), 0, 4096 },
};

static const real_key multipliers[] = {
    { "linear", AT(multipliers.linear), true },
    { "bias", AT(multipliers.bias), true },
    { "embed", AT(multipliers.embed), false },
    { "router", AT(multipliers.router), false },
    { "router_bias", AT(multipliers.router_bias), true },
    { "hidden", AT(multipliers.hidden), false },
    { "hidden_bias", AT(multipliers.hidden_bias), true },
    { "output", AT(multipliers.output), false },
    { "output_bias", AT(multipliers.output_bias), true },
    { "head", AT(multipliers.head), false },
};

static const real_key spreads[] = {
    { "embed", AT(spread.embed), true },   { "router", AT(spread.router), true },
    { "hidden", AT(spread.hidden), true }, { "output", AT(spread.output), true },
    { "head", AT(spread.head), true },
};

static const char *const activations[] = { "relu", "silu", "gelu" };
static const char *const gates[] = { "softmax", "sigmoid" };

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define MULTIPLIER_MAX 1000.0
#define MULTIPLIER_MIN 1e-6
#define SPREAD_MAX 100.0
#define ENTROPY_MAX 100.0

/* The members that a table names by their offset. */
static size_t count_of(const fm_tabular_config *c, const count_key *k)
{
    size_t v;

    memcpy(&v, (const char *)c + k->offset, sizeof v);
    return v;
}

static double real_of(const fm_tabular_config *c, const real_key *k)
{
    double v;

    memcpy(&v, (const char *)c + k->offset, sizeof v);
    return v;
}

static size_t classes(const fm_tabular_config *c)
{
    return c->target == FM_TARGET_BINARY ? 2 : c->outputs;
}

/* Three digits are enough for a constant that people read. */
static double rounded(double v)
{
    const double step = pow(10.0, floor(log10(v)) - 2.0);

    return floor(v / step + 0.5) * step;
}

static bool can_center(const fm_tabular_config *c)
{
    return c->target == FM_TARGET_BINARY && c->multipliers.linear > 0.0 &&
           c->multipliers.bias > 0.0;
}

/* The outcome of a study on eight data sets: docs/model.md, "Where the defaults come from". It had
 * features of norm 1: for others, the parameters on features take the factor. */
void fm_tabular_config_default(const fm_schema *s, fm_tabular_config *out)
{
    const double scale = 1.0 / fmin(fmax(fm_schema_norm(s), 1e-3), 1e3);
    const double embed = 0.5 * sqrt((double)fm_schema_features(s)) * scale;

    *out = (fm_tabular_config){
        .features = fm_schema_features(s),
        .width = 16,
        .blocks = 1,
        .experts = 4,
        .top_k = 2,
        .expert_hidden = 16,
        .shared_hidden = 32,
        .activation = FM_ACTIVATION_SILU,
        .gate = FM_GATE_SOFTMAX,
        .residual = 0.0,
        .multipliers = { .linear = rounded(scale),
                         .bias = 0.3,
                         .embed = rounded(0.2 * scale),
                         .router = 0.03,
                         .hidden = 0.2,
                         .hidden_bias = 0.2,
                         .output = 0.1,
                         .head = 0.03 },
        .spread = { .embed = rounded(fmin(embed, SPREAD_MAX)),
                    .router = 3.0,
                    .hidden = 1.0,
                    .output = 0.5,
                    .head = 1.0 },
        .target = fm_schema_target(s),
        .outputs = fm_schema_outputs(s),
    };
    out->center = can_center(out);
    /* Of a number there is one, and it is not used; more classes than there is room for are refused
     * by the check. */
    for (size_t i = 0; i < classes(out) && i < FM_TABULAR_MAX_OUTPUTS; i++)
        out->class_weights[i] = (float)fm_schema_class_weight(s, i);
}

/* An upper bound of the flat vector, in double so that nothing can wrap. */
static double parameter_bound(const fm_tabular_config *c)
{
    const double d = (double)c->width, hidden = (double)c->expert_hidden,
                 shared = (double)c->shared_hidden, experts = (double)c->experts;

    const double outputs = (double)c->outputs;

    return ((double)c->features + 1.0) * (d + outputs + 1.0) + outputs * d +
           (double)c->blocks * (experts * (d + 1.0) + shared * (2.0 * d + 1.0) + d +
                                experts * (hidden * (2.0 * d + 1.0) + d));
}

static fm_status check_reals(const fm_tabular_config *c, const real_key *keys, size_t n,
                             const char *map, double most)
{
    for (size_t i = 0; i < n; i++) {
        const double v = real_of(c, &keys[i]);

        if (!isfinite(v) || v < 0.0 || v > most || (!keys[i].zero && v < MULTIPLIER_MIN) ||
            (v > 0.0 && v < MULTIPLIER_MIN))
            return fm_fail(FM_EINVAL, "model: %s.%s is %g; it must be %s%g to %g", map, keys[i].key,
                           v, keys[i].zero ? "0, or " : "", MULTIPLIER_MIN, most);
    }
    return FM_OK;
}

static fm_status check_target(const fm_tabular_config *c)
{
    const size_t least = c->target == FM_TARGET_CLASSES ? 2 : 1;
    const size_t most = c->target == FM_TARGET_CLASSES ? FM_TABULAR_MAX_OUTPUTS : 1;

    if ((unsigned)c->target > FM_TARGET_NUMBER || c->outputs < least || c->outputs > most)
        return fm_fail(FM_EINVAL, "model: %zu outputs; %zu to %zu are possible for this label",
                       c->outputs, least, most);
    for (size_t i = 0; i < classes(c); i++)
        if (!(c->class_weights[i] >= 0.0f && c->class_weights[i] <= (float)MULTIPLIER_MAX))
            return fm_fail(FM_EINVAL, "model: the weight of class %zu is %g; it must be 0 to %g", i,
                           (double)c->class_weights[i], MULTIPLIER_MAX);
    return FM_OK;
}

fm_status fm_tabular_config_check(const fm_tabular_config *c)
{
    fm_status st;

    for (size_t i = 0; i < COUNT(counts); i++) {
        const size_t v = count_of(c, &counts[i]);

        if (v < counts[i].lo || v > counts[i].hi)
            return fm_fail(FM_EINVAL, "model: %s is %zu; it must be %ju to %ju", counts[i].key, v,
                           (uintmax_t)counts[i].lo, (uintmax_t)counts[i].hi);
    }
    if (c->features < 1 || c->features > FM_SCHEMA_MAX_FEATURES)
        return fm_fail(FM_EINVAL, "model: %zu features; 1 to %u are possible", c->features,
                       FM_SCHEMA_MAX_FEATURES);
    if (c->top_k > c->experts)
        return fm_fail(FM_EINVAL, "model: top_k is %zu, more than the %zu experts", c->top_k,
                       c->experts);
    if ((unsigned)c->activation >= COUNT(activations) || (unsigned)c->gate >= COUNT(gates))
        return fm_fail(FM_EINVAL, "model: no such activation or gate");
    if (!(c->residual >= 0.0 && c->residual <= 1.0))
        return fm_fail(FM_EINVAL, "model: residual is %g; it must be 0 to 1", c->residual);
    if (!(c->router_entropy >= 0.0 && c->router_entropy <= ENTROPY_MAX))
        return fm_fail(FM_EINVAL, "model: router_entropy is %g; it must be 0 to %g",
                       c->router_entropy, ENTROPY_MAX);
    if ((st = check_target(c)) ||
        (st = check_reals(c, multipliers, COUNT(multipliers), "multipliers", MULTIPLIER_MAX)) ||
        (st = check_reals(c, spreads, COUNT(spreads), "spread", SPREAD_MAX)))
        return st;
    if (c->center && !can_center(c))
        return fm_fail(FM_EINVAL, "model: center is for labels of two values, and needs "
                                  "multipliers.linear and multipliers.bias above 0");
    if (!c->width && c->multipliers.linear <= 0.0)
        return fm_fail(FM_EINVAL, "model: width 0 and multipliers.linear 0 leave nothing to learn");
    if (parameter_bound(c) > (double)FM_TABULAR_MAX_PARAMETERS)
        return fm_fail(FM_EINVAL, "model: about %.3g parameters; at most %zu are possible",
                       parameter_bound(c), FM_TABULAR_MAX_PARAMETERS);
    return FM_OK;
}

static fm_status read_choice(const fm_yaml_node *map, const char *key, const char *const *names,
                             size_t n, unsigned *value)
{
    const char *text;
    fm_status st = fm_yaml_get_string_or(map, key, names[*value], &text);

    if (st)
        return st;
    for (unsigned i = 0; i < n; i++)
        if (strcmp(text, names[i]) == 0) {
            *value = i;
            return FM_OK;
        }
    return fm_yaml_fail(fm_yaml_find(map, key), "%s is \"%s\"; it can be %s, %s%s%s", key, text,
                        names[0], names[1], n > 2 ? ", " : "", n > 2 ? names[2] : "");
}

static fm_status read_reals(const fm_yaml_node *root, const char *name, const real_key *keys,
                            size_t n, double most, fm_tabular_config *c)
{
    const fm_yaml_node *map;
    const char *known[COUNT(multipliers) + 1] = { NULL };
    fm_status st;

    if (!fm_yaml_find(root, name))
        return FM_OK;
    for (size_t i = 0; i < n; i++)
        known[i] = keys[i].key;
    if ((st = fm_yaml_get_map(root, name, &map)) || (st = fm_yaml_check_keys(map, known)))
        return st;
    for (size_t i = 0; i < n; i++) {
        double v = real_of(c, &keys[i]);

        if ((st = fm_yaml_get_double_or(map, keys[i].key, 0.0, most, v, &v)))
            return st;
        memcpy((char *)c + keys[i].offset, &v, sizeof v);
    }
    return FM_OK;
}

/* @param without  whether a text that says nothing of a center has one where there can be. */
static fm_status read_all(const fm_yaml_node *root, bool without, fm_tabular_config *c)
{
    static const char *const known[] = {
        "width",         "blocks",     "experts", "top_k",    "expert_hidden",
        "shared_hidden", "activation", "gate",    "residual", "router_entropy",
        "multipliers",   "spread",     "center",  NULL
    };
    unsigned activation = (unsigned)c->activation, gate = (unsigned)c->gate;
    fm_status st = fm_yaml_check_keys(root, known);

    for (size_t i = 0; !st && i < COUNT(counts); i++) {
        uint64_t v = count_of(c, &counts[i]);

        st = fm_yaml_get_u64_or(root, counts[i].key, counts[i].lo, counts[i].hi, v, &v);
        memcpy((char *)c + counts[i].offset, &(size_t){ (size_t)v }, sizeof(size_t));
    }
    if (st ||
        (st = read_choice(root, "activation", activations, COUNT(activations), &activation)) ||
        (st = read_choice(root, "gate", gates, COUNT(gates), &gate)) ||
        (st = fm_yaml_get_double_or(root, "residual", 0.0, 1.0, c->residual, &c->residual)) ||
        (st = fm_yaml_get_double_or(root, "router_entropy", 0.0, ENTROPY_MAX, c->router_entropy,
                                    &c->router_entropy)) ||
        (st =
             read_reals(root, "multipliers", multipliers, COUNT(multipliers), MULTIPLIER_MAX, c)) ||
        (st = read_reals(root, "spread", spreads, COUNT(spreads), SPREAD_MAX, c)))
        return st;
    c->activation = (fm_activation)activation;
    c->gate = (fm_gate)gate;
    return fm_yaml_get_bool_or(root, "center", without && can_center(c), &c->center);
}

static fm_status parse(const char *name, const void *text, size_t len, const fm_schema *s,
                       bool without, fm_tabular_config *out)
{
    fm_yaml *doc = NULL;
    fm_tabular_config c;
    fm_status st;

    if (!name || (len && !text) || !s || !out)
        return fm_fail(FM_EINVAL, "model: an argument is missing");
    if ((st = fm_yaml_parse(name, text, len, &doc)))
        return st;
    fm_tabular_config_default(s, &c);
    st = read_all(fm_yaml_root(doc), without, &c);
    /* What no single key can be blamed for, such as top_k against experts. */
    if (!st && fm_tabular_config_check(&c))
        st = fm_fail_context(FM_EPARSE, "%s: ", name);
    if (!st)
        *out = c;
    fm_yaml_free(&doc);
    return st;
}

fm_status fm_tabular_config_parse(const char *name, const void *text, size_t len,
                                  const fm_schema *s, fm_tabular_config *out)
{
    return parse(name, text, len, s, false, out);
}

fm_status fm_tabular_config_parse_new(const char *name, const void *text, size_t len,
                                      const fm_schema *s, fm_tabular_config *out)
{
    return parse(name, text, len, s, true, out);
}

/* The shortest digits that read back as the same number. */
static fm_status write_real(const char *indent, const char *key, double v, fm_buf *out)
{
    char text[32];

    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    return fm_buf_printf(out, "%s%s: %s\n", indent, key, text);
}

static fm_status write_reals(const fm_tabular_config *c, const char *name, const real_key *keys,
                             size_t n, fm_buf *out)
{
    fm_status st = fm_buf_printf(out, "%s:\n", name);

    for (size_t i = 0; !st && i < n; i++)
        st = write_real("  ", keys[i].key, real_of(c, &keys[i]), out);
    return st;
}

fm_status fm_tabular_config_write(const fm_tabular_config *c, fm_buf *out)
{
    fm_status st;

    if (!c || !out)
        return fm_fail(FM_EINVAL, "model: an argument is missing");
    if ((st = fm_tabular_config_check(c)))
        return st;
    for (size_t i = 0; !st && i < COUNT(counts); i++)
        st = fm_buf_printf(out, "%s: %zu\n", counts[i].key, count_of(c, &counts[i]));
    if (!st)
        st = fm_buf_printf(out, "activation: %s\ngate: %s\n", activations[c->activation],
                           gates[c->gate]);
    if (!st)
        st = write_real("", "residual", c->residual, out);
    if (!st)
        st = write_real("", "router_entropy", c->router_entropy, out);
    if (!st)
        st = fm_buf_printf(out, "center: %s\n", c->center ? "true" : "false");
    if (!st)
        st = write_reals(c, "multipliers", multipliers, COUNT(multipliers), out);
    if (!st)
        st = write_reals(c, "spread", spreads, COUNT(spreads), out);
    return st;
}
