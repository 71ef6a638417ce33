#include "fedmoe/edge/model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model_internal.h"

static bool is_folder(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static int compare_slots(const void *a, const void *b)
{
    const fm_edge_slot *x = a, *y = b;

    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static fm_status open_model(fm_edge_model *m, const char *path)
{
    const bool folder = is_folder(path);
    fm_status st = folder ? fm_edge_read_folder(m, path) : fm_edge_read_file(m, path);

    if (st != FM_OK)
        return st;
    qsort(m->slots, m->count, sizeof *m->slots, compare_slots);
    st = fm_edge_assign(m);
    return st != FM_OK || folder ? st : fm_edge_resident_new(m, &m->resident);
}

fm_status fm_edge_model_open(const char *path, fm_edge_model **out)
{
    fm_edge_model *m;
    void *fresh;
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "fm_edge_model_open: an argument is missing");
    if ((st = fm_alloc(1, sizeof *m, &fresh)) != FM_OK)
        return st;
    m = fresh;
    if ((st = open_model(m, path)) == FM_OK) {
        *out = m;
        m = NULL;
    }
    fm_edge_model_free(&m);
    return st;
}

void fm_edge_model_free(fm_edge_model **m)
{
    if (!m || !*m)
        return;
    fm_edge_resident_free(&(*m)->resident);
    free((*m)->experts);
    free((*m)->layers);
    free((*m)->slots);
    fm_tokenizer_free(&(*m)->tokenizer);
    fm_decoder_layout_free(&(*m)->layout);
    free((*m)->floats);
    fm_decoder_folder_free(&(*m)->folder);
    fm_safetensors_free(&(*m)->file);
    free(*m);
    *m = NULL;
}

const fm_decoder_config *fm_edge_model_config(const fm_edge_model *m)
{
    return &m->config;
}

const fm_tokenizer *fm_edge_model_tokenizer(const fm_edge_model *m)
{
    return m->tokenizer;
}

bool fm_edge_model_is_int8(const fm_edge_model *m)
{
    return m->file != NULL;
}

const fm_edge_layer *fm_edge_model_layer(const fm_edge_model *m, size_t layer)
{
    return &m->layers[layer];
}

fm_edge_expert fm_edge_model_expert(const fm_edge_model *m, size_t layer, size_t expert)
{
    return m->experts[layer * m->config.experts + expert];
}

fm_edge_map fm_edge_model_embedding(const fm_edge_model *m)
{
    return m->embedding;
}

fm_edge_map fm_edge_model_head(const fm_edge_model *m)
{
    return m->head;
}

const float *fm_edge_model_last_norm(const fm_edge_model *m)
{
    return m->last_norm;
}

const char *fm_edge_model_meta(const fm_edge_model *m, const char *key)
{
    return fm_safetensors_meta_get(m->file ? m->file : fm_decoder_folder_file(m->folder), key);
}

fm_status fm_edge_model_limit(fm_edge_model *m, uint64_t bytes)
{
    if (!m->resident)
        return fm_fail(FM_EINVAL,
                       "a model in float32 is in memory as a whole; quantize it for a limit");
    return fm_edge_resident_limit(m->resident, bytes);
}

void fm_edge_model_touch(const fm_edge_model *m, size_t layer, size_t expert)
{
    if (m->resident)
        fm_edge_resident_touch(m->resident, layer * m->config.experts + expert);
}
