/*
 * The ports of one node, doubled: a journal and ledger in memory, training that sums a few known
 * gradients with the real dp library, every effect written down in order, any effect made to fail.
 */
#ifndef FEDMOE_TESTS_NODE_DOUBLE_H
#define FEDMOE_TESTS_NODE_DOUBLE_H

#include "fedmoe/node/round.h"
#include "world.h"

#define P 8u            /* parameters */
#define MAX_EFFECTS 256 /* written down */
#define MAX_ROUND 32u   /* round numbers that the journal in memory knows */

typedef enum {
    DID_NOTHING,
    DID_APPROVE,
    DID_HEAD,
    DID_AFFORD,
    DID_USE,
    DID_TRAIN,
    DID_COMMIT,
    DID_CHARGE,
    DID_RELEASE,
    DID_FINISH,
    DID_KEEP,
    DID_SEND, /* + the message's type; pieces are not written down, but can be made to fail */
} effect;

typedef struct {
    bool used, committed, charged, released, abandoned;
    fm_hash digest;
} book_row;

typedef struct {
    /* durable: kept over a restart */
    book_row book[MAX_ROUND + 1];
    uint64_t last_used, finished_round;
    fm_hash head;
    fm_hash ledger; /* its head */
    /* what happened */
    unsigned marks; /* that were held against the ledger */
    int effects[MAX_EFFECTS];
    unsigned count;
    unsigned refusals;
    char why[1024];                    /* of the last refusal */
    fm_message *sent[FM_MSG_LAST + 1]; /* last of each type, owned */
    uint8_t update[4 * P];             /* the last one, of its pieces */
    unsigned sent_count[FM_MSG_LAST + 1];
    fm_trust *kept; /* the newest revocation list, owned */
    uint64_t finished_rounds;
    /* what to do */
    int fail;                   /* this effect fails ... */
    fm_status fail_with;        /* ... so */
    fm_status approve;          /* what approve_plan returns; FM_OK unless set */
    unsigned pause_from, asked; /* paused from this question on; 0: never */
    bool note_fails;
    unsigned noted; /* updates that are about to leave */
    unsigned node;  /* whose gradients */
    fm_dp_lattice lattice;
    int32_t encoded[P];      /* sum of the last training, before noise and masks */
    int32_t noise[NODES][P]; /* and its noise, by level */
    uint32_t levels;         /* that there are */
    uint32_t mask_density;   /* that the last training was told */
} port_double;

void double_init(port_double *d, unsigned node, const fm_dp_lattice *lattice);
/** Of rounds with so many participants; until the next call. Tables take a moment to make. */
const fm_dp_shares *the_shares(const fm_dp_lattice *lattice, uint32_t participants);
void double_fini(port_double *d);
/** A process start: what is durable stays. */
void double_restart(port_double *d);
fm_node_ports double_ports(port_double *d);
bool did(const port_double *d, int what);
unsigned times(const port_double *d, int what);

#endif
