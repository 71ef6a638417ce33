/*
 * The audit bundle: a file of sections in a row, read and written as a stream. Each section is
 * followed by a mark, a digest over all before it, so that a byte that was altered, a section that
 * is missing and one that stands elsewhere show where they are. docs/protocol.md, section 16.
 *
 *   file    = "fedmoe audit bundle 1\n" | section ... (the last one is the seal)
 *   section = tag[4] | u64 length | payload | mark[32]
 *   mark    = H("fedmoe bundle v1"; mark before (first: zero) | tag[4] | part(payload))
 *
 * What the sections mean, and in which order they must stand, is for who reads them.
 */
#ifndef FEDMOE_PROTO_BUNDLE_H
#define FEDMOE_PROTO_BUNDLE_H

#include <stdio.h>

#include "fedmoe/proto/entry.h"

#define FM_BUNDLE_MAGIC "fedmoe audit bundle 1\n"
#define FM_LABEL_SEAL "fedmoe bundle seal v1"

typedef enum {
    FM_BUNDLE_END = 0, /* of the file, after the seal */
    FM_BUNDLE_PLAN,    /* "plan": the plan's bytes */
    FM_BUNDLE_CA,      /* "ca  ": the aggregator's CA certificate file, for information */
    FM_BUNDLE_MODEL,   /* "modl": the first state, float32 */
    FM_BUNDLE_ROSTER,  /* "rost": an encoded Roster message */
    FM_BUNDLE_ENTRY,   /* "entr": entry.h */
    FM_BUNDLE_UPDATE,  /* "updt": masked words of one survivor, in the survivors' order */
    FM_BUNDLE_SEEDS,   /* "seed": what it released: self, pair of each lost one, surplus */
    FM_BUNDLE_SEAL,    /* "seal": fm_bundle_seal */
} fm_bundle_kind;

/** "entry", as a text would call it. */
const char *fm_bundle_kind_name(fm_bundle_kind k);
/** Longest payload, bytes. */
size_t fm_bundle_limit(fm_bundle_kind k);

/* ---- writing ---- */

typedef struct fm_bundle_writer fm_bundle_writer;

/** Nothing is at `path` before fm_bundle_finish (base/file.h). Mode 0600: with kept
 *  updates, whoever reads it stands where the aggregator stands; people widen it to publish it. */
FM_NODISCARD fm_status fm_bundle_create(const char *path, fm_bundle_writer **out);
/** FM_EINVAL past the limit of the kind. */
FM_NODISCARD fm_status fm_bundle_put(fm_bundle_writer *w, fm_bundle_kind k, const void *data,
                                     size_t len);
/** The digest over all before. */
fm_hash fm_bundle_mark(const fm_bundle_writer *w);
FM_NODISCARD fm_status fm_bundle_finish(fm_bundle_writer **w);
void fm_bundle_abort(fm_bundle_writer **w); /* NULL: nothing to do */

/* ---- reading ---- */

typedef struct fm_bundle_reader fm_bundle_reader;

typedef struct {
    fm_bundle_kind kind;
    uint64_t number;      /* of the section, from 1 */
    fm_hash before, mark; /* the digest before it, and after */
    fm_bytes payload;     /* borrowed until the next call */
} fm_bundle_section;

/** FM_ENOTFOUND; FM_EIO; FM_EPROTO for a file that does not begin as a bundle. */
FM_NODISCARD fm_status fm_bundle_open(const char *path, fm_bundle_reader **out);
/** Of a stream that is open, owned from here on also on failure. @param name  for texts, copied. */
FM_NODISCARD fm_status fm_bundle_open_stream(FILE *f, const char *name, fm_bundle_reader **out);
/**
 * The next section, its bytes compared with its mark. Memory grows with the bytes that are there,
 * not with a length that is only claimed. FM_BUNDLE_END once, when nothing is behind the seal.
 * @return FM_OK; FM_EPROTO naming section and field; FM_EIO; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_bundle_next(fm_bundle_reader *r, fm_bundle_section *out);
void fm_bundle_close(fm_bundle_reader **r);

/* ---- the seal ---- */

/** u64 entries | head[32] | i64 time | u32 len, certificate | u8 len, signature */
typedef struct {
    uint64_t entries;     /* in the bundle */
    fm_hash head;         /* of the transcript after them */
    int64_t made_s;       /* when the bundle was made, by the aggregator's clock */
    fm_bytes certificate; /* of the aggregator, DER */
    fm_bytes signature;   /* over fm_bundle_seal_digest */
} fm_bundle_seal;

/** H("fedmoe bundle seal v1"; part(federation) | plan | mark before the seal | entries | head |
 *  time). */
fm_hash fm_bundle_seal_digest(const char *federation, const fm_hash *plan, const fm_hash *before,
                              const fm_bundle_seal *s);
FM_NODISCARD fm_status fm_bundle_seal_encode(const fm_bundle_seal *s, fm_buf *out);
/** Borrows from `data`. FM_EPROTO naming the field. */
FM_NODISCARD fm_status fm_bundle_seal_decode(const uint8_t *data, size_t len, fm_bundle_seal *out);

#endif
