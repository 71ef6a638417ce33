/*
 * The owner's pause, followed while the node runs. What is under way when it comes: an update of
 * which a byte is still here is not sent (round_start.c); one that is out is committed to and
 * released, since the others' round depends on it, and was charged or will be. Then the next
 * RoundStart is declined, the aggregator lets the node go, and no session is begun until the pause
 * is lifted.
 */
#include <string.h>

#include "fedmoe/base/log.h"
#include "run_internal.h"

bool fm_node_driver_look_at_pause(fm_node_driver *d)
{
    const bool on = fm_pause_is_on(d->config.dir, d->status.paused_since);

    if (on == d->paused)
        return on;
    d->paused = on;
    fm_log(FM_LOG_INFO, "%s",
           on ? "paused by the owner: no further round until 'fedmoe-node resume'"
              : "the pause is lifted");
    fm_node_driver_status(d, true);
    return on;
}

bool fm_node_driver_is_in_round(const fm_node_driver *d)
{
    fm_node_phase phase;

    if (!d->machine)
        return false;
    phase = fm_node_round_phase(d->machine);
    return phase == FM_NODE_WAIT_SURVIVORS || phase == FM_NODE_WAIT_COMMITS;
}

bool fm_node_driver_has_ended(const fm_node_driver *d)
{
    static const char *const ended[] = { "finished", "stopped", "failed" };

    for (size_t i = 0; i < sizeof ended / sizeof ended[0]; i++)
        if (strcmp(d->status.state, ended[i]) == 0)
            return true;
    return false;
}

const char *fm_node_driver_state(const fm_node_driver *d)
{
    if (fm_node_driver_has_ended(d) || strcmp(d->status.state, "refused") == 0)
        return d->status.state;
    return d->paused && !fm_node_driver_is_in_round(d) ? "paused" : d->status.state;
}
