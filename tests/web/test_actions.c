#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "fm_test.h"
#include "http.h"
#include "suites.h"

static const char page[] =
    "<form method=post action=/pause><input name=token value='" FM_WEB_FORM_TOKEN "'></form>";
static char links[256], cookie[200], other[200], body[300];
static http_answer a;

static fm_web *with_button(void)
{
    fm_web *w = web_new(links);

    CU_ASSERT_EQUAL(fm_web_publish(w, "/", "text/html", FM_WEB_COORDINATOR | FM_WEB_MEMBER, NULL,
                                   page, strlen(page)),
                    FM_OK);
    CU_ASSERT_EQUAL(fm_web_allow(w, "/pause", FM_WEB_COORDINATOR), FM_OK);
    web_enter(w, links, FM_WEB_COORDINATOR, NULL, cookie);
    web_enter(w, links, FM_WEB_MEMBER, "northgate", other);
    return w;
}

/* The body that the page's own form would send. */
static void fill(const fm_web *w, const char *who)
{
    const char *at;

    http_get(w, "/", who, &a);
    at = strstr(a.body, "value='");
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    (void)snprintf(body, sizeof body, "for=10m%%26+x&token=%.43s", at + 7);
}

static bool is_waiting(const fm_web *w)
{
    struct pollfd p = { .fd = fm_web_fd(w), .events = POLLIN };

    return poll(&p, 1, 0) == 1;
}

static void what_a_visitor_does_comes_to_the_run(void)
{
    fm_web *w = with_button();
    fm_web_action got;
    char value[20];

    fill(w, cookie);
    CU_ASSERT_FALSE(is_waiting(w));
    http_post(w, "/pause", cookie, NULL, body, &a);
    CU_ASSERT_EQUAL(a.code, 303);
    CU_ASSERT_STRING_EQUAL(http_header(&a, "Location"), "/");
    CU_ASSERT_TRUE(is_waiting(w));
    CU_ASSERT_TRUE_FATAL(fm_web_next(w, &got));
    CU_ASSERT_STRING_EQUAL(got.path, "/pause");
    CU_ASSERT_STRING_EQUAL(got.visitor, "coordinator");
    CU_ASSERT_EQUAL(got.role, FM_WEB_COORDINATOR);
    CU_ASSERT_TRUE(fm_web_field(got.body, got.body_bytes, "for", value, sizeof value));
    CU_ASSERT_STRING_EQUAL(value, "10m& x");
    CU_ASSERT_FALSE(is_waiting(w));
    CU_ASSERT_FALSE(fm_web_next(w, &got));
    fm_web_stop(&w);
}

static void a_form_of_another_site_session_or_role_does_nothing(void)
{
    fm_web *w = with_button();
    char others[sizeof body];
    fm_web_action got;

    fill(w, other);
    (void)snprintf(others, sizeof others, "%s", body);
    fill(w, cookie);
    http_post(w, "/pause", cookie, "http://evil.example", body, &a);
    CU_ASSERT_EQUAL(a.code, 403);
    http_post(w, "/pause", cookie, "", body, &a);
    CU_ASSERT_EQUAL(a.code, 403);
    http_post(w, "/pause", cookie, NULL, "for=1", &a);
    CU_ASSERT_EQUAL(a.code, 403);
    http_post(w, "/pause", cookie, NULL, others, &a);
    CU_ASSERT_EQUAL(a.code, 403);
    http_post(w, "/pause", other, NULL, others, &a); /* a member has no such button */
    CU_ASSERT_EQUAL(a.code, 404);
    http_post(w, "/pause", NULL, NULL, body, &a);
    CU_ASSERT_EQUAL(a.code, 404);
    http_post(w, "/else", cookie, NULL, body, &a);
    CU_ASSERT_EQUAL(a.code, 404);
    http_get(w, "/pause", cookie, &a);
    CU_ASSERT_EQUAL(a.code, 404);
    CU_ASSERT_FALSE(fm_web_next(w, &got));
    fm_web_stop(&w);
}

static void only_so_many_wait(void)
{
    fm_web *w = with_button();
    fm_web_action got;
    int n = 0;

    fill(w, cookie);
    for (int i = 0; i <= FM_WEB_ACTIONS_MAX; i++) {
        http_post(w, "/pause", cookie, NULL, body, &a);
        CU_ASSERT_EQUAL(a.code, i < FM_WEB_ACTIONS_MAX ? 303 : 503);
    }
    while (fm_web_next(w, &got))
        n++;
    CU_ASSERT_EQUAL(n, FM_WEB_ACTIONS_MAX);
    fm_web_stop(&w);
}

static void who_leaves_is_a_stranger_again(void)
{
    fm_web *w = with_button();

    fill(w, cookie);
    http_post(w, "/leave", cookie, NULL, "token=", &a);
    CU_ASSERT_EQUAL(a.code, 403);
    http_post(w, "/leave", cookie, NULL, body, &a);
    CU_ASSERT_EQUAL(a.code, 303);
    CU_ASSERT_PTR_NOT_NULL(strstr(http_header(&a, "Set-Cookie"), "Max-Age=0"));
    http_get(w, "/", cookie, &a);
    CU_ASSERT_EQUAL(a.code, 404);
    http_get(w, "/", other, &a);
    CU_ASSERT_EQUAL(a.code, 200);
    fm_web_stop(&w);
}

static bool field(const char *text, const char *name, char out[8])
{
    return fm_web_field((const uint8_t *)text, strlen(text), name, out, 8);
}

static void fields_of_forms_are_read_strictly(void)
{
    char v[8];

    CU_ASSERT_TRUE(field("a=1&b=%41+%c3%a9", "b", v));
    CU_ASSERT_STRING_EQUAL(v, "A \xc3\xa9");
    CU_ASSERT_TRUE(field("a=", "a", v));
    CU_ASSERT_STRING_EQUAL(v, "");
    CU_ASSERT_FALSE(field("aa=1", "a", v));
    CU_ASSERT_FALSE(field("", "a", v));
    CU_ASSERT_FALSE(field("a", "a", v));
    CU_ASSERT_FALSE(field("a=%4", "a", v));
    CU_ASSERT_FALSE(field("a=%zz", "a", v));
    CU_ASSERT_FALSE(field("a=%00", "a", v));
    CU_ASSERT_FALSE(field("a=12345678", "a", v));
    CU_ASSERT_TRUE(field("a=1234567", "a", v));
}

static const fm_test tests[] = {
    { "what a visitor does comes to the run", what_a_visitor_does_comes_to_the_run },
    { "a form of another site, session or role does nothing",
      a_form_of_another_site_session_or_role_does_nothing },
    { "only so many wait", only_so_many_wait },
    { "who leaves is a stranger again", who_leaves_is_a_stranger_again },
    { "fields of forms are read strictly", fields_of_forms_are_read_strictly },
};

const fm_test_suite web_actions_suite = { "web.actions", tests, FM_TEST_COUNT(tests) };
