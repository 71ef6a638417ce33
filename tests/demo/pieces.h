/*
 * Both ends of a federation, real machines, with a vector that takes several windows; between them
 * queues that a test can hold up or cut. Node i adds one to coordinate i, without noise: the model
 * shows whose updates are in it, and that every mask is gone.
 */
#ifndef FEDMOE_TESTS_DEMO_PIECES_H
#define FEDMOE_TESTS_DEMO_PIECES_H

#include "fedmoe/aggregator/round.h"
#include "fedmoe/node/round.h"
#include "spool_internal.h"
#include "world.h"

#define WORDS 1300000u /* a window of four nodes, and a quarter */
#define SIZE ((size_t)4 * WORDS)
#define QUEUE 256u
#define ROUND_MS 1000u

struct house;

typedef struct {
    struct house *house;
    uint32_t i;
    bool here;
    bool reads;    /* what the aggregator says */
    int says_left; /* messages that still arrive there, then the line is dead; < 0: any number */
    fm_node_round *machine;
    fm_dp_keypair *keys;
    fm_statement statement;
    fm_credential credential;
    fm_message *in[QUEUE]; /* [waiting] from the aggregator, owned */
    uint32_t waiting;
    uint64_t last_used, finished_round;
    fm_hash head;
    bool finished;
    /* of this session: bytes of the model sent to it and acknowledged; of its update sent, and
     * that it may send */
    uint64_t down, down_ok, up, up_ok;
    uint64_t most_down;
} piece_node;

typedef struct house {
    fm_plan plan;
    fm_buf plan_bytes;
    fm_dp_lattice lattice;
    fm_optimizer *optimizer;
    fm_coordinator *c;
    fm_spool *spool;
    fm_peer *hub;
    piece_node node[NODES];
    uint64_t now_ms, rounds;
    fm_transcript_entry entries[8];
    uint32_t entry_count, abandoned, survivors, results;
    char dropped[NODES][256];
} house;

void house_make(house *h, uint32_t rounds);
void house_end(house *h);
void house_join(house *h, uint32_t i);
void house_leave(house *h, uint32_t i);
/** Until nobody has anything more to say. */
void house_run(house *h);
void house_tick(house *h, uint64_t ms);
/** As node i. */
void house_say(house *h, uint32_t i, const fm_message *m);
/** How many updates of node i are in the model. */
float house_sums(const house *h, uint32_t i);
/** Coordinates that should be zero and are not. */
uint32_t house_stray(const house *h);

#endif
