/* One sum, as round.c needs it of several. */
#ifndef FEDMOE_REPLAY_SUM_INTERNAL_H
#define FEDMOE_REPLAY_SUM_INTERNAL_H

#include "fedmoe/replay/replay.h"

/** FM_EPROTO: longer than honest updates can make it. */
FM_NODISCARD fm_status fm_replay_check_length(const fm_replay_sum *s);
/** Its words, decoded; borrows s. */
fm_optim_source fm_replay_source(const fm_replay_sum *s);

#endif
