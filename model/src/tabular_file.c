/* safetensors with the schema's text and the configuration in the metadata; docs/model.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "tabular_internal.h"

#define OWN_META 3
#define LOAD_BIAS "blocks.%zu.router.load_bias" /* [E], behind the weights; absent: all zero */
#define NAME_CAP 48
#define SCALE "_scale" /* behind a map's name */
#define MAX_BLOCKS 16  /* of any model */

/* 4 bytes a parameter, the longest header, and metadata within it. */
#define FILE_LIMIT (FM_TABULAR_MAX_PARAMETERS * 4 + FM_SAFETENSORS_MAX_HEADER + 8)

/* How many tensors the load biases are. */
static size_t bias_tensors(const fm_tabular *m)
{
    const fm_tabular_config *c = &m->weights->config;

    for (size_t i = 0; c->width && i < c->blocks * c->experts; i++)
        if (m->weights->load_bias[i] != 0.0f)
            return c->blocks;
    return 0;
}

static void view_biases(const fm_tabular *m, char (*names)[NAME_CAP], fm_tensor_view *v)
{
    const size_t experts = m->weights->config.experts;

    for (size_t i = 0; i < bias_tensors(m); i++) {
        (void)snprintf(names[i], NAME_CAP, LOAD_BIAS, i);
        v[i] = (fm_tensor_view){ .name = names[i],
                                 .dtype = "F32",
                                 .dims = 1,
                                 .shape = { experts },
                                 .data = (const uint8_t *)(m->weights->load_bias + i * experts),
                                 .bytes = experts * sizeof *m->weights->load_bias };
    }
}

static fm_tensor_view *views(const fm_tabular *m, char (*names)[NAME_CAP])
{
    const size_t n = m->weights->layout.tensor_count;
    fm_tensor_view *v = NULL;

    if (fm_alloc(n + MAX_BLOCKS, sizeof *v, (void **)&v))
        return NULL;
    view_biases(m, names, v + n);
    for (size_t i = 0; i < n; i++) {
        const fm_tensor_entry *t = &m->weights->layout.tensors[i];

        v[i] = (fm_tensor_view){ .name = t->name,
                                 .dtype = "F32",
                                 .dims = t->dims,
                                 .shape = { t->shape[0], t->dims > 1 ? t->shape[1] : 0 },
                                 .data = (const uint8_t *)(m->weights->theta + t->offset),
                                 .bytes = t->elements * sizeof *m->weights->theta };
    }
    return v;
}

fm_status fm_tabular_encode(const fm_tabular *m, const fm_schema *s,
                            const fm_safetensors_meta *extra, size_t extra_count, fm_buf *out)
{
    char names[MAX_BLOCKS][NAME_CAP];
    fm_safetensors_meta *meta = NULL;
    fm_tensor_view *tensors = NULL;
    char clip_norm[32];
    size_t own = OWN_META;
    fm_buf config = { 0 };
    fm_status st;

    if (!m || !s || !out || (extra_count && !extra))
        return fm_fail(FM_EINVAL, "model: an argument is missing");
    if (fm_schema_features(s) != m->weights->config.features ||
        fm_schema_outputs(s) != m->weights->config.outputs ||
        fm_schema_target(s) != m->weights->config.target)
        return fm_fail(
            FM_EINVAL, "model: made for %zu features and %zu outputs, the schema has %zu and %zu%s",
            m->weights->config.features, m->weights->config.outputs, fm_schema_features(s),
            fm_schema_outputs(s),
            fm_schema_target(s) != m->weights->config.target ? ", and another target" : "");
    if ((st = fm_tabular_config_write(&m->weights->config, &config)) ||
        (st = fm_alloc(OWN_META + 1 + extra_count, sizeof *meta, (void **)&meta)))
        goto done;
    if (!(tensors = views(m, names))) {
        st = FM_ENOMEM;
        goto done;
    }
    meta[0] = (fm_safetensors_meta){ FM_META_KIND, FM_META_KIND_TABULAR };
    meta[1] = (fm_safetensors_meta){ FM_META_MODEL, (const char *)config.data };
    meta[2] = (fm_safetensors_meta){ FM_META_SCHEMA, fm_schema_text(s) };
    if (m->weights->clip_norm > 0.0) {
        (void)snprintf(clip_norm, sizeof clip_norm, "%.9g", m->weights->clip_norm);
        meta[own++] = (fm_safetensors_meta){ FM_META_CLIP_NORM, clip_norm };
    }
    if (extra_count)
        memcpy(meta + own, extra, extra_count * sizeof *extra);
    st = fm_safetensors_encode(tensors, m->weights->layout.tensor_count + bias_tensors(m), meta,
                               own + extra_count, out);
done:
    free(tensors);
    free(meta);
    fm_buf_fini(&config);
    return st;
}

/* A metadata text that must be there. */
static fm_status text_of(const fm_safetensors *f, const char *name, const char *key,
                         const char **out)
{
    *out = fm_safetensors_meta_get(f, key);
    if (!*out)
        return fm_fail(FM_EPROTO, "%s: no \"%s\" in the metadata; this is not a fedmoe model", name,
                       key);
    return FM_OK;
}

static fm_status read_schema(const fm_safetensors *f, const char *name, fm_schema **schema)
{
    const char *kind, *text;
    fm_buf label = { 0 };
    fm_status st = text_of(f, name, FM_META_KIND, &kind);

    if (st)
        return st;
    if (strcmp(kind, FM_META_KIND_TABULAR) != 0)
        return fm_fail(FM_EPROTO,
                       "%s: the model is not a " FM_META_KIND_TABULAR
                       ", one of records, but a '%.40s'",
                       name, kind);
    if (!(st = text_of(f, name, FM_META_SCHEMA, &text)) &&
        !(st = fm_buf_printf(&label, "%s, its schema", name)))
        st = fm_schema_parse((const char *)label.data, text, strlen(text), schema);
    fm_buf_fini(&label);
    return st;
}

static fm_status read_config(const fm_safetensors *f, const char *name, const fm_schema *schema,
                             fm_tabular_config *config)
{
    const char *text;
    fm_buf label = { 0 };
    fm_status st = text_of(f, name, FM_META_MODEL, &text);

    if (!st && !(st = fm_buf_printf(&label, "%s, its configuration", name)))
        st = fm_tabular_config_parse((const char *)label.data, text, strlen(text), schema, config);
    fm_buf_fini(&label);
    return st;
}

/* Weights of a file in 8 bits have a scale for each row in a tensor of their own (docs/edge.md). */
static const fm_tensor_view *scale_of(const fm_safetensors *f, const fm_tensor_view *v)
{
    char scale[FM_TABULAR_MAX_NAME + sizeof SCALE];

    if (strcmp(v->dtype, "I8") != 0 ||
        snprintf(scale, sizeof scale, "%s" SCALE, v->name) >= (int)sizeof scale)
        return NULL;
    return fm_safetensors_find(f, scale);
}

/* How many weights a file has, and how many of its tensors are scales. */
static fm_status count_weights(const fm_safetensors *f, const char *name, size_t *weights,
                               size_t *scales)
{
    size_t floats = 0, bytes = 0, rows = 0;

    *scales = 0;
    for (size_t i = 0; i < fm_safetensors_count(f); i++) {
        const fm_tensor_view *v = fm_safetensors_at(f, i), *scale = scale_of(f, v);

        if (strcmp(v->dtype, "F32") == 0) {
            floats += v->bytes / sizeof(float);
        } else if (scale && strcmp(scale->dtype, "F32") == 0 && v->dims == 2 && scale->dims == 1 &&
                   scale->shape[0] == v->shape[0]) {
            bytes += v->bytes;
            rows += scale->shape[0];
            ++*scales;
        } else {
            return fm_fail(
                FM_EPROTO,
                "%s: tensor '%.200s' is %s, neither F32 nor I8 with a scale for each row", name,
                v->name, v->dtype);
        }
    }
    *weights = floats - rows + bytes;
    return FM_OK;
}

static fm_status read_int8(const char *name, const fm_tensor_view *v, const fm_tensor_view *scale,
                           float *out)
{
    const int8_t *q = (const int8_t *)v->data;

    for (size_t r = 0; r < v->shape[0]; r++) {
        float by;

        memcpy(&by, scale->data + r * sizeof by, sizeof by);
        if (!(by >= 0.0f) || isinf(by))
            return fm_fail(FM_EPROTO, "%s: tensor %s has a scale that is none", name, v->name);
        for (size_t c = 0; c < v->shape[1]; c++)
            out[r * v->shape[1] + c] = by * (float)q[r * v->shape[1] + c];
    }
    return FM_OK;
}

/* The file's tensors, each found by its name, into theta[P]. */
static fm_status read_weights(const fm_safetensors *f, const char *name, const fm_layout *l,
                              size_t others, float *theta)
{
    fm_status st = FM_OK;

    if (fm_safetensors_count(f) != l->tensor_count + others)
        return fm_fail(FM_EPROTO, "%s: %zu tensors where its configuration needs %zu", name,
                       fm_safetensors_count(f), l->tensor_count + others);
    for (size_t i = 0; i < l->tensor_count; i++) {
        const fm_tensor_entry *t = &l->tensors[i];
        const fm_tensor_view *v = fm_safetensors_find(f, t->name);

        if (!v)
            return fm_fail(FM_EPROTO, "%s: no tensor %s", name, t->name);
        const fm_tensor_view *scale = scale_of(f, v);
        const size_t element = scale ? 1 : sizeof *theta;

        if ((!scale && strcmp(v->dtype, "F32") != 0) || v->dims != t->dims ||
            v->shape[0] != t->shape[0] || (t->dims > 1 && v->shape[1] != t->shape[1]) ||
            v->bytes != t->elements * element)
            return fm_fail(FM_EPROTO, "%s: tensor %s has the wrong type or shape", name, t->name);
        if (!scale)
            memcpy(theta + t->offset, v->data, v->bytes);
        else if ((st = read_int8(name, v, scale, theta + t->offset)))
            return st;
    }
    return st;
}

/* How many tensors of load biases a file has: one for each block, or none. */
static size_t bias_count(const fm_safetensors *f, const fm_tabular_config *c)
{
    return c->width && fm_safetensors_find(f, "blocks.0.router.load_bias") ? c->blocks : 0;
}

/* @param bias  out: [blocks, E]. */
static fm_status read_biases(const fm_safetensors *f, const char *name, const fm_tabular_config *c,
                             float *bias)
{
    char tensor[NAME_CAP];

    for (size_t i = 0; i < bias_count(f, c); i++) {
        const fm_tensor_view *v;

        (void)snprintf(tensor, sizeof tensor, LOAD_BIAS, i);
        if (!(v = fm_safetensors_find(f, tensor)))
            return fm_fail(FM_EPROTO, "%s: no tensor %s", name, tensor);
        if (strcmp(v->dtype, "F32") != 0 || v->dims != 1 || v->shape[0] != c->experts ||
            v->bytes != c->experts * sizeof *bias)
            return fm_fail(FM_EPROTO, "%s: tensor %s has the wrong type or shape", name, tensor);
        memcpy(bias + i * c->experts, v->data, v->bytes);
    }
    return FM_OK;
}

/* Models of before there was such a key, and first weights, have none. */
static fm_status read_clip_norm(const fm_safetensors *f, const char *name, fm_tabular *m)
{
    const char *text = fm_safetensors_meta_get(f, FM_META_CLIP_NORM);
    char *end = NULL;
    double v;

    if (!text)
        return FM_OK;
    v = strtod(text, &end);
    if (end == text || *end != '\0' || fm_tabular_set_clip_norm(m, v) != FM_OK)
        return fm_fail(FM_EPROTO, "%s: " FM_META_CLIP_NORM " is \"%.40s\", no clip norm", name,
                       text);
    return FM_OK;
}

static fm_status open_model(const fm_safetensors *f, const char *name, size_t max_rows,
                            fm_schema **schema, fm_tabular **out)
{
    fm_tabular_config config;
    fm_schema *s = NULL;
    fm_tabular *m = NULL;
    float *theta = NULL;
    fm_status st;

    /* The buffers are taken last: a file must hold as many weights as it makes us plan for. */
    if ((st = read_schema(f, name, &s)) || (st = read_config(f, name, s, &config)))
        goto done;
    size_t parameters, stored, scales;

    if ((st = fm_tabular_parameters(&config, &parameters)) ||
        (st = count_weights(f, name, &stored, &scales)))
        goto done;
    const size_t biases = bias_count(f, &config);

    if (stored != parameters + biases * config.experts) {
        st = fm_fail(FM_EPROTO, "%s: %zu weights where its configuration needs %zu", name, stored,
                     parameters + biases * config.experts);
        goto done;
    }
    if ((st = fm_tabular_new(&config, max_rows, &m)) ||
        (st = fm_alloc(stored, sizeof *theta, (void **)&theta)) ||
        (st = read_weights(f, name, &m->weights->layout, biases + scales, theta)) ||
        (st = read_biases(f, name, &config, theta + parameters)))
        goto done;
    if ((st = fm_tabular_set(m, theta, parameters)) ||
        (biases > 0 &&
         (st = fm_tabular_set_load_bias(m, theta + parameters, biases * config.experts)))) {
        st = fm_fail_context(st, "%s: ", name);
        goto done;
    }
    if ((st = read_clip_norm(f, name, m)))
        goto done;
    *schema = s; /* ownership moves to the caller */
    *out = m;
    s = NULL;
    m = NULL;
done:
    free(theta);
    fm_tabular_free(&m);
    fm_schema_free(&s);
    return st;
}

fm_status fm_tabular_decode(const char *name, const void *data, size_t len, size_t max_rows,
                            fm_schema **schema, fm_tabular **out)
{
    fm_safetensors *f = NULL;
    fm_status st;

    if (!name || (len && !data) || !schema || !out)
        return fm_fail(FM_EINVAL, "model: an argument is missing");
    if (!(st = fm_safetensors_parse(name, data, len, &f)))
        st = open_model(f, name, max_rows, schema, out);
    fm_safetensors_free(&f);
    return st;
}

fm_status fm_tabular_load(const char *path, size_t max_rows, fm_schema **schema, fm_tabular **out)
{
    fm_safetensors *f = NULL;
    fm_status st;

    if (!path || !schema || !out)
        return fm_fail(FM_EINVAL, "model: an argument is missing");
    if (!(st = fm_safetensors_load(path, FILE_LIMIT, &f)))
        st = open_model(f, path, max_rows, schema, out);
    fm_safetensors_free(&f);
    return st;
}
