/* e2e-fhir FOLDER QUERY.sql: the query's rows as CSV, as a node reads them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fedmoe/base/file.h"
#include "fedmoe/model/packed.h"
#include "fedmoe/source/database.h"

static fm_status open_packed(const char *path, void **out)
{
    fm_packed *p = NULL;
    const fm_status st = fm_packed_open(path, &p);

    if (st == FM_OK)
        *out = p;
    return st;
}

static fm_status read_packed(void *file, void *to, size_t room, size_t *n)
{
    return fm_packed_read(file, to, room, n);
}

static void close_packed(void *file)
{
    fm_packed *p = file;

    fm_packed_free(&p);
}

int main(int argc, char **argv)
{
    const fm_database_files files = { open_packed, read_packed, close_packed };
    const fm_fhir_options options = { .files = &files };
    const fm_database_format f = { true, ',', "", 0 };
    fm_database *d = NULL;
    fm_buf query = { 0 };
    char piece[4096];
    size_t n = 1;
    fm_status st;

    if (argc != 3)
        return 2;
    if ((st = fm_file_read(argv[2], sizeof piece * 16, &query)) == FM_OK)
        st = fm_database_fhir(argv[1], &options, (const char *)query.data, &f, &d);
    while (st == FM_OK && n > 0 && (st = fm_database_read(d, piece, sizeof piece, &n)) == FM_OK)
        (void)fwrite(piece, 1, n, stdout);
    if (st != FM_OK)
        fprintf(stderr, "%s\n", fm_error_text());
    fm_database_free(&d);
    fm_buf_fini(&query);
    return st == FM_OK && fflush(stdout) == 0 ? 0 : 1;
}
