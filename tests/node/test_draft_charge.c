/* A charged estimate: paid before it is looked at, near the truth, and nothing without a budget. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draft_charge.h"
#include "fedmoe/base/file.h"
#include "suites.h"
#include "world.h"

static void every_number_lies_in_its_part(void)
{
    double lo, hi, last = -HUGE_VAL;

    for (size_t p = 0; p < FM_DRAFT_PARTS; p++) {
        fm_draft_part_ends(p, &lo, &hi);
        CU_ASSERT_TRUE(lo <= hi && lo >= last - 1e-12);
        last = hi;
        CU_ASSERT_EQUAL(fm_draft_part(lo + (hi - lo) / 2), p);
    }
    for (double v = 1e-5; v < 1e8; v *= 1.07)
        for (int sign = -1; sign <= 1; sign += 2) {
            fm_draft_part_ends(fm_draft_part(sign * v), &lo, &hi);
            CU_ASSERT_TRUE(lo <= sign * v + 1e-9 * v && sign * v <= hi + 1e-9 * v);
        }
    CU_ASSERT_EQUAL(fm_draft_part(-1e300), 0);
    CU_ASSERT_EQUAL(fm_draft_part(1e300), FM_DRAFT_PARTS - 1);
}

/* 2,000 rows of 1,000 patients: ages 20 to 79, money -500 to 499, words. */
static void make_records(const char *path)
{
    fm_buf csv = { 0 };

    need(fm_buf_printf(&csv, "who,age,money,word\n") == FM_OK, "memory");
    for (int i = 0; i < 2000; i++)
        need(fm_buf_printf(&csv, "p%d,%d,%d,word%d\n", i / 2, 20 + i % 60, i % 1000 - 500, i) ==
                 FM_OK,
             "memory");
    need(fm_file_create(path, csv.data, csv.len, 0600) == FM_OK, "records");
    fm_buf_fini(&csv);
}

typedef struct {
    char dir[PATH_CAP], records[PATH_CAP], ledger[PATH_CAP];
    fm_node_config config;
    fm_draft draft;
} desk;

static void desk_init(desk *d)
{
    memset(d, 0, sizeof *d);
    fm_test_tmpdir(d->dir, sizeof d->dir);
    make_path(d->records, d->dir, "records.csv");
    make_path(d->ledger, d->dir, "ledger.db");
    make_records(d->records);
    d->config.dir = d->dir;
    d->config.records = d->records;
    d->config.ledger = d->ledger;
    (void)snprintf(d->config.data_set, sizeof d->config.data_set, "visits");
    d->config.policy = (fm_node_policy){
        .epsilon = 1.5, .delta = 1e-4, .unit = "who", .tasks = FM_NODE_TASK(FM_TASK_STATISTICS)
    };
    need(fm_draft_header(d->records, &d->draft) == FM_OK, "header");
}

static fm_status charge(desk *d, double epsilon)
{
    static const char *const columns[] = { "age", "money", "word" };
    fm_rng_seed seed;
    fm_rng rng = fm_rng_seeded(&seed, 5);

    return fm_node_draft_charge(&d->config, epsilon, columns, 3, &rng, &d->draft);
}

static fm_status see(void *ctx, const fm_ledger_row *row)
{
    unsigned *seen = ctx;

    ++*seen;
    CU_ASSERT_STRING_EQUAL(row->unit, "who");
    CU_ASSERT_EQUAL(row->round, 0);
    CU_ASSERT_EQUAL(row->mechanism.count, 1);
    return FM_OK;
}

static unsigned entries(const desk *d)
{
    fm_ledger *l = NULL;
    unsigned seen = 0;

    if (!fm_file_exists(d->ledger))
        return 0;
    CU_ASSERT_EQUAL_FATAL(fm_ledger_open_readonly(d->ledger, &l), FM_OK);
    CU_ASSERT_EQUAL(fm_ledger_walk(l, see, &seen), FM_OK);
    fm_ledger_close(&l);
    return seen;
}

static void ranges_are_near_and_paid_for(void)
{
    desk d;
    fm_draft_column *c;

    desk_init(&d);
    CU_ASSERT_EQUAL_FATAL(charge(&d, 1.0), FM_OK);
    CU_ASSERT_EQUAL(entries(&d), 1);
    c = fm_draft_find(&d.draft, "age");
    CU_ASSERT_STRING_EQUAL(c->lo, "17");
    CU_ASSERT_STRING_EQUAL(c->hi, "100");
    CU_ASSERT_TRUE(c->estimated && strstr(c->source, "epsilon 1 at delta 0.0001 for 3 columns"));
    c = fm_draft_find(&d.draft, "money");
    CU_ASSERT_STRING_EQUAL(c->lo, "-570");
    CU_ASSERT_STRING_EQUAL(c->hi, "570");
    c = fm_draft_find(&d.draft, "word");
    CU_ASSERT_PTR_NULL(c->lo);
    CU_ASSERT_TRUE(c->doubt && strstr(c->doubt, "hardly a number"));
    CU_ASSERT_EQUAL(fm_draft_find(&d.draft, "who")->kind, FM_DRAFT_UNKNOWN);
    fm_draft_fini(&d.draft);
}

static void without_a_budget_nothing_is_estimated(void)
{
    desk d;

    desk_init(&d);
    CU_ASSERT_EQUAL(charge(&d, 1.6), FM_EBUDGET);
    CU_ASSERT_EQUAL(entries(&d), 0);
    CU_ASSERT_PTR_NULL(fm_draft_find(&d.draft, "age")->lo);
    d.config.policy.tasks = 0;
    CU_ASSERT_EQUAL(charge(&d, 0.5), FM_EPERM);
    CU_ASSERT_EQUAL(entries(&d), 0);
    fm_draft_fini(&d.draft);
}

static const fm_test tests[] = {
    { "every number lies in its part", every_number_lies_in_its_part },
    { "ranges are near and paid for", ranges_are_near_and_paid_for },
    { "without a budget nothing is estimated", without_a_budget_nothing_is_estimated },
};

const fm_test_suite suite_draft_charge = { "node.draft_charge", tests, FM_TEST_COUNT(tests) };
