/* A packed file: whatever its bytes, it is read to an end or refused, the same for any room. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fedmoe/model/packed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST ((size_t)1 << 22) /* a bomb is long enough here */

static int file_of(const uint8_t *data, size_t size)
{
    const int fd = memfd_create("packed", MFD_CLOEXEC);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0)
        abort();
    return fd;
}

/* @return bytes in all, and in *sum what they are. */
static size_t read_all(const uint8_t *data, size_t size, size_t room, uint64_t *sum, fm_status *st)
{
    static uint8_t to[4096];
    const int fd = file_of(data, size);
    fm_packed *p = NULL;
    size_t all = 0, n = 0;

    *sum = 0;
    if (fm_packed_new("fuzz", fd, &p))
        abort();
    do {
        *st = fm_packed_read(p, to, room, &n);
        for (size_t i = 0; !*st && i < n; i++)
            *sum = *sum * 31 + to[i];
        all += *st ? 0 : n;
    } while (!*st && n > 0 && all < MOST);
    fm_packed_free(&p);
    (void)close(fd);
    return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fm_status wide, narrow;
    uint64_t a, b;
    const size_t n = read_all(data, size, 4096, &a, &wide);

    if (n >= MOST || wide)
        return 0;
    if (read_all(data, size, 7, &b, &narrow) != n || narrow || a != b)
        abort();
    return 0;
}
