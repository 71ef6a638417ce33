/*
 * What is remembered of a name across its sessions. A node that is lost again and again in the
 * middle of rounds, or never answers the roster, would otherwise stop all the others each time it
 * comes back.
 */
#include <string.h>

#include "round_internal.h"

#define LONGEST_HOLD_MS (3600u * 1000u)
#define MOST_DOUBLINGS 16u
#define HARM 4u /* finished rounds that make up for one time */

record *fm_coord_record_find(const fm_coordinator *m, const char *name)
{
    for (uint32_t i = 0; i < m->record_count; i++)
        if (strcmp(m->records[i].name, name) == 0)
            return &m->records[i];
    return NULL;
}

/* There are twice as many places as members; the one that was held least long gives way. */
record *fm_coord_record_of(fm_coordinator *m, const char *name)
{
    record *r = fm_coord_record_find(m, name);

    if (r)
        return r;
    if (m->record_count < m->record_room) {
        r = &m->records[m->record_count++];
    } else {
        r = &m->records[0];
        for (uint32_t i = 1; i < m->record_count; i++) {
            const record *other = &m->records[i];

            if (r->left_for || (!other->left_for && other->held_until_ms < r->held_until_ms))
                r = &m->records[i];
        }
    }
    *r = (record){ 0 };
    memcpy(r->name, name, strnlen(name, FM_NAME_MAX));
    return r;
}

static uint32_t times(const record *r)
{
    return (r->harm + HARM - 1) / HARM;
}

/* For the first time none; then phase_ms, twice that, four times, at most an hour. */
static uint64_t hold_of(const fm_coordinator *m, uint32_t count)
{
    uint32_t doublings = count < 2 ? 0 : count - 2;
    uint64_t hold_ms;

    if (count < 2)
        return 0;
    hold_ms = (uint64_t)m->c.phase_ms << (doublings < MOST_DOUBLINGS ? doublings : MOST_DOUBLINGS);
    return hold_ms < LONGEST_HOLD_MS ? hold_ms : LONGEST_HOLD_MS;
}

void fm_coord_blame(fm_coordinator *m, const char *name, uint32_t count)
{
    record *r = fm_coord_record_of(m, name);
    const bool first = r->harm == 0;
    uint64_t hold_ms;

    if (r->harm <= HARM * (MOST_DOUBLINGS + 2)) /* enough for the longest */
        r->harm += HARM * count;
    hold_ms = first ? 0 : hold_of(m, times(r)); /* an honest node may crash once, at any time */
    r->held_until_ms = m->now_ms + hold_ms;
    if (hold_ms > 0)
        fm_coord_note(m, "%s has cost the others a round or a roster %u times: barred for %llu s",
                      name, times(r), (unsigned long long)(hold_ms + 999) / 1000);
}

/* One finished round for one lost would let a node spoil every other one. */
void fm_coord_forgive(fm_coordinator *m, const char *name)
{
    record *r = fm_coord_record_find(m, name);

    if (r && r->harm > 0)
        r->harm--;
}

uint32_t fm_coordinator_harm(const fm_coordinator *m, const char *name, uint64_t now_ms,
                             uint64_t *barred_ms)
{
    const record *r = fm_coord_record_find(m, name);

    *barred_ms = r && now_ms < r->held_until_ms ? r->held_until_ms - now_ms : 0;
    return r ? times(r) : 0;
}

void fm_coord_set_exhausted(fm_coordinator *m, const char *name, const char *why)
{
    record *r = why ? fm_coord_record_of(m, name) : fm_coord_record_find(m, name);

    if (r)
        r->left_for = why;
}

const char *fm_coordinator_left_for(const fm_coordinator *m, const char *name)
{
    const record *r = fm_coord_record_find(m, name);

    return r ? r->left_for : NULL;
}

uint32_t fm_coord_count_exhausted(const fm_coordinator *m)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->record_count; i++)
        n += m->records[i].left_for != NULL;
    return n;
}

bool fm_coord_is_barred(const fm_coordinator *m, const char *name)
{
    const record *r = fm_coord_record_find(m, name);

    return r && m->now_ms < r->held_until_ms;
}

bool fm_coord_is_held(const fm_coordinator *m, const member *who)
{
    return who->index == NO_INDEX && fm_coord_is_barred(m, who->name);
}
