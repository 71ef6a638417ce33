/* Writing updates and seeds of the round under way. */
#include "kept_internal.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fedmoe/base/file.h"

#define HEAD_BYTES 13u
#define NAME_CAP 24

struct fm_kept {
    char *dir; /* updates */
    uint64_t round;
    fm_file_writer *file; /* of that round; NULL: nothing came yet */
};

static bool is_finished(const fm_transcript_entry *finished, uint32_t count, uint64_t round)
{
    uint32_t from = 0, to = count;

    while (from < to) {
        const uint32_t middle = from + (to - from) / 2;

        if (finished[middle].round < round)
            from = middle + 1;
        else
            to = middle;
    }
    return from < count && finished[from].round == round;
}

/* Files of this program only: a number, or what fm_file_begin calls its temporary ones. */
static bool is_leftover(const char *name, const fm_transcript_entry *finished, uint32_t count)
{
    const size_t len = strlen(name);
    char *end = NULL;
    uint64_t round;

    if (name[0] == '.' && name[1] >= '1' && name[1] <= '9' && len > 4)
        return strcmp(name + len - 4, ".tmp") == 0;
    if (name[0] < '1' || name[0] > '9')
        return false;
    round = strtoull(name, &end, 10);
    return *end == '\0' && !is_finished(finished, count, round);
}

static fm_status sweep(const char *path, const fm_transcript_entry *finished, uint32_t count)
{
    DIR *d = opendir(path);

    if (!d)
        return fm_fail(FM_EIO, "%s: cannot be read", path);
    for (struct dirent *e; (e = readdir(d));)
        if (is_leftover(e->d_name, finished, count))
            (void)unlinkat(dirfd(d), e->d_name, 0);
    (void)closedir(d);
    return FM_OK;
}

fm_status fm_kept_sweep(const char *dir, const fm_transcript_entry *finished, uint32_t count)
{
    char *path = NULL;
    fm_status st = fm_path_join(dir, FM_KEPT_DIR, &path);

    if (st == FM_OK && fm_file_exists(path))
        st = sweep(path, finished, count);
    free(path);
    return st;
}

fm_status fm_kept_open(const char *dir, const fm_transcript_entry *finished, uint32_t count,
                       fm_kept **out)
{
    fm_kept *k = NULL;
    void *p = NULL;
    fm_status st = fm_alloc(1, sizeof *k, &p);

    if (st != FM_OK)
        return st;
    k = p;
    if ((st = fm_path_join(dir, FM_KEPT_DIR, &k->dir)) == FM_OK &&
        (st = fm_dir_make(k->dir, 0700)) == FM_OK)
        st = sweep(k->dir, finished, count);
    if (st == FM_OK)
        *out = k;
    else
        fm_kept_close(&k);
    return st;
}

void fm_kept_close(fm_kept **k)
{
    if (!k || !*k)
        return;
    fm_file_abort(&(*k)->file);
    free((*k)->dir);
    free(*k);
    *k = NULL;
}

void fm_kept_begin(fm_kept *k, uint64_t round)
{
    fm_file_abort(&k->file);
    k->round = round;
}

static fm_status begin_file(fm_kept *k)
{
    char name[NAME_CAP], *path = NULL;
    fm_status st;

    (void)snprintf(name, sizeof name, "%" PRIu64, k->round);
    if ((st = fm_path_join(k->dir, name, &path)) == FM_OK)
        st = fm_file_begin(path, 0600, &k->file);
    free(path);
    return st;
}

static fm_status put_head(fm_kept *k, fm_kept_kind kind, uint32_t index, size_t len)
{
    uint8_t head[HEAD_BYTES];
    fm_status st = k->file ? FM_OK : begin_file(k);

    head[0] = (uint8_t)kind;
    fm_put_u32le(head + 1, index);
    fm_put_u64le(head + 5, len);
    return st == FM_OK ? fm_file_write(k->file, head, sizeof head) : st;
}

fm_status fm_kept_update(fm_kept *k, uint32_t index, size_t size, uint64_t at, fm_bytes piece)
{
    fm_status st = at == 0 ? put_head(k, FM_KEPT_UPDATE, index, size) : FM_OK;

    return st == FM_OK ? fm_file_write(k->file, piece.data, piece.len) : st;
}

fm_status fm_kept_release(fm_kept *k, uint32_t index, const fm_msg_release *r)
{
    const size_t pairs = (size_t)r->lost_count * FM_SEED_BYTES;
    const size_t surplus = (size_t)r->surplus_count * FM_SEED_BYTES;
    fm_status st = put_head(k, FM_KEPT_SEEDS, index, FM_SEED_BYTES + pairs + surplus);

    if (st == FM_OK)
        st = fm_file_write(k->file, r->self_seed, FM_SEED_BYTES);
    if (st == FM_OK && pairs > 0)
        st = fm_file_write(k->file, r->pair_seeds, pairs);
    if (st == FM_OK && surplus > 0)
        st = fm_file_write(k->file, r->surplus_seeds, surplus);
    return st;
}

fm_status fm_kept_finish(fm_kept *k)
{
    return k->file ? fm_file_finish(&k->file)
                   : fm_fail(FM_ESTATE, "round %" PRIu64 ": no update was kept", k->round);
}

/* ---- reading ---- */

#define PLACES (2u * FM_MAX_NODES)

typedef struct {
    fm_kept_kind kind;
    uint32_t index;
    long at; /* of its bytes, in the file */
    size_t len;
} place;

struct fm_kept_file {
    FILE *file;
    char *path;
    uint32_t count;
    place places[PLACES];
};

static fm_status damaged(const fm_kept_file *f, const char *why)
{
    return fm_fail(FM_EPROTO, "%s: damaged: %s", f->path, why);
}

/* Where each record lies; *end when there is none. */
static fm_status read_place(fm_kept_file *f, off_t size, bool *end)
{
    uint8_t head[HEAD_BYTES];
    size_t n = fread(head, 1, sizeof head, f->file);
    place *p = &f->places[f->count];
    uint64_t len;

    *end = n == 0 && feof(f->file);
    if (*end)
        return FM_OK;
    if (n != sizeof head || f->count == PLACES)
        return damaged(f, "cut off, or more records than there can be");
    len = fm_get_u64le(head + 5);
    *p = (place){ (fm_kept_kind)head[0], fm_get_u32le(head + 1), ftell(f->file), (size_t)len };
    if (p->at < 0 || len > (uint64_t)(size - p->at) || fseek(f->file, (long)len, SEEK_CUR) != 0)
        return damaged(f, "a record ends behind the file");
    f->count++;
    return FM_OK;
}

fm_status fm_kept_read(const char *dir, uint64_t round, fm_kept_file **out)
{
    char name[NAME_CAP + sizeof FM_KEPT_DIR];
    struct stat info = { 0 };
    fm_kept_file *f = NULL;
    void *p = NULL;
    bool end = false;
    fm_status st = fm_alloc(1, sizeof *f, &p);

    if (st != FM_OK)
        return st;
    f = p;
    (void)snprintf(name, sizeof name, FM_KEPT_DIR "/%" PRIu64, round);
    if ((st = fm_path_join(dir, name, &f->path)) != FM_OK)
        goto done;
    if (!(f->file = fopen(f->path, "rbe"))) {
        st = fm_fail(errno == ENOENT ? FM_ENOTFOUND : FM_EIO, "%s: cannot be opened: %s", f->path,
                     strerror(errno));
        goto done;
    }
    if (fstat(fileno(f->file), &info) != 0)
        st = fm_fail(FM_EIO, "%s: cannot be read", f->path);
    while (st == FM_OK && !end)
        st = read_place(f, info.st_size, &end);
    if (st == FM_OK) {
        *out = f;
        f = NULL;
    }
done:
    fm_kept_file_close(&f);
    return st;
}

void fm_kept_file_close(fm_kept_file **f)
{
    if (!f || !*f)
        return;
    if ((*f)->file)
        (void)fclose((*f)->file);
    free((*f)->path);
    free(*f);
    *f = NULL;
}

fm_status fm_kept_get(fm_kept_file *f, fm_kept_kind kind, uint32_t index, fm_buf *out)
{
    for (uint32_t i = 0; i < f->count; i++) {
        const place *p = &f->places[i];
        uint8_t *room = NULL;
        fm_status st;

        if (p->kind != kind || p->index != index)
            continue;
        fm_buf_clear(out);
        if ((st = fm_buf_extend(out, p->len, &room)) != FM_OK)
            return st;
        if (fseek(f->file, p->at, SEEK_SET) != 0 || fread(room, 1, p->len, f->file) != p->len)
            return fm_fail(FM_EIO, "%s: cannot be read", f->path);
        return FM_OK;
    }
    return damaged(f, kind == FM_KEPT_UPDATE ? "the update of a survivor is missing"
                                             : "the seeds of a survivor are missing");
}
