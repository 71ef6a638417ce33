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
    if ((*r)->door)
        zmq_close((*r)->door);
    if ((*r)->session)
        zmq_close((*r)->session);
    zmq_ctx_term((*r)->context);
    free(*r);
    *r = NULL;
}

void *raw_socket(raw_peer *r, const char *endpoint, const uint8_t *server_key)
{
    void *s = zmq_socket(r->context, ZMQ_DEALER);
    int zero = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    zmq_setsockopt(s, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, server_key, 32);
    zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, r->public_key, 32);
    zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, r->secret_key, 32);
    CU_ASSERT_EQUAL_FATAL(zmq_connect(s, endpoint), 0);
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
    if (!r->door)
        r->door = raw_socket(r, fm_link_server_door(s), world_door_public());
    CU_ASSERT_EQUAL(zmq_send(r->door, data, len, 0), (int)len);
    return raw_receive(r->door, s, ms, NULL);
}

fm_message *raw_hello(raw_peer *r, fm_link_server *s)
{
    fm_message m = { .type = FM_MSG_HELLO, .hello = { FM_PROTO_VERSION, r->credential } };
    fm_message *answer;
    fm_buf b = { .len = 0 };

    CU_ASSERT_EQUAL_FATAL(fm_message_encode(&m, &b), FM_OK);
    answer = raw_ask(r, s, b.data, b.len, 2000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
    fm_buf_fini(&b);
    return answer;
}

uint64_t raw_join(raw_peer *r, fm_link_server *s)
{
    fm_message ping = { .type = FM_MSG_PING };
    world_events e = { .count = 0 };
    fm_message *welcome = raw_hello(r, s);
    fm_statement st;
    uint64_t peer;

    CU_ASSERT_EQUAL_FATAL(welcome->type, FM_MSG_WELCOME);
    CU_ASSERT_EQUAL_FATAL(fm_credential_verify(world_trust(), &welcome->welcome.credential,
                                               FM_ROLE_AGGREGATOR, fm_clock_wall_s(), &st, NULL),
                          FM_OK);
    r->session = raw_socket(r, fm_link_server_session(s), st.curve_public);
    raw_send(r->session, &ping);
    world_poll(s, 2000, FM_LINK_JOINED, &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(world_event(&e, FM_LINK_JOINED));
    peer = world_event(&e, FM_LINK_JOINED)->peer;
    world_events_free(&e);
    fm_message_free(&welcome);
    return peer;
}
