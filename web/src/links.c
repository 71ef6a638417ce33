/*
 * The file of links, one line each: hash, role, end (seconds since 1970), name. A token itself is
 * nowhere but with its holder. A file beside it (.lock) is held while one process reads and writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "fedmoe/base/clock.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "web_internal.h"

#define LINKS_MAX 64
#define FILE_MAX ((size_t)32 * 1024)
#define TOKEN_LABEL "fedmoe web token"

typedef struct {
    char hash[2 * FM_HASH_BYTES + 1];
    unsigned role;
    int64_t ends_s;
    char name[FM_WEB_NAME_MAX + 1];
} link_line;

typedef struct {
    link_line lines[LINKS_MAX];
    size_t count;
} link_list;

bool web_is_token(const char *s)
{
    return strlen(s) == FM_WEB_TOKEN_SIZE - 1 &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
               FM_WEB_TOKEN_SIZE - 1;
}

void web_token_new(char token[FM_WEB_TOKEN_SIZE])
{
    uint8_t secret[32];

    fm_random_bytes(secret, sizeof secret);
    (void)sodium_bin2base64(token, FM_WEB_TOKEN_SIZE, secret, sizeof secret,
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(secret, sizeof secret);
}

fm_hash web_token_hash(const char *token)
{
    return fm_hash_of(TOKEN_LABEL, token, strlen(token));
}

static bool is_name(const char *s)
{
    return *s != '\0' && strlen(s) <= FM_WEB_NAME_MAX &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s);
}

static bool is_role(unsigned role)
{
    return role == FM_WEB_MEMBER || role == FM_WEB_COORDINATOR || role == FM_WEB_SCRAPER;
}

/* A line that is none is passed over: then the link is not there. Those that are over, too. */
static void parse(char *text, link_list *out)
{
    const int64_t now_s = fm_clock_wall_s();
    char *rest = NULL;

    out->count = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        link_line *l = &out->lines[out->count];

        if (out->count < LINKS_MAX &&
            sscanf(line, "%64[0-9a-f] %u %" SCNd64 " %64s", l->hash, &l->role, &l->ends_s,
                   l->name) == 4 &&
            strlen(l->hash) == 2 * FM_HASH_BYTES && is_role(l->role) && is_name(l->name) &&
            l->ends_s > now_s)
            out->count++;
    }
}

static fm_status read_list(const char *path, link_list *out)
{
    fm_buf b = { 0 };
    fm_status st = fm_file_read_private(path, FILE_MAX, &b);

    out->count = 0;
    if (st == FM_ENOTFOUND) {
        fm_error_clear();
        return FM_OK;
    }
    if (st == FM_OK)
        parse((char *)b.data, out);
    fm_buf_fini(&b);
    return st;
}

static fm_status write_list(const char *path, const link_list *list)
{
    fm_buf b = { 0 };
    fm_status st = FM_OK;

    for (size_t i = 0; st == FM_OK && i < list->count; i++) {
        const link_line *l = &list->lines[i];

        st = fm_buf_printf(&b, "%s %u %" PRId64 " %s\n", l->hash, l->role, l->ends_s, l->name);
    }
    if (st == FM_OK)
        st = fm_file_replace(path, b.data ? b.data : (const uint8_t *)"", b.len, 0600);
    fm_buf_fini(&b);
    return st;
}

static fm_status hold(const char *path, int *fd)
{
    const struct timespec pause = { 0, 10 * 1000000L };
    char *lock = NULL;
    int got = -1;

    if (asprintf(&lock, "%s.lock", path) < 0)
        return fm_fail(FM_ENOMEM, "no memory for the name of a lock");
    got = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (got < 0) {
        fm_status st = fm_fail(FM_EIO, "%s: cannot be opened: %s", lock, strerror(errno));

        free(lock);
        return st;
    }
    for (int i = 0; i < 50; i++) {
        if (flock(got, LOCK_EX | LOCK_NB) == 0) {
            free(lock);
            *fd = got;
            return FM_OK;
        }
        (void)nanosleep(&pause, NULL);
    }
    (void)close(got);
    free(lock);
    return fm_fail(FM_ETIMEOUT, "%s: another process is at work in it; try again", path);
}

static size_t find(const link_list *list, const char *token, bool bearer)
{
    char hex[2 * FM_HASH_BYTES + 1];
    const fm_hash hash = web_token_hash(token);
    size_t found = list->count;

    fm_hash_hex(&hash, hex);
    for (size_t i = 0; i < list->count; i++)
        if (sodium_memcmp(list->lines[i].hash, hex, sizeof hex) == 0 &&
            (list->lines[i].role == FM_WEB_SCRAPER) == bearer)
            found = i;
    return found;
}

fm_status web_link_spend(const char *path, const char *token, fm_web_role *role,
                         char name[FM_WEB_NAME_MAX + 1])
{
    link_list list;
    fm_status st;
    int fd = -1;
    size_t at;

    if (!web_is_token(token))
        return fm_fail(FM_EAUTH, "no link");
    if ((st = hold(path, &fd)) != FM_OK)
        return st;
    if ((st = read_list(path, &list)) == FM_OK) {
        if ((at = find(&list, token, false)) == list.count) {
            st = fm_fail(FM_EAUTH, "no link, or it was used, or its time is over");
        } else {
            const link_line l = list.lines[at];

            list.lines[at] = list.lines[--list.count];
            /* Nothing is opened before it is certain that it opens no second time. */
            if ((st = write_list(path, &list)) == FM_OK) {
                *role = (fm_web_role)l.role;
                memcpy(name, l.name, sizeof l.name);
            }
        }
    }
    (void)close(fd);
    return st;
}

bool web_link_stands(const char *path, const char *token)
{
    link_list list;

    return web_is_token(token) && read_list(path, &list) == FM_OK &&
           find(&list, token, false) < list.count;
}

bool web_bearer_is(const char *path, const char *token, char name[FM_WEB_NAME_MAX + 1])
{
    link_list list;
    size_t at;

    if (!web_is_token(token) || read_list(path, &list) != FM_OK ||
        (at = find(&list, token, true)) == list.count)
        return false;
    memcpy(name, list.lines[at].name, sizeof list.lines[at].name);
    return true;
}

/* One bearer token of a name: the next ends the one before. */
static void forget_bearer(link_list *list, const char *name)
{
    for (size_t i = 0; i < list->count;)
        if (list->lines[i].role == FM_WEB_SCRAPER && strcmp(list->lines[i].name, name) == 0)
            list->lines[i] = list->lines[--list->count];
        else
            i++;
}

static fm_status add(link_list *list, fm_web_role role, const char *name, uint32_t seconds,
                     const char *token)
{
    const fm_hash hash = web_token_hash(token);
    link_line *l;

    if (role == FM_WEB_SCRAPER)
        forget_bearer(list, name);
    if (list->count == LINKS_MAX)
        return fm_fail(FM_ENOMEM, "%d links are open already; wait until one is used or over",
                       LINKS_MAX);
    l = &list->lines[list->count++];
    fm_hash_hex(&hash, l->hash);
    l->role = role;
    l->ends_s = fm_clock_wall_s() + (int64_t)seconds;
    (void)snprintf(l->name, sizeof l->name, "%s", name);
    return FM_OK;
}

fm_status fm_web_link_new(const char *links_path, fm_web_role role, const char *name,
                          uint32_t seconds, char token[FM_WEB_TOKEN_SIZE])
{
    link_list list;
    fm_status st;
    int fd = -1;

    if (!name || *name == '\0')
        name = role == FM_WEB_SCRAPER ? "scraper" : "coordinator";
    if (!links_path || !token || seconds == 0 || !is_role(role))
        return fm_fail(FM_EINVAL, "a link needs a file, a role and a time");
    if (!is_name(name))
        return fm_fail(FM_EINVAL, "'%.70s' is no name: lower-case letters, digits, '-'", name);
    if ((st = hold(links_path, &fd)) != FM_OK)
        return st;
    web_token_new(token);
    if ((st = read_list(links_path, &list)) == FM_OK &&
        (st = add(&list, role, name, seconds, token)) == FM_OK)
        st = write_list(links_path, &list);
    (void)close(fd);
    if (st != FM_OK)
        sodium_memzero(token, FM_WEB_TOKEN_SIZE);
    return st;
}
