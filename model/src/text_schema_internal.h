#ifndef FEDMOE_MODEL_TEXT_SCHEMA_INTERNAL_H
#define FEDMOE_MODEL_TEXT_SCHEMA_INTERNAL_H

#include "fedmoe/model/text_schema.h"

#define FM_TEXT_NO_FIELD SIZE_MAX
#define FM_TEXT_MAX_COLUMNS 4096u
#define FM_TEXT_MAX_NAME 255u /* bytes of a column's or key's name */

/* A piece of the template: fixed text, then what a field holds. */
typedef struct {
    char *fixed;  /* owned */
    size_t field; /* or FM_TEXT_NO_FIELD */
} fm_text_part;

struct fm_text_schema {
    char *name, *text;
    fm_text_source source;
    bool header;
    char delimiter;
    char **columns; /* without a header: what the file's columns are called */
    size_t column_count;
    char *fields[FM_TEXT_MAX_FIELDS]; /* columns or key paths of the text; all different */
    size_t field_count;
    fm_text_part parts[FM_TEXT_MAX_FIELDS];
    size_t part_count;
    char *unit; /* NULL: each record */
    bool empty_is_error;
    bool is_public;
    bool documents, reports; /* FHIR: which resources */
};

#endif
