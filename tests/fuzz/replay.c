/*
 * A libFuzzer target without libFuzzer: each file of a folder as it is, then mutations of it from a
 * fixed seed, so that every build tries the same inputs.
 */
#include <dirent.h>
#include <stdbool.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/base/log.h"
#include "fedmoe/base/random.h"
#include "fuzz.h"

#define INPUT_MAX ((size_t)1 << 20)
#ifndef MUTATIONS
#define MUTATIONS 20000 /* over all files together */
#endif
#define SEED 20261124

/* In a block of exactly its length, so that a sanitizer sees every step beyond. */
static void run_one(const uint8_t *data, size_t len)
{
    uint8_t *exact = malloc(len ? len : 1);

    FUZZ_REQUIRE(exact);
    if (len)
        memcpy(exact, data, len);
    (void)LLVMFuzzerTestOneInput(exact, len);
    free(exact);
}

static size_t below(fm_rng *r, size_t n)
{
    return (size_t)fm_rng_below(r, n ? n : 1);
}

/* One small change; `d` has room for len + 8. Returns the new length. */
static size_t change(fm_rng *r, uint8_t *d, size_t len)
{
    static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff };
    size_t at = below(r, len), n = below(r, len - at) + 1;

    switch (below(r, len ? 7 : 1)) {
    case 0: /* a byte more */
        memmove(d + at + 1, d + at, len - at);
        d[at] = (uint8_t)below(r, 256);
        return len + 1;
    case 1: /* a bit */
        d[at] ^= (uint8_t)(1u << below(r, 8));
        return len;
    case 2: /* a byte */
        d[at] = (uint8_t)below(r, 256);
        return len;
    case 3: /* a byte at an edge of its range */
        d[at] = odd[below(r, sizeof odd)];
        return len;
    case 4: /* a cut */
        return at;
    case 5: /* a hole */
        memmove(d + at, d + at + n, len - at - n);
        return len - n;
    default: /* a part over another */
        memmove(d + below(r, len - n + 1), d + at, n);
        return len;
    }
}

static void mutate(fm_rng *r, const fm_buf *file, size_t times)
{
    uint8_t *d = malloc(file->len + 8);

    FUZZ_REQUIRE(d);
    for (size_t i = 0; i < times; i++) {
        size_t len = file->len;

        if (len)
            memcpy(d, file->data, len);
        for (size_t k = below(r, 4) + 1; k > 0; k--)
            len = change(r, d, len);
        run_one(d, len);
    }
    free(d);
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static bool replay_file(fm_rng *r, const char *folder, const char *name, size_t mutations)
{
    char *path = NULL;
    fm_buf file;
    bool read =
        fm_path_join(folder, name, &path) == FM_OK && fm_file_read(path, INPUT_MAX, &file) == FM_OK;

    free(path);
    if (!read)
        return false;
    run_one(file.data, file.len);
    mutate(r, &file, mutations);
    fm_buf_fini(&file);
    return true;
}

/* A target without a corpus: bytes from nowhere. */
static void replay_random(fm_rng *r)
{
    uint8_t bytes[1024];

    for (size_t i = 0; i < MUTATIONS; i++) {
        r->fill(r->state, bytes, sizeof bytes);
        run_one(bytes, below(r, sizeof bytes));
    }
}

int main(int argc, char **argv)
{
    fm_rng_seed state;
    fm_rng r;
    struct dirent **names = NULL;
    int n;

    fm_log_set_level(FM_LOG_ERROR);
    if (argc != 2 || fm_random_init() != FM_OK) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    r = fm_rng_seeded(&state, SEED);
    run_one((const uint8_t *)"", 0);
    n = scandir(argv[1], &names, visible, alphasort);
    for (int i = 0; i < n; i++) {
        if (!replay_file(&r, argv[1], names[i]->d_name, MUTATIONS / (size_t)n + 1)) {
            fprintf(stderr, "%s\n", fm_error_text());
            return 1;
        }
        free(names[i]);
    }
    free(names);
    if (n <= 0)
        replay_random(&r);
    printf("%d files and %d mutations, seed %d\n", n > 0 ? n : 0, MUTATIONS, SEED);
    return 0;
}
