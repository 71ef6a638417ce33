/* query.yaml, as statistics and as evaluation; what is accepted must keep its bound. */
#include <math.h>

#include "fedmoe/dp/query.h"
#include "fuzz.h"

static void add(const fm_query *q, fm_query_task task)
{
    static const double cells[] = { 0.0, 1e300, -3.5, 1.0 };
    float *one = calloc(fm_query_width(q), sizeof *one);
    double square = 0.0;

    FUZZ_REQUIRE(one);
    for (size_t i = 0; i < fm_query_items(q); i++) {
        if (task == FM_QUERY_STATISTICS)
            fm_query_add(q, i, i % 5 == 4 ? (double)NAN : cells[i % 5], 1.0f, one);
        else
            fm_query_add_score(q, -1.5, true, 1.0f, one);
    }
    for (size_t i = 0; i < fm_query_width(q); i++)
        square += (double)one[i] * (double)one[i];
    FUZZ_REQUIRE(sqrt(square) <= fm_query_norm(q) * (1.0 + 1e-6));
    free(one);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    for (fm_query_task task = FM_QUERY_STATISTICS; task <= FM_QUERY_EVALUATION; task++) {
        fm_query *q = NULL;

        if (fm_query_parse(task, "fuzz", data, len, &q) == FM_OK)
            add(q, task);
        fm_query_free(&q);
    }
    return 0;
}
