/*
 * The server's thread: libmicrohttpd's loop, driven from here so that every connection has an end.
 * Its own time limit starts anew with each byte; ours does not (web_line).
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sodium.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "web_internal.h"

#define TICK_MS 250
#define NICE 10 /* the run goes before its pages */
#define PER_ADDRESS (FM_WEB_VISITORS_MAX / 2)
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

web_line *web_line_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        web_lib.MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

void web_line_step(struct MHD_Connection *c, unsigned seconds, bool answering)
{
    web_line *line = web_line_of(c);

    if (!line)
        return;
    line->ends_ms = seconds > 0 ? fm_clock_now_ms() + (uint64_t)seconds * 1000 : 0;
    line->answering = answering;
}

static void line_begin(fm_web *w, struct MHD_Connection *c, void **context)
{
    const union MHD_ConnectionInfo *info =
        web_lib.MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    web_line *line = calloc(1, sizeof *line);

    if (!line || !info) {
        if (info)
            (void)shutdown(info->connect_fd, SHUT_RDWR);
        free(line);
        return;
    }
    line->fd = info->connect_fd;
    line->ends_ms = fm_clock_now_ms() + (uint64_t)w->step_s * 1000;
    line->next = w->lines;
    w->lines = line;
    *context = line;
}

static void line_end(fm_web *w, void **context)
{
    for (web_line **at = &w->lines; *at; at = &(*at)->next)
        if (*at == *context) {
            web_line *gone = *at;

            *at = gone->next;
            free(gone);
            break;
        }
    *context = NULL;
}

static void on_connection(void *context, struct MHD_Connection *c, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        line_begin(context, c, socket_context);
    else if (*socket_context)
        line_end(context, socket_context);
}

/* The other end said that nothing more comes. libmicrohttpd misses that when it comes together with
 * the last bytes: it asks for edges only. */
static bool has_ended(const web_line *line)
{
    char byte;

    return recv(line->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Who is too slow, or is gone, is hung up on: the library then sees the end and closes. */
static void end_lines(fm_web *w, uint64_t now_ms)
{
    for (web_line *line = w->lines; line; line = line->next)
        if (line->ends_ms != 0 &&
            (now_ms >= line->ends_ms || (!line->answering && has_ended(line)))) {
            (void)shutdown(line->fd, SHUT_RDWR);
            line->ends_ms = 0;
        }
}

/* Or nobody who waits for them any more. */
static bool has_news(fm_web *w, const web_request *r)
{
    const web_line *line = web_line_of(r->connection);
    char now[WEB_VERSION_SIZE] = "";

    if (!line || has_ended(line))
        return true;
    return !web_pages_version(&w->pages, &r->visitor, r->path, now) || strcmp(now, r->after) != 0;
}

/* @return whether some can go on. */
static bool resume_waits(fm_web *w, uint64_t now_ms, bool all)
{
    bool any = false;

    for (web_request **at = &w->waits; *at;) {
        web_request *r = *at;

        if (!all && now_ms < r->ends_ms && !has_news(w, r)) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        r->waiting = false;
        r->waited = true;
        web_lib.MHD_resume_connection(r->connection);
        any = true;
    }
    return any;
}

static void wait_a_little(fm_web *w, int epoll_fd, bool at_once)
{
    struct pollfd fds[2] = { { .fd = epoll_fd, .events = POLLIN },
                             { .fd = w->wake, .events = POLLIN } };
    MHD_UNSIGNED_LONG_LONG ms = TICK_MS;
    eventfd_t seen;

    if (web_lib.MHD_get_timeout(w->daemon, &ms) != MHD_YES || ms > TICK_MS)
        ms = TICK_MS;
    (void)poll(fds, 2, at_once ? 0 : (int)ms);
    (void)eventfd_read(w->wake, &seen);
}

static void *serve(void *context)
{
    fm_web *w = context;
    const union MHD_DaemonInfo *info =
        web_lib.MHD_get_daemon_info(w->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    bool more = false;

    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
    while (!atomic_load(&w->stop)) {
        const uint64_t now_ms = fm_clock_now_ms();

        wait_a_little(w, info->epoll_fd, more);
        (void)web_lib.MHD_run(w->daemon);
        end_lines(w, now_ms);
        more = resume_waits(w, now_ms, false);
    }
    /* Those that wait get their answer; then a moment to send it. */
    (void)resume_waits(w, 0, true);
    for (int i = 0; i < 10; i++) {
        (void)web_lib.MHD_run(w->daemon);
        wait_a_little(w, info->epoll_fd, true);
    }
    return NULL;
}

void web_wake(fm_web *w)
{
    (void)eventfd_write(w->wake, 1);
}

static struct MHD_Daemon *start_daemon(fm_web *w, const fm_web_options *o)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
    struct MHD_OptionItem tls[] = {
        { MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->key_pem },
        { MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->certificate_pem },
        { MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)PRIORITIES },
        { MHD_OPTION_HTTPS_MEM_TRUST, 0, (void *)(uintptr_t)o->trust_pem },
        { MHD_OPTION_END, 0, NULL },
    };

    if (!o->trust_pem)
        tls[3] = tls[4];
    if (!w->tls)
        tls[0] = tls[4];
    else
        flags |= MHD_USE_TLS;
    return web_lib.MHD_start_daemon(
        flags, 0, NULL, NULL, web_answer, w, MHD_OPTION_LISTEN_SOCKET, w->listen_fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)FM_WEB_VISITORS_MAX,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)PER_ADDRESS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)2 * FM_WEB_HEADERS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, w->step_s, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, w, MHD_OPTION_NOTIFY_COMPLETED,
        web_answer_done, w, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

static fm_status start_thread(fm_web *w)
{
    sigset_t all, before;
    int rc;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&w->thread, NULL, serve, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return fm_fail(FM_ENOMEM, "no thread for pages: %s", strerror(rc));
    w->running = true;
    return FM_OK;
}

static fm_status prepare_links(const char *path)
{
    fm_status st = fm_file_check_private(path);

    if (st != FM_ENOTFOUND)
        return st;
    fm_error_clear();
    return fm_file_create(path, "", 0, 0600);
}

static fm_status prepare(fm_web *w, const fm_web_options *o)
{
    fm_status st = web_library_load();

    if (st != FM_OK)
        return st;
    w->tls = o->key_pem != NULL;
    w->who = o->trust_pem ? o->who : NULL;
    w->may = o->may;
    w->who_context = o->who_context;
    w->step_s = o->step_s > 0 ? o->step_s : FM_WEB_STEP_S;
    w->wait_s = o->wait_s > 0 ? o->wait_s : FM_WEB_WAIT_S;
    fm_random_bytes(w->form_key, sizeof w->form_key);
    fm_random_bytes(&w->pages.changes, sizeof w->pages.changes / 2);
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->actions.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake < 0 || w->actions.fd < 0)
        return fm_fail(FM_EIO, "no file descriptor is left for pages");
    if ((st = fm_strdup(o->links_path, &w->links_path)) != FM_OK ||
        (st = prepare_links(w->links_path)) != FM_OK)
        return st;
    for (size_t i = 0; i < FM_WEB_HOSTS_MAX; i++)
        if (o->hosts[i] && (st = fm_strdup(o->hosts[i], &w->hosts[i])) != FM_OK)
            return st;
    if ((st = web_listen(o->address, !w->tls, &w->listen_fd, w->address)) != FM_OK)
        return st;
    /* Cookies know no ports: two servers of one machine must not take each other's away. */
    (void)snprintf(w->cookie, sizeof w->cookie, "%sfedmoe%s", w->tls ? "__Host-" : "",
                   strrchr(w->address, ':') + 1);
    return FM_OK;
}

fm_status fm_web_start(const fm_web_options *o, fm_web **out)
{
    fm_web *w;
    fm_status st;

    if (!o || !out || !o->address || !o->links_path || !o->key_pem != !o->certificate_pem ||
        (o->trust_pem && (!o->who || !o->key_pem)))
        return fm_fail(FM_EINVAL, "a server of pages needs an address and a file of links");
    if ((st = fm_alloc(1, sizeof *w, (void **)&w)) != FM_OK)
        return st;
    w->listen_fd = w->wake = w->actions.fd = -1;
    (void)pthread_mutex_init(&w->pages.lock, NULL);
    (void)pthread_mutex_init(&w->actions.lock, NULL);
    st = prepare(w, o);
    if (st == FM_OK && !(w->daemon = start_daemon(w, o)))
        st = fm_fail(FM_EAUTH, w->tls
                                   ? "the page's key and certificate cannot be used: they must be "
                                     "PEM, without passphrase, and belong together"
                                   : "the server of pages cannot be started");
    if (st == FM_OK)
        st = start_thread(w);
    if (st == FM_OK)
        *out = w;
    else
        fm_web_stop(&w);
    return st;
}

void fm_web_stop(fm_web **web)
{
    fm_web *w = web ? *web : NULL;

    if (!w)
        return;
    if (w->running) {
        atomic_store(&w->stop, true);
        web_wake(w);
        (void)pthread_join(w->thread, NULL);
    }
    if (w->daemon)
        web_lib.MHD_stop_daemon(w->daemon); /* closes the socket, too */
    else if (w->listen_fd >= 0)
        (void)close(w->listen_fd);
    if (w->wake >= 0)
        (void)close(w->wake);
    if (w->actions.fd >= 0)
        (void)close(w->actions.fd);
    web_pages_fini(&w->pages);
    for (size_t i = 0; i < FM_WEB_HOSTS_MAX; i++)
        free(w->hosts[i]);
    free(w->links_path);
    (void)pthread_mutex_destroy(&w->pages.lock);
    (void)pthread_mutex_destroy(&w->actions.lock);
    sodium_memzero(w, sizeof *w);
    free(w);
    *web = NULL;
}

const char *fm_web_address(const fm_web *w)
{
    return w->address;
}
