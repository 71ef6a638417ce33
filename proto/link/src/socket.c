#include "socket_internal.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <zmq.h>

/* CURVE boxes each message: flags, nonce and authenticator beside the bytes. */
#define CURVE_OVERHEAD 64
#define BACKLOG 512
/* Not -1, which ZeroMQ also takes for never: it would throw away what came in before the end. */
#define NEVER_MS (24 * 3600 * 1000)

fm_status fm_socket_failed(const char *what)
{
    return fm_fail(FM_EIO, "ZeroMQ: %s: %s", what, zmq_strerror(zmq_errno()));
}

fm_status fm_socket_context(void **out)
{
    void *context;

    /* A library without CURVE would talk in clear: an error, never a fallback. */
    if (!zmq_has("curve"))
        return fm_fail(FM_EIO, "this ZeroMQ was built without CURVE; install one with libsodium");
    if (!(context = zmq_ctx_new()))
        return fm_socket_failed("context");
    *out = context;
    return FM_OK;
}

void fm_socket_context_free(void **context)
{
    if (!*context)
        return;
    while (zmq_ctx_term(*context) != 0 && zmq_errno() == EINTR)
        continue;
    *context = NULL;
}

static bool set_int(void *s, int option, int value)
{
    return zmq_setsockopt(s, option, &value, sizeof value) == 0;
}

static bool set_key(void *s, int option, const uint8_t *key)
{
    return zmq_setsockopt(s, option, key, FM_CURVE_KEY_BYTES) == 0;
}

static bool set_common(void *s, const fm_socket_options *o)
{
    int64_t longest = (int64_t)o->message_bytes + CURVE_OVERHEAD;

    return zmq_setsockopt(s, ZMQ_MAXMSGSIZE, &longest, sizeof longest) == 0 &&
           set_int(s, ZMQ_LINGER, 0) && set_int(s, ZMQ_SNDHWM, o->send_queue) &&
           set_int(s, ZMQ_RCVHWM, o->receive_queue) &&
           set_int(s, ZMQ_HANDSHAKE_IVL, o->handshake_ms) &&
           set_int(s, ZMQ_IPV6, strchr(o->endpoint, '[') != NULL) &&
           /*
            * Liveness is our own Ping's affair. ZMTP heartbeats would cut a connection that is
            * busy with one long message, and would keep alive a peer whose program hangs.
            * TCP's keepalive frees what a cut cable leaves behind.
            */
           set_int(s, ZMQ_HEARTBEAT_IVL, 0) && set_int(s, ZMQ_TCP_KEEPALIVE, 1) &&
           set_int(s, ZMQ_TCP_KEEPALIVE_IDLE, 60) && set_int(s, ZMQ_TCP_KEEPALIVE_INTVL, 10) &&
           set_int(s, ZMQ_TCP_KEEPALIVE_CNT, 3);
}

static bool set_server(void *s, const fm_socket_options *o)
{
    /* Should ZeroMQ ever let one in without asking ZAP, its messages carry no User-Id, and what
     * carries none is not heard (packet.c, server_poll.c). */
    return set_int(s, ZMQ_CURVE_SERVER, 1) && set_key(s, ZMQ_CURVE_SECRETKEY, o->secret_key) &&
           zmq_setsockopt(s, ZMQ_ZAP_DOMAIN, FM_ZAP_DOMAIN, strlen(FM_ZAP_DOMAIN)) == 0 &&
           set_int(s, ZMQ_ROUTER_MANDATORY, 1) && set_int(s, ZMQ_ROUTER_HANDOVER, 0) &&
           set_int(s, ZMQ_BACKLOG, BACKLOG);
}

static bool set_client(void *s, const fm_socket_options *o)
{
    return set_key(s, ZMQ_CURVE_SERVERKEY, o->server_key) &&
           set_key(s, ZMQ_CURVE_PUBLICKEY, o->public_key) &&
           set_key(s, ZMQ_CURVE_SECRETKEY, o->secret_key) &&
           (o->reconnect || set_int(s, ZMQ_RECONNECT_IVL, NEVER_MS));
}

static bool is_curve(void *s)
{
    int mechanism = ZMQ_NULL;
    size_t len = sizeof mechanism;

    return zmq_getsockopt(s, ZMQ_MECHANISM, &mechanism, &len) == 0 && mechanism == ZMQ_CURVE;
}

fm_status fm_socket_new(void *context, const fm_socket_options *o, void **out)
{
    void *s = zmq_socket(context, o->type);

    if (!s)
        return fm_socket_failed("socket");
    if (!set_common(s, o) || !(o->server_key ? set_client(s, o) : set_server(s, o)) ||
        !is_curve(s)) {
        fm_status st = fm_socket_failed("socket options");

        fm_socket_free(&s, 0);
        return st;
    }
    *out = s;
    return FM_OK;
}

void fm_socket_free(void **socket, int linger_ms)
{
    if (!*socket)
        return;
    (void)set_int(*socket, ZMQ_LINGER, linger_ms);
    (void)zmq_close(*socket);
    *socket = NULL;
}

fm_status fm_socket_bind(void *socket, const char *endpoint, char *bound, size_t cap)
{
    if (zmq_bind(socket, endpoint) != 0)
        return fm_fail(FM_EIO, "cannot listen at %s: %s", endpoint, zmq_strerror(zmq_errno()));
    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &cap) != 0)
        return fm_socket_failed("last endpoint");
    return FM_OK;
}

void fm_socket_shut(int fd)
{
    (void)shutdown(fd, SHUT_RDWR);
}

static bool tcp_info_of(int fd, struct tcp_info *info)
{
    socklen_t len = sizeof *info;

    memset(info, 0, sizeof *info);
    return fd >= 0 && getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) == 0 &&
           info->tcpi_state == TCP_ESTABLISHED;
}

uint64_t fm_socket_quiet_ms(int fd)
{
    struct tcp_info info;

    return tcp_info_of(fd, &info) ? info.tcpi_last_data_recv : UINT64_MAX;
}

bool fm_socket_is_busy(int fd)
{
    struct tcp_info info;
    int waiting = 0;

    return tcp_info_of(fd, &info) && ioctl(fd, SIOCOUTQNSD, &waiting) == 0 && waiting > 0;
}
