/*
 * The round as a participant: a pure state machine. Messages and time come in as arguments;
 * everything with an effect goes out through ports, in the order in which it must become durable.
 * A port that fails ends the round here: nothing after it is done but to tell the aggregator
 * (Abandon, with a fixed sentence: no figure and no file name of this house leaves).
 *
 * Whatever the aggregator sends, an honest node makes at most one update, one commit and one
 * release per round number (docs/protocol.md, section 8). A refusal never ends the process: the machine says
 * why through `refused` and waits for the next valid RoundStart.
 */
#ifndef FEDMOE_NODE_ROUND_H
#define FEDMOE_NODE_ROUND_H

#include "fedmoe/dp/ledger.h"
#include "fedmoe/dp/mask.h"
#include "fedmoe/node/config.h"
#include "fedmoe/proto/digest.h"

typedef struct {
    void *ctx;
    fm_status (*send)(void *ctx, const fm_message *m);
    /* Journal: durable when they return FM_OK. */
    fm_status (*use_round)(void *ctx, uint64_t round);
    /* The update is made, and about to leave. NULL: not noted. */
    fm_status (*note_sent)(void *ctx, uint64_t round, const fm_hash *update, size_t bytes);
    fm_status (*record_commit)(void *ctx, uint64_t round, const fm_hash *digest);
    fm_status (*record_release)(void *ctx, uint64_t round, const fm_hash *digest);
    fm_status (*record_head)(void *ctx, uint64_t round, const fm_hash *head);
    /* The digest that a round was released with, in this session or before; *found false when it
     * was not. NULL: only what this session released is known. */
    fm_status (*released_commit)(void *ctx, uint64_t round, bool *found, fm_hash *digest);
    /* The transcript, known to round `after`, goes on with these entries: a round between that and
     * the last of them that was released and is not one of them was abandoned. NULL: not noted. */
    fm_status (*note_abandoned)(void *ctx, uint64_t after, const fm_transcript_entry *entries,
                                uint32_t count);
    /* Ledger: can_afford before computing, charge before releasing. */
    fm_status (*can_afford)(void *ctx, uint64_t round);
    fm_status (*charge)(void *ctx, uint64_t round, fm_hash *ledger_head); /* the head after it */
    /* Whether the ledger holds the entry of a mark that this node has signed; a failure ends the
     * process: what was spent after the ledger's last entry is missing from it. */
    fm_status (*check_mark)(void *ctx, const fm_ledger_mark *mark);
    /* A newer revocation list: durable when it returns FM_OK. The trust is the port's from then on
     * and lives as long as the machine; the one before is not used any more. NULL: no list is
     * taken. */
    fm_status (*keep_revocations)(void *ctx, fm_trust *fresh);
    /* Whether the node's owner has paused it: asked at RoundStart, and before a byte of an update
     * goes out; once all of it is out, the round is done to its end. NULL: never. */
    bool (*paused)(void *ctx);
    /* Policy on a plan that is offered; FM_OK approves (and the driver prepares for it:
     * opens the journal for it, tells its state). */
    fm_status (*approve_plan)(void *ctx, const fm_plan *plan, const fm_hash *hash,
                              uint64_t *last_used, uint64_t *finished_round, fm_hash *head);
    /* Whether people have decided on a plan that approve_plan approves: FM_OK; FM_EPERM they refuse
     * it, with the sentence that the aggregator is told; other failures as of approve_plan. *wait:
     * nobody has yet, and fm_node_round_decided asks again. NULL: nobody is asked. */
    fm_status (*decide)(void *ctx, const fm_plan *plan, const fm_hash *hash, bool *wait);
    /* Whether their decision covers a round with these participants, in the roster's order; count 0:
     * the round that it was asked of last, whose sum is about to be released. FM_ESTATE: not this
     * round; any other failure: no further one. NULL: it does. */
    fm_status (*allow_round)(void *ctx, uint64_t round, const char *const *names, uint32_t count);
    /* Train and mask. `model` is float32 little-endian, parameters * 4 bytes. */
    fm_status (*train)(void *ctx, const uint8_t *model, const fm_dp_pairs *pairs,
                       const fm_dp_round *round, fm_dp_release **out);
    /* The result is here. FM_OK once it is kept: the aggregator is told so. A failure is the
     * driver's to deal with. */
    fm_status (*finished)(void *ctx, const uint8_t *model, size_t len, uint64_t rounds);
    /* For the log and the status file; text never holds keys, gradients or records. */
    void (*refused)(void *ctx, fm_msg_type what, uint64_t round, const char *why);
    void (*progress)(void *ctx, uint64_t round, const char *phase);
} fm_node_ports;

typedef struct {
    const fm_identity *identity; /* borrowed, as all below */
    const fm_trust *trust;
    const fm_peer *aggregator;    /* verified by the link */
    const fm_dp_keypair *keypair; /* X25519 of this process start */
    const fm_credential *own;     /* as sent in Hello */
    fm_node_policy policy;        /* shallow copy */
    fm_node_ports ports;
} fm_node_round_config;

typedef enum {
    FM_NODE_WAIT_PLAN,
    FM_NODE_WAIT_DECISION, /* of people, on the plan: it is not answered before */
    FM_NODE_WAIT_ROSTER,
    FM_NODE_WAIT_START,
    FM_NODE_WAIT_MODEL, /* of the round that has started, or the result */
    FM_NODE_WAIT_SURVIVORS,
    FM_NODE_WAIT_COMMITS,
    FM_NODE_FINISHED,
} fm_node_phase;

typedef struct fm_node_round fm_node_round;

FM_NODISCARD fm_status fm_node_round_new(const fm_node_round_config *c, fm_node_round **out);
void fm_node_round_free(fm_node_round **m);

/**
 * Take one message. Join is sent by approve_plan's success (with its state) before PlanAnswer.
 * @param now_s wall time, for certificates in a roster.
 * @return FM_OK also when the message was refused (ports.refused was called); FM_EIO, FM_ENOMEM
 *         when a port failed in a way that the process cannot go on from.
 */
FM_NODISCARD fm_status fm_node_round_take(fm_node_round *m, const fm_message *msg, int64_t now_s);
/** In FM_NODE_WAIT_DECISION: ask ports.decide again; otherwise nothing. Returns as above. */
FM_NODISCARD fm_status fm_node_round_decided(fm_node_round *m);
fm_node_phase fm_node_round_phase(const fm_node_round *m);

#endif
