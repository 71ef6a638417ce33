#include "query_support.h"

#include <math.h>
#include <string.h>

#include "fm_test.h"

fm_query *query_parsed(fm_query_task task, const char *text)
{
    fm_query *q = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_query_parse(task, "query.yaml", text, strlen(text), &q), FM_OK);
    return q;
}

const fm_query_report query_no_noise = { "f", "p", "00", 1000.0, 1e-5, 1.0, 0.0 };

json_t *query_answer(const fm_query *q, const float *sum, const fm_query_report *r)
{
    json_t *out = NULL;

    CU_ASSERT_EQUAL_FATAL(fm_query_read(q, sum, r, &out), FM_OK);
    return out;
}

const json_t *query_item(const json_t *answered, size_t i)
{
    return json_array_get(json_object_get(answered, "results"), i);
}

double query_figure(const json_t *o, const char *key, const char *what)
{
    const json_t *f = json_object_get(o, key);

    return f && !json_is_null(f) ? json_number_value(json_object_get(f, what)) : (double)NAN;
}
