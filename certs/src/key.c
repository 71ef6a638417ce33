/* Private keys: Ed25519 or P-256, PEM PKCS#8, mode 0600, never encrypted with a passphrase. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include "certs_internal.h"
#include "fedmoe/base/file.h"

#define KEY_FILE_LIMIT ((size_t)16 * 1024)

fm_status fm_key_new(fm_key_type type, EVP_PKEY **out)
{
    EVP_PKEY *k = NULL;

    if (type == FM_KEY_ED25519)
        k = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    else if (type == FM_KEY_P256)
        k = EVP_EC_gen("P-256");
    else
        return fm_fail(FM_EINVAL, "key type %d is not known", (int)type);
    if (!k)
        return fm_ssl_fail(FM_EINTERNAL, "cannot make a key");
    *out = k;
    return FM_OK;
}

static bool is_p256(const EVP_PKEY *k)
{
    char group[32];
    size_t len = 0;
    int explicit_params = 1;

    /* Parameters spelled out in a key may name the curve and use another generator
     * (CVE-2020-0601). */
    return EVP_PKEY_is_a(k, "EC") &&
           EVP_PKEY_get_int_param(k, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                                  &explicit_params) == 1 &&
           explicit_params == 0 && EVP_PKEY_get_group_name(k, group, sizeof group, &len) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

fm_status fm_key_type_of(const EVP_PKEY *k, fm_key_type *out)
{
    if (k && EVP_PKEY_is_a(k, "ED25519")) {
        *out = FM_KEY_ED25519;
        return FM_OK;
    }
    if (k && is_p256(k)) {
        *out = FM_KEY_P256;
        return FM_OK;
    }
    return fm_ssl_fail(FM_EPROTO, "the key is neither Ed25519 nor P-256");
}

const EVP_MD *fm_key_digest(const EVP_PKEY *k)
{
    return EVP_PKEY_is_a(k, "ED25519") ? NULL : EVP_sha256();
}

fm_status fm_key_pem(const EVP_PKEY *k, BIO **out)
{
    BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when it grows and when it is freed */

    if (!bio || !PEM_write_bio_PKCS8PrivateKey(bio, k, NULL, NULL, 0, NULL, NULL)) {
        BIO_free(bio);
        return fm_ssl_fail(FM_EINTERNAL, "cannot encode the private key");
    }
    *out = bio;
    return FM_OK;
}

/** Without it OpenSSL would ask on the terminal, and a service would hang. */
static int no_passphrase(char *buf, int size, int rwflag, void *user)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)user;
    return -1;
}

static fm_status parse_key(const char *path, const fm_buf *pem, EVP_PKEY **out)
{
    BIO *bio = BIO_new_mem_buf(pem->data ? (const void *)pem->data : "", (int)pem->len);
    EVP_PKEY *k = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    fm_key_type type;
    fm_status st;

    BIO_free(bio);
    if (!k)
        return fm_ssl_fail(FM_EPARSE,
                           "%s: not a PEM private key without passphrase; restore it from a "
                           "backup, or have a new certificate issued",
                           path);
    if ((st = fm_key_type_of(k, &type)) != FM_OK) {
        EVP_PKEY_free(k);
        return fm_fail_context(st, "%s: ", path);
    }
    *out = k;
    return FM_OK;
}

/** The wrong file of a pair fails for its mode, or for not being a key: say which it is. */
static fm_status explain(const char *path, fm_status st)
{
    fm_buf text = { 0 };
    const char *what = NULL;
    struct stat info;

    if ((st == FM_EPERM || st == FM_EPARSE) && stat(path, &info) == 0 && S_ISREG(info.st_mode) &&
        fm_file_read(path, KEY_FILE_LIMIT, &text) == FM_OK && text.data &&
        !strstr((const char *)text.data, "PRIVATE KEY-----"))
        what = strstr((const char *)text.data, "BEGIN PUBLIC KEY-----")    ? "public key"
               : strstr((const char *)text.data, "BEGIN CERTIFICATE-----") ? "certificate"
                                                                           : NULL;
    if (what)
        st = fm_fail(FM_EPARSE,
                     "%s: is a %s; wanted is the private key that belongs to it, mode 0600 (often "
                     "of the same name with .key)",
                     path, what);
    fm_buf_fini(&text);
    return st;
}

fm_status fm_key_load(const char *dir, const char *name, EVP_PKEY **out)
{
    char *path = NULL;
    fm_buf pem = { 0 };
    fm_status st;

    if ((st = fm_path_join(dir, name, &path)) == FM_OK &&
        (st = fm_file_read_private(path, KEY_FILE_LIMIT, &pem)) == FM_OK)
        st = parse_key(path, &pem, out);
    if (path && st != FM_OK)
        st = explain(path, st);
    fm_buf_fini(&pem);
    free(path);
    return st;
}
