/* A run of honest nodes under the real coordinator, and the bundle of it in pieces. */
#ifndef FEDMOE_TESTS_VERIFY_DESK_H
#define FEDMOE_TESTS_VERIFY_DESK_H

#include "federation.h"
#include "fedmoe/node/verify.h"
#include "fedmoe/proto/bundle.h"

#define MAX_SECTIONS 128
#define PATH_CAP 512

typedef struct {
    fm_bundle_kind kind;
    fm_buf data;
} piece;

/** A bundle as its sections, seal last: to be changed and written again. */
typedef struct {
    piece pieces[MAX_SECTIONS];
    size_t count;
} pieces;

typedef struct {
    char dir[PATH_CAP - 64], bundle[PATH_CAP];
    federation *f; /* the run, over */
    fed_keeper keeper;
    bool with_updates;
    int64_t shift_s; /* of the aggregator's clock, from the first update on to the round's end */
    uint32_t skips;  /* numbers that no round finishes under, after the first round */
    /* of the round under way */
    uint64_t round;
    fm_buf roster;
    bool roster_new;
    fm_buf updates[PEOPLE], seeds[PEOPLE];
    pieces all;
} desk;

/** Four nodes, `rounds` rounds, one of them without the node `lost` (UINT32_MAX: none is lost). */
void desk_make(desk *d, uint32_t rounds, uint32_t lost, bool with_updates);
/** One round of 40 nodes that share masks with some of the others, without the last; with updates. */
void desk_make_sparse(desk *d, uint32_t density);
/** The same without losses and updates; after round 1 come `skips` numbers that no round
 *  finishes under. */
void desk_make_skipping(desk *d, uint32_t rounds, uint32_t skips);
/** One round without losses and updates, during which the aggregator's clock is wrong by so much. */
void desk_make_shifted(desk *d, int64_t shift_s);
void desk_end(desk *d);

/** A copy of the honest pieces. */
void pieces_copy(const pieces *from, pieces *to);
void pieces_fini(pieces *p);
/** Index of the n-th piece of the kind, from 0. Ends the program when there is none. */
size_t piece_at(const pieces *p, fm_bundle_kind kind, size_t n);
void piece_remove(pieces *p, size_t at);
void piece_swap(pieces *p, size_t a, size_t b);
void piece_repeat(pieces *p, size_t at);

/* forge.c: what a hostile aggregator can do, who has its own key */
/** Marks of all sections and the seal anew, over what the pieces are now. */
void forge_seal(pieces *p);
/** The entry at `at` anew: signed for the head that it leads to. False: no entry can be read. */
bool forge_entry_signature(pieces *p, size_t at);
/** Heads of all entries from this piece on anew, and signatures; commits stay what they are. */
void forge_chain(pieces *p);

/** The file's bytes, marks as they must be: from docs/protocol.md, not by the writer under test.
 *  @param before_last  out: the mark before the last section. */
void pieces_encode(const pieces *p, fm_buf *out, fm_hash *before_last);
/** Write to d->bundle, unsynced: it is done thousands of times. */
void desk_write(const desk *d, const pieces *p);
void desk_store(const desk *d, const void *data, size_t len);
/** As an outsider who has the CA's folder. *out may be NULL. */
fm_status desk_verify(const desk *d, fm_verify_report *out);
/** Refused, with these words; prints the text when not. */
bool desk_refuses(const desk *d, const pieces *p, const char *words);
bool says(const char *words);

extern const fm_test_suite suite_bundle, suite_hostile, suite_journal, suite_times;

#endif
