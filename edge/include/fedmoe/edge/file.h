/*
 * The file of a decoder in 8 bits: one safetensors file with all that it needs (docs/edge.md).
 *
 * Maps, embedding and head are int8 [out, in] under the names of the Hugging Face folder, each
 * expert's by itself, with float32 [out] under the same name + "_scale"; router, norms and
 * biases are float32. `config.json` and `tokenizer.json` are uint8 tensors of those names, byte
 * for byte. All that is float32 comes first (in memory it is a copy, looked at when the file is
 * opened), then the maps, an expert's three together, from a multiple of 64 on, then the two
 * files.
 */
#ifndef FEDMOE_EDGE_FILE_H
#define FEDMOE_EDGE_FILE_H

#include <sys/types.h>

#include "fedmoe/edge/model.h"
#include "fedmoe/model/decoder_folder.h"

#define FM_EDGE_KIND "decoder-int8" /* of the metadata's fedmoe.kind */

typedef struct {
    uint64_t before;  /* bytes of the weights in float32 */
    uint64_t weights; /* of weights and scales in the file */
    uint64_t after;   /* of the file: header, config.json and tokenizer.json, too */
    double worst;     /* largest error of a weight in its row's scale: at most 1/2 */
} fm_edge_facts;

/**
 * Quantise a Hugging Face folder into one new file, piece by piece: what is held is some MB, the
 * scales and tokenizer.json. The metadata of the folder's first file of weights goes along.
 * @param facts out, or NULL.
 * @return FM_OK; FM_EEXIST; FM_EIO; FM_EPROTO; FM_EINVAL; FM_ENONFINITE naming the tensor;
 *         FM_ENOMEM. On error nothing is at `output`.
 */
FM_NODISCARD fm_status fm_edge_write(const char *folder, const char *output, fm_edge_facts *facts);
/** The same for other weights of the folder's shapes. @param f what is at `folder`.
 *  @param flat float32[layout parameters]; NULL: the folder's own. @param mode of the file.
 *  @param replace what is at `output`, else FM_EEXIST. */
FM_NODISCARD fm_status fm_edge_write_folder(const fm_decoder_folder *f, const char *folder,
                                            const float *flat, mode_t mode, const char *output,
                                            bool replace, fm_edge_facts *facts);
/**
 * The file of a tabular model (tabular.h) into one in 8 bits, which fm_tabular_load reads as any
 * other: maps become int8 with a "_scale", all else stays, metadata too. What is at `output` is
 * replaced.
 * @return FM_OK; as fm_tabular_load; FM_EINVAL it is in 8 bits; FM_EIO; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_edge_write_tabular(const char *path, mode_t mode, const char *output,
                                             fm_edge_facts *facts);

#endif
