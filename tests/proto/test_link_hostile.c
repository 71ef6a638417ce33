/* Bytes that nobody should send. After each, an honest node still joins. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/random.h"
#include "link_world.h"
#include "samples.h"
#include "suites.h"

static const fm_link_limits g_default = { 0 };

static void still_serves(fm_link_server *s)
{
    uint64_t peer;
    fm_link_client *l = world_join(s, "oslo", &peer);
    world_events e = { .count = 0 };

    CU_ASSERT_EQUAL(fm_link_client_send(l, sample_message(FM_MSG_JOIN)), FM_OK);
    world_poll(s, 2000, FM_LINK_MESSAGE, &e);
    CU_ASSERT_PTR_NOT_NULL(world_event(&e, FM_LINK_MESSAGE));
    world_events_free(&e);
    fm_link_client_free(&l);
}

/* The peer's socket, and a monitor that tells when its connection is closed; no second one. */
static void *watch_socket(raw_peer *r, fm_link_server *s)
{
    void *monitor = zmq_socket(r->context, ZMQ_PAIR);

    r->socket = zmq_socket(r->context, ZMQ_DEALER);
    zmq_setsockopt(r->socket, ZMQ_LINGER, &(int){ 0 }, sizeof(int));
    zmq_setsockopt(r->socket, ZMQ_RECONNECT_IVL, &(int){ 3600 * 1000 }, sizeof(int));
    zmq_setsockopt(r->socket, ZMQ_CURVE_SERVERKEY, world_door_public(), 32);
    zmq_setsockopt(r->socket, ZMQ_CURVE_PUBLICKEY, r->public_key, 32);
    zmq_setsockopt(r->socket, ZMQ_CURVE_SECRETKEY, r->secret_key, 32);
    CU_ASSERT_EQUAL(zmq_socket_monitor(r->socket, "inproc://m", ZMQ_EVENT_DISCONNECTED), 0);
    CU_ASSERT_EQUAL(zmq_connect(monitor, "inproc://m"), 0);
    CU_ASSERT_EQUAL_FATAL(zmq_connect(r->socket, fm_link_server_door(s)), 0);
    return monitor;
}

static int disconnections(void *monitor)
{
    uint8_t event[6], address[256];
    int n = 0;

    while (zmq_recv(monitor, event, sizeof event, ZMQ_DONTWAIT) >= 0) {
        (void)zmq_recv(monitor, address, sizeof address, 0);
        n++;
    }
    return n;
}

static bool is_closed(void *monitor, fm_link_server *s, int ms, world_events *events)
{
    uint64_t end = fm_clock_now_ms() + (uint64_t)ms;
    bool closed = false;

    while (!closed && fm_clock_now_ms() < end) {
        world_poll(s, 5, FM_LINK_NONE, events);
        closed = disconnections(monitor) > 0;
    }
    return closed;
}

static int tcp_to(const char *endpoint)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_port = htons((uint16_t)atoi(strrchr(endpoint, ':') + 1));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void throw_garbage(const char *endpoint, fm_link_server *s, uint64_t seed)
{
    static const uint8_t greeting[64] = { 0xff, 0, 0, 0,   0,   0,   0,   0,  1,
                                          0x7f, 3, 0, 'C', 'U', 'R', 'V', 'E' };
    fm_rng_seed state;
    fm_rng r = fm_rng_seeded(&state, seed);
    uint8_t data[4096];

    for (int i = 0; i < 80; i++) {
        int fd = tcp_to(endpoint);
        size_t n = 1 + (size_t)fm_rng_below(&r, sizeof data);

        r.fill(r.state, data, sizeof data);
        if (i % 2) /* half of them get past the greeting */
            (void)!send(fd, greeting, sizeof greeting, MSG_NOSIGNAL);
        if (i % 4 == 3) { /* a command frame that says it is long */
            data[0] = 6;
            memset(data + 1, 0x7f, 8);
        }
        (void)!send(fd, data, n, MSG_NOSIGNAL);
        world_poll(s, 2, FM_LINK_NONE, NULL);
        close(fd);
    }
}

static void garbage_at_the_port_does_nothing(void)
{
    fm_link_server *s = world_server(g_default);

    printf(" seed 1 ");
    throw_garbage(fm_link_server_door(s), s, 1);
    still_serves(s);
    fm_link_server_free(&s);
}

static void refused_with(fm_message *m, const char *says)
{
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    CU_ASSERT_EQUAL_FATAL(m->type, FM_MSG_REFUSAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(m->refusal.reason, says));
    if (!strstr(m->refusal.reason, says))
        printf("\n  '%s' does not say '%s'\n", m->refusal.reason, says);
    fm_message_free(&m);
}

/* A stranger that says this is told why, is heard no more, and its connection is closed. */
static void stranger_is_refused(const void *data, size_t len, bool two_frames, const char *says)
{
    fm_link_server *s = world_server((fm_link_limits){ .connect_ms = 60000 });
    raw_peer *r = raw_new(world_identity("riga"));
    fm_message hello = { .type = FM_MSG_HELLO, .hello = { FM_PROTO_VERSION, r->credential } };
    world_events e = { .count = 0 };
    void *monitor = watch_socket(r, s);

    if (two_frames)
        CU_ASSERT_EQUAL(zmq_send(r->socket, "more", 4, ZMQ_SNDMORE), 4);
    refused_with(raw_ask(r, s, data, len, 2000), says);
    raw_send(r->socket, &hello);
    raw_send(r->socket, sample_message(FM_MSG_COMMIT));
    CU_ASSERT_TRUE(is_closed(monitor, s, 3000, &e));
    CU_ASSERT_EQUAL(e.count, 0);
    CU_ASSERT_PTR_NULL(raw_receive(r->socket, s, 50, &e));
    still_serves(s);
    zmq_close(monitor);
    raw_free(&r);
    fm_link_server_free(&s);
}

static void a_stranger_may_say_only_hello_enrol_and_renew(void)
{
    fm_buf b = { .len = 0 };

    CU_ASSERT_EQUAL_FATAL(fm_message_encode(sample_message(FM_MSG_JOIN), &b), FM_OK);
    stranger_is_refused(b.data, b.len, false, "not Join");
    stranger_is_refused("\xff\xff", 2, false, "not a protobuf");
    stranger_is_refused("", 0, false, "0 bytes");
    stranger_is_refused(b.data, b.len, true, "one frame");
    fm_buf_fini(&b);
}

/* Its time runs from when it came, whatever it says or does not say. */
static void a_stranger_has_only_so_much_time(void)
{
    fm_link_server *s = world_server((fm_link_limits){ .connect_ms = 400 });
    raw_peer *r = raw_new(world_identity("riga"));
    uint64_t start = fm_clock_now_ms();
    void *monitor = watch_socket(r, s);

    CU_ASSERT_TRUE(is_closed(monitor, s, 3000, NULL));
    CU_ASSERT_TRUE(fm_clock_now_ms() - start >= 400);
    still_serves(s);
    zmq_close(monitor);
    raw_free(&r);
    fm_link_server_free(&s);
}

static void a_long_message_of_a_stranger_is_refused(void)
{
    size_t len = FM_MAX_DOOR_BYTES + 1000;
    uint8_t *data = calloc(len, 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    stranger_is_refused(data, len, false, "door's length");
    free(data);
}

/* `data` in a session of its own makes the peer GONE with a reason. */
static void gone_after(const void *data, size_t len, int flags, const char *says)
{
    fm_link_server *s = world_server(g_default);
    raw_peer *r = raw_new(world_identity("riga"));
    uint64_t peer = raw_join(r, s);
    world_events e = { .count = 0 };
    fm_link_event *gone;

    CU_ASSERT_EQUAL(zmq_send(r->socket, data, len, flags), (int)len);
    if (flags)
        CU_ASSERT_EQUAL(zmq_send(r->socket, data, len, 0), (int)len);
    world_poll(s, 10000, FM_LINK_GONE, &e);
    gone = world_event(&e, FM_LINK_GONE);
    CU_ASSERT_PTR_NOT_NULL_FATAL(gone);
    CU_ASSERT_EQUAL(gone->peer, peer);
    CU_ASSERT_PTR_NOT_NULL(strstr(gone->reason, says));
    CU_ASSERT_PTR_NULL(world_event(&e, FM_LINK_MESSAGE));
    if (!strstr(gone->reason, says))
        printf("\n  '%s' does not say '%s'\n", gone->reason, says);
    /* and whatever it says then is not heard */
    raw_send(r->socket, sample_message(FM_MSG_COMMIT));
    world_poll(s, 50, FM_LINK_NONE, &e);
    CU_ASSERT_PTR_NULL(world_event(&e, FM_LINK_MESSAGE));
    world_events_free(&e);
    still_serves(s);
    raw_free(&r);
    fm_link_server_free(&s);
}

static void what_does_not_decode_ends_the_session(void)
{
    gone_after("garbage", 7, 0, "not a protobuf");
}

static void several_frames_end_the_session(void)
{
    gone_after("x", 1, ZMQ_SNDMORE, "several frames");
}

static void a_door_message_in_a_session_ends_it(void)
{
    fm_buf b = { .len = 0 };

    CU_ASSERT_EQUAL_FATAL(fm_message_encode(sample_message(FM_MSG_REFUSAL), &b), FM_OK);
    gone_after(b.data, b.len, 0, "door");
    fm_buf_fini(&b);
}

static void a_message_longer_than_any_ends_the_session(void)
{
    size_t len = FM_MAX_NODE_MESSAGE_BYTES + 4096;
    uint8_t *data = calloc(len, 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    gone_after(data, len, 0, "gone"); /* ZeroMQ closes the connection; the Ping finds no route */
    free(data);
}

/* The same name, the other's key: the User-Id decides, so nothing of Oslo's is Riga's. */
static void one_peer_cannot_speak_as_another(void)
{
    fm_link_server *s = world_server(g_default);
    raw_peer *riga = raw_new(world_identity("riga")), *oslo = raw_new(world_identity("oslo"));
    uint64_t a = raw_join(riga, s), b = raw_join(oslo, s);
    world_events e = { .count = 0 };

    CU_ASSERT_NOT_EQUAL(a, b);
    raw_send(oslo->socket, sample_message(FM_MSG_COMMIT));
    world_poll(s, 2000, FM_LINK_MESSAGE, &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world_event(&e, FM_LINK_MESSAGE));
    CU_ASSERT_EQUAL(world_event(&e, FM_LINK_MESSAGE)->peer, b);
    world_events_free(&e);
    raw_free(&riga);
    raw_free(&oslo);
    fm_link_server_free(&s);
}

/* A routing identity of one's own choice, equal to another's: ZeroMQ must not hand over. */
static void a_chosen_routing_identity_takes_nobodys_place(void)
{
    fm_link_server *s = world_server((fm_link_limits){ .heartbeat_ms = 50 });
    raw_peer *riga = raw_new(world_identity("riga")), *oslo = raw_new(world_identity("oslo"));
    fm_message hello = { .type = FM_MSG_HELLO, .hello = { FM_PROTO_VERSION, oslo->credential } };
    world_events e = { .count = 0 };
    fm_message *m;
    uint64_t peer;

    for (int i = 0; i < 2; i++) {
        raw_peer *r = i ? oslo : riga;

        r->socket = zmq_socket(r->context, ZMQ_DEALER);
        zmq_setsockopt(r->socket, ZMQ_ROUTING_ID, "same", 4);
        zmq_setsockopt(r->socket, ZMQ_LINGER, &(int){ 0 }, sizeof(int));
        zmq_setsockopt(r->socket, ZMQ_CURVE_SERVERKEY, world_door_public(), 32);
        zmq_setsockopt(r->socket, ZMQ_CURVE_PUBLICKEY, r->public_key, 32);
        zmq_setsockopt(r->socket, ZMQ_CURVE_SECRETKEY, r->secret_key, 32);
    }
    CU_ASSERT_EQUAL(zmq_connect(riga->socket, fm_link_server_door(s)), 0);
    peer = raw_join(riga, s);
    CU_ASSERT_EQUAL(zmq_connect(oslo->socket, fm_link_server_door(s)), 0);
    raw_send(oslo->socket, &hello);
    world_poll(s, 300, FM_LINK_NONE, &e);
    CU_ASSERT_EQUAL(e.count, 0); /* oslo gets nowhere with it */
    CU_ASSERT_EQUAL(fm_link_server_send(s, peer, sample_message(FM_MSG_COMMIT)), FM_OK);
    do {
        m = raw_receive(riga->socket, s, 1000, &e);
        CU_ASSERT_PTR_NOT_NULL_FATAL(m);
        if (m->type == FM_MSG_PING)
            fm_message_free(&m);
    } while (!m);
    CU_ASSERT_EQUAL(m->type, FM_MSG_COMMIT);
    fm_message_free(&m);
    raw_free(&riga);
    raw_free(&oslo);
    fm_link_server_free(&s);
}

/* 300 connections that know the door key and say nothing: the oldest are closed, at once and not
 * when their time is up, so that a node still comes in. */
static void idle_connections_do_not_jam_the_door(void)
{
    fm_link_server *s = world_server((fm_link_limits){ .max_peers = 4, .connect_ms = 60000 });
    raw_peer *r = raw_new(world_identity("riga"));
    void *monitor = zmq_socket(r->context, ZMQ_PAIR);
    uint64_t end = fm_clock_now_ms() + 15000; /* well before the 60 s of one connection are up */
    int closed = 0;

    /* A ROUTER: a DEALER would make one connection of all that go to one address. */
    r->socket = zmq_socket(r->context, ZMQ_ROUTER);
    zmq_setsockopt(r->socket, ZMQ_LINGER, &(int){ 0 }, sizeof(int));
    zmq_setsockopt(r->socket, ZMQ_RECONNECT_IVL, &(int){ 3600 * 1000 }, sizeof(int));
    zmq_setsockopt(r->socket, ZMQ_CURVE_SERVERKEY, world_door_public(), 32);
    zmq_setsockopt(r->socket, ZMQ_CURVE_PUBLICKEY, r->public_key, 32);
    zmq_setsockopt(r->socket, ZMQ_CURVE_SECRETKEY, r->secret_key, 32);
    CU_ASSERT_EQUAL(zmq_socket_monitor(r->socket, "inproc://m", ZMQ_EVENT_DISCONNECTED), 0);
    CU_ASSERT_EQUAL(zmq_connect(monitor, "inproc://m"), 0);
    for (int i = 0; i < 300; i++)
        CU_ASSERT_EQUAL_FATAL(zmq_connect(r->socket, fm_link_server_door(s)), 0);
    while (closed < 300 - 68 && fm_clock_now_ms() < end) {
        world_poll(s, 250, FM_LINK_NONE, NULL);
        closed += disconnections(monitor);
    }
    CU_ASSERT_TRUE(closed >= 300 - 68);
    CU_ASSERT_TRUE(closed < 300); /* it is the crowd that is cut, not everyone */
    still_serves(s);
    zmq_socket_monitor(r->socket, NULL, 0);
    zmq_close(monitor);
    raw_free(&r);
    fm_link_server_free(&s);
}

/* Another's credential, again and again on one connection: one answer, and no more is heard. */
static void a_flood_of_hellos_leaves_sessions_alone(void)
{
    fm_link_server *s = world_server((fm_link_limits){ .max_peers = 4 });
    fm_link_client *l = world_join(s, "oslo", NULL);
    raw_peer *r = raw_new(world_identity("riga")), *other = raw_new(world_identity("riga"));
    world_events e = { .count = 0 };
    fm_message hello = { .type = FM_MSG_HELLO, .hello = { FM_PROTO_VERSION, other->credential } };
    uint64_t sent = fm_link_server_counters(s).messages_sent;

    r->socket = raw_socket(r, s);
    for (int i = 0; i < 900; i++)
        raw_send(r->socket, &hello);
    CU_ASSERT_EQUAL(fm_link_client_send(l, sample_message(FM_MSG_JOIN)), FM_OK);
    world_poll(s, 1000, FM_LINK_MESSAGE, &e);
    CU_ASSERT_PTR_NOT_NULL(world_event(&e, FM_LINK_MESSAGE));
    world_poll(s, 700, FM_LINK_NONE, &e);
    CU_ASSERT_TRUE(fm_link_server_counters(s).messages_sent < sent + 10); /* some are Pings */
    CU_ASSERT_PTR_NULL(world_event(&e, FM_LINK_GONE));
    world_events_free(&e);
    fm_link_client_free(&l);
    raw_free(&r);
    raw_free(&other);
    fm_link_server_free(&s);
}

static const fm_test tests[] = {
    { "garbage at the port does nothing", garbage_at_the_port_does_nothing },
    { "a stranger may say only Hello, Enrol and Renew",
      a_stranger_may_say_only_hello_enrol_and_renew },
    { "a stranger has only so much time", a_stranger_has_only_so_much_time },
    { "a long message of a stranger is refused", a_long_message_of_a_stranger_is_refused },
    { "what does not decode ends the session", what_does_not_decode_ends_the_session },
    { "several frames end the session", several_frames_end_the_session },
    { "a door message in a session ends it", a_door_message_in_a_session_ends_it },
    { "a message longer than any ends the session", a_message_longer_than_any_ends_the_session },
    { "one peer cannot speak as another", one_peer_cannot_speak_as_another },
    { "a chosen routing identity takes nobody's place",
      a_chosen_routing_identity_takes_nobodys_place },
    { "idle connections do not jam the door", idle_connections_do_not_jam_the_door },
    { "a flood of Hellos leaves sessions alone", a_flood_of_hellos_leaves_sessions_alone },
};

const fm_test_suite suite_link_hostile = { "link.hostile", tests, FM_TEST_COUNT(tests) };
