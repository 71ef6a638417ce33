#include "fedmoe/base/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "fedmoe/base/file.h"

#define BLOCK 64u /* of ChaCha20 */
#define BUFFER ((size_t)256 << 10)
#define PIECE ((size_t)4096) /* of a reader's stack */

/* Key and nonce are of this file alone: byte i is under block i / 64 of one key stream. */
typedef struct {
    unsigned char key[crypto_stream_chacha20_KEYBYTES];
    unsigned char nonce[crypto_stream_chacha20_NONCEBYTES];
} secret;

struct fm_scratch {
    int fd;
    char *dir;      /* for error texts, owned */
    secret *secret; /* sodium_malloc */
    unsigned char *buffer;
    size_t held;      /* bytes of the buffer */
    uint64_t written; /* a multiple of BUFFER until sealed */
    bool sealed;
};

static fm_status fail(const fm_scratch *s, const char *what, int code)
{
    return fm_fail(FM_EIO, "%s: a scratch file for records cannot be %s: %s%s", s->dir, what,
                   strerror(code), fm_file_advice(code));
}

/* Where the file system has no files without a name: one that loses it at once. */
static fm_status open_named(fm_scratch *s)
{
    char *path = NULL;
    fm_status st = fm_path_join(s->dir, ".fedmoe-XXXXXX", &path);

    if (st != FM_OK)
        return st;
    s->fd = mkostemp(path, O_CLOEXEC);
    if (s->fd < 0)
        st = fail(s, "made", errno);
    else if (unlink(path) != 0)
        st = fail(s, "made", errno);
    free(path);
    return st;
}

static fm_status open_file(fm_scratch *s)
{
    s->fd = open(s->dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    if (s->fd >= 0)
        return FM_OK;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
        return fail(s, "made", errno);
    return open_named(s);
}

static const char *folder(const char *dir)
{
    const char *other = getenv("TMPDIR");

    return dir ? dir : other && *other ? other : "/var/tmp";
}

fm_status fm_scratch_new(const char *dir, fm_scratch **out)
{
    fm_scratch *s = NULL;
    fm_status st;

    if (!out)
        return fm_fail(FM_EINVAL, "scratch: an argument is missing");
    if ((st = fm_alloc(1, sizeof *s, (void **)&s)) != FM_OK)
        return st;
    s->fd = -1;
    if ((st = fm_strdup(folder(dir), &s->dir)) != FM_OK || (st = open_file(s)) != FM_OK)
        goto done;
    s->secret = sodium_malloc(sizeof *s->secret);
    s->buffer = sodium_malloc(BUFFER);
    if (!s->secret || !s->buffer) {
        st = fm_fail(FM_ENOMEM, "scratch: no memory");
        goto done;
    }
    randombytes_buf(s->secret, sizeof *s->secret);
    *out = s;
    s = NULL;
done:
    fm_scratch_free(&s);
    return st;
}

void fm_scratch_free(fm_scratch **s)
{
    if (!s || !*s)
        return;
    sodium_free((*s)->secret); /* both wiped */
    sodium_free((*s)->buffer);
    if ((*s)->fd >= 0)
        (void)close((*s)->fd);
    free((*s)->dir);
    free(*s);
    *s = NULL;
}

/* The key stream from a multiple of BLOCK on. */
static void cipher(const fm_scratch *s, uint64_t at, unsigned char *bytes, size_t n)
{
    (void)crypto_stream_chacha20_xor_ic(bytes, bytes, n, s->secret->nonce, at / BLOCK,
                                        s->secret->key);
}

static fm_status flush(fm_scratch *s)
{
    size_t done = 0;

    cipher(s, s->written, s->buffer, s->held);
    while (done < s->held) {
        const ssize_t n =
            pwrite(s->fd, s->buffer + done, s->held - done, (off_t)(s->written + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(s, "written", n < 0 ? errno : ENOSPC);
        done += (size_t)n;
    }
    s->written += s->held;
    s->held = 0;
    return FM_OK;
}

fm_status fm_scratch_append(fm_scratch *s, const void *data, size_t n)
{
    const unsigned char *from = data;
    fm_status st = FM_OK;

    if (!s || (n && !data) || s->sealed)
        return fm_fail(FM_EINVAL, "scratch: an argument is missing, or the file is sealed");
    while (st == FM_OK && n > 0) {
        const size_t room = BUFFER - s->held, part = n < room ? n : room;

        memcpy(s->buffer + s->held, from, part);
        s->held += part;
        from += part;
        n -= part;
        if (s->held == BUFFER)
            st = flush(s);
    }
    return st;
}

fm_status fm_scratch_seal(fm_scratch *s)
{
    fm_status st;

    if (!s)
        return fm_fail(FM_EINVAL, "scratch: an argument is missing");
    if (s->sealed)
        return FM_OK;
    if ((st = flush(s)) != FM_OK)
        return st;
    s->sealed = true;
    sodium_free(s->buffer);
    s->buffer = NULL;
    return FM_OK;
}

static fm_status read_bytes(const fm_scratch *s, uint64_t at, unsigned char *to, size_t n)
{
    while (n > 0) {
        const ssize_t got = pread(s->fd, to, n, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return fail(s, "read", got < 0 ? errno : EIO);
        to += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return FM_OK;
}

fm_status fm_scratch_read(const fm_scratch *s, uint64_t at, void *out, size_t n)
{
    unsigned char piece[PIECE], *to = out;
    fm_status st = FM_OK;

    if (!s || (n && !out) || !s->sealed || at > s->written || n > s->written - at)
        return fm_fail(FM_EINVAL, "scratch: there is nothing to read there");
    while (st == FM_OK && n > 0) {
        const size_t skip = at % BLOCK;
        const size_t part = n < PIECE - skip ? n : PIECE - skip;

        if ((st = read_bytes(s, at - skip, piece, skip + part)) != FM_OK)
            break;
        cipher(s, at - skip, piece, skip + part);
        memcpy(to, piece + skip, part);
        to += part;
        at += part;
        n -= part;
    }
    sodium_memzero(piece, sizeof piece);
    return st;
}

uint64_t fm_scratch_bytes(const fm_scratch *s)
{
    return s ? s->written + s->held : 0;
}
