#ifndef FEDMOE_CERTS_SUCCESSION_INTERNAL_H
#define FEDMOE_CERTS_SUCCESSION_INTERNAL_H

#include "certs_internal.h"

#define FM_SUCCESSION_LABEL "fedmoe succession v1"

/** What the old CA signs of the new one's DER. @param out  initialised here. */
FM_NODISCARD fm_status fm_succession_bytes(const fm_hash *old, const uint8_t *der, size_t len,
                                           fm_buf *out);

#endif
