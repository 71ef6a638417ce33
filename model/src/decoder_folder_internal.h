/* What decoder_folder*.c share. */
#ifndef FEDMOE_MODEL_DECODER_FOLDER_INTERNAL_H
#define FEDMOE_MODEL_DECODER_FOLDER_INTERNAL_H

#include "decoder_json.h"
#include "fedmoe/base/safetensors.h"
#include "fedmoe/model/decoder_folder.h"

#define FM_FOLDER_CONFIG "config.json"
#define FM_FOLDER_SINGLE "model.safetensors"
#define FM_FOLDER_INDEX "model.safetensors.index.json"
#define FM_FOLDER_TOKENIZER "tokenizer.json"
#define FM_FOLDER_MAX_JSON ((size_t)16 * 1024 * 1024)
#define FM_FOLDER_MAX_SHARDS ((size_t)1024)
#define FM_FOLDER_NAME 96                 /* bytes of the longest tensor name, and more */
#define FM_FOLDER_PIECE ((size_t)1 << 18) /* elements held at a time */

/* Where a tensor's values go: group after group, in each the parts one after the other, `piece`
 * values each. A plain tensor is one group of one part; gate_up_proj has a group per expert. */
typedef struct {
    size_t groups, stride;
    size_t parts, part[2];
    size_t piece;
} fm_tensor_place;

/* A tensor that the configuration asks for. */
typedef struct {
    const char *name;
    size_t dims, shape[3];
    fm_tensor_place place;
} fm_tensor_wanted;

typedef struct {
    /** Whether there is a tensor of this name, to tell older and fused names; NULL: the names that
     *  transformers writes. */
    bool (*exists)(const void *context, const char *name);
    fm_status (*visit)(void *context, const fm_tensor_wanted *wanted);
    void *context;
} fm_name_visitor;

/** Every tensor of a configuration, in the order of the layers. @return the visitor's failure. */
FM_NODISCARD fm_status fm_decoder_names(const fm_decoder_config *c, const fm_decoder_layout *l,
                                        const fm_name_visitor *v);

typedef enum {
    FM_TENSOR_UNKNOWN,
    FM_TENSOR_USED,
    FM_TENSOR_TWIN,   /* lm_head beside the embedding that it is tied to: must be the same */
    FM_TENSOR_PASSED, /* kept as it is */
} fm_tensor_role;

typedef struct {
    const fm_tensor_view *view;
    const fm_safetensors *file;
    fm_tensor_role role;
    fm_tensor_place place;
} fm_folder_tensor;

/* Values of the flat vector that lie side by side in a tensor. */
typedef struct {
    size_t to, count;
    size_t from; /* element of the tensor */
    const fm_folder_tensor *tensor;
} fm_folder_run;

struct fm_decoder_folder {
    char *dir;
    fm_buf json, index; /* the files' bytes; no index: empty */
    fm_decoder_json parsed;
    fm_decoder_layout layout;
    char **names; /* [shards], within dir */
    fm_safetensors **files;
    size_t shards;
    fm_folder_tensor *tensors; /* file by file, in each by offset */
    fm_folder_tensor **by_name;
    size_t count;
    fm_folder_run *runs; /* by `to` */
    size_t run_count;
};

/** Names of the shards, sorted, from the index; each tensor's file is looked up later. */
FM_NODISCARD fm_status fm_folder_index_names(const char *path, const fm_buf *text, json_t **map,
                                             char ***names, size_t *shards);
/** Gives every tensor its role and place. */
FM_NODISCARD fm_status fm_folder_assign(fm_decoder_folder *f);
/** Lists the runs, once tensors have their places. */
FM_NODISCARD fm_status fm_folder_list_runs(fm_decoder_folder *f);

/** What stands before a file's values, with the metadata of `about` in it. @param head replaced. */
FM_NODISCARD fm_status fm_folder_head(const fm_decoder_about *about, fm_buf *head);

/* Bits of 16-bit numbers; into narrower ones to nearest, ties to even. */
void fm_floats_from_bf16(const uint8_t *in, size_t n, float *out);
void fm_floats_from_f16(const uint8_t *in, size_t n, float *out);
void fm_floats_to_bf16(const float *in, size_t n, uint8_t *out);
void fm_floats_to_f16(const float *in, size_t n, uint8_t *out);

/** Bytes of a value of "F32", "F16" or "BF16"; 0 for another kind. */
size_t fm_floats_element(const char *kind);
/** @param kind "F32", "F16", "BF16". @param bytes room for 4 * n. False for another kind. */
bool fm_floats_decode(const char *kind, const uint8_t *bytes, size_t n, float *out);
/** False where a value does not fit the kind. */
bool fm_floats_encode(const char *kind, const float *in, size_t n, uint8_t *bytes);
bool fm_floats_finite(const float *v, size_t n);

/* A folder that is written beside its name and renamed into place. */
typedef struct {
    char *path, *temp;
    bool made;       /* temp */
    bool owner_only; /* nobody else may look into it */
} fm_new_folder;

FM_NODISCARD fm_status fm_new_folder_begin(const char *path, fm_new_folder *out);
FM_NODISCARD fm_status fm_new_folder_put(const fm_new_folder *n, const char *name, const void *data,
                                         size_t len);
FM_NODISCARD fm_status fm_new_folder_finish(fm_new_folder *n);
/** Removes what is not finished; safe on a zeroed one. */
void fm_new_folder_abort(fm_new_folder *n);

#endif
