#include "fedmoe/edge/watermark.h"

#include <string.h>

#include "watermark_internal.h"

struct fm_watermark {
    fm_watermark_options options;
    uint8_t key[FM_WATERMARK_KEY_BYTES];
};

fm_watermark_options fm_watermark_defaults(fm_watermark_kind kind)
{
    return (fm_watermark_options){
        .kind = kind, .window = 4, .layers = 30, .gamma = 0.25, .delta = 2.0
    };
}

static fm_status check(const fm_watermark_options *o)
{
    if (o->kind != FM_WATERMARK_TOURNAMENT && o->kind != FM_WATERMARK_RED_GREEN)
        return fm_fail(FM_EINVAL, "watermark: kind %d does not exist", (int)o->kind);
    if (o->window < 1 || o->window > FM_WATERMARK_WINDOW_MAX)
        return fm_fail(FM_EINVAL, "watermark: a window of %zu tokens; 1 to %d are possible",
                       o->window, FM_WATERMARK_WINDOW_MAX);
    if (o->kind == FM_WATERMARK_TOURNAMENT) {
        if (o->layers < 1 || o->layers > FM_WATERMARK_LAYERS_MAX)
            return fm_fail(FM_EINVAL, "watermark: %zu layers; 1 to %d are possible", o->layers,
                           FM_WATERMARK_LAYERS_MAX);
        return FM_OK;
    }
    if (!(o->gamma >= 0.01 && o->gamma <= 0.99))
        return fm_fail(FM_EINVAL, "watermark: gamma is %g; 0.01 to 0.99 are possible", o->gamma);
    if (!(o->delta >= 0.0 && o->delta <= 20.0))
        return fm_fail(FM_EINVAL, "watermark: delta is %g; 0 to 20 are possible", o->delta);
    return FM_OK;
}

fm_status fm_watermark_new(const uint8_t key[FM_WATERMARK_KEY_BYTES], const fm_watermark_options *o,
                           fm_watermark **out)
{
    fm_watermark *w;
    fm_status st;

    if (!key || !o || !out)
        return fm_fail(FM_EINVAL, "watermark: an argument is missing");
    if ((st = check(o)))
        return st;
    if (!(w = sodium_malloc(sizeof *w)))
        return fm_fail(FM_ENOMEM, "out of guarded memory");
    w->options = *o;
    if (o->kind == FM_WATERMARK_TOURNAMENT) /* what is not checked is not kept */
        w->options.gamma = w->options.delta = 0.0;
    else
        w->options.layers = 0;
    memcpy(w->key, key, sizeof w->key);
    if (sodium_mprotect_readonly(w) != 0) {
        sodium_free(w);
        return fm_fail(FM_ENOMEM, "the system does not protect memory");
    }
    *out = w;
    return FM_OK;
}

void fm_watermark_free(fm_watermark **w)
{
    if (!w || !*w)
        return;
    sodium_free(*w); /* wipes */
    *w = NULL;
}

fm_watermark_options fm_watermark_get_options(const fm_watermark *w)
{
    return w->options;
}

/* ---- the keyed functions ---- */

void fm_watermark_see(const fm_watermark *w, const uint32_t *before, size_t n,
                      fm_watermark_context *out)
{
    static const char label[] = "fedmoe watermark v1";
    uint8_t message[sizeof label + 4 * FM_WATERMARK_WINDOW_MAX];
    uint8_t digest[crypto_stream_chacha20_KEYBYTES + 8];
    const size_t window = w->options.window;

    memcpy(message, label, sizeof label);
    for (size_t i = 0; i < window; i++)
        fm_put_u32le(message + sizeof label + 4 * i, before[n - window + i]);
    /* Cannot fail: lengths are constants within the function's limits. */
    (void)crypto_generichash(digest, sizeof digest, message, sizeof label + 4 * window, w->key,
                             sizeof w->key);
    memcpy(out->key, digest, sizeof out->key);
    out->name = fm_get_u64le(digest + sizeof out->key);
    if (out->name == 0)
        out->name = 1;
    sodium_memzero(digest, sizeof digest);
    sodium_memzero(message, sizeof message);
}

#define BLOCK 8 /* tokens of a block of the stream */

static void block(const fm_watermark_context *c, uint32_t token, uint8_t out[8 * BLOCK])
{
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = { 0 };

    memset(out, 0, 8 * BLOCK);
    (void)crypto_stream_chacha20_xor_ic(out, out, 8 * BLOCK, nonce, token / BLOCK, c->key);
}

uint64_t fm_watermark_word(const fm_watermark_context *c, uint32_t token)
{
    uint8_t bytes[8 * BLOCK];
    uint64_t word;

    block(c, token, bytes);
    word = fm_get_u64le(bytes + 8 * (token % BLOCK));
    sodium_memzero(bytes, sizeof bytes);
    return word;
}

void fm_watermark_words(const fm_watermark_context *c, const uint32_t *ids, size_t count,
                        uint32_t max_id, uint64_t *room, uint64_t *words)
{
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = { 0 };
    const size_t bytes = 8 * ((size_t)max_id + 1);

    /* A block by itself costs as much as some ten of a long stream. */
    if (count < ((size_t)max_id + 1) / 64) {
        for (size_t i = 0; i < count; i++)
            words[i] = fm_watermark_word(c, ids[i]);
        return;
    }
    (void)crypto_stream_chacha20((uint8_t *)room, bytes, nonce, c->key);
    for (size_t i = 0; i < count; i++)
        words[i] = fm_get_u64le((const uint8_t *)(room + ids[i]));
}

uint64_t fm_watermark_green_below(double gamma)
{
    return (uint64_t)(gamma * 0x1p64);
}
