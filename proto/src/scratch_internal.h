/* Memory of one message: taken piece by piece under a ceiling, given back all at once. */
#ifndef FEDMOE_PROTO_SCRATCH_INTERNAL_H
#define FEDMOE_PROTO_SCRATCH_INTERNAL_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "fedmoe/base/memory.h"

typedef struct fm_scratch_chunk fm_scratch_chunk;

typedef struct {
    fm_scratch_chunk *chunks; /* the newest first */
    size_t left;              /* bytes that may still be taken */
    bool exhausted;           /* a request passed the ceiling */
    bool out_of_memory;       /* the system had none */
} fm_scratch;

/** The ceiling for a message of `len` bytes: a small multiple of it, and a constant. */
size_t fm_scratch_ceiling(size_t len);
void fm_scratch_init(fm_scratch *s, size_t ceiling);
/** 16-byte-aligned, not zeroed; NULL past the ceiling or without memory. */
void *fm_scratch_take(fm_scratch *s, size_t count, size_t size);
/** Wipes and frees all; safe twice. */
void fm_scratch_fini(fm_scratch *s);
/** protobuf-c's view: free does nothing. Valid as long as `s`. */
ProtobufCAllocator fm_scratch_allocator(fm_scratch *s);

#endif
