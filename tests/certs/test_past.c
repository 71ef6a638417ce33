/* As of then: what has ended or was revoked since still counts, what was wrong already does not. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fedmoe/certs/past.h"
#include "world.h"

static fm_credential *credential_of(const fm_identity *id, int64_t not_after_s)
{
    const fm_cert_info *info = fm_identity_info(id);
    fm_statement s = { .role = info->role, .not_after_s = not_after_s };
    fm_credential *c = malloc(sizeof *c);

    memcpy(s.name, info->name, sizeof s.name);
    memcpy(s.federation, info->federation, sizeof s.federation);
    memset(s.curve_public, 0xc5, sizeof s.curve_public);
    memset(s.x25519_public, 0x1d, sizeof s.x25519_public);
    need(c && fm_credential_make(id, &s, c) == FM_OK, "credential");
    return c;
}

/* FM_OK must come with a peer. */
static fm_status check(const fm_trust *t, const fm_credential *c, fm_past_credential *out)
{
    fm_past_credential past = { .peer = NULL };
    fm_status st = fm_credential_verify_past(t, c, FM_ROLE_NODE, &past);

    CU_ASSERT_EQUAL(st == FM_OK, past.peer != NULL);
    fm_peer_free(&past.peer);
    *out = past;
    return st;
}

static void an_expired_certificate_counts_for_its_own_time(void)
{
    const int64_t year_s = 365 * (int64_t)DAY_S;
    char old[PATH_CAP];
    fm_identity *id = NULL;
    fm_past_credential past;
    fm_credential *c;
    fm_statement unused;
    world w;

    world_make(&w, KEY_TYPES[0]);
    make_path(old, w.root, "old");
    {
        const fm_ca_request r = { .role = FM_ROLE_NODE,
                                  .name = "old",
                                  .type = FM_KEY_ED25519,
                                  .not_before_s = w.now_s - 60,
                                  .not_after_s = w.now_s + 10 * DAY_S };

        need(fm_ca_issue(w.ca, &r, old) == FM_OK && fm_identity_load(old, &id) == FM_OK, "old");
    }
    c = credential_of(id, w.now_s + FM_STATEMENT_VALID_S);
    /* A year on, for a peer that is here: refused. For the record of then: good. */
    CU_ASSERT_EQUAL(fm_credential_verify(w.trust, c, FM_ROLE_NODE, w.now_s + year_s, &unused, NULL),
                    FM_EAUTH);
    CU_ASSERT_EQUAL(check(w.trust, c, &past), FM_OK);
    CU_ASSERT_EQUAL(past.made_s, w.now_s);
    CU_ASSERT_EQUAL(past.revoked_s, 0);
    free(c);
    /* A statement made when the certificate had ended. */
    c = credential_of(id, w.now_s + 10 * DAY_S + FM_STATEMENT_VALID_S + 60);
    CU_ASSERT_EQUAL(check(w.trust, c, &past), FM_EAUTH);
    CU_ASSERT(says("expired"));
    free(c);
    /* One that seems to be older than the certificate is as old as that. */
    c = credential_of(id, w.now_s + 3600);
    CU_ASSERT_EQUAL(check(w.trust, c, &past), FM_OK);
    CU_ASSERT_EQUAL(past.made_s, fm_identity_info(id)->not_before_s);
    free(c);
    fm_identity_free(&id);
    world_end(&w);
}

static void a_revocation_counts_from_its_own_date_on(void)
{
    const struct timespec pause = { 1, 100 * 1000000L };
    fm_trust *revoked = NULL;
    fm_past_credential past;
    fm_credential *before, *after;
    const uint8_t *der;
    int64_t when = 0;
    fm_peer *p = NULL;
    size_t len;
    world w;

    world_make(&w, KEY_TYPES[1]);
    before = credential_of(w.node_id, w.now_s + FM_STATEMENT_VALID_S);
    after = credential_of(w.node_id, w.now_s + FM_STATEMENT_VALID_S + 3600);
    (void)nanosleep(&pause, NULL);
    need(fm_ca_revoke(w.ca, "alpha") == FM_OK && fm_trust_load(w.ca, &revoked) == FM_OK, "revoke");
    CU_ASSERT_EQUAL(check(revoked, before, &past), FM_OK);
    CU_ASSERT(past.revoked_s > past.made_s && past.revoked_s <= w.now_s + 60);
    CU_ASSERT_EQUAL(check(revoked, after, &past), FM_EAUTH);
    CU_ASSERT(says("revoked by the CA on "));
    CU_ASSERT_EQUAL(check(w.trust, after, &past), FM_OK); /* a list that does not know yet */
    fm_identity_der(w.node_id, &der, &len);
    CU_ASSERT_EQUAL(
        fm_peer_verify_past(revoked, der, len, NULL, FM_ROLE_NODE, w.now_s - 1, &p, &when), FM_OK);
    CU_ASSERT(when > w.now_s - 1);
    fm_peer_free(&p);
    CU_ASSERT_EQUAL(fm_peer_verify_past(revoked, der, len, NULL, FM_ROLE_NODE, when, &p, &when),
                    FM_EAUTH);
    CU_ASSERT_EQUAL(
        fm_peer_verify_past(revoked, der, len, NULL, FM_ROLE_AGGREGATOR, w.now_s - 1, &p, NULL),
        FM_EAUTH);
    free(before);
    free(after);
    fm_trust_free(&revoked);
    world_end(&w);
}

/** Dated back before the CA: for who is here now it is good, and so it must be later. */
static void a_certificate_older_than_its_ca_counts_from_the_ca_on(void)
{
    const int64_t day_s = DAY_S;
    char old[PATH_CAP];
    fm_identity *id = NULL;
    fm_past_credential past;
    fm_statement unused;
    fm_credential *c;
    world w;

    world_make(&w, KEY_TYPES[0]);
    make_path(old, w.root, "old");
    {
        const fm_ca_request r = { .role = FM_ROLE_NODE,
                                  .name = "old",
                                  .type = FM_KEY_ED25519,
                                  .not_before_s = w.now_s - 30 * day_s,
                                  .not_after_s = w.now_s + 10 * day_s };

        need(fm_ca_issue(w.ca, &r, old) == FM_OK && fm_identity_load(old, &id) == FM_OK, "old");
    }
    c = credential_of(id, w.now_s + FM_STATEMENT_VALID_S);
    CU_ASSERT_EQUAL(fm_credential_verify(w.trust, c, FM_ROLE_NODE, w.now_s, &unused, NULL), FM_OK);
    CU_ASSERT_EQUAL(check(w.trust, c, &past), FM_OK);
    CU_ASSERT_EQUAL(past.made_s, w.now_s);
    free(c);
    /* A statement from before the CA: as old as that. */
    c = credential_of(id, w.now_s + 3600);
    CU_ASSERT_EQUAL(check(w.trust, c, &past), FM_OK);
    CU_ASSERT(past.made_s <= w.now_s && past.made_s >= w.now_s - 3600);
    free(c);
    fm_identity_free(&id);
    world_end(&w);
}

static void nothing_of_an_old_credential_may_be_changed(void)
{
    fm_past_credential past;
    fm_credential *c;
    world w, other;

    world_make(&w, KEY_TYPES[0]);
    world_make(&other, KEY_TYPES[0]);
    c = credential_of(w.node_id, w.now_s + FM_STATEMENT_VALID_S);
    CU_ASSERT_EQUAL(check(other.trust, c, &past), FM_EAUTH);
    CU_ASSERT(says("not issued by the pinned CA"));
    for (size_t i = 0; i < c->statement_len; i++) {
        c->statement[i] ^= 1;
        CU_ASSERT_EQUAL(check(w.trust, c, &past), FM_EAUTH);
        c->statement[i] ^= 1;
    }
    for (size_t i = 0; i < c->signature_len; i++) {
        c->signature[i] ^= 1;
        CU_ASSERT_EQUAL(check(w.trust, c, &past), FM_EAUTH);
        c->signature[i] ^= 1;
    }
    c->cert_len = FM_CERT_MAX_BYTES + 1;
    CU_ASSERT_EQUAL(check(w.trust, c, &past), FM_EAUTH);
    free(c);
    world_end(&w);
    world_end(&other);
}

static const fm_test tests[] = {
    { "an expired certificate counts for its own time",
      an_expired_certificate_counts_for_its_own_time },
    { "a revocation counts from its own date on", a_revocation_counts_from_its_own_date_on },
    { "a certificate older than its CA counts from the CA on",
      a_certificate_older_than_its_ca_counts_from_the_ca_on },
    { "nothing of an old credential may be changed", nothing_of_an_old_credential_may_be_changed },
};
const fm_test_suite suite_past = { "certs.past", tests, FM_TEST_COUNT(tests) };
