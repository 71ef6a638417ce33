/* PlanOffer: what is offered is read, judged by the policy's port, and answered. */
#include "round_internal.h"

#include <stdio.h>
#include <string.h>

static bool is_fatal(fm_status st)
{
    return st == FM_EIO || st == FM_ENOMEM || st == FM_EINTERNAL;
}

/**
 * The answer leaves the building. What the policy says of the plan's own figures may; for all else,
 * records and budget among it, there is one sentence: with a second one, an aggregator could make
 * plans whose answers read the records out.
 */
static const char *public_reason(fm_status why, const char *text)
{
    return why == FM_EPERM ? text : "this node cannot take part in the plan; its own log says why";
}

/** Say no, and report the refusal with its full reason here. */
static fm_status decline(fm_node_round *m, const fm_hash *hash, fm_status why)
{
    char text[1024];
    fm_status st;

    (void)snprintf(text, sizeof text, "%s", fm_error_text());
    if ((st = fm_node_send_plan_answer(m, hash, public_reason(why, text))) != FM_OK)
        return st;
    return fm_fail(why, "%s", text);
}

/**
 * What this node itself signed of its ledger must still be in it. A mark that it did not sign (a
 * forged one, or one of before its certificate was renewed) says nothing, and stops nothing.
 */
static fm_status check_mark(fm_node_round *m, const fm_hash *plan, const fm_ledger_mark *mark,
                            int64_t now_s)
{
    fm_hash digest = fm_ledger_mark_digest(m->federation, plan, mark->round, &mark->head);
    fm_peer *self = NULL;
    fm_status st;

    if (mark->round == 0)
        return FM_OK;
    if ((st = fm_credential_peer(m->c.trust, m->c.own, FM_ROLE_NODE, now_s, &self)) != FM_OK)
        return st;
    st = fm_peer_check_signature(self, FM_LABEL_LEDGER_MARK, digest.bytes, FM_HASH_BYTES,
                                 mark->signature.data, mark->signature.len);
    fm_peer_free(&self);
    if (st == FM_EAUTH) {
        fm_node_progress(m, 0, "passed over a ledger mark that this node's key did not sign");
        return FM_OK;
    }
    return st == FM_OK ? m->c.ports.check_mark(m->c.ports.ctx, mark) : st;
}

fm_status fm_node_answer_plan(fm_node_round *m)
{
    const fm_node_ports *ports = &m->c.ports;
    bool wait = false;
    fm_status st =
        ports->decide ? ports->decide(ports->ctx, &m->plan, &m->plan_hash, &wait) : FM_OK;

    if (st != FM_OK) {
        m->phase = FM_NODE_WAIT_PLAN;
        return is_fatal(st) ? st : decline(m, &m->plan_hash, st);
    }
    if (wait) {
        if (m->phase != FM_NODE_WAIT_DECISION)
            fm_node_progress(m, 0, "waiting for a decision on the plan");
        m->phase = FM_NODE_WAIT_DECISION;
        return FM_OK;
    }
    if ((st = fm_node_send_join(m, m->transcript.round, &m->transcript.head)) != FM_OK ||
        (st = fm_node_send_plan_answer(m, &m->plan_hash, NULL)) != FM_OK)
        return st;
    m->phase = FM_NODE_WAIT_ROSTER;
    fm_node_progress(m, 0, "plan approved");
    return FM_OK;
}

fm_status fm_node_take_plan_offer(fm_node_round *m, const fm_msg_plan_offer *msg, int64_t now_s)
{
    fm_hash hash = fm_plan_hash(msg->plan.data, msg->plan.len);
    fm_node_transcript known = { 0 };
    uint64_t last_used = 0;
    fm_plan plan = { 0 };
    fm_status st;

    if ((st = fm_plan_decode(msg->plan.data, msg->plan.len, &plan)) != FM_OK)
        return is_fatal(st) ? st : decline(m, &hash, FM_EPERM);
    if (strcmp(plan.federation, m->federation) != 0) {
        st = fm_fail(FM_EPERM, "the plan is of the federation '%s', this node's is '%s'",
                     plan.federation, m->federation);
        st = decline(m, &hash, st);
        goto done;
    }
    if ((st = check_mark(m, &hash, &msg->mark, now_s)) != FM_OK)
        goto done; /* no answer: whoever reads it would learn what is wrong here */
    if ((st = m->c.ports.approve_plan(m->c.ports.ctx, &plan, &hash, &last_used, &known.round,
                                      &known.head)) != FM_OK) {
        st = is_fatal(st) ? st : decline(m, &hash, st);
        goto done;
    }
    if (known.round == 0) { /* nothing is finished: the first model is the plan's */
        known.model = plan.initial_model;
        known.model_known = true;
    }
    fm_plan_fini(&m->plan); /* of an offer that was refused before */
    m->plan = plan;         /* ownership moves to the machine */
    plan = (fm_plan){ 0 };
    m->plan_hash = hash;
    m->last_used = last_used;
    m->transcript = known;
    st = fm_node_answer_plan(m);
done:
    fm_plan_fini(&plan);
    return st;
}
