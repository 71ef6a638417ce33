/* Any database that has an ODBC driver. Source: ODBC 3.8, Programmer's Reference. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>
#include <sql.h>
#include <sqlext.h>

#include "database_internal.h"
#include "fedmoe/base/library.h"

#define PIECE 16384     /* bytes of a value at a time */
#define NAME_MOST 256   /* of a column */
#define LOGIN_S 30      /* to wait for the server */
#define SAID_MOST 512   /* of what a driver says */
#define BATCH_ROWS 4096 /* from PostgreSQL's cursor */

/* unixODBC, loaded with the first query: the functions are called as odbc.SQLFetch(...). */
#define ODBC_FUNCTIONS(X) \
    X(SQLAllocHandle)     \
    X(SQLDescribeCol)     \
    X(SQLDisconnect)      \
    X(SQLDriverConnect)   \
    X(SQLExecDirect)      \
    X(SQLFetch)           \
    X(SQLFreeHandle)      \
    X(SQLGetData)         \
    X(SQLGetDiagRec)      \
    X(SQLGetInfo)         \
    X(SQLNumResultCols)   \
    X(SQLSetConnectAttr)  \
    X(SQLSetEnvAttr)      \
    X(SQLSetStmtAttr)

static struct {
#define ODBC_POINTER(name) __typeof__(name) *name;
    ODBC_FUNCTIONS(ODBC_POINTER)
} odbc;

static fm_status load_odbc(void)
{
#define ODBC_SYMBOL(name) { #name, &odbc.name },
    static const fm_library_symbol symbols[] = { ODBC_FUNCTIONS(ODBC_SYMBOL) };

    static fm_library library = { .file = "libodbc.so.2",
                                  .package = "libodbc2",
                                  .symbols = symbols,
                                  .count = sizeof symbols / sizeof symbols[0] };

    return fm_library_load(&library);
}

typedef struct {
    SQLHENV environment;
    SQLHDBC connection;
    SQLHSTMT statement;
    bool connected;
    SQLSMALLINT columns;
    unsigned query_s;
    char piece[PIECE];
} state;

static void close_odbc(fm_database *d)
{
    state *s = d->state;

    if (!s)
        return;
    if (s->statement)
        (void)odbc.SQLFreeHandle(SQL_HANDLE_STMT, s->statement);
    if (s->connected)
        (void)odbc.SQLDisconnect(s->connection);
    if (s->connection)
        (void)odbc.SQLFreeHandle(SQL_HANDLE_DBC, s->connection);
    if (s->environment)
        (void)odbc.SQLFreeHandle(SQL_HANDLE_ENV, s->environment);
    sodium_memzero(s, sizeof *s);
    free(s);
    d->state = NULL;
}

/* What the driver says of the last call. */
static fm_status fail(const fm_database *d, fm_status st, const char *what)
{
    const state *s = d->state;
    SQLCHAR code[6] = "", said[SAID_MOST] = "";
    SQLSMALLINT len = 0;
    SQLINTEGER native = 0;
    const SQLSMALLINT kind = s->statement    ? SQL_HANDLE_STMT
                             : s->connection ? SQL_HANDLE_DBC
                                             : SQL_HANDLE_ENV;
    const SQLHANDLE handle = s->statement    ? s->statement
                             : s->connection ? s->connection
                                             : s->environment;

    if (!SQL_SUCCEEDED(odbc.SQLGetDiagRec(kind, handle, 1, code, &native, said, sizeof said, &len)))
        return fm_fail(st, "%s: %s", d->name, what);
    for (char *p = (char *)said; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    return fm_fail(st, "%s: %s: %s (SQLSTATE %s)", d->name, what, (char *)said, (char *)code);
}

/* A query that took too long, perhaps, by the driver's word for it. */
static fm_status fail_query(fm_database *d, fm_status st, const char *what)
{
    const state *s = d->state;

    st = fail(d, st, what);
    /* HYT00 is ODBC's, 57014 PostgreSQL's. */
    if (s->query_s && (strstr(fm_error_text(), "HYT00") || strstr(fm_error_text(), "57014") ||
                       strstr(fm_error_text(), "statement timeout")))
        return fm_fail(FM_EIO,
                       "%s; it took more than %u seconds: is it endless (a join without a "
                       "condition)? Else raise data.query_s in node.yaml",
                       fm_error_text(), s->query_s);
    return st;
}

/* One value, of any length, in pieces. */
static fm_status put_cell(fm_database *d, SQLUSMALLINT column)
{
    state *s = d->state;
    bool begun = false;
    fm_status st;

    for (;;) {
        SQLLEN len = 0;
        const SQLRETURN rc =
            odbc.SQLGetData(s->statement, column, SQL_C_CHAR, s->piece, sizeof s->piece, &len);
        size_t n;

        if (rc == SQL_NO_DATA && begun)
            break;
        if (!SQL_SUCCEEDED(rc))
            return fail(d, FM_EIO, "a value cannot be had");
        if (len == SQL_NULL_DATA)
            return fm_database_null(d);
        /* Cut off where more follows: all but the terminator was filled. */
        n = len < 0 || len >= (SQLLEN)sizeof s->piece ? sizeof s->piece - 1 : (size_t)len;
        if ((!begun && (st = fm_database_begin(d))) || (st = fm_database_piece(d, s->piece, n)))
            return st;
        begun = true;
        if (rc == SQL_SUCCESS)
            break;
    }
    return fm_database_end(d);
}

static fm_status next_odbc(fm_database *d, bool *got)
{
    state *s = d->state;
    const SQLRETURN rc = odbc.SQLFetch(s->statement);
    fm_status st;

    *got = rc != SQL_NO_DATA;
    if (!*got)
        return FM_OK;
    if (!SQL_SUCCEEDED(rc))
        return fail_query(d, FM_EIO, "the query broke off");
    for (SQLSMALLINT c = 1; c <= s->columns; c++)
        if ((st = put_cell(d, (SQLUSMALLINT)c)))
            return st;
    return fm_database_end_row(d);
}

static const fm_database_ops ops = { next_odbc, close_odbc };

/* The column's name into the header; bytes are refused. */
static fm_status describe(fm_database *d, SQLUSMALLINT column, bool header)
{
    const state *s = d->state;
    SQLCHAR name[NAME_MOST] = "";
    SQLSMALLINT len = 0, type = 0, digits = 0, nullable = 0;
    SQLULEN size = 0;

    if (!SQL_SUCCEEDED(odbc.SQLDescribeCol(s->statement, column, name, sizeof name, &len, &type,
                                           &size, &digits, &nullable)))
        return fail(d, FM_EIO, "a column cannot be described");
    if (len < 0 || (size_t)len >= sizeof name)
        return fm_fail(FM_EINVAL, "%s: the name of column %u of the query is too long", d->name,
                       (unsigned)column);
    if (type == SQL_BINARY || type == SQL_VARBINARY || type == SQL_LONGVARBINARY)
        return fm_fail(FM_EINVAL, "%s: column %s holds bytes, not a text or number", d->name,
                       (char *)name);
    return header ? fm_database_value(d, name, (size_t)len) : FM_OK;
}

static fm_status ask(fm_database *d, const char *query, bool header)
{
    state *s = d->state;
    fm_status st;

    if (!SQL_SUCCEEDED(odbc.SQLAllocHandle(SQL_HANDLE_STMT, s->connection, &s->statement)))
        return fail(d, FM_EIO, "no statement is to be had");
    if (s->query_s) /* a wish: a driver may not have it */
        (void)odbc.SQLSetStmtAttr(s->statement, SQL_ATTR_QUERY_TIMEOUT,
                                  (SQLPOINTER)(uintptr_t)s->query_s, 0);
    if (!SQL_SUCCEEDED(odbc.SQLExecDirect(s->statement, (SQLCHAR *)(uintptr_t)query, SQL_NTS)))
        return fail_query(d, FM_EINVAL, "the query failed");
    if (!SQL_SUCCEEDED(odbc.SQLNumResultCols(s->statement, &s->columns)))
        return fail(d, FM_EIO, "the query's columns cannot be counted");
    if (s->columns < 1)
        return fm_fail(FM_EINVAL, "%s: the query gives no columns; it must be a SELECT", d->name);
    for (SQLSMALLINT c = 1; c <= s->columns; c++)
        if ((st = describe(d, (SQLUSMALLINT)c, header)))
            return st;
    return header ? fm_database_end_row(d) : FM_OK;
}

static fm_status dial(fm_database *d, const char *connection)
{
    state *s = d->state;

    if (!SQL_SUCCEEDED(odbc.SQLDriverConnect(s->connection, NULL, (SQLCHAR *)(uintptr_t)connection,
                                             SQL_NTS, NULL, 0, NULL, SQL_DRIVER_NOPROMPT)))
        return fail(d, FM_EIO, "no connection");
    s->connected = true;
    return FM_OK;
}

/* PostgreSQL's driver holds a whole result in memory unless it is told to use a cursor. */
static fm_status dial_for_batches(fm_database *d, const char *connection)
{
    state *s = d->state;
    SQLCHAR driver[64] = "";
    SQLSMALLINT len = 0;
    fm_buf text;
    fm_status st;

    if ((st = dial(d, connection)))
        return st;
    if (!SQL_SUCCEEDED(
            odbc.SQLGetInfo(s->connection, SQL_DRIVER_NAME, driver, sizeof driver, &len)) ||
        strncasecmp((char *)driver, "psqlodbc", 8) != 0 || strcasestr(connection, "Fetch="))
        return FM_OK;
    (void)odbc.SQLDisconnect(s->connection);
    s->connected = false;
    fm_buf_init(&text, strlen(connection) + 64);
    if (!(st = fm_buf_printf(&text, "%s;UseDeclareFetch=1;Fetch=%d", connection, BATCH_ROWS)))
        st = dial(d, (const char *)text.data);
    fm_buf_fini(&text);
    return st;
}

static fm_status connect_odbc(fm_database *d, const char *connection)
{
    state *s = d->state;

    if (!SQL_SUCCEEDED(odbc.SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &s->environment)) ||
        !SQL_SUCCEEDED(odbc.SQLSetEnvAttr(s->environment, SQL_ATTR_ODBC_VERSION,
                                          (SQLPOINTER)SQL_OV_ODBC3, 0)) ||
        !SQL_SUCCEEDED(odbc.SQLAllocHandle(SQL_HANDLE_DBC, s->environment, &s->connection)))
        return fail(d, FM_EIO, "ODBC does not start");
    /* Wishes: a driver may have neither. */
    (void)odbc.SQLSetConnectAttr(s->connection, SQL_ATTR_LOGIN_TIMEOUT,
                                 (SQLPOINTER)(uintptr_t)LOGIN_S, 0);
    (void)odbc.SQLSetConnectAttr(s->connection, SQL_ATTR_ACCESS_MODE,
                                 (SQLPOINTER)(uintptr_t)SQL_MODE_READ_ONLY, 0);
    return dial_for_batches(d, connection);
}

fm_status fm_database_odbc(const char *name, const char *connection, const char *query,
                           const fm_database_format *f, fm_database **out)
{
    fm_database *d = NULL;
    fm_status st;

    if ((st = load_odbc()) || (st = fm_database_new(&ops, name, f, &d)))
        return st;
    if (!(st = fm_alloc(1, sizeof(state), &d->state)))
        ((state *)d->state)->query_s = f->query_s;
    if (st || (st = connect_odbc(d, connection)) || (st = ask(d, query, f->header)))
        fm_database_free(&d);
    else
        *out = d;
    return st;
}
