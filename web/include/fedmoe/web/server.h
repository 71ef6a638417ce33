/*
 * Pages for people and machines beside a run: the aggregator's status page, the node's own, their
 * metrics. A thread of its own serves what was last published and nothing else: it holds no pointer
 * into the run, so that no request, however slow or malformed, can hold up or alter a round. What a
 * visitor does (a button) comes back as an action that the run takes when it wants to.
 *
 * Whoever may not see a page is told that there is none (404), not that it is hidden.
 *
 * What is answered without being published: /link/TOKEN (a one-time link: its page, and the POST
 * that spends it), /leave (POST with the form's token: ends the session).
 */
#ifndef FEDMOE_WEB_SERVER_H
#define FEDMOE_WEB_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/memory.h"
#include "fedmoe/base/status.h"

/** Who asks; a page says with a set of these who may see it. */
typedef enum {
    FM_WEB_ANYONE = 1,      /* without a credential: the page that says how to get one */
    FM_WEB_MEMBER = 2,      /* a node of the federation, by its certificate or a link of its own */
    FM_WEB_COORDINATOR = 4, /* whoever holds a one-time link, or a certificate for it */
    FM_WEB_SCRAPER = 8      /* a program that collects metrics, by its bearer token */
} fm_web_role;

#define FM_WEB_NAME_MAX 64        /* bytes of a visitor's name */
#define FM_WEB_PATH_MAX 64        /* bytes of a page's path */
#define FM_WEB_BODY_MAX 1024      /* bytes of an action's body */
#define FM_WEB_HEADERS_MAX 8192   /* bytes of a request's line and headers, about */
#define FM_WEB_VISITORS_MAX 64    /* connections at once; further ones wait in the kernel */
#define FM_WEB_PAGES_MAX 64       /* published at once, besides the parts of members */
#define FM_WEB_PAGE_MAX (1 << 20) /* bytes of a page, and of a part */
#define FM_WEB_HOSTS_MAX 4        /* names by which browsers reach the server */
#define FM_WEB_STEP_S 10          /* a request, and the reading of its answer, take at most this */
#define FM_WEB_WAIT_S 25          /* a change is waited for at most this */
#define FM_WEB_SESSION_S (12 * 3600)
#define FM_WEB_ACTIONS_MAX 16 /* wait at once; the next is told to come again (503) */

/**
 * Who a certificate is: called in the server's thread for each request, never twice at once.
 *
 * @param der   [count] certificates, DER, the visitor's own first and then those that came with it;
 *              borrowed. That the visitor has the key is known; nothing else is.
 * @param role  out: 0 for nobody.
 * @param name  out, at most FM_WEB_NAME_MAX bytes and a zero.
 */
typedef fm_status (*fm_web_who)(void *context, const uint8_t *const *der, const size_t *der_bytes,
                                size_t count, fm_web_role *role, char *name);

/**
 * Whether a visitor may come now, whom a session or a certificate says: called in the server's
 * thread for each request, never twice at once.
 *
 * @param right  out: a number above 0 that stays the same as long as the right is the same one. A
 *               session that was opened under another one has ended.
 */
typedef bool (*fm_web_may)(void *context, fm_web_role role, const char *name, uint64_t *right);

typedef struct {
    const char *address; /* "127.0.0.1:7390", "[::1]:7390", "0.0.0.0:7390"; port 0: any */
    const char *key_pem, *certificate_pem; /* borrowed during the call; NULL: plain HTTP, which is
                                              refused on any address but the machine's own */
    const char *trust_pem;  /* CAs of visitors' certificates; NULL: none is asked for */
    fm_web_who who;         /* with trust_pem */
    fm_web_may may;         /* NULL: for ever */
    void *who_context;      /* of both */
    const char *links_path; /* hashes of links and bearer tokens; mode 0600, made when missing */
    /* By what names a browser may ask, beside addresses and "localhost": a page of another site
     * whose name is made to lead here is refused by this. */
    const char *hosts[FM_WEB_HOSTS_MAX];
    unsigned step_s, wait_s; /* 0: FM_WEB_STEP_S, FM_WEB_WAIT_S */
} fm_web_options;

typedef struct fm_web fm_web;

/** @return FM_OK; FM_EINVAL an address, a name; FM_EPERM plain HTTP for other machines, or links_path
 *          is readable by others; FM_EAUTH key and certificate; FM_EIO; FM_ENOMEM. */
FM_NODISCARD fm_status fm_web_start(const fm_web_options *options, fm_web **out);

/** Waits for the answers under way, at most a second. NULL and *w NULL are fine. */
void fm_web_stop(fm_web **w);

/** "127.0.0.1:41234": where it listens, with the port that was found. */
const char *fm_web_address(const fm_web *w);

/**
 * From now on `path` answers with these bytes; whoever waits for a change of it is answered now
 * (GET path?after=VERSION waits until it has another version, at most FM_WEB_WAIT_S: then 204; the
 * version is in the header X-Version). The same bytes again are no change.
 *
 * One path may be published several times, for other roles: a visitor gets the one of its role, and
 * a member rather the one of its name.
 *
 * In HTML, scripts and styles that stand in <script> and <style> (exactly so, in lower case, at most
 * four) run, and nothing else: the library puts their hashes into Content-Security-Policy. There is
 * no style="" and no on...="". Before it is sent, these marks are replaced:
 *   FM_WEB_OWN_PART    once, by what fm_web_publish_own gave for the visitor's name, or by nothing;
 *   FM_WEB_VERSION     once, by what X-Version says: a script that waits for news starts with it;
 *   FM_WEB_FORM_TOKEN  in up to eight forms, by what an action must send back as `token`.
 *
 * @param path    "/", "/status.json", ...
 * @param roles   set of fm_web_role.
 * @param member  NULL, or the one member that may see it (besides the coordinator, if in `roles`).
 * @param bytes   copied.
 * @return FM_OK; FM_EINVAL; FM_ENOMEM, also past FM_WEB_PAGES_MAX.
 */
#define FM_WEB_FORM_TOKEN "@@form-token@@"
#define FM_WEB_OWN_PART "<!--own-->"
#define FM_WEB_VERSION "@@version@@"
FM_NODISCARD fm_status fm_web_publish(fm_web *w, const char *path, const char *media_type,
                                      unsigned roles, const char *member, const void *bytes,
                                      size_t n);

/** What stands for FM_WEB_OWN_PART when this visitor asks: HTML without scripts. Copied. */
FM_NODISCARD fm_status fm_web_publish_own(fm_web *w, const char *visitor, const void *bytes,
                                          size_t n);

typedef struct {
    char path[FM_WEB_PATH_MAX + 1];
    char visitor[FM_WEB_NAME_MAX + 1];
    fm_web_role role;
    uint8_t body[FM_WEB_BODY_MAX];
    size_t body_bytes;
} fm_web_action;

/**
 * `path` takes a POST from these roles: a form (application/x-www-form-urlencoded) whose field
 * `token` is what stood for FM_WEB_FORM_TOKEN, sent from a page of this server (Origin; without
 * both: 403). Answer 303 to "/", or 202 for `Accept: application/json`; the action waits for
 * fm_web_next.
 */
FM_NODISCARD fm_status fm_web_allow(fm_web *w, const char *path, unsigned roles);

/** @return false: none waits. */
bool fm_web_next(fm_web *w, fm_web_action *out);

/** Readable while an action waits: for the run's poll. */
int fm_web_fd(const fm_web *w);

/** Value of a form's field, decoded, in `out` with a zero. @return false: not there, damaged, or
 *  longer than cap - 1. Pure. */
bool fm_web_field(const uint8_t *body, size_t n, const char *name, char *out, size_t cap);

/** Text for HTML, also within an attribute's quotes: & < > " ' become entities. Appended to `out`;
 *  FM_ENOMEM. */
FM_NODISCARD fm_status fm_web_escape(fm_buf *out, const char *text);

/**
 * A link that opens a session of `role` once, within `seconds`: /link/TOKEN. It is spent by a POST
 * from the page it opens, so that a preview of the link spends nothing. With role FM_WEB_SCRAPER it
 * is a bearer token instead (Authorization: Bearer TOKEN), which is good until its time is over or
 * another is made. Another process may make one: only links_path is needed, and kept 0600.
 *
 * @param name   who it is for ("" or NULL: "coordinator"); a member's own name with FM_WEB_MEMBER.
 * @param token  out: 43 characters of base64url and a zero, to be wiped by the caller.
 * @return FM_OK; FM_EINVAL; FM_EPERM links_path is readable by others; FM_ETIMEOUT another process
 *         holds it; FM_ENOMEM 64 links are open already; FM_EIO.
 */
#define FM_WEB_TOKEN_SIZE 44
FM_NODISCARD fm_status fm_web_link_new(const char *links_path, fm_web_role role, const char *name,
                                       uint32_t seconds, char token[FM_WEB_TOKEN_SIZE]);

/**
 * A key (0600) and a certificate signed by itself, for a page that no CA's certificate was given
 * for: made when both files are missing, P-256, for ten years, for these hosts (names or addresses).
 * Browsers warn of it once; people compare the fingerprint.
 * @return FM_OK; FM_EEXIST only one of the files is there; FM_EIO; FM_EINTERNAL.
 */
FM_NODISCARD fm_status fm_web_self_signed(const char *key_path, const char *certificate_path,
                                          const char *const *hosts, size_t host_count);

/** SHA-256 of the first certificate in PEM as browsers show it: "AB:CD:...". FM_EPARSE. */
#define FM_WEB_FINGERPRINT_SIZE 96
FM_NODISCARD fm_status fm_web_fingerprint(const char *certificate_pem,
                                          char out[FM_WEB_FINGERPRINT_SIZE]);

#endif
