/*
 * The file of a decoder in 8 bits: one safetensors file with all that it needs (docs/edge.md).
 *
 * Maps, embedding and head are int8 [out, in] under the names of the Hugging Face folder, each expert's by
 * itself, with float32 [out] under the same name + "_scale"; router, norms and biases are float32. `config.json` and
 * `tokenizer.json` are uint8 tensors of those names, byte for byte. An expert's maps and scales lie
 * together.
 */
#ifndef FEDMOE_EDGE_FILE_H
#define FEDMOE_EDGE_FILE_H

#include "fedmoe/edge/model.h"

#define FM_EDGE_KIND "decoder-int8" /* of the metadata's fedmoe.kind */

typedef struct {
    uint64_t before, after; /* bytes of the files with weights */
    double worst;           /* largest error of a weight in its row's scale: at most 1/2 */
} fm_edge_facts;

/**
 * Quantise a Hugging Face folder into one new file, tensor by tensor: beside one tensor's values nothing
 * is held. The metadata of the folder's weights goes along.
 * @return FM_OK; FM_EEXIST; FM_EIO; FM_EPROTO; FM_EINVAL; FM_ENONFINITE naming the tensor; FM_ENOMEM.
 *         On error nothing is at `output`.
 */
FM_NODISCARD fm_status fm_edge_write(const char *folder, const char *output, fm_edge_facts *facts);

#endif
