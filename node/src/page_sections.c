/* What the page says: what the node is at, what left, what it cost, what is left, the plan. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "page.h"
#include "words.h"

/* ---- now ---- */

typedef struct {
    const char *name, *words;
} meaning;

static const char *meaning_of(const meaning *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return list[i].words;
    return "";
}

static const char *state_words(const char *state)
{
    static const meaning list[] = {
        { "starting", "The node is starting." },
        { "connecting", "The node looks for the aggregator." },
        { "connected", "The node is connected, and waits for a plan." },
        { "joined", "The node has approved the plan, and waits for a round to begin." },
        { "training", "The node takes part." },
        { "refused", "The node has refused the plan." },
        { "finished", "The federation has finished: the result is here." },
        { "stopped", "The node was stopped." },
        { "failed", "The node has failed: its log says why." },
    };

    return meaning_of(list, sizeof list / sizeof list[0], state);
}

/** What comes next, by what the node did last. */
static const char *phase_words(const char *phase)
{
    static const meaning list[] = {
        { "plan approved", "It waits for the other members." },
        { "roster verified", "It has verified who takes part, and waits for the next round." },
        { "training", "It computes its part of the round; nothing of that has left yet." },
        { "update sent", "Its masked update is out; it waits for those of the others." },
        { "committed", "It has signed whose updates the sum is made of, and waits for the others' "
                       "signatures." },
        { "released", "Its last round is done; it waits for the next." },
        { "abandoned", "The last round was abandoned; it waits for the next." },
        { "declined", "It has declined a round." },
    };

    return meaning_of(list, sizeof list / sizeof list[0], phase);
}

/** "2026-11-26T18:42:05Z" as people write it. */
static const char *readable(const char *time, char out[40])
{
    const size_t len = strlen(time);

    if (len != sizeof "2026-11-26T18:42:05Z" - 1)
        return time;
    (void)snprintf(out, 40, "%.10s %.8s UTC", time, time + 11);
    return out;
}

/** Of the kind that is read out when it changes: no figures. */
static void write_state(fm_html *h, const fm_page *p)
{
    char since[40];

    fm_html_rawf(h, "<p class=\"lead now%s\" id=\"now\" data-live role=\"status\">",
                 p->paused ? " off" : "");
    if (!p->paused)
        fm_html_text(h, state_words(p->state));
    else {
        fm_html_raw(h, "<strong>Paused by its owner</strong>");
        if (*p->paused_since)
            fm_html_textf(h, " since %s", readable(p->paused_since, since));
        fm_html_text(h, p->in_round ? ": the round whose update is out already is done to its end, "
                                      "and none after it."
                                    : ": no update leaves, and no round is paid for.");
    }
    fm_html_raw(h, "</p>\n");
}

static void write_next(fm_html *h, const fm_page *p)
{
    char seconds[32];

    fm_html_raw(h, "<p id=\"next\" data-live>");
    if (p->plan_rounds > 0 && p->round > 0)
        fm_html_textf(h, "Round %llu; the plan wants %llu finished rounds. ",
                      (unsigned long long)p->round, (unsigned long long)p->plan_rounds);
    if (p->paused && !p->in_round)
        fm_html_text(h, "The next round: when the pause is lifted. ");
    else
        fm_html_text(h, phase_words(p->phase));
    if (!p->paused && p->history->round_ms > 0.0) {
        (void)snprintf(seconds, sizeof seconds, "%.3g", p->history->round_ms / 1000.0);
        fm_html_textf(h, " From release to release it takes about %s s lately.", seconds);
    }
    fm_html_raw(h, "</p>\n");
}

void fm_page_now(fm_html *h, const fm_page *p)
{
    write_state(h, p);
    write_next(h, p);
}

/* ---- what left ---- */

#define ROWS_OPEN 8u /* the others are behind a summary */

void fm_page_time(int64_t wall_s, char out[40])
{
    char text[32];

    fm_clock_format(wall_s, text, sizeof text);
    if (readable(text, out) != out)
        (void)snprintf(out, 40, "%s", text);
}

static const char *became(const fm_page *p, size_t i)
{
    const fm_journal_sent_row *row = &p->history->rows[i];

    if (row->abandoned)
        return "released and paid, then lost: the round was abandoned";
    if (row->released_s != 0)
        return "released: counts in the sum";
    if (i == 0 && p->in_round)
        return "out, masked; its round is under way";
    return "never unmasked: nobody can read it, and it cost nothing";
}

/** The number by which a line is called. */
static void number_head(fm_html *h, uint64_t number)
{
    fm_html_raw(h, "<th class=\"n\" scope=\"row\">");
    fm_html_textf(h, "%llu", (unsigned long long)number);
    fm_html_raw(h, "</th>");
}

static void write_row(fm_html *h, const fm_page *p, size_t i)
{
    const fm_journal_sent_row *row = &p->history->rows[i];
    char when[40], hex[2 * FM_HASH_BYTES + 1];

    fm_page_time(row->sent_s, when);
    fm_hash_hex(&row->hash, hex);
    fm_html_raw(h, "<tr>");
    number_head(h, row->round);
    fm_html_element(h, "td", "t", "%s", when);
    fm_html_element(h, "td", "n", "%llu", (unsigned long long)row->bytes);
    fm_html_raw(h, "<td>");
    fm_html_textf(h, "%s", became(p, i));
    fm_html_raw(h, "<div class=\"soft\"><code>");
    fm_html_textf(h, "%s", hex);
    fm_html_raw(h, "</code></div></td></tr>\n");
}

static void write_rows(fm_html *h, const fm_page *p, size_t from, size_t to, const char *caption)
{
    if (from >= to)
        return;
    fm_html_raw(h, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
                   "aria-label=\"Updates\">\n<table>\n");
    fm_html_element(h, "caption", NULL, "%s", caption);
    fm_html_raw(h, "<thead><tr><th class=\"n\" scope=\"col\">Round</th><th scope=\"col\">Sent</th>"
                   "<th class=\"n\" scope=\"col\">Bytes</th><th scope=\"col\">What became of it"
                   "</th></tr></thead>\n<tbody>\n");
    for (size_t i = from; i < to; i++)
        write_row(h, p, i);
    fm_html_raw(h, "</tbody>\n</table>\n</div>\n");
}

static void write_left(fm_html *h, const fm_page *p)
{
    const fm_node_history *n = p->history;
    char bytes[24];

    fm_html_raw(h, "<section id=\"left\" data-live>\n<h2>What has left this node</h2>\n");
    fm_words_bytes((double)n->bytes, bytes);
    fm_html_element(h, "p", NULL,
                    "%llu update%s, %s in all. Each is a sum over the records that were drawn for "
                    "its round, with noise added, under a mask: by itself it is uniformly random "
                    "to everybody. Besides, only the protocol's signatures, hashes and the seeds "
                    "of masks leave. Never a record, never a gradient of one.",
                    (unsigned long long)n->updates, n->updates == 1 ? "" : "s", bytes);
    write_rows(h, p, 0, n->count < ROWS_OPEN ? n->count : ROWS_OPEN,
               "The newest, first; each with "
               "the hash that this node signed");
    if (n->count > ROWS_OPEN) {
        fm_html_raw(h, "<details>\n<summary>Earlier ones</summary>\n");
        write_rows(h, p, ROWS_OPEN, n->count, "Older ones are in the journal, state.db");
        fm_html_raw(h, "</details>\n");
    }
    fm_html_raw(h, "</section>\n");
}

/* ---- what it cost ---- */

static fm_report plot_of(const fm_page *p)
{
    fm_report r = { .releases = p->history->releases,
                    .point_count = p->history->point_count,
                    .spent = p->spent };

    r.config.policy = *p->policy; /* borrowed */
    (void)snprintf(r.config.data_set, sizeof r.config.data_set, "%s", p->data_set);
    memcpy(r.points, p->history->points, sizeof r.points);
    return r;
}

static void write_points(fm_html *h, const fm_page *p)
{
    char when[40], epsilon[32];

    fm_html_raw(h,
                "<details>\n<summary>The figures of the plot</summary>\n<table class=\"few\">\n"
                "<caption>Epsilon after so many releases</caption>\n"
                "<thead><tr><th class=\"n\" scope=\"col\">Releases</th><th scope=\"col\">Time</th>"
                "<th class=\"n\" scope=\"col\">Epsilon</th></tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < p->history->point_count; i++) {
        const fm_report_point *point = &p->history->points[i];

        fm_page_time(point->wall_s, when);
        fm_report_number(point->epsilon, epsilon);
        fm_html_raw(h, "<tr>");
        number_head(h, point->releases);
        fm_html_element(h, "td", NULL, "%s", when);
        fm_html_element(h, "td", "n", "%s", epsilon);
        fm_html_raw(h, "</tr>\n");
    }
    fm_html_raw(h, "</tbody>\n</table>\n</details>\n");
}

static void write_cost(fm_html *h, const fm_page *p)
{
    fm_report plot;
    char spent[32];

    fm_report_number(p->spent, spent);
    fm_html_raw(h, "<section id=\"cost\" data-live>\n<h2>What it cost</h2>\n");
    fm_html_element(h, "p", NULL,
                    "Epsilon %s at delta %g: over all federations that this node's ledger knows, "
                    "in %llu release%s.",
                    spent, p->policy->delta, (unsigned long long)p->history->releases,
                    p->history->releases == 1 ? "" : "s");
    if (p->history->point_count > 0) {
        plot = plot_of(p);
        fm_html_raw(h, "<figure>\n");
        fm_report_plot(h, &plot);
        fm_html_raw(h, "</figure>\n");
        write_points(h, p);
    }
    fm_html_raw(h, "</section>\n");
}

/* ---- what is left ---- */

static void write_enough(fm_html *h, const fm_page *p)
{
    const uint64_t to_come = p->plan_rounds > p->charged ? p->plan_rounds - p->charged : 0;
    uint64_t rounds = 0;

    if (p->plan_rounds == 0)
        fm_html_element(h, "p", NULL, "How many rounds that is depends on the next plan.");
    else if (fm_history_affordable(p->history, p->charged, &rounds))
        fm_html_element(h, "p", NULL,
                        "At the noise and sampling of this plan that suffices for %llu more "
                        "round%s; this node has paid for %llu of the plan's %llu, %s.",
                        (unsigned long long)rounds, rounds == 1 ? "" : "s",
                        (unsigned long long)p->charged, (unsigned long long)p->plan_rounds,
                        rounds >= to_come ? "so for the rest of the plan"
                                          : "so NOT for the rest of the plan: the node stops when "
                                            "it is used up");
}

static void write_rest(fm_html *h, const fm_page *p)
{
    char left[32];

    fm_html_raw(h, "<section id=\"rest\" data-live>\n<h2>What remains of the budget</h2>\n");
    if (p->open)
        fm_html_element(h, "p", NULL, "The policy sets no real budget.");
    else {
        fm_report_number(fm_words_down(fmax(p->policy->epsilon - p->spent, 0.0)), left);
        fm_html_element(h, "p", NULL,
                        "Epsilon %s of %g at delta %g. The node itself makes no release that would "
                        "pass the budget.",
                        left, p->policy->epsilon, p->policy->delta);
        write_enough(h, p);
    }
    fm_html_raw(h, "</section>\n");
}

/* ---- the plan ---- */

/** fm_plan_words: headings at the line's beginning, paragraphs indented, empty lines between. */
static void write_words(fm_html *h, const char *words)
{
    bool open = false;
    char line[512];

    while (*words) {
        const size_t len = strcspn(words, "\n");

        (void)snprintf(line, sizeof line, "%.*s", (int)len, words);
        if (line[0] == ' ') {
            fm_html_raw(h, open ? "\n" : "<p>");
            fm_html_textf(h, "%s", line + strspn(line, " "));
            open = true;
        } else {
            fm_html_raw(h, open ? "</p>\n" : "");
            open = false;
            if (line[0])
                fm_html_element(h, "h3", NULL, "%s", line);
        }
        words += len + (words[len] == '\n');
    }
    fm_html_raw(h, open ? "</p>\n" : "");
}

static void write_plan(fm_html *h, const fm_page *p)
{
    fm_html_raw(h, "<section id=\"plan\" data-live>\n<h2>The plan</h2>\n");
    if (*p->plan_words)
        write_words(h, p->plan_words);
    else
        fm_html_element(h, "p", NULL, "No plan was offered yet.");
    fm_html_raw(h, "</section>\n");
}

static void write_refusal(fm_html *h, const fm_page *p)
{
    char when[40];

    fm_html_raw(h, "<section id=\"refusal\" data-live>\n<h2>Last refusal</h2>\n");
    if (!*p->reason)
        fm_html_element(h, "p", NULL, "This node has refused nothing since it was started.");
    else {
        fm_page_time(p->reason_s, when);
        fm_html_element(h, "p", NULL, "%s: %s", when, p->reason);
    }
    fm_html_raw(h, "</section>\n");
}

void fm_page_sections(fm_html *h, const fm_page *p)
{
    write_left(h, p);
    write_cost(h, p);
    write_rest(h, p);
    write_plan(h, p);
    write_refusal(h, p);
}
