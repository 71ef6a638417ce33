/*
 * What the text of a record is, and whose: text.yaml (docs/text.md). The same file for all members
 * of a federation. For any thread; a schema never changes once loaded.
 */
#ifndef FEDMOE_MODEL_TEXT_SCHEMA_H
#define FEDMOE_MODEL_TEXT_SCHEMA_H

#include "fedmoe/base/yaml.h"

#define FM_TEXT_MAX_FIELDS 64u /* pieces of a text: columns or keys, and what is between */

typedef enum {
    FM_TEXT_CSV,
    FM_TEXT_NDJSON, /* a JSON object a line */
    FM_TEXT_FHIR,   /* NDJSON of FHIR bulk exports: DocumentReference, DiagnosticReport */
} fm_text_source;

typedef struct fm_text_schema fm_text_schema;

/**
 * Read a text schema.
 * @param out  owned by the caller: fm_text_schema_free.
 * @return FM_OK; FM_EPARSE with file, line and column; FM_ENOTFOUND, FM_EIO, FM_EPROTO; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_text_schema_load(const char *path, fm_text_schema **out);
/** The same from memory; `name` stands in error texts in place of the path. */
FM_NODISCARD fm_status fm_text_schema_parse(const char *name, const void *text, size_t len,
                                            fm_text_schema **out);
void fm_text_schema_free(fm_text_schema **s);
/** Whether a schema means texts, be it right or wrong: it says from what `source`, as no schema of a
 *  table (schema.h) does. */
bool fm_text_schema_is(const void *text, size_t len);

const char *fm_text_schema_name(const fm_text_schema *s);
/** The file's own bytes, NUL-terminated. */
const char *fm_text_schema_text(const fm_text_schema *s);
fm_text_source fm_text_schema_source(const fm_text_schema *s);
/** The column or key that says whose record it is, "patient" of FHIR; NULL: each record is a unit. */
const char *fm_text_schema_unit(const fm_text_schema *s);
/** Whether it says `public: true`: these texts are about nobody, or for everybody to read. */
bool fm_text_schema_public(const fm_text_schema *s);

#endif
