/* Who is not let in, and whom a node does not believe. */
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/proto/digest.h"
#include "link_world.h"
#include "suites.h"

static const fm_link_limits g_default = { 0 };

/* Connecting fails with `st` and a text that holds `says`; the server has no event of it. */
static void refused(fm_link_server *s, const fm_link_client_config *c, fm_status st,
                    const char *says)
{
    world_events e = { .count = 0 };
    fm_link_client *l = NULL;
    char text[1024];

    CU_ASSERT_EQUAL(world_connect(s, c, &l, &e, text), st);
    CU_ASSERT_PTR_NULL(l);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, says));
    if (!strstr(text, says))
        printf("\n  '%s' does not say '%s'\n", text, says);
    CU_ASSERT_EQUAL(e.count, 0);
    world_events_free(&e);
    fm_link_client_free(&l);
}

static void a_wrong_door_key_gets_no_answer(void)
{
    fm_link_server *s = world_server(g_default);
    fm_link_client_config c = world_client_config(s, "riga");
    uint8_t pk[32], sk[32];

    CU_ASSERT_EQUAL_FATAL(fm_curve_keypair(pk, sk), FM_OK);
    c.door_public = pk;
    c.limits.connect_ms = 600;
    refused(s, &c, FM_ETIMEOUT, "door key");
    fm_link_server_free(&s);
}

static void where_nothing_listens_the_text_says_so(void)
{
    fm_link_server *s = world_server(g_default);
    fm_link_client_config c = world_client_config(s, "riga");
    char door[256];

    strcpy(door, fm_link_server_door(s));
    fm_link_server_free(&s);
    c.door = door;
    c.limits.connect_ms = 400;
    refused(NULL, &c, FM_ETIMEOUT, "nothing listens");
}

static void a_node_of_another_ca_is_refused(void)
{
    fm_link_server *s = world_server(g_default);
    fm_link_client_config c = world_client_config(s, "stranger");

    refused(s, &c, FM_EAUTH, "refused this node");
    fm_link_server_free(&s);
}

static void an_aggregator_of_another_ca_is_not_believed(void)
{
    fm_link_server *s = world_server(g_default);
    fm_link_client_config c = world_client_config(s, "riga");

    c.trust = world_other_trust();
    refused(s, &c, FM_EAUTH, "the aggregator's credential");
    fm_link_server_free(&s);
}

static void an_expired_certificate_is_refused(void)
{
    fm_link_server *s = world_server(g_default);
    fm_link_client_config c = world_client_config(s, "riga");

    c.identity = world_expired();
    refused(s, &c, FM_EAUTH, "expired");
    fm_link_server_free(&s);
}

static void a_revoked_certificate_is_refused_once_the_server_knows(void)
{
    fm_link_server *s = world_server(g_default);
    fm_link_client_config c = world_client_config(s, "riga");
    fm_trust *knows;
    fm_link_client *l = NULL;

    c.identity = world_revoked(&knows);
    CU_ASSERT_EQUAL(world_connect(s, &c, &l, NULL, NULL), FM_OK);
    fm_link_client_free(&l);
    world_poll(s, 1000, FM_LINK_GONE, NULL);
    fm_link_server_set_trust(s, knows);
    refused(s, &c, FM_EAUTH, "revoked");
    fm_link_server_free(&s);
}

static void refusal_says(fm_message *m, const char *says)
{
    CU_ASSERT_EQUAL_FATAL(m->type, FM_MSG_REFUSAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(m->refusal.reason, says));
    if (!strstr(m->refusal.reason, says))
        printf("\n  '%s' does not say '%s'\n", m->refusal.reason, says);
    fm_message_free(&m);
}

static void an_aggregators_certificate_is_not_a_nodes(void)
{
    fm_link_server *s = world_server(g_default);
    raw_peer *r = raw_new(world_identity("aggregator"));

    refusal_says(raw_hello(r, s), "role");
    raw_free(&r);
    fm_link_server_free(&s);
}

/* Oslo holds Riga's certificate, statement and signature, as anyone on a roster does. */
static void a_stolen_credential_is_refused(void)
{
    fm_link_server *s = world_server(g_default);
    raw_peer *riga = raw_new(world_identity("riga")), *oslo = raw_new(world_identity("oslo"));

    oslo->credential = riga->credential;
    refusal_says(raw_hello(oslo, s), "another CURVE key");
    raw_free(&riga);
    raw_free(&oslo);
    fm_link_server_free(&s);
}

static void a_changed_statement_is_refused(void)
{
    fm_link_server *s = world_server(g_default);
    raw_peer *r = raw_new(world_identity("riga"));

    r->credential.statement[3] ^= 1; /* not_after */
    refusal_says(raw_hello(r, s), "");
    raw_free(&r);
    fm_link_server_free(&s);
}

static void another_version_is_told_so(void)
{
    fm_link_server *s = world_server(g_default);
    raw_peer *r = raw_new(world_identity("riga"));
    fm_message m = { .type = FM_MSG_HELLO, .hello = { 1, r->credential } };
    fm_message *answer;
    fm_buf b = { .len = 0 };

    CU_ASSERT_EQUAL_FATAL(fm_message_encode(&m, &b), FM_OK);
    answer = raw_ask(r, s, b.data, b.len, 2000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
    refusal_says(answer, "version 1");
    fm_buf_fini(&b);
    raw_free(&r);
    fm_link_server_free(&s);
}

static void a_full_house_refuses_but_lets_a_member_come_again(void)
{
    fm_link_server *s = world_server((fm_link_limits){ .max_peers = 1 });
    fm_link_client *riga = world_join(s, "riga", NULL), *again;
    fm_link_client_config c = world_client_config(s, "oslo");

    refused(s, &c, FM_EAUTH, "limit");
    again = world_join(s, "riga", NULL);
    fm_link_client_free(&riga);
    fm_link_client_free(&again);
    fm_link_server_free(&s);
}

/* ---- one key, one connection, one session ---- */

/* The first message that is no Ping, or NULL. */
static fm_message *hear(void *socket, fm_link_server *s, int ms, world_events *e)
{
    fm_message *m = raw_receive(socket, s, ms, e);

    while (m && m->type == FM_MSG_PING) {
        fm_message_free(&m);
        m = raw_receive(socket, s, ms, e);
    }
    return m;
}

static void nobody_is_heard_before_its_hello(void)
{
    fm_link_server *s = world_server(g_default);
    raw_peer *r = raw_new(world_identity("riga"));
    fm_message ping = { .type = FM_MSG_PING };
    world_events e = { .count = 0 };

    r->socket = raw_socket(r, s);
    raw_send(r->socket, &ping);
    refusal_says(raw_receive(r->socket, s, 2000, &e), "not Ping");
    CU_ASSERT_EQUAL(e.count, 0);
    raw_free(&r);
    fm_link_server_free(&s);
}

static void a_key_is_good_for_one_connection(void)
{
    fm_link_server *s = world_server(g_default);
    raw_peer *r = raw_new(world_identity("riga"));
    fm_message hello = { .type = FM_MSG_HELLO, .hello = { FM_PROTO_VERSION, r->credential } };
    fm_message ping = { .type = FM_MSG_PING };
    uint64_t peer = raw_join(r, s);
    world_events e = { .count = 0 };
    void *second = raw_socket(r, s);
    fm_message *m;

    raw_send(second, &hello);
    refusal_says(raw_receive(second, s, 2000, &e), "has its session already");
    raw_send(second, &ping);
    CU_ASSERT_PTR_NULL(raw_receive(second, s, 200, &e));
    CU_ASSERT_EQUAL(e.count, 0);
    zmq_close(second);
    CU_ASSERT_EQUAL(fm_link_server_send(s, peer, &hello), FM_OK); /* the first one still stands */
    m = hear(r->socket, s, 2000, &e);
    CU_ASSERT_PTR_NOT_NULL(m);
    fm_message_free(&m);
    raw_free(&r);
    fm_link_server_free(&s);
}

/* A Welcome may take longer than the second after which a node says Hello again. */
static void the_same_hello_again_is_passed_over_in_a_session(void)
{
    fm_link_server *s = world_server(g_default);
    raw_peer *r = raw_new(world_identity("riga")), *other = raw_new(world_identity("riga"));
    fm_message hello = { .type = FM_MSG_HELLO, .hello = { FM_PROTO_VERSION, r->credential } };
    world_events e = { .count = 0 };

    (void)raw_join(r, s);
    raw_send(r->socket, &hello);
    world_poll(s, 100, FM_LINK_GONE, &e);
    CU_ASSERT_EQUAL(e.count, 0);
    hello.hello.credential = other->credential;
    raw_send(r->socket, &hello);
    world_poll(s, 2000, FM_LINK_GONE, &e);
    CU_ASSERT_PTR_NOT_NULL(world_event(&e, FM_LINK_GONE));
    raw_free(&r);
    raw_free(&other);
    fm_link_server_free(&s);
}

/* ---- a door that lies ---- */

typedef struct {
    void *context, *door;
    char endpoint[128];
} fake_door;

/* CURVE with the right door key, but it answers what it likes. */
static void fake_open(fake_door *f, const uint8_t *secret)
{
    size_t len = sizeof f->endpoint;
    int one = 1, zero = 0;

    f->context = zmq_ctx_new();
    f->door = zmq_socket(f->context, ZMQ_ROUTER);
    zmq_setsockopt(f->door, ZMQ_CURVE_SERVER, &one, sizeof one);
    zmq_setsockopt(f->door, ZMQ_CURVE_SECRETKEY, secret, 32);
    zmq_setsockopt(f->door, ZMQ_LINGER, &zero, sizeof zero);
    CU_ASSERT_EQUAL_FATAL(zmq_bind(f->door, "tcp://127.0.0.1:*"), 0);
    zmq_getsockopt(f->door, ZMQ_LAST_ENDPOINT, f->endpoint, &len);
}

typedef struct {
    fake_door *door;
    const fm_message *answer;
} lie;

static void answer_once(void *arg)
{
    lie *a = arg;
    char id[256], hello[FM_MAX_DOOR_BYTES];
    fm_buf b = { .len = 0 };
    int n = zmq_recv(a->door->door, id, sizeof id, 0);

    (void)zmq_recv(a->door->door, hello, sizeof hello, 0);
    if (n > 0 && fm_message_encode(a->answer, &b) == FM_OK) {
        (void)zmq_send(a->door->door, id, (size_t)n, ZMQ_SNDMORE);
        (void)zmq_send(a->door->door, b.data, b.len, 0);
    }
    fm_buf_fini(&b);
}

/* What a node says of a door with this key that gives this answer. */
static void met_with_key(const uint8_t *pk, const uint8_t *sk, const fm_message *answer,
                         fm_status st, const char *says)
{
    uint8_t x[32] = { 9 };
    fm_link_client_config c = { .door_public = pk,
                                .identity = world_identity("riga"),
                                .trust = world_trust(),
                                .x25519_public = x };
    fake_door f;
    lie a = { &f, answer };
    void *thread;

    fake_open(&f, sk);
    c.door = f.endpoint;
    thread = zmq_threadstart(answer_once, &a);
    refused(NULL, &c, st, says);
    zmq_threadclose(thread);
    zmq_close(f.door);
    zmq_ctx_term(f.context);
}

static void believes_not(const fm_message *answer, const char *says)
{
    uint8_t pk[32], sk[32];

    CU_ASSERT_EQUAL_FATAL(fm_curve_keypair(pk, sk), FM_OK);
    met_with_key(pk, sk, answer, FM_EAUTH, says);
}

typedef struct {
    int port;
    atomic_int came;
} hanging_up;

static void hang_up(void *arg)
{
    hanging_up *h = arg;
    int peer;

    while ((peer = accept(h->port, NULL, NULL)) >= 0) {
        h->came++;
        close(peer);
    }
}

/* An aggregator that is killed before its Welcome has refused nobody: the node comes again, and
 * what it says in the end is that this is worth another try. */
static void a_connection_that_breaks_off_is_tried_again(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    uint8_t x[32] = { 9 };
    char door[64];
    fm_link_client_config c = { .door = door,
                                .door_public = world_door_public(),
                                .identity = world_identity("riga"),
                                .trust = world_trust(),
                                .x25519_public = x,
                                .limits = { .connect_ms = 1500 } };
    hanging_up h = { .port = socket(AF_INET, SOCK_STREAM, 0) };
    socklen_t len = sizeof at;
    void *thread;

    CU_ASSERT_EQUAL_FATAL(bind(h.port, (struct sockaddr *)&at, len), 0);
    CU_ASSERT_EQUAL_FATAL(listen(h.port, 1), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(h.port, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(door, sizeof door, "tcp://127.0.0.1:%u", ntohs(at.sin_port));
    thread = zmq_threadstart(hang_up, &h);
    refused(NULL, &c, FM_ETIMEOUT, "does not answer to the door key");
    CU_ASSERT_TRUE(h.came >= 3);
    (void)shutdown(h.port, SHUT_RDWR);
    zmq_threadclose(thread);
    close(h.port);
}

/* ---- a middle-man that has stolen the door's key ---- */

/* It holds a Welcome that was said to another connection of the same node, and shows it. */
static void a_welcome_of_another_connection_is_not_believed(void)
{
    fm_link_server *s = world_server(g_default);
    raw_peer *r = raw_new(world_identity("riga"));
    fm_message *captured = raw_hello(r, s);

    CU_ASSERT_EQUAL_FATAL(captured->type, FM_MSG_WELCOME);
    met_with_key(world_door_public(), world_door_secret(), captured, FM_EAUTH,
                 "not for this connection");
    fm_message_free(&captured);
    raw_free(&r);
    fm_link_server_free(&s);
}

/* What an aggregator signs for a door, with another signature of its own behind it. */
static void another_signature_of_the_aggregator_is_no_proof(void)
{
    const fm_identity *id = world_identity("aggregator");
    fm_link_server *s = world_server(g_default);
    raw_peer *r = raw_new(world_identity("riga"));
    fm_message *m = raw_hello(r, s);
    const fm_hash digest = fm_welcome_digest("heart", r->public_key, world_door_public());
    uint8_t proof[FM_SIGNATURE_MAX];
    size_t len = 0;

    CU_ASSERT_EQUAL_FATAL(m->type, FM_MSG_WELCOME);
    CU_ASSERT_EQUAL(fm_identity_sign(id, FM_LABEL_COMMIT, digest.bytes, FM_HASH_BYTES, proof, &len),
                    FM_OK);
    m->welcome.proof = (fm_bytes){ proof, len };
    met_with_key(world_door_public(), world_door_secret(), m, FM_EAUTH, "its proof is not");
    fm_message_free(&m);
    raw_free(&r);
    fm_link_server_free(&s);
}

/* The aggregator's own statement, but of the door that it had before. */
static void a_statement_for_another_door_is_not_believed(void)
{
    raw_peer *r = raw_new(world_identity("aggregator"));
    const uint8_t proof[1] = { 0 };
    fm_message m = { .type = FM_MSG_WELCOME,
                     .welcome = { FM_PROTO_VERSION, r->credential, { proof, 1 } } };

    believes_not(&m, "another door key");
    raw_free(&r);
}

static void a_node_that_poses_as_the_aggregator_is_not_believed(void)
{
    raw_peer *r = raw_new(world_identity("oslo"));
    const uint8_t proof[1] = { 0 };
    fm_message m = { .type = FM_MSG_WELCOME,
                     .welcome = { FM_PROTO_VERSION, r->credential, { proof, 1 } } };

    believes_not(&m, "role");
    m.welcome.version = 1;
    believes_not(&m, "version 1");
    raw_free(&r);
}

static void another_answer_than_welcome_is_not_believed(void)
{
    fm_message m = { .type = FM_MSG_PING };

    believes_not(&m, "Ping");
}

static const fm_test tests[] = {
    { "a wrong door key gets no answer", a_wrong_door_key_gets_no_answer },
    { "where nothing listens the text says so", where_nothing_listens_the_text_says_so },
    { "a node of another CA is refused", a_node_of_another_ca_is_refused },
    { "an aggregator of another CA is not believed", an_aggregator_of_another_ca_is_not_believed },
    { "an expired certificate is refused", an_expired_certificate_is_refused },
    { "a revoked certificate is refused once the server knows",
      a_revoked_certificate_is_refused_once_the_server_knows },
    { "an aggregator's certificate is not a node's", an_aggregators_certificate_is_not_a_nodes },
    { "a stolen credential is refused", a_stolen_credential_is_refused },
    { "a changed statement is refused", a_changed_statement_is_refused },
    { "another version is told so", another_version_is_told_so },
    { "a full house refuses, but lets a member come again",
      a_full_house_refuses_but_lets_a_member_come_again },
    { "nobody is heard before its Hello", nobody_is_heard_before_its_hello },
    { "a key is good for one connection", a_key_is_good_for_one_connection },
    { "the same Hello again is passed over in a session",
      the_same_hello_again_is_passed_over_in_a_session },
    { "a connection that breaks off is tried again", a_connection_that_breaks_off_is_tried_again },
    { "a Welcome of another connection is not believed",
      a_welcome_of_another_connection_is_not_believed },
    { "another signature of the aggregator is no proof",
      another_signature_of_the_aggregator_is_no_proof },
    { "a statement for another door is not believed",
      a_statement_for_another_door_is_not_believed },
    { "a node that poses as the aggregator is not believed",
      a_node_that_poses_as_the_aggregator_is_not_believed },
    { "another answer than Welcome is not believed", another_answer_than_welcome_is_not_believed },
};

const fm_test_suite suite_link_join = { "link.join", tests, FM_TEST_COUNT(tests) };
