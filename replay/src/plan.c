/* What a plan says of lattice and optimizer, in the words of dp/ and optim/. */
#include <math.h>

#include "fedmoe/dp/query.h"
#include "fedmoe/optim/auc.h"
#include "fedmoe/optim/robust.h"
#include "fedmoe/replay/replay.h"

fm_dp_lattice_spec fm_replay_lattice_spec(const fm_plan *plan)
{
    return (fm_dp_lattice_spec){
        .clip_norm = plan->clip_norm,
        .noise_multiplier = plan->noise_multiplier,
        .max_units = plan->max_units,
        .nodes = fm_plan_group_nodes(plan),
        .quorum = fm_plan_group_quorum(plan),
        .colluders = plan->colluders,
        .local = plan->noise == FM_NOISE_LOCAL,
        .encoding = plan->encoding == FM_ENCODING_FAST ? FM_DP_FAST : FM_DP_EXACT,
        .word_bits = plan->word_bits,
        .steps = plan->local_steps,
    };
}

fm_dp_graph fm_replay_graph(const fm_plan *plan)
{
    return (fm_dp_graph){
        .nodes = plan->max_nodes,
        .quorum = plan->quorum,
        .colluders = plan->colluders,
        .rounds = plan->rounds,
        .delta = plan->delta,
    };
}

fm_dp_mechanism fm_replay_mechanism(const fm_plan *plan, uint64_t rounds)
{
    return (fm_dp_mechanism){ .noise_multiplier = plan->noise_multiplier,
                              .sampling_rate = plan->sampling_rate,
                              .count = rounds * fm_plan_steps(plan),
                              .kind = FM_DP_GAUSSIAN };
}

/* The enumerations have the same numbers: those of the wire. */
_Static_assert((int)FM_OPTIM_SGD == (int)FM_OPTIMIZER_SGD &&
                   (int)FM_OPTIM_ADAM == (int)FM_OPTIMIZER_ADAM &&
                   (int)FM_OPTIM_SUM == (int)FM_OPTIMIZER_SUM &&
                   (int)FM_OPTIM_YOGI == (int)FM_OPTIMIZER_YOGI &&
                   (int)FM_OPTIM_CONSTANT == (int)FM_SCHEDULE_CONSTANT &&
                   (int)FM_OPTIM_LINEAR == (int)FM_SCHEDULE_LINEAR &&
                   (int)FM_OPTIM_COSINE == (int)FM_SCHEDULE_COSINE,
               "plan and optimizer number their rules alike");
_Static_assert((int)FM_ROBUST_RULE_MEDIAN == (int)FM_ROBUST_MEDIAN &&
                   (int)FM_ROBUST_RULE_TRIMMED == (int)FM_ROBUST_TRIMMED &&
                   (int)FM_ROBUST_RULE_GEOMETRIC == (int)FM_ROBUST_GEOMETRIC &&
                   FM_ROBUST_SUMS_MAX == FM_MAX_GROUPS,
               "plan and robust means are of the same rules");

_Static_assert(FM_PLAN_LOCAL_STEPS_MAX == FM_DP_LOCAL_STEPS_MAX, "one bound of local steps");

_Static_assert(FM_PLAN_HELD_BINS_MAX == FM_AUC_BINS_MAX, "one bound of bins of scores");

_Static_assert(FM_PLAN_DENSITY_ALL == FM_DP_DENSITY_ALL && FM_PLAN_DENSE_NODES == FM_DP_DENSE_NODES,
               "plan and masks have one rule for few nodes");

/* What a vote is, decoded: rounded down to the lattice. */
static fm_status vote_of(const fm_plan *plan, double *out)
{
    const fm_dp_lattice_spec spec = fm_replay_lattice_spec(plan);
    fm_dp_lattice lattice;
    fm_dp_parts parts;
    fm_status st;

    if (!(plan->clip_quantile > 0.0))
        return FM_OK;
    if ((st = fm_dp_lattice_make(&spec, &lattice)) == FM_OK &&
        (st = fm_dp_parts_make(&lattice, plan->load_share, plan->clip_share, &parts)) == FM_OK)
        *out = (double)parts.vote / lattice.unit_scale;
    if (st == FM_OK && parts.vote < 1)
        st = fm_fail(FM_EINVAL, "plan: clip_share %g is less than a step of the lattice",
                     plan->clip_share);
    return st;
}

/* Local noise is the counted one of each node, in each of its steps; with groups each group's sum
 * carries it. */
double fm_replay_noise(const fm_plan *plan)
{
    const double each =
        plan->noise == FM_NOISE_LOCAL ? sqrt((double)fm_plan_group_nodes(plan)) : 1.0;
    const double times =
        plan->robust_groups > 0
            ? each * fm_robust_noise((fm_robust_rule)plan->robust_mean, plan->robust_groups)
            : each;

    return plan->noise_multiplier * plan->clip_norm * times * sqrt((double)fm_plan_steps(plan));
}

double fm_replay_most_noise(const fm_plan *plan)
{
    const fm_dp_lattice_spec spec = fm_replay_lattice_spec(plan);
    const double times =
        plan->robust_groups > 0
            ? fm_robust_noise((fm_robust_rule)plan->robust_mean, plan->robust_groups)
            : 1.0;
    fm_dp_lattice lattice;

    return fm_dp_lattice_make(&spec, &lattice) == FM_OK
               ? times * fm_query_noise_std(&lattice, fm_plan_steps(plan))
               : NAN;
}

/* The units that are left to train on, and what those others vote with: half of the bound's square, where
 * the other half is their scores'. */
static fm_status hold_out(const fm_plan *plan, fm_optimizer_spec *spec)
{
    const fm_dp_lattice_spec of = fm_replay_lattice_spec(plan);
    int64_t parts[FM_AUC_KINDS], most;
    fm_dp_lattice lattice;
    fm_status st;

    if (plan->patience == 0)
        return FM_OK;
    if ((st = fm_dp_lattice_make(&of, &lattice)) != FM_OK)
        return st;
    spec->patience = plan->patience;
    spec->held_divisor = plan->held_share * spec->divisor;
    most = plan->held_bins > 0 ? fm_dp_half_bound(&lattice) : lattice.unit_sensitivity;
    spec->held_vote = (double)most / lattice.unit_scale;
    if (plan->held_bins > 0) {
        fm_auc_parts(most, plan->held_bins, parts);
        for (size_t kind = 0; kind < FM_AUC_KINDS; kind++)
            spec->held_parts[kind] = (double)parts[kind] / lattice.unit_scale;
        spec->held_bins = plan->held_bins;
        spec->held_noise = fm_replay_most_noise(plan);
    }
    spec->divisor -= spec->held_divisor;
    return FM_OK;
}

fm_status fm_replay_optimizer_new(const fm_plan *plan, const float *weights, size_t n,
                                  fm_optimizer **out)
{
    if (!plan)
        return fm_fail(FM_EINVAL, "optimizer: no plan");
    fm_optimizer_spec spec = {
        .rule = (fm_optim_rule)plan->optimizer,
        .learning_rate = plan->learning_rate,
        .momentum = plan->momentum,
        .beta2 = plan->beta2,
        .adam_epsilon = plan->adam_epsilon,
        .schedule = (fm_optim_schedule)plan->schedule,
        .warmup = plan->warmup,
        .final_rate = plan->final_rate,
        .averaging = plan->averaging,
        .rounds = plan->rounds,
        .divisor = plan->sampling_rate * plan->expected_units * (double)fm_plan_steps(plan),
        .frozen = plan->frozen,
        .load_groups = plan->load_groups,
        .load_experts = plan->load_experts,
        .balance_rate = plan->balance_rate,
        .clip_quantile = plan->clip_quantile,
        .clip_rate = plan->clip_rate,
        .start_center = plan->start_center,
        .start_count = plan->start_count,
        .start_bias = plan->start_bias,
        .start_scale = plan->start_scale,
        .start_norm = plan->clip_norm,
        .start_noise = fm_replay_noise(plan),
    };
    fm_status st = vote_of(plan, &spec.clip_vote);

    if (st != FM_OK || (st = hold_out(plan, &spec)) != FM_OK)
        return st;
    return fm_optimizer_new(&spec, weights, n, out);
}
