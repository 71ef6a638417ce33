/* One FHIR resource, a line of NDJSON, into the tables patient and event. */
#ifndef FEDMOE_SOURCE_FHIR_INTERNAL_H
#define FEDMOE_SOURCE_FHIR_INTERNAL_H

#include <jansson.h>
#include <sqlite3.h>

#include "fedmoe/base/memory.h"

typedef struct {
    sqlite3 *db;
    sqlite3_stmt *patient, *event;
    const char *name; /* of the file at hand */
    int64_t file;     /* its number */
    size_t line;
} fm_fhir_place;

/** FM_EPARSE, "file:line: ..."; FM_EIO, FM_ENOMEM of the database. What is of other types than those
 *  that become rows, or entered in error, is passed over. */
FM_NODISCARD fm_status fm_fhir_take(const fm_fhir_place *p, const json_t *resource);

#endif
