/*
 * Survivors, answered by the one Commit of the round; Commits, answered by its one Release.
 * docs/privacy.md, "Two survivor sets": with t > (|P| + colluders) / 2 two sets of survivors share
 * an honest node, which commits to one of them only.
 */
#include "round_internal.h"

#include <string.h>

static fm_status check_round(const fm_node_round *m, uint64_t round)
{
    if (round != m->open.number)
        return fm_fail(FM_ESTATE, "round %llu is open, not this one",
                       (unsigned long long)m->open.number);
    return FM_OK;
}

/* The sum that this node's update is in is that of its group alone. */
static fm_status check_groups(const fm_node_round *m, const fm_msg_survivors *msg)
{
    const fm_groups *g = m->open.groups;
    const uint32_t own = g->of[m->roster.self];
    uint32_t count = 0;
    fm_status st = fm_groups_check(g, &m->plan, msg->survivors, msg->count);

    for (uint32_t i = 0; st == FM_OK && i < msg->count; i++)
        count += g->of[msg->survivors[i]] == own;
    if (st == FM_OK && count < m->c.policy.min_cohort)
        st = fm_fail(FM_EPERM,
                     "%u updates of its group arrived; this node releases with at least %u", count,
                     m->c.policy.min_cohort);
    return st;
}

static fm_status check_set(const fm_node_round *m, const fm_msg_survivors *msg)
{
    uint32_t least =
        m->c.policy.min_cohort > m->plan.quorum ? m->c.policy.min_cohort : m->plan.quorum;

    if (msg->count < least)
        return fm_fail(FM_EPERM, "%u updates arrived; this node releases with at least %u",
                       msg->count, least);
    for (uint32_t i = 0; i < msg->count; i++) {
        if (i > 0 && msg->survivors[i] <= msg->survivors[i - 1])
            return fm_fail(FM_EPROTO, "the survivors are not in increasing order");
        if (!fm_node_contains(m->open.participants, m->open.participant_count, msg->survivors[i]))
            return fm_fail(FM_EPROTO, "survivor %u is not a participant of the round",
                           msg->survivors[i]);
    }
    if (!fm_node_contains(msg->survivors, msg->count, m->roster.self))
        return fm_fail(FM_EPROTO, "this node is not among the survivors: its update came late");
    if (check_groups(m, msg) != FM_OK)
        return FM_EPERM;
    return fm_node_check_barred(m, msg->survivors, msg->count);
}

/** Own update as sent; every update signed by its node for this very round. */
static fm_status check_updates(const fm_node_round *m, const fm_msg_survivors *msg)
{
    fm_round_view view = fm_node_round_view(m);
    fm_hash digest;

    for (uint32_t i = 0; i < msg->count; i++) {
        uint32_t node = msg->survivors[i];
        const fm_peer *peer = m->roster.peers[node];
        const fm_bytes sig = msg->update_signatures[i];

        if (node == m->roster.self && !fm_hash_equal(&msg->update_hashes[i], &m->open.update))
            return fm_fail(FM_EPROTO, "its hash of this node's update is not that of what was "
                                      "sent");
        digest = fm_update_digest(&view, node, &msg->update_hashes[i]);
        if (fm_peer_check_signature(peer, FM_LABEL_UPDATE, digest.bytes, FM_HASH_BYTES, sig.data,
                                    sig.len) != FM_OK)
            return fm_fail(FM_EAUTH,
                           "the update of '%s' does not bear its signature for this "
                           "round",
                           fm_peer_info(peer)->name);
    }
    return FM_OK;
}

static fm_status keep_survivors(fm_node_round *m, const fm_msg_survivors *msg)
{
    fm_round_view view = fm_node_round_view(m);
    void *p = NULL;
    fm_status st = fm_alloc(msg->count, sizeof *m->open.survivors, &p);

    if (st != FM_OK)
        return st;
    m->open.survivors = p;
    memcpy(p, msg->survivors, msg->count * sizeof *m->open.survivors);
    m->open.survivor_count = msg->count;
    m->open.commit = fm_commit_digest(&view, msg->survivors, msg->update_hashes, msg->count);
    return FM_OK;
}

fm_status fm_node_take_survivors(fm_node_round *m, const fm_msg_survivors *msg)
{
    const fm_node_ports *ports = &m->c.ports;
    fm_status st;

    if ((st = check_round(m, msg->round)) != FM_OK || (st = check_set(m, msg)) != FM_OK ||
        (st = check_updates(m, msg)) != FM_OK ||
        (st = fm_node_check_sum_allowed(m, msg->survivors, msg->count)) != FM_OK)
        return st;

    if ((st = keep_survivors(m, msg)) == FM_OK &&
        (st = ports->record_commit(ports->ctx, m->open.number, &m->open.commit)) == FM_OK &&
        (st = fm_node_send_commit(m)) == FM_OK) {
        m->phase = FM_NODE_WAIT_COMMITS;
        fm_node_progress(m, msg->round, "committed");
        return FM_OK;
    }
    return fm_node_round_give_up(m, msg->round, st);
}

static fm_status check_commits(const fm_node_round *m, const fm_msg_commits *msg)
{
    if (msg->count != m->open.survivor_count)
        return fm_fail(FM_EPROTO, "it has %u commits; the round has %u survivors", msg->count,
                       m->open.survivor_count);
    for (uint32_t i = 0; i < msg->count; i++) {
        const fm_peer *peer = m->roster.peers[m->open.survivors[i]];

        if (fm_peer_check_signature(peer, FM_LABEL_COMMIT, m->open.commit.bytes, FM_HASH_BYTES,
                                    msg->signatures[i].data, msg->signatures[i].len) != FM_OK)
            return fm_fail(FM_EAUTH, "'%s' has not committed to the round as this node saw it",
                           fm_peer_info(peer)->name);
    }
    return FM_OK;
}

/** Ledger, journal, and only then the seeds, with a signed mark of the ledger that holds them. */
static fm_status release(fm_node_round *m)
{
    const fm_node_ports *ports = &m->c.ports;
    fm_dp_unmask *unmask = NULL;
    fm_hash ledger_head = { 0 };
    uint32_t with[FM_MAX_NODES]; /* the survivors of its group */
    const uint32_t count = fm_groups_pick(m->open.groups, m->open.groups->of[m->roster.self],
                                          m->open.survivors, m->open.survivor_count, with);
    fm_status st;

    if ((st = ports->charge(ports->ctx, m->open.number, &ledger_head)) == FM_OK &&
        (st = ports->record_release(ports->ctx, m->open.number, &m->open.commit)) == FM_OK &&
        (st = fm_dp_release_unmask(m->open.release, with, count, &unmask)) == FM_OK) {
        m->released = m->open.number;
        m->released_commit = m->open.commit;
        st = fm_node_send_release(m, unmask, &ledger_head);
    }
    fm_dp_unmask_free(&unmask);
    return st;
}

fm_status fm_node_take_commits(fm_node_round *m, const fm_msg_commits *msg)
{
    fm_status st;

    if ((st = check_round(m, msg->round)) != FM_OK || (st = check_commits(m, msg)) != FM_OK ||
        (st = fm_node_check_still_allowed(m)) != FM_OK)
        return st;
    if ((st = release(m)) != FM_OK)
        return fm_node_round_give_up(m, msg->round, st);
    fm_node_round_close(m);
    fm_node_progress(m, msg->round, "released");
    return FM_OK;
}
