#include "forge.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "fedmoe/base/file.h"

static EVP_PKEY *explicit_p256(void)
{
    EVP_PKEY *k = NULL, *again = NULL;
    unsigned char *der = NULL;
    const unsigned char *p;
    int len;

    need((k = EVP_EC_gen("P-256")) != NULL, "P-256");
    need(EVP_PKEY_set_utf8_string_param(k, OSSL_PKEY_PARAM_EC_ENCODING, "explicit") == 1,
         "explicit parameters");
    len = i2d_PUBKEY(k, &der);
    p = der;
    need(len > 0 && (again = d2i_PUBKEY(NULL, &p, len)) != NULL, "explicit key");
    OPENSSL_free(der);
    EVP_PKEY_free(k);
    return again;
}

static EVP_PKEY *new_key(forge_key type)
{
    EVP_PKEY *k = NULL;

    switch (type) {
    case FORGE_ED25519:
        k = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        break;
    case FORGE_ED448:
        k = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
        break;
    case FORGE_P256:
        k = EVP_EC_gen("P-256");
        break;
    case FORGE_P384:
        k = EVP_EC_gen("P-384");
        break;
    case FORGE_RSA:
        k = EVP_RSA_gen(3072);
        break;
    case FORGE_P256_EXPLICIT:
        k = explicit_p256();
        break;
    }
    need(k != NULL, "key");
    return k;
}

static X509 *read_cert(const char *dir, const char *name)
{
    char path[PATH_CAP];
    FILE *f;
    X509 *x;

    make_path(path, dir, name);
    need((f = fopen(path, "r")) != NULL, path);
    x = PEM_read_X509(f, NULL, NULL, NULL);
    (void)fclose(f);
    need(x != NULL, path);
    return x;
}

static EVP_PKEY *read_key(const char *dir, const char *name)
{
    char path[PATH_CAP];
    FILE *f;
    EVP_PKEY *k;

    make_path(path, dir, name);
    need((f = fopen(path, "r")) != NULL, path);
    k = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    (void)fclose(f);
    need(k != NULL, path);
    return k;
}

static void extend(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
    X509_EXTENSION *e;

    if (!value)
        return;
    need((e = X509V3_EXT_conf_nid(NULL, ctx, nid, value)) != NULL, value);
    need(X509_add_ext(x, e, -1) == 1, value);
    X509_EXTENSION_free(e);
}

static void extend_all(X509 *x, X509 *issuer, const forge_plan *p)
{
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    extend(x, &ctx, NID_basic_constraints, p->basic);
    extend(x, &ctx, NID_key_usage, p->usage);
    extend(x, &ctx, NID_subject_key_identifier, "hash");
    if (!p->without_akid)
        extend(x, &ctx, NID_authority_key_identifier, "keyid:always");
    extend(x, &ctx, NID_subject_alt_name, p->san);
    if (p->unknown_critical) {
        ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.55555.1", 1);
        ASN1_OCTET_STRING *null = ASN1_OCTET_STRING_new();
        X509_EXTENSION *e;

        need(ASN1_OCTET_STRING_set(null, (const unsigned char *)"\x05\x00", 2) == 1, "octets");
        need((e = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, null)) != NULL, "extension");
        need(X509_add_ext(x, e, -1) == 1, "extension");
        X509_EXTENSION_free(e);
        ASN1_OCTET_STRING_free(null);
        ASN1_OBJECT_free(oid);
    }
}

static void name(X509 *x, const char *cn)
{
    need(X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                                    (const unsigned char *)cn, -1, -1, 0) == 1,
         "name");
}

static X509 *make(const forge_plan *p, EVP_PKEY *subject, EVP_PKEY *signer, X509 *issuer)
{
    X509 *x = X509_new();
    const EVP_MD *md = EVP_PKEY_is_a(signer, "ED25519") ? NULL : EVP_sha256();

    need(x != NULL, "X509_new");
    if (p->sha1)
        md = EVP_sha1();
    name(x, "forged");
    need(X509_set_version(x, p->version1 ? X509_VERSION_1 : X509_VERSION_3) == 1 &&
             ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), 77) == 1 &&
             ASN1_TIME_set(X509_getm_notBefore(x), (time_t)p->from_s) != NULL &&
             ASN1_TIME_set(X509_getm_notAfter(x), (time_t)p->to_s) != NULL &&
             X509_set_pubkey(x, subject) == 1 &&
             X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x)) == 1,
         "certificate fields");
    extend_all(x, issuer ? issuer : x, p);
    need(X509_sign(x, signer, md) > 0, "sign");
    return x;
}

static X509 *forge_x509(const forge_plan *p)
{
    EVP_PKEY *subject = new_key(p->subject_key);
    EVP_PKEY *signer = p->dir ? read_key(p->dir, p->key) : NULL;
    X509 *issuer = NULL, *x;

    if (p->issuer_dir)
        issuer = read_cert(p->issuer_dir, "ca.crt");
    else if (p->dir)
        issuer = read_cert(p->dir, p->cert);
    x = make(p, subject, signer ? signer : subject, issuer);
    X509_free(issuer);
    EVP_PKEY_free(signer);
    EVP_PKEY_free(subject);
    return x;
}

forge_plan forge_good(const world *w)
{
    return (forge_plan){
        .dir = w->ca,
        .cert = "ca.crt",
        .key = "ca.key",
        .subject_key = FORGE_P256,
        .san = "URI:urn:fedmoe:node:heart:forged",
        .basic = "critical,CA:FALSE",
        .usage = "critical,digitalSignature",
        .from_s = w->now_s - DAY_S,
        .to_s = w->now_s + DAY_S,
    };
}

static void put_der(X509 *x, uint8_t *der, size_t *len)
{
    unsigned char *at = der;
    int n = i2d_X509(x, NULL);

    need(n > 0 && (size_t)n <= FM_CERT_MAX_BYTES, "size");
    *len = (size_t)i2d_X509(x, &at);
    X509_free(x);
}

void forge(const forge_plan *p, uint8_t der[FM_CERT_MAX_BYTES], size_t *len)
{
    put_der(forge_x509(p), der, len);
}

void der_of(const char *dir, const char *file, uint8_t der[FM_CERT_MAX_BYTES], size_t *len)
{
    put_der(read_cert(dir, file), der, len);
}

void forge_file(const forge_plan *p, const char *path)
{
    X509 *x = forge_x509(p);
    FILE *f = fopen(path, "w");

    need(f && PEM_write_X509(f, x) == 1 && fclose(f) == 0, path);
    X509_free(x);
}

void forge_ca(const char *dir, const char *san, const char *basic, const char *usage)
{
    forge_plan p = { .san = san, .basic = basic, .usage = usage, .from_s = 1, .to_s = 4000000000 };
    EVP_PKEY *k = new_key(FORGE_ED25519);
    X509 *x = make(&p, k, k, NULL);
    char path[PATH_CAP];
    FILE *f;

    need(fm_dir_make(dir, 0700) == FM_OK, dir);
    make_path(path, dir, "ca.crt");
    f = fopen(path, "w");
    need(f && PEM_write_X509(f, x) == 1 && fclose(f) == 0, path);
    make_path(path, dir, "ca.key");
    f = fopen(path, "w");
    need(f && PEM_write_PKCS8PrivateKey(f, k, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0,
         path);
    X509_free(x);
    EVP_PKEY_free(k);
}

void forge_encrypted_key(const char *path)
{
    EVP_PKEY *k = new_key(FORGE_ED25519);
    FILE *f = fopen(path, "w");

    need(f && PEM_write_PKCS8PrivateKey(f, k, EVP_aes_256_cbc(), "secret", 6, NULL, NULL) == 1 &&
             fclose(f) == 0 && chmod(path, 0600) == 0,
         path);
    EVP_PKEY_free(k);
}
