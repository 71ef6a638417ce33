/* What may be said of a round that is under way, for those who watch. Changes nothing. */
#include <string.h>

#include "round_internal.h"

static bool has_done(const fm_coordinator *m, const slot *s)
{
    return m->phase == FM_COORD_WAIT_UPDATES   ? s->updated
           : m->phase == FM_COORD_WAIT_COMMITS ? s->committed
                                               : s->released;
}

static bool is_under_way(const fm_coordinator *m)
{
    return m->phase == FM_COORD_WAIT_UPDATES || m->phase == FM_COORD_WAIT_COMMITS ||
           m->phase == FM_COORD_WAIT_RELEASES;
}

/* Of the participants, or once the updates are counted the survivors. */
static const uint32_t *asked(const fm_coordinator *m, uint32_t *count)
{
    const bool all = m->phase == FM_COORD_WAIT_UPDATES;

    *count = !is_under_way(m) ? 0 : all ? m->participant_count : m->survivor_count;
    return all ? m->participants : m->survivors;
}

void fm_coordinator_get_progress(const fm_coordinator *m, uint64_t now_ms,
                                 fm_coordinator_progress *out)
{
    const uint32_t *who = asked(m, &out->asked);

    out->phase = m->phase;
    out->round = m->round;
    out->needed = fm_coord_needed(m);
    out->done = 0;
    for (uint32_t i = 0; i < out->asked; i++)
        out->done += has_done(m, &m->slots[who[i]]);
    out->left_ms = m->deadline_ms > now_ms ? m->deadline_ms - now_ms : 0;
}

static const member *by_name(const fm_coordinator *m, const char *name)
{
    for (uint32_t i = 0; i < m->member_count; i++)
        if (strcmp(m->members[i]->name, name) == 0)
            return m->members[i];
    return NULL;
}

/* Half of the others have answered, and it has not. */
static bool is_slow(const fm_coordinator *m, const member *who)
{
    uint32_t count, done = 0;
    const uint32_t *asked_of = asked(m, &count);
    bool is_asked = false;

    for (uint32_t i = 0; i < count; i++) {
        done += has_done(m, &m->slots[asked_of[i]]);
        is_asked |= asked_of[i] == who->index;
    }
    return is_asked && !has_done(m, &m->slots[who->index]) && 2 * done >= count;
}

fm_coordinator_part fm_coordinator_part_of(const fm_coordinator *m, const char *name)
{
    const member *who = by_name(m, name);

    if (!who)
        return FM_PART_AWAY;
    if (who->exhausted)
        return FM_PART_EXHAUSTED;
    if (fm_coord_is_held(m, who))
        return FM_PART_BARRED;
    if (!who->ready)
        return FM_PART_JOINING;
    if (who->index == NO_INDEX)
        return FM_PART_READY;
    return is_slow(m, who) ? FM_PART_AWAITED : FM_PART_IN;
}
