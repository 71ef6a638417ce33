/* federation.yaml of a training: everything that has a default by the rule of optim/defaults.h. */
#include <string.h>

#include "config_internal.h"

#define BELOW_ONE 0.999999

typedef struct {
    const char *word;
    int value;
} choice;

static fm_status read_choice(const fm_yaml_node *m, const char *key, const choice *choices,
                             int otherwise, const char *possible, int *out)
{
    const char *word = NULL;
    fm_status st = fm_yaml_get_string_or(m, key, "", &word);

    if (st != FM_OK)
        return st;
    *out = otherwise;
    if (!*word) /* absent: what is given has a length */
        return FM_OK;
    for (; choices->word; choices++)
        if (strcmp(choices->word, word) == 0) {
            *out = choices->value;
            return FM_OK;
        }
    return fm_yaml_fail(fm_yaml_find(m, key), "%s '%.100s' is not known; use %s", key, word,
                        possible);
}

static fm_status read_step(const fm_yaml_node *m, const fm_training *d, fm_plan *p)
{
    static const choice rules[] = { { "adam", FM_OPTIMIZER_ADAM },
                                    { "sgd", FM_OPTIMIZER_SGD },
                                    { "yogi", FM_OPTIMIZER_YOGI },
                                    { NULL, 0 } };
    static const choice schedules[] = { { "constant", FM_SCHEDULE_CONSTANT },
                                        { "linear", FM_SCHEDULE_LINEAR },
                                        { "cosine", FM_SCHEDULE_COSINE },
                                        { NULL, 0 } };
    uint64_t rounds = 0;
    int rule = 0, schedule = 0;
    fm_status st;

    /* Who joins after the last round gets the whole transcript in one message. */
    if ((st = fm_yaml_get_u64_or(m, "rounds", 1, FM_MAX_ENTRIES, d->rounds, &rounds)) != FM_OK ||
        (st = read_choice(m, "optimizer", rules, (int)d->rule, "adam, sgd or yogi", &rule)) !=
            FM_OK ||
        (st = read_choice(m, "schedule", schedules, (int)d->schedule, "constant, linear or cosine",
                          &schedule)) != FM_OK)
        return st;
    p->rounds = (uint32_t)rounds;
    p->optimizer = (fm_optimizer_kind)rule;
    p->schedule = (fm_schedule)schedule;
    return FM_OK;
}

/* A figure that is said but would change nothing: whoever wrote it meant something else. */
static fm_status check_used(const fm_yaml_node *m, const fm_plan *p)
{
    static const char *const adam[] = { "beta2", "adam_epsilon" };
    const fm_yaml_node *at;

    for (size_t i = 0; p->optimizer == FM_OPTIMIZER_SGD && i < sizeof adam / sizeof *adam; i++)
        if ((at = fm_yaml_find(m, adam[i])))
            return fm_yaml_fail(at,
                                "%s is a figure of adam, and optimizer: sgd has no use for it; "
                                "leave it out, or say optimizer: adam",
                                adam[i]);
    if (p->schedule == FM_SCHEDULE_CONSTANT && (at = fm_yaml_find(m, "final_rate")))
        return fm_yaml_fail(at, "final_rate is what the learning rate falls to, and with schedule: "
                                "constant it does not fall; leave it out, or say schedule: linear "
                                "or cosine");
    return FM_OK;
}

/* Adapters of a language model: what matters of a model is in its texts, which pass unread. */
static bool is_adapter(const fm_safetensors *model)
{
    const char *kind = fm_safetensors_meta_get(model, "fedmoe.kind");

    return kind && strcmp(kind, "decoder-adapter") == 0;
}

/* What local steps have no use for, said without them. */
static fm_status check_no_local(const fm_yaml_node *m)
{
    static const char *const local[] = { "local_rate", "proximal", "correction" };
    const fm_yaml_node *at;

    for (size_t i = 0; m && i < sizeof local / sizeof *local; i++)
        if ((at = fm_yaml_find(m, local[i])))
            return fm_yaml_fail(at,
                                "%s is of local steps, and a round has one step; give local_steps "
                                "(2 or more), or leave it out",
                                local[i]);
    return FM_OK;
}

/* Several noised steps a round, and what the server's step then is when nobody says: with sgd what
 * makes it FedAvg. */
static fm_status read_local(const fm_yaml_node *root, const fm_yaml_node *m, bool adapter,
                            fm_training *d, fm_plan *p)
{
    static const choice corrections[] = { { "none", FM_CORRECTION_NONE },
                                          { "scaffold", FM_CORRECTION_SCAFFOLD },
                                          { NULL, 0 } };
    uint64_t steps = 1;
    int correction = 0;
    fm_status st = fm_yaml_get_u64_or(m, "local_steps", 1, FM_PLAN_LOCAL_STEPS_MAX, 1, &steps);

    if (st != FM_OK || steps == 1)
        return st == FM_OK ? check_no_local(m) : st;
    if (fm_yaml_find(fm_yaml_find(root, "privacy"), "noise") && p->noise != FM_NOISE_LOCAL)
        return fm_yaml_fail(
            fm_yaml_find(m, "local_steps"),
            "local_steps need privacy: noise: local. What a node computes after its "
            "first step depends on it, so that each step needs the node's own full "
            "noise");
    if (adapter && !fm_yaml_find(m, "local_rate"))
        return fm_yaml_fail(
            fm_yaml_find(m, "local_steps"),
            "local_steps of a language model's adapters need a local_rate: there is "
            "no study that a default could come from");
    if ((st = fm_yaml_get_double_or(m, "local_rate", 1e-9, 1e6,
                                    fm_training_local_rate(steps, p->rounds), &p->local_rate)) !=
            FM_OK ||
        (st = fm_yaml_get_double_or(m, "proximal", 0.0, 1e6, 0.0, &p->proximal)) != FM_OK ||
        (st = read_choice(m, "correction", corrections, FM_CORRECTION_NONE, "scaffold or none",
                          &correction)) != FM_OK)
        return st;
    p->noise = FM_NOISE_LOCAL;
    p->local_steps = (uint32_t)steps;
    p->correction = (fm_correction)correction;
    if (p->optimizer == FM_OPTIMIZER_SGD) {
        d->learning_rate = p->local_rate * (double)steps;
        d->momentum = 0.0;
    }
    return FM_OK;
}

/* What local steps cannot go with, at its place in the file; the plan's own check says it of any plan. */
static fm_status check_local(const fm_yaml_node *m, const fm_plan *p)
{
    if (p->local_steps <= 1)
        return FM_OK;
    if (p->local_rate * p->proximal > 1.0)
        return fm_yaml_fail(
            fm_yaml_find(m, fm_yaml_find(m, "proximal") ? "proximal" : "local_rate"),
            "proximal times local_rate is at most 1, and here it is %g times %g: "
            "lower proximal to %.3g, or give a smaller local_rate",
            p->proximal, p->local_rate, 1.0 / p->local_rate);
    if (fm_yaml_find(m, "early_stop"))
        return fm_yaml_fail(fm_yaml_find(m, "early_stop"),
                            "early_stop is of rounds of one step, and here are local_steps: leave "
                            "one of the two out");
    if (p->correction == FM_CORRECTION_SCAFFOLD &&
        (p->optimizer != FM_OPTIMIZER_SGD || p->momentum != 0.0 ||
         p->schedule != FM_SCHEDULE_CONSTANT || p->warmup != 0.0))
        return fm_yaml_fail(fm_yaml_find(m, "correction"),
                            "scaffold reads the mean gradient out of two models, for which the "
                            "server's step must be plain: optimizer: sgd, schedule: constant, no "
                            "momentum, no warmup");
    return FM_OK;
}

static fm_status read_reals(const fm_yaml_node *m, const fm_training *d, fm_plan *p)
{
    const struct {
        const char *key;
        double lo, hi, otherwise;
        double *out;
    } reals[] = {
        { "learning_rate", 1e-9, 1e6, d->learning_rate, &p->learning_rate },
        { "momentum", 0.0, BELOW_ONE, d->momentum, &p->momentum },
        { "beta2", 0.0, BELOW_ONE, d->beta2, &p->beta2 },
        { "adam_epsilon", 1e-12, 1.0, d->adam_epsilon, &p->adam_epsilon },
        { "averaging", 0.0, BELOW_ONE, d->averaging, &p->averaging },
        { "warmup", 0.0, BELOW_ONE, d->warmup, &p->warmup },
        { "final_rate", 0.0, 1.0, d->final_rate, &p->final_rate },
    };
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < sizeof reals / sizeof reals[0]; i++)
        st = fm_yaml_get_double_or(m, reals[i].key, reals[i].lo, reals[i].hi, reals[i].otherwise,
                                   reals[i].out);
    return st;
}

/* ---- */

/* By the naming of fedmoe-model: the maps that end in the model's outputs, whose first dimension
 * they are. */
static size_t count_outputs(const fm_safetensors *model)
{
    for (size_t i = 0; i < fm_safetensors_count(model); i++) {
        const fm_tensor_view *t = fm_safetensors_at(model, i);

        if (t->dims == 2 &&
            (strcmp(t->name, "linear.weight") == 0 || strcmp(t->name, "head.weight") == 0))
            return t->shape[0];
    }
    return 1;
}

/* What federation.yaml leaves out. */
static void choose(const fm_plan *p, const fm_safetensors *model, fm_training *out)
{
    const size_t outputs = count_outputs(model);
    const fm_training_case given = { .units = p->expected_units,
                                     .delta = p->delta,
                                     .start = p->start_scale > 0.0,
                                     .outputs = outputs,
                                     /* a center is for labels of two values */
                                     .number = outputs == 1 && p->start_count == 0 };

    if (is_adapter(model))
        fm_training_text_defaults(&given, out);
    else
        fm_training_defaults(&given, out);
}

static fm_status read_privacy(const fm_yaml_node *m, const fm_training *d, fm_plan *p)
{
    static const choice encodings[] = { { "fast", FM_ENCODING_FAST },
                                        { "exact", FM_ENCODING_EXACT },
                                        { NULL, 0 } };
    int encoding = 0;
    fm_status st;

    if ((st = read_choice(m, "encoding", encodings, FM_ENCODING_FAST, "fast or exact",
                          &encoding)) != FM_OK ||
        (st = fm_yaml_get_double_or(m, "clip_norm", 1e-6, 1e6, d->clip_norm, &p->clip_norm)) !=
            FM_OK)
        return st;
    p->encoding = (fm_encoding)encoding;
    return fm_yaml_get_double_or(m, "sampling_rate", 1e-6, 1.0, d->sampling_rate,
                                 &p->sampling_rate);
}

/* Whether a figure that matters for quality is not given. */
static bool leaves_out(const fm_yaml_node *privacy, const fm_yaml_node *m)
{
    return !m || !fm_yaml_find(privacy, "sampling_rate") || !fm_yaml_find(privacy, "clip_norm") ||
           !fm_yaml_find(m, "rounds") || !fm_yaml_find(m, "optimizer") ||
           !fm_yaml_find(m, "learning_rate") || !fm_yaml_find(m, "schedule") ||
           !fm_yaml_find(m, "averaging");
}

fm_status fm_config_read_training(const fm_yaml_node *root, fm_aggregator_config *c)
{
    static const char *const keys[] = { "rounds",      "optimizer",  "learning_rate", "momentum",
                                        "beta2",       "averaging",  "adam_epsilon",  "schedule",
                                        "warmup",      "final_rate", "balance",       "start",
                                        "local_steps", "local_rate", "proximal",      "correction",
                                        "early_stop",  NULL };
    const fm_yaml_node *privacy = fm_yaml_find(root, "privacy");
    const fm_yaml_node *m = fm_yaml_find(root, "training");
    fm_plan *p = &c->plan;
    fm_training d;
    fm_status st;

    if ((m && (st = fm_yaml_check_keys(m, keys)) != FM_OK) ||
        (st = fm_config_read_start(m, c)) != FM_OK)
        return st;
    choose(p, c->model, &d);
    c->chosen = leaves_out(privacy, m);
    if ((st = read_privacy(privacy, &d, p)) != FM_OK || (st = read_step(m, &d, p)) != FM_OK ||
        (m && (st = read_local(root, m, is_adapter(c->model), &d, p)) != FM_OK) ||
        (st = read_reals(m, &d, p)) != FM_OK || (m && (st = check_used(m, p)) != FM_OK) ||
        (m && (st = check_local(m, p)) != FM_OK))
        return st;
    return fm_config_read_tail(root, &d, is_adapter(c->model) ? 0 : count_outputs(c->model), c);
}
