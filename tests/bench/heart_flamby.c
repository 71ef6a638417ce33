/* FLamby's Fed-Heart-Disease split (owkin/FLamby, MIT): which rows of which file train and test. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "heart.h"

static const char *const names[HOSPITALS] = { "cleveland", "hungarian", "switzerland", "va" };

/* The row0-th line (from 0) of a text. */
static const char *nth_line(const fm_buf *text, unsigned long n, size_t *len)
{
    const char *at = (const char *)text->data, *end = at + text->len;

    while (n-- > 0 && at < end) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        at = next ? next + 1 : end;
    }
    *len = at < end ? strcspn(at, "\r\n") : 0;
    return at;
}

static fm_status add_row(fm_demo_hospital *h, const fm_buf *file, unsigned long row, bool train)
{
    size_t len = 0;
    const char *at = nth_line(file, row, &len);
    fm_buf *to = train ? &h->train : &h->test;
    fm_status st;

    if (len == 0)
        return fm_fail(FM_EPROTO, "%s: no row %lu", h->name, row);
    *(train ? &h->train_records : &h->test_records) += 1;
    st = fm_buf_append(to, at, len);
    return st == FM_OK ? fm_buf_append(to, "\n", 1) : st;
}

static fm_status take_split(const fm_buf *split, const fm_buf files[HOSPITALS],
                            fm_demo_hospital out[HOSPITALS])
{
    fm_status st = FM_OK;
    char *line, *rest = (char *)split->data;

    while (st == FM_OK && (line = strsep(&rest, "\n"))) {
        char name[16], set[8];
        unsigned long row;

        if (sscanf(line, "%15[a-z],%lu,%7[a-z]", name, &row, set) != 3)
            continue; /* the header, and the end */
        for (size_t i = 0; i < HOSPITALS; i++)
            if (strcmp(name, names[i]) == 0)
                st = add_row(&out[i], &files[i], row, strcmp(set, "train") == 0);
    }
    return st;
}

/* The schema's text with three columns ignored, as FLamby leaves them out. */
static fm_status without_columns(char **out)
{
    static const char *const dropped[] = { "slope", "ca", "thal" };
    const char *at = fm_demo_schema_text, *next;
    fm_buf b = { 0 };
    fm_status st = FM_OK;

    for (; st == FM_OK && *at; at = next) {
        bool drop = false;

        next = strstr(at + 1, "  - name: ");
        next = next ? next : at + strlen(at);
        for (size_t i = 0; i < 3; i++) {
            char head[32];

            snprintf(head, sizeof head, "  - name: %s\n", dropped[i]);
            if (strncmp(at, head, strlen(head)) == 0) {
                drop = true;
                st = fm_buf_printf(&b, "%s    kind: ignore\n", head);
            }
        }
        if (!drop)
            st = fm_buf_append(&b, at, (size_t)(next - at));
    }
    if (st == FM_OK)
        st = fm_strdup((const char *)b.data, out);
    fm_buf_fini(&b);
    return st;
}

fm_status heart_flamby_load(const char *data, const char *split_path,
                            fm_demo_hospital out[HOSPITALS], char **schema)
{
    fm_buf files[HOSPITALS] = { 0 }, split = { 0 };
    fm_status st = fm_file_read(split_path, (size_t)1 << 20, &split);

    memset(out, 0, HOSPITALS * sizeof *out);
    for (size_t i = 0; st == FM_OK && i < HOSPITALS; i++) {
        char path[4096];

        snprintf(out[i].name, sizeof out[i].name, "%s", names[i]);
        snprintf(path, sizeof path, "%s/processed.%s.data", data, names[i]);
        st = fm_file_read(path, (size_t)1 << 20, &files[i]);
    }
    if (st == FM_OK)
        st = take_split(&split, files, out);
    if (st == FM_OK)
        st = without_columns(schema);
    for (size_t i = 0; i < HOSPITALS; i++)
        fm_buf_fini(&files[i]);
    fm_buf_fini(&split);
    return st;
}
