#include "records.h"

#include <string.h>
#include <sys/stat.h>

#include "fedmoe/base/file.h"
#include "fedmoe/source/database.h"

#define CONNECTION_MOST ((size_t)65536)

static fm_status open_odbc(const fm_node_config *c, const fm_database_format *f, fm_database **out)
{
    const char *name = fm_node_config_records_name(c), *text = c->database.odbc;
    fm_buf file = { 0 };
    fm_status st = FM_OK;

    if (!text && (st = fm_file_read_private(c->database.connection_file, CONNECTION_MOST, &file)))
        goto done;
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

static fm_status open_database(const fm_node_config *c, const fm_database_format *f,
                               fm_database **out)
{
    return c->database.sqlite ? fm_database_sqlite(c->database.sqlite, c->database.query, f, out)
                              : open_odbc(c, f, out);
}

fm_status fm_node_records_load(const fm_node_config *c, const fm_schema *s,
                               const fm_table_options *options, fm_table *out)
{
    fm_table_options bounded = *options, *o = &bounded;
    const fm_schema_csv csv = fm_schema_csv_of(s);
    const fm_database_format format = { csv.header, csv.delimiter, csv.missing };
    fm_table_input in = { fm_node_config_records_name(c), fm_database_read, NULL };
    fm_database *d = NULL;
    fm_status st;

    o->memory = c->memory;
    o->scratch = c->scratch ? c->scratch : c->dir;
    if ((st = fm_node_config_one_file(c)))
        return st;
    if (!c->database.query)
        return fm_table_load(c->records, s, o, out);
    if ((st = open_database(c, &format, &d)))
        return st;
    in.ctx = d;
    st = fm_table_read(&in, s, o, out);
    fm_database_free(&d);
    return st;
}

fm_status fm_node_records_find(const fm_node_config *c)
{
    const fm_database_format format = { true, ',', "" };
    fm_database *d = NULL;
    struct stat info;
    fm_status st;

    if (!c->database.query)
        return stat(c->records, &info) == 0 ? FM_OK
                                            : fm_fail(FM_ENOTFOUND, "%s is not there", c->records);
    st = open_database(c, &format, &d);
    fm_database_free(&d);
    return st;
}
