/* Queries parsed and answered, for the tests of both. */
#ifndef FEDMOE_TESTS_DP_QUERY_SUPPORT_H
#define FEDMOE_TESTS_DP_QUERY_SUPPORT_H

#include "fedmoe/dp/query.h"

/** A report of one round without noise. */
extern const fm_query_report query_no_noise;

fm_query *query_parsed(fm_query_task task, const char *text);
/** fm_query_read, which must succeed; json_decref. */
json_t *query_answer(const fm_query *q, const float *sum, const fm_query_report *r);
/** Result i of an answer, borrowed. */
const json_t *query_item(const json_t *answered, size_t i);
/** o[key][what]; NaN when it is lost in noise or not there. */
double query_figure(const json_t *o, const char *key, const char *what);

#endif
