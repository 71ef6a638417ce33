#include <inttypes.h>

#include "fedmoe/base/clock.h"
#include "run_internal.h"

void fm_run_trace(fm_run *r, uint64_t round, bool finished)
{
    if (!r->trace)
        return;
    fprintf(r->trace, "{\"round\": %" PRIu64 ", \"wall_ns\": %" PRIu64 ", \"finished\": %s}\n",
            round, fm_clock_now_ns() - r->round_started_ns, finished ? "true" : "false");
    (void)fflush(r->trace);
}
