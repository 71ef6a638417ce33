#include "fedmoe/train/learner.h"

fm_status fm_learner_describe(const fm_learner *l, size_t unit_rows, fm_learner_facts *out)
{
    if (!l || !l->ops || !out || unit_rows < 1)
        return fm_fail(FM_EINVAL, "learner: an argument is missing or out of range");
    return l->ops->describe(l, unit_rows, out);
}
