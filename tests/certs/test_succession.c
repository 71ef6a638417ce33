/* A CA names its successor: who believes it, and when the older one is over. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/certs/succession.h"
#include "forge.h"

static fm_trust *trust_of(const char *dir)
{
    fm_trust *t = NULL;

    need(fm_trust_load(dir, &t) == FM_OK, dir);
    return t;
}

/** A member's own certificate as of its folder, under another's trust. */
static fm_status check(const fm_trust *t, const char *dir)
{
    fm_identity *id = NULL;
    fm_status st;

    need(fm_identity_load(dir, &id) == FM_OK, dir);
    st = verify(t, id, fm_identity_info(id)->role, fm_clock_wall_s());
    fm_identity_free(&id);
    return st;
}

/** What the aggregator brings to a node: the CA, then its list. */
static fm_status follow(fm_trust **t, const fm_trust *from)
{
    const fm_succession s = fm_trust_succession(from);
    fm_trust *both = NULL;
    fm_status st = fm_trust_succeed(*t, &s, fm_clock_wall_s(), &both);

    need(st == FM_OK || !both, "written on FM_OK only");
    if (both) {
        fm_trust_free(t);
        *t = both;
    }
    for (size_t i = 0; st == FM_OK && i < fm_trust_list_count(from); i++) {
        fm_trust *fresh = NULL;
        fm_crl_view list;

        fm_trust_list(from, i, &list);
        st = fm_trust_revise(*t, list.der, list.len, &fresh);
        if (fresh) {
            fm_trust_free(t);
            *t = fresh;
        }
    }
    return st;
}

static void certificates_of_both_count_until_the_older_is_dropped(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        char beta[PATH_CAP];
        fm_trust *ca, *node, *dropped;

        world_make(&w, KEY_TYPES[i]);
        make_path(beta, w.root, "beta");
        CU_ASSERT_EQUAL_FATAL(fm_ca_rotate(w.ca, KEY_TYPES[1 - i], 5000), FM_OK);
        CU_ASSERT_EQUAL(fm_ca_rotate(w.ca, KEY_TYPES[i], 6000), FM_EEXIST);
        ca = trust_of(w.ca);
        CU_ASSERT_EQUAL(fm_trust_ca_count(ca), 2);
        CU_ASSERT_EQUAL(fm_trust_list_count(ca), 2);
        need(issue(w.ca, FM_ROLE_NODE, "beta", FM_KEY_P256, 30, beta) == FM_OK, "issue");
        /* The new one's certificate means nothing yet to who has the old CA alone. */
        CU_ASSERT_EQUAL(check(w.trust, beta), FM_EAUTH);
        node = trust_of(w.node);
        CU_ASSERT_EQUAL(follow(&node, ca), FM_OK);
        CU_ASSERT_EQUAL(fm_trust_ca_count(node), 2);
        CU_ASSERT_EQUAL(check(node, beta), FM_OK);
        CU_ASSERT_EQUAL(check(node, w.node), FM_OK);
        CU_ASSERT_EQUAL(follow(&node, ca), FM_OK); /* again: nothing new */
        CU_ASSERT_EQUAL(fm_trust_ca_count(node), 2);
        /* Kept, it is the same. */
        need(fm_trust_save_cas(node, w.node) == FM_OK && fm_trust_save_crl(node, w.node) == FM_OK,
             "save");
        fm_trust_free(&node);
        node = trust_of(w.node);
        CU_ASSERT_EQUAL(fm_trust_succession(node).signature_len,
                        fm_trust_succession(ca).signature_len);
        CU_ASSERT_EQUAL(check(node, beta), FM_OK);
        /* Whoever still has a certificate of the older one is not cut off by mistake. */
        CU_ASSERT_EQUAL(fm_ca_drop(w.node), FM_ESTATE);
        CU_ASSERT_TRUE(says("must be renewed first"));
        CU_ASSERT_EQUAL(fm_ca_renew_identity(w.ca, w.node, fm_clock_wall_s()), FM_OK);
        CU_ASSERT_EQUAL(fm_ca_drop(w.node), FM_OK);
        CU_ASSERT_EQUAL(fm_ca_drop(w.node), FM_ENOTFOUND);
        dropped = trust_of(w.node);
        CU_ASSERT_EQUAL(fm_trust_ca_count(dropped), 1);
        CU_ASSERT_EQUAL(fm_trust_list_count(dropped), 1);
        CU_ASSERT_EQUAL(check(dropped, w.node), FM_OK);
        CU_ASSERT_EQUAL(check(dropped, beta), FM_OK);
        CU_ASSERT_EQUAL(check(dropped, w.aggregator), FM_EAUTH); /* still of the older one */
        fm_trust_free(&dropped);
        fm_trust_free(&node);
        fm_trust_free(&ca);
        world_end(&w);
    }
}

static void revoking_covers_the_certificates_of_both(void)
{
    world w;
    char old[PATH_CAP];
    fm_trust *t;

    world_make(&w, FM_KEY_ED25519);
    make_path(old, w.root, "old");
    copy_file(w.node, old, "identity.crt");
    copy_file(w.node, old, "identity.key");
    need(fm_ca_rotate(w.ca, FM_KEY_ED25519, 5000) == FM_OK, "rotate");
    t = trust_of(w.ca);
    need(fm_trust_save_cas(t, w.node) == FM_OK && fm_trust_save_crl(t, w.node) == FM_OK, "save");
    need(fm_ca_renew_identity(w.ca, w.node, fm_clock_wall_s()) == FM_OK, "renew");
    CU_ASSERT_TRUE(check(t, old) == FM_OK && check(t, w.node) == FM_OK);
    fm_trust_free(&t);
    CU_ASSERT_EQUAL(fm_ca_revoke(w.ca, "alpha"), FM_OK);
    t = trust_of(w.ca);
    CU_ASSERT_EQUAL(check(t, old), FM_EAUTH);
    CU_ASSERT_TRUE(says("revoked"));
    CU_ASSERT_EQUAL(check(t, w.node), FM_EAUTH);
    CU_ASSERT_TRUE(says("revoked"));
    CU_ASSERT_EQUAL(check(t, w.aggregator), FM_OK);
    /* And the name is free again. */
    make_path(old, w.root, "again");
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "alpha", FM_KEY_ED25519, 30, old), FM_OK);
    fm_trust_free(&t);
    world_end(&w);
}

static void the_ca_goes_on_alone_after_the_drop(void)
{
    world w;
    char path[PATH_CAP], beta[PATH_CAP];
    fm_trust *t;

    world_make(&w, FM_KEY_P256);
    make_path(beta, w.root, "beta");
    make_path(path, w.ca, "next.key");
    need(fm_ca_rotate(w.ca, FM_KEY_P256, 5000) == FM_OK, "rotate");
    CU_ASSERT_EQUAL(access(path, F_OK), 0);
    CU_ASSERT_EQUAL(fm_ca_drop(w.ca), FM_OK);
    CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "beta", FM_KEY_P256, 30, beta), FM_OK);
    /* What the older one issued stands in nobody's way, and is not renewed. */
    CU_ASSERT_EQUAL(fm_ca_renew_identity(w.ca, w.aggregator, fm_clock_wall_s()), FM_EAUTH);
    make_path(path, w.root, "again");
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "alpha", FM_KEY_P256, 30, path), FM_OK);
    CU_ASSERT_EQUAL(fm_ca_refresh(w.ca), FM_OK);
    t = trust_of(w.ca);
    CU_ASSERT_EQUAL(fm_trust_ca_count(t), 1);
    CU_ASSERT_EQUAL(check(t, beta), FM_OK);
    fm_trust_free(&t);
    /* And can be rotated again, years later. */
    CU_ASSERT_EQUAL(fm_ca_rotate(w.ca, FM_KEY_P256, 5001), FM_OK);
    world_end(&w);
}

/* ---- strangers ---- */

/** The CA of `dir` named by `signer`'s key over the fingerprint of `old`, as a rotation would. */
static fm_status try(const fm_trust *t, const char *dir, const char *signer, const fm_trust *old)
{
    static uint8_t der[FM_CERT_MAX_BYTES];
    uint8_t message[64 + FM_HASH_BYTES + FM_CERT_MAX_BYTES] = "fedmoe succession v1";
    uint8_t sig[FM_SIGNATURE_MAX];
    const size_t label = sizeof "fedmoe succession v1";
    const fm_hash h = fm_trust_fingerprint(old);
    char path[PATH_CAP];
    EVP_PKEY *key = NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    fm_succession s = { .ca = der, .signature = sig, .signature_len = sizeof sig };
    fm_trust *both = NULL;
    FILE *f;
    fm_status st;

    der_of(dir, "ca.crt", der, &s.ca_len);
    memcpy(message + label, h.bytes, FM_HASH_BYTES);
    memcpy(message + label + FM_HASH_BYTES, der, s.ca_len);
    make_path(path, signer, "ca.key");
    need((f = fopen(path, "r")) != NULL && (key = PEM_read_PrivateKey(f, NULL, NULL, NULL)) != NULL,
         path);
    (void)fclose(f);
    need(EVP_DigestSignInit(ctx, NULL, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256(), NULL,
                            key) == 1 &&
             EVP_DigestSign(ctx, sig, &s.signature_len, message,
                            label + FM_HASH_BYTES + s.ca_len) == 1,
         "sign");
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    st = fm_trust_succeed(t, &s, fm_clock_wall_s(), &both);
    need((st == FM_OK) == (both != NULL), "written on FM_OK only");
    fm_trust_free(&both);
    return st;
}

static void a_stranger_names_no_successor(void)
{
    world w;
    char evil[PATH_CAP], lung[PATH_CAP], brief[PATH_CAP], other[PATH_CAP];
    fm_trust *strange;

    world_make(&w, FM_KEY_P256);
    make_path(evil, w.root, "evil");
    make_path(lung, w.root, "lung");
    make_path(brief, w.root, "brief");
    make_path(other, w.root, "other");
    need(fm_ca_new(evil, "heart", FM_KEY_P256, 5000) == FM_OK, "evil");
    need(fm_ca_new(other, "heart", FM_KEY_P256, 5000) == FM_OK, "other");
    need(fm_ca_new(lung, "lung", FM_KEY_P256, 5000) == FM_OK, "lung");
    need(fm_ca_new(brief, "heart", FM_KEY_P256, 3000) == FM_OK, "brief");
    strange = trust_of(other);
    CU_ASSERT_EQUAL(try(w.trust, evil, w.ca, w.trust), FM_OK); /* the control */
    CU_ASSERT_EQUAL(try(w.trust, evil, evil, w.trust), FM_EAUTH);
    CU_ASSERT_TRUE(says("no pinned CA has named its successor"));
    CU_ASSERT_EQUAL(try(w.trust, evil, other, w.trust), FM_EAUTH);
    CU_ASSERT_EQUAL(try(w.trust, evil, w.ca, strange), FM_EAUTH); /* named for another CA */
    CU_ASSERT_EQUAL(try(w.trust, lung, w.ca, w.trust), FM_EAUTH);
    CU_ASSERT_TRUE(says("federation 'lung'"));
    CU_ASSERT_EQUAL(try(w.trust, brief, w.ca, w.trust), FM_EAUTH);
    CU_ASSERT_TRUE(says("does not outlive"));
    fm_trust_free(&strange);
    world_end(&w);
}

/** A member's key, and the aggregator's, are not the CA's. */
static void a_member_names_no_successor(void)
{
    world w;
    char evil[PATH_CAP], member[PATH_CAP], from[PATH_CAP];
    fm_buf key;

    world_make(&w, FM_KEY_ED25519);
    make_path(evil, w.root, "evil");
    make_path(member, w.root, "member");
    need(fm_ca_new(evil, "heart", FM_KEY_P256, 5000) == FM_OK && fm_dir_make(member, 0700) == FM_OK,
         "evil");
    make_path(from, w.aggregator, "identity.key");
    need(fm_file_read(from, 10000, &key) == FM_OK, from);
    need(replace_file(member, "ca.key", key.data, key.len, 0600) == FM_OK, "key");
    fm_buf_fini(&key);
    CU_ASSERT_EQUAL(try(w.trust, evil, member, w.trust), FM_EAUTH);
    world_end(&w);
}

static void every_byte_of_a_succession_counts(void)
{
    world w;
    fm_trust *ca, *both = NULL;
    fm_succession s;
    uint8_t der[FM_SUCCESSOR_MAX_BYTES], sig[FM_SIGNATURE_MAX];

    world_make(&w, FM_KEY_ED25519);
    need(fm_ca_rotate(w.ca, FM_KEY_ED25519, 5000) == FM_OK, "rotate");
    ca = trust_of(w.ca);
    s = fm_trust_succession(ca);
    memcpy(der, s.ca, s.ca_len);
    memcpy(sig, s.signature, s.signature_len);
    s.ca = der;
    s.signature = sig;
    for (size_t i = 0; i < s.ca_len + s.signature_len; i++) {
        uint8_t *byte = i < s.ca_len ? &der[i] : &sig[i - s.ca_len];

        *byte ^= 1;
        CU_ASSERT_EQUAL(fm_trust_succeed(w.trust, &s, w.now_s, &both), FM_EAUTH);
        *byte ^= 1;
    }
    for (size_t cut = 0; cut < s.ca_len; cut += 7) {
        fm_succession less = s;

        less.ca_len = cut;
        CU_ASSERT_NOT_EQUAL(fm_trust_succeed(w.trust, &less, w.now_s, &both), FM_OK);
    }
    s.signature_len = 0;
    CU_ASSERT_EQUAL(fm_trust_succeed(w.trust, &s, w.now_s, &both), FM_EAUTH);
    CU_ASSERT_PTR_NULL(both);
    fm_trust_free(&ca);
    world_end(&w);
}

/** At most two, unless the older one has ended; and one that has ended names nobody. */
static void there_are_never_three(void)
{
    world w;
    char copy[PATH_CAP];
    fm_trust *first, *second, *both = NULL;
    fm_succession s;
    int64_t after_s;

    world_make(&w, FM_KEY_ED25519);
    make_path(copy, w.root, "copy");
    need(fm_ca_rotate(w.ca, FM_KEY_ED25519, 5000) == FM_OK, "rotate");
    first = trust_of(w.ca);
    need(fm_ca_drop(w.ca) == FM_OK && fm_ca_rotate(w.ca, FM_KEY_ED25519, 9000) == FM_OK, "again");
    second = trust_of(w.ca);
    s = fm_trust_succession(second);
    CU_ASSERT_EQUAL(fm_trust_succeed(first, &s, fm_clock_wall_s(), &both), FM_EAUTH);
    CU_ASSERT_TRUE(says("a third CA"));
    after_s = fm_trust_ca_info(first, 0)->not_after_s + 1;
    CU_ASSERT_EQUAL(fm_trust_succeed(first, &s, after_s, &both), FM_OK);
    CU_ASSERT_EQUAL(fm_trust_ca_count(both), 2);
    CU_ASSERT_TRUE(fm_hash_equal(&fm_trust_ca_info(both, 0)->fingerprint,
                                 &fm_trust_ca_info(first, 1)->fingerprint));
    fm_trust_free(&both);
    s = fm_trust_succession(first);
    CU_ASSERT_EQUAL(fm_trust_succeed(w.trust, &s, after_s, &both), FM_EAUTH);
    fm_trust_free(&second);
    fm_trust_free(&first);
    world_end(&w);
}

/* ---- interrupted ---- */

static void an_interrupted_rotation_or_drop_is_finished_by_the_same_call(void)
{
    world w;
    char list[PATH_CAP], beta[PATH_CAP];
    fm_buf crl, cas, key;
    fm_trust *t;

    world_make(&w, FM_KEY_ED25519);
    make_path(list, w.ca, "crl.pem");
    make_path(beta, w.root, "beta");
    need(fm_file_read(list, 100000, &crl) == FM_OK, list);
    /* Killed after the key: dropping must not take it for the CA's. */
    make_path(list, w.aggregator, "identity.key");
    need(fm_file_read(list, 100000, &key) == FM_OK, list);
    need(replace_file(w.ca, "next.key", key.data, key.len, 0600) == FM_OK, "next.key");
    CU_ASSERT_EQUAL(fm_ca_drop(w.ca), FM_ENOTFOUND);
    CU_ASSERT_EQUAL(fm_ca_refresh(w.ca), FM_OK);
    /* Killed between ca.crt and crl.pem. */
    CU_ASSERT_EQUAL(fm_ca_rotate(w.ca, FM_KEY_ED25519, 5000), FM_OK);
    need(replace_file(w.ca, "crl.pem", crl.data, crl.len, 0644) == FM_OK, "crl.pem");
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "beta", FM_KEY_P256, 30, beta), FM_ESTATE);
    CU_ASSERT_TRUE(says("ca rotate' again"));
    CU_ASSERT_EQUAL(fm_ca_rotate(w.ca, FM_KEY_ED25519, 5000), FM_OK);
    t = trust_of(w.ca);
    CU_ASSERT_EQUAL(fm_trust_list_count(t), 2);
    fm_trust_free(&t);
    /* Killed between crl.pem and ca.crt, and between ca.crt and the key. */
    make_path(list, w.ca, "ca.crt");
    need(fm_file_read(list, 100000, &cas) == FM_OK, list);
    CU_ASSERT_EQUAL(fm_ca_drop(w.ca), FM_OK);
    make_path(list, w.ca, "ca.key");
    fm_buf_fini(&key);
    need(fm_file_read(list, 100000, &key) == FM_OK, list);
    need(replace_file(w.ca, "next.key", key.data, key.len, 0600) == FM_OK, "next.key");
    need(replace_file(w.ca, "ca.crt", cas.data, cas.len, 0644) == FM_OK, "ca.crt");
    CU_ASSERT_EQUAL(fm_ca_drop(w.ca), FM_OK);
    CU_ASSERT_EQUAL(issue(w.ca, FM_ROLE_NODE, "beta", FM_KEY_P256, 30, beta), FM_OK);
    fm_buf_fini(&crl);
    fm_buf_fini(&cas);
    fm_buf_fini(&key);
    world_end(&w);
}

static const fm_test tests[] = {
    { "certificates of both count until the older is dropped",
      certificates_of_both_count_until_the_older_is_dropped },
    { "revoking covers the certificates of both", revoking_covers_the_certificates_of_both },
    { "the CA goes on alone after the drop", the_ca_goes_on_alone_after_the_drop },
    { "a stranger names no successor", a_stranger_names_no_successor },
    { "a member names no successor", a_member_names_no_successor },
    { "every byte of a succession counts", every_byte_of_a_succession_counts },
    { "there are never three", there_are_never_three },
    { "an interrupted rotation or drop is finished by the same call",
      an_interrupted_rotation_or_drop_is_finished_by_the_same_call },
};

extern const fm_test_suite suite_succession;
const fm_test_suite suite_succession = { "certs.succession", tests, FM_TEST_COUNT(tests) };
