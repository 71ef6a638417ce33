#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"
#include "fm_test.h"
#include "http.h"
#include "suites.h"

#define BIG_TIMES 24 /* a megabyte each: more than the kernel keeps for who does not read */
#define CROWD 90 /* more than may be in, and no more than the kernel lets wait */

static char links[256];
static http_answer a;

static fm_web *hasty(void)
{
    fm_web_options o = { .address = "127.0.0.1:0", .links_path = links, .step_s = 1 };
    fm_web *w = NULL;

    fm_test_tmpdir(links, 200);
    strcat(links, "/links");
    CU_ASSERT_EQUAL_FATAL(fm_web_start(&o, &w), FM_OK);
    CU_ASSERT_EQUAL(fm_web_publish(w, "/", "text/plain", FM_WEB_ANYONE, NULL, "x", 1), FM_OK);
    return w;
}

/* A byte now and then, so that no pause is ever long. @return ms until it was hung up. */
static uint64_t drip(int fd, const char *text)
{
    const uint64_t from_ms = fm_clock_now_ms();
    char byte;

    while (fm_clock_now_ms() - from_ms < 6000) {
        if (send(fd, *text ? text : "a", 1, MSG_NOSIGNAL) != 1 ||
            recv(fd, &byte, 1, MSG_DONTWAIT) == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
            break;
        text += *text != '\0';
        usleep(100 * 1000);
    }
    return fm_clock_now_ms() - from_ms;
}

static void a_request_that_drips_is_hung_up_on(void)
{
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
        "POST /link/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n",
    };
    fm_web *w = hasty();

    for (size_t i = 0; i < 2; i++) {
        int fd = http_connect(w);
        uint64_t ms = 0;

        if (i == 1) { /* the headers whole, then the body byte for byte */
            CU_ASSERT_TRUE(write(fd, texts[i], strlen(texts[i])) > 0);
            ms = drip(fd, "");
        } else {
            ms = drip(fd, texts[i]);
        }
        CU_ASSERT_TRUE(ms >= 800 && ms < 3000);
        close(fd);
    }
    fm_web_stop(&w);
}

static void connections_that_say_nothing_end_and_others_come_in(void)
{
    fm_web *w = hasty();
    int fds[CROWD], tries = 12;
    char byte;

    for (size_t i = 0; i < CROWD; i++)
        fds[i] = http_begin(w);
    do { /* until there is room, at most a few steps */
        usleep(300 * 1000);
        http_get(w, "/", NULL, &a);
    } while (a.code == 0 && --tries > 0);
    CU_ASSERT_EQUAL(a.code, 200);
    for (size_t i = 0; i < CROWD; i++)
        close(fds[i]);
    usleep(300 * 1000);
    fds[0] = http_connect(w);
    usleep(1800 * 1000);
    CU_ASSERT_EQUAL(recv(fds[0], &byte, 1, MSG_DONTWAIT), 0);
    close(fds[0]);
    fm_web_stop(&w);
}

static void who_does_not_read_the_answer_is_hung_up_on(void)
{
    static char big[FM_WEB_PAGE_MAX];
    fm_web *w = hasty();
    size_t got = 0;
    ssize_t n;
    char bytes[4096];
    int fd;

    memset(big, 'x', sizeof big);
    CU_ASSERT_EQUAL(fm_web_publish(w, "/big", "text/plain", FM_WEB_ANYONE, NULL, big, sizeof big),
                    FM_OK);
    fd = http_connect(w);
    for (int i = 0; i < BIG_TIMES; i++)
        CU_ASSERT_TRUE(dprintf(fd, "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n") > 0);
    usleep(2000 * 1000);
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
        got += (size_t)n;
    CU_ASSERT_TRUE(got < BIG_TIMES * sizeof big); /* and it ended: recv came back */
    close(fd);
    http_get(w, "/", NULL, &a);
    CU_ASSERT_EQUAL(a.code, 200);
    fm_web_stop(&w);
}

static void what_is_too_long_is_refused(void)
{
    static char text[40000];
    fm_web *w = hasty();
    int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: localhost\r\nX: ");

    memset(text + n, 'a', 30000);
    strcpy(text + n + 30000, "\r\n\r\n");
    http_say(w, text, &a);
    CU_ASSERT_TRUE(a.code == 431 || a.code == 413 || a.code == 414 || a.code == 0);
    n = snprintf(text, sizeof text, "GET /");
    memset(text + n, 'a', 30000);
    strcpy(text + n + 30000, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    http_say(w, text, &a);
    CU_ASSERT_TRUE(a.code == 414 || a.code == 431 || a.code == 0);
    http_say(w, "POST /link/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1025\r\n\r\n", &a);
    CU_ASSERT_EQUAL(a.code, 413);
    http_say(w,
             "POST /link/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
             "99999999999999999999\r\n\r\n",
             &a);
    CU_ASSERT_TRUE(a.code == 413 || a.code == 400 || a.code == 0);
    http_say(w, "POST /link/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
             &a);
    CU_ASSERT_EQUAL(a.code, 413);
    http_say(w, "PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", &a);
    CU_ASSERT_EQUAL(a.code, 405);
    http_get(w, "/", NULL, &a);
    CU_ASSERT_EQUAL(a.code, 200);
    fm_web_stop(&w);
}

static void plain_http_is_for_this_machine_alone(void)
{
    static const char *const refused[] = { "0.0.0.0:0", "[::]:0", "192.0.2.1:0" };
    static const char *const none[] = { "",          "x",           "localhost:0",
                                        "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999",
                                        "[::1:0" };
    fm_web_options o = { .links_path = links };
    fm_web *w = NULL;

    fm_test_tmpdir(links, 200);
    strcat(links, "/links");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        o.address = refused[i];
        CU_ASSERT_EQUAL(fm_web_start(&o, &w), FM_EPERM);
    }
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        o.address = none[i];
        CU_ASSERT_EQUAL(fm_web_start(&o, &w), FM_EINVAL);
    }
    CU_ASSERT_PTR_NULL(w);
}

static const fm_test tests[] = {
    { "a request that drips is hung up on", a_request_that_drips_is_hung_up_on },
    { "connections that say nothing end, and others come in",
      connections_that_say_nothing_end_and_others_come_in },
    { "who does not read the answer is hung up on", who_does_not_read_the_answer_is_hung_up_on },
    { "what is too long is refused", what_is_too_long_is_refused },
    { "plain HTTP is for this machine alone", plain_http_is_for_this_machine_alone },
};

const fm_test_suite web_limits_suite = { "web.limits", tests, FM_TEST_COUNT(tests) };
