/* The keyed functions of a watermark, and which contexts a text has had. */
#ifndef FEDMOE_EDGE_WATERMARK_INTERNAL_H
#define FEDMOE_EDGE_WATERMARK_INTERNAL_H

#include <sodium.h>

#include "fedmoe/edge/watermark.h"

/** Of one window of tokens: the key of its stream, and a name to know it by. A secret. */
typedef struct {
    uint8_t key[crypto_stream_chacha20_KEYBYTES];
    uint64_t name; /* never 0 */
} fm_watermark_context;

/** @param before uint32[n], n at least the window. The caller wipes `out`. */
void fm_watermark_see(const fm_watermark *w, const uint32_t *before, size_t n,
                      fm_watermark_context *out);
/** The 64 bits of one token. */
uint64_t fm_watermark_word(const fm_watermark_context *c, uint32_t token);
/** Those of ids: words[count]. @param max_id the largest of them.
 *  @param room   uint64[max_id + 1]. */
void fm_watermark_words(const fm_watermark_context *c, const uint32_t *ids, size_t count,
                        uint32_t max_id, uint64_t *room, uint64_t *words);
/** A word below it is of the green part. */
uint64_t fm_watermark_green_below(double gamma);

/** Names of contexts: grows by itself. Zero-initialise. */
typedef struct {
    uint64_t *names; /* [cap], 0: free */
    size_t count, cap;
} fm_watermark_seen;
/** @param fresh out: whether it was not there yet. @return FM_OK; FM_ENOMEM: it is not there now.
 */
FM_NODISCARD fm_status fm_watermark_seen_add(fm_watermark_seen *s, uint64_t name, bool *fresh);
void fm_watermark_seen_clear(fm_watermark_seen *s);
void fm_watermark_seen_fini(fm_watermark_seen *s);

/** m rounds of a tournament: p[count] in place. Exact but for roundings of doubles. */
void fm_watermark_play(double *p, const uint64_t *g, size_t count, size_t layers);

/** Weight of g in layer l, 0 the first: 1..FM_WATERMARK_WEIGHT_MOST. */
#define FM_WATERMARK_WEIGHT_MOST 8
unsigned fm_watermark_weight(size_t layer);

/**
 * The chance that the weighted sum of n tokens' fair coins is at least `sum`, or a little more than
 * that; never less. FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_watermark_odds(size_t n, size_t layers, uint64_t sum, double *out);
/** The chance of at least `hits` of n coins that fall with chance q, likewise. */
double fm_watermark_binomial(size_t n, double q, size_t hits);

#endif
