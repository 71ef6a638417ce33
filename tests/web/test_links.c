#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fedmoe/base/file.h"
#include "fm_test.h"
#include "http.h"
#include "suites.h"

static char links[256];
static http_answer a;

static void link_path(fm_web_role role, uint32_t seconds, char path[80])
{
    char token[FM_WEB_TOKEN_SIZE];

    CU_ASSERT_EQUAL_FATAL(fm_web_link_new(links, role, NULL, seconds, token), FM_OK);
    CU_ASSERT_EQUAL(strlen(token), 43);
    (void)snprintf(path, 80, "/link/%s", token);
}

static void a_link_opens_one_session_and_looking_at_it_spends_nothing(void)
{
    fm_web *w = web_new(links);
    char path[80];

    CU_ASSERT_EQUAL(fm_web_publish(w, "/", "text/plain", FM_WEB_COORDINATOR, NULL, "hello", 5),
                    FM_OK);
    link_path(FM_WEB_COORDINATOR, 60, path);
    for (int i = 0; i < 3; i++) { /* a mail program's preview */
        http_get(w, path, NULL, &a);
        CU_ASSERT_EQUAL(a.code, 200);
        CU_ASSERT_STRING_EQUAL(http_header(&a, "Set-Cookie"), "");
    }
    http_post(w, path, NULL, NULL, "", &a);
    CU_ASSERT_EQUAL(a.code, 303);
    CU_ASSERT_PTR_NOT_NULL(strstr(http_header(&a, "Set-Cookie"), "HttpOnly; SameSite=Strict"));
    http_post(w, path, NULL, NULL, "", &a);
    CU_ASSERT_EQUAL(a.code, 404);
    CU_ASSERT_STRING_EQUAL(http_header(&a, "Set-Cookie"), "");
    http_get(w, path, NULL, &a);
    CU_ASSERT_EQUAL(a.code, 404);
    fm_web_stop(&w);
}

static void another_site_cannot_spend_it(void)
{
    fm_web *w = web_new(links);
    char path[80];

    link_path(FM_WEB_COORDINATOR, 60, path);
    http_post(w, path, NULL, "http://evil.example", "", &a);
    CU_ASSERT_EQUAL(a.code, 403);
    http_post(w, path, NULL, "null", "", &a);
    CU_ASSERT_EQUAL(a.code, 403);
    http_post(w, path, NULL, "", "", &a);
    CU_ASSERT_EQUAL(a.code, 403);
    http_post(w, path, NULL, NULL, "", &a);
    CU_ASSERT_EQUAL(a.code, 303);
    fm_web_stop(&w);
}

static void a_link_ends_with_its_time(void)
{
    fm_web *w = web_new(links);
    char path[80];

    link_path(FM_WEB_COORDINATOR, 1, path);
    usleep(1200 * 1000);
    http_get(w, path, NULL, &a);
    CU_ASSERT_EQUAL(a.code, 404);
    http_post(w, path, NULL, NULL, "", &a);
    CU_ASSERT_EQUAL(a.code, 404);
    fm_web_stop(&w);
}

static uint64_t right; /* of the member; 0: none */

static bool may(void *context, fm_web_role role, const char *name, uint64_t *out)
{
    (void)context;
    *out = role == FM_WEB_MEMBER && strcmp(name, "northgate") == 0 ? right : 1;
    return *out != 0;
}

static int as_member(const fm_web *w, const char *cookie)
{
    http_get(w, "/", cookie, &a);
    return a.code;
}

static void a_session_ends_with_the_right_that_it_was_opened_under(void)
{
    const fm_web_options o = { .address = "127.0.0.1:0", .links_path = links, .may = may };
    fm_web *w = web_new(links);
    char cookie[200];

    fm_web_stop(&w);
    CU_ASSERT_EQUAL_FATAL(fm_web_start(&o, &w), FM_OK);
    CU_ASSERT_EQUAL(fm_web_publish(w, "/", "text/plain", FM_WEB_MEMBER, NULL, "hello", 5), FM_OK);
    right = 0; /* it is no member yet: the link is good, and shows nothing before */
    web_enter(w, links, FM_WEB_MEMBER, "northgate", cookie);
    CU_ASSERT_EQUAL(as_member(w, cookie), 404);
    right = 3;
    CU_ASSERT_EQUAL(as_member(w, cookie), 200);
    CU_ASSERT_EQUAL(as_member(w, cookie), 200);
    right = 4; /* revoked, and admitted anew by another certificate, unseen by the session */
    CU_ASSERT_EQUAL(as_member(w, cookie), 404);
    right = 3;
    CU_ASSERT_EQUAL(as_member(w, cookie), 404);
    web_enter(w, links, FM_WEB_MEMBER, "northgate", cookie);
    CU_ASSERT_EQUAL(as_member(w, cookie), 200);
    right = 0; /* revoked, seen by the session */
    CU_ASSERT_EQUAL(as_member(w, cookie), 404);
    right = 3;
    CU_ASSERT_EQUAL(as_member(w, cookie), 404);
    fm_web_stop(&w);
}

static void the_file_holds_no_token_and_is_private(void)
{
    fm_web *w = web_new(links);
    fm_buf b = { 0 };
    struct stat s;
    char path[80];

    link_path(FM_WEB_COORDINATOR, 60, path);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(links, 10000, &b), FM_OK);
    CU_ASSERT_PTR_NULL(strstr((char *)b.data, path + strlen("/link/")));
    CU_ASSERT_PTR_NOT_NULL(strstr((char *)b.data, " 4 "));
    CU_ASSERT_EQUAL(stat(links, &s), 0);
    CU_ASSERT_EQUAL(s.st_mode & 0777, 0600);
    fm_buf_fini(&b);
    fm_web_stop(&w);
}

static void a_file_that_others_can_read_is_refused(void)
{
    fm_web_options o = { .address = "127.0.0.1:0", .links_path = links };
    fm_web *w = web_new(links);
    char token[FM_WEB_TOKEN_SIZE];

    fm_web_stop(&w);
    CU_ASSERT_EQUAL(chmod(links, 0644), 0);
    CU_ASSERT_EQUAL(fm_web_start(&o, &w), FM_EPERM);
    CU_ASSERT_EQUAL(fm_web_link_new(links, FM_WEB_COORDINATOR, NULL, 60, token), FM_EPERM);
}

static void there_are_at_most_64_and_those_that_are_over_give_way(void)
{
    fm_web *w = web_new(links);
    char token[FM_WEB_TOKEN_SIZE];

    for (int i = 0; i < 64; i++)
        CU_ASSERT_EQUAL_FATAL(
            fm_web_link_new(links, FM_WEB_COORDINATOR, NULL, i < 56 ? 60 : 2, token), FM_OK);
    CU_ASSERT_EQUAL(fm_web_link_new(links, FM_WEB_COORDINATOR, NULL, 60, token), FM_ENOMEM);
    usleep(2200 * 1000);
    CU_ASSERT_EQUAL(fm_web_link_new(links, FM_WEB_COORDINATOR, NULL, 60, token), FM_OK);
    fm_web_stop(&w);
}

static void a_name_or_role_that_is_none_makes_no_link(void)
{
    char token[FM_WEB_TOKEN_SIZE];

    fm_test_tmpdir(links, 200);
    strcat(links, "/links");
    CU_ASSERT_EQUAL(fm_web_link_new(links, FM_WEB_MEMBER, "a b", 60, token), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_web_link_new(links, FM_WEB_MEMBER, "a\n0", 60, token), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_web_link_new(links, FM_WEB_ANYONE, "a", 60, token), FM_EINVAL);
    CU_ASSERT_EQUAL(fm_web_link_new(links, FM_WEB_MEMBER, "a", 0, token), FM_EINVAL);
}

static void a_damaged_file_opens_nothing(void)
{
    static const char *const texts[] = {
        "", "\n", "garbage\n", "0 4 9999999999 coordinator\n", "\xff\xfe\n", " 4 4 4 4 4\n",
    };
    fm_web *w = web_new(links);
    char path[80];

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        link_path(FM_WEB_COORDINATOR, 60, path);
        CU_ASSERT_EQUAL(fm_file_replace(links, texts[i], strlen(texts[i]), 0600), FM_OK);
        http_post(w, path, NULL, NULL, "", &a);
        CU_ASSERT_EQUAL(a.code, 404);
    }
    fm_web_stop(&w);
}

static void a_bearer_token_is_no_link_and_a_link_no_bearer_token(void)
{
    char token[FM_WEB_TOKEN_SIZE], other[FM_WEB_TOKEN_SIZE], text[400];
    fm_web *w = web_new(links);
    char path[80];

    CU_ASSERT_EQUAL(fm_web_publish(w, "/metrics", "text/plain", FM_WEB_SCRAPER, NULL, "x 1\n", 4),
                    FM_OK);
    CU_ASSERT_EQUAL(fm_web_link_new(links, FM_WEB_SCRAPER, NULL, 60, token), FM_OK);
    CU_ASSERT_EQUAL(fm_web_link_new(links, FM_WEB_COORDINATOR, NULL, 60, other), FM_OK);
    (void)snprintf(path, sizeof path, "/link/%s", token);
    http_post(w, path, NULL, NULL, "", &a);
    CU_ASSERT_EQUAL(a.code, 404);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(text, sizeof text,
                       "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
                       "%s\r\n\r\n",
                       i == 0 ? token : other);
        http_say(w, text, &a);
        CU_ASSERT_EQUAL(a.code, i == 0 ? 200 : 404);
    }
    CU_ASSERT_EQUAL(fm_web_link_new(links, FM_WEB_SCRAPER, NULL, 60, other), FM_OK);
    (void)snprintf(text, sizeof text,
                   "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n",
                   token);
    http_say(w, text, &a); /* the next ends the one before */
    CU_ASSERT_EQUAL(a.code, 404);
    fm_web_stop(&w);
}

static const fm_test tests[] = {
    { "a link opens one session, and looking at it spends nothing",
      a_link_opens_one_session_and_looking_at_it_spends_nothing },
    { "another site cannot spend it", another_site_cannot_spend_it },
    { "a session ends with the right that it was opened under",
      a_session_ends_with_the_right_that_it_was_opened_under },
    { "a link ends with its time", a_link_ends_with_its_time },
    { "the file holds no token, and is private", the_file_holds_no_token_and_is_private },
    { "a file that others can read is refused", a_file_that_others_can_read_is_refused },
    { "there are at most 64, and those that are over give way",
      there_are_at_most_64_and_those_that_are_over_give_way },
    { "a name or role that is none makes no link", a_name_or_role_that_is_none_makes_no_link },
    { "a damaged file opens nothing", a_damaged_file_opens_nothing },
    { "a bearer token is no link, and a link no bearer token",
      a_bearer_token_is_no_link_and_a_link_no_bearer_token },
};

const fm_test_suite web_links_suite = { "web.links", tests, FM_TEST_COUNT(tests) };
