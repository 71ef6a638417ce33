#include "fedmoe/aggregator/run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "run_internal.h"

static volatile sig_atomic_t stop_asked;

static void ask_stop(int signal_number)
{
    (void)signal_number;
    stop_asked = 1;
}

static const char *plural(const fm_run *r)
{
    return r->config.plan.rounds == 1 ? "" : "s";
}

static fm_status joined(fm_run *r, const fm_link_event *e, uint64_t now_ms)
{
    run_member *who = fm_run_member(r, e->statement->name);
    fm_status st;

    if (!who)
        return fm_fail(FM_ENOMEM, "no memory for another member");
    who->peer = e->peer;
    fm_reason_set(who->state, FM_RUN_DECIDING);
    r->status_due = true;
    if ((st = fm_run_admit(r, who, e->credential)) != FM_OK)
        return st;
    fm_page_members(r);
    return fm_coordinator_joined(r->coordinator, e->peer, e->credential, e->statement, now_ms,
                                 fm_clock_wall_s());
}

static void say_gone(fm_run *r, const char *name, const char *reason)
{
    char text[FM_NAME_MAX + FM_MAX_REASON_BYTES + 16];

    (void)snprintf(text, sizeof text, "%s is gone: %s", name, reason);
    fm_log(FM_LOG_INFO, "%s", text);
    fm_page_event(r, text);
}

static fm_status handle(fm_run *r, fm_link_event *e)
{
    uint64_t now_ms = fm_clock_now_ms();
    const char *name;
    fm_status st = FM_OK;

    switch (e->kind) {
    case FM_LINK_JOINED:
        st = joined(r, e, now_ms);
        break;
    case FM_LINK_MESSAGE:
        fm_run_member_heard(r, e->peer);
        if (e->message->type == FM_MSG_PLAN_ANSWER && e->message->plan_answer.approved)
            fm_run_member_decided(r, e->peer);
        st = fm_coordinator_take(r->coordinator, e->peer, e->message, now_ms, fm_clock_wall_s());
        break;
    case FM_LINK_GONE:
        if ((name = fm_run_member_gone(r, e->peer, e->reason)))
            say_gone(r, name, e->reason);
        st = e->offence ? fm_coordinator_offended(r->coordinator, e->peer, now_ms)
                        : fm_coordinator_gone(r->coordinator, e->peer, now_ms);
        break;
    case FM_LINK_NONE:
        break;
    }
    fm_message_free(&e->message);
    return st;
}

/* What may wait for the disk: everything was sent that had to be sent. */
static fm_status catch_up(fm_run *r)
{
    uint64_t now_ms = fm_clock_now_ms();
    fm_status st;

    fm_log_clock_set(&r->clock);
    if ((st = fm_coordinator_tick(r->coordinator, now_ms, fm_clock_wall_s())) != FM_OK ||
        (st = fm_state_settle(r->state)) != FM_OK)
        return st;
    fm_run_refresh_status(r, now_ms);
    fm_page_refresh(r, false);
    return FM_OK;
}

/* On standard output, once: what the query has found. */
static fm_status show_answer(const fm_run *r)
{
    const fm_hash plan = fm_plan_hash(r->plan.data, r->plan.len);
    json_t *answer = NULL;
    fm_status st =
        fm_directory_answer(&r->config, r->optimizer, fm_state_finished(r->state), &plan, &answer);

    if (st != FM_OK)
        return st;
    fm_directory_show_answer(stdout, answer);
    json_decref(answer);
    return fflush(stdout) == 0 ? FM_OK : fm_fail(FM_EIO, "standard output cannot be written");
}

static fm_status write_result(fm_run *r)
{
    const fm_hash plan = fm_plan_hash(r->plan.data, r->plan.len);
    const bool asked = r->config.query != NULL;
    const uint64_t finished = fm_state_finished(r->state);
    char *path = NULL;
    fm_status st;

    if (asked && finished == 0) {
        fm_log(FM_LOG_WARN, "concluded without an answer: no round could be finished");
        return FM_OK;
    }
    st = fm_path_join(r->options->dir, asked ? FM_ANSWER_FILE : FM_RESULT_FILE, &path);
    if (st == FM_OK)
        st = fm_directory_write_result(&r->config, r->optimizer, finished, &plan, path);
    if (st == FM_OK)
        fm_log(FM_LOG_INFO, "%s, %llu of %u round%s; the %s is %s",
               finished == r->config.plan.rounds    ? "finished"
               : fm_optimizer_is_done(r->optimizer) ? "finished early"
                                                    : "concluded",
               (unsigned long long)finished, r->config.plan.rounds, plural(r),
               asked ? "answer" : "model", path);
    free(path);
    return st == FM_OK && asked ? show_answer(r) : st;
}

/* Everyone who came has the result, and has left with it. */
static bool all_served(const fm_run *r)
{
    for (size_t i = 0; i < r->member_count; i++)
        if (r->members[i].peer || !r->members[i].has_result)
            return false;
    return r->member_count > 0;
}

static fm_status serve(fm_run *r)
{
    uint64_t finished_ms = 0;
    fm_status st = FM_OK;

    while (st == FM_OK && !stop_asked) {
        fm_link_event e = { 0 };
        uint64_t now_ms = fm_clock_now_ms();

        if (fm_coordinator_get_phase(r->coordinator) == FM_COORD_FINISHED) {
            if (finished_ms == 0) {
                finished_ms = now_ms;
                if ((st = write_result(r)) != FM_OK)
                    break;
                fm_run_write_status(r, NULL);
                fm_page_refresh(r, true);
            }
            if (all_served(r) || now_ms - finished_ms >= r->options->linger_s * 1000)
                break;
        }
        st = fm_link_server_poll(r->link, fm_coordinator_wait_ms(r->coordinator, now_ms), &e);
        /* Before anything that may start a round: none starts by a list that is not the newest. */
        if (st == FM_OK && (st = fm_run_watch_crl(r, fm_clock_now_ms())) != FM_OK)
            fm_message_free(&e.message);
        if (st == FM_OK)
            st = handle(r, &e);
        if (st == FM_OK)
            st = catch_up(r);
    }
    return st;
}

static void say_stopped(fm_run *r)
{
    fm_run_write_status(r, "stopped");
    fm_log(FM_LOG_INFO, "stopped after %llu of %u round%s; start again to go on",
           (unsigned long long)fm_state_finished(r->state), r->config.plan.rounds, plural(r));
}

fm_status fm_aggregator_run(const fm_aggregator_run_options *o)
{
    struct sigaction on_stop = { .sa_handler = ask_stop };
    fm_run r = { .options = o, .lock = -1 };
    char why[1024] = "";
    fm_status st;

    fm_log_set_name("aggregator");
    (void)sigaction(SIGINT, &on_stop, NULL);
    (void)sigaction(SIGTERM, &on_stop, NULL);
    if ((st = fm_run_open(&r)) != FM_OK)
        goto done;
    fm_log(FM_LOG_INFO, "door %s; %llu of %u round%s finished before", fm_link_server_door(r.link),
           (unsigned long long)fm_state_finished(r.state), r.config.plan.rounds, plural(&r));
    fm_run_write_status(&r, NULL);
    st = serve(&r);
    if (st == FM_OK && fm_coordinator_get_phase(r.coordinator) == FM_COORD_FINISHED)
        fm_run_write_status(&r, NULL);
    else if (st == FM_OK)
        say_stopped(&r);
done:
    if (st != FM_OK)
        (void)snprintf(why, sizeof why, "%s", fm_error_text());
    if (st != FM_OK && r.lock >= 0)
        fm_run_write_failed(&r, why);
    fm_run_close(&r); /* which may fail in its turn: the first reason is the one to know */
    return st == FM_OK ? FM_OK : fm_fail(st, "%s", why);
}
