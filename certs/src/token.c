/* A session with a token: which one, the PIN, and signing. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "token_internal.h"

#define SLOTS_MAX 64u
#define PIN_MAX 256u
#define P256_BYTES 32u

/* ---- what can go wrong ---- */

static const char *reason_of(CK_RV rv)
{
    switch (rv) {
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
        return "the PIN is wrong; a token locks itself after some wrong ones";
    case CKR_PIN_LOCKED:
        return "its PIN is locked, after too many wrong ones; its officer can set a new one";
    case CKR_PIN_EXPIRED:
        return "its PIN has expired; set a new one with the token's own tool";
    case CKR_USER_PIN_NOT_INITIALIZED:
        return "it has no PIN yet; set one with the token's own tool";
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
        return "it was taken away";
    case CKR_MECHANISM_INVALID:
        return "it cannot sign with that kind of key; try --key-type p256";
    case CKR_TOKEN_WRITE_PROTECTED:
    case CKR_SESSION_READ_ONLY:
        return "it is write-protected";
    default:
        return NULL;
    }
}

fm_status fm_token_fail(CK_RV rv, const fm_token *t, const char *doing)
{
    const char *name = t->uri.token[0] ? t->uri.token : t->uri.serial;
    const char *reason = reason_of(rv);
    const bool pin = rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE ||
                     rv == CKR_PIN_LOCKED || rv == CKR_PIN_EXPIRED ||
                     rv == CKR_USER_PIN_NOT_INITIALIZED;

    if (rv == CKR_HOST_MEMORY)
        return fm_fail(FM_ENOMEM, "token '%s': no memory to %s", name, doing);
    if (reason)
        return fm_fail(pin ? FM_EAUTH : FM_EIO, "token '%s': cannot %s: %s", name, doing, reason);
    return fm_fail(FM_EIO, "token '%s': cannot %s (PKCS#11 error 0x%lx)", name, doing, rv);
}

/* ---- which token ---- */

/** PKCS#11 pads with blanks, and has no zero byte. */
static bool is_padded(const unsigned char *field, size_t cap, const char *text)
{
    const size_t len = strlen(text);

    if (len > cap || memcmp(field, text, len) != 0)
        return false;
    for (size_t i = len; i < cap; i++)
        if (field[i] != ' ')
            return false;
    return true;
}

static bool is_ours(const fm_token *t, CK_SLOT_ID slot)
{
    CK_TOKEN_INFO info;

    if (t->f->C_GetTokenInfo(slot, &info) != CKR_OK)
        return false;
    return (!t->uri.token[0] || is_padded(info.label, sizeof info.label, t->uri.token)) &&
           (!t->uri.serial[0] ||
            is_padded(info.serialNumber, sizeof info.serialNumber, t->uri.serial));
}

static fm_status find_slot(const fm_token *t, CK_SLOT_ID *out)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    size_t found = 0;
    const CK_RV rv = t->f->C_GetSlotList(CK_TRUE, slots, &count);

    if (rv != CKR_OK)
        return fm_token_fail(rv, t, "be looked for");
    for (CK_ULONG i = 0; i < count; i++)
        if (is_ours(t, slots[i])) {
            *out = slots[i];
            found++;
        }
    if (found == 1)
        return FM_OK;
    return fm_fail(FM_ENOTFOUND,
                   found ? "%s: %zu tokens are named '%s'; add its serial to the key's URI"
                         : "%s: %zu tokens are named '%s': is it plugged in, and does the module "
                           "find its configuration (SoftHSM: SOFTHSM2_CONF)?",
                   t->uri.module, found, t->uri.token[0] ? t->uri.token : t->uri.serial);
}

/* ---- the PIN ---- */

static fm_status read_pin_file(const fm_token *t, fm_buf *pin)
{
    char *path = NULL;
    fm_status st = t->uri.pin_file[0] == '/' ? fm_strdup(t->uri.pin_file, &path)
                                             : fm_path_join(t->dir, t->uri.pin_file, &path);

    if (st == FM_OK)
        st = fm_file_read_private(path, PIN_MAX, pin);
    while (st == FM_OK && pin->len > 0 &&
           (pin->data[pin->len - 1] == '\n' || pin->data[pin->len - 1] == '\r'))
        pin->len--;
    if (st == FM_OK && pin->len == 0)
        st = fm_fail(FM_EPARSE, "%s: no PIN in it", path);
    free(path);
    return st;
}

static fm_status read_pin(const fm_token *t, fm_buf *pin)
{
    const char *given;

    if (t->uri.pin_file[0])
        return read_pin_file(t, pin);
    given = getenv("FEDMOE_PIN");
    if (!given || !*given || strlen(given) > PIN_MAX)
        return fm_fail(FM_EAUTH,
                       "the token's PIN is missing: name a file of mode 0600 in the key's "
                       "URI (pin-source=file:pin), or set FEDMOE_PIN");
    fm_buf_init(pin, PIN_MAX);
    return fm_buf_append(pin, given, strlen(given));
}

static fm_status log_in(fm_token *t)
{
    fm_buf pin = { 0 };
    fm_status st = read_pin(t, &pin);
    CK_RV rv;

    if (st == FM_OK) {
        rv = t->f->C_Login(t->session, CKU_USER, pin.data, (CK_ULONG)pin.len);
        if (rv != CKR_OK && rv != CKR_USER_ALREADY_LOGGED_IN)
            st = fm_token_fail(rv, t, "log in");
    }
    fm_buf_fini(&pin); /* wipes it */
    return st;
}

/* ---- a session ---- */

static void leave(fm_token *t)
{
    if (t->in_session)
        (void)t->f->C_CloseSession(t->session);
    t->in_session = false;
}

static fm_status begin(fm_token *t, bool writable)
{
    const CK_FLAGS flags = CKF_SERIAL_SESSION | (writable ? CKF_RW_SESSION : 0);
    CK_SLOT_ID slot = 0;
    CK_RV rv;
    fm_status st;

    if ((st = find_slot(t, &slot)) != FM_OK)
        return st;
    if ((rv = t->f->C_OpenSession(slot, flags, NULL, NULL, &t->session)) != CKR_OK)
        return fm_token_fail(rv, t, "be opened");
    t->in_session = true;
    return log_in(t);
}

fm_status fm_token_enter(const char *dir, const char *uri, bool writable, fm_token **out)
{
    fm_token *t = NULL;
    fm_status st = fm_alloc(1, sizeof *t, (void **)&t);

    if (st != FM_OK)
        return st;
    if (pthread_mutex_init(&t->lock, NULL) != 0) {
        free(t);
        return fm_fail(FM_ENOMEM, "no memory for a token");
    }
    if ((st = fm_strdup(dir, &t->dir)) == FM_OK &&
        (st = fm_token_uri_parse(uri, &t->uri)) == FM_OK &&
        (st = fm_token_module_take(t->uri.module, &t->module, &t->f)) == FM_OK &&
        (st = begin(t, writable)) == FM_OK) {
        *out = t;
        t = NULL;
    }
    fm_token_close(&t);
    return st;
}

void fm_token_close(fm_token **t)
{
    if (!*t)
        return;
    leave(*t);
    fm_token_module_give(&(*t)->module);
    EVP_PKEY_free((*t)->public_key);
    (void)pthread_mutex_destroy(&(*t)->lock);
    free((*t)->dir);
    free(*t);
    *t = NULL;
}

EVP_PKEY *fm_token_public(const fm_token *t)
{
    return t->public_key;
}

/* ---- signing ---- */

static bool is_ed25519(const fm_token *t)
{
    return EVP_PKEY_is_a(t->public_key, "ED25519");
}

static CK_RV sign_raw(const fm_token *t, const uint8_t *data, size_t len, uint8_t raw[64])
{
    CK_MECHANISM how = { .mechanism = is_ed25519(t) ? CKM_EDDSA : CKM_ECDSA };
    CK_ULONG made = 64;
    CK_RV rv = t->f->C_SignInit(t->session, &how, t->key);

    if (rv == CKR_OK)
        rv = t->f->C_Sign(t->session, (CK_BYTE *)(uintptr_t)data, (CK_ULONG)len, raw, &made);
    return rv == CKR_OK && made != 64 ? CKR_GENERAL_ERROR : rv;
}

static bool is_over(CK_RV rv)
{
    return rv == CKR_SESSION_HANDLE_INVALID || rv == CKR_SESSION_CLOSED ||
           rv == CKR_USER_NOT_LOGGED_IN || rv == CKR_OBJECT_HANDLE_INVALID ||
           rv == CKR_KEY_HANDLE_INVALID || rv == CKR_DEVICE_REMOVED || rv == CKR_DEVICE_ERROR ||
           rv == CKR_TOKEN_NOT_PRESENT;
}

/** A token that was taken out and put in again, or a service that was started anew. */
static fm_status sign_again(fm_token *t, const uint8_t *data, size_t len, uint8_t raw[64])
{
    CK_RV rv = sign_raw(t, data, len, raw);
    fm_status st;

    if (is_over(rv)) {
        leave(t);
        if ((st = begin(t, false)) != FM_OK || (st = fm_token_find_key(t)) != FM_OK)
            return st;
        rv = sign_raw(t, data, len, raw);
    }
    return rv == CKR_OK ? FM_OK : fm_token_fail(rv, t, "sign");
}

/** r and s as they travel: ECDSA-Sig-Value (RFC 3279, 2.2.3). */
static fm_status encode_ecdsa(const uint8_t raw[64], uint8_t sig[FM_SIGNATURE_MAX], size_t *sig_len)
{
    ECDSA_SIG *s = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, P256_BYTES, NULL),
           *v = BN_bin2bn(raw + P256_BYTES, P256_BYTES, NULL);
    unsigned char *at = sig;
    int len = -1;

    if (s && r && v && ECDSA_SIG_set0(s, r, v) == 1) {
        r = v = NULL; /* the signature's */
        if ((len = i2d_ECDSA_SIG(s, NULL)) > 0 && len <= (int)FM_SIGNATURE_MAX)
            len = i2d_ECDSA_SIG(s, &at);
    }
    BN_free(r);
    BN_free(v);
    ECDSA_SIG_free(s);
    if (len <= 0 || len > (int)FM_SIGNATURE_MAX)
        return fm_ssl_fail(FM_EIO, "the token's signature cannot be read");
    *sig_len = (size_t)len;
    return FM_OK;
}

fm_status fm_token_sign(fm_token *t, const uint8_t *data, size_t len, uint8_t sig[FM_SIGNATURE_MAX],
                        size_t *sig_len)
{
    uint8_t raw[64], digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    fm_status st;

    if (!is_ed25519(t)) {
        if (EVP_Digest(data, len, digest, &digest_len, EVP_sha256(), NULL) != 1)
            return fm_ssl_fail(FM_EINTERNAL, "cannot hash what is to be signed");
        data = digest;
        len = digest_len;
    }
    (void)pthread_mutex_lock(&t->lock);
    st = sign_again(t, data, len, raw);
    (void)pthread_mutex_unlock(&t->lock);
    if (st != FM_OK)
        return st;
    if (!is_ed25519(t))
        return encode_ecdsa(raw, sig, sig_len);
    memcpy(sig, raw, sizeof raw);
    *sig_len = sizeof raw;
    return FM_OK;
}

/* ---- opening ---- */

/** Labels can be given twice, and ids to two things: only a signature shows that both belong. */
static fm_status try_key(fm_token *t)
{
    uint8_t nonce[32], sig[FM_SIGNATURE_MAX];
    size_t sig_len = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    fm_status st;

    fm_random_bytes(nonce, sizeof nonce);
    if ((st = fm_token_sign(t, nonce, sizeof nonce, sig, &sig_len)) == FM_OK &&
        (!ctx ||
         EVP_DigestVerifyInit(ctx, NULL, fm_key_digest(t->public_key), NULL, t->public_key) != 1 ||
         EVP_DigestVerify(ctx, sig, sig_len, nonce, sizeof nonce) != 1))
        st = fm_ssl_fail(FM_EAUTH,
                         "token '%s': the public key there does not belong to the private one; "
                         "name the pair by its id in the key's URI",
                         t->uri.token);
    EVP_MD_CTX_free(ctx);
    return st;
}

fm_status fm_token_open(const char *dir, const char *uri, fm_token **out)
{
    fm_token *t = NULL;
    fm_status st;

    if ((st = fm_token_enter(dir, uri, false, &t)) == FM_OK &&
        (st = fm_token_find_key(t)) == FM_OK && (st = fm_token_read_public(t)) == FM_OK &&
        (st = try_key(t)) == FM_OK) {
        *out = t;
        t = NULL;
    }
    fm_token_close(&t);
    return st;
}
