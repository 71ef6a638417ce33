/*
 * The rows of a query as CSV: what a table is loaded from (fm_table_read) when records lie in a database.
 *
 * Rows are fetched in batches and written as RFC 4180, each value quoted, so that no value can be taken
 * for a delimiter; NULL is the text that the schema calls missing. Connections are for reading: SQLite
 * is opened so, and of ODBC it is asked; that the account may only read is the administrator's affair.
 * Values are wiped from the buffers here, passwords from the connection's text; what a driver holds is
 * its own.
 */
#ifndef FEDMOE_SOURCE_DATABASE_H
#define FEDMOE_SOURCE_DATABASE_H

#include <stdbool.h>

#include "fedmoe/base/memory.h"

/** One query under way; of one thread. */
typedef struct fm_database fm_database;

/** How the rows are written: as the schema has it. */
typedef struct {
    bool header; /* the first line names the columns */
    char delimiter;
    const char *missing; /* for NULL; borrowed for the call */
    unsigned query_s; /* seconds that the next row is waited for; 0: without end. Of ODBC the driver
                            keeps it, of the whole query, if it can */
} fm_database_format;

/**
 * @param path  an SQLite file, borrowed; for error texts, too.
 * @param query one statement that only reads.
 * @return FM_OK; FM_ENOTFOUND; FM_EIO; FM_EINVAL: the query is not understood, writes, or gives no columns;
 *         FM_ENOMEM. The text names the file and what the database says.
 */
FM_NODISCARD fm_status fm_database_sqlite(const char *path, const char *query,
                                          const fm_database_format *f, fm_database **out);
/**
 * @param name       for error texts, never the connection's text; borrowed until fm_database_free.
 * @param connection ODBC's, "DSN=clinic" or "Driver=...;...".
 * @return as above; FM_EIO: no connection, with what the driver says.
 */
FM_NODISCARD fm_status fm_database_odbc(const char *name, const char *connection, const char *query,
                                        const fm_database_format *f, fm_database **out);
void fm_database_free(fm_database **d);

/** How a file's bytes are had: unpacked, say. */
typedef struct {
    /* @param path borrowed until close. @param out: of the others. */
    fm_status (*open)(const char *path, void **out);
    fm_status (*read)(void *file, void *to, size_t room, size_t *n); /* *n 0 at the end */
    void (*close)(void *file);
} fm_database_files;

typedef struct {
    const fm_database_files *files; /* borrowed for the call */
    const char
        *scratch; /* where temporary files lie, also of later queries of this process; NULL: in
                            $SQLITE_TMPDIR, $TMPDIR or /var/tmp, as when nothing can be written there.
                            Not while another thread uses SQLite */
    bool shifted_dates; /* dates were moved for de-identification: they may lie in the future */
    bool hide_values;   /* problems never repeat what stands in the files: for logs */
    fm_buf *problems; /* NULL, or where every problem is appended, a line each: an error text holds
                            few of them */
} fm_fhir_options;

/**
 * A folder of a FHIR R4 bulk export (*.ndjson, and packed) as tables that a query in SQLite's SQL is
 * asked of; docs/sources.md has the tables. They are in temporary files of SQLite's, 0600 and
 * without a name, in the clear like the folder itself.
 *
 * All files are read, and all that is wrong is listed, up to 1000 problems: "file:line, Type/id,
 * element: ...", what is no JSON or no FHIR, types, dates and codes that are none, resources that
 * are there twice, references to nobody.
 * @param folder  borrowed until fm_database_free.
 * @return as fm_database_sqlite; FM_EPARSE: the first problems; what files->open and ->read return but
 *         FM_EPROTO and FM_ENOTFOUND, which are problems among others.
 */
FM_NODISCARD fm_status fm_database_fhir(const char *folder, const fm_fhir_options *o,
                                        const char *query, const fm_database_format *f,
                                        fm_database **out);

/** Some more bytes of CSV: *n 1..room, 0 at the end. @param db fm_database *, as fm_table_input has it.
 *  @return FM_OK; FM_EIO; FM_EPARSE: a value that is no text or number, or longer than a record may be;
 *          FM_ENOMEM. The text names the row, the query's first being 1. */
FM_NODISCARD fm_status fm_database_read(void *db, char *to, size_t room, size_t *n);

#endif
