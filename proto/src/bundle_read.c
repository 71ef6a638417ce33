/* A bundle as a stream of sections. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle_internal.h"

/* A length that is claimed gets memory in steps, as its bytes come. */
#define STEP_BYTES ((size_t)1 << 20)

struct fm_bundle_reader {
    FILE *file;
    char *name;
    uint64_t number; /* of the last section */
    bool sealed;
    fm_hash mark;
    fm_buf payload;
};

static fm_status fail_in(const fm_bundle_reader *r, const char *what, const char *why)
{
    if (ferror(r->file))
        return fm_fail(FM_EIO, "%s: cannot be read: %s", r->name, strerror(errno));
    return fm_fail(FM_EPROTO, "%s: section %llu%s%s: %s", r->name, (unsigned long long)r->number,
                   *what ? ", " : "", what, why);
}

fm_status fm_bundle_open_stream(FILE *f, const char *name, fm_bundle_reader **out)
{
    fm_bundle_reader *r = NULL;
    char magic[FM_BUNDLE_MAGIC_BYTES];
    void *p = NULL;
    fm_status st;

    if (!f || !name || !out) {
        if (f)
            (void)fclose(f);
        return fm_fail(FM_EINVAL, "bundle: NULL argument");
    }
    if ((st = fm_alloc(1, sizeof *r, &p)) != FM_OK) {
        (void)fclose(f);
        return st;
    }
    r = p;
    r->file = f;
    fm_buf_init(&r->payload, FM_MAX_MESSAGE_BYTES);
    if ((st = fm_strdup(name, &r->name)) == FM_OK &&
        (fread(magic, 1, sizeof magic, f) != sizeof magic ||
         memcmp(magic, FM_BUNDLE_MAGIC, sizeof magic) != 0))
        st = fm_fail(FM_EPROTO,
                     "%s: does not begin with the line of an audit bundle of this version; "
                     "fedmoe-aggregator export --audit makes one",
                     name);
    if (st == FM_OK)
        *out = r;
    else
        fm_bundle_close(&r);
    return st;
}

fm_status fm_bundle_open(const char *path, fm_bundle_reader **out)
{
    FILE *f = path ? fopen(path, "rbe") : NULL;

    if (!f)
        return fm_fail(errno == ENOENT ? FM_ENOTFOUND : FM_EIO, "%s: cannot be read: %s",
                       path ? path : "bundle", strerror(errno));
    return fm_bundle_open_stream(f, path, out);
}

void fm_bundle_close(fm_bundle_reader **r)
{
    if (!r || !*r)
        return;
    (void)fclose((*r)->file);
    free((*r)->name);
    fm_buf_fini(&(*r)->payload);
    free(*r);
    *r = NULL;
}

static fm_status read_payload(fm_bundle_reader *r, size_t len, const char *kind)
{
    fm_buf_clear(&r->payload);
    while (r->payload.len < len) {
        size_t want = len - r->payload.len, before = r->payload.len;
        uint8_t *place = NULL;
        fm_status st;

        if (want > STEP_BYTES)
            want = STEP_BYTES;
        if ((st = fm_buf_extend(&r->payload, want, &place)) != FM_OK)
            return st;
        if (fread(place, 1, want, r->file) != want) {
            r->payload.len = before;
            return fail_in(r, kind, "the file ends in the middle of it: cut off");
        }
    }
    return FM_OK;
}

/* Nothing, or the head of another section. */
static fm_status read_head(fm_bundle_reader *r, uint8_t head[FM_BUNDLE_HEAD_BYTES], bool *end)
{
    size_t n = fread(head, 1, FM_BUNDLE_HEAD_BYTES, r->file);

    *end = n == 0 && r->sealed && !ferror(r->file);
    if (*end)
        return FM_OK;
    r->number++;
    if (r->sealed && n > 0)
        return fail_in(r, "", "there are bytes behind the seal");
    if (n < FM_BUNDLE_HEAD_BYTES)
        return fail_in(r, "",
                       n == 0 ? "the file ends without the seal: cut off"
                              : "the file ends in the middle of its head: cut off");
    return FM_OK;
}

fm_status fm_bundle_next(fm_bundle_reader *r, fm_bundle_section *out)
{
    uint8_t head[FM_BUNDLE_HEAD_BYTES];
    fm_hash mark, stated;
    fm_bundle_kind kind;
    uint64_t len;
    bool end = false;
    fm_status st;

    if (!r || !out)
        return fm_fail(FM_EINVAL, "bundle: NULL argument");
    if ((st = read_head(r, head, &end)) != FM_OK)
        return st;
    if (end) {
        *out = (fm_bundle_section){ .number = r->number, .before = r->mark, .mark = r->mark };
        return FM_OK;
    }
    if ((kind = fm_bundle_kind_of(head)) == FM_BUNDLE_END)
        return fail_in(r, "", "its tag stands for nothing: altered, or of a newer version");
    len = fm_get_u64le(head + FM_BUNDLE_TAG_BYTES);
    if (len > fm_bundle_limit(kind))
        return fail_in(r, fm_bundle_kind_name(kind), "its length is out of range: altered");
    if ((st = read_payload(r, (size_t)len, fm_bundle_kind_name(kind))) != FM_OK)
        return st;
    if (fread(stated.bytes, 1, FM_HASH_BYTES, r->file) != FM_HASH_BYTES)
        return fail_in(r, fm_bundle_kind_name(kind), "the file ends in its mark: cut off");
    mark = fm_bundle_next_mark(&r->mark, kind, r->payload.data, r->payload.len);
    if (!fm_hash_equal(&mark, &stated))
        return fail_in(r, fm_bundle_kind_name(kind),
                       "its bytes do not have the mark that follows them: it was altered, or a "
                       "section before it is missing or moved");
    *out = (fm_bundle_section){
        .kind = kind,
        .number = r->number,
        .before = r->mark,
        .mark = mark,
        .payload = { r->payload.data, r->payload.len },
    };
    r->mark = mark;
    r->sealed = kind == FM_BUNDLE_SEAL;
    return FM_OK;
}
