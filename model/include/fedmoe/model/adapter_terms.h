/*
 * What the members of a federation that trains adapters of a language model must agree on: the plan's
 * model text (docs/text.md, "In a federation"). The base model itself never travels, only its hash;
 * nor does A, which each member draws from the public seed. What travels is B; of square adapters R,
 * and B is drawn, too.
 */
#ifndef FEDMOE_MODEL_ADAPTER_TERMS_H
#define FEDMOE_MODEL_ADAPTER_TERMS_H

#include "fedmoe/base/hash.h"
#include "fedmoe/model/decoder_adapter.h"
#include "fedmoe/model/text_schema.h"

#define FM_META_KIND_ADAPTER "decoder-adapter"
#define FM_ADAPTER_TERMS_TOKEN 64 /* room for the end token */

typedef struct {
    char base[2 * FM_HASH_BYTES + 1];      /* fm_adapter_terms_of */
    char tokenizer[2 * FM_HASH_BYTES + 1]; /* SHA-256 of tokenizer.json */
    char modules[64];                      /* as given to fm_adapter_modules */
    unsigned maps;
    size_t rank, context;
    double alpha;
    bool square;                            /* fm_decoder_adapters */
    uint64_t seed;                          /* of A; public; at most 2^53 */
    char end_token[FM_ADAPTER_TERMS_TOKEN]; /* "": the tokenizer's own */
} fm_adapter_terms;

/** "attention,shared" as a mask. FM_EINVAL naming the word. */
FM_NODISCARD fm_status fm_adapter_modules(const char *text, unsigned *maps);

/** Whether a plan's model text is of this kind: its first line says so. */
bool fm_adapter_terms_is(const char *text);
/** FM_EPARSE with line and column; FM_EINVAL; FM_ENOMEM. `name` stands for a path. */
FM_NODISCARD fm_status fm_adapter_terms_parse(const char *name, const char *text,
                                              fm_adapter_terms *out);
/** FM_EINVAL: an end token that does not fit a line. */
FM_NODISCARD fm_status fm_adapter_terms_write(const fm_adapter_terms *t, fm_buf *out);

/**
 * Both hashes of a folder, streamed. That of the base is over lines "SHA-256  NAME\n" as sha256sum
 * prints them: config.json first, then the files with weights in the order of their names.
 * @return FM_OK; FM_EIO, FM_ENOTFOUND; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_adapter_terms_of(const fm_decoder_folder *f, fm_adapter_terms *out);
/** FM_EINVAL, and which of the two is another one, when the folder is not that of the terms. */
FM_NODISCARD fm_status fm_adapter_terms_check(const fm_adapter_terms *t,
                                              const fm_decoder_folder *f);

/**
 * The base with adapters: A from the seed, B (or R) 0. Its state, what travels, has
 * fm_decoder_gradient_parameters values.
 * @param most values of that state, at most: rank and modules are a stranger's word; 0: any.
 * @return as fm_decoder_folder_load; FM_EINVAL the model has none of the modules, or there are more
 *         values, which is seen before there is room for any.
 */
FM_NODISCARD fm_status fm_adapter_terms_load(const fm_adapter_terms *t, const fm_decoder_folder *f,
                                             size_t most, fm_decoder **out);

/** The small file: B as one tensor, terms and schema in the metadata, `extra` behind them. */
FM_NODISCARD fm_status fm_adapter_terms_encode(const fm_adapter_terms *t, const char *schema,
                                               const float *b, size_t n,
                                               const fm_safetensors_meta *extra, size_t extra_count,
                                               fm_buf *out);
/** The values of such a file into a decoder of its terms. FM_EPROTO, FM_EINVAL another size;
 *  FM_ENONFINITE. */
FM_NODISCARD fm_status fm_adapter_terms_read(const fm_safetensors *file, fm_decoder *d);

#endif
