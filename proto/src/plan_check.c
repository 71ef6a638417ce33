#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "fedmoe/proto/plan.h"
#include "utf8_internal.h"

#define MAX_UNITS (1u << 24)
#define MAX_LOAD_GROUPS 16u
#define MAX_LOAD_EXPERTS 256u
#define MAX_EPSILON 1000.0 /* the value that stands for "no privacy" */

/* From the smallest positive double: an open zero. */
#define ABOVE_ZERO 4.9406564584124654e-324
#define BELOW_ONE 0x1.fffffffffffffp-1

typedef struct {
    const char *name;
    size_t offset;
    double lo, hi;
    const char *range;
} real_field;

static const real_field reals[] = {
    { "epsilon", offsetof(fm_plan, epsilon), ABOVE_ZERO, MAX_EPSILON, "(0, 1000]" },
    { "delta", offsetof(fm_plan, delta), ABOVE_ZERO, BELOW_ONE, "(0, 1)" },
    { "clip_norm", offsetof(fm_plan, clip_norm), 1e-6, 1e6, "[1e-6, 1e6]" },
    { "sampling_rate", offsetof(fm_plan, sampling_rate), ABOVE_ZERO, 1.0, "(0, 1]" },
    { "noise_multiplier", offsetof(fm_plan, noise_multiplier), 0.0, 1e6, "[0, 1e6]" },
    { "expected_units", offsetof(fm_plan, expected_units), 1.0, MAX_UNITS, "[1, 2^24]" },
    { "learning_rate", offsetof(fm_plan, learning_rate), ABOVE_ZERO, 1e6, "(0, 1e6]" },
    { "momentum", offsetof(fm_plan, momentum), 0.0, BELOW_ONE, "[0, 1)" },
    { "beta2", offsetof(fm_plan, beta2), 0.0, BELOW_ONE, "[0, 1)" },
    { "averaging", offsetof(fm_plan, averaging), 0.0, BELOW_ONE, "[0, 1)" },
    { "adam_epsilon", offsetof(fm_plan, adam_epsilon), ABOVE_ZERO, 1.0, "(0, 1]" },
    { "warmup", offsetof(fm_plan, warmup), 0.0, BELOW_ONE, "[0, 1)" },
    { "final_rate", offsetof(fm_plan, final_rate), 0.0, 1.0, "[0, 1]" },
    { "load_share", offsetof(fm_plan, load_share), 0.0, 0.5, "[0, 0.5]" },
    { "balance_rate", offsetof(fm_plan, balance_rate), 0.0, 1.0, "[0, 1]" },
    { "clip_quantile", offsetof(fm_plan, clip_quantile), 0.0, BELOW_ONE, "[0, 1)" },
    { "clip_rate", offsetof(fm_plan, clip_rate), 0.0, 2.0, "[0, 2]" },
    { "clip_share", offsetof(fm_plan, clip_share), 0.0, 0.5, "[0, 0.5]" },
    { "start_scale", offsetof(fm_plan, start_scale), 0.0, 1000.0, "[0, 1000]" },
    { "model_clip_norm", offsetof(fm_plan, model_clip_norm), 0.0, 1e6, "[0, 1e6]" },
    { "local_rate", offsetof(fm_plan, local_rate), 0.0, 1e6, "[0, 1e6]" },
    { "proximal", offsetof(fm_plan, proximal), 0.0, 1e6, "[0, 1e6]" },
    { "held_share", offsetof(fm_plan, held_share), 0.0, 0.5, "[0, 0.5]" },
    { "held_bound", offsetof(fm_plan, held_bound), 0.0, 1e6, "[0, 1e6]" },
};

typedef struct {
    const char *name;
    size_t offset;
    uint32_t lo, hi;
} whole_field;

static const whole_field wholes[] = {
    { "rounds", offsetof(fm_plan, rounds), 1, FM_MAX_ROUNDS },
    { "max_units", offsetof(fm_plan, max_units), 1, MAX_UNITS },
    { "max_nodes", offsetof(fm_plan, max_nodes), 2, FM_MAX_NODES },
    { "parameters", offsetof(fm_plan, parameters), 1, FM_MAX_PARAMETERS },
    { "max_unit_rows", offsetof(fm_plan, max_unit_rows), 1, FM_MAX_UNIT_ROWS },
    { "mask_density", offsetof(fm_plan, mask_density), 1, FM_PLAN_DENSITY_ALL },
};

static fm_status check_reals(const fm_plan *p)
{
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        const real_field *f = &reals[i];
        double v;

        memcpy(&v, (const char *)p + f->offset, sizeof v);
        if (!isfinite(v) || v < f->lo || v > f->hi)
            return fm_fail(FM_EINVAL, "plan: %s is %g, must be in %s", f->name, v, f->range);
    }
    if (p->noise_multiplier == 0.0 && p->epsilon < MAX_EPSILON)
        return fm_fail(FM_EINVAL,
                       "plan: noise_multiplier is 0, which gives no privacy: epsilon must say so "
                       "with %g",
                       MAX_EPSILON);
    return FM_OK;
}

static fm_status check_wholes(const fm_plan *p)
{
    for (size_t i = 0; i < sizeof wholes / sizeof wholes[0]; i++) {
        const whole_field *f = &wholes[i];
        uint32_t v;

        memcpy(&v, (const char *)p + f->offset, sizeof v);
        if (v < f->lo || v > f->hi)
            return fm_fail(FM_EINVAL, "plan: %s is %u, must be %u to %u", f->name, v, f->lo, f->hi);
    }
    if (p->noise != FM_NOISE_DISTRIBUTED && p->noise != FM_NOISE_LOCAL)
        return fm_fail(FM_EINVAL, "plan: noise is %d, must be 1 (distributed) or 2 (local)",
                       (int)p->noise);
    if (p->word_bits != 16 && p->word_bits != 24 && p->word_bits != 32)
        return fm_fail(FM_EINVAL, "plan: word_bits is %u, must be 16, 24 or 32", p->word_bits);
    if (p->max_nodes <= FM_PLAN_DENSE_NODES && p->mask_density != FM_PLAN_DENSITY_ALL)
        return fm_fail(FM_EINVAL, "plan: mask_density is %u, must be %u up to %u max_nodes",
                       p->mask_density, FM_PLAN_DENSITY_ALL, FM_PLAN_DENSE_NODES);
    return FM_OK;
}

static fm_status check_text(const char *name, const char *text)
{
    size_t len = text ? strnlen(text, FM_MAX_TEXT_BYTES + 1) : 0;

    if (len < 1 || len > FM_MAX_TEXT_BYTES)
        return fm_fail(FM_EINVAL, "plan: %s must have 1 to %u bytes", name, FM_MAX_TEXT_BYTES);
    if (!fm_utf8_is_text(text, len, true))
        return fm_fail(FM_EINVAL, "plan: %s is not UTF-8 without control characters", name);
    return FM_OK;
}

static fm_status check_absent(const char *name, const char *text)
{
    return text && *text ? fm_fail(FM_EINVAL, "plan: %s is of no use to this task", name) : FM_OK;
}

/* What each task needs, and what it has no use for. */
static fm_status check_task(const fm_plan *p)
{
    bool training = p->task == FM_TASK_TRAINING, evaluation = p->task == FM_TASK_EVALUATION;
    fm_status st;

    if (!training && !evaluation && p->task != FM_TASK_STATISTICS)
        return fm_fail(FM_EINVAL,
                       "plan: task is %d, must be 1 (training), 2 (statistics) or 3 (evaluation)",
                       (int)p->task);
    if (training ? p->optimizer != FM_OPTIMIZER_SGD && p->optimizer != FM_OPTIMIZER_ADAM &&
                       p->optimizer != FM_OPTIMIZER_YOGI
                 : p->optimizer != FM_OPTIMIZER_SUM)
        return fm_fail(FM_EINVAL,
                       "plan: optimizer is %d, must be 1 (SGD), 2 (Adam) or 4 (Yogi) for training, "
                       "3 (sum) for statistics and evaluation",
                       (int)p->optimizer);
    if (evaluation ? p->frozen < 1 || p->frozen >= p->parameters : p->frozen != 0)
        return fm_fail(FM_EINVAL,
                       "plan: frozen is %u, must be the model's part of %u parameters for "
                       "evaluation, otherwise 0",
                       p->frozen, p->parameters);
    if (p->task != FM_TASK_STATISTICS ? (st = check_text("model_text", p->model_text)) != FM_OK
                                      : (st = check_absent("model_text", p->model_text)) != FM_OK)
        return st;
    if (training)
        return check_absent("query_text", p->query_text);
    if (p->query_text && strnlen(p->query_text, FM_MAX_QUERY_BYTES + 1) > FM_MAX_QUERY_BYTES)
        return fm_fail(FM_EINVAL, "plan: query_text must have 1 to %u bytes", FM_MAX_QUERY_BYTES);
    return check_text("query_text", p->query_text);
}

/* The tail of the state and what fills it. */
static fm_status check_tail(const fm_plan *p)
{
    bool loads = p->load_groups > 0, votes = p->clip_quantile > 0.0;

    if (p->load_groups > MAX_LOAD_GROUPS ||
        (loads ? p->load_experts < 2 || p->load_experts > MAX_LOAD_EXPERTS : p->load_experts != 0))
        return fm_fail(FM_EINVAL,
                       "plan: load_groups is %u and load_experts %u, must be 0 and 0, or 1 to %u "
                       "and 2 to %u",
                       p->load_groups, p->load_experts, MAX_LOAD_GROUPS, MAX_LOAD_EXPERTS);
    if (loads ? p->load_share <= 0.0 : p->load_share != 0.0 || p->balance_rate != 0.0)
        return fm_fail(FM_EINVAL, "plan: load_share is %g and balance_rate %g, with %u load_groups",
                       p->load_share, p->balance_rate, p->load_groups);
    if (votes ? p->clip_share <= 0.0 : p->clip_share != 0.0 || p->clip_rate != 0.0)
        return fm_fail(FM_EINVAL, "plan: clip_share is %g and clip_rate %g, with clip_quantile %g",
                       p->clip_share, p->clip_rate, p->clip_quantile);
    if (p->task != FM_TASK_TRAINING && (loads || votes))
        return fm_fail(FM_EINVAL, "plan: load counts and votes on the clip norm are for training");
    if (fm_plan_tail(p) >= p->parameters)
        return fm_fail(FM_EINVAL, "plan: %u parameters are too few for %u load counts and votes",
                       p->parameters, fm_plan_tail(p));
    return FM_OK;
}

/* Who only judges, and when training ends by it. */
static fm_status check_held(const fm_plan *p)
{
    const bool held = p->patience > 0;

    if (held ? p->held_share <= 0.0 || p->held_bound < 1e-3
             : p->held_share != 0.0 || p->held_bound != 0.0)
        return fm_fail(FM_EINVAL,
                       "plan: held_share is %g, held_bound %g and patience %u, must all be 0, or "
                       "(0, 0.5], [1e-3, 1e6] and 1 to %u",
                       p->held_share, p->held_bound, p->patience, FM_MAX_ROUNDS);
    if (p->patience > FM_MAX_ROUNDS)
        return fm_fail(FM_EINVAL, "plan: patience is %u, must be 0 to %u", p->patience,
                       FM_MAX_ROUNDS);
    if (held && p->task != FM_TASK_TRAINING)
        return fm_fail(FM_EINVAL, "plan: units are held out of training alone; patience must be 0");
    if (p->held_bins > 0 &&
        (!held || p->held_bins < FM_PLAN_HELD_BINS_MIN || p->held_bins > FM_PLAN_HELD_BINS_MAX ||
         (p->held_bins & (p->held_bins - 1)) != 0))
        return fm_fail(FM_EINVAL,
                       "plan: held_bins is %u, must be 0, or with a patience a power of two, %u to "
                       "%u",
                       p->held_bins, FM_PLAN_HELD_BINS_MIN, FM_PLAN_HELD_BINS_MAX);
    return FM_OK;
}

/* What no gradient moves, and the statistics round that sets it. */
static fm_status check_start(const fm_plan *p)
{
    const uint64_t weights = p->parameters - fm_plan_tail(p);
    const uint64_t end = (uint64_t)p->start_center + p->start_count;
    const bool round = p->start_scale > 0.0;

    if ((p->start_count == 0 && (p->start_center != 0 || round)) || (!round && p->start_bias != 0))
        return fm_fail(FM_EINVAL,
                       "plan: start_center is %u, start_bias %u and start_scale %g, must be 0 "
                       "without a start_count, and start_bias 0 with a start_scale of 0",
                       p->start_center, p->start_bias, p->start_scale);
    if (p->start_count == 0)
        return FM_OK;
    if (p->task != FM_TASK_TRAINING || (round && p->rounds < 2))
        return fm_fail(FM_EINVAL, "plan: a start_count is for training, and a statistics round for "
                                  "2 rounds or more");
    if (end > weights || (round && (p->start_bias >= weights ||
                                    (p->start_bias >= p->start_center && p->start_bias < end))))
        return fm_fail(
            FM_EINVAL,
            "plan: start_center is %u, start_count %u and start_bias %u, must be of %llu "
            "weights, and the bias none of the center's",
            p->start_center, p->start_count, p->start_bias, (unsigned long long)weights);
    if (round && p->start_scale < 1e-6)
        return fm_fail(FM_EINVAL, "plan: start_scale is %g, must be 0, or 1e-6 to 1000",
                       p->start_scale);
    return FM_OK;
}

/* What one step needs for its correction: that the server's step is the mean gradient at a known rate. */
static fm_status check_correction(const fm_plan *p)
{
    if (p->correction == FM_CORRECTION_NONE)
        return FM_OK;
    if (p->correction != FM_CORRECTION_SCAFFOLD)
        return fm_fail(FM_EINVAL, "plan: correction is %d, must be 0 (none) or 1 (SCAFFOLD)",
                       (int)p->correction);
    if (p->optimizer != FM_OPTIMIZER_SGD || p->momentum != 0.0 ||
        p->schedule != FM_SCHEDULE_CONSTANT || p->warmup != 0.0 || p->clip_quantile > 0.0)
        return fm_fail(FM_EINVAL,
                       "plan: correction is 1 (SCAFFOLD), for which nodes read the mean gradient "
                       "out of two models: the optimizer must be SGD without momentum, at a "
                       "constant rate without warmup, and the clip norm fixed");
    return FM_OK;
}

/* Every local step has its node's own full noise: nobody else's protects what the later ones compute. */
static fm_status check_local(const fm_plan *p)
{
    if (p->local_steps == 0) {
        if (p->local_rate != 0.0 || p->proximal != 0.0 || p->correction != FM_CORRECTION_NONE)
            return fm_fail(FM_EINVAL,
                           "plan: local_rate is %g, proximal %g and correction %d, must be 0 "
                           "without local_steps",
                           p->local_rate, p->proximal, (int)p->correction);
        return FM_OK;
    }
    if (p->local_steps < 2 || p->local_steps > FM_PLAN_LOCAL_STEPS_MAX)
        return fm_fail(FM_EINVAL,
                       "plan: local_steps is %u, must be 0 (one step a round) or 2 to %u",
                       p->local_steps, FM_PLAN_LOCAL_STEPS_MAX);
    if (p->task != FM_TASK_TRAINING || p->noise != FM_NOISE_LOCAL)
        return fm_fail(FM_EINVAL, "plan: local_steps are for training with noise 2 (local): every "
                                  "step has its node's own full noise");
    if (p->patience > 0)
        return fm_fail(FM_EINVAL, "plan: units are held out of rounds of one step; local_steps or "
                                  "patience must be 0");
    if (!(p->local_rate > 0.0) || p->local_rate * p->proximal > 1.0)
        return fm_fail(FM_EINVAL,
                       "plan: local_rate is %g and proximal %g; the rate must be above 0 with "
                       "local_steps, and their product at most 1",
                       p->local_rate, p->proximal);
    return check_correction(p);
}

/* How a sum is made and what the optimizer does with it. */
static fm_status check_step(const fm_plan *p)
{
    if (p->encoding != FM_ENCODING_EXACT &&
        (p->encoding != FM_ENCODING_FAST || p->task != FM_TASK_TRAINING))
        return fm_fail(FM_EINVAL,
                       "plan: encoding is %d, must be 1 (exact), or for training 2 (fast)",
                       (int)p->encoding);
    if (p->schedule < FM_SCHEDULE_CONSTANT || p->schedule > FM_SCHEDULE_COSINE)
        return fm_fail(FM_EINVAL,
                       "plan: schedule is %d, must be 1 (constant), 2 (linear) or 3 (cosine)",
                       (int)p->schedule);
    if (p->model_clip_norm > 0.0 && p->task != FM_TASK_EVALUATION)
        return fm_fail(FM_EINVAL, "plan: model_clip_norm is %g, must be 0 but for an evaluation",
                       p->model_clip_norm);
    if (check_held(p) != FM_OK || check_tail(p) != FM_OK || check_start(p) != FM_OK)
        return FM_EINVAL;
    return check_local(p);
}

uint32_t fm_plan_min_quorum(uint32_t n, uint32_t colluders)
{
    return (uint32_t)(((uint64_t)n + colluders) / 2 + 1);
}

/* docs/protocol.md, section 8: t > (|P| + colluders) / 2, and one survivor at least is no colluder. */
static fm_status check_people(const fm_plan *p)
{
    uint32_t least = fm_plan_min_quorum(p->max_nodes, p->colluders);

    if (p->min_cohort < 2 || p->min_cohort > p->max_nodes)
        return fm_fail(FM_EINVAL, "plan: min_cohort is %u, must be 2 to max_nodes, %u",
                       p->min_cohort, p->max_nodes);
    if (p->colluders >= p->quorum)
        return fm_fail(FM_EINVAL, "plan: colluders is %u, must be below quorum, %u", p->colluders,
                       p->quorum);
    if (p->quorum < least || p->quorum > p->max_nodes)
        return fm_fail(FM_EINVAL,
                       "plan: quorum is %u, must be above (max_nodes + colluders) / 2, so %u to %u",
                       p->quorum, least, p->max_nodes);
    return FM_OK;
}

/* docs/privacy.md, section 9: all colluders may be in one group, and two honest nodes with them. */
static fm_status check_groups(const fm_plan *p)
{
    const uint32_t groups = p->robust_groups, least = p->colluders + FM_PLAN_HONEST_IN_SUM;

    if (groups == 0 && p->robust_quorum == 0 && p->robust_mean == 0 && p->robust_trim == 0)
        return FM_OK;
    if (groups < 3 || groups > FM_MAX_GROUPS)
        return fm_fail(FM_EINVAL,
                       "plan: robust_groups is %u, must be 3 to %u, or 0 with all of robust",
                       groups, FM_MAX_GROUPS);
    if (p->task != FM_TASK_TRAINING || p->mask_density != FM_PLAN_DENSITY_ALL)
        return fm_fail(FM_EINVAL,
                       "plan: robust_groups are for training, and every pair of a group "
                       "shares a mask (mask_density %u)",
                       FM_PLAN_DENSITY_ALL);
    if (p->local_steps > 0)
        return fm_fail(FM_EINVAL,
                       "plan: robust_groups are for rounds of one step; local_steps must "
                       "be 0");
    if (p->robust_quorum < least)
        return fm_fail(
            FM_EINVAL,
            "plan: robust_quorum is %u, must be %u at least: %u honest nodes in each group's "
            "sum when all %u colluders are in it",
            p->robust_quorum, least, FM_PLAN_HONEST_IN_SUM, p->colluders);
    if (2 * (uint64_t)p->robust_quorum <= fm_plan_group_nodes(p))
        return fm_fail(FM_EINVAL,
                       "plan: robust_quorum is %u, must be more than half of a group's %u nodes",
                       p->robust_quorum, fm_plan_group_nodes(p));
    if ((uint64_t)groups * p->robust_quorum > p->min_cohort)
        return fm_fail(
            FM_EINVAL, "plan: %u groups of %u survivors or more need a min_cohort of %llu, not %u",
            groups, p->robust_quorum, (unsigned long long)groups * p->robust_quorum, p->min_cohort);
    if (p->robust_mean < FM_ROBUST_MEDIAN || p->robust_mean > FM_ROBUST_GEOMETRIC)
        return fm_fail(FM_EINVAL,
                       "plan: robust_mean is %d, must be 1 (median), 2 (trimmed) or 3 (geometric)",
                       (int)p->robust_mean);
    if (p->robust_mean == FM_ROBUST_TRIMMED
            ? p->robust_trim < 1 || p->robust_trim > (groups - 1) / 2
            : p->robust_trim != 0)
        return fm_fail(
            FM_EINVAL,
            "plan: robust_trim is %u, must be 1 to %u of %u groups with the trimmed mean, "
            "else 0",
            p->robust_trim, (groups - 1) / 2, groups);
    return FM_OK;
}

/* As certs' fm_name_check, which codecs do not link. */
static bool is_name(const char *s, size_t len)
{
    if (len < 1 || len > FM_NAME_MAX || s[0] == '-' || s[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-'))
            return false;
    return true;
}

static fm_status check_unit(const fm_plan *p)
{
    size_t len = strnlen(p->privacy_unit, sizeof p->privacy_unit);

    if (len < 1 || len >= sizeof p->privacy_unit || !fm_utf8_is_text(p->privacy_unit, len, false))
        return fm_fail(FM_EINVAL,
                       "plan: privacy_unit must be \"" FM_UNIT_RECORD "\" or the name of a column, "
                       "1 to %zu bytes of printable UTF-8",
                       sizeof p->privacy_unit - 1);
    if (strcmp(p->privacy_unit, FM_UNIT_RECORD) == 0 && p->max_unit_rows != 1)
        return fm_fail(FM_EINVAL, "plan: max_unit_rows is %u, must be 1 when the unit is a record",
                       p->max_unit_rows);
    return FM_OK;
}

static fm_status check_texts(const fm_plan *p)
{
    size_t purpose = strnlen(p->purpose, sizeof p->purpose);
    fm_status st;

    if (!is_name(p->federation, strnlen(p->federation, sizeof p->federation)))
        return fm_fail(FM_EINVAL,
                       "plan: federation must be 1 to %d of a-z, 0-9 and -, "
                       "with no - at either end",
                       FM_NAME_MAX);
    if (purpose < 1 || purpose > FM_PURPOSE_MAX || !fm_utf8_is_text(p->purpose, purpose, false))
        return fm_fail(FM_EINVAL, "plan: purpose must be 1 to %d bytes of printable UTF-8",
                       FM_PURPOSE_MAX);
    if ((st = check_unit(p)) != FM_OK)
        return st;
    return check_text("schema_text", p->schema_text);
}

fm_status fm_plan_check(const fm_plan *p)
{
    fm_status st;

    if (!p)
        return fm_fail(FM_EINVAL, "plan: none given");
    if ((st = check_texts(p)) != FM_OK || (st = check_reals(p)) != FM_OK ||
        (st = check_wholes(p)) != FM_OK || (st = check_task(p)) != FM_OK ||
        (st = check_step(p)) != FM_OK)
        return st;
    if ((st = check_people(p)) != FM_OK)
        return st;
    return check_groups(p);
}
