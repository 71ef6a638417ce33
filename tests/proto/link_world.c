#include "link_world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/clock.h"
#include "fm_test.h"

/* ---- identities ---- */

typedef struct {
    const char *name;
    fm_role role;
    fm_identity *identity;
} member;

static struct {
    bool made;
    char ca[256], other_ca[256];
    fm_trust *trust, *other_trust, *wise_trust;
    member members[3];
    fm_identity *stranger, *expired, *revoked;
    uint8_t door_public[32], door_secret[32];
} g;

static void must(fm_status st, const char *what)
{
    if (st == FM_OK)
        return;
    fprintf(stderr, "link_world: %s: %s\n", what, fm_error_text());
    exit(1);
}

static fm_identity *issue(const char *ca, fm_role role, const char *name, bool expired, char *dir)
{
    int64_t now = fm_clock_wall_s();
    fm_ca_request r = { .role = role, .name = name, .type = FM_KEY_ED25519, .days = 30 };
    fm_identity *id = NULL;
    char own[256];

    if (expired) {
        r.not_before_s = now - 10 * 86400;
        r.not_after_s = now - 86400;
    }
    fm_test_tmpdir(own, sizeof own);
    must(fm_ca_issue(ca, &r, own), "issue");
    must(fm_identity_load(own, &id), "identity");
    if (dir)
        memcpy(dir, own, sizeof own);
    return id;
}

static void free_world(void)
{
    for (size_t i = 0; i < FM_TEST_COUNT(g.members); i++)
        fm_identity_free(&g.members[i].identity);
    fm_identity_free(&g.stranger);
    fm_identity_free(&g.expired);
    fm_identity_free(&g.revoked);
    fm_trust_free(&g.trust);
    fm_trust_free(&g.other_trust);
    fm_trust_free(&g.wise_trust);
}

static void make_members(void)
{
    const member m[] = { { "aggregator", FM_ROLE_AGGREGATOR, NULL },
                         { "riga", FM_ROLE_NODE, NULL },
                         { "oslo", FM_ROLE_NODE, NULL } };
    char dir[256], revoked_dir[256];

    for (size_t i = 0; i < FM_TEST_COUNT(m); i++) {
        g.members[i] = m[i];
        g.members[i].identity = issue(g.ca, m[i].role, m[i].name, false, dir);
    }
    must(fm_trust_load(dir, &g.trust), "trust");
    g.stranger = issue(g.other_ca, FM_ROLE_NODE, "stranger", false, dir);
    must(fm_trust_load(dir, &g.other_trust), "trust");
    g.expired = issue(g.ca, FM_ROLE_NODE, "expired", true, NULL);
    g.revoked = issue(g.ca, FM_ROLE_NODE, "revoked", false, revoked_dir);
    must(fm_ca_revoke(g.ca, "revoked"), "revoke");
    must(fm_trust_load(g.ca, &g.wise_trust), "trust with the revocation");
}

static void make_world(void)
{
    if (g.made)
        return;
    g.made = true;
    (void)atexit(free_world);
    fm_test_tmpdir(g.ca, sizeof g.ca);
    fm_test_tmpdir(g.other_ca, sizeof g.other_ca);
    strcat(g.ca, "/ca");
    strcat(g.other_ca, "/ca");
    must(fm_ca_new(g.ca, "heart", FM_KEY_ED25519, 365), "CA");
    must(fm_ca_new(g.other_ca, "heart", FM_KEY_ED25519, 365), "CA");
    make_members();
    must(fm_curve_keypair(g.door_public, g.door_secret), "door key");
}

const fm_identity *world_identity(const char *name)
{
    make_world();
    for (size_t i = 0; i < FM_TEST_COUNT(g.members); i++)
        if (strcmp(g.members[i].name, name) == 0)
            return g.members[i].identity;
    return g.stranger;
}

const fm_trust *world_trust(void)
{
    make_world();
    return g.trust;
}

const fm_trust *world_other_trust(void)
{
    make_world();
    return g.other_trust;
}

const fm_identity *world_expired(void)
{
    make_world();
    return g.expired;
}

const fm_identity *world_revoked(fm_trust **trust_that_knows)
{
    make_world();
    *trust_that_knows = g.wise_trust;
    return g.revoked;
}

const uint8_t *world_door_public(void)
{
    make_world();
    return g.door_public;
}

const uint8_t *world_door_secret(void)
{
    make_world();
    return g.door_secret;
}

/* ---- the ends ---- */

fm_link_server_config world_server_config(fm_link_limits limits)
{
    make_world();
    return (fm_link_server_config){
        .door = "tcp://127.0.0.1:*",
        .door_secret = g.door_secret,
        .identity = world_identity("aggregator"),
        .trust = g.trust,
        .limits = limits,
    };
}

fm_link_server *world_server(fm_link_limits limits)
{
    fm_link_server_config c = world_server_config(limits);
    fm_link_server *s = NULL;

    must(fm_link_server_new(&c, &s), "server");
    return s;
}

fm_link_client_config world_client_config(const fm_link_server *s, const char *name)
{
    static const uint8_t x25519[32] = { 9 };

    return (fm_link_client_config){
        .door = fm_link_server_door(s),
        .door_public = g.door_public,
        .identity = world_identity(name),
        .trust = g.trust,
        .x25519_public = x25519,
    };
}

/* ---- events ---- */

void world_poll(fm_link_server *s, int ms, fm_link_event_kind until, world_events *events)
{
    uint64_t end = fm_clock_now_ms() + (uint64_t)ms;
    uint64_t now;

    while ((now = fm_clock_now_ms()) < end) {
        fm_link_event e;

        must(fm_link_server_poll(s, (int)(end - now), &e), "server poll");
        if (e.kind == FM_LINK_NONE)
            continue;
        if (events && events->count < FM_TEST_COUNT(events->list))
            events->list[events->count++] = e;
        else
            fm_message_free(&e.message);
        if (e.kind == until)
            return;
    }
}

void world_events_free(world_events *e)
{
    for (size_t i = 0; i < e->count; i++)
        fm_message_free(&e->list[i].message);
    e->count = 0;
}

fm_link_event *world_event(world_events *e, fm_link_event_kind kind)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->list[i].kind == kind)
            return &e->list[i];
    return NULL;
}

typedef struct {
    const fm_link_client_config *config;
    fm_link_client *client;
    fm_status status;
    char text[1024];
    atomic_bool done;
} connecting;

static void *connect_thread(void *arg)
{
    connecting *c = arg;

    c->status = fm_link_client_connect(c->config, &c->client);
    (void)snprintf(c->text, sizeof c->text, "%s", fm_error_text());
    atomic_store(&c->done, true);
    return NULL;
}

fm_status world_connect(fm_link_server *s, const fm_link_client_config *config,
                        fm_link_client **out, world_events *events, char *text)
{
    connecting c = { .config = config };
    pthread_t t;

    if (pthread_create(&t, NULL, connect_thread, &c) != 0)
        exit(1);
    while (!atomic_load(&c.done)) {
        if (s)
            world_poll(s, 2, FM_LINK_NONE, events);
        else
            (void)zmq_poll(NULL, 0, 2);
    }
    (void)pthread_join(t, NULL);
    *out = c.client;
    if (text)
        memcpy(text, c.text, sizeof c.text);
    return c.status;
}

fm_link_client *world_join(fm_link_server *s, const char *name, uint64_t *peer)
{
    fm_link_client_config c = world_client_config(s, name);
    fm_link_client *l = NULL;
    world_events e = { .count = 0 };
    fm_link_event *joined;

    CU_ASSERT_EQUAL_FATAL(world_connect(s, &c, &l, &e, NULL), FM_OK);
    if (!world_event(&e, FM_LINK_JOINED))
        world_poll(s, 2000, FM_LINK_JOINED, &e);
    joined = world_event(&e, FM_LINK_JOINED);
    CU_ASSERT_PTR_NOT_NULL_FATAL(joined);
    if (peer)
        *peer = joined->peer;
    world_events_free(&e);
    return l;
}

fm_link_event world_client_event(fm_link_client *l, fm_link_server *s, int ms, world_events *events)
{
    uint64_t end = fm_clock_now_ms() + (uint64_t)ms;
    fm_link_event e = { .kind = FM_LINK_NONE };

    while (e.kind == FM_LINK_NONE && fm_clock_now_ms() < end) {
        must(fm_link_client_poll(l, 2, &e), "client poll");
        if (s)
            world_poll(s, 2, FM_LINK_NONE, events);
    }
    return e;
}
