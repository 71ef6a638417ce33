#ifndef FEDMOE_BASE_SAFETENSORS_INTERNAL_H
#define FEDMOE_BASE_SAFETENSORS_INTERNAL_H

#include <jansson.h>

#include "fedmoe/base/safetensors.h"

#define FM_SAFETENSORS_META "__metadata__"
#define FM_SAFETENSORS_LENGTH_BYTES ((size_t)8)

/** Bytes of one element, or 0 for a dtype that is not known; *name: the constant name. */
size_t fm_safetensors_element(const char *dtype, const char **name);

/* The view comes first: a pointer to it is one to its entry. */
typedef struct {
    fm_tensor_view view;
    size_t offset; /* of its first byte within the data */
} fm_safetensors_entry;

struct fm_safetensors {
    char *name;
    int fd;          /* of an opened file, or -1 */
    fm_buf bytes;    /* the whole file, until `data` is moved to its front; empty when opened */
    uint8_t *data;   /* in bytes or in the mapping; NULL when opened */
    void *map;       /* the whole file, or NULL */
    size_t head_len; /* before the data */
    size_t data_len;
    json_t *header; /* owns names and metadata */
    fm_safetensors_entry *entries;
    const fm_tensor_view **by_name; /* sorted */
    size_t count;
    json_t *meta; /* borrowed from header, or NULL */
    fm_safetensors_meta *metas;
    size_t meta_count;
};

FM_NODISCARD fm_status fm_safetensors_make(const char *name, fm_safetensors **out);
/** Of a file of `file_len` bytes, at least 8, that begins with `first`: how long head and data are. */
FM_NODISCARD fm_status fm_safetensors_read_lengths(fm_safetensors *s,
                                                   const uint8_t first[FM_SAFETENSORS_LENGTH_BYTES],
                                                   size_t file_len);
FM_NODISCARD fm_status fm_safetensors_parse_header(fm_safetensors *s, const char *text, size_t len);
/** Metadata and tensors from the parsed header, checked against the lengths. */
FM_NODISCARD fm_status fm_safetensors_read_entries(fm_safetensors *s);
fm_status fm_safetensors_fail_other(const fm_safetensors *s, const char *why);
/** Of two const fm_tensor_view **, for qsort and bsearch. */
int fm_safetensors_compare_names(const void *a, const void *b);

#endif
