/* Blocks of whole records, cut out of a file or memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "fedmoe/base/input.h"
#include "table_csv.h"

static fm_status begin(fm_csv_source *s)
{
    s->line = 1;
    return fm_alloc(s->room, 1, (void **)&s->carry);
}

fm_status fm_csv_open(const char *path, size_t limit, fm_csv_source *out)
{
    fm_csv_source s = { .name = path, .limit = limit, .room = FM_CSV_BLOCK };
    struct stat info;
    fm_status st;

    if ((st = fm_input_open(path, &s.fd)))
        return st;
    if (fstat(s.fd, &info) != 0)
        st = fm_fail(FM_EIO, "%s: cannot look at it: %s", path, strerror(errno));
    else if (S_ISREG(info.st_mode) && (uintmax_t)info.st_size > limit)
        st = fm_fail(FM_EPROTO, "%s: longer than the limit of %zu bytes", path, limit);
    else if (!(st = fm_packed_new(path, s.fd, &s.packed)))
        st = begin(&s);
    if (st) {
        fm_packed_free(&s.packed);
        (void)close(s.fd);
        return st;
    }
    *out = s;
    return FM_OK;
}

fm_status fm_csv_memory(const char *name, const void *text, size_t len, fm_csv_source *out)
{
    fm_csv_source s = { .name = name,
                        .fd = -1,
                        .memory = text,
                        .memory_left = len,
                        .limit = SIZE_MAX,
                        .room = len < FM_CSV_BLOCK ? len + 1 : FM_CSV_BLOCK };
    const fm_status st = begin(&s);

    if (!st)
        *out = s;
    return st;
}

fm_status fm_csv_input(const fm_table_input *in, size_t limit, fm_csv_source *out)
{
    fm_csv_source s = {
        .name = in->name, .fd = -1, .input = in, .limit = limit, .room = FM_CSV_BLOCK
    };
    const fm_status st = begin(&s);

    if (!st)
        *out = s;
    return st;
}

fm_status fm_csv_speak(fm_csv_source *s, const fm_dialect *d)
{
    fm_status st;

    if (!d || !fm_recode_is_needed(d))
        return FM_OK;
    if (s->room < FM_CSV_BLOCK) { /* text may be longer than its bytes */
        free(s->carry);
        s->carry = NULL;
        s->room = FM_CSV_BLOCK;
        if ((st = begin(s)))
            return st;
    }
    return fm_recode_new(s->name, d, &s->recode);
}

void fm_csv_close(fm_csv_source *s)
{
    if (!s->carry)
        return;
    fm_packed_free(&s->packed);
    fm_recode_free(&s->recode);
    if (s->fd >= 0)
        (void)close(s->fd);
    sodium_memzero(s->carry, s->carried_most);
    free(s->carry);
    *s = (fm_csv_source){ .fd = -1 };
}

fm_status fm_csv_block_new(const fm_csv_source *s, fm_csv_block *b)
{
    *b = (fm_csv_block){ 0 };
    return fm_alloc(s->room + FM_CSV_PAD, 1, (void **)&b->text);
}

void fm_csv_block_free(fm_csv_block *b)
{
    if (b->text)
        sodium_memzero(b->text, b->used);
    free(b->text);
    *b = (fm_csv_block){ 0 };
}

static fm_status read_bytes(void *source, char *to, size_t room, size_t *n)
{
    fm_csv_source *s = source;
    fm_status st;

    if (s->fd < 0 && !s->input) {
        *n = s->memory_left < room ? s->memory_left : room;
        if (*n)
            memcpy(to, s->memory, *n);
        s->memory += *n;
        s->memory_left -= *n;
        return FM_OK;
    }
    st = s->input ? s->input->read(s->input->ctx, to, room, n)
                  : fm_packed_read(s->packed, to, room, n);
    if (st)
        return st;
    s->taken += *n;
    if (s->taken > s->limit)
        return fm_fail(FM_EPROTO, "%s: longer than the limit of %zu bytes", s->name, s->limit);
    return FM_OK;
}

fm_status fm_csv_read(fm_csv_source *s, char *to, size_t room, size_t *n)
{
    return s->recode ? fm_recode_read(s->recode, read_bytes, s, to, room, n)
                     : read_bytes(s, to, room, n);
}

static fm_status fill(fm_csv_source *s, fm_csv_block *b)
{
    fm_status st;

    memcpy(b->text, s->carry, s->carried);
    b->len = s->carried;
    b->used = b->len > b->used ? b->len : b->used;
    while (!s->ended && b->len < s->room) {
        size_t n = 0;

        if ((st = fm_csv_read(s, b->text + b->len, s->room - b->len, &n)))
            return st;
        b->len += n;
        b->used = b->len > b->used ? b->len : b->used;
        s->ended = n == 0;
        if (s->begun || (b->len < 3 && !s->ended))
            continue;
        s->begun = true;
        if (b->len >= 3 && memcmp(b->text, "\xef\xbb\xbf", 3) == 0)
            memmove(b->text, b->text + 3, b->len -= 3);
    }
    return FM_OK;
}

/* Behind the last line end of text[from..to), or 0. A CR as the very last byte may be half of one. */
static size_t after_line(const fm_csv_block *b, size_t from, size_t to)
{
    const char *lf = memrchr(b->text + from, '\n', to - from),
               *cr = memrchr(b->text + from, '\r', to - from);

    if (cr && cr + 1 == b->text + b->len)
        cr = memrchr(b->text + from, '\r', to - from - 1);
    if (cr && (!lf || cr > lf))
        lf = cr;
    return lf ? (size_t)(lf - b->text) + 1 : 0;
}

/*
 * Length of the whole records, 0 when not even one ends. Up to the first fault a byte is inside of
 * quotes when an odd number of them stands before it, and the scan stops at the first fault.
 */
static size_t whole(const fm_csv_block *b)
{
    size_t quotes = 0, to = b->len;

    for (size_t i = 0; i < b->len; i++)
        quotes += b->text[i] == '"';
    for (;; quotes--) {
        const char *q = quotes && to ? memrchr(b->text, '"', to) : NULL;
        const size_t from = q ? (size_t)(q - b->text) + 1 : 0;
        const size_t at = quotes % 2 == 0 && from < to ? after_line(b, from, to) : 0;

        if (at || !q)
            return at;
        to = from - 1;
    }
}

static size_t count_lines(const char *p, size_t n)
{
    size_t lines = 0;

    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    if (memchr(p, '\r', n))
        for (size_t i = 0; i < n; i++)
            lines += p[i] == '\r' && !(i + 1 < n && p[i + 1] == '\n');
    return lines;
}

fm_status fm_csv_take(fm_csv_source *s, fm_csv_block *b, bool *got)
{
    fm_status st = fill(s, b);
    size_t len;

    if (st)
        return st;
    *got = b->len > 0;
    b->line = s->line;
    b->last = s->ended;
    len = s->ended ? b->len : whole(b);
    b->endless = !s->ended && len == 0;
    if (b->endless)
        len = b->len;
    s->carried = b->len - len;
    s->carried_most = s->carried > s->carried_most ? s->carried : s->carried_most;
    memcpy(s->carry, b->text + len, s->carried);
    b->len = len;
    if (len)
        s->line += count_lines(b->text, len);
    return FM_OK;
}
