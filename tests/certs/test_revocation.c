/* Revocation lists: who is on them, who signed them, until when they count. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "fedmoe/base/file.h"
#include "forge.h"

static X509_CRL *read_crl(const char *dir)
{
    char path[PATH_CAP];
    FILE *f;
    X509_CRL *crl;

    make_path(path, dir, "crl.pem");
    need((f = fopen(path, "r")) != NULL, path);
    crl = PEM_read_X509_CRL(f, NULL, NULL, NULL);
    (void)fclose(f);
    need(crl != NULL, path);
    return crl;
}

static long crl_number(const char *dir)
{
    X509_CRL *crl = read_crl(dir);
    ASN1_INTEGER *n = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    long v = n ? (long)ASN1_INTEGER_get(n) : -1;

    ASN1_INTEGER_free(n);
    X509_CRL_free(crl);
    return v;
}

static int crl_entries(const char *dir)
{
    X509_CRL *crl = read_crl(dir);
    STACK_OF(X509_REVOKED) *r = X509_CRL_get_REVOKED(crl);
    int n = r ? sk_X509_REVOKED_num(r) : 0;

    X509_CRL_free(crl);
    return n;
}

static void reload(fm_trust **t, const char *dir)
{
    fm_trust_free(t);
    need(fm_trust_load(dir, t) == FM_OK, "trust");
}

static void a_revoked_member_is_refused_once_the_list_is_there(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;

        world_make(&w, KEY_TYPES[i]);
        CU_ASSERT_EQUAL(fm_ca_revoke(w.ca, "alpha"), FM_OK);
        CU_ASSERT_EQUAL(verify(w.trust, w.node_id, FM_ROLE_NODE, w.now_s), FM_OK);
        copy_file(w.ca, w.node, "crl.pem");
        reload(&w.trust, w.node);
        CU_ASSERT_EQUAL(verify(w.trust, w.node_id, FM_ROLE_NODE, w.now_s), FM_EAUTH);
        CU_ASSERT_TRUE(says("revoked") && says("'alpha'"));
        CU_ASSERT_EQUAL(verify(w.trust, w.aggregator_id, FM_ROLE_AGGREGATOR, w.now_s), FM_OK);
        world_end(&w);
    }
}

static void revoking_covers_every_certificate_of_the_name_and_no_other(void)
{
    world w;
    char out[PATH_CAP];
    fm_identity *next = NULL, *longer = NULL;
    fm_ca_request r = { .role = FM_ROLE_NODE, .name = "alpha", .type = FM_KEY_P256 };

    world_make(&w, FM_KEY_ED25519);
    r.not_before_s = w.now_s + 40 * DAY_S;
    r.not_after_s = w.now_s + 70 * DAY_S;
    make_path(out, w.root, "next");
    need(fm_ca_issue(w.ca, &r, out) == FM_OK && fm_identity_load(out, &next) == FM_OK, "next");
    make_path(out, w.root, "longer");
    need(issue(w.ca, FM_ROLE_NODE, "alpha-b", FM_KEY_P256, 30, out) == FM_OK &&
             fm_identity_load(out, &longer) == FM_OK,
         "longer");
    CU_ASSERT_EQUAL(fm_ca_revoke(w.ca, "alpha"), FM_OK);
    CU_ASSERT_EQUAL(crl_entries(w.ca), 2);
    reload(&w.trust, w.ca);
    CU_ASSERT_EQUAL(verify(w.trust, w.node_id, FM_ROLE_NODE, w.now_s), FM_EAUTH);
    CU_ASSERT_EQUAL(verify(w.trust, next, FM_ROLE_NODE, w.now_s + 50 * DAY_S), FM_EAUTH);
    CU_ASSERT_EQUAL(verify(w.trust, longer, FM_ROLE_NODE, w.now_s), FM_OK);
    fm_identity_free(&next);
    fm_identity_free(&longer);
    world_end(&w);
}

static void the_number_rises_and_entries_stay(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;

        world_make(&w, KEY_TYPES[i]);
        CU_ASSERT_EQUAL(crl_number(w.ca), 1);
        CU_ASSERT_EQUAL(fm_ca_revoke(w.ca, "alpha"), FM_OK);
        CU_ASSERT_EQUAL(crl_number(w.ca), 2);
        CU_ASSERT_EQUAL(fm_ca_revoke(w.ca, "hub"), FM_OK);
        CU_ASSERT_EQUAL(crl_number(w.ca), 3);
        CU_ASSERT_EQUAL(crl_entries(w.ca), 2);
        /* Twice is no mistake, and no second entry. */
        CU_ASSERT_EQUAL(fm_ca_revoke(w.ca, "alpha"), FM_OK);
        CU_ASSERT_EQUAL(crl_number(w.ca), 4);
        CU_ASSERT_EQUAL(crl_entries(w.ca), 2);
        CU_ASSERT_EQUAL(fm_ca_refresh(w.ca), FM_OK);
        CU_ASSERT_EQUAL(crl_number(w.ca), 5);
        CU_ASSERT_EQUAL(crl_entries(w.ca), 2);
        reload(&w.trust, w.ca);
        CU_ASSERT_EQUAL(verify(w.trust, w.node_id, FM_ROLE_NODE, w.now_s), FM_EAUTH);
        CU_ASSERT_EQUAL(verify(w.trust, w.aggregator_id, FM_ROLE_AGGREGATOR, w.now_s), FM_EAUTH);
        world_end(&w);
    }
}

static void an_unknown_name_cannot_be_revoked(void)
{
    world w;

    world_make(&w, FM_KEY_ED25519);
    CU_ASSERT_EQUAL(fm_ca_revoke(w.ca, "gamma"), FM_ENOTFOUND);
    CU_ASSERT_TRUE(says("gamma"));
    CU_ASSERT_EQUAL(fm_ca_revoke(w.ca, "alph"), FM_ENOTFOUND);
    CU_ASSERT_EQUAL(fm_ca_revoke(w.ca, "../alpha"), FM_EINVAL);
    CU_ASSERT_EQUAL(crl_number(w.ca), 1);
    world_end(&w);
}

/** An old list proves nothing about today: members outlive it here, so only the list is late. */
static void a_list_past_its_end_refuses_everyone_and_says_so(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        char out[PATH_CAP], path[PATH_CAP];
        fm_identity *id = NULL;
        fm_trust *without = NULL;

        world_make(&w, KEY_TYPES[i]);
        make_path(out, w.root, "beta");
        need(issue(w.ca, FM_ROLE_NODE, "beta", KEY_TYPES[i], 3000, out) == FM_OK, "issue");
        need(fm_identity_load(out, &id) == FM_OK, "load");
        CU_ASSERT_EQUAL(verify(w.trust, id, FM_ROLE_NODE, w.now_s + 365 * DAY_S), FM_OK);
        CU_ASSERT_EQUAL(verify(w.trust, id, FM_ROLE_NODE, w.now_s + 367 * DAY_S), FM_EAUTH);
        CU_ASSERT_TRUE(says("crl.pem expired on 20") && says("refresh") &&
                       says("set this machine's clock right"));
        make_path(path, out, "crl.pem");
        need(unlink(path) == 0 && fm_trust_load(out, &without) == FM_OK, "without");
        CU_ASSERT_EQUAL(verify(without, id, FM_ROLE_NODE, w.now_s + 367 * DAY_S), FM_OK);
        fm_trust_free(&without);
        fm_identity_free(&id);
        world_end(&w);
    }
}

static void a_list_of_another_ca_is_refused(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w, other;
        fm_trust *t = NULL;

        world_make(&w, KEY_TYPES[i]);
        world_make(&other, KEY_TYPES[i]); /* the same federation name, another key */
        copy_file(other.ca, w.node, "crl.pem");
        CU_ASSERT_EQUAL(fm_trust_load(w.node, &t), FM_EAUTH);
        CU_ASSERT_TRUE(says("crl.pem") && says("not signed"));
        CU_ASSERT_PTR_NULL(t);
        copy_file(other.ca, w.ca, "crl.pem");
        CU_ASSERT_EQUAL(fm_ca_revoke(w.ca, "alpha"), FM_EAUTH);
        world_end(&w);
        world_end(&other);
    }
}

static void a_list_altered_at_any_byte_is_refused(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        X509_CRL *crl;
        unsigned char *der = NULL;
        int len;

        world_make(&w, KEY_TYPES[i]);
        need(fm_ca_revoke(w.ca, "alpha") == FM_OK, "revoke");
        crl = read_crl(w.ca);
        len = i2d_X509_CRL(crl, &der);
        X509_CRL_free(crl);
        for (int k = 0; k < len; k++) {
            BIO *bio = BIO_new(BIO_s_mem());
            const char *text = NULL;
            char path[PATH_CAP];
            FILE *f;
            fm_trust *t = NULL;
            long n;

            der[k] ^= 1u;
            need(PEM_write_bio(bio, "X509 CRL", "", der, len) > 0, "pem");
            der[k] ^= 1u;
            n = BIO_get_mem_data(bio, &text);
            make_path(path, w.node, "crl.pem"); /* not through fm_file_replace: no sync, quick */
            f = fopen(path, "w");
            need(f && fwrite(text, 1, (size_t)n, f) == (size_t)n && fclose(f) == 0, path);
            CU_ASSERT_NOT_EQUAL(fm_trust_load(w.node, &t), FM_OK);
            CU_ASSERT_PTR_NULL(t);
            fm_trust_free(&t);
            BIO_free(bio);
        }
        OPENSSL_free(der);
        world_end(&w);
    }
}

static void damaged_lists_are_named_and_none_is_allowed(void)
{
    static const char *const texts[] = {
        "", "x\n", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    };
    world w;
    char path[PATH_CAP];
    fm_trust *t = NULL;

    world_make(&w, FM_KEY_ED25519);
    for (size_t i = 0; i < FM_TEST_COUNT(texts); i++) {
        need(replace_file(w.node, "crl.pem", texts[i], strlen(texts[i]), 0644) == FM_OK, "write");
        CU_ASSERT_EQUAL(fm_trust_load(w.node, &t), FM_EPARSE);
        CU_ASSERT_TRUE(says("crl.pem"));
    }
    make_path(path, w.node, "crl.pem");
    need(unlink(path) == 0, "unlink");
    CU_ASSERT_EQUAL(fm_trust_load(w.node, &t), FM_OK);
    CU_ASSERT_EQUAL(verify(t, w.node_id, FM_ROLE_NODE, w.now_s), FM_OK);
    fm_trust_free(&t);
    /* But a CA without its list has forgotten whom it revoked: it must not start a new one. */
    make_path(path, w.ca, "crl.pem");
    need(unlink(path) == 0, "unlink");
    CU_ASSERT_EQUAL(fm_ca_revoke(w.ca, "alpha"), FM_ENOTFOUND);
    CU_ASSERT_EQUAL(count_files(w.ca), 3);
    world_end(&w);
}

static const fm_test tests[] = {
    { "a revoked member is refused once the list is there",
      a_revoked_member_is_refused_once_the_list_is_there },
    { "revoking covers every certificate of the name, and no other",
      revoking_covers_every_certificate_of_the_name_and_no_other },
    { "the number rises and entries stay", the_number_rises_and_entries_stay },
    { "an unknown name cannot be revoked", an_unknown_name_cannot_be_revoked },
    { "a list past its end refuses everyone and says so",
      a_list_past_its_end_refuses_everyone_and_says_so },
    { "a list of another CA is refused", a_list_of_another_ca_is_refused },
    { "a list altered at any byte is refused", a_list_altered_at_any_byte_is_refused },
    { "damaged lists are named, and none is allowed", damaged_lists_are_named_and_none_is_allowed },
};

extern const fm_test_suite suite_revocation;
const fm_test_suite suite_revocation = { "certs.revocation", tests, FM_TEST_COUNT(tests) };
