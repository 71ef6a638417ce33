/* A certificate that only its fingerprint proves. No identity of a federation: those are certs/. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "web_internal.h"

#define LIFE_S (10LL * 365 * 24 * 3600)
#define SERIAL_BYTES 16

static int add_host(gnutls_x509_crt_t crt, const char *host, unsigned flags)
{
    struct in6_addr a;

    if (inet_pton(AF_INET, host, &a) == 1)
        return web_lib.gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, &a, 4,
                                                            flags);
    if (inet_pton(AF_INET6, host, &a) == 1)
        return web_lib.gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, &a, 16,
                                                            flags);
    return web_lib.gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, host,
                                                        (unsigned)strlen(host), flags);
}

static int describe(gnutls_x509_crt_t crt, const char *const *hosts, size_t count)
{
    const time_t now = time(NULL);
    uint8_t serial[SERIAL_BYTES];
    int rc;

    fm_random_bytes(serial, sizeof serial);
    serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40); /* positive, and of one length */
    if ((rc = web_lib.gnutls_x509_crt_set_version(crt, 3)) < 0 ||
        (rc = web_lib.gnutls_x509_crt_set_serial(crt, serial, sizeof serial)) < 0 ||
        (rc = web_lib.gnutls_x509_crt_set_dn(crt, "CN=fedmoe page", NULL)) < 0 ||
        (rc = web_lib.gnutls_x509_crt_set_activation_time(crt, now - 300)) < 0 ||
        (rc = web_lib.gnutls_x509_crt_set_expiration_time(crt, now + LIFE_S)) < 0 ||
        (rc = web_lib.gnutls_x509_crt_set_basic_constraints(crt, 0, -1)) < 0 ||
        (rc = web_lib.gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE)) < 0 ||
        (rc = web_lib.gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0)) < 0)
        return rc;
    for (size_t i = 0; rc >= 0 && i < count; i++)
        rc = add_host(crt, hosts[i], i == 0 ? GNUTLS_FSAN_SET : GNUTLS_FSAN_APPEND);
    return rc;
}

static int make(const char *const *hosts, size_t count, gnutls_datum_t *key_pem,
                gnutls_datum_t *crt_pem)
{
    gnutls_x509_privkey_t key = NULL;
    gnutls_x509_crt_t crt = NULL;
    int rc;

    if ((rc = web_lib.gnutls_x509_privkey_init(&key)) >= 0 &&
        (rc = web_lib.gnutls_x509_crt_init(&crt)) >= 0 &&
        (rc = web_lib.gnutls_x509_privkey_generate(
             key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0)) >= 0 &&
        (rc = describe(crt, hosts, count)) >= 0 &&
        (rc = web_lib.gnutls_x509_crt_set_key(crt, key)) >= 0 &&
        (rc = web_lib.gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0)) >= 0 &&
        (rc = web_lib.gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, crt_pem)) >= 0)
        rc = web_lib.gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL,
                                                       GNUTLS_PKCS_PLAIN, key_pem);
    if (crt)
        web_lib.gnutls_x509_crt_deinit(crt);
    if (key)
        web_lib.gnutls_x509_privkey_deinit(key);
    return rc;
}

fm_status fm_web_self_signed(const char *key_path, const char *certificate_path,
                             const char *const *hosts, size_t host_count)
{
    const bool has_key = fm_file_exists(key_path), has_crt = fm_file_exists(certificate_path);
    gnutls_datum_t key = { 0 }, crt = { 0 };
    fm_status st;
    int rc;

    if (has_key && has_crt)
        return FM_OK;
    if (has_key || has_crt)
        return fm_fail(FM_EEXIST, "%s is there without %s: restore it, or remove both",
                       has_key ? key_path : certificate_path,
                       has_key ? certificate_path : key_path);
    if ((st = web_library_load()) != FM_OK)
        return st;
    if ((rc = make(hosts, host_count, &key, &crt)) < 0)
        st = fm_fail(FM_EINTERNAL, "a certificate for the page cannot be made: %s",
                     web_lib.gnutls_strerror(rc));
    else if ((st = fm_file_create(key_path, key.data, key.size, 0600)) == FM_OK)
        st = fm_file_create(certificate_path, crt.data, crt.size, 0644);
    if (key.data)
        sodium_memzero(key.data, key.size);
    (*web_lib.gnutls_free)(key.data);
    (*web_lib.gnutls_free)(crt.data);
    return st;
}

fm_status fm_web_fingerprint(const char *certificate_pem, char out[FM_WEB_FINGERPRINT_SIZE])
{
    const gnutls_datum_t pem = { (unsigned char *)(uintptr_t)certificate_pem,
                                 (unsigned)strlen(certificate_pem) };
    gnutls_x509_crt_t crt = NULL;
    uint8_t digest[32];
    size_t n = sizeof digest;
    const fm_status st = web_library_load();
    int rc;

    if (st != FM_OK)
        return st;
    if ((rc = web_lib.gnutls_x509_crt_init(&crt)) >= 0 &&
        (rc = web_lib.gnutls_x509_crt_import(crt, &pem, GNUTLS_X509_FMT_PEM)) >= 0)
        rc = web_lib.gnutls_x509_crt_get_fingerprint(crt, GNUTLS_DIG_SHA256, digest, &n);
    if (crt)
        web_lib.gnutls_x509_crt_deinit(crt);
    if (rc < 0)
        return fm_fail(FM_EPARSE, "not a certificate in PEM: %s", web_lib.gnutls_strerror(rc));
    for (size_t i = 0; i < sizeof digest; i++)
        (void)snprintf(out + 3 * i, 4, i + 1 < sizeof digest ? "%02X:" : "%02X", digest[i]);
    return FM_OK;
}
