/* The report for the data-protection officer: its figures, its page, and what it refuses. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fedmoe/base/file.h"
#include "fedmoe/node/journal.h"
#include "report.h"
#include "report_desk.h"
#include "report_page.h"
#include "suites.h"
#include "words.h"
#include "world.h"

#define EVIL_SET "<script>alert(\"x\")</script>'&"
#define EVIL_FEDERATION "</desc><script>alert(1)</script>"
#define EVIL_PURPOSE "\"><img src=x onerror='alert(1)'> &amp;\xe2\x80\xae"

/** What the ledger itself says is spent. */
static double spent(const desk *d)
{
    double epsilon = -1.0;
    fm_ledger *l = NULL;

    need(fm_ledger_open_readonly(d->ledger, &l) == FM_OK &&
             fm_ledger_epsilon(l, d->data_set, NULL, DELTA, &epsilon) == FM_OK,
         "what is spent");
    fm_ledger_close(&l);
    return epsilon;
}

static char *render(const fm_report *r, fm_buf *page)
{
    fm_buf_fini(page);
    need(fm_report_html(r, page) == FM_OK, "a page");
    return (char *)page->data;
}

static bool shows(const char *page, const char *text)
{
    bool yes = strstr(page, text) != NULL;

    if (!yes)
        printf("\n    not on the page: %s\n", text);
    return yes;
}

static void check_page(const char *page, const fm_report *r)
{
    page_facts f = page_read(page);

    CU_ASSERT_STRING_EQUAL(f.why, "");
    CU_ASSERT(f.elements > 100);
    CU_ASSERT_EQUAL(f.circles, r->point_count);
}

static void what_is_foreign_is_escaped(void)
{
    static const struct {
        const char *text, *html;
    } cases[] = {
        { "a & b", "a &amp; b" },
        { "<b>\"'", "&lt;b&gt;&quot;&#39;" },
        { "Z\xc3\xbcrich \xf0\x9f\x8f\xa5", "Z\xc3\xbcrich \xf0\x9f\x8f\xa5" },
        { "a\x1b[31m\x7f", "a\xef\xbf\xbd[31m\xef\xbf\xbd" },
        { "\xc2\x85", "\xef\xbf\xbd" }, /* C1 */
        { "a\xe2\x80\xae"
          "b",
          "a\xef\xbf\xbd"
          "b" },                                                    /* right-to-left override */
        { "\xc0\xbc", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* '<', too long a form */
        { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* a surrogate */
        { "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* cut off */
        { "\xe2<b>", "\xef\xbf\xbd&lt;b&gt;" },                     /* hides no '<' */
        { "\xf5\x80\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
    };
    fm_buf out = { 0 };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fm_html h = { .out = &out };

        fm_buf_clear(&out);
        fm_html_text(&h, cases[i].text);
        CU_ASSERT_EQUAL_FATAL(h.st, FM_OK);
        CU_ASSERT_STRING_EQUAL((const char *)out.data, cases[i].html);
    }
    fm_buf_fini(&out);
}

static void a_writer_that_failed_says_so_at_the_end(void)
{
    fm_buf out = { .limit = 8 };
    fm_html h = { .out = &out };

    fm_html_raw(&h, "<p>");
    fm_html_element(&h, "b", NULL, "%s", "much too long");
    CU_ASSERT_EQUAL(h.st, FM_ENOMEM);
    CU_ASSERT(out.len <= 8);
    fm_buf_fini(&out);
}

static void words_are_upper_bounds_and_read_back(void)
{
    char text[32];

    CU_ASSERT_DOUBLE_EQUAL(fm_words_posterior(1.0, 0.5), exp(1.0) / (1.0 + exp(1.0)), 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(fm_words_posterior(1.0, 0.01), 0.01 * M_E / (0.99 + 0.01 * M_E), 1e-15);
    CU_ASSERT_EQUAL(fm_words_posterior(0.0, 0.25), 0.25);
    CU_ASSERT_EQUAL(fm_words_posterior(1e6, 0.01), 1.0);
    CU_ASSERT_DOUBLE_EQUAL(fm_words_guess(2.0, 0.01), (exp(2.0) + 0.01) / (exp(2.0) + 1.0), 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(fm_words_guess(0.0, 0.01), 0.505, 1e-15); /* (1 + total variation) / 2 */
    fm_words_percent(0.5, text);
    CU_ASSERT_STRING_EQUAL(text, "50.0%");
    fm_words_percent(0.731058, text);
    CU_ASSERT_STRING_EQUAL(text, "73.2%");
    fm_words_percent(0.0267236, text);
    CU_ASSERT_STRING_EQUAL(text, "2.68%");
    fm_words_percent(0.99991, text);
    CU_ASSERT_STRING_EQUAL(text, "100%");
    fm_words_bytes(4360.0, text);
    CU_ASSERT_STRING_EQUAL(text, "4.4 kB");
    fm_words_bytes(999.0, text);
    CU_ASSERT_STRING_EQUAL(text, "999 bytes");
    fm_words_bytes(67108864.0, text);
    CU_ASSERT_STRING_EQUAL(text, "67.1 MB");
    fm_words_exact(0.1, text);
    CU_ASSERT_STRING_EQUAL(text, "0.1");
    fm_words_exact(20.0, text);
    CU_ASSERT_STRING_EQUAL(text, "20");
    fm_words_exact(1.0 / 3.0, text);
    CU_ASSERT_EQUAL(strtod(text, NULL), 1.0 / 3.0);
}

static void figures_are_the_ledgers(void)
{
    fm_report r = { 0 };
    desk d;

    open_desk(&d, "alpha", "alpha", 2.0);
    charge(&d, "alpha", "heart", "heart disease risk", 1, 4.0, 7);
    charge(&d, "other", "heart", "heart disease risk", 1, 1.0, 2);
    charge(&d, "alpha", "lung", "heart disease risk", 2, 8.0, 5);
    charge(&d, "alpha", "lung", "another", 3, 8.0, 5);
    CU_ASSERT_EQUAL_FATAL(fm_report_gather(d.config, 0, &r), FM_OK);
    CU_ASSERT_EQUAL(r.spent, spent(&d));
    CU_ASSERT_DOUBLE_EQUAL(r.spent + r.left, 2.0, 1e-12);
    CU_ASSERT_EQUAL(r.entries, 19);
    CU_ASSERT_EQUAL(r.other_entries, 2);
    CU_ASSERT_EQUAL(r.releases, 17);
    CU_ASSERT_EQUAL(r.kind_count, 2);
    CU_ASSERT_EQUAL_FATAL(r.part_count, 3);
    CU_ASSERT_EQUAL(r.parts[1].first_release, 8);
    CU_ASSERT_EQUAL(r.parts[1].mechanism.count, 5);
    CU_ASSERT_EQUAL(r.parts[1].epsilon, r.parts[2].epsilon);
    CU_ASSERT(r.parts[0].epsilon > r.parts[1].epsilon && r.parts[0].epsilon < r.spent);
    CU_ASSERT_STRING_EQUAL(r.parts[2].purpose, "another");
    fm_report_fini(&r);
}

/** The ledger as it was after each entry. */
static void every_point_is_what_the_accountant_says_of_the_entries_so_far(void)
{
    const unsigned first = 4, second = 3;
    fm_report r = { 0 };
    desk d;

    open_desk(&d, "alpha", "alpha", 2.0);
    charge(&d, "alpha", "heart", "p", 1, 4.0, first);
    charge(&d, "alpha", "heart", "p", 2, 9.0, second);
    CU_ASSERT_EQUAL_FATAL(fm_report_gather(d.config, 0, &r), FM_OK);
    CU_ASSERT_EQUAL_FATAL(r.point_count, first + second);
    for (unsigned i = 0; i < first + second; i++) {
        unsigned a = i < first ? i + 1 : first, b = i + 1 - a;
        fm_dp_mechanism m[] = { { 4.0, 0.25, a, FM_DP_GAUSSIAN, 0 },
                                { 9.0, 0.25, b, FM_DP_GAUSSIAN, 0 } };
        double epsilon = 0.0;

        CU_ASSERT_EQUAL_FATAL(fm_dp_epsilon(m, b > 0 ? 2 : 1, DELTA, &epsilon), FM_OK);
        CU_ASSERT_EQUAL(r.points[i].releases, i + 1);
        CU_ASSERT_DOUBLE_EQUAL(r.points[i].epsilon, epsilon, 1e-3 * epsilon);
    }
    fm_report_fini(&r);
}

static void many_entries_make_few_points_that_never_fall(void)
{
    const uint64_t n = 150;
    double last_x = 0.0, last_y = 1e9, x, y;
    fm_report r = { 0 };
    fm_buf page = { 0 };
    char *p;
    unsigned stairs = 0;
    desk d;

    open_desk(&d, "alpha", "alpha", 2.0);
    charge(&d, "alpha", "heart", "p", 1, 20.0, n);
    CU_ASSERT_EQUAL_FATAL(fm_report_gather(d.config, 0, &r), FM_OK);
    CU_ASSERT_EQUAL(r.point_count, FM_REPORT_POINTS);
    CU_ASSERT_EQUAL(r.points[r.point_count - 1].releases, n);
    CU_ASSERT_EQUAL(r.points[r.point_count - 1].epsilon, spent(&d));
    for (size_t i = 1; i < r.point_count; i++) {
        CU_ASSERT(r.points[i].releases > r.points[i - 1].releases);
        CU_ASSERT(r.points[i].epsilon >= r.points[i - 1].epsilon);
    }
    p = strstr(render(&r, &page), "class=\"line\" d=\"M");
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    for (p = strchr(p, 'V'); p && sscanf(p, "V%lfH%lf", &y, &x) == 2; stairs++) {
        CU_ASSERT(x > last_x && y <= last_y && y > 0.0 && x < 760.0);
        last_x = x;
        last_y = y;
        p = strchr(p, 'H');
        p += strcspn(p, "V\"");
    }
    CU_ASSERT_EQUAL(stairs, r.point_count);
    check_page((const char *)page.data, &r);
    fm_buf_fini(&page);
    fm_report_fini(&r);
}

static void the_page_says_what_is_spent_left_and_how_to_recompute_it(void)
{
    char head[2 * FM_HASH_BYTES + 1], number[32], sentence[160];
    fm_report r = { 0 };
    fm_buf page = { 0 };
    const char *text;
    desk d;

    open_desk(&d, "alpha", "alpha", 2.0);
    charge(&d, "alpha", "heart", "heart disease risk", 1, 4.0, 3);
    CU_ASSERT_EQUAL_FATAL(fm_report_gather(d.config, 1790000000, &r), FM_OK);
    text = render(&r, &page);
    (void)snprintf(
        sentence, sizeof sentence,
        "Of its budget of epsilon 2 at delta 0.0001, data set alpha has spent %.4f; %.4f "
        "is left.",
        fm_words_up(r.spent), fm_words_down(r.left));
    CU_ASSERT(shows(text, sentence));
    CU_ASSERT(
        shows(text, "fedmoe-dp epsilon --delta 0.0001 --mechanism gaussian:z=4,q=0.25,steps=3"));
    fm_hash_hex(&r.head, head);
    CU_ASSERT(shows(text, head));
    fm_words_exact(r.spent, number);
    CU_ASSERT(shows(text, number));
    fm_words_percent(fm_words_posterior(r.spent, 0.01), number);
    CU_ASSERT(shows(text, number));
    CU_ASSERT(shows(text, "2026-09-21T"));
    CU_ASSERT(shows(text, "no plan.json"));
    CU_ASSERT(shows(text, "node &#39;alpha&#39; of federation &#39;heart&#39;"));
    CU_ASSERT(shows(text, "budget 2</text>"));
    check_page(text, &r);
    fm_buf_fini(&page);
    fm_report_fini(&r);
}

/** Mounts it: names and purposes that would be markup, or break out of attribute or command. */
static void foreign_texts_cannot_become_markup(void)
{
    static const char plan[] =
        "{\"approved\": false, \"reason\": \"<script>1</script>\", \"offered\": \"<i>\", "
        "\"hash\": \"\\\"><script>\", \"purpose\": \"</p><script>2</script>\", "
        "\"privacy_unit\": \"<script>3</script>\", \"noise\": \"<script>\", \"parameters\": 3}";
    fm_report r = { 0 };
    fm_buf page = { 0 };
    const char *text;
    desk d;

    open_desk(&d, EVIL_SET, "'<script>alert(\"x\")</script>''&'", 2.0);
    charge(&d, EVIL_SET, EVIL_FEDERATION, EVIL_PURPOSE, 1, 4.0, 2);
    write_file(d.dir, "plan.json", plan);
    write_file(d.dir, "status.json", "{\"state\": \"<script>\", \"updated\": \"'\\\"<b>\"}");
    CU_ASSERT_EQUAL_FATAL(fm_report_gather(d.config, 0, &r), FM_OK);
    text = render(&r, &page);
    check_page(text, &r);
    CU_ASSERT_PTR_NULL(strstr(text, "<script"));
    CU_ASSERT_PTR_NULL(strstr(text, "<img"));
    CU_ASSERT(shows(text, "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&#39;&amp;"));
    CU_ASSERT(shows(text, "&quot;&gt;&lt;img src=x onerror=&#39;alert(1)&#39;&gt; &amp;amp;"));
    /* In the shell's quotes, every quote of the name is closed, escaped and opened again. */
    CU_ASSERT(shows(text, "&lt;/script&gt;&#39;\\&#39;&#39;&amp;&#39; --delta"));
    CU_ASSERT(shows(text, "default-src 'none'"));
    fm_buf_fini(&page);
    fm_report_fini(&r);
}

static void the_same_books_give_the_same_page_but_for_its_date(void)
{
    fm_report a = { 0 }, b = { 0 };
    fm_buf first = { 0 }, second = { 0 };
    size_t differ = 0;
    desk d;

    open_desk(&d, "alpha", "alpha", 2.0);
    charge(&d, "alpha", "heart", "p", 1, 4.0, 3);
    CU_ASSERT_EQUAL_FATAL(fm_report_gather(d.config, 1790000000, &a), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_report_gather(d.config, 1790000001, &b), FM_OK);
    (void)render(&a, &first);
    (void)render(&b, &second);
    CU_ASSERT_EQUAL_FATAL(first.len, second.len);
    for (size_t i = 0; i < first.len; i++)
        differ += first.data[i] != second.data[i];
    CU_ASSERT_EQUAL(differ, 1); /* the last digit of the second */
    fm_buf_fini(&first);
    fm_buf_fini(&second);
    fm_report_fini(&a);
    fm_report_fini(&b);
}

static void nothing_spent_and_no_privacy_have_their_own_words(void)
{
    fm_report r = { 0 };
    fm_buf page = { 0 };
    desk d;

    open_desk(&d, "alpha", "alpha", 2.0);
    charge(&d, "other", "heart", "p", 1, 4.0, 1);
    CU_ASSERT_EQUAL_FATAL(fm_report_gather(d.config, 0, &r), FM_OK);
    CU_ASSERT_EQUAL(r.spent, 0.0);
    CU_ASSERT(shows(render(&r, &page), "Nothing was released from this data set yet."));
    check_page((const char *)page.data, &r);
    fm_report_fini(&r);

    open_desk(&d, "alpha", "alpha", 1000.0);
    charge(&d, "alpha", "heart", "p", 1, 1e-6, 2);
    CU_ASSERT_EQUAL_FATAL(fm_report_gather(d.config, 0, &r), FM_OK);
    CU_ASSERT(shows(render(&r, &page), "nothing of data set alpha is private"));
    CU_ASSERT_PTR_NULL(strstr((const char *)page.data, "class=\"budget\""));
    check_page((const char *)page.data, &r);
    fm_report_fini(&r);

    open_desk(&d, "alpha", "alpha", 0.01);
    charge(&d, "alpha", "heart", "p", 1, 1.0, 2);
    CU_ASSERT_EQUAL_FATAL(fm_report_gather(d.config, 0, &r), FM_OK);
    CU_ASSERT_EQUAL(r.left, 0.0);
    CU_ASSERT(shows(render(&r, &page), "more than the budget"));
    check_page((const char *)page.data, &r);
    fm_report_fini(&r);
    fm_buf_fini(&page);
}

/** One letter of a purpose within the file; SQLite itself does not notice. */
static void a_tampered_ledger_gives_no_report(void)
{
    fm_report r = { 0 };
    fm_buf file = { 0 };
    char *at;
    desk d;

    open_desk(&d, "alpha", "alpha", 2.0);
    charge(&d, "alpha", "heart", "heart disease risk", 1, 4.0, 3);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(d.ledger, 1 << 24, &file), FM_OK);
    at = memmem(file.data, file.len, "heart disease risk", 18);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    *at = 'H';
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(d.ledger, file.data, file.len, 0600), FM_OK);
    CU_ASSERT_EQUAL(fm_report_gather(d.config, 0, &r), FM_EPROTO);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "entry"));
    fm_buf_fini(&file);
}

static void a_ledger_behind_the_journal_gives_no_report(void)
{
    const fm_hash plan = { { 1 } }, digest = { { 2 } };
    fm_report r = { 0 };
    fm_journal *j = NULL;
    char path[PATH_CAP];
    desk d;

    open_desk(&d, "alpha", "alpha", 2.0);
    charge(&d, "alpha", "heart", "p", 1, 4.0, 1);
    make_path(path, d.dir, "state.db");
    CU_ASSERT_EQUAL_FATAL(fm_report_gather(d.config, 0, &r), FM_OK);
    CU_ASSERT_FALSE(r.journal_known);
    CU_ASSERT_FALSE(fm_file_exists(path)); /* a report makes no journal */
    fm_report_fini(&r);
    CU_ASSERT_EQUAL_FATAL(fm_journal_open(path, "heart", &plan, &j), FM_OK);
    for (uint64_t round = 1; round <= 2; round++) {
        CU_ASSERT_EQUAL(fm_journal_use(j, round), FM_OK);
        CU_ASSERT_EQUAL(fm_journal_commit(j, round, &digest), FM_OK);
        CU_ASSERT_EQUAL(fm_journal_release(j, round, &digest), FM_OK);
        CU_ASSERT_EQUAL(fm_report_gather(d.config, 0, &r), round == 1 ? FM_OK : FM_EPROTO);
        CU_ASSERT_EQUAL(r.journal_released, round == 1 ? 1 : 0);
        fm_report_fini(&r);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "2 released rounds"));
    fm_journal_close(&j);
    CU_ASSERT_EQUAL_FATAL(fm_file_replace(path, "this is no journal at all", 25, 0600), FM_OK);
    CU_ASSERT_EQUAL(fm_report_gather(d.config, 0, &r), FM_EIO);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "state.db"));
}

/** A node at work: as it journals, charges and releases, round by round. */
static void work(const desk *d, uint64_t rounds)
{
    const fm_hash plan = { { 1 } }, digest = { { 2 } };
    const fm_ledger_budget budget = { 1e300, DELTA };
    fm_ledger_entry e = { .data_set = "alpha",
                          .federation = "heart",
                          .purpose = "p",
                          .plan = plan,
                          .mechanism = {
                              .noise_multiplier = 30.0, .sampling_rate = 0.25, .count = 1 } };
    char path[PATH_CAP];
    fm_journal *j = NULL;
    fm_ledger *l = NULL;

    make_path(path, d->dir, "state.db");
    need(fm_journal_open(path, "heart", &plan, &j) == FM_OK, "a journal");
    need(fm_ledger_open(d->ledger, &l) == FM_OK, "a ledger");
    for (e.round = 2; e.round <= rounds; e.round++)
        need(fm_journal_use(j, e.round) == FM_OK &&
                 fm_journal_commit(j, e.round, &digest) == FM_OK &&
                 fm_ledger_charge(l, &e, &budget) == FM_OK &&
                 fm_journal_release(j, e.round, &digest) == FM_OK,
             "a round");
    fm_ledger_close(&l);
    fm_journal_close(&j);
}

static void a_report_may_be_made_while_the_node_works(void)
{
    const uint64_t rounds = 60;
    fm_report r = { 0 };
    int status = -1;
    fm_status st;
    pid_t child;
    desk d;

    open_desk(&d, "alpha", "alpha", 2.0);
    charge(&d, "alpha", "heart", "p", 1, 30.0, 1);
    need((child = fork()) >= 0, "a child");
    if (child == 0) {
        work(&d, rounds);
        _exit(0);
    }
    do {
        st = fm_report_gather(d.config, 0, &r);
        if (st != FM_OK)
            printf("\n    %s\n", fm_error_text());
        CU_ASSERT_EQUAL_FATAL(st, FM_OK);
        CU_ASSERT_EQUAL(r.entries, r.releases);
        CU_ASSERT(r.journal_released <= r.releases);
        CU_ASSERT_EQUAL(r.kinds[0].count, r.releases);
        CU_ASSERT_EQUAL(r.points[r.point_count - 1].releases, r.releases);
        fm_report_fini(&r);
    } while (waitpid(child, &status, WNOHANG) == 0);
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CU_ASSERT_EQUAL_FATAL(fm_report_gather(d.config, 0, &r), FM_OK);
    CU_ASSERT_EQUAL(r.releases, rounds);
    CU_ASSERT_EQUAL(r.spent, spent(&d));
    fm_report_fini(&r);
}

static void without_a_ledger_there_is_nothing_to_report(void)
{
    fm_report r = { 0 };
    desk d;

    open_desk(&d, "alpha", "alpha", 2.0);
    CU_ASSERT_EQUAL(fm_report_gather(d.config, 0, &r), FM_ENOTFOUND);
    CU_ASSERT_PTR_NOT_NULL(strstr(fm_error_text(), "nothing has been spent"));
    charge(&d, "alpha", "heart", "p", 1, 4.0, 1);
    write_file(d.dir, "plan.json", "{");
    CU_ASSERT_EQUAL(fm_report_gather(d.config, 0, &r), FM_EPARSE);
    CU_ASSERT_EQUAL(fm_report_gather(NULL, 0, &r), FM_EINVAL);
}

static const fm_test tests[] = {
    { "what is foreign is escaped", what_is_foreign_is_escaped },
    { "a writer that failed says so at the end", a_writer_that_failed_says_so_at_the_end },
    { "words are upper bounds, and read back", words_are_upper_bounds_and_read_back },
    { "figures are the ledger's", figures_are_the_ledgers },
    { "every point is what the accountant says of the entries so far",
      every_point_is_what_the_accountant_says_of_the_entries_so_far },
    { "many entries make few points, that never fall",
      many_entries_make_few_points_that_never_fall },
    { "the page says what is spent, left, and how to recompute it",
      the_page_says_what_is_spent_left_and_how_to_recompute_it },
    { "foreign texts cannot become markup", foreign_texts_cannot_become_markup },
    { "the same books give the same page, but for its date",
      the_same_books_give_the_same_page_but_for_its_date },
    { "nothing spent and no privacy have their own words",
      nothing_spent_and_no_privacy_have_their_own_words },
    { "a tampered ledger gives no report", a_tampered_ledger_gives_no_report },
    { "a ledger behind the journal gives no report", a_ledger_behind_the_journal_gives_no_report },
    { "a report may be made while the node works", a_report_may_be_made_while_the_node_works },
    { "without a ledger there is nothing to report", without_a_ledger_there_is_nothing_to_report },
};

const fm_test_suite suite_report = { "node.report", tests, FM_TEST_COUNT(tests) };
