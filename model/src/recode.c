/* Encodings by iconv; lines that are passed over. */
#include <errno.h>
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "dialect_internal.h"
#include "fedmoe/base/memory.h"

#define PIECE ((size_t)65536)
#define WIDE_LEAST ((size_t)256) /* bytes that show whether text is of two or four a letter */

struct fm_recode {
    const char *name;
    const fm_dialect *dialect;
    iconv_t cd;
    bool open;   /* cd is */
    char *bytes; /* [PIECE], owned: not yet recoded are bytes[from..to) */
    size_t from, to;
    char *text; /* [PIECE], owned: not yet handed out are text[text_from..text_to) */
    size_t text_from, text_to;
    bool ended, flushed, looked;
    size_t line; /* 1-based */
    bool at_start, over, quoted, after_cr;
    size_t mark; /* bytes of a byte order mark that stand at the beginning */
};

bool fm_recode_is_needed(const fm_dialect *d)
{
    return d->encoding || d->skip_lines || d->comment;
}

fm_status fm_recode_new(const char *name, const fm_dialect *d, fm_recode **out)
{
    fm_recode *r = NULL;
    fm_status st = fm_alloc(1, sizeof *r, (void **)&r);

    if (st)
        return st;
    *r = (fm_recode){ .name = name, .dialect = d, .line = 1, .at_start = true };
    if (!(st = fm_alloc(PIECE, 1, (void **)&r->bytes)) &&
        !(st = fm_alloc(PIECE, 1, (void **)&r->text)) && d->encoding) {
        r->cd = iconv_open("UTF-8", d->encoding);
        r->open = r->cd != (iconv_t)-1;
        if (!r->open)
            st = fm_fail(FM_EINVAL, "%s: encoding %s is not known here", name, d->encoding);
    }
    if (st)
        fm_recode_free(&r);
    else
        *out = r;
    return st;
}

void fm_recode_free(fm_recode **r)
{
    if (!r || !*r)
        return;
    if ((*r)->open)
        (void)iconv_close((*r)->cd);
    if ((*r)->bytes)
        sodium_memzero((*r)->bytes, PIECE);
    if ((*r)->text)
        sodium_memzero((*r)->text, PIECE);
    free((*r)->bytes);
    free((*r)->text);
    free(*r);
    *r = NULL;
}

static fm_status fail(const fm_recode *r, const char *what)
{
    return fm_fail(FM_EPARSE, "%s:%zu: %s; what it is encoded in is data.csv.encoding in node.yaml",
                   r->name, r->line, what);
}

/* Text of bytes read as UTF-16 is no fault, but Chinese. There every delimiter has a NUL byte. */
static fm_status check_wide(fm_recode *r)
{
    const char *e = r->dialect->encoding;
    char what[100];

    r->looked = true;
    if (!e || (strncasecmp(e, "UTF-16", 6) != 0 && strncasecmp(e, "UTF-32", 6) != 0 &&
               strncasecmp(e, "UCS-", 4) != 0))
        return FM_OK;
    if (r->to == 0 || memchr(r->bytes, '\0', r->to))
        return FM_OK;
    (void)snprintf(what, sizeof what,
                   "this is no %.20s but text of one byte a letter, such as UTF-8", e);
    return fail(r, what);
}

static fm_status fill(fm_recode *r, fm_recode_more more, void *ctx)
{
    size_t n = 0;
    fm_status st;

    memmove(r->bytes, r->bytes + r->from, r->to - r->from);
    r->to -= r->from;
    r->from = 0;
    do {
        if ((st = more(ctx, r->bytes + r->to, PIECE - r->to, &n)))
            return st;
        r->to += n;
        r->ended = n == 0;
    } while (!r->looked && !r->ended && r->to < WIDE_LEAST);
    return r->looked ? FM_OK : check_wide(r);
}

/* A line that is passed over becomes one of spaces, which is no record. */
static void pass_over(fm_recode *r, char *p, size_t n)
{
    static const char mark[] = "\xef\xbb\xbf";

    for (size_t i = 0; i < n; i++) {
        const char c = p[i];

        if (r->mark < sizeof mark - 1 && c == mark[r->mark]) {
            r->mark++;
            continue;
        }
        r->mark = sizeof mark;
        const bool second = c == '\n' && r->after_cr; /* of a CR LF */

        r->after_cr = c == '\r';
        if (c == '\n' || c == '\r') {
            r->line += !second;
            r->at_start = true;
            continue;
        }
        if (r->at_start)
            r->over = r->line <= r->dialect->skip_lines ||
                      (r->dialect->comment && c == r->dialect->comment && !r->quoted);
        r->at_start = false;
        if (r->over)
            p[i] = ' ';
        else
            r->quoted ^= c == '"';
    }
}

/* The next text, of at most PIECE bytes. @param stuck  out: more bytes are needed for the next character. */
static fm_status convert(fm_recode *r, bool *stuck)
{
    char *in = r->bytes + r->from, *out = r->text;
    size_t in_left = r->to - r->from, out_left = PIECE;
    size_t rc = 0;
    char what[80];

    if (r->open) {
        rc = iconv(r->cd, &in, &in_left, &out, &out_left);
        *stuck = rc == (size_t)-1 && errno == EINVAL;
        rc = rc == (size_t)-1 && errno == EILSEQ;
    } else {
        memcpy(out, in, in_left); /* no more than PIECE */
        in += in_left;
        out += in_left;
    }
    r->from = (size_t)(in - r->bytes);
    r->text_from = 0;
    r->text_to = (size_t)(out - r->text);
    pass_over(r, r->text, r->text_to);
    if (!rc || r->text_to > 0) /* a fault comes again, with its own line then */
        return FM_OK;
    (void)snprintf(what, sizeof what, "byte 0x%02x is no %.30s here",
                   (unsigned)(unsigned char)r->bytes[r->from], r->dialect->encoding);
    return fail(r, what);
}

/* Of some encodings the last character is held back until it is known that nothing combines with it. */
static void flush(fm_recode *r)
{
    char *out = r->text;
    size_t left = PIECE;

    if (r->open)
        (void)iconv(r->cd, NULL, NULL, &out, &left);
    r->flushed = true;
    r->text_from = 0;
    r->text_to = (size_t)(out - r->text);
    pass_over(r, r->text, r->text_to);
}

fm_status fm_recode_read(fm_recode *r, fm_recode_more more, void *ctx, char *to, size_t room,
                         size_t *n)
{
    bool stuck = false;
    fm_status st;

    while (r->text_from == r->text_to) {
        if (r->from == r->to || stuck) {
            if (r->ended && r->from < r->to)
                return fail(r, "the file ends within a character");
            if (!r->ended && (st = fill(r, more, ctx)))
                return st;
            if (r->ended && r->from == r->to) {
                *n = 0;
                if (r->flushed)
                    return FM_OK;
                flush(r);
                continue;
            }
        }
        stuck = false;
        if ((st = convert(r, &stuck)))
            return st;
    }
    *n = r->text_to - r->text_from < room ? r->text_to - r->text_from : room;
    memcpy(to, r->text + r->text_from, *n);
    r->text_from += *n;
    return FM_OK;
}
