/* The node's page and its metrics, from a struct alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/web/server.h"
#include "page.h"
#include "suites.h"

#define TOKEN FM_WEB_FORM_TOKEN

typedef struct {
    fm_node_policy policy;
    fm_node_history history;
    fm_page page;
} desk;

static void lay(desk *d)
{
    *d = (desk){ .policy = { .epsilon = 2.0, .delta = 1e-5 },
                 .history = { .count = 3,
                              .updates = 12,
                              .bytes = 96000,
                              .releases = 10,
                              .point_count = 2,
                              .affordable_known = true,
                              .affordable = 40,
                              .charged = 4,
                              .round_ms = 1250.0 } };
    for (size_t i = 0; i < 3; i++)
        d->history.rows[i] = (fm_journal_sent_row){ .round = 12 - i,
                                                    .bytes = 8000,
                                                    .sent_s = 1795718505,
                                                    .released_s = i == 2 ? 1795718506 : 0 };
    d->history.points[0] = (fm_report_point){ .releases = 5, .wall_s = 1, .epsilon = 0.4 };
    d->history.points[1] = (fm_report_point){ .releases = 10, .wall_s = 2, .epsilon = 0.75 };
    d->page = (fm_page){ .name = "lakeside",
                         .data_set = "records",
                         .federation = "heart",
                         .door = "tcp://127.0.0.1:1",
                         .now_s = 1795718510,
                         .state = "training",
                         .phase = "update sent",
                         .round = 12,
                         .plan_rounds = 30,
                         .charged = 10,
                         .in_round = true,
                         .paused_since = "",
                         .reason = "",
                         .policy = &d->policy,
                         .spent = 0.75,
                         .records = 100,
                         .history = &d->history,
                         .plan_words = "Purpose\n  heart disease\n  risk\n\nWho\n  Federation.\n" };
}

static char *html_of(const desk *d)
{
    fm_buf b = { 0 };

    CU_ASSERT_EQUAL_FATAL(fm_page_html(&d->page, &b), FM_OK);
    return (char *)b.data; /* with a zero behind it; free: as fm_buf_fini does */
}

static unsigned times_in(const char *text, const char *what)
{
    unsigned n = 0;

    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

static bool has(const char *text, const char *what)
{
    return strstr(text, what) != NULL;
}

static void the_page_says_what_the_books_say(void)
{
    desk d;
    char *s;

    lay(&d);
    s = html_of(&d);
    CU_ASSERT(has(s, "The node takes part."));
    CU_ASSERT(has(s, "<b>0.7500</b>"));
    CU_ASSERT(has(s, "<b>1.2500</b>"));
    CU_ASSERT(has(s, "<b>34</b>")); /* 40 at 4 paid, 10 are by now */
    CU_ASSERT(has(s, "12 updates, 96.0 kB in all") || has(s, "12 updates, 96 kB in all"));
    CU_ASSERT(has(s, "suffices for 34 more rounds; this node has paid for 10 of the plan&#39;s 30, "
                     "so for the rest"));
    CU_ASSERT(has(s, "takes about 1.25 s lately"));
    CU_ASSERT_EQUAL(times_in(s, "out, masked; its round is under way"), 1);
    CU_ASSERT_EQUAL(times_in(s, "never unmasked"), 1);
    CU_ASSERT_EQUAL(times_in(s, "released: counts in the sum"), 1);
    CU_ASSERT(has(s, "<p>heart disease\nrisk</p>\n<h3>Who</h3>"));
    CU_ASSERT(has(s, "formaction=\"/pause\""));
    CU_ASSERT_FALSE(has(s, "formaction=\"/resume\""));
    free(s);
    d.history.affordable = 20; /* 14 more, of 20 that are to come */
    s = html_of(&d);
    CU_ASSERT(has(s, "so NOT for the rest of the plan"));
    free(s);
}

static void a_paused_node_says_so_and_offers_to_resume(void)
{
    desk d;
    char *s;

    lay(&d);
    d.page.paused = true;
    d.page.paused_since = "2026-11-26T18:42:05Z";
    d.page.state = "training";
    s = html_of(&d);
    CU_ASSERT(has(s, "Paused by its owner</strong> since 2026-11-26 18:42:05 UTC: the round whose "
                     "update is out already is done to its end"));
    free(s);
    d.page.in_round = false;
    d.page.state = "paused";
    s = html_of(&d);
    CU_ASSERT(has(s, "no update leaves, and no round is paid for"));
    CU_ASSERT(has(s, "The next round: when the pause is lifted."));
    CU_ASSERT(has(s, "formaction=\"/resume\""));
    CU_ASSERT_FALSE(has(s, "formaction=\"/pause\""));
    free(s);
}

/* What the policy that the server sends would not let through must not be in it. */
static void the_page_needs_nothing_but_itself(void)
{
    static const char *const never[] = { " style=",  " onclick", " onload", "http://f",
                                         "https://", "src=",     "<link",   "@import" };
    desk d;
    char *s;

    lay(&d);
    s = html_of(&d);
    CU_ASSERT_EQUAL(times_in(s, TOKEN), 1);
    CU_ASSERT(times_in(s, "<script") + times_in(s, "<style") <= 4);
    CU_ASSERT_EQUAL(times_in(s, "<script"), times_in(s, "<script>"));
    CU_ASSERT_EQUAL(times_in(s, "<style"), times_in(s, "<style>"));
    for (size_t i = 0; i < FM_TEST_COUNT(never); i++)
        CU_ASSERT_FALSE(has(s, never[i]));
    CU_ASSERT(strlen(s) < 40000);
    free(s);
}

static void what_comes_from_outside_is_text(void)
{
    static const char bad[] = "<script>alert(1)</script>\"'&" TOKEN;
    desk d;
    char *s;

    lay(&d);
    d.page.name = d.page.federation = d.page.reason = d.page.paused_since = bad;
    d.page.data_set = "<b>";
    d.page.plan_words = "<h1>\n  </p><script>x\n";
    d.page.paused = true;
    s = html_of(&d);
    CU_ASSERT_FALSE(has(s, "<script>alert"));
    CU_ASSERT_FALSE(has(s, "<script>x"));
    CU_ASSERT_FALSE(has(s, "<b>."));
    CU_ASSERT(has(s, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"));
    free(s);
}

static void one_sample_a_name_each_explained(void)
{
    fm_buf b = { 0 };
    unsigned samples = 0;
    char name[128], kind[32];
    desk d;

    lay(&d);
    d.page.name = "a\"b\\c\nd";
    CU_ASSERT_EQUAL_FATAL(fm_page_metrics(&d.page, &b), FM_OK);
    CU_ASSERT(has((char *)b.data, "node=\"a\\\"b\\\\c\\nd\","));
    CU_ASSERT(has((char *)b.data, "\nfedmoe_node_rounds_affordable 34\n"));
    CU_ASSERT(has((char *)b.data, "\nfedmoe_node_epsilon_spent 0.75\n"));
    CU_ASSERT(has((char *)b.data, "\nfedmoe_node_state{state=\"training\"} 1\n"));
    CU_ASSERT_EQUAL(times_in((char *)b.data, "{state="), 10);
    for (const char *at = (char *)b.data; (at = strstr(at, "# TYPE ")); at++) {
        CU_ASSERT_EQUAL(sscanf(at, "# TYPE %127s %31s", name, kind), 2);
        CU_ASSERT_EQUAL(strncmp(name, "fedmoe_node_", 12), 0);
        /* Counters and nothing else end so. */
        CU_ASSERT_EQUAL(strcmp(kind, "counter") == 0,
                        strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0);
        samples++;
    }
    CU_ASSERT_EQUAL(times_in((char *)b.data, "# HELP "), samples);
    CU_ASSERT(samples >= 15);
    fm_buf_fini(&b);
}

static void points_are_thinned_and_keep_the_last(void)
{
    fm_node_history h = { 0 };

    for (uint64_t i = 1; i <= 1000; i++) {
        h.releases = i;
        fm_history_point(&h, (int64_t)i, (double)i);
        fm_history_point(&h, (int64_t)i, (double)i); /* again: no new point */
        CU_ASSERT_FATAL(h.point_count > 0 && h.point_count <= FM_REPORT_POINTS);
        CU_ASSERT_EQUAL(h.points[h.point_count - 1].releases, i);
    }
    for (size_t i = 1; i < h.point_count; i++)
        CU_ASSERT(h.points[i - 1].releases < h.points[i].releases);
}

static void the_history_keeps_the_newest(void)
{
    const fm_hash plan = { { 1 } }, other = { { 2 } };
    fm_node_history h = { 0 };

    for (uint64_t i = 1; i <= 50; i++) {
        fm_journal_sent_row row = { .plan = plan, .round = i, .bytes = 10 };

        fm_history_sent(&h, &row);
        fm_history_released(&h, &other, i, 7, 1000 * i); /* another plan's round of this number */
        CU_ASSERT_EQUAL(h.rows[0].released_s, 0);
        if (i % 2 == 0)
            fm_history_released(&h, &plan, i, 7, 1000 * i);
    }
    CU_ASSERT_EQUAL(h.count, FM_HISTORY_ROWS);
    CU_ASSERT_EQUAL(h.updates, 50);
    CU_ASSERT_EQUAL(h.bytes, 500);
    for (size_t i = 0; i < h.count; i++) {
        CU_ASSERT_EQUAL(h.rows[i].round, 50 - i);
        CU_ASSERT_EQUAL(h.rows[i].released_s, h.rows[i].round % 2 == 0 ? 7 : 0);
    }
    fm_history_abandoned(&h, &plan, 50);
    CU_ASSERT(h.rows[0].abandoned);
}

static const fm_test tests[] = {
    { "the page says what the books say", the_page_says_what_the_books_say },
    { "a paused node says so, and offers to resume", a_paused_node_says_so_and_offers_to_resume },
    { "the page needs nothing but itself", the_page_needs_nothing_but_itself },
    { "what comes from outside is text", what_comes_from_outside_is_text },
    { "one sample a name, each explained", one_sample_a_name_each_explained },
    { "points are thinned and keep the last", points_are_thinned_and_keep_the_last },
    { "the history keeps the newest", the_history_keeps_the_newest },
};

const fm_test_suite suite_page = { "node.page", tests, FM_TEST_COUNT(tests) };
