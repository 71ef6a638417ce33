/* The key stream of noise and masks: AES-256-CTR, by vector instructions where there are any. */
#include <pthread.h>
#include <string.h>

#include <openssl/evp.h>
#include <sodium.h>

#include "noise_internal.h"

static pthread_once_t g_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *g_cipher; /* for the life of the process */

static void fetch(void)
{
    g_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
}

fm_status fm_gauss_stream_init(fm_gauss_stream *s, bool own,
                               const uint8_t key[FM_DP_NOISE_SEED_BYTES])
{
    static const uint8_t zero_counter[16];
    EVP_CIPHER_CTX *ctx;

    memset(s, 0, sizeof *s);
#if defined(__x86_64__)
    if (own) {
        fm_gauss_aes_expand_key(key, s->round_key);
        return FM_OK;
    }
#else
    (void)own;
#endif
    /* Missing cryptography is an error, never a fallback. */
    if (pthread_once(&g_once, fetch) != 0 || !g_cipher)
        return fm_fail(FM_EINTERNAL, "OpenSSL offers no AES-256-CTR");
    if (!(ctx = EVP_CIPHER_CTX_new()) ||
        EVP_EncryptInit_ex2(ctx, g_cipher, key, zero_counter, NULL) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        return fm_fail(FM_EINTERNAL, "OpenSSL's AES-256-CTR failed");
    }
    s->openssl = ctx;
    return FM_OK;
}

fm_status fm_gauss_stream_next(fm_gauss_stream *s, uint8_t *out, size_t len)
{
    int done = 0;

#if defined(__x86_64__)
    if (!s->openssl) {
        fm_gauss_aes_stream(s->round_key, s->counter, out, len);
        s->counter += len / 16;
        return FM_OK;
    }
#endif
    memset(out, 0, len);
    if (EVP_EncryptUpdate(s->openssl, out, &done, out, (int)len) != 1 || done != (int)len)
        return fm_fail(FM_EINTERNAL, "OpenSSL's AES-256-CTR failed");
    return FM_OK;
}

void fm_gauss_stream_fini(fm_gauss_stream *s)
{
    EVP_CIPHER_CTX_free(s->openssl); /* wipes its key schedule */
    sodium_memzero(s, sizeof *s);
}
