/*
 * A file's bytes, unpacked when it is packed: gzip, xz and zstd are known by their first bytes,
 * whatever the file is called. Several packed parts one after the other are one file, as the tools
 * that pack have it. What the unpackers hold of the records is wiped when it is given back.
 */
#ifndef FEDMOE_MODEL_PACKED_H
#define FEDMOE_MODEL_PACKED_H

#include "fedmoe/base/memory.h"

/** Most memory that unpacking one file takes: a file that wants more is refused. */
#define FM_PACKED_MEMORY ((size_t)160 * 1024 * 1024)

typedef struct fm_packed fm_packed;

/** @param name for error texts, borrowed. @param fd borrowed; a file or a pipe, at its beginning.
 *  @return FM_OK; FM_ENOMEM. */
FM_NODISCARD fm_status fm_packed_new(const char *name, int fd, fm_packed **out);
/** The file at `path`, which is borrowed until fm_packed_free. FM_ENOTFOUND, FM_EIO, FM_ENOMEM. */
FM_NODISCARD fm_status fm_packed_open(const char *path, fm_packed **out);
void fm_packed_free(fm_packed **p);
/**
 * Some more bytes, as they were before they were packed.
 * @param n out: 1..room, or 0 at the end.
 * @return FM_OK; FM_EIO; FM_EPROTO: what is packed is damaged or cut; FM_ENOMEM, also beyond
 *         FM_PACKED_MEMORY.
 */
FM_NODISCARD fm_status fm_packed_read(fm_packed *p, void *to, size_t room, size_t *n);

#endif
