/* What holds for every protobuf message of ours, whatever its fields. */
#ifndef FEDMOE_PROTO_WIRE_INTERNAL_H
#define FEDMOE_PROTO_WIRE_INTERNAL_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "fedmoe/base/memory.h"

/** Whether `m`, or any message within, kept fields that our description does not know. */
bool fm_wire_has_unknown(const ProtobufCMessage *m);
/** Whether packing `m` gives exactly data[0..len): one value, one encoding. Allocates nothing. */
bool fm_wire_is_canonical(const ProtobufCMessage *m, const uint8_t *data, size_t len);
/** Append the packed bytes; FM_ENOMEM past the buffer's limit. */
FM_NODISCARD fm_status fm_wire_pack(const ProtobufCMessage *m, fm_buf *out);

#endif
