/* An opened container is refused as a parsed one is, and its ranges are the same bytes. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fedmoe/base/safetensors.h"
#include "fuzz.h"

static void check_ranges(const fm_safetensors *opened, const fm_safetensors *parsed)
{
    for (size_t i = 0; i < fm_safetensors_count(opened); i++) {
        const fm_tensor_view *o = fm_safetensors_at(opened, i), *p = fm_safetensors_at(parsed, i);
        const size_t half = o->bytes / 2;
        uint8_t *bytes = malloc(o->bytes + 1);

        FUZZ_REQUIRE(bytes && strcmp(o->name, p->name) == 0 && o->bytes == p->bytes && !o->data);
        FUZZ_REQUIRE(fm_safetensors_read(opened, o, half, o->bytes - half, bytes) == FM_OK);
        FUZZ_REQUIRE(o->bytes == half || memcmp(bytes, p->data + half, o->bytes - half) == 0);
        FUZZ_REQUIRE(fm_safetensors_read(opened, o, half, o->bytes - half + 1, bytes) == FM_EINVAL);
        free(bytes);
    }
}

static void check_head(const fm_safetensors *opened, const uint8_t *data, size_t len)
{
    fm_buf head = { 0 };

    FUZZ_REQUIRE(fm_safetensors_read_head(opened, &head) == FM_OK);
    FUZZ_REQUIRE(head.len <= len && memcmp(head.data, data, head.len) == 0);
    FUZZ_REQUIRE(fm_safetensors_bytes(opened) == len);
    fm_buf_fini(&head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    fm_safetensors *opened = NULL, *parsed = NULL;
    char path[64];
    fm_status st;

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    FUZZ_REQUIRE(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    st = fm_safetensors_open(path, &opened);
    FUZZ_REQUIRE(st == fm_safetensors_parse("fuzz", data, len, &parsed));
    FUZZ_REQUIRE((st == FM_OK) == (opened != NULL));
    if (st == FM_OK) {
        check_ranges(opened, parsed);
        check_head(opened, data, len);
    }
    fm_safetensors_free(&opened);
    fm_safetensors_free(&parsed);
    (void)close(fd);
    return 0;
}
