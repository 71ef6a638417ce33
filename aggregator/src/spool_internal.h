/*
 * Updates on their way in. Small ones wait in memory, up to a bound in all; the others in files of
 * the aggregator's directory that have no name: nothing of them outlives the process, and masked
 * words are all that they hold.
 */
#ifndef FEDMOE_AGGREGATOR_SPOOL_INTERNAL_H
#define FEDMOE_AGGREGATOR_SPOOL_INTERNAL_H

#include "fedmoe/proto/message.h"

typedef struct fm_spool fm_spool;

/** @param dir     borrowed; where the files are.
 *  @param places  how many updates may be on their way at a time. */
FM_NODISCARD fm_status fm_spool_new(const char *dir, uint32_t places, fm_spool **out);
void fm_spool_free(fm_spool **s);
/**
 * Put the next bytes of an update of `size` bytes; at 0 it begins (again).
 * @return FM_OK; FM_EINVAL a place or range that cannot be; FM_ENOMEM; FM_EIO: the disk is full.
 */
FM_NODISCARD fm_status fm_spool_put(fm_spool *s, uint32_t place, size_t size, uint64_t at,
                                    fm_bytes piece);
/** Bytes that were put; FM_EINVAL others; FM_EIO. */
FM_NODISCARD fm_status fm_spool_get(fm_spool *s, uint32_t place, uint64_t at, uint8_t *out,
                                    size_t len);
/** Nothing of this place is wanted any more. Its file serves the next one that needs one. */
void fm_spool_drop(fm_spool *s, uint32_t place);

/** Most bytes of updates of `size` bytes that are held in memory: one update, but 2 to 64 MiB. */
size_t fm_spool_memory(size_t size);

#endif
