#include "fedmoe/demo/hospitals.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"

#define MAX_FILE_BYTES ((size_t)16 * 1024 * 1024)
#define PI 3.14159265358979323846

/* SplitMix64: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators". */
uint64_t fm_demo_random_next(fm_demo_random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double fm_demo_random_unit(fm_demo_random *r)
{
    return (double)(fm_demo_random_next(r) >> 11) * 0x1p-53;
}

double fm_demo_random_normal(fm_demo_random *r)
{
    double u = 1.0 - fm_demo_random_unit(r);
    double v = fm_demo_random_unit(r);

    return sqrt(-2.0 * log(u)) * cos(2.0 * PI * v);
}

typedef struct {
    const char *at;
    size_t len;
} line;

/* The non-empty lines of a text; *out owned by the caller. */
static fm_status find_lines(const char *text, size_t len, line **out, size_t *count)
{
    line *lines = NULL;
    size_t n = 0, room = 1;
    fm_status st;

    for (size_t i = 0; i < len; i++)
        room += text[i] == '\n';
    if ((st = fm_alloc(room, sizeof *lines, (void **)&lines)) != FM_OK)
        return st;
    for (size_t start = 0; start < len;) {
        const char *end = memchr(text + start, '\n', len - start);
        size_t stop = end ? (size_t)(end - text) : len, cut = stop;

        if (cut > start && text[cut - 1] == '\r')
            cut--;
        if (cut > start)
            lines[n++] = (line){ text + start, cut - start };
        start = stop + 1;
    }
    *out = lines;
    *count = n;
    return FM_OK;
}

static fm_status append_line(fm_buf *b, const line *l)
{
    fm_status st = fm_buf_append(b, l->at, l->len);

    return st == FM_OK ? fm_buf_append(b, "\n", 1) : st;
}

fm_status fm_demo_split(const void *text, size_t len, uint64_t seed, fm_demo_hospital *out)
{
    fm_demo_random r = { seed * 2 + 1 };
    line *lines = NULL;
    size_t n = 0, train;
    fm_status st = find_lines(text, len, &lines, &n);

    if (st != FM_OK)
        return st;
    for (size_t i = n; i > 1; i--) { /* Fisher and Yates */
        size_t j = (size_t)(fm_demo_random_unit(&r) * (double)i);
        line swap = lines[i - 1];

        lines[i - 1] = lines[j];
        lines[j] = swap;
    }
    train = (2 * n + 1) / 3;
    for (size_t i = 0; st == FM_OK && i < n; i++)
        st = append_line(i < train ? &out->train : &out->test, &lines[i]);
    out->train_records = train;
    out->test_records = n - train;
    free(lines);
    return st;
}

fm_status fm_demo_hospitals_load(const char *dir, uint64_t seed,
                                 fm_demo_hospital out[FM_DEMO_HOSPITALS])
{
    static const char *const names[FM_DEMO_HOSPITALS] = { "cleveland", "hungarian", "switzerland",
                                                          "va" };
    fm_status st = FM_OK;

    memset(out, 0, FM_DEMO_HOSPITALS * sizeof *out);
    for (size_t i = 0; st == FM_OK && i < FM_DEMO_HOSPITALS; i++) {
        char file[64];
        char *path = NULL;
        fm_buf text = { 0 };

        snprintf(out[i].name, sizeof out[i].name, "%s", names[i]);
        snprintf(file, sizeof file, "processed.%s.data", names[i]);
        if ((st = fm_path_join(dir, file, &path)) == FM_OK &&
            (st = fm_file_read(path, MAX_FILE_BYTES, &text)) == FM_OK)
            st = fm_demo_split(text.data, text.len, seed * FM_DEMO_HOSPITALS + i, &out[i]);
        else if (st == FM_ENOTFOUND)
            st = fm_fail(st,
                         "%s is not there; the four files processed.*.data are in the UCI Machine "
                         "Learning Repository, data set 45 (Heart Disease)",
                         path);
        fm_buf_fini(&text);
        free(path);
    }
    if (st != FM_OK)
        fm_demo_hospitals_fini(out);
    return st;
}

void fm_demo_hospitals_fini(fm_demo_hospital h[FM_DEMO_HOSPITALS])
{
    for (size_t i = 0; i < FM_DEMO_HOSPITALS; i++) {
        fm_buf_fini(&h[i].train);
        fm_buf_fini(&h[i].test);
    }
}
