/* The records of one block: marks by vector compares, 64 bytes at a time; then cell by cell. */
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "table_csv.h"

#define CHUNK 64

#ifdef __SSE2__
static uint64_t marks_of(const char *p, char delimiter)
{
    const __m128i d = _mm_set1_epi8(delimiter), q = _mm_set1_epi8('"'), lf = _mm_set1_epi8('\n'),
                  cr = _mm_set1_epi8('\r');
    uint64_t marks = 0;

    for (unsigned i = 0; i < CHUNK / 16; i++) {
        const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
        const __m128i hit =
            _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, d), _mm_cmpeq_epi8(v, q)),
                         _mm_or_si128(_mm_cmpeq_epi8(v, lf), _mm_cmpeq_epi8(v, cr)));

        marks |= (uint64_t)(uint32_t)_mm_movemask_epi8(hit) << (16 * i);
    }
    return marks;
}
#else
/* The highest bit of each byte that is `c`, exactly. */
static uint64_t bytes_equal(uint64_t v, char c)
{
    const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);
    const uint64_t x = v ^ (UINT64_C(0x0101010101010101) * (unsigned char)c);

    return ~(((x & low) + low) | x | low);
}

static uint64_t marks_of(const char *p, char delimiter)
{
    uint64_t marks = 0;

    for (unsigned i = 0; i < CHUNK / 8; i++) {
        const uint64_t v = fm_get_u64le((const uint8_t *)p + 8 * i);
        const uint64_t hit = bytes_equal(v, delimiter) | bytes_equal(v, '"') |
                             bytes_equal(v, '\n') | bytes_equal(v, '\r');

        /* Gathers the eight highest bits in the product's highest byte. */
        marks |= (((hit >> 7) * UINT64_C(0x0102040810204080)) >> 56) << (8 * i);
    }
    return marks;
}
#endif

static void seek(fm_csv_scan *s, char *to)
{
    s->at = to;
    s->chunk = to;
    s->marks = to < s->end ? marks_of(to, s->delimiter) : 0;
}

/* The next mark at or after s->at; s->end when there is none. */
static char *next_mark(fm_csv_scan *s)
{
    for (;;) {
        while (!s->marks) {
            s->chunk += CHUNK;
            if (s->chunk >= s->end)
                return s->end;
            s->marks = marks_of(s->chunk, s->delimiter);
        }
        char *const p = s->chunk + __builtin_ctzll(s->marks);

        s->marks &= s->marks - 1;
        if (p >= s->end)
            return s->end;
        if (p >= s->at) /* not the LF of a CR LF */
            return p;
    }
}

static bool is_space(const fm_csv_scan *s, char c)
{
    return c == ' ' || (c == '\t' && s->delimiter != '\t');
}

void fm_csv_begin(fm_csv_scan *s, const char *name, char delimiter, const fm_csv_block *b)
{
    fm_slice *cells = s->cells;
    const size_t cap = s->cap;
    const char *nul = b->len ? memchr(b->text, '\0', b->len) : NULL;

    *s = (fm_csv_scan){ .name = name,
                        .delimiter = delimiter,
                        .text = b->text,
                        .end = b->text + b->len,
                        .line = b->line,
                        .cells = cells,
                        .cap = cap,
                        .last = b->last,
                        .endless = b->endless };
    if (nul) {
        const char *line = nul, *stop = nul;

        while (line > b->text && line[-1] != '\n' && line[-1] != '\r')
            line--;
        while (stop < b->text + b->len && *stop != '\n' && *stop != '\r')
            stop++;
        s->nul = line;
        s->nul_line_len = (size_t)(stop - line);
        s->end = b->text + (line - b->text);
        s->last = false;
    }
    s->begin = s->end; /* until a record begins */
    seek(s, b->text);
}

static fm_status too_long(const fm_csv_scan *s)
{
    return fm_fail(FM_EPARSE,
                   "%s:%zu: the record that starts here is longer than %zu bytes; is a quote "
                   "left open, or is this no CSV file?",
                   s->name, s->begin_line, FM_TABLE_MAX_RECORD);
}

/* Bytes of the line end at p: 0 at the end of the file. */
static size_t line_end(const fm_csv_scan *s, const char *p)
{
    return p >= s->end ? 0 : p + 1 < s->end && p[0] == '\r' && p[1] == '\n' ? 2 : 1;
}

/* A quote where none may be; a record that is too long by the end of that line is so first. */
static fm_status bad_quote(const fm_csv_scan *s, const char *at)
{
    while (at < s->end && *at != '\n' && *at != '\r')
        at++;
    if ((size_t)(at - s->begin) + line_end(s, at) > FM_TABLE_MAX_RECORD)
        return too_long(s);
    if (s->line > s->begin_line)
        return fm_fail(
            FM_EPARSE,
            "%s:%zu: a quote inside a cell of the record that starts in line %zu; is one "
            "that was opened there, or since, not closed?",
            s->name, s->line, s->begin_line);
    return fm_fail(FM_EPARSE,
                   "%s:%zu: a quote inside a cell; write the cell in quotes, and a quote within "
                   "as two",
                   s->name, s->line);
}

static fm_status more_cells(fm_csv_scan *s)
{
    const size_t cap = s->cap ? 2 * s->cap : 64;
    fm_slice *cells = realloc(s->cells, cap * sizeof *cells);

    if (!cells)
        return fm_fail(FM_ENOMEM, "%s:%zu: out of memory", s->name, s->line);
    s->cells = cells;
    s->cap = cap;
    return FM_OK;
}

static fm_status add_cell(fm_csv_scan *s, char *from, char *to)
{
    fm_status st;

    if (s->count == s->cap && (st = more_cells(s)))
        return st;
    s->cells[s->count++] = (fm_slice){ from, (size_t)(to - from) };
    return FM_OK;
}

static size_t lines_in(const char *p, const char *end)
{
    size_t n = 0;

    for (; p < end; p++)
        n += *p == '\n' || (*p == '\r' && !(p + 1 < end && p[1] == '\n'));
    return n;
}

/*
 * The quoted cell whose opening quote is at `open`, moved together where two quotes were one.
 * @param mark out: what ends the cell; NULL when the block ended before.
 */
static fm_status quoted(fm_csv_scan *s, char *open, char **mark)
{
    char *from = open + 1, *to = from, *p, *close;
    fm_status st;

    *mark = NULL;
    for (;;) {
        close = from < s->end ? memchr(from, '"', (size_t)(s->end - from)) : NULL;
        s->line += lines_in(from, close ? close : s->end);
        if (!close)
            return FM_OK;
        if (to != from)
            memmove(to, from, (size_t)(close - from));
        to += close - from;
        if (close + 1 >= s->end || close[1] != '"')
            break;
        *to++ = '"';
        from = close + 2;
    }
    for (p = close + 1; p < s->end && is_space(s, *p);)
        p++;
    if (p < s->end && *p != s->delimiter && *p != '\n' && *p != '\r')
        return bad_quote(s, p);
    if ((st = add_cell(s, open + 1, to)))
        return st;
    *mark = p;
    return FM_OK;
}

/*
 * One cell, not yet terminated; a line of spaces alone has none.
 * @param mark out: what ends it; NULL when the block ended inside of quotes.
 */
static fm_status cell(fm_csv_scan *s, char **mark)
{
    char *from = s->at, *p = next_mark(s), *to = p;
    fm_status st;

    while (from < p && is_space(s, *from))
        from++;
    if (p < s->end && *p == '"') {
        if (from != p)
            return bad_quote(s, p);
        if ((st = quoted(s, p, mark)) || !*mark)
            return st;
        seek(s, *mark + 1);
        return FM_OK;
    }
    *mark = p;
    s->at = p + 1;
    if (from == p && !s->count && (p == s->end || *p != s->delimiter))
        return FM_OK;
    while (to > from && is_space(s, to[-1]))
        to--;
    return add_cell(s, from, to);
}

/* What stopped the record at hand: the end of the block, or of what may be read of it. */
static fm_status cut_short(const fm_csv_scan *s)
{
    const size_t open = (size_t)(s->end - s->begin) + (s->nul ? s->nul_line_len : 0);

    if (open > FM_TABLE_MAX_RECORD || s->endless)
        return too_long(s);
    if (s->nul)
        return fm_fail(FM_EPARSE,
                       "%s:%zu: there is a NUL byte; this is no text file, or a copy that went "
                       "wrong: make it again",
                       s->name, s->line);
    return fm_fail(FM_EPARSE,
                   "%s:%zu: the quote of the record that starts here is left open; close it, or "
                   "write a quote within a cell as two",
                   s->name, s->begin_line);
}

/* The line end at p is behind: what follows begins a line. */
static void begin_line(fm_csv_scan *s, const char *p, size_t len)
{
    s->line++;
    s->at = s->text + (p - s->text) + (len ? len : 1);
}

fm_status fm_csv_next(fm_csv_scan *s, fm_csv_record *r, bool *got)
{
    fm_status st;

    if (s->held) {
        s->held = false;
        *got = true;
        *r = (fm_csv_record){ s->cells, s->count, s->begin_line, s->unended };
        return FM_OK;
    }
    *got = false;
    s->count = 0;
    s->begin = s->at;
    s->begin_line = s->line;
    while (s->at < s->end) {
        char *p = NULL, mark;
        size_t ending;

        if ((st = cell(s, &p)))
            return st;
        if (!p)
            return cut_short(s);
        ending = line_end(s, p);
        mark = ending ? *p : '\n';
        if (s->count) {
            const fm_slice *c = &s->cells[s->count - 1];

            s->text[(size_t)(c->at - s->text) + c->len] = '\0';
        }
        if (mark == s->delimiter && ending) {
            if (s->at < s->end)
                continue;
            /* The file ends with a delimiter: there is one more cell, and it is empty. */
            if ((st = add_cell(s, s->end, s->end)))
                return st;
            p = s->end;
            *p = '\0';
            ending = 0;
        }
        if (!ending && !s->last)
            return cut_short(s);
        begin_line(s, p, ending);
        if (s->count) {
            if ((size_t)(p - s->begin) + ending > FM_TABLE_MAX_RECORD)
                return too_long(s);
            *got = true;
            s->unended = !ending;
            *r = (fm_csv_record){ s->cells, s->count, s->begin_line, s->unended };
            return FM_OK;
        }
        s->begin = s->at;
        s->begin_line = s->line;
    }
    return s->nul ? cut_short(s) : FM_OK;
}

void fm_csv_scan_fini(fm_csv_scan *s)
{
    free(s->cells);
    *s = (fm_csv_scan){ 0 };
}
