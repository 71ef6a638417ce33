/*
 * The driver. One session after the other, with fresh keys each, until the federation has
 * finished, a signal comes, or nothing has moved for retry_s.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/base/random.h"
#include "fedmoe/model/compute.h"
#include "house.h"
#include "policy_internal.h"
#include "run_internal.h"
#include "words.h"

#define RETRY_DEFAULT_S 60
#define POLL_MS 200
#define BACKOFF_FIRST_MS 200
#define BACKOFF_LAST_MS 5000

static volatile sig_atomic_t g_stop;

static void on_stop(int signal_number)
{
    (void)signal_number;
    g_stop = 1;
}

static void watch_signals(void)
{
    struct sigaction a = { .sa_handler = on_stop };

    sigemptyset(&a.sa_mask);
    (void)sigaction(SIGINT, &a, NULL);
    (void)sigaction(SIGTERM, &a, NULL);
    g_stop = 0;
}

static fm_status stopped(void)
{
    return fm_fail(FM_ESTATE, "stopped by a signal before the federation finished; start again to "
                              "go on");
}

static uint64_t retry_ms(const fm_node_driver *d)
{
    return (d->o->retry_s ? d->o->retry_s : RETRY_DEFAULT_S) * 1000u;
}

/* ---- the revocation list: when it changes, a session with what it says now ---- */

static fm_status revocations_path(const fm_node_driver *d, char **out)
{
    return fm_path_join(d->config.identity_dir, "crl.pem", out);
}

int64_t fm_node_driver_revocations_changed(const fm_node_driver *d)
{
    struct stat s;
    char *path = NULL;
    int64_t at = 0;

    if (revocations_path(d, &path) == FM_OK && stat(path, &s) == 0)
        at = (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
    free(path);
    return at;
}

/** The folder's lists, which from now on are the oldest that count. */
static fm_status read_trust(const fm_node_driver *d, fm_trust **out)
{
    const char *dir = d->config.identity_dir;
    fm_trust *t = NULL;
    fm_status st = fm_trust_load(dir, &t);

    if (st == FM_OK && d->trust)
        st = fm_trust_check_newer(d->trust, t);
    if (st == FM_OK)
        st = fm_trust_hold(t, dir);
    if (st == FM_OK)
        *out = t;
    else
        fm_trust_free(&t);
    return st;
}

/** An older list was put there, or the list was taken away: what is in force stays so. */
static fm_status put_back(fm_node_driver *d)
{
    fm_status st;

    fm_log(FM_LOG_WARN, "crl.pem is refused, and the list in force put back: %s", fm_error_text());
    if ((st = fm_trust_save_crl(d->trust, d->config.identity_dir)) == FM_OK)
        d->revocations_seen = fm_node_driver_revocations_changed(d);
    return st;
}

static fm_status load_trust(fm_node_driver *d)
{
    fm_trust *t = NULL;
    int64_t seen = fm_node_driver_revocations_changed(d);
    fm_status st = read_trust(d, &t);

    if (st == FM_EREPLAY && d->trust)
        return put_back(d) == FM_OK ? FM_OK : FM_EIO;
    if (st != FM_OK) /* a list that is just being copied is tried again; nothing is done without */
        return d->trust ? FM_EIO : st;
    fm_trust_free(&d->trust);
    d->trust = t;
    d->revocations_seen = seen;
    return FM_OK;
}

/* ---- one session ---- */

static void end_session(fm_node_driver *d)
{
    fm_link_counters c;

    fm_node_round_free(&d->machine); /* before the link: it borrows its credential */
    if (d->link) {
        c = fm_link_client_counters(d->link);
        d->status.bytes_sent += c.bytes_sent;
        d->status.bytes_received += c.bytes_received;
    }
    fm_link_client_free(&d->link);
    fm_dp_keypair_free(&d->keypair);
}

static fm_status begin_session(fm_node_driver *d)
{
    fm_node_round_config round = { 0 };
    fm_link_client_config link = { 0 };
    fm_status st;

    d->link_lost = d->approved = d->refused = d->progressed = d->deciding = false;
    d->refusals = 0;
    if ((st = fm_node_driver_use_renewed(d)) != FM_OK || (st = load_trust(d)) != FM_OK ||
        (st = fm_dp_keypair_new(&d->keypair)) != FM_OK)
        return st;
    link = (fm_link_client_config){
        .door = d->config.door,
        .door_public = d->config.door_public,
        .identity = d->identity,
        .trust = d->trust,
        .x25519_public = fm_dp_keypair_public(d->keypair),
    };
    if ((st = fm_link_client_connect(&link, &d->link)) != FM_OK)
        return st;
    round = (fm_node_round_config){
        .identity = d->identity,
        .trust = d->trust,
        .aggregator = fm_link_client_server(d->link),
        .keypair = d->keypair,
        .own = fm_link_client_credential(d->link),
        .policy = d->config.policy,
        .ports = fm_node_driver_ports(d),
    };
    return fm_node_round_new(&round, &d->machine);
}

/** FM_ENOTFOUND when the session is over: connect again. */
static fm_status take(fm_node_driver *d, fm_link_event *e)
{
    fm_status st = FM_OK;

    if (e->kind == FM_LINK_GONE && strcmp(e->reason, FM_LINK_REPLACED) == 0)
        return fm_fail(FM_EEXIST,
                       "another process has joined with this node's identity; stop one of the two, "
                       "or have the certificate revoked if the other is not yours");
    if (e->kind == FM_LINK_GONE)
        return fm_fail(FM_ENOTFOUND, "%s", e->reason);
    if (fm_node_driver_revocations_changed(d) != d->revocations_seen)
        return fm_fail(FM_ENOTFOUND, "the revocation list has changed");
    if (e->kind == FM_LINK_MESSAGE)
        st = fm_node_round_take(d->machine, e->message, fm_clock_wall_s());
    if (st == FM_OK && d->link_lost && !d->finished)
        st = fm_fail(FM_ENOTFOUND, "the link to the aggregator is lost");
    return st;
}

static fm_status turn(fm_node_driver *d)
{
    fm_link_event e = { 0 };
    fm_status st = fm_link_client_poll(d->link, POLL_MS, &e);

    fm_log_clock_set(&d->clock);
    if (st != FM_OK)
        return g_stop ? stopped() : st;
    st = take(d, &e);
    fm_message_free(&e.message);
    fm_node_page_act(d);
    if (fm_node_driver_look_at_pause(d) && st == FM_OK && !d->approved && !d->refused)
        st = fm_fail(FM_ENOTFOUND, "paused before a plan was approved");
    if (st == FM_OK && fm_node_driver_may_be_decided(d))
        st = fm_node_round_decided(d->machine);
    return st;
}

static fm_status run_session(fm_node_driver *d)
{
    fm_status st = FM_OK;

    while (st == FM_OK && !d->finished) {
        if (g_stop)
            return stopped();
        if ((st = turn(d)) != FM_OK)
            break;
        fm_node_driver_renew(d);
        fm_node_driver_status_flush(d);
        if (!d->approved && !d->deciding && fm_clock_now_ms() > d->deadline_ms)
            return d->refused
                       ? fm_fail(FM_EPERM, "this node refused the plan: %s", d->status.reason)
                       : fm_fail(FM_ETIMEOUT, "the aggregator offered no plan");
    }
    return st == FM_OK ? d->result : st;
}

/* ---- the run ---- */

static void wait_ms(uint64_t ms)
{
    struct timespec t = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000L };

    (void)nanosleep(&t, NULL); /* a signal ends it early, and is seen by the loop */
}

/** Since the start: what was valid then may now seem to come from the future. */
static bool clock_was_set_back(const fm_node_driver *d)
{
    fm_clock_seen at_start = d->started;

    return fm_clock_step_s(&at_start, fm_clock_wall_s(), fm_clock_now_ms()) < 0;
}

/** Whether trying again may help. A credential that was refused stays refused, unless by a clock
 *  that will be set right. */
static bool is_passing(const fm_node_driver *d, fm_status st)
{
    if (st == FM_ENOTFOUND)
        return !d->refused;
    if (d->link)
        return false;
    return st == FM_ETIMEOUT || st == FM_EIO || (st == FM_EAUTH && clock_was_set_back(d));
}

static fm_status explain_refusal(const fm_node_driver *d, fm_status st)
{
    if (st == FM_ENOTFOUND && d->refused)
        return fm_fail(FM_EPERM, "this node refused the plan: %s", d->status.reason);
    return st;
}

static fm_status one_session(fm_node_driver *d)
{
    fm_status st;

    d->status.state = "connecting";
    d->status.phase = "";
    fm_node_driver_status(d, true);
    if ((st = begin_session(d)) == FM_OK) {
        fm_log(FM_LOG_INFO, "connected to %s", d->config.door);
        d->status.state = "connected";
        fm_node_driver_status(d, true);
        st = run_session(d);
        if (d->progressed)
            d->deadline_ms = fm_clock_now_ms() + retry_ms(d);
    }
    return st;
}

/** No session is begun, and what is tried for retry_s begins anew afterwards. */
static fm_status wait_while_paused(fm_node_driver *d)
{
    if (!fm_node_driver_look_at_pause(d))
        return FM_OK;
    d->status.state = "paused";
    d->status.phase = "";
    fm_node_driver_status(d, true);
    while (fm_node_driver_look_at_pause(d)) {
        if (g_stop)
            return stopped();
        wait_ms(POLL_MS);
        fm_node_page_act(d);
        fm_log_clock_set(&d->clock);
    }
    d->deadline_ms = fm_clock_now_ms() + retry_ms(d);
    return FM_OK;
}

static void say_again(const fm_node_driver *d)
{
    if (d->paused)
        fm_log(FM_LOG_INFO, "out of the session: %s", fm_error_text());
    else
        fm_log(FM_LOG_WARN, "%s; trying again", fm_error_text());
}

static fm_status run_sessions(fm_node_driver *d)
{
    uint64_t backoff = BACKOFF_FIRST_MS, jitter;
    fm_rng rng = fm_rng_system();
    bool passing;
    fm_status st;

    d->deadline_ms = fm_clock_now_ms() + retry_ms(d);
    for (;;) {
        if ((st = wait_while_paused(d)) != FM_OK)
            return st;
        st = one_session(d);
        passing = is_passing(d, st);
        end_session(d);
        if (st == FM_OK && d->o->once)
            return FM_OK;
        if (g_stop)
            return st == FM_OK ? FM_OK : stopped();
        if (st != FM_OK && (!passing || fm_clock_now_ms() >= d->deadline_ms))
            return explain_refusal(d, st);
        backoff = d->progressed ? BACKOFF_FIRST_MS : backoff;
        if (st == FM_OK)
            backoff = BACKOFF_LAST_MS; /* served on: look again for a new plan now and then */
        else
            say_again(d);
        d->finished = false;
        jitter = fm_rng_below(&rng, backoff / 4 + 1);
        wait_ms(backoff + jitter);
        backoff = backoff * 2 < BACKOFF_LAST_MS ? backoff * 2 : BACKOFF_LAST_MS;
    }
}

static fm_status first_problem(void *ctx, const char *what, fm_status st)
{
    (void)ctx;
    (void)what;
    return st;
}

static void say_whose(const fm_node_driver *d)
{
    char text[512];

    if (fm_house_is_foreign(&d->config, d->o->config, text, sizeof text))
        fm_log(FM_LOG_WARN, "%s", text);
}

static fm_status open_house(fm_node_driver *d)
{
    char label[FM_NAME_MAX + 8];
    uint64_t entries = 0;
    fm_status st;

    if ((st = fm_node_config_load(d->o->config, &d->config)) != FM_OK ||
        (st = fm_house_look(&d->config, d->o->config, first_problem, NULL)) != FM_OK ||
        (st = fm_house_identity(&d->config, d->o->config, &d->identity)) != FM_OK ||
        (st = load_trust(d)) != FM_OK ||
        (st = fm_house_self(&d->config, d->identity, d->trust)) != FM_OK)
        return st;
    (void)snprintf(label, sizeof label, "node %s", d->config.name);
    fm_log_set_name(label);
    say_whose(d);
    if ((st = fm_dir_lock(d->config.dir, &d->lock)) != FM_OK ||
        (st = fm_ledger_open(d->config.ledger, &d->ledger)) != FM_OK ||
        (st = fm_ledger_verify(d->ledger, &entries)) != FM_OK ||
        (st = fm_node_driver_open_decisions(d)) != FM_OK ||
        (st = fm_node_driver_pin_schema(d)) != FM_OK)
        return st;
    if ((st = fm_ledger_epsilon(d->ledger, d->config.data_set, NULL, d->config.policy.delta,
                                &d->status.epsilon_spent)) != FM_OK)
        return st;
    if ((st = fm_node_driver_read_history(d)) != FM_OK)
        return st;
    return fm_node_page_open(d);
}

static void close_house(fm_node_driver *d)
{
    end_session(d);
    fm_node_page_close(d);
    fm_node_prepared_fini(&d->plan);
    fm_ledger_close(&d->ledger);
    fm_trust_free(&d->trust);
    fm_identity_free(&d->identity);
    fm_node_config_fini(&d->config);
    fm_buf_fini(&d->schema);
    free(d->decisions);
    fm_dir_unlock(&d->lock);
}

static void say_compute(void)
{
    if (fm_compute_is_portable())
        fm_log(FM_LOG_WARN,
               "compute: %s kernels only; training takes several times as long as on a "
               "processor with AVX-512, or AVX2 with FMA",
               fm_compute_level());
    else
        fm_log(FM_LOG_INFO, "compute: %s kernels", fm_compute_level());
}

/** Of a run that has finished: what was not as the plan has it. "": nothing. */
static void tell_end(const fm_node_driver *d, char *out, size_t cap)
{
    size_t used = 0;

    if (*d->left)
        (void)snprintf(
            out, cap,
            "this node did %llu round%s of the plan and then took part in no further one "
            "(%s); the result is what came of it",
            (unsigned long long)d->plan.charged, d->plan.charged == 1 ? "" : "s", d->left);
    used = strlen(out);
    if (d->concluded < d->plan.rounds && used < cap)
        (void)snprintf(out + used, cap - used, "%sthe aggregator concluded after %llu of %u rounds",
                       used ? "; " : "", (unsigned long long)d->concluded, d->plan.rounds);
}

static const char *last_state(fm_status st)
{
    if (st == FM_OK)
        return "finished";
    return g_stop ? "stopped" : "failed";
}

fm_status fm_node_run(const fm_node_run_options *o)
{
    fm_node_driver d = { .o = o, .lock = -1, .status = { .state = "starting", .phase = "" } };
    char why[1024] = "";
    fm_status st;

    if (!o || !o->config)
        return fm_fail(FM_EINVAL, "fm_node_run: NULL argument");
    watch_signals();
    (void)fm_clock_step_s(&d.started, fm_clock_wall_s(), fm_clock_now_ms());
    if ((st = open_house(&d)) == FM_OK) {
        if (fm_node_policy_is_open(&d.config.policy))
            fm_log(FM_LOG_WARN, "policy.epsilon is %g: nothing in these records is kept private",
                   d.config.policy.epsilon);
        say_compute();
        st = run_sessions(&d);
        if (st == FM_OK && !g_stop &&
            (st = fm_ledger_epsilon(d.ledger, d.config.data_set, NULL, d.config.policy.delta,
                                    &d.status.epsilon_spent)) == FM_OK)
            fm_log(FM_LOG_INFO, "finished: the %s is %s/%s; epsilon %.4f of %.4f is spent",
                   d.plan.query ? "answer" : "model", d.config.dir, fm_node_driver_result_name(&d),
                   fm_words_up(d.status.epsilon_spent), d.config.policy.epsilon);
        if (st != FM_OK)
            (void)snprintf(why, sizeof why, "%s", fm_error_text());
        else if (!g_stop)
            tell_end(&d, why, sizeof why);
        if (st == FM_OK && *why)
            fm_log(FM_LOG_INFO, "%s", why);
        d.status.state = last_state(st);
        (void)snprintf(d.status.reason, sizeof d.status.reason, "%s", why);
        fm_node_driver_status(&d, true);
        if (st != FM_OK)
            (void)fm_fail(st, "%s", why);
    }
    close_house(&d);
    return st;
}
