/* Keys in a token: found, read, made. */
#include <string.h>

#include "fedmoe/base/random.h"
#include "token_internal.h"

#define POINT_MAX 128u
#define FOUND_MAX 2u /* enough to see that it is not one */
#define TEMPLATE_MAX 12u
#define ID_BYTES 16u

static const uint8_t p256_params[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
static const uint8_t ed25519_params[] = { 0x13, 0x0c, 'e', 'd', 'w', 'a', 'r',
                                          'd',  's',  '2', '5', '5', '1', '9' };

typedef struct {
    CK_ATTRIBUTE list[TEMPLATE_MAX];
    CK_ULONG count;
} template;

/** The module only reads what it is given. */
static void add(template *a, CK_ATTRIBUTE_TYPE type, const void *value, size_t len)
{
    a->list[a->count++] = (CK_ATTRIBUTE){ type, (void *)(uintptr_t)value, (CK_ULONG)len };
}

static void add_name(template *a, const fm_token *t)
{
    if (t->uri.object[0])
        add(a, CKA_LABEL, t->uri.object, strlen(t->uri.object));
    if (t->uri.id_len > 0)
        add(a, CKA_ID, t->uri.id, t->uri.id_len);
}

static const char *name_of(const fm_token *t)
{
    return t->uri.object[0] ? t->uri.object : "(by id)";
}

/* ---- finding ---- */

static fm_status find(const fm_token *t, CK_OBJECT_CLASS class, const char *what,
                      CK_OBJECT_HANDLE *out)
{
    CK_OBJECT_HANDLE found[FOUND_MAX];
    CK_ULONG count = 0;
    template a = { .count = 0 };
    CK_RV rv;

    add(&a, CKA_CLASS, &class, sizeof class);
    add_name(&a, t);
    if ((rv = t->f->C_FindObjectsInit(t->session, a.list, a.count)) != CKR_OK)
        return fm_token_fail(rv, t, "look for the key");
    rv = t->f->C_FindObjects(t->session, found, FOUND_MAX, &count);
    (void)t->f->C_FindObjectsFinal(t->session);
    if (rv != CKR_OK)
        return fm_token_fail(rv, t, "look for the key");
    if (count == 0)
        return fm_fail(FM_ENOTFOUND, "token '%s' holds no %s key '%s'", t->uri.token, what,
                       name_of(t));
    if (count > 1)
        return fm_fail(FM_EEXIST,
                       "token '%s' holds more than one %s key '%s'; name its id in the URI",
                       t->uri.token, what, name_of(t));
    *out = found[0];
    return FM_OK;
}

fm_status fm_token_find_key(fm_token *t)
{
    return find(t, CKO_PRIVATE_KEY, "private", &t->key);
}

/* ---- the public half ---- */

/** SubjectPublicKeyInfo up to the point: RFC 8410 and RFC 5480. */
static const uint8_t ed25519_info[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                        0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
static const uint8_t p256_info[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                     0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                     0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00 };

/** Some modules put the point into an OCTET STRING, as they should, and some do not. */
static fm_status decode_point(const uint8_t *point, size_t len, EVP_PKEY **out)
{
    uint8_t info[sizeof p256_info + 65];
    const unsigned char *at = info;
    size_t n;

    if (len > 2 && point[0] == 0x04 && point[1] == len - 2 && (len == 34 || len == 67)) {
        point += 2;
        len -= 2;
    }
    if (len == 32) {
        memcpy(info, ed25519_info, n = sizeof ed25519_info);
    } else if (len == 65 && point[0] == 0x04) {
        memcpy(info, p256_info, n = sizeof p256_info);
    } else {
        return fm_fail(FM_EPARSE, "the key in the token is neither Ed25519 nor P-256");
    }
    memcpy(info + n, point, len);
    if (!(*out = d2i_PUBKEY(NULL, &at, (long)(n + len))))
        return fm_ssl_fail(FM_EPARSE, "the public key in the token cannot be read");
    return FM_OK;
}

fm_status fm_token_read_public(fm_token *t)
{
    uint8_t point[POINT_MAX];
    CK_ATTRIBUTE wanted = { CKA_EC_POINT, point, sizeof point };
    CK_OBJECT_HANDLE object = 0;
    fm_status st = find(t, CKO_PUBLIC_KEY, "public", &object);
    CK_RV rv;

    if (st != FM_OK)
        return st;
    rv = t->f->C_GetAttributeValue(t->session, object, &wanted, 1);
    if (rv != CKR_OK || wanted.ulValueLen > sizeof point)
        return fm_fail(FM_EPARSE, "the key in token '%s' is neither Ed25519 nor P-256",
                       t->uri.token);
    return decode_point(point, wanted.ulValueLen, &t->public_key);
}

/* ---- making ---- */

static CK_RV generate(const fm_token *t, fm_key_type type)
{
    static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_MECHANISM how = { .mechanism = type == FM_KEY_ED25519 ? CKM_EC_EDWARDS_KEY_PAIR_GEN
                                                             : CKM_EC_KEY_PAIR_GEN };
    CK_OBJECT_HANDLE made[2];
    uint8_t id[ID_BYTES];
    template pub = { .count = 0 }, secret = { .count = 0 };

    if (type == FM_KEY_ED25519)
        add(&pub, CKA_EC_PARAMS, ed25519_params, sizeof ed25519_params);
    else
        add(&pub, CKA_EC_PARAMS, p256_params, sizeof p256_params);
    add(&pub, CKA_TOKEN, &yes, sizeof yes);
    add(&pub, CKA_VERIFY, &yes, sizeof yes);
    add_name(&pub, t);
    add(&secret, CKA_TOKEN, &yes, sizeof yes);
    add(&secret, CKA_PRIVATE, &yes, sizeof yes);
    add(&secret, CKA_SENSITIVE, &yes, sizeof yes);
    add(&secret, CKA_EXTRACTABLE, &no, sizeof no);
    add(&secret, CKA_SIGN, &yes, sizeof yes);
    add_name(&secret, t);
    if (t->uri.id_len == 0) { /* the pair belongs together for other tools, too */
        fm_random_bytes(id, sizeof id);
        add(&pub, CKA_ID, id, sizeof id);
        add(&secret, CKA_ID, id, sizeof id);
    }
    return t->f->C_GenerateKeyPair(t->session, &how, pub.list, pub.count, secret.list, secret.count,
                                   &made[0], &made[1]);
}

fm_status fm_token_generate(const char *dir, const char *uri, fm_key_type type)
{
    fm_token *t = NULL;
    fm_status st = fm_token_enter(dir, uri, true, &t);
    CK_RV rv;

    if (st == FM_OK && (st = fm_token_find_key(t)) == FM_OK)
        st = fm_fail(FM_EEXIST, "token '%s' holds a private key '%s' without its public half",
                     t->uri.token, name_of(t));
    else if (st == FM_ENOTFOUND && t)
        st = (rv = generate(t, type)) == CKR_OK ? FM_OK : fm_token_fail(rv, t, "make a key");
    fm_token_close(&t);
    return st;
}
