#include "fedmoe/model/packed.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lzma.h>
#include <sodium.h>
#define ZLIB_CONST
#include <zlib.h>
#define ZSTD_STATIC_LINKING_ONLY /* memory of our own */
#include <zstd.h>
#include <zstd_errors.h>

#include "fedmoe/base/input.h"

#define RAW ((size_t)64 * 1024)
#define MAGIC_MOST 6
#define GZIP_WINDOW (15 + 16) /* the largest window, and gzip's own header */
#define ZSTD_WINDOW_LOG 27    /* 128 MiB: what zstd takes without being asked */

typedef enum { PLAIN, GZIP, XZ, ZSTD } kind;

struct fm_packed {
    const char *name;
    int fd;
    kind kind;
    bool own;          /* fd is closed with it */
    bool begun, ended; /* the kind is known; nothing more comes from the file */
    bool between;      /* parts: the last one is whole, and none is begun */
    size_t at, len;    /* of raw: what is not yet used */
    union {
        z_stream gzip;
        lzma_stream xz;
        ZSTD_DCtx *zstd;
    } u;
    lzma_allocator wiping; /* for xz, which keeps a pointer to it */
    uint8_t raw[RAW];
};

/* ---- memory that is wiped: each piece with its length before it ---- */

typedef union {
    size_t len;
    max_align_t align;
} piece;

static void *take(void *opaque, size_t n)
{
    piece *p = n <= FM_PACKED_MEMORY ? malloc(sizeof *p + n) : NULL;

    (void)opaque;
    if (!p)
        return NULL;
    p->len = n;
    return p + 1;
}

static void *take_many(void *opaque, size_t count, size_t size)
{
    size_t n;

    return fm_mul_size(count, size, &n) ? NULL : take(opaque, n);
}

static void *take_few(void *opaque, unsigned count, unsigned size)
{
    return take_many(opaque, count, size);
}

static void give_back(void *opaque, void *address)
{
    piece *p = address;

    (void)opaque;
    if (!p)
        return;
    p--;
    sodium_memzero(p, sizeof *p + p->len);
    free(p);
}

/* ---- the file ---- */

static fm_status more(fm_packed *p)
{
    ssize_t got;

    if (p->at > 0)
        memmove(p->raw, p->raw + p->at, p->len -= p->at);
    p->at = 0;
    do
        got = read(p->fd, p->raw + p->len, RAW - p->len);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return fm_fail(FM_EIO, "%s: cannot read it: %s", p->name, strerror(errno));
    p->ended = got == 0;
    p->len += (size_t)got;
    return FM_OK;
}

static fm_status damaged(const fm_packed *p)
{
    static const char *const names[] = { "", "gzip", "xz", "zstd" };

    return fm_fail(FM_EPROTO, "%s: what %s packed is damaged; copy the file again from its source",
                   p->name, names[p->kind]);
}

static fm_status too_large(const fm_packed *p)
{
    return fm_fail(
        FM_ENOMEM,
        "%s: unpacking it takes more than %zu MiB; pack it with less memory, or unpack it", p->name,
        FM_PACKED_MEMORY / (1024 * 1024));
}

static kind kind_of(const uint8_t *m, size_t n)
{
    if (n >= 3 && memcmp(m, "\x1f\x8b\x08", 3) == 0)
        return GZIP;
    if (n >= 6 && memcmp(m,
                         "\xfd"
                         "7zXZ\0",
                         6) == 0)
        return XZ;
    if (n >= 4 && memcmp(m, "\x28\xb5\x2f\xfd", 4) == 0)
        return ZSTD;
    return PLAIN;
}

static fm_status begin(fm_packed *p)
{
    fm_status st;

    while (p->len < MAGIC_MOST && !p->ended)
        if ((st = more(p)))
            return st;
    p->kind = kind_of(p->raw, p->len);
    p->between = true;
    p->begun = true;
    switch (p->kind) {
    case GZIP:
        p->u.gzip = (z_stream){ .zalloc = take_few, .zfree = give_back };
        if (inflateInit2(&p->u.gzip, GZIP_WINDOW) != Z_OK)
            break;
        return FM_OK;
    case XZ:
        p->u.xz = (lzma_stream)LZMA_STREAM_INIT;
        p->wiping = (lzma_allocator){ .alloc = take_many, .free = give_back };
        p->u.xz.allocator = &p->wiping;
        if (lzma_stream_decoder(&p->u.xz, FM_PACKED_MEMORY, LZMA_CONCATENATED) != LZMA_OK)
            break;
        return FM_OK;
    case ZSTD:
        p->u.zstd = ZSTD_createDCtx_advanced(
            (ZSTD_customMem){ .customAlloc = take, .customFree = give_back });
        if (!p->u.zstd ||
            ZSTD_isError(ZSTD_DCtx_setParameter(p->u.zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG)))
            break;
        return FM_OK;
    case PLAIN:
        return FM_OK;
    }
    p->begun = p->kind == ZSTD && p->u.zstd; /* what there is to be freed */
    return fm_fail(FM_ENOMEM, "%s: no memory to unpack it", p->name);
}

/* ---- one step: some of raw into to[room]; *n may be 0 before the end ---- */

static fm_status step_gzip(fm_packed *p, uint8_t *to, size_t room, size_t *n)
{
    z_stream *z = &p->u.gzip;
    int rc;

    if (p->between && p->len - p->at > 0 && inflateReset(z) != Z_OK)
        return damaged(p);
    z->next_in = p->raw + p->at;
    z->avail_in = (unsigned)(p->len - p->at);
    z->next_out = to;
    z->avail_out = (unsigned)room;
    rc = inflate(z, Z_NO_FLUSH);
    p->at = p->len - z->avail_in;
    *n = room - z->avail_out;
    p->between = rc == Z_STREAM_END;
    if (rc == Z_MEM_ERROR)
        return too_large(p);
    return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR ? FM_OK : damaged(p);
}

static fm_status step_xz(fm_packed *p, uint8_t *to, size_t room, size_t *n)
{
    lzma_stream *x = &p->u.xz;
    lzma_ret rc;

    x->next_in = p->raw + p->at;
    x->avail_in = p->len - p->at;
    x->next_out = to;
    x->avail_out = room;
    rc = lzma_code(x, p->ended ? LZMA_FINISH : LZMA_RUN);
    p->at = p->len - x->avail_in;
    *n = room - x->avail_out;
    p->between = rc == LZMA_STREAM_END;
    if (rc == LZMA_MEMLIMIT_ERROR || rc == LZMA_MEM_ERROR)
        return too_large(p);
    return rc == LZMA_OK || rc == LZMA_STREAM_END || rc == LZMA_BUF_ERROR ? FM_OK : damaged(p);
}

static fm_status step_zstd(fm_packed *p, uint8_t *to, size_t room, size_t *n)
{
    ZSTD_inBuffer in = { p->raw + p->at, p->len - p->at, 0 };
    ZSTD_outBuffer out = { to, room, 0 };
    const size_t rc = ZSTD_decompressStream(p->u.zstd, &out, &in);

    if (ZSTD_isError(rc)) {
        const ZSTD_ErrorCode code = ZSTD_getErrorCode(rc);

        return code == ZSTD_error_memory_allocation ||
                       code == ZSTD_error_frameParameter_windowTooLarge
                   ? too_large(p)
                   : damaged(p);
    }
    p->at += in.pos;
    *n = out.pos;
    p->between = rc == 0;
    return FM_OK;
}

static fm_status unpack(fm_packed *p, uint8_t *to, size_t room, size_t *n)
{
    fm_status st;

    for (;;) {
        const size_t left = p->len - p->at;

        if (left == 0 && p->between) {
            if (p->ended)
                return FM_OK;
            if ((st = more(p)))
                return st;
            continue;
        }
        st = p->kind == GZIP ? step_gzip(p, to, room, n)
             : p->kind == XZ ? step_xz(p, to, room, n)
                             : step_zstd(p, to, room, n);
        if (st || *n > 0)
            return st;
        if (p->ended && p->len - p->at == left && !p->between)
            return fm_fail(FM_EPROTO,
                           "%s: ends in the middle of what was packed; was it copied whole? Copy "
                           "it again from its source",
                           p->name);
        if (!p->ended && (st = more(p)))
            return st;
    }
}

fm_status fm_packed_new(const char *name, int fd, fm_packed **out)
{
    fm_status st = fm_alloc(1, sizeof **out, (void **)out);

    if (!st) {
        (*out)->name = name;
        (*out)->fd = fd;
    }
    return st;
}

fm_status fm_packed_open(const char *path, fm_packed **out)
{
    int fd = -1;
    fm_status st = fm_input_open(path, &fd);

    if (st)
        return st;
    if ((st = fm_packed_new(path, fd, out)))
        (void)close(fd);
    else
        (*out)->own = true;
    return st;
}

void fm_packed_free(fm_packed **out)
{
    fm_packed *p = *out;

    if (!p)
        return;
    if (p->own)
        (void)close(p->fd);
    if (p->begun && p->kind == GZIP)
        (void)inflateEnd(&p->u.gzip);
    else if (p->begun && p->kind == XZ)
        lzma_end(&p->u.xz);
    else if (p->begun && p->kind == ZSTD)
        (void)ZSTD_freeDCtx(p->u.zstd);
    sodium_memzero(p, sizeof *p);
    free(p);
    *out = NULL;
}

fm_status fm_packed_read(fm_packed *p, void *to, size_t room, size_t *n)
{
    fm_status st;

    *n = 0;
    if (!p->begun && (st = begin(p)))
        return st;
    if (p->kind != PLAIN)
        return unpack(p, to, room < UINT_MAX ? room : UINT_MAX, n);
    if (p->at == p->len) { /* a plain file's bytes go where they are wanted */
        ssize_t got;

        do
            got = read(p->fd, to, room);
        while (got < 0 && errno == EINTR);
        if (got < 0)
            return fm_fail(FM_EIO, "%s: cannot read it: %s", p->name, strerror(errno));
        *n = (size_t)got;
        return FM_OK;
    }
    *n = p->len - p->at < room ? p->len - p->at : room;
    memcpy(to, p->raw + p->at, *n);
    p->at += *n;
    return FM_OK;
}
