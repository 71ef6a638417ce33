/* Weights from disk into the flat vector, a piece at a time. */
#include <stdlib.h>
#include <string.h>

#include "decoder_folder_internal.h"

typedef struct {
    const fm_decoder_folder *f;
    uint8_t *bytes; /* [4 * FM_FOLDER_PIECE] */
    float *piece;   /* [FM_FOLDER_PIECE] */
    float *flat;
} reader;

static fm_status fail(const reader *r, const fm_folder_tensor *t, fm_status st, const char *what)
{
    return fm_fail(st, "%s: tensor '%.200s' %s", r->f->dir, t->view->name, what);
}

/* `n` values from the tensor's element `from`, for flat[to]. */
static fm_status read_piece(reader *r, const fm_folder_tensor *t, size_t from, size_t n, size_t to)
{
    const size_t element = fm_floats_element(t->view->dtype);
    float *into = t->role == FM_TENSOR_TWIN ? r->piece : r->flat + to;
    fm_status st = fm_safetensors_read(t->file, t->view, from * element, n * element, r->bytes);

    if (st != FM_OK)
        return st;
    if (!fm_floats_decode(t->view->dtype, r->bytes, n, into))
        return fail(r, t, FM_EPROTO, "is not of floats");
    if (!fm_floats_finite(into, n))
        return fail(r, t, FM_ENONFINITE, "holds a value that is not finite");
    if (t->role == FM_TENSOR_TWIN && memcmp(into, r->flat + to, n * sizeof *into) != 0)
        return fail(r, t, FM_EPROTO, "is not the embedding, although tie_word_embeddings is true");
    return FM_OK;
}

static fm_status read_run(reader *r, const fm_folder_tensor *t, size_t from, size_t to)
{
    fm_status st = FM_OK;

    for (size_t done = 0; done < t->place.piece && st == FM_OK; done += FM_FOLDER_PIECE) {
        const size_t left = t->place.piece - done;

        st = read_piece(r, t, from + done, left < FM_FOLDER_PIECE ? left : FM_FOLDER_PIECE,
                        to + done);
    }
    return st;
}

static fm_status read_tensor(reader *r, const fm_folder_tensor *t)
{
    const fm_tensor_place *p = &t->place;
    size_t from = 0;
    fm_status st = FM_OK;

    for (size_t g = 0; g < p->groups && st == FM_OK; g++)
        for (size_t part = 0; part < p->parts && st == FM_OK; part++, from += p->piece)
            st = read_run(r, t, from, p->part[part] + g * p->stride);
    return st;
}

/* Twins come last: what they are held against must be there. */
static fm_status read_role(reader *r, fm_tensor_role role)
{
    fm_status st = FM_OK;

    for (size_t i = 0; i < r->f->count && st == FM_OK; i++)
        if (r->f->tensors[i].role == role)
            st = read_tensor(r, &r->f->tensors[i]);
    return st;
}

fm_status fm_decoder_folder_read(const fm_decoder_folder *f, float *flat)
{
    reader r = { .f = f, .flat = flat };
    void *fresh;
    fm_status st;

    if (!f || !flat)
        return fm_fail(FM_EINVAL, "fm_decoder_folder_read: an argument is missing");
    if ((st = fm_alloc(FM_FOLDER_PIECE, 4 + sizeof *r.piece, &fresh)) != FM_OK)
        return st;
    r.piece = fresh;
    r.bytes = (uint8_t *)(r.piece + FM_FOLDER_PIECE);
    if ((st = read_role(&r, FM_TENSOR_USED)) == FM_OK)
        st = read_role(&r, FM_TENSOR_TWIN);
    free(fresh);
    return st;
}

static int compare_runs(const void *a, const void *b)
{
    const fm_folder_run *x = a, *y = b;

    return x->to < y->to ? -1 : x->to > y->to;
}

fm_status fm_folder_list_runs(fm_decoder_folder *f)
{
    size_t n = 0;
    void *fresh;
    fm_status st;

    for (size_t i = 0; i < f->count; i++)
        if (f->tensors[i].role == FM_TENSOR_USED)
            n += f->tensors[i].place.groups * f->tensors[i].place.parts;
    if ((st = fm_alloc(n, sizeof *f->runs, &fresh)) != FM_OK)
        return st;
    f->runs = fresh;
    for (size_t i = 0; i < f->count; i++) {
        const fm_folder_tensor *t = &f->tensors[i];
        const fm_tensor_place *p = &t->place;

        if (t->role != FM_TENSOR_USED)
            continue;
        for (size_t k = 0; k < p->groups * p->parts; k++)
            f->runs[f->run_count++] = (fm_folder_run){
                .to = p->part[k % p->parts] + k / p->parts * p->stride,
                .count = p->piece,
                .from = k * p->piece,
                .tensor = t,
            };
    }
    qsort(f->runs, f->run_count, sizeof *f->runs, compare_runs);
    return FM_OK;
}

static int compare_place(const void *key, const void *item)
{
    const size_t at = *(const size_t *)key;
    const fm_folder_run *run = item;

    return at < run->to ? -1 : at >= run->to + run->count;
}

fm_status fm_decoder_folder_read_at(const fm_decoder_folder *f, size_t offset, size_t n, float *out)
{
    reader r = { .f = f, .flat = out };
    const fm_folder_run *run;
    void *fresh;
    fm_status st;

    if (!f || !out)
        return fm_fail(FM_EINVAL, "fm_decoder_folder_read_at: an argument is missing");
    run = bsearch(&offset, f->runs, f->run_count, sizeof *run, compare_place);
    if (!run || n > run->to + run->count - offset)
        return fm_fail(FM_EINVAL, "%s: %zu values from %zu are not of one tensor", f->dir, n,
                       offset);
    if ((st = fm_alloc(n < FM_FOLDER_PIECE ? n : FM_FOLDER_PIECE, sizeof *out, &fresh)) != FM_OK)
        return st;
    r.bytes = fresh;
    for (size_t done = 0; done < n && st == FM_OK; done += FM_FOLDER_PIECE) {
        const size_t left = n - done;

        st = read_piece(&r, run->tensor, run->from + (offset - run->to) + done,
                        left < FM_FOLDER_PIECE ? left : FM_FOLDER_PIECE, done);
    }
    free(fresh);
    return st;
}
