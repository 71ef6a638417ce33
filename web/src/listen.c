/* Where the server listens, and by what names it may be asked. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fedmoe/base/text.h"
#include "web_internal.h"

#define BACKLOG 64

/* "HOST:PORT" or "[HOST]:PORT", HOST an address in numbers. */
static fm_status parse(const char *address, struct addrinfo **out)
{
    const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                    .ai_socktype = SOCK_STREAM };
    const char *colon = strrchr(address, ':');
    const char *host = address;
    size_t len = colon ? (size_t)(colon - address) : 0;
    char text[INET6_ADDRSTRLEN];
    uint64_t port = 0;

    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len > 0 && len < sizeof text) {
        memcpy(text, host, len);
        text[len] = '\0';
    }
    if (len == 0 || len >= sizeof text || !fm_text_u64(colon + 1, &port) || port > UINT16_MAX ||
        getaddrinfo(text, colon + 1, &hints, out) != 0)
        return fm_fail(FM_EINVAL, "'%s' is no address: write it as 127.0.0.1:7390 or [::1]:7390",
                       address);
    return FM_OK;
}

static bool is_local(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24) == 127;
    return a->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

static fm_status say_address(int fd, char out[FM_WEB_NAME_MAX])
{
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    char host[INET6_ADDRSTRLEN], port[8];

    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0 ||
        getnameinfo((struct sockaddr *)&a, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return fm_fail(FM_EIO, "the address of a socket cannot be read");
    (void)snprintf(out, FM_WEB_NAME_MAX, a.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    return FM_OK;
}

fm_status web_listen(const char *address, bool local_only, int *fd, char out[FM_WEB_NAME_MAX])
{
    struct addrinfo *found = NULL;
    const int on = 1;
    fm_status st = parse(address, &found);
    int got;

    if (st != FM_OK)
        return st;
    if (local_only && !is_local(found->ai_addr)) {
        freeaddrinfo(found);
        return fm_fail(FM_EPERM,
                       "%s is reached by other machines, so a page there needs TLS: give a key and "
                       "a certificate, or listen on 127.0.0.1",
                       address);
    }
    got = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (got < 0 || setsockopt(got, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(got, found->ai_addr, found->ai_addrlen) != 0 || listen(got, BACKLOG) != 0)
        st = fm_fail(FM_EIO, "%s: cannot listen there: %s", address, strerror(errno));
    freeaddrinfo(found);
    if (st == FM_OK)
        st = say_address(got, out);
    if (st == FM_OK)
        *fd = got;
    else if (got >= 0)
        (void)close(got);
    return st;
}

static bool is_address(const char *s)
{
    uint8_t bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, s, bytes) == 1 || inet_pton(AF_INET6, s, bytes) == 1;
}

/* A name that somebody else's DNS leads here is none of ours; numbers need no DNS. */
bool web_host_is_ours(const fm_web *w, const char *host)
{
    char name[256];
    const char *colon = strrchr(host, ':');
    const char *bracket = strchr(host, ']');
    size_t len = colon && (!bracket || colon > bracket) ? (size_t)(colon - host) : strlen(host);

    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof name)
        return false;
    memcpy(name, host, len);
    name[len] = '\0';
    if (is_address(name) || strcasecmp(name, "localhost") == 0)
        return true;
    for (size_t i = 0; i < FM_WEB_HOSTS_MAX; i++)
        if (w->hosts[i] && strcasecmp(name, w->hosts[i]) == 0)
            return true;
    return false;
}
