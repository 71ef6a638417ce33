/* The names in the header of records: all that a draft reads of them. */
#include <stdlib.h>
#include <string.h>

#include "draft_internal.h"
#include "fedmoe/base/text.h"
#include "fedmoe/model/draft.h"
#include "table_internal.h"
#include "tokenizer_internal.h"

char fm_draft_delimiter(const char *text, size_t len)
{
    static const char candidates[] = ",;\t|";
    size_t most = 0;
    char best = ',';

    for (const char *c = candidates; *c; c++) {
        bool quoted = false;
        size_t n = 0;

        for (size_t i = 0; i < len && (quoted || (text[i] != '\n' && text[i] != '\r')); i++) {
            quoted ^= text[i] == '"';
            n += !quoted && text[i] == *c;
        }
        if (n > most) {
            most = n;
            best = *c;
        }
    }
    return best;
}

static fm_status add_unknown(fm_draft *d, const char *name)
{
    fm_draft_column *c = fm_draft_find(d, name);
    fm_status st;

    if (!c && (st = fm_draft_add(d, name, &c)))
        return st;
    c->in_file = true;
    return FM_OK;
}

/* The first line is a record: it has none of the dictionary's names, and a number in it. */
static bool is_headless(const fm_draft *d, const fm_csv_record *r)
{
    bool number = false;
    double v;

    for (size_t f = 0; f < r->count; f++) {
        if (fm_draft_find(d, r->cells[f].at))
            return false;
        number |= !*r->cells[f].at || fm_text_double(r->cells[f].at, &v);
    }
    return number;
}

static fm_status take_header(const char *path, const fm_csv_record *r, fm_draft *d)
{
    fm_status st = FM_OK;

    d->header_known = true;
    d->header = !is_headless(d, r);
    if (!d->header && d->count != r->count)
        return fm_fail(FM_EPARSE,
                       "%s:1: it has no header, and %zu fields where the dictionary has %zu; "
                       "without a header both must agree",
                       path, r->count, d->count);
    for (size_t f = 0; !d->header && f < d->count; f++)
        d->columns[f].in_file = true;
    for (size_t f = 0; !st && d->header && f < r->count; f++) {
        const char *name = r->cells[f].at;

        if (!*name || fm_tk_utf8_valid((const uint8_t *)name, r->cells[f].len) != r->cells[f].len)
            return fm_fail(FM_EPARSE, "%s:1: the name of column %zu is empty or not UTF-8", path,
                           f + 1);
        st = add_unknown(d, name);
    }
    return st;
}

fm_status fm_draft_header(const char *path, fm_draft *d)
{
    fm_csv_source source = { .fd = -1 };
    fm_csv_scan scan = { 0 };
    fm_csv_block block = { 0 };
    fm_csv_record r;
    bool got = false;
    char words[FM_CSV_OTHER];
    const char *other;
    fm_status st;

    if ((st = fm_csv_open(path, FM_TABLE_MAX_BYTES, &source)))
        return st;
    if ((st = fm_csv_block_new(&source, &block)) || (st = fm_csv_take(&source, &block, &got)))
        goto done;
    other = got ? fm_csv_other(block.text, block.len, words) : "an empty file";
    if (other) {
        st = fm_fail(FM_EPARSE, "%s: this is no CSV but %s", path, other);
        goto done;
    }
    d->delimiter = fm_draft_delimiter(block.text, block.len);
    fm_csv_begin(&scan, path, d->delimiter, &block);
    if (!(st = fm_csv_next(&scan, &r, &got)))
        st = got ? take_header(path, &r, d) : fm_fail(FM_EPARSE, "%s: it has no header", path);
done:
    fm_csv_scan_fini(&scan);
    fm_csv_block_free(&block);
    fm_csv_close(&source);
    return st;
}
