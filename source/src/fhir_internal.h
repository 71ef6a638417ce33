/* One FHIR resource, a line of NDJSON, into the tables patient and event. */
#ifndef FEDMOE_SOURCE_FHIR_INTERNAL_H
#define FEDMOE_SOURCE_FHIR_INTERNAL_H

#include <stdbool.h>

#include <jansson.h>
#include <sqlite3.h>

#include "fedmoe/base/memory.h"

/* What is wrong in a folder, a line each; after so many reading stops. */
#define FM_FHIR_PROBLEMS ((size_t)1000)
#define FM_FHIR_ID_MOST 64 /* bytes of an id */

typedef struct {
    sqlite3 *db;
    sqlite3_stmt *patient, *event, *place;
    const char *name; /* of the file at hand */
    int64_t file;     /* its number */
    size_t line;
    const char *type, *id; /* of the resource at hand, or NULL; borrowed from it */
    const char *within;    /* the element that paths are looked up in, or NULL: the resource */
    bool hide_values;      /* no problem repeats what stands in a file */
    int this_year;
    char today[11]; /* YYYY-MM-DD of tomorrow: no zone is further ahead */
    fm_buf *problems;
    size_t problem_count;
    bool lost; /* a resource, or a file, could not be read: who refers to it is not to blame */
} fm_fhir_place;

/**
 * Take note of a problem of the line at hand: "file:line, Type/id, element: ...".
 * @param element NULL: of the whole line. @param v  what stands there, shown unless values are hidden;
 *        NULL: nothing. @param what  behind it: "is not a date (YYYY-MM-DD)".
 * @return FM_OK to go on; FM_EPARSE there are too many; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_fhir_problem(fm_fhir_place *p, const char *element, const json_t *v,
                                       const char *what);
/** As it is, a line of its own; text with its place. */
FM_NODISCARD fm_status fm_fhir_note(fm_fhir_place *p, const char *text);

/** FM_EIO, FM_ENOMEM of the database; problems are noted, and FM_EPARSE when there are too many. What is
 *  of other types than those that become rows, or entered in error, is passed over. */
FM_NODISCARD fm_status fm_fhir_take(fm_fhir_place *p, const json_t *resource);

/* fhir_check.c: elements. Each notes what is wrong and returns as fm_fhir_problem. */
typedef enum { FM_FHIR_TEXT, FM_FHIR_NUMBER, FM_FHIR_OBJECT, FM_FHIR_LIST } fm_fhir_kind;
/** @param out  the element under `path`, keys with points between; NULL when it is not there or wrong. */
FM_NODISCARD fm_status fm_fhir_element(fm_fhir_place *p, const json_t *object, const char *path,
                                       fm_fhir_kind kind, const json_t **out);
/** A date between the years. @param text out, of `bytes`; NULL when there is none. */
FM_NODISCARD fm_status fm_fhir_date(fm_fhir_place *p, const json_t *object, const char *path,
                                    int last_year, const char **text, size_t *bytes);
/** Keys that are nearly one that is read and not there: NULL-terminated list of keys. */
FM_NODISCARD fm_status fm_fhir_check_keys(fm_fhir_place *p, const json_t *object,
                                          const char *const *keys);
/** An object of one of FHIR's data types that lacks one of the elements that are read and has one that is
 *  none of the type's. @param path of it. @param read, others NULL-terminated: all of the type's. */
FM_NODISCARD fm_status fm_fhir_check_parts(fm_fhir_place *p, const char *path, const json_t *object,
                                           const char *const *read, const char *const *others);
/** The keys of other releases of FHIR in the place of those that are read. */
FM_NODISCARD fm_status fm_fhir_check_release(fm_fhir_place *p, const json_t *resource);

/* fhir_type.c */
/** resourceType and id; *known: a type of FHIR's. */
FM_NODISCARD fm_status fm_fhir_check_head(fm_fhir_place *p, const json_t *resource, bool *known);

#endif
