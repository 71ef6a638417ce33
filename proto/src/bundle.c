/* Kinds and marks of sections, the seal, and the writer. */
#include <stdlib.h>
#include <string.h>

#include "bundle_internal.h"
#include "fedmoe/base/file.h"

#define KIND_COUNT ((size_t)FM_BUNDLE_SEAL + 1)
#define STATE_BYTES (4u * (size_t)FM_MAX_PARAMETERS)

static const struct {
    const char *tag, *name;
    size_t limit;
} kinds[KIND_COUNT] = {
    [FM_BUNDLE_END] = { "", "end", 0 },
    [FM_BUNDLE_PLAN] = { "plan", "plan", FM_MAX_PLAN_BYTES },
    [FM_BUNDLE_CA] = { "ca  ", "CA certificate", FM_MAX_PLAN_BYTES },
    [FM_BUNDLE_MODEL] = { "modl", "first model", STATE_BYTES },
    [FM_BUNDLE_ROSTER] = { "rost", "roster", FM_MAX_MESSAGE_BYTES },
    [FM_BUNDLE_ENTRY] = { "entr", "entry", FM_MAX_ENTRY_BYTES },
    [FM_BUNDLE_UPDATE] = { "updt", "update", STATE_BYTES },
    [FM_BUNDLE_SEEDS] = { "seed", "seeds",
                          (1 + (size_t)FM_MAX_NODES + FM_MAX_LEVELS) * FM_SEED_BYTES },
    [FM_BUNDLE_SEAL] = { "seal", "seal", 1024 + FM_CERT_MAX_BYTES },
};

const char *fm_bundle_kind_name(fm_bundle_kind k)
{
    return (size_t)k < KIND_COUNT ? kinds[k].name : "unknown";
}

size_t fm_bundle_limit(fm_bundle_kind k)
{
    return (size_t)k < KIND_COUNT ? kinds[k].limit : 0;
}

const char *fm_bundle_tag(fm_bundle_kind k)
{
    return kinds[k].tag;
}

fm_bundle_kind fm_bundle_kind_of(const uint8_t tag[FM_BUNDLE_TAG_BYTES])
{
    for (size_t k = FM_BUNDLE_PLAN; k < KIND_COUNT; k++)
        if (memcmp(kinds[k].tag, tag, FM_BUNDLE_TAG_BYTES) == 0)
            return (fm_bundle_kind)k;
    return FM_BUNDLE_END;
}

fm_hash fm_bundle_next_mark(const fm_hash *before, fm_bundle_kind k, const void *data, size_t len)
{
    fm_hasher h;

    fm_hasher_begin(&h, "fedmoe bundle v1");
    fm_hasher_add(&h, before->bytes, FM_HASH_BYTES);
    fm_hasher_add(&h, kinds[k].tag, FM_BUNDLE_TAG_BYTES);
    fm_hasher_add_part(&h, data, len);
    return fm_hasher_end(&h);
}

/* ---- the seal ---- */

#define SEAL_FIXED (8u + FM_HASH_BYTES + 8u + 4u)

fm_hash fm_bundle_seal_digest(const char *federation, const fm_hash *plan, const fm_hash *before,
                              const fm_bundle_seal *s)
{
    fm_hasher h;

    fm_hasher_begin(&h, FM_LABEL_SEAL);
    fm_hasher_add_part(&h, federation, strlen(federation));
    fm_hasher_add(&h, plan->bytes, FM_HASH_BYTES);
    fm_hasher_add(&h, before->bytes, FM_HASH_BYTES);
    fm_hasher_add_u64(&h, s->entries);
    fm_hasher_add(&h, s->head.bytes, FM_HASH_BYTES);
    fm_hasher_add_u64(&h, (uint64_t)s->made_s);
    return fm_hasher_end(&h);
}

fm_status fm_bundle_seal_encode(const fm_bundle_seal *s, fm_buf *out)
{
    uint8_t fixed[SEAL_FIXED];
    fm_status st;

    if (!s || !out || s->made_s < 0 || s->certificate.len == 0 ||
        s->certificate.len > FM_CERT_MAX_BYTES)
        return fm_fail(FM_EINVAL, "seal: a time or length is out of its range");
    fm_put_u64le(fixed, s->entries);
    memcpy(fixed + 8, s->head.bytes, FM_HASH_BYTES);
    fm_put_u64le(fixed + 8 + FM_HASH_BYTES, (uint64_t)s->made_s);
    fm_put_u32le(fixed + 16 + FM_HASH_BYTES, (uint32_t)s->certificate.len);
    if ((st = fm_buf_append(out, fixed, sizeof fixed)) != FM_OK ||
        (st = fm_buf_append(out, s->certificate.data, s->certificate.len)) != FM_OK)
        return st;
    return fm_entry_encode_signature(s->signature, out);
}

fm_status fm_bundle_seal_decode(const uint8_t *data, size_t len, fm_bundle_seal *out)
{
    fm_bundle_seal s = { 0 };
    uint64_t made;
    size_t left;

    if (!data || !out)
        return fm_fail(FM_EINVAL, "seal: NULL argument");
    if (len < SEAL_FIXED)
        return fm_fail(FM_EPROTO, "cut off");
    s.entries = fm_get_u64le(data);
    memcpy(s.head.bytes, data + 8, FM_HASH_BYTES);
    made = fm_get_u64le(data + 8 + FM_HASH_BYTES);
    if (made > INT64_MAX)
        return fm_fail(FM_EPROTO, "time: out of its range");
    s.made_s = (int64_t)made;
    s.certificate = (fm_bytes){ data + SEAL_FIXED, fm_get_u32le(data + 16 + FM_HASH_BYTES) };
    left = len - SEAL_FIXED;
    if (s.certificate.len == 0 || s.certificate.len > FM_CERT_MAX_BYTES ||
        left < s.certificate.len + 2)
        return fm_fail(FM_EPROTO, "certificate: %zu bytes", s.certificate.len);
    s.signature.data = s.certificate.data + s.certificate.len + 1;
    s.signature.len = s.signature.data[-1];
    left -= s.certificate.len + 1;
    if (s.signature.len == 0 || s.signature.len > FM_SIGNATURE_MAX || s.signature.len != left)
        return fm_fail(FM_EPROTO, "signature: %zu bytes where %zu are left", s.signature.len, left);
    *out = s;
    return FM_OK;
}

/* ---- the writer ---- */

struct fm_bundle_writer {
    fm_file_writer *file;
    fm_hash mark;
};

fm_status fm_bundle_create(const char *path, fm_bundle_writer **out)
{
    fm_bundle_writer *w = NULL;
    void *p = NULL;
    fm_status st = fm_alloc(1, sizeof *w, &p);

    if (st != FM_OK)
        return st;
    w = p;
    if ((st = fm_file_begin(path, 0600, &w->file)) == FM_OK)
        st = fm_file_write(w->file, FM_BUNDLE_MAGIC, FM_BUNDLE_MAGIC_BYTES);
    if (st == FM_OK)
        *out = w;
    else
        fm_bundle_abort(&w);
    return st;
}

fm_status fm_bundle_put(fm_bundle_writer *w, fm_bundle_kind k, const void *data, size_t len)
{
    uint8_t head[FM_BUNDLE_HEAD_BYTES];
    fm_status st;

    if (!w || k == FM_BUNDLE_END || len > fm_bundle_limit(k))
        return fm_fail(FM_EINVAL, "bundle: a section '%s' of %zu bytes", fm_bundle_kind_name(k),
                       len);
    memcpy(head, kinds[k].tag, FM_BUNDLE_TAG_BYTES);
    fm_put_u64le(head + FM_BUNDLE_TAG_BYTES, len);
    w->mark = fm_bundle_next_mark(&w->mark, k, data, len);
    if ((st = fm_file_write(w->file, head, sizeof head)) != FM_OK ||
        (st = fm_file_write(w->file, data, len)) != FM_OK)
        return st;
    return fm_file_write(w->file, w->mark.bytes, FM_HASH_BYTES);
}

fm_hash fm_bundle_mark(const fm_bundle_writer *w)
{
    return w->mark;
}

fm_status fm_bundle_finish(fm_bundle_writer **w)
{
    fm_status st = fm_file_finish(&(*w)->file);

    fm_bundle_abort(w);
    return st;
}

void fm_bundle_abort(fm_bundle_writer **w)
{
    if (!w || !*w)
        return;
    fm_file_abort(&(*w)->file);
    free(*w);
    *w = NULL;
}
