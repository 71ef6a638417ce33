/*
 * The ledger as text, so that other software can add it up again: JSON or CSV with every field of
 * every entry, numbers with all their digits (docs/ledger.md has the layout); and back, to add
 * entries that a ledger lacks.
 */
#ifndef FEDMOE_DP_LEDGER_TEXT_H
#define FEDMOE_DP_LEDGER_TEXT_H

#include "fedmoe/base/memory.h"
#include "fedmoe/dp/ledger.h"

typedef enum { FM_LEDGER_JSON, FM_LEDGER_CSV } fm_ledger_text;

/** "gaussian", "laplace", "discrete-gaussian". */
const char *fm_ledger_kind_name(fm_dp_mechanism_kind kind);

/** Append the whole ledger. JSON: FM_EINVAL when a name in it is not UTF-8. */
FM_NODISCARD fm_status fm_ledger_export(fm_ledger *l, fm_ledger_text as, fm_buf *out);

/**
 * Read an export (which of the two, it tells itself). Only the form is checked: whether the entries
 * fit together is fm_ledger_import's affair.
 *
 * @param name  for error texts.
 * @param rows  out: [*count], owned by the caller (free); NULL when there are none.
 * @return FM_OK; FM_EPARSE naming entry and field; FM_ENOMEM.
 * @thread pure.
 */
FM_NODISCARD fm_status fm_ledger_parse(const char *name, const void *bytes, size_t len,
                                       fm_ledger_row **rows, size_t *count);

/** Likewise from a file: an export, or another ledger (mode 0600; only read). */
FM_NODISCARD fm_status fm_ledger_read(const char *path, fm_ledger_row **rows, size_t *count);

#endif
