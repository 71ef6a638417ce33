/* What reading and writing of adapters share. */
#ifndef FEDMOE_MODEL_DECODER_ADAPTER_INTERNAL_H
#define FEDMOE_MODEL_DECODER_ADAPTER_INTERNAL_H

#include "fedmoe/model/decoder_adapter.h"

#define FM_PEFT_FILE "adapter_model.safetensors"
#define FM_PEFT_CONFIG "adapter_config.json"
#define FM_PEFT_PREFIX "base_model.model.model.layers."
#define FM_PEFT_MAPS ((size_t)17)
#define FM_PEFT_EXPERTS \
    "mlp.experts." /* before the number of the expert, which the table leaves out */

typedef struct {
    const char *module; /* within its layer */
    unsigned map;
    size_t part;
} fm_peft_map;

extern const fm_peft_map fm_peft_maps[FM_PEFT_MAPS];

/** Queries have two names: which of them a model has follows from its rank. GraniteMoE's experts have
 *  none: all of them are one tensor. */
bool fm_peft_has(const fm_decoder_config *c, const fm_peft_map *m);

#endif
