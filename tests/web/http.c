#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"
#include "fm_test.h"

static int connect_by(const fm_web *w, int flags)
{
    const char *colon = strrchr(fm_web_address(w), ':');
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(colon + 1)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 || errno == EINPROGRESS)
        return fd;
    close(fd);
    return -1;
}

int http_connect(const fm_web *w)
{
    return connect_by(w, 0);
}

int http_begin(const fm_web *w)
{
    return connect_by(w, SOCK_NONBLOCK);
}

bool http_is_whole(http_answer *a)
{
    char *end = strstr(a->all, "\r\n\r\n");
    const char *length = http_header(a, "Content-Length");

    if (!end)
        return false;
    a->body = end + 4;
    return a->code == 204 || a->n >= (size_t)(a->body - a->all) + (size_t)atol(length);
}

void http_read(int fd, http_answer *out, int ms)
{
    const uint64_t end_ms = fm_clock_now_ms() + (uint64_t)ms;

    memset(out, 0, sizeof *out);
    out->body = out->all;
    while (fm_clock_now_ms() < end_ms && out->n + 1 < sizeof out->all) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t got;

        if (poll(&p, 1, ms < 100 ? ms : 100) != 1)
            continue;
        if ((got = recv(fd, out->all + out->n, sizeof out->all - 1 - out->n, 0)) <= 0)
            return;
        out->n += (size_t)got;
        out->all[out->n] = '\0';
        if (sscanf(out->all, "HTTP/1.%*d %d", &out->code) == 1 && http_is_whole(out))
            return;
    }
}

void http_say(const fm_web *w, const char *request, http_answer *out)
{
    int fd = http_connect(w);

    memset(out, 0, sizeof *out);
    if (fd < 0)
        return;
    if (send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
        http_read(fd, out, 12000);
    close(fd);
}

void http_get(const fm_web *w, const char *path, const char *cookie, http_answer *out)
{
    char text[1024];

    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n", path,
                   fm_web_address(w), cookie ? "Cookie: " : "", cookie ? cookie : "",
                   cookie ? "\r\n" : "");
    http_say(w, text, out);
}

void http_post(const fm_web *w, const char *path, const char *cookie, const char *origin,
               const char *body, http_answer *out)
{
    char text[4096], own[128];

    (void)snprintf(own, sizeof own, "http://%s", fm_web_address(w));
    if (!origin)
        origin = own;
    (void)snprintf(text, sizeof text,
                   "POST %s HTTP/1.1\r\nHost: %s\r\n%s%s%s%s%s%s"
                   "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n"
                   "%s",
                   path, fm_web_address(w), cookie ? "Cookie: " : "", cookie ? cookie : "",
                   cookie ? "\r\n" : "", *origin ? "Origin: " : "", origin, *origin ? "\r\n" : "",
                   strlen(body), body);
    http_say(w, text, out);
}

const char *http_header(const http_answer *a, const char *name)
{
    static char value[1500];
    const char *end = strstr(a->all, "\r\n\r\n");

    for (const char *line = strstr(a->all, "\r\n"); line && line < end;
         line = strstr(line + 2, "\r\n")) {
        const size_t n = strlen(name);

        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':') {
            const char *from = line + 2 + n + 1;

            from += strspn(from, " ");
            (void)snprintf(value, sizeof value, "%.*s", (int)strcspn(from, "\r"), from);
            return value;
        }
    }
    return "";
}

fm_web *web_new(char links[256])
{
    fm_web_options o = { .address = "127.0.0.1:0", .links_path = links };
    fm_web *w = NULL;

    fm_test_tmpdir(links, 200);
    strcat(links, "/links");
    CU_ASSERT_EQUAL_FATAL(fm_web_start(&o, &w), FM_OK);
    return w;
}

void web_enter(const fm_web *w, const char *links, fm_web_role role, const char *name,
               char cookie[200])
{
    char token[FM_WEB_TOKEN_SIZE], path[80];
    static http_answer a;

    CU_ASSERT_EQUAL_FATAL(fm_web_link_new(links, role, name, 60, token), FM_OK);
    (void)snprintf(path, sizeof path, "/link/%s", token);
    http_post(w, path, NULL, NULL, "", &a);
    CU_ASSERT_EQUAL_FATAL(a.code, 303);
    (void)snprintf(cookie, 200, "%s", http_header(&a, "Set-Cookie"));
    cookie[strcspn(cookie, ";")] = '\0';
}
