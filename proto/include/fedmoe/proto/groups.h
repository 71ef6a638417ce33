/*
 * Who is in which group of a round: docs/protocol.md, section 9.4. Every node, the aggregator and a
 * verifier draw the same from what the round's signatures cover; no message says it.
 *
 * @thread pure, all of it.
 */
#ifndef FEDMOE_PROTO_GROUPS_H
#define FEDMOE_PROTO_GROUPS_H

#include "fedmoe/proto/digest.h"
#include "fedmoe/proto/plan.h"

/** The group of a roster index that is no participant. */
#define FM_NO_GROUP 255u

typedef struct {
    uint32_t count;                /* 1: without groups, all are in group 0 */
    uint8_t of[FM_MAX_NODES];      /* by roster index */
    uint32_t sizes[FM_MAX_GROUPS]; /* of participants; they differ by one at most */
} fm_groups;

/**
 * Participants in the order of H("fedmoe place v1"; seed | u64 index), seed = H("fedmoe groups v1";
 * view), dealt out to the groups one after the other.
 * @param p  of an approved plan: robust_groups is read.
 * @return FM_OK; FM_EINVAL fewer participants than groups.
 */
FM_NODISCARD fm_status fm_groups_draw(const fm_plan *p, const fm_round_view *view, fm_groups *out);
/** Those of `set` (increasing roster indices) that are in `group`, in order.
 *  @param out  [count], may be `set` itself.
 *  @return how many. */
uint32_t fm_groups_pick(const fm_groups *g, uint32_t group, const uint32_t *set, uint32_t count,
                        uint32_t *out);
/**
 * Whether each group has as many survivors as the plan demands; without groups FM_OK.
 * @return FM_OK; FM_EPERM naming the first group that has not.
 */
FM_NODISCARD fm_status fm_groups_check(const fm_groups *g, const fm_plan *p,
                                       const uint32_t *survivors, uint32_t count);

#endif
