/*
 * The round as coordinator: a pure state machine. Peers, messages and time come in; sends, saves
 * and notes go out through ports.
 *
 * Members are numbered by the driver's peer ids; a member that was offered the plan and approved
 * it waits for the next roster. The first roster is made when `max_nodes` members are ready, or
 * `join_ms` after the first when at least max(min_cohort, quorum) are; later ones (each with a new
 * session) between rounds, as soon as that many are ready and one of them is new. A roster that
 * some member does not acknowledge in time is made again without it.
 *
 * A member does harm when it is lost in the middle of a round or roster, or says what no honest node
 * says. After the first time it is taken in again at once; after more it is barred: it waits before
 * the next roster takes it in (phase_ms, doubled each time, at most an hour), unless a round cannot
 * be without it. Four rounds that it finishes make up for one time.
 *
 * A node that takes part in no further round (Abandon, final: its budget, or its people) leaves the roster and waits for the
 * result; when no round can be without such nodes, the run is concluded with the rounds it has.
 *
 * A participant that is lost before its update came, or whose update comes late, is left out of
 * the round; with fewer than max(min_cohort, quorum) updates the round is abandoned. A survivor
 * that is lost before its release ends the round: it is abandoned, and the next begins without it.
 */
#ifndef FEDMOE_AGGREGATOR_ROUND_H
#define FEDMOE_AGGREGATOR_ROUND_H

#include "fedmoe/certs/identity.h"
#include "fedmoe/dp/encode.h"
#include "fedmoe/optim/optimizer.h"
#include "fedmoe/proto/digest.h"
#include "fedmoe/proto/plan.h"
#include "fedmoe/replay/replay.h"

/** None of them calls back into the machine. */
typedef struct {
    void *ctx;
    /* One message to many, all different; those that are gone are passed over (the driver tells of
     * them with fm_coordinator_gone). Never blocks. */
    fm_status (*send)(void *ctx, const uint64_t *peers, size_t count, const fm_message *m);
    /* Tell the peer and forget it. The machine has already removed it. */
    void (*drop)(void *ctx, uint64_t peer, const char *reason);
    /* A number never given before, durable when it is returned. */
    fm_status (*next_round)(void *ctx, uint64_t *round);
    /* Entries are borrowed until the next call of finish_round. */
    void (*entries_after)(void *ctx, uint64_t round, const fm_transcript_entry **entries,
                          uint32_t *count);
    /* Durable when it returns FM_OK: model, transcript entry, and `record`, the same entry with all
     * that it stands for (proto/entry.h), signed. */
    fm_status (*finish_round)(void *ctx, const fm_transcript_entry *e, fm_bytes record,
                              const fm_optimizer *o);
    void (*random)(void *ctx, void *out, size_t len); /* sessions */
    /* The newest ledger mark that a node has signed: kept before anything of the release is used
     * (copied), and handed back to the node when it joins; *found false when there is none
     * (otherwise borrowed until the next keep_mark). */
    fm_status (*keep_mark)(void *ctx, const char *name, const fm_ledger_mark *mark);
    void (*find_mark)(void *ctx, const char *name, bool *found, fm_ledger_mark *mark);
    /* An update that is not whole yet, by roster index: its pieces come in order and begin again
     * at 0; what was put can be got until it is dropped. Not durable. */
    fm_status (*put_piece)(void *ctx, uint32_t index, size_t size, uint64_t at, fm_bytes piece);
    fm_status (*get_piece)(void *ctx, uint32_t index, uint64_t at, uint8_t *out, size_t len);
    void (*drop_pieces)(void *ctx, uint32_t index);
    /* For those who were not there. A roster, before it is told to anyone: durable before a round
     * of its session finishes. The two below, where updates are kept (else NULL): an update that
     * counts, `size` bytes in pieces in order, and a release that was used; durable before the round
     * finishes. */
    fm_status (*keep_roster)(void *ctx, const fm_msg_roster *r);
    fm_status (*keep_update)(void *ctx, uint32_t index, size_t size, uint64_t at, fm_bytes piece);
    fm_status (*keep_release)(void *ctx, uint32_t index, const fm_msg_release *r);
    /* For log, status and trace; each may be NULL. */
    void (*note)(void *ctx, const char *text);
    void (*has_result)(void *ctx, uint64_t peer); /* the node says so: it is kept there */
    void (*round_ended)(void *ctx, uint64_t round, bool finished, uint32_t survivors,
                        uint32_t participants, const char *reason);
} fm_coordinator_ports;

typedef struct {
    const fm_plan *plan; /* borrowed, as all below */
    const uint8_t *plan_bytes;
    size_t plan_len;
    const fm_identity *identity; /* signs RoundStart and Finish */
    const fm_trust *trust;
    fm_optimizer *optimizer;
    uint64_t finished, last_round;
    fm_hash head;
    uint32_t join_ms,
        phase_ms; /* a phase (roster, updates, commits, releases) ends after phase_ms */
    fm_coordinator_ports ports;
} fm_coordinator_config;

typedef enum {
    FM_COORD_WAIT_MEMBERS,
    FM_COORD_WAIT_ROSTER,
    FM_COORD_WAIT_UPDATES,
    FM_COORD_WAIT_COMMITS,
    FM_COORD_WAIT_RELEASES,
    FM_COORD_FINISHED, /* serves Finish to whoever joins */
} fm_coordinator_phase;

typedef struct fm_coordinator fm_coordinator;

/** FM_EINVAL: also when the plan allows no lattice. */
FM_NODISCARD fm_status fm_coordinator_new(const fm_coordinator_config *c, fm_coordinator **out);
void fm_coordinator_free(fm_coordinator **m);

/*
 * Events. Each returns FM_OK, or a failure with which the machine cannot go on: FM_ENOMEM, a
 * failed port, FM_ENONFINITE (the step left the finite numbers), FM_EPROTO (the unmasked sum
 * cannot be that of honest updates: some mask did not cancel). The model is then unchanged.
 * Time never goes backwards; now_s is wall time, for the ends of certificates.
 */

/** A peer whose credential the link verified. Copied. It is offered the plan. */
FM_NODISCARD fm_status fm_coordinator_joined(fm_coordinator *m, uint64_t peer,
                                             const fm_credential *credential,
                                             const fm_statement *statement, uint64_t now_ms,
                                             int64_t now_s);
/** The link lost it (and its driver has logged why). */
FM_NODISCARD fm_status fm_coordinator_gone(fm_coordinator *m, uint64_t peer, uint64_t now_ms);
/** The same, where the link dropped it for what no honest node sends. */
FM_NODISCARD fm_status fm_coordinator_offended(fm_coordinator *m, uint64_t peer, uint64_t now_ms);
/**
 * Wrong message, wrong time, wrong size, bad signature: the peer is dropped with the reason.
 * What can only have crossed another message on the way is passed over: anything of an older
 * round, or an update that came after its round had closed.
 */
FM_NODISCARD fm_status fm_coordinator_take(fm_coordinator *m, uint64_t peer, const fm_message *msg,
                                           uint64_t now_ms, int64_t now_s);
FM_NODISCARD fm_status fm_coordinator_tick(fm_coordinator *m, uint64_t now_ms, int64_t now_s);
/** Another revocation list: every member that it does not admit is dropped, and all others are sent
 *  the list. Borrowed. */
FM_NODISCARD fm_status fm_coordinator_set_trust(fm_coordinator *m, const fm_trust *trust,
                                                uint64_t now_ms, int64_t now_s);
/** Milliseconds until tick has something to do; at most 1000. */
int fm_coordinator_wait_ms(const fm_coordinator *m, uint64_t now_ms);

fm_coordinator_phase fm_coordinator_get_phase(const fm_coordinator *m);
/** Members connected. */
uint32_t fm_coordinator_members(const fm_coordinator *m);
uint64_t fm_coordinator_finished(const fm_coordinator *m);
/** How often this name did harm and has not made up for it, and how long it is barred for that. */
uint32_t fm_coordinator_harm(const fm_coordinator *m, const char *name, uint64_t now_ms,
                             uint64_t *barred_ms);
/** Of a plan with groups: in how many of the rounds that it finished since the start its group stood
 *  out. @return whether that is more than chance brings about. */
bool fm_coordinator_suspicion(const fm_coordinator *m, const char *name, uint32_t *outlying,
                              uint32_t *rounds);

/** For those who watch; neither changes anything. */
typedef struct {
    fm_coordinator_phase phase;
    uint64_t round; /* under way, or the last one; 0: none since the start */
    uint32_t asked, done,
        needed;       /* nodes that the phase asks, that have answered, that a round needs;
                                     asked 0 between rounds */
    uint64_t left_ms; /* until the phase ends without them */
} fm_coordinator_progress;
void fm_coordinator_get_progress(const fm_coordinator *m, uint64_t now_ms,
                                 fm_coordinator_progress *out);
typedef enum {
    FM_PART_AWAY,
    FM_PART_JOINING, /* connected, has not approved the plan yet */
    FM_PART_READY,   /* waits for the next roster */
    FM_PART_IN,
    FM_PART_AWAITED, /* in, and slow: half of the others have answered in this phase */
    FM_PART_BARRED,
    FM_PART_EXHAUSTED /* its budget, or who decides for it, allows no further round */
} fm_coordinator_part;
fm_coordinator_part fm_coordinator_part_of(const fm_coordinator *m, const char *name);

#define FM_LEFT_FOR_BUDGET "its budget allows no further round"
#define FM_LEFT_FOR_DECISION "those who decide for it allow no further round"
/** Why a node takes part in no further round, as it has said, static; NULL: it does. */
const char *fm_coordinator_left_for(const fm_coordinator *m, const char *name);
/** Why the run was concluded before its last round; "": it was not. Borrowed. */
const char *fm_coordinator_conclusion(const fm_coordinator *m);

#endif
