/* Lines of a file that is longer than memory. */
#include <string.h>

#include "corpus_internal.h"

#define CHUNK ((size_t)64 * 1024)

void fm_lines_begin(fm_lines *l, fm_csv_source *source)
{
    *l = (fm_lines){ .source = source };
    fm_buf_init(&l->bytes, FM_CORPUS_MAX_LINE + 2 * CHUNK);
}

void fm_lines_end(fm_lines *l)
{
    fm_buf_fini(&l->bytes);
}

/* Some more bytes behind what is left of those before. */
static fm_status fill(fm_lines *l)
{
    const size_t left = l->bytes.len - l->at;
    uint8_t *to;
    size_t n = 0;
    fm_status st;

    if (l->at && left)
        memmove(l->bytes.data, l->bytes.data + l->at, left);
    l->bytes.len = left;
    l->at = 0;
    l->seen = left;
    if ((st = fm_buf_extend(&l->bytes, CHUNK, &to)))
        return st;
    st = fm_csv_read(l->source, (char *)to, CHUNK, &n);
    l->bytes.len = left + n;
    l->ended = n == 0;
    return st;
}

static fm_status too_long(const fm_lines *l)
{
    return fm_fail(FM_EPARSE,
                   "%s:%zu: the line is longer than %zu bytes; is this a file of one "
                   "JSON object a line?",
                   l->source->name, l->line, FM_CORPUS_MAX_LINE);
}

/* Bytes [at, at + *len) are a line, *taken with its LF. @param got out: false at the end. */
static fm_status line(fm_lines *l, size_t *len, size_t *taken, bool *got)
{
    const uint8_t *lf = NULL;
    fm_status st;

    for (;;) {
        if (l->bytes.len > l->seen)
            lf = memchr(l->bytes.data + l->seen, '\n', l->bytes.len - l->seen);
        *len = (lf ? (size_t)(lf - l->bytes.data) : l->bytes.len) - l->at;
        if (*len > FM_CORPUS_MAX_LINE)
            return too_long(l);
        if (lf || l->ended)
            break;
        if ((st = fill(l)))
            return st;
    }
    *taken = *len + (lf ? 1 : 0);
    *got = *taken > 0;
    return FM_OK;
}

static bool is_blank(const char *p, size_t n)
{
    size_t i = 0;

    while (i < n && (p[i] == ' ' || p[i] == '\t' || p[i] == '\r'))
        i++;
    return i == n;
}

fm_status fm_lines_next(fm_lines *l, const char **text, size_t *len, bool *got)
{
    size_t taken;
    fm_status st;

    do {
        l->line++;
        if ((st = line(l, len, &taken, got)) || !*got)
            return st;
        *text = (const char *)l->bytes.data + l->at;
        l->at += taken;
        l->seen = l->at;
        if (!l->begun && *len >= 3 && memcmp(*text, "\xef\xbb\xbf", 3) == 0) {
            *text += 3;
            *len -= 3;
        }
        l->begun = true;
    } while (is_blank(*text, *len));
    return FM_OK;
}
