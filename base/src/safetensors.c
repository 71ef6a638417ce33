/* Reading: nothing is believed before it has been checked against the bytes that are there. */
#include "safetensors_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "fedmoe/base/file.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensors are read in place and are little-endian on disk");

size_t fm_safetensors_element(const char *dtype, const char **name)
{
    static const struct {
        const char *name;
        size_t bytes;
    } known[] = {
        { "F32", 4 },  { "F16", 2 }, { "BF16", 2 },    { "F64", 8 },     { "I8", 1 },
        { "I16", 2 },  { "I32", 4 }, { "I64", 8 },     { "U8", 1 },      { "U16", 2 },
        { "U32", 4 },  { "U64", 8 }, { "F8_E4M3", 1 }, { "F8_E5M2", 1 }, { "F8_E8M0", 1 },
        { "BOOL", 1 }, { "C64", 8 },
    };

    for (size_t i = 0; dtype && i < sizeof known / sizeof known[0]; i++)
        if (strcmp(dtype, known[i].name) == 0) {
            if (name)
                *name = known[i].name;
            return known[i].bytes;
        }
    return 0;
}

static fm_status fail(const fm_safetensors *s, const char *tensor, const char *what)
{
    return fm_fail(FM_EPROTO, "%s: tensor '%.200s': %s", s->name, tensor, what);
}

static bool read_size(const json_t *v, size_t *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *out = (size_t)json_integer_value(v);
    return true;
}

static fm_status read_shape(const fm_safetensors *s, const json_t *shape, fm_tensor_view *v,
                            size_t *elements)
{
    size_t product = 1;

    if (!json_is_array(shape))
        return fail(s, v->name, "shape is not a list");
    if (json_array_size(shape) > FM_SAFETENSORS_MAX_DIMS)
        return fail(s, v->name, "more than 8 dimensions");
    v->dims = json_array_size(shape);
    for (size_t i = 0; i < v->dims; i++) {
        if (!read_size(json_array_get(shape, i), &v->shape[i]))
            return fail(s, v->name, "shape holds something other than whole numbers");
        if (fm_mul_size(product, v->shape[i], &product) != FM_OK)
            return fail(s, v->name, "shape is too large for this machine");
    }
    *elements = product;
    return FM_OK;
}

static fm_status read_offsets(const fm_safetensors *s, const json_t *offsets,
                              fm_safetensors_entry *e)
{
    fm_tensor_view *v = &e->view;
    size_t begin, end;

    if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
        !read_size(json_array_get(offsets, 0), &begin) ||
        !read_size(json_array_get(offsets, 1), &end))
        return fail(s, v->name, "data_offsets are not two whole numbers");
    if (begin > end || end > s->data_len)
        return fm_fail(
            FM_EPROTO,
            "%s: tensor '%.200s': data_offsets %zu to %zu leave the %zu bytes of data; was the "
            "file copied whole?",
            s->name, v->name, begin, end, s->data_len);
    v->data = s->data ? s->data + begin : NULL;
    v->bytes = end - begin;
    e->offset = begin;
    return FM_OK;
}

static fm_status read_tensor(const fm_safetensors *s, const char *name, const json_t *text,
                             fm_safetensors_entry *out)
{
    fm_safetensors_entry e = { .view = { .name = name } };
    fm_tensor_view *v = &e.view;
    size_t elements = 0, element, expected;
    const char *kind = json_string_value(json_object_get(text, "dtype"));
    fm_status st;

    if (!json_is_object(text))
        return fail(s, name, "its entry is not an object");
    if (name[0] == '\0')
        return fail(s, name, "it has no name");
    if (!(element = fm_safetensors_element(kind, &v->dtype)))
        return fm_fail(
            FM_EPROTO,
            "%s: tensor '%.200s': dtype is missing or not known: '%.20s'; F32, F16, BF16 "
            "and such are",
            s->name, name, kind ? kind : "");
    if ((st = read_shape(s, json_object_get(text, "shape"), v, &elements)) != FM_OK ||
        (st = read_offsets(s, json_object_get(text, "data_offsets"), &e)) != FM_OK)
        return st;
    if (json_object_size(text) != 3)
        return fail(s, name, "its entry holds more than dtype, shape and data_offsets");
    if (fm_mul_size(elements, element, &expected) != FM_OK || expected != v->bytes)
        return fm_fail(FM_EPROTO,
                       "%s: tensor '%.200s': its shape of %zu elements does not fit its %zu bytes",
                       s->name, name, elements, v->bytes);
    *out = e;
    return FM_OK;
}

static fm_status read_metadata(fm_safetensors *s)
{
    const char *key;
    json_t *value;
    void *fresh;
    fm_status st;

    if (!(s->meta = json_object_get(s->header, FM_SAFETENSORS_META)))
        return FM_OK;
    if (!json_is_object(s->meta))
        return fm_fail(FM_EPROTO, "%s: " FM_SAFETENSORS_META " is not an object", s->name);
    if ((st = fm_alloc(json_object_size(s->meta), sizeof *s->metas, &fresh)) != FM_OK)
        return st;
    s->metas = fresh;
    json_object_foreach(s->meta, key, value)
    {
        if (!json_is_string(value))
            return fm_fail(FM_EPROTO, "%s: metadata '%.200s' is not a text", s->name, key);
        s->metas[s->meta_count++] = (fm_safetensors_meta){ key, json_string_value(value) };
    }
    return FM_OK;
}

static int compare_places(const void *a, const void *b)
{
    const fm_safetensors_entry *x = a, *y = b;

    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->view.bytes != y->view.bytes) /* an empty one comes before what starts there too */
        return x->view.bytes < y->view.bytes ? -1 : 1;
    return strcmp(x->view.name, y->view.name);
}

int fm_safetensors_compare_names(const void *a, const void *b)
{
    return strcmp((*(const fm_tensor_view *const *)a)->name,
                  (*(const fm_tensor_view *const *)b)->name);
}

/* The tensors lie side by side, from the first byte to the last. */
static fm_status check_tiling(const fm_safetensors *s)
{
    size_t at = 0;

    for (size_t i = 0; i < s->count; i++) {
        const fm_safetensors_entry *e = &s->entries[i];

        if (e->offset != at)
            return fail(s, e->view.name,
                        e->offset < at ? "its data overlaps the tensor before it"
                                       : "there is a gap before its data");
        at += e->view.bytes;
    }
    if (at != s->data_len)
        return fm_fail(
            FM_EPROTO,
            "%s: %zu bytes after the last tensor; was the file changed on its way? copy it "
            "again",
            s->name, s->data_len - at);
    return FM_OK;
}

static fm_status read_tensors(fm_safetensors *s)
{
    size_t n = json_object_size(s->header);
    const char *key;
    json_t *value;
    void *fresh;
    fm_status st;

    if ((st = fm_alloc(n, sizeof *s->entries, &fresh)) != FM_OK)
        return st;
    s->entries = fresh;
    if ((st = fm_alloc(n, sizeof *s->by_name, &fresh)) != FM_OK)
        return st;
    s->by_name = fresh;
    json_object_foreach(s->header, key, value)
    {
        if (strcmp(key, FM_SAFETENSORS_META) == 0)
            continue;
        if ((st = read_tensor(s, key, value, &s->entries[s->count])) != FM_OK)
            return st;
        s->count++;
    }
    qsort(s->entries, s->count, sizeof *s->entries, compare_places);
    for (size_t i = 0; i < s->count; i++)
        s->by_name[i] = &s->entries[i].view;
    qsort(s->by_name, s->count, sizeof *s->by_name, fm_safetensors_compare_names);
    return check_tiling(s);
}

fm_status fm_safetensors_read_entries(fm_safetensors *s)
{
    const fm_status st = read_metadata(s);

    return st != FM_OK ? st : read_tensors(s);
}

#define NOT_SAFETENSORS "not a safetensors file, as models are"

fm_status fm_safetensors_fail_other(const fm_safetensors *s, const char *why)
{
    return fm_fail(FM_EPROTO, "%s: " NOT_SAFETENSORS ": %s", s->name, why);
}

/* The first 8 bytes of a true one are a length below 2^32: its last four are zero. */
static bool looks_like_text(const uint8_t first[FM_SAFETENSORS_LENGTH_BYTES])
{
    for (size_t i = 0; i < FM_SAFETENSORS_LENGTH_BYTES; i++) {
        const uint8_t c = first[i];

        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c >= 0x7f)
            return false;
    }
    return true;
}

/* What people take for a model, by its first bytes. */
static const char *other_kind(const uint8_t first[FM_SAFETENSORS_LENGTH_BYTES])
{
    static const struct {
        const char *begins;
        size_t len;
        const char *words;
    } kinds[] = {
        { "version ", 8, "a pointer of Git LFS; fetch the file itself with 'git lfs pull'" },
        { "PK\3\4", 4,
          "a zip archive, as PyTorch's .pt and .bin are; save the weights as "
          "safetensors" },
        { "\x80\2", 2, "a Python pickle, which is not read here; save the weights as safetensors" },
        { "\x80\4", 2, "a Python pickle, which is not read here; save the weights as safetensors" },
        { "GGUF", 4, "a GGUF file; take the model's safetensors" },
        { "\x1f\x8b", 2, "packed by gzip; unpack it" },
        { "\x28\xb5\x2f\xfd", 4, "packed by zstd; unpack it" },
        { "\xef\xbb\xbf", 3,
          "it begins with a byte order mark: a text editor has changed it; copy it "
          "again" },
        { "<!DOCTY", 7, "a web page; the download may have failed or want a login" },
        { "<html", 5, "a web page; the download may have failed or want a login" },
    };

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (memcmp(first, kinds[i].begins, kinds[i].len) == 0)
            return kinds[i].words;
    return NULL;
}

/* Of a file of `file_len` bytes, at least FM_SAFETENSORS_LENGTH_BYTES: how long head and data are. */
fm_status fm_safetensors_read_lengths(fm_safetensors *s,
                                      const uint8_t first[FM_SAFETENSORS_LENGTH_BYTES],
                                      size_t file_len)
{
    const uint64_t header_len = fm_get_u64le(first);
    const size_t rest = file_len - FM_SAFETENSORS_LENGTH_BYTES;
    const char *other;

    if ((other = other_kind(first)))
        return fm_safetensors_fail_other(s, other);
    if (looks_like_text(first))
        return fm_safetensors_fail_other(s, "it begins with text, as a schema or records do");
    if (header_len > FM_SAFETENSORS_MAX_HEADER)
        return fm_fail(FM_EPROTO,
                       "%s: " NOT_SAFETENSORS
                       ": a header of %llu bytes is longer than the limit of "
                       "%zu",
                       s->name, (unsigned long long)header_len, FM_SAFETENSORS_MAX_HEADER);
    if (header_len > rest)
        return fm_fail(FM_EPROTO,
                       "%s: cut short, or " NOT_SAFETENSORS
                       ": a header of %llu bytes, but only %zu "
                       "bytes follow",
                       s->name, (unsigned long long)header_len, rest);
    s->head_len = FM_SAFETENSORS_LENGTH_BYTES + (size_t)header_len;
    s->data_len = rest - (size_t)header_len;
    return FM_OK;
}

fm_status fm_safetensors_parse_header(fm_safetensors *s, const char *text, size_t len)
{
    json_error_t error;

    if (len == 0 || text[0] != '{')
        return fm_safetensors_fail_other(s, "the header does not begin with '{'");
    s->header = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!s->header && json_error_code(&error) == json_error_out_of_memory)
        return fm_fail(FM_ENOMEM, "%s: no memory to parse its header", s->name);
    if (!s->header)
        return fm_fail(FM_EPROTO, "%s: header, byte %d: %s", s->name, error.position, error.text);
    return FM_OK;
}

static fm_status read_header(fm_safetensors *s)
{
    fm_status st;

    if (s->bytes.len < FM_SAFETENSORS_LENGTH_BYTES)
        return fm_safetensors_fail_other(s, "too few bytes");
    if ((st = fm_safetensors_read_lengths(s, s->bytes.data, s->bytes.len)) != FM_OK)
        return st;
    s->data = s->bytes.data + s->head_len;
    return fm_safetensors_parse_header(s, (const char *)s->bytes.data + FM_SAFETENSORS_LENGTH_BYTES,
                                       s->head_len - FM_SAFETENSORS_LENGTH_BYTES);
}

/* Other writers pad or do not; here the data always starts where malloc aligned the buffer. */
static void align_data(fm_safetensors *s)
{
    memmove(s->bytes.data, s->data, s->data_len);
    s->data = s->bytes.data;
    s->bytes.len = s->data_len;
}

fm_status fm_safetensors_make(const char *name, fm_safetensors **out)
{
    fm_safetensors *s;
    void *fresh;
    fm_status st = fm_alloc(1, sizeof *s, &fresh);

    if (st != FM_OK)
        return st;
    s = fresh;
    s->fd = -1;
    if ((st = fm_strdup(name, &s->name)) == FM_OK)
        *out = s;
    else
        free(s);
    return st;
}

static fm_status adopt(const char *name, fm_buf *bytes, fm_safetensors **out)
{
    fm_safetensors *s = NULL;
    fm_status st = fm_safetensors_make(name, &s);

    if (st != FM_OK)
        return st;
    s->bytes = *bytes;
    fm_buf_init(bytes, 0);
    if ((st = read_header(s)) != FM_OK)
        goto done;
    align_data(s);
    if ((st = fm_safetensors_read_entries(s)) != FM_OK)
        goto done;
    *out = s;
    s = NULL;
done:
    fm_safetensors_free(&s);
    return st;
}

fm_status fm_safetensors_parse(const char *name, const void *data, size_t len, fm_safetensors **out)
{
    fm_buf copy;
    fm_status st;

    if (!name || (!data && len > 0) || !out)
        return fm_fail(FM_EINVAL, "fm_safetensors_parse: an argument is missing");
    fm_buf_init(&copy, len ? len : 1);
    if ((st = fm_buf_append(&copy, data, len)) == FM_OK)
        st = adopt(name, &copy, out);
    fm_buf_fini(&copy);
    return st;
}

fm_status fm_safetensors_load(const char *path, size_t limit, fm_safetensors **out)
{
    fm_buf bytes;
    fm_status st = fm_file_read(path, limit, &bytes);

    if (st != FM_OK)
        return st;
    st = adopt(path, &bytes, out);
    fm_buf_fini(&bytes);
    return st;
}
