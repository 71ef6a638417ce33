/* Records in a scratch file train like those in memory. */
#include <stdlib.h>
#include <string.h>

#include "learner_tabular.h"
#include "rig.h"
#include "step_internal.h"
#include "suites.h"

static bool is_zero(const void *p, size_t n)
{
    const unsigned char *at = p;

    while (n > 0 && at[n - 1] == 0)
        n--;
    return n == 0;
}

static void check_wiped(const fm_train_step *s)
{
    for (unsigned i = 0; i < fm_train_step_threads(s); i++) {
        const fm_train_records *o = s->workers[i].model;

        CU_ASSERT_PTR_NOT_NULL_FATAL(o->reader);
        CU_ASSERT(is_zero(o->x, o->batch * o->features * sizeof *o->x));
        CU_ASSERT(is_zero(o->y, o->batch * sizeof *o->y));
    }
}

/* Half of the units, so that rows are skipped; of those with more rows than count some are drawn. */
static void compare(size_t unit, fm_dp_encoding encoding, bool start)
{
    int64_t *memory, *file;
    fm_train_step *s;
    rig r;

    rig_open(&r, 700, unit, encoding, !start);
    r.spec.sampling_rate = 0.5;
    r.spec.unit_rows = unit > 1 ? 2 : 1;
    if (start)
        rig_start(&r);
    s = rig_step(&r, 2);
    memory = rig_sum(&r, s, 5, NULL);
    fm_train_step_free(&s);
    rig_spill(&r, 700, unit);
    s = rig_step(&r, 2);
    file = rig_sum(&r, s, 5, NULL);
    check_wiped(s);
    CU_ASSERT(memcmp(memory, file, r.length * sizeof *file) == 0);
    CU_ASSERT(!is_zero(file, r.length * sizeof *file));
    fm_train_step_free(&s);
    free(memory);
    free(file);
    rig_close(&r);
}

static void sums_are_the_same_bit_by_bit(void)
{
    for (int encoding = FM_DP_EXACT; encoding <= FM_DP_FAST; encoding++)
        for (int start = 0; start < 2; start++) {
            compare(1, (fm_dp_encoding)encoding, start);
            compare(4, (fm_dp_encoding)encoding, start);
        }
}

static const fm_test tests[] = {
    { "sums are the same, bit by bit, and rows are wiped", sums_are_the_same_bit_by_bit },
};
const fm_test_suite suite_scratch = { "train.scratch", tests, FM_TEST_COUNT(tests) };
