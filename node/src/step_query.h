/* What a unit adds to the sum of a query: cells and scores in, dp/query.h's vector out. */
#ifndef FEDMOE_NODE_STEP_QUERY_H
#define FEDMOE_NODE_STEP_QUERY_H

#include "fedmoe/dp/query.h"
#include "fedmoe/model/table.h"
#include "fedmoe/node/step.h"

typedef struct fm_node_query fm_node_query;

/** The plan's query, which must fill its update: FM_EPARSE, FM_EINVAL. Free with fm_query_free. */
FM_NODISCARD fm_status fm_node_query_read(const fm_plan *plan, fm_query **out);
/** The columns that a statistics query needs of a table, one an item; *out borrows from q, free. */
FM_NODISCARD fm_status fm_node_query_columns(const fm_query *q, fm_raw_column **out);

/**
 * @param table  of fm_node_query_columns (statistics), or features and labels by the plan's schema
 *               (evaluation); borrowed.
 */
FM_NODISCARD fm_status fm_node_query_new(const fm_plan *plan, const fm_table *table,
                                         fm_node_query **out);
void fm_node_query_free(fm_node_query **q);
/** Before the units of a round: the scores of all records by the model in in->model. */
FM_NODISCARD fm_status fm_node_query_begin(fm_node_query *q, const fm_node_step_input *in);
/** After them: wipes the scores. */
void fm_node_query_end(fm_node_query *q);
/** The vector of the unit that these records are: the mean of theirs. out: float32[words]. FM_EIO of
 *  a table in a scratch file. */
FM_NODISCARD fm_status fm_node_query_unit(const fm_node_query *q, const uint32_t *rows,
                                          size_t count, float *out);

#endif
