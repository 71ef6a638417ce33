/*
 * Before a model with a use policy answers, its user says once that the policy was read: by its hash, or
 * by the file with its text. That is kept in a file of the user's, a line for each policy:
 *
 *   HASH 2026-11-24T02:31:00Z
 *
 * The hash is of the policy's words (fm_use_policy_hash), so a policy that was changed must be acknowledged
 * again. This is a reminder and a record. It stops nobody: who has the file can take the card out.
 */
#ifndef FEDMOE_PROVENANCE_ACKNOWLEDGE_H
#define FEDMOE_PROVENANCE_ACKNOWLEDGE_H

#include "fedmoe/provenance/card.h"

/** $XDG_CONFIG_HOME/fedmoe/acknowledged, or ~/.config/fedmoe/acknowledged. @param out  free.
 *  FM_ENOTFOUND neither variable is set to an absolute path; FM_ENOMEM. */
FM_NODISCARD fm_status fm_acknowledged_path(char **out);

/** @param there  out. @return FM_OK, also without a file; FM_EPERM others may write or read it; FM_EPARSE with
 *  the line; FM_EIO; FM_ENOMEM. */
FM_NODISCARD fm_status fm_acknowledged_find(const char *path, const fm_hash *policy, bool *there);
/** Durable when FM_OK; once for each policy. Folder (0700) and file (0600) are made. */
FM_NODISCARD fm_status fm_acknowledged_add(const char *path, const fm_hash *policy, int64_t now_s);

typedef struct {
    bool wanted;         /* the model has a card with a policy; else the rest is zero */
    fm_hash policy;      /* what was acknowledged */
    fm_hash model;       /* the card's digest of weights */
    fm_use_policy terms; /* owned: fm_use_terms_fini */
} fm_use_terms;

/**
 * To be called before the first token: the policy of the model's card must have been acknowledged, or is
 * now. The card's signature is not checked here (fm_card_verify).
 *
 * @param name         of the model, for texts.
 * @param acknowledge  a hash in hex, or a path of a policy's text (use-policy.yaml or the canonical one, without the
 *                     plan's purpose if it lacks that); NULL: none was given.
 * @param path         of the file above.
 * @return FM_OK; FM_EPERM not acknowledged, or another policy: the text says how; FM_EPARSE a card or file; FM_EIO;
 *         FM_ENOTFOUND; FM_ENOMEM.
 */
FM_NODISCARD fm_status fm_use_require(const char *name, const fm_safetensors *model,
                                      const char *acknowledge, const char *path, int64_t now_s,
                                      fm_use_terms *out);
/** FM_EPERM, with the list, unless the purpose is one of those that are allowed. */
FM_NODISCARD fm_status fm_use_check_purpose(const fm_use_terms *t, const char *purpose);
void fm_use_terms_fini(fm_use_terms *t);

#endif
