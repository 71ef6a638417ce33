/* Dispatch: which message may come in which phase, and what becomes of a refusal. */
#include "round_internal.h"

#include <stdio.h>
#include <stdlib.h>

fm_status fm_node_round_new(const fm_node_round_config *c, fm_node_round **out)
{
    fm_node_round *m = NULL;
    void *p = NULL;
    fm_status st;

    if (!c || !out || !c->identity || !c->trust || !c->aggregator || !c->keypair || !c->own)
        return fm_fail(FM_EINVAL, "fm_node_round_new: NULL argument");
    if ((st = fm_alloc(1, sizeof *m, &p)) != FM_OK)
        return st;
    m = p;
    m->c = *c;
    m->federation = fm_identity_info(c->identity)->federation;
    m->phase = FM_NODE_WAIT_PLAN;
    *out = m;
    return FM_OK;
}

void fm_node_round_free(fm_node_round **m)
{
    if (!m || !*m)
        return;
    fm_node_round_close(*m);
    fm_node_roster_fini(&(*m)->roster);
    fm_plan_fini(&(*m)->plan);
    fm_node_model_fini(&(*m)->model);
    free(*m);
    *m = NULL;
}

void fm_node_round_close(fm_node_round *m)
{
    fm_dp_release_free(&m->open.release);
    free(m->open.participants);
    free(m->open.groups);
    free(m->open.group);
    free(m->open.survivors);
    m->open = (fm_node_open_round){ 0 };
    if (m->phase == FM_NODE_WAIT_SURVIVORS || m->phase == FM_NODE_WAIT_COMMITS ||
        (m->phase == FM_NODE_WAIT_MODEL && m->pending.what == FM_MSG_ROUND_START))
        m->phase = FM_NODE_WAIT_START;
}

bool fm_node_is_paused(const fm_node_round *m)
{
    return m->c.ports.paused && m->c.ports.paused(m->c.ports.ctx);
}

fm_status fm_node_decline(fm_node_round *m, uint64_t round)
{
    fm_node_round_close(m);
    if (fm_node_send_abandon(m, round, FM_ABANDON_PAUSED, false) == FM_OK)
        fm_node_progress(m, round, "declined");
    return fm_fail(FM_EPERM, FM_ABANDON_PAUSED);
}

fm_status fm_node_round_give_up(fm_node_round *m, uint64_t round, fm_status st)
{
    /* Never the text of the failure: it may name files and figures of this house. */
    const char *why =
        st == FM_EBUDGET ? FM_ABANDON_BUDGET : "this node could not do its part of the round";
    char text[1024];

    (void)snprintf(text, sizeof text, "%s", fm_error_text());
    fm_node_round_close(m);
    if (fm_node_send_abandon(m, round, why, st == FM_EBUDGET) == FM_OK)
        fm_node_progress(m, round, "abandoned");
    return fm_fail(st, "%s", text);
}

fm_node_phase fm_node_round_phase(const fm_node_round *m)
{
    return m->phase;
}

fm_round_view fm_node_round_view(const fm_node_round *m)
{
    return (fm_round_view){
        .federation = m->federation,
        .session = m->roster.session,
        .roster = m->roster.hash,
        .plan = m->plan_hash,
        .model = m->open.model,
        .head = m->transcript.head,
        .round = m->open.number,
        .participants = m->open.participants,
        .participant_count = m->open.participant_count,
    };
}

void fm_node_progress(fm_node_round *m, uint64_t round, const char *phase)
{
    if (m->c.ports.progress)
        m->c.ports.progress(m->c.ports.ctx, round, phase);
}

bool fm_node_contains(const uint32_t *sorted, uint32_t count, uint32_t value)
{
    for (uint32_t i = 0; i < count && sorted[i] <= value; i++)
        if (sorted[i] == value)
            return true;
    return false;
}

fm_status fm_node_take_abandon(fm_node_round *m, const fm_msg_abandon *msg)
{
    if (m->open.number && msg->round != m->open.number)
        return fm_fail(FM_ESTATE, "round %llu is open, not this one",
                       (unsigned long long)m->open.number);
    if (m->open.number) /* otherwise: it was released, or this node was not in it */
        fm_node_progress(m, msg->round, "abandoned");
    fm_node_round_close(m);
    return FM_OK;
}

/** Bit p: the message may come in phase p. */
static unsigned legal_phases(fm_msg_type t)
{
    const unsigned in_round =
        1u << FM_NODE_WAIT_MODEL | 1u << FM_NODE_WAIT_SURVIVORS | 1u << FM_NODE_WAIT_COMMITS;
    const unsigned rostered = in_round | 1u << FM_NODE_WAIT_START;
    const unsigned planned = rostered | 1u << FM_NODE_WAIT_ROSTER;
    const unsigned unplanned = 1u << FM_NODE_WAIT_PLAN | 1u << FM_NODE_WAIT_DECISION;

    switch (t) {
    case FM_MSG_PLAN_OFFER:
        return 1u << FM_NODE_WAIT_PLAN;
    case FM_MSG_ROSTER:
    case FM_MSG_ABANDON:
    case FM_MSG_FINISH:
        return planned;
    case FM_MSG_ROUND_START:
        return rostered;
    case FM_MSG_SURVIVORS:
        return 1u << FM_NODE_WAIT_SURVIVORS;
    case FM_MSG_COMMITS:
        return 1u << FM_NODE_WAIT_COMMITS;
    case FM_MSG_MODEL_PIECE: /* these two: also when they have crossed another message */
    case FM_MSG_UPDATE_WANT:
        return planned | 1u << FM_NODE_FINISHED;
    case FM_MSG_PING:
    case FM_MSG_REVOCATIONS:
        return planned | unplanned | 1u << FM_NODE_FINISHED;
    default:
        return 0; /* a node's own messages, and those of the door */
    }
}

static const char *waits_for(fm_node_phase p)
{
    static const char *const names[] = {
        [FM_NODE_WAIT_PLAN] = "a plan",
        [FM_NODE_WAIT_DECISION] = "people's decision on the plan",
        [FM_NODE_WAIT_ROSTER] = "a roster",
        [FM_NODE_WAIT_START] = "the start of a round",
        [FM_NODE_WAIT_MODEL] = "the model",
        [FM_NODE_WAIT_SURVIVORS] = "the survivors of the round",
        [FM_NODE_WAIT_COMMITS] = "the commits of the round",
        [FM_NODE_FINISHED] = "nothing more: the federation has finished",
    };

    return names[p];
}

static fm_status dispatch(fm_node_round *m, const fm_message *msg, int64_t now_s)
{
    if (msg->type == FM_MSG_REFUSAL)
        return fm_fail(FM_EPERM, "the aggregator refuses this node: %s", msg->refusal.reason);
    if (!(legal_phases(msg->type) & 1u << m->phase))
        return fm_fail(FM_ESTATE, "it came while this node waits for %s", waits_for(m->phase));
    switch (msg->type) {
    case FM_MSG_PLAN_OFFER:
        return fm_node_take_plan_offer(m, &msg->plan_offer, now_s);
    case FM_MSG_ROSTER:
        return fm_node_take_roster(m, &msg->roster, now_s);
    case FM_MSG_ROUND_START:
        return fm_node_take_round_start(m, &msg->round_start, now_s);
    case FM_MSG_SURVIVORS:
        return fm_node_take_survivors(m, &msg->survivors);
    case FM_MSG_COMMITS:
        return fm_node_take_commits(m, &msg->commits);
    case FM_MSG_ABANDON:
        return fm_node_take_abandon(m, &msg->abandon);
    case FM_MSG_FINISH:
        return fm_node_take_finish(m, &msg->finish);
    case FM_MSG_MODEL_PIECE:
        return fm_node_take_model_piece(m, &msg->model_piece);
    case FM_MSG_UPDATE_WANT:
        return fm_node_take_update_want(m, &msg->update_want);
    case FM_MSG_REVOCATIONS:
        return fm_node_take_revocations(m, &msg->revocations, now_s);
    default:
        return FM_OK; /* Ping */
    }
}

static uint64_t round_of(const fm_message *msg)
{
    switch (msg->type) {
    case FM_MSG_ROUND_START:
        return msg->round_start.round;
    case FM_MSG_SURVIVORS:
        return msg->survivors.round;
    case FM_MSG_COMMITS:
        return msg->commits.round;
    case FM_MSG_ABANDON:
        return msg->abandon.round;
    case FM_MSG_UPDATE_WANT:
        return msg->update_want.round;
    default:
        return 0;
    }
}

/** What became of a message: a refusal is told, and ends nothing. */
static fm_status conclude(fm_node_round *m, fm_msg_type type, uint64_t round, fm_status st)
{
    char why[1024];

    if (st == FM_OK)
        return FM_OK;
    /* A copy: the port may fail at something itself. */
    (void)snprintf(why, sizeof why, "%s", fm_error_text());
    if (m->c.ports.refused)
        m->c.ports.refused(m->c.ports.ctx, type, round, why);
    if (st == FM_EIO || st == FM_ENOMEM || st == FM_EINTERNAL)
        return fm_fail(st, "%s", why);
    return FM_OK;
}

fm_status fm_node_round_take(fm_node_round *m, const fm_message *msg, int64_t now_s)
{
    if (!m || !msg)
        return fm_fail(FM_EINVAL, "fm_node_round_take: NULL argument");
    return conclude(m, msg->type, round_of(msg), dispatch(m, msg, now_s));
}

fm_status fm_node_round_decided(fm_node_round *m)
{
    if (!m)
        return fm_fail(FM_EINVAL, "fm_node_round_decided: NULL argument");
    if (m->phase != FM_NODE_WAIT_DECISION)
        return FM_OK;
    return conclude(m, FM_MSG_PLAN_OFFER, 0, fm_node_answer_plan(m));
}
