/*
 * A pause that the node's owner has ordered: the file `paused` (mode 0600) beside node.yaml. While
 * it is there the node takes part in no further round; it outlives processes and machines. Who can
 * write the folder can pause; so the running node asks the file again before each update leaves.
 */
#ifndef FEDMOE_NODE_PAUSE_H
#define FEDMOE_NODE_PAUSE_H

#include <stdbool.h>

#include "fedmoe/base/status.h"

#define FM_PAUSE_TIME 32

/**
 * @param dir    the node's folder.
 * @param since  out when paused: when it was ordered, as fm_clock_format writes it; "" when the
 *               file does not say. NULL: not asked.
 * @return whether it is paused; also when the folder cannot be looked at: nothing leaves then.
 */
bool fm_pause_is_on(const char *dir, char since[FM_PAUSE_TIME]);

/** Order it, synced. A pause that stands keeps its time. */
FM_NODISCARD fm_status fm_pause_order(const char *dir);
/** Lift it; FM_OK also when there was none. */
FM_NODISCARD fm_status fm_pause_lift(const char *dir);

#endif
