/* What a session keeps of the text: rows of keys and values, or of latents. The system gives memory
 * for what is written, so that a long context costs what is used of it. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "session_internal.h"

static fm_status plan(const fm_edge_store *s, size_t *rows, size_t *values)
{
    fm_status st;

    if ((st = fm_mul_size(s->layers, s->heads, rows)) ||
        (st = fm_mul_size(*rows, s->context, rows)))
        return st;
    return fm_mul_size(*rows, s->n, values);
}

fm_status fm_edge_store_new(fm_edge_store *s, size_t layers, size_t heads, size_t context, size_t n,
                            fm_edge_cache kind)
{
    size_t rows, values;
    void *scale = NULL, *block = NULL;
    fm_status st;

    *s = (fm_edge_store){ .layers = layers, .heads = heads, .context = context, .n = n };
    if ((st = plan(s, &rows, &values)))
        return st;
    if (kind == FM_CACHE_FLOAT) {
        if ((st = fm_alloc(values, sizeof *s->f, &block)))
            return st;
        s->f = block;
        return FM_OK;
    }
    if ((st = fm_alloc(values, sizeof *s->q, &block)))
        return st;
    s->q = block;
    if ((st = fm_alloc(rows, sizeof *s->scale, &scale)))
        return st;
    s->scale = scale;
    return FM_OK;
}

void fm_edge_store_free(fm_edge_store *s)
{
    free(s->f);
    free(s->q);
    free(s->scale);
    *s = (fm_edge_store){ 0 };
}

/* A row's number. */
static size_t row_at(const fm_edge_store *s, size_t layer, size_t head, size_t position)
{
    return (layer * s->heads + head) * s->context + position;
}

fm_status fm_edge_store_put(const fm_edge_store *s, size_t layer, size_t head, size_t position,
                            const float *x)
{
    const size_t row = row_at(s, layer, head, position);

    if (!s->f)
        return fm_int8_quantise(x, 1, s->n, s->q + row * s->n, s->scale + row);
    memcpy(s->f + row * s->n, x, s->n * sizeof *x);
    return FM_OK;
}

fm_edge_rows fm_edge_store_at(const fm_edge_store *s, size_t layer, size_t head, size_t position)
{
    const size_t row = row_at(s, layer, head, position);

    if (s->f)
        return (fm_edge_rows){ .f = s->f + row * s->n, .n = s->n };
    return (fm_edge_rows){ .q = s->q + row * s->n, .scale = s->scale + row, .n = s->n };
}

void fm_edge_store_wipe(const fm_edge_store *s, size_t from, size_t to)
{
    for (size_t i = 0; from < to && i < s->layers * s->heads; i++) {
        const size_t row = i * s->context + from, rows = to - from;

        if (s->f)
            sodium_memzero(s->f + row * s->n, rows * s->n * sizeof *s->f);
        if (s->q)
            sodium_memzero(s->q + row * s->n, rows * s->n);
        if (s->scale)
            sodium_memzero(s->scale + row, rows * sizeof *s->scale);
    }
}

uint64_t fm_edge_store_bytes(const fm_edge_store *s)
{
    const uint64_t rows = (uint64_t)s->layers * s->heads * s->context;

    return rows * (s->f ? s->n * sizeof *s->f : s->n + sizeof *s->scale);
}
