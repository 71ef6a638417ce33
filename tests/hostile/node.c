/*
 * A hostile node: the real program, with its own identity, records and books, in which the linker
 * puts these functions between the round and the wire (-Wl,--wrap). HOSTILE_DEED says what it does:
 *
 *   wrong-size     its update is a word too short
 *   late           its update comes after HOSTILE_MS
 *   withhold       it never commits
 *   vanish         it is gone before its update of round 2
 *   twice          it sends its update twice
 *   wrong-release  it releases with the mark of another ledger
 *   other-name     it shows the certificate in HOSTILE_IDENTITY, without its key
 *   flood          a thousand Pings go before each message
 *   flood-answers  it answers the roster a thousand times
 *   poison         its update is turned round and made long (poison.c)
 *   garbage        one bit of a message is wrong: of its update, commit, release, and so on
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <zmq.h>

#include "fedmoe/proto/link/link.h"

#define FLOOD 1000

fm_status __real_fm_message_encode(const fm_message *m, fm_buf *out);
fm_status __wrap_fm_message_encode(const fm_message *m, fm_buf *out);
fm_status __real_fm_link_client_send(fm_link_client *l, const fm_message *m);
fm_status __wrap_fm_link_client_send(fm_link_client *l, const fm_message *m);
int __real_zmq_setsockopt(void *socket, int option, const void *value, size_t len);
int __wrap_zmq_setsockopt(void *socket, int option, const void *value, size_t len);

static bool is_deed(const char *name)
{
    const char *deed = getenv("HOSTILE_DEED");

    return deed && strcmp(deed, name) == 0;
}

static void wait_ms(void)
{
    const char *text = getenv("HOSTILE_MS");
    long ms = text ? strtol(text, NULL, 10) : 0;
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

    (void)nanosleep(&t, NULL);
}

/* Another's certificate, beside a statement and a signature of its own. */
static void borrow_certificate(fm_message *m)
{
    const char *dir = getenv("HOSTILE_IDENTITY");
    const uint8_t *der = NULL;
    fm_identity *id = NULL;
    size_t len = 0;

    if (!dir || fm_identity_load(dir, &id) != FM_OK)
        return;
    fm_identity_der(id, &der, &len);
    memcpy(m->hello.credential.cert, der, len);
    m->hello.credential.cert_len = len;
    fm_identity_free(&id);
}

/* What is said instead of `m`. */
static fm_message lie(const fm_message *m)
{
    fm_message said = *m;

    if (m->type == FM_MSG_HELLO && is_deed("other-name"))
        borrow_certificate(&said);
    if (m->type == FM_MSG_UPDATE_PIECE && is_deed("wrong-size"))
        said.update_piece.piece.len -= 4;
    if (m->type == FM_MSG_MASKED_UPDATE && is_deed("late"))
        wait_ms();
    if (m->type == FM_MSG_COMMIT && is_deed("withhold"))
        said = (fm_message){ .type = FM_MSG_PING };
    if (m->type == FM_MSG_RELEASE && is_deed("wrong-release"))
        said.release.ledger_head.bytes[0] ^= 1;
    return said;
}

/* Each message that stands here is spoilt once, and then the next: another bit of it each time. */
static bool is_due(fm_msg_type type, unsigned *turn)
{
    static const fm_msg_type order[] = { FM_MSG_MASKED_UPDATE, FM_MSG_COMMIT,
                                         FM_MSG_RELEASE,       FM_MSG_JOIN,
                                         FM_MSG_PLAN_ANSWER,   FM_MSG_ROSTER_ANSWER,
                                         FM_MSG_UPDATE_PIECE,  FM_MSG_MODEL_WANT };
    static unsigned next;

    if (order[next % 8] != type)
        return false;
    *turn = next++;
    return true;
}

fm_status __wrap_fm_message_encode(const fm_message *m, fm_buf *out)
{
    const fm_message said = lie(m);
    const size_t before = out->len;
    fm_status st = __real_fm_message_encode(&said, out);
    unsigned turn = 0;

    if (st == FM_OK && is_deed("garbage") && is_due(m->type, &turn)) {
        out->data[before + (out->len - before) / 2] ^= (uint8_t)(1u << turn % 8);
        fprintf(stderr, "garbage in %s\n", fm_msg_name(m->type));
    }
    return st;
}

fm_status __wrap_fm_link_client_send(fm_link_client *l, const fm_message *m)
{
    const fm_message ping = { .type = FM_MSG_PING };
    fm_status st = FM_OK;

    if (m->type == FM_MSG_UPDATE_PIECE && m->update_piece.round == 2 && is_deed("vanish"))
        _exit(0);
    for (unsigned i = 0; i < FLOOD && st == FM_OK && is_deed("flood"); i++)
        st = __real_fm_link_client_send(l, &ping);
    for (unsigned i = 0; i < FLOOD && m->type == FM_MSG_ROSTER_ANSWER && is_deed("flood-answers");
         i++)
        st = __real_fm_link_client_send(l, m);
    if (m->type == FM_MSG_MASKED_UPDATE && is_deed("twice"))
        st = __real_fm_link_client_send(l, m);
    return st == FM_OK ? __real_fm_link_client_send(l, m) : st;
}

/* No limit to what waits to be sent: an honest link ends when that is too much. */
int __wrap_zmq_setsockopt(void *socket, int option, const void *value, size_t len)
{
    const int unlimited = 0;

    return option == ZMQ_SNDHWM
               ? __real_zmq_setsockopt(socket, option, &unlimited, sizeof unlimited)
               : __real_zmq_setsockopt(socket, option, value, len);
}
