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

fm_status fm_verify_model(verification *v)
{
    const fm_plan *p = &v->report.plan;
    const size_t bytes = (size_t)p->parameters * sizeof(float);
    const fm_dp_graph graph = fm_replay_graph(p);
    const fm_hash hash = fm_model_digest(v->at.payload.data, v->at.payload.len);
    float *first = NULL;
    fm_status st;

    if (v->at.payload.len != bytes || !fm_hash_equal(&hash, &p->initial_model))
        return fm_verify_fail(v, FM_EPROTO, "model",
                              "it is not the first model that the plan names by its hash");
    if ((st = fm_replay_round_new(p, &v->sums)) != FM_OK)
        return fm_verify_place(v, st, "lattice of the plan");
    if ((st = fm_dp_mask_density_check(&graph, p->mask_density)) != FM_OK)
        return fm_verify_place(v, st, "masks of the plan");
    if ((st = room(p->parameters, sizeof *first, &first)) != FM_OK)
        return st;
    memcpy(first, v->at.payload.data, bytes);
    st = fm_replay_optimizer_new(p, first, p->parameters, &v->optimizer);
    free(first);
    return st;
}

void fm_verify_gap(verification *v)
{
    fm_optimizer_free(&v->optimizer);
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
    if (i == 0 && v->optimizer)
        fm_replay_round_clear(v->sums);
    return v->optimizer
               ? fm_replay_round_add(v->sums, v->entry->survivors[i], 0, masked.data, masked.len)
               : FM_OK;
}

fm_status fm_verify_seeds(verification *v, uint32_t i)
{
    const fm_bytes seeds = v->at.payload;
    const uint8_t(*all)[FM_SEED_BYTES] = (const uint8_t(*)[FM_SEED_BYTES])seeds.data;
    const fm_entry *e = v->entry;
    const uint32_t who = e->survivors[i];
    uint32_t lost[FM_MAX_NODES];
    fm_msg_release r = { .round = e->round,
                         .lost = lost,
                         .lost_count = fm_replay_round_lost(v->sums, who, lost),
                         .surplus_count = fm_replay_round_surplus(v->sums, who) };
    char field[FM_NAME_MAX + 24];
    fm_status st;

    (void)snprintf(field, sizeof field, "seeds of '%s'", name_of(v, i));
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
    st = fm_replay_round_unmask(v->sums, who, &r);
    return st == FM_OK ? st : fm_verify_place(v, st, field);
}

fm_status fm_verify_step(verification *v)
{
    fm_hash model;
    fm_status st;

    v->report.updates++;
    if (!v->optimizer)
        return FM_OK;
    if ((st = fm_replay_round_step(v->sums, v->optimizer, NULL)) != FM_OK)
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
