/* What more than one digest covers. */
#ifndef FEDMOE_PROTO_DIGEST_INTERNAL_H
#define FEDMOE_PROTO_DIGEST_INTERNAL_H

#include "fedmoe/proto/digest.h"

/** A round as docs/protocol.md, section 10, has it: `view`. */
void fm_digest_add_view(fm_hasher *h, const fm_round_view *r);

#endif
