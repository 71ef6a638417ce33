/* Export: the columns, and the ledger as JSON or CSV. */
#include "ledger_text_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "fedmoe/base/text.h"

#define COLUMN(name, type, member)                                                              \
    {                                                                                           \
        name, type, offsetof(fm_ledger_row, member), sizeof(((const fm_ledger_row *)0)->member) \
    }

const fm_ledger_column fm_ledger_columns[FM_LEDGER_COLUMNS] = {
    COLUMN("sequence", COLUMN_U64, sequence),
    COLUMN("wall_s", COLUMN_I64, wall_s),
    COLUMN("data_set", COLUMN_TEXT, data_set),
    COLUMN("federation", COLUMN_TEXT, federation),
    COLUMN("purpose", COLUMN_TEXT, purpose),
    COLUMN("unit", COLUMN_TEXT, unit),
    COLUMN("plan", COLUMN_HEX, plan),
    COLUMN("round", COLUMN_U64, round),
    COLUMN("kind", COLUMN_KIND, mechanism.kind),
    COLUMN("noise_multiplier", COLUMN_REAL, mechanism.noise_multiplier),
    COLUMN("sampling_rate", COLUMN_REAL, mechanism.sampling_rate),
    COLUMN("count", COLUMN_U64, mechanism.count),
    COLUMN("sensitivity", COLUMN_U32, mechanism.sensitivity),
    COLUMN("format", COLUMN_U32, format),
    COLUMN("salt", COLUMN_HEX, salt),
    COLUMN("hash", COLUMN_HEX, hash),
};

static const char *const kinds[] = {
    [FM_DP_GAUSSIAN] = "gaussian",
    [FM_DP_LAPLACE] = "laplace",
    [FM_DP_DISCRETE_GAUSSIAN] = "discrete-gaussian",
};

const char *fm_ledger_kind_name(fm_dp_mechanism_kind kind)
{
    return (size_t)kind < sizeof kinds / sizeof *kinds ? kinds[kind] : "unknown";
}

/* ---- one value ---- */

const char *fm_ledger_value(const fm_ledger_column *c, const fm_ledger_row *row,
                            char room[FM_LEDGER_VALUE_CAP])
{
    const char *at = (const char *)row + c->offset;
    uint64_t u64;
    uint32_t u32;
    double real;

    switch (c->type) {
    case COLUMN_TEXT:
        return at;
    case COLUMN_U64:
    case COLUMN_I64:
        memcpy(&u64, at, sizeof u64);
        if (c->type == COLUMN_I64)
            (void)snprintf(room, FM_LEDGER_VALUE_CAP, "%" PRId64, (int64_t)u64);
        else
            (void)snprintf(room, FM_LEDGER_VALUE_CAP, "%" PRIu64, u64);
        break;
    case COLUMN_U32:
        memcpy(&u32, at, sizeof u32);
        (void)snprintf(room, FM_LEDGER_VALUE_CAP, "%" PRIu32, u32);
        break;
    case COLUMN_REAL:
        memcpy(&real, at, sizeof real);
        (void)snprintf(room, FM_LEDGER_VALUE_CAP, "%.17g", real);
        break;
    case COLUMN_HEX:
        (void)sodium_bin2hex(room, FM_LEDGER_VALUE_CAP, (const uint8_t *)at, c->size);
        break;
    case COLUMN_KIND:
        return fm_ledger_kind_name(row->mechanism.kind);
    }
    return room;
}

static bool set_whole(const fm_ledger_column *c, char *at, const char *text)
{
    bool negative = c->type == COLUMN_I64 && *text == '-';
    uint64_t v = 0, most = c->type == COLUMN_U32   ? UINT32_MAX
                           : c->type == COLUMN_I64 ? (uint64_t)INT64_MAX
                                                   : UINT64_MAX;
    uint32_t narrow;

    if (!fm_text_u64(text + negative, &v) || v > most)
        return false;
    v = negative ? 0 - v : v;
    narrow = (uint32_t)v;
    if (c->type == COLUMN_U32)
        memcpy(at, &narrow, sizeof narrow);
    else
        memcpy(at, &v, sizeof v);
    return true;
}

static bool set_kind(fm_ledger_row *row, const char *text)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i], text) == 0) {
            row->mechanism.kind = (fm_dp_mechanism_kind)i;
            return true;
        }
    return false;
}

bool fm_ledger_set_value(const fm_ledger_column *c, fm_ledger_row *row, const char *text)
{
    char *at = (char *)row + c->offset;
    size_t len = strlen(text), got = 0;
    double real = 0.0;

    switch (c->type) {
    case COLUMN_TEXT:
        if (len == 0 || len >= c->size)
            return false;
        memcpy(at, text, len + 1);
        return true;
    case COLUMN_REAL:
        if (!fm_text_double(text, &real))
            return false;
        memcpy(at, &real, sizeof real);
        return true;
    case COLUMN_HEX:
        return len == 2 * c->size &&
               sodium_hex2bin((uint8_t *)at, c->size, text, len, NULL, &got, NULL) == 0 &&
               got == c->size;
    case COLUMN_KIND:
        return set_kind(row, text);
    default:
        return set_whole(c, at, text);
    }
}

/* ---- CSV: RFC 4180, lines end with \n ---- */

static fm_status put_cell(fm_buf *out, const char *text, bool last)
{
    fm_status st = FM_OK;

    if (!strpbrk(text, ",\"\r\n"))
        return fm_buf_printf(out, "%s%s", text, last ? "\n" : ",");
    if ((st = fm_buf_append(out, "\"", 1)) != FM_OK)
        return st;
    for (const char *p = text; st == FM_OK && *p; p++)
        st = *p == '"' ? fm_buf_append(out, "\"\"", 2) : fm_buf_append(out, p, 1);
    return st == FM_OK ? fm_buf_printf(out, "\"%s", last ? "\n" : ",") : st;
}

static fm_status csv_row(void *ctx, const fm_ledger_row *row)
{
    char room[FM_LEDGER_VALUE_CAP];
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < FM_LEDGER_COLUMNS; i++)
        st = put_cell(ctx, fm_ledger_value(&fm_ledger_columns[i], row, room),
                      i + 1 == FM_LEDGER_COLUMNS);
    return st;
}

static fm_status export_csv(fm_ledger *l, fm_buf *out)
{
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < FM_LEDGER_COLUMNS; i++)
        st = put_cell(out, fm_ledger_columns[i].name, i + 1 == FM_LEDGER_COLUMNS);
    return st == FM_OK ? fm_ledger_walk(l, csv_row, out) : st;
}

/* ---- JSON ---- */

static json_t *json_value(const fm_ledger_column *c, const fm_ledger_row *row)
{
    char room[FM_LEDGER_VALUE_CAP];
    const char *text = fm_ledger_value(c, row, room);
    uint64_t whole = 0;
    double real;

    if (c->type == COLUMN_REAL) {
        memcpy(&real, (const char *)row + c->offset, sizeof real);
        return json_real(real);
    }
    if (c->type == COLUMN_I64)
        return json_integer(row->wall_s);
    /* A number that JSON readers may not hold is given as text. */
    if ((c->type == COLUMN_U64 || c->type == COLUMN_U32) && fm_text_u64(text, &whole) &&
        whole <= INT64_MAX)
        return json_integer((json_int_t)whole);
    return json_string(text);
}

static fm_status json_row(void *ctx, const fm_ledger_row *row)
{
    json_t *o = json_object();

    for (size_t i = 0; o && i < FM_LEDGER_COLUMNS; i++) {
        json_t *v = json_value(&fm_ledger_columns[i], row);

        if (!v || json_object_set_new(o, fm_ledger_columns[i].name, v) != 0) {
            json_decref(o);
            return fm_fail(FM_EINVAL,
                           "entry %llu: its %s is not UTF-8, or not finite; a CSV holds it",
                           (unsigned long long)row->sequence, fm_ledger_columns[i].name);
        }
    }
    return json_array_append_new(ctx, o) == 0 ? FM_OK : fm_fail(FM_ENOMEM, "out of memory");
}

static int append_json(const char *bytes, size_t len, void *ctx)
{
    return fm_buf_append(ctx, bytes, len) == FM_OK ? 0 : -1;
}

static fm_status export_json(fm_ledger *l, fm_buf *out)
{
    json_t *entries = json_array(), *o = NULL;
    char hex[2 * FM_HASH_BYTES + 1];
    fm_hash head = { 0 };
    fm_status st =
        entries ? fm_ledger_walk(l, json_row, entries) : fm_fail(FM_ENOMEM, "out of memory");

    if (st == FM_OK && json_array_size(entries) > 0)
        st = fm_ledger_head(l, &head);
    fm_hash_hex(&head, hex);
    if (st == FM_OK && !(o = json_pack("{s:s, s:O, s:s}", "format", FM_LEDGER_EXPORT_FORMAT,
                                       "entries", entries, "head", hex)))
        st = fm_fail(FM_ENOMEM, "out of memory");
    if (st == FM_OK && (json_dump_callback(o, append_json, out, JSON_INDENT(1)) != 0 ||
                        fm_buf_append(out, "\n", 1) != FM_OK))
        st = fm_fail(FM_ENOMEM, "the ledger is too long for one export");
    json_decref(o);
    json_decref(entries);
    return st;
}

fm_status fm_ledger_export(fm_ledger *l, fm_ledger_text as, fm_buf *out)
{
    if (!l || !out)
        return fm_fail(FM_EINVAL, "ledger: none given, or no place for its text");
    return as == FM_LEDGER_CSV ? export_csv(l, out) : export_json(l, out);
}
