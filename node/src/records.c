#include "records.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fedmoe/base/file.h"
#include "fedmoe/model/packed.h"
#include "fedmoe/source/database.h"

#define CONNECTION_MOST ((size_t)65536)

static fm_status open_odbc(const fm_node_config *c, const fm_database_format *f, fm_database **out)
{
    const char *name = fm_node_config_records_name(c), *text = c->database.odbc;
    fm_buf file = { 0 };
    fm_status st = FM_OK;

    if (!text && (st = fm_file_read_private(c->database.connection_file, CONNECTION_MOST, &file))) {
        if (st == FM_ENOTFOUND) /* it is not the records that are missing */
            st = fm_fail(FM_EIO,
                         "%s is not there, which is to hold the connection's text; see "
                         "connection_file under data.records in node.yaml",
                         c->database.connection_file);
        goto done;
    }
    if (!text) {
        while (file.len && strchr("\r\n", file.data[file.len - 1]))
            file.data[--file.len] = '\0';
        text = file.data ? (const char *)file.data : "";
    }
    st = fm_database_odbc(name, text, c->database.query, f, out);
done:
    fm_buf_fini(&file);
    return st;
}

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

static const char *scratch_of(const fm_node_config *c)
{
    return c->scratch ? c->scratch : c->dir;
}

static fm_status open_database(const fm_node_config *c, const fm_database_format *f,
                               const fm_table_options *o, fm_database **out)
{
    static const fm_database_files files = { open_packed, read_packed, close_packed };
    const fm_fhir_options fhir = { &files, scratch_of(c), c->database.shifted_dates, o->hide_values,
                                   o->problems };

    if (c->database.fhir)
        return fm_database_fhir(c->database.fhir, &fhir, c->database.query, f, out);
    return c->database.sqlite ? fm_database_sqlite(c->database.sqlite, c->database.query, f, out)
                              : open_odbc(c, f, out);
}

fm_status fm_node_records_load(const fm_node_config *c, const fm_schema *s,
                               const fm_table_options *options, fm_table *out)
{
    fm_table_options bounded = *options, *o = &bounded;
    const fm_schema_csv csv = fm_schema_csv_of(s);
    const fm_database_format format = { csv.header, csv.delimiter, csv.missing, c->query_s };
    fm_table_input in = { fm_node_config_records_name(c), fm_database_read, NULL };
    fm_database *d = NULL;
    fm_status st;

    o->memory = c->memory;
    o->dialect = c->has_dialect ? &c->dialect : NULL;
    o->scratch = scratch_of(c);
    if ((st = fm_node_config_one_file(c)))
        return st;
    if (!c->database.query)
        return fm_table_load(c->records, s, o, out);
    if ((st = open_database(c, &format, o, &d)))
        return st;
    in.ctx = d;
    st = fm_table_read(&in, s, o, out);
    fm_database_free(&d);
    return st;
}

fm_status fm_node_records_find(const fm_node_config *c)
{
    const fm_database_format format = { true, ',', "", c->query_s };
    fm_database *d = NULL;
    struct stat info;
    fm_status st;

    const char *path = c->database.query ? c->database.fhir : c->records;

    if (path)
        /* What else is wrong with it shows when it is opened. */
        return stat(path, &info) == 0 || errno == ELOOP
                   ? FM_OK
                   : fm_fail(FM_ENOTFOUND, "%s is not there", path);
    st = open_database(c, &format, &(fm_table_options){ 0 }, &d);
    fm_database_free(&d);
    return st;
}
