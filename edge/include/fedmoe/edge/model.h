/*
 * A decoder to run: its configuration, its tokenizer, and where each of its weights lies. It comes
 * from a file in 8 bits (file.h), of which only what is used is in memory, or from a Hugging Face
 * folder, in float32.
 *
 * Several sessions (session.h) may run one model, each on a thread of its own.
 */
#ifndef FEDMOE_EDGE_MODEL_H
#define FEDMOE_EDGE_MODEL_H

#include "fedmoe/edge/int8.h"
#include "fedmoe/model/decoder_config.h"
#include "fedmoe/model/tokenizer.h"

typedef struct fm_edge_model fm_edge_model;

/** A linear map [out, in]: one of the two is there. */
typedef struct {
    const float *f32; /* [rows, columns] */
    fm_int8_matrix i8;
    size_t rows, columns; /* 0: the model has no such map */
} fm_edge_map;

/** Maps and vectors of a layer under the names of fm_decoder_layer; NULL or rows 0 where there are
 *  none. Biases, norms and the router stay float32. */
typedef struct {
    const float *input_norm, *post_norm;
    const float *query_bias, *key_bias, *value_bias, *query_norm, *key_norm;
    const float *query_a_bias, *query_a_norm, *latent_bias, *latent_norm, *output_bias;
    const float *router, *correction; /* [E, D], [E] */
    fm_edge_map query, key, value;    /* GROUPED; query also LATENT with rank 0 */
    fm_edge_map query_a, query_b, latent, latent_b, output;
    fm_edge_map gate, up, down; /* dense */
    fm_edge_map shared_gate, shared_up, shared_down;
} fm_edge_layer;

/** An expert's three maps. */
typedef struct {
    fm_edge_map gate, up, down;
} fm_edge_expert;

/**
 * @param path a file of fm_edge_write, or a folder as fm_decoder_folder_open takes it.
 * @return FM_OK; FM_ENOTFOUND; FM_EIO; FM_EPROTO naming tensor and file; FM_EINVAL; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_edge_model_open(const char *path, fm_edge_model **out);
void fm_edge_model_free(fm_edge_model **m);

/* All borrowed from the model. */
const fm_decoder_config *fm_edge_model_config(const fm_edge_model *m);
/** NULL: it has none. */
const fm_tokenizer *fm_edge_model_tokenizer(const fm_edge_model *m);
bool fm_edge_model_is_int8(const fm_edge_model *m);
const fm_edge_layer *fm_edge_model_layer(const fm_edge_model *m, size_t layer);
/** Of a layer with experts. */
fm_edge_expert fm_edge_model_expert(const fm_edge_model *m, size_t layer, size_t expert);
fm_edge_map fm_edge_model_embedding(const fm_edge_model *m); /* [V, D] */
fm_edge_map fm_edge_model_head(const fm_edge_model *m);      /* [V, D], of a tied model the same */
const float *fm_edge_model_last_norm(const fm_edge_model *m);
/** Metadata of a file in 8 bits or of the folder's first file of weights; NULL: absent. */
const char *fm_edge_model_meta(const fm_edge_model *m, const char *key);

/**
 * Bytes of mapped weights that may be in memory at once, 0: as the system likes. Experts that
 * were used longest ago are let go of first. Of a model in float32 nothing is mapped: FM_EINVAL.
 */
FM_NODISCARD fm_status fm_edge_model_limit(fm_edge_model *m, uint64_t bytes);
/** An expert is about to be used; to be called before each use, by any thread. */
void fm_edge_model_touch(const fm_edge_model *m, size_t layer, size_t expert);

#endif
