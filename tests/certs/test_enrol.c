/* Requests, what the CA makes of them, and what a member believes of the answer. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "fedmoe/base/file.h"
#include "fedmoe/certs/enrol.h"
#include "forge.h"

/* A member on its way in: its folder, its request, and what the CA's side would send. */
typedef struct {
    char dir[PATH_CAP];
    fm_buf request, cert, ca, crl;
    fm_hash fingerprint;
} member;

static void ca_of(const char *dir, fm_buf *out)
{
    fm_trust *t = NULL;
    const uint8_t *der;
    size_t len;

    need(fm_trust_load(dir, &t) == FM_OK, "trust");
    fm_trust_ca(t, 0, &der, &len);
    fm_buf_init(out, len);
    need(fm_buf_append(out, der, len) == FM_OK, "ca");
    fm_trust_free(&t);
}

static void crl_of(const char *dir, fm_buf *out)
{
    fm_trust *t = NULL;
    const uint8_t *der;
    size_t len;

    need(fm_trust_load(dir, &t) == FM_OK, "trust");
    fm_trust_crl(t, &der, &len);
    fm_buf_fini(out);
    need(fm_buf_append(out, der, len) == FM_OK, "list");
    fm_trust_free(&t);
}

static void member_make(member *m, const world *w, const char *name, fm_key_type type)
{
    memset(m, 0, sizeof *m);
    make_path(m->dir, w->root, name);
    need(fm_request_make(m->dir, type, "heart", name, &m->request) == FM_OK, "request");
    ca_of(w->ca, &m->ca);
    crl_of(w->ca, &m->crl);
    m->fingerprint = fm_trust_fingerprint(w->trust);
}

static void member_end(member *m)
{
    fm_buf_fini(&m->request);
    fm_buf_fini(&m->cert);
    fm_buf_fini(&m->ca);
    fm_buf_fini(&m->crl);
}

static fm_status sign(member *m, const world *w)
{
    fm_buf_fini(&m->cert);
    return fm_ca_sign_request(w->ca, m->request.data, m->request.len, 30, &m->cert);
}

static fm_status install(const member *m, const world *w, const char *name)
{
    const fm_enrolment e = { .cert = m->cert.data,
                             .cert_len = m->cert.len,
                             .ca = m->ca.data,
                             .ca_len = m->ca.len,
                             .crl = m->crl.data,
                             .crl_len = m->crl.len };

    return fm_identity_install(m->dir, &m->fingerprint, "heart", name, &e, w->now_s);
}

/* Refused for this reason, and nothing of it is in the folder. */
static void not_installed(const member *m, const world *w, const char *name, const char *why)
{
    char path[PATH_CAP];

    CU_ASSERT_EQUAL(install(m, w, name), FM_EAUTH);
    CU_ASSERT_TRUE(says(why));
    make_path(path, m->dir, "identity.crt");
    CU_ASSERT_FALSE(fm_file_exists(path));
    make_path(path, m->dir, "ca.crt");
    CU_ASSERT_FALSE(fm_file_exists(path));
}

static void a_member_enrols_with_a_key_that_stays_where_it_was_made(void)
{
    for (size_t i = 0; i < 2; i++) {
        fm_identity *id = NULL;
        fm_trust *t = NULL;
        fm_buf again;
        struct stat s;
        char path[PATH_CAP];
        member m;
        world w;

        world_make(&w, KEY_TYPES[i]);
        member_make(&m, &w, "beta", KEY_TYPES[1 - i]);
        CU_ASSERT_EQUAL_FATAL(sign(&m, &w), FM_OK);
        CU_ASSERT_EQUAL(install(&m, &w, "beta"), FM_OK);
        CU_ASSERT_EQUAL_FATAL(fm_identity_load(m.dir, &id), FM_OK);
        CU_ASSERT_EQUAL_FATAL(fm_trust_load(m.dir, &t), FM_OK);
        CU_ASSERT_EQUAL(verify(t, id, FM_ROLE_NODE, w.now_s), FM_OK);
        CU_ASSERT_STRING_EQUAL(fm_identity_info(id)->name, "beta");
        CU_ASSERT_EQUAL(fm_trust_crl_number(t), 1);
        make_path(path, m.dir, "identity.key");
        CU_ASSERT_EQUAL_FATAL(stat(path, &s), 0);
        CU_ASSERT_EQUAL(s.st_mode & 07777, 0600);
        CU_ASSERT_EQUAL(fm_request_make(m.dir, FM_KEY_P256, "heart", "beta", &again), FM_EEXIST);
        fm_identity_free(&id);
        fm_trust_free(&t);
        member_end(&m);
        world_end(&w);
    }
}

static void the_same_key_is_answered_with_the_same_certificate(void)
{
    fm_buf first, again;
    member m;
    world w;

    world_make(&w, FM_KEY_ED25519);
    member_make(&m, &w, "beta", FM_KEY_P256); /* its signatures differ each time */
    CU_ASSERT_EQUAL_FATAL(sign(&m, &w), FM_OK);
    first = m.cert;
    m.cert = (fm_buf){ 0 };
    CU_ASSERT_EQUAL(fm_request_make(m.dir, FM_KEY_P256, "heart", "beta", &again), FM_OK);
    CU_ASSERT_FALSE(again.len == m.request.len &&
                    memcmp(again.data, m.request.data, again.len) == 0);
    fm_buf_fini(&m.request);
    m.request = again;
    CU_ASSERT_EQUAL(sign(&m, &w), FM_OK);
    CU_ASSERT_TRUE(m.cert.len == first.len && memcmp(m.cert.data, first.data, first.len) == 0);
    /* Revoked, it is not given out again. */
    CU_ASSERT_EQUAL(fm_ca_revoke(w.ca, "beta"), FM_OK);
    CU_ASSERT_EQUAL(sign(&m, &w), FM_OK);
    CU_ASSERT_FALSE(m.cert.len == first.len && memcmp(m.cert.data, first.data, first.len) == 0);
    fm_buf_fini(&first);
    member_end(&m);
    world_end(&w);
}

static void a_second_key_for_a_name_is_refused(void)
{
    member m, thief;
    world w;

    world_make(&w, FM_KEY_ED25519);
    member_make(&m, &w, "beta", FM_KEY_ED25519);
    CU_ASSERT_EQUAL(sign(&m, &w), FM_OK);
    member_make(&thief, &w, "x", FM_KEY_ED25519);
    fm_buf_fini(&thief.request);
    need(fm_request_make(thief.dir, FM_KEY_ED25519, "heart", "beta", &thief.request) == FM_OK,
         "request");
    CU_ASSERT_EQUAL(sign(&thief, &w), FM_EEXIST);
    fm_buf_fini(&thief.request); /* nor for one that was issued with its key by hand */
    need(fm_request_make(thief.dir, FM_KEY_ED25519, "heart", "alpha", &thief.request) == FM_OK,
         "request");
    CU_ASSERT_EQUAL(sign(&thief, &w), FM_EEXIST);
    member_end(&thief);
    member_end(&m);
    world_end(&w);
}

static void a_request_of_another_federation_is_not_signed(void)
{
    member m;
    world w;

    world_make(&w, FM_KEY_ED25519);
    member_make(&m, &w, "beta", FM_KEY_ED25519);
    fm_buf_fini(&m.request);
    need(fm_request_make(m.dir, FM_KEY_ED25519, "lung", "beta", &m.request) == FM_OK, "request");
    CU_ASSERT_EQUAL(sign(&m, &w), FM_EAUTH);
    CU_ASSERT_TRUE(says("'lung'"));
    member_end(&m);
    world_end(&w);
}

/* Any bit of a request that is changed, and any byte more or less: refused. */
static void a_changed_request_is_refused(void)
{
    fm_request_info info;
    member m;
    world w;

    world_make(&w, FM_KEY_ED25519);
    member_make(&m, &w, "beta", FM_KEY_ED25519);
    CU_ASSERT_EQUAL(fm_request_check(m.request.data, m.request.len, &info), FM_OK);
    CU_ASSERT_STRING_EQUAL(info.name, "beta");
    CU_ASSERT_STRING_EQUAL(info.federation, "heart");
    CU_ASSERT_EQUAL(info.role, FM_ROLE_NODE);
    for (size_t i = 0; i < 8 * m.request.len; i++) {
        m.request.data[i / 8] ^= (uint8_t)(1u << i % 8);
        CU_ASSERT_NOT_EQUAL(fm_request_check(m.request.data, m.request.len, &info), FM_OK);
        m.request.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t len = 0; len < m.request.len; len++)
        CU_ASSERT_NOT_EQUAL(fm_request_check(m.request.data, len, &info), FM_OK);
    need(fm_buf_append(&m.request, "", 1) == FM_OK, "memory");
    CU_ASSERT_EQUAL(fm_request_check(m.request.data, m.request.len, &info), FM_EPROTO);
    member_end(&m);
    world_end(&w);
}

/* A request as somebody else's tool may make it. @param san  NULL: none. */
static void forged(const char *san, int bits, fm_buf *out)
{
    EVP_PKEY *key = bits ? EVP_RSA_gen((unsigned)bits) : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509_REQ *r = X509_REQ_new();
    STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
    unsigned char *der = NULL;
    int len = 0;

    need(key && r && list && X509_REQ_set_pubkey(r, key), "request");
    if (san)
        need(sk_X509_EXTENSION_push(list,
                                    X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san)) > 0,
             "names");
    need(X509_REQ_add_extensions(r, list) &&
             X509_REQ_sign(r, key, bits ? EVP_sha256() : NULL) > 0 &&
             (len = i2d_X509_REQ(r, &der)) > 0,
         "sign");
    fm_buf_fini(out);
    need(fm_buf_append(out, der, (size_t)len) == FM_OK, "memory");
    OPENSSL_free(der);
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    X509_REQ_free(r);
    EVP_PKEY_free(key);
}

static void a_request_for_no_member_is_refused(void)
{
    static const char *const names[] = {
        NULL,
        "URI:https://example.org",
        "URI:urn:fedmoe:ca:heart",
        "URI:urn:fedmoe:node:heart",
        "URI:urn:fedmoe:node:heart:beta,URI:urn:fedmoe:aggregator:heart:hub",
        "URI:URN:fedmoe:node:heart:beta",
        "URI:urn:fedmoe:node:heart:Beta",
    };
    fm_request_info info;
    fm_buf der = { 0 };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        forged(names[i], 0, &der);
        CU_ASSERT_EQUAL(fm_request_check(der.data, der.len, &info), FM_EPROTO);
    }
    forged("URI:urn:fedmoe:node:heart:beta", 2048, &der);
    CU_ASSERT_EQUAL(fm_request_check(der.data, der.len, &info), FM_EPROTO);
    CU_ASSERT_TRUE(says("neither Ed25519 nor P-256"));
    forged("URI:urn:fedmoe:node:heart:beta", 0, &der);
    CU_ASSERT_EQUAL(fm_request_check(der.data, der.len, &info), FM_OK);
    fm_buf_fini(&der);
}

/* Who stands between and answers with a CA of his own. */
static void a_swapped_ca_is_refused(void)
{
    world w, other;
    member m;

    world_make(&w, FM_KEY_ED25519);
    world_make(&other, FM_KEY_ED25519);
    member_make(&m, &w, "beta", FM_KEY_ED25519);
    CU_ASSERT_EQUAL_FATAL(sign(&m, &other), FM_OK);
    not_installed(&m, &w, "beta", "not issued by the pinned CA");
    fm_buf_fini(&m.ca);
    ca_of(other.ca, &m.ca);
    crl_of(other.ca, &m.crl);
    not_installed(&m, &w, "beta", "not the one that the join code names");
    member_end(&m);
    world_end(&other);
    world_end(&w);
}

static void a_certificate_that_is_not_ones_own_is_refused(void)
{
    uint8_t der[FM_CERT_MAX_BYTES];
    size_t len = 0;
    member m, b;
    world w;

    world_make(&w, FM_KEY_ED25519);
    member_make(&m, &w, "beta", FM_KEY_ED25519);
    member_make(&b, &w, "gamma", FM_KEY_ED25519);
    CU_ASSERT_EQUAL_FATAL(sign(&m, &w), FM_OK);
    not_installed(&m, &w, "delta", "names 'beta', not 'delta'");
    CU_ASSERT_EQUAL_FATAL(sign(&b, &w), FM_OK);
    fm_buf_fini(&m.cert);
    need(fm_buf_append(&m.cert, b.cert.data, b.cert.len) == FM_OK, "memory");
    not_installed(&m, &w, "gamma", "not for the key");
    der_of(w.aggregator, "identity.crt", der, &len);
    fm_buf_fini(&m.cert);
    need(fm_buf_append(&m.cert, der, len) == FM_OK, "memory");
    not_installed(&m, &w, "hub", "role");
    member_end(&b);
    member_end(&m);
    world_end(&w);
}

static void a_revoked_or_late_certificate_is_not_installed(void)
{
    member m;
    world w;

    world_make(&w, FM_KEY_ED25519);
    member_make(&m, &w, "beta", FM_KEY_ED25519);
    CU_ASSERT_EQUAL_FATAL(sign(&m, &w), FM_OK);
    w.now_s -= 2 * DAY_S;
    not_installed(&m, &w, "beta", "clock");
    w.now_s += 2 * DAY_S;
    CU_ASSERT_EQUAL(fm_ca_revoke(w.ca, "beta"), FM_OK);
    crl_of(w.ca, &m.crl);
    not_installed(&m, &w, "beta", "revoked");
    member_end(&m);
    world_end(&w);
}

/* ---- a newer list ---- */

static fm_status revise(fm_trust **t, const fm_buf *crl)
{
    fm_trust *fresh = NULL;
    fm_status st = fm_trust_revise(*t, crl->data, crl->len, &fresh);

    if (fresh) {
        fm_trust_free(t);
        *t = fresh;
    }
    return st;
}

static void only_a_higher_number_replaces_a_list(void)
{
    fm_buf first = { 0 }, second = { 0 }, fork = { 0 };
    fm_trust *t = NULL;
    char backup[PATH_CAP];
    world w;

    world_make(&w, FM_KEY_ED25519);
    make_path(backup, w.root, "backup");
    need(fm_dir_make(backup, 0700) == FM_OK, "folder");
    copy_file(w.ca, backup, "crl.pem");
    crl_of(w.ca, &first);
    CU_ASSERT_EQUAL(fm_ca_revoke(w.ca, "alpha"), FM_OK);
    crl_of(w.ca, &second);
    need(fm_trust_load(w.node, &t) == FM_OK, "trust");
    CU_ASSERT_EQUAL(revise(&t, &first), FM_OK); /* the same: nothing changes */
    CU_ASSERT_EQUAL(fm_trust_crl_number(t), 1);
    CU_ASSERT_EQUAL(verify(t, w.node_id, FM_ROLE_NODE, w.now_s), FM_OK);
    CU_ASSERT_EQUAL(revise(&t, &second), FM_OK);
    CU_ASSERT_EQUAL(fm_trust_crl_number(t), 2);
    CU_ASSERT_EQUAL(verify(t, w.node_id, FM_ROLE_NODE, w.now_s), FM_EAUTH);
    CU_ASSERT_EQUAL(verify(t, w.aggregator_id, FM_ROLE_AGGREGATOR, w.now_s), FM_OK);
    CU_ASSERT_EQUAL(revise(&t, &first), FM_EREPLAY);
    /* A CA restored from a backup: another list of a number that was given out. */
    copy_file(backup, w.ca, "crl.pem");
    CU_ASSERT_EQUAL(fm_ca_refresh(w.ca), FM_OK);
    crl_of(w.ca, &fork);
    CU_ASSERT_EQUAL(revise(&t, &fork), FM_EREPLAY);
    CU_ASSERT_EQUAL(verify(t, w.node_id, FM_ROLE_NODE, w.now_s), FM_EAUTH);
    /* Kept, it counts at the next start. */
    CU_ASSERT_EQUAL(fm_trust_save_crl(t, w.node), FM_OK);
    fm_trust_free(&t);
    need(fm_trust_load(w.node, &t) == FM_OK, "trust");
    CU_ASSERT_EQUAL(fm_trust_crl_number(t), 2);
    fm_trust_free(&t);
    fm_buf_fini(&first);
    fm_buf_fini(&second);
    fm_buf_fini(&fork);
    world_end(&w);
}

static void a_list_of_another_ca_or_altered_is_refused(void)
{
    fm_buf list = { 0 };
    fm_trust *t = NULL;
    world w, other;

    world_make(&w, FM_KEY_ED25519);
    world_make(&other, FM_KEY_ED25519);
    CU_ASSERT_EQUAL(fm_ca_revoke(other.ca, "alpha"), FM_OK);
    need(fm_trust_load(w.node, &t) == FM_OK, "trust");
    crl_of(other.ca, &list);
    CU_ASSERT_EQUAL(revise(&t, &list), FM_EAUTH);
    CU_ASSERT_EQUAL(fm_ca_revoke(w.ca, "alpha"), FM_OK);
    crl_of(w.ca, &list);
    for (size_t i = 0; i < 8 * list.len; i++) {
        list.data[i / 8] ^= (uint8_t)(1u << i % 8);
        CU_ASSERT_NOT_EQUAL(revise(&t, &list), FM_OK);
        list.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    list.len--;
    CU_ASSERT_EQUAL(revise(&t, &list), FM_EPROTO);
    list.len++;
    CU_ASSERT_EQUAL(fm_trust_crl_number(t), 1);
    CU_ASSERT_EQUAL(revise(&t, &list), FM_OK);
    fm_trust_free(&t);
    fm_buf_fini(&list);
    world_end(&other);
    world_end(&w);
}

/* ---- a folder that was somebody's before ---- */

static uint64_t number_in(const char *dir)
{
    fm_trust *t = NULL;
    uint64_t n = fm_trust_load(dir, &t) == FM_OK ? fm_trust_crl_number(t) : 0;

    fm_trust_free(&t);
    return n;
}

static void the_newest_list_of_the_folder_counts_and_stays(void)
{
    fm_buf old = { 0 };
    member m;
    world w;

    world_make(&w, FM_KEY_ED25519);
    member_make(&m, &w, "beta", FM_KEY_ED25519);
    crl_of(w.ca, &old);
    need(sign(&m, &w) == FM_OK && fm_ca_revoke(w.ca, "alpha") == FM_OK, "list 2");
    copy_file(w.ca, m.dir, "crl.pem");               /* left behind, or sent by mail */
    CU_ASSERT_EQUAL(install(&m, &w, "beta"), FM_OK); /* with list 1, by who withholds list 2 */
    CU_ASSERT_EQUAL(number_in(m.dir), 2);
    member_end(&m);
    /* And who stands on it is refused, though what was sent knows nothing of it. */
    member_make(&m, &w, "gamma", FM_KEY_ED25519);
    need(sign(&m, &w) == FM_OK && fm_ca_revoke(w.ca, "gamma") == FM_OK, "list 3");
    copy_file(w.ca, m.dir, "crl.pem");
    fm_buf_fini(&m.crl);
    m.crl = old;
    not_installed(&m, &w, "gamma", "revoked");
    member_end(&m);
    world_end(&w);
}

static void another_ca_that_is_pinned_stays(void)
{
    char other[PATH_CAP], path[PATH_CAP];
    fm_buf before = { 0 }, after = { 0 };
    member m;
    world w;

    world_make(&w, FM_KEY_ED25519);
    make_path(other, w.root, "other");
    need(fm_ca_new(other, "heart", FM_KEY_ED25519, 30) == FM_OK, "another CA");
    member_make(&m, &w, "beta", FM_KEY_ED25519);
    copy_file(other, m.dir, "ca.crt");
    make_path(path, m.dir, "ca.crt");
    need(sign(&m, &w) == FM_OK && fm_file_read(path, SIZE_MAX, &before) == FM_OK, "a CA");
    CU_ASSERT_EQUAL(install(&m, &w, "beta"), FM_EEXIST);
    CU_ASSERT_TRUE(says("another CA") && says("move ca.crt"));
    need(fm_file_read(path, SIZE_MAX, &after) == FM_OK, "a CA");
    CU_ASSERT(before.len == after.len && memcmp(before.data, after.data, after.len) == 0);
    /* Moved away, but the old CA's list forgotten: with or without a new one it is in no way. */
    for (int with = 0; with < 2; with++) {
        make_path(path, m.dir, "ca.crt");
        need(remove(path) == 0, path);
        copy_file(other, m.dir, "crl.pem");
        m.crl.len = with ? m.crl.len : 0;
        CU_ASSERT_EQUAL(install(&m, &w, "beta"), FM_OK);
        fm_buf_fini(&m.crl);
        crl_of(w.ca, &m.crl);
        {
            fm_trust *t = NULL;

            CU_ASSERT_EQUAL(fm_trust_load(m.dir, &t), FM_OK);
            fm_trust_free(&t);
        }
        make_path(path, m.dir, "identity.crt");
        need(remove(path) == 0, path);
    }
    fm_buf_fini(&before);
    fm_buf_fini(&after);
    member_end(&m);
    world_end(&w);
}

static const fm_test tests[] = {
    { "a member enrols with a key that stays where it was made",
      a_member_enrols_with_a_key_that_stays_where_it_was_made },
    { "the same key is answered with the same certificate",
      the_same_key_is_answered_with_the_same_certificate },
    { "a second key for a name is refused", a_second_key_for_a_name_is_refused },
    { "a request of another federation is not signed",
      a_request_of_another_federation_is_not_signed },
    { "a changed request is refused", a_changed_request_is_refused },
    { "a request for no member is refused", a_request_for_no_member_is_refused },
    { "a swapped CA is refused", a_swapped_ca_is_refused },
    { "a certificate that is not one's own is refused",
      a_certificate_that_is_not_ones_own_is_refused },
    { "a revoked or late certificate is not installed",
      a_revoked_or_late_certificate_is_not_installed },
    { "the newest list of the folder counts and stays",
      the_newest_list_of_the_folder_counts_and_stays },
    { "another CA that is pinned stays", another_ca_that_is_pinned_stays },
    { "only a higher number replaces a list", only_a_higher_number_replaces_a_list },
    { "a list of another CA, or altered, is refused", a_list_of_another_ca_or_altered_is_refused },
};

extern const fm_test_suite suite_enrol;
const fm_test_suite suite_enrol = { "certs.enrol", tests, FM_TEST_COUNT(tests) };
