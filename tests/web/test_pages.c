#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"
#include "fm_test.h"
#include "http.h"
#include "suites.h"

static char links[256], cookie[200], member[200];
static http_answer a;

static void publish(fm_web *w, const char *path, unsigned roles, const char *who, const char *text)
{
    CU_ASSERT_EQUAL_FATAL(
        fm_web_publish(w, path, "text/html; charset=utf-8", roles, who, text, strlen(text)), FM_OK);
}

static void each_role_gets_its_own_page_or_none(void)
{
    fm_web *w = web_new(links);

    web_enter(w, links, FM_WEB_COORDINATOR, NULL, cookie);
    web_enter(w, links, FM_WEB_MEMBER, "northgate", member);
    publish(w, "/", FM_WEB_ANYONE, NULL, "strangers");
    publish(w, "/", FM_WEB_MEMBER, NULL, "members");
    publish(w, "/", FM_WEB_COORDINATOR, NULL, "all");
    publish(w, "/all", FM_WEB_COORDINATOR, NULL, "secret");
    http_get(w, "/", NULL, &a);
    CU_ASSERT_STRING_EQUAL(a.body, "strangers");
    http_get(w, "/", member, &a);
    CU_ASSERT_STRING_EQUAL(a.body, "members");
    http_get(w, "/", cookie, &a);
    CU_ASSERT_STRING_EQUAL(a.body, "all");
    http_get(w, "/all", cookie, &a);
    CU_ASSERT_EQUAL(a.code, 200);
    http_get(w, "/all", member, &a);
    CU_ASSERT_EQUAL(a.code, 404);
    http_get(w, "/all", NULL, &a);
    CU_ASSERT_EQUAL(a.code, 404);
    fm_web_stop(&w);
}

static void what_one_may_not_see_and_what_is_not_there_read_alike(void)
{
    fm_web *w = web_new(links);
    char hidden[sizeof a.all];

    publish(w, "/all", FM_WEB_COORDINATOR, NULL, "secret");
    http_get(w, "/all", NULL, &a);
    (void)snprintf(hidden, sizeof hidden, "%.*s", (int)(strstr(a.all, "Date:") - a.all), a.all);
    http_get(w, "/none", NULL, &a);
    CU_ASSERT_EQUAL(strncmp(hidden, a.all, strlen(hidden)), 0);
    fm_web_stop(&w);
}

static void a_members_page_is_for_it_alone(void)
{
    fm_web *w = web_new(links);
    char other[200];

    web_enter(w, links, FM_WEB_COORDINATOR, NULL, cookie);
    web_enter(w, links, FM_WEB_MEMBER, "northgate", member);
    web_enter(w, links, FM_WEB_MEMBER, "lakeside", other);
    publish(w, "/me", FM_WEB_MEMBER | FM_WEB_COORDINATOR, "northgate", "northgate's");
    http_get(w, "/me", member, &a);
    CU_ASSERT_STRING_EQUAL(a.body, "northgate's");
    http_get(w, "/me", other, &a);
    CU_ASSERT_EQUAL(a.code, 404);
    http_get(w, "/me", cookie, &a);
    CU_ASSERT_EQUAL(a.code, 200);
    /* And its own part of a page for all. */
    publish(w, "/", FM_WEB_MEMBER, NULL, "[" FM_WEB_OWN_PART "]");
    CU_ASSERT_EQUAL(fm_web_publish_own(w, "northgate", "<b>you</b>", 10), FM_OK);
    http_get(w, "/", member, &a);
    CU_ASSERT_STRING_EQUAL(a.body, "[<b>you</b>]");
    http_get(w, "/", other, &a);
    CU_ASSERT_STRING_EQUAL(a.body, "[]");
    fm_web_stop(&w);
}

static void every_answer_carries_the_strict_headers(void)
{
    static const char *const paths[] = { "/", "/none", "/link/x" };
    fm_web *w = web_new(links);

    publish(w, "/", FM_WEB_ANYONE, NULL, "<style>p{}</style><script>1</script><p>x");
    for (size_t i = 0; i < 3; i++) {
        http_get(w, paths[i], NULL, &a);
        CU_ASSERT_STRING_EQUAL(http_header(&a, "X-Content-Type-Options"), "nosniff");
        CU_ASSERT_STRING_EQUAL(http_header(&a, "Cache-Control"), "no-store");
        CU_ASSERT_STRING_EQUAL(http_header(&a, "Referrer-Policy"), "same-origin");
        CU_ASSERT_STRING_EQUAL(http_header(&a, "X-Frame-Options"), "DENY");
        CU_ASSERT_PTR_NOT_NULL(
            strstr(http_header(&a, "Content-Security-Policy"), "default-src 'none'"));
        CU_ASSERT_PTR_NULL(strstr(a.all, "unsafe"));
        CU_ASSERT_STRING_EQUAL(http_header(&a, "Server"), "");
    }
    http_get(w, "/", NULL, &a);
    /* printf 1 | openssl dgst -sha256 -binary | base64 */
    CU_ASSERT_PTR_NOT_NULL(
        strstr(http_header(&a, "Content-Security-Policy"),
               "script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='"));
    fm_web_stop(&w);
}

static void a_name_that_is_not_ours_gets_nothing(void)
{
    static const struct {
        const char *host;
        int code;
    } hosts[] = {
        { "127.0.0.1:1", 200 },
        { "localhost", 200 },
        { "LOCALHOST:99", 200 },
        { "[::1]:7390", 200 },
        { "agg.example:7390", 200 },
        { "evil.example", 421 },
        { "localhost.evil.example", 421 },
        { "127.0.0.1.evil.example", 421 },
        { "agg.example.", 421 },
        { "", 421 },
        { "[::1", 421 },
        { ":7390", 421 },
        { "127.0.0.1@evil", 421 },
    };
    char text[200];
    fm_web_options o = { .address = "127.0.0.1:0",
                         .links_path = links,
                         .hosts = { "agg.example" } };
    fm_web *w = NULL;

    fm_test_tmpdir(links, 200);
    strcat(links, "/links");
    CU_ASSERT_EQUAL_FATAL(fm_web_start(&o, &w), FM_OK);
    publish(w, "/", FM_WEB_ANYONE, NULL, "x");
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[i].host);
        http_say(w, text, &a);
        CU_ASSERT_EQUAL(a.code, hosts[i].code);
        if (a.code != hosts[i].code)
            printf("%s: %d\n", hosts[i].host, a.code);
    }
    http_say(w, "GET / HTTP/1.0\r\n\r\n", &a);
    CU_ASSERT_EQUAL(a.code, 400);
    http_say(w, "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", &a);
    CU_ASSERT_EQUAL(a.code, 400);
    fm_web_stop(&w);
}

typedef struct {
    fm_web *w;
    unsigned after_ms;
    const char *text;
} later;

static void *publish_later(void *context)
{
    const later *l = context;

    usleep(l->after_ms * 1000);
    publish(l->w, "/", FM_WEB_COORDINATOR, NULL, l->text);
    return NULL;
}

static void who_waits_for_a_change_is_answered_by_it(void)
{
    fm_web *w = web_new(links);
    later l = { w, 400, "two" };
    uint64_t from_ms;
    char path[80];
    pthread_t t;

    web_enter(w, links, FM_WEB_COORDINATOR, NULL, cookie);
    publish(w, "/", FM_WEB_COORDINATOR, NULL, "one " FM_WEB_VERSION);
    http_get(w, "/?after=0.0", cookie, &a); /* another version: at once */
    CU_ASSERT_EQUAL(strncmp(a.body, "one ", 4), 0);
    CU_ASSERT_STRING_EQUAL(a.body + 4, http_header(&a, "X-Version"));
    (void)snprintf(path, sizeof path, "/?after=%s", http_header(&a, "X-Version"));
    publish(w, "/", FM_WEB_COORDINATOR, NULL, "one " FM_WEB_VERSION); /* the same is no change */
    from_ms = fm_clock_now_ms();
    CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, publish_later, &l), 0);
    http_get(w, path, cookie, &a);
    CU_ASSERT_STRING_EQUAL(a.body, "two");
    CU_ASSERT_TRUE(fm_clock_now_ms() - from_ms >= 350 && fm_clock_now_ms() - from_ms < 3000);
    pthread_join(t, NULL);
    fm_web_stop(&w);
}

static void without_a_change_it_ends_after_its_time_and_a_stranger_never_waits(void)
{
    fm_web_options o = { .address = "127.0.0.1:0", .links_path = links, .step_s = 1, .wait_s = 2 };
    fm_web *w = NULL;
    uint64_t from_ms;
    char path[80];

    fm_test_tmpdir(links, 200);
    strcat(links, "/links");
    CU_ASSERT_EQUAL_FATAL(fm_web_start(&o, &w), FM_OK);
    web_enter(w, links, FM_WEB_COORDINATOR, NULL, cookie);
    publish(w, "/", FM_WEB_COORDINATOR | FM_WEB_ANYONE, NULL, "one");
    http_get(w, "/", cookie, &a);
    (void)snprintf(path, sizeof path, "/?after=%s", http_header(&a, "X-Version"));
    from_ms = fm_clock_now_ms();
    http_get(w, path, cookie, &a); /* longer than a step may take otherwise */
    CU_ASSERT_EQUAL(a.code, 204);
    CU_ASSERT_TRUE(fm_clock_now_ms() - from_ms >= 1900);
    from_ms = fm_clock_now_ms();
    http_get(w, path, NULL, &a);
    CU_ASSERT_EQUAL(a.code, 200);
    CU_ASSERT_TRUE(fm_clock_now_ms() - from_ms < 1000);
    fm_web_stop(&w);
}

static void an_end_of_the_server_answers_those_who_wait(void)
{
    fm_web *w = web_new(links);
    char text[400];
    uint64_t from_ms;
    int fd;

    web_enter(w, links, FM_WEB_COORDINATOR, NULL, cookie);
    publish(w, "/", FM_WEB_COORDINATOR, NULL, "one");
    http_get(w, "/", cookie, &a);
    fd = http_connect(w);
    (void)snprintf(text, sizeof text,
                   "GET /?after=%s HTTP/1.1\r\nHost: localhost\r\nCookie: %s\r\n\r\n",
                   http_header(&a, "X-Version"), cookie);
    CU_ASSERT_TRUE(write(fd, text, strlen(text)) > 0);
    usleep(300 * 1000);
    from_ms = fm_clock_now_ms();
    fm_web_stop(&w);
    CU_ASSERT_TRUE(fm_clock_now_ms() - from_ms < 1500);
    http_read(fd, &a, 2000);
    CU_ASSERT_EQUAL(a.code, 204);
    close(fd);
}

static void bad_pages_are_not_published(void)
{
    static const char five[] = "<script>1</script><script>1</script><script>1</script>"
                               "<script>1</script><script>1</script>";
    fm_web *w = web_new(links);
    char path[20];

    CU_ASSERT_EQUAL(fm_web_publish(w, "x", "text/plain", 1, NULL, "", 0), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_web_publish(w, "/", "text/plain", 0, NULL, "", 0), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_web_publish(w, "/", "text/html", 1, NULL, five, strlen(five)), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_web_publish(w, "/", "text/html", 1, NULL, "<script>x", 9), FM_EINVAL);
    for (int i = 0; i < FM_WEB_PAGES_MAX; i++) {
        (void)snprintf(path, sizeof path, "/%d", i);
        publish(w, path, FM_WEB_ANYONE, NULL, "x");
    }
    CU_ASSERT_EQUAL(fm_web_publish(w, "/", "text/plain", 1, NULL, "", 0), FM_ENOMEM);
    fm_web_stop(&w);
}

static void text_in_html_stays_text(void)
{
    fm_buf b = { 0 };

    CU_ASSERT_EQUAL(fm_web_escape(&b, "a<b>&\"'\xc3\xa9"), FM_OK);
    CU_ASSERT_STRING_EQUAL((char *)b.data, "a&lt;b&gt;&amp;&quot;&#39;\xc3\xa9");
    fm_buf_fini(&b);
}

/* A browser that kept its page over a restart must not take the new page for the one it has. */
static void another_start_repeats_no_version(void)
{
    char before[60] = "";

    for (int i = 0; i < 2; i++) {
        fm_web *w = web_new(links);

        web_enter(w, links, FM_WEB_COORDINATOR, NULL, cookie);
        publish(w, "/", FM_WEB_COORDINATOR, NULL, i == 0 ? "before" : "after");
        http_get(w, "/", cookie, &a);
        CU_ASSERT_EQUAL(a.code, 200);
        CU_ASSERT_STRING_NOT_EQUAL(http_header(&a, "X-Version"), before);
        (void)snprintf(before, sizeof before, "%s", http_header(&a, "X-Version"));
        fm_web_stop(&w);
    }
}

static const fm_test tests[] = {
    { "each role gets its own page, or none", each_role_gets_its_own_page_or_none },
    { "what one may not see and what is not there read alike",
      what_one_may_not_see_and_what_is_not_there_read_alike },
    { "a member's page is for it alone", a_members_page_is_for_it_alone },
    { "every answer carries the strict headers", every_answer_carries_the_strict_headers },
    { "a name that is not ours gets nothing", a_name_that_is_not_ours_gets_nothing },
    { "who waits for a change is answered by it", who_waits_for_a_change_is_answered_by_it },
    { "without a change it ends after its time, and a stranger never waits",
      without_a_change_it_ends_after_its_time_and_a_stranger_never_waits },
    { "another start repeats no version", another_start_repeats_no_version },
    { "an end of the server answers those who wait", an_end_of_the_server_answers_those_who_wait },
    { "bad pages are not published", bad_pages_are_not_published },
    { "text in HTML stays text", text_in_html_stays_text },
};

const fm_test_suite web_pages_suite = { "web.pages", tests, FM_TEST_COUNT(tests) };
