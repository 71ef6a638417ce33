/*
 * Nodes without models or records, all of them in one process, that take part in rounds of the real
 * fedmoe-aggregator: what it is asked to do is real, and nothing else costs much. Their updates hold
 * self masks, and the pair masks with those that will be lost in the round: the others would cancel.
 */
#ifndef FEDMOE_TESTS_BENCH_SCALE_H
#define FEDMOE_TESTS_BENCH_SCALE_H

#include "fedmoe/dp/mask.h"
#include "fedmoe/proto/digest.h"
#include "fedmoe/proto/link/link.h"
#include "fedmoe/proto/plan.h"

#define SCALE_NODES_MAX 512u
#define SCALE_ROUNDS_MAX 64u

struct swarm;

typedef struct {
    struct swarm *swarm;
    uint32_t id;
    fm_identity *identity;
    fm_link_client *link; /* NULL: not connected */
    bool finished;
    uint32_t self; /* index in the roster */
    fm_hash roster, head;
    fm_session session;
    uint32_t count;                /* of the roster */
    uint32_t ids[SCALE_NODES_MAX]; /* of the roster: who is at which place */
    /* the model */
    fm_hash has, wants;
    uint64_t at;
    fm_msg_type after; /* RoundStart or Finish waits for it; 0: nothing */
    /* the round */
    uint64_t round, known;
    uint32_t participants[SCALE_NODES_MAX], participant_count;
    fm_hash model, update, commit;
    uint8_t *vector; /* owned where nodes are lost, else the swarm's */
    uint64_t sent, until;
    bool told, waits; /* waits: for the others to have the model */
} scale_node;

typedef struct swarm {
    const char *door;
    uint8_t door_public[FM_CURVE_KEY_BYTES];
    fm_trust *trust;
    fm_plan plan;
    fm_hash plan_hash;
    bool planned;
    fm_dp_lattice lattice;
    fm_dp_shares *shares;
    uint32_t count, lost; /* nodes; how many of them are lost in each round */
    uint8_t seed[FM_SEED_BYTES];
    uint8_t *vector; /* one update for all; NULL while nodes are lost */
    fm_hash update;
    scale_node node[SCALE_NODES_MAX];
    uint32_t finished;
    /* All have the model before the first one sends its update: what comes then, up to the next model,
     * is the aggregator's work on updates alone. */
    uint32_t ready;
    bool updating;
    void (*mark)(struct swarm *s, bool begin);
    void *ctx; /* mark's */
    /* when the first node heard of a round's start */
    uint64_t started_ms[SCALE_ROUNDS_MAX], rounds;
} swarm;

/** Whether this node is lost in this round of the swarm's counting. */
bool scale_is_lost(const swarm *s, uint32_t id, uint64_t round);
/** One look at the line; connects, and says what an honest node says. */
fm_status scale_node_turn(scale_node *n, int wait_ms);

/** With how many others a node shares a mask, on average over the swarm. */
double scale_mean_masks(const swarm *s);

#endif
