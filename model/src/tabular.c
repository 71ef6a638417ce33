/* One object: its weights, its buffers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tabular_internal.h"

static void carve_weights(fm_carver *c, void *object)
{
    fm_tabular_weights *w = object;

    for (size_t i = 0; i < w->layout.linear_count; i++)
        fm_linear_carve(c, &w->layout.linears[i]);
    w->theta = fm_carve_floats(c, w->layout.parameters, 1);
    w->load_bias = fm_carve_floats(c, w->config.blocks, w->config.experts);
}

static void carve_buffers(fm_carver *c, void *object)
{
    fm_tabular *m = object;
    const fm_tabular_config *f = &m->weights->config;
    const size_t n = m->max_rows;
    size_t panels = 0;

    for (size_t i = 0; i < m->weights->layout.linear_count; i++) {
        const size_t need = fm_linear_panels(&m->weights->layout.linears[i]);

        panels = need > panels ? need : panels;
    }
    m->panels = fm_carve_floats(c, panels, 1);
    fm_rows_carve(c, n, 1, f->features, &m->phi);
    fm_rows_carve(c, n, 1, f->outputs, &m->logits);
    fm_rows_carve(c, n, 1, f->outputs, &m->glogits);
    if (f->width) {
        fm_rows_carve(c, n, 1, f->width, &m->last);
        fm_rows_carve(c, n, 1, f->width, &m->glast);
        for (size_t i = 0; i < f->blocks; i++) {
            m->blocks[i].panels = m->panels;
            fm_block_carve(c, n, &m->blocks[i]);
        }
    }
    fm_tape_carve(c, &m->tape);
}

static void list_uses(fm_tabular *m)
{
    const fm_layout *l = &m->weights->layout;
    const fm_tabular_config *f = &m->weights->config;

    fm_tape_use(&m->tape, l->skip, &m->phi, &m->glogits, NULL, 0);
    if (!f->width)
        return;
    fm_tape_use(&m->tape, l->embed, &m->phi, &m->glast, NULL, 0);
    for (size_t i = 0; i < f->blocks; i++)
        fm_block_list_uses(&m->blocks[i], &m->tape);
    fm_tape_use(&m->tape, l->head, &m->last, &m->glogits, NULL, 0);
}

static fm_status make_weights(const fm_tabular_config *c, fm_tabular_weights **out)
{
    fm_tabular_weights *w = NULL;
    fm_status st = fm_alloc(1, sizeof *w, (void **)&w);

    if (st)
        return st;
    *out = w;
    w->config = *c;
    if ((st = fm_layout_make(c, &w->layout)))
        return st;
    if ((st = fm_carve_all(carve_weights, w, &w->arena)))
        return st;
    for (size_t n = 0; n < w->layout.linear_count; n++)
        fm_linear_refresh(&w->layout.linears[n], w->theta);
    return FM_OK;
}

/* All but the weights. */
static fm_status make_buffers(fm_tabular *m, size_t max_rows)
{
    const fm_tabular_weights *w = m->weights;
    const size_t blocks = w->config.width ? w->config.blocks : 0;
    fm_status st;

    m->max_rows = max_rows;
    if ((st = fm_tape_init(&m->tape, w->layout.linear_count, max_rows, w->layout.parameters)) ||
        (blocks && (st = fm_alloc(blocks, sizeof *m->blocks, (void **)&m->blocks))))
        return st;
    for (size_t i = 0; i < blocks; i++) {
        m->blocks[i].config = &w->config;
        m->blocks[i].maps = &w->layout.blocks[i];
        m->blocks[i].load_bias = w->load_bias + i * w->config.experts;
    }
    list_uses(m);
    return fm_carve_all(carve_buffers, m, &m->arena);
}

static fm_status check_rows(size_t max_rows)
{
    if (max_rows < 1 || max_rows > FM_TABULAR_MAX_ROWS)
        return fm_fail(FM_EINVAL, "model: %zu rows in a batch; 1 to %zu are possible", max_rows,
                       FM_TABULAR_MAX_ROWS);
    return FM_OK;
}

/* @param root NULL: weights of its own, by c. */
static fm_status make(const fm_tabular_config *c, const fm_tabular *root, size_t max_rows,
                      fm_tabular **out)
{
    fm_tabular *m = NULL;
    fm_status st = fm_alloc(1, sizeof *m, (void **)&m);

    if (st)
        return st;
    m->worker = root != NULL;
    if (root)
        m->weights = root->weights;
    else
        st = make_weights(c, &m->weights);
    if (st || (st = make_buffers(m, max_rows))) {
        fm_tabular_free(&m);
        return fm_fail_context(st, "model with batches of %zu rows: ", max_rows);
    }
    *out = m;
    return FM_OK;
}

fm_status fm_tabular_new(const fm_tabular_config *c, size_t max_rows, fm_tabular **out)
{
    fm_status st;

    if (!c || !out)
        return fm_fail(FM_EINVAL, "model: an argument is missing");
    if ((st = check_rows(max_rows)) || (st = fm_tabular_config_check(c)))
        return st;
    return make(c, NULL, max_rows, out);
}

fm_status fm_tabular_new_worker(const fm_tabular *m, size_t max_rows, fm_tabular **out)
{
    fm_status st;

    if (!m || !out)
        return fm_fail(FM_EINVAL, "model: an argument is missing");
    if ((st = check_rows(max_rows)))
        return st;
    return make(NULL, m, max_rows, out);
}

void fm_tabular_forget(fm_tabular *m)
{
    fm_tape_set_rows(&m->tape, 0);
    fm_arena_wipe(m->arena); /* nothing in it outlives a batch */
}

static void free_weights(fm_tabular_weights *w)
{
    if (!w)
        return;
    fm_arena_free(&w->arena);
    fm_layout_fini(&w->layout);
    free(w);
}

void fm_tabular_free(fm_tabular **m)
{
    if (!m || !*m)
        return;
    fm_arena_free(&(*m)->arena);
    fm_tape_fini(&(*m)->tape);
    free((*m)->blocks);
    if (!(*m)->worker)
        free_weights((*m)->weights);
    free(*m);
    *m = NULL;
}

size_t fm_tabular_tensors(const fm_tabular *m)
{
    return m->weights->layout.tensor_count;
}

fm_tabular_tensor_info fm_tabular_tensor(const fm_tabular *m, size_t i)
{
    const fm_tensor_entry *t = &m->weights->layout.tensors[i];

    return (fm_tabular_tensor_info){ .name = t->name,
                                     .dims = t->dims,
                                     .shape = { t->shape[0], t->shape[1] },
                                     .offset = t->offset,
                                     .elements = t->elements };
}

const fm_tabular_config *fm_tabular_get_config(const fm_tabular *m)
{
    return &m->weights->config;
}

size_t fm_tabular_outputs(const fm_tabular *m)
{
    return m->weights->config.outputs;
}

/* theta is new; what a batch left belongs to the old one. */
static void refresh(fm_tabular *m)
{
    for (size_t n = 0; n < m->weights->layout.linear_count; n++)
        fm_linear_refresh(&m->weights->layout.linears[n], m->weights->theta);
    fm_tape_set_rows(&m->tape, 0);
}

void fm_tabular_init(fm_tabular *m, fm_rng *rng)
{
    fm_tabular_weights *w = m->weights;

    memset(w->theta, 0, w->layout.parameters * sizeof *w->theta);
    for (size_t n = 0; n < w->layout.linear_count; n++) {
        const fm_linear *l = &w->layout.linears[n];

        for (size_t i = 0; l->weight != FM_ABSENT && l->spread > 0.0 && i < l->in * l->out; i++)
            w->theta[l->weight + i] =
                (float)(fm_rng_normal(rng) * l->spread / sqrt((double)l->in) / l->weight_scale);
    }
    refresh(m);
}

fm_status fm_tabular_set(fm_tabular *m, const float *flat, size_t n)
{
    fm_status st;

    if (!m || !flat || n != m->weights->layout.parameters)
        return fm_fail(FM_EINVAL, "model: %zu weights where %zu belong", n,
                       m ? m->weights->layout.parameters : (size_t)0);
    if (m->worker)
        return fm_fail(FM_EINVAL, "model: a worker's weights are set where they belong");
    for (size_t i = 0; i < m->weights->layout.linear_count; i++)
        if ((st = fm_linear_check(&m->weights->layout.linears[i], flat)))
            return st;
    for (size_t i = m->weights->layout.center; i != FM_ABSENT && i < n; i++)
        if (!isfinite(flat[i])) /* the center is the last tensor */
            return fm_fail(FM_ENONFINITE, "model: the center of a feature is not a finite number");
    memcpy(m->weights->theta, flat, n * sizeof *flat);
    refresh(m);
    return FM_OK;
}

void fm_tabular_get(const fm_tabular *m, float *flat)
{
    memcpy(flat, m->weights->theta, m->weights->layout.parameters * sizeof *flat);
}

fm_status fm_tabular_set_load_bias(fm_tabular *m, const float *bias, size_t n)
{
    const size_t want = m ? m->weights->config.blocks * m->weights->config.experts : 0;

    if (!m || !bias || n != want || m->worker)
        return fm_fail(FM_EINVAL, "model: %zu load biases where %zu belong", n, want);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(bias[i]))
            return fm_fail(FM_ENONFINITE, "model: a load bias is not a finite number");
    memcpy(m->weights->load_bias, bias, n * sizeof *bias);
    fm_tape_set_rows(&m->tape, 0);
    return FM_OK;
}
