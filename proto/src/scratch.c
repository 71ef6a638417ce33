#include "scratch_internal.h"

#include <stdlib.h>

#include <sodium.h>

#define ALIGN ((size_t)16)
#define CHUNK_BYTES ((size_t)4096)

struct fm_scratch_chunk {
    fm_scratch_chunk *next;
    size_t size, used; /* bytes of data */
    _Alignas(16) unsigned char data[];
};

/*
 * The smallest fields cost protobuf-c most: a pair seed of 38 bytes takes about 170 (its struct,
 * its pointer and twice the parser's own note), hence 8 for small messages. Large ones are one long
 * field and lists of bounded length, hence 2 and the lists' sum.
 */
size_t fm_scratch_ceiling(size_t len)
{
    size_t small = len > SIZE_MAX / 16 ? SIZE_MAX : 8 * len + 65536;
    size_t large = len > SIZE_MAX / 16 ? SIZE_MAX : 2 * len + ((size_t)8 << 20);

    return small < large ? small : large;
}

void fm_scratch_init(fm_scratch *s, size_t ceiling)
{
    *s = (fm_scratch){ .chunks = NULL, .left = ceiling };
}

static fm_scratch_chunk *chunk_new(fm_scratch *s, size_t size)
{
    size_t data = size < CHUNK_BYTES ? CHUNK_BYTES : size;
    fm_scratch_chunk *c;

    if (data > SIZE_MAX - sizeof *c || !(c = malloc(sizeof *c + data)))
        return NULL;
    c->size = data;
    c->used = 0;
    c->next = s->chunks;
    s->chunks = c;
    return c;
}

void *fm_scratch_take(fm_scratch *s, size_t count, size_t size)
{
    fm_scratch_chunk *c = s->chunks;
    size_t bytes;
    void *place;

    if (fm_mul_size(count, size, &bytes) != FM_OK || bytes > SIZE_MAX - ALIGN)
        return NULL;
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (bytes > s->left) {
        s->exhausted = true;
        return NULL;
    }
    if ((!c || c->size - c->used < bytes) && !(c = chunk_new(s, bytes))) {
        s->out_of_memory = true;
        return NULL;
    }
    place = c->data + c->used;
    c->used += bytes;
    s->left -= bytes;
    return place;
}

void fm_scratch_fini(fm_scratch *s)
{
    fm_scratch_chunk *next;

    for (fm_scratch_chunk *c = s->chunks; c; c = next) {
        next = c->next;
        sodium_memzero(c->data, c->used);
        free(c);
    }
    s->chunks = NULL;
    s->left = 0;
}

static void *allocator_alloc(void *s, size_t size)
{
    return fm_scratch_take(s, 1, size);
}

static void allocator_free(void *s, void *p)
{
    (void)s;
    (void)p;
}

ProtobufCAllocator fm_scratch_allocator(fm_scratch *s)
{
    return (ProtobufCAllocator){ allocator_alloc, allocator_free, s };
}
