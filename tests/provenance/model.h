/* A small model file in memory, with or without a card. */
#ifndef FEDMOE_TESTS_PROVENANCE_MODEL_H
#define FEDMOE_TESTS_PROVENANCE_MODEL_H

#include "fedmoe/provenance/card.h"
#include "world.h"

/** A card with every field in use, signed at `when`; its policy is owned: fm_card_fini. */
void model_card(fm_card *c, int64_t when_s);
/** Tensors and metadata that a test may change before it writes them. */
typedef struct {
    float weights[6], bias[2];
    fm_tensor_view tensors[2];
    fm_safetensors_meta meta[3 + FM_CARD_META];
    size_t meta_count;
    fm_card_signed texts; /* empty until model_sign */
} model;
void model_make(model *m);
/** Sign, and put the card behind the metadata. */
void model_sign(model *m, const fm_identity *id, int64_t when_s);
/** As bytes of a file; fm_buf_fini. */
void model_bytes(const model *m, fm_buf *out);
/** Written and read again; fm_safetensors_free. */
fm_safetensors *model_file(const model *m);
bool model_save(const model *m, const char *path);
void model_end(model *m);

#endif
