/*
 * A scratch file: bytes that do not fit the memory, kept on disk for this process alone. It has no
 * name, so that nothing is left of it whenever the process ends; and what lies on the disk is
 * encrypted (ChaCha20, libsodium) by a key that is in this process's guarded memory only, so that
 * the blocks that the file leaves behind say nothing, nor a disk that is taken out. Nobody else can
 * open it: its bytes are not authenticated.
 */
#ifndef FEDMOE_BASE_SCRATCH_H
#define FEDMOE_BASE_SCRATCH_H

#include <stdbool.h>

#include "fedmoe/base/memory.h"

typedef struct fm_scratch fm_scratch;

/**
 * @param dir  a folder that can be written, best not one in memory; NULL: $TMPDIR, or /var/tmp.
 * @return FM_OK; FM_EIO, the text names the folder; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_scratch_new(const char *dir, fm_scratch **out);
/** Wipes key and buffer; NULL-safe. */
void fm_scratch_free(fm_scratch **s);

/** Behind what is there. FM_EIO: the disk is full, say; FM_EINVAL once sealed. One thread. */
FM_NODISCARD fm_status fm_scratch_append(fm_scratch *s, const void *data, size_t n);
/** All is written that was appended; from now on it can be read. FM_EIO. */
FM_NODISCARD fm_status fm_scratch_seal(fm_scratch *s);

/** The n bytes at `at`. For any thread, once sealed. @return FM_OK; FM_EINVAL there are not so many,
 *  or it is not sealed; FM_EIO. */
FM_NODISCARD fm_status fm_scratch_read(const fm_scratch *s, uint64_t at, void *out, size_t n);

/** Bytes appended. */
uint64_t fm_scratch_bytes(const fm_scratch *s);

#endif
