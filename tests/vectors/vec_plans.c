/* Plans, their encodings and lattices; and one change at a time that makes a plan none. */
#include <stddef.h>
#include <string.h>

#include "../proto/samples.h"
#include "fedmoe/replay/replay.h"
#include "vec.h"
#include "vec_plan.h"

static char query_text[] = "ask: mean\n";

fm_plan vec_plan_exact(void)
{
    return sample_plan();
}

fm_plan vec_plan_fast(void)
{
    fm_plan p = sample_fast_plan();

    memcpy(p.privacy_unit, "patient", sizeof "patient");
    p.max_unit_rows = 64;
    p.noise = FM_NOISE_LOCAL;
    p.optimizer = FM_OPTIMIZER_SGD;
    p.word_bits = 24;
    return p;
}

fm_plan vec_plan_local(void)
{
    fm_plan p = vec_plan_exact();

    p.noise = FM_NOISE_LOCAL;
    p.optimizer = FM_OPTIMIZER_SGD;
    p.momentum = 0.0;
    p.local_steps = 16;
    p.local_rate = 0.5;
    p.proximal = 0.125;
    p.correction = FM_CORRECTION_SCAFFOLD;
    p.word_bits = 24;
    return p;
}

fm_plan vec_plan_held(void)
{
    fm_plan p = vec_plan_exact();

    p.encoding = FM_ENCODING_FAST;
    p.held_share = 0.25;
    p.held_bound = 1.5;
    p.patience = 4;
    p.held_bins = 4;
    return p;
}

static fm_plan query(void)
{
    fm_plan p = vec_plan_exact();

    p.query_text = query_text;
    p.optimizer = FM_OPTIMIZER_SUM;
    p.momentum = p.beta2 = p.averaging = 0.0;
    return p;
}

fm_plan vec_plan_statistics(void)
{
    fm_plan p = query();

    p.task = FM_TASK_STATISTICS;
    p.max_units = 128;
    p.word_bits = 16;
    p.model_text = NULL;
    return p;
}

fm_plan vec_plan_evaluation(void)
{
    fm_plan p = query();

    p.task = FM_TASK_EVALUATION;
    p.frozen = 12300;
    p.model_clip_norm = 0.75;
    return p;
}

fm_plan vec_plan_run(const fm_hash *model, unsigned word_bits)
{
    fm_plan p = vec_plan_exact();

    p.rounds = 2;
    p.max_units = 200;
    p.expected_units = 90.0;
    p.sampling_rate = 1.0;
    p.noise_multiplier = 1.0;
    p.min_cohort = p.quorum = 2;
    p.colluders = 0;
    p.max_nodes = 3;
    p.parameters = VEC_RUN_WORDS;
    p.optimizer = FM_OPTIMIZER_SGD;
    p.learning_rate = 0.5;
    p.beta2 = p.averaging = 0.0;
    p.initial_model = *model;
    p.word_bits = word_bits;
    return p;
}

/* ---- fields ---- */

typedef enum { WHOLE, REAL } kind;

#define AT(field, k)                        \
    {                                       \
#field, offsetof(fm_plan, field), k \
    }

static const struct {
    const char *name;
    size_t at;
    kind kind;
} numbers[] = {
    AT(epsilon, REAL),
    AT(delta, REAL),
    AT(clip_norm, REAL),
    AT(sampling_rate, REAL),
    AT(noise_multiplier, REAL),
    AT(rounds, WHOLE),
    AT(max_units, WHOLE),
    AT(expected_units, REAL),
    AT(min_cohort, WHOLE),
    AT(quorum, WHOLE),
    AT(colluders, WHOLE),
    AT(max_nodes, WHOLE),
    AT(parameters, WHOLE),
    AT(optimizer, WHOLE),
    AT(learning_rate, REAL),
    AT(momentum, REAL),
    AT(beta2, REAL),
    AT(averaging, REAL),
    AT(adam_epsilon, REAL),
    AT(task, WHOLE),
    AT(noise, WHOLE),
    AT(max_unit_rows, WHOLE),
    AT(frozen, WHOLE),
    AT(encoding, WHOLE),
    AT(schedule, WHOLE),
    AT(warmup, REAL),
    AT(final_rate, REAL),
    AT(load_groups, WHOLE),
    AT(load_experts, WHOLE),
    AT(load_share, REAL),
    AT(balance_rate, REAL),
    AT(clip_quantile, REAL),
    AT(clip_rate, REAL),
    AT(clip_share, REAL),
    AT(start_center, WHOLE),
    AT(start_count, WHOLE),
    AT(start_bias, WHOLE),
    AT(start_scale, REAL),
    AT(model_clip_norm, REAL),
    AT(word_bits, WHOLE),
    AT(mask_density, WHOLE),
    AT(held_share, REAL),
    AT(held_bound, REAL),
    AT(patience, WHOLE),
    AT(robust_groups, WHOLE),
    AT(robust_quorum, WHOLE),
    AT(robust_mean, WHOLE),
    AT(robust_trim, WHOLE),
    AT(local_steps, WHOLE),
    AT(local_rate, REAL),
    AT(proximal, REAL),
    AT(correction, WHOLE),
    AT(held_bins, WHOLE),
};
#define NUMBERS (sizeof numbers / sizeof numbers[0])

static double get(const fm_plan *p, size_t i)
{
    uint32_t whole;
    double real;

    if (numbers[i].kind == REAL) {
        memcpy(&real, (const char *)p + numbers[i].at, sizeof real);
        return real;
    }
    memcpy(&whole, (const char *)p + numbers[i].at, sizeof whole);
    return (double)whole;
}

static void set(fm_plan *p, const char *name, double value)
{
    const uint32_t whole = value >= 0.0 ? (uint32_t)value : 0;

    for (size_t i = 0; i < NUMBERS; i++)
        if (strcmp(numbers[i].name, name) == 0) {
            memcpy((char *)p + numbers[i].at,
                   numbers[i].kind == REAL ? (const void *)&value : (const void *)&whole,
                   numbers[i].kind == REAL ? sizeof value : sizeof whole);
            return;
        }
    vec_need(false, name);
}

static json_t *number_json(size_t i, double value)
{
    return numbers[i].kind == REAL ? json_real(value) : json_integer((json_int_t)value);
}

json_t *vec_plan_fields(const fm_plan *p)
{
    json_t *j =
        json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:o}", "version", FM_PROTO_VERSION,
                  "federation", p->federation, "purpose", p->purpose, "privacy_unit",
                  p->privacy_unit, "model_text", p->model_text ? p->model_text : "", "schema_text",
                  p->schema_text, "query_text", p->query_text ? p->query_text : "", "initial_model",
                  vec_hash(&p->initial_model), "run", vec_hex(p->run, FM_SESSION_BYTES));

    for (size_t i = 0; i < NUMBERS; i++)
        json_object_set_new(j, numbers[i].name, number_json(i, get(p, i)));
    return j;
}

/* ---- good ones ---- */

static json_t *lattice_json(const fm_plan *p)
{
    const fm_dp_lattice_spec spec = fm_replay_lattice_spec(p);
    fm_dp_lattice l;

    vec_need(fm_dp_lattice_make(&spec, &l) == FM_OK, "lattice");
    return vec_lattice(&l);
}

static void put_plan(json_t *list, const char *name, const fm_plan *p)
{
    fm_buf b = { 0 };
    fm_hash hash;

    fm_buf_init(&b, FM_MAX_PLAN_BYTES);
    vec_need(fm_plan_encode(p, &b) == FM_OK, name);
    hash = fm_plan_hash(b.data, b.len);
    json_array_append_new(list, json_pack("{s:s,s:o,s:o,s:o,s:o}", "name", name, "fields",
                                          vec_plan_fields(p), "encoding", vec_hex(b.data, b.len),
                                          "hash", vec_hash(&hash), "lattice", lattice_json(p)));
    fm_buf_fini(&b);
}

/* ---- changes ---- */

typedef struct {
    const char *base, *field;
    double value;
} change;

static const change changes[] = {
    { "exact", "epsilon", 0.0 },
    { "exact", "epsilon", 1000.0 },
    { "exact", "epsilon", 1000.5 },
    { "exact", "delta", 0.0 },
    { "exact", "delta", 1.0 },
    { "exact", "clip_norm", 1e-6 },
    { "exact", "clip_norm", 9e-7 },
    { "exact", "clip_norm", 2e6 },
    { "exact", "sampling_rate", 1.0 },
    { "exact", "sampling_rate", 1.5 },
    { "exact", "sampling_rate", 0.0 },
    { "exact", "noise_multiplier", 0.0 },
    { "exact", "noise_multiplier", -1.0 },
    { "exact", "rounds", 0 },
    { "exact", "rounds", 1000000 },
    { "exact", "rounds", 1000001 },
    { "exact", "max_units", 0 },
    { "exact", "max_units", 16777217 },
    { "exact", "expected_units", 0.5 },
    { "exact", "min_cohort", 1 },
    { "exact", "min_cohort", 6 },
    { "exact", "quorum", 3 },
    { "exact", "quorum", 5 },
    { "exact", "quorum", 6 },
    { "exact", "colluders", 2 },
    { "exact", "colluders", 3 },
    { "exact", "colluders", 4 },
    { "exact", "max_nodes", 1 },
    { "exact", "max_nodes", 6 },
    { "exact", "max_nodes", 7 },
    { "exact", "max_nodes", 1025 },
    { "exact", "parameters", 0 },
    { "exact", "parameters", 1073741824 },
    { "exact", "parameters", 1073741825 },
    { "exact", "optimizer", 3 },
    { "exact", "optimizer", 4 },
    { "exact", "optimizer", 5 },
    { "exact", "local_steps", 2 },
    { "exact", "local_rate", 0.5 },
    { "exact", "proximal", 0.5 },
    { "exact", "correction", 1 },
    { "local", "local_steps", 0 },
    { "local", "local_steps", 1 },
    { "local", "local_steps", 2 },
    { "local", "local_steps", 64 },
    { "local", "local_steps", 65 },
    { "local", "local_rate", 0.0 },
    { "local", "local_rate", 8.0 },
    { "local", "local_rate", 8.5 },
    { "local", "proximal", 2.0 },
    { "local", "proximal", 2.5 },
    { "local", "correction", 0 },
    { "local", "correction", 2 },
    { "local", "noise", 1 },
    { "local", "momentum", 0.5 },
    { "local", "optimizer", 2 },
    { "local", "schedule", 2 },
    { "local", "warmup", 0.1 },
    { "exact", "learning_rate", 0.0 },
    { "exact", "momentum", 1.0 },
    { "exact", "beta2", 1.0 },
    { "exact", "averaging", 1.0 },
    { "exact", "adam_epsilon", 0.0 },
    { "exact", "task", 0 },
    { "exact", "task", 4 },
    { "exact", "noise", 0 },
    { "exact", "noise", 3 },
    { "exact", "max_unit_rows", 2 },
    { "exact", "max_unit_rows", 0 },
    { "exact", "frozen", 1 },
    { "exact", "encoding", 0 },
    { "exact", "encoding", 2 },
    { "exact", "encoding", 3 },
    { "exact", "schedule", 0 },
    { "exact", "schedule", 4 },
    { "exact", "warmup", 1.0 },
    { "exact", "final_rate", 1.5 },
    { "exact", "load_groups", 1 },
    { "exact", "load_experts", 2 },
    { "exact", "load_share", 0.1 },
    { "exact", "balance_rate", 0.1 },
    { "exact", "clip_quantile", 0.5 },
    { "exact", "clip_rate", 0.1 },
    { "exact", "clip_share", 0.1 },
    { "exact", "start_center", 1 },
    { "exact", "start_count", 1 },
    { "exact", "start_bias", 1 },
    { "exact", "start_scale", 1.0 },
    { "exact", "model_clip_norm", 1.0 },
    { "fast", "load_groups", 16 },
    { "fast", "load_groups", 17 },
    { "fast", "load_experts", 1 },
    { "fast", "load_experts", 257 },
    { "fast", "load_share", 0.0 },
    { "fast", "load_share", 0.51 },
    { "fast", "balance_rate", 1.5 },
    { "fast", "clip_quantile", 1.0 },
    { "fast", "clip_quantile", 0.0 },
    { "fast", "clip_rate", 2.5 },
    { "fast", "clip_share", 0.0 },
    { "fast", "start_center", 12027 },
    { "fast", "start_center", 12028 },
    { "fast", "start_count", 0 },
    { "fast", "start_count", 2000 },
    { "fast", "start_bias", 11000 },
    { "fast", "start_bias", 11299 },
    { "fast", "start_bias", 11300 },
    { "fast", "start_bias", 12327 },
    { "fast", "start_scale", 9e-7 },
    { "fast", "start_scale", 1001.0 },
    { "fast", "rounds", 1 },
    { "fast", "rounds", 2 },
    { "fast", "parameters", 18 },
    { "fast", "max_unit_rows", 4097 },
    { "statistics", "encoding", 2 },
    { "statistics", "optimizer", 1 },
    { "statistics", "frozen", 1 },
    { "evaluation", "frozen", 0 },
    { "evaluation", "frozen", 12345 },
    { "evaluation", "frozen", 12344 },
    { "exact", "word_bits", 0 },
    { "exact", "word_bits", 8 },
    { "exact", "word_bits", 16 },
    { "exact", "word_bits", 24 },
    { "exact", "word_bits", 31 },
    { "exact", "word_bits", 40 },
    { "exact", "mask_density", 0 },
    { "exact", "mask_density", 255 },
    { "exact", "mask_density", 257 },
    { "many", "mask_density", 0 },
    { "many", "mask_density", 1 },
    { "many", "mask_density", 256 },
    { "many", "mask_density", 257 },
    { "many", "max_nodes", 32 },
    { "exact", "held_share", 0.1 },
    { "exact", "held_bound", 1.0 },
    { "exact", "patience", 10 },
    { "exact", "held_bins", 16 },
    { "held", "held_share", 0.51 },
    { "held", "held_bound", 0.0 },
    { "held", "patience", 0 },
    { "held", "local_steps", 2 },
    { "held", "held_bins", 0 },
    { "held", "held_bins", 2 },
    { "held", "held_bins", 12 },
    { "held", "held_bins", 64 },
    { "held", "held_bins", 128 },
    { "groups", "robust_groups", 0 },
    { "groups", "robust_groups", 2 },
    { "groups", "robust_groups", 4 },
    { "groups", "robust_groups", 65 },
    { "groups", "robust_quorum", 0 },
    { "groups", "robust_quorum", 2 },
    { "groups", "robust_quorum", 4 },
    { "groups", "min_cohort", 8 },
    { "groups", "colluders", 0 },
    { "groups", "colluders", 2 },
    { "groups", "max_nodes", 16 },
    { "groups", "robust_mean", 0 },
    { "groups", "robust_mean", 3 },
    { "groups", "robust_mean", 4 },
    { "groups", "robust_mean", 2 },
    { "groups", "robust_trim", 1 },
    { "exact", "robust_groups", 3 },
    { "exact", "robust_trim", 1 },
    { "evaluation", "start_count", 3 },
    { "evaluation", "model_clip_norm", 2e6 },
};

static const struct {
    const char *name;
    fm_plan (*make)(void);
} plans[] = {
    { "exact", vec_plan_exact },
    { "fast", vec_plan_fast },
    { "statistics", vec_plan_statistics },
    { "evaluation", vec_plan_evaluation },
    { "many", vec_plan_many },
    { "groups", vec_plan_groups },
    { "local", vec_plan_local },
    { "held", vec_plan_held },
};

static void put_changes(json_t *list)
{
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        const change *c = &changes[i];
        fm_plan p;
        size_t base = 0;

        while (strcmp(plans[base].name, c->base) != 0)
            base++;
        p = plans[base].make();
        set(&p, c->field, c->value);
        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:f,s:b}", "plan", c->base, "field", c->field,
                                        "value", c->value, "accept", fm_plan_check(&p) == FM_OK));
    }
}

json_t *vec_plans(void)
{
    json_t *all = json_array(), *judged = json_array(), *lattices = json_array();

    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        const fm_plan p = plans[i].make();

        put_plan(all, plans[i].name, &p);
    }
    put_changes(judged);
    vec_put_lattices(lattices);
    return json_pack("{s:o,s:o,s:o}", "plans", all, "changes", judged, "lattices", lattices);
}
