#include "attention.h"

#include <math.h>
#include <string.h>

#define QUERIES 48 /* rows of a tile: four times what a kernel takes at once */
#define KEYS 64    /* columns: whole panels */

void fm_heads_carve(fm_carver *c, size_t heads, size_t rows, size_t n, fm_heads *h)
{
    size_t each = 0;

    *h = (fm_heads){ .heads = heads, .rows = rows, .n = n, .stride = fm_row_stride(n) };
    if (!c->st)
        c->st = fm_mul_size(rows, h->stride, &each);
    h->v = fm_carve_floats(c, heads, each);
}

void fm_attend_carve(fm_carver *c, size_t max_rows, bool back, fm_attend *a)
{
    const size_t query = fm_row_stride(a->query), value = fm_row_stride(a->value);
    const size_t keys = (max_rows + FM_PANEL - 1) / FM_PANEL * FM_PANEL;
    const size_t query_panels = (query + FM_PANEL - 1) / FM_PANEL * FM_PANEL;
    const size_t value_panels = (value + FM_PANEL - 1) / FM_PANEL * FM_PANEL;

    a->keys = fm_carve_floats(c, keys, query);
    a->values = fm_carve_floats(c, max_rows, value_panels);
    a->keys_straight = back ? fm_carve_floats(c, max_rows, query_panels) : NULL;
    a->values_across = back ? fm_carve_floats(c, keys, value) : NULL;
    a->scores = fm_carve_floats(c, QUERIES, KEYS);
    a->gscores = back ? fm_carve_floats(c, QUERIES, KEYS) : NULL;
    a->sum = fm_carve_floats(c, QUERIES, value);
    a->most = fm_carve_floats(c, QUERIES, 1);
    a->total = fm_carve_floats(c, QUERIES, 1);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Where the panels of keys [at, ...) begin, which lie across: at is a multiple of FM_PANEL. */
static const float *across(const float *panels, size_t at, size_t stride)
{
    return panels + at * stride;
}

/* Tiles of KEYS rows, each in panels of its own. */
static float *straight(float *panels, size_t at, size_t stride)
{
    return panels + at * ((stride + FM_PANEL - 1) / FM_PANEL * FM_PANEL);
}

static void pack_straight(float *panels, const float *w, size_t rows, size_t stride, float scale)
{
    for (size_t at = 0; at < rows; at += KEYS)
        fm_panels_straight(straight(panels, at, stride), w + at * stride, least(KEYS, rows - at),
                           stride, scale);
}

/* How many of the n keys from `at` on the query at `row` sees. */
static size_t seen(size_t row, size_t at, size_t n)
{
    return row < at ? 0 : least(row - at + 1, n);
}

/* Scores of queries [from, from + rows) and keys [at, at + n) to weights relative to the running
 * maximum; what was summed before is brought to the same. */
static void weigh(const fm_attend *a, size_t from, size_t rows, size_t at, size_t n, size_t value)
{
    const size_t stride = fm_row_stride(n);

    for (size_t i = 0; i < rows; i++) {
        float *s = a->scores + i * stride;
        const size_t m = seen(from + i, at, n);
        const float here = fm_kernel_most(s, m), before = a->most[i];
        float ratio = before - here;

        if (here > before) {
            fm_kernel_exp(&ratio, 1);
            a->most[i] = here;
            a->total[i] *= ratio;
            fm_kernel_scale(a->sum + i * value, ratio, value);
        }
        a->total[i] += fm_kernel_exp_sum(s, m, a->most[i]);
        memset(s + m, 0, (n - m) * sizeof *s);
    }
}

static void finish(const fm_attend *a, size_t head, size_t first, size_t rows, const fm_rows *out,
                   float *logs)
{
    const size_t stride = fm_row_stride(a->value);

    for (size_t i = 0; i < rows; i++) {
        float *sum = a->sum + i * stride;

        fm_kernel_scale(sum, 1.0f / a->total[i], a->value);
        memcpy(fm_rows_at(out, first + i) + head * a->value, sum, a->value * sizeof *sum);
        logs[first + i] = a->most[i] + logf(a->total[i]);
    }
}

/* Queries [from, from + rows) of the sequence's, its keys and values being packed. */
static void tile_forward(const fm_attend *a, const float *q, size_t from, size_t rows,
                         size_t length)
{
    const size_t query = fm_row_stride(a->query), value = fm_row_stride(a->value);

    memset(a->sum, 0, rows * value * sizeof *a->sum);
    memset(a->total, 0, rows * sizeof *a->total);
    for (size_t i = 0; i < rows; i++)
        a->most[i] = -INFINITY;
    for (size_t at = 0; at < from + rows; at += KEYS) {
        const size_t n = least(KEYS, length - at);

        fm_kernel_rows(q, rows, query, across(a->keys, at, query), n, FM_START_BIAS, NULL,
                       a->scores);
        weigh(a, from, rows, at, n, value);
        fm_kernel_rows(a->scores, rows, n, straight(a->values, at, value), value, FM_START_SUM,
                       NULL, a->sum);
    }
}

void fm_attend_forward(const fm_attend *a, const fm_heads *q, const fm_heads *k, const fm_heads *v,
                       size_t first, size_t rows, const fm_rows *out, float *logs)
{
    const size_t group = a->heads / a->key_heads;

    for (size_t head = 0; head < a->heads; head++) {
        if (head % group == 0) {
            fm_panels_transposed(a->keys, fm_heads_at(k, head / group, first), k->stride, rows,
                                 a->scale);
            pack_straight(a->values, fm_heads_at(v, head / group, first), rows, v->stride, 1.0f);
        }
        for (size_t from = 0; from < rows; from += QUERIES) {
            const size_t n = least(QUERIES, rows - from);

            tile_forward(a, fm_heads_at(q, head, first + from), from, n, rows);
            finish(a, head, first + from, n, out, logs + head * q->rows);
        }
    }
}

/* What the tiles of one head's backward pass read and write, from the sequence's first row on. */
typedef struct {
    const float *q, *logs;
    float *gq, *gk, *gv;
    size_t length;
} head_back;

/* Probabilities and gradients of scores, in place. a->sum has the gradients of the output, a->total
 * what each has in common with the output. */
static void scores_back(const fm_attend *a, const head_back *h, size_t from, size_t rows, size_t at,
                        size_t n)
{
    const size_t stride = fm_row_stride(n);

    for (size_t i = 0; i < rows; i++) {
        float *p = a->scores + i * stride, *g = a->gscores + i * stride;
        const size_t m = seen(from + i, at, n);

        (void)fm_kernel_exp_sum(p, m, h->logs[from + i]);
        fm_kernel_score_back(g, p, a->total[i], m);
        memset(p + m, 0, (n - m) * sizeof *p);
        memset(g + m, 0, (n - m) * sizeof *g);
    }
}

static void tile_backward(const fm_attend *a, const head_back *h, size_t from, size_t rows)
{
    const size_t query = fm_row_stride(a->query), value = fm_row_stride(a->value);
    const float *q = h->q + from * query;

    for (size_t at = 0; at < from + rows; at += KEYS) {
        const size_t n = least(KEYS, h->length - at);

        fm_kernel_rows(q, rows, query, across(a->keys, at, query), n, FM_START_BIAS, NULL,
                       a->scores);
        fm_kernel_rows(a->sum, rows, value, across(a->values_across, at, value), n, FM_START_BIAS,
                       NULL, a->gscores);
        scores_back(a, h, from, rows, at, n);
        fm_kernel_outer_float(a->scores, a->sum, rows, n, value, 1.0f, h->gv + at * value);
        fm_kernel_outer_float(a->gscores, q, rows, n, query, a->scale, h->gk + at * query);
        fm_kernel_rows(a->gscores, rows, n, straight(a->keys_straight, at, query), query,
                       FM_START_SUM, NULL, h->gq + from * query);
    }
}

/* The output's gradients of one head to a->sum, their products with the output to a->total. */
static void gather(const fm_attend *a, size_t head, size_t first, size_t rows, const fm_rows *out,
                   const fm_rows *gout)
{
    const size_t stride = fm_row_stride(a->value);

    for (size_t i = 0; i < rows; i++) {
        const float *g = fm_rows_at(gout, first + i) + head * a->value;

        memset(a->sum + i * stride, 0, stride * sizeof *a->sum);
        memcpy(a->sum + i * stride, g, a->value * sizeof *g);
        a->total[i] = fm_kernel_dot(g, fm_rows_at(out, first + i) + head * a->value, a->value);
    }
}

static void pack_back(const fm_attend *a, const float *k, const float *v, size_t rows)
{
    const size_t query = fm_row_stride(a->query), value = fm_row_stride(a->value);

    fm_panels_transposed(a->keys, k, query, rows, a->scale);
    fm_panels_transposed(a->values_across, v, value, rows, 1.0f);
    pack_straight(a->keys_straight, k, rows, query, a->scale);
}

void fm_attend_backward(const fm_attend *a, const fm_heads *q, const fm_heads *k, const fm_heads *v,
                        size_t first, size_t rows, const fm_rows *out, const float *logs,
                        const fm_rows *gout, const fm_heads *gq, const fm_heads *gk,
                        const fm_heads *gv)
{
    const size_t group = a->heads / a->key_heads;

    for (size_t head = 0; head < a->heads; head++) {
        const head_back h = { .q = fm_heads_at(q, head, first),
                              .logs = logs + head * q->rows + first,
                              .gq = fm_heads_at(gq, head, first),
                              .gk = fm_heads_at(gk, head / group, first),
                              .gv = fm_heads_at(gv, head / group, first),
                              .length = rows };

        memset(h.gq, 0, rows * gq->stride * sizeof *h.gq);
        if (head % group == 0) {
            memset(h.gk, 0, rows * gk->stride * sizeof *h.gk);
            memset(h.gv, 0, rows * gv->stride * sizeof *h.gv);
            pack_back(a, fm_heads_at(k, head / group, first), fm_heads_at(v, head / group, first),
                      rows);
        }
        for (size_t from = 0; from < rows; from += QUERIES) {
            const size_t n = least(QUERIES, rows - from);

            gather(a, head, first + from, n, out, gout);
            tile_backward(a, &h, from, n);
        }
    }
}
