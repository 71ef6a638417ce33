/* A dialect's bytes and cells made those that the rest reads. */
#ifndef FEDMOE_MODEL_DIALECT_INTERNAL_H
#define FEDMOE_MODEL_DIALECT_INTERNAL_H

#include "fedmoe/model/dialect.h"
#include "schema_internal.h"

/* ---- dialect_cell.c ---- */

#define FM_DIALECT_CELL \
    96 /* bytes of a rewritten cell, its zero included; longer ones are no number or date */

/**
 * A cell as the schema's own dialect would have it: a number or date rewritten, a further way to say
 * "missing" replaced by the column's first. What is neither stays as it is; a number that would be
 * one by the usual rule alone gets words behind it, so that nobody takes it for one.
 * @param room for the rewritten text, which *cell then points to.
 */
void fm_dialect_cell(const fm_dialect *d, const fm_schema *s, const fm_column *c, fm_slice *cell,
                     char room[FM_DIALECT_CELL]);

/* ---- recode.c ---- */

/** Bytes of a file as UTF-8, with spaces in the place of lines that are passed over: every byte of
 *  the others stays, and every line its number. */
typedef struct fm_recode fm_recode;
typedef fm_status (*fm_recode_more)(void *ctx, char *to, size_t room, size_t *n);

/** Whether the bytes need it at all. */
bool fm_recode_is_needed(const fm_dialect *d);
/** @param name of the file, for error texts, borrowed as d is. FM_EINVAL, FM_ENOMEM. */
FM_NODISCARD fm_status fm_recode_new(const char *name, const fm_dialect *d, fm_recode **out);
void fm_recode_free(fm_recode **r); /* wipes; NULL-safe */
/** 1..room bytes, *n 0 at the end. FM_EPARSE with the line: no text in this encoding; what `more`
 *  returns. */
FM_NODISCARD fm_status fm_recode_read(fm_recode *r, fm_recode_more more, void *ctx, char *to,
                                      size_t room, size_t *n);

#endif
