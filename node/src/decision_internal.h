#ifndef FEDMOE_NODE_DECISION_INTERNAL_H
#define FEDMOE_NODE_DECISION_INTERNAL_H

#include "fedmoe/node/decision.h"

/** Room for the base64 of a key or signature. */
#define FM_DECISION_BASE64 ((size_t)192)

/** "KEY VALUE\n" at *at, which moves behind it; the value "-" is "". */
bool fm_decision_line(const char **at, const char *key, char *value, size_t cap);
/** All lines to the note. The caller sees whether they come back as they were. */
bool fm_decision_decode(const char **at, fm_decision *d);

#endif
