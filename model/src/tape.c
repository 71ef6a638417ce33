/* The tape itself, weighted sums in float32, and single rows' gradients. */
#include "tape.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_ROWS 256u

fm_status fm_tape_init(fm_tape *t, size_t most, size_t max_rows, size_t parameters)
{
    fm_status st;

    *t = (fm_tape){ .max_rows = max_rows, .parameters = parameters };
    if (!(st = fm_alloc(most, sizeof *t->uses, (void **)&t->uses)) &&
        !(st = fm_alloc(2 * most + 1, sizeof *t->gaps, (void **)&t->gaps)))
        st = fm_alloc(2 * most, sizeof(const fm_rows *), (void **)&t->signals);
    return st;
}

void fm_tape_fini(fm_tape *t)
{
    free(t->gaps);
    free(t->uses);
    free(t->signals);
    *t = (fm_tape){ 0 };
}

static void add_signal(fm_tape *t, const fm_rows *r)
{
    for (size_t i = 0; i < t->signal_count; i++)
        if (t->signals[i] == r)
            return;
    t->signals[t->signal_count++] = r;
}

void fm_tape_use(fm_tape *t, const fm_linear *map, const fm_rows *a, const fm_rows *g,
                 const fm_dispatch *dispatch, size_t expert)
{
    t->uses[t->use_count++] =
        (fm_use){ .map = map, .a = a, .g = g, .dispatch = dispatch, .expert = expert };
    add_signal(t, a);
    add_signal(t, g);
}

static size_t chunk_rows(const fm_tape *t)
{
    const size_t rows = t->max_rows < CHUNK_ROWS ? (t->max_rows + 1) / 2 * 2 : CHUNK_ROWS;

    return rows < FM_PAIRED_ROWS ? FM_PAIRED_ROWS : rows;
}

static size_t greater(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t fm_tape_crossed_rows(const fm_tape *t, const fm_linear *l)
{
    const size_t rows = t->max_rows < FM_CROSSED_ROWS ? t->max_rows : FM_CROSSED_ROWS;
    const size_t cheap = l->in * l->out / (2 * (l->in + l->out));

    return l->weight == FM_ABSENT ? 0 : cheap < rows ? cheap : rows;
}

/* The most of: weights of the rows of a map; integers of a chunk of rows, or of a stripe; what the
 * norms write down. */
static size_t scratch_words(const fm_tape *t)
{
    size_t most = 0;

    for (size_t i = 0; i < t->use_count; i++) {
        const fm_linear *l = t->uses[i].map;
        const size_t crossed = fm_row_stride(fm_tape_crossed_rows(t, l));
        const size_t wide = greater(l->in, l->out);

        most = greater(most, t->max_rows * t->uses[i].a->per_record);
        most = greater(most, chunk_rows(t) / 2 * (l->in + l->out) + 32);
        most = greater(most, (FM_STRIPE + FM_PAIRED_ROWS / 2) * (l->in + 1) +
                                 2 * FM_PAIRED_ROWS * FM_STRIPE + 64);
        most = greater(most, FM_SUMMED_STRIPE * (l->in + FM_SUMMED_ROWS) + 16);
        most = greater(most, crossed * (2 * crossed + wide) + fm_panels_floats(wide, crossed) + 64);
    }
    return most;
}

static int by_place(const void *a, const void *b)
{
    const size_t x = ((const fm_span *)a)->first, y = ((const fm_span *)b)->first;

    return x < y ? -1 : x > y;
}

/* The maps' parts in order, and in place of each what lies before it. */
static void find_gaps(fm_tape *t)
{
    size_t n = 0, last = 0;

    for (size_t i = 0; i < t->use_count; i++) {
        const fm_linear *l = t->uses[i].map;

        if (l->weight != FM_ABSENT)
            t->gaps[n++] = (fm_span){ l->weight, l->weight + l->in * l->out };
        if (l->bias != FM_ABSENT)
            t->gaps[n++] = (fm_span){ l->bias, l->bias + l->out };
    }
    qsort(t->gaps, n, sizeof *t->gaps, by_place);
    for (size_t i = 0; i < n; i++) {
        const fm_span part = t->gaps[i];

        t->gaps[i] = (fm_span){ last, part.first };
        last = part.last;
    }
    t->gaps[n] = (fm_span){ last, t->parameters };
    t->gap_count = n + 1;
}

/* Experts of a block share, as they do their rows. */
static void carve_scales(fm_carver *c, fm_tape *t, size_t i)
{
    fm_use *u = &t->uses[i];
    const size_t per_record = u->a->per_record;

    for (size_t j = i; u->expert && j-- > 0;)
        if (t->uses[j].a == u->a && t->uses[j].g == u->g) {
            u->scale_a = t->uses[j].scale_a;
            u->scale_g = t->uses[j].scale_g;
            u->constant = t->uses[j].constant;
            return;
        }
    u->scale_a = fm_carve_floats(c, t->max_rows, per_record);
    u->scale_g = fm_carve_floats(c, t->max_rows, per_record);
    u->constant = fm_carve(c, t->max_rows, per_record, sizeof *u->constant);
}

void fm_tape_carve(fm_carver *c, fm_tape *t)
{
    fm_chunk *k = &t->chunk;

    find_gaps(t);
    for (size_t i = 0; i < t->use_count; i++)
        carve_scales(c, t, i);

    k->capacity = chunk_rows(t);
    k->constants = fm_carve(c, k->capacity / 2, 1, sizeof *k->constants);
    k->square_a = fm_carve(c, k->capacity, 1, sizeof *k->square_a);
    k->square_g = fm_carve(c, k->capacity, 1, sizeof *k->square_g);
    t->unit_of = fm_carve(c, t->max_rows, 1, sizeof *t->unit_of);
    t->factors = fm_carve(c, t->max_rows, 1, sizeof *t->factors);
    t->scratch_words = scratch_words(t);
    t->scratch = fm_carve_floats(c, t->scratch_words, 1);
}

void fm_tape_set_rows(fm_tape *t, size_t rows)
{
    t->rows = rows;
    t->normed = false;
}

size_t fm_use_run(const fm_tape *t, const fm_use *u, size_t place, size_t last)
{
    const size_t unit = fm_use_unit(t, u, place);

    do
        place++;
    while (place < last && fm_use_unit(t, u, place) == unit);
    return place;
}

void fm_use_places(const fm_tape *t, const fm_use *u, size_t from, size_t to, size_t *first,
                   size_t *last)
{
    size_t low, high;

    *first = from;
    *last = to;
    if (!u->dispatch)
        return;
    fm_use_range(t, u, &low, &high);
    for (size_t end = high; low < end;) {
        const size_t middle = low + (end - low) / 2;

        if (u->dispatch->order[middle] < from)
            low = middle + 1;
        else
            end = middle;
    }
    *first = low;
    while (low < high && u->dispatch->order[low] < to)
        low++;
    *last = low;
}

void fm_tape_prepare(fm_tape *t, const uint32_t *ends, size_t units)
{
    size_t row = 0;

    for (size_t u = 0; ends && u < units; u++)
        while (row < ends[u])
            t->unit_of[row++] = (uint32_t)u;
    for (; !ends && row < t->rows; row++)
        t->unit_of[row] = (uint32_t)row;
    for (size_t i = 0; !t->normed && i < t->signal_count; i++) {
        const fm_rows *r = t->signals[i];

        fm_kernel_squares(r->v, t->rows * r->per_record, r->n, r->squares);
    }
    t->normed = true;
}

bool fm_tape_by_pairs(const fm_linear *l, size_t rows)
{
    return rows == 1 || (rows <= FM_PAIRED_ROWS && rows * (l->in + l->out) <= 2 * l->in * l->out);
}

/* One map, the records at [first, last) of it, none of weight 0: written over what is there, or
 * added. Weights of the records that went there are gathered first. */
static void add_run(fm_tape *t, const fm_use *u, const float *weights, size_t first, size_t last,
                    bool add, float *out)
{
    const fm_linear *l = u->map;

    for (size_t p = first; p < last; p++) {
        t->scratch[p - first] = weights[fm_use_record(u, p)];
        if (l->b)
            fm_kernel_add_scaled(out + l->bias, (float)l->bias_scale * t->scratch[p - first],
                                 fm_rows_at(u->g, p), l->out);
    }
    if (!l->w)
        return;
    fm_fetch_sum(out + l->weight, l->in * l->out);
    fm_kernel_outer_weighted(fm_rows_at(u->g, first), fm_rows_at(u->a, first), t->scratch,
                             last - first, l->out, l->in, (float)l->weight_scale,
                             add ? FM_START_SUM : FM_START_BIAS, out + l->weight);
}

/* All runs of one map. Its part of the sum is written once where it can be: models are larger than
 * what a step reads besides. */
static void add_use(fm_tape *t, const fm_use *u, const float *weights, float *out)
{
    const fm_linear *l = u->map;
    size_t first, last;
    bool begun = false;

    if (l->b)
        memset(out + l->bias, 0, l->out * sizeof *out);
    fm_use_range(t, u, &first, &last);
    for (size_t p = first; p <= last; p++) {
        if (p < last && weights[fm_use_record(u, p)] != 0.0f)
            continue;
        if (p > first) {
            add_run(t, u, weights, first, p, begun, out);
            begun = true;
        }
        first = p + 1;
    }
    if (!begun && l->w)
        memset(out + l->weight, 0, l->in * l->out * sizeof *out);
}

void fm_tape_weighted_sum(fm_tape *t, const float *weights, float *out)
{
    for (size_t i = 0; i < t->gap_count; i++)
        memset(out + t->gaps[i].first, 0, (t->gaps[i].last - t->gaps[i].first) * sizeof *out);
    for (size_t i = 0; i < t->use_count; i++)
        add_use(t, &t->uses[i], weights, out);
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

void fm_tape_add_row_gradient(const fm_tape *t, size_t i, float *out)
{
    for (size_t n = 0; n < t->use_count; n++) {
        const fm_use *u = &t->uses[n];
        size_t place = i;
        bool used = !u->dispatch;

        for (size_t j = 0; u->dispatch && j < u->dispatch->k; j++)
            if (u->dispatch->routes[i * u->dispatch->k + j] == u->expert) {
                place = u->dispatch->places[i * u->dispatch->k + j];
                used = true;
            }
        if (used)
            add_outer(u->map, fm_rows_at(u->a, place), fm_rows_at(u->g, place), out);
    }
}

void fm_tape_add_rows_gradient(const fm_tape *t, size_t from, size_t to, float *out)
{
    for (size_t n = 0; n < t->use_count; n++) {
        const fm_use *u = &t->uses[n];
        const fm_linear *l = u->map;
        size_t first, last;

        fm_use_places(t, u, from, to, &first, &last);
        for (size_t p = first; l->b && p < last; p++)
            fm_kernel_add_scaled(out + l->bias, (float)l->bias_scale, fm_rows_at(u->g, p), l->out);
        if (l->w && last > first)
            fm_kernel_outer_float(fm_rows_at(u->g, first), fm_rows_at(u->a, first), last - first,
                                  l->out, l->in, (float)l->weight_scale, out + l->weight);
    }
}
