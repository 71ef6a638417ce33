/* What the readers of a dictionary and of a header share. */
#ifndef FEDMOE_MODEL_DRAFT_INTERNAL_H
#define FEDMOE_MODEL_DRAFT_INTERNAL_H

#include <stddef.h>

/** The delimiter that stands most often in the first line, outside of quotes. */
char fm_draft_delimiter(const char *text, size_t len);

#endif
