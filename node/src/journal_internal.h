#ifndef FEDMOE_NODE_JOURNAL_INTERNAL_H
#define FEDMOE_NODE_JOURNAL_INTERNAL_H

#include <sqlite3.h>

#include "fedmoe/node/journal.h"

struct fm_journal {
    sqlite3 *db;
    char *path, *federation;
    fm_hash plan;
};

/**
 * For reading alone. Not SQLITE_OPEN_READONLY: whoever was killed in the middle of a change has left it
 * half done, and the first who opens the file takes it back.
 * @return of SQLite. *db: sqlite3_close, also after a failure.
 */
int fm_journal_open_read(const char *path, sqlite3 **db);

#endif
