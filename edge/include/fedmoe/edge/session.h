/*
 * A text under way: a decoder reads tokens and says what may come next. Keys and values of what was
 * read are kept, in 8 bits unless asked otherwise; of latent attention (MLA) only the latent and
 * the rotary part are, whatever the number of heads.
 *
 * A long text is read in tiles: memory beyond the cache does not depend on its length. What a row
 * comes to does not depend on how a text was cut into calls and tiles, bit for bit.
 *
 * One session belongs to one thread at a time. Reading never allocates.
 *
 * Source: keys and values from the latent: DeepSeek-V2 (arXiv:2405.04434), section 2.1.2 and
 * appendix C (the up-projections absorbed); attention in tiles: Dao et al. 2022, arXiv:2205.14135.
 */
#ifndef FEDMOE_EDGE_SESSION_H
#define FEDMOE_EDGE_SESSION_H

#include "fedmoe/edge/model.h"

typedef enum {
    FM_CACHE_INT8, /* rows of keys, values or latents with a scale each */
    FM_CACHE_FLOAT,
} fm_edge_cache;

typedef struct {
    size_t context; /* most tokens, 1 to the model's own context */
    size_t tile;    /* tokens at once while a text is read; 0: 128 */
    fm_edge_cache cache;
    bool float_inputs; /* of a model in 8 bits: only its weights are in 8 bits */
} fm_edge_options;

typedef struct fm_edge_session fm_edge_session;

/** @param m outlives it. @return FM_OK; FM_EINVAL naming the field; FM_ENOMEM. */
FM_NODISCARD fm_status fm_edge_session_new(const fm_edge_model *m, const fm_edge_options *o,
                                           fm_edge_session **out);
/** Wipes what is of the text. */
void fm_edge_session_free(fm_edge_session **s);

/**
 * Read tokens behind those that were read before.
 * @param logits of the token that comes after the last one, float32[vocabulary]; NULL: not wanted.
 * @return FM_OK; FM_EINVAL no token, one out of range, or more than the context has room for: then
 *         nothing was read;
 *         FM_ENONFINITE: numbers that are not finite came up, nothing was read.
 */
FM_NODISCARD fm_status fm_edge_read(fm_edge_session *s, const uint32_t *tokens, size_t n,
                                    float *logits);
/** The same with the logits after each token, float32[n, vocabulary]. */
FM_NODISCARD fm_status fm_edge_read_all(fm_edge_session *s, const uint32_t *tokens, size_t n,
                                        float *logits);
/** Sum of -log p(token | those before) over tokens [1, n), from the session's position on. */
FM_NODISCARD fm_status fm_edge_loss(fm_edge_session *s, const uint32_t *tokens, size_t n,
                                    double *out);

size_t fm_edge_position(const fm_edge_session *s);
/** Back to where `position` tokens were read; what came later is wiped. FM_EINVAL: not that many.
 */
FM_NODISCARD fm_status fm_edge_rewind(fm_edge_session *s, size_t position);
/** Bytes of the cache and of all else that the session holds. */
typedef struct {
    uint64_t cache, rest;
} fm_edge_memory;
fm_edge_memory fm_edge_session_memory(const fm_edge_session *s);

#endif
