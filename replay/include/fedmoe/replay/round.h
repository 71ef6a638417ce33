/*
 * A round's masked words on their way to the next model, by groups where the plan has them: the
 * aggregator feeds it what arrives, a verifier what was kept, and both get the same bits. Without
 * groups there is one sum, of all.
 *
 * Not thread-safe; none of it blocks or logs.
 */
#ifndef FEDMOE_REPLAY_ROUND_H
#define FEDMOE_REPLAY_ROUND_H

#include "fedmoe/proto/groups.h"
#include "fedmoe/replay/replay.h"

typedef struct fm_replay_round fm_replay_round;

/** @param plan  borrowed.
 *  @return FM_OK; FM_EINVAL the plan has no lattice; FM_ENOMEM. */
FM_NODISCARD fm_status fm_replay_round_new(const fm_plan *plan, fm_replay_round **out);
void fm_replay_round_free(fm_replay_round **r);
const fm_dp_lattice *fm_replay_round_lattice(const fm_replay_round *r);
const fm_groups *fm_replay_round_groups(const fm_replay_round *r);

/**
 * A round begins: its groups are drawn; sums are as they were until fm_replay_round_clear.
 * @return FM_OK; FM_EINVAL participants that the plan does not allow; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_replay_round_begin(fm_replay_round *r, const fm_round_view *view);
void fm_replay_round_clear(fm_replay_round *r);
/** Add the bytes [at, at + len) of this participant's update: whole words. FM_EPROTO. */
FM_NODISCARD fm_status fm_replay_round_add(fm_replay_round *r, uint32_t index, size_t at,
                                           const uint8_t *bytes, size_t len);
/**
 * Who is left; increasing participants.
 * @return FM_OK; FM_EPERM a group (or, without groups, the round) has fewer than its quorum.
 */
FM_NODISCARD fm_status fm_replay_round_survive(fm_replay_round *r, const uint32_t *survivors,
                                               uint32_t count);
/** For whom this survivor discloses its seeds: the lost ones of its group, in order; [FM_MAX_NODES]. */
uint32_t fm_replay_round_lost(const fm_replay_round *r, uint32_t index, uint32_t *lost);
/** How many seeds of surplus noise it gives back. */
uint32_t fm_replay_round_surplus(const fm_replay_round *r, uint32_t index);
/** As fm_replay_unmask. */
FM_NODISCARD fm_status fm_replay_round_unmask(fm_replay_round *r, uint32_t index,
                                              const fm_msg_release *release);

/** What can be said of the groups' sums; no more than who reads them could reckon. */
typedef struct {
    uint32_t groups; /* 0: without groups nothing is said */
    double distance
        [FM_MAX_GROUPS]; /* from the robust mean, in what its noise alone is long on average */
    bool too_long[FM_MAX_GROUPS]; /* longer than honest nodes can make it */
    bool outlying
        [FM_MAX_GROUPS]; /* too long, or FM_REPLAY_OUTLYING times as far as the middle one */
} fm_replay_outliers;

#define FM_REPLAY_OUTLYING 1.5

/**
 * A step of the optimizer, on the sum or on the robust mean of all groups' sums.
 * @param out  may be NULL.
 * @return as fm_replay_step; with groups FM_EPROTO when more of them are too long than the plan's
 *         mean bears.
 */
FM_NODISCARD fm_status fm_replay_round_step(fm_replay_round *r, fm_optimizer *o,
                                            fm_replay_outliers *out);

#endif
