#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config_internal.h"
#include "fedmoe/aggregator/round.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "fedmoe/base/text.h"
#include "fedmoe/dp/accountant.h"
#include "fedmoe/proto/digest.h"

/* Metadata keys that fedmoe-model writes; the aggregator passes their texts on unread. */
#define META_KIND "fedmoe.kind"
#define META_MODEL "fedmoe.model"
#define META_SCHEMA "fedmoe.schema"
#define META_CLIP_NORM "fedmoe.clip_norm"

/* Names of tensors that a checkpoint needs for itself (state_file.c). */
#define RESERVED_TENSORS "optimizer."

#define NO_PRIVACY_EPSILON 1000.0
#define MAX_UNITS (1u << 24)
#define DELTA_NEVER 0.1
#define DEFAULT_UNIT_ROWS 16
#define BELOW_ONE 0.999999

static fm_status copy_text(const fm_yaml_node *map, const char *key, char *out, size_t cap)
{
    const char *s = NULL;
    fm_status st = fm_yaml_get_string(map, key, &s);

    if (st != FM_OK)
        return st;
    if (strlen(s) >= cap)
        return fm_yaml_fail(fm_yaml_find(map, key), "%s is longer than %zu bytes", key, cap - 1);
    if (fm_text_has_control(s))
        return fm_yaml_fail(fm_yaml_find(map, key), "%s holds a control character", key);
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

static fm_status read_noise(const fm_yaml_node *m, fm_plan *p)
{
    const fm_yaml_node *by_hand = fm_yaml_find(m, "insecure_noise_multiplier");
    fm_status st =
        fm_yaml_get_double_or(m, "insecure_noise_multiplier", 0.0, 1e6, -1.0, &p->noise_multiplier);

    if (st == FM_OK && by_hand && p->epsilon < NO_PRIVACY_EPSILON)
        return fm_yaml_fail(by_hand, "the noise multiplier is calibrated from epsilon, delta and "
                                     "rounds; setting it by hand needs epsilon: 1000, which says "
                                     "that nothing is private");
    return st;
}

/* A record, or a column whose equal values are one unit. */
static fm_status read_unit(const fm_yaml_node *m, fm_plan *p)
{
    uint64_t rows = 1;
    bool record;
    fm_status st = copy_text(m, "unit", p->privacy_unit, sizeof p->privacy_unit);

    if (st != FM_OK)
        return st;
    record = strcmp(p->privacy_unit, FM_UNIT_RECORD) == 0;
    if (record && fm_yaml_find(m, "max_unit_rows"))
        return fm_yaml_fail(fm_yaml_find(m, "max_unit_rows"),
                            "max_unit_rows goes with a unit that is a column; a record is one row");
    st = fm_yaml_get_u64_or(m, "max_unit_rows", 1, FM_MAX_UNIT_ROWS, record ? 1 : DEFAULT_UNIT_ROWS,
                            &rows);
    p->max_unit_rows = (uint32_t)rows;
    return st;
}

static fm_status read_noise_mode(const fm_yaml_node *m, fm_plan *p)
{
    const char *mode = NULL;
    fm_status st = fm_yaml_get_string_or(m, "noise", "distributed", &mode);

    if (st != FM_OK)
        return st;
    if (strcmp(mode, "distributed") == 0)
        p->noise = FM_NOISE_DISTRIBUTED;
    else if (strcmp(mode, "local") == 0)
        p->noise = FM_NOISE_LOCAL;
    else
        return fm_yaml_fail(fm_yaml_find(m, "noise"),
                            "noise '%.100s' is not known; use distributed (the shares add up) or "
                            "local (each node's noise is enough alone)",
                            mode);
    return FM_OK;
}

/* A query's clip norm follows from what it asks; it is put to every unit. */
static fm_status check_privacy_keys(const fm_yaml_node *m, const fm_plan *p)
{
    static const char *const training[] = {
        "unit",          "epsilon",        "delta",     "clip_norm",
        "sampling_rate", "expected_units", "max_units", "insecure_noise_multiplier",
        "max_unit_rows", "noise",          "encoding",  "word_bits",
        "adaptive_clip", "masks",          NULL
    };
    static const char *const query[] = { "unit",           "epsilon",   "delta",
                                         "expected_units", "max_units", "insecure_noise_multiplier",
                                         "max_unit_rows",  "noise",     "word_bits",
                                         "masks",          NULL };

    return fm_yaml_check_keys(m, p->task == FM_TASK_TRAINING ? training : query);
}

/* "1.000" is a thousand to some, and one here: neither is guessed. */
static fm_status check_whole(const fm_yaml_node *m, const char *key)
{
    const fm_yaml_node *n = fm_yaml_find(m, key);
    const char *text = "";
    fm_status st;

    if (!n || (st = fm_yaml_scalar(n, &text)) != FM_OK || !strchr(text, '.') || strpbrk(text, "eE"))
        return n ? st : FM_OK;
    return fm_yaml_fail(n, "'%s' must be a whole number, found '%.100s'; write it in digits alone",
                        key, text);
}

static fm_status read_expected(const fm_yaml_node *m, fm_plan *p)
{
    const fm_status st = check_whole(m, "expected_units");

    if (st != FM_OK)
        return st;
    if (p->task == FM_TASK_TRAINING)
        return fm_yaml_get_double(m, "expected_units", 1.0, MAX_UNITS, &p->expected_units);
    return fm_yaml_get_double_or(m, "expected_units", 1.0, MAX_UNITS, p->max_units,
                                 &p->expected_units);
}

/* 0: to be chosen, once the noise is known. */
static fm_status read_word_bits(const fm_yaml_node *m, fm_plan *p)
{
    fm_status st;

    if (!fm_yaml_find(m, "word_bits"))
        return FM_OK;
    if ((st = get_u32(m, "word_bits", 16, 32, &p->word_bits)) == FM_OK && p->word_bits % 8 != 0)
        st = fm_yaml_fail(fm_yaml_find(m, "word_bits"), "word_bits must be 16, 24 or 32");
    return st;
}

/* 0: to be chosen, once the cohort is known. */
static fm_status read_masks(const fm_yaml_node *m, fm_plan *p)
{
    const char *masks = NULL;
    fm_status st = fm_yaml_get_string_or(m, "masks", "sparse", &masks);

    if (st != FM_OK)
        return st;
    if (strcmp(masks, "all") == 0)
        p->mask_density = FM_PLAN_DENSITY_ALL;
    else if (strcmp(masks, "sparse") != 0)
        return fm_yaml_fail(fm_yaml_find(m, "masks"),
                            "masks '%.100s' is not known; use sparse (with as many others as are "
                            "needed) or all (every two nodes share a mask)",
                            masks);
    return FM_OK;
}

static fm_status read_privacy(const fm_yaml_node *root, fm_plan *p)
{
    const fm_yaml_node *m = NULL;
    fm_status st;

    if ((st = fm_yaml_get_map(root, "privacy", &m)) != FM_OK ||
        (st = check_privacy_keys(m, p)) != FM_OK || (st = read_unit(m, p)) != FM_OK ||
        (st = read_noise_mode(m, p)) != FM_OK || (st = read_word_bits(m, p)) != FM_OK ||
        (st = read_masks(m, p)) != FM_OK ||
        (st = fm_yaml_get_double(m, "epsilon", 1e-3, NO_PRIVACY_EPSILON, &p->epsilon)) != FM_OK ||
        (st = fm_yaml_get_double(m, "delta", 1e-12, 0.1, &p->delta)) != FM_OK ||
        (st = get_u32(m, "max_units", 1, MAX_UNITS, &p->max_units)) != FM_OK ||
        (st = read_expected(m, p)) != FM_OK)
        return st;
    if (p->delta >= DELTA_NEVER)
        return fm_yaml_fail(fm_yaml_find(m, "delta"),
                            "delta must be below %g, and should be well below 1 / expected_units: "
                            "with this probability the promise may fail altogether",
                            DELTA_NEVER);
    p->sampling_rate = 1.0; /* a training may say another one */
    if (p->max_units < p->expected_units)
        return fm_yaml_fail(fm_yaml_find(m, "max_units"),
                            "max_units %u is below expected_units %g: no round could hold the "
                            "units that are expected",
                            p->max_units, p->expected_units);
    return read_noise(m, p);
}

/* docs/protocol.md, section 11: no two disjoint groups may both be released. So quorum is above colluders. */
static fm_status check_cohort(const fm_yaml_node *m, const fm_plan *p)
{
    uint32_t least = fm_plan_min_quorum(p->max_nodes, p->colluders);

    if (p->quorum < least)
        return fm_yaml_fail(fm_yaml_find(m, "quorum"),
                            "quorum %u must be above (nodes + colluders) / 2, so at least %u",
                            p->quorum, least);
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
    if ((st = get_u32(m, "colluders", 0, p->max_nodes - 1, &p->colluders)) != FM_OK)
        return st;
    return check_cohort(m, p);
}

static fm_status read_timeouts(const fm_yaml_node *root, fm_aggregator_config *c)
{
    static const char *const keys[] = { "join_s", "round_s", NULL };
    const fm_yaml_node *m = fm_yaml_find(root, "timeouts");
    uint64_t join_s = 60, round_s = 30;
    fm_status st = FM_OK;

    if (m && ((st = fm_yaml_check_keys(m, keys)) != FM_OK ||
              (st = fm_yaml_get_u64_or(m, "join_s", 0, 86400, join_s, &join_s)) != FM_OK ||
              (st = fm_yaml_get_u64_or(m, "round_s", 1, 86400, round_s, &round_s)) != FM_OK))
        return st;
    c->join_s = (uint32_t)join_s;
    c->round_s = (uint32_t)round_s;
    return st;
}

fm_status fm_config_check_file(const fm_yaml_node *root, const char *key, const char *name)
{
    static const char *const taken[] = {
        "federation.yaml",
        "plan.bin",
        "door.key",
        "identity.key",
        "identity.uri",
        "federation",
        "identity.crt",
        "ca.crt",
        "crl.pem",
        "crl.held",
        "crl.lock",
        "status.json",
        "status.key",
        "status.crt",
        "status.links",
        "status.links.lock",
        "checkpoint.safetensors",
        "result.safetensors",
        "result.json",
        "state.db",
        "state.db-wal",
        "state.db-shm",
        "updates",
        "invitations.db",
        "invitations.db-journal",
    };

    if (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return fm_yaml_fail(fm_yaml_find(root, key),
                            "%s '%.200s' has a folder in it; put the file beside this one and "
                            "give its plain name, so that init can copy both",
                            key, name);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (strcmp(name, taken[i]) == 0)
            return fm_yaml_fail(fm_yaml_find(root, key),
                                "%s '%s': the aggregator keeps something else under this name; "
                                "rename the file",
                                key, name);
    return FM_OK;
}

static fm_status check_tensors(const char *path, const fm_safetensors *s)
{
    for (size_t i = 0; i < fm_safetensors_count(s); i++) {
        const char *name = fm_safetensors_at(s, i)->name;

        if (strncmp(name, RESERVED_TENSORS, strlen(RESERVED_TENSORS)) == 0)
            return fm_fail(FM_EPROTO, "%s: tensor '%.200s': names with '%s' are the aggregator's",
                           path, name, RESERVED_TENSORS);
    }
    return FM_OK;
}

/* By what a node corrects the scores of an evaluation. */
static fm_status plan_model_clip(const char *path, const fm_safetensors *s, fm_plan *p)
{
    const char *text = fm_safetensors_meta_get(s, META_CLIP_NORM);
    char *end = NULL;

    if (!text || p->task != FM_TASK_EVALUATION)
        return FM_OK;
    p->model_clip_norm = strtod(text, &end);
    if (end == text || *end != '\0' || !(p->model_clip_norm >= 0.0 && p->model_clip_norm <= 1e6))
        return fm_fail(FM_EPROTO, "%s: " META_CLIP_NORM " is \"%.40s\", no clip norm", path, text);
    return FM_OK;
}

/* No node could train another: better said here than when all have approved. */
static fm_status check_model_kind(const char *path, const fm_safetensors *s)
{
    static const char *const kinds[] = { "tabular-moe", "decoder-adapter" };
    const char *kind = fm_safetensors_meta_get(s, META_KIND);

    for (size_t i = 0; kind && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kind, kinds[i]) == 0)
            return FM_OK;
    if (!kind)
        return fm_fail(FM_EPROTO,
                       "%s: no \"" META_KIND "\" in its metadata; make it with fedmoe-model new",
                       path);
    return fm_fail(FM_EPROTO,
                   "%s: its " META_KIND " is '%.40s', and models that can be trained together are "
                   "%s (records) and %s (texts); was the file damaged? Copy it again, or make it "
                   "with fedmoe-model new",
                   path, kind, kinds[0], kinds[1]);
}

/* The texts go into the plan, to be approved with it. */
static fm_status plan_model(const char *path, const fm_safetensors *s, fm_plan *p)
{
    const char *model = fm_safetensors_meta_get(s, META_MODEL);
    const char *schema = fm_safetensors_meta_get(s, META_SCHEMA);
    size_t n = 0;
    fm_status st;

    if ((st = fm_safetensors_flat_size(s, &n)) != FM_OK || (st = check_tensors(path, s)) != FM_OK)
        return st;
    if (!model || !schema || n == 0 || n > FM_MAX_PARAMETERS)
        return fm_fail(FM_EPROTO,
                       "%s: no schema and configuration in its metadata, or not 1 to %u "
                       "parameters; make it with fedmoe-model new",
                       path, FM_MAX_PARAMETERS);
    p->parameters = (uint32_t)n;
    if ((st = check_model_kind(path, s)) != FM_OK || (st = plan_model_clip(path, s, p)) != FM_OK ||
        (st = fm_strdup(model, &p->model_text)) != FM_OK)
        return st;
    return fm_strdup(schema, &p->schema_text);
}

fm_status fm_config_plan_weights(fm_aggregator_config *c)
{
    fm_plan *p = &c->plan;
    const float *flat = NULL;
    size_t n = 0;
    fm_status st;

    if ((st = fm_safetensors_flat_view(c->model, &flat, &n)) != FM_OK)
        return st;
    if (n > FM_MAX_PARAMETERS)
        return fm_fail(FM_EINVAL, "%s: the state has %zu figures; at most %u are possible",
                       c->model_file ? c->model_file : "query", n, FM_MAX_PARAMETERS);
    p->parameters = (uint32_t)n;
    p->initial_model = fm_model_digest(flat, n * sizeof *flat);
    for (size_t i = 0; st == FM_OK && i < n; i++)
        if (!isfinite(flat[i]))
            st = fm_fail(FM_ENONFINITE, "%s: weight %zu is not a finite number",
                         c->model_file ? c->model_file : "query", i);
    return st;
}

fm_status fm_config_read_model(const fm_yaml_node *root, fm_aggregator_config *c)
{
    const char *name = NULL;
    char *path = NULL;
    fm_status st;

    if ((st = fm_yaml_get_string(root, "model", &name)) != FM_OK ||
        (st = fm_config_check_file(root, "model", name)) != FM_OK ||
        (st = fm_strdup(name, &c->model_file)) != FM_OK ||
        (st = fm_path_join(c->dir, name, &path)) != FM_OK)
        return st;
    st = fm_safetensors_load(path, (size_t)FM_MAX_PARAMETERS * 4 + FM_SAFETENSORS_MAX_HEADER,
                             &c->model);
    if (st == FM_ENOTFOUND)
        st = fm_yaml_fail(fm_yaml_find(root, "model"),
                          "model '%s' is not there; fedmoe-model new makes the first one", name);
    if (st == FM_OK && fm_safetensors_meta_get(c->model, FM_META_PERSONAL))
        st = fm_yaml_fail(fm_yaml_find(root, "model"),
                          "%s has a head that one institution has fitted to its own records "
                          "(fedmoe-node personalize): it is not private and must stay there; name "
                          "the federation's model",
                          name);
    if (st == FM_OK)
        st = plan_model(path, c->model, &c->plan);
    free(path);
    return st;
}

static fm_status read_name(const fm_yaml_node *root, fm_plan *p)
{
    fm_status st = copy_text(root, "name", p->federation, sizeof p->federation);

    if (st != FM_OK || (st = fm_name_check(p->federation)) == FM_OK)
        return st;
    return fm_yaml_fail(fm_yaml_find(root, "name"),
                        "name '%s' must be 1 to %d of a-z, 0-9 and -, with no - at either end",
                        p->federation, FM_NAME_MAX);
}

static fm_status check_root_keys(const fm_yaml_node *root, const fm_plan *p)
{
    static const char *const training[] = {
        "name",     "purpose", "listen",       "model",  "privacy", "cohort", "training",
        "timeouts", "task",    "keep_updates", "status", "robust",  "query",  NULL
    };
    static const char *const statistics[] = { "name",    "purpose",      "listen", "schema",
                                              "privacy", "cohort",       "query",  "timeouts",
                                              "task",    "keep_updates", "status", NULL };
    static const char *const evaluation[] = { "name",    "purpose",      "listen", "model",
                                              "privacy", "cohort",       "query",  "timeouts",
                                              "task",    "keep_updates", "status", NULL };

    fm_status st = fm_yaml_check_keys(root, p->task == FM_TASK_TRAINING     ? training
                                            : p->task == FM_TASK_STATISTICS ? statistics
                                                                            : evaluation);

    if (st == FM_OK && p->task == FM_TASK_TRAINING && fm_yaml_find(root, "query"))
        st =
            fm_yaml_fail(fm_yaml_find(root, "query"),
                         "query needs task: statistics (with a schema) or task: evaluation (with a "
                         "model), and this is a training");
    return st;
}

static fm_status read_root(const fm_yaml_node *root, fm_aggregator_config *c)
{
    fm_plan *p = &c->plan;
    fm_status st;

    if ((st = fm_config_read_task(root, p)) != FM_OK || (st = check_root_keys(root, p)) != FM_OK ||
        (st = read_name(root, p)) != FM_OK ||
        (st = copy_text(root, "purpose", p->purpose, sizeof p->purpose)) != FM_OK ||
        (st = fm_config_read_listen(root, c)) != FM_OK || (st = read_privacy(root, p)) != FM_OK ||
        (st = read_cohort(root, p)) != FM_OK || (st = read_timeouts(root, c)) != FM_OK ||
        (st = fm_yaml_get_bool_or(root, "keep_updates", false, &c->keep_updates)) != FM_OK ||
        (st = fm_config_read_page(root, c->door, &c->page)) != FM_OK)
        return st;
    if (p->task != FM_TASK_TRAINING) {
        fm_config_set_query(p);
        return fm_config_read_query(root, c);
    }
    if ((st = fm_config_read_robust(root, p)) != FM_OK)
        return st;
    /* The defaults depend on the model's size. */
    return (st = fm_config_read_model(root, c)) == FM_OK ? fm_config_read_training(root, c) : st;
}

/* What is no plan, has no lattice or too few masks is refused here. What else members' policies
 * do not allow is theirs to say. */
static fm_status check_plan(const char *path, const fm_plan *p)
{
    const fm_dp_lattice_spec spec = fm_replay_lattice_spec(p);
    const fm_dp_graph graph = fm_replay_graph(p);
    fm_dp_lattice lattice;
    fm_status st;

    if ((st = fm_plan_check(p)) == FM_OK && (st = fm_dp_lattice_make(&spec, &lattice)) == FM_OK)
        st = fm_dp_mask_density_check(&graph, p->mask_density);
    return st == FM_OK ? st : fm_fail_context(st, "%s: ", path);
}

static unsigned least_word_bits(const fm_plan *p)
{
    const fm_dp_lattice_spec spec = fm_replay_lattice_spec(p);

    return fm_dp_least_word_bits(&spec);
}

static uint32_t least_density(const fm_plan *p)
{
    const fm_dp_graph graph = fm_replay_graph(p);

    return fm_dp_mask_density_least(&graph);
}

/* With room for every member's own reckoning of this plan with the rest of its ledger. */
static fm_status calibrate(fm_plan *p)
{
    const uint64_t steps = (uint64_t)p->rounds * fm_plan_steps(p);
    const fm_dp_mechanism least = { FM_DP_MIN_NOISE_MULTIPLIER, p->sampling_rate, steps,
                                    FM_DP_GAUSSIAN, 0 };
    double epsilon = p->epsilon * (1.0 - FM_DP_TIGHTNESS), cost = 0.0;
    fm_status st = fm_dp_epsilon(&least, 1, p->delta, &cost);

    if (st == FM_OK && cost <= epsilon) {
        p->noise_multiplier = FM_DP_MIN_NOISE_MULTIPLIER;
        return FM_OK;
    }
    return st == FM_OK
               ? fm_dp_calibrate(epsilon, p->delta, p->sampling_rate, steps, &p->noise_multiplier)
               : st;
}

fm_status fm_aggregator_config_load(const char *path, fm_aggregator_config *out)
{
    fm_aggregator_config c = { .plan.task = FM_TASK_TRAINING };
    fm_yaml *doc = NULL;
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "federation.yaml: no path");
    if ((st = fm_yaml_load(path, &doc)) != FM_OK || (st = fm_path_dir(path, &c.dir)) != FM_OK ||
        (st = read_root(fm_yaml_root(doc), &c)) != FM_OK)
        goto done;
    if (c.plan.noise_multiplier < 0.0 && (st = calibrate(&c.plan)) != FM_OK)
        goto done;
    if (c.plan.word_bits == 0)
        c.plan.word_bits = least_word_bits(&c.plan);
    if (c.plan.mask_density == 0)
        c.plan.mask_density = least_density(&c.plan);
    fm_random_bytes(c.plan.run, sizeof c.plan.run);
    if ((st = check_plan(path, &c.plan)) != FM_OK)
        goto done;
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
    free(c->dir);
    free(c->model_file);
    free(c->query_file);
    free(c->schema_file);
    fm_config_page_fini(&c->page);
    fm_query_free(&c->query);
    fm_safetensors_free(&c->model);
    fm_plan_fini(&c->plan);
    memset(c, 0, sizeof *c);
}
