/* A federation in memory: the coordinator under test, its ports, and honest nodes around it. */
#ifndef FEDMOE_TESTS_AGGREGATOR_FEDERATION_H
#define FEDMOE_TESTS_AGGREGATOR_FEDERATION_H

#include "fedmoe/aggregator/round.h"
#include "fedmoe/dp/mask.h"
#include "fedmoe/dp/noise.h"
#include "fedmoe/proto/groups.h"
#include "fm_test.h"

#define PEOPLE 40 /* identities; how many take part is the plan's affair */
#define PARAMETERS 8
#define INBOX 64
#define LOG_CAP 512
#define PLAIN_ROUNDS 32
#define LEVELS 4 /* of noise, at most */
#define PHASE_MS 1000
#define JOIN_MS 500

/* An honest node, as far as the coordinator can see one. */
typedef struct {
    uint64_t peer; /* 0: away */
    char name[16];
    const fm_identity *id;
    fm_dp_keypair *keys;
    fm_credential credential;
    fm_statement statement;
    fm_message *inbox[INBOX];
    size_t waiting;
    fm_msg_type stop_at; /* leaves this message and all behind it unread; 0: none */

    /* what it knows */
    uint64_t finished_round;
    fm_hash head;
    float model[PARAMETERS]; /* looked up in the optimizer: test_round_pieces.c asks for it */
    fm_hash model_hash;
    fm_session session;
    fm_hash roster;
    fm_peer *members[PEOPLE]; /* [member_count] owned */
    uint32_t member_count, self;
    fm_dp_pairs *pairs;

    /* the round it is in */
    uint64_t round;
    uint32_t entries; /* of the transcript, that came with it */
    uint32_t participants[PEOPLE], survivors[PEOPLE];
    uint32_t participant_count, survivor_count;
    fm_groups groups;
    fm_dp_release *release;
    fm_hash commit;

    uint32_t poison;      /* added to each word of its updates of 32 bits */
    bool quiet;           /* its updates' pieces are not said */
    uint32_t lists_heard; /* revocation lists */
    /* its own ledger mark, as the last PlanOffer had it; 0: none */
    uint64_t offered_mark;
    fm_hash offered_head;

    /* the end */
    uint64_t finish_rounds;
    float result[PARAMETERS];
} node;

typedef struct {
    uint64_t peer;
    char text[FM_MAX_REASON_BYTES + 1];
} dropped;

typedef struct {
    uint64_t round;
    bool finished;
    uint32_t survivors, participants;
    char reason[128];
} ended;

typedef struct {
    uint32_t max_nodes, min_cohort, quorum, colluders, rounds;
    bool no_noise, local_noise;
    uint32_t max_units;    /* 0: 64 */
    uint32_t word_bits;    /* 0: 32 */
    uint32_t mask_density; /* 0: all */
    uint32_t join_ms;      /* JOIN_MS when 0 */
    uint32_t groups, group_quorum;
    fm_robust_mean mean;
} spec;

/* Who keeps what those need who were not there. */
typedef struct {
    void *ctx;
    void (*roster)(void *ctx, const fm_msg_roster *r);
    void (*update)(void *ctx, uint64_t round, uint32_t index, fm_bytes masked);
    void (*release)(void *ctx, uint32_t index, const fm_msg_release *r);
    void (*finish)(void *ctx, fm_bytes record);
} fed_keeper;

typedef struct {
    const fed_keeper *keeper; /* NULL: nobody; to be set before anyone joins */
    fm_plan plan;
    fm_buf plan_bytes;
    fm_dp_lattice lattice;
    fm_dp_shares *shares[PEOPLE + 1]; /* by the number of participants; NULL until needed */
    fm_optimizer *optimizer, *reference;
    fm_coordinator *c;
    bool trusting; /* the nodes check nobody's signature: hundreds of runs in a test */
    node nodes[PEOPLE];
    uint64_t next_peer, now_ms;
    int64_t now_s;
    int64_t wrong_s; /* what the aggregator's clock shows more than that */
    fm_rng_seed seed;
    fm_rng rng;

    /* encoded sum and levels of noise of every node's update in round r, at [r % PLAIN_ROUNDS] */
    /* In words: the units' part, with the first level of the noise where they are rounded together. */
    int32_t plain[PLAIN_ROUNDS][PEOPLE][PARAMETERS];
    int32_t noise[PLAIN_ROUNDS][PEOPLE][LEVELS][PARAMETERS];
    uint32_t participants[PLAIN_ROUNDS];

    /* behind the ports */
    uint64_t last_given;
    fm_transcript_entry entries[64];
    uint32_t entry_count;
    fm_hash head, roster; /* the latter: kept last */
    struct {
        char name[FM_NAME_MAX + 1];
        fm_ledger_mark mark;
        uint8_t signature[FM_SIGNATURE_MAX];
    } marks[PEOPLE];
    uint32_t mark_count;
    fm_status next_fails, finish_fails; /* FM_OK: they do not */
    uint32_t sent[FM_MSG_LAST + 1];
    uint8_t pieces[PEOPLE][4 * PARAMETERS]; /* of updates, by roster index */
    uint32_t dropped_pieces, results;       /* how often; nodes that have said to have it */
    dropped drops[LOG_CAP];
    ended rounds[LOG_CAP];
    size_t drop_count, round_count;
    char notes[LOG_CAP][160];
    size_t note_count;
} federation;

/** SGD, learning rate 1, no momentum, divisor 1: each step shows the decoded sum. */
void fed_make(federation *f, const spec *s);
void fed_end(federation *f);
/** A coordinator anew over the same ports and plan, as after a restart; all nodes are away. */
void fed_restart(federation *f);

/** Connects node i (a new session, with new keys). */
void fed_join(federation *f, uint32_t i);
void fed_join_all(federation *f, uint32_t count);
void fed_leave(federation *f, uint32_t i);
/** All nodes read and answer until there is nothing more to read. */
void fed_pump(federation *f);
/** Let `ms` pass, and tick. */
void fed_tick(federation *f, uint64_t ms);
void fed_stop_all_at(federation *f, fm_msg_type type); /* 0: none */
/** Node i throws away what it has not read. */
void fed_clear_inbox(federation *f, uint32_t i);
/** Node i says this. */
void fed_say(federation *f, uint32_t i, const fm_message *m);

fm_coordinator_phase fed_phase(const federation *f);
/** Dropped since the start, with a reason that has the words. */
bool fed_dropped(const federation *f, uint64_t peer, const char *words);
bool fed_noted(const federation *f, const char *words);
/** The optimizer of the coordinator has the same bits as the reference has after a step with the
 *  plain sums that these nodes had in the last finished round, and the noise that is needed with so
 *  many of them. */
bool fed_stepped(federation *f, const uint32_t *survivors, uint32_t count);

/** Of rounds with so many participants. */
const fm_dp_shares *fed_shares(federation *f, uint32_t participants);

extern const fm_trust *fed_trust;
extern const fm_identity *fed_hub;
/** How long the statements of nodes that join from now on last: an hour, unless a test says else. */
extern int64_t fed_statement_s;
/** The CA's folder: ca.crt, crl.pem, and its key. */
const char *fed_ca(void);
/** As fed_trust, but with this node revoked; fm_trust_free. */
fm_trust *fed_trust_without(uint32_t i);

/** Five members of whom four must stay, two rounds. */
extern const spec fed_five;
/** A federation of five that waits in this phase. */
void fed_bring_to(federation *f, fm_coordinator_phase p);
/** Whatever happened before: whoever is away comes back, and all rounds finish with exact sums. */
void fed_finishes(federation *f);

/* keeper.c: ports; the record of a round must lead to its entry, and be signed */
void fed_check_record(const federation *f, const fm_transcript_entry *e, fm_bytes bytes);
fm_status fed_keep_roster(void *ctx, const fm_msg_roster *r);
fm_status fed_keep_update(void *ctx, uint32_t index, size_t size, uint64_t at, fm_bytes piece);
fm_status fed_keep_release(void *ctx, uint32_t index, const fm_msg_release *r);

/* node.c */
void node_new(federation *f, node *n);
void node_fini(node *n);
/** Read the first message of the inbox; *answered: *out is its answer, to be said, then cleared
 *  with node_answer_fini. */
void node_read(federation *f, node *n, bool *answered, fm_message *out);
/** What an honest node says to the round that it is in. Signatures lie in `room`. An update's piece
 *  is said here, unless `bytes` is to have it. */
fm_message node_update_of(federation *f, node *n, uint8_t room[FM_SIGNATURE_MAX], fm_bytes *bytes);
fm_message node_update(federation *f, node *n, uint8_t room[FM_SIGNATURE_MAX]);
fm_message node_commit(node *n, uint8_t room[FM_SIGNATURE_MAX]);
/** Borrows from *unmask. */
fm_message node_release(const federation *f, node *n, fm_dp_unmask **unmask,
                        uint8_t room[FM_SIGNATURE_MAX]);
fm_round_view node_view(const federation *f, const node *n);

/** End the program: the test's own preparation failed. */
void need(bool ok, const char *what);

#endif
