#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "state_internal.h"

#define META_PLAN "fedmoe.plan"
#define META_FINISHED "fedmoe.finished"
#define META_HEAD "fedmoe.head"
#define META_ROUND "fedmoe.round"
#define META_COMMIT "fedmoe.commit"
#define META_AFTER "fedmoe.model_after"
#define META_STEPS "fedmoe.steps"
#define META_AVERAGED "fedmoe.averaged"

#define HEX_CAP (2 * FM_HASH_BYTES + 1)
#define DECIMAL_CAP 24

static fm_tensor_view flat_view(const char *name, const char *dtype, const void *data, size_t n,
                                size_t element)
{
    return (fm_tensor_view){ .name = name,
                             .dtype = dtype,
                             .dims = 1,
                             .shape = { n },
                             .data = data,
                             .bytes = n * element };
}

/* The model's own tensors under their own names, then the optimizer's vectors. */
static size_t collect(const fm_safetensors *like, const fm_optimizer *o, fm_tensor_view *views)
{
    size_t count = fm_safetensors_count(like), offset = 0;

    for (size_t i = 0; i < count; i++) {
        views[i] = *fm_safetensors_at(like, i);
        views[i].data = (const uint8_t *)(o->weights + offset);
        offset += views[i].bytes / sizeof(float);
    }
    views[count++] = flat_view("optimizer.m", "F32", o->m, o->n, sizeof(float));
    if (o->v)
        views[count++] = flat_view("optimizer.v", "F32", o->v, o->n, sizeof(float));
    if (o->average)
        views[count++] = flat_view("optimizer.average", "F64", o->average, o->n, sizeof(double));
    return count;
}

fm_status fm_checkpoint_write(const char *path, const fm_safetensors *like,
                              const fm_optimizer *o, const fm_checkpoint_note *note)
{
    char hex[4][HEX_CAP], number[4][DECIMAL_CAP];
    const fm_safetensors_meta meta[] = {
        { META_PLAN, hex[0] },     { META_HEAD, hex[1] },      { META_COMMIT, hex[2] },
        { META_AFTER, hex[3] },    { META_FINISHED, number[0] }, { META_ROUND, number[1] },
        { META_STEPS, number[2] }, { META_AVERAGED, number[3] },
    };
    fm_tensor_view *views = NULL;
    void *p = NULL;
    fm_buf buf = { 0 };
    fm_status st;

    fm_buf_init(&buf, SIZE_MAX);
    fm_hash_hex(&note->plan, hex[0]);
    fm_hash_hex(&note->head, hex[1]);
    fm_hash_hex(&note->entry.commit_digest, hex[2]);
    fm_hash_hex(&note->entry.model_after, hex[3]);
    snprintf(number[0], DECIMAL_CAP, "%" PRIu64, note->finished);
    snprintf(number[1], DECIMAL_CAP, "%" PRIu64, note->entry.round);
    snprintf(number[2], DECIMAL_CAP, "%" PRIu64, o->steps);
    snprintf(number[3], DECIMAL_CAP, "%" PRIu64, o->averaged);
    if ((st = fm_alloc(fm_safetensors_count(like) + 3, sizeof *views, &p)) != FM_OK)
        goto done;
    views = p;
    if ((st = fm_safetensors_encode(views, collect(like, o, views), meta,
                                    sizeof meta / sizeof meta[0], &buf)) != FM_OK)
        goto done;
    st = fm_file_replace(path, buf.data, buf.len, 0600);
done:
    free(views);
    fm_buf_fini(&buf);
    return st;
}

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

static bool has(const fm_safetensors *s, const char *name, const char *dtype, size_t bytes)
{
    const fm_tensor_view *t = fm_safetensors_find(s, name);

    return t && strcmp(t->dtype, dtype) == 0 && t->bytes == bytes;
}

static bool shaped(const fm_safetensors *s, const fm_optimizer *o)
{
    return has(s, "optimizer.m", "F32", o->n * sizeof(float)) &&
           (!o->v || has(s, "optimizer.v", "F32", o->n * sizeof(float))) &&
           (!o->average || has(s, "optimizer.average", "F64", o->n * sizeof(double)));
}

/* The weights: every F32 tensor before the optimizer's, in order. False when they are not n. */
static bool weights_of(const fm_safetensors *s, float *out, size_t n)
{
    size_t at = 0;

    for (size_t i = 0; i < fm_safetensors_count(s); i++) {
        const fm_tensor_view *t = fm_safetensors_at(s, i);

        if (strncmp(t->name, "optimizer.", 10) == 0)
            continue;
        if (strcmp(t->dtype, "F32") != 0 || t->bytes / sizeof(float) > n - at)
            return false;
        if (out)
            memcpy(out + at, t->data, t->bytes);
        at += t->bytes / sizeof(float);
    }
    return at == n;
}

fm_status fm_checkpoint_read(const char *path, fm_optimizer *o, fm_checkpoint_note *note)
{
    fm_checkpoint_note got = { 0 };
    uint64_t steps = 0, averaged = 0;
    fm_safetensors *s = NULL;
    fm_status st = fm_safetensors_load(path, SIZE_MAX / 2, &s);

    if (st != FM_OK)
        return st;
    if (!meta_hash(s, META_PLAN, &got.plan) || !meta_hash(s, META_HEAD, &got.head) ||
        !meta_hash(s, META_COMMIT, &got.entry.commit_digest) ||
        !meta_hash(s, META_AFTER, &got.entry.model_after) ||
        !meta_number(s, META_FINISHED, &got.finished) ||
        !meta_number(s, META_ROUND, &got.entry.round) || !meta_number(s, META_STEPS, &steps) ||
        !meta_number(s, META_AVERAGED, &averaged) || !shaped(s, o) ||
        !weights_of(s, NULL, o->n)) {
        st = fm_fail(FM_EPROTO, "%s: not a checkpoint of this model and optimizer; restore the "
                                "right one, or start a new run in a new directory",
                     path);
        goto done;
    }
    (void)weights_of(s, o->weights, o->n);
    memcpy(o->m, fm_safetensors_find(s, "optimizer.m")->data, o->n * sizeof(float));
    if (o->v)
        memcpy(o->v, fm_safetensors_find(s, "optimizer.v")->data, o->n * sizeof(float));
    if (o->average)
        memcpy(o->average, fm_safetensors_find(s, "optimizer.average")->data,
               o->n * sizeof(double));
    o->steps = steps;
    o->averaged = averaged;
    *note = got;
done:
    fm_safetensors_free(&s);
    return st;
}
