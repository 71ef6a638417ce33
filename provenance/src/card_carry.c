/* The parent's card into what is made from it: within a file, beside the files of a folder. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "card_internal.h"
#include "fedmoe/base/file.h"
#include "fedmoe/provenance/derivation.h"
#include "fingerprint_internal.h"

#define CHUNK ((size_t)1 << 20)
#define CARRIED (FM_CARD_META + 1)

static const char *const keys[FM_CARD_META] = { FM_META_CARD, FM_META_CARD_TENSORS,
                                                FM_META_CARD_CERTIFICATES, FM_META_CARD_SIGNATURE };

static bool is_folder(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* ---- where a model's card is ---- */

static fm_status open_carded(const char *path, fm_safetensors **out)
{
    fm_safetensors *s = NULL;
    fm_status st = fm_safetensors_open(path, &s);

    if (st == FM_OK && fm_card_is_there(s)) {
        *out = s;
        return FM_OK;
    }
    fm_safetensors_free(&s);
    return st != FM_OK ? st
                       : fm_fail(FM_ENOTFOUND,
                                 "%s: has no card; 'fedmoe-aggregator export' writes one into a "
                                 "model",
                                 path);
}

static fm_status open_in_folder(const char *dir, fm_safetensors **out)
{
    char *path = NULL;
    fm_weights w = { 0 };
    fm_status st = fm_path_join(dir, FM_CARD_FILE, &path);

    if (st == FM_OK && fm_file_exists(path)) {
        st = open_carded(path, out);
    } else if (st == FM_OK && (st = fm_weights_open(dir, &w)) == FM_OK) {
        st = FM_ENOTFOUND;
        for (size_t i = 0; st == FM_ENOTFOUND && i < w.count; i++)
            st = open_carded(w.paths[i], out);
    }
    fm_weights_close(&w);
    free(path);
    return st;
}

fm_status fm_card_open(const char *model, fm_safetensors **out)
{
    if (!model || !out)
        return fm_fail(FM_EINVAL, "fm_card_open: NULL argument");
    return is_folder(model) ? open_in_folder(model, out) : open_carded(model, out);
}

/* ---- what is carried ---- */

typedef struct {
    fm_safetensors_meta meta[CARRIED]; /* borrowed from the parent, and the record */
    fm_buf record;
} carried;

static fm_status digest_of_model(const char *path, fm_hash *out)
{
    fm_weights w = { 0 };
    fm_hasher h;
    fm_status st = fm_weights_open(path, &w);

    fm_hasher_begin(&h, FM_CARD_WEIGHTS_LABEL);
    for (size_t i = 0; st == FM_OK && i < w.count; i++) {
        fm_hash *each = NULL;

        if ((st = fm_card_file_digests(w.files[i], &each)) == FM_OK)
            fm_hasher_add(&h, each, fm_safetensors_count(w.files[i]) * sizeof *each);
        free(each);
    }
    *out = fm_hasher_end(&h);
    fm_weights_close(&w);
    return st;
}

static fm_status collect(const fm_safetensors *from, const char *parent, const char *step,
                         carried *c)
{
    fm_hash weights;
    fm_status st;

    for (size_t i = 0; i < FM_CARD_META; i++) {
        const char *value = fm_safetensors_meta_get(from, keys[i]);

        if (!value)
            return fm_fail(FM_EPROTO, "%s: a card without %s", parent, keys[i]);
        c->meta[i] = (fm_safetensors_meta){ keys[i], value };
    }
    if ((st = digest_of_model(parent, &weights)) != FM_OK ||
        (st = fm_derivation_add(fm_safetensors_meta_get(from, FM_META_DERIVATION), &weights, step,
                                &c->record)) != FM_OK)
        return st;
    c->meta[FM_CARD_META] =
        (fm_safetensors_meta){ FM_META_DERIVATION, (const char *)c->record.data };
    return FM_OK;
}

/* ---- into a file ---- */

static bool is_carried(const char *key)
{
    for (size_t i = 0; i < FM_CARD_META; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return strcmp(key, FM_META_DERIVATION) == 0;
}

static fm_status make_head(const fm_safetensors *s, const carried *c, fm_buf *out)
{
    const size_t count = fm_safetensors_count(s), had = fm_safetensors_meta_count(s);
    fm_tensor_view *views = NULL;
    fm_safetensors_meta *meta = NULL;
    size_t n = 0;
    fm_status st;

    if ((st = fm_alloc(count + 1, sizeof *views, (void **)&views)) != FM_OK ||
        (st = fm_alloc(had + CARRIED, sizeof *meta, (void **)&meta)) != FM_OK)
        goto done;
    for (size_t i = 0; i < count; i++)
        views[i] = *fm_safetensors_at(s, i);
    for (size_t i = 0; i < had; i++)
        if (!is_carried(fm_safetensors_meta_at(s, i).key))
            meta[n++] = fm_safetensors_meta_at(s, i);
    for (size_t i = 0; i < CARRIED; i++)
        meta[n++] = c->meta[i];
    st = fm_safetensors_encode_head(views, count, meta, n, out);
done:
    free(meta);
    free(views);
    return st;
}

static fm_status copy_values(const fm_safetensors *s, fm_file_writer *w)
{
    void *room = NULL;
    fm_status st = fm_alloc(CHUNK, 1, &room);

    for (size_t i = 0; st == FM_OK && i < fm_safetensors_count(s); i++) {
        const fm_tensor_view *v = fm_safetensors_at(s, i);

        for (size_t at = 0; st == FM_OK && at < v->bytes; at += CHUNK) {
            const size_t n = v->bytes - at < CHUNK ? v->bytes - at : CHUNK;

            if ((st = fm_safetensors_read(s, v, at, n, room)) == FM_OK)
                st = fm_file_write(w, room, n);
        }
    }
    free(room);
    return st;
}

static fm_status put_into_file(const carried *c, const char *child)
{
    fm_safetensors *s = NULL;
    fm_file_writer *w = NULL;
    fm_buf head = { .limit = FM_SAFETENSORS_MAX_HEADER + 64 };
    struct stat info;
    fm_status st;

    if ((st = fm_safetensors_open(child, &s)) == FM_OK && (st = make_head(s, c, &head)) == FM_OK &&
        (st = fm_file_begin(child, stat(child, &info) == 0 ? info.st_mode & 0777 : 0600, &w)) ==
            FM_OK &&
        (st = fm_file_write(w, head.data, head.len)) == FM_OK && (st = copy_values(s, w)) == FM_OK)
        st = fm_file_finish(&w);
    fm_file_abort(&w);
    fm_safetensors_free(&s);
    fm_buf_fini(&head);
    return st;
}

static fm_status put_into_folder(const carried *c, const char *dir)
{
    char *path = NULL;
    fm_status st = fm_path_join(dir, FM_CARD_FILE, &path);

    if (st == FM_OK)
        st = fm_safetensors_replace(path, 0644, NULL, 0, c->meta, CARRIED);
    free(path);
    return st;
}

fm_status fm_card_carry(const char *parent, const char *step, const char *child)
{
    fm_safetensors *from = NULL;
    carried c = { .record = { 0 } };
    fm_status st;

    if (!parent || !step || !child)
        return fm_fail(FM_EINVAL, "fm_card_carry: NULL argument");
    if ((st = fm_card_open(parent, &from)) == FM_ENOTFOUND) {
        fm_error_clear();
        return FM_OK;
    }
    if (st == FM_OK && (st = collect(from, parent, step, &c)) == FM_OK)
        st = is_folder(child) ? put_into_folder(&c, child) : put_into_file(&c, child);
    fm_safetensors_free(&from);
    fm_buf_fini(&c.record);
    return st;
}
