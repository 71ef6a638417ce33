/* Tensors that are there, against tensors that the configuration asks for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder_folder_internal.h"

static int compare_name(const void *key, const void *item)
{
    return strcmp(key, (*(fm_folder_tensor *const *)item)->view->name);
}

static fm_folder_tensor *find(const fm_decoder_folder *f, const char *name)
{
    fm_folder_tensor **found =
        bsearch(name, f->by_name, f->count, sizeof *f->by_name, compare_name);

    return found ? *found : NULL;
}

static bool exists(const void *context, const char *name)
{
    return find(context, name) != NULL;
}

static void print_shape(const size_t *shape, size_t dims, char out[96])
{
    size_t at = (size_t)snprintf(out, 96, "[");

    for (size_t i = 0; i < dims && at < 80; i++)
        at += (size_t)snprintf(out + at, 96 - at, "%s%zu", i ? ", " : "", shape[i]);
    (void)snprintf(out + at, 96 - at, "]");
}

static fm_status check_shape(const fm_decoder_folder *f, const fm_folder_tensor *t,
                             const fm_tensor_wanted *w)
{
    char has[96], wants[96];

    if (t->view->dims == w->dims &&
        memcmp(t->view->shape, w->shape, w->dims * sizeof *w->shape) == 0)
        return FM_OK;
    print_shape(t->view->shape, t->view->dims, has);
    print_shape(w->shape, w->dims, wants);
    return fm_fail(FM_EPROTO, "%s: tensor '%s' is %s; " FM_FOLDER_CONFIG " makes it %s", f->dir,
                   w->name, has, wants);
}

static fm_status check_kind(const fm_decoder_folder *f, const fm_folder_tensor *t)
{
    if (fm_floats_element(t->view->dtype) > 0)
        return FM_OK;
    return fm_fail(FM_EPROTO, "%s: tensor '%.200s' is %s; weights are F32, F16 or BF16", f->dir,
                   t->view->name, t->view->dtype);
}

static fm_status take(void *context, const fm_tensor_wanted *w)
{
    fm_decoder_folder *f = context;
    fm_folder_tensor *t = find(f, w->name);
    fm_status st;

    if (!t)
        return fm_fail(FM_EPROTO, "%s: tensor '%s' is missing", f->dir, w->name);
    if ((st = check_shape(f, t, w)) != FM_OK || (st = check_kind(f, t)) != FM_OK)
        return st;
    t->role = FM_TENSOR_USED;
    t->place = w->place;
    return FM_OK;
}

/* Some folders have the head although it is the embedding. */
static fm_status take_twin(fm_decoder_folder *f)
{
    const fm_decoder_config *c = &f->parsed.config;
    const fm_tensor_wanted w = {
        .name = "lm_head.weight",
        .dims = 2,
        .shape = { c->vocabulary, c->width },
        .place = { .groups = 1,
                   .parts = 1,
                   .part = { f->layout.embedding },
                   .piece = c->vocabulary * c->width },
    };
    fm_status st;

    if (!c->tied || !exists(f, w.name))
        return FM_OK;
    if ((st = take(f, &w)) == FM_OK)
        find(f, w.name)->role = FM_TENSOR_TWIN;
    return st;
}

/* V3's layers after the last one, which predict further tokens (DeepSeek-V3, section 2.2). */
static bool is_further_layer(const fm_decoder_folder *f, const char *name)
{
    static const char start[] = "model.layers.";
    const size_t first = f->parsed.config.layers;
    char *end;
    unsigned long layer;

    if (strncmp(name, start, sizeof start - 1) != 0 || name[sizeof start - 1] < '0' ||
        name[sizeof start - 1] > '9')
        return false;
    layer = strtoul(name + sizeof start - 1, &end, 10);
    return *end == '.' && layer >= first && layer - first < f->parsed.passed_layers;
}

/* Frequencies of the rotation follow from the configuration; old folders have them as a tensor. */
static bool is_frequencies(const char *name)
{
    static const char end[] = ".rotary_emb.inv_freq";
    const size_t len = strlen(name);

    return len >= sizeof end - 1 && strcmp(name + len - (sizeof end - 1), end) == 0;
}

fm_status fm_folder_assign(fm_decoder_folder *f)
{
    const fm_name_visitor v = { exists, take, f };
    fm_status st = fm_decoder_names(&f->parsed.config, &f->layout, &v);

    if (st != FM_OK || (st = take_twin(f)) != FM_OK)
        return st;
    for (size_t i = 0; i < f->count; i++) {
        fm_folder_tensor *t = &f->tensors[i];

        if (t->role != FM_TENSOR_UNKNOWN)
            continue;
        if (t->view->bytes > 0 && !is_further_layer(f, t->view->name) &&
            !is_frequencies(t->view->name))
            return fm_fail(FM_EPROTO,
                           "%s: tensor '%.200s' has no place in the model that " FM_FOLDER_CONFIG
                           " describes",
                           f->dir, t->view->name);
        t->role = FM_TENSOR_PASSED;
    }
    return FM_OK;
}
