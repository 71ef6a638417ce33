/* One request: whether it may be asked, by whom, and what the answer is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "fedmoe/base/clock.h"
#include "web_internal.h"

#define LINK "/link/"
#define LEAVE "/leave"
#define NO_SUCH_PAGE "There is no such page.\n"

#define PAGE_BEGIN                                                                               \
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "                      \
    "content=\"width=device-width,initial-scale=1\"><meta name=color-scheme content=\"light "    \
    "dark\"><title>fedmoe</title><style>"                                                        \
    "body{font:1.1rem/1.6 system-ui,sans-serif;max-width:32rem;margin:12vh auto;padding:0 1rem}" \
    "button{font:inherit;padding:.5em 1.2em}</style><main>"

static const char link_page[] =
    PAGE_BEGIN "<h1>Open the page</h1><p>This link opens it once, in this browser, and is used up "
               "then.<form method=post><button autofocus>Open</button></form></main></html>\n";
static const char no_link_page[] =
    PAGE_BEGIN "<h1>This link opens nothing</h1><p>It was used already, or its time is over. Who "
               "runs the program can make another: <code>status --link</code> of its command."
               "</main></html>\n";

static const char *header(struct MHD_Connection *c, const char *name)
{
    return web_lib.MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

/* Browsers say with each POST which site's page it comes from; so must everybody else. */
static bool is_from_here(const fm_web *w, struct MHD_Connection *c)
{
    const char *origin = header(c, "Origin"), *host = header(c, MHD_HTTP_HEADER_HOST);
    const char *scheme = w->tls ? "https://" : "http://";
    const size_t len = strlen(scheme);

    return origin && host && strncmp(origin, scheme, len) == 0 &&
           strcasecmp(origin + len, host) == 0;
}

/* ---- a one-time link ---- */

static enum MHD_Result open_session(fm_web *w, struct MHD_Connection *c, const char *link)
{
    char token[FM_WEB_TOKEN_SIZE], cookie[200], name[FM_WEB_NAME_MAX + 1];
    fm_web_role role = FM_WEB_ANYONE;
    enum MHD_Result sent;
    fm_status st;

    if (!is_from_here(w, c))
        return web_send_text(c, MHD_HTTP_FORBIDDEN, "This form was not sent from its own page.\n");
    st = web_link_spend(w->links_path, link, &role, name);
    if (st == FM_EAUTH)
        return web_send_html(c, MHD_HTTP_NOT_FOUND, no_link_page);
    if (st != FM_OK)
        return web_send_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, "Not now; try again.\n");
    web_session_open(w, role, name, token);
    (void)snprintf(cookie, sizeof cookie, "%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s",
                   w->cookie, token, FM_WEB_SESSION_S, w->tls ? "; Secure" : "");
    sent = web_send_home(c, cookie);
    sodium_memzero(token, sizeof token);
    sodium_memzero(cookie, sizeof cookie);
    return sent;
}

static enum MHD_Result answer_link(fm_web *w, struct MHD_Connection *c, const char *link, bool post)
{
    if (post)
        return open_session(w, c, link);
    return web_link_stands(w->links_path, link)
               ? web_send_html(c, MHD_HTTP_OK, link_page)
               : web_send_html(c, MHD_HTTP_NOT_FOUND, no_link_page);
}

/* ---- actions ---- */

static bool is_form(struct MHD_Connection *c)
{
    static const char form[] = "application/x-www-form-urlencoded";
    const char *type = header(c, MHD_HTTP_HEADER_CONTENT_TYPE);

    return type && strncasecmp(type, form, strlen(form)) == 0;
}

static bool has_token(const fm_web *w, struct MHD_Connection *c, const web_request *r)
{
    char sent[FM_WEB_TOKEN_SIZE] = "", right[FM_WEB_TOKEN_SIZE];

    web_form_token(w, &r->visitor, right);
    return is_from_here(w, c) && is_form(c) &&
           fm_web_field(r->body, r->body_bytes, "token", sent, sizeof sent) &&
           sodium_memcmp(sent, right, sizeof right) == 0;
}

static enum MHD_Result leave(fm_web *w, struct MHD_Connection *c, const web_request *r)
{
    char cookie[120];

    web_session_end(w, &r->visitor);
    (void)snprintf(cookie, sizeof cookie, "%s=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict%s",
                   w->cookie, w->tls ? "; Secure" : "");
    return web_send_home(c, cookie);
}

static enum MHD_Result answer_post(fm_web *w, struct MHD_Connection *c, const web_request *r,
                                   const char *url)
{
    const bool leaves = strcmp(url, LEAVE) == 0 && r->visitor.role != FM_WEB_ANYONE;
    const char *accept = header(c, MHD_HTTP_HEADER_ACCEPT);
    fm_web_action a = { .role = r->visitor.role, .body_bytes = r->body_bytes };

    if (!leaves && !web_pages_takes_post(&w->pages, &r->visitor, url))
        return web_send_text(c, MHD_HTTP_NOT_FOUND, NO_SUCH_PAGE);
    if (!has_token(w, c, r))
        return web_send_text(c, MHD_HTTP_FORBIDDEN, "This form was not sent from its own page.\n");
    if (leaves)
        return leave(w, c, r);
    (void)snprintf(a.path, sizeof a.path, "%s", url);
    (void)snprintf(a.visitor, sizeof a.visitor, "%s", r->visitor.name);
    memcpy(a.body, r->body, r->body_bytes);
    if (!web_actions_put(&w->actions, &a))
        return web_send_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, "Too much waits; try again.\n");
    if (accept && strstr(accept, "application/json"))
        return web_send_text(c, MHD_HTTP_ACCEPTED, "");
    return web_send_home(c, NULL);
}

/* ---- pages ---- */

static enum MHD_Result send_page(fm_web *w, struct MHD_Connection *c, const web_request *r,
                                 const char *url)
{
    char token[FM_WEB_TOKEN_SIZE];
    struct MHD_Response *response;
    web_copy page = { 0 };
    fm_status st;

    web_form_token(w, &r->visitor, token);
    st = web_pages_copy(&w->pages, &r->visitor, url, token, &page);
    if (st == FM_ENOTFOUND)
        return web_send_text(c, MHD_HTTP_NOT_FOUND, NO_SUCH_PAGE);
    if (st != FM_OK)
        return MHD_NO;
    response = web_response(page.bytes, page.n, page.media_type, page.policy);
    if (response &&
        web_lib.MHD_add_response_header(response, "X-Version", page.version) != MHD_YES) {
        web_lib.MHD_destroy_response(response);
        response = NULL;
    }
    return web_send(c, MHD_HTTP_OK, response);
}

static enum MHD_Result wait_for_news(fm_web *w, struct MHD_Connection *c, web_request *r)
{
    r->connection = c;
    r->waiting = true;
    r->ends_ms = fm_clock_now_ms() + (uint64_t)w->wait_s * 1000;
    r->next = w->waits;
    w->waits = r;
    web_line_step(c, 0, true);
    web_lib.MHD_suspend_connection(c);
    return MHD_YES;
}

static enum MHD_Result answer_get(fm_web *w, struct MHD_Connection *c, web_request *r,
                                  const char *url)
{
    const char *after = web_lib.MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "after");
    char now[WEB_VERSION_SIZE] = "";

    if (strlen(url) > FM_WEB_PATH_MAX || !web_pages_version(&w->pages, &r->visitor, url, now))
        return web_send_text(c, MHD_HTTP_NOT_FOUND, NO_SUCH_PAGE);
    /* A stranger waits for nothing: what waits takes a place. */
    if (!after || strcmp(after, now) != 0 || r->visitor.role == FM_WEB_ANYONE)
        return send_page(w, c, r, url);
    if (r->waited)
        return web_send_text(c, MHD_HTTP_NO_CONTENT, "");
    (void)snprintf(r->path, sizeof r->path, "%s", url);
    (void)snprintf(r->after, sizeof r->after, "%s", after);
    return wait_for_news(w, c, r);
}

/* ---- the request as a whole ---- */

static void take_body(web_request *r, const char *upload, size_t *size)
{
    if (*size > sizeof r->body - r->body_bytes) {
        r->too_long = true;
    } else {
        memcpy(r->body + r->body_bytes, upload, *size);
        r->body_bytes += *size;
    }
    *size = 0;
}

/* Said before the body is read, so that nobody is made to read it. */
static bool is_too_long(struct MHD_Connection *c)
{
    const char *length = header(c, MHD_HTTP_HEADER_CONTENT_LENGTH);

    return header(c, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL ||
           (length && strtoull(length, NULL, 10) > FM_WEB_BODY_MAX);
}

static enum MHD_Result count_host(void *count, enum MHD_ValueKind kind, const char *key,
                                  const char *value)
{
    (void)kind;
    (void)value;
    *(unsigned *)count += strcasecmp(key, MHD_HTTP_HEADER_HOST) == 0;
    return MHD_YES;
}

/* One Host and no more (RFC 9112, 3.2): of two a proxy may have read the other one. */
static bool has_one_host(struct MHD_Connection *c)
{
    unsigned count = 0;

    (void)web_lib.MHD_get_connection_values(c, MHD_HEADER_KIND, count_host, &count);
    return count == 1;
}

static enum MHD_Result answer(fm_web *w, struct MHD_Connection *c, web_request *r, const char *url,
                              const char *method)
{
    const char *host = header(c, MHD_HTTP_HEADER_HOST);
    const bool post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;

    if (r->too_long)
        return web_send_text(c, MHD_HTTP_CONTENT_TOO_LARGE, "That is too long.\n");
    if (!has_one_host(c))
        return web_send_text(c, MHD_HTTP_BAD_REQUEST, "One Host header, and no more.\n");
    if (!host || !web_host_is_ours(w, host))
        return web_send_text(c, MHD_HTTP_MISDIRECTED_REQUEST,
                             "This server does not go by that name.\n");
    if (!post && strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
        strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return web_send_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET, HEAD or POST.\n");
    if (strncmp(url, LINK, strlen(LINK)) == 0)
        return answer_link(w, c, url + strlen(LINK), post);
    web_visitor_find(w, c, &r->visitor);
    return post ? answer_post(w, c, r, url) : answer_get(w, c, r, url);
}

enum MHD_Result web_answer(void *context, struct MHD_Connection *c, const char *url,
                           const char *method, const char *version, const char *upload,
                           size_t *upload_size, void **request)
{
    web_request *r = *request;

    (void)version;
    if (!r) {
        if (!(r = calloc(1, sizeof *r)))
            return MHD_NO;
        *request = r;
        if (is_too_long(c))
            return web_send_text(c, MHD_HTTP_CONTENT_TOO_LARGE, "That is too long.\n");
        return MHD_YES;
    }
    if (*upload_size > 0) {
        take_body(r, upload, upload_size);
        return MHD_YES;
    }
    web_line_step(c, ((fm_web *)context)->step_s, true); /* it has asked; now it has to listen */
    return answer(context, c, r, url, method);
}

void web_answer_done(void *context, struct MHD_Connection *c, void **request,
                     enum MHD_RequestTerminationCode code)
{
    fm_web *w = context;
    web_request *r = *request;

    (void)code;
    web_line_step(c, w->step_s, false);
    if (!r)
        return;
    for (web_request **at = &w->waits; *at; at = &(*at)->next)
        if (*at == r) {
            *at = r->next;
            break;
        }
    sodium_memzero(r, sizeof *r);
    free(r);
    *request = NULL;
}
