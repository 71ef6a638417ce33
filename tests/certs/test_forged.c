/* Certificates made by an attacker, or signed by our CA but not of fedmoe's form. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fedmoe/base/file.h"
#include "forge.h"

static fm_status verify_forged(const world *w, const forge_plan *p)
{
    uint8_t der[FM_CERT_MAX_BYTES];
    size_t len = 0;
    fm_peer *peer = NULL;
    fm_status st;

    forge(p, der, &len);
    st = fm_peer_verify(w->trust, der, len, FM_ROLE_NODE, w->now_s, &peer);
    fm_peer_free(&peer);
    return st;
}

/** The control: without a defect the forged certificate passes, so each defect is what fails. */
static void a_forged_certificate_without_defect_passes(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        forge_plan p;

        world_make(&w, KEY_TYPES[i]);
        p = forge_good(&w);
        CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_OK);
        p.subject_key = FORGE_ED25519;
        CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_OK);
        p.san = "DNS:alpha.example,URI:https://example.org,URI:urn:fedmoe:node:heart:forged";
        CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_OK);
        world_end(&w);
    }
}

static void names_that_are_not_exactly_one_fedmoe_uri_are_refused(void)
{
    static const char *const sans[] = {
        NULL,
        "DNS:alpha",
        "URI:urn:fedmoe:node:heart:forged,URI:urn:fedmoe:node:heart:forged",
        "URI:urn:fedmoe:node:heart:forged,URI:urn:fedmoe:aggregator:heart:forged",
        "URI:urn:fedmoe:node:heart:forged,URI:URN:FEDMOE:node:heart:forged",
        "URI:urn:fedmoe:aggregator:heart:forged",
        "URI:URN:fedmoe:node:heart:forged",
        "URI:urn:fedmoe:node:lung:forged",
        "URI:urn:fedmoe:node:hear:forged",
        "URI:urn:fedmoe:node:heart",
        "URI:urn:fedmoe:node:heart:",
        "URI:urn:fedmoe:node::forged",
        "URI:urn:fedmoe::heart:forged",
        "URI:urn:fedmoe:node:heart:forged:",
        "URI:urn:fedmoe:node:heart:forged:x",
        "URI:urn:fedmoe:node:heart:Forged",
        "URI:urn:fedmoe:node:heart:for ged",
        "URI:urn:fedmoe:node:heart:-forged",
        "URI:urn:fedmoe:nodes:heart:forged",
        "URI:urn:fedmoe:ca:heart",
        "URI:urn:fedmoe:ca:heart:forged",
        "URI:urn:fedmoe:",
        "DNS:urn:fedmoe:node:heart:forged",
        "URI:urn:fedmoe:node:heart:"
        "0123456789012345678901234567890123456789012345678901234567890123",
    };

    for (size_t i = 0; i < 2; i++) {
        world w;
        forge_plan p;

        world_make(&w, KEY_TYPES[i]);
        p = forge_good(&w);
        for (size_t k = 0; k < FM_TEST_COUNT(sans); k++) {
            p.san = sans[k];
            CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
        }
        world_end(&w);
    }
}

static void a_federation_other_than_the_cas_is_refused_by_name(void)
{
    world w;
    forge_plan p;

    world_make(&w, FM_KEY_P256);
    p = forge_good(&w);
    p.san = "URI:urn:fedmoe:node:lung:forged";
    CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
    CU_ASSERT_TRUE(says("'lung'") && says("'heart'"));
    world_end(&w);
}

static void keys_other_than_ed25519_and_p256_are_refused(void)
{
    static const forge_key keys[] = { FORGE_P384, FORGE_RSA, FORGE_ED448, FORGE_P256_EXPLICIT };
    world w;
    forge_plan p;

    world_make(&w, FM_KEY_P256);
    p = forge_good(&w);
    for (size_t i = 0; i < FM_TEST_COUNT(keys); i++) {
        p.subject_key = keys[i];
        CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
        CU_ASSERT_TRUE(says("Ed25519 nor P-256"));
    }
    world_end(&w);
}

static void wrong_constraints_and_usages_are_refused(void)
{
    static const char *const basics[] = { NULL, "critical,CA:TRUE", "critical,CA:TRUE,pathlen:0",
                                          "CA:TRUE" };
    static const char *const usages[] = {
        NULL,
        "critical,keyAgreement",
        "critical,keyCertSign",
        "critical,digitalSignature,keyCertSign",
        "critical,digitalSignature,cRLSign",
    };
    world w;
    forge_plan p;

    world_make(&w, FM_KEY_ED25519);
    for (size_t i = 0; i < FM_TEST_COUNT(basics); i++) {
        p = forge_good(&w);
        p.basic = basics[i];
        CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
        if (basics[i]) {
            p.usage = "critical,digitalSignature,keyCertSign,cRLSign";
            CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
            p.san = "URI:urn:fedmoe:ca:heart";
            CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
        }
    }
    for (size_t i = 0; i < FM_TEST_COUNT(usages); i++) {
        p = forge_good(&w);
        p.usage = usages[i];
        CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
        CU_ASSERT_TRUE(says("usage"));
    }
    world_end(&w);
}

static void forms_that_strict_x509_forbids_are_refused(void)
{
    world w;
    forge_plan p;

    world_make(&w, FM_KEY_P256);
    p = forge_good(&w);
    p.without_akid = true;
    CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
    p = forge_good(&w);
    p.unknown_critical = true;
    CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
    CU_ASSERT_TRUE(says("not known"));
    p = forge_good(&w);
    p.sha1 = true;
    CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
    p = forge_good(&w);
    p.version1 = true;
    CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
    CU_ASSERT_TRUE(says("X.509 v3"));
    p = forge_good(&w);
    p.to_s = w.now_s - 1;
    CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
    world_end(&w);
}

static void the_cas_own_certificate_is_nobodys_identity(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        char path[PATH_CAP];
        fm_identity *id = NULL;

        world_make(&w, KEY_TYPES[i]);
        copy_file(w.ca, w.node, "ca.key");
        make_path(path, w.root, "mixed");
        copy_file(w.ca, path, "ca.crt");
        copy_file(w.ca, path, "ca.key");
        /* As the own identity ... */
        char from[PATH_CAP], to[PATH_CAP];
        make_path(from, path, "ca.crt");
        make_path(to, path, "identity.crt");
        need(rename(from, to) == 0, "rename");
        make_path(from, path, "ca.key");
        make_path(to, path, "identity.key");
        need(rename(from, to) == 0, "rename");
        CU_ASSERT_EQUAL(fm_identity_load(path, &id), FM_EAUTH);
        CU_ASSERT_TRUE(says("CA"));
        world_end(&w);
    }
}

/** ... and as a peer's: the DER of ca.crt, for which the chain itself would be good. */
static void a_ca_certificate_as_a_peers_is_refused(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        uint8_t der[FM_CERT_MAX_BYTES];
        size_t len = 0;
        fm_peer *p = NULL;

        world_make(&w, KEY_TYPES[i]);
        der_of(w.ca, "ca.crt", der, &len);
        CU_ASSERT_EQUAL(fm_peer_verify(w.trust, der, len, FM_ROLE_NODE, w.now_s, &p), FM_EAUTH);
        CU_ASSERT_TRUE(says("CA"));
        CU_ASSERT_EQUAL(fm_peer_verify(w.trust, der, len, (fm_role)0, w.now_s, &p), FM_EAUTH);
        CU_ASSERT_PTR_NULL(p);
        world_end(&w);
    }
}

static void a_member_cannot_issue(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w;
        forge_plan p;

        world_make(&w, KEY_TYPES[i]);
        p = forge_good(&w);
        p.dir = w.node;
        p.cert = "identity.crt";
        p.key = "identity.key";
        CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
        /* Under the CA's name and key identifier, with the member's signature. */
        p.issuer_dir = w.ca;
        CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
        world_end(&w);
    }
}

static void self_signed_and_foreign_certificates_are_refused(void)
{
    for (size_t i = 0; i < 2; i++) {
        world w, other;
        forge_plan p;

        world_make(&w, KEY_TYPES[i]);
        world_make(&other, KEY_TYPES[i]);
        p = forge_good(&w);
        p.dir = NULL;
        CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
        p = forge_good(&other);
        CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
        p.issuer_dir = w.ca;
        CU_ASSERT_EQUAL(verify_forged(&w, &p), FM_EAUTH);
        world_end(&w);
        world_end(&other);
    }
}

static void a_ca_that_is_not_one_of_fedmoes_cannot_be_pinned(void)
{
    static const char good_basic[] = "critical,CA:TRUE,pathlen:0";
    static const char good_usage[] = "critical,keyCertSign,cRLSign";
    char root[PATH_CAP], dir[PATH_CAP];
    fm_trust *t = NULL;

    fm_test_tmpdir(root, sizeof root - 8);
    make_path(dir, root, "a");
    forge_ca(dir, "URI:urn:fedmoe:ca:heart", good_basic, good_usage);
    CU_ASSERT_EQUAL(fm_trust_load(dir, &t), FM_OK);
    fm_trust_free(&t);
    make_path(dir, root, "b");
    forge_ca(dir, "DNS:ca", good_basic, good_usage);
    CU_ASSERT_EQUAL(fm_trust_load(dir, &t), FM_EPARSE);
    make_path(dir, root, "c");
    forge_ca(dir, "URI:urn:fedmoe:ca:heart", "critical,CA:FALSE", good_usage);
    CU_ASSERT_EQUAL(fm_trust_load(dir, &t), FM_EPARSE);
    make_path(dir, root, "d");
    forge_ca(dir, "URI:urn:fedmoe:ca:heart", good_basic, "critical,keyCertSign");
    CU_ASSERT_EQUAL(fm_trust_load(dir, &t), FM_EPARSE);
    make_path(dir, root, "e");
    forge_ca(dir, "URI:urn:fedmoe:node:heart:forged", "critical,CA:FALSE",
             "critical,digitalSignature");
    CU_ASSERT_EQUAL(fm_trust_load(dir, &t), FM_EAUTH);
    CU_ASSERT_TRUE(says("ca.crt"));
    CU_ASSERT_EQUAL(fm_trust_load(root, &t), FM_ENOTFOUND);
    CU_ASSERT_PTR_NULL(t);
}

/** An intermediate CA, even one that our CA signed, cannot stand in the place of the pinned one. */
static void a_ca_signed_by_another_cannot_be_pinned(void)
{
    world w;
    forge_plan p;
    char dir[PATH_CAP], path[PATH_CAP];
    fm_trust *t = NULL;

    world_make(&w, FM_KEY_P256);
    p = forge_good(&w);
    p.san = "URI:urn:fedmoe:ca:heart";
    p.basic = "critical,CA:TRUE";
    p.usage = "critical,keyCertSign,cRLSign";
    make_path(dir, w.root, "sub");
    need(fm_dir_make(dir, 0700) == FM_OK, "mkdir");
    make_path(path, dir, "ca.crt");
    forge_file(&p, path);
    CU_ASSERT_EQUAL(fm_trust_load(dir, &t), FM_EAUTH);
    CU_ASSERT_TRUE(says("own key"));
    world_end(&w);
}

static void bytes_that_are_no_certificate_are_refused(void)
{
    static const uint8_t junk[64] = { 0x30, 0x3e };
    world w;
    uint8_t der[FM_CERT_MAX_BYTES + 1] = { 0 };
    size_t len = 0;
    fm_peer *p = NULL;

    world_make(&w, FM_KEY_ED25519);
    CU_ASSERT_EQUAL(fm_peer_verify(w.trust, NULL, 0, FM_ROLE_NODE, w.now_s, &p), FM_EAUTH);
    CU_ASSERT_EQUAL(fm_peer_verify(w.trust, junk, 0, FM_ROLE_NODE, w.now_s, &p), FM_EAUTH);
    CU_ASSERT_EQUAL(fm_peer_verify(w.trust, junk, 64, FM_ROLE_NODE, w.now_s, &p), FM_EAUTH);
    der_of(w.node, "identity.crt", der, &len);
    CU_ASSERT_EQUAL(fm_peer_verify(w.trust, der, len, FM_ROLE_NODE, w.now_s, &p), FM_OK);
    fm_peer_free(&p);
    CU_ASSERT_EQUAL(fm_peer_verify(w.trust, der, sizeof der, FM_ROLE_NODE, w.now_s, &p), FM_EAUTH);
    CU_ASSERT_EQUAL(fm_peer_verify(NULL, der, len, FM_ROLE_NODE, w.now_s, &p), FM_EINVAL);
    CU_ASSERT_PTR_NULL(p);
    world_end(&w);
}

static const fm_test tests[] = {
    { "a forged certificate without defect passes (control)",
      a_forged_certificate_without_defect_passes },
    { "names that are not exactly one fedmoe URI are refused",
      names_that_are_not_exactly_one_fedmoe_uri_are_refused },
    { "a federation other than the CA's is refused by name",
      a_federation_other_than_the_cas_is_refused_by_name },
    { "keys other than Ed25519 and P-256 are refused",
      keys_other_than_ed25519_and_p256_are_refused },
    { "wrong constraints and usages are refused", wrong_constraints_and_usages_are_refused },
    { "forms that strict X.509 forbids are refused", forms_that_strict_x509_forbids_are_refused },
    { "the CA's own certificate is nobody's identity",
      the_cas_own_certificate_is_nobodys_identity },
    { "a CA certificate as a peer's is refused", a_ca_certificate_as_a_peers_is_refused },
    { "a member cannot issue", a_member_cannot_issue },
    { "self-signed and foreign certificates are refused",
      self_signed_and_foreign_certificates_are_refused },
    { "a CA that is not one of fedmoe's cannot be pinned",
      a_ca_that_is_not_one_of_fedmoes_cannot_be_pinned },
    { "a CA signed by another cannot be pinned", a_ca_signed_by_another_cannot_be_pinned },
    { "bytes that are no certificate are refused", bytes_that_are_no_certificate_are_refused },
};

extern const fm_test_suite suite_forged;
const fm_test_suite suite_forged = { "certs.forged", tests, FM_TEST_COUNT(tests) };
