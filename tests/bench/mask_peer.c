/* The key streams that others would use: as fast as each can, and without the addition. */
#include <openssl/evp.h>
#include <sodium.h>

#include "mask_bench.h"

#define PIECE ((size_t)16384)

const char *const bench_mask_peer_names[BENCH_MASK_PEERS] = { "OpenSSL's AES-256-CTR",
                                                              "OpenSSL's ChaCha20",
                                                              "libsodium's ChaCha20" };

static uint8_t g_bytes[PIECE];

typedef struct {
    EVP_CIPHER_CTX *ctx; /* NULL: libsodium */
    size_t bytes;
} peer;

static fm_status openssl_stream(void *ctx)
{
    const peer *p = ctx;
    int len = 0;

    for (size_t at = 0; at < p->bytes; at += PIECE)
        if (EVP_EncryptUpdate(p->ctx, g_bytes, &len, g_bytes,
                              (int)(p->bytes - at < PIECE ? p->bytes - at : PIECE)) != 1)
            return fm_fail(FM_EINTERNAL, "OpenSSL's key stream failed");
    return FM_OK;
}

static fm_status sodium_stream(void *ctx)
{
    const peer *p = ctx;
    static const uint8_t key[crypto_stream_chacha20_KEYBYTES] = { 1 };
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];

    for (size_t at = 0; at < p->bytes; at += PIECE)
        (void)crypto_stream_chacha20_xor_ic(
            g_bytes, g_bytes, p->bytes - at < PIECE ? p->bytes - at : PIECE, nonce, at / 64, key);
    return FM_OK;
}

fm_status bench_mask_peers(size_t n, int tries, double ms[BENCH_MASK_PEERS])
{
    static const uint8_t key[32] = { 1 }, iv[16];
    const EVP_CIPHER *ciphers[] = { EVP_aes_256_ctr(), EVP_chacha20() };
    peer p = { .bytes = 4 * n };
    fm_status st = FM_OK;

    for (int i = 0; i < 2 && st == FM_OK; i++) {
        p.ctx = EVP_CIPHER_CTX_new();
        if (!p.ctx || EVP_EncryptInit_ex(p.ctx, ciphers[i], NULL, key, iv) != 1)
            st = fm_fail(FM_EINTERNAL, "OpenSSL offers no %s", bench_mask_peer_names[i]);
        ms[i] = bench_mask_ms(openssl_stream, &p, tries, &st);
        EVP_CIPHER_CTX_free(p.ctx);
    }
    p.ctx = NULL;
    ms[2] = bench_mask_ms(sodium_stream, &p, tries, &st);
    return st;
}
