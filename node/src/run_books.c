/*
 * Ledger and journal bear each other out: a round that was released stands in both. So one that
 * was lost, emptied, restored from an old copy or exchanged does not go unnoticed while the other
 * is there.
 */
#include <string.h>

#include "run_internal.h"

typedef struct {
    const char *data_set;
    const fm_hash *plan;
    uint64_t charged;    /* of the data set, over everything */
    uint64_t last_round; /* of the plan */
} books;

static fm_status read_row(void *ctx, const fm_ledger_row *row)
{
    books *b = ctx;

    if (strcmp(row->data_set, b->data_set) != 0)
        return FM_OK;
    b->charged += row->mechanism.count;
    if (fm_hash_equal(&row->plan, b->plan) && row->round > b->last_round)
        b->last_round = row->round;
    return FM_OK;
}

fm_status fm_node_books_check(const fm_node_driver *d, const fm_node_prepared *p)
{
    books b = { .data_set = d->config.data_set, .plan = &p->hash };
    fm_journal_state journal = { 0 };
    uint64_t released = 0;
    fm_status st;

    if ((st = fm_ledger_walk(d->ledger, read_row, &b)) != FM_OK ||
        (st = fm_journal_released(p->journal, &released)) != FM_OK ||
        (st = fm_journal_state_get(p->journal, &journal)) != FM_OK)
        return st;
    if (released > b.charged)
        return fm_fail(FM_EPROTO,
                       "%s holds %llu entries of data set '%s', but state.db in %s knows of %llu "
                       "released rounds: the ledger is not the newest one, or the data set was "
                       "renamed; put the newest ledger back (other records need a folder of their "
                       "own)",
                       d->config.ledger, (unsigned long long)b.charged, d->config.data_set,
                       d->config.dir, (unsigned long long)released);
    if (b.last_round > journal.last_used)
        return fm_fail(FM_EPROTO,
                       "state.db in %s knows this plan's rounds to %llu, but %s was charged for "
                       "round %llu: the journal is not the newest one; put the newest one back",
                       d->config.dir, (unsigned long long)journal.last_used, d->config.ledger,
                       (unsigned long long)b.last_round);
    return FM_OK;
}
