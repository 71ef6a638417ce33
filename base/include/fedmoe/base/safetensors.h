/*
 * The safetensors container: u64le header length, JSON header, then the tensors' bytes.
 * It lives in base because the aggregator keeps checkpoints in it and must not link model/.
 *
 * Files never change once made: several threads may read one.
 * Source: the format's own description, github.com/huggingface/safetensors, README "Format".
 */
#ifndef FEDMOE_BASE_SAFETENSORS_H
#define FEDMOE_BASE_SAFETENSORS_H

#include <sys/types.h>

#include "fedmoe/base/memory.h"

#define FM_SAFETENSORS_MAX_HEADER ((size_t)16 * 1024 * 1024)
#define FM_SAFETENSORS_MAX_DIMS 8

typedef struct {
    const char *name;
    const char *dtype; /* "F32", "I8", ... as on disk */
    size_t dims;
    size_t shape[FM_SAFETENSORS_MAX_DIMS];
    const uint8_t *data; /* borrowed */
    size_t bytes;
} fm_tensor_view;

typedef struct {
    const char *key;
    const char *value;
} fm_safetensors_meta;

/** A file held in memory; tensors in the order of their data offsets. */
typedef struct fm_safetensors fm_safetensors;

/**
 * Parse: header length, JSON, dtypes, shapes against sizes, offsets that tile the data exactly.
 * @param name  for error texts. @param data copied.
 * @return FM_OK; FM_EPROTO naming the tensor and what is wrong; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_safetensors_parse(const char *name, const void *data, size_t len,
                                            fm_safetensors **out);
FM_NODISCARD fm_status fm_safetensors_load(const char *path, size_t limit, fm_safetensors **out);
/**
 * As fm_safetensors_load for files that are larger than memory: only the header is read, with the
 * same checks, and the views' data is NULL; fm_safetensors_read gives the values. The file stays
 * open until fm_safetensors_free.
 * @return FM_OK; FM_ENOTFOUND; FM_EIO, also for what is no regular file; FM_EPROTO; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_safetensors_open(const char *path, fm_safetensors **out);
/** As fm_safetensors_open, with the views' data in a mapping of the file: the system reads what is
 *  looked at, and lets go of it. Of a file that somebody cuts short meanwhile the system ends the
 *  program (SIGBUS): for files that others cannot write. */
FM_NODISCARD fm_status fm_safetensors_map(const char *path, fm_safetensors **out);
void fm_safetensors_free(fm_safetensors **s);

/**
 * Bytes at .. at + len of a tensor's values, from the file or from memory.
 * @param v one of `s`'s own views. @param out uint8_t[len].
 * @return FM_OK; FM_EINVAL beyond the tensor; FM_EIO; FM_ESTATE when they were forgotten.
 * @thread several may read one file.
 */
FM_NODISCARD fm_status fm_safetensors_read(const fm_safetensors *s, const fm_tensor_view *v,
                                           size_t at, size_t len, void *out);
/** Of an opened file all that stands before the values, byte for byte: appended to `out`. What
 *  fm_safetensors_read gives for fm_safetensors_at(0), (1), ... after it is the whole file. */
FM_NODISCARD fm_status fm_safetensors_read_head(const fm_safetensors *s, fm_buf *out);

/** Metadata of a model that one institution has fitted to its own records (train/personal.h): it is
 *  not private, and no federation takes it. */
#define FM_META_PERSONAL "fedmoe.personal"

size_t fm_safetensors_count(const fm_safetensors *s);
/** Of the whole file. */
uint64_t fm_safetensors_bytes(const fm_safetensors *s);
const fm_tensor_view *fm_safetensors_at(const fm_safetensors *s, size_t i);
/** NULL when absent. */
const fm_tensor_view *fm_safetensors_find(const fm_safetensors *s, const char *name);
/** Metadata value, or NULL. */
const char *fm_safetensors_meta_get(const fm_safetensors *s, const char *key);
size_t fm_safetensors_meta_count(const fm_safetensors *s);
fm_safetensors_meta fm_safetensors_meta_at(const fm_safetensors *s, size_t i);

/** Elements of all tensors if each is F32; FM_EPROTO otherwise. */
FM_NODISCARD fm_status fm_safetensors_flat_size(const fm_safetensors *s, size_t *elements);
/** All F32 tensors, one after the other in offset order: float[*elements], borrowed. FM_EPROTO as
 *  above, FM_ESTATE when they were forgotten. */
FM_NODISCARD fm_status fm_safetensors_flat_view(const fm_safetensors *s, const float **out,
                                                size_t *elements);
/** Keep names, shapes and metadata, free all values: the views' data is NULL from then on. */
void fm_safetensors_forget(fm_safetensors *s);
/** As fm_safetensors_flat_view, into out[elements]. */
FM_NODISCARD fm_status fm_safetensors_flat_read(const fm_safetensors *s, float *out,
                                                size_t elements);

/**
 * Encode tensors and metadata (both borrowed); data aligned to 8 bytes; out appended. Wider
 * elements come first, else the order given, so that each tensor is aligned to its element.
 * @return FM_OK; FM_EINVAL a tensor or text that cannot be written (out unchanged); FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_safetensors_encode(const fm_tensor_view *tensors, size_t count,
                                             const fm_safetensors_meta *meta, size_t meta_count,
                                             fm_buf *out);
/** What stands before the values alone, for a caller who writes them himself, in the order given:
 *  wider elements first (else FM_EINVAL). The views' data are not looked at. The values begin at a
 *  multiple of 64. */
FM_NODISCARD fm_status fm_safetensors_encode_head(const fm_tensor_view *tensors, size_t count,
                                                  const fm_safetensors_meta *meta,
                                                  size_t meta_count, fm_buf *out);
/** The same into a file, as fm_file_replace does it: never in memory as a whole. FM_EIO, too. */
FM_NODISCARD fm_status fm_safetensors_replace(const char *path, mode_t mode,
                                              const fm_tensor_view *tensors, size_t count,
                                              const fm_safetensors_meta *meta, size_t meta_count);
/** The names and shapes of `like`, with the values of flat[elements] and the given metadata. */
FM_NODISCARD fm_status fm_safetensors_encode_flat(const fm_safetensors *like, const float *flat,
                                                  size_t elements, const fm_safetensors_meta *meta,
                                                  size_t meta_count, fm_buf *out);

#endif
