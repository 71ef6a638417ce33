/* What decoder_adapter_*.c share. */
#ifndef FEDMOE_MODEL_DECODER_ADAPTER_INTERNAL_H
#define FEDMOE_MODEL_DECODER_ADAPTER_INTERNAL_H

#include "fedmoe/model/decoder_adapter.h"

#define FM_ADAPTER_CONFIG "adapter_config.json"
#define FM_ADAPTER_WEIGHTS "adapter_model.safetensors"
#define FM_ADAPTER_NAME 160 /* bytes of the longest tensor name, and more */
#define FM_ADAPTER_PARTS 3

/** A linear map of a decoder that has an adapter. */
typedef struct {
    char name[FM_ADAPTER_NAME]; /* "model.layers.0.self_attn.o_proj" */
    fm_decoder_adapter at;
} fm_adapter_module;

/** Every adapter of the decoder, in the order of the layers; stops at the visitor's failure. */
typedef fm_status fm_adapter_visit(void *context, const fm_adapter_module *m);
FM_NODISCARD fm_status fm_adapter_each(const fm_decoder *d, fm_adapter_visit *visit, void *context);

/** "<prefix><module>.lora_A.weight" with which 'A' or 'B'. */
void fm_adapter_tensor_name(const char *module, char which, char out[FM_ADAPTER_NAME + 40]);
/** The names of target_modules for a mask, as many as fit PEFT's rule: a module is adapted when its
 *  name is one of them or ends with "." and one of them. @param visit gets each. */
FM_NODISCARD fm_status fm_adapter_targets(const fm_decoder_config *c, unsigned maps,
                                          fm_status (*visit)(void *context, const char *target),
                                          void *context);

#endif
