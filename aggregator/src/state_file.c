/* checkpoint.safetensors: the model's own tensors under their own names, the optimizer's vectors.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "fedmoe/base/file.h"
#include "state_internal.h"

#define META_PLAN "fedmoe.plan"
#define META_FINISHED "fedmoe.finished"
#define META_HEAD "fedmoe.head"
#define META_ROUND "fedmoe.round"
#define META_COMMIT "fedmoe.commit"
#define META_AFTER "fedmoe.model_after" /* also the checksum of the weights */
#define META_VECTORS "fedmoe.optimizer" /* checksum of the optimizer's vectors, and the record */
#define META_STEPS "fedmoe.steps"
#define META_AVERAGED "fedmoe.averaged"

#define VECTORS "optimizer."    /* their names begin so; config.c keeps models from using it */
#define RECORD VECTORS "record" /* no vector, but what the entry stands for: proto/entry.h */
#define RESTORE "restore it and state.db together, from the same backup"
#define HEX_CAP (2 * FM_HASH_BYTES + 1)
#define DECIMAL_CAP 24

static fm_hash vectors_digest(size_t n, const void *m, const void *v, const void *average,
                              fm_bytes record)
{
    fm_hasher h;

    fm_hasher_begin(&h, "fedmoe checkpoint v1");
    fm_hasher_add_part(&h, m, m ? n * sizeof(float) : 0);
    if (v)
        fm_hasher_add_part(&h, v, n * sizeof(float));
    if (average)
        fm_hasher_add_part(&h, average, n * sizeof(double));
    if (record.len > 0)
        fm_hasher_add_part(&h, record.data, record.len);
    return fm_hasher_end(&h);
}

/* ---- writing ---- */

static fm_tensor_view flat_view(const char *name, const char *dtype, const void *data, size_t n,
                                size_t element)
{
    return (fm_tensor_view){
        .name = name, .dtype = dtype, .dims = 1, .shape = { n }, .data = data, .bytes = n * element
    };
}

static size_t collect(const fm_safetensors *like, const fm_optimizer *o, fm_bytes record,
                      fm_tensor_view *views)
{
    size_t count = fm_safetensors_count(like), offset = 0;

    for (size_t i = 0; i < count; i++) {
        views[i] = *fm_safetensors_at(like, i);
        views[i].data = (const uint8_t *)(o->weights + offset);
        offset += views[i].bytes / sizeof(float);
    }
    if (o->m)
        views[count++] = flat_view(VECTORS "m", "F32", o->m, o->n, sizeof(float));
    if (o->v)
        views[count++] = flat_view(VECTORS "v", "F32", o->v, o->n, sizeof(float));
    if (o->average)
        views[count++] = flat_view(VECTORS "average", "F64", o->average, o->n, sizeof(double));
    if (record.len > 0)
        views[count++] = flat_view(RECORD, "U8", record.data, record.len, 1);
    return count;
}

fm_status fm_checkpoint_write(const char *path, const fm_safetensors *like, const fm_optimizer *o,
                              const fm_checkpoint_note *note)
{
    fm_hash vectors = vectors_digest(o->n, o->m, o->v, o->average, note->record);
    char hex[5][HEX_CAP], number[4][DECIMAL_CAP];
    const fm_safetensors_meta meta[] = {
        { META_PLAN, hex[0] },     { META_HEAD, hex[1] },     { META_COMMIT, hex[2] },
        { META_AFTER, hex[3] },    { META_VECTORS, hex[4] },  { META_FINISHED, number[0] },
        { META_ROUND, number[1] }, { META_STEPS, number[2] }, { META_AVERAGED, number[3] },
    };
    fm_tensor_view *views;
    void *p = NULL;
    fm_status st = fm_alloc(fm_safetensors_count(like) + 4, sizeof *views, &p);

    if (st != FM_OK)
        return st;
    views = p;
    fm_hash_hex(&note->plan, hex[0]);
    fm_hash_hex(&note->head, hex[1]);
    fm_hash_hex(&note->entry.commit_digest, hex[2]);
    fm_hash_hex(&note->entry.model_after, hex[3]);
    fm_hash_hex(&vectors, hex[4]);
    (void)snprintf(number[0], DECIMAL_CAP, "%" PRIu64, note->finished);
    (void)snprintf(number[1], DECIMAL_CAP, "%" PRIu64, note->entry.round);
    (void)snprintf(number[2], DECIMAL_CAP, "%" PRIu64, o->steps);
    (void)snprintf(number[3], DECIMAL_CAP, "%" PRIu64, o->averaged);
    st = fm_safetensors_replace(path, 0600, views, collect(like, o, note->record, views), meta,
                                sizeof meta / sizeof meta[0]);
    free(views);
    return st;
}

/* ---- reading ---- */

static bool meta_hash(const fm_safetensors *s, const char *key, fm_hash *out)
{
    const char *v = fm_safetensors_meta_get(s, key);
    size_t len = 0;

    return v && strlen(v) == 2 * FM_HASH_BYTES &&
           sodium_hex2bin(out->bytes, sizeof out->bytes, v, strlen(v), NULL, &len, NULL) == 0 &&
           len == FM_HASH_BYTES;
}

static bool meta_number(const fm_safetensors *s, const char *key, uint64_t *out)
{
    const char *v = fm_safetensors_meta_get(s, key);
    char *end = NULL;

    if (!v || *v < '0' || *v > '9')
        return false;
    *out = strtoull(v, &end, 10);
    return *end == '\0';
}

static bool read_note(const fm_safetensors *s, fm_checkpoint *c)
{
    fm_checkpoint_note *n = &c->note;

    return meta_hash(s, META_PLAN, &n->plan) && meta_hash(s, META_HEAD, &n->head) &&
           meta_hash(s, META_COMMIT, &n->entry.commit_digest) &&
           meta_hash(s, META_AFTER, &n->entry.model_after) &&
           meta_number(s, META_FINISHED, &n->finished) &&
           meta_number(s, META_ROUND, &n->entry.round) && meta_number(s, META_STEPS, &c->steps) &&
           meta_number(s, META_AVERAGED, &c->averaged);
}

static const void *vector(const fm_safetensors *s, const char *name, const char *dtype,
                          size_t bytes)
{
    const fm_tensor_view *t = fm_safetensors_find(s, name);

    return t && strcmp(t->dtype, dtype) == 0 && t->bytes == bytes ? t->data : NULL;
}

/* Empty in a checkpoint without one. */
static fm_bytes record_of(const fm_safetensors *s)
{
    const fm_tensor_view *t = fm_safetensors_find(s, RECORD);

    return t && strcmp(t->dtype, "U8") == 0 ? (fm_bytes){ t->data, t->bytes }
                                            : (fm_bytes){ NULL, 0 };
}

/* The optimizer's vectors, shaped as those of *o and with their checksum. */
static bool vectors_fit(const fm_safetensors *s, const fm_optimizer *o)
{
    const void *m = o->m ? vector(s, VECTORS "m", "F32", o->n * sizeof(float)) : NULL;
    const void *v = o->v ? vector(s, VECTORS "v", "F32", o->n * sizeof(float)) : NULL;
    const void *average =
        o->average ? vector(s, VECTORS "average", "F64", o->n * sizeof(double)) : NULL;
    fm_hash want, got;

    if ((o->m && !m) || (o->v && !v) || (o->average && !average) ||
        !meta_hash(s, META_VECTORS, &want))
        return false;
    got = vectors_digest(o->n, m, v, average, record_of(s));
    return fm_hash_equal(&want, &got);
}

/* The weights: every F32 tensor but the optimizer's, in order; into `out`, or `h`, or both. False
 * when they are not n. */
static bool weights_of(const fm_safetensors *s, size_t n, uint8_t *out, fm_hasher *h)
{
    size_t at = 0, bytes = n * sizeof(float);

    for (size_t i = 0; i < fm_safetensors_count(s); i++) {
        const fm_tensor_view *t = fm_safetensors_at(s, i);

        if (strncmp(t->name, VECTORS, strlen(VECTORS)) == 0)
            continue;
        if (strcmp(t->dtype, "F32") != 0 || t->bytes > bytes - at)
            return false;
        if (out && t->bytes > 0)
            memcpy(out + at, t->data, t->bytes);
        if (h)
            fm_hasher_add(h, t->data, t->bytes);
        at += t->bytes;
    }
    return at == bytes;
}

static bool weights_fit(const fm_safetensors *s, const fm_optimizer *o, const fm_hash *want)
{
    fm_hasher *h = NULL;
    fm_hash got;
    bool fit;

    if (fm_model_digest_begin(o->n * sizeof(float), &h) != FM_OK)
        return false;
    fit = weights_of(s, o->n, NULL, h);
    got = fm_hasher_end(h);
    fm_hasher_free(&h);
    return fit && fm_hash_equal(want, &got);
}

fm_status fm_checkpoint_load(const char *path, const fm_hash *plan, const fm_optimizer *o,
                             fm_checkpoint *out)
{
    fm_checkpoint c = { 0 };
    fm_status st = fm_safetensors_load(path, SIZE_MAX / 2, &c.file);

    if (st == FM_EPROTO)
        return fm_fail(st, "%s; the checkpoint is damaged: " RESTORE, fm_error_text());
    if (st != FM_OK)
        return st;
    if (!read_note(c.file, &c))
        st = fm_fail(FM_EPROTO, "%s: not a checkpoint of fedmoe-aggregator; " RESTORE, path);
    else if (!fm_hash_equal(&c.note.plan, plan))
        st = fm_fail(FM_ESTATE, "%s: belongs to another plan", path);
    else if (!vectors_fit(c.file, o) || !weights_fit(c.file, o, &c.note.entry.model_after))
        st = fm_fail(FM_EPROTO,
                     "%s: damaged, its values do not have the checksums that it names; " RESTORE,
                     path);
    c.note.record = record_of(c.file);
    if (st == FM_OK)
        *out = c;
    else
        fm_checkpoint_fini(&c);
    return st;
}

void fm_checkpoint_apply(const fm_checkpoint *c, fm_optimizer *o)
{
    const fm_safetensors *s = c->file;

    (void)weights_of(s, o->n, (uint8_t *)o->weights, NULL);
    if (o->m)
        memcpy(o->m, fm_safetensors_find(s, VECTORS "m")->data, o->n * sizeof(float));
    if (o->v)
        memcpy(o->v, fm_safetensors_find(s, VECTORS "v")->data, o->n * sizeof(float));
    if (o->average)
        memcpy(o->average, fm_safetensors_find(s, VECTORS "average")->data, o->n * sizeof(double));
    o->steps = c->steps;
    o->averaged = c->averaged;
}

void fm_checkpoint_fini(fm_checkpoint *c)
{
    fm_safetensors_free(&c->file);
}

/* fm_file_replace calls its temporary files .NAME.XXXXXX.tmp. */
static bool is_leftover(const char *name)
{
    static const char front[] = "." FM_CHECKPOINT_FILE ".", back[] = ".tmp";
    size_t len = strlen(name);

    return len == sizeof front - 1 + 6 + sizeof back - 1 &&
           strncmp(name, front, sizeof front - 1) == 0 &&
           strcmp(name + len - (sizeof back - 1), back) == 0;
}

void fm_checkpoint_sweep(const char *dir)
{
    DIR *d = opendir(dir);

    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));)
        if (is_leftover(e->d_name))
            (void)unlinkat(dirfd(d), e->d_name, 0);
    (void)closedir(d);
}
