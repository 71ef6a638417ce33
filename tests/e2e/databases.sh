# Records in databases: an SQLite file, and PostgreSQL over ODBC, made and started here.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_postgres.sh"
command -v sqlite3 >/dev/null || skip "no sqlite3 here"
setup --rounds 5
postgres_start

# The hospitals' files become tables: texts, as their schema has missing values of its own.
columns=$(sed -n 's|^  - name: ||p' "$RUN/schema.yaml")
with_text=$(echo $columns | sed 's/ / text, /g; s/$/ text/')
psql -c "create table visits($with_text)"
psql -c "\\copy visits from '$RUN/northgate/records.csv' csv null 'no cell reads so'"
sqlite3 "$RUN/lakeside/clinic.db" "create table visits($with_text)" ".mode csv" ".import $RUN/lakeside/records.csv visits"
wanted() { wc -l <"$RUN/$1/records.csv"; }
check "as many rows as lines" [ "$(psql -c 'select count(*) from visits')" = "$(wanted northgate)" ]

records() { # NODE LINES: what node.yaml says of its records
    awk -v new="$2" '/^  records:/ { printf "%s", new; next } { print }' "$RUN/$1/node.yaml" >"$WORK/node.yaml" &&
        cat "$WORK/node.yaml" >"$RUN/$1/node.yaml"
}
driver=$POSTGRES
umask 077
echo "$driver" >"$RUN/northgate/connection"
echo "select * from visits" >"$RUN/northgate/query.sql"
records northgate '  records: {connection_file: connection, query_file: query.sql}\n'
records lakeside '  records: {sqlite: clinic.db, query: "SELECT * FROM visits"}\n'
node_check() { "$BIN/fedmoe-node" check --config "$RUN/$1/node.yaml" --schema "$RUN/schema.yaml" >"$WORK/out" 2>&1; }
for node in northgate lakeside; do
    check "$node: the check reads the database" node_check $node
    check "$node: all of it" says "$WORK/out" "records +$(wanted $node) records fit the schema"
done

# What goes wrong is said with its place, and what the server says; never the connection's text.
wrong() { # WHAT LINES PATTERN
    cp "$RUN/northgate/node.yaml" "$WORK/good.yaml"
    records northgate "$2"
    node_check northgate
    local rc=$?
    cat "$WORK/good.yaml" >"$RUN/northgate/node.yaml"
    [ $rc != 0 ] && says "$WORK/out" "$3" && ! grep -q 'Uid=' "$WORK/out"
}
check "no server" wrong server "  records: {odbc: \"${driver/$PG/$PG/no}\", query: \"select 1\"}\n" "no connection: .*SQLSTATE 08001"
check "no such table" wrong table "  records: {odbc: \"$driver\", query: \"select * from nothing\"}\n" 'the query failed: .*relation "nothing" does not exist'
check "no rows" wrong rows "  records: {odbc: \"$driver\", query: \"select * from visits where false\"}\n" "there are no records"
check "an endless query" wrong endless \
    "  query_s: 2\\n  records: {odbc: \"$driver\", query: \"select count(*) as n from generate_series(1, 1000000000) a, generate_series(1, 1000) b\"}\\n" \
    'it took more than 2 seconds.*data.query_s'
check "a column of bytes" wrong bytes "  records: {odbc: \"$driver\", query: \"select decode('00ff', 'hex') as scan\"}\n" "column scan holds bytes"
check "two places" wrong places "  records: {odbc: a, sqlite: b, query: c}\n" "node.yaml:[0-9]+:[0-9]+: records of a database have one of"
check "no query" wrong query "  records: {sqlite: b}\n" "have a query or a query_file"
chmod 644 "$RUN/northgate/connection"
check "a connection that others may read" wrong mode "  records: {connection_file: connection, query: c}\n" "chmod 600"
chmod 600 "$RUN/northgate/connection"
psql -c "create view odd as select *, row_number() over () as n from visits"
first=${columns%%$'\n'*}
check "a cell, by its line" wrong cell \
    "  records: {odbc: \"$driver\", query: \"select case n when 3 then 'much' else $first end, $(echo $columns | cut -d' ' -f2- | sed 's/ /, /g') from odd\"}\n" \
    "the database over ODBC:3, column $first: \"much\" is not a number"

# Ten values of 40 kB: longer than the pieces in which they come; and more rows than one batch.
psql -c "create table wide as select i, repeat(chr(97 + i % 26), 40000) as note from generate_series(1, 10) i"
printf 'name: t\ncolumns:\n  - {name: i, kind: numeric, range: [0, 100000]}\n  - {name: note, kind: ignore}\n' >"$WORK/wide.yaml"
printf '  - {name: y, kind: label, negative: ["0"], positive: ["1"]}\n' >>"$WORK/wide.yaml"
reads() { # QUERY ROWS SCHEMA
    cp "$RUN/northgate/node.yaml" "$WORK/good.yaml"
    records northgate "  records: {odbc: \"$driver\", query: \"$1\"}\n"
    "$BIN/fedmoe-node" check --config "$RUN/northgate/node.yaml" --schema "$3" >"$WORK/out" 2>&1
    local rc=$?
    cat "$WORK/good.yaml" >"$RUN/northgate/node.yaml"
    [ $rc = 0 ] && says "$WORK/out" "$2 records fit"
}
check "long values" reads "select *, 1 as y from wide" 10 "$WORK/wide.yaml"
check "many rows" reads "select i, NULL::text as note, i % 2 as y from generate_series(1, 20000) i" 20000 "$WORK/wide.yaml"

# Two hospitals with databases, two with files: the federation ends like any other.
LINGER=5
start_all
finished() { local name; for name in $HOSPITALS aggregator; do wait "${PID[$name]}" || return 1; unset "PID[$name]"; done; }
check "a federation over them finishes" finished
for node in northgate lakeside; do check "$node has the model" [ -s "$RUN/$node/model.safetensors" ]; done
finish
