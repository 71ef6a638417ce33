/* The status page's sections. Every text that is not ours goes through fm_web_escape. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "page_internal.h"

#define TABLE_ROUNDS 40

/* ---- figures as people read them ---- */

void page_duration(double seconds, char out[PAGE_TEXT])
{
    const long s = seconds < 0.0 ? 0 : seconds < 1e9 ? (long)(seconds + 0.5) : 1000000000L;

    if (seconds < 0.9995)
        (void)snprintf(out, PAGE_TEXT, "%.0f ms", seconds * 1000.0);
    else if (seconds < 9.95)
        (void)snprintf(out, PAGE_TEXT, "%.1f s", seconds);
    else if (s < 100)
        (void)snprintf(out, PAGE_TEXT, "%ld s", s);
    else if (s < 6000)
        (void)snprintf(out, PAGE_TEXT, "%ld min", (s + 30) / 60);
    else if (s < 48 * 3600)
        (void)snprintf(out, PAGE_TEXT, "%ld h %ld min", s / 3600, s % 3600 / 60);
    else
        (void)snprintf(out, PAGE_TEXT, "%ld days", (s + 43200) / 86400);
}

void page_bytes(uint64_t bytes, char out[PAGE_TEXT])
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    double v = (double)bytes;
    size_t u = 0;

    while (v >= 999.5 && u + 1 < sizeof units / sizeof units[0]) {
        v /= 1000.0;
        u++;
    }
    (void)snprintf(out, PAGE_TEXT, u > 0 && v < 9.95 ? "%.1f %s" : "%.0f %s", v, units[u]);
}

fm_status page_time(fm_buf *out, int64_t wall_s)
{
    const time_t t = (time_t)wall_s;
    char machine[32], people[32] = "";
    struct tm tm;

    fm_clock_format(wall_s, machine, sizeof machine);
    if (gmtime_r(&t, &tm))
        (void)strftime(people, sizeof people, "%-d %b %H:%M:%S UTC", &tm);
    return fm_buf_printf(out, "<time datetime=%s>%s</time>", machine, people);
}

fm_status page_pair(fm_buf *out, const char *term, const char *value)
{
    return fm_buf_printf(out, "<div><dt>%s</dt><dd>%s</dd></div>", term, value);
}

/* ---- rounds ---- */

static const char *state_word(const fm_run *r)
{
    switch (fm_coordinator_get_phase(r->coordinator)) {
    case FM_COORD_WAIT_MEMBERS:
    case FM_COORD_WAIT_ROSTER:
        return "Waiting for nodes";
    case FM_COORD_FINISHED:
        return "Finished";
    default:
        return r->config.plan.task == FM_TASK_TRAINING ? "Training" : "Counting";
    }
}

static fm_status write_state(const fm_run *r, fm_buf *out)
{
    const page_counts n = page_count(r);

    return fm_buf_printf(out,
                         "<p id=state data-live class=state><b>%s.</b> %" PRIu64
                         " of %u round%s finished; %u node%s connected.</p>\n",
                         state_word(r), fm_state_finished(r->state), r->config.plan.rounds,
                         r->config.plan.rounds == 1 ? "" : "s", n.connected,
                         n.connected == 1 ? " is" : "s are");
}

static const char *phase_word(fm_coordinator_phase phase)
{
    return phase == FM_COORD_WAIT_UPDATES   ? "updates"
           : phase == FM_COORD_WAIT_COMMITS ? "commits"
                                            : "releases";
}

static fm_status write_under_way(const fm_run *r, fm_buf *out)
{
    fm_coordinator_progress p;
    char text[160];

    fm_coordinator_get_progress(r->coordinator, fm_clock_now_ms(), &p);
    if (p.asked > 0)
        (void)snprintf(text, sizeof text, "round %" PRIu64 ": %s of %u of %u nodes", p.round,
                       phase_word(p.phase), p.done, p.asked);
    else
        (void)snprintf(text, sizeof text,
                       p.phase == FM_COORD_FINISHED ? "nothing; nodes fetch the result"
                                                    : "nothing; a round needs %u nodes",
                       p.needed);
    return page_pair(out, "Under way", text);
}

static fm_status write_groups(const fm_plan *plan, fm_buf *out)
{
    static const char *const means[] = { "", "median", "trimmed mean", "geometric median" };
    char text[120];

    if (plan->robust_groups == 0)
        return FM_OK;
    (void)snprintf(text, sizeof text, "%u groups <small>drawn anew each round; their %s</small>",
                   plan->robust_groups, means[plan->robust_mean]);
    return page_pair(out, "Sums", text);
}

static fm_status write_summary(const fm_run *r, fm_buf *out)
{
    const uint64_t finished = fm_state_finished(r->state);
    char text[200], left[PAGE_TEXT];
    double seconds = 0.0;
    fm_status st;

    (void)snprintf(text, sizeof text,
                   "%" PRIu64 " of %u<progress value=%" PRIu64
                   " max=%u aria-label=\"Finished rounds\"></progress>",
                   finished, r->config.plan.rounds, finished, r->config.plan.rounds);
    if ((st = fm_buf_printf(out, "<dl id=sums data-live class=tiles>")) != FM_OK ||
        (st = page_pair(out, "Finished", text)) != FM_OK)
        return st;
    if (page_time_left(r, &seconds)) {
        page_duration(seconds, left);
        (void)snprintf(text, sizeof text, "about %s", left);
    } else {
        (void)snprintf(text, sizeof text, "%s",
                       fm_coordinator_get_phase(r->coordinator) == FM_COORD_FINISHED
                           ? "none"
                           : "not known yet");
    }
    if ((st = page_pair(out, "Time left", text)) != FM_OK)
        return st;
    (void)snprintf(text, sizeof text, "%" PRIu64 " <small>since its start</small>", r->abandoned);
    if ((st = page_pair(out, "Abandoned", text)) != FM_OK ||
        (st = write_under_way(r, out)) != FM_OK ||
        (st = write_groups(&r->config.plan, out)) != FM_OK)
        return st;
    return fm_buf_printf(out, "</dl>\n");
}

/* What is known of units held out, in the columns of write_round_table. */
static fm_status write_held(const page_round *one, const fm_plan *plan, fm_buf *out)
{
    fm_status st = FM_OK;

    if (plan->patience > 0)
        st = isnan(one->loss) ? fm_buf_printf(out, "<td>\xe2\x80\x93")
                              : fm_buf_printf(out, "<td>%.4g", one->loss);
    if (st == FM_OK && plan->held_bins > 0)
        st = isnan(one->auc.value)
                 ? fm_buf_printf(out, "<td>\xe2\x80\x93")
                 : fm_buf_printf(out, "<td>%.3f \xc2\xb1 %.2g", one->auc.value, one->auc.deviation);
    return st;
}

static fm_status write_round(const page_round *one, const fm_plan *plan, fm_buf *out)
{
    char took[PAGE_TEXT], size[PAGE_TEXT], step[PAGE_TEXT] = "\xe2\x80\x93";
    fm_status st;

    page_duration(one->seconds, took);
    page_bytes(one->bytes, size);
    if (one->finished)
        (void)snprintf(step, sizeof step, "%.3g", one->step);
    if ((st = fm_buf_printf(out, "<tr><th scope=row>%" PRIu64 "<td>", one->round)) != FM_OK ||
        (st = page_time(out, one->ended_s)) != FM_OK)
        return st;
    st = fm_buf_printf(out, "<td>%s<td>%u of %u<td>%s<td>%s<td>%s",
                       one->finished ? "finished" : "<b class=bad>abandoned</b>", one->survivors,
                       one->participants, took, size, step);
    return st == FM_OK ? write_held(one, plan, out) : st;
}

static fm_status write_round_table(const fm_page *p, const fm_plan *plan, fm_buf *out)
{
    const size_t from = p->round_count > TABLE_ROUNDS ? p->round_count - TABLE_ROUNDS : 0;
    fm_status st = fm_buf_printf(
        out,
        "<details><summary>Rounds as a table</summary><div class=wide id=round-table data-live "
        "role=region tabindex=0 aria-label=\"Table of rounds\"><table><caption>The last %zu rounds "
        "since its start, the newest first</caption><thead><tr><th scope=col>Round<th "
        "scope=col>Ended<th scope=col>How<th scope=col>Nodes<th scope=col>Took<th "
        "scope=col>Received<th scope=col>Step%s%s<tbody>",
        p->round_count - from, plan->patience > 0 ? "<th scope=col>Loss" : "",
        plan->held_bins > 0 ? "<th scope=col>AUC" : "");

    for (size_t i = p->round_count; st == FM_OK && i > from; i--)
        st = write_round(&p->rounds[i - 1], plan, out);
    return st == FM_OK ? fm_buf_printf(out, "</table></div></details>\n") : st;
}

static fm_status write_rounds(const fm_run *r, fm_buf *out)
{
    const fm_page *p = r->page;
    fm_status st = fm_buf_printf(out, "<section aria-labelledby=h-rounds><h2 "
                                      "id=h-rounds>Rounds</h2>\n");

    if (st == FM_OK)
        st = write_summary(r, out);
    /* A page without a round yet has the same places, so that they can be filled. */
    if (st == FM_OK && p->round_count == 0)
        st = fm_buf_printf(out, "<figure id=fig-seconds data-live></figure><figure id=fig-steps "
                                "data-live></figure>");
    if (st == FM_OK && p->round_count > 0 && (st = page_chart_seconds(p, out)) == FM_OK)
        st = page_chart_steps(p, out);
    if (st == FM_OK)
        st = write_round_table(p, &r->config.plan, out);
    return st == FM_OK ? fm_buf_printf(out, "</section>\n") : st;
}

/* ---- nodes ---- */

static const char *const part_words[] = {
    [FM_PART_AWAY] = "away",
    [FM_PART_JOINING] = "joining",
    [FM_PART_READY] = "waits for the next roster",
    [FM_PART_IN] = "in",
    [FM_PART_AWAITED] = "slow: half of the others have answered",
    [FM_PART_BARRED] = "barred",
    [FM_PART_EXHAUSTED] = "waits for the result",
};
static const char *const part_classes[] = {
    [FM_PART_AWAY] = "bad",       [FM_PART_JOINING] = "soft", [FM_PART_READY] = "soft",
    [FM_PART_IN] = "good",        [FM_PART_AWAITED] = "soft", [FM_PART_BARRED] = "bad",
    [FM_PART_EXHAUSTED] = "soft",
};

/* Its part, why, and until when. */
static fm_status write_part(const fm_run *r, const run_member *m, fm_buf *out)
{
    uint64_t barred_ms = 0;
    const uint32_t harm =
        fm_coordinator_harm(r->coordinator, m->name, fm_clock_now_ms(), &barred_ms);
    fm_coordinator_part part = fm_coordinator_part_of(r->coordinator, m->name);
    const bool done = m->peer == 0 && m->has_result;
    const char *left = fm_coordinator_left_for(r->coordinator, m->name);
    fm_status st;

    if (barred_ms > 0 && part == FM_PART_AWAY)
        part = FM_PART_BARRED;
    st = fm_buf_printf(out, "<b class=%s>%s</b>", done ? "good" : part_classes[part],
                       done ? "done" : part_words[part]);
    if (st == FM_OK && left)
        st = fm_buf_printf(out, "<br><small>%s</small>", left);
    if (st == FM_OK && m->peer == 0 && (st = fm_buf_printf(out, "<br><small>")) == FM_OK &&
        (st = fm_web_escape(out, m->state)) == FM_OK)
        st = fm_buf_printf(out, "</small>");
    if (st == FM_OK && harm > 0)
        st = fm_buf_printf(out, "<br><small>cost the others a round or a roster %u time%s</small>",
                           harm, harm == 1 ? "" : "s");
    if (st == FM_OK && barred_ms > 0 && (st = fm_buf_printf(out, "<br><small>until ")) == FM_OK &&
        (st = page_time(out, (fm_clock_wall_s() * 1000 + (int64_t)barred_ms + 5000) / 10000 *
                                 10)) == FM_OK)
        st = fm_buf_printf(out, "</small>");
    return st;
}

/* Where sums are by groups: for the coordinator alone. A suspicion, no proof. */
static fm_status write_suspicion(const fm_run *r, const run_member *m, fm_buf *out)
{
    uint32_t outlying = 0, rounds = 0;
    bool suspect;

    if (r->config.plan.robust_groups == 0)
        return FM_OK;
    suspect = fm_coordinator_suspicion(r->coordinator, m->name, &outlying, &rounds);
    if (rounds == 0)
        return FM_OK;
    return fm_buf_printf(out, "<br><small>in outlying groups in %u of %u rounds%s</small>",
                         outlying, rounds,
                         suspect ? ": <b class=bad>its updates may be poisoned</b>" : "");
}

static fm_status write_member(const fm_run *r, const run_member *m, fm_buf *out)
{
    char size[PAGE_TEXT];
    fm_status st;

    page_bytes(m->bytes_before + m->bytes_now, size);
    if ((st = fm_buf_printf(out, "<tr><th scope=row>")) != FM_OK ||
        (st = fm_web_escape(out, m->name)) != FM_OK || (st = fm_buf_printf(out, "<td>")) != FM_OK ||
        (st = write_part(r, m, out)) != FM_OK || (st = write_suspicion(r, m, out)) != FM_OK)
        return st;
    return fm_buf_printf(out, "<td>%s", size);
}

static fm_status write_member_table(const fm_run *r, fm_buf *out)
{
    fm_status st = fm_buf_printf(
        out, "<table><caption>Every node seen since its start</caption><thead><tr><th "
             "scope=col>Node<th scope=col>State<th scope=col>Received<tbody>");

    for (size_t i = 0; st == FM_OK && i < r->member_count; i++)
        st = write_member(r, &r->members[i], out);
    return st == FM_OK ? fm_buf_printf(out, "</table>") : st;
}

fm_status page_html_own(const fm_run *r, const run_member *m, fm_buf *out)
{
    char size[PAGE_TEXT];
    fm_status st;

    page_bytes(m->bytes_before + m->bytes_now, size);
    if ((st = fm_buf_printf(out, "<dl class=tiles><div><dt>Your node</dt><dd>")) != FM_OK ||
        (st = fm_web_escape(out, m->name)) != FM_OK ||
        (st = fm_buf_printf(out, "</dd></div><div><dt>Its state</dt><dd>")) != FM_OK ||
        (st = write_part(r, m, out)) != FM_OK)
        return st;
    return fm_buf_printf(out, "</dd></div><div><dt>Received from it</dt><dd>%s</dd></div></dl>",
                         size);
}

static fm_status write_counts(const fm_run *r, fm_buf *out)
{
    const page_counts n = page_count(r);

    return fm_buf_printf(
        out,
        FM_WEB_OWN_PART
        "<p>Of all nodes seen since its start, %u %s connected: %u in, %u slow, "
        "%u joining or waiting, %u barred, %u that take part in no further round; %u %s away. "
        "Other nodes are counted here, and not named.",
        n.connected, n.connected == 1 ? "is" : "are", n.in, n.awaited, n.joining, n.barred,
        n.exhausted, n.away, n.away == 1 ? "is" : "are");
}

static fm_status write_nodes(const fm_run *r, bool all, fm_buf *out)
{
    fm_status st = fm_buf_printf(out, "<section aria-labelledby=h-nodes><h2 "
                                      "id=h-nodes>Nodes</h2><div id=nodes data-live>");

    if (st == FM_OK)
        st = all ? write_member_table(r, out) : write_counts(r, out);
    return st == FM_OK ? fm_buf_printf(out, "</div></section>\n") : st;
}

fm_status page_html_body(const fm_run *r, bool all, fm_buf *out)
{
    fm_status st;

    if ((st = write_state(r, out)) != FM_OK || (st = write_rounds(r, out)) != FM_OK ||
        (st = write_nodes(r, all, out)) != FM_OK || (st = page_html_privacy(r, out)) != FM_OK ||
        (st = page_html_quality(r, out)) != FM_OK || (st = page_html_transcript(r, out)) != FM_OK)
        return st;
    return all ? page_html_events(r->page, out) : FM_OK;
}
