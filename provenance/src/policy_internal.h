/* Reading a policy out of a larger text, and quoted texts; for the files of this folder. */
#ifndef FEDMOE_PROVENANCE_POLICY_INTERNAL_H
#define FEDMOE_PROVENANCE_POLICY_INTERNAL_H

#include "fedmoe/base/yaml.h"
#include "fedmoe/provenance/policy.h"

/** The keys allowed and prohibited of `map`, which may have others. As fm_use_policy_parse. */
FM_NODISCARD fm_status fm_use_policy_read(const fm_yaml_node *map, fm_use_policy *out);

/** A double-quoted scalar on one line. FM_EINVAL a control character. */
FM_NODISCARD fm_status fm_text_quote(fm_buf *out, const char *s);

#endif
