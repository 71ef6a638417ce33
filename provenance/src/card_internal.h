/* Digests of a model, and base64; for the files of this folder. */
#ifndef FEDMOE_PROVENANCE_CARD_INTERNAL_H
#define FEDMOE_PROVENANCE_CARD_INTERNAL_H

#include "fedmoe/provenance/card.h"

/** Strict base64 (RFC 4648, padded, no blanks), appended. */
FM_NODISCARD fm_status fm_base64_put(fm_buf *out, const void *data, size_t len);
/** FM_EPROTO anything that fm_base64_put would not write, or more than `cap` bytes. */
FM_NODISCARD fm_status fm_base64_get(const char *text, size_t text_len, void *out, size_t cap,
                                     size_t *len);

/** @param s  for views without data: where to read it. NULL: all have data. */
FM_NODISCARD fm_status fm_card_tensor_digest(const fm_safetensors *s, const fm_tensor_view *v,
                                             fm_hash *out);
/** Of the digests of all tensors, one after the other. */
fm_hash fm_card_weights_digest(const fm_hash *tensors, size_t count);
/** @param meta  in any order. FM_ENOMEM. */
FM_NODISCARD fm_status fm_card_metadata_digest(const fm_safetensors_meta *meta, size_t count,
                                               fm_hash *out);
/** All digests of an opened file's tensors, [fm_safetensors_count]; *out is the caller's. */
FM_NODISCARD fm_status fm_card_file_digests(const fm_safetensors *s, fm_hash **out);

/** What the signature is over. @param out  appended. */
FM_NODISCARD fm_status fm_card_message(const void *card, size_t card_len, const void *certificates,
                                       size_t certificates_len, fm_buf *out);
/** The record `before` (NULL: none) and one line more. As fm_derivation_extend. */
FM_NODISCARD fm_status fm_derivation_add(const char *before, const fm_hash *parent,
                                         const char *step, fm_buf *out);
#define FM_CARD_WEIGHTS_LABEL "fedmoe card weights v1"
#define FM_CARD_LABEL "fedmoe model card v1"

#endif
