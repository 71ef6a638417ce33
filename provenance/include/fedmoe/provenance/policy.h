/*
 * A use policy: what a model may be used for and what not, with a reason for each. It stands in the
 * model's card, and in use-policy.yaml of the aggregator's directory, where the coordinator edits it:
 *
 *   allowed: ["heart disease risk"]      # optional; the plan's purpose stands first in any case
 *   prohibited:
 *     - use: "insurance pricing"
 *       reason: "people were promised care, not premiums"
 *
 * It binds those who agree to it. Nothing here stops an owner of the weights.
 * A policy does not change once read: several threads may use one.
 */
#ifndef FEDMOE_PROVENANCE_POLICY_H
#define FEDMOE_PROVENANCE_POLICY_H

#include "fedmoe/base/hash.h"
#include "fedmoe/base/memory.h"

#define FM_USE_ALLOWED_MAX 16u
#define FM_USE_PROHIBITED_MAX 32u
#define FM_USE_TEXT_MAX 255u /* bytes of one purpose, use or reason; printable UTF-8 */
#define FM_USE_POLICY_FILE "use-policy.yaml"

typedef struct {
    char *use, *reason; /* owned */
} fm_use_prohibited;

typedef struct {
    char *allowed[FM_USE_ALLOWED_MAX]; /* owned */
    size_t allowed_count;
    fm_use_prohibited prohibited[FM_USE_PROHIBITED_MAX];
    size_t prohibited_count;
} fm_use_policy;

/**
 * Read a file as above; either list may be missing, not both.
 * @return FM_OK; FM_EPARSE with file:line:column; FM_ENOTFOUND; FM_EIO; FM_ENOMEM. *out is unchanged
 *         on error, else the caller ends it with fm_use_policy_fini.
 */
FM_NODISCARD fm_status fm_use_policy_load(const char *path, fm_use_policy *out);
FM_NODISCARD fm_status fm_use_policy_parse(const char *name, const void *text, size_t len,
                                           fm_use_policy *out);
/** Put a purpose (copied) first, unless it is one of the allowed already. FM_EINVAL too many, or a
 *  text that cannot stand in a card; FM_ENOMEM. */
FM_NODISCARD fm_status fm_use_policy_allow(fm_use_policy *p, const char *purpose);
/** The canonical text, appended: the only one that a policy of these words has in a card. */
FM_NODISCARD fm_status fm_use_policy_write(const fm_use_policy *p, fm_buf *out);
/** Of the canonical text, label "fedmoe use policy v1": what a user acknowledges. FM_ENOMEM. */
FM_NODISCARD fm_status fm_use_policy_hash(const fm_use_policy *p, fm_hash *out);
bool fm_use_policy_is_empty(const fm_use_policy *p);
void fm_use_policy_fini(fm_use_policy *p);

/** Twelve prohibited uses, each with its reason, to be edited; static. */
const char *fm_use_policy_default(void);

#endif
