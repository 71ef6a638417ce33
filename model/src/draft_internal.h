/* What the readers of a dictionary and of a header share. */
#ifndef FEDMOE_MODEL_DRAFT_INTERNAL_H
#define FEDMOE_MODEL_DRAFT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "fedmoe/model/draft.h"
#include "table_csv.h"

/** The delimiter that stands most often in the first line, outside of quotes. */
char fm_draft_delimiter(const char *text, size_t len);

/** draft_type.c: what a column of this type is. @param near out: a type that may have been meant, NULL: none.
 *  Static. @return false: it is no type. */
bool fm_draft_type(const char *word, fm_draft_kind *out, const char **near);

/** A line of another number of fields than the header: records what is wrong with it. @return whether it is
 *  wrong with the file as a whole, so that the lines behind it would only say the same. */
bool fm_draft_fail_fields(const char *name, const fm_csv_record *line, char delimiter,
                          size_t fields);

#endif
