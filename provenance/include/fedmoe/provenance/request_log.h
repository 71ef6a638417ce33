/*
 * One line for each request to a model that has a use policy: what it was for and how long it was, not
 * what it said. A line is a JSON object:
 *
 *   {"time": "2026-11-24T02:31:00Z", "policy": HEX, "model": HEX, "purpose": "...",
 *    "tokens_in": N, "tokens_out": N, "prompt": HEX}
 *
 * prompt is BLAKE2b-256 of the prompt under a random key in LOG.key, so that who has a prompt and the key can find its
 * line, and who has the log alone cannot guess prompts. Log and key are 0600. A log belongs to one thread;
 * several processes may append to one file.
 */
#ifndef FEDMOE_PROVENANCE_REQUEST_LOG_H
#define FEDMOE_PROVENANCE_REQUEST_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "fedmoe/base/hash.h"

typedef struct {
    int64_t time_s;
    fm_hash policy, model;
    const char *purpose; /* printable UTF-8, at most FM_USE_TEXT_MAX bytes; borrowed */
    uint64_t tokens_in, tokens_out;
    fm_hash prompt; /* fm_request_log_prompt */
} fm_request;

typedef struct fm_request_log fm_request_log;

/** Open or make the log and its key, so that nothing is answered that could not be recorded.
 *  FM_EPERM others can read it; FM_EPARSE the key; FM_ENOTFOUND lines are there, and their key is
 *  not; FM_EIO; FM_ENOMEM. */
FM_NODISCARD fm_status fm_request_log_open(const char *path, fm_request_log **out);
FM_NODISCARD fm_status fm_request_log_prompt(const fm_request_log *l, const void *prompt,
                                             size_t len, fm_hash *out);
/** Written whole and synced when FM_OK. FM_EINVAL the purpose; FM_EIO. */
FM_NODISCARD fm_status fm_request_log_append(fm_request_log *l, const fm_request *r);
void fm_request_log_close(fm_request_log **l);

#endif
