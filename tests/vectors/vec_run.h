/*
 * Two rounds of three nodes, with all keys: in the first beta is lost after RoundStart, in the second
 * nobody. What the files round*.json and audit.json tell; one run for each width of words.
 */
#ifndef FEDMOE_TESTS_VECTORS_VEC_RUN_H
#define FEDMOE_TESTS_VECTORS_VEC_RUN_H

#include "fedmoe/dp/mask.h"
#include "fedmoe/optim/optimizer.h"
#include "fedmoe/proto/digest.h"
#include "vec.h"
#include "vec_plan.h"

#define RUN_NODES 3u
#define RUN_ROUNDS 2u
#define RUN_LEVELS 2u
#define RUN_UNITS 2u

/** One node's part of a round. */
typedef struct {
    bool survives;
    float units[RUN_UNITS][VEC_RUN_WORDS];
    int32_t sum[VEC_RUN_WORDS]; /* encoded, without noise; on the units' lattice */
    uint8_t level_seeds[RUN_LEVELS][32], self_seed[32], pair_seeds[RUN_NODES][32];
    int32_t noise[RUN_LEVELS][VEC_RUN_WORDS]; /* that of level 0 likewise */
    int32_t unmasked[VEC_RUN_WORDS];          /* the update's words without its masks */
    uint8_t update[4 * VEC_RUN_WORDS];
    size_t update_bytes;
    fm_hash update_hash, update_digest, ledger_head;
    fm_bytes update_signature, commit_signature;
    fm_dp_unmask unmask;
    fm_msg_release release; /* borrows from unmask */
} run_node;

typedef struct {
    uint64_t number;
    fm_hash model_before, head_before;
    uint8_t model_bytes[4 * VEC_RUN_WORDS]; /* before */
    fm_hash context, start_digest, commit;
    fm_bytes start_signature;
    run_node nodes[RUN_NODES];
    uint32_t survivors[RUN_NODES], survivor_count;
    fm_hash update_hashes[RUN_NODES];
    fm_bytes update_signatures[RUN_NODES], commit_signatures[RUN_NODES];
    uint32_t words[VEC_RUN_WORDS]; /* the sum, as fm_dp_sum_word_bytes says */
    int32_t unmasked[VEC_RUN_WORDS];
    float gradient[VEC_RUN_WORDS];
    uint8_t model_after[4 * VEC_RUN_WORDS];
    fm_transcript_entry entry;
    fm_hash head_after;
} run_round;

typedef struct {
    fm_plan plan;
    fm_dp_lattice lattice;
    fm_dp_shares *shares;
    fm_optimizer *optimizer;
    fm_buf plan_bytes;
    fm_hash plan_hash;
    uint8_t secret[RUN_NODES][32], public_keys[RUN_NODES][32]; /* X25519 */
    fm_dp_pairs *pairs[RUN_NODES];
    fm_credential members[RUN_NODES], hub;
    fm_msg_roster roster;
    fm_hash roster_hash;
    run_round rounds[RUN_ROUNDS];
} vec_run;

/** Made once; lives as long as the program. @param word_bits  16, 24 or 32. */
const vec_run *vec_run_get(unsigned word_bits);
/** RoundStart of a round, without its signature's place filled: borrows from the run. */
fm_msg_round_start vec_run_start(const vec_run *run, const run_round *r);
fm_round_view vec_run_view(const vec_run *run, const run_round *r);
extern const uint32_t vec_run_all[RUN_NODES];

#endif
