#include "wire_internal.h"

#include <string.h>

/* The submessages of one field: how many, and the i-th. */
static size_t sub_count(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    const char *base = (const char *)m;

    if (f->type != PROTOBUF_C_TYPE_MESSAGE)
        return 0;
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)(const void *)(base + f->quantifier_offset);
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)(const void *)(base + f->quantifier_offset) == f->id;
    return 1;
}

static const ProtobufCMessage *sub_at(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                                      size_t i)
{
    const void *place = (const char *)m + f->offset;

    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return (*(ProtobufCMessage *const *const *)place)[i];
    return *(ProtobufCMessage *const *)place;
}

/* Recursion ends with the schema, which has no recursive message: three levels. */
bool fm_wire_has_unknown(const ProtobufCMessage *m)
{
    if (m->n_unknown_fields != 0)
        return true;
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        size_t count = sub_count(m, f);

        for (size_t k = 0; k < count; k++) {
            const ProtobufCMessage *sub = sub_at(m, f, k);

            if (sub && fm_wire_has_unknown(sub))
                return true;
        }
    }
    return false;
}

typedef struct {
    ProtobufCBuffer base; /* first: protobuf-c hands us its address */
    const uint8_t *at;
    size_t left;
    bool same;
} comparison;

static void compare(ProtobufCBuffer *b, size_t len, const uint8_t *data)
{
    comparison *c = (comparison *)(void *)b;

    if (!c->same || len > c->left || (len > 0 && memcmp(c->at, data, len) != 0)) {
        c->same = false;
        return;
    }
    c->at += len;
    c->left -= len;
}

bool fm_wire_is_canonical(const ProtobufCMessage *m, const uint8_t *data, size_t len)
{
    comparison c = { .base = { compare }, .at = data, .left = len, .same = true };

    (void)protobuf_c_message_pack_to_buffer(m, &c.base);
    return c.same && c.left == 0;
}

fm_status fm_wire_pack(const ProtobufCMessage *m, fm_buf *out)
{
    uint8_t *place;
    fm_status st = fm_buf_extend(out, protobuf_c_message_get_packed_size(m), &place);

    if (st != FM_OK)
        return st;
    (void)protobuf_c_message_pack(m, place);
    return FM_OK;
}
