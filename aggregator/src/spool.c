#include "spool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fedmoe/base/file.h"

#define MEMORY_MIN ((size_t)2 << 20)
#define MEMORY_MAX ((size_t)64 << 20)

typedef struct {
    uint8_t *memory; /* [size]; NULL: in the file */
    int file;        /* -1: none */
    size_t size, len;
} place;

struct fm_spool {
    const char *dir;
    place *places;
    uint32_t count;
    size_t held; /* bytes in memory */
    int *idle;   /* [idle_count] files that nobody needs at present: their blocks are there */
    uint32_t idle_count;
};

size_t fm_spool_memory(size_t size)
{
    if (size < MEMORY_MIN)
        return MEMORY_MIN;
    return size > MEMORY_MAX ? MEMORY_MAX : size;
}

fm_status fm_spool_new(const char *dir, uint32_t places, fm_spool **out)
{
    fm_spool *s = NULL;
    void *p = NULL;
    fm_status st = fm_alloc(1, sizeof *s, &p);

    if (st != FM_OK)
        return st;
    s = p;
    s->dir = dir;
    s->count = places;
    if ((st = fm_alloc(places, sizeof *s->places, &p)) == FM_OK) {
        s->places = p;
        for (uint32_t i = 0; i < places; i++)
            s->places[i].file = -1;
        if ((st = fm_alloc(places, sizeof *s->idle, &p)) == FM_OK)
            s->idle = p;
    }
    if (st == FM_OK)
        *out = s;
    else
        fm_spool_free(&s);
    return st;
}

void fm_spool_free(fm_spool **sp)
{
    fm_spool *s = sp ? *sp : NULL;

    if (!s)
        return;
    for (uint32_t i = 0; s->places && i < s->count; i++)
        fm_spool_drop(s, i);
    for (uint32_t i = 0; i < s->idle_count; i++)
        (void)close(s->idle[i]);
    free(s->idle);
    free(s->places);
    free(s);
    *sp = NULL;
}

void fm_spool_drop(fm_spool *s, uint32_t at)
{
    place *p = &s->places[at];

    if (p->memory)
        s->held -= p->size;
    free(p->memory);
    if (p->file >= 0 && s->idle)
        s->idle[s->idle_count++] = p->file;
    *p = (place){ .file = -1 };
}

static fm_status failed(const fm_spool *s, const char *what)
{
    const int code = errno;

    return fm_fail(FM_EIO, "%s: an update on its way in cannot be %s: %s%s", s->dir, what,
                   strerror(code), fm_file_advice(code));
}

/* A file without a name. */
static fm_status open_file(fm_spool *s, int *out)
{
    char *path = NULL;
    fm_status st;

    if (s->idle_count > 0) {
        *out = s->idle[--s->idle_count];
        return FM_OK;
    }
    *out = open(s->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*out >= 0)
        return FM_OK;
    /* Not every file system has O_TMPFILE. */
    if ((st = fm_path_join(s->dir, ".update-XXXXXX", &path)) != FM_OK)
        return st;
    if ((*out = mkstemp(path)) < 0 || unlink(path) != 0)
        st = failed(s, "written");
    free(path);
    return st;
}

static fm_status begin(fm_spool *s, uint32_t at, size_t size)
{
    place *p = &s->places[at];
    void *room = NULL;
    fm_status st;

    fm_spool_drop(s, at);
    if (s->held + size <= fm_spool_memory(size)) {
        if ((st = fm_alloc_whole(size, 1, &room)) != FM_OK)
            return st;
        p->memory = room;
        s->held += size;
    } else if ((st = open_file(s, &p->file)) != FM_OK) {
        return st;
    }
    p->size = size;
    return FM_OK;
}

static fm_status write_all(const fm_spool *s, int file, const uint8_t *data, size_t len,
                           uint64_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(file, data, len, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(s, "written");
        data += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return FM_OK;
}

fm_status fm_spool_put(fm_spool *s, uint32_t at_place, size_t size, uint64_t at, fm_bytes piece)
{
    place *p;
    fm_status st;

    if (at_place >= s->count || size == 0)
        return fm_fail(FM_EINVAL, "an update on its way in: there is no such place");
    if (at == 0 && (st = begin(s, at_place, size)) != FM_OK)
        return st;
    p = &s->places[at_place];
    if (p->size != size || at != p->len || piece.len > size - p->len)
        return fm_fail(FM_EINVAL, "an update on its way in: a piece that does not go on");
    if (p->memory)
        memcpy(p->memory + at, piece.data, piece.len);
    else if ((st = write_all(s, p->file, piece.data, piece.len, at)) != FM_OK)
        return st;
    p->len += piece.len;
    return FM_OK;
}

fm_status fm_spool_get(fm_spool *s, uint32_t at_place, uint64_t at, uint8_t *out, size_t len)
{
    const place *p = at_place < s->count ? &s->places[at_place] : NULL;

    if (!p || at > p->len || len > p->len - at)
        return fm_fail(FM_EINVAL, "an update on its way in: bytes that are not here");
    if (p->memory) {
        memcpy(out, p->memory + at, len);
        return FM_OK;
    }
    while (len > 0) {
        ssize_t n = pread(p->file, out, len, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(s, "read back");
        out += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return FM_OK;
}
