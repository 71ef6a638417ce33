/* Folders of small decoders, made for a test: each family, dtype, sharded, with older names. */
#ifndef FEDMOE_TESTS_MODEL_FOLDER_FIXTURE_H
#define FEDMOE_TESTS_MODEL_FOLDER_FIXTURE_H

#include "decoder_folder_internal.h"
#include "fm_test.h"

#define DECODER_PATH 512

typedef struct {
    const char *config; /* config.json */
    const char *dtype;
    const char *other;    /* dtype of every third tensor; NULL: the same */
    size_t shards;        /* 0: one model.safetensors */
    const char *names[3]; /* parts of names that exist: older ones, or of fused experts */
    /* After the model's own, name and values as they are; a NULL name ends the list. */
    struct {
        const char *name;
        size_t rows, columns; /* columns 0: a vector */
        float value;
        bool embedding; /* the values are the embedding's */
    } extra[4];
    const char *without; /* this tensor is left out */
    const char *spoilt;  /* the first value of this one is `spoil` */
    float spoil;
    double spread; /* of the weights; 0: 1 */
} decoder_folder_spec;

/* config.json of each family in a few sizes; `more` is put before the closing brace (", ..."). */
extern const char *const decoder_olmoe, *const decoder_granite, *const decoder_v2,
                                                                    *const decoder_v3;
/** Caller frees. */
char *decoder_config_with(const char *config, const char *more);

/** Fills `dir`, which is there, and *flat (free) with what reading must give. */
void decoder_folder_make(const char *dir, const decoder_folder_spec *s, float **flat,
                         size_t *parameters);

/** "dir/name" into out. */
void decoder_path(const char *dir, const char *name, char out[DECODER_PATH]);
void decoder_put(const char *dir, const char *name, const char *text);
/** Every file of `a` is in `b` with the same bytes, and no other. @return how many. */
size_t decoder_same_files(const char *a, const char *b);
/** The last error text has `needle`. */
void decoder_error_has(const char *needle);

#endif
