#include "fedmoe/aggregator/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "fedmoe/base/yaml.h"
#include "fedmoe/dp/accountant.h"

/* Metadata keys that fedmoe-model writes; the aggregator passes their texts on unread. */
#define META_MODEL "fedmoe.model"
#define META_SCHEMA "fedmoe.schema"

#define NO_PRIVACY_EPSILON 1000.0

static fm_status copy_text(const fm_yaml_node *map, const char *key, char *out, size_t cap)
{
    const char *s = NULL;
    fm_status st = fm_yaml_get_string(map, key, &s);

    if (st != FM_OK)
        return st;
    if (strlen(s) >= cap)
        return fm_yaml_fail(fm_yaml_find(map, key), "%s is longer than %zu bytes", key, cap - 1);
    memcpy(out, s, strlen(s) + 1);
    return FM_OK;
}

static fm_status get_u32(const fm_yaml_node *map, const char *key, uint64_t lo, uint64_t hi,
                         uint32_t *out)
{
    uint64_t v = 0;
    fm_status st = fm_yaml_get_u64(map, key, lo, hi, &v);

    if (st == FM_OK)
        *out = (uint32_t)v;
    return st;
}

static fm_status read_listen(const fm_yaml_node *root, fm_aggregator_config *c)
{
    static const char *const keys[] = { "door", "session", NULL };
    const fm_yaml_node *listen = NULL;
    const char *door = NULL, *session = NULL;
    fm_status st;

    if ((st = fm_yaml_get_map(root, "listen", &listen)) != FM_OK ||
        (st = fm_yaml_check_keys(listen, keys)) != FM_OK ||
        (st = fm_yaml_get_string(listen, "door", &door)) != FM_OK ||
        (st = fm_yaml_get_string(listen, "session", &session)) != FM_OK ||
        (st = fm_strdup(door, &c->door)) != FM_OK)
        return st;
    return fm_strdup(session, &c->session);
}

static fm_status read_privacy(const fm_yaml_node *root, fm_plan *p)
{
    static const char *const keys[] = { "unit",          "epsilon",        "delta",
                                        "clip_norm",     "sampling_rate",  "expected_units",
                                        "max_units",     "insecure_noise_multiplier", NULL };
    const fm_yaml_node *m = NULL;
    fm_status st;

    if ((st = fm_yaml_get_map(root, "privacy", &m)) != FM_OK ||
        (st = fm_yaml_check_keys(m, keys)) != FM_OK ||
        (st = copy_text(m, "unit", p->privacy_unit, sizeof p->privacy_unit)) != FM_OK ||
        (st = fm_yaml_get_double(m, "epsilon", 1e-3, NO_PRIVACY_EPSILON, &p->epsilon)) != FM_OK ||
        (st = fm_yaml_get_double(m, "delta", 1e-12, 0.1, &p->delta)) != FM_OK ||
        (st = fm_yaml_get_double_or(m, "clip_norm", 1e-6, 1e6, 1.0, &p->clip_norm)) != FM_OK ||
        (st = fm_yaml_get_double_or(m, "sampling_rate", 1e-6, 1.0, 1.0, &p->sampling_rate)) !=
            FM_OK ||
        (st = fm_yaml_get_double(m, "expected_units", 1.0, 16777216.0, &p->expected_units)) !=
            FM_OK)
        return st;
    if ((st = get_u32(m, "max_units", 1, 1u << 24, &p->max_units)) != FM_OK ||
        (st = fm_yaml_get_double_or(m, "insecure_noise_multiplier", 0.0, 1e6, -1.0,
                                    &p->noise_multiplier)) != FM_OK)
        return st;
    if (p->noise_multiplier >= 0.0 && p->epsilon < NO_PRIVACY_EPSILON)
        return fm_yaml_fail(fm_yaml_find(m, "insecure_noise_multiplier"),
                            "the noise multiplier is calibrated from epsilon, delta and rounds; "
                            "setting it by hand needs epsilon: 1000, which says that nothing is "
                            "private");
    if (strcmp(p->privacy_unit, "record") != 0)
        return fm_yaml_fail(fm_yaml_find(m, "unit"), "unit '%s' is not known; use record",
                            p->privacy_unit);
    return FM_OK;
}

static fm_status read_cohort(const fm_yaml_node *root, fm_plan *p)
{
    static const char *const keys[] = { "nodes", "min", "quorum", "colluders", NULL };
    const fm_yaml_node *m = NULL;
    fm_status st;

    if ((st = fm_yaml_get_map(root, "cohort", &m)) != FM_OK ||
        (st = fm_yaml_check_keys(m, keys)) != FM_OK ||
        (st = get_u32(m, "nodes", 2, FM_MAX_NODES, &p->max_nodes)) != FM_OK ||
        (st = get_u32(m, "min", 2, p->max_nodes, &p->min_cohort)) != FM_OK ||
        (st = get_u32(m, "quorum", 2, p->max_nodes, &p->quorum)) != FM_OK)
        return st;
    return get_u32(m, "colluders", 0, p->max_nodes - 1, &p->colluders);
}

static fm_status read_training(const fm_yaml_node *root, fm_plan *p)
{
    static const char *const keys[] = { "rounds", "optimizer", "learning_rate", "momentum",
                                        "beta2",  "adam_epsilon", "averaging", NULL };
    const fm_yaml_node *m = NULL;
    const char *kind = NULL;
    fm_status st;

    if ((st = fm_yaml_get_map(root, "training", &m)) != FM_OK ||
        (st = fm_yaml_check_keys(m, keys)) != FM_OK ||
        (st = get_u32(m, "rounds", 1, FM_MAX_ROUNDS, &p->rounds)) != FM_OK ||
        (st = fm_yaml_get_string_or(m, "optimizer", "adam", &kind)) != FM_OK ||
        (st = fm_yaml_get_double(m, "learning_rate", 1e-9, 1e6, &p->learning_rate)) != FM_OK ||
        (st = fm_yaml_get_double_or(m, "momentum", 0.0, 0.999999, 0.9, &p->momentum)) != FM_OK ||
        (st = fm_yaml_get_double_or(m, "beta2", 0.0, 0.999999, 0.99, &p->beta2)) != FM_OK ||
        (st = fm_yaml_get_double_or(m, "adam_epsilon", 1e-12, 1.0, 1e-3, &p->adam_epsilon)) !=
            FM_OK ||
        (st = fm_yaml_get_double_or(m, "averaging", 0.0, 0.999999, 0.5, &p->averaging)) != FM_OK)
        return st;
    if (strcmp(kind, "adam") == 0)
        p->optimizer = FM_OPTIMIZER_ADAM;
    else if (strcmp(kind, "sgd") == 0)
        p->optimizer = FM_OPTIMIZER_SGD;
    else
        return fm_yaml_fail(fm_yaml_find(m, "optimizer"), "optimizer '%s' is not known; use adam or sgd",
                            kind);
    return FM_OK;
}

static fm_status read_timeouts(const fm_yaml_node *root, fm_aggregator_config *c)
{
    static const char *const keys[] = { "join_s", "round_s", NULL };
    const fm_yaml_node *m = fm_yaml_find(root, "timeouts");
    uint64_t join_s = 60, round_s = 30;
    fm_status st = FM_OK;

    if (m) {
        if ((st = fm_yaml_check_keys(m, keys)) != FM_OK ||
            (st = fm_yaml_get_u64_or(m, "join_s", 0, 86400, 60, &join_s)) != FM_OK ||
            (st = fm_yaml_get_u64_or(m, "round_s", 1, 86400, 30, &round_s)) != FM_OK)
            return st;
    }
    c->join_s = (uint32_t)join_s;
    c->round_s = (uint32_t)round_s;
    return st;
}

/* The first weights: their texts and hash go into the plan, so that they are approved with it. */
static fm_status read_model(const fm_yaml_node *root, fm_aggregator_config *c)
{
    const char *name = NULL, *model = NULL, *schema = NULL;
    char *path = NULL;
    float *flat = NULL;
    void *p = NULL;
    size_t n = 0;
    fm_status st;

    if ((st = fm_yaml_get_string(root, "model", &name)) != FM_OK ||
        (st = fm_path_join(c->dir, name, &path)) != FM_OK ||
        (st = fm_safetensors_load(path, (size_t)FM_MAX_PARAMETERS * 4 + FM_SAFETENSORS_MAX_HEADER,
                                  &c->model)) != FM_OK ||
        (st = fm_safetensors_flat_size(c->model, &n)) != FM_OK)
        goto done;
    model = fm_safetensors_meta_get(c->model, META_MODEL);
    schema = fm_safetensors_meta_get(c->model, META_SCHEMA);
    if (!model || !schema || n == 0 || n > FM_MAX_PARAMETERS) {
        st = fm_fail(FM_EPROTO,
                     "%s: no schema and configuration in its metadata, or not 1 to %u "
                     "parameters; make it with fedmoe-model new",
                     path, FM_MAX_PARAMETERS);
        goto done;
    }
    if ((st = fm_strdup(model, &c->plan.model_text)) != FM_OK ||
        (st = fm_strdup(schema, &c->plan.schema_text)) != FM_OK ||
        (st = fm_alloc(n, sizeof *flat, &p)) != FM_OK)
        goto done;
    flat = p;
    if ((st = fm_safetensors_flat_read(c->model, flat, n)) != FM_OK)
        goto done;
    c->plan.parameters = (uint32_t)n;
    c->plan.initial_model = fm_hash_of("fedmoe model v1", flat, n * sizeof *flat);
done:
    free(flat);
    free(path);
    return st;
}

static fm_status read_root(const fm_yaml_node *root, fm_aggregator_config *c)
{
    static const char *const keys[] = { "name",    "purpose",  "listen",   "model", "privacy",
                                        "cohort",  "training", "timeouts", NULL };
    fm_status st;

    if ((st = fm_yaml_check_keys(root, keys)) != FM_OK ||
        (st = copy_text(root, "name", c->plan.federation, sizeof c->plan.federation)) != FM_OK ||
        (st = copy_text(root, "purpose", c->plan.purpose, sizeof c->plan.purpose)) != FM_OK ||
        (st = read_listen(root, c)) != FM_OK || (st = read_privacy(root, &c->plan)) != FM_OK ||
        (st = read_cohort(root, &c->plan)) != FM_OK ||
        (st = read_training(root, &c->plan)) != FM_OK || (st = read_timeouts(root, c)) != FM_OK)
        return st;
    return read_model(root, c);
}

fm_status fm_aggregator_config_load(const char *path, fm_aggregator_config *out)
{
    fm_aggregator_config c = { 0 };
    fm_yaml *doc = NULL;
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "federation.yaml: no path");
    if ((st = fm_yaml_load(path, &doc)) != FM_OK || (st = fm_path_dir(path, &c.dir)) != FM_OK ||
        (st = read_root(fm_yaml_root(doc), &c)) != FM_OK)
        goto done;
    if (c.plan.noise_multiplier < 0.0 &&
        (st = fm_dp_calibrate(c.plan.epsilon, c.plan.delta, c.plan.sampling_rate, c.plan.rounds,
                              &c.plan.noise_multiplier)) != FM_OK)
        goto done;
    fm_random_bytes(c.plan.run, sizeof c.plan.run);
    if ((st = fm_plan_check(&c.plan)) != FM_OK) {
        (void)fm_fail_context(st, "%s: ", path);
        goto done;
    }
    *out = c;
    memset(&c, 0, sizeof c);
done:
    fm_yaml_free(&doc);
    fm_aggregator_config_fini(&c);
    return st;
}

void fm_aggregator_config_fini(fm_aggregator_config *c)
{
    if (!c)
        return;
    free(c->door);
    free(c->session);
    free(c->dir);
    fm_safetensors_free(&c->model);
    fm_plan_fini(&c->plan);
    memset(c, 0, sizeof *c);
}
