#include "fedmoe/aggregator/run.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/base/random.h"
#include "run_internal.h"

static volatile sig_atomic_t stop_asked;

static void ask_stop(int signal_number)
{
    (void)signal_number;
    stop_asked = 1;
}

/* ---- ports of the coordinator ---- */

static fm_status port_send(void *ctx, uint64_t peer, const fm_message *m)
{
    fm_run *r = ctx;

    if (m->type == FM_MSG_ROUND_START && r->round_started_ns == 0)
        r->round_started_ns = fm_clock_now_ns();
    return fm_link_server_send(r->link, peer, m);
}

static void set_member_gone(fm_run *r, uint64_t peer, const char *reason)
{
    for (size_t i = 0; i < r->member_count; i++) {
        if (r->members[i].peer == peer) {
            r->members[i].peer = 0;
            fm_reason_set(r->members[i].state, reason);
        }
    }
}

static void port_drop(void *ctx, uint64_t peer, const char *reason)
{
    fm_run *r = ctx;

    set_member_gone(r, peer, reason);
    fm_link_server_drop(r->link, peer, reason);
}

static fm_status port_next_round(void *ctx, uint64_t *round)
{
    return fm_state_next_round(((fm_run *)ctx)->state, round);
}

static void port_entries(void *ctx, uint64_t round, const fm_transcript_entry **entries,
                         uint32_t *count)
{
    fm_state_entries(((fm_run *)ctx)->state, round, entries, count);
}

static fm_status port_finish(void *ctx, const fm_transcript_entry *e, const fm_optimizer *o)
{
    return fm_state_finish_round(((fm_run *)ctx)->state, e, o);
}

static void port_random(void *ctx, void *out, size_t len)
{
    (void)ctx;
    fm_random_bytes(out, len);
}

static void port_note(void *ctx, const char *text)
{
    (void)ctx;
    fm_log(FM_LOG_INFO, "%s", text);
}

static void port_round_ended(void *ctx, uint64_t round, bool finished, uint32_t survivors,
                             uint32_t participants, const char *reason)
{
    fm_run *r = ctx;

    fm_run_trace(r, round, finished);
    r->round_started_ns = 0;
    if (finished) {
        fm_log(FM_LOG_INFO, "round %llu finished: %u of %u nodes",
               (unsigned long long)round, survivors, participants);
    } else {
        r->abandoned++;
        fm_log(FM_LOG_WARN, "round %llu abandoned: %s", (unsigned long long)round, reason);
    }
    fm_run_write_status(r, "training");
}

/* ---- opening ---- */

static fm_status read_door_key(fm_run *r)
{
    char *path = NULL;
    fm_buf text = { 0 };
    fm_status st;

    if (!(r->door_secret = sodium_malloc(FM_CURVE_KEY_BYTES)))
        return fm_fail(FM_ENOMEM, "no guarded memory for the door key");
    if ((st = fm_path_join(r->options->dir, "door.key", &path)) != FM_OK ||
        (st = fm_file_read_private(path, 64, &text)) != FM_OK)
        goto done;
    if (text.len != 41 || text.data[40] != '\n') {
        st = fm_fail(FM_EPARSE, "%s: not a door key; fedmoe-aggregator init makes one", path);
        goto done;
    }
    text.data[40] = '\0';
    st = fm_curve_parse((const char *)text.data, r->door_secret);
done:
    fm_buf_fini(&text);
    free(path);
    return st;
}

/* plan.bin, made by init, is what members approve; federation.yaml must still say the same. */
static fm_status read_plan(fm_run *r)
{
    char *path = NULL;
    fm_buf now = { 0 };
    fm_plan stored = { 0 };
    fm_status st;

    if ((st = fm_path_join(r->options->dir, "plan.bin", &path)) != FM_OK ||
        (st = fm_file_read(path, FM_MAX_PLAN_BYTES, &r->plan)) != FM_OK ||
        (st = fm_plan_decode(r->plan.data, r->plan.len, &stored)) != FM_OK) {
        (void)fm_fail_context(st, "plan.bin: ");
        goto done;
    }
    memcpy(r->config.plan.run, stored.run, sizeof stored.run);
    if ((st = fm_plan_encode(&r->config.plan, &now)) != FM_OK)
        goto done;
    if (now.len != r->plan.len || memcmp(now.data, r->plan.data, now.len) != 0)
        st = fm_fail(FM_ESTATE,
                     "%s: federation.yaml or the model was changed after init; a changed plan is "
                     "a new run: fedmoe-aggregator init in a new directory",
                     path);
done:
    fm_plan_fini(&stored);
    fm_buf_fini(&now);
    free(path);
    return st;
}

static fm_status open_files(fm_run *r)
{
    char *path = NULL;
    float *first = NULL;
    size_t n;
    fm_hash plan;
    fm_status st;

    if ((st = fm_path_join(r->options->dir, "federation.yaml", &path)) != FM_OK ||
        (st = fm_aggregator_config_load(path, &r->config)) != FM_OK ||
        (st = read_plan(r)) != FM_OK || (st = read_door_key(r)) != FM_OK ||
        (st = fm_identity_load(r->options->dir, &r->identity)) != FM_OK ||
        (st = fm_trust_load(r->options->dir, &r->trust)) != FM_OK)
        goto done;
    n = r->config.plan.parameters;
    if ((st = fm_alloc(n, sizeof *first, (void **)&first)) != FM_OK ||
        (st = fm_safetensors_flat_read(r->config.model, first, n)) != FM_OK ||
        (st = fm_optimizer_new(&r->config.plan, first, n, &r->optimizer)) != FM_OK)
        goto done;
    plan = fm_plan_hash(r->plan.data, r->plan.len);
    st = fm_state_open(r->options->dir, &plan, r->config.model, r->optimizer, &r->state);
done:
    free(first);
    free(path);
    return st;
}

static fm_status open_coordinator(fm_run *r)
{
    fm_link_server_config link = {
        .door = r->config.door,
        .session = r->config.session,
        .door_secret = r->door_secret,
        .identity = r->identity,
        .trust = r->trust,
        .limits = { .max_peers = r->config.plan.max_nodes },
    };
    fm_coordinator_config c = {
        .plan = &r->config.plan,
        .plan_bytes = r->plan.data,
        .plan_len = r->plan.len,
        .identity = r->identity,
        .trust = r->trust,
        .optimizer = r->optimizer,
        .finished = fm_state_finished(r->state),
        .last_round = fm_state_last_round(r->state),
        .head = fm_state_head(r->state),
        .join_ms = r->config.join_s * 1000,
        .phase_ms = r->config.round_s * 1000,
        .ports = { r, port_send, port_drop, port_next_round, port_entries, port_finish,
                   port_random, port_note, port_round_ended },
    };
    fm_status st = fm_coordinator_new(&c, &r->coordinator);

    return st == FM_OK ? fm_link_server_new(&link, &r->link) : st;
}

/* ---- the loop ---- */

static fm_status handle(fm_run *r, fm_link_event *e)
{
    uint64_t now = fm_clock_now_ms();
    run_member *who;
    fm_status st = FM_OK;

    switch (e->kind) {
    case FM_LINK_JOINED:
        if (!(who = fm_run_member(r, e->statement->name)))
            return fm_fail(FM_ENOMEM, "no memory for another member");
        who->peer = e->peer;
        fm_reason_set(who->state, "in");
        st = fm_coordinator_joined(r->coordinator, e->peer, e->credential, e->statement, now,
                                   fm_clock_wall_s());
        fm_run_write_status(r, "training");
        break;
    case FM_LINK_MESSAGE:
        st = fm_coordinator_take(r->coordinator, e->peer, e->message, now, fm_clock_wall_s());
        break;
    case FM_LINK_GONE:
        set_member_gone(r, e->peer, e->reason);
        st = fm_coordinator_gone(r->coordinator, e->peer, now);
        break;
    case FM_LINK_NONE:
        break;
    }
    fm_message_free(&e->message);
    return st;
}

static fm_status write_result(fm_run *r)
{
    char rounds[24];
    char *path = NULL;
    float *flat = NULL;
    size_t n = r->optimizer->n;
    fm_buf buf = { 0 };
    fm_safetensors_meta *meta = NULL;
    size_t kept = fm_safetensors_meta_count(r->config.model), count = 0;
    fm_status st;

    fm_buf_init(&buf, SIZE_MAX);
    snprintf(rounds, sizeof rounds, "%llu", (unsigned long long)fm_state_finished(r->state));
    if ((st = fm_alloc(n, sizeof *flat, (void **)&flat)) != FM_OK ||
        (st = fm_alloc(kept + 2, sizeof *meta, (void **)&meta)) != FM_OK)
        goto done;
    while (count < kept) {
        meta[count] = fm_safetensors_meta_at(r->config.model, count);
        count++;
    }
    meta[count++] = (fm_safetensors_meta){ "fedmoe.federation", r->config.plan.federation };
    meta[count++] = (fm_safetensors_meta){ "fedmoe.rounds", rounds };
    fm_optimizer_result(r->optimizer, flat);
    if ((st = fm_safetensors_encode_flat(r->config.model, flat, n, meta, count, &buf)) != FM_OK ||
        (st = fm_path_join(r->options->dir, "result.safetensors", &path)) != FM_OK)
        goto done;
    st = fm_file_replace(path, buf.data, buf.len, 0644);
done:
    free(meta);
    free(flat);
    free(path);
    fm_buf_fini(&buf);
    return st;
}

/* After the last round: until every member has left, or linger_s. */
static fm_status serve(fm_run *r)
{
    uint64_t finished_at = 0;
    fm_status st = FM_OK;

    while (st == FM_OK && !stop_asked) {
        fm_link_event e = { 0 };
        uint64_t now = fm_clock_now_ms();

        if (fm_coordinator_get_phase(r->coordinator) == FM_COORD_FINISHED) {
            if (finished_at == 0) {
                finished_at = now;
                if ((st = write_result(r)) != FM_OK)
                    break;
                fm_run_write_status(r, "finished");
                fm_log(FM_LOG_INFO, "all %u rounds are finished", r->config.plan.rounds);
            }
            if (fm_coordinator_members(r->coordinator) == 0 ||
                now - finished_at >= r->options->linger_s * 1000)
                break;
        }
        st = fm_link_server_poll(r->link, fm_coordinator_wait_ms(r->coordinator, now), &e);
        if (st == FM_OK)
            st = handle(r, &e);
        if (st == FM_OK)
            st = fm_coordinator_tick(r->coordinator, fm_clock_now_ms(), fm_clock_wall_s());
    }
    return st;
}

static void close_run(fm_run *r)
{
    fm_coordinator_free(&r->coordinator);
    fm_link_server_free(&r->link);
    fm_state_close(&r->state);
    fm_optimizer_free(&r->optimizer);
    fm_identity_free(&r->identity);
    fm_trust_free(&r->trust);
    fm_buf_fini(&r->plan);
    fm_aggregator_config_fini(&r->config);
    sodium_free(r->door_secret);
    if (r->trace)
        fclose(r->trace);
    free(r->members);
}

fm_status fm_aggregator_run(const fm_aggregator_run_options *o)
{
    fm_run r = { .options = o };
    struct sigaction on_stop = { .sa_handler = ask_stop };
    fm_status st;

    fm_log_set_name("aggregator");
    sigaction(SIGINT, &on_stop, NULL);
    sigaction(SIGTERM, &on_stop, NULL);
    if (o->trace && !(r.trace = fopen(o->trace, "we"))) {
        st = fm_fail(FM_EIO, "%s: cannot be written: %s", o->trace, strerror(errno));
        goto done;
    }
    if ((st = open_files(&r)) != FM_OK || (st = open_coordinator(&r)) != FM_OK)
        goto done;
    fm_log(FM_LOG_INFO, "door %s, session %s, plan %u rounds, %llu finished before",
           fm_link_server_door(r.link), fm_link_server_session(r.link), r.config.plan.rounds,
           (unsigned long long)fm_state_finished(r.state));
    fm_run_write_status(&r, "waiting");
    st = serve(&r);
    if (st == FM_OK && stop_asked) {
        fm_run_write_status(&r, "stopped");
        fm_log(FM_LOG_INFO, "stopped; start again to go on from round %llu",
               (unsigned long long)fm_state_finished(r.state));
    }
done:
    close_run(&r);
    return st;
}
