/* Shared by the ledger's suites: a fresh ledger, an entry, rows collected from a walk. */
#ifndef FEDMOE_TESTS_DP_LEDGER_SUPPORT_H
#define FEDMOE_TESTS_DP_LEDGER_SUPPORT_H

#include <stdio.h>

#include "fedmoe/dp/ledger.h"
#include "fm_test.h"

static const fm_ledger_budget LEDGER_AMPLE = { 1e6, 1e-5 };

static inline fm_ledger_entry ledger_test_entry(uint64_t round)
{
    return (fm_ledger_entry){ .data_set = "cleveland",
                              .federation = "heart",
                              .purpose = "training heart-disease",
                              .plan = fm_hash_of("test", "plan", 4),
                              .round = round,
                              .mechanism = { 1.0, 1.0, 1, FM_DP_GAUSSIAN, 0 } };
}

/* In a fresh folder; the path is returned too. */
static inline fm_ledger *ledger_test_open_new(char *path, size_t cap)
{
    char dir[2048];
    fm_ledger *l = NULL;

    fm_test_tmpdir(dir, sizeof dir);
    snprintf(path, cap, "%s/ledger.db", dir);
    CU_ASSERT_EQUAL_FATAL(fm_ledger_open(path, &l), FM_OK);
    return l;
}

static inline void ledger_test_charge_rounds(fm_ledger *l, uint64_t first, uint64_t last)
{
    for (uint64_t r = first; r <= last; r++) {
        fm_ledger_entry e = ledger_test_entry(r);

        CU_ASSERT_EQUAL(fm_ledger_charge(l, &e, &LEDGER_AMPLE), FM_OK);
    }
}

typedef struct {
    fm_ledger_row *rows;
    size_t count, cap;
} ledger_test_rows;

static inline fm_status ledger_test_collect(void *ctx, const fm_ledger_row *row)
{
    ledger_test_rows *r = ctx;

    if (r->count == r->cap)
        return FM_ENOMEM;
    r->rows[r->count++] = *row;
    return FM_OK;
}

#endif
