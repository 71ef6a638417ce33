# A FHIR bulk export as a hospital's records: the table is what Python makes of the same files, a federation
# trains on it, and what is wrong in a file is said with its line.
. "$(dirname "$0")/lib.sh"
export=${FEDMOE_SHARED:-$SOURCE/../shared}/data/fhir_bulk/10-patients
[ -d "$export" ] || skip "no ../shared/data/fhir_bulk"
command -v python3 >/dev/null || skip "no python3 here"
query=$SOURCE/examples/fhir/features.sql
schema=$SOURCE/examples/fhir/features.yaml
table() { "$BIN/e2e-fhir" "$export" "$query" >"$WORK/table.csv" && python3 "$SOURCE/tests/e2e/fhir_table.py" "$export" >"$WORK/python.csv"; }
check "the query's table" table
check "is that of another program" diff "$WORK/python.csv" "$WORK/table.csv"
rows=$(($(wc -l <"$WORK/table.csv") - 1))
check "and has rows ($rows)" [ "$rows" -ge 8 ]
check "of both kinds" [ "$(cut -d, -f9 "$WORK/table.csv" | sort -u | wc -l)" = 3 ]

setup --rounds 3
rm "$RUN/model.safetensors"
check "a model of the schema" "$BIN/fedmoe-model" new --schema "$schema" --output "$RUN/model.safetensors"
for name in $HOSPITALS; do
    mkdir "$RUN/$name/export"
    cp "$export"/*.ndjson* "$RUN/$name/export"
    chmod -R u+w "$RUN/$name/export"
    cp "$query" "$RUN/$name/features.sql"
    sed -i "s|^  records:.*|  records: {fhir: export, query_file: features.sql}|; s|^  schema: .*||" "$RUN/$name/node.yaml"
done
replan
node_check() { "$BIN/fedmoe-node" check --config "$RUN/northgate/node.yaml" --schema "$schema" >"$WORK/out" 2>&1; }
check "a node's check reads the folder" node_check
check "all of it" says "$WORK/out" "records +$rows records fit the schema"
wrong() { # PATTERN
    ! node_check && says "$WORK/out" "$1"
}
echo '{"resourceType":"Condition","subject":{"reference":"Patient/nobody"}}' >"$RUN/northgate/export/late.ndjson"
check "a broken reference" wrong "export/late.ndjson:1: it is of a patient who is in none"
echo '{"resourceType":"Patient","id":"p","birthDate":"12/24/1950"}' >"$RUN/northgate/export/late.ndjson"
check "a date that is none" wrong "export/late.ndjson:1, Patient/p, birthDate: .12/24/1950. is not a date"
head -c 3000 "$export/Condition.000.ndjson.xz" >"$RUN/northgate/export/late.ndjson.xz"
rm "$RUN/northgate/export/late.ndjson"
check "a file that is cut" wrong "export/late.ndjson.xz: ends in the middle"
rm "$RUN/northgate/export/late.ndjson.xz"

LINGER=5
start_all
finished() { local name; for name in $HOSPITALS aggregator; do wait "${PID[$name]}" || return 1; unset "PID[$name]"; done; }
check "a federation over it finishes" finished
for name in $HOSPITALS; do check "$name has the model" [ -s "$RUN/$name/model.safetensors" ]; done
finish
