#include "fedmoe/proto/message.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "codec_internal.h"
#include "wire_internal.h"

#define ENCODE_SCRATCH ((size_t)16 << 20) /* structs of the longest lists, not their bytes */

/* A decoded message and all that it points to. */
typedef struct {
    fm_message message; /* first: fm_message_free gets its address */
    fm_scratch scratch;
} owned_message;

static const fm_codec_message *codec_of(fm_msg_type t)
{
    if (t >= FM_MSG_HELLO && t <= FM_MSG_REFUSAL)
        return &fm_codec_door[t - FM_MSG_HELLO];
    if (t >= FM_MSG_JOIN && t <= FM_MSG_ROSTER_ANSWER)
        return &fm_codec_session[t - FM_MSG_JOIN];
    if (t >= FM_MSG_ROUND_START && t <= FM_MSG_ABANDON)
        return &fm_codec_round[t - FM_MSG_ROUND_START];
    if (t == FM_MSG_FINISH)
        return fm_codec_finish;
    if (t >= FM_MSG_ENROL && t <= FM_MSG_RENEW)
        return &fm_codec_enrol[t - FM_MSG_ENROL];
    if (t >= FM_MSG_MODEL_WANT && t <= FM_MSG_UPDATE_WANT)
        return &fm_codec_piece[t - FM_MSG_MODEL_WANT];
    return t == FM_MSG_PING ? fm_codec_ping : NULL;
}

bool fm_msg_is_of_door(fm_msg_type t)
{
    return (t >= FM_MSG_HELLO && t <= FM_MSG_REFUSAL) || t == FM_MSG_ENROL ||
           t == FM_MSG_ENROLLED || t == FM_MSG_RENEW;
}

const char *fm_msg_name(fm_msg_type t)
{
    const fm_codec_message *k = codec_of(t);

    return k ? k->name : "unknown message";
}

fm_status fm_message_encode(const fm_message *m, fm_buf *out)
{
    fm_wire w = FEDMOE__V1__ENVELOPE__INIT;
    const fm_codec_message *k;
    fm_scratch scratch;
    fm_status st;

    if (!m || !out || !(k = codec_of(m->type)))
        return fm_fail(FM_EINVAL, "fm_message_encode: no message, buffer or such type");
    fm_scratch_init(&scratch, ENCODE_SCRATCH);
    fm_codec c = { FM_EINVAL, k->name, &scratch };
    w.body_case = k->body;
    if ((st = k->check(&c, m)) != FM_OK || (st = k->put(&c, m, &w)) != FM_OK)
        goto done;
    if (protobuf_c_message_get_packed_size(&w.base) > FM_MAX_MESSAGE_BYTES) {
        st = fm_fail(FM_EINVAL, "%s: longer than %u bytes", k->name, FM_MAX_MESSAGE_BYTES);
        goto done;
    }
    st = fm_wire_pack(&w.base, out);
done:
    fm_scratch_fini(&scratch);
    return st;
}

/* The body's number is the message's type: fedmoe.proto and fm_msg_type agree. */
_Static_assert((int)FEDMOE__V1__ENVELOPE__BODY_HELLO == (int)FM_MSG_HELLO &&
                   (int)FEDMOE__V1__ENVELOPE__BODY_ROUND_START == (int)FM_MSG_ROUND_START &&
                   (int)FEDMOE__V1__ENVELOPE__BODY_PING == (int)FM_MSG_PING &&
                   (int)FEDMOE__V1__ENVELOPE__BODY_RENEW == (int)FM_MSG_RENEW &&
                   (int)FEDMOE__V1__ENVELOPE__BODY_UPDATE_WANT == (int)FM_MSG_UPDATE_WANT,
               "Envelope's field numbers are fm_msg_type");

static fm_status unpack_failed(const fm_scratch *s, size_t len)
{
    if (s->out_of_memory)
        return fm_fail(FM_ENOMEM, "no memory for a message of %zu bytes", len);
    if (s->exhausted)
        return fm_fail(FM_EPROTO, "message of %zu bytes: more elements than any valid one", len);
    return fm_fail(FM_EPROTO, "message of %zu bytes: not a protobuf Envelope", len);
}

static fm_status decode_wire(const uint8_t *data, size_t len, owned_message *o)
{
    ProtobufCAllocator a = fm_scratch_allocator(&o->scratch);
    const fm_codec_message *k;
    fm_status st;
    const fm_wire *w = fedmoe__v1__envelope__unpack(&a, len, data);

    if (!w)
        return unpack_failed(&o->scratch, len);
    o->message.type = (fm_msg_type)w->body_case;
    if (!(k = codec_of(o->message.type)))
        return fm_fail(FM_EPROTO, "message of %zu bytes: no body that is known here", len);
    if (fm_wire_has_unknown(&w->base))
        return fm_fail(FM_EPROTO, "%s: a field that is not known here", k->name);
    if (!fm_wire_is_canonical(&w->base, data, len))
        return fm_fail(FM_EPROTO, "%s: not in canonical encoding", k->name);
    fm_codec c = { FM_EPROTO, k->name, &o->scratch };
    if ((st = k->get(&c, w, &o->message)) != FM_OK)
        return st;
    return k->check(&c, &o->message);
}

fm_status fm_message_decode(const uint8_t *data, size_t len, fm_message **out)
{
    owned_message *o;
    fm_message *m;
    fm_status st;
    void *p;

    if ((!data && len > 0) || !out)
        return fm_fail(FM_EINVAL, "fm_message_decode: no data or no place for the message");
    if (len == 0 || len > FM_MAX_MESSAGE_BYTES)
        return fm_fail(FM_EPROTO, "message of %zu bytes, must be 1 to %u", len,
                       FM_MAX_MESSAGE_BYTES);
    if ((st = fm_alloc(1, sizeof *o, &p)) != FM_OK)
        return st;
    o = p;
    m = &o->message;
    fm_scratch_init(&o->scratch, fm_scratch_ceiling(len));
    if ((st = decode_wire(data, len, o)) != FM_OK) {
        fm_message_free(&m);
        return st;
    }
    *out = m;
    return FM_OK;
}

void fm_message_free(fm_message **m)
{
    owned_message *o;

    if (!m || !*m)
        return;
    o = (owned_message *)(void *)*m;
    fm_scratch_fini(&o->scratch);
    sodium_memzero(o, sizeof *o);
    free(o);
    *m = NULL;
}
