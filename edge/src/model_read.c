/* From files to slots: nothing is believed before it was checked against the configuration. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/model/tabular.h"
#include "model_internal.h"

bool fm_edge_is_map(const fm_decoder_layout *l, const fm_decoder_tensor *t)
{
    return t->columns > 0 &&
           (t->layer == FM_DECODER_ABSENT || t->offset != l->layer[t->layer].router);
}

void fm_edge_scale_name(const char *name, char out[FM_EDGE_NAME])
{
    (void)snprintf(out, FM_EDGE_NAME, "%s" FM_EDGE_SCALE, name);
}

typedef struct {
    fm_edge_model *m;
    const char *path;
    size_t cap;
    size_t floats; /* of a file: so many float32 were met; */
    size_t tensors;
    bool fill; /* the second time round */
} walk;

static fm_status add_slot(walk *w, const fm_decoder_tensor *t, fm_edge_slot **out)
{
    fm_edge_model *m = w->m;

    if (m->count == w->cap) {
        const size_t cap = w->cap ? 2 * w->cap : 64;
        fm_edge_slot *grown = realloc(m->slots, cap * sizeof *grown);

        if (!grown)
            return fm_fail(FM_ENOMEM, "%s: no memory for its list of tensors", w->path);
        m->slots = grown;
        w->cap = cap;
    }
    *out = &m->slots[m->count++];
    **out = (fm_edge_slot){ .offset = t->offset, .rows = t->rows, .columns = t->columns };
    return FM_OK;
}

/* ---- a folder ---- */

static fm_status take_flat(void *context, const fm_decoder_tensor *t)
{
    walk *w = context;
    const float *values = w->m->floats + t->offset;
    fm_edge_slot *slot = NULL;
    const fm_status st = add_slot(w, t, &slot);

    if (st != FM_OK)
        return st;
    if (fm_edge_is_map(&w->m->layout, t))
        slot->map = (fm_edge_map){ .f32 = values, .rows = t->rows, .columns = t->columns };
    else
        slot->f32 = values;
    return FM_OK;
}

static fm_status read_tokenizer(fm_edge_model *m, const char *dir)
{
    char *path = NULL;
    fm_status st = fm_path_join(dir, FM_EDGE_TOKENIZER, &path);

    if (st == FM_OK && fm_file_exists(path))
        st = fm_tokenizer_load(path, &m->tokenizer);
    free(path);
    return st;
}

fm_status fm_edge_read_folder(fm_edge_model *m, const char *path)
{
    walk w = { .m = m, .path = path };
    void *fresh;
    fm_status st = fm_decoder_folder_open(path, &m->folder);

    if (st != FM_OK)
        return st;
    m->config = *fm_decoder_folder_config(m->folder);
    if ((st = fm_decoder_layout_make(&m->config, &m->layout)) != FM_OK ||
        (st = fm_alloc_whole(m->layout.parameters, sizeof *m->floats, &fresh)) != FM_OK)
        return st;
    m->floats = fresh;
    if ((st = fm_decoder_folder_read(m->folder, m->floats)) == FM_OK &&
        (st = fm_decoder_tensors(&m->config, &m->layout, take_flat, &w)) == FM_OK)
        st = read_tokenizer(m, path);
    return st;
}

/* ---- a file ---- */

static fm_status find(const walk *w, const char *name, const char *dtype, size_t rows,
                      size_t columns, const fm_tensor_view **out)
{
    const fm_tensor_view *v = fm_safetensors_find(w->m->file, name);

    if (!v)
        return fm_fail(FM_EPROTO, "%s: tensor '%s' is missing", w->path, name);
    if (strcmp(v->dtype, dtype) != 0)
        return fm_fail(FM_EPROTO, "%s: tensor '%s' is %s, not %s", w->path, name, v->dtype, dtype);
    if (v->dims != (columns ? 2 : 1) || v->shape[0] != rows || (columns && v->shape[1] != columns))
        return fm_fail(FM_EPROTO, "%s: tensor '%s' has not the shape [%zu%s%.0zu]", w->path, name,
                       rows, columns ? ", " : "", columns);
    *out = v;
    return FM_OK;
}

/* Float32 of a file need not lie where a float may, and are looked at now: they are copied. */
static fm_status copy_floats(walk *w, const fm_tensor_view *v, bool scale, const float **out)
{
    const size_t n = v->bytes / sizeof(float);
    float *to = w->m->floats + w->floats;

    w->floats += n;
    w->tensors++;
    if (!w->fill)
        return FM_OK;
    memcpy(to, v->data, v->bytes);
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(to[i]))
            return fm_fail(FM_ENONFINITE, "%s: tensor '%.200s' holds a value that is not finite",
                           w->path, v->name);
        if (scale && to[i] < 0.0f)
            return fm_fail(FM_EPROTO, "%s: tensor '%.200s' holds a scale below 0", w->path,
                           v->name);
    }
    *out = to;
    return FM_OK;
}

static fm_status take_map(walk *w, const fm_decoder_tensor *t, fm_edge_slot *slot)
{
    const fm_tensor_view *q = NULL, *scale = NULL;
    fm_int8_matrix *i8 = &slot->map.i8;
    char name[FM_EDGE_NAME];
    fm_status st;

    fm_edge_scale_name(t->name, name);
    if ((st = find(w, t->name, "I8", t->rows, t->columns, &q)) != FM_OK ||
        (st = find(w, name, "F32", t->rows, 0, &scale)) != FM_OK)
        return st;
    if (t->columns > FM_INT8_COLUMNS_MAX)
        return fm_fail(FM_EPROTO, "%s: tensor '%s' has more than %zu columns", w->path, t->name,
                       FM_INT8_COLUMNS_MAX);
    w->tensors++;
    slot->map.rows = i8->rows = t->rows;
    slot->map.columns = i8->columns = t->columns;
    i8->q = (const int8_t *)q->data;
    return copy_floats(w, scale, true, &i8->scale);
}

static fm_status take_tensor(void *context, const fm_decoder_tensor *t)
{
    walk *w = context;
    fm_edge_slot counted = { 0 }, *slot = &counted;
    const fm_tensor_view *v = NULL;
    fm_status st = w->fill ? add_slot(w, t, &slot) : FM_OK;

    if (st != FM_OK)
        return st;
    if (fm_edge_is_map(&w->m->layout, t))
        return take_map(w, t, slot);
    st = find(w, t->name, "F32", t->rows, t->columns, &v);
    return st != FM_OK ? st : copy_floats(w, v, false, &slot->f32);
}

static fm_status parse_tokenizer(walk *w)
{
    const fm_tensor_view *v = fm_safetensors_find(w->m->file, FM_EDGE_TOKENIZER);

    if (!v)
        return FM_OK;
    w->tensors++;
    if (strcmp(v->dtype, "U8") != 0 || v->bytes > FM_TOKENIZER_MAX_FILE)
        return fm_fail(FM_EPROTO, "%s: tensor '" FM_EDGE_TOKENIZER "' is not the bytes of a file",
                       w->path);
    return fm_tokenizer_parse(w->path, v->data, v->bytes, &w->m->tokenizer);
}

static fm_status parse_config(walk *w)
{
    const fm_tensor_view *v = fm_safetensors_find(w->m->file, FM_EDGE_CONFIG);
    const char *kind = fm_safetensors_meta_get(w->m->file, FM_META_KIND);
    fm_status st;

    if (!kind || strcmp(kind, FM_EDGE_KIND) != 0)
        return fm_fail(FM_EPROTO,
                       "%s: no decoder in 8 bits (" FM_META_KIND " is '%.60s'); fedmoe-model "
                       "quantize makes one of a folder",
                       w->path, kind ? kind : "");
    if (!v || strcmp(v->dtype, "U8") != 0)
        return fm_fail(FM_EPROTO, "%s: tensor '" FM_EDGE_CONFIG "' is missing, or not U8", w->path);
    w->tensors++;
    st = fm_decoder_config_parse(w->path, v->data, v->bytes, &w->m->config);
    return st != FM_OK ? st : fm_decoder_layout_make(&w->m->config, &w->m->layout);
}

fm_status fm_edge_read_file(fm_edge_model *m, const char *path)
{
    walk w = { .m = m, .path = path };
    void *fresh;
    fm_status st;

    if ((st = fm_safetensors_map(path, &m->file)) != FM_OK || (st = parse_config(&w)) != FM_OK ||
        (st = fm_decoder_tensors(&m->config, &m->layout, take_tensor, &w)) != FM_OK ||
        (st = parse_tokenizer(&w)) != FM_OK)
        return st;
    if (w.tensors != fm_safetensors_count(m->file))
        return fm_fail(FM_EPROTO,
                       "%s: %zu of its tensors have no place in the model that its " FM_EDGE_CONFIG
                       " describes",
                       path, fm_safetensors_count(m->file) - w.tensors);
    if ((st = fm_alloc(w.floats, sizeof *m->floats, &fresh)) != FM_OK)
        return st;
    m->floats = fresh;
    w.floats = 0;
    w.fill = true;
    return fm_decoder_tensors(&m->config, &m->layout, take_tensor, &w);
}
