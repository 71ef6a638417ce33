/* What the data-protection officer allows, against what a plan asks for. */
#include "policy_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "fedmoe/dp/encode.h"
#include "fedmoe/node/step.h"
#include "fedmoe/replay/replay.h"
#include "words.h"

/* The reckoning is done here and at the coordinator; both may round differently. */
#define EPSILON_SLACK (1.0 + 1e-9)

bool fm_node_policy_is_open(const fm_node_policy *p)
{
    return p->epsilon >= FM_NODE_NO_PRIVACY_EPSILON;
}

fm_ledger_budget fm_node_policy_budget(const fm_node_policy *p)
{
    return (fm_ledger_budget){ .epsilon = fm_node_policy_is_open(p) ? DBL_MAX : p->epsilon,
                               .delta = p->delta };
}

fm_dp_mechanism fm_node_policy_mechanism(const fm_plan *plan, uint64_t rounds)
{
    fm_dp_mechanism m = fm_replay_mechanism(plan, rounds);

    m.noise_multiplier = fmax(m.noise_multiplier, FM_NODE_NO_NOISE_BOOKED);
    return m;
}

static fm_status check_purpose(const fm_node_policy *p, const fm_plan *plan)
{
    for (size_t i = 0; i < p->purpose_count; i++)
        if (strcmp(p->purposes[i], plan->purpose) == 0)
            return FM_OK;
    return fm_fail(FM_EPERM,
                   "the purpose '%s' is not one that the policy of this node allows; its "
                   "data-protection officer can add it to policy.purposes",
                   plan->purpose);
}

const char *fm_node_policy_unit_column(const fm_node_policy *p)
{
    return p->unit[0] && strcmp(p->unit, FM_UNIT_RECORD) != 0 ? p->unit : NULL;
}

/** One data set, one unit: epsilons of different units do not add up to anything. */
static fm_status check_unit(const fm_node_policy *p, const fm_plan *plan)
{
    const char *column = fm_node_policy_unit_column(p);

    if (strcmp(plan->privacy_unit, column ? column : FM_UNIT_RECORD) == 0)
        return FM_OK;
    if (strcmp(plan->privacy_unit, FM_UNIT_RECORD) == 0)
        return fm_fail(FM_EPERM,
                       "the plan's privacy unit is a record; that of this node is '%s', which is "
                       "protected less by a plan per record: its epsilon is multiplied by the "
                       "number of records",
                       column);
    return fm_fail(FM_EPERM,
                   "the plan's privacy unit is '%s'; that of this node is '%s', and all that is "
                   "spent on a data set is counted for one unit (policy.unit)",
                   plan->privacy_unit, column ? column : FM_UNIT_RECORD);
}

static fm_status check_task(const fm_node_policy *p, const fm_plan *plan)
{
    static const char *const names[] = { [FM_TASK_TRAINING] = "training",
                                         [FM_TASK_STATISTICS] = "statistics",
                                         [FM_TASK_EVALUATION] = "evaluation" };
    uint32_t allowed = p->tasks ? p->tasks : FM_NODE_TASK(FM_TASK_TRAINING);

    if (allowed & FM_NODE_TASK(plan->task))
        return FM_OK;
    return fm_fail(FM_EPERM,
                   "the plan is for %s, which the policy of this node does not allow; its "
                   "data-protection officer can add it to policy.tasks",
                   names[plan->task]);
}

static fm_status check_figures(const fm_node_policy *p, const fm_plan *plan)
{
    if (plan->delta > p->delta)
        return fm_fail(FM_EPERM,
                       "the plan states its epsilon at delta %g; the policy of this node allows "
                       "at most %g",
                       plan->delta, p->delta);
    if (plan->min_cohort < p->min_cohort)
        return fm_fail(FM_EPERM,
                       "the plan allows rounds of %u participants; the policy of this node wants "
                       "at least %u",
                       plan->min_cohort, p->min_cohort);
    if (plan->colluders < p->min_colluders)
        return fm_fail(FM_EPERM,
                       "the plan counts on %u colluding nodes; the policy of this node wants at "
                       "least %u",
                       plan->colluders, p->min_colluders);
    return FM_OK;
}

static fm_status check_quorum(const fm_node_policy *p, const fm_plan *plan)
{
    uint32_t least = fm_plan_min_quorum(plan->max_nodes, plan->colluders);

    if (plan->quorum < least)
        return fm_fail(FM_EPERM,
                       "a quorum of %u is too small for %u nodes of which %u may collude; it "
                       "takes %u",
                       plan->quorum, plan->max_nodes, plan->colluders, least);
    /* A released sum may hold as few updates as the quorum. */
    if (plan->quorum < p->min_cohort)
        return fm_fail(FM_EPERM,
                       "with a quorum of %u a sum over fewer than %u participants could be read, "
                       "which the policy of this node does not allow",
                       plan->quorum, p->min_cohort);
    if (fm_plan_group_quorum(plan) < p->min_cohort)
        return fm_fail(
            FM_EPERM,
            "the plan sums by groups, of %u participants at least; a sum over fewer than %u "
            "could be read, which the policy of this node does not allow",
            fm_plan_group_quorum(plan), p->min_cohort);
    return FM_OK;
}

/** So many masks that the honest survivors hang together: reckoned here, whatever was reckoned there. */
static fm_status check_masks(const fm_node_policy *p, const fm_plan *plan)
{
    const fm_dp_graph graph = fm_replay_graph(plan);

    if (p->all_masks && plan->mask_density < FM_PLAN_DENSITY_ALL)
        return fm_fail(
            FM_EPERM,
            "in the plan a node shares a mask with about %u of %u others, by chance; the "
            "policy of this node wants one with each (policy.masks: all)",
            (plan->mask_density * (plan->max_nodes - 1) + 128) / 256, plan->max_nodes - 1);
    if (fm_dp_mask_density_check(&graph, plan->mask_density) != FM_OK)
        return fm_fail_context(FM_EPERM, "the plan cannot be accepted: ");
    return FM_OK;
}

/** The stated epsilon is what the stated noise really costs. */
static fm_status check_noise(const fm_node_policy *p, const fm_plan *plan)
{
    fm_dp_mechanism run = fm_node_policy_mechanism(plan, plan->rounds);
    fm_dp_lattice lattice;
    double epsilon = 0.0;
    fm_dp_lattice_spec spec = fm_node_lattice_spec(plan);
    fm_status st = fm_dp_lattice_make(&spec, &lattice);

    if (st != FM_OK)
        return fm_fail_context(FM_EPERM, "no lattice fits the plan: ");
    if (fm_node_policy_is_open(p))
        return FM_OK;
    if (!(plan->noise_multiplier > 0.0))
        return fm_fail(FM_EPERM, "the plan adds no noise: nothing would be private");
    if (plan->noise_multiplier < FM_DP_MIN_NOISE_MULTIPLIER)
        return fm_fail(
            FM_EPERM,
            "the plan's noise multiplier is %.4g; below %g a unit that is drawn is hardly "
            "hidden, however seldom that is",
            plan->noise_multiplier, FM_DP_MIN_NOISE_MULTIPLIER);
    if ((st = fm_dp_epsilon(&run, 1, plan->delta, &epsilon)) != FM_OK)
        return st;
    if (epsilon > plan->epsilon * EPSILON_SLACK)
        return fm_fail(FM_EPERM,
                       "the plan states epsilon %.4f, but its noise costs %.4f over %llu steps at "
                       "delta %g",
                       plan->epsilon, epsilon, (unsigned long long)run.count, plan->delta);
    return FM_OK;
}

typedef struct {
    const char *data_set;
    fm_hash plan;
    uint64_t charged;
} charged_ctx;

static fm_status count_charged(void *ctx, const fm_ledger_row *row)
{
    charged_ctx *c = ctx;

    if (strcmp(row->data_set, c->data_set) == 0 && fm_hash_equal(&row->plan, &c->plan))
        c->charged++;
    return FM_OK;
}

/** Rounds of this very plan that the ledger holds already: a restart does not pay twice. */
static fm_status charged_already(const fm_plan *plan, fm_ledger *ledger, const char *data_set,
                                 uint64_t *out)
{
    charged_ctx ctx = { .data_set = data_set };
    fm_buf bytes = { .limit = FM_MAX_PLAN_BYTES };
    fm_status st = fm_plan_encode(plan, &bytes);

    if (st == FM_OK) {
        ctx.plan = fm_plan_hash(bytes.data, bytes.len);
        st = fm_ledger_walk(ledger, count_charged, &ctx);
    }
    fm_buf_fini(&bytes);
    if (st == FM_OK)
        *out = ctx.charged;
    return st;
}

static fm_status check_price(const fm_node_policy *p, const fm_plan *plan, fm_ledger *ledger,
                             const char *data_set)
{
    fm_dp_mechanism rest;
    uint64_t charged = 0;
    double spent = 0.0, after = 0.0;
    fm_status st;

    if (fm_node_policy_is_open(p))
        return FM_OK;
    if ((st = charged_already(plan, ledger, data_set, &charged)) != FM_OK ||
        (st = fm_ledger_epsilon(ledger, data_set, NULL, p->delta, &spent)) != FM_OK)
        return st;
    rest = fm_node_policy_mechanism(plan, charged < plan->rounds ? plan->rounds - charged : 1);
    if ((st = fm_ledger_epsilon(ledger, data_set, &rest, p->delta, &after)) != FM_OK)
        return st;
    /* A plan whose rounds are all paid may still have to send its result. */
    if (charged >= plan->rounds || after <= p->epsilon)
        return FM_OK;
    return fm_fail(FM_EBUDGET,
                   "the run would bring the data set to epsilon %.4f (spent: %.4f) at delta %g; "
                   "its budget is %.4f",
                   fm_words_up(after), fm_words_up(spent), p->delta, p->epsilon);
}

fm_status fm_node_policy_check(const fm_node_policy *p, const fm_plan *plan, fm_ledger *ledger,
                               const char *data_set)
{
    fm_status st;

    if (!p || !plan || !ledger || !data_set)
        return fm_fail(FM_EINVAL, "fm_node_policy_check: NULL argument");
    if ((st = check_purpose(p, plan)) != FM_OK || (st = check_task(p, plan)) != FM_OK ||
        (st = check_unit(p, plan)) != FM_OK || (st = check_figures(p, plan)) != FM_OK ||
        (st = check_quorum(p, plan)) != FM_OK || (st = check_masks(p, plan)) != FM_OK ||
        (st = check_noise(p, plan)) != FM_OK)
        return st;
    return check_price(p, plan, ledger, data_set);
}
