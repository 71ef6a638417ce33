/*
 * RoundStart: the whole message is checked, then the effects follow in the order in which they
 * must become durable: transcript head, budget, round number, training, sending. Where the model is
 * not held, they wait until it has come.
 */
#include "round_internal.h"

#include <stdio.h>
#include <string.h>

static fm_status check_number(const fm_node_round *m, uint64_t round)
{
    if (round > m->last_used && round > m->transcript.round)
        return FM_OK;
    return fm_fail(FM_EREPLAY,
                   "round %llu is over: this node has used round %llu and knows round "
                   "%llu to be finished",
                   (unsigned long long)round, (unsigned long long)m->last_used,
                   (unsigned long long)m->transcript.round);
}

static fm_status check_binding(const fm_node_round *m, const fm_msg_round_start *msg)
{
    if (!fm_hash_equal(&msg->plan_hash, &m->plan_hash))
        return fm_fail(FM_EPROTO, "it is of another plan than the one that this node approved");
    if (memcmp(msg->session.bytes, m->roster.session.bytes, FM_SESSION_BYTES) != 0)
        return fm_fail(FM_EPROTO, "it is of another session");
    if (!fm_hash_equal(&msg->roster_hash, &m->roster.hash))
        return fm_fail(FM_EPROTO, "it is of another roster than the one that this node verified");
    return FM_OK;
}

static fm_status check_signature(const fm_node_round *m, const fm_msg_round_start *msg)
{
    fm_hash digest = fm_round_start_digest(m->federation, msg);

    return fm_peer_check_signature(m->c.aggregator, FM_LABEL_ROUND_START, digest.bytes,
                                   FM_HASH_BYTES, msg->signature.data, msg->signature.len);
}

static fm_status check_count(const fm_node_round *m, uint32_t count)
{
    uint32_t least =
        m->c.policy.min_cohort > m->plan.min_cohort ? m->c.policy.min_cohort : m->plan.min_cohort;

    if (count < least)
        return fm_fail(FM_EPERM, "it has %u participants; this node takes part with at least %u",
                       count, least);
    if (count < m->plan.quorum)
        return fm_fail(FM_EPERM, "it has %u participants; the plan's quorum is %u", count,
                       m->plan.quorum);
    if (m->plan.quorum < fm_plan_min_quorum(count, m->plan.colluders))
        return fm_fail(FM_EPERM,
                       "a quorum of %u is too small for %u participants of which %u may collude",
                       m->plan.quorum, count, m->plan.colluders);
    return FM_OK;
}

static fm_status check_participants(const fm_node_round *m, const fm_msg_round_start *msg,
                                    int64_t now_s)
{
    const uint32_t *p = msg->participants;
    const fm_cert_info *info;
    fm_status st = check_count(m, msg->participant_count);

    if (st != FM_OK)
        return st;
    for (uint32_t i = 0; i < msg->participant_count; i++) {
        if (p[i] >= m->roster.count || (i > 0 && p[i] <= p[i - 1]))
            return fm_fail(FM_EPROTO, "its participants are not increasing places in the roster");
        info = fm_peer_info(m->roster.peers[p[i]]);
        if (now_s < info->not_before_s)
            return fm_fail(FM_EAUTH,
                           "the certificate of '%s' is not valid yet: this machine's clock was set "
                           "back since the roster; check it",
                           info->name);
        if (now_s > info->not_after_s)
            return fm_fail(FM_EAUTH, "the certificate of '%s' has expired since the roster",
                           info->name);
    }
    if (!fm_node_contains(p, msg->participant_count, m->roster.self))
        return fm_fail(FM_EPROTO, "this node is not among its participants");
    return FM_OK;
}

/** Of a round that is one in all else; `open`: it is the open one, and ends with this. */
static fm_status check_barred(fm_node_round *m, uint64_t round, const uint32_t *participants,
                              uint32_t count, bool open)
{
    char text[1024];
    fm_status st = fm_node_check_barred(m, participants, count);

    if (st == FM_OK)
        return st;
    (void)snprintf(text, sizeof text, "%s", fm_error_text());
    if (open)
        fm_node_round_close(m);
    fm_node_refuse_revoked(m, round);
    return fm_fail(st, "%s", text);
}

/** Where the transcript ends, the model is the one that it names. */
static fm_status check_model(const fm_msg_round_start *msg, const fm_node_transcript *known)
{
    if (msg->round <= known->round)
        return fm_fail(FM_EREPLAY, "round %llu is in its own transcript already",
                       (unsigned long long)msg->round);
    if (known->model_known && !fm_hash_equal(&known->model, &msg->model_hash))
        return fm_fail(FM_EPROTO, "its model is not the one that the transcript ends with");
    return FM_OK;
}

/** Copy what the round is about into m->open and m->pending. */
static fm_status open_round(fm_node_round *m, const fm_msg_round_start *msg,
                            const fm_node_transcript *known)
{
    void *p = NULL;
    fm_status st = fm_alloc(msg->participant_count, sizeof *m->open.participants, &p);

    if (st != FM_OK)
        return st;
    m->open.participants = p;
    memcpy(p, msg->participants, msg->participant_count * sizeof *m->open.participants);
    m->open.participant_count = msg->participant_count;
    m->open.number = msg->round;
    m->open.model = msg->model_hash;
    m->open.until = FM_FIRST_PIECE_BYTES;
    m->pending = (fm_node_pending){ .what = FM_MSG_ROUND_START, .known = *known };
    m->phase = FM_NODE_WAIT_MODEL;
    return FM_OK;
}

/* Drawn here, from what this node has checked: nobody tells it with whom it is summed. */
static fm_status draw_groups(fm_node_round *m)
{
    const fm_round_view view = fm_node_round_view(m);
    fm_node_open_round *o = &m->open;
    void *groups = NULL, *group = NULL;
    fm_status st;

    if ((st = fm_alloc(1, sizeof *o->groups, &groups)) != FM_OK)
        return st;
    o->groups = groups;
    if ((st = fm_alloc(o->participant_count, sizeof *o->group, &group)) != FM_OK)
        return st;
    o->group = group;
    if ((st = fm_groups_draw(&m->plan, &view, o->groups)) != FM_OK)
        return st;
    o->group_count = fm_groups_pick(o->groups, o->groups->of[m->roster.self], o->participants,
                                    o->participant_count, o->group);
    return FM_OK;
}

static fm_status make_update(fm_node_round *m)
{
    const fm_node_ports *ports = &m->c.ports;
    const fm_dp_round round = {
        .round = m->open.number,
        .plan = m->plan_hash,
        .model = m->open.model,
        .participants = m->open.participants,
        .participant_count = m->open.participant_count,
        .mask_density = m->plan.mask_density,
        .group = m->open.group,
        .group_count = m->open.group_count,
    };
    fm_status st;

    if ((st = ports->can_afford(ports->ctx, round.round)) != FM_OK ||
        (st = ports->use_round(ports->ctx, round.round)) != FM_OK)
        return st;
    m->last_used = round.round; /* whatever happens from here on */
    fm_node_progress(m, round.round, "training");
    if ((st = ports->train(ports->ctx, m->model.bytes, m->roster.pairs, &round,
                           &m->open.release)) != FM_OK)
        return st;
    m->open.update = fm_dp_release_hash(m->open.release);
    m->phase = FM_NODE_WAIT_SURVIVORS;
    return FM_OK;
}

fm_status fm_node_begin_round(fm_node_round *m)
{
    const uint64_t round = m->open.number;
    fm_status st;

    /* A list may have come while the model did. */
    if ((st = check_barred(m, round, m->open.participants, m->open.participant_count, true)) !=
        FM_OK)
        return st;
    if (fm_node_is_paused(m))
        return fm_node_decline(m, round);
    if ((st = fm_node_transcript_record(m, &m->pending.known)) == FM_OK &&
        (st = draw_groups(m)) == FM_OK)
        st = make_update(m);
    if (st == FM_OK && fm_node_is_paused(m)) /* training takes its time */
        return fm_node_decline(m, round);
    if (st == FM_OK)
        st = fm_node_send_update(m);
    return st == FM_OK ? FM_OK : fm_node_round_give_up(m, round, st);
}

fm_status fm_node_take_update_want(fm_node_round *m, const fm_msg_update_want *msg)
{
    const uint64_t round = m->open.number;
    fm_status st;

    if (msg->round != round || m->phase != FM_NODE_WAIT_SURVIVORS || msg->until <= m->open.until)
        return FM_OK; /* it crossed the end of its round, or says nothing new */
    if (!m->open.told && fm_node_is_paused(m))
        return fm_node_decline(m, round);
    m->open.until = msg->until;
    st = fm_node_send_update(m);
    return st == FM_OK ? FM_OK : fm_node_round_give_up(m, round, st);
}

fm_status fm_node_take_round_start(fm_node_round *m, const fm_msg_round_start *msg, int64_t now_s)
{
    fm_node_transcript known = { 0 };
    fm_status st;

    if ((st = check_number(m, msg->round)) != FM_OK || (st = check_binding(m, msg)) != FM_OK ||
        (st = check_signature(m, msg)) != FM_OK ||
        (st = check_participants(m, msg, now_s)) != FM_OK ||
        (st = fm_node_transcript_check(m, msg->entries, msg->entry_count, &msg->head, &known)) !=
            FM_OK ||
        (st = check_model(msg, &known)) != FM_OK ||
        (st = check_barred(m, msg->round, msg->participants, msg->participant_count, false)) !=
            FM_OK ||
        (st = fm_node_check_allowed(m, msg->round, msg->participants, msg->participant_count)) !=
            FM_OK)
        return st;

    if (m->open.number)
        fm_node_progress(m, m->open.number, "abandoned");
    if (fm_node_is_paused(m))
        return fm_node_decline(m, msg->round);
    fm_node_round_close(m);
    if ((st = fm_node_transcript_note(m, msg->entries, msg->entry_count)) == FM_OK &&
        (st = open_round(m, msg, &known)) == FM_OK) {
        if (fm_node_model_is_held(m, &msg->model_hash))
            return fm_node_begin_round(m);
        st = fm_node_model_fetch(m, &msg->model_hash);
    }
    return st == FM_OK ? FM_OK : fm_node_round_give_up(m, msg->round, st);
}
