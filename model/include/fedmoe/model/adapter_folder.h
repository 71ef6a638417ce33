/*
 * Adapters as PEFT writes them: a folder of adapter_config.json and adapter_model.safetensors, or one
 * safetensors file whose metadata says r and lora_alpha.
 *
 *   base_model.model.<module>.lora_A.weight [r, in], base_model.model.<module>.lora_B.weight [out, r]
 *
 * <module> is the base model's own name without ".weight": "model.layers.0.self_attn.o_proj". Source:
 * peft 0.17, src/peft/tuners/lora/config.py and utils/save_and_load.py. What is read and what is
 * refused: docs/text.md.
 */
#ifndef FEDMOE_MODEL_ADAPTER_FOLDER_H
#define FEDMOE_MODEL_ADAPTER_FOLDER_H

#include "fedmoe/base/safetensors.h"
#include "fedmoe/model/decoder.h"

/** An opened adapter: its weights stay on disk. Several threads may read one. */
typedef struct fm_adapter fm_adapter;

/**
 * Configuration and tensor names, checked; no weights.
 * @param path  a folder; or a safetensors file, with adapter_config.json beside it where its metadata
 *              has no r and lora_alpha.
 * @return FM_OK; FM_ENOTFOUND; FM_EIO; FM_EPARSE; FM_EPROTO a tensor that is not as it must be;
 *         FM_EINVAL a key or value that is not supported; FM_ENOMEM. The text names it.
 */
FM_NODISCARD fm_status fm_adapter_open(const char *path, fm_adapter **out);
void fm_adapter_free(fm_adapter **a);

/** What a decoder needs for it: rank, alpha (with use_rslora times sqrt(rank)), the maps of which
 *  some layer or expert has an adapter; A is trained. */
fm_decoder_adapters fm_adapter_shape(const fm_adapter *a);

/**
 * Into the decoder's adapters; maps without one get 0.
 * @param d  of the model that the adapter is for, with its rank, alpha and at least its maps.
 * @return FM_OK; FM_EINVAL another rank or alpha; FM_EPROTO a tensor for a map that the model has
 *         not, or of another shape; FM_ENONFINITE; FM_EIO; FM_ENOMEM. On error the adapters are
 *         unchanged.
 */
FM_NODISCARD fm_status fm_adapter_load(const fm_adapter *a, fm_decoder *d);

typedef struct {
    const char *base;                /* base_model_name_or_path, or NULL */
    const fm_safetensors_meta *meta; /* [meta_count] more metadata of the weights */
    size_t meta_count;
    bool owner_only; /* the folder is for its owner alone: 0700 */
} fm_adapter_about;

/**
 * Write the decoder's adapters as a new folder, in float32.
 * @return FM_OK; FM_EEXIST `output` is there; FM_EINVAL there are none, or PEFT has no name for them
 *         (GraniteMoE's routed experts); FM_EIO; FM_ENOMEM. On error nothing is at `output`.
 */
FM_NODISCARD fm_status fm_adapter_write(const fm_decoder *d, const fm_adapter_about *about,
                                        const char *output);

#endif
