/* One object: its buffers, its parameters. */
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tabular_internal.h"

/* Run twice over the same list: once to add up the sizes, once to hand out the pieces. */
typedef struct {
    fm_arena *arena; /* NULL while planning */
    size_t total;
    fm_status st;
} carver;

static void *carve(carver *c, size_t rows, size_t columns, size_t size)
{
    size_t count;
    void *out = NULL;

    if (!c->st)
        c->st = fm_mul_size(rows, columns, &count);
    if (!c->st)
        c->st = c->arena ? fm_arena_take(c->arena, count, size, &out)
                         : fm_arena_plan(&c->total, count, size);
    return out;
}

static float *floats(carver *c, size_t rows, size_t columns)
{
    return carve(c, rows, columns, sizeof(float));
}

static void carve_weights(carver *c, fm_linear *l)
{
    if (l->weight != FM_ABSENT) {
        l->w = floats(c, l->out, l->in);
        l->wt = l->out > 1 ? floats(c, l->in, l->out) : l->w;
    }
    if (l->bias != FM_ABSENT)
        l->b = floats(c, l->out, 1);
}

static void carve_block(carver *c, const fm_tabular_config *f, size_t n, fm_block *b)
{
    const size_t pairs = n * f->top_k;

    b->x = floats(c, n, f->width);
    b->gradient = floats(c, n, f->width);
    b->scores = floats(c, n, f->experts);
    b->gscores = floats(c, n, f->experts);
    b->routes = carve(c, n, f->top_k, sizeof *b->routes);
    b->places = carve(c, n, f->top_k, sizeof *b->places);
    b->gates = floats(c, n, f->top_k);
    b->starts = carve(c, f->experts + 1, 1, sizeof *b->starts);
    b->order = carve(c, pairs, 1, sizeof *b->order);
    b->sorted = floats(c, pairs, f->width);
    b->hidden = floats(c, pairs, f->expert_hidden);
    b->slope = floats(c, pairs, f->expert_hidden);
    b->ghidden = floats(c, pairs, f->expert_hidden);
    b->result = floats(c, pairs, f->width);
    b->gresult = floats(c, pairs, f->width);
    if (f->shared_hidden) {
        b->shared_hidden = floats(c, n, f->shared_hidden);
        b->shared_slope = floats(c, n, f->shared_hidden);
        b->shared_ghidden = floats(c, n, f->shared_hidden);
    }
}

static void carve_all(carver *c, fm_tabular *m)
{
    const size_t n = m->max_rows;
    size_t widest = 1;

    for (size_t i = 0; i < m->layout.linear_count; i++) {
        carve_weights(c, &m->layout.linears[i]);
        if (m->layout.linears[i].out > widest)
            widest = m->layout.linears[i].out;
    }
    m->theta = floats(c, m->layout.parameters, 1);
    m->phi = floats(c, n, m->config.features);
    m->logits = floats(c, n, 1);
    m->glogits = floats(c, n, 1);
    m->scaled = floats(c, n, widest);
    if (!m->config.width)
        return;
    m->last = floats(c, n, m->config.width);
    m->glast = floats(c, n, m->config.width);
    for (size_t i = 0; i < m->config.blocks; i++)
        carve_block(c, &m->config, n, &m->blocks[i]);
}

static void use(fm_tabular *m, size_t map, const float *a, const float *g, const fm_block *b,
                size_t expert)
{
    m->uses[m->use_count++] = (fm_use){ &m->layout.linears[map], a, g, b, expert };
}

static void list_uses(fm_tabular *m)
{
    const fm_layout *l = &m->layout;

    use(m, l->skip, m->phi, m->glogits, NULL, 0);
    if (!m->config.width)
        return;
    use(m, l->embed, m->phi, m->glast, NULL, 0);
    for (size_t i = 0; i < m->config.blocks; i++) {
        const fm_block_maps *maps = &l->blocks[i];
        const fm_block *b = &m->blocks[i];

        use(m, maps->router, b->x, b->gscores, NULL, 0);
        if (maps->shared_present) {
            use(m, maps->shared.hidden, b->x, b->shared_ghidden, NULL, 0);
            use(m, maps->shared.output, b->shared_hidden, b->gradient, NULL, 0);
        }
        for (size_t e = 0; e < m->config.experts; e++) {
            use(m, maps->experts[e].hidden, b->sorted, b->ghidden, b, e);
            use(m, maps->experts[e].output, b->hidden, b->gresult, b, e);
        }
    }
    use(m, l->head, m->last, m->glogits, NULL, 0);
}

static fm_status make(const fm_tabular_config *c, size_t max_rows, fm_tabular *m)
{
    carver plan = { 0 }, take = { 0 };
    fm_status st;

    m->config = *c;
    m->max_rows = max_rows;
    if ((st = fm_layout_make(c, &m->layout)) ||
        (c->width && (st = fm_alloc(c->blocks, sizeof *m->blocks, (void **)&m->blocks))) ||
        (st = fm_alloc(m->layout.linear_count, sizeof *m->uses, (void **)&m->uses)))
        return st;
    carve_all(&plan, m);
    if ((st = plan.st) || (st = fm_arena_new(plan.total, &m->arena)))
        return st;
    take.arena = m->arena;
    carve_all(&take, m);
    if (take.st)
        return take.st;
    list_uses(m);
    return FM_OK;
}

fm_status fm_tabular_new(const fm_tabular_config *c, size_t max_rows, fm_tabular **out)
{
    fm_tabular *m = NULL;
    fm_status st;

    if (!c || !out)
        return fm_fail(FM_EINVAL, "model: an argument is missing");
    if (max_rows < 1 || max_rows > FM_TABULAR_MAX_ROWS)
        return fm_fail(FM_EINVAL, "model: %zu rows in a batch; 1 to %zu are possible", max_rows,
                       FM_TABULAR_MAX_ROWS);
    if ((st = fm_tabular_config_check(c)))
        return st;
    openblas_set_num_threads(1);
    if ((st = fm_alloc(1, sizeof *m, (void **)&m)))
        return st;
    if ((st = make(c, max_rows, m))) {
        fm_tabular_free(&m);
        return fm_fail_context(st, "model with batches of %zu rows: ", max_rows);
    }
    *out = m;
    return FM_OK;
}

void fm_tabular_free(fm_tabular **m)
{
    if (!m || !*m)
        return;
    fm_arena_free(&(*m)->arena);
    fm_layout_fini(&(*m)->layout);
    free((*m)->blocks);
    free((*m)->uses);
    free(*m);
    *m = NULL;
}

size_t fm_tabular_tensors(const fm_tabular *m)
{
    return m->layout.tensor_count;
}

fm_tabular_tensor_info fm_tabular_tensor(const fm_tabular *m, size_t i)
{
    const fm_tensor_entry *t = &m->layout.tensors[i];

    return (fm_tabular_tensor_info){ .name = t->name,
                                     .dims = t->dims,
                                     .shape = { t->shape[0], t->shape[1] },
                                     .offset = t->offset,
                                     .elements = t->elements };
}

const fm_tabular_config *fm_tabular_get_config(const fm_tabular *m)
{
    return &m->config;
}

/* Effective weights, and their transposes, from theta. */
static void refresh(fm_tabular *m)
{
    for (size_t n = 0; n < m->layout.linear_count; n++) {
        const fm_linear *l = &m->layout.linears[n];

        for (size_t o = 0; l->w && o < l->out; o++)
            for (size_t k = 0; k < l->in; k++) {
                const float w = (float)l->weight_scale * m->theta[l->weight + o * l->in + k];

                l->w[o * l->in + k] = w;
                l->wt[k * l->out + o] = w;
            }
        for (size_t o = 0; l->b && o < l->out; o++)
            l->b[o] = (float)l->bias_scale * m->theta[l->bias + o];
    }
    m->rows = 0;
}

void fm_tabular_init(fm_tabular *m, fm_rng *rng)
{
    memset(m->theta, 0, m->layout.parameters * sizeof *m->theta);
    for (size_t n = 0; n < m->layout.linear_count; n++) {
        const fm_linear *l = &m->layout.linears[n];

        for (size_t i = 0; l->w && l->spread > 0.0 && i < l->in * l->out; i++)
            m->theta[l->weight + i] =
                (float)(fm_rng_normal(rng) * l->spread / sqrt((double)l->in) / l->weight_scale);
    }
    refresh(m);
}

static bool all_finite(const float *v, size_t n, double scale)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite((float)scale * v[i]) || !isfinite(v[i]))
            return false;
    return true;
}

fm_status fm_tabular_set(fm_tabular *m, const float *flat, size_t n)
{
    if (!m || !flat || n != m->layout.parameters)
        return fm_fail(FM_EINVAL, "model: %zu weights where %zu belong", n,
                       m ? m->layout.parameters : (size_t)0);
    for (size_t i = 0; i < m->layout.linear_count; i++) {
        const fm_linear *l = &m->layout.linears[i];

        if ((l->w && !all_finite(flat + l->weight, l->in * l->out, l->weight_scale)) ||
            (l->b && !all_finite(flat + l->bias, l->out, l->bias_scale)))
            return fm_fail(FM_ENONFINITE, "model: a weight is not a finite number");
    }
    memcpy(m->theta, flat, n * sizeof *flat);
    refresh(m);
    return FM_OK;
}

void fm_tabular_get(const fm_tabular *m, float *flat)
{
    memcpy(flat, m->theta, m->layout.parameters * sizeof *flat);
}
