/*
 * What is remembered of a name across its sessions. A node that is lost again and again in the
 * middle of rounds, or never answers the roster, would otherwise stop all the others each time it
 * comes back.
 */
#include <string.h>

#include "round_internal.h"

#define LONGEST_HOLD_MS (3600u * 1000u)
#define MOST_DOUBLINGS 16u

static record *find(const fm_coordinator *m, const char *name)
{
    for (uint32_t i = 0; i < m->record_count; i++)
        if (strcmp(m->records[i].name, name) == 0)
            return &m->records[i];
    return NULL;
}

/* There are twice as many places as members; the one that was held least long gives way. */
static record *find_or_add(fm_coordinator *m, const char *name)
{
    record *r = find(m, name);

    if (r)
        return r;
    if (m->record_count < m->record_room) {
        r = &m->records[m->record_count++];
    } else {
        r = &m->records[0];
        for (uint32_t i = 1; i < m->record_count; i++) {
            const record *other = &m->records[i];

            if (r->exhausted || (!other->exhausted && other->held_until_ms < r->held_until_ms))
                r = &m->records[i];
        }
    }
    *r = (record){ 0 };
    memcpy(r->name, name, strnlen(name, FM_NAME_MAX));
    return r;
}

/* The first loss is forgiven at once; then phase_ms, twice that, four times, at most an hour. */
void fm_coord_blame(fm_coordinator *m, const char *name)
{
    record *r = find_or_add(m, name);
    uint64_t hold_ms = 0;

    if (r->losses > 0) {
        uint32_t doublings = r->losses - 1 < MOST_DOUBLINGS ? r->losses - 1 : MOST_DOUBLINGS;

        hold_ms = (uint64_t)m->c.phase_ms << doublings;
        hold_ms = hold_ms < LONGEST_HOLD_MS ? hold_ms : LONGEST_HOLD_MS;
    }
    r->losses++;
    r->held_until_ms = m->now_ms + hold_ms;
}

void fm_coord_forgive(fm_coordinator *m, const char *name)
{
    record *r = find(m, name);

    if (r)
        r->losses = 0;
}

void fm_coord_set_exhausted(fm_coordinator *m, const char *name, bool exhausted)
{
    record *r = exhausted ? find_or_add(m, name) : find(m, name);

    if (r)
        r->exhausted = exhausted;
}

uint32_t fm_coord_count_exhausted(const fm_coordinator *m)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->record_count; i++)
        n += m->records[i].exhausted;
    return n;
}

bool fm_coord_is_held(const fm_coordinator *m, const member *who)
{
    const record *r = who->index == NO_INDEX ? find(m, who->name) : NULL;

    return r && m->now_ms < r->held_until_ms;
}
