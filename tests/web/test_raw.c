/* Bytes that are no request, and requests with bytes changed: the server goes on, and opens nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fedmoe/base/random.h"
#include "fm_test.h"
#include "http.h"
#include "suites.h"

#define SEED 20261126u
#define TRIES 1500

static char links[256];
static http_answer a;

static const char *const seeds[] = {
    "GET / HTTP/1.1\r\nHost: localhost\r\nCookie: "
    "fedmoe=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n\r\n",
    "POST /pause HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nContent-Type: "
    "application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\ntoken=abc",
    "GET /secret?after=1.0&after=%00 HTTP/1.1\r\nHost: [::1]:1\r\nAuthorization: Bearer x\r\n\r\n",
    "POST /link/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA HTTP/1.1\r\nHost: localhost\r\nOrigin: "
    "http://localhost\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
    "HEAD / HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n\r\n",
};

/* Some bytes other, gone, twice, or others' ends. */
static size_t mutate(fm_rng *r, const char *seed, uint8_t *out, size_t cap)
{
    size_t n = strlen(seed);

    memcpy(out, seed, n);
    for (uint64_t k = 1 + fm_rng_below(r, 6); k > 0 && n > 4; k--) {
        const size_t at = (size_t)fm_rng_below(r, n), len = (size_t)fm_rng_below(r, n - at);

        switch (fm_rng_below(r, 4)) {
        case 0:
            out[at] = (uint8_t)fm_rng_below(r, 256);
            break;
        case 1:
            memmove(out + at, out + at + len / 4, n - at - len / 4);
            n -= len / 4;
            break;
        case 2:
            if (n + len < cap) {
                memmove(out + at + len, out + at, n - at);
                n += len;
            }
            break;
        default:
            memcpy(out + at, "\r\n\r\n", n - at < 4 ? n - at : 4);
        }
    }
    return n;
}

static void no_bytes_open_anything_or_stop_the_server(void)
{
    fm_web *w = web_new(links);
    static uint8_t bytes[4096];
    fm_web_action got;
    fm_rng_seed s;
    fm_rng r = fm_rng_public(&s, SEED);
    int leaks = 0, dead = 0, answers = 0;

    printf("seed %u ", SEED);
    CU_ASSERT_EQUAL(fm_web_publish(w, "/", "text/plain", FM_WEB_ANYONE, NULL, "all", 3), FM_OK);
    CU_ASSERT_EQUAL(
        fm_web_publish(w, "/secret", "text/plain", FM_WEB_COORDINATOR, NULL, "SECRET", 6), FM_OK);
    CU_ASSERT_EQUAL(fm_web_allow(w, "/pause", FM_WEB_COORDINATOR), FM_OK);
    for (int i = 0; i < TRIES; i++) {
        const size_t n = mutate(&r, seeds[i % 5], bytes, sizeof bytes);
        int fd = http_connect(w);

        if (fd < 0 || send(fd, bytes, n, MSG_NOSIGNAL) < 0) {
            dead += fd < 0;
        } else {
            http_read(fd, &a, 4); /* what is no request has no answer, or later */
            answers += a.code != 0;
            leaks += strstr(a.all, "SECRET") != NULL || strstr(a.all, "Set-Cookie") != NULL;
        }
        close(fd);
    }
    CU_ASSERT_EQUAL(leaks, 0);
    CU_ASSERT_EQUAL(dead, 0);
    CU_ASSERT_TRUE(answers > TRIES / 10); /* most of it was heard */
    CU_ASSERT_FALSE(fm_web_next(w, &got));
    http_get(w, "/", NULL, &a);
    CU_ASSERT_EQUAL(a.code, 200);
    fm_web_stop(&w);
}

static const fm_test tests[] = {
    { "no bytes open anything or stop the server", no_bytes_open_anything_or_stop_the_server },
};

const fm_test_suite web_raw_suite = { "web.raw", tests, FM_TEST_COUNT(tests) };
