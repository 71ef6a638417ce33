/* A copy that carries a recipient's mark. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sodium.h>

#include "fedmoe/base/file.h"
#include "fedmoe/provenance/derivation.h"
#include "fingerprint_internal.h"

typedef struct {
    const fm_fingerprint_key *key;
    const char *recipient;
    double strength;
    fm_fingerprint_facts facts;
} marker;

/** To nearest, ties to even: what the formats' own converters do. */
static uint16_t to_bf16(float v)
{
    union {
        float value;
        uint32_t bits;
    } u = { v };

    return (uint16_t)((u.bits + 0x7fffu + ((u.bits >> 16) & 1u)) >> 16);
}

/** @param values  room for a row. @param row  as it lies in the file, changed in place. */
static fm_status mark_row(const marker *k, const fm_matrix *m, const uint8_t *signs, float *values,
                          uint8_t *row)
{
    const size_t bytes = fm_matrix_row_bytes(m) / m->columns;
    uint16_t half;
    float size;

    for (size_t c = 0; c < m->columns; c++) {
        memcpy(bytes == 2 ? (void *)&half : (void *)&values[c], row + c * bytes, bytes);
        if (bytes == 2)
            values[c] = fm_bf16_float(half);
    }
    size = (float)k->strength * fm_row_size(values, m->columns);
    if (!isfinite(size))
        return fm_fail(FM_ENONFINITE, "%s: a value is no finite number", m->view->name);
    for (size_t c = 0; c < m->columns; c++) {
        values[c] += (signs[c / 8] >> (c % 8)) & 1 ? size : -size;
        half = bytes == 2 ? to_bf16(values[c]) : 0;
        memcpy(row + c * bytes, bytes == 2 ? (void *)&half : (void *)&values[c], bytes);
    }
    return FM_OK;
}

/** @param data  the tensor's values, changed in place. */
static fm_status mark_tensor(marker *k, const fm_matrix *m, uint8_t *data)
{
    fm_direction d;
    void *signs = NULL, *values = NULL;
    fm_status st;

    if ((st = fm_alloc((m->columns + 7) / 8, 1, &signs)) != FM_OK ||
        (st = fm_alloc(m->columns, sizeof(float), &values)) != FM_OK ||
        (st = fm_direction_of(k->key, k->recipient, m->view->name, &d)) != FM_OK)
        goto done;
    for (size_t r = 0; st == FM_OK && r < m->rows; r++) {
        fm_direction_signs(&d, r, 1, m->columns, signs);
        st = mark_row(k, m, signs, values, data + r * fm_matrix_row_bytes(m));
    }
    sodium_memzero(&d, sizeof d);
    k->facts.tensors++;
    k->facts.values += m->rows * m->columns;
done:
    free(values);
    free(signs);
    return st;
}

/* ---- one file ---- */

typedef struct {
    fm_tensor_view *views;
    uint8_t **data;
    size_t count;
    fm_safetensors_meta *meta;
    size_t meta_count;
} copy;

static void copy_free(copy *c)
{
    for (size_t i = 0; c->data && i < c->count; i++)
        free(c->data[i]);
    free(c->data);
    free(c->views);
    free(c->meta);
}

static fm_status copy_meta(const fm_safetensors *s, copy *c)
{
    const size_t n = fm_safetensors_meta_count(s);
    fm_status st = fm_alloc(n + 1, sizeof *c->meta, (void **)&c->meta);

    for (size_t i = 0; st == FM_OK && i < n; i++)
        c->meta[c->meta_count++] = fm_safetensors_meta_at(s, i);
    return st;
}

static fm_status copy_tensor(marker *k, const fm_safetensors *s, copy *c, size_t i)
{
    const fm_tensor_view *v = fm_safetensors_at(s, i);
    void *data = NULL;
    fm_matrix m;
    fm_status st;

    if (strcmp(v->dtype, "I8") == 0)
        return fm_fail(FM_EINVAL,
                       "%s: has 8 bits, which are too coarse to carry a new mark: mark the model "
                       "before fedmoe-model quantize; the mark survives it",
                       v->name);
    if ((st = fm_alloc_whole(v->bytes + 1, 1, &data)) != FM_OK)
        return st;
    c->data[i] = data;
    c->views[i] = *v;
    c->views[i].data = data;
    if ((st = fm_safetensors_read(s, v, 0, v->bytes, data)) == FM_OK && fm_matrix_of(s, v, &m))
        st = mark_tensor(k, &m, data);
    return st;
}

static fm_status mark_file(marker *k, const fm_safetensors *s, const char *output)
{
    copy c = { .count = fm_safetensors_count(s) };
    fm_status st;

    if ((st = fm_alloc(c.count + 1, sizeof *c.views, (void **)&c.views)) != FM_OK ||
        (st = fm_alloc(c.count + 1, sizeof *c.data, (void **)&c.data)) != FM_OK ||
        (st = copy_meta(s, &c)) != FM_OK)
        goto done;
    for (size_t i = 0; st == FM_OK && i < c.count; i++)
        st = copy_tensor(k, s, &c, i);
    if (st == FM_OK)
        st = fm_safetensors_replace(output, 0600, c.views, c.count, c.meta, c.meta_count);
done:
    copy_free(&c);
    return st;
}

/* ---- a folder ---- */

static fm_status copy_file(const char *from, const char *to)
{
    fm_buf data = { 0 };
    fm_status st = fm_file_read(from, FM_FILE_MAX_STREAM, &data);

    if (st == FM_OK)
        st = fm_file_create(to, data.data, data.len, 0600);
    fm_buf_fini(&data);
    return st;
}

static const fm_safetensors *weights_at(const fm_weights *w, const char *path)
{
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->paths[i], path) == 0)
            return w->files[i];
    return NULL;
}

static fm_status put_entry(marker *k, const fm_weights *w, const char *model, const char *name,
                           const char *output)
{
    char *from = NULL, *to = NULL;
    const fm_safetensors *s;
    struct stat info;
    fm_status st;

    if ((st = fm_path_join(model, name, &from)) == FM_OK &&
        (st = fm_path_join(output, name, &to)) == FM_OK) {
        if ((s = weights_at(w, from)))
            st = mark_file(k, s, to);
        else if (stat(from, &info) == 0 && S_ISREG(info.st_mode))
            st = copy_file(from, to);
    }
    free(from);
    free(to);
    return st;
}

static fm_status mark_folder(marker *k, const fm_weights *w, const char *model, const char *output)
{
    DIR *d = opendir(model);
    fm_status st = FM_OK;

    if (!d)
        return fm_fail(FM_EIO, "%s: %s", model, strerror(errno));
    if (mkdir(output, 0700) != 0)
        st = fm_fail(errno == EEXIST ? FM_EEXIST : FM_EIO, "%s: %s", output, strerror(errno));
    for (const struct dirent *e; st == FM_OK && (e = readdir(d));)
        if (e->d_name[0] != '.' && (st = put_entry(k, w, model, e->d_name, output)) != FM_OK)
            st = fm_fail_context(st, "%s is incomplete, remove it: ", output);
    (void)closedir(d);
    return st;
}

fm_status fm_fingerprint_mark(const fm_fingerprint_key *k, const char *recipient, double strength,
                              const char *model, const char *output, fm_fingerprint_facts *facts)
{
    marker m = { .key = k, .recipient = recipient, .strength = strength };
    fm_weights w = { 0 };
    struct stat info;
    fm_status st;

    if (!k || !model || !output || !facts || !(strength > 0.0 && strength <= 0.1))
        return fm_fail(FM_EINVAL, "fingerprint: a strength above 0 and up to 0.1 is wanted");
    if ((st = fm_recipient_check(recipient)) != FM_OK || (st = fm_weights_open(model, &w)) != FM_OK)
        return st;
    if (stat(model, &info) == 0 && S_ISDIR(info.st_mode))
        st = mark_folder(&m, &w, model, output);
    else if ((st = fm_file_check_output(output, false, &model, 1)) == FM_OK)
        st = mark_file(&m, w.files[0], output);
    if (st == FM_OK && m.facts.tensors == 0)
        st = fm_fail(FM_EINVAL,
                     "%s: has no matrix of float32 or bfloat16 that is large enough: %s carries no "
                     "mark",
                     model, output);
    if (st == FM_OK && (st = fm_card_carry(model, "fingerprint", output)) == FM_OK)
        *facts = m.facts;
    fm_weights_close(&w);
    return st;
}
