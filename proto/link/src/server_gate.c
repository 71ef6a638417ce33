/* The connections: how many may be a stranger's, and for how long. docs/security.md, "Strangers". */
#include <string.h>

#include "fedmoe/base/log.h"
#include "server_internal.h"

/* Beside as many as there are members, who may all come in at once. */
#define STRANGERS 64
#define CROWDED_APART_MS 10000

static size_t limit_of(const fm_link_server *s)
{
    return s->limits.max_peers + (size_t)STRANGERS;
}

fm_status fm_server_make_gate(fm_link_server *s)
{
    void *p;
    fm_status st;

    /* Strangers, sessions, and the one of each that comes before another is shut. */
    s->connection_capacity = limit_of(s) + s->limits.max_peers + 2;
    if ((st = fm_alloc(s->connection_capacity, sizeof *s->connections, &p)) == FM_OK)
        s->connections = p;
    return st;
}

fm_connection *fm_server_find_connection(const fm_link_server *s, int fd)
{
    for (size_t i = 0; fd >= 0 && i < s->connection_count; i++)
        if (s->connections[i].fd == fd)
            return &s->connections[i];
    return NULL;
}

static void forget(fm_link_server *s, fm_connection *c)
{
    s->strangers -= !c->member;
    *c = s->connections[--s->connection_count];
}

/*
 * By its file descriptor, which ZeroMQ closes and the system gives to the next connection. Those
 * that are known to be closed are in the table no more; should one be closed at this very instant,
 * the next one is cut instead, and has to come again.
 */
static void shut(fm_link_server *s, fm_connection *c)
{
    fm_socket_shut(c->fd);
    forget(s, c);
}

static fm_connection *first_due(const fm_link_server *s)
{
    fm_connection *first = NULL;

    for (size_t i = 0; i < s->connection_count; i++) {
        fm_connection *c = &s->connections[i];

        if (!c->member && (!first || c->until_ms < first->until_ms))
            first = c;
    }
    return first;
}

/* The oldest makes room, not the newest is turned away: who has said nothing all that time is
 * less likely a node. */
static void make_room(fm_link_server *s, uint64_t now)
{
    fm_connection *c = first_due(s);

    if (c)
        shut(s, c);
    if (s->crowded_ms != 0 && now - s->crowded_ms < CROWDED_APART_MS)
        return;
    s->crowded_ms = now;
    fm_log(FM_LOG_WARN, "more than %zu connections have not said who they are: closing the oldest",
           limit_of(s));
}

static void add(fm_link_server *s, int fd, uint64_t now)
{
    fm_connection *old = fm_server_find_connection(s, fd);

    if (old) /* ZeroMQ has not told that it was closed */
        forget(s, old);
    if (s->strangers >= limit_of(s))
        make_room(s, now);
    if (s->connection_count == s->connection_capacity) {
        fm_socket_shut(fd);
        return;
    }
    s->connections[s->connection_count++] =
        (fm_connection){ .fd = fd, .until_ms = now + s->limits.connect_ms };
    s->strangers++;
}

static bool take_away(fm_link_server *s, int fd)
{
    fm_connection *c = fm_server_find_connection(s, fd);
    bool member = c && c->member;

    for (size_t i = s->count; c && i > 0;
         i--) { /* backwards: burying moves the last into the gap */
        fm_link_peer *p = s->slots[i - 1].peer;

        if (p->fd != fd)
            continue;
        p->fd = -1;
        if (p->state == FM_PEER_ADMITTED)
            fm_server_bury(s, p);
    }
    if (c)
        forget(s, c);
    return member;
}

bool fm_server_watch(fm_link_server *s, uint64_t now)
{
    fm_monitor_event e;
    bool broken = false;

    while ((e = fm_monitor_next(s->monitor)).kind != FM_MONITOR_NOTHING) {
        if (e.kind == FM_MONITOR_ACCEPTED)
            add(s, e.fd, now);
        else if (e.kind == FM_MONITOR_DISCONNECTED)
            broken = take_away(s, e.fd) || broken;
    }
    return broken;
}

void fm_server_make_member(fm_link_server *s, int fd)
{
    fm_connection *c = fm_server_find_connection(s, fd);

    if (!c || c->dismissed)
        return;
    s->strangers -= !c->member;
    c->member = true;
}

void fm_server_dismiss(fm_link_server *s, fm_connection *c, uint64_t until_ms)
{
    s->strangers += c->member;
    if (c->member || until_ms < c->until_ms)
        c->until_ms = until_ms;
    c->member = false;
    c->dismissed = true;
}

void fm_server_shut_late(fm_link_server *s, uint64_t now)
{
    for (size_t i = s->connection_count; i > 0; i--) /* backwards: the last moves into the gap */
        if (!s->connections[i - 1].member && now >= s->connections[i - 1].until_ms)
            shut(s, &s->connections[i - 1]);
}
