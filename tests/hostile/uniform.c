/*
 * hostile-uniform FILE...: whether the masked updates that an aggregator has collected look like
 * uniform words, by 32 bits whatever the width of the plan's: each file's tests on all of them together, and every two neighbours' correlation.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../dp/stats.h"
#include "../dp/uniform.h"
#include "fedmoe/base/file.h"
#include "fedmoe/base/memory.h"

#define MOST_BYTES ((size_t)1 << 26)

static bool add_file(const char *path, fm_buf *all, size_t *words)
{
    fm_buf one = { 0 };
    bool ok = fm_file_read(path, MOST_BYTES, &one) == FM_OK &&
              fm_buf_append(all, one.data, one.len - one.len % sizeof(uint32_t)) == FM_OK;

    *words = one.len / sizeof(uint32_t);
    fm_buf_fini(&one);
    return ok;
}

/* Updates of other nodes and other rounds, coordinate by coordinate. */
static bool neighbours_are_strangers(const uint32_t *w, size_t each, size_t files)
{
    for (size_t i = 0; i + 1 < files; i++)
        if (fabs(fm_uniform_correlation(w + i * each, w + (i + 1) * each, each)) > FM_STATS_Z)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    fm_buf all = { .limit = MOST_BYTES };
    const char *why = NULL;
    size_t each = 0, total;
    uint32_t *w;

    for (int i = 1; i < argc; i++)
        if (!add_file(argv[i], &all, &each)) {
            fprintf(stderr, "hostile-uniform: %s\n", fm_error_text());
            return 2;
        }
    total = all.len / sizeof *w;
    if (total < FM_UNIFORM_MIN_WORDS || total != each * (size_t)(argc - 1) ||
        !(w = malloc(all.len))) {
        fprintf(stderr, "hostile-uniform: %zu words are too few, or not alike\n", total);
        return 2;
    }
    memcpy(w, all.data, all.len);
    if (fm_uniform_words(w, total, &why) && !neighbours_are_strangers(w, each, (size_t)argc - 1))
        why = "the correlation of two updates";
    printf("%d updates of %zu words: %s%s\n", argc - 1, each, why ? "not uniform by " : "uniform",
           why ? why : "");
    fm_buf_fini(&all);
    free(w);
    return why ? 1 : 0;
}
