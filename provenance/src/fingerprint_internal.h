/* Weights by rows, whatever they are stored as; and the directions of the marks. */
#ifndef FEDMOE_PROVENANCE_FINGERPRINT_INTERNAL_H
#define FEDMOE_PROVENANCE_FINGERPRINT_INTERNAL_H

#include "fedmoe/base/safetensors.h"
#include "fedmoe/provenance/fingerprint.h"

#define FM_WEIGHT_FILES_MAX 4096u

/** The safetensors files of a model, in the order of their names; only headers are in memory. */
typedef struct {
    char **paths;           /* [count], owned */
    fm_safetensors **files; /* [count], owned */
    size_t count;
} fm_weights;

/** FM_ENOTFOUND a folder without any; FM_EINVAL more than FM_WEIGHT_FILES_MAX. */
FM_NODISCARD fm_status fm_weights_open(const char *model, fm_weights *out);
void fm_weights_close(fm_weights *w);

/** A tensor as rows of floats. */
typedef struct {
    const fm_safetensors *file;
    const fm_tensor_view *view, *scale; /* scale: of 8 bits, else NULL */
    size_t rows, columns;
} fm_matrix;

/** Whether a tensor of F32 or BF16 carries a mark. */
bool fm_matrix_of(const fm_safetensors *file, const fm_tensor_view *v, fm_matrix *out);
/** The tensor of that name and shape in another model; false: it has none. */
bool fm_matrix_find(const fm_weights *w, const fm_matrix *like, fm_matrix *out);
/** @param room  of fm_matrix_room(m) bytes. @param out  float[rows * columns]. */
FM_NODISCARD fm_status fm_matrix_read(const fm_matrix *m, size_t row, size_t rows, void *room,
                                      float *out);
size_t fm_matrix_row_bytes(const fm_matrix *m);
/** Rows that are worked on at once: about a megabyte. */
size_t fm_matrix_step(const fm_matrix *m);
/** Root mean square; 0 for a row of zeros, NaN when a value is no finite number. */
float fm_row_size(const float *row, size_t columns);

/** The direction of a recipient in one tensor. */
typedef struct {
    uint8_t key[32];
} fm_direction;
FM_NODISCARD fm_status fm_direction_of(const fm_fingerprint_key *k, const char *recipient,
                                       const char *tensor, fm_direction *out);
/** Signs of rows row .. row + rows: a bit each, 1 is +, the lowest first; each row begins a byte.
 *  @param out [rows * ((columns + 7) / 8)]. */
void fm_direction_signs(const fm_direction *d, size_t row, size_t rows, size_t columns,
                        uint8_t *out);

FM_NODISCARD fm_status fm_recipient_check(const char *name);

static inline float fm_bf16_float(uint16_t v)
{
    union {
        uint32_t bits;
        float value;
    } u = { (uint32_t)v << 16 };

    return u.value;
}

#endif
