/* One valid message of every type, and a valid plan, for the codec's tests and the fuzz corpus. */
#ifndef FEDMOE_TESTS_PROTO_SAMPLES_H
#define FEDMOE_TESTS_PROTO_SAMPLES_H

#include "fedmoe/proto/bundle.h"
#include "fedmoe/proto/plan.h"

/** Static storage; every field has a value of its own, none is the default. */
const fm_message *sample_message(fm_msg_type t);
/** Borrows static texts: no fm_plan_fini. */
fm_plan sample_plan(void);
/** The same with the fast encoding, load counts and an adaptive clip norm: no field is 0. */
fm_plan sample_fast_plan(void);
/** Static storage; of participants 0, 2 and 5 the first two are left. */
fm_entry sample_entry(void);
/** The entry's only encoding. */
fm_status sample_entry_bytes(fm_buf *out);
fm_bundle_seal sample_seal(void);
/** All bytes `first`. */
fm_hash sample_hash(uint8_t first);

#endif
