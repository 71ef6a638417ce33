#include "fedmoe/proto/groups.h"

#include <stdlib.h>
#include <string.h>

#include "digest_internal.h"

typedef struct {
    fm_hash key;
    uint32_t index;
} place;

static int by_key(const void *a, const void *b)
{
    const place *x = a, *y = b;
    const int order = memcmp(x->key.bytes, y->key.bytes, FM_HASH_BYTES);

    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static fm_hash place_of(const fm_hash *seed, uint32_t index)
{
    fm_hasher h;

    fm_hasher_begin(&h, "fedmoe place v1");
    fm_hasher_add(&h, seed->bytes, FM_HASH_BYTES);
    fm_hasher_add_u64(&h, index);
    return fm_hasher_end(&h);
}

fm_status fm_groups_draw(const fm_plan *p, const fm_round_view *view, fm_groups *out)
{
    const uint32_t groups = fm_plan_groups(p), n = view->participant_count;
    place places[FM_MAX_NODES];
    fm_hasher h;
    fm_hash seed;

    if (n < groups || n > FM_MAX_NODES || groups > FM_MAX_GROUPS)
        return fm_fail(FM_EINVAL, "groups: %u participants for %u groups", n, groups);
    *out = (fm_groups){ .count = groups };
    memset(out->of, FM_NO_GROUP, sizeof out->of);
    fm_hasher_begin(&h, "fedmoe groups v1");
    fm_digest_add_view(&h, view);
    seed = fm_hasher_end(&h);
    for (uint32_t i = 0; i < n; i++)
        places[i] = (place){ place_of(&seed, view->participants[i]), view->participants[i] };
    qsort(places, n, sizeof *places, by_key);
    for (uint32_t i = 0; i < n; i++) {
        out->of[places[i].index] = (uint8_t)(i % groups);
        out->sizes[i % groups]++;
    }
    return FM_OK;
}

uint32_t fm_groups_pick(const fm_groups *g, uint32_t group, const uint32_t *set, uint32_t count,
                        uint32_t *out)
{
    uint32_t picked = 0;

    for (uint32_t i = 0; i < count; i++)
        if (set[i] < FM_MAX_NODES && g->of[set[i]] == group)
            out[picked++] = set[i];
    return picked;
}

fm_status fm_groups_check(const fm_groups *g, const fm_plan *p, const uint32_t *survivors,
                          uint32_t count)
{
    uint32_t left[FM_MAX_GROUPS] = { 0 };

    if (g->count <= 1)
        return FM_OK;
    for (uint32_t i = 0; i < count; i++)
        if (survivors[i] < FM_MAX_NODES && g->of[survivors[i]] < g->count)
            left[g->of[survivors[i]]]++;
    for (uint32_t i = 0; i < g->count; i++)
        if (left[i] < p->robust_quorum)
            return fm_fail(FM_EPERM, "group %u has %u survivors; the plan demands %u of each group",
                           i, left[i], p->robust_quorum);
    return FM_OK;
}
