/*
 * The next token from logits: greedy, or drawn at a temperature from the most likely ones; with a
 * watermark (watermark.h) drawn by its rule.
 */
#ifndef FEDMOE_EDGE_SAMPLE_H
#define FEDMOE_EDGE_SAMPLE_H

#include "fedmoe/base/random.h"
#include "fedmoe/edge/watermark.h"

typedef struct {
    double temperature; /* 0: the most likely, of equals the first; 0.001 to 100 */
    size_t top_k;       /* 0: all */
    double top_p;       /* in (0, 1]; 1: all */
} fm_sample_options;

typedef struct fm_sampler fm_sampler;

/**
 * @param mark or NULL; borrowed. With temperature 0 there is no watermark: FM_EINVAL.
 * @param rng  of the draws; borrowed.
 * @return FM_OK; FM_EINVAL naming the option; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_sampler_new(size_t vocabulary, const fm_sample_options *o,
                                      const fm_watermark *mark, fm_rng *rng, fm_sampler **out);
void fm_sampler_free(fm_sampler **s);
/**
 * @param before  the text so far, prompt included: uint32[n].
 * @param logits  float32[vocabulary]; overwritten.
 * @param token   out.
 * @return FM_OK; FM_ENONFINITE; FM_ENOMEM: as fm_watermark_apply.
 */
FM_NODISCARD fm_status fm_sampler_next(fm_sampler *s, const uint32_t *before, size_t n,
                                       float *logits, uint32_t *token);

#endif
