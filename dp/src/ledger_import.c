/* Entries that this ledger lacks, from an export or another copy of it: all of them or none. */
#include "ledger_internal.h"

#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/memory.h"

/* The own chain: hashes[s] of entry s, hashes[0] zero. */
typedef struct {
    fm_hash *hashes;
    size_t count, room;
} own_chain;

static fm_status keep_hash(void *ctx, const fm_ledger_row *row)
{
    own_chain *c = ctx;

    if (c->count >= c->room)
        return fm_fail(FM_EPROTO, "ledger: more entries than were counted");
    c->hashes[c->count++] = row->hash;
    return FM_OK;
}

/* With room for what may be added. */
static fm_status read_chain(fm_ledger *l, uint64_t entries, size_t more, own_chain *out)
{
    size_t room = 0;
    void *p = NULL;
    fm_status st;

    if ((st = fm_add_size((size_t)entries, more, &room)) != FM_OK ||
        (st = fm_add_size(room, 1, &room)) != FM_OK ||
        (st = fm_alloc(room, sizeof *out->hashes, &p)) != FM_OK)
        return st;
    *out = (own_chain){ .hashes = p, .count = 1, .room = room };
    return fm_ledger_walk(l, keep_hash, out);
}

static fm_status check_values(const fm_ledger *l, const fm_ledger_row *row)
{
    const fm_ledger_entry e = { .data_set = row->data_set,
                                .federation = row->federation,
                                .purpose = row->purpose,
                                .mechanism = row->mechanism,
                                .unit = row->unit };
    fm_status st = FM_OK;

    if (row->format < 1 || row->format > FM_LEDGER_VERSION)
        st = fm_fail(FM_EPROTO, "its format is %u, this program knows 1 to %d", row->format,
                     FM_LEDGER_VERSION);
    else
        st = fm_ledger_check_entry(&e);
    return st == FM_OK ? FM_OK
                       : fm_fail_context(FM_EPROTO, "%s: entry %llu cannot be added: ", l->path,
                                         (unsigned long long)row->sequence);
}

/* What is here already must be the same there. */
static fm_status check_same(const fm_ledger *l, const own_chain *c, const fm_ledger_row *row)
{
    if (!fm_hash_equal(&row->hash, &c->hashes[row->sequence]))
        return fm_fail(FM_EPROTO,
                       "%s: entry %llu is another one here than in what is to be imported: the two "
                       "have different histories, and neither replaces the other",
                       l->path, (unsigned long long)row->sequence);
    return fm_ledger_row_follows("what is to be imported", row, row->sequence - 1,
                                 &c->hashes[row->sequence - 1]);
}

static fm_status add_row(fm_ledger *l, own_chain *c, const fm_ledger_row *row)
{
    fm_status st;

    if (row->sequence == 0 || row->sequence > c->count)
        return fm_fail(FM_EPROTO,
                       "%s: has entries 1 to %zu; what is to be imported goes on with entry %llu: "
                       "those between are missing",
                       l->path, c->count - 1, (unsigned long long)row->sequence);
    if (row->sequence < c->count)
        return check_same(l, c, row);
    if ((st = check_values(l, row)) != FM_OK ||
        (st = fm_ledger_row_follows("what is to be imported", row, c->count - 1,
                                    &c->hashes[c->count - 1])) != FM_OK)
        return st;
    if ((st = fm_ledger_same_unit(l, row->data_set, row->unit)) == FM_EPERM)
        st = FM_EPROTO; /* with its text */
    if (st == FM_OK && (st = fm_ledger_insert(l, row)) == FM_OK)
        c->hashes[c->count++] = row->hash;
    return st;
}

static fm_status add_rows(fm_ledger *l, const fm_ledger_row *rows, size_t count, uint64_t *added)
{
    own_chain c = { 0 };
    uint64_t before = 0, after = 0;
    fm_status st = fm_ledger_verify_open(l, &before);

    if (st == FM_OK)
        st = read_chain(l, before, count, &c);
    for (size_t i = 0; st == FM_OK && i < count; i++)
        st = i > 0 && rows[i].sequence != rows[i - 1].sequence + 1
                 ? fm_fail(FM_EPROTO, "what is to be imported: entry %llu follows entry %llu",
                           (unsigned long long)rows[i].sequence,
                           (unsigned long long)rows[i - 1].sequence)
                 : add_row(l, &c, &rows[i]);
    free(c.hashes);
    if (st == FM_OK)
        st = fm_ledger_verify_open(l, &after);
    if (st == FM_OK)
        st = fm_ledger_exec(l, "COMMIT", "sync the entries");
    if (st == FM_OK)
        *added = after - before;
    return st;
}

fm_status fm_ledger_import(fm_ledger *l, const fm_ledger_row *rows, size_t count, uint64_t *added)
{
    fm_status st;

    if (!l || (!rows && count > 0) || !added)
        return fm_fail(FM_EINVAL, "ledger: none given, no entries, or no place for their count");
    if ((st = fm_ledger_exec(l, "BEGIN IMMEDIATE", "lock")) != FM_OK)
        return st;
    st = add_rows(l, rows, count, added);
    fm_ledger_rollback(l);
    l->cache.valid = false;
    return st;
}
