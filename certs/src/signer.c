/* Signing with the key of an identity, in a file or in a token. */
#include "signer.h"

#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "token.h"

#define URI_FILE "identity.uri"

struct fm_signer {
    EVP_PKEY *key;   /* private, unless it is in the token */
    fm_token *token; /* NULL: it is not */
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

fm_status fm_signer_uri(const char *dir, char uri[FM_TOKEN_URI_MAX + 1])
{
    char *path = NULL;
    fm_buf text = { 0 };
    fm_status st;

    if ((st = fm_path_join(dir, URI_FILE, &path)) == FM_OK &&
        (st = fm_file_read(path, FM_TOKEN_URI_MAX + 2, &text)) == FM_OK) {
        while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
            text.data[--text.len] = '\0';
        if (text.len == 0 || text.len > FM_TOKEN_URI_MAX ||
            strlen((const char *)text.data) != text.len)
            st = fm_fail(FM_EPARSE, "%s: not one line with a URI", path);
        else
            memcpy(uri, text.data, text.len + 1);
    }
    free(path);
    fm_buf_fini(&text);
    return st;
}

static fm_status load_token(const char *dir, fm_signer **out)
{
    char uri[FM_TOKEN_URI_MAX + 1];
    fm_token *token = NULL;
    fm_status st;

    if ((st = fm_signer_uri(dir, uri)) != FM_OK)
        return st;
    if ((st = fm_token_open(dir, uri, &token)) != FM_OK)
        return fm_fail_context(st, "%s/" URI_FILE ": ", dir);
    if ((st = fm_signer_of(fm_token_public(token), out)) != FM_OK) {
        fm_token_close(&token);
        return st;
    }
    (*out)->token = token;
    return FM_OK;
}

fm_status fm_signer_load(const char *dir, fm_signer **out)
{
    EVP_PKEY *key = NULL;
    bool file = false, uri = false;
    fm_status st;

    if ((st = fm_exists_in(dir, "identity.key", &file)) != FM_OK ||
        (st = fm_exists_in(dir, URI_FILE, &uri)) != FM_OK)
        return st;
    if (file && uri)
        return fm_fail(FM_EEXIST,
                       "%s holds identity.key and " URI_FILE ": which of both is the key? move the "
                       "other one away",
                       dir);
    if (uri)
        return load_token(dir, out);
    if ((st = fm_key_load(dir, "identity.key", &key)) == FM_OK)
        st = fm_signer_of(key, out);
    EVP_PKEY_free(key);
    return st;
}

void fm_signer_free(fm_signer **s)
{
    if (!s || !*s)
        return;
    fm_token_close(&(*s)->token);
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
    EVP_MD_CTX *ctx;
    size_t made = FM_SIGNATURE_MAX;
    fm_status st = FM_OK;

    if (s->token)
        return fm_token_sign(s->token, data, len, sig, sig_len);
    ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestSignInit(ctx, NULL, fm_key_digest(s->key), NULL, s->key) != 1 ||
        EVP_DigestSign(ctx, sig, &made, data, len) != 1)
        st = fm_ssl_fail(FM_EINTERNAL, "cannot sign");
    else
        *sig_len = made;
    EVP_MD_CTX_free(ctx);
    return st;
}
