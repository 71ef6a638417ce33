#include "run_correction.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/optim/local.h"

#define LABEL "fedmoe correction v2"
#define HEAD_BYTES (FM_HASH_BYTES + 24u) /* plan, round, n, of */

struct fm_node_correction {
    fm_hash plan;
    char *path;
    size_t n;
    double rate; /* the server's */
    /* What was made of one round. */
    uint64_t round; /* 0: of none */
    bool charged;
    float *model, *mean; /* [n] before that round; c_u */
    /* What follows from it. */
    uint64_t of; /* the finished round that `difference` is of; 0: none */
    float *difference;
};

static void put_u64(uint8_t *out, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t get_u64(const uint8_t *in)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)in[i] << 8 * i;
    return v;
}

static size_t file_bytes(const fm_node_correction *c)
{
    return HEAD_BYTES + 3 * c->n * sizeof(float) + FM_HASH_BYTES;
}

/* plan[32] | round | n | of | model | mean | difference | hash of all that; numbers and floats
 * little-endian, as this machine has them. */
static fm_status read_bytes(fm_node_correction *c, const fm_buf *file)
{
    const size_t body = file_bytes(c) - FM_HASH_BYTES, vector = c->n * sizeof(float);
    const uint8_t *at = file->data + HEAD_BYTES;
    fm_hash hash;

    if (file->len < HEAD_BYTES || memcmp(file->data, c->plan.bytes, FM_HASH_BYTES) != 0)
        return FM_OK; /* of another plan: this one has none yet */
    if (file->len != file_bytes(c) || get_u64(file->data + FM_HASH_BYTES + 8) != c->n)
        return fm_fail(FM_EPROTO, "%s: not of this plan's size", c->path);
    hash = fm_hash_of(LABEL, file->data, body);
    if (memcmp(hash.bytes, file->data + body, FM_HASH_BYTES) != 0)
        return fm_fail(FM_EPROTO, "%s: damaged", c->path);
    c->round = get_u64(file->data + FM_HASH_BYTES);
    c->charged = true;
    c->of = get_u64(file->data + FM_HASH_BYTES + 16);
    memcpy(c->model, at, vector);
    memcpy(c->mean, at + vector, vector);
    memcpy(c->difference, at + 2 * vector, vector);
    return FM_OK;
}

static void read_file(fm_node_correction *c)
{
    fm_buf file = { 0 };
    fm_status st = fm_file_read_private(c->path, file_bytes(c), &file);

    if (st == FM_OK)
        st = read_bytes(c, &file);
    if (st != FM_OK && st != FM_ENOTFOUND)
        fm_log(FM_LOG_WARN, "%s; the next round goes without a correction", fm_error_text());
    fm_error_clear();
    if (file.data)
        sodium_memzero(file.data, file.len);
    fm_buf_fini(&file);
}

static fm_status take(size_t n, float **out)
{
    void *p = NULL;
    fm_status st = fm_alloc(n, sizeof **out, &p);

    if (st == FM_OK)
        *out = p;
    return st;
}

fm_status fm_node_correction_new(const fm_plan *plan, const fm_hash *hash, const char *dir,
                                 fm_node_correction **out)
{
    fm_node_correction *c = NULL;
    void *p = NULL;
    fm_status st = fm_alloc(1, sizeof *c, &p);

    if (st != FM_OK)
        return st;
    c = p;
    c->plan = *hash;
    c->n = plan->parameters;
    c->rate = plan->learning_rate;
    if ((st = fm_path_join(dir, FM_NODE_CORRECTION_FILE, &c->path)) != FM_OK ||
        (st = take(c->n, &c->model)) != FM_OK || (st = take(c->n, &c->mean)) != FM_OK ||
        (st = take(c->n, &c->difference)) != FM_OK) {
        fm_node_correction_free(&c);
        return st;
    }
    read_file(c);
    *out = c;
    return FM_OK;
}

void fm_node_correction_free(fm_node_correction **cp)
{
    fm_node_correction *c = cp ? *cp : NULL;

    if (!c)
        return;
    if (c->mean)
        sodium_memzero(c->mean, c->n * sizeof *c->mean);
    if (c->difference)
        sodium_memzero(c->difference, c->n * sizeof *c->difference);
    free(c->path);
    free(c->model);
    free(c->mean);
    free(c->difference);
    free(c);
    *cp = NULL;
}

const float *fm_node_correction_of(fm_node_correction *c, uint64_t finished, const float *model)
{
    if (finished == 0)
        return NULL;
    if (c->of != finished && c->charged && c->round == finished) {
        fm_local_correction(c->rate, c->model, model, c->mean, c->n, c->difference);
        c->of = finished;
    }
    return c->of == finished ? c->difference : NULL;
}

void fm_node_correction_made(fm_node_correction *c, uint64_t round, const float *model,
                             const float *mean)
{
    c->charged = false;
    c->round = mean ? round : 0;
    if (!mean)
        return;
    memcpy(c->model, model, c->n * sizeof *model);
    memcpy(c->mean, mean, c->n * sizeof *mean);
}

/* With the correction in use: a round that is charged may still come to nothing. */
static fm_status write_file(const fm_node_correction *c)
{
    fm_buf file = { .limit = SIZE_MAX };
    uint8_t head[HEAD_BYTES];
    fm_hash hash;
    fm_status st;

    memcpy(head, c->plan.bytes, FM_HASH_BYTES);
    put_u64(head + FM_HASH_BYTES, c->round);
    put_u64(head + FM_HASH_BYTES + 8, c->n);
    put_u64(head + FM_HASH_BYTES + 16, c->of);
    if ((st = fm_buf_append(&file, head, sizeof head)) == FM_OK &&
        (st = fm_buf_append(&file, c->model, c->n * sizeof *c->model)) == FM_OK &&
        (st = fm_buf_append(&file, c->mean, c->n * sizeof *c->mean)) == FM_OK &&
        (st = fm_buf_append(&file, c->difference, c->n * sizeof *c->difference)) == FM_OK) {
        hash = fm_hash_of(LABEL, file.data, file.len);
        if ((st = fm_buf_append(&file, hash.bytes, sizeof hash.bytes)) == FM_OK)
            st = fm_file_replace(c->path, file.data, file.len, 0600);
    }
    if (file.data)
        sodium_memzero(file.data, file.len);
    fm_buf_fini(&file);
    return st;
}

void fm_node_correction_charged(fm_node_correction *c, uint64_t round)
{
    if (c->round != round || round == 0)
        return;
    c->charged = true;
    if (write_file(c) == FM_OK)
        return;
    fm_log(FM_LOG_WARN, "%s; after a restart a round goes without a correction", fm_error_text());
    fm_error_clear();
}
