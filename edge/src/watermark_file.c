/*
 * The file of a key: lines of text, "NAME VALUE" each, in this order:
 *     fedmoe-watermark 1
 *     kind tournament          | kind red-green
 *     window N
 *     layers N                 | gamma G, then delta D
 *     key HEX                    64 digits
 */
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "fedmoe/base/text.h"
#include "watermark_internal.h"

#define MOST_BYTES ((size_t)1024)
#define MOST_VALUE ((size_t)80)

static const char *const kinds[] = { "tournament", "red-green" };

typedef struct {
    const char *name; /* of the file */
    const char *at, *end;
    size_t line;
} reader;

/* The value of the line that must begin with `name`. The caller wipes it. */
static fm_status take(reader *r, const char *name, char value[MOST_VALUE])
{
    const char *stop = r->at < r->end ? memchr(r->at, '\n', (size_t)(r->end - r->at)) : NULL;
    const size_t skip = strlen(name) + 1, len = stop ? (size_t)(stop - r->at) : 0;

    r->line++;
    if (!stop || len <= skip || len - skip >= MOST_VALUE || memcmp(r->at, name, skip - 1) != 0 ||
        r->at[skip - 1] != ' ')
        return fm_fail(FM_EPROTO,
                       "%s:%zu: not a watermark's key: '%s' and its value must stand here; "
                       "fedmoe-model watermark keygen makes such files",
                       r->name, r->line, name);
    memcpy(value, r->at + skip, len - skip);
    value[len - skip] = '\0';
    r->at = stop + 1;
    return FM_OK;
}

static fm_status bad(const reader *r, const char *name)
{
    return fm_fail(FM_EPROTO, "%s:%zu: this value of '%s' is not possible", r->name, r->line, name);
}

static fm_status take_size(reader *r, const char *name, size_t *out)
{
    char value[MOST_VALUE];
    uint64_t v = 0;
    const fm_status st = take(r, name, value);

    if (st)
        return st;
    if (!fm_text_u64(value, &v) || v > UINT32_MAX)
        return bad(r, name);
    *out = (size_t)v;
    return FM_OK;
}

static fm_status take_double(reader *r, const char *name, double *out)
{
    char value[MOST_VALUE];
    const fm_status st = take(r, name, value);

    if (st)
        return st;
    return fm_text_double(value, out) ? FM_OK : bad(r, name);
}

static fm_status take_options(reader *r, fm_watermark_options *o)
{
    char value[MOST_VALUE];
    fm_status st = take(r, "fedmoe-watermark", value);

    if (!st && strcmp(value, "1") != 0)
        return fm_fail(FM_EPROTO, "%s: a key of another version than this program's, 1", r->name);
    if (st || (st = take(r, "kind", value)))
        return st;
    if (strcmp(value, kinds[FM_WATERMARK_TOURNAMENT]) == 0)
        *o = fm_watermark_defaults(FM_WATERMARK_TOURNAMENT);
    else if (strcmp(value, kinds[FM_WATERMARK_RED_GREEN]) == 0)
        *o = fm_watermark_defaults(FM_WATERMARK_RED_GREEN);
    else
        return bad(r, "kind");
    if ((st = take_size(r, "window", &o->window)))
        return st;
    if (o->kind == FM_WATERMARK_TOURNAMENT)
        return take_size(r, "layers", &o->layers);
    if ((st = take_double(r, "gamma", &o->gamma)))
        return st;
    return take_double(r, "delta", &o->delta);
}

fm_status fm_watermark_parse(const char *name, const void *text, size_t len, fm_watermark **out)
{
    reader r = { .name = name, .at = text, .end = (const char *)text + len };
    uint8_t key[FM_WATERMARK_KEY_BYTES] = { 0 };
    char value[MOST_VALUE] = "";
    fm_watermark_options o;
    size_t got = 0;
    fm_status st = len ? take_options(&r, &o) : fm_fail(FM_EPROTO, "%s: is empty", name);

    if (!st && !(st = take(&r, "key", value)) &&
        (strlen(value) != 2 * sizeof key ||
         sodium_hex2bin(key, sizeof key, value, strlen(value), NULL, &got, NULL) != 0 ||
         got != sizeof key))
        st = bad(&r, "key");
    if (!st && r.at != r.end)
        st = fm_fail(FM_EPROTO, "%s:%zu: the file goes on after the key", name, r.line + 1);
    if (!st && (st = fm_watermark_new(key, &o, out)) == FM_EINVAL)
        st = fm_fail_context(FM_EPROTO, "%s: ", name);
    sodium_memzero(key, sizeof key);
    sodium_memzero(value, sizeof value);
    return st;
}

fm_status fm_watermark_load(const char *path, fm_watermark **out)
{
    fm_buf b = { 0 };
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "watermark: an argument is missing");
    if (!(st = fm_file_read_private(path, MOST_BYTES, &b)))
        st = fm_watermark_parse(path, b.data, b.len, out);
    fm_buf_fini(&b);
    return st;
}

static fm_status write_lines(fm_buf *b, const fm_watermark_options *o, const char *hex)
{
    fm_status st =
        fm_buf_printf(b, "fedmoe-watermark 1\nkind %s\nwindow %zu\n", kinds[o->kind], o->window);

    if (!st && o->kind == FM_WATERMARK_TOURNAMENT)
        st = fm_buf_printf(b, "layers %zu\n", o->layers);
    else if (!st)
        st = fm_buf_printf(b, "gamma %.17g\ndelta %.17g\n", o->gamma, o->delta);
    return st ? st : fm_buf_printf(b, "key %s\n", hex);
}

fm_status fm_watermark_keygen(const char *path, const fm_watermark_options *o)
{
    uint8_t key[FM_WATERMARK_KEY_BYTES];
    char hex[2 * sizeof key + 1];
    fm_watermark *w = NULL;
    fm_buf b = { 0 };
    fm_status st;

    if (!path || !o)
        return fm_fail(FM_EINVAL, "watermark: an argument is missing");
    fm_random_bytes(key, sizeof key);
    sodium_bin2hex(hex, sizeof hex, key, sizeof key);
    /* What could not be loaded is not written. */
    if (!(st = fm_watermark_new(key, o, &w)) && !(st = write_lines(&b, o, hex)))
        st = fm_file_create(path, b.data, b.len, 0600);
    fm_watermark_free(&w);
    fm_buf_fini(&b);
    sodium_memzero(key, sizeof key);
    sodium_memzero(hex, sizeof hex);
    return st;
}
