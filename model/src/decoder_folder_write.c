/* Weights back to disk: every file begins as the one that it was read from, byte for byte. */
#include <stdlib.h>
#include <string.h>

#include "decoder_folder_internal.h"
#include "fedmoe/base/file.h"

#define MAX_CARRIED ((size_t)256 * 1024 * 1024)

/* What belongs to a model and is not computed here. */
static const char *const carried[] = {
    FM_FOLDER_TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
};

typedef struct {
    const fm_decoder_folder *f;
    const float *flat;
    const fm_decoder_about *about; /* or NULL */
    uint8_t *bytes;                /* [4 * FM_FOLDER_PIECE] */
    fm_file_writer *out;
} writer;

static fm_status write_piece(writer *w, const fm_folder_tensor *t, size_t from, size_t n)
{
    const size_t element = fm_floats_element(t->view->dtype);

    if (!fm_floats_finite(w->flat + from, n))
        return fm_fail(FM_ENONFINITE, "tensor '%.200s' holds a value that is not finite",
                       t->view->name);
    if (!fm_floats_encode(t->view->dtype, w->flat + from, n, w->bytes))
        return fm_fail(FM_EINVAL, "tensor '%.200s' holds a value that is too large for %s",
                       t->view->name, t->view->dtype);
    return fm_file_write(w->out, w->bytes, n * element);
}

static fm_status write_run(writer *w, const fm_folder_tensor *t, size_t from)
{
    fm_status st = FM_OK;

    for (size_t done = 0; done < t->place.piece && st == FM_OK; done += FM_FOLDER_PIECE) {
        const size_t left = t->place.piece - done;

        st = write_piece(w, t, from + done, left < FM_FOLDER_PIECE ? left : FM_FOLDER_PIECE);
    }
    return st;
}

static fm_status write_weights(writer *w, const fm_folder_tensor *t)
{
    const fm_tensor_place *p = &t->place;
    fm_status st = FM_OK;

    for (size_t g = 0; g < p->groups && st == FM_OK; g++)
        for (size_t part = 0; part < p->parts && st == FM_OK; part++)
            st = write_run(w, t, p->part[part] + g * p->stride);
    return st;
}

static fm_status copy_tensor(writer *w, const fm_folder_tensor *t)
{
    const size_t most = 4 * FM_FOLDER_PIECE;
    fm_status st = FM_OK;

    for (size_t at = 0; at < t->view->bytes && st == FM_OK; at += most) {
        const size_t n = t->view->bytes - at < most ? t->view->bytes - at : most;

        if ((st = fm_safetensors_read(t->file, t->view, at, n, w->bytes)) == FM_OK)
            st = fm_file_write(w->out, w->bytes, n);
    }
    return st;
}

static fm_status write_head(writer *w, const fm_safetensors *file)
{
    fm_buf head;
    fm_status st;

    fm_buf_init(&head, FM_SAFETENSORS_MAX_HEADER + 8);
    if ((st = fm_safetensors_read_head(file, &head)) == FM_OK && w->about && w->about->meta_count)
        st = fm_folder_head(w->about, &head);
    if (st == FM_OK)
        st = fm_file_write(w->out, head.data, head.len);
    fm_buf_fini(&head);
    return st;
}

static fm_status write_shard(writer *w, const fm_new_folder *n, size_t shard, size_t first)
{
    const fm_safetensors *file = w->f->files[shard];
    char *path = NULL;
    fm_status st;

    if ((st = fm_path_join(n->temp, w->f->names[shard], &path)) == FM_OK &&
        (st = fm_file_begin(path, 0644, &w->out)) == FM_OK)
        st = write_head(w, file);
    for (size_t i = first; i < first + fm_safetensors_count(file) && st == FM_OK; i++) {
        const fm_folder_tensor *t = &w->f->tensors[i];

        st = t->role == FM_TENSOR_PASSED ? copy_tensor(w, t) : write_weights(w, t);
    }
    if (st == FM_OK)
        st = fm_file_finish_new(&w->out);
    fm_file_abort(&w->out);
    free(path);
    return st;
}

static fm_status carry(const fm_decoder_folder *f, const fm_new_folder *n, const char *name)
{
    char *path = NULL;
    fm_buf text = { 0 };
    fm_status st = fm_path_join(f->dir, name, &path);

    if (st == FM_OK && fm_file_exists(path) &&
        (st = fm_file_read(path, MAX_CARRIED, &text)) == FM_OK)
        st = fm_new_folder_put(n, name, text.data, text.len);
    fm_buf_fini(&text);
    free(path);
    return st;
}

static fm_status write_all(writer *w, const fm_new_folder *n)
{
    const fm_decoder_folder *f = w->f;
    size_t first = 0;
    fm_status st = FM_OK;

    for (size_t i = 0; i < sizeof carried / sizeof carried[0] && st == FM_OK; i++)
        st = carry(f, n, carried[i]);
    for (size_t i = 0; i < f->shards && st == FM_OK; i++) {
        st = write_shard(w, n, i, first);
        first += fm_safetensors_count(f->files[i]);
    }
    if (st == FM_OK && f->index.len > 0)
        st = fm_new_folder_put(n, FM_FOLDER_INDEX, f->index.data, f->index.len);
    return st != FM_OK ? st : fm_new_folder_put(n, FM_FOLDER_CONFIG, f->json.data, f->json.len);
}

fm_status fm_decoder_folder_write_about(const fm_decoder_folder *f, const float *flat,
                                        const fm_decoder_about *about, const char *output)
{
    writer w = { .f = f, .flat = flat, .about = about };
    fm_new_folder n = { 0 };
    void *fresh = NULL;
    fm_status st;

    if (!f || !flat || !output)
        return fm_fail(FM_EINVAL, "fm_decoder_folder_write: an argument is missing");
    if ((st = fm_alloc(FM_FOLDER_PIECE, 4, &fresh)) != FM_OK)
        return st;
    w.bytes = fresh;
    if ((st = fm_new_folder_begin(output, &n)) == FM_OK) {
        n.owner_only = about && about->owner_only;
        if ((st = write_all(&w, &n)) == FM_OK)
            st = fm_new_folder_finish(&n);
    }
    fm_new_folder_abort(&n);
    free(fresh);
    return st;
}

fm_status fm_decoder_folder_write(const fm_decoder_folder *f, const float *flat, const char *output)
{
    return fm_decoder_folder_write_about(f, flat, NULL, output);
}

fm_status fm_decoder_folder_write_for_owner(const fm_decoder_folder *f, const float *flat,
                                            const char *output)
{
    const fm_decoder_about about = { .owner_only = true };

    return fm_decoder_folder_write_about(f, flat, &about, output);
}
