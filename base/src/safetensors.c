/* Reading: nothing is believed before it has been checked against the bytes that are there. */
#include "safetensors_internal.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "fedmoe/base/file.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensors are read in place and are little-endian on disk");

#define LENGTH_BYTES ((size_t)8)

struct fm_safetensors {
    char *name;
    fm_buf bytes;  /* the whole file, until `data` is moved to its front */
    uint8_t *data; /* in bytes */
    size_t data_len;
    json_t *header; /* owns names and metadata */
    fm_tensor_view *views;
    const fm_tensor_view **by_name; /* sorted */
    size_t count;
    json_t *meta; /* borrowed from header, or NULL */
    fm_safetensors_meta *metas;
    size_t meta_count;
};

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

static fm_status read_offsets(const fm_safetensors *s, const json_t *offsets, fm_tensor_view *v)
{
    size_t begin, end;

    if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
        !read_size(json_array_get(offsets, 0), &begin) ||
        !read_size(json_array_get(offsets, 1), &end))
        return fail(s, v->name, "data_offsets are not two whole numbers");
    if (begin > end || end > s->data_len)
        return fm_fail(FM_EPROTO,
                       "%s: tensor '%.200s': data_offsets %zu to %zu leave the %zu bytes of data",
                       s->name, v->name, begin, end, s->data_len);
    v->data = s->data + begin;
    v->bytes = end - begin;
    return FM_OK;
}

static fm_status read_tensor(const fm_safetensors *s, const char *name, const json_t *entry,
                             fm_tensor_view *out)
{
    fm_tensor_view v = { .name = name };
    size_t elements = 0, element, expected;
    fm_status st;

    if (!json_is_object(entry))
        return fail(s, name, "its entry is not an object");
    if (name[0] == '\0')
        return fail(s, name, "it has no name");
    if (!(element =
              fm_safetensors_element(json_string_value(json_object_get(entry, "dtype")), &v.dtype)))
        return fail(s, name, "dtype is missing or not known");
    if ((st = read_shape(s, json_object_get(entry, "shape"), &v, &elements)) != FM_OK ||
        (st = read_offsets(s, json_object_get(entry, "data_offsets"), &v)) != FM_OK)
        return st;
    if (json_object_size(entry) != 3)
        return fail(s, name, "its entry holds more than dtype, shape and data_offsets");
    if (fm_mul_size(elements, element, &expected) != FM_OK || expected != v.bytes)
        return fm_fail(FM_EPROTO,
                       "%s: tensor '%.200s': its shape of %zu elements does not fit its %zu bytes",
                       s->name, name, elements, v.bytes);
    *out = v;
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
    const fm_tensor_view *x = a, *y = b;

    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    if (x->bytes != y->bytes) /* an empty tensor comes before the one that starts there too */
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const fm_tensor_view *const *)a)->name,
                  (*(const fm_tensor_view *const *)b)->name);
}

/* The tensors lie side by side, from the first byte to the last. */
static fm_status check_tiling(const fm_safetensors *s)
{
    size_t at = 0;

    for (size_t i = 0; i < s->count; i++) {
        size_t begin = (size_t)(s->views[i].data - s->data);

        if (begin != at)
            return fail(s, s->views[i].name,
                        begin < at ? "its data overlaps the tensor before it"
                                   : "there is a gap before its data");
        at += s->views[i].bytes;
    }
    if (at != s->data_len)
        return fm_fail(FM_EPROTO, "%s: %zu bytes after the last tensor", s->name, s->data_len - at);
    return FM_OK;
}

static fm_status read_tensors(fm_safetensors *s)
{
    size_t n = json_object_size(s->header);
    const char *key;
    json_t *value;
    void *fresh;
    fm_status st;

    if ((st = fm_alloc(n, sizeof *s->views, &fresh)) != FM_OK)
        return st;
    s->views = fresh;
    if ((st = fm_alloc(n, sizeof *s->by_name, &fresh)) != FM_OK)
        return st;
    s->by_name = fresh;
    json_object_foreach(s->header, key, value)
    {
        if (strcmp(key, FM_SAFETENSORS_META) == 0)
            continue;
        if ((st = read_tensor(s, key, value, &s->views[s->count])) != FM_OK)
            return st;
        s->count++;
    }
    qsort(s->views, s->count, sizeof *s->views, compare_places);
    for (size_t i = 0; i < s->count; i++)
        s->by_name[i] = &s->views[i];
    qsort(s->by_name, s->count, sizeof *s->by_name, compare_names);
    return check_tiling(s);
}

#define NOT_SAFETENSORS "not a safetensors file, as models are"

static fm_status fail_other(const fm_safetensors *s, const char *why)
{
    return fm_fail(FM_EPROTO, "%s: " NOT_SAFETENSORS ": %s", s->name, why);
}

/* The first 8 bytes of a true one are a length below 2^32: its last four are zero. */
static bool looks_like_text(const fm_safetensors *s)
{
    for (size_t i = 0; i < LENGTH_BYTES; i++) {
        const uint8_t c = s->bytes.data[i];

        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c >= 0x7f)
            return false;
    }
    return true;
}

static fm_status read_header(fm_safetensors *s)
{
    uint64_t header_len;
    size_t rest;
    const char *text;
    json_error_t error;

    if (s->bytes.len < LENGTH_BYTES)
        return fail_other(s, "too few bytes");
    header_len = fm_get_u64le(s->bytes.data);
    rest = s->bytes.len - LENGTH_BYTES;
    if (looks_like_text(s))
        return fail_other(s, "it begins with text, as a schema or records do");
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
    text = (const char *)s->bytes.data + LENGTH_BYTES;
    if (header_len == 0 || text[0] != '{')
        return fail_other(s, "the header does not begin with '{'");
    s->header = json_loadb(text, (size_t)header_len, JSON_REJECT_DUPLICATES, &error);
    if (!s->header && json_error_code(&error) == json_error_out_of_memory)
        return fm_fail(FM_ENOMEM, "%s: no memory to parse its header", s->name);
    if (!s->header)
        return fm_fail(FM_EPROTO, "%s: header, byte %d: %s", s->name, error.position, error.text);
    s->data = s->bytes.data + LENGTH_BYTES + header_len;
    s->data_len = rest - (size_t)header_len;
    return FM_OK;
}

/* Other writers pad or do not; here the data always starts where malloc aligned the buffer. */
static void align_data(fm_safetensors *s)
{
    memmove(s->bytes.data, s->data, s->data_len);
    s->data = s->bytes.data;
    s->bytes.len = s->data_len;
}

static fm_status adopt(const char *name, fm_buf *bytes, fm_safetensors **out)
{
    fm_safetensors *s = NULL;
    void *fresh;
    fm_status st = fm_alloc(1, sizeof *s, &fresh);

    if (st != FM_OK)
        return st;
    s = fresh;
    s->bytes = *bytes;
    fm_buf_init(bytes, 0);
    if ((st = fm_strdup(name, &s->name)) != FM_OK || (st = read_header(s)) != FM_OK)
        goto done;
    align_data(s);
    if ((st = read_metadata(s)) != FM_OK || (st = read_tensors(s)) != FM_OK)
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

void fm_safetensors_free(fm_safetensors **s)
{
    if (!s || !*s)
        return;
    json_decref((*s)->header);
    fm_buf_fini(&(*s)->bytes);
    free((*s)->views);
    free((*s)->by_name);
    free((*s)->metas);
    free((*s)->name);
    free(*s);
    *s = NULL;
}

size_t fm_safetensors_count(const fm_safetensors *s)
{
    return s->count;
}

const fm_tensor_view *fm_safetensors_at(const fm_safetensors *s, size_t i)
{
    return i < s->count ? &s->views[i] : NULL;
}

const fm_tensor_view *fm_safetensors_find(const fm_safetensors *s, const char *name)
{
    fm_tensor_view key = { .name = name };
    const fm_tensor_view *wanted = &key;
    const fm_tensor_view **found =
        bsearch(&wanted, s->by_name, s->count, sizeof *s->by_name, compare_names);

    return found ? *found : NULL;
}

const char *fm_safetensors_meta_get(const fm_safetensors *s, const char *key)
{
    return json_string_value(json_object_get(s->meta, key));
}

size_t fm_safetensors_meta_count(const fm_safetensors *s)
{
    return s->meta_count;
}

fm_safetensors_meta fm_safetensors_meta_at(const fm_safetensors *s, size_t i)
{
    return i < s->meta_count ? s->metas[i] : (fm_safetensors_meta){ 0 };
}

fm_status fm_safetensors_flat_size(const fm_safetensors *s, size_t *elements)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->views[i].dtype, "F32") != 0)
            return fm_fail(FM_EPROTO, "%s: tensor '%.200s' is %s, not F32", s->name,
                           s->views[i].name, s->views[i].dtype);
    *elements = s->data_len / sizeof(float);
    return FM_OK;
}

fm_status fm_safetensors_flat_view(const fm_safetensors *s, const float **out, size_t *elements)
{
    fm_status st = fm_safetensors_flat_size(s, elements);

    if (st == FM_OK && !s->data)
        st = fm_fail(FM_ESTATE, "%s: its values are not held any more", s->name);
    if (st == FM_OK)
        *out = (const float *)(const void *)s->data; /* F32 tensors tile the data, from its front */
    return st;
}

void fm_safetensors_forget(fm_safetensors *s)
{
    fm_buf_fini(&s->bytes);
    s->data = NULL;
    for (size_t i = 0; i < s->count; i++)
        s->views[i].data = NULL;
}

fm_status fm_safetensors_flat_read(const fm_safetensors *s, float *out, size_t elements)
{
    const float *flat = NULL;
    size_t have;
    fm_status st = fm_safetensors_flat_view(s, &flat, &have);

    if (st != FM_OK)
        return st;
    if (have != elements || (!out && elements > 0))
        return fm_fail(FM_EINVAL, "%s: holds %zu values, not %zu", s->name, have, elements);
    if (elements > 0)
        memcpy(out, flat, elements * sizeof *out);
    return FM_OK;
}
