/* The machine's effects, made real. */
#include <stdio.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/log.h"
#include "policy_internal.h"
#include "run_internal.h"

#define REFUSAL_LINGER_MS 300u /* for the answer to leave */
/* The aggregator adds, steps and syncs a model of a hundred million parameters in ten seconds. */
#define SILENCE_MS 10000u
#define SILENCE_PARAMETERS_A_MS 10000u
#define MAX_REFUSALS 64u /* of one session: more is an aggregator that only fills our log */

/* A lost link is no reason to end the process: the driver reconnects. */
static fm_status port_send(void *ctx, const fm_message *m)
{
    fm_node_driver *d = ctx;
    fm_status st = fm_link_client_send(d->link, m);

    if (st == FM_OK || st == FM_EINVAL || st == FM_ENOMEM)
        return st;
    d->link_lost = true;
    return fm_fail(FM_ENOTFOUND, "%s could not be sent: the link is lost", fm_msg_name(m->type));
}

static fm_status port_use(void *ctx, uint64_t round)
{
    return fm_journal_use(((fm_node_driver *)ctx)->plan.journal, round);
}

static fm_status port_note_sent(void *ctx, uint64_t round, const fm_hash *update, size_t bytes)
{
    return fm_node_driver_note_sent(ctx, round, update, bytes);
}

static fm_status port_commit(void *ctx, uint64_t round, const fm_hash *digest)
{
    return fm_journal_commit(((fm_node_driver *)ctx)->plan.journal, round, digest);
}

static fm_status port_release(void *ctx, uint64_t round, const fm_hash *digest)
{
    fm_node_driver *d = ctx;
    fm_status st = fm_journal_release(d->plan.journal, round, digest);

    if (st == FM_OK)
        fm_history_released(&d->history, &d->plan.hash, round, fm_clock_wall_s(),
                            fm_clock_now_ms());
    return st;
}

static fm_status port_released_commit(void *ctx, uint64_t round, bool *found, fm_hash *digest)
{
    return fm_journal_released_commit(((fm_node_driver *)ctx)->plan.journal, round, found, digest);
}

static bool has_entry(const fm_transcript_entry *entries, uint32_t count, uint64_t round)
{
    for (uint32_t i = 0; i < count; i++)
        if (entries[i].round == round)
            return true;
    return false;
}

static fm_status port_note_abandoned(void *ctx, uint64_t after, const fm_transcript_entry *entries,
                                     uint32_t count)
{
    fm_node_driver *d = ctx;
    const uint64_t last = entries[count - 1].round;
    bool found = last > after, fresh = false;
    uint64_t round = after;
    fm_status st = FM_OK;

    while (found && st == FM_OK &&
           (st = fm_journal_next_released(d->plan.journal, round, last, &found, &round)) == FM_OK) {
        if (!found || has_entry(entries, count, round))
            continue;
        st = fm_journal_abandon(d->plan.journal, round, &fresh);
        fm_history_abandoned(&d->history, &d->plan.hash, round);
        if (st == FM_OK && fresh)
            fm_log(FM_LOG_WARN,
                   "round %llu, which this node had released, was abandoned: it is not in the "
                   "transcript",
                   (unsigned long long)round);
    }
    return st;
}

static fm_status port_head(void *ctx, uint64_t round, const fm_hash *head)
{
    fm_node_driver *d = ctx;
    fm_status st = fm_journal_head(d->plan.journal, round, head);

    if (st == FM_OK)
        d->plan.finished = round;
    return st;
}

fm_ledger_entry fm_node_driver_entry(const fm_node_driver *d, uint64_t round)
{
    return (fm_ledger_entry){
        .data_set = d->config.data_set,
        .federation = d->plan.federation,
        .purpose = d->plan.purpose,
        .plan = d->plan.hash,
        .round = round,
        .mechanism = d->plan.mechanism,
        .unit = d->plan.unit,
    };
}

static fm_status port_can_afford(void *ctx, uint64_t round)
{
    fm_node_driver *d = ctx;
    fm_ledger_entry e = fm_node_driver_entry(d, round);
    fm_ledger_budget b = fm_node_policy_budget(&d->config.policy);
    fm_status st = fm_dp_mask_release_check(d->plan.mask_density, d->plan.charged);

    if (st == FM_OK)
        st = fm_ledger_check(d->ledger, &e, &b);
    return st == FM_EBUDGET ? fm_node_driver_left(d, st) : st;
}

static fm_status port_charge(void *ctx, uint64_t round, fm_hash *ledger_head)
{
    fm_node_driver *d = ctx;
    fm_ledger_entry e = fm_node_driver_entry(d, round);
    fm_ledger_budget b = fm_node_policy_budget(&d->config.policy);
    fm_status st = fm_dp_mask_release_check(d->plan.mask_density, d->plan.charged);

    if (st != FM_OK || (st = fm_ledger_charge(d->ledger, &e, &b)) != FM_OK)
        return st == FM_EBUDGET ? fm_node_driver_left(d, st) : st;
    d->plan.charged++;
    d->history.releases += e.mechanism.count;
    if (d->plan.correction)
        fm_node_correction_charged(d->plan.correction, round);
    return fm_ledger_head(d->ledger, ledger_head);
}

static fm_status port_check_mark(void *ctx, const fm_ledger_mark *mark)
{
    return fm_node_books_check_mark(ctx, mark);
}

/** Before its list: a list whose CA is not pinned could not be read again. */
static fm_status keep_successor(const fm_node_driver *d, const fm_trust *fresh)
{
    const size_t last = fm_trust_ca_count(fresh) - 1;
    const fm_cert_info *now = fm_trust_ca_info(fresh, last);
    const fm_cert_info *had = fm_trust_ca_info(d->trust, fm_trust_ca_count(d->trust) - 1);
    char hex[2 * FM_HASH_BYTES + 1], end[32];
    fm_status st;

    if (fm_hash_equal(&now->fingerprint, &had->fingerprint))
        return FM_OK;
    if ((st = fm_trust_save_cas(fresh, d->config.identity_dir)) != FM_OK)
        return st;
    fm_hash_hex(&now->fingerprint, hex);
    fm_clock_format(now->not_after_s, end, sizeof end);
    fm_log(FM_LOG_WARN,
           "the CA has named its successor, which is pinned here from now on, until %s: compare "
           "fingerprint %s with the coordinator's",
           end, hex);
    return FM_OK;
}

static bool has_list(const fm_trust *t, const fm_crl_view *list)
{
    bool has = false;

    for (size_t i = 0; !has && i < fm_trust_list_count(t); i++) {
        fm_crl_view l;

        fm_trust_list(t, i, &l);
        has = l.len == list->len && memcmp(l.der, list->der, l.len) == 0;
    }
    return has;
}

static void say_lists(const fm_trust *old, const fm_trust *fresh)
{
    for (size_t i = 0; i < fm_trust_list_count(fresh); i++) {
        fm_crl_view list;

        fm_trust_list(fresh, i, &list);
        if (!has_list(old, &list))
            fm_log(FM_LOG_INFO, "revocation list %llu of %s is in force here",
                   (unsigned long long)list.number,
                   list.path.count > 0 ? "an intermediate CA" : "the CA");
    }
}

static fm_status port_keep_revocations(void *ctx, fm_trust *fresh)
{
    fm_node_driver *d = ctx;
    fm_status st = keep_successor(d, fresh);

    if (st != FM_OK || (st = fm_trust_save_crl(fresh, d->config.identity_dir)) != FM_OK)
        return st;
    say_lists(d->trust, fresh);
    fm_trust_free(&d->trust);
    d->trust = fresh;
    /* Of a list that revokes the aggregator the driver is to see that it has changed: its next
     * session is not to be. */
    if (fm_peer_recheck(fresh, fm_link_client_server(d->link), fm_clock_wall_s()) == FM_OK)
        d->revocations_seen = fm_node_driver_revocations_changed(d);
    return FM_OK;
}

static fm_status approve(fm_node_driver *d, const fm_plan *plan, const fm_hash *hash,
                         fm_journal_state *state)
{
    fm_status st = fm_node_driver_prepare(d, plan, hash);

    return st == FM_OK ? fm_journal_state_get(d->plan.journal, state) : st;
}

void fm_node_driver_approve(fm_node_driver *d, const fm_plan *plan)
{
    d->approved = true;
    fm_node_driver_weigh_plan(d);
    fm_link_client_set_patience(d->link, SILENCE_MS + plan->parameters / SILENCE_PARAMETERS_A_MS);
    d->status.state = "joined";
    d->status.reason[0] = '\0';
    d->left[0] = '\0';
    d->allowed_round = 0;
}

fm_status fm_node_driver_left(fm_node_driver *d, fm_status st)
{
    (void)snprintf(d->left, sizeof d->left, "%s", fm_error_text());
    return st;
}

void fm_node_driver_refuse(fm_node_driver *d)
{
    d->refused = true;
    d->deadline_ms = fm_clock_now_ms() + REFUSAL_LINGER_MS;
}

static fm_status port_approve_plan(void *ctx, const fm_plan *plan, const fm_hash *hash,
                                   uint64_t *last_used, uint64_t *finished_round, fm_hash *head)
{
    fm_node_driver *d = ctx;
    fm_journal_state state = { 0 };
    fm_status written, st;
    char why[1024] = "";

    if (d->refused) /* one answer a start: no plan after another is tried on the records */
        return fm_fail(FM_EPERM, "this node has refused a plan; its people must start it again");
    if ((st = approve(d, plan, hash, &state)) != FM_OK) {
        strncpy(why, fm_error_text(), sizeof why - 1);
        written = fm_node_driver_write_plan(d, plan, hash, "refused", why);
        if (written != FM_OK)
            return written;
        fm_node_driver_refuse(d);
        return fm_fail(st, "%s", why);
    }
    *last_used = state.last_used;
    *finished_round = d->plan.finished = state.finished_round;
    *head = state.head;
    return FM_OK;
}

static bool port_paused(void *ctx)
{
    fm_node_page_act(ctx);
    return fm_node_driver_look_at_pause(ctx);
}

static void keepalive(void *ctx)
{
    fm_link_client_keepalive(((fm_node_driver *)ctx)->link);
    fm_node_page_act(ctx);
}

static fm_status port_train(void *ctx, const uint8_t *model, const fm_dp_pairs *pairs,
                            const fm_dp_round *round, fm_dp_release **out)
{
    fm_node_driver *d = ctx;
    fm_rng rng = fm_rng_system();
    fm_node_correction *c = d->plan.correction;
    fm_node_step_input in = { .model = d->plan.weights,
                              .pairs = pairs,
                              .round = round,
                              .rng = &rng,
                              .keepalive = keepalive,
                              .keepalive_ctx = d };
    uint64_t begin = fm_clock_now_ns();
    fm_dp_release *release = NULL;
    fm_status st;

    fm_node_floats(model, d->plan.weights, d->plan.parameters);
    if (c)
        in.correction = fm_node_correction_of(c, d->plan.finished, d->plan.weights);
    if ((st = fm_node_step_run(d->plan.step, &in, &release)) != FM_OK)
        return st;
    if (c)
        fm_node_correction_made(c, round->round, d->plan.weights, fm_node_step_mean(d->plan.step));
    if ((st = fm_node_driver_trace(d, round->round, fm_clock_now_ns() - begin)) != FM_OK) {
        fm_dp_release_free(&release);
        return st;
    }
    *out = release;
    return FM_OK;
}

static fm_status port_finished(void *ctx, const uint8_t *model, size_t len, uint64_t rounds)
{
    fm_node_driver *d = ctx;

    (void)len;
    d->finished = true;
    d->concluded = rounds;
    d->result = fm_node_driver_write_result(d, model, rounds);
    return d->result;
}

static void port_refused(void *ctx, fm_msg_type what, uint64_t round, const char *why)
{
    fm_node_driver *d = ctx;

    d->status.refusals++;
    if (++d->refusals > MAX_REFUSALS)
        d->link_lost = true;
    if (round)
        fm_log(FM_LOG_WARN, "refused %s of round %llu: %s", fm_msg_name(what),
               (unsigned long long)round, why);
    else
        fm_log(FM_LOG_WARN, "refused %s: %s", fm_msg_name(what), why);
    strncpy(d->status.reason, why, sizeof d->status.reason - 1);
    d->status.reason_s = fm_clock_wall_s();
    if (what == FM_MSG_PLAN_OFFER)
        d->status.state = "refused";
    fm_node_driver_status(d, what == FM_MSG_PLAN_OFFER);
}

static void port_progress(void *ctx, uint64_t round, const char *phase)
{
    fm_node_driver *d = ctx;

    d->progressed = true;
    d->status.phase = phase;
    if (round && !d->finished)
        d->status.round = round;
    if (strcmp(phase, "training") == 0)
        d->status.state = "training";
    if (round)
        fm_log(FM_LOG_DEBUG, "round %llu: %s", (unsigned long long)round, phase);
    else
        fm_log(FM_LOG_INFO, "%s", phase);
    if (strcmp(phase, "released") == 0)
        fm_log(FM_LOG_INFO, "round %llu released", (unsigned long long)round);
    fm_node_driver_status(d, false);
}

fm_node_ports fm_node_driver_ports(fm_node_driver *d)
{
    return (fm_node_ports){
        .ctx = d,
        .send = port_send,
        .use_round = port_use,
        .note_sent = port_note_sent,
        .record_commit = port_commit,
        .record_release = port_release,
        .record_head = port_head,
        .released_commit = port_released_commit,
        .note_abandoned = port_note_abandoned,
        .can_afford = port_can_afford,
        .charge = port_charge,
        .keep_revocations = port_keep_revocations,
        .check_mark = port_check_mark,
        .paused = port_paused,
        .approve_plan = port_approve_plan,
        .decide = fm_node_driver_decide,
        .allow_round = fm_node_driver_allow,
        .train = port_train,
        .finished = port_finished,
        .refused = port_refused,
        .progress = port_progress,
    };
}
