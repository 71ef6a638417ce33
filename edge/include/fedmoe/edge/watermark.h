/*
 * A keyed watermark in generated text: who has the key can tell, from the text alone, that a model
 * with that key wrote it; nobody else sees a difference.
 *
 * Tournament (the default): for each token, m pseudo-random functions g_1..g_m of key, the last
 * `window` tokens and a candidate give bits; 2^m candidates drawn from the model's distribution
 * meet in m rounds, in round l the one with the greater g_l wins, equals by chance. What is drawn
 * is, over keys, exactly the model's distribution, and contexts that came before in the text are
 * drawn without a mark, so that a whole text is, too (non-distorting). The winner's distribution
 * is computed, not played: m passes over the probabilities, p <- p (1 + g - sum of p g).
 * Red-green: a keyed part gamma of the vocabulary has its logits raised by delta; that distorts.
 *
 * The functions: BLAKE2b with the key (libsodium's crypto_generichash) of the window gives a key of
 * ChaCha20, whose stream's bytes [8 t, 8 t + 8) are the 64 bits of token t; bit l is g_(l+1).
 *
 * Source: Dathathri et al. 2024, "Scalable watermarking for identifying large language model
 * outputs", Nature 634, 818-823 (methods: two-sample tournaments, their vectorised form, repeated
 * context masking); Kirchenbauer et al. 2023, arXiv:2301.10226, algorithm 2.
 */
#ifndef FEDMOE_EDGE_WATERMARK_H
#define FEDMOE_EDGE_WATERMARK_H

#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/memory.h"

typedef enum { FM_WATERMARK_TOURNAMENT, FM_WATERMARK_RED_GREEN } fm_watermark_kind;

typedef struct {
    fm_watermark_kind kind;
    size_t window;       /* tokens before that the functions see, 1..FM_WATERMARK_WINDOW_MAX */
    size_t layers;       /* of the tournament, 1..FM_WATERMARK_LAYERS_MAX */
    double gamma, delta; /* of red-green: gamma in [0.01, 0.99], delta in [0, 20] */
} fm_watermark_options;

#define FM_WATERMARK_KEY_BYTES 32
#define FM_WATERMARK_WINDOW_MAX 16
#define FM_WATERMARK_LAYERS_MAX 64

/** What keys are made with unless asked otherwise: see docs/edge.md for the measurements. */
fm_watermark_options fm_watermark_defaults(fm_watermark_kind kind);

/** Holds the key in guarded memory. Constant once made; several threads may use it. */
typedef struct fm_watermark fm_watermark;

/** @param key borrowed. @return FM_OK; FM_EINVAL naming the option; FM_ENOMEM. */
FM_NODISCARD fm_status fm_watermark_new(const uint8_t key[FM_WATERMARK_KEY_BYTES],
                                        const fm_watermark_options *o, fm_watermark **out);
void fm_watermark_free(fm_watermark **w);
fm_watermark_options fm_watermark_get_options(const fm_watermark *w);

/* ---- marking ---- */

/** A text under way: which contexts it has had. For one thread at a time. */
typedef struct fm_watermark_text fm_watermark_text;

/** @param w outlives it. @param vocabulary tokens are below it. @return FM_OK; FM_EINVAL;
 * FM_ENOMEM. */
FM_NODISCARD fm_status fm_watermark_text_new(const fm_watermark *w, size_t vocabulary,
                                             fm_watermark_text **out);
void fm_watermark_text_free(fm_watermark_text **t);
/** Another text begins. */
void fm_watermark_text_reset(fm_watermark_text *t);

/**
 * Turn the distribution of the next token into the one to draw from, once for each token that is
 * drawn. Nothing changes with fewer than `window` tokens before it, and where these tokens were the
 * last ones before.
 * @param before  the text so far, prompt included: uint32[n].
 * @param ids     the candidates, uint32[count], each once; below the vocabulary.
 * @param p       in and out, double[count]: their probabilities, sum 1.
 * @return FM_OK; FM_EINVAL; FM_ENOMEM: the text is long and memory short. Then p is unchanged.
 */
FM_NODISCARD fm_status fm_watermark_apply(fm_watermark_text *t, const uint32_t *before, size_t n,
                                          const uint32_t *ids, double *p, size_t count);

/* ---- finding ---- */

typedef struct {
    size_t tokens, scored; /* of the text; of these with a window before that was not seen before */
    double score;          /* the more, the likelier is the mark; 0 on average without it */
    double p_value;        /* at least the chance of such a score without the mark */
} fm_watermark_found;

/** With fewer scored tokens nothing is to be said of a text. */
#define FM_WATERMARK_LEAST ((size_t)16)
#define FM_WATERMARK_EXACT ((size_t)8192)

/**
 * Whether a text bears the mark. Score: of a tournament the sum over scored tokens and layers of
 * weight times g, with integer weights that fall from layer to layer, as later layers have less to
 * choose from; of red-green the number of green tokens; both less the mean without a mark, in its
 * standard deviations.
 * The p-value is the tail of the very distribution of that sum for fair coins, by convolution of
 * binomials, with what roundings and cut ends may come to added (1e-30); of a tournament's, beyond
 * FM_WATERMARK_EXACT scored tokens and below 1e-20, it is Chernoff's bound of that tail. For any
 * text that was made without the key, the chance, over keys, of a p_value of at most x is at most
 * x. With scored 0 the p_value is 1.
 * @param tokens uint32[n], any.
 * @return FM_OK; FM_ENOMEM.
 * @thread pure.
 */
FM_NODISCARD fm_status fm_watermark_detect(const fm_watermark *w, const uint32_t *tokens, size_t n,
                                           fm_watermark_found *out);

/* ---- the key's file ---- */

/**
 * Make a key and write it, with its options, into a new file of mode 0600.
 * @return FM_OK; FM_EINVAL naming the option; FM_EEXIST; FM_EIO.
 */
FM_NODISCARD fm_status fm_watermark_keygen(const char *path, const fm_watermark_options *o);
/** @return FM_OK; FM_EPERM others may read it; FM_ENOTFOUND; FM_EIO; FM_EPROTO naming what is
 *          wrong where; FM_ENOMEM. */
FM_NODISCARD fm_status fm_watermark_load(const char *path, fm_watermark **out);
/** The same from memory, wiped by nobody; `name` stands in error texts in place of the path. */
FM_NODISCARD fm_status fm_watermark_parse(const char *name, const void *text, size_t len,
                                          fm_watermark **out);

#endif
