/* The coordinator's effects, made real. */
#include "fedmoe/base/clock.h"
#include "fedmoe/base/log.h"
#include "fedmoe/base/random.h"
#include "run_internal.h"

static run_member *by_peer(fm_run *r, uint64_t peer)
{
    for (size_t i = 0; i < r->member_count; i++)
        if (r->members[i].peer == peer)
            return &r->members[i];
    return NULL;
}

const char *fm_run_member_gone(fm_run *r, uint64_t peer, const char *reason)
{
    run_member *m = by_peer(r, peer);

    if (!m)
        return NULL;
    m->bytes_before += m->bytes_now;
    m->bytes_now = 0;
    m->peer = 0;
    fm_reason_set(m->state, m->has_result ? "has the result" : reason);
    r->status_due = true;
    return m->name;
}

void fm_run_member_heard(fm_run *r, uint64_t peer)
{
    run_member *m = by_peer(r, peer);

    if (m)
        m->bytes_now = fm_link_server_peer_counters(r->link, peer).bytes_received;
}

void fm_run_member_decided(fm_run *r, uint64_t peer)
{
    run_member *m = by_peer(r, peer);

    if (!m)
        return;
    fm_reason_set(m->state, "in");
    r->status_due = true;
}

static fm_status port_send(void *ctx, const uint64_t *peers, size_t count, const fm_message *m)
{
    fm_run *r = ctx;

    if (m->type == FM_MSG_ROUND_START && r->round_started_ns == 0)
        r->round_started_ns = fm_clock_now_ns();
    return fm_link_server_broadcast(r->link, peers, count, m);
}

static void port_drop(void *ctx, uint64_t peer, const char *reason)
{
    fm_run *r = ctx;

    (void)fm_run_member_gone(r, peer, reason);
    fm_link_server_drop(r->link, peer, reason);
}

static fm_status port_next_round(void *ctx, uint64_t *round)
{
    fm_run *r = ctx;
    fm_status st = fm_state_next_round(r->state, round);

    if (st == FM_OK && r->kept)
        fm_kept_begin(r->kept, *round);
    return st;
}

static void port_entries(void *ctx, uint64_t round, const fm_transcript_entry **entries,
                         uint32_t *count)
{
    fm_state_entries(((fm_run *)ctx)->state, round, entries, count);
}

/* The updates first: a finished round has them. */
static fm_status port_finish(void *ctx, const fm_transcript_entry *e, fm_bytes record,
                             const fm_optimizer *o)
{
    fm_run *r = ctx;
    fm_status st = r->kept ? fm_kept_finish(r->kept) : FM_OK;

    return st == FM_OK ? fm_state_finish_round(r->state, e, record, o) : st;
}

static fm_status port_keep_roster(void *ctx, const fm_msg_roster *roster)
{
    const fm_message m = { .type = FM_MSG_ROSTER, .roster = *roster };
    fm_buf bytes;
    fm_status st;

    fm_buf_init(&bytes, FM_MAX_MESSAGE_BYTES);
    if ((st = fm_message_encode(&m, &bytes)) == FM_OK)
        st = fm_state_keep_roster(((fm_run *)ctx)->state, &roster->session,
                                  (fm_bytes){ bytes.data, bytes.len });
    fm_buf_fini(&bytes);
    return st;
}

static fm_status port_put_piece(void *ctx, uint32_t index, size_t size, uint64_t at, fm_bytes piece)
{
    return fm_spool_put(((fm_run *)ctx)->spool, index, size, at, piece);
}

static fm_status port_get_piece(void *ctx, uint32_t index, uint64_t at, uint8_t *out, size_t len)
{
    return fm_spool_get(((fm_run *)ctx)->spool, index, at, out, len);
}

static void port_drop_pieces(void *ctx, uint32_t index)
{
    fm_spool_drop(((fm_run *)ctx)->spool, index);
}

static fm_status port_keep_update(void *ctx, uint32_t index, size_t size, uint64_t at,
                                  fm_bytes piece)
{
    return fm_kept_update(((fm_run *)ctx)->kept, index, size, at, piece);
}

static fm_status port_keep_release(void *ctx, uint32_t index, const fm_msg_release *release)
{
    return fm_kept_release(((fm_run *)ctx)->kept, index, release);
}

static void port_has_result(void *ctx, uint64_t peer)
{
    run_member *m = by_peer(ctx, peer);

    if (m)
        m->has_result = true;
}

static void port_random(void *ctx, void *out, size_t len)
{
    (void)ctx;
    fm_random_bytes(out, len);
}

static fm_status port_keep_mark(void *ctx, const char *name, const fm_ledger_mark *mark)
{
    return fm_state_keep_mark(((fm_run *)ctx)->state, name, mark);
}

static void port_find_mark(void *ctx, const char *name, bool *found, fm_ledger_mark *mark)
{
    *found = fm_state_find_mark(((fm_run *)ctx)->state, name, mark);
}

static void port_note(void *ctx, const char *text)
{
    fm_log(FM_LOG_INFO, "%s", text);
    fm_page_event(ctx, text);
}

static void port_round_ended(void *ctx, uint64_t round, bool finished, uint32_t survivors,
                             uint32_t participants, const char *reason)
{
    fm_run *r = ctx;

    fm_run_trace(r, round, finished);
    fm_page_round(r, round, finished, survivors, participants);
    r->round_started_ns = 0;
    r->status_due = true;
    if (finished) {
        fm_log(FM_LOG_INFO, "round %llu finished: %u of %u nodes; %llu of %u round%s",
               (unsigned long long)round, survivors, participants,
               (unsigned long long)fm_state_finished(r->state), r->config.plan.rounds,
               r->config.plan.rounds == 1 ? "" : "s");
    } else {
        r->abandoned++;
        fm_log(FM_LOG_WARN, "round %llu abandoned: %s", (unsigned long long)round, reason);
    }
}

fm_coordinator_ports fm_run_ports(fm_run *r)
{
    return (fm_coordinator_ports){
        .ctx = r,
        .send = port_send,
        .drop = port_drop,
        .next_round = port_next_round,
        .entries_after = port_entries,
        .finish_round = port_finish,
        .random = port_random,
        .keep_mark = port_keep_mark,
        .find_mark = port_find_mark,
        .keep_roster = port_keep_roster,
        .put_piece = port_put_piece,
        .get_piece = port_get_piece,
        .drop_pieces = port_drop_pieces,
        .keep_update = r->kept ? port_keep_update : NULL,
        .keep_release = r->kept ? port_keep_release : NULL,
        .note = port_note,
        .has_result = port_has_result,
        .round_ended = port_round_ended,
    };
}
