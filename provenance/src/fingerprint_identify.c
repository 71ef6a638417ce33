/* Whose copy it is: the signs of each name against what is left of the marks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fingerprint_internal.h"

typedef struct {
    const fm_fingerprint_key *key;
    const char *const *names;
    size_t count;
    double strength;
    double *sums;   /* [count]: sum of c b */
    double squares; /* sum of c^2 */
    fm_fingerprint_facts facts;
} comparison;

/** Work space for one step of rows. */
typedef struct {
    float *mine, *theirs; /* theirs becomes c */
    uint8_t *signs;
    void *raw;
} room;

static void room_free(room *r)
{
    free(r->mine);
    free(r->theirs);
    free(r->signs);
    free(r->raw);
}

static fm_status room_make(const fm_matrix *m, room *r)
{
    const size_t n = fm_matrix_step(m) * m->columns;
    fm_status st;

    if ((st = fm_alloc(n, sizeof *r->mine, (void **)&r->mine)) != FM_OK ||
        (st = fm_alloc(n, sizeof *r->theirs, (void **)&r->theirs)) != FM_OK ||
        (st = fm_alloc(fm_matrix_step(m) * ((m->columns + 7) / 8), 1, (void **)&r->signs)) != FM_OK)
        return st;
    return fm_alloc(n, sizeof(float), &r->raw);
}

/** c of one row, in place of the leaked copy's weights; returns the sum of its squares. A value
 * that is no number says nothing. */
static double compare_row(const float *mine, float *theirs, size_t columns, double strength)
{
    const float unit = (float)(strength * fm_row_size(mine, columns));
    const float cut = (float)FM_FINGERPRINT_CUT;
    double sum = 0.0, squares = 0.0;
    float weight;

    for (size_t i = 0; i < columns; i++) {
        const float u = unit > 0.0f ? (theirs[i] - mine[i]) / unit : 0.0f;

        theirs[i] = isfinite(u) ? u : 0.0f;
        sum += fabsf(theirs[i]);
    }
    weight = 1.0f / (float)fmax(1.0, sum / (double)columns);
    for (size_t i = 0; i < columns; i++) {
        theirs[i] = weight * fminf(fmaxf(theirs[i], -cut), cut);
        squares += (double)theirs[i] * theirs[i];
    }
    return squares;
}

static double signed_sum(const float *c, const uint8_t *signs, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++)
        sum += (signs[i / 8] >> (i % 8)) & 1 ? (double)c[i] : -(double)c[i];
    return sum;
}

static fm_status add_name(comparison *k, size_t i, const fm_matrix *m, size_t row, size_t rows,
                          const room *r)
{
    const size_t bytes = (m->columns + 7) / 8;
    fm_direction d;
    fm_status st = fm_direction_of(k->key, k->names[i], m->view->name, &d);

    if (st != FM_OK)
        return st;
    fm_direction_signs(&d, row, rows, m->columns, r->signs);
    for (size_t j = 0; j < rows; j++)
        k->sums[i] += signed_sum(r->theirs + j * m->columns, r->signs + j * bytes, m->columns);
    sodium_memzero(&d, sizeof d);
    return FM_OK;
}

static fm_status compare(comparison *k, const fm_matrix *m, const fm_matrix *leaked)
{
    const size_t step = fm_matrix_step(m);
    room r = { 0 };
    fm_status st = room_make(m, &r);

    for (size_t row = 0; st == FM_OK && row < m->rows; row += step) {
        const size_t rows = m->rows - row < step ? m->rows - row : step;

        if ((st = fm_matrix_read(m, row, rows, r.raw, r.mine)) != FM_OK ||
            (st = fm_matrix_read(leaked, row, rows, r.raw, r.theirs)) != FM_OK)
            break;
        for (size_t j = 0; j < rows; j++)
            k->squares += compare_row(r.mine + j * m->columns, r.theirs + j * m->columns,
                                      m->columns, k->strength);
        for (size_t i = 0; st == FM_OK && i < k->count; i++)
            st = add_name(k, i, m, row, rows, &r);
    }
    room_free(&r);
    k->facts.tensors++;
    k->facts.values += m->rows * m->columns;
    return st;
}

/** Of two tensors of one name the first counts: the same signs twice would not be as many coins. */
static bool is_counted(const fm_weights *w, size_t file, const char *name)
{
    for (size_t i = 0; i < file; i++)
        if (fm_safetensors_find(w->files[i], name))
            return true;
    return false;
}

static fm_status compare_all(comparison *k, const fm_weights *original, const fm_weights *leaked)
{
    fm_status st = FM_OK;

    for (size_t f = 0; f < original->count; f++) {
        const fm_safetensors *file = original->files[f];

        for (size_t i = 0; st == FM_OK && i < fm_safetensors_count(file); i++) {
            const fm_tensor_view *v = fm_safetensors_at(file, i);
            fm_matrix mine, theirs;

            if (!is_counted(original, f, v->name) && fm_matrix_of(file, v, &mine) &&
                fm_matrix_find(leaked, &mine, &theirs))
                st = compare(k, &mine, &theirs);
        }
    }
    if (st == FM_OK && k->facts.tensors == 0)
        st = fm_fail(FM_EINVAL, "the two models have no large matrix of the same name and shape in "
                                "common: give the original that the copies were marked from");
    return st;
}

static fm_fingerprint_match judge(double sum, double squares, size_t names)
{
    fm_fingerprint_match m = { .z = squares > 0.0 ? sum / sqrt(squares) : 0.0, .p = 1.0 };

    if (m.z > 0.0)
        m.p = fmin(1.0, (double)names * exp(-0.5 * m.z * m.z));
    return m;
}

fm_status fm_fingerprint_identify(const fm_fingerprint_key *k, const char *const *names,
                                  size_t count, double strength, const char *original,
                                  const char *leaked, fm_fingerprint_match *matches,
                                  fm_fingerprint_facts *facts)
{
    comparison c = { .key = k, .names = names, .count = count, .strength = strength };
    fm_weights mine = { 0 }, theirs = { 0 };
    fm_status st = FM_OK;

    if (!k || !names || !original || !leaked || !matches || !facts || count == 0 ||
        count > FM_FINGERPRINT_NAMES_MAX || !(strength > 0.0 && strength <= 0.1))
        return fm_fail(FM_EINVAL,
                       "fingerprint: 1 to %zu names, and a strength above 0 and up to 0.1",
                       FM_FINGERPRINT_NAMES_MAX);
    for (size_t i = 0; st == FM_OK && i < count; i++)
        st = fm_recipient_check(names[i]);
    if (st == FM_OK && (st = fm_alloc(count, sizeof *c.sums, (void **)&c.sums)) == FM_OK &&
        (st = fm_weights_open(original, &mine)) == FM_OK &&
        (st = fm_weights_open(leaked, &theirs)) == FM_OK &&
        (st = compare_all(&c, &mine, &theirs)) == FM_OK) {
        for (size_t i = 0; i < count; i++)
            matches[i] = judge(c.sums[i], c.squares, count);
        *facts = c.facts;
    }
    fm_weights_close(&theirs);
    fm_weights_close(&mine);
    free(c.sums);
    return st;
}
