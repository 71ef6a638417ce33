#include <stdlib.h>
#include <string.h>

#include "database_internal.h"

#define FULL ((size_t)64 * 1024) /* rows are fetched until so much is there */

fm_status fm_database_new(const fm_database_ops *ops, const char *name, const fm_database_format *f,
                          fm_database **out)
{
    fm_database *d = NULL;
    fm_status st;

    if ((st = fm_alloc(1, sizeof *d, (void **)&d)))
        return st;
    if ((st = fm_strdup(f->missing ? f->missing : "", &d->missing))) {
        free(d);
        return st;
    }
    d->ops = ops;
    d->name = name;
    d->delimiter = f->delimiter;
    fm_buf_init(&d->out, 4 * FM_DATABASE_MOST_RECORD);
    *out = d;
    return FM_OK;
}

void fm_database_free(fm_database **out)
{
    fm_database *d = *out;

    if (!d)
        return;
    d->ops->close(d);
    fm_buf_fini(&d->out);
    free(d->missing);
    free(d);
    *out = NULL;
}

static fm_status put(fm_database *d, const void *bytes, size_t n)
{
    if (n > FM_DATABASE_MOST_RECORD || d->out.len > 3 * FM_DATABASE_MOST_RECORD)
        return fm_fail(FM_EPARSE, "%s: row %llu is longer than %zu bytes", d->name,
                       (unsigned long long)d->row, FM_DATABASE_MOST_RECORD);
    return fm_buf_append(&d->out, bytes, n);
}

fm_status fm_database_begin(fm_database *d)
{
    fm_status st;

    if (d->cells++ > 0 && (st = put(d, &d->delimiter, 1)))
        return st;
    return put(d, "\"", 1);
}

fm_status fm_database_piece(fm_database *d, const void *text, size_t len)
{
    const char *at = text, *const end = at + len, *quote;
    fm_status st;

    if (len && memchr(text, '\0', len))
        return fm_fail(FM_EPARSE, "%s: row %llu, column %zu of the query: a NUL byte", d->name,
                       (unsigned long long)d->row, d->cells);
    while (at < end && (quote = memchr(at, '"', (size_t)(end - at)))) {
        if ((st = put(d, at, (size_t)(quote - at) + 1)) || (st = put(d, "\"", 1)))
            return st;
        at = quote + 1;
    }
    return at < end ? put(d, at, (size_t)(end - at)) : FM_OK;
}

fm_status fm_database_end(fm_database *d)
{
    return put(d, "\"", 1);
}

fm_status fm_database_value(fm_database *d, const void *text, size_t len)
{
    fm_status st;

    if ((st = fm_database_begin(d)) || (st = fm_database_piece(d, text, len)))
        return st;
    return fm_database_end(d);
}

fm_status fm_database_null(fm_database *d)
{
    return fm_database_value(d, d->missing, strlen(d->missing));
}

fm_status fm_database_end_row(fm_database *d)
{
    d->cells = 0;
    return put(d, "\n", 1);
}

fm_status fm_database_read(void *db, char *to, size_t room, size_t *n)
{
    fm_database *d = db;
    fm_status st;

    if (d->at == d->out.len) {
        d->at = 0;
        d->out.len = 0;
        while (!d->ended && d->out.len < FULL) {
            bool got = false;

            d->row++;
            if ((st = d->ops->next(d, &got)))
                return st;
            d->ended = !got;
        }
    }
    *n = d->out.len - d->at < room ? d->out.len - d->at : room;
    if (*n)
        memcpy(to, d->out.data + d->at, *n);
    d->at += *n;
    return FM_OK;
}
