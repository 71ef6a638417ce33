/* What model*.c and file.c share. */
#ifndef FEDMOE_EDGE_MODEL_INTERNAL_H
#define FEDMOE_EDGE_MODEL_INTERNAL_H

#include "fedmoe/base/safetensors.h"
#include "fedmoe/edge/file.h"
#include "fedmoe/edge/model.h"
#include "fedmoe/model/decoder_folder.h"

#define FM_EDGE_CONFIG "config.json"
#define FM_EDGE_TOKENIZER "tokenizer.json"
#define FM_EDGE_SCALE "_scale" /* after a map's name */
#define FM_EDGE_NAME 160       /* bytes of the longest tensor name, and more */

/** Whether a tensor is one of those that are rounded to 8 bits: not vectors, not the router. */
bool fm_edge_is_map(const fm_decoder_layout *l, const fm_decoder_tensor *t);
void fm_edge_scale_name(const char *name, char out[FM_EDGE_NAME]);

/* A tensor of the model, by its place in the flat vector of decoder_config.h. */
typedef struct {
    size_t offset, rows, columns;
    fm_edge_map map;  /* of a map */
    const float *f32; /* of what is float in any case */
} fm_edge_slot;

typedef struct fm_edge_resident fm_edge_resident;

struct fm_edge_model {
    fm_safetensors *file;      /* mapped, or NULL */
    fm_decoder_folder *folder; /* or NULL */
    float *floats; /* of a folder the flat vector, of a file all that is float32 in it */
    fm_decoder_config config;
    fm_decoder_layout layout;
    fm_tokenizer *tokenizer;
    fm_edge_slot *slots; /* [count] by offset */
    size_t count;
    fm_edge_layer *layers;   /* [config.layers] */
    fm_edge_expert *experts; /* [config.layers, config.experts] */
    fm_edge_map embedding, head;
    const float *last_norm;
    fm_edge_resident *resident; /* of a file */
};

/** Tensors of the mapped file, checked against the configuration, into slots. */
FM_NODISCARD fm_status fm_edge_read_file(fm_edge_model *m, const char *path);
/** The same of a folder. */
FM_NODISCARD fm_status fm_edge_read_folder(fm_edge_model *m, const char *path);
/** Layers and experts from the slots. */
FM_NODISCARD fm_status fm_edge_assign(fm_edge_model *m);

/* ---- which experts are in memory ---- */

FM_NODISCARD fm_status fm_edge_resident_new(const fm_edge_model *m, fm_edge_resident **out);
void fm_edge_resident_free(fm_edge_resident **r);
FM_NODISCARD fm_status fm_edge_resident_limit(fm_edge_resident *r, uint64_t bytes);
void fm_edge_resident_touch(fm_edge_resident *r, size_t expert);

#endif
