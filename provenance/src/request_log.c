/* The audit line of a request: appended whole, synced, readable by its owner alone. */
#include "fedmoe/provenance/request_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "policy_internal.h"

#define KEY_BYTES 32

struct fm_request_log {
    int fd;
    char *path;
    uint8_t *key; /* guarded */
    bool begun;   /* lines are there, under a key */
};

void fm_request_log_close(fm_request_log **l)
{
    if (!l || !*l)
        return;
    if ((*l)->fd >= 0)
        (void)close((*l)->fd);
    sodium_free((*l)->key);
    free((*l)->path);
    free(*l);
    *l = NULL;
}

static fm_status read_key(const char *path, uint8_t *key)
{
    fm_buf b = { 0 };
    fm_status st = fm_file_read_private(path, KEY_BYTES, &b);

    if (st == FM_OK && b.len != KEY_BYTES)
        st = fm_fail(FM_EPARSE,
                     "%s: %zu bytes, not the log's key; restore it, or begin a new log elsewhere",
                     path, b.len);
    if (st == FM_OK)
        memcpy(key, b.data, KEY_BYTES);
    fm_buf_fini(&b);
    return st;
}

/** Two processes that begin at once end up with one key: the first one's. */
static fm_status open_key(const char *log, bool begun, uint8_t *key)
{
    char *path = NULL;
    fm_status st;

    if (asprintf(&path, "%s.key", log) < 0)
        return fm_fail(FM_ENOMEM, "no memory for a path");
    st = read_key(path, key);
    if (st == FM_ENOTFOUND && begun) {
        st = fm_fail(FM_ENOTFOUND,
                     "%s: is not there, and %s has lines under it; restore it, or begin a new log "
                     "elsewhere",
                     path, log);
    } else if (st == FM_ENOTFOUND) {
        fm_random_bytes(key, KEY_BYTES);
        st = fm_file_create(path, key, KEY_BYTES, 0600);
        if (st == FM_EEXIST)
            st = read_key(path, key);
    }
    free(path);
    return st;
}

static fm_status open_log(fm_request_log *l)
{
    struct stat info;

    l->fd = open(l->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (l->fd < 0 || fstat(l->fd, &info) != 0)
        return fm_fail(FM_EIO, "%s: %s", l->path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return fm_fail(FM_EIO, "%s: not a regular file", l->path);
    if (info.st_mode & 077)
        return fm_fail(FM_EPERM, "%s: others can read it; chmod 600", l->path);
    l->begun = info.st_size > 0;
    return FM_OK;
}

fm_status fm_request_log_open(const char *path, fm_request_log **out)
{
    fm_request_log *l = NULL;
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "fm_request_log_open: NULL argument");
    if ((st = fm_alloc(1, sizeof *l, (void **)&l)) != FM_OK)
        return st;
    l->fd = -1;
    if (!(l->key = sodium_malloc(KEY_BYTES)))
        st = fm_fail(FM_ENOMEM, "no guarded memory for a key");
    else if ((st = fm_strdup(path, &l->path)) == FM_OK && (st = open_log(l)) == FM_OK &&
             (st = open_key(path, l->begun, l->key)) == FM_OK) {
        *out = l;
        return FM_OK;
    }
    fm_request_log_close(&l);
    return st;
}

fm_status fm_request_log_prompt(const fm_request_log *l, const void *prompt, size_t len,
                                fm_hash *out)
{
    if (crypto_generichash(out->bytes, sizeof out->bytes, prompt, len, l->key, KEY_BYTES) != 0)
        return fm_fail(FM_EINTERNAL, "no keyed hash");
    return FM_OK;
}

static fm_status put_line(const fm_request *r, fm_buf *out)
{
    char when[32], policy[65], model[65], prompt[65];
    fm_status st;

    if (!r->purpose || strlen(r->purpose) > FM_USE_TEXT_MAX)
        return fm_fail(FM_EINVAL, "a purpose of 0 to %u bytes is wanted", FM_USE_TEXT_MAX);
    fm_clock_format(r->time_s, when, sizeof when);
    fm_hash_hex(&r->policy, policy);
    fm_hash_hex(&r->model, model);
    fm_hash_hex(&r->prompt, prompt);
    if ((st = fm_buf_printf(out, "{\"time\": \"%s\", \"policy\": \"%s\", \"model\": \"%s\", ", when,
                            policy, model)) != FM_OK ||
        (st = fm_buf_printf(out, "\"purpose\": ")) != FM_OK ||
        (st = fm_text_quote(out, r->purpose)) != FM_OK)
        return st;
    return fm_buf_printf(
        out, ", \"tokens_in\": %" PRIu64 ", \"tokens_out\": %" PRIu64 ", \"prompt\": \"%s\"}\n",
        r->tokens_in, r->tokens_out, prompt);
}

/** What a crash or a full disk left of a line is ended, so that the next one stands by itself. */
static fm_status end_torn_line(const fm_request_log *l)
{
    const off_t end = lseek(l->fd, 0, SEEK_END);
    char last = '\n';

    if (end < 0 || (end > 0 && pread(l->fd, &last, 1, end - 1) != 1) ||
        (last != '\n' && write(l->fd, "\n", 1) != 1))
        return fm_fail(FM_EIO, "%s: %s", l->path, strerror(errno));
    return FM_OK;
}

fm_status fm_request_log_append(fm_request_log *l, const fm_request *r)
{
    fm_buf line = { 0 };
    ssize_t n;
    fm_status st;

    if (!l || !r)
        return fm_fail(FM_EINVAL, "fm_request_log_append: NULL argument");
    if ((st = put_line(r, &line)) != FM_OK)
        goto done;
    if (flock(l->fd, LOCK_EX) != 0) {
        st = fm_fail(FM_EIO, "%s: %s", l->path, strerror(errno));
        goto done;
    }
    if ((st = end_torn_line(l)) == FM_OK) {
        n = write(l->fd, line.data, line.len);
        if (n != (ssize_t)line.len || fsync(l->fd) != 0)
            st = fm_fail(FM_EIO, "%s: the request could not be recorded: %s%s", l->path,
                         n >= 0 && n != (ssize_t)line.len ? "the disk is full" : strerror(errno),
                         fm_file_advice(errno));
    }
    (void)flock(l->fd, LOCK_UN);
done:
    fm_buf_fini(&line);
    return st;
}
