/* The table of peers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/clock.h"
#include "server_internal.h"

void fm_server_free_peer(fm_link_peer *p)
{
    fm_credential_pack_free(&p->credential);
    free(p);
}

static uint64_t tag_of(const uint8_t key[FM_CURVE_KEY_BYTES])
{
    return fm_get_u64le(key);
}

fm_link_peer *fm_server_find_key(const fm_link_server *s, const uint8_t key[FM_CURVE_KEY_BYTES])
{
    uint64_t tag = tag_of(key);

    for (size_t i = 0; i < s->count; i++)
        if (s->slots[i].key_tag == tag &&
            memcmp(s->slots[i].peer->key, key, FM_CURVE_KEY_BYTES) == 0)
            return s->slots[i].peer;
    return NULL;
}

fm_link_peer *fm_server_find_id(const fm_link_server *s, uint64_t id)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->slots[i].id == id)
            return s->slots[i].peer;
    return NULL;
}

fm_link_peer *fm_server_find_name(const fm_link_server *s, const char *name, bool joined)
{
    for (size_t i = 0; i < s->count; i++) {
        fm_link_peer *p = s->slots[i].peer;

        if (p->state != FM_PEER_LOST && (p->state == FM_PEER_JOINED) == joined &&
            strcmp(p->statement.name, name) == 0)
            return p;
    }
    return NULL;
}

fm_status fm_server_add(fm_link_server *s, const uint8_t key[FM_CURVE_KEY_BYTES],
                        fm_link_peer **out)
{
    fm_link_peer *p;
    void *memory;
    fm_status st;

    if (s->count == s->capacity)
        return fm_fail(FM_ENOMEM, "the table of peers is full");
    if ((st = fm_alloc(1, sizeof *p, &memory)) != FM_OK)
        return st;
    p = memory;
    p->id = s->next_id++;
    p->fd = -1;
    memcpy(p->key, key, FM_CURVE_KEY_BYTES);
    s->slots[s->count++] = (fm_peer_slot){ tag_of(key), p->id, p };
    *out = p;
    return FM_OK;
}

void fm_server_bury(fm_link_server *s, fm_link_peer *p)
{
    size_t at = 0;

    while (at < s->count && s->slots[at].peer != p)
        at++;
    if (at == s->count)
        return; /* buried before */
    s->slots[at] = s->slots[--s->count];
    if (s->joined_event == p)
        s->joined_event = NULL;
    s->joined -= p->state == FM_PEER_JOINED;
    s->lost -= p->state == FM_PEER_LOST;
    p->state = FM_PEER_LOST;
    p->next_buried = s->buried;
    s->buried = p;
}

void fm_server_free_buried(fm_link_server *s)
{
    while (s->buried) {
        fm_link_peer *next = s->buried->next_buried;

        fm_server_free_peer(s->buried);
        s->buried = next;
    }
}

void fm_server_leave(fm_link_server *s, fm_link_peer *p)
{
    fm_connection *c = fm_server_find_connection(s, p->fd);

    if (c)
        fm_server_dismiss(s, c, fm_clock_now_ms() + s->limits.connect_ms);
    p->fd = -1;
}

void fm_server_lose(fm_link_server *s, fm_link_peer *p, const char *reason)
{
    char text[FM_MAX_REASON_BYTES + 1];

    if (p->state == FM_PEER_LOST)
        return;
    fm_reason_set(text, reason); /* a copy: sending may change the error text */
    fm_server_send_refusal(s, p, text);
    fm_server_leave(s, p);
    if (!p->announced) {
        fm_server_bury(s, p);
        return;
    }
    (void)snprintf(p->reason, sizeof p->reason, "%.*s", (int)sizeof p->reason - 1, text);
    s->joined--;
    s->lost++;
    p->state = FM_PEER_LOST;
}

fm_status fm_server_send_packet(fm_link_server *s, fm_link_peer *p, zmq_msg_t *packet)
{
    size_t bytes = zmq_msg_size(packet);
    fm_status st = fm_packet_send(s->socket, &p->route, packet);

    if (st != FM_OK)
        return st;
    p->counters.bytes_sent += bytes;
    p->counters.messages_sent++;
    s->counters.bytes_sent += bytes;
    s->counters.messages_sent++;
    return FM_OK;
}

void fm_server_send_refusal(fm_link_server *s, fm_link_peer *p, const char *reason)
{
    fm_message m = { .type = FM_MSG_REFUSAL };
    zmq_msg_t packet;

    fm_reason_set(m.refusal.reason, reason);
    if (fm_packet_make(&m, &packet) != FM_OK)
        return;
    (void)!fm_server_send_packet(s, p, &packet); /* it may be gone; nothing is lost by that */
    (void)zmq_msg_close(&packet);
}
