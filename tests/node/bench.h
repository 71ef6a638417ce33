/*
 * A federation on the bench: four real machines with doubled ports, and an aggregator that is
 * honest unless a test changes what it says. Node VICTIM is the one that is lied to.
 */
#ifndef FEDMOE_TESTS_NODE_BENCH_H
#define FEDMOE_TESTS_NODE_BENCH_H

#include "double.h"

#define VICTIM 1u

typedef struct {
    const fm_identity *identity;
    fm_dp_keypair *keypair;
    fm_credential credential;
    fm_node_round *machine;
    port_double ports;
} bench_node;

/** Storage of the message under construction; tests change it and the message freely. */
typedef struct {
    fm_message m;
    fm_credential members[NODES + 2];
    uint32_t indices[NODES + 2];
    uint8_t model[4 * P + 4];
    fm_transcript_entry entries[MAX_ROUND];
    fm_hash hashes[NODES + 2];
    uint8_t signatures[NODES + 2][FM_SIGNATURE_MAX];
    fm_bytes views[NODES + 2];
    uint8_t own[FM_SIGNATURE_MAX]; /* the aggregator's signature */
} bench_message;

typedef struct {
    bench_node node[NODES];
    fm_peer *aggregator; /* as the nodes verified it */
    fm_dp_lattice lattice;
    fm_plan plan;
    fm_buf plan_bytes;
    fm_hash plan_hash;
    fm_session session;
    fm_hash roster;
    uint64_t round; /* under way, or next to start */
    uint32_t participants[NODES], participant_count;
    uint32_t survivors[NODES], survivor_count;
    uint8_t model[4 * P];
    fm_hash model_hash, head;
    fm_transcript_entry entries[MAX_ROUND];
    uint32_t entry_count;
    int64_t wrong_s; /* of the clock of whoever hears */
} bench;

void bench_init(bench *b);
void bench_fini(bench *b);

/* What the honest aggregator would say now. */
void say_plan(bench *b, bench_message *o);
void say_roster(bench *b, bench_message *o);
void say_start(bench *b, bench_message *o);
void say_survivors(bench *b, bench_message *o);
void say_commits(bench *b, bench_message *o);
void say_abandon(bench *b, bench_message *o);
void say_finish(bench *b, bench_message *o);
/** The whole model in one. */
void say_piece(bench *b, bench_message *o);
void say(bench *b, fm_msg_type what, bench_message *o);
/** Sign a RoundStart or Finish (again) as `by`. */
void sign_start(bench_message *o, const fm_identity *by);
void sign_finish(bench_message *o, const fm_identity *by);
fm_round_view bench_view(const bench *b);
fm_hash bench_commit_digest(const bench *b);

/** Give a message to a node; the machine's status. */
/** And the whole model, if it asks for that. */
fm_status hear(bench *b, unsigned node, const bench_message *o);
fm_status hear_alone(bench *b, unsigned node, const bench_message *o);
/** The honest message of that kind to all nodes (but the victim when `spare_victim`). */
void tell(bench *b, fm_msg_type what, bool spare_victim);
/** Take all nodes honestly to where the victim waits in this phase, of round b->round. */
void reach(bench *b, fm_node_phase phase);
/** From FM_NODE_WAIT_SURVIVORS to the end of the round, with the transcript one longer. */
void finish_round(bench *b);
void next_round(bench *b);
/** A fresh process of the victim: new keys, new machine, the durable part of its ports. */
void restart_victim(bench *b);
port_double *victim_ports(bench *b);
fm_node_phase victim_phase(const bench *b);

/**
 * A lie: the honest message of this kind, changed, is refused by the victim for this reason (a word
 * of it: not because something else is wrong too) with no effect; the honest one then is taken.
 */
void check_lie(fm_msg_type what, const char *word, void (*change)(bench *b, bench_message *o));
/** The same, on a bench that a test prepared. */
void check_lie_on(bench *b, fm_msg_type what, const char *word,
                  void (*change)(bench *b, bench_message *o));

#endif
