/* What people decided, asked for: of the plan that is offered, of each round, of each release. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "policy_internal.h"
#include "run_internal.h"

#define WHY_MAX 960u /* bytes; it stands in the status behind a few words */

fm_status fm_node_driver_open_decisions(fm_node_driver *d)
{
    fm_decisions all = { 0 };
    fm_status st;

    if ((st = fm_decision_keys_of(&d->config, &d->approvers)) != FM_OK ||
        (st = fm_path_join(d->config.dir, FM_DECISIONS_FILE, &d->decisions)) != FM_OK)
        return st;
    st = fm_decisions_load(d->decisions, &all);
    fm_decisions_fini(&all);
    return st;
}

bool fm_node_driver_may_be_decided(const fm_node_driver *d)
{
    const struct stat *seen = &d->decisions_seen;
    struct stat now = { 0 };

    (void)stat(d->decisions, &now);
    return d->deciding && (now.st_ino != seen->st_ino || now.st_size != seen->st_size ||
                           now.st_mtim.tv_sec != seen->st_mtim.tv_sec ||
                           now.st_mtim.tv_nsec != seen->st_mtim.tv_nsec);
}

/** All of them, none altered, none lost since the journal has seen them; and it sees these. */
static fm_status read_all(fm_node_driver *d, fm_decisions *out)
{
    fm_journal_voided voided;
    fm_decisions all = { 0 };
    uint64_t known = 0;
    fm_hash head;
    fm_status st;

    memset(&d->decisions_seen, 0, sizeof d->decisions_seen);
    (void)stat(d->decisions, &d->decisions_seen);
    if ((st = fm_decisions_load(d->decisions, &all)) == FM_OK &&
        (st = fm_journal_decisions(d->plan.journal, &known, &head)) == FM_OK &&
        (st = fm_decisions_check_known(&all, d->decisions, known, &head)) == FM_OK &&
        (st = fm_journal_voided_get(d->plan.journal, &voided)) == FM_OK &&
        (st = fm_decisions_check_void(&all, d->decisions, voided.at_s)) == FM_OK &&
        all.count > known)
        st =
            fm_journal_note_decisions(d->plan.journal, all.count, &all.entries[all.count - 1].hash);
    if (st == FM_OK)
        *out = all;
    else
        fm_decisions_fini(&all);
    return st;
}

/** The limits in node.yaml were set by people for this: that they hold is noted, and signed. */
static fm_status decide_by_policy(fm_node_driver *d, const fm_plan *plan, const fm_hash *hash)
{
    const fm_decision_signer signer = { .identity = d->identity };
    fm_decision one = { .plan = *hash,
                        .plan_epsilon = plan->epsilon,
                        .plan_delta = plan->delta,
                        .plan_rounds = plan->rounds,
                        .verdict = FM_VERDICT_APPROVE,
                        .role = FM_DECISION_BY_POLICY,
                        .at_s = fm_clock_wall_s() };
    fm_decision_entry kept;
    fm_decisions all = { 0 };
    fm_status st;

    (void)snprintf(one.federation, sizeof one.federation, "%s", plan->federation);
    (void)snprintf(one.purpose, sizeof one.purpose, "%s", plan->purpose);
    (void)snprintf(one.by, sizeof one.by, "%s", d->config.name);
    (void)snprintf(one.note, sizeof one.note,
                   "the first plan, within the limits that node.yaml sets");
    if ((st = fm_decisions_append(d->decisions, &signer, &one, &kept)) == FM_OK &&
        (st = read_all(d, &all)) == FM_OK)
        fm_log(FM_LOG_INFO,
               "decision %llu: the first plan is within the limits of %s; any other "
               "plan will be asked about",
               (unsigned long long)one.number, d->o->config);
    fm_decisions_fini(&all);
    return st;
}

typedef enum { DECIDED_YES, DECIDED_NO, DECIDED_NOT_YET } verdict;

/** @param why  out: of NO and NOT_YET. */
static fm_status judge(fm_node_driver *d, const fm_plan *plan, const fm_hash *hash, verdict *out,
                       char why[WHY_MAX])
{
    const fm_decision_entry *e;
    fm_journal_voided voided;
    fm_decisions all = { 0 };
    fm_status st = read_all(d, &all);

    if (st == FM_OK && (st = fm_journal_voided_get(d->plan.journal, &voided)) != FM_OK)
        fm_decisions_fini(&all);
    if (st != FM_OK)
        return st;
    *out = DECIDED_NOT_YET;
    e = fm_decisions_on(&all, hash, &d->approvers);
    if (e && e->d.verdict == FM_VERDICT_REFUSE) {
        *out = DECIDED_NO;
        (void)snprintf(why, WHY_MAX, "those who decide for this node refuse the plan%s%s",
                       *e->d.note ? ": " : "", e->d.note);
    } else if (e && e->d.until_s > 0 && fm_clock_wall_s() > e->d.until_s && d->plan.charged == 0) {
        (void)snprintf(why, WHY_MAX, "the approval (decision %llu) has expired",
                       (unsigned long long)e->d.number);
    } else if (e || (d->config.policy.approval == FM_APPROVAL_POLICY && voided.times == 0)) {
        *out = DECIDED_YES;
    } else if (d->config.policy.approval == FM_APPROVAL_CHANGES && voided.times == 0 &&
               !fm_decisions_know(&all, plan->federation)) {
        *out = DECIDED_YES;
        st = decide_by_policy(d, plan, hash);
    } else {
        (void)snprintf(why, WHY_MAX, "%s",
                       voided.times > 0 && all.count == 0
                           ? "the decisions that there were are void (fedmoe-node plan reset)"
                       : all.count > 0
                           ? "the decisions that are there are about other plans, or not "
                             "by those whose decisions count"
                           : "nobody has decided yet");
    }
    fm_decisions_fini(&all);
    return st;
}

static fm_status wait_for_people(fm_node_driver *d, const fm_plan *plan, const fm_hash *hash,
                                 const char *why)
{
    if (!d->deciding) {
        if (d->plan.step_ms == 0)
            d->plan.step_ms = fm_node_driver_measure(d, plan);
        fm_log(FM_LOG_WARN,
               "the plan needs a decision (%s): see it with 'fedmoe-node plan --config %s', then "
               "'fedmoe-node plan approve' or 'refuse'",
               why, d->o->config);
    }
    d->deciding = true;
    d->status.state = "deciding";
    (void)snprintf(d->status.reason, sizeof d->status.reason, "waiting for a decision: %s", why);
    fm_node_driver_status(d, true);
    return fm_node_driver_write_plan(d, plan, hash, "waiting", why);
}

fm_status fm_node_driver_decide(void *ctx, const fm_plan *plan, const fm_hash *hash, bool *wait)
{
    fm_node_driver *d = ctx;
    verdict v = DECIDED_NO;
    char why[WHY_MAX] = "";
    fm_status st = judge(d, plan, hash, &v, why), written;

    *wait = st == FM_OK && v == DECIDED_NOT_YET;
    if (*wait)
        return wait_for_people(d, plan, hash, why);
    d->deciding = false;
    if (st != FM_OK)
        (void)snprintf(why, sizeof why, "%s", fm_error_text());
    else if (v == DECIDED_NO)
        st = FM_EPERM;
    written = fm_node_driver_write_plan(d, plan, hash, st == FM_OK ? "approved" : "refused", why);
    if (written != FM_OK)
        return written; /* the data-protection officer could not see what is approved */
    if (st != FM_OK) {
        fm_node_driver_refuse(d);
        return fm_fail(st, "%s", why);
    }
    fm_node_driver_approve(d, plan);
    return FM_OK;
}

/** What the plan's released rounds, and the next, cost together. */
static fm_status reckon(const fm_node_driver *d, const fm_decision *one, fm_decision_round *r)
{
    fm_dp_mechanism m = d->plan.mechanism;

    r->now_s = fm_clock_wall_s();
    r->rounds = d->plan.charged + 1;
    m.count *= r->rounds; /* of local steps a round has several */
    return one->epsilon > 0.0 ? fm_dp_epsilon(&m, 1, d->config.policy.delta, &r->epsilon) : FM_OK;
}

/* A refusal among decisions that were declared void is not undone by that: then somebody has to decide. */
static fm_status allow_undecided(const fm_node_driver *d)
{
    fm_journal_voided voided;
    const fm_status st = fm_journal_voided_get(d->plan.journal, &voided);

    if (st != FM_OK)
        return st;
    return d->config.policy.approval == FM_APPROVAL_POLICY && voided.times == 0
               ? FM_OK
               : fm_fail(FM_EPERM, "no decision that counts is there of this plan any more");
}

static fm_status allow(fm_node_driver *d, const fm_decisions *all, uint64_t round,
                       const char *const *names, uint32_t count)
{
    const fm_decision_entry *e = fm_decisions_on(all, &d->plan.hash, &d->approvers);
    fm_decision_round next = { 0 };
    fm_status st;

    if (!e)
        return allow_undecided(d);
    if ((st = reckon(d, &e->d, &next)) != FM_OK)
        return st;
    if (d->allowed_round == round) /* it was begun in time */
        next.now_s = d->allowed_s;
    if ((st = fm_decision_check(&e->d, &next)) != FM_OK || count == 0)
        return st;
    if ((st = fm_decision_check_company(&e->d, names, count)) == FM_OK) {
        d->allowed_s = next.now_s;
        d->allowed_round = round;
    }
    return st;
}

fm_status fm_node_driver_allow(void *ctx, uint64_t round, const char *const *names, uint32_t count)
{
    fm_node_driver *d = ctx;
    fm_decisions all = { 0 };
    fm_status st = read_all(d, &all);

    if (st == FM_OK)
        st = allow(d, &all, round, names, count);
    fm_decisions_fini(&all);
    if (st == FM_OK || st == FM_ESTATE)
        return st;
    /* A file that cannot be read ends this node's part, not the process. */
    return fm_node_driver_left(d, FM_EPERM);
}
