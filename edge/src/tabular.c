/* A model of records into its file in 8 bits: every map but routers; names and metadata stay. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fedmoe/base/file.h"
#include "fedmoe/model/tabular.h"
#include "model_internal.h"

#define FILE_LIMIT (FM_TABULAR_MAX_PARAMETERS * 4 + FM_SAFETENSORS_MAX_HEADER + 8)
#define ROUTER ".router.weight"

typedef struct {
    const fm_safetensors *from;
    fm_tensor_view *views; /* of each tensor one, and the scales of maps behind them */
    size_t count;
    char (*names)[FM_EDGE_NAME]; /* of scales */
    int8_t **q;
    float **scale;
    fm_safetensors_meta *meta;
    fm_edge_facts facts;
} work;

static bool is_map(const fm_tensor_view *v)
{
    const size_t len = strlen(v->name), end = sizeof ROUTER - 1;

    return v->dims == 2 && (len < end || strcmp(v->name + len - end, ROUTER) != 0);
}

static void note_errors(work *w, const float *x, const int8_t *q, const float *scale,
                        const fm_tensor_view *v)
{
    for (size_t i = 0; i < v->shape[0] * v->shape[1]; i++) {
        const float s = scale[i / v->shape[1]];
        const double off = s > 0.0f ? fabs((double)x[i] / (double)s - (double)q[i]) : 0.0;

        w->facts.worst = off > w->facts.worst ? off : w->facts.worst;
    }
}

static fm_status round_map(work *w, size_t i)
{
    const fm_tensor_view *v = fm_safetensors_at(w->from, i);
    const float *x = (const float *)(const void *)v->data;
    void *fresh;
    fm_status st = fm_alloc(v->bytes / sizeof *x, 1, &fresh);

    if (st != FM_OK)
        return st;
    w->q[i] = fresh;
    if ((st = fm_alloc(v->shape[0], sizeof *x, &fresh)) != FM_OK)
        return st;
    w->scale[i] = fresh;
    if ((st = fm_int8_quantise(x, v->shape[0], v->shape[1], w->q[i], w->scale[i])) != FM_OK)
        return fm_fail_context(st, "tensor '%s': ", v->name);
    note_errors(w, x, w->q[i], w->scale[i], v);
    fm_edge_scale_name(v->name, w->names[i]);
    w->views[i].dtype = "I8";
    w->views[i].data = (const uint8_t *)w->q[i];
    w->views[i].bytes /= sizeof *x;
    w->views[w->count++] = (fm_tensor_view){ .name = w->names[i],
                                             .dtype = "F32",
                                             .dims = 1,
                                             .shape = { v->shape[0] },
                                             .data = (const uint8_t *)w->scale[i],
                                             .bytes = v->shape[0] * sizeof *x };
    return FM_OK;
}

static fm_status make_room(work *w, size_t n)
{
    const size_t meta = fm_safetensors_meta_count(w->from);
    fm_status st;

    if ((st = fm_alloc(2 * n, sizeof *w->views, (void **)&w->views)) == FM_OK &&
        (st = fm_alloc(n, sizeof *w->names, (void **)&w->names)) == FM_OK &&
        (st = fm_alloc(n, sizeof *w->q, (void **)&w->q)) == FM_OK &&
        (st = fm_alloc(n, sizeof *w->scale, (void **)&w->scale)) == FM_OK)
        st = fm_alloc(meta, sizeof *w->meta, (void **)&w->meta);
    return st;
}

static fm_status fill(work *w)
{
    const size_t n = fm_safetensors_count(w->from);
    fm_status st = make_room(w, n);

    if (st != FM_OK)
        return st;
    w->count = n;
    for (size_t i = 0; i < n; i++)
        w->views[i] = *fm_safetensors_at(w->from, i);
    for (size_t i = 0; i < n && st == FM_OK; i++) {
        w->facts.before += w->views[i].bytes;
        if (is_map(&w->views[i]) && w->views[i].bytes > 0)
            st = round_map(w, i);
    }
    for (size_t i = 0; i < fm_safetensors_meta_count(w->from); i++)
        w->meta[i] = fm_safetensors_meta_at(w->from, i);
    for (size_t i = 0; i < w->count; i++)
        w->facts.weights += w->views[i].bytes;
    return st;
}

static void fini(work *w)
{
    for (size_t i = 0; i < fm_safetensors_count(w->from); i++) {
        if (w->q)
            free(w->q[i]);
        if (w->scale)
            free(w->scale[i]);
    }
    free(w->q);
    free(w->scale);
    free(w->names);
    free(w->views);
    free(w->meta);
}

/* A model's own rules: whatever else the file is, it is refused here. */
static fm_status check(const char *path)
{
    fm_schema *schema = NULL;
    fm_tabular *model = NULL;
    const fm_status st = fm_tabular_load(path, 1, &schema, &model);

    fm_tabular_free(&model);
    fm_schema_free(&schema);
    return st;
}

fm_status fm_edge_write_tabular(const char *path, mode_t mode, const char *output,
                                fm_edge_facts *facts)
{
    fm_safetensors *file = NULL;
    work w = { 0 };
    size_t elements;
    fm_status st;

    if (!path || !output)
        return fm_fail(FM_EINVAL, "fm_edge_write_tabular: an argument is missing");
    if ((st = check(path)) != FM_OK || (st = fm_safetensors_load(path, FILE_LIMIT, &file)) != FM_OK)
        return st;
    w.from = file;
    if (fm_safetensors_flat_size(file, &elements) != FM_OK)
        st = fm_fail(FM_EINVAL, "%s: its weights are in 8 bits already", path);
    if (st == FM_OK && (st = fill(&w)) == FM_OK)
        st = fm_safetensors_replace(output, mode, w.views, w.count, w.meta,
                                    fm_safetensors_meta_count(file));
    if (st == FM_OK && facts) {
        struct stat info;

        w.facts.after = stat(output, &info) == 0 ? (uint64_t)info.st_size : 0;
        *facts = w.facts;
    }
    fini(&w);
    fm_safetensors_free(&file);
    return st;
}
