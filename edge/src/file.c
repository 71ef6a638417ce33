/* A folder in float32, BF16 or F16 into one file in 8 bits. */
#include "fedmoe/edge/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/model/tabular.h"
#include "model_internal.h"

#define PIECE ((size_t)1 << 18) /* values held at a time */

_Static_assert(PIECE >= FM_INT8_COLUMNS_MAX, "a row at least is held");

typedef struct {
    char *name, *scale_name;
    size_t offset, rows, columns;
    bool map;
    float *scale; /* [rows] of a map, in the writer's scales */
} entry;

typedef struct {
    const fm_decoder_folder *folder;
    const float *flat; /* in place of the folder's weights, or NULL */
    const fm_decoder_layout *layout;
    entry *entries;
    size_t count, cap;
    fm_buf tokenizer;
    float *scales; /* of all maps */
    float *values; /* [PIECE] */
    int8_t *q;     /* [PIECE] */
    fm_tensor_view *views;
    size_t view_count;
    fm_safetensors_meta *meta;
    size_t meta_count;
    fm_file_writer *out;
    fm_edge_facts facts;
} writer;

static fm_status add(void *context, const fm_decoder_tensor *t)
{
    writer *w = context;
    char scale[FM_EDGE_NAME];
    entry *e;
    fm_status st;

    if (w->count == w->cap) {
        const size_t cap = w->cap ? 2 * w->cap : 64;
        entry *grown = realloc(w->entries, cap * sizeof *grown);

        if (!grown)
            return fm_fail(FM_ENOMEM, "no memory for a list of tensors");
        w->entries = grown;
        w->cap = cap;
    }
    e = &w->entries[w->count];
    *e = (entry){ .offset = t->offset,
                  .rows = t->rows,
                  .columns = t->columns,
                  .map = fm_edge_is_map(w->layout, t) };
    if (e->map && e->columns > FM_INT8_COLUMNS_MAX)
        return fm_fail(FM_EINVAL, "tensor '%s' has %zu columns; 8 bits are for %zu at most",
                       t->name, e->columns, FM_INT8_COLUMNS_MAX);
    w->count++;
    fm_edge_scale_name(t->name, scale);
    st = fm_strdup(t->name, &e->name);
    return st != FM_OK ? st : fm_strdup(scale, &e->scale_name);
}

/* One that cannot be read would make a file that cannot be opened. */
static fm_status read_tokenizer(writer *w, const char *dir)
{
    fm_tokenizer *known = NULL;
    char *path = NULL;
    fm_status st = fm_path_join(dir, FM_EDGE_TOKENIZER, &path);

    if (st == FM_OK && fm_file_exists(path) &&
        (st = fm_file_read(path, FM_TOKENIZER_MAX_FILE, &w->tokenizer)) == FM_OK)
        st = fm_tokenizer_parse(path, w->tokenizer.data, w->tokenizer.len, &known);
    fm_tokenizer_free(&known);
    free(path);
    return st;
}

static size_t rows_at_once(const entry *e)
{
    return e->columns < PIECE ? PIECE / e->columns : 1;
}

/* Values from a tensor's element `from` on. */
static fm_status read_values(writer *w, const entry *e, size_t from, size_t n)
{
    if (!w->flat)
        return fm_decoder_folder_read_at(w->folder, e->offset + from, n, w->values);
    memcpy(w->values, w->flat + e->offset + from, n * sizeof *w->values);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(w->values[i]))
            return fm_fail(FM_ENONFINITE, "tensor '%s' holds a value that is not finite", e->name);
    return FM_OK;
}

static fm_status quantise_rows(writer *w, const entry *e, size_t first, size_t rows, float *scale)
{
    const fm_status st = read_values(w, e, first * e->columns, rows * e->columns);

    return st != FM_OK ? st : fm_int8_quantise(w->values, rows, e->columns, w->q, scale);
}

static fm_status make_room(writer *w)
{
    size_t rows = 0;
    void *fresh;
    fm_status st;

    for (size_t i = 0; i < w->count; i++)
        rows += w->entries[i].map ? w->entries[i].rows : 0;
    if ((st = fm_alloc(rows, sizeof *w->scales, &fresh)) != FM_OK)
        return st;
    w->scales = fresh;
    if ((st = fm_alloc(PIECE, sizeof *w->values, &fresh)) != FM_OK)
        return st;
    w->values = fresh;
    if ((st = fm_alloc(PIECE, 1, &fresh)) != FM_OK)
        return st;
    w->q = fresh;
    return FM_OK;
}

/* Scales stand before weights in the file, so that the weights are read twice. */
static fm_status find_scales(writer *w)
{
    size_t at = 0;
    fm_status st = make_room(w);

    for (size_t i = 0; i < w->count && st == FM_OK; i++) {
        entry *e = &w->entries[i];
        const size_t step = e->map ? rows_at_once(e) : 0;

        if (!e->map)
            continue;
        e->scale = w->scales + at;
        for (size_t r = 0; r < e->rows && st == FM_OK; r += step)
            st = quantise_rows(w, e, r, e->rows - r < step ? e->rows - r : step, e->scale + r);
        at += e->rows;
    }
    return st;
}

static void view(writer *w, const char *name, const char *dtype, size_t element, size_t rows,
                 size_t columns, const void *data)
{
    w->views[w->view_count++] = (fm_tensor_view){
        .name = name,
        .dtype = dtype,
        .dims = columns ? 2 : 1,
        .shape = { rows, columns },
        .data = data,
        .bytes = rows * (columns ? columns : 1) * element,
    };
}

/* What is float first, then scales, maps, and the two files. */
static fm_status make_views(writer *w)
{
    const fm_buf *json = fm_decoder_folder_json(w->folder);
    void *fresh;
    const fm_status st = fm_alloc(2 * w->count + 2, sizeof *w->views, &fresh);

    if (st != FM_OK)
        return st;
    w->views = fresh;
    for (size_t i = 0; i < w->count; i++)
        if (!w->entries[i].map)
            view(w, w->entries[i].name, "F32", 4, w->entries[i].rows, w->entries[i].columns, NULL);
    for (size_t i = 0; i < w->count; i++)
        if (w->entries[i].map)
            view(w, w->entries[i].scale_name, "F32", 4, w->entries[i].rows, 0, NULL);
    for (size_t i = 0; i < w->count; i++)
        if (w->entries[i].map)
            view(w, w->entries[i].name, "I8", 1, w->entries[i].rows, w->entries[i].columns, NULL);
    view(w, FM_EDGE_CONFIG, "U8", 1, json->len, 0, json->data);
    if (w->tokenizer.len > 0)
        view(w, FM_EDGE_TOKENIZER, "U8", 1, w->tokenizer.len, 0, w->tokenizer.data);
    return FM_OK;
}

static fm_status make_meta(writer *w)
{
    const fm_safetensors *from = fm_decoder_folder_file(w->folder);
    void *fresh;
    const fm_status st = fm_alloc(fm_safetensors_meta_count(from) + 1, sizeof *w->meta, &fresh);

    if (st != FM_OK)
        return st;
    w->meta = fresh;
    w->meta[w->meta_count++] = (fm_safetensors_meta){ FM_META_KIND, FM_EDGE_KIND };
    for (size_t i = 0; i < fm_safetensors_meta_count(from); i++)
        if (strcmp(fm_safetensors_meta_at(from, i).key, FM_META_KIND) != 0)
            w->meta[w->meta_count++] = fm_safetensors_meta_at(from, i);
    return FM_OK;
}

static fm_status put_floats(writer *w, const entry *e)
{
    const size_t n = e->rows * (e->columns ? e->columns : 1);
    fm_status st = FM_OK;

    for (size_t at = 0; at < n && st == FM_OK; at += PIECE) {
        const size_t count = n - at < PIECE ? n - at : PIECE;

        if ((st = read_values(w, e, at, count)) == FM_OK)
            st = fm_file_write(w->out, w->values, count * sizeof *w->values);
    }
    return st;
}

static void note_errors(writer *w, const float *scale, size_t rows, size_t columns)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns && scale[r] > 0.0f; c++) {
            const double off = (double)w->values[r * columns + c] / (double)scale[r] -
                               (double)w->q[r * columns + c];

            w->facts.worst = fabs(off) > w->facts.worst ? fabs(off) : w->facts.worst;
        }
}

static fm_status put_map(writer *w, const entry *e)
{
    const size_t step = rows_at_once(e);
    fm_status st = FM_OK;

    for (size_t r = 0; r < e->rows && st == FM_OK; r += step) {
        const size_t rows = e->rows - r < step ? e->rows - r : step;

        if ((st = quantise_rows(w, e, r, rows, e->scale + r)) != FM_OK) /* the same again */
            break;
        note_errors(w, e->scale + r, rows, e->columns);
        st = fm_file_write(w->out, w->q, rows * e->columns);
    }
    return st;
}

static fm_status put_all(writer *w)
{
    fm_buf head = { 0 };
    fm_status st =
        fm_safetensors_encode_head(w->views, w->view_count, w->meta, w->meta_count, &head);

    if (st == FM_OK)
        st = fm_file_write(w->out, head.data, head.len);
    w->facts.after = head.len;
    fm_buf_fini(&head);
    for (size_t i = 0; i < w->count && st == FM_OK; i++)
        if (!w->entries[i].map)
            st = put_floats(w, &w->entries[i]);
    for (size_t i = 0; i < w->count && st == FM_OK; i++)
        if (w->entries[i].map)
            st = fm_file_write(w->out, w->entries[i].scale, w->entries[i].rows * sizeof(float));
    for (size_t i = 0; i < w->count && st == FM_OK; i++)
        if (w->entries[i].map)
            st = put_map(w, &w->entries[i]);
    for (size_t i = 0; i < w->view_count; i++) {
        const fm_tensor_view *v = &w->views[i];

        w->facts.after += v->bytes;
        w->facts.weights += strcmp(v->dtype, "U8") != 0 ? v->bytes : 0;
        if (st == FM_OK && strcmp(v->dtype, "U8") == 0)
            st = fm_file_write(w->out, v->data, v->bytes);
    }
    return st;
}

static void fini(writer *w)
{
    fm_file_abort(&w->out);
    for (size_t i = 0; i < w->count; i++) {
        free(w->entries[i].name);
        free(w->entries[i].scale_name);
    }
    free(w->entries);
    free(w->views);
    free(w->meta);
    free(w->scales);
    free(w->values);
    free(w->q);
    fm_buf_fini(&w->tokenizer);
}

fm_status fm_edge_write_folder(const fm_decoder_folder *f, const char *dir, const float *flat,
                               mode_t mode, const char *output, bool replace, fm_edge_facts *facts)
{
    writer w = { .folder = f, .flat = flat, .layout = fm_decoder_folder_layout(f) };
    fm_status st;

    fm_buf_init(&w.tokenizer, FM_TOKENIZER_MAX_FILE);
    w.facts.before = (uint64_t)w.layout->parameters * sizeof(float);
    if ((st = fm_file_check_output(output, replace, NULL, 0)) == FM_OK &&
        (st = fm_decoder_tensors(fm_decoder_folder_config(f), w.layout, add, &w)) == FM_OK &&
        (st = read_tokenizer(&w, dir)) == FM_OK && (st = find_scales(&w)) == FM_OK &&
        (st = make_views(&w)) == FM_OK && (st = make_meta(&w)) == FM_OK &&
        (st = fm_file_begin(output, mode, &w.out)) == FM_OK && (st = put_all(&w)) == FM_OK)
        st = replace ? fm_file_finish(&w.out) : fm_file_finish_new(&w.out);
    if (st == FM_OK && facts)
        *facts = w.facts;
    fini(&w);
    return st;
}

fm_status fm_edge_write(const char *folder, const char *output, fm_edge_facts *facts)
{
    fm_decoder_folder *f = NULL;
    fm_status st;

    if (!folder || !output)
        return fm_fail(FM_EINVAL, "fm_edge_write: an argument is missing");
    if ((st = fm_decoder_folder_open(folder, &f)) == FM_OK)
        st = fm_edge_write_folder(f, folder, NULL, 0644, output, false, facts);
    fm_decoder_folder_free(&f);
    return st;
}
