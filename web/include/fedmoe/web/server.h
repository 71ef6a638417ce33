/*
 * Pages for people and machines beside a run: the aggregator's status page, the node's own, their
 * metrics. A thread of its own serves what was last published and nothing else: it holds no pointer
 * into the run, so that no request, however slow or malformed, can hold up or alter a round. What a
 * visitor does (a button) comes back as an action that the run takes when it wants to.
 *
 * Whoever may not see a page is told that there is none (404), not that it is hidden.
 */
#ifndef FEDMOE_WEB_SERVER_H
#define FEDMOE_WEB_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/status.h"

/** Who asks; a page says with a set of these who may see it. */
typedef enum {
    FM_WEB_ANYONE = 1,     /* without a credential: the page that says how to get one */
    FM_WEB_MEMBER = 2,     /* a node of the federation, by its certificate */
    FM_WEB_COORDINATOR = 4 /* whoever holds a one-time link, or a certificate for it */
} fm_web_role;

#define FM_WEB_NAME_MAX 64     /* bytes of a visitor's name */
#define FM_WEB_PATH_MAX 64     /* bytes of a page's path */
#define FM_WEB_BODY_MAX 1024   /* bytes of an action's body */
#define FM_WEB_VISITORS_MAX 64 /* connections at once; further ones wait in the kernel */

/**
 * Who a certificate is: called in the server's thread, never twice at once.
 *
 * @param der   certificate, DER, leaf first; borrowed.
 * @param role  out: 0 for nobody.
 * @param name  out, at most FM_WEB_NAME_MAX bytes and a zero.
 */
typedef fm_status (*fm_web_who)(void *context, const uint8_t *der, size_t der_bytes,
                                fm_web_role *role, char *name);

typedef struct {
    const char *address; /* "127.0.0.1:7390", "[::1]:7390"; port 0: any */
    const char *key_pem, *certificate_pem; /* borrowed during the call; NULL: plain HTTP, which is
                                              refused on any address but the machine's own */
    const char *trust_pem; /* CAs of visitors' certificates; NULL: none is asked for */
    fm_web_who who;        /* with trust_pem */
    void *who_context;
    const char *links_path; /* hashes of one-time links and of sessions are kept here; mode 0600 */
} fm_web_options;

typedef struct fm_web fm_web;

FM_NODISCARD fm_status fm_web_start(const fm_web_options *options, fm_web **out);

/** Waits for the answers under way, at most a second. */
void fm_web_stop(fm_web **w);

/** "127.0.0.1:41234": where it listens, with the port that was found. */
const char *fm_web_address(const fm_web *w);

/**
 * From now on `path` answers with these bytes; whoever waits for a change of it is answered now
 * (GET path?after=VERSION waits at most 25 s; the version is in the header X-Version).
 *
 * @param path   "/", "/status.json", ...
 * @param roles  set of fm_web_role.
 * @param member NULL, or the one member that may see it (besides the coordinator, if in `roles`).
 * @param bytes  copied.
 */
FM_NODISCARD fm_status fm_web_publish(fm_web *w, const char *path, const char *media_type,
                                      unsigned roles, const char *member, const void *bytes,
                                      size_t n);

typedef struct {
    char path[FM_WEB_PATH_MAX + 1];
    char visitor[FM_WEB_NAME_MAX + 1];
    fm_web_role role;
    uint8_t body[FM_WEB_BODY_MAX];
    size_t body_bytes;
} fm_web_action;

/** `path` takes a POST from these roles; 202, and the action waits for fm_web_next. A form from
 *  another site is refused (Origin, and a token that the page carries). */
FM_NODISCARD fm_status fm_web_allow(fm_web *w, const char *path, unsigned roles);

/** @return false: none waits. */
bool fm_web_next(fm_web *w, fm_web_action *out);

/** Readable while an action waits: for the run's poll. */
int fm_web_fd(const fm_web *w);

/**
 * A link that opens a session of `role` once, within `seconds`. Its secret is in the fragment-free
 * path and is spent by a POST from the page it opens, so that a preview of the link spends nothing.
 * Another process may make one: only links_path is needed.
 *
 * @param token  out: 43 characters of base64url and a zero, to be wiped by the caller.
 */
#define FM_WEB_TOKEN_SIZE 44
FM_NODISCARD fm_status fm_web_link_new(const char *links_path, fm_web_role role, uint32_t seconds,
                                       char token[FM_WEB_TOKEN_SIZE]);

#endif
