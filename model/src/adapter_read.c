/* Adapters from disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "adapter_internal.h"
#include "decoder_folder_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/text.h"

struct fm_adapter {
    char *path; /* of the weights */
    fm_safetensors *file;
    fm_adapter_config config;
    unsigned maps;
};

/* ---- the configuration ---- */

static fm_status read_config(const char *dir, fm_adapter_config *out)
{
    fm_buf text = { 0 };
    char *path = NULL;
    fm_status st;

    if ((st = fm_path_join(dir, FM_ADAPTER_CONFIG, &path)) == FM_OK &&
        (st = fm_file_read(path, FM_FOLDER_MAX_JSON, &text)) == FM_OK)
        st = fm_adapter_config_parse(path, text.data, text.len, out);
    fm_buf_fini(&text);
    free(path);
    return st;
}

/* false: the metadata does not say. */
static bool has_metadata(const fm_adapter *a)
{
    return fm_safetensors_meta_get(a->file, "r") && fm_safetensors_meta_get(a->file, "lora_alpha");
}

static fm_status read_metadata(fm_adapter *a)
{
    double rank;

    if (!fm_text_double(fm_safetensors_meta_get(a->file, "r"), &rank) || !(rank >= 1.0) ||
        !(rank <= 1024.0) || rank != (double)(size_t)rank ||
        !fm_text_double(fm_safetensors_meta_get(a->file, "lora_alpha"), &a->config.alpha))
        return fm_fail(FM_EPROTO, "%s: 'r' and 'lora_alpha' of the metadata must be numbers",
                       a->path);
    a->config.rank = (size_t)rank;
    return fm_adapter_config_check(a->path, &a->config);
}

static fm_status read_beside(fm_adapter *a)
{
    char *dir = NULL;
    fm_status st = fm_path_dir(a->path, &dir);

    if (st == FM_OK)
        st = read_config(dir, &a->config);
    free(dir);
    return st;
}

/* ---- tensors ---- */

static fm_status check_tensor(fm_adapter *a, const fm_tensor_view *t)
{
    char which = 0;
    const unsigned map = fm_adapter_map_of(t->name, &which);

    if (!map)
        return fm_fail(FM_EINVAL,
                       "%s: tensor '%.200s' is no adapter of a linear map that is supported",
                       a->path, t->name);
    if (t->dims != 2 || t->shape[which == 'A' ? 0 : 1] != a->config.rank)
        return fm_fail(FM_EPROTO, "%s: tensor '%.200s' is not of rank %zu", a->path, t->name,
                       a->config.rank);
    if (strcmp(t->dtype, "F32") != 0 && strcmp(t->dtype, "BF16") != 0 &&
        strcmp(t->dtype, "F16") != 0)
        return fm_fail(FM_EPROTO, "%s: tensor '%.200s' is %.20s, supported are F32, F16 and BF16",
                       a->path, t->name, t->dtype);
    a->maps |= map;
    return FM_OK;
}

static fm_status check_tensors(fm_adapter *a)
{
    fm_status st = FM_OK;

    if (fm_safetensors_count(a->file) == 0)
        return fm_fail(FM_EPROTO, "%s: no tensors", a->path);
    for (size_t i = 0; st == FM_OK && i < fm_safetensors_count(a->file); i++)
        st = check_tensor(a, fm_safetensors_at(a->file, i));
    return st;
}

static fm_status open_adapter(fm_adapter *a, const char *path)
{
    struct stat info;
    const bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    fm_status st;

    if (folder && (st = read_config(path, &a->config)) != FM_OK)
        return st;
    st = folder ? fm_path_join(path, FM_ADAPTER_WEIGHTS, &a->path) : fm_strdup(path, &a->path);
    if (st != FM_OK || (st = fm_safetensors_open(a->path, &a->file)) != FM_OK)
        return st;
    if (!folder && (st = has_metadata(a) ? read_metadata(a) : read_beside(a)) != FM_OK)
        return st;
    return check_tensors(a);
}

fm_status fm_adapter_open(const char *path, fm_adapter **out)
{
    fm_adapter *a = NULL;
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "fm_adapter_open: an argument is missing");
    if ((st = fm_alloc(1, sizeof *a, (void **)&a)) != FM_OK)
        return st;
    if ((st = open_adapter(a, path)) == FM_OK)
        *out = a;
    else
        fm_adapter_free(&a);
    return st;
}

void fm_adapter_free(fm_adapter **ap)
{
    fm_adapter *a = ap ? *ap : NULL;

    if (!a)
        return;
    fm_safetensors_free(&a->file);
    free(a->path);
    free(a);
    *ap = NULL;
}

fm_decoder_adapters fm_adapter_shape(const fm_adapter *a)
{
    return (fm_decoder_adapters){
        .rank = a->config.rank, .alpha = a->config.alpha, .maps = a->maps, .train_a = true
    };
}

/* ---- weights ---- */

typedef struct {
    const fm_adapter *a;
    size_t rank;
    float *flat;
    uint8_t *bytes; /* [4 * most] */
    size_t most;    /* values of the longest tensor */
    bool *seen;     /* [tensors] */
} loader;

static fm_status load_one(loader *l, const fm_adapter_module *m, char which, size_t rows,
                          size_t columns, float *to)
{
    char name[FM_ADAPTER_NAME + 40];
    const fm_tensor_view *t;
    fm_status st;

    fm_adapter_tensor_name(m->name, which, name);
    if (!(t = fm_safetensors_find(l->a->file, name)))
        return FM_OK;
    if (t->shape[0] != rows || t->shape[1] != columns)
        return fm_fail(FM_EPROTO, "%s: tensor '%s' is [%zu, %zu], the model's is [%zu, %zu]",
                       l->a->path, name, t->shape[0], t->shape[1], rows, columns);
    if ((st = fm_safetensors_read(l->a->file, t, 0, t->bytes, l->bytes)) != FM_OK)
        return st;
    (void)fm_floats_decode(t->dtype, l->bytes, rows * columns, to); /* the dtype was checked */
    if (!fm_floats_finite(to, rows * columns))
        return fm_fail(FM_ENONFINITE, "%s: tensor '%s' holds a value that is not finite",
                       l->a->path, name);
    for (size_t i = 0; i < fm_safetensors_count(l->a->file); i++)
        l->seen[i] |= fm_safetensors_at(l->a->file, i) == t;
    return FM_OK;
}

static fm_status load_module(void *context, const fm_adapter_module *m)
{
    loader *l = context;
    fm_status st = load_one(l, m, 'A', l->rank, m->at.in, l->flat + m->at.a);

    return st == FM_OK ? load_one(l, m, 'B', m->at.out, l->rank, l->flat + m->at.b) : st;
}

/* Every tensor has its place, and A and B come together. */
static fm_status check_seen(const loader *l)
{
    const fm_safetensors *f = l->a->file;
    char name[FM_ADAPTER_NAME + 80];

    for (size_t i = 0; i < fm_safetensors_count(f); i++)
        if (!l->seen[i])
            return fm_fail(FM_EPROTO, "%s: tensor '%.200s' is for a map that the model has not",
                           l->a->path, fm_safetensors_at(f, i)->name);
    for (size_t i = 0; i < fm_safetensors_count(f); i++) {
        const char *tensor = fm_safetensors_at(f, i)->name;
        char *which;

        (void)snprintf(name, sizeof name, "%s", tensor); /* one of our own names */
        which = strstr(name, ".lora_") + strlen(".lora_");
        *which = *which == 'A' ? 'B' : 'A';
        if (!fm_safetensors_find(f, name))
            return fm_fail(FM_EPROTO, "%s: tensor '%.200s' has no '%.200s' beside it", l->a->path,
                           tensor, name);
    }
    return FM_OK;
}

static fm_status make_loader(const fm_adapter *a, const fm_decoder *d, loader *l)
{
    const size_t parameters = fm_decoder_adapter_parameters(d);
    size_t most = 1;
    fm_status st;

    *l = (loader){ .a = a, .rank = a->config.rank };
    for (size_t i = 0; i < fm_safetensors_count(a->file); i++)
        most = fm_safetensors_at(a->file, i)->bytes > most ? fm_safetensors_at(a->file, i)->bytes
                                                           : most;
    if ((st = fm_alloc(parameters + 1, sizeof *l->flat, (void **)&l->flat)) != FM_OK ||
        (st = fm_alloc(most, 1, (void **)&l->bytes)) != FM_OK)
        return st;
    return fm_alloc(fm_safetensors_count(a->file), sizeof *l->seen, (void **)&l->seen);
}

fm_status fm_adapter_load(const fm_adapter *a, fm_decoder *d)
{
    const fm_decoder_adapters *have;
    loader l;
    fm_status st;

    if (!a || !d)
        return fm_fail(FM_EINVAL, "fm_adapter_load: an argument is missing");
    have = &fm_decoder_get_options(d)->adapters;
    if (have->rank != a->config.rank || have->alpha != a->config.alpha || (a->maps & ~have->maps))
        return fm_fail(FM_EINVAL,
                       "%s: of rank %zu and alpha %g, or of maps that are not adapted "
                       "here",
                       a->path, a->config.rank, a->config.alpha);
    if ((st = make_loader(a, d, &l)) == FM_OK &&
        (st = fm_adapter_each(d, load_module, &l)) == FM_OK && (st = check_seen(&l)) == FM_OK)
        st = fm_decoder_adapters_set(d, l.flat, fm_decoder_adapter_parameters(d));
    free(l.flat);
    free(l.bytes);
    free(l.seen);
    return st;
}
