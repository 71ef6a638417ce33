/*
 * Updates that are kept (federation.yaml, keep_updates): one file for each finished round,
 * updates/ROUND in the aggregator's directory, 0600, whole or not there.
 *
 *   file   = record ...
 *   record = kind u8 (1 update, 2 seeds) | roster index u32 | u64 length | bytes
 *
 * in the order of arrival. Seeds: self, then the pair seeds in the order of the lost, then surplus.
 */
#ifndef FEDMOE_AGGREGATOR_KEPT_INTERNAL_H
#define FEDMOE_AGGREGATOR_KEPT_INTERNAL_H

#include <stdio.h>

#include "fedmoe/proto/message.h"

#define FM_KEPT_DIR "updates"

typedef enum { FM_KEPT_UPDATE = 1, FM_KEPT_SEEDS = 2 } fm_kept_kind;

typedef struct fm_kept fm_kept;

/**
 * Make the folder, and remove what is of no finished round.
 * @param finished  transcript entries, [count], rounds increasing.
 */
FM_NODISCARD fm_status fm_kept_open(const char *dir, const fm_transcript_entry *finished,
                                    uint32_t count, fm_kept **out);
/** Without making it: what is of no finished round goes, also where none is kept any more. */
FM_NODISCARD fm_status fm_kept_sweep(const char *dir, const fm_transcript_entry *finished,
                                     uint32_t count);
/** What is of a round that did not finish goes. */
void fm_kept_close(fm_kept **k);
/** Another round begins: what came of the one before and was not finished goes. */
void fm_kept_begin(fm_kept *k, uint64_t round);
/** An update of `size` bytes, in pieces in order, without anything else between them. */
FM_NODISCARD fm_status fm_kept_update(fm_kept *k, uint32_t index, size_t size, uint64_t at,
                                      fm_bytes piece);
FM_NODISCARD fm_status fm_kept_release(fm_kept *k, uint32_t index, const fm_msg_release *r);
/** The file is whole and synced. */
FM_NODISCARD fm_status fm_kept_finish(fm_kept *k);

/* ---- reading ---- */

typedef struct fm_kept_file fm_kept_file;
/** FM_ENOTFOUND when nothing is kept of the round; FM_EPROTO damaged; FM_EIO; FM_ENOMEM. */
FM_NODISCARD fm_status fm_kept_read(const char *dir, uint64_t round, fm_kept_file **out);
void fm_kept_file_close(fm_kept_file **f);
/** The bytes of one record into `out`, in place of what is in it; FM_EPROTO when it is missing. */
FM_NODISCARD fm_status fm_kept_get(fm_kept_file *f, fm_kept_kind kind, uint32_t index, fm_buf *out);

#endif
