/* The next certificate of a key: made once, near the end, for the same member only. */
#include <string.h>

#include "fedmoe/certs/enrol.h"
#include "world.h"

#define LIFE_S (90 * DAY_S)

/* A member "beta" whose certificate has so much of its life left, in dir/beta. */
typedef struct {
    world w;
    char dir[PATH_CAP];
    fm_identity *id;
    fm_trust *trust;
    fm_buf request, next;
} old;

static void old_make(old *o, int64_t left_s)
{
    fm_ca_request r = { .role = FM_ROLE_NODE, .name = "beta", .type = FM_KEY_P256 };

    memset(o, 0, sizeof *o);
    world_make(&o->w, FM_KEY_ED25519);
    make_path(o->dir, o->w.root, "beta");
    r.not_after_s = o->w.now_s + left_s;
    r.not_before_s = r.not_after_s - LIFE_S;
    need(fm_ca_issue(o->w.ca, &r, o->dir) == FM_OK && fm_identity_load(o->dir, &o->id) == FM_OK &&
             fm_trust_load(o->dir, &o->trust) == FM_OK &&
             fm_identity_request(o->id, &o->request) == FM_OK,
         "an old member");
}

static void old_end(old *o)
{
    fm_identity_free(&o->id);
    fm_trust_free(&o->trust);
    fm_buf_fini(&o->request);
    fm_buf_fini(&o->next);
    world_end(&o->w);
}

static fm_status renew(old *o)
{
    fm_buf_fini(&o->next);
    return fm_ca_renew_request(o->w.ca, o->request.data, o->request.len, &o->next);
}

static fm_status install(const old *o)
{
    return fm_identity_renew(o->dir, o->id, o->trust, o->next.data, o->next.len, o->w.now_s);
}

static void a_certificate_is_due_in_its_last_third(void)
{
    fm_cert_info i = { .not_before_s = 1000, .not_after_s = 4000 };

    CU_ASSERT_FALSE(fm_cert_is_due(&i, 1000));
    CU_ASSERT_FALSE(fm_cert_is_due(&i, 3000));
    CU_ASSERT_TRUE(fm_cert_is_due(&i, 3001));
    CU_ASSERT_TRUE(fm_cert_is_due(&i, 5000));
}

static void the_next_certificate_has_the_same_key_name_and_length(void)
{
    fm_identity *fresh = NULL;
    fm_buf again = { 0 };
    old o;

    old_make(&o, 20 * DAY_S);
    CU_ASSERT_EQUAL_FATAL(renew(&o), FM_OK);
    CU_ASSERT_EQUAL(fm_ca_renew_request(o.w.ca, o.request.data, o.request.len, &again), FM_OK);
    CU_ASSERT_TRUE(again.len == o.next.len && memcmp(again.data, o.next.data, again.len) == 0);
    CU_ASSERT_EQUAL(install(&o), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_identity_load(o.dir, &fresh), FM_OK); /* the key fits it */
    CU_ASSERT_STRING_EQUAL(fm_identity_info(fresh)->name, "beta");
    CU_ASSERT_TRUE(fm_identity_info(fresh)->not_after_s >= o.w.now_s + LIFE_S - 60);
    CU_ASSERT_EQUAL(verify(o.trust, fresh, FM_ROLE_NODE, o.w.now_s), FM_OK);
    CU_ASSERT_EQUAL(verify(o.trust, o.id, FM_ROLE_NODE, o.w.now_s), FM_OK); /* the old one, too */
    /* Revoking the name covers both. */
    CU_ASSERT_EQUAL(fm_ca_revoke(o.w.ca, "beta"), FM_OK);
    fm_trust_free(&o.trust);
    need(fm_trust_load(o.w.ca, &o.trust) == FM_OK, "trust");
    CU_ASSERT_EQUAL(verify(o.trust, fresh, FM_ROLE_NODE, o.w.now_s), FM_EAUTH);
    CU_ASSERT_EQUAL(verify(o.trust, o.id, FM_ROLE_NODE, o.w.now_s), FM_EAUTH);
    CU_ASSERT_EQUAL(renew(&o), FM_EAUTH);
    CU_ASSERT_TRUE(says("no certificate that could be renewed"));
    fm_buf_fini(&again);
    fm_identity_free(&fresh);
    old_end(&o);
}

static void one_that_is_not_due_is_given_as_it_is(void)
{
    const uint8_t *der;
    size_t len;
    old o;

    old_make(&o, 40 * DAY_S);
    CU_ASSERT_EQUAL_FATAL(renew(&o), FM_OK);
    fm_identity_der(o.id, &der, &len);
    CU_ASSERT_TRUE(o.next.len == len && memcmp(o.next.data, der, len) == 0);
    CU_ASSERT_EQUAL(install(&o), FM_EAUTH);
    CU_ASSERT_TRUE(says("not the next one"));
    old_end(&o);
}

static void another_key_or_an_ended_one_is_not_renewed(void)
{
    char dir[PATH_CAP];
    old o;

    old_make(&o, -DAY_S);
    CU_ASSERT_EQUAL(renew(&o), FM_EAUTH);
    old_end(&o);
    old_make(&o, DAY_S);
    make_path(dir, o.w.root, "thief");
    fm_buf_fini(&o.request);
    need(fm_request_make(dir, FM_KEY_ED25519, "heart", "beta", &o.request) == FM_OK, "request");
    CU_ASSERT_EQUAL(renew(&o), FM_EAUTH);
    old_end(&o);
}

/* What an aggregator might send instead. */
/* The CA is at its end, too: what it could sign would last no longer, and each would be recorded. */
static void one_that_lasts_as_long_as_its_ca_is_not_signed_again(void)
{
    char ca[PATH_CAP], dir[PATH_CAP], issued[PATH_CAP];
    fm_ca_request r = { .role = FM_ROLE_NODE, .name = "beta", .type = FM_KEY_ED25519, .days = 300 };
    fm_identity *id = NULL;
    fm_buf request, next;
    old o;

    old_make(&o, LIFE_S / 4);
    make_path(ca, o.w.root, "short");
    make_path(dir, o.w.root, "last");
    make_path(issued, ca, "issued");
    r.not_before_s = o.w.now_s - 100 * (int64_t)DAY_S; /* due: and ends when the CA does */
    need(fm_ca_new(ca, "heart", FM_KEY_ED25519, 30) == FM_OK && fm_ca_issue(ca, &r, dir) == FM_OK &&
             fm_identity_load(dir, &id) == FM_OK && fm_identity_request(id, &request) == FM_OK,
         "a member of a CA near its end");
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(fm_ca_renew_request(ca, request.data, request.len, &next), FM_ESTATE);
        CU_ASSERT_TRUE(says("the CA itself ends on") && says("a new CA is needed"));
    }
    CU_ASSERT_EQUAL(count_files(issued), 1);
    fm_buf_fini(&request);
    fm_identity_free(&id);
    old_end(&o);
}

static void another_members_certificate_is_not_installed(void)
{
    const uint8_t *der;
    size_t len;
    old o;

    old_make(&o, DAY_S);
    fm_identity_der(o.w.node_id, &der, &len);
    need(fm_buf_append(&o.next, der, len) == FM_OK, "memory");
    CU_ASSERT_EQUAL(install(&o), FM_EAUTH);
    fm_buf_fini(&o.next);
    fm_identity_der(o.w.aggregator_id, &der, &len);
    need(fm_buf_append(&o.next, der, len) == FM_OK, "memory");
    CU_ASSERT_EQUAL(install(&o), FM_EAUTH);
    fm_buf_fini(&o.next);
    CU_ASSERT_EQUAL(install(&o), FM_EAUTH); /* nothing at all */
    old_end(&o);
}

static const fm_test tests[] = {
    { "one that lasts as long as its CA is not signed again",
      one_that_lasts_as_long_as_its_ca_is_not_signed_again },
    { "a certificate is due in its last third", a_certificate_is_due_in_its_last_third },
    { "the next certificate has the same key, name and length",
      the_next_certificate_has_the_same_key_name_and_length },
    { "one that is not due is given as it is", one_that_is_not_due_is_given_as_it_is },
    { "another key, or an ended one, is not renewed", another_key_or_an_ended_one_is_not_renewed },
    { "another member's certificate is not installed",
      another_members_certificate_is_not_installed },
};

extern const fm_test_suite suite_renew;
const fm_test_suite suite_renew = { "certs.renew", tests, FM_TEST_COUNT(tests) };
