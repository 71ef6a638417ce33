/*
 * Low-rank adapters as PEFT keeps them: a safetensors file with lora_A and lora_B of each map, the
 * rank and alpha in its metadata (r, lora_alpha) or in adapter_config.json beside it.
 *
 * Source: PEFT's names, base_model.model.<module>.lora_{A,B}.weight; docs/text.md, "Folders".
 */
#ifndef FEDMOE_MODEL_DECODER_ADAPTER_H
#define FEDMOE_MODEL_DECODER_ADAPTER_H

#include "fedmoe/base/safetensors.h"
#include "fedmoe/model/decoder.h"
#include "fedmoe/model/decoder_folder.h"

/** The decoder of an opened folder, its weights read in place: no second copy in memory. */
FM_NODISCARD fm_status fm_decoder_folder_load(const fm_decoder_folder *f,
                                              const fm_decoder_options *o, fm_decoder **out);

typedef struct fm_adapter_file fm_adapter_file;

/**
 * @param path the file, or a folder with adapter_model.safetensors and adapter_config.json.
 * @param c what the adapters are for; borrowed until the file is freed.
 * @return FM_OK; FM_ENOTFOUND; FM_EIO; FM_EPARSE; FM_EPROTO a tensor that is no adapter of such a
 *         model, or without its other half; FM_EINVAL a setting that is not supported; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_adapter_file_open(const char *path, const fm_decoder_config *c,
                                            fm_adapter_file **out);
void fm_adapter_file_free(fm_adapter_file **f);

/** What a decoder for it is made with. */
fm_decoder_adapters fm_adapter_file_adapters(const fm_adapter_file *f);
/** Into such a decoder; maps of the mask that the file does not have are 0. FM_ENONFINITE. */
FM_NODISCARD fm_status fm_adapter_file_read(const fm_adapter_file *f, fm_decoder *d);

typedef struct {
    const char *base;                /* name of the model for adapter_config.json, or NULL */
    const fm_safetensors_meta *meta; /* [meta_count] more metadata of the weights */
    size_t meta_count;               /* at most 16 */
    bool owner_only;                 /* the weights may tell texts: the folder gets mode 0700 */
} fm_adapter_about;

/**
 * Write a decoder's adapters as a new folder that PEFT opens, in float32.
 * @param a what the decoder was made with.
 * @return FM_OK; FM_EINVAL: GraniteMoE's experts, which have no names there; FM_EEXIST; FM_EIO;
 *         FM_ENOMEM. On error nothing is at `output`.
 */
FM_NODISCARD fm_status fm_adapter_write(const fm_decoder *d, const fm_decoder_adapters *a,
                                        const fm_adapter_about *about, const char *output);

#endif
