/* What reader and writer of bundles share. */
#ifndef FEDMOE_PROTO_BUNDLE_INTERNAL_H
#define FEDMOE_PROTO_BUNDLE_INTERNAL_H

#include "fedmoe/proto/bundle.h"

#define FM_BUNDLE_TAG_BYTES 4u
#define FM_BUNDLE_HEAD_BYTES (FM_BUNDLE_TAG_BYTES + 8u)
#define FM_BUNDLE_MAGIC_BYTES (sizeof FM_BUNDLE_MAGIC - 1)

/** Four letters; for a kind that a section can have. */
const char *fm_bundle_tag(fm_bundle_kind k);
/** FM_BUNDLE_END for letters that stand for nothing. */
fm_bundle_kind fm_bundle_kind_of(const uint8_t tag[FM_BUNDLE_TAG_BYTES]);
fm_hash fm_bundle_next_mark(const fm_hash *before, fm_bundle_kind k, const void *data, size_t len);

#endif
