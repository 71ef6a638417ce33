/* The two rounds of vec_run.h: every key and every number on the way from the units to the model. */
#include <string.h>

#include "mask_internal.h"
#include "vec_run.h"

#define MASK_WORDS 6u

static json_t *floats_json(const float *x, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_real((double)x[i]));
    return list;
}

static json_t *mask_json(const vec_run *run, const uint8_t seed[32])
{
    const unsigned bits = run->lattice.word_bits;
    uint32_t sum[MASK_WORDS] = { 0 }, words[MASK_WORDS];

    vec_need(fm_dp_mask_apply(bits, sum, MASK_WORDS, seed, 1) == FM_OK, "mask");
    for (size_t i = 0; i < MASK_WORDS; i++)
        words[i] = (uint32_t)fm_dp_sum_word(bits, sum, i) & (UINT32_MAX >> (32 - bits));
    return json_pack("{s:o,s:o}", "seed", vec_hex(seed, 32), "first_words",
                     vec_list_u32(words, MASK_WORDS));
}

static json_t *members_json(const vec_run *run)
{
    json_t *list = json_array();

    for (unsigned u = 0; u < RUN_NODES; u++) {
        json_t *secrets = json_array();

        for (unsigned v = 0; v < RUN_NODES; v++)
            json_array_append_new(
                secrets, v == u ? json_null() : vec_hex(fm_dp_pairs_secret(run->pairs[u], v), 32));
        json_array_append_new(
            list, json_pack("{s:s,s:o,s:o,s:o,s:o}", "name", vec_name((vec_party)u),
                            "x25519_secret", vec_hex(run->secret[u], 32), "x25519_public",
                            vec_hex(run->public_keys[u], 32), "credential",
                            vec_credential(&run->members[u]), "pair_secrets", secrets));
    }
    return list;
}

static json_t *node_json(const vec_run *run, const run_round *r, unsigned u)
{
    const run_node *n = &r->nodes[u];
    json_t *units = json_array(), *levels = json_array(), *pairs = json_array();

    for (unsigned k = 0; k < RUN_UNITS; k++)
        json_array_append_new(units, floats_json(n->units[k], VEC_RUN_WORDS));
    for (unsigned l = 0; l < RUN_LEVELS; l++)
        json_array_append_new(levels, json_pack("{s:o,s:o}", "seed", vec_hex(n->level_seeds[l], 32),
                                                "noise", vec_list_i32(n->noise[l], VEC_RUN_WORDS)));
    for (unsigned v = 0; v < RUN_NODES; v++)
        json_array_append_new(pairs, v == u ? json_null() : mask_json(run, n->pair_seeds[v]));
    return json_pack("{s:b,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "survives", (int)n->survives,
                     "units", units, "sum", vec_list_i32(n->sum, VEC_RUN_WORDS), "levels", levels,
                     "self_mask", mask_json(run, n->self_seed), "pair_masks", pairs, "unmasked",
                     vec_list_i32(n->unmasked, VEC_RUN_WORDS), "update",
                     vec_hex(n->update, n->update_bytes), "update_hash", vec_hash(&n->update_hash),
                     "update_digest", vec_hash(&n->update_digest), "update_signature",
                     vec_hex(n->update_signature.data, n->update_signature.len));
}

static json_t *start_json(const vec_run *run, unsigned at)
{
    fm_message m = { .type = FM_MSG_ROUND_START };

    m.round_start = vec_run_start(run, &run->rounds[at]);
    m.round_start.entries = &run->rounds[0].entry;
    m.round_start.entry_count = at;
    return vec_encoding(&m);
}

/* The messages after RoundStart, as they travel. */
static json_t *messages_json(const run_round *r)
{
    json_t *updates = json_array(), *commits = json_array(), *releases = json_array();
    fm_message m = { .type = FM_MSG_SURVIVORS };
    json_t *survivors, *all;

    m.survivors = (fm_msg_survivors){ r->number, r->survivors, r->update_hashes,
                                      r->update_signatures, r->survivor_count };
    survivors = vec_encoding(&m);
    m = (fm_message){ .type = FM_MSG_COMMITS };
    m.commits = (fm_msg_commits){ r->number, r->commit_signatures, r->survivor_count };
    all = vec_encoding(&m);
    for (uint32_t i = 0; i < r->survivor_count; i++) {
        const run_node *n = &r->nodes[r->survivors[i]];

        m = (fm_message){ .type = FM_MSG_MASKED_UPDATE,
                          .masked_update = { r->number, n->update_signature } };
        json_array_append_new(updates, vec_encoding(&m));
        m = (fm_message){ .type = FM_MSG_COMMIT, .commit = { r->number, n->commit_signature } };
        json_array_append_new(commits, vec_encoding(&m));
        m = (fm_message){ .type = FM_MSG_RELEASE, .release = n->release };
        json_array_append_new(releases, vec_encoding(&m));
    }
    return json_pack("{s:o,s:o,s:o,s:o,s:o}", "MaskedUpdate", updates, "Survivors", survivors,
                     "Commit", commits, "Commits", all, "Release", releases);
}

static json_t *round_json(const vec_run *run, unsigned at)
{
    const run_round *r = &run->rounds[at];
    json_t *nodes = json_array();

    for (unsigned u = 0; u < RUN_NODES; u++)
        json_array_append_new(nodes, node_json(run, r, u));
    return json_pack("{s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "round",
                     (json_int_t)r->number, "model", vec_hex(r->model_bytes, sizeof r->model_bytes),
                     "model_hash", vec_hash(&r->model_before), "head", vec_hash(&r->head_before),
                     "context", vec_hash(&r->context), "start_digest", vec_hash(&r->start_digest),
                     "RoundStart", start_json(run, at), "nodes", nodes, "commit_digest",
                     vec_hash(&r->commit), "messages", messages_json(r), "unmasked_sum",
                     vec_list_i32(r->unmasked, VEC_RUN_WORDS), "gradient",
                     floats_json(r->gradient, VEC_RUN_WORDS), "model_after",
                     vec_hex(r->model_after, sizeof r->model_after), "model_after_hash",
                     vec_hash(&r->entry.model_after), "head_after", vec_hash(&r->head_after));
}

static json_t *finish_json(const vec_run *run)
{
    const run_round *last = &run->rounds[RUN_ROUNDS - 1];
    const fm_transcript_entry entries[] = { run->rounds[0].entry, run->rounds[1].entry };
    fm_message m = { .type = FM_MSG_FINISH };
    fm_hash digest;

    m.finish = (fm_msg_finish){ .rounds = RUN_ROUNDS,
                                .model_hash = last->entry.model_after,
                                .head = last->head_after,
                                .entries = entries,
                                .entry_count = RUN_ROUNDS };
    digest = fm_finish_digest(run->plan.federation, &m.finish);
    m.finish.signature = vec_sign(VEC_HUB, FM_LABEL_FINISH, &digest);
    return vec_encoding(&m);
}

static json_t *run_json(const vec_run *run)
{
    fm_message roster = { .type = FM_MSG_ROSTER };

    roster.roster = run->roster;
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:[o,o],s:o}", "plan",
                     vec_hex(run->plan_bytes.data, run->plan_bytes.len), "plan_hash",
                     vec_hash(&run->plan_hash), "aggregator", vec_credential(&run->hub), "session",
                     vec_hex(run->roster.session.bytes, FM_SESSION_BYTES), "members",
                     members_json(run), "Roster", vec_encoding(&roster), "roster_hash",
                     vec_hash(&run->roster_hash), "rounds", round_json(run, 0), round_json(run, 1),
                     "Finish", finish_json(run));
}

json_t *vec_round16(void)
{
    return run_json(vec_run_get(16));
}

json_t *vec_round24(void)
{
    return run_json(vec_run_get(24));
}

json_t *vec_round32(void)
{
    return run_json(vec_run_get(32));
}
