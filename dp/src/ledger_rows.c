/* Rows: reading, walking, and the hash chain. */
#include "ledger_internal.h"

#include <string.h>

#include "fedmoe/base/memory.h"

#define COLUMNS                                                                       \
    "sequence, wall_s, data_set, federation, purpose, plan, round, noise_multiplier," \
    " sampling_rate, count, hash, kind, sensitivity, unit, format, salt"

static uint64_t bits_of(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    return bits;
}

fm_hash fm_ledger_row_hash(const fm_ledger_row *row, const fm_hash *before)
{
    fm_hasher h;

    fm_hasher_begin(&h, row->format == 1 ? "fedmoe ledger v1" : "fedmoe ledger v2");
    fm_hasher_add(&h, before->bytes, FM_HASH_BYTES);
    fm_hasher_add_u64(&h, row->sequence);
    fm_hasher_add_u64(&h, (uint64_t)row->wall_s);
    fm_hasher_add_part(&h, row->data_set, strlen(row->data_set));
    fm_hasher_add_part(&h, row->federation, strlen(row->federation));
    fm_hasher_add_part(&h, row->purpose, strlen(row->purpose));
    fm_hasher_add(&h, row->plan.bytes, FM_HASH_BYTES);
    fm_hasher_add_u64(&h, row->round);
    fm_hasher_add_u64(&h, bits_of(row->mechanism.noise_multiplier));
    fm_hasher_add_u64(&h, bits_of(row->mechanism.sampling_rate));
    fm_hasher_add_u64(&h, row->mechanism.count);
    if (row->format != 1) {
        fm_hasher_add_u64(&h, row->mechanism.kind);
        fm_hasher_add_u64(&h, row->mechanism.sensitivity);
        fm_hasher_add_part(&h, row->unit, strlen(row->unit));
        fm_hasher_add(&h, row->salt, sizeof row->salt);
    }
    return fm_hasher_end(&h);
}

static void copy_text(char *out, size_t cap, const char *s)
{
    size_t len = strnlen(s, cap - 1);

    memcpy(out, s, len);
    out[len] = '\0';
}

void fm_ledger_row_from_entry(const fm_ledger_entry *e, fm_ledger_row *row)
{
    memset(row, 0, sizeof *row);
    copy_text(row->data_set, sizeof row->data_set, e->data_set);
    copy_text(row->federation, sizeof row->federation, e->federation);
    copy_text(row->purpose, sizeof row->purpose, e->purpose);
    row->plan = e->plan;
    row->round = e->round;
    row->mechanism = e->mechanism;
    copy_text(row->unit, sizeof row->unit, e->unit ? e->unit : FM_LEDGER_UNIT_RECORD);
    row->format = FM_LEDGER_VERSION;
}

static bool read_text(sqlite3_stmt *q, int column, char *out, size_t cap)
{
    const unsigned char *s = sqlite3_column_text(q, column);
    size_t len = (size_t)sqlite3_column_bytes(q, column);

    if (!s || len == 0 || len >= cap || memchr(s, 0, len))
        return false;
    memcpy(out, s, len);
    out[len] = '\0';
    return true;
}

static bool read_bytes(sqlite3_stmt *q, int column, uint8_t *out, size_t len)
{
    const void *p = sqlite3_column_blob(q, column);

    if (!p || (size_t)sqlite3_column_bytes(q, column) != len)
        return false;
    memcpy(out, p, len);
    return true;
}

/* The field that is not of the right length, or NULL. */
static const char *read_variable(sqlite3_stmt *q, fm_ledger_row *row)
{
    if (!read_text(q, 2, row->data_set, sizeof row->data_set))
        return "data_set";
    if (!read_text(q, 3, row->federation, sizeof row->federation))
        return "federation";
    if (!read_text(q, 4, row->purpose, sizeof row->purpose))
        return "purpose";
    if (!read_bytes(q, 5, row->plan.bytes, FM_HASH_BYTES))
        return "plan";
    if (!read_bytes(q, 10, row->hash.bytes, FM_HASH_BYTES))
        return "hash";
    if (!read_text(q, 13, row->unit, sizeof row->unit))
        return "unit";
    return read_bytes(q, 15, row->salt, sizeof row->salt) ? NULL : "salt";
}

static fm_status read_row(const fm_ledger *l, sqlite3_stmt *q, fm_ledger_row *row)
{
    const char *bad;
    int64_t kind = sqlite3_column_int64(q, 11), sensitivity = sqlite3_column_int64(q, 12),
            format = sqlite3_column_int64(q, 14);

    memset(row, 0, sizeof *row);
    row->sequence = (uint64_t)sqlite3_column_int64(q, 0);
    row->wall_s = sqlite3_column_int64(q, 1);
    if ((bad = read_variable(q, row)))
        return fm_fail(FM_EPROTO, "%s: entry %llu was altered: its %s is not of the right length",
                       l->path, (unsigned long long)row->sequence, bad);
    if (kind < 0 || kind > FM_DP_DISCRETE_GAUSSIAN || sensitivity < 0 || sensitivity > UINT32_MAX ||
        format < 1 || format > FM_LEDGER_VERSION)
        return fm_fail(FM_EPROTO,
                       "%s: entry %llu was altered: its kind, sensitivity or format is none that "
                       "there is",
                       l->path, (unsigned long long)row->sequence);
    row->mechanism.kind = (fm_dp_mechanism_kind)kind;
    row->mechanism.sensitivity = (uint32_t)sensitivity;
    row->format = (uint32_t)format;
    row->round = (uint64_t)sqlite3_column_int64(q, 6);
    row->mechanism.noise_multiplier = sqlite3_column_double(q, 7);
    row->mechanism.sampling_rate = sqlite3_column_double(q, 8);
    row->mechanism.count = (uint64_t)sqlite3_column_int64(q, 9);
    return FM_OK;
}

fm_status fm_ledger_walk(fm_ledger *l, fm_status (*each)(void *ctx, const fm_ledger_row *row),
                         void *ctx)
{
    sqlite3_stmt *q = NULL;
    fm_ledger_row row;
    fm_status st = FM_OK;
    int rc;

    if (!l || !each)
        return fm_fail(FM_EINVAL, "ledger: none given, or nothing to call");
    rc = sqlite3_prepare_v2(l->db, "SELECT " COLUMNS " FROM entry NOT INDEXED ORDER BY sequence",
                            -1, &q, NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        if ((rc = sqlite3_step(q)) != SQLITE_ROW)
            break;
        if ((st = read_row(l, q, &row)) != FM_OK || (st = each(ctx, &row)) != FM_OK)
            goto done;
    }
    if (rc != SQLITE_DONE)
        st = fm_ledger_fail(l, rc, "read");
done:
    sqlite3_finalize(q);
    return st;
}

/* What a hash of format 1 does not cover has only one value there. */
static bool is_plain(const fm_ledger_row *row)
{
    static const uint8_t none[FM_LEDGER_SALT_BYTES];

    return row->mechanism.kind == FM_DP_GAUSSIAN && row->mechanism.sensitivity == 0 &&
           strcmp(row->unit, FM_LEDGER_UNIT_RECORD) == 0 &&
           memcmp(row->salt, none, sizeof none) == 0;
}

fm_status fm_ledger_row_follows(const char *path, const fm_ledger_row *row, uint64_t entries,
                                const fm_hash *before)
{
    fm_hash expected = fm_ledger_row_hash(row, before);

    if (row->sequence != entries + 1)
        return fm_fail(FM_EPROTO, "%s: entry %llu is missing (entry %llu comes in its place)", path,
                       (unsigned long long)(entries + 1), (unsigned long long)row->sequence);
    if (!fm_hash_equal(&expected, &row->hash) || (row->format == 1 && !is_plain(row)))
        return fm_fail(FM_EPROTO,
                       "%s: entry %llu (data set '%s', round %llu of '%s') was altered: it does "
                       "not fit its hash",
                       path, (unsigned long long)row->sequence, row->data_set,
                       (unsigned long long)row->round, row->federation);
    return FM_OK;
}

typedef struct {
    const fm_ledger *l;
    uint64_t entries;
    fm_hash before;
} chain;

static fm_status check_link(void *ctx, const fm_ledger_row *row)
{
    chain *c = ctx;
    fm_status st = fm_ledger_row_follows(c->l->path, row, c->entries, &c->before);

    if (st != FM_OK)
        return st;
    c->entries = row->sequence;
    c->before = row->hash;
    return FM_OK;
}

/* The index, which the sums are read through, must say what the table says. */
static fm_status check_structure(fm_ledger *l, uint64_t entries)
{
    int64_t ok = 0, triggers = 0, last = 0;
    fm_status st =
        fm_ledger_int(l, "SELECT integrity_check = 'ok' FROM pragma_integrity_check LIMIT 1", &ok);

    if (st == FM_OK && !ok)
        st = fm_fail(FM_EPROTO, "%s: table and index do not agree: the file is damaged", l->path);
    if (st == FM_OK)
        st = fm_ledger_int(l,
                           "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND name IN"
                           " ('entry_no_update', 'entry_no_delete', 'entry_append')",
                           &triggers);
    if (st == FM_OK && triggers != 3)
        st = fm_fail(FM_EPROTO, "%s: the triggers that forbid changes were removed", l->path);
    if (st == FM_OK)
        st = fm_ledger_int(
            l, "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'entry'", &last);
    if (st == FM_OK && (uint64_t)last != entries)
        st = fm_fail(FM_EPROTO, "%s: entry %llu is missing (%lld were written)", l->path,
                     (unsigned long long)(entries + 1), (long long)last);
    return st;
}

fm_status fm_ledger_verify_open(fm_ledger *l, uint64_t *entries)
{
    chain c = { .l = l };
    fm_status st = fm_ledger_walk(l, check_link, &c);

    if (st == FM_OK)
        st = check_structure(l, c.entries);
    if (st == FM_OK && entries)
        *entries = c.entries;
    return st;
}

fm_status fm_ledger_verify(fm_ledger *l, uint64_t *entries)
{
    fm_status st;

    if (!l)
        return fm_fail(FM_EINVAL, "ledger: none given");
    if ((st = fm_ledger_exec(l, "BEGIN", "read")) != FM_OK)
        return st;
    st = fm_ledger_verify_open(l, entries);
    fm_ledger_rollback(l);
    return st;
}

fm_status fm_ledger_contains(fm_ledger *l, const fm_hash *head, bool *found)
{
    sqlite3_stmt *q = NULL;
    fm_status st = FM_OK;
    int rc;

    if (!l || !head || !found)
        return fm_fail(FM_EINVAL, "ledger: none given, no hash, or no place for the answer");
    rc = sqlite3_prepare_v2(l->db, "SELECT count(*) FROM entry WHERE hash = ?1", -1, &q, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_blob(q, 1, head->bytes, FM_HASH_BYTES, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    if (rc == SQLITE_ROW)
        *found = sqlite3_column_int64(q, 0) > 0;
    else
        st = fm_ledger_fail(l, rc, "read");
    sqlite3_finalize(q);
    return st;
}
