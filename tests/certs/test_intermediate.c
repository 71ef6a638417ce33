/* Intermediate CAs: what they may do, and what nobody can do with them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/certs/past.h"
#include "forge.h"
#include "pki.h"

typedef struct {
    char dir[PATH_CAP], peer[PATH_CAP];
    fm_trust *trust;
    int64_t now_s;
} consortium;

/** The root "top", members' requests "alpha" and "beta"; who listens is the folder "peer". */
static void begin(consortium *c)
{
    memset(c, 0, sizeof *c);
    fm_test_tmpdir(c->dir, sizeof c->dir);
    make_path(c->peer, c->dir, "peer");
    pki(c->dir, "root top P-256");
    pki_request(c->dir, FM_ROLE_NODE, "alpha", FM_KEY_P256);
    pki_request(c->dir, FM_ROLE_NODE, "beta", FM_KEY_P256);
    need(fm_dir_make(c->peer, 0700) == FM_OK, "peer");
}

static void end(consortium *c)
{
    fm_trust_free(&c->trust);
}

/** The listener anew, with these lists and the CAs that signed them. */
static void listen(consortium *c, const char *const *parts)
{
    static const char *const root[] = { "top/ca.pem", NULL };

    fm_trust_free(&c->trust);
    pki_join(c->dir, "peer/ca.crt", root);
    pki_join(c->dir, "peer/crl.pem", parts);
    need(replace_file(c->peer, "federation", "heart\n", 6, 0644) == FM_OK, "federation");
    need(fm_trust_load(c->peer, &c->trust) == FM_OK, "trust");
    c->now_s = fm_clock_wall_s(); /* after all that was signed so far */
}

static void listen_to_root(consortium *c)
{
    static const char *const none[] = { "top/crl.pem", NULL };

    listen(c, none);
}

/** A peer shows the certificate with these CAs, and nothing that the listener knows. */
static fm_status show(const consortium *c, const char *leaf, const char *first, const char *second,
                      int64_t now_s)
{
    static uint8_t der[3][FM_CERT_MAX_BYTES];
    const char *const files[] = { leaf, first, second };
    size_t len[3] = { 0 };
    fm_ca_path path = { .count = second ? 2 : first ? 1 : 0 };
    fm_peer *p = NULL;
    fm_status st;

    for (size_t i = 0; i < 1 + path.count; i++)
        der_of(c->dir, files[i], der[i], &len[i]);
    for (size_t i = 0; i < path.count; i++) {
        path.der[i] = der[1 + i];
        path.len[i] = len[1 + i];
    }
    st = fm_peer_verify_path(c->trust, der[0], len[0], &path, FM_ROLE_NODE, now_s, &p);
    need((st == FM_OK) == (p != NULL), "a peer is written on FM_OK only");
    if (p)
        CU_ASSERT_EQUAL(fm_peer_recheck(c->trust, p, now_s), FM_OK);
    fm_peer_free(&p);
    return st;
}

static void one_and_two_intermediates_lead_to_the_root(void)
{
    static const char *const one[] = { "top/crl.pem", "mid/ca.pem", "mid/crl.pem", NULL };
    /* The file's order does not matter. */
    static const char *const two[] = { "low/crl.pem", "low/ca.pem", "up/crl.pem",
                                       "top/crl.pem", "up/ca.pem",  NULL };
    consortium c;

    begin(&c);
    pki(c.dir, "sub mid top P-384 " CA_BASIC " " CA_USAGE);
    pki(c.dir, "sign mid alpha/identity.csr alpha.pem");
    listen(&c, one);
    CU_ASSERT_EQUAL(fm_trust_list_count(c.trust), 2);
    CU_ASSERT_EQUAL(show(&c, "alpha.pem", "mid/ca.pem", NULL, c.now_s), FM_OK);
    CU_ASSERT_EQUAL(show(&c, "alpha.pem", NULL, NULL, c.now_s), FM_OK); /* crl.pem names it */

    pki(c.dir, "sub up top rsa3072 critical,CA:TRUE,pathlen:1 " CA_USAGE);
    pki(c.dir, "sub low up P-256 " CA_BASIC " " CA_USAGE);
    pki(c.dir, "sign low beta/identity.csr beta.pem");
    listen(&c, two);
    CU_ASSERT_EQUAL(fm_trust_list_count(c.trust), 3);
    CU_ASSERT_EQUAL(show(&c, "beta.pem", "low/ca.pem", "up/ca.pem", c.now_s), FM_OK);
    end(&c);
}

static void a_list_of_every_ca_is_needed(void)
{
    static const char *const upper[] = { "top/crl.pem", "mid/ca.pem", NULL };
    static const char *const lower[] = { "mid/ca.pem", "mid/crl.pem", NULL };
    consortium c;

    begin(&c);
    pki(c.dir, "sub mid top P-256 " CA_BASIC " " CA_USAGE);
    pki(c.dir, "sign mid alpha/identity.csr alpha.pem");
    listen(&c, upper);
    CU_ASSERT_EQUAL(show(&c, "alpha.pem", "mid/ca.pem", NULL, c.now_s), FM_EAUTH);
    CU_ASSERT_TRUE(says("holds no revocation list of the CA 'mid'"));
    listen(&c, lower);
    CU_ASSERT_EQUAL(show(&c, "alpha.pem", "mid/ca.pem", NULL, c.now_s), FM_EAUTH);
    CU_ASSERT_TRUE(says("holds no revocation list of the CA 'top'"));
    end(&c);
}

typedef struct {
    const char *more; /* further extensions */
    const char *sub;  /* how the CA "bad" comes about */
    const char *words;
} bad_ca;

/** Each is the good one but for one thing, and signs for alpha. The control is the first. */
static void a_ca_that_may_not_sign_signs_in_vain(void)
{
    static const bad_ca cases[] = {
        { "", "bad top P-256 " CA_BASIC " " CA_USAGE, NULL },
        { "nameConstraints=critical,permitted;dirName:hospitals\n[hospitals]\nO=Hospital trust",
          "bad top P-256 " CA_BASIC " " CA_USAGE, "permitted subtree violation" },
        { "nameConstraints=critical,excluded;URI:example.org",
          "bad top P-256 " CA_BASIC " " CA_USAGE, "invalid name syntax" },
        { "", "bad top P-256 critical,CA:FALSE " CA_USAGE, "is no CA" },
        { "", "bad top P-256 critical,CA:FALSE critical,digitalSignature", "is no CA" },
        { "", "bad top P-256 " CA_BASIC " critical,cRLSign", "is no CA" },
        { "", "bad top P-256 CA:TRUE " CA_USAGE, "Basic Constraints" },
        { "", "bad top rsa2048 " CA_BASIC " " CA_USAGE, "key too" },
        { "1.2.3.4=critical,ASN1:NULL", "bad top P-256 " CA_BASIC " " CA_USAGE,
          "unhandled critical extension" },
        { "",
          "bad top P-256 " CA_BASIC " " CA_USAGE " -startdate 20200101000000Z -enddate "
          "20200201000000Z",
          "the intermediate CA 'bad' has expired" },
        { "",
          "bad top P-256 " CA_BASIC " " CA_USAGE " -startdate 20990101000000Z -enddate "
          "20990201000000Z",
          "not valid before 2099" },
        { "", "bad other P-256 " CA_BASIC " " CA_USAGE, "not issued by the pinned CA" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        consortium c;
        char path[PATH_CAP];

        begin(&c);
        pki(c.dir, "root other P-256");
        pki_more(c.dir, cases[i].more, "sub %s", cases[i].sub);
        pki(c.dir, "sign bad alpha/identity.csr alpha.pem");
        /* Without lists: that of such a CA would be missed first. */
        listen_to_root(&c);
        fm_trust_free(&c.trust);
        make_path(path, c.peer, "crl.pem");
        need(unlink(path) == 0, path);
        need(fm_trust_load(c.peer, &c.trust) == FM_OK, "trust");
        CU_ASSERT_EQUAL(show(&c, "alpha.pem", "bad/ca.pem", NULL, c.now_s),
                        cases[i].words ? FM_EAUTH : FM_OK);
        if (cases[i].words)
            CU_ASSERT_TRUE(says(cases[i].words));
        end(&c);
    }
}

static void too_many_above_are_refused(void)
{
    consortium c;

    begin(&c);
    /* The one above allows none below. */
    pki(c.dir, "sub up top P-256 " CA_BASIC " " CA_USAGE);
    pki(c.dir, "sub low up P-256 " CA_BASIC " " CA_USAGE);
    pki(c.dir, "sign low alpha/identity.csr alpha.pem");
    listen_to_root(&c);
    CU_ASSERT_EQUAL(show(&c, "alpha.pem", "low/ca.pem", "up/ca.pem", c.now_s), FM_EAUTH);
    CU_ASSERT_TRUE(says("more intermediate CAs stand above it"));
    /* Three, each allowed by those above; the third is known from the list's file. */
    pki(c.dir, "sub one top P-256 critical,CA:TRUE " CA_USAGE);
    pki(c.dir, "sub two one P-256 critical,CA:TRUE " CA_USAGE);
    pki(c.dir, "sub three two P-256 critical,CA:TRUE " CA_USAGE);
    pki(c.dir, "sign three beta/identity.csr beta.pem");
    {
        static const char *const known[] = { "top/crl.pem", "one/ca.pem", "one/crl.pem", NULL };

        listen(&c, known);
        CU_ASSERT_EQUAL(show(&c, "beta.pem", "three/ca.pem", "two/ca.pem", c.now_s), FM_EAUTH);
        CU_ASSERT_TRUE(says("more intermediate CAs stand above it"));
    }
    end(&c);
}

/** Whoever is certified signs for somebody else with that key. */
static void a_member_is_no_ca(void)
{
    consortium c;

    begin(&c);
    pki(c.dir, "sign top beta/identity.csr beta.pem");
    pki(c.dir, "adopt evil beta/identity.key beta.pem");
    pki(c.dir, "sign evil alpha/identity.csr alpha.pem");
    listen_to_root(&c);
    CU_ASSERT_EQUAL(show(&c, "beta.pem", NULL, NULL, c.now_s), FM_OK);
    CU_ASSERT_EQUAL(show(&c, "alpha.pem", "beta.pem", NULL, c.now_s), FM_EAUTH);
    CU_ASSERT_TRUE(says("is no CA"));
    end(&c);
}

static void a_revoked_intermediate_takes_its_members_with_it(void)
{
    static const char *const lists[] = { "top/crl.pem", "mid/ca.pem", "mid/crl.pem", NULL };
    consortium c;
    uint8_t der[FM_CERT_MAX_BYTES], mid[FM_CERT_MAX_BYTES];
    size_t len, mid_len;
    fm_ca_path path;
    fm_peer *p = NULL;
    int64_t when = 0;

    begin(&c);
    pki(c.dir, "sub mid top P-256 " CA_BASIC " " CA_USAGE);
    pki(c.dir, "sign mid alpha/identity.csr alpha.pem");
    listen(&c, lists);
    CU_ASSERT_EQUAL(show(&c, "alpha.pem", "mid/ca.pem", NULL, c.now_s), FM_OK);
    pki(c.dir, "revoke top mid/ca.pem");
    listen(&c, lists);
    CU_ASSERT_EQUAL(show(&c, "alpha.pem", "mid/ca.pem", NULL, c.now_s + 60), FM_EAUTH);
    CU_ASSERT_TRUE(says("'mid' is revoked, and all that it issued"));
    /* What was signed before stays, and it is said when that ended. */
    der_of(c.dir, "alpha.pem", der, &len);
    der_of(c.dir, "mid/ca.pem", mid, &mid_len);
    path = (fm_ca_path){ .der = { mid }, .len = { mid_len }, .count = 1 };
    CU_ASSERT_EQUAL(
        fm_peer_verify_past(c.trust, der, len, &path, FM_ROLE_NODE, FM_PAST_ANY, &p, &when), FM_OK);
    fm_peer_free(&p);
    CU_ASSERT_TRUE(when >= c.now_s - 60 && when < c.now_s + 60);
    CU_ASSERT_EQUAL(fm_peer_verify_past(c.trust, der, len, &path, FM_ROLE_NODE, when, &p, NULL),
                    FM_EAUTH);
    end(&c);
}

static void a_member_revoked_by_its_own_ca_is_refused(void)
{
    static const char *const lists[] = { "top/crl.pem", "mid/ca.pem", "mid/crl.pem", NULL };
    consortium c;

    begin(&c);
    pki(c.dir, "sub mid top P-256 " CA_BASIC " " CA_USAGE);
    pki(c.dir, "sign mid alpha/identity.csr alpha.pem");
    pki(c.dir, "sign mid beta/identity.csr beta.pem");
    pki(c.dir, "revoke mid alpha.pem");
    listen(&c, lists);
    CU_ASSERT_EQUAL(show(&c, "alpha.pem", "mid/ca.pem", NULL, c.now_s + 60), FM_EAUTH);
    CU_ASSERT_TRUE(says("revoked by the CA"));
    CU_ASSERT_EQUAL(show(&c, "beta.pem", "mid/ca.pem", NULL, c.now_s + 60), FM_OK);
    end(&c);
}

/* ---- lists that come from outside ---- */

static fm_status take(consortium *c, const char *list, const char *ca, size_t *lists)
{
    static uint8_t der[FM_CERT_MAX_BYTES];
    fm_trust *fresh = NULL;
    fm_ca_path path = { 0 };
    fm_buf crl;
    size_t len = 0;
    fm_status st;

    pki_der(c->dir, list, &crl);
    if (ca) {
        der_of(c->dir, ca, der, &len);
        path = (fm_ca_path){ .der = { der }, .len = { len }, .count = 1 };
    }
    st = fm_trust_revise_path(c->trust, crl.data, crl.len, &path, &fresh);
    if (fresh) {
        fm_trust_free(&c->trust);
        c->trust = fresh;
    }
    *lists = fm_trust_list_count(c->trust);
    fm_buf_fini(&crl);
    return st;
}

static void lists_are_numbered_for_each_ca(void)
{
    consortium c;
    fm_trust *again = NULL;
    size_t lists = 0;

    begin(&c);
    pki(c.dir, "sub mid top P-256 " CA_BASIC " " CA_USAGE);
    pki(c.dir, "sign mid alpha/identity.csr alpha.pem");
    pki(c.dir, "crl top"); /* number 2; mid's is 1 */
    listen_to_root(&c);
    CU_ASSERT_EQUAL(take(&c, "mid/crl.pem", NULL, &lists), FM_EAUTH); /* whose would it be? */
    CU_ASSERT_EQUAL(take(&c, "mid/crl.pem", "mid/ca.pem", &lists), FM_OK);
    CU_ASSERT_EQUAL(lists, 2);
    CU_ASSERT_EQUAL(show(&c, "alpha.pem", "mid/ca.pem", NULL, c.now_s + 60), FM_OK);
    pki(c.dir, "keep mid/crl.pem old.pem");
    pki(c.dir, "revoke mid alpha.pem");
    CU_ASSERT_EQUAL(take(&c, "mid/crl.pem", "mid/ca.pem", &lists), FM_OK);
    CU_ASSERT_EQUAL(lists, 2);
    CU_ASSERT_EQUAL(show(&c, "alpha.pem", "mid/ca.pem", NULL, c.now_s + 60), FM_EAUTH);
    CU_ASSERT_EQUAL(take(&c, "old.pem", "mid/ca.pem", &lists), FM_EREPLAY);
    CU_ASSERT_EQUAL(show(&c, "alpha.pem", "mid/ca.pem", NULL, c.now_s + 60), FM_EAUTH);
    /* Kept whole, it is the same again. */
    CU_ASSERT_EQUAL(fm_trust_save_crl(c.trust, c.peer), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_trust_load(c.peer, &again), FM_OK);
    CU_ASSERT_EQUAL(fm_trust_list_count(again), 2);
    CU_ASSERT_EQUAL(fm_trust_check_newer(c.trust, again), FM_OK);
    fm_trust_free(&again);
    end(&c);
}

static void a_list_by_another_than_the_ca_is_refused(void)
{
    consortium c;
    fm_trust *t = NULL;
    size_t lists = 0;

    begin(&c);
    pki(c.dir, "sub mid top P-256 " CA_BASIC " " CA_USAGE);
    pki(c.dir, "sub side top P-256 " CA_BASIC " " CA_USAGE);
    pki(c.dir, "sign mid alpha/identity.csr alpha.pem");
    /* Of the same name, but with a key of its own. */
    pki(c.dir, "keep mid/ca.pem true-mid.pem");
    pki(c.dir, "keep mid/crl.pem true-list.pem");
    pki(c.dir, "fake mid P-256");
    listen_to_root(&c);
    CU_ASSERT_EQUAL(take(&c, "mid/crl.pem", "true-mid.pem", &lists), FM_EAUTH);
    CU_ASSERT_EQUAL(take(&c, "mid/crl.pem", "mid/ca.pem", &lists), FM_EAUTH);
    CU_ASSERT_EQUAL(take(&c, "side/crl.pem", "true-mid.pem", &lists), FM_EAUTH);
    CU_ASSERT_EQUAL(lists, 1);
    /* A list of another CA does not stand in for the one that is missing. */
    CU_ASSERT_EQUAL(take(&c, "side/crl.pem", "side/ca.pem", &lists), FM_OK);
    CU_ASSERT_EQUAL(show(&c, "alpha.pem", "true-mid.pem", NULL, c.now_s), FM_EAUTH);
    CU_ASSERT_TRUE(says("no revocation list of the CA 'mid'"));
    CU_ASSERT_EQUAL(take(&c, "true-list.pem", "true-mid.pem", &lists), FM_OK);
    CU_ASSERT_EQUAL(show(&c, "alpha.pem", "true-mid.pem", NULL, c.now_s), FM_OK);
    {
        static const char *const wrong[] = { "top/crl.pem", "true-mid.pem", "mid/crl.pem", NULL };

        pki_join(c.dir, "peer/crl.pem", wrong);
        CU_ASSERT_EQUAL(fm_trust_load(c.peer, &t), FM_EAUTH);
    }
    end(&c);
}

/* ---- as it travels ---- */

static void a_credential_brings_them(void)
{
    static const char *const lists[] = { "top/crl.pem", "mid/ca.pem", "mid/crl.pem", NULL };
    fm_statement s = { .role = FM_ROLE_NODE, .federation = "heart", .name = "alpha" }, back;
    static fm_credential good, bad;
    consortium c;
    fm_identity *id = NULL;
    char folder[PATH_CAP];

    begin(&c);
    make_path(folder, c.dir, "alpha");
    pki(c.dir, "sub mid top P-256 " CA_BASIC " " CA_USAGE);
    pki(c.dir, "sign mid alpha/identity.csr alpha.pem");
    pki_join(c.dir, "lists.pem", lists);
    CU_ASSERT_EQUAL_FATAL(
        pki_install(c.dir, "alpha", "alpha.pem", "mid/ca.pem", "top/ca.pem", "lists.pem"), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_identity_load(folder, &id), FM_OK);
    listen(&c, lists);
    memset(s.x25519_public, 1, sizeof s.x25519_public);
    memset(s.curve_public, 2, sizeof s.curve_public);
    s.not_after_s = c.now_s + 1000;
    CU_ASSERT_EQUAL_FATAL(fm_credential_make(id, &s, &good), FM_OK);
    CU_ASSERT_EQUAL(good.intermediate_count, 1);
    CU_ASSERT_EQUAL(fm_credential_verify(c.trust, &good, FM_ROLE_NODE, c.now_s, &back, NULL),
                    FM_OK);
    /* Every byte of them counts: the roster is hashed with them, and they are compared. */
    bad = good;
    CU_ASSERT_TRUE(fm_credential_equal(&good, &bad));
    bad.intermediates[0][bad.intermediate_len[0] - 1] ^= 1;
    CU_ASSERT_FALSE(fm_credential_equal(&good, &bad));
    bad.intermediate_len[0]--;
    CU_ASSERT_EQUAL(fm_credential_verify(c.trust, &bad, FM_ROLE_NODE, c.now_s, &back, NULL),
                    FM_EAUTH);
    bad.intermediate_len[0] = FM_INTERMEDIATE_MAX_BYTES + 1;
    CU_ASSERT_EQUAL(fm_credential_verify(c.trust, &bad, FM_ROLE_NODE, c.now_s, &back, NULL),
                    FM_EAUTH);
    bad.intermediate_count = FM_INTERMEDIATES_MAX + 1;
    CU_ASSERT_EQUAL(fm_credential_verify(c.trust, &bad, FM_ROLE_NODE, c.now_s, &back, NULL),
                    FM_EAUTH);
    fm_identity_free(&id);
    end(&c);
}

static const fm_test tests[] = {
    { "one and two intermediates lead to the root", one_and_two_intermediates_lead_to_the_root },
    { "a list of every CA is needed", a_list_of_every_ca_is_needed },
    { "a CA that may not sign signs in vain", a_ca_that_may_not_sign_signs_in_vain },
    { "too many above are refused", too_many_above_are_refused },
    { "a member is no CA", a_member_is_no_ca },
    { "a revoked intermediate takes its members with it",
      a_revoked_intermediate_takes_its_members_with_it },
    { "a member revoked by its own CA is refused", a_member_revoked_by_its_own_ca_is_refused },
    { "lists are numbered for each CA", lists_are_numbered_for_each_ca },
    { "a list by another than the CA is refused", a_list_by_another_than_the_ca_is_refused },
    { "a credential brings them", a_credential_brings_them },
};

extern const fm_test_suite suite_intermediate;
const fm_test_suite suite_intermediate = { "certs.intermediate", tests, FM_TEST_COUNT(tests) };
