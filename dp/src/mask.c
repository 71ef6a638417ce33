/* Round context, mask seeds and masks; the byte layouts are in mask.h. */
#include "fedmoe/dp/mask.h"

#include <pthread.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <sodium.h>

#include "fedmoe/base/memory.h"
#include "mask_internal.h"

#define MASK_LABEL "fedmoe mask v1"
#define ROUND_LABEL "fedmoe round v1"
#define INFO_MAX 64

static pthread_once_t g_once = PTHREAD_ONCE_INIT;
static EVP_KDF *g_hkdf; /* for the life of the process */

static void fetch(void)
{
    g_hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
}

/* Missing cryptography is an error, never a fallback. */
static fm_status need_crypto(void)
{
    if (pthread_once(&g_once, fetch) != 0 || !g_hkdf)
        return fm_fail(FM_EINTERNAL, "OpenSSL offers no HKDF");
    return FM_OK;
}

fm_status fm_dp_hkdf(const uint8_t key[FM_DP_KEY_BYTES], const char *label, const fm_hash *context,
                     uint8_t out[FM_DP_KEY_BYTES])
{
    uint8_t ikm[FM_DP_KEY_BYTES], info[INFO_MAX], result[FM_DP_KEY_BYTES];
    char digest[] = "SHA256";
    size_t label_len = strlen(label);
    EVP_KDF_CTX *ctx = NULL;
    OSSL_PARAM params[4];
    fm_status st;

    if (label_len + FM_HASH_BYTES > sizeof info)
        return fm_fail(FM_EINTERNAL, "HKDF: label too long");
    if ((st = need_crypto()) != FM_OK)
        return st;
    st = FM_EINTERNAL;
    memcpy(ikm, key, sizeof ikm);
    memcpy(info, label, label_len);
    memcpy(info + label_len, context->bytes, FM_HASH_BYTES);
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, ikm, sizeof ikm);
    params[2] =
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, label_len + FM_HASH_BYTES);
    params[3] = OSSL_PARAM_construct_end();
    if ((ctx = EVP_KDF_CTX_new(g_hkdf)) &&
        EVP_KDF_derive(ctx, result, sizeof result, params) == 1) {
        memcpy(out, result, sizeof result);
        st = FM_OK;
    }
    EVP_KDF_CTX_free(ctx); /* wipes its copy of the key */
    sodium_memzero(ikm, sizeof ikm);
    sodium_memzero(result, sizeof result);
    return st == FM_OK ? FM_OK : fm_fail(st, "OpenSSL's HKDF failed");
}

fm_hash fm_dp_round_context(const fm_dp_round *round)
{
    fm_hasher h;

    fm_hasher_begin(&h, ROUND_LABEL);
    fm_hasher_add_u64(&h, round->round);
    fm_hasher_add(&h, round->plan.bytes, sizeof round->plan.bytes);
    fm_hasher_add(&h, round->model.bytes, sizeof round->model.bytes);
    fm_hasher_add_u64(&h, round->participant_count);
    for (uint32_t i = 0; i < round->participant_count; i++)
        fm_hasher_add_u64(&h, round->participants[i]);
    return fm_hasher_end(&h);
}

fm_status fm_dp_mask_seed(const uint8_t secret[FM_DP_KEY_BYTES], const fm_hash *round_context,
                          uint8_t out[FM_DP_KEY_BYTES])
{
    return fm_dp_hkdf(secret, MASK_LABEL, round_context, out);
}

int fm_dp_mask_sign(uint32_t u, uint32_t v)
{
    return u < v ? 1 : -1;
}

/* As fm_get_u32le, in a form that compilers make vector loads of. */
static inline uint32_t word_at(const uint8_t *stream, size_t i)
{
    uint32_t w;

    memcpy(&w, stream + 4 * i, sizeof w);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap32(w);
#endif
    return w;
}

static inline uint16_t half_at(const uint8_t *stream, size_t i)
{
    uint16_t w;

    memcpy(&w, stream + 2 * i, sizeof w);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap16(w);
#endif
    return w;
}

static void add_words(uint32_t *restrict sum, size_t n, const uint8_t *restrict stream)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += word_at(stream, i);
}

static void subtract_words(uint32_t *restrict sum, size_t n, const uint8_t *restrict stream)
{
    for (size_t i = 0; i < n; i++)
        sum[i] -= word_at(stream, i);
}

static void add_halves(uint16_t *restrict sum, size_t n, const uint8_t *restrict stream)
{
    for (size_t i = 0; i < n; i++)
        sum[i] = (uint16_t)(sum[i] + half_at(stream, i));
}

static void subtract_halves(uint16_t *restrict sum, size_t n, const uint8_t *restrict stream)
{
    for (size_t i = 0; i < n; i++)
        sum[i] = (uint16_t)(sum[i] - half_at(stream, i));
}

void fm_dp_mask_words(unsigned word_bits, void *sum, size_t n, const uint8_t *stream, int sign)
{
    if (word_bits == 16 && sign > 0)
        add_halves(sum, n, stream);
    else if (word_bits == 16)
        subtract_halves(sum, n, stream);
    else if (sign > 0)
        add_words(sum, n, stream);
    else
        subtract_words(sum, n, stream);
}

fm_status fm_dp_mask_apply(unsigned word_bits, void *sum, size_t n,
                           const uint8_t seed[FM_DP_KEY_BYTES], int sign)
{
    fm_dp_mask_stream s;
    fm_status st;

    if (!sum || !seed || (sign != 1 && sign != -1))
        return fm_fail(FM_EINVAL, "mask: missing argument or a sign that is not 1 or -1");
    if ((st = fm_dp_mask_begin(&s, fm_dp_mask_best_path(), word_bits, seed)) == FM_OK)
        st = fm_dp_mask_next(&s, sum, n, sign);
    fm_dp_mask_end(&s);
    return st;
}

/*
 * Bytes [at, at + len) of an update of 24 bits a word, wherever words begin and end. A fourth byte that
 * is loaded with a word lands where the sum's words have no meaning.
 */
static void add_bytes24(uint32_t *sum, size_t at, const uint8_t *bytes, size_t len)
{
    const uint8_t *end = bytes + len;

    for (; bytes < end && at % 3 != 0; at++)
        sum[at / 3] += (uint32_t)*bytes++ << 8 * (at % 3);
    for (sum += at / 3; end - bytes > 3; bytes += 3)
        *sum++ += word_at(bytes, 0);
    for (unsigned shift = 0; bytes < end; shift += 8) /* the last word, or what there is of it */
        *sum += (uint32_t)*bytes++ << shift;
}

fm_status fm_dp_sum_piece(unsigned word_bits, void *sum, size_t n, size_t at, const uint8_t *bytes,
                          size_t len)
{
    const size_t word = fm_dp_word_bytes(word_bits);

    if (!sum || !bytes)
        return fm_fail(FM_EINVAL, "update: missing argument");
    if (at > n * word || len > n * word - at || (word != 3 && (at % word != 0 || len % word != 0)))
        return fm_fail(FM_EPROTO, "update: %zu bytes from byte %zu on, of %zu words of %u bits",
                       len, at, n, word_bits);
    if (word == 3)
        add_bytes24(sum, at, bytes, len);
    else
        fm_dp_mask_words(word_bits, (uint8_t *)sum + at, len / word, bytes, 1);
    return FM_OK;
}

fm_status fm_dp_sum_words(unsigned word_bits, void *sum, size_t n, const uint8_t *bytes, size_t len)
{
    if (len != n * fm_dp_word_bytes(word_bits))
        return fm_fail(FM_EPROTO, "update: %zu bytes, and %zu words of %u bits were expected", len,
                       n, word_bits);
    return fm_dp_sum_piece(word_bits, sum, n, 0, bytes, len);
}
