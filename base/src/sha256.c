/* The figure that sha256sum prints, of a file of any length. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "fedmoe/base/hash.h"

#define BLOCK 65536u

_Static_assert(crypto_hash_sha256_BYTES == FM_HASH_BYTES, "SHA-256 has as many bytes as fm_hash");

static fm_status add_all(int fd, const char *path, crypto_hash_sha256_state *s, uint64_t *total)
{
    unsigned char block[BLOCK];
    ssize_t n;

    for (;;) {
        n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fm_fail(FM_EIO, "%s: cannot read: %s", path, strerror(errno));
        if (n == 0)
            return FM_OK;
        (void)crypto_hash_sha256_update(s, block, (unsigned long long)n);
        *total += (uint64_t)n;
    }
}

fm_status fm_hash_file_sha256(const char *path, char out[2 * FM_HASH_BYTES + 1], uint64_t *bytes)
{
    crypto_hash_sha256_state state;
    struct stat info;
    uint64_t total = 0;
    fm_hash digest;
    fm_status st;
    int fd;

    if (!path || !out)
        return fm_fail(FM_EINVAL, "fm_hash_file_sha256: NULL argument");
    /* Not to wait for the other end of a pipe. */
    if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
        return fm_fail(errno == ENOENT ? FM_ENOTFOUND : FM_EIO, "%s: cannot open: %s", path,
                       strerror(errno));
    (void)crypto_hash_sha256_init(&state);
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        st = fm_fail(FM_EIO, "%s is not a regular file", path);
    else
        st = add_all(fd, path, &state, &total);
    (void)close(fd);
    if (st != FM_OK)
        return st;
    (void)crypto_hash_sha256_final(&state, digest.bytes);
    fm_hash_hex(&digest, out);
    if (bytes)
        *bytes = total;
    return FM_OK;
}
