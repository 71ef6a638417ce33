/* Certificates that the openssl command line issues from a request, and their installation. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/certs/enrol.h"
#include "pki.h"

static bool is_there(const char *dir, const char *name)
{
    char path[PATH_CAP];

    make_path(path, dir, name);
    return access(path, F_OK) == 0;
}

/** Loads as a whole identity, and verifies for itself. */
static fm_status stands(const char *dir, fm_role role)
{
    fm_identity *id = NULL;
    fm_trust *t = NULL;
    fm_peer *p = NULL;
    fm_status st;

    if ((st = fm_identity_load(dir, &id)) == FM_OK && (st = fm_trust_load(dir, &t)) == FM_OK)
        st = fm_peer_verify_self(t, id, role, fm_clock_wall_s(), &p);
    fm_peer_free(&p);
    fm_trust_free(&t);
    fm_identity_free(&id);
    return st;
}

static void a_root_that_knows_nothing_of_fedmoe_issues(void)
{
    static const char *const kinds[] = { "P-256", "P-384", "rsa3072" };
    char dir[PATH_CAP], folder[PATH_CAP];
    fm_trust *t = NULL;

    for (size_t i = 0; i < 3; i++) {
        const fm_role role = i == 1 ? FM_ROLE_AGGREGATOR : FM_ROLE_NODE;

        fm_test_tmpdir(dir, sizeof dir);
        make_path(folder, dir, "alpha");
        pki(dir, "root top %s", kinds[i]);
        pki_request(dir, role, "alpha", KEY_TYPES[i % 2]);
        pki(dir, "sign top alpha/identity.csr alpha.pem");
        CU_ASSERT_EQUAL_FATAL(
            pki_install(dir, "alpha", "alpha.pem", "", "top/ca.pem", "top/crl.pem"), FM_OK);
        CU_ASSERT_EQUAL(stands(folder, role), FM_OK);
        CU_ASSERT_EQUAL(fm_trust_load(folder, &t), FM_OK);
        CU_ASSERT_STRING_EQUAL(fm_trust_federation(t), "heart");
        fm_trust_free(&t);
        /* Who pins such a CA must say for which federation. */
        make_path(folder, dir, "alpha/federation");
        need(unlink(folder) == 0, "unlink");
        make_path(folder, dir, "alpha");
        CU_ASSERT_EQUAL(fm_trust_load(folder, &t), FM_EPARSE);
        CU_ASSERT_TRUE(says("names no federation"));
    }
}

/** `openssl x509 -req`, as docs/pki.md shows it. */
static void a_ca_without_books_issues(void)
{
    char dir[PATH_CAP], folder[PATH_CAP];

    fm_test_tmpdir(dir, sizeof dir);
    make_path(folder, dir, "alpha");
    pki(dir, "root top P-256");
    pki_request(dir, FM_ROLE_NODE, "alpha", FM_KEY_ED25519);
    pki(dir, "plain top alpha/identity.csr alpha.pem");
    CU_ASSERT_EQUAL(pki_install(dir, "alpha", "alpha.pem", "", "top/ca.pem", "top/crl.pem"), FM_OK);
    CU_ASSERT_EQUAL(stands(folder, FM_ROLE_NODE), FM_OK);
}

static void the_next_certificate_takes_the_place_of_the_last(void)
{
    char dir[PATH_CAP], folder[PATH_CAP];

    fm_test_tmpdir(dir, sizeof dir);
    make_path(folder, dir, "alpha");
    pki(dir, "root top P-256");
    pki_request(dir, FM_ROLE_NODE, "alpha", FM_KEY_P256);
    pki(dir, "sign top alpha/identity.csr first.pem");
    pki(dir, "sign top alpha/identity.csr second.pem -days 60");
    need(pki_install(dir, "alpha", "first.pem", "", "top/ca.pem", "top/crl.pem") == FM_OK, "first");
    CU_ASSERT_EQUAL(pki_install(dir, "alpha", "second.pem", "", "", ""), FM_OK);
    CU_ASSERT_EQUAL(stands(folder, FM_ROLE_NODE), FM_OK);
    /* Revoked meanwhile: the list that comes with it counts. */
    pki(dir, "revoke top first.pem");
    CU_ASSERT_EQUAL(pki_install(dir, "alpha", "first.pem", "", "", "top/crl.pem"), FM_EAUTH);
    CU_ASSERT_TRUE(says("revoked"));
    CU_ASSERT_EQUAL(stands(folder, FM_ROLE_NODE), FM_OK);
}

typedef struct {
    const char *certificate, *chain, *ca, *crls;
    fm_status st;
    const char *words;
} wrong;

/** Everything that a person can mix up; nothing is written. */
static void what_does_not_fit_is_refused_and_said(void)
{
    static const wrong cases[] = {
        { "beta.pem", "", "top/ca.pem", "", FM_EAUTH, "not for the key in" },
        { "top/ca.pem", "", "top/ca.pem", "", FM_EAUTH, "not the member's" },
        { "alpha.pem", "", "", "", FM_EINVAL, "name the CA's file" },
        { "alpha.pem", "", "alpha.pem", "", FM_EAUTH, "not a CA's" },
        { "alpha.pem", "", "other/ca.pem", "", FM_EAUTH, "not issued by the pinned CA" },
        { "alpha.pem", "", "top/ca.pem", "other/crl.pem", FM_EAUTH, "not signed by" },
        { "alpha.pem", "", "top/ca.pem", "alpha/identity.csr", FM_EPARSE, "is expected" },
        { "missing.pem", "", "top/ca.pem", "", FM_ENOTFOUND, "missing.pem" },
        { "bare.pem", "", "top/ca.pem", "", FM_EPARSE, "not made for fedmoe" },
        { "usage.pem", "", "top/ca.pem", "", FM_EPARSE, "key usage does not fit" },
        { "ended.pem", "", "top/ca.pem", "", FM_EAUTH, "expired on" },
        { "renamed.pem", "", "top/ca.pem", "", FM_EAUTH, "but asked for was node 'alpha'" },
        { "hub.pem", "", "top/ca.pem", "", FM_EAUTH, "but asked for was node 'alpha'" },
        { "weak.pem", "", "weak/ca.pem", "", FM_EAUTH, "key too" },
    };
    char dir[PATH_CAP], folder[PATH_CAP];

    fm_test_tmpdir(dir, sizeof dir);
    make_path(folder, dir, "alpha");
    pki(dir, "root top P-256");
    pki(dir, "root other P-256");
    pki(dir, "root weak rsa2048");
    pki_request(dir, FM_ROLE_NODE, "alpha", FM_KEY_P256);
    pki_request(dir, FM_ROLE_NODE, "beta", FM_KEY_P256);
    pki(dir, "sign top alpha/identity.csr alpha.pem");
    pki(dir, "sign top beta/identity.csr beta.pem");
    pki(dir, "sign weak alpha/identity.csr weak.pem");
    pki(dir, "sign top alpha/identity.csr ended.pem -startdate 20200101000000Z "
             "-enddate 20200201000000Z");
    pki(dir, "variant top alpha/identity.key bare.pem digitalSignature");
    pki(dir, "variant top alpha/identity.key usage.pem keyAgreement "
             "URI:urn:fedmoe:node:heart:alpha");
    pki(dir, "variant top alpha/identity.key renamed.pem digitalSignature "
             "URI:urn:fedmoe:node:heart:gamma");
    pki(dir, "variant top alpha/identity.key hub.pem digitalSignature "
             "URI:urn:fedmoe:aggregator:heart:alpha");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const wrong *c = &cases[i];

        CU_ASSERT_EQUAL(pki_install(dir, "alpha", c->certificate, c->chain, c->ca, c->crls), c->st);
        CU_ASSERT_TRUE(says(c->words));
        CU_ASSERT_FALSE(is_there(folder, "identity.crt") || is_there(folder, "ca.crt") ||
                        is_there(folder, "crl.pem") || is_there(folder, "federation"));
    }
    need(pki_install(dir, "alpha", "alpha.pem", "", "top/ca.pem", "") == FM_OK, "good");
    CU_ASSERT_EQUAL(pki_install(dir, "alpha", "alpha.pem", "", "other/ca.pem", ""), FM_EEXIST);
    CU_ASSERT_TRUE(says("another CA"));
    CU_ASSERT_EQUAL(pki_install(dir, "alpha", "weak.pem", "", "", ""), FM_EAUTH);
    CU_ASSERT_EQUAL(stands(folder, FM_ROLE_NODE), FM_OK);
}

static const fm_test tests[] = {
    { "a root that knows nothing of fedmoe issues", a_root_that_knows_nothing_of_fedmoe_issues },
    { "a CA without books issues", a_ca_without_books_issues },
    { "the next certificate takes the place of the last",
      the_next_certificate_takes_the_place_of_the_last },
    { "what does not fit is refused and said", what_does_not_fit_is_refused_and_said },
};

extern const fm_test_suite suite_outside;
const fm_test_suite suite_outside = { "certs.outside", tests, FM_TEST_COUNT(tests) };
