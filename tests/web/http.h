/* A client that says exactly the bytes it is told to. */
#ifndef FEDMOE_TESTS_WEB_HTTP_H
#define FEDMOE_TESTS_WEB_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "fedmoe/web/server.h"

typedef struct {
    int code;        /* 0: the connection was closed without an answer */
    size_t n;        /* bytes in all */
    char all[65536]; /* status line, headers, body; zero behind it */
    const char *body;
} http_answer;

/** Connected to the server's address; -1. */
int http_connect(const fm_web *w);
/** The same without waiting until there is room in the kernel's queue. */
int http_begin(const fm_web *w);
/** One answer; waits at most `ms`. */
void http_read(int fd, http_answer *out, int ms);
/** Whether all is there; finds the body. */
bool http_is_whole(http_answer *a);
/** A request on a connection of its own. */
void http_say(const fm_web *w, const char *request, http_answer *out);
/** GET with this cookie (NULL: none). */
void http_get(const fm_web *w, const char *path, const char *cookie, http_answer *out);
/** POST of a form; origin NULL: the server's own; "": none. */
void http_post(const fm_web *w, const char *path, const char *cookie, const char *origin,
               const char *body, http_answer *out);
/** A header's value up to the line's end, or "". Overwritten by the next call. */
const char *http_header(const http_answer *a, const char *name);

/** A server over HTTP on loopback, and a cookie of a session in it, by a link of its own. */
fm_web *web_new(char links[256]);
void web_enter(const fm_web *w, const char *links, fm_web_role role, const char *name,
               char cookie[200]);

#endif
