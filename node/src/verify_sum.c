/* The kept updates: their hashes, their sum without masks, and the step that it makes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/dp/mask.h"
#include "verify_internal.h"

static fm_status room(size_t count, size_t size, void *place)
{
    void *p = NULL;
    fm_status st = fm_alloc(count, size, &p);

    if (st == FM_OK)
        memcpy(place, &p, sizeof p);
    return st;
}

static uint32_t words_of(const verification *v)
{
    return fm_plan_update_words(&v->report.plan);
}

fm_status fm_verify_model(verification *v)
{
    const fm_plan *p = &v->report.plan;
    const size_t bytes = (size_t)p->parameters * sizeof(float);
    const fm_dp_lattice_spec spec = fm_replay_lattice_spec(p);
    const fm_dp_graph graph = fm_replay_graph(p);
    const fm_hash hash = fm_model_digest(v->at.payload.data, v->at.payload.len);
    float *first = NULL;
    fm_status st;

    if (v->at.payload.len != bytes || !fm_hash_equal(&hash, &p->initial_model))
        return fm_verify_fail(v, FM_EPROTO, "model",
                              "it is not the first model that the plan names by its hash");
    if ((st = fm_dp_lattice_make(&spec, &v->lattice)) != FM_OK)
        return fm_verify_place(v, st, "lattice of the plan");
    if ((st = fm_dp_mask_density_check(&graph, p->mask_density)) != FM_OK)
        return fm_verify_place(v, st, "masks of the plan");
    if ((st = room(p->parameters, sizeof *first, &first)) != FM_OK)
        return st;
    memcpy(first, v->at.payload.data, bytes);
    if ((st = fm_replay_optimizer_new(p, first, p->parameters, &v->optimizer)) == FM_OK)
        st = room(words_of(v), fm_dp_sum_word_bytes(p->word_bits), &v->sum);
    free(first);
    return st;
}

void fm_verify_gap(verification *v)
{
    fm_optimizer_free(&v->optimizer);
    fm_dp_shares_free(&v->shares);
    free(v->sum);
    v->sum = NULL;
}

static const char *name_of(const verification *v, uint32_t i)
{
    return fm_peer_info(v->places[v->entry->survivors[i]].peer)->name;
}

fm_status fm_verify_update(verification *v, uint32_t i)
{
    const fm_plan *p = &v->report.plan;
    const fm_bytes masked = v->at.payload;
    const fm_hash hash = fm_update_bytes_digest(masked.data, masked.len);
    char field[FM_NAME_MAX + 24];

    (void)snprintf(field, sizeof field, "update of '%s'", name_of(v, i));
    if (masked.len != fm_plan_update_bytes(p))
        return fm_verify_fail(v, FM_EPROTO, field, "%zu bytes, not %zu", masked.len,
                              fm_plan_update_bytes(p));
    if (!fm_hash_equal(&hash, &v->entry->updates[i]))
        return fm_verify_fail(v, FM_EPROTO, field,
                              "it does not have the hash that the node signed: altered, or another "
                              "node's or round's");
    if (!v->optimizer)
        return FM_OK;
    if (i == 0)
        memset(v->sum, 0, words_of(v) * fm_dp_sum_word_bytes(p->word_bits));
    return fm_dp_sum_words(p->word_bits, v->sum, words_of(v), masked.data, masked.len);
}

static fm_replay_sum sum_of(const verification *v)
{
    return (fm_replay_sum){
        .lattice = &v->lattice,
        .shares = v->shares,
        .round = v->entry->round,
        .survivors = v->entry->survivor_count,
        .mask_density = v->report.plan.mask_density,
        .sum = v->sum,
        .words = words_of(v),
    };
}

/* P without U. */
static uint32_t lost_of(const fm_entry *e, uint32_t lost[FM_MAX_NODES])
{
    uint32_t count = 0, s = 0;

    for (uint32_t i = 0; i < e->participant_count; i++) {
        if (s < e->survivor_count && e->survivors[s] == e->participants[i])
            s++;
        else
            lost[count++] = e->participants[i];
    }
    return count;
}

fm_status fm_verify_seeds(verification *v, uint32_t i)
{
    const fm_bytes seeds = v->at.payload;
    const uint8_t(*all)[FM_SEED_BYTES] = (const uint8_t(*)[FM_SEED_BYTES])seeds.data;
    const fm_entry *e = v->entry;
    uint32_t lost[FM_MAX_NODES];
    fm_msg_release r = { .round = e->round, .lost = lost, .lost_count = lost_of(e, lost) };
    char field[FM_NAME_MAX + 24];
    fm_replay_sum sum;
    fm_status st;

    (void)snprintf(field, sizeof field, "seeds of '%s'", name_of(v, i));
    if ((st = fm_dp_shares_fit(&v->shares, &v->lattice, e->participant_count)) != FM_OK)
        return fm_verify_place(v, st, "participants");
    r.surplus_count = fm_dp_shares_surplus(v->shares, e->survivor_count);
    if (seeds.len != (1 + (size_t)r.lost_count + r.surplus_count) * FM_SEED_BYTES)
        return fm_verify_fail(v, FM_EPROTO, field,
                              "%zu bytes, not those of its own seed, %u lost nodes and %u parts of "
                              "noise",
                              seeds.len, r.lost_count, r.surplus_count);
    if (!v->optimizer)
        return FM_OK;
    memcpy(r.self_seed, all[0], FM_SEED_BYTES);
    r.pair_seeds = all + 1;
    r.surplus_seeds = all + 1 + r.lost_count;
    sum = sum_of(v);
    st = fm_replay_unmask(&sum, e->survivors[i], &r);
    return st == FM_OK ? st : fm_verify_place(v, st, field);
}

fm_status fm_verify_step(verification *v)
{
    const fm_replay_sum sum = sum_of(v);
    fm_hash model;
    fm_status st;

    v->report.updates++;
    if (!v->optimizer)
        return FM_OK;
    if ((st = fm_replay_step(&sum, v->optimizer)) != FM_OK)
        return fm_verify_place(v, st, "sum");
    model = fm_model_digest(v->optimizer->weights, v->optimizer->n * sizeof(float));
    if (!fm_hash_equal(&model, &v->entry->model_after))
        return fm_verify_fail(v, FM_EPROTO, "model after",
                              "the updates and seeds that were kept do not lead to it: a seed was "
                              "altered, or the aggregator computed another step (or this machine's "
                              "mathematics library rounds otherwise than the aggregator's)");
    v->report.recomputed++;
    return FM_OK;
}
