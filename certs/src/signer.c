/* Signing with the key of an identity, in a file or in a token. */
#include "signer.h"

#include <stdlib.h>

#include "fedmoe/base/file.h"

struct fm_signer {
    EVP_PKEY *key;
};

fm_status fm_signer_of(EVP_PKEY *key, fm_signer **out)
{
    fm_signer *s = NULL;
    fm_status st = fm_alloc(1, sizeof *s, (void **)&s);

    if (st != FM_OK)
        return st;
    if (EVP_PKEY_up_ref(key) != 1) {
        free(s);
        return fm_ssl_fail(FM_ENOMEM, "a key cannot be kept");
    }
    s->key = key;
    *out = s;
    return FM_OK;
}

fm_status fm_signer_load(const char *dir, fm_signer **out)
{
    EVP_PKEY *key = NULL;
    fm_status st;

    if ((st = fm_key_load(dir, "identity.key", &key)) == FM_OK)
        st = fm_signer_of(key, out);
    EVP_PKEY_free(key);
    return st;
}

void fm_signer_free(fm_signer **s)
{
    if (!s || !*s)
        return;
    EVP_PKEY_free((*s)->key); /* wipes the private key */
    free(*s);
    *s = NULL;
}

EVP_PKEY *fm_signer_public(const fm_signer *s)
{
    return s->key;
}

fm_status fm_signer_sign(const fm_signer *s, const uint8_t *data, size_t len,
                         uint8_t sig[FM_SIGNATURE_MAX], size_t *sig_len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t made = FM_SIGNATURE_MAX;
    fm_status st = FM_OK;

    if (!ctx || EVP_DigestSignInit(ctx, NULL, fm_key_digest(s->key), NULL, s->key) != 1 ||
        EVP_DigestSign(ctx, sig, &made, data, len) != 1)
        st = fm_ssl_fail(FM_EINTERNAL, "cannot sign");
    else
        *sig_len = made;
    EVP_MD_CTX_free(ctx);
    return st;
}
