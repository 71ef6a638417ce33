/*
 * What a start needs on this machine before anyone is called. `start` ends at the first that is not
 * in order, `check` goes on and tells all: both by these functions. Nothing is made or changed.
 */
#ifndef FEDMOE_NODE_HOUSE_H
#define FEDMOE_NODE_HOUSE_H

#include "fedmoe/node/config.h"

/** identity.key and identity.crt belong together, and are those of the node that the configuration
 *  names. @param path  of node.yaml, for messages. @param out  fm_identity_free. */
FM_NODISCARD fm_status fm_house_identity(const fm_node_config *c, const char *path,
                                         fm_identity **out);
/** It ends at a pinned CA, is valid now, and is not revoked. */
FM_NODISCARD fm_status fm_house_self(const fm_node_config *c, const fm_identity *id,
                                     const fm_trust *trust);

/** A damaged journal (state.db in the node's folder) is found before anyone is called.
 *  @param released  out, rounds; 0 where there is none yet. */
FM_NODISCARD fm_status fm_house_journal(const fm_node_config *c, uint64_t *released);

/** One thing that was looked at. @param st  with its text when not FM_OK. @return what ends the
 *  walk; FM_OK: go on. */
typedef fm_status (*fm_house_say)(void *ctx, const char *what, fm_status st);
/**
 * Who may write what the node goes by; folders that must be there and be written to (its own, the
 * ledger's, that of scratch files, the identity's where there are lists); the approvers' keys; the
 * decisions; the language model's folder.
 */
fm_status fm_house_look(const fm_node_config *c, const char *path, fm_house_say say, void *ctx);

/** Of the files that fm_house_look looked at: one that belongs to somebody else than root and this
 *  user. @param text  out, a sentence. @return whether there is one. */
bool fm_house_is_foreign(const fm_node_config *c, const char *path, char *text, size_t cap);

#endif
