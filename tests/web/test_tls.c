/* TLS, and visitors by their certificates: the federation's own CA, as certs/ checks it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/certs/identity.h"
#include "fm_test.h"
#include "http.h"
#include "suites.h"

static char dir[200], links[256], ca[256], node[256], hub[256], strange_ca[256], strange[256];
static char key_path[256], crt_path[256];
static http_answer a;
static size_t shown; /* certificates that `who` was last given */

static fm_status who(void *context, const uint8_t *const *der, const size_t *n, size_t count,
                     fm_web_role *role, char *name)
{
    fm_trust **trust = context;
    fm_peer *p = NULL;

    shown = count;
    for (int i = 0; i < 2 && count > 0; i++)
        if (fm_peer_verify(*trust, der[0], n[0], i == 0 ? FM_ROLE_NODE : FM_ROLE_AGGREGATOR,
                           fm_clock_wall_s(), &p) == FM_OK) {
            *role = i == 0 ? FM_WEB_MEMBER : FM_WEB_COORDINATOR;
            (void)snprintf(name, FM_WEB_NAME_MAX + 1, "%s", fm_peer_info(p)->name);
            fm_peer_free(&p);
            return FM_OK;
        }
    return FM_EAUTH;
}

static void issue(const char *from, fm_role role, const char *name, fm_key_type type,
                  const char *to)
{
    const fm_ca_request r = { .role = role, .name = name, .type = type, .days = 9 };

    CU_ASSERT_EQUAL_FATAL(fm_ca_issue(from, &r, to), FM_OK);
}

static void make_world(void)
{
    fm_test_tmpdir(dir, sizeof dir);
    (void)snprintf(links, sizeof links, "%s/links", dir);
    (void)snprintf(ca, sizeof ca, "%s/ca", dir);
    (void)snprintf(node, sizeof node, "%s/node", dir);
    (void)snprintf(hub, sizeof hub, "%s/hub", dir);
    (void)snprintf(strange_ca, sizeof strange_ca, "%s/ca2", dir);
    (void)snprintf(strange, sizeof strange, "%s/node2", dir);
    (void)snprintf(key_path, sizeof key_path, "%s/page.key", dir);
    (void)snprintf(crt_path, sizeof crt_path, "%s/page.crt", dir);
    CU_ASSERT_EQUAL_FATAL(fm_ca_new(ca, "heart", FM_KEY_ED25519, 30), FM_OK);
    CU_ASSERT_EQUAL_FATAL(fm_ca_new(strange_ca, "heart", FM_KEY_P256, 30), FM_OK);
    issue(ca, FM_ROLE_NODE, "northgate", FM_KEY_ED25519, node);
    issue(ca, FM_ROLE_AGGREGATOR, "hub", FM_KEY_P256, hub);
    issue(strange_ca, FM_ROLE_NODE, "northgate", FM_KEY_P256, strange);
}

static char *text_of(const char *folder, const char *name)
{
    char path[512];
    fm_buf b = { 0 };

    (void)snprintf(path, sizeof path, "%s%s%s", folder, *name ? "/" : "", name);
    CU_ASSERT_EQUAL_FATAL(fm_file_read(path, 100000, &b), FM_OK);
    return (char *)b.data;
}

static fm_web *start(fm_trust **trust)
{
    static const char *const hosts[] = { "localhost", "127.0.0.1" };
    fm_web_options o = {
        .address = "127.0.0.1:0", .links_path = links, .who = who, .who_context = trust
    };
    fm_web *w = NULL;
    char *key, *crt, *cas;

    CU_ASSERT_EQUAL_FATAL(fm_web_self_signed(key_path, crt_path, hosts, 2), FM_OK);
    o.key_pem = key = text_of(key_path, "");
    o.certificate_pem = crt = text_of(crt_path, "");
    o.trust_pem = cas = text_of(ca, "ca.crt");
    CU_ASSERT_EQUAL_FATAL(fm_web_start(&o, &w), FM_OK);
    free(key);
    free(crt);
    free(cas);
    CU_ASSERT_EQUAL(
        fm_web_publish(w, "/m", "text/plain", FM_WEB_MEMBER, "northgate", "northgate's", 11),
        FM_OK);
    CU_ASSERT_EQUAL(fm_web_publish(w, "/c", "text/plain", FM_WEB_COORDINATOR, NULL, "all", 3),
                    FM_OK);
    return w;
}

typedef struct {
    int fd;
    gnutls_session_t s;
    gnutls_certificate_credentials_t own;
} tls;

static bool tls_begin(const fm_web *w, const char *priorities, tls *t)
{
    int rc;

    t->fd = http_connect(w);
    gnutls_init(&t->s, GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT);
    gnutls_priority_set_direct(t->s, priorities, NULL);
    gnutls_credentials_set(t->s, GNUTLS_CRD_CERTIFICATE, t->own);
    gnutls_transport_set_int(t->s, t->fd);
    gnutls_handshake_set_timeout(t->s, 5000);
    do
        rc = gnutls_handshake(t->s);
    while (rc < 0 && !gnutls_error_is_fatal(rc));
    return rc >= 0;
}

/* @param folder  an identity; NULL: without a certificate. */
static bool tls_open(const fm_web *w, const char *folder, const char *priorities, tls *t)
{
    char key[512], crt[512];

    gnutls_certificate_allocate_credentials(&t->own);
    if (folder) {
        (void)snprintf(key, sizeof key, "%s/identity.key", folder);
        (void)snprintf(crt, sizeof crt, "%s/identity.crt", folder);
        CU_ASSERT_EQUAL(gnutls_certificate_set_x509_key_file(t->own, crt, key, GNUTLS_X509_FMT_PEM),
                        0);
    }
    return tls_begin(w, priorities, t);
}

static gnutls_x509_crt_t crt_new(gnutls_x509_privkey_t key, size_t number)
{
    gnutls_x509_crt_t crt = NULL;
    char name[20];

    (void)snprintf(name, sizeof name, "CN=%zu", number);
    gnutls_x509_crt_init(&crt);
    gnutls_x509_crt_set_version(crt, 3);
    gnutls_x509_crt_set_serial(crt, "1", 1);
    gnutls_x509_crt_set_dn(crt, name, NULL);
    gnutls_x509_crt_set_activation_time(crt, time(NULL) - 60);
    gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 3600);
    gnutls_x509_crt_set_basic_constraints(crt, number > 0, -1);
    gnutls_x509_crt_set_key(crt, key);
    return crt;
}

/* Signed, and read again: only then the library knows whose issuer it is. */
static gnutls_x509_crt_t crt_signed(gnutls_x509_crt_t crt, gnutls_x509_crt_t by,
                                    gnutls_x509_privkey_t key)
{
    gnutls_x509_crt_t whole = NULL;
    gnutls_datum_t der = { 0 };

    gnutls_x509_crt_sign2(crt, by, key, GNUTLS_DIG_SHA256, 0);
    CU_ASSERT_EQUAL_FATAL(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der), 0);
    gnutls_x509_crt_init(&whole);
    CU_ASSERT_EQUAL_FATAL(gnutls_x509_crt_import(whole, &der, GNUTLS_X509_FMT_DER), 0);
    gnutls_free(der.data);
    gnutls_x509_crt_deinit(crt);
    return whole;
}

/* A certificate with so many issuers behind it: a client's library sends no others. */
static bool tls_open_path(const fm_web *w, size_t issuers, tls *t)
{
    gnutls_x509_crt_t path[16];
    gnutls_x509_privkey_t key = NULL;

    gnutls_x509_privkey_init(&key);
    gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    for (size_t i = 0; i <= issuers; i++)
        path[i] = crt_new(key, i);
    for (size_t i = 0; i <= issuers; i++)
        path[i] = crt_signed(path[i], path[i < issuers ? i + 1 : i], key);
    gnutls_certificate_allocate_credentials(&t->own);
    CU_ASSERT_EQUAL_FATAL(gnutls_certificate_set_x509_key(t->own, path, (int)issuers + 1, key), 0);
    for (size_t i = 0; i <= issuers; i++)
        gnutls_x509_crt_deinit(path[i]);
    gnutls_x509_privkey_deinit(key);
    return tls_begin(w, "NORMAL", t);
}

static int tls_get(tls *t, const char *path)
{
    char text[300];
    ssize_t got;
    int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);

    memset(&a, 0, sizeof a);
    if (gnutls_record_send(t->s, text, (size_t)n) < 0)
        return 0;
    while (a.n + 1 < sizeof a.all &&
           (got = gnutls_record_recv(t->s, a.all + a.n, sizeof a.all - 1 - a.n)) > 0) {
        a.n += (size_t)got;
        if (sscanf(a.all, "HTTP/1.1 %d", &a.code) == 1 && http_is_whole(&a))
            return a.code;
    }
    return 0;
}

static void tls_close(tls *t)
{
    gnutls_deinit(t->s);
    gnutls_certificate_free_credentials(t->own);
    close(t->fd);
}

static void a_certificate_of_the_federation_says_who_asks(void)
{
    fm_trust *trust = NULL;
    fm_web *w;
    tls t;

    make_world();
    CU_ASSERT_EQUAL_FATAL(fm_trust_load(node, &trust), FM_OK);
    w = start(&trust);
    CU_ASSERT_TRUE_FATAL(tls_open(w, node, "NORMAL", &t));
    CU_ASSERT_EQUAL(tls_get(&t, "/m"), 200);
    CU_ASSERT_EQUAL(tls_get(&t, "/c"), 404);
    tls_close(&t);
    CU_ASSERT_TRUE_FATAL(tls_open(w, hub, "NORMAL", &t));
    CU_ASSERT_EQUAL(tls_get(&t, "/c"), 200);
    CU_ASSERT_EQUAL(tls_get(&t, "/m"), 404);
    tls_close(&t);
    CU_ASSERT_TRUE_FATAL(tls_open(w, NULL, "NORMAL", &t));
    CU_ASSERT_EQUAL(tls_get(&t, "/m"), 404);
    tls_close(&t);
    if (tls_open(w, strange, "NORMAL", &t)) { /* of the same name, by another CA */
        CU_ASSERT_NOT_EQUAL(tls_get(&t, "/m"), 200);
    }
    tls_close(&t);
    fm_web_stop(&w);
    fm_trust_free(&trust);
}

static void a_revoked_one_counts_no_more_even_on_a_connection_that_stands(void)
{
    fm_trust *trust = NULL, *old;
    fm_web *w;
    char path[512];
    tls t;

    make_world();
    CU_ASSERT_EQUAL_FATAL(fm_trust_load(node, &trust), FM_OK);
    w = start(&trust);
    CU_ASSERT_TRUE_FATAL(tls_open(w, node, "NORMAL", &t));
    CU_ASSERT_EQUAL(tls_get(&t, "/m"), 200);
    CU_ASSERT_EQUAL(fm_ca_revoke(ca, "northgate"), FM_OK);
    (void)snprintf(path, sizeof path, "%s/crl.pem", ca);
    char *crl = text_of(path, "");
    (void)snprintf(path, sizeof path, "%s/crl.pem", node);
    CU_ASSERT_EQUAL(fm_file_replace(path, crl, strlen(crl), 0644), FM_OK);
    free(crl);
    old = trust;
    CU_ASSERT_EQUAL_FATAL(fm_trust_load(node, &trust), FM_OK);
    CU_ASSERT_EQUAL(tls_get(&t, "/m"), 404);
    tls_close(&t);
    CU_ASSERT_TRUE(tls_open(w, node, "NORMAL", &t));
    CU_ASSERT_EQUAL(tls_get(&t, "/m"), 404);
    tls_close(&t);
    fm_web_stop(&w);
    fm_trust_free(&old);
    fm_trust_free(&trust);
}

static void of_a_long_path_only_the_first_four_are_looked_at(void)
{
    fm_trust *trust = NULL;
    fm_web *w;
    tls t;

    make_world();
    CU_ASSERT_EQUAL_FATAL(fm_trust_load(node, &trust), FM_OK);
    w = start(&trust);
    for (size_t issuers = 0; issuers <= 14; issuers += 7) {
        shown = 0;
        CU_ASSERT_TRUE_FATAL(tls_open_path(w, issuers, &t));
        CU_ASSERT_EQUAL(tls_get(&t, "/m"), 404);
        CU_ASSERT_EQUAL(shown, issuers == 0 ? 1 : 4);
        tls_close(&t);
    }
    fm_web_stop(&w);
    fm_trust_free(&trust);
}

static void old_tls_and_plain_http_get_nothing(void)
{
    fm_trust *trust = NULL;
    fm_web *w;
    tls t;

    make_world();
    CU_ASSERT_EQUAL_FATAL(fm_trust_load(node, &trust), FM_OK);
    w = start(&trust);
    CU_ASSERT_FALSE(tls_open(w, node, "NORMAL:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0", &t));
    tls_close(&t);
    CU_ASSERT_TRUE(tls_open(w, node, "NORMAL:-VERS-ALL:+VERS-TLS1.2", &t));
    CU_ASSERT_EQUAL(tls_get(&t, "/m"), 200);
    tls_close(&t);
    http_get(w, "/m", NULL, &a);
    CU_ASSERT_EQUAL(a.code, 0);
    fm_web_stop(&w);
    fm_trust_free(&trust);
}

static void the_pages_own_key_is_made_once_and_private(void)
{
    static const char *const hosts[] = { "agg.example", "192.0.2.1", "::1" };
    char first[FM_WEB_FINGERPRINT_SIZE], again[FM_WEB_FINGERPRINT_SIZE];
    struct stat s;
    char *crt;

    make_world();
    CU_ASSERT_EQUAL_FATAL(fm_web_self_signed(key_path, crt_path, hosts, 3), FM_OK);
    CU_ASSERT_EQUAL(stat(key_path, &s), 0);
    CU_ASSERT_EQUAL(s.st_mode & 0777, 0600);
    crt = text_of(crt_path, "");
    CU_ASSERT_EQUAL(fm_web_fingerprint(crt, first), FM_OK);
    free(crt);
    CU_ASSERT_EQUAL(strlen(first), 95);
    CU_ASSERT_EQUAL_FATAL(fm_web_self_signed(key_path, crt_path, hosts, 3), FM_OK);
    crt = text_of(crt_path, "");
    CU_ASSERT_EQUAL(fm_web_fingerprint(crt, again), FM_OK);
    free(crt);
    CU_ASSERT_STRING_EQUAL(first, again);
    CU_ASSERT_EQUAL(unlink(key_path), 0);
    CU_ASSERT_EQUAL(fm_web_self_signed(key_path, crt_path, hosts, 3), FM_EEXIST);
    CU_ASSERT_EQUAL(fm_web_fingerprint("no certificate", again), FM_EPARSE);
}

static const fm_test tests[] = {
    { "a certificate of the federation says who asks",
      a_certificate_of_the_federation_says_who_asks },
    { "a revoked one counts no more, even on a connection that stands",
      a_revoked_one_counts_no_more_even_on_a_connection_that_stands },
    { "of a long path only the first four are looked at",
      of_a_long_path_only_the_first_four_are_looked_at },
    { "old TLS and plain HTTP get nothing", old_tls_and_plain_http_get_nothing },
    { "the page's own key is made once, and private", the_pages_own_key_is_made_once_and_private },
};

const fm_test_suite web_tls_suite = { "web.tls", tests, FM_TEST_COUNT(tests) };
