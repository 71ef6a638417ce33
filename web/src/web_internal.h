/* What the files of web/ share. All but pages, actions and `stop` belongs to the server's thread. */
#ifndef FEDMOE_WEB_WEB_INTERNAL_H
#define FEDMOE_WEB_WEB_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "fedmoe/base/hash.h"
#include "fedmoe/base/memory.h"
#include "fedmoe/web/server.h"
#include "library.h"

#define WEB_SESSIONS_MAX 64
#define WEB_VERSION_SIZE 44 /* two numbers, a point, a zero */
#define WEB_POLICY_SIZE 1024

typedef struct {
    fm_web_role role; /* FM_WEB_ANYONE: nobody known */
    char name[FM_WEB_NAME_MAX + 1];
    fm_hash who; /* what the form's token is made of: the session, or the certificate's name */
} web_visitor;

/* ---- links.c: the file of links ---- */

/** Ends the link, if it is one that still stands. @return FM_OK; FM_EAUTH it is none; FM_ETIMEOUT
 *  somebody else is at work in the file; FM_EIO. */
FM_NODISCARD fm_status web_link_spend(const char *path, const char *token, fm_web_role *role,
                                      char name[FM_WEB_NAME_MAX + 1]);
/** Looks, and spends nothing. */
bool web_link_stands(const char *path, const char *token);
/** Whether it is a bearer token, and whose. */
bool web_bearer_is(const char *path, const char *token, char name[FM_WEB_NAME_MAX + 1]);
/** Of the form of a token: 43 characters of base64url. */
bool web_is_token(const char *s);
/** A new secret in that form. */
void web_token_new(char token[FM_WEB_TOKEN_SIZE]);
fm_hash web_token_hash(const char *token);

/* ---- visitor.c ---- */

typedef struct {
    fm_hash hash; /* zero: free */
    fm_web_role role;
    char name[FM_WEB_NAME_MAX + 1];
    uint64_t ends_ms;
    uint64_t right; /* it was opened under; 0: none yet */
} web_session;

/** Session, certificate or bearer token, in this order. */
void web_visitor_find(fm_web *w, struct MHD_Connection *c, web_visitor *out);
/** A session; the token for its cookie. The one that would end first gives way. */
void web_session_open(fm_web *w, fm_web_role role, const char *name, char token[FM_WEB_TOKEN_SIZE]);
void web_session_end(fm_web *w, const web_visitor *v);
/** What the visitor's forms must send back. */
void web_form_token(const fm_web *w, const web_visitor *v, char token[FM_WEB_TOKEN_SIZE]);

/* ---- pages.c ---- */

typedef struct {
    char path[FM_WEB_PATH_MAX + 1];
    char media_type[64];
    char policy[WEB_POLICY_SIZE];
    unsigned roles;
    char member[FM_WEB_NAME_MAX + 1]; /* "": none in particular */
    uint8_t *bytes;
    size_t n;
    uint64_t version;
} web_page;

typedef struct {
    char visitor[FM_WEB_NAME_MAX + 1];
    uint8_t *bytes;
    size_t n;
    uint64_t version;
} web_own;

typedef struct {
    pthread_mutex_t lock;
    uint64_t changes; /* counted from a number of chance: another start repeats no version */
    web_page pages[FM_WEB_PAGES_MAX];
    size_t count;
    web_own *own;
    size_t own_count;
    struct {
        char path[FM_WEB_PATH_MAX + 1];
        unsigned roles;
    } posts[FM_WEB_PAGES_MAX];
    size_t post_count;
} web_pages;

void web_pages_fini(web_pages *p);
/** The version that this visitor would get; false: there is no such page for it. */
bool web_pages_version(web_pages *p, const web_visitor *v, const char *path,
                       char out[WEB_VERSION_SIZE]);

/** A page as this visitor gets it: bytes to be freed. */
typedef struct {
    uint8_t *bytes;
    size_t n;
    char media_type[64];
    char policy[WEB_POLICY_SIZE];
    char version[WEB_VERSION_SIZE];
} web_copy;
/** FM_ENOTFOUND; FM_ENOMEM. */
FM_NODISCARD fm_status web_pages_copy(web_pages *p, const web_visitor *v, const char *path,
                                      const char *form_token, web_copy *out);
bool web_pages_takes_post(web_pages *p, const web_visitor *v, const char *path);

/* ---- policy.c ---- */

/** Content-Security-Policy: what stands in the page runs, and nothing else. FM_EINVAL more than four
 *  scripts and styles. */
FM_NODISCARD fm_status web_policy(const char *media_type, const uint8_t *bytes, size_t n,
                                  char out[WEB_POLICY_SIZE]);

/* ---- actions.c ---- */

typedef struct {
    pthread_mutex_t lock;
    fm_web_action waiting[FM_WEB_ACTIONS_MAX];
    size_t first, count;
    int fd;
} web_actions;

/** false: too many wait. */
bool web_actions_put(web_actions *a, const fm_web_action *one);

/* ---- listen.c ---- */

/** A socket that listens, and the address with its port. @param local_only  refuse any other. */
FM_NODISCARD fm_status web_listen(const char *address, bool local_only, int *fd,
                                  char out[FM_WEB_NAME_MAX]);
/** Whether a Host header names this server: an address, localhost, or one of the names. */
bool web_host_is_ours(const fm_web *w, const char *host);

/* ---- reply.c: each ends in MHD_NO without memory, and so does the connection then ---- */

/** @param bytes  taken over; NULL: none. */
struct MHD_Response *web_response(uint8_t *bytes, size_t n, const char *media_type,
                                  const char *policy);
enum MHD_Result web_send(struct MHD_Connection *c, unsigned code, struct MHD_Response *r);
enum MHD_Result web_send_text(struct MHD_Connection *c, unsigned code, const char *text);
enum MHD_Result web_send_html(struct MHD_Connection *c, unsigned code, const char *html);
/** To "/". @param cookie  NULL: none. */
enum MHD_Result web_send_home(struct MHD_Connection *c, const char *cookie);

/* ---- answer.c ---- */

enum MHD_Result web_answer(void *context, struct MHD_Connection *c, const char *url,
                           const char *method, const char *version, const char *upload,
                           size_t *upload_size, void **request);
/** The end of a request. */
void web_answer_done(void *context, struct MHD_Connection *c, void **request,
                     enum MHD_RequestTerminationCode code);

/* ---- server.c ---- */

/** One connection: a visitor may have several. */
typedef struct web_line {
    struct web_line *next;
    int fd;
    uint64_t ends_ms; /* closed then, whatever it is at; 0: it waits for a change */
    bool answering;   /* between a whole request and the end of its answer */
} web_line;

/** A request under way; with `waiting` it is suspended until its page has another version. */
typedef struct web_request {
    struct web_request *next;
    struct MHD_Connection *connection;
    web_visitor visitor;
    char path[FM_WEB_PATH_MAX + 1];
    char after[WEB_VERSION_SIZE];
    uint64_t ends_ms;
    bool waiting, waited, too_long;
    size_t body_bytes;
    uint8_t body[FM_WEB_BODY_MAX];
} web_request;

struct fm_web {
    struct MHD_Daemon *daemon;
    pthread_t thread;
    bool running;
    atomic_bool stop;
    int wake; /* eventfd: published, or to stop */
    int listen_fd;
    char address[FM_WEB_NAME_MAX];
    bool tls;
    char *links_path;
    char *hosts[FM_WEB_HOSTS_MAX];
    fm_web_who who;
    fm_web_may may; /* NULL: whoever it is */
    void *who_context;
    uint8_t form_key[32]; /* of this process: what forms' tokens are made with */
    char cookie[32];      /* its name */
    unsigned step_s, wait_s;
    web_session sessions[WEB_SESSIONS_MAX];
    web_pages pages;
    web_actions actions;
    web_line *lines;
    web_request *waits;
};

web_line *web_line_of(struct MHD_Connection *c);
/** The connection has made a step: it has so long for the next. 0: it waits for a change. */
void web_line_step(struct MHD_Connection *c, unsigned seconds, bool answering);
void web_wake(fm_web *w);

#endif
