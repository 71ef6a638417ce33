# A PostgreSQL of a test's own: postgres_start, then psql; $POSTGRES is what ODBC connects with.
PGBIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)
[ -n "$PGBIN" ] || skip "no PostgreSQL here"
grep -q '^\[PostgreSQL Unicode\]' /etc/odbcinst.ini 2>/dev/null || skip "no ODBC driver for PostgreSQL here"
PG=$WORK/pg
POSTGRES="Driver=PostgreSQL Unicode;Server=$PG;Database=postgres;Uid=clinic"

# It does not run as root, and listens on a socket in its own folder alone.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        (cd "$PG" && setpriv --reuid postgres --regid postgres --init-groups "$@")
    else
        "$@"
    fi
}
postgres_stop() {
    as_postgres "$PGBIN/pg_ctl" -D "$PG/data" -w -m immediate stop >/dev/null 2>&1
    cleanup
}
postgres_start() {
    mkdir "$PG"
    if [ "$(id -u)" = 0 ]; then
        id postgres >/dev/null 2>&1 || skip "no user postgres here"
        chmod 755 "$WORK" && chown postgres "$PG"
    fi
    as_postgres "$PGBIN/initdb" -D "$PG/data" -U clinic -A trust --no-sync >"$WORK/initdb.log" 2>&1 ||
        skip "initdb does not run here: $(tail -1 "$WORK/initdb.log")"
    trap postgres_stop EXIT
    as_postgres "$PGBIN/pg_ctl" -D "$PG/data" -w -l "$PG/log" start \
        -o "-c listen_addresses= -c unix_socket_directories='$PG' -c fsync=off" >/dev/null
    check "the server answers" [ "$(psql -c 'select 1')" = 1 ]
}
psql() { command psql -h "$PG" -U clinic -d postgres -qAt -v ON_ERROR_STOP=1 "$@"; }
