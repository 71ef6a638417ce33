/*
 * A decoder as a Hugging Face folder: config.json, model.safetensors or shards with
 * model.safetensors.index.json, tokenizer.json and what else belongs to it.
 *
 * Read by name into the flat vector of decoder_config.h, and written back with the same names,
 * dtypes, shards, order and metadata: an unchanged model gives the same bytes.
 *
 * Where files may lie: shards have plain names within the folder, whatever the index says. A file of
 * the folder may be a symbolic link, as in the hub's cache, and is followed; only regular files are
 * opened. What is written goes into a new folder, through no link.
 *
 * Source: transformers 5, src/transformers/models/{olmoe,granitemoe,deepseek_v2,deepseek_v3} and
 * conversion_mapping.py for the older names; the keys and names are listed in docs/text.md.
 */
#ifndef FEDMOE_MODEL_DECODER_FOLDER_H
#define FEDMOE_MODEL_DECODER_FOLDER_H

#include "fedmoe/base/safetensors.h"
#include "fedmoe/model/decoder_config.h"

/** An opened folder: its files stay open, its weights on disk. Several threads may read one. */
typedef struct fm_decoder_folder fm_decoder_folder;

/**
 * Configuration, tensor names, shapes and dtypes, all checked against each other; no weights.
 * @return FM_OK; FM_ENOTFOUND; FM_EIO; FM_EPARSE; FM_EPROTO a file or tensor that is not as it must
 *         be; FM_EINVAL a class, key or value that is not supported; FM_ENOMEM. The text names it.
 */
FM_NODISCARD fm_status fm_decoder_folder_open(const char *dir, fm_decoder_folder **out);
void fm_decoder_folder_free(fm_decoder_folder **f);

/* Both borrowed from the folder. */
const fm_decoder_config *fm_decoder_folder_config(const fm_decoder_folder *f);
const fm_decoder_layout *fm_decoder_folder_layout(const fm_decoder_folder *f);

#define FM_DECODER_DTYPE_TEXT 24
typedef struct {
    uint64_t bytes; /* of the files with weights */
    size_t shards, tensors;
    /* Not of this computation, as V3's layers that predict further tokens: kept, and written back. */
    size_t passed_tensors;
    uint64_t passed_bytes;
    char
        dtype[FM_DECODER_DTYPE_TEXT]; /* "BF16", "BF16 and F32", ... the one of most values first */
    bool tokenizer;                   /* there is a tokenizer.json */
} fm_decoder_folder_facts;

void fm_decoder_folder_describe(const fm_decoder_folder *f, fm_decoder_folder_facts *out);

/**
 * All weights: BF16, F16 and F32 are exact in float32. Beside `flat` one piece of a tensor is held.
 * @param flat float32[layout parameters].
 * @return FM_OK; FM_EIO; FM_ENONFINITE naming the tensor; FM_EPROTO, also when tied matrices differ;
 *         FM_ENOMEM. On error `flat` is filled in part.
 */
FM_NODISCARD fm_status fm_decoder_folder_read(const fm_decoder_folder *f, float *flat);

/** The same for `n` values from flat[offset] on, all of one tensor (of one expert of a tensor with
 *  several); FM_EINVAL otherwise. */
FM_NODISCARD fm_status fm_decoder_folder_read_at(const fm_decoder_folder *f, size_t offset,
                                                 size_t n, float *out);

/* Of an opened folder, borrowed: config.json as it is on disk, and the first file of weights, for
 * its metadata. */
struct fm_safetensors;
const fm_buf *fm_decoder_folder_json(const fm_decoder_folder *f);
const struct fm_safetensors *fm_decoder_folder_file(const fm_decoder_folder *f);

/** A tensor by itself: where a folder may have experts in one, each of them has three. */
typedef struct {
    const char *name;     /* borrowed for the visit */
    size_t layer;         /* or FM_DECODER_ABSENT */
    size_t offset;        /* in the flat vector */
    size_t rows, columns; /* columns 0: a vector */
} fm_decoder_tensor;

/** Every tensor of a configuration, in the order of the layers, once. @return the visitor's
 *  failure. */
FM_NODISCARD fm_status fm_decoder_tensors(const fm_decoder_config *c, const fm_decoder_layout *l,
                                          fm_status (*visit)(void *context,
                                                             const fm_decoder_tensor *t),
                                          void *context);

/**
 * Write a new folder: the files of `f` with these weights, rounded to nearest even where the disk has
 * BF16 or F16, and config.json, tokenizer and generation files as they are. It is filled under
 * another name beside `output`, config.json last, and then renamed.
 * @param flat float32[layout parameters], borrowed.
 * @return FM_OK; FM_EEXIST `output` is there; FM_ENONFINITE, or FM_EINVAL a weight beyond its dtype,
 *         naming the tensor; FM_EIO; FM_ENOMEM. On error nothing is at `output`.
 */
FM_NODISCARD fm_status fm_decoder_folder_write(const fm_decoder_folder *f, const float *flat,
                                               const char *output);
/** The same for weights that may tell texts: the folder is for its owner alone, 0700. */
FM_NODISCARD fm_status fm_decoder_folder_write_for_owner(const fm_decoder_folder *f,
                                                         const float *flat, const char *output);

#define FM_DECODER_ABOUT 32u
/** What is said of weights beside them. */
typedef struct {
    const fm_safetensors_meta *meta; /* [meta_count] metadata of each file of weights */
    size_t meta_count;               /* at most FM_DECODER_ABOUT */
    bool owner_only;                 /* as fm_decoder_folder_write_for_owner */
} fm_decoder_about;

/** The same with metadata, which stands beside what the files of `f` say, or in its place. */
FM_NODISCARD fm_status fm_decoder_folder_write_about(const fm_decoder_folder *f, const float *flat,
                                                     const fm_decoder_about *about,
                                                     const char *output);
/** A value of the metadata of the first file of weights that has it, or NULL; borrowed. */
const char *fm_decoder_folder_meta(const fm_decoder_folder *f, const char *key);

/** config.json's text alone. @param name for error texts. */
FM_NODISCARD fm_status fm_decoder_config_parse(const char *name, const void *data, size_t len,
                                               fm_decoder_config *out);
/** "DeepseekV3ForCausalLM", ... */
const char *fm_decoder_class_name(fm_decoder_family family);

/* ---- models made here ---- */

/** A size of DeepSeek-V3-style models: sigmoid router, correction bias, latent attention. */
typedef struct {
    const char *name;
    const char *summary;
} fm_decoder_preset;

size_t fm_decoder_presets(void);
fm_decoder_preset fm_decoder_preset_at(size_t i);

/** A token may touch this share of the parameters: where the vocabulary is large there are more
 *  experts than the preset begins with. Not of lite-nano, which is small altogether. */
#define FM_DECODER_LITE_ACTIVE 0.15

typedef struct {
    const char *preset;    /* "lite", ... */
    size_t vocabulary;     /* 0: the preset's, or the tokenizer's */
    const char *tokenizer; /* tokenizer.json to take along, or NULL */
    uint64_t seed;         /* of the first weights; public */
} fm_decoder_plan;

/** config.json's text, and what it means; `text` initialised by the caller. */
FM_NODISCARD fm_status fm_decoder_plan_config(const fm_decoder_plan *p, fm_buf *text,
                                              fm_decoder_config *out);
/**
 * Write a new folder with first weights in float32: maps and embedding normal with deviation
 * initializer_range, gains 1, biases 0, as transformers begins. The same plan gives the same bytes.
 * @return as fm_decoder_folder_write; FM_EINVAL for a preset or vocabulary that is not possible.
 */
FM_NODISCARD fm_status fm_decoder_plan_write(const fm_decoder_plan *p, const char *output);
/** The same first weights, flat: float32[layout parameters of fm_decoder_plan_config]. */
FM_NODISCARD fm_status fm_decoder_plan_draw(const fm_decoder_plan *p, float *flat);
/** The same folder with other weights, and what is said of them (or NULL). */
FM_NODISCARD fm_status fm_decoder_plan_write_about(const fm_decoder_plan *p, const float *flat,
                                                   const fm_decoder_about *about,
                                                   const char *output);

#endif
