/* People's decision, as the machine asks for it through its port: before a round begins, and again
 * before its sum is released. */
#include <stdio.h>
#include <string.h>

#include "round_internal.h"

/* What leaves the building: neither who decided, nor which condition it was. */
#define NOT_THIS_ROUND "those who decide for this node allow no round of these participants"

/** Tell the aggregator, so that it need not wait; `st` with its text as it was. */
static fm_status leave(fm_node_round *m, uint64_t round, fm_status st)
{
    const bool final = st != FM_ESTATE;
    char text[1024];

    (void)snprintf(text, sizeof text, "%s", fm_error_text());
    if (fm_node_send_abandon(m, round, final ? FM_ABANDON_DECIDED : NOT_THIS_ROUND, final) == FM_OK)
        fm_node_progress(m, round, "abandoned");
    return fm_fail(st, "%s", text);
}

static fm_status ask(const fm_node_round *m, uint64_t round, const uint32_t *places, uint32_t count)
{
    const fm_node_ports *ports = &m->c.ports;
    const char *names[FM_MAX_NODES];

    if (!ports->allow_round)
        return FM_OK;
    for (uint32_t i = 0; i < count; i++)
        names[i] = fm_peer_info(m->roster.peers[places[i]])->name;
    return ports->allow_round(ports->ctx, round, names, count);
}

fm_status fm_node_check_allowed(fm_node_round *m, uint64_t round, const uint32_t *places,
                                uint32_t count)
{
    const fm_status st = ask(m, round, places, count);

    return st == FM_OK ? FM_OK : leave(m, round, st);
}

fm_status fm_node_check_sum_allowed(fm_node_round *m, const uint32_t *survivors, uint32_t count)
{
    uint32_t with[FM_MAX_NODES]; /* whose updates its own is summed with */
    const uint32_t n =
        fm_groups_pick(m->open.groups, m->open.groups->of[m->roster.self], survivors, count, with);
    const uint64_t round = m->open.number;
    const fm_status st = ask(m, round, with, n);

    if (st == FM_OK)
        return FM_OK;
    fm_node_round_close(m); /* keeps the thread's text */
    return leave(m, round, st);
}

fm_status fm_node_check_still_allowed(fm_node_round *m)
{
    const fm_node_ports *ports = &m->c.ports;
    const uint64_t round = m->open.number;
    fm_status st = ports->allow_round ? ports->allow_round(ports->ctx, round, NULL, 0) : FM_OK;

    if (st == FM_OK)
        return FM_OK;
    fm_node_round_close(m); /* keeps the thread's text */
    return leave(m, round, st);
}
