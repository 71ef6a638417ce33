/*
 * What the message files share. Per message there are three functions, side by side:
 *   check  limits, counts and order of the struct: before encoding and after decoding, alike
 *   put    struct to wire struct, borrowing from the caller
 *   get    wire struct to struct, borrowing from the scratch; fixed lengths are checked here,
 *          because the struct could not show them
 */
#ifndef FEDMOE_PROTO_CODEC_INTERNAL_H
#define FEDMOE_PROTO_CODEC_INTERNAL_H

#include "fedmoe.pb-c.h"
#include "fedmoe/proto/message.h"
#include "scratch_internal.h"

typedef Fedmoe__V1__Envelope fm_wire;

typedef struct {
    fm_status bad;       /* of a limit that is passed: FM_EINVAL encoding, FM_EPROTO decoding */
    const char *message; /* "RoundStart" */
    fm_scratch *scratch;
} fm_codec;

typedef struct {
    const char *name;
    Fedmoe__V1__Envelope__BodyCase body;
    fm_status (*check)(const fm_codec *c, const fm_message *m);
    fm_status (*put)(const fm_codec *c, const fm_message *m, fm_wire *w);
    fm_status (*get)(const fm_codec *c, const fm_wire *w, fm_message *m);
} fm_codec_message;

extern const fm_codec_message fm_codec_door[];    /* Hello, Welcome, Refusal */
extern const fm_codec_message fm_codec_session[]; /* Join .. RosterAnswer */
extern const fm_codec_message fm_codec_round[];   /* RoundStart .. Abandon */
extern const fm_codec_message fm_codec_finish[];  /* Finish */
extern const fm_codec_message fm_codec_ping[];    /* Ping */
extern const fm_codec_message fm_codec_enrol[];   /* Enrol .. Renew */
extern const fm_codec_message fm_codec_piece[];   /* ModelWant .. UpdateWant */

/** "RoundStart.model: <text>", status c->bad. */
fm_status fm_codec_fail(const fm_codec *c, const char *field, const char *fmt, ...) FM_PRINTF(3, 4);
/** From the scratch; NULL outcome is FM_ENOMEM naming the message. */
FM_NODISCARD fm_status fm_codec_take(const fm_codec *c, size_t count, size_t size, void **out);

/* ---- checks of a struct ---- */
FM_NODISCARD fm_status fm_codec_check_bytes(const fm_codec *c, const char *field, fm_bytes b,
                                            size_t min, size_t max);
FM_NODISCARD fm_status fm_codec_check_signature(const fm_codec *c, const char *field, fm_bytes b);
/** A place in a flat vector, in bytes: at most 4 * FM_MAX_PARAMETERS. */
FM_NODISCARD fm_status fm_codec_check_place(const fm_codec *c, const char *field, uint64_t at);
FM_NODISCARD fm_status fm_codec_check_reason(const fm_codec *c, const char *reason);
FM_NODISCARD fm_status fm_codec_check_round(const fm_codec *c, uint64_t round);
FM_NODISCARD fm_status fm_codec_check_count(const fm_codec *c, const char *field, const void *list,
                                            size_t count, size_t min, size_t max);
/** Strictly increasing, each below FM_MAX_NODES, `min` to FM_MAX_NODES of them. */
FM_NODISCARD fm_status fm_codec_check_indices(const fm_codec *c, const char *field,
                                              const uint32_t *p, size_t count, size_t min);
/** Rounds strictly increasing from 1, and below `before` unless that is 0. */
FM_NODISCARD fm_status fm_codec_check_entries(const fm_codec *c, const fm_transcript_entry *e,
                                              size_t count, uint64_t before);
FM_NODISCARD fm_status fm_codec_check_path(const fm_codec *c, const char *field,
                                           const fm_ca_path *path);
FM_NODISCARD fm_status fm_codec_check_credential(const fm_codec *c, const fm_credential *cred);

/* ---- struct to wire ---- */
ProtobufCBinaryData fm_codec_put_bytes(const void *data, size_t len);
/** Bytes lists: an array of views in the scratch. */
FM_NODISCARD fm_status fm_codec_put_list(const fm_codec *c, const fm_bytes *list, size_t count,
                                         size_t *n, ProtobufCBinaryData **out);
FM_NODISCARD fm_status fm_codec_put_credential(const fm_codec *c, const fm_credential *cred,
                                               Fedmoe__V1__Credential *out);
/** Intermediate CAs: an array of views in the scratch; none: both outs stay. */
FM_NODISCARD fm_status fm_codec_put_path(const fm_codec *c, const fm_ca_path *path, size_t *n,
                                         ProtobufCBinaryData **out);
FM_NODISCARD fm_status fm_codec_put_entries(const fm_codec *c, const fm_transcript_entry *e,
                                            size_t count, size_t *n,
                                            Fedmoe__V1__TranscriptEntry ***out);

/* ---- wire to struct ---- */
fm_bytes fm_codec_get_bytes(ProtobufCBinaryData b);
/** Exactly `len` bytes into `out`. */
FM_NODISCARD fm_status fm_codec_get_exact(const fm_codec *c, const char *field,
                                          ProtobufCBinaryData b, void *out, size_t len);
FM_NODISCARD fm_status fm_codec_get_hash(const fm_codec *c, const char *field,
                                         ProtobufCBinaryData b, fm_hash *out);
FM_NODISCARD fm_status fm_codec_get_reason(const fm_codec *c, const char *text,
                                           char out[FM_MAX_REASON_BYTES + 1]);
/** n elements fit `max` or c->bad; the count as u32. */
FM_NODISCARD fm_status fm_codec_get_count(const fm_codec *c, const char *field, size_t n,
                                          size_t max, uint32_t *out);
FM_NODISCARD fm_status fm_codec_get_list(const fm_codec *c, const char *field, size_t n,
                                         const ProtobufCBinaryData *list, const fm_bytes **out);
/** Borrowed from the wire struct. */
FM_NODISCARD fm_status fm_codec_get_path(const fm_codec *c, const char *field, size_t n,
                                         const ProtobufCBinaryData *in, fm_ca_path *out);
FM_NODISCARD fm_status fm_codec_get_credential(const fm_codec *c, const Fedmoe__V1__Credential *in,
                                               fm_credential *out);
FM_NODISCARD fm_status fm_codec_get_entries(const fm_codec *c, size_t n,
                                            Fedmoe__V1__TranscriptEntry *const *in,
                                            const fm_transcript_entry **out, uint32_t *count);

#endif
