/*
 * A hostile aggregator: the real one's directory, certificate and link, but its own round, in which
 * every node can be told something else. One *step* is one round number: roster, start, survivors
 * and commits are told to each node as an honest aggregator would, after the step's lie has changed
 * what this very node is told. Whatever the answers are, it goes on to the end: commits that do not
 * fit together are sent on all the same. Afterwards a new honest roster makes every node answer, so
 * that nothing of the step can still be on its way.
 */
#ifndef FEDMOE_TESTS_HOSTILE_HOSTILE_H
#define FEDMOE_TESTS_HOSTILE_HOSTILE_H

#include <stdio.h>

#include "run_internal.h"

#define MOST 12u              /* honest nodes and colluders */
#define MAX_STEPS 40u         /* rounds of one run */
#define EVERYBODY "111111111" /* nine at most */
#define PATIENCE_S 60u        /* for what must come */

typedef struct {
    char name[FM_NAME_MAX + 1];
    fm_identity *colluder;       /* owned; NULL: an honest node, in a process of its own */
    const fm_identity *borrowed; /* what `colluder` is, or the aggregator's own certificate */
    uint64_t peer;               /* 0: not connected */
    fm_credential credential;    /* of its session; a colluder's is made here */
    fm_credential earlier;       /* of the session before, once there was one */
    fm_buf plan;                 /* the plan that it is offered */
    fm_hash plan_hash;
    bool approved, declined;
    /* In the round under way: */
    bool answered;
    fm_hash told, roster;        /* the roster that it was told, and that it answered */
    unsigned updated, committed; /* how often */
    fm_hash update;
    fm_buf masked;
    uint8_t update_signature[FM_SIGNATURE_MAX], commit_signature[FM_SIGNATURE_MAX];
    size_t update_signature_len, commit_signature_len;
    /* Of the last honest round: */
    fm_hash old_update;
    uint8_t old_update_signature[FM_SIGNATURE_MAX], old_commit_signature[FM_SIGNATURE_MAX];
    size_t old_update_signature_len, old_commit_signature_len;
    unsigned releases[MAX_STEPS + 1]; /* by round number */
} party;

/* What one node is told in one step. Places are those of the roster that it is told. */
typedef struct {
    unsigned who[MOST]; /* the party at each place */
    fm_credential members[MOST];
    uint32_t member_count;
    fm_session session;
    fm_hash roster; /* digest of the above, as told */
    uint64_t round;
    fm_hash plan, model_hash, head;
    fm_buf model;
    uint32_t participants[MOST], participant_count;
    fm_transcript_entry entries[MAX_STEPS];
    uint32_t entry_count;
    const fm_identity *signer;
    uint32_t survivors[MOST], survivor_count;
    fm_hash update_hashes[MOST];
    uint8_t signatures[MOST][FM_SIGNATURE_MAX]; /* of updates, then of commits */
    fm_bytes signature_views[MOST];
} telling;

typedef enum { AT_ROSTER, AT_START, AT_SURVIVORS, AT_COMMITS } moment;

typedef struct hostile hostile;

/* What it may do besides: the order of things within a step. */
typedef enum {
    KEEP,
    ASK_AGAIN,          /* survivors and commits once more, after the releases */
    REPLAY_START,       /* before anything else: the last honest RoundStart, byte for byte */
    KILL_AFTER_UPDATE,  /* one node is killed, comes back, and the same round is opened again */
    KILL_AFTER_COMMIT,  /* likewise */
    KILL_AFTER_RELEASE, /* likewise */
} deed;

typedef struct {
    const char *name;
    void (*change)(hostile *h, moment at, unsigned to, telling *t); /* NULL: tells no lie */
    const char *cast;                                               /* parties of the roster */
    /* One character a node, in the order of the command line: 1 it does, 0 it does not, and - it
     * is told nothing. */
    const char *answers, *updates, *commits, *releases;
    deed deed;
    const char *says; /* likewise: whose log must say why, in these words */
    const char *why;
} lie;

struct hostile {
    fm_run run; /* the real aggregator's files and link; its coordinator is left alone */
    FILE *record;
    const char *updates_dir; /* NULL: masked updates are not kept */
    party parties[MOST];
    unsigned count, honest; /* the honest come first */
    telling told[MOST];     /* what each honest node is told in this step */
    uint64_t round;
    fm_session old_session; /* of the step before; and its roster */
    fm_hash old_roster;
    fm_buf model, old_model;
    fm_transcript_entry entries[MAX_STEPS];
    uint32_t finished;
    fm_hash head, old_head;
    fm_buf last_start; /* the last honest RoundStart, encoded */
    unsigned failures;
};

/** Ends the program with what is wrong unless `ok`. */
void need(bool ok, const char *what);

/* lies.c */
const lie *lie_find(const char *name);
/** A plan that differs from the approved one in the figure `name`. */
void lie_plan(fm_plan *plan, const char *name);

/* hear.c */
/** One event of the link, or none within `ms`. */
void hear(hostile *h, int ms);
typedef bool (*party_test)(const hostile *h, const party *p);
/** Until the test holds for every honest node of which `which` says 1. */
void hear_until(hostile *h, party_test test, const char *which, const char *what);
/** A credential of the party's own certificate and fresh keys. */
void make_credential(const fm_identity *id, fm_credential *out);
void offer_plan(hostile *h, const party *p);

/* say.c */
void say_roster(hostile *h, unsigned to, telling *t);
void say_start(hostile *h, unsigned to, telling *t);
/** The model of that hash, or what this node is to take for it. */
void say_model(hostile *h, unsigned to, const fm_hash *hash);
void say_survivors(hostile *h, unsigned to, telling *t);
void say_commits(hostile *h, unsigned to, telling *t);
void say_finish(hostile *h, unsigned to);
void say_message(hostile *h, unsigned to, const fm_message *m);
fm_round_view view_of(const telling *t, const char *federation);
/** What an honest aggregator would tell: survivors and their updates; their commits. */
void fill_survivors(hostile *h, telling *t);
void fill_updates(hostile *h, telling *t);
void fill_commits(hostile *h, telling *t);

/* step.c */
void step(hostile *h, const lie *l);

#endif
