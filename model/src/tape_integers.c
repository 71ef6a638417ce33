/*
 * Units' gradients as integers, and their sum: docs/model.md, "How a unit becomes integers".
 *
 * For a row with activations a (the bias as one more input, `constant`) and output gradient g, and
 * a unit's factor f in lattice steps per gradient unit, n = f * scale * |a| |g| is the norm of the
 * row's part in lattice steps. a is rounded with r_a, g with r_g = f * scale / r_a. Two passes: the
 * first finds each unit's exact norm and lowers factors until it holds, the second adds.
 *
 * Nothing wraps: with A, G the exact integer norms of a unit's rows, S = sum of A G <= 2^30 is
 * checked for every unit and map, so by Cauchy-Schwarz sums over pairs of rows, squares and single
 * coordinates are at most S^2 = 2^60 or S. Squares of all maps are added with saturation.
 */
#include <math.h>
#include <string.h>

#include "tape.h"

#define MOST_Q 32700.0    /* norm of a row's integers: below what 16 bits hold, rounding included */
#define MOST_ROWS 0x1p29  /* S as it is aimed at; MOST_ROWS < MOST_Q^2 */
#define MOST_EXACT 0x1p30 /* S as it is checked */
#define MOST_SCALE 1e37   /* a float; reached by rows that are next to nothing only */
#define MOST_LIMIT ((int64_t)1 << 24)
#define TRIES 4
#define SHARE_AGAIN 0.5
#define MOST_AGAIN 0x1p-5

static uint64_t add_capped(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* What all rows of a map have in common. */
typedef struct {
    double scale;   /* what a gradient of 1 is multiplied by before it is a parameter's */
    double bias;    /* the input that the bias is the weight of, or 0 */
    double balance; /* sqrt(in / out) */
} map_figures;

static map_figures figures_of(const fm_linear *l)
{
    const double scale = l->w ? l->weight_scale : l->bias_scale;

    return (map_figures){ .scale = scale,
                          .bias = l->b ? l->bias_scale / scale : 0.0,
                          .balance = sqrt((double)(l->in + 1) / (double)l->out) };
}

static double input_square(const fm_use *u, const map_figures *m, size_t place)
{
    return (u->map->w ? u->a->squares[place] : 0.0) + m->bias * m->bias;
}

/* Of the map's row at `place`: a function of the row, the map and f. */
static void choose_scales(const fm_use *u, const map_figures *m, size_t place, double f)
{
    const double step = f * m->scale, a2 = input_square(u, m, place);
    const double n2 = step * step * (a2 * u->g->squares[place]), n = sqrt(n2);
    double q2 = n * m->balance; /* equal relative errors: A / G = sqrt(in / out), A G = n */

    u->scale_a[place] = u->scale_g[place] = 0.0f;
    u->constant[place] = 0;
    if (!(n2 > 0.0 && n <= MOST_EXACT))
        return;
    q2 = q2 < n2 / (MOST_Q * MOST_Q) ? n2 / (MOST_Q * MOST_Q) : q2;
    q2 = q2 > MOST_Q * MOST_Q ? MOST_Q * MOST_Q : q2;
    q2 = sqrt(q2 / a2);
    u->scale_a[place] = q2 < MOST_SCALE ? (float)q2 : (float)MOST_SCALE;
    q2 = step / (double)u->scale_a[place];
    u->scale_g[place] = q2 < MOST_SCALE ? (float)q2 : (float)MOST_SCALE;
    /* bias^2 <= a2, so this is at most MOST_Q. */
    u->constant[place] = (int32_t)lrint(m->bias * (double)u->scale_a[place]);
}

/* Of rows [first, last), by the factors of their units. */
static void choose_all(const fm_tape *t, const fm_use *u, size_t first, size_t last)
{
    const map_figures m = figures_of(u->map);

    for (size_t p = first; p < last; p++)
        choose_scales(u, &m, p, t->factors[fm_use_unit(t, u, p)]);
}

/* Where the pieces of scratch lie: integers of a, then those of g. */
typedef struct {
    uint32_t *a, *g;
} pairs;

static size_t aligned(size_t words)
{
    return (words + 15) / 16 * 16;
}

static size_t capacity(const fm_tape *t, const fm_linear *l)
{
    const size_t fit = (t->scratch_words - 32) / (l->in + l->out) * 2;

    return fit < t->chunk.capacity ? fit : t->chunk.capacity;
}

/* Rows [first, first + rows) as integers, by the scales that were chosen; squares, the bias' input
 * included. rows within the capacity. */
static pairs quantise(fm_tape *t, const fm_use *u, size_t first, size_t rows)
{
    const fm_linear *l = u->map;
    const fm_chunk *c = &t->chunk;
    pairs p = { (uint32_t *)(void *)t->scratch, NULL };

    p.g = p.a + aligned((rows + 1) / 2 * l->in);
    if (l->w)
        fm_kernel_quantise(fm_rows_at(u->a, first), rows, l->in, u->scale_a + first, p.a,
                           c->square_a);
    else
        memset(c->square_a, 0, rows * sizeof *c->square_a);
    fm_kernel_quantise(fm_rows_at(u->g, first), rows, l->out, u->scale_g + first, p.g, c->square_g);
    for (size_t i = 0; i < rows; i++)
        c->square_a[i] += (uint64_t)((int64_t)u->constant[first + i] * u->constant[first + i]);
    return p;
}

/* Row i's A G. */
static double size_of(const fm_chunk *c, size_t i)
{
    return sqrt((double)c->square_a[i]) * sqrt((double)c->square_g[i]);
}

/* Exact square of one unit's rows [first + s, first + e), rows s to e of the chunk. */
static uint64_t paired_square(const fm_tape *t, const fm_use *u, size_t first, pairs p, size_t s,
                              size_t e)
{
    const fm_chunk *c = &t->chunk;
    const fm_linear *l = u->map;
    const int32_t *constant = u->constant + first;
    double size = 0.0;
    int64_t sum = 0;

    for (size_t i = s; i < e; i++)
        size += size_of(c, i);
    if (!(size <= MOST_EXACT))
        return UINT64_MAX;
    for (size_t i = s; i < e; i++) {
        sum += (int64_t)(c->square_a[i] * c->square_g[i]);
        for (size_t j = s; j < i; j++) {
            int64_t a = (int64_t)constant[i] * constant[j];

            if (l->w)
                a += fm_dot_pairs(p.a, l->in, i, j);
            sum += 2 * a * fm_dot_pairs(p.g, l->out, i, j);
        }
    }
    return (uint64_t)sum;
}

/* constant[rows] in pairs. */
static void pair_constants(const fm_chunk *c, const int32_t *constant, size_t rows)
{
    for (size_t i = 0; i < rows; i += 2) {
        const uint32_t high = i + 1 < rows ? (uint32_t)constant[i + 1] : 0;

        c->constants[i / 2] = (uint32_t)constant[i] | high << 16;
    }
}

static uint64_t sum_of_squares(const int32_t *v, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (uint64_t)((int64_t)v[i] * v[i]);
    return sum;
}

/* Columns [at, at + FM_STRIPE) of the sum of a unit's rows [first, last), written down. */
static uint64_t stripe(fm_tape *t, const fm_use *u, size_t first, size_t last, size_t at)
{
    const fm_linear *l = u->map;
    const size_t columns = l->out - at < FM_STRIPE ? l->out - at : FM_STRIPE;
    float *g = t->scratch;
    uint32_t *pg = (uint32_t *)(void *)(g + FM_PAIRED_ROWS * FM_STRIPE);
    uint32_t *pa = pg + FM_PAIRED_ROWS * FM_STRIPE;
    int32_t *sum = (int32_t *)(void *)(pa + aligned(FM_PAIRED_ROWS / 2 * l->in));
    int32_t bias[FM_STRIPE] = { 0 };
    const fm_chunk *c = &t->chunk;

    memset(sum, 0, columns * l->in * sizeof *sum);
    for (size_t p = first; p < last; p += FM_PAIRED_ROWS) {
        const size_t rows = last - p < FM_PAIRED_ROWS ? last - p : FM_PAIRED_ROWS;

        for (size_t i = 0; i < rows; i++)
            memcpy(g + i * FM_STRIPE, fm_rows_at(u->g, p + i) + at, columns * sizeof *g);
        fm_kernel_quantise(g, rows, columns, u->scale_g + p, pg, c->square_g);
        if (l->w) {
            fm_kernel_quantise(fm_rows_at(u->a, p), rows, l->in, u->scale_a + p, pa, c->square_a);
            fm_kernel_outer(pg, pa, (rows + 1) / 2, columns, l->in, sum);
        }
        pair_constants(c, u->constant + p, rows);
        fm_kernel_outer(c->constants, pg, (rows + 1) / 2, 1, columns, bias);
    }
    return sum_of_squares(sum, columns * l->in) + sum_of_squares(bias, columns);
}

static uint64_t striped_square(fm_tape *t, const fm_use *u, size_t first, size_t last)
{
    double size = 0.0;
    uint64_t sum = 0;

    for (size_t p = first; p < last; p += FM_PAIRED_ROWS) {
        const size_t rows = last - p < FM_PAIRED_ROWS ? last - p : FM_PAIRED_ROWS;

        (void)quantise(t, u, p, rows);
        for (size_t i = 0; i < rows; i++)
            size += size_of(&t->chunk, i);
    }
    if (!(size <= MOST_EXACT))
        return UINT64_MAX;
    for (size_t at = 0; at < u->map->out; at += FM_STRIPE)
        sum += stripe(t, u, first, last, at);
    return sum;
}

/* Add to each unit's square what rows [first, last) of one map come to. */
static void add_squares(fm_tape *t, const fm_use *u, size_t first, size_t last, uint64_t *squares)
{
    const size_t most = capacity(t, u->map);

    choose_all(t, u, first, last);
    for (size_t p = first; p < last;) {
        size_t end = p, next;
        pairs q;

        /* As many whole runs as fit, of those that go by pairs. */
        while (end < last && (next = fm_use_run(t, u, end, last)) - p <= most &&
               fm_tape_by_pairs(u->map, next - end))
            end = next;
        if (end == p) {
            uint64_t *to = &squares[fm_use_unit(t, u, p)];

            end = fm_use_run(t, u, p, last);
            *to = add_capped(*to, striped_square(t, u, p, end));
            p = end;
            continue;
        }
        q = quantise(t, u, p, end - p);
        for (size_t s = p; s < end; s = next) {
            uint64_t *to = &squares[fm_use_unit(t, u, s)];

            next = fm_use_run(t, u, s, end);
            *to = add_capped(*to, paired_square(t, u, p, q, s - p, next - p));
        }
        p = end;
    }
}

/* Round one unit, whose rows are [from, to), by its factor; its square. */
static void round_unit(fm_tape *t, size_t unit, size_t from, size_t to, uint64_t *squares)
{
    squares[unit] = 0;
    for (size_t n = 0; n < t->use_count; n++) {
        size_t first, last;

        fm_use_places(t, &t->uses[n], from, to, &first, &last);
        if (last > first)
            add_squares(t, &t->uses[n], first, last, squares);
    }
}

/* What a factor is lowered to, of a unit that is `ratio` >= 1 times as long as the limit: what
 * rounding added it may add again, and more or less of it where it is much. */
static double lowered(double factor, double ratio, double margin)
{
    const double again = SHARE_AGAIN * fmin(ratio - 1.0, MOST_AGAIN);

    return factor / ratio * (1.0 - margin - again);
}

/* Lower the factors of all units whose integers are longer than the limit; to 0 when the margin is
 * 1. @return how many there are. */
static size_t lower_factors(fm_tape *t, size_t units, int64_t limit, double margin,
                            const uint64_t *squares)
{
    const uint64_t most = (uint64_t)(limit * limit);
    size_t over = 0;

    for (size_t i = 0; i < units; i++)
        if (squares[i] > most) {
            const double ratio = sqrt((double)squares[i]) / (double)limit;

            t->factors[i] = margin < 1.0 ? lowered(t->factors[i], ratio, margin) : 0.0;
            over++;
        }
    return over;
}

static void round_all(fm_tape *t, size_t units, uint64_t *squares)
{
    memset(squares, 0, units * sizeof *squares);
    for (size_t i = 0; i < t->use_count; i++) {
        size_t first, last;

        fm_use_range(t, &t->uses[i], &first, &last);
        add_squares(t, &t->uses[i], first, last, squares);
    }
}

/* Round anew, by factors that were lowered, the units that were longer than the limit. */
static void round_long(fm_tape *t, const uint32_t *ends, size_t units, int64_t limit,
                       uint64_t *squares)
{
    size_t from = 0;

    for (size_t i = 0; i < units; i++) {
        const size_t to = ends ? ends[i] : i + 1;

        if (squares[i] > (uint64_t)(limit * limit))
            round_unit(t, i, from, to, squares);
        from = to;
    }
}

/* Lower factors until the integers of all units are within the limit. Where most of them are not,
 * which is so when all are clipped, all are rounded anew at once: to the same integers as before
 * where the factor is. */
static void hold(fm_tape *t, const uint32_t *ends, size_t units, int64_t limit, uint64_t *squares)
{
    double margin = 0x1p-10;

    for (int i = 0; i <= TRIES; i++, margin *= 8.0) {
        const size_t over = lower_factors(t, units, limit, i < TRIES ? margin : 1.0, squares);

        if (over == 0)
            return;
        if (over > units / 2)
            round_all(t, units, squares);
        else
            round_long(t, ends, units, limit, squares);
    }
}

/* So that S is at most MOST_ROWS in every map, before rounding; 0 for a unit that is not finite. */
static void cap_factors(fm_tape *t, const fm_use *u)
{
    const map_figures m = figures_of(u->map);
    size_t first, last;

    fm_use_range(t, u, &first, &last);
    for (size_t p = first; p < last;) {
        double *f = &t->factors[fm_use_unit(t, u, p)], size = 0.0;

        for (const size_t end = fm_use_run(t, u, p, last); p < end; p++)
            size += sqrt(input_square(u, &m, p) * u->g->squares[p]);
        size *= m.scale;
        if (!isfinite(size))
            *f = 0.0;
        else if (*f * size > MOST_ROWS)
            *f = MOST_ROWS / size;
    }
}

static void add_integers(fm_tape *t, const fm_use *u, int32_t *sum)
{
    const fm_linear *l = u->map;
    const size_t most = capacity(t, l);
    size_t first, last;

    fm_use_range(t, u, &first, &last);
    for (size_t p = first, rows; p < last; p += rows) {
        pairs q;

        rows = last - p < most ? last - p : most;
        q = quantise(t, u, p, rows);
        if (l->w) {
            fm_fetch_sum(sum + l->weight, l->in * l->out);
            fm_kernel_outer(q.g, q.a, (rows + 1) / 2, l->out, l->in, sum + l->weight);
        }
        if (!l->b)
            continue;
        pair_constants(&t->chunk, u->constant + p, rows);
        fm_kernel_outer(t->chunk.constants, q.g, (rows + 1) / 2, 1, l->out, sum + l->bias);
    }
}

void fm_tape_add_units(fm_tape *t, const uint32_t *ends, size_t units, const double *factors,
                       int64_t limit, int32_t *sum, uint64_t *squares)
{
    limit = limit < 0 ? 0 : limit > MOST_LIMIT ? MOST_LIMIT : limit;
    fm_tape_prepare(t, ends, units);
    for (size_t i = 0; i < units; i++)
        t->factors[i] = isfinite(factors[i]) && factors[i] > 0.0 ? factors[i] : 0.0;
    for (size_t i = 0; i < t->use_count; i++)
        cap_factors(t, &t->uses[i]);
    round_all(t, units, squares);
    hold(t, ends, units, limit, squares);
    for (size_t i = 0; i < t->use_count; i++)
        add_integers(t, &t->uses[i], sum);
}
