/* Enrol at the door: whose proof counts, on which connection, and how often anybody may ask. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "fedmoe/proto/link/enrol.h"
#include "link_world.h"
#include "samples.h"
#include "suites.h"

static const uint8_t g_token[FM_TOKEN_BYTES] = { 9, 8, 7, 6, 5 };
static const uint8_t g_request[] = { 0x30, 3, 1, 1, 0xff };
static const uint8_t g_answer[] = { 1, 2, 3 };

/* An issuer that writes down who asked. */
typedef struct {
    unsigned asked;
    uint8_t invitation[FM_INVITATION_KEY_BYTES];
    char renews[FM_NAME_MAX + 1]; /* who asked for the next certificate */
    bool refuses, waits;
} desk;

static fm_status answer(void *ctx, const fm_msg_enrol *m, fm_msg_enrolled *out)
{
    desk *d = ctx;
    const fm_bytes b = { g_answer, sizeof g_answer };

    d->asked++;
    memcpy(d->invitation, m->invitation, sizeof d->invitation);
    if (d->refuses)
        return fm_fail(FM_EPERM, "this join code was withdrawn");
    *out =
        d->waits ? (fm_msg_enrolled){ 0 } : (fm_msg_enrolled){ .certificate = b, .authority = b };
    return FM_OK;
}

static fm_status answer_renew(void *ctx, const char *name, fm_bytes request, fm_msg_enrolled *out)
{
    desk *d = ctx;
    const fm_bytes b = { g_answer, sizeof g_answer };

    CU_ASSERT_EQUAL(request.len, sizeof g_request);
    (void)snprintf(d->renews, sizeof d->renews, "%s", name);
    *out = (fm_msg_enrolled){ .certificate = b, .authority = b };
    return FM_OK;
}

/* There is one code. */
static bool is_known(void *ctx, const uint8_t invitation[FM_INVITATION_KEY_BYTES])
{
    uint8_t ours[FM_INVITATION_KEY_BYTES];

    (void)ctx;
    CU_ASSERT_EQUAL_FATAL(fm_enrol_public(g_token, ours), FM_OK);
    return memcmp(invitation, ours, sizeof ours) == 0;
}

static fm_link_server *server_of(desk *d)
{
    fm_link_server_config c = world_server_config((fm_link_limits){ 0 });
    fm_link_server *s = NULL;

    c.issuer = (fm_link_issuer){ .ctx = d,
                                 .enrol = d ? answer : NULL,
                                 .known = d ? is_known : NULL,
                                 .renew = d ? answer_renew : NULL };
    CU_ASSERT_EQUAL_FATAL(fm_link_server_new(&c, &s), FM_OK);
    return s;
}

/* The Enrol that the code's holder would send on the connection of `r`. */
static fm_message prove(const raw_peer *r, const uint8_t *door)
{
    const fm_enrol_channel channel = { r->public_key, door };
    fm_message m = { .type = FM_MSG_ENROL };

    CU_ASSERT_EQUAL_FATAL(
        fm_enrol_prove(g_token, &channel, (fm_bytes){ g_request, sizeof g_request }, &m.enrol),
        FM_OK);
    return m;
}

static fm_message renew_of(const raw_peer *r)
{
    return (fm_message){ .type = FM_MSG_RENEW,
                         .renew = {
                             FM_PROTO_VERSION, r->credential, { g_request, sizeof g_request } } };
}

static fm_message *ask(raw_peer *r, fm_link_server *s, const fm_message *m)
{
    fm_message *got;
    fm_buf b = { .len = 0 };

    CU_ASSERT_EQUAL_FATAL(fm_message_encode(m, &b), FM_OK);
    got = raw_ask(r, s, b.data, b.len, 2000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(got);
    fm_buf_fini(&b);
    return got;
}

static void refused(raw_peer *r, fm_link_server *s, const fm_message *m, const char *says)
{
    fm_message *got = ask(r, s, m);

    CU_ASSERT_EQUAL(got->type, FM_MSG_REFUSAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(got->refusal.reason, says));
    fm_message_free(&got);
}

static void the_holder_of_a_code_is_answered(void)
{
    desk d = { .asked = 0 };
    fm_link_server *s = server_of(&d);
    raw_peer *r = raw_new(world_identity("riga"));
    fm_message m = prove(r, world_door_public());
    uint8_t invitation[FM_INVITATION_KEY_BYTES];
    fm_message *got = ask(r, s, &m);

    CU_ASSERT_EQUAL_FATAL(got->type, FM_MSG_ENROLLED);
    CU_ASSERT_EQUAL(got->enrolled.certificate.len, sizeof g_answer);
    CU_ASSERT_EQUAL(fm_enrol_public(g_token, invitation), FM_OK);
    CU_ASSERT_EQUAL(d.asked, 1);
    CU_ASSERT_EQUAL(memcmp(invitation, d.invitation, sizeof invitation), 0);
    fm_message_free(&got);
    m.enrol.version++;
    refused(r, s, &m, "version");
    raw_free(&r);
    fm_link_server_free(&s);
}

/* Whoever sees a proof cannot use it: on a connection of his own, for a request of his own, under
 * another invitation, or at another door. */
static void a_proof_counts_only_where_it_was_made(void)
{
    desk d = { .asked = 0 };
    fm_link_server *s = server_of(&d);
    raw_peer *r = raw_new(world_identity("riga")), *thief = raw_new(world_identity("oslo"));
    const fm_message good = prove(r, world_door_public());
    const uint8_t other_request[] = { 0x30, 3, 1, 1, 0 };
    uint8_t other_door[32], secret[32];
    fm_message m = good;

    refused(thief, s, &good, "not by the holder");
    m.enrol.request = (fm_bytes){ other_request, sizeof other_request };
    refused(r, s, &m, "not by the holder");
    m = good;
    m.enrol.invitation[0] ^= 1;
    refused(r, s, &m, "not known here");
    m = good;
    m.enrol.proof[40] ^= 1;
    refused(r, s, &m, "not by the holder");
    CU_ASSERT_EQUAL_FATAL(fm_curve_keypair(other_door, secret), FM_OK);
    m = prove(r, other_door);
    refused(r, s, &m, "not by the holder");
    CU_ASSERT_EQUAL(d.asked, 0);
    raw_free(&thief);
    raw_free(&r);
    fm_link_server_free(&s);
}

static void an_aggregator_without_an_issuer_says_so(void)
{
    fm_link_server *s = server_of(NULL);
    raw_peer *r = raw_new(world_identity("riga"));
    fm_message m = prove(r, world_door_public());

    refused(r, s, &m, "issues no certificates");
    raw_free(&r);
    fm_link_server_free(&s);
}

/* Two hundred requests at once: few are looked at, and a node comes in all the same. */
static void a_flood_of_requests_is_not_looked_at(void)
{
    desk d = { .asked = 0 };
    fm_link_server *s = server_of(&d);
    raw_peer *r = raw_new(world_identity("oslo"));
    fm_message m = prove(r, world_door_public()), *got = ask(r, s, &m);
    fm_link_client *l;
    uint64_t peer = 0;

    fm_message_free(&got);
    for (int i = 0; i < 200; i++) {
        raw_send(r->door, &m);
        if (i % 4 == 3)
            world_poll(s, 1, FM_LINK_NONE, NULL);
    }
    world_poll(s, 50, FM_LINK_NONE, NULL);
    CU_ASSERT_TRUE(d.asked >= 2 && d.asked <= 64);
    l = world_join(s, "riga", &peer);
    CU_ASSERT_PTR_NOT_NULL(l);
    fm_link_client_free(&l);
    raw_free(&r);
    fm_link_server_free(&s);
}

/* By one with the door's public key, which is in every node.yaml, and codes of his own making. */
static void a_flood_of_made_up_codes_keeps_nobody_out(void)
{
    const uint8_t made_up[FM_TOKEN_BYTES] = { 6, 6, 6 };
    desk d = { .asked = 0 };
    fm_link_server *s = server_of(&d);
    raw_peer *r = raw_new(world_identity("oslo")), *honest = raw_new(world_identity("riga"));
    const fm_enrol_channel channel = { r->public_key, world_door_public() };
    fm_message m = { .type = FM_MSG_ENROL }, good = prove(honest, world_door_public()), *got;

    CU_ASSERT_EQUAL_FATAL(
        fm_enrol_prove(made_up, &channel, (fm_bytes){ g_request, sizeof g_request }, &m.enrol),
        FM_OK);
    got = ask(r, s, &m);
    fm_message_free(&got);
    for (int i = 0; i < 48; i++) { /* three times what is looked at in a second */
        raw_send(r->door, &m);
        if (i % 4 == 3)
            world_poll(s, 1, FM_LINK_NONE, NULL);
    }
    got = ask(honest, s, &good);
    CU_ASSERT_EQUAL(got->type, FM_MSG_ENROLLED);
    CU_ASSERT_EQUAL(d.asked, 1);
    fm_message_free(&got);
    raw_free(&honest);
    raw_free(&r);
    fm_link_server_free(&s);
}

/* Nor does one who was invited keep the members from renewing. */
static void a_flood_of_enrols_keeps_no_member_from_renewing(void)
{
    desk d = { .asked = 0 };
    fm_link_server *s = server_of(&d);
    raw_peer *r = raw_new(world_identity("oslo")), *member = raw_new(world_identity("riga"));
    fm_message m = prove(r, world_door_public()), renew = renew_of(member), *got = ask(r, s, &m);

    fm_message_free(&got);
    for (int i = 0; i < 48; i++) {
        raw_send(r->door, &m);
        if (i % 4 == 3)
            world_poll(s, 1, FM_LINK_NONE, NULL);
    }
    CU_ASSERT(d.asked < 48);
    got = ask(member, s, &renew);
    CU_ASSERT_EQUAL(got->type, FM_MSG_ENROLLED);
    CU_ASSERT_STRING_EQUAL(d.renews, "riga");
    fm_message_free(&got);
    raw_free(&member);
    raw_free(&r);
    fm_link_server_free(&s);
}

static void in_a_session_it_ends_the_session(void)
{
    desk d = { .asked = 0 };
    fm_link_server *s = server_of(&d);
    raw_peer *r = raw_new(world_identity("riga"));
    world_events e = { .count = 0 };
    fm_message m;

    (void)raw_join(r, s);
    m = prove(r, world_door_public());
    raw_send(r->session, &m);
    world_poll(s, 2000, FM_LINK_GONE, &e);
    CU_ASSERT_PTR_NOT_NULL(world_event(&e, FM_LINK_GONE));
    CU_ASSERT_EQUAL(d.asked, 0);
    world_events_free(&e);
    raw_free(&r);
    fm_link_server_free(&s);
}

/* By whom the credential names, on the connection that it is for, as long as it stands. */
static void only_a_member_renews_and_only_for_itself(void)
{
    desk d = { .asked = 0 };
    fm_link_server *s = server_of(&d), *bare;
    raw_peer *r = raw_new(world_identity("riga")), *oslo = raw_new(world_identity("oslo"));
    raw_peer *stranger = raw_new(world_identity("stranger")), *late = raw_new(world_expired());
    fm_message m = renew_of(r), *got;

    refused(oslo, s, &m, "another CURVE key"); /* riga's credential, seen by oslo */
    m = renew_of(stranger);
    refused(stranger, s, &m, "not issued by the pinned CA");
    m = renew_of(late);
    refused(late, s, &m, "expired");
    CU_ASSERT_STRING_EQUAL(d.renews, "");
    m = renew_of(r);
    got = ask(r, s, &m);
    CU_ASSERT_EQUAL(got->type, FM_MSG_ENROLLED);
    CU_ASSERT_STRING_EQUAL(d.renews, "riga");
    fm_message_free(&got);
    raw_free(&stranger);
    raw_free(&late);
    raw_free(&oslo);
    raw_free(&r);
    fm_link_server_free(&s);
    bare = server_of(NULL);
    r = raw_new(world_identity("riga"));
    m = renew_of(r);
    refused(r, bare, &m, "issues no certificates");
    raw_free(&r);
    fm_link_server_free(&bare);
}

/* ---- fm_link_enrol ---- */

typedef struct {
    fm_invitation invitation;
    uint32_t connect_ms;
    fm_message *got;
    fm_status st;
    char text[1024];
    atomic_bool done;
} newcomer;

static void *come(void *p)
{
    newcomer *n = p;
    const fm_link_enrol_config c = { .invitation = &n->invitation,
                                     .request = { g_request, sizeof g_request },
                                     .limits = { .connect_ms = n->connect_ms } };

    n->st = fm_link_enrol(&c, &n->got);
    (void)snprintf(n->text, sizeof n->text, "%s", n->st == FM_OK ? "" : fm_error_text());
    atomic_store(&n->done, true);
    return NULL;
}

static void enrol(newcomer *n, fm_link_server *s)
{
    pthread_t t;

    memcpy(n->invitation.token, g_token, sizeof g_token);
    (void)snprintf(n->invitation.door, sizeof n->invitation.door, "%s", fm_link_server_door(s));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, come, n), 0);
    while (!atomic_load(&n->done))
        world_poll(s, 2, FM_LINK_NONE, NULL);
    (void)pthread_join(t, NULL);
}

static void a_newcomer_gets_what_the_desk_says(void)
{
    desk d = { .asked = 0 };
    fm_link_server *s = server_of(&d);
    newcomer n = { .connect_ms = 5000 };

    memcpy(n.invitation.door_public, world_door_public(), FM_DOOR_KEY_BYTES);
    enrol(&n, s);
    CU_ASSERT_EQUAL_FATAL(n.st, FM_OK);
    CU_ASSERT_EQUAL(n.got->enrolled.certificate.len, sizeof g_answer);
    fm_message_free(&n.got);
    d.waits = true;
    atomic_store(&n.done, false);
    enrol(&n, s);
    CU_ASSERT_EQUAL_FATAL(n.st, FM_OK);
    CU_ASSERT_EQUAL(n.got->enrolled.certificate.len, 0);
    fm_message_free(&n.got);
    d.refuses = true;
    atomic_store(&n.done, false);
    enrol(&n, s);
    CU_ASSERT_EQUAL(n.st, FM_EPERM);
    CU_ASSERT_STRING_EQUAL(n.text, "the aggregator refuses: this join code was withdrawn");
    CU_ASSERT_PTR_NULL(n.got);
    fm_link_server_free(&s);
}

/* Who answers at the address without the door's key learns nothing and is told nothing. */
static void a_middle_man_without_the_door_key_hears_nothing(void)
{
    desk d = { .asked = 0 };
    fm_link_server *s = server_of(&d);
    newcomer n = { .connect_ms = 600 };
    uint8_t secret[32];

    CU_ASSERT_EQUAL_FATAL(fm_curve_keypair(n.invitation.door_public, secret), FM_OK);
    enrol(&n, s);
    CU_ASSERT_EQUAL(n.st, FM_ETIMEOUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(n.text, "does not answer to the door key"));
    CU_ASSERT_EQUAL(d.asked, 0);
    CU_ASSERT_EQUAL(fm_link_server_counters(s).messages_received, 0);
    fm_link_server_free(&s);
}

static const fm_test tests[] = {
    { "the holder of a code is answered", the_holder_of_a_code_is_answered },
    { "a proof counts only where it was made", a_proof_counts_only_where_it_was_made },
    { "an aggregator without an issuer says so", an_aggregator_without_an_issuer_says_so },
    { "a flood of requests is not looked at", a_flood_of_requests_is_not_looked_at },
    { "a flood of made-up codes keeps nobody out", a_flood_of_made_up_codes_keeps_nobody_out },
    { "a flood of Enrols keeps no member from renewing",
      a_flood_of_enrols_keeps_no_member_from_renewing },
    { "in a session it ends the session", in_a_session_it_ends_the_session },
    { "only a member renews, and only for itself", only_a_member_renews_and_only_for_itself },
    { "a newcomer gets what the desk says", a_newcomer_gets_what_the_desk_says },
    { "a middle-man without the door key hears nothing",
      a_middle_man_without_the_door_key_hears_nothing },
};
const fm_test_suite suite_link_enrol = { "proto.link_enrol", tests, FM_TEST_COUNT(tests) };
