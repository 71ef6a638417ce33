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

    for (int i = 0; i < 40; i++) {
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

static void garbage_at_both_ports_does_nothing(void)
{
    fm_link_server *s = world_server(g_default);

    printf(" seeds 1, 2 ");
    throw_garbage(fm_link_server_door(s), s, 1);
    throw_garbage(fm_link_server_session(s), s, 2);
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

static void the_door_understands_only_hello(void)
{
    fm_link_server *s = world_server(g_default);
    raw_peer *r = raw_new(world_identity("riga"));
    fm_buf b = { .len = 0 };

    CU_ASSERT_EQUAL_FATAL(fm_message_encode(sample_message(FM_MSG_JOIN), &b), FM_OK);
    refused_with(raw_ask(r, s, b.data, b.len, 2000), "not Join");
    refused_with(raw_ask(r, s, "\xff\xff", 2, 2000), "not a protobuf");
    refused_with(raw_ask(r, s, "", 0, 2000), "0 bytes");
    CU_ASSERT_EQUAL(zmq_send(r->door, b.data, b.len, ZMQ_SNDMORE), (int)b.len);
    refused_with(raw_ask(r, s, "more", 4, 2000), "one frame");
    fm_buf_fini(&b);
    still_serves(s);
    raw_free(&r);
    fm_link_server_free(&s);
}

static void an_oversize_message_at_the_door_is_cut_off(void)
{
    fm_link_server *s = world_server(g_default);
    raw_peer *r = raw_new(world_identity("riga"));
    size_t len = FM_MAX_DOOR_BYTES + 1000;
    uint8_t *data = calloc(len, 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    CU_ASSERT_PTR_NULL(raw_ask(r, s, data, len, 300));
    free(data);
    still_serves(s);
    raw_free(&r);
    fm_link_server_free(&s);
}

/* `data` in a session of its own makes the peer GONE with a reason. */
static void gone_after(const void *data, size_t len, int flags, const char *says)
{
    fm_link_server *s = world_server(g_default);
    raw_peer *r = raw_new(world_identity("riga"));
    uint64_t peer = raw_join(r, s);
    world_events e = { .count = 0 };
    fm_link_event *gone;

    CU_ASSERT_EQUAL(zmq_send(r->session, data, len, flags), (int)len);
    if (flags)
        CU_ASSERT_EQUAL(zmq_send(r->session, data, len, 0), (int)len);
    world_poll(s, 10000, FM_LINK_GONE, &e);
    gone = world_event(&e, FM_LINK_GONE);
    CU_ASSERT_PTR_NOT_NULL_FATAL(gone);
    CU_ASSERT_EQUAL(gone->peer, peer);
    CU_ASSERT_PTR_NOT_NULL(strstr(gone->reason, says));
    CU_ASSERT_PTR_NULL(world_event(&e, FM_LINK_MESSAGE));
    if (!strstr(gone->reason, says))
        printf("\n  '%s' does not say '%s'\n", gone->reason, says);
    /* and whatever it says then is not heard */
    raw_send(r->session, sample_message(FM_MSG_COMMIT));
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
    raw_send(oslo->session, sample_message(FM_MSG_COMMIT));
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
    fm_message ping = { .type = FM_MSG_PING };
    world_events e = { .count = 0 };
    fm_message *w, *m;
    fm_statement st;
    uint64_t peer;

    w = raw_hello(riga, s);
    CU_ASSERT_EQUAL_FATAL(fm_credential_verify(world_trust(), &w->welcome.credential,
                                               FM_ROLE_AGGREGATOR, fm_clock_wall_s(), &st, NULL),
                          FM_OK);
    fm_message_free(&w);
    for (int i = 0; i < 2; i++) {
        raw_peer *r = i ? oslo : riga;

        r->session = zmq_socket(r->context, ZMQ_DEALER);
        zmq_setsockopt(r->session, ZMQ_ROUTING_ID, "same", 4);
        zmq_setsockopt(r->session, ZMQ_LINGER, &(int){ 0 }, sizeof(int));
        zmq_setsockopt(r->session, ZMQ_CURVE_SERVERKEY, st.curve_public, 32);
        zmq_setsockopt(r->session, ZMQ_CURVE_PUBLICKEY, r->public_key, 32);
        zmq_setsockopt(r->session, ZMQ_CURVE_SECRETKEY, r->secret_key, 32);
    }
    CU_ASSERT_EQUAL(zmq_connect(riga->session, fm_link_server_session(s)), 0);
    raw_send(riga->session, &ping);
    world_poll(s, 2000, FM_LINK_JOINED, &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world_event(&e, FM_LINK_JOINED));
    peer = world_event(&e, FM_LINK_JOINED)->peer;
    world_events_free(&e);
    w = raw_hello(oslo, s);
    fm_message_free(&w);
    CU_ASSERT_EQUAL(zmq_connect(oslo->session, fm_link_server_session(s)), 0);
    raw_send(oslo->session, &ping);
    world_poll(s, 300, FM_LINK_NONE, &e);
    CU_ASSERT_EQUAL(e.count, 0); /* oslo gets nowhere with it */
    CU_ASSERT_EQUAL(fm_link_server_send(s, peer, sample_message(FM_MSG_COMMIT)), FM_OK);
    do {
        m = raw_receive(riga->session, s, 1000, &e);
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

/* 300 connections that know the door key and never leave: they are closed. */
static void idle_connections_do_not_jam_the_door(void)
{
    fm_link_server *s = world_server(g_default);
    raw_peer *r = raw_new(world_identity("riga"));
    void *monitor = zmq_socket(r->context, ZMQ_PAIR);

    /* A ROUTER: a DEALER would make one connection of all that go to one address. */
    r->door = zmq_socket(r->context, ZMQ_ROUTER);
    zmq_setsockopt(r->door, ZMQ_LINGER, &(int){ 0 }, sizeof(int));
    zmq_setsockopt(r->door, ZMQ_RECONNECT_IVL, &(int){ 3600 * 1000 }, sizeof(int));
    zmq_setsockopt(r->door, ZMQ_CURVE_SERVERKEY, world_door_public(), 32);
    zmq_setsockopt(r->door, ZMQ_CURVE_PUBLICKEY, r->public_key, 32);
    zmq_setsockopt(r->door, ZMQ_CURVE_SECRETKEY, r->secret_key, 32);
    CU_ASSERT_EQUAL(zmq_socket_monitor(r->door, "inproc://m", ZMQ_EVENT_DISCONNECTED), 0);
    CU_ASSERT_EQUAL(zmq_connect(monitor, "inproc://m"), 0);
    for (int i = 0; i < 300; i++)
        CU_ASSERT_EQUAL_FATAL(zmq_connect(r->door, fm_link_server_door(s)), 0);
    world_poll(s, 3500, FM_LINK_NONE, NULL); /* the door is shut and opened within this time */
    CU_ASSERT_TRUE(disconnections(monitor) > 250);
    still_serves(s);
    zmq_socket_monitor(r->door, NULL, 0);
    zmq_close(monitor);
    raw_free(&r);
    fm_link_server_free(&s);
}

static void a_flood_of_hellos_leaves_sessions_alone(void)
{
    fm_link_server *s = world_server((fm_link_limits){ .max_peers = 4 });
    uint64_t peer, start = fm_clock_now_ms();
    fm_link_client *l = world_join(s, "oslo", &peer);
    raw_peer *r = raw_new(world_identity("riga"));
    world_events e = { .count = 0 };
    fm_message hello = { .type = FM_MSG_HELLO, .hello = { FM_PROTO_VERSION, r->credential } };

    r->door = raw_socket(r, fm_link_server_door(s), world_door_public());
    for (int i = 0; i < 900; i++)
        raw_send(r->door, &hello);
    CU_ASSERT_EQUAL(fm_link_client_send(l, sample_message(FM_MSG_JOIN)), FM_OK);
    world_poll(s, 1000, FM_LINK_MESSAGE, &e);
    CU_ASSERT_PTR_NOT_NULL(world_event(&e, FM_LINK_MESSAGE));
    world_poll(s, 700, FM_LINK_NONE, &e);
    /* 68 at once and 200 per second, no more, were answered; and a few Pings went out */
    CU_ASSERT_TRUE(fm_link_server_counters(s).messages_sent < 90 + (fm_clock_now_ms() - start) / 5);
    world_events_free(&e);
    fm_link_client_free(&l);
    raw_free(&r);
    fm_link_server_free(&s);
}

static const fm_test tests[] = {
    { "garbage at both ports does nothing", garbage_at_both_ports_does_nothing },
    { "the door understands only Hello", the_door_understands_only_hello },
    { "an oversize message at the door is cut off", an_oversize_message_at_the_door_is_cut_off },
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
