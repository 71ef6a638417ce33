/*
 * What a backward pass leaves behind, and what is made of it: norms of units, weighted sums, sums
 * in integers. For each linear map of a model the rows of activations a and output gradients g that
 * went through it; a row's gradient of the map is weight_scale * g (x) a, and of its bias
 * bias_scale * g. Never a unit's gradient in memory.
 *
 * Source: Goodfellow 2015, arXiv:1510.01799; Bu et al. 2023, arXiv:2210.00038. The integers:
 * docs/model.md, "How a unit becomes integers".
 */
#ifndef FEDMOE_MODEL_TAPE_H
#define FEDMOE_MODEL_TAPE_H

#include "linear.h"

/* Rows of a batch sorted by expert, then by row. N rows, k choices each, E experts. */
typedef struct {
    size_t k;
    uint32_t *routes; /* [N, k] experts, increasing */
    uint32_t *places; /* [N, k] where that pair lies in the sorted order */
    size_t *starts;   /* [E + 1] ranges of the sorted order */
    uint32_t *order;  /* [N * k] row of each pair */
} fm_dispatch;

void fm_dispatch_carve(fm_carver *c, size_t max_rows, size_t experts, size_t k, fm_dispatch *d);
/* starts, places and order from the routes of so many rows. */
void fm_dispatch_sort(fm_dispatch *d, size_t experts, size_t rows);

/* One linear map's part. */
typedef struct {
    const fm_linear *map;
    const fm_rows *a;            /* [., in] */
    const fm_rows *g;            /* [., out] */
    const fm_dispatch *dispatch; /* NULL: row i is the batch's; else sorted order */
    size_t expert;
    float *scale_a, *scale_g; /* what each row was rounded with last, by its place */
    int32_t *constant;        /* the bias as one more input, rounded */
} fm_use;

/* Of the integers of some rows of one map. */
typedef struct {
    size_t capacity;     /* rows, even */
    uint32_t *constants; /* in pairs */
    uint64_t *square_a, *square_g;
} fm_chunk;

/* Parameters [first, last). */
typedef struct {
    size_t first, last;
} fm_span;

typedef struct {
    size_t parameters, max_rows, rows; /* of the batch that is kept */
    fm_use *uses;
    size_t use_count;
    fm_span *gaps; /* what no map has */
    size_t gap_count;
    const fm_rows **signals; /* every a and g, once */
    size_t signal_count;
    bool normed;       /* the squares of all signals' rows belong to this batch */
    uint32_t *unit_of; /* [N] unit of each row */
    double *factors;   /* [N] of each unit */
    fm_chunk chunk;
    float *scratch; /* weighted gradients, or pairs of integers */
    size_t scratch_words;
} fm_tape;

/* @param most uses of the model. */
FM_NODISCARD fm_status fm_tape_init(fm_tape *t, size_t most, size_t max_rows, size_t parameters);
void fm_tape_fini(fm_tape *t);
void fm_tape_use(fm_tape *t, const fm_linear *map, const fm_rows *a, const fm_rows *g,
                 const fm_dispatch *dispatch, size_t expert);
/* After all uses. */
void fm_tape_carve(fm_carver *c, fm_tape *t);
/* A backward pass over so many rows is complete (0: what was kept is gone). */
void fm_tape_set_rows(fm_tape *t, size_t rows);

/* As fm_tabular_unit_squares and the others of these names. */
void fm_tape_unit_squares(fm_tape *t, const uint32_t *ends, size_t units, double *out);
void fm_tape_weighted_sum(fm_tape *t, const float *weights, float *out);
void fm_tape_add_row_gradient(const fm_tape *t, size_t i, float *out);
void fm_tape_add_units(fm_tape *t, const uint32_t *ends, size_t units, const double *factors,
                       int64_t limit, int32_t *sum, uint64_t *squares);

/* Add the gradient of the unit whose rows are [from, to). */
void fm_tape_add_rows_gradient(const fm_tape *t, size_t from, size_t to, float *out);

/* ---- shared by the tape's files ---- */

/* The places of one map that rows went to. */
static inline void fm_use_range(const fm_tape *t, const fm_use *u, size_t *first, size_t *last)
{
    *first = u->dispatch ? u->dispatch->starts[u->expert] : 0;
    *last = u->dispatch ? u->dispatch->starts[u->expert + 1] : t->rows;
}

static inline size_t fm_use_record(const fm_use *u, size_t place)
{
    return u->dispatch ? u->dispatch->order[place] : place;
}

static inline size_t fm_use_unit(const fm_tape *t, const fm_use *u, size_t place)
{
    return t->unit_of[fm_use_record(u, place)];
}

/* The places that rows [from, to), of one unit, went to in one map. */
void fm_use_places(const fm_tape *t, const fm_use *u, size_t from, size_t to, size_t *first,
                   size_t *last);
/* End of the run of places, from `place` on, that belong to the same unit. */
size_t fm_use_run(const fm_tape *t, const fm_use *u, size_t place, size_t last);
/* Fill unit_of, and the squares of all rows if they are not there. */
void fm_tape_prepare(fm_tape *t, const uint32_t *ends, size_t units);
/* Whether the norm of so many rows of one unit is cheaper, pair by pair of rows, than by writing
 * down their sum. */
bool fm_tape_by_pairs(const fm_linear *l, size_t rows);
#define FM_PAIRED_ROWS 16 /* never by pairs above */

/* Columns of g that are written down at once where it is not by pairs; and in float32, where units
 * of a decoder have hundreds of rows: four tiles of a kernel, and as many rows as it takes at once. */
#define FM_STRIPE 16
#define FM_SUMMED_STRIPE 48
#define FM_SUMMED_ROWS 256
/* Up to so many rows all products of two of them at once are cheaper than their sum, by half at least:
 * they may turn out to be of no use. */
#define FM_CROSSED_ROWS 256
size_t fm_tape_crossed_rows(const fm_tape *t, const fm_linear *l);

/* products.c: sums of products in a fixed order. */
double fm_dot_double(const float *a, const float *b, size_t n);
/* Of rows s and t of integers in pairs (kernel.h), exact. */
int64_t fm_dot_pairs(const uint32_t *pairs, size_t n, size_t s, size_t t);

#endif
