/* What was read: tensors, metadata, and all values in one run. */
#include "safetensors_internal.h"

#include <stdlib.h>
#include <string.h>

size_t fm_safetensors_count(const fm_safetensors *s)
{
    return s->count;
}

uint64_t fm_safetensors_bytes(const fm_safetensors *s)
{
    return (uint64_t)s->head_len + s->data_len;
}

const fm_tensor_view *fm_safetensors_at(const fm_safetensors *s, size_t i)
{
    return i < s->count ? &s->entries[i].view : NULL;
}

const fm_tensor_view *fm_safetensors_find(const fm_safetensors *s, const char *name)
{
    fm_tensor_view key = { .name = name };
    const fm_tensor_view *wanted = &key;
    const fm_tensor_view **found =
        bsearch(&wanted, s->by_name, s->count, sizeof *s->by_name, fm_safetensors_compare_names);

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
        if (strcmp(s->entries[i].view.dtype, "F32") != 0)
            return fm_fail(FM_EPROTO, "%s: tensor '%.200s' is %s, not F32", s->name,
                           s->entries[i].view.name, s->entries[i].view.dtype);
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
        s->entries[i].view.data = NULL;
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
