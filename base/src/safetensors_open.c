/* Files that are larger than memory: the header is checked and kept, values are read when asked for. */
#include "safetensors_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX ((size_t)1 << 30) /* at a time: Linux stops at 2 GiB */

/* `at` counts from the front of the file. */
static fm_status read_file(const fm_safetensors *s, size_t at, size_t len, void *out)
{
    uint8_t *p = out;

    while (len > 0) {
        const ssize_t n = pread(s->fd, p, len < READ_MAX ? len : READ_MAX, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fm_fail(FM_EIO, "%s: cannot read: %s", s->name, strerror(errno));
        if (n == 0)
            return fm_fail(FM_EIO, "%s: was cut short while it was read", s->name);
        p += n;
        at += (size_t)n;
        len -= (size_t)n;
    }
    return FM_OK;
}

static fm_status open_header(fm_safetensors *s)
{
    uint8_t first[FM_SAFETENSORS_LENGTH_BYTES];
    struct stat info;
    void *text = NULL;
    fm_status st;

    if (fstat(s->fd, &info) != 0)
        return fm_fail(FM_EIO, "%s: cannot stat: %s", s->name, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return fm_fail(FM_EIO, "%s: not a regular file", s->name);
    if ((uint64_t)info.st_size < FM_SAFETENSORS_LENGTH_BYTES)
        return fm_safetensors_fail_other(s, "too few bytes");
    if ((st = read_file(s, 0, sizeof first, first)) != FM_OK ||
        (st = fm_safetensors_read_lengths(s, first, (size_t)info.st_size)) != FM_OK ||
        (st = fm_alloc(s->head_len, 1, &text)) != FM_OK)
        return st;
    if ((st = read_file(s, FM_SAFETENSORS_LENGTH_BYTES, s->head_len - FM_SAFETENSORS_LENGTH_BYTES,
                        text)) == FM_OK)
        st = fm_safetensors_parse_header(s, text, s->head_len - FM_SAFETENSORS_LENGTH_BYTES);
    free(text);
    return st;
}

fm_status fm_safetensors_open(const char *path, fm_safetensors **out)
{
    fm_safetensors *s = NULL;
    fm_status st;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "fm_safetensors_open: an argument is missing");
    if ((st = fm_safetensors_make(path, &s)) != FM_OK)
        return st;
    /* A FIFO in the file's place must not hang the program. */
    if ((s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
        st = fm_fail(errno == ENOENT ? FM_ENOTFOUND : FM_EIO, "%s: cannot open: %s", path,
                     strerror(errno));
    if (st == FM_OK && (st = open_header(s)) == FM_OK &&
        (st = fm_safetensors_read_entries(s)) == FM_OK) {
        *out = s;
        s = NULL;
    }
    fm_safetensors_free(&s);
    return st;
}

fm_status fm_safetensors_map(const char *path, fm_safetensors **out)
{
    fm_safetensors *s = NULL;
    fm_status st = fm_safetensors_open(path, &s);

    if (st != FM_OK)
        return st;
    s->map = mmap(NULL, s->head_len + s->data_len, PROT_READ, MAP_SHARED, s->fd, 0);
    if (s->map == MAP_FAILED) {
        s->map = NULL;
        st = fm_fail(FM_EIO, "%s: cannot be mapped: %s", path, strerror(errno));
        fm_safetensors_free(&s);
        return st;
    }
    s->data = (uint8_t *)s->map + s->head_len;
    for (size_t i = 0; i < s->count; i++)
        s->entries[i].view.data = s->data + s->entries[i].offset;
    *out = s;
    return FM_OK;
}

fm_status fm_safetensors_read(const fm_safetensors *s, const fm_tensor_view *v, size_t at,
                              size_t len, void *out)
{
    const fm_safetensors_entry *e = (const fm_safetensors_entry *)(const void *)v;

    if (!s || !v || (!out && len > 0))
        return fm_fail(FM_EINVAL, "fm_safetensors_read: an argument is missing");
    if (at > v->bytes || len > v->bytes - at)
        return fm_fail(FM_EINVAL, "%s: tensor '%.200s': %zu bytes from %zu are not within its %zu",
                       s->name, v->name, len, at, v->bytes);
    if (s->fd >= 0)
        return read_file(s, s->head_len + e->offset + at, len, out);
    if (!v->data)
        return fm_fail(FM_ESTATE, "%s: its values are not held any more", s->name);
    if (len > 0)
        memcpy(out, v->data + at, len);
    return FM_OK;
}

fm_status fm_safetensors_read_head(const fm_safetensors *s, fm_buf *out)
{
    const size_t before = out ? out->len : 0;
    uint8_t *place;
    fm_status st;

    if (!s || !out)
        return fm_fail(FM_EINVAL, "fm_safetensors_read_head: an argument is missing");
    if (s->fd < 0)
        return fm_fail(FM_ESTATE, "%s: its header is not held as text", s->name);
    if ((st = fm_buf_extend(out, s->head_len, &place)) != FM_OK)
        return st;
    if ((st = read_file(s, 0, s->head_len, place)) != FM_OK)
        out->len = before;
    return st;
}

void fm_safetensors_free(fm_safetensors **s)
{
    if (!s || !*s)
        return;
    json_decref((*s)->header);
    if ((*s)->map)
        (void)munmap((*s)->map, (*s)->head_len + (*s)->data_len);
    if ((*s)->fd >= 0)
        (void)close((*s)->fd);
    fm_buf_fini(&(*s)->bytes);
    free((*s)->entries);
    free((*s)->by_name);
    free((*s)->metas);
    free((*s)->name);
    free(*s);
    *s = NULL;
}
