/*
 * Roster: every credential against the own pinned CA, all different, oneself among them byte for
 * byte. A roster with a substituted key would let the aggregator stand between two nodes and take
 * their pair masks off.
 */
#include "round_internal.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

void fm_node_roster_fini(fm_node_roster *r)
{
    for (uint32_t i = 0; r->peers && i < r->count; i++)
        fm_peer_free(&r->peers[i]);
    free(r->peers);
    fm_node_unbar(r);
    fm_dp_pairs_free(&r->pairs);
    *r = (fm_node_roster){ 0 };
}

static fm_status find_self(const fm_node_round *m, const fm_msg_roster *msg, uint32_t *out)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < msg->count; i++)
        if (fm_credential_equal(&msg->members[i], m->c.own)) {
            *out = i;
            found++;
        }
    if (found == 1)
        return FM_OK;
    return fm_fail(FM_EAUTH,
                   found ? "this node stands in it %u times"
                         : "this node's credential is not in it as it was sent (%u times)",
                   found);
}

static fm_status check_size(const fm_node_round *m, uint32_t count)
{
    if (count < m->c.policy.min_cohort)
        return fm_fail(FM_EPERM, "it has %u members; the policy of this node wants at least %u",
                       count, m->c.policy.min_cohort);
    if (count > m->plan.max_nodes)
        return fm_fail(FM_EPERM, "it has %u members; the plan allows %u", count, m->plan.max_nodes);
    return FM_OK;
}

/** Names and keys are unique among the first `count` + 1 statements. */
static fm_status check_unique(const fm_statement *s, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(s[i].name, s[count].name) == 0)
            return fm_fail(FM_EAUTH, "'%s' stands in it twice", s[i].name);
        if (memcmp(s[i].curve_public, s[count].curve_public, FM_SESSION_KEY_BYTES) == 0 ||
            memcmp(s[i].x25519_public, s[count].x25519_public, FM_SESSION_KEY_BYTES) == 0)
            return fm_fail(FM_EAUTH, "'%s' and '%s' have a key in common", s[i].name,
                           s[count].name);
    }
    return FM_OK;
}

/** Verify all members into r->peers and statements[count]. */
static fm_status verify_members(const fm_node_round *m, const fm_msg_roster *msg, int64_t now_s,
                                fm_node_roster *r, fm_statement *statements)
{
    void *p = NULL;
    fm_status st = fm_alloc(msg->count, sizeof(fm_peer *), &p);

    if (st != FM_OK)
        return st;
    r->peers = p;
    r->count = msg->count;
    for (uint32_t i = 0; i < msg->count; i++) {
        st = fm_credential_verify(m->c.trust, &msg->members[i], FM_ROLE_NODE, now_s, &statements[i],
                                  &r->peers[i]);
        if (st != FM_OK)
            return fm_fail_context(st, "member %u: ", i);
        if ((st = check_unique(statements, i)) != FM_OK)
            return st;
    }
    return FM_OK;
}

static fm_status derive_pairs(const fm_node_round *m, const fm_statement *statements,
                              fm_node_roster *r)
{
    uint8_t(*keys)[FM_DP_KEY_BYTES] = NULL;
    fm_dp_roster dp = { .federation = m->federation, .members = r->count, .self = r->self };
    void *p = NULL;
    fm_status st = fm_alloc(r->count, sizeof *keys, &p);

    if (st != FM_OK)
        return st;
    keys = p;
    for (uint32_t i = 0; i < r->count; i++)
        memcpy(keys[i], statements[i].x25519_public, FM_DP_KEY_BYTES);
    memcpy(dp.session, r->session.bytes, FM_DP_SESSION_BYTES);
    dp.roster = r->hash;
    dp.public_keys = (const uint8_t(*)[FM_DP_KEY_BYTES])keys;
    st = fm_dp_pairs_new(m->c.keypair, &dp, &r->pairs);
    free(keys);
    return st;
}

fm_status fm_node_take_roster(fm_node_round *m, const fm_msg_roster *msg, int64_t now_s)
{
    fm_node_roster fresh = { .session = msg->session };
    fm_statement *statements = NULL;
    void *p = NULL;
    fm_status st;

    if ((st = check_size(m, msg->count)) != FM_OK ||
        (st = find_self(m, msg, &fresh.self)) != FM_OK ||
        (st = fm_alloc(msg->count, sizeof *statements, &p)) != FM_OK)
        return st;
    statements = p;
    if ((st = verify_members(m, msg, now_s, &fresh, statements)) != FM_OK)
        goto done;
    fresh.hash = fm_roster_digest(msg);
    if ((st = derive_pairs(m, statements, &fresh)) != FM_OK)
        goto done;

    if (m->open.number)
        fm_node_progress(m, m->open.number, "abandoned");
    fm_node_round_close(m);
    fm_node_roster_fini(&m->roster);
    m->roster = fresh; /* ownership moves to the machine */
    fresh = (fm_node_roster){ 0 };
    m->phase = FM_NODE_WAIT_START;
    fm_node_progress(m, 0, "roster verified");
    st = fm_node_send_roster_answer(m, &m->roster.hash);
done:
    fm_node_roster_fini(&fresh);
    free(statements);
    return st;
}
