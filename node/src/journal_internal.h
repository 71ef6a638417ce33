#ifndef FEDMOE_NODE_JOURNAL_INTERNAL_H
#define FEDMOE_NODE_JOURNAL_INTERNAL_H

#include <sqlite3.h>

#include "fedmoe/node/journal.h"

struct fm_journal {
    sqlite3 *db;
    char *path, *federation;
    fm_hash plan;
};

#endif
