/* check, of a node whose records are a table: all that is wrong or odd, and drift. One thread. */
#ifndef FEDMOE_NODE_CHECK_RECORDS_H
#define FEDMOE_NODE_CHECK_RECORDS_H

#include "check_say.h"
#include "fedmoe/node/config.h"

typedef struct {
    const char *config_path;
    const char *schema_path; /* NULL: the pinned one, else that of the plan last offered */
    uint64_t max_unit_rows;  /* 0: as the plan last offered */
    bool columns, keep;
} fm_check_records;

void fm_check_records_run(fm_say *say, const fm_check_records *o, const fm_node_config *c);
/** There is no schema to hold them against, which was said: whether they are there. */
void fm_check_records_without(fm_say *say, const fm_check_records *o, const fm_node_config *c);

/** Names the first file of records that anybody may read, behind `detail`. */
void fm_check_readers(const fm_node_config *c, char *detail, size_t cap);

#endif
