/*
 * What a batch's gradients come to, from the activations a and output gradients g that the
 * backward pass left: a record's gradient of a linear map is scale * g (x) a, so its squared norm
 * is scale^2 |g|^2 |a|^2, and a weighted sum over records is one product of the weighted g with a.
 */
#include <cblas.h>
#include <string.h>

#include "kernel_internal.h"
#include "tabular_internal.h"

static void range(const fm_tabular *m, const fm_use *u, size_t *first, size_t *last)
{
    *first = u->block ? u->block->starts[u->expert] : 0;
    *last = u->block ? u->block->starts[u->expert + 1] : m->rows;
}

static size_t record_of(const fm_use *u, size_t place)
{
    return u->block ? u->block->order[place] : place;
}

void fm_tabular_square_norms(const fm_tabular *m, double *out)
{
    memset(out, 0, m->rows * sizeof *out);
    for (size_t i = 0; i < m->use_count; i++) {
        const fm_use *u = &m->uses[i];
        const fm_linear *l = u->map;
        const double w = l->w ? l->weight_scale * l->weight_scale : 0.0;
        const double b = l->b ? l->bias_scale * l->bias_scale : 0.0;
        size_t first, last;

        range(m, u, &first, &last);
        for (size_t p = first; p < last; p++) {
            const double g = fm_old_kernel_square(u->g + p * l->out, l->out);

            if (l->w)
                out[record_of(u, p)] += w * g * fm_old_kernel_square(u->a + p * l->in, l->in);
            out[record_of(u, p)] += b * g;
        }
    }
}

/* One map, the records at [first, last) of it, none of weight 0. @param start first such run. */
static void add_run(fm_tabular *m, const fm_use *u, const float *weights, size_t first, size_t last,
                    bool start, float *out)
{
    const fm_linear *l = u->map;
    const size_t n = last - first;

    for (size_t p = first; p < last; p++) {
        const float weight = weights[record_of(u, p)];
        float *to = m->scaled + (p - first) * l->out;

        memset(to, 0, l->out * sizeof *to);
        fm_old_kernel_add_scaled(to, weight, u->g + p * l->out, l->out);
        if (l->b)
            fm_old_kernel_add_scaled(out + l->bias, (float)l->bias_scale, to, l->out);
    }
    if (l->w)
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)l->out, (int)l->in, (int)n,
                    (float)l->weight_scale, m->scaled, (int)l->out, u->a + first * l->in,
                    (int)l->in, start ? 0.0f : 1.0f, out + l->weight, (int)l->in);
}

void fm_tabular_weighted_sum(fm_tabular *m, const float *weights, float *out)
{
    memset(out, 0, m->layout.parameters * sizeof *out);
    for (size_t i = 0; i < m->use_count; i++) {
        const fm_use *u = &m->uses[i];
        bool start = true;
        size_t first, last, p;

        range(m, u, &first, &last);
        for (p = first; p < last; p++) {
            if (weights[record_of(u, p)] != 0.0f)
                continue;
            if (p > first) {
                add_run(m, u, weights, first, p, start, out);
                start = false;
            }
            first = p + 1;
        }
        if (p > first)
            add_run(m, u, weights, first, p, start, out);
    }
}

static void outer(const fm_linear *l, const float *a, const float *g, float *out)
{
    const float w = (float)l->weight_scale, b = (float)l->bias_scale;

    for (size_t o = 0; l->w && o < l->out; o++)
        for (size_t k = 0; k < l->in; k++)
            out[l->weight + o * l->in + k] = w * g[o] * a[k];
    for (size_t o = 0; l->b && o < l->out; o++)
        out[l->bias + o] = b * g[o];
}

static void add_outer(const fm_linear *l, const float *a, const float *g, float *out)
{
    const float w = (float)l->weight_scale, b = (float)l->bias_scale;

    for (size_t o = 0; l->w && o < l->out; o++)
        for (size_t k = 0; k < l->in; k++)
            out[l->weight + o * l->in + k] += w * g[o] * a[k];
    for (size_t o = 0; l->b && o < l->out; o++)
        out[l->bias + o] += b * g[o];
}

typedef void outer_fn(const fm_linear *l, const float *a, const float *g, float *out);

/* Every map that the batch's i-th record went through. */
static void each_map(const fm_tabular *m, size_t i, outer_fn *put, float *out)
{
    const size_t k = m->config.top_k;

    for (size_t n = 0; n < m->use_count; n++) {
        const fm_use *u = &m->uses[n];
        size_t place = i;
        bool used = !u->block;

        for (size_t j = 0; u->block && j < k; j++)
            if (u->block->routes[i * k + j] == u->expert) {
                place = u->block->places[i * k + j];
                used = true;
            }
        if (used)
            put(u->map, u->a + place * u->map->in, u->g + place * u->map->out, out);
    }
}

void fm_tabular_unit_gradient(const fm_tabular *m, size_t i, float *out)
{
    memset(out, 0, m->layout.parameters * sizeof *out);
    each_map(m, i, outer, out);
}

void fm_tabular_add_row_gradient(const fm_tabular *m, size_t i, float *out)
{
    each_map(m, i, add_outer, out);
}

void fm_tabular_routes(const fm_tabular *m, size_t block, size_t i, uint32_t *out)
{
    const size_t k = m->config.top_k;

    memcpy(out, m->blocks[block].routes + i * k, k * sizeof *out);
}
