/* Peers made of bare ZeroMQ. */
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fm_test.h"
#include "link_world.h"

raw_peer *raw_new(const fm_identity *id)
{
    raw_peer *r = calloc(1, sizeof *r);
    const fm_cert_info *info = fm_identity_info(id);
    fm_statement st = { .role = info->role, .not_after_s = fm_clock_wall_s() + 86400 };

    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    r->context = zmq_ctx_new();
    CU_ASSERT_EQUAL_FATAL(fm_curve_keypair(r->public_key, r->secret_key), FM_OK);
    memcpy(st.name, info->name, sizeof st.name);
    memcpy(st.federation, info->federation, sizeof st.federation);
    memcpy(st.curve_public, r->public_key, 32);
    if (info->role == FM_ROLE_NODE)
        st.x25519_public[0] = 9;
    CU_ASSERT_EQUAL_FATAL(fm_credential_make(id, &st, &r->credential), FM_OK);
    return r;
}

void raw_free(raw_peer **r)
{
    if ((*r)->socket)
        zmq_close((*r)->socket);
    zmq_ctx_term((*r)->context);
    free(*r);
    *r = NULL;
}

void *raw_socket(raw_peer *r, const fm_link_server *server)
{
    void *s = zmq_socket(r->context, ZMQ_DEALER);
    int zero = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    zmq_setsockopt(s, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, world_door_public(), 32);
    zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, r->public_key, 32);
    zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, r->secret_key, 32);
    CU_ASSERT_EQUAL_FATAL(zmq_connect(s, fm_link_server_door(server)), 0);
    return s;
}

fm_message *raw_receive(void *socket, fm_link_server *s, int ms, world_events *events)
{
    uint64_t end = fm_clock_now_ms() + (uint64_t)ms;
    fm_message *m = NULL;
    zmq_msg_t frame;

    zmq_msg_init(&frame);
    while (!m && fm_clock_now_ms() < end) {
        world_poll(s, 2, FM_LINK_NONE, events);
        if (zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) >= 0)
            CU_ASSERT_EQUAL(fm_message_decode(zmq_msg_data(&frame), zmq_msg_size(&frame), &m),
                            FM_OK);
    }
    zmq_msg_close(&frame);
    return m;
}

void raw_send(void *socket, const fm_message *m)
{
    fm_buf b;

    fm_buf_init(&b, FM_MAX_MESSAGE_BYTES);
    CU_ASSERT_EQUAL_FATAL(fm_message_encode(m, &b), FM_OK);
    CU_ASSERT_EQUAL(zmq_send(socket, b.data, b.len, 0), (int)b.len);
    fm_buf_fini(&b);
}

fm_message *raw_ask(raw_peer *r, fm_link_server *s, const void *data, size_t len, int ms)
{
    if (!r->socket)
        r->socket = raw_socket(r, s);
    CU_ASSERT_EQUAL(zmq_send(r->socket, data, len, 0), (int)len);
    return raw_receive(r->socket, s, ms, NULL);
}

static fm_message *say_hello(raw_peer *r, fm_link_server *s, world_events *e)
{
    fm_message m = { .type = FM_MSG_HELLO, .hello = { FM_PROTO_VERSION, r->credential } };
    fm_message *answer;

    if (!r->socket)
        r->socket = raw_socket(r, s);
    raw_send(r->socket, &m);
    answer = raw_receive(r->socket, s, 2000, e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
    return answer;
}

fm_message *raw_hello(raw_peer *r, fm_link_server *s)
{
    return say_hello(r, s, NULL);
}

uint64_t raw_join(raw_peer *r, fm_link_server *s)
{
    fm_message ping = { .type = FM_MSG_PING };
    world_events e = { .count = 0 };
    fm_message *welcome = say_hello(r, s, &e);
    uint64_t peer;

    CU_ASSERT_EQUAL_FATAL(welcome->type, FM_MSG_WELCOME);
    raw_send(r->socket, &ping);
    if (!world_event(&e, FM_LINK_JOINED))
        world_poll(s, 2000, FM_LINK_JOINED, &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world_event(&e, FM_LINK_JOINED));
    peer = world_event(&e, FM_LINK_JOINED)->peer;
    world_events_free(&e);
    fm_message_free(&welcome);
    return peer;
}
