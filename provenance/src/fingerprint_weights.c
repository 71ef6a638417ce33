/* The weights of a model as rows of floats. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fedmoe/base/file.h"
#include "fingerprint_internal.h"

#define STEP_BYTES ((size_t)1 << 20)
#define VECTOR_ROW 64 /* a long vector is marked in rows of so many */

/* ---- files ---- */

void fm_weights_close(fm_weights *w)
{
    for (size_t i = 0; i < w->count; i++) {
        free(w->paths[i]);
        fm_safetensors_free(&w->files[i]);
    }
    free(w->paths);
    free(w->files);
    *w = (fm_weights){ 0 };
}

static bool is_weights(const char *name)
{
    static const char end[] = ".safetensors";
    const size_t n = strlen(name);

    return name[0] != '.' && n >= sizeof end && strcmp(name + n - (sizeof end - 1), end) == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static fm_status list_folder(const char *dir, fm_weights *w)
{
    DIR *d = opendir(dir);
    fm_status st = FM_OK;

    if (!d)
        return fm_fail(FM_EIO, "%s: %s", dir, strerror(errno));
    for (const struct dirent *e; st == FM_OK && (e = readdir(d));) {
        if (!is_weights(e->d_name))
            continue;
        if (w->count == FM_WEIGHT_FILES_MAX)
            st = fm_fail(FM_EINVAL, "%s: more than %u files of weights", dir, FM_WEIGHT_FILES_MAX);
        else if ((st = fm_path_join(dir, e->d_name, &w->paths[w->count])) == FM_OK)
            w->count++;
    }
    (void)closedir(d);
    if (st == FM_OK && w->count == 0)
        st = fm_fail(FM_ENOTFOUND, "%s: has no file *.safetensors", dir);
    qsort(w->paths, w->count, sizeof *w->paths, by_name);
    return st;
}

fm_status fm_weights_open(const char *model, fm_weights *out)
{
    fm_weights w = { 0 };
    struct stat info;
    fm_status st;

    if ((st = fm_alloc(FM_WEIGHT_FILES_MAX, sizeof *w.paths, (void **)&w.paths)) != FM_OK ||
        (st = fm_alloc(FM_WEIGHT_FILES_MAX, sizeof *w.files, (void **)&w.files)) != FM_OK)
        goto done;
    if (stat(model, &info) == 0 && S_ISDIR(info.st_mode))
        st = list_folder(model, &w);
    else if ((st = fm_strdup(model, &w.paths[0])) == FM_OK)
        w.count = 1;
    for (size_t i = 0; st == FM_OK && i < w.count; i++)
        st = fm_safetensors_open(w.paths[i], &w.files[i]);
    if (st == FM_OK) {
        *out = w;
        return FM_OK;
    }
done:
    fm_weights_close(&w);
    return st;
}

/* ---- matrices ---- */

static bool shape_rows(const fm_tensor_view *v, size_t *rows, size_t *columns)
{
    size_t n = 1;

    for (size_t i = 0; i < v->dims; i++)
        n *= v->shape[i]; /* within size_t: the file's bytes were checked */
    *columns = v->dims >= 2 ? v->shape[v->dims - 1] : VECTOR_ROW;
    if (n < (v->dims >= 2 ? FM_FINGERPRINT_LEAST : FM_FINGERPRINT_VECTOR) || *columns < 2)
        return false;
    *rows = n / *columns;
    return true;
}

bool fm_matrix_of(const fm_safetensors *file, const fm_tensor_view *v, fm_matrix *out)
{
    *out = (fm_matrix){ .file = file, .view = v };
    return (strcmp(v->dtype, "F32") == 0 || strcmp(v->dtype, "BF16") == 0) &&
           shape_rows(v, &out->rows, &out->columns);
}

static const fm_tensor_view *find_scale(const fm_safetensors *file, const fm_tensor_view *v,
                                        size_t rows)
{
    const fm_tensor_view *scale = NULL;
    char *name = NULL;

    if (asprintf(&name, "%s_scale", v->name) >= 0) {
        scale = fm_safetensors_find(file, name);
        free(name);
    }
    return scale && strcmp(scale->dtype, "F32") == 0 && scale->bytes == 4 * rows ? scale : NULL;
}

static bool same_shape(const fm_tensor_view *a, const fm_tensor_view *b)
{
    return a->dims == b->dims && memcmp(a->shape, b->shape, a->dims * sizeof a->shape[0]) == 0;
}

bool fm_matrix_find(const fm_weights *w, const fm_matrix *like, fm_matrix *out)
{
    const fm_tensor_view *v = NULL;
    size_t i = 0;

    for (; !v && i < w->count; i++)
        v = fm_safetensors_find(w->files[i], like->view->name);
    if (!v || !same_shape(v, like->view))
        return false;
    if (fm_matrix_of(w->files[i - 1], v, out))
        return true;
    out->rows = like->rows;
    out->columns = like->columns;
    out->scale = strcmp(v->dtype, "I8") == 0 ? find_scale(out->file, v, like->rows) : NULL;
    return out->scale != NULL;
}

static size_t value_bytes(const fm_matrix *m)
{
    return m->scale ? 1 : m->view->dtype[0] == 'B' ? 2 : 4;
}

size_t fm_matrix_row_bytes(const fm_matrix *m)
{
    return m->columns * value_bytes(m);
}

size_t fm_matrix_step(const fm_matrix *m)
{
    const size_t rows = STEP_BYTES / (m->columns * sizeof(float));

    return rows == 0 ? 1 : rows < m->rows ? rows : m->rows;
}

static fm_status read_scaled(const fm_matrix *m, size_t row, size_t rows, const int8_t *q,
                             float *out)
{
    for (size_t r = 0; r < rows; r++) {
        float scale;
        const fm_status st =
            fm_safetensors_read(m->file, m->scale, (row + r) * sizeof scale, sizeof scale, &scale);

        if (st != FM_OK)
            return st;
        for (size_t c = 0; c < m->columns; c++)
            out[r * m->columns + c] = scale * (float)q[r * m->columns + c];
    }
    return FM_OK;
}

fm_status fm_matrix_read(const fm_matrix *m, size_t row, size_t rows, void *room, float *out)
{
    const size_t n = rows * m->columns, bytes = value_bytes(m);
    const uint16_t *halves = room;
    fm_status st = fm_safetensors_read(m->file, m->view, row * m->columns * bytes, n * bytes, room);

    if (st != FM_OK)
        return st;
    if (m->scale)
        return read_scaled(m, row, rows, room, out);
    if (bytes == sizeof(float))
        memcpy(out, room, n * bytes);
    else
        for (size_t i = 0; i < n; i++)
            out[i] = fm_bf16_float(halves[i]);
    return FM_OK;
}

float fm_row_size(const float *row, size_t columns)
{
    double sum = 0.0;

    for (size_t c = 0; c < columns; c++)
        sum += (double)row[c] * row[c];
    return isfinite(sum) ? (float)sqrt(sum / (double)columns) : NAN;
}
