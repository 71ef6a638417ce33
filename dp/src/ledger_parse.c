/* Reading what was exported, or another ledger. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "fedmoe/base/file.h"
#include "ledger_text_internal.h"

#define MAX_CELL 512 /* bytes of one CSV value: twice the longest field */

typedef struct {
    const char *name; /* of the file */
    fm_ledger_row *rows;
    size_t count, room;
} gathered;

static fm_status add_row(void *ctx, const fm_ledger_row *row)
{
    gathered *g = ctx;
    size_t room = g->room ? 2 * g->room : 64, bytes = 0;
    fm_ledger_row *grown;
    fm_status st;

    if (g->count == g->room) {
        if ((st = fm_mul_size(room, sizeof *grown, &bytes)) != FM_OK)
            return st;
        if (!(grown = realloc(g->rows, bytes)))
            return fm_fail(FM_ENOMEM, "%s: no memory for %zu entries", g->name, room);
        g->rows = grown;
        g->room = room;
    }
    g->rows[g->count++] = *row;
    return FM_OK;
}

static fm_status bad_value(const gathered *g, size_t column)
{
    return fm_fail(FM_EPARSE, "%s: entry %zu of the file: its %s is missing or cannot be read",
                   g->name, g->count + 1, fm_ledger_columns[column].name);
}

/* ---- JSON ---- */

static bool set_json(const fm_ledger_column *c, fm_ledger_row *row, const json_t *v)
{
    char digits[FM_LEDGER_VALUE_CAP];
    double real = json_number_value(v);

    if (c->type == COLUMN_REAL && json_is_number(v)) {
        memcpy((char *)row + c->offset, &real, sizeof real);
        return true;
    }
    if (json_is_integer(v) && c->type != COLUMN_TEXT) {
        (void)snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(v));
        return fm_ledger_set_value(c, row, digits);
    }
    return json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v) &&
           fm_ledger_set_value(c, row, json_string_value(v));
}

static fm_status parse_entry(gathered *g, const json_t *o)
{
    fm_ledger_row row = { 0 };

    for (size_t i = 0; i < FM_LEDGER_COLUMNS; i++)
        if (!set_json(&fm_ledger_columns[i], &row, json_object_get(o, fm_ledger_columns[i].name)))
            return bad_value(g, i);
    return add_row(g, &row);
}

/* An export that was cut at its end still fits together; its head does not. */
static fm_status check_head(const gathered *g, const char *head)
{
    fm_hash last = { 0 };
    char hex[2 * FM_HASH_BYTES + 1];

    if (g->count > 0)
        last = g->rows[g->count - 1].hash;
    fm_hash_hex(&last, hex);
    if (head && strcmp(head, hex) == 0)
        return FM_OK;
    return fm_fail(FM_EPARSE,
                   "%s: its head is not the hash of its last entry: it was cut or altered",
                   g->name);
}

static fm_status parse_json(gathered *g, const char *bytes, size_t len)
{
    json_error_t e;
    json_t *root = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &e), *entries, *o;
    const char *format = json_string_value(json_object_get(root, "format"));
    fm_status st = FM_OK;
    size_t i;

    if (!root)
        return fm_fail(FM_EPARSE, "%s:%d:%d: %s", g->name, e.line, e.column, e.text);
    entries = json_object_get(root, "entries");
    if (!format || strcmp(format, FM_LEDGER_EXPORT_FORMAT) != 0 || !json_is_array(entries))
        st = fm_fail(FM_EPARSE, "%s: not an export of a ledger (format '%s')", g->name,
                     FM_LEDGER_EXPORT_FORMAT);
    for (i = 0; st == FM_OK && i < json_array_size(entries); i++) {
        o = json_array_get(entries, i);
        st = parse_entry(g, o);
    }
    if (st == FM_OK)
        st = check_head(g, json_string_value(json_object_get(root, "head")));
    json_decref(root);
    return st;
}

/* ---- CSV ---- */

typedef struct {
    const char *at, *end;
} cursor;

/**
 * One cell and the separator behind it.
 * @param last  out: whether a line end (or the end) came, not a comma.
 */
static bool read_cell(cursor *c, char out[MAX_CELL], bool *last)
{
    bool quoted = c->at < c->end && *c->at == '"';
    size_t len = 0;

    for (c->at += quoted; c->at < c->end; c->at++) {
        if (quoted && *c->at == '"' && (c->at + 1 == c->end || c->at[1] != '"'))
            break;
        if (!quoted && (*c->at == ',' || *c->at == '\n' || *c->at == '\r'))
            break;
        if (*c->at == '\0' || (!quoted && *c->at == '"') || len + 1 == MAX_CELL)
            return false;
        c->at += quoted && *c->at == '"';
        out[len++] = *c->at;
    }
    out[len] = '\0';
    if (quoted && c->at == c->end)
        return false; /* the quote never ends */
    c->at += quoted;
    if (c->at < c->end && *c->at == ',') {
        c->at++;
        *last = false;
        return true;
    }
    c->at += c->at < c->end && *c->at == '\r';
    *last = true;
    return c->at == c->end || *c->at++ == '\n';
}

static fm_status parse_line(gathered *g, cursor *c, bool header)
{
    fm_ledger_row row = { 0 };
    char cell[MAX_CELL];
    bool last = false;

    for (size_t i = 0; i < FM_LEDGER_COLUMNS; i++) {
        if (!read_cell(c, cell, &last) || last != (i + 1 == FM_LEDGER_COLUMNS) ||
            !(header ? strcmp(cell, fm_ledger_columns[i].name) == 0
                     : fm_ledger_set_value(&fm_ledger_columns[i], &row, cell)))
            return header ? fm_fail(FM_EPARSE,
                                    "%s: neither a ledger nor an export of one (a CSV's first line "
                                    "must name the columns; here it lacks %s)",
                                    g->name, fm_ledger_columns[i].name)
                          : bad_value(g, i);
    }
    return header ? FM_OK : add_row(g, &row);
}

static fm_status parse_csv(gathered *g, const char *bytes, size_t len)
{
    cursor c = { bytes, bytes + len };
    fm_status st = parse_line(g, &c, true);

    while (st == FM_OK && c.at < c.end)
        st = parse_line(g, &c, false);
    return st;
}

/* ---- any of them ---- */

static void hand_over(gathered *g, fm_status st, fm_ledger_row **rows, size_t *count)
{
    if (st == FM_OK) {
        *rows = g->rows;
        *count = g->count;
    } else {
        free(g->rows);
    }
}

fm_status fm_ledger_parse(const char *name, const void *bytes, size_t len, fm_ledger_row **rows,
                          size_t *count)
{
    gathered g = { .name = name };
    fm_status st;

    if (!name || (!bytes && len > 0) || !rows || !count)
        return fm_fail(FM_EINVAL, "ledger: no text, or no place for its entries");
    st = len > 0 && *(const char *)bytes == '{' ? parse_json(&g, bytes, len)
                                                : parse_csv(&g, len > 0 ? bytes : "", len);
    hand_over(&g, st, rows, count);
    return st;
}

static bool is_database(const char *path)
{
    static const char magic[16] = "SQLite format 3";
    char front[sizeof magic] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is = fd >= 0 && read(fd, front, sizeof front) == (ssize_t)sizeof front &&
              memcmp(front, magic, sizeof magic) == 0;

    if (fd >= 0)
        close(fd);
    return is;
}

fm_status fm_ledger_read(const char *path, fm_ledger_row **rows, size_t *count)
{
    gathered g = { .name = path };
    fm_buf text = { 0 };
    fm_ledger *l = NULL;
    fm_status st;

    if (!path || !rows || !count)
        return fm_fail(FM_EINVAL, "ledger: no path, or no place for its entries");
    if (is_database(path)) {
        if ((st = fm_ledger_open_readonly(path, &l)) == FM_OK)
            st = fm_ledger_walk(l, add_row, &g);
        fm_ledger_close(&l);
        hand_over(&g, st, rows, count);
        return st;
    }
    if ((st = fm_file_read(path, FM_FILE_MAX_STREAM, &text)) == FM_OK)
        st = fm_ledger_parse(path, text.data, text.len, rows, count);
    fm_buf_fini(&text);
    return st;
}
