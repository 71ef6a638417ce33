/*
 * CSV as RFC 4180 has it, read in blocks: a source hands out blocks of whole records, a scan walks
 * over the records of one block. Blocks are independent: each can be scanned in its own thread.
 *
 * The rules, which docs/schema.md promises: a quote opens a quoted cell only as the cell's first
 * byte (spaces and tabs before it aside) and "" within is one; after the closing quote only spaces
 * and tabs may stand before the next delimiter or line end. Spaces and tabs around unquoted cells
 * are dropped. LF, CR LF and CR end lines; lines of spaces and tabs alone are no records. A test
 * compares all of it with libcsv's strict mode.
 */
#ifndef FEDMOE_MODEL_TABLE_CSV_H
#define FEDMOE_MODEL_TABLE_CSV_H

#include "dialect_internal.h"
#include "fedmoe/model/packed.h"
#include "fedmoe/model/table.h"
#include "schema_internal.h"

/** Bytes of a block: room for the longest record, and more than it. */
#define FM_CSV_BLOCK (FM_TABLE_MAX_RECORD + FM_TABLE_MAX_RECORD / 4)
#define FM_CSV_PAD 64 /* readable past a block's end */

typedef struct {
    char *text; /* [len], writable, and FM_CSV_PAD more; scanning changes it */
    size_t len;
    size_t used;  /* most bytes that ever were in it: those to be wiped */
    size_t line;  /* of its first byte, 1-based */
    bool last;    /* the file ends here */
    bool endless; /* it begins a record that is too long to end here */
} fm_csv_block;

/** One record, as long as its block is not scanned on. */
typedef struct {
    const fm_slice *cells;
    size_t count;
    size_t line;  /* where it starts */
    bool unended; /* the file ends without a line end behind it */
} fm_csv_record;

typedef struct {
    const char *name;
    char delimiter;
    char *text;
    char *at, *end;    /* what is left; *end is writable */
    char *chunk;       /* 64 bytes whose marks are known: those at and after `at` */
    uint64_t marks;    /* delimiters, quotes and line ends in the chunk */
    size_t line;       /* of `at` */
    const char *begin; /* where the record at hand starts */
    size_t begin_line; /* its line */
    fm_slice *cells;   /* [cap], owned */
    size_t count, cap;
    const char *nul; /* the line that holds a NUL byte, or NULL: nothing from there on is read */
    size_t nul_line_len;
    bool last, endless, unended;
    bool held; /* the record at hand is to be had once more */
} fm_csv_scan;

/** What a file is that begins so, and what to do with it; NULL: it may be CSV. @return words */
#define FM_CSV_OTHER ((size_t)256)
const char *fm_csv_other(const char *first, size_t n, char words[FM_CSV_OTHER]);

/** Begin with a block; s->cells survives from block to block. @param name for error texts. */
void fm_csv_begin(fm_csv_scan *s, const char *name, char delimiter, const fm_csv_block *b);
/**
 * The next record.
 * @param got out: false at the end of the block.
 * @return FM_OK; FM_EPARSE, the text "name:line: ..."; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_csv_next(fm_csv_scan *s, fm_csv_record *r, bool *got);
void fm_csv_scan_fini(fm_csv_scan *s);

/** Where the blocks come from. */
typedef struct {
    const char *name;
    int fd;                      /* -1: from memory, or by `input` */
    fm_packed *packed;           /* of a file: what it reads through */
    fm_recode *recode;           /* NULL: its bytes are text as they stand */
    const fm_table_input *input; /* NULL, or borrowed */
    const char *memory;          /* borrowed */
    size_t memory_left;
    size_t limit, taken; /* bytes of the file, unpacked: most, and so far */
    size_t room;         /* bytes of its blocks: FM_CSV_BLOCK, or less when memory is less */
    char *carry;         /* [room], owned: begun records of the block before */
    size_t carried, carried_most;
    size_t line;
    bool begun, ended;
} fm_csv_source;

/** A file, or a pipe, packed or not (packed.h). FM_ENOTFOUND, FM_EIO, FM_ENOMEM. @param limit most
 *  bytes, unpacked. */
FM_NODISCARD fm_status fm_csv_open(const char *path, size_t limit, fm_csv_source *out);
/** Before the first block: the bytes are read by `d`, which outlives the source. FM_ENOMEM. */
FM_NODISCARD fm_status fm_csv_speak(fm_csv_source *s, const fm_dialect *d);
FM_NODISCARD fm_status fm_csv_memory(const char *name, const void *text, size_t len,
                                     fm_csv_source *out);
FM_NODISCARD fm_status fm_csv_input(const fm_table_input *in, size_t limit, fm_csv_source *out);
void fm_csv_close(fm_csv_source *s);
/** Bytes as they stand, for what is no CSV: up to `room`, *n 0 at the end. FM_EIO; FM_EPROTO over the
 *  limit, or damaged. */
FM_NODISCARD fm_status fm_csv_read(fm_csv_source *s, char *to, size_t room, size_t *n);
/** Room for one block of this source; wiped when freed. */
FM_NODISCARD fm_status fm_csv_block_new(const fm_csv_source *s, fm_csv_block *b);
void fm_csv_block_free(fm_csv_block *b);
/** Fill b. @param got out: false when there is nothing left. FM_EIO; FM_EPROTO over the limit. */
FM_NODISCARD fm_status fm_csv_take(fm_csv_source *s, fm_csv_block *b, bool *got);

#endif
