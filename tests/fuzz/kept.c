/* A file of kept updates (aggregator/src/kept.c): refused, or records within it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fedmoe/base/file.h"
#include "fuzz.h"
#include "kept_internal.h"

static char g_dir[] = "/tmp/fuzz-kept-XXXXXX", g_updates[64], g_file[96];

static void forget(void)
{
    (void)remove(g_file);
    (void)remove(g_updates);
    (void)remove(g_dir);
}

static void make_folder(void)
{
    FUZZ_REQUIRE(mkdtemp(g_dir));
    (void)snprintf(g_updates, sizeof g_updates, "%s/" FM_KEPT_DIR, g_dir);
    (void)snprintf(g_file, sizeof g_file, "%s/7", g_updates);
    FUZZ_REQUIRE(fm_dir_make(g_updates, 0700) == FM_OK);
    (void)atexit(forget);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fm_kept_file *kept = NULL;
    fm_buf out;
    FILE *f;

    if (!g_file[0])
        make_folder();
    FUZZ_REQUIRE((f = fopen(g_file, "wb")) != NULL);
    FUZZ_REQUIRE(fwrite(data, 1, len, f) == len && fclose(f) == 0);
    if (fm_kept_read(g_dir, 7, &kept) != FM_OK)
        return 0;
    fm_buf_init(&out, FM_MAX_MESSAGE_BYTES);
    for (uint32_t i = 0; i < 8; i++)
        for (fm_kept_kind kind = FM_KEPT_UPDATE; kind <= FM_KEPT_SEEDS; kind++)
            if (fm_kept_get(kept, kind, i, &out) == FM_OK) {
                /* Its bytes stand in the file, behind its head. */
                FUZZ_REQUIRE(out.len + 13 <= len);
                FUZZ_REQUIRE(out.len == 0 || memmem(data, len, out.data, out.len));
            }
    fm_buf_fini(&out);
    fm_kept_file_close(&kept);
    return 0;
}
