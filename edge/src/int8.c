#include "fedmoe/edge/int8.h"

#include "fedmoe/model/kernel.h"
#include "int8_levels.h"

#define INPUTS ((size_t)64)      /* rows of inputs at a time */
#define NEAR ((size_t)16 * 1024) /* bytes of weights that stay in the first cache meanwhile */

static const fm_int8_kernels *kernels(void)
{
    switch (fm_kernel_level()) {
#if defined(__x86_64__)
    case FM_LEVEL_VNNI:
        return &fm_int8_vnni;
    case FM_LEVEL_AVX512:
        return &fm_int8_avx512;
    case FM_LEVEL_AVX2:
        return &fm_int8_avx2;
#endif
    default:
        return &fm_int8_portable;
    }
}

fm_status fm_int8_quantise(const float *x, size_t rows, size_t columns, int8_t *q, float *scale)
{
    const fm_int8_kernels *k = kernels();

    if (columns == 0 || columns > FM_INT8_COLUMNS_MAX)
        return fm_fail(FM_EINVAL, "a row of %zu values cannot be rounded to 8 bits: 1 to %zu",
                       columns, FM_INT8_COLUMNS_MAX);
    for (size_t r = 0; r < rows; r++)
        if (!k->quantise(x + r * columns, columns, q + r * columns, &scale[r]))
            return fm_fail(FM_ENONFINITE, "row %zu: a value is no finite number", r);
    return FM_OK;
}

void fm_int8_row(const fm_int8_matrix *m, size_t row, float *out)
{
    for (size_t c = 0; c < m->columns; c++)
        out[c] = m->scale[row] * (float)m->q[row * m->columns + c];
}

size_t fm_int8_room(size_t columns)
{
    (void)columns;
    return INPUTS * sizeof(uint32_t);
}

/* A product under way: `count` rows of inputs, INPUTS at most; results go to one of the two. */
typedef struct {
    const fm_int8_kernels *k;
    const fm_int8_matrix *m;
    const int8_t *q;
    const float *scale;
    size_t count;
    const uint32_t *offset; /* [count] */
    float *y;
    size_t stride;
    int32_t *sums;
} job;

/* Sums of input i with `n` rows of weights from r on. */
static void put(const job *j, size_t i, size_t r, const uint32_t *sums, size_t n)
{
    const uint32_t less = j->offset[i];

    if (j->sums) {
        for (size_t k = 0; k < n; k++)
            j->sums[i * j->m->rows + r + k] = (int32_t)(sums[k] - less);
        return;
    }
    for (size_t k = 0; k < n; k++)
        j->y[i * j->stride + r + k] =
            (float)(int32_t)(sums[k] - less) * (j->scale[i] * j->m->scale[r + k]);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Rows of weights from r on; in place of those past the last one the last one again. */
static void point(const fm_int8_matrix *m, size_t r, size_t n, const int8_t **w)
{
    for (size_t k = 0; k < n; k++)
        w[k] = m->q + least(r + k, m->rows - 1) * m->columns;
}

static void do_tiles(const job *j, size_t i, size_t first, size_t end)
{
    const size_t columns = j->m->columns;
    const int8_t *w[FM_INT8_TILE], *x[FM_INT8_TILE];
    uint32_t sums[FM_INT8_TILE * FM_INT8_TILE];

    for (size_t k = 0; k < FM_INT8_TILE; k++)
        x[k] = j->q + (i + k) * columns;
    for (size_t r = first; r < end; r += FM_INT8_TILE) {
        point(j->m, r, FM_INT8_TILE, w);
        j->k->tile(w, x, columns, sums);
        for (size_t k = 0; k < FM_INT8_TILE; k++)
            put(j, i + k, r, sums + k * FM_INT8_TILE, least(FM_INT8_TILE, end - r));
    }
}

static void do_rows(const job *j, size_t i, size_t first, size_t end)
{
    const int8_t *w[FM_INT8_ROWS];
    uint32_t sums[FM_INT8_ROWS];

    for (size_t r = first; r < end; r += FM_INT8_ROWS) {
        point(j->m, r, FM_INT8_ROWS, w);
        j->k->rows(w, j->q + i * j->m->columns, j->m->columns, sums);
        put(j, i, r, sums, least(FM_INT8_ROWS, end - r));
    }
}

/* Weights pass once: a block of them meets all inputs before the next one. */
static void do_block(const job *j)
{
    const size_t fit = NEAR / j->m->columns / FM_INT8_ROWS * FM_INT8_ROWS;
    const size_t block = fit ? fit : FM_INT8_ROWS;
    const size_t tiled = j->count / FM_INT8_TILE * FM_INT8_TILE;

    for (size_t r = 0; r < j->m->rows; r += block) {
        const size_t end = least(r + block, j->m->rows);

        for (size_t i = 0; i < tiled; i += FM_INT8_TILE)
            do_tiles(j, i, r, end);
        for (size_t i = tiled; i < j->count; i++)
            do_rows(j, i, r, end);
    }
}

static void run(job j, size_t count, void *room)
{
    uint32_t *offset = room;

    j.k = kernels();
    j.offset = offset;
    for (size_t i = 0; i < count; i += INPUTS) {
        j.count = least(INPUTS, count - i);
        for (size_t k = 0; k < j.count; k++)
            offset[k] =
                j.k->offset ? j.k->offset(j.q + k * j.m->columns, j.m->columns) : UINT32_C(0);
        do_block(&j);
        j.q += j.count * j.m->columns;
        if (j.sums) {
            j.sums += j.count * j.m->rows;
        } else {
            j.scale += j.count;
            j.y += j.count * j.stride;
        }
    }
}

void fm_int8_sums(const fm_int8_matrix *m, const int8_t *q, size_t count, int32_t *sums, void *room)
{
    run((job){ .m = m, .q = q, .sums = sums }, count, room);
}

void fm_int8_product(const fm_int8_matrix *m, const int8_t *q, const float *scale, size_t count,
                     float *y, size_t stride, void *room)
{
    run((job){ .m = m, .q = q, .scale = scale, .y = y, .stride = stride }, count, room);
}

void fm_int8_product_float(const fm_int8_matrix *m, const float *x, size_t x_stride, size_t count,
                           float *y, size_t y_stride)
{
    const fm_int8_kernels *k = kernels();
    const int8_t *w[FM_INT8_TILE];
    float sums[FM_INT8_TILE];

    for (size_t r = 0; r < m->rows; r += FM_INT8_TILE) {
        const size_t n = least(FM_INT8_TILE, m->rows - r);

        point(m, r, FM_INT8_TILE, w);
        for (size_t i = 0; i < count; i++) {
            k->floats(w, x + i * x_stride, m->columns, sums);
            for (size_t a = 0; a < n; a++)
                y[i * y_stride + r + a] = m->scale[r + a] * sums[a];
        }
    }
}
