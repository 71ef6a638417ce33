/* Steps of the optimizers: docs/protocol.md, section 17. */
#include "fedmoe/replay/replay.h"
#include "vec.h"
#include "vec_plan.h"

#define WORDS 24u
#define STEPS 6u

static json_t *floats_json(const float *x, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_real((double)x[i]));
    return list;
}

/* Loads and votes are counts: not negative, and not above what the units can add. */
static void make_gradient(const fm_plan *p, unsigned step, float *g)
{
    const size_t n = fm_plan_update_words(p), weights = n - fm_plan_tail(p);

    for (size_t i = 0; i < n; i++)
        g[i] = (float)((int)((17 * i + 29 * step + 5) % 41) - 20) * 1.625f;
    for (size_t i = weights; i < n; i++)
        g[i] = (float)((7 * i + 3 * step) % 11) * 0.75f;
}

static void put_case(json_t *list, const char *name, const fm_plan *p)
{
    float state[WORDS], gradient[WORDS], result[WORDS];
    json_t *steps = json_array();
    fm_optimizer *o = NULL;

    for (size_t i = 0; i < WORDS; i++)
        state[i] = i < WORDS - fm_plan_tail(p) ? ((float)i - 11.0f) / 16.0f : 0.0f;
    vec_need(fm_replay_optimizer_new(p, state, WORDS, &o) == FM_OK, name);
    for (unsigned s = 0; s < STEPS; s++) {
        make_gradient(p, s, gradient);
        vec_need(fm_optimizer_step(o, gradient, fm_plan_update_words(p)) == FM_OK, name);
        json_array_append_new(steps, json_pack("{s:o,s:o}", "gradient",
                                               floats_json(gradient, fm_plan_update_words(p)),
                                               "state", floats_json(o->weights, WORDS)));
    }
    fm_optimizer_result(o, result);
    json_array_append_new(list, json_pack("{s:s,s:o,s:o,s:o,s:o}", "name", name, "plan",
                                          vec_plan_fields(p), "first", floats_json(state, WORDS),
                                          "steps", steps, "result", floats_json(result, WORDS)));
    fm_optimizer_free(&o);
}

static fm_plan small(fm_plan p)
{
    p.parameters = WORDS;
    p.rounds = STEPS;
    p.max_units = 256;
    p.expected_units = 40.0;
    p.sampling_rate = 0.5;
    return p;
}

static fm_plan with_tail(void)
{
    fm_plan p = small(vec_plan_fast());

    p.load_experts = 3;
    p.start_center = 4;
    p.start_count = 3;
    p.start_bias = 1;
    p.learning_rate = 0.125;
    return p;
}

json_t *vec_steps(void)
{
    fm_plan adam = small(vec_plan_exact()), tail = with_tail(), both = tail, held, sum;
    json_t *list = json_array();

    adam.schedule = FM_SCHEDULE_LINEAR;
    adam.warmup = 0.4;
    adam.final_rate = 0.25;
    adam.averaging = 0.5;
    adam.learning_rate = 0.0625;
    put_case(list, "Adam, linear, with warmup and mean", &adam);
    put_case(list, "momentum, cosine, tail, statistics round, local noise", &tail);
    both.optimizer = FM_OPTIMIZER_ADAM;
    both.noise = FM_NOISE_DISTRIBUTED;
    both.averaging = 0.3;
    both.start_scale = 0.0;
    both.start_bias = 0;
    both.schedule = FM_SCHEDULE_CONSTANT;
    put_case(list, "Adam, constant, tail, a center that does not move, and mean", &both);
    adam.optimizer = FM_OPTIMIZER_YOGI;
    put_case(list, "Yogi, linear, with warmup and mean", &adam);
    tail.local_steps = 4;
    tail.local_rate = 0.5;
    put_case(list, "of 4 local steps, with tail and statistics round", &tail);
    held = small(vec_plan_held());
    put_case(list, "units held out, with their scores", &held);
    held.held_bins = 0;
    held.encoding = FM_ENCODING_EXACT;
    put_case(list, "units held out", &held);
    sum = small(vec_plan_evaluation());
    sum.frozen = 9;
    put_case(list, "sum", &sum);
    return list;
}
