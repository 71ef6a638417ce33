/*
 * Ledger and journal bear each other out: a round that was released stands in both. So one that
 * was lost, emptied, restored from an old copy or exchanged does not go unnoticed while the other
 * is there.
 */
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "run_internal.h"

typedef struct {
    const char *data_set;
    const fm_hash *plan;
    uint64_t charged;    /* entries of the data set, over everything: one for each round */
    uint64_t of_plan;    /* noised sums of the plan's entries: of local steps several each */
    uint64_t last_round; /* of the plan */
} books;

/* What this node asked itself (schema suggest) is in no journal. */
static bool is_of_no_run(const fm_ledger_row *row)
{
    return row->round == 0;
}

static fm_status read_row(void *ctx, const fm_ledger_row *row)
{
    books *b = ctx;

    if (strcmp(row->data_set, b->data_set) != 0 || is_of_no_run(row))
        return FM_OK;
    b->charged++;
    if (!fm_hash_equal(&row->plan, b->plan))
        return FM_OK;
    b->of_plan += row->mechanism.count;
    if (row->round > b->last_round)
        b->last_round = row->round;
    return FM_OK;
}

static fm_status check_charged(const fm_node_config *c, uint64_t charged, uint64_t released)
{
    if (released <= charged)
        return FM_OK;
    return fm_fail(FM_EPROTO,
                   "%s holds %llu entries of data set '%s', but state.db in %s knows of %llu "
                   "released rounds: the ledger is not the newest one, or the data set was "
                   "renamed; put the newest ledger back, or add the missing entries with "
                   "'fedmoe-node ledger import FILE' (other records need a folder of their "
                   "own)",
                   c->ledger, (unsigned long long)charged, c->data_set, c->dir,
                   (unsigned long long)released);
}

/** Both of one plan. */
static fm_status check_used(const fm_node_config *c, uint64_t charged, uint64_t used)
{
    if (charged <= used)
        return FM_OK;
    return fm_fail(FM_EPROTO,
                   "state.db in %s knows a plan's rounds to %llu, but %s was charged for "
                   "round %llu of it: the journal is not the newest one; put the newest one back",
                   c->dir, (unsigned long long)used, c->ledger, (unsigned long long)charged);
}

fm_status fm_node_books_check(const fm_node_driver *d, fm_node_prepared *p)
{
    books b = { .data_set = d->config.data_set, .plan = &p->hash };
    fm_journal_state journal = { 0 };
    uint64_t released = 0;
    fm_status st;

    if ((st = fm_ledger_walk(d->ledger, read_row, &b)) != FM_OK ||
        (st = fm_journal_released(p->journal, &released)) != FM_OK ||
        (st = fm_journal_state_get(p->journal, &journal)) != FM_OK)
        return st;
    if ((st = check_charged(&d->config, b.charged, released)) != FM_OK ||
        (st = check_used(&d->config, b.last_round, journal.last_used)) != FM_OK)
        return st;
    p->charged = (b.of_plan + p->mechanism.count - 1) / p->mechanism.count;
    return FM_OK;
}

fm_status fm_node_books_check_mark(const fm_node_driver *d, const fm_ledger_mark *mark)
{
    bool found = false;

    if (fm_ledger_contains(d->ledger, &mark->head, &found) != FM_OK)
        return FM_EIO; /* with its text: the process ends */
    if (found)
        return FM_OK;
    return fm_fail(FM_EIO,
                   "%s lacks the entry that this node signed when it released round %llu of this "
                   "plan: it is older than that (restored from a backup?), or another ledger; put "
                   "the newest one back, or add the missing entries with 'fedmoe-node ledger "
                   "import FILE'",
                   d->config.ledger, (unsigned long long)mark->round);
}

/* ---- what the journal must know of the ledger ---- */

typedef struct {
    char federation[64];
    fm_hash plan;
    uint64_t last_round;
} run_of_plan;

typedef struct {
    const char *data_set;
    run_of_plan *runs; /* [count], owned, room for `room` */
    size_t count, room;
    uint64_t charged;
} runs;

static fm_status add_run(runs *r, const fm_ledger_row *row)
{
    size_t room = r->room ? 2 * r->room : 16, bytes = 0;
    run_of_plan *grown;
    fm_status st;

    if (r->count == r->room) {
        if ((st = fm_mul_size(room, sizeof *grown, &bytes)) != FM_OK)
            return st;
        if (!(grown = realloc(r->runs, bytes)))
            return fm_fail(FM_ENOMEM, "ledger: no memory for %zu plans", room);
        r->runs = grown;
        r->room = room;
    }
    r->runs[r->count] = (run_of_plan){ .plan = row->plan, .last_round = row->round };
    memcpy(r->runs[r->count++].federation, row->federation, sizeof row->federation);
    return FM_OK;
}

static fm_status note_run(void *ctx, const fm_ledger_row *row)
{
    runs *r = ctx;

    if (strcmp(row->data_set, r->data_set) != 0 || is_of_no_run(row))
        return FM_OK;
    r->charged++;
    for (size_t i = r->count; i-- > 0;)
        if (fm_hash_equal(&r->runs[i].plan, &row->plan) &&
            strcmp(r->runs[i].federation, row->federation) == 0) {
            if (row->round > r->runs[i].last_round)
                r->runs[i].last_round = row->round;
            return FM_OK;
        }
    return add_run(r, row);
}

static fm_status use_up_to(const char *path, const run_of_plan *run)
{
    fm_journal_state state = { 0 };
    fm_journal *j = NULL;
    fm_status st = fm_journal_open(path, run->federation, &run->plan, &j);

    if (st == FM_OK)
        st = fm_journal_state_get(j, &state);
    if (st == FM_OK && run->last_round > state.last_used)
        st = fm_journal_use(j, run->last_round);
    fm_journal_close(&j);
    return st;
}

fm_status fm_node_books_follow(const fm_node_config *c, fm_ledger *l)
{
    runs r = { .data_set = c->data_set };
    char *path = NULL;
    fm_status st = fm_path_join(c->dir, "state.db", &path);

    if (st == FM_OK)
        st = fm_ledger_walk(l, note_run, &r);
    for (size_t i = 0; st == FM_OK && i < r.count; i++)
        st = use_up_to(path, &r.runs[i]);
    free(r.runs);
    free(path);
    return st;
}

/** Of all plans; the journal may be missing where the ledger has nothing. */
static fm_status compare(const fm_node_config *c, const char *path, uint64_t released,
                         const runs *r)
{
    fm_journal_state state = { 0 };
    fm_journal_row *rows = NULL;
    size_t count = 0;
    fm_status st = FM_OK;

    if (!fm_file_exists(path))
        return check_used(c, r->count ? r->runs[0].last_round : 0, 0);
    st = check_charged(c, r->charged, released);
    for (size_t i = 0; st == FM_OK && i < r->count; i++) {
        st = fm_journal_read_rounds(path, r->runs[i].federation, &r->runs[i].plan, &rows, &count,
                                    &state);
        if (st == FM_OK)
            st = check_used(c, r->runs[i].last_round, state.last_used);
        free(rows);
        rows = NULL;
    }
    return st;
}

/* The node may be at work: its round is noted as used, then charged, then noted as released, and what comes
 * later there is read earlier here. */
fm_status fm_node_books_compare(const fm_node_config *c, fm_ledger *l)
{
    runs r = { .data_set = c->data_set };
    uint64_t released = 0;
    char *path = NULL;
    fm_status st = fm_path_join(c->dir, "state.db", &path);

    if (st == FM_OK && fm_file_exists(path))
        st = fm_journal_read_released(path, &released);
    if (st == FM_OK && (st = fm_ledger_walk(l, note_run, &r)) == FM_OK)
        st = compare(c, path, released, &r);
    free(r.runs);
    free(path);
    return st;
}

fm_status fm_node_books_none_yet(const fm_node_config *c)
{
    uint64_t released = 0;
    char *path = NULL;
    fm_status st = fm_path_join(c->dir, "state.db", &path);

    if (st == FM_OK && fm_file_exists(path))
        st = fm_journal_read_released(path, &released);
    free(path);
    if (st != FM_OK)
        return st;
    if (released > 0)
        return fm_fail(FM_EPROTO,
                       "%s is not there, but state.db in %s knows of %llu released rounds: put the "
                       "newest ledger back, or add its entries with 'fedmoe-node ledger import'",
                       c->ledger, c->dir, (unsigned long long)released);
    return FM_OK;
}

fm_status fm_node_books_missing(const fm_node_config *c)
{
    fm_status st = fm_node_books_none_yet(c);

    return st == FM_OK ? fm_fail(FM_ENOTFOUND,
                                 "%s is not there: nothing has been spent by this node", c->ledger)
                       : st;
}
