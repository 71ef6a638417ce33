/* The owner's key, the directions that it gives, and who got a copy. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <sodium.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/random.h"
#include "fedmoe/base/text.h"
#include "fingerprint_internal.h"

#define HEX (2 * (size_t)FM_FINGERPRINT_KEY_BYTES)
#define NAMES_FILE_MAX ((size_t)32 * 1024 * 1024)
#define BLOCK 64 /* bytes of ChaCha20 */

struct fm_fingerprint_key {
    uint8_t bytes[FM_FINGERPRINT_KEY_BYTES];
};

/* ---- the key's file ---- */

fm_status fm_fingerprint_key_create(const char *path)
{
    uint8_t *key = sodium_malloc(FM_FINGERPRINT_KEY_BYTES);
    char *text = sodium_malloc(HEX + 1);
    fm_status st;

    if (key && text) {
        fm_random_bytes(key, FM_FINGERPRINT_KEY_BYTES);
        sodium_bin2hex(text, HEX + 1, key, FM_FINGERPRINT_KEY_BYTES);
        text[HEX] = '\n';
        st = fm_file_create(path, text, HEX + 1, 0600);
    } else {
        st = fm_fail(FM_ENOMEM, "no guarded memory for a key");
    }
    sodium_free(key);
    sodium_free(text);
    return st;
}

fm_status fm_fingerprint_key_load(const char *path, fm_fingerprint_key **out)
{
    fm_fingerprint_key *k = NULL;
    fm_buf text = { 0 };
    size_t len = 0;
    fm_status st = fm_file_read_private(path, HEX + 2, &text);

    if (st != FM_OK)
        return st;
    if (!(k = sodium_malloc(sizeof *k)))
        st = fm_fail(FM_ENOMEM, "no guarded memory for a key");
    else if (text.len < HEX || text.len > HEX + 1 || (text.len > HEX && text.data[HEX] != '\n') ||
             sodium_hex2bin(k->bytes, sizeof k->bytes, (const char *)text.data, HEX, NULL, &len,
                            NULL) != 0 ||
             len != sizeof k->bytes)
        st = fm_fail(FM_EPARSE,
                     "%s: no key: %zu hexadecimal digits are wanted; 'fedmoe-model fingerprint "
                     "key' makes one",
                     path, HEX);
    fm_buf_fini(&text);
    if (st == FM_OK)
        *out = k;
    else
        fm_fingerprint_key_free(&k);
    return st;
}

void fm_fingerprint_key_free(fm_fingerprint_key **k)
{
    if (!k || !*k)
        return;
    sodium_free(*k);
    *k = NULL;
}

/* ---- directions ---- */

fm_status fm_recipient_check(const char *name)
{
    if (!name || !name[0] || strlen(name) > FM_FINGERPRINT_NAME_MAX || fm_text_has_control(name))
        return fm_fail(FM_EINVAL, "a recipient's name has 1 to %u bytes, no control characters",
                       FM_FINGERPRINT_NAME_MAX);
    return FM_OK;
}

static void add_part(crypto_generichash_state *h, const char *text)
{
    uint8_t length[8];

    fm_put_u64le(length, strlen(text));
    crypto_generichash_update(h, length, sizeof length);
    crypto_generichash_update(h, (const uint8_t *)text, strlen(text));
}

fm_status fm_direction_of(const fm_fingerprint_key *k, const char *recipient, const char *tensor,
                          fm_direction *out)
{
    crypto_generichash_state h;

    if (crypto_generichash_init(&h, k->bytes, sizeof k->bytes, sizeof out->key) != 0)
        return fm_fail(FM_EINTERNAL, "fingerprint: no keyed hash");
    add_part(&h, "fedmoe fingerprint v1");
    add_part(&h, recipient);
    add_part(&h, tensor);
    crypto_generichash_final(&h, out->key, sizeof out->key);
    sodium_memzero(&h, sizeof h);
    return FM_OK;
}

/* ChaCha20 under a key of its own for each recipient and tensor, so that the nonce may be 0. */
void fm_direction_signs(const fm_direction *d, size_t row, size_t rows, size_t columns,
                        uint8_t *out)
{
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = { 0 };
    const size_t bytes = (columns + 7) / 8;
    size_t at = row * bytes, left = rows * bytes;
    uint8_t part[BLOCK];

    while (left > 0) {
        const size_t skip = at % BLOCK;
        size_t n = BLOCK - skip;

        if (skip == 0 && left >= BLOCK) {
            n = left - left % BLOCK;
            memset(out, 0, n);
            crypto_stream_chacha20_xor_ic(out, out, n, nonce, at / BLOCK, d->key);
        } else {
            n = n < left ? n : left;
            memset(part, 0, sizeof part);
            crypto_stream_chacha20_xor_ic(part, part, sizeof part, nonce, at / BLOCK, d->key);
            memcpy(out, part + skip, n);
        }
        out += n;
        at += n;
        left -= n;
    }
    sodium_memzero(part, sizeof part);
}

/* ---- the list ---- */

static fm_status names_path(const char *key_path, char **out)
{
    if (asprintf(out, "%s.recipients", key_path) < 0)
        return fm_fail(FM_ENOMEM, "no memory for a path");
    return FM_OK;
}

void fm_fingerprint_names_fini(fm_fingerprint_names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->names[i]);
    free(n->names);
    *n = (fm_fingerprint_names){ 0 };
}

static fm_status split(const char *path, char *text, fm_fingerprint_names *n)
{
    fm_status st = fm_alloc(FM_FINGERPRINT_NAMES_MAX, sizeof *n->names, (void **)&n->names);

    for (size_t line = 1; st == FM_OK && *text; line++) {
        const size_t len = strcspn(text, "\n");
        const bool more = text[len] == '\n';

        text[len] = '\0';
        if (n->count == FM_FINGERPRINT_NAMES_MAX)
            st = fm_fail(FM_EPARSE, "%s:%zu: more than %zu names", path, line,
                         FM_FINGERPRINT_NAMES_MAX);
        else if (fm_recipient_check(text) != FM_OK)
            st = fm_fail_context(FM_EPARSE, "%s:%zu: ", path, line);
        else if ((st = fm_strdup(text, &n->names[n->count])) == FM_OK)
            n->count++;
        text += len + more;
    }
    return st;
}

fm_status fm_fingerprint_names_load(const char *key_path, fm_fingerprint_names *out)
{
    fm_fingerprint_names n = { 0 };
    fm_buf text = { 0 };
    char *path = NULL;
    fm_status st = names_path(key_path, &path);

    if (st == FM_OK && (st = fm_file_read(path, NAMES_FILE_MAX, &text)) == FM_OK) {
        st = strlen((const char *)text.data) == text.len
                 ? split(path, (char *)text.data, &n)
                 : fm_fail(FM_EPARSE, "%s: holds a zero byte", path);
    } else if (st == FM_ENOTFOUND) {
        fm_error_clear();
        st = FM_OK;
    }
    if (st == FM_OK)
        *out = n;
    else
        fm_fingerprint_names_fini(&n);
    fm_buf_fini(&text);
    free(path);
    return st;
}

/* Two marks at once would each write the other's name away, and that copy would never be found. Closing
 * lets go of it. */
static fm_status lock_key(const char *key_path, int *out)
{
    const int fd = open(key_path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        const fm_status st =
            fm_fail(FM_EIO, "%s: it cannot be locked: %s", key_path, strerror(errno));

        if (fd >= 0)
            (void)close(fd);
        return st;
    }
    *out = fd;
    return FM_OK;
}

fm_status fm_fingerprint_names_add(const char *key_path, const char *recipient)
{
    fm_fingerprint_names n = { 0 };
    fm_buf text = { .limit = NAMES_FILE_MAX };
    bool there = false;
    char *path = NULL;
    int lock = -1;
    fm_status st;

    if ((st = fm_recipient_check(recipient)) != FM_OK ||
        (st = names_path(key_path, &path)) != FM_OK || (st = lock_key(key_path, &lock)) != FM_OK ||
        (st = fm_fingerprint_names_load(key_path, &n)) != FM_OK)
        goto done;
    for (size_t i = 0; st == FM_OK && i < n.count; i++) {
        there = there || strcmp(n.names[i], recipient) == 0;
        st = fm_buf_printf(&text, "%s\n", n.names[i]);
    }
    if (st == FM_OK && !there && (st = fm_buf_printf(&text, "%s\n", recipient)) == FM_OK)
        st = fm_file_replace(path, text.data, text.len, 0600);
done:
    if (lock >= 0)
        (void)close(lock);
    fm_buf_fini(&text);
    fm_fingerprint_names_fini(&n);
    free(path);
    return st;
}
