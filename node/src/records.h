/* The records that node.yaml names, wherever they are, as a table. */
#ifndef FEDMOE_NODE_RECORDS_H
#define FEDMOE_NODE_RECORDS_H

#include "fedmoe/model/table.h"
#include "fedmoe/node/config.h"

/**
 * As fm_table_load, with the configuration's memory and scratch. Of a database a line is that of the CSV that the query's rows make: with a
 * header row 1 is line 2.
 * @return as fm_table_load and fm_database_sqlite or _odbc do; FM_EINVAL several files; FM_EPERM a
 *         connection_file that others may read.
 */
FM_NODISCARD fm_status fm_node_records_load(const fm_node_config *c, const fm_schema *s,
                                            const fm_table_options *options, fm_table *out);
/** Whether the file or files are there; of a database whether the query runs; of a FHIR
 *  folder whether it is there. */
FM_NODISCARD fm_status fm_node_records_find(const fm_node_config *c);

#endif
