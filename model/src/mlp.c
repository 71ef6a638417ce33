#include "fedmoe/model/mlp.h"

#include <stdlib.h>
#include <string.h>

#include "experts.h"
#include "loss.h"

struct fm_mlp {
    fm_mlp_config config;
    fm_linear linears[FM_MLP_MAX_LAYERS];
    fm_rows x[FM_MLP_MAX_LAYERS + 1]; /* [N, sizes[i]]; the last are the logits */
    fm_rows g[FM_MLP_MAX_LAYERS + 1]; /* gradients of x[i] before act; g[0] is not used */
    float *slope[FM_MLP_MAX_LAYERS];  /* as x: act' */
    float *panels;                    /* room for any map's packed weights */
    float *theta;                     /* [P] */
    float class_weights[FM_TABULAR_MAX_OUTPUTS];
    size_t parameters, max_rows;
    fm_arena *arena;
    fm_tape tape;
};

fm_status fm_mlp_parameters(const fm_mlp_config *c, size_t *out)
{
    double count = 0.0;

    if (!c || !out || c->layers < 1 || c->layers > FM_MLP_MAX_LAYERS ||
        (unsigned)c->activation > FM_ACTIVATION_GELU)
        return fm_fail(FM_EINVAL, "mlp: 1 to %u layers, of a known activation", FM_MLP_MAX_LAYERS);
    for (size_t i = 0; i <= c->layers; i++) {
        const size_t least = i == c->layers ? 2 : 1;
        const size_t most = i == c->layers ? FM_TABULAR_MAX_OUTPUTS : FM_SCHEMA_MAX_FEATURES;

        if (c->sizes[i] < least || c->sizes[i] > most)
            return fm_fail(FM_EINVAL, "mlp: size %zu is %zu; it must be %zu to %zu", i, c->sizes[i],
                           least, most);
        count += i ? ((double)c->sizes[i - 1] + 1.0) * (double)c->sizes[i] : 0.0;
    }
    if (count > (double)FM_TABULAR_MAX_PARAMETERS)
        return fm_fail(FM_EINVAL, "mlp: %.3g parameters; at most %zu are possible", count,
                       FM_TABULAR_MAX_PARAMETERS);
    *out = (size_t)count;
    return FM_OK;
}

static void carve(fm_carver *c, void *object)
{
    fm_mlp *m = object;
    size_t panels = 0;

    for (size_t i = 0; i <= m->config.layers; i++) {
        fm_rows_carve(c, m->max_rows, 1, m->config.sizes[i], &m->x[i]);
        if (i)
            fm_rows_carve(c, m->max_rows, 1, m->config.sizes[i], &m->g[i]);
        if (i && i < m->config.layers)
            m->slope[i] = fm_carve_floats(c, m->max_rows, m->x[i].stride);
        if (i == m->config.layers)
            break;
        fm_linear_carve(c, &m->linears[i]);
        if (fm_linear_panels(&m->linears[i]) > panels)
            panels = fm_linear_panels(&m->linears[i]);
    }
    m->panels = fm_carve_floats(c, panels, 1);
    m->theta = fm_carve_floats(c, m->parameters, 1);
    fm_tape_carve(c, &m->tape);
}

/* Maps in the order of the flat vector, and their part in the gradient. */
static void make_maps(fm_mlp *m)
{
    size_t at = 0;

    for (size_t i = 0; i < m->config.layers; i++) {
        const size_t in = m->config.sizes[i], out = m->config.sizes[i + 1];

        m->linears[i] = (fm_linear){ .in = in,
                                     .out = out,
                                     .weight = at,
                                     .bias = at + in * out,
                                     .weight_scale = 1.0,
                                     .bias_scale = 1.0 };
        at += (in + 1) * out;
        fm_tape_use(&m->tape, &m->linears[i], &m->x[i], &m->g[i + 1], NULL, 0);
    }
    for (size_t i = 0; i < FM_TABULAR_MAX_OUTPUTS; i++)
        m->class_weights[i] = 1.0f;
}

static void refresh(fm_mlp *m)
{
    for (size_t i = 0; i < m->config.layers; i++)
        fm_linear_refresh(&m->linears[i], m->theta);
}

fm_status fm_mlp_new(const fm_mlp_config *c, size_t max_rows, fm_mlp **out)
{
    fm_mlp *m = NULL;
    size_t parameters;
    fm_status st = fm_mlp_parameters(c, &parameters);

    if (st)
        return st;
    if (!out || max_rows < 1 || max_rows > FM_TABULAR_MAX_ROWS)
        return fm_fail(FM_EINVAL, "mlp: %zu rows in a batch; 1 to %zu are possible", max_rows,
                       FM_TABULAR_MAX_ROWS);
    if ((st = fm_alloc(1, sizeof *m, (void **)&m)))
        return st;
    m->config = *c;
    m->max_rows = max_rows;
    m->parameters = parameters;
    if (!(st = fm_tape_init(&m->tape, c->layers, max_rows, parameters))) {
        make_maps(m);
        if (!(st = fm_carve_all(carve, m, &m->arena)))
            refresh(m);
    }
    if (st)
        fm_mlp_free(&m);
    else
        *out = m;
    return st;
}

void fm_mlp_free(fm_mlp **m)
{
    if (!m || !*m)
        return;
    fm_arena_free(&(*m)->arena);
    fm_tape_fini(&(*m)->tape);
    free(*m);
    *m = NULL;
}

fm_status fm_mlp_set(fm_mlp *m, const float *flat, size_t n)
{
    fm_status st;

    if (!m || !flat || n != m->parameters)
        return fm_fail(FM_EINVAL, "mlp: %zu weights where %zu belong", n, m ? m->parameters : 0);
    for (size_t i = 0; i < m->config.layers; i++)
        if ((st = fm_linear_check(&m->linears[i], flat)))
            return st;
    memcpy(m->theta, flat, n * sizeof *flat);
    refresh(m);
    fm_tape_set_rows(&m->tape, 0);
    return FM_OK;
}

static void forward(fm_mlp *m, size_t rows)
{
    for (size_t i = 0; i < m->config.layers; i++) {
        fm_linear_forward(&m->linears[i], m->panels, &m->x[i], 0, rows, false, &m->x[i + 1]);
        if (i + 1 < m->config.layers)
            fm_activate(m->config.activation, m->x[i + 1].v, m->slope[i + 1],
                        rows * m->x[i + 1].stride);
    }
}

fm_status fm_mlp_backward(fm_mlp *m, const float *x, const float *y, const uint32_t *index,
                          size_t rows, float *losses)
{
    if (!m || (rows && (!x || !y || !index)) || rows > m->max_rows)
        return fm_fail(FM_EINVAL, "mlp: a batch of %zu records does not fit", rows);
    const size_t last = m->config.layers;

    fm_rows_gather(&m->x[0], x, index, rows);
    forward(m, rows);
    for (size_t i = 0; i < rows; i++) {
        const double value = fm_loss_classes(fm_rows_at(&m->x[last], i), m->x[last].n, y[index[i]],
                                             m->class_weights, fm_rows_at(&m->g[last], i));

        if (losses)
            losses[i] = (float)value;
    }
    for (size_t i = last; i-- > 1;) {
        fm_linear_backward(&m->linears[i], m->panels, &m->g[i + 1], 0, rows, false, &m->g[i]);
        for (size_t k = 0; k < rows * m->g[i].stride; k++)
            m->g[i].v[k] *= m->slope[i][k];
    }
    fm_tape_set_rows(&m->tape, rows);
    return FM_OK;
}

void fm_mlp_unit_squares(fm_mlp *m, const uint32_t *ends, size_t units, double *out)
{
    fm_tape_unit_squares(&m->tape, ends, units, out);
}

void fm_mlp_add_units(fm_mlp *m, const uint32_t *ends, size_t units, const double *factors,
                      int64_t limit, int32_t *sum, uint64_t *squares)
{
    fm_tape_add_units(&m->tape, ends, units, factors, limit, sum, squares);
}

void fm_mlp_weighted_sum(fm_mlp *m, const float *weights, float *out)
{
    fm_tape_weighted_sum(&m->tape, weights, out);
}

void fm_mlp_unit_gradient(const fm_mlp *m, size_t i, float *out)
{
    memset(out, 0, m->parameters * sizeof *out);
    fm_tape_add_row_gradient(&m->tape, i, out);
}
