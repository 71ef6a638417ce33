/* A query of an SQLite database that is open. */
#ifndef FEDMOE_SOURCE_SQLITE_INTERNAL_H
#define FEDMOE_SOURCE_SQLITE_INTERNAL_H

#include <sqlite3.h>

#include "database_internal.h"

/** @param db closed by fm_database_free, or here on failure. As fm_database_sqlite. */
FM_NODISCARD fm_status fm_database_of_sqlite(sqlite3 *db, const char *name, const char *query,
                                             const fm_database_format *f, fm_database **out);

#endif
