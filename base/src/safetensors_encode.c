/* Writing: the header through jansson, then the data in one run. */
#include "safetensors_internal.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "fedmoe/base/file.h"

#define LENGTH_BYTES ((size_t)8)
#define ALIGN ((size_t)8)
#define HEAD_ALIGN ((size_t)64) /* of a head alone: rows of weights lie as vectors want them */

/* A tensor and what its place in the file depends on. */
typedef struct {
    const fm_tensor_view *view;
    size_t element; /* bytes */
    size_t given;   /* index in the caller's list */
} slot;

static fm_status fail(const fm_tensor_view *v, const char *what)
{
    return fm_fail(FM_EINVAL, "tensor '%.200s': %s", v->name ? v->name : "", what);
}

/* `held`: the values are there to be written. */
static fm_status check_view(const fm_tensor_view *v, bool held, size_t *element)
{
    size_t bytes = fm_safetensors_element(v->dtype, NULL);

    if (!v->name || !*v->name || strcmp(v->name, FM_SAFETENSORS_META) == 0)
        return fail(v, "not a name for a tensor");
    if (bytes == 0)
        return fail(v, "dtype is not known");
    *element = bytes;
    if (v->dims > FM_SAFETENSORS_MAX_DIMS)
        return fail(v, "more than 8 dimensions");
    for (size_t i = 0; i < v->dims; i++)
        if (fm_mul_size(bytes, v->shape[i], &bytes) != FM_OK)
            return fail(v, "shape is too large for this machine");
    if (bytes != v->bytes || (held && !v->data && bytes > 0))
        return fail(v, "its shape does not fit its bytes");
    return FM_OK;
}

/* Wide elements first, else as given: so each tensor is aligned to its own element. */
static int compare_slots(const void *a, const void *b)
{
    const slot *x = a, *y = b;

    if (x->element != y->element)
        return x->element > y->element ? -1 : 1;
    return x->given < y->given ? -1 : x->given > y->given;
}

static fm_status plan(const fm_tensor_view *tensors, size_t count, bool held, slot **out)
{
    void *fresh;
    slot *slots;
    fm_status st = fm_alloc(count, sizeof *slots, &fresh);

    if (st != FM_OK)
        return st;
    slots = fresh;
    for (size_t i = 0; i < count && st == FM_OK; i++) {
        slots[i].view = &tensors[i];
        slots[i].given = i;
        st = check_view(&tensors[i], held, &slots[i].element);
    }
    if (st != FM_OK) {
        free(slots);
        return st;
    }
    qsort(slots, count, sizeof *slots, compare_slots);
    *out = slots;
    return FM_OK;
}

static fm_status add_entry(json_t *header, const fm_tensor_view *v, size_t begin, size_t end)
{
    json_t *shape = json_array();
    json_t *entry;

    for (size_t i = 0; shape && i < v->dims; i++)
        if (json_array_append_new(shape, json_integer((json_int_t)v->shape[i])) != 0) {
            json_decref(shape);
            shape = NULL;
        }
    if (!shape)
        return fm_fail(FM_ENOMEM, "no memory for a safetensors header");
    if (json_object_get(header, v->name)) {
        json_decref(shape);
        return fail(v, "its name is given twice");
    }
    entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", v->dtype, "shape", shape, "data_offsets",
                      (json_int_t)begin, (json_int_t)end);
    if (!entry)
        return fm_fail(FM_ENOMEM, "no memory for a safetensors header");
    if (json_object_set_new(header, v->name, entry) != 0)
        return fail(v, "its name is not UTF-8 text");
    return FM_OK;
}

static fm_status add_metadata(json_t *header, const fm_safetensors_meta *meta, size_t count)
{
    json_t *object;

    if (count == 0)
        return FM_OK;
    if (!(object = json_object()) || json_object_set_new(header, FM_SAFETENSORS_META, object) != 0)
        return fm_fail(FM_ENOMEM, "no memory for a safetensors header");
    for (size_t i = 0; i < count; i++) {
        if (!meta[i].key || !meta[i].value || json_object_get(object, meta[i].key))
            return fm_fail(FM_EINVAL, "metadata '%.200s' is missing or given twice",
                           meta[i].key ? meta[i].key : "");
        if (json_object_set_new(object, meta[i].key, json_string(meta[i].value)) != 0)
            return fm_fail(FM_EINVAL, "metadata '%.200s' is not UTF-8 text", meta[i].key);
    }
    return FM_OK;
}

static fm_status make_header(const slot *slots, size_t count, const fm_safetensors_meta *meta,
                             size_t meta_count, char **text, size_t *data_len)
{
    json_t *header = json_object();
    size_t at = 0;
    fm_status st;

    if (!header)
        return fm_fail(FM_ENOMEM, "no memory for a safetensors header");
    st = add_metadata(header, meta, meta_count);
    for (size_t i = 0; i < count && st == FM_OK; i++) {
        size_t end;

        if ((st = fm_add_size(at, slots[i].view->bytes, &end)) == FM_OK)
            st = add_entry(header, slots[i].view, at, end);
        at = st == FM_OK ? end : at;
    }
    if (st == FM_OK && !(*text = json_dumps(header, JSON_COMPACT)))
        st = fm_fail(FM_ENOMEM, "no memory for a safetensors header");
    *data_len = at;
    json_decref(header);
    return st;
}

/* All before the tensors' bytes: length, header, padding up to a multiple of `align`. Appended to
 * `out`. */
static fm_status put_head(const slot *slots, size_t count, const fm_safetensors_meta *meta,
                          size_t meta_count, size_t align, size_t *data_len, fm_buf *out)
{
    char *text = NULL;
    size_t text_len, header_len;
    uint8_t *p;
    fm_status st = make_header(slots, count, meta, meta_count, &text, data_len);

    if (st != FM_OK)
        goto done;
    text_len = strlen(text);
    header_len = ((LENGTH_BYTES + text_len + align - 1) & ~(align - 1)) - LENGTH_BYTES;
    if (header_len > FM_SAFETENSORS_MAX_HEADER) {
        st = fm_fail(FM_EINVAL, "a safetensors header of %zu bytes is longer than the limit",
                     header_len);
        goto done;
    }
    if ((st = fm_buf_extend(out, LENGTH_BYTES + header_len, &p)) != FM_OK)
        goto done;
    fm_put_u64le(p, header_len);
    memcpy(p + LENGTH_BYTES, text, text_len);
    memset(p + LENGTH_BYTES + text_len, ' ', header_len - text_len);
done:
    free(text);
    return st;
}

fm_status fm_safetensors_encode(const fm_tensor_view *tensors, size_t count,
                                const fm_safetensors_meta *meta, size_t meta_count, fm_buf *out)
{
    const size_t before = out ? out->len : 0;
    slot *slots = NULL;
    size_t data_len;
    uint8_t *p;
    fm_status st;

    if ((!tensors && count > 0) || (!meta && meta_count > 0) || !out)
        return fm_fail(FM_EINVAL, "fm_safetensors_encode: an argument is missing");
    if ((st = plan(tensors, count, true, &slots)) != FM_OK)
        return st;
    if ((st = put_head(slots, count, meta, meta_count, ALIGN, &data_len, out)) == FM_OK &&
        (st = fm_buf_extend(out, data_len, &p)) != FM_OK)
        out->len = before;
    for (size_t i = 0; st == FM_OK && i < count; i++) {
        if (slots[i].view->bytes > 0)
            memcpy(p, slots[i].view->data, slots[i].view->bytes);
        p += slots[i].view->bytes;
    }
    free(slots);
    return st;
}

fm_status fm_safetensors_encode_head(const fm_tensor_view *tensors, size_t count,
                                     const fm_safetensors_meta *meta, size_t meta_count,
                                     fm_buf *out)
{
    slot *slots = NULL;
    size_t data_len;
    fm_status st;

    if ((!tensors && count > 0) || (!meta && meta_count > 0) || !out)
        return fm_fail(FM_EINVAL, "fm_safetensors_encode_head: an argument is missing");
    if ((st = plan(tensors, count, false, &slots)) != FM_OK)
        return st;
    for (size_t i = 0; i < count && st == FM_OK; i++)
        if (slots[i].given != i)
            st = fail(slots[i].view, "wider elements come first");
    if (st == FM_OK)
        st = put_head(slots, count, meta, meta_count, HEAD_ALIGN, &data_len, out);
    free(slots);
    return st;
}

fm_status fm_safetensors_replace(const char *path, mode_t mode, const fm_tensor_view *tensors,
                                 size_t count, const fm_safetensors_meta *meta, size_t meta_count)
{
    fm_file_writer *w = NULL;
    slot *slots = NULL;
    fm_buf head = { 0 };
    size_t data_len;
    fm_status st;

    if (!path || (!tensors && count > 0) || (!meta && meta_count > 0))
        return fm_fail(FM_EINVAL, "fm_safetensors_replace: an argument is missing");
    if ((st = plan(tensors, count, true, &slots)) == FM_OK &&
        (st = put_head(slots, count, meta, meta_count, ALIGN, &data_len, &head)) == FM_OK &&
        (st = fm_file_begin(path, mode, &w)) == FM_OK)
        st = fm_file_write(w, head.data, head.len);
    for (size_t i = 0; st == FM_OK && i < count; i++)
        st = fm_file_write(w, slots[i].view->data, slots[i].view->bytes);
    if (st == FM_OK)
        st = fm_file_finish(&w);
    fm_file_abort(&w);
    fm_buf_fini(&head);
    free(slots);
    return st;
}

fm_status fm_safetensors_encode_flat(const fm_safetensors *like, const float *flat, size_t elements,
                                     const fm_safetensors_meta *meta, size_t meta_count,
                                     fm_buf *out)
{
    size_t count, have;
    fm_tensor_view *views;
    const uint8_t *at = (const uint8_t *)flat;
    void *fresh;
    fm_status st;

    if (!like || (!flat && elements > 0))
        return fm_fail(FM_EINVAL, "fm_safetensors_encode_flat: an argument is missing");
    if ((st = fm_safetensors_flat_size(like, &have)) != FM_OK)
        return st;
    if (have != elements)
        return fm_fail(FM_EINVAL, "the model holds %zu values, not %zu", have, elements);
    count = fm_safetensors_count(like);
    if ((st = fm_alloc(count, sizeof *views, &fresh)) != FM_OK)
        return st;
    views = fresh;
    for (size_t i = 0; i < count; i++) {
        views[i] = *fm_safetensors_at(like, i);
        views[i].data = at;
        at += views[i].bytes;
    }
    st = fm_safetensors_encode(views, count, meta, meta_count, out);
    free(views);
    return st;
}
