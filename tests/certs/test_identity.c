/* Loading one's own identity, verifying another's, signatures. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fedmoe/base/file.h"
#include "forge.h"

static void both_roles_verify_in_their_role_only(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;

        world_make(&w, KEY_TYPES[i]);
        CU_ASSERT_EQUAL(verify(w.trust, w.node_id, FM_ROLE_NODE, w.now_s), FM_OK);
        CU_ASSERT_EQUAL(verify(w.trust, w.aggregator_id, FM_ROLE_AGGREGATOR, w.now_s), FM_OK);
        CU_ASSERT_EQUAL(verify(w.trust, w.node_id, FM_ROLE_AGGREGATOR, w.now_s), FM_EAUTH);
        CU_ASSERT_TRUE(says("role"));
        CU_ASSERT_EQUAL(verify(w.trust, w.aggregator_id, FM_ROLE_NODE, w.now_s), FM_EAUTH);
        CU_ASSERT_EQUAL(verify(w.trust, w.node_id, (fm_role)0, w.now_s), FM_EAUTH);
        world_end(&w);
    }
}

static void a_ca_of_one_key_type_issues_the_other(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        char out[PATH_CAP];
        fm_identity *id = NULL;

        world_make(&w, KEY_TYPES[i]);
        make_path(out, w.root, "beta");
        need(issue(w.ca, FM_ROLE_NODE, "beta", KEY_TYPES[1 - i], 30, out) == FM_OK, "issue");
        need(fm_identity_load(out, &id) == FM_OK, "load");
        CU_ASSERT_EQUAL(verify(w.trust, id, FM_ROLE_NODE, w.now_s), FM_OK);
        fm_identity_free(&id);
        world_end(&w);
    }
}

static void the_info_is_what_was_issued(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        char path[PATH_CAP];
        fm_cert_info info;
        fm_key_type type;
        bool is_ca = true;
        const fm_cert_info *own;
        const uint8_t *der;
        size_t len;
        fm_peer *p = NULL;

        world_make(&w, KEY_TYPES[i]);
        own = fm_identity_info(w.node_id);
        CU_ASSERT_EQUAL(own->role, FM_ROLE_NODE);
        CU_ASSERT_STRING_EQUAL(own->name, "alpha");
        CU_ASSERT_STRING_EQUAL(own->federation, "heart");
        CU_ASSERT_TRUE(own->not_before_s <= w.now_s - 290 && own->not_before_s >= w.now_s - 400);
        CU_ASSERT_TRUE(llabs((long long)(own->not_after_s - w.now_s - 30 * DAY_S)) < 100);

        fm_identity_der(w.node_id, &der, &len);
        need(fm_peer_verify(w.trust, der, len, FM_ROLE_NODE, w.now_s, &p) == FM_OK, "verify");
        CU_ASSERT_EQUAL(memcmp(fm_peer_info(p), own, sizeof *own), 0);
        fm_hash h = fm_hash_of("fedmoe certificate", der, len);
        CU_ASSERT_TRUE(fm_hash_equal(&h, &own->fingerprint));
        fm_peer_free(&p);
        fm_peer_free(&p);

        make_path(path, w.node, "identity.crt");
        CU_ASSERT_EQUAL(fm_cert_describe(path, &info, &type, &is_ca), FM_OK);
        CU_ASSERT_EQUAL(memcmp(&info, own, sizeof info), 0);
        CU_ASSERT_EQUAL(type, KEY_TYPES[i]);
        CU_ASSERT_FALSE(is_ca);
        make_path(path, w.node, "ca.crt");
        CU_ASSERT_EQUAL(fm_cert_describe(path, &info, &type, &is_ca), FM_OK);
        CU_ASSERT_TRUE(is_ca);
        CU_ASSERT_STRING_EQUAL(info.federation, fm_trust_federation(w.trust));
        h = fm_trust_fingerprint(w.trust);
        CU_ASSERT_TRUE(fm_hash_equal(&h, &info.fingerprint));
        make_path(path, w.node, "identity.key");
        CU_ASSERT_EQUAL(fm_cert_describe(path, &info, &type, &is_ca), FM_EPARSE);
        CU_ASSERT_TRUE(says("private key"));
        world_end(&w);
    }
}

/** The first second belongs to the validity; the last does not, as OpenSSL counts. */
static void expired_and_not_yet_valid_are_refused_with_the_date(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        char path[PATH_CAP];
        fm_trust *t = NULL;
        int64_t from, to;

        world_make(&w, KEY_TYPES[i]);
        from = fm_identity_info(w.node_id)->not_before_s;
        to = fm_identity_info(w.node_id)->not_after_s;
        CU_ASSERT_EQUAL(verify(w.trust, w.node_id, FM_ROLE_NODE, from), FM_OK);
        CU_ASSERT_EQUAL(verify(w.trust, w.node_id, FM_ROLE_NODE, to - 1), FM_OK);
        CU_ASSERT_EQUAL(verify(w.trust, w.node_id, FM_ROLE_NODE, to), FM_EAUTH);
        CU_ASSERT_TRUE(says("expired on 20") && says("'alpha'"));
        /* The list begins at the same instant and would be refused first. */
        make_path(path, w.node, "crl.pem");
        need(unlink(path) == 0 && fm_trust_load(w.node, &t) == FM_OK, "trust");
        CU_ASSERT_EQUAL(verify(t, w.node_id, FM_ROLE_NODE, from - 10), FM_EAUTH);
        CU_ASSERT_TRUE(says("not valid before 20"));
        fm_trust_free(&t);
        world_end(&w);
    }
}

static void a_certificate_issued_for_other_years_is_refused_now(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        char out[PATH_CAP];
        fm_identity *id = NULL;
        fm_ca_request r = { .role = FM_ROLE_NODE, .name = "old", .type = KEY_TYPES[i] };

        world_make(&w, KEY_TYPES[i]);
        r.not_before_s = w.now_s - 20 * DAY_S;
        r.not_after_s = w.now_s - 10 * DAY_S;
        make_path(out, w.root, "old");
        need(fm_ca_issue(w.ca, &r, out) == FM_OK && fm_identity_load(out, &id) == FM_OK, "old");
        CU_ASSERT_EQUAL(verify(w.trust, id, FM_ROLE_NODE, w.now_s), FM_EAUTH);
        CU_ASSERT_TRUE(says("expired"));
        fm_identity_free(&id);

        r.name = "new";
        r.not_before_s = w.now_s + 10 * DAY_S;
        r.not_after_s = w.now_s + 20 * DAY_S;
        make_path(out, w.root, "new");
        need(fm_ca_issue(w.ca, &r, out) == FM_OK && fm_identity_load(out, &id) == FM_OK, "new");
        CU_ASSERT_EQUAL(verify(w.trust, id, FM_ROLE_NODE, w.now_s), FM_EAUTH);
        CU_ASSERT_TRUE(says("not valid before"));
        CU_ASSERT_EQUAL(verify(w.trust, id, FM_ROLE_NODE, w.now_s + 15 * DAY_S), FM_OK);
        fm_identity_free(&id);
        world_end(&w);
    }
}

static void another_ca_of_the_same_federation_is_refused(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w, other;

        world_make(&w, KEY_TYPES[i]);
        world_make(&other, KEY_TYPES[i]);
        CU_ASSERT_EQUAL(verify(w.trust, other.node_id, FM_ROLE_NODE, w.now_s), FM_EAUTH);
        CU_ASSERT_TRUE(says("not issued by the pinned CA"));
        world_end(&w);
        world_end(&other);
    }
}

static void a_private_key_that_others_may_read_is_refused(void)
{
    static const mode_t modes[] = { 0640, 0604, 0644, 0660, 0620, 0602 };
    world w;
    char path[PATH_CAP];
    fm_identity *id = NULL;

    world_make(&w, FM_KEY_ED25519);
    make_path(path, w.node, "identity.key");
    for (size_t i = 0; i < FM_TEST_COUNT(modes); i++) {
        need(chmod(path, modes[i]) == 0, "chmod");
        CU_ASSERT_EQUAL(fm_identity_load(w.node, &id), FM_EPERM);
        CU_ASSERT_TRUE(says("identity.key"));
        CU_ASSERT_PTR_NULL(id);
    }
    need(chmod(path, 0400) == 0, "chmod");
    CU_ASSERT_EQUAL(fm_identity_load(w.node, &id), FM_OK);
    fm_identity_free(&id);
    CU_ASSERT_PTR_NULL(id);
    world_end(&w);
}

static void a_key_of_another_certificate_is_refused(void)
{
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++) {
            world w, other;
            fm_identity *id = NULL;

            world_make(&w, KEY_TYPES[i]);
            world_make(&other, KEY_TYPES[j]);
            copy_file(other.node, w.node, "identity.key");
            CU_ASSERT_EQUAL(fm_identity_load(w.node, &id), FM_EAUTH);
            CU_ASSERT_TRUE(says("does not belong"));
            CU_ASSERT_PTR_NULL(id);
            world_end(&w);
            world_end(&other);
        }
}

static void missing_and_damaged_files_are_named(void)
{
    static const char *const texts[] = {
        "",
        "hello\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"
    };
    static const char *const files[] = { "identity.crt", "identity.key" };
    world w;
    fm_identity *id = NULL;
    char path[PATH_CAP];

    world_make(&w, FM_KEY_P256);
    for (size_t f = 0; f < 2; f++) {
        char spare[PATH_CAP];

        make_path(spare, w.root, "spare");
        copy_file(w.node, spare, files[f]);
        for (size_t i = 0; i < FM_TEST_COUNT(texts); i++) {
            need(replace_file(w.node, files[f], texts[i], strlen(texts[i]), 0600) == FM_OK, "w");
            CU_ASSERT_EQUAL(fm_identity_load(w.node, &id), FM_EPARSE);
            CU_ASSERT_TRUE(says(files[f]));
        }
        make_path(path, w.node, files[f]);
        need(unlink(path) == 0, "unlink");
        CU_ASSERT_EQUAL(fm_identity_load(w.node, &id), FM_ENOTFOUND);
        CU_ASSERT_TRUE(says(files[f]));
        copy_file(spare, w.node, files[f]);
    }
    CU_ASSERT_EQUAL(fm_identity_load(w.node, &id), FM_OK);
    fm_identity_free(&id);
    world_end(&w);
}

static void an_encrypted_key_is_refused_without_asking(void)
{
    world w;
    fm_identity *id = NULL;
    char path[PATH_CAP];

    world_make(&w, FM_KEY_ED25519);
    make_path(path, w.node, "identity.key");
    forge_encrypted_key(path);
    CU_ASSERT_EQUAL(fm_identity_load(w.node, &id), FM_EPARSE);
    CU_ASSERT_TRUE(says("passphrase"));
    world_end(&w);
}

static void two_certificates_in_one_file_are_refused(void)
{
    world w;
    fm_identity *id = NULL;
    char path[PATH_CAP];
    fm_buf b;

    world_make(&w, FM_KEY_ED25519);
    make_path(path, w.node, "identity.crt");
    need(fm_file_read(path, 100000, &b) == FM_OK, "read");
    need(fm_buf_append(&b, b.data, 0) == FM_OK, "append");
    size_t n = b.len;
    uint8_t *twice = malloc(2 * n);
    need(twice != NULL, "malloc");
    memcpy(twice, b.data, n);
    memcpy(twice + n, b.data, n);
    need(replace_file(w.node, "identity.crt", twice, 2 * n, 0644) == FM_OK, "write");
    CU_ASSERT_EQUAL(fm_identity_load(w.node, &id), FM_EPARSE);
    CU_ASSERT_TRUE(says("more than one"));
    free(twice);
    fm_buf_fini(&b);
    world_end(&w);
}

static fm_peer *peer_of(const world *w, const fm_identity *id, fm_role role)
{
    const uint8_t *der;
    size_t len;
    fm_peer *p = NULL;

    fm_identity_der(id, &der, &len);
    need(fm_peer_verify(w->trust, der, len, role, w->now_s, &p) == FM_OK, "verify");
    return p;
}

static void a_signature_holds_for_its_label_message_and_signer_only(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        uint8_t sig[FM_SIGNATURE_MAX + 1] = { 0 };
        size_t n = 0;
        fm_peer *node, *hub;

        world_make(&w, KEY_TYPES[i]);
        node = peer_of(&w, w.node_id, FM_ROLE_NODE);
        hub = peer_of(&w, w.aggregator_id, FM_ROLE_AGGREGATOR);
        CU_ASSERT_EQUAL(fm_identity_sign(w.node_id, "label a", "message", 7, sig, &n), FM_OK);
        CU_ASSERT_EQUAL(fm_peer_check_signature(node, "label a", "message", 7, sig, n), FM_OK);
        CU_ASSERT_EQUAL(fm_peer_check_signature(node, "label b", "message", 7, sig, n), FM_EAUTH);
        CU_ASSERT_TRUE(says("label b"));
        CU_ASSERT_EQUAL(fm_peer_check_signature(node, "label", " amessage", 9, sig, n), FM_EAUTH);
        CU_ASSERT_EQUAL(fm_peer_check_signature(node, "", "message", 7, sig, n), FM_EAUTH);
        CU_ASSERT_EQUAL(fm_peer_check_signature(node, "label a", "messagf", 7, sig, n), FM_EAUTH);
        CU_ASSERT_EQUAL(fm_peer_check_signature(node, "label a", "message", 6, sig, n), FM_EAUTH);
        CU_ASSERT_EQUAL(fm_peer_check_signature(hub, "label a", "message", 7, sig, n), FM_EAUTH);
        for (size_t k = 0; k <= n + 1; k++)
            if (k != n)
                CU_ASSERT_EQUAL(fm_peer_check_signature(node, "label a", "message", 7, sig, k),
                                FM_EAUTH);
        for (size_t k = 0; k < n; k++)
            for (unsigned bit = 0; bit < 8; bit++) {
                sig[k] = (uint8_t)(sig[k] ^ (1u << bit));
                CU_ASSERT_EQUAL(fm_peer_check_signature(node, "label a", "message", 7, sig, n),
                                FM_EAUTH);
                sig[k] = (uint8_t)(sig[k] ^ (1u << bit));
            }
        CU_ASSERT_EQUAL(fm_peer_check_signature(node, "label a", "message", 7, NULL, 0), FM_EAUTH);
        CU_ASSERT_EQUAL(fm_peer_check_signature(node, "label a", "message", 7, sig, 1000),
                        FM_EAUTH);
        fm_peer_free(&node);
        fm_peer_free(&hub);
        world_end(&w);
    }
}

/** A label's zero byte keeps "ab" + "c" apart from "a" + "bc". */
static void an_empty_and_a_long_message_can_be_signed(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        uint8_t sig[FM_SIGNATURE_MAX];
        uint8_t *big = calloc(1, 1 << 20);
        size_t n = 0;
        fm_peer *node;

        need(big != NULL, "calloc");
        world_make(&w, KEY_TYPES[i]);
        node = peer_of(&w, w.node_id, FM_ROLE_NODE);
        CU_ASSERT_EQUAL(fm_identity_sign(w.node_id, "l", NULL, 0, sig, &n), FM_OK);
        CU_ASSERT_EQUAL(fm_peer_check_signature(node, "l", NULL, 0, sig, n), FM_OK);
        CU_ASSERT_EQUAL(fm_peer_check_signature(node, "l", "\0", 1, sig, n), FM_EAUTH);
        CU_ASSERT_EQUAL(fm_identity_sign(w.node_id, "l", big, 1 << 20, sig, &n), FM_OK);
        CU_ASSERT_EQUAL(fm_peer_check_signature(node, "l", big, 1 << 20, sig, n), FM_OK);
        CU_ASSERT_EQUAL(fm_identity_sign(w.node_id, "l", NULL, 3, sig, &n), FM_EINVAL);
        CU_ASSERT_EQUAL(fm_identity_sign(w.node_id, NULL, big, 3, sig, &n), FM_EINVAL);
        fm_peer_free(&node);
        world_end(&w);
        free(big);
    }
}

static const fm_test tests[] = {
    { "both roles verify, in their role only", both_roles_verify_in_their_role_only },
    { "a CA of one key type issues the other", a_ca_of_one_key_type_issues_the_other },
    { "the info is what was issued", the_info_is_what_was_issued },
    { "expired and not yet valid are refused with the date",
      expired_and_not_yet_valid_are_refused_with_the_date },
    { "a certificate issued for other years is refused now",
      a_certificate_issued_for_other_years_is_refused_now },
    { "another CA of the same federation is refused",
      another_ca_of_the_same_federation_is_refused },
    { "a private key that others may read is refused",
      a_private_key_that_others_may_read_is_refused },
    { "a key of another certificate is refused", a_key_of_another_certificate_is_refused },
    { "missing and damaged files are named", missing_and_damaged_files_are_named },
    { "an encrypted key is refused without asking", an_encrypted_key_is_refused_without_asking },
    { "two certificates in one file are refused", two_certificates_in_one_file_are_refused },
    { "a signature holds for its label, message and signer only",
      a_signature_holds_for_its_label_message_and_signer_only },
    { "an empty and a long message can be signed", an_empty_and_a_long_message_can_be_signed },
};

extern const fm_test_suite suite_identity;
const fm_test_suite suite_identity = { "certs.identity", tests, FM_TEST_COUNT(tests) };
