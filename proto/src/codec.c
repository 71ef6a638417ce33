#include "codec_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "utf8_internal.h"

fm_status fm_codec_fail(const fm_codec *c, const char *field, const char *fmt, ...)
{
    char what[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return fm_fail(c->bad, "%s.%s: %s", c->message, field, what);
}

fm_status fm_codec_take(const fm_codec *c, size_t count, size_t size, void **out)
{
    void *p = fm_scratch_take(c->scratch, count, size);

    if (!p)
        return fm_fail(c->scratch->out_of_memory ? FM_ENOMEM : c->bad,
                       "%s: no memory for %zu elements", c->message, count);
    *out = p;
    return FM_OK;
}

/* ---- checks ---- */

fm_status fm_codec_check_bytes(const fm_codec *c, const char *field, fm_bytes b, size_t min,
                               size_t max)
{
    if (b.len < min || b.len > max || (b.len > 0 && !b.data))
        return fm_codec_fail(c, field, "%zu bytes, must be %zu to %zu", b.len, min, max);
    return FM_OK;
}

fm_status fm_codec_check_signature(const fm_codec *c, const char *field, fm_bytes b)
{
    return fm_codec_check_bytes(c, field, b, 1, FM_SIGNATURE_MAX);
}

fm_status fm_codec_check_place(const fm_codec *c, const char *field, uint64_t at)
{
    const uint64_t most = (uint64_t)4 * FM_MAX_PARAMETERS;

    return at <= most ? FM_OK
                      : fm_codec_fail(c, field, "byte %llu, must be at most %llu",
                                      (unsigned long long)at, (unsigned long long)most);
}

fm_status fm_codec_check_reason(const fm_codec *c, const char *reason)
{
    size_t len = strnlen(reason, FM_MAX_REASON_BYTES + 1);

    if (len > FM_MAX_REASON_BYTES)
        return fm_codec_fail(c, "reason", "longer than %u bytes", FM_MAX_REASON_BYTES);
    if (!fm_utf8_is_text(reason, len, false))
        return fm_codec_fail(c, "reason", "not UTF-8 without control characters");
    return FM_OK;
}

fm_status fm_codec_check_round(const fm_codec *c, uint64_t round)
{
    return round > 0 ? FM_OK : fm_codec_fail(c, "round", "must be at least 1");
}

fm_status fm_codec_check_count(const fm_codec *c, const char *field, const void *list, size_t count,
                               size_t min, size_t max)
{
    if (count < min || count > max || (count > 0 && !list))
        return fm_codec_fail(c, field, "%zu elements, must be %zu to %zu", count, min, max);
    return FM_OK;
}

fm_status fm_codec_check_indices(const fm_codec *c, const char *field, const uint32_t *p,
                                 size_t count, size_t min)
{
    fm_status st = fm_codec_check_count(c, field, p, count, min, FM_MAX_NODES);

    for (size_t i = 0; st == FM_OK && i < count; i++) {
        if (p[i] >= FM_MAX_NODES)
            st = fm_codec_fail(c, field, "index %u, must be below %u", p[i], FM_MAX_NODES);
        else if (i > 0 && p[i] <= p[i - 1])
            st = fm_codec_fail(c, field, "not strictly increasing at element %zu", i);
    }
    return st;
}

fm_status fm_codec_check_entries(const fm_codec *c, const fm_transcript_entry *e, size_t count,
                                 uint64_t before)
{
    fm_status st = fm_codec_check_count(c, "entries", e, count, 0, FM_MAX_ENTRIES);

    for (size_t i = 0; st == FM_OK && i < count; i++) {
        if (e[i].round <= (i > 0 ? e[i - 1].round : 0))
            st = fm_codec_fail(c, "entries", "rounds not strictly increasing at element %zu", i);
        else if (before > 0 && e[i].round >= before)
            st = fm_codec_fail(c, "entries", "element %zu is not before the round itself", i);
    }
    return st;
}

fm_status fm_codec_check_credential(const fm_codec *c, const fm_credential *cred)
{
    fm_ca_path path;

    if (cred->cert_len < 1 || cred->cert_len > FM_CERT_MAX_BYTES)
        return fm_codec_fail(c, "credential", "certificate of %zu bytes, must be 1 to %u",
                             cred->cert_len, FM_CERT_MAX_BYTES);
    if (cred->statement_len < 1 || cred->statement_len > FM_STATEMENT_MAX_BYTES)
        return fm_codec_fail(c, "credential", "statement of %zu bytes, must be 1 to %u",
                             cred->statement_len, FM_STATEMENT_MAX_BYTES);
    if (cred->signature_len < 1 || cred->signature_len > FM_SIGNATURE_MAX)
        return fm_codec_fail(c, "credential", "signature of %zu bytes, must be 1 to %u",
                             cred->signature_len, FM_SIGNATURE_MAX);
    if (cred->intermediate_count > FM_INTERMEDIATES_MAX)
        return fm_codec_fail(c, "credential", "%zu intermediate CAs, must be at most %d",
                             cred->intermediate_count, FM_INTERMEDIATES_MAX);
    path = fm_credential_path(cred);
    return fm_codec_check_path(c, "credential", &path);
}

/* ---- struct to wire ---- */

/* protobuf-c's structs are not const, but packing only reads them. */
ProtobufCBinaryData fm_codec_put_bytes(const void *data, size_t len)
{
    return (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)(uintptr_t)data };
}

fm_status fm_codec_put_list(const fm_codec *c, const fm_bytes *list, size_t count, size_t *n,
                            ProtobufCBinaryData **out)
{
    ProtobufCBinaryData *views;
    void *p = NULL;
    fm_status st = fm_codec_take(c, count, sizeof *views, &p);

    if (st != FM_OK)
        return st;
    views = p;
    for (size_t i = 0; i < count; i++)
        views[i] = fm_codec_put_bytes(list[i].data, list[i].len);
    *n = count;
    *out = views;
    return FM_OK;
}

fm_status fm_codec_check_path(const fm_codec *c, const char *field, const fm_ca_path *path)
{
    if (path->count > FM_INTERMEDIATES_MAX)
        return fm_codec_fail(c, field, "%zu elements, must be at most %d", path->count,
                             FM_INTERMEDIATES_MAX);
    for (size_t i = 0; i < path->count; i++)
        if (path->len[i] < 1 || path->len[i] > FM_INTERMEDIATE_MAX_BYTES || !path->der[i])
            return fm_codec_fail(c, field, "%zu bytes, must be 1 to %u", path->len[i],
                                 FM_INTERMEDIATE_MAX_BYTES);
    return FM_OK;
}

fm_status fm_codec_put_path(const fm_codec *c, const fm_ca_path *path, size_t *n,
                            ProtobufCBinaryData **out)
{
    ProtobufCBinaryData *views;
    void *p = NULL;
    fm_status st;

    if (path->count == 0)
        return FM_OK;
    if ((st = fm_codec_take(c, path->count, sizeof *views, &p)) != FM_OK)
        return st;
    views = p;
    for (size_t i = 0; i < path->count; i++)
        views[i] = fm_codec_put_bytes(path->der[i], path->len[i]);
    *n = path->count;
    *out = views;
    return FM_OK;
}

fm_status fm_codec_put_credential(const fm_codec *c, const fm_credential *cred,
                                  Fedmoe__V1__Credential *out)
{
    const fm_ca_path path = fm_credential_path(cred);

    fedmoe__v1__credential__init(out);
    out->certificate = fm_codec_put_bytes(cred->cert, cred->cert_len);
    out->statement = fm_codec_put_bytes(cred->statement, cred->statement_len);
    out->signature = fm_codec_put_bytes(cred->signature, cred->signature_len);
    return fm_codec_put_path(c, &path, &out->n_intermediates, &out->intermediates);
}

fm_status fm_codec_put_entries(const fm_codec *c, const fm_transcript_entry *e, size_t count,
                               size_t *n, Fedmoe__V1__TranscriptEntry ***out)
{
    Fedmoe__V1__TranscriptEntry *entries, **list;
    void *p = NULL, *q = NULL;
    fm_status st;

    if ((st = fm_codec_take(c, count, sizeof *entries, &p)) != FM_OK ||
        (st = fm_codec_take(c, count, sizeof *list, &q)) != FM_OK)
        return st;
    entries = p;
    list = q;
    for (size_t i = 0; i < count; i++) {
        list[i] = &entries[i];
        fedmoe__v1__transcript_entry__init(list[i]);
        list[i]->round = e[i].round;
        list[i]->commit_digest = fm_codec_put_bytes(e[i].commit_digest.bytes, FM_HASH_BYTES);
        list[i]->model_after = fm_codec_put_bytes(e[i].model_after.bytes, FM_HASH_BYTES);
    }
    *n = count;
    *out = list;
    return FM_OK;
}

/* ---- wire to struct ---- */

fm_bytes fm_codec_get_bytes(ProtobufCBinaryData b)
{
    return (fm_bytes){ b.data, b.len };
}

fm_status fm_codec_get_exact(const fm_codec *c, const char *field, ProtobufCBinaryData b, void *out,
                             size_t len)
{
    if (b.len != len)
        return fm_codec_fail(c, field, "%zu bytes, must be %zu", b.len, len);
    memcpy(out, b.data, len);
    return FM_OK;
}

fm_status fm_codec_get_hash(const fm_codec *c, const char *field, ProtobufCBinaryData b,
                            fm_hash *out)
{
    return fm_codec_get_exact(c, field, b, out->bytes, FM_HASH_BYTES);
}

fm_status fm_codec_get_reason(const fm_codec *c, const char *text,
                              char out[FM_MAX_REASON_BYTES + 1])
{
    size_t len = strlen(text);

    if (len > FM_MAX_REASON_BYTES)
        return fm_codec_fail(c, "reason", "longer than %u bytes", FM_MAX_REASON_BYTES);
    memset(out, 0, FM_MAX_REASON_BYTES + 1);
    memcpy(out, text, len);
    return FM_OK;
}

fm_status fm_codec_get_count(const fm_codec *c, const char *field, size_t n, size_t max,
                             uint32_t *out)
{
    if (n > max)
        return fm_codec_fail(c, field, "%zu elements, at most %zu", n, max);
    *out = (uint32_t)n;
    return FM_OK;
}

fm_status fm_codec_get_list(const fm_codec *c, const char *field, size_t n,
                            const ProtobufCBinaryData *list, const fm_bytes **out)
{
    fm_bytes *views;
    uint32_t count = 0;
    void *p = NULL;
    fm_status st;

    if ((st = fm_codec_get_count(c, field, n, FM_MAX_NODES, &count)) != FM_OK ||
        (st = fm_codec_take(c, count, sizeof *views, &p)) != FM_OK)
        return st;
    views = p;
    for (size_t i = 0; i < n; i++)
        views[i] = fm_codec_get_bytes(list[i]);
    *out = views;
    return FM_OK;
}

static fm_status get_part(const fm_codec *c, const char *part, ProtobufCBinaryData b, uint8_t *out,
                          size_t max, size_t *len)
{
    if (b.len < 1 || b.len > max)
        return fm_codec_fail(c, "credential", "%s of %zu bytes, must be 1 to %zu", part, b.len,
                             max);
    memset(out, 0, max);
    memcpy(out, b.data, b.len);
    *len = b.len;
    return FM_OK;
}

fm_status fm_codec_get_path(const fm_codec *c, const char *field, size_t n,
                            const ProtobufCBinaryData *in, fm_ca_path *out)
{
    if (n > FM_INTERMEDIATES_MAX)
        return fm_codec_fail(c, field, "%zu elements, at most %d", n, FM_INTERMEDIATES_MAX);
    *out = (fm_ca_path){ .count = n };
    for (size_t i = 0; i < n; i++) {
        out->der[i] = in[i].data;
        out->len[i] = in[i].len;
    }
    return FM_OK;
}

static fm_status get_intermediates(const fm_codec *c, const Fedmoe__V1__Credential *in,
                                   fm_credential *out)
{
    fm_status st = FM_OK;

    memset(out->intermediates, 0, sizeof out->intermediates);
    memset(out->intermediate_len, 0, sizeof out->intermediate_len);
    if (in->n_intermediates > FM_INTERMEDIATES_MAX)
        return fm_codec_fail(c, "credential", "%zu intermediate CAs, at most %d",
                             in->n_intermediates, FM_INTERMEDIATES_MAX);
    for (size_t i = 0; st == FM_OK && i < in->n_intermediates; i++)
        st = get_part(c, "intermediate", in->intermediates[i], out->intermediates[i],
                      FM_INTERMEDIATE_MAX_BYTES, &out->intermediate_len[i]);
    out->intermediate_count = in->n_intermediates;
    return st;
}

fm_status fm_codec_get_credential(const fm_codec *c, const Fedmoe__V1__Credential *in,
                                  fm_credential *out)
{
    fm_status st;

    if (!in)
        return fm_codec_fail(c, "credential", "missing");
    if ((st = get_part(c, "certificate", in->certificate, out->cert, FM_CERT_MAX_BYTES,
                       &out->cert_len)) != FM_OK ||
        (st = get_part(c, "statement", in->statement, out->statement, FM_STATEMENT_MAX_BYTES,
                       &out->statement_len)) != FM_OK)
        return st;
    if ((st = get_part(c, "signature", in->signature, out->signature, FM_SIGNATURE_MAX,
                       &out->signature_len)) != FM_OK)
        return st;
    return get_intermediates(c, in, out);
}

fm_status fm_codec_get_entries(const fm_codec *c, size_t n, Fedmoe__V1__TranscriptEntry *const *in,
                               const fm_transcript_entry **out, uint32_t *count)
{
    fm_transcript_entry *e;
    void *p = NULL;
    fm_status st;

    if ((st = fm_codec_get_count(c, "entries", n, FM_MAX_ENTRIES, count)) != FM_OK ||
        (st = fm_codec_take(c, n, sizeof *e, &p)) != FM_OK)
        return st;
    e = p;
    for (size_t i = 0; st == FM_OK && i < n; i++) {
        e[i].round = in[i]->round;
        st = fm_codec_get_hash(c, "entries", in[i]->commit_digest, &e[i].commit_digest);
        if (st == FM_OK)
            st = fm_codec_get_hash(c, "entries", in[i]->model_after, &e[i].model_after);
    }
    *out = e;
    return st;
}
